//! A live server over a cluster whose every autoscaler is blind.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::{
    observe::cluster::{Features, fake::FakeServer},
    render::HpaSeries,
    report::Links,
};

const NODES: usize = 5_000;
const AUTOSCALERS: usize = 2_000;
const PODS_EACH: usize = 10;
/// How long it is watched.
const WATCHED: Duration = Duration::from_secs(20);
/// Far above the 100 ms that are meant: the machine that runs this may have other things to do.
const LIMIT: Duration = Duration::from_secs(3);

fn ago(seconds: i64) -> String {
    Timestamp::now().saturating_sub(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

/// A metrics-server that works as far as the aggregator and the doctor's own calls tell.
fn pipeline(server: &FakeServer) {
    let labels = json!({"k8s-app": "metrics-server"});
    let container = json!({"name": "metrics-server", "image": "registry.k8s.io/metrics-server/metrics-server:v0.9.0",
        "args": ["--secure-port=10250", "--metric-resolution=15s"], "ports": [{"name": "https", "containerPort": 10250}]});
    let ready = json!([{"type": "Ready", "status": "True", "lastTransitionTime": ago(3_000)}]);
    server.put(
        "apiservices",
        json!({"metadata": {"name": "v1beta1.metrics.k8s.io", "creationTimestamp": ago(9_000)},
        "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "insecureSkipTLSVerify": true, "service": {"namespace": "kube-system", "name": "metrics-server", "port": 443}},
        "status": {"conditions": [{"type": "Available", "status": "True", "reason": "Passed", "lastTransitionTime": ago(3_000)}]}}),
    );
    server.put(
        "services",
        json!({"metadata": {"name": "metrics-server", "namespace": "kube-system"},
        "spec": {"clusterIP": "10.96.0.20", "selector": labels, "ports": [{"name": "https", "port": 443, "targetPort": "https"}]}}),
    );
    server.put(
        "endpointslices",
        json!({"metadata": {"name": "metrics-server-x", "namespace": "kube-system", "labels": {"kubernetes.io/service-name": "metrics-server"}},
        "addressType": "IPv4", "ports": [{"name": "https", "port": 10250}],
        "endpoints": [{"addresses": ["10.0.1.10"], "conditions": {"ready": true}, "targetRef": {"kind": "Pod", "namespace": "kube-system", "name": "metrics-server-1"}}]}),
    );
    server.put(
        "deployments",
        json!({"metadata": {"name": "metrics-server", "namespace": "kube-system", "creationTimestamp": ago(9_000)},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}},
        "status": {"replicas": 1, "availableReplicas": 1, "readyReplicas": 1}}),
    );
    server.put(
        "pods",
        json!({"metadata": {"name": "metrics-server-1", "namespace": "kube-system", "labels": labels, "creationTimestamp": ago(9_000)},
        "spec": {"nodeName": "node-0", "containers": [container]},
        "status": {"phase": "Running", "podIP": "10.0.1.10", "startTime": ago(9_000), "conditions": ready}}),
    );
    let samples: Vec<Value> = (0..NODES)
        .map(|number| json!({"metadata": {"name": format!("node-{number}")}, "timestamp": ago(10), "window": "15s", "usage": {"cpu": "1", "memory": "1"}}))
        .collect();
    let list =
        json!({"kind": "NodeMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}, "items": samples});
    server.answer("/apis/metrics.k8s.io/v1beta1/nodes", 200, &list.to_string());
    for number in 0..NODES {
        server.put("nodes", json!({"metadata": {"name": format!("node-{number}"), "creationTimestamp": ago(9_000)}, "status": {"conditions": ready}}));
    }
}

fn namespace(number: usize) -> String {
    format!("shop-{}", number % 10)
}

/// The pods of every second one are always young, as those of a workload that crashes.
fn blind(server: &FakeServer, number: usize) {
    let message = "failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from resource metrics API";
    server.put(
        "horizontalpodautoscalers",
        json!({"metadata": {"namespace": namespace(number), "name": format!("web-{number}"), "creationTimestamp": ago(9_000)},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": format!("web-{number}")}, "minReplicas": 1, "maxReplicas": 20,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]},
        "status": {"currentReplicas": 10, "desiredReplicas": 10, "currentMetrics": [{"type": ""}], "conditions": [
            {"type": "AbleToScale", "status": "True", "reason": "SucceededGetScale", "lastTransitionTime": ago(3_000)},
            {"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric", "message": message, "lastTransitionTime": ago(if number.is_multiple_of(2) { 3_000 } else { 5 })}]}}),
    );
}

fn shop(server: &FakeServer) {
    for number in 0..AUTOSCALERS {
        blind(server, number);
        let (namespace, name) = (namespace(number), format!("web-{number}"));
        let scale = json!({"metadata": {"namespace": namespace, "name": name}, "status": {"replicas": 10, "selector": format!("app={name}")}});
        server.answer(
            &format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"),
            200,
            &scale.to_string(),
        );
        for pod in 0..PODS_EACH {
            server.put("pods", json!({"metadata": {"namespace": namespace, "name": format!("{name}-{pod}"), "labels": {"app": name}, "creationTimestamp": ago(20)},
                "spec": {"nodeName": format!("node-{number}"), "containers": [{"name": "web", "resources": {"requests": {"cpu": "100m"}}}]},
                "status": {"phase": "Running", "startTime": ago(20), "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": ago(10)}]}}));
        }
    }
}

/// How long an answer took, and its text.
fn get(address: SocketAddr, path: &str) -> (Duration, String) {
    let begin = Instant::now();
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(LIMIT)).expect("a time limit");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap_or_else(|error| panic!("{path} after {:?}: {error}", begin.elapsed()));
    (begin.elapsed(), answer)
}

#[derive(Debug, Default)]
struct Watched {
    slowest: Duration,
    pages: usize,
    healthy: usize,
    /// Autoscalers on the last page.
    autoscalers: usize,
    judgements: std::collections::BTreeSet<String>,
}

/// Asks as the kubelet and Prometheus do, only more often.
fn ask(address: SocketAddr) -> Watched {
    let begin = Instant::now();
    let mut watched = Watched::default();
    while begin.elapsed() < WATCHED {
        let (live, text) = get(address, "/livez");
        assert!(text.ends_with("ok\n"), "{text}");
        let (scrape, page) = get(address, "/metrics");
        watched.slowest = watched.slowest.max(live).max(scrape);
        watched.pages += 1;
        watched.healthy +=
            usize::from(page.contains("metrics_server_doctor_verdict{step=\"none\",cause=\"healthy\"} 1"));
        watched.autoscalers = page.lines().filter(|line| line.starts_with("hpa_unknown_targets{")).count();
        watched.judgements.extend(
            page.lines()
                .find_map(|line| line.strip_prefix("metrics_server_doctor_judgement_duration_seconds "))
                .map(str::to_owned),
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    watched
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_blind_autoscalers_keep_nobody_waiting_and_are_never_healthy() {
    let server = FakeServer::start().await;
    server.make_large_pages();
    pipeline(&server);
    shop(&server);
    let clients = server.clients();
    let options = Options { features: Features { logs: false, ..Features::default() }, ..Options::default() };
    let mut observation = observe(clients, options);
    let mut publisher = Publisher::new(Links::default(), HpaSeries::default(), None);
    publisher.publish(&newest(&mut observation, Vec::new())).expect("a page");
    let listener = http::bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let address = listener.local_addr().expect("an address");
    let site = publisher.site();
    let http_server = http::Server { site, tls: None, guard: Guard::Open };
    let serving = serve_until_told(listener, http_server, keep_publishing(publisher, observation, Vec::new));
    let changing = async {
        for number in (0..AUTOSCALERS).cycle() {
            blind(&server, number);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let asking = tokio::task::spawn_blocking(move || ask(address));
    let watched = tokio::select! {
        watched = asking => watched.expect("every answer"),
        ended = serving => panic!("it ended: {ended:?}"),
        () = changing => unreachable!("it goes on for ever"),
    };
    println!("{watched:?}");
    assert_eq!(watched.healthy, 0, "of {} pages", watched.pages);
    assert_eq!(watched.autoscalers, AUTOSCALERS, "{watched:?}");
    assert!(watched.judgements.len() > 1, "the page moves: {watched:?}");
    assert!(watched.slowest < LIMIT);
}
