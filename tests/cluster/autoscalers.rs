//! Autoscalers that do not know their targets, beside a metrics-server that works.

use crate::cluster::{Cluster, Expected, HEALTHY};

const FAILS: &[(&str, &str)] = &[("hpa/targets", "fail"), ("apiservice/available", "pass"), ("retrieve/pods", "pass")];

pub(crate) fn sidecar_without_request(cluster: &Cluster) {
    cluster.kubectl().apply(SIDECAR);
    cluster.await_autoscaler("sidecar", "ScalingActive", "FailedGetResourceMetric");
    cluster.expect(&Expected {
        verdict: "hpa/missing_request",
        unknown_targets: &[("sidecar", 1.0), ("web", 0.0)],
        checks: FAILS,
        ..HEALTHY
    });
    cluster.kubectl().words("delete hpa,deployment sidecar -n shop");
    cluster.expect_healthy();
}

pub(crate) fn target_missing(cluster: &Cluster) {
    cluster.kubectl().apply(&autoscaler("nowhere", "no-such-deployment"));
    cluster.await_autoscaler("nowhere", "AbleToScale", "FailedGetScale");
    cluster.expect(&Expected {
        verdict: "hpa/target_not_found",
        unknown_targets: &[("nowhere", 1.0), ("web", 0.0)],
        checks: FAILS,
        ..HEALTHY
    });
    cluster.kubectl().words("delete hpa nowhere -n shop");
    cluster.expect_healthy();
}

pub(crate) fn two_on_one_selector(cluster: &Cluster) {
    cluster.kubectl().apply(&autoscaler("second", "web"));
    cluster.await_autoscaler("second", "ScalingActive", "AmbiguousSelector");
    cluster.expect(&Expected { verdict: "hpa/selector", checks: FAILS, ..HEALTHY });
    cluster.kubectl().words("delete hpa second -n shop");
    cluster.expect_healthy();
}

fn autoscaler(name: &str, target: &str) -> String {
    format!(
        "apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: {name}, namespace: shop}}
spec:
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: {target}}}
  minReplicas: 2
  maxReplicas: 4
  metrics:
    - type: Resource
      resource: {{name: cpu, target: {{type: Utilization, averageUtilization: 60}}}}
"
    )
}

const SIDECAR: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: sidecar, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: sidecar}}
  template:
    metadata: {labels: {app: sidecar}}
    spec:
      containers:
        - name: application
          image: shop/application:1
          resources: {requests: {cpu: 200m}}
        - name: proxy
          image: shop/proxy:1
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: sidecar, namespace: shop}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: sidecar}
  minReplicas: 2
  maxReplicas: 4
  metrics:
    - type: Resource
      resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}
";
