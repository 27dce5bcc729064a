//! The checks of the way to the pods.

use serde_json::json;

use crate::{
    catalogue::Cause,
    check::Status,
    guide::Step,
    snapshot::{ApiService, Collection, Dial, DialOutcome, Node, NotSeen, Observed, Snapshot},
    testing::{at, healthy, object, run},
};

pub(in crate::steps) fn timing_out() -> Snapshot {
    Snapshot {
        api_services: Collection::complete([object::<ApiService>(json!({
            "metadata": {"name": "v1beta1.metrics.k8s.io"},
            "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "insecureSkipTLSVerify": true, "service": {"namespace": "kube-system", "name": "metrics-server"}},
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
        assert!(found.evidence.iter().any(|line| line.line.starts_with("direct dial of 10.0.1.10:10250")), "{found:?}");
        let healthy = run(Step::Timeout, "path", &dialled(outcome, healthy()));
        assert_eq!(healthy.status, Status::Pass, "{outcome:?}: without a complaint of the aggregator nothing is wrong");
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
        let mut pod =
            snapshot.pods.get("kube-system", "metrics-server-5d8f-abcde").seen().map(|pod| (*pod).clone()).expect("it");
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
    assert_eq!(outcome.findings[0].cause, Cause::ControlPlanePathClosed, "the aggregator dials ready endpoints alone");
    assert_eq!(run(Step::Timeout, "path", &healthy()).status, Status::Pass);
}

/// Another aggregated API, which the aggregator does not reach.
pub(in crate::steps) fn aggregated(name: &str, message: &str) -> ApiService {
    let (version, group) = name.split_once('.').expect("a name");
    object(json!({
        "metadata": {"name": name},
        "spec": {"group": group, "version": version, "insecureSkipTLSVerify": true, "service": {"namespace": "other", "name": "other"}},
        "status": {"conditions": [{"type": "Available", "status": "False", "reason": "FailedDiscoveryCheck",
            "message": format!("failing or missing response from https://10.0.1.99:8443/apis: Get \"https://10.0.1.99:8443/apis\": {message}")}]}
    }))
}

fn told(message: &str) -> Snapshot {
    let mut snapshot = timing_out();
    let mut api_service = snapshot.api_services.iter().next().cloned().expect("it");
    message.clone_into(&mut api_service.status.conditions[0].message);
    snapshot.api_services = Collection::complete([api_service]);
    snapshot
}

#[test]
fn no_route_and_a_tunnel_without_agents_are_told_by_the_message() {
    for (message, cause) in [
        ("dial tcp 10.0.1.10:10250: connect: no route to host", Some(Cause::NoRoute)),
        ("Get \"https://10.0.1.10:10250/apis\": No agent available", Some(Cause::ControlPlanePathClosed)),
        (
            "Get \"https://10.0.1.10:10250/apis\": failed to find session for client node-1",
            Some(Cause::ControlPlanePathClosed),
        ),
        (
            "Get \"https://10.0.1.10:10250/apis\": proxy error from 127.0.0.1:6443 while dialing 10.0.1.10:10250, code 502: 502 Bad Gateway",
            None,
        ),
        ("bad status from https://10.0.1.10:10250/apis: 403", None),
    ] {
        let answer = run(Step::Timeout, "path", &told(message));
        assert_eq!(answer.findings.first().map(|finding| finding.cause), cause, "{message}");
        assert!(answer.findings.iter().all(|finding| !finding.remedy().contains("security group")), "{message}");
    }
}

#[test]
fn other_aggregated_apis_that_fail_alike_put_the_fault_on_the_way() {
    let mut snapshot = timing_out();
    snapshot.api_services.insert(aggregated("v1.packages.example.com", "context deadline exceeded"));
    let finding = run(Step::Timeout, "path", &snapshot).findings.remove(0);
    assert_eq!(finding.cause, Cause::ControlPlanePathClosed);
    assert!(finding.summary.contains("other aggregated APIs"), "{}", finding.summary);
    assert!(finding.evidence.iter().any(|line| line.contains("v1.packages.example.com")));
    let mut snapshot = timing_out();
    snapshot
        .api_services
        .insert(aggregated("v1.packages.example.com", "x509: certificate signed by unknown authority"));
    let finding = run(Step::Timeout, "path", &snapshot).findings.remove(0);
    assert!(!finding.summary.contains("other aggregated APIs"), "{}", finding.summary);
}

#[test]
fn the_remedy_fits_where_the_control_plane_stands() {
    let remedy = |address: &str, labels: serde_json::Value| {
        let node = object::<Node>(json!({"metadata": {"name": "node-1", "labels": labels},
            "status": {"addresses": [{"type": "InternalIP", "address": address}]}}));
        let snapshot = Snapshot { nodes: Collection::complete([node]), ..timing_out() };
        run(Step::Timeout, "path", &snapshot).findings[0].remedy()
    };
    let cloud = json!({"eks.amazonaws.com/nodegroup": "ng-1"});
    assert!(remedy("10.0.1.4", cloud.clone()).contains("security group"));
    for (address, labels) in [
        ("192.168.4.4", json!({"node-role.kubernetes.io/control-plane": ""})),
        ("192.168.4.4", cloud),
        ("10.0.1.4", json!({})),
    ] {
        let told = remedy(address, labels.clone());
        assert!(told.starts_with("Give the hosts of the control plane a way to the pod network"), "{labels}: {told}");
        assert!(
            told.contains("konnectivity") && told.contains("hostNetwork") && told.contains("TCP port 10250"),
            "{told}"
        );
    }
    assert!(
        remedy("10.0.1.4", json!({"node-role.kubernetes.io/control-plane": ""})).contains("firewalls of the hosts")
    );
}
