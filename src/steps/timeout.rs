//! Step `timeout` (guide: "Client.Timeout exceeded while awaiting headers", security groups, network ACL).

mod api_servers;
mod egress;
mod network_policy;
mod path;

use crate::{catalogue::Cause, check::Check, guide::Step};

/// The checks of this step.
pub const CHECKS: &[Check] = &[
    Check {
        step: Step::Timeout,
        id: "path",
        question: "Do the control plane's packets reach metrics-server's pods?",
        causes: &[Cause::ControlPlanePathClosed, Cause::PodNetworkClosed, Cause::ServerUnresponsive, Cause::NoRoute],
        rule: path::rule,
    },
    Check {
        step: Step::Timeout,
        id: "api_servers",
        question: "Do all API servers reach metrics-server?",
        causes: &[Cause::ApiServersDisagree],
        rule: api_servers::rule,
    },
    Check {
        step: Step::Timeout,
        id: "network_policy",
        question: "Do the NetworkPolicies allow the control plane to reach metrics-server's port?",
        causes: &[Cause::NetworkPolicyBlocks],
        rule: network_policy::rule,
    },
    Check {
        step: Step::Timeout,
        id: "network_policy_egress",
        question: "Do the NetworkPolicies allow metrics-server to reach the kubelets?",
        causes: &[Cause::EgressPolicyBlocks],
        rule: egress::rule,
    },
];

#[cfg(test)]
mod tests;
