//! Which root causes may be behind a symptom.

use super::Cause;

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

/// Why a server that runs is not Ready: it is once it has scraped twice.
const NOT_READY: &[Cause] = &[
    Cause::ImageUnavailable,
    Cause::ContainerCrashing,
    Cause::LivenessProbeKills,
    Cause::ApiServerUnreachable,
    Cause::KubeletPermissionMissing,
    Cause::ListPermissionMissing,
    Cause::EgressPolicyBlocks,
    Cause::KubeletCertificateNames,
    Cause::KubeletCertificateAuthority,
    Cause::KubeletCertificateExpired,
    Cause::KubeletCertificateMissing,
    Cause::KubeletUnauthorized,
    Cause::KubeletForbidden,
    Cause::KubeletNotFound,
    Cause::KubeletTimeout,
    Cause::KubeletRefused,
    Cause::KubeletUnreachable,
    Cause::NodeNameUnresolvable,
    Cause::KubeletOutputUnparsable,
];

pub(super) fn may_be(symptom: Cause) -> &'static [Cause] {
    match symptom {
        Cause::ApiServiceUnavailable | Cause::MetricsApiFailing | Cause::MetricsApiDown => NO_ANSWER,
        Cause::ContainerCrashing => CRASHES,
        Cause::PodsNotReady => NOT_READY,
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
