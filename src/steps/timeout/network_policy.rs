//! `NetworkPolicies` that select metrics-server's pods.
//!
//! The control plane is no pod: a peer of pod or namespace selectors does not let it in, an `ipBlock` may, and a rule
//! without peers does (kubernetes/api `networking/v1` `NetworkPolicyIngressRule`). Which addresses the control plane has is not known, so
//! a policy is blamed only when no rule for the port has room for an outside address, and only beside a timeout.

use super::timed_out;
use crate::{
    catalogue::Cause,
    check::Finding,
    facts::Facts as Context,
    facts::metrics_server::{self, ListenPort},
    snapshot::{
        Named, NetworkPolicy, NotSeen, Pod,
        network_policy::{NetworkPolicyPort, NetworkPolicyRule},
        service::IntOrString,
    },
    steps::bridge::Outcome,
};

/// Whether the policy has a say on what comes in: so it is where `policyTypes` is unset.
fn restricts_ingress(policy: &NetworkPolicy) -> bool {
    policy.spec.policy_types.is_empty() || policy.spec.policy_types.iter().any(|kind| kind == "Ingress")
}

pub(super) fn covers_port(ports: &[NetworkPolicyPort], pod: &Pod, wanted: u16) -> bool {
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

fn may_let_the_control_plane_in(rule: &NetworkPolicyRule, pod: &Pod, port: u16) -> bool {
    covers_port(&rule.ports, pod, port)
        && (rule.from.is_empty() || rule.from.iter().any(|peer| peer.ip_block.is_some()))
}

/// metrics-server's pod, and the policies that select it.
pub(super) struct Selected<'s> {
    pub(super) pod: &'s Pod,
    pub(super) policies: Vec<&'s NetworkPolicy>,
    /// Why others may be missing.
    pub(super) gap: Option<NotSeen>,
}

/// The policies that have a say on metrics-server's pod; `Err` is an outcome that ends the check early.
#[expect(clippy::result_large_err, reason = "made once a look")]
pub(super) fn selected<'s>(
    context: &Context<'s>,
    has_a_say: fn(&NetworkPolicy) -> bool,
) -> Result<Selected<'s>, Result<Outcome, NotSeen>> {
    let chain = &context.chain;
    let Some(pod) = chain.pods().first().copied() else {
        if let Some(gap) = chain.selected_pods.gap.clone().filter(|_| chain.service_reference().is_some()) {
            return Err(Err(gap));
        }
        return Err(Ok(Outcome::skipped("There are no pods of metrics-server.")));
    };
    if pod.spec.host_network {
        return Err(Ok(Outcome::skipped("NetworkPolicies do not reach pods with hostNetwork.")));
    }
    let listing = context.snapshot.network_policies.in_namespace(pod.namespace());
    let selects = |policy: &NetworkPolicy| has_a_say(policy) && policy.spec.pod_selector.matches(&pod.metadata.labels);
    let gap = listing.gap.clone();
    Ok(Selected { pod, policies: listing.filter(selects).objects, gap })
}

/// No policy shuts the control plane out.
pub(super) fn evaluate(context: &Context<'_>) -> Result<Outcome, NotSeen> {
    let Selected { pod, policies: selecting, gap } = match selected(context, restricts_ingress) {
        Ok(selected) => selected,
        Err(outcome) => return outcome,
    };
    let names: Vec<&str> = selecting.iter().map(|policy| policy.name()).collect();
    let Some(port) =
        metrics_server::container(&pod.spec).and_then(|container| match metrics_server::listen_port(container) {
            ListenPort::Known { port, .. } => Some(port),
            ListenPort::Unknown(_) => None,
        })
    else {
        return Ok(Outcome::pass("metrics-server's port was not seen, so no policy is judged."));
    };
    // Policies add up: one that lets the control plane in is enough.
    let open = selecting.is_empty()
        || selecting
            .iter()
            .flat_map(|policy| &policy.spec.ingress)
            .any(|rule| may_let_the_control_plane_in(rule, pod, port));
    if open {
        return match gap {
            Some(gap) if selecting.is_empty() => Err(gap),
            _ => Ok(Outcome::pass(format!("No NetworkPolicy shuts the control plane out of port {port}.")).evidence(
                format!(
                    "policies that select the pods: {}",
                    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
                ),
            )),
        };
    }
    let told =
        format!("NetworkPolicies {} let nothing outside the pod network in on TCP port {port}", names.join(", "));
    let Some(condition) = timed_out(context) else {
        // Many network plugins let the node in, so without a symptom this is nobody's fault.
        return Ok(Outcome::pass("The aggregator gets through.").evidence(told));
    };
    if let Some(gap) = gap {
        return Ok(Outcome::unknown(gap, format!("{told}; others may.")));
    }
    let finding = Finding::outage(
        Cause::NetworkPolicyBlocks,
        crate::snapshot::ObjectReference::new(
            "NetworkPolicy",
            pod.namespace(),
            names.first().copied().unwrap_or_default(),
        ),
        format!("{told}."),
    )
    .evidence(format!("condition Available: {}", condition.message));
    Ok(Outcome::fail(finding))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        check::Status,
        guide::Step,
        snapshot::{Collection, Snapshot},
        testing::{object, run},
    };

    fn with(spec: Value) -> Snapshot {
        let policy =
            object::<NetworkPolicy>(json!({"metadata": {"namespace": "kube-system", "name": "policy"}, "spec": spec}));
        Snapshot { network_policies: Collection::complete([policy]), ..super::super::tests::timing_out() }
    }

    #[test]
    fn only_a_policy_without_room_for_the_control_plane_blocks() {
        let label = json!({"matchLabels": {"k8s-app": "metrics-server"}});
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
            let status = run(Step::Timeout, "network_policy", &with(spec.clone())).status;
            assert_eq!(status == Status::Fail, blocks, "{spec}");
        }
    }

    #[test]
    fn without_a_timeout_no_policy_is_blamed() {
        let snapshot =
            Snapshot { api_services: crate::testing::healthy().api_services, ..with(json!({"podSelector": {}})) };
        assert_eq!(run(Step::Timeout, "network_policy", &snapshot).status, Status::Pass);
    }
}
