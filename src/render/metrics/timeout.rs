//! Step `timeout`: the doctor's own dials of metrics-server's endpoints.

use super::{Family, Page};
use crate::{render::View, snapshot::DialOutcome};

const DIALS: Family = Family::gauge(
    "metrics_server_doctor_endpoints_dial_outcome",
    &["namespace", "service", "outcome"],
    "Endpoints of the Service by how the doctor's last direct dial of them (TCP, TLS, /livez) ended",
)
.absent_where("the doctor does not dial, or no APIService of metrics.k8s.io names a Service")
.series(8, &[]);
const LATENCY: Family = Family::gauge(
    "metrics_server_doctor_endpoints_dial_latency_seconds",
    &["namespace", "service"],
    "Seconds that the slowest of the doctor's last direct dials took",
)
.absent_where("the doctor does not dial, or no endpoint was dialled")
.series(1, &[]);

/// The families of this module.
pub(super) const FAMILIES: &[Family] = &[DIALS, LATENCY];

pub(super) fn write(view: &View<'_>, page: &mut Page) {
    let (Some(dials), Some(reference)) = (view.facts.snapshot.dials.seen(), view.facts.chain.service_reference())
    else {
        return;
    };
    let service = [reference.namespace.as_str(), reference.name.as_str()];
    for outcome in DialOutcome::ALL {
        let count = dials.iter().filter(|dial| dial.outcome == outcome).count();
        page.set(&DIALS, [service[0].to_owned(), service[1].to_owned(), outcome.label().to_owned()], count);
    }
    if let Some(slowest) = dials.iter().map(|dial| dial.took).max() {
        page.set(&LATENCY, service.map(str::to_owned), slowest.as_secs_f64());
    }
}
