//! The shipped rule files, read as Prometheus reads them.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde_json::Value;

pub(crate) type Labels = BTreeMap<String, String>;

/// One alerting or recording rule.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    /// The file's name without its ending.
    pub(crate) file: String,
    /// The alert's or the recorded series' name.
    pub(crate) name: String,
    pub(crate) is_alert: bool,
    pub(crate) expression: String,
    /// `for`, in seconds.
    pub(crate) hold: u64,
    /// `keep_firing_for`, in seconds.
    pub(crate) keep: u64,
    pub(crate) labels: Labels,
    pub(crate) annotations: Labels,
}

impl Rule {
    pub(crate) fn severity(&self) -> &str {
        self.labels.get("severity").map_or("", String::as_str)
    }
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The rule files, by name without ending.
pub(crate) fn files() -> BTreeMap<String, PathBuf> {
    let folder = fs::read_dir(root().join("alerts")).expect("folder alerts");
    let files =
        folder.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "yaml"));
    files.map(|path| (path.file_stem().expect("a name").to_string_lossy().into_owned(), path)).collect()
}

pub(crate) fn read(path: &PathBuf) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every rule of every file.
pub(crate) fn all() -> Vec<Rule> {
    let mut rules = Vec::new();
    for (file, path) in files() {
        for group in read(&path)["groups"].as_array().expect("groups") {
            rules.extend(group["rules"].as_array().expect("rules").iter().map(|rule| rule_of(&file, rule)));
        }
    }
    rules
}

/// Every alerting rule.
pub(crate) fn alerts() -> Vec<Rule> {
    all().into_iter().filter(|rule| rule.is_alert).collect()
}

/// The alerting rule with that name, severity and, where several share these, cause.
pub(crate) fn alert(name: &str, severity: &str, cause: Option<&str>) -> Rule {
    let mut found = alerts();
    found.retain(|rule| {
        rule.name == name
            && rule.severity() == severity
            && cause.is_none_or(|cause| rule.labels.get("cause").is_none_or(|known| known == cause))
    });
    assert_eq!(found.len(), 1, "{name} {severity} {cause:?}");
    found.remove(0)
}

/// A rule of a file as it is read.
pub(crate) fn rule_of(file: &str, rule: &Value) -> Rule {
    let text = |field: &str| rule[field].as_str().unwrap_or_default();
    let map = |field: &str| -> Labels {
        let entries = rule[field].as_object().into_iter().flatten();
        entries.map(|(name, value)| (name.clone(), value.as_str().expect("text").to_owned())).collect()
    };
    Rule {
        file: file.to_owned(),
        name: format!("{}{}", text("alert"), text("record")),
        is_alert: rule["alert"].is_string(),
        expression: text("expr").to_owned(),
        hold: seconds(text("for")),
        keep: seconds(text("keep_firing_for")),
        labels: map("labels"),
        annotations: map("annotations"),
    }
}

/// `5m`, `1h` or nothing.
fn seconds(duration: &str) -> u64 {
    let number = |unit| duration.strip_suffix(unit).and_then(|number| number.parse::<u64>().ok());
    match (number("m"), number("h")) {
        (Some(minutes), _) => minutes * 60,
        (_, Some(hours)) => hours * 3_600,
        _ if duration.is_empty() => 0,
        _ => panic!("duration {duration}"),
    }
}
