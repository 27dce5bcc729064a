//! Causes of step `timeout`: security groups, network ACL, `NetworkPolicy`.

use super::{Cause, Entry, Role, Stage};
use crate::steps::Step;

pub(super) static CAUSES: &[Entry] = &[
    Entry {
        cause: Cause::NetworkPolicyBlocks,
        id: "network_policy_blocks",
        step: Step::Timeout,
        stage: Stage::NetworkPath,
        role: Role::Root,
        title: "A NetworkPolicy lets nothing in on metrics-server's port.",
        recognised_by: "a NetworkPolicy with ingress rules selects the pods, and no rule allows the listen port from outside the pod network",
        remedy: "Allow ingress on the pod's port (not the Service's) from the control plane: `kubectl get networkpolicy -n NAMESPACE`.",
        guide: "",
        issues: &["k3s-io/k3s#4496"],
    },
    Entry {
        cause: Cause::ControlPlanePathClosed,
        id: "control_plane_path_closed",
        step: Step::Timeout,
        stage: Stage::NetworkPath,
        role: Role::Root,
        title: "Packets from the control plane to the metrics-server pods are dropped.",
        recognised_by: "the aggregator's calls time out while the pods are Ready, that is, answer their probes on the same port",
        remedy: "Open the pod's port (TCP, the one that metrics-server listens on, often 10250, 10251 or 4443) from the control plane's security group to the nodes' and in the network ACL; without routes from the control plane to pods use hostNetwork.",
        guide: "Check your security groups and network ACL.",
        issues: &["#1010", "#1024", "terraform-aws-modules/terraform-aws-eks#1809"],
    },
    Entry {
        cause: Cause::NoRoute,
        id: "no_route",
        step: Step::Timeout,
        stage: Stage::NetworkPath,
        role: Role::Root,
        title: "The control plane has no route to the metrics-server pods.",
        recognised_by: "`no route to host` or `network is unreachable` in the APIService's condition",
        remedy: "Check the pods' node, its firewall (firewalld, iptables REJECT) and the routes between control plane and pod network; hostNetwork avoids the pod network.",
        guide: "",
        issues: &["#424", "#457"],
    },
];
