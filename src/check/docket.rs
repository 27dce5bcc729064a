//! What a check's rule has said about its causes, and the answer that follows.

use jiff::Timestamp;

use super::{Answer, Check, Evidence, Finding, Status};
use crate::{catalogue::Cause, snapshot::NotSeen};

/// What is proved about one cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// It holds.
    Confirmed(Box<Finding>),
    /// It does not: this was read instead.
    Excluded(Evidence),
    /// It is too early to tell; that ends by itself.
    Settling {
        /// When to look again at the latest.
        until: Timestamp,
        /// What has just happened.
        why: String,
    },
    /// It could not be told.
    Open(NotSeen),
    /// It cannot hold here, since what it speaks of is not used.
    NotApplicable(String),
}

/// The rulings of one check, as its rule writes them.
#[derive(Debug)]
pub struct Docket {
    causes: &'static [Cause],
    rulings: Vec<(Cause, Ruling)>,
    summary: Option<String>,
    notes: Vec<Evidence>,
    settle: Option<String>,
    witness: Option<Evidence>,
    suspected: Vec<Cause>,
    /// For checks that have no cause of their own to rule on.
    without_cause: Option<Ruling>,
}

impl Docket {
    /// An empty docket of a check that may blame these causes.
    pub fn new(causes: &'static [Cause]) -> Self {
        Self {
            causes,
            rulings: Vec::new(),
            summary: None,
            notes: Vec::new(),
            settle: None,
            witness: None,
            suspected: Vec::new(),
            without_cause: None,
        }
    }

    /// The finding's cause holds.
    ///
    /// # Panics
    /// When the check does not declare that cause: a defect that every test of the check would show.
    pub fn confirm(&mut self, finding: Finding) {
        assert!(self.causes.contains(&finding.cause), "the check declares no cause {:?}", finding.cause);
        self.rulings.push((finding.cause, Ruling::Confirmed(Box::new(finding))));
    }

    /// These causes do not hold, since this was read.
    ///
    /// # Panics
    /// When the check does not declare one of them, as [`Docket::confirm`] does.
    pub fn exclude(&mut self, causes: &[Cause], evidence: impl Into<Evidence>) {
        let evidence = evidence.into();
        for &cause in causes {
            assert!(self.causes.contains(&cause), "the check declares no cause {cause:?}");
            self.rulings.push((cause, Ruling::Excluded(evidence.clone())));
        }
    }

    /// Every cause that was not ruled on does not hold, since this was read. Only for evidence that speaks against all of them.
    pub fn exclude_rest(&mut self, evidence: impl Into<Evidence>) {
        let evidence = evidence.into();
        self.rule_rest(&Ruling::Excluded(evidence.clone()));
        self.summary.get_or_insert(evidence.line);
    }

    /// Whether every cause that was not ruled on holds cannot be told before `until`.
    pub fn settle_rest(&mut self, until: Timestamp, why: impl Into<String>) {
        self.rule_rest(&Ruling::Settling { until, why: why.into() });
    }

    /// Whether these causes hold cannot be told before `until`.
    pub fn settle(&mut self, causes: &[Cause], until: Timestamp, why: impl Into<String>) {
        let why = why.into();
        for &cause in causes {
            self.rulings.push((cause, Ruling::Settling { until, why: why.clone() }));
        }
    }

    /// Whether these causes hold could not be told.
    pub fn open(&mut self, causes: &[Cause], reason: &NotSeen) {
        for &cause in causes {
            self.rulings.push((cause, Ruling::Open(reason.clone())));
        }
    }

    /// These causes cannot hold here.
    pub fn rule_out(&mut self, causes: &[Cause], why: impl Into<String>) {
        let why = why.into();
        for &cause in causes {
            self.rulings.push((cause, Ruling::NotApplicable(why.clone())));
        }
    }

    /// None of the causes that were not ruled on can hold here: what they speak of is not there or not used.
    pub fn not_applicable(&mut self, why: impl Into<String>) {
        let why = why.into();
        self.rule_rest(&Ruling::NotApplicable(why.clone()));
        self.summary.get_or_insert(why);
    }

    /// The answer's sentence, where it is not a finding's.
    pub fn say(&mut self, summary: impl Into<String>) {
        self.summary = Some(summary.into());
    }

    /// Adds what was read and proves nothing by itself.
    pub fn note(&mut self, evidence: impl Into<Evidence>) {
        self.notes.push(evidence.into());
    }

    /// Says what would settle what is open.
    pub fn settled_by(&mut self, how: impl Into<String>) {
        self.settle = Some(how.into());
    }

    /// A caller was seen to get samples.
    pub fn witness(&mut self, evidence: impl Into<Evidence>) {
        self.witness = Some(evidence.into());
    }

    /// Something speaks for this cause, though not enough to blame it; it stays open.
    ///
    /// # Panics
    /// When the check does not declare that cause, as [`Docket::confirm`] does.
    pub fn suspect(&mut self, cause: Cause) {
        assert!(self.causes.contains(&cause), "the check declares no cause {cause:?}");
        self.suspected.push(cause);
    }

    /// Whether some cause was confirmed.
    pub fn has_findings(&self) -> bool {
        self.rulings.iter().any(|(_, ruling)| matches!(ruling, Ruling::Confirmed(_)))
    }

    /// The causes that were not ruled on so far.
    pub fn unruled(&self) -> impl Iterator<Item = Cause> {
        self.causes.iter().copied().filter(|cause| !self.rulings.iter().any(|(known, _)| known == cause))
    }

    fn rule_rest(&mut self, ruling: &Ruling) {
        for &cause in self.causes {
            if !self.rulings.iter().any(|(known, _)| *known == cause) {
                self.rulings.push((cause, ruling.clone()));
            }
        }
        if self.causes.is_empty() {
            self.without_cause = Some(ruling.clone());
        }
    }

    /// The answer that follows from the rulings.
    pub(super) fn answer(mut self, check: &Check, result: Result<(), NotSeen>) -> Answer {
        let rest = result.err().unwrap_or(NotSeen::NotLooked);
        self.rule_rest_open(&rest);
        let findings: Vec<Finding> = self
            .rulings
            .iter()
            .filter_map(|(_, ruling)| match ruling {
                Ruling::Confirmed(finding) => Some((**finding).clone()),
                _ => None,
            })
            .collect();
        let all: Vec<&Ruling> = self.rulings.iter().map(|(_, ruling)| ruling).chain(&self.without_cause).collect();
        let open = all.iter().find_map(|ruling| match ruling {
            Ruling::Open(reason) => Some(reason.clone()),
            _ => None,
        });
        let settling = all.iter().filter_map(|ruling| match ruling {
            Ruling::Settling { until, why } => Some((*until, why.clone())),
            _ => None,
        });
        let settling = settling.max_by_key(|(until, _)| *until);
        let applies = all.iter().any(|ruling| !matches!(ruling, Ruling::NotApplicable(_)));
        let status = match (findings.is_empty(), &open, &settling) {
            (false, ..) => Status::Fail,
            (true, None, None) => {
                if applies {
                    Status::Pass
                } else {
                    Status::Skipped
                }
            }
            (true, ..) => Status::Unknown,
        };
        // What settles by itself is told before what nobody could see.
        let not_seen = (status == Status::Unknown)
            .then(|| settling.as_ref().map(|(_, why)| NotSeen::TooEarly(why.clone())).or(open))
            .flatten();
        let summary = match status {
            Status::Fail => findings.first().map_or_else(String::new, |finding| finding.summary.clone()),
            Status::Unknown => self.summary.unwrap_or_else(|| {
                not_seen.as_ref().map_or_else(String::new, |reason| format!("could not look: {reason}"))
            }),
            Status::Pass | Status::Skipped => self.summary.unwrap_or_default(),
        };
        let settle = self.settle.or_else(|| not_seen.as_ref().and_then(settles));
        let evidence = findings.iter().flat_map(|finding| finding.evidence.iter().cloned()).chain(self.notes).collect();
        Answer {
            step: check.step,
            check: check.id,
            status,
            summary,
            evidence,
            findings,
            settling_until: settling.filter(|_| status == Status::Unknown).map(|(until, _)| until),
            settle: settle.filter(|_| status == Status::Unknown),
            rulings: self.rulings,
            not_seen,
            witness: self.witness,
            suspected: self.suspected,
        }
    }

    fn rule_rest_open(&mut self, reason: &NotSeen) {
        let before = self.without_cause.clone();
        self.rule_rest(&Ruling::Open(reason.clone()));
        if before.is_some() {
            self.without_cause = before;
        }
    }
}

/// What would make it possible to look.
fn settles(reason: &NotSeen) -> Option<String> {
    match reason {
        NotSeen::NotInBundle(what) => Some(format!("add {what} to the bundle")),
        NotSeen::Damaged(what) => Some(format!("collect {what} again")),
        NotSeen::Forbidden { verb, resource } => {
            Some(format!("grant {verb} on {resource} to the doctor's ServiceAccount"))
        }
        NotSeen::NotSynced | NotSeen::TooEarly(_) => Some("look again in a minute".to_owned()),
        NotSeen::Unreachable(_) | NotSeen::NotLooked | NotSeen::Unclear(_) | NotSeen::Defect => None,
    }
}
