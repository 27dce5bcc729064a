//! The real programs: found where they are, built once where they are not.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail};

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

/// The newest Kubernetes.
pub const KUBERNETES: &str = "kubernetes-1.37.2";
/// An older minor of Kubernetes that the doctor is tried on.
pub const OLDER_KUBERNETES: &str = "kubernetes-1.34.4";
const PROMETHEUS: &str = "prometheus-3.16.0";
const HELM: &str = "helm-4.3.1";
const BUILDKIT: &str = "buildkit-0.34.2";
const KREW: &str = "krew-0.4.3";
const ALERTMANAGER: &str = "alertmanager-0.35.0";
const ALERTMANAGER_MODULE: &str = "github.com/prometheus/alertmanager";
/// Pages of the web interface, which are made outside of Go and so are not in the module's archive; the sources embed them.
const ALERTMANAGER_PAGES: &[&str] = &["ui/app/dist/elm/index.html", "ui/app/dist/mantine/index.html"];
const KUBERNETES_VERSIONS: &[&str] = &[
    "k8s.io/component-base/version.gitVersion=v1.37.2",
    "k8s.io/component-base/version.gitMajor=1",
    "k8s.io/component-base/version.gitMinor=37",
];

const OLDER_KUBERNETES_VERSIONS: &[&str] = &[
    "k8s.io/component-base/version.gitVersion=v1.34.4",
    "k8s.io/component-base/version.gitMajor=1",
    "k8s.io/component-base/version.gitMinor=34",
];

/// The newest metrics-server.
pub const METRICS_SERVER_0_9: Component = Component {
    program: "metrics-server",
    folder: "metrics-server-0.9.0",
    package: "sigs.k8s.io/metrics-server/cmd/metrics-server",
    versions: &["sigs.k8s.io/metrics-server/pkg/version.gitVersion=v0.9.0"],
};
/// The oldest metrics-server that can be built.
pub const METRICS_SERVER_0_7: Component = Component {
    program: "metrics-server",
    folder: "metrics-server-0.7.2",
    package: "sigs.k8s.io/metrics-server/cmd/metrics-server",
    versions: &["sigs.k8s.io/metrics-server/pkg/version.gitVersion=v0.7.2"],
};

/// Everything that can be built, the quick ones first; of several versions of a program the newest first.
pub const ALL: &[Component] = &[
    Component { program: "etcd", folder: "etcd-3.7.3", package: "go.etcd.io/etcd/server/v3", versions: &[] },
    Component {
        program: "kubectl",
        folder: KUBERNETES,
        package: "k8s.io/kubernetes/cmd/kubectl",
        versions: KUBERNETES_VERSIONS,
    },
    Component {
        program: "helm",
        folder: HELM,
        package: "helm.sh/helm/v4/cmd/helm",
        versions: &["helm.sh/helm/v4/internal/version.version=v4.3.1"],
    },
    Component { program: "krew", folder: KREW, package: "sigs.k8s.io/krew/cmd/krew", versions: &[] },
    Component {
        program: "validate-krew-manifest",
        folder: KREW,
        package: "sigs.k8s.io/krew/cmd/validate-krew-manifest",
        versions: &[],
    },
    METRICS_SERVER_0_9,
    METRICS_SERVER_0_7,
    Component {
        program: "kube-apiserver",
        folder: KUBERNETES,
        package: "k8s.io/kubernetes/cmd/kube-apiserver",
        versions: KUBERNETES_VERSIONS,
    },
    Component {
        program: "kube-controller-manager",
        folder: KUBERNETES,
        package: "k8s.io/kubernetes/cmd/kube-controller-manager",
        versions: KUBERNETES_VERSIONS,
    },
    Component {
        program: "kube-apiserver",
        folder: OLDER_KUBERNETES,
        package: "k8s.io/kubernetes/cmd/kube-apiserver",
        versions: OLDER_KUBERNETES_VERSIONS,
    },
    Component {
        program: "kube-controller-manager",
        folder: OLDER_KUBERNETES,
        package: "k8s.io/kubernetes/cmd/kube-controller-manager",
        versions: OLDER_KUBERNETES_VERSIONS,
    },
    Component {
        program: "promtool",
        folder: PROMETHEUS,
        package: "github.com/prometheus/prometheus/cmd/promtool",
        versions: &[],
    },
    Component {
        program: "prometheus",
        folder: PROMETHEUS,
        package: "github.com/prometheus/prometheus/cmd/prometheus",
        versions: &[],
    },
    Component {
        program: "amtool",
        folder: ALERTMANAGER,
        package: "github.com/prometheus/alertmanager/cmd/amtool",
        versions: &[],
    },
    Component {
        program: "alertmanager",
        folder: ALERTMANAGER,
        package: "github.com/prometheus/alertmanager/cmd/alertmanager",
        versions: &[],
    },
    Component {
        program: "buildkitd",
        folder: BUILDKIT,
        package: "github.com/moby/buildkit/cmd/buildkitd",
        versions: &[],
    },
    Component {
        program: "buildctl",
        folder: BUILDKIT,
        package: "github.com/moby/buildkit/cmd/buildctl",
        versions: &[],
    },
    Component {
        program: "vmalert",
        folder: "victoria-metrics-1.148.0",
        package: "github.com/VictoriaMetrics/VictoriaMetrics/app/vmalert",
        versions: &[],
    },
];

/// The project's root folder.
pub fn project_root() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.ancestors().nth(2).unwrap_or(crate_folder).to_owned()
}

/// A program of one of the versions of Kubernetes.
pub(crate) fn of_kubernetes(program: &str, folder: &str) -> Result<Component> {
    let found = ALL.iter().find(|component| component.program == program && component.folder == folder);
    found.copied().with_context(|| format!("no component `{program}` of {folder}"))
}

/// The component with that program name.
pub fn named(program: &str) -> Result<Component> {
    let found = ALL.iter().find(|component| component.program == program);
    found.copied().with_context(|| {
        let known: Vec<_> = ALL.iter().map(|component| component.program).collect();
        format!("no component `{program}`; there are {}", known.join(", "))
    })
}

impl Component {
    fn built(&self) -> PathBuf {
        project_root().join(".components").join(self.folder).join(self.program)
    }

    /// The program where it is already: in `KUBEBUILDER_ASSETS`, else where this project builds it.
    pub fn find(&self) -> Option<PathBuf> {
        // What it holds has no version, so it stands for the newest only.
        let newest = named(self.program).is_ok_and(|newest| newest.folder == self.folder);
        let assets = env::var_os("KUBEBUILDER_ASSETS").filter(|_| newest);
        let assets = assets.map(|folder| Path::new(&folder).join(self.program));
        assets.into_iter().chain([self.built()]).find(|path| path.is_file())
    }

    /// The program, built now if it is nowhere.
    ///
    /// # Errors
    ///
    /// One line that names the component and what is missing.
    pub fn find_or_build(&self) -> Result<PathBuf> {
        match self.find() {
            Some(path) => Ok(path),
            None => self.build(),
        }
    }

    /// The folder to build in: the pinned Go module, or where its archive lacks files a completed copy of what it pins.
    fn sources(&self) -> Result<PathBuf> {
        let module = project_root().join("tests/components").join(self.folder);
        if self.folder != ALERTMANAGER {
            return Ok(module);
        }
        let output = Command::new("go")
            .current_dir(&module)
            .env("GOFLAGS", "-mod=readonly")
            .args(["mod", "download", "-json", ALERTMANAGER_MODULE])
            .output()
            .context("`go` does not start")?;
        let told: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let archive = told["Dir"].as_str().with_context(|| format!("cannot download {ALERTMANAGER_MODULE}: {told}"))?;
        let copy = project_root().join(".components").join(self.folder).join("source");
        std::fs::create_dir_all(&copy)?;
        // Files of the module cache are read-only, and so would be their copies.
        let copied = Command::new("cp")
            .args(["--recursive", "--no-preserve=mode", "--no-target-directory"])
            .arg(archive)
            .arg(&copy)
            .status()?;
        anyhow::ensure!(copied.success(), "cannot copy {archive}");
        for page in ALERTMANAGER_PAGES {
            let page = copy.join(page);
            std::fs::create_dir_all(page.parent().context("a page without folder")?)?;
            std::fs::write(page, "<title>Alertmanager</title>\n")?;
        }
        Ok(copy)
    }

    fn build(&self) -> Result<PathBuf> {
        let module = self.sources()?;
        let output = self.built();
        let unfinished = output.with_extension("unfinished");
        let mut flags = "-s -w".to_owned();
        for version in self.versions {
            flags.push_str(" -X ");
            flags.push_str(version);
        }
        eprintln!("testbed: building {} of {} (minutes when it is the first time)", self.program, self.folder);
        let begin = Instant::now();
        let status = Command::new("go")
            .current_dir(&module)
            .env("CGO_ENABLED", "0")
            .env("GOFLAGS", "-mod=readonly")
            .args(["build", "-trimpath", "-ldflags", &flags, "-o"])
            .arg(&unfinished)
            .arg(self.package)
            .stdin(Stdio::null())
            .status();
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => bail!("cannot build {}: `go build {}` ended with {status}", self.program, self.package),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => bail!(
                "{} is neither in KUBEBUILDER_ASSETS nor in .components/{}, and there is no `go` to build it with",
                self.program,
                self.folder
            ),
            Err(error) => bail!("cannot build {}: `go` does not start: {error}", self.program),
        }
        // Renamed only when whole, so that an interrupted build is never taken for a program.
        std::fs::rename(&unfinished, &output).with_context(|| format!("cannot move {}", unfinished.display()))?;
        eprintln!("testbed: built {} in {} s", self.program, begin.elapsed().as_secs());
        Ok(output)
    }
}

/// The unpacked files of a Go module, fetched now if they are not there; its version and sum stand in `tests/components/FOLDER`.
///
/// # Errors
///
/// When there is no `go`, or the module cannot be had.
pub fn module_files(folder: &str, module: &str) -> Result<PathBuf> {
    let output = Command::new("go")
        .current_dir(project_root().join("tests/components").join(folder))
        .env("GOFLAGS", "-mod=readonly")
        .args(["mod", "download", "-json", module])
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("files of {module} are needed, and `go` does not start"))?;
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let path = told["Dir"].as_str().map(PathBuf::from);
    path.with_context(|| format!("cannot fetch {module}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// The path of a program that [`Component::find_or_build`] gives.
pub fn program(name: &str) -> Result<PathBuf> {
    named(name)?.find_or_build()
}
