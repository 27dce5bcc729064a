//! What is looked up on demand: the scale and the pods of autoscalers that do not know a target.
//!
//! Pods of workloads are read only while an autoscaler of theirs is blind, by selector, bounded in every direction, and
//! forgotten once it sees again.

mod budget;
mod definitions;
mod scale_path;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use hyper::Request;
use kube::{Api, Client, api::ListParams};
use tokio::sync::{mpsc, watch};

use self::{
    budget::Budget,
    definitions::Definitions,
    scale_path::{Paths, ScalePath},
};
use super::{
    heard::{FoundPods, Looked, LookedTarget, Message, ScaleTarget},
    kinds::{Served, WatchKind},
    looked::{TARGETS_PER_ROUND, blind},
    options::{Features, Timings},
    trouble::Trouble,
    watched::Watched,
};
use crate::snapshot::{
    NotSeen, Observed, Pod, Scale, Snapshot,
    pod::{Container, Resources},
};

/// Look-ups at the same time.
const CONCURRENCY: usize = 4;
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(15);

/// Looks up what blind autoscalers of the newest snapshot need, for ever.
pub(super) async fn run(
    client: Client,
    features: Features,
    timings: Timings,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    messages: mpsc::Sender<Message>,
) {
    let paths = Paths::new(client.clone());
    let definitions = features.custom_resource_definitions.then(|| Definitions::new(client.clone(), timings));
    let mut looked = Looked::default();
    let mut budget = Budget::new();
    loop {
        let targets = blind::targets(&snapshots.borrow_and_update());
        let before = looked.0.len();
        looked.0.retain(|target, _| targets.contains_key(target));
        let now = Instant::now();
        let interval = budget::interval(targets.len(), timings.lookup_interval);
        let sample = budget::sample(targets.len());
        let mut due: Vec<(Option<Instant>, ScaleTarget, bool)> = targets
            .into_iter()
            .map(|(target, with_pods)| (looked.0.get(&target).map(|looked| looked.at), target, with_pods))
            .filter(|(at, ..)| at.is_none_or(|at| now.duration_since(at) >= interval))
            .collect();
        // Those that were never looked up come first, then the oldest.
        due.sort();
        due.truncate(budget.take(due.len().min(TARGETS_PER_ROUND), now));
        let holds = |target: &ScaleTarget| looked.0.get(target).is_some_and(|looked| looked.pods.is_some());
        let mut room = budget::MOST_WITH_PODS.saturating_sub(looked.0.keys().filter(|target| holds(target)).count());
        let due = due.into_iter().map(|(_, target, with_pods)| {
            let is_new = with_pods && !holds(&target);
            let has_room = !is_new || room > 0;
            room -= usize::from(is_new && has_room);
            (target, (with_pods && has_room).then_some(sample))
        });
        let due: Vec<(ScaleTarget, Option<u32>)> = due.collect();
        let found: Vec<(ScaleTarget, LookedTarget)> = stream::iter(due)
            .map(|(target, sample)| look_up(&client, &paths, definitions.as_ref(), target, sample))
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
        if before != looked.0.len() || !found.is_empty() {
            looked.0.extend(found);
            if messages.send(Message::Looked(Arc::new(looked.clone()))).await.is_err() {
                return;
            }
        }
        // Snapshots come at most every second, which bounds the rounds too.
        let changed = tokio::time::timeout(timings.lookup_interval, snapshots.changed()).await;
        if matches!(changed, Ok(Err(_))) {
            return;
        }
    }
}

async fn look_up(
    client: &Client,
    paths: &Paths,
    definitions: Option<&Definitions>,
    target: ScaleTarget,
    sample: Option<u32>,
) -> (ScaleTarget, LookedTarget) {
    let late = |what: &str| NotSeen::Unreachable(format!("the {what} gave no answer in time"));
    let path = tokio::time::timeout(LOOKUP_TIMEOUT, paths.find(&target)).await;
    let path = path.unwrap_or_else(|_| Observed::NotSeen(late("API group")));
    let definition = match (definitions, path.seen().and_then(|path| path.definition.as_deref())) {
        (Some(definitions), Some(name)) => {
            let found = tokio::time::timeout(LOOKUP_TIMEOUT, definitions.find(name)).await;
            Some((name.to_owned(), found.unwrap_or_else(|_| Observed::NotSeen(late("CustomResourceDefinition")))))
        }
        _ => None,
    };
    let scale = match path {
        Observed::Present(path) => tokio::time::timeout(LOOKUP_TIMEOUT, scale(client, path, &target))
            .await
            .unwrap_or_else(|_| Observed::NotSeen(late("scale"))),
        Observed::Absent => Observed::Absent,
        Observed::NotSeen(reason) => Observed::NotSeen(reason),
    };
    let selector = scale.seen().map(|scale| scale.status.selector.as_str()).filter(|selector| !selector.is_empty());
    let pods = match selector.zip(sample) {
        Some((selector, sample)) => Some(pods(client, &target.namespace, selector, sample).await),
        None => None,
    };
    (target, LookedTarget { at: Instant::now(), scale, definition, pods })
}

async fn scale(client: &Client, found: ScalePath, target: &ScaleTarget) -> Observed<Arc<Scale>> {
    let ScalePath { path, resource, .. } = found;
    let request = match Request::get(path).body(Vec::new()) {
        Ok(request) => request,
        Err(error) => return Observed::NotSeen(NotSeen::Unreachable(error.to_string())),
    };
    match client.request::<Scale>(request).await {
        Ok(mut scale) => {
            scale.kind.clone_from(&target.kind);
            Observed::Present(Arc::new(scale))
        }
        Err(error) => match Trouble::of(&error) {
            Trouble::NotFound => Observed::Absent,
            trouble => Observed::NotSeen(trouble.not_seen("get", resource)),
        },
    }
}

async fn pods(client: &Client, namespace: &str, selector: &str, sample: u32) -> FoundPods {
    let (labels, is_whole) = equal_labels(selector);
    // Without the other part of the selector more pods come back, but a scope can tell which.
    let selector = if labels.is_empty() || is_whole {
        selector.to_owned()
    } else {
        labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
    };
    let served = Served { kind: WatchKind::Pod, version: "v1" };
    let api: Api<Watched<Pod>> = Api::namespaced_with(client.clone(), namespace, &served);
    let parameters = ListParams::default().labels(&selector).limit(sample);
    let list = match tokio::time::timeout(LOOKUP_TIMEOUT, api.list(&parameters)).await {
        Ok(Ok(list)) => list,
        Ok(Err(error)) => {
            let gap = Some(Trouble::of(&error).not_seen("list", "pods"));
            return FoundPods { labels, pods: Vec::new(), gap };
        }
        Err(_) => {
            let gap = Some(NotSeen::Unreachable("the list of pods gave no answer in time".to_owned()));
            return FoundPods { labels, pods: Vec::new(), gap };
        }
    };
    let mut gap = list
        .metadata
        .continue_
        .is_some_and(|token| !token.is_empty())
        .then(|| NotSeen::Unclear(format!("Only the first {sample} pods under {selector} were read")));
    let mut pods = Vec::with_capacity(list.items.len());
    for watched in list.items {
        match Arc::unwrap_or_clone(watched.object) {
            Ok(pod) => pods.push(Arc::new(lean(pod))),
            Err(unreadable) => {
                let name = unreadable.metadata.name;
                gap =
                    Some(NotSeen::Unreachable(format!("Pod {namespace}/{name} cannot be read: {}", unreadable.reason)));
            }
        }
    }
    FoundPods { labels, pods, gap }
}

/// A pod without what no rule about autoscalers reads: thousands are held in an outage.
fn lean(mut pod: Pod) -> Pod {
    pod.metadata.annotations.clear();
    for container in pod.spec.containers.iter_mut().chain(&mut pod.spec.init_containers) {
        *container = Container {
            name: std::mem::take(&mut container.name),
            restart_policy: std::mem::take(&mut container.restart_policy),
            resources: Resources {
                requests: std::mem::take(&mut container.resources.requests),
                ..Resources::default()
            },
            ..Container::default()
        };
    }
    pod
}

/// The part of a selector's string form that asks for equal labels, and whether that is all of it
/// (kubernetes/apimachinery `labels.Parse`).
fn equal_labels(selector: &str) -> (BTreeMap<String, String>, bool) {
    let mut labels = BTreeMap::new();
    let mut is_whole = true;
    let mut depth = 0_i32;
    let requirements = selector.split(|character| {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        character == ',' && depth == 0
    });
    for requirement in requirements {
        let pair = requirement.split_once("==").or_else(|| requirement.split_once('='));
        match pair {
            Some((key, value)) if !key.ends_with('!') && !requirement.contains('(') => {
                labels.insert(key.trim().to_owned(), value.trim().to_owned());
            }
            _ => is_whole = false,
        }
    }
    (labels, is_whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_pod_only_what_rules_read_is_held() {
        let pod: Pod = crate::testing::object(serde_json::json!({
            "metadata": {"name": "web-1", "labels": {"app": "web"}, "annotations": {"long": "text"}, "ownerReferences": [{"kind": "ReplicaSet", "name": "web"}]},
            "spec": {"nodeName": "node-1", "containers": [{"name": "web", "image": "web:1", "args": ["--much"],
                "resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "1"}}, "readinessProbe": {"periodSeconds": 1}}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        }));
        let held = lean(pod.clone());
        assert_eq!(
            (&held.metadata.labels, &held.metadata.owner_references),
            (&pod.metadata.labels, &pod.metadata.owner_references)
        );
        assert_eq!((&held.status, &held.spec.node_name), (&pod.status, &pod.spec.node_name));
        let [container] = held.spec.containers.as_slice() else { panic!("one container") };
        assert_eq!(container.resources.requests, pod.spec.containers[0].resources.requests);
        assert!(held.metadata.annotations.is_empty() && container.args.is_empty() && container.image.is_empty());
    }

    #[test]
    fn equal_labels_are_read_out_of_any_selector() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        for (selector, labels, whole) in [
            ("app=web", vec![pair("app", "web")], true),
            ("app=web,tier==front", vec![pair("app", "web"), pair("tier", "front")], true),
            ("app=web,tier in (a,b=c),!old", vec![pair("app", "web")], false),
            ("tier notin (a,b)", vec![], false),
            ("app!=web", vec![], false),
            ("app=", vec![pair("app", "")], true),
        ] {
            assert_eq!(equal_labels(selector), (labels.into_iter().collect(), whole), "{selector}");
        }
    }
}
