//! `kubectl` against the bed: what a test does to the cluster reads as what an operator types.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::{components, isolation::STATE};

/// `kubectl` with a kubeconfig.
#[derive(Debug, Clone)]
pub struct Kubectl {
    kubeconfig: PathBuf,
}

impl Kubectl {
    /// With all rights.
    pub fn admin() -> Self {
        Self { kubeconfig: Path::new(STATE).join("kubeconfig") }
    }

    /// With the rights of whoever a kubeconfig speaks for.
    pub fn with(kubeconfig: &Path) -> Self {
        Self { kubeconfig: kubeconfig.to_owned() }
    }

    /// The kubeconfig in use.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Runs it and gives its standard output, or its standard error as the error.
    pub fn run<S: AsRef<str>>(&self, arguments: &[S]) -> Result<String> {
        self.run_with_input(arguments, "")
    }

    /// The words of a command line without quoting: `try_words("get pods -A")`.
    pub fn try_words(&self, words: &str) -> Result<String> {
        self.run(&words.split_whitespace().collect::<Vec<_>>())
    }

    /// As [`Kubectl::try_words`], for what has to work.
    ///
    /// # Panics
    ///
    /// With what kubectl wrote when it fails.
    pub fn words(&self, words: &str) -> String {
        self.try_words(words).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// `kubectl patch OBJECT --type=TYPE -p PATCH`.
    ///
    /// # Panics
    ///
    /// With what kubectl wrote when it fails.
    pub fn patch(&self, object: &str, kind: &str, patch: &str) {
        let mut arguments = vec!["patch"];
        arguments.extend(object.split_whitespace());
        let kind = format!("--type={kind}");
        arguments.extend([kind.as_str(), "-p", patch]);
        self.run(&arguments).unwrap_or_else(|error| panic!("{error:#}"));
    }

    /// `kubectl apply -f -`.
    ///
    /// # Panics
    ///
    /// With what kubectl wrote when it fails.
    pub fn apply(&self, yaml: &str) {
        self.run_with_input(&["apply", "-f", "-"], yaml).unwrap_or_else(|error| panic!("{error:#}"));
    }

    /// `kubectl kustomize` of resources and components, each a path relative to the project's root.
    pub fn kustomize(&self, resources: &[&str], components: &[&str]) -> Result<String> {
        // A kustomization names others by relative path alone, so it has to stand in the project.
        let target = components::project_root().join("target");
        std::fs::create_dir_all(&target)?;
        let folder = tempfile::tempdir_in(target)?;
        let list = |paths: &[&str]| paths.iter().map(|path| format!("../../{path}")).collect::<Vec<_>>();
        let kustomization =
            serde_json::json!({ "resources": list(resources), "components": list(components) }).to_string();
        std::fs::write(folder.path().join("kustomization.yaml"), kustomization)?;
        let path = folder.path().display().to_string();
        self.run(&["kustomize", "--load-restrictor=LoadRestrictionsNone", &path])
    }

    /// Runs it with a text on its standard input.
    pub fn run_with_input<S: AsRef<str>>(&self, arguments: &[S], input: &str) -> Result<String> {
        let arguments: Vec<_> = arguments.iter().map(AsRef::as_ref).collect();
        let mut child = Command::new(components::program("kubectl")?)
            .args(&arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", STATE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("kubectl does not start")?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            bail!("`kubectl {}` failed: {}", arguments.join(" "), error.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// A token of a `ServiceAccount`.
    pub(crate) async fn token(&self, namespace: &str, account: &str) -> Result<String> {
        let kubectl = self.clone();
        let words = format!("create token {account} -n {namespace} --duration=24h");
        Ok(tokio::task::spawn_blocking(move || kubectl.try_words(&words)).await??.trim().to_owned())
    }
}
