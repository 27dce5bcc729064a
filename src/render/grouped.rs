//! Findings of one cause together: what many objects share is told once.

use crate::{catalogue::Cause, check::Finding, verdict::Consequence};

/// Findings of one cause, in their order.
#[derive(Debug, Clone)]
pub(super) struct Group<'f> {
    pub(super) cause: Cause,
    pub(super) findings: Vec<&'f Finding>,
}

/// The causes in the order of their first finding.
pub(super) fn groups<'f>(findings: impl IntoIterator<Item = &'f Finding>) -> Vec<Group<'f>> {
    let mut groups: Vec<Group<'f>> = Vec::new();
    for finding in findings {
        match groups.iter_mut().find(|group| group.cause == finding.cause) {
            Some(group) => group.findings.push(finding),
            None => groups.push(Group { cause: finding.cause, findings: vec![finding] }),
        }
    }
    groups
}

/// What is only a consequence, by cause.
pub(super) fn held_back(consequences: &[Consequence]) -> Vec<Group<'_>> {
    groups(consequences.iter().map(|consequence| &consequence.finding))
}
