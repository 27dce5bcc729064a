//! Renderers: pure functions from a [`View`] to what people and Prometheus read.

pub mod html;
pub mod metrics;
pub mod runbook;
pub mod text;

use clap::ValueEnum;
use jiff::Timestamp;

use crate::{
    facts::chain::Chain,
    health::{CertificateState, ObserverHealth, ProcessUsage, RequestClass},
    history::History,
    report::Report,
    snapshot::Snapshot,
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
    /// What was seen.
    pub snapshot: &'v Snapshot,
    /// The chain of `snapshot`.
    pub chain: Chain<'v>,
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
    /// Of which autoscalers the page tells more.
    pub hpa_series: HpaSeries,
}

impl<'v> View<'v> {
    /// A view of a report without an observer behind it.
    pub fn new(snapshot: &'v Snapshot, report: &'v Report) -> Self {
        Self {
            snapshot,
            chain: Chain::resolve(snapshot),
            report,
            verdict_since: snapshot.observed_at,
            health: None,
            requests: &[],
            certificate: None,
            history: None,
            process: None,
            hpa_series: HpaSeries::default(),
        }
    }

    /// What a check reads.
    pub(crate) fn context(&self) -> crate::facts::Facts<'_> {
        crate::facts::Facts::new(self.snapshot)
    }
}
