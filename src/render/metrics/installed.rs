//! Step `installed`: what stands behind the metrics API.

use super::{Family, Page};
use crate::{
    facts::metrics_server::{self, Owner},
    render::View,
    snapshot::Named,
};

const OWNER: Family = Family::gauge(
    "metrics_server_doctor_metrics_api_owner",
    &["owner"],
    "1 for what serves metrics.k8s.io, by the image behind its Service, 0 for the others",
)
.absent_where("APIServices, or the pods behind the Service, were not seen")
.series(3, &[]);
const DEPLOYMENT_INFO: Family = Family::gauge(
    "metrics_server_doctor_deployment_info",
    &["namespace", "deployment", "version", "packaging"],
    "1 for the workload that serves metrics.k8s.io, with the version in its image's tag and how it was packaged",
)
.absent_where("no workload stands behind the Service, or it was not seen")
.series(1, &[]);
const METRICS_SERVERS: Family = Family::gauge(
    "metrics_server_doctor_deployment_metrics_servers",
    &[],
    "Workloads that run an image of metrics-server, more than one of which is a finding",
)
.absent_where("fewer than two were seen and more may be out of sight")
.series(1, &[]);
const VERSION_SUPPORTED: Family = Family::gauge(
    "metrics_server_doctor_deployment_version_supported",
    &["namespace", "deployment"],
    "1 when metrics-server's compatibility matrix has the version in the workload's image tag for this Kubernetes minor, else 0",
)
.absent_where("the version of the image or of Kubernetes is not known, or not in the matrix")
.series(1, &[]);

/// The families of this module.
pub(super) const FAMILIES: &[Family] = &[OWNER, DEPLOYMENT_INFO, METRICS_SERVERS, VERSION_SUPPORTED];

pub(super) fn write(view: &View<'_>, page: &mut Page) {
    let chain = &view.facts.chain;
    if let Some(owner) = chain.owner() {
        page.set_one_of(&OWNER, &[], Owner::ALL.map(Owner::label), owner.label());
    }
    if let Some(workload) = chain.workload.seen() {
        let version = chain.container().and_then(|container| metrics_server::version(&container.image));
        let kubernetes = view.facts.snapshot.server_version.seen().copied();
        if let Some(supported) =
            version.zip(kubernetes).and_then(|(version, kubernetes)| metrics_server::supports(version, kubernetes))
        {
            let labels = [workload.namespace().to_owned(), workload.name().to_owned()];
            page.set(&VERSION_SUPPORTED, labels, supported);
        }
        let version = version.map_or_else(|| "other".to_owned(), |version| version.to_string());
        let packaging = metrics_server::packaging(workload).label().to_owned();
        let labels = [workload.namespace().to_owned(), workload.name().to_owned(), version, packaging];
        page.set(&DEPLOYMENT_INFO, labels, true);
    }
    // Two that were seen are two, whatever was not looked at; one may have another out of sight.
    let servers = &chain.metrics_servers;
    if servers.gap.is_none() || servers.objects.len() > 1 {
        page.set_single(&METRICS_SERVERS, servers.objects.len());
    }
}
