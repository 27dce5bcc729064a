//! The recorded series.

use std::collections::BTreeMap;

use metrics_server_doctor::{check::Impact, steps::Step, verdict::DECISIVE};

use crate::{
    cases::{BEFORE, first, page, well},
    scenes::{Series, found, healthy},
    timeline::{CLUSTER, Case, Timeline},
};

const CHECKS: &str = "cluster:metrics_server_doctor_checks:count";
const NODES: &str = "cluster:metrics_api_nodes_sampled:ratio";
const TARGETS: &str = "cluster:hpa_targets_known:ratio";
const BLIND: &str = "cluster:hpa_blind:count";

/// A recorded series of a cluster.
fn of(name: &str, cluster: &str, value: f64) -> (String, f64) {
    (format!("{name}{{cluster={cluster:?}}}"), value)
}

/// How many of the checks that decide are in each state.
fn checks(page: &Series, cluster: &str) -> Vec<(String, f64)> {
    let mut counts: BTreeMap<&str, f64> = BTreeMap::new();
    for ((name, labels), value) in &page.0 {
        let decides = labels.get("check").is_some_and(|check| DECISIVE.iter().any(|(_, known)| known == check));
        if name == "metrics_server_doctor_check_status" && decides && *value > 0.0 {
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
    vec![two_clusters(), shares()]
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
            "cluster:metrics_server_doctor_verdict:max == 1",
            vec![
                (verdict(name, r#"cluster="a","#, "none", "healthy"), 1.0),
                (verdict(name, r#"cluster="b","#, "timeout", first(Step::Timeout).id), 1.0),
            ],
        ),
        (
            at,
            "cluster:metrics_server_doctor_findings:max > 0",
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
            "fleet:metrics_server_doctor_verdict:count",
            vec![
                (verdict("fleet:metrics_server_doctor_verdict:count", "", "none", "healthy"), 1.0),
                (verdict("fleet:metrics_server_doctor_verdict:count", "", "timeout", first(Step::Timeout).id), 1.0),
            ],
        ),
        (at, CHECKS, ["a", "b"].iter().flat_map(|cluster| checks(&healthy, cluster)).collect()),
        (at, NODES, vec![of(NODES, "a", 1.0), of(NODES, "b", 1.0)]),
        (at, TARGETS, vec![of(TARGETS, "a", 1.0), of(TARGETS, "b", 1.0)]),
        (at, BLIND, vec![of(BLIND, "a", 0.0), of(BLIND, "b", 0.0)]),
    ];
    case
}

fn shares() -> Case {
    let healthy = healthy();
    let at = 570;
    let mut hurt = Case::new(
        "recorded shares",
        "recording",
        Timeline::default().then(
            BEFORE,
            &[page(
                &healthy
                    .clone()
                    .with("metrics_api_nodes_expected", &[], 4.0)
                    .with("metrics_api_nodes_without_sample", &[], 1.0)
                    .with("hpa_targets", &[("namespace", "shop"), ("hpa", "a")], 6.0)
                    .with("hpa_unknown_targets", &[("namespace", "shop"), ("hpa", "a")], 4.0),
            )],
        ),
    );
    let all = sum(&healthy, "hpa_targets") + 6.0;
    hurt.values = vec![
        (at, NODES, vec![of(NODES, "a", 0.75)]),
        (at, TARGETS, vec![of(TARGETS, "a", 1.0 - 4.0 / all)]),
        (at, BLIND, vec![of(BLIND, "a", 1.0)]),
    ];
    hurt
}
