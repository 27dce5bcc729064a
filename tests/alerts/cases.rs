//! What each rule has to do, on series of real pages.

use metrics_server_doctor::{
    catalogue::{self, Cause, Entry, Role},
    check::Impact,
    guide::Step,
};

use crate::{
    doctor, hpa, pipeline, recording,
    rules::{self, Labels, Rule},
    said,
    scenes::{METRICS_API, SERVICE, Series, found, healthy},
    timeline::{CLUSTER, Case, Firing, STEP, Scrape, Timeline},
};

/// Minutes of health before anything happens.
pub(crate) const BEFORE: u64 = 10;
pub(crate) const BEGIN: u64 = BEFORE * 60;

/// Sections whose alerts are made from the findings of their step alone.
pub(crate) const SECTIONS: [(Step, &str); 8] = [
    (Step::Installed, "MetricsServerInstallationBroken"),
    (Step::Retrieve, "MetricsServerRetrievalFailing"),
    (Step::Forbidden, "MetricsServerForbidden"),
    (Step::Apiservice, "MetricsServerAPIServiceUnavailable"),
    (Step::Timeout, "MetricsServerTimeout"),
    (Step::ConnectionRefused, "MetricsServerConnectionRefused"),
    (Step::OtherReasons, "MetricsServerServiceBroken"),
    (Step::Logs, "MetricsServerLogsErrors"),
];

/// The alert of a step's causes.
pub(crate) fn alert_of(step: Step) -> &'static str {
    SECTIONS.iter().find(|(known, _)| *known == step).map_or("HPATargetsUnknown", |(_, alert)| alert)
}

pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A rule's alert on a cluster, with the labels of its series.
pub(crate) fn alert(rule: &Rule, cluster: &str, pairs: &[(&str, &str)]) -> Firing {
    let mut all = labels(pairs);
    if !cluster.is_empty() {
        all.insert("cluster".to_owned(), cluster.to_owned());
    }
    all.extend(rule.labels.clone());
    all.insert("alertname".to_owned(), rule.name.clone());
    all
}

/// A fault that begins, lasts longer than the rule waits, and is healed; nothing else fires.
pub(crate) fn fires(name: &str, rule: &Rule, alert: &Firing, fault: &[Scrape], well: &[Scrape]) -> Case {
    // The slowest rule about a fault had its time too before it is healed.
    let timeline = Timeline::default().then(BEFORE, well).then(rule.hold / 60 + 20, fault);
    let healed = timeline.end();
    let mut case = Case::new(name, &rule.file, timeline.then(rule.keep / 60 + 5, well));
    let due = BEGIN + rule.hold;
    case.firing = vec![
        (BEGIN - STEP, vec![]),
        (BEGIN, vec![]),
        (due - STEP, vec![]),
        (due, vec![alert.clone()]),
        (healed - STEP, vec![alert.clone()]),
        (healed + rule.keep, vec![]),
        (case.timeline.end() - STEP, vec![]),
    ];
    if rule.keep > 0 {
        case.firing.push((healed + rule.keep - STEP, vec![alert.clone()]));
    }
    case
}

/// A page that lasts longer than any rule about it waits, and nothing fires.
pub(crate) fn silent(name: &str, file: &str, fault: &[Scrape]) -> Case {
    silent_for(25, name, file, fault)
}

fn silent_for(minutes: u64, name: &str, file: &str, fault: &[Scrape]) -> Case {
    let mut case =
        Case::new(name, file, Timeline::default().then(BEFORE, &[well()]).then(minutes, fault).then(10, &[well()]));
    case.firing = (1..minutes + 20).step_by(3).map(|minute| (minute * 60, vec![])).collect();
    case
}

pub(crate) fn well() -> Scrape {
    Scrape::from(&healthy())
}

pub(crate) fn page(series: &Series) -> Scrape {
    Scrape::from(series)
}

pub(crate) fn first(step: Step) -> &'static Entry {
    catalogue::all().iter().find(|entry| entry.step == step).expect("a cause")
}

/// Values of label `cause` that the cases of the rules use.
pub(crate) fn tried() -> Vec<&'static str> {
    let more = [
        Cause::CaBundleExpired,
        Cause::HpaPodsNotReady,
        Cause::KubeletTimeout,
        Cause::MetricsApiDown,
        Cause::MissingRequest,
    ];
    let causes = Step::ALL.into_iter().filter(|step| *step != Step::KnownIssues).map(|step| first(step).id);
    let causes = causes.chain(more.map(Cause::id)).chain([Cause::TargetNotFound.id(), "scaled_to_zero"]);
    causes.chain(["healthy", "undetermined"]).collect()
}

/// The alert of a section about a cause, with the Service that the sample's `APIService` names.
pub(crate) fn section_alert(rule: &Rule, cluster: &str, entry: &Entry) -> Firing {
    let series = [("step", entry.step.id()), ("cause", entry.id), ("namespace", "kube-system")];
    alert(rule, cluster, &[&series[..], &[("service", "metrics-server")]].concat())
}

/// A page on which two autoscalers are blind, one of each namespace.
pub(crate) fn with_two_blind(series: Series) -> Series {
    [("shop", "web"), ("office", "web")].into_iter().fold(series, |series, (namespace, name)| {
        let labels = [("namespace", namespace), ("horizontalpodautoscaler", name)];
        series.with("metrics_server_doctor_hpa_blind_since_timestamp_seconds", &labels, 60.0)
    })
}

/// A cause of the catalogue that stands, with the impact that it has.
pub(crate) fn of_cause(entry: &Entry, impact: Impact) -> Case {
    let severity = if impact == Impact::Outage { "critical" } else { "warning" };
    let rule = rules::alert(alert_of(entry.step), severity, None);
    let fault = page(&with_two_blind(found(entry, impact)));
    let (alert, told) = if entry.step == Step::Hpa && impact == Impact::Partial {
        let labels = [("cause", entry.id), ("namespace", "shop"), ("horizontalpodautoscaler", "web")];
        (alert(&rule, CLUSTER, &labels), said::of_autoscaler(&rule, entry, Some("shop/web")))
    } else {
        (section_alert(&rule, CLUSTER, entry), said::of_section(&rule, entry, true, 2))
    };
    // Two replicas count no autoscaler twice.
    let fault = [fault.clone(), fault];
    let mut case = fires(&format!("{} {severity}", entry.id), &rule, &alert, &fault, &[well(), well()]);
    case.alone = true;
    case.annotations.push((BEGIN + rule.hold, alert, told));
    case
}

/// The cases of the sections that have nothing of their own.
#[expect(clippy::too_many_lines, reason = "the cases of one section, side by side")]
fn of_section(step: Step) -> Vec<Case> {
    let entry = first(step);
    let (outage, partial) = (page(&found(entry, Impact::Outage)), page(&found(entry, Impact::Partial)));
    let name = |what: &str| format!("{step}: {what}");
    let critical = rules::alert(alert_of(step), "critical", None);
    let page_once = section_alert(&critical, CLUSTER, entry);
    let warning = rules::alert(alert_of(step), "warning", None);
    let warn_once = section_alert(&warning, CLUSTER, entry);
    let (outages, partials) = ([outage.clone(), outage.clone()], [partial.clone(), partial.clone()]);

    let mut short = Case::new(
        &name("what ends before its time"),
        step.id(),
        Timeline::default()
            .then(BEFORE, &[well()])
            .then(critical.hold / 60 - 1, std::slice::from_ref(&outage))
            .then(10, &[well()])
            .then(warning.hold / 60 - 1, std::slice::from_ref(&partial))
            .then(10, &[well()]),
    );
    short.firing = (1..short.timeline.end() / 60).map(|minute| (minute * 60, vec![])).collect();

    let mut restart = Case::new(
        &name("a restart of the doctor while the alert fires"),
        step.id(),
        Timeline::default()
            .then(BEFORE, &[well()])
            .then(10, std::slice::from_ref(&outage))
            .then(1, &[Scrape::Failed])
            .then(10, std::slice::from_ref(&outage)),
    );
    restart.firing = (BEFORE + 5..BEFORE + 21).map(|minute| (minute * 60, vec![page_once.clone()])).collect();

    // The Service of one cluster is not that of another, whichever would be chosen of all.
    let preferred = |impact: Impact| {
        let service = [("namespace", "kube-system"), ("service", "metrics-server")];
        page(&found(entry, impact).with(SERVICE, &service, 9.0))
    };
    let mut clusters = Case::new(
        &name("one cluster of two"),
        step.id(),
        Timeline::default()
            .then_in(BEFORE, &[(CLUSTER, &[well()]), ("b", &[well()])])
            .then_in(20, &[(CLUSTER, &[preferred(Impact::Outage)]), ("b", std::slice::from_ref(&partial))]),
    );
    let elsewhere = section_alert(&warning, "b", entry);
    clusters.firing = vec![(BEGIN + 600, vec![page_once.clone()]), (BEGIN + 1_170, vec![page_once.clone(), elsewhere])];

    let other = if step == Step::Timeout { Step::Logs } else { Step::Timeout };
    let of_other = first(other);
    let mut another = Case::new(
        &name("faults of another section"),
        step.id(),
        Timeline::default()
            .then(20, &[page(&found(of_other, Impact::Outage))])
            .then(40, &[page(&found(of_other, Impact::Partial))]),
    );
    let theirs = |severity: &str| section_alert(&rules::alert(alert_of(other), severity, None), CLUSTER, of_other);
    another.firing = vec![(1_170, vec![theirs("critical")]), (3_570, vec![theirs("warning")])];

    // Where no Service is seen there is none to name, and one cluster's says nothing about another's.
    let nameless = |impact: Impact| page(&found(entry, impact).without(SERVICE));
    let mut unknown_service = Case::new(
        &name("no Service is seen"),
        step.id(),
        Timeline::default().then_in(
            40,
            &[
                (CLUSTER, &[nameless(Impact::Outage)]),
                ("b", std::slice::from_ref(&outage)),
                ("c", &[nameless(Impact::Partial)]),
                ("d", &[preferred(Impact::Partial)]),
            ],
        ),
    );
    let series = [("step", step.id()), ("cause", entry.id)];
    let unnamed = alert(&critical, CLUSTER, &series);
    let mut says_no_service = Case::new(
        &name("what is said without a Service"),
        step.id(),
        Timeline::default().then(40, &[nameless(Impact::Outage)]),
    );
    says_no_service.firing = vec![(2_370, vec![unnamed.clone()])];
    says_no_service.annotations.push((2_370, unnamed.clone(), said::of_section(&critical, entry, false, 0)));
    unknown_service.firing = vec![(
        2_370,
        vec![
            unnamed,
            section_alert(&critical, "b", entry),
            alert(&warning, "c", &series),
            section_alert(&warning, "d", entry),
        ],
    )];
    let mut exported = Case::new(
        &name("without honor_labels"),
        step.id(),
        Timeline::default().then_in(40, &[(CLUSTER, &outages), ("b", &partials)]),
    );
    exported.honored = false;
    exported.firing = vec![(2_370, vec![page_once.clone(), section_alert(&warning, "b", entry)])];

    vec![
        another,
        unknown_service,
        says_no_service,
        exported,
        fires(&name("an outage, seen by two replicas"), &critical, &page_once, &outages, &[well(), well()]),
        fires(
            &name("an outage that one of two replicas sees"),
            &critical,
            &page_once,
            &[outage, well()],
            &[well(), well()],
        ),
        fires(
            &name("a fault that hurts some, seen by two replicas"),
            &warning,
            &warn_once,
            &partials,
            &[well(), well()],
        ),
        short,
        restart,
        clusters,
    ]
}

fn of_installed() -> Vec<Case> {
    let deployment = [("namespace", "kube-system"), ("deployment", "metrics-server")];
    let old = healthy().with("metrics_server_doctor_deployment_version_supported", &deployment, 0.0);
    let rule = rules::alert("MetricsServerVersionUnsupported", "warning", None);
    let mut unsupported =
        fires("version", &rule, &alert(&rule, CLUSTER, &deployment), &[page(&old), well()], &[well(), well()]);
    unsupported.annotations.push((
        BEGIN + rule.hold,
        alert(&rule, CLUSTER, &deployment),
        said::told(&rule, &deployment, "0"),
    ));
    let twice = healthy().with("metrics_server_doctor_deployment_metrics_servers", &[], 2.0);
    let rule = rules::alert("MetricsServerInstalledTwice", "info", None);
    let mut double =
        fires("twice", &rule, &alert(&rule, CLUSTER, &[]), &[page(&twice), page(&twice)], &[well(), well()]);
    double.annotations.push((BEGIN + rule.hold, alert(&rule, CLUSTER, &[]), said::told(&rule, &[], "2")));
    let unseen = healthy()
        .without("metrics_server_doctor_deployment_version_supported")
        .without("metrics_server_doctor_deployment_metrics_servers");
    let mut exported =
        Case::new("version, without honor_labels", "installed", Timeline::default().then(70, &[page(&old)]));
    exported.honored = false;
    let rule = rules::alert("MetricsServerVersionUnsupported", "warning", None);
    exported.firing = vec![(4_140, vec![alert(&rule, CLUSTER, &deployment)])];
    vec![unsupported, double, exported, silent_for(70, "version and number not seen", "installed", &[page(&unseen)])]
}

fn of_apiservice() -> Vec<Case> {
    let rule = rules::alert("MetricsServerCABundleExpiresSoon", "warning", None);
    let labels = [("apiservice", METRICS_API)];
    let expires =
        |at: f64| healthy().with("metrics_server_doctor_apiservice_ca_bundle_not_after_timestamp_seconds", &labels, at);
    let fortnight = 14.0 * 86_400.0;
    // Of an hour's timeline the bundle has more than two weeks until here.
    let soon = expires(fortnight + 600.0 - 1.0);
    let renewed = expires(fortnight * 10.0);
    let firing = alert(&rule, CLUSTER, &labels);
    let mut case = fires("expiry", &rule, &firing, &[page(&soon), page(&renewed)], &[page(&renewed), page(&renewed)]);
    let mut told = said::told(&rule, &[], "");
    told.insert(
        "description".to_owned(),
        format!("The first certificate in spec.caBundle of APIService {METRICS_API} is valid for 13d 22h 59m 59s. Once all have expired the API server refuses metrics-server's certificate."),
    );
    case.annotations.push((BEGIN + rule.hold, firing, told));
    let ended = catalogue::all().iter().find(|entry| entry.cause == Cause::CaBundleExpired).expect("a cause");
    let over = found(ended, Impact::Outage).with(
        "metrics_server_doctor_apiservice_ca_bundle_not_after_timestamp_seconds",
        &labels,
        0.0,
    );
    let mut known = Case::new("expired already", "apiservice", Timeline::default().then(120, &[page(&over)]));
    let critical = rules::alert("MetricsServerAPIServiceUnavailable", "critical", None);
    known.firing = vec![(7_000, vec![section_alert(&critical, CLUSTER, ended)])];
    let other = healthy().with(
        "metrics_server_doctor_apiservice_ca_bundle_not_after_timestamp_seconds",
        &[("apiservice", "v1beta1.custom.metrics.k8s.io")],
        0.0,
    );
    let mut foreign = Case::new("another API's bundle", "apiservice", Timeline::default().then(120, &[page(&other)]));
    foreign.firing = vec![(7_000, vec![])];
    // Another fault beside it holds nothing back.
    let beside = found(first(Step::Apiservice), Impact::Outage).with(
        "metrics_server_doctor_apiservice_ca_bundle_not_after_timestamp_seconds",
        &labels,
        fortnight,
    );
    let mut both = Case::new("expiry beside a fault", "apiservice", Timeline::default().then(120, &[page(&beside)]));
    let fault = section_alert(&critical, CLUSTER, first(Step::Apiservice));
    both.firing = vec![(7_000, vec![fault, alert(&rule, CLUSTER, &labels)])];
    // Ids are unique within a step only.
    let namesake = expires(fortnight).with(
        "metrics_server_doctor_findings",
        &[("step", Step::Timeout.id()), ("cause", ended.id)],
        1.0,
    );
    let mut beside_namesake = Case::new(
        "expiry beside a cause of the same id",
        "apiservice",
        Timeline::default().then(120, &[page(&namesake)]),
    );
    beside_namesake.firing = vec![(7_000, vec![alert(&rule, CLUSTER, &labels)])];
    let mut elsewhere = Case::new(
        "expiry in one cluster, expired in another",
        "apiservice",
        Timeline::default().then_in(120, &[(CLUSTER, &[page(&expires(fortnight))]), ("b", &[page(&over)])]),
    );
    let of_b = section_alert(&critical, "b", ended);
    elsewhere.firing = vec![(7_000, vec![alert(&rule, CLUSTER, &labels), of_b])];
    let mut cases = vec![case, known, foreign, both, beside_namesake, elsewhere];
    cases.extend(of_flapping());
    cases
}

/// A condition that changes every few minutes, and one that a rollout changed twice.
fn of_flapping() -> Vec<Case> {
    const TRANSITIONS: &str = "metrics_server_doctor_apiservice_condition_transitions_total";
    let rule = rules::alert("MetricsServerAPIServiceFlapping", "warning", None);
    let changed = |api: &str, times: u64| {
        page(&healthy().with(TRANSITIONS, &[("apiservice", api)], f64::from(u32::try_from(times).expect("few"))))
    };
    // One change every five minutes, twelve an hour.
    let flaps =
        |api: &str| (0..14).fold(Timeline::default(), |timeline, times| timeline.then(5, &[changed(api, times)]));
    let mut flapping = Case::new("a condition that flaps", "apiservice", flaps(METRICS_API));
    let firing = alert(&rule, CLUSTER, &[("apiservice", METRICS_API)]);
    // The sixth change is seen after half an hour.
    flapping.firing = vec![
        (1_800 + rule.hold - STEP, vec![]),
        (1_800 + rule.hold, vec![firing.clone()]),
        (4_140, vec![firing.clone()]),
    ];
    let mut two = Case::new(
        "a condition that flaps in one cluster of two, seen by one of two replicas",
        "apiservice",
        (0..14).fold(Timeline::default(), |timeline, times| {
            let steady = changed(METRICS_API, 0);
            timeline.then_in(5, &[(CLUSTER, &[steady.clone(), changed(METRICS_API, times)]), ("b", &[steady])])
        }),
    );
    two.firing = vec![(4_140, vec![firing])];
    let mut foreign = Case::new("another API's condition flaps", "apiservice", flaps("v1beta1.custom.metrics.k8s.io"));
    foreign.firing = vec![(4_140, vec![])];
    let rollouts = (0..5).fold(Timeline::default(), |timeline, times| timeline.then(5, &[changed(METRICS_API, times)]));
    let mut few = Case::new("two restarts within an hour", "apiservice", rollouts.then(50, &[changed(METRICS_API, 4)]));
    few.firing = (1..75).step_by(3).map(|minute| (minute * 60, vec![])).collect();
    vec![flapping, two, foreign, few]
}

fn of_known_issues() -> Vec<Case> {
    let rule = rules::alert("MetricsServerKnownIssue", "info", None);
    let issue = "logs_kubelet_timeout";
    let labels = [("step", "logs"), ("cause", "kubelet_timeout"), ("issue", issue)];
    let seen = found(first(Step::Timeout), Impact::Outage).with(
        "metrics_server_doctor_known_issue_detected",
        &[("issue", issue)],
        1.0,
    );
    let upstream = rules::alert("MetricsServerTimeout", "critical", None);
    let firing = section_alert(&upstream, CLUSTER, first(Step::Timeout));
    let mut explained = Case::new(
        "known issue that the verdict explains",
        "known_issues",
        Timeline::default()
            .then(BEFORE, &[well(), well()])
            .then(20, &[page(&seen), page(&seen)])
            .then(10, &[well(), well()]),
    );
    let info = alert(&rule, CLUSTER, &labels);
    explained.firing = vec![
        (BEGIN + 870, vec![firing.clone()]),
        (BEGIN + 900, vec![firing.clone(), info.clone()]),
        (BEGIN + 1_200 + 60, vec![firing]),
        (BEGIN + 1_200 + 570, vec![]),
    ];
    let mut told = said::told(&rule, &labels, "0");
    told.insert("runbook_url".to_owned(), "docs/runbooks/logs.md#kubelet_timeout".to_owned());
    explained.annotations.push((BEGIN + 900, info.clone(), told));
    let own = found(Cause::KubeletTimeout.entry(), Impact::Partial).with(
        "metrics_server_doctor_known_issue_detected",
        &[("issue", issue)],
        1.0,
    );
    let mut alone =
        Case::new("known issue with an alert of its own", "known_issues", Timeline::default().then(40, &[page(&own)]));
    let warning = rules::alert("MetricsServerLogsErrors", "warning", None);
    alone.firing = vec![(2_370, vec![section_alert(&warning, CLUSTER, Cause::KubeletTimeout.entry())])];
    let mut clusters = Case::new(
        "known issue in one cluster of two",
        "known_issues",
        Timeline::default().then_in(
            40,
            &[
                (
                    CLUSTER,
                    &[page(&healthy().with("metrics_server_doctor_known_issue_detected", &[("issue", issue)], 1.0))],
                ),
                ("b", &[well()]),
            ],
        ),
    );
    clusters.firing = vec![(2_370, vec![info])];
    vec![
        explained,
        alone,
        clusters,
        silent(
            "no known issue looked for",
            "known_issues",
            &[page(&healthy().without("metrics_server_doctor_known_issue_detected"))],
        ),
    ]
}

/// The cases of every file; those that mutations are tried with.
pub(crate) fn of_rules() -> Vec<Case> {
    let mut cases: Vec<Case> = SECTIONS.iter().flat_map(|(step, _)| of_section(*step)).collect();
    cases.extend(
        [
            of_installed(),
            of_apiservice(),
            hpa::cases(),
            of_known_issues(),
            doctor::cases(),
            pipeline::cases(),
            recording::cases(),
        ]
        .into_iter()
        .flatten(),
    );
    cases
}

/// Symptoms, by id.
pub(crate) fn symptoms() -> Vec<&'static str> {
    catalogue::all().iter().filter(|entry| entry.role == Role::Symptom).map(|entry| entry.id).collect()
}
