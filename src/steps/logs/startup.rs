//! What ends or hampers a start of metrics-server, by its logs.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    catalogue::Cause,
    check::{Docket, Evidence, Finding},
    facts::{Facts, metrics_server, rights, windows},
    snapshot::{ContainerLog, Named, log::Line, version::Version},
    wording::{metrics_server_log::LineKind, quoted},
};

/// Rights that a start asks for one after another: those that are missing are told together, for they are repaired together.
const RIGHTS: [Cause; 3] = [Cause::AuthReaderMissing, Cause::AuthDelegatorMissing, Cause::ListPermissionMissing];

/// The moment at which a log ends: the look; while nothing serves, the log's own last line, for what ended it last holds
/// until something else is written.
fn end(facts: &Facts<'_>, log: &ContainerLog) -> Timestamp {
    if facts.serves() {
        return facts.now();
    }
    log.lines().filter_map(|line| line.read.at(facts.now())).max().unwrap_or(facts.now())
}

/// Whether a line was written in the last minutes of its log, or without a moment of its own.
fn is_recent(facts: &Facts<'_>, line: &Line, end: Timestamp) -> bool {
    line.read.at(facts.now()).is_none_or(|written| end.duration_since(written) < windows::RECENT_LOG)
}

/// Whether a Ready pod proves that metrics-server may list nodes and pods: from 0.5 on it waits for both lists.
fn waits_for_lists(facts: &Facts<'_>) -> bool {
    let version = facts.chain.container().and_then(|container| metrics_server::version(&container.image));
    version.is_none_or(|version| version >= Version::new(0, 5, 0))
}

/// Whether a line of a cause that ends or hampers a start counts in this state of the cluster.
fn counts(facts: &Facts<'_>, cause: Cause, line: &Line, end: Timestamp) -> bool {
    let chain = &facts.chain;
    match cause {
        // It runs on and answers 500.
        Cause::AuthDelegatorMissing => is_recent(facts, line, end) && !rights::granted_by_now(facts, cause),
        Cause::ListPermissionMissing if facts.serves() && !waits_for_lists(facts) => {
            is_recent(facts, line, end) && !rights::granted_by_now(facts, cause)
        }
        // A warning at every start of clusters without aggregation, a fault only where the aggregator is refused.
        Cause::FrontProxyUntrusted => {
            let refused = facts.complaint().is_some_and(|complaint| complaint.word.refuses_the_aggregator());
            refused || !chain.is_available() && line.read.kind != LineKind::AggregationNotConfigured
        }
        _ => !facts.serves(),
    }
}

/// What one log tells of its last start.
fn told<'l>(facts: &Facts<'_>, log: &'l ContainerLog) -> BTreeMap<Cause, &'l Line> {
    let end = end(facts, log);
    let mut last: Option<(Cause, &Line)> = None;
    let mut rights: BTreeMap<Cause, &Line> = BTreeMap::new();
    for line in log.lines() {
        if line.read.has_started() {
            // What comes before `Serving securely` did not end this start.
            last = last.filter(|(cause, _)| *cause == Cause::FrontProxyUntrusted);
            rights.clear();
        }
        let Some(cause) = line.read.startup_failure().filter(|cause| counts(facts, *cause, line, end)) else {
            continue;
        };
        if rights::may_be_refused_for_now(facts, cause, line.read.at(facts.now())).is_some() {
            continue;
        }
        if RIGHTS.contains(&cause) {
            rights.insert(cause, line);
        }
        // The last one ended this start; those before it may have been passed.
        last = Some((cause, line));
    }
    let mut told = BTreeMap::new();
    if let Some((cause, line)) = last {
        if RIGHTS.contains(&cause) {
            told = rights;
        }
        told.insert(cause, line);
    }
    told
}

/// Whether a start that succeeded makes the end of the one before it history.
fn is_overcome(log: &ContainerLog, logs: &[&ContainerLog]) -> bool {
    log.previous
        && logs.iter().any(|other| {
            !other.previous
                && (other.namespace(), other.name()) == (log.namespace(), log.name())
                && other.lines().any(|line| line.read.has_started())
        })
}

/// Confirms what ended or hampers a start; whether one was ended.
pub(super) fn rule(facts: &Facts<'_>, docket: &mut Docket, logs: &[&ContainerLog]) -> bool {
    let mut findings: BTreeMap<Cause, Finding> = BTreeMap::new();
    for log in logs.iter().filter(|log| !is_overcome(log, logs)) {
        for (cause, line) in told(facts, log) {
            findings.entry(cause).or_insert_with(|| {
                let title = cause.entry().title.trim_end_matches('.');
                let summary = format!("{title} (pod {}/{})", log.namespace(), log.name());
                let at = line.read.at(facts.now());
                Finding::outage(cause, facts.chain.workload_object(), summary)
                    .since(at)
                    .evidence(Evidence::at(format!("log: {}", quoted(&line.text)), at))
            });
        }
    }
    for line in logs.iter().filter(|_| !facts.serves()).flat_map(|log| log.lines()) {
        let Some(cause) = line.read.startup_failure().filter(|cause| !findings.contains_key(cause)) else { continue };
        if let Some(until) = rights::may_be_refused_for_now(facts, cause, line.read.at(facts.now())) {
            let why =
                "metrics-server was refused once though its bindings are there: the API server may have just started";
            docket.settle(&[cause], until, why);
        }
    }
    let ended = findings.keys().any(|cause| !matches!(cause, Cause::AuthDelegatorMissing | Cause::FrontProxyUntrusted));
    for finding in findings.into_values() {
        docket.confirm(finding);
    }
    ended
}
