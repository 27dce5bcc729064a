//! Every query of the dashboards on a real Prometheus that scraped the real program.

mod support;

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use serde_json::Value;
use support::Server;
use testbed::{
    dashboards::{Query, queries},
    prometheus::{Prometheus, scraping},
    wait::wait_for,
};

/// What the sample cluster has nothing of: there is no live cluster to watch, no pod to dial, no log that tells of a cause, no
/// aws-auth and no certificate, neither of the API nor of the doctor. The real control plane has them.
const NEEDS_A_CLUSTER: [&str; 13] = [
    "metrics_server_doctor_aws_auth_entries",
    "metrics_server_doctor_aws_auth_malformed_entries",
    "metrics_server_doctor_apiservice_ca_bundle_not_after_timestamp_seconds",
    "metrics_server_doctor_endpoints_dial_latency_seconds",
    "metrics_server_doctor_endpoints_dial_outcome",
    "metrics_server_doctor_kubelet_requests_total",
    "metrics_server_doctor_log_last_seen_timestamp_seconds",
    "metrics_server_doctor_log_lines_total",
    "metrics_server_doctor_api_requests_total",
    "metrics_server_doctor_tls_certificate",
    "metrics_server_doctor_watch_objects",
    "metrics_server_doctor_watch_state",
    // No rules are loaded there.
    ":ratio30d",
];
/// What has no series while all is well.
const NEEDS_A_FAULT: [&str; 10] = [
    "ALERTS",
    "metrics_server_doctor_hpa_alerts_off",
    "metrics_server_doctor_hpa_containers_without_request",
    "metrics_server_doctor_hpa_blind_since_timestamp_seconds",
    "metrics_server_doctor_hpa_condition",
    "metrics_server_doctor_hpa_info",
    "metrics_server_doctor_hpa_targets",
    "metrics_server_doctor_hpa_unknown_cause",
    "metrics_server_doctor_node_without_sample{",
    "metrics_server_doctor_candidate",
];
/// What is 0 while all is well, so that a query for what is not finds nothing.
const ZERO_WITHOUT_FAULT: [&str; 9] = [
    "metrics_server_doctor_apiservice_condition_message_class",
    "metrics_server_doctor_deployment_containers_last_terminated",
    "metrics_server_doctor_deployment_containers_waiting",
    "hpa_unknown_targets",
    "metrics_server_doctor_known_issue_detected",
    "metrics_server_doctor_log_unscraped_nodes",
    "metrics_server_doctor_metrics_api_error",
    "metrics_server_doctor_findings",
    "metrics_server_doctor_permission_missing",
];

/// Whether a query may find nothing on the healthy sample cluster.
fn may_be_empty(expression: &str) -> bool {
    let counts_from_zero = expression.contains(" or 0 * count");
    let asks_for_more = expression.contains("== 1)") || expression.contains("> 0");
    is_of(expression, &NEEDS_A_CLUSTER)
        || is_of(expression, &NEEDS_A_FAULT) && !counts_from_zero
        || is_of(expression, &ZERO_WITHOUT_FAULT) && asks_for_more
}

struct Scene {
    doctor: Option<Server>,
    prometheus: Prometheus,
    _folder: tempfile::TempDir,
}

impl Scene {
    fn start(verdict: &str) -> Self {
        let doctor = Server::start(&["demo", "--scene", verdict, "--interval", "1"]);
        let folder = tempfile::tempdir().expect("a folder");
        let address: SocketAddr = free_address();
        let prometheus = Prometheus::start_in(folder.path(), address, &scraping(doctor.address)).expect("Prometheus");
        let scene = Self { doctor: Some(doctor), prometheus, _folder: folder };
        scene.wait_for("up == 1");
        scene.wait_for("rate(process_cpu_seconds_total[10s])");
        scene
    }

    fn wait_for(&self, expression: &str) {
        wait_for(expression, Duration::from_secs(30), || {
            anyhow::ensure!(!self.prometheus.query(expression)?.is_empty(), "no series");
            Ok(())
        })
        .expect("scraped");
    }

    /// The number of series of each query.
    fn answers(&self) -> BTreeMap<(String, String), usize> {
        asked()
            .into_iter()
            .map(|query| {
                let found =
                    self.prometheus.query(&query.expression).unwrap_or_else(|error| panic!("{query:?}: {error:#}"));
                ((query.place, query.expression), found.len())
            })
            .collect()
    }

    fn value(&self, expression: &str) -> Option<f64> {
        let found: Vec<Value> = self.prometheus.query(expression).expect("an answer");
        found.first().and_then(|series| series["value"][1].as_str()?.parse().ok())
    }
}

fn asked() -> Vec<Query> {
    let queries = queries().expect("the dashboards");
    assert!(queries.len() > 100, "{} queries", queries.len());
    queries
}

fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address")
}

fn is_of(expression: &str, families: &[&str]) -> bool {
    families.iter().any(|family| expression.contains(family))
}

/// The state of a step's strip cell.
fn strip(step: &str) -> String {
    let query = asked().into_iter().find(|query| {
        query.place.ends_with("The guide, step by step") && query.expression.contains(&format!("step=\"{step}\""))
    });
    query.expect("a cell of the strip").expression
}

#[test]
fn queries_have_series_when_all_is_well_but_for_those_of_faults() {
    let scene = Scene::start("none/healthy");
    let answers = scene.answers();
    let silent: Vec<_> =
        answers.iter().filter(|((_, expression), series)| **series == 0 && !may_be_empty(expression)).collect();
    assert!(silent.is_empty(), "these find nothing: {silent:#?}");
    for ((place, expression), series) in answers {
        if is_of(
            &expression,
            &["metrics_server_doctor_hpa_containers_without_request", "metrics_server_doctor_candidate"],
        ) {
            assert_eq!(series, 0, "{place}: a fault where there is none: {expression}");
        }
    }
    assert_eq!(scene.value(&strip("connection_refused")), Some(1.0));
}

#[test]
fn queries_of_faults_have_series_when_there_is_one() {
    let scene = Scene::start("connection_refused/target_port_mismatch");
    let answers = scene.answers();
    for family in [
        "metrics_server_doctor_hpa_unknown_cause",
        "metrics_server_doctor_metrics_api_error",
        "metrics_server_doctor_findings",
    ] {
        let found = answers.iter().any(|((_, expression), series)| expression.contains(family) && *series > 0);
        assert!(found, "no query for {family} has a series");
    }
    assert_eq!(scene.value(&strip("connection_refused")), Some(3.0));
    assert_eq!(scene.value(&strip("installed")), Some(1.0));
}

#[test]
fn the_container_without_a_request_is_named() {
    let scene = Scene::start("hpa/missing_request");
    let answers = scene.answers();
    let named = answers
        .iter()
        .filter(|((_, expression), _)| expression.contains("metrics_server_doctor_hpa_containers_without_request"));
    assert_eq!(named.map(|(_, series)| *series).collect::<Vec<_>>(), [1]);
}

#[test]
fn nothing_is_known_once_the_doctor_is_gone() {
    let mut scene = Scene::start("none/healthy");
    drop(scene.doctor.take());
    scene.wait_for("up == 0");
    // Rates look ten seconds back.
    scene.wait_for("absent(rate(process_cpu_seconds_total[10s]))");
    for ((place, expression), series) in scene.answers() {
        if expression.contains("vector(-1)") || expression.contains("(up{") || place.contains("variable") {
            continue;
        }
        assert_eq!(series, 0, "{place} still tells something: {expression}");
    }
    assert_eq!(scene.value(&strip("connection_refused")), Some(-1.0), "the strip says that there is no data");
}
