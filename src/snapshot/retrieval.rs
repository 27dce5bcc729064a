//! What the two calls of `kubectl top` got.

mod classify;

use std::time::Duration;

pub use self::classify::classify_response;

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

/// Reads the error class of what kubectl printed, in the wordings of kubectl 1.8 to 1.37
/// (kubernetes/kubectl `pkg/cmd/top`, `pkg/cmd/util`; kubernetes/apimachinery `NewGenericServerResponse`).
pub fn classify_kubectl(text: &str) -> Option<ErrorClass> {
    const PATTERNS: [(&str, ErrorClass); 27] = [
        ("The connection to the server", ErrorClass::ApiserverUnreachable),
        ("Unable to connect to the server", ErrorClass::ApiserverUnreachable),
        ("You must be logged in to the server", ErrorClass::Unauthorized),
        ("(Unauthorized)", ErrorClass::Unauthorized),
        ("(Forbidden)", ErrorClass::Forbidden),
        ("Internal Server Error", ErrorClass::InternalError),
        ("(InternalError)", ErrorClass::InternalError),
        ("an error on the server", ErrorClass::InternalError),
        ("is forbidden:", ErrorClass::Forbidden),
        ("x509:", ErrorClass::Tls),
        ("tls:", ErrorClass::Tls),
        ("connection refused", ErrorClass::ConnectionRefused),
        ("Client.Timeout", ErrorClass::Timeout),
        ("context deadline exceeded", ErrorClass::Timeout),
        ("i/o timeout", ErrorClass::Timeout),
        ("(Timeout)", ErrorClass::Timeout),
        ("unable to return a response in the time allotted", ErrorClass::Timeout),
        ("Metrics API not available", ErrorClass::ServiceUnavailable),
        ("(ServiceUnavailable)", ErrorClass::ServiceUnavailable),
        ("currently unable to handle the request", ErrorClass::ServiceUnavailable),
        ("(TooManyRequests)", ErrorClass::Throttled),
        ("too many requests", ErrorClass::Throttled),
        ("metrics not available yet", ErrorClass::Empty),
        ("Metrics not available for pod", ErrorClass::Empty),
        ("(NotFound)", ErrorClass::NotFound),
        ("could not find the requested resource", ErrorClass::NotFound),
        ("get services http:heapster:", ErrorClass::NotFound),
    ];
    // `error: ` alone is what kubectl says of its own flags, files and plugins.
    let error = text.lines().any(|line| line.starts_with("Error from server"));
    let class = PATTERNS.iter().find(|(pattern, _)| text.contains(pattern)).map(|&(_, class)| class);
    class.or_else(|| error.then_some(ErrorClass::Other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wordings_of_kubectl() {
        for (text, class) in [
            ("error: Metrics API not available", Some(ErrorClass::ServiceUnavailable)),
            (
                "Error from server (ServiceUnavailable): the server is currently unable to handle the request (get nodes.metrics.k8s.io)",
                Some(ErrorClass::ServiceUnavailable),
            ),
            (
                "Error from server (Forbidden): nodes.metrics.k8s.io is forbidden: User \"u\" cannot list resource \"nodes\"",
                Some(ErrorClass::Forbidden),
            ),
            ("error: You must be logged in to the server (Unauthorized)", Some(ErrorClass::Unauthorized)),
            (
                "Error from server (InternalError): an error on the server (\"Internal Server Error: subjectaccessreviews.authorization.k8s.io is forbidden\") has prevented the request from succeeding",
                Some(ErrorClass::InternalError),
            ),
            ("error: metrics not available yet", Some(ErrorClass::Empty)),
            (
                "The connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?",
                Some(ErrorClass::ApiserverUnreachable),
            ),
            ("NAME   CPU(cores)\nnode-1   10m", None),
            ("NAME   CPU(cores)\nerror-page   10m", None),
        ] {
            assert_eq!(classify_kubectl(text), class, "{text}");
        }
    }
}
