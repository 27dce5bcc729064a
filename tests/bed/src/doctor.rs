//! The doctor on the bed: the real binary, as its own `ServiceAccount` with the rules of `deploy/base`, in a network
//! namespace like any other pod.

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{
    Bed,
    isolation::{PodNetwork, STATE},
    page::Page,
    wait::wait_for,
};

/// Namespace and name of its `ServiceAccount`.
pub const ACCOUNT: &str = "metrics-server-doctor";
const PORT: u16 = 19102;

/// A running `serve`; ended when dropped.
#[derive(Debug)]
pub struct Doctor {
    binary: PathBuf,
    kubeconfig: PathBuf,
    network: PodNetwork,
    server: Child,
    /// Where its page is.
    pub address: SocketAddr,
}

impl Doctor {
    /// Applies `deploy/base`, starts `serve` and waits until it is ready.
    pub fn start(bed: &Bed, binary: &Path) -> Result<Self> {
        apply_base(bed)?;
        let kubeconfig = bed.kubeconfig_of(ACCOUNT, ACCOUNT)?;
        let network = PodNetwork::create("doctor", 2, 10)?;
        let address = SocketAddr::new(network.address.parse()?, PORT);
        let server = serve(&network, binary, address, &kubeconfig, &[])?;
        let doctor = Self { binary: binary.to_owned(), kubeconfig, network, server, address };
        doctor.await_ready()?;
        Ok(doctor)
    }

    /// Ends `serve` and starts it anew, with these variables.
    pub fn restart(&mut self, environment: &[(&str, &str)]) -> Result<()> {
        let _ = self.server.kill();
        let _ = self.server.wait();
        self.server = serve(&self.network, &self.binary, self.address, &self.kubeconfig, environment)?;
        self.await_ready()
    }

    fn await_ready(&self) -> Result<()> {
        wait_for("the doctor to be ready", Duration::from_mins(1), || {
            let (status, body) = crate::page::get(self.address, "/readyz")?;
            anyhow::ensure!(status == 200, "/readyz answers {status}: {body}");
            Ok(())
        })
        .with_context(|| self.log())
    }

    /// The report that `/api/v1/report` gives.
    pub fn report(&self) -> Result<Value> {
        let (status, body) = crate::page::get(self.address, "/api/v1/report")?;
        anyhow::ensure!(status == 200, "/api/v1/report answers {status}: {body}");
        Ok(serde_json::from_str(&body)?)
    }

    /// One scrape.
    ///
    /// # Panics
    ///
    /// When it does not answer.
    pub fn page(&self) -> Page {
        Page::scrape(self.address).unwrap_or_else(|error| panic!("no page: {error:#}\n{}", self.log()))
    }

    /// Runs `check` with these flags to its end.
    pub fn check(&self, flags: &[&str]) -> Result<Output> {
        let mut command: Command = self.network.command(&self.binary);
        Ok(command.arg("check").args(flags).stdin(Stdio::null()).output()?)
    }

    /// The kubeconfig of its `ServiceAccount`.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&self) -> Option<u64> {
        self.memory("VmRSS:")
    }

    /// The most resident memory since it was started, in bytes.
    pub fn peak_bytes(&self) -> Option<u64> {
        self.memory("VmHWM:")
    }

    /// Processor time that it has used since it was started.
    pub fn processor_time(&self) -> Option<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.server.id())).ok()?;
        // Behind the name, which may hold blanks: the state is the first field, user and system time are the twelfth and the next, in
        // hundredths of a second on every platform of Linux.
        let (_, fields) = stat.rsplit_once(')')?;
        let ticks: Option<u64> =
            fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().ok()).sum();
        Some(Duration::from_millis(ticks? * 10))
    }

    fn memory(&self, field: &str) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(Path::new(STATE).join("doctor.log")).unwrap_or_default()
    }
}

fn serve(
    network: &PodNetwork,
    binary: &Path,
    address: SocketAddr,
    kubeconfig: &Path,
    environment: &[(&str, &str)],
) -> Result<Child> {
    let log = File::options().create(true).append(true).open(Path::new(STATE).join("doctor.log"))?;
    network
        .command(binary)
        // A kubeconfig hides that it runs like a pod.
        .args(["serve", "--dial=always", "--listen-address", &address.to_string(), "--kubeconfig"])
        .arg(kubeconfig)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("the doctor does not start")
}

impl Drop for Doctor {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Applies the project's own deployment with every permission that it ships: its rules are what the doctor is tested with.
pub fn apply_base(bed: &Bed) -> Result<()> {
    let yaml = bed.kubectl().kustomize(&["deploy/base"], &["deploy/components/access-reviews"])?;
    bed.kubectl().run_with_input(&["apply", "-f", "-"], &yaml)?;
    Ok(())
}
