//! The ways to install that the README shows: its own commands, in a copy of what it says to copy.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

use tempfile::TempDir;
use testbed::{Bed, METRICS_SERVER_MANIFEST, components, isolation::STATE};

use crate::{
    installed::{self, NAME, Running, everything, expect_only},
    sidecar as in_the_pod,
};

/// Commands that install, and commands that remove.
struct Way {
    install: String,
    remove: Vec<String>,
}

/// Every block of commands in the README's section about installing, with the commands in the text behind it that begins with
/// "Removed by".
fn ways() -> Vec<Way> {
    let readme = fs::read_to_string(components::project_root().join("README.md")).expect("README.md");
    let (_, section) = readme.split_once("### Installed in the cluster").expect("the section");
    let section = section.split("\n## ").next().expect("a section");
    let blocks = section.split("```sh\n").skip(1).map(|block| block.split_once("\n```").expect("an end of the block"));
    blocks
        .map(|(install, behind)| {
            let (_, removal) = behind.split_once("Removed by ").expect("what removes it");
            let mut remove = Vec::new();
            for (number, part) in removal.split('`').enumerate() {
                match number % 2 {
                    1 => remove.push(part.to_owned()),
                    _ if part.contains('.') => break,
                    _ => {}
                }
            }
            assert!(!remove.is_empty(), "nothing removes\n{install}");
            Way { install: install.to_owned(), remove }
        })
        .collect()
}

fn the_way(word: &str) -> Way {
    let mut ways = ways();
    ways.retain(|way| way.install.contains(word));
    assert_eq!(ways.len(), 1, "ways of the README with {word:?}");
    ways.remove(0)
}

/// A new user's copy of the repository, and their programs. Nothing beyond the cluster is reached: `curl` gives the manifest of
/// metrics-server's newest release and `helm --repo` its chart as it stands in its source.
struct Copy(TempDir);

impl Copy {
    fn make() -> Self {
        let folder = tempfile::tempdir_in(STATE).expect("a folder");
        let root = components::project_root();
        for part in ["deploy", "alerts", "dashboards"] {
            let copied = Command::new("cp").arg("-a").arg(root.join(part)).arg(folder.path()).status().expect("cp");
            assert!(copied.success(), "{part} is not copied");
        }
        let upstream = components::METRICS_SERVER_CHART.path().unwrap_or_else(|error| panic!("{error:#}"));
        let chart = upstream.join("charts/metrics-server");
        let copied = Command::new("cp").arg("-a").arg(chart).arg(folder.path()).status().expect("cp");
        assert!(copied.success(), "the chart of metrics-server is not copied");
        let manifest = folder.path().join("manifest.yaml");
        fs::write(&manifest, METRICS_SERVER_MANIFEST).expect("a file");
        let programs = folder.path().join("bin");
        fs::create_dir(&programs).expect("a folder");
        let program = |name: &str| components::program(name).expect("a component").display().to_string();
        for (name, script) in [
            ("kubectl", format!("exec {} \"$@\"", program("kubectl"))),
            (
                "helm",
                format!(
                    "words=()\nfor word; do\n  [ \"${{last:-}}\" = --repo ] || [ \"$word\" = --repo ] || words+=(\"$word\")\n  \
                     last=$word\ndone\nexec {} \"${{words[@]}}\"",
                    program("helm")
                ),
            ),
            (
                "curl",
                format!(
                    "case \"$*\" in *kubernetes-sigs/metrics-server/releases/*) cat {} ;; *) exit 6 ;; esac",
                    manifest.display()
                ),
            ),
        ] {
            let path = programs.join(name);
            fs::write(&path, format!("#!/usr/bin/env bash\n{script}\n")).expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("permissions");
        }
        Self(folder)
    }

    fn run(&self, bed: &Bed, script: &str) {
        let path = std::env::var("PATH").unwrap_or_default();
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", script])
            .current_dir(self.0.path())
            .env("PATH", format!("{}:{path}", self.0.path().join("bin").display()))
            .env("KUBECONFIG", bed.kubectl().kubeconfig())
            .env("HOME", STATE)
            .stdin(Stdio::null())
            .output()
            .expect("bash starts");
        let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}\n{told}");
    }
}

/// Installs, looks, removes, and expects nothing to be left.
fn tried(bed: &Bed, way: &Way, look: impl FnOnce()) {
    let before = everything(bed);
    let copy = Copy::make();
    copy.run(bed, &way.install);
    look();
    for command in &way.remove {
        copy.run(bed, command);
    }
    expect_only(bed, &before);
}

/// What was installed as `metrics-server-doctor` runs and tells that nothing is installed that it could look at.
fn serves(bed: &Bed) {
    let deployment = installed::get(bed, &format!("deployment {NAME} -n {NAME}"));
    let doctor = Running::start(bed, (NAME, NAME), &installed::flags(&deployment["spec"]["template"]["spec"]));
    let page = doctor.await_that("nothing is installed", |page| {
        page.verdict().is_ok_and(|verdict| verdict.starts_with("installed/"))
    });
    assert!(page.named("metrics_server_doctor_permission_missing").all(|sample| sample.value == 0.0));
}

pub(crate) fn chart(bed: &Bed) {
    tried(bed, &the_way("helm install"), || serves(bed));
}

pub(crate) fn kustomize(bed: &Bed) {
    tried(bed, &the_way("apply -k doctor"), || serves(bed));
}

pub(crate) fn sidecar(bed: &Bed) {
    let begin = jiff::Timestamp::now();
    tried(bed, &the_way("curl "), || in_the_pod::serves(bed, begin));
}

pub(crate) fn sidecar_with_chart(bed: &Bed) {
    let begin = jiff::Timestamp::now();
    let way = the_way("helm template");
    tried(bed, &way, || in_the_pod::serves(bed, begin));
    assert_eq!(ways().len(), 4, "a way of the README is not tried");
}
