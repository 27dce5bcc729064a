//! The page as a whole.

mod series;

use std::collections::BTreeSet;

use super::*;
use crate::{
    check::Status,
    facts::Facts,
    guide::Step,
    report::Report,
    snapshot::{
        Collection, KubernetesVersion, NotSeen, Observed, Retrieval, Snapshot, Source,
        retrieval::{ErrorClass, Outcome},
    },
    testing::{healthy, without_service},
};

fn page(snapshot: &Snapshot) -> Page {
    let facts = Facts::new(snapshot);
    Page::of(&View::new(&facts, &Report::of(&facts)))
}

#[test]
fn the_four_gauges_of_a_healthy_cluster() {
    let page = page(&healthy());
    assert_eq!(page.get("apiservice_available", &["v1beta1.metrics.k8s.io"]), Some(1.0));
    assert_eq!(page.get("endpoints_count", &["kube-system", "metrics-server"]), Some(1.0));
    for hop in ["container_port", "target_port", "service_port", "endpoint_port"] {
        assert_eq!(page.get("port_mismatch", &["kube-system", "metrics-server", hop]), Some(0.0), "{hop}");
    }
    assert_eq!(page.get("hpa_unknown_targets", &["shop", "web"]), Some(0.0));
    assert_eq!(page.get("metrics_server_doctor_verdict", &["none", "healthy"]), Some(1.0));
}

#[test]
fn a_missing_api_service_is_unavailable_and_an_unseen_one_absent() {
    let absent = Snapshot { api_services: Collection::complete([]), ..healthy() };
    assert_eq!(page(&absent).get("apiservice_available", &["v1beta1.metrics.k8s.io"]), Some(0.0));
    let unseen = Snapshot { api_services: Collection::unseen(NotSeen::NotSynced), ..healthy() };
    assert_eq!(page(&unseen).len_of("apiservice_available"), 0);
}

#[test]
fn what_was_not_seen_has_no_series_and_every_check_has_four_states() {
    let page = page(&Snapshot::default());
    for family in [
        "apiservice_available",
        "endpoints_count",
        "port_mismatch",
        "hpa_unknown_targets",
        "metrics_server_doctor_metrics_api_up",
    ] {
        assert_eq!(page.len_of(family), 0, "{family}");
    }
    let checks: usize = Step::ALL.into_iter().map(|step| crate::steps::checks(step).len()).sum();
    assert_eq!(page.len_of("metrics_server_doctor_check_status"), 4 * checks);
    assert_eq!(page.get("metrics_server_doctor_verdict", &["none", "undetermined"]), Some(1.0));
    assert_eq!(page.get("metrics_server_doctor_verdict", &["none", "healthy"]), Some(0.0));
}

#[test]
fn a_second_metrics_server_is_told_even_where_a_third_may_be_out_of_sight() {
    let count = |snapshot: &Snapshot| page(snapshot).get("metrics_server_doctor_deployment_metrics_servers", &[]);
    let mut snapshot = healthy();
    assert_eq!(count(&snapshot), Some(1.0));
    let own = snapshot.workloads.iter().find(|workload| workload.metadata.name == "metrics-server").cloned();
    let own = own.expect("the workload of the sample");
    snapshot.workloads = Collection::unseen(NotSeen::NotLooked);
    snapshot.workloads.insert(own.clone());
    assert_eq!(count(&snapshot), None, "there may be a second");
    let mut second = own;
    second.metadata.name = "metrics-server-of-the-chart".to_owned();
    snapshot.workloads.insert(second);
    assert_eq!(count(&snapshot), Some(2.0));
}

#[test]
fn exactly_one_verdict_and_one_state_of_each_check_hold() {
    let page = page(&without_service());
    let verdicts = &page.series["metrics_server_doctor_verdict"];
    assert_eq!(verdicts.values().filter(|value| **value > 0.0).count(), 1);
    assert_eq!(page.get("metrics_server_doctor_verdict", &["other_reasons", "service_not_found"]), Some(1.0));
    for step in Step::ALL {
        for check in crate::steps::checks(step) {
            let holding = Status::ALL.into_iter().filter(|status| {
                let labels = [step.id(), check.id, status.label()];
                page.get("metrics_server_doctor_check_status", &labels) == Some(1.0)
            });
            assert_eq!(holding.count(), 1, "{} {}", step.id(), check.id);
        }
    }
}

#[test]
fn names_help_and_labels_follow_the_rules_of_the_field() {
    let mut names = BTreeSet::new();
    for family in families() {
        assert!(names.insert(family.name), "{} is declared twice", family.name);
        assert!(!family.help.is_empty() && !family.help.contains('\n'), "{}", family.name);
        assert!(!family.name.ends_with("_total"), "{}: _total is added to counters", family.name);
        for letters in [&[family.name], family.labels].concat() {
            assert!(
                letters.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_' || letter.is_ascii_digit())
            );
        }
    }
}

#[test]
fn every_family_is_on_the_page_even_without_series() {
    let text = page(&Snapshot::default()).to_open_metrics().expect("text");
    for family in families() {
        assert!(text.contains(&format!("# HELP {} ", family.name)), "{}", family.name);
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn the_classic_form_names_counters_in_full_and_has_no_end_mark() {
    let classic = to_classic(
        "# HELP metrics_server_doctor_api_requests x\n# TYPE metrics_server_doctor_api_requests counter\nmetrics_server_doctor_api_requests_total{a=\"b\"} 1\n# EOF\n",
    );
    assert_eq!(
        classic,
        "# HELP metrics_server_doctor_api_requests_total x\n# TYPE metrics_server_doctor_api_requests_total counter\nmetrics_server_doctor_api_requests_total{a=\"b\"} 1\n"
    );
}

#[test]
fn label_values_are_escaped() {
    let mut page = Page::default();
    let family = families().find(|family| family.labels.len() == 1).expect("a family with a label");
    page.set(family, ["a\"b\\c\nd"], true);
    let text = page.to_open_metrics().expect("text");
    assert!(text.contains(r#"="a\"b\\c\nd""#), "{text}");
}

#[test]
fn the_certificate_of_the_doctors_own_server_is_on_the_page_only_over_tls() {
    let (snapshot, not_after) = (healthy(), "2030-01-01T00:00:00Z".parse().expect("a moment"));
    let facts = Facts::new(&snapshot);
    let report = Report::of(&facts);
    let view = View::new(&facts, &report);
    let (current, expiry) = (
        "metrics_server_doctor_tls_certificate_current",
        "metrics_server_doctor_tls_certificate_not_after_timestamp_seconds",
    );
    assert_eq!((Page::of(&view).len_of(current), Page::of(&view).len_of(expiry)), (0, 0));
    let certificate = Some(crate::health::CertificateState { current: false, not_after });
    let page = Page::of(&View { certificate, ..view });
    assert_eq!((page.get(current, &[]), page.get(expiry, &[])), (Some(0.0), Some(1_893_456_000.0)));
}

#[test]
fn the_build_is_named_by_version_commit_and_compiler() {
    let page = page(&healthy());
    let labels = [crate::version::VERSION, crate::version::REVISION, crate::version::RUSTC];
    assert_eq!(page.get("metrics_server_doctor_build_info", &labels), Some(1.0));
    assert!(crate::version::RUSTC.starts_with("1."));
}

#[test]
fn an_outage_is_told_apart_from_what_hurts_some() {
    let outage = page(&without_service());
    assert_eq!(outage.get("metrics_server_doctor_outage", &["other_reasons", "service_not_found"]), Some(1.0));
    // Explained by the missing Service, and so no finding of its own.
    assert_eq!(outage.get("metrics_server_doctor_outage", &["apiservice", "apiservice_unavailable"]), Some(0.0));
    let partial = Snapshot { top_nodes: one_node(), ..healthy() };
    let partial = page(&partial);
    assert_eq!(partial.get("metrics_server_doctor_findings", &["retrieve", "nodes_without_samples"]), Some(1.0));
    assert_eq!(partial.get("metrics_server_doctor_outage", &["retrieve", "nodes_without_samples"]), Some(0.0));
}

#[test]
fn a_call_that_the_doctor_may_not_make_does_not_say_that_the_metrics_api_is_down() {
    let text = "nodes.metrics.k8s.io is forbidden: User \"system:serviceaccount:monitoring:doctor\" cannot list";
    let outcome = Outcome::Failed { class: ErrorClass::Forbidden, text: text.to_owned() };
    let top_nodes = Observed::Present(Retrieval { outcome, latency: None });
    let bundle = Snapshot { source: Source::Bundle, top_nodes, ..healthy() };
    assert_eq!(
        page(&bundle).get("metrics_server_doctor_metrics_api_up", &["nodes"]),
        Some(0.0),
        "whoever called was refused"
    );
    let page = page(&Snapshot { source: Source::Cluster, ..bundle });
    for family in ["metrics_server_doctor_metrics_api_up", "metrics_server_doctor_metrics_api_error"] {
        let nodes = page.series[family].keys().filter(|labels| labels.iter().any(|label| label == "nodes"));
        assert_eq!(nodes.count(), 0, "{family}");
    }
    assert_eq!(page.get("metrics_server_doctor_metrics_api_up", &["pods"]), Some(1.0));
}

/// The answer of the metrics API without the second node.
fn one_node() -> Observed<Retrieval> {
    let mut retrieval = healthy().top_nodes;
    if let Observed::Present(Retrieval { outcome: Outcome::Samples(samples), .. }) = &mut retrieval {
        samples.truncate(1);
    }
    retrieval
}

#[test]
fn a_version_is_supported_by_the_matrix_or_not_told() {
    let supported = |minor| {
        let server_version = Observed::Present(KubernetesVersion { major: 1, minor });
        let page = page(&Snapshot { server_version, ..healthy() });
        page.get("metrics_server_doctor_deployment_version_supported", &["kube-system", "metrics-server"])
    };
    assert_eq!((supported(34), supported(33)), (Some(1.0), Some(0.0)));
    let unseen = Snapshot { server_version: Observed::NotSeen(NotSeen::NotLooked), ..healthy() };
    assert_eq!(page(&unseen).len_of("metrics_server_doctor_deployment_version_supported"), 0);
}
