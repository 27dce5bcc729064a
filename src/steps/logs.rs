//! Step `logs` (guide: `kubectl logs`).

mod scrapes;

pub use self::scrapes::unscraped_nodes;

use jiff::{SignedDuration, Timestamp};

use crate::{
    catalogue::Cause,
    check::{Check, Finding},
    facts::Facts as Context,
    guide::Step,
    snapshot::{ContainerLog, Named, NotSeen, Source, log::Line},
    steps::bridge,
    steps::bridge::Outcome,
    steps::forbidden,
    wording::{aggregator::Complaint, metrics_server_log::LineKind, quoted},
};

/// The id of the check of lines.
pub const LINES: &str = "lines";

/// The checks of this step.
pub const CHECKS: &[Check] = &[Check {
    step: Step::Logs,
    id: LINES,
    question: "Do metrics-server's logs tell of failed scrapes or of a failed start?",
    causes: &[
        Cause::ApiServerUnreachable,
        Cause::ApiServerUntrusted,
        Cause::KubeletCertificateNames,
        Cause::KubeletCertificateAuthority,
        Cause::KubeletCertificateExpired,
        Cause::KubeletCertificateMissing,
        Cause::KubeletUnauthorized,
        Cause::KubeletForbidden,
        Cause::KubeletNotFound,
        Cause::KubeletTimeout,
        Cause::KubeletRefused,
        Cause::KubeletUnreachable,
        Cause::NodeNameUnresolvable,
        Cause::KubeletOutputUnparsable,
        Cause::UnknownFlag,
        Cause::FlagValueRefused,
        Cause::CommandNotFound,
        Cause::PortConflict,
        Cause::PrivilegedPort,
        Cause::CertificateDirectoryUnwritable,
        Cause::ImageArchitecture,
        Cause::AuthReaderMissing,
        Cause::AuthDelegatorMissing,
        Cause::ListPermissionMissing,
        Cause::FrontProxyUntrusted,
    ],
    rule: |facts, docket| bridge::rule(facts, docket, lines(facts)),
}];

/// What was logged longer ago than this is history.
const RECENT: SignedDuration = SignedDuration::from_mins(10);

/// The logs of metrics-server's pods; where no pod was seen, or a bundle's logs are of pods that have been replaced, of
/// pods by that name.
fn logs<'s>(context: &Context<'s>) -> Vec<&'s ContainerLog> {
    let pods = context.chain.pods();
    let all = &context.snapshot.logs;
    let of_pods: Vec<&ContainerLog> = all
        .iter()
        .filter(|log| pods.iter().any(|pod| pod.namespace() == log.namespace() && pod.name() == log.name()))
        .collect();
    if !of_pods.is_empty() || !pods.is_empty() && context.snapshot.source == Source::Cluster {
        return of_pods;
    }
    let by_name = |log: &&ContainerLog| {
        let own = log.name().contains("metrics-server") || log.container.starts_with("metrics-server");
        own && !log.name().contains("doctor") && !log.name().contains("exporter")
    };
    all.iter().filter(by_name).collect()
}

/// Whether metrics-server answers now, as far as it was seen.
fn serves(context: &Context<'_>) -> bool {
    context.chain.is_available() || context.chain.has_ready_pod()
}

/// The moment at which a log ends: the look; while nothing serves, the log's own last line, for what ended it last holds
/// until something else is written.
fn end(context: &Context<'_>, log: &ContainerLog) -> Timestamp {
    let now = context.snapshot.observed_at;
    if serves(context) {
        return now;
    }
    log.lines().filter_map(|line| line.read.at(now)).max().unwrap_or(now)
}

/// Whether a line is recent: written within ten minutes of the log's end, or without a moment of its own.
fn is_recent(line: &Line, now: Timestamp, end: Timestamp) -> bool {
    line.read.at(now).is_none_or(|written| end.duration_since(written) < RECENT)
}

fn lines(context: &Context<'_>) -> Result<Outcome, NotSeen> {
    let logs = logs(context);
    let mut findings = startup(context, &logs);
    if findings.is_empty() {
        findings = scrapes::scrapes(context, &logs);
    }
    if findings.is_empty() {
        findings.extend(scrapes::kubelet_without_certificate(context));
    }
    if findings.is_empty() {
        match context.snapshot.logs.all().gap {
            Some(gap) if logs.is_empty() || context.snapshot.source == Source::Cluster => return Err(gap),
            _ if logs.is_empty() => return Ok(Outcome::skipped("There are no pods of metrics-server.")),
            _ => {}
        }
    }
    let count: usize = logs.iter().map(|log| log.lines().count()).sum();
    Ok(Outcome::from_findings(findings, format!("{count} lines of {} logs tell of no failure that lasts.", logs.len())))
}

/// Whether a line of a cause that ends or hampers a start counts in this state of the cluster.
fn counts(context: &Context<'_>, cause: Cause, line: &Line, end: Timestamp) -> bool {
    let chain = &context.chain;
    match cause {
        // It runs on and answers 500.
        Cause::AuthDelegatorMissing => {
            is_recent(line, context.snapshot.observed_at, end) && !forbidden::granted_by_now(context, cause)
        }
        // A warning at every start of clusters without aggregation, a fault only where the aggregator is refused.
        Cause::FrontProxyUntrusted => {
            let refused = chain
                .unavailable()
                .is_some_and(|condition| Complaint::of(&condition.reason, &condition.message).refuses_the_aggregator());
            refused || !chain.is_available() && line.read.kind != LineKind::AggregationNotConfigured
        }
        _ => !serves(context),
    }
}

/// Lines that end a start, while nothing serves.
fn startup(context: &Context<'_>, logs: &[&ContainerLog]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for log in logs {
        let end = end(context, log);
        // A start that succeeded makes the end of the one before it history.
        let overcome = log.previous
            && logs.iter().any(|other| {
                !other.previous
                    && (other.namespace(), other.name()) == (log.namespace(), log.name())
                    && other.lines().any(|line| line.read.has_started())
            });
        if overcome {
            continue;
        }
        let mut told: Option<(Cause, &Line)> = None;
        for line in log.lines() {
            if line.read.has_started() {
                // What comes before `Serving securely` did not end this start.
                told = told.filter(|(cause, _)| *cause == Cause::FrontProxyUntrusted);
            }
            // The last one ended this start; those before it may have been passed.
            let cause = line.read.startup_failure().filter(|cause| counts(context, *cause, line, end));
            told = cause.map(|cause| (cause, line)).or(told);
        }
        let Some((cause, line)) = told else { continue };
        if findings.iter().any(|finding| finding.cause == cause) {
            continue;
        }
        let summary = format!("{} (pod {}/{})", cause.entry().title.trim_end_matches('.'), log.namespace(), log.name());
        findings.push(
            Finding::outage(cause, context.chain.workload_object(), summary)
                .evidence(format!("log: {}", quoted(&line.text))),
        );
    }
    findings
}

#[cfg(test)]
mod tests;
