//! The kinds that are watched, as the API server knows them, and what is kept of their objects.

use std::{fmt, sync::Arc};

use serde::de::DeserializeOwned;

use crate::snapshot::{
    ApiService, CertificateSigningRequest, ConfigMap, EndpointSlice, HorizontalPodAutoscaler, Metadata, Named,
    NetworkPolicy, Node, Pod, Role, RoleBinding, Service, ServiceAccount, Workload, workload::WorkloadKind,
};

/// A kind that the observer watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WatchKind {
    /// `APIService`
    ApiService,
    /// `HorizontalPodAutoscaler`
    HorizontalPodAutoscaler,
    /// `Node`
    Node,
    /// `Service`
    Service,
    /// `EndpointSlice`
    EndpointSlice,
    /// `Deployment`
    Deployment,
    /// `DaemonSet`
    DaemonSet,
    /// `StatefulSet`
    StatefulSet,
    /// `Pod`
    Pod,
    /// `NetworkPolicy`
    NetworkPolicy,
    /// `ServiceAccount`
    ServiceAccount,
    /// `ClusterRole`
    ClusterRole,
    /// `ClusterRoleBinding`
    ClusterRoleBinding,
    /// `Role`
    Role,
    /// `RoleBinding`
    RoleBinding,
    /// `ConfigMap`
    ConfigMap,
    /// `CertificateSigningRequest`
    CertificateSigningRequest,
}

impl WatchKind {
    /// All kinds.
    pub const ALL: [Self; 17] = [
        Self::ApiService,
        Self::HorizontalPodAutoscaler,
        Self::Node,
        Self::Service,
        Self::EndpointSlice,
        Self::Deployment,
        Self::DaemonSet,
        Self::StatefulSet,
        Self::Pod,
        Self::NetworkPolicy,
        Self::ServiceAccount,
        Self::ClusterRole,
        Self::ClusterRoleBinding,
        Self::Role,
        Self::RoleBinding,
        Self::ConfigMap,
        Self::CertificateSigningRequest,
    ];

    /// As in the object's `kind`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ApiService => "APIService",
            Self::HorizontalPodAutoscaler => "HorizontalPodAutoscaler",
            Self::Node => "Node",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Deployment => "Deployment",
            Self::DaemonSet => "DaemonSet",
            Self::StatefulSet => "StatefulSet",
            Self::Pod => "Pod",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::ServiceAccount => "ServiceAccount",
            Self::ClusterRole => "ClusterRole",
            Self::ClusterRoleBinding => "ClusterRoleBinding",
            Self::Role => "Role",
            Self::RoleBinding => "RoleBinding",
            Self::ConfigMap => "ConfigMap",
            Self::CertificateSigningRequest => "CertificateSigningRequest",
        }
    }

    /// The plural, as in paths and in RBAC rules.
    pub const fn resource(self) -> &'static str {
        match self {
            Self::ApiService => "apiservices",
            Self::HorizontalPodAutoscaler => "horizontalpodautoscalers",
            Self::Node => "nodes",
            Self::Service => "services",
            Self::EndpointSlice => "endpointslices",
            Self::Deployment => "deployments",
            Self::DaemonSet => "daemonsets",
            Self::StatefulSet => "statefulsets",
            Self::Pod => "pods",
            Self::NetworkPolicy => "networkpolicies",
            Self::ServiceAccount => "serviceaccounts",
            Self::ClusterRole => "clusterroles",
            Self::ClusterRoleBinding => "clusterrolebindings",
            Self::Role => "roles",
            Self::RoleBinding => "rolebindings",
            Self::ConfigMap => "configmaps",
            Self::CertificateSigningRequest => "certificatesigningrequests",
        }
    }

    /// The API group, empty for the core group.
    pub const fn group(self) -> &'static str {
        match self {
            Self::ApiService => "apiregistration.k8s.io",
            Self::HorizontalPodAutoscaler => "autoscaling",
            Self::EndpointSlice => "discovery.k8s.io",
            Self::Deployment | Self::DaemonSet | Self::StatefulSet => "apps",
            Self::NetworkPolicy => "networking.k8s.io",
            Self::CertificateSigningRequest => "certificates.k8s.io",
            Self::ClusterRole | Self::ClusterRoleBinding | Self::Role | Self::RoleBinding => {
                "rbac.authorization.k8s.io"
            }
            Self::Node | Self::Service | Self::Pod | Self::ServiceAccount | Self::ConfigMap => "",
        }
    }

    /// The versions that can be read, the one to try first in front. `autoscaling/v2` exists since Kubernetes 1.23 and
    /// `discovery.k8s.io/v1` since 1.21, `certificates.k8s.io/v1` since 1.19; a server that lacks a version answers 404.
    pub const fn versions(self) -> &'static [&'static str] {
        match self {
            Self::HorizontalPodAutoscaler => &["v2", "v2beta2", "v2beta1"],
            Self::EndpointSlice | Self::CertificateSigningRequest => &["v1", "v1beta1"],
            _ => &["v1"],
        }
    }

    /// Whether a server without the API group has no such objects. False where the objects may live on in a version
    /// that is not read, or where their absence would be blamed.
    pub const fn may_be_missing(self) -> bool {
        matches!(self, Self::NetworkPolicy)
    }

    /// Objects that one watch keeps at the most; that there are more becomes a gap. Pods are watched behind the Service of
    /// metrics-server alone, of which nobody runs more than a few.
    pub const fn most_objects(self) -> usize {
        match self {
            Self::Pod => 2_000,
            _ => 50_000,
        }
    }

    /// The kind of workload, for kinds of which [`Workload`] keeps the objects.
    pub const fn workload(self) -> Option<WorkloadKind> {
        match self {
            Self::Deployment => Some(WorkloadKind::Deployment),
            Self::DaemonSet => Some(WorkloadKind::DaemonSet),
            Self::StatefulSet => Some(WorkloadKind::StatefulSet),
            _ => None,
        }
    }
}

impl fmt::Display for WatchKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A kind in one of its versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Served {
    pub(super) kind: WatchKind,
    pub(super) version: &'static str,
}

/// An object of any watched kind.
#[derive(Debug, Clone)]
pub(super) enum Object {
    ApiService(Arc<ApiService>),
    HorizontalPodAutoscaler(Arc<HorizontalPodAutoscaler>),
    Node(Arc<Node>),
    Service(Arc<Service>),
    EndpointSlice(Arc<EndpointSlice>),
    Workload(Arc<Workload>),
    Pod(Arc<Pod>),
    NetworkPolicy(Arc<NetworkPolicy>),
    ServiceAccount(Arc<ServiceAccount>),
    Role(Arc<Role>),
    RoleBinding(Arc<RoleBinding>),
    ConfigMap(Arc<ConfigMap>),
    CertificateSigningRequest(Arc<CertificateSigningRequest>),
}

impl Object {
    pub(super) fn metadata(&self) -> &Metadata {
        match self {
            Self::ApiService(object) => object.metadata(),
            Self::HorizontalPodAutoscaler(object) => object.metadata(),
            Self::Node(object) => object.metadata(),
            Self::Service(object) => object.metadata(),
            Self::EndpointSlice(object) => object.metadata(),
            Self::Workload(object) => object.metadata(),
            Self::Pod(object) => object.metadata(),
            Self::NetworkPolicy(object) => object.metadata(),
            Self::ServiceAccount(object) => object.metadata(),
            Self::Role(object) => object.metadata(),
            Self::RoleBinding(object) => object.metadata(),
            Self::ConfigMap(object) => object.metadata(),
            Self::CertificateSigningRequest(object) => object.metadata(),
        }
    }
}

/// A type of which objects of a watched kind are kept.
pub(super) trait Kept: Named + Clone + DeserializeOwned + Send + Sync + 'static {
    /// Completes what the API server leaves out of the items of a list, and wraps the object.
    fn into_object(self, kind: WatchKind) -> Object;
}

macro_rules! kept {
    ($($kept:ident),*) => {$(
        impl Kept for $kept {
            fn into_object(self, _: WatchKind) -> Object {
                Object::$kept(Arc::new(self))
            }
        }
    )*};
}

kept!(
    ApiService,
    HorizontalPodAutoscaler,
    Node,
    Service,
    EndpointSlice,
    Pod,
    NetworkPolicy,
    ServiceAccount,
    Role,
    RoleBinding,
    ConfigMap,
    CertificateSigningRequest
);

impl Kept for Workload {
    fn into_object(mut self, kind: WatchKind) -> Object {
        self.kind = kind.workload().unwrap_or_default();
        Object::Workload(Arc::new(self))
    }
}
