//! Step `timeout` (guide: "Client.Timeout exceeded while awaiting headers", security groups, network ACL).

mod network_policy;

use jiff::SignedDuration;

use crate::{
    catalogue::Cause,
    check::{Check, Context, Finding, Outcome},
    snapshot::{Condition, NotSeen, pod::ContainerStatus},
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

/// Whether the aggregator's word alone proves a ready endpoint: it dials only once the Service has one, and nothing that
/// was seen says otherwise (kubernetes/kube-aggregator `pkg/controllers/status`: of Services of type `ClusterIP`, every
/// version).
fn dialled_unseen(context: &Context<'_>, condition: &Condition) -> bool {
    let chain = context.chain;
    let cluster_ip = chain.service.seen().is_none_or(|service| service.is_cluster_ip());
    let unseen = chain.pods().is_empty()
        && chain.selected_pods.gap.is_some()
        && EndpointCounts::of(chain).is_err()
        && chain.workload.seen().is_none();
    condition.reason == "FailedDiscoveryCheck" && cluster_ip && unseen
}

/// How often the pods were restarted, where each of them was in the last hour, and several times.
fn restarting(context: &Context<'_>) -> Option<String> {
    let now = context.snapshot.observed_at;
    let pods = context.chain.pods();
    let recently = |status: &ContainerStatus| {
        status.restart_count > 2
            && status
                .last_state
                .terminated
                .as_ref()
                .and_then(|terminated| terminated.finished_at)
                .is_some_and(|ended| now.duration_since(ended) < SignedDuration::from_hours(1))
    };
    let all = pods.iter().all(|pod| pod.status.container_statuses.iter().any(recently));
    let restarts: u32 =
        pods.iter().flat_map(|pod| &pod.status.container_statuses).map(|status| status.restart_count).sum();
    (all && !pods.is_empty()).then(|| format!("restartCount of the pods: {restarts}"))
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
    if !ready && !dialled_unseen(context, condition) {
        let gap = chain.selected_pods.gap.clone();
        return Err(gap.unwrap_or_else(|| {
            NotSeen::TooEarly("the pods are not Ready, so they may be what does not answer".to_owned())
        }));
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
    if let Some(restarts) = restarting(context) {
        // A server that its liveness probe kills again and again does not answer the aggregator either.
        let finding = Finding::outage(
            Cause::ControlPlanePathClosed,
            chain.workload_object(),
            "The control plane's calls time out, and the pods have been restarted in the last hour.",
        )
        .evidence(format!("condition Available: {}", condition.message))
        .evidence(restarts)
        .candidates([Cause::ControlPlanePathClosed, Cause::ContainerCrashing]);
        return Ok(Outcome::fail(finding));
    }
    let ready_pods = chain.selected_pods.objects.iter().filter(|pod| pod.is_ready()).count();
    let seen = if ready { "The pods are Ready" } else { "The aggregator knows a ready endpoint" };
    let object = if ready { chain.workload_object() } else { chain.api_service_object() };
    let finding = Finding::outage(
        Cause::ControlPlanePathClosed,
        object,
        format!(
            "{seen}, but the control plane's calls time out: open {port} from the control plane to the nodes and pods."
        ),
    )
    .evidence(format!("condition Available: {}", condition.message));
    Ok(Outcome::fail(if ready_pods > 0 {
        finding.evidence(format!("{ready_pods} selected pods are Ready"))
    } else {
        finding
    }))
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
    fn a_server_that_is_killed_again_and_again_leaves_it_open() {
        let killed = |minutes: i64| {
            let mut snapshot = timing_out();
            let mut pod = snapshot
                .pods
                .get("kube-system", "metrics-server-5d8f-abcde")
                .seen()
                .map(|pod| (*pod).clone())
                .expect("it");
            pod.status.container_statuses = vec![object(
                json!({"name": "metrics-server", "ready": true, "restartCount": 9, "state": {"running": {}},
                "lastState": {"terminated": {"reason": "Error", "exitCode": 137, "finishedAt": crate::testing::at(-60 * minutes)}}}),
            )];
            snapshot.pods = Collection::complete([pod]);
            run(Step::Timeout, "path", &snapshot).findings[0].candidates.len()
        };
        assert_eq!((killed(5), killed(600)), (2, 0));
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
        assert_eq!(run(Step::Timeout, "path", &snapshot).status, Status::Unknown, "no address was seen to be ready");
        snapshot.endpoint_slices = Collection::unseen(NotSeen::NotInBundle("endpointslices"));
        let outcome = run(Step::Timeout, "path", &snapshot);
        assert_eq!(
            outcome.findings[0].cause,
            Cause::ControlPlanePathClosed,
            "the aggregator dials ready endpoints alone"
        );
        assert_eq!(run(Step::Timeout, "path", &healthy()).status, Status::Pass);
    }
}
