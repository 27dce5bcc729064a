//! The container of a metrics-server pod: the real process in a network namespace of its own.

mod command;
mod liveness;
mod stand_in;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context, Result};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Container, HTTPGetAction, Pod},
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::ResourceExt;
use serde_json::{Value, json};
use tokio::{process::Child, sync::watch};

pub use self::stand_in::MetricsApiFault;
use self::{liveness::Liveness, stand_in::StandIn};
use super::{PodRunner, image::is_metrics_server, restart_delay, seconds};
use crate::{
    isolation::{KUBELET_ADDRESS, PodNetwork, STATE, run},
    kubectl::Kubectl,
    kubelet,
    log::ContainerLog,
    probe,
};

/// Consecutive failed probes until the pod is no longer Ready.
const FAILURE_THRESHOLD: u32 = 3;

pub(super) struct MetricsServer<'a> {
    runner: &'a PodRunner,
    pod: &'a Pod,
    container: &'a Container,
    /// `None` with hostNetwork.
    network: Option<PodNetwork>,
    address: String,
    folder: PathBuf,
    log: Arc<ContainerLog>,
    started: Timestamp,
    restarts: u32,
    last_termination: Option<Value>,
}

enum Ended {
    Stopped,
    Process(Option<i32>),
    /// The kubelet killed it for its liveness probe.
    Unhealthy,
    NeverStarted(String),
}

impl<'a> MetricsServer<'a> {
    pub(super) fn new(runner: &'a PodRunner, pod: &'a Pod) -> Result<Self> {
        let spec = pod.spec.as_ref().context("no spec")?;
        let runs = |container: &&Container| container.image.as_deref().is_some_and(is_metrics_server);
        let container = spec.containers.iter().find(runs).context("no container")?;
        let number = runner.next_address.fetch_add(1, Ordering::Relaxed);
        let fourth = u8::try_from(number % 200 + 10)?;
        let third = u8::try_from(number / 200 + 1)?;
        let network = match spec.host_network {
            Some(true) => None,
            _ => Some(PodNetwork::create(&format!("metrics-server-{number}"), third, fourth)?),
        };
        let address = network.as_ref().map_or(KUBELET_ADDRESS, |network| &network.address).to_owned();
        let folder = Path::new(STATE).join(format!("metrics-server-{number}"));
        fs::create_dir_all(&folder)?;
        let log = runner.kubelet.log(&pod.namespace().unwrap_or_default(), &pod.name_any(), &container.name);
        let started = Timestamp::now();
        Ok(Self { runner, pod, container, network, address, folder, log, started, restarts: 0, last_termination: None })
    }

    /// Starts the process again and again until the pod is deleted.
    pub(super) async fn run(mut self, mut stopped: watch::Receiver<bool>) -> Result<()> {
        loop {
            let begin = Timestamp::now();
            self.log.begin_run();
            let ended = if let Some(message) = self.has_no_program() {
                Ended::NeverStarted(message)
            } else if let Some(refusal) = self.kernel_refuses()? {
                self.log.push(refusal);
                Ended::Process(Some(255))
            } else {
                let _stand_in = self.stand_in()?;
                let mut child = self.start().await?;
                let ended = self.watch_over(&mut child, begin, &mut stopped).await?;
                // It may have ended by itself already.
                let _ = child.kill().await;
                ended
            };
            match ended {
                Ended::Stopped => return Ok(()),
                Ended::Process(code) => self.report_end(code, begin).await?,
                Ended::Unhealthy => self.report_end(None, begin).await?,
                Ended::NeverStarted(message) => self.report_no_start(&message, begin).await?,
            }
            self.restarts += 1;
            tokio::select! {
                () = tokio::time::sleep(restart_delay(self.restarts)) => {}
                _ = stopped.wait_for(|stopped| *stopped) => return Ok(()),
            }
        }
    }

    async fn report_end(&mut self, code: Option<i32>, begin: Timestamp) -> Result<()> {
        let reason = match code {
            None if self.runner.faults.out_of_memory.load(Ordering::Relaxed) => "OOMKilled",
            Some(0) => "Completed",
            _ => "Error",
        };
        self.last_termination = Some(json!({ "terminated": {
            "exitCode": code.unwrap_or(137),
            "reason": reason,
            "startedAt": seconds(begin),
            "finishedAt": seconds(Timestamp::now()),
        }}));
        self.report_waiting().await
    }

    /// What a kubelet reports when the container runtime cannot start the command.
    async fn report_no_start(&mut self, message: &str, begin: Timestamp) -> Result<()> {
        self.last_termination = Some(json!({ "terminated": {
            "exitCode": 128,
            "reason": "StartError",
            "message": message,
            "startedAt": "1970-01-01T00:00:00Z",
            "finishedAt": seconds(begin),
        }}));
        self.report_waiting().await
    }

    async fn report_waiting(&self) -> Result<()> {
        let name = &self.container.name;
        let waiting = json!({ "waiting": {
            "reason": "CrashLoopBackOff",
            "message": format!("back-off 10s restarting failed container={name} pod={}", self.pod.name_any()),
        }});
        self.report(&waiting, false).await
    }

    /// The server in the place of this one where calls for metrics have to fail.
    fn stand_in(&self) -> Result<Option<StandIn>> {
        let Some((fault, network)) = self.runner.faults.metrics_api().zip(self.network.as_ref()) else {
            return Ok(None);
        };
        let address = SocketAddr::new(self.address.parse()?, kubelet::PORT);
        StandIn::start(&network.path(), address, &self.runner.certificates, fault).map(Some)
    }

    async fn start(&self) -> Result<Child> {
        let spec = self.pod.spec.as_ref().context("no spec")?;
        let account = spec.service_account_name.as_deref().unwrap_or("default");
        let namespace = self.pod.namespace().unwrap_or_default();
        // A token of the pod's own account, so that its RBAC faults are real.
        let token = Kubectl::admin().token(&namespace, account).await?;
        let kubeconfig = self.folder.join("kubeconfig");
        let certificates = &self.runner.certificates;
        let untrusted = self.runner.faults.api_server_untrusted.load(Ordering::Relaxed);
        let text = if untrusted {
            certificates.kubeconfig_that_trusts_another(account, &token)?
        } else {
            certificates.kubeconfig_for_token(account, &token)?
        };
        fs::write(&kubeconfig, text)?;
        let mut command = tokio::process::Command::from(self.command(&kubeconfig)?);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("metrics-server does not start")?;
        if let Some(output) = child.stdout.take() {
            tokio::spawn(Arc::clone(&self.log).read_from(output));
        }
        if let Some(output) = child.stderr.take() {
            tokio::spawn(Arc::clone(&self.log).read_from(output));
        }
        Ok(child)
    }

    /// Probes and reports until the process or the pod ends.
    async fn watch_over(
        &self,
        child: &mut Child,
        begin: Timestamp,
        stopped: &mut watch::Receiver<bool>,
    ) -> Result<Ended> {
        let running = json!({ "running": { "startedAt": seconds(begin) } });
        self.report(&running, false).await?;
        let faults = &self.runner.faults;
        let name = self.pod.name_any();
        let (mut ready, mut still) = (false, false);
        let mut failures = 0;
        let mut liveness = Liveness::new(self.container, begin);
        loop {
            let age = Timestamp::now().duration_since(begin).unsigned_abs();
            if faults.life_of(&name).is_some_and(|life| age >= life) {
                return Ok(Ended::Process(Some(1)));
            }
            if faults.keep_killed.load(Ordering::Relaxed) || faults.out_of_memory.load(Ordering::Relaxed) {
                return Ok(Ended::Process(None));
            }
            let warm_up = faults.warm_up();
            if warm_up.is_some() && self.is_to_be_killed(&mut liveness).await? {
                return Ok(Ended::Unhealthy);
            }
            let stand_still = faults.stopped.load(Ordering::Relaxed) || warm_up.is_some_and(|warm_up| age < warm_up);
            if stand_still != still {
                still = stand_still;
                let pid = child.id().unwrap_or_default().to_string();
                run("kill", &[if still { "-STOP" } else { "-CONT" }, &pid])?;
            }
            tokio::select! {
                status = child.wait() => return Ok(Ended::Process(status?.code())),
                _ = stopped.wait_for(|stopped| *stopped) => return Ok(Ended::Stopped),
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
            }
            failures = if self.probe().await { 0 } else { failures + 1 };
            let now_ready = failures == 0 || (ready && failures < FAILURE_THRESHOLD);
            if now_ready != ready {
                ready = now_ready;
                self.report(&running, ready).await?;
            }
        }
    }

    async fn probe(&self) -> bool {
        if self.runner.faults.not_ready.load(Ordering::Relaxed) {
            return false;
        }
        let Some(http) = self.container.readiness_probe.as_ref().and_then(|probe| probe.http_get.as_ref()) else {
            return true;
        };
        let Some(port) = self.port_of(http) else { return false };
        let path = http.path.as_deref().unwrap_or("/");
        let answer = probe::https_status(&self.address, port, path, Duration::from_secs(1)).await;
        answer.is_ok_and(|status| status.is_success())
    }

    /// The number of the port that a probe asks.
    fn port_of(&self, http: &HTTPGetAction) -> Option<u16> {
        let number = match &http.port {
            IntOrString::Int(number) => Some(*number),
            IntOrString::String(name) => {
                let ports = self.container.ports.iter().flatten();
                ports.filter(|port| port.name.as_ref() == Some(name)).map(|port| port.container_port).next()
            }
        };
        number.and_then(|number| u16::try_from(number).ok())
    }

    async fn report(&self, state: &Value, ready: bool) -> Result<()> {
        let spec = self.pod.spec.as_ref().context("no spec")?;
        let statuses: Vec<Value> = spec
            .containers
            .iter()
            .map(|container| {
                if container.name != self.container.name {
                    // Containers beside it only have to look alive.
                    return json!({
                        "name": container.name, "image": container.image, "imageID": "", "ready": true,
                        "started": true, "restartCount": 0,
                        "state": { "running": { "startedAt": seconds(self.started) } },
                    });
                }
                json!({
                    "name": container.name,
                    "image": container.image,
                    "imageID": "",
                    "ready": ready,
                    "started": state.get("running").is_some(),
                    "restartCount": self.restarts,
                    "state": state,
                    "lastState": self.last_termination.clone().unwrap_or_else(|| json!({})),
                })
            })
            .collect();
        self.runner.patch_status(self.pod, &self.address, self.started, ready, &json!(statuses)).await
    }
}
