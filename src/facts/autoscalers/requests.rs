//! Requests of the pods under an autoscaler's selector, by the controller's own rule
//! (kubernetes/kubernetes `pkg/controller/podautoscaler/replica_calculator.go`, `calculatePodRequests`).
//!
//! Live pods are judged and not templates: API defaulting, `LimitRanges` and webhooks fill requests in when a pod is
//! created. Every pod that the selector returns counts, foreign, finished and terminating ones too.

use std::collections::{BTreeMap, BTreeSet};

use crate::snapshot::{HorizontalPodAutoscaler, KubernetesVersion, Named, Pod, Snapshot, Workload, pod::Container};

/// Where a container without a request comes from, which decides on who can repair it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin<'s> {
    /// The target's template has the container without a request.
    Template,
    /// The target's template has a request for it: the pod is of an older template.
    OlderTemplate,
    /// The target's template has no such container: something added it when the pod was created.
    Injected,
    /// The pod is not the target's. Its owner as kind and name, `None` for a pod without an owner.
    Foreign(Option<(&'s str, &'s str)>),
    /// The target's template was not seen.
    Unknown,
}

/// A container without the request that a metric needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing<'s> {
    /// The pod.
    pub pod: &'s Pod,
    /// The container.
    pub container: &'s str,
    /// The resource.
    pub resource: &'s str,
    /// Where the container comes from.
    pub origin: Origin<'s>,
}

/// The containers among `pods` without a request that one of the autoscaler's metrics needs; the target's own come first.
pub(super) fn missing<'s>(
    snapshot: &'s Snapshot,
    autoscaler: &'s HorizontalPodAutoscaler,
    pods: &[&'s Pod],
) -> Vec<Missing<'s>> {
    let version = snapshot.server_version.seen().copied();
    let target = target(snapshot, autoscaler);
    let metrics: BTreeSet<(&str, Option<&str>)> =
        autoscaler.spec.metrics.iter().filter_map(|metric| metric.needs_request()).collect();
    let mut found: BTreeMap<(usize, &str, &str), Missing<'s>> = BTreeMap::new();
    for (resource, container) in metrics {
        for (place, &pod) in pods.iter().enumerate() {
            for container in containers_without(pod, resource, container, version) {
                let origin = origin(snapshot, autoscaler, target, pod, container, resource);
                found.entry((place, container, resource)).or_insert(Missing { pod, container, resource, origin });
            }
        }
    }
    let mut missing: Vec<Missing<'s>> = found.into_values().collect();
    missing.sort_by_key(|missing| matches!(missing.origin, Origin::Foreign(_)));
    missing
}

/// Whether every one of the pods asks for nothing of a resource that the autoscaler measures against requests: `0` is a
/// request, but no share of it can be told.
pub(super) fn zero<'s>(autoscaler: &'s HorizontalPodAutoscaler, pods: &[&Pod]) -> Option<&'s str> {
    let metrics = autoscaler.spec.metrics.iter().filter_map(|metric| metric.needs_request());
    metrics.map(|(resource, _)| resource).find(|&resource| {
        let containers = pods.iter().flat_map(|pod| &pod.spec.containers);
        let mut requests = containers.filter_map(|container| container.resources.requests.get(resource)).peekable();
        requests.peek().is_some() && requests.all(|request| request.value().is_some_and(|value| value <= 0.0))
    })
}

fn target<'s>(snapshot: &'s Snapshot, autoscaler: &HorizontalPodAutoscaler) -> Option<&'s Workload> {
    let target = &autoscaler.spec.scale_target_ref;
    snapshot.workloads.get_of_kind(Some(&target.kind), autoscaler.namespace(), &target.name).seen().copied()
}

fn origin<'s>(
    snapshot: &'s Snapshot,
    autoscaler: &HorizontalPodAutoscaler,
    target: Option<&'s Workload>,
    pod: &'s Pod,
    container: &str,
    resource: &str,
) -> Origin<'s> {
    if is_foreign(snapshot, autoscaler, pod) {
        return Origin::Foreign(pod.controller().map(|owner| (owner.kind.as_str(), owner.name.as_str())));
    }
    let Some(target) = target else { return Origin::Unknown };
    let template = &target.spec.template.spec;
    match template.long_running_containers().find(|own| own.name == container) {
        None => Origin::Injected,
        Some(own) if own.resources.requests.contains_key(resource) => Origin::OlderTemplate,
        Some(_) => Origin::Template,
    }
}

/// Whether a pod certainly is not one of the target's, as its owner tells.
fn is_foreign(snapshot: &Snapshot, autoscaler: &HorizontalPodAutoscaler, pod: &Pod) -> bool {
    let target = &autoscaler.spec.scale_target_ref;
    let Some(owner) = pod.controller() else {
        // Whoever cut the owners out of a bundle has left the names.
        let named = pod.name().strip_prefix(target.name.as_str()).is_some_and(|rest| rest.starts_with('-'));
        return ["Deployment", "StatefulSet", "ReplicaSet"].contains(&target.kind.as_str()) && !named;
    };
    match target.kind.as_str() {
        "Deployment" if owner.kind == "ReplicaSet" => {
            let replica_set = snapshot.workloads.get_of_kind(Some("ReplicaSet"), pod.namespace(), &owner.name);
            let of = replica_set.seen().and_then(|replica_set| replica_set.metadata.owner_references.first());
            match of {
                Some(of) => of.name != target.name,
                // The rest of a ReplicaSet's name is a hash, which has no dash.
                None => owner
                    .name
                    .strip_prefix(target.name.as_str())
                    .and_then(|rest| rest.strip_prefix('-'))
                    .is_none_or(|hash| hash.contains('-')),
            }
        }
        "Deployment" => true,
        "StatefulSet" | "ReplicaSet" | "ReplicationController" => {
            (owner.kind.as_str(), owner.name.as_str()) != (target.kind.as_str(), target.name.as_str())
        }
        _ => false,
    }
}

/// Restartable init containers count since Kubernetes 1.29, pod-level requests since 1.34.
fn containers_without<'p>(
    pod: &'p Pod,
    resource: &str,
    container: Option<&str>,
    version: Option<KubernetesVersion>,
) -> Vec<&'p str> {
    let at_least = |minor: u32| version.is_none_or(|version| (version.major, version.minor) >= (1, minor));
    let lacks = |container: &&Container| !container.resources.requests.contains_key(resource);
    if let Some(wanted) = container {
        return pod
            .spec
            .containers
            .iter()
            .filter(|container| container.name == wanted)
            .filter(lacks)
            .map(|container| container.name.as_str())
            .collect();
    }
    let pod_level = &pod.spec.resources.requests;
    let has_pod_level =
        pod_level.keys().any(|name| name == "cpu" || name == "memory" || name.starts_with("hugepages-"));
    if has_pod_level
        && at_least(34)
        && (pod_level.contains_key(resource) || pod.spec.containers.iter().any(|container| !lacks(&container)))
    {
        return Vec::new();
    }
    let sidecars = pod.spec.init_containers.iter().filter(|container| container.is_sidecar() && at_least(29));
    pod.spec.containers.iter().chain(sidecars).filter(lacks).map(|container| container.name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        snapshot::{Metadata, horizontal_pod_autoscaler::from_json},
        testing::{healthy, object},
    };

    fn without(spec: Value, container: Option<&str>, minor: u32) -> Vec<String> {
        let pod: Pod = object(json!({"metadata": {"name": "p"}, "spec": spec}));
        let version = Some(KubernetesVersion { major: 1, minor });
        containers_without(&pod, "cpu", container, version).into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn the_controllers_rule() {
        let requests = json!({"requests": {"cpu": "0"}});
        let web = json!({"name": "web", "resources": requests});
        let bare = json!({"name": "bare", "resources": {"requests": {"memory": "1Gi"}}});
        let sidecar = json!({"name": "sidecar", "restartPolicy": "Always"});
        for (spec, container, minor, expected) in [
            (json!({"containers": [web]}), None, 37, vec![]),
            (json!({"containers": [web, bare]}), None, 37, vec!["bare"]),
            (json!({"containers": [web, bare]}), Some("web"), 37, vec![]),
            (json!({"containers": [web, bare]}), Some("bare"), 37, vec!["bare"]),
            (json!({"containers": [web], "initContainers": [{"name": "init"}]}), None, 37, vec![]),
            (json!({"containers": [web], "initContainers": [sidecar]}), None, 37, vec!["sidecar"]),
            (json!({"containers": [web], "initContainers": [sidecar]}), None, 28, vec![]),
            (json!({"containers": [web, bare], "resources": {"requests": {"cpu": "1"}}}), None, 34, vec![]),
            (json!({"containers": [web, bare], "resources": {"requests": {"cpu": "1"}}}), None, 33, vec!["bare"]),
            (json!({"containers": [bare], "resources": {"requests": {"memory": "1Gi"}}}), None, 34, vec!["bare"]),
        ] {
            assert_eq!(without(spec.clone(), container, minor), expected, "{spec} {container:?} 1.{minor}");
        }
    }

    #[test]
    fn who_can_repair_it_is_told_apart() {
        let snapshot = healthy();
        let autoscaler = from_json(json!({"metadata": {"namespace": "shop", "name": "web"}, "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]}}))
        .expect("an autoscaler");
        let pod = |owner: Value, container: &str| -> Pod {
            object(json!({"metadata": {"namespace": "shop", "name": "p", "ownerReferences": owner},
                "spec": {"containers": [{"name": container}]}}))
        };
        let own = json!([{"kind": "ReplicaSet", "name": "web-5d8f", "controller": true}]);
        for (pod, expected) in [
            (pod(own.clone(), "istio-proxy"), Origin::Injected),
            (pod(own, "web"), Origin::OlderTemplate),
            (
                pod(json!([{"kind": "ReplicaSet", "name": "web-canary-5d8f", "controller": true}]), "web"),
                Origin::Foreign(Some(("ReplicaSet", "web-canary-5d8f"))),
            ),
            (
                pod(json!([{"kind": "Job", "name": "nightly", "controller": true}]), "web"),
                Origin::Foreign(Some(("Job", "nightly"))),
            ),
            (pod(json!([]), "web"), Origin::Foreign(None)),
            (Pod { metadata: Metadata::new("shop", "web-1"), ..pod(json!([]), "sidecar") }, Origin::Injected),
        ] {
            let origins: Vec<Origin<'_>> =
                missing(&snapshot, &autoscaler, &[&pod]).into_iter().map(|missing| missing.origin).collect();
            assert_eq!(origins, [expected]);
        }
    }
}
