//! What the aggregator says is wrong with the `APIService`: the one place where its condition is read.

use jiff::Timestamp;

use super::chain::Chain;
use crate::{
    snapshot::{Condition, Named},
    wording::aggregator::{MessageClass, Reason},
};

/// Condition `Available=False` of the `APIService`, read once.
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
    /// Since when the API is not available.
    pub since: Option<Timestamp>,
}

impl<'s> Complaint<'s> {
    /// Reads the chain's `APIService`; `None` unless the aggregator says that it is not available.
    pub(super) fn of(chain: &Chain<'s>) -> Option<Self> {
        let condition = chain.unavailable()?;
        Some(Self {
            condition,
            api_service: chain.api_service.seen()?.name(),
            reason: Reason::of(&condition.reason),
            class: MessageClass::of(&condition.message),
            since: condition.last_transition_time,
        })
    }

    /// The condition in one line, for evidence.
    pub fn line(&self) -> String {
        format!("condition Available: {}: {}", self.condition.reason, self.condition.message)
    }
}
