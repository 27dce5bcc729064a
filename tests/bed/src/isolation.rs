//! Namespaces: everything that the bed starts lives in a network, mount and process namespace of its own, so that two
//! runs never meet and nothing outlives a killed process.

use std::{
    env,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

const INSIDE: &str = "TESTBED_INSIDE";
/// What is not to be fetched: whatever a test reads is in `.components` before it starts. The caches are folders that nobody can
/// write to, and nothing is in them.
const NOTHING_IS_FETCHED: &[(&str, &str)] = &[
    ("GOPROXY", "off"),
    ("GOTOOLCHAIN", "local"),
    ("GOMODCACHE", READ_ONLY),
    ("GOCACHE", READ_ONLY),
    ("CARGO_NET_OFFLINE", "true"),
    ("npm_config_offline", "true"),
    ("PIP_NO_INDEX", "1"),
];

/// Where the bed keeps its files: memory that goes with the namespace.
pub const STATE: &str = "/run/testbed";
/// A folder that nobody can write to.
pub(crate) const READ_ONLY: &str = "/run/testbed/read-only";
/// Address of the API server.
pub const API_SERVER_ADDRESS: &str = "198.18.0.1";
/// Address of the second API server, where a test starts one.
pub const SECOND_API_SERVER_ADDRESS: &str = "198.18.3.10";
/// Address of the kubelet that plays all nodes; probes come from it.
pub const KUBELET_ADDRESS: &str = "198.18.0.2";

/// Runs this program again inside new namespaces unless it is inside already; returns only inside.
///
/// Inside there is no way out and no cache of modules, so that a test which would fetch what it reads fails everywhere, not only on
/// a machine where nobody has fetched it before.
///
/// The process that was called becomes `unshare`; when it is killed, the kernel ends everything inside. Works as root
/// and, by a user namespace, as an ordinary user.
pub fn enter() -> Result<()> {
    if let Some(caches) = env::var_os(INSIDE) {
        return set_up(env::split_paths(&caches));
    }
    let root = Path::new("/proc/self").metadata().context("/proc is not mounted")?.uid() == 0;
    let mut unshare = Command::new("unshare");
    if !root {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
    unshare.arg(env::current_exe()?).args(env::args_os().skip(1));
    unshare.env(INSIDE, env::join_paths(module_caches())?).envs(NOTHING_IS_FETCHED.iter().copied());
    Err(unshare.exec()).context("cannot run `unshare` (Debian package util-linux)")
}

/// Where Go keeps modules and what it has compiled.
/// Source: `go help environment`, of Go 1.26.
fn module_caches() -> Vec<PathBuf> {
    let of = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = of("HOME").unwrap_or_default();
    let path = of("GOPATH").and_then(|paths| env::split_paths(&paths).next()).unwrap_or_else(|| home.join("go"));
    let cache = of("XDG_CACHE_HOME").unwrap_or_else(|| home.join(".cache"));
    vec![
        of("GOMODCACHE").unwrap_or_else(|| path.join("pkg/mod")),
        of("GOCACHE").unwrap_or_else(|| cache.join("go-build")),
    ]
}

/// Mounts the state folder, covers what is cached of modules, and builds the bridge that stands for the pod network.
fn set_up(caches: impl Iterator<Item = PathBuf>) -> Result<()> {
    run("mount", &["-t", "tmpfs", "testbed", "/run"])?;
    std::fs::create_dir_all("/run/netns")?;
    std::fs::create_dir_all(READ_ONLY)?;
    run("mount", &["-t", "tmpfs", "-o", "ro,mode=755", "testbed", READ_ONLY])?;
    for cache in caches.filter(|cache| cache.is_absolute() && cache.is_dir()) {
        run("mount", &["-t", "tmpfs", "-o", "ro,mode=755", "testbed", &cache.display().to_string()])?;
    }
    name_server()?;
    for command in [
        "link set lo up",
        // With an address of its own, since a bridge without one takes that of a port and changes it as pods come and go;
        // the others would go on sending to the old one for half a minute.
        "link add bed address 02:00:00:00:00:01 type bridge",
        "address add 198.18.0.1/16 dev bed",
        "address add 198.18.0.2/16 dev bed",
        "link set bed up",
    ] {
        ip(command)?;
    }
    Ok(())
}

/// Lets every program ask the bed's own name server, which knows no name.
fn name_server() -> Result<()> {
    let text = format!("nameserver {API_SERVER_ADDRESS}\noptions timeout:1 attempts:1\n");
    if let Ok(target) = std::fs::read_link("/etc/resolv.conf") {
        // A link into /run, as of systemd-resolved, leads into the new /run.
        let target = Path::new("/etc").join(target);
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder)?;
        }
        return Ok(std::fs::write(target, text)?);
    }
    let own = Path::new(STATE).join("resolv.conf");
    std::fs::write(&own, text)?;
    run("mount", &["--bind", &own.display().to_string(), "/etc/resolv.conf"])
}

/// Runs `ip` with words separated by blanks.
fn ip(words: &str) -> Result<()> {
    run("ip", &words.split(' ').collect::<Vec<_>>())
}

/// Runs a command to its end; its standard error is the error's text.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("cannot run `{program}`; is it there?"))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        bail!("`{program} {}` failed: {}", arguments.join(" "), error.trim());
    }
    Ok(())
}

/// Ends the process that holds a bed's namespaces; the kernel ends everything inside.
pub fn end(holder: u32) -> Result<()> {
    run("kill", &["-KILL", &holder.to_string()])
}

/// The network namespace of one pod, joined to the bridge; gone when dropped.
#[derive(Debug)]
pub struct PodNetwork {
    name: String,
    /// Its address on the bridge.
    pub address: String,
}

impl PodNetwork {
    /// A namespace with address `198.18.THIRD.FOURTH`.
    pub fn create(name: &str, third: u8, fourth: u8) -> Result<Self> {
        let address = format!("198.18.{third}.{fourth}");
        let outer = format!("v{third}-{fourth}");
        let network = Self { name: name.to_owned(), address };
        ip(&format!("netns add {name}"))?;
        ip(&format!("link add {outer} type veth peer name eth0 netns {name}"))?;
        ip(&format!("link set {outer} master bed up"))?;
        ip(&format!("-n {name} address add {}/16 dev eth0", network.address))?;
        ip(&format!("-n {name} link set lo up"))?;
        ip(&format!("-n {name} link set eth0 up"))?;
        Ok(network)
    }

    /// The file that stands for the namespace.
    pub fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// A command that runs inside the namespace.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg("--").arg(program);
        command
    }
}

impl Drop for PodNetwork {
    fn drop(&mut self) {
        // Best effort: the whole of it goes with the outer namespace anyway.
        let _ = ip(&format!("netns delete {}", self.name));
    }
}
