//! `NetworkPolicies` that keep the control plane from metrics-server's pods.
//!
//! Many network plugins let the node in or enforce nothing, so a policy is blamed only beside calls that time out. Beside
//! them it is, should others be unseen: a policy that lets the control plane in would leave the timeout without a cause.

use core::net::IpAddr;

use crate::{
    catalogue::Cause,
    check::{Docket, Finding, Slot},
    facts::{
        Facts,
        complaint::Complaint,
        disagreement::Disagreement,
        network_policies::{Ingress, NearMiss, Wall},
    },
    snapshot::{NotSeen, ObjectReference},
    wording::aggregator::MessageClass,
};

const CAUSE: &[Cause] = &[Cause::NetworkPolicyBlocks];

/// What shows that packets to the pods are dropped, for evidence.
pub(super) fn timeout(facts: &Facts<'_>) -> Option<Vec<String>> {
    if let Some(complaint) = facts.complaint() {
        return (complaint.class == MessageClass::Timeout).then(|| vec![complaint.line()]);
    }
    // What comes from the pod's own node is always let in, so of several API servers one gets through.
    match facts.disagreement() {
        Disagreement::Seen(signs) => Some(signs.evidence),
        Disagreement::Unsettled(_) | Disagreement::None => None,
    }
}

/// Whether a policy that was seen is what drops the aggregator's packets.
pub(super) fn blocks<'s>(facts: &Facts<'s>) -> Option<Wall<'s>> {
    match facts.ingress() {
        // A fault that other APIs share, in other namespaces, is not this namespace's policies'.
        Ingress::Closed(wall) if timeout(facts).is_some() && facts.failing_alike().is_empty() => Some(wall),
        _ => None,
    }
}

/// No policy shuts the control plane out.
pub(super) fn rule(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    match facts.ingress() {
        Ingress::NoPods => docket.not_applicable("There are no pods of metrics-server."),
        Ingress::HostNetwork => docket.not_applicable("NetworkPolicies do not reach pods with hostNetwork."),
        Ingress::Unseen(reason) => return Err(reason),
        Ingress::NotIsolated { gap: Some(gap) } => return Err(gap),
        Ingress::NotIsolated { gap: None } => docket.exclude_rest("No NetworkPolicy selects the pods."),
        Ingress::Admitted { policies } => {
            docket.note(format!("policies that select the pods: {}", policies.join(", ")));
            docket.exclude_rest("No NetworkPolicy blocks the control plane from the pods' port.");
        }
        Ingress::Closed(wall) => closed(facts, docket, &wall)?,
    }
    Ok(())
}

fn closed(facts: &Facts<'_>, docket: &mut Docket, wall: &Wall<'_>) -> Result<(), NotSeen> {
    let told = told(wall);
    if blocks(facts).is_some() {
        docket.confirm(finding(facts, wall, &told));
        return Ok(());
    }
    docket.note(told.clone());
    if facts.complaint().is_some_and(Complaint::was_answered)
        || facts.chain.is_available() && !matches!(facts.disagreement(), Disagreement::Unsettled(_))
    {
        docket.exclude(CAUSE, "The aggregator gets through to the pods.");
        docket.say("The aggregator gets through to the pods.");
        return Ok(());
    }
    docket.say(told);
    Err(NotSeen::NotLooked)
}

fn addresses(hosts: &[IpAddr]) -> String {
    hosts.iter().take(3).map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
}

fn told(wall: &Wall<'_>) -> String {
    let (noun, verb) = if wall.policies.len() == 1 { ("NetworkPolicy", "lets") } else { ("NetworkPolicies", "let") };
    let whom = match &wall.near_miss {
        Some(NearMiss::OtherAddresses { hosts, .. }) => {
            format!("none of the control plane's addresses ({}) in", addresses(hosts))
        }
        _ => "nothing from outside the pod network in".to_owned(),
    };
    format!("{noun} {} {verb} {whom} on TCP port {}", wall.policies.join(", "), wall.port)
}

fn finding(facts: &Facts<'_>, wall: &Wall<'_>, told: &str) -> Finding {
    let namespace = wall.pod.metadata.namespace.as_str();
    let port = wall.port;
    let peers = "an ipBlock of the control-plane hosts' addresses (API servers are processes of their hosts, which no podSelector or namespaceSelector matches)";
    let (policy, advice) = match &wall.near_miss {
        Some(NearMiss::OtherPort { policy, ports, is_service_port }) => {
            let service = if *is_service_port { ", the Service's port," } else { "" };
            (
                *policy,
                format!(
                    "NetworkPolicy NAME opens port {}{service} and the pods listen on {port}: put the pod's port PORT into its rule, `kubectl edit networkpolicy -n NAMESPACE NAME`.",
                    ports.join(", ")
                ),
            )
        }
        Some(NearMiss::OtherPods { policy }) => {
            let labels = &wall.pod.metadata.labels;
            let labels: Vec<String> = labels
                .iter()
                .filter(|(key, _)| *key != "pod-template-hash")
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            (
                *policy,
                format!(
                    "NetworkPolicy NAME opens TCP port PORT for other pods: let its podSelector match the labels of metrics-server's ({}), `kubectl edit networkpolicy -n NAMESPACE NAME`.",
                    labels.join(", ")
                ),
            )
        }
        Some(NearMiss::OtherAddresses { policy, blocks, hosts }) => (
            *policy,
            format!(
                "NetworkPolicy NAME opens TCP port PORT to {}, and the control plane calls from {}: add an ipBlock that holds its hosts' addresses, `kubectl edit networkpolicy -n NAMESPACE NAME`. Where the network is an overlay, hosts call from an address that they have on it.",
                blocks.join(", "),
                addresses(hosts)
            ),
        ),
        Some(NearMiss::PeersOnly { policy }) => (
            *policy,
            format!(
                "NetworkPolicy NAME lets pods and namespaces in alone. Allow ingress on TCP port PORT of the pods from {peers}, or without `from`, in a policy of namespace NAMESPACE."
            ),
        ),
        None => (
            wall.policies.first().copied().unwrap_or_default(),
            format!(
                "Allow ingress on TCP port PORT of the pods (not the Service's port) from {peers}, or without `from`, in a policy of namespace NAMESPACE."
            ),
        ),
    };
    let finding = Finding::outage(
        Cause::NetworkPolicyBlocks,
        ObjectReference::new("NetworkPolicy", namespace, policy),
        format!("{told}, and the control plane's calls time out."),
    )
    .since(facts.complaint().and_then(|complaint| complaint.since))
    .slot(Slot::Port, port.to_string())
    .advice(advice);
    let finding = timeout(facts).unwrap_or_default().into_iter().fold(finding, Finding::evidence);
    match &wall.near_miss {
        Some(NearMiss::OtherPort { policy, ports, .. }) => {
            finding.evidence(format!("NetworkPolicy {namespace}/{policy} opens TCP port {}", ports.join(", ")))
        }
        _ => finding,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        check::Status,
        guide::Step,
        snapshot::{Collection, NetworkPolicy, Scope, Snapshot},
        steps::timeout::tests::{aggregated, timing_out},
        testing::{object, run},
    };

    fn policy(name: &str, spec: &Value) -> NetworkPolicy {
        object(json!({"metadata": {"namespace": "kube-system", "name": name}, "spec": spec}))
    }

    fn with(spec: &Value) -> Snapshot {
        Snapshot { network_policies: Collection::complete([policy("policy", spec)]), ..timing_out() }
    }

    fn label() -> Value {
        json!({"matchLabels": {"k8s-app": "metrics-server"}})
    }

    #[test]
    fn only_a_policy_without_room_for_the_control_plane_blocks() {
        let label = label();
        let cidr = json!([{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]);
        for (spec, blocks) in [
            (json!({"podSelector": {}}), true),
            (json!({"podSelector": {}, "policyTypes": ["Egress"]}), false),
            (json!({"podSelector": {"matchLabels": {"app": "web"}}}), false),
            (json!({"podSelector": label, "ingress": [{}]}), false),
            (json!({"podSelector": label, "ingress": [{"ports": [{"port": "https"}]}]}), false),
            (json!({"podSelector": label, "ingress": [{"ports": [{"port": 443}]}]}), true),
            (json!({"podSelector": label, "ingress": [{"ports": [{"port": 10000, "endPort": 10300}]}]}), false),
            (json!({"podSelector": label, "ingress": [{"ports": [{"port": 10250, "protocol": "UDP"}]}]}), true),
            (json!({"podSelector": label, "ingress": [{"from": cidr, "ports": [{"port": 10250}]}]}), false),
            (json!({"podSelector": label, "ingress": [{"from": [{"podSelector": {}}]}]}), true),
        ] {
            let status = run(Step::Timeout, "network_policy", &with(&spec)).status;
            assert_eq!(status == Status::Fail, blocks, "{spec}");
            // Nothing asserts a closed security group beside a policy that is in the way.
            let path = run(Step::Timeout, "path", &with(&spec));
            assert_eq!(path.findings.is_empty(), blocks, "{spec}");
        }
    }

    #[test]
    fn a_policy_that_was_seen_blocks_should_others_be_unseen() {
        let mut snapshot = with(&json!({"podSelector": {}}));
        let mut policies = Collection::unseen(NotSeen::NotInBundle("networkpolicies"));
        policies.insert(policy("policy", &json!({"podSelector": {}})));
        snapshot.network_policies = policies;
        assert_eq!(run(Step::Timeout, "network_policy", &snapshot).status, Status::Fail);
        snapshot.network_policies = Collection::unseen(NotSeen::NotInBundle("networkpolicies"));
        let unseen = run(Step::Timeout, "network_policy", &snapshot);
        assert_eq!((unseen.status, unseen.findings.len()), (Status::Unknown, 0));
        snapshot.network_policies.add_scope(Scope::in_namespace("kube-system"));
        assert_eq!(run(Step::Timeout, "network_policy", &snapshot).status, Status::Pass);
    }

    #[test]
    fn the_remedy_tells_how_the_rule_fails_to_open_the_port() {
        let deny = policy("deny", &json!({"podSelector": {}}));
        let advice = |spec: &Value| {
            let mut snapshot = timing_out();
            snapshot.network_policies = Collection::complete([deny.clone(), policy("allow", spec)]);
            run(Step::Timeout, "network_policy", &snapshot).findings[0].remedy()
        };
        let other_port = advice(&json!({"podSelector": label(), "ingress": [{"ports": [{"port": 4443}]}]}));
        assert!(
            other_port.contains("NetworkPolicy allow opens port 4443 and the pods listen on 10250"),
            "{other_port}"
        );
        let service = advice(&json!({"podSelector": label(), "ingress": [{"ports": [{"port": 443}]}]}));
        assert!(service.contains("443, the Service's port,"), "{service}");
        let peers = advice(&json!({"podSelector": label(), "ingress": [{"from": [{"namespaceSelector": {}}]}]}));
        assert!(
            peers.contains("NetworkPolicy allow lets pods and namespaces in alone") && peers.contains("TCP port 10250"),
            "{peers}"
        );
        let labels = advice(
            &json!({"podSelector": {"matchLabels": {"app": "metrics"}}, "ingress": [{"ports": [{"port": 10250}]}]}),
        );
        assert!(
            labels.contains("NetworkPolicy allow opens TCP port 10250 for other pods")
                && labels.contains("k8s-app=metrics-server"),
            "{labels}"
        );
    }

    #[test]
    fn without_a_timeout_or_with_other_apis_that_fail_alike_no_policy_is_blamed() {
        let mut snapshot = with(&json!({"podSelector": {}}));
        snapshot.api_services = crate::testing::healthy().api_services;
        assert_eq!(run(Step::Timeout, "network_policy", &snapshot).status, Status::Pass);
        let mut snapshot = with(&json!({"podSelector": {}}));
        snapshot.api_services.insert(aggregated("v1.packages.example.com", "context deadline exceeded"));
        assert_eq!(run(Step::Timeout, "network_policy", &snapshot).status, Status::Unknown);
        assert!(run(Step::Timeout, "path", &snapshot).findings.is_empty(), "either may be");
        let candidates = &run(Step::Apiservice, "available", &snapshot).findings[0].candidates;
        assert!(
            candidates.contains(&Cause::NetworkPolicyBlocks) && candidates.contains(&Cause::ControlPlanePathClosed)
        );
    }
}
