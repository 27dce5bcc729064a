//! What a check is and what it may answer.

use serde::Serialize;

use crate::{
    catalogue::Cause,
    facts::chain::{Chain, START_TIME},
    guide::Step,
    snapshot::{Condition, NotSeen, ObjectReference, Snapshot},
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

impl Context<'_> {
    /// Whether all pods of metrics-server are so young that what does not answer yet proves nothing: a fresh cluster, a
    /// new installation, a node that was replaced. A start is over once a pod was Ready before the `APIService` failed.
    pub fn is_starting(&self) -> bool {
        let now = self.snapshot.observed_at;
        let failed = self.chain.unavailable().and_then(|condition| condition.last_transition_time);
        let ready = self.chain.pods().iter().filter(|pod| pod.is_ready() && !pod.is_terminating());
        let ready = ready.filter_map(|pod| pod.ready().and_then(|ready| ready.last_transition_time)).min();
        if ready.zip(failed).is_some_and(|(ready, failed)| ready < failed) {
            return false;
        }
        let mut ages = self.chain.pods().iter().filter(|pod| !pod.is_terminating()).map(|pod| {
            let since = pod.metadata.creation_timestamp.or(pod.status.start_time);
            since.map(|since| now.duration_since(since))
        });
        let young = |age: Option<jiff::SignedDuration>| age.is_some_and(|age| age < START_TIME);
        ages.next().is_some_and(young) && ages.all(young)
    }

    /// Whether a pod behind the Service became Ready after the condition was written, and so lately that the aggregator
    /// may not have looked again: it does so every 30 seconds at the latest
    /// (kubernetes/kube-aggregator `pkg/controllers/status/remote/remote_available_controller.go`).
    pub fn is_condition_older_than_pods(&self, condition: &Condition) -> bool {
        let ready = self.chain.selected_pods.objects.iter().filter(|pod| pod.is_ready() && !pod.is_terminating());
        let since = ready.filter_map(|pod| pod.ready().and_then(|ready| ready.last_transition_time)).min();
        since.zip(condition.last_transition_time).is_some_and(|(ready, written)| {
            ready > written && self.snapshot.observed_at.duration_since(ready) < jiff::SignedDuration::from_secs(35)
        })
    }

    /// Whether the `APIService` has become available so lately that what others saw of it may be from before.
    pub fn is_just_available(&self) -> bool {
        let since =
            self.chain.available().filter(|_| self.chain.is_available()).and_then(|now| now.last_transition_time);
        since.is_some_and(|since| self.snapshot.observed_at.duration_since(since) < START_TIME)
    }
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
    fn pods_that_were_just_made_are_starting_and_others_are_not() {
        use crate::{
            facts::chain::Chain,
            testing::{at, healthy},
        };
        let starting = |ages: &[i64]| {
            let mut snapshot = healthy();
            let pod = snapshot
                .pods
                .get("kube-system", "metrics-server-5d8f-abcde")
                .seen()
                .map(|pod| (*pod).clone())
                .expect("it");
            for (index, age) in ages.iter().enumerate() {
                let mut pod = pod.clone();
                if index > 0 {
                    pod.metadata.name = format!("metrics-server-{index}");
                }
                pod.metadata.creation_timestamp = at(-age).parse().ok();
                snapshot.pods.insert(pod);
            }
            let chain = Chain::resolve(&snapshot);
            Context { snapshot: &snapshot, chain: &chain }.is_starting()
        };
        assert!(starting(&[20]) && starting(&[20, 100]));
        assert!(!starting(&[200]) && !starting(&[20, 200]));
    }

    #[test]
    fn a_failure_after_a_pod_was_ready_belongs_to_no_start() {
        use crate::{
            snapshot::{ApiService, Collection},
            testing::{at, healthy, object},
        };
        let starting = |ready: i64, failed: i64| {
            let mut snapshot = healthy();
            let mut pod = snapshot.pods.iter().next().cloned().expect("a pod");
            pod.metadata.creation_timestamp = at(-100).parse().ok();
            pod.status.conditions =
                vec![object(serde_json::json!({"type": "Ready", "status": "True", "lastTransitionTime": at(ready)}))];
            let labels = snapshot.services.iter().next().map(|service| service.spec.selector.clone());
            pod.metadata.labels = labels.expect("a Service");
            pod.metadata.namespace = "kube-system".to_owned();
            snapshot.pods = Collection::complete([pod]);
            snapshot.api_services = Collection::complete([object::<ApiService>(serde_json::json!({
                "metadata": {"name": "v1beta1.metrics.k8s.io"},
                "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "service": {"namespace": "kube-system", "name": "metrics-server"}},
                "status": {"conditions": [{"type": "Available", "status": "False", "lastTransitionTime": at(failed)}]}
            }))]);
            let chain = Chain::resolve(&snapshot);
            Context { snapshot: &snapshot, chain: &chain }.is_starting()
        };
        assert!(starting(-30, -90), "not available since before the pod was Ready");
        assert!(!starting(-60, -10));
    }

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
