//! Where objects go, which image runs, and where its pods may be.

use std::process::Command;

use serde_json::{Value, json};
use testbed::helm;

use crate::{NAME, rendered};

/// The pods of the Deployment and of `helm test`.
fn pods(set: &str) -> Vec<Value> {
    let chart = helm::chart().display().to_string();
    let text = helm::run(&["template", NAME, &chart, "--set", set]).unwrap_or_else(|error| panic!("{error:#}"));
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
    let specs = documents.iter().filter_map(|object| match object["kind"].as_str() {
        Some("Deployment") => Some(object["spec"]["template"]["spec"].clone()),
        Some("Pod") => Some(object["spec"].clone()),
        _ => None,
    });
    let pods: Vec<_> = specs.collect();
    assert_eq!(pods.len(), 2);
    pods
}

#[test]
fn the_image_is_that_of_the_registry_which_is_set() {
    let digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let version = env!("CARGO_PKG_VERSION");
    for (set, wanted) in [
        ("image.registry=r.example.com", format!("r.example.com/{NAME}:{version}")),
        ("image.registry=r.example.com:5000/mirror/", format!("r.example.com:5000/mirror/{NAME}:{version}")),
        ("image.registry=localhost", format!("localhost/{NAME}:{version}")),
        ("image.registry=[fd00::1]:5000", format!("[fd00::1]:5000/{NAME}:{version}")),
        ("image.registry=a.example.com,global.imageRegistry=b.example.com", format!("b.example.com/{NAME}:{version}")),
        (
            "image.registry=r.example.com,image.repository=team/doctor,image.tag=v1",
            "r.example.com/team/doctor:v1".to_owned(),
        ),
        ("image.repository=r.example.com/team/doctor", format!("r.example.com/team/doctor:{version}")),
        (&format!("image.registry=r.example.com,image.digest={digest}"), format!("r.example.com/{NAME}@{digest}")),
        // On every node already.
        ("image.pullPolicy=Never", format!("{NAME}:{version}")),
    ] {
        for pod in pods(set) {
            assert_eq!(pod["containers"][0]["image"], wanted, "{set}");
        }
    }
}

#[test]
fn both_pods_are_placed_as_values_say() {
    let set = "image.registry=r.example.com,hostNetwork=true,schedulerName=mine,priorityClassName=high,\
               imagePullSecrets[0].name=own,global.imagePullSecrets[0]=all,global.imagePullSecrets[1].name=own,\
               tolerations[0].key=dedicated,affinity.nodeAffinity.a=b";
    for pod in pods(set) {
        assert_eq!(pod["hostNetwork"], true);
        assert_eq!(pod["dnsPolicy"], "ClusterFirstWithHostNet");
        assert_eq!(pod["schedulerName"], "mine");
        assert_eq!(pod["priorityClassName"], "high");
        assert_eq!(pod["imagePullSecrets"], json!([{ "name": "own" }, { "name": "all" }]));
        assert_eq!(pod["tolerations"], json!([{ "key": "dedicated" }]));
        assert_eq!(pod["affinity"], json!({ "nodeAffinity": { "a": "b" } }));
    }
    for pod in pods("image.registry=r.example.com") {
        for field in ["hostNetwork", "dnsPolicy", "schedulerName", "imagePullSecrets", "priorityClassName"] {
            assert!(pod[field].is_null(), "{field}");
        }
    }
}

#[test]
fn another_namespace_takes_everything_but_what_belongs_elsewhere() {
    let everything = "serviceMonitor.enabled=true,prometheusRule.enabled=true,dashboards.enabled=true,\
                      networkPolicy.enabled=true,podDisruptionBudget.enabled=true,metrics.authentication=token-review,\
                      verticalPodAutoscaler.enabled=true,metrics.tls.existingSecret=page";
    let plain = rendered(&["--set", everything]);
    let moved = rendered(&["--set", everything, "--set", "namespaceOverride=elsewhere"]);
    // As a namespace: of an object, of a subject, and in the name of the server.
    let wanted = plain
        .replace(&format!("namespace: {NAME}\n"), "namespace: elsewhere\n")
        .replace(&format!("serverName: {NAME}.{NAME}.svc"), &format!("serverName: {NAME}.elsewhere.svc"));
    assert!(wanted.matches("namespace: elsewhere\n").count() > 15);
    assert_eq!(moved, wanted);
}

/// As a source of Flux hands it on: the chart's folder alone, symbolic links left out.
#[test]
fn a_copy_of_the_charts_folder_renders_every_rule_and_dashboard() {
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("chart");
    let copied = Command::new("cp").args(["-a", "--"]).arg(helm::chart()).arg(&copy).status().expect("cp");
    assert!(copied.success());
    let links = Command::new("find").arg(&copy).args(["-type", "l", "-print", "-delete"]).output().expect("find");
    assert!(links.stdout.is_empty(), "{}", String::from_utf8_lossy(&links.stdout));
    let set = ["--set", crate::REGISTRY, "--set", "prometheusRule.enabled=true,dashboards.enabled=true"];
    let render = |chart: &std::path::Path| {
        let chart = chart.display().to_string();
        helm::run(&[&["template", NAME, &chart], &set[..]].concat())
    };
    let whole = render(&helm::chart()).unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(render(&copy).unwrap_or_else(|error| panic!("{error:#}")), whole);
    // Without the files it says so.
    for (files, told) in [
        ("alerts", "the chart holds no files/alerts/*.yaml"),
        ("dashboards", "the chart holds no files/dashboards/*.json"),
    ] {
        let files = copy.join("files").join(files);
        std::fs::rename(&files, folder.path().join("away")).expect("a folder");
        let error = render(&copy).expect_err("files are missing").to_string();
        assert!(error.contains(told), "{error}");
        std::fs::rename(folder.path().join("away"), &files).expect("a folder");
    }
}
