//! What a check is, and what it may rule.
//!
//! A check asks one question about several causes. For each of them its rule says on the [`Docket`] what was proved:
//! confirmed, excluded, settling until a moment, or open because something was not seen. What a check answers follows
//! from its rulings; a check cannot pass by saying nothing.

mod docket;
mod finding;

pub use self::{
    docket::{Docket, Ruling},
    finding::{Evidence, Finding, Slot},
};

use jiff::Timestamp;
use serde::Serialize;

use crate::{catalogue::Cause, facts::Facts, guide::Step, snapshot::NotSeen};

/// The four states of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Looked, and every cause is excluded.
    Pass,
    /// Looked, and something is broken.
    Fail,
    /// Could not look, or not yet.
    Unknown,
    /// Does not apply here.
    Skipped,
}

impl Status {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Pass, Self::Fail, Self::Unknown, Self::Skipped];

    /// As in labels.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Unknown => "unknown",
            Self::Skipped => "skipped",
        }
    }
}

/// How much a finding hurts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Impact {
    /// Metrics are gone for everybody.
    Outage,
    /// Metrics are gone for some nodes, pods, callers or autoscalers.
    Partial,
    /// Nobody was seen to be hurt yet.
    Latent,
}

impl Impact {
    /// All, the worst first.
    pub const ALL: [Self; 3] = [Self::Outage, Self::Partial, Self::Latent];

    /// As in labels and reports.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Outage => "outage",
            Self::Partial => "partial",
            Self::Latent => "latent",
        }
    }
}

/// A check: a pure function of the facts, with an id that is unique within its step.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// The section of the guide.
    pub step: Step,
    /// The id: label value and report field.
    pub id: &'static str,
    /// What it asks, for documentation.
    pub question: &'static str,
    /// The causes that it may blame. One that its rule does not mention stays open.
    pub causes: &'static [Cause],
    /// Rules on the causes; an error says why the causes that were not ruled on could not be looked at.
    pub rule: fn(&Facts<'_>, &mut Docket) -> Result<(), NotSeen>,
}

/// What a check answers, as it follows from its rulings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The section of the guide.
    pub step: Step,
    /// The check's id.
    pub check: &'static str,
    /// Any cause confirmed: fail; all excluded: pass; none applies: skipped; else unknown.
    pub status: Status,
    /// One sentence.
    pub summary: String,
    /// What was read.
    pub evidence: Vec<Evidence>,
    /// What is wrong; empty unless the state is `Fail`.
    pub findings: Vec<Finding>,
    /// What is proved about each cause of the check.
    pub rulings: Vec<(Cause, Ruling)>,
    /// Why it could not look; only where the state is `Unknown`.
    pub not_seen: Option<NotSeen>,
    /// Until when something settles by itself; only where the state is `Unknown`.
    pub settling_until: Option<Timestamp>,
    /// What would settle an `Unknown`: a file for the bundle, a permission, time.
    pub settle: Option<String>,
    /// What shows that a caller got samples.
    pub witness: Option<Evidence>,
    /// Causes that something speaks for, though not enough to blame them.
    pub suspected: Vec<Cause>,
}

impl Check {
    /// Runs the check. A defect of its rule ends nothing but this answer: its causes are open then.
    ///
    /// While the API server itself does not answer, nothing is told of a cluster that was seen before.
    pub fn run(&self, facts: &Facts<'_>) -> Answer {
        if let Err(reason) = facts.reachable() {
            return Docket::new(self.causes).answer(self, Err(reason));
        }
        let ruled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut docket = Docket::new(self.causes);
            let result = (self.rule)(facts, &mut docket);
            (docket, result)
        }));
        match ruled {
            Ok((docket, result)) => docket.answer(self, result),
            Err(_) => self.defective(),
        }
    }

    /// The answer of a check that could not be run for a defect of the doctor.
    pub fn defective(&self) -> Answer {
        Docket::new(self.causes).answer(self, Err(NotSeen::Defect))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::healthy;

    const CAUSES: &[Cause] = &[Cause::ServiceNotFound, Cause::ApiServiceLeftOver];

    fn answer(rule: fn(&Facts<'_>, &mut Docket) -> Result<(), NotSeen>) -> Answer {
        let snapshot = healthy();
        let check = Check { step: Step::OtherReasons, id: "service", question: "?", causes: CAUSES, rule };
        check.run(&Facts::new(&snapshot))
    }

    #[test]
    fn a_check_that_says_nothing_does_not_pass() {
        assert_eq!(answer(|_, _| Ok(())).status, Status::Unknown);
        assert_eq!(
            answer(|_, docket| {
                docket.exclude(&[Cause::ServiceNotFound], "seen");
                Ok(())
            })
            .status,
            Status::Unknown
        );
    }

    #[test]
    fn the_state_follows_from_the_rulings() {
        let excluded = answer(|_, docket| {
            docket.exclude_rest("seen");
            Ok(())
        });
        assert_eq!((excluded.status, excluded.summary.as_str()), (Status::Pass, "seen"));
        assert_eq!(
            answer(|_, docket| {
                docket.not_applicable("There is none.");
                Ok(())
            })
            .status,
            Status::Skipped
        );
        let refused = answer(|_, docket| {
            docket.exclude(&[Cause::ServiceNotFound], "seen");
            Err(NotSeen::NotSynced)
        });
        assert_eq!((refused.status, refused.not_seen), (Status::Unknown, Some(NotSeen::NotSynced)));
        let confirmed = answer(|facts, docket| {
            docket.confirm(Finding::outage(Cause::ServiceNotFound, facts.chain.service_object(), "It is gone."));
            Err(NotSeen::NotSynced)
        });
        assert_eq!((confirmed.status, confirmed.summary.as_str()), (Status::Fail, "It is gone."));
    }

    #[test]
    fn a_rule_that_fails_by_a_defect_leaves_its_causes_open() {
        let answer = answer(|_, _| panic!("a defect, on purpose"));
        assert_eq!((answer.status, answer.not_seen), (Status::Unknown, Some(NotSeen::Defect)));
    }

    #[test]
    #[should_panic(expected = "declares no cause")]
    fn blaming_an_undeclared_cause_is_a_defect() {
        let snapshot = healthy();
        let facts = Facts::new(&snapshot);
        Docket::new(CAUSES).confirm(Finding::outage(Cause::OutOfMemory, facts.chain.workload_object(), "It is gone."));
    }
}
