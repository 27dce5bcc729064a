//! Why an autoscaler does not know its targets.
//!
//! Messages are matched by the parts that every version shares (kubernetes/kubernetes
//! `pkg/controller/podautoscaler/horizontal.go` and `replica_calculator.go`, 1.11 to 1.37).

use jiff::{SignedDuration, Timestamp};

use super::requests;
use crate::{
    catalogue::Cause,
    facts::Facts as Context,
    snapshot::{Condition, ConditionStatus, HorizontalPodAutoscaler, metadata::condition},
    wording::quoted,
};

/// How long new pods may be without samples: two scrapes of 60 seconds at the most, and the controller's own round.
const START_TIME: SignedDuration = SignedDuration::from_secs(180);

/// Two rounds of the controller, 15 seconds each, and a moment: an API server that has just started refuses everybody once.
const ROUNDS: SignedDuration = SignedDuration::from_secs(40);

/// The cause for one autoscaler: a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HpaCause {
    /// It knows its targets.
    None,
    /// A container has no request.
    MissingRequest,
    /// The target is not there.
    TargetNotFound,
    /// The selector is missing, invalid or shared.
    Selector,
    /// The metrics API does not answer.
    MetricsApiDown,
    /// There are no samples of the pods.
    NoSamplesYet,
    /// The pods are not Ready.
    PodsNotReady,
    /// The metric is custom or external.
    NotMetricsServer,
    /// Scaled to zero: not a fault.
    ScaledToZero,
    /// Just started: not a fault.
    TooYoung,
    /// Anything else.
    Other,
}

impl HpaCause {
    /// All causes.
    pub const ALL: [Self; 11] = [
        Self::None,
        Self::MissingRequest,
        Self::TargetNotFound,
        Self::Selector,
        Self::MetricsApiDown,
        Self::NoSamplesYet,
        Self::PodsNotReady,
        Self::NotMetricsServer,
        Self::ScaledToZero,
        Self::TooYoung,
        Self::Other,
    ];

    /// As in labels.
    pub const fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::MissingRequest => "missing_request",
            Self::TargetNotFound => "target_not_found",
            Self::Selector => "selector",
            Self::MetricsApiDown => "metrics_api_down",
            Self::NoSamplesYet => "no_samples_yet",
            Self::PodsNotReady => "pods_not_ready",
            Self::NotMetricsServer => "not_metrics_server",
            Self::ScaledToZero => "scaled_to_zero",
            Self::TooYoung => "too_young",
            Self::Other => "other",
        }
    }
}

/// What is known of one autoscaler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// How many targets `kubectl get hpa` prints as `<unknown>`.
    pub unknown_targets: usize,
    /// Why.
    pub cause: HpaCause,
    /// A more telling cause than the autoscaler's own, which the condition's message proves.
    pub proven: Option<Cause>,
    /// Half a sentence.
    pub summary: String,
    /// What was read.
    pub evidence: Vec<String>,
}

impl Diagnosis {
    /// The catalogue's cause, `None` where nothing is wrong.
    pub fn finding_cause(&self) -> Option<Cause> {
        self.proven.or(match self.cause {
            HpaCause::None | HpaCause::ScaledToZero | HpaCause::TooYoung => None,
            HpaCause::MissingRequest => Some(Cause::MissingRequest),
            HpaCause::TargetNotFound => Some(Cause::TargetNotFound),
            HpaCause::Selector => Some(Cause::Selector),
            HpaCause::MetricsApiDown => Some(Cause::MetricsApiDown),
            HpaCause::NoSamplesYet => Some(Cause::NoSamplesYet),
            HpaCause::PodsNotReady => Some(Cause::HpaPodsNotReady),
            HpaCause::NotMetricsServer => Some(Cause::NotMetricsServer),
            HpaCause::Other => Some(Cause::HpaOther),
        })
    }
}

fn told(condition: &Condition) -> String {
    format!("condition {}: {}: {}", condition.kind, condition.reason, quoted(&condition.message))
}

/// Diagnoses one autoscaler.
pub fn diagnose(context: &Context<'_>, autoscaler: &HorizontalPodAutoscaler) -> Diagnosis {
    let unknown_targets = autoscaler.unknown_targets();
    let conditions = &autoscaler.status.conditions;
    let failing =
        |kind: &str| condition(conditions, kind).filter(|condition| condition.status == ConditionStatus::False);
    let diagnosis = |cause: HpaCause, summary: &str, condition: Option<&Condition>| Diagnosis {
        unknown_targets,
        cause,
        proven: None,
        summary: summary.to_owned(),
        evidence: condition.map(told).into_iter().collect(),
    };
    // While the scale cannot be read ScalingActive keeps its old value, so AbleToScale comes first.
    if let Some(able) = failing("AbleToScale").filter(|able| able.reason == "FailedGetScale") {
        let target = &autoscaler.spec.scale_target_ref;
        let absent = ["not found", "no matches for kind", "could not find the requested resource"];
        return if absent.iter().any(|text| able.message.contains(text)) {
            diagnosis(
                HpaCause::TargetNotFound,
                &format!("its target {} {} does not exist", target.kind, target.name),
                Some(able),
            )
        } else if is_younger(context, able.last_transition_time, ROUNDS) {
            diagnosis(HpaCause::TooYoung, "the controller has failed to read the scale of its target once", Some(able))
        } else {
            diagnosis(
                HpaCause::Other,
                &format!("the scale of its target {} {} cannot be read", target.kind, target.name),
                Some(able),
            )
        };
    }
    let active = failing("ScalingActive");
    if let Some(active) = active {
        return inactive(context, autoscaler, active, &diagnosis);
    }
    if unknown_targets == 0 {
        return diagnosis(HpaCause::None, "it knows its targets", None);
    }
    if autoscaler.status.current_replicas == Some(0)
        && autoscaler.status.desired_replicas == 0
        && !conditions.is_empty()
    {
        return diagnosis(HpaCause::ScaledToZero, "its target is scaled to zero", None);
    }
    if conditions.is_empty() {
        return if is_young(context, autoscaler.metadata.creation_timestamp)
            || autoscaler.metadata.creation_timestamp.is_none()
        {
            diagnosis(HpaCause::TooYoung, "the controller has not looked at it yet", None)
        } else {
            diagnosis(HpaCause::Other, "the controller has not looked at it, though it is minutes old", None)
        };
    }
    partly_unknown(context, autoscaler, &diagnosis)
}

/// `ScalingActive` is True (or not there) and some target still unknown: one metric of several fails, or this round
/// computed none.
fn partly_unknown(
    context: &Context<'_>,
    autoscaler: &HorizontalPodAutoscaler,
    diagnosis: &dyn Fn(HpaCause, &str, Option<&Condition>) -> Diagnosis,
) -> Diagnosis {
    // Outside of its limits of replicas the controller computes no metric and leaves the list empty for a round.
    if autoscaler.status.current_metrics.is_empty() {
        return diagnosis(HpaCause::TooYoung, "the controller computed no metric in this round", None);
    }
    let unknown: Vec<usize> =
        (0..autoscaler.spec.metrics.len()).filter(|&index| autoscaler.is_unknown(index)).collect();
    let resources: Vec<usize> =
        unknown.iter().copied().filter(|&index| autoscaler.spec.metrics[index].is_resource()).collect();
    if resources.is_empty() {
        let names: Vec<&str> = unknown
            .iter()
            .filter_map(|&index| autoscaler.spec.metrics[index].source())
            .map(|source| source.metric.name.as_str())
            .collect();
        return diagnosis(
            HpaCause::NotMetricsServer,
            &format!("no value of the custom or external metric {}", names.join(", ")),
            None,
        );
    }
    if let Some(missing) = missing_request(context, autoscaler, diagnosis, None) {
        return missing;
    }
    diagnosis(HpaCause::Other, "one of its resource metrics has no value", None)
}

/// A missing request that live pods show.
fn missing_request(
    context: &Context<'_>,
    autoscaler: &HorizontalPodAutoscaler,
    diagnosis: &dyn Fn(HpaCause, &str, Option<&Condition>) -> Diagnosis,
    condition: Option<&Condition>,
) -> Option<Diagnosis> {
    let missing = requests::missing(context, autoscaler);
    let first = missing.first()?;
    let mut found = diagnosis(
        HpaCause::MissingRequest,
        &format!("container {} of pod {} has no {} request", first.container, first.pod, first.resource),
        condition,
    );
    found.evidence.extend(missing.iter().take(5).map(|missing| {
        format!(
            "Pod {} container {}: spec.resources.requests lacks {}",
            missing.pod, missing.container, missing.resource
        )
    }));
    if missing.len() > 5 {
        found.evidence.push(format!("and {} more containers", missing.len() - 5));
    }
    Some(found)
}

/// `ScalingActive` is False: its reason and message tell.
fn inactive(
    context: &Context<'_>,
    autoscaler: &HorizontalPodAutoscaler,
    active: &Condition,
    diagnosis: &dyn Fn(HpaCause, &str, Option<&Condition>) -> Diagnosis,
) -> Diagnosis {
    let message = active.message.as_str();
    match active.reason.as_str() {
        "ScalingDisabled" => diagnosis(HpaCause::ScaledToZero, "its target is scaled to zero", Some(active)),
        "AmbiguousSelector" => diagnosis(HpaCause::Selector, "another autoscaler has the same pods", Some(active)),
        "InvalidSelector" | "SelectorRequired" => {
            diagnosis(HpaCause::Selector, "its target has no usable selector", Some(active))
        }
        "FailedGetPodsMetric" | "FailedGetObjectMetric" | "FailedGetExternalMetric" => {
            diagnosis(HpaCause::NotMetricsServer, "no value of a custom or external metric", Some(active))
        }
        "FailedGetResourceMetric" | "FailedGetContainerResourceMetric" => {
            resource_metric(context, autoscaler, active, message, diagnosis)
        }
        _ => diagnosis(HpaCause::Other, "the controller cannot compute a replica count", Some(active)),
    }
}

fn resource_metric(
    context: &Context<'_>,
    autoscaler: &HorizontalPodAutoscaler,
    active: &Condition,
    message: &str,
    diagnosis: &dyn Fn(HpaCause, &str, Option<&Condition>) -> Diagnosis,
) -> Diagnosis {
    if message.contains("missing request for") || message.contains("missing pod-level request for") {
        return missing_request(context, autoscaler, diagnosis, Some(active)).unwrap_or_else(|| {
            let what = message.rfind("missing ").map_or(message, |start| &message[start..]);
            diagnosis(HpaCause::MissingRequest, what, Some(active))
        });
    }
    let settling = context.is_just_available() || context.is_starting();
    // Up to 1.11 the API has no name there, and before it was Heapster's.
    let unanswered = [
        "unable to fetch metrics from resource metrics API",
        "unable to fetch metrics from API",
        "failed to get pod resource metrics",
    ];
    if unanswered.iter().any(|text| message.contains(text)) {
        let mut down = diagnosis(HpaCause::MetricsApiDown, "the metrics API does not answer it", Some(active));
        if message.contains("subjectaccessreviews") && message.contains("is forbidden") {
            down.proven = Some(Cause::AuthDelegatorMissing);
            "metrics-server may not create SubjectAccessReviews, so it answers 500".clone_into(&mut down.summary);
        } else if message.contains("pods.metrics.k8s.io is forbidden: User \"system:anonymous\"") {
            down.proven = Some(Cause::FrontProxyUntrusted);
            "metrics-server does not take over who asks".clone_into(&mut down.summary);
        } else if message.contains("pods.metrics.k8s.io is forbidden") {
            if is_younger(context, active.last_transition_time, ROUNDS) {
                return diagnosis(HpaCause::TooYoung, "the controller was refused once", Some(active));
            }
            down.proven = Some(Cause::CallerForbidden);
            "the autoscaler's controller may not list pods of metrics.k8s.io".clone_into(&mut down.summary);
        }
        // Who is refused does not wait for a start.
        if settling && down.proven.is_none() {
            return diagnosis(HpaCause::TooYoung, "the metrics API has just come up", Some(active));
        }
        return down;
    }
    let early = is_young(context, active.last_transition_time)
        || requests::youngest_pod(context, autoscaler).is_some_and(|born| is_young(context, Some(born)));
    let no_samples = message.contains("no metrics returned from resource metrics API");
    let not_ready =
        ["did not receive metrics", "no pods returned by selector", "no metrics returned matched known pods"]
            .iter()
            .any(|text| message.contains(text));
    if no_samples || not_ready {
        // From 1.27 on a missing request is masked while no pod of the target is Ready.
        if let Some(missing) = missing_request(context, autoscaler, diagnosis, Some(active)) {
            return missing;
        }
        if no_samples && settling {
            return diagnosis(HpaCause::TooYoung, "the metrics API has just come up", Some(active));
        }
        if early {
            return diagnosis(HpaCause::TooYoung, "its pods have just started", Some(active));
        }
        return if not_ready {
            diagnosis(HpaCause::PodsNotReady, "no pod of its target is Ready", Some(active))
        } else {
            diagnosis(HpaCause::NoSamplesYet, "metrics-server has no samples of its pods", Some(active))
        };
    }
    diagnosis(HpaCause::Other, "the controller cannot compute a replica count", Some(active))
}

fn is_young(context: &Context<'_>, moment: Option<Timestamp>) -> bool {
    is_younger(context, moment, START_TIME)
}

fn is_younger(context: &Context<'_>, moment: Option<Timestamp>, age: SignedDuration) -> bool {
    moment.is_some_and(|moment| context.snapshot.observed_at.duration_since(moment) < age)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        guide::Step,
        snapshot::{Collection, NotSeen, Pod, Snapshot, horizontal_pod_autoscaler::from_json},
        testing::{at, healthy, object, run},
    };

    fn autoscaler(status: Value) -> HorizontalPodAutoscaler {
        from_json(json!({
            "metadata": {"name": "web", "namespace": "shop", "creationTimestamp": at(-9000)},
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]},
            "status": status
        }))
        .expect("an autoscaler")
    }

    fn inactive_with(reason: &str, message: &str, since: i64) -> Value {
        json!({"currentReplicas": 1, "desiredReplicas": 1, "currentMetrics": [{"type": ""}], "conditions": [
            {"type": "AbleToScale", "status": "True", "reason": "SucceededGetScale"},
            {"type": "ScalingActive", "status": "False", "reason": reason, "message": message, "lastTransitionTime": at(since)}]})
    }

    fn cause(snapshot: &Snapshot, status: Value) -> HpaCause {
        diagnose(&Context::new(snapshot), &autoscaler(status)).cause
    }

    fn web_pod(containers: Value) -> Pod {
        object(
            json!({"metadata": {"name": "web-1", "namespace": "shop", "labels": {"app": "web"}, "creationTimestamp": at(-9000)}, "spec": {"containers": containers}, "status": {"phase": "Running"}}),
        )
    }

    #[test]
    fn conditions_of_every_version_are_understood() {
        const FETCH: &str = "failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: ";
        for (reason, message, since, expected) in [
            (
                "FailedGetResourceMetric",
                "the HPA was unable to compute the replica count: missing request for cpu",
                -600,
                HpaCause::MissingRequest,
            ),
            (
                "FailedGetResourceMetric",
                "failed to get cpu utilization: missing request for cpu in container sidecar of Pod web-1",
                -600,
                HpaCause::MissingRequest,
            ),
            (
                "FailedGetResourceMetric",
                &format!("{FETCH}the server is currently unable to handle the request (get pods.metrics.k8s.io)"),
                -600,
                HpaCause::MetricsApiDown,
            ),
            (
                "FailedGetResourceMetric",
                "unable to get metrics for resource cpu: no metrics returned from resource metrics API",
                -600,
                HpaCause::NoSamplesYet,
            ),
            (
                "FailedGetResourceMetric",
                "unable to get metrics for resource cpu: no metrics returned from resource metrics API",
                -30,
                HpaCause::TooYoung,
            ),
            (
                "FailedGetResourceMetric",
                "did not receive metrics for targeted pods (pods might be unready)",
                -600,
                HpaCause::PodsNotReady,
            ),
            ("FailedGetResourceMetric", "did not receive metrics for any ready pods", -600, HpaCause::PodsNotReady),
            (
                "ScalingDisabled",
                "scaling is disabled since the replica count of the target is zero",
                -600,
                HpaCause::ScaledToZero,
            ),
            (
                "AmbiguousSelector",
                "pods by selector app=web are controlled by multiple HPAs: [shop/a shop/web]",
                -600,
                HpaCause::Selector,
            ),
            ("InvalidSelector", "the HPA target's scale is missing a selector", -600, HpaCause::Selector),
            ("FailedGetExternalMetric", "unable to get external metric", -600, HpaCause::NotMetricsServer),
            ("InvalidMetricSourceType", "x", -600, HpaCause::Other),
        ] {
            assert_eq!(cause(&healthy(), inactive_with(reason, message, since)), expected, "{reason}: {message}");
        }
    }

    #[test]
    fn while_the_metrics_api_comes_up_nobody_is_blind() {
        let message = "unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server is currently unable to handle the request (get pods.metrics.k8s.io)";
        let mut snapshot = healthy();
        let mut api_service = snapshot.api_services.iter().next().cloned().expect("it");
        api_service.status.conditions[0].last_transition_time = at(-20).parse().ok();
        snapshot.api_services = Collection::complete([api_service]);
        assert_eq!(cause(&snapshot, inactive_with("FailedGetResourceMetric", message, -6000)), HpaCause::TooYoung);
    }

    #[test]
    fn able_to_scale_comes_first() {
        let mut status = inactive_with("FailedGetResourceMetric", "missing request for cpu", -600);
        status["conditions"][0] = json!({"type": "AbleToScale", "status": "False", "reason": "FailedGetScale", "message": "the HPA controller was unable to get the target's current scale: deployments.apps \"web\" not found"});
        assert_eq!(cause(&healthy(), status), HpaCause::TargetNotFound);
    }

    #[test]
    fn a_refusal_counts_from_the_third_round_on() {
        let refused = "the HPA controller was unable to get the target's current scale: deployments.apps \"web\" is forbidden: User \"system:serviceaccount:kube-system:horizontal-pod-autoscaler\" cannot get resource \"deployments/scale\"";
        for (since, expected) in [(-20, HpaCause::TooYoung), (-60, HpaCause::Other)] {
            let condition = json!({"type": "AbleToScale", "status": "False", "reason": "FailedGetScale", "message": refused, "lastTransitionTime": at(since)});
            assert_eq!(cause(&healthy(), json!({"conditions": [condition]})), expected, "since {since} s");
        }
        let message = "unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: pods.metrics.k8s.io is forbidden: User \"system:kube-controller-manager\" cannot list";
        for (since, expected) in [(-20, HpaCause::TooYoung), (-60, HpaCause::MetricsApiDown)] {
            let status = inactive_with("FailedGetResourceMetric", message, since);
            assert_eq!(cause(&healthy(), status), expected, "since {since} s");
        }
    }

    #[test]
    fn what_is_merely_young_or_idle_is_no_fault() {
        assert_eq!(
            cause(
                &healthy(),
                json!({"currentReplicas": 0, "desiredReplicas": 0, "conditions": [{"type": "AbleToScale", "status": "True"}]})
            ),
            HpaCause::ScaledToZero
        );
        assert_eq!(
            cause(
                &healthy(),
                json!({"conditions": [{"type": "ScalingActive", "status": "True"}], "currentMetrics": null})
            ),
            HpaCause::TooYoung
        );
        let snapshot = Snapshot { autoscalers: Collection::complete([]), ..healthy() };
        assert_eq!(run(Step::Hpa, "targets", &snapshot).status, crate::check::Status::Skipped);
        let snapshot =
            Snapshot { autoscalers: Collection::unseen(NotSeen::NotInBundle("horizontalpodautoscalers")), ..healthy() };
        assert_eq!(run(Step::Hpa, "targets", &snapshot).status, crate::check::Status::Unknown);
    }

    #[test]
    fn live_pods_show_a_missing_request_that_the_message_masks() {
        let mut snapshot = healthy();
        snapshot
            .pods
            .insert(web_pod(json!([{"name": "web", "resources": {"requests": {"cpu": "1"}}}, {"name": "sidecar"}])));
        let masked = inactive_with(
            "FailedGetResourceMetric",
            "did not receive metrics for targeted pods (pods might be unready)",
            -600,
        );
        assert_eq!(cause(&snapshot, masked), HpaCause::MissingRequest);
        let one_of_two =
            json!({"conditions": [{"type": "ScalingActive", "status": "True"}], "currentMetrics": [{"type": ""}]});
        assert_eq!(cause(&snapshot, one_of_two), HpaCause::MissingRequest);
    }

    #[test]
    fn messages_prove_causes_of_other_steps() {
        let message = "unable to fetch metrics from resource metrics API: an error on the server (\"Internal Server Error: subjectaccessreviews.authorization.k8s.io is forbidden: User\") has prevented the request from succeeding (get pods.metrics.k8s.io)";
        let snapshot = healthy();
        let diagnosis =
            diagnose(&Context::new(&snapshot), &autoscaler(inactive_with("FailedGetResourceMetric", message, -600)));
        assert_eq!(diagnosis.finding_cause(), Some(Cause::AuthDelegatorMissing));
    }
}
