//! Requests of the pods under an autoscaler's selector, by the controller's own rule
//! (kubernetes/kubernetes `pkg/controller/podautoscaler/replica_calculator.go`, `calculatePodRequests`).
//!
//! Live pods are judged and not templates: API defaulting, `LimitRanges` and webhooks fill requests in when a pod is
//! created. Every pod that the selector returns counts, foreign, finished and terminating ones too.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    facts::Facts as Context,
    snapshot::{
        HorizontalPodAutoscaler, KubernetesVersion, Named, Pod,
        pod::Container,
        workload::{LabelSelector, LabelSelectorRequirement},
    },
};

/// A container without the request that a metric needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Missing {
    /// The pod.
    pub(super) pod: String,
    /// The container.
    pub(super) container: String,
    /// The resource.
    pub(super) resource: String,
}

/// The containers without a request that one of the autoscaler's metrics needs.
pub(super) fn missing(context: &Context<'_>, autoscaler: &HorizontalPodAutoscaler) -> Vec<Missing> {
    let pods = pods(context, autoscaler);
    let version = context.snapshot.server_version.seen().copied();
    let metrics = autoscaler.spec.metrics.iter().filter_map(|metric| metric.needs_request());
    let mut missing: Vec<Missing> = Vec::new();
    for (resource, container) in metrics {
        for pod in &pods {
            for name in containers_without(pod, resource, container, version) {
                let found =
                    Missing { pod: pod.name().to_owned(), container: name.to_owned(), resource: resource.to_owned() };
                if !missing.contains(&found) {
                    missing.push(found);
                }
            }
        }
    }
    missing
}

/// How many pods lack each request that one of the autoscaler's metrics needs, by container and resource.
pub fn containers_without_request(
    context: &Context<'_>,
    autoscaler: &HorizontalPodAutoscaler,
) -> BTreeMap<(String, String), usize> {
    let mut pods = BTreeMap::new();
    for Missing { container, resource, .. } in missing(context, autoscaler) {
        *pods.entry((container, resource)).or_default() += 1;
    }
    pods
}

/// When the youngest pod under the selector was made.
pub(super) fn youngest_pod(context: &Context<'_>, autoscaler: &HorizontalPodAutoscaler) -> Option<Timestamp> {
    pods(context, autoscaler).iter().filter_map(|pod| pod.metadata.creation_timestamp).max()
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

/// The pods that were seen under the selector of the autoscaler's target.
fn pods<'s>(context: &Context<'s>, autoscaler: &HorizontalPodAutoscaler) -> Vec<&'s Pod> {
    let Some(selector) = selector(context, autoscaler).filter(|selector| !selector.is_empty()) else {
        return Vec::new();
    };
    let listing = context.snapshot.pods.in_namespace(autoscaler.namespace());
    listing.objects.into_iter().filter(|pod| selector.matches(&pod.metadata.labels)).collect()
}

/// The selector of the scale subresource where it was asked for, else of the workload itself.
fn selector(context: &Context<'_>, autoscaler: &HorizontalPodAutoscaler) -> Option<LabelSelector> {
    let target = &autoscaler.spec.scale_target_ref;
    let namespace = autoscaler.namespace();
    if let Some(scale) = context.snapshot.scales.get_of_kind(Some(&target.kind), namespace, &target.name).seen() {
        return parse_selector(&scale.status.selector);
    }
    let workload = context.snapshot.workloads.get_of_kind(Some(&target.kind), namespace, &target.name);
    workload.seen().map(|workload| workload.spec.selector.clone())
}

/// Reads the string form of a label selector (kubernetes/apimachinery `pkg/labels/selector.go`).
pub(super) fn parse_selector(text: &str) -> Option<LabelSelector> {
    let mut selector = LabelSelector { match_labels: BTreeMap::new(), match_expressions: Vec::new() };
    let mut rest = text.trim();
    while !rest.is_empty() {
        // A comma inside of parentheses separates values and not requirements.
        let mut depth = 0;
        let end = rest
            .char_indices()
            .find(|&(_, character)| {
                depth += match character {
                    '(' => 1,
                    ')' => -1,
                    _ => 0,
                };
                depth == 0 && character == ','
            })
            .map_or(rest.len(), |(index, _)| index);
        let requirement = rest[..end].trim();
        rest = rest.get(end + 1..).unwrap_or("").trim();
        parse_requirement(requirement, &mut selector)?;
    }
    Some(selector)
}

fn parse_requirement(text: &str, selector: &mut LabelSelector) -> Option<()> {
    let mut expression = |key: &str, operator: &str, values: Vec<String>| {
        selector.match_expressions.push(LabelSelectorRequirement {
            key: key.trim().to_owned(),
            operator: operator.to_owned(),
            values,
        });
    };
    if let Some((key, value)) = text.split_once("!=") {
        expression(key, "NotIn", vec![value.trim().to_owned()]);
    } else if let Some((head, values)) = text.split_once('(') {
        let values = values.trim_end().strip_suffix(')')?.split(',').map(|value| value.trim().to_owned()).collect();
        let (key, operator) = head.trim().rsplit_once(' ')?;
        expression(key, if operator == "notin" { "NotIn" } else { "In" }, values);
    } else if let Some((key, value)) = text.split_once('=') {
        selector.match_labels.insert(key.trim().to_owned(), value.trim_start_matches('=').trim().to_owned());
    } else if let Some(key) = text.strip_prefix('!') {
        expression(key, "DoesNotExist", Vec::new());
    } else {
        expression(text, "Exists", Vec::new());
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::object;

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
    fn selectors_in_string_form() {
        let labels = BTreeMap::from([("app".to_owned(), "web".to_owned()), ("tier".to_owned(), "front".to_owned())]);
        for (text, matches) in [
            ("app=web", true),
            ("app==web,tier=front", true),
            ("app=web,tier in (back,front)", true),
            ("app=web,tier notin (front)", false),
            ("app,!canary", true),
            ("tier!=front", false),
            ("canary", false),
        ] {
            assert_eq!(parse_selector(text).is_some_and(|selector| selector.matches(&labels)), matches, "{text}");
        }
        assert!(parse_selector("").is_some_and(|selector| selector.is_empty()));
    }

    proptest! {
        #[test]
        fn no_selector_panics(text in ".*") {
            let _ = parse_selector(&text);
        }
    }
}
