//! `NetworkPolicies` that have a say on what comes in to metrics-server's pods.
//!
//! The control plane is no pod: API servers are processes of their hosts, so no peer of pod or namespace selectors lets them
//! in; an `ipBlock` may, and a rule without peers does. The port of a rule is the pod's, not the Service's (kubernetes/api
//! `networking/v1` `NetworkPolicyIngressRule`). Policies add up, and what comes from the pod's own node is always let in.

use core::net::IpAddr;
use std::collections::BTreeSet;

use ipnet::IpNet;

use super::{
    Facts, control_plane,
    metrics_server::{self, ListenPort},
};
use crate::snapshot::{
    Named, NetworkPolicy, NotSeen, Pod,
    network_policy::{IpBlock, NetworkPolicyPort, NetworkPolicyRule},
    service::IntOrString,
};

/// What the policies say of the control plane's way in.
#[derive(Debug, Clone, PartialEq)]
pub enum Ingress<'s> {
    /// No policy of the namespace isolates the pods from what comes in.
    NotIsolated {
        /// Why a policy may be missing.
        gap: Option<NotSeen>,
    },
    /// Policies isolate the pods, and one of them may let the control plane in.
    Admitted {
        /// The policies that select the pods.
        policies: Vec<&'s str>,
    },
    /// Policies isolate the pods, and none that was seen lets anything from outside the pod network in.
    Closed(Wall<'s>),
    /// Policies do not reach pods with hostNetwork.
    HostNetwork,
    /// The pods or their port were not seen.
    Unseen(NotSeen),
    /// There certainly is no pod.
    NoPods,
}

/// Policies that let nothing from outside the pod network in.
#[derive(Debug, Clone, PartialEq)]
pub struct Wall<'s> {
    /// A pod behind it.
    pub pod: &'s Pod,
    /// The pod's port.
    pub port: u16,
    /// The policies that isolate the pod.
    pub policies: Vec<&'s str>,
    /// A rule that was meant to open the port, and how it fails to.
    pub near_miss: Option<NearMiss<'s>>,
    /// Why another policy, which lets the control plane in, may not have been seen.
    pub gap: Option<NotSeen>,
}

/// How a policy was meant to open the port and does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NearMiss<'s> {
    /// It opens other ports to addresses outside.
    OtherPort {
        /// The policy.
        policy: &'s str,
        /// The ports that it opens.
        ports: Vec<String>,
        /// Whether the Service's port is one of them.
        is_service_port: bool,
    },
    /// It opens the port, for pods that do not have metrics-server's labels.
    OtherPods {
        /// The policy.
        policy: &'s str,
    },
    /// It opens the port to addresses that are none of the control plane's.
    OtherAddresses {
        /// The policy.
        policy: &'s str,
        /// The ranges that it opens the port to.
        blocks: Vec<&'s str>,
        /// The control plane's addresses that were seen.
        hosts: Vec<IpAddr>,
    },
    /// It opens the port to pods and namespaces alone.
    PeersOnly {
        /// The policy.
        policy: &'s str,
    },
}

/// Whether the policy has a say on what comes in: so it is where `policyTypes` is unset.
fn restricts_ingress(policy: &NetworkPolicy) -> bool {
    policy.spec.policy_types.is_empty() || policy.spec.policy_types.iter().any(|kind| kind == "Ingress")
}

/// Whether ports of a rule hold this TCP port of the pod.
pub fn covers_port(ports: &[NetworkPolicyPort], pod: &Pod, wanted: u16) -> bool {
    ports.is_empty()
        || ports.iter().any(|port| {
            if !(port.protocol.is_empty() || port.protocol == "TCP") {
                return false;
            }
            match &port.port {
                None => true,
                Some(IntOrString::Int(first)) => {
                    *first == wanted || port.end_port.is_some_and(|last| (*first..=last).contains(&wanted))
                }
                Some(IntOrString::String(name)) => {
                    pod.spec.named_port(name, "TCP").is_some_and(|named| named.container_port == wanted)
                }
            }
        })
}

fn blocks(rule: &NetworkPolicyRule) -> impl Iterator<Item = &IpBlock> {
    rule.from.iter().filter_map(|peer| peer.ip_block.as_ref())
}

fn admits_from_outside(rule: &NetworkPolicyRule) -> bool {
    rule.from.is_empty() || blocks(rule).next().is_some()
}

/// Whether an address lies in the block; a block that cannot be read is taken to hold it, so that nobody is blamed for it.
pub fn holds(block: &IpBlock, address: IpAddr) -> bool {
    let within = |range: &str| range.parse::<IpNet>().map(|range| range.contains(&address));
    let excepted = block.except.iter().any(|range| within(range) == Ok(true));
    within(&block.cidr).unwrap_or(true) && !excepted
}

/// Whether a rule may let the control plane in: from everywhere, from one of its addresses, or, where none of them was seen,
/// from any. A host's address on an overlay is one of the pod network, so a block there may hold it.
fn may_admit_the_control_plane(rule: &NetworkPolicyRule, hosts: &BTreeSet<IpAddr>, pod: &Pod) -> bool {
    let of_the_pod_network = |block: &IpBlock| {
        let range = block.cidr.parse::<IpNet>().ok();
        let mut own = pod.addresses().filter_map(|address| address.parse::<IpAddr>().ok());
        own.any(|address| {
            let network = IpNet::new(address, if address.is_ipv4() { 16 } else { 48 });
            let within = |range: IpNet| network.is_ok_and(|network| network.contains(&range.network()));
            holds(block, address) || range.is_some_and(within)
        })
    };
    let admits =
        |block: &IpBlock| hosts.is_empty() || hosts.iter().any(|host| holds(block, *host)) || of_the_pod_network(block);
    rule.from.is_empty() || blocks(rule).any(admits)
}

/// The TCP ports of a rule, as they are written.
fn written_ports(rule: &NetworkPolicyRule) -> Vec<String> {
    let tcp = rule.ports.iter().filter(|port| port.protocol.is_empty() || port.protocol == "TCP");
    tcp.filter_map(|port| match (&port.port, port.end_port) {
        (Some(IntOrString::Int(first)), Some(last)) => Some(format!("{first}-{last}")),
        (Some(IntOrString::Int(port)), None) => Some(port.to_string()),
        (Some(IntOrString::String(name)), _) => Some(name.clone()),
        (None, _) => None,
    })
    .collect()
}

fn near_miss<'s>(
    facts: &Facts<'s>,
    pod: &Pod,
    port: u16,
    selecting: &[&'s NetworkPolicy],
    others: &[&'s NetworkPolicy],
) -> Option<NearMiss<'s>> {
    let to_others = selecting.iter().find_map(|policy| {
        let mut rules = policy.spec.ingress.iter().filter(|rule| covers_port(&rule.ports, pod, port));
        let rule = rules.find(|rule| admits_from_outside(rule))?;
        Some((policy.name(), blocks(rule).map(|block| block.cidr.as_str()).collect()))
    });
    if let Some((policy, blocks)) = to_others {
        let hosts = control_plane::addresses(facts).into_iter().collect();
        return Some(NearMiss::OtherAddresses { policy, blocks, hosts });
    }
    let opened = |policy: &&'s NetworkPolicy| {
        let outside = policy.spec.ingress.iter().filter(|rule| admits_from_outside(rule));
        let ports: Vec<String> = outside.flat_map(written_ports).collect();
        (!ports.is_empty()).then(|| (policy.name(), ports))
    };
    if let Some((policy, ports)) = selecting.iter().find_map(opened) {
        let service_port = facts.chain.service_reference().map(|reference| reference.effective_port().to_string());
        let is_service_port = service_port.is_some_and(|service_port| ports.contains(&service_port));
        return Some(NearMiss::OtherPort { policy, ports, is_service_port });
    }
    // A rule without ports is meant for whatever the policy selects; one that names the port is meant for metrics-server.
    let names_port = |rule: &&NetworkPolicyRule| !rule.ports.is_empty() && covers_port(&rule.ports, pod, port);
    let meant = others.iter().find(|policy| policy.spec.ingress.iter().filter(names_port).any(admits_from_outside));
    if let Some(policy) = meant {
        return Some(NearMiss::OtherPods { policy: policy.name() });
    }
    let peers = selecting.iter().find(|policy| {
        policy.spec.ingress.iter().any(|rule| covers_port(&rule.ports, pod, port) && !rule.from.is_empty())
    });
    peers.map(|policy| NearMiss::PeersOnly { policy: policy.name() })
}

/// Reads the policies of the pods' namespace.
pub(super) fn ingress<'s>(facts: &Facts<'s>) -> Ingress<'s> {
    let chain = &facts.chain;
    let Some(pod) = chain.pods().first().copied() else {
        return match chain.selected_pods.gap.clone().filter(|_| chain.service_reference().is_some()) {
            Some(gap) => Ingress::Unseen(gap),
            None => Ingress::NoPods,
        };
    };
    if pod.spec.host_network {
        return Ingress::HostNetwork;
    }
    let listing = facts.snapshot.network_policies.in_namespace(pod.namespace());
    let gap = listing.gap.clone();
    let (selecting, others): (Vec<&NetworkPolicy>, Vec<&NetworkPolicy>) = listing
        .objects
        .into_iter()
        .filter(|policy| restricts_ingress(policy))
        .partition(|policy| policy.spec.pod_selector.matches(&pod.metadata.labels));
    if selecting.is_empty() {
        return Ingress::NotIsolated { gap };
    }
    let policies: Vec<&str> = selecting.iter().map(|policy| policy.name()).collect();
    let Some(port) = pod_port(facts, pod) else {
        return Ingress::Unseen(NotSeen::NotInBundle("metrics-server's port"));
    };
    let hosts = control_plane::addresses(facts);
    let mut rules = selecting.iter().flat_map(|policy| &policy.spec.ingress);
    if rules.any(|rule| covers_port(&rule.ports, pod, port) && may_admit_the_control_plane(rule, &hosts, pod)) {
        return Ingress::Admitted { policies };
    }
    let near_miss = near_miss(facts, pod, port, &selecting, &others);
    Ingress::Closed(Wall { pod, port, policies, near_miss, gap })
}

/// The port of the pod that the aggregator's packets arrive at: what metrics-server listens on, else what the slices name.
fn pod_port(facts: &Facts<'_>, pod: &Pod) -> Option<u16> {
    let listening =
        metrics_server::container(&pod.spec).and_then(|container| match metrics_server::listen_port(container) {
            ListenPort::Known { port, .. } => Some(port),
            ListenPort::Unknown(_) => None,
        });
    listening.or_else(|| {
        facts.chain.endpoint_slices.objects.iter().flat_map(|slice| &slice.ports).find_map(|port| port.port)
    })
}

impl<'s> Facts<'s> {
    /// What the policies of the pods' namespace say of the control plane's way in.
    pub fn ingress(&self) -> Ingress<'s> {
        ingress(self)
    }
}
