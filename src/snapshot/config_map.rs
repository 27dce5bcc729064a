//! `ConfigMaps` that explain identities.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Metadata, Named, metadata::or_default};

/// A `ConfigMap`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ConfigMap {
    /// Name and namespace.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// Text by key.
    #[serde(deserialize_with = "or_default")]
    pub data: BTreeMap<String, String>,
}

impl Named for ConfigMap {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}
