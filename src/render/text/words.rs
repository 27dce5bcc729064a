//! What every form of the report says alike.

use jiff::Timestamp;

use crate::{
    catalogue::Cause,
    check::{Finding, Impact, Status},
    report::{Break, Hop, Report},
    snapshot::ObjectReference,
    verdict::Verdict,
};

/// Names of objects that share a fault.
pub(in crate::render) const NAMES_SHOWN: usize = 10;

/// The verdict in capitals.
pub fn heading(report: &Report) -> &'static str {
    match &report.judgement.verdict {
        Verdict::Healthy(_) => "HEALTHY",
        Verdict::Undetermined(undetermined) if undetermined.broken => "BROKEN, CAUSE NOT CLEAR",
        Verdict::Undetermined(_) => "COULD NOT TELL",
        Verdict::Fault(_) => match report.judgement.lead().map(|lead| lead.impact) {
            Some(Impact::Partial) => "PARTIAL FAULT",
            Some(Impact::Latent) => "WARNING",
            Some(Impact::Outage) | None => "FAULT",
        },
    }
}

/// How many checks passed, and how many did not.
pub fn counts(report: &Report) -> String {
    let count = |status: Status| report.answers.iter().filter(|answer| answer.status == status).count();
    let passed = count(Status::Pass);
    let mut parts = vec![format!("{passed} {} passed", if passed == 1 { "check" } else { "checks" })];
    for (status, words) in
        [(Status::Fail, "failed"), (Status::Unknown, "could not look"), (Status::Skipped, "not applicable")]
    {
        let count = count(status);
        if count > 0 {
            parts.push(format!("{count} {words}"));
        }
    }
    parts.join(", ")
}

/// The way of metrics with the broken hop marked, a piece a hop.
pub(in crate::render) fn way(path: &[Hop]) -> Vec<String> {
    path.iter()
        .enumerate()
        .map(|(place, hop)| match (place, hop.broken) {
            (0, _) => hop.label(),
            (_, Break::None) => format!("─▶ {}", hop.label()),
            (_, Break::Possible) => format!("─?▶ {}", hop.label()),
            (_, Break::Certain) => format!("✗ {}", hop.label()),
        })
        .collect()
}

/// `KIND NAMESPACE/NAME`.
pub(in crate::render) fn named(object: &ObjectReference) -> String {
    match object.namespace.as_str() {
        "" => format!("{} {}", object.kind, object.name),
        namespace => format!("{} {namespace}/{}", object.kind, object.name),
    }
}

/// Since when, and how long that is.
pub(in crate::render) fn since(moment: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(moment).as_secs().max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let age = match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, 0) => format!("{hours} h"),
        (0, ..) => format!("{hours} h {minutes} min"),
        (_, 0, _) => format!("{days} d"),
        _ => format!("{days} d {hours} h"),
    };
    format!("since {} ({age})", moment.strftime("%Y-%m-%d %H:%M UTC"))
}

/// The upstream issues of a cause, each with its repository.
pub(in crate::render) fn issues(cause: Cause) -> Vec<String> {
    let full = |issue: &&str| match issue.strip_prefix('#') {
        Some(number) => format!("kubernetes-sigs/metrics-server#{number}"),
        None => (*issue).to_owned(),
    };
    cause.entry().issues.iter().map(full).collect()
}

/// How many of what share a fault.
pub(in crate::render) fn subject(count: usize, findings: &[&Finding], more: bool) -> String {
    let autoscalers = findings.iter().all(|finding| finding.object.kind == "HorizontalPodAutoscaler");
    let more = if more { " more" } else { "" };
    match (autoscalers, count) {
        (true, 1) => format!("1{more} autoscaler"),
        (true, _) => format!("{count}{more} autoscalers"),
        (false, 1) => format!("1{more} object"),
        (false, _) => format!("{count}{more} objects"),
    }
}

/// The names of the objects, the first ones in full.
pub(in crate::render) fn names(findings: &[&Finding], shown: usize) -> String {
    let one = |finding: &&Finding| match finding.object.kind.as_str() {
        "HorizontalPodAutoscaler" => format!("{}/{}", finding.object.namespace, finding.object.name),
        _ => named(&finding.object),
    };
    let names: Vec<String> = findings.iter().take(shown).map(one).collect();
    let names = names.join(", ");
    match findings.len().checked_sub(shown).filter(|more| *more > 0) {
        Some(more) => format!("{names} and {more} more"),
        None => names,
    }
}
