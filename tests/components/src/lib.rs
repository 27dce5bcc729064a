//! The real programs and files of others that tests need: each is built or fetched once, by `make components`, into
//! `.components`, and is only read from there afterwards.
//!
//! Versions and sums stand in the Go modules beside this crate. Tests run where no network and no module cache is in sight; what
//! they miss is named in one line with the command that brings it.

mod build;
mod list;

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

pub use crate::{
    build::Builder,
    list::{
        ALL, FILES, GATEWAY_API, HELM_3, KUBERNETES, MANAGED_PROMETHEUS, METRICS_SERVER_0_7, METRICS_SERVER_0_9,
        METRICS_SERVER_CHART, NIGHTLY, OLDER_KUBERNETES, PROMETHEUS_OPERATOR, VERTICAL_POD_AUTOSCALER,
    },
};

/// A program that the bed runs.
#[derive(Debug, Clone, Copy)]
pub struct Component {
    /// File name of the program.
    pub program: &'static str,
    /// Folder below `tests/components/` (its Go module) and below `.components/` (what was built).
    pub folder: &'static str,
    /// The Go package of the command.
    package: &'static str,
    /// Values for `-X`: without them the server reports a version that version checks misread.
    versions: &'static [&'static str],
}

/// Files of a Go module that tests read.
#[derive(Debug, Clone, Copy)]
pub struct Files {
    /// Folder below `tests/components/` (the Go module that pins it) and below `.components/` (the copy).
    pub folder: &'static str,
    /// Path of the Go module.
    module: &'static str,
    /// Files and folders of the module that are kept.
    paths: &'static [&'static str],
}

/// The project's root folder.
pub fn project_root() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.ancestors().nth(2).unwrap_or(crate_folder).to_owned()
}

/// A program of one of the versions of Kubernetes.
pub fn of_kubernetes(program: &str, folder: &str) -> Result<Component> {
    let found = ALL.iter().find(|component| component.program == program && component.folder == folder);
    found.copied().with_context(|| format!("no component `{program}` of {folder}"))
}

/// The component with that program name; of several versions the newest.
pub fn named(program: &str) -> Result<Component> {
    let mut every = ALL.iter().chain(NIGHTLY);
    every.find(|component| component.program == program).copied().with_context(|| {
        let known: Vec<_> = ALL.iter().chain(NIGHTLY).map(|component| component.program).collect();
        format!("no component `{program}`; there are {}", known.join(", "))
    })
}

/// The path of a program that was built.
pub fn program(name: &str) -> Result<PathBuf> {
    named(name)?.path()
}

impl Component {
    fn built(&self, root: &Path) -> PathBuf {
        root.join(".components").join(self.folder).join(self.program)
    }

    /// The command that builds it.
    fn command(&self) -> &'static str {
        let at_night = NIGHTLY.iter().any(|component| component.program == self.program);
        if at_night { "make test-image" } else { "make components" }
    }

    /// The program where it is: in `KUBEBUILDER_ASSETS`, else where this project builds it.
    pub fn find(&self) -> Option<PathBuf> {
        // What it holds has no version, so it stands for the newest only.
        let newest = named(self.program).is_ok_and(|newest| newest.folder == self.folder);
        let assets = env::var_os("KUBEBUILDER_ASSETS").filter(|_| newest);
        let assets = assets.map(|folder| Path::new(&folder).join(self.program));
        assets.into_iter().chain([self.built(&project_root())]).find(|path| path.is_file())
    }

    /// The path of the program.
    ///
    /// # Errors
    ///
    /// One line with the command that builds it. Nothing is built here: a test may run where there is no network.
    pub fn path(&self) -> Result<PathBuf> {
        let missing = || format!("{} of {} is not built: run `{}`", self.program, self.folder, self.command());
        self.find().with_context(missing)
    }
}

impl Files {
    fn copied(&self, root: &Path) -> PathBuf {
        root.join(".components").join(self.folder).join("files")
    }

    fn find(&self, root: &Path) -> Option<PathBuf> {
        Some(self.copied(root)).filter(|folder| self.paths.iter().all(|path| folder.join(path).exists()))
    }

    /// The folder that holds the copies, at the paths that they have in the module.
    ///
    /// # Errors
    ///
    /// One line with the command that brings them. Nothing is fetched here.
    pub fn path(&self) -> Result<PathBuf> {
        let missing = || format!("files of {} are not there: run `make components`", self.folder);
        self.find(&project_root()).with_context(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_in_one_line_with_the_command_that_brings_it() {
        let missing = Component { program: "etcd", folder: "etcd-0.0.0", package: "", versions: &[] };
        let told = format!("{:#}", missing.path().expect_err("it is nowhere"));
        assert_eq!(told, "etcd of etcd-0.0.0 is not built: run `make components`");
        let missing = Component { program: "buildctl", ..missing };
        let told = format!("{:#}", missing.path().expect_err("it is nowhere"));
        assert_eq!(told, "buildctl of etcd-0.0.0 is not built: run `make test-image`");
        let missing = Files { folder: "chart-0.0.0", module: "", paths: &["chart"] };
        let told = format!("{:#}", missing.path().expect_err("they are nowhere"));
        assert_eq!(told, "files of chart-0.0.0 are not there: run `make components`");
        let told = format!("{:#}", named("etcdd").expect_err("no such program"));
        assert!(told.starts_with("no component `etcdd`; there are ") && told.contains("buildkitd"), "{told}");
    }

    #[test]
    fn every_component_is_pinned() {
        for folder in
            ALL.iter().chain(NIGHTLY).map(|component| component.folder).chain(FILES.iter().map(|of| of.folder))
        {
            for file in ["go.mod", "go.sum"] {
                let path = project_root().join("tests/components").join(folder).join(file);
                assert!(path.is_file(), "{} is missing", path.display());
            }
        }
    }
}
