//! Components for what reads rules and scrapes beside Prometheus Operator, and for a namespace of somebody else's.
//! `UPDATE_DOCS=1 cargo test --test manifests` renews the rules for Google Managed Prometheus.

use std::{fs, process::Command};

use serde_json::{Value, json};
use testbed::{components, components::project_root, kubectl::Kubectl};

use crate::{assert_same, based, component_path, kustomized, objects, rendered};

/// What is told when somebody puts a `namespace:` above the base.
const REFUSAL: &str = "leave `namespace` out: it would move Roles of metrics-server-doctor out of kube-system; \
                       deploy/components/other-namespace moves what may move";

fn groups(object: &Value) -> Vec<Value> {
    object["spec"]["groups"].as_array().expect("groups").clone()
}

/// Without the line breaks that kustomize puts elsewhere.
fn flat(groups: Vec<Value>) -> Vec<Value> {
    let mut groups = groups;
    for rule in groups.iter_mut().flat_map(|group| group["rules"].as_array_mut().expect("rules")) {
        let expression = rule["expr"].as_str().expect("text").split_whitespace().collect::<Vec<_>>().join(" ");
        rule["expr"] = json!(expression);
    }
    groups
}

fn only<'a>(objects: &'a std::collections::BTreeMap<String, Value>, kind: &str) -> &'a Value {
    let mut found = objects.values().filter(|object| object["kind"] == kind);
    let object = found.next().unwrap_or_else(|| panic!("no {kind}"));
    assert!(found.next().is_none(), "several of kind {kind}");
    object
}

fn shipped() -> Vec<Value> {
    groups(only(&objects(&based(&["prometheus-rule"])), "PrometheusRule"))
}

/// As Prometheus reads them.
fn take(groups: &[Value]) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rules.yaml");
    fs::write(&file, json!({ "groups": groups }).to_string()).expect("a file");
    let promtool = components::program("promtool").unwrap_or_else(|error| panic!("{error:#}"));
    let checked = Command::new(promtool).args(["check", "rules"]).arg(&file).output().expect("promtool starts");
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn the_operator_of_victoria_metrics_gets_the_same_rules_and_a_scrape_by_the_same_job() {
    let objects = objects(&based(&["victoria-metrics"]));
    assert!(
        !objects.values().any(|object| object["apiVersion"] == "monitoring.coreos.com/v1"),
        "of the other operator"
    );
    let rule = only(&objects, "VMRule");
    assert_eq!(rule["apiVersion"], "operator.victoriametrics.com/v1beta1");
    // vmalert reads these groups in the tests of the alerts.
    assert_eq!(groups(rule), shipped());

    let scrape = only(&objects, "VMServiceScrape");
    assert_eq!(scrape["apiVersion"], "operator.victoriametrics.com/v1beta1");
    // Fields of config/crd/bases/operator.victoriametrics.com_vmservicescrapes.yaml of VictoriaMetrics/operator, by which the API server
    // would go: its module cannot be had from the proxy for Go modules.
    let known = ["jobLabel", "selector", "endpoints", "targetLabels", "namespaceSelector", "discoveryRole"];
    assert!(scrape["spec"].as_object().expect("a map").keys().all(|field| known.contains(&field.as_str())), "{scrape}");
    let endpoint = scrape["spec"]["endpoints"][0].as_object().expect("an endpoint");
    let known = ["port", "path", "interval", "honorLabels", "scheme", "tlsConfig", "scrapeTimeout"];
    assert!(endpoint.keys().all(|field| known.contains(&field.as_str())), "{endpoint:?}");
    let monitor = objects_of("service-monitor");
    assert_eq!(scrape["spec"], only(&monitor, "ServiceMonitor")["spec"]);
}

fn objects_of(component: &str) -> std::collections::BTreeMap<String, Value> {
    objects(&based(&[component]))
}

/// `ClusterRules`: the rules of the component for Prometheus Operator, without what Google's do not know.
fn managed() -> String {
    let path = project_root().join("deploy/components/prometheus-rule/prometheus-rule.yaml");
    let text = fs::read_to_string(path).expect("prometheus-rule.yaml");
    let (_, groups) = text.split_once("\nspec:\n").expect("a spec");
    let mut kept: Vec<&str> = Vec::new();
    for line in groups.lines() {
        if line.trim_start().starts_with("keep_firing_for:") {
            // With the reason that is told above it.
            while kept.last().is_some_and(|line| line.trim_start().starts_with('#')) {
                kept.pop();
            }
            continue;
        }
        kept.push(line);
    }
    format!(
        "# Generated from ../prometheus-rule: `UPDATE_DOCS=1 cargo test --test manifests`.
apiVersion: monitoring.googleapis.com/v1
kind: ClusterRules
metadata:
  name: metrics-server-doctor
  labels:
    app.kubernetes.io/name: metrics-server-doctor
spec:
{}
",
        kept.join("\n")
    )
}

#[test]
fn google_managed_prometheus_gets_the_same_rules_but_for_keep_firing_for() {
    let path = project_root().join(component_path("google-managed-prometheus")).join("cluster-rules.yaml");
    let wanted = managed();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &wanted).expect("cluster-rules.yaml");
    }
    let text = fs::read_to_string(&path).unwrap_or_default();
    assert!(text == wanted, "{} is out of date: UPDATE_DOCS=1 cargo test --test manifests", path.display());

    let objects = objects_of("google-managed-prometheus");
    let rules = only(&objects, "ClusterRules");
    assert!(rules["metadata"]["namespace"].is_null(), "it is of the cluster");
    let mut wanted = shipped();
    let mut taken = 0;
    for rule in wanted.iter_mut().flat_map(|group| group["rules"].as_array_mut().expect("rules")) {
        taken += usize::from(rule.as_object_mut().expect("a rule").remove("keep_firing_for").is_some());
    }
    assert!(taken > 5, "{taken}");
    assert_eq!(flat(groups(rules)), flat(wanted));
    take(&groups(rules));

    // The name becomes the label job, and the port is the one that the container has.
    let monitoring = only(&objects, "PodMonitoring");
    assert_eq!(monitoring["metadata"]["name"], "metrics-server-doctor");
    let pod = &only(&objects, "Deployment")["spec"]["template"];
    let selector = monitoring["spec"]["selector"]["matchLabels"].as_object().expect("labels");
    assert!(selector.iter().all(|(name, value)| pod["metadata"]["labels"][name] == *value), "{monitoring}");
    assert_eq!(monitoring["spec"]["endpoints"][0]["port"], pod["spec"]["containers"][0]["ports"][0]["name"]);
}

#[test]
fn a_namespace_above_the_base_is_refused_with_what_to_do_instead() {
    // A kustomization names others by relative path alone.
    let folder = tempfile::tempdir_in(project_root().join("target")).expect("a folder");
    for namespace in ["monitoring", "kube-system", "metrics-server-doctor"] {
        let text = json!({ "namespace": namespace, "resources": ["../../deploy/base"] }).to_string();
        fs::write(folder.path().join("kustomization.yaml"), text).expect("a file");
        let path = folder.path().display().to_string();
        let told = Kubectl::admin().run(&["kustomize", &path]).expect_err("Roles are moved").to_string();
        assert!(told.contains(REFUSAL), "{namespace}: {told}");
    }
    assert!(!kustomized(&["deploy/base"], &[]).contains("other-namespace"), "the guard is applied");
}

#[test]
fn the_component_for_another_namespace_moves_what_the_chart_moves() {
    for (components, set) in [
        (&[][..], "replicas=1"),
        (&["service-monitor", "token-review"], "serviceMonitor.enabled=true,metrics.authentication=token-review"),
        (&["network-policy", "pod-disruption-budget", "without-events"], "features.events=false"),
    ] {
        let more =
            if components.len() == 3 { ",networkPolicy.enabled=true,podDisruptionBudget.enabled=true" } else { "" };
        let paths: Vec<String> =
            components.iter().chain(&["other-namespace"]).map(|component| component_path(component)).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let moved = kustomized(&["deploy/base", "tests/fixtures/other-namespace.yaml"], &paths);
        let set = format!("namespaceOverride=elsewhere,{set}{more}");
        assert_same("another namespace", &rendered(&["--set", &set]), &moved);
        let objects = objects(&moved);
        assert!(!objects.keys().any(|identity| identity.starts_with("Namespace ")), "a namespace of somebody else's");
        assert!(!moved.contains("metrics-server-doctor-namespace"), "what names it is applied");
    }
}
