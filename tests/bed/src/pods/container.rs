//! The container of a metrics-server pod: the real process in a network namespace of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context, Result};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Container, Pod},
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::ResourceExt;
use serde_json::{Value, json};
use tokio::{process::Child, sync::watch};

use super::{PodRunner, restart_delay, seconds};
use crate::{
    components,
    isolation::{PodNetwork, STATE},
    kubectl::Kubectl,
    log::ContainerLog,
    probe,
};

/// Consecutive failed probes until the pod is no longer Ready.
const FAILURE_THRESHOLD: u32 = 3;

pub(super) struct MetricsServer<'a> {
    runner: &'a PodRunner,
    pod: &'a Pod,
    container: &'a Container,
    network: PodNetwork,
    folder: PathBuf,
    log: Arc<ContainerLog>,
    started: Timestamp,
    restarts: u32,
    last_termination: Option<Value>,
}

enum Ended {
    Stopped,
    Process(Option<i32>),
}

impl<'a> MetricsServer<'a> {
    pub(super) fn new(runner: &'a PodRunner, pod: &'a Pod) -> Result<Self> {
        let container = pod.spec.as_ref().and_then(|spec| spec.containers.first()).context("no container")?;
        let number = runner.next_address.fetch_add(1, Ordering::Relaxed);
        let fourth = u8::try_from(number % 200 + 10)?;
        let third = u8::try_from(number / 200 + 1)?;
        let network = PodNetwork::create(&format!("metrics-server-{number}"), third, fourth)?;
        let folder = Path::new(STATE).join(format!("metrics-server-{number}"));
        fs::create_dir_all(&folder)?;
        let log = runner.kubelet.log(&pod.namespace().unwrap_or_default(), &pod.name_any(), &container.name);
        let started = Timestamp::now();
        Ok(Self { runner, pod, container, network, folder, log, started, restarts: 0, last_termination: None })
    }

    /// Starts the process again and again until the pod is deleted.
    pub(super) async fn run(mut self, mut stopped: watch::Receiver<bool>) -> Result<()> {
        loop {
            let mut child = self.start().await?;
            let begin = Timestamp::now();
            let ended = self.watch_over(&mut child, begin, &mut stopped).await?;
            // It may have ended by itself already.
            let _ = child.kill().await;
            let Ended::Process(code) = ended else { return Ok(()) };
            let exit_code = code.unwrap_or(137);
            self.last_termination = Some(json!({ "terminated": {
                "exitCode": exit_code,
                "reason": "Error",
                "startedAt": seconds(begin),
                "finishedAt": seconds(Timestamp::now()),
            }}));
            let waiting = json!({ "waiting": {
                "reason": "CrashLoopBackOff",
                "message": format!("back-off restarting failed container={}", self.container.name),
            }});
            self.report(&waiting, false).await?;
            self.restarts += 1;
            tokio::select! {
                () = tokio::time::sleep(restart_delay(self.restarts)) => {}
                _ = stopped.wait_for(|stopped| *stopped) => return Ok(()),
            }
        }
    }

    async fn start(&self) -> Result<Child> {
        let spec = self.pod.spec.as_ref().context("no spec")?;
        let account = spec.service_account_name.as_deref().unwrap_or("default");
        let namespace = self.pod.namespace().unwrap_or_default();
        // A token of the pod's own account, so that its RBAC faults are real.
        let token = Kubectl::admin().token(&namespace, account).await?;
        let kubeconfig = self.folder.join("kubeconfig");
        fs::write(&kubeconfig, self.runner.certificates.kubeconfig_for_token(account, &token)?)?;

        let mut command = tokio::process::Command::from(self.network.command(&components::program("metrics-server")?));
        let words = self.container.command.iter().flatten().skip(1).chain(self.container.args.iter().flatten());
        command.args(words);
        for flag in ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"] {
            command.arg(format!("--{flag}={}", kubeconfig.display()));
        }
        // The pod's own folder for /tmp; a certificate that nobody signed is the kubelet's here; and half the waiting.
        command.arg(format!("--cert-dir={}", self.folder.display())).arg("--kubelet-insecure-tls");
        command.args(["--metric-resolution=10s", "--kubelet-request-timeout=5s"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        self.log.begin_run();
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
        let mut ready = false;
        let mut failures = 0;
        loop {
            if self.runner.faults.keep_killed.load(Ordering::Relaxed) {
                return Ok(Ended::Process(None));
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
        let port = match &http.port {
            IntOrString::Int(number) => Some(*number),
            IntOrString::String(name) => {
                let ports = self.container.ports.iter().flatten();
                ports.filter(|port| port.name.as_ref() == Some(name)).map(|port| port.container_port).next()
            }
        };
        let Some(port) = port.and_then(|port| u16::try_from(port).ok()) else { return false };
        let path = http.path.as_deref().unwrap_or("/");
        let answer = probe::https_status(&self.network.address, port, path).await;
        answer.is_ok_and(|status| status.is_success())
    }

    async fn report(&self, state: &Value, ready: bool) -> Result<()> {
        let statuses = json!([{
            "name": self.container.name,
            "image": self.container.image,
            "imageID": "",
            "ready": ready,
            "started": state.get("running").is_some(),
            "restartCount": self.restarts,
            "state": state,
            "lastState": self.last_termination.clone().unwrap_or_else(|| json!({})),
        }]);
        self.runner.patch_status(self.pod, &self.network.address, self.started, ready, &statuses).await
    }
}
