//! Renderers: pure functions from a [`View`] to what people and Prometheus read.

mod grouped;
pub mod html;
pub mod junit;
pub mod markdown;
pub mod metrics;
mod remedy;
pub mod runbook;
pub mod text;
pub mod visible;

use std::time::Duration;

use clap::ValueEnum;
use jiff::Timestamp;

use crate::{
    facts::Facts,
    health::{CertificateState, ObserverHealth, ProcessUsage, RequestClass},
    history::History,
    report::Report,
};

/// Of which autoscalers the page has more than the number of their unknown targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum HpaSeries {
    /// Those with an unknown target
    #[default]
    Blind,
    /// All: up to 6 more series an autoscaler
    All,
}

/// Everything that a renderer may show: what was seen, what it means, and how the doctor itself is doing.
#[derive(Debug)]
pub struct View<'v> {
    /// What was seen, and what follows from it: derived once, and read by the checks and by every renderer.
    pub facts: &'v Facts<'v>,
    /// What it means.
    pub report: &'v Report,
    /// Since when the verdict holds.
    pub verdict_since: Timestamp,
    /// How the observer is doing; `None` where there is no cluster to watch.
    pub health: Option<&'v ObserverHealth>,
    /// How many requests of each class were sent to the API server.
    pub requests: &'v [(RequestClass, u64)],
    /// How the certificate of the doctor's own server is doing; `None` over plain HTTP.
    pub certificate: Option<CertificateState>,
    /// What is remembered of earlier looks; `None` for a report alone.
    pub history: Option<&'v History>,
    /// How the doctor's own process is doing; `None` where the operating system does not tell.
    pub process: Option<ProcessUsage>,
    /// How long judging and rendering the look before this one took; `None` for the first and for a report alone.
    pub judged_in: Option<Duration>,
    /// Of which autoscalers the page tells more.
    pub hpa_series: HpaSeries,
}

impl<'v> View<'v> {
    /// A view of a report without an observer behind it.
    pub fn new(facts: &'v Facts<'v>, report: &'v Report) -> Self {
        Self {
            facts,
            report,
            verdict_since: facts.now(),
            health: None,
            requests: &[],
            certificate: None,
            history: None,
            process: None,
            judged_in: None,
            hpa_series: HpaSeries::default(),
        }
    }
}
