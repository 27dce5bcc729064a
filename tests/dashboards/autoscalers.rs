//! The autoscalers: which are blind, why, since when, and which container is to blame where that is known.

use serde_json::json;

use super::{
    model::{Dashboard, Panel, RUNBOOKS, Section, query_variable},
    overview::width,
    palette::{self, NEUTRAL, PARTIAL, SKIPPED, mapping, two},
};

pub(crate) const UID: &str = "metrics-server-doctor-hpa";

/// As on the other dashboards, and the chosen namespaces.
const SELECTOR: &str = r#"cluster=~"$cluster", job=~"$job", namespace=~"$namespace""#;
/// Causes that are no fault.
const NO_FAULT: &str = "scaled_to_zero|too_young";

pub(crate) fn dashboard() -> Dashboard {
    Dashboard {
        uid: UID,
        title: "metrics-server-doctor / Autoscalers",
        description: "HorizontalPodAutoscalers that do not know a target: which, why, since when.",
        variables: vec![query_variable(
            "namespace",
            "Namespace",
            r#"label_values(hpa_unknown_targets{cluster=~"$cluster", job=~"$job"}, namespace)"#,
            ".*",
        )],
        sections: vec![
            Section {
                title: None,
                first_id: 0,
                panels: vec![
                    all(),
                    blind(),
                    waiting(),
                    unknown_targets(),
                    which(),
                    containers(),
                    namespaces(),
                    what_to_do(),
                    conditions(),
                ],
            },
            Section {
                title: Some("History".to_owned()),
                first_id: 100,
                panels: vec![history(), causes(), objective()],
            },
        ],
    }
}

fn each(family: &str) -> String {
    format!("max by (cluster, namespace, horizontalpodautoscaler) ({family}{{{SELECTOR}}})")
}

fn all() -> Panel {
    Panel::stat("Autoscalers", "HorizontalPodAutoscalers that the doctor sees.", (6, 4))
        .now("autoscalers", format!("count({})", each("hpa_unknown_targets")))
        .unit("short")
        .without_data("No autoscaler seen")
}

fn of_causes(matcher: &str) -> String {
    let causes = format!(
        r#"count(max by (cluster, namespace, horizontalpodautoscaler) (metrics_server_doctor_hpa_unknown_cause{{{SELECTOR}, cause{matcher}"{NO_FAULT}"}}))"#
    );
    format!("{causes} or 0 * count({})", each("hpa_unknown_targets"))
}

fn blind() -> Panel {
    Panel::stat(
        "Blind through a fault",
        "Autoscalers with a target that kubectl prints as <unknown>, and something is broken.",
        (6, 4),
    )
    .now("blind", of_causes("!~"))
    .unit("short")
    .none_is_better()
    .without_data("No autoscaler seen")
}

fn waiting() -> Panel {
    Panel::stat("Without a value, no fault", "Just started, or scaled to zero.", (6, 4))
        .now("waiting", of_causes("=~"))
        .unit("short")
        .thresholds(NEUTRAL, &[(1.0, SKIPPED)])
        .without_data("No autoscaler seen")
}

fn unknown_targets() -> Panel {
    Panel::stat("Unknown targets", "Metric targets that kubectl prints as <unknown>, of all targets.", (6, 4))
        .now("unknown", format!("sum({})", each("hpa_unknown_targets")))
        .now(
            "of all",
            format!("sum(max by (cluster, namespace) (metrics_server_doctor_namespace_hpa_targets{{{SELECTOR}}}))"),
        )
        .option("/textMode", json!("value_and_name"))
        .unit("short")
        .without_data("No autoscaler seen")
}

fn which() -> Panel {
    let blind = format!("{} > 0", each("hpa_unknown_targets"));
    let info = format!(
        "max by (cluster, namespace, horizontalpodautoscaler, target_kind, target_name, cause) (metrics_server_doctor_hpa_info{{{SELECTOR}}}) and on (cluster, namespace, horizontalpodautoscaler) ({blind})"
    );
    let since = format!("{} * 1000", each("metrics_server_doctor_hpa_blind_since_timestamp_seconds"));
    Panel::table(
        "Which, why, since when",
        "Since is told of faults: the last change of the condition that is False, else the first look that found a target unknown.",
        (14, 8),
    )
    .rows(blind.clone())
    .rows(format!("{} and on (cluster, namespace, horizontalpodautoscaler) ({blind})", each("metrics_server_doctor_hpa_targets")))
    .rows(info)
    .rows(since)
    .rows(each("metrics_server_doctor_hpa_alerts_off"))
    .columns(&[
        ("cluster", "Cluster"),
        ("namespace", "Namespace"),
        ("horizontalpodautoscaler", "Autoscaler"),
        ("Value #A", "Unknown"),
        ("Value #B", "Targets"),
        ("target_kind", "Kind"),
        ("target_name", "Target"),
        ("cause", "Cause"),
        ("Value #D", "Since"),
        ("Value #E", "Alerts"),
    ])
    .field("Alerts", json!([
        {"id": "custom.width", "value": 65},
        {"id": "mappings", "value": mapping([("1".to_owned(), "off".to_owned(), None)])},
    ]))
    .field("Cluster", width(120))
    .field("Namespace", width(140))
    .field("Unknown", width(85))
    .field("Targets", width(75))
    .paged()
    .field("Kind", width(100))
    .field("Since", json!([{"id": "unit", "value": "dateTimeFromNow"}, {"id": "custom.width", "value": 145}]))
    .field("Cause", json!([
        {"id": "custom.width", "value": 170},
        {"id": "links", "value": [{"title": "Runbook", "url": format!("{RUNBOOKS}/hpa.md#${{__data.fields.Cause}}"), "targetBlank": true}]},
    ]))
    .without_data("No autoscaler is seen to be blind")
}

fn namespaces() -> Panel {
    let blind = format!(
        r#"count by (cluster, namespace) (max by (cluster, namespace, horizontalpodautoscaler) (metrics_server_doctor_hpa_unknown_cause{{{SELECTOR}, cause!~"{NO_FAULT}"}}))"#
    );
    Panel::table(
        "Namespaces",
        "Those with the most blind autoscalers come first; with the share of their autoscalers' time with metrics over 30 days.",
        (24, 6),
    )
    .rows(format!("topk(50, {blind})"))
    .rows(format!(
        r#"{}{{cluster=~"$cluster", namespace=~"$namespace"}} and on (cluster, namespace) {blind}"#,
        super::shared::NAMESPACE_OBJECTIVE
    ))
    .columns(&[("cluster", "Cluster"), ("namespace", "Namespace"), ("Value #A", "Blind"), ("Value #B", "Time with metrics, 30 days")])
    .sorted_by("Blind")
    .paged()
    .field("Blind", width(90))
    .field("Time with metrics, 30 days", json!([{"id": "unit", "value": "percentunit"}, {"id": "decimals", "value": 2}]))
    .unit("short")
    .without_data("No autoscaler is seen to be blind")
}

fn what_to_do() -> Panel {
    let count = format!(
        "count by (cause) (max by (cluster, namespace, horizontalpodautoscaler, cause) (metrics_server_doctor_hpa_unknown_cause{{{SELECTOR}}}))"
    );
    Panel::table("What the causes mean and what to do", "Each cause that some autoscaler has, in words.", (24, 6))
        .rows(format!(
            r#"label_replace(label_replace({count}, "why", "$1", "cause", "(.*)"), "remedy", "$1", "cause", "(.*)")"#
        ))
        .columns(&[("cause", "Cause"), ("Value", "HPAs"), ("why", "Why"), ("remedy", "What to do")])
        .tall_rows()
        .field("Cause", width(170))
        .field("HPAs", width(70))
        .field(
            "Why",
            json!([
                {"id": "mappings", "value": palette::autoscaler_causes()},
                {"id": "custom.cellOptions", "value": {"type": "color-background", "mode": "basic", "wrapText": true}},
                {"id": "custom.width", "value": 520},
            ]),
        )
        .field("What to do", json!([{"id": "mappings", "value": palette::autoscaler_remedies()}]))
        .unit("short")
        .without_data("No autoscaler is seen to be blind")
}

fn containers() -> Panel {
    Panel::table(
        "Containers without a request",
        "One container without the request is enough to make a Utilization target unknown, sidecars included.",
        (10, 8),
    )
    .rows(format!(
        "max by (cluster, namespace, horizontalpodautoscaler, container, resource) (metrics_server_doctor_hpa_containers_without_request{{{SELECTOR}}})"
    ))
    .columns(&[
        ("namespace", "Namespace"),
        ("horizontalpodautoscaler", "Autoscaler"),
        ("container", "Container"),
        ("resource", "Lacks"),
        ("Value", "Pods"),
    ])
    .paged()
    .field("Lacks", width(90))
    .field("Pods", width(65))
    .unit("short")
    .without_data("No container without a request seen")
}

fn conditions() -> Panel {
    Panel::table(
        "Conditions",
        "AbleToScale and ScalingActive of those that do not know a target, with their reason, as kubectl describe hpa shows them.",
        (24, 8),
    )
    .rows(format!("max by (cluster, namespace, horizontalpodautoscaler, condition, reason) (metrics_server_doctor_hpa_condition{{{SELECTOR}}})"))
    .rows(format!("max by (cluster, namespace, horizontalpodautoscaler, condition) (metrics_server_doctor_hpa_condition_last_transition_timestamp_seconds{{{SELECTOR}}}) * 1000"))
    .columns(&[
        ("namespace", "Namespace"),
        ("horizontalpodautoscaler", "Autoscaler"),
        ("condition", "Condition"),
        ("Value #A", "State"),
        ("reason", "Reason"),
        ("Value #B", "Since"),
    ])
    .field("Since", json!([{"id": "unit", "value": "dateTimeFromNow"}, {"id": "custom.width", "value": 145}]))
    .field(
        "State",
        json!([
            {"id": "custom.width", "value": 80},
            {"id": "mappings", "value": two(("False", PARTIAL), ("True", palette::PASS))},
            {"id": "custom.cellOptions", "value": {"type": "color-background", "mode": "basic"}},
        ]),
    )
    .paged()
    .field("Condition", width(120))
    .without_data("No autoscaler is seen to be blind")
}

/// The most autoscalers of which bands are drawn.
const BANDS: u32 = 30;

fn history() -> Panel {
    let same = "on (cluster, namespace, horizontalpodautoscaler)";
    let blind_once = format!(
        "topk({BANDS}, max by (cluster, namespace, horizontalpodautoscaler) (max_over_time(hpa_unknown_targets{{{SELECTOR}}}[$__range] @ end())) > 0)"
    );
    Panel::timeline(
        "Blind over time",
        "One band an autoscaler that did not know a target in the time that is shown, 30 at the most.",
        (12, 9),
    )
    .over_time(
        "{{namespace}}/{{horizontalpodautoscaler}}",
        format!("({} > bool 0) and {same} {blind_once}", each("hpa_unknown_targets")),
    )
    .mappings(mapping([
        ("0".to_owned(), "knows its targets".to_owned(), Some(palette::PASS)),
        ("1".to_owned(), "unknown".to_owned(), Some(PARTIAL)),
    ]))
    .without_data("No autoscaler was blind")
}

fn causes() -> Panel {
    Panel::lines("By cause", "Autoscalers that do not know a target, by cause.", (12, 9), "short")
        .over_time(
            "{{cause}}",
            format!("count by (cause) (max by (cluster, namespace, horizontalpodautoscaler, cause) (metrics_server_doctor_hpa_unknown_cause{{{SELECTOR}}}))"),
        )
        .without_data("None is blind")
}

fn objective() -> Panel {
    let rate = |seconds: &str| {
        format!(
            "sum(max by (cluster, namespace) (rate(metrics_server_doctor_hpa_{seconds}_seconds_total{{{SELECTOR}}}[$__rate_interval])))"
        )
    };
    Panel::lines(
        "Share of autoscalers' time with metrics",
        "Time in which autoscalers knew their targets, of the time in which the doctor saw them; scaled to zero and just started count as known.",
        (24, 7),
        "percentunit",
    )
    .over_time("with metrics", format!("1 - {} / ({} > 0)", rate("blind"), rate("watched")))
    .without_data("No autoscaler seen")
}
