//! Faults of the network: real rules of nftables, so that a refusal is a refusal and a timeout a timeout.

use anyhow::Result;

use crate::isolation::{API_SERVER_ADDRESS, run};

const TABLE: &str = "testbed-fault";

/// What happens to packets.
#[derive(Debug, Clone, Copy)]
pub enum Action {
    /// Silence, as from a security group.
    Drop,
    /// A TCP reset, as from a host where nothing listens.
    Reset,
}

/// Whose packets.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    /// Those of the control plane: the path from it to the pod is closed.
    ControlPlane,
    /// Those of everybody on this side of the bridge, the kubelet's probes included.
    Everybody,
}

/// A rule against connections to a port of the pods; gone when dropped.
#[derive(Debug)]
pub struct Fault(());

impl Fault {
    /// Begins now. Other pods reach the port still.
    pub fn begin(source: Source, port: u16, action: Action) -> Result<Self> {
        let from = match source {
            Source::ControlPlane => format!("ip saddr {API_SERVER_ADDRESS} "),
            Source::Everybody => String::new(),
        };
        let verb = match action {
            Action::Drop => "drop",
            Action::Reset => "reject with tcp reset",
        };
        let rule = format!("{from}ip daddr 198.18.1.0/24 tcp dport {port} {verb}");
        let chain = "type filter hook output priority 0 ;";
        let text = format!(
            "add table inet {TABLE}\nadd chain inet {TABLE} out {{ {chain} }}\nadd rule inet {TABLE} out {rule}\n"
        );
        let file = std::path::Path::new(crate::isolation::STATE).join("fault.nft");
        std::fs::write(&file, text)?;
        run("nft", &["-f", &file.display().to_string()])?;
        Ok(Self(()))
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        let _ = run("nft", &["delete", "table", "inet", TABLE]);
    }
}

/// Ends whatever fault there is.
pub fn clear() {
    drop(Fault(()));
}
