//! Step `hpa`: autoscalers that do not know a target, and why.

use super::{Family, Page};
use crate::{
    render::View,
    snapshot::{Condition, ConditionStatus, Named, metadata::condition},
};

const UNKNOWN_TARGETS: Family = Family::gauge(
    "hpa_unknown_targets",
    &["namespace", "horizontalpodautoscaler"],
    "Metric targets of the HorizontalPodAutoscaler that kubectl get hpa prints as <unknown>",
)
.absent_where("HorizontalPodAutoscalers were not seen")
.series(1, &["namespace", "horizontalpodautoscaler"]);
const TARGETS: Family = Family::gauge(
    "metrics_server_doctor_hpa_targets",
    &["namespace", "horizontalpodautoscaler"],
    "Metric targets in spec.metrics of the HorizontalPodAutoscaler",
)
.absent_where("HorizontalPodAutoscalers were not seen")
.series(1, &["namespace", "horizontalpodautoscaler"]);
const UNKNOWN_CAUSE: Family = Family::gauge(
    "metrics_server_doctor_hpa_unknown_cause",
    &["namespace", "horizontalpodautoscaler", "cause"],
    "1 for the cause why the HorizontalPodAutoscaler does not know its targets; without series where it knows them",
)
.absent_where("the HorizontalPodAutoscaler knows its targets")
.series(1, &["namespace", "horizontalpodautoscaler"]);
const CONDITION: Family = Family::gauge(
    "metrics_server_doctor_hpa_condition",
    &["namespace", "horizontalpodautoscaler", "condition", "reason"],
    "Conditions AbleToScale and ScalingActive of the HorizontalPodAutoscaler with their reason: 1 when True, else 0",
)
.absent_where("the HorizontalPodAutoscaler has no such condition")
.series(2, &["namespace", "horizontalpodautoscaler"]);
const TRANSITION: Family = Family::gauge(
    "metrics_server_doctor_hpa_condition_last_transition_timestamp_seconds",
    &["namespace", "horizontalpodautoscaler", "condition"],
    "Unix time of lastTransitionTime of conditions AbleToScale and ScalingActive of the HorizontalPodAutoscaler",
)
.absent_where("the HorizontalPodAutoscaler has no such condition")
.series(2, &["namespace", "horizontalpodautoscaler"]);
const WITHOUT_REQUEST: Family = Family::gauge(
    "metrics_server_doctor_hpa_containers_without_request",
    &["namespace", "horizontalpodautoscaler", "container", "resource"],
    "Pods under the selector of a HorizontalPodAutoscaler that is blind for it whose container of this name has no request for the resource",
)
.absent_where("no missing request is the cause")
.series(1, &["namespace", "horizontalpodautoscaler", "container", "resource"]);

/// The families of this module.
pub(super) const FAMILIES: &[Family] =
    &[UNKNOWN_TARGETS, TARGETS, UNKNOWN_CAUSE, CONDITION, TRANSITION, WITHOUT_REQUEST];

/// Reasons that the controller writes (kubernetes/kubernetes `pkg/controller/podautoscaler/horizontal.go`).
const REASONS: [&str; 27] = [
    "SucceededGetScale",
    "FailedGetScale",
    "SucceededRescale",
    "FailedUpdateScale",
    "FailedRescale",
    "ReadyForNewScale",
    "ScaleUpStabilized",
    "ScaleDownStabilized",
    "BackoffBoth",
    "BackoffDownscale",
    "BackoffUpscale",
    "ValidMetricFound",
    "FailedGetResourceMetric",
    "FailedGetContainerResourceMetric",
    "FailedGetPodsMetric",
    "FailedGetObjectMetric",
    "FailedGetExternalMetric",
    "FailedComputeMetricsReplicas",
    "InvalidMetricSourceType",
    "InvalidSelector",
    "AmbiguousSelector",
    "ScalingDisabled",
    "FailedGetObjectMetricReplicas",
    "FailedUpdateStatus",
    "FailedConvertHPA",
    "SelectorRequired",
    "DesiredWithinRange",
];

pub(super) fn write(view: &View<'_>, page: &mut Page) {
    let facts = view.context();
    for autoscaler in &facts.autoscalers().all {
        let labels = [autoscaler.object.namespace().to_owned(), autoscaler.object.name().to_owned()];
        page.set(&UNKNOWN_TARGETS, labels.clone(), autoscaler.unknown_targets);
        page.set(&TARGETS, labels.clone(), autoscaler.object.spec.metrics.len());
        if autoscaler.unknown_targets > 0 {
            let [namespace, hpa] = labels.clone();
            page.set(&UNKNOWN_CAUSE, [namespace, hpa, autoscaler.sight.label().to_owned()], true);
        }
        for kind in ["AbleToScale", "ScalingActive"] {
            if let Some(condition) = condition(&autoscaler.object.status.conditions, kind) {
                let [namespace, hpa] = labels.clone();
                let labels = [namespace.clone(), hpa.clone(), kind.to_owned(), reason(condition).to_owned()];
                page.set(&CONDITION, labels, condition.status == ConditionStatus::True);
                if let Some(transition) = condition.last_transition_time {
                    page.set(&TRANSITION, [namespace, hpa, kind.to_owned()], transition);
                }
            }
        }
        for ((container, resource), pods) in autoscaler.containers_without_request() {
            let [namespace, hpa] = labels.clone();
            page.set(&WITHOUT_REQUEST, [namespace, hpa, container.to_owned(), resource.to_owned()], pods);
        }
    }
}

fn reason(condition: &Condition) -> &'static str {
    REASONS.into_iter().find(|known| *known == condition.reason).unwrap_or("other")
}
