//! Kinds that are defined in the cluster.

use serde::Deserialize;

use super::{
    Metadata, Named,
    metadata::{bare, or_default},
};

/// A `CustomResourceDefinition` of `apiextensions.k8s.io` (`v1`, and `v1beta1` before Kubernetes 1.22), without schemas.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct CustomResourceDefinition {
    /// Named `PLURAL.GROUP`.
    #[serde(deserialize_with = "bare")]
    pub metadata: Metadata,
    /// What is defined.
    #[serde(deserialize_with = "or_default")]
    pub spec: CustomResourceDefinitionSpec,
}

/// `spec` of a definition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct CustomResourceDefinitionSpec {
    /// The API group.
    #[serde(deserialize_with = "or_default")]
    pub group: String,
    /// What objects are called.
    #[serde(deserialize_with = "or_default")]
    pub names: DefinedNames,
    /// Each with its own subresources.
    #[serde(deserialize_with = "or_default")]
    pub versions: Vec<DefinedVersion>,
    /// Those of all versions, in `v1beta1`.
    pub subresources: Option<Subresources>,
}

/// What objects are called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct DefinedNames {
    /// As in objects.
    #[serde(deserialize_with = "or_default")]
    pub kind: String,
}

/// One version of the kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct DefinedVersion {
    /// For example `v1alpha1`.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Whether the API server serves it.
    #[serde(deserialize_with = "or_default")]
    pub served: bool,
    /// Its own.
    pub subresources: Option<Subresources>,
}

/// Subresources of a kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Subresources {
    /// What autoscalers scale by.
    pub scale: Option<ScaleSubresource>,
}

/// The scale subresource of a kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScaleSubresource {
    /// Where the selector is, for example `.status.selector`; without it autoscalers find no pods
    /// (kubernetes/apiextensions-apiserver `pkg/apis/apiextensions/v1/types.go` `CustomResourceSubresourceScale`).
    #[serde(deserialize_with = "or_default")]
    pub label_selector_path: String,
}

impl CustomResourceDefinition {
    /// The scale subresource of a version.
    pub fn scale(&self, version: &str) -> Option<&ScaleSubresource> {
        let own = self.spec.versions.iter().find(|known| known.name == version);
        let own = own.and_then(|version| version.subresources.as_ref());
        own.or(self.spec.subresources.as_ref())?.scale.as_ref()
    }
}

impl Named for CustomResourceDefinition {
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
    fn scale_subresources_are_read_of_both_eras() {
        let scale = json!({"scale": {"specReplicasPath": ".spec.replicas", "labelSelectorPath": ".status.selector"}});
        let new: CustomResourceDefinition = object(json!({"spec": {"versions": [
            {"name": "v1", "served": true, "subresources": scale, "schema": {"openAPIV3Schema": {"type": "object"}}},
            {"name": "v2", "served": true, "subresources": {"status": {}}}, {"name": "v3", "served": false}]}}));
        let paths = |definition: &CustomResourceDefinition| {
            ["v1", "v2", "v3"].map(|version| definition.scale(version).map(|scale| scale.label_selector_path.clone()))
        };
        assert_eq!(paths(&new), [Some(".status.selector".to_owned()), None, None]);
        let old: CustomResourceDefinition =
            object(json!({"spec": {"versions": [{"name": "v1", "served": true}], "subresources": {"scale": {}}}}));
        assert_eq!(paths(&old)[0], Some(String::new()), "no path, so no selector");
    }
}
