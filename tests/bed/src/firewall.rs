//! Faults of the network: real rules of nftables, so that a refusal is a refusal and a timeout a timeout.

use std::path::PathBuf;

use anyhow::Result;

use crate::isolation::{API_SERVER_ADDRESS, KUBELET_ADDRESS, run};

const TABLE: &str = "testbed-fault";

/// What happens to packets.
#[derive(Debug, Clone, Copy)]
pub enum Action {
    /// Silence, as from a security group.
    Drop,
    /// A TCP reset, as from a host where nothing listens.
    Reset,
    /// `no route to host`, as from a firewall that rejects.
    HostUnreachable,
}

/// Whose packets where.
#[derive(Debug, Clone, Copy)]
pub enum Path {
    /// From the control plane to pods: the doctor and the kubelet's probes get through.
    ControlPlaneToPods,
    /// From everybody to pods of metrics-server, the kubelet's probes and the doctor included.
    EverybodyToPods,
    /// From everybody but the kubelet of their own node.
    OtherNodesToPods,
    /// From pods to kubelets.
    PodsToKubelets,
    /// From pods of metrics-server to the API server.
    PodsToApiServer,
}

impl Path {
    /// Hook and condition of the rule.
    fn rule(self, port: u16) -> (&'static str, String) {
        match self {
            Self::ControlPlaneToPods => {
                ("output", format!("ip saddr {API_SERVER_ADDRESS} ip daddr {METRICS_SERVERS} tcp dport {port}"))
            }
            // In the pod's own namespace, where packets come in by the bridge from everywhere.
            Self::EverybodyToPods => ("input", format!("tcp dport {port}")),
            Self::OtherNodesToPods => ("input", format!("ip saddr != {KUBELET_ADDRESS} tcp dport {port}")),
            Self::PodsToKubelets => {
                ("input", format!("ip saddr {METRICS_SERVERS} ip daddr {KUBELET_ADDRESS} tcp dport {port}"))
            }
            Self::PodsToApiServer => {
                ("input", format!("ip saddr {METRICS_SERVERS} ip daddr {API_SERVER_ADDRESS} tcp dport {port}"))
            }
        }
    }
}

/// Where metrics-server's pods have their addresses.
const METRICS_SERVERS: &str = "198.18.1.0/24";

/// A rule against connections to a port; gone when dropped.
#[derive(Debug)]
pub struct Fault(());

impl Fault {
    /// Begins now, for open connections too.
    pub fn begin(path: Path, port: u16, action: Action) -> Result<Self> {
        let (hook, condition) = path.rule(port);
        let verbs: &[&str] = match action {
            Action::Drop => &["drop"],
            Action::Reset => &["reject with tcp reset"],
            // A connection that is open already takes the message for a passing trouble, so that it is reset.
            Action::HostUnreachable => {
                &["tcp flags & (syn | ack) == syn reject with icmp type host-unreachable", "reject with tcp reset"]
            }
        };
        let chain = format!("type filter hook {hook} priority 0 ;");
        let head = format!("add table inet {TABLE}\nadd chain inet {TABLE} fault {{ {chain} }}\n");
        let rule = |verb: &&str| format!("add rule inet {TABLE} fault {condition} {verb}\n");
        let text: String = [head].into_iter().chain(verbs.iter().map(rule)).collect();
        let file = std::path::Path::new(crate::isolation::STATE).join("fault.nft");
        std::fs::write(&file, text)?;
        let words = ["-f", &file.display().to_string()];
        if !matches!(path, Path::EverybodyToPods | Path::OtherNodesToPods) {
            run("nft", &words)?;
            return Ok(Self(()));
        }
        for namespace in pod_namespaces()? {
            nft_inside(&namespace, &words)?;
        }
        Ok(Self(()))
    }

    /// Leaves the rule where it is until [`clear`] is called.
    pub fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        let words = ["delete", "table", "inet", TABLE];
        let _ = run("nft", &words);
        for namespace in pod_namespaces().unwrap_or_default() {
            let _ = nft_inside(&namespace, &words);
        }
    }
}

/// The files of the network namespaces of metrics-server's pods.
fn pod_namespaces() -> Result<Vec<PathBuf>> {
    let all = std::fs::read_dir("/run/netns")?.flatten().map(|entry| entry.path());
    let is_one =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("metrics-server"));
    Ok(all.filter(is_one).collect())
}

fn nft_inside(namespace: &std::path::Path, words: &[&str]) -> Result<()> {
    let network = format!("--net={}", namespace.display());
    let all: Vec<&str> = [network.as_str(), "--", "nft"].into_iter().chain(words.iter().copied()).collect();
    run("nsenter", &all)
}

/// Drops what leaves a network namespace for this port of metrics-server's pods, until the namespace goes.
pub(crate) fn drop_inside(namespace: &std::path::Path, port: u16) -> Result<()> {
    let rule = format!("ip daddr {METRICS_SERVERS} tcp dport {port} drop");
    let text = format!(
        "add table inet {TABLE}\nadd chain inet {TABLE} fault {{ type filter hook output priority 0 ; }}\n\
         add rule inet {TABLE} fault {rule}\n"
    );
    let file = std::path::Path::new(crate::isolation::STATE).join("fault-inside.nft");
    std::fs::write(&file, text)?;
    nft_inside(namespace, &["-f", &file.display().to_string()])
}

/// Ends whatever fault there is.
pub fn clear() {
    drop(Fault(()));
}
