//! Step `other_reasons` (guide: `ServiceNotFound` to `MissingEndpoints`).

mod deployment;
mod endpoints;
mod service;

use crate::{catalogue::Cause, check::Check, guide::Step};

/// The checks of this step.
pub const CHECKS: &[Check] = &[
    Check {
        step: Step::OtherReasons,
        id: "service",
        question: "Does the Service exist that the APIService names?",
        causes: &[Cause::ServiceNotFound],
        rule: service::exists,
    },
    Check {
        step: Step::OtherReasons,
        id: "service_port",
        question: "Has the Service the port that the APIService asks for?",
        causes: &[Cause::ServicePortMismatch],
        rule: service::port,
    },
    Check {
        step: Step::OtherReasons,
        id: "endpoints",
        question: "Has the Service ready endpoints, and if not, why?",
        causes: &[
            Cause::SelectorMatchesNothing,
            Cause::PortNameUnresolved,
            Cause::PodsNotReady,
            Cause::EndpointsNotPublished,
            Cause::ApiServiceUnavailable,
        ],
        rule: endpoints::evaluate,
    },
    Check {
        step: Step::OtherReasons,
        id: "deployment",
        question: "Does the Deployment want and have at least one replica?",
        causes: &[Cause::ReplicasZero, Cause::PodsNotCreated, Cause::ServiceAccountMissing, Cause::PodsUnschedulable],
        rule: deployment::evaluate,
    },
];
