//! Observers fill a [`Snapshot`](crate::snapshot::Snapshot): the only code that does input and output and reads a clock.

pub mod bundle;
pub mod cluster;
pub mod demo;
