//! What is off is neither granted nor asked for, and its checks say that nobody looked.

use std::{collections::BTreeMap, time::Duration};

use anyhow::ensure;
use serde_json::Value;
use testbed::{
    Bed, METRICS_SERVER_MANIFEST,
    page::{self, Page},
    wait::wait_for,
};

use crate::{
    chart::{AS_AUDITED, helm},
    installed::{self, NAME, Running},
};

/// Values of the chart, and the checks that are unknown with them on a healthy cluster, where they pass or are skipped by default.
///
/// Features have other evidence to stand on while nothing is wrong: a path that carries the aggregator's calls needs no dial, samples
/// prove the permissions by which they were got, and the evaluation of RBAC objects stands in for the reviews.
const VALUES: &[(&str, &[&str])] = &[
    ("features.rbac=false", &["forbidden/reader_role"]),
    ("features.rbac=false,features.accessReviews=true", &["forbidden/reader_role"]),
    // What these look at decides only where something is wrong, and aws-auth on nodes of EKS alone.
    ("features.awsAuth=false", &[]),
    ("features.authenticationConfig=false", &[]),
    ("features.certificateRequests=false", &[]),
    ("features.customResourceDefinitions=false", &[]),
    ("features.events=false", &[]),
    ("features.nodes=false", &["retrieve/coverage"]),
    ("features.networkPolicies=false", &["timeout/network_policy", "timeout/network_policy_egress"]),
    ("features.logs=false", &["logs/lines"]),
    ("features.probes=false", &["retrieve/coverage", "retrieve/freshness", "retrieve/nodes", "retrieve/pods"]),
    ("features.dial=false", &[]),
];

/// State of every check, and what the report says of it.
type States = BTreeMap<String, (String, String)>;

/// Endpoints by how the doctor's dial of them ended: absent where it does not dial.
const DIALLED: &str = "metrics_server_doctor_endpoints_dial_outcome";

pub(crate) fn off(bed: &Bed) {
    bed.kubectl().apply(METRICS_SERVER_MANIFEST);
    bed.await_healthy().unwrap_or_else(|error| panic!("{error:#}"));
    // So soon after its start missing samples would prove nothing.
    let pod = bed.kubectl().words("get pods -n kube-system -l k8s-app=metrics-server -o name");
    let started = r#"{"status": {"startTime": "2026-01-01T00:00:00Z"}}"#;
    bed.kubectl().patch(&format!("{} -n kube-system --subresource=status", pod.trim()), "merge", started);
    bed.kubectl().words(&format!("create namespace {NAME}"));

    helm(&format!("install doctor CHART -n {NAME} {AS_AUDITED} --wait --timeout 60s"));
    let (_, page) = look(bed, "every feature on", &[]);
    assert!(page.named(DIALLED).count() > 0, "it does not dial");
    for (values, unknown) in VALUES {
        let begin = jiff::Timestamp::now();
        helm(&format!("upgrade doctor CHART -n {NAME} {AS_AUDITED} --set {values} --wait --timeout 60s"));
        let (states, page) = look(bed, values, unknown);
        assert_eq!(page.named(DIALLED).count() == 0, values.contains("dial"), "{values}");
        for check in *unknown {
            assert!(
                states[*check].1.contains("not looked at"),
                "{values}: the report says of {check}: {}",
                states[*check].1
            );
        }
        let refused = installed::refused(NAME, NAME, begin);
        assert!(refused.is_empty(), "refused with {values}: {refused:#?}");
    }
    helm(&format!("uninstall doctor -n {NAME} --wait"));
    bed.kubectl().words(&format!("delete namespace {NAME} --wait"));
}

/// Runs the installed doctor until these checks are unknown and no other.
fn look(bed: &Bed, values: &str, unknown: &[&str]) -> (States, Page) {
    let deployment = installed::get(bed, &format!("deployment {NAME} -n {NAME}"));
    let doctor = Running::start(bed, (NAME, NAME), &installed::flags(&deployment["spec"]["template"]["spec"]));
    let states = wait_for(&format!("{unknown:?} to be unknown with {values}"), Duration::from_secs(30), || {
        let (_, report) = page::get(doctor.address, "/api/v1/report")?;
        let report: Value = serde_json::from_str(&report)?;
        // Without a call of its own it saw nobody get samples, and calls nothing healthy.
        let verdict = if values.contains("probes") { "undetermined" } else { "healthy" };
        ensure!(report["verdict"]["cause"] == verdict, "the verdict is {}", report["verdict"]);
        let states = states(&report);
        let seen: Vec<_> =
            states.iter().filter(|(_, (status, _))| status == "unknown").map(|(check, _)| check.as_str()).collect();
        ensure!(seen == unknown, "{seen:?} are unknown");
        Ok(states)
    });
    let states = states.unwrap_or_else(|error| panic!("{error:#}"));
    (states, Page::scrape(doctor.address).unwrap_or_else(|error| panic!("{error:#}")))
}

fn states(report: &Value) -> States {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let steps = report["steps"].as_array().into_iter().flatten();
    let checks = steps
        .flat_map(|step| step["checks"].as_array().into_iter().flatten().map(|check| (text(&step["step"]), check)));
    checks
        .map(|(step, check)| {
            (format!("{step}/{}", text(&check["check"])), (text(&check["status"]), text(&check["summary"])))
        })
        .collect()
}
