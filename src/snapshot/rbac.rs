//! `ServiceAccounts`, roles and bindings.

use serde::Deserialize;

use super::{Metadata, Named, metadata::or_default};

/// A `ServiceAccount`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ServiceAccount {
    /// Name and namespace.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
}

/// A Role (with a namespace) or `ClusterRole` (without).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Role {
    /// Name, namespace, aggregation labels.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// What it grants; for aggregated roles the union that the controller wrote.
    #[serde(deserialize_with = "or_default")]
    pub rules: Vec<PolicyRule>,
}

/// One rule of a role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyRule {
    /// API groups, `""` is the core group.
    #[serde(deserialize_with = "or_default")]
    pub api_groups: Vec<String>,
    /// Resources, with subresources as `nodes/metrics`.
    #[serde(deserialize_with = "or_default")]
    pub resources: Vec<String>,
    /// Verbs.
    #[serde(deserialize_with = "or_default")]
    pub verbs: Vec<String>,
    /// Only objects with these names, where not empty.
    #[serde(deserialize_with = "or_default")]
    pub resource_names: Vec<String>,
    /// Paths, in `ClusterRoles` only.
    #[serde(rename = "nonResourceURLs", deserialize_with = "or_default")]
    pub non_resource_urls: Vec<String>,
}

/// A `RoleBinding` (with a namespace) or `ClusterRoleBinding` (without).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RoleBinding {
    /// Name and namespace.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// Which role.
    #[serde(deserialize_with = "or_default")]
    pub role_ref: RoleReference,
    /// For whom.
    #[serde(deserialize_with = "or_default")]
    pub subjects: Vec<Subject>,
}

/// The role that a binding refers to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RoleReference {
    /// `Role` or `ClusterRole`.
    #[serde(deserialize_with = "or_default")]
    pub kind: String,
    /// Its name.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
}

/// Someone that a binding names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Subject {
    /// `User`, `Group` or `ServiceAccount`.
    #[serde(deserialize_with = "or_default")]
    pub kind: String,
    /// The name.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// The namespace of a `ServiceAccount`.
    #[serde(deserialize_with = "or_default")]
    pub namespace: String,
}

impl Named for ServiceAccount {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

impl Named for Role {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

impl Named for RoleBinding {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}
