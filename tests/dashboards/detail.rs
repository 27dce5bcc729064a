//! The detail dashboard: one row a section of the guide, in its order, with the section's checks and gauges.

use metrics_server_doctor::{check::Status, guide::Step};
use serde_json::json;

use super::{
    model::{Dashboard, Panel, RUNBOOKS, SELECTOR, Section},
    overview::{BLIND, sibling, width},
    palette::{self, FAIL, NEUTRAL, PASS, UNKNOWN, mapping, two},
};

pub(crate) const UID: &str = "metrics-server-doctor-detail";

/// The heading of a section: its number in the guide and its question.
pub(crate) fn heading(step: Step) -> String {
    format!("{}. {}", number(step), step.title())
}

fn number(step: Step) -> u32 {
    let place = Step::ALL.into_iter().position(|known| known == step).expect("one of ten");
    u32::try_from(place).expect("a small number") + 1
}

/// The id of the panel with a section's checks, which is the first of its row.
pub(crate) fn checks_panel(step: Step) -> u32 {
    number(step) * 100 + 1
}

pub(crate) fn dashboard() -> Dashboard {
    let steps = Step::ALL.into_iter().map(|step| {
        let gauges = match step {
            Step::Installed => installed(),
            Step::Retrieve => retrieve(),
            Step::Forbidden => forbidden(),
            Step::Apiservice => apiservice(),
            Step::Timeout => timeout(),
            Step::ConnectionRefused => connection_refused(),
            Step::OtherReasons => other_reasons(),
            Step::Logs => logs(),
            Step::KnownIssues => known_issues(),
            Step::Hpa => hpa(),
        };
        let panels = std::iter::once(checks(step)).chain(gauges).collect();
        Section { title: Some(heading(step)), first_id: number(step) * 100, panels }
    });
    let doctor = Section { title: Some("The doctor itself".to_owned()), first_id: 1100, panels: doctor() };
    Dashboard {
        uid: UID,
        title: "metrics-server-doctor / Detail",
        description: "One row a section of the guide, in its order, with what was checked and the numbers behind it.",
        variables: Vec::new(),
        sections: steps.chain([doctor]).collect(),
    }
}

/// As high as the checks need, two lines each, and at least as high as the gauges beside them.
fn height(step: Step) -> u32 {
    let checks = u32::try_from(metrics_server_doctor::steps::checks(step).len()).expect("a small number");
    let needed = (48 * checks + 100).div_ceil(38);
    needed.max(match step {
        Step::Forbidden => 10,
        _ => 7,
    })
}

fn checks(step: Step) -> Panel {
    let part = |status: Status| {
        format!(
            r#"{} * metrics_server_doctor_check_status{{{SELECTOR}, step="{step}", status="{}"}}"#,
            palette::code(status),
            status.label()
        )
    };
    let worst = format!(
        "max by (check) ({} or {} or {} or {})",
        part(Status::Fail),
        part(Status::Unknown),
        part(Status::Pass),
        part(Status::Skipped)
    );
    Panel::table(
        &heading(step),
        "The checks of this section and their states. Could not look is neither well nor broken.",
        (10, height(step)),
    )
    .tall_rows()
    .rows(format!(r#"label_replace({worst}, "question", "$1", "check", "(.*)")"#))
    .columns(&[("Value", "State"), ("question", "Question")])
    .field(
        "State",
        json!([
            {"id": "custom.width", "value": 135},
            {"id": "mappings", "value": palette::states()},
            {"id": "custom.cellOptions", "value": {"type": "color-background", "mode": "basic"}},
        ]),
    )
    .field("Question", json!([{"id": "mappings", "value": palette::questions(step)}]))
    .without_data("No data: the doctor is not seen")
    .link("Runbook", &format!("{RUNBOOKS}/{step}.md"))
}

/// `sum`, `min` or `max` of a family over the replicas of the doctor, kept apart by labels.
fn of(aggregation: &str, labels: &str, family: &str) -> String {
    format!("{aggregation} by ({labels}) ({family}{{{SELECTOR}}})")
}

/// The members of a one-hot family that hold.
fn holding(labels: &str, family: &str) -> String {
    format!("max by ({labels}) ({family}{{{SELECTOR}}} == 1)")
}

const NOT_READ: &str = "Not read";

fn installed() -> Vec<Panel> {
    vec![
        Panel::stat("Who serves metrics.k8s.io", "By the image behind the Service that the APIService names.", (7, 4))
            .rows(holding("owner", "metrics_server_doctor_metrics_api_owner"))
            .texts_of("owner")
            .unit("string")
            .without_data("Nothing seen"),
        Panel::stat(
            "metrics-servers",
            "By image. One is right; a second one beside it fights for the same API. No number where one was seen and the rest of the cluster was not looked at.",
            (7, 4),
        )
        .now("workloads", format!("max(metrics_server_doctor_deployment_metrics_servers{{{SELECTOR}}})"))
        .unit("short")
        .thresholds(FAIL, &[(1.0, PASS), (2.0, FAIL)])
        .without_data("No second one seen"),
        Panel::table("The workload behind it", "Version by the tag of its image, and how it was packaged.", (14, 4))
            .rows(of("max", "namespace, deployment, version, packaging", "metrics_server_doctor_deployment_info"))
            .rows(of("min", "namespace, deployment", "metrics_server_doctor_deployment_version_supported"))
            .columns(&[
                ("namespace", "Namespace"),
                ("deployment", "Workload"),
                ("version", "Version"),
                ("packaging", "Packaging"),
                ("Value #B", "This Kubernetes"),
            ])
            .field(
                "This Kubernetes",
                json!([
                    {"id": "mappings", "value": two(("not listed", FAIL), ("supported", PASS))},
                    {"id": "custom.cellOptions", "value": {"type": "color-background", "mode": "basic"}},
                ]),
            )
            .unit("string")
            .without_data("No workload seen"),
    ]
}

fn retrieve() -> Vec<Panel> {
    vec![
        Panel::stat(
            "The two calls of kubectl top",
            "Whether the metrics API answered the doctor's last call with samples.",
            (6, height(Step::Retrieve)),
        )
        .now("{{resource}}", of("min", "resource", "metrics_server_doctor_metrics_api_up"))
        .mappings(two(("fails", FAIL), ("answers", PASS)))
        .unit("short")
        .without_data("Not called"),
        Panel::table(
            "Class of the error",
            "What the last calls ended with, by code and body.",
            (8, height(Step::Retrieve)),
        )
        .rows(holding("resource, class", "metrics_server_doctor_metrics_api_error"))
        .columns(&[("resource", "Resource"), ("class", "Error")])
        .unit("string")
        .without_data("No error seen"),
        Panel::lines(
            "Nodes and pods without a sample",
            "Ready nodes that should have a sample, those of them that have none, and pods of the namespaces that the doctor asks for that have none.",
            (8, 7),
            "short",
        )
        .over_time("nodes expected", format!("max(metrics_server_doctor_metrics_api_nodes_expected{{{SELECTOR}}})"))
        .over_time("nodes without a sample", format!("max(metrics_server_doctor_metrics_api_nodes_without_sample{{{SELECTOR}}})"))
        .over_time("nodes named at the most", format!("max(metrics_server_doctor_node_without_sample_limit{{{SELECTOR}}})"))
        .over_time("pods without a sample", format!("max(metrics_server_doctor_metrics_api_pods_without_sample{{{SELECTOR}}})")),
        Panel::lines("Time that the calls take", "Through the aggregator, as kubectl top would wait.", (8, 7), "s")
            .over_time("{{resource}}", of("max", "resource", "metrics_server_doctor_metrics_api_latency_seconds")),
        Panel::lines(
            "Age of the samples",
            "Samples are at most one scrape of metrics-server old, plus the kubelet's own round; each was measured over its window.",
            (8, 7),
            "s",
        )
        .over_time("newest", format!(r#"max(metrics_server_doctor_metrics_api_sample_age_seconds{{{SELECTOR}, sample="newest"}})"#))
        .over_time("oldest", format!(r#"max(metrics_server_doctor_metrics_api_sample_age_seconds{{{SELECTOR}, sample="oldest"}})"#))
        .over_time("shortest window", format!(r#"max(metrics_server_doctor_metrics_api_sample_window_seconds{{{SELECTOR}, window="shortest"}})"#))
        .over_time("longest window", format!(r#"max(metrics_server_doctor_metrics_api_sample_window_seconds{{{SELECTOR}, window="longest"}})"#)),
        Panel::table("Which nodes have no sample", "The first by name, where there are many.", (10, 6))
            .rows(holding("node", "metrics_server_doctor_node_without_sample"))
            .columns(&[("node", "Node")])
            .unit("string")
            .without_data("None seen"),
        Panel::stat("For everybody", "Whether metrics are seen to be gone for everybody, be the cause clear or not.", (7, 6))
            .now("metrics", format!("max(metrics_server_doctor_pipeline_down{{{SELECTOR}}})"))
            .mappings(two(("not gone", PASS), ("gone", FAIL)))
            .unit("short"),
        Panel::stat("Newest sample", "When the newest sample in the answers was taken.", (7, 6))
            .now("newest", format!(r#"max(metrics_server_doctor_metrics_api_sample_timestamp_seconds{{{SELECTOR}, sample="newest"}}) * 1000"#))
            .unit("dateTimeFromNow")
            .without_data("No sample seen"),
    ]
}

fn forbidden() -> Vec<Panel> {
    vec![
        Panel::table("Permissions of metrics-server", "What this version needs, whether it is granted to its ServiceAccount, and who says so: the API server or the RBAC objects.", (9, 10))
            .rows(of("min", "permission", "metrics_server_doctor_rbac_permission_granted"))
            .rows(holding("permission, source", "metrics_server_doctor_rbac_permission_source"))
            .columns(&[("Value #A", "State"), ("permission", "Permission"), ("source", "By")])
            .field("By", width(110))
            .field("State", json!([
                {"id": "custom.width", "value": 100},
                {"id": "mappings", "value": two(("not granted", FAIL), ("granted", PASS))},
                {"id": "custom.cellOptions", "value": {"type": "color-background", "mode": "basic"}},
            ]))
            .without_data(NOT_READ),
        Panel::stat("Entries of aws-auth", "Entries of mapRoles and mapUsers in ConfigMap kube-system/aws-auth.", (5, 4))
            .now("entries", format!("max(metrics_server_doctor_aws_auth_entries{{{SELECTOR}}})"))
            .unit("short")
            .without_data("No aws-auth here"),
        Panel::table("Malformed entries", "Entries of aws-auth that map nobody, by what is wrong with them.", (5, 6))
            .rows(of("max", "problem", "metrics_server_doctor_aws_auth_malformed_entries"))
            .columns(&[("problem", "Problem"), ("Value", "Entries")])
            .field("Entries", json!([
                {"id": "custom.width", "value": 80},
                {"id": "thresholds", "value": {"mode": "absolute", "steps": [{"color": PASS, "value": null}, {"color": FAIL, "value": 1}]}},
                {"id": "custom.cellOptions", "value": {"type": "color-background", "mode": "basic"}},
            ]))
            .unit("short")
            .without_data("No aws-auth here"),
    ]
}

fn apiservice() -> Vec<Panel> {
    vec![
        Panel::stat("APIService", "Condition Available of each aggregated API that autoscalers use.", (6, height(Step::Apiservice)))
            .now("{{apiservice}}", of("min", "apiservice", "apiservice_available"))
            .mappings(two(("Unavailable", FAIL), ("Available", PASS)))
            .option("/textMode", json!("value_and_name"))
            .unit("short")
            .without_data("Not read"),
        Panel::timeline("Reason of the condition", "The reason that the API server gives, over time.", (8, height(Step::Apiservice)))
            .over_time("{{apiservice}} {{reason}}", holding("apiservice, reason", "metrics_server_doctor_apiservice_condition_reason"))
            .mappings(mapping([("1".to_owned(), "holds".to_owned(), Some(FAIL))]))
            .matching("/ Passed$/", json!([{"id": "mappings", "value": mapping([("1".to_owned(), "holds".to_owned(), Some(PASS))])}])),
        Panel::table(
            "The condition and its certificate",
            "Status and class of the message of condition Available, when it changed, and whether and how the serving certificate is checked.",
            (24, 5),
        )
        .rows(holding("apiservice, status", "metrics_server_doctor_apiservice_condition_status"))
        .rows(holding("apiservice, class", "metrics_server_doctor_apiservice_condition_message_class"))
        .rows(format!("{} * 1000", of("max", "apiservice", "metrics_server_doctor_apiservice_condition_last_transition_timestamp_seconds")))
        .rows(of("max", "apiservice", "metrics_server_doctor_apiservice_insecure_skip_tls_verify"))
        .rows(format!("{} * 1000", of("min", "apiservice", "metrics_server_doctor_apiservice_ca_bundle_not_after_timestamp_seconds")))
        .columns(&[
            ("apiservice", "APIService"), ("status", "Status"), ("class", "Class of the message"), ("Value #C", "Since"),
            ("Value #D", "Certificate"), ("Value #E", "CA bundle ends"),
        ])
        .field("Since", json!([{"id": "unit", "value": "dateTimeFromNow"}]))
        .field("CA bundle ends", json!([{"id": "unit", "value": "dateTimeFromNow"}]))
        .field("Certificate", json!([{"id": "mappings", "value": two(("checked", NEUTRAL), ("not checked", NEUTRAL))}]))
        .without_data(NOT_READ),
        Panel::lines("Changes of the condition", "How often the status of condition Available changed: an API that comes and goes.", (24, 5), "short")
            .over_time(
                "{{apiservice}}",
                format!("max by (apiservice) (increase(metrics_server_doctor_apiservice_condition_transitions_total{{{SELECTOR}}}[$__rate_interval]))"),
            )
            .without_data(NOT_READ),
    ]
}

fn timeout() -> Vec<Panel> {
    vec![
        Panel::stat(
            "The API server waits in vain",
            "Whether the message of condition Available tells of a timeout.",
            (5, 7),
        )
        .now(
            "{{apiservice}}",
            format!(r#"max by (apiservice) (metrics_server_doctor_apiservice_condition_message_class{{{SELECTOR}, class="timeout"}})"#),
        )
        .mappings(two(("No timeout", PASS), ("Timeout", FAIL)))
        .unit("short")
        .without_data(NOT_READ),
        Panel::timeline(
            "Timeouts over time",
            "The APIService's message and the two calls of kubectl top, where they ended with a timeout.",
            (9, 7),
        )
        .over_time(
            "{{apiservice}}",
            format!(r#"max by (apiservice) (metrics_server_doctor_apiservice_condition_message_class{{{SELECTOR}, class="timeout"}})"#),
        )
        .over_time(
            "call for {{resource}}",
            format!(r#"max by (resource) (metrics_server_doctor_metrics_api_error{{{SELECTOR}, class="timeout"}})"#),
        )
        .mappings(two(("no timeout", PASS), ("timeout", FAIL))),
        Panel::table(
            "The doctor's own dials",
            "Endpoints of the Service by how the doctor's direct dial of them ended. Where they work while the aggregator times out, the path from the control plane is closed.",
            (12, 6),
        )
        .rows(format!("{} > 0", of("max", "namespace, service, outcome", "metrics_server_doctor_endpoints_dial_outcome")))
        .columns(&[("namespace", "Namespace"), ("service", "Service"), ("outcome", "Outcome"), ("Value", "Endpoints")])
        .unit("short")
        .without_data("Not dialled"),
        Panel::lines("Time that the dials take", "The slowest of the last direct dials.", (12, 6), "s")
            .over_time("{{namespace}}/{{service}}", of("max", "namespace, service", "metrics_server_doctor_endpoints_dial_latency_seconds"))
            .without_data("Not dialled"),
    ]
}

fn connection_refused() -> Vec<Panel> {
    let places = [
        ("listen", "listens on"),
        ("container_port", "containerPort"),
        ("target_port", "targetPort"),
        ("service_port", "Service port"),
        ("apiservice_port", "APIService port"),
    ];
    let chain = Panel::stat(
        "The chain of ports",
        "From the process outwards. Names of ports are resolved to their numbers; what is not declared is not shown.",
        (14, 5),
    )
    .option("/textMode", json!("value_and_name"))
    .option("/orientation", json!("vertical"))
    .unit("none")
    .without_data(NOT_READ);
    let chain = places.into_iter().fold(chain, |panel, (place, name)| {
        panel.now(name, format!(r#"max(metrics_server_doctor_port_number{{{SELECTOR}, place="{place}"}})"#))
    });
    let reasons = |title: &str, description: &str, family: &str| {
        Panel::table(title, description, (6, 6))
            .rows(format!("{} > 0", of("max", "reason", family)))
            .columns(&[("reason", "Reason"), ("Value", "Containers")])
            .field("Containers", width(100))
            .unit("short")
            .without_data("None seen")
    };
    vec![
        chain,
        Panel::stat("Hops of the chain", "Whether each hop leads to the next.", (14, 4))
            .now("{{hop}}", of("max", "hop", "port_mismatch"))
            .mappings(two(("fits", PASS), ("does not fit", FAIL)))
            .option("/textMode", json!("value_and_name"))
            .option("/orientation", json!("vertical"))
            .unit("short")
            .without_data(NOT_READ),
        reasons(
            "Containers that wait",
            "Containers of metrics-server, by state.waiting.reason.",
            "metrics_server_doctor_deployment_containers_waiting",
        ),
        reasons(
            "Containers that ended before",
            "Containers of metrics-server, by lastState.terminated.reason.",
            "metrics_server_doctor_deployment_containers_last_terminated",
        ),
        Panel::lines(
            "Restarts",
            "Sum of restartCount over the containers of metrics-server's pods that exist now.",
            (12, 6),
            "short",
        )
        .over_time(
            "{{namespace}}/{{deployment}}",
            of("max", "namespace, deployment", "metrics_server_doctor_deployment_container_restarts"),
        ),
    ]
}

fn other_reasons() -> Vec<Panel> {
    vec![
        Panel::stat(
            "The Service that the APIService names",
            "Whether it exists in that namespace.",
            (7, height(Step::OtherReasons)),
        )
        .now("{{namespace}}/{{service}}", of("min", "namespace, service", "metrics_server_doctor_service_exists"))
        .mappings(two(("Missing", FAIL), ("Exists", PASS)))
        .option("/textMode", json!("value_and_name"))
        .unit("short")
        .without_data(NOT_READ),
        Panel::stat(
            "Ready endpoints",
            "Addresses that the API server can send to. None is an outage.",
            (7, height(Step::OtherReasons)),
        )
        .now("{{namespace}}/{{service}}", of("max", "namespace, service", "endpoints_count"))
        .option("/textMode", json!("value_and_name"))
        .unit("short")
        .thresholds(FAIL, &[(1.0, PASS)])
        .without_data(NOT_READ),
        Panel::lines(
            "Endpoints",
            "Addresses behind the Service, and the pods that its selector matches.",
            (12, 7),
            "short",
        )
        .over_time("ready", of("max", "namespace, service", "endpoints_count"))
        .over_time("not ready", of("max", "namespace, service", "metrics_server_doctor_endpoints_not_ready"))
        .over_time("pods selected", of("max", "namespace, service", "metrics_server_doctor_service_selected_pods")),
        Panel::lines("Replicas", "Of the workload that serves metrics.k8s.io.", (12, 7), "short")
            .over_time("wanted", of("max", "namespace, deployment", "metrics_server_doctor_deployment_replicas_wanted"))
            .over_time(
                "available",
                of("max", "namespace, deployment", "metrics_server_doctor_deployment_replicas_available"),
            ),
    ]
}

fn logs() -> Vec<Panel> {
    vec![
        Panel::lines(
            "Lines that tell of a cause",
            "Lines a second in the logs of metrics-server's containers, by class.",
            (7, 7),
            "cps",
        )
        .over_time("{{class}}", format!("max by (class) (rate(metrics_server_doctor_log_lines_total{{{SELECTOR}}}[$__rate_interval])) > 0"))
        .without_data("No such line read"),
        Panel::table("Last seen", "When the newest line of each class was written.", (7, 7))
            .rows(format!("{} * 1000", of("max", "class", "metrics_server_doctor_log_last_seen_timestamp_seconds")))
            .columns(&[("class", "Class"), ("Value", "Last seen")])
            .unit("dateTimeFromNow")
            .without_data("No line read"),
        Panel::lines(
            "Nodes that are not scraped",
            "Nodes whose scrapes fail, by the cause that the last minutes of metrics-server's logs tell.",
            (12, 6),
            "short",
        )
        .over_time("{{class}}", format!("{} > 0", of("max", "class", "metrics_server_doctor_log_unscraped_nodes")))
        .without_data("No failed scrape read"),
        Panel::lines(
            "Requests to kubelets",
            "Requests of metrics-server to kubelets a second, by success, from its own page; not every installation serves it to everybody.",
            (12, 6),
            "reqps",
        )
        .over_time(
            "success {{success}}",
            format!("max by (success) (rate(metrics_server_doctor_kubelet_requests_total{{{SELECTOR}}}[$__rate_interval]))"),
        )
        .without_data("metrics-server's own page was not read"),
    ]
}

fn known_issues() -> Vec<Panel> {
    vec![
        Panel::stat("Known issues found", "Causes that are described upstream and whose evidence was found; no data while not everything could be looked for.", (5, 7))
            .now("found", format!("sum(max by (issue) (metrics_server_doctor_known_issue_detected{{{SELECTOR}}}))"))
            .unit("short")
            .none_is_well()
            .without_data("Could not look for all"),
        Panel::table("Which", "The runbook of the cause names the upstream issue.", (9, 7))
            .rows(holding("issue", "metrics_server_doctor_known_issue_detected"))
            .columns(&[("issue", "Issue")])
            .unit("string")
            .without_data("None found"),
    ]
}

fn hpa() -> Vec<Panel> {
    vec![
        Panel::stat(
            "Blind autoscalers",
            "Autoscalers with a target that kubectl prints as <unknown>, through a fault.",
            (4, 7),
        )
        .now("blind", BLIND)
        .unit("short")
        .none_is_well()
        .without_data("No autoscaler seen")
        .link("Autoscalers", &sibling(super::autoscalers::UID, "")),
        Panel::table(
            "Why",
            "Blind autoscalers by cause; those that just started or are scaled to zero are no fault.",
            (4, 7),
        )
        .rows(format!("count by (cause) (max by (namespace, horizontalpodautoscaler, cause) (metrics_server_doctor_hpa_unknown_cause{{{SELECTOR}}}))"))
        .columns(&[("cause", "Cause"), ("Value", "HPAs")])
        .field("HPAs", width(70))
        .unit("short")
        .without_data("None is blind"),
        Panel::lines(
            "Unknown targets",
            "Metric targets that kubectl prints as <unknown>, over all autoscalers.",
            (6, 7),
            "short",
        )
        .over_time("unknown", format!("sum({})", of("max", "namespace, horizontalpodautoscaler", "hpa_unknown_targets")))
        .over_time("all", format!("sum({})", of("max", "namespace", "metrics_server_doctor_namespace_hpa_targets"))),
    ]
}

fn doctor() -> Vec<Panel> {
    vec![
        Panel::stat("Version", "Version of metrics-server-doctor.", (4, 6))
            .rows(of("max", "version", "metrics_server_doctor_build_info"))
            .texts_of("version")
            .unit("string")
            .without_data("The doctor is not seen"),
        Panel::stat(
            "First look",
            "Complete once every planned look was tried; before that most checks could not look.",
            (4, 6),
        )
        .now("first look", format!("min(metrics_server_doctor_first_look_complete{{{SELECTOR}}})"))
        .mappings(two(("not complete", UNKNOWN), ("complete", PASS)))
        .unit("short"),
        Panel::table(
            "Looks that the API server refuses",
            "Permissions that the doctor itself lacks; the checks that need them could not look.",
            (8, 6),
        )
        .rows(holding("verb, resource", "metrics_server_doctor_permission_missing"))
        .columns(&[("verb", "Verb"), ("resource", "Resource")])
        .unit("string")
        .without_data("No refusal seen"),
        Panel::table(
            "Watches",
            "The state that each watch is in; the worst where there are several of a resource.",
            (8, 6),
        )
        .rows(holding("resource, state", "metrics_server_doctor_watch_state"))
        .columns(&[("resource", "Resource"), ("state", "State")])
        .unit("string")
        .without_data("No cluster is watched"),
        Panel::lines("Objects held", "Objects of each resource in the doctor's memory.", (12, 7), "short")
            .over_time("{{resource}}", of("max", "resource", "metrics_server_doctor_watch_objects"))
            .without_data("No cluster is watched"),
        Panel::lines(
            "Requests to the API server",
            "Requests of the doctor a second, by verb and code; code 0 means no answer.",
            (12, 7),
            "reqps",
        )
        .over_time(
            "{{verb}} {{code}}",
            format!(
                "sum by (verb, code) (rate(metrics_server_doctor_api_requests_total{{{SELECTOR}}}[$__rate_interval]))"
            ),
        )
        .without_data("No cluster is watched"),
        Panel::table(
            "The doctor's own certificate",
            "Where it serves TLS: when the certificate that it shows ends, and whether that is the one in the file.",
            (24, 4),
        )
        .rows(format!(
            "{} * 1000",
            of("min", "instance", "metrics_server_doctor_tls_certificate_not_after_timestamp_seconds")
        ))
        .rows(of("min", "instance", "metrics_server_doctor_tls_certificate_current"))
        .columns(&[("instance", "Replica"), ("Value #A", "Ends"), ("Value #B", "In use")])
        .field("Ends", json!([{"id": "unit", "value": "dateTimeFromNow"}]))
        .field(
            "In use",
            json!([{"id": "mappings", "value": two(("an older one", FAIL), ("the one in the file", PASS))}]),
        )
        .without_data("It does not serve TLS"),
        Panel::stat("Running since", "When the process was started; the oldest, where there are replicas.", (6, 6))
            .now("running", format!("min(process_start_time_seconds{{{SELECTOR}}}) * 1000"))
            .unit("dateTimeFromNow"),
        Panel::lines(
            "Processor time",
            "Seconds of processor time a second, and seconds that the newest judgement took.",
            (6, 6),
            "short",
        )
        .over_time(
            "{{instance}}",
            format!("max by (instance) (rate(process_cpu_seconds_total{{{SELECTOR}}}[$__rate_interval]))"),
        )
        .over_time(
            "{{instance}}: a judgement",
            of("max", "instance", "metrics_server_doctor_judgement_duration_seconds"),
        ),
        Panel::lines("Memory", "Resident memory of the process.", (6, 6), "bytes")
            .over_time("{{instance}}", of("max", "instance", "process_resident_memory_bytes")),
        Panel::lines("Open files", "File descriptors, connections included.", (6, 6), "short")
            .over_time("{{instance}}", of("max", "instance", "process_open_fds")),
    ]
}
