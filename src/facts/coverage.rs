//! Which nodes and pods have a sample in the metrics API, and how old the samples are.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::{Facts, chain::Chain, metrics_server, windows};
use crate::snapshot::{
    Named, Node, NotSeen, ObjectReference, Observed, Pod, Retrieval, Snapshot,
    retrieval::{ErrorClass, Outcome, Sample},
};
use crate::wording::metrics_server_log::{LineKind, Skipped};

/// The samples of an answer; an error says why there are none.
pub fn samples(retrieval: &Observed<Retrieval>) -> Result<&[Sample], NotSeen> {
    match retrieval.as_ref().known()?.map(|retrieval| &retrieval.outcome) {
        Some(Outcome::Samples(samples)) => Ok(samples),
        Some(Outcome::Failed { .. }) | None => {
            Err(NotSeen::Unreachable("the metrics API does not answer with samples".to_owned()))
        }
    }
}

/// The nodes of which a sample was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sampled<'s> {
    /// Nodes with a sample of their own, or of a pod on them.
    pub nodes: BTreeSet<&'s str>,
    /// Whether the answer for nodes was seen, so that a node that is not among them has none.
    pub is_complete: bool,
    /// The nodes that `kubectl top nodes` lists, with or without a value; `None` where it lists none.
    pub listed: Option<BTreeSet<&'s str>>,
}

impl<'s> Sampled<'s> {
    /// Reads both answers.
    pub fn of(snapshot: &'s Snapshot) -> Self {
        let mut sampled = Self::default();
        match snapshot.top_nodes.seen().map(|retrieval| &retrieval.outcome) {
            Some(Outcome::Samples(rows)) => {
                sampled.nodes.extend(known(rows).map(|sample| sample.name.as_str()));
                sampled.is_complete = true;
                let listed: BTreeSet<&str> = rows.iter().map(|sample| sample.name.as_str()).collect();
                sampled.listed = Some(listed).filter(|listed| !listed.is_empty());
            }
            Some(Outcome::Failed { class: ErrorClass::Empty, .. }) => sampled.is_complete = true,
            _ => {}
        }
        // Whoever gave a pod's sample was scraped.
        if let Ok(samples) = samples(&snapshot.top_pods) {
            let places: BTreeMap<(&str, &str), &str> =
                snapshot.pods.iter().map(|pod| ((pod.namespace(), pod.name()), pod.spec.node_name.as_str())).collect();
            let nodes =
                known(samples).filter_map(|sample| places.get(&(sample.namespace.as_str(), sample.name.as_str())));
            sampled.nodes.extend(nodes.copied().filter(|node| !node.is_empty()));
        }
        sampled
    }

    /// Whether the answer for nodes was seen and holds no sample at all.
    pub fn is_none(&self) -> bool {
        self.is_complete && self.nodes.is_empty()
    }
}

/// The samples that have a value.
pub fn known(samples: &[Sample]) -> impl Iterator<Item = &Sample> {
    samples.iter().filter(|sample| !sample.unknown)
}

/// Ready nodes that should have a sample, and those that have none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeCoverage {
    /// How many Ready nodes should have a sample.
    pub expected: usize,
    /// The nodes without one.
    pub missing: Vec<String>,
}

/// Compares nodes and samples; `Err` when either was not seen. Where no node was seen, the rows of `kubectl top nodes`
/// stand for them: it lists every node.
pub fn node_coverage(snapshot: &Snapshot, chain: &Chain<'_>) -> Result<NodeCoverage, NotSeen> {
    let rows = samples(&snapshot.top_nodes)?;
    let sampled: BTreeSet<&str> = known(rows).map(|sample| sample.name.as_str()).collect();
    let listing = snapshot.nodes.all();
    if listing.objects.is_empty()
        && let Some(gap) = listing.gap
    {
        let missing: Vec<String> =
            rows.iter().filter(|sample| sample.unknown).map(|sample| sample.name.clone()).collect();
        return if missing.is_empty() { Err(gap) } else { Ok(NodeCoverage { expected: rows.len(), missing }) };
    }
    // metrics-server on Fargate cannot scrape its own micro-VM, and a node selector leaves nodes out on purpose.
    let own_nodes: BTreeSet<&str> = chain.pods().iter().map(|pod| pod.spec.node_name.as_str()).collect();
    let selects = chain.container().and_then(|container| metrics_server::flag(container, "node-selector")).is_some();
    let expected: Vec<&&Node> = listing
        .objects
        .iter()
        .filter(|node| node.is_ready() && !node.is_virtual() && !(node.is_fargate() && own_nodes.contains(node.name())))
        .filter(|node| {
            let since = node.ready_since().or(node.metadata.creation_timestamp);
            since.is_none_or(|since| snapshot.observed_at.duration_since(since) > windows::START)
        })
        .filter(|node| !selects || sampled.contains(node.name()))
        .collect();
    let missing =
        expected.iter().filter(|node| !sampled.contains(node.name())).map(|node| node.name().to_owned()).collect();
    Ok(NodeCoverage { expected: expected.len(), missing })
}

/// Running pods of the namespaces that were asked for, older than two scrapes, without a sample; `Err` when the metrics API
/// gave no samples.
pub fn pods_without_samples(snapshot: &Snapshot, chain: &Chain<'_>) -> Result<Vec<ObjectReference>, NotSeen> {
    let samples = samples(&snapshot.top_pods)?;
    let namespaces: BTreeSet<&str> = samples.iter().map(|sample| sample.namespace.as_str()).collect();
    let seen: BTreeSet<(&str, &str)> =
        samples.iter().map(|sample| (sample.namespace.as_str(), sample.name.as_str())).collect();
    let own_nodes: BTreeSet<&str> = chain.pods().iter().map(|pod| pod.spec.node_name.as_str()).collect();
    let scraped = |name: &str| match snapshot.nodes.get("", name).seen() {
        Some(node) => node.is_ready() && !node.is_virtual() && !(node.is_fargate() && own_nodes.contains(name)),
        None => !(name.starts_with("fargate-") && own_nodes.contains(name)),
    };
    Ok(snapshot
        .pods
        .iter()
        .filter(|pod| namespaces.contains(pod.namespace()) && runs_long(pod, snapshot.observed_at))
        .filter(|pod| scraped(&pod.spec.node_name) && !seen.contains(&(pod.namespace(), pod.name())))
        .map(|pod| ObjectReference::new("Pod", pod.namespace(), pod.name()))
        .collect())
}

/// Whether every container of a Ready pod has run for longer than two scrapes: one that was restarted begins anew.
pub fn runs_long(pod: &Pod, now: Timestamp) -> bool {
    let old = |since: Option<Timestamp>| since.is_some_and(|since| now.duration_since(since) > windows::START);
    let ready = pod.ready().and_then(|ready| ready.last_transition_time);
    let started = pod.status.container_statuses.iter().filter_map(|status| status.state.running.as_ref()?.started_at);
    pod.status.phase == "Running"
        && !pod.is_terminating()
        && pod.is_ready()
        && old(pod.status.start_time)
        && ready.is_none_or(|since| old(Some(since)))
        && started.into_iter().all(|at| old(Some(at)))
}

/// Of nodes and of pods.
fn all_samples(snapshot: &Snapshot) -> impl Iterator<Item = &Sample> {
    [&snapshot.top_nodes, &snapshot.top_pods].into_iter().filter_map(|retrieval| samples(retrieval).ok()).flatten()
}

/// Ages of the newest and the oldest sample; `None` where the answers have no timestamps.
pub fn sample_ages(snapshot: &Snapshot) -> Option<(SignedDuration, SignedDuration)> {
    let stamps = || all_samples(snapshot).filter_map(|sample| sample.timestamp);
    let (newest, oldest) = (stamps().max()?, stamps().min()?);
    Some((snapshot.observed_at.duration_since(newest), snapshot.observed_at.duration_since(oldest)))
}

/// The shortest and the longest time over which a sample was measured; `None` where the answers do not tell.
pub fn sample_windows(snapshot: &Snapshot) -> Option<(Duration, Duration)> {
    let windows = || all_samples(snapshot).filter_map(|sample| sample.window);
    Some((windows().min()?, windows().max()?))
}

/// A pod that metrics-server leaves out as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withheld<'s> {
    /// The container without a value, where the line names it.
    pub container: Option<&'s str>,
    /// The newest line that says so.
    pub line: &'s str,
    /// Whether the line tells that a value is missing; else somebody asked for the pod in vain.
    pub is_told: bool,
}

impl<'s> Facts<'s> {
    /// Pods that have run for longer than two scrapes, have no sample, and of which the logs' last rounds say that a value
    /// of a container is missing: the whole pod is left out then (kubernetes-sigs/metrics-server `pkg/scraper/client`,
    /// every version up to 0.9).
    pub fn withheld_pods(&self) -> BTreeMap<ObjectReference, Withheld<'s>> {
        let seen: BTreeSet<(&str, &str)> = samples(&self.snapshot.top_pods)
            .map(|samples| samples.iter().map(|sample| (sample.namespace.as_str(), sample.name.as_str())).collect())
            .unwrap_or_default();
        let silence = windows::scrape_silence(self.chain.metric_resolution());
        let mut withheld = BTreeMap::new();
        for log in self.logs().into_iter().filter(|log| !log.previous) {
            let end = log.lines().filter_map(|line| line.read.at(self.now())).max();
            let end = if self.is_bundle() { end } else { Some(self.now()) };
            for line in log.lines() {
                let written = line.read.at(self.now());
                if end.zip(written).is_some_and(|(end, written)| end.duration_since(written) >= silence) {
                    continue;
                }
                let (skipped, is_told) = match &line.read.kind {
                    // What was asked for in the first minutes has no sample yet.
                    LineKind::NoMetricsKnown(Some(asked)) if self.runs_long_enough() => {
                        (std::slice::from_ref(asked), false)
                    }
                    _ => (line.read.skipped(), true),
                };
                for skipped in skipped {
                    let Skipped::Pod { namespace, name, container } = skipped else { continue };
                    if seen.contains(&(namespace.as_str(), name.as_str())) {
                        continue;
                    }
                    let pod = self.snapshot.pods.get(namespace, name);
                    let moment = written.filter(|_| !is_told).unwrap_or(self.now());
                    if pod.seen().is_some_and(|pod| runs_long(pod, moment)) {
                        let found = Withheld { container: container.as_deref(), line: &line.text, is_told };
                        withheld.insert(ObjectReference::new("Pod", namespace, name), found);
                    }
                }
            }
        }
        withheld
    }

    /// Whether a Ready pod of metrics-server, and the container in it, has had the time for its scrapes.
    pub fn runs_long_enough(&self) -> bool {
        let now = self.now();
        self.chain.pods().iter().filter(|pod| pod.is_ready() && !pod.is_terminating()).any(|pod| {
            let containers = pod.status.container_statuses.iter().filter_map(|status| status.state.running.as_ref());
            let started = containers.filter_map(|running| running.started_at).max().max(pod.status.start_time);
            started.is_some_and(|started| now.duration_since(started) > windows::START)
        })
    }

    /// Until when missing samples prove nothing, because every pod of metrics-server is young; `None` where one is not, or
    /// where the API has been without them for longer than a start takes.
    pub fn first_samples_until(&self) -> Option<Timestamp> {
        let pods = self.chain.pods();
        let born = pods.iter().map(|pod| pod.status.start_time.or(pod.metadata.creation_timestamp));
        let born: Vec<Timestamp> = born.collect::<Option<_>>()?;
        let until = windows::after(born.iter().copied().max()?, windows::START)?;
        let all_young = born.iter().all(|born| self.age(*born) < windows::START);
        let failed = self.chain.unavailable().and_then(|condition| condition.last_transition_time);
        let is_overdue = failed.is_some_and(|failed| self.age(failed) >= windows::LONGEST_START);
        (all_young && !is_overdue).then_some(until)
    }
}
