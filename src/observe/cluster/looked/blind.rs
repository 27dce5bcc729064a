//! Which autoscalers do not know a target, and what must be looked up for them. Pure.

use std::collections::BTreeMap;

use crate::{
    observe::cluster::heard::ScaleTarget,
    snapshot::{
        ConditionStatus, HorizontalPodAutoscaler, Named, Snapshot,
        horizontal_pod_autoscaler::{AutoscalerSpec, MetricSource, MetricStatus},
        metadata::condition,
    },
};

/// The targets of blind autoscalers, and whether their pods are needed: only a share of the request is computed from
/// pods (kubernetes/kubernetes `pkg/controller/podautoscaler/replica_calculator.go`).
pub(in crate::observe::cluster) fn targets(snapshot: &Snapshot) -> BTreeMap<ScaleTarget, bool> {
    let mut targets = BTreeMap::new();
    for autoscaler in snapshot.autoscalers.iter().filter(|autoscaler| is_blind(autoscaler)) {
        let reference = &autoscaler.spec.scale_target_ref;
        let target = ScaleTarget {
            namespace: autoscaler.namespace().to_owned(),
            api_version: reference.api_version.clone(),
            kind: reference.kind.clone(),
            name: reference.name.clone(),
        };
        *targets.entry(target).or_insert(false) |= has_utilization_target(&autoscaler.spec);
    }
    targets
}

/// Whether an autoscaler lacks the current value of a metric that comes from the metrics API, or cannot read its target.
fn is_blind(autoscaler: &HorizontalPodAutoscaler) -> bool {
    let conditions = &autoscaler.status.conditions;
    let is_false = |kind| condition(conditions, kind).is_some_and(|found| found.status == ConditionStatus::False);
    if is_false("AbleToScale") {
        return true;
    }
    let scaling_active = condition(conditions, "ScalingActive");
    let scaled_to_zero = scaling_active.is_some_and(|found| found.reason == "ScalingDisabled");
    let asks_metrics_api = autoscaler.spec.metrics.is_empty()
        || autoscaler
            .spec
            .metrics
            .iter()
            .any(|metric| metric.resource.is_some() || metric.container_resource.is_some());
    asks_metrics_api && !scaled_to_zero && (is_false("ScalingActive") || lacks_current_metric(autoscaler))
}

fn lacks_current_metric(autoscaler: &HorizontalPodAutoscaler) -> bool {
    let status = &autoscaler.status;
    if status.current_cpu_utilization_percentage.is_some() {
        return false;
    }
    let wanted = autoscaler.spec.metrics.len().max(1);
    let has_value = |metric: &MetricStatus| {
        let sources = [&metric.resource, &metric.container_resource, &metric.pods, &metric.object, &metric.external];
        !metric.kind.is_empty() && sources.iter().any(|source| source.is_some())
    };
    status.current_metrics.iter().filter(|metric| has_value(metric)).count() < wanted
}

fn has_utilization_target(spec: &AutoscalerSpec) -> bool {
    // Without any metric the API server's default is 80 % of the cpu request.
    if spec.metrics.is_empty() || spec.target_cpu_utilization_percentage.is_some() {
        return true;
    }
    let is_utilization = |source: &MetricSource| {
        source.target.average_utilization.is_some()
            || source.target.kind == "Utilization"
            || source.target_average_utilization.is_some()
    };
    spec.metrics.iter().any(|metric| metric.resource.iter().chain(&metric.container_resource).any(is_utilization))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        snapshot::Collection,
        testing::{healthy, object},
    };

    fn found(spec_metrics: &Value, status: &Value) -> Option<bool> {
        let autoscaler: HorizontalPodAutoscaler = object(json!({
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "metrics": spec_metrics},
            "status": status
        }));
        let snapshot = Snapshot { autoscalers: Collection::complete([autoscaler]), ..healthy() };
        targets(&snapshot).into_values().next()
    }

    #[test]
    fn only_blind_autoscalers_are_looked_up_and_pods_only_for_utilization() {
        let utilization = json!([{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]);
        let average = json!([{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "1"}}}]);
        let external = json!([{"type": "External", "external": {"metric": {"name": "q"}, "target": {"type": "Value", "value": "1"}}}]);
        let sees = json!({"currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 1}}}]});
        let failed = json!({"currentMetrics": [{"type": ""}], "conditions": [{"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric"}]});
        let to_zero =
            json!({"conditions": [{"type": "ScalingActive", "status": "False", "reason": "ScalingDisabled"}]});
        let no_target = json!({"conditions": [{"type": "AbleToScale", "status": "False", "reason": "FailedGetScale"}]});
        let stale = json!({"currentMetrics": sees["currentMetrics"], "conditions": failed["conditions"]});
        for (case, metrics, status, expected) in [
            ("sees", &utilization, &sees, None),
            ("a metric failed", &utilization, &failed, Some(true)),
            ("no status yet", &utilization, &json!({}), Some(true)),
            ("old values beside a condition that is False", &utilization, &stale, Some(true)),
            ("an average value needs no requests", &average, &failed, Some(false)),
            ("the default metric", &json!([]), &json!({}), Some(true)),
            ("the default metric, read", &json!([]), &sees, None),
            ("scaled to zero", &utilization, &to_zero, None),
            ("no target", &utilization, &no_target, Some(true)),
            ("another metrics API", &external, &failed, None),
        ] {
            assert_eq!(found(metrics, status), expected, "{case}");
        }
    }
}
