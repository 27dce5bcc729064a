//! etcd, kube-apiserver and kube-controller-manager.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{
    certificates::Certificates,
    components::{self, Component},
    firewall,
    isolation::{API_SERVER_ADDRESS, PodNetwork, SECOND_API_SERVER_ADDRESS, STATE},
    kubectl::Kubectl,
};

const START_LIMIT: Duration = Duration::from_secs(90);

/// A program of the control plane, with its output in a file; ended when dropped.
#[derive(Debug)]
struct Server {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Server {
    fn start(component: Component, arguments: &[String], environment: &[(&str, String)]) -> Result<Self> {
        let command = Command::new(component.path()?);
        Self::spawn(component.program, command, arguments, environment)
    }

    fn spawn(
        name: &'static str,
        mut command: Command,
        arguments: &[String],
        environment: &[(&str, String)],
    ) -> Result<Self> {
        let log = Path::new(STATE).join(format!("{name}.log"));
        let output = File::options().create(true).append(true).open(&log)?;
        let child = command
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("{name} does not start"))?;
        Ok(Self { name, child, log })
    }

    /// An error with the end of its log when it has ended.
    fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            bail!("{} ended with {status}:\n{}", self.name, lines[lines.len().saturating_sub(15)..].join("\n"));
        }
        Ok(())
    }
}

impl Server {
    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// The running control plane, ended in this order when dropped.
#[derive(Debug)]
pub(crate) struct ControlPlane {
    kubernetes: &'static str,
    api_server_flags: Vec<String>,
    controller_manager: Server,
    api_server: Server,
    etcd: Server,
}

impl ControlPlane {
    /// Starts all three, of that version of Kubernetes, and waits until the API server and the first controllers work.
    pub(crate) fn start(certificates: &Certificates, kubernetes: &'static str) -> Result<Self> {
        let state = Path::new(STATE);
        fs::write(state.join("kubeconfig"), certificates.kubeconfig_for_certificate("admin")?)?;
        let controllers = state.join("controller-manager.kubeconfig");
        fs::write(&controllers, certificates.kubeconfig_for_certificate("controller-manager")?)?;
        fs::write(state.join("audit-policy.yaml"), crate::audit::policy())?;

        let mut etcd = Server::start(components::named("etcd")?, &etcd_flags(state), &[])?;
        let api_server_flags = api_server_flags(certificates, state);
        let component = components::of_kubernetes("kube-apiserver", kubernetes)?;
        let mut api_server = Server::start(component, &api_server_flags, &[])?;
        wait_until("the API server answers", READY, &mut [&mut etcd, &mut api_server])?;
        let component = components::of_kubernetes("kube-controller-manager", kubernetes)?;
        let mut controller_manager =
            Server::start(component, &controller_manager_flags(certificates, &controllers), &[])?;
        wait_until(
            "the controllers work",
            "get serviceaccount default -n kube-system",
            &mut [&mut etcd, &mut api_server, &mut controller_manager],
        )?;
        Ok(Self { kubernetes, api_server_flags, controller_manager, api_server, etcd })
    }

    /// Ends the API server, which [`ControlPlane::restart_api_server`] starts again.
    pub(crate) fn stop_api_server(&mut self) {
        self.api_server.end();
    }

    /// Starts a second API server on the same etcd, at an address of its own in a network namespace of its own; returns
    /// when it answers.
    pub(crate) fn start_second_api_server(&mut self) -> Result<SecondApiServer> {
        let network = PodNetwork::create(SECOND_NAMESPACE, 3, 10)?;
        let component = components::of_kubernetes("kube-apiserver", self.kubernetes)?;
        let command = network.command(&component.path()?);
        let state = Path::new(STATE);
        let own = [
            format!("--bind-address={SECOND_API_SERVER_ADDRESS}"),
            format!("--advertise-address={SECOND_API_SERVER_ADDRESS}"),
            format!("--etcd-servers=http://{API_SERVER_ADDRESS}:2379"),
            format!("--audit-log-path={}", state.join("second-audit.log").display()),
        ];
        let flags: Vec<String> = self.api_server_flags.iter().cloned().chain(own).collect();
        let mut server = Server::spawn("second-kube-apiserver", command, &flags, &[])?;
        let kubeconfig = state.join(SECOND_KUBECONFIG);
        let text = fs::read_to_string(state.join("kubeconfig"))?;
        fs::write(&kubeconfig, text.replace(API_SERVER_ADDRESS, SECOND_API_SERVER_ADDRESS))?;
        let second = Kubectl::with(&kubeconfig);
        wait_until_by(&second, "the second API server answers", READY, &mut [&mut self.etcd, &mut server])?;
        Ok(SecondApiServer { _server: server, network })
    }

    /// Ends the API server and starts it again, with these flags besides its own (in the place of those of the same name) and
    /// these variables; returns when it answers.
    pub(crate) fn restart_api_server(&mut self, flags: &[&str], environment: &[(&str, String)]) -> Result<()> {
        self.api_server.end();
        // A flag that takes a list adds up when it is given twice.
        let name = |flag: &str| flag.split('=').next().unwrap_or_default().to_owned();
        let replaced: Vec<String> = flags.iter().map(|flag| name(flag)).collect();
        let own = self.api_server_flags.iter().filter(|flag| !replaced.contains(&name(flag))).cloned();
        let all: Vec<String> = own.chain(flags.iter().map(|&flag| flag.to_owned())).collect();
        self.api_server =
            Server::start(components::of_kubernetes("kube-apiserver", self.kubernetes)?, &all, environment)?;
        let servers = &mut [&mut self.etcd, &mut self.api_server, &mut self.controller_manager];
        wait_until("the API server answers again", READY, servers)
    }
}

/// The file in the bed's state folder that leads to the second API server.
pub(crate) const SECOND_KUBECONFIG: &str = "second.kubeconfig";
/// The namespace of the second API server.
const SECOND_NAMESPACE: &str = "second-api-server";

/// A second API server of the same cluster, ended when dropped.
#[derive(Debug)]
pub(crate) struct SecondApiServer {
    // Ended before its network goes.
    _server: Server,
    network: PodNetwork,
}

impl SecondApiServer {
    /// Drops its packets to a port of metrics-server's pods, those of open connections included.
    pub(crate) fn lose_the_way_to_pods(&self, port: u16) -> Result<()> {
        firewall::drop_inside(&self.network.path(), port)
    }
}

const READY: &str = "get --raw=/readyz";

fn wait_until(what: &str, words: &str, servers: &mut [&mut Server]) -> Result<()> {
    wait_until_by(&Kubectl::admin(), what, words, servers)
}

fn wait_until_by(kubectl: &Kubectl, what: &str, words: &str, servers: &mut [&mut Server]) -> Result<()> {
    let begin = Instant::now();
    loop {
        let Err(error) = kubectl.try_words(words) else { return Ok(()) };
        for server in &mut *servers {
            server.check()?;
        }
        if begin.elapsed() > START_LIMIT {
            return Err(error).with_context(|| format!("waited {} s until {what}", START_LIMIT.as_secs()));
        }
        thread::sleep(Duration::from_millis(200));
    }
}

fn etcd_flags(state: &Path) -> Vec<String> {
    let data = format!("--data-dir={}", state.join("etcd").display());
    let fixed = [
        // The second API server comes from a namespace of its own.
        "--listen-client-urls=http://127.0.0.1:2379,http://198.18.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ];
    [data].into_iter().chain(fixed.map(str::to_owned)).collect()
}

fn api_server_flags(certificates: &Certificates, state: &Path) -> Vec<String> {
    let file = |flag: &str, name: &str| format!("--{flag}={}", certificates.path(name).display());
    let mut flags = vec![
        format!("--bind-address={API_SERVER_ADDRESS}"),
        format!("--advertise-address={API_SERVER_ADDRESS}"),
        format!("--audit-policy-file={}", state.join("audit-policy.yaml").display()),
        format!("--audit-log-path={}", state.join("audit.log").display()),
        file("client-ca-file", "ca.crt"),
        file("token-auth-file", "tokens.csv"),
        file("tls-cert-file", "apiserver.crt"),
        file("tls-private-key-file", "apiserver.key"),
        file("service-account-key-file", "service-accounts.pub"),
        file("service-account-signing-key-file", "service-accounts.key"),
        file("requestheader-client-ca-file", "front-proxy-ca.crt"),
        file("proxy-client-cert-file", "front-proxy-client.crt"),
        file("proxy-client-key-file", "front-proxy-client.key"),
        file("kubelet-client-certificate", "apiserver-kubelet-client.crt"),
        file("kubelet-client-key", "apiserver-kubelet-client.key"),
    ];
    let fixed = [
        "--etcd-servers=http://127.0.0.1:2379",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        // The aggregator dials pods itself: there is no kube-proxy for Service addresses.
        "--enable-aggregator-routing=true",
        "--kubelet-preferred-address-types=InternalIP",
        "--shutdown-delay-duration=0s",
    ];
    flags.extend(fixed.map(str::to_owned));
    flags
}

fn controller_manager_flags(certificates: &Certificates, kubeconfig: &Path) -> Vec<String> {
    let file = |flag: &str, name: &str| format!("--{flag}={}", certificates.path(name).display());
    let mut flags = vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        file("service-account-private-key-file", "service-accounts.key"),
        file("root-ca-file", "ca.crt"),
    ];
    let fixed = [
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        // Nodes have no kubelet that keeps them alive.
        "--controllers=*,-node-ipam-controller,-node-lifecycle-controller",
        "--horizontal-pod-autoscaler-sync-period=5s",
        "--horizontal-pod-autoscaler-initial-readiness-delay=5s",
        "--horizontal-pod-autoscaler-cpu-initialization-period=10s",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
        "--bind-address=127.0.0.1",
    ];
    flags.extend(fixed.map(str::to_owned));
    flags
}
