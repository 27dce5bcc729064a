//! The overview: what is wrong, since when, what to do, and where in the guide it stands.

use metrics_server_doctor::{check::Status, guide::Step};
use serde_json::{Value, json};

use super::{
    detail,
    model::{Dashboard, Panel, RUNBOOKS, SELECTOR, Section},
    palette::{self, FAIL, NEUTRAL, NO_DATA, PARTIAL, PASS, UNKNOWN},
};

pub(crate) const UID: &str = "metrics-server-doctor-overview";

/// The words by which a reader of the guide finds a section, short enough for the strip.
pub(crate) const fn short_title(step: Step) -> &'static str {
    match step {
        Step::Installed => "1 Installed",
        Step::Retrieve => "2 kubectl top",
        Step::Forbidden => "3 Forbidden",
        Step::Apiservice => "4 Unavailable",
        Step::Timeout => "5 Timeout",
        Step::ConnectionRefused => "6 Refused",
        Step::OtherReasons => "7 Other reasons",
        Step::Logs => "8 Logs",
        Step::KnownIssues => "9 Known issues",
        Step::Hpa => "10 HPA",
    }
}

/// The state of a step as a number: the worst of its checks, as in the report.
pub(crate) fn step_state(step: Step) -> String {
    let part = |status: Status| {
        format!(
            r#"{} * metrics_server_doctor_check_status{{{SELECTOR}, step="{step}", status="{}"}}"#,
            palette::code(status),
            status.label()
        )
    };
    format!(
        "max({} or {} or {} or {})",
        part(Status::Fail),
        part(Status::Unknown),
        part(Status::Pass),
        part(Status::Skipped)
    )
}

/// The verdict as a column `verdict` of the form `step/cause`.
fn verdict(extra: &str) -> String {
    let holds = format!("max by (cluster, step, cause) (metrics_server_doctor_verdict{{{SELECTOR}}} == 1)");
    let named = format!(r#"label_join({holds}, "verdict", "/", "step", "cause")"#);
    if extra.is_empty() { named } else { format!(r#"label_join({named}, "{extra}", "/", "step", "cause")"#) }
}

/// Autoscalers without a value through a fault; 0 only where autoscalers were seen.
pub(crate) const BLIND: &str = r#"count(max by (cluster, namespace, horizontalpodautoscaler) (metrics_server_doctor_hpa_unknown_cause{cluster=~"$cluster", job=~"$job", cause!~"scaled_to_zero|too_young"})) or 0 * count(hpa_unknown_targets{cluster=~"$cluster", job=~"$job"})"#;

pub(crate) fn dashboard() -> Dashboard {
    Dashboard {
        uid: UID,
        title: "metrics-server-doctor / Overview",
        description: "What is wrong with the metrics pipeline, since when, and what to do.",
        variables: Vec::new(),
        sections: vec![
            Section {
                title: None,
                first_id: 0,
                panels: vec![
                    verdict_panel(),
                    since(),
                    blind(),
                    objective(),
                    last_look(),
                    meaning(),
                    remedy(),
                    super::chain::panel(),
                    strip(),
                ],
            },
            Section {
                title: Some("History".to_owned()),
                first_id: 100,
                panels: vec![verdict_history(), step_history()],
            },
            Section {
                title: Some("Findings and alerts".to_owned()),
                first_id: 200,
                panels: vec![findings(), candidates(), alerts()],
            },
        ],
    }
}

fn verdict_panel() -> Panel {
    Panel::stat(
        "Verdict",
        "The one cause that explains most of what the checks see; what lies downstream of it is its symptom. Grey means that the doctor itself is not seen: then nothing is known.",
        (8, 3),
    )
    .rows(verdict(""))
    .texts_of("verdict")
    .mappings(palette::verdicts())
    .colour(FAIL)
    .without_data("No data: the doctor is not seen")
    .unit("string")
}

fn since() -> Panel {
    Panel::stat("Since", "Since when the verdict holds, or since when the doctor has watched if that is later.", (4, 3))
        .now(
            "{{cluster}}",
            format!("min by (cluster) (metrics_server_doctor_verdict_since_timestamp_seconds{{{SELECTOR}}}) * 1000"),
        )
        .unit("dateTimeFromNow")
}

fn blind() -> Panel {
    Panel::stat(
        "Blind autoscalers",
        "HorizontalPodAutoscalers with a target that kubectl prints as <unknown>, through a fault; those that just started or are scaled to zero are not counted.",
        (4, 3),
    )
    .now("blind", BLIND)
    .unit("short")
    .none_is_better()
    .without_data("No autoscaler seen")
    .link("Autoscalers", &sibling(super::autoscalers::UID, ""))
}

fn objective() -> Panel {
    Panel::stat(
        "Time with metrics, 30 days",
        "Share of the time of all autoscalers in which they had their metrics, over 30 days, by the shipped recording rules.",
        (4, 3),
    )
    .now("{{cluster}}", format!("{}{{cluster=~\"$cluster\"}}", super::shared::OBJECTIVE))
    .unit("percentunit")
    .decimals(2)
    .without_data("Not recorded yet")
}

fn last_look() -> Panel {
    Panel::stat(
        "Age of the last look",
        "How old the newest look is that the page tells of. What is older than two minutes may not be true any more.",
        (4, 3),
    )
    .now(
        "{{cluster}}",
        format!("time() - max by (cluster) (metrics_server_doctor_observed_timestamp_seconds{{{SELECTOR}}})"),
    )
    .unit("s")
    .thresholds(NEUTRAL, &[(120.0, UNKNOWN), (300.0, FAIL)])
    .decimals(0)
}

fn meaning() -> Panel {
    Panel::table(
        "What it means",
        "The verdict in words. The report of the doctor adds the names of this case.",
        (24, 4),
    )
    .rows(verdict("meaning"))
    .columns(&[("cluster", "Cluster"), ("step", "Step"), ("cause", "Cause"), ("meaning", "What it means")])
    .tall_rows()
    .field("Cluster", width(140))
    .field("Step", width(180))
    .field("Cause", width(240))
    .field("What it means", json!([{"id": "mappings", "value": palette::meanings()}]))
    .without_data("No data: the doctor is not seen, so nothing is known of the metrics pipeline")
}

fn remedy() -> Panel {
    Panel::table("What to do", "What repairs the cause, and its runbook. The report of the doctor fills in the names of this case.", (24, 4))
        .rows(with_runbook(&verdict("remedy")))
        .columns(&[("runbook", "Runbook"), ("remedy", "What to do")])
        .tall_rows()
        .field("Runbook", json!([
            {"id": "custom.width", "value": 380},
            {"id": "links", "value": [{"title": "Runbook", "url": format!("{RUNBOOKS}/${{__data.fields.Runbook}}"), "targetBlank": true}]},
        ]))
        .field("What to do", json!([{"id": "mappings", "value": palette::remedies()}]))
        .without_data("Look at the doctor first: is its pod running, and does Prometheus scrape it?")
}

/// Adds a column with page and anchor of the verdict's runbook, the overview's where all is well.
pub(crate) fn with_runbook(verdict: &str) -> String {
    format!(
        r#"label_replace(label_replace(label_join({verdict}, "runbook", ".md#", "step", "cause"), "runbook", "README.md", "step", "none"), "runbook", "doctor.md#undetermined", "cause", "undetermined")"#
    )
}

fn strip() -> Panel {
    let panel = Panel::stat(
        "The guide, step by step",
        "The ten sections of the guide in its order; each opens its row of the detail dashboard. A step that fails may be a symptom: the verdict names the cause.",
        (24, 4),
    )
    .mappings(palette::states())
    .colour(NO_DATA)
    .option("/textMode", json!("value_and_name"))
    .option("/orientation", json!("vertical"))
    .unit("short");
    let panel = Step::ALL
        .into_iter()
        .fold(panel, |panel, step| panel.now(short_title(step), format!("{} or vector(-1)", step_state(step))));
    Step::ALL.into_iter().enumerate().fold(panel, |panel, (index, step)| {
        panel.query(
            index,
            json!([{"id": "links", "value": [
                {"title": format!("Details: {}", step.title()), "url": sibling(detail::UID, &format!("&viewPanel={}", detail::checks_panel(step))), "targetBlank": false},
                {"title": "Runbook", "url": format!("{RUNBOOKS}/{step}.md"), "targetBlank": true},
            ]}]),
        )
    })
}

fn verdict_history() -> Panel {
    Panel::timeline(
        "Verdicts over time",
        "One band a verdict, for as long as it held. A gap in all bands is a time in which the doctor was not seen.",
        (24, 6),
    )
    .over_time("{{step}}/{{cause}}", format!("max by (step, cause) (metrics_server_doctor_verdict{{{SELECTOR}}} == 1)"))
    .mappings(palette::mapping([("1".to_owned(), "fault".to_owned(), Some(FAIL))]))
    .field("none/healthy", json!([{"id": "mappings", "value": palette::mapping([("1".to_owned(), "healthy".to_owned(), Some(PASS))])}]))
    .field("none/undetermined", json!([{"id": "mappings", "value": palette::mapping([("1".to_owned(), "could not tell".to_owned(), Some(UNKNOWN))])}]))
}

fn step_history() -> Panel {
    let panel = Panel::timeline(
        "Steps over time",
        "The ten sections of the guide in its order, each with the worst state of its checks.",
        (24, 11),
    )
    .mappings(palette::states());
    Step::ALL.into_iter().fold(panel, |panel, step| panel.over_time(short_title(step), step_state(step)))
}

fn findings() -> Panel {
    let found = format!("max by (cluster, step, cause) (metrics_server_doctor_findings{{{SELECTOR}}}) > 0");
    Panel::table(
        "Findings",
        "What is wrong in itself, with the number of objects and who loses metrics by it; what the verdict explains is left out.",
        (14, 8),
    )
    .rows(found.clone())
    .rows(format!("max by (cluster, step, cause) (metrics_server_doctor_outage{{{SELECTOR}}}) and on (cluster, step, cause) ({found})"))
    .columns(&[
        ("cluster", "Cluster"),
        ("step", "Step"),
        ("cause", "Cause"),
        ("Value #A", "Objects"),
        ("Value #B", "Hurts"),
    ])
    .paged()
    .field("Hurts", json!([
        {"id": "custom.width", "value": 90},
        {"id": "mappings", "value": palette::two(("some", PARTIAL), ("everybody", FAIL))},
        {"id": "custom.cellOptions", "value": {"type": "color-background", "mode": "basic"}},
    ]))
    .field("Cluster", width(90))
    .field("Step", width(165))
    .field("Objects", width(75))
    .field("Cause", runbook_of_row())
    .unit("short")
    .without_data("No finding")
}

fn candidates() -> Panel {
    Panel::table("Candidates", "While the verdict is undetermined: every cause that fits the evidence.", (10, 8))
        .rows(format!("max by (step, cause) (metrics_server_doctor_candidate{{{SELECTOR}}} == 1)"))
        .columns(&[("step", "Step"), ("cause", "Cause")])
        .field("Cause", runbook_of_row())
        .unit("string")
        .without_data("No candidate: the verdict is clear, or the doctor is not seen")
}

/// Alerts about the doctor itself, with the anchors of their runbook.
pub(crate) const OF_THE_DOCTOR: [(&str, &str); 5] = [
    ("MetricsServerDoctorDown", "down"),
    ("MetricsServerDoctorBlind", "blind"),
    ("MetricsServerDoctorUndetermined", "undetermined"),
    ("MetricsServerDoctorStale", "stale"),
    ("MetricsPipelineDown", "pipeline_down"),
];

/// Firing alerts with a column `runbook`: page and anchor, as in the annotation `runbook_url` of the rules, which Prometheus
/// does not keep in `ALERTS`.
fn firing() -> String {
    let firing = r#"max by (cluster, alertname, severity, step, cause, issue) (ALERTS{alertstate="firing", alertname=~"MetricsServer.*|MetricsPipelineDown|HPATargetsUnknown", cluster=~"$cluster"})"#;
    let of_cause = format!(r#"label_join({firing}, "runbook", ".md#", "step", "cause")"#);
    let steps = Step::ALL.map(Step::id).join("|");
    let of_issue = format!(r#"label_replace({of_cause}, "runbook", "$1.md#$2", "issue", "({steps})_(.+)")"#);
    OF_THE_DOCTOR.iter().fold(of_issue, |all, (alert, anchor)| {
        format!(r#"label_replace({all}, "runbook", "doctor.md#{anchor}", "alertname", "{alert}")"#)
    })
}

fn alerts() -> Panel {
    Panel::table(
        "Firing alerts",
        "Alerts of the shipped rules that fire now. Nothing here can also mean that the rules are not loaded.",
        (24, 7),
    )
    .rows(firing())
    .columns(&[
        ("cluster", "Cluster"),
        ("alertname", "Alert"),
        ("severity", "Severity"),
        ("step", "Step"),
        ("cause", "Cause"),
        ("runbook", "Runbook"),
    ])
    .field("Cluster", width(140))
    .field("Severity", width(110))
    .field("Step", width(180))
    .field("Alert", json!([
        {"id": "custom.width", "value": 330},
        {"id": "links", "value": [{"title": "Alert rules", "url": "/alerting/list?search=${__data.fields.Alert}", "targetBlank": true}]},
    ]))
    .field("Runbook", json!([{"id": "links", "value": [{
        "title": "Runbook", "url": format!("{RUNBOOKS}/${{__data.fields.Runbook}}"), "targetBlank": true,
    }]}]))
    .unit("string")
    .without_data("No alert of the shipped rules fires, or they are not loaded")
    .link("Alert rules", "/alerting/list?search=MetricsServer")
}

/// Opens the runbook at the cause of the row.
pub(crate) fn runbook_of_row() -> Value {
    json!([{"id": "links", "value": [{
        "title": "Runbook", "url": format!("{RUNBOOKS}/${{__data.fields.Step}}.md#${{__data.fields.Cause}}"), "targetBlank": true,
    }]}])
}

pub(crate) fn width(pixels: u32) -> Value {
    json!([{"id": "custom.width", "value": pixels}])
}

/// The address of another of these dashboards, for the same cluster and time.
pub(crate) fn sibling(uid: &str, more: &str) -> String {
    format!(
        "/d/{uid}?${{datasource:queryparam}}&${{cluster:queryparam}}&${{job:queryparam}}&${{runbook_url:queryparam}}&${{doctor_url:queryparam}}&${{__url_time_range}}{more}"
    )
}
