//! Both halves of the step, on logs of a few lines.

use serde_json::json;

use super::*;
use crate::{
    check::{Impact, Status},
    snapshot::{ApiService, Collection, Observed, Scope, Snapshot, retrieval},
    testing::{at, healthy, object, run},
};

fn with(lines: &[&str], ready: bool) -> Snapshot {
    let mut snapshot = Snapshot { source: Source::Bundle, ..healthy() };
    let mut log = ContainerLog::new("kube-system", "metrics-server-5d8f-abcde", "metrics-server");
    for line in lines {
        log.push(line);
    }
    snapshot.logs = Collection::complete([log]);
    snapshot.top_nodes = Observed::default();
    if !ready {
        let mut pod =
            snapshot.pods.get("kube-system", "metrics-server-5d8f-abcde").seen().map(|pod| (*pod).clone()).expect("it");
        pod.status.conditions.clear();
        snapshot.pods = Collection::complete([pod]);
        snapshot.api_services = Collection::complete([object::<ApiService>(json!({
            "metadata": {"name": "v1beta1.metrics.k8s.io"},
            "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "service": {"namespace": "kube-system", "name": "metrics-server"}},
            "status": {"conditions": [{"type": "Available", "status": "False", "reason": "MissingEndpoints"}]}
        }))]);
    }
    snapshot
}

fn causes(snapshot: &Snapshot) -> Vec<(Cause, Impact)> {
    run(Step::Logs, "lines", snapshot).findings.iter().map(|finding| (finding.cause, finding.impact)).collect()
}

const NODE_1: &str = r#"E0101 11:59:00.000000       1 scraper.go:149] "Failed to scrape node" err="request failed, status: \"403 Forbidden\"" node="node-1""#;
const NODE_2: &str = r#"E0101 11:59:15.000000       1 scraper.go:149] "Failed to scrape node" err="request failed, status: \"403 Forbidden\"" node="node-2""#;

#[test]
fn scrapes_that_fail_on_all_nodes_are_an_outage_and_on_one_partial() {
    assert_eq!(causes(&with(&[NODE_1, NODE_2], true)), [(Cause::KubeletForbidden, Impact::Outage)]);
    assert_eq!(causes(&with(&[NODE_1, NODE_1], true)), [(Cause::KubeletForbidden, Impact::Partial)]);
    assert_eq!(causes(&with(&[NODE_1, NODE_2], false)), [(Cause::KubeletForbidden, Impact::Outage)]);
}

#[test]
fn nodes_are_counted_by_what_keeps_them_from_being_scraped() {
    let unscraped = |snapshot: &Snapshot| unscraped_nodes(&Context::new(snapshot));
    assert_eq!(unscraped(&with(&[NODE_1, NODE_1, NODE_2], true)), Ok([(Cause::KubeletForbidden, 2)].into()));
    assert_eq!(unscraped(&with(&[], true)), Ok([].into()));
    let refused = NotSeen::Forbidden { verb: "get", resource: "pods/log" };
    let blind = Snapshot { logs: Collection::unseen(refused.clone()), ..with(&[], true) };
    assert_eq!(unscraped(&blind), Err(refused));
}

#[test]
fn what_is_history_or_was_scraped_after_all_is_no_fault() {
    let old = NODE_1.replace("11:59", "09:59");
    assert_eq!(causes(&with(&[&old, &old], true)), []);
    let mut snapshot = with(&[NODE_1, NODE_1], true);
    snapshot.top_nodes = healthy().top_nodes;
    assert_eq!(causes(&snapshot), []);
    let gone = NODE_1.replace("node-1", "node-9");
    assert_eq!(causes(&with(&[&gone, &gone], true)), []);
}

#[test]
fn on_a_cluster_a_failure_that_is_not_repeated_is_over() {
    let old = NODE_1.replace("11:59", "11:57");
    let bundle = with(&[&old, &old], true);
    for (source, resolution, expected) in [
        (Source::Bundle, "15s", vec![(Cause::KubeletForbidden, Impact::Partial)]),
        (Source::Cluster, "15s", vec![]),
        (Source::Cluster, "120s", vec![(Cause::KubeletForbidden, Impact::Partial)]),
    ] {
        let mut snapshot = Snapshot { source, ..bundle.clone() };
        let mut pod = snapshot.pods.iter().next().cloned().expect("a pod");
        pod.spec.containers[0].args = vec![format!("--metric-resolution={resolution}")];
        snapshot.pods = Collection::complete([pod]);
        assert_eq!(causes(&snapshot), expected, "{source:?} {resolution}");
    }
}

#[test]
fn on_a_cluster_a_round_that_failed_once_is_waited_out() {
    for (lines, expected) in
        [(&[NODE_1, NODE_2][..], vec![]), (&[NODE_1, NODE_2, NODE_1], vec![(Cause::KubeletForbidden, Impact::Outage)])]
    {
        let cluster = Snapshot { source: Source::Cluster, ..with(lines, false) };
        assert_eq!(causes(&cluster), expected, "{lines:?}");
    }
}

#[test]
fn a_failure_from_before_the_pod_was_ready_is_over() {
    let mut snapshot = with(&[NODE_1, NODE_2], true);
    for (since, expected) in [(-600, 1), (-20, 0)] {
        let mut pod = snapshot.pods.iter().next().cloned().expect("a pod");
        let ready = json!({"type": "Ready", "status": "True", "lastTransitionTime": at(since)});
        pod.status.conditions = vec![object(ready)];
        snapshot.pods = Collection::complete([pod]);
        assert_eq!(causes(&snapshot).len(), expected, "since {since} s");
    }
}

#[test]
fn the_last_failure_of_a_node_counts() {
    let refused = NODE_1.replace("11:59:00", "11:59:30").replace(
        r#"request failed, status: \"403 Forbidden\""#,
        r#"Get \"https://10.0.0.5:10250/metrics/resource\": dial tcp 10.0.0.5:10250: connect: connection refused"#,
    );
    let then = [NODE_1, NODE_1, &refused, &refused];
    assert_eq!(causes(&with(&then, true)), [(Cause::KubeletRefused, Impact::Partial)]);
    let both = [NODE_1, NODE_2, NODE_2, &refused, &refused];
    let expected = [(Cause::KubeletForbidden, Impact::Partial), (Cause::KubeletRefused, Impact::Partial)];
    assert_eq!(causes(&with(&both, true)), expected);
}

#[test]
fn what_has_ended_since_or_is_not_there_yet_is_no_fault() {
    let stopped = NODE_1.replace("11:59", "11:52");
    assert_eq!(causes(&with(&[&stopped, &stopped], true)), []);
    let mut young = with(&[NODE_1, NODE_1], true);
    let mut nodes: Vec<crate::snapshot::Node> = young.nodes.iter().cloned().collect();
    nodes[0].status.conditions[0].last_transition_time = crate::testing::at(-60).parse().ok();
    young.nodes = Collection::complete(nodes);
    assert_eq!(causes(&young), []);
    let gone = NODE_1.replace("node-1", "node-9");
    let mut unseen = with(&[&gone, &gone], true);
    unseen.nodes = Collection::unseen(NotSeen::NotInBundle("nodes"));
    assert_eq!(causes(&unseen), [(Cause::KubeletForbidden, Impact::Partial)]);
    unseen.top_nodes = healthy().top_nodes;
    assert_eq!(causes(&unseen), [], "kubectl top lists the nodes that are there");
}

#[test]
fn what_a_start_has_passed_is_no_fault() {
    let unreachable = r#"E0101 11:58:00.000000       1 reflector.go:138] Failed to list *v1.Node: Get "https://10.96.0.1:443/api/v1/nodes": dial tcp 10.96.0.1:443: i/o timeout"#;
    let serving = "I0101 11:58:20.000000       1 secure_serving.go:266] Serving securely on [::]:10250";
    assert_eq!(causes(&with(&[unreachable], false)), [(Cause::ApiServerUnreachable, Impact::Outage)]);
    assert_eq!(
        causes(&with(&[unreachable, serving, NODE_1, NODE_2], false)),
        [(Cause::KubeletForbidden, Impact::Outage)]
    );
    assert_eq!(
        causes(&with(&[serving, unreachable], false)),
        [(Cause::ApiServerUnreachable, Impact::Outage)],
        "it is told after the start"
    );
}

#[test]
fn while_nothing_serves_the_last_lines_count_however_long_ago() {
    let old = NODE_1.replace("11:59", "03:59");
    assert_eq!(causes(&with(&[&old, &old], false)), [(Cause::KubeletForbidden, Impact::Outage)]);
    assert_eq!(causes(&with(&[&old, &old], true)), [], "metrics-server writes nothing while scrapes succeed");
}

#[test]
fn where_nodes_fail_in_several_ways_most_of_them_decide() {
    let other = NODE_1.replace("node-1", "node-3").replace("403 Forbidden", "401 Unauthorized");
    let mut snapshot = with(&[NODE_1, NODE_2, &other], false);
    let mut third = snapshot.nodes.iter().next().cloned().expect("a node");
    third.metadata.name = "node-3".to_owned();
    snapshot.nodes.insert(third);
    assert_eq!(
        causes(&snapshot),
        [(Cause::KubeletUnauthorized, Impact::Partial), (Cause::KubeletForbidden, Impact::Outage)]
    );
}

#[test]
fn a_killed_container_leaves_its_scrapes_in_the_previous_log() {
    let mut snapshot = with(&["I0101 11:59:58.000000       1 serving.go:325] Generated self-signed cert"], false);
    let mut previous = ContainerLog::new("kube-system", "metrics-server-5d8f-abcde", "metrics-server (previous)");
    previous.previous = true;
    previous.push(NODE_1);
    snapshot.logs.insert(previous);
    assert_eq!(causes(&snapshot), [(Cause::KubeletForbidden, Impact::Outage)]);
}

#[test]
fn the_front_proxy_is_blamed_where_the_aggregator_is_refused() {
    let warning = "W0101 11:58:00.000000       1 authentication.go:296] Cluster doesn't provide requestheader-client-ca-file in configmap/extension-apiserver-authentication in kube-system, so request-header client certificate authentication won't work.";
    let list = r#"E0101 11:59:50.000000       1 authentication.go:63] "Unable to authenticate the request" err="x509: subject with cn=front-proxy-client is not in the allowed list: [aggregator]""#;
    assert_eq!(causes(&with(&[warning], false)), [], "it is not Ready for another reason");
    assert_eq!(causes(&with(&[list], false)), [(Cause::FrontProxyUntrusted, Impact::Outage)]);
    assert_eq!(causes(&with(&[list], true)), [], "a scanner's request");
}

#[test]
fn a_node_that_kubectl_does_not_list_is_a_node_of_the_past() {
    let mut snapshot = with(&[NODE_1, NODE_1], true);
    snapshot.nodes = Collection::unseen(NotSeen::NotInBundle("nodes"));
    let sample = |name: &str, unknown| retrieval::Sample { name: name.to_owned(), unknown, ..Default::default() };
    let top = |samples| {
        Observed::Present(retrieval::Retrieval { outcome: retrieval::Outcome::Samples(samples), latency: None })
    };
    snapshot.top_nodes = top(vec![sample("node-2", false)]);
    assert_eq!(causes(&snapshot), []);
    snapshot.top_nodes = top(vec![sample("node-1", true), sample("node-2", false)]);
    assert_eq!(causes(&snapshot), [(Cause::KubeletForbidden, Impact::Partial)]);
}

#[test]
fn a_kubelet_without_a_certificate_serves_no_logs_either() {
    let text = "HTTP status 500: Get \"https://10.0.0.5:10250/containerLogs/kube-system/metrics-server-5d8f-abcde/metrics-server?follow=true\": remote error: tls: internal error";
    let unread = |mut snapshot: Snapshot, text: &str| {
        let gap = NotSeen::Unreachable(text.to_owned());
        snapshot.logs = Collection::default();
        let scope = Scope::in_namespace("kube-system").named("metrics-server-5d8f-abcde").with_gap(gap);
        snapshot.logs.add_scope(scope);
        Snapshot { source: Source::Cluster, ..snapshot }
    };
    let missing = Cause::KubeletCertificateMissing;
    assert_eq!(causes(&unread(with(&[], false), text)), [(missing, Impact::Outage)]);
    assert_eq!(causes(&unread(with(&[], true), text)), [(missing, Impact::Partial)]);
    for (snapshot, text) in [
        (healthy(), text),
        (with(&[], false), "HTTP status 500: Get \"https://10.0.0.5:10250/containerLogs\": dial tcp: i/o timeout"),
    ] {
        let outcome = run(Step::Logs, "lines", &unread(snapshot, text));
        assert_eq!((outcome.status, outcome.findings.len()), (Status::Unknown, 0), "{text}");
    }
}

#[test]
fn noise_is_no_fault() {
    let noise = [
        r#"I0101 11:59:50.000000       1 server.go:191] "Failed probe" probe="metric-storage-ready" err="no metrics to serve""#,
        r#"E0101 11:59:50.000000       1 authentication.go:63] "Unable to authenticate the request" err="x509: certificate signed by unknown authority""#,
        "E0101 11:59:50.000000       1 reststorage.go:98] unable to fetch pod metrics for pod shop/web-1: no metrics known for pod",
        "I0101 11:59:50.000000       1 log.go:245] http2: server connection error: PROTOCOL_ERROR",
    ];
    assert_eq!(run(Step::Logs, "lines", &with(&noise, true)).status, Status::Pass);
}

#[test]
fn a_failed_start_counts_only_while_nothing_serves() {
    let panic = "panic: unknown flag: --logtostderr";
    assert_eq!(causes(&with(&[panic], false)), [(Cause::UnknownFlag, Impact::Outage)]);
    assert_eq!(causes(&with(&[panic], true)), []);
    let delegator = r#"E0101 11:59:50.000000       1 webhook.go:253] Failed to make webhook authorizer request: subjectaccessreviews.authorization.k8s.io is forbidden: User "system:serviceaccount:kube-system:metrics-server" cannot create resource "subjectaccessreviews" in API group "authorization.k8s.io" at the cluster scope"#;
    let granted = with(&[delegator], true);
    assert_eq!(causes(&granted), [], "the binding was made since");
    let missing = Snapshot { role_bindings: Collection::complete([]), ..granted };
    assert_eq!(causes(&missing), [(Cause::AuthDelegatorMissing, Impact::Outage)]);
}
