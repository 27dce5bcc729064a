//! A container that runs as the Deployment's pod does.

use std::{
    fs,
    net::SocketAddr,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde_json::Value;

use crate::{IMAGE, docker::Docker};

/// As `deploy/base` has it, with less memory than is allowed there.
const AS_A_POD: &[&str] = &[
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--memory=32m",
    "--memory-swap=32m",
    "--pids-limit=64",
    "--network=host",
];

pub(crate) struct Container<'d> {
    docker: &'d Docker,
    id: String,
    process: u64,
    started: Timestamp,
}

impl<'d> Container<'d> {
    pub(crate) fn run(docker: &'d Docker, flags: &[&str], arguments: &[&str]) -> Result<Self> {
        let mut words = vec!["run", "--detach"];
        words.extend(AS_A_POD);
        words.extend(flags);
        words.push(IMAGE);
        words.extend(arguments);
        let id = docker.output(&words)?.trim().to_owned();
        let state = docker.inspect("container", &id)?["State"].clone();
        let process = state["Pid"].as_u64().context("a process")?;
        let started = state["StartedAt"].as_str().context("a start")?.parse()?;
        Ok(Self { docker, id, process, started })
    }

    /// Waits for 200 of `/readyz`: the first complete look is done.
    pub(crate) fn await_ready(&self, address: SocketAddr) -> Result<()> {
        let begin = Instant::now();
        loop {
            let answer = testbed::page::get(address, "/readyz");
            if matches!(&answer, Ok((200, _))) {
                return Ok(());
            }
            ensure!(begin.elapsed() < Duration::from_secs(20), "not ready: {answer:?}\n{}", self.log()?);
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Since the process was started.
    pub(crate) fn age(&self) -> Result<Duration> {
        Ok(Duration::try_from(Timestamp::now().duration_since(self.started))?)
    }

    /// Resident memory now and at its highest.
    pub(crate) fn memory(&self) -> Result<String> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process))?;
        let lines = status.lines().filter(|line| line.starts_with("VmHWM") || line.starts_with("VmRSS"));
        Ok(lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(", "))
    }

    /// Sends SIGTERM, as the kubelet does.
    pub(crate) fn terminate(&self) -> Result<()> {
        ensure!(Command::new("kill").arg(self.process.to_string()).status()?.success(), "no signal was sent");
        Ok(())
    }

    /// When its process had ended, and its state as Docker sees it then.
    pub(crate) fn await_end(&self) -> Result<(Instant, Value)> {
        let begin = Instant::now();
        // Its first thread is gone, or a zombie until the daemon has seen it.
        while fs::read_to_string(format!("/proc/{}/stat", self.process)).is_ok_and(|stat| !stat.contains(") Z ")) {
            ensure!(begin.elapsed() < Duration::from_secs(20), "it does not end: {}", self.log()?);
            thread::sleep(Duration::from_millis(5));
        }
        let ended = Instant::now();
        loop {
            let state = self.docker.inspect("container", &self.id)?["State"].clone();
            if state["Running"] == false {
                return Ok((ended, state));
            }
            ensure!(begin.elapsed() < Duration::from_secs(20), "Docker does not see the end: {state}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn log(&self) -> Result<String> {
        let output = self.docker.command().args(["logs", "--tail=20", &self.id]).output()?;
        Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        // The daemon may have ended already, and takes its containers with it.
        drop(self.docker.output(&["rm", "--force", &self.id]));
    }
}
