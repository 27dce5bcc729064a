//! Both halves of the step, on logs of a few lines.

use serde_json::json;

use crate::{
    catalogue::{self, Cause, Stage},
    check::{Impact, Status},
    facts::Facts,
    guide::Step,
    snapshot::{
        ApiService, CertificateSigningRequest, Collection, ContainerLog, Named, NotSeen, Observed, Retrieval, Scope,
        Snapshot, Source, retrieval,
    },
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
    snapshot.top_pods = Observed::default();
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
    let unscraped = |snapshot: &Snapshot| Facts::new(snapshot).unscraped_nodes();
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
    let forbidden = [(Cause::KubeletForbidden, Impact::Partial)];
    assert_eq!(causes(&with(&[&stopped, &stopped], true)), forbidden, "rights do not come by themselves");
    let refused = stopped.replace(r#"request failed, status: \"403 Forbidden\""#, "connect: connection refused");
    assert_eq!(causes(&with(&[&refused, &refused], true)), []);
    assert_eq!(causes(&with(&[&refused, &refused, NODE_2], true)).len(), 1, "the log goes on without it");
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

fn refused(node: &str, moment: &str) -> String {
    format!(
        r#"E0101 {moment}.000000       1 scraper.go:149] "Failed to scrape node" err="Get \"https://10.0.0.5:10250/metrics/resource\": dial tcp 10.0.0.5:10250: connect: connection refused" node="{node}""#
    )
}

#[test]
fn one_line_proves_what_configuration_decides_and_leaves_open_what_passes() {
    let certificate = NODE_1.replace(
        r#"request failed, status: \"403 Forbidden\""#,
        "x509: cannot validate certificate for 10.0.0.5 because it doesn't contain any IP SANs",
    );
    let undated = "unable to fetch metrics from Kubelet node-1 (10.0.0.5): Get https://10.0.0.5:10250/stats/summary?only_cpu_and_memory=true: x509: cannot validate certificate for 10.0.0.5 because it doesn't contain any IP SANs]";
    let names = [(Cause::KubeletCertificateNames, Impact::Partial)];
    assert_eq!(causes(&with(&[&certificate], true)), names);
    assert_eq!(causes(&with(&[undated], true)), names);
    assert_eq!(causes(&Snapshot { source: Source::Cluster, ..with(&[&certificate], true) }), names);
    let once = with(&[&refused("node-1", "11:59:00")], true);
    let answer = run(Step::Logs, "lines", &once);
    assert_eq!((answer.status, answer.findings.len()), (Status::Unknown, 0));
    assert!(answer.settling_until.is_some(), "it ends");
    assert!(answer.summary.contains("node-1"), "{}", answer.summary);
    let coverage = run(Step::Retrieve, "coverage", &once);
    assert!(coverage.settling_until.is_some(), "health is not proved before");
    let twice = with(&[&refused("node-1", "11:59:00"), &refused("node-1", "11:59:15")], true);
    assert_eq!(causes(&twice), [(Cause::KubeletRefused, Impact::Partial)]);
}

#[test]
fn an_old_failure_that_is_the_last_word_is_neither_a_fault_nor_over() {
    let old = NODE_1.replace("11:59", "03:59");
    let answer = run(Step::Logs, "lines", &with(&[&old, &old], true));
    assert_eq!((answer.status, answer.findings.len(), answer.settling_until), (Status::Unknown, 0, None));
    let mut missing = with(&[&old], true);
    missing.top_nodes = healthy().top_nodes;
    if let Observed::Present(retrieval::Retrieval { outcome: retrieval::Outcome::Samples(samples), .. }) =
        &mut missing.top_nodes
    {
        samples.retain(|sample| sample.name != "node-1");
    }
    assert_eq!(causes(&missing), [(Cause::KubeletForbidden, Impact::Partial)], "the node has no sample");
}

#[test]
fn which_nodes_fail_decides_the_words_and_the_remedy() {
    let finding = |lines: &[String], labels: &[(&str, &str)]| {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let mut snapshot = with(&lines, true);
        let template = snapshot.nodes.iter().next().cloned().expect("a node");
        let nodes = ["node-1", "node-2", "node-3", "node-4"].map(|name| {
            let mut node = template.clone();
            node.metadata.name = name.to_owned();
            for (of, pool) in labels {
                if *of == name {
                    node.metadata.labels.insert("eks.amazonaws.com/nodegroup".to_owned(), (*pool).to_owned());
                }
            }
            node
        });
        snapshot.nodes = Collection::complete(nodes);
        let mut findings = run(Step::Logs, "lines", &snapshot).findings;
        let first = findings.remove(0);
        (first.summary.clone(), first.remedy())
    };
    let lines = |nodes: &[&str]| -> Vec<String> {
        nodes.iter().flat_map(|node| [refused(node, "11:59:00"), refused(node, "11:59:15")]).collect()
    };
    let (own, remedy) = finding(&lines(&["node-1"]), &[]);
    assert!(own.contains("node-1 alone") && remedy.contains("host firewall of node-1"), "{own} {remedy}");
    let (others, remedy) = finding(&lines(&["node-2", "node-3", "node-4"]), &[]);
    assert!(others.contains("all nodes but node-1") && remedy.contains("overlap"), "{others} {remedy}");
    let (all, _) = finding(&lines(&["node-1", "node-2", "node-3", "node-4"]), &[]);
    assert!(all.contains("all 4 nodes"), "{all}");
    let pools = [("node-2", "big"), ("node-3", "big"), ("node-4", "small")];
    let (some, _) = finding(&lines(&["node-2", "node-3"]), &pools);
    assert!(some.contains("eks.amazonaws.com/nodegroup=big"), "{some}");
    let (two, _) = finding(&lines(&["node-2", "node-4"]), &pools);
    assert!(two.contains("2 nodes (node-2, node-4)"), "{two}");
}

#[test]
fn a_flag_that_explains_the_line_is_a_second_witness() {
    let mut snapshot = with(&[&refused("node-1", "11:59:00")], true);
    let mut pod = snapshot.pods.iter().next().cloned().expect("a pod");
    pod.spec.containers[0].args.push("--kubelet-port=10255".to_owned());
    snapshot.pods = Collection::complete([pod]);
    let answer = run(Step::Logs, "lines", &snapshot);
    assert_eq!(answer.findings[0].cause, Cause::KubeletRefused);
    assert!(answer.findings[0].remedy().contains("--kubelet-port=10255"));
}

#[test]
fn missing_rights_are_told_together() {
    let reader = "W0101 11:58:50.000000       1 authentication.go:345] Unable to get configmap/extension-apiserver-authentication in kube-system.  Usually fixed by";
    let nodes = r#"E0101 11:58:51.000000       1 reflector.go:138] Failed to list *v1.Node: nodes is forbidden: User "system:serviceaccount:kube-system:metrics-server" cannot list resource "nodes" in API group "" at the cluster scope"#;
    let found: Vec<Cause> = causes(&with(&[reader, nodes], false)).into_iter().map(|(cause, _)| cause).collect();
    assert!(found.contains(&Cause::AuthReaderMissing) && found.contains(&Cause::ListPermissionMissing), "{found:?}");
    // The bindings are there: an API server that has just started refuses everybody for a moment.
    let fresh = reader.replace("11:58:50", "11:59:50");
    assert_eq!(causes(&with(&[&fresh], false)), []);
    let unbound = Snapshot { role_bindings: Collection::complete([]), ..with(&[&fresh], false) };
    assert!(causes(&unbound).iter().any(|(cause, _)| *cause == Cause::AuthReaderMissing));
}

#[test]
fn without_a_way_to_the_api_server_nothing_is_said_not_to_apply() {
    let unreachable = NotSeen::Unreachable("refused".to_owned());
    let snapshot = Snapshot {
        api_services: Collection::unseen(unreachable.clone()),
        logs: Collection::complete([]),
        pods: Collection::unseen(unreachable.clone()),
        workloads: Collection::unseen(unreachable.clone()),
        services: Collection::unseen(unreachable.clone()),
        top_nodes: Observed::NotSeen(unreachable.clone()),
        top_pods: Observed::NotSeen(unreachable.clone()),
        ..healthy()
    };
    for (step, check) in
        [(Step::Logs, "lines"), (Step::Retrieve, "nodes"), (Step::Retrieve, "coverage"), (Step::Retrieve, "freshness")]
    {
        assert_eq!(run(step, check, &snapshot).status, Status::Unknown, "{check}");
    }
}

#[test]
fn every_cause_of_scrapes_is_declared() {
    let declared = super::CHECKS[0].causes;
    let scrapes = catalogue::all().iter().filter(|entry| entry.stage == Stage::KubeletScrapes);
    let missing: Vec<&str> = scrapes.filter(|entry| !declared.contains(&entry.cause)).map(|entry| entry.id).collect();
    assert_eq!(missing, ["egress_policy_blocks"], "policies are read and not logged");
}

/// Nobody was asked, and a kubelet asks for a certificate since `seconds`, with this outcome.
fn asking(seconds: i64, outcome: &str, ready: bool) -> Snapshot {
    let mut snapshot = with(&[], ready);
    let node = snapshot.nodes.iter().find(|node| node.name() == "node-1").cloned();
    snapshot.nodes = Collection::complete(node);
    let conditions = if outcome.is_empty() { json!([]) } else { json!([{"type": outcome, "status": "True"}]) };
    let request = |name: &str, seconds: i64, conditions: serde_json::Value| {
        object::<CertificateSigningRequest>(json!({
            "metadata": {"name": name, "creationTimestamp": at(-seconds)},
            "spec": {"signerName": "kubernetes.io/kubelet-serving", "username": "system:node:node-1"},
            "status": {"conditions": conditions}
        }))
    };
    snapshot.certificate_signing_requests = Collection::complete([request("csr-1", seconds, conditions)]);
    snapshot
}

#[test]
fn a_request_that_nobody_approves_is_a_missing_certificate_where_nothing_serves() {
    for outcome in ["", "Denied", "Failed"] {
        let answer = run(Step::Logs, "lines", &asking(3_600, outcome, false));
        assert_eq!(
            answer.findings.first().map(|found| found.cause),
            Some(Cause::KubeletCertificateMissing),
            "{outcome}"
        );
    }
    assert_eq!(causes(&asking(3_600, "Approved", false)), []);
    assert_eq!(causes(&asking(60, "", false)), [], "whoever approves needs a moment");
}

#[test]
fn a_request_beside_a_server_that_serves_is_a_suspicion_until_a_sample_is_missing_or_there() {
    let suspected = |snapshot: &Snapshot| run(Step::Logs, "lines", snapshot).suspected;
    let unseen = asking(3_600, "", true);
    assert_eq!((causes(&unseen), suspected(&unseen)), (vec![], vec![Cause::KubeletCertificateMissing]));
    let sampled = Snapshot { top_nodes: healthy().top_nodes, ..asking(3_600, "", true) };
    assert_eq!((causes(&sampled), suspected(&sampled)), (vec![], vec![]), "it rotates its certificate");
    let mut missing = asking(3_600, "", true);
    missing.top_nodes = Observed::Present(Retrieval {
        outcome: retrieval::Outcome::Samples(vec![retrieval::Sample {
            name: "node-9".to_owned(),
            ..Default::default()
        }]),
        latency: None,
    });
    assert_eq!(causes(&missing).first().map(|(cause, _)| *cause), Some(Cause::KubeletCertificateMissing));
    let mut unverified = asking(3_600, "", false);
    let mut pod = unverified.pods.iter().next().cloned().expect("a pod");
    pod.spec.containers[0].args.push("--kubelet-insecure-tls".to_owned());
    unverified.pods = Collection::complete([pod]);
    assert_eq!(causes(&unverified), [], "an old certificate may be there, and nobody looks at its dates");
}
