//! The mixin: without a configuration it is what the files say, and a configuration changes nothing but what it names.

use std::{collections::BTreeSet, fs, process::Command};

use serde_json::Value;

use crate::{
    rules::{self, root},
    timeline::{run, tool},
};

/// What jsonnet makes of an expression, in which the mixin is `doctor`.
fn jsonnet(expression: &str) -> Value {
    let program = format!("local doctor = import 'mixin/mixin.libsonnet'; {expression}");
    let output =
        Command::new(tool("jsonnet")).current_dir(root()).args(["--exec", &program]).output().expect("jsonnet starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The same with every number as jsonnet knows it.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::from(number.as_f64()),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), plain(value))).collect(),
        other => other.clone(),
    }
}

const CHANGED: &str = r#"doctor + {_config+:: {
    selector: 'job="monitoring/doctor"', clusterLabel: 'k8s_cluster', runbookBase: 'https://doctor.example/runbooks',
    dashboardBase: 'https://grafana.example/',
}}"#;

#[test]
fn the_mixin_holds_every_rule_and_dashboard_as_it_is() {
    let mixed = jsonnet(
        "{rules: doctor.prometheusAlerts.groups + doctor.prometheusRules.groups, dashboards: doctor.grafanaDashboards}",
    );
    let by_name = |groups: &mut Vec<Value>| groups.sort_by_key(|group| group["name"].to_string());
    let mut shipped: Vec<Value> = rules::files()
        .into_values()
        .flat_map(|path| rules::read(&path)["groups"].as_array().expect("groups").clone())
        .collect();
    let mut mixed_rules = mixed["rules"].as_array().expect("groups").clone();
    by_name(&mut shipped);
    by_name(&mut mixed_rules);
    assert_eq!(mixed_rules, shipped);
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(root().join("dashboards")).expect("dashboards").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().extension().is_some_and(|extension| extension == "json") {
            let shipped: Value = serde_json::from_slice(&fs::read(entry.path()).expect("a file")).expect("JSON");
            assert!(plain(&mixed["dashboards"][&name]) == plain(&shipped), "{name} differs");
            names.insert(name);
        }
    }
    assert_eq!(names.len(), mixed["dashboards"].as_object().expect("dashboards").len());
}

#[test]
fn a_configuration_of_the_mixin_changes_selector_cluster_label_and_links_everywhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rules.json");
    let changed = jsonnet(&format!(
        "local changed = {CHANGED}; {{rules: {{groups: changed.prometheusAlerts.groups + changed.prometheusRules.groups}}, dashboards: changed.grafanaDashboards}}"
    ));
    fs::write(&path, changed["rules"].to_string()).expect("a file");
    run(Command::new(tool("promtool")).args(["check", "rules", "--lint=all", "--lint-fatal"]).arg(&path))
        .expect("valid rules");
    let mut count = 0;
    for group in changed["rules"]["groups"].as_array().expect("groups") {
        for rule in group["rules"].as_array().expect("rules") {
            let text = rule.to_string();
            for left in [
                r#"job=\"metrics-server-doctor\""#,
                "$labels.cluster",
                "docs/runbooks",
                "(cluster)",
                "(cluster, ",
                " cluster=",
                ", cluster)",
            ] {
                assert!(!text.contains(left), "{left} is left in {text}");
            }
            let rule = rules::rule_of("mixin", rule);
            if rule.is_alert {
                assert!(
                    rule.annotations["runbook_url"].starts_with("https://doctor.example/runbooks/"),
                    "{}",
                    rule.name
                );
                assert!(rule.annotations["dashboard_url"].starts_with("https://grafana.example/d/"), "{}", rule.name);
                count += 1;
            }
            assert!(
                rule.expression.contains("k8s_cluster")
                    || rule.name.starts_with("fleet:")
                    || rule.expression.contains("ratio30d")
                    || rule.name.ends_with("ratio30d"),
                "{}: {}",
                rule.name,
                rule.expression
            );
        }
    }
    assert_eq!(count, rules::alerts().len());
    let dashboards = changed["dashboards"].to_string();
    assert!(
        dashboards.contains(r#"k8s_cluster=~\"$cluster\""#) && dashboards.contains("https://doctor.example/runbooks")
    );
    for left in [r#" cluster=~\"$cluster"#, "{cluster=~", "(cluster,", "(cluster)", r#""docs/runbooks""#] {
        assert!(!dashboards.contains(left), "{left} is left in the dashboards");
    }
}
