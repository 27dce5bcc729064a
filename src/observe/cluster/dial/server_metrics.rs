//! What metrics-server's own `/metrics` says of its requests to kubelets.

use std::collections::BTreeMap;

use crate::{health::KubeletRequests, observe::cluster::heard::Target};

/// Reads the counters of a page; `None` where it has none.
pub(super) fn kubelet_requests(page: &str) -> Option<KubeletRequests> {
    let mut found = None;
    for line in page.lines() {
        let labels = ["metrics_server_kubelet_request_total{", "metrics_server_kubelet_summary_scrapes_total{"]
            .iter()
            .find_map(|name| line.strip_prefix(name));
        let Some((labels, value)) = labels.and_then(|labels| labels.split_once('}')) else { continue };
        // Counters are written as floats, large ones with an exponent.
        let Some(value) = value.split_whitespace().next().and_then(|value| value.parse::<f64>().ok()) else { continue };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count far below 2^53")]
        let value = value.max(0.0) as u64;
        let requests: &mut KubeletRequests = found.get_or_insert_default();
        match labels.trim_end_matches(',') {
            r#"success="true""# => requests.succeeded += value,
            r#"success="false""# => requests.failed += value,
            _ => {}
        }
    }
    found
}

/// Requests to kubelets by all servers since the doctor started, over their restarts.
#[derive(Debug, Default)]
pub(in crate::observe::cluster) struct KubeletRequestTotals {
    last: BTreeMap<Target, KubeletRequests>,
    total: Option<KubeletRequests>,
}

impl KubeletRequestTotals {
    /// Adds what one round of dials has read; a server that is not in it is forgotten.
    pub(in crate::observe::cluster) fn add(&mut self, round: &[(Target, KubeletRequests)]) {
        let grown = |before: u64, now: u64| if now >= before { now - before } else { now };
        let mut last = BTreeMap::new();
        for (target, now) in round {
            let total = self.total.get_or_insert_default();
            // What a server had counted before the doctor met it is not the doctor's to tell.
            let before = self.last.get(target).copied().unwrap_or(*now);
            total.succeeded += grown(before.succeeded, now.succeeded);
            total.failed += grown(before.failed, now.failed);
            last.insert(*target, *now);
        }
        self.last = last;
    }

    /// The sums; `None` while no server has told.
    pub(in crate::observe::cluster) fn total(&self) -> Option<KubeletRequests> {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_both_eras_are_read() {
        let new = "# TYPE metrics_server_kubelet_request_total counter\nmetrics_server_kubelet_request_total{success=\"false\"} 3\nmetrics_server_kubelet_request_total{success=\"true\"} 1.2e+06\n";
        assert_eq!(kubelet_requests(new), Some(KubeletRequests { succeeded: 1_200_000, failed: 3 }));
        let old = "metrics_server_kubelet_summary_scrapes_total{success=\"true\"} 5\n";
        assert_eq!(kubelet_requests(old), Some(KubeletRequests { succeeded: 5, failed: 0 }));
        assert_eq!(kubelet_requests("up 1\n"), None);
    }

    #[test]
    fn sums_grow_over_restarts_and_never_fall() {
        let target: Target = ("10.0.0.1".parse().expect("an address"), 10250);
        let mut totals = KubeletRequestTotals::default();
        assert_eq!(totals.total(), None);
        for (now, expected) in [(100, 0), (110, 10), (4, 14), (4, 14)] {
            totals.add(&[(target, KubeletRequests { succeeded: now, failed: 0 })]);
            assert_eq!(totals.total().map(|total| total.succeeded), Some(expected));
        }
        totals.add(&[]);
        totals.add(&[(target, KubeletRequests { succeeded: 50, failed: 0 })]);
        assert_eq!(totals.total().map(|total| total.succeeded), Some(14));
    }
}
