//! Step `logs`: lines of metrics-server's logs by class.

use super::{Family, Page};
use crate::{catalogue::Stage, guide::Step, render::View, wording::metrics_server_log::OTHER_CLASSES};

const LINES: Family = Family::counter(
    "metrics_server_doctor_log_lines",
    &["class"],
    "Lines of the logs of metrics-server's containers since the doctor started, by the cause that they tell of",
)
.absent_where("no log was read, or a bundle or the demo is shown")
.series(1, &["class"]);
const LAST: Family = Family::gauge(
    "metrics_server_doctor_log_last_seen_timestamp_seconds",
    &["class"],
    "Unix time of the newest line of this class in the logs of metrics-server's containers",
)
.absent_where("no log was read, or no line of the class was seen")
.series(1, &["class"]);

const NODES: Family = Family::gauge(
    "metrics_server_doctor_log_unscraped_nodes",
    &["class"],
    "Nodes that metrics-server does not scrape, by the cause that the last minutes of its logs tell",
)
.absent_where("no log could be read")
.series(1, &["class"]);
const KUBELET_REQUESTS: Family = Family::counter(
    "metrics_server_doctor_kubelet_requests",
    &["success"],
    "Requests to kubelets since the doctor started, from metrics_server_kubelet_request_total on metrics-server's own page",
)
.absent_where("metrics-server's own page is not served to everybody, or the doctor does not dial")
.series(2, &[]);

/// The families of this module.
pub(super) const FAMILIES: &[Family] = &[LINES, LAST, NODES, KUBELET_REQUESTS];

pub(super) fn write(view: &View<'_>, page: &mut Page) {
    if let Some(requests) = view.health.and_then(|health| health.kubelet_requests) {
        page.set(&KUBELET_REQUESTS, ["true"], requests.succeeded);
        page.set(&KUBELET_REQUESTS, ["false"], requests.failed);
    }
    if let Ok(unscraped) = view.facts.unscraped_nodes() {
        let scrapes = crate::steps::checks(Step::Logs).iter().flat_map(|check| check.causes);
        for cause in scrapes.filter(|cause| cause.stage() == Stage::KubeletScrapes) {
            page.set(&NODES, [cause.id()], unscraped.get(cause).copied().unwrap_or_default());
        }
    }
    let Some(health) = view.health.filter(|health| !health.log_lines.is_empty()) else { return };
    let causes = crate::steps::checks(Step::Logs).iter().flat_map(|check| check.causes).map(|cause| cause.id());
    for class in causes.chain(OTHER_CLASSES) {
        let lines = health.log_lines.get(class).copied().unwrap_or_default();
        page.set(&LINES, [class], lines.count);
        if let Some(last) = lines.last {
            page.set(&LAST, [class], last);
        }
    }
}
