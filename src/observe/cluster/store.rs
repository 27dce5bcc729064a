//! Everything that the observer has heard, merged into snapshots. Pure: time is given.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map},
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};

use super::{
    condition_changes::ConditionChanges,
    dial::{self, KubeletRequestTotals},
    entry::Entry,
    events,
    heard::{FoundEvents, Looked, WatchEvent},
    kinds::{Object, WatchKind},
    logs::{self, Logs},
    options::Features,
    request::WatchRequest,
};
use crate::{
    facts::chain::Chain,
    health::{ObserverHealth, Permission, WatchHealth, WatchState},
    snapshot::{
        AccessReview, Collection, Dial, KubernetesVersion, NotSeen, Observed, Retrieval, Scope, Snapshot, retrieval,
    },
};

/// A restart of the API server is over by then; after it every claim from before is taken back.
const OUT_OF_REACH_AFTER: Duration = Duration::from_secs(10);

/// Everything that the observer has heard.
#[derive(Debug)]
pub(super) struct Store {
    entries: BTreeMap<WatchRequest, Entry>,
    stale_after: Duration,
    pub(super) server_version: Observed<KubernetesVersion>,
    pub(super) looked: Arc<Looked>,
    pub(super) top_nodes: Observed<Retrieval>,
    pub(super) top_pods: Observed<Retrieval>,
    pub(super) dials: Observed<Vec<Dial>>,
    pub(super) kubelet_requests: KubeletRequestTotals,
    pub(super) access_reviews: Observed<Vec<AccessReview>>,
    pub(super) listening_ports: Observed<BTreeSet<u16>>,
    pub(super) logs: Logs,
    pub(super) events: FoundEvents,
    condition_changes: ConditionChanges,
    calls_failing_since: Option<Timestamp>,
    features: Features,
    pub(super) permissions: BTreeMap<Permission, bool>,
    pub(super) first_complete_look: bool,
    /// Whether watches that follow from what was seen are about to be started.
    pub(super) is_planning: bool,
}

/// Whether objects of this kind decide whether the aggregator reaches a server.
const fn leads_to_the_server(kind: WatchKind) -> bool {
    matches!(kind, WatchKind::Service | WatchKind::EndpointSlice | WatchKind::NetworkPolicy)
}

/// Which objects a snapshot is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Memory {
    /// Only what may be relied on now.
    Reliable,
    /// Also what was seen before a watch was interrupted.
    Remembered,
}

impl Store {
    pub(super) fn new(stale_after: Duration, features: Features) -> Self {
        // A look that is part of this way to run and has not ended yet is another thing than one that nobody takes.
        let pending = |is_on: bool| if is_on { NotSeen::NotSynced } else { NotSeen::NotLooked };
        Self {
            entries: BTreeMap::new(),
            stale_after,
            server_version: Observed::NotSeen(NotSeen::NotSynced),
            looked: Arc::default(),
            top_nodes: Observed::NotSeen(pending(features.probes)),
            top_pods: Observed::NotSeen(pending(features.probes)),
            dials: Observed::NotSeen(pending(features.dials)),
            kubelet_requests: KubeletRequestTotals::default(),
            access_reviews: Observed::NotSeen(pending(features.access_reviews)),
            listening_ports: Observed::NotSeen(pending(features.sidecar)),
            logs: Logs::default(),
            events: FoundEvents::default(),
            condition_changes: ConditionChanges::default(),
            calls_failing_since: None,
            features,
            permissions: BTreeMap::new(),
            first_complete_look: false,
            is_planning: false,
        }
    }

    /// A watch begins; without it, its events are dropped.
    pub(super) fn start(&mut self, request: &WatchRequest) {
        self.entries.entry(request.clone()).or_insert_with(|| Entry::new(request.clone()));
    }

    /// A watch ends, and what it has shown is forgotten.
    pub(super) fn stop(&mut self, request: &WatchRequest) {
        self.entries.remove(request);
    }

    /// Something happened to a watch.
    pub(super) fn apply(&mut self, request: &WatchRequest, event: WatchEvent, now: Instant) {
        let Some(entry) = self.entries.get_mut(request) else { return };
        match &event {
            WatchEvent::Listed(Ok(Object::ApiService(api_service)))
            | WatchEvent::Applied(Ok(Object::ApiService(api_service))) => self.condition_changes.see(api_service, now),
            WatchEvent::Deleted { name, .. } if request.kind == WatchKind::ApiService => {
                self.condition_changes.forget(name);
            }
            WatchEvent::Applied(_) | WatchEvent::Deleted { .. } if leads_to_the_server(request.kind) => {
                self.condition_changes.begin_anew();
            }
            _ => {}
        }
        entry.apply(event, now);
    }

    /// The metrics API was called.
    pub(super) fn apply_calls(&mut self, nodes: Observed<Retrieval>, pods: Observed<Retrieval>, at: Timestamp) {
        let has_failed = |call: &Observed<Retrieval>| {
            call.seen().is_some_and(|call| matches!(call.outcome, retrieval::Outcome::Failed { .. }))
        };
        let fails = has_failed(&nodes) || has_failed(&pods);
        self.calls_failing_since = fails.then(|| self.calls_failing_since.unwrap_or(at));
        self.top_nodes = nodes;
        self.top_pods = pods;
    }

    /// Whether all these watches have left [`WatchState::Starting`].
    pub(super) fn have_started<'r>(&self, mut requests: impl Iterator<Item = &'r WatchRequest>, now: Instant) -> bool {
        requests.all(|request| {
            let state = self.entries.get(request).map(|entry| entry.state(now, self.stale_after));
            state.is_some_and(|state| state != WatchState::Starting)
        })
    }

    /// What is known now.
    pub(super) fn snapshot(&self, observed_at: Timestamp, now: Instant) -> Snapshot {
        let out_of_reach = self.out_of_reach(now);
        let mut snapshot = self.collect(Memory::Reliable, now, |_| true);
        snapshot.observed_at = observed_at;
        snapshot.server_version = self.server_version.clone();
        snapshot.top_nodes = self.top_nodes.clone();
        snapshot.top_pods = self.top_pods.clone();
        if let Some(trouble) = out_of_reach {
            // What was answered before proves nothing about now.
            snapshot.top_nodes = Observed::NotSeen(NotSeen::Unreachable(trouble.clone()));
            snapshot.top_pods = Observed::NotSeen(NotSeen::Unreachable(trouble));
        }
        snapshot.calls_failing_since = self.calls_failing_since;
        snapshot.condition_changes = self.condition_changes.moments(observed_at, now);
        snapshot.access_reviews = self.access_reviews.clone();
        snapshot.listening_ports = self.listening_ports.clone();
        snapshot.dials = self.current_dials(&snapshot);
        self.looked.add_to(&mut snapshot);
        if self.features.logs {
            snapshot.logs = self.logs.collection(&logs::wanted(&snapshot));
        }
        if self.features.events {
            snapshot.events = events::collection(&self.events, &events::wanted(&snapshot));
        }
        snapshot.notices = self.entries.values().filter_map(Entry::unreadable_text).collect();
        snapshot
    }

    /// Why the API server is out of reach, where no watch has had an answer for some seconds and each has failed since.
    fn out_of_reach(&self, now: Instant) -> Option<String> {
        let unanswered = |entry: &Entry| {
            entry.unanswered_since().is_some_and(|since| now.saturating_duration_since(since) >= OUT_OF_REACH_AFTER)
        };
        if self.entries.is_empty() || !self.entries.values().all(unanswered) {
            return None;
        }
        self.entries.values().find_map(Entry::trouble_text)
    }

    /// After what time without a sign of life the data of a watch stop counting: at once while nobody answers at all.
    fn stale_after(&self, now: Instant) -> Duration {
        if self.out_of_reach(now).is_some() { Duration::ZERO } else { self.stale_after }
    }

    /// Dials of addresses that still are endpoints.
    fn current_dials(&self, snapshot: &Snapshot) -> Observed<Vec<Dial>> {
        self.dials.clone().map(|dials| {
            let targets = dial::targets(&Chain::resolve(snapshot));
            let is_current =
                |dial: &Dial| dial.address.parse().is_ok_and(|address| targets.contains(&(address, dial.port)));
            dials.into_iter().filter(is_current).collect()
        })
    }

    /// What [`plan`](super::plan::plan) goes by: objects of the chain, as they were last seen.
    pub(super) fn remembered(&self, now: Instant) -> Snapshot {
        self.collect(Memory::Remembered, now, decides_plan)
    }

    fn collect(&self, memory: Memory, now: Instant, wanted: impl Fn(WatchKind) -> bool) -> Snapshot {
        let mut snapshot = self.unseen();
        let stale_after = self.stale_after(now);
        let mut objects: BTreeMap<(WatchKind, &str, &str), &Object> = BTreeMap::new();
        for (request, entry) in self.entries.iter().filter(|(request, _)| wanted(request.kind)) {
            let (gap, shown): (_, Box<dyn Iterator<Item = &Object>>) = match memory {
                Memory::Reliable => (entry.gap(now, stale_after), Box::new(entry.objects(now, stale_after))),
                Memory::Remembered => (entry.remembered_gap(now), Box::new(entry.remembered_objects())),
            };
            add_scope(&mut snapshot, request.kind, Scope { gap, ..request.scope() });
            for object in shown {
                let metadata = object.metadata();
                match objects.entry((request.kind, &metadata.namespace, &metadata.name)) {
                    btree_map::Entry::Vacant(vacant) => {
                        vacant.insert(object);
                    }
                    btree_map::Entry::Occupied(mut occupied) => {
                        if metadata.is_newer_than(occupied.get().metadata()) {
                            occupied.insert(object);
                        }
                    }
                }
            }
        }
        for object in objects.into_values() {
            insert(&mut snapshot, object);
        }
        snapshot
    }

    /// A snapshot in which nothing was seen, and why.
    fn unseen(&self) -> Snapshot {
        // What no watch covers may only not be planned yet.
        let is_settled = self.first_complete_look && !self.is_planning;
        let reason = if is_settled { NotSeen::NotLooked } else { NotSeen::NotSynced };
        Snapshot {
            api_services: Collection::unseen(reason.clone()),
            services: Collection::unseen(reason.clone()),
            endpoint_slices: Collection::unseen(reason.clone()),
            pods: Collection::unseen(reason.clone()),
            workloads: Collection::unseen(reason.clone()),
            nodes: Collection::unseen(reason.clone()),
            autoscalers: Collection::unseen(reason.clone()),
            // Those of blind autoscalers are looked up in turn, and nobody asks for others.
            scales: Collection::unseen(NotSeen::NotSynced),
            service_accounts: Collection::unseen(reason.clone()),
            roles: Collection::unseen(reason.clone()),
            role_bindings: Collection::unseen(reason.clone()),
            config_maps: Collection::unseen(reason.clone()),
            certificate_signing_requests: Collection::unseen(reason.clone()),
            network_policies: Collection::unseen(reason),
            custom_resource_definitions: Collection::unseen(if self.features.custom_resource_definitions {
                NotSeen::NotSynced
            } else {
                NotSeen::NotLooked
            }),
            ..Snapshot::default()
        }
    }

    /// How the observer is doing.
    pub(super) fn health(&self, at: Timestamp, now: Instant) -> ObserverHealth {
        let health = |entry: &Entry| WatchHealth {
            state: entry.state(now, self.stale_after),
            last_success: entry.last_success.map(|last| {
                let ago = SignedDuration::try_from(now.saturating_duration_since(last)).unwrap_or(SignedDuration::MAX);
                at.saturating_sub(ago).unwrap_or(at)
            }),
            errors: entry.errors,
            objects: entry.len(),
            trouble: entry.trouble_text().or_else(|| entry.unreadable_text()),
        };
        ObserverHealth {
            watches: self.entries.iter().map(|(request, entry)| (request.part(), health(entry))).collect(),
            first_complete_look: self.first_complete_look,
            permissions: self.permissions.clone(),
            log_lines: self.logs.lines.clone(),
            kubelet_requests: self.kubelet_requests.total(),
        }
    }
}

/// Whether objects of this kind decide what is watched.
pub(super) fn decides_plan(kind: WatchKind) -> bool {
    matches!(kind, WatchKind::ApiService | WatchKind::Service | WatchKind::Pod) || kind.workload().is_some()
}

fn add_scope(snapshot: &mut Snapshot, kind: WatchKind, scope: Scope) {
    match kind {
        WatchKind::ApiService => snapshot.api_services.add_scope(scope),
        WatchKind::HorizontalPodAutoscaler => snapshot.autoscalers.add_scope(scope),
        WatchKind::Node => snapshot.nodes.add_scope(scope),
        WatchKind::Service => snapshot.services.add_scope(scope),
        WatchKind::EndpointSlice => snapshot.endpoint_slices.add_scope(scope),
        WatchKind::Deployment | WatchKind::DaemonSet | WatchKind::StatefulSet => snapshot.workloads.add_scope(scope),
        WatchKind::Pod => snapshot.pods.add_scope(scope),
        WatchKind::NetworkPolicy => snapshot.network_policies.add_scope(scope),
        WatchKind::ServiceAccount => snapshot.service_accounts.add_scope(scope),
        WatchKind::ClusterRole | WatchKind::Role => snapshot.roles.add_scope(scope),
        WatchKind::ClusterRoleBinding | WatchKind::RoleBinding => snapshot.role_bindings.add_scope(scope),
        WatchKind::ConfigMap => snapshot.config_maps.add_scope(scope),
        WatchKind::CertificateSigningRequest => snapshot.certificate_signing_requests.add_scope(scope),
    }
}

fn insert(snapshot: &mut Snapshot, object: &Object) {
    match object {
        Object::ApiService(object) => snapshot.api_services.insert(Arc::clone(object)),
        Object::HorizontalPodAutoscaler(object) => snapshot.autoscalers.insert(Arc::clone(object)),
        Object::Node(object) => snapshot.nodes.insert(Arc::clone(object)),
        Object::Service(object) => snapshot.services.insert(Arc::clone(object)),
        Object::EndpointSlice(object) => snapshot.endpoint_slices.insert(Arc::clone(object)),
        Object::Workload(object) => snapshot.workloads.insert(Arc::clone(object)),
        Object::Pod(object) => snapshot.pods.insert(Arc::clone(object)),
        Object::NetworkPolicy(object) => snapshot.network_policies.insert(Arc::clone(object)),
        Object::ServiceAccount(object) => snapshot.service_accounts.insert(Arc::clone(object)),
        Object::Role(object) => snapshot.roles.insert(Arc::clone(object)),
        Object::RoleBinding(object) => snapshot.role_bindings.insert(Arc::clone(object)),
        Object::ConfigMap(object) => snapshot.config_maps.insert(Arc::clone(object)),
        Object::CertificateSigningRequest(object) => snapshot.certificate_signing_requests.insert(Arc::clone(object)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::cluster::{heard::WatchEvent, trouble::Trouble};

    #[test]
    fn an_api_server_that_is_gone_takes_every_claim_back_within_seconds() {
        let begin = Instant::now();
        let after = |seconds| begin + Duration::from_secs(seconds);
        let mut store = Store::new(Duration::from_secs(150), Features::default());
        let requests = [WatchKind::ApiService, WatchKind::Node].map(WatchRequest::everywhere);
        for request in &requests {
            store.start(request);
            store.apply(request, WatchEvent::Complete, begin);
        }
        store.top_nodes = Observed::Absent;
        let failed =
            || WatchEvent::Failed { verb: "watch", trouble: Trouble::Unreachable("connection refused".to_owned()) };
        store.apply(&requests[0], failed(), after(1));
        assert!(store.snapshot(Timestamp::UNIX_EPOCH, after(60)).api_services.all().gap.is_none(), "one still works");
        store.apply(&requests[1], failed(), after(60));
        assert!(store.snapshot(Timestamp::UNIX_EPOCH, after(65)).nodes.all().gap.is_none(), "a restart");
        let gone = store.snapshot(Timestamp::UNIX_EPOCH, after(70));
        for gap in [gone.api_services.all().gap, gone.nodes.all().gap] {
            assert!(matches!(gap, Some(NotSeen::Unreachable(_))), "{gap:?}");
        }
        assert!(matches!(gone.top_nodes, Observed::NotSeen(NotSeen::Unreachable(_))));
        for request in &requests {
            store.apply(request, WatchEvent::Complete, after(71));
        }
        assert!(store.snapshot(Timestamp::UNIX_EPOCH, after(72)).nodes.all().gap.is_none());
    }
}
