//! `HorizontalPodAutoscalers`, of every version that `autoscaling` has had.

use serde::Deserialize;

use super::{
    Condition, ConditionStatus, Metadata, Named, Quantity,
    metadata::{condition, or_default},
};

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

/// Annotations in which `autoscaling/v1` hides what it has no fields for, as JSON of `v2beta1`
/// (kubernetes/kubernetes `pkg/apis/autoscaling/annotations.go`).
const ANNOTATION: &str = "autoscaling.alpha.kubernetes.io/";

/// Reads an autoscaler of any version and brings it into the form of `v2`.
///
/// # Errors
/// When a field has another type than its version has.
pub fn from_json(value: serde_json::Value) -> Result<HorizontalPodAutoscaler, serde_json::Error> {
    upgraded(serde_json::from_value(value)?)
}

/// Brings an autoscaler of any version into the form of `v2`.
///
/// # Errors
/// When an annotation that holds its metrics cannot be read.
pub fn upgraded(mut autoscaler: HorizontalPodAutoscaler) -> Result<HorizontalPodAutoscaler, serde_json::Error> {
    autoscaler.expand_annotations()?;
    for metric in &mut autoscaler.spec.metrics {
        for source in [&mut metric.resource, &mut metric.container_resource, &mut metric.pods, &mut metric.external]
            .into_iter()
            .flatten()
        {
            source.upgrade();
        }
        if let Some(object) = &mut metric.object {
            object.upgrade_object();
        }
    }
    for metric in &mut autoscaler.status.current_metrics {
        for current in [
            &mut metric.resource,
            &mut metric.container_resource,
            &mut metric.pods,
            &mut metric.object,
            &mut metric.external,
        ]
        .into_iter()
        .flatten()
        {
            current.upgrade();
        }
    }
    Ok(autoscaler)
}

impl HorizontalPodAutoscaler {
    /// The metrics of the annotations come first, then the CPU utilization of the fields, as the API server converts
    /// (kubernetes/kubernetes `pkg/apis/autoscaling/v1/conversion.go`).
    fn expand_annotations(&mut self) -> Result<(), serde_json::Error> {
        let annotation = |name: &str| self.metadata.annotations.get(&format!("{ANNOTATION}{name}")).cloned();
        let (metrics, current, conditions) =
            (annotation("metrics"), annotation("current-metrics"), annotation("conditions"));
        if let Some(text) = metrics {
            self.spec.metrics.extend(serde_json::from_str::<Vec<MetricSpec>>(&text)?);
        }
        if let Some(text) = current {
            self.status.current_metrics.extend(serde_json::from_str::<Vec<MetricStatus>>(&text)?);
        }
        if let Some(text) = conditions {
            self.status.conditions.extend(serde_json::from_str::<Vec<Condition>>(&text)?);
        }
        let cpu = || "cpu".to_owned();
        if let Some(percentage) = self.spec.target_cpu_utilization_percentage {
            let target = MetricTarget {
                kind: "Utilization".to_owned(),
                average_utilization: Some(percentage),
                ..MetricTarget::default()
            };
            self.spec.metrics.push(MetricSpec {
                kind: "Resource".to_owned(),
                resource: Some(MetricSource { name: cpu(), target, ..MetricSource::default() }),
                ..MetricSpec::default()
            });
        }
        if let Some(percentage) = self.status.current_cpu_utilization_percentage {
            let current = MetricValue { average_utilization: Some(percentage), ..MetricValue::default() };
            self.status.current_metrics.push(MetricStatus {
                kind: "Resource".to_owned(),
                resource: Some(MetricCurrent { current, ..MetricCurrent::default() }),
                ..MetricStatus::default()
            });
        }
        Ok(())
    }
}

impl MetricSource {
    /// Moves the fields of `v2beta1` to where `v2` has them.
    fn upgrade(&mut self) {
        if self.metric.name.is_empty() {
            self.metric.name = std::mem::take(&mut self.metric_name);
        }
        if let Some(percentage) = self.target_average_utilization.take() {
            self.target.average_utilization.get_or_insert(percentage);
        }
        if let Some(value) = self.target_average_value.take() {
            self.target.average_value.get_or_insert(value);
        }
        if let Some(value) = self.target_value.take() {
            self.target.value.get_or_insert(value);
        }
    }

    /// In `v2beta1` the average of an Object metric stands in `averageValue`, and `target` is the object.
    fn upgrade_object(&mut self) {
        if let Some(value) = self.average_value.take() {
            self.target_average_value.get_or_insert(value);
        }
        self.upgrade();
    }
}

impl MetricCurrent {
    fn upgrade(&mut self) {
        if let Some(percentage) = self.current_average_utilization.take() {
            self.current.average_utilization.get_or_insert(percentage);
        }
        if let Some(value) = self.current_average_value.take().or_else(|| self.average_value.take()) {
            self.current.average_value.get_or_insert(value);
        }
        if let Some(value) = self.current_value.take() {
            self.current.value.get_or_insert(value);
        }
    }
}

impl MetricSpec {
    /// The one source that the type names.
    pub fn source(&self) -> Option<&MetricSource> {
        match self.kind.as_str() {
            "Resource" => self.resource.as_ref(),
            "ContainerResource" => self.container_resource.as_ref(),
            "Pods" => self.pods.as_ref(),
            "Object" => self.object.as_ref(),
            "External" => self.external.as_ref(),
            _ => None,
        }
    }

    /// Whether metrics-server serves it.
    pub fn is_resource(&self) -> bool {
        matches!(self.kind.as_str(), "Resource" | "ContainerResource")
    }

    /// The resource and container whose request this metric is measured against: only targets of type Utilization need
    /// requests (kubernetes/kubernetes `pkg/controller/podautoscaler/replica_calculator.go`).
    pub fn needs_request(&self) -> Option<(&str, Option<&str>)> {
        let source = self.source().filter(|_| self.is_resource())?;
        source.target.average_utilization?;
        let container = (self.kind == "ContainerResource").then_some(source.container.as_str());
        Some((source.name.as_str(), container))
    }
}

impl MetricStatus {
    fn current(&self, kind: &str) -> Option<&MetricValue> {
        let current = match kind {
            "Resource" => &self.resource,
            "ContainerResource" => &self.container_resource,
            "Pods" => &self.pods,
            "Object" => &self.object,
            _ => &self.external,
        };
        current.as_ref().map(|current| &current.current)
    }
}

impl HorizontalPodAutoscaler {
    /// Whether `kubectl get hpa` prints this entry of `spec.metrics` as `<unknown>`
    /// (kubernetes/kubernetes `pkg/printers/internalversion/printers.go`, `formatHPAMetrics`).
    pub fn is_unknown(&self, index: usize) -> bool {
        let Some(metric) = self.spec.metrics.get(index) else { return false };
        let current = self.status.current_metrics.get(index).and_then(|status| status.current(&metric.kind));
        let average = metric.source().is_some_and(|source| source.target.average_value.is_some());
        match metric.kind.as_str() {
            "Resource" | "ContainerResource" if !average => {
                current.is_none_or(|current| current.average_utilization.is_none())
            }
            "Object" | "External" if average => current.is_none_or(|current| current.average_value.is_none()),
            // A Resource without its averageValue is printed as `<nil>` or 0, which is something else.
            "Resource" | "ContainerResource" | "Pods" | "Object" | "External" => current.is_none(),
            // Printed as `<unknown type>`, which is something else.
            _ => false,
        }
    }

    /// How many targets `kubectl get hpa` prints as `<unknown>`.
    pub fn unknown_targets(&self) -> usize {
        (0..self.spec.metrics.len()).filter(|&index| self.is_unknown(index)).count()
    }

    /// Whether the controller has a current value of the metrics API for it: it is active, and a Resource metric is known.
    pub fn is_served(&self) -> bool {
        let active = condition(&self.status.conditions, "ScalingActive")
            .is_some_and(|active| active.status == ConditionStatus::True);
        let metrics = self.spec.metrics.iter().enumerate();
        active && metrics.into_iter().any(|(index, metric)| metric.is_resource() && !self.is_unknown(index))
    }
}

impl Named for HorizontalPodAutoscaler {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn unknown(metrics: Value, current: Value) -> usize {
        let value = json!({"spec": {"metrics": metrics}, "status": {"currentMetrics": current}});
        from_json(value).expect("an autoscaler").unknown_targets()
    }

    #[test]
    fn unknown_targets_follow_the_printer() {
        let cpu = json!([{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]);
        let memory = json!([{"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}}]);
        let container = json!([{"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "web", "target": {"averageUtilization": 50}}}]);
        let pods = json!([{"type": "Pods", "pods": {"metric": {"name": "rps"}, "target": {"averageValue": "10"}}}]);
        let object = json!([{"type": "Object", "object": {"metric": {"name": "rps"}, "target": {"value": "10"}}}]);
        let object_average =
            json!([{"type": "Object", "object": {"metric": {"name": "rps"}, "target": {"averageValue": "10"}}}]);
        let external = json!([{"type": "External", "external": {"metric": {"name": "q"}, "target": {"value": "10"}}}]);
        let external_average =
            json!([{"type": "External", "external": {"metric": {"name": "q"}, "target": {"averageValue": "10"}}}]);
        let auto = json!([{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}}]);
        for (metrics, current, expected) in [
            (cpu.clone(), json!(null), 1),
            (cpu.clone(), json!([]), 1),
            (cpu.clone(), json!([{"type": ""}]), 1),
            (
                cpu.clone(),
                json!([{"type": "Resource", "resource": {"name": "cpu", "current": {"averageValue": "5m"}}}]),
                1,
            ),
            (
                cpu.clone(),
                json!([{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 0}}}]),
                0,
            ),
            (memory.clone(), json!([{"type": "Resource"}]), 1),
            (memory.clone(), json!([{"type": "Resource", "resource": {"current": {"averageUtilization": 5}}}]), 0),
            (memory, json!([{"type": "Resource", "resource": {"current": {"averageValue": "1"}}}]), 0),
            (container.clone(), json!([{"type": "Resource", "resource": {"current": {"averageUtilization": 5}}}]), 1),
            (
                container,
                json!([{"type": "ContainerResource", "containerResource": {"current": {"averageUtilization": 5}}}]),
                0,
            ),
            (pods.clone(), json!([{"type": ""}]), 1),
            (pods, json!([{"type": "Pods", "pods": {"current": {}}}]), 0),
            (object.clone(), json!([]), 1),
            (object, json!([{"type": "Object", "object": {"current": {}}}]), 0),
            (object_average.clone(), json!([{"type": "Object", "object": {"current": {"value": "1"}}}]), 1),
            (object_average, json!([{"type": "Object", "object": {"current": {"averageValue": "1"}}}]), 0),
            (external.clone(), json!([{"type": "External", "external": {"current": {}}}]), 0),
            (external, json!([{"type": ""}]), 1),
            (external_average, json!([{"type": "External", "external": {"current": {"value": "1"}}}]), 1),
            (auto, json!([]), 1),
            (json!([{"type": "Future"}]), json!([]), 0),
            (json!([]), json!([]), 0),
            (json!(null), json!(null), 0),
        ] {
            assert_eq!(unknown(metrics.clone(), current.clone()), expected, "{metrics} {current}");
        }
    }

    #[test]
    fn old_versions_become_the_form_of_v2() {
        let v1 = json!({
            "apiVersion": "autoscaling/v1",
            "metadata": {"annotations": {
                "autoscaling.alpha.kubernetes.io/metrics": "[{\"type\":\"Pods\",\"pods\":{\"metricName\":\"rps\",\"targetAverageValue\":\"10\"}}]",
                "autoscaling.alpha.kubernetes.io/current-metrics": "[{\"type\":\"Pods\",\"pods\":{\"metricName\":\"rps\",\"currentAverageValue\":\"3\"}}]",
                "autoscaling.alpha.kubernetes.io/conditions": "[{\"type\":\"AbleToScale\",\"status\":\"True\",\"reason\":\"ReadyForNewScale\"}]"}},
            "spec": {"targetCPUUtilizationPercentage": 50}, "status": {}
        });
        let autoscaler = from_json(v1).expect("an autoscaler");
        assert_eq!(autoscaler.spec.metrics.len(), 2);
        assert_eq!(autoscaler.unknown_targets(), 1, "cpu has no value, the Pods metric has one");
        assert_eq!(autoscaler.status.conditions[0].reason, "ReadyForNewScale");
        let v2beta1 = json!({
            "apiVersion": "autoscaling/v2beta1",
            "spec": {"metrics": [{"type": "Resource", "resource": {"name": "cpu", "targetAverageUtilization": 80}},
                {"type": "Object", "object": {"target": {"kind": "Service", "name": "x"}, "metricName": "m", "targetValue": "5"}}]},
            "status": {"currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "currentAverageUtilization": 3, "currentAverageValue": "1m"}}]}
        });
        let autoscaler = from_json(v2beta1).expect("an autoscaler");
        assert_eq!(autoscaler.unknown_targets(), 1);
        assert_eq!(autoscaler.spec.metrics[0].needs_request(), Some(("cpu", None)));
    }

    proptest! {
        #[test]
        fn taking_a_value_away_never_makes_a_target_known(known in proptest::collection::vec(any::<bool>(), 0..6), taken in 0_usize..6) {
            let metrics: Vec<Value> = known.iter().map(|_| json!({"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 50}}})).collect();
            let entry = |known: bool| if known { json!({"type": "Resource", "resource": {"current": {"averageUtilization": 1}}}) } else { json!({"type": ""}) };
            let current: Vec<Value> = known.iter().map(|&known| entry(known)).collect();
            let before = unknown(json!(metrics), json!(current));
            prop_assert_eq!(before, known.iter().filter(|&&known| !known).count());
            let mut fewer = current;
            if taken < fewer.len() { fewer[taken] = entry(false); }
            prop_assert!(unknown(json!(metrics), json!(fewer)) >= before);
        }
    }
}
