//! The ten steps of the troubleshooting guide, in its order.
//!
//! The id of a step is used alike for its module, the `step` label, the runbook anchor, the alert and the panel.

pub mod apiservice;
pub mod connection_refused;
pub mod forbidden;
pub mod hpa;
pub mod installed;
pub mod known_issues;
pub mod logs;
pub mod other_reasons;
pub mod retrieve;
pub mod timeout;

use std::fmt;

use serde::Serialize;

use crate::check::Check;

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

    /// The checks of this step, in the order in which the report tells them.
    pub const fn checks(self) -> &'static [Check] {
        match self {
            Self::Installed => installed::CHECKS,
            Self::Retrieve => retrieve::CHECKS,
            Self::Forbidden => forbidden::CHECKS,
            Self::Apiservice => apiservice::CHECKS,
            Self::Timeout => timeout::CHECKS,
            Self::ConnectionRefused => connection_refused::CHECKS,
            Self::OtherReasons => other_reasons::CHECKS,
            Self::Logs => logs::CHECKS,
            Self::KnownIssues => known_issues::CHECKS,
            Self::Hpa => hpa::CHECKS,
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
            Self::Hpa => "Do HorizontalPodAutoscalers know their targets?",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.id())
    }
}
