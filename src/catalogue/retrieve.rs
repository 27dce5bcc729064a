//! Causes of step `retrieve`: `kubectl top`.

use super::{Cause, Entry, Role, Stage};
use crate::guide::Step;

pub(super) static CAUSES: &[Entry] = &[
    Entry {
        cause: Cause::NodesWithoutSamples,
        id: "nodes_without_samples",
        step: Step::Retrieve,
        stage: Stage::Samples,
        role: Role::Root,
        title: "Ready nodes have no sample in the metrics API.",
        recognised_by: "Ready nodes older than two scrapes that the answer for nodes leaves out (metrics-server's own Fargate node excepted)",
        remedy: "Read metrics-server's log for those nodes, and ask their kubelets: `kubectl get --raw /api/v1/nodes/NODE/proxy/metrics/resource`.",
        guide: "kubectl top nodes",
        issues: &["#792"],
    },
    Entry {
        cause: Cause::PodsWithoutSamples,
        id: "pods_without_samples",
        step: Step::Retrieve,
        stage: Stage::Samples,
        role: Role::Root,
        title: "Running pods have no sample in the metrics API.",
        recognised_by: "Running pods older than two minutes that the answer for pods leaves out",
        remedy: "Check the container runtime's stats on their nodes; up to 0.9 one container without CPU or memory drops its whole pod.",
        guide: "kubectl top pods",
        issues: &["#1061", "#1816"],
    },
    Entry {
        cause: Cause::SamplesStale,
        id: "samples_stale",
        step: Step::Retrieve,
        stage: Stage::Samples,
        role: Role::Root,
        title: "The samples in the metrics API are old.",
        recognised_by: "the newest sample is older than two and a half times the metric resolution",
        remedy: "Restart metrics-server, and read its log for scrapes that do not finish in time.",
        guide: "",
        issues: &[],
    },
    Entry {
        cause: Cause::MetricsApiFailing,
        id: "metrics_api_failing",
        step: Step::Retrieve,
        stage: Stage::CallerRights,
        role: Role::Symptom,
        title: "The metrics API fails although its APIService is available.",
        recognised_by: "calls through the aggregator fail while condition Available is True",
        remedy: "`kubectl get --raw /apis/metrics.k8s.io/v1beta1/nodes` as an ordinary account shows the error.",
        guide: "kubectl top nodes",
        issues: &[],
    },
];
