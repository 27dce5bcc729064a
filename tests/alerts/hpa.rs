//! Cases of the alert about autoscalers: each is told to those who own it, unless they want no alerts.

use metrics_server_doctor::{catalogue::Cause, check::Impact, guide::Step};

use crate::{
    cases::{BEFORE, BEGIN, alert, alert_of, fires, first, page, section_alert, silent, well},
    rules, said,
    scenes::{SERVICE, Series, found, healthy},
    timeline::{CLUSTER, Case, Firing, Timeline},
};

/// The labels of what is said about an autoscaler of namespace `shop`.
fn of_shop<'l>(hpa: &'l str, cause: &'l str) -> [(&'static str, &'l str); 3] {
    [("namespace", "shop"), ("horizontalpodautoscaler", hpa), ("cause", cause)]
}

/// The cases of the file.
pub(crate) fn cases() -> Vec<Case> {
    let entry = |cause: Cause| cause.entry();
    let warning = rules::alert("HPATargetsUnknown", "warning", None);
    let critical = rules::alert("HPATargetsUnknown", "critical", None);
    let unknown = |hpa: &str, cause: &str, series: Series| {
        series.with("metrics_server_doctor_hpa_unknown_cause", &of_shop(hpa, cause), 1.0)
    };
    let missing = found(entry(Cause::MissingRequest), Impact::Partial);
    let two = unknown("api", "missing_request", missing.clone());
    let blind = |hpa: &str| alert(&warning, CLUSTER, &of_shop(hpa, "missing_request"));
    let mut each = Case::new(
        "hpa: two autoscalers, two replicas",
        "hpa",
        Timeline::default().then(BEFORE, &[well(), well()]).then(20, &[page(&two), page(&two)]),
    );
    each.firing = vec![(BEGIN + 870, vec![]), (BEGIN + 900, vec![blind("api"), blind("web")])];

    // The symptom of an outage upstream is told by the step that fails.
    let outage = unknown("web", "metrics_api_down", found(first(Step::Timeout), Impact::Outage));
    let mut held_back =
        Case::new("hpa: blind for an outage upstream", "hpa", Timeline::default().then(40, &[page(&outage)]));
    let upstream = rules::alert("MetricsServerTimeout", "critical", None);
    held_back.firing = vec![(2_370, vec![section_alert(&upstream, CLUSTER, first(Step::Timeout))])];

    // A known autoscaler whose target went: no target reads <unknown>, and still it is a finding.
    let gone = found(entry(Cause::TargetNotFound), Impact::Partial).without("metrics_server_doctor_hpa_unknown_cause");
    let aggregated = alert(&warning, CLUSTER, &[("cause", "target_not_found")]);
    let mut without = fires(
        "hpa: a finding without unknown targets",
        &warning,
        &aggregated,
        &[page(&gone), page(&gone)],
        &[well(), well()],
    );
    let told = said::of_autoscaler(&warning, entry(Cause::TargetNotFound), None);
    without.annotations.push((BEGIN + warning.hold, aggregated, told));

    let down = found(entry(Cause::MetricsApiDown), Impact::Outage);
    let all_blind = section_alert(&critical, CLUSTER, entry(Cause::MetricsApiDown));
    // A cluster in which it hurts some says nothing about one in which it hurts all.
    let partly = found(entry(Cause::MetricsApiDown), Impact::Partial);
    let mut clusters = Case::new(
        "hpa: one cluster of two",
        "hpa",
        Timeline::default().then_in(40, &[(CLUSTER, &[page(&down)]), ("b", &[page(&partly)])]),
    );
    let elsewhere = alert(&warning, "b", &of_shop("web", "metrics_api_down"));
    clusters.firing = vec![(2_370, vec![all_blind.clone(), elsewhere])];
    let mut gone_elsewhere = Case::new(
        "hpa: unknown in one cluster, found in another",
        "hpa",
        Timeline::default().then_in(
            40,
            &[
                (CLUSTER, &[page(&unknown("web", "missing_request", healthy()))]),
                ("b", &[page(&missing.clone().without("metrics_server_doctor_hpa_unknown_cause"))]),
            ],
        ),
    );
    gone_elsewhere.firing = vec![(2_370, vec![alert(&warning, "b", &[("cause", "missing_request")])])];
    let mut mixed = Case::new(
        "hpa: an outage beside an autoscaler's own fault",
        "hpa",
        Timeline::default().then(
            40,
            &[page(&{
                let mut series = down.clone();
                series.0.extend(
                    missing
                        .0
                        .iter()
                        .filter(|((name, labels), _)| {
                            name == "metrics_server_doctor_hpa_unknown_cause"
                                || labels.get("cause").is_some_and(|cause| cause == "missing_request")
                        })
                        .map(|(key, value)| (key.clone(), *value)),
                );
                series
            })],
        ),
    );
    mixed.firing = vec![(2_370, vec![all_blind.clone(), blind("web")])];
    vec![
        opted_out(),
        without_honor_labels(),
        nameless(),
        foreign(),
        without_a_value(),
        two_causes(),
        namesake(false),
        namesake(true),
        each,
        held_back,
        without,
        clusters,
        gone_elsewhere,
        mixed,
        fires("hpa: all blind", &critical, &all_blind, &[page(&down), page(&down)], &[well(), well()]),
        fires("hpa: one blind", &warning, &blind("web"), &[page(&missing), page(&missing)], &[well(), well()]),
        silent("hpa: an unknown target that is no fault", "hpa", &[page(&unknown("web", "scaled_to_zero", healthy()))]),
    ]
}

/// The alert of an autoscaler, or of all that have no unknown target.
fn blind_alert(hpa: Option<&str>, cause: Cause) -> Firing {
    let mut labels = vec![("cause", cause.id())];
    labels.extend(hpa.into_iter().flat_map(|hpa| [("namespace", "shop"), ("horizontalpodautoscaler", hpa)]));
    alert(&rules::alert("HPATargetsUnknown", "warning", None), CLUSTER, &labels)
}

/// A finding without an unknown target, while another exporter has autoscalers that are blind through the same cause.
fn foreign() -> Case {
    let series =
        found(Cause::MissingRequest.entry(), Impact::Partial).without("metrics_server_doctor_hpa_unknown_cause");
    let mut case =
        Case::new("hpa: another exporter's blind autoscalers", "hpa", Timeline::default().then(40, &[page(&series)]));
    case.firing = vec![(2_370, vec![blind_alert(None, Cause::MissingRequest)])];
    case
}

/// One autoscaler is blind through a fault, and another is only scaled to zero.
fn without_a_value() -> Case {
    let series = found(Cause::MissingRequest.entry(), Impact::Partial).with(
        "metrics_server_doctor_hpa_unknown_cause",
        &[("namespace", "shop"), ("horizontalpodautoscaler", "night"), ("cause", "scaled_to_zero")],
        1.0,
    );
    let mut case =
        Case::new("hpa: one blind, one scaled to zero", "hpa", Timeline::default().then(40, &[page(&series)]));
    case.firing = vec![(2_370, vec![blind_alert(Some("web"), Cause::MissingRequest)])];
    case
}

/// One autoscaler is blind, and another has a fault of its own without an unknown target.
fn two_causes() -> Case {
    let labels = [("step", "hpa"), ("cause", Cause::TargetNotFound.id())];
    let series =
        found(Cause::MissingRequest.entry(), Impact::Partial).with("metrics_server_doctor_findings", &labels, 1.0);
    let mut case = Case::new("hpa: two causes", "hpa", Timeline::default().then(40, &[page(&series)]));
    case.firing =
        vec![(2_370, vec![blind_alert(Some("web"), Cause::MissingRequest), blind_alert(None, Cause::TargetNotFound)])];
    case
}

/// The cause `pods_not_ready` is one of two steps: of metrics-server's pods, through which all autoscalers are blind, and
/// of an autoscaler's own pods, which is told beside the other where it is found.
fn namesake(own_found: bool) -> Case {
    let (server, own) = (Cause::PodsNotReady.entry(), Cause::HpaPodsNotReady);
    assert_eq!(server.id, own.id());
    let labels = [("step", own.entry().step.id()), ("cause", own.id())];
    let series = found(server, Impact::Outage)
        .with(
            "metrics_server_doctor_hpa_unknown_cause",
            &[("namespace", "shop"), ("horizontalpodautoscaler", "web"), ("cause", own.id())],
            1.0,
        )
        .with("metrics_server_doctor_findings", &labels, f64::from(own_found));
    let mut case = Case::new(
        if own_found { "hpa: pods not ready, two causes" } else { "hpa: pods not ready, metrics-server's" },
        "hpa",
        Timeline::default().then(40, &[page(&series)]),
    );
    let critical = rules::alert(alert_of(server.step), "critical", None);
    let mut firing = vec![section_alert(&critical, CLUSTER, server)];
    firing.extend(own_found.then(|| blind_alert(Some("web"), own)));
    case.firing = vec![(2_370, firing)];
    case
}

const ALERTS_OFF: &str = "metrics_server_doctor_hpa_alerts_off";

/// Four autoscalers are blind through one cause, and the owners of one want no alerts; elsewhere one of the same name does.
fn opted_out() -> Case {
    let mut series = found(Cause::MissingRequest.entry(), Impact::Partial);
    let blind = [("shop", "api"), ("office", "web"), ("office", "api")];
    for (namespace, name) in blind {
        let labels = [("namespace", namespace), ("horizontalpodautoscaler", name), ("cause", "missing_request")];
        series.set("metrics_server_doctor_hpa_unknown_cause", &labels, 1.0);
    }
    let off = [("namespace", "shop"), ("horizontalpodautoscaler", "web")];
    let with_off = page(&series.clone().with(ALERTS_OFF, &off, 1.0));
    let mut case = Case::new(
        "hpa: alerts are off for one autoscaler",
        "hpa",
        Timeline::default().then_in(40, &[(CLUSTER, &[with_off.clone(), with_off]), ("b", &[page(&series)])]),
    );
    let rule = rules::alert("HPATargetsUnknown", "warning", None);
    let told = |cluster: &str, (namespace, name): (&str, &str)| {
        let labels = [("namespace", namespace), ("horizontalpodautoscaler", name), ("cause", "missing_request")];
        alert(&rule, cluster, &labels)
    };
    let own = blind.map(|object| told(CLUSTER, object));
    let elsewhere = blind.into_iter().chain([("shop", "web")]).map(|object| told("b", object));
    case.firing = vec![(2_370, own.into_iter().chain(elsewhere).collect())];
    case
}

/// What the page says of namespaces arrives as `exported_namespace`: the alert has it under both names.
fn without_honor_labels() -> Case {
    let mut series = found(Cause::MissingRequest.entry(), Impact::Partial);
    for (namespace, name) in [("office", "web"), ("office", "quiet")] {
        let labels = [("namespace", namespace), ("horizontalpodautoscaler", name), ("cause", "missing_request")];
        series.set("metrics_server_doctor_hpa_unknown_cause", &labels, 1.0);
    }
    series.set(ALERTS_OFF, &[("namespace", "office"), ("horizontalpodautoscaler", "quiet")], 1.0);
    let outage = page(&found(Cause::MetricsApiDown.entry(), Impact::Outage));
    let mut case = Case::new(
        "hpa: without honor_labels",
        "hpa",
        Timeline::default().then_in(40, &[(CLUSTER, &[page(&series), page(&series)]), ("b", &[outage])]),
    );
    case.honored = false;
    let rule = rules::alert("HPATargetsUnknown", "warning", None);
    let told = |namespace: &str| {
        let labels = [("namespace", namespace), ("exported_namespace", namespace)];
        alert(
            &rule,
            CLUSTER,
            &[&labels[..], &[("horizontalpodautoscaler", "web"), ("cause", "missing_request")]].concat(),
        )
    };
    let critical = rules::alert("HPATargetsUnknown", "critical", None);
    let all = section_alert(&critical, "b", Cause::MetricsApiDown.entry());
    case.firing = vec![(2_370, vec![told("shop"), told("office"), all])];
    case
}

/// All autoscalers are blind, and no Service is seen behind the API in one cluster of two.
fn nameless() -> Case {
    let down = found(Cause::MetricsApiDown.entry(), Impact::Outage);
    let service = [("namespace", "kube-system"), ("service", "metrics-server")];
    let mut case = Case::new(
        "hpa: no Service is seen",
        "hpa",
        Timeline::default().then_in(
            40,
            &[
                (CLUSTER, &[page(&down.clone().without(SERVICE))]),
                ("b", &[page(&down)]),
                ("c", &[page(&healthy().with(SERVICE, &service, 9.0))]),
            ],
        ),
    );
    let critical = rules::alert("HPATargetsUnknown", "critical", None);
    let unnamed = alert(&critical, CLUSTER, &[("step", "hpa"), ("cause", "metrics_api_down")]);
    case.firing = vec![(2_370, vec![unnamed, section_alert(&critical, "b", Cause::MetricsApiDown.entry())])];
    case
}
