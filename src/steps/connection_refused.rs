//! Step `connection_refused` (guide: port, image, command).

mod container;
mod port_chain;

use crate::{catalogue::Cause, check::Check, guide::Step, steps::bridge};

/// The checks of this step.
pub const CHECKS: &[Check] = &[
    Check {
        step: Step::ConnectionRefused,
        id: "port_chain",
        question: "Do listen port, containerPort, targetPort, Service port and EndpointSlice port fit together?",
        causes: &[Cause::TargetPortMismatch, Cause::ContainerPortMismatch, Cause::EndpointPortStale],
        rule: |facts, docket| bridge::rule(facts, docket, port_chain::evaluate(facts)),
    },
    Check {
        step: Step::ConnectionRefused,
        id: "port_conflict",
        question: "Is the port free that metrics-server wants?",
        causes: &[Cause::PortConflict],
        rule: |facts, docket| bridge::rule(facts, docket, container::port_conflict(facts)),
    },
    Check {
        step: Step::ConnectionRefused,
        id: "image",
        question: "Can the image be pulled and run?",
        causes: &[Cause::ImageUnavailable, Cause::ImageArchitecture],
        rule: |facts, docket| bridge::rule(facts, docket, container::image(facts)),
    },
    Check {
        step: Step::ConnectionRefused,
        id: "command",
        question: "Does this version know every flag of its command?",
        causes: &[Cause::UnknownFlag, Cause::FlagValueRefused, Cause::CommandNotFound],
        rule: |facts, docket| bridge::rule(facts, docket, container::command(facts)),
    },
    Check {
        step: Step::ConnectionRefused,
        id: "container",
        question: "Does the container run?",
        causes: &[
            Cause::OutOfMemory,
            Cause::ContainerCrashing,
            Cause::PrivilegedPort,
            Cause::CertificateDirectoryUnwritable,
            Cause::NothingListens,
        ],
        rule: |facts, docket| bridge::rule(facts, docket, container::state(facts)),
    },
];
