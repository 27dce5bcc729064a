//! Step `retrieve`: the two calls of `kubectl top`.

use super::{Family, Page};
use crate::{
    facts::coverage::{node_coverage, pods_without_samples, sample_ages, sample_windows},
    guide::Step,
    render::View,
    snapshot::{
        NotSeen, Observed, Retrieval,
        retrieval::{ErrorClass, Outcome},
    },
};

const UP: Family = Family::gauge(
    "metrics_server_doctor_metrics_api_up",
    &["resource"],
    "1 when the metrics API answered the doctor's last call for this resource with samples, else 0",
)
.absent_where("it was not called, or the doctor itself may not call it")
.series(1, &["resource"]);
const ERROR: Family = Family::gauge(
    "metrics_server_doctor_metrics_api_error",
    &["resource", "class"],
    "1 for the class of error that the last call ended with, by code and body, 0 for the others",
)
.absent_where("it was not called, or the doctor itself may not call it")
.series(12, &["resource"]);
const LATENCY: Family = Family::gauge(
    "metrics_server_doctor_metrics_api_latency_seconds",
    &["resource"],
    "Seconds that the last call of the metrics API took, through the aggregator",
)
.absent_where("it was not called on a cluster, or the doctor itself may not call it")
.series(1, &["resource"]);
const NODES_EXPECTED: Family =
    Family::gauge("metrics_server_doctor_metrics_api_nodes_expected", &[], "Ready nodes that should have a sample")
        .absent_where("nodes were not seen, or the metrics API gives no samples of nodes")
        .series(1, &[]);
const NODES_MISSING: Family = Family::gauge(
    "metrics_server_doctor_metrics_api_nodes_without_sample",
    &[],
    "Ready nodes that should have a sample in the metrics API and have none",
)
.absent_where("nodes were not seen, or the metrics API gives no samples of nodes")
.series(1, &[]);
const NODE_MISSING: Family = Family::gauge(
    "metrics_server_doctor_node_without_sample",
    &["node"],
    "1 for a Ready node that should have a sample in the metrics API and has none; of many the first by name, as many as metrics_server_doctor_node_without_sample_limit says",
)
.absent_where("the node has a sample, nodes were not seen, or the metrics API gives no samples of nodes")
.series(1, &["node"]);
const NODE_LIMIT: Family = Family::gauge(
    "metrics_server_doctor_node_without_sample_limit",
    &[],
    "The most nodes that metrics_server_doctor_node_without_sample names; metrics_server_doctor_metrics_api_nodes_without_sample counts all",
)
.series(1, &[]);
const PODS_MISSING: Family = Family::gauge(
    "metrics_server_doctor_metrics_api_pods_without_sample",
    &[],
    "Pods Ready for minutes, of the namespaces that were asked for and as far as the doctor sees pods, that have no sample in the metrics API",
)
.absent_where("the metrics API gives no samples of pods")
.series(1, &[]);
const SAMPLE_AGE: Family = Family::gauge(
    "metrics_server_doctor_metrics_api_sample_age_seconds",
    &["sample"],
    "Age of the newest and of the oldest sample in the answers of the metrics API",
)
.absent_where("the metrics API gives no samples, or they have no time")
.series(2, &[]);
const SAMPLE_TIME: Family = Family::gauge(
    "metrics_server_doctor_metrics_api_sample_timestamp_seconds",
    &["sample"],
    "Unix time of the newest and of the oldest sample in the answers of the metrics API, from field timestamp",
)
.absent_where("the metrics API gives no samples, or they have no time")
.series(2, &[]);
const SAMPLE_WINDOW: Family = Family::gauge(
    "metrics_server_doctor_metrics_api_sample_window_seconds",
    &["window"],
    "The shortest and the longest time over which samples in the answers of the metrics API were measured, from field window",
)
.absent_where("the metrics API gives no samples, or they have no window")
.series(2, &[]);

/// The families of this module.
pub(super) const FAMILIES: &[Family] = &[
    UP,
    ERROR,
    LATENCY,
    NODES_EXPECTED,
    NODES_MISSING,
    NODE_MISSING,
    NODE_LIMIT,
    PODS_MISSING,
    SAMPLE_AGE,
    SAMPLE_TIME,
    SAMPLE_WINDOW,
];

/// Nodes that are named; a whole cluster without samples is told by their number.
const NAMED_NODES: usize = 20;

pub(super) fn write(view: &View<'_>, page: &mut Page) {
    page.set_single(&NODE_LIMIT, NAMED_NODES);
    let snapshot = view.facts.snapshot;
    for (resource, retrieval) in [("nodes", &snapshot.top_nodes), ("pods", &snapshot.top_pods)] {
        // A call that the doctor itself may not make says nothing of the API.
        let answers = view.report.answers.iter();
        let refused = answers
            .filter(|answer| answer.step == Step::Retrieve && answer.check == resource)
            .any(|answer| matches!(answer.not_seen, Some(NotSeen::Forbidden { .. })));
        if let (Observed::Present(retrieval), false) = (retrieval, refused) {
            write_call(resource, retrieval, page);
        }
    }
    if let Ok(coverage) = node_coverage(snapshot, &view.facts.chain) {
        page.set_single(&NODES_EXPECTED, coverage.expected);
        page.set_single(&NODES_MISSING, coverage.missing.len());
        let mut missing = coverage.missing;
        missing.sort();
        for node in missing.into_iter().take(NAMED_NODES) {
            page.set(&NODE_MISSING, [node], true);
        }
    }
    if let Ok(missing) = pods_without_samples(snapshot, &view.facts.chain) {
        page.set_single(&PODS_MISSING, missing.len());
    }
    if let Some((shortest, longest)) = sample_windows(snapshot) {
        page.set(&SAMPLE_WINDOW, ["shortest"], shortest.as_secs_f64());
        page.set(&SAMPLE_WINDOW, ["longest"], longest.as_secs_f64());
    }
    if let Some((newest, oldest)) = sample_ages(snapshot) {
        for (sample, age) in [("newest", newest), ("oldest", oldest)] {
            page.set(&SAMPLE_AGE, [sample], age.as_secs_f64());
            // A clock that cannot be right is not told.
            if let Ok(time) = snapshot.observed_at.checked_sub(age) {
                page.set(&SAMPLE_TIME, [sample], time);
            }
        }
    }
}

fn write_call(resource: &'static str, retrieval: &Retrieval, page: &mut Page) {
    let class = match &retrieval.outcome {
        Outcome::Samples(_) => None,
        Outcome::Failed { class, .. } => Some(*class),
    };
    page.set(&UP, [resource], class.is_none());
    for known in ErrorClass::ALL {
        page.set(&ERROR, [resource, known.label()], class == Some(known));
    }
    if let Some(latency) = retrieval.latency {
        page.set(&LATENCY, [resource], latency.as_secs_f64());
    }
}
