//! The way of metrics from the API server to the kubelets, and which hop of it is broken.

use metrics_server_doctor::{
    catalogue::{self, Stage},
    guide::Step,
};
use serde_json::json;

use super::{
    model::{Panel, RUNBOOKS, SELECTOR},
    palette::{FAIL, NO_DATA, NO_DATA_TEXT, PARTIAL, PASS, UNKNOWN, mapping},
};

/// The hops in the order in which a call takes them, with the parts of the data path that each stands for.
const HOPS: [(&str, &[Stage], Step); 5] = [
    ("1 API server", &[Stage::Installed, Stage::Identity], Step::Apiservice),
    ("2 Service and path", &[Stage::PortChain, Stage::NetworkPath], Step::OtherReasons),
    ("3 Pods", &[Stage::Workload, Stage::OwnRights], Step::ConnectionRefused),
    ("4 Kubelets", &[Stage::KubeletScrapes, Stage::Samples], Step::Logs),
    ("5 Callers", &[Stage::CallerRights, Stage::Hpa], Step::Hpa),
];

/// The series of a family about the causes of a hop.
fn of_hop(family: &str, stages: &[Stage]) -> String {
    let of_step = |step: Step| {
        let entries = catalogue::all().iter().filter(|entry| entry.step == step && stages.contains(&entry.stage));
        let causes: Vec<&str> = entries.map(|entry| entry.id).collect();
        let matchers = format!(r#"step="{step}", cause=~"{}""#, causes.join("|"));
        (!causes.is_empty()).then(|| format!("{family}{{{SELECTOR}, {matchers}}}"))
    };
    Step::ALL.into_iter().filter_map(of_step).collect::<Vec<_>>().join(" or ")
}

/// 4 broken for everybody, 3 for some, 2 where the verdict is open, 1 where no fault was found, -1 where nothing is seen.
fn state(stages: &[Stage]) -> String {
    format!(
        r#"4 * max(({}) == 1) or 3 * max(({}) > bool 0 == 1) or 2 * max(metrics_server_doctor_verdict{{{SELECTOR}, cause="undetermined"}} == 1) or max(metrics_server_doctor_verdict{{{SELECTOR}}} == 1) or vector(-1)"#,
        of_hop("metrics_server_doctor_outage", stages),
        of_hop("metrics_server_doctor_findings", stages),
    )
}

pub(crate) fn panel() -> Panel {
    let states = [
        (4, "Broken", FAIL),
        (3, "Hurts some", PARTIAL),
        (2, "Could not tell", UNKNOWN),
        (1, "No fault found", PASS),
        (-1, NO_DATA_TEXT, NO_DATA),
    ];
    let panel = Panel::stat(
        "The way of metrics",
        "API server, Service, pods of metrics-server, kubelets, and back to those who ask: the hop at which the fault lies. What lies behind it is a symptom and told of as without a fault.",
        (24, 3),
    )
    .mappings(mapping(states.map(|(code, text, colour)| (code.to_string(), text.to_owned(), Some(colour)))))
    .colour(NO_DATA)
    .option("/textMode", json!("value_and_name"))
    .option("/orientation", json!("vertical"))
    .unit("short");
    let panel = HOPS.into_iter().fold(panel, |panel, (name, stages, _)| panel.now(name, state(stages)));
    HOPS.into_iter().enumerate().fold(panel, |panel, (index, (_, _, step))| {
        let link = json!({"title": "Runbook", "url": format!("{RUNBOOKS}/{step}.md"), "targetBlank": true});
        panel.query(index, json!([{"id": "links", "value": [link]}]))
    })
}

#[test]
fn every_cause_has_one_hop() {
    for entry in catalogue::all() {
        let hops = HOPS.iter().filter(|(_, stages, _)| stages.contains(&entry.stage)).count();
        assert_eq!(hops, 1, "{}/{}", entry.step, entry.id);
    }
}
