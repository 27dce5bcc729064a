//! What an observer has seen of a cluster at one moment.
//!
//! Observers (watches, probes, the bundle reader, the demo) fill a [`Snapshot`]; checks read nothing else. *Not seen*
//! (not synced, forbidden, unreachable, not in the bundle) and *absent* are different values of [`Observed`], and a
//! [`Collection`] knows which part of the cluster it has seen in full, so that nothing counts as absent only because
//! nobody looked there.

pub mod access_review;
pub mod api_server;
pub mod api_service;
pub mod certificate_signing_request;
pub mod collection;
pub mod config_map;
pub mod custom_resource_definition;
pub mod dial;
pub mod endpoints;
pub mod event;
pub mod horizontal_pod_autoscaler;
pub mod log;
pub mod metadata;
pub mod namespace;
pub mod network_policy;
pub mod node;
pub mod observed;
pub mod pod;
pub mod quantity;
pub mod rbac;
pub mod reference;
pub mod remark;
pub mod retrieval;
pub mod scale;
pub mod service;
pub mod version;
pub mod workload;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

pub use self::{
    access_review::AccessReview,
    api_service::ApiService,
    certificate_signing_request::CertificateSigningRequest,
    collection::{Collection, Listing, Named, Scope},
    config_map::ConfigMap,
    custom_resource_definition::CustomResourceDefinition,
    dial::{Dial, DialOutcome},
    endpoints::EndpointSlice,
    event::Event,
    horizontal_pod_autoscaler::HorizontalPodAutoscaler,
    log::ContainerLog,
    metadata::{Condition, ConditionStatus, Metadata},
    namespace::Namespace,
    network_policy::NetworkPolicy,
    node::Node,
    observed::{NotSeen, Observed},
    pod::Pod,
    quantity::Quantity,
    rbac::{Role, RoleBinding, ServiceAccount},
    reference::ObjectReference,
    remark::Remark,
    retrieval::Retrieval,
    scale::{Scale, TargetObject},
    service::Service,
    version::KubernetesVersion,
    workload::Workload,
};

/// From where a snapshot was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A live cluster.
    #[default]
    Cluster,
    /// A support bundle on disk, or the embedded sample cluster.
    Bundle,
}

/// Everything that the checks may know.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The moment from which ages count: the clock for a cluster, `observed-at.txt` for a bundle.
    pub observed_at: Timestamp,
    /// Cluster or bundle.
    pub source: Source,
    /// The API server's version.
    pub server_version: Observed<KubernetesVersion>,
    /// `APIService` objects of `apiregistration.k8s.io`.
    pub api_services: Collection<ApiService>,
    /// Services.
    pub services: Collection<Service>,
    /// `EndpointSlices`, and Endpoints turned into the same form where only those were seen.
    pub endpoint_slices: Collection<EndpointSlice>,
    /// Pods, by the selectors that are needed.
    pub pods: Collection<Pod>,
    /// Deployments, `DaemonSets`, `StatefulSets` and `ReplicaSets`.
    pub workloads: Collection<Workload>,
    /// Nodes.
    pub nodes: Collection<Node>,
    /// `HorizontalPodAutoscalers`.
    pub autoscalers: Collection<HorizontalPodAutoscaler>,
    /// Answers of the scale subresource, for the targets that were asked for.
    pub scales: Collection<Scale>,
    /// Targets of autoscalers, of kinds that are not read otherwise, that were seen to be there.
    pub scale_targets: BTreeSet<TargetObject>,
    /// `ServiceAccounts`.
    pub service_accounts: Collection<ServiceAccount>,
    /// Roles (with a namespace) and `ClusterRoles` (without).
    pub roles: Collection<Role>,
    /// `RoleBindings` (with a namespace) and `ClusterRoleBindings` (without).
    pub role_bindings: Collection<RoleBinding>,
    /// `ConfigMaps`: only `kube-system/aws-auth` and `kube-system/extension-apiserver-authentication` are kept.
    pub config_maps: Collection<ConfigMap>,
    /// `NetworkPolicies`.
    pub network_policies: Collection<NetworkPolicy>,
    /// Requests for certificates.
    pub certificate_signing_requests: Collection<CertificateSigningRequest>,
    /// Definitions of the kinds that blind autoscalers scale, where these are not built in.
    pub custom_resource_definitions: Collection<CustomResourceDefinition>,
    /// Namespaces, from bundles alone.
    pub namespaces: Collection<Namespace>,
    /// Events. Of a live cluster those of metrics-server's pods that are not Ready or were started anew lately: a namespace that was
    /// seen in full stands for these.
    pub events: Collection<Event>,
    /// Logs of metrics-server's containers.
    pub logs: Collection<ContainerLog>,
    /// What `kubectl top nodes` or the same call got.
    pub top_nodes: Observed<Retrieval>,
    /// What `kubectl top pods` or the same call got.
    pub top_pods: Observed<Retrieval>,
    /// Since when every call that the doctor itself makes of the metrics API fails; of a live cluster alone.
    pub calls_failing_since: Option<Timestamp>,
    /// When condition `Available` of an `APIService` was seen to change in the last minutes, oldest first; of a live cluster alone.
    pub condition_changes: BTreeMap<String, Vec<Timestamp>>,
    /// What the doctor's own dials of metrics-server's endpoints got.
    pub dials: Observed<Vec<Dial>>,
    /// What the API server says about the permissions of metrics-server's account.
    pub access_reviews: Observed<Vec<AccessReview>>,
    /// TCP ports on which something listens in metrics-server's own network namespace: seen only by a sidecar.
    pub listening_ports: Observed<BTreeSet<u16>>,
    /// What others say of the metrics API in the other logs and texts of a bundle, oldest first.
    pub remarks: Vec<Remark>,
    /// What could not be read, in the words of the observer; told in the report, never judged.
    pub notices: Vec<String>,
}
