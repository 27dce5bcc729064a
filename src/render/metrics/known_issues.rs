//! Step `known_issues`: which rows of the catalogue that are described upstream were found.

use super::{Family, Page};
use crate::{
    check::{Finding, Status},
    guide::Step,
    render::View,
    steps::known_issues::{issue_id, known_issues},
};

const DETECTED: Family = Family::gauge(
    "metrics_server_doctor_known_issue_detected",
    &["issue"],
    "1 when the evidence for a cause that is described upstream was found, 0 when it was looked for and not found",
)
.absent_where("the issue was not found and some evidence could not be looked at")
.series(1, &["issue"]);

/// The families of this module.
pub(super) const FAMILIES: &[Family] = &[DETECTED];

pub(super) fn write(view: &View<'_>, page: &mut Page) {
    let complete = view.report.status_of(Step::KnownIssues) != Status::Unknown;
    let found: Vec<&Finding> = view.report.answers.iter().flat_map(|answer| &answer.findings).collect();
    for entry in known_issues() {
        let detected = found.iter().any(|finding| finding.cause == entry.cause && finding.candidates.len() < 2);
        if detected || complete {
            page.set(&DETECTED, [issue_id(entry.cause)], detected);
        }
    }
}
