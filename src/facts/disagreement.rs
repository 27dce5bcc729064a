//! Signs that several API servers see metrics-server differently. Each of them writes the same condition in turn, every 30
//! seconds at the latest (kubernetes/kube-aggregator `pkg/controllers/status/remote`), so it is never old.

use jiff::Timestamp;

use super::{Facts, calls, complaint::Complaint, control_plane, windows};
use crate::snapshot::{DialOutcome, Pod, dial::outcomes_since};

/// What shows that API servers disagree, or may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disagreement {
    /// They do.
    Seen(Signs),
    /// The condition has just changed, and calls have not been made since: what it is shows by then.
    Unsettled(Timestamp),
    /// Nothing shows it.
    None,
}

/// What shows that they disagree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signs {
    /// Whether the condition was seen to change again and again.
    pub flaps: bool,
    /// What was read.
    pub evidence: Vec<String>,
}

/// So many changes of the condition are no restart's, which makes two, nor those of somebody who closes and opens a way by hand.
/// Whoever writes the condition makes the others look at once, so servers that disagree make far more.
const FLAPS: usize = 6;

/// Since when nothing behind the Service has changed; `None` where there is no Ready pod.
fn unchanged_since(facts: &Facts<'_>) -> Option<Timestamp> {
    let pods: Vec<&Pod> = facts.chain.pods().to_vec();
    if pods.is_empty() || pods.iter().any(|pod| pod.is_terminating() || !pod.is_ready()) {
        return None;
    }
    let started = |pod: &&Pod| {
        let containers = pod.status.container_statuses.iter();
        let running = containers.filter_map(|status| status.state.running.as_ref()?.started_at).max();
        [pod.ready().and_then(|ready| ready.last_transition_time), running].into_iter().flatten().max()
    };
    let nodes = pods
        .iter()
        .filter_map(|pod| facts.snapshot.nodes.get("", &pod.spec.node_name).seen().and_then(|node| node.ready_since()));
    pods.iter().filter_map(started).chain(nodes).max()
}

/// Whether the condition changes again and again, while nothing behind the Service does and the server itself answers.
fn flapping(facts: &Facts<'_>) -> Option<Signs> {
    let name = facts.chain.api_service_object().name;
    let changes = facts.snapshot.condition_changes.get(&name)?;
    let recent: Vec<Timestamp> =
        changes.iter().copied().filter(|changed| facts.age(*changed) < windows::FLAPPING).collect();
    let first = *recent.first().filter(|_| recent.len() >= FLAPS)?;
    let unchanged = unchanged_since(facts).filter(|unchanged| *unchanged < first)?;
    if control_plane::hosts(facts).is_some_and(|hosts| hosts.len() == 1) {
        return None;
    }
    let dials = facts.snapshot.dials.seen().map_or(&[][..], Vec::as_slice);
    if outcomes_since(dials, Some(first)).any(|outcome| outcome != DialOutcome::Answered) {
        return None;
    }
    let mut evidence = vec![format!(
        "condition Available of APIService {name} changed {} times in the last {} s, while nothing behind its Service has changed since {unchanged}",
        recent.len(),
        facts.age(first).as_secs()
    )];
    evidence.extend(facts.complaint().map(Complaint::line));
    evidence.extend(calls::not_answered(facts));
    Some(Signs { flaps: true, evidence })
}

/// Looks for them.
pub(super) fn of(facts: &Facts<'_>) -> Disagreement {
    if let Some(signs) = flapping(facts) {
        return Disagreement::Seen(signs);
    }
    let Some(condition) = facts.chain.available().filter(|_| facts.chain.is_available()) else {
        return Disagreement::None;
    };
    let Some(since) = condition.last_transition_time.filter(|since| facts.age(*since) < windows::AGGREGATOR_RESYNC)
    else {
        return Disagreement::None;
    };
    // A control plane of one host has nobody to disagree with.
    let hosts = control_plane::hosts(facts);
    if hosts.as_ref().is_some_and(|hosts| hosts.len() == 1) {
        return Disagreement::None;
    }
    let settled = unchanged_since(facts).filter(|unchanged| since.duration_since(*unchanged) > windows::LONGEST_START);
    let failing = calls::not_answered(facts);
    let Some(unchanged) = settled.filter(|_| !failing.is_empty() && calls::success(facts).is_none()) else {
        return Disagreement::None;
    };
    // On a live cluster the next call tells whether the change has helped.
    if !facts.is_bundle() {
        return windows::after(since, windows::AGGREGATOR_RESYNC).map_or(Disagreement::None, Disagreement::Unsettled);
    }
    let mut evidence = vec![format!(
        "condition Available of APIService {} is True for {} s (lastTransitionTime: {since}), while nothing behind its Service has changed since {unchanged}",
        facts.chain.api_service_object().name,
        facts.age(since).as_secs()
    )];
    evidence.extend(failing);
    evidence.extend(facts.stuck_namespaces());
    if let Some(hosts) = hosts {
        evidence.push(format!("nodes of the control plane: {}", hosts.join(", ")));
    }
    Disagreement::Seen(Signs { flaps: false, evidence })
}

impl Facts<'_> {
    /// Whether API servers see metrics-server differently.
    pub fn disagreement(&self) -> Disagreement {
        of(self)
    }
}
