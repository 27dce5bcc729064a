//! Flags that a version of metrics-server does not know, and values that it refuses.

use super::metrics_server;
use crate::snapshot::{pod::Container, version::Version};

/// Flags that a version no longer knows, with the first version without them
/// (kubernetes-sigs/metrics-server 0.7.0 dropped klog's deprecated flags; 0.6.0 had lost them by accident).
const REMOVED_FLAGS: [(&str, Version); 13] = [
    ("source", Version::new(0, 3, 0)),
    ("deprecated-kubelet-completely-insecure", Version::new(0, 4, 0)),
    ("log-dir", Version::new(0, 7, 0)),
    ("log-file", Version::new(0, 7, 0)),
    ("log-file-max-size", Version::new(0, 7, 0)),
    ("logtostderr", Version::new(0, 7, 0)),
    ("alsologtostderr", Version::new(0, 7, 0)),
    ("one-output", Version::new(0, 7, 0)),
    ("stderrthreshold", Version::new(0, 7, 0)),
    ("skip-log-headers", Version::new(0, 7, 0)),
    ("add-dir-header", Version::new(0, 7, 0)),
    ("skip-headers", Version::new(0, 7, 0)),
    ("log-backtrace-at", Version::new(0, 7, 0)),
];

/// Flags with the first version that knows them.
const ADDED_FLAGS: [(&str, Version); 8] = [
    ("kubelet-use-node-status-port", Version::new(0, 4, 0)),
    ("kubelet-client-certificate", Version::new(0, 4, 0)),
    ("kubelet-client-key", Version::new(0, 4, 0)),
    ("kubelet-request-timeout", Version::new(0, 7, 0)),
    ("node-selector", Version::new(0, 7, 0)),
    ("logging-format", Version::new(0, 7, 0)),
    ("disable-http2-serving", Version::new(0, 8, 0)),
    ("tls-curve-preferences", Version::new(0, 9, 0)),
];

/// A flag that this version does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownFlag {
    /// The flag without its dashes.
    pub name: &'static str,
    /// The first version that does not know it any more, or that knows it.
    pub since: Version,
    /// Whether the flag was removed; else it came later.
    pub removed: bool,
}

impl UnknownFlag {
    /// From when to when the flag is known.
    pub fn known(&self) -> String {
        if self.removed { format!("until before {}", self.since) } else { format!("from {} on", self.since) }
    }
}

/// The first flag of the command line that this version does not know.
pub fn unknown_flag(container: &Container, version: Version) -> Option<UnknownFlag> {
    let given = |name: &str| metrics_server::flag(container, name).is_some();
    // 0.6.0 alone had lost klog's flags by accident.
    let lost = version == Version::new(0, 6, 0);
    let removed = REMOVED_FLAGS
        .iter()
        .find(|(name, since)| (version >= *since || lost && *since == Version::new(0, 7, 0)) && given(name));
    let early = ADDED_FLAGS.iter().find(|(name, since)| version < *since && given(name));
    removed
        .map(|&(name, since)| UnknownFlag { name, since, removed: true })
        .or_else(|| early.map(|&(name, since)| UnknownFlag { name, since, removed: false }))
}

/// Values that the version's own validation refuses (kubernetes-sigs/metrics-server `cmd/metrics-server/app/options`).
pub fn refused_value(container: &Container, version: Version) -> Option<String> {
    let seconds = |name: &str| metrics_server::flag(container, name).and_then(metrics_server::duration_seconds);
    let resolution = seconds("metric-resolution").unwrap_or(60.0);
    if version >= Version::new(0, 6, 0) && resolution < 10.0 {
        return Some(format!("--metric-resolution={resolution}s is below 10s"));
    }
    let timeout = seconds("kubelet-request-timeout").unwrap_or(10.0);
    if version >= Version::new(0, 7, 0) && resolution * 0.9 < timeout {
        return Some(format!(
            "--metric-resolution={resolution}s is too close to the kubelet request timeout of {timeout}s"
        ));
    }
    let given = |name: &str| metrics_server::flag(container, name).is_some();
    if given("kubelet-certificate-authority") && given("kubelet-insecure-tls") {
        return Some("--kubelet-certificate-authority excludes --kubelet-insecure-tls".to_owned());
    }
    None
}
