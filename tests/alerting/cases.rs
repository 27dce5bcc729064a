//! The faults, and what has to be told of each.

use std::{collections::BTreeSet, time::Duration};

use anyhow::ensure;
use serde_json::json;
use testbed::{
    firewall::{Action, Fault, Path},
    kubelet::MetricsFault,
    wait::wait_for,
};

use crate::{
    dashboards,
    stack::{Stack, name},
    told,
};

const SERVICE: &str = "service metrics-server -n kube-system";
const PORT: u16 = 10250;

pub(crate) fn service_port(stack: &Stack) {
    let told = [told::SERVICE_PORT.told];
    stack.kubectl().patch(SERVICE, "json", r#"[{"op":"replace","path":"/spec/ports/0/port","value":8443}]"#);
    stack.expect(&told);
    dashboards::in_a_fault(stack);
    stack.repair("other_reasons", "/spec/ports/0/port", &[]);
    stack.expect_resolved(&told);
}

pub(crate) fn selector(stack: &Stack) {
    let told = [told::SELECTOR.told];
    stack.kubectl().patch(SERVICE, "merge", r#"{"spec":{"selector":{"k8s-app":"metric-server"}}}"#);
    stack.expect(&told);
    stack.repair("other_reasons", r#""selector""#, &[]);
    stack.expect_resolved(&told);
}

pub(crate) fn dropped(stack: &Stack) {
    let told = [told::DROPPED.told];
    let fault = Fault::begin(Path::ControlPlaneToPods, PORT, Action::Drop).expect("nftables");
    stack.expect(&told);
    drop(fault);
    stack.expect_resolved(&told);
}

pub(crate) fn sidecar(stack: &Stack) {
    let told = [told::SIDECAR.told];
    stack.kubectl().apply(SIDECAR);
    stack.expect(&told);
    dashboards::with_a_blind_autoscaler(stack);
    stack.repair("hpa", "set resources", &[("NAMESPACE", "shop"), ("NAME", "sidecar")]);
    stack.expect_resolved(&told);
    stack.kubectl().words("delete hpa,deployment sidecar -n shop");
}

pub(crate) fn changes(stack: &Stack) {
    let kubectl = stack.kubectl();
    kubectl.words("rollout restart deployment metrics-server -n kube-system");
    kubectl.words("rollout restart deployment web -n shop");
    stack.expect_silence();
    kubectl.words("scale deployment web -n shop --replicas=0");
    stack.expect_silence();
    kubectl.words("scale deployment web -n shop --replicas=2");
    stack.expect_calm();
}

pub(crate) fn kubelets_unauthorized(stack: &Stack) {
    let told = [told::KUBELETS.told];
    stack.bed.kubelet.fault(None, MetricsFault::Status(401));
    stack.expect(&told);
    stack.bed.kubelet.heal();
    stack.expect_resolved(&told);
}

pub(crate) fn auth_reader(stack: &Stack) {
    let told = [told::AUTH_READER.told];
    let kubectl = stack.kubectl();
    kubectl.words("delete rolebinding metrics-server-auth-reader -n kube-system");
    // A server that runs has read the ConfigMap; the next one cannot start.
    kubectl.words("delete pod -n kube-system -l k8s-app=metrics-server");
    stack.expect(&told);
    stack.repair("forbidden", "create rolebinding", &[]);
    stack.repair("forbidden", "rollout restart", &[]);
    stack.expect_resolved(&told);
}

pub(crate) fn rights_revoked(stack: &Stack) {
    let told = [told::RIGHTS.told];
    stack.kubectl().words("delete clusterrolebinding metrics-server-doctor");
    stack.expect(&told);
    stack.repair("doctor", "apply -k deploy/base", &[]);
    stack.expect_resolved(&told);
}

pub(crate) fn doctor_killed(stack: &Stack) {
    let told = [told::KILLED.told];
    stack.kill_doctor();
    stack.expect(&told);
    // metrics-server is as before: whoever comes back has nothing to tell.
    wait_for("the metrics API", Duration::from_mins(1), || stack.bed.await_healthy()).expect("a healthy cluster");
    stack.start_doctor();
    stack.expect_resolved(&told);
}

/// The shipped inhibition alone: alerts that the expressions hold back are raised by hand, in a cluster of their own.
pub(crate) fn inhibition(stack: &Stack) {
    let alert = |name: &str, severity: &str, step: &str, cause: &str| json!({"alertname": name, "severity": severity, "step": step, "cause": cause, "cluster": "c"});
    let of_workload = |name: &str, label: &str, object: &str| json!({"alertname": name, "severity": "warning", "namespace": "kube-system", label: object, "cluster": "c"});
    let mut outage = alert("MetricsServerTimeout", "critical", "timeout", "control_plane_path_closed");
    outage["namespace"] = json!("kube-system");
    let active = [
        outage,
        of_workload("KubePodCrashLooping", "pod", "coredns-7f9c-abc"),
        of_workload("KubeDeploymentReplicasMismatch", "deployment", "metrics-server-doctor"),
        alert("HPATargetsUnknown", "warning", "hpa", "missing_request"),
        alert("MetricsServerForbidden", "warning", "forbidden", "aws_auth_username_missing"),
        alert("MetricsServerDoctorBlind", "info", "none", "permission_missing"),
    ];
    let mut another_cluster = alert("MetricsServerRetrievalFailing", "critical", "retrieve", "metrics_api_failing");
    another_cluster["cluster"] = json!("d");
    let suppressed = [
        alert("MetricsServerTimeout", "warning", "timeout", "control_plane_path_closed"),
        alert("MetricsServerRetrievalFailing", "critical", "retrieve", "metrics_api_failing"),
        alert("MetricsServerAPIServiceUnavailable", "critical", "apiservice", "apiservice_unavailable"),
        alert("HPATargetsUnknown", "critical", "hpa", "metrics_api_down"),
        alert("HPATargetsUnknown", "warning", "hpa", "no_samples_yet"),
        alert("MetricsServerKnownIssue", "info", "known_issues", "kubelet_timeout"),
        json!({"alertname": "KubeAggregatedAPIDown", "severity": "warning", "name": "v1beta1.metrics.k8s.io", "cluster": "c"}),
        of_workload("KubePodCrashLooping", "pod", "metrics-server-5d8f-x2x"),
        of_workload("KubeDeploymentReplicasMismatch", "deployment", "metrics-server"),
    ];
    let all: Vec<_> = active.iter().chain([&another_cluster]).chain(&suppressed).cloned().collect();
    stack.alertmanager.raise(&all).expect("alerts");
    let named = |alerts: &[serde_json::Value]| -> BTreeSet<String> {
        alerts.iter().map(|labels| name(&json!({"labels": labels}))).collect()
    };
    let told = wait_for("Alertmanager's states", Duration::from_secs(20), || {
        let known = stack.alertmanager.alerts()?;
        let of = |state: &str, cluster: &str| -> BTreeSet<String> {
            let chosen =
                known.iter().filter(|alert| alert["status"]["state"] == state && alert["labels"]["cluster"] == cluster);
            chosen.map(name).collect()
        };
        ensure!(of("suppressed", "c") == named(&suppressed), "suppressed: {:?}", of("suppressed", "c"));
        ensure!(of("active", "c") == named(&active), "active: {:?}", of("active", "c"));
        ensure!(of("active", "d").len() == 1, "another cluster is inhibited too");
        Ok(())
    });
    told.unwrap_or_else(|error| panic!("{error:#}"));
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
