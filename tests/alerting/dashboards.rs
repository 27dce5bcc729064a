//! Every query of every panel, annotation and variable, on the Prometheus that scraped the real doctor on a real cluster:
//! each is answered, and finds something but where the state of the cluster has nothing to find.

use std::time::Duration;

use anyhow::ensure;
use testbed::{dashboards::queries, wait::wait_for};

use crate::stack::Stack;

/// What the cluster is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Well,
    /// The Service has no port of the number that the `APIService` asks for, and the alert about it fires.
    ServicePortWrong,
    /// A container under an autoscaler's selector has no request, and the alert about it fires.
    AutoscalerBlind,
}

use State::{AutoscalerBlind, ServicePortWrong, Well};

const ALWAYS: &[State] = &[Well, ServicePortWrong, AutoscalerBlind];
const WITHOUT_AUTOSCALERS_FAULT: &[State] = &[Well, ServicePortWrong];
const WITH_METRICS: &[State] = &[Well, AutoscalerBlind];
const WITHOUT_METRICS: &[State] = &[ServicePortWrong];

/// Parts of queries that find nothing (`…` stands for the chosen cluster, job and namespace), the states in which they do not, and why. In every other state, and without a row
/// here, a query has to find something.
const NOTHING: &[(&str, &[State], &str)] = &[
    ("metrics_server_doctor_hpa_alerts_off{", ALWAYS, "nobody wants no alerts"),
    (":ratio30d", ALWAYS, "the service level is recorded from samples an hour apart"),
    ("ALERTS{", &[Well], "no alert fires"),
    ("metrics_server_doctor_findings{…}) > 0", &[Well], "nothing is wrong, and the panel shows what is more than 0"),
    ("metrics_server_doctor_candidate{…} == 1", ALWAYS, "the verdict is clear"),
    ("metrics_server_doctor_permission_missing{…} == 1", ALWAYS, "deploy/base holds every right that the doctor uses"),
    ("metrics_server_doctor_tls_certificate", ALWAYS, "the page is served without TLS"),
    ("aws_auth_", ALWAYS, "the cluster is not EKS and has no aws-auth"),
    ("metrics_server_doctor_metrics_api_error{…} == 1", WITH_METRICS, "the calls of kubectl top succeed"),
    ("metrics_api_sample_", WITHOUT_METRICS, "the calls fail, so no sample is seen"),
    ("metrics_api_nodes_", WITHOUT_METRICS, "the calls fail, so it is not known which nodes have samples"),
    ("metrics_api_pods_", WITHOUT_METRICS, "nor which pods have"),
    (
        "metrics_server_doctor_kubelet_requests_total{",
        ALWAYS,
        "metrics-server shows its page to those with a token, and the doctor sends none",
    ),
    ("metrics_server_doctor_deployment_containers_waiting{…}) > 0", ALWAYS, "every container runs"),
    ("metrics_server_doctor_deployment_containers_last_terminated{…}) > 0", ALWAYS, "no container ended"),
    ("metrics_server_doctor_apiservice_condition_message_class{…} == 1", WITH_METRICS, "the condition is True"),
    ("apiservice_ca_bundle_not_after", ALWAYS, "the APIService skips verification and has no bundle"),
    (r#"metrics_server_doctor_port_number{…, place="service_port""#, WITHOUT_METRICS, "that is the fault"),
    ("endpoints_dial_", WITHOUT_METRICS, "without the Service's port there is no endpoint to dial"),
    ("metrics_server_doctor_log_unscraped_nodes{…}) > 0", ALWAYS, "every node is scraped"),
    (
        "metrics_server_doctor_log_lines_total{…}[10s])) > 0",
        ALWAYS,
        "neither fault is one that metrics-server's log tells of",
    ),
    (
        "metrics_server_doctor_known_issue_detected{…} == 1",
        WITHOUT_AUTOSCALERS_FAULT,
        "what is wrong, if anything, is not described upstream",
    ),
    (
        "metrics_server_doctor_hpa_containers_without_request{",
        WITHOUT_AUTOSCALERS_FAULT,
        "every container has a request",
    ),
    ("metrics_server_doctor_node_without_sample{…} == 1", ALWAYS, "every node has a sample, or none is seen"),
    ("metrics_server_doctor_hpa_blind_since_timestamp_seconds{", &[Well], "every autoscaler knows its targets"),
    ("metrics_server_doctor_hpa_condition", &[Well], "every autoscaler knows its targets"),
    ("metrics_server_doctor_hpa_info{", &[Well], "every autoscaler knows its targets"),
    ("(metrics_server_doctor_hpa_unknown_cause{", &[Well], "every autoscaler knows its targets"),
    (
        "hpa_unknown_targets{…}) > 0",
        &[Well],
        "every autoscaler knows its targets, and the panel shows what is more than 0",
    ),
    (
        "metrics_server_doctor_deployment_metrics_servers{",
        ALWAYS,
        "one was seen, and where others may be is looked at only while nothing is seen behind the API",
    ),
];

/// Why a query finds nothing in a state; none where it has to find something.
fn why_nothing(expression: &str, state: State) -> Option<&'static str> {
    // A count that begins at 0 finds that.
    let counts_from_zero = expression.contains(" or 0 * count");
    let row = NOTHING.iter().find(|(part, states, _)| has(expression, part) && states.contains(&state));
    row.filter(|_| !counts_from_zero).map(|(_, _, why)| *why)
}

/// Whether a query has a part in it, whatever it selects.
fn has(expression: &str, part: &str) -> bool {
    expression.replace(r#", namespace=~".*""#, "").replace(r#"cluster=~".*", job=~".+""#, "…").contains(part)
}

fn ask_all(stack: &Stack, state: State) {
    // Rates need two scrapes within the interval that the panels ask for.
    wait_for("ten seconds of scrapes", Duration::from_mins(1), || {
        let scrapes = stack.prometheus.query("min(count_over_time(up[15s])) >= 12")?;
        ensure!(!scrapes.is_empty(), "too few");
        Ok(())
    })
    .unwrap_or_else(|error| panic!("{error:#}"));
    let queries = queries().expect("the dashboards");
    assert!(queries.len() > 100, "{} queries", queries.len());
    let (mut wrong, mut empty) = (Vec::new(), 0);
    for query in &queries {
        let found = stack.prometheus.query(&query.expression).unwrap_or_else(|error| panic!("{query:?}: {error:#}"));
        match (why_nothing(&query.expression, state), found.len()) {
            (None, 0) => wrong.push(format!("{}: finds nothing: {}", query.place, query.expression)),
            (Some(why), series @ 1..) => {
                wrong.push(format!("{}: finds {series} although {why}: {}", query.place, query.expression));
            }
            (Some(_), 0) => empty += 1,
            (None, _) => {}
        }
    }
    assert!(wrong.is_empty(), "{state:?}:\n{}", wrong.join("\n"));
    println!("  {} queries of the dashboards answered, {empty} of them have nothing to find: {state:?}", queries.len());
    let idle: Vec<_> = NOTHING
        .iter()
        .filter(|(_, states, _)| states.contains(&state))
        .map(|(part, _, _)| *part)
        .filter(|part| !queries.iter().any(|query| has(&query.expression, part)))
        .collect();
    assert!(idle.is_empty(), "no query has {idle:?}");
}

pub(crate) fn when_all_is_well(stack: &Stack) {
    ask_all(stack, Well);
}

pub(crate) fn in_a_fault(stack: &Stack) {
    ask_all(stack, ServicePortWrong);
}

pub(crate) fn with_a_blind_autoscaler(stack: &Stack) {
    ask_all(stack, AutoscalerBlind);
}
