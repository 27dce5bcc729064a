//! What follows from a snapshot, derived once and without judging it: no finding is made here.
//!
//! Checks read [`Facts`] and nothing else. Everything that looks at several objects, or reads another program's text,
//! is derived here, each by one module, so that no two checks can read the same line in two ways.

pub mod aggregated;
pub mod autoscalers;
pub mod aws_auth;
pub mod calls;
pub mod certificate_requests;
pub mod certificates;
pub mod chain;
pub mod complaint;
pub mod containers;
pub mod control_plane;
pub mod coverage;
pub mod dials;
pub mod disagreement;
pub mod endpoints;
pub mod flags;
pub mod front_proxy;
pub mod installation;
pub mod liveness;
pub mod metrics_server;
pub mod network_policies;
pub mod ports;
pub mod proxies;
pub mod rbac;
pub mod restarts;
pub mod rights;
pub mod scrapes;
pub mod windows;

use std::cell::OnceCell;

use jiff::{SignedDuration, Timestamp};

use self::{
    autoscalers::Autoscalers, calls::FailedCall, chain::Chain, complaint::Complaint, containers::Containers,
    scrapes::Scrapes,
};
use crate::snapshot::{NotSeen, Snapshot, Source};

/// A snapshot with what follows from it.
#[derive(Debug)]
pub struct Facts<'s> {
    /// What was observed.
    pub snapshot: &'s Snapshot,
    /// The chain `APIService` -> Service -> pods -> workload.
    pub chain: Chain<'s>,
    complaint: OnceCell<Option<Complaint<'s>>>,
    autoscalers: OnceCell<Autoscalers<'s>>,
    scrapes: OnceCell<Scrapes<'s>>,
    containers: OnceCell<Containers<'s>>,
    failed_calls: OnceCell<Vec<FailedCall>>,
}

impl<'s> Facts<'s> {
    /// The facts of a snapshot; most are derived when they are first asked for.
    pub fn new(snapshot: &'s Snapshot) -> Self {
        Self {
            snapshot,
            chain: Chain::resolve(snapshot),
            complaint: OnceCell::new(),
            autoscalers: OnceCell::new(),
            scrapes: OnceCell::new(),
            containers: OnceCell::new(),
            failed_calls: OnceCell::new(),
        }
    }

    /// The moment from which ages count.
    pub fn now(&self) -> Timestamp {
        self.snapshot.observed_at
    }

    /// How long ago a moment was; nothing for moments that lie ahead.
    pub fn age(&self, moment: Timestamp) -> SignedDuration {
        self.now().duration_since(moment).max(SignedDuration::ZERO)
    }

    /// Whether this is one look at what somebody has collected.
    pub fn is_bundle(&self) -> bool {
        self.snapshot.source == Source::Bundle
    }

    /// What the aggregator says is wrong; `None` while it says nothing or that all is well.
    pub fn complaint(&self) -> Option<&Complaint<'s>> {
        let read = || match self.chain.api_service.seen() {
            Some(api_service) => Complaint::of(api_service),
            None => Complaint::of_remarks(self),
        };
        self.complaint.get_or_init(read).as_ref()
    }

    /// Every call of the metrics API that was seen to fail.
    pub fn failed_calls(&self) -> &[FailedCall] {
        self.failed_calls.get_or_init(|| calls::failed(self))
    }

    /// Why nothing can be told, where the API server itself does not answer: what was seen before is not what is.
    pub fn reachable(&self) -> Result<(), NotSeen> {
        match self.snapshot.api_services.all().gap {
            Some(reason @ NotSeen::Unreachable(_)) if self.snapshot.source == Source::Cluster => Err(reason),
            _ => Ok(()),
        }
    }

    /// Every autoscaler with what it sees of its targets.
    pub fn autoscalers(&self) -> &Autoscalers<'s> {
        self.autoscalers.get_or_init(|| Autoscalers::of(self))
    }

    /// What metrics-server's logs tell of its scrapes.
    pub fn scrapes(&self) -> &Scrapes<'s> {
        self.scrapes.get_or_init(|| Scrapes::of(self))
    }

    /// The containers of metrics-server's pods.
    pub fn containers(&self) -> &Containers<'s> {
        self.containers.get_or_init(|| Containers::of(&self.chain, self.now()))
    }

    /// Until when metrics-server may need to come up, where it is just being started: a fresh cluster, a new installation,
    /// a node that was replaced. `None` where that is over.
    ///
    /// A start is over once a pod was Ready before the `APIService` failed, and it excuses no failure that has lasted longer
    /// than a start takes: a pod that is replaced every two minutes does not start for ever.
    pub fn starting_until(&self) -> Option<Timestamp> {
        let failed = self.chain.unavailable().and_then(|condition| condition.last_transition_time);
        let ready = self.chain.pods().iter().filter(|pod| pod.is_ready() && !pod.is_terminating());
        let ready = ready.filter_map(|pod| pod.ready().and_then(|ready| ready.last_transition_time)).min();
        if ready.zip(failed).is_some_and(|(ready, failed)| ready < failed) {
            return None;
        }
        let born: Option<Vec<Timestamp>> = self
            .chain
            .pods()
            .iter()
            .filter(|pod| !pod.is_terminating())
            .map(|pod| {
                // A container that was restarted once begins anew; one that ends again and again does not.
                let restarted = self.containers().restarted_since(pod);
                restarted.or(pod.metadata.creation_timestamp).or(pod.status.start_time)
            })
            .collect();
        let mut born = born?;
        if born.is_empty() {
            // The controller makes the next one once these are on their way out.
            born.extend(self.chain.pods().iter().filter_map(|pod| pod.metadata.deletion_timestamp));
        }
        // What ends again and again is no start any more.
        if self.containers().failing().any(containers::Replica::is_crashing) {
            return None;
        }
        let youngest = born.iter().max()?;
        if born.iter().any(|born| self.age(*born) >= windows::START) {
            return None;
        }
        // The registration of a new installation is as young as its pods; an older failure is not the start's.
        let overdue = |since: Timestamp| self.age(since) >= windows::LONGEST_START;
        if failed.is_some_and(overdue) {
            return None;
        }
        windows::after(*youngest, windows::START)
    }

    /// Whether all pods of metrics-server are so young that what does not answer yet proves nothing.
    pub fn is_starting(&self) -> bool {
        self.starting_until().is_some()
    }

    /// Whether a pod behind the Service became Ready after the condition was written, and so lately that the aggregator may
    /// not have looked again.
    pub fn is_condition_older_than_pods(&self, complaint: &Complaint<'_>) -> bool {
        let ready = self.chain.selected_pods.objects.iter().filter(|pod| pod.is_ready() && !pod.is_terminating());
        let since = ready.filter_map(|pod| pod.ready().and_then(|ready| ready.last_transition_time)).min();
        since
            .zip(complaint.since)
            .is_some_and(|(ready, written)| ready > written && self.age(ready) < windows::AGGREGATOR_RESYNC)
    }

    /// A call that got samples, in a bundle whose `APIService` has not been available for longer than discovery needs to
    /// follow: the two are of different moments, or of API servers that see metrics-server differently.
    pub fn contradicts_complaint(&self) -> Option<String> {
        let since = self.complaint()?.since.filter(|_| self.is_bundle())?;
        let rows = installation::a_caller_got_samples(self) && self.age(since) >= windows::DISCOVERY;
        rows.then(|| self.served_caller()).flatten()
    }

    /// Until when what others saw of the `APIService` may be from before it became available.
    pub fn just_available_until(&self) -> Option<Timestamp> {
        let since = self.chain.available().filter(|_| self.chain.is_available())?.last_transition_time?;
        (self.age(since) < windows::START).then(|| windows::after(since, windows::START)).flatten()
    }

    /// Whether the `APIService` has become available so lately that what others saw of it may be from before.
    pub fn is_just_available(&self) -> bool {
        self.just_available_until().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, healthy, object};

    #[test]
    fn pods_that_were_just_made_are_starting_and_others_are_not() {
        let starting = |ages: &[i64]| {
            let mut snapshot = healthy();
            let pod = snapshot
                .pods
                .get("kube-system", "metrics-server-5d8f-abcde")
                .seen()
                .map(|pod| (*pod).clone())
                .expect("it");
            for (index, age) in ages.iter().enumerate() {
                let mut pod = pod.clone();
                if index > 0 {
                    pod.metadata.name = format!("metrics-server-{index}");
                }
                pod.metadata.creation_timestamp = at(-age).parse().ok();
                snapshot.pods.insert(pod);
            }
            Facts::new(&snapshot).is_starting()
        };
        assert!(starting(&[20]) && starting(&[20, 100]));
        assert!(!starting(&[200]) && !starting(&[20, 200]));
    }

    fn with_failure(created: i64, ready: Option<i64>, failed: i64) -> Snapshot {
        use crate::snapshot::{ApiService, Collection};
        let mut snapshot = healthy();
        let mut pod = snapshot.pods.iter().next().cloned().expect("a pod");
        pod.metadata.creation_timestamp = at(created).parse().ok();
        pod.status.conditions = ready
            .map(|ready| {
                object(serde_json::json!({"type": "Ready", "status": "True", "lastTransitionTime": at(ready)}))
            })
            .into_iter()
            .collect();
        let labels = snapshot.services.iter().next().map(|service| service.spec.selector.clone());
        pod.metadata.labels = labels.expect("a Service");
        pod.metadata.namespace = "kube-system".to_owned();
        snapshot.pods = Collection::complete([pod]);
        snapshot.api_services = Collection::complete([object::<ApiService>(serde_json::json!({
            "metadata": {"name": "v1beta1.metrics.k8s.io"},
            "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "service": {"namespace": "kube-system", "name": "metrics-server"}},
            "status": {"conditions": [{"type": "Available", "status": "False", "lastTransitionTime": at(failed)}]}
        }))]);
        snapshot
    }

    #[test]
    fn a_failure_after_a_pod_was_ready_belongs_to_no_start() {
        let starting = |ready: i64, failed: i64| Facts::new(&with_failure(-100, Some(ready), failed)).is_starting();
        assert!(starting(-30, -90), "not available since before the pod was Ready");
        assert!(!starting(-60, -10));
    }

    #[test]
    fn a_pod_that_is_always_new_excuses_no_old_failure() {
        let starting = |failed: i64| Facts::new(&with_failure(-60, None, failed)).is_starting();
        assert!(starting(-120));
        assert!(!starting(-1_000));
    }
}
