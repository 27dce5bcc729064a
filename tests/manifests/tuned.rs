//! Rules as values of the chart change them, and the label job that they ask for.

use std::{collections::BTreeMap, fs, process::Command};

use serde_json::{Value, json};
use testbed::components;

use crate::{NAME, objects, rendered};

/// The rules of the chart's `PrometheusRule`.
fn rules(flags: &[&str]) -> Vec<Value> {
    let enabled = [&["--set", "prometheusRule.enabled=true"], flags].concat();
    let rendered = objects(&rendered(&enabled));
    let object = rendered.values().find(|object| object["kind"] == "PrometheusRule").expect("a PrometheusRule");
    let groups = object["spec"]["groups"].as_array().expect("groups").clone();
    groups.into_iter().flat_map(|group| group["rules"].as_array().expect("rules").clone()).collect()
}

/// What a rule is by, whatever is changed of it: its name and its expression.
fn by_identity(rules: Vec<Value>) -> BTreeMap<String, Value> {
    rules.into_iter().map(|rule| (format!("{} {} {}", rule["alert"], rule["record"], rule["expr"]), rule)).collect()
}

#[test]
fn a_setting_changes_the_rules_of_its_name_and_no_other() {
    let shipped = by_identity(rules(&[]));
    let set = "prometheusRule.rules.HPATargetsUnknown.for=7m,prometheusRule.rules.HPATargetsUnknown.labels.team=web,\
               prometheusRule.rules.HPATargetsUnknown.warning.for=30m,\
               prometheusRule.rules.HPATargetsUnknown.warning.keepFiringFor=10m,\
               prometheusRule.rules.HPATargetsUnknown.warning.severity=ticket,\
               prometheusRule.rules.HPATargetsUnknown.annotations.summary=Blind.";
    let changed = by_identity(rules(&["--set", set]));
    assert!(shipped.keys().eq(changed.keys()), "a rule came or went");
    let mut seen = Vec::new();
    for (identity, rule) in &shipped {
        let now = &changed[identity];
        if rule["alert"] != "HPATargetsUnknown" {
            assert_eq!(rule, now);
            continue;
        }
        let is_warning = rule["labels"]["severity"] == "warning";
        let mut wanted = rule.clone();
        wanted["labels"]["team"] = json!("web");
        wanted["annotations"]["summary"] = json!("Blind.");
        wanted["for"] = json!(if is_warning { "30m" } else { "7m" });
        if is_warning {
            wanted["keep_firing_for"] = json!("10m");
            wanted["labels"]["severity"] = json!("ticket");
        }
        assert_eq!(*now, wanted);
        seen.push(is_warning);
    }
    assert!(seen.contains(&true) && seen.contains(&false), "{seen:?}");
}

#[test]
fn alerts_can_be_turned_off_by_name_or_severity_and_recording_rules_stay() {
    let shipped = rules(&[]);
    let set = "prometheusRule.rules.MetricsServerInstalledTwice.enabled=false,\
               prometheusRule.rules.HPATargetsUnknown.critical.enabled=false,\
               prometheusRule.rules.MetricsServerTimeout.enabled=false,\
               prometheusRule.rules.MetricsServerTimeout.warning.enabled=true";
    let mut wanted = shipped.clone();
    wanted.retain(|rule| {
        let is_critical = rule["labels"]["severity"] == "critical";
        match rule["alert"].as_str() {
            Some("MetricsServerInstalledTwice") => false,
            Some("HPATargetsUnknown" | "MetricsServerTimeout") => !is_critical,
            _ => true,
        }
    });
    assert_eq!(shipped.len() - wanted.len(), 3);
    assert_eq!(rules(&["--set", set]), wanted);

    let names: Vec<String> = shipped.iter().filter_map(|rule| rule["alert"].as_str()).map(str::to_owned).collect();
    let every: Vec<String> = names.iter().map(|name| format!("prometheusRule.rules.{name}.enabled=false")).collect();
    let left = rules(&["--set", &every.join(",")]);
    assert!(!left.is_empty() && left.iter().all(|rule| rule["record"].is_string()), "{left:?}");
    let groups = rendered(&["--set", "prometheusRule.enabled=true", "--set", &every.join(",")]);
    assert!(!groups.contains("rules: []"), "an empty group is left");
}

#[test]
fn labels_and_annotations_for_every_alert_reach_every_alert_and_no_recorded_series() {
    let set = "prometheusRule.additionalRuleLabels.team=platform,prometheusRule.additionalRuleAnnotations.wiki=yes";
    for rule in rules(&["--set", set]) {
        let is_alert = rule["alert"].is_string();
        assert_eq!(rule["labels"]["team"] == "platform", is_alert, "{rule}");
        assert_eq!(rule["annotations"]["wiki"] == "yes", is_alert, "{rule}");
        assert!(!is_alert || rule["labels"]["severity"].is_string(), "{rule}");
    }
}

/// Whatever is changed, promtool takes it, and more labels are kept everywhere that the cluster's is.
#[test]
fn further_labels_are_kept_wherever_the_clusters_is() {
    let set =
        "prometheusRule.additionalAggregationLabels={region,zone},prometheusRule.rules.MetricsPipelineDown.for=1h30m";
    let changed = rules(&["--set", set]);
    let mut kept = 0;
    for (rule, shipped) in changed.iter().zip(rules(&[])) {
        let one_line = |rule: &Value| {
            rule["expr"].as_str().expect("text").split_whitespace().collect::<Vec<_>>().join(" ").replace("( ", "(")
        };
        let (now, before) = (one_line(rule), one_line(&shipped));
        kept += now.matches("(cluster, region, zone").count();
        // Each list of labels that has the cluster's has these, too.
        assert_eq!(now.replace("(cluster, region, zone", "(cluster"), before);
        // Recorded names begin with the word, too.
        let lists = before.replace("(cluster:", "(").matches("(cluster").count();
        assert_eq!(now.matches("(cluster, region, zone").count(), lists, "{now}");
    }
    assert!(kept > 40, "{kept}");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rules.yaml");
    let groups = json!({ "groups": [{ "name": "changed", "rules": changed }] });
    fs::write(&file, groups.to_string()).expect("a file");
    let promtool = components::program("promtool").unwrap_or_else(|error| panic!("{error:#}"));
    let checked = Command::new(promtool).args(["check", "rules"]).arg(&file).output().expect("promtool starts");
    assert!(checked.status.success(), "{checked:?}");
}

/// The label job of a monitor's targets, as Prometheus Operator writes the scrape configuration.
fn job(rendered: &BTreeMap<String, Value>) -> Option<String> {
    let of = |kind: &str| rendered.values().find(|object| object["kind"] == kind);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(monitor) = of("ServiceMonitor") {
        let service = &of("Service").expect("a Service")["metadata"];
        let label = monitor["spec"]["jobLabel"].as_str().and_then(|label| text(&service["labels"][label]));
        return label.or_else(|| text(&service["name"]));
    }
    let monitor = of("PodMonitor")?;
    let labels = &of("Deployment").expect("a Deployment")["spec"]["template"]["metadata"]["labels"];
    let label = monitor["spec"]["jobLabel"].as_str().and_then(|label| text(&labels[label]));
    let metadata = &monitor["metadata"];
    label.or_else(|| Some(format!("{}/{}", text(&metadata["namespace"])?, text(&metadata["name"])?)))
}

#[test]
fn rules_ask_for_the_job_that_the_monitor_gives() {
    for (set, wanted) in [
        ("serviceMonitor.enabled=true", NAME),
        ("serviceMonitor.enabled=true,nameOverride=msd", "msd"),
        ("serviceMonitor.enabled=true,fullnameOverride=other", NAME),
        ("serviceMonitor.enabled=true,fullnameOverride=other,serviceMonitor.jobLabel=", "other"),
        ("serviceMonitor.enabled=true,serviceMonitor.jobLabel=app,service.labels.app=doctor", "doctor"),
        ("serviceMonitor.enabled=true,serviceMonitor.jobLabel=app,commonLabels.app=doctor", "doctor"),
        ("serviceMonitor.enabled=true,serviceMonitor.jobLabel=nothing,fullnameOverride=other", "other"),
        ("podMonitor.enabled=true", NAME),
        ("podMonitor.enabled=true,podMonitor.jobLabel=app,podLabels.app=doctor", "doctor"),
        (
            "podMonitor.enabled=true,podMonitor.jobLabel=,podMonitor.namespace=monitoring",
            "monitoring/metrics-server-doctor",
        ),
    ] {
        let rendered = objects(&rendered(&["--set", &format!("prometheusRule.enabled=true,{set}")]));
        assert_eq!(job(&rendered).as_deref(), Some(wanted), "{set}");
        let rules = rendered.values().find(|object| object["kind"] == "PrometheusRule").expect("rules").to_string();
        let selected = rules.matches(&format!(r#"job=\"{wanted}\""#)).count();
        assert!(selected > 50, "{set}: {selected} selectors");
        assert_eq!(rules.matches(r#"job=\""#).count(), selected, "{set}: a selector asks for another job");
    }
}

#[test]
fn labels_of_targets_stand_where_the_operator_reads_them() {
    for (monitor, kind, field) in
        [("serviceMonitor", "ServiceMonitor", "targetLabels"), ("podMonitor", "PodMonitor", "podTargetLabels")]
    {
        let rendered =
            objects(&rendered(&["--set", &format!("{monitor}.enabled=true,{monitor}.targetLabels={{team}}")]));
        let object = rendered.values().find(|object| object["kind"] == kind).expect("a monitor");
        assert_eq!(object["spec"][field], json!(["team"]));
    }
}
