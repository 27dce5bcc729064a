//! Observers: the only part of the project that reads a cluster, a disk or a clock. Each fills the same snapshot.

pub mod bundle;
pub mod demo;
