//! What Argo CD and Flux do with the chart: render it, apply it on the server's side, and look for differences.

use testbed::{Bed, components, helm};

use crate::{
    chart::helm as helm_in_words,
    installed::{everything, expect_only},
};

const NAMESPACE: &str = "rendered";
/// What `docs/argo-cd.md` and `docs/flux.md` turn on, and all else that makes objects.
const SET: &str = "--set serviceMonitor.enabled=true,prometheusRule.enabled=true,dashboards.enabled=true \
                   --set metrics.authentication=token-review,networkPolicy.enabled=true,podDisruptionBudget.enabled=true";
/// Bytes of annotations that an object may have, of which client-side apply uses one for the whole object.
const ANNOTATIONS: usize = 262_144;

pub(crate) fn drift(bed: &Bed) {
    let before = everything(bed);
    bed.kubectl().words(&format!("create namespace {NAMESPACE}"));
    let yaml = helm_in_words(&format!("template doctor CHART -n {NAMESPACE} --no-hooks {SET}"));
    assert!(!yaml.contains("helm.sh/hook"), "a hook is rendered");
    for manager in ["gitops", "gitops"] {
        let words = ["apply", "--server-side", "--field-manager", manager, "-f", "-"];
        bed.kubectl().run_with_input(&words, &yaml).unwrap_or_else(|error| panic!("{error:#}"));
    }
    let name = "doctor-metrics-server-doctor";
    bed.kubectl().words(&format!("rollout status deployment/{name} -n {NAMESPACE} --timeout=60s"));
    // What the API server writes into the Secret is there, and is no difference.
    let words = format!("wait secret/{name}-scraper -n {NAMESPACE} --for=jsonpath={{.data.token}} --timeout=30s");
    bed.kubectl().words(&words);
    let words = ["diff", "--server-side", "--field-manager", "gitops", "-f", "-"];
    bed.kubectl()
        .run_with_input(&words, &yaml)
        .unwrap_or_else(|error| panic!("the server has something else: {error:#}"));

    let objects: Vec<serde_json::Value> = serde_saphyr::from_multiple(&yaml).expect("YAML");
    let largest = objects.iter().map(|object| object.to_string().len()).max().unwrap_or_default();
    println!(
        "deploy:   the largest object has {} of the {} KB that client-side apply can hold",
        largest / 1000,
        ANNOTATIONS / 1000
    );
    assert!(
        largest < ANNOTATIONS,
        "client-side apply does not take {largest} bytes any more: say so in docs/argo-cd.md"
    );

    let deleted = bed.kubectl().run_with_input(&["delete", "--wait", "--ignore-not-found", "-f", "-"], &yaml);
    deleted.unwrap_or_else(|error| panic!("{error:#}"));
    bed.kubectl().words(&format!("delete namespace {NAMESPACE} --wait"));
    expect_only(bed, &before);

    // Flux renders with Helm 3 still.
    let chart = helm::chart().display().to_string();
    // It is built without the version that it takes for the cluster's.
    let fixed = "--no-hooks --kube-version 1.37.2 --set image.registry=registry.example.com";
    let mut words = vec!["template", "doctor", &chart, "-n", NAMESPACE];
    words.extend(fixed.split_whitespace());
    words.extend(SET.split_whitespace());
    let older = components::HELM_3.path().and_then(|program| helm::run_as(&program, &words));
    let older = older.unwrap_or_else(|error| panic!("{error:#}"));
    let read = |yaml: &str| -> Vec<serde_json::Value> { serde_saphyr::from_multiple(yaml).expect("YAML") };
    assert!(read(&older) == read(&yaml), "Helm 3 renders something else");
}
