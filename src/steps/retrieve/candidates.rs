//! What may be behind a call of the metrics API that nobody answers: by the class of the error, less what the objects rule
//! out.

use crate::{
    catalogue::Cause,
    facts::{Facts, installation::AGGREGATED_DISCOVERY},
    snapshot::retrieval::ErrorClass,
    wording::api_error::Detail,
};

/// The causes that fit.
pub(super) fn of(facts: &Facts<'_>, class: ErrorClass, detail: &Detail) -> Vec<Cause> {
    let chain = &facts.chain;
    if chain.api_service.seen().is_none() && lists_every_group(facts, detail) {
        return prune(facts, &[Cause::NotInstalled, Cause::ApiServiceMissing]);
    }
    if chain.is_available() {
        return prune(facts, behind_an_available_one(class));
    }
    if chain.api_service.seen().is_some() {
        // The condition tells more than the call does.
        return Vec::new();
    }
    prune(facts, &[Cause::NotInstalled, Cause::ApiServiceMissing, Cause::ServiceNotFound, Cause::PodsNotReady])
}

/// Whether kubectl's words prove that no `APIService` registers the group.
fn lists_every_group(facts: &Facts<'_>, detail: &Detail) -> bool {
    let version = facts.snapshot.server_version.seen();
    match detail {
        // Clients up to 1.19 know no other discovery.
        Detail::Heapster => true,
        Detail::NotDiscovered => version.is_some_and(|version| *version < AGGREGATED_DISCOVERY),
        _ => false,
    }
}

/// The aggregator's own look gets through, as a member of system:masters and, up to Kubernetes 1.35, without verifying the
/// certificate; a caller's request does not.
const fn behind_an_available_one(class: ErrorClass) -> &'static [Cause] {
    match class {
        ErrorClass::Timeout => &[
            Cause::ServerUnresponsive,
            Cause::NetworkPolicyBlocks,
            Cause::ControlPlanePathClosed,
            Cause::ApiServersDisagree,
            Cause::ProxyInterferes,
        ],
        ErrorClass::ConnectionRefused => {
            &[Cause::NothingListens, Cause::EndpointPortStale, Cause::ContainerCrashing, Cause::ApiServersDisagree]
        }
        ErrorClass::Tls => &[
            Cause::CaBundleMissing,
            Cause::CaBundleExpired,
            Cause::CaBundleMismatch,
            Cause::ServingCertificateInvalid,
            Cause::AnotherServerAnswers,
        ],
        ErrorClass::NotFound => &[Cause::ApiOwnedByAnother, Cause::AnotherServerAnswers],
        ErrorClass::InternalError => &[
            Cause::AuthDelegatorMissing,
            Cause::UnsupportedVersion,
            Cause::ApiServerUnreachable,
            Cause::ApiServersDisagree,
        ],
        ErrorClass::Unauthorized => &[Cause::FrontProxyUntrusted, Cause::AnotherServerAnswers],
        _ => &[
            Cause::CaBundleMissing,
            Cause::CaBundleExpired,
            Cause::CaBundleMismatch,
            Cause::ServingCertificateInvalid,
            Cause::ServerUnresponsive,
            Cause::ApiServersDisagree,
            Cause::ProxyInterferes,
        ],
    }
}

/// Leaves what the objects do not rule out.
fn prune(facts: &Facts<'_>, causes: &[Cause]) -> Vec<Cause> {
    let chain = &facts.chain;
    let runs = chain.workload.seen().is_some() || !chain.pods().is_empty();
    let is_ready = chain.pods().iter().any(|pod| pod.is_ready() && !pod.is_terminating());
    let spec = chain.api_service.seen().map(|api_service| &api_service.spec);
    let is_verified = spec.is_none_or(|spec| spec.insecure_skip_tls_verify != Some(true));
    let has_bundle = spec.is_none_or(|spec| spec.ca_bundle.as_deref().is_some_and(|bundle| !bundle.is_empty()));
    let fits = |cause: &Cause| match cause {
        Cause::NotInstalled => !runs,
        Cause::ApiServiceMissing => spec.is_none(),
        Cause::PodsNotReady | Cause::ContainerCrashing | Cause::ReplicasZero => !is_ready,
        Cause::CaBundleMissing => is_verified && (spec.is_none() || !has_bundle),
        Cause::CaBundleExpired | Cause::CaBundleMismatch | Cause::ServingCertificateInvalid => {
            is_verified && has_bundle
        }
        _ => true,
    };
    causes.iter().copied().filter(fits).collect()
}
