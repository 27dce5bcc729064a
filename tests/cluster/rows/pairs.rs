//! Two independent faults at once.

use crate::matrix::{Kind, Pair, Row};

const fn pair(name: &'static str, upstream: &'static str, other: &'static str) -> Row {
    Row {
        name,
        injection: "the faults of the two rows, the one downstream first",
        kind: Kind::Pair(Pair { upstream, other }),
    }
}

/// With one that closes the way to metrics-server.
pub(crate) const ON_THE_WAY: &[Row] = &[
    // Before those of kubelets: what a log tells of them stands for a while where no samples can be asked for.
    pair("selector and aws-auth", "selector matches nothing", "aws-auth role mapped twice"),
    pair("Service port and kubelet certificates", "wrong Service port", "kubelet certificate without the address"),
    pair("targetPort and a missing target", "wrong targetPort, a number", "HPA target missing"),
    pair(
        "dropped packets and a refusing kubelet",
        "packets of the control plane dropped",
        "kubelet 403 on one node of two",
    ),
    pair("no replicas and a missing request", "replicas 0", "HPA on pods with a sidecar without request"),
    pair("NetworkPolicy and two HPAs", "NetworkPolicy", "two HPAs on one selector"),
    pair("CA bundle and a slow kubelet", "CA bundle missing", "kubelet slow on one node of two"),
    pair("Service and serving certificates", "Service missing", "kubelets without serving certificate"),
];

/// Of which none closes the way to metrics-server.
pub(crate) const BESIDE_THE_WAY: &[Row] = &[
    // Nobody was seen to be refused for aws-auth, while an autoscaler stands still.
    pair("aws-auth and a missing request", "HPA on pods with a sidecar without request", "aws-auth without username"),
    pair("auth-delegator and a missing target", "auth-delegator missing", "HPA target missing"),
    pair(
        "a slow kubelet and a forbidden caller",
        "kubelet slow on one node of two",
        "autoscalers' controller forbidden",
    ),
    pair(
        "another metrics API and a missing request",
        "external metrics API unavailable",
        "HPA on pods with a sidecar without request",
    ),
    pair("nodes/metrics and a missing target", "nodes/metrics missing", "HPA target missing"),
    pair("a refusing kubelet and aws-auth", "kubelet 403 on one node of two", "aws-auth without username"),
];
