//! What the scale subresource of an autoscaler's target answers.

use serde::Deserialize;

use super::{Metadata, Named, metadata::or_default};

/// `autoscaling/v1` Scale, with the kind of the object that was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Scale {
    /// Name and namespace of the target.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// The target's kind; set by the observer.
    #[serde(skip)]
    pub kind: String,
    /// Wanted replicas.
    #[serde(deserialize_with = "or_default")]
    pub spec: ScaleSpec,
    /// The selector.
    #[serde(deserialize_with = "or_default")]
    pub status: ScaleStatus,
}

/// `spec` of a Scale.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ScaleSpec {
    /// Wanted replicas.
    pub replicas: Option<i32>,
}

/// `status` of a Scale.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ScaleStatus {
    /// Replicas now.
    pub replicas: Option<i32>,
    /// The selector of the target's pods, in its string form.
    #[serde(deserialize_with = "or_default")]
    pub selector: String,
}

/// An object of a kind that is not read otherwise, of which it was seen that it is there: an autoscaler names it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TargetObject {
    /// For example `argoproj.io/v1alpha1`.
    pub api_version: String,
    /// For example `Rollout`.
    pub kind: String,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Named for Scale {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn discriminator(&self) -> &str {
        &self.kind
    }
}
