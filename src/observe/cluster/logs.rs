//! Follows the logs of metrics-server's containers.
//!
//! Each line is told once: lines carry the moment at which the runtime took them, and what is not later than the last one
//! was told already, over reconnections, rotations and restarts. What a container wrote before it ended is read from its
//! `previous` log.

mod follow;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kube::Client;
use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinSet},
};

use super::{
    heard::{LogEvent, LogKey, Message},
    options::Timings,
};
use crate::{
    facts::{chain::Chain, metrics_server},
    health::LogLines,
    snapshot::{Collection, ContainerLog, Named, NotSeen, Pod, Scope, Snapshot},
    wording::metrics_server_log::LogLine,
};

/// Pods whose logs are followed: the newest, for more say nothing new.
const PODS: usize = 4;

/// What the followers have told.
#[derive(Debug, Default)]
pub(super) struct Logs {
    by_container: BTreeMap<LogKey, Followed>,
    pub(super) lines: BTreeMap<&'static str, LogLines>,
}

#[derive(Debug, Default)]
struct Followed {
    current: Arc<ContainerLog>,
    previous: Option<Arc<ContainerLog>>,
    is_open: bool,
    gap: Option<NotSeen>,
}

impl Logs {
    pub(super) fn apply(&mut self, key: &LogKey, event: LogEvent) {
        let fresh = || Arc::new(ContainerLog::new(&key.namespace, &key.pod, &key.container));
        let followed = self
            .by_container
            .entry(key.clone())
            .or_insert_with(|| Followed { current: fresh(), ..Followed::default() });
        match event {
            LogEvent::Lines(lines) => {
                followed.is_open = true;
                followed.gap = None;
                let log = Arc::make_mut(&mut followed.current);
                for line in lines {
                    let read = LogLine::of(&line);
                    let class = self.lines.entry(read.class()).or_default();
                    class.count += 1;
                    class.last = class.last.max(follow::moment(&line));
                    log.add(&line, read);
                }
            }
            LogEvent::Restarted => {
                let mut ended = std::mem::replace(&mut followed.current, fresh());
                Arc::make_mut(&mut ended).previous = true;
                followed.previous = Some(ended);
            }
            LogEvent::Failed(reason) => followed.gap = Some(reason),
        }
    }

    /// Forgets the logs of containers that are gone.
    pub(super) fn keep(&mut self, wanted: &BTreeMap<LogKey, u32>) {
        self.by_container.retain(|key, _| wanted.contains_key(key));
    }

    /// Whether each of these logs was tried.
    pub(super) fn were_tried(&self, wanted: &BTreeMap<LogKey, u32>) -> bool {
        wanted.keys().all(|key| self.by_container.get(key).is_some_and(|log| log.is_open || log.gap.is_some()))
    }

    /// What was read, for a snapshot that shows these containers.
    pub(super) fn collection(&self, wanted: &BTreeMap<LogKey, u32>) -> Collection<ContainerLog> {
        let mut logs = Collection::default();
        for key in wanted.keys() {
            let followed = self.by_container.get(key);
            let gap = match followed {
                // Lines of a log that can no longer be read are from the past.
                Some(followed) if followed.is_open || followed.gap.is_some() => followed.gap.clone(),
                _ => Some(NotSeen::NotSynced),
            };
            if let Some(gap) = gap {
                logs.add_scope(Scope::in_namespace(&key.namespace).named(&key.pod).with_gap(gap));
            }
        }
        if logs.scopes().is_empty() {
            logs.add_scope(Scope::cluster());
        }
        for followed in wanted.keys().filter_map(|key| self.by_container.get(key)).filter(|followed| followed.is_open) {
            logs.insert(Arc::clone(&followed.current));
            if let Some(previous) = &followed.previous {
                logs.insert(Arc::clone(previous));
            }
        }
        logs
    }
}

/// The containers whose logs are wanted, with their restart counts.
pub(super) fn wanted(snapshot: &Snapshot) -> BTreeMap<LogKey, u32> {
    let chain = Chain::resolve(snapshot);
    let mut pods: Vec<&Pod> = chain.pods().to_vec();
    pods.sort_by_key(|pod| std::cmp::Reverse(pod.metadata.creation_timestamp));
    let has_log = |pod: &&Pod| metrics_server::container(&pod.spec).is_some() && !pod.spec.node_name.is_empty();
    pods.into_iter()
        .filter(has_log)
        .take(PODS)
        .filter_map(|pod| {
            let container = metrics_server::container(&pod.spec)?;
            let key = LogKey {
                namespace: pod.namespace().to_owned(),
                pod: pod.name().to_owned(),
                uid: pod.metadata.uid.clone(),
                container: container.name.clone(),
            };
            Some((key, pod.container_status(&container.name).map_or(0, |status| status.restart_count)))
        })
        .collect()
}

/// Runs a follower for each container that the newest snapshot shows, for ever.
pub(super) async fn run(
    client: Client,
    timings: Timings,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    messages: mpsc::Sender<Message>,
) {
    let mut tasks = JoinSet::new();
    let mut running: BTreeMap<LogKey, (watch::Sender<u32>, AbortHandle)> = BTreeMap::new();
    loop {
        let wanted = wanted(&snapshots.borrow_and_update());
        let gone: BTreeSet<LogKey> = running.keys().filter(|key| !wanted.contains_key(key)).cloned().collect();
        for key in gone {
            if let Some((_, task)) = running.remove(&key) {
                task.abort();
            }
        }
        for (key, restarts) in wanted {
            if let Some((known, _)) = running.get(&key) {
                known.send_if_modified(|known| std::mem::replace(known, restarts) != restarts);
                continue;
            }
            let (sender, receiver) = watch::channel(restarts);
            let follower = follow::run(client.clone(), key.clone(), timings, receiver, messages.clone());
            running.insert(key, (sender, tasks.spawn(follower)));
        }
        while tasks.try_join_next().is_some() {}
        if snapshots.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::healthy;

    fn key() -> LogKey {
        let wanted = wanted(&healthy());
        assert_eq!(wanted.len(), 1, "only the container of metrics-server");
        wanted.into_keys().next().expect("one")
    }

    fn lines(lines: &[&str]) -> LogEvent {
        LogEvent::Lines(lines.iter().map(|line| (*line).to_owned()).collect())
    }

    #[test]
    fn what_was_not_tried_is_not_synced_and_what_failed_says_why() {
        let wanted = BTreeMap::from([(key(), 0)]);
        let mut logs = Logs::default();
        assert!(!logs.were_tried(&wanted));
        assert_eq!(logs.collection(&wanted).all().gap, Some(NotSeen::NotSynced));
        let forbidden = NotSeen::Forbidden { verb: "get", resource: "pods/log" };
        logs.apply(&key(), LogEvent::Failed(forbidden.clone()));
        assert!(logs.were_tried(&wanted));
        assert_eq!(logs.collection(&wanted).all().gap, Some(forbidden));
        logs.apply(&key(), lines(&[]));
        assert_eq!(logs.collection(&wanted).all().gap, None);
        let internal = NotSeen::Unreachable("HTTP status 500".to_owned());
        logs.apply(&key(), LogEvent::Failed(internal.clone()));
        let lost = logs.collection(&wanted);
        assert_eq!((lost.all().gap, lost.len()), (Some(internal), 1), "what was read before is kept");
    }

    #[test]
    fn after_a_restart_the_lines_before_it_are_the_previous_log() {
        let wanted = BTreeMap::from([(key(), 1)]);
        let mut logs = Logs::default();
        logs.apply(&key(), lines(&["2026-01-01T11:00:00Z panic: a"]));
        logs.apply(&key(), LogEvent::Restarted);
        logs.apply(&key(), lines(&["2026-01-01T11:01:00Z b"]));
        let collection = logs.collection(&wanted);
        let mut seen: Vec<(bool, usize)> = collection.iter().map(|log| (log.previous, log.lines().count())).collect();
        seen.sort_unstable();
        assert_eq!(seen, [(false, 1), (true, 1)]);
        assert_eq!(logs.lines.values().map(|class| class.count).sum::<u64>(), 2);
    }

    #[test]
    fn logs_of_a_pod_that_is_gone_are_forgotten_and_their_counts_stay() {
        let mut logs = Logs::default();
        logs.apply(&key(), lines(&["2026-01-01T11:00:00Z a"]));
        logs.keep(&BTreeMap::new());
        assert!(logs.by_container.is_empty());
        assert_eq!(logs.lines.values().map(|class| class.count).sum::<u64>(), 1);
    }
}
