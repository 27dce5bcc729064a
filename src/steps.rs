//! What is asked in each section of the guide: one module a step, one function a check.

pub mod apiservice;
pub mod connection_refused;
pub mod forbidden;
pub mod hpa;
pub mod installed;
pub mod known_issues;
pub mod logs;
pub mod other_reasons;
pub mod retrieve;
pub mod timeout;

use crate::{check::Check, guide::Step};

/// The checks of a step, in the order in which the report tells them.
pub const fn checks(step: Step) -> &'static [Check] {
    match step {
        Step::Installed => installed::CHECKS,
        Step::Retrieve => retrieve::CHECKS,
        Step::Forbidden => forbidden::CHECKS,
        Step::Apiservice => apiservice::CHECKS,
        Step::Timeout => timeout::CHECKS,
        Step::ConnectionRefused => connection_refused::CHECKS,
        Step::OtherReasons => other_reasons::CHECKS,
        Step::Logs => logs::CHECKS,
        Step::KnownIssues => known_issues::CHECKS,
        Step::Hpa => hpa::CHECKS,
    }
}

/// All checks, in the guide's order.
pub fn all() -> impl Iterator<Item = &'static Check> {
    Step::ALL.into_iter().flat_map(checks)
}
