//! Step `connection_refused`: the port chain and the state of metrics-server's containers.

use std::collections::BTreeMap;

use super::{Family, Page};
use crate::{
    facts::{
        metrics_server::is_metrics_server_image,
        ports::{Hop, PortChain},
    },
    render::View,
    snapshot::{
        Named,
        pod::{Container, ContainerStatus},
    },
};

const MISMATCH: Family = Family::gauge(
    "port_mismatch",
    &["namespace", "service", "hop"],
    "1 for each hop from metrics-server's listen port to the APIService's port that does not fit, else 0",
)
.absent_where("no APIService of metrics.k8s.io names a Service, or what stands at the hop was not seen")
.series(4, &[]);
const NUMBER: Family = Family::gauge(
    "metrics_server_doctor_port_number",
    &["namespace", "service", "place"],
    "Port numbers along the chain: --secure-port, containerPort, resolved targetPort, Service port, APIService port",
)
.absent_where("no APIService of metrics.k8s.io names a Service, or nothing is known of the place")
.series(5, &[]);
const WAITING: Family = Family::gauge(
    "metrics_server_doctor_deployment_containers_waiting",
    &["namespace", "deployment", "reason"],
    "Containers of metrics-server that wait, by state.waiting.reason in the status of their pods",
)
.absent_where("no workload stands behind the Service, or its pods were not seen")
.series(10, &[]);
const TERMINATED: Family = Family::gauge(
    "metrics_server_doctor_deployment_containers_last_terminated",
    &["namespace", "deployment", "reason"],
    "Containers of metrics-server by lastState.terminated.reason in the status of their pods",
)
.absent_where("no workload stands behind the Service, or its pods were not seen")
.series(6, &[]);
const RESTARTS: Family = Family::gauge(
    "metrics_server_doctor_deployment_container_restarts",
    &["namespace", "deployment"],
    "Sum of restartCount over the containers of metrics-server's pods that exist now",
)
.absent_where("no workload stands behind the Service, or its pods were not seen")
.series(1, &[]);

/// The families of this module.
pub(super) const FAMILIES: &[Family] = &[MISMATCH, NUMBER, WAITING, TERMINATED, RESTARTS];

/// Waiting reasons of the kubelet (kubernetes/kubernetes `pkg/kubelet/images/types.go`, `pkg/kubelet/container/sync_result.go`).
const WAITING_REASONS: [&str; 10] = [
    "ContainerCreating",
    "PodInitializing",
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImagePull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "other",
];
const TERMINATED_REASONS: [&str; 6] = ["Completed", "Error", "OOMKilled", "ContainerCannotRun", "StartError", "other"];

pub(super) fn write(view: &View<'_>, page: &mut Page) {
    let chain = &view.facts.chain;
    if let Some(reference) = chain.service_reference() {
        let ports = PortChain::of(view.facts.snapshot, chain);
        let labels = |last: &str| [reference.namespace.clone(), reference.name.clone(), last.to_owned()];
        for hop in Hop::ALL {
            if let Some(mismatch) = ports.mismatch(hop) {
                page.set(&MISMATCH, labels(hop.label()), mismatch);
            }
        }
        for (place, number) in [
            ("listen", ports.listen.as_ref().map(|(port, _)| *port)),
            ("container_port", ports.container_port),
            ("target_port", ports.resolved_target_port),
            ("service_port", ports.service_port),
            ("apiservice_port", ports.api_service_port),
        ] {
            if let Some(number) = number {
                page.set(&NUMBER, labels(place), number);
            }
        }
    }
    write_containers(view, page);
}

fn write_containers(view: &View<'_>, page: &mut Page) {
    let Some(workload) = view.facts.chain.workload.seen() else { return };
    let pods = &view.facts.chain.workload_pods;
    if pods.gap.is_some() {
        return;
    }
    let statuses: Vec<&ContainerStatus> = pods
        .objects
        .iter()
        .flat_map(|pod| {
            let own = |container: &&Container| is_metrics_server_image(&container.image);
            pod.spec.containers.iter().filter(own).filter_map(|container| pod.container_status(&container.name))
        })
        .collect();
    let place = [workload.namespace(), workload.name()];
    let waiting = statuses.iter().filter_map(|status| status.state.waiting.as_ref()).map(|waiting| &waiting.reason);
    write_reasons(&WAITING, place, &WAITING_REASONS, waiting, page);
    let terminated =
        statuses.iter().filter_map(|status| status.last_state.terminated.as_ref()).map(|ended| &ended.reason);
    write_reasons(&TERMINATED, place, &TERMINATED_REASONS, terminated, page);
    page.set(&RESTARTS, place.map(str::to_owned), statuses.iter().map(|status| status.restart_count).sum::<u32>());
}

fn write_reasons<'r>(
    family: &Family,
    [namespace, deployment]: [&str; 2],
    known: &[&'static str],
    reasons: impl Iterator<Item = &'r String>,
    page: &mut Page,
) {
    let mut counts: BTreeMap<&str, usize> = known.iter().map(|reason| (*reason, 0)).collect();
    for reason in reasons {
        let reason = known.iter().find(|known| *known == reason).copied().unwrap_or("other");
        *counts.entry(reason).or_default() += 1;
    }
    for (reason, count) in counts {
        page.set(family, [namespace.to_owned(), deployment.to_owned(), reason.to_owned()], count);
    }
}
