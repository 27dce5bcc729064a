//! Step `apiservice`: conditions of the aggregated APIs that autoscalers use.

use super::{Family, Page};
use crate::{
    facts::certificates::earliest_expiry,
    render::View,
    snapshot::{ApiService, ConditionStatus, Named, api_service::METRICS_GROUP},
    wording::aggregator::{MessageClass, Reason},
};

const AVAILABLE: Family = Family::gauge(
    "apiservice_available",
    &["apiservice"],
    "1 when condition Available of the APIService is True, 0 when it is False or Unknown or v1beta1.metrics.k8s.io does not exist",
)
.absent_where("APIServices were not seen")
.series(1, &["apiservice"]);
const STATUS: Family = Family::gauge(
    "metrics_server_doctor_apiservice_condition_status",
    &["apiservice", "status"],
    "1 for the status of condition Available of the APIService, 0 for the others; Unknown also where there is no condition",
)
.absent_where("APIServices were not seen, or this one does not exist")
.series(3, &["apiservice"]);
const REASON: Family = Family::gauge(
    "metrics_server_doctor_apiservice_condition_reason",
    &["apiservice", "reason"],
    "1 for the reason of condition Available of the APIService, 0 for the others",
)
.absent_where("APIServices were not seen")
.series(11, &["apiservice"]);
const TRANSITION: Family = Family::gauge(
    "metrics_server_doctor_apiservice_condition_last_transition_timestamp_seconds",
    &["apiservice"],
    "Unix time of lastTransitionTime of condition Available of the APIService",
)
.absent_where("the APIService was not seen or has no such condition")
.series(1, &["apiservice"]);
const TRANSITIONS: Family = Family::counter(
    "metrics_server_doctor_apiservice_condition_transitions",
    &["apiservice"],
    "How often the status of condition Available of the APIService changed, by its lastTransitionTime from look to look, since the doctor started",
)
.absent_where("the APIService was not seen yet, or does not exist")
.series(1, &["apiservice"]);
const MESSAGE: Family = Family::gauge(
    "metrics_server_doctor_apiservice_condition_message_class",
    &["apiservice", "class"],
    "1 for the class of the message of condition Available of the APIService while it is not True, 0 for the others",
)
.absent_where("APIServices were not seen, or this one does not exist")
.series(14, &["apiservice"]);
const INSECURE: Family = Family::gauge(
    "metrics_server_doctor_apiservice_insecure_skip_tls_verify",
    &["apiservice"],
    "1 when spec.insecureSkipTLSVerify of the APIService is true, else 0",
)
.absent_where("APIServices were not seen, or this one does not exist")
.series(1, &["apiservice"]);
const EXPIRY: Family = Family::gauge(
    "metrics_server_doctor_apiservice_ca_bundle_not_after_timestamp_seconds",
    &["apiservice"],
    "Unix time at which the first certificate in spec.caBundle of the APIService expires",
)
.absent_where("the APIService was not seen, or has no spec.caBundle that can be read")
.series(1, &["apiservice"]);

/// The families of this module.
pub(super) const FAMILIES: &[Family] = &[AVAILABLE, STATUS, REASON, TRANSITION, TRANSITIONS, MESSAGE, INSECURE, EXPIRY];

/// Where a missing `APIService` is counted although there is no object.
const EXPECTED: &str = "v1beta1.metrics.k8s.io";

pub(super) fn write(view: &View<'_>, page: &mut Page) {
    let api_services = &view.facts.snapshot.api_services;
    if api_services.get("", EXPECTED).is_absent() {
        page.set(&AVAILABLE, [EXPECTED], false);
        page.set_one_of(&REASON, &[EXPECTED], Reason::ALL.map(Reason::label), Reason::NotRegistered.label());
    }
    for api_service in api_services.iter().filter(|api_service| feeds_autoscalers(api_service)) {
        write_one(view, api_service, page);
    }
}

/// metrics.k8s.io, and the APIs of custom and external metrics.
fn feeds_autoscalers(api_service: &ApiService) -> bool {
    [METRICS_GROUP, "custom.metrics.k8s.io", "external.metrics.k8s.io"].contains(&api_service.spec.group.as_str())
}

fn write_one(view: &View<'_>, api_service: &ApiService, page: &mut Page) {
    let name = api_service.name();
    let condition = api_service.available();
    let status = condition.map_or(ConditionStatus::Unknown, |condition| condition.status);
    let available = status == ConditionStatus::True;
    let owned = [name.to_owned()];
    page.set(&AVAILABLE, owned.clone(), available);
    page.set_one_of(&STATUS, &[name], ConditionStatus::ALL.map(ConditionStatus::label), status.label());
    page.set_one_of(
        &REASON,
        &[name],
        Reason::ALL.map(Reason::label),
        Reason::of(api_service.available().map_or("", |condition| condition.reason.as_str())).label(),
    );
    if let Some(transition) = condition.and_then(|condition| condition.last_transition_time) {
        page.set(&TRANSITION, owned.clone(), transition);
    }
    if let Some(transitions) = view.history.and_then(|history| history.transitions(name)) {
        page.set(&TRANSITIONS, owned.clone(), transitions);
    }
    let class = condition.filter(|_| !available).map(|condition| MessageClass::of(&condition.message));
    for known in MessageClass::ALL {
        page.set(&MESSAGE, [name.to_owned(), known.label().to_owned()], class == Some(known));
    }
    page.set(&INSECURE, owned.clone(), api_service.spec.insecure_skip_tls_verify == Some(true));
    if let Some(expiry) = earliest_expiry(api_service) {
        page.set(&EXPIRY, owned, expiry);
    }
}
