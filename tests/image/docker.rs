//! A Docker daemon of the test's own.

use std::{
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use testbed::{components, isolation::STATE, wait::wait_for};

const SOCKET: &str = "unix:///run/docker-test.sock";
/// Of all containers, so that they are not mixed up with those of the machine's own Docker.
pub(crate) const CONTROL_GROUP: &str = "/metrics-server-doctor-test";
/// No build takes longer on two cores that others use too.
const BUILD_LIMIT: &str = "2400";

pub(crate) struct Docker {
    folder: PathBuf,
    daemon: Child,
}

impl Docker {
    /// Starts the daemon of that folder. Must be called inside namespaces of its own. Images and the cache of builds stay in
    /// `target`.
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let data = components::project_root().join("target/image");
        fs::create_dir_all(&data)?;
        let log = File::create(Path::new(STATE).join("dockerd.log"))?;
        let mut command = with_programs(folder, &folder.join("usr/sbin/dockerd"));
        let daemon = command
            .arg("--data-root")
            .arg(&data)
            .args(["--exec-root=/run/docker-test", "--pidfile=/run/docker-test.pid", "--host", SOCKET])
            // Containers and builds use the namespace that the test is in, or no network at all.
            .args(["--bridge=none", "--iptables=false", "--storage-driver=overlay2"])
            .arg(format!("--cgroup-parent={CONTROL_GROUP}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("dockerd does not start")?;
        let docker = Self { folder: folder.to_owned(), daemon };
        wait_for("dockerd", Duration::from_secs(30), || docker.output(&["version"])).with_context(|| {
            let log = fs::read_to_string(Path::new(STATE).join("dockerd.log")).unwrap_or_default();
            log.lines().rev().take(20).collect::<Vec<_>>().join("\n")
        })?;
        // What an earlier run that was killed has left behind.
        for container in docker.output(&["ps", "--all", "--quiet"])?.lines() {
            docker.output(&["rm", "--force", container])?;
        }
        Ok(docker)
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = with_programs(&self.folder, &self.folder.join("usr/bin/docker"));
        command.args(["--host", SOCKET]).env("HOME", STATE).stdin(Stdio::null());
        command
    }

    /// Standard output of a command that succeeds.
    pub(crate) fn output(&self, arguments: &[&str]) -> Result<String> {
        let output = self.command().args(arguments).output()?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`docker {}` failed: {}", arguments.join(" "), error.trim());
        Ok(String::from_utf8(output.stdout)?)
    }

    pub(crate) fn inspect(&self, kind: &str, name: &str) -> Result<Value> {
        let all: Value = serde_json::from_str(&self.output(&[kind, "inspect", name])?)?;
        Ok(all[0].clone())
    }

    /// The files of a container, folders left out.
    pub(crate) fn files(&self, container: &str) -> Result<Vec<String>> {
        let mut export = self.command().args(["export", container]).stdout(Stdio::piped()).spawn()?;
        let archive = export.stdout.take().context("its output")?;
        let listed = Command::new("tar").args(["--list", "--file=-"]).stdin(archive).output()?;
        export.wait()?;
        let names = String::from_utf8(listed.stdout)?;
        let mut names: Vec<_> = names.lines().filter(|name| !name.ends_with('/')).map(str::to_owned).collect();
        names.sort();
        Ok(names)
    }

    /// The image that stands in for the official Rust image: of this compiler and the crates of `Cargo.lock`.
    pub(crate) fn stand_in_base(&self) -> Result<String> {
        let root = components::project_root();
        let mut hasher = DefaultHasher::new();
        let script = root.join("tests/image/stand-in.sh");
        for file in [root.join("Cargo.lock"), root.join("Cargo.toml"), script.clone()] {
            fs::read(&file)?.hash(&mut hasher);
        }
        Command::new("rustc").arg("-vV").output()?.stdout.hash(&mut hasher);
        let name = format!("rust-stand-in:{:016x}", hasher.finish());
        if self.output(&["image", "inspect", &name]).is_ok() {
            return Ok(name);
        }
        let mut archive = Command::new(script).stdout(Stdio::piped()).spawn()?;
        let imported = self
            .command()
            .args(["import", "--change", "ENV PATH=/usr/local/rust/bin:/usr/bin:/bin"])
            .args(["--change", "ENV CARGO_HOME=/usr/local/cargo CARGO_NET_OFFLINE=true", "-", &name])
            .stdin(archive.stdout.take().context("its output")?)
            .output()?;
        let error = String::from_utf8_lossy(&imported.stderr);
        ensure!(archive.wait()?.success() && imported.status.success(), "no stand-in: {}", error.trim());
        Ok(name)
    }

    /// Builds the project's image by the script that releases use.
    pub(crate) fn build(&self, tag: &str, arguments: &[(&str, &str)]) -> Result<()> {
        let docker = self.folder.join("usr/bin/docker");
        let mut command = with_programs(&self.folder, Path::new("timeout"));
        command
            .arg(BUILD_LIMIT)
            .arg(components::project_root().join("release/image.sh"))
            .env("DOCKER_BUILD", format!("{} --host {SOCKET} build --network=none --progress=plain", docker.display()))
            .env("DOCKER_BUILDKIT", "1")
            .env("HOME", STATE)
            .args(["--tag", tag]);
        for (name, value) in arguments {
            command.arg("--build-arg").arg(format!("{name}={value}"));
        }
        let output = command.stdin(Stdio::null()).output()?;
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stderr);
            let last: Vec<_> = told.lines().rev().take(40).collect();
            bail!("the build failed:\n{}", last.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
        Ok(())
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // Asked, so that it unmounts; the namespaces end whatever is left.
        drop(Command::new("kill").arg(self.daemon.id().to_string()).status());
        drop(self.daemon.wait());
        remove_control_groups();
    }
}

/// Control groups are no part of a namespace: empty folders would stay, one a controller in their first version.
pub(crate) fn remove_control_groups() {
    let root = Path::new("/sys/fs/cgroup");
    let controllers = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    for group in controllers.chain([root.to_owned()]).map(|folder| folder.join(&CONTROL_GROUP[1..])) {
        if group.is_dir() {
            drop(Command::new("find").arg(group).args(["-depth", "-type", "d", "-delete"]).status());
        }
    }
}

/// A command that finds Docker's programs and libraries.
pub(crate) fn with_programs(folder: &Path, program: &Path) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let folder = folder.display();
    let mut command = Command::new(program);
    command
        .env("PATH", format!("{folder}/usr/sbin:{folder}/usr/bin:{path}"))
        .env("LD_LIBRARY_PATH", format!("{folder}/usr/lib/x86_64-linux-gnu:{folder}/lib/x86_64-linux-gnu"));
    command
}
