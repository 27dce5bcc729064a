//! Causes of step `known_issues`: what is wrong with a version itself.

use super::{Cause, Entry, Role, Stage};
use crate::guide::Step;

pub(super) static CAUSES: &[Entry] = &[Entry {
    cause: Cause::KnownDefect,
    id: "known_defect",
    step: Step::KnownIssues,
    stage: Stage::Installed,
    role: Role::Root,
    title: "This metrics-server version has a known defect.",
    recognised_by: "the version of the image is one of those that the table of known defects names",
    remedy: "Upgrade metrics-server to a release without the defect, its ClusterRole included: `kubectl get deployment -n NAMESPACE NAME -o wide` shows the image.",
    guide: "Check GitHub for common issues",
    issues: &[],
}];
