//! The rows, by what they break.

#[path = "rows/authentication.rs"]
pub(crate) mod authentication;
#[path = "rows/autoscalers.rs"]
pub(crate) mod autoscalers;
#[path = "rows/containers.rs"]
pub(crate) mod containers;
#[path = "rows/kubelets.rs"]
pub(crate) mod kubelets;
#[path = "rows/network.rs"]
pub(crate) mod network;
#[path = "rows/packagings.rs"]
pub(crate) mod packagings;
#[path = "rows/printer.rs"]
pub(crate) mod printer;
#[path = "rows/registration.rs"]
pub(crate) mod registration;
#[path = "rows/reports.rs"]
pub(crate) mod reports;
#[path = "rows/rights.rs"]
pub(crate) mod rights;
