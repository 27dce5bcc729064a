//! Step `connection_refused` (guide: port, image, command).

mod command;
mod container;
mod image;
mod port_chain;
mod replica;

use crate::{catalogue::Cause, check::Check, guide::Step};

/// The checks of this step.
pub const CHECKS: &[Check] = &[
    Check {
        step: Step::ConnectionRefused,
        id: "port_chain",
        question: "Do listen port, containerPort, targetPort, Service port and EndpointSlice port fit together?",
        causes: &[Cause::TargetPortMismatch, Cause::ContainerPortMismatch, Cause::EndpointPortStale],
        rule: port_chain::fits,
    },
    Check {
        step: Step::ConnectionRefused,
        id: "port_conflict",
        question: "Is the port free that metrics-server wants?",
        causes: &[Cause::PortConflict],
        rule: command::port_conflict,
    },
    Check {
        step: Step::ConnectionRefused,
        id: "image",
        question: "Can the image be pulled and run?",
        causes: &[Cause::ImageUnavailable, Cause::ImageArchitecture],
        rule: image::image,
    },
    Check {
        step: Step::ConnectionRefused,
        id: "command",
        question: "Does this version support every flag of its command?",
        causes: &[Cause::UnknownFlag, Cause::FlagValueRefused, Cause::CommandNotFound],
        rule: command::command,
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
        rule: container::state,
    },
    Check {
        step: Step::ConnectionRefused,
        id: "liveness_probe",
        question: "Does the liveness probe leave the container alive?",
        causes: &[Cause::LivenessProbeKills],
        rule: container::liveness_probe,
    },
];

#[cfg(test)]
mod tests;
