//! What follows from a snapshot, derived once and without judging it.

pub mod chain;
pub mod metrics_server;
pub mod rbac;
