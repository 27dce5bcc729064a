//! What the two calls of `kubectl top` got.

use std::time::Duration;

pub use crate::wording::api_error::ErrorClass;

/// One sample of the metrics API.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// Empty for nodes.
    pub namespace: String,
    /// The node or pod.
    pub name: String,
    /// When the kubelet took it; `None` in the output of kubectl.
    pub timestamp: Option<jiff::Timestamp>,
    /// Over which time it was measured; `None` in the output of kubectl.
    pub window: Option<Duration>,
    /// Whether the row is there without a value: `<unknown>` in the output of kubectl.
    pub unknown: bool,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Samples came back.
    Samples(Vec<Sample>),
    /// An error came back.
    Failed {
        /// Its class.
        class: ErrorClass,
        /// Its text, for evidence.
        text: String,
    },
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retrieval {
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took, where it was measured.
    pub latency: Option<Duration>,
}
