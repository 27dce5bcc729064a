//! Step `other_reasons`: the Service, its endpoints, the Deployment.

use super::{Family, Page};
use crate::{
    facts::endpoints::EndpointCounts,
    render::View,
    snapshot::{Named, Observed},
};

const SERVICE_EXISTS: Family = Family::gauge(
    "metrics_server_doctor_service_exists",
    &["namespace", "service"],
    "1 when the Service that the APIService names exists in that namespace, else 0",
)
.absent_where("no APIService of metrics.k8s.io names a Service, or Services were not seen")
.series(1, &[]);
const READY: Family = Family::gauge(
    "endpoints_count",
    &["namespace", "service"],
    "Ready addresses behind the Service that the APIService names, over all EndpointSlices and address families, each once",
)
.absent_where("no APIService of metrics.k8s.io names a Service, or its EndpointSlices were not seen")
.series(1, &[]);
const NOT_READY: Family = Family::gauge(
    "metrics_server_doctor_endpoints_not_ready",
    &["namespace", "service"],
    "Addresses behind the Service that the APIService names whose pods are not Ready, each once",
)
.absent_where("no APIService of metrics.k8s.io names a Service, or its EndpointSlices were not seen")
.series(1, &[]);
const SELECTED_PODS: Family = Family::gauge(
    "metrics_server_doctor_service_selected_pods",
    &["namespace", "service"],
    "Pods that the Service's selector matches and that have not ended, Ready or not",
)
.absent_where("the Service does not exist, or pods were not seen")
.series(1, &[]);
const WANTED: Family = Family::gauge(
    "metrics_server_doctor_deployment_replicas_wanted",
    &["namespace", "deployment"],
    "spec.replicas of the workload that serves metrics.k8s.io",
)
.absent_where("no workload stands behind the Service, or it was not seen")
.series(1, &[]);
const AVAILABLE: Family = Family::gauge(
    "metrics_server_doctor_deployment_replicas_available",
    &["namespace", "deployment"],
    "status.availableReplicas of the workload that serves metrics.k8s.io",
)
.absent_where("no workload stands behind the Service, or it was not seen")
.series(1, &[]);

/// The families of this module.
pub(super) const FAMILIES: &[Family] = &[SERVICE_EXISTS, READY, NOT_READY, SELECTED_PODS, WANTED, AVAILABLE];

pub(super) fn write(view: &View<'_>, page: &mut Page) {
    let chain = &view.facts.chain;
    if let Some(reference) = chain.service_reference() {
        let labels = [reference.namespace.clone(), reference.name.clone()];
        if !matches!(chain.service, Observed::NotSeen(_)) {
            page.set(&SERVICE_EXISTS, labels.clone(), chain.service.seen().is_some());
        }
        if let Ok(counts) = EndpointCounts::of(chain) {
            page.set(&READY, labels.clone(), counts.ready);
            page.set(&NOT_READY, labels.clone(), counts.not_ready);
        }
        if chain.service.seen().is_some() && chain.selected_pods.gap.is_none() {
            page.set(&SELECTED_PODS, labels, chain.selected_pods.objects.len());
        }
    }
    if let Some(workload) = chain.workload.seen() {
        let labels = [workload.namespace().to_owned(), workload.name().to_owned()];
        page.set(&WANTED, labels.clone(), workload.wanted());
        page.set(&AVAILABLE, labels, workload.available());
    }
}
