//! Unit tests of the checks of images, commands and containers.

use serde_json::{Value, json};

use super::*;
use crate::{
    check::Status,
    guide::Step,
    snapshot::{ApiService, Collection, Snapshot},
    testing::{healthy, object, run},
};

fn with(image: &str, args: &[&str], status: Value, ready: &str, message: &str) -> Snapshot {
    let mut snapshot = healthy();
    let mut pod =
        snapshot.pods.get("kube-system", "metrics-server-5d8f-abcde").seen().map(|pod| (*pod).clone()).expect("it");
    pod.spec.containers[0].image = image.to_owned();
    pod.spec.containers[0].args = args.iter().map(|&arg| arg.to_owned()).collect();
    pod.status.container_statuses = vec![object(status)];
    pod.status.conditions = vec![object(json!({"type": "Ready", "status": ready}))];
    snapshot.pods = Collection::complete([pod]);
    snapshot.api_services = Collection::complete([object::<ApiService>(json!({
        "metadata": {"name": "v1beta1.metrics.k8s.io"},
        "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "service": {"namespace": "kube-system", "name": "metrics-server"}},
        "status": {"conditions": [{"type": "Available", "status": "False", "reason": "FailedDiscoveryCheck", "message": message}]}
    }))]);
    snapshot
}

fn all_causes(snapshot: &Snapshot) -> Vec<Cause> {
    let checks = ["port_conflict", "image", "command", "container"];
    checks
        .iter()
        .flat_map(|check| run(Step::ConnectionRefused, check, snapshot).findings)
        .map(|finding| finding.cause)
        .collect()
}

#[test]
fn what_killed_the_container_long_ago_is_history() {
    let killed = |finished: i64| {
        json!({"name": "metrics-server", "restartCount": 1, "state": {"running": {"startedAt": crate::testing::at(finished + 1)}},
            "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": crate::testing::at(finished)}}})
    };
    let causes = |finished| all_causes(&with(IMAGE, &[], killed(finished), "False", "context deadline exceeded"));
    assert_eq!(causes(-300), [Cause::OutOfMemory]);
    assert_eq!(causes(-600_000), []);
}

const IMAGE: &str = "registry.k8s.io/metrics-server/metrics-server:v0.7.2";

fn crash(message: &str) -> Value {
    json!({"name": "metrics-server", "restartCount": 7, "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
        "lastState": {"terminated": {"reason": "Error", "exitCode": 2, "message": message}}})
}

#[test]
fn what_the_container_says_names_the_cause() {
    let port = "--secure-port=10250";
    for (status, args, cause) in [
        (
            json!({"name": "metrics-server", "state": {"waiting": {"reason": "ImagePullBackOff"}}}),
            vec![port],
            Cause::ImageUnavailable,
        ),
        (crash("exec /metrics-server: exec format error"), vec![port], Cause::ImageArchitecture),
        (crash("panic: unknown flag: --kublet-insecure-tls"), vec![port], Cause::UnknownFlag),
        (crash(""), vec![port, "--logtostderr"], Cause::UnknownFlag),
        (crash(""), vec![port, "--metric-resolution=10s"], Cause::FlagValueRefused),
        (crash("listen tcp 0.0.0.0:10250: bind: address already in use"), vec![port], Cause::PortConflict),
        (crash("listen tcp 0.0.0.0:443: bind: permission denied"), vec![], Cause::PrivilegedPort),
        (
            crash("error creating self-signed certificates: mkdir apiserver.local.config: permission denied"),
            vec![port],
            Cause::CertificateDirectoryUnwritable,
        ),
        (crash(""), vec![port, "--metric-resolution=15s"], Cause::ContainerCrashing),
        (
            json!({"name": "metrics-server", "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}),
            vec![port],
            Cause::OutOfMemory,
        ),
    ] {
        let snapshot = with(IMAGE, &args, status.clone(), "False", "MissingEndpoints");
        assert!(all_causes(&snapshot).contains(&cause), "{status} {args:?}: {:?}", all_causes(&snapshot));
    }
}

#[test]
fn a_container_that_is_ready_now_has_no_fault() {
    let status = json!({"name": "metrics-server", "restartCount": 3, "state": {"running": {}}, "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}});
    assert_eq!(all_causes(&with(IMAGE, &["--logtostderr"], status, "True", "i/o timeout")), []);
}

#[test]
fn old_versions_know_the_flags_that_new_ones_dropped() {
    let snapshot =
        with("k8s.gcr.io/metrics-server-amd64:v0.3.6", &["--logtostderr"], crash(""), "False", "MissingEndpoints");
    assert_eq!(all_causes(&snapshot), [Cause::ContainerCrashing]);
}

#[test]
fn the_kubelet_answers_on_10250_with_host_network() {
    let status = json!({"name": "metrics-server", "state": {"running": {}}});
    let mut snapshot = with(
        IMAGE,
        &["--secure-port=10250"],
        status,
        "True",
        "bad status from https://10.0.1.10:10250/apis/metrics.k8s.io/v1beta1: 404",
    );
    assert_eq!(all_causes(&snapshot), []);
    let mut pod = snapshot.pods.iter().next().cloned().expect("a pod");
    pod.spec.host_network = true;
    snapshot.pods = Collection::complete([pod]);
    assert_eq!(all_causes(&snapshot), [Cause::PortConflict]);
}

#[test]
fn refused_with_ready_pods_and_fitting_ports_is_nothing_listens() {
    let status = json!({"name": "metrics-server", "ready": true, "state": {"running": {}}});
    let snapshot =
        with(IMAGE, &["--secure-port=10250"], status, "True", "dial tcp 10.0.1.10:10250: connect: connection refused");
    assert_eq!(all_causes(&snapshot), [Cause::NothingListens]);
    assert_eq!(run(Step::ConnectionRefused, "container", &healthy()).status, Status::Pass);
}

#[test]
fn another_container_may_keep_the_pod_from_being_ready() {
    let mut snapshot = with(
        "metrics-server:v0.6.4",
        &[],
        json!({"name": "metrics-server", "ready": true, "state": {"running": {}}}),
        "False",
        "endpoints have no addresses",
    );
    let mut pod = snapshot.pods.iter().next().cloned().expect("it");
    pod.status.container_statuses.push(object(json!({"name": "metrics-server-nanny", "ready": false, "restartCount": 9,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}})));
    snapshot.pods = Collection::complete([pod]);
    assert_eq!(all_causes(&snapshot), [Cause::OutOfMemory]);
}

#[test]
fn a_kill_that_was_survived_is_history() {
    let message = "endpoints have no addresses";
    let status = |started: i64| {
        json!({"name": "metrics-server", "restartCount": 1, "state": {"running": {"startedAt": crate::testing::at(started)}},
            "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}})
    };
    let causes = |started: i64| all_causes(&with("metrics-server:v0.9.0", &[], status(started), "False", message));
    assert_eq!(causes(-90), [Cause::OutOfMemory]);
    assert_eq!(causes(-7200), [], "it runs for two hours and is not Ready for another reason");
}

#[test]
fn an_api_server_that_cannot_be_reached_leaves_every_container_unknown() {
    let gap = || crate::snapshot::NotSeen::Unreachable("connection refused".to_owned());
    let snapshot = Snapshot {
        server_version: crate::snapshot::Observed::NotSeen(gap()),
        api_services: Collection::unseen(gap()),
        services: Collection::unseen(gap()),
        endpoint_slices: Collection::unseen(gap()),
        pods: Collection::unseen(gap()),
        workloads: Collection::unseen(gap()),
        ..Snapshot::default()
    };
    for step in [Step::Installed, Step::ConnectionRefused, Step::OtherReasons, Step::KnownIssues] {
        for check in crate::steps::checks(step) {
            let answer = run(step, check.id, &snapshot);
            assert_eq!(answer.status, Status::Unknown, "{step}/{}: {}", check.id, answer.summary);
        }
    }
}

#[test]
fn a_probe_that_kills_is_told_with_its_numbers_and_apart_from_other_ends() {
    let ended = |exit_code: i32, lived: i64| {
        json!({"name": "metrics-server", "restartCount": 9, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"reason": "Error", "exitCode": exit_code,
                "startedAt": crate::testing::at(-60 - lived), "finishedAt": crate::testing::at(-60)}}})
    };
    let found = |exit_code, lived, message: &str, reason: &str, version: &str| {
        let image = format!("registry.k8s.io/metrics-server/metrics-server:{version}");
        let mut snapshot = with(&image, &[], ended(exit_code, lived), "False", "MissingEndpoints");
        let mut pod = snapshot.pods.iter().next().cloned().expect("a pod");
        pod.spec.containers[0].liveness_probe =
            Some(object(json!({"initialDelaySeconds": 15, "timeoutSeconds": 1, "failureThreshold": 1})));
        snapshot.events = Collection::complete([object::<crate::snapshot::Event>(json!({
            "metadata": {"name": "e", "namespace": "kube-system"}, "reason": reason, "message": message, "count": 3,
            "lastTimestamp": crate::testing::at(-61),
            "involvedObject": {"kind": "Pod", "namespace": "kube-system", "name": pod.metadata.name.clone()}
        }))]);
        snapshot.pods = Collection::complete([pod]);
        run(Step::ConnectionRefused, "liveness_probe", &snapshot)
    };
    let killed = "Container metrics-server failed liveness probe, will be restarted";
    let failed = "Liveness probe failed: Get \"https://10.0.1.10:10250/livez\": context deadline exceeded";
    let unhealthy = "Liveness probe failed: HTTP probe failed with statuscode: 500";
    let answer = found(0, 40, killed, "Killing", "v0.8.0");
    assert_eq!(answer.findings[0].cause, Cause::LivenessProbeKills);
    assert!(answer.summary.contains("initialDelaySeconds 15, periodSeconds 10, timeoutSeconds 1, failureThreshold 1"));
    assert_eq!(found(137, 40, failed, "Unhealthy", "v0.8.0").status, Status::Fail);
    assert_eq!(found(1, 40, failed, "Unhealthy", "v0.8.0").status, Status::Unknown, "it ended by itself");
    assert_eq!(found(137, 3, killed, "Killing", "v0.8.0").status, Status::Unknown, "before the probe's first look");
    assert_eq!(found(137, 40, unhealthy, "Unhealthy", "v0.4.2").status, Status::Unknown, "scrapes fail, and tell so");
}
