//! What a release ships beside the image: completions, manual pages, the kubectl plugin; and one version everywhere.

#[path = "packaging/release.rs"]
mod release;
mod support;

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
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

/// The archive and the manifest of a release, installed as a user does it.
#[test]
fn krew_takes_the_manifest_and_kubectl_runs_what_it_installs() {
    let folder = tempfile::tempdir().expect("a folder");
    let binary = env!("CARGO_BIN_EXE_metrics-server-doctor");
    // The real program by the name it was called by: packing all of an unoptimized one takes long.
    let program = folder.path().join("program");
    fs::write(&program, format!("#!/usr/bin/env bash\nexec -a \"$0\" {binary} \"$@\"\n")).expect("a file");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("permissions");
    let dist = folder.path().join("dist");
    let architecture = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "amd64",
    };
    for architecture in ["amd64", "arm64"] {
        let mut archive = Command::new(root().join("release/archive.sh"));
        let status = archive.arg(&program).arg(architecture).arg(&dist).env("NATIVE_BINARY", binary).status();
        assert!(status.expect("a script").success());
    }
    let manifest = Command::new(root().join("release/krew.sh")).arg(&dist).arg("https://example.org/v1").output();
    let file = folder.path().join("metrics-server-doctor.yaml");
    fs::write(&file, manifest.expect("a script").stdout).expect("a file");

    let krew = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(component("krew", "0.4.3", program));
        command.args(arguments).env("HOME", folder.path()).env("KREW_ROOT", folder.path().join("krew"));
        let output = command.output().expect("krew starts");
        let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        (output.status.success(), told.into_owned())
    };
    let file = file.to_str().expect("text");
    let (taken, told) = krew("validate-krew-manifest", &["-manifest", file, "-skip-install"]);
    assert!(taken, "{told}");
    let archive = dist.join(format!("metrics-server-doctor_v{VERSION}_linux_{architecture}.tar.gz"));
    let archive = format!("--archive={}", archive.display());
    let (installed, told) = krew("krew", &["install", &format!("--manifest={file}"), &archive]);
    assert!(installed, "{told}");

    let bundle = folder.path().join("bundle");
    fs::create_dir(&bundle).expect("a folder");
    fs::write(bundle.join("pods.yaml"), "kind: List\napiVersion: v1\nitems: []\n").expect("a file");
    let path = std::env::var("PATH").expect("PATH");
    let kubectl = |arguments: &[&str]| {
        let mut command = Command::new(component("kubernetes", "1.37.2", "kubectl"));
        command.env("PATH", format!("{}:{path}", folder.path().join("krew/bin").display())).env("HOME", folder.path());
        command.arg("metrics-server-doctor").args(arguments).output().expect("kubectl starts")
    };
    let help = kubectl(&["check", "--help"]);
    let shown = String::from_utf8_lossy(&help.stdout);
    assert!(help.status.success() && shown.contains("Usage: kubectl metrics-server-doctor check"), "{help:?}");
    let checked = kubectl(&["check", "--from", bundle.to_str().expect("text")]);
    assert_eq!(checked.status.code(), Some(2), "{checked:?}");
    assert!(String::from_utf8_lossy(&checked.stdout).starts_with("COULD NOT TELL"), "{checked:?}");
}

/// `release/build.sh` with stand-ins for compiler and package manager: what it would build, install and say.
#[test]
fn the_build_crosses_to_each_platform_without_emulation() {
    let folder = tempfile::tempdir().expect("a folder");
    let stand_in = |name: &str, script: &str| {
        let file = folder.path().join(name);
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).expect("a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("permissions");
    };
    let told = folder.path().join("told");
    let tell = format!("echo \"$(basename \"$0\") $*\" >>{}", told.display());
    stand_in(
        "rustc",
        &format!(
            "case $* in *sysroot*) echo {} ;; *) echo 'host: x86_64-unknown-linux-gnu' ;; esac",
            folder.path().display()
        ),
    );
    stand_in("cargo", &format!("{tell}\nenv | grep -E '^(CC|CFLAGS|RUSTFLAGS|CARGO_TARGET)_?' >>{}", told.display()));
    stand_in("rustup", &tell);
    stand_in("dpkg", &tell);
    let cross_compiler = folder.path().join("aarch64-linux-gnu-gcc");
    stand_in("apt-get", &format!("{tell}\ncase $* in *gcc-aarch64*) cp \"$0\" {} ;; esac", cross_compiler.display()));
    let build = |architecture: &str, libc: &str, installs: bool| {
        let mut command = Command::new(root().join("release/build.sh"));
        command.args([architecture, libc]).env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()));
        command.env_remove("CARGO_TARGET_DIR").env_remove("INSTALL_MISSING");
        if installs {
            command.env("INSTALL_MISSING", "yes");
        }
        fs::write(&told, "").expect("a file");
        let output = command.output().expect("a script");
        (output, fs::read_to_string(&told).expect("what was told"))
    };
    for (architecture, libc, target) in [
        ("amd64", "musl", "x86_64-unknown-linux-musl"),
        ("amd64", "gnu", "x86_64-unknown-linux-gnu"),
        ("arm64", "musl", "aarch64-unknown-linux-musl"),
        ("arm64", "gnu", "aarch64-unknown-linux-gnu"),
    ] {
        let (output, did) = build(architecture, libc, true);
        assert!(output.status.success(), "{architecture} {libc}: {output:?}");
        let program = format!("target/{target}/release/metrics-server-doctor\n");
        assert_eq!(String::from_utf8_lossy(&output.stdout), program);
        assert!(did.contains(&format!("rustup target add {target}")), "{did}");
        assert!(did.contains(&format!("cargo build --locked --release --target {target} ")), "{did}");
        assert!(did.contains("RUSTFLAGS=-C target-feature=+crt-static"), "{did}");
        let variable = target.replace('-', "_");
        let compiler = if architecture == "arm64" { "aarch64-linux-gnu-gcc" } else { "gcc" };
        assert!(did.contains(&format!("CC_{variable}={compiler}\n")), "{did}");
        assert!(did.contains(&format!("CARGO_TARGET_{}_LINKER={compiler}\n", variable.to_uppercase())), "{did}");
        assert_eq!(did.contains(&format!("CFLAGS_{variable}=-nostdinc")), libc == "musl", "{did}");
        if architecture == "arm64" && !Path::new("/usr/bin/aarch64-linux-gnu-gcc").exists() {
            assert!(did.contains("dpkg --add-architecture arm64") && did.contains("gcc-aarch64-linux-gnu"), "{did}");
            fs::remove_file(&cross_compiler).expect("what was installed");
            let (output, did) = build(architecture, libc, false);
            assert_eq!(output.status.code(), Some(69), "it installs on a machine of somebody: {did}");
            assert!(String::from_utf8_lossy(&output.stderr).contains("missing: gcc-aarch64-linux-gnu"), "{output:?}");
        }
    }
    for wrong in [["riscv64", "musl"], ["amd64", "uclibc"]] {
        let (output, _) = build(wrong[0], wrong[1], false);
        assert_eq!(output.status.code(), Some(64), "{output:?}");
    }
}

#[test]
fn the_sbom_names_what_is_built_for_a_platform_and_nothing_of_the_tests() {
    let sbom = |architecture: &str| {
        let output = Command::new(root().join("release/sbom.sh")).arg(architecture).output().expect("a script");
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock");
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let (_, dependencies) = manifest.split_once("\n[dependencies]\n").expect("dependencies");
    let direct: Vec<&str> =
        dependencies.lines().map_while(|line| line.split_once(" = ")).map(|(name, _)| name).collect();
    assert!(direct.len() > 20 && direct.contains(&"kube"), "{direct:?}");
    for architecture in ["amd64", "arm64"] {
        let text = sbom(architecture);
        assert_eq!(text, sbom(architecture), "the same commit gives another SBOM");
        let bom: Value = serde_json::from_slice(&text).expect("JSON");
        assert_eq!((&bom["bomFormat"], &bom["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
        assert_eq!(bom["metadata"]["component"]["version"], VERSION);
        let components = bom["components"].as_array().expect("components");
        let scope = |name: &str| {
            components
                .iter()
                .find(|component| component["name"] == name)
                .map(|component| component["scope"].as_str().expect("a scope"))
        };
        for name in &direct {
            assert_eq!(scope(name), Some("required"), "{name}");
        }
        // What the static program alone has, what only builds it, and what only tests it.
        assert_eq!(scope("mimalloc"), Some("required"));
        assert_eq!(scope("syn"), Some("excluded"));
        for name in ["proptest", "promql-parser", "testbed", "rcgen"] {
            assert_eq!(scope(name), None, "{name}");
        }
        for component in components {
            let text = |field: &str| component[field].as_str().expect("text");
            let checksum = component["hashes"][0]["content"].as_str().expect("a checksum");
            let pinned = format!("name = \"{}\"\nversion = \"{}\"\n", text("name"), text("version"));
            let (_, rest) = lock.split_once(&pinned).unwrap_or_else(|| panic!("{pinned} is not in Cargo.lock"));
            assert!(rest.split("\n\n").next().is_some_and(|entry| entry.contains(checksum)), "{pinned}");
            assert!(component["licenses"][0]["expression"].as_str().is_some_and(|licence| !licence.is_empty()));
        }
    }
}

/// What the image is built by says the same as the release's own build.
#[test]
fn the_dockerfile_fetches_and_builds_for_the_platforms_that_the_build_knows() {
    let read = |name: &str| fs::read_to_string(root().join(name)).expect(name);
    let (dockerfile, makefile) = (read("Dockerfile"), read("Makefile"));
    for cpu in ["x86_64", "aarch64"] {
        for libc in ["gnu", "musl"] {
            assert!(dockerfile.contains(&format!("--target {cpu}-unknown-linux-{libc}")), "{cpu} {libc}");
        }
        assert!(makefile.contains(cpu), "{cpu}");
    }
    assert!(dockerfile.contains("FROM --platform=$BUILDPLATFORM ${RUST_IMAGE} AS build\nARG TARGETARCH\n"));
    let minimum = env!("CARGO_PKG_RUST_VERSION");
    assert!(
        dockerfile.contains(&format!("ARG RUST_IMAGE=docker.io/library/rust:{minimum}-")),
        "the compiler is not {minimum}"
    );
    assert!(dockerfile.contains("\nFROM scratch\n"), "the image has a base");
}

#[test]
fn every_test_of_the_makefile_runs_in_ci_or_at_night() {
    let read = |name: &str| fs::read_to_string(root().join(name)).expect(name);
    let (makefile, ci) = (read("Makefile"), read(".ci/run"));
    let at_night = makefile.lines().find(|line| line.starts_with("nightly: ")).expect("a target");
    let run: BTreeSet<&str> = ci.split_whitespace().chain(at_night.split_whitespace()).collect();
    let targets: Vec<&str> =
        makefile.lines().filter(|line| line.starts_with("test-")).filter_map(|line| line.split(':').next()).collect();
    assert!(targets.len() >= 7, "{targets:?}");
    for target in targets.into_iter().chain(["lint"]) {
        assert!(run.contains(target), "neither `.ci/run` nor `make nightly` runs `make {target}`");
    }
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

/// The chart ships copies: whoever fetches it without following links out of its folder (Flux does) has the rules and
/// dashboards too.
#[test]
fn the_chart_holds_copies_of_the_rules_and_dashboards() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (folder, extension) in [("alerts", "yaml"), ("dashboards", "json")] {
        let copies = root.join("deploy/helm/metrics-server-doctor/files").join(folder);
        assert!(!copies.is_symlink(), "{} is a link", copies.display());
        let of = |folder: &Path| -> std::collections::BTreeMap<std::ffi::OsString, String> {
            let files = fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path());
            let wanted = files
                .filter(|path| path.extension().is_some_and(|own| own == extension))
                .filter(|path| path.file_name().is_some_and(|name| name != "kustomization.yaml"));
            wanted
                .map(|path| {
                    assert!(!path.is_symlink(), "{} is a link", path.display());
                    let name = path.file_name().expect("a name").to_owned();
                    (name, fs::read_to_string(path).expect("a text"))
                })
                .collect()
        };
        let (wanted, shipped) = (of(&root.join(folder)), of(&copies));
        assert!(!wanted.is_empty(), "{folder} is empty");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            for (name, text) in &wanted {
                fs::write(copies.join(name), text).expect("a file");
            }
            for name in shipped.keys().filter(|name| !wanted.contains_key(*name)) {
                fs::remove_file(copies.join(name)).expect("a file");
            }
            continue;
        }
        assert!(wanted == shipped, "copies of {folder} in the chart differ: UPDATE_DOCS=1 cargo test --test packaging");
    }
}
