//! How the process of a metrics-server container is started.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{super::image::Image, MetricsServer, stand_in::OTHER_PORT};
use crate::isolation::{READ_ONLY, STATE};

/// Two scrapes have to pass before a metrics-server is Ready: the shortest that it accepts halves the waiting.
const RESOLUTION: &str = "--metric-resolution=10s";

impl MetricsServer<'_> {
    /// The command line of the container with what a pod gets from its surroundings.
    pub(super) fn command(&self, kubeconfig: &Path) -> Result<Command> {
        let image = self.container.image.as_deref().unwrap_or_default();
        let program = match Image::of(image) {
            Image::Program(component) => component.path()?,
            Image::OtherArchitecture => anyhow::bail!("a program for another processor cannot run"),
            Image::Missing(why) => anyhow::bail!("{why}"),
        };
        let user = self.user();
        let mut words: Vec<PathBuf> = Vec::new();
        if let Some(network) = &self.network {
            words.extend(["nsenter".into(), format!("--net={}", network.path().display()).into(), "--".into()]);
        }
        if let Some(user) = user {
            // What the manifest's securityContext asks for: an ordinary user without any capability.
            let identity = [format!("--reuid={user}"), format!("--regid={user}")];
            words.push("setpriv".into());
            words.extend(identity.map(PathBuf::from));
            words.extend(["--clear-groups", "--bounding-set=-all", "--inh-caps=-all", "--"].map(PathBuf::from));
            chown(&self.folder, Some(user), Some(user))?;
            chown(kubeconfig, Some(user), Some(user))?;
        }
        words.push(program);
        let (first, rest) = words.split_first().context("no command")?;
        let mut command = Command::new(first);
        // Images have a working folder that nobody may write.
        command.args(rest).current_dir(READ_ONLY);
        command.args(self.flags());
        for flag in ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"] {
            command.arg(format!("--{flag}={}", kubeconfig.display()));
        }
        Ok(command)
    }

    /// What a container runtime says of a command that is no program of metrics-server's image.
    pub(super) fn has_no_program(&self) -> Option<String> {
        let command = self.container.command.as_ref()?.first()?;
        let is_there = command.rsplit('/').next() == Some("metrics-server");
        (!is_there).then(|| {
            format!(
                "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: exec: \"{command}\": stat {command}: no such file or directory: unknown"
            )
        })
    }

    /// What a container runtime writes into the log when the kernel refuses to run the image's program.
    pub(super) fn kernel_refuses(&self) -> Result<Option<String>> {
        let image = self.container.image.as_deref().unwrap_or_default();
        if !matches!(Image::of(image), Image::OtherArchitecture) {
            return Ok(None);
        }
        match Command::new(other_architecture()?).spawn() {
            Err(error) if error.raw_os_error() == Some(ENOEXEC) => {
                Ok(Some("exec /metrics-server: exec format error".to_owned()))
            }
            Err(error) => Err(error.into()),
            Ok(_) => anyhow::bail!("a program for another processor runs"),
        }
    }

    fn flags(&self) -> Vec<String> {
        let words = self.container.command.iter().flatten().skip(1).chain(self.container.args.iter().flatten());
        let mut flags: Vec<String> = words
            .map(|word| match word.as_str() {
                // Each pod has a /tmp of its own.
                "--cert-dir=/tmp" => format!("--cert-dir={}", self.folder.display()),
                "--secure-port=10250" if self.runner.faults.metrics_api().is_some() => {
                    format!("--secure-port={OTHER_PORT}")
                }
                "--metric-resolution=15s" | "--metric-resolution=30s" => RESOLUTION.to_owned(),
                other => other.to_owned(),
            })
            .collect();
        let has = |flags: &[String], name: &str| flags.iter().any(|flag| flag.starts_with(name));
        if !has(&flags, "--metric-resolution") {
            flags.push(RESOLUTION.to_owned());
        }
        if !has(&flags, "--kubelet-request-timeout") {
            flags.push("--kubelet-request-timeout=5s".to_owned());
        }
        let image = self.container.image.as_deref().unwrap_or_default();
        if !has(&flags, "--cert-dir") && image.contains("bitnami") {
            // Its image has a folder of its own for certificates.
            flags.push(format!("--cert-dir={}", self.folder.display()));
        }
        flags
    }

    /// The user that the manifest asks for, where it is possible to become another one.
    fn user(&self) -> Option<u32> {
        let context = self.container.security_context.as_ref()?;
        let user = context.run_as_user.and_then(|user| u32::try_from(user).ok())?;
        can_become(user).then_some(user)
    }
}

/// Whether this user exists in the namespace: without root the bed has only one.
fn can_become(user: u32) -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().filter_map(|number| number.parse::<u64>().ok());
        let (first, _, count) = (numbers.next(), numbers.next(), numbers.next());
        first.zip(count).is_some_and(|(first, count)| (first..first + count).contains(&u64::from(user)))
    })
}

/// The kernel's number for "Exec format error".
const ENOEXEC: i32 = 8;

/// The head of a program for another processor than any that the bed runs on.
fn other_architecture() -> Result<PathBuf> {
    let path = Path::new(STATE).join("other-architecture");
    let mut head = vec![0; 4096];
    // ELF, 64 bit, little-endian, version 1; executable; machine 0x2B: SPARC V9.
    head[..7].copy_from_slice(&[0x7F, b'E', b'L', b'F', 2, 1, 1]);
    head[16..20].copy_from_slice(&[2, 0, 0x2B, 0]);
    fs::write(&path, head)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}
