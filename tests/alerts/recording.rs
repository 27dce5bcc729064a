//! The recorded series.

use metrics_server_doctor::{check::Impact, steps::Step};

use crate::{
    cases::{BEFORE, first, page, well},
    scenes::{Series, found, healthy},
    timeline::{CLUSTER, Case, Timeline},
};

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
        (
            at,
            r#"sum by (cluster) (cluster:metrics_server_doctor_checks:count)"#,
            ["a", "b"]
                .map(|cluster| {
                    (format!(r#"{{cluster="{cluster}"}}"#), sum(&healthy, "metrics_server_doctor_check_status"))
                })
                .to_vec(),
        ),
        (
            at,
            r#"cluster:metrics_api_nodes_sampled:ratio{cluster="a"}"#,
            vec![(r#"cluster:metrics_api_nodes_sampled:ratio{cluster="a"}"#.to_owned(), 1.0)],
        ),
        (
            at,
            r#"cluster:hpa_targets_known:ratio{cluster="a"}"#,
            vec![(r#"cluster:hpa_targets_known:ratio{cluster="a"}"#.to_owned(), 1.0)],
        ),
        (
            at,
            r#"cluster:hpa_blind:count{cluster="a"}"#,
            vec![(r#"cluster:hpa_blind:count{cluster="a"}"#.to_owned(), 0.0)],
        ),
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
        (
            at,
            r#"cluster:metrics_api_nodes_sampled:ratio{cluster="a"}"#,
            vec![(r#"cluster:metrics_api_nodes_sampled:ratio{cluster="a"}"#.to_owned(), 0.75)],
        ),
        (
            at,
            r#"cluster:hpa_targets_known:ratio{cluster="a"}"#,
            vec![(r#"cluster:hpa_targets_known:ratio{cluster="a"}"#.to_owned(), 1.0 - 4.0 / all)],
        ),
        (
            at,
            r#"cluster:hpa_blind:count{cluster="a"}"#,
            vec![(r#"cluster:hpa_blind:count{cluster="a"}"#.to_owned(), 1.0)],
        ),
    ];
    hurt
}
