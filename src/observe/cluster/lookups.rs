//! What is looked up on demand: the scale and the pods of autoscalers that do not know a target.
//!
//! Pods of workloads are read only while an autoscaler of theirs is blind, by selector, bounded in every direction, and
//! forgotten once it sees again.

mod blind;
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

pub(super) use self::blind::ScaleTarget;
use self::scale_path::{Paths, ScalePath};
use super::{
    Timings,
    actor::Message,
    kinds::{Served, WatchKind},
    store::is_newer,
    trouble::Trouble,
    watched::Watched,
};
use crate::snapshot::{Named, NotSeen, Observed, Pod, Scale, Scope, Snapshot};

/// Autoscalers that are looked up in one round.
const TARGETS_PER_ROUND: usize = 50;
/// Pods that are read for one autoscaler.
const PODS_PER_TARGET: u32 = 500;
/// Look-ups at the same time.
const CONCURRENCY: usize = 4;
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(15);

/// What was looked up.
#[derive(Debug, Clone, Default)]
pub(super) struct Looked(BTreeMap<ScaleTarget, LookedTarget>);

#[derive(Debug, Clone)]
struct LookedTarget {
    at: Instant,
    scale: Observed<Arc<Scale>>,
    pods: Option<FoundPods>,
}

/// The pods under a selector.
#[derive(Debug, Clone)]
struct FoundPods {
    /// The part of the selector that asks for equal labels; empty where it has none.
    labels: BTreeMap<String, String>,
    pods: Vec<Arc<Pod>>,
    gap: Option<NotSeen>,
}

impl Looked {
    /// Adds what was looked up to a snapshot.
    pub(super) fn add_to(&self, snapshot: &mut Snapshot) {
        for (target, looked) in &self.0 {
            self.add_scale(target, &looked.scale, snapshot);
            if let Some(found) = &looked.pods {
                add_pods(&target.namespace, found, snapshot);
            }
        }
    }

    fn add_scale(&self, target: &ScaleTarget, scale: &Observed<Arc<Scale>>, snapshot: &mut Snapshot) {
        let scope = Scope {
            discriminator: known_kind(&target.kind),
            ..Scope::in_namespace(&target.namespace).named(&target.name)
        };
        match scale {
            Observed::Present(scale) => snapshot.scales.insert(Arc::clone(scale)),
            Observed::Absent => {
                let has_namesake = self.0.keys().any(|other| {
                    other.namespace == target.namespace && other.name == target.name && other.kind != target.kind
                });
                // A scope that cannot name its kind would vouch for the namesake too.
                if scope.discriminator.is_some() || !has_namesake {
                    snapshot.scales.add_scope(scope);
                }
            }
            Observed::NotSeen(reason) => snapshot.scales.add_scope(scope.with_gap(reason.clone())),
        }
    }

    /// Whether every blind autoscaler of the snapshot that fits into a round was looked up.
    pub(super) fn is_complete_for(&self, snapshot: &Snapshot) -> bool {
        let targets = blind::targets(snapshot);
        let done = targets.keys().filter(|target| self.0.contains_key(target)).count();
        done >= targets.len().min(TARGETS_PER_ROUND)
    }
}

fn add_pods(namespace: &str, found: &FoundPods, snapshot: &mut Snapshot) {
    for pod in &found.pods {
        let known = snapshot.pods.get(pod.namespace(), pod.name());
        if known.seen().is_none_or(|known| is_newer(&pod.metadata, &known.metadata)) {
            snapshot.pods.insert(Arc::clone(pod));
        }
    }
    if !found.labels.is_empty() {
        let scope = Scope { gap: found.gap.clone(), ..Scope::in_namespace(namespace).labelled(found.labels.clone()) };
        snapshot.pods.add_scope(scope);
    }
}

/// The kind as a scope can name it.
fn known_kind(kind: &str) -> Option<&'static str> {
    ["Deployment", "StatefulSet", "ReplicaSet", "ReplicationController"].into_iter().find(|known| *known == kind)
}

/// Looks up what blind autoscalers of the newest snapshot need, for ever.
pub(super) async fn run(
    client: Client,
    timings: Timings,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    messages: mpsc::Sender<Message>,
) {
    let paths = Paths::new(client.clone());
    let mut looked = Looked::default();
    loop {
        let targets = blind::targets(&snapshots.borrow_and_update());
        let before = looked.0.len();
        looked.0.retain(|target, _| targets.contains_key(target));
        let now = Instant::now();
        let mut due: Vec<(Option<Instant>, ScaleTarget, bool)> = targets
            .into_iter()
            .map(|(target, with_pods)| (looked.0.get(&target).map(|looked| looked.at), target, with_pods))
            .filter(|(at, ..)| at.is_none_or(|at| now.duration_since(at) >= timings.lookup_interval))
            .collect();
        // Those that were never looked up come first, then the oldest.
        due.sort();
        due.truncate(TARGETS_PER_ROUND);
        let found: Vec<(ScaleTarget, LookedTarget)> = stream::iter(due)
            .map(|(_, target, with_pods)| look_up(&client, &paths, target, with_pods))
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

async fn look_up(client: &Client, paths: &Paths, target: ScaleTarget, with_pods: bool) -> (ScaleTarget, LookedTarget) {
    let scale = tokio::time::timeout(LOOKUP_TIMEOUT, scale(client, paths, &target))
        .await
        .unwrap_or_else(|_| Observed::NotSeen(NotSeen::Unreachable("the scale gave no answer in time".to_owned())));
    let selector = scale.seen().map(|scale| scale.status.selector.as_str()).filter(|selector| !selector.is_empty());
    let pods = match selector {
        Some(selector) if with_pods => Some(pods(client, &target.namespace, selector).await),
        _ => None,
    };
    (target, LookedTarget { at: Instant::now(), scale, pods })
}

async fn scale(client: &Client, paths: &Paths, target: &ScaleTarget) -> Observed<Arc<Scale>> {
    let ScalePath { path, resource } = match paths.find(target).await {
        Observed::Present(path) => path,
        Observed::Absent => return Observed::Absent,
        Observed::NotSeen(reason) => return Observed::NotSeen(reason),
    };
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
            trouble => Observed::NotSeen(not_seen(trouble, "get", resource)),
        },
    }
}

async fn pods(client: &Client, namespace: &str, selector: &str) -> FoundPods {
    let (labels, is_whole) = equal_labels(selector);
    // Without the other part of the selector more pods come back, but a scope can tell which.
    let selector = if labels.is_empty() || is_whole {
        selector.to_owned()
    } else {
        labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
    };
    let served = Served { kind: WatchKind::Pod, version: "v1" };
    let api: Api<Watched<Pod>> = Api::namespaced_with(client.clone(), namespace, &served);
    let parameters = ListParams::default().labels(&selector).limit(PODS_PER_TARGET);
    let list = match tokio::time::timeout(LOOKUP_TIMEOUT, api.list(&parameters)).await {
        Ok(Ok(list)) => list,
        Ok(Err(error)) => {
            let gap = Some(not_seen(Trouble::of(&error), "list", "pods"));
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
        .then(|| NotSeen::Unreachable(format!("only {PODS_PER_TARGET} of the pods under {selector} were read")));
    let mut pods = Vec::with_capacity(list.items.len());
    for watched in list.items {
        match Arc::unwrap_or_clone(watched.object) {
            Ok(pod) => pods.push(Arc::new(pod)),
            Err(unreadable) => {
                let name = unreadable.metadata.name;
                gap =
                    Some(NotSeen::Unreachable(format!("Pod {namespace}/{name} cannot be read: {}", unreadable.reason)));
            }
        }
    }
    FoundPods { labels, pods, gap }
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

fn not_seen(trouble: Trouble, verb: &'static str, resource: &'static str) -> NotSeen {
    match trouble {
        Trouble::Forbidden => NotSeen::Forbidden { verb, resource },
        Trouble::NotFound => NotSeen::Unreachable(format!("the API server does not serve {resource}")),
        Trouble::Gone => NotSeen::Unreachable("the list must be read again".to_owned()),
        Trouble::Unreachable(text) => NotSeen::Unreachable(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Metadata;

    fn target(kind: &str, name: &str) -> ScaleTarget {
        ScaleTarget {
            namespace: "shop".to_owned(),
            api_version: "apps/v1".to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
        }
    }

    fn looked(scale: Observed<Arc<Scale>>) -> LookedTarget {
        LookedTarget { at: Instant::now(), scale, pods: None }
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

    #[test]
    fn a_target_that_is_not_there_is_absent_and_its_namesake_is_not() {
        let mut snapshot = Snapshot::default();
        let all = Looked(BTreeMap::from([
            (target("Rollout", "web"), looked(Observed::Absent)),
            (target("Deployment", "web"), looked(Observed::NotSeen(NotSeen::NotSynced))),
            (target("Deployment", "api"), looked(Observed::Absent)),
        ]));
        all.add_to(&mut snapshot);
        let scales = &snapshot.scales;
        assert!(scales.get_of_kind(Some("Deployment"), "shop", "api").is_absent());
        assert!(!scales.get_of_kind(Some("StatefulSet"), "shop", "api").is_absent());
        assert_eq!(scales.get_of_kind(Some("Deployment"), "shop", "web"), Observed::NotSeen(NotSeen::NotSynced));
    }

    #[test]
    fn a_list_of_pods_that_was_cut_off_vouches_for_nothing() {
        let mut snapshot = Snapshot::default();
        let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
        let pod = Arc::new(Pod {
            metadata: Metadata { labels: labels.clone(), ..Metadata::new("shop", "web-1") },
            ..Pod::default()
        });
        let cut = NotSeen::Unreachable("cut".to_owned());
        let found = |gap| FoundPods { labels: labels.clone(), pods: vec![Arc::clone(&pod)], gap };
        add_pods("shop", &found(Some(cut.clone())), &mut snapshot);
        let listing = snapshot.pods.selected("shop", &labels);
        assert_eq!((listing.objects.len(), listing.gap), (1, Some(cut)));
        add_pods("shop", &found(None), &mut snapshot);
        assert!(snapshot.pods.selected("shop", &labels).complete().is_ok());
    }
}
