//! Step `apiservice` (guide: "Error from server (`ServiceUnavailable`)", `kubectl describe apiservices`).

mod ca_bundle;
mod condition;

pub use self::ca_bundle::earliest_expiry;

use crate::{
    catalogue::Cause,
    check::Check,
    facts::Facts as Context,
    guide::Step,
    snapshot::{ConditionStatus, Named, NotSeen},
    steps::bridge,
    steps::bridge::Outcome,
};

/// The checks of this step.
pub const CHECKS: &[Check] = &[
    Check {
        step: Step::Apiservice,
        id: "available",
        question: "Is condition Available of the APIService True, and if not, what does the aggregator say?",
        causes: &[
            Cause::ApiServiceUnavailable,
            Cause::NoRoute,
            Cause::ControlPlanePathClosed,
            Cause::ProxyInterferes,
            Cause::NameResolution,
            Cause::ServingCertificateInvalid,
            Cause::AnotherServerAnswers,
            Cause::FrontProxyUntrusted,
        ],
        rule: |facts, docket| bridge::rule(facts, docket, condition::evaluate(facts)),
    },
    Check {
        step: Step::Apiservice,
        id: "ca_bundle",
        question: "Does the CA bundle of the APIService fit the serving certificate?",
        causes: &[Cause::CaBundleMissing, Cause::CaBundleExpired, Cause::CaBundleMismatch],
        rule: |facts, docket| bridge::rule(facts, docket, ca_bundle::evaluate(facts)),
    },
    Check {
        step: Step::Apiservice,
        id: "other_apis",
        question: "Are the custom and external metrics APIs available, where they are registered?",
        causes: &[],
        rule: |facts, docket| bridge::rule(facts, docket, other_apis(facts)),
    },
];

/// Custom and external metrics have adapters of their own: told here, never metrics-server's fault.
fn other_apis(context: &Context<'_>) -> Result<Outcome, NotSeen> {
    const GROUPS: [&str; 2] = ["custom.metrics.k8s.io", "external.metrics.k8s.io"];
    let listing = context.snapshot.api_services.all();
    let others: Vec<String> = listing
        .objects
        .iter()
        .filter(|api_service| GROUPS.contains(&api_service.spec.group.as_str()))
        .map(|api_service| {
            let state = match api_service.available().map(|condition| condition.status) {
                Some(ConditionStatus::True) => "available",
                Some(ConditionStatus::False) => "not available",
                Some(ConditionStatus::Unknown) | None => "not checked yet",
            };
            format!("{}: {state}", api_service.name())
        })
        .collect();
    if others.is_empty() {
        if let Some(gap) = listing.gap {
            return Err(gap);
        }
        return Ok(Outcome::skipped("No custom or external metrics API is registered."));
    }
    Ok(others.into_iter().fold(Outcome::pass("Other metrics APIs are registered."), Outcome::evidence))
}
