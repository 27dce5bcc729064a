//! What is shipped beside the rules: their form, the objects for the operator, runbooks, Alertmanager's configuration.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

use metrics_server_doctor::{
    catalogue::{self, Entry},
    guide::Step,
    report::{DEFAULT_RUNBOOK_URL, runbook},
    verdict::REQUIRED,
};

use crate::{
    cases::{alert_of, symptoms},
    rules::{self, Rule, root},
    timeline::{run, tool},
};

const JOB: &str = r#"job="metrics-server-doctor""#;
const UPDATE: &str = "UPDATE_DOCS=1 cargo test --test alerts";

fn alertmanager() -> PathBuf {
    root().join("alerts/alertmanager/alertmanager.yaml")
}

#[test]
fn every_alert_has_the_labels_and_annotations_of_the_house() {
    for rule in rules::alerts() {
        let name = format!("{} {}", rule.name, rule.severity());
        let hold = match rule.severity() {
            // The catch-all is for what the others miss.
            "critical" if rule.name == "MetricsPipelineDown" => 600..=600,
            "critical" => 300..=300,
            "warning" | "info" => 300..=3_600,
            other => panic!("{name}: severity {other}"),
        };
        assert!(hold.contains(&rule.hold), "{name}: for {} s", rule.hold);
        for label in ["step", "cause"] {
            let grouped = format!("{label}, ");
            let has = rule.labels.contains_key(label)
                || rule.expression.contains(label)
                || rule.expression.contains(&grouped);
            assert!(has, "{name} has no label {label}");
        }
        let text =
            |annotation: &str| rule.annotations.get(annotation).unwrap_or_else(|| panic!("{name}: {annotation}"));
        assert!(!text("summary").contains("{{"), "{name}: the summary is constant");
        assert!(!text("description").is_empty() && !text("remedy").is_empty(), "{name}");
        let dashboard = text("dashboard_url").strip_prefix("d/").unwrap_or_else(|| panic!("{name}: dashboard_url"));
        let (uid, query) = dashboard.split_once('?').expect("a query");
        assert!(root().join(format!("dashboards/{uid}.json")).exists(), "{name}: no dashboard {uid}");
        assert!(query.starts_with("var-cluster={{ $labels.cluster | urlquery }}"), "{name}: {query}");
        assert!(text("runbook_url").starts_with(&format!("{DEFAULT_RUNBOOK_URL}/")), "{name}");
    }
}

#[test]
fn every_wait_has_a_line_that_says_why() {
    let mut waits = 0;
    for (file, path) in rules::files() {
        let text = fs::read_to_string(path).expect("a rule file");
        let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
        for (number, line) in lines.iter().enumerate() {
            // What is waited for at first is told above the rule.
            let told_above = ["- alert: ", "keep_firing_for: "].iter().any(|begin| line.starts_with(begin));
            if told_above {
                assert!(lines[number - 1].starts_with("# "), "{file}.yaml:{}: no line says why: {line}", number + 1);
                waits += 1;
            }
        }
    }
    assert!(waits > rules::alerts().len(), "{waits} waits");
}

#[test]
fn every_selector_names_the_job_and_no_rule_keeps_the_labels_of_a_target() {
    for rule in rules::all() {
        let name = &rule.name;
        for (at, _) in rule.expression.match_indices('{') {
            assert!(rule.expression[at + 1..].starts_with(JOB), "{name}: a selector without {JOB}");
        }
        let metric = |word: &&str| word.starts_with("metrics_server_doctor_") || *word == "up";
        let words =
            rule.expression.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_' && letter != ':');
        let bare = words.filter(metric).filter(|word| !rule.expression.contains(&format!("{word}{{"))).count();
        assert_eq!(bare, 0, "{name}: a family without matchers");
        for label in ["instance", "pod", "container"] {
            let words: BTreeSet<&str> =
                rule.expression.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').collect();
            assert!(!words.contains(label), "{name} keeps {label}");
        }
        let absent = rule.expression.contains("absent");
        assert!(!absent || name == "MetricsServerDoctorDown", "{name} needs absent()");
    }
}

#[test]
fn the_alert_for_blindness_knows_the_checks_that_decide() {
    let rule = rules::alert("MetricsServerDoctorBlind", "warning", None);
    for (step, check) in REQUIRED {
        for word in [step.id(), check] {
            let listed = [format!("\"{word}|"), format!("|{word}|"), format!("|{word}\"")];
            assert!(listed.iter().any(|form| rule.expression.contains(form)), "{word} is not in the expression");
        }
    }
}

/// The anchors of a page: those that are written, and those that GitHub makes of headings.
fn anchors(path: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let written = text.split("<a id=\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned);
    let heading = |line: &str| {
        let title = line.trim_start_matches('#').trim();
        let kept = title.chars().filter(|letter| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    let headings = text.lines().filter(|line| line.starts_with('#')).map(heading);
    written.chain(headings).collect()
}

/// Where the links of a rule may lead.
fn links(rule: &Rule) -> Vec<String> {
    let template = &rule.annotations["runbook_url"];
    let entries = catalogue::all().iter().filter(|entry| rule.file == "known_issues" || entry.step.id() == rule.file);
    let fill = |entry: &Entry| {
        template.replace("{{ $labels.step }}", entry.step.id()).replace("{{ $labels.cause }}", entry.id)
    };
    if template.contains("{{") { entries.map(fill).collect() } else { vec![template.clone()] }
}

#[test]
fn every_link_of_alerts_report_and_status_page_leads_to_an_anchor() {
    let mut links: BTreeSet<String> = rules::alerts().iter().flat_map(links).collect();
    links.extend(catalogue::all().iter().map(|entry| runbook(DEFAULT_RUNBOOK_URL, entry.cause)));
    assert!(links.len() > catalogue::all().len(), "{} links", links.len());
    for link in links {
        assert!(!link.contains("{{"), "{link}");
        let (path, anchor) = link.split_once('#').unwrap_or_else(|| panic!("{link} has no anchor"));
        assert!(anchors(path).contains(anchor), "{link} leads nowhere");
    }
}

#[test]
fn links_between_runbooks_lead_somewhere() {
    for entry in fs::read_dir(root().join("docs/runbooks")).expect("runbooks").flatten() {
        let text = fs::read_to_string(entry.path()).expect("a page");
        let own = format!("docs/runbooks/{}", entry.file_name().to_string_lossy());
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.starts_with("http") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if path.is_empty() { own.clone() } else { format!("docs/runbooks/{path}") };
            assert!(root().join(&path).exists(), "{own}: {target} leads nowhere");
            assert!(anchor.is_empty() || anchors(&path).contains(anchor), "{own}: {target} leads nowhere");
        }
    }
}

#[test]
fn runbooks_name_the_alerts_that_lead_to_them() {
    for rule in rules::alerts() {
        let page = if rule.file == "pipeline" { "doctor".to_owned() } else { rule.file.clone() };
        let text = fs::read_to_string(root().join(format!("docs/runbooks/{page}.md"))).expect("a runbook");
        assert!(text.contains(&format!("`{}`", rule.name)), "docs/runbooks/{page}.md does not name {}", rule.name);
    }
}

#[test]
fn both_overviews_name_every_section_and_alert() {
    for page in ["README.md", "README.ko.md"] {
        let text = fs::read_to_string(root().join("docs/runbooks").join(page)).expect("an overview");
        for step in Step::ALL {
            assert!(text.contains(&format!("({step}.md)")), "{page} does not lead to {step}.md");
        }
        for rule in rules::alerts() {
            assert!(text.contains(&format!("`{}`", rule.name)), "{page} does not name {}", rule.name);
        }
        assert!(Step::ALL.iter().all(|step| *step == Step::KnownIssues || text.contains(alert_of(*step))));
    }
}

/// The object for the Prometheus operator: the groups of all files, comments included.
fn prometheus_rule() -> String {
    let mut text = format!(
        "# Generated from alerts/*.yaml: `{UPDATE}`.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: metrics-server-doctor
  namespace: metrics-server-doctor
  labels:
    app.kubernetes.io/name: metrics-server-doctor
spec:
  groups:
"
    );
    for path in rules::files().into_values() {
        let file = fs::read_to_string(&path).expect("a rule file");
        let (_, groups) = file.split_once("\ngroups:\n").unwrap_or_else(|| panic!("{} has no groups", path.display()));
        for line in groups.lines() {
            if !line.is_empty() {
                text.push_str("  ");
                text.push_str(line);
            }
            text.push('\n');
        }
    }
    text
}

#[test]
fn the_object_for_the_operator_holds_the_rules() {
    let path = root().join("deploy/components/prometheus-rule/prometheus-rule.yaml");
    let wanted = prometheus_rule();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &wanted).expect("a writable file");
    }
    let shipped = fs::read_to_string(&path).unwrap_or_default();
    assert!(shipped == wanted, "{} is out of date: run `{UPDATE}`", path.display());
    // As the operator reads it.
    let object = rules::read(&path);
    let groups = object["spec"]["groups"].as_array().expect("groups");
    let of_files: Vec<_> = rules::files()
        .into_values()
        .flat_map(|path| rules::read(&path)["groups"].as_array().expect("groups").clone())
        .collect();
    assert_eq!(groups, &of_files);
}

#[test]
fn alertmanager_takes_the_shipped_configuration_and_routes_every_alert() {
    run(Command::new(tool("amtool")).arg("check-config").arg(alertmanager())).expect("valid");
    let routed = |labels: &[String]| {
        let mut command = Command::new(tool("amtool"));
        command.args(["config", "routes", "test", "--config.file"]).arg(alertmanager()).args(labels);
        let output = command.output().expect("amtool");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    for rule in rules::alerts() {
        let receiver = if rule.severity() == "critical" { "pager" } else { "platform" };
        let labels = [format!("alertname={}", rule.name), format!("severity={}", rule.severity())];
        assert_eq!(routed(&labels), receiver, "{} {}", rule.name, rule.severity());
    }
    assert_eq!(routed(&["alertname=KubePodCrashLooping".to_owned(), "severity=critical".to_owned()]), "default");
    // An autoscaler goes to its team, an outage to the pager wherever metrics-server is.
    for (alert, severity, namespace, receiver) in [
        ("HPATargetsUnknown", "warning", "shop", "team-shop"),
        ("HPATargetsUnknown", "warning", "shop-eu", "team-shop"),
        ("HPATargetsUnknown", "warning", "shopping", "platform"),
        ("HPATargetsUnknown", "warning", "preview-7", "nobody"),
        ("HPATargetsUnknown", "critical", "shop", "pager"),
        ("MetricsServerTimeout", "critical", "preview-7", "pager"),
        ("MetricsServerTimeout", "warning", "shop", "platform"),
    ] {
        let labels = [("alertname", alert), ("severity", severity), ("namespace", namespace)]
            .map(|(name, value)| format!("{name}={value}"));
        assert_eq!(routed(&labels), receiver, "{alert} {severity} {namespace}");
    }
}

#[test]
fn all_that_is_critical_in_a_cluster_is_one_page() {
    let configuration = rules::read(&alertmanager());
    let routes = configuration["route"]["routes"][0]["routes"].as_array().expect("routes");
    let pager = routes.iter().find(|route| route["receiver"] == "pager").expect("a route");
    assert_eq!(pager["group_by"], serde_json::json!(["cluster"]));
    for rule in configuration["inhibit_rules"].as_array().expect("rules") {
        let equal = rule["equal"].as_array().expect("labels");
        assert!(equal.iter().any(|label| label == "cluster"), "one cluster silences others: {rule}");
    }
}

#[test]
fn the_shipped_inhibition_knows_every_symptom() {
    let configuration = rules::read(&alertmanager());
    let rules = configuration["inhibit_rules"].as_array().expect("rules");
    let matchers = rules.iter().flat_map(|rule| rule["target_matchers"].as_array().expect("matchers"));
    let causes = matchers.filter_map(|matcher| matcher.as_str()?.strip_prefix("cause=~\"")?.strip_suffix('"'));
    let listed: BTreeSet<&str> = causes.flat_map(|list| list.split('|')).collect();
    assert_eq!(listed, symptoms().into_iter().collect::<BTreeSet<_>>());
}
