//! The ten sections of the troubleshooting guide: names and their order, and nothing else.
//!
//! The id of a step is used alike for its module below `steps/`, the `step` label, the runbook, the alert and the panel.

use std::fmt;

use serde::Serialize;

/// A section of the guide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// "Metrics Server is not installed by default"
    Installed,
    /// `kubectl top nodes`, `kubectl top pods`
    Retrieve,
    /// "Error from server (Forbidden)"
    Forbidden,
    /// "Error from server (`ServiceUnavailable`)": `kubectl describe apiservices`
    Apiservice,
    /// "Client.Timeout exceeded while awaiting headers": security groups, network ACL
    Timeout,
    /// "connection refused": port, image, command
    ConnectionRefused,
    /// `ServiceNotFound`, `ServiceAccessError`, `ServicePortError`, `EndpointsNotFound`, `EndpointsAccessError`, `MissingEndpoints`
    OtherReasons,
    /// "`APIService` is available and can handle requests": `kubectl logs`
    Logs,
    /// "Check GitHub for common issues"
    KnownIssues,
    /// `<unknown>` targets
    Hpa,
}

impl Step {
    /// All steps in the guide's order.
    pub const ALL: [Self; 10] = [
        Self::Installed,
        Self::Retrieve,
        Self::Forbidden,
        Self::Apiservice,
        Self::Timeout,
        Self::ConnectionRefused,
        Self::OtherReasons,
        Self::Logs,
        Self::KnownIssues,
        Self::Hpa,
    ];

    /// The id, as in labels, files and anchors.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Installed => "installed",
            Self::Retrieve => "retrieve",
            Self::Forbidden => "forbidden",
            Self::Apiservice => "apiservice",
            Self::Timeout => "timeout",
            Self::ConnectionRefused => "connection_refused",
            Self::OtherReasons => "other_reasons",
            Self::Logs => "logs",
            Self::KnownIssues => "known_issues",
            Self::Hpa => "hpa",
        }
    }

    /// The question that the guide asks in this section, as a report's heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Installed => "Is Metrics Server installed?",
            Self::Retrieve => "Can metrics be retrieved (kubectl top)?",
            Self::Forbidden => "Forbidden: are the permissions in place?",
            Self::Apiservice => "ServiceUnavailable: is the APIService available?",
            Self::Timeout => "Timeout: is the network path open?",
            Self::ConnectionRefused => "Connection refused: do port, image and command fit?",
            Self::OtherReasons => "Other reasons: Service, endpoints, Deployment",
            Self::Logs => "What do Metrics Server's logs say?",
            Self::KnownIssues => "Is it a known issue?",
            Self::Hpa => "Do HorizontalPodAutoscalers get their metrics?",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.id())
    }
}
