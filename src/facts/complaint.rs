//! What the aggregator says is wrong with an `APIService`: the one place where its condition is read.

use jiff::Timestamp;

use crate::{
    snapshot::{ApiService, Condition, ConditionStatus, Named},
    wording::aggregator::{self, MessageClass, Reason},
};

/// Condition `Available=False` of an `APIService`, read once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint<'s> {
    /// The condition itself, for evidence.
    pub condition: &'s Condition,
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
}

impl<'s> Complaint<'s> {
    /// Reads an `APIService`; `None` unless the aggregator says that it is not available.
    pub(super) fn of(api_service: &'s ApiService) -> Option<Self> {
        let condition = api_service.available().filter(|condition| condition.status == ConditionStatus::False)?;
        let word = aggregator::Complaint::of(&condition.reason, &condition.message);
        Some(Self {
            condition,
            api_service: api_service.name(),
            reason: word.reason,
            class: word.class(),
            since: condition.last_transition_time,
            word,
        })
    }

    /// The condition in one line, for evidence.
    pub fn line(&self) -> String {
        let Self { api_service, condition, .. } = self;
        format!("APIService {api_service} condition Available: False: {}: {}", condition.reason, condition.message)
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
