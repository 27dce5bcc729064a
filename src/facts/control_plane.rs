//! Where the control plane stands, as far as nodes and pods tell: which repair of a broken way to the pods fits.

use core::net::IpAddr;
use std::collections::BTreeSet;

use super::Facts;
use crate::snapshot::{Named, Node, api_server};

/// How the control plane may get to pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WayToPods {
    /// Pods have addresses of the nodes' network, and the network is a cloud's: what lies in between is its firewall.
    CloudFirewall,
    /// Pods have addresses of their own, or no control-plane host is a node: without a route, an overlay or a tunnel on the
    /// control plane's hosts nothing gets there.
    RouteOrTunnel,
    /// Hosts of the control plane are nodes, and pods have addresses of their network.
    HostFirewall,
    /// Not enough was seen.
    Unseen,
}

/// Networks of nodes are taken to be this wide where nothing tells: a `/16`, and a `/48` of IPv6.
fn is_near(one: IpAddr, other: IpAddr) -> bool {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => one.octets()[..2] == other.octets()[..2],
        (IpAddr::V6(one), IpAddr::V6(other)) => one.segments()[..3] == other.segments()[..3],
        _ => false,
    }
}

/// Reads the nodes and the pods' addresses.
pub(super) fn way_to_pods(facts: &Facts<'_>) -> WayToPods {
    let nodes: Vec<&Node> = facts.snapshot.nodes.iter().collect();
    let pod_addresses: Vec<IpAddr> = facts
        .chain
        .pods()
        .iter()
        .filter(|pod| !pod.spec.host_network)
        .filter_map(|pod| pod.status.pod_ip.parse().ok())
        .collect();
    let node_addresses: Vec<IpAddr> = nodes
        .iter()
        .flat_map(|node| &node.status.addresses)
        .filter(|address| address.kind == "InternalIP")
        .filter_map(|address| address.address.parse().ok())
        .collect();
    let compared = !pod_addresses.is_empty() && !node_addresses.is_empty();
    let outside = compared && pod_addresses.iter().all(|pod| !node_addresses.iter().any(|node| is_near(*pod, *node)));
    let cloud = nodes.iter().any(|node| node.is_of_cloud());
    let hosts = nodes.iter().any(|node| node.is_control_plane());
    match (nodes.is_empty(), outside, cloud) {
        (false, true, _) => WayToPods::RouteOrTunnel,
        (false, false, true) if compared => WayToPods::CloudFirewall,
        (false, false, false) if !hosts && facts.snapshot.nodes.all().gap.is_none() => WayToPods::RouteOrTunnel,
        (false, false, false) if compared => WayToPods::HostFirewall,
        _ => WayToPods::Unseen,
    }
}

/// The nodes that run the control plane, as their labels tell; `None` where no node is marked so or the list may lack some.
pub(super) fn hosts<'s>(facts: &Facts<'s>) -> Option<Vec<&'s str>> {
    let nodes = facts.snapshot.nodes.all();
    let hosts: Vec<&str> =
        nodes.objects.iter().filter(|node| node.is_control_plane()).map(|node| node.name()).collect();
    (!hosts.is_empty() && (nodes.gap.is_none() || hosts.len() > 1)).then_some(hosts)
}

/// The addresses that API servers call from, as far as they were seen: those of the hosts that are nodes, of the pods that
/// run kube-apiserver, and behind Service `default/kubernetes`, into which each API server writes its own
/// (kubernetes/kubernetes `pkg/controlplane/reconcilers`). On overlays a host calls pods from an address of the pod network.
pub(super) fn addresses(facts: &Facts<'_>) -> BTreeSet<IpAddr> {
    let snapshot = facts.snapshot;
    let nodes = snapshot.nodes.iter().filter(|node| node.is_control_plane()).flat_map(|node| &node.status.addresses);
    let of_nodes = nodes.map(|address| address.address.as_str());
    let servers = snapshot.pods.iter().filter(|pod| api_server::is_api_server(pod));
    let of_servers = servers.map(|pod| pod.status.host_ip.as_str());
    let slices = snapshot.endpoint_slices.in_namespace("default").filter(|slice| slice.service_name() == "kubernetes");
    let of_slices =
        slices.objects.into_iter().flat_map(|slice| &slice.endpoints).flat_map(|endpoint| &endpoint.addresses);
    let all = of_nodes.chain(of_servers).chain(of_slices.map(String::as_str));
    all.filter_map(|address| address.parse().ok()).collect()
}

impl Facts<'_> {
    /// How the control plane may get to the pods.
    pub fn way_to_pods(&self) -> WayToPods {
        way_to_pods(self)
    }
}
