//! Many clusters: which are broken, which cannot be told, and of which nothing is seen.

use metrics_server_doctor::check::Status;
use serde_json::json;

use super::{
    model::{Dashboard, Panel, RUNBOOKS, SELECTOR, Section},
    overview,
    palette::{self, FAIL, NEUTRAL, NO_DATA, NO_DATA_TEXT, PASS, UNKNOWN, mapping},
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
                count("With a fault", "Clusters whose verdict names a cause.", " == 3", PASS).none_is_well(),
                count("Could not tell", "Clusters whose verdict is undetermined.", " == 2", NEUTRAL)
                    .thresholds(NEUTRAL, &[(1.0, UNKNOWN)]),
                count(
                    "Not seen",
                    "Clusters whose doctor does not answer Prometheus: nothing is known of them.",
                    " == -1",
                    NEUTRAL,
                )
                .thresholds(NEUTRAL, &[(1.0, NO_DATA)]),
                clusters(),
                history(),
            ],
        }],
    }
}

/// The verdict of each cluster as a number: 1 healthy, 2 undetermined, 3 a cause, -1 where the doctor does not answer.
fn state() -> String {
    let family = |matcher: &str| format!("metrics_server_doctor_verdict{{{SELECTOR}, {matcher}}}");
    format!(
        "max by (cluster) (3 * {} or 2 * {} or {}) or (max by (cluster) (up{{{SELECTOR}}}) == 0) - 1",
        family(r#"step!="none""#),
        family(r#"cause="undetermined""#),
        family(r#"cause="healthy""#),
    )
}

fn states() -> serde_json::Value {
    mapping(
        [(1, "Healthy", PASS), (2, "Could not tell", UNKNOWN), (3, "Fault", FAIL), (-1, NO_DATA_TEXT, NO_DATA)]
            .map(|(code, text, colour)| (code.to_string(), text.to_owned(), Some(colour))),
    )
}

fn count(title: &str, description: &str, condition: &str, colour: &str) -> Panel {
    Panel::stat(title, description, (if title == "All clusters" { 4 } else { 5 }, 4))
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
        "One row a cluster, with the number of its checks that fail or could not look. A cluster that is not seen is not healthy: look at its doctor and at Prometheus' target first.",
        (24, 10),
    )
    .rows(state())
    .rows(overview::with_runbook(&format!("max by (cluster, step, cause) (metrics_server_doctor_verdict{{{SELECTOR}}} == 1)")))
    .rows(format!("min by (cluster) (metrics_server_doctor_verdict_since_timestamp_seconds{{{SELECTOR}}}) * 1000"))
    .rows(of_checks(Status::Fail))
    .rows(of_checks(Status::Unknown))
    .rows(format!(
        r#"count by (cluster) (max by (cluster, namespace, horizontalpodautoscaler) (metrics_server_doctor_hpa_unknown_cause{{{SELECTOR}, cause!~"scaled_to_zero|too_young"}})) or 0 * count by (cluster) (hpa_unknown_targets{{{SELECTOR}}})"#
    ))
    .rows(format!("time() - max by (cluster) (metrics_server_doctor_observed_timestamp_seconds{{{SELECTOR}}})"))
    .rows(format!("max by (cluster, version) (metrics_server_doctor_build_info{{{SELECTOR}}})"))
    .columns(&[
        ("cluster", "Cluster"), ("Value #A", "State"), ("cause", "Cause"), ("runbook", "Runbook"), ("Value #C", "Since"),
        ("Value #D", "Failing"), ("Value #E", "Not looked"), ("Value #F", "Blind HPAs"), ("Value #G", "Last look"),
        ("version", "Doctor"),
    ])
    .field("Cluster", json!([{"id": "links", "value": [{
        "title": "Overview",
        "url": format!("/d/{}?${{datasource:queryparam}}&var-cluster=${{__data.fields.Cluster}}&${{job:queryparam}}&${{runbook_url:queryparam}}&${{__url_time_range}}", overview::UID),
        "targetBlank": false,
    }]}]))
    .field("State", json!([
        {"id": "mappings", "value": states()},
        {"id": "custom.cellOptions", "value": {"type": "color-background", "mode": "basic"}},
        {"id": "custom.width", "value": 140},
    ]))
    .field("Cause", overview::width(200))
    .field("Runbook", json!([
        {"id": "custom.width", "value": 350}, {"id": "noValue", "value": "-"},
        {"id": "links", "value": [{"title": "Runbook", "url": format!("{RUNBOOKS}/${{__data.fields.Runbook}}"), "targetBlank": true}]},
    ]))
    .field("Since", json!([{"id": "unit", "value": "dateTimeFromNow"}]))
    .field("Last look", json!([{"id": "unit", "value": "s"}, {"id": "decimals", "value": 0}]))
    .field("Doctor", overview::width(90))
    .field("Failing", overview::width(80))
    .field("Not looked", overview::width(100))
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
