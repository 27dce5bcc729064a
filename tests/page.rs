//! The contract of `/metrics`: families, labels, formats, and what promtool says about the live page.

#[path = "page/document.rs"]
mod document;
mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    process::{Command, Stdio},
};

use metrics_server_doctor::{
    catalogue,
    check::Status,
    facts::Facts,
    guide::Step,
    history::History,
    observe::demo,
    render::{
        View,
        metrics::{Kind, Page, families},
    },
    report::Report,
};
use support::{Server, component};

/// What promtool says about a page.
fn promtool(page: &str) -> Vec<String> {
    let mut child = Command::new(component("prometheus", "3.16.0", "promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool starts");
    child.stdin.take().expect("its input").write_all(page.as_bytes()).expect("a page");
    let output = child.wait_with_output().expect("an answer");
    let told = [output.stdout, output.stderr].concat();
    String::from_utf8(told).expect("text").lines().map(str::to_owned).collect()
}

/// The page of every scene of the demo.
fn pages() -> Vec<(String, Page)> {
    demo::scenes()
        .iter()
        .map(|scene| {
            let snapshot = scene.snapshot("2026-01-01T12:00:00Z".parse().expect("a moment"));
            let facts = Facts::new(&snapshot);
            let report = Report::of(&facts);
            let mut history = History::default();
            history.advance(&facts);
            (scene.title.clone(), Page::of(&View { history: Some(&history), ..View::new(&facts, &report) }))
        })
        .collect()
}

/// Name and labels of a sample line.
fn series(line: &str) -> (String, BTreeMap<String, String>) {
    let name = line.split(['{', ' ']).next().expect("a name").to_owned();
    let inside = line.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(inside, _)| inside);
    let labels = inside.split("\",").filter(|pair| !pair.is_empty()).map(|pair| {
        let (label, value) = pair.split_once("=\"").expect("a pair");
        (label.to_owned(), value.trim_end_matches('"').to_owned())
    });
    (name, labels.collect())
}

#[test]
fn promtool_says_of_the_live_page_only_what_is_known() {
    let server = Server::start(&["demo", "--interval", "600"]);
    assert_eq!(
        promtool(&server.page()),
        ["endpoints_count non-histogram and non-summary metrics should not have \"_count\" suffix"]
    );
}

#[test]
fn promtool_says_no_more_about_any_scene() {
    for (title, page) in pages() {
        let text = page.to_open_metrics().expect("text");
        let told = promtool(&metrics_server_doctor::render::metrics::to_classic(&text));
        assert!(told.iter().all(|line| line.starts_with("endpoints_count ")), "{title}: {told:?}");
    }
}

#[test]
fn the_four_gauges_are_on_the_page_with_exactly_their_labels() {
    let server = Server::start(&["demo", "--interval", "600"]);
    let page = server.page();
    for (name, labels) in [
        ("apiservice_available", vec!["apiservice"]),
        ("endpoints_count", vec!["namespace", "service"]),
        ("port_mismatch", vec!["namespace", "service", "hop"]),
        ("hpa_unknown_targets", vec!["namespace", "horizontalpodautoscaler"]),
    ] {
        assert!(page.contains(&format!("# TYPE {name} gauge\n")), "{name} is no gauge");
        let found: Vec<_> = page.lines().filter(|line| line.starts_with(&format!("{name}{{"))).map(series).collect();
        assert!(!found.is_empty(), "{name} has no series");
        for (_, found) in found {
            let expected: BTreeSet<&str> = labels.iter().copied().collect();
            assert_eq!(found.keys().map(String::as_str).collect::<BTreeSet<_>>(), expected, "{name}");
        }
    }
}

#[test]
fn every_series_belongs_to_a_declared_family_with_all_of_its_labels() {
    for (title, page) in pages() {
        let text = page.to_open_metrics().expect("text");
        let mut seen = BTreeSet::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, labels) = series(line);
            let family = families()
                .find(|family| match family.kind {
                    Kind::Gauge => family.name == name,
                    Kind::Counter => name.strip_suffix("_total") == Some(family.name),
                })
                .unwrap_or_else(|| panic!("{title}: {name} is not declared"));
            let expected: BTreeSet<&str> = family.labels.iter().copied().collect();
            assert_eq!(labels.keys().map(String::as_str).collect::<BTreeSet<_>>(), expected, "{title}: {line}");
            assert!(seen.insert((name, labels)), "{title}: twice on the page: {line}");
        }
    }
}

#[test]
fn the_verdict_and_the_states_of_checks_are_complete_in_every_scene() {
    let causes = catalogue::all().len();
    let checks: usize = Step::ALL.into_iter().map(|step| metrics_server_doctor::steps::checks(step).len()).sum();
    for (title, page) in pages() {
        assert_eq!(page.len_of("metrics_server_doctor_verdict"), causes + 2, "{title}");
        assert_eq!(page.len_of("metrics_server_doctor_check_status"), checks * Status::ALL.len(), "{title}");
        assert_eq!(page.len_of("metrics_server_doctor_findings"), causes, "{title}");
    }
}

#[test]
fn no_label_value_is_an_address_a_pod_or_free_text() {
    for (title, page) in pages() {
        let text = page.to_open_metrics().expect("text");
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            for (label, value) in series(line).1 {
                let names_a_pod = value.contains("metrics-server-6f9c") || value.contains("web-7c5b");
                assert!(!value.contains(' ') && !value.contains("10.0.") && !names_a_pod, "{title}: {label} in {line}");
            }
        }
    }
}

#[test]
fn both_formats_hold_the_same_series() {
    let server = Server::start(&["demo", "--interval", "600"]);
    let open_metrics = server.get("/metrics", &[("Accept", "application/openmetrics-text;version=1.0.0")]);
    assert!(open_metrics.head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let open_metrics = open_metrics.text();
    assert!(open_metrics.ends_with("# EOF\n"));
    let samples = |page: &str| -> BTreeSet<String> {
        page.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    };
    assert_eq!(samples(&open_metrics), samples(&server.page()));
}
