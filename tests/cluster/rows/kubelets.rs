//! Kubelets that metrics-server cannot scrape, and samples that are not there.

use std::{sync::atomic::Ordering, time::Duration};

use testbed::{
    firewall::{self, Action, Fault as Rule, Path},
    kubelet::{MetricsFault, ServingCertificate},
};

use super::network::old_pods;
use crate::{
    cluster::Cluster,
    matrix::{DOWN, Expected, Fault, HEALTHY, Kind, Row, Shown},
};

/// No node is scraped: metrics-server has nothing to serve and is not Ready, and the logs tell why.
const fn on_all_nodes(verdict: &'static str) -> Expected {
    Expected { verdict, checks: &[("logs/lines", "fail"), ("connection_refused/port_chain", "pass")], ..DOWN }
}

/// One node of two is not scraped: metrics-server serves the other.
const fn on_one_node(verdict: &'static str) -> Expected {
    Expected { verdict, checks: &[("logs/lines", "fail"), ("apiservice/available", "pass")], ..HEALTHY }
}

const fn fault(inject: fn(&Cluster), expected: Expected) -> Kind {
    let shown = if expected.available { Shown::AtOnce } else { Shown::Reason("MissingEndpoints") };
    Kind::Fault(Fault::new(inject, shown, expected, heal).looked_for())
}

/// How kubelets answer.
pub(crate) const ANSWERS: &[Row] = &[
    Row {
        name: "kubelet certificate without the address",
        injection: "the kubelet serves with a certificate for a name only; metrics-server verifies it for real",
        kind: fault(
            |cluster| cluster.bed.kubelet.serve_with(ServingCertificate::WithoutAddress),
            on_all_nodes("logs/kubelet_certificate_names"),
        ),
    },
    Row {
        name: "kubelet certificate of an unknown authority",
        injection: "the kubelet serves with a certificate that another authority signed",
        kind: fault(
            |cluster| cluster.bed.kubelet.serve_with(ServingCertificate::UnknownAuthority),
            on_all_nodes("logs/kubelet_certificate_authority"),
        ),
    },
    Row {
        name: "kubelet certificate expired",
        injection: "the kubelet serves with a certificate that expired in 2020",
        kind: fault(
            |cluster| cluster.bed.kubelet.serve_with(ServingCertificate::Expired),
            on_all_nodes("logs/kubelet_certificate_expired"),
        ),
    },
    Row {
        name: "kubelets without serving certificate",
        injection: "kubelets end the handshake with TLS alert internal error, as while their request for a certificate waits for approval; pods/log fails alike",
        kind: fault(
            |cluster| cluster.bed.kubelet.serve_with(ServingCertificate::Missing),
            Expected {
                checks: &[("logs/lines", "fail"), ("connection_refused/port_chain", "pass")],
                ..on_all_nodes("logs/kubelet_certificate_missing")
            },
        ),
    },
    Row {
        name: "kubelet 401",
        injection: "every kubelet answers 401 Unauthorized",
        kind: fault(
            |cluster| cluster.bed.kubelet.fault(None, MetricsFault::Status(401)),
            on_all_nodes("logs/kubelet_unauthorized"),
        ),
    },
    Row {
        name: "kubelet 403 on one node of two",
        injection: "one kubelet answers 403 Forbidden although the permission is granted",
        kind: fault(
            |cluster| cluster.bed.kubelet.fault(Some("node-2"), MetricsFault::Status(403)),
            on_one_node("logs/kubelet_forbidden"),
        ),
    },
    Row {
        name: "kubelet 404",
        injection: "every kubelet answers 404 Not Found",
        kind: fault(
            |cluster| cluster.bed.kubelet.fault(None, MetricsFault::Status(404)),
            on_all_nodes("logs/kubelet_not_found"),
        ),
    },
    Row {
        name: "kubelet answers garbage",
        injection: "every kubelet answers an HTML page",
        kind: fault(
            |cluster| cluster.bed.kubelet.fault(None, MetricsFault::Garbage),
            on_all_nodes("logs/kubelet_output_unparsable"),
        ),
    },
];

/// The way to kubelets.
pub(crate) const WAY: &[Row] = &[
    Row {
        name: "kubelet slow on one node of two",
        injection: "one kubelet answers after 8 s, later than --kubelet-request-timeout",
        kind: fault(
            |cluster| cluster.bed.kubelet.fault(Some("node-2"), MetricsFault::Slow(Duration::from_secs(8))),
            on_one_node("logs/kubelet_timeout"),
        ),
    },
    Row {
        name: "way to the kubelets closed",
        injection: "nftables drops the pods' packets to port 10250 of the nodes",
        kind: fault(|_| begin(Action::Drop), on_all_nodes("logs/kubelet_timeout")),
    },
    Row {
        name: "NetworkPolicy without way out",
        injection: "a NetworkPolicy without egress rules selects the pods, and nftables drops as its controller would",
        kind: Kind::Fault(
            Fault::new(
                |cluster| {
                    cluster.kubectl().apply(EGRESS_POLICY);
                    begin(Action::Drop);
                },
                Shown::Reason("MissingEndpoints"),
                Expected { verdict: "timeout/egress_policy_blocks", ..DOWN },
                |cluster| {
                    heal(cluster);
                    cluster.kubectl().words("delete networkpolicy shut-in -n kube-system");
                },
            )
            .looked_for(),
        ),
    },
    Row {
        name: "kubelets refuse connections",
        injection: "nftables answers the pods' packets to port 10250 of the nodes with a TCP reset",
        kind: fault(|_| begin(Action::Reset), on_all_nodes("logs/kubelet_refused")),
    },
    Row {
        name: "no route to the kubelets",
        injection: "nftables rejects the pods' packets to port 10250 of the nodes with ICMP host unreachable",
        kind: fault(|_| begin(Action::HostUnreachable), on_all_nodes("logs/kubelet_unreachable")),
    },
    Row {
        name: "node names that nobody resolves",
        injection: "the nodes have only an address of type Hostname, which the name server does not know",
        kind: fault(
            |cluster| {
                for node in ["node-1", "node-2"] {
                    addresses(cluster, node, &format!(r#"{{"type":"Hostname","address":"{node}"}}"#));
                }
            },
            on_all_nodes("logs/node_name_unresolvable"),
        ),
    },
    Row {
        name: "pod not Ready",
        injection: "the readiness probe is reported as failing, though the process runs",
        kind: Kind::Fault(Fault::new(
            |cluster| {
                old_pods(cluster);
                cluster.bed.pod_faults.not_ready.store(true, Ordering::Relaxed);
            },
            Shown::Reason("MissingEndpoints"),
            Expected {
                verdict: "other_reasons/pods_not_ready",
                checks: &[
                    ("other_reasons/endpoints", "fail"),
                    ("connection_refused/container", "pass"),
                    ("connection_refused/port_chain", "pass"),
                ],
                ..DOWN
            },
            |cluster| cluster.bed.pod_faults.heal(),
        )),
    },
];

/// What kubelets leave out, on nodes that come and go: rows that need a pod that has been Ready for some time come last.
pub(crate) const SAMPLES: &[Row] = &[
    Row {
        name: "node added and removed",
        injection: "a third node comes, is scraped and goes",
        kind: Kind::Quiet(|cluster| {
            cluster.bed.create_nodes(3..=3).expect("a node");
            cluster.bed.await_healthy().unwrap_or_else(|error| panic!("{error:#}"));
            cluster.kubectl().words("delete node node-3");
            std::thread::sleep(Duration::from_secs(12));
        }),
    },
    Row {
        name: "Fargate-style node",
        injection: "metrics-server's own node has the label of Fargate, and its kubelet cannot be reached",
        kind: Kind::Quiet(|cluster| {
            let words = "get pod -n kube-system -l k8s-app=metrics-server -o jsonpath={.items[0].spec.nodeName}";
            let node = cluster.kubectl().words(words);
            cluster.kubectl().words(&format!("label node {node} eks.amazonaws.com/compute-type=fargate"));
            cluster.bed.kubelet.fault(Some(&node), MetricsFault::Status(403));
            // Two looks of the doctor and four scrapes of metrics-server.
            std::thread::sleep(Duration::from_secs(65));
            cluster.bed.kubelet.heal();
            // And one more, so that the node has a sample before it is a node like any other.
            std::thread::sleep(Duration::from_secs(50));
            cluster.kubectl().words(&format!("label node {node} eks.amazonaws.com/compute-type-"));
        }),
    },
    Row {
        name: "a node's own values missing",
        injection: "one kubelet leaves the node's processor and memory out of its page",
        kind: Kind::Fault(
            Fault::new(
                |cluster| {
                    old_pods(cluster);
                    old_node(cluster);
                    cluster.bed.kubelet.fault(Some("node-2"), MetricsFault::WithoutNode);
                },
                Shown::AtOnce,
                Expected {
                    verdict: "retrieve/nodes_without_samples",
                    checks: &[("retrieve/coverage", "fail"), ("apiservice/available", "pass")],
                    ..HEALTHY
                },
                heal,
            )
            .looked_for(),
        ),
    },
    Row {
        name: "a container's memory is zero",
        injection: "kubelets report no memory for metrics-server's container: it drops the pod; another pod of its namespace has samples",
        kind: Kind::Fault(
            Fault::new(
                |cluster| {
                    cluster.kubectl().apply(NEIGHBOUR);
                    old_pods(cluster);
                    ready_pod(cluster);
                    cluster.bed.kubelet.fault(None, MetricsFault::EmptyContainers("metrics-server".to_owned()));
                },
                Shown::AtOnce,
                Expected {
                    verdict: "retrieve/pods_without_samples",
                    checks: &[("retrieve/coverage", "fail"), ("apiservice/available", "pass")],
                    ..HEALTHY
                },
                |cluster| {
                    heal(cluster);
                    cluster.kubectl().words("delete deployment neighbour -n kube-system");
                },
            )
            .looked_for(),
        ),
    },
    Row {
        name: "samples stand still",
        injection: "kubelets report values that were measured at one and the same moment",
        kind: Kind::Fault(Fault {
            within: Duration::from_mins(4),
            ..Fault::new(
                |cluster| cluster.bed.kubelet.fault(None, MetricsFault::Frozen(jiff::Timestamp::now())),
                Shown::AtOnce,
                Expected { verdict: "retrieve/samples_stale", checks: &[("retrieve/freshness", "fail")], ..HEALTHY },
                heal,
            )
        }),
    },
];

const EGRESS_POLICY: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: shut-in, namespace: kube-system, labels: {testbed: fault}}
spec:
  podSelector: {matchLabels: {k8s-app: metrics-server}}
  policyTypes: [Egress]
";

const NEIGHBOUR: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: neighbour, namespace: kube-system, labels: {testbed: fault}}
spec:
  selector: {matchLabels: {app: neighbour}}
  template:
    metadata: {labels: {app: neighbour}}
    spec: {containers: [{name: neighbour, image: 'neighbour:1'}]}
";

fn begin(action: Action) {
    Rule::begin(Path::PodsToKubelets, testbed::kubelet::PORT, action).expect("nftables").keep();
}

fn addresses(cluster: &Cluster, node: &str, addresses: &str) {
    let patch = format!(r#"[{{"op":"replace","path":"/status/addresses","value":[{addresses}]}}]"#);
    let arguments = ["patch", "node", node, "--subresource=status", "--type=json", "-p", patch.as_str()];
    cluster.kubectl().run(&arguments).unwrap_or_else(|error| panic!("{error:#}"));
}

/// A pod that has just become Ready may be without samples.
fn ready_pod(cluster: &Cluster) {
    testbed::wait::wait_for("the pod to be Ready for long enough", Duration::from_secs(170), || {
        let words = "get pod -n kube-system -l k8s-app=metrics-server \
                     -o jsonpath={.items[0].status.conditions[?(@.type==\"Ready\")].lastTransitionTime}";
        let since: jiff::Timestamp = cluster.kubectl().try_words(words)?.parse()?;
        anyhow::ensure!(jiff::Timestamp::now().duration_since(since).as_secs() > 151, "it is Ready since {since}");
        Ok(())
    })
    .expect("a Ready pod");
}

/// A node that has just come may be without samples.
fn old_node(cluster: &Cluster) {
    testbed::wait::wait_for("the node to be old enough", Duration::from_secs(170), || {
        let words = "get node node-2 -o jsonpath={.metadata.creationTimestamp}";
        let created: jiff::Timestamp = cluster.kubectl().try_words(words)?.parse()?;
        anyhow::ensure!(jiff::Timestamp::now().duration_since(created).as_secs() > 151, "it is too young");
        Ok(())
    })
    .expect("an old node");
}

pub(super) fn heal(cluster: &Cluster) {
    firewall::clear();
    cluster.bed.kubelet.heal();
    let kubelet = testbed::isolation::KUBELET_ADDRESS;
    for node in ["node-1", "node-2"] {
        addresses(
            cluster,
            node,
            &format!(r#"{{"type":"InternalIP","address":"{kubelet}"}},{{"type":"Hostname","address":"{node}"}}"#),
        );
    }
}
