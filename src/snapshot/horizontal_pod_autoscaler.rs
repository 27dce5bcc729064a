//! `HorizontalPodAutoscalers`, of every version that `autoscaling` has had.

use serde::Deserialize;

use super::{Condition, Metadata, Named, Quantity, metadata::or_default};

/// An autoscaler.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct HorizontalPodAutoscaler {
    /// Name, namespace, annotations.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// Target and metrics.
    #[serde(deserialize_with = "or_default")]
    pub spec: AutoscalerSpec,
    /// Current metrics and conditions.
    #[serde(deserialize_with = "or_default")]
    pub status: AutoscalerStatus,
}

/// `spec` of an autoscaler.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AutoscalerSpec {
    /// What is scaled.
    #[serde(deserialize_with = "or_default")]
    pub scale_target_ref: ScaleTargetReference,
    /// The least replicas, 1 where unset.
    pub min_replicas: Option<i32>,
    /// The most replicas.
    #[serde(deserialize_with = "or_default")]
    pub max_replicas: i32,
    /// What is measured; empty means cpu at 80 %.
    #[serde(deserialize_with = "or_default")]
    pub metrics: Vec<MetricSpec>,
    /// Only in `autoscaling/v1`.
    #[serde(rename = "targetCPUUtilizationPercentage")]
    pub target_cpu_utilization_percentage: Option<i32>,
}

/// What an autoscaler scales.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScaleTargetReference {
    /// For example `apps/v1`.
    #[serde(deserialize_with = "or_default")]
    pub api_version: String,
    /// For example `Deployment`.
    #[serde(deserialize_with = "or_default")]
    pub kind: String,
    /// In the autoscaler's namespace.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
}

/// One entry of `spec.metrics`, in the fields of `v2`, `v2beta2` and `v2beta1`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MetricSpec {
    /// Resource, `ContainerResource`, Pods, Object or External.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    /// For type Resource.
    pub resource: Option<MetricSource>,
    /// For type `ContainerResource`.
    pub container_resource: Option<MetricSource>,
    /// For type Pods.
    pub pods: Option<MetricSource>,
    /// For type Object.
    pub object: Option<MetricSource>,
    /// For type External.
    pub external: Option<MetricSource>,
}

/// What is measured and what is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MetricSource {
    /// The resource (`cpu`, `memory`).
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// The container, for `ContainerResource`.
    #[serde(deserialize_with = "or_default")]
    pub container: String,
    /// The metric, for Pods, Object and External.
    #[serde(deserialize_with = "or_default")]
    pub metric: MetricIdentifier,
    /// The metric, in `v2beta1`.
    #[serde(deserialize_with = "or_default")]
    pub metric_name: String,
    /// What is wanted; in `v2beta1` of an Object metric this is the object instead.
    #[serde(deserialize_with = "or_default")]
    pub target: MetricTarget,
    /// `v2beta1`.
    pub target_average_utilization: Option<i32>,
    /// `v2beta1`.
    pub target_average_value: Option<Quantity>,
    /// `v2beta1`.
    pub target_value: Option<Quantity>,
    /// `v2beta1`: the average of an Object metric.
    pub average_value: Option<Quantity>,
}

/// The name of a custom or external metric.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct MetricIdentifier {
    /// The name.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
}

/// What is wanted of a metric.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MetricTarget {
    /// Utilization, Value or `AverageValue`.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    /// In percent of the request.
    pub average_utilization: Option<i32>,
    /// Per pod.
    pub average_value: Option<Quantity>,
    /// In all.
    pub value: Option<Quantity>,
}

/// `status` of an autoscaler.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AutoscalerStatus {
    /// Replicas of the target.
    pub current_replicas: Option<i32>,
    /// What the autoscaler wants.
    #[serde(deserialize_with = "or_default")]
    pub desired_replicas: i32,
    /// Parallel to `spec.metrics`; a metric that failed leaves an entry with an empty type.
    #[serde(deserialize_with = "or_default")]
    pub current_metrics: Vec<MetricStatus>,
    /// `AbleToScale`, `ScalingActive`, `ScalingLimited`, `ScaledToZero`.
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<Condition>,
    /// Only in `autoscaling/v1`.
    #[serde(rename = "currentCPUUtilizationPercentage")]
    pub current_cpu_utilization_percentage: Option<i32>,
}

/// One entry of `status.currentMetrics`, in the fields of `v2`, `v2beta2` and `v2beta1`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MetricStatus {
    /// Empty for a metric that failed.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    /// For type Resource.
    pub resource: Option<MetricCurrent>,
    /// For type `ContainerResource`.
    pub container_resource: Option<MetricCurrent>,
    /// For type Pods.
    pub pods: Option<MetricCurrent>,
    /// For type Object.
    pub object: Option<MetricCurrent>,
    /// For type External.
    pub external: Option<MetricCurrent>,
}

/// What was measured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MetricCurrent {
    /// The values.
    #[serde(deserialize_with = "or_default")]
    pub current: MetricValue,
    /// `v2beta1`.
    pub current_average_utilization: Option<i32>,
    /// `v2beta1`.
    pub current_average_value: Option<Quantity>,
    /// `v2beta1`.
    pub current_value: Option<Quantity>,
    /// `v2beta1`: the average of an Object metric.
    pub average_value: Option<Quantity>,
}

/// A measured value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MetricValue {
    /// In percent of the request.
    pub average_utilization: Option<i32>,
    /// Per pod.
    pub average_value: Option<Quantity>,
    /// In all.
    pub value: Option<Quantity>,
}

impl Named for HorizontalPodAutoscaler {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}
