//! `docs/alerts.md`: which alert belongs to which section of the guide, which causes it tells, and what tries it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
};

use metrics_server_doctor::{
    catalogue::{self, Entry},
    guide::Step,
};

use crate::{
    cases::{self, alert_of},
    ends,
    rules::{self, Rule, root},
    timeline::Case,
};

const UPDATE: &str = "UPDATE_DOCS=1 cargo test --test alerts";

/// The ends of `tests/alerting`.
const ENDS: [&ends::Ending; 8] = [
    &ends::SERVICE_PORT,
    &ends::SELECTOR,
    &ends::DROPPED,
    &ends::SIDECAR,
    &ends::KUBELETS,
    &ends::AUTH_READER,
    &ends::RIGHTS,
    &ends::KILLED,
];

/// Cases of `tests/alerting` that end in this alert of this cause.
fn end_to_end(alert: &str, severity: Option<&str>, cause: &str) -> Vec<&'static str> {
    let fits = |told: &str| {
        let words: Vec<&str> = told.split(' ').collect();
        words[0] == alert && severity.is_none_or(|severity| words[1] == severity) && words[2] == cause
    };
    ENDS.into_iter().filter(|end| fits(end.told)).map(|end| end.case).collect()
}

/// Rows of the fault matrix, and bundles that stand in for one, by cause.
fn rows() -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(root().join("docs/fault-matrix.md")).expect("the fault matrix");
    let mut rows: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [name, _, said] = cells.as_slice() else { continue };
        if let Some(cause) = said.split("verdict `").nth(1).and_then(|rest| rest.split('`').next()) {
            rows.entry(cause.to_owned()).or_default().push((*name).to_owned());
        } else if let Some(cause) = name.strip_prefix('`').and_then(|name| name.strip_suffix('`')) {
            rows.entry(cause.to_owned()).or_default().push(format!("bundle {said}"));
        }
    }
    rows
}

/// Names of the cases of promtool in which a rule fires.
fn promtool(rule: &Rule, cases: &[Case]) -> Vec<String> {
    let fires = |labels: &rules::Labels| {
        labels["alertname"] == rule.name && rule.labels.iter().all(|(label, value)| labels.get(label) == Some(value))
    };
    let own = cases.iter().filter(|case| case.file == rule.file);
    let firing = own.filter(|case| case.firing.iter().flat_map(|(_, firing)| firing).any(fires));
    firing.map(|case| case.name.clone()).collect::<BTreeSet<_>>().into_iter().collect()
}

fn section(file: &str) -> String {
    Step::ALL.into_iter().find(|step| step.id() == file).map_or_else(
        || format!("none: [the doctor itself](runbooks/{file}.md)"),
        |step| format!("[{step}](runbooks/{step}.md): {}", step.title()),
    )
}

/// What a rule's label `cause` may say.
fn causes(rule: &Rule) -> String {
    match rule.labels.get("cause") {
        Some(cause) => format!("`{cause}`"),
        None if rule.file == "known_issues" => "every cause below that is described upstream".to_owned(),
        None => "each of its section below".to_owned(),
    }
}

fn minutes(seconds: u64) -> String {
    format!("{} min", seconds / 60)
}

fn severities(entry: &Entry) -> &'static str {
    if entry.step == Step::Hpa && !entry.cause.is_symptom() { "warning" } else { "critical or warning" }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "-".to_owned() } else { names.join("; ") }
}

fn page() -> String {
    let mut text = format!(
        "# Alerts, sections, causes, tests

Generated from the rules, the catalogue of causes and the tests: `{UPDATE}`. What each alert asks of a person is told by the
[runbooks](runbooks/README.md), how to load the rules by [alerts/](../alerts/README.md).

## Alerts

*critical* is for what breaks autoscaling now, *warning* for what hurts some, will break, or hides a fault, *info* for the rest. Each
rule is tried by `promtool` on pages of the real renderer (`make test-alerts`): it fires, not before its time, resolves, is silent
otherwise; and every small change of its expression or its waits makes one of these cases fail.

| alert | severity | waits | section of the guide | label `cause` | cases of `promtool` in which it fires |
|---|---|---|---|---|---|
"
    );
    let cases = cases::of_rules();
    for rule in rules::alerts() {
        // Writing into a text does not fail.
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} | {} |",
            rule.name,
            rule.severity(),
            minutes(rule.hold),
            section(&rule.file),
            causes(&rule),
            list(&promtool(&rule, &cases))
        );
    }
    text.push_str(
        "
## Causes

Each cause leads to exactly one alert: critical where metrics are gone for everybody, warning where some are hurt
(`every_cause_of_the_catalogue_leads_to_exactly_one_alert` in `tests/alerts.rs`). The [fault matrix](fault-matrix.md) brings the cause
about on a real cluster; a bundle of `tests/cases` stands in where that is not possible. The last column names the case of
`tests/alerting.rs` that goes on to Alertmanager's notification (`make test-alerting`).

| section | cause | alert | severity | row of the fault matrix | from fault to page |
|---|---|---|---|---|---|
",
    );
    let rows = rows();
    for entry in catalogue::all() {
        let cause = format!("{}/{}", entry.step, entry.id);
        let tried = rows.get(&cause).map(Vec::as_slice).unwrap_or_default();
        assert!(!tried.is_empty(), "{cause} is in neither table of docs/fault-matrix.md");
        let alert = alert_of(entry.step);
        let ends: Vec<_> = end_to_end(alert, None, &cause).into_iter().map(str::to_owned).collect();
        let _ = writeln!(
            text,
            "| {step} | [`{id}`](runbooks/{step}.md#{id}) | `{alert}` | {} | {} | {} |",
            severities(entry),
            list(tried),
            list(&ends),
            step = entry.step,
            id = entry.id,
        );
    }
    text.push_str("\nOf the alerts about the doctor itself, these go on to a notification too:\n\n| alert | severity | label `cause` | from fault to page |\n|---|---|---|---|\n");
    for rule in rules::alerts().iter().filter(|rule| rule.file == "doctor") {
        let cause = format!("none/{}", rule.labels["cause"]);
        for case in end_to_end(&rule.name, Some(rule.severity()), &cause) {
            let _ = writeln!(text, "| `{}` | {} | `{}` | {case} |", rule.name, rule.severity(), rule.labels["cause"]);
        }
    }
    text
}

#[test]
fn the_table_of_alerts_causes_and_tests_is_up_to_date() {
    let path = root().join("docs/alerts.md");
    let wanted = page();
    for end in ENDS {
        assert!(wanted.contains(end.case), "{} leads to no alert or cause", end.case);
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &wanted).expect("a writable page");
    }
    let shipped = fs::read_to_string(&path).unwrap_or_default();
    assert!(shipped == wanted, "{} is out of date: run `{UPDATE}`", path.display());
}
