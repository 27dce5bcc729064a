//! Plays scheduler and kubelet for the pods of the bed: binds them, runs metrics-server's for real, and reports status.

mod container;
mod events;
mod image;
mod schedule;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU16, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle};

pub use self::container::MetricsApiFault;
pub(crate) use self::schedule::Schedule;
use self::{
    container::MetricsServer,
    image::{Image, is_metrics_server},
};
use crate::{certificates::Certificates, isolation::KUBELET_ADDRESS, kubelet::Kubelet};

/// With value `false`: the pod, one without a process of its own, is reported as not Ready.
pub const READY_ANNOTATION: &str = "testbed/ready";
/// With value `false`: kubelets have no samples of the pod.
pub const SAMPLES_ANNOTATION: &str = "testbed/samples";

/// Faults of metrics-server's pods that tests switch on and off.
#[derive(Debug, Default)]
pub struct PodFaults {
    /// The process is killed, and again whenever it is started.
    pub keep_killed: AtomicBool,
    /// The readiness probe is reported as failing, though the process runs.
    pub not_ready: AtomicBool,
    /// The process stands still: connections are accepted by the kernel and never answered.
    pub stopped: AtomicBool,
    /// A process that starts does not know the authority that signed the API server's certificate.
    pub api_server_untrusted: AtomicBool,
    /// What is killed is reported as killed for its memory limit.
    pub out_of_memory: AtomicBool,
    lives: Mutex<Option<Lives>>,
    slow_start: Mutex<Option<Duration>>,
    metrics_api: Mutex<Option<MetricsApiFault>>,
}

/// How long containers live.
#[derive(Debug, Clone)]
struct Lives {
    life: Duration,
    /// The pod whose container it is, `None` for every metrics-server.
    pod: Option<String>,
}

impl PodFaults {
    /// Ends every fault.
    pub fn heal(&self) {
        for fault in
            [&self.keep_killed, &self.not_ready, &self.stopped, &self.api_server_untrusted, &self.out_of_memory]
        {
            fault.store(false, Ordering::Relaxed);
        }
        *lock(&self.lives) = None;
        *lock(&self.slow_start) = None;
        *lock(&self.metrics_api) = None;
    }

    /// Every container of metrics-server, or that of this pod, ends with exit code 1 when it has run for so long.
    pub fn end_after(&self, life: Duration, pod: Option<&str>) {
        *lock(&self.lives) = Some(Lives { life, pod: pod.map(str::to_owned) });
    }

    /// A process that starts gets no processor for so long, and the kubelet acts on liveness probes from now on (it leaves
    /// them out otherwise, so that other faults stay as they are).
    pub fn start_slowly(&self, warm_up: Duration) {
        *lock(&self.slow_start) = Some(warm_up);
    }

    /// A container that starts answers probes and discovery, and calls for metrics fail in this way.
    pub fn fail_calls(&self, fault: MetricsApiFault) {
        *lock(&self.metrics_api) = Some(fault);
    }

    fn metrics_api(&self) -> Option<MetricsApiFault> {
        *lock(&self.metrics_api)
    }

    fn life_of(&self, pod: &str) -> Option<Duration> {
        let lives = lock(&self.lives);
        lives.as_ref().filter(|lives| lives.pod.as_deref().is_none_or(|only| only == pod)).map(|lives| lives.life)
    }

    fn warm_up(&self) -> Option<Duration> {
        *lock(&self.slow_start)
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs pods until the process ends.
pub(crate) struct PodRunner {
    pub(crate) client: Client,
    pub(crate) kubelet: Arc<Kubelet>,
    pub(crate) faults: Arc<PodFaults>,
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) schedule: Schedule,
    pub(crate) next_address: AtomicU16,
}

struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl PodRunner {
    /// Follows all pods and nodes.
    pub(crate) async fn run(self: Arc<Self>) {
        tokio::spawn(Arc::clone(&self).follow_nodes());
        let pods: Api<Pod> = Api::all(self.client.clone());
        let mut events = watcher(pods, watcher::Config::default()).default_backoff().boxed();
        let mut running: HashMap<String, Running> = HashMap::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Apply(pod) | watcher::Event::InitApply(pod)) => self.reconcile(&pod, &mut running),
                Ok(watcher::Event::Delete(pod)) => {
                    if let Some(gone) = pod.uid().and_then(|uid| running.remove(&uid)) {
                        self.stop(&pod, gone);
                    }
                }
                Ok(watcher::Event::Init | watcher::Event::InitDone) => {}
                Err(error) => eprintln!("testbed: watch of pods: {error}"),
            }
        }
    }

    async fn follow_nodes(self: Arc<Self>) {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let mut events = watcher(nodes, watcher::Config::default()).default_backoff().boxed();
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Apply(node) | watcher::Event::InitApply(node)) => self.schedule.add(&node),
                Ok(watcher::Event::Delete(node)) => self.schedule.remove(&node.name_any()),
                Ok(watcher::Event::Init | watcher::Event::InitDone) => {}
                Err(error) => eprintln!("testbed: watch of nodes: {error}"),
            }
        }
    }

    fn reconcile(self: &Arc<Self>, pod: &Pod, running: &mut HashMap<String, Running>) {
        let Some(uid) = pod.uid() else { return };
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
        let runner = Arc::clone(self);
        let pod = pod.clone();
        match (pod.metadata.deletion_timestamp.is_some(), node) {
            (true, _) => {
                if let Some(gone) = running.remove(&uid) {
                    self.stop(&pod, gone);
                } else {
                    tokio::spawn(async move { runner.delete(&pod).await });
                }
            }
            (false, None) => {
                tokio::spawn(async move { report(runner.bind(&pod).await, &pod) });
            }
            (false, Some(node)) if !running.contains_key(&uid) => {
                let (stop, stopped) = watch::channel(false);
                let task = tokio::spawn(async move { report(runner.run_pod(&pod, &node, stopped).await, &pod) });
                running.insert(uid, Running { stop, task });
            }
            (false, Some(_)) => {}
        }
    }

    fn stop(self: &Arc<Self>, pod: &Pod, gone: Running) {
        let runner = Arc::clone(self);
        let pod = pod.clone();
        tokio::spawn(async move {
            // The receiver is gone where the pod has no process.
            let _ = gone.stop.send(true);
            let _ = gone.task.await;
            runner.kubelet.pod_is_gone(&pod.namespace().unwrap_or_default(), &pod.name_any());
            runner.delete(&pod).await;
        });
    }

    async fn delete(&self, pod: &Pod) {
        // Gone already when the deletion was forced.
        let _ = self.api(pod).delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await;
    }

    fn api(&self, pod: &Pod) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &pod.namespace().unwrap_or_default())
    }

    async fn bind(&self, pod: &Pod) -> Result<()> {
        if pod.status.as_ref().is_some_and(|status| status.conditions.is_some()) {
            // It was looked at before, and nothing has changed for it.
            return Ok(());
        }
        let Some(node) = self.schedule.node_for(pod).await? else {
            let status = json!({ "status": { "phase": "Pending", "conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "message": self.schedule.refusal(), "lastTransitionTime": seconds(Timestamp::now()),
            }]}});
            self.api(pod).patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(&status)).await?;
            return Ok(());
        };
        let binding = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": { "name": pod.name_any() },
            "target": { "apiVersion": "v1", "kind": "Node", "name": node },
        });
        let params = PostParams::default();
        let _: Value = self.api(pod).create_subresource("binding", &pod.name_any(), &params, &binding).await?;
        Ok(())
    }

    async fn run_pod(self: Arc<Self>, pod: &Pod, node: &str, stopped: watch::Receiver<bool>) -> Result<()> {
        let spec = pod.spec.as_ref().context("a pod without spec")?;
        let images = spec.containers.iter().filter_map(|container| container.image.as_deref());
        let metrics_server = images.into_iter().find(|image| is_metrics_server(image));
        if let Some(Image::Missing(why)) = metrics_server.map(Image::of) {
            return self.report_missing_image(pod, &why).await;
        }
        let namespace = pod.namespace().unwrap_or_default();
        let says_no = |annotation: &str| pod.annotations().get(annotation).is_some_and(|value| value == "false");
        if !says_no(SAMPLES_ANNOTATION) {
            let containers = spec.containers.iter().map(|container| container.name.clone()).collect();
            self.kubelet.pod_runs(&namespace, &pod.name_any(), node, containers);
        }
        if metrics_server.is_some() {
            return MetricsServer::new(&self, pod)?.run(stopped).await;
        }
        let started = Timestamp::now();
        let ready = !says_no(READY_ANNOTATION);
        let statuses: Vec<_> = spec
            .containers
            .iter()
            .map(|container| {
                json!({
                    "name": container.name, "image": container.image, "imageID": "", "ready": ready, "started": true,
                    "restartCount": 0, "state": { "running": { "startedAt": started } },
                })
            })
            .collect();
        // Nothing answers there: workloads only have to look alive to the controllers.
        let number = self.next_address.fetch_add(1, Ordering::Relaxed);
        let address = match spec.host_network {
            Some(true) => KUBELET_ADDRESS.to_owned(),
            _ => format!("198.19.{}.{}", number / 250, number % 250 + 1),
        };
        self.patch_status(pod, &address, started, ready, &json!(statuses)).await
    }

    /// What a kubelet reports while it tries to pull an image that is not to be had.
    async fn report_missing_image(&self, pod: &Pod, why: &str) -> Result<()> {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        let statuses: Vec<_> = containers
            .map(|container| {
                let image = container.image.clone().unwrap_or_default();
                json!({
                    "name": container.name, "image": image, "imageID": "", "ready": false, "started": false,
                    "restartCount": 0, "lastState": {},
                    "state": { "waiting": {
                        "reason": "ImagePullBackOff",
                        "message": format!("Back-off pulling image \"{image}\": ErrImagePull: {why}"),
                    }},
                })
            })
            .collect();
        let now = seconds(Timestamp::now());
        let condition = |kind: &str, status: &str| {
            let reason = (status == "False").then_some("ContainersNotReady");
            json!({ "type": kind, "status": status, "reason": reason, "lastTransitionTime": now })
        };
        let status = json!({ "status": {
            "phase": "Pending",
            "hostIP": KUBELET_ADDRESS,
            "startTime": now,
            "conditions": [
                condition("PodScheduled", "True"),
                condition("Initialized", "True"),
                condition("ContainersReady", "False"),
                condition("Ready", "False"),
            ],
            "containerStatuses": statuses,
        }});
        self.api(pod).patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(&status)).await?;
        Ok(())
    }

    /// Reports what a kubelet reports of a pod that runs.
    async fn patch_status(
        &self,
        pod: &Pod,
        address: &str,
        started: Timestamp,
        ready: bool,
        container_statuses: &Value,
    ) -> Result<()> {
        let ready_status = if ready { "True" } else { "False" };
        let now = Timestamp::now();
        let condition = |kind: &str, status: &str, since: Timestamp| {
            let reason = (status == "False").then_some("ContainersNotReady");
            json!({ "type": kind, "status": status, "reason": reason, "lastTransitionTime": seconds(since) })
        };
        let patch = json!({ "status": {
            "phase": "Running",
            "hostIP": KUBELET_ADDRESS,
            "podIP": address,
            "podIPs": [{ "ip": address }],
            "startTime": seconds(started),
            "conditions": [
                condition("PodScheduled", "True", started),
                condition("Initialized", "True", started),
                condition("ContainersReady", ready_status, now),
                condition("Ready", ready_status, now),
            ],
            "containerStatuses": container_statuses,
        }});
        // Like a kubelet it goes on while nobody answers.
        loop {
            match self.api(pod).patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await {
                Ok(_) => return Ok(()),
                Err(error) if is_gone(&error) => return Err(error.into()),
                Err(_) => tokio::time::sleep(Duration::from_millis(500)).await,
            }
        }
    }
}

/// Kubernetes' `metav1.Time` has whole seconds.
fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Whether the pod is no longer there, or another.
fn is_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if [404, 409].contains(&status.code))
}

fn report(result: Result<()>, pod: &Pod) {
    if let Err(error) = result {
        // A pod that was deleted meanwhile is no trouble.
        if !error.downcast_ref::<kube::Error>().is_some_and(is_gone) {
            eprintln!("testbed: pod {}: {error:#}", pod.name_any());
        }
    }
}

/// How long a crashed container waits for its next start, after so many restarts.
fn restart_delay(restarts: u32) -> Duration {
    Duration::from_secs(u64::from(restarts.min(4)) * 2)
}
