//! Many clusters: which are broken, which cannot be told, and of which nothing is seen.

use metrics_server_doctor::check::Status;
use serde_json::json;

use super::{
    model::{Dashboard, Panel, RUNBOOKS, SELECTOR, Section},
    overview,
    palette::{self, FAIL, NEUTRAL, NO_DATA, NO_DATA_TEXT, PARTIAL, PASS, UNKNOWN, mapping},
};

pub(crate) const UID: &str = "metrics-server-doctor-fleet";

pub(crate) fn dashboard() -> Dashboard {
    Dashboard {
        uid: UID,
        title: "metrics-server-doctor / Fleet",
        description: "The verdicts of all clusters, each beside the others.",
        variables: Vec::new(),
        sections: vec![Section {
            title: None,
            first_id: 0,
            panels: vec![
                count("All clusters", "Clusters with a doctor, seen or not.", "", NEUTRAL),
                count("Healthy", "Clusters whose metrics pipeline is healthy.", " == 1", NEUTRAL)
                    .thresholds(NEUTRAL, &[(1.0, PASS)]),
                count("Outage", "Clusters in which metrics are gone for everybody.", " == 5", PASS).none_is_well(),
                count(
                    "Hurts some",
                    "Clusters with a fault that hurts some nodes, callers or autoscalers.",
                    " == 2",
                    PASS,
                )
                .none_is_better(),
                count("Could not tell", "Clusters whose verdict is undetermined.", " == 3", NEUTRAL)
                    .thresholds(NEUTRAL, &[(1.0, UNKNOWN)]),
                count(
                    "Not seen",
                    "Clusters whose doctor does not answer Prometheus: nothing is known of them.",
                    " == 4",
                    NEUTRAL,
                )
                .thresholds(NEUTRAL, &[(1.0, NO_DATA)]),
                clusters(),
                history(),
            ],
        }],
    }
}

/// The verdict of each cluster as a number, the worst the greatest: 1 healthy, 2 a cause that hurts some, 3 undetermined, 4 where
/// the doctor does not answer, 5 an outage.
fn state() -> String {
    let family = |matcher: &str| format!("metrics_server_doctor_verdict{{{SELECTOR}, {matcher}}}");
    format!(
        "max by (cluster) (5 * metrics_server_doctor_pipeline_down{{{SELECTOR}}} or 2 * {} or 3 * {} or {}) or (max by (cluster) (up{{{SELECTOR}}}) == 0) + 4",
        family(r#"step!="none""#),
        family(r#"cause="undetermined""#),
        family(r#"cause="healthy""#),
    )
}

fn states() -> serde_json::Value {
    mapping(
        [
            (1, "Healthy", PASS),
            (2, "Hurts some", PARTIAL),
            (3, "Could not tell", UNKNOWN),
            (4, NO_DATA_TEXT, NO_DATA),
            (5, "Outage", FAIL),
        ]
        .map(|(code, text, colour)| (code.to_string(), text.to_owned(), Some(colour))),
    )
}

fn count(title: &str, description: &str, condition: &str, colour: &str) -> Panel {
    Panel::stat(title, description, (4, 3))
        .now("clusters", format!("count(({}){condition}) or 0 * count({})", state(), state()))
        .unit("short")
        .colour(colour)
        .without_data("No doctor is scraped")
}

fn of_checks(status: Status) -> String {
    format!(
        r#"sum by (cluster) (max by (cluster, step, check) (metrics_server_doctor_check_status{{{SELECTOR}, status="{}"}}))"#,
        status.label()
    )
}

fn clusters() -> Panel {
    Panel::table(
        "Clusters",
        "One row a cluster, the worst first, with the number of its checks that fail or could not run. A cluster that is not seen is not healthy: look at its doctor and at Prometheus' target first.",
        (24, 10),
    )
    // Rows keep the order of the first query.
    .rows(format!("sort_desc({})", state()))
    .rows(overview::with_runbook(&format!("max by (cluster, step, cause) (metrics_server_doctor_verdict{{{SELECTOR}}} == 1)")))
    .rows(format!("min by (cluster) (metrics_server_doctor_verdict_since_timestamp_seconds{{{SELECTOR}}}) * 1000"))
    .rows(of_checks(Status::Fail))
    .rows(of_checks(Status::Unknown))
    .rows(format!(
        r#"count by (cluster) (max by (cluster, namespace, horizontalpodautoscaler) (metrics_server_doctor_hpa_unknown_cause{{{SELECTOR}, cause!~"scaled_to_zero|too_young"}})) or 0 * count by (cluster) (hpa_unknown_targets{{{SELECTOR}}})"#
    ))
    .rows(format!("time() - max by (cluster) (metrics_server_doctor_observed_timestamp_seconds{{{SELECTOR}}})"))
    .rows(format!(r#"max by (cluster, doctor) (label_replace(metrics_server_doctor_build_info{{{SELECTOR}}}, "doctor", "$1", "version", "(.*)"))"#))
    .rows(format!(r#"max by (cluster, server) (label_replace(metrics_server_doctor_deployment_info{{{SELECTOR}}}, "server", "$1", "version", "(.*)"))"#))
    .columns(&[
        ("cluster", "Cluster"), ("Value #A", "State"), ("cause", "Cause"), ("runbook", "Runbook"), ("Value #C", "Since"),
        ("Value #D", "Failing"), ("Value #E", "Unknown checks"), ("Value #F", "Blind HPAs"), ("Value #G", "Last look"),
        ("server", "metrics-server"), ("doctor", "Doctor"),
    ])
    .sorted_by("State")
    .paged()
    .field("Cluster", json!([{"id": "links", "value": [{
        "title": "Overview",
        "url": format!("/d/{}?${{datasource:queryparam}}&var-cluster=${{__data.fields.Cluster}}&${{job:queryparam}}&${{runbook_url:queryparam}}&${{doctor_url:queryparam}}&${{__url_time_range}}", overview::UID),
        "targetBlank": false,
    }]}]))
    .field("State", json!([
        {"id": "mappings", "value": states()},
        {"id": "custom.cellOptions", "value": {"type": "color-background", "mode": "basic"}},
        {"id": "custom.width", "value": 140},
    ]))
    .field("Cause", overview::width(200))
    .field("Runbook", json!([
        {"id": "custom.width", "value": 350},
        {"id": "links", "value": [{"title": "Runbook", "url": format!("{RUNBOOKS}/${{__data.fields.Runbook}}"), "targetBlank": true}]},
    ]))
    .field("Since", json!([{"id": "unit", "value": "dateTimeFromNow"}]))
    .field("Last look", json!([{"id": "unit", "value": "s"}, {"id": "decimals", "value": 0}]))
    .field("Doctor", overview::width(90))
    .field("Failing", overview::width(80))
    .field("Unknown checks", overview::width(125))
    .field("Blind HPAs", overview::width(100))
    .unit("short")
    .without_data(palette::NO_DATA_TEXT)
}

fn history() -> Panel {
    Panel::timeline("Verdicts over time", "The state of each cluster over time.", (24, 10))
        .over_time("{{cluster}}", state())
        .mappings(states())
        .without_data(palette::NO_DATA_TEXT)
}
