//! Events of metrics-server's pods, while one of them is not Ready or was started anew lately: they tell which probe failed and who
//! ended a container. Of a server that runs well nobody asks.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use hyper::Request;
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use super::{
    backoff::jitter,
    heard::{FoundEvents, Message},
    options::Timings,
    trouble::Trouble,
};
use crate::{
    facts::{chain::Chain, metrics_server},
    snapshot::{Collection, Event, Named, NotSeen, Pod, Scope, Snapshot, pod::ContainerStatus},
};

/// Pods whose Events are read: the newest, for more say nothing new.
const PODS: usize = 4;
/// Events that are read of one pod. The API server forgets each after an hour by default.
const EVENTS: usize = 100;
/// How long after a container has ended its Events are still read.
const LATELY: SignedDuration = SignedDuration::from_mins(10);

impl FoundEvents {
    /// Whether the Events of each of these pods were tried to read.
    pub(super) fn covers(&self, wanted: &BTreeSet<(String, String)>) -> bool {
        wanted.iter().all(|pod| self.0.contains_key(pod))
    }
}

/// The pods whose Events are wanted.
pub(super) fn wanted(snapshot: &Snapshot) -> BTreeSet<(String, String)> {
    let chain = Chain::resolve(snapshot);
    let mut pods: Vec<&Pod> = chain.pods().to_vec();
    pods.retain(|pod| metrics_server::container(&pod.spec).is_some() && is_in_doubt(pod, snapshot.observed_at));
    pods.sort_by_key(|pod| std::cmp::Reverse(pod.metadata.creation_timestamp));
    let name = |pod: &Pod| (pod.namespace().to_owned(), pod.name().to_owned());
    pods.into_iter().take(PODS).map(name).collect()
}

fn is_in_doubt(pod: &Pod, now: Timestamp) -> bool {
    let ended = |status: &ContainerStatus| {
        let states = [&status.state, &status.last_state];
        let ends = states.into_iter().filter_map(|state| state.terminated.as_ref()?.finished_at);
        ends.max().is_some_and(|end| now.duration_since(end) < LATELY)
    };
    !pod.is_ready() || pod.status.container_statuses.iter().any(ended)
}

/// What was read, for a snapshot that wants these.
pub(super) fn collection(found: &FoundEvents, wanted: &BTreeSet<(String, String)>) -> Collection<Event> {
    let mut collection = Collection::default();
    let mut gaps: BTreeMap<&str, Option<NotSeen>> = BTreeMap::new();
    for pod in wanted {
        let gap = match found.0.get(pod) {
            Some(Ok(events)) => {
                for event in events {
                    collection.insert(Arc::clone(event));
                }
                None
            }
            Some(Err(reason)) => Some(reason.clone()),
            None => Some(NotSeen::NotSynced),
        };
        let of_namespace = gaps.entry(&pod.0).or_default();
        *of_namespace = of_namespace.take().or(gap);
    }
    for (namespace, gap) in gaps {
        collection.add_scope(Scope { gap, ..Scope::in_namespace(namespace) });
    }
    collection
}

/// Reads for ever what the newest snapshot wants: now and then, and at once when that changes.
pub(super) async fn run(
    client: Client,
    timings: Timings,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    messages: mpsc::Sender<Message>,
) {
    let mut told = BTreeSet::new();
    loop {
        let known = wanted(&snapshots.borrow_and_update());
        if !known.is_empty() || !told.is_empty() {
            let mut found = FoundEvents::default();
            for pod in &known {
                found.0.insert(pod.clone(), read(&client, pod, timings).await);
            }
            told.clone_from(&known);
            if messages.send(Message::Events(found)).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(jitter(timings.lookup_interval)) => {}
            changed = snapshots.wait_for(|snapshot| wanted(snapshot) != known) => if changed.is_err() { return },
        }
    }
}

/// A list of Events; one that cannot be read spoils no other.
#[derive(Default, Deserialize)]
#[serde(default)]
struct List {
    items: Option<Vec<Value>>,
}

async fn read(
    client: &Client,
    (namespace, pod): &(String, String),
    timings: Timings,
) -> Result<Vec<Arc<Event>>, NotSeen> {
    let path = format!(
        "/api/v1/namespaces/{namespace}/events?limit={EVENTS}&fieldSelector=involvedObject.kind%3DPod%2CinvolvedObject.name%3D{pod}"
    );
    let request = Request::get(path).body(Vec::new()).map_err(|error| NotSeen::Unreachable(error.to_string()))?;
    let answer = tokio::time::timeout(timings.probe_timeout, client.request::<List>(request)).await;
    let list = answer
        .map_err(|_| NotSeen::Unreachable("the list of Events gave no answer in time".to_owned()))?
        .map_err(|error| Trouble::of(&error).not_seen("list", "events"))?;
    let events = list.items.unwrap_or_default().into_iter().filter_map(|event| serde_json::from_value(event).ok());
    Ok(events.map(Arc::new).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::healthy;

    fn changed(change: impl Fn(&mut Pod)) -> Snapshot {
        let mut snapshot = healthy();
        let pods: Vec<Pod> = snapshot.pods.iter().cloned().collect();
        snapshot.pods = Collection::complete(pods.into_iter().map(|mut pod| {
            change(&mut pod);
            pod
        }));
        snapshot
    }

    fn ended(pod: &mut Pod, ago: SignedDuration, now: Timestamp) {
        let ended = crate::snapshot::pod::Terminated {
            finished_at: now.checked_sub(ago).ok(),
            ..crate::snapshot::pod::Terminated::default()
        };
        let last_state = crate::snapshot::pod::ContainerState { terminated: Some(ended), ..Default::default() };
        pod.status.container_statuses = vec![ContainerStatus { last_state, ..ContainerStatus::default() }];
    }

    #[test]
    fn only_pods_in_doubt_are_asked_about() {
        let now = healthy().observed_at;
        let of = |change: &dyn Fn(&mut Pod)| wanted(&changed(change)).len();
        assert_eq!(of(&|_| ()), 0);
        assert_eq!(of(&|pod| pod.status.conditions.clear()), 1);
        assert_eq!(of(&|pod| ended(pod, SignedDuration::from_mins(9), now)), 1);
        assert_eq!(of(&|pod| ended(pod, SignedDuration::from_mins(11), now)), 0);
    }

    #[test]
    fn what_was_not_read_says_why() {
        let pod = ("n".to_owned(), "p".to_owned());
        let wanted = BTreeSet::from([pod.clone()]);
        let gap = |found: &FoundEvents| collection(found, &wanted).in_namespace("n").gap;
        assert_eq!(gap(&FoundEvents::default()), Some(NotSeen::NotSynced));
        let forbidden = NotSeen::Forbidden { verb: "list", resource: "events" };
        assert_eq!(gap(&FoundEvents([(pod.clone(), Err(forbidden.clone()))].into())), Some(forbidden));
        let event = Arc::new(Event { reason: "Unhealthy".to_owned(), ..Event::default() });
        let read = FoundEvents([(pod, Ok(vec![event]))].into());
        assert_eq!((gap(&read), collection(&read, &wanted).len()), (None, 1));
        assert_eq!(collection(&read, &BTreeSet::new()).in_namespace("n").gap, Some(NotSeen::NotLooked));
    }
}
