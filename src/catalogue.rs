//! The catalogue of causes: one closed table from which the label set, the report's texts, the runbook index and the
//! tests are read.
//!
//! A cause is what the verdict may name. [`Cause`] lists them along the data path, so that comparing two causes tells
//! which lies upstream; each step's file holds the rows of that step.

mod apiservice;
mod connection_refused;
mod explains;
mod forbidden;
mod hpa;
mod installed;
mod logs;
mod may_be;
mod other_reasons;
mod retrieve;
mod timeout;

use std::{fmt, sync::OnceLock};

use serde::{Serialize, Serializer};

use crate::guide::Step;

/// A part of the data path, in its order; what fails upstream explains what fails downstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The API is registered and metrics-server is there.
    Installed,
    /// Service, selector, pods and their containers.
    Workload,
    /// Listen port, containerPort, targetPort, Service port, `APIService` port.
    PortChain,
    /// Packets from the API server to the pod.
    NetworkPath,
    /// TLS and the identity of the aggregator.
    Identity,
    /// metrics-server's own permissions.
    OwnRights,
    /// metrics-server's requests to the kubelets.
    KubeletScrapes,
    /// What is in the answers: coverage and age of samples.
    Samples,
    /// The permissions of whoever asks for metrics.
    CallerRights,
    /// `HorizontalPodAutoscalers`.
    Hpa,
}

/// Whether a cause explains by itself or only names what is seen of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Explains what is seen downstream of it.
    Root,
    /// Carries the verdict only where nothing upstream explains it.
    Symptom,
}

/// Whom a cause hurts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The way that everybody's metrics take.
    Pipeline,
    /// Some nodes, and the pods on them.
    Nodes,
    /// Some callers of the metrics API.
    Caller,
    /// Single autoscalers: the faults of those who own them.
    Autoscaler,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 4] = [Self::Pipeline, Self::Nodes, Self::Caller, Self::Autoscaler];

    /// As in labels and reports.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Pipeline => "pipeline",
            Self::Nodes => "nodes",
            Self::Caller => "caller",
            Self::Autoscaler => "autoscaler",
        }
    }
}

/// One row of the catalogue.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Which cause the row describes.
    pub cause: Cause,
    /// The id, unique within its step: label value, report field and runbook anchor.
    pub id: &'static str,
    /// The section of the guide that leads to it.
    pub step: Step,
    /// Its place on the data path; of several root causes the first on the path leads.
    pub stage: Stage,
    /// Root cause or symptom.
    pub role: Role,
    /// One sentence: what is wrong.
    pub title: &'static str,
    /// From which facts it is recognised.
    pub recognised_by: &'static str,
    /// What repairs it, commands included.
    pub remedy: &'static str,
    /// How the guide puts it; empty where the guide does not know the cause.
    pub guide: &'static str,
    /// Upstream issues that describe it, as `repository#number` (`#number` alone is kubernetes-sigs/metrics-server).
    pub issues: &'static [&'static str],
}

/// Everything that the verdict may blame, in the order of the data path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    // Stage::Installed
    /// No `APIService` and nothing that could serve it.
    NotInstalled,
    /// metrics-server runs, but no `APIService` registers it.
    ApiServiceMissing,
    /// The `APIService` outlived the metrics-server that it names.
    ApiServiceLeftOver,
    /// Another server than metrics-server is registered, and it fails.
    ApiOwnedByAnother,
    /// This metrics-server does not work with this Kubernetes version.
    UnsupportedVersion,
    /// This metrics-server version has a known defect.
    KnownDefect,
    // Stage::Workload
    /// The Service that the `APIService` names does not exist; metrics-server does.
    ServiceNotFound,
    /// The Service's selector matches no pod of metrics-server.
    SelectorMatchesNothing,
    /// The Deployment is scaled to zero.
    ReplicasZero,
    /// The `ServiceAccount` of the pods does not exist, so no pod is created.
    ServiceAccountMissing,
    /// The `ReplicaSet` may not create pods (quota, admission, Pod Security).
    PodsNotCreated,
    /// No node takes the pods.
    PodsUnschedulable,
    /// The image cannot be pulled.
    ImageUnavailable,
    /// The image was built for another processor.
    ImageArchitecture,
    /// The command has a flag that this version does not know.
    UnknownFlag,
    /// The command has a flag value that this version refuses.
    FlagValueRefused,
    /// The image holds no such program as the command names.
    CommandNotFound,
    /// Something else holds the port that metrics-server wants to listen on.
    PortConflict,
    /// A port below 1024 without the right to bind it.
    PrivilegedPort,
    /// The folder for the serving certificate cannot be written.
    CertificateDirectoryUnwritable,
    /// The kernel killed the container for its memory limit.
    OutOfMemory,
    /// The container's own liveness probe kills it before it can serve.
    LivenessProbeKills,
    /// metrics-server cannot reach the API server from its pod.
    ApiServerUnreachable,
    /// The API server refuses metrics-server's token, or metrics-server its certificate.
    ApiServerUntrusted,
    /// The container ends again and again.
    ContainerCrashing,
    /// The pods run and are not Ready.
    PodsNotReady,
    /// Ready pods match, but no `EndpointSlice` lists them.
    EndpointsNotPublished,
    // Stage::PortChain
    /// The Service has no port with the number that the `APIService` asks for.
    ServicePortMismatch,
    /// The Service's named targetPort is no port of the pods.
    PortNameUnresolved,
    /// metrics-server listens on another port than the named containerPort says.
    ContainerPortMismatch,
    /// The Service's numeric targetPort is not the port that metrics-server listens on.
    TargetPortMismatch,
    /// The `EndpointSlices` carry another port than the Service and pods lead to.
    EndpointPortStale,
    // Stage::NetworkPath
    /// A `NetworkPolicy` lets nothing in on metrics-server's port.
    NetworkPolicyBlocks,
    /// Packets from the control plane to the pod are dropped.
    ControlPlanePathClosed,
    /// Neither the control plane nor another pod reaches the pod.
    PodNetworkClosed,
    /// metrics-server accepts connections but never answers.
    ServerUnresponsive,
    /// Some API servers reach the pod and others do not.
    ApiServersDisagree,
    /// No route from the control plane to the pod.
    NoRoute,
    /// A proxy that is set on the API server stands in the way.
    ProxyInterferes,
    /// The name that an `ExternalName` Service points to cannot be resolved.
    NameResolution,
    /// All ports agree, and still nothing listens.
    NothingListens,
    // Stage::Identity
    /// TLS is to be verified, and there is no CA bundle.
    CaBundleMissing,
    /// Every certificate in the CA bundle has expired.
    CaBundleExpired,
    /// The CA bundle did not sign the serving certificate.
    CaBundleMismatch,
    /// The serving certificate is expired or made for another name.
    ServingCertificateInvalid,
    /// Another server answers on that address and port.
    AnotherServerAnswers,
    /// metrics-server does not trust the aggregator's client certificate.
    FrontProxyUntrusted,
    // Stage::OwnRights
    /// metrics-server may not read the `ConfigMap` `extension-apiserver-authentication`.
    AuthReaderMissing,
    /// metrics-server may not ask the API server who is allowed what.
    AuthDelegatorMissing,
    /// metrics-server may not list nodes or pods.
    ListPermissionMissing,
    /// metrics-server is not allowed to read metrics from kubelets.
    KubeletPermissionMissing,
    // Stage::KubeletScrapes
    /// A `NetworkPolicy` keeps metrics-server from the kubelets.
    EgressPolicyBlocks,
    /// Kubelets' serving certificates lack the address that is dialled.
    KubeletCertificateNames,
    /// Kubelets' serving certificates are signed by an unknown authority.
    KubeletCertificateAuthority,
    /// Kubelets' serving certificates have expired.
    KubeletCertificateExpired,
    /// Kubelets have no serving certificate.
    KubeletCertificateMissing,
    /// Kubelets reject metrics-server's token (401).
    KubeletUnauthorized,
    /// Kubelets refuse metrics-server.
    KubeletForbidden,
    /// Kubelets do not serve the metrics endpoint.
    KubeletNotFound,
    /// Kubelets do not answer in time.
    KubeletTimeout,
    /// Nothing listens on the kubelet port.
    KubeletRefused,
    /// No route to the nodes.
    KubeletUnreachable,
    /// Node names cannot be resolved.
    NodeNameUnresolvable,
    /// Kubelets answer something that cannot be read.
    KubeletOutputUnparsable,
    // Stage::Samples
    /// Ready nodes have no sample.
    NodesWithoutSamples,
    /// Running pods have no sample.
    PodsWithoutSamples,
    /// Samples are old.
    SamplesStale,
    // Stage::CallerRights
    /// aws-auth maps identities without a username.
    AwsAuthUsernameMissing,
    /// aws-auth cannot be read as YAML.
    AwsAuthUnparsable,
    /// aws-auth maps one ARN to several usernames.
    AwsAuthConflictingUsernames,
    /// aws-auth names role ARNs with a path, which never match.
    AwsAuthArnWithPath,
    /// The caller may not read metrics.
    CallerForbidden,
    /// The caller is not authenticated.
    CallerUnauthorized,
    // Symptoms of the whole pipeline, where nothing above explains them
    /// The `APIService` is not available.
    ApiServiceUnavailable,
    /// The metrics API fails although its `APIService` is available.
    MetricsApiFailing,
    // Stage::Hpa
    /// A container under the autoscaler's selector has no request for the resource.
    MissingRequest,
    /// The autoscaler's target does not exist.
    TargetNotFound,
    /// The API server does not serve the kind of the autoscaler's target in that group.
    TargetKindNotServed,
    /// The kind of the autoscaler's target has no scale subresource.
    TargetNotScalable,
    /// The autoscaler's selector is missing, invalid or shared with another autoscaler.
    Selector,
    /// The custom or external metrics API is not available.
    OtherMetricsApiUnavailable,
    /// The metric is not metrics-server's: custom or external.
    NotMetricsServer,
    /// The target's pods are not Ready.
    HpaPodsNotReady,
    /// There are no samples for the target's pods.
    NoSamplesYet,
    /// The metrics API does not answer the autoscaler.
    MetricsApiDown,
    /// The autoscaler is blind for a reason that is not in the catalogue.
    HpaOther,
}

impl Cause {
    /// The row of this cause.
    ///
    /// # Panics
    /// Never for a cause that has a row; a test holds that all do.
    pub fn entry(self) -> &'static Entry {
        all()
            .iter()
            .find(|entry| entry.cause == self)
            .unwrap_or_else(|| unreachable!("{self:?} has no row in the catalogue"))
    }

    /// The id, unique within its step.
    pub fn id(self) -> &'static str {
        self.entry().id
    }

    /// The section of the guide that leads to it.
    pub fn step(self) -> Step {
        self.entry().step
    }

    /// Its place on the data path.
    pub fn stage(self) -> Stage {
        self.entry().stage
    }

    /// For a symptom: the root causes that may be behind it. Empty for root causes.
    pub fn may_be(self) -> &'static [Self] {
        may_be::may_be(self)
    }

    /// The causes whose findings go away once this one is repaired. Nothing else is ever told as its consequence.
    pub fn explains(self) -> &'static [Self] {
        explains::explains(self)
    }

    /// Whom the cause hurts, unless a finding says that it is wider.
    pub fn scope(self) -> Scope {
        match (self.stage(), self) {
            // What is called from here on are symptoms of everybody's way.
            (_, Self::ApiServiceUnavailable | Self::MetricsApiFailing | Self::MetricsApiDown) => Scope::Pipeline,
            (Stage::KubeletScrapes | Stage::Samples, _) => Scope::Nodes,
            (Stage::CallerRights, _) => Scope::Caller,
            (Stage::Hpa, _) => Scope::Autoscaler,
            _ => Scope::Pipeline,
        }
    }

    /// Whether it only names what is seen of another cause.
    pub fn is_symptom(self) -> bool {
        self.entry().role == Role::Symptom
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.id())
    }
}

impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

/// All rows, in the order of the data path.
pub fn all() -> &'static [Entry] {
    static ALL: OnceLock<Vec<Entry>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut entries: Vec<Entry> = [
            installed::CAUSES,
            retrieve::CAUSES,
            forbidden::CAUSES,
            apiservice::CAUSES,
            timeout::CAUSES,
            connection_refused::CAUSES,
            other_reasons::CAUSES,
            logs::CAUSES,
            hpa::CAUSES,
        ]
        .into_iter()
        .flatten()
        .cloned()
        .collect();
        entries.sort_by_key(|entry| entry.cause);
        entries
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_cause_has_exactly_one_row() {
        let count = Cause::HpaOther as usize + 1;
        assert_eq!(all().len(), count, "rows and causes differ in number");
        for (position, entry) in all().iter().enumerate() {
            assert_eq!(entry.cause as usize, position, "{:?} has no row or two", entry.cause);
        }
    }

    #[test]
    fn ids_are_unique_within_a_step_and_made_for_labels() {
        let mut seen = BTreeSet::new();
        for entry in all() {
            assert!(seen.insert((entry.step, entry.id)), "{} twice in {}", entry.id, entry.step);
            assert!(entry.id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{}", entry.id);
            assert!(!["healthy", "undetermined"].contains(&entry.id));
        }
    }

    #[test]
    fn declaration_order_follows_the_data_path_among_roots() {
        let roots: Vec<_> = all().iter().filter(|entry| entry.role == Role::Root).collect();
        assert!(roots.is_sorted_by_key(|entry| entry.stage), "a root cause is declared outside its stage");
    }

    #[test]
    fn rows_are_filled() {
        for entry in all() {
            for (field, text) in
                [("title", entry.title), ("recognised_by", entry.recognised_by), ("remedy", entry.remedy)]
            {
                assert!(!text.is_empty(), "{} has no {field}", entry.id);
            }
        }
    }
}
