//! Service of the core group.

use std::{collections::BTreeMap, fmt};

use serde::Deserialize;

use super::{Metadata, Named, metadata::or_default};

/// A Service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Name, namespace, labels.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// Selector and ports.
    #[serde(deserialize_with = "or_default")]
    pub spec: ServiceSpec,
}

/// `spec` of a Service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// `ClusterIP` where empty.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    /// Labels that a pod must carry; empty means that no controller manages the endpoints.
    #[serde(deserialize_with = "or_default")]
    pub selector: BTreeMap<String, String>,
    /// Ports.
    #[serde(deserialize_with = "or_default")]
    pub ports: Vec<ServicePort>,
    /// `None` for headless Services, in the literal sense of the word.
    #[serde(rename = "clusterIP", deserialize_with = "or_default")]
    pub cluster_ip: String,
}

/// One port of a Service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServicePort {
    /// Empty where the Service has one port without a name.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// TCP where empty.
    #[serde(deserialize_with = "or_default")]
    pub protocol: String,
    /// What clients of the Service dial.
    pub port: u16,
    /// What the pods are dialled on.
    pub target_port: Option<IntOrString>,
}

/// A port by number or by name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum IntOrString {
    /// A number.
    Int(u16),
    /// The name of a container port, or a number in quotes.
    String(String),
}

impl fmt::Display for IntOrString {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(number) => write!(formatter, "{number}"),
            Self::String(name) => formatter.write_str(name),
        }
    }
}

/// How a Service leads to a port of its pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetPort<'a> {
    /// This number, whatever the containers declare.
    Number(u16),
    /// The container port with this name and protocol.
    Name(&'a str),
}

impl ServicePort {
    /// The protocol, TCP where unset.
    pub fn effective_protocol(&self) -> &str {
        if self.protocol.is_empty() { "TCP" } else { &self.protocol }
    }

    /// Where this port leads: omitted, 0 and the empty name mean the Service port's own number
    /// (kubernetes/endpointslice `FindPort`; API defaulting of `targetPort`).
    pub fn effective_target_port(&self) -> TargetPort<'_> {
        match &self.target_port {
            None | Some(IntOrString::Int(0)) => TargetPort::Number(self.port),
            Some(IntOrString::Int(number)) => TargetPort::Number(*number),
            Some(IntOrString::String(name)) if name.is_empty() => TargetPort::Number(self.port),
            Some(IntOrString::String(name)) => TargetPort::Name(name),
        }
    }
}

impl Service {
    /// The port with that number.
    pub fn port(&self, number: u16) -> Option<&ServicePort> {
        self.spec.ports.iter().find(|port| port.port == number)
    }

    /// Whether the aggregator checks its ports and endpoints itself: only type `ClusterIP`, headless included
    /// (kubernetes/kube-aggregator `pkg/controllers/status/remote/remote_available_controller.go`).
    pub fn is_cluster_ip(&self) -> bool {
        self.spec.kind.is_empty() || self.spec.kind == "ClusterIP"
    }
}

impl Named for Service {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}
