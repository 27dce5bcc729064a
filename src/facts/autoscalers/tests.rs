use serde_json::{Value, json};

use super::*;
use crate::{
    snapshot::{
        Collection, Observed, Retrieval, Snapshot, TargetObject,
        horizontal_pod_autoscaler::from_json,
        retrieval::{Outcome, Sample},
    },
    testing::{at, healthy, object},
};

const FETCH: &str = "failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: ";
const EMPTY: &str = "unable to get metrics for resource cpu: no metrics returned from resource metrics API";

fn autoscaler(target: Value, status: Value) -> HorizontalPodAutoscaler {
    from_json(json!({
        "metadata": {"name": "web", "namespace": "shop", "creationTimestamp": at(-9000)},
        "spec": {"scaleTargetRef": target,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]},
        "status": status
    }))
    .expect("an autoscaler")
}

fn deployment(name: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name})
}

fn inactive(reason: &str, message: &str, since: i64) -> Value {
    json!({"currentReplicas": 1, "desiredReplicas": 1, "currentMetrics": [{"type": ""}], "conditions": [
        {"type": "AbleToScale", "status": "True", "reason": "SucceededGetScale"},
        {"type": "ScalingActive", "status": "False", "reason": reason, "message": message, "lastTransitionTime": at(since)}]})
}

fn unable(message: &str, since: i64) -> Value {
    let message = format!("the HPA controller was unable to get the target's current scale: {message}");
    json!({"conditions": [{"type": "AbleToScale", "status": "False", "reason": "FailedGetScale", "message": message, "lastTransitionTime": at(since)}]})
}

fn resource(message: &str, since: i64) -> Value {
    inactive("FailedGetResourceMetric", message, since)
}

fn with(snapshot: &mut Snapshot, target: Value, status: Value) {
    snapshot.autoscalers = Collection::complete([autoscaler(target, status)]);
}

/// What the label of the one autoscaler `shop/web` on `Deployment` `web` is.
fn label(snapshot: &Snapshot, status: Value) -> &'static str {
    let mut snapshot = snapshot.clone();
    with(&mut snapshot, deployment("web"), status);
    Facts::new(&snapshot).autoscalers().all[0].sight.label()
}

fn lost(snapshot: &Snapshot, target: Value, message: &str) -> Lost {
    let mut snapshot = snapshot.clone();
    with(&mut snapshot, target, unable(message, -600));
    match &Facts::new(&snapshot).autoscalers().all[0].sight {
        Sight::Blind(Blind::Lost(lost)) => lost.clone(),
        other => panic!("{other:?}"),
    }
}

fn pod(name: &str, born: i64, ready: &str, labels: Value, containers: Value) -> Pod {
    object(json!({
        "metadata": {"name": name, "namespace": "shop", "labels": labels, "creationTimestamp": at(born)},
        "spec": {"containers": containers},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": at(born + 5)}]}}))
}

fn sampled(snapshot: &mut Snapshot, pods: &[&str]) {
    let samples =
        pods.iter().map(|name| Sample { namespace: "shop".to_owned(), name: (*name).to_owned(), ..Sample::default() });
    let outcome = Outcome::Samples(samples.collect());
    snapshot.top_pods = Observed::Present(Retrieval { outcome, latency: None });
}

#[test]
fn conditions_of_every_version_are_understood() {
    for (reason, message, since, expected) in [
        (
            "FailedGetResourceMetric",
            "the HPA was unable to compute the replica count: missing request for cpu",
            -600,
            "missing_request",
        ),
        (
            "FailedGetResourceMetric",
            "failed to get cpu utilization: missing request for cpu in container sidecar of Pod web-1",
            -600,
            "missing_request",
        ),
        (
            "FailedGetResourceMetric",
            &format!("{FETCH}the server is currently unable to handle the request (get pods.metrics.k8s.io)"),
            -600,
            "metrics_api_down",
        ),
        ("FailedGetResourceMetric", EMPTY, -600, "no_samples_yet"),
        ("FailedGetResourceMetric", EMPTY, -30, "too_young"),
        (
            "FailedGetResourceMetric",
            "did not receive metrics for targeted pods (pods might be unready)",
            -600,
            "pods_not_ready",
        ),
        ("FailedGetResourceMetric", "did not receive metrics for any ready pods", -600, "pods_not_ready"),
        (
            "ScalingDisabled",
            "scaling is disabled since the replica count of the target is zero",
            -600,
            "scaled_to_zero",
        ),
        (
            "AmbiguousSelector",
            "pods by selector app=web are controlled by multiple HPAs: [shop/a shop/web]",
            -600,
            "selector",
        ),
        ("InvalidSelector", "the HPA target's scale is missing a selector", -600, "selector"),
        ("FailedGetExternalMetric", "unable to get external metric", -600, "not_metrics_server"),
        ("InvalidMetricSourceType", "x", -600, "other"),
    ] {
        assert_eq!(label(&healthy(), inactive(reason, message, since)), expected, "{reason}: {message}");
    }
}

#[test]
fn labels_are_a_closed_set() {
    let all: Vec<&str> = labels().collect();
    let known = [
        "none",
        "scaled_to_zero",
        "too_young",
        "missing_request",
        "target_not_found",
        "target_kind_not_served",
        "target_not_scalable",
        "selector",
        "not_metrics_server",
        "pods_not_ready",
        "no_samples_yet",
        "metrics_api_down",
        "other",
    ];
    assert_eq!(all, known);
}

#[test]
fn while_the_metrics_api_comes_up_nobody_is_blind() {
    let message = format!("{FETCH}the server is currently unable to handle the request (get pods.metrics.k8s.io)");
    let mut snapshot = healthy();
    let mut api_service = snapshot.api_services.iter().next().cloned().expect("it");
    api_service.status.conditions[0].last_transition_time = at(-20).parse().ok();
    snapshot.api_services = Collection::complete([api_service]);
    assert_eq!(label(&snapshot, resource(&message, -6000)), "too_young");
    assert_eq!(label(&healthy(), resource(&message, -6000)), "metrics_api_down");
    assert_eq!(label(&healthy(), resource(&message, -20)), "too_young", "one round proves nothing");
}

#[test]
fn able_to_scale_comes_first() {
    let mut status = resource("missing request for cpu", -600);
    status["conditions"][0] = unable("deployments.apps \"web\" not found", -600)["conditions"][0].clone();
    let mut snapshot = healthy();
    snapshot.workloads = Collection::complete([]);
    assert_eq!(label(&snapshot, status), "target_not_found");
}

#[test]
fn a_refusal_counts_from_the_third_round_on() {
    let refused = "deployments.apps \"web\" is forbidden: User \"system:serviceaccount:kube-system:horizontal-pod-autoscaler\" cannot get resource \"deployments/scale\"";
    for (since, expected) in [(-20, "too_young"), (-60, "other")] {
        assert_eq!(label(&healthy(), unable(refused, since)), expected, "since {since} s");
    }
    let message =
        format!("{FETCH}pods.metrics.k8s.io is forbidden: User \"system:kube-controller-manager\" cannot list");
    for (since, expected) in [(-20, "too_young"), (-60, "metrics_api_down")] {
        assert_eq!(label(&healthy(), resource(&message, since)), expected, "since {since} s");
    }
}

#[test]
fn what_is_merely_young_or_idle_is_no_fault() {
    let asleep =
        json!({"currentReplicas": 0, "desiredReplicas": 0, "conditions": [{"type": "AbleToScale", "status": "True"}]});
    assert_eq!(label(&healthy(), asleep), "scaled_to_zero");
    let outside = json!({"conditions": [{"type": "ScalingActive", "status": "True"}], "currentMetrics": null});
    assert_eq!(label(&healthy(), outside), "too_young");
}

#[test]
fn no_young_pod_excuses_an_old_condition() {
    let mut snapshot = healthy();
    let request = json!([{"name": "web", "resources": {"requests": {"cpu": "1"}}}]);
    snapshot.pods = Collection::complete([pod("web-2", -20, "True", json!({"app": "web"}), request)]);
    assert_eq!(label(&snapshot, resource(EMPTY, -170)), "too_young");
    assert_eq!(label(&snapshot, resource(EMPTY, -960)), "no_samples_yet");
    assert_eq!(label(&snapshot, resource("did not receive metrics for any ready pods", -960)), "pods_not_ready");
    let mut undated = resource(EMPTY, -960);
    undated["conditions"][1]["lastTransitionTime"] = json!(null);
    assert_eq!(label(&snapshot, undated), "no_samples_yet", "the age of the autoscaler bounds it");
}

#[test]
fn a_target_that_was_woken_from_zero_has_its_time() {
    let request = json!([{"name": "web", "resources": {"requests": {"cpu": "1"}}}]);
    let woken = |born: i64, desired: i64| {
        let mut snapshot = healthy();
        snapshot.pods = Collection::complete([pod("web-2", born, "True", json!({"app": "web"}), request.clone())]);
        let mut status = resource(EMPTY, -8000);
        status["desiredReplicas"] = json!(desired);
        label(&snapshot, status)
    };
    assert_eq!(woken(-30, 0), "too_young");
    assert_eq!(woken(-300, 0), "no_samples_yet");
    assert_eq!(woken(-30, 1), "no_samples_yet");
}

#[test]
fn live_pods_show_a_missing_request_that_the_message_masks() {
    let mut snapshot = healthy();
    let containers = json!([{"name": "web", "resources": {"requests": {"cpu": "1"}}}, {"name": "sidecar"}]);
    snapshot.pods.insert(pod("web-1", -9000, "True", json!({"app": "web"}), containers));
    let masked = resource("did not receive metrics for targeted pods (pods might be unready)", -600);
    assert_eq!(label(&snapshot, masked), "missing_request");
    let one_of_two =
        json!({"conditions": [{"type": "ScalingActive", "status": "True"}], "currentMetrics": [{"type": ""}]});
    assert_eq!(label(&snapshot, one_of_two), "missing_request");
    assert_eq!(label(&snapshot, resource(EMPTY, -600)), "no_samples_yet", "nothing came back for any pod");
}

#[test]
fn a_selector_of_nobody_is_told_apart_from_missing_samples() {
    let mut snapshot = healthy();
    sampled(&mut snapshot, &["other-1"]);
    assert_eq!(label(&snapshot, resource(EMPTY, -600)), "no_samples_yet", "its pod is there");
    snapshot.pods = Collection::complete([pod("web-1", -9000, "True", json!({"app": "webb"}), json!([]))]);
    assert_eq!(label(&snapshot, resource(EMPTY, -600)), "selector");
    sampled(&mut snapshot, &[]);
    assert_eq!(label(&snapshot, resource(EMPTY, -600)), "no_samples_yet", "nobody has samples");
}

#[test]
fn ready_pods_without_samples_are_not_called_unready() {
    let unready = || resource("did not receive metrics for targeted pods (pods might be unready)", -600);
    let mut snapshot = healthy();
    sampled(&mut snapshot, &["other-1"]);
    assert_eq!(label(&snapshot, unready()), "no_samples_yet");
    let request = json!([{"name": "web", "resources": {"requests": {"cpu": "1"}}}]);
    snapshot.pods.insert(pod("web-1", -9000, "False", json!({"app": "web"}), request));
    assert_eq!(label(&snapshot, unready()), "pods_not_ready");
}

#[test]
fn a_message_that_names_a_pod_leads_to_that_pod() {
    let message = "failed to get container metrics: container web not present in metrics for pod shop/web-1";
    let status = || inactive("FailedGetContainerResourceMetric", message, -600);
    let mut snapshot = healthy();
    assert_eq!(label(&snapshot, status()), "no_samples_yet", "it runs and is Ready");
    let mut crashing = snapshot.pods.get("shop", "web-1").seen().map(|pod| (*pod).clone()).expect("it");
    crashing.status.container_statuses =
        vec![object(json!({"name": "web", "restartCount": 7, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}))];
    snapshot.pods.insert(crashing);
    assert_eq!(label(&snapshot, status()), "pods_not_ready");
    assert_eq!(
        label(&snapshot, inactive("FailedGetContainerResourceMetric", message, -100)),
        "too_young",
        "a pod that was just added blinds it for a moment"
    );
    snapshot.pods = Collection::unseen(NotSeen::NotInBundle("pods"));
    with(&mut snapshot, deployment("web"), status());
    let facts = Facts::new(&snapshot);
    let (_, blind) = facts.autoscalers().blind().next().expect("it");
    assert_eq!(blind.candidates(), [Cause::HpaPodsNotReady, Cause::NoSamplesYet]);
}

#[test]
fn a_target_that_is_lost_is_called_absent_only_where_that_is_proved() {
    let custom = || json!({"apiVersion": "ray.example/v1", "kind": "Fleet", "name": "web"});
    let kind =
        |api_version: &str, kind: &str, name: &str| json!({"apiVersion": api_version, "kind": kind, "name": name});
    let gone = "the server could not find the requested resource";
    let unclear = Lost::Unclear(&[Cause::TargetNotFound, Cause::TargetNotScalable]);
    let not_served = |right: Option<&str>, kind: Option<&str>, exists| Lost::NotServed {
        right: right.map(str::to_owned),
        kind: kind.map(str::to_owned),
        exists,
    };
    for (target, message, expected) in [
        (deployment("old"), "deployments.apps \"old\" not found", Lost::Absent),
        (custom(), "fleets.ray.example \"web\" not found", unclear),
        (custom(), gone, Lost::Unclear(&[Cause::TargetNotFound, Cause::TargetKindNotServed, Cause::TargetNotScalable])),
        (kind("apps/v1", "DaemonSet", "agent"), gone, Lost::NotScalable { exists: false }),
        (kind("argoproj.io/v1alpha1", "Rollout", "web"), "rollouts.argoproj.io \"web\" not found", Lost::Absent),
        (
            kind("extensions/v1beta1", "Deployment", "web"),
            "no matches for kind \"Deployment\" in group \"extensions\"",
            not_served(Some("apps/v1"), None, true),
        ),
        (
            kind("apps/v1", "deployment", "old"),
            "no matches for kind \"deployment\" in group \"apps\"",
            not_served(Some("apps/v1"), Some("Deployment"), false),
        ),
        (custom(), "no matches for kind \"Fleet\" in group \"ray.example\"", not_served(None, None, false)),
    ] {
        assert_eq!(lost(&healthy(), target.clone(), message), expected, "{target}: {message}");
    }
}

#[test]
fn errors_of_the_api_lead_to_what_they_prove() {
    let refused = |user: &str| {
        format!(
            "{FETCH}pods.metrics.k8s.io is forbidden: User \"{user}\" cannot list resource \"pods\" in API group \"metrics.k8s.io\" in the namespace \"shop\""
        )
    };
    let reviews = "an error on the server (\"Internal Server Error: subjectaccessreviews.authorization.k8s.io is forbidden: User\") has prevented the request from succeeding (get pods.metrics.k8s.io)";
    for (message, expected) in [
        (format!("{FETCH}{reviews}"), vec![Cause::AuthDelegatorMissing]),
        (refused("system:serviceaccount:kube-system:horizontal-pod-autoscaler"), vec![Cause::CallerForbidden]),
        (refused("system:kube-controller-manager"), vec![Cause::CallerForbidden]),
        (refused("system:anonymous"), vec![Cause::FrontProxyUntrusted]),
        (refused("front-proxy-client"), vec![Cause::FrontProxyUntrusted]),
        (
            format!("{FETCH}the server could not find the requested resource (get pods.metrics.k8s.io)"),
            vec![Cause::NotInstalled, Cause::ApiServiceMissing],
        ),
        (format!("{FETCH}the server is currently unable to handle the request (get pods.metrics.k8s.io)"), vec![]),
    ] {
        let mut snapshot = healthy();
        with(&mut snapshot, deployment("web"), resource(&message, -600));
        let facts = Facts::new(&snapshot);
        let (_, blind) = facts.autoscalers().blind().next().expect("it");
        assert_eq!(blind.candidates(), expected, "{message}");
    }
}

#[test]
fn an_autoscaler_whose_status_was_cut_off_is_not_judged() {
    let mut snapshot = healthy();
    let mut bare = autoscaler(deployment("web"), json!({}));
    snapshot.autoscalers = Collection::complete([bare.clone()]);
    assert_eq!(Facts::new(&snapshot).autoscalers().all[0].sight, Sight::Blind(Blind::NeverLookedAt));
    bare.metadata.creation_timestamp = None;
    snapshot.autoscalers = Collection::complete([bare]);
    assert_eq!(Facts::new(&snapshot).autoscalers().all[0].sight, Sight::Untold);
}

#[test]
fn a_custom_target_that_was_seen_cannot_be_scaled() {
    let target = || json!({"apiVersion": "ray.example/v1", "kind": "Fleet", "name": "web"});
    let seen = |api_version: &str| TargetObject {
        api_version: api_version.to_owned(),
        kind: "Fleet".to_owned(),
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
    };
    let mut snapshot = healthy();
    snapshot.scale_targets = [seen("ray.example/v1beta1")].into();
    let message = "fleets.ray.example \"web\" not found";
    assert_eq!(lost(&snapshot, target(), message), Lost::NotScalable { exists: true });
    snapshot.scale_targets = [seen("other.example/v1")].into();
    assert_eq!(
        lost(&snapshot, target(), message),
        Lost::Unclear(&[Cause::TargetNotFound, Cause::TargetNotScalable]),
        "the Fleet of another group is another kind"
    );
    let message = "no matches for kind \"Fleet\" in group \"ray.example\"";
    let right = Some("other.example/v1".to_owned());
    assert_eq!(lost(&snapshot, target(), message), Lost::NotServed { right, kind: None, exists: true });
}

#[test]
fn the_definition_of_a_kind_tells_whether_the_kind_or_the_object_is_at_fault() {
    let target = || json!({"apiVersion": "ray.example/v1", "kind": "Fleet", "name": "web"});
    let defined = |group: &str, subresources: Value| {
        let definition: crate::snapshot::CustomResourceDefinition = object(json!({
            "metadata": {"name": format!("fleets.{group}")},
            "spec": {"group": group, "names": {"kind": "Fleet", "plural": "fleets"},
                "versions": [{"name": "v1", "served": true, "subresources": subresources}]}}));
        let mut snapshot = healthy();
        snapshot.custom_resource_definitions.insert(definition);
        snapshot
    };
    let message = "fleets.ray.example \"web\" not found";
    let scale = || json!({"scale": {"specReplicasPath": ".spec.replicas", "labelSelectorPath": ".status.selector"}});
    assert_eq!(lost(&defined("ray.example", scale()), target(), message), Lost::Absent);
    assert_eq!(
        lost(&defined("ray.example", json!({"status": {}})), target(), message),
        Lost::NotScalable { exists: false }
    );
    let message = "no matches for kind \"Fleet\" in group \"ray.example\"";
    let right = Some("new.example/v1".to_owned());
    assert_eq!(
        lost(&defined("new.example", scale()), target(), message),
        Lost::NotServed { right, kind: None, exists: false }
    );
}
