//! What the controllers of workloads say (kubernetes/kubernetes `pkg/controller`, `plugin/pkg/admission/serviceaccount`).

/// Whether pods are refused because their `ServiceAccount` does not exist.
pub fn lacks_service_account(message: &str) -> bool {
    message.contains("error looking up service account")
}
