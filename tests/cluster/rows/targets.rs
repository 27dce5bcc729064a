//! Autoscalers on targets that are no Deployments, and other metrics APIs.

use std::{thread, time::Duration};

use testbed::doctor::ACCOUNT;

use super::autoscalers::{CPU, autoscaler};
use crate::{
    cluster::Cluster,
    matrix::{Expected, Fault, HEALTHY, Kind, Row, Shown},
};

const FAILS: &[(&str, &str)] = &[("hpa/targets", "fail"), ("apiservice/available", "pass"), ("retrieve/pods", "pass")];

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "target kind without scale subresource",
        injection: "an HPA on an object of a CustomResourceDefinition without subresources.scale",
        kind: Kind::Fault(
            Fault::new(
                |cluster| {
                    let object = "spec: {replicas: 2}";
                    put_target(cluster, "Widget", "widgets", "", object);
                    cluster.kubectl().apply(&autoscaler_on(API, "Widget", "widget"));
                },
                Shown::Autoscaler { name: "widget", condition: "AbleToScale", reason: "FailedGetScale" },
                Expected {
                    verdict: "hpa/target_not_scalable",
                    unknown_targets: &[("widget", 1.0), ("web", 0.0)],
                    checks: FAILS,
                    ..HEALTHY
                },
                |cluster| remove_target(cluster, "widget", "widgets"),
            )
            .looked_for(),
        ),
    },
    Row {
        name: "target kind that is not served",
        injection: "an HPA on kind Deployment of extensions/v1beta1, which Kubernetes no longer serves; a Deployment of that name exists",
        kind: Kind::Fault(
            Fault::new(
                |cluster| {
                    let hpa = autoscaler_on("extensions/v1beta1", "Deployment", "web");
                    cluster
                        .kubectl()
                        .apply(&hpa.replace("{name: web, namespace: shop}", "{name: old, namespace: shop}"));
                },
                Shown::Autoscaler { name: "old", condition: "AbleToScale", reason: "FailedGetScale" },
                Expected {
                    verdict: "hpa/target_kind_not_served",
                    unknown_targets: &[("old", 1.0), ("web", 0.0)],
                    checks: FAILS,
                    ..HEALTHY
                },
                |cluster| drop(cluster.kubectl().words("delete hpa old -n shop")),
            )
            .looked_for(),
        ),
    },
    Row {
        name: "custom target with a selector of nobody",
        injection: "an HPA on an object of a CustomResourceDefinition with subresources.scale, whose status.selector selects no pod",
        kind: Kind::Fault(Fault {
            // Pods of a new target may be without samples for so long.
            within: Duration::from_mins(4),
            ..Fault::new(
                |cluster| {
                    let object = "spec: {replicas: 2}\nstatus: {replicas: 2, selector: 'app=nobody'}";
                    put_target(cluster, "Gadget", "gadgets", SCALE, object);
                    cluster.kubectl().apply(&autoscaler_on(API, "Gadget", "gadget"));
                },
                Shown::Autoscaler { name: "gadget", condition: "ScalingActive", reason: "FailedGetResourceMetric" },
                Expected {
                    verdict: "hpa/selector",
                    unknown_targets: &[("gadget", 1.0), ("web", 0.0)],
                    checks: FAILS,
                    ..HEALTHY
                },
                |cluster| remove_target(cluster, "gadget", "gadgets"),
            )
        }),
    },
    Row {
        name: "external metrics API unavailable",
        injection: "APIService v1beta1.external.metrics.k8s.io of a Service that is not there",
        kind: Kind::Fault(Fault {
            // A new registration may be ahead of its server for so long.
            within: Duration::from_mins(3),
            ..Fault::new(
                |cluster| {
                    cluster.kubectl().apply(EXTERNAL_METRICS);
                    let words = "get apiservice v1beta1.external.metrics.k8s.io \
                                 -o jsonpath={.status.conditions[?(@.type==\"Available\")].reason}";
                    cluster.await_output("the other API to be unavailable", words, "ServiceNotFound");
                },
                Shown::AtOnce,
                Expected { verdict: "hpa/other_metrics_api_unavailable", ..HEALTHY },
                |cluster| drop(cluster.kubectl().words("delete apiservice v1beta1.external.metrics.k8s.io")),
            )
        }),
    },
];

const API: &str = "shop.example/v1";

const SCALE: &str = "scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas, labelSelectorPath: .status.selector}";

const EXTERNAL_METRICS: &str = "
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.external.metrics.k8s.io, labels: {testbed: fault}}
spec:
  group: external.metrics.k8s.io
  version: v1beta1
  groupPriorityMinimum: 100
  versionPriority: 100
  insecureSkipTLSVerify: true
  service: {name: prometheus-adapter, namespace: shop}
";

/// A kind of its own with one object, known to the autoscalers' controller.
fn put_target(cluster: &Cluster, kind: &str, plural: &str, scale: &str, object: &str) {
    let singular = kind.to_lowercase();
    cluster.kubectl().apply(&format!(
        "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: {plural}.shop.example, labels: {{testbed: fault}}}}
spec:
  group: shop.example
  scope: Namespaced
  names: {{kind: {kind}, plural: {plural}, singular: {singular}}}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}
      subresources: {{{scale}}}
"
    ));
    // As `rbac.extraRules` of the chart does for kinds that are not built in.
    cluster.kubectl().apply(&format!(
        "apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: {plural}-scale, labels: {{testbed: fault}}}}
rules:
  - {{apiGroups: [shop.example], resources: [{plural}/scale], verbs: [get]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: {plural}-scale, labels: {{testbed: fault}}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {plural}-scale}}
subjects:
  - {{kind: ServiceAccount, name: {ACCOUNT}, namespace: {ACCOUNT}}}
"
    ));
    cluster.kubectl().words(&format!("wait --for=condition=Established crd/{plural}.shop.example --timeout=30s"));
    cluster.kubectl().apply(&format!(
        "apiVersion: {API}\nkind: {kind}\nmetadata: {{name: {singular}, namespace: shop}}\n{object}\n"
    ));
    // The controller learns of new kinds every half minute; until then it says that they are not served.
    thread::sleep(Duration::from_secs(33));
}

fn remove_target(cluster: &Cluster, name: &str, plural: &str) {
    cluster.kubectl().words(&format!("delete hpa {name} -n shop"));
    cluster.kubectl().words(&format!("delete crd {plural}.shop.example"));
    cluster.kubectl().words(&format!("delete clusterrole,clusterrolebinding {plural}-scale"));
}

fn autoscaler_on(api_version: &str, kind: &str, name: &str) -> String {
    autoscaler(name, name, CPU)
        .replace("apiVersion: apps/v1, kind: Deployment", &format!("apiVersion: {api_version}, kind: {kind}"))
}
