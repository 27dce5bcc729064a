//! `NodeMetrics` and `PodMetrics` of a bundle: what `kubectl get --raw /apis/metrics.k8s.io/v1beta1/nodes` or
//! `kubectl get nodemetrics -o yaml` prints is the answer of the metrics API itself, with timestamps.

use std::time::Duration;

use serde_json::Value;

use super::texts::Top;
use crate::{
    facts::metrics_server,
    snapshot::{
        Retrieval,
        retrieval::{ErrorClass, Outcome, Sample},
    },
};

/// The answers for nodes and for pods; `None` where they were not asked for.
#[derive(Default)]
pub(super) struct Metrics {
    nodes: Option<Vec<Sample>>,
    pods: Option<Vec<Sample>>,
}

impl Metrics {
    fn of(&mut self, kind: &str, api_version: &str) -> Option<&mut Option<Vec<Sample>>> {
        match kind {
            _ if !api_version.starts_with("metrics.k8s.io/") => None,
            "NodeMetrics" => Some(&mut self.nodes),
            "PodMetrics" => Some(&mut self.pods),
            _ => None,
        }
    }

    /// Takes note of a list, which may be empty.
    pub(super) fn add_list(&mut self, item_kind: &str, api_version: &str) {
        if let Some(samples) = self.of(item_kind, api_version) {
            samples.get_or_insert_default();
        }
    }

    /// Adds a sample; `false` for an object of another kind.
    pub(super) fn add(&mut self, kind: &str, api_version: &str, value: &Value) -> bool {
        let Some(samples) = self.of(kind, api_version) else { return false };
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or("");
        samples.get_or_insert_default().push(Sample {
            namespace: text("/metadata/namespace").to_owned(),
            name: text("/metadata/name").to_owned(),
            timestamp: text("/timestamp").parse().ok(),
            window: metrics_server::duration_seconds(text("/window"))
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            unknown: false,
        });
        true
    }

    /// The answer, as a call would have got it.
    pub(super) fn retrieval(&self, which: Top) -> Option<Retrieval> {
        let samples = match which {
            Top::Nodes => self.nodes.clone()?,
            Top::Pods => self.pods.clone()?,
        };
        let outcome = if samples.is_empty() && which == Top::Nodes {
            Outcome::Failed { class: ErrorClass::Empty, text: "NodeMetricsList without items".to_owned() }
        } else {
            Outcome::Samples(samples)
        };
        Some(Retrieval { outcome, latency: None })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_of_the_metrics_api_are_its_answer() {
        let mut metrics = Metrics::default();
        assert_eq!(metrics.retrieval(Top::Nodes), None, "nobody asked");
        metrics.add_list("NodeMetrics", "metrics.k8s.io/v1beta1");
        let empty = metrics.retrieval(Top::Nodes).map(|retrieval| retrieval.outcome);
        assert!(matches!(empty, Some(Outcome::Failed { class: ErrorClass::Empty, .. })), "{empty:?}");
        let value = json!({"metadata": {"name": "node-1"}, "timestamp": "2026-01-01T00:00:00Z", "window": "15.045s", "usage": {}});
        assert!(metrics.add("NodeMetrics", "metrics.k8s.io/v1beta1", &value));
        assert!(!metrics.add("NodeMetrics", "example.org/v1", &value), "another group");
        assert!(!metrics.add("Node", "v1", &value));
        let Some(Outcome::Samples(samples)) = metrics.retrieval(Top::Nodes).map(|retrieval| retrieval.outcome) else {
            panic!("samples")
        };
        assert_eq!((samples[0].name.as_str(), samples[0].window), ("node-1", Some(Duration::from_millis(15_045))));
        assert!(samples[0].timestamp.is_some());
    }
}
