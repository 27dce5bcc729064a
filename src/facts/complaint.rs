//! What the aggregator says is wrong with an `APIService`: the one place where its condition is read.

use jiff::Timestamp;

use super::{Facts, calls};
use crate::{
    snapshot::{ApiService, ConditionStatus, Named, Remark},
    wording::{
        aggregator::{self, MessageClass, Reason},
        mentions::Said,
        quoted,
    },
};

/// What the aggregator says is wrong, read once: condition `Available=False` of an `APIService`, or its words in a log of
/// kube-apiserver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint<'s> {
    /// The name of the `APIService`.
    pub api_service: &'s str,
    /// Its reason.
    pub reason: Reason,
    /// What its message tells.
    pub class: MessageClass,
    /// Reason and message with all that they name: the Service's trouble, the address, what proxies and tunnels said.
    pub word: aggregator::Complaint,
    /// Since when the API is not available.
    pub since: Option<Timestamp>,
    /// Reason and message, as they were written.
    pub said: String,
    line: String,
}

impl<'s> Complaint<'s> {
    /// Reads an `APIService`; `None` unless the aggregator says that it is not available.
    pub(super) fn of(api_service: &'s ApiService) -> Option<Self> {
        let condition = api_service.available().filter(|condition| condition.status == ConditionStatus::False)?;
        let word = aggregator::Complaint::of(&condition.reason, &condition.message);
        let name = api_service.name();
        let said = format!("{}: {}", condition.reason, condition.message);
        Some(Self {
            api_service: name,
            reason: word.reason,
            class: word.class(),
            since: condition.last_transition_time,
            word,
            line: format!("APIService {name} condition Available: False: {said}"),
            said,
        })
    }

    /// Where the `APIService` was not seen: the last that others tell of it, in kube-apiserver's log or as a row of
    /// `kubectl get apiservices`. A caller that got samples speaks against it.
    pub(super) fn of_remarks(facts: &Facts<'s>) -> Option<Self> {
        if facts.chain.api_service.clone().known().is_ok() || calls::success(facts).is_some() {
            return None;
        }
        let speaks = |remark: &&Remark| matches!(remark.mention.said, Said::Aggregator(_) | Said::Registered { .. });
        let remark = facts.snapshot.remarks.iter().rfind(speaks)?;
        let word = match &remark.mention.said {
            Said::Aggregator(word) => word.clone(),
            Said::Registered { available: false, reason, .. } => aggregator::Complaint::of(reason, ""),
            Said::Registered { .. } | Said::Failed(_) => return None,
        };
        Some(Self {
            api_service: "v1beta1.metrics.k8s.io",
            reason: word.reason,
            class: word.class(),
            since: None,
            word,
            said: remark.text.clone(),
            line: format!("{}: {}", remark.file, quoted(&remark.text)),
        })
    }

    /// What was read, in one line, for evidence.
    pub fn line(&self) -> String {
        self.line.clone()
    }

    /// Whether the aggregator dialled, and whatever answered spoke TLS with it: nothing on the way drops or rejects.
    pub fn was_answered(&self) -> bool {
        matches!(
            self.class,
            MessageClass::Tls
                | MessageClass::BadStatus401
                | MessageClass::BadStatus403
                | MessageClass::BadStatus404
                | MessageClass::BadStatus5xx
                | MessageClass::PlainHttp
        )
    }
}
