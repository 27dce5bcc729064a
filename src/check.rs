//! What a check is and what it may answer.

use serde::Serialize;

use crate::{
    catalogue::Cause,
    chain::Chain,
    snapshot::{NotSeen, Snapshot},
    steps::Step,
};

/// The four states of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Looked, and all is well.
    Pass,
    /// Looked, and something is broken.
    Fail,
    /// Could not look.
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

/// The object that a finding speaks of.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ObjectReference {
    /// For example `Service`.
    pub kind: String,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl ObjectReference {
    /// A reference.
    pub fn new(kind: &str, namespace: &str, name: &str) -> Self {
        Self { kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is blamed.
    pub cause: Cause,
    /// How much it hurts.
    pub impact: Impact,
    /// The object to look at or to repair.
    pub object: ObjectReference,
    /// One sentence with the names and numbers of this case.
    pub summary: String,
    /// What was read: object and field, log line, error body.
    pub evidence: Vec<String>,
    /// Causes that the evidence fits as well, where `cause` is only what is seen of one of them.
    pub candidates: Vec<Cause>,
}

impl Finding {
    /// What repairs the cause, with the finding's own object in the commands.
    pub fn remedy(&self) -> String {
        let cause = match self.candidates.as_slice() {
            [only] => *only,
            _ => self.cause,
        };
        let ObjectReference { namespace, name, .. } = &self.object;
        let remedy = cause.entry().remedy;
        if namespace.is_empty() {
            return remedy.to_owned();
        }
        // Placeholders are whole words, so that SERVICE.NAMESPACE.svc stays what it is.
        let words = remedy.split_inclusive([' ', '`']).map(|word| {
            let (text, end) = word.split_at(word.trim_end_matches([' ', '`']).len());
            let filled = match text {
                "NAMESPACE" => namespace,
                "NAME" => name,
                _ => text,
            };
            [filled, end].concat()
        });
        words.collect()
    }

    /// A finding that takes metrics away from everybody.
    pub fn outage(cause: Cause, object: ObjectReference, summary: impl Into<String>) -> Self {
        Self {
            cause,
            impact: Impact::Outage,
            object,
            summary: summary.into(),
            evidence: Vec::new(),
            candidates: Vec::new(),
        }
    }

    /// A finding that takes metrics away from some.
    pub fn partial(cause: Cause, object: ObjectReference, summary: impl Into<String>) -> Self {
        Self { impact: Impact::Partial, ..Self::outage(cause, object, summary) }
    }

    /// Adds what was read.
    #[must_use]
    pub fn evidence(mut self, line: impl Into<String>) -> Self {
        self.evidence.push(line.into());
        self
    }

    /// Adds causes that the evidence fits as well.
    #[must_use]
    pub fn candidates(mut self, causes: impl IntoIterator<Item = Cause>) -> Self {
        self.candidates.extend(causes);
        self
    }
}

/// What a check answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The state.
    pub status: Status,
    /// One sentence.
    pub summary: String,
    /// What was read.
    pub evidence: Vec<String>,
    /// What is wrong; empty unless the state is `Fail`.
    pub findings: Vec<Finding>,
    /// Why it could not look; only where the state is `Unknown`.
    pub not_seen: Option<NotSeen>,
    /// What would settle an `Unknown`: a file for the bundle, a permission, time.
    pub settle: Option<String>,
}

impl Outcome {
    fn new(status: Status, summary: impl Into<String>) -> Self {
        Self {
            status,
            summary: summary.into(),
            evidence: Vec::new(),
            findings: Vec::new(),
            not_seen: None,
            settle: None,
        }
    }

    /// All is well.
    pub fn pass(summary: impl Into<String>) -> Self {
        Self::new(Status::Pass, summary)
    }

    /// Something is broken.
    pub fn fail(finding: Finding) -> Self {
        Self::fail_all(vec![finding])
    }

    /// Several things are broken; the first gives the summary.
    ///
    /// # Panics
    /// When `findings` is empty: that would be a pass.
    pub fn fail_all(findings: Vec<Finding>) -> Self {
        let summary = findings.first().expect("a failing check has a finding").summary.clone();
        let evidence = findings.iter().flat_map(|finding| finding.evidence.iter().cloned()).collect();
        Self { evidence, findings, ..Self::new(Status::Fail, summary) }
    }

    /// Pass when there is nothing wrong, fail otherwise.
    pub fn from_findings(findings: Vec<Finding>, pass: impl Into<String>) -> Self {
        if findings.is_empty() { Self::pass(pass) } else { Self::fail_all(findings) }
    }

    /// Could not look.
    pub fn unknown(reason: NotSeen, summary: impl Into<String>) -> Self {
        Self { not_seen: Some(reason), ..Self::new(Status::Unknown, summary) }
    }

    /// Does not apply here.
    pub fn skipped(summary: impl Into<String>) -> Self {
        Self::new(Status::Skipped, summary)
    }

    /// Adds what was read.
    #[must_use]
    pub fn evidence(mut self, line: impl Into<String>) -> Self {
        self.evidence.push(line.into());
        self
    }

    /// Says what would settle an `Unknown`.
    #[must_use]
    pub fn settle(mut self, how: impl Into<String>) -> Self {
        self.settle = Some(how.into());
        self
    }
}

/// Why a check cannot look, as `?` hands it over.
impl From<NotSeen> for Outcome {
    fn from(reason: NotSeen) -> Self {
        let summary = format!("could not look: {reason}");
        let settle = match &reason {
            NotSeen::NotInBundle(what) => Some(format!("add {what} to the bundle")),
            NotSeen::Forbidden { verb, resource } => {
                Some(format!("grant {verb} on {resource} to the doctor's ServiceAccount"))
            }
            NotSeen::NotSynced | NotSeen::TooEarly(_) => Some("look again in a minute".to_owned()),
            NotSeen::Unreachable(_) | NotSeen::NotLooked => None,
        };
        Self { settle, ..Self::unknown(reason, summary) }
    }
}

/// What a check may read.
#[derive(Debug, Clone, Copy)]
pub struct Context<'s> {
    /// What was observed.
    pub snapshot: &'s Snapshot,
    /// The chain `APIService` -> Service -> pods -> workload, resolved once.
    pub chain: &'s Chain<'s>,
}

/// A check: a pure function of the context, with an id that is unique within its step.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// The section of the guide.
    pub step: Step,
    /// The id: label value and report field.
    pub id: &'static str,
    /// What it asks, for documentation.
    pub question: &'static str,
    /// The causes that it may blame.
    pub causes: &'static [Cause],
    /// Answers; an error means that it could not look.
    pub evaluate: fn(&Context<'_>) -> Result<Outcome, NotSeen>,
}

impl Check {
    /// Runs the check; what it could not see becomes `Unknown`.
    pub fn run(&self, context: &Context<'_>) -> Outcome {
        (self.evaluate)(context).unwrap_or_else(Outcome::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_the_remedy_name_the_object() {
        let object = ObjectReference::new("Service", "kube-system", "metrics-server");
        let finding = Finding::outage(Cause::TargetPortMismatch, object, "wrong");
        assert!(
            finding.remedy().ends_with("`kubectl edit service -n kube-system metrics-server`."),
            "{}",
            finding.remedy()
        );
        let unnamed = Finding::outage(Cause::TargetPortMismatch, ObjectReference::default(), "wrong");
        assert!(unnamed.remedy().ends_with("`kubectl edit service -n NAMESPACE NAME`."), "{}", unnamed.remedy());
    }
}
