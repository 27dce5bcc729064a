//! What each case of `tests/alerting` ends in; the page `docs/alerts.md` names the same.

/// A case, and the one notification that it ends in.
pub(crate) struct Ending {
    pub(crate) case: &'static str,
    /// `alertname severity step/cause`, followed by `namespace/hpa` where it has them.
    pub(crate) told: &'static str,
}

const fn ending(case: &'static str, told: &'static str) -> Ending {
    Ending { case, told }
}

pub(crate) const SERVICE_PORT: Ending =
    ending("Service port wrong", "MetricsServerServiceBroken critical other_reasons/service_port_mismatch");
pub(crate) const SELECTOR: Ending =
    ending("selector matches nothing", "MetricsServerServiceBroken critical other_reasons/selector_matches_nothing");
pub(crate) const DROPPED: Ending =
    ending("packets dropped", "MetricsServerTimeout critical timeout/control_plane_path_closed");
pub(crate) const SIDECAR: Ending =
    ending("a sidecar without request", "HPATargetsUnknown warning hpa/missing_request shop/sidecar");
pub(crate) const KUBELETS: Ending =
    ending("kubelets answer 401", "MetricsServerLogsErrors critical logs/kubelet_unauthorized");
pub(crate) const AUTH_READER: Ending =
    ending("auth-reader missing", "MetricsServerForbidden critical forbidden/auth_reader_missing");
pub(crate) const RIGHTS: Ending =
    ending("rights of the doctor revoked", "MetricsServerDoctorBlind warning none/permission_missing");
pub(crate) const KILLED: Ending = ending("doctor killed", "MetricsServerDoctorDown warning none/unreachable");
