//! What other programs' texts say: text in, typed value out. Nothing else in the program compares such texts.

pub mod aggregator;
pub mod api_error;
pub mod autoscaler;
pub mod controller;
pub mod failure;
pub mod kubelet;
pub mod mentions;
pub mod metrics_server_log;
pub mod secrets;
mod table;
pub mod written;

pub use self::table::quoted;
