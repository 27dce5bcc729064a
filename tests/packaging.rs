//! What a release ships beside the image: completions, manual pages, the kubectl plugin; and one version everywhere.

mod support;

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use clap::CommandFactory;
use metrics_server_doctor::args::Arguments;
use serde_json::Value;
use support::{component, doctor, run};

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every long flag, by subcommand; the program's own stand under an empty name.
fn flags() -> Vec<(String, BTreeSet<String>)> {
    let command = Arguments::command();
    let of = |command: &clap::Command| {
        command.get_arguments().filter_map(|flag| Some(format!("--{}", flag.get_long()?))).collect()
    };
    let subcommands = command.get_subcommands().filter(|command| !command.is_hide_set());
    [(String::new(), of(&command))]
        .into_iter()
        .chain(subcommands.map(|command| (command.get_name().to_owned(), of(command))))
        .collect()
}

#[test]
fn completions_know_every_flag_and_shells_can_read_them() {
    let all: BTreeSet<String> = flags().into_iter().flat_map(|(_, flags)| flags).collect();
    assert!(all.len() > 15, "{all:?}");
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&["completions", shell]);
        assert!(output.status.success(), "{shell}");
        let script = String::from_utf8(output.stdout).expect("text");
        for flag in &all {
            let written = if shell == "fish" { flag.replacen("--", "-l ", 1) } else { flag.clone() };
            assert!(script.contains(&written), "{shell} does not complete {flag}");
        }
        if shell == "bash" {
            let checked = Command::new("bash").args(["-n", "-c", &script]).status().expect("bash");
            assert!(checked.success());
        }
    }
}

#[test]
fn manual_pages_tell_every_flag_and_its_variable() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = run(&["manual", folder.path().to_str().expect("text")]);
    assert!(output.status.success(), "{output:?}");
    for (command, flags) in flags() {
        let name = if command.is_empty() {
            "metrics-server-doctor.1".to_owned()
        } else {
            format!("metrics-server-doctor-{command}.1")
        };
        let page = fs::read_to_string(folder.path().join(&name)).unwrap_or_else(|_| panic!("{name} is missing"));
        let page = page.replace("\\-", "-");
        for flag in flags.iter().filter(|flag| !["--help", "--version"].contains(&flag.as_str())) {
            let variable = format!("METRICS_SERVER_DOCTOR_{}", flag[2..].replace('-', "_").to_uppercase());
            assert!(page.contains(flag.as_str()) && page.contains(&variable), "{name} does not tell {flag}");
        }
    }
    let missing = run(&["manual", "/does/not/exist"]);
    assert_eq!(missing.status.code(), Some(73), "{missing:?}");
}

#[test]
fn kubectl_finds_the_plugin_and_hands_its_exit_code_on() {
    let folder = tempfile::tempdir().expect("a folder");
    // What krew does: dashes of the plugin's name are underscores in the file's.
    symlink(env!("CARGO_BIN_EXE_metrics-server-doctor"), folder.path().join("kubectl-metrics_server_doctor"))
        .expect("a link");
    let bundle = folder.path().join("bundle");
    fs::create_dir(&bundle).expect("a folder");
    fs::write(bundle.join("pods.yaml"), "kind: List\napiVersion: v1\nitems: []\n").expect("a file");
    let kubectl = |arguments: &[&str]| {
        let mut command = Command::new(component("kubernetes", "1.37.2", "kubectl"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("METRICS_SERVER_DOCTOR_")) {
            command.env_remove(name);
        }
        command.env("PATH", folder.path()).env("HOME", folder.path()).args(arguments).output().expect("kubectl starts")
    };
    let bundle = bundle.to_str().expect("text");
    let checked = kubectl(&["metrics-server-doctor", "check", "--from", bundle, "--output", "json"]);
    assert_eq!(checked.status.code(), Some(2), "{checked:?}");
    let report: Value = serde_json::from_slice(&checked.stdout).expect("JSON");
    assert_eq!(report["verdict"]["cause"], "undetermined");
    let wrong = kubectl(&["metrics-server-doctor", "chek"]);
    assert_eq!(wrong.status.code(), Some(64), "{wrong:?}");
    let help = String::from_utf8(kubectl(&["metrics-server-doctor", "--help"]).stdout).expect("text");
    assert!(help.contains("Usage: kubectl metrics-server-doctor"), "{help}");
}

/// Packs a stand-in for the program twice, and reads the manifest of the archive.
#[test]
fn archives_are_reproducible_and_the_krew_manifest_fits_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let binary = env!("CARGO_BIN_EXE_metrics-server-doctor");
    let stand_in = folder.path().join("program");
    fs::write(&stand_in, "#!/bin/sh\n").expect("a file");
    let archive = |name: &str| {
        let target = folder.path().join(name);
        let mut command = Command::new(root().join("release/archive.sh"));
        let status =
            command.arg(&stand_in).arg("amd64").arg(&target).env("NATIVE_BINARY", binary).status().expect("a script");
        assert!(status.success());
        fs::read(target.join(format!("metrics-server-doctor_v{VERSION}_linux_amd64.tar.gz"))).expect("an archive")
    };
    assert_eq!(archive("one"), archive("two"));
    let one = folder.path().join("one");
    let krew = |folder: &Path| {
        Command::new(root().join("release/krew.sh"))
            .arg(folder)
            .arg("https://example.org/v1")
            .output()
            .expect("a script")
    };
    let manifest = krew(&one);
    assert!(manifest.status.success(), "{manifest:?}");
    let manifest: Value = serde_saphyr::from_slice(&manifest.stdout).expect("YAML");
    assert_eq!(manifest["metadata"]["name"], "metrics-server-doctor");
    assert_eq!(manifest["spec"]["version"], format!("v{VERSION}"));
    let platform = &manifest["spec"]["platforms"][0];
    let file = one.join(format!("metrics-server-doctor_v{VERSION}_linux_amd64.tar.gz"));
    assert_eq!(platform["uri"], format!("https://example.org/v1/{}", file.file_name().expect("a name").display()));
    let sum = Command::new("sha256sum").arg(&file).output().expect("sha256sum");
    assert_eq!(platform["sha256"].as_str(), String::from_utf8_lossy(&sum.stdout).split(' ').next());
    let listed = Command::new("tar").arg("--list").arg("--file").arg(&file).output().expect("tar");
    let listed = String::from_utf8(listed.stdout).expect("text");
    for wanted in [platform["bin"].as_str().expect("a program"), "LICENSE", "man/metrics-server-doctor-check.1"] {
        assert!(listed.lines().any(|line| line == wanted), "{wanted} is not in the archive: {listed}");
    }
    assert_eq!(krew(folder.path()).status.code(), Some(66), "a manifest without archives");
}

#[test]
fn the_version_is_the_same_everywhere() {
    let shown =
        String::from_utf8(doctor().arg("--version").output().expect("the program starts").stdout).expect("text");
    assert!(shown.starts_with(&format!("metrics-server-doctor {VERSION} (")), "{shown}");
    let mut folders = vec![root().join("deploy")];
    let mut images = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let Ok(text) = fs::read_to_string(entry.path()) else { continue };
            for (_, rest) in
                text.match_indices("metrics-server-doctor:").map(|(at, word)| (at, &text[at + word.len()..]))
            {
                let tag: String =
                    rest.chars().take_while(|character| character.is_ascii_digit() || *character == '.').collect();
                if !tag.is_empty() {
                    images += 1;
                    assert_eq!(tag.trim_end_matches('.'), VERSION, "{}", entry.path().display());
                }
            }
        }
    }
    assert!(images > 0, "no image under deploy/ has a tag");
}
