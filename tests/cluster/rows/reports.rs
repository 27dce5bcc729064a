//! The ways out: a real Prometheus, and the report of the cluster against that of a bundle.

use std::{fs, path::Path, time::Duration};

use anyhow::ensure;
use serde_json::Value;
use testbed::{isolation::STATE, prometheus::Prometheus, wait::wait_for};

use crate::{
    cluster::Cluster,
    matrix::{Kind, Row},
};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "a real Prometheus scrapes the page",
        injection: "Prometheus scrapes `serve` every second; its queries tell verdict and states",
        kind: Kind::Own(prometheus),
    },
    Row {
        name: "check and check --from agree",
        injection: "a bundle written with plain kubectl, of the healthy cluster and of one with a wrong targetPort",
        kind: Kind::Own(agree_always),
    },
];

fn prometheus(cluster: &Cluster) {
    let prometheus = Prometheus::start(cluster.doctor().address).expect("prometheus");
    wait_for("the query to answer with the verdict", Duration::from_secs(30), || {
        let result = prometheus.query("metrics_server_doctor_verdict == 1")?;
        ensure!(result.len() == 1, "{result:?}");
        ensure!(result[0]["metric"]["cause"] == "healthy", "{result:?}");
        let up = prometheus.query("sum(metrics_server_doctor_check_status) by (step, check) != 1")?;
        ensure!(up.is_empty(), "checks without exactly one state: {up:?}");
        let available = prometheus.query(r#"apiservice_available{apiservice="v1beta1.metrics.k8s.io"} == 1"#)?;
        ensure!(available.len() == 1, "{available:?}");
        Ok(())
    })
    .unwrap_or_else(|error| panic!("{error:#}"));
}

fn agree_always(cluster: &Cluster) {
    agree(cluster, "none/healthy", 0);
    let target_port =
        |value: &str| format!(r#"[{{"op":"replace","path":"/spec/ports/0/targetPort","value":{value}}}]"#);
    let service = "service metrics-server -n kube-system";
    cluster.kubectl().patch(service, "json", &target_port("4443"));
    let words = "get apiservice v1beta1.metrics.k8s.io -o jsonpath={.status.conditions[0].reason}";
    cluster.await_output("the aggregator to be refused", words, "FailedDiscoveryCheck");
    agree(cluster, "connection_refused/target_port_mismatch", 1);
    cluster.kubectl().patch(service, "json", &target_port(r#""https""#));
    cluster.expect_healthy().unwrap_or_else(|error| panic!("{error:#}"));
}

/// `check` and `check --from` name the same verdict and the same findings.
fn agree(cluster: &Cluster, verdict: &str, exit_code: i32) {
    let bundle = Path::new(STATE).join("bundle");
    write_bundle(cluster, &bundle);
    let kubeconfig = cluster.doctor().kubeconfig().display().to_string();
    let live = report(cluster, &["--kubeconfig", &kubeconfig, "--output", "json"], exit_code);
    let from = report(cluster, &["--from", &bundle.display().to_string(), "--output", "json"], exit_code);
    let name = |report: &Value| {
        let verdict = &report["verdict"];
        format!("{}/{}", verdict["step"].as_str().unwrap_or("?"), verdict["cause"].as_str().unwrap_or("?"))
    };
    assert_eq!(name(&live), verdict, "live: {live:#}");
    assert_eq!(name(&from), verdict, "bundle: {from:#}");
    assert_eq!(findings(&live), findings(&from), "live: {live:#}\nbundle: {from:#}");
    assert_eq!(live["source"], "cluster");
    assert_eq!(from["source"], "bundle");
}

fn findings(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names =
        findings.iter().map(|finding| format!("{} {} {}", finding["step"], finding["cause"], finding["object"]));
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

fn report(cluster: &Cluster, flags: &[&str], exit_code: i32) -> Value {
    let output = cluster.doctor().check(flags).expect("check runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit_code), "check {flags:?}:\n{text}\n{error}");
    serde_json::from_str(&text).unwrap_or_else(|parse| panic!("check {flags:?} printed no JSON ({parse}): {text}"))
}

/// What an operator types to collect a bundle.
fn write_bundle(cluster: &Cluster, folder: &Path) {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder.join("logs")).expect("a folder");
    let kubectl = cluster.kubectl();
    let write = |name: &str, text: String| fs::write(folder.join(name), text).expect("a written file");
    for kinds in [
        "apiservices,nodes,clusterroles,clusterrolebindings",
        "-A services,endpointslices,deployments,daemonsets,replicasets,pods",
        "-A roles,rolebindings,serviceaccounts,horizontalpodautoscalers,networkpolicies",
        "-A configmaps,events",
    ] {
        let name = kinds.trim_start_matches("-A ").split(',').next().unwrap_or("objects");
        write(&format!("{name}.yaml"), kubectl.words(&format!("get {kinds} -o yaml")));
    }
    for (file, words) in [("top-nodes.txt", "top nodes"), ("top-pods.txt", "top pods -n kube-system")] {
        // Standard output or standard error, whatever kubectl has to say.
        write(file, kubectl.try_words(words).unwrap_or_else(|error| error.to_string().replace("failed: ", "\n")));
    }
    let version: Value = serde_json::from_str(&kubectl.words("version -o json")).expect("JSON");
    write("server-version.txt", version["serverVersion"]["gitVersion"].as_str().unwrap_or_default().to_owned());
    let pods = kubectl.words("get pods -n kube-system -l k8s-app=metrics-server -o jsonpath={.items[*].metadata.name}");
    for pod in pods.split_whitespace() {
        if let Ok(log) = kubectl.try_words(&format!("logs -n kube-system {pod} -c metrics-server --timestamps")) {
            write(&format!("logs/kube-system_{pod}_metrics-server.log"), log);
        }
    }
    write("observed-at.txt", jiff::Timestamp::now().to_string());
}
