//! Calls of the metrics API: what callers got, and what autoscalers say of theirs.

use super::Facts;
use crate::{
    snapshot::{
        ConditionStatus, HorizontalPodAutoscaler, Named, Retrieval,
        retrieval::{ErrorClass, Outcome},
    },
    wording::{
        api_error::{ApiError, Detail, Forbidden},
        autoscaler::Word,
        quoted,
    },
};

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedCall {
    /// What was read, for evidence.
    pub line: String,
    /// What it tells.
    pub error: ApiError,
    /// Whether the autoscalers' controller made it, which is a `ServiceAccount` or system:kube-controller-manager.
    pub by_autoscaler: bool,
}

fn retrievals<'s>(facts: &Facts<'s>) -> impl Iterator<Item = (&'static str, &'s Retrieval)> {
    let snapshot = facts.snapshot;
    [("nodes", &snapshot.top_nodes), ("pods", &snapshot.top_pods)]
        .into_iter()
        .filter_map(|(resource, retrieval)| Some((resource, retrieval.seen()?)))
}

/// What shows that a caller got samples.
pub(super) fn success(facts: &Facts<'_>) -> Option<String> {
    let rows = retrievals(facts).find_map(|(resource, retrieval)| match &retrieval.outcome {
        Outcome::Samples(samples) => {
            let known = samples.iter().filter(|sample| !sample.unknown).count();
            (known > 0).then(|| format!("call of the metrics API for {resource}: {known} with a sample"))
        }
        Outcome::Failed { .. } => None,
    });
    rows.or_else(|| {
        let served = facts.snapshot.autoscalers.iter().find(|autoscaler| autoscaler.is_served())?;
        Some(format!(
            "HorizontalPodAutoscaler {}/{} has a current value of a Resource metric",
            served.namespace(),
            served.name()
        ))
    })
}

/// The failed call of an autoscaler, as its condition tells.
fn of_autoscaler(autoscaler: &HorizontalPodAutoscaler) -> Option<FailedCall> {
    let conditions = autoscaler.status.conditions.iter();
    let mut failed = conditions.filter(|condition| condition.status == ConditionStatus::False);
    failed.find_map(|condition| match Word::of(&condition.reason, &condition.message) {
        Word::MetricsApiFailed(error) => Some(FailedCall {
            line: format!(
                "HorizontalPodAutoscaler {}/{} condition {}: {}",
                autoscaler.namespace(),
                autoscaler.name(),
                condition.kind,
                quoted(&condition.message)
            ),
            error,
            by_autoscaler: true,
        }),
        _ => None,
    })
}

/// Every call that failed.
pub(super) fn failed(facts: &Facts<'_>) -> Vec<FailedCall> {
    let called = retrievals(facts).filter_map(|(resource, retrieval)| match &retrieval.outcome {
        Outcome::Failed { class, text } => Some(FailedCall {
            line: format!("call of the metrics API for {resource}: {}", quoted(text.trim())),
            error: ApiError { class: *class, detail: Detail::of(*class, text) },
            by_autoscaler: false,
        }),
        Outcome::Samples(_) => None,
    });
    called.chain(facts.snapshot.autoscalers.iter().filter_map(of_autoscaler)).collect()
}

/// Calls that nobody behind the aggregator answered, for evidence: none that was refused or that asks for patience. Of the
/// autoscalers' one is enough.
pub(super) fn not_answered(facts: &Facts<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut autoscaler = false;
    for call in facts.failed_calls() {
        let unanswered = matches!(
            call.error.class,
            ErrorClass::ServiceUnavailable | ErrorClass::Timeout | ErrorClass::ConnectionRefused
        ) || call.error.detail == Detail::NotDiscovered;
        if unanswered && !(call.by_autoscaler && autoscaler) {
            autoscaler |= call.by_autoscaler;
            lines.push(call.line.clone());
        }
    }
    lines
}

impl FailedCall {
    /// Who was refused what.
    pub fn refusal(&self) -> Option<&Forbidden> {
        match &self.error.detail {
            Detail::Forbidden(refusal) => Some(refusal),
            _ => None,
        }
    }
}

impl Facts<'_> {
    /// What shows that a caller got samples.
    pub fn served_caller(&self) -> Option<String> {
        success(self)
    }

    /// Calls that nobody behind the aggregator answered, for evidence.
    pub fn unanswered_calls(&self) -> Vec<String> {
        not_answered(self)
    }
}
