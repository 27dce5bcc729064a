//! `NetworkPolicies`.

use serde::Deserialize;

use super::{Metadata, Named, metadata::or_default, service::IntOrString, workload::LabelSelector};

/// A `NetworkPolicy` of `networking.k8s.io/v1`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NetworkPolicy {
    /// Name and namespace.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// Whom it selects and what it allows.
    #[serde(deserialize_with = "or_default")]
    pub spec: NetworkPolicySpec,
}

/// `spec` of a `NetworkPolicy`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkPolicySpec {
    /// The pods; empty selects all of the namespace.
    #[serde(deserialize_with = "or_default")]
    pub pod_selector: LabelSelector,
    /// `Ingress`, `Egress`; where unset: Ingress, and Egress if there are egress rules.
    #[serde(deserialize_with = "or_default")]
    pub policy_types: Vec<String>,
    /// What may come in.
    #[serde(deserialize_with = "or_default")]
    pub ingress: Vec<NetworkPolicyRule>,
    /// What may go out.
    #[serde(deserialize_with = "or_default")]
    pub egress: Vec<NetworkPolicyRule>,
}

/// One ingress or egress rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NetworkPolicyRule {
    /// Sources of an ingress rule; empty means all.
    #[serde(deserialize_with = "or_default")]
    pub from: Vec<NetworkPolicyPeer>,
    /// Destinations of an egress rule; empty means all.
    #[serde(deserialize_with = "or_default")]
    pub to: Vec<NetworkPolicyPeer>,
    /// Ports; empty means all.
    #[serde(deserialize_with = "or_default")]
    pub ports: Vec<NetworkPolicyPort>,
}

/// One peer of a rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkPolicyPeer {
    /// Pods with these labels.
    pub pod_selector: Option<LabelSelector>,
    /// Addresses.
    pub ip_block: Option<IpBlock>,
}

/// A range of addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct IpBlock {
    /// The range.
    #[serde(deserialize_with = "or_default")]
    pub cidr: String,
    /// Ranges inside that are left out.
    #[serde(deserialize_with = "or_default")]
    pub except: Vec<String>,
}

/// One port of a rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkPolicyPort {
    /// TCP where empty.
    #[serde(deserialize_with = "or_default")]
    pub protocol: String,
    /// Number or name of the pod's port; all where unset.
    pub port: Option<IntOrString>,
    /// The last port of a range.
    pub end_port: Option<u16>,
}

impl Named for NetworkPolicy {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}
