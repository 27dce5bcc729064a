//! What to look at, and how often.

use std::time::Duration;

use super::backoff::Backoff;

/// How to observe.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What may be looked at.
    pub features: Features,
    /// Namespaces of which the pods' metrics are asked for; empty for metrics-server's own.
    pub probe_namespaces: Vec<String>,
    /// The port on which the doctor itself listens.
    pub own_port: Option<u16>,
    /// How often and how long.
    pub timings: Timings,
}

/// How often and how long. The defaults are made for production; tests shorten them.
#[derive(Debug, Clone, Copy)]
pub struct Timings {
    /// From a change until the snapshot that holds it, at least.
    pub debounce: Duration,
    /// Between snapshots, at least.
    pub publish_at_most_every: Duration,
    /// Between snapshots, at most, so that ages move.
    pub publish_at_least_every: Duration,
    /// From a change of the chain until new watches are started.
    pub replan: Duration,
    /// How long a watch goes on that is no longer planned.
    pub linger: Duration,
    /// Between tries of a failing watch.
    pub retry: Backoff,
    /// Between tries of a watch that is refused or not served: a standing state.
    pub retry_refused: Backoff,
    /// When data of a watch that gives no sign of life stops counting: more than two restarts.
    pub stale_after: Duration,
    /// Between look-ups for the same blind autoscaler.
    pub lookup_interval: Duration,
    /// Between questions for the server's version.
    pub version_interval: Duration,
    /// Between questions for the observer's permissions, and for metrics-server's.
    pub access_interval: Duration,
    /// Between calls of the metrics API.
    pub probe_interval: Duration,
    /// From a change of an `APIService` until the next call of the metrics API.
    pub probe_soon: Duration,
    /// How long a call of the metrics API may take.
    pub probe_timeout: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            debounce: Duration::from_millis(250),
            publish_at_most_every: Duration::from_secs(1),
            publish_at_least_every: Duration::from_secs(15),
            replan: Duration::from_millis(50),
            linger: Duration::from_mins(1),
            retry: Backoff { first: Duration::from_millis(800), longest: Duration::from_secs(15) },
            retry_refused: Backoff { first: Duration::from_secs(2), longest: Duration::from_mins(2) },
            stale_after: Duration::from_secs(150),
            lookup_interval: Duration::from_secs(30),
            version_interval: Duration::from_mins(5),
            access_interval: Duration::from_mins(5),
            probe_interval: Duration::from_secs(30),
            probe_soon: Duration::from_secs(5),
            probe_timeout: Duration::from_secs(10),
        }
    }
}

/// What may be looked at, so that permissions can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Features {
    /// Roles and bindings: cluster-wide ones, and those of kube-system and of metrics-server's namespace.
    pub rbac: bool,
    /// `ConfigMap` `kube-system/aws-auth`.
    pub aws_auth: bool,
    /// `ConfigMap` `kube-system/extension-apiserver-authentication`.
    pub authentication_config: bool,
    /// Requests for certificates.
    pub certificate_requests: bool,
    /// `CustomResourceDefinitions` of the kinds that blind autoscalers scale, each by its name.
    pub custom_resource_definitions: bool,
    /// Events of metrics-server's pods, while one is not Ready or was started anew lately.
    pub events: bool,
    /// Nodes.
    pub nodes: bool,
    /// `NetworkPolicies` of metrics-server's namespace.
    pub network_policies: bool,
    /// Logs of metrics-server's pods.
    pub logs: bool,
    /// Calls through the aggregator.
    pub probes: bool,
    /// Dials of metrics-server's endpoints; of use only from inside the pod network.
    pub dials: bool,
    /// `SubjectAccessReviews` about metrics-server's `ServiceAccount`, instead of an evaluation of RBAC objects alone.
    pub access_reviews: bool,
    /// The doctor runs in metrics-server's pod and reads on which ports something listens there.
    pub sidecar: bool,
}

impl Default for Features {
    fn default() -> Self {
        Self {
            rbac: true,
            aws_auth: true,
            authentication_config: true,
            certificate_requests: true,
            custom_resource_definitions: true,
            events: true,
            nodes: true,
            network_policies: true,
            logs: true,
            probes: true,
            dials: false,
            access_reviews: false,
            sidecar: false,
        }
    }
}
