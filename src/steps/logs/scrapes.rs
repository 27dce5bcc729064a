//! Failed scrapes: what metrics-server's logs tell of its requests to kubelets.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use super::{RECENT, end, is_recent, serves};
use crate::{
    catalogue::Cause,
    check::{Finding, Impact},
    facts::Facts as Context,
    snapshot::{
        ContainerLog, Named, NotSeen, Pod, Source,
        log::Line,
        retrieval::{self, ErrorClass},
    },
    wording::quoted,
};

/// How long a node's kubelet may not answer after the node became Ready.
const NODE_START: SignedDuration = SignedDuration::from_secs(150);

/// Longer than two scrapes of the longest usual resolution, 60 seconds, and their timeouts.
const SCRAPES: SignedDuration = SignedDuration::from_mins(4);

/// How long ago a node's last failure may be that still lasts: every scrape that fails is told, so silence since means that
/// they do no longer. metrics-server scrapes at every resolution: two and a half of them, and a minute for clocks that
/// differ. A bundle's parts are minutes apart; where it has no samples that would confirm a failure, it has to be new.
fn lasting(context: &Context<'_>, sampled: Option<&BTreeSet<&str>>) -> SignedDuration {
    if context.snapshot.source == Source::Bundle {
        return if context.chain.is_available() && sampled.is_none() { SCRAPES } else { RECENT };
    }
    SignedDuration::try_from_secs_f64(context.chain.metric_resolution() * 2.5 + 60.0).unwrap_or(RECENT).min(RECENT)
}

/// Failed scrapes with one cause.
struct Scrapes<'s> {
    nodes: BTreeSet<&'s str>,
    line: &'s str,
    count: usize,
}

/// The scrapes that a line says have failed, where it says why.
fn known_failures(line: &Line) -> impl Iterator<Item = (Cause, &Vec<String>)> {
    line.read.failed_scrapes().iter().filter_map(|failed| Some((failed.cause?, &failed.nodes)))
}

/// Failed scrapes of the last minutes, by cause, of nodes that are there and Ready.
fn failed_scrapes<'s>(
    context: &Context<'s>,
    logs: &[&'s ContainerLog],
    previous: bool,
    sampled: Option<&BTreeSet<&str>>,
) -> BTreeMap<Cause, Scrapes<'s>> {
    let now = context.snapshot.observed_at;
    let lasting = lasting(context, sampled);
    let listed: Option<BTreeSet<&str>> = match context.snapshot.top_nodes.seen().map(|retrieval| &retrieval.outcome) {
        Some(retrieval::Outcome::Samples(nodes)) if !nodes.is_empty() => {
            Some(nodes.iter().map(|sample| sample.name.as_str()).collect())
        }
        _ => None,
    };
    let mut by_cause: BTreeMap<Cause, Scrapes<'s>> = BTreeMap::new();
    for log in logs.iter().filter(|log| log.previous == previous) {
        let end = end(context, log);
        let seen = context.snapshot.pods.get(log.namespace(), log.name());
        let pod = seen.seen();
        // metrics-server is Ready once it has scraped twice: what failed before that is history.
        let ready_since = pod.filter(|pod| pod.is_ready()).and_then(|pod| pod.ready()?.last_transition_time);
        let lasts = |line: &Line| {
            let still = line.read.at(now).is_none_or(|written| {
                end.duration_since(written) < lasting && ready_since.is_none_or(|since| written >= since)
            });
            is_recent(line, now, end) && (previous || still)
        };
        // What failed otherwise before was repaired or has changed: a node's last failures count.
        let mut last: BTreeMap<&str, (Cause, usize)> = BTreeMap::new();
        for line in log.lines().filter(|line| lasts(line)) {
            for (cause, nodes) in known_failures(line) {
                for node in nodes.iter().map(String::as_str) {
                    let times = last.get(node).filter(|(known, _)| *known == cause).map_or(0, |(_, times)| *times);
                    last.insert(node, (cause, times + 1));
                }
            }
        }
        // While an API server restarts, kubelets refuse whoever asks, once.
        let needed = if previous || context.snapshot.source == Source::Bundle { 1 } else { 2 };
        let own_node = pod.map_or("", |pod| pod.spec.node_name.as_str());
        for line in log.lines().filter(|line| lasts(line)) {
            for (cause, nodes) in known_failures(line) {
                let named = !nodes.is_empty();
                let affected: Vec<&str> = nodes
                    .iter()
                    .map(String::as_str)
                    .filter(|node| last.get(node).is_some_and(|(last, times)| *last == cause && *times >= needed))
                    .filter(|node| match context.snapshot.nodes.get("", node).known() {
                        // Nodes that are gone or not Ready are no fault of the way to them.
                        Ok(None) => false,
                        Ok(Some(known)) => {
                            let young = known.ready_since().is_some_and(|since| now.duration_since(since) < NODE_START);
                            let own = known.is_fargate() && *node == own_node;
                            known.is_ready() && !(young || known.is_virtual() || own)
                        }
                        // Of nodes that were not seen `kubectl top nodes` lists those that are there.
                        Err(_) if listed.as_ref().is_some_and(|listed| !listed.contains(*node)) => false,
                        Err(_) => !(node.starts_with("fargate-") && *node == own_node),
                    })
                    .collect();
                if affected.is_empty() && named {
                    continue;
                }
                let entry = by_cause.entry(cause).or_insert_with(|| Scrapes {
                    nodes: BTreeSet::new(),
                    line: &line.text,
                    count: 0,
                });
                entry.nodes.extend(affected);
                entry.count += 1;
            }
        }
    }
    by_cause
}

/// What metrics-server does not get from kubelets, by cause.
pub(super) fn scrapes<'s>(context: &Context<'s>, logs: &[&'s ContainerLog]) -> Vec<Finding> {
    let nodes = context.snapshot.nodes.all();
    let available = context.chain.is_available();
    let sampled = sampled(context);
    let lasting = lasting_scrapes(context, logs, sampled.as_ref());
    let most = lasting.iter().map(|(_, count, _)| *count).max().unwrap_or(0);
    let mut findings = Vec::new();
    for (cause, count, scrapes) in lasting {
        let all = nodes.gap.is_none() && count >= nodes.objects.iter().filter(|node| node.is_ready()).count();
        let none_sampled = sampled.as_ref().is_some_and(BTreeSet::is_empty);
        // Where nodes fail in several ways, what most of them share takes metrics away.
        let outage = all || count == most && (!available || none_sampled);
        let summary = format!("metrics-server's scrapes of {} nodes fail: {}", count.max(1), cause.entry().title);
        let finding = Finding::outage(cause, context.chain.workload_object(), summary)
            .evidence(format!("log: {}", quoted(scrapes.line)))
            .evidence(format!("{} such lines in the last ten minutes", scrapes.count));
        findings.push(Finding { impact: if outage { Impact::Outage } else { Impact::Partial }, ..finding });
    }
    findings
}

/// How many nodes are not scraped, by cause, as the last minutes of the logs tell; `Err` where no log could be read.
pub fn unscraped_nodes(context: &Context<'_>) -> Result<BTreeMap<Cause, usize>, NotSeen> {
    let logs = super::logs(context);
    if logs.is_empty() {
        return Err(context.snapshot.logs.all().gap.unwrap_or_default());
    }
    let lasting = lasting_scrapes(context, &logs, sampled(context).as_ref());
    Ok(lasting.into_iter().map(|(cause, count, _)| (cause, count)).collect())
}

/// The nodes that have a sample; `None` where the metrics API was not asked or does not answer.
fn sampled<'s>(context: &Context<'s>) -> Option<BTreeSet<&'s str>> {
    match context.snapshot.top_nodes.seen().map(|retrieval| &retrieval.outcome)? {
        retrieval::Outcome::Samples(samples) => {
            Some(samples.iter().filter(|sample| !sample.unknown).map(|sample| sample.name.as_str()).collect())
        }
        retrieval::Outcome::Failed { class: ErrorClass::Empty, .. } => Some(BTreeSet::new()),
        retrieval::Outcome::Failed { .. } => None,
    }
}

/// Failed scrapes that nothing has made up for since, with the number of nodes that have no sample.
fn lasting_scrapes<'s>(
    context: &Context<'s>,
    logs: &[&'s ContainerLog],
    sampled: Option<&BTreeSet<&str>>,
) -> Vec<(Cause, usize, Scrapes<'s>)> {
    let available = context.chain.is_available();
    let mut by_cause = failed_scrapes(context, logs, false, sampled);
    if by_cause.is_empty() && !serves(context) {
        // Up to 0.4 failed scrapes fail the liveness probe as well, so that the container's next log may be short.
        by_cause = failed_scrapes(context, logs, true, sampled);
    }
    let mut lasting: Vec<(Cause, usize, Scrapes<'_>)> = Vec::new();
    for (cause, scrapes) in by_cause {
        // A node that has a sample now was scraped after all.
        let count = scrapes.nodes.iter().filter(|node| sampled.is_none_or(|sampled| !sampled.contains(*node))).count();
        let all_sampled = count == 0 && (!scrapes.nodes.is_empty() || sampled.is_some_and(|all| !all.is_empty()));
        let once = scrapes.count < 2 && available && sampled.is_none();
        if !all_sampled && !once {
            lasting.push((cause, count, scrapes));
        }
    }
    lasting
}

/// The kubelet serves logs with the certificate that it serves metrics with, so what keeps the API server from
/// metrics-server's log keeps metrics-server from the node.
pub(super) fn kubelet_without_certificate(context: &Context<'_>) -> Option<Finding> {
    let chain = &context.chain;
    let (pod, text) = context.snapshot.logs.scopes().iter().find_map(|scope| {
        let Some(NotSeen::Unreachable(text)) = &scope.gap else { return None };
        let is_missing = text.contains("/containerLogs/") && text.contains("remote error: tls: internal error");
        let concerns = |pod: &&Pod| {
            scope.namespace.as_deref() == Some(pod.namespace()) && scope.name.as_deref() == Some(pod.name())
        };
        let pod = chain.pods().iter().copied().find(concerns)?;
        is_missing.then_some((pod, text))
    })?;
    let node = pod.spec.node_name.as_str();
    let is_sampled = sampled(context).is_some_and(|nodes| nodes.contains(node));
    // What was scraped before the certificate went is still served, for a round.
    if chain.is_available() && is_sampled {
        return None;
    }
    let cause = Cause::KubeletCertificateMissing;
    let summary = format!("The kubelet of node {node} serves neither metrics nor logs: {}", cause.entry().title);
    let finding = Finding::outage(cause, chain.workload_object(), summary).evidence(format!(
        "log of pod {}/{}: {}",
        pod.namespace(),
        pod.name(),
        quoted(text)
    ));
    Some(Finding { impact: if chain.is_available() { Impact::Partial } else { Impact::Outage }, ..finding })
}
