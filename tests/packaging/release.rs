//! What a tag sets off: the files of a release, the packed chart, and the workflows that make them.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use serde_json::Value;

use crate::{VERSION, root, support::component};

fn workflow(name: &str) -> String {
    fs::read_to_string(root().join(".github/workflows").join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn actionlint_takes_the_workflows() {
    let mut command = Command::new(component("actionlint", "1.7.12", "actionlint"));
    // What it would ask of programs that are there on some machines alone.
    command.args(["-no-color", "-shellcheck=", "-pyflakes="]);
    for name in names(&root().join(".github/workflows")) {
        command.arg(root().join(".github/workflows").join(name));
    }
    let output = command.output().expect("actionlint starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn workflows_run_what_a_checkout_has_and_nothing_that_moves() {
    let release = workflow("release.yaml");
    let both = workflow("ci.yaml") + &release;
    for line in both.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("uses: ")) {
        let (action, version) = line.split_once('@').unwrap_or_else(|| panic!("{line} has no version"));
        let version = version.split_whitespace().next().unwrap_or_default();
        let is_commit = version.len() == 40 && version.chars().all(|letter| letter.is_ascii_hexdigit());
        let numbers: Vec<_> = version.strip_prefix('v').unwrap_or_default().split('.').collect();
        let is_exact = numbers.len() == 3 && numbers.iter().all(|number| number.parse::<u32>().is_ok());
        assert!(is_commit || is_exact, "{action}@{version} moves");
    }
    for (name, text) in [("ci.yaml", workflow("ci.yaml")), ("release.yaml", release.clone())] {
        assert!(
            text.contains("\npermissions:\n  contents: read\n"),
            "{name}: a job may write unless it says otherwise"
        );
        assert!(text.contains("run: .ci/run\n"), "{name} does not run what CI runs");
    }
    assert!(both.contains("make nightly"));
    // Every script is part of the release, by itself or by one that is.
    let scripts = names(&root().join("release"));
    let called = |text: &str, script: &str| text.contains(&format!("release/{script}"));
    for script in &scripts {
        let path = root().join("release").join(script);
        let mode = path.metadata().expect("a script").permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{script} cannot be run");
        let others = scripts.iter().filter(|other| *other != script);
        let by_others = others.map(|other| fs::read_to_string(root().join("release").join(other)).expect("a script"));
        let dockerfile = fs::read_to_string(root().join("Dockerfile")).expect("Dockerfile");
        let everything: String = by_others.chain([release.clone(), dockerfile]).collect();
        assert!(called(&everything, script), "nothing runs release/{script}");
    }
    for (at, _) in both.match_indices("release/") {
        let rest = &both[at + "release/".len()..];
        let script: String =
            rest.chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '.').collect();
        let is_script = script.strip_suffix(".sh").is_some();
        assert!(!is_script || scripts.contains(&script), "there is no release/{script}");
    }
    // The same versions as elsewhere in the project.
    let dockerfile = fs::read_to_string(root().join("Dockerfile")).expect("Dockerfile");
    let image = release.lines().find_map(|line| line.trim().strip_prefix("RUST_IMAGE: ")).expect("a base");
    assert!(dockerfile.contains(&format!("\nARG RUST_IMAGE={image}\n")), "the image is built by another compiler");
    assert!(release.contains("version: v4.3.1\n"), "the chart is packed by another Helm than it is tested with");
    let go = fs::read_to_string(root().join("tests/components/helm-4.3.1/go.mod")).expect("go.mod");
    assert!(go.contains("\ngo 1.26") && both.matches("go-version: \"1.26\"").count() == 2, "another Go");
}

/// Packs stand-ins for the four programs.
#[test]
fn a_release_is_packed_whole_and_the_same_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let platforms = ["linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64"];
    for platform in platforms {
        let program = folder.path().join("programs").join(platform);
        fs::create_dir_all(&program).expect("a folder");
        fs::write(program.join("metrics-server-doctor"), format!("#!/bin/sh\n# {platform}\n")).expect("a file");
    }
    let pack = |name: &str| {
        let mut command = Command::new(root().join("release/pack.sh"));
        command.arg(folder.path().join("programs")).arg("https://example.org/v1").arg(folder.path().join(name));
        command.env("NATIVE_BINARY", env!("CARGO_BIN_EXE_metrics-server-doctor")).output().expect("a script")
    };
    let packed = pack("one");
    assert!(packed.status.success(), "{packed:?}");
    let one = folder.path().join("one");
    let mut wanted: BTreeSet<String> =
        platforms.iter().map(|platform| format!("metrics-server-doctor_v{VERSION}_{platform}.tar.gz")).collect();
    wanted.extend(["amd64", "arm64"].map(|cpu| format!("metrics-server-doctor_v{VERSION}_linux_{cpu}.cdx.json")));
    wanted.extend(["metrics-server-doctor.yaml", "checksums.txt"].map(str::to_owned));
    assert_eq!(names(&one), wanted);

    let sums = fs::read_to_string(one.join("checksums.txt")).expect("sums");
    assert_eq!(sums.lines().count(), wanted.len() - 1);
    let checked = Command::new("sha256sum").args(["--check", "--strict", "checksums.txt"]).current_dir(&one).output();
    assert!(checked.expect("sha256sum").status.success());
    assert!(pack("two").status.success());
    assert_eq!(fs::read_to_string(folder.path().join("two/checksums.txt")).expect("sums"), sums);

    let manifest = one.join("metrics-server-doctor.yaml");
    let text = fs::read_to_string(&manifest).expect("a manifest");
    let read: Value = serde_saphyr::from_str(&text).expect("YAML");
    let offered: Vec<String> = read["spec"]["platforms"]
        .as_array()
        .expect("platforms")
        .iter()
        .map(|platform| {
            let labels = &platform["selector"]["matchLabels"];
            let sum = platform["sha256"].as_str().expect("a sum");
            let file = platform["uri"].as_str().and_then(|uri| uri.rsplit('/').next()).expect("a file");
            assert!(sums.contains(&format!("{sum}  {file}\n")), "{file} has another sum");
            format!("{}_{}", labels["os"].as_str().expect("a system"), labels["arch"].as_str().expect("a processor"))
        })
        .collect();
    assert_eq!(offered, platforms);
    let validate = Command::new(component("krew", "0.4.3", "validate-krew-manifest"))
        .args(["-manifest", &manifest.display().to_string(), "-skip-install"])
        .output()
        .expect("it starts");
    assert!(validate.status.success(), "{validate:?}");

    fs::remove_dir_all(folder.path().join("programs/darwin_arm64")).expect("a folder");
    let packed = pack("three");
    assert_eq!(packed.status.code(), Some(66), "{packed:?}");
    assert!(String::from_utf8_lossy(&packed.stderr).contains("darwin_arm64/metrics-server-doctor"), "{packed:?}");
}

/// The chart as a release packs it: it installs without a value, from the registry that it was released to.
#[test]
fn a_packed_chart_names_its_image_and_what_artifact_hub_shows() {
    let folder = tempfile::tempdir().expect("a folder");
    let helm = component("helm", "4.3.1", "helm");
    let pack = |source: &str, image: &str| {
        let mut command = Command::new(root().join("release/chart.sh"));
        command.args([source, image]).arg(folder.path()).env("HELM", &helm);
        command.env("HOME", folder.path());
        command.output().expect("a script")
    };
    let packed = pack("https://git.example.com/team/doctor", "r.example.com/team/metrics-server-doctor");
    assert!(packed.status.success(), "{packed:?}");
    let archive = String::from_utf8(packed.stdout).expect("text").trim().to_owned();
    assert!(archive.ends_with(&format!("/metrics-server-doctor-{VERSION}.tgz")), "{archive}");
    let told = |arguments: &[&str]| {
        let output =
            Command::new(&helm).args(arguments).arg(&archive).env("HOME", folder.path()).output().expect("helm");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let objects = told(&["template", "doctor"]);
    assert_eq!(
        objects.matches(&format!(r#"image: "r.example.com/team/metrics-server-doctor:{VERSION}""#)).count(),
        2,
        "{objects}"
    );
    let chart: Value = serde_saphyr::from_str(&told(&["show", "chart"])).expect("YAML");
    assert_eq!(chart["home"], "https://git.example.com/team/doctor");
    assert_eq!(chart["sources"][0], chart["home"]);
    assert_eq!(chart["maintainers"][0]["url"], chart["home"]);
    let annotation = |name: &str| -> Value {
        let text = chart["annotations"][format!("artifacthub.io/{name}")].as_str().expect(name);
        serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    assert_eq!(annotation("images")[0]["image"], format!("r.example.com/team/metrics-server-doctor:{VERSION}"));
    assert!(annotation("links")[0]["url"].as_str().is_some_and(|url| url.ends_with("/docs/runbooks/README.md")));
    // Every entry of the changelog's newest section that has a kind Artifact Hub knows.
    let changelog = fs::read_to_string(root().join("CHANGELOG.md")).expect("CHANGELOG.md");
    let newest = changelog.split("\n## ").nth(1).expect("a section");
    let sections = newest.split("\n### ").skip(1).filter(|section| !section.starts_with("Known gaps"));
    let entries: usize = sections.map(|section| section.matches("\n- ").count()).sum();
    let changes = annotation("changes");
    let changes = changes.as_array().expect("changes");
    assert!(entries > 3 && changes.len() == entries, "{} of {entries} entries", changes.len());
    for change in changes {
        let kind = change["kind"].as_str().expect("a kind");
        assert!(["added", "changed", "deprecated", "removed", "fixed", "security"].contains(&kind), "{kind}");
        assert!(change["description"].as_str().is_some_and(|text| text.len() > 10), "{change}");
    }
    for (source, image) in
        [("git@example.com:team/doctor", "r.example.com/doctor"), ("https://example.com/doctor", "doctor")]
    {
        assert_eq!(pack(source, image).status.code(), Some(64), "{source} {image}");
    }
}
