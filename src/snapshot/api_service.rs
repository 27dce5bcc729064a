//! `APIService` of `apiregistration.k8s.io` (`v1`, and `v1beta1` before Kubernetes 1.22).

use jiff::Timestamp;
use serde::Deserialize;

use super::{
    Condition, ConditionStatus, Metadata, Named,
    metadata::{condition, or_default},
};

/// The group that metrics-server serves.
pub const METRICS_GROUP: &str = "metrics.k8s.io";

/// The registration of a group version with the aggregation layer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ApiService {
    /// Named `VERSION.GROUP`.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// What is registered.
    #[serde(deserialize_with = "or_default")]
    pub spec: ApiServiceSpec,
    /// What the aggregator found.
    #[serde(deserialize_with = "or_default")]
    pub status: ApiServiceStatus,
}

/// `spec` of an `APIService`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ApiServiceSpec {
    /// For example `metrics.k8s.io`.
    #[serde(deserialize_with = "or_default")]
    pub group: String,
    /// For example `v1beta1`.
    #[serde(deserialize_with = "or_default")]
    pub version: String,
    /// Who serves it; `None` for groups that kube-apiserver serves itself.
    pub service: Option<ServiceReference>,
    /// Whether the serving certificate is not verified.
    #[serde(rename = "insecureSkipTLSVerify")]
    pub insecure_skip_tls_verify: Option<bool>,
    /// PEM certificates in base64.
    pub ca_bundle: Option<String>,
}

/// `spec.service` of an `APIService`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ServiceReference {
    /// The Service's namespace.
    #[serde(deserialize_with = "or_default")]
    pub namespace: String,
    /// The Service's name.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// The Service port; API defaulting makes it 443 (kubernetes/kube-aggregator `SetDefaults_ServiceReference`).
    pub port: Option<u16>,
}

impl ServiceReference {
    /// The Service port that the aggregator asks for.
    pub fn effective_port(&self) -> u16 {
        self.port.unwrap_or(443)
    }
}

/// `status` of an `APIService`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ApiServiceStatus {
    /// Only `Available` is known.
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<Condition>,
}

/// Condition `Available` at one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Availability {
    status: ConditionStatus,
    since: Option<Timestamp>,
}

impl Availability {
    /// How often it has changed until a later look.
    ///
    /// The status changes with `lastTransitionTime`, and at no other time (kubernetes/kubernetes
    /// `staging/src/k8s.io/kube-aggregator/pkg/apis/apiregistration/v1/helper/helpers.go`, `SetAPIServiceCondition`, 1.37).
    pub fn changes_until(self, later: Self) -> u8 {
        if self.status != later.status {
            return 1;
        }
        // There and back between two looks.
        let moved = self.since.zip(later.since).is_some_and(|(before, after)| after > before);
        if moved { 2 } else { 0 }
    }
}

impl ApiService {
    /// Condition `Available`; `None` before the first check.
    pub fn available(&self) -> Option<&Condition> {
        condition(&self.status.conditions, "Available")
    }

    /// Condition `Available` as far as its changes go; `None` before the first check.
    pub fn availability(&self) -> Option<Availability> {
        self.available()
            .map(|available| Availability { status: available.status, since: available.last_transition_time })
    }

    /// Whether it registers a version of `metrics.k8s.io`.
    pub fn serves_metrics(&self) -> bool {
        // The name is always VERSION.GROUP (kubernetes/kube-aggregator `ValidateAPIService`), should a bundle lack the rest.
        let named = || self.metadata.name.split_once('.').is_some_and(|(_, group)| group == METRICS_GROUP);
        self.spec.group == METRICS_GROUP || self.spec.group.is_empty() && named()
    }
}

impl Named for ApiService {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}
