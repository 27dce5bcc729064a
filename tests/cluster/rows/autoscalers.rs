//! Autoscalers that do not know their targets, beside a metrics-server that works.

use crate::{
    cluster::Cluster,
    matrix::{Expected, Fault, HEALTHY, Kind, Row, Shown},
};

const FAILS: &[(&str, &str)] = &[("hpa/targets", "fail"), ("apiservice/available", "pass"), ("retrieve/pods", "pass")];

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "HPA on pods with a sidecar without request",
        injection: "a Deployment whose second container has no CPU request, and an HPA with a Utilization target",
        kind: Kind::Fault(Fault::new(
            |cluster| {
                cluster.kubectl().apply(&deployment("sidecar", &format!("{APPLICATION}{PROXY}"), "", 2));
                cluster.kubectl().apply(&autoscaler("sidecar", "sidecar", CPU));
            },
            Shown::Autoscaler { name: "sidecar", condition: "ScalingActive", reason: "FailedGetResourceMetric" },
            Expected {
                verdict: "hpa/missing_request",
                unknown_targets: &[("sidecar", 1.0), ("web", 0.0)],
                checks: FAILS,
                ..HEALTHY
            },
            |cluster| delete(cluster, "sidecar"),
        )),
    },
    Row {
        name: "foreign pod under the selector",
        injection: "a pod without an owner with the labels of the target's pods and no request",
        kind: Kind::Fault(Fault::new(
            |cluster| {
                cluster.kubectl().apply(FOREIGN_POD);
            },
            Shown::Autoscaler { name: "web", condition: "ScalingActive", reason: "FailedGetResourceMetric" },
            Expected { verdict: "hpa/missing_request", unknown_targets: &[("web", 1.0)], checks: FAILS, ..HEALTHY },
            |cluster| drop(cluster.kubectl().words("delete pod stray -n shop")),
        )),
    },
    Row {
        name: "HPA target missing",
        injection: "an HPA whose scaleTargetRef names no Deployment",
        kind: Kind::Fault(Fault::new(
            |cluster| cluster.kubectl().apply(&autoscaler("nowhere", "no-such-deployment", CPU)),
            Shown::Autoscaler { name: "nowhere", condition: "AbleToScale", reason: "FailedGetScale" },
            Expected {
                verdict: "hpa/target_not_found",
                unknown_targets: &[("nowhere", 1.0), ("web", 0.0)],
                checks: FAILS,
                ..HEALTHY
            },
            |cluster| drop(cluster.kubectl().words("delete hpa nowhere -n shop")),
        )),
    },
    Row {
        name: "two HPAs on one selector",
        injection: "a second HPA on the same Deployment: reason AmbiguousSelector",
        kind: Kind::Fault(Fault::new(
            |cluster| cluster.kubectl().apply(&autoscaler("second", "web", CPU)),
            Shown::Autoscaler { name: "second", condition: "ScalingActive", reason: "AmbiguousSelector" },
            Expected { verdict: "hpa/selector", checks: FAILS, ..HEALTHY },
            |cluster| drop(cluster.kubectl().words("delete hpa second -n shop")),
        )),
    },
    Row {
        name: "custom metric",
        injection: "an HPA with a Pods metric, and no adapter",
        kind: Kind::Fault(Fault::new(
            |cluster| {
                custom(
                    cluster,
                    "custom",
                    "pods: {metric: {name: requests}, target: {type: AverageValue, averageValue: 10}}",
                    "Pods",
                );
            },
            Shown::Autoscaler { name: "custom", condition: "ScalingActive", reason: "FailedGetPodsMetric" },
            Expected {
                verdict: "hpa/not_metrics_server",
                unknown_targets: &[("custom", 1.0), ("web", 0.0)],
                checks: FAILS,
                ..HEALTHY
            },
            |cluster| delete(cluster, "custom"),
        )),
    },
    Row {
        name: "external metric",
        injection: "an HPA with an External metric, and no adapter",
        kind: Kind::Fault(Fault::new(
            |cluster| {
                custom(
                    cluster,
                    "external",
                    "external: {metric: {name: queue}, target: {type: Value, value: 10}}",
                    "External",
                );
            },
            Shown::Autoscaler { name: "external", condition: "ScalingActive", reason: "FailedGetExternalMetric" },
            Expected {
                verdict: "hpa/not_metrics_server",
                unknown_targets: &[("external", 1.0), ("web", 0.0)],
                checks: FAILS,
                ..HEALTHY
            },
            |cluster| delete(cluster, "external"),
        )),
    },
    Row {
        name: "target scaled to zero and back",
        injection: "the HPA's Deployment is scaled to zero and back: reason ScalingDisabled",
        kind: Kind::Quiet(|cluster| {
            cluster.kubectl().apply(&deployment("asleep", APPLICATION, "", 1));
            cluster.kubectl().apply(&autoscaler("asleep", "asleep", CPU));
            cluster.kubectl().words("scale deployment asleep -n shop --replicas=0");
            await_reason(cluster, "asleep", "ScalingDisabled");
            std::thread::sleep(std::time::Duration::from_secs(3));
            cluster.kubectl().words("scale deployment asleep -n shop --replicas=1");
            await_reason(cluster, "asleep", "ValidMetricFound");
            delete(cluster, "asleep");
        }),
    },
    Row {
        name: "HPA that has just been made",
        injection: "a Deployment and its HPA, until it knows its targets",
        kind: Kind::Quiet(|cluster| {
            cluster.kubectl().apply(&deployment("young", APPLICATION, "", 2));
            cluster.kubectl().apply(&autoscaler("young", "young", CPU));
            await_reason(cluster, "young", "ValidMetricFound");
            delete(cluster, "young");
        }),
    },
    Row {
        name: "pods of the target not Ready",
        injection: "the target's pods are reported as not Ready and have no samples of their own for three minutes",
        kind: Kind::Fault(Fault {
            within: std::time::Duration::from_secs(260),
            ..Fault::new(
                |cluster| {
                    cluster.kubectl().apply(&deployment("unready", APPLICATION, "testbed/ready: \"false\"", 2));
                    cluster.kubectl().apply(&autoscaler("unready", "unready", CPU));
                },
                Shown::Autoscaler { name: "unready", condition: "ScalingActive", reason: "FailedGetResourceMetric" },
                Expected {
                    verdict: "hpa/pods_not_ready",
                    unknown_targets: &[("unready", 1.0), ("web", 0.0)],
                    checks: FAILS,
                    ..HEALTHY
                },
                |cluster| delete(cluster, "unready"),
            )
        }),
    },
    Row {
        name: "no samples of the target's pods",
        injection: "kubelets leave the target's pods out for three minutes",
        kind: Kind::Fault(Fault {
            within: std::time::Duration::from_secs(260),
            ..Fault::new(
                |cluster| {
                    cluster.kubectl().apply(&deployment("silent", APPLICATION, "testbed/samples: \"false\"", 2));
                    cluster.kubectl().apply(&autoscaler("silent", "silent", CPU));
                },
                Shown::Autoscaler { name: "silent", condition: "ScalingActive", reason: "FailedGetResourceMetric" },
                Expected {
                    verdict: "hpa/no_samples_yet",
                    unknown_targets: &[("silent", 1.0), ("web", 0.0)],
                    checks: FAILS,
                    ..HEALTHY
                },
                |cluster| delete(cluster, "silent"),
            )
        }),
    },
];

pub(super) const CPU: &str =
    "{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}";
const APPLICATION: &str = "{name: application, image: 'shop/application:1', resources: {requests: {cpu: 200m}}}";
const PROXY: &str = ", {name: proxy, image: 'shop/proxy:1'}";

const FOREIGN_POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: stray, namespace: shop, labels: {app: web, testbed: fault}}
spec: {containers: [{name: stray, image: 'shop/stray:1'}]}
";

pub(super) fn deployment(name: &str, containers: &str, annotations: &str, replicas: u8) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: shop, labels: {{testbed: fault}}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}, annotations: {{{annotations}}}}}
    spec: {{containers: [{containers}]}}
"
    )
}

pub(super) fn autoscaler(name: &str, target: &str, metric: &str) -> String {
    format!(
        "apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: {name}, namespace: shop}}
spec:
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: {target}}}
  minReplicas: 1
  maxReplicas: 4
  metrics: [{metric}]
"
    )
}

fn custom(cluster: &Cluster, name: &str, source: &str, kind: &str) {
    cluster.kubectl().apply(&deployment(name, APPLICATION, "", 1));
    cluster.kubectl().apply(&autoscaler(name, name, &format!("{{type: {kind}, {source}}}")));
}

fn delete(cluster: &Cluster, name: &str) {
    cluster.kubectl().words(&format!("delete hpa,deployment {name} -n shop"));
}

fn await_reason(cluster: &Cluster, name: &str, reason: &str) {
    let words =
        format!("get hpa {name} -n shop -o jsonpath={{.status.conditions[?(@.type==\"ScalingActive\")].reason}}");
    cluster.await_output(&format!("ScalingActive of {name}: {reason}"), &words, reason);
}
