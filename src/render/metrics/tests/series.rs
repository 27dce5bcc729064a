//! How many series there are, and of which autoscalers and nodes.

#![allow(clippy::float_cmp, reason = "whole seconds are exact")]

use jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::{
    health::ProcessUsage,
    history::History,
    render::HpaSeries,
    snapshot::{HorizontalPodAutoscaler, Node, retrieval::Sample},
    testing::{at, object},
};

/// Series of watches and requests that only a live cluster has: five states of twenty watches, and some kinds of requests.
const OF_A_LIVE_CLUSTER: usize = 200;

fn autoscaler(namespace: &str, name: &str, blind: bool) -> HorizontalPodAutoscaler {
    let (status, reason, current) = if blind {
        ("False", "FailedGetPodsMetric", json!([]))
    } else {
        let value = json!({"type": "Pods", "pods": {"metric": {"name": "queue"}, "current": {"averageValue": "1"}}});
        ("True", "ValidMetricFound", json!([value]))
    };
    object(json!({
        "metadata": {"namespace": namespace, "name": name, "creationTimestamp": at(-86_400)},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "metrics": [{"type": "Pods", "pods": {"metric": {"name": "queue"}, "target": {"type": "AverageValue", "averageValue": "1"}}}]},
        "status": {"currentReplicas": 1, "desiredReplicas": 1, "currentMetrics": current,
            "conditions": [
                {"type": "AbleToScale", "status": "True", "reason": "ReadyForNewScale", "message": "", "lastTransitionTime": at(-900)},
                {"type": "ScalingActive", "status": status, "reason": reason, "message": "", "lastTransitionTime": at(-600)}]}
    }))
}

/// [`healthy`] with so many autoscalers more, five a namespace.
fn with_autoscalers(count: usize, blind: bool) -> Snapshot {
    let autoscalers =
        (0..count).map(|number| autoscaler(&format!("team-{}", number / 5), &format!("web-{number}"), blind));
    Snapshot { autoscalers: Collection::complete(autoscalers), ..healthy() }
}

/// [`healthy`] with so many nodes, of which the first ones have no sample.
fn with_nodes(snapshot: Snapshot, count: usize, without: usize) -> Snapshot {
    let model = snapshot.nodes.iter().next().expect("a node").clone();
    let nodes: Vec<Node> = (0..count)
        .map(|number| {
            let mut node = model.clone();
            node.metadata.name = format!("node-{number:04}");
            node
        })
        .collect();
    let samples = nodes[without..].iter().map(|node| Sample {
        namespace: String::new(),
        name: node.metadata.name.clone(),
        timestamp: at(-20).parse().ok(),
        window: Some(std::time::Duration::from_secs(15)),
        unknown: false,
    });
    let outcome = Outcome::Samples(samples.collect());
    let top_nodes = Observed::Present(Retrieval { outcome, latency: None });
    Snapshot { nodes: Collection::complete(nodes), top_nodes, ..snapshot }
}

fn page_of(snapshot: &Snapshot, hpa_series: HpaSeries) -> Page {
    let facts = Facts::new(snapshot);
    let report = Report::of(&facts);
    let mut history = History::default();
    history.advance(&facts);
    let process = ProcessUsage {
        started: snapshot.observed_at,
        cpu: std::time::Duration::from_secs(3),
        resident_bytes: 1024,
        open_files: 9,
    };
    Page::of(&View { history: Some(&history), process: Some(process), hpa_series, ..View::new(&facts, &report) })
}

fn series(page: &Page) -> usize {
    page.series.values().map(BTreeMap::len).sum()
}

#[test]
fn a_large_cluster_in_which_all_is_well_has_at_most_5000_series() {
    let page = page_of(&with_nodes(with_autoscalers(2_000, false), 5_000, 0), HpaSeries::Blind);
    assert_eq!(page.len_of("hpa_unknown_targets"), 2_000);
    assert_eq!(page.get("metrics_server_doctor_metrics_api_nodes_expected", &[]), Some(5_000.0));
    let count = series(&page);
    assert!(count + OF_A_LIVE_CLUSTER <= 5_000, "{count} series");
}

#[test]
fn nodes_add_no_series_and_a_blind_autoscaler_adds_a_few() {
    let series_of = |snapshot: &Snapshot| series(&page_of(snapshot, HpaSeries::Blind));
    let small = with_nodes(with_autoscalers(5, true), 10, 0);
    assert_eq!(series_of(&small), series_of(&with_nodes(small.clone(), 3_000, 0)));
    let (one, two) = (series_of(&with_autoscalers(5, true)), series_of(&with_autoscalers(10, true)));
    // Per autoscaler: unknown targets, targets, info, cause, since when, two conditions and their last transitions. Per
    // namespace: targets, seconds blind, seconds watched.
    assert_eq!(two - one, 5 * 9 + 3);
    let (one, two) = (series_of(&with_autoscalers(5, false)), series_of(&with_autoscalers(10, false)));
    assert_eq!(two - one, 5 + 3);
}

const DETAILS: [&str; 4] = [
    "metrics_server_doctor_hpa_targets",
    "metrics_server_doctor_hpa_info",
    "metrics_server_doctor_hpa_condition",
    "metrics_server_doctor_hpa_condition_last_transition_timestamp_seconds",
];

#[test]
fn only_those_with_unknown_targets_have_details_unless_all_are_asked_for() {
    let autoscalers = [autoscaler("shop", "web", true), autoscaler("office", "mail", false)];
    let snapshot = Snapshot { autoscalers: Collection::complete(autoscalers), ..healthy() };
    let (blind, all) = (page_of(&snapshot, HpaSeries::Blind), page_of(&snapshot, HpaSeries::All));
    for (family, each) in DETAILS.into_iter().zip([1, 1, 2, 2]) {
        assert_eq!((blind.len_of(family), all.len_of(family)), (each, 2 * each), "{family}");
    }
    for page in [&blind, &all] {
        let info = |labels: &[&str]| page.get("metrics_server_doctor_hpa_info", labels);
        assert_eq!(info(&["shop", "web", "Deployment", "web", "not_metrics_server"]), Some(1.0));
        assert_eq!(page.len_of("metrics_server_doctor_hpa_unknown_cause"), 1);
        assert_eq!(page.get("metrics_server_doctor_namespace_hpa_targets", &["office"]), Some(1.0));
    }
    assert_eq!(all.get("metrics_server_doctor_hpa_info", &["office", "mail", "Deployment", "mail", "none"]), Some(1.0));
}

#[test]
fn a_blind_autoscaler_whose_owners_want_no_alerts_is_named() {
    let with = |mut object: HorizontalPodAutoscaler, value: &str| {
        object.metadata.annotations.insert("metrics-server-doctor/alerts".to_owned(), value.to_owned());
        object
    };
    let autoscalers = [
        with(autoscaler("shop", "web", true), "off"),
        with(autoscaler("shop", "api", true), "on"),
        with(autoscaler("shop", "seeing", false), "off"),
        autoscaler("shop", "other", true),
    ];
    let snapshot = Snapshot { autoscalers: Collection::complete(autoscalers), ..healthy() };
    let page = page_of(&snapshot, HpaSeries::All);
    assert_eq!(page.get("metrics_server_doctor_hpa_alerts_off", &["shop", "web"]), Some(1.0));
    assert_eq!(page.len_of("metrics_server_doctor_hpa_alerts_off"), 1);
}

#[test]
fn what_the_history_knows_is_on_the_page() {
    let mut snapshot = Snapshot {
        autoscalers: Collection::complete([autoscaler("shop", "web", true), autoscaler("shop", "api", false)]),
        ..healthy()
    };
    let mut history = History::default();
    history.advance(&Facts::new(&snapshot));
    let began = snapshot.observed_at;
    snapshot.observed_at = began + SignedDuration::from_secs(15);
    let facts = Facts::new(&snapshot);
    history.advance(&facts);
    let report = Report::of(&facts);
    let page = Page::of(&View { history: Some(&history), ..View::new(&facts, &report) });
    let since = (began - SignedDuration::from_secs(600)).as_second();
    let told = page.get("metrics_server_doctor_hpa_blind_since_timestamp_seconds", &["shop", "web"]);
    assert_eq!(told, Some(f64_of(since)));
    assert_eq!(page.len_of("metrics_server_doctor_hpa_blind_since_timestamp_seconds"), 1);
    assert_eq!(page.get("metrics_server_doctor_hpa_blind_seconds", &["shop"]), Some(15.0));
    assert_eq!(page.get("metrics_server_doctor_hpa_watched_seconds", &["shop"]), Some(30.0));
    let transitions = "metrics_server_doctor_apiservice_condition_transitions";
    assert_eq!(page.get(transitions, &["v1beta1.metrics.k8s.io"]), Some(0.0));
}

#[test]
fn nodes_without_a_sample_are_named_up_to_a_limit_that_is_told() {
    let names = |page: &Page| page.len_of("metrics_server_doctor_node_without_sample");
    let few = page_of(&with_nodes(healthy(), 50, 3), HpaSeries::Blind);
    assert_eq!(few.get("metrics_server_doctor_node_without_sample", &["node-0002"]), Some(1.0));
    assert_eq!(names(&few), 3);
    let many = page_of(&with_nodes(healthy(), 50, 40), HpaSeries::Blind);
    assert_eq!(names(&many), 20);
    assert_eq!(many.get("metrics_server_doctor_node_without_sample", &["node-0019"]), Some(1.0), "the first by name");
    assert_eq!(many.get("metrics_server_doctor_node_without_sample_limit", &[]), Some(20.0));
    assert_eq!(many.get("metrics_server_doctor_metrics_api_nodes_without_sample", &[]), Some(40.0));
}

#[test]
fn samples_have_a_time_beside_their_age() {
    let snapshot = healthy();
    let page = page_of(&snapshot, HpaSeries::Blind);
    for sample in ["newest", "oldest"] {
        let age = page.get("metrics_server_doctor_metrics_api_sample_age_seconds", &[sample]).expect("an age");
        let time = page.get("metrics_server_doctor_metrics_api_sample_timestamp_seconds", &[sample]).expect("a time");
        assert_eq!(age, 20.0);
        assert_eq!(time + age, f64_of(snapshot.observed_at.as_second()));
    }
}

#[test]
fn the_process_is_told_as_client_libraries_tell_it() {
    let page = page_of(&healthy(), HpaSeries::Blind);
    assert_eq!(page.get("process_cpu_seconds", &[]), Some(3.0));
    assert_eq!(page.get("process_resident_memory_bytes", &[]), Some(1024.0));
    assert_eq!(page.get("process_open_fds", &[]), Some(9.0));
    assert!(page.get("process_start_time_seconds", &[]).is_some_and(|start| start > 1e9));
}

#[expect(clippy::cast_precision_loss, reason = "seconds are exact up to 2^53")]
fn f64_of(seconds: i64) -> f64 {
    seconds as f64
}
