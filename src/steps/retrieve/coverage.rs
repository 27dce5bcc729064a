//! Which nodes and pods have a sample, and how old the samples are.

use std::{collections::BTreeSet, time::Duration};

use jiff::{SignedDuration, Timestamp};

use crate::{
    catalogue::Cause,
    check::Finding,
    facts::Facts as Context,
    facts::{chain::Chain, metrics_server},
    snapshot::{
        Named, Node, NotSeen, ObjectReference, Observed, Pod, Retrieval, Snapshot,
        retrieval::{self, Sample},
    },
    steps::bridge::Outcome,
};

/// A node or pod may be without a sample until two scrapes after its start.
const START_TIME: SignedDuration = SignedDuration::from_secs(150);

fn samples(retrieval: &Observed<Retrieval>) -> Result<&[Sample], NotSeen> {
    match retrieval.as_ref().known()?.map(|retrieval| &retrieval.outcome) {
        Some(retrieval::Outcome::Samples(samples)) => Ok(samples),
        Some(retrieval::Outcome::Failed { .. }) | None => {
            Err(NotSeen::Unreachable("the metrics API does not answer".to_owned()))
        }
    }
}

/// Ready nodes that should have a sample, and those that have none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeCoverage {
    /// How many Ready nodes should have a sample.
    pub expected: usize,
    /// The nodes without one.
    pub missing: Vec<String>,
}

/// Compares nodes and samples; `Err` when either was not seen.
pub fn node_coverage(snapshot: &Snapshot, chain: &Chain<'_>) -> Result<NodeCoverage, NotSeen> {
    let sampled: BTreeSet<&str> = samples(&snapshot.top_nodes)?
        .iter()
        .filter(|sample| !sample.unknown)
        .map(|sample| sample.name.as_str())
        .collect();
    let listing = snapshot.nodes.all();
    if listing.objects.is_empty()
        && let Some(gap) = listing.gap
    {
        return Err(gap);
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
            since.is_none_or(|since| snapshot.observed_at.duration_since(since) > START_TIME)
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
    let now = snapshot.observed_at;
    let old = |since: Option<Timestamp>| since.is_some_and(|since| now.duration_since(since) > START_TIME);
    // A container that was restarted begins anew, and a node without a sample explains its pods.
    let runs_long = |pod: &Pod| {
        let ready = pod.ready().and_then(|ready| ready.last_transition_time);
        let started =
            pod.status.container_statuses.iter().filter_map(|status| status.state.running.as_ref()?.started_at);
        old(pod.status.start_time)
            && ready.is_none_or(|since| old(Some(since)))
            && started.into_iter().all(|at| old(Some(at)))
    };
    let own_nodes: BTreeSet<&str> = chain.pods().iter().map(|pod| pod.spec.node_name.as_str()).collect();
    let scraped = |name: &str| match snapshot.nodes.get("", name).seen() {
        Some(node) => node.is_ready() && !node.is_virtual() && !(node.is_fargate() && own_nodes.contains(name)),
        None => !(name.starts_with("fargate-") && own_nodes.contains(name)),
    };
    Ok(snapshot
        .pods
        .iter()
        .filter(|pod| namespaces.contains(pod.namespace()) && pod.status.phase == "Running" && !pod.is_terminating())
        .filter(|pod| pod.is_ready() && runs_long(pod) && scraped(&pod.spec.node_name))
        .filter(|pod| !seen.contains(&(pod.namespace(), pod.name())))
        .map(|pod| ObjectReference::new("Pod", pod.namespace(), pod.name()))
        .collect())
}

/// Every Ready node and every running pod has a sample.
pub(super) fn evaluate(context: &Context<'_>) -> Result<Outcome, NotSeen> {
    if let Some(young) = just_started(context) {
        return Err(young);
    }
    let nodes = node_coverage(context.snapshot, &context.chain);
    let pods = pods_without_samples(context.snapshot, &context.chain);
    let mut findings = Vec::new();
    if let Ok(coverage) = &nodes
        && !coverage.missing.is_empty()
    {
        let object = ObjectReference::new("Node", "", &coverage.missing[0]);
        let count = coverage.missing.len();
        let summary = format!("{count} of {} Ready nodes have no sample.", coverage.expected);
        let all = count == coverage.expected;
        let finding = if all { Finding::outage } else { Finding::partial }(Cause::NodesWithoutSamples, object, summary);
        findings.push(finding.evidence(format!("without a sample: {}", some(&coverage.missing))));
    }
    if let Ok(missing) = &pods
        && let Some(first) = missing.first()
    {
        let names: Vec<String> = missing.iter().map(|pod| format!("{}/{}", pod.namespace, pod.name)).collect();
        let summary = format!("{} running pods have no sample.", missing.len());
        let finding = Finding::partial(Cause::PodsWithoutSamples, first.clone(), summary);
        findings.push(finding.evidence(format!("without a sample: {}", some(&names))));
    }
    match (findings.is_empty(), nodes, pods) {
        (false, ..) => Ok(Outcome::fail_all(findings)),
        // Pods that have their samples say nothing about nodes that nobody saw.
        (true, Err(reason), _) => Err(reason),
        (true, Ok(coverage), _) => Ok(Outcome::pass(format!("All {} Ready nodes have a sample.", coverage.expected))),
    }
}

/// The first few names.
fn some(names: &[String]) -> String {
    let shown = names.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > 5 { format!("{shown} and {} more", names.len() - 5) } else { shown }
}

/// Whether a Ready pod of metrics-server, and the container in it, has had the time for its scrapes.
pub(super) fn runs_long_enough(context: &Context<'_>) -> bool {
    let now = context.snapshot.observed_at;
    context.chain.pods().iter().filter(|pod| pod.is_ready() && !pod.is_terminating()).any(|pod| {
        let containers = pod.status.container_statuses.iter().filter_map(|status| status.state.running.as_ref());
        let started = containers.filter_map(|running| running.started_at).max().max(pod.status.start_time);
        started.is_some_and(|started| now.duration_since(started) > START_TIME)
    })
}

/// While every pod of metrics-server is young, missing samples prove nothing.
fn just_started(context: &Context<'_>) -> Option<NotSeen> {
    let now = context.snapshot.observed_at;
    let pods = context.chain.pods();
    let young = |since: Option<Timestamp>| since.is_some_and(|since| now.duration_since(since) < START_TIME);
    let all_young =
        !pods.is_empty() && pods.iter().all(|pod| young(pod.status.start_time.or(pod.metadata.creation_timestamp)));
    all_young.then(|| NotSeen::TooEarly("metrics-server has just started".to_owned()))
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

/// The newest sample is not older than two and a half scrapes and the kubelet's own interval.
pub(super) fn freshness(context: &Context<'_>) -> Result<Outcome, NotSeen> {
    samples(&context.snapshot.top_nodes).or_else(|_| samples(&context.snapshot.top_pods))?;
    let Some((newest, oldest)) = sample_ages(context.snapshot) else {
        return Ok(Outcome::skipped("The answer has no timestamps: kubectl top does not print them."));
    };
    let resolution = context.chain.metric_resolution();
    // The kubelet's own interval, and clocks that differ by a minute.
    let limit = resolution * 2.5 + 30.0 + 60.0;
    let told = format!(
        "newest sample {} s old, oldest {} s, metric resolution {resolution} s",
        newest.as_secs(),
        oldest.as_secs()
    );
    if newest.as_secs_f64() > limit {
        let finding = Finding::outage(
            Cause::SamplesStale,
            context.chain.workload_object(),
            format!("The newest sample is {} s old.", newest.as_secs()),
        );
        return Ok(Outcome::fail(finding.evidence(told)));
    }
    Ok(Outcome::pass("The samples are fresh.").evidence(told))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        check::{Impact, Status},
        guide::Step,
        snapshot::Collection,
        testing::{at, healthy, run},
    };

    fn with_nodes(change: impl Fn(&mut Vec<Sample>)) -> Snapshot {
        let mut snapshot = healthy();
        if let Observed::Present(Retrieval { outcome: retrieval::Outcome::Samples(samples), .. }) =
            &mut snapshot.top_nodes
        {
            change(samples);
        }
        snapshot
    }

    #[test]
    fn a_ready_node_without_a_sample_is_found() {
        let one = run(Step::Retrieve, "coverage", &with_nodes(|samples| samples.truncate(1)));
        assert_eq!((one.findings[0].cause, one.findings[0].impact), (Cause::NodesWithoutSamples, Impact::Partial));
        let unknown = with_nodes(|samples| samples.iter_mut().for_each(|sample| sample.unknown = true));
        assert_eq!(run(Step::Retrieve, "coverage", &unknown).findings[0].impact, Impact::Outage);
        assert_eq!(run(Step::Retrieve, "coverage", &healthy()).status, Status::Pass);
    }

    #[test]
    fn young_nodes_fargate_and_a_young_metrics_server_are_no_fault() {
        let mut snapshot = with_nodes(|samples| samples.retain(|sample| sample.name == "node-2"));
        let mut nodes: Vec<Node> = snapshot.nodes.iter().cloned().collect();
        nodes[0].metadata.labels.insert("eks.amazonaws.com/compute-type".to_owned(), "fargate".to_owned());
        snapshot.nodes = Collection::complete(nodes.clone());
        assert_eq!(
            run(Step::Retrieve, "coverage", &snapshot).status,
            Status::Pass,
            "metrics-server's own Fargate node"
        );
        nodes[0].metadata.labels = [("type".to_owned(), "virtual-kubelet".to_owned())].into();
        snapshot.nodes = Collection::complete(nodes.clone());
        assert_eq!(run(Step::Retrieve, "coverage", &snapshot).status, Status::Pass, "a node without a kubelet");
        nodes[0].metadata.labels.clear();
        nodes[0].status.conditions[0].last_transition_time = at(-60).parse().ok();
        snapshot.nodes = Collection::complete(nodes);
        assert_eq!(run(Step::Retrieve, "coverage", &snapshot).status, Status::Pass, "a young node");
    }

    #[test]
    fn pods_that_began_anew_or_whose_node_is_not_scraped_are_no_fault() {
        let mut snapshot = healthy();
        let pod =
            snapshot.pods.get("kube-system", "metrics-server-5d8f-abcde").seen().map(|pod| (*pod).clone()).expect("it");
        let other =
            Pod { metadata: crate::snapshot::Metadata { name: "other".to_owned(), ..pod.metadata.clone() }, ..pod };
        let status = |snapshot: &Snapshot| run(Step::Retrieve, "coverage", snapshot).status;
        snapshot.pods.insert(other.clone());
        assert_eq!(status(&snapshot), Status::Fail, "it is old, Ready, and has no sample");
        let mut restarted = other.clone();
        restarted.status.container_statuses[0].state.running =
            Some(crate::snapshot::pod::Running { started_at: at(-40).parse().ok() });
        snapshot.pods.insert(restarted);
        assert_eq!(status(&snapshot), Status::Pass);
        snapshot.pods.insert(other);
        let mut nodes: Vec<Node> = snapshot.nodes.iter().cloned().collect();
        nodes[0].metadata.labels.insert("type".to_owned(), "virtual-kubelet".to_owned());
        snapshot.nodes = Collection::complete(nodes);
        assert_eq!(status(&snapshot), Status::Pass);
    }

    #[test]
    fn old_samples_are_stale() {
        let old = with_nodes(|samples| samples.iter_mut().for_each(|sample| sample.timestamp = at(-900).parse().ok()));
        let both = Snapshot { top_pods: Observed::default(), ..old };
        assert_eq!(run(Step::Retrieve, "freshness", &both).findings[0].cause, Cause::SamplesStale);
        assert_eq!(run(Step::Retrieve, "freshness", &healthy()).status, Status::Pass);
    }
}
