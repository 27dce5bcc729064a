//! The one task that owns the store: hears everything, plans watches, publishes snapshots.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use kube::Client;
use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinSet},
    time::Instant,
};

use super::{
    access,
    client::Clients,
    dial, events,
    heard::{Message, Probed, WatchEvent},
    logs, lookups,
    options::{Features, Options, Timings},
    plan::plan,
    probe,
    request::WatchRequest,
    reviews, sockets,
    store::{Store, decides_plan},
    trouble::one_line,
    watching,
};
use crate::{
    health::ObserverHealth,
    snapshot::{KubernetesVersion, NotSeen, Observed, Snapshot},
};

/// Messages that wait for the actor; a watch that lists faster waits.
const QUEUE: usize = 1_024;
/// After a snapshot that took a second to make, so many seconds pass before the next.
const REST: u32 = 9;
/// Before the server's version is asked for again after a failure.
const VERSION_RETRY: Duration = Duration::from_secs(5);

struct Running {
    run: u64,
    task: AbortHandle,
    /// When it must end, unless it is planned again.
    ends: Option<Instant>,
}

/// Which permissions to ask for.
type Needs = (BTreeSet<WatchRequest>, String);

pub(super) struct Actor {
    clients: Clients,
    options: Options,
    store: Store,
    sender: mpsc::Sender<Message>,
    receiver: mpsc::Receiver<Message>,
    snapshots: watch::Sender<Arc<Snapshot>>,
    health: watch::Sender<Arc<ObserverHealth>>,
    needs: watch::Sender<Needs>,
    tasks: JoinSet<()>,
    running: BTreeMap<WatchRequest, Running>,
    planned: BTreeSet<WatchRequest>,
    runs: u64,
    replan_at: Option<Instant>,
    published_at: Instant,
    /// How long it took to make the last snapshot.
    took: Duration,
    publish_at: Instant,
    version_tried: bool,
    probed: bool,
}

impl Actor {
    pub(super) fn new(
        clients: Clients,
        options: Options,
    ) -> (Self, watch::Receiver<Arc<Snapshot>>, watch::Receiver<Arc<ObserverHealth>>) {
        let now = Instant::now();
        let store = Store::new(options.timings.stale_after, options.features);
        let (sender, receiver) = mpsc::channel(QUEUE);
        let (snapshots, snapshots_receiver) =
            watch::channel(Arc::new(store.snapshot(Timestamp::now(), now.into_std())));
        let (health, health_receiver) = watch::channel(Arc::default());
        let (needs, _) = watch::channel(Needs::default());
        let actor = Self {
            clients,
            store,
            sender,
            receiver,
            snapshots,
            health,
            needs,
            tasks: JoinSet::new(),
            running: BTreeMap::new(),
            planned: BTreeSet::new(),
            runs: 0,
            replan_at: Some(now),
            published_at: now,
            took: Duration::ZERO,
            publish_at: now + options.timings.publish_at_least_every,
            version_tried: false,
            probed: false,
            options,
        };
        (actor, snapshots_receiver, health_receiver)
    }

    /// Runs until the task is aborted; the tasks that it has started end with it.
    pub(super) async fn run(mut self) {
        let Options { features, probe_namespaces, own_port, timings } = self.options.clone();
        let Clients { objects, probes, .. } = self.clients.clone();
        self.tasks.spawn(versions(objects.clone(), timings, self.sender.clone()));
        self.tasks.spawn(permissions(objects.clone(), features, timings, self.needs.subscribe(), self.sender.clone()));
        self.tasks.spawn(lookups::run(objects, features, timings, self.snapshots.subscribe(), self.sender.clone()));
        if features.events {
            let snapshots = self.snapshots.subscribe();
            self.tasks.spawn(events::run(self.clients.objects.clone(), timings, snapshots, self.sender.clone()));
        }
        if features.logs {
            let snapshots = self.snapshots.subscribe();
            self.tasks.spawn(logs::run(self.clients.objects.clone(), timings, snapshots, self.sender.clone()));
        }
        if features.probes {
            let snapshots = self.snapshots.subscribe();
            self.tasks.spawn(probe::run(probes, timings, probe_namespaces, snapshots, self.sender.clone()));
        }
        if features.dials {
            self.tasks.spawn(dial::run(timings, self.snapshots.subscribe(), self.sender.clone()));
        }
        if features.access_reviews {
            let snapshots = self.snapshots.subscribe();
            self.tasks.spawn(reviews::run(self.clients.objects.clone(), timings, snapshots, self.sender.clone()));
        }
        if features.sidecar {
            self.tasks.spawn(sockets::run(timings, own_port, self.sender.clone()));
        }
        loop {
            let replan = async {
                match self.replan_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = self.receiver.recv() => {
                    // The actor holds a sender itself, so the channel never ends.
                    let Some(message) = message else { return };
                    self.hear(message);
                }
                () = replan => self.replan(),
                () = tokio::time::sleep_until(self.publish_at) => self.publish(),
            }
        }
    }

    fn hear(&mut self, message: Message) {
        let now = Instant::now();
        match message {
            Message::Watch { request, run, event } => {
                // An earlier run of the same watch may still have something in the queue.
                if self.running.get(&request).is_none_or(|running| running.run != run) {
                    return;
                }
                let mid_list = matches!(event, WatchEvent::Relisting | WatchEvent::Listed(_));
                self.store.apply(&request, event, now.into_std());
                if mid_list {
                    return;
                }
                if decides_plan(request.kind) {
                    self.replan_at.get_or_insert(now + self.options.timings.replan);
                }
            }
            Message::Version(version) => {
                self.version_tried = true;
                self.store.server_version = version;
            }
            Message::Looked(looked) => self.store.looked = looked,
            Message::Probed(Probed { nodes, pods }) => {
                self.probed = true;
                self.store.apply_calls(nodes, pods, Timestamp::now());
            }
            Message::Dialled(dialled) => {
                self.store.kubelet_requests.add(&dialled.kubelet_requests);
                self.store.dials = Observed::Present(dialled.dials);
            }
            Message::Reviewed(reviews) => self.store.access_reviews = reviews,
            Message::Listening(ports) => self.store.listening_ports = ports,
            Message::Log { key, event } => self.store.logs.apply(&key, event),
            Message::Events(events) => self.store.events = events,
            Message::Permissions(permissions) => self.store.permissions = permissions,
        }
        let timings = self.options.timings;
        let mut soon = now + timings.debounce;
        // The first look is waited for.
        if self.store.first_complete_look {
            soon = soon.max(self.published_at + timings.publish_at_most_every.max(self.took * REST));
        }
        self.publish_at = self.publish_at.min(soon);
    }

    /// Starts watches that are needed now, and ends those that have not been for a while.
    fn replan(&mut self) {
        let now = Instant::now();
        let known = self.store.remembered(now.into_std());
        self.planned = plan(&known, self.options.features);
        for request in &self.planned {
            if let Some(running) = self.running.get_mut(request) {
                running.ends = None;
                continue;
            }
            self.runs += 1;
            self.store.start(request);
            let client = self.clients.objects.clone();
            let watch = watching::run(client, request.clone(), self.runs, self.options.timings, self.sender.clone());
            let task = self.tasks.spawn(watch);
            self.running.insert(request.clone(), Running { run: self.runs, task, ends: None });
        }
        for (request, running) in &mut self.running {
            if !self.planned.contains(request) {
                running.ends.get_or_insert(now + self.options.timings.linger);
            }
        }
        let ended: Vec<WatchRequest> = self
            .running
            .iter()
            .filter(|(_, running)| running.ends.is_some_and(|ends| ends <= now))
            .map(|(request, _)| request.clone())
            .collect();
        for request in ended {
            if let Some(running) = self.running.remove(&request) {
                running.task.abort();
            }
            self.store.stop(&request);
        }
        self.replan_at = self.running.values().filter_map(|running| running.ends).min();
        if std::mem::take(&mut self.store.is_planning) {
            self.publish_at = self.publish_at.min(now + self.options.timings.debounce);
        }
        let namespace = probe::home(&known);
        self.needs.send_if_modified(|needs| {
            let new = (self.planned.clone(), namespace);
            let changed = *needs != new;
            *needs = new;
            changed
        });
    }

    fn publish(&mut self) {
        // Ended tasks are joined here, so that the set does not grow.
        while self.tasks.try_join_next().is_some() {}
        let now = Instant::now();
        let at = Timestamp::now();
        // A plan that is due within the linger time waits only for watches to end.
        self.store.is_planning = self.replan_at.is_some_and(|at| at <= now + self.options.timings.replan);
        let mut snapshot = self.store.snapshot(at, now.into_std());
        self.store.logs.keep(&logs::wanted(&snapshot));
        if !self.store.first_complete_look && self.is_complete_look(&snapshot, now) {
            self.store.first_complete_look = true;
            snapshot = self.store.snapshot(at, now.into_std());
        }
        self.snapshots.send_replace(Arc::new(snapshot));
        self.health.send_replace(Arc::new(self.store.health(at, now.into_std())));
        self.published_at = now;
        self.took = now.elapsed();
        self.publish_at = now + self.options.timings.publish_at_least_every;
    }

    fn is_complete_look(&self, snapshot: &Snapshot, now: Instant) -> bool {
        !self.store.is_planning
            && self.version_tried
            && (self.probed || !self.options.features.probes)
            && self.store.have_started(self.planned.iter(), now.into_std())
            && self.store.looked.is_complete_for(snapshot)
            && (!self.options.features.events || self.store.events.covers(&events::wanted(snapshot)))
            && (!self.options.features.logs || self.store.logs.were_tried(&logs::wanted(snapshot)))
    }
}

/// Asks for the server's version now and then.
async fn versions(client: Client, timings: Timings, messages: mpsc::Sender<Message>) {
    let mut known = false;
    loop {
        let answer = client.apiserver_version().await;
        let version = match &answer {
            Ok(info) => match KubernetesVersion::parse(&info.git_version) {
                Some(version) => Observed::Present(version),
                None => Observed::NotSeen(NotSeen::Unreachable(format!("version {} cannot be read", info.git_version))),
            },
            Err(error) => Observed::NotSeen(NotSeen::Unreachable(one_line(error))),
        };
        // A version does not go away while the server does not answer.
        let news = answer.is_ok() || !known;
        known |= answer.is_ok();
        if news && messages.send(Message::Version(version)).await.is_err() {
            return;
        }
        tokio::time::sleep(if answer.is_ok() { timings.version_interval } else { VERSION_RETRY }).await;
    }
}

/// Asks for the observer's permissions whenever the plan has changed, and now and then; for those that it lacks more often,
/// so that nobody is told for long of a right that is there again.
async fn permissions(
    client: Client,
    features: Features,
    timings: Timings,
    mut needs: watch::Receiver<Needs>,
    messages: mpsc::Sender<Message>,
) {
    loop {
        let (planned, namespace) = needs.borrow_and_update().clone();
        let next_round = Instant::now() + timings.access_interval;
        let mut answers = BTreeMap::new();
        let mut asked =
            if planned.is_empty() { BTreeSet::new() } else { access::needed(&planned, &namespace, features) };
        loop {
            if !asked.is_empty() {
                answers.extend(access::review(&client, asked).await);
                if messages.send(Message::Permissions(answers.clone())).await.is_err() {
                    return;
                }
            }
            let lacks = answers.iter().filter(|(_, allowed)| !**allowed);
            asked = lacks.map(|(permission, _)| permission.clone()).collect();
            let soon = Instant::now() + timings.access_interval / 10;
            let at = if asked.is_empty() { next_round } else { next_round.min(soon) };
            match tokio::time::timeout_at(at, needs.changed()).await {
                Ok(Err(_)) => return,
                Ok(Ok(())) => break,
                Err(_) if at == next_round => break,
                Err(_) => {}
            }
        }
        // The plan changes several times within the first moments.
        tokio::time::sleep(timings.publish_at_most_every).await;
    }
}
