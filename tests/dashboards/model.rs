//! A dashboard as it is written here, and the JSON that Grafana reads (classic schema, Grafana 11 to 13).
//!
//! Source of the fields: npm `@grafana/schema` 13.2.2 (`raw/dashboard` and `raw/composable/*`).

#![allow(clippy::needless_pass_by_value, reason = "builders take what json! makes")]

use serde_json::{Value, json};

use super::palette::{FAIL, LINES, NEUTRAL, NO_DATA_TEXT, PARTIAL, PASS};

/// The schema version that `@grafana/schema` 13.2.2 writes; Grafana 11 reads it too.
const SCHEMA_VERSION: u32 = 42;
/// The grid of a dashboard.
pub(crate) const COLUMNS: u32 = 24;
/// The tag by which the dashboards find each other.
pub(crate) const TAG: &str = "metrics-server-doctor";
/// Which series a dashboard speaks of: those of the chosen cluster and job. A `cluster` label is there only where
/// Prometheus or what stands behind it adds one.
pub(crate) const SELECTOR: &str = r#"cluster=~"$cluster", job=~"$job""#;

/// One dashboard.
#[derive(Debug)]
pub(crate) struct Dashboard {
    pub(crate) uid: &'static str,
    pub(crate) title: &'static str,
    pub(crate) description: &'static str,
    /// Variables beside data source, cluster, job and address of the runbooks.
    pub(crate) variables: Vec<Value>,
    pub(crate) sections: Vec<Section>,
}

/// Panels that belong together; with a title they stand below a row of that name.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) title: Option<String>,
    /// The first id: panels keep theirs when other sections grow.
    pub(crate) first_id: u32,
    pub(crate) panels: Vec<Panel>,
}

/// How a query is asked and answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The newest value of each series.
    Instant,
    /// The newest value of each series, as rows of a table.
    Table,
    /// Values over the shown time.
    Range,
}

/// One query.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    expression: String,
    legend: String,
    shape: Shape,
}

/// One panel.
#[derive(Debug, Clone)]
pub(crate) struct Panel {
    kind: &'static str,
    title: String,
    description: String,
    width: u32,
    height: u32,
    targets: Vec<Target>,
    defaults: Value,
    overrides: Vec<Value>,
    transformations: Vec<Value>,
    options: Value,
    links: Vec<Value>,
}

impl Panel {
    fn new(kind: &'static str, title: &str, description: &str, size: (u32, u32), options: Value) -> Self {
        Self {
            kind,
            title: title.to_owned(),
            description: description.to_owned(),
            width: size.0,
            height: size.1,
            targets: Vec::new(),
            defaults: json!({"noValue": NO_DATA_TEXT}),
            overrides: Vec::new(),
            transformations: Vec::new(),
            options,
            links: Vec::new(),
        }
    }

    /// Values in large letters on their colour.
    pub(crate) fn stat(title: &str, description: &str, size: (u32, u32)) -> Self {
        let options = json!({
            "colorMode": "background_solid", "graphMode": "none", "justifyMode": "center", "orientation": "auto", "wideLayout": true,
            "text": {"valueSize": 28, "titleSize": 14}, "textMode": "auto", "showPercentChange": false, "percentChangeColorMode": "standard",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false},
        });
        let mut panel = Self::new("stat", title, description, size, options);
        panel.defaults["color"] = json!({"mode": "thresholds"});
        panel.colour(NEUTRAL)
    }

    /// Rows and columns.
    pub(crate) fn table(title: &str, description: &str, size: (u32, u32)) -> Self {
        let mut panel =
            Self::new("table", title, description, size, json!({"showHeader": true, "cellHeight": "sm", "sortBy": []}));
        panel.defaults["custom"] =
            // Grafana 12 moved wrapText from the cell's options to the column.
            json!({"align": "left", "cellOptions": {"type": "auto", "wrapText": true}, "inspect": false, "wrapText": true});
        panel.colour(NEUTRAL)
    }

    /// Lines over time.
    pub(crate) fn lines(title: &str, description: &str, size: (u32, u32), unit: &str) -> Self {
        let options = json!({
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "none"},
        });
        let mut panel = Self::new("timeseries", title, description, size, options);
        panel.defaults["custom"] = json!({
            "drawStyle": "line", "lineInterpolation": "stepAfter", "lineWidth": 2, "fillOpacity": 8, "showPoints": "never",
            "spanNulls": false, "axisSoftMin": 0,
        });
        panel.defaults["color"] = json!({"mode": "palette-classic"});
        panel.unit(unit)
    }

    /// States as bands over time; a gap is a time of which nothing is known.
    pub(crate) fn timeline(title: &str, description: &str, size: (u32, u32)) -> Self {
        let options = json!({
            "alignValue": "left", "mergeValues": true, "rowHeight": 0.85, "showValue": "auto",
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true},
            "tooltip": {"mode": "single", "sort": "none"},
        });
        let mut panel = Self::new("state-timeline", title, description, size, options);
        panel.defaults["custom"] = json!({"fillOpacity": 90, "lineWidth": 0, "spanNulls": false, "insertNulls": false});
        panel.defaults["color"] = json!({"mode": "thresholds"});
        panel.colour(NEUTRAL)
    }

    /// Adds a query of the newest values, named by `legend`.
    pub(crate) fn now(self, legend: &str, expression: impl Into<String>) -> Self {
        self.ask(legend, expression, Shape::Instant)
    }

    /// Adds a query whose labels become columns.
    pub(crate) fn rows(self, expression: impl Into<String>) -> Self {
        self.ask("", expression, Shape::Table)
    }

    /// Adds a query over time, named by `legend`, with a line colour of its own.
    pub(crate) fn over_time(mut self, legend: &str, expression: impl Into<String>) -> Self {
        let reference = self.next_reference();
        if self.kind == "timeseries" && !legend.contains("{{") {
            let colour = LINES[self.targets.len() % LINES.len()];
            self.overrides.push(json!({
                "matcher": {"id": "byFrameRefID", "options": reference},
                "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}],
            }));
        }
        self.ask(legend, expression, Shape::Range)
    }

    fn ask(mut self, legend: &str, expression: impl Into<String>, shape: Shape) -> Self {
        self.targets.push(Target { expression: expression.into(), legend: legend.to_owned(), shape });
        self
    }

    fn next_reference(&self) -> String {
        reference(self.targets.len())
    }

    /// The unit of all values, by Grafana's id.
    pub(crate) fn unit(mut self, unit: &str) -> Self {
        self.defaults["unit"] = json!(unit);
        self
    }

    /// Digits behind the point.
    pub(crate) fn decimals(mut self, digits: u8) -> Self {
        self.defaults["decimals"] = json!(digits);
        self
    }

    /// One colour for every value.
    pub(crate) fn colour(mut self, colour: &str) -> Self {
        self.defaults["thresholds"] = json!({"mode": "absolute", "steps": [{"color": colour, "value": null}]});
        self
    }

    /// Colours from a value on; the first holds below all.
    pub(crate) fn thresholds(mut self, lowest: &str, steps: &[(f64, &str)]) -> Self {
        let steps = steps.iter().map(|(value, colour)| json!({"color": colour, "value": value}));
        let all: Vec<Value> = std::iter::once(json!({"color": lowest, "value": null})).chain(steps).collect();
        self.defaults["thresholds"] = json!({"mode": "absolute", "steps": all});
        self
    }

    /// Nothing of it is well, anything of it is a fault.
    pub(crate) fn none_is_well(self) -> Self {
        self.thresholds(PASS, &[(1.0, FAIL)])
    }

    /// Nothing of it is well, anything of it hurts some.
    pub(crate) fn none_is_better(self) -> Self {
        self.thresholds(PASS, &[(1.0, PARTIAL)])
    }

    /// More rows than fit come on pages; Grafana 13 moved the option from the footer to the table.
    pub(crate) fn paged(mut self) -> Self {
        self.options["enablePagination"] = json!(true);
        self.options["footer"] =
            json!({"show": false, "reducer": [], "countRows": false, "fields": "", "enablePagination": true});
        self
    }

    /// The rows with the greatest values of a column come first.
    pub(crate) fn sorted_by(self, column: &str) -> Self {
        self.option("/sortBy", json!([{"displayName": column, "desc": true}]))
    }

    /// Texts and colours of values.
    pub(crate) fn mappings(mut self, mappings: Value) -> Self {
        self.defaults["mappings"] = mappings;
        self
    }

    /// What stands there when there is nothing to read.
    pub(crate) fn without_data(mut self, text: &str) -> Self {
        self.defaults["noValue"] = json!(text);
        self
    }

    /// Sets an option of the panel's kind.
    pub(crate) fn option(mut self, pointer: &str, value: Value) -> Self {
        if let Some(place) = self.options.pointer_mut(pointer) {
            *place = value;
        } else {
            panic!("{}: no option {pointer}", self.title);
        }
        self
    }

    /// Rows of two lines: Grafana measures a cell by its value and not by the text that the value stands for.
    pub(crate) fn tall_rows(self) -> Self {
        self.option("/cellHeight", json!("lg"))
    }

    /// Shows the texts of one field, each row for itself.
    pub(crate) fn texts_of(self, field: &str) -> Self {
        self.option(
            "/reduceOptions",
            json!({"calcs": ["lastNotNull"], "fields": format!("/^{field}$/"), "values": true, "limit": 12}),
        )
        .option("/textMode", json!("value"))
    }

    /// Properties of one field or column.
    pub(crate) fn field(mut self, name: &str, properties: Value) -> Self {
        self.overrides.push(json!({"matcher": {"id": "byName", "options": name}, "properties": properties}));
        self
    }

    /// Properties of the series whose name fits an expression between slashes.
    pub(crate) fn matching(mut self, expression: &str, properties: Value) -> Self {
        self.overrides.push(json!({"matcher": {"id": "byRegexp", "options": expression}, "properties": properties}));
        self
    }

    /// Properties of the series of one query.
    pub(crate) fn query(mut self, index: usize, properties: Value) -> Self {
        self.overrides
            .push(json!({"matcher": {"id": "byFrameRefID", "options": reference(index)}, "properties": properties}));
        self
    }

    /// The columns that are shown, in this order, with their headings; the others are left out.
    pub(crate) fn columns(mut self, shown: &[(&str, &str)]) -> Self {
        if self.targets.len() > 1 {
            self.transformations.push(json!({"id": "merge", "options": {}}));
        }
        let include: Vec<&str> = shown.iter().map(|(field, _)| *field).collect();
        self.transformations.push(json!({"id": "filterFieldsByName", "options": {"include": {"names": include}}}));
        let order: serde_json::Map<String, Value> =
            shown.iter().enumerate().map(|(index, (field, _))| ((*field).to_owned(), json!(index))).collect();
        let names: serde_json::Map<String, Value> =
            shown.iter().map(|(field, heading)| ((*field).to_owned(), json!(heading))).collect();
        self.transformations.push(json!({
            "id": "organize",
            "options": {"excludeByName": {}, "indexByName": order, "renameByName": names},
        }));
        self
    }

    /// A link of the whole panel.
    pub(crate) fn link(mut self, title: &str, url: &str) -> Self {
        self.links.push(json!({"title": title, "url": url, "targetBlank": !url.starts_with("/d/")}));
        self
    }

    fn to_json(&self, id: u32, x: u32, y: u32) -> Value {
        let targets: Vec<Value> =
            self.targets.iter().enumerate().map(|(index, target)| target.to_json(index)).collect();
        // Every panel leads on: to the runbooks, and to the names and numbers of this case.
        let mut links = self.links.clone();
        if !links.iter().any(|link| link["url"].as_str().is_some_and(|url| url.starts_with(RUNBOOKS))) {
            links.push(json!({"title": "Runbooks", "url": format!("{RUNBOOKS}/README.md"), "targetBlank": true}));
        }
        links.push(json!({"title": "Report", "url": format!("{DOCTOR}/api/v1/report"), "targetBlank": true}));
        json!({
            "id": id,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": source(),
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "targets": targets,
            "fieldConfig": {"defaults": self.defaults, "overrides": self.overrides},
            "transformations": self.transformations,
            "options": self.options,
            "links": links,
        })
    }
}

impl Target {
    fn to_json(&self, index: usize) -> Value {
        json!({
            "refId": reference(index),
            "datasource": source(),
            "editorMode": "code",
            "expr": self.expression,
            "legendFormat": if self.legend.is_empty() { "__auto" } else { self.legend.as_str() },
            "format": if self.shape == Shape::Table { "table" } else { "time_series" },
            "instant": self.shape != Shape::Range,
            "range": self.shape == Shape::Range,
        })
    }
}

impl Dashboard {
    /// The JSON that Grafana reads.
    pub(crate) fn to_json(&self) -> Value {
        let (mut panels, mut y) = (Vec::new(), 0);
        for section in &self.sections {
            let mut id = section.first_id;
            if let Some(title) = &section.title {
                panels.push(json!({
                    "id": id, "type": "row", "title": title, "collapsed": false, "panels": [],
                    "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1},
                }));
                y += 1;
            }
            // Each panel goes as far up as it fits, and then as far left.
            let mut skyline = [y; COLUMNS as usize];
            for panel in &section.panels {
                id += 1;
                let top = |x: u32| skyline[x as usize..(x + panel.width) as usize].iter().copied().max().unwrap_or(y);
                let x = (0..=COLUMNS - panel.width).min_by_key(|x| (top(*x), *x)).unwrap_or(0);
                let at = top(x);
                panels.push(panel.to_json(id, x, at));
                skyline[x as usize..(x + panel.width) as usize].fill(at + panel.height);
            }
            y = skyline.into_iter().max().unwrap_or(y);
        }
        let variables: Vec<Value> = general_variables().into_iter().chain(self.variables.iter().cloned()).collect();
        json!({
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": [TAG, "kubernetes", "metrics-server"],
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": false,
            "graphTooltip": 1,
            "timezone": "browser",
            "refresh": "30s",
            "time": {"from": "now-3h", "to": "now"},
            "annotations": {"list": [alerts()]},
            "links": [{
                "type": "dashboards", "title": "metrics-server-doctor", "tags": [TAG], "asDropdown": false, "includeVars": true,
                "keepTime": true, "targetBlank": false, "icon": "external link", "tooltip": "", "url": "",
            }],
            "templating": {"list": variables},
            "panels": panels,
        })
    }
}

fn reference(index: usize) -> String {
    let letter = u8::try_from(index).ok().filter(|index| *index < 26).expect("at most 26 queries in a panel");
    char::from(b'A' + letter).to_string()
}

fn source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

/// Firing alerts of the shipped rules as marks over all panels.
fn alerts() -> Value {
    json!({
        "name": "Firing alerts", "enable": true, "hide": false, "iconColor": FAIL, "datasource": source(),
        "expr": r#"max by (alertname, step, cause) (ALERTS{alertstate="firing", alertname=~"MetricsServer.*|MetricsPipelineDown|HPATargetsUnknown", cluster=~"$cluster"})"#,
        "titleFormat": "{{alertname}}", "textFormat": "{{step}} {{cause}}", "step": "60s",
    })
}

/// Where the runbooks are, as long as nobody names another place.
pub(crate) const RUNBOOKS: &str = "${runbook_url}";
/// Where people reach the doctor, as long as nobody names another place.
const DOCTOR: &str = "${doctor_url}";

fn general_variables() -> Vec<Value> {
    vec![
        json!({
            "name": "datasource", "label": "Data Source", "type": "datasource", "query": "prometheus", "regex": "", "refresh": 1,
            "multi": false, "includeAll": false, "hide": 0, "options": [], "current": {},
        }),
        query_variable("cluster", "Cluster", "label_values(metrics_server_doctor_build_info, cluster)", ".*"),
        query_variable(
            "job",
            "Job",
            r#"label_values(metrics_server_doctor_build_info{cluster=~"$cluster"}, job)"#,
            ".+",
        ),
        json!({
            "name": "runbook_url", "label": "Runbooks", "type": "textbox", "hide": 0,
            "description": "Address that links to runbooks begin with; the same as --runbook-url of the doctor.",
            "query": super::RUNBOOK_ADDRESS,
            "current": {"text": super::RUNBOOK_ADDRESS, "value": super::RUNBOOK_ADDRESS},
            "options": [{"text": super::RUNBOOK_ADDRESS, "value": super::RUNBOOK_ADDRESS, "selected": true}],
        }),
        json!({
            "name": "doctor_url", "label": "Doctor", "type": "textbox", "hide": 0,
            "description": "Address at which people reach the doctor, whose report has the names and numbers of a case.",
            "query": super::DOCTOR_ADDRESS,
            "current": {"text": super::DOCTOR_ADDRESS, "value": super::DOCTOR_ADDRESS},
            "options": [{"text": super::DOCTOR_ADDRESS, "value": super::DOCTOR_ADDRESS, "selected": true}],
        }),
    ]
}

/// A variable with the values of a label.
pub(crate) fn query_variable(name: &str, label: &str, query: &str, all: &str) -> Value {
    json!({
        "name": name, "label": label, "type": "query", "datasource": source(), "definition": query,
        "query": {"qryType": 1, "query": query, "refId": format!("Variable-{name}")},
        "regex": "", "sort": 1, "refresh": 2, "multi": true, "includeAll": true, "allValue": all, "hide": 0, "options": [],
        "current": {"text": ["All"], "value": ["$__all"]},
    })
}
