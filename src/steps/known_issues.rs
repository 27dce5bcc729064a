//! Step `known_issues` (guide: "check GitHub for common issues").
//!
//! Findings of all steps that are described upstream name the issues there; this step asks only whether the version itself
//! is known to be defective.

use crate::{
    catalogue::{self, Cause, Entry},
    check::{Check, Docket, Finding},
    facts::{Facts, installation, metrics_server},
    guide::Step,
    snapshot::NotSeen,
};

/// The checks of this step.
pub const CHECKS: &[Check] = &[Check {
    step: Step::KnownIssues,
    id: "version",
    question: "Is this version of metrics-server free of known defects?",
    causes: &[Cause::KnownDefect],
    rule: version,
}];

/// Rows of the catalogue that are described upstream: the closed set of known issues.
pub fn known_issues() -> impl Iterator<Item = &'static Entry> {
    catalogue::all().iter().filter(|entry| !entry.issues.is_empty())
}

/// The id of a known issue, unique over all steps.
pub fn issue_id(cause: Cause) -> String {
    format!("{}_{}", cause.step(), cause.id())
}

fn version(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    let Some(container) = facts.chain.container() else {
        facts.chain.workload.clone().known()?;
        docket.not_applicable("metrics-server does not stand behind the API.");
        return Ok(());
    };
    match metrics_server::version(&container.image) {
        Some(version) => match installation::defect(version) {
            Some(defect) => docket.confirm(
                Finding::latent(
                    Cause::KnownDefect,
                    facts.chain.workload_object(),
                    format!("metrics-server {version} has a known defect: {}.", defect.what),
                )
                .evidence(format!("image: {}", container.image))
                .evidence(format!("fixed in metrics-server {}", defect.until)),
            ),
            None => docket.exclude_rest(format!("No defect of metrics-server {version} is known.")),
        },
        None => docket.not_applicable(format!("The tag of image {} names no version.", container.image)),
    }
    Ok(())
}
