//! The alerts about the doctor itself.

use metrics_server_doctor::{
    catalogue::Cause,
    check::Finding,
    snapshot::ObjectReference,
    verdict::{Judgement, REQUIRED, Undetermined, Verdict},
};

use crate::{
    cases::{BEFORE, BEGIN, alert, fires, page, silent, well},
    rules::{self, Rule},
    said,
    scenes::{METRICS_API, OBSERVED, Series, healthy, judged},
    timeline::{CLUSTER, Case, Scrape, Timeline},
};

/// A page whose verdict is open.
pub(crate) fn undetermined() -> Series {
    let finding = Finding::outage(Cause::ApiServiceUnavailable, ObjectReference::default(), "open")
        .candidates([Cause::NothingListens, Cause::PodsNotReady]);
    judged(Judgement {
        verdict: Verdict::Undetermined(Undetermined {
            broken: true,
            candidates: finding.candidates.clone(),
            ..Undetermined::default()
        }),
        missing: Vec::new(),
        findings: vec![finding],
        held_back: Vec::new(),
    })
}

/// The same with an unavailable `APIService`.
pub(crate) fn unavailable(series: Series) -> Series {
    series.with("apiservice_available", &[("apiservice", METRICS_API)], 0.0)
}

fn refused(series: Series, verb: &str, resource: &str) -> Series {
    series.with("metrics_server_doctor_permission_missing", &[("verb", verb), ("resource", resource)], 1.0)
}

/// Three looks at two resources.
fn refused_three(series: Series) -> Series {
    refused(refused(refused(series, "list", "configmaps"), "watch", "configmaps"), "list", "horizontalpodautoscalers")
}

fn unknown(series: Series, step: &str, check: &str) -> Series {
    let status = |status| [("step", step), ("check", check), ("status", status)];
    let series = series.with("metrics_server_doctor_check_status", &status("unknown"), 1.0);
    series.with("metrics_server_doctor_check_status", &status("pass"), 0.0)
}

fn blind(step: &str, check: &str) -> Series {
    unknown(refused_three(undetermined()), step, check)
}

/// The cases of the doctor's own alerts.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = of_absence();
    let simple = |name: &str, alert_name: &str, severity: &str, fault: &Series, value: Option<&str>| {
        let rule = rules::alert(alert_name, severity, None);
        let firing = alert(&rule, CLUSTER, &[]);
        let mut case = fires(name, &rule, &firing, &[page(fault), page(fault)], &[well(), well()]);
        if let Some(value) = value {
            case.annotations.push((BEGIN + rule.hold, firing, said::told(&rule, &[], value)));
        }
        case
    };
    for (step, check) in REQUIRED {
        cases.push(simple(
            "rights revoked",
            "MetricsServerDoctorBlind",
            "warning",
            &blind(step.id(), check),
            Some("3"),
        ));
    }
    // One check of a step that decides, and one of another step with the id of a check that decides: they are unique within
    // a step only.
    let some = unknown(unknown(refused_three(healthy()), "apiservice", "ca_bundle"), "logs", "endpoints");
    cases.push(simple("a right is missing that decides nothing", "MetricsServerDoctorBlind", "info", &some, Some("3")));
    let open = "MetricsServerDoctorUndetermined";
    cases.push(simple(
        "undetermined and unavailable",
        open,
        "critical",
        &unavailable(undetermined()).without("metrics_server_doctor_metrics_api_up"),
        Some("1"),
    ));
    let fail = |series: Series| series.with("metrics_server_doctor_metrics_api_up", &[("resource", "pods")], 0.0);
    cases.push(simple("undetermined and no answer", open, "critical", &fail(undetermined()), Some("1")));
    cases.push(simple("undetermined", open, "warning", &undetermined(), Some("1")));
    let besides = unavailable(undetermined()).with(
        "apiservice_available",
        &[("apiservice", "v1beta1.custom.metrics.k8s.io")],
        1.0,
    );
    cases.push(simple(
        "undetermined and unavailable beside another API",
        open,
        "critical",
        &besides.without("metrics_server_doctor_metrics_api_up"),
        None,
    ));
    let other = undetermined().with("apiservice_available", &[("apiservice", "v1beta1.custom.metrics.k8s.io")], 0.0);
    cases.push(simple(
        "undetermined beside another API's outage",
        open,
        "warning",
        &other.without("metrics_server_doctor_metrics_api_up"),
        None,
    ));
    let newer = unavailable(undetermined()).with("apiservice_available", &[("apiservice", "v1.metrics.k8s.io")], 1.0);
    cases.push(simple("undetermined with the newer version available", open, "warning", &newer, None));
    cases.extend([stale(), several_clusters(&some)]);
    cases.push(silent("a healthy page", "doctor", &[well()]));
    cases.push(silent("an outage whose verdict is clear", "doctor", &[page(&unavailable(healthy()))]));
    cases.push(silent("one replica of two without answer", "doctor", &[well(), Scrape::Failed]));
    cases.push(silent(
        "one replica of two that stands still",
        "doctor",
        &[well(), page(&healthy().with(OBSERVED, &[], 600.0))],
    ));
    cases
}

/// The page no longer moves.
fn stale() -> Case {
    let rule = rules::alert("MetricsServerDoctorStale", "warning", None);
    let mut stale = Case::new(
        "stale",
        "doctor",
        Timeline::default()
            .then(BEFORE, &[well(), well()])
            .then(20, &[page(&healthy().with(OBSERVED, &[], 600.0)), page(&healthy().with(OBSERVED, &[], 600.0))])
            .then(5, &[well(), well()]),
    );
    let firing = alert(&rule, CLUSTER, &[]);
    // 120 seconds after the last look it is old, and five minutes later it fires.
    stale.firing = vec![
        (600 + 180 + 240, vec![]),
        (600 + 180 + 300, vec![firing.clone()]),
        (1_740, vec![firing.clone()]),
        (1_800, vec![]),
    ];
    let mut told = said::told(&rule, &[], "");
    told.insert("description".to_owned(), "The newest look is 8m 0s old: all other series of the doctor tell of the past. Either it hangs, or its clock and that of Prometheus differ.".to_owned());
    stale.annotations.push((600 + 480, firing, told));
    stale
}

/// Blind and undetermined; `some` is a page of what lacks a right that decides nothing.
fn several_clusters(some: &Series) -> Case {
    // In two clusters, what one lacks is nothing to the other.
    let mut clusters = Case::new(
        "blind and undetermined in two clusters",
        "doctor",
        Timeline::default().then_in(
            40,
            &[
                (CLUSTER, &[page(&blind("apiservice", "available"))]),
                ("b", &[page(&undetermined())]),
                ("c", &[page(&unavailable(undetermined()))]),
                ("d", &[page(some)]),
                ("e", &[page(&unavailable(healthy()))]),
            ],
        ),
    );
    let on = |name: &str, severity: &str, cluster: &str| alert(&rules::alert(name, severity, None), cluster, &[]);
    clusters.firing = vec![(
        2_370,
        vec![
            on("MetricsServerDoctorBlind", "warning", CLUSTER),
            on("MetricsServerDoctorUndetermined", "warning", "b"),
            on("MetricsServerDoctorUndetermined", "critical", "c"),
            on("MetricsServerDoctorBlind", "info", "d"),
        ],
    )];
    clusters
}

fn of_absence() -> Vec<Case> {
    let gone = rules::alert("MetricsServerDoctorDown", "warning", Some("absent"));
    let down = rules::alert("MetricsServerDoctorDown", "warning", Some("unreachable"));
    let told = |rule: &Rule, description: &str| {
        let mut told = said::told(rule, &[], "");
        told.insert("description".to_owned(), description.to_owned());
        told
    };
    let missing = alert(&gone, CLUSTER, &[]);
    let mut left = fires("no longer a target", &gone, &missing, &[Scrape::Unknown], &[well()]);
    left.annotations.push((BEGIN + gone.hold, missing, told(&gone, "Cluster a: no ServiceMonitor, PodMonitor or scrape configuration leads to the doctor, or it was removed. Nobody watches metrics-server.")));
    let mut never = Case::new("never a target", "doctor", Timeline::default().then(40, &[]));
    let nowhere = alert(&gone, "", &[]);
    never.firing = vec![(870, vec![]), (900, vec![nowhere.clone()]), (2_370, vec![nowhere.clone()])];
    let mut of_nowhere = told(
        &gone,
        "no ServiceMonitor, PodMonitor or scrape configuration leads to the doctor, or it was removed. Nobody watches metrics-server.",
    );
    let dashboard = of_nowhere.get_mut("dashboard_url").expect("a link");
    *dashboard = dashboard.replace("var-cluster=a", "var-cluster=");
    never.annotations.push((900, nowhere, of_nowhere));
    let mut one = Case::new(
        "no longer a target in one cluster of two",
        "doctor",
        Timeline::default()
            .then_in(BEFORE, &[(CLUSTER, &[well()]), ("b", &[well()])])
            .then_in(30, &[(CLUSTER, &[well()]), ("b", &[Scrape::Unknown])]),
    );
    one.firing = vec![(BEGIN + 870, vec![]), (BEGIN + 900, vec![alert(&gone, "b", &[])])];
    let silence = alert(&down, CLUSTER, &[]);
    let mut dead = fires("no answer", &down, &silence, &[Scrape::Failed, Scrape::Failed], &[well(), well()]);
    dead.annotations.push((
        BEGIN + down.hold,
        silence,
        told(&down, "Cluster a: every scrape of the doctor fails. Nobody watches metrics-server."),
    ));
    vec![left, never, one, dead]
}
