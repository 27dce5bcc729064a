//! Nodes.

use jiff::Timestamp;
use serde::Deserialize;

use super::{
    Condition, ConditionStatus, Metadata, Named,
    metadata::{condition, or_default},
};

/// A node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Node {
    /// Name and labels.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// Addresses and conditions.
    #[serde(deserialize_with = "or_default")]
    pub status: NodeStatus,
}

/// `status` of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeStatus {
    /// Addresses by type.
    #[serde(deserialize_with = "or_default")]
    pub addresses: Vec<NodeAddress>,
    /// Ready and pressure conditions.
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<Condition>,
    /// Versions and architecture.
    #[serde(deserialize_with = "or_default")]
    pub node_info: NodeInfo,
}

/// One address of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NodeAddress {
    /// `InternalIP`, `ExternalIP`, `Hostname`.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    /// The address.
    #[serde(deserialize_with = "or_default")]
    pub address: String,
}

/// `status.nodeInfo` of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeInfo {
    /// The kubelet's version.
    #[serde(deserialize_with = "or_default")]
    pub kubelet_version: String,
    /// For example `arm64`.
    #[serde(deserialize_with = "or_default")]
    pub architecture: String,
}

impl Node {
    /// Whether the Ready condition is True.
    pub fn is_ready(&self) -> bool {
        condition(&self.status.conditions, "Ready").is_some_and(|ready| ready.status == ConditionStatus::True)
    }

    /// Since when the node is Ready.
    pub fn ready_since(&self) -> Option<Timestamp> {
        condition(&self.status.conditions, "Ready").and_then(|ready| ready.last_transition_time)
    }

    /// When the kubelet last wrote the node's status.
    pub fn last_heartbeat(&self) -> Option<Timestamp> {
        self.status.conditions.iter().filter_map(|condition| condition.last_heartbeat_time).max()
    }

    /// Whether a program that is no kubelet keeps it (Virtual Kubelet: virtual nodes of AKS, Liqo and others). Many of
    /// them serve no metrics.
    pub fn is_virtual(&self) -> bool {
        ["type", "kubernetes.io/role"].iter().any(|key| {
            self.metadata.labels.get(*key).is_some_and(|kind| kind == "virtual-kubelet" || kind == "virtual-node")
        })
    }

    /// Whether it runs the control plane: its label says so (the second one up to Kubernetes 1.23).
    pub fn is_control_plane(&self) -> bool {
        [
            "node-role.kubernetes.io/control-plane",
            "node-role.kubernetes.io/controlplane",
            "node-role.kubernetes.io/master",
        ]
        .iter()
        .any(|label| self.metadata.labels.contains_key(*label))
    }

    /// Whether it is a machine of EKS, GKE or AKS, whose control plane is the cloud's.
    pub fn is_of_cloud(&self) -> bool {
        const PREFIXES: [&str; 4] =
            ["eks.amazonaws.com/", "alpha.eksctl.io/", "cloud.google.com/gke-", "kubernetes.azure.com/"];
        let labelled = self.metadata.labels.keys().any(|key| PREFIXES.iter().any(|prefix| key.starts_with(prefix)));
        let kubelet = &self.status.node_info.kubelet_version;
        labelled || kubelet.contains("-eks-") || kubelet.contains("-gke.")
    }

    /// Whether it is a Fargate micro-VM of EKS.
    pub fn is_fargate(&self) -> bool {
        self.metadata.labels.get("eks.amazonaws.com/compute-type").is_some_and(|kind| kind == "fargate")
            || self.metadata.name.starts_with("fargate-")
    }
}

impl Named for Node {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}
