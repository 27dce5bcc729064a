//! Events.

use jiff::Timestamp;
use serde::Deserialize;

use super::{Metadata, Named, endpoints::TargetReference, metadata::or_default};

/// An Event of the core group or of `events.k8s.io`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Event {
    /// Name and namespace.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// What it is about.
    #[serde(alias = "regarding", deserialize_with = "or_default")]
    pub involved_object: TargetReference,
    /// For example `Unhealthy`.
    #[serde(deserialize_with = "or_default")]
    pub reason: String,
    /// Free text.
    #[serde(alias = "note", deserialize_with = "or_default")]
    pub message: String,
    /// The last time it was seen.
    pub last_timestamp: Option<Timestamp>,
    /// How often it was seen.
    #[serde(alias = "deprecatedCount", deserialize_with = "or_default")]
    pub count: u32,
}

impl Named for Event {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}
