//! `NetworkPolicies` that keep metrics-server from the kubelets.
//!
//! Kubelets are no pods: only an `ipBlock` that holds a node's address, or a rule without peers, lets packets out to them
//! (kubernetes/api `networking/v1` `NetworkPolicyEgressRule`). Policies add up, and one is blamed only beside scrapes that do not
//! get through.

use core::net::IpAddr;

use crate::{
    catalogue::Cause,
    check::{Docket, Evidence, Finding, Impact, Slot},
    facts::{
        Facts, metrics_server,
        network_policies::{covers_port, holds},
        scrapes::{FailedScrapes, Which},
    },
    snapshot::{
        Named, NetworkPolicy, NotSeen, ObjectReference, Pod,
        network_policy::{IpBlock, NetworkPolicyRule},
    },
    wording::quoted,
};

/// The kubelet's port unless `--kubelet-port` says otherwise (kubernetes/kubernetes `pkg/cluster/ports/ports.go`).
const KUBELET_PORT: u16 = 10250;

/// Whether the policy has a say on what goes out: where `policyTypes` is unset, only with egress rules.
fn restricts_egress(policy: &NetworkPolicy) -> bool {
    let kinds = &policy.spec.policy_types;
    kinds.iter().any(|kind| kind == "Egress") || (kinds.is_empty() && !policy.spec.egress.is_empty())
}

fn lets_out(rule: &NetworkPolicyRule, pod: &Pod, port: u16, nodes: &[IpAddr]) -> bool {
    let to_a_node = |block: &IpBlock| nodes.is_empty() || nodes.iter().any(|address| holds(block, *address));
    covers_port(&rule.ports, pod, port)
        && (rule.to.is_empty() || rule.to.iter().filter_map(|peer| peer.ip_block.as_ref()).any(to_a_node))
}

/// No policy keeps metrics-server from the kubelets.
pub(super) fn rule(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    let chain = &facts.chain;
    let Some(pod) = chain.pods().first().copied() else {
        if let Some(gap) = chain.selected_pods.gap.clone().filter(|_| chain.service_reference().is_some()) {
            return Err(gap);
        }
        docket.not_applicable("There are no pods of metrics-server.");
        return Ok(());
    };
    if pod.spec.host_network {
        docket.not_applicable("NetworkPolicies do not reach pods with hostNetwork.");
        return Ok(());
    }
    let listing = facts.snapshot.network_policies.in_namespace(pod.namespace());
    let gap = listing.gap.clone();
    let selecting = listing
        .filter(|policy| restricts_egress(policy) && policy.spec.pod_selector.matches(&pod.metadata.labels))
        .objects;
    let port = chain
        .container()
        .and_then(|container| metrics_server::flag(container, "kubelet-port"))
        .and_then(|port| port.parse().ok())
        .unwrap_or(KUBELET_PORT);
    let nodes: Vec<IpAddr> = facts
        .snapshot
        .nodes
        .iter()
        .flat_map(|node| &node.status.addresses)
        .filter(|address| address.kind == "InternalIP")
        .filter_map(|address| address.address.parse().ok())
        .collect();
    match gap {
        Some(gap) if selecting.is_empty() => return Err(gap),
        _ => {}
    }
    if selecting.is_empty()
        || selecting.iter().flat_map(|policy| &policy.spec.egress).any(|rule| lets_out(rule, pod, port, &nodes))
    {
        docket.exclude_rest(format!(
            "No NetworkPolicy blocks egress from metrics-server to TCP port {port} of the nodes."
        ));
        return Ok(());
    }
    let names: Vec<&str> = selecting.iter().map(|policy| policy.name()).collect();
    let (noun, verb) = if names.len() == 1 { ("NetworkPolicy", "lets") } else { ("NetworkPolicies", "let") };
    let told = format!("{noun} {} {verb} nothing out to TCP port {port} of the nodes", names.join(", "));
    let blocked: Vec<&FailedScrapes<'_>> = facts.scrapes().blocked().collect();
    let Some(first) = blocked.first() else {
        // Not every network plugin enforces policies, so without a symptom this is nobody's fault.
        docket.note(told);
        docket.exclude_rest("No scrape of a kubelet is seen to be blocked.");
        return Ok(());
    };
    let object = ObjectReference::new("NetworkPolicy", pod.namespace(), names.first().copied().unwrap_or_default());
    let partial = matches!(first.which, Which::Some { .. } | Which::OnlyItsOwn(_) | Which::AllButItsOwn(_));
    let impact = if partial && facts.serves() { Impact::Partial } else { Impact::Outage };
    let finding = Finding::outage(Cause::EgressPolicyBlocks, object, format!("{told}, and scrapes of kubelets fail."))
        .weighing(impact)
        .slot(Slot::Port, port.to_string());
    let lines = blocked.iter().map(|failed| Evidence::at(format!("log: {}", quoted(failed.line)), failed.at));
    docket.confirm(lines.fold(finding, Finding::evidence));
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        check::Status,
        guide::Step,
        snapshot::{Collection, ContainerLog, Node, Observed, Snapshot},
        testing::{healthy, object, run},
    };

    const TIMEOUT: &str = r#"E0101 11:59:00.000000       1 scraper.go:147] "Failed to scrape node, timeout to access kubelet" err="Get \"https://10.0.0.1:10250/metrics/resource\": context deadline exceeded" node="node-1" timeout="10s""#;

    fn with(spec: Value, lines: &[&str]) -> Snapshot {
        let mut snapshot = healthy();
        let mut log = ContainerLog::new("kube-system", "metrics-server-5d8f-abcde", "metrics-server");
        for line in lines {
            log.push(line);
        }
        snapshot.logs = Collection::complete([log]);
        snapshot.top_nodes = Observed::default();
        snapshot.top_pods = Observed::default();
        let nodes: Vec<Node> = snapshot
            .nodes
            .iter()
            .cloned()
            .map(|mut node| {
                node.status.addresses = vec![object(json!({"type": "InternalIP", "address": "10.0.0.1"}))];
                node
            })
            .collect();
        snapshot.nodes = Collection::complete(nodes);
        let policy = json!({"metadata": {"namespace": "kube-system", "name": "policy"}, "spec": spec});
        snapshot.network_policies = Collection::complete([object::<NetworkPolicy>(policy)]);
        snapshot
    }

    fn status(spec: Value) -> Status {
        run(Step::Timeout, "network_policy_egress", &with(spec, &[TIMEOUT, TIMEOUT])).status
    }

    #[test]
    fn only_a_policy_without_a_way_to_a_node_blocks() {
        let to = |peers: Value| json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": peers}]});
        for (spec, blocks) in [
            (json!({"podSelector": {}}), false),
            (json!({"podSelector": {}, "policyTypes": ["Egress"]}), true),
            (json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress"]}), false),
            (json!({"podSelector": {}, "egress": [{"ports": [{"port": 53, "protocol": "UDP"}]}]}), true),
            (json!({"podSelector": {}, "egress": [{"ports": [{"port": 10250}]}]}), false),
            (json!({"podSelector": {}, "egress": [{}]}), false),
            (to(json!([{"ipBlock": {"cidr": "10.0.0.0/8"}}])), false),
            (to(json!([{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/24"]}}])), true),
            (to(json!([{"ipBlock": {"cidr": "192.168.0.0/16"}}])), true),
            (to(json!([{"ipBlock": {"cidr": "nonsense"}}])), false),
            (to(json!([{"namespaceSelector": {}}])), true),
        ] {
            assert_eq!(status(spec.clone()) == Status::Fail, blocks, "{spec}");
        }
    }

    #[test]
    fn without_blocked_scrapes_no_policy_is_blamed() {
        let closed = json!({"podSelector": {}, "policyTypes": ["Egress"]});
        assert_eq!(run(Step::Timeout, "network_policy_egress", &with(closed.clone(), &[])).status, Status::Pass);
        let unauthorized = TIMEOUT.replace("context deadline exceeded", "401 Unauthorized");
        let snapshot = with(closed, &[&unauthorized, &unauthorized]);
        assert_eq!(run(Step::Timeout, "network_policy_egress", &snapshot).status, Status::Pass);
    }
}
