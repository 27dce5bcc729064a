//! What counts when a report decides whether a pipeline goes on.

use super::Report;
use crate::{
    check::{Finding, Impact},
    guide::Step,
    verdict::{Undetermined, Verdict},
};

/// What stops a pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gate {
    /// The lightest impact that counts as a fault; `None` where no fault does.
    pub fault: Option<Impact>,
    /// Whether it counts when nothing could be told.
    pub unknown: bool,
    /// Sections of the guide whose findings and gaps do not count.
    pub ignored: Vec<Step>,
}

/// What the gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// Nothing that counts is wrong.
    Open,
    /// Something that counts is broken.
    Fault,
    /// It could not be told.
    Unknown,
}

impl Gate {
    /// Weighs a report.
    pub fn weigh(&self, report: &Report) -> Passage {
        let judgement = &report.judgement;
        let standing = judgement.findings.iter().filter(|finding| self.counts(finding));
        let (open, faults): (Vec<_>, Vec<_>) = standing.partition(|finding| !finding.candidates.is_empty());
        if !faults.is_empty() {
            return Passage::Fault;
        }
        // Broken for a cause that is not clear: it is broken all the same.
        if !open.is_empty() {
            return Passage::Unknown;
        }
        match &judgement.verdict {
            Verdict::Undetermined(undetermined) if self.unknown && self.lacks(undetermined) => Passage::Unknown,
            _ => Passage::Open,
        }
    }

    /// Whether a finding counts.
    pub fn counts(&self, finding: &Finding) -> bool {
        self.fault.is_some_and(|lightest| finding.impact <= lightest) && !self.ignored.contains(&finding.cause.step())
    }

    fn lacks(&self, undetermined: &Undetermined) -> bool {
        undetermined.broken || undetermined.missing.iter().any(|look| !self.ignored.contains(&look.step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        snapshot::{NotSeen, Observed},
        testing::{healthy, without_service},
    };

    fn gate(fault: Option<Impact>, unknown: bool) -> Gate {
        Gate { fault, unknown, ignored: Vec::new() }
    }

    #[test]
    fn an_outage_counts_for_every_gate_but_the_one_that_ignores_faults() {
        let report = Report::new(&without_service());
        for lightest in Impact::ALL {
            assert_eq!(gate(Some(lightest), false).weigh(&report), Passage::Fault, "{lightest:?}");
        }
        assert_eq!(gate(None, true).weigh(&report), Passage::Open);
        let ignoring = Gate { ignored: vec![Step::OtherReasons, Step::Installed], ..gate(Some(Impact::Outage), false) };
        assert_eq!(ignoring.weigh(&report), Passage::Open);
    }

    #[test]
    fn what_could_not_be_told_counts_where_it_is_asked_for() {
        let mut snapshot = healthy();
        snapshot.top_nodes = Observed::NotSeen(NotSeen::NotSynced);
        let report = Report::new(&snapshot);
        assert_eq!(gate(Some(Impact::Partial), true).weigh(&report), Passage::Unknown);
        assert_eq!(gate(Some(Impact::Partial), false).weigh(&report), Passage::Open);
        let ignoring = Gate { ignored: vec![Step::Retrieve], ..gate(Some(Impact::Partial), true) };
        assert_eq!(ignoring.weigh(&report), Passage::Open);
    }
}
