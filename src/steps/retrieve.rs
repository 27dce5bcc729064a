//! Step `retrieve` (guide: `kubectl top nodes`, `kubectl top pods`).

mod call;
mod candidates;
mod coverage;
mod remarks;

use crate::{catalogue::Cause, check::Check, guide::Step};

const CALL_CAUSES: &[Cause] = &[
    Cause::MetricsApiFailing,
    Cause::CallerForbidden,
    Cause::CallerUnauthorized,
    Cause::AuthDelegatorMissing,
    Cause::ListPermissionMissing,
    Cause::FrontProxyUntrusted,
    Cause::UnsupportedVersion,
    Cause::ApiServerUntrusted,
    Cause::NodesWithoutSamples,
    Cause::PodsWithoutSamples,
];

/// The checks of this step.
pub const CHECKS: &[Check] = &[
    Check {
        step: Step::Retrieve,
        id: "nodes",
        question: "Does the metrics API answer for nodes?",
        causes: CALL_CAUSES,
        rule: |facts, docket| {
            remarks::rule(facts, docket);
            call::rule(facts, docket, call::Resource::Nodes)
        },
    },
    Check {
        step: Step::Retrieve,
        id: "pods",
        question: "Does the metrics API answer for pods?",
        causes: CALL_CAUSES,
        rule: |facts, docket| call::rule(facts, docket, call::Resource::Pods),
    },
    Check {
        step: Step::Retrieve,
        id: "coverage",
        question: "Does every Ready node and every running pod have a sample?",
        causes: &[Cause::NodesWithoutSamples, Cause::PodsWithoutSamples],
        rule: coverage::rule,
    },
    Check {
        step: Step::Retrieve,
        id: "freshness",
        question: "Are the samples fresh?",
        causes: &[Cause::SamplesStale],
        rule: coverage::freshness,
    },
];

#[cfg(test)]
mod tests;
