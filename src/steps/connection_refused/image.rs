//! The image can be pulled and fits the processor.

use std::collections::BTreeSet;

use super::replica;
use crate::{
    catalogue::Cause,
    check::{Docket, Finding, Slot},
    facts::{
        Facts,
        containers::{Life, Replica},
        metrics_server::{self, Registry},
    },
    snapshot::NotSeen,
};

pub(super) fn image(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    let Some(containers) = replica::seen(facts, docket)? else { return Ok(()) };
    let unavailable = containers.failing().find(|replica| replica.life == Life::WithoutImage);
    if let Some(unavailable) = unavailable {
        let image = unavailable.container.map_or("", |container| container.image.as_str());
        let summary = format!("The image {image} cannot be pulled.");
        let finding = replica::finding(facts, containers, unavailable, Cause::ImageUnavailable, summary);
        docket.confirm(with_registry(finding, image));
    }
    replica::confirm_told(facts, docket, &[Cause::ImageArchitecture]);
    let all =
        |holds: fn(&Replica<'_>) -> bool| !containers.replicas.is_empty() && containers.replicas.iter().all(holds);
    if all(|replica| !matches!(replica.life, Life::WithoutImage | Life::Waiting)) {
        docket.exclude(&[Cause::ImageUnavailable], "the containers were started, so their image was pulled");
    }
    if !containers.replicas.is_empty() && containers.replicas.iter().all(Replica::has_started) {
        docket.exclude_rest("The image was pulled, and its program runs.");
        return Ok(());
    }
    if unavailable.is_some() {
        docket.rule_out(&[Cause::ImageArchitecture], "The image was not pulled.");
    }
    Err(replica::unread(facts))
}

/// What replaces an image whose registry no longer offers it.
fn with_registry(finding: Finding, image: &str) -> Finding {
    let version = metrics_server::version(image).map_or_else(|| "v0.8.1".to_owned(), |version| format!("v{version}"));
    let upstream = format!("registry.k8s.io/metrics-server/metrics-server:{version}");
    match metrics_server::registry(image) {
        Registry::Bitnami => finding.advice(format!(
            "Bitnami has withdrawn its free catalogue, and no other tag brings the image back: use {upstream} and set the container's command to `/metrics-server` (`kubectl edit WORKLOAD -n NAMESPACE`), or install the release of kubernetes-sigs in its place."
        )),
        Registry::Retired => finding.advice(format!(
            "That registry is retired: use {upstream} (`kubectl edit WORKLOAD -n NAMESPACE`); private clusters need a way to registry.k8s.io or a copy of the image."
        )),
        Registry::Other => finding,
    }
}

/// Names the processors of the nodes, where the image does not fit them.
pub(super) fn with_architecture(facts: &Facts<'_>, replica: &Replica<'_>, finding: Finding) -> Finding {
    if finding.cause != Cause::ImageArchitecture {
        return finding;
    }
    let nodes = &facts.snapshot.nodes;
    let own = nodes.get("", &replica.pod.spec.node_name);
    let Some(own) = own.seen().map(|node| node.status.node_info.architecture.as_str()).filter(|own| !own.is_empty())
    else {
        return finding;
    };
    let all: BTreeSet<&str> = nodes.iter().map(|node| node.status.node_info.architecture.as_str()).collect();
    let image = replica.container.map_or("", |container| container.image.as_str());
    let other = if all.len() > 1 {
        ", or keep the pods on nodes that the image fits (nodeSelector kubernetes.io/arch)"
    } else {
        ""
    };
    finding
        .evidence(format!("Node {} status.nodeInfo.architecture: {own}", replica.pod.spec.node_name))
        .slot(Slot::Nodes, replica.pod.spec.node_name.clone())
        .advice(format!(
            "The node runs on {own}, and image {image} does not: use one that is built for {own} (registry.k8s.io/metrics-server/metrics-server is for all architectures from v0.3.7 on; a mirror may hold one alone){other}: `kubectl edit WORKLOAD -n NAMESPACE`."
        ))
}
