//! What the two calls of `kubectl top` got.

mod classify;

use std::time::Duration;

pub use self::classify::classify;

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

/// The error classes of a call through the aggregator: a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorClass {
    /// The caller has no right.
    Forbidden,
    /// The caller has no identity.
    Unauthorized,
    /// The aggregator answers 503 by itself.
    ServiceUnavailable,
    /// No answer in time.
    Timeout,
    /// Nothing listens.
    ConnectionRefused,
    /// The group, version or resource is not there.
    NotFound,
    /// 500, as without auth-delegator.
    InternalError,
    /// A certificate is not accepted.
    Tls,
    /// Too many requests.
    Throttled,
    /// kube-apiserver itself does not answer.
    ApiserverUnreachable,
    /// The list is empty although the call succeeded.
    Empty,
    /// Anything else.
    Other,
}

impl ErrorClass {
    /// All classes.
    pub const ALL: [Self; 12] = [
        Self::Forbidden,
        Self::Unauthorized,
        Self::ServiceUnavailable,
        Self::Timeout,
        Self::ConnectionRefused,
        Self::NotFound,
        Self::InternalError,
        Self::Tls,
        Self::Throttled,
        Self::ApiserverUnreachable,
        Self::Empty,
        Self::Other,
    ];

    /// As in labels.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::Unauthorized => "unauthorized",
            Self::ServiceUnavailable => "service_unavailable",
            Self::Timeout => "timeout",
            Self::ConnectionRefused => "connection_refused",
            Self::NotFound => "not_found",
            Self::InternalError => "internal_error",
            Self::Tls => "tls",
            Self::Throttled => "throttled",
            Self::ApiserverUnreachable => "apiserver_unreachable",
            Self::Empty => "empty",
            Self::Other => "other",
        }
    }
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
