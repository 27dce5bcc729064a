//! Series that the shipped recording rules make and panels show.

/// Share of the time of a cluster's autoscalers in which they had their metrics, over 30 days.
pub(crate) const OBJECTIVE: &str = "cluster:metrics_server_doctor_hpa_with_metrics:ratio30d";
/// The same by namespace.
pub(crate) const NAMESPACE_OBJECTIVE: &str = "namespace:metrics_server_doctor_hpa_with_metrics:ratio30d";
