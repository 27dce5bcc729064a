//! `helm`, against the bed or without any cluster.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::{components, isolation::STATE, kubectl::Kubectl};

/// The project's chart.
pub fn chart() -> PathBuf {
    components::project_root().join("deploy/helm/metrics-server-doctor")
}

/// Runs `helm` with all rights and gives its standard output, or its standard error as the error.
///
/// `template` and `lint` need no cluster.
pub fn run<S: AsRef<str>>(arguments: &[S]) -> Result<String> {
    run_as(&components::program("helm")?, arguments)
}

/// The same with another program, such as an older Helm.
pub fn run_as<S: AsRef<str>>(program: &Path, arguments: &[S]) -> Result<String> {
    let arguments: Vec<_> = arguments.iter().map(AsRef::as_ref).collect();
    let output = Command::new(program)
        .args(&arguments)
        .env("KUBECONFIG", Kubectl::admin().kubeconfig())
        .env("HOME", STATE)
        .stdin(Stdio::null())
        .output()
        .context("helm does not start")?;
    let error = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        // `lint` writes what it has found to standard output.
        bail!("`helm {}` failed: {}\n{}", arguments.join(" "), error.trim(), text.trim());
    }
    Ok(text.into_owned())
}
