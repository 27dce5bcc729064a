//! The recorded series.

use std::collections::BTreeMap;

use metrics_server_doctor::{check::Impact, guide::Step, verdict::REQUIRED};

use crate::{
    cases::{BEFORE, first, page, well},
    scenes::{Series, found, healthy},
    timeline::{CLUSTER, Case, Timeline},
};

const CHECKS: &str = "cluster:metrics_server_doctor_checks:count";
const NODES: &str = "cluster:metrics_server_doctor_metrics_api_nodes_sampled:ratio";
const TARGETS: &str = "cluster:metrics_server_doctor_hpa_targets_known:ratio";
/// What the share of known targets is of.
const NAMESPACE_TARGETS: &str = "metrics_server_doctor_namespace_hpa_targets";
const BLIND: &str = "cluster:metrics_server_doctor_hpa_blind:count";

/// A recorded series of a cluster.
fn of(name: &str, cluster: &str, value: f64) -> (String, f64) {
    (format!("{name}{{cluster={cluster:?}}}"), value)
}

/// How many of the checks that decide or could not be looked at are in each state.
fn checks(page: &Series, cluster: &str) -> Vec<(String, f64)> {
    let mut counts: BTreeMap<&str, f64> = BTreeMap::new();
    for ((name, labels), value) in &page.0 {
        let decides = labels.get("check").is_some_and(|check| REQUIRED.iter().any(|(_, known)| known == check));
        let unknown = labels.get("status").is_some_and(|status| status == "unknown");
        if name == "metrics_server_doctor_check_status" && (decides || unknown) && *value > 0.0 {
            *counts.entry(&labels["status"]).or_default() += 1.0;
        }
    }
    let entry = |(status, count)| (format!("{CHECKS}{{cluster={cluster:?},status={status:?}}}"), count);
    counts.into_iter().map(entry).collect()
}

fn sum(series: &Series, name: &str) -> f64 {
    series.only(|known| known == name).0.values().sum()
}

/// The cases of the recorded series.
pub(crate) fn cases() -> Vec<Case> {
    vec![two_clusters(), shares(true), shares(false), federated(), objective(true), objective(false)]
}

/// The service level: in one cluster all autoscalers of one namespace are blind and those of another never, in the next none is.
fn objective(honored: bool) -> Case {
    const BLIND_SECONDS: &str = "metrics_server_doctor_hpa_blind_seconds_total";
    const WATCHED_SECONDS: &str = "metrics_server_doctor_hpa_watched_seconds_total";
    // A counter that is NaN here goes up by one each second.
    let counting = |counters: &[(&str, &str, f64)]| {
        let set = |page: Series, (name, namespace, value): &(&str, &str, f64)| {
            page.with(name, &[("namespace", namespace)], *value)
        };
        page(&counters.iter().fold(healthy(), set))
    };
    let half_blind = counting(&[
        (WATCHED_SECONDS, "shop", f64::NAN),
        (BLIND_SECONDS, "shop", f64::NAN),
        (WATCHED_SECONDS, "office", f64::NAN),
        (BLIND_SECONDS, "office", 0.0),
    ]);
    let sees_nothing = counting(&[(WATCHED_SECONDS, "shop", 0.0), (BLIND_SECONDS, "shop", 0.0)]);
    let seeing = counting(&[(WATCHED_SECONDS, "shop", f64::NAN), (BLIND_SECONDS, "shop", 0.0)]);
    let mut case = Case::new(
        if honored { "service level" } else { "service level, without honor_labels" },
        "recording",
        Timeline::default().then_in(180, &[(CLUSTER, &[half_blind, sees_nothing]), ("b", &[seeing])]),
    );
    case.honored = honored;
    let each = |name: &str, values: [f64; 3]| {
        let places = [("a", "shop"), ("a", "office"), ("b", "shop")];
        let series = places.into_iter().zip(values).map(|((cluster, namespace), value)| {
            (format!(r#"{name}{{cluster="{cluster}",namespace="{namespace}"}}"#), value)
        });
        (179 * 60, name.to_owned(), series.collect())
    };
    let ratio = "cluster:metrics_server_doctor_hpa_with_metrics:ratio30d";
    case.values = vec![
        each("namespace:metrics_server_doctor_hpa_watched_seconds:increase1h", [3_600.0; 3]),
        each("namespace:metrics_server_doctor_hpa_blind_seconds:increase1h", [3_600.0, 0.0, 0.0]),
        each("namespace:metrics_server_doctor_hpa_with_metrics:ratio30d", [0.0, 1.0, 1.0]),
        (179 * 60, ratio.to_owned(), vec![of(ratio, "a", 0.5), of(ratio, "b", 1.0)]),
    ];
    case
}

/// What a Prometheus over a fleet has: recorded series alone, each twice, from the two servers of each cluster.
fn federated() -> Case {
    let mut case = Case::new("recorded series from elsewhere", "recording", Timeline::default().then(BEFORE, &[]));
    let timeout = ("timeout", first(Step::Timeout).id);
    let of_clusters = [("a", timeout), ("b", timeout), ("c", ("none", "healthy"))];
    for (cluster, (step, cause)) in of_clusters {
        for server in ["one", "two"] {
            let name = "cluster:metrics_server_doctor_verdict:max";
            let labels = |step: &str, cause: &str| {
                format!(r#"{name}{{cluster="{cluster}",step="{step}",cause="{cause}",prometheus="{server}"}}"#)
            };
            case.federated.push((labels(step, cause), 1.0));
            case.federated.push((labels("none", "undetermined"), 0.0));
        }
    }
    let counted = |(step, cause): (&str, &str), count: f64| {
        (format!(r#"fleet:metrics_server_doctor_verdict:count{{step="{step}",cause="{cause}"}}"#), count)
    };
    let expected = vec![counted(timeout, 2.0), counted(("none", "healthy"), 1.0)];
    case.values = vec![(570, "fleet:metrics_server_doctor_verdict:count".to_owned(), expected)];
    case
}

fn two_clusters() -> Case {
    let mut case = Case::new(
        "recorded series",
        "recording",
        Timeline::default().then_in(
            BEFORE,
            &[(CLUSTER, &[well(), well()]), ("b", &[page(&found(first(Step::Timeout), Impact::Outage))])],
        ),
    );
    let healthy = healthy();
    let verdict = |name: &str, cluster: &str, step: &str, cause: &str| {
        format!(r#"{name}{{{cluster}step="{step}",cause="{cause}"}}"#)
    };
    let at = 570;
    let name = "cluster:metrics_server_doctor_verdict:max";
    case.values = vec![
        (
            at,
            "cluster:metrics_server_doctor_verdict:max == 1".to_owned(),
            vec![
                (verdict(name, r#"cluster="a","#, "none", "healthy"), 1.0),
                (verdict(name, r#"cluster="b","#, "timeout", first(Step::Timeout).id), 1.0),
            ],
        ),
        (
            at,
            "cluster:metrics_server_doctor_findings:max > 0".to_owned(),
            vec![(
                verdict(
                    "cluster:metrics_server_doctor_findings:max",
                    r#"cluster="b","#,
                    "timeout",
                    first(Step::Timeout).id,
                ),
                1.0,
            )],
        ),
        (
            at,
            "fleet:metrics_server_doctor_verdict:count".to_owned(),
            vec![
                (verdict("fleet:metrics_server_doctor_verdict:count", "", "none", "healthy"), 1.0),
                (verdict("fleet:metrics_server_doctor_verdict:count", "", "timeout", first(Step::Timeout).id), 1.0),
            ],
        ),
        (at, CHECKS.to_owned(), ["a", "b"].iter().flat_map(|cluster| checks(&healthy, cluster)).collect()),
        (at, NODES.to_owned(), vec![of(NODES, "a", 1.0), of(NODES, "b", 1.0)]),
        (at, TARGETS.to_owned(), vec![of(TARGETS, "a", 1.0), of(TARGETS, "b", 1.0)]),
        (at, BLIND.to_owned(), vec![of(BLIND, "a", 0.0), of(BLIND, "b", 0.0)]),
    ];
    case
}

fn shares(honored: bool) -> Case {
    let healthy = healthy();
    let at = 570;
    let mut hurt = Case::new(
        if honored { "recorded shares" } else { "recorded shares, without honor_labels" },
        "recording",
        Timeline::default().then(
            BEFORE,
            &[page(
                &healthy
                    .clone()
                    .with("metrics_server_doctor_metrics_api_nodes_expected", &[], 4.0)
                    .with("metrics_server_doctor_metrics_api_nodes_without_sample", &[], 1.0)
                    .with(NAMESPACE_TARGETS, &[("namespace", "shop")], 8.0)
                    .with("hpa_unknown_targets", &[("namespace", "shop"), ("horizontalpodautoscaler", "a")], 4.0)
                    // The same name in another namespace, and another name in the same.
                    .with(NAMESPACE_TARGETS, &[("namespace", "office")], 3.0)
                    .with("hpa_unknown_targets", &[("namespace", "office"), ("horizontalpodautoscaler", "a")], 2.0)
                    .with("hpa_unknown_targets", &[("namespace", "shop"), ("horizontalpodautoscaler", "b")], 1.0)
                    // Ids of checks are unique within a step only.
                    .with(
                        "metrics_server_doctor_check_status",
                        &[("step", "retrieve"), ("check", "endpoints"), ("status", "pass")],
                        1.0,
                    ),
            )],
        ),
    );
    let mut other_namespaces = healthy.clone();
    other_namespaces.0.retain(|(_, labels), _| labels.get("namespace").is_none_or(|namespace| namespace != "shop"));
    let all = sum(&other_namespaces, NAMESPACE_TARGETS) + 11.0;
    hurt.honored = honored;
    let passing = |page: &Series| {
        let counts = checks(page, CLUSTER);
        counts.into_iter().map(|(labels, count)| {
            let more = if labels.contains("status=\"pass\"") { 1.0 } else { 0.0 };
            (labels, count + more)
        })
    };
    hurt.values = vec![
        (at, CHECKS.to_owned(), passing(&healthy).collect()),
        (at, NODES.to_owned(), vec![of(NODES, "a", 0.75)]),
        (at, TARGETS.to_owned(), vec![of(TARGETS, "a", 1.0 - 7.0 / all)]),
        (at, BLIND.to_owned(), vec![of(BLIND, "a", 3.0)]),
    ];
    hurt
}
