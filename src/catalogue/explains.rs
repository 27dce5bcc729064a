//! Which findings go away once a cause is repaired: the one table by which something is told as a consequence.
//!
//! What is not in it stays a finding of its own beside the verdict, wherever it lies on the data path: a wrong Service port
//! repairs no aws-auth.

#[allow(clippy::enum_glob_use, reason = "a table of nothing but causes")]
use super::Cause::{self, *};

/// Nobody reaches metrics-server, or nobody is answered.
macro_rules! no_answer {
    ($($more:ident),* $(,)?) => {
        &[ApiServiceUnavailable, MetricsApiFailing, MetricsApiDown, NoSamplesYet, $($more),*]
    };
}

/// Nothing serves: no answer, and no pod that could be Ready.
macro_rules! nothing_serves {
    ($($more:ident),* $(,)?) => {
        no_answer![PodsNotReady, EndpointsNotPublished, NodesWithoutSamples, PodsWithoutSamples, SamplesStale, $($more),*]
    };
}

/// The container cannot stay up.
macro_rules! crashes {
    ($($more:ident),* $(,)?) => { nothing_serves![ContainerCrashing, NothingListens, ServerUnresponsive, $($more),*] };
}

/// Kubelets give nothing: no samples, so that metrics-server is not Ready and up to 0.4 not even alive.
macro_rules! no_scrapes {
    ($($more:ident),* $(,)?) => { crashes![LivenessProbeKills, $($more),*] };
}

#[expect(clippy::match_same_arms, reason = "rows stand in the order of the data path")]
pub(super) fn explains(cause: Cause) -> &'static [Cause] {
    match cause {
        NotInstalled | ApiServiceMissing | ServiceNotFound => no_answer![NodesWithoutSamples, PodsWithoutSamples],
        ApiServiceLeftOver => nothing_serves![ServiceNotFound, SelectorMatchesNothing],
        ApiOwnedByAnother => crashes![ImageUnavailable, CallerForbidden],
        UnsupportedVersion => no_answer![AuthDelegatorMissing],
        ServiceAccountMissing => nothing_serves![PodsNotCreated],
        ReplicasZero | SelectorMatchesNothing | PodsNotCreated | PodsUnschedulable | ImageUnavailable => {
            nothing_serves![]
        }
        PodsNotReady => no_answer![EndpointsNotPublished, NodesWithoutSamples, PodsWithoutSamples, SamplesStale],
        EndpointsNotPublished => no_answer![NodesWithoutSamples, PodsWithoutSamples],
        ContainerCrashing => nothing_serves![NothingListens, ServerUnresponsive],
        ImageArchitecture
        | UnknownFlag
        | FlagValueRefused
        | CommandNotFound
        | PrivilegedPort
        | CertificateDirectoryUnwritable
        | OutOfMemory
        | LivenessProbeKills => crashes![],
        // Whoever holds the port answers there, and knows neither the API nor the aggregator.
        PortConflict => crashes![AnotherServerAnswers, FrontProxyUntrusted],
        ApiServerUnreachable => crashes![AuthReaderMissing, LivenessProbeKills],
        ApiServerUntrusted => crashes![KubeletUnauthorized],
        AuthReaderMissing => crashes![FrontProxyUntrusted],
        ListPermissionMissing => crashes![],
        AuthDelegatorMissing => no_answer![],
        ServicePortMismatch | PortNameUnresolved | EndpointPortStale => {
            no_answer![EndpointsNotPublished, NothingListens]
        }
        ContainerPortMismatch | TargetPortMismatch => no_answer![NothingListens, PodsNotReady],
        NetworkPolicyBlocks => no_answer![ControlPlanePathClosed, PodNetworkClosed, ApiServersDisagree],
        ControlPlanePathClosed | NoRoute => no_answer![ApiServersDisagree],
        ProxyInterferes => no_answer![ControlPlanePathClosed, FrontProxyUntrusted, AnotherServerAnswers],
        // Its probes are not answered either.
        ServerUnresponsive => no_answer![PodsNotReady, EndpointsNotPublished],
        PodNetworkClosed
        | NameResolution
        | NothingListens
        | ApiServersDisagree
        | CaBundleMissing
        | CaBundleExpired
        | CaBundleMismatch
        | ServingCertificateInvalid => no_answer![],
        AnotherServerAnswers => no_answer![FrontProxyUntrusted],
        FrontProxyUntrusted => no_answer![CallerForbidden, CallerUnauthorized],
        KubeletPermissionMissing => no_scrapes![KubeletForbidden],
        EgressPolicyBlocks => no_scrapes![KubeletTimeout, KubeletRefused, KubeletUnreachable, NodeNameUnresolvable],
        KubeletCertificateNames
        | KubeletCertificateAuthority
        | KubeletCertificateExpired
        | KubeletCertificateMissing
        | KubeletUnauthorized
        | KubeletForbidden
        | KubeletNotFound
        | KubeletTimeout
        | KubeletRefused
        | KubeletUnreachable
        | NodeNameUnresolvable
        | KubeletOutputUnparsable => no_scrapes![],
        NodesWithoutSamples => no_answer![PodsWithoutSamples, SamplesStale],
        PodsWithoutSamples => no_answer![],
        SamplesStale => &[NoSamplesYet],
        AwsAuthUsernameMissing | AwsAuthUnparsable => &[CallerUnauthorized],
        AwsAuthArnWithPath => &[CallerUnauthorized, CallerForbidden],
        AwsAuthConflictingUsernames => &[CallerForbidden, KubeletCertificateMissing],
        CallerForbidden | CallerUnauthorized => &[MetricsApiDown],
        // Symptoms without a cause of their own speak for what is seen of them further down.
        ApiServiceUnavailable => &[MetricsApiFailing, MetricsApiDown, NoSamplesYet],
        MetricsApiFailing => &[MetricsApiDown, NoSamplesYet],
        OtherMetricsApiUnavailable => &[NotMetricsServer],
        KnownDefect | MetricsApiDown | MissingRequest | TargetNotFound | TargetKindNotServed | TargetNotScalable
        | Selector | NotMetricsServer | HpaPodsNotReady | NoSamplesYet | HpaOther => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;

    #[test]
    fn no_cause_explains_itself_and_none_explain_each_other() {
        for entry in catalogue::all() {
            for &consequence in explains(entry.cause) {
                assert_ne!(consequence, entry.cause, "{} explains itself", entry.id);
                assert!(
                    !explains(consequence).contains(&entry.cause),
                    "{} and {} explain each other",
                    entry.id,
                    consequence.id()
                );
            }
        }
    }
}
