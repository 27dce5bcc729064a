//! Namespaces.

use serde::{Deserialize, Deserializer};

use super::{
    Condition, ConditionStatus, Metadata, Named,
    metadata::{bare, condition, or_default},
};

/// A namespace, as far as it shows that discovery is broken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Namespace {
    /// Name and moments.
    #[serde(deserialize_with = "bare")]
    pub metadata: Metadata,
    /// Whether it cannot be deleted because an API of some group does not answer (kubernetes/kubernetes
    /// `pkg/controller/namespace/deletion/status_condition_utils.go`, condition `NamespaceDeletionDiscoveryFailure`).
    #[serde(rename = "status", deserialize_with = "discovery_failure")]
    pub deletion_discovery_failure: bool,
}

fn discovery_failure<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Status {
        #[serde(deserialize_with = "or_default")]
        conditions: Vec<Condition>,
    }
    let Status { conditions } = or_default(deserializer)?;
    let found = condition(&conditions, "NamespaceDeletionDiscoveryFailure");
    Ok(found.is_some_and(|found| found.status == ConditionStatus::True))
}

impl Named for Namespace {
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
    fn a_failed_discovery_is_kept_and_nothing_else() {
        let of = |status: serde_json::Value| -> bool {
            object::<Namespace>(json!({"metadata": {"name": "n"}, "status": status})).deletion_discovery_failure
        };
        let condition = |kind: &str, status: &str| json!({"phase": "Terminating", "conditions": [{"type": kind, "status": status}]});
        assert!(of(condition("NamespaceDeletionDiscoveryFailure", "True")));
        assert!(!of(condition("NamespaceDeletionDiscoveryFailure", "False")));
        assert!(!of(condition("NamespaceContentRemaining", "True")));
        assert!(!of(json!(null)) && !object::<Namespace>(json!({})).deletion_discovery_failure);
    }
}
