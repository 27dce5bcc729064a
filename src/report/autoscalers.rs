//! How many autoscalers there are, how many are blind, and the first of these by name.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::plain;
use crate::{
    catalogue::Cause,
    facts::{Facts, autoscalers::Autoscaler},
    snapshot::Named,
};

/// Blind autoscalers that a report lists; of more only the number is told.
pub const AUTOSCALERS_LISTED: usize = 100;

/// All autoscalers that were seen, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AutoscalerCounts {
    /// How many were seen; `None` where nobody could look.
    pub total: Option<usize>,
    /// How many do not get a value of a metric.
    pub blind: usize,
    /// How many of those for each cause.
    pub by_cause: BTreeMap<Cause, usize>,
    /// The first of those by namespace and name, at most [`AUTOSCALERS_LISTED`].
    pub listed: Vec<BlindAutoscaler>,
}

/// One that is blind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlindAutoscaler {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Why.
    pub cause: Cause,
    /// Kind of what it scales.
    pub target_kind: String,
    /// Name of what it scales.
    pub target_name: String,
    /// Since when, where its condition tells.
    pub since: Option<Timestamp>,
}

/// A name as all texts of the report are written.
fn fit(name: &str) -> String {
    let mut name = name.to_owned();
    plain::text(&mut name);
    name
}

impl AutoscalerCounts {
    pub(super) fn of(facts: &Facts<'_>) -> Self {
        if facts.reachable().is_err() {
            return Self::default();
        }
        let autoscalers = facts.autoscalers();
        let mut by_cause: BTreeMap<Cause, usize> = BTreeMap::new();
        let mut blind: Vec<(&Autoscaler<'_>, Cause)> = Vec::new();
        for (autoscaler, why) in autoscalers.blind() {
            *by_cause.entry(why.cause()).or_default() += 1;
            blind.push((autoscaler, why.cause()));
        }
        blind.sort_by_key(|(autoscaler, _)| (autoscaler.object.namespace(), autoscaler.object.name()));
        let listed = blind.iter().take(AUTOSCALERS_LISTED).map(|(autoscaler, cause)| {
            let target = &autoscaler.object.spec.scale_target_ref;
            BlindAutoscaler {
                namespace: fit(autoscaler.object.namespace()),
                name: fit(autoscaler.object.name()),
                cause: *cause,
                target_kind: fit(&target.kind),
                target_name: fit(&target.name),
                since: autoscaler.condition.and_then(|condition| condition.last_transition_time),
            }
        });
        let total = autoscalers.all.len();
        Self {
            total: (total > 0 || autoscalers.gap.is_none()).then_some(total),
            blind: blind.len(),
            by_cause,
            listed: listed.collect(),
        }
    }
}
