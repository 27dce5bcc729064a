//! What an installation has left on the cluster, and whether it works.

use std::{
    collections::BTreeSet,
    fs::File,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::ensure;
use serde_json::Value;
use testbed::{
    Bed,
    audit::{self, Request},
    isolation::{API_SERVER_ADDRESS, PodNetwork, STATE},
    page::{self, Page},
    wait::wait_for,
};

use crate::kubelet;

pub(crate) const NAME: &str = "metrics-server-doctor";
const PORT: u16 = 19102;
/// The program under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_metrics-server-doctor");

/// Kind, namespace and name of every object, but for what comes and goes by itself.
pub(crate) fn everything(bed: &Bed) -> BTreeSet<String> {
    let kinds = bed.kubectl().words("api-resources --verbs=list -o name");
    let passing = ["events", "events.events.k8s.io", "leases.coordination.k8s.io", "ipaddresses.networking.k8s.io"];
    let kinds: Vec<_> =
        kinds.lines().filter(|kind| !passing.contains(kind) && !kind.ends_with("metrics.k8s.io")).collect();
    let columns = "custom-columns=KIND:.kind,NAMESPACE:.metadata.namespace,NAME:.metadata.name";
    let arguments = ["get", &kinds.join(","), "--all-namespaces", "--no-headers", "-o", columns];
    let text = bed.kubectl().run(&arguments).unwrap_or_else(|error| panic!("{error:#}"));
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Waits until the cluster has these objects and no other.
pub(crate) fn expect_only(bed: &Bed, before: &BTreeSet<String>) {
    let cleared = wait_for("nothing to be left", Duration::from_secs(40), || {
        let now = everything(bed);
        let left: Vec<_> = now.symmetric_difference(before).collect();
        ensure!(left.is_empty(), "left or gone: {left:?}");
        Ok(())
    });
    cleared.unwrap_or_else(|error| panic!("{error:#}"));
}

/// The object as JSON.
pub(crate) fn get(bed: &Bed, words: &str) -> Value {
    let text = bed.kubectl().words(&format!("get {words} -o json"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{words}: {error}"))
}

/// The doctor's container in a pod's `spec`.
pub(crate) fn container(spec: &Value) -> &Value {
    let containers = spec["containers"].as_array().expect("containers");
    let is_doctor = |container: &&Value| container["image"].as_str().is_some_and(|image| image.contains(NAME));
    containers.iter().find(is_doctor).expect("a container of the doctor")
}

/// The flags of the doctor's container in a pod's `spec`.
pub(crate) fn flags(spec: &Value) -> Vec<String> {
    let words = container(spec)["args"].as_array().expect("args").iter();
    words.map(|word| word.as_str().expect("text").to_owned()).collect()
}

/// The doctor with the flags of a pod, and the token and the surroundings that a pod of its account has; ended when dropped.
pub(crate) struct Running {
    server: Child,
    /// Where its page is.
    pub(crate) address: SocketAddr,
    log: std::path::PathBuf,
    _network: Option<PodNetwork>,
}

impl Running {
    /// In a network namespace of its own, once it is ready.
    pub(crate) fn start(bed: &Bed, account: (&str, &str), flags: &[String]) -> Self {
        let running = Self::launch(bed, account, flags);
        running.await_ready(|address| page::get(address, "/readyz").map(|(status, _)| status));
        running
    }

    /// In a network namespace of its own.
    pub(crate) fn launch(bed: &Bed, account: (&str, &str), flags: &[String]) -> Self {
        let network = PodNetwork::create("doctor", 2, 10).expect("a network namespace");
        let command = network.command(Path::new(BINARY));
        let address = network.address.clone();
        Self::run(bed, account, command, &address, flags, Some(network))
    }

    /// In the network namespace of another pod, once it is ready.
    pub(crate) fn start_within(
        bed: &Bed,
        account: (&str, &str),
        network: &Path,
        address: &str,
        flags: &[String],
    ) -> Self {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", network.display())).arg("--").arg(BINARY);
        let running = Self::run(bed, account, command, address, flags, None);
        running.await_ready(|address| page::get(address, "/readyz").map(|(status, _)| status));
        running
    }

    fn run(
        bed: &Bed,
        (namespace, account): (&str, &str),
        mut command: Command,
        address: &str,
        flags: &[String],
        network: Option<PodNetwork>,
    ) -> Self {
        kubelet::give_token(bed, namespace, account);
        let log = Path::new(STATE).join("doctor.log");
        let output = File::create(&log).expect("a file");
        // The image has no shell that could expand anything: the flags are given as they stand.
        command.args(flags).env_remove("KUBECONFIG");
        command.env("KUBERNETES_SERVICE_HOST", API_SERVER_ADDRESS).env("KUBERNETES_SERVICE_PORT", "6443");
        command.stdin(Stdio::null()).stdout(output.try_clone().expect("the file")).stderr(output);
        let address = SocketAddr::new(address.parse().expect("an address"), PORT);
        let server = command.spawn().expect("the doctor starts");
        Self { server, address, log, _network: network }
    }

    /// Waits until the readiness probe, however it is sent, gets 200.
    pub(crate) fn await_ready(&self, probe: impl Fn(SocketAddr) -> anyhow::Result<u16>) {
        let ready = wait_for("the doctor to be ready", Duration::from_secs(40), || {
            let status = probe(self.address)?;
            ensure!(status == 200, "/readyz answers {status}");
            Ok(())
        });
        ready.unwrap_or_else(|error| panic!("{error:#}\n{}", self.log()));
    }

    /// Scrapes until it is so.
    pub(crate) fn await_that(&self, what: &str, holds: impl Fn(&Page) -> bool) -> Page {
        let begin = std::time::Instant::now();
        loop {
            let page = Page::scrape(self.address).unwrap_or_else(|error| panic!("no page: {error:#}\n{}", self.log()));
            if holds(&page) {
                return page;
            }
            assert!(begin.elapsed() < Duration::from_mins(1), "{what}: not on the page\n{}", page.summary());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Its resident memory in MiB; the program replaces the command that enters its namespace, so the process is the same.
    fn resident_mebibytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.id())).expect("a running process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.split_whitespace().next().and_then(|kibibytes| kibibytes.parse::<u64>().ok()).expect("a number") / 1024
    }

    /// Half of the container's limit is enough for the unoptimized program on a small cluster.
    pub(crate) fn fits(&self, spec: &Value) {
        let limit = container(spec)["resources"]["limits"]["memory"].as_str().expect("a limit");
        let limit: u64 = limit.strip_suffix("Mi").and_then(|number| number.parse().ok()).expect("a number of Mi");
        let resident = self.resident_mebibytes();
        println!("  resident memory: {resident} MiB, the limit is {limit} MiB");
        assert!(resident < limit / 2, "{resident} MiB are resident, the limit is {limit} MiB");
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// What the account asked for since `after` and was refused.
pub(crate) fn refused(namespace: &str, account: &str, after: jiff::Timestamp) -> Vec<Request> {
    let requests = audit::requests_of(namespace, account).unwrap_or_else(|error| panic!("{error:#}"));
    let since: Vec<_> = requests.into_iter().filter(|request| request.at >= after).collect();
    assert!(since.len() > 10, "only {} requests are in the audit log", since.len());
    since.into_iter().filter(Request::is_refused).collect()
}
