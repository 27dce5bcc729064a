//! Which nodes and pods have a sample, and how old the samples are.

use std::collections::BTreeMap;

use crate::{
    catalogue::Cause,
    check::{Docket, Evidence, Finding, Slot},
    facts::{
        Facts,
        coverage::{self, NodeCoverage},
        metrics_server::Owner,
        scrapes::{self, Lacks},
        windows,
    },
    snapshot::{NotSeen, ObjectReference},
    wording::quoted,
};

/// The first few names.
fn some(names: &[String]) -> String {
    scrapes::some(names.iter().map(String::as_str))
}

/// Every Ready node and every running pod has a sample.
pub(super) fn rule(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    let nodes = coverage::node_coverage(facts.snapshot, &facts.chain);
    // A start excuses what is missing; where every node and pod has its sample, it is over.
    let is_covered = nodes.as_ref().is_ok_and(|coverage| coverage.missing.is_empty())
        && coverage::pods_without_samples(facts.snapshot, &facts.chain).is_ok_and(|missing| missing.is_empty());
    if let Some(until) = facts.first_samples_until().filter(|_| !is_covered) {
        docket.settle_rest(until, "metrics-server has just started");
        return Ok(());
    }
    if let Ok(coverage) = &nodes
        && !coverage.missing.is_empty()
    {
        docket.confirm(nodes_without(facts, coverage));
    }
    let pods = pods(facts, docket);
    match nodes {
        Ok(coverage) if pods.is_ok() => {
            let count = coverage.expected;
            let told = if count == 1 {
                "The only Ready node has a sample.".to_owned()
            } else {
                format!("All {count} Ready nodes have a sample.")
            };
            docket.exclude_rest(told);
            Ok(())
        }
        Ok(coverage) => {
            docket.exclude(
                &docket.unruled().filter(|cause| *cause == Cause::NodesWithoutSamples).collect::<Vec<_>>(),
                format!("All {} Ready nodes have a sample.", coverage.expected),
            );
            pods
        }
        // The log tells what a caller would get.
        Err(reason) if docket.unruled().any(|cause| cause == Cause::NodesWithoutSamples) && empty(facts, docket) => {
            docket.note(format!("could not look: {reason}"));
            Ok(())
        }
        // Pods that have their samples say nothing about nodes that nobody saw.
        Err(reason) => {
            let nodes = [Cause::NodesWithoutSamples];
            if docket.unruled().any(|cause| nodes.contains(&cause))
                && let Some(failed) = facts.scrapes().suspected.first()
            {
                match facts.scrape_settles(failed.at) {
                    Some(until) => docket.settle(&nodes, until, failed.suspicion()),
                    None => docket.open(&nodes, &NotSeen::Unclear(failed.suspicion())),
                }
            }
            Err(reason)
        }
    }
}

/// Whether metrics-server's own log tells that its last scrapes gave nothing; then that is confirmed.
fn empty(facts: &Facts<'_>, docket: &mut Docket) -> bool {
    let Some(barren) = facts.scrapes().barren.as_ref().filter(|_| facts.runs_long_enough()) else { return false };
    let (cause, what) = match barren.lacks {
        Lacks::Nodes => (Cause::NodesWithoutSamples, "node"),
        Lacks::Pods => (Cause::PodsWithoutSamples, "pod"),
    };
    let summary = format!("metrics-server's last scrapes gave no sample of any {what}.");
    let finding = Finding::outage(cause, facts.chain.workload_object(), summary)
        .evidence(Evidence::at(format!("log: {}", quoted(barren.line)), barren.at));
    docket.confirm(match scrapes::barren_advice(facts, barren) {
        Some(advice) => finding.advice(advice),
        None => finding,
    });
    true
}

fn nodes_without(facts: &Facts<'_>, coverage: &NodeCoverage) -> Finding {
    let object = ObjectReference::new("Node", "", &coverage.missing[0]);
    let (count, expected) = (coverage.missing.len(), coverage.expected);
    let seen = !facts.snapshot.nodes.all().objects.is_empty();
    let which = if seen { "Ready nodes" } else { "nodes" };
    let summary = if count == 1 {
        format!("1 of {expected} {which} has no sample.")
    } else {
        format!("{count} of {expected} {which} have no sample.")
    };
    let new = if count == expected { Finding::outage } else { Finding::partial };
    let names = some(&coverage.missing);
    let mut finding = new(Cause::NodesWithoutSamples, object, summary)
        .evidence(format!("without a sample: {names}"))
        .slot(Slot::Nodes, names);
    // The reason that the logs last gave for each, at any age: the cause itself is told by the step of logs.
    let mut told: BTreeMap<Cause, (&str, Vec<String>)> = BTreeMap::new();
    for node in &coverage.missing {
        if let Some(failed) = facts.scrapes().reason(node) {
            told.entry(failed.cause).or_insert((failed.line, Vec::new())).1.push(node.clone());
        }
    }
    for (cause, (line, nodes)) in told {
        finding = finding.evidence(format!("{} of {}: log: {}", cause.id(), some(&nodes), quoted(line)));
    }
    finding
}

/// Rules on pods; an error says why they could not be compared.
fn pods(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    let withheld = facts.withheld_pods();
    let missing = coverage::pods_without_samples(facts.snapshot, &facts.chain);
    let mut names: Vec<ObjectReference> = missing.as_ref().cloned().unwrap_or_default();
    for pod in withheld.keys() {
        if !names.contains(pod) {
            names.push(pod.clone());
        }
    }
    let Some(first) = names.first() else { return missing.map(|_| ()) };
    let count = names.len();
    let summary = if count == 1 {
        "1 running pod has no sample.".to_owned()
    } else {
        format!("{count} running pods have no sample.")
    };
    let shown: Vec<String> = names.iter().map(|pod| format!("{}/{}", pod.namespace, pod.name)).collect();
    let mut finding = Finding::partial(Cause::PodsWithoutSamples, first.clone(), summary)
        .evidence(format!("without a sample: {}", some(&shown)));
    if let Some((pod, held)) = withheld.iter().next() {
        finding = finding.evidence(format!("log: {}", quoted(held.line)));
        let container = held.container.unwrap_or("one of its containers");
        if held.is_told {
            finding.summary = format!(
                "{} metrics-server leaves out pod {}/{} as a whole, because the kubelet gives no CPU or memory value of container {container}.",
                finding.summary, pod.namespace, pod.name
            );
        }
        if let Some(container) = held.container {
            finding = finding.slot(Slot::Container, container);
        }
    }
    docket.confirm(finding);
    Ok(())
}

/// The newest sample is not older than two and a half scrapes and the kubelet's own interval.
pub(super) fn freshness(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    coverage::samples(&facts.snapshot.top_nodes).or_else(|_| coverage::samples(&facts.snapshot.top_pods))?;
    let Some((newest, oldest)) = coverage::sample_ages(facts.snapshot) else {
        if !facts.is_bundle() {
            return Err(NotSeen::Unclear("the samples have no timestamps, so their age is not known".to_owned()));
        }
        docket.not_applicable("The answer has no timestamps: kubectl top does not print them.");
        return Ok(());
    };
    let resolution = facts.chain.metric_resolution();
    let is_own = facts.chain.owner().is_none_or(|owner| owner == Owner::MetricsServer);
    // Of another provider nobody knows how often it looks.
    let limit = if is_own { windows::fresh_sample(resolution) } else { windows::RECENT_LOG };
    let told = format!(
        "newest sample {} s old, oldest {} s, metric resolution {resolution} s",
        newest.as_secs(),
        oldest.as_secs()
    );
    if newest < -windows::CLOCK_SKEW {
        return Err(NotSeen::Unclear(format!(
            "the newest sample is {} s ahead of the clock that this look was made by: the clocks differ, so the age of samples is not known",
            -newest.as_secs()
        )));
    }
    if newest > limit {
        let summary = format!("The newest sample is {} s old.", newest.as_secs());
        let since = windows::after(facts.now(), -newest);
        docket.confirm(
            Finding::outage(Cause::SamplesStale, facts.chain.workload_object(), summary).since(since).evidence(told),
        );
        return Ok(());
    }
    docket.note(told);
    docket.exclude_rest("The samples are fresh.");
    Ok(())
}
