//! States of metrics-server's pods second by second, as the kubelet and the controllers write them: a crash loop is one
//! cause from one back-off to the next, and what comes and goes by itself is never a fault.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use metrics_server_doctor::{
    observe::bundle,
    report::Report,
    snapshot::{
        ApiService, Collection, EndpointSlice, Named, Observed, Pod, Retrieval, Snapshot, Source, Workload,
        retrieval::{ErrorClass, Outcome, Sample},
    },
    verdict::VerdictName,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The readiness probe passes so many seconds after the start: its delay, and a scrape more.
const READY_AFTER: i64 = 25;

fn object<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("a valid object")
}

/// A cluster in order, from a bundle of `tests/cases`.
fn healthy() -> Snapshot {
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/healthy-node-cordoned/bundle");
    let mut snapshot = bundle::read(&bundle).expect("a readable bundle");
    snapshot.source = Source::Cluster;
    snapshot
}

/// The moment `second` of a scene.
fn at(snapshot: &Snapshot, second: i64) -> Timestamp {
    snapshot.observed_at + SignedDuration::from_secs(second)
}

/// A pod of metrics-server at one second.
#[derive(Clone)]
struct Scene {
    name: &'static str,
    created: i64,
    deleted: Option<i64>,
    ready: Option<(bool, i64)>,
    restarts: u32,
    state: Value,
    last_state: Value,
    address: &'static str,
}

struct Stage {
    base: Snapshot,
    pod: Pod,
}

impl Stage {
    fn new() -> Self {
        let base = healthy();
        let chain_pod = |pod: &&Pod| pod.namespace() == "kube-system" && pod.name().starts_with("metrics-server");
        let pod = base.pods.iter().find(chain_pod).cloned().expect("a pod of metrics-server");
        Self { base, pod }
    }

    fn moment(&self, second: i64) -> String {
        at(&self.base, second).to_string()
    }

    fn running(&self, since: i64) -> Value {
        json!({"running": {"startedAt": self.moment(since)}})
    }

    fn ended(&self, since: i64, until: i64, end: &Value) -> Value {
        let mut terminated = end.clone();
        terminated["startedAt"] = json!(self.moment(since));
        terminated["finishedAt"] = json!(self.moment(until));
        json!({"terminated": terminated})
    }

    fn pod(&self, scene: &Scene) -> Pod {
        let mut pod = self.pod.clone();
        scene.name.clone_into(&mut pod.metadata.name);
        pod.metadata.creation_timestamp = Some(at(&self.base, scene.created));
        pod.metadata.deletion_timestamp = scene.deleted.map(|deleted| at(&self.base, deleted));
        scene.address.clone_into(&mut pod.status.pod_ip);
        pod.status.pod_ips.clear();
        let (ready, since) = scene.ready.unwrap_or((false, scene.created));
        pod.status.conditions = vec![object(json!({"type": "Ready", "status": if ready { "True" } else { "False" },
            "reason": if ready { "" } else { "ContainersNotReady" }, "lastTransitionTime": self.moment(since)}))];
        let container = pod.spec.containers[0].name.clone();
        pod.status.container_statuses = vec![object(json!({"name": container, "ready": ready,
            "restartCount": scene.restarts, "state": scene.state, "lastState": scene.last_state}))];
        pod
    }

    /// The cluster at this second, with these pods, since `since` as available or not as it is now.
    fn snapshot(&self, second: i64, scenes: &[Scene], since: i64) -> Snapshot {
        let mut snapshot = self.base.clone();
        snapshot.observed_at = at(&self.base, second);
        let others = snapshot.pods.iter().filter(|pod| !pod.name().starts_with("metrics-server")).cloned();
        let pods: Vec<Pod> = others.chain(scenes.iter().map(|scene| self.pod(scene))).collect();
        snapshot.pods = Collection::complete(pods);
        let serving = |scene: &&Scene| scene.deleted.is_none() && scene.ready.is_some_and(|(ready, _)| ready);
        let ready = scenes.iter().filter(serving).count();
        let endpoints: Vec<Value> = scenes
            .iter()
            .map(|scene| {
                json!({"addresses": [scene.address], "conditions": {"ready": serving(&scene)},
                    "targetRef": {"kind": "Pod", "namespace": "kube-system", "name": scene.name}})
            })
            .collect();
        let slice = snapshot.endpoint_slices.iter().next().cloned().expect("a slice");
        let mut written: EndpointSlice = object(json!({"endpoints": endpoints}));
        written.metadata = slice.metadata;
        written.ports = slice.ports;
        snapshot.endpoint_slices = Collection::complete([written]);
        let own = |workload: &&Workload| workload.name() == "metrics-server";
        let mut workload = snapshot.workloads.iter().find(own).cloned().expect("a Deployment");
        workload.status.replicas = i32::try_from(scenes.len()).expect("few");
        workload.status.available_replicas = i32::try_from(ready).expect("few");
        workload.status.ready_replicas = workload.status.available_replicas;
        snapshot.workloads.insert(workload);
        let mut api_service: ApiService =
            snapshot.api_services.iter().find(|api_service| api_service.serves_metrics()).cloned().expect("one");
        let condition = if ready > 0 {
            json!({"type": "Available", "status": "True", "reason": "Passed", "message": "all checks passed", "lastTransitionTime": self.moment(since)})
        } else {
            json!({"type": "Available", "status": "False", "reason": "MissingEndpoints", "lastTransitionTime": self.moment(since),
                "message": "endpoints for service/metrics-server in \"kube-system\" have no addresses with port name \"https\""})
        };
        api_service.status.conditions = vec![object(condition)];
        snapshot.api_services = Collection::complete([api_service]);
        if let Observed::Present(Retrieval { outcome: Outcome::Samples(samples), .. }) = &mut snapshot.top_pods {
            samples.retain(|sample| !sample.name.starts_with("metrics-server"));
            let own = |scene: &Scene| Sample {
                namespace: "kube-system".to_owned(),
                name: scene.name.to_owned(),
                ..Sample::default()
            };
            samples.extend(scenes.iter().map(own));
        }
        if ready == 0 {
            let failed = || {
                Observed::Present(Retrieval {
                    outcome: Outcome::Failed {
                        class: ErrorClass::ServiceUnavailable,
                        text: "Error from server (ServiceUnavailable): the server is currently unable to handle the request (get nodes.metrics.k8s.io)".to_owned(),
                    },
                    latency: None,
                })
            };
            snapshot.top_nodes = failed();
            snapshot.top_pods = failed();
        }
        snapshot
    }
}

/// The verdicts of some seconds, each with when it began.
fn verdicts(
    stage: &Stage,
    seconds: impl IntoIterator<Item = i64>,
    scene: impl Fn(i64) -> Vec<Scene>,
) -> Vec<(i64, String)> {
    let mut told: Vec<(i64, String)> = Vec::new();
    let mut since = (i64::MIN, false);
    for second in seconds {
        let scenes = scene(second);
        let ready = scenes.iter().any(|scene| scene.deleted.is_none() && scene.ready.is_some_and(|(ready, _)| ready));
        if since.0 == i64::MIN || since.1 != ready {
            since = (if since.0 == i64::MIN { second - 3600 } else { second }, ready);
        }
        let report = Report::new(&stage.snapshot(second, &scenes, since.0));
        let verdict = match report.judgement.verdict.name() {
            VerdictName::Fault(cause) => format!("{}/{}", cause.step(), cause.id()),
            other => other.id().to_owned(),
        };
        if told.last().is_none_or(|(_, last)| *last != verdict) {
            told.push((second, verdict));
        }
    }
    told
}

/// A pod that has been in a crash loop for long: it runs for `life` seconds, then waits for `back_off`.
fn loops(
    stage: &Stage,
    second: i64,
    life: i64,
    back_off: i64,
    end: &Value,
    name: &'static str,
    address: &'static str,
) -> Scene {
    let period = life + back_off;
    let started = second - second.rem_euclid(period);
    let elapsed = second - started;
    let restarts = 100 + u32::try_from(started.div_euclid(period)).unwrap_or(0);
    let before = stage.ended(started - period, started - back_off, end);
    let scene = Scene {
        name,
        created: -86_400,
        deleted: None,
        ready: None,
        restarts,
        state: json!({}),
        last_state: json!({}),
        address,
    };
    if elapsed < life {
        let ready = (elapsed >= READY_AFTER).then_some((true, started + READY_AFTER));
        let ready = ready.or(Some((false, started - back_off)));
        return Scene { ready, state: stage.running(started), last_state: before, ..scene };
    }
    let ended = stage.ended(started, started + life, end);
    let ready = Some((false, started + life));
    if elapsed < life + 2 {
        return Scene { ready, state: ended, last_state: before, ..scene };
    }
    let waiting = json!({"waiting": {"reason": "CrashLoopBackOff", "message": format!("back-off {back_off}s restarting failed container")}});
    Scene { ready, state: waiting, last_state: ended, ..scene }
}

#[test]
fn a_crash_loop_is_one_cause_from_one_back_off_to_the_next() {
    let stage = Stage::new();
    let panics = json!({"exitCode": 2, "reason": "Error"});
    let killed = json!({"exitCode": 137, "reason": "OOMKilled"});
    for life in [20, 60, 200] {
        for back_off in [10, 40, 300] {
            for (end, expected) in
                [(&panics, "connection_refused/container_crashing"), (&killed, "connection_refused/out_of_memory")]
            {
                let told = verdicts(&stage, 0..life + back_off + 5, |second| {
                    vec![loops(&stage, second, life, back_off, end, "metrics-server-5d8f7c-loops", "10.0.1.10")]
                });
                assert_eq!(told, [(0, expected.to_owned())], "{life} s of life, {back_off} s of back-off");
            }
        }
    }
}

fn steady(stage: &Stage) -> Scene {
    Scene {
        name: "metrics-server-5d8f7c-stays",
        created: -86_400,
        deleted: None,
        ready: Some((true, -86_000)),
        restarts: 0,
        state: stage.running(-86_390),
        last_state: json!({}),
        address: "10.0.1.11",
    }
}

#[test]
fn a_second_replica_that_crash_loops_hurts_nobody_yet() {
    let stage = Stage::new();
    let end = json!({"exitCode": 2, "reason": "Error"});
    for second in 0..100 {
        let scenes = [steady(&stage), loops(&stage, second, 60, 40, &end, "metrics-server-5d8f7c-loops", "10.0.1.10")];
        let report = Report::new(&stage.snapshot(second, &scenes, -3600));
        let finding = report.judgement.findings.first().unwrap_or_else(|| panic!("no finding after {second} s"));
        assert_eq!((finding.cause.id(), finding.impact.label()), ("container_crashing", "latent"), "{second} s");
        assert!(finding.summary.contains("restarts"), "{}", finding.summary);
    }
}

/// A pod that is made at this second, is pulled and started and then Ready.
fn new_pod(stage: &Stage, second: i64, created: i64, name: &'static str, address: &'static str) -> Option<Scene> {
    let age = second - created;
    let started = created + 10;
    let scene = Scene {
        name,
        created,
        deleted: None,
        ready: Some((false, created)),
        restarts: 0,
        state: json!({"waiting": {"reason": "ContainerCreating"}}),
        last_state: json!({}),
        address,
    };
    match age {
        ..0 => None,
        0..10 => Some(scene),
        _ if age < 10 + READY_AFTER => Some(Scene { state: stage.running(started), ..scene }),
        _ => Some(Scene { state: stage.running(started), ready: Some((true, started + READY_AFTER)), ..scene }),
    }
}

fn assert_no_fault(what: &str, told: &[(i64, String)]) {
    assert!(told.iter().all(|(_, verdict)| !verdict.contains('/')), "{what}: {told:?}");
}

#[test]
fn a_rollout_is_no_fault_at_any_second() {
    let stage = Stage::new();
    let told = verdicts(&stage, -5..120, |second| {
        let new = new_pod(&stage, second, 0, "metrics-server-77f9-new", "10.0.1.12");
        let is_ready = new.as_ref().is_some_and(|new| new.ready.is_some_and(|(ready, _)| ready));
        let gone = READY_AFTER + 10 + 30;
        let old = (second < gone).then(|| Scene { deleted: is_ready.then_some(gone), ..steady(&stage) });
        old.into_iter().chain(new).collect()
    });
    assert_no_fault("a rollout", &told);
}

#[test]
fn a_drained_node_is_no_fault_at_any_second() {
    let stage = Stage::new();
    let told = verdicts(&stage, -5..180, |second| {
        let deleted = second >= 0;
        let old = (second < 5).then(|| Scene { deleted: deleted.then_some(30), ..steady(&stage) });
        let new = new_pod(&stage, second, 3, "metrics-server-5d8f7c-moved", "10.0.2.12");
        old.into_iter().chain(new).collect()
    });
    assert_no_fault("a drain", &told);
}

#[test]
fn one_restart_that_is_survived_is_no_fault_at_any_second() {
    let stage = Stage::new();
    let end = json!({"exitCode": 255, "reason": "Error"});
    let told = verdicts(&stage, -5..180, |second| {
        let before = stage.ended(-86_390, 0, &end);
        let pod = match second {
            ..0 => steady(&stage),
            0..2 => Scene { ready: Some((false, 0)), state: before, ..steady(&stage) },
            _ => {
                let ready = second >= 2 + READY_AFTER;
                let since = if ready { 2 + READY_AFTER } else { 0 };
                Scene {
                    ready: Some((ready, since)),
                    restarts: 1,
                    state: stage.running(2),
                    last_state: before,
                    ..steady(&stage)
                }
            }
        };
        vec![pod]
    });
    assert_no_fault("a restart", &told);
}
