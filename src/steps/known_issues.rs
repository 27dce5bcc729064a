//! Step `known_issues` (guide: "check GitHub for common issues").
//!
//! What other steps find is compared with what is described upstream; this step blames nothing of its own.

use crate::{
    catalogue::{self, Cause, Entry},
    check::{Check, Context, Finding, Outcome},
    guide::Step,
    snapshot::NotSeen,
};

/// The checks of this step.
pub const CHECKS: &[Check] = &[Check {
    step: Step::KnownIssues,
    id: "catalogue",
    question: "Is what the other steps find described upstream?",
    causes: &[],
    evaluate: known,
}];

/// Rows of the catalogue that are described upstream: the closed set of known issues.
pub fn known_issues() -> impl Iterator<Item = &'static Entry> {
    catalogue::all().iter().filter(|entry| !entry.issues.is_empty())
}

/// The id of a known issue, unique over all steps.
pub fn issue_id(cause: Cause) -> String {
    format!("{}_{}", cause.step(), cause.id())
}

fn known(context: &Context<'_>) -> Result<Outcome, NotSeen> {
    const LOOKED_AT: [Step; 4] = [Step::Apiservice, Step::Timeout, Step::ConnectionRefused, Step::Logs];
    let outcomes: Vec<Outcome> =
        LOOKED_AT.into_iter().flat_map(crate::steps::checks).map(|check| check.run(context)).collect();
    let described = |finding: &&Finding| !finding.cause.entry().issues.is_empty() && !finding.cause.is_symptom();
    let findings: Vec<Finding> =
        outcomes.iter().flat_map(|outcome| &outcome.findings).filter(described).cloned().map(with_issues).collect();
    if !findings.is_empty() {
        return Ok(Outcome::fail_all(findings));
    }
    let logs =
        crate::steps::checks(Step::Logs).iter().map(|check| check.run(context)).find_map(|outcome| outcome.not_seen);
    match logs {
        // Most known issues show in the log alone.
        Some(reason) => Err(reason),
        None => Ok(Outcome::pass("Nothing that is described upstream was found.")),
    }
}

fn with_issues(finding: Finding) -> Finding {
    let issues = finding.cause.entry().issues.join(", ");
    finding.evidence(format!("described upstream: {issues}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        check::Status,
        snapshot::{Collection, ContainerLog},
        testing::{healthy, run},
    };

    #[test]
    fn issues_are_detected_in_the_log_and_unknown_without_it() {
        let mut snapshot = healthy();
        assert_eq!(run(Step::KnownIssues, "catalogue", &snapshot).status, Status::Unknown);
        let mut log = ContainerLog::new("kube-system", "metrics-server-5d8f-abcde", "metrics-server");
        snapshot.logs = Collection::complete([log.clone()]);
        assert_eq!(run(Step::KnownIssues, "catalogue", &snapshot).status, Status::Pass);
        snapshot.top_nodes = crate::snapshot::Observed::default();
        for _ in 0..2 {
            log.push(r#"E0101 11:59:00.000000       1 scraper.go:149] "Failed to scrape node" err="remote error: tls: internal error" node="node-1""#);
        }
        snapshot.logs = Collection::complete([log]);
        let outcome = run(Step::KnownIssues, "catalogue", &snapshot);
        assert_eq!(outcome.findings[0].cause, Cause::KubeletCertificateMissing);
        assert!(outcome.evidence.iter().any(|line| line.contains("#914")));
    }

    #[test]
    fn the_closed_set_has_its_least_size() {
        assert!(known_issues().count() >= 20);
    }
}
