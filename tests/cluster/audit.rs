//! Least rights, by the API server's audit log: what the shipped roles grant is used, and what the doctor asks for is granted.

use std::{collections::BTreeMap, time::Duration};

use anyhow::ensure;
use jiff::Timestamp;
use serde_json::Value;
use testbed::{
    audit::{self, Request, Right},
    doctor::ACCOUNT,
    wait::wait_for,
};

use crate::{
    cluster::Cluster,
    matrix::{Kind, Row},
};

/// The last row of a bed.
pub(crate) const ROWS: &[Row] = &[Row {
    name: "every right is used",
    injection: "blind autoscalers on every kind that scales, no APIService: the audit log has a request for each permission of deploy/",
    kind: Kind::Own(every_right_is_used),
}];

/// Rows in which somebody refuses what the doctor asks for: its rights are taken away, or a proxy stands in the way.
const REFUSED_ON_PURPOSE: [&str; 9] = [
    // No role lets it read the scale of a kind that is not built in.
    "every right is used",
    "doctor may not read metrics",
    "rights of the doctor revoked",
    "proxy in the environment of kube-apiserver",
    "proxy that closes connections, seen in the static pod",
    "proxy that forbids, seen in the static pod",
    "requests for serving certificates pending, no logs",
    // The shipped right to logs holds in kube-system, and some packagings live elsewhere.
    "every packaging",
    // Without the right to ask it lets nobody in.
    "the API server decides who reads the page",
];

/// What was refused to the doctor since then and no shipped permission covers, unless the row means it so. What is covered is
/// refused for the first moments of an API server that has not read its roles yet.
pub(crate) fn nothing_was_refused(cluster: &Cluster, row: &str, since: Timestamp) -> Result<(), String> {
    if REFUSED_ON_PURPOSE.contains(&row) {
        return Ok(());
    }
    let rights = shipped(cluster);
    let is_covered = |request: &Request| {
        OF_EVERYBODY.contains(&request.resource.as_str()) || rights.iter().any(|right| right.covers(request))
    };
    let asked = audit::requests_of(ACCOUNT, ACCOUNT).map_err(|error| format!("{error:#}"))?;
    let refused: Vec<_> =
        asked.iter().filter(|request| request.at >= since && request.is_refused() && !is_covered(request)).collect();
    match refused.as_slice() {
        [] => Ok(()),
        [first, ..] => Err(format!("{} requests of the doctor were refused, the first: {first:#?}", refused.len())),
    }
}

/// Blind autoscalers on every kind that the API server can scale, which makes the doctor read their scale.
const BLIND: [(&str, &str); 4] =
    [("apps/v1", "Deployment"), ("apps/v1", "ReplicaSet"), ("apps/v1", "StatefulSet"), ("v1", "ReplicationController")];

/// A kind that can be scaled and is not built in.
const THINGS: &str = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: things.example.org}\n\
    spec:\n  group: example.org\n  scope: Namespaced\n  names: {kind: Thing, plural: things}\n  versions:\n  - name: v1\n    served: true\n    \
    storage: true\n    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}\n    \
    subresources: {scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}}\n";

/// What anybody with an account may do (the roles `system:basic-user`, `system:discovery`, `system:public-info-viewer`).
const OF_EVERYBODY: [&str; 2] = ["", "selfsubjectaccessreviews"];

fn every_right_is_used(cluster: &Cluster) {
    let with_reviews = [("METRICS_SERVER_DOCTOR_WITH", "access-reviews")];
    cluster.doctor().restart(&with_reviews).expect("the doctor starts");
    for (version, kind) in BLIND {
        cluster.kubectl().apply(&blind(version, kind));
    }
    // A kind that is not built in, and a pod that is not Ready yet.
    cluster.kubectl().apply(THINGS);
    cluster.kubectl().apply(&blind("example.org/v1", "Thing"));
    cluster.kubectl().words("delete pods -n kube-system -l k8s-app=metrics-server");
    // The chain is broken, so metrics-server is looked for in the whole cluster as whatever it may run.
    cluster.kubectl().words("delete apiservice v1beta1.metrics.k8s.io");
    let rights = shipped(cluster);
    assert!(rights.len() > 30, "only {} permissions are shipped", rights.len());
    let used = wait_for("every permission to be used", Duration::from_secs(90), || {
        let asked = audit::requests_of(ACCOUNT, ACCOUNT)?;
        let count = |right: &Right| asked.iter().filter(|request| right.let_in(request)).count();
        let counts: BTreeMap<Right, usize> = rights.iter().map(|right| (right.clone(), count(right))).collect();
        let unused: Vec<_> = counts.iter().filter(|(_, count)| **count == 0).map(|(right, _)| line(right)).collect();
        ensure!(unused.is_empty(), "never used: {unused:#?}");
        Ok(counts)
    });
    cluster.apply_manifest();
    for (_, kind) in BLIND {
        cluster.kubectl().words(&format!("delete hpa blind-{} -n shop", kind.to_lowercase()));
    }
    cluster.kubectl().words("delete hpa blind-thing -n shop");
    cluster.kubectl().words("delete customresourcedefinition things.example.org");
    cluster.doctor().restart(&[]).expect("the doctor starts");
    let used = used.unwrap_or_else(|error| panic!("{error:#}"));
    cluster.expect_healthy().unwrap_or_else(|error| panic!("{error:#}"));

    let asked = audit::requests_of(ACCOUNT, ACCOUNT).unwrap_or_else(|error| panic!("{error:#}"));
    let others: Vec<_> = asked.iter().filter(|request| is_let_by_another(request, &rights)).collect();
    assert!(others.is_empty(), "let by roles that are not shipped: {:#?}", &others[..others.len().min(5)]);

    println!("{} requests of the doctor are in the audit log. Permission | feature | requests", asked.len());
    for (right, count) in used {
        println!("  {} | {} | {count}", line(&right), feature(&right));
    }
}

fn is_let_by_another(request: &Request, rights: &[Right]) -> bool {
    request.is_allowed
        && !OF_EVERYBODY.contains(&request.resource.as_str())
        && !rights.iter().any(|right| right.let_in(request))
}

fn blind(version: &str, kind: &str) -> String {
    format!(
        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: blind-{}, namespace: shop}}\n\
         spec:\n  scaleTargetRef: {{apiVersion: {version}, kind: {kind}, name: missing}}\n  maxReplicas: 2\n\
         \x20 metrics: [{{type: Resource, resource: {{name: cpu, target: {{type: Utilization, averageUtilization: 50}}}}}}]\n",
        kind.to_lowercase()
    )
}

/// Every permission of the roles that the deployment has brought.
fn shipped(cluster: &Cluster) -> Vec<Right> {
    let text =
        cluster.kubectl().words("get clusterroles,roles -A -l app.kubernetes.io/name=metrics-server-doctor -o json");
    let list: Value = serde_json::from_str(&text).expect("JSON");
    list["items"].as_array().expect("a list").iter().flat_map(Right::all_of).collect()
}

fn line(right: &Right) -> String {
    let group = if right.group.is_empty() { String::new() } else { format!(".{}", right.group) };
    let names = if right.names.is_empty() { String::new() } else { format!(" {}", right.names.join(",")) };
    let place = right.namespace.as_deref().unwrap_or("*");
    format!("{} {}{group}{names} in {place}", right.verb, right.resource)
}

/// The feature that a permission belongs to, as the chart's values name it; `always` where none can be turned off.
fn feature(right: &Right) -> &'static str {
    match (right.group.as_str(), right.resource.as_str()) {
        ("", "nodes") => "nodes",
        ("", "pods/log") => "logs",
        ("", "configmaps") if right.names == ["aws-auth"] => "awsAuth",
        ("", "configmaps") => "authenticationConfig",
        ("", "events") => "events",
        ("certificates.k8s.io", _) => "certificateRequests",
        ("apiextensions.k8s.io", _) => "customResourceDefinitions",
        ("networking.k8s.io", _) => "networkPolicies",
        ("rbac.authorization.k8s.io", _) => "rbac",
        ("metrics.k8s.io", _) => "probes",
        ("authorization.k8s.io", _) => "accessReviews",
        _ => "always",
    }
}
