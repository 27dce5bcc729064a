//! Requests for certificates.

use serde::Deserialize;

use super::{
    Condition, ConditionStatus, Metadata, Named,
    metadata::{bare, condition, or_default},
};

/// The signer of the kubelets' serving certificates (kubernetes/api `certificates/v1/types.go` `KubeletServingSignerName`).
pub const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";

/// A `CertificateSigningRequest` of `certificates.k8s.io`: who asks whom for what, and what became of it. What is asked for stays out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct CertificateSigningRequest {
    /// Name and creation.
    #[serde(deserialize_with = "bare")]
    pub metadata: Metadata,
    /// Who asks whom.
    #[serde(deserialize_with = "or_default")]
    pub spec: CertificateSigningRequestSpec,
    /// What became of it.
    #[serde(deserialize_with = "or_default")]
    pub status: CertificateSigningRequestStatus,
}

/// `spec` of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CertificateSigningRequestSpec {
    /// For example `kubernetes.io/kubelet-serving`; empty in `v1beta1` of old.
    #[serde(deserialize_with = "or_default")]
    pub signer_name: String,
    /// Who asks; kubelets as `system:node:NODE`.
    #[serde(deserialize_with = "or_default")]
    pub username: String,
}

/// `status` of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct CertificateSigningRequestStatus {
    /// `Approved`, `Denied`, `Failed`; none while it is pending.
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<Condition>,
}

impl CertificateSigningRequest {
    /// The node whose kubelet asks.
    pub fn node(&self) -> Option<&str> {
        self.spec.username.strip_prefix("system:node:")
    }

    /// Whether it has this condition.
    pub fn is(&self, kind: &str) -> bool {
        // `v1beta1` of old writes conditions without a status.
        condition(&self.status.conditions, kind).is_some_and(|found| found.status != ConditionStatus::False)
    }

    /// Whether nobody has decided on it yet.
    pub fn is_pending(&self) -> bool {
        !["Approved", "Denied", "Failed"].iter().any(|kind| self.is(kind))
    }
}

impl Named for CertificateSigningRequest {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::object;

    #[test]
    fn a_request_is_kept_without_what_it_asks_for() {
        let of = |conditions: serde_json::Value| -> CertificateSigningRequest {
            object(json!({
                "metadata": {"name": "csr-1", "annotations": {"a": "b"}, "creationTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {"request": "c2VjcmV0", "signerName": KUBELET_SERVING, "username": "system:node:n1", "groups": ["system:nodes"], "usages": ["server auth"]},
                "status": {"conditions": conditions, "certificate": "c2VjcmV0"}
            }))
        };
        let pending = of(json!(null));
        assert!(pending.is_pending() && pending.node() == Some("n1") && pending.metadata.annotations.is_empty());
        assert!(!format!("{pending:?}").contains("c2VjcmV0"));
        let denied = of(json!([{"type": "Denied"}]));
        assert!(denied.is("Denied") && !denied.is_pending(), "as of old, without a status");
        assert!(of(json!([{"type": "Approved", "status": "True"}])).is("Approved"));
    }
}
