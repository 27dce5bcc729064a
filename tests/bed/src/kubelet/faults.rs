//! What may be wrong with a kubelet.

use std::time::Duration;

use jiff::Timestamp;

/// What happens to requests for a node's metrics.
#[derive(Debug, Clone)]
pub enum MetricsFault {
    /// Answered with this status.
    Status(u16),
    /// Answered so much later.
    Slow(Duration),
    /// Answered with a page that is not metrics.
    Garbage,
    /// The node's own values are missing.
    WithoutNode,
    /// The memory of every container of the pods whose name begins so is zero, as of a runtime without statistics.
    EmptyContainers(String),
    /// Every value was measured at this moment.
    Frozen(Timestamp),
}

/// With which certificate the kubelet serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServingCertificate {
    /// Signed by the cluster's authority for the node's address.
    Signed,
    /// Signed by the cluster's authority for a name only.
    WithoutAddress,
    /// Signed by somebody else, as kubelets sign for themselves.
    UnknownAuthority,
    /// None yet: its request for one is pending.
    Missing,
}

#[derive(Debug, Default)]
pub(super) struct Faults(Vec<(Option<String>, MetricsFault)>);

impl Faults {
    pub(super) fn begin(&mut self, node: Option<&str>, fault: MetricsFault) {
        self.0.push((node.map(str::to_owned), fault));
    }

    pub(super) fn of(&self, node: &str) -> Vec<MetricsFault> {
        let concerns = |wanted: &Option<String>| wanted.as_deref().is_none_or(|wanted| wanted == node);
        self.0.iter().filter(|(wanted, _)| concerns(wanted)).map(|(_, fault)| fault.clone()).collect()
    }
}
