//! Liveness probes: asked as a kubelet asks, told as a kubelet tells, and what they say is done.

use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Probe};

use super::MetricsServer;
use crate::{pods::events::Told, probe};

/// The liveness probe of one run of a container, with the defaults of Kubernetes for what its spec leaves out.
pub(super) struct Liveness<'a> {
    probe: Option<&'a Probe>,
    next: Timestamp,
    failures: i32,
}

fn seconds(value: Option<i32>, usual: u32) -> Duration {
    Duration::from_secs(value.and_then(|value| u64::try_from(value).ok()).unwrap_or(usual.into()))
}

impl<'a> Liveness<'a> {
    pub(super) fn new(container: &'a Container, begin: Timestamp) -> Self {
        let probe = container.liveness_probe.as_ref();
        let delay = seconds(probe.and_then(|probe| probe.initial_delay_seconds), 0);
        Self { probe, next: begin + delay, failures: 0 }
    }
}

impl MetricsServer<'_> {
    /// Asks when it is time; `true` when as many probes in a row have failed as are to be borne.
    pub(super) async fn is_to_be_killed(&self, liveness: &mut Liveness<'_>) -> Result<bool> {
        let Some(probe) = liveness.probe.filter(|_| Timestamp::now() >= liveness.next) else { return Ok(false) };
        let Some(http) = probe.http_get.as_ref() else { return Ok(false) };
        let Some(port) = self.port_of(http) else { return Ok(false) };
        liveness.next = Timestamp::now() + seconds(probe.period_seconds, 10);
        let path = http.path.as_deref().unwrap_or("/");
        let within = seconds(probe.timeout_seconds, 1);
        let answer = probe::https_status(&self.address, port, path, within).await;
        let why = match answer {
            Ok(status) if status.is_success() => {
                liveness.failures = 0;
                return Ok(false);
            }
            Ok(status) => format!("HTTP probe failed with statuscode: {}", status.as_u16()),
            Err(error) => {
                let end = if error.to_string().contains("refused") {
                    format!("dial tcp {}:{port}: connect: connection refused", self.address)
                } else {
                    "context deadline exceeded (Client.Timeout exceeded while awaiting headers)".to_owned()
                };
                format!("Get \"https://{}:{port}{path}\": {end}", self.address)
            }
        };
        let name = &self.container.name;
        self.runner.tell(self.pod, name, &Told::warning("Unhealthy", format!("Liveness probe failed: {why}"))).await?;
        liveness.failures += 1;
        if liveness.failures < probe.failure_threshold.unwrap_or(3) {
            return Ok(false);
        }
        let message = format!("Container {name} failed liveness probe, will be restarted");
        self.runner.tell(self.pod, name, &Told::normal("Killing", message)).await?;
        Ok(true)
    }
}
