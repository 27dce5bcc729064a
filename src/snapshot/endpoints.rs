//! `EndpointSlices` (`discovery.k8s.io` `v1` and `v1beta1`), and Endpoints turned into the same form.

use serde::Deserialize;

use super::{Metadata, Named, metadata::or_default};

/// The label that names a slice's Service.
pub const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// Some of the addresses behind a Service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointSlice {
    /// Label `kubernetes.io/service-name` names the Service.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// Addresses with their conditions.
    #[serde(deserialize_with = "or_default")]
    pub endpoints: Vec<Endpoint>,
    /// Ports that all endpoints of this slice have.
    #[serde(deserialize_with = "or_default")]
    pub ports: Vec<EndpointPort>,
    /// Whether this was an Endpoints object, which the aggregator reads only up to Kubernetes 1.33.
    #[serde(skip)]
    pub from_endpoints: bool,
}

/// One endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Endpoint {
    /// Addresses of one backend; all are the same endpoint.
    #[serde(deserialize_with = "or_default")]
    pub addresses: Vec<String>,
    /// Whether it is ready.
    #[serde(deserialize_with = "or_default")]
    pub conditions: EndpointConditions,
    /// The pod.
    pub target_ref: Option<TargetReference>,
    /// The pod's node (`v1`).
    #[serde(deserialize_with = "or_default")]
    pub node_name: String,
}

/// Conditions of an endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct EndpointConditions {
    /// `None` means ready.
    pub ready: Option<bool>,
}

/// Which object an endpoint belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct TargetReference {
    /// `Pod` as a rule.
    #[serde(deserialize_with = "or_default")]
    pub kind: String,
    /// Its namespace.
    #[serde(deserialize_with = "or_default")]
    pub namespace: String,
    /// Its name.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
}

/// A port of a slice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct EndpointPort {
    /// The Service port's name, empty where it has none.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// The number; a port without one is of no use to the aggregator.
    pub port: Option<u16>,
    /// TCP where empty.
    #[serde(deserialize_with = "or_default")]
    pub protocol: String,
}

impl Endpoint {
    /// Whether the aggregator may use it (`conditions.ready` nil or true).
    pub fn is_ready(&self) -> bool {
        self.conditions.ready.unwrap_or(true)
    }
}

impl EndpointSlice {
    /// The Service that this slice belongs to.
    pub fn service_name(&self) -> &str {
        self.metadata.labels.get(SERVICE_NAME_LABEL).map_or("", String::as_str)
    }
}

impl Named for EndpointSlice {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    // An Endpoints object has the name of its Service, and a slice written by hand may have it too.
    fn discriminator(&self) -> &str {
        if self.from_endpoints { "Endpoints" } else { "EndpointSlice" }
    }
}

/// Endpoints of the core group, deprecated since Kubernetes 1.33.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Endpoints {
    /// Named like the Service.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// Addresses by ports.
    #[serde(deserialize_with = "or_default")]
    pub subsets: Vec<Subset>,
}

/// One subset of Endpoints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Subset {
    /// Ready addresses.
    #[serde(deserialize_with = "or_default")]
    pub addresses: Vec<SubsetAddress>,
    /// Addresses of pods that are not Ready.
    #[serde(deserialize_with = "or_default")]
    pub not_ready_addresses: Vec<SubsetAddress>,
    /// Ports that all addresses have.
    #[serde(deserialize_with = "or_default")]
    pub ports: Vec<EndpointPort>,
}

/// An address of a subset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubsetAddress {
    /// The address.
    #[serde(deserialize_with = "or_default")]
    pub ip: String,
    /// The pod.
    pub target_ref: Option<TargetReference>,
    /// The pod's node.
    #[serde(deserialize_with = "or_default")]
    pub node_name: String,
}

impl Endpoints {
    /// The same addresses as slices, one for each subset (an Endpoints object without subsets gives one empty slice).
    pub fn into_slices(self) -> Vec<EndpointSlice> {
        let Self { mut metadata, subsets } = self;
        metadata.labels.insert(SERVICE_NAME_LABEL.to_owned(), metadata.name.clone());
        let slice =
            |metadata: Metadata, endpoints, ports| EndpointSlice { metadata, endpoints, ports, from_endpoints: true };
        if subsets.is_empty() {
            return vec![slice(metadata, Vec::new(), Vec::new())];
        }
        let numbered = |index: usize| {
            let name = if index == 0 { metadata.name.clone() } else { format!("{}#{index}", metadata.name) };
            Metadata { name, ..metadata.clone() }
        };
        subsets
            .into_iter()
            .enumerate()
            .map(|(index, subset)| {
                let endpoint = |address: SubsetAddress, ready| Endpoint {
                    addresses: vec![address.ip],
                    conditions: EndpointConditions { ready: Some(ready) },
                    target_ref: address.target_ref,
                    node_name: address.node_name,
                };
                let ready = subset.addresses.into_iter().map(|address| endpoint(address, true));
                let endpoints =
                    ready.chain(subset.not_ready_addresses.into_iter().map(|address| endpoint(address, false)));
                slice(numbered(index), endpoints.collect(), subset.ports)
            })
            .collect()
    }
}
