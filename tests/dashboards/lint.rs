//! The rules of grafana/dashboard-linter (`lint/rule_*.go`) and some of this project's own, on the JSON as it is shipped.
//!
//! Left out, with reasons: `template-instance` and `target-instance` (one doctor watches one cluster; queries aggregate its
//! replicas away, so that no instance can be chosen), `template-on-time-change-reload` holds by `refresh`.

use std::collections::{BTreeMap, BTreeSet};

use metrics_server_doctor::{
    check::Status,
    guide::Step,
    render::metrics::{Family, Kind, families},
};
use promql_parser::{
    label::Matchers,
    parser::{self, Expr, VectorSelector},
    util::{ExprVisitor, walk_expr},
};
use serde_json::Value;

use super::{all, detail, model::COLUMNS, overview, shared};

/// What is Prometheus' own and not the doctor's.
const FOREIGN: [(&str, &[&str]); 4] = [
    ("up", &[]),
    ("ALERTS", &["alertname", "alertstate", "cluster", "severity", "step", "cause", "issue"]),
    (shared::OBJECTIVE, &["cluster"]),
    (shared::NAMESPACE_OBJECTIVE, &["cluster", "namespace"]),
];
/// Labels that Prometheus adds to every series.
const TARGET_LABELS: [&str; 3] = ["cluster", "job", "instance"];
/// Labels that queries make themselves.
const MADE: [&str; 8] = ["verdict", "meaning", "remedy", "runbook", "question", "why", "doctor", "server"];

fn dashboards() -> Vec<(String, Value)> {
    all().iter().map(|dashboard| (dashboard.uid.to_owned(), dashboard.to_json())).collect()
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or("")
}

/// All panels that show data, with the dashboard and panel as a place.
fn panels() -> Vec<(String, Value)> {
    dashboards()
        .into_iter()
        .flat_map(|(uid, json)| {
            let panels = list(&json, "panels").iter().filter(|panel| panel["type"] != "row").cloned();
            panels.map(|panel| (format!("{uid}: {}", text(&panel, "title")), panel)).collect::<Vec<_>>()
        })
        .collect()
}

/// Every expression of panels and annotations, with its place.
fn expressions() -> Vec<(String, String)> {
    let of_panels = panels().into_iter().flat_map(|(place, panel)| {
        list(&panel, "targets")
            .iter()
            .map(|target| (place.clone(), text(target, "expr").to_owned()))
            .collect::<Vec<_>>()
    });
    let of_annotations = dashboards().into_iter().flat_map(|(uid, json)| {
        list(&json["annotations"], "list")
            .iter()
            .map(|annotation| (uid.clone(), text(annotation, "expr").to_owned()))
            .collect::<Vec<_>>()
    });
    of_panels.chain(of_annotations).collect()
}

/// Metric and label selectors of the variables' queries, as if they were expressions.
fn variable_selectors() -> Vec<(String, String, String)> {
    dashboards()
        .into_iter()
        .flat_map(|(uid, json)| {
            list(&json["templating"], "list")
                .iter()
                .filter(|variable| variable["type"] == "query")
                .map(|variable| {
                    let query = text(&variable["query"], "query");
                    let inside = query
                        .strip_prefix("label_values(")
                        .and_then(|rest| rest.strip_suffix(')'))
                        .expect("label_values");
                    let (selector, label) = inside.rsplit_once(", ").expect("a label");
                    (format!("{uid}: variable {}", text(variable, "name")), selector.to_owned(), label.to_owned())
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

fn parse(place: &str, expression: &str) -> Expr {
    let plain = expression.replace("$__rate_interval", "5m").replace("$__range", "3h");
    parser::parse(&plain).unwrap_or_else(|error| panic!("{place}: {error}: {expression}"))
}

/// The selectors of an expression, and the labels that its aggregations keep or join on.
#[derive(Default)]
struct Seen {
    selectors: Vec<VectorSelector>,
    labels: BTreeSet<String>,
}

impl ExprVisitor for Seen {
    type Error = std::convert::Infallible;

    fn pre_visit(&mut self, expression: &Expr) -> Result<bool, Self::Error> {
        match expression {
            Expr::VectorSelector(selector) => self.selectors.push(selector.clone()),
            Expr::MatrixSelector(matrix) => self.selectors.push(matrix.vs.clone()),
            Expr::Aggregate(aggregate) => {
                self.labels
                    .extend(aggregate.modifier.iter().flat_map(|modifier| modifier.labels().labels.iter().cloned()));
            }
            _ => {}
        }
        Ok(true)
    }
}

fn seen(place: &str, expression: &str) -> Seen {
    let mut seen = Seen::default();
    let _ = walk_expr(&mut seen, &parse(place, expression));
    seen
}

fn name_of(family: &Family) -> String {
    match family.kind {
        Kind::Gauge => family.name.to_owned(),
        Kind::Counter => format!("{}_total", family.name),
    }
}

/// The labels of each series name that a query may use.
fn known() -> BTreeMap<String, BTreeSet<&'static str>> {
    let own = families().map(|family| (name_of(family), family.labels));
    let foreign = FOREIGN.map(|(name, labels)| (name.to_owned(), labels));
    own.chain(foreign).map(|(name, labels)| (name, labels.iter().copied().chain(TARGET_LABELS).collect())).collect()
}

fn matcher_names(matchers: &Matchers) -> impl Iterator<Item = &str> {
    matchers.matchers.iter().map(|matcher| matcher.name.as_str())
}

#[test]
fn every_metric_and_label_of_a_query_is_on_the_page() {
    let known = known();
    let selectors = variable_selectors().into_iter().map(|(place, selector, label)| (place, selector, Some(label)));
    for (place, expression, label) in
        expressions().into_iter().map(|(place, expression)| (place, expression, None)).chain(selectors)
    {
        let seen = seen(&place, &expression);
        assert!(!seen.selectors.is_empty(), "{place} asks for nothing: {expression}");
        let mut available: BTreeSet<&str> = MADE.into();
        for selector in &seen.selectors {
            let name = selector.name.as_deref().unwrap_or("");
            let labels = known.get(name).unwrap_or_else(|| panic!("{place}: no family {name}: {expression}"));
            for matched in matcher_names(&selector.matchers) {
                assert!(labels.contains(matched), "{place}: {name} has no label {matched}");
            }
            available.extend(labels);
        }
        for used in seen.labels.iter().chain(&label) {
            assert!(available.contains(used.as_str()), "{place}: no label {used} in {expression}");
        }
    }
}

#[test]
fn values_of_closed_labels_that_queries_name_exist() {
    for (place, expression) in expressions() {
        for selector in seen(&place, &expression).selectors {
            for matcher in &selector.matchers.matchers {
                let exists = match matcher.name.as_str() {
                    "step" => {
                        matcher.value.is_empty()
                            || matcher.value == "none"
                            || Step::ALL.iter().any(|step| step.id() == matcher.value)
                    }
                    "status" => Status::ALL.iter().any(|status| status.label() == matcher.value),
                    _ => true,
                };
                assert!(exists, "{place}: no {} {} in {expression}", matcher.name, matcher.value);
            }
        }
    }
}

#[test]
fn every_family_is_shown_by_a_panel() {
    let shown: BTreeSet<String> = expressions()
        .iter()
        .flat_map(|(place, expression)| seen(place, expression).selectors)
        .filter_map(|selector| selector.name)
        .collect();
    let hidden: Vec<String> = families().map(name_of).filter(|name| !shown.contains(name)).collect();
    assert!(hidden.is_empty(), "no panel shows {}", hidden.join(", "));
}

#[test]
fn every_selector_keeps_to_the_chosen_cluster_and_job() {
    for (place, expression) in expressions() {
        for selector in seen(&place, &expression).selectors {
            // Alerts carry the labels of their rules and not always those of a target.
            if selector.name.as_deref() == Some("ALERTS") {
                continue;
            }
            // What is recorded has no job.
            let recorded = selector.name.as_deref().is_some_and(|name| name.contains(':'));
            for (label, value) in [("cluster", "$cluster"), ("job", "$job")] {
                let matched =
                    selector.matchers.matchers.iter().any(|matcher| matcher.name == label && matcher.value == value);
                assert!(
                    matched || recorded && label == "job",
                    "{place}: no matcher {label}=~\"{value}\" in {expression}"
                );
            }
        }
    }
}

#[test]
fn counters_are_rated_over_the_interval_of_the_panel_and_aggregated() {
    for (place, expression) in expressions() {
        let counters = seen(&place, &expression)
            .selectors
            .iter()
            .filter(|selector| selector.name.as_deref().is_some_and(|name| name.ends_with("_total")))
            .count();
        let rated = expression.matches("[$__rate_interval]").count();
        assert_eq!(counters, rated, "{place}: {expression}");
        // Each over the replicas of the doctor, by labels of its own.
        let aggregated = expression.matches(") (rate(").count() + expression.matches(") (increase(").count();
        assert_eq!(aggregated, counters, "{place}: {expression}");
    }
}

#[test]
fn template_variables_follow_the_conventions() {
    for (uid, json) in dashboards() {
        let variables = list(&json["templating"], "list");
        let sources: Vec<&Value> = variables.iter().filter(|variable| variable["type"] == "datasource").collect();
        let [source] = sources.as_slice() else { panic!("{uid}: one variable for the data source") };
        assert_eq!(
            (text(source, "name"), text(source, "label"), text(source, "query")),
            ("datasource", "Data Source", "prometheus"),
            "{uid}"
        );
        let named = |name: &str| {
            variables
                .iter()
                .find(|variable| variable["name"] == name)
                .unwrap_or_else(|| panic!("{uid}: no variable {name}"))
        };
        let job = named("job");
        assert_eq!(
            (text(job, "label"), text(job, "allValue"), &job["multi"]),
            ("Job", ".+", &Value::Bool(true)),
            "{uid}"
        );
        // A cluster label is not always there, and `.*` fits its absence.
        assert_eq!(text(named("cluster"), "allValue"), ".*", "{uid}");
        for variable in variables.iter().filter(|variable| variable["type"] == "query") {
            assert_eq!(text(&variable["datasource"], "uid"), "${datasource}", "{uid}");
            assert_eq!(variable["refresh"], 2, "{uid}: {} is read again when the time changes", text(variable, "name"));
        }
    }
}

#[test]
fn panels_have_source_title_description_unit_and_targets() {
    for (place, panel) in panels() {
        assert!(
            !text(&panel, "title").is_empty() && text(&panel, "description").len() > 15,
            "{place}: title and description"
        );
        assert_eq!(text(&panel["datasource"], "uid"), "${datasource}", "{place}");
        assert!(!list(&panel, "targets").is_empty(), "{place}: no target");
        assert!(list(&panel, "targets").iter().all(|target| target["datasource"]["uid"] == "${datasource}"), "{place}");
        let defaults = &panel["fieldConfig"]["defaults"];
        let by_column = list(&panel["fieldConfig"], "overrides").iter().any(|rule| {
            list(rule, "properties").iter().any(|property| property["id"] == "unit" || property["id"] == "mappings")
        });
        assert!(defaults["unit"].is_string() || defaults["mappings"].is_array() || by_column, "{place}: no unit");
        assert!(!text(defaults, "noValue").is_empty(), "{place}: says nothing when there is no data");
        let references: BTreeSet<&str> = list(&panel, "targets").iter().map(|target| text(target, "refId")).collect();
        assert_eq!(references.len(), list(&panel, "targets").len(), "{place}: two queries of one name");
    }
}

#[test]
fn the_grid_holds_every_panel_once() {
    for (uid, json) in dashboards() {
        let mut taken = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for panel in list(&json, "panels") {
            let place = format!("{uid}: {}", text(panel, "title"));
            assert!(ids.insert(panel["id"].as_u64()), "{place}: id {} twice", panel["id"]);
            let number =
                |key: &str| u32::try_from(panel["gridPos"][key].as_u64().expect("a number")).expect("a small number");
            let (x, y, width, height) = (number("x"), number("y"), number("w"), number("h"));
            assert!(width > 0 && height > 0 && x + width <= COLUMNS, "{place}: outside of the grid");
            for cell in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
                assert!(taken.insert(cell), "{place}: stands on another panel");
            }
        }
    }
}

#[test]
fn dashboards_are_provisioned_and_found() {
    let mut titles = BTreeSet::new();
    for (uid, json) in dashboards() {
        assert!(uid.len() <= 40 && uid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{uid}");
        assert!(titles.insert(text(&json, "title").to_owned()), "{uid}: title twice");
        assert_eq!(json["editable"], false, "{uid}");
        assert!((39..=42).contains(&json["schemaVersion"].as_u64().unwrap_or(0)), "{uid}");
        assert!(!text(&json, "description").is_empty() && !text(&json, "refresh").is_empty(), "{uid}");
        assert!(list(&json, "tags").iter().any(|tag| tag == "metrics-server-doctor"), "{uid}");
        let sibling = list(&json, "links").iter().any(|link| {
            link["type"] == "dashboards" && list(link, "tags").iter().any(|tag| tag == "metrics-server-doctor")
        });
        assert!(sibling, "{uid}: does not link to the others");
    }
}

/// Every address in a dashboard.
fn addresses(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value.as_str() {
                    Some(url) if key == "url" && !url.is_empty() => found.push(url.to_owned()),
                    _ => addresses(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| addresses(item, found)),
        _ => {}
    }
}

#[test]
fn links_lead_somewhere() {
    let dashboards = dashboards();
    let runbooks: BTreeSet<String> = Step::ALL.iter().map(|step| format!("{step}.md")).collect();
    for (uid, json) in &dashboards {
        let mut found = Vec::new();
        addresses(json, &mut found);
        assert!(!found.is_empty(), "{uid} links to nothing");
        for url in found {
            if let Some(rest) = url.strip_prefix("/d/") {
                let (target, query) = rest.split_once('?').unwrap_or((rest, ""));
                let (_, other) =
                    dashboards.iter().find(|(uid, _)| uid == target).unwrap_or_else(|| panic!("{uid}: {url}"));
                if let Some(id) = query.split('&').find_map(|pair| pair.strip_prefix("viewPanel=")) {
                    assert!(
                        list(other, "panels").iter().any(|panel| panel["id"].as_u64() == id.parse().ok()),
                        "{uid}: no panel {id}"
                    );
                }
            } else if let Some(page) = url.strip_prefix("${runbook_url}/") {
                let page = page.split('#').next().unwrap_or("");
                // A page that the row names is one of the steps by the closed set of the label.
                assert!(
                    page == "README.md"
                        || page == "${__data.fields.Step}.md"
                        || page == "${__data.fields.Runbook}"
                        || runbooks.contains(page),
                    "{uid}: no runbook {page}"
                );
            } else {
                assert!(url.starts_with("/alerting/list?") || url == "${doctor_url}/api/v1/report", "{uid}: {url}");
            }
        }
    }
}

#[test]
fn the_strip_and_the_rows_follow_the_guide() {
    let detail = detail::dashboard().to_json();
    let rows: Vec<&str> =
        list(&detail, "panels").iter().filter(|panel| panel["type"] == "row").map(|row| text(row, "title")).collect();
    let wanted: Vec<String> =
        Step::ALL.iter().enumerate().map(|(index, step)| format!("{}. {}", index + 1, step.title())).collect();
    assert_eq!(rows[..10], wanted, "the rows");
    let overview = overview::dashboard().to_json();
    let strip =
        list(&overview, "panels").iter().find(|panel| panel["title"] == "The guide, step by step").expect("the strip");
    let steps = list(strip, "targets");
    assert_eq!(steps.len(), Step::ALL.len());
    for (index, step) in Step::ALL.into_iter().enumerate() {
        assert!(
            text(&steps[index], "expr").contains(&format!("step=\"{step}\"")),
            "{step} is not the {index}th of the strip"
        );
        assert!(text(&steps[index], "legendFormat").starts_with(&(index + 1).to_string()));
        let rule = list(&strip["fieldConfig"], "overrides")
            .iter()
            .find(|rule| rule["matcher"]["options"] == steps[index]["refId"])
            .expect("links");
        let link = text(&rule["properties"][0]["value"][0], "url");
        let panel = list(&detail, "panels")
            .iter()
            .find(|panel| link.ends_with(&format!("viewPanel={}", panel["id"])))
            .expect("a panel");
        assert!(text(panel, "title").starts_with(&wanted[index]), "{step} opens {}", text(panel, "title"));
    }
}

#[test]
fn firing_alerts_about_the_doctor_link_to_the_anchors_of_their_rules() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("alerts");
    let rules = ["doctor.yaml", "pipeline.yaml"].into_iter().flat_map(|name| {
        let text = std::fs::read_to_string(folder.join(name)).expect("the rules");
        let rules: Value = serde_saphyr::from_str(&text).expect("the form of rules");
        list(&rules["groups"][0], "rules").to_vec()
    });
    let of_rules: BTreeSet<(String, String)> = rules
        .map(|rule| (text(&rule, "alert").to_owned(), text(&rule["annotations"], "runbook_url").to_owned()))
        .collect();
    let of_panel = overview::OF_THE_DOCTOR
        .map(|(alert, anchor)| (alert.to_owned(), format!("{}/doctor.md#{anchor}", super::RUNBOOK_ADDRESS)));
    assert_eq!(of_rules, BTreeSet::from(of_panel));
}

#[test]
fn every_panel_leads_to_runbooks_and_report() {
    for (place, panel) in panels() {
        let links: Vec<&str> = list(&panel, "links").iter().map(|link| text(link, "url")).collect();
        assert!(links.iter().any(|url| url.starts_with("${runbook_url}/")), "{place}: {links:?}");
        assert!(links.contains(&"${doctor_url}/api/v1/report"), "{place}: {links:?}");
    }
}

#[test]
fn long_tables_have_pages_and_the_worst_cluster_comes_first() {
    let all = panels();
    for title in
        ["Clusters", "Findings", "Which, why, since when", "Containers without a request", "Conditions", "Namespaces"]
    {
        let (place, panel) = all.iter().find(|(_, panel)| panel["title"] == title).unwrap_or_else(|| panic!("{title}"));
        assert_eq!(panel["options"]["footer"]["enablePagination"], true, "{place}");
    }
    let (_, clusters) = all.iter().find(|(_, panel)| panel["title"] == "Clusters").expect("the table");
    assert_eq!(clusters["options"]["sortBy"], serde_json::json!([{"displayName": "State", "desc": true}]));
}
