//! A real control plane on one machine: etcd, kube-apiserver, kube-controller-manager and metrics-server, each the real
//! program, with one stand-in for all kubelets; faults are made as they happen in clusters.
//!
//! A test calls [`isolation::enter`] first and then [`Bed::start`].

pub mod alertmanager;
pub mod audit;
pub mod cases;
pub mod certificates;
mod control_plane;
pub mod dashboards;
mod dns;
pub mod doctor;
pub mod firewall;
pub mod helm;
pub mod isolation;
pub mod kubectl;
pub mod kubelet;
pub mod load;
pub mod log;
pub mod measure;
mod nodes;
pub mod page;
pub mod pods;
mod probe;
pub mod prometheus;
pub mod proxy;
pub mod side_by_side;
pub mod wait;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU16},
    time::Duration,
};

use anyhow::{Context, Result};
pub use components;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
};

use crate::{
    certificates::Certificates,
    control_plane::{ControlPlane, SecondApiServer},
    isolation::STATE,
    kubectl::Kubectl,
    kubelet::Kubelet,
    pods::{PodFaults, PodRunner, Schedule},
    proxy::Proxy,
    wait::wait_for,
};

/// The objects of metrics-server that run on a new bed.
pub const METRICS_SERVER_MANIFEST: &str = include_str!("../../fixtures/metrics-server/manifest-0.9.yaml");

/// A running cluster. When it is dropped everything ends.
pub struct Bed {
    /// What all nodes serve, and faults of it.
    pub kubelet: Arc<Kubelet>,
    /// Faults of metrics-server's pods.
    pub pod_faults: Arc<PodFaults>,
    /// Where credentials come from.
    pub certificates: Arc<Certificates>,
    client: Client,
    runtime: Runtime,
    second_api_server: Mutex<Option<SecondApiServer>>,
    control_plane: Mutex<ControlPlane>,
}

/// What a bed is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The folder of the Kubernetes version below `.components/`.
    pub kubernetes: &'static str,
    /// Objects of metrics-server.
    pub metrics_server: String,
}

impl Default for Plan {
    fn default() -> Self {
        Self { kubernetes: components::KUBERNETES, metrics_server: METRICS_SERVER_MANIFEST.to_owned() }
    }
}

impl Bed {
    /// Starts a cluster of two nodes with the newest metrics-server, and returns when the metrics API answers.
    ///
    /// # Errors
    ///
    /// When a program is missing and cannot be built, does not start, or the metrics API does not come up in time.
    pub fn start() -> Result<Self> {
        Self::start_as(&Plan::default())
    }

    /// As [`Bed::start`], of these parts.
    pub fn start_as(plan: &Plan) -> Result<Self> {
        let bed = Self::start_control_plane(plan.kubernetes)?;
        bed.kubectl().run_with_input(&["apply", "-f", "-"], &plan.metrics_server)?;
        bed.await_healthy()?;
        Ok(bed)
    }

    /// Starts the newest control plane, the kubelet and two nodes.
    pub fn start_without_metrics_server() -> Result<Self> {
        Self::start_control_plane(components::KUBERNETES)
    }

    fn start_control_plane(kubernetes: &'static str) -> Result<Self> {
        for program in ["etcd", "kubectl"] {
            components::program(program)?;
        }
        let certificates = Arc::new(Certificates::create(&Path::new(STATE).join("certificates"))?);
        let runtime = Runtime::new()?;
        runtime.spawn(end_when_asked());
        runtime.block_on(dns::serve())?;
        runtime.block_on(proxy::serve())?;
        let control_plane = ControlPlane::start(&certificates, kubernetes)?;
        let kubelet = Arc::new(Kubelet::default());
        runtime.block_on(Arc::clone(&kubelet).serve(&certificates))?;
        let client = runtime.block_on(admin_client())?;
        kubelet.ask(client.clone());
        let pod_faults = Arc::new(PodFaults::default());
        let control_plane = Mutex::new(control_plane);
        let second_api_server = Mutex::default();
        let bed = Self { kubelet, pod_faults, certificates, client, runtime, second_api_server, control_plane };
        bed.runtime.block_on(nodes::create(&bed.client, &nodes::names(1..=2), nodes::long_ago()))?;
        let runner = Arc::new(PodRunner {
            client: bed.client.clone(),
            kubelet: Arc::clone(&bed.kubelet),
            faults: Arc::clone(&bed.pod_faults),
            certificates: Arc::clone(&bed.certificates),
            schedule: Schedule::default(),
            next_address: AtomicU16::new(0),
        });
        bed.runtime.spawn(runner.run());
        Ok(bed)
    }

    /// Creates the objects of a large cluster.
    pub fn put(&self, load: &load::Load) -> Result<()> {
        self.runtime.block_on(load::put(&self.client, load))
    }

    /// Creates nodes `node-N`, each Ready from now on.
    pub fn create_nodes(&self, numbers: std::ops::RangeInclusive<usize>) -> Result<()> {
        self.runtime.block_on(nodes::create(&self.client, &nodes::names(numbers), jiff::Timestamp::now()))
    }

    /// Restarts the API server with these flags besides its own.
    pub fn restart_api_server(&self, flags: &[&str]) -> Result<()> {
        self.control_plane().restart_api_server(flags, &[])
    }

    /// Restarts the API server with a front-proxy certificate of the right authority, whose name is not among those that
    /// may speak for others.
    pub fn restart_api_server_as_unknown_front_proxy(&self) -> Result<()> {
        let file = |flag: &str, kind: &str| {
            let path = self.certificates.path(&format!("front-proxy-of-another-name.{kind}"));
            format!("--{flag}={}", path.display())
        };
        let flags = [file("proxy-client-cert-file", "crt"), file("proxy-client-key-file", "key")];
        self.restart_api_server(&flags.each_ref().map(String::as_str))
    }

    /// Restarts the API server with a proxy set for everything but the way to itself and to kubelets; gives the variables.
    pub fn restart_api_server_behind_proxy(&self, proxy: Proxy) -> Result<Vec<(&'static str, String)>> {
        let direct = format!("127.0.0.1,{},{}", isolation::API_SERVER_ADDRESS, isolation::KUBELET_ADDRESS);
        let environment = vec![("HTTPS_PROXY", proxy.url()), ("NO_PROXY", direct)];
        self.control_plane().restart_api_server(&[], &environment)?;
        Ok(environment)
    }

    /// Kills the API server; [`Bed::restart_api_server`] starts it again.
    pub fn stop_api_server(&self) {
        self.control_plane().stop_api_server();
    }

    /// Starts a second API server on the same etcd, at [`isolation::SECOND_API_SERVER_ADDRESS`].
    pub fn start_second_api_server(&self) -> Result<()> {
        let second = self.control_plane().start_second_api_server()?;
        *self.second_api_server() = Some(second);
        Ok(())
    }

    /// Drops packets of the second API server to a port of metrics-server's pods.
    pub fn take_the_way_to_pods_from_the_second_api_server(&self, port: u16) -> Result<()> {
        self.second_api_server().as_ref().context("there is no second API server")?.lose_the_way_to_pods(port)
    }

    /// `kubectl` with all rights, that asks the second API server.
    pub fn kubectl_of_the_second_api_server(&self) -> Kubectl {
        Kubectl::with(&Path::new(STATE).join(control_plane::SECOND_KUBECONFIG))
    }

    /// Ends the second API server where there is one.
    pub fn end_second_api_server(&self) {
        drop(self.second_api_server().take());
    }

    fn control_plane(&self) -> MutexGuard<'_, ControlPlane> {
        self.control_plane.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn second_api_server(&self) -> MutexGuard<'_, Option<SecondApiServer>> {
        self.second_api_server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the metrics API has samples of every node.
    pub fn await_healthy(&self) -> Result<()> {
        wait_for("the metrics API to have every node", Duration::from_secs(90), || {
            let nodes = self.kubectl().try_words("get nodes -o name")?.lines().count();
            let names = self.kubectl().try_words("get nodes.metrics.k8s.io -o name")?;
            anyhow::ensure!(names.lines().count() >= nodes, "{} of {nodes} nodes have samples", names.lines().count());
            Ok(())
        })
        .with_context(|| self.metrics_server_log())
    }

    /// `kubectl` with all rights.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::admin()
    }

    /// A kubeconfig file of a `ServiceAccount`, with a new token.
    pub fn kubeconfig_of(&self, namespace: &str, account: &str) -> Result<std::path::PathBuf> {
        let token = self.runtime.block_on(self.kubectl().token(namespace, account))?;
        let path = Path::new(STATE).join(format!("{namespace}-{account}.kubeconfig"));
        std::fs::write(&path, self.certificates.kubeconfig_for_token(account, &token)?)?;
        Ok(path)
    }

    /// Writes into `folder` what a pod of a `ServiceAccount` finds in `/var/run/secrets/kubernetes.io/serviceaccount`, with a new
    /// token.
    pub fn write_account(&self, namespace: &str, account: &str, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder)?;
        let token = self.runtime.block_on(self.kubectl().token(namespace, account))?;
        std::fs::write(folder.join("token"), token)?;
        std::fs::write(folder.join("namespace"), namespace)?;
        std::fs::copy(self.certificates.path("ca.crt"), folder.join("ca.crt"))?;
        Ok(())
    }

    /// A kubeconfig file for whoever has this token.
    pub fn kubeconfig_with_token(&self, name: &str, token: &str) -> Result<std::path::PathBuf> {
        let path = Path::new(STATE).join(format!("{name}.kubeconfig"));
        std::fs::write(&path, self.certificates.kubeconfig_for_token(name, token)?)?;
        Ok(path)
    }

    /// What the pods of metrics-server have written.
    pub fn metrics_server_log(&self) -> String {
        let words = "logs -n kube-system -l k8s-app=metrics-server --tail=20 --prefix";
        self.kubectl().try_words(words).unwrap_or_else(|error| format!("{error:#}"))
    }
}

/// Puts many objects on the cluster whose namespaces this process is in.
pub fn load_running(load: &load::Load) -> Result<()> {
    Runtime::new()?.block_on(async {
        let client = admin_client().await?;
        load::put(&client, load).await
    })
}

async fn admin_client() -> Result<Client> {
    let file = Kubeconfig::read_from(Kubectl::admin().kubeconfig())?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// The first process of a namespace ignores signals that it has no handler for, an interrupt at the terminal among them.
async fn end_when_asked() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    std::process::exit(130);
}
