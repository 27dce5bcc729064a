//! Checks that still answer with an outcome and not with rulings.

use crate::{
    check::{Docket, Evidence, Finding},
    facts::{Facts, windows},
    snapshot::NotSeen,
};

/// What a check answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::steps) struct Outcome {
    verdict: Kind,
    summary: String,
    evidence: Vec<Evidence>,
    pub(in crate::steps) findings: Vec<Finding>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Pass,
    Fail,
    Unknown(NotSeen),
    Skipped,
}

impl Outcome {
    fn new(verdict: Kind, summary: impl Into<String>) -> Self {
        Self { verdict, summary: summary.into(), evidence: Vec::new(), findings: Vec::new() }
    }

    pub(in crate::steps) fn pass(summary: impl Into<String>) -> Self {
        Self::new(Kind::Pass, summary)
    }

    pub(in crate::steps) fn fail(finding: Finding) -> Self {
        Self::fail_all(vec![finding])
    }

    pub(in crate::steps) fn fail_all(findings: Vec<Finding>) -> Self {
        Self { findings, ..Self::new(Kind::Fail, "") }
    }

    pub(in crate::steps) fn from_findings(findings: Vec<Finding>, pass: impl Into<String>) -> Self {
        if findings.is_empty() { Self::pass(pass) } else { Self::fail_all(findings) }
    }

    pub(in crate::steps) fn unknown(reason: NotSeen, summary: impl Into<String>) -> Self {
        Self::new(Kind::Unknown(reason), summary)
    }

    pub(in crate::steps) fn skipped(summary: impl Into<String>) -> Self {
        Self::new(Kind::Skipped, summary)
    }

    #[must_use]
    pub(in crate::steps) fn evidence(mut self, line: impl Into<Evidence>) -> Self {
        self.evidence.push(line.into());
        self
    }
}

pub(super) fn rule(facts: &Facts<'_>, docket: &mut Docket, outcome: Result<Outcome, NotSeen>) -> Result<(), NotSeen> {
    docket.bridged = true;
    let early = |docket: &mut Docket, why: String| {
        let until = windows::after(facts.now(), windows::START).unwrap_or(facts.now());
        docket.settle_rest(until, why);
        Ok(())
    };
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(NotSeen::TooEarly(why)) => return early(docket, why),
        Err(reason) => return Err(reason),
    };
    for line in outcome.evidence {
        docket.note(line);
    }
    match outcome.verdict {
        Kind::Pass => docket.exclude_rest(outcome.summary),
        Kind::Skipped => docket.not_applicable(outcome.summary),
        Kind::Fail => outcome.findings.into_iter().for_each(|finding| docket.confirm(finding)),
        Kind::Unknown(NotSeen::TooEarly(why)) => {
            docket.say(outcome.summary);
            return early(docket, why);
        }
        Kind::Unknown(reason) => {
            docket.say(outcome.summary);
            return Err(reason);
        }
    }
    Ok(())
}
