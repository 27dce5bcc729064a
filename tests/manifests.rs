//! What stands in `deploy/`: the chart and kustomize say the same, ask for no more than they may, and know the program's flags.

#[path = "manifests/engines.rs"]
mod engines;
#[path = "manifests/links.rs"]
mod links;
#[path = "manifests/permissions.rs"]
mod permissions;
#[path = "manifests/placed.rs"]
mod placed;
#[path = "manifests/refused.rs"]
mod refused;
#[path = "manifests/tuned.rs"]
mod tuned;
#[path = "manifests/values.rs"]
mod values;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use clap::Parser;
use metrics_server_doctor::args::Arguments;
use serde_json::{Value, json};
use testbed::{components::project_root, helm, kubectl::Kubectl};

const NAME: &str = "metrics-server-doctor";
/// The chart asks where the image is; the kustomizations leave it to `images` of whoever uses them.
const REGISTRY: &str = "image.registry=registry.example.com";

/// The objects of a text of YAML documents, hooks of the chart left out, by kind, namespace and name.
fn objects(yaml: &str) -> BTreeMap<String, Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    let documents = documents.into_iter().filter(|object| !object.is_null());
    let objects = documents.filter(|object| object["metadata"]["annotations"]["helm.sh/hook"].is_null());
    objects.map(|object| (identity(&object), object)).collect()
}

fn identity(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let metadata = &object["metadata"];
    format!("{} {}/{}", text(&object["kind"]), text(&metadata["namespace"]), text(&metadata["name"]))
}

/// What the chart renders as release `metrics-server-doctor` in the namespace of that name, but for the registry.
fn rendered(flags: &[&str]) -> String {
    let chart = helm::chart().display().to_string();
    let command = ["template", NAME, &chart, "--namespace", NAME, "--set", REGISTRY];
    let text = helm::run(&command.iter().chain(flags).collect::<Vec<_>>()).unwrap_or_else(|error| panic!("{error:#}"));
    text.replace("image: \"registry.example.com/", "image: \"")
}

/// A component with the values file that stands for it in the chart.
fn values_of(component: &str) -> PathBuf {
    helm::chart().join("ci").join(format!("{component}-values.yaml"))
}

/// Components that no file of values stands for: the sidecar goes with metrics-server's manifest, the namespace is an option of helm, and
/// the chart has nothing for other engines.
const WITHOUT_VALUES: &[&str] = &["sidecar", "other-namespace", "victoria-metrics", "google-managed-prometheus"];

/// The components beside the base.
fn components() -> Vec<String> {
    let folders = fs::read_dir(project_root().join("deploy/components")).expect("deploy/components").flatten();
    let mut names: Vec<_> = folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| !WITHOUT_VALUES.contains(&name.as_str()));
    names.sort();
    assert!(names.len() > 5, "{names:?}");
    names
}

/// `kubectl kustomize` of resources and components, each relative to the project.
fn kustomized(resources: &[&str], components: &[&str]) -> String {
    Kubectl::admin().kustomize(resources, components).unwrap_or_else(|error| panic!("{error:#}"))
}

fn component_path(component: &str) -> String {
    format!("deploy/components/{component}")
}

/// The base with a component, and with what the component is named after.
fn with_component(component: &str) -> String {
    let names: &[&str] = if component == "client-certificates" { &["tls", component] } else { &[component] };
    based(names)
}

/// The base with these components.
fn based(components: &[&str]) -> String {
    let paths: Vec<_> = components.iter().map(|component| component_path(component)).collect();
    kustomized(&["deploy/base"], &paths.iter().map(String::as_str).collect::<Vec<_>>())
}

fn sidecar() -> String {
    kustomized(&["tests/fixtures/metrics-server/manifest-0.9.yaml"], &[&component_path("sidecar")])
}

/// Leaves out what only one of the two has by custom: Helm's labels, and the namespace itself.
fn without_customs(mut objects: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    objects.retain(|identity, _| !identity.starts_with("Namespace "));
    for (identity, object) in &mut objects {
        strip_labels(object);
        // As annotations: the chart knows where links lead to.
        if let Some(Value::Object(texts)) = object.get_mut("data") {
            for text in texts.values_mut() {
                *text = text.as_str().expect("text").replace("http://localhost:19102/runbooks", "docs/runbooks").into();
            }
        }
        // Generators of kustomize give their own labels alone.
        if identity.starts_with("ConfigMap ") {
            object["metadata"]["labels"].as_object_mut().expect("labels").remove("app.kubernetes.io/name");
        }
    }
    objects
}

fn strip_labels(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for label in ["app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/managed-by"] {
                map.remove(label);
            }
            map.remove("helm.sh/chart");
            // The chart knows where links lead to.
            if let Some(Value::Object(annotations)) = map.get_mut("annotations") {
                annotations.remove("dashboard_url");
                for text in annotations.values_mut() {
                    let Value::String(text) = text else { continue };
                    if let Some(page) = text.strip_prefix("http://localhost:19102/runbooks/") {
                        *text = format!("docs/runbooks/{}", page.replacen('#', ".md#", 1));
                    }
                    *text = text.replace("http://localhost:19102/api/v1/report", "/api/v1/report");
                }
            }
            // Kustomize breaks lines of folded texts anew, which means nothing in PromQL.
            if let Some(Value::String(expression)) = map.get_mut("expr") {
                *expression = expression.split_whitespace().collect::<Vec<_>>().join(" ");
            }
            // A patch of kustomize puts what it adds at the front; neither list has an order.
            for list in ["volumes", "volumeMounts"] {
                if let Some(Value::Array(items)) = map.get_mut(list) {
                    items.sort_by_key(|item| item["name"].to_string());
                }
            }
            map.values_mut().for_each(strip_labels);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_labels),
        _ => {}
    }
}

fn assert_same(what: &str, chart: &str, kustomize: &str) {
    let chart = without_customs(objects(chart));
    let kustomize = without_customs(objects(kustomize));
    let names = |objects: &BTreeMap<String, Value>| objects.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&chart), names(&kustomize), "{what}: the chart (left) and kustomize (right) have other objects");
    for (identity, object) in &chart {
        let pretty = |value: &Value| serde_json::to_string_pretty(value).expect("JSON");
        assert_eq!(
            pretty(object),
            pretty(&kustomize[identity]),
            "{what}: {identity} of the chart (left) and of kustomize (right) differ"
        );
    }
}

#[test]
fn the_chart_and_kustomize_say_the_same() {
    assert_same("defaults", &rendered(&[]), &kustomized(&["deploy/base"], &[]));
    for component in components() {
        let values = values_of(&component);
        assert!(values.is_file(), "component {component} has no values in {}", values.display());
        let values = values.display().to_string();
        let kustomize = with_component(&component);
        assert_ne!(kustomize, kustomized(&["deploy/base"], &[]), "component {component} changes nothing");
        assert_same(&component, &rendered(&["--values", &values]), &kustomize);
    }
}

#[test]
fn components_go_together() {
    let kustomize = based(&[
        "access-reviews",
        "without-pods-log",
        "without-aws-auth",
        "without-authentication-config",
        "without-events",
    ]);
    let set = [
        "--set",
        "features.accessReviews=true,features.logs=false,features.awsAuth=false,features.authenticationConfig=false,features.events=false",
    ];
    let arguments = |text: &str| {
        let flags = &objects(text)["Deployment metrics-server-doctor/metrics-server-doctor"]["spec"]["template"]["spec"]
            ["containers"][0]["args"];
        flags.as_array().expect("args").iter().map(ToString::to_string).collect::<BTreeSet<_>>()
    };
    assert_eq!(arguments(&rendered(&set)), arguments(&kustomize));
    let roles = objects(&kustomize).into_keys().filter(|identity| identity.starts_with("Role")).count();
    assert_eq!(roles, 0, "a namespaced role is left");
}

/// Rules of every role in a text, each as one line.
fn rules(yaml: &str) -> BTreeSet<String> {
    let objects = objects(yaml);
    let roles = objects.iter().filter(|(identity, _)| {
        (identity.starts_with("ClusterRole ") || identity.starts_with("Role ")) && identity.contains(NAME)
    });
    let granted = roles.flat_map(|(_, role)| role["rules"].as_array().expect("rules").clone());
    granted.map(|rule| rule.to_string()).collect()
}

fn arguments(yaml: &str) -> BTreeSet<String> {
    let flags = containers(yaml).into_iter().filter_map(|container| container["args"].as_array().cloned());
    flags.flatten().map(|flag| flag.as_str().expect("text").to_owned()).collect()
}

/// Containers of the doctor, those of hooks too.
fn containers(yaml: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).expect("YAML");
    let specs = documents.iter().filter_map(|object| match object["kind"].as_str() {
        Some("Deployment") => Some(&object["spec"]["template"]["spec"]),
        Some("Pod") => Some(&object["spec"]),
        _ => None,
    });
    let containers = specs.flat_map(|spec| spec["containers"].as_array().expect("containers"));
    containers
        .filter(|container| container["image"].as_str().is_some_and(|image| image.contains(NAME)))
        .cloned()
        .collect()
}

#[test]
fn a_feature_is_a_rule_and_a_flag() {
    let default_rules = rules(&rendered(&[]));
    let default_flags = arguments(&rendered(&[]));
    for (feature, is_on, flag, has_rule) in [
        ("rbac", true, "--without=rbac", true),
        ("awsAuth", true, "--without=aws-auth", true),
        ("authenticationConfig", true, "--without=authentication-config", true),
        ("certificateRequests", true, "--without=certificate-requests", true),
        ("customResourceDefinitions", true, "--without=custom-resource-definitions", true),
        ("events", true, "--without=events", true),
        ("nodes", true, "--without=nodes", true),
        ("networkPolicies", true, "--without=network-policies", true),
        ("logs", true, "--without=logs", true),
        ("probes", true, "--without=probes", true),
        ("accessReviews", false, "--with=access-reviews", true),
        ("dial", true, "--dial=never", false),
    ] {
        let text = rendered(&["--set", &format!("features.{feature}={}", !is_on)]);
        let flags: BTreeSet<_> = arguments(&text).difference(&default_flags).cloned().collect();
        assert_eq!(flags, BTreeSet::from([flag.to_owned()]), "flags of feature {feature}");
        let changed = rules(&text).symmetric_difference(&default_rules).count();
        assert_eq!(changed, usize::from(has_rule), "feature {feature} changes {changed} rules");
        assert_eq!(rules(&text).len() > default_rules.len(), has_rule && !is_on, "feature {feature}");
    }
    let features: Value =
        serde_saphyr::from_str(&fs::read_to_string(helm::chart().join("values.yaml")).expect("values")).expect("YAML");
    assert_eq!(features["features"].as_object().expect("features").len(), 12, "a feature is not in this test");
}

#[test]
fn nothing_is_written_and_no_secret_is_read() {
    let everything = rendered(&["--set", "features.accessReviews=true,metrics.authentication=token-review"]);
    for text in [&everything, &based(&["access-reviews", "token-review"]), &sidecar()] {
        let rules = rules(text);
        assert!(rules.len() > 8, "{rules:?}");
        for line in rules {
            let rule: Value = serde_json::from_str(&line).expect("JSON");
            let words = |field: &str| -> Vec<String> {
                let words = rule[field].as_array().cloned().unwrap_or_default();
                words.iter().map(|word| word.as_str().expect("text").to_owned()).collect()
            };
            let reads = ["get", "list", "watch"];
            let resources = words("resources");
            let is_review = (resources == ["subjectaccessreviews"] || resources == ["tokenreviews"])
                && words("verbs") == ["create"];
            assert!(is_review || words("verbs").iter().all(|verb| reads.contains(&verb.as_str())), "{line} writes");
            for field in ["verbs", "resources", "apiGroups"] {
                assert!(!words(field).iter().any(|word| word.contains('*')), "{line} has a wildcard");
            }
            assert!(!words("resources").iter().any(|word| word.starts_with("secrets")), "{line} reads Secrets");
            let known = [["aws-auth"], ["extension-apiserver-authentication"]];
            let is_named = known.iter().any(|name| words("resourceNames") == *name);
            assert!(!words("resources").contains(&"configmaps".to_owned()) || is_named, "{line} reads any ConfigMap");
        }
    }
    for text in [rendered(&[]), based(&[]), sidecar()] {
        assert!(
            !rules(&text).iter().any(|rule| rule.contains("create")),
            "a review is created although nobody asked for it"
        );
    }
}

#[test]
fn the_program_knows_every_flag_that_a_manifest_gives() {
    let off = "features.rbac=false,features.awsAuth=false,features.nodes=false,features.networkPolicies=false,\
               features.authenticationConfig=false,features.certificateRequests=false,\
               features.customResourceDefinitions=false,features.events=false,\
               features.logs=false,features.probes=false,features.dial=false";
    let on = "features.accessReviews=true,logFormat=text,logLevel=debug,hpaSeries=all,runbookUrl=https://runbooks.example/,\
              externalUrl=http://[fd00::1]:19102/,\
              probeNamespaces[0]=shop,probeNamespaces[1]=web,metrics.tls.existingSecret=page,\
              metrics.tls.clientAuthority.configMap=clients,metrics.authentication=token-review";
    let mut seen = 0;
    for text in [rendered(&[]), rendered(&["--set", off]), rendered(&["--set", on]), sidecar()]
        .into_iter()
        .chain(components().iter().map(|component| with_component(component)))
    {
        for container in containers(&text) {
            let words = container["args"].as_array().expect("args").iter().map(|word| word.as_str().expect("text"));
            let words: Vec<_> = [NAME].into_iter().chain(words).collect();
            Arguments::try_parse_from(&words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
            seen += 1;
        }
    }
    assert!(seen >= 7 + components().len(), "only {seen} containers were found");
}

#[test]
fn versions_and_ports_are_the_programs_own() {
    let version = env!("CARGO_PKG_VERSION");
    let chart: Value =
        serde_saphyr::from_str(&fs::read_to_string(helm::chart().join("Chart.yaml")).expect("Chart.yaml"))
            .expect("YAML");
    assert_eq!(chart["appVersion"], version, "appVersion of the chart");
    let listens = Arguments::try_parse_from([NAME]).expect("flags").serve.listen.listen_address.port();
    for text in [rendered(&[]), kustomized(&["deploy/base"], &[]), sidecar()] {
        for container in containers(&text) {
            assert_eq!(container["image"], format!("{NAME}:{version}"));
            for port in container["ports"].as_array().into_iter().flatten() {
                assert_eq!(port["containerPort"], listens);
            }
        }
    }
}

#[test]
fn every_scrape_has_the_job_that_rules_ask_for() {
    let rule = rendered(&["--values", &values_of("prometheus-rule").display().to_string()]);
    assert!(rule.contains(r#"job="metrics-server-doctor""#));
    let chart = helm::chart().display().to_string();
    for monitor in ["ServiceMonitor", "PodMonitor"] {
        let set = format!("{}{}.enabled=true", monitor[..1].to_lowercase(), &monitor[1..]);
        let text = helm::run(&["template", "other", &chart, "--set", REGISTRY, "--set", &set]);
        let text = text.unwrap_or_else(|error| panic!("{error:#}"));
        let objects = objects(&text);
        let label = &objects[&format!("{monitor} default/other-{NAME}")]["spec"]["jobLabel"];
        let label = label.as_str().expect("a jobLabel");
        // Prometheus Operator takes it from the Service, or from the pod.
        let service = &objects[&format!("Service default/other-{NAME}")]["metadata"]["labels"];
        let pod = &objects[&format!("Deployment default/other-{NAME}")]["spec"]["template"]["metadata"]["labels"];
        let labels = if monitor == "ServiceMonitor" { service } else { pod };
        assert_eq!(labels[label], NAME, "{monitor}");
    }
}

#[test]
fn monitors_scrape_as_the_page_is_guarded() {
    let guarded = "metrics.tls.existingSecret=metrics-server-doctor-tls,metrics.authentication=token-review";
    let set = format!("serviceMonitor.enabled=true,{guarded}");
    assert_same("tokens over TLS", &rendered(&["--set", &set]), &based(&["service-monitor", "tls", "token-review"]));
    let set = "podMonitor.enabled=true,metrics.tls.existingSecret=metrics-server-doctor-tls";
    assert_same("a PodMonitor over TLS", &rendered(&["--set", set]), &based(&["pod-monitor", "tls"]));
    let set = format!("podMonitor.enabled=true,{guarded}");
    assert_same("tokens to a pod", &rendered(&["--set", &set]), &based(&["pod-monitor", "tls", "token-review"]));
    let endpoint = |set: &str, monitor: &str, field: &str| {
        let objects = objects(&rendered(&["--set", set]));
        objects[&format!("{monitor} {NAME}/{NAME}")]["spec"][field][0].clone()
    };
    let own = "podMonitor.authorization.credentials.name=token,podMonitor.authorization.credentials.key=token";
    let pod_endpoint =
        endpoint(&format!("podMonitor.enabled=true,{guarded},{own}"), "PodMonitor", "podMetricsEndpoints");
    assert_eq!(pod_endpoint["authorization"], json!({ "credentials": { "name": "token", "key": "token" } }));
    // No file of Prometheus's own pod: `arbitraryFSAccessThroughSMs.deny` refuses those.
    let every = rendered(&["--set", &format!("serviceMonitor.enabled=true,{guarded}")]);
    assert!(!every.contains("bearerTokenFile") && !every.contains("credentialsFile"), "{every}");
    // What somebody names replaces what follows from the certificate.
    let other =
        "serviceMonitor.tlsConfig.insecureSkipVerify=true,serviceMonitor.tlsConfig.serverName=doctor.example.org";
    let set = format!("serviceMonitor.enabled=true,{guarded},{other}");
    let own = json!({ "insecureSkipVerify": true, "serverName": "doctor.example.org" });
    assert_eq!(endpoint(&set, "ServiceMonitor", "endpoints")["tlsConfig"], own);
    let set = "serviceMonitor.enabled=true,metrics.tls.existingSecret=a,metrics.tls.clientAuthority.configMap=b,\
               serviceMonitor.tlsConfig.cert.secret.name=c,serviceMonitor.tlsConfig.cert.secret.key=tls.crt,\
               serviceMonitor.tlsConfig.keySecret.name=c,serviceMonitor.tlsConfig.keySecret.key=tls.key";
    let with_certificate = endpoint(set, "ServiceMonitor", "endpoints");
    assert_eq!(with_certificate["tlsConfig"]["ca"]["secret"]["name"], "a", "{with_certificate}");
    assert_eq!(with_certificate["tlsConfig"]["cert"]["secret"]["name"], "c", "{with_certificate}");
    assert!(with_certificate["authorization"].is_null(), "{with_certificate}");
}

#[test]
fn the_sidecar_asks_for_what_the_deployment_asks_for() {
    let own = containers(&based(&[])).remove(0);
    let beside = containers(&sidecar()).remove(0);
    for field in ["image", "imagePullPolicy", "resources"] {
        assert_eq!(own[field], beside[field], "{field}");
    }
}

#[test]
fn every_pod_of_the_doctor_is_confined() {
    for text in [rendered(&[]), kustomized(&["deploy/base"], &[]), sidecar()] {
        let containers = containers(&text);
        assert!(!containers.is_empty());
        for container in containers {
            let context = &container["securityContext"];
            assert_eq!(context["readOnlyRootFilesystem"], true);
            assert_eq!(context["allowPrivilegeEscalation"], false);
            assert_eq!(context["capabilities"], json!({ "drop": ["ALL"] }));
            assert!(
                container["resources"]["requests"]["memory"].is_string()
                    && container["resources"]["limits"]["memory"].is_string()
            );
        }
    }
}

#[test]
fn a_sidecar_stands_behind_metrics_server_and_has_its_account() {
    let objects = objects(&sidecar());
    let spec = &objects["Deployment kube-system/metrics-server"]["spec"]["template"]["spec"];
    let names: Vec<_> = spec["containers"].as_array().expect("containers").iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["metrics-server", NAME], "tools take the first container for the pod's own");
    assert!(spec["containers"][1]["readinessProbe"].is_null(), "the doctor's doubts must not take metrics-server out");
    let bindings: Vec<_> = objects
        .iter()
        .filter(|(identity, _)| identity.contains("Binding ") && identity.contains(NAME))
        .map(|(_, binding)| &binding["subjects"])
        .collect();
    assert_eq!(bindings.len(), 5);
    let account = json!([{ "kind": "ServiceAccount", "name": "metrics-server", "namespace": "kube-system" }]);
    assert!(bindings.iter().all(|subjects| **subjects == account), "{bindings:?}");
}

#[test]
fn the_chart_is_clean() {
    let chart = helm::chart().display().to_string();
    helm::run(&["lint", "--strict", &chart]).unwrap_or_else(|error| panic!("{error:#}"));
    for values in fs::read_dir(helm::chart().join("ci")).expect("ci").flatten() {
        let values = values.path().display().to_string();
        helm::run(&["lint", "--strict", &chart, "--values", &values]).unwrap_or_else(|error| panic!("{error:#}"));
    }
}

#[test]
fn the_schemas_of_the_oldest_and_the_newest_kubernetes_take_the_manifests() {
    let program = project_root().join(".tools/kubernetes-validate/bin/kubernetes-validate");
    assert!(program.is_file(), "kubernetes-validate is not there; `make kubernetes-validate` installs it");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let everything = "networkPolicy.enabled=true,podDisruptionBudget.enabled=true,features.accessReviews=true,\
                      ingress.enabled=true,externalUrl=https://doctor.example.com/a,ingress.tlsSecret=page,\
                      metrics.tls.existingSecret=page,metrics.tls.clientAuthority.secret=clients,\
                      metrics.authentication=token-review,metrics.readers[0].name=a,metrics.readers[0].namespace=b";
    let texts = [
        ("chart", rendered(&["--set", everything])),
        ("base", based(&["network-policy", "pod-disruption-budget", "tls", "client-certificates", "token-review"])),
        ("sidecar", sidecar()),
    ];
    for version in ["1.25", "1.37"] {
        let mut command = std::process::Command::new(&program);
        command.args(["--kubernetes-version", version, "--strict"]);
        for (name, text) in &texts {
            let file = folder.path().join(name);
            fs::write(&file, text).expect("a file");
            command.arg(file);
        }
        let output = command.output().expect("kubernetes-validate starts");
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        // A kind without a schema is a warning with exit code 0.
        assert!(output.status.success() && !text.contains("WARN"), "Kubernetes {version}:\n{text}");
        assert_eq!(text.matches(" passed for resource ").count(), objects_in(&texts), "Kubernetes {version}:\n{text}");
    }
}

fn objects_in(texts: &[(&str, String)]) -> usize {
    let documents = texts.iter().map(|(_, text)| serde_saphyr::from_multiple::<Value>(text).expect("YAML"));
    documents.flatten().filter(|object| !object.is_null()).count()
}

#[test]
fn every_value_is_in_the_schema_and_the_schema_names_no_other() {
    let read = |name: &str| fs::read_to_string(helm::chart().join(name)).expect("a file");
    let values: Value = serde_saphyr::from_str(&read("values.yaml")).expect("YAML");
    let schema: Value = serde_json::from_str(&read("values.schema.json")).expect("JSON");
    compare(Path::new(""), &values, &schema, &schema);
}

fn compare(path: &Path, values: &Value, schema: &Value, root: &Value) {
    let schema = match schema["$ref"].as_str() {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).expect("a definition"),
        None => schema,
    };
    let (Some(values), Some(properties)) = (values.as_object(), schema["properties"].as_object()) else { return };
    for (name, value) in values {
        let property = properties.get(name).unwrap_or_else(|| panic!("{}/{name} is not in the schema", path.display()));
        compare(&path.join(name), value, property, root);
    }
    for name in properties.keys().filter(|name| !["global", "claims", "requests", "limits"].contains(&name.as_str())) {
        assert!(values.contains_key(name), "{}/{name} is in the schema and not in values.yaml", path.display());
    }
}
