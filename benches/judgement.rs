//! How the time of one publication grows with the cluster: judging and rendering generated snapshots of 1,000 to 100,000
//! pods, each twice as large as the one before. `cargo bench --bench judgement -- [most pods]`.
//!
//! Every autoscaler has ten pods under a selector of its own and is blind, which is the outage that the doctor is made
//! for. See `docs/performance.md`.

use std::{
    fs,
    sync::LazyLock,
    time::{Duration, Instant},
};

use metrics_server_doctor::{
    facts::Facts,
    history::History,
    render::{View, html::html, metrics::Page},
    report::{Links, Report},
    snapshot::{
        ApiService, Collection, HorizontalPodAutoscaler, Named, Node, Pod, Scale, Scope, Service, Snapshot, Workload,
    },
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const NOW: &str = "2026-01-01T12:00:00Z";
const LONG_AGO: &str = "2026-01-01T10:00:00Z";
const PODS_PER_AUTOSCALER: usize = 10;
/// Every size is measured so often, and the fastest run counts.
const RUNS: usize = 3;

/// What blinds the autoscalers, and how they were seen.
#[derive(Debug, Clone, Copy)]
enum State {
    /// Of a bundle, in which everything is complete: each has a container without a request.
    WithoutRequest,
    /// Of a live cluster, where targets and pods of blind autoscalers were looked up one by one: no samples.
    LookedUp,
    /// All pods are in one namespace, and every selector matches all of them.
    OneSelector,
    /// The metrics API answers nobody.
    Outage,
}

/// Time for which this thread has run: what else the machine does counts no more than it must. Where the system does not
/// tell, time of the clock.
fn spent() -> Duration {
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let scheduled = fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = scheduled.and_then(|text| text.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| BEGIN.elapsed(), Duration::from_nanos)
}

fn object<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("an object")
}

fn namespace(number: usize) -> String {
    format!("shop-{}", number % 20)
}

fn pod(state: State, number: usize) -> Pod {
    let app = number / PODS_PER_AUTOSCALER;
    let requests = if matches!(state, State::WithoutRequest | State::OneSelector) && number % 10 == 3 {
        json!({})
    } else {
        json!({"cpu": "100m"})
    };
    object(json!({
        "metadata": {"namespace": namespace(if matches!(state, State::OneSelector) { 0 } else { app }), "name": format!("web-{app}-5d8f-{number}"),
            "labels": {"app": format!("web-{app}"), "team": "shop", "pod-template-hash": "5d8f"}, "creationTimestamp": LONG_AGO,
            "ownerReferences": [{"kind": "ReplicaSet", "name": format!("web-{app}-5d8f"), "controller": true}]},
        "spec": {"nodeName": format!("node-{}", number % 1000), "containers": [{"name": "web", "image": "web:1", "resources": {"requests": requests}}]},
        "status": {"phase": "Running", "startTime": LONG_AGO, "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": LONG_AGO}]}
    }))
}

fn autoscaler(state: State, number: usize) -> HorizontalPodAutoscaler {
    let message = match state {
        State::WithoutRequest | State::OneSelector => {
            "the HPA was unable to compute the replica count: failed to get cpu utilization: missing request for cpu in container web"
        }
        State::LookedUp => {
            "failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from resource metrics API"
        }
        State::Outage => {
            "failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server is currently unable to handle the request (get pods.metrics.k8s.io)"
        }
    };
    object(json!({
        "metadata": {"namespace": namespace(if matches!(state, State::OneSelector) { 0 } else { number }), "name": format!("web-{number}"), "creationTimestamp": LONG_AGO},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": format!("web-{number}")}, "minReplicas": 1, "maxReplicas": 20,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]},
        "status": {"currentReplicas": 10, "desiredReplicas": 10, "currentMetrics": [{"type": ""}], "conditions": [
            {"type": "AbleToScale", "status": "True", "reason": "SucceededGetScale", "lastTransitionTime": LONG_AGO},
            {"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric", "message": message, "lastTransitionTime": LONG_AGO}]}
    }))
}

fn workload(state: State, number: usize) -> Workload {
    let labels = if matches!(state, State::OneSelector) {
        json!({"team": "shop"})
    } else {
        json!({"app": format!("web-{number}")})
    };
    object(json!({
        "metadata": {"namespace": namespace(if matches!(state, State::OneSelector) { 0 } else { number }), "name": format!("web-{number}")},
        "spec": {"replicas": 10, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": {"app": format!("web-{number}"), "team": "shop"}}, "spec": {"containers": [{"name": "web", "image": "web:1", "resources": {}}]}}},
        "status": {"replicas": 10, "availableReplicas": 10, "readyReplicas": 10}
    }))
}

fn node(number: usize) -> Node {
    object(json!({
        "metadata": {"name": format!("node-{number}"), "creationTimestamp": LONG_AGO},
        "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}], "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": LONG_AGO}],
            "nodeInfo": {"architecture": "amd64", "kubeletVersion": "v1.37.2"}}
    }))
}

/// A cluster of so many pods: an autoscaler for ten of them, a node for five.
fn snapshot(state: State, pods: usize) -> Snapshot {
    let autoscalers = pods / PODS_PER_AUTOSCALER;
    let available = if matches!(state, State::Outage) {
        json!({"type": "Available", "status": "False", "reason": "MissingEndpoints", "message": "endpoints for service/metrics-server in \"kube-system\" have no addresses with port name \"https\"", "lastTransitionTime": LONG_AGO})
    } else {
        json!({"type": "Available", "status": "True", "reason": "Passed", "message": "all checks passed", "lastTransitionTime": LONG_AGO})
    };
    let mut snapshot = Snapshot {
        observed_at: NOW.parse().expect("a moment"),
        api_services: Collection::complete([object::<ApiService>(json!({
            "metadata": {"name": "v1beta1.metrics.k8s.io", "creationTimestamp": LONG_AGO},
            "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "insecureSkipTLSVerify": true, "service": {"namespace": "kube-system", "name": "metrics-server", "port": 443}},
            "status": {"conditions": [available]}
        }))]),
        services: Collection::complete([object::<Service>(json!({
            "metadata": {"name": "metrics-server", "namespace": "kube-system"},
            "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.20", "selector": {"k8s-app": "metrics-server"}, "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": "https"}]}
        }))]),
        nodes: Collection::complete((0..pods / 5).map(node)),
        pods: Collection::complete((0..pods).map(|number| pod(state, number))),
        autoscalers: Collection::complete((0..autoscalers).map(|number| autoscaler(state, number))),
        workloads: Collection::complete((0..autoscalers).map(|number| workload(state, number))),
        ..Snapshot::default()
    };
    if matches!(state, State::LookedUp) {
        // As the observer of a live cluster has it: a scope for each target and each selector.
        let seen = std::mem::take(&mut snapshot.pods);
        for pod in seen.iter() {
            snapshot.pods.insert(pod.clone());
        }
        snapshot.workloads = Collection::default();
        for number in 0..autoscalers {
            let labels = std::collections::BTreeMap::from([("app".to_owned(), format!("web-{number}"))]);
            snapshot.pods.add_scope(Scope::in_namespace(&namespace(number)).labelled(labels));
            let name = format!("web-{number}");
            // Of every second target the scale was found.
            if number % 2 == 0 {
                let mut scale: Scale = object(
                    json!({"metadata": {"namespace": namespace(number), "name": name}, "status": {"selector": format!("app={name}")}}),
                );
                "Deployment".clone_into(&mut scale.kind);
                snapshot.scales.insert(scale);
            } else {
                snapshot.scales.add_scope(Scope::in_namespace(&namespace(number)).named(&name).of_kind("Deployment"));
            }
        }
    }
    snapshot
}

/// The times of one publication: judging, and everything that is rendered from it.
fn publication(snapshot: &Snapshot, history: &mut History) -> (Duration, Duration) {
    let begin = spent();
    let facts = Facts::new(snapshot);
    let report = Report::of(&facts);
    history.advance(&facts);
    let judged = spent().saturating_sub(begin);
    let begin = spent();
    let page = Page::of(&View { history: Some(history), ..View::new(&facts, &report) }).to_open_metrics();
    let json = serde_json::to_string_pretty(&report.to_json(&Links::default()));
    let shown = html(&report, snapshot.observed_at, &Links::default());
    let rendered = spent().saturating_sub(begin);
    assert!(page.is_ok_and(|page| page.ends_with("# EOF\n")) && json.is_ok() && !shown.is_empty());
    (judged, rendered)
}

fn main() {
    let most: usize = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(100_000);
    println!(
        "{:<15} {:>7} {:>11} {:>7} {:>12} {:>12} {:>8}",
        "state", "pods", "autoscalers", "nodes", "judge", "render", "growth"
    );
    for state in [State::WithoutRequest, State::LookedUp, State::OneSelector, State::Outage] {
        let mut before: Option<Duration> = None;
        let sizes = std::iter::successors(Some(1_000_usize), |size| Some(size * 2)).take_while(|size| *size < most);
        for size in sizes.chain([most]) {
            let snapshot = snapshot(state, size);
            let mut history = History::default();
            let best = (0..RUNS)
                .map(|_| publication(&snapshot, &mut history))
                .min_by_key(|(judged, rendered)| *judged + *rendered);
            let (judged, rendered) = best.unwrap_or_default();
            let growth = before.map_or(String::new(), |before| {
                format!("{:.2}", (judged + rendered).as_secs_f64() / before.as_secs_f64())
            });
            let state = format!("{state:?}");
            let autoscalers = snapshot.autoscalers.iter().filter(|autoscaler| !autoscaler.name().is_empty()).count();
            println!(
                "{state:<15} {size:>7} {autoscalers:>11} {:>7} {:>9.1} ms {:>9.1} ms {growth:>8}",
                snapshot.nodes.len(),
                judged.as_secs_f64() * 1e3,
                rendered.as_secs_f64() * 1e3
            );
            before = Some(judged + rendered);
        }
    }
}
