//! Step `timeout` (guide: "Client.Timeout exceeded while awaiting headers", security groups, network ACL).

mod egress;
mod network_policy;

use jiff::SignedDuration;

use crate::{
    catalogue::Cause,
    check::{Check, Finding},
    facts::Facts as Context,
    facts::{
        endpoints::EndpointCounts,
        ports::{Hop, PortChain},
    },
    guide::Step,
    snapshot::{Condition, DialOutcome, NotSeen, dial::common_outcome, pod::ContainerStatus},
    steps::bridge,
    steps::bridge::Outcome,
    wording::aggregator::MessageClass,
};

/// The checks of this step.
pub const CHECKS: &[Check] = &[
    Check {
        step: Step::Timeout,
        id: "path",
        question: "Do the control plane's packets reach metrics-server's pods?",
        causes: &[Cause::ControlPlanePathClosed, Cause::PodNetworkClosed, Cause::ServerUnresponsive],
        rule: |facts, docket| bridge::rule(facts, docket, path(facts)),
    },
    Check {
        step: Step::Timeout,
        id: "network_policy",
        question: "Do the NetworkPolicies let the control plane in on metrics-server's port?",
        causes: &[Cause::NetworkPolicyBlocks],
        rule: |facts, docket| bridge::rule(facts, docket, network_policy::evaluate(facts)),
    },
    Check {
        step: Step::Timeout,
        id: "network_policy_egress",
        question: "Do the NetworkPolicies let metrics-server out to the kubelets?",
        causes: &[Cause::EgressPolicyBlocks],
        rule: |facts, docket| bridge::rule(facts, docket, egress::evaluate(facts)),
    },
];

/// The condition, where it tells of a timeout.
fn timed_out<'s>(context: &Context<'s>) -> Option<&'s Condition> {
    context.chain.unavailable().filter(|condition| MessageClass::of(&condition.message) == MessageClass::Timeout)
}

/// How all of the doctor's own dials since the condition's transition ended; `Ok(None)` where they are no part of this
/// way to run or tell different things.
pub(super) fn dialled(context: &Context<'_>, condition: &Condition) -> Result<Option<DialOutcome>, NotSeen> {
    match context.snapshot.dials.as_ref().known() {
        Ok(Some(dials)) => {
            // metav1.Time has whole seconds.
            let since = condition.last_transition_time;
            if !dials.is_empty() && dials.iter().all(|dial| since.is_some_and(|since| dial.at < since)) {
                return Err(NotSeen::TooEarly("the endpoints were not dialled since the calls fail".to_owned()));
            }
            Ok(common_outcome(dials, since))
        }
        Ok(None) | Err(NotSeen::NotLooked | NotSeen::NotInBundle(_)) => Ok(None),
        Err(reason) => Err(reason),
    }
}

fn with_dials(context: &Context<'_>, finding: Finding) -> Finding {
    context.snapshot.dials.seen().into_iter().flatten().fold(finding, |finding, dial| finding.evidence(dial.told()))
}

/// Whether the aggregator's word alone proves a ready endpoint: it dials only once the Service has one, and nothing that
/// was seen says otherwise (kubernetes/kube-aggregator `pkg/controllers/status`: of Services of type `ClusterIP`, every
/// version).
fn knows_a_ready_endpoint(context: &Context<'_>, condition: &Condition) -> bool {
    let chain = &context.chain;
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

/// The aggregator's calls arrive. That they fail while the pods answer others on the same port means that somebody drops
/// or rejects them on the way.
fn path(context: &Context<'_>) -> Result<Outcome, NotSeen> {
    let chain = &context.chain;
    chain.api_service.clone().known()?;
    let Some(condition) = chain.unavailable() else {
        return match chain.available() {
            None => Ok(Outcome::skipped("The aggregator has not called yet.")),
            Some(_) => Ok(Outcome::pass("The aggregator's calls do not time out.")),
        };
    };
    let class = MessageClass::of(&condition.message);
    let dialled = dialled(context, condition)?;
    if dialled == Some(DialOutcome::Silent) {
        let finding = Finding::outage(
            Cause::ServerUnresponsive,
            chain.workload_object(),
            "metrics-server accepts connections on its port and answers none of them.",
        )
        .evidence(format!("condition Available: {}", condition.message));
        return Ok(Outcome::fail(with_dials(context, finding)));
    }
    let rejected = dialled == Some(DialOutcome::Answered)
        && matches!(class, MessageClass::ConnectionRefused | MessageClass::Reset)
        && context.dials_endpoint(&condition.message);
    if class != MessageClass::Timeout && !rejected {
        return Ok(Outcome::pass("The aggregator's calls do not time out."));
    }
    if network_policy::evaluate(context).is_ok_and(|outcome| !outcome.findings.is_empty()) {
        return Ok(Outcome::unknown(
            NotSeen::TooEarly("a NetworkPolicy is in the way".to_owned()),
            "A NetworkPolicy explains the timeout.",
        ));
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
    let finding = match dialled {
        Some(DialOutcome::Answered) => {
            let fails = if rejected { "are rejected" } else { "time out" };
            closed_for_the_control_plane(context, &port, "The pods answer a direct dial", fails)
        }
        // An address is ready, and a replica available, only while the pod answers its own probes.
        _ if !is_ready(context) && !knows_a_ready_endpoint(context, condition) => {
            let gap = chain.selected_pods.gap.clone();
            return Err(gap.unwrap_or_else(|| {
                NotSeen::TooEarly("the pods are not Ready, so they may be what does not answer".to_owned())
            }));
        }
        Some(DialOutcome::Timeout | DialOutcome::NoRoute) => Finding::outage(
            Cause::PodNetworkClosed,
            chain.workload_object(),
            format!("The pods are Ready, but neither the control plane nor another pod reaches them on {port}."),
        ),
        _ if is_ready(context) => {
            let finding = closed_for_the_control_plane(context, &port, "The pods are Ready", "time out");
            match restarting(context) {
                // A server that its liveness probe kills again and again does not answer the aggregator either.
                Some(restarts) => {
                    finding.evidence(restarts).candidates([Cause::ControlPlanePathClosed, Cause::ContainerCrashing])
                }
                None => finding,
            }
        }
        _ => closed_for_the_control_plane(context, &port, "The aggregator knows a ready endpoint", "time out"),
    };
    let mut finding = finding.evidence(format!("condition Available: {}", condition.message));
    let ready = chain.selected_pods.objects.iter().filter(|pod| pod.is_ready()).count();
    if ready > 0 {
        finding = finding.evidence(format!("{ready} selected pods are Ready"));
    }
    Ok(Outcome::fail(with_dials(context, finding)))
}

fn closed_for_the_control_plane(context: &Context<'_>, port: &str, pods: &str, fails: &str) -> Finding {
    let chain = &context.chain;
    let seen = !chain.pods().is_empty() || chain.workload.seen().is_some();
    let object = if seen { chain.workload_object() } else { chain.api_service_object() };
    Finding::outage(
        Cause::ControlPlanePathClosed,
        object,
        format!(
            "{pods}, but the control plane's calls {fails}: open {port} from the control plane to the nodes and pods."
        ),
    )
}

fn is_ready(context: &Context<'_>) -> bool {
    let chain = &context.chain;
    chain.has_ready_pod()
        || EndpointCounts::of(chain).is_ok_and(|counts| counts.ready > 0)
        || chain.workload.seen().is_some_and(|workload| workload.available() > 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        check::Status,
        snapshot::{ApiService, Collection, Dial, Observed, Snapshot},
        testing::{at, healthy, object, run},
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

    fn dialled(outcome: DialOutcome, snapshot: Snapshot) -> Snapshot {
        let dial = Dial {
            address: "10.0.1.10".to_owned(),
            port: 10250,
            at: snapshot.observed_at,
            took: std::time::Duration::from_millis(2),
            outcome,
            detail: "told".to_owned(),
        };
        Snapshot { dials: Observed::Present(vec![dial]), ..snapshot }
    }

    #[test]
    fn a_direct_dial_tells_who_is_in_the_way() {
        for (outcome, cause) in [
            (DialOutcome::Answered, Cause::ControlPlanePathClosed),
            (DialOutcome::Timeout, Cause::PodNetworkClosed),
            (DialOutcome::NoRoute, Cause::PodNetworkClosed),
            (DialOutcome::Silent, Cause::ServerUnresponsive),
        ] {
            let found = run(Step::Timeout, "path", &dialled(outcome, timing_out()));
            assert_eq!(found.findings[0].cause, cause, "{outcome:?}");
            assert!(
                found.evidence.iter().any(|line| line.line.starts_with("direct dial of 10.0.1.10:10250")),
                "{found:?}"
            );
            let healthy = run(Step::Timeout, "path", &dialled(outcome, healthy()));
            assert_eq!(
                healthy.status,
                Status::Pass,
                "{outcome:?}: without a complaint of the aggregator nothing is wrong"
            );
        }
    }

    #[test]
    fn before_the_dial_that_follows_the_complaint_nothing_is_blamed() {
        let mut snapshot = timing_out();
        snapshot.dials = Observed::NotSeen(NotSeen::NotSynced);
        assert_eq!(run(Step::Timeout, "path", &snapshot).status, Status::Unknown);
        let mut api_service = snapshot.api_services.iter().next().cloned().expect("it");
        api_service.status.conditions[0].last_transition_time = at(5).parse().ok();
        snapshot.api_services = Collection::complete([api_service]);
        let snapshot = dialled(DialOutcome::Answered, snapshot);
        assert_eq!(run(Step::Timeout, "path", &snapshot).status, Status::Unknown);
    }

    #[test]
    fn a_refusal_beside_an_answered_dial_is_a_firewall_that_rejects() {
        let mut snapshot = dialled(DialOutcome::Answered, timing_out());
        let mut api_service = snapshot.api_services.iter().next().cloned().expect("it");
        "Get \"https://10.0.1.10:10250/\": dial tcp 10.0.1.10:10250: connect: connection refused"
            .clone_into(&mut api_service.status.conditions[0].message);
        snapshot.api_services = Collection::complete([api_service]);
        assert_eq!(run(Step::Timeout, "path", &snapshot).findings[0].cause, Cause::ControlPlanePathClosed);
        assert!(run(Step::ConnectionRefused, "container", &snapshot).findings.is_empty());
        let refused = dialled(DialOutcome::Refused, snapshot);
        assert_eq!(run(Step::Timeout, "path", &refused).findings, []);
        assert_eq!(run(Step::ConnectionRefused, "container", &refused).findings[0].cause, Cause::NothingListens);
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
