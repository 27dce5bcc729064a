//! `docs/metrics.md` is generated from the families in the code: `UPDATE_DOCS=1 cargo test --test page` rewrites it, and
//! without it the test tells that it is out of date. What it says of series is held against every page that there is.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::PathBuf,
};

use metrics_server_doctor::{
    check::Status,
    facts::{Facts, autoscalers, metrics_server::Owner, ports::Hop},
    health::WatchState,
    render::{
        View,
        metrics::{Family, Kind, Page, SECTIONS, families},
    },
    report::Report,
    snapshot::{ConditionStatus, DialOutcome, Snapshot, retrieval::ErrorClass},
    wording::{
        aggregator::{MessageClass, Reason},
        metrics_server_log::OTHER_CLASSES,
    },
};

use super::{pages, series};

const UPDATE: &str = "UPDATE_DOCS=1 cargo test --test page";

fn values<'v>(all: impl IntoIterator<Item = &'v str>) -> String {
    all.into_iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ")
}

/// Labels that the page uses, and what their values are.
fn labels() -> Vec<(&'static str, String)> {
    let steps = "the id of a step of the guide, as in the addresses of [runbooks](runbooks/README.md); `none` of verdicts that are no cause";
    let statuses = format!(
        "of a check: {}; of an APIService's condition: {}",
        values(Status::ALL.map(Status::label)),
        values(ConditionStatus::ALL.map(ConditionStatus::label))
    );
    let classes = format!(
        "of a call: {}; of a condition's message: {}; of log lines: the cause that they tell of, or {}",
        values(ErrorClass::ALL.map(ErrorClass::label)),
        values(MessageClass::ALL.map(MessageClass::label)),
        values(OTHER_CLASSES)
    );
    let causes = format!(
        "the id of a cause in the runbook of its step, and `healthy` and `undetermined` as a verdict; of an autoscaler: {}",
        values(autoscalers::labels())
    );
    let reasons = format!(
        "of an APIService's condition: {}; of a container and of an autoscaler's condition as Kubernetes writes it, where it is one of the known ones; else `other`",
        values(Reason::ALL.map(Reason::label))
    );
    vec![
        ("apiservice", "its name, such as `v1beta1.metrics.k8s.io`".to_owned()),
        ("cause", causes),
        ("check", "the id of a check, unique within its step".to_owned()),
        ("class", classes),
        ("code", "an HTTP code, `0` without an answer".to_owned()),
        ("condition", "`AbleToScale`, `ScalingActive`".to_owned()),
        ("container", "its name in the pods of an autoscaler's target".to_owned()),
        ("deployment", "the name of the workload that serves metrics.k8s.io, of whatever kind".to_owned()),
        ("hop", values(Hop::ALL.map(Hop::label))),
        ("horizontalpodautoscaler", "its name; unique beside `namespace`, as in kube-state-metrics".to_owned()),
        ("issue", "the step and cause that the issue is known as".to_owned()),
        ("namespace", "that of the object, never the doctor's own".to_owned()),
        ("node", "the name of a Node".to_owned()),
        ("outcome", values(DialOutcome::ALL.map(DialOutcome::label))),
        ("owner", values(Owner::ALL.map(Owner::label))),
        ("packaging", "`manifest`, `chart`, `eks_addon`, `stable_chart`, `bitnami`, `other`".to_owned()),
        ("permission", "a verb and a resource, such as `get_nodes_metrics`".to_owned()),
        ("place", "`listen`, `container_port`, `target_port`, `service_port`, `apiservice_port`".to_owned()),
        ("problem", "`without_username`, `arn_with_path`, `conflicting_username`, `unparsable`".to_owned()),
        ("reason", reasons),
        ("resource", "the plural, with the group where two groups share it; of requests: `cpu`, `memory`".to_owned()),
        ("revision", "the commit that the doctor was built from".to_owned()),
        ("rustc", "the compiler that built the doctor".to_owned()),
        ("sample", "`newest`, `oldest`".to_owned()),
        ("service", "the name of the Service that the APIService names".to_owned()),
        ("source", "`subject_access_review`, `rbac_objects`".to_owned()),
        ("state", values(WatchState::ALL.map(WatchState::label))),
        ("status", statuses),
        ("step", steps.to_owned()),
        ("success", "`true`, `false`".to_owned()),
        ("target_kind", "in `spec.scaleTargetRef`: 63 letters, digits, `-`, `.`, `:` and `_` at the most".to_owned()),
        ("target_name", "in `spec.scaleTargetRef`: 253 of the same at the most".to_owned()),
        ("verb", "as RBAC has it".to_owned()),
        ("version", "of metrics-server by its image's tag, else `other`; of the doctor".to_owned()),
        ("window", "`shortest`, `longest`".to_owned()),
    ]
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md")
}

fn quoted(labels: &[&str]) -> String {
    labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ")
}

fn number_of_series(family: &Family) -> String {
    if family.each.is_empty() {
        return family.series.to_string();
    }
    format!("{} for each {}", family.series, quoted(family.each))
}

fn row(family: &Family) -> String {
    let kind = match family.kind {
        Kind::Gauge => "gauge",
        Kind::Counter => "counter",
    };
    let absent = if family.absent_where.is_empty() { "never" } else { family.absent_where };
    let cells = [
        format!("`{}`", family.full_name()),
        kind.to_owned(),
        quoted(family.labels),
        // The text of <unknown> is no tag.
        family.help.replace('<', "\\<"),
        absent.to_owned(),
        number_of_series(family),
    ];
    format!("| {} |\n", cells.join(" | "))
}

const HEAD: &str = "\
# Metrics

Generated from the code by `UPDATE_DOCS=1 cargo test --test page`; the texts are those of HELP on `/metrics`. How names change,
and how that is announced, is told in [upgrade.md](upgrade.md).

- **Absent**: what was not seen has no series, never 0. `metrics_server_doctor_check_status` says which check could not look.
- **Series**: how many there are at the most. A label whose values are a closed set counts in; `for each` names the others.
- One of several (status, reason, class, cause) is a set of series of which one is 1 and the others are 0. They are gauges, in
  OpenMetrics too.
- Counters begin at 0 with the doctor, so ask for `rate` or `increase`, and aggregate over its replicas with `max`.
- Times are Unix times in seconds, and so is `time()`: `time() - metrics_server_doctor_verdict_since_timestamp_seconds`.
";

const RECIPES: &str = "
## Questions that are asked often

The share of time in which autoscalers had their metrics, over 30 days and by namespace (an objective is a number to hold it
against):

```
1 -
  sum by (namespace) (max by (cluster, namespace) (increase(metrics_server_doctor_hpa_blind_seconds_total[30d])))
  /
  sum by (namespace) (max by (cluster, namespace) (increase(metrics_server_doctor_hpa_watched_seconds_total[30d])))
```

For how long each blind autoscaler has been blind, with what it scales:

```
(time() - min by (cluster, namespace, horizontalpodautoscaler) (metrics_server_doctor_hpa_blind_since_timestamp_seconds))
  * on (cluster, namespace, horizontalpodautoscaler) group_left (target_kind, target_name, cause)
  max by (cluster, namespace, horizontalpodautoscaler, target_kind, target_name, cause) (metrics_server_doctor_hpa_info)
```

Whether metrics-server comes and goes: `increase(metrics_server_doctor_apiservice_condition_transitions_total[1h]) > 4`
";

fn document() -> String {
    let mut text = HEAD.to_owned();
    for (step, families) in SECTIONS {
        let title =
            step.map_or("The doctor, and all steps together".to_owned(), |step| format!("{} (`{step}`)", step.title()));
        let _ = write!(text, "\n## {title}\n\n| Metric | Type | Labels | What it tells | Absent where | Series |\n");
        text.push_str("|---|---|---|---|---|---|\n");
        text.extend(families.iter().map(row));
    }
    text.push_str(RECIPES);
    text.push_str("\n## Labels\n\n| Label | Values |\n|---|---|\n");
    text.extend(labels().into_iter().map(|(label, values)| format!("| `{label}` | {values} |\n")));
    text
}

#[test]
fn the_table_of_metrics_is_that_of_the_code() {
    let wanted = document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path(), wanted).expect("a writable page");
        return;
    }
    let text = fs::read_to_string(path()).unwrap_or_default();
    assert!(text == wanted, "docs/metrics.md differs from the families in the code: `{UPDATE}` rewrites it");
}

#[test]
fn every_label_is_described_once() {
    let used: BTreeSet<&str> = families().flat_map(|family| family.labels).copied().collect();
    let described: Vec<&str> = labels().into_iter().map(|(label, _)| label).collect();
    assert_eq!(described, used.into_iter().collect::<Vec<_>>());
}

#[test]
fn what_the_number_of_series_depends_on_are_labels_of_the_family() {
    for family in families() {
        assert!(family.series > 0, "{} does not say how many series it has", family.name);
        assert!(family.each.iter().all(|label| family.labels.contains(label)), "{}", family.name);
    }
}

#[test]
fn no_family_has_more_series_than_is_said_and_the_number_is_reached() {
    let mut most: BTreeMap<String, usize> = BTreeMap::new();
    for (title, page) in pages() {
        let text = page.to_open_metrics().expect("text");
        let mut found: BTreeMap<(String, Vec<String>), usize> = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, labels) = series(line);
            let family = families().find(|family| family.full_name() == name).expect("a family");
            let group = family.each.iter().map(|label| labels[*label].clone()).collect();
            *found.entry((name, group)).or_default() += 1;
        }
        for ((name, group), count) in found {
            let family = families().find(|family| family.full_name() == name).expect("a family");
            assert!(count <= family.series, "{title}: {name} has {count} series for {group:?}, not {}", family.series);
            let most = most.entry(name).or_default();
            *most = count.max(*most);
        }
    }
    for family in families() {
        if let Some(most) = most.get(family.full_name().as_ref()) {
            assert_eq!(*most, family.series, "{} never has so many series", family.name);
        }
    }
}

#[test]
fn where_nothing_was_seen_exactly_those_have_series_that_always_have() {
    let snapshot = Snapshot::default();
    let facts = Facts::new(&snapshot);
    let page = Page::of(&View::new(&facts, &Report::of(&facts)));
    for family in families() {
        let always = family.absent_where.is_empty();
        assert_eq!(page.len_of(family.name) > 0, always, "{}", family.name);
    }
    for (title, page) in pages() {
        for family in families().filter(|family| family.absent_where.is_empty()) {
            assert!(page.len_of(family.name) > 0, "{title}: {} is said to be absent never", family.name);
        }
    }
}

#[test]
fn the_newest_entry_about_upgrades_names_what_there_is() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(folder.join("docs/upgrade.md")).expect("docs/upgrade.md");
    let rules = fs::read_to_string(folder.join("alerts/recording.yaml")).expect("the recording rules");
    let newest = text.split("\n## ").nth(3).expect("an entry");
    assert!(newest.starts_with("Unreleased"), "the entry moves with the release: {newest}");
    let rows: Vec<(&str, &str)> =
        newest.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix("` |")?.split_once("` | `")).collect();
    assert!(rows.len() > 40, "{rows:?}");
    let exists = |name: &str| {
        families().any(|family| family.full_name() == name) || rules.contains(&format!("record: {name}\n"))
    };
    for (old, new) in rows {
        assert!(exists(new), "{new} is neither on the page nor recorded");
        assert!(!exists(old), "{old} is still there");
    }
}
