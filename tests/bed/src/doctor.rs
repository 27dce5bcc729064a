//! The doctor on the bed: the real binary, as its own `ServiceAccount` with the rules of `deploy/base`, in a network
//! namespace like any other pod.

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

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
        let log = File::create(Path::new(STATE).join("doctor.log"))?;
        let server = network
            .command(binary)
            .args(["serve", "--with=access-reviews", "--listen-address", &address.to_string(), "--kubeconfig"])
            .arg(&kubeconfig)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("the doctor does not start")?;
        let doctor = Self { binary: binary.to_owned(), kubeconfig, network, server, address };
        wait_for("the doctor to be ready", Duration::from_secs(30), || {
            let (status, body) = crate::page::get(address, "/readyz")?;
            anyhow::ensure!(status == 200, "/readyz answers {status}: {body}");
            Ok(())
        })
        .with_context(|| doctor.log())?;
        Ok(doctor)
    }

    /// One scrape.
    ///
    /// # Panics
    ///
    /// When it does not answer.
    pub fn page(&self) -> Page {
        Page::scrape(self.address).unwrap_or_else(|error| panic!("no page: {error:#}\n{}", self.log()))
    }

    /// Scrapes until nothing differs from what is wanted; `differences` names what does.
    ///
    /// # Panics
    ///
    /// When the limit is over, with the differences and what the page says.
    pub fn await_page(&self, what: &str, limit: Duration, differences: impl Fn(&Page) -> Vec<String>) -> Page {
        let begin = Instant::now();
        loop {
            let page = self.page();
            let left = differences(&page);
            if left.is_empty() {
                return page;
            }
            assert!(
                begin.elapsed() < limit,
                "{what}: not on the page after {} s:\n  {}\nThe page says:\n{}",
                limit.as_secs(),
                left.join("\n  "),
                page.summary()
            );
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Scrapes until it is so.
    ///
    /// # Panics
    ///
    /// When the limit is over, with what the page says.
    pub fn await_that(&self, what: &str, limit: Duration, holds: impl Fn(&Page) -> bool) -> Page {
        self.await_page(what, limit, |page| if holds(page) { vec![] } else { vec![what.to_owned()] })
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
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(Path::new(STATE).join("doctor.log")).unwrap_or_default()
    }
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
