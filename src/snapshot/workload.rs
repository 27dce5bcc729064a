//! Deployments, `DaemonSets`, `StatefulSets` and `ReplicaSets`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Condition, Metadata, Named, metadata::or_default, pod::PodSpec};

/// The kinds of workload that may run metrics-server or be scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum WorkloadKind {
    /// `Deployment`
    #[default]
    Deployment,
    /// `DaemonSet`
    DaemonSet,
    /// `StatefulSet`
    StatefulSet,
    /// `ReplicaSet`
    ReplicaSet,
}

impl WorkloadKind {
    /// As in the object's `kind`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::DaemonSet => "DaemonSet",
            Self::StatefulSet => "StatefulSet",
            Self::ReplicaSet => "ReplicaSet",
        }
    }
}

/// A controller of pods.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Workload {
    /// Which kind; set by the observer.
    #[serde(skip)]
    pub kind: WorkloadKind,
    /// Name, namespace, labels.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// Replicas, selector, template.
    #[serde(deserialize_with = "or_default")]
    pub spec: WorkloadSpec,
    /// Replica counts and conditions.
    #[serde(deserialize_with = "or_default")]
    pub status: WorkloadStatus,
}

/// `spec` of a workload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct WorkloadSpec {
    /// 1 where unset; `DaemonSets` have none.
    pub replicas: Option<i32>,
    /// Which pods it manages.
    #[serde(deserialize_with = "or_default")]
    pub selector: LabelSelector,
    /// What its pods look like.
    #[serde(deserialize_with = "or_default")]
    pub template: PodTemplate,
}

/// A label selector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// Labels that must be there.
    #[serde(deserialize_with = "or_default")]
    pub match_labels: BTreeMap<String, String>,
    /// Expressions that must hold.
    #[serde(deserialize_with = "or_default")]
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

/// One expression of a label selector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct LabelSelectorRequirement {
    /// The label.
    #[serde(deserialize_with = "or_default")]
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    #[serde(deserialize_with = "or_default")]
    pub operator: String,
    /// Values for `In` and `NotIn`.
    #[serde(deserialize_with = "or_default")]
    pub values: Vec<String>,
}

impl LabelSelector {
    /// Whether these labels satisfy the selector; an empty selector matches everything
    /// (kubernetes/apimachinery `LabelSelectorAsSelector`).
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|requirement| requirement.matches(labels))
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }
}

impl LabelSelectorRequirement {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        let listed = value.is_some_and(|value| self.values.contains(value));
        match self.operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    }
}

/// `spec.template` of a workload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PodTemplate {
    /// Labels of the pods.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// Containers of the pods.
    #[serde(deserialize_with = "or_default")]
    pub spec: PodSpec,
}

/// `status` of a workload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadStatus {
    /// Pods that exist.
    #[serde(deserialize_with = "or_default")]
    pub replicas: i32,
    /// Pods that have been Ready for long enough.
    #[serde(deserialize_with = "or_default")]
    pub available_replicas: i32,
    /// Pods that are Ready.
    #[serde(deserialize_with = "or_default")]
    pub ready_replicas: i32,
    /// Available pods of a `DaemonSet`.
    #[serde(deserialize_with = "or_default")]
    pub number_available: i32,
    /// Nodes that should run a pod of a `DaemonSet`.
    #[serde(deserialize_with = "or_default")]
    pub desired_number_scheduled: i32,
    /// Available, Progressing, `ReplicaFailure`.
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<Condition>,
}

impl Workload {
    /// How many pods are wanted.
    pub fn wanted(&self) -> i32 {
        match self.kind {
            WorkloadKind::DaemonSet => self.status.desired_number_scheduled,
            _ => self.spec.replicas.unwrap_or(1),
        }
    }

    /// How many pods are available.
    pub fn available(&self) -> i32 {
        match self.kind {
            WorkloadKind::DaemonSet => self.status.number_available,
            WorkloadKind::StatefulSet => self.status.ready_replicas,
            _ => self.status.available_replicas,
        }
    }
}

impl Named for Workload {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn discriminator(&self) -> &str {
        self.kind.name()
    }
}
