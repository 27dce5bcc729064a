//! metrics-server-doctor walks the guide "Why can't I collect metrics from containers, pods, or nodes using Metrics
//! Server in Amazon EKS?" without rest and turns every step of it into gauges.
//!
//! ```text
//!  watches, probes, bundle, demo     checks: pure functions          renderers: pure functions
//!  observe/ ──▶ snapshot/ ──▶ chain ──▶ steps/*.rs ──▶ verdict ──▶ report ──▶ render/ (metrics, text, JSON)
//! ```
//!
//! Invariants: `snapshot`, `chain`, `check`, `steps`, `catalogue`, `verdict`, `report` and `render` do no I/O and read
//! no clock; *not seen* and *absent* are different types ([`snapshot::Observed`]); the page that Prometheus scrapes is
//! encoded from an immutable report and never computed during a scrape.

#![cfg_attr(
    test,
    allow(
        clippy::needless_pass_by_value,
        clippy::struct_field_names,
        reason = "tables of tests hand over what json! makes"
    )
)]

pub mod args;
pub mod catalogue;
pub mod check;
pub mod facts;
pub mod guide;
pub mod health;
pub mod history;
pub mod http;
pub mod observe;
pub mod render;
pub mod report;
pub mod run;
pub mod runbooks;
pub mod snapshot;
pub mod steps;
pub mod verdict;
pub mod version;
pub mod wording;

#[cfg(test)]
mod testing;
