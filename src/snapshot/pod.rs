//! Pods and pod templates, pruned to what checks read.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

use super::{
    Condition, ConditionStatus, Metadata, Named, Quantity,
    api_server::{proxy_variables, prune},
    metadata::{condition, or_default},
};

/// A pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// Name, namespace, labels, owners.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// Containers.
    #[serde(deserialize_with = "or_default")]
    pub spec: PodSpec,
    /// Phase, conditions, container states.
    #[serde(deserialize_with = "or_default")]
    pub status: PodStatus,
}

/// `spec` of a pod or of a pod template.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// Containers.
    #[serde(deserialize_with = "containers")]
    pub containers: Vec<Container>,
    /// Init containers; those with `restartPolicy: Always` are sidecars.
    #[serde(deserialize_with = "containers")]
    pub init_containers: Vec<Container>,
    /// The node, once scheduled.
    #[serde(deserialize_with = "or_default")]
    pub node_name: String,
    /// Whether the pod shares the node's network.
    #[serde(deserialize_with = "or_default")]
    pub host_network: bool,
    /// `default` where empty.
    #[serde(deserialize_with = "or_default")]
    pub service_account_name: String,
    /// Resources of the pod as a whole (Kubernetes 1.34).
    #[serde(deserialize_with = "or_default")]
    pub resources: Resources,
}

/// A container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// Unique within the pod.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// The image reference.
    #[serde(deserialize_with = "or_default")]
    pub image: String,
    /// The entry point, where it replaces the image's.
    #[serde(deserialize_with = "or_default")]
    pub command: Vec<String>,
    /// Arguments.
    #[serde(deserialize_with = "or_default")]
    pub args: Vec<String>,
    /// Declared ports: informational, save for the names.
    #[serde(deserialize_with = "or_default")]
    pub ports: Vec<ContainerPort>,
    /// Requests and limits.
    #[serde(deserialize_with = "or_default")]
    pub resources: Resources,
    /// `Always` makes an init container a sidecar.
    #[serde(deserialize_with = "or_default")]
    pub restart_policy: String,
    /// The readiness probe.
    pub readiness_probe: Option<Probe>,
    /// The liveness probe.
    pub liveness_probe: Option<Probe>,
    /// The startup probe.
    pub startup_probe: Option<Probe>,
    /// Of kube-apiserver alone: its variables for HTTP proxies, without user info. No other variable of anybody is kept.
    #[serde(rename = "env", deserialize_with = "proxy_variables")]
    pub proxy_variables: BTreeMap<String, String>,
}

/// A declared port of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerPort {
    /// What a Service's targetPort may refer to.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// The number.
    pub container_port: u16,
    /// TCP where empty.
    #[serde(deserialize_with = "or_default")]
    pub protocol: String,
}

/// Requests and limits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// By resource name (`cpu`, `memory`).
    #[serde(deserialize_with = "or_default")]
    pub requests: BTreeMap<String, Quantity>,
    /// By resource name.
    #[serde(deserialize_with = "or_default")]
    pub limits: BTreeMap<String, Quantity>,
}

/// What a probe asks, and how long it waits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Probe {
    /// A request over HTTP; `None` for probes of another kind.
    pub http_get: Option<HttpGet>,
    /// Seconds before the first probe.
    pub initial_delay_seconds: Option<i64>,
    /// Seconds between probes.
    pub period_seconds: Option<i64>,
    /// Seconds that an answer may take.
    pub timeout_seconds: Option<i64>,
    /// Failures in a row that count.
    pub failure_threshold: Option<i64>,
}

/// A probe's request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct HttpGet {
    /// For example `/readyz`.
    #[serde(deserialize_with = "or_default")]
    pub path: String,
}

impl Probe {
    /// Seconds before the first probe (kubernetes/kubernetes `pkg/apis/core/v1/defaults.go` `SetDefaults_Probe`, for this and the
    /// others).
    pub fn initial_delay(&self) -> i64 {
        self.initial_delay_seconds.unwrap_or(0)
    }

    /// Seconds between probes.
    pub fn period(&self) -> i64 {
        self.period_seconds.filter(|seconds| *seconds > 0).unwrap_or(10)
    }

    /// Seconds that an answer may take.
    pub fn timeout(&self) -> i64 {
        self.timeout_seconds.filter(|seconds| *seconds > 0).unwrap_or(1)
    }

    /// Failures in a row that count.
    pub fn threshold(&self) -> i64 {
        self.failure_threshold.filter(|count| *count > 0).unwrap_or(3)
    }

    /// Seconds after which the kubelet may first kill: so many probes in a row have failed by then
    /// (kubernetes/kubernetes `pkg/kubelet/prober/worker.go`).
    pub fn earliest_kill(&self) -> i64 {
        self.initial_delay().saturating_add(self.period().saturating_mul(self.threshold() - 1))
    }

    /// The settings with their defaults, as they stand in a pod's specification.
    pub fn told(&self) -> String {
        format!(
            "initialDelaySeconds {}, periodSeconds {}, timeoutSeconds {}, failureThreshold {}",
            self.initial_delay(),
            self.period(),
            self.timeout(),
            self.threshold()
        )
    }
}

/// `status` of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    /// Pending, Running, Succeeded, Failed, Unknown.
    #[serde(deserialize_with = "or_default")]
    pub phase: String,
    /// One word, for example `Evicted`.
    #[serde(deserialize_with = "or_default")]
    pub reason: String,
    /// Free text.
    #[serde(deserialize_with = "or_default")]
    pub message: String,
    /// The first address.
    #[serde(rename = "podIP", deserialize_with = "or_default")]
    pub pod_ip: String,
    /// The address of its node: the same with hostNetwork and on Fargate.
    #[serde(deserialize_with = "or_default", rename = "hostIP")]
    pub host_ip: String,
    /// All addresses.
    #[serde(rename = "podIPs", deserialize_with = "or_default")]
    pub pod_ips: Vec<PodIp>,
    /// Scheduled, initialised, ready.
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<Condition>,
    /// States of the containers.
    #[serde(deserialize_with = "or_default")]
    pub container_statuses: Vec<ContainerStatus>,
    /// States of the init containers.
    #[serde(deserialize_with = "or_default")]
    pub init_container_statuses: Vec<ContainerStatus>,
    /// When the kubelet took the pod.
    pub start_time: Option<Timestamp>,
}

/// One address of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PodIp {
    /// The address.
    #[serde(deserialize_with = "or_default")]
    pub ip: String,
}

/// State of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStatus {
    /// The container.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Whether its readiness probe passes.
    #[serde(deserialize_with = "or_default")]
    pub ready: bool,
    /// How often it was started again.
    #[serde(deserialize_with = "or_default")]
    pub restart_count: u32,
    /// Now.
    #[serde(deserialize_with = "or_default")]
    pub state: ContainerState,
    /// Before the last restart.
    #[serde(deserialize_with = "or_default")]
    pub last_state: ContainerState,
}

/// One of waiting, running and terminated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ContainerState {
    /// Not started.
    pub waiting: Option<Waiting>,
    /// Running.
    pub running: Option<Running>,
    /// Ended.
    pub terminated: Option<Terminated>,
}

/// A container that waits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Waiting {
    /// For example `CrashLoopBackOff`.
    #[serde(deserialize_with = "or_default")]
    pub reason: String,
    /// Free text.
    #[serde(deserialize_with = "or_default")]
    pub message: String,
}

/// A container that runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Running {
    /// Since when.
    pub started_at: Option<Timestamp>,
}

/// A container that ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Terminated {
    /// For example `OOMKilled`, `Error`, `Completed`.
    #[serde(deserialize_with = "or_default")]
    pub reason: String,
    /// Free text.
    #[serde(deserialize_with = "or_default")]
    pub message: String,
    /// The exit code.
    #[serde(deserialize_with = "or_default")]
    pub exit_code: i32,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

fn containers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Container>, D::Error> {
    let mut containers: Vec<Container> = or_default(deserializer)?;
    containers.iter_mut().for_each(prune);
    Ok(containers)
}

impl PodSpec {
    /// Containers that run beside each other for the pod's life: all containers and the restartable init containers.
    pub fn long_running_containers(&self) -> impl Iterator<Item = &Container> {
        self.containers.iter().chain(self.init_containers.iter().filter(|container| container.is_sidecar()))
    }

    /// The account that the pod runs as.
    pub fn effective_service_account_name(&self) -> &str {
        if self.service_account_name.is_empty() { "default" } else { &self.service_account_name }
    }

    /// The port with that name and protocol, as the endpoint controllers look it up
    /// (kubernetes/endpointslice `FindPort`: containers, then restartable init containers).
    pub fn named_port(&self, name: &str, protocol: &str) -> Option<&ContainerPort> {
        self.long_running_containers()
            .flat_map(|container| &container.ports)
            .find(|port| port.name == name && port.effective_protocol() == protocol)
    }
}

impl Container {
    /// Whether this init container runs beside the others.
    pub fn is_sidecar(&self) -> bool {
        self.restart_policy == "Always"
    }
}

impl ContainerPort {
    /// The protocol, TCP where unset.
    pub fn effective_protocol(&self) -> &str {
        if self.protocol.is_empty() { "TCP" } else { &self.protocol }
    }
}

impl Pod {
    /// Whether it runs on AWS Fargate, by its node's name or the profile that took it.
    pub fn is_on_fargate(&self) -> bool {
        self.spec.node_name.starts_with("fargate-")
            || self.metadata.labels.contains_key("eks.amazonaws.com/fargate-profile")
    }

    /// Condition Ready.
    pub fn ready(&self) -> Option<&Condition> {
        condition(&self.status.conditions, "Ready")
    }

    /// Its addresses of all families.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        let one = Some(self.status.pod_ip.as_str()).filter(|_| self.status.pod_ips.is_empty());
        one.into_iter()
            .chain(self.status.pod_ips.iter().map(|address| address.ip.as_str()))
            .filter(|address| !address.is_empty())
    }

    /// Whether the Ready condition is True.
    pub fn is_ready(&self) -> bool {
        self.ready().is_some_and(|ready| ready.status == ConditionStatus::True)
    }

    /// Whether the pod is being deleted.
    pub fn is_terminating(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// Whether all containers have ended for good.
    pub fn is_finished(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }

    /// The state of a container.
    pub fn container_status(&self, name: &str) -> Option<&ContainerStatus> {
        self.status.container_statuses.iter().find(|status| status.name == name)
    }

    /// The name of the controller that owns the pod, with its kind.
    pub fn controller(&self) -> Option<&super::metadata::OwnerReference> {
        let owners = &self.metadata.owner_references;
        owners.iter().find(|owner| owner.controller == Some(true)).or_else(|| owners.first())
    }
}

impl Named for Pod {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

impl Terminated {
    /// How long the container had run.
    pub fn life(&self) -> Option<jiff::SignedDuration> {
        Some(self.finished_at?.duration_since(self.started_at?))
    }
}
