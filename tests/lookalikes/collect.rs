//! `docs/bundle.md` says how to collect a bundle: its commands run, and miss nothing that the reader knows.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use metrics_server_doctor::observe::bundle;

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/bundle.md");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The first block of shell commands.
fn commands(page: &str) -> &str {
    let (_, block) = page.split_once("```sh\n").expect("a block of commands");
    block.split_once("```").expect("its end").0
}

/// Stands for kubectl and prints two objects of what it is asked for, so that the commands can run without a cluster.
const KUBECTL: &str = r#"#!/bin/sh
echo "$@" >> "$CALLS"
case "$1" in
  version) echo 'Client Version: v1.37.2'; echo 'Server Version: v1.33.4' ;;
  top) echo 'NAMESPACE   NAME   CPU(cores)   MEMORY(bytes)'; echo 'a   node-1   1m   1Mi' ;;
  logs) case "$*" in *--previous*) exit 1 ;; esac; echo '2026-01-01T00:00:00Z I0101 00:00:00.000000 1 x.go:1] text' ;;
  get)
    case "$*" in
      *custom-columns*) echo 'kube-system   metrics-server-1'; echo 'shop   web-1'; exit ;;
      *jsonpath*) echo 'metrics-server'; exit ;;
    esac
    echo 'apiVersion: v1'; echo 'items:'
    for namespace in kube-system shop; do
      echo "- {apiVersion: $(version "$2"), kind: $(kind "$2"), metadata: {name: metrics-server-1, namespace: $namespace}}"
    done
    echo 'kind: List' ;;
esac
"#;

/// Words by which kubectl's stand-in answers; the reader's own table says which kinds there are.
fn stand_in() -> String {
    let (mut kinds, mut versions) = (Vec::new(), Vec::new());
    for (plural, kind, group) in bundle::kinds() {
        kinds.push(format!("{plural}) echo {kind} ;; "));
        let version = if group.is_empty() { "v1".to_owned() } else { format!("{group}/v1") };
        versions.push(format!("{plural}) echo {version} ;; "));
    }
    let (kinds, versions) = (kinds.concat(), versions.concat());
    let functions =
        format!("kind() {{ case \"$1\" in {kinds} esac; }}\nversion() {{ case \"$1\" in {versions} esac; }}\n");
    KUBECTL.replacen('\n', &format!("\n{functions}"), 1)
}

fn collected(folder: &Path) -> (PathBuf, String) {
    let kubectl = folder.join("kubectl");
    fs::write(&kubectl, stand_in()).expect("a file");
    fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o755)).expect("permissions");
    let calls = folder.join("calls");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").expect("PATH"));
    let output = Command::new("sh")
        .args(["-c", commands(&page())])
        .current_dir(folder)
        .env("PATH", path)
        .env("CALLS", &calls)
        .output()
        .expect("a shell");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (folder.join("bundle"), fs::read_to_string(calls).expect("calls"))
}

#[test]
fn the_commands_of_the_page_collect_every_kind_that_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let (bundle, calls) = collected(folder.path());
    let asked: BTreeSet<&str> = calls
        .lines()
        .filter_map(|call| call.strip_prefix("get ")?.split(' ').next())
        .filter(|kind| *kind != "pod")
        .collect();
    let known: BTreeSet<&str> = bundle::kinds().map(|(plural, ..)| plural).collect();
    assert_eq!(asked, known, "what the page collects, and what the reader knows");
    assert!(!calls.contains("secret") && !calls.contains("--all "), "{calls}");

    let snapshot = bundle::read(&bundle).expect("a bundle");
    assert_eq!(snapshot.notices, Vec::<String>::new());
    assert_eq!(snapshot.server_version.seen().map(|version| version.minor), Some(33));
    assert!(snapshot.top_nodes.seen().is_some() && snapshot.top_pods.seen().is_some());
    assert_eq!(snapshot.logs.len(), 1, "the log, and no empty one of a container before its restart");
    for (seen, what) in [
        (snapshot.api_services.all().gap, "apiservices"),
        (snapshot.services.all().gap, "services"),
        (snapshot.endpoint_slices.all().gap, "endpointslices"),
        (snapshot.pods.all().gap, "pods"),
        (snapshot.workloads.all().gap, "deployments"),
        (snapshot.nodes.all().gap, "nodes"),
        (snapshot.autoscalers.all().gap, "horizontalpodautoscalers"),
        (snapshot.role_bindings.in_namespace("").gap, "clusterrolebindings"),
        (snapshot.role_bindings.in_namespace("kube-system").gap, "rolebindings"),
        (snapshot.network_policies.all().gap, "networkpolicies"),
        (snapshot.events.all().gap, "events"),
    ] {
        assert_eq!(seen, None, "the list of {what} is whole");
    }
}

#[test]
fn the_page_explains_every_file_that_its_commands_write() {
    let folder = tempfile::tempdir().expect("a folder");
    let (bundle, _) = collected(folder.path());
    let page = page();
    for entry in fs::read_dir(bundle).expect("a folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(name == "logs" || page.contains(&format!("`{name}`")), "the table does not tell what {name} is for");
    }
}
