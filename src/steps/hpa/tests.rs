use serde_json::{Value, json};

use super::*;
use crate::{
    check::{Answer, Status},
    snapshot::{Collection, HorizontalPodAutoscaler, Observed, Pod, Snapshot, horizontal_pod_autoscaler::from_json},
    testing::{at, healthy, object, run},
};

const EMPTY: &str = "unable to get metrics for resource cpu: no metrics returned from resource metrics API";
const DOWN: &str = "unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server is currently unable to handle the request (get pods.metrics.k8s.io)";

fn autoscaler(name: &str, status: Value) -> HorizontalPodAutoscaler {
    from_json(json!({
        "metadata": {"name": name, "namespace": "shop", "creationTimestamp": at(-9000)},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]},
        "status": status
    }))
    .expect("an autoscaler")
}

fn inactive(reason: &str, message: &str, since: i64) -> Value {
    json!({"currentReplicas": 1, "desiredReplicas": 1, "currentMetrics": [{"type": ""}], "conditions": [
        {"type": "ScalingActive", "status": "False", "reason": reason, "message": message, "lastTransitionTime": at(since)}]})
}

fn knows() -> Value {
    json!({"currentReplicas": 1, "desiredReplicas": 1,
        "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 10}}}],
        "conditions": [{"type": "ScalingActive", "status": "True"}]})
}

fn answer(autoscalers: Vec<HorizontalPodAutoscaler>) -> Answer {
    run(Step::Hpa, "targets", &Snapshot { autoscalers: Collection::complete(autoscalers), ..healthy() })
}

#[test]
fn without_autoscalers_there_is_nothing_to_tell() {
    assert_eq!(answer(vec![]).status, Status::Skipped);
    let unseen = Snapshot { autoscalers: Collection::unseen(NotSeen::NotInBundle("hpa")), ..healthy() };
    assert_eq!(run(Step::Hpa, "targets", &unseen).status, Status::Unknown);
    let healthy = run(Step::Hpa, "targets", &healthy());
    assert_eq!((healthy.status, healthy.summary.as_str()), (Status::Pass, "The autoscaler gets its metrics."));
    assert!(healthy.witness.is_some());
}

#[test]
fn what_is_no_fault_is_told_with_its_number_and_reason() {
    let asleep = || inactive("ScalingDisabled", "", -9000);
    let young = || inactive("FailedGetResourceMetric", EMPTY, -20);
    for (autoscalers, expected) in [
        (vec![autoscaler("a", asleep())], "1 autoscaler has no value for now: the target is scaled to zero."),
        (
            vec![autoscaler("a", asleep()), autoscaler("b", knows())],
            "1 autoscaler has no value for now: the target is scaled to zero. The other one gets its metrics.",
        ),
        (
            vec![
                autoscaler("a", asleep()),
                autoscaler("b", young()),
                autoscaler("c", knows()),
                autoscaler("d", knows()),
            ],
            "2 autoscalers have no value for now: its pods have just started (1), the target is scaled to zero (1). The other 2 get their metrics.",
        ),
        (vec![autoscaler("c", knows()), autoscaler("d", knows())], "All 2 autoscalers get their metrics."),
    ] {
        let answer = answer(autoscalers);
        assert_eq!((answer.status, answer.summary.as_str()), (Status::Pass, expected));
    }
}

#[test]
fn an_api_that_has_answered_nobody_yet_is_waited_for_and_not_passed() {
    let young = || vec![autoscaler("a", inactive("FailedGetResourceMetric", DOWN, -20))];
    let nobody = Snapshot {
        autoscalers: Collection::complete(young()),
        top_nodes: Observed::default(),
        top_pods: Observed::default(),
        ..healthy()
    };
    let waiting = run(Step::Hpa, "targets", &nobody);
    assert_eq!(waiting.status, Status::Unknown);
    assert_eq!(waiting.settling_until, at(20).parse().ok());
    assert_eq!(answer(young()).status, Status::Pass, "others are answered");
}

#[test]
fn two_autoscalers_on_one_selector_are_one_fault() {
    let named = |names: &str| {
        let message = format!("pods by selector app=web are controlled by multiple HPAs: [{names}]");
        inactive("AmbiguousSelector", &message, -600)
    };
    let found = answer(vec![
        autoscaler("a", named("shop/a shop/web")),
        autoscaler("web", named("shop/web shop/a")),
        autoscaler("x", named("shop/x shop/y")),
        autoscaler("y", named("shop/y shop/x")),
    ]);
    let summaries: Vec<&str> = found.findings.iter().map(|finding| finding.summary.as_str()).collect();
    assert_eq!(
        summaries,
        [
            "HorizontalPodAutoscalers shop/a and shop/web select the same pods (app=web), so none of them scales.",
            "HorizontalPodAutoscalers shop/x and shop/y select the same pods (app=web), so none of them scales.",
        ]
    );
    assert_eq!(found.findings[0].evidence.len(), 2);
}

#[test]
fn many_that_the_pipeline_blinds_are_one_finding_of_the_pipeline() {
    let down = || inactive("FailedGetResourceMetric", DOWN, -600);
    let all = answer((0..20).map(|number| autoscaler(&format!("a{number}"), down())).collect());
    assert_eq!(all.findings.len(), 1);
    let finding = &all.findings[0];
    assert_eq!(
        (finding.cause, finding.impact, finding.scope),
        (Cause::MetricsApiDown, Impact::Outage, Scope::Pipeline)
    );
    assert!(
        finding.summary.starts_with("20 of 20 autoscalers: the metrics API does not answer"),
        "{}",
        finding.summary
    );
    assert_eq!(finding.evidence.len(), QUOTED);
    assert_eq!(finding.since, at(-600).parse().ok());
    let one = answer(vec![autoscaler("a", down()), autoscaler("b", knows()), autoscaler("c", knows())]);
    let finding = &one.findings[0];
    assert_eq!((finding.impact, finding.scope), (Impact::Partial, Scope::Autoscaler));
}

#[test]
fn nearly_all_blind_for_a_quarter_of_an_hour_is_a_fault_however_young_some_pods_are() {
    let mut autoscalers: Vec<_> = (0..40).map(|number| autoscaler(&format!("a{number}"), knows())).collect();
    autoscalers.extend(
        (0..960).map(|number| autoscaler(&format!("b{number}"), inactive("FailedGetResourceMetric", EMPTY, -960))),
    );
    let snapshot = Snapshot { autoscalers: Collection::complete(autoscalers), ..healthy() };
    let found = run(Step::Hpa, "targets", &snapshot);
    assert_eq!(found.findings.len(), 1);
    assert_eq!((found.findings[0].cause, found.findings[0].scope), (Cause::NoSamplesYet, Scope::Pipeline));
    assert!(found.findings[0].summary.starts_with("960 of 1000 autoscalers"), "{}", found.findings[0].summary);
}

fn remedy(pod: Value) -> (String, String) {
    let mut snapshot = healthy();
    snapshot.pods.insert(object::<Pod>(pod));
    let message = "missing request for cpu";
    snapshot.autoscalers =
        Collection::complete([autoscaler("web", inactive("FailedGetResourceMetric", message, -600))]);
    let finding = run(Step::Hpa, "targets", &snapshot).findings.remove(0);
    (finding.summary.clone(), finding.remedy())
}

#[test]
fn the_repair_of_a_missing_request_fits_whose_container_it_is() {
    let pod = |name: &str, owner: Value, container: &str| {
        json!({"metadata": {"name": name, "namespace": "shop", "labels": {"app": "web"}, "ownerReferences": owner},
            "spec": {"containers": [{"name": container}]}, "status": {"phase": "Running"}})
    };
    let own = json!([{"kind": "ReplicaSet", "name": "web-5d8f", "controller": true}]);
    let (summary, injected) = remedy(pod("web-2", own.clone(), "istio-proxy"));
    assert!(summary.contains("container istio-proxy of pod web-2 has no cpu request"), "{summary}");
    assert!(injected.contains("sidecar.istio.io/proxyCPU"), "{injected}");
    let (summary, foreign) = remedy(pod("job-1", json!([{"kind": "Job", "name": "nightly", "controller": true}]), "x"));
    assert!(summary.contains("of Job nightly") && foreign.contains("label of their own"), "{summary} {foreign}");
    let (_, older) = remedy(pod("web-2", own, "web"));
    assert!(older.contains("`kubectl rollout restart deployment -n shop web`"), "{older}");
}

#[test]
fn a_kind_that_is_not_served_is_not_called_absent() {
    let status = json!({"conditions": [{"type": "AbleToScale", "status": "False", "reason": "FailedGetScale", "lastTransitionTime": at(-600),
        "message": "the HPA controller was unable to get the target's current scale: no matches for kind \"Deployment\" in group \"extensions\""}]});
    let mut old = autoscaler("web", status);
    old.spec.scale_target_ref.api_version = "extensions/v1beta1".to_owned();
    let found = answer(vec![old]);
    let finding = &found.findings[0];
    assert_eq!(finding.cause, Cause::TargetKindNotServed);
    assert!(finding.summary.contains("Deployment web exists"), "{}", finding.summary);
    assert!(finding.remedy().contains("apiVersion: apps/v1"), "{}", finding.remedy());
}
