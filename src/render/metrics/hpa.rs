//! Step `hpa`: autoscalers that do not know a target, and why.

use std::collections::BTreeMap;

use super::{Family, Page};
use crate::{
    history::History,
    render::{HpaSeries, View},
    snapshot::{Condition, ConditionStatus, HorizontalPodAutoscaler, Named, metadata::condition},
};

const UNKNOWN_TARGETS: Family = Family::gauge(
    "hpa_unknown_targets",
    &["namespace", "horizontalpodautoscaler"],
    "Metric targets of the HorizontalPodAutoscaler that kubectl get hpa prints as <unknown>",
)
.absent_where("HorizontalPodAutoscalers were not seen")
.series(1, &["namespace", "horizontalpodautoscaler"]);
const ALERTS_OFF: Family = Family::gauge(
    "metrics_server_doctor_hpa_alerts_off",
    &["namespace", "horizontalpodautoscaler"],
    "1 for a HorizontalPodAutoscaler with unknown targets whose annotation metrics-server-doctor/alerts is \"off\": no alert is raised about it",
)
.absent_where("the HorizontalPodAutoscaler knows its targets, or has no such annotation")
.series(1, &["namespace", "horizontalpodautoscaler"]);
const TARGETS: Family = Family::gauge(
    "metrics_server_doctor_hpa_targets",
    &["namespace", "horizontalpodautoscaler"],
    "Metric targets in spec.metrics of the HorizontalPodAutoscaler",
)
.absent_where("the HorizontalPodAutoscaler knows its targets; with --hpa-series=all never")
.series(1, &["namespace", "horizontalpodautoscaler"]);
const NAMESPACE_TARGETS: Family = Family::gauge(
    "metrics_server_doctor_namespace_hpa_targets",
    &["namespace"],
    "Metric targets in spec.metrics of all HorizontalPodAutoscalers of a namespace",
)
.absent_where("the namespace has no HorizontalPodAutoscaler, or they were not seen")
.series(1, &["namespace"]);
const INFO: Family = Family::gauge(
    "metrics_server_doctor_hpa_info",
    &["namespace", "horizontalpodautoscaler", "target_kind", "target_name", "cause"],
    "1 for a HorizontalPodAutoscaler with unknown targets, with kind and name in spec.scaleTargetRef and the cause",
)
.absent_where("the HorizontalPodAutoscaler knows its targets; with --hpa-series=all never")
.series(1, &["namespace", "horizontalpodautoscaler"]);
const BLIND_SINCE: Family = Family::gauge(
    "metrics_server_doctor_hpa_blind_since_timestamp_seconds",
    &["namespace", "horizontalpodautoscaler"],
    "Unix time since when the HorizontalPodAutoscaler does not know a target through a fault: lastTransitionTime of the condition that is False, else the doctor's first look at it",
)
.absent_where("it knows its targets, or is scaled to zero, or has just started")
.series(1, &["namespace", "horizontalpodautoscaler"]);
const BLIND_SECONDS: Family = Family::counter(
    "metrics_server_doctor_hpa_blind_seconds",
    &["namespace"],
    "Seconds for which HorizontalPodAutoscalers of the namespace did not know a target through a fault, summed up over them, since the doctor started",
)
.absent_where("the namespace has no HorizontalPodAutoscaler, or they were not seen")
.series(1, &["namespace"]);
const WATCHED_SECONDS: Family = Family::counter(
    "metrics_server_doctor_hpa_watched_seconds",
    &["namespace"],
    "Seconds for which the doctor saw HorizontalPodAutoscalers of the namespace, summed up over them, since it started",
)
.absent_where("the namespace has no HorizontalPodAutoscaler, or they were not seen")
.series(1, &["namespace"]);
const UNKNOWN_CAUSE: Family = Family::gauge(
    "metrics_server_doctor_hpa_unknown_cause",
    &["namespace", "horizontalpodautoscaler", "cause"],
    "1 for the cause why the HorizontalPodAutoscaler does not know its targets",
)
.absent_where("the HorizontalPodAutoscaler knows its targets")
.series(1, &["namespace", "horizontalpodautoscaler"]);
const CONDITION: Family = Family::gauge(
    "metrics_server_doctor_hpa_condition",
    &["namespace", "horizontalpodautoscaler", "condition", "reason"],
    "Conditions AbleToScale and ScalingActive of the HorizontalPodAutoscaler with their reason: 1 when True, else 0",
)
.absent_where(
    "the HorizontalPodAutoscaler knows its targets (with --hpa-series=all only where it has no such condition)",
)
.series(2, &["namespace", "horizontalpodautoscaler"]);
const TRANSITION: Family = Family::gauge(
    "metrics_server_doctor_hpa_condition_last_transition_timestamp_seconds",
    &["namespace", "horizontalpodautoscaler", "condition"],
    "Unix time of lastTransitionTime of conditions AbleToScale and ScalingActive of the HorizontalPodAutoscaler",
)
.absent_where(
    "the HorizontalPodAutoscaler knows its targets (with --hpa-series=all only where it has no such condition)",
)
.series(2, &["namespace", "horizontalpodautoscaler"]);
const WITHOUT_REQUEST: Family = Family::gauge(
    "metrics_server_doctor_hpa_containers_without_request",
    &["namespace", "horizontalpodautoscaler", "container", "resource"],
    "Pods under the selector of a HorizontalPodAutoscaler that is blind for it whose container of this name has no request for the resource; at most the first 200 pods are looked at",
)
.absent_where("no missing request is the cause")
.series(1, &["namespace", "horizontalpodautoscaler", "container", "resource"]);

/// The families of this module.
pub(super) const FAMILIES: &[Family] = &[
    UNKNOWN_TARGETS,
    NAMESPACE_TARGETS,
    BLIND_SECONDS,
    WATCHED_SECONDS,
    INFO,
    BLIND_SINCE,
    ALERTS_OFF,
    TARGETS,
    UNKNOWN_CAUSE,
    CONDITION,
    TRANSITION,
    WITHOUT_REQUEST,
];

/// The annotation with which those who own an autoscaler say that they want no alerts about it: `off`.
const ALERTS_ANNOTATION: &str = "metrics-server-doctor/alerts";

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

/// The longest name and the longest kind that the API server takes for an object (kubernetes/kubernetes
/// `staging/src/k8s.io/apimachinery/pkg/util/validation/validation.go`, 1.37); a reference may hold anything.
const LONGEST_NAME: usize = 253;
const LONGEST_KIND: usize = 63;

pub(super) fn write(view: &View<'_>, page: &mut Page) {
    let facts = view.facts;
    let mut targets: BTreeMap<&str, usize> = BTreeMap::new();
    for autoscaler in &facts.autoscalers().all {
        let object = autoscaler.object;
        let cause = autoscaler.sight.label();
        page.set(&UNKNOWN_TARGETS, labels(object), autoscaler.unknown_targets);
        *targets.entry(object.namespace()).or_default() += object.spec.metrics.len();
        if autoscaler.unknown_targets > 0 {
            let [namespace, name] = labels(object);
            page.set(&UNKNOWN_CAUSE, [namespace, name, cause.to_owned()], true);
            if wants_no_alerts(object) {
                page.set(&ALERTS_OFF, labels(object), true);
            }
        }
        if autoscaler.unknown_targets > 0 || view.hpa_series == HpaSeries::All {
            write_details(object, cause, page);
        }
        for ((container, resource), pods) in autoscaler.containers_without_request() {
            let [namespace, name] = labels(object);
            page.set(&WITHOUT_REQUEST, [namespace, name, container.to_owned(), resource.to_owned()], pods);
        }
        let history = view.history;
        if let Some(since) = history.and_then(|past| past.blind_since(object.namespace(), object.name())) {
            page.set(&BLIND_SINCE, labels(object), since);
        }
    }
    for (namespace, targets) in targets {
        page.set(&NAMESPACE_TARGETS, [namespace.to_owned()], targets);
    }
    for (namespace, seconds) in view.history.into_iter().flat_map(History::seconds) {
        page.set(&BLIND_SECONDS, [namespace.to_owned()], seconds.blind);
        page.set(&WATCHED_SECONDS, [namespace.to_owned()], seconds.watched);
    }
}

fn wants_no_alerts(autoscaler: &HorizontalPodAutoscaler) -> bool {
    autoscaler.metadata.annotations.get(ALERTS_ANNOTATION).is_some_and(|value| value == "off")
}

fn labels(autoscaler: &HorizontalPodAutoscaler) -> [String; 2] {
    [autoscaler.namespace().to_owned(), autoscaler.name().to_owned()]
}

fn write_details(autoscaler: &HorizontalPodAutoscaler, cause: &str, page: &mut Page) {
    page.set(&TARGETS, labels(autoscaler), autoscaler.spec.metrics.len());
    let target = &autoscaler.spec.scale_target_ref;
    let (kind, name) = (bounded(&target.kind, LONGEST_KIND), bounded(&target.name, LONGEST_NAME));
    let [namespace, own] = labels(autoscaler);
    page.set(&INFO, [namespace, own, kind, name, cause.to_owned()], true);
    for kind in ["AbleToScale", "ScalingActive"] {
        let Some(condition) = condition(&autoscaler.status.conditions, kind) else { continue };
        let [namespace, own] = labels(autoscaler);
        let labels = [namespace.clone(), own.clone(), kind.to_owned(), reason(condition).to_owned()];
        page.set(&CONDITION, labels, condition.status == ConditionStatus::True);
        if let Some(transition) = condition.last_transition_time {
            page.set(&TRANSITION, [namespace, own, kind.to_owned()], transition);
        }
    }
}

/// A value that names an object, whatever somebody has written there.
fn bounded(text: &str, limit: usize) -> String {
    let allowed = |character: char| character.is_ascii_alphanumeric() || ['-', '.', ':', '_'].contains(&character);
    text.chars().take(limit).map(|character| if allowed(character) { character } else { '_' }).collect()
}

fn reason(condition: &Condition) -> &'static str {
    REASONS.into_iter().find(|known| *known == condition.reason).unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_a_name_of_bounded_length() {
        assert_eq!(bounded("web-1.shop_a:b", 253), "web-1.shop_a:b");
        assert_eq!(bounded("a b\"c\n\u{e9}", 253), "a_b_c__");
        assert_eq!(bounded(&"x".repeat(300), LONGEST_NAME).len(), 253);
    }
}
