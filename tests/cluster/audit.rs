//! Least rights, by the API server's audit log: what the shipped roles grant is used, and what the doctor asks for is granted.

use std::{collections::BTreeMap, time::Duration};

use anyhow::ensure;
use serde_json::Value;
use testbed::{
    METRICS_SERVER_MANIFEST,
    audit::{self, Request, Right},
    doctor::ACCOUNT,
    wait::wait_for,
};

use crate::cluster::Cluster;

/// Blind autoscalers on every kind that the API server can scale, which makes the doctor read their scale.
const BLIND: [(&str, &str); 4] =
    [("apps/v1", "Deployment"), ("apps/v1", "ReplicaSet"), ("apps/v1", "StatefulSet"), ("v1", "ReplicationController")];

/// What anybody with an account may do (the roles `system:basic-user`, `system:discovery`, `system:public-info-viewer`).
const OF_EVERYBODY: [&str; 2] = ["", "selfsubjectaccessreviews"];

pub(crate) fn every_right_is_used_and_none_is_missing(cluster: &Cluster) {
    for (version, kind) in BLIND {
        cluster.kubectl().apply(&blind(version, kind));
    }
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
    cluster.kubectl().apply(METRICS_SERVER_MANIFEST);
    for (_, kind) in BLIND {
        cluster.kubectl().words(&format!("delete hpa blind-{} -n shop", kind.to_lowercase()));
    }
    let used = used.unwrap_or_else(|error| panic!("{error:#}"));
    cluster.expect_healthy();

    let asked = audit::requests_of(ACCOUNT, ACCOUNT).unwrap_or_else(|error| panic!("{error:#}"));
    let refused: Vec<_> =
        asked.iter().filter(|request| request.is_refused() && !cluster.is_refused_at(request.at)).collect();
    assert!(refused.is_empty(), "{} requests were refused: {:#?}", refused.len(), &refused[..refused.len().min(5)]);
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
        ("", "configmaps") => "awsAuth",
        ("networking.k8s.io", _) => "networkPolicies",
        ("rbac.authorization.k8s.io", _) => "rbac",
        ("metrics.k8s.io", _) => "probes",
        ("authorization.k8s.io", _) => "accessReviews",
        _ => "always",
    }
}
