//! Which root causes may be behind a symptom.

use std::sync::LazyLock;

use super::{Cause, Stage, all};

/// Why no call reaches metrics-server or none is answered.
const NO_ANSWER: &[Cause] = &[
    Cause::NotInstalled,
    Cause::ApiServiceMissing,
    Cause::ApiServiceLeftOver,
    Cause::ApiOwnedByAnother,
    Cause::UnsupportedVersion,
    Cause::ServiceNotFound,
    Cause::SelectorMatchesNothing,
    Cause::ReplicasZero,
    Cause::PodsNotReady,
    Cause::ContainerCrashing,
    Cause::EndpointsNotPublished,
    Cause::ServicePortMismatch,
    Cause::PortNameUnresolved,
    Cause::ContainerPortMismatch,
    Cause::TargetPortMismatch,
    Cause::EndpointPortStale,
    Cause::NetworkPolicyBlocks,
    Cause::ControlPlanePathClosed,
    Cause::PodNetworkClosed,
    Cause::ServerUnresponsive,
    Cause::ApiServersDisagree,
    Cause::NoRoute,
    Cause::ProxyInterferes,
    Cause::NameResolution,
    Cause::NothingListens,
    Cause::CaBundleMissing,
    Cause::CaBundleExpired,
    Cause::CaBundleMismatch,
    Cause::ServingCertificateInvalid,
    Cause::AnotherServerAnswers,
    Cause::FrontProxyUntrusted,
    Cause::AuthReaderMissing,
    Cause::AuthDelegatorMissing,
];

/// Why a container ends again and again.
const CRASHES: &[Cause] = &[
    Cause::ImageArchitecture,
    Cause::UnknownFlag,
    Cause::FlagValueRefused,
    Cause::CommandNotFound,
    Cause::PortConflict,
    Cause::PrivilegedPort,
    Cause::CertificateDirectoryUnwritable,
    Cause::OutOfMemory,
    Cause::LivenessProbeKills,
    Cause::ApiServerUnreachable,
    Cause::ApiServerUntrusted,
    Cause::AuthReaderMissing,
    Cause::ListPermissionMissing,
];

/// Why a server that runs is not Ready, beside failed scrapes: it is once it has scraped twice.
const NOT_READY: &[Cause] = &[
    Cause::ImageUnavailable,
    Cause::ContainerCrashing,
    Cause::LivenessProbeKills,
    Cause::ApiServerUnreachable,
    Cause::KubeletPermissionMissing,
    Cause::ListPermissionMissing,
    Cause::NodesWithoutSamples,
    Cause::PodsWithoutSamples,
];

/// Whatever keeps scrapes from succeeding keeps a server from being Ready.
static NOT_READY_OR_SCRAPES: LazyLock<Vec<Cause>> = LazyLock::new(|| {
    let scrapes = all().iter().filter(|entry| entry.stage == Stage::KubeletScrapes).map(|entry| entry.cause);
    NOT_READY.iter().copied().chain(scrapes).collect()
});

pub(super) fn may_be(symptom: Cause) -> &'static [Cause] {
    match symptom {
        Cause::ApiServiceUnavailable | Cause::MetricsApiFailing | Cause::MetricsApiDown => NO_ANSWER,
        Cause::ContainerCrashing => CRASHES,
        Cause::PodsNotReady => &NOT_READY_OR_SCRAPES,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;

    #[test]
    fn only_symptoms_may_be_something_else() {
        for entry in catalogue::all() {
            assert!(entry.cause.is_symptom() || may_be(entry.cause).is_empty(), "{} is a root cause", entry.id);
        }
    }
}
