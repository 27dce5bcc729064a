//! `kubectl apply -k deploy/base`, alone and with each component.

use std::fs;

use testbed::{Bed, components::project_root};

use crate::installed::{self, NAME, Running, everything, expect_only};

fn apply(bed: &Bed, components: &[&str]) -> String {
    let yaml = bed.kubectl().kustomize(&["deploy/base"], components).unwrap_or_else(|error| panic!("{error:#}"));
    let taken = bed.kubectl().run_with_input(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &yaml);
    taken.unwrap_or_else(|error| panic!("{components:?}: {error:#}"));
    yaml
}

fn delete(bed: &Bed, yaml: &str) {
    let deleted = bed.kubectl().run_with_input(&["delete", "--wait", "--ignore-not-found", "-f", "-"], yaml);
    deleted.unwrap_or_else(|error| panic!("{error:#}"));
}

pub(crate) fn base_and_components(bed: &Bed) {
    let before = everything(bed);
    let base = project_root().join("deploy/base");
    // What the README says.
    bed.kubectl().words(&format!("apply -k {}", base.display()));
    bed.kubectl().words("rollout status deployment/metrics-server-doctor -n metrics-server-doctor --timeout=30s");
    let label = bed.kubectl().words("get namespace metrics-server-doctor --show-labels --no-headers");
    assert!(label.contains("pod-security.kubernetes.io/enforce=restricted"), "{label}");
    let folders = fs::read_dir(project_root().join("deploy/components")).expect("components").flatten();
    let mut names: Vec<_> = folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    // The sidecar stands beside metrics-server's manifest, the definitions of VictoriaMetrics are not to be had, and another namespace
    // is tried by itself.
    names.retain(|name| !["sidecar", "victoria-metrics", "other-namespace"].contains(&name.as_str()));
    names.sort();
    for name in &names {
        let yaml = apply(bed, &[&format!("deploy/components/{name}")]);
        bed.kubectl().words("rollout status deployment/metrics-server-doctor -n metrics-server-doctor --timeout=30s");
        // What was applied is what the server has: no field was dropped or refused.
        let again = bed.kubectl().run_with_input(&["diff", "--server-side", "--force-conflicts", "-f", "-"], &yaml);
        again.unwrap_or_else(|error| panic!("{name}: the server has something else: {error:#}"));
    }
    let all: Vec<_> = names.iter().map(|name| format!("deploy/components/{name}")).collect();
    let yaml = apply(bed, &all.iter().map(String::as_str).collect::<Vec<_>>());
    let kept = apply(bed, &[]);
    delete(bed, &yaml);
    // Roles that two components leave out are in the base alone.
    let _ = bed.kubectl().run_with_input(&["delete", "--ignore-not-found", "-f", "-"], &kept);
    expect_only(bed, &before);
}

/// The component for a namespace that is somebody else's: it is there before and afterwards, and what is in it serves.
pub(crate) fn other_namespace(bed: &Bed) {
    bed.kubectl().words("create namespace elsewhere");
    let before = everything(bed);
    let resources = ["deploy/base", "tests/fixtures/other-namespace.yaml"];
    let yaml = bed.kubectl().kustomize(&resources, &["deploy/components/other-namespace"]);
    let yaml = yaml.unwrap_or_else(|error| panic!("{error:#}"));
    bed.kubectl()
        .run_with_input(&["apply", "--server-side", "-f", "-"], &yaml)
        .unwrap_or_else(|error| panic!("{error:#}"));
    let deployment = installed::get(bed, &format!("deployment {NAME} -n elsewhere"));
    let spec = &deployment["spec"]["template"]["spec"];
    let doctor = Running::start(bed, ("elsewhere", NAME), &installed::flags(spec));
    let page = doctor.await_that("nothing is installed", |page| {
        page.verdict().is_ok_and(|verdict| verdict.starts_with("installed/"))
    });
    assert!(page.named("metrics_server_doctor_permission_missing").all(|sample| sample.value == 0.0));
    drop(doctor);
    delete(bed, &yaml);
    expect_only(bed, &before);
    bed.kubectl().words("delete namespace elsewhere --wait");
}

pub(crate) fn serves(bed: &Bed) {
    let begin = jiff::Timestamp::now();
    let yaml = apply(bed, &[]);
    let deployment = installed::get(bed, "deployment metrics-server-doctor -n metrics-server-doctor");
    let spec = &deployment["spec"]["template"]["spec"];
    let doctor = Running::start(bed, (NAME, NAME), &installed::flags(spec));
    let page = doctor.await_that("nothing is installed", |page| {
        page.verdict().is_ok_and(|verdict| verdict.starts_with("installed/"))
    });
    assert!(page.named("metrics_server_doctor_permission_missing").all(|sample| sample.value == 0.0));
    doctor.fits(spec);
    let refused = installed::refused(NAME, NAME, begin);
    assert!(refused.is_empty(), "refused: {refused:#?}");
    drop(doctor);
    delete(bed, &yaml);
}

pub(crate) fn restricted_refuses(bed: &Bed) {
    let yaml = apply(bed, &[]);
    let deployment = installed::get(bed, "deployment metrics-server-doctor -n metrics-server-doctor");
    let pod = |spec: &serde_json::Value| {
        let pod = serde_json::json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": "probe", "namespace": NAME }, "spec": spec,
        });
        bed.kubectl().run_with_input(&["create", "--dry-run=server", "-f", "-"], &pod.to_string())
    };
    let confined = deployment["spec"]["template"]["spec"].clone();
    pod(&confined).unwrap_or_else(|error| panic!("the shipped pod is refused: {error:#}"));
    for path in ["/securityContext/runAsNonRoot", "/securityContext/seccompProfile"] {
        let mut loose = confined.clone();
        let (parent, field) = path.rsplit_once('/').expect("a path");
        loose.pointer_mut(parent).and_then(serde_json::Value::as_object_mut).expect("a map").remove(field);
        let error = pod(&loose).expect_err("a pod that is not confined").to_string();
        assert!(error.contains("violates PodSecurity \"restricted"), "{error}");
    }
    for field in ["allowPrivilegeEscalation", "capabilities"] {
        let mut loose = confined.clone();
        let container = &mut loose["containers"][0]["securityContext"];
        container.as_object_mut().expect("a map").remove(field).expect("the field");
        let error = pod(&loose).expect_err("a pod that is not confined").to_string();
        assert!(error.contains("violates PodSecurity \"restricted"), "{error}");
    }
    delete(bed, &yaml);
}
