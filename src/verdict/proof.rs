//! The proof that a cluster is healthy: a caller was seen to get samples, and no look that health needs failed.

use crate::{
    check::{Answer, Evidence, Status},
    guide::Step,
    snapshot::NotSeen,
};

/// The checks without whose answer nothing is called healthy.
///
/// Condition Available alone says only that the aggregator, as a member of system:masters, got an answer to a discovery
/// call: nothing of scrapes, samples, TLS of real calls, or of an ordinary caller.
pub const REQUIRED: [(Step, &str); 8] = [
    (Step::Apiservice, "available"),
    (Step::OtherReasons, "service"),
    (Step::OtherReasons, "endpoints"),
    (Step::Retrieve, "nodes"),
    (Step::Retrieve, "pods"),
    (Step::Retrieve, "coverage"),
    (Step::Retrieve, "freshness"),
    (Step::Hpa, "targets"),
];

/// The files of a bundle that hold what a caller of the metrics API got.
pub(super) const ANSWERS: [&str; 2] = ["top-nodes.txt", "top-pods.txt"];

/// A look that health needs and that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingLook {
    /// The section of the guide.
    pub step: Step,
    /// The check's id; empty where no single check is meant.
    pub check: &'static str,
    /// Why it is not there.
    pub reason: NotSeen,
    /// What would bring it, where the check itself does not say.
    pub settle: Option<String>,
}

impl MissingLook {
    /// Whether the look was made and failed, or is still to come: not merely no part of this way to run. That nobody's call
    /// was seen is no failure of any look.
    pub fn is_failed(&self) -> bool {
        !self.check.is_empty() && !is_no_part(&self.reason)
    }
}

/// The looks that prove health. Only [`Proof::of`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    witnesses: Vec<Evidence>,
    unseen: usize,
    checks: usize,
}

impl Proof {
    /// The proof, or the looks that are missing for it.
    pub fn of(answers: &[Answer]) -> Result<Self, Vec<MissingLook>> {
        let missing = missing(answers);
        let witnesses: Vec<Evidence> = answers.iter().filter_map(|answer| answer.witness.clone()).collect();
        let fails = answers.iter().any(|answer| answer.status == Status::Fail || !answer.suspected.is_empty());
        if fails || witnesses.is_empty() || missing.iter().any(MissingLook::is_failed) {
            return Err(missing);
        }
        let unseen = answers.iter().filter(|answer| answer.status == Status::Unknown).count();
        Ok(Self { witnesses, unseen, checks: answers.len() })
    }

    /// What showed that a caller gets samples.
    pub fn witnesses(&self) -> &[Evidence] {
        &self.witnesses
    }

    /// How many checks could not look.
    pub fn unseen(&self) -> usize {
        self.unseen
    }

    /// How many checks there are.
    pub fn checks(&self) -> usize {
        self.checks
    }
}

/// What a bundle does not hold, or a feature that is off, was no part of this way to run.
fn is_no_part(reason: &NotSeen) -> bool {
    matches!(reason, NotSeen::NotInBundle(_) | NotSeen::NotLooked)
}

/// The looks that health needs and that are not there. A caller that nobody saw counts among them.
pub(super) fn missing(answers: &[Answer]) -> Vec<MissingLook> {
    let mut missing: Vec<MissingLook> = REQUIRED
        .into_iter()
        .filter_map(|(step, check)| {
            let answer = answers.iter().find(|answer| (answer.step, answer.check) == (step, check));
            let reason = match answer {
                Some(answer) => answer.not_seen.clone()?,
                None => NotSeen::NotLooked,
            };
            Some(MissingLook { step, check, reason, settle: None })
        })
        .collect();
    if !answers.iter().any(|answer| answer.witness.is_some()) {
        // Where a call was looked for and not seen, that look tells what to do.
        let is_looked_for = answers.iter().filter(|answer| answer.step == Step::Retrieve).any(|answer| {
            answer.not_seen.as_ref().is_some_and(|gap| !matches!(gap, NotSeen::NotInBundle(_) | NotSeen::NotLooked))
        });
        missing.push(MissingLook {
            step: Step::Retrieve,
            check: "",
            reason: NotSeen::Unclear("no call of the metrics API was seen to succeed".to_owned()),
            settle: (!is_looked_for)
                .then(|| "add top-nodes.txt and top-pods.txt (kubectl top nodes, kubectl top pods -A)".to_owned()),
        });
    }
    missing
}
