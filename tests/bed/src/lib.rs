//! A real control plane on one machine: etcd, kube-apiserver, kube-controller-manager and metrics-server, each the real
//! program, with one stand-in for all kubelets; faults are made as they happen in clusters.
//!
//! A test calls [`isolation::enter`] first and then [`Bed::start`].

pub mod alertmanager;
pub mod audit;
pub mod certificates;
pub mod components;
mod control_plane;
pub mod dashboards;
pub mod doctor;
pub mod firewall;
pub mod helm;
pub mod isolation;
pub mod kubectl;
pub mod kubelet;
pub mod load;
pub mod log;
mod nodes;
pub mod page;
pub mod pods;
mod probe;
pub mod prometheus;
pub mod wait;

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicU16},
    time::Duration,
};

use anyhow::{Context, Result};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{
    certificates::Certificates,
    control_plane::ControlPlane,
    isolation::STATE,
    kubectl::Kubectl,
    kubelet::Kubelet,
    pods::{PodFaults, PodRunner},
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
    _control_plane: ControlPlane,
}

impl Bed {
    /// Starts a cluster of two nodes with metrics-server, and returns when the metrics API answers.
    ///
    /// # Errors
    ///
    /// When a program is missing and cannot be built, does not start, or the metrics API does not come up in time.
    pub fn start() -> Result<Self> {
        let bed = Self::start_without_metrics_server()?;
        bed.install_metrics_server()?;
        Ok(bed)
    }

    /// Starts the control plane, the kubelet and two nodes.
    pub fn start_without_metrics_server() -> Result<Self> {
        for component in components::ALL.iter().filter(|component| component.is_of_a_cluster()) {
            component.find_or_build()?;
        }
        let certificates = Arc::new(Certificates::create(&Path::new(STATE).join("certificates"))?);
        let runtime = Runtime::new()?;
        runtime.spawn(end_when_asked());
        let control_plane = ControlPlane::start(&certificates)?;
        let kubelet = Arc::new(Kubelet::default());
        runtime.block_on(Arc::clone(&kubelet).serve(&certificates))?;
        let client = runtime.block_on(admin_client())?;
        let pod_faults = Arc::new(PodFaults::default());
        let bed = Self { kubelet, pod_faults, certificates, client, runtime, _control_plane: control_plane };
        bed.runtime.block_on(nodes::create(&bed.client, &nodes::names(1..=2)))?;
        let runner = Arc::new(PodRunner {
            client: bed.client.clone(),
            kubelet: Arc::clone(&bed.kubelet),
            faults: Arc::clone(&bed.pod_faults),
            certificates: Arc::clone(&bed.certificates),
            nodes: watch::Sender::new(Vec::new()),
            next_node: AtomicU16::new(0),
            next_address: AtomicU16::new(0),
        });
        bed.runtime.spawn(runner.run());
        Ok(bed)
    }

    /// Applies the newest manifest and waits until the metrics API has samples of every node.
    pub fn install_metrics_server(&self) -> Result<()> {
        self.kubectl().run_with_input(&["apply", "-f", "-"], METRICS_SERVER_MANIFEST)?;
        self.await_healthy()
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
