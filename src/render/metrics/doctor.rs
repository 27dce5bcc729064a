//! What speaks of the doctor itself, and what sums up over all steps.

use std::collections::BTreeMap;

use super::{Family, Page};
use crate::{
    catalogue::{self, Cause},
    check::{Impact, Status},
    health::WatchState,
    render::View,
    snapshot::{NotSeen, api_service::METRICS_GROUP},
    verdict::VerdictName,
    version,
};

const BUILD_INFO: Family = Family::gauge(
    "metrics_server_doctor_build_info",
    &["version", "revision", "rustc"],
    "1, with the version of metrics-server-doctor, the commit that it was built from and the compiler",
)
.series(1, &[]);
const CHECK_STATUS: Family = Family::gauge(
    "metrics_server_doctor_check_status",
    &["step", "check", "status"],
    "1 for the state that a check of the guide is in, 0 for the other three; unknown means that it could not look",
)
.series(4, &["step", "check"]);
const VERDICT: Family = Family::gauge(
    "metrics_server_doctor_verdict",
    &["step", "cause"],
    "1 for the one cause that explains most of what the checks see, 0 for all others",
)
.series(1, &["step", "cause"]);
const VERDICT_SINCE: Family = Family::gauge(
    "metrics_server_doctor_verdict_since_timestamp_seconds",
    &[],
    "Unix time since when the verdict holds, or since when the doctor has watched if that is later",
)
.series(1, &[]);
const CANDIDATE: Family = Family::gauge(
    "metrics_server_doctor_candidate",
    &["step", "cause"],
    "1 for each cause that fits the evidence while the verdict is undetermined",
)
.absent_where("the verdict is not undetermined")
.series(1, &["step", "cause"]);
const FINDINGS: Family = Family::gauge(
    "metrics_server_doctor_findings",
    &["step", "cause"],
    "Objects with this cause, without those that the verdict explains; 0 for causes that were not found",
)
.series(1, &["step", "cause"]);
const OUTAGE: Family = Family::gauge(
    "metrics_server_doctor_outage",
    &["step", "cause"],
    "1 for a cause in metrics_server_doctor_findings that takes metrics away from everybody, 0 for all others",
)
.series(1, &["step", "cause"]);
const PIPELINE_DOWN: Family = Family::gauge(
    "metrics_server_doctor_pipeline_down",
    &[],
    "1 while metrics are seen to be gone for everybody, whether or not the cause is clear, 0 while they are not",
)
.series(1, &[]);
const OBSERVED: Family = Family::gauge(
    "metrics_server_doctor_observed_timestamp_seconds",
    &[],
    "Unix time of the newest look that this page tells of",
)
.series(1, &[]);
const JUDGEMENT_SECONDS: Family = Family::gauge(
    "metrics_server_doctor_judgement_duration_seconds",
    &[],
    "Seconds that judging and rendering the look before this one took; the page is at least that old when it appears",
)
.absent_where("a bundle is shown, or no second page was made yet")
.series(1, &[]);
const FIRST_LOOK: Family = Family::gauge(
    "metrics_server_doctor_first_look_complete",
    &[],
    "1 once every planned look was tried at least once; before that most checks are unknown",
)
.series(1, &[]);
const PERMISSION_MISSING: Family = Family::gauge(
    "metrics_server_doctor_permission_missing",
    &["verb", "resource"],
    "1 where the API server refuses a look of the doctor itself, 0 where it allows it",
)
.absent_where("a bundle or the demo is shown, or the API server has not told")
.series(1, &["verb", "resource"]);
const WATCH_STATE: Family = Family::gauge(
    "metrics_server_doctor_watch_state",
    &["resource", "state"],
    "1 for the state that the doctor's watch of a resource is in (the worst, where there are several), 0 for the others",
)
.absent_where("a bundle or the demo is shown")
.series(5, &["resource"]);
const WATCH_OBJECTS: Family =
    Family::gauge("metrics_server_doctor_watch_objects", &["resource"], "Objects that the doctor holds of a resource")
        .absent_where("a bundle or the demo is shown")
        .series(1, &["resource"]);
const REQUESTS: Family = Family::counter(
    "metrics_server_doctor_api_requests",
    &["verb", "resource", "code"],
    "Requests of the doctor to the API server by verb, resource and HTTP code; code 0 means no answer",
)
.absent_where("a bundle or the demo is shown")
.series(1, &["verb", "resource", "code"]);

const CERTIFICATE_CURRENT: Family = Family::gauge(
    "metrics_server_doctor_tls_certificate_current",
    &[],
    "1 where the doctor serves with the certificate files as they are now, 0 where these cannot be used and it serves with the last ones that could",
)
.absent_where("the doctor serves plain HTTP")
.series(1, &[]);
const CERTIFICATE_EXPIRY: Family = Family::gauge(
    "metrics_server_doctor_tls_certificate_not_after_timestamp_seconds",
    &[],
    "Unix time at which the certificate that the doctor serves with expires",
)
.absent_where("the doctor serves plain HTTP")
.series(1, &[]);

// These four are named as every client library of Prometheus names them.
const START_TIME: Family =
    Family::gauge("process_start_time_seconds", &[], "Unix time at which the doctor's process was started, from /proc")
        .absent_where(NO_PROC)
        .series(1, &[]);
const CPU: Family = Family::counter(
    "process_cpu_seconds",
    &[],
    "Seconds of processor time that the doctor's process has spent in user and kernel mode, from /proc",
)
.absent_where(NO_PROC)
.series(1, &[]);
const RESIDENT_MEMORY: Family =
    Family::gauge("process_resident_memory_bytes", &[], "Resident memory of the doctor's process in bytes, from /proc")
        .absent_where(NO_PROC)
        .series(1, &[]);
const OPEN_FILES: Family =
    Family::gauge("process_open_fds", &[], "Open file descriptors of the doctor's process, from /proc")
        .absent_where(NO_PROC)
        .series(1, &[]);
const NO_PROC: &str = "the operating system has no /proc, such as macOS";

/// The families of this module.
pub(super) const FAMILIES: &[Family] = &[
    BUILD_INFO,
    VERDICT,
    VERDICT_SINCE,
    CANDIDATE,
    FINDINGS,
    OUTAGE,
    PIPELINE_DOWN,
    CHECK_STATUS,
    OBSERVED,
    JUDGEMENT_SECONDS,
    FIRST_LOOK,
    PERMISSION_MISSING,
    WATCH_STATE,
    WATCH_OBJECTS,
    REQUESTS,
    CERTIFICATE_CURRENT,
    CERTIFICATE_EXPIRY,
    START_TIME,
    CPU,
    RESIDENT_MEMORY,
    OPEN_FILES,
];

pub(super) fn write(view: &View<'_>, page: &mut Page) {
    page.set(&BUILD_INFO, [version::VERSION, version::REVISION, version::RUSTC], true);
    page.set_single(&OBSERVED, view.facts.snapshot.observed_at);
    if let Some(judged_in) = view.judged_in {
        page.set_single(&JUDGEMENT_SECONDS, judged_in.as_secs_f64());
    }
    page.set_single(&FIRST_LOOK, view.health.is_none_or(|health| health.first_complete_look));
    write_judgement(view, page);
    for answer in &view.report.answers {
        let labels = [answer.step.id(), answer.check];
        page.set_one_of(&CHECK_STATUS, &labels, Status::ALL.map(Status::label), answer.status.label());
    }
    write_permissions(view, page);
    write_watches(view, page);
    for (class, count) in view.requests {
        let resource = qualified(&class.group, &class.resource);
        page.set(&REQUESTS, [class.verb.to_owned(), resource, class.code.to_string()], *count);
    }
    if let Some(process) = view.process {
        page.set_single(&START_TIME, process.started);
        page.set_single(&CPU, process.cpu.as_secs_f64());
        page.set_single(&RESIDENT_MEMORY, process.resident_bytes);
        page.set_single(&OPEN_FILES, process.open_files);
    }
    if let Some(certificate) = view.certificate {
        page.set_single(&CERTIFICATE_CURRENT, certificate.current);
        page.set_single(&CERTIFICATE_EXPIRY, certificate.not_after);
    }
}

fn write_judgement(view: &View<'_>, page: &mut Page) {
    let judgement = &view.report.judgement;
    page.set_single(&VERDICT_SINCE, view.verdict_since);
    let name = judgement.verdict.name();
    for verdict in [VerdictName::Healthy, VerdictName::Undetermined] {
        page.set(&VERDICT, [verdict.step_id(), verdict.id()], name == verdict);
    }
    for entry in catalogue::all() {
        let labels = [entry.step.id(), entry.id];
        page.set(&VERDICT, labels, name == VerdictName::Fault(entry.cause));
        if judgement.verdict.candidates().contains(&entry.cause) {
            page.set(&CANDIDATE, labels, true);
        }
    }
    let mut findings: BTreeMap<Cause, (usize, bool)> =
        catalogue::all().iter().map(|entry| (entry.cause, (0, false))).collect();
    // Of a finding with several candidates none is found yet.
    for finding in judgement.findings.iter().filter(|finding| finding.candidates.is_empty()) {
        let (count, outage) = findings.entry(finding.cause).or_default();
        *count += 1;
        *outage |= finding.impact == Impact::Outage;
    }
    let down = judgement.findings.iter().any(|finding| finding.impact == Impact::Outage);
    page.set_single(&PIPELINE_DOWN, down);
    for (cause, (count, outage)) in findings {
        page.set(&FINDINGS, [cause.step().id(), cause.id()], count);
        page.set(&OUTAGE, [cause.step().id(), cause.id()], outage);
    }
}

/// A resource with its group, for those that share a name with one of the core group.
fn qualified(group: &str, resource: &str) -> String {
    if group == METRICS_GROUP { format!("{resource}.{group}") } else { resource.to_owned() }
}

/// What the API server says about the doctor's rights, and on top what it refused in fact.
fn write_permissions(view: &View<'_>, page: &mut Page) {
    let mut missing: BTreeMap<(&str, String), bool> = BTreeMap::new();
    if let Some(health) = view.health {
        for (permission, allowed) in &health.permissions {
            let key = (permission.verb, qualified(permission.group, permission.resource));
            *missing.entry(key).or_default() |= !allowed;
        }
        for (part, watch) in &health.watches {
            if watch.state == WatchState::Forbidden {
                missing.insert(("list", part.resource.to_owned()), true);
            }
        }
    }
    for answer in &view.report.answers {
        if let Some(NotSeen::Forbidden { verb, resource }) = &answer.not_seen {
            missing.insert((verb, (*resource).to_owned()), true);
        }
    }
    for ((verb, resource), missing) in missing {
        page.set(&PERMISSION_MISSING, [verb.to_owned(), resource], missing);
    }
}

fn write_watches(view: &View<'_>, page: &mut Page) {
    let Some(health) = view.health else { return };
    for (resource, state) in health.by_resource() {
        page.set_one_of(&WATCH_STATE, &[resource], WatchState::ALL.map(WatchState::label), state.label());
    }
    let mut totals: BTreeMap<&'static str, usize> = BTreeMap::new();
    for (part, watch) in &health.watches {
        *totals.entry(part.resource).or_default() += watch.objects;
    }
    for (resource, objects) in totals {
        page.set(&WATCH_OBJECTS, [resource], objects);
    }
}
