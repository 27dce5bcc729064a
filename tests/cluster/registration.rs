//! `APIService`, Service, ports and selector.

use crate::cluster::{Cluster, Expected, HEALTHY};

const SERVICE: &str = "service metrics-server -n kube-system";
const DOWN: Expected<'static> = Expected { available: false, checks: &[("apiservice/available", "fail")], ..HEALTHY };

pub(crate) fn healthy(cluster: &Cluster) {
    cluster.expect_healthy();
}

pub(crate) fn api_service_missing(cluster: &Cluster) {
    cluster.kubectl().words("delete apiservice v1beta1.metrics.k8s.io");
    cluster.expect(&Expected {
        verdict: "installed/apiservice_missing",
        endpoints: None,
        checks: &[("installed/registered", "fail"), ("apiservice/available", "skipped")],
        ..DOWN
    });
    cluster.kubectl().apply(testbed::METRICS_SERVER_MANIFEST);
    cluster.expect_healthy();
}

pub(crate) fn service_missing(cluster: &Cluster) {
    cluster.kubectl().words(&format!("delete {SERVICE}"));
    cluster.await_reason("ServiceNotFound");
    cluster.expect(&Expected {
        verdict: "other_reasons/service_not_found",
        endpoints: Some(0.0),
        checks: &[
            ("other_reasons/service", "fail"),
            ("other_reasons/endpoints", "skipped"),
            ("apiservice/available", "fail"),
        ],
        ..DOWN
    });
    cluster.kubectl().apply(testbed::METRICS_SERVER_MANIFEST);
    cluster.expect_healthy();
}

pub(crate) fn wrong_service_port(cluster: &Cluster) {
    let port = |number: u16| format!(r#"[{{"op":"replace","path":"/spec/ports/0/port","value":{number}}}]"#);
    cluster.kubectl().patch(SERVICE, "json", &port(8443));
    cluster.await_reason("ServicePortError");
    cluster.expect(&Expected {
        verdict: "other_reasons/service_port_mismatch",
        mismatches: &["service_port"],
        checks: &[("other_reasons/service_port", "fail"), ("other_reasons/service", "pass")],
        ..DOWN
    });
    cluster.kubectl().patch(SERVICE, "json", &port(443));
    cluster.expect_healthy();
}

pub(crate) fn wrong_target_port(cluster: &Cluster) {
    target_port(cluster, "4443");
    cluster.await_reason("FailedDiscoveryCheck");
    cluster.expect(&Expected {
        verdict: "connection_refused/target_port_mismatch",
        mismatches: &["target_port"],
        checks: &[("connection_refused/port_chain", "fail"), ("other_reasons/endpoints", "pass")],
        ..DOWN
    });
    target_port(cluster, r#""https""#);
    cluster.expect_healthy();
}

pub(crate) fn unknown_target_port_name(cluster: &Cluster) {
    target_port(cluster, r#""main-port""#);
    cluster.await_reason("MissingEndpoints");
    cluster.expect(&Expected {
        verdict: "other_reasons/port_name_unresolved",
        mismatches: &["target_port"],
        checks: &[("other_reasons/endpoints", "fail")],
        ..DOWN
    });
    target_port(cluster, r#""https""#);
    cluster.expect_healthy();
}

fn target_port(cluster: &Cluster, value: &str) {
    let patch = format!(r#"[{{"op":"replace","path":"/spec/ports/0/targetPort","value":{value}}}]"#);
    cluster.kubectl().patch(SERVICE, "json", &patch);
}

pub(crate) fn selector_matches_nothing(cluster: &Cluster) {
    cluster.kubectl().patch(SERVICE, "merge", r#"{"spec":{"selector":{"k8s-app":"metric-server"}}}"#);
    cluster.await_reason("MissingEndpoints");
    cluster.expect(&Expected {
        verdict: "other_reasons/selector_matches_nothing",
        endpoints: Some(0.0),
        checks: &[("other_reasons/endpoints", "fail"), ("other_reasons/deployment", "pass")],
        ..DOWN
    });
    cluster.kubectl().patch(SERVICE, "merge", r#"{"spec":{"selector":{"k8s-app":"metrics-server"}}}"#);
    cluster.expect_healthy();
}
