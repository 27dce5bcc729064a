//! The queries of the shipped dashboards, with Grafana's variables filled in.

use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::components::project_root;

/// One query.
#[derive(Debug, Clone)]
pub struct Query {
    /// Dashboard and panel or variable.
    pub place: String,
    /// `PromQL` as Prometheus takes it.
    pub expression: String,
}

/// Every query of every panel, annotation and variable, with all clusters, jobs and namespaces chosen.
///
/// # Errors
///
/// When a dashboard cannot be read.
pub fn queries() -> Result<Vec<Query>> {
    let mut queries = Vec::new();
    let folder = project_root().join("dashboards");
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let text = fs::read_to_string(&path)?;
            let dashboard: Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
            add(&dashboard, &mut queries);
        }
    }
    Ok(queries)
}

fn add(dashboard: &Value, queries: &mut Vec<Query>) {
    let title = dashboard["uid"].as_str().unwrap_or("");
    let mut push = |place: &str, expression: &Value| {
        if let Some(expression) = expression.as_str() {
            queries.push(Query { place: format!("{title}: {place}"), expression: fill(expression) });
        }
    };
    for panel in list(&dashboard["panels"]) {
        for target in list(&panel["targets"]) {
            push(panel["title"].as_str().unwrap_or(""), &target["expr"]);
        }
    }
    for annotation in list(&dashboard["annotations"]["list"]) {
        push("annotation", &annotation["expr"]);
    }
    for variable in list(&dashboard["templating"]["list"]) {
        let query = variable["query"]["query"].as_str().unwrap_or("");
        let inside = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
        if let Some((selector, label)) = inside.and_then(|inside| inside.rsplit_once(", ")) {
            let place = format!("variable {}", variable["name"].as_str().unwrap_or(""));
            push(&place, &Value::String(format!("group by ({label}) ({selector})")));
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn fill(expression: &str) -> String {
    [("$cluster", ".*"), ("$job", ".+"), ("$namespace", ".*"), ("$__rate_interval", "10s"), ("$__range", "10m")]
        .into_iter()
        .fold(expression.to_owned(), |text, (variable, value)| text.replace(variable, value))
}
