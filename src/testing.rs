//! A healthy snapshot for unit tests: start from it and change one thing.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{
    check::{Answer, Check},
    facts::Facts,
    guide::Step,
    snapshot::{
        ApiService, Collection, EndpointSlice, HorizontalPodAutoscaler, KubernetesVersion, Node, Observed, Pod,
        Retrieval, Role, RoleBinding, Service, ServiceAccount, Snapshot, Workload,
        retrieval::{self, Sample},
    },
};

/// The moment of [`healthy`].
pub(crate) const NOW: &str = "2026-01-01T12:00:00Z";

/// Reads an object from JSON.
pub(crate) fn object<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("a valid object")
}

/// [`healthy`] without the Service that the `APIService` names, as the API server then says.
pub(crate) fn without_service() -> Snapshot {
    let api_service: ApiService = object(json!({
        "metadata": {"name": "v1beta1.metrics.k8s.io"},
        "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "insecureSkipTLSVerify": true,
            "service": {"namespace": "kube-system", "name": "metrics-server", "port": 443}},
        "status": {"conditions": [{"type": "Available", "status": "False", "reason": "ServiceNotFound",
            "message": "service/metrics-server in \"kube-system\" is not present", "lastTransitionTime": at(-60)}]}
    }));
    Snapshot {
        api_services: Collection::complete([api_service]),
        services: Collection::complete([]),
        endpoint_slices: Collection::complete([]),
        ..healthy()
    }
}

/// A moment before (negative) or after [`NOW`], as text.
pub(crate) fn at(seconds: i64) -> String {
    let now: Timestamp = NOW.parse().expect("a timestamp");
    (now + jiff::SignedDuration::from_secs(seconds)).to_string()
}

/// metrics-server 0.9.0 by its manifest on Kubernetes 1.37: two nodes, one pod of metrics-server, a Deployment `shop/web`
/// with an autoscaler that knows its target. Every collection is complete.
#[expect(clippy::too_many_lines, reason = "one object after another")]
pub(crate) fn healthy() -> Snapshot {
    let labels = json!({"k8s-app": "metrics-server"});
    let container = json!({
        "name": "metrics-server",
        "image": "registry.k8s.io/metrics-server/metrics-server:v0.9.0",
        "args": ["--cert-dir=/tmp", "--secure-port=10250", "--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname", "--kubelet-use-node-status-port", "--metric-resolution=15s"],
        "ports": [{"name": "https", "containerPort": 10250, "protocol": "TCP"}],
        "resources": {"requests": {"cpu": "100m", "memory": "200Mi"}},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "https", "scheme": "HTTPS"}, "initialDelaySeconds": 20, "periodSeconds": 10},
        "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}}
    });
    let spec = json!({"serviceAccountName": "metrics-server", "containers": [container]});
    let mut pod_spec = spec.clone();
    pod_spec["nodeName"] = json!("node-1");
    let pod: Pod = object(json!({
        "metadata": {"name": "metrics-server-5d8f-abcde", "namespace": "kube-system", "labels": {"k8s-app": "metrics-server", "pod-template-hash": "5d8f"}, "creationTimestamp": at(-86_400),
            "ownerReferences": [{"kind": "ReplicaSet", "name": "metrics-server-5d8f", "controller": true}]},
        "spec": pod_spec,
        "status": {"phase": "Running", "podIP": "10.0.1.10", "podIPs": [{"ip": "10.0.1.10"}], "startTime": at(-86_400),
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": at(-86_000)}],
            "containerStatuses": [{"name": "metrics-server", "ready": true, "restartCount": 0, "state": {"running": {"startedAt": at(-86_390)}}}]}
    }));
    let web_pod: Pod = object(json!({
        "metadata": {"name": "web-1", "namespace": "shop", "labels": {"app": "web"}, "creationTimestamp": at(-86_400)},
        "spec": {"nodeName": "node-2", "containers": [{"name": "web", "image": "web:1", "resources": {"requests": {"cpu": "100m"}}}]},
        "status": {"phase": "Running", "startTime": at(-86_400), "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": at(-86_000)}]}
    }));
    let subject = json!([{"kind": "ServiceAccount", "name": "metrics-server", "namespace": "kube-system"}]);
    let binding = |namespace: &str, name: &str, kind: &str, role: &str| -> RoleBinding {
        object(
            json!({"metadata": {"namespace": namespace, "name": name}, "roleRef": {"kind": kind, "name": role}, "subjects": subject}),
        )
    };
    let role = |namespace: &str, name: &str, rules: Value| -> Role {
        object(json!({"metadata": {"namespace": namespace, "name": name}, "rules": rules}))
    };
    let sample = |namespace: &str, name: &str| Sample {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        timestamp: at(-20).parse().ok(),
        window: Some(std::time::Duration::from_secs(15)),
        unknown: false,
    };
    let retrieval =
        |samples| Observed::Present(Retrieval { outcome: retrieval::Outcome::Samples(samples), latency: None });
    Snapshot {
        observed_at: NOW.parse().expect("a timestamp"),
        server_version: Observed::Present(KubernetesVersion { major: 1, minor: 37 }),
        api_services: Collection::complete([object::<ApiService>(json!({
            "metadata": {"name": "v1beta1.metrics.k8s.io", "creationTimestamp": at(-86_400)},
            "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "insecureSkipTLSVerify": true, "service": {"namespace": "kube-system", "name": "metrics-server", "port": 443}},
            "status": {"conditions": [{"type": "Available", "status": "True", "reason": "Passed", "message": "all checks passed", "lastTransitionTime": at(-86_000)}]}
        }))]),
        services: Collection::complete([object::<Service>(json!({
            "metadata": {"name": "metrics-server", "namespace": "kube-system", "labels": labels},
            "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.20", "selector": labels, "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": "https"}]}
        }))]),
        endpoint_slices: Collection::complete([object::<EndpointSlice>(json!({
            "metadata": {"name": "metrics-server-x1", "namespace": "kube-system", "labels": {"kubernetes.io/service-name": "metrics-server"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.0.1.10"], "conditions": {"ready": true, "serving": true, "terminating": false}, "targetRef": {"kind": "Pod", "namespace": "kube-system", "name": "metrics-server-5d8f-abcde"}, "nodeName": "node-1"}],
            "ports": [{"name": "https", "port": 10250, "protocol": "TCP"}]
        }))]),
        pods: Collection::complete([pod, web_pod]),
        workloads: Collection::complete([
            object::<Workload>(json!({
                "metadata": {"name": "metrics-server", "namespace": "kube-system", "labels": labels, "generation": 1, "creationTimestamp": at(-86_400)},
                "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
                "status": {"replicas": 1, "availableReplicas": 1, "readyReplicas": 1, "updatedReplicas": 1, "observedGeneration": 1,
                    "conditions": [{"type": "Available", "status": "True"}]}
            })),
            object::<Workload>(json!({
                "metadata": {"name": "web", "namespace": "shop"},
                "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "web:1", "resources": {"requests": {"cpu": "100m"}}}]}}},
                "status": {"replicas": 1, "availableReplicas": 1, "readyReplicas": 1}
            })),
        ]),
        nodes: Collection::complete(["node-1", "node-2"].map(|name| {
            object::<Node>(json!({
                "metadata": {"name": name, "creationTimestamp": at(-90_000)},
                "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}], "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": at(-89_000)}], "nodeInfo": {"architecture": "amd64", "kubeletVersion": "v1.37.2"}}
            }))
        })),
        autoscalers: Collection::complete([object::<HorizontalPodAutoscaler>(json!({
            "metadata": {"name": "web", "namespace": "shop", "creationTimestamp": at(-86_400)},
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "minReplicas": 1, "maxReplicas": 5,
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]},
            "status": {"currentReplicas": 1, "desiredReplicas": 1,
                "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 10, "averageValue": "10m"}}}],
                "conditions": [
                    {"type": "AbleToScale", "status": "True", "reason": "ReadyForNewScale", "lastTransitionTime": at(-86_000)},
                    {"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound", "lastTransitionTime": at(-86_000)}]}
        }))]),
        scales: Collection::default(),
        service_accounts: Collection::complete([object::<ServiceAccount>(json!({"metadata": {"name": "metrics-server", "namespace": "kube-system"}}))]),
        roles: Collection::complete([
            role("", "system:metrics-server", json!([
                {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
                {"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]}])),
            role("", "system:auth-delegator", json!([
                {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
                {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]}])),
            role("", "system:aggregated-metrics-reader", json!([
                {"apiGroups": ["metrics.k8s.io"], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]}])),
            role("kube-system", "extension-apiserver-authentication-reader", json!([
                {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["extension-apiserver-authentication"], "verbs": ["get", "list", "watch"]}])),
        ]),
        role_bindings: Collection::complete([
            binding("", "system:metrics-server", "ClusterRole", "system:metrics-server"),
            binding("", "metrics-server:system:auth-delegator", "ClusterRole", "system:auth-delegator"),
            binding("kube-system", "metrics-server-auth-reader", "Role", "extension-apiserver-authentication-reader"),
        ]),
        config_maps: Collection::complete([]),
        network_policies: Collection::complete([]),
        events: Collection::complete([]),
        logs: Collection::default(),
        top_nodes: retrieval(vec![sample("", "node-1"), sample("", "node-2")]),
        top_pods: retrieval(vec![sample("kube-system", "metrics-server-5d8f-abcde")]),
        ..Snapshot::default()
    }
}

/// Runs one check on a snapshot.
pub(crate) fn run(step: Step, check: &str, snapshot: &Snapshot) -> Answer {
    let check: &Check = crate::steps::checks(step)
        .iter()
        .find(|known| known.id == check)
        .unwrap_or_else(|| panic!("step {step} has no check {check}"));
    check.run(&Facts::new(snapshot))
}
