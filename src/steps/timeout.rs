//! Step `timeout` (guide: "Client.Timeout exceeded while awaiting headers", security groups, network ACL).

mod network_policy;

use crate::{
    catalogue::Cause,
    check::{Check, Context, Finding, Outcome},
    snapshot::{Condition, NotSeen},
    steps::{
        Step,
        apiservice::MessageClass,
        connection_refused::{Hop, PortChain},
        other_reasons::EndpointCounts,
    },
};

/// The checks of this step.
pub const CHECKS: &[Check] = &[
    Check {
        step: Step::Timeout,
        id: "path",
        question: "Do the control plane's packets reach metrics-server's pods?",
        causes: &[Cause::ControlPlanePathClosed],
        evaluate: path,
    },
    Check {
        step: Step::Timeout,
        id: "network_policy",
        question: "Do the NetworkPolicies let the control plane in on metrics-server's port?",
        causes: &[Cause::NetworkPolicyBlocks],
        evaluate: network_policy::evaluate,
    },
];

/// The condition, where it tells of a timeout.
fn timed_out<'s>(context: &Context<'s>) -> Option<&'s Condition> {
    context.chain.unavailable().filter(|condition| MessageClass::of(&condition.message) == MessageClass::Timeout)
}

/// The aggregator's calls arrive. That they time out while the pods answer their own probes on the same port means that
/// somebody drops them on the way.
fn path(context: &Context<'_>) -> Result<Outcome, NotSeen> {
    let chain = context.chain;
    chain.api_service.clone().known()?;
    let Some(condition) = timed_out(context) else {
        return match chain.available() {
            None => Ok(Outcome::skipped("The aggregator has not called yet.")),
            Some(_) => Ok(Outcome::pass("The aggregator's calls do not time out.")),
        };
    };
    // An address is ready, and a replica available, only while the pod answers its own probes.
    let ready = chain.has_ready_pod()
        || EndpointCounts::of(chain).is_ok_and(|counts| counts.ready > 0)
        || chain.workload.seen().is_some_and(|workload| workload.available() > 0);
    if !ready {
        let gap = chain.selected_pods.gap.clone();
        return Err(gap.unwrap_or_else(|| {
            NotSeen::TooEarly("the pods are not Ready, so they may be what does not answer".to_owned())
        }));
    }
    if context.is_condition_older_than_pods(condition) {
        return Err(NotSeen::TooEarly("the pods became Ready after the aggregator last looked".to_owned()));
    }
    let ports = PortChain::of(context.snapshot, chain);
    if Hop::ALL.into_iter().any(|hop| ports.mismatch(hop) == Some(true)) {
        return Ok(Outcome::unknown(
            NotSeen::TooEarly("the ports differ".to_owned()),
            "The calls go to a port that metrics-server does not listen on.",
        ));
    }
    let port = ports.endpoint_ports.first().copied().or(ports.resolved_target_port);
    let port = port.map_or_else(|| "the pod's port".to_owned(), |port| format!("TCP port {port}"));
    let finding = Finding::outage(
        Cause::ControlPlanePathClosed,
        chain.workload_object(),
        format!("The pods are Ready, but the control plane's calls time out: open {port} from the control plane to the nodes and pods."),
    )
    .evidence(format!("condition Available: {}", condition.message))
    .evidence(format!("{} selected pods are Ready", chain.selected_pods.objects.iter().filter(|pod| pod.is_ready()).count()));
    Ok(Outcome::fail(finding))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        check::Status,
        snapshot::{ApiService, Collection, Snapshot},
        testing::{healthy, object, run},
    };

    pub(super) fn timing_out() -> Snapshot {
        Snapshot {
            api_services: Collection::complete([object::<ApiService>(json!({
                "metadata": {"name": "v1beta1.metrics.k8s.io"},
                "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "service": {"namespace": "kube-system", "name": "metrics-server"}},
                "status": {"conditions": [{"type": "Available", "status": "False", "reason": "FailedDiscoveryCheck",
                    "message": "failing or missing response from https://10.0.1.10:10250/apis/metrics.k8s.io/v1beta1: Get \"https://10.0.1.10:10250/apis/metrics.k8s.io/v1beta1\": context deadline exceeded"}]}
            }))]),
            ..healthy()
        }
    }

    #[test]
    fn ready_pods_behind_a_timeout_mean_a_closed_path_and_the_port_is_named() {
        let outcome = run(Step::Timeout, "path", &timing_out());
        assert_eq!(outcome.findings[0].cause, Cause::ControlPlanePathClosed);
        assert!(outcome.summary.contains("10250"), "{}", outcome.summary);
    }

    #[test]
    fn a_condition_from_before_the_pods_were_ready_proves_nothing() {
        let mut snapshot = timing_out();
        let mut pod =
            snapshot.pods.get("kube-system", "metrics-server-5d8f-abcde").seen().map(|pod| (*pod).clone()).expect("it");
        let mut api_service = snapshot.api_services.iter().next().cloned().expect("it");
        pod.status.conditions[0].last_transition_time = crate::testing::at(-10).parse().ok();
        snapshot.pods.insert(pod);
        for (since, status) in [(-60, Status::Unknown), (-5, Status::Fail)] {
            api_service.status.conditions[0].last_transition_time = crate::testing::at(since).parse().ok();
            snapshot.api_services = Collection::complete([api_service.clone()]);
            assert_eq!(run(Step::Timeout, "path", &snapshot).status, status, "{since}");
        }
    }

    #[test]
    fn pods_that_are_not_ready_or_not_seen_leave_it_open() {
        let mut snapshot = Snapshot {
            endpoint_slices: Collection::complete([]),
            workloads: Collection::unseen(NotSeen::NotInBundle("deployments")),
            ..timing_out()
        };
        let mut pod =
            snapshot.pods.get("kube-system", "metrics-server-5d8f-abcde").seen().map(|pod| (*pod).clone()).expect("it");
        pod.status.conditions.clear();
        snapshot.pods = Collection::complete([pod]);
        assert_eq!(run(Step::Timeout, "path", &snapshot).status, Status::Unknown);
        snapshot.pods = Collection::unseen(NotSeen::NotInBundle("pods"));
        assert_eq!(run(Step::Timeout, "path", &snapshot).status, Status::Unknown);
        assert_eq!(run(Step::Timeout, "path", &healthy()).status, Status::Pass);
    }
}
