//! Unit tests of promtool, made from pages.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    ops::Range,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use metrics_server_doctor::verdict::REQUIRED;
use serde_json::{Value, json};

use crate::{
    rules::{self, Labels},
    scenes::Series,
};

/// Seconds between scrapes, and between evaluations.
pub(crate) const STEP: u64 = 60;
pub(crate) const CLUSTER: &str = "a";

/// What Prometheus gets from one replica of the doctor.
#[derive(Debug, Clone)]
pub(crate) enum Scrape {
    /// A page.
    Page(Arc<Series>),
    /// No answer.
    Failed,
    /// It is no target.
    Unknown,
}

impl Scrape {
    fn is_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Page(one), Self::Page(other)) => Arc::ptr_eq(one, other),
            (Self::Failed, Self::Failed) | (Self::Unknown, Self::Unknown) => true,
            _ => false,
        }
    }
}

impl From<&Series> for Scrape {
    fn from(series: &Series) -> Self {
        Self::Page(Arc::new(series.clone()))
    }
}

/// What happens to a cluster's replicas, scrape by scrape.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timeline {
    /// By cluster and number of the replica.
    replicas: BTreeMap<(String, usize), Vec<Scrape>>,
    steps: usize,
}

impl Timeline {
    /// For so many minutes from here on, each replica gives this.
    pub(crate) fn then(self, minutes: u64, replicas: &[Scrape]) -> Self {
        self.then_in(minutes, &[(CLUSTER, replicas)])
    }

    /// The same for several clusters.
    pub(crate) fn then_in(mut self, minutes: u64, clusters: &[(&str, &[Scrape])]) -> Self {
        let steps = usize::try_from(minutes * 60 / STEP).expect("a small number");
        for (cluster, replicas) in clusters {
            for (number, scrape) in replicas.iter().enumerate() {
                let scrapes = self.replicas.entry(((*cluster).to_owned(), number)).or_default();
                // A replica that begins later was no target before.
                scrapes.resize(self.steps, Scrape::Unknown);
                scrapes.resize(self.steps + steps, scrape.clone());
            }
        }
        self.steps += steps;
        self
    }

    /// Seconds from the begin to here.
    pub(crate) fn end(&self) -> u64 {
        self.steps as u64 * STEP
    }

    /// Labels of every series that a page of this timeline sets to something else than 0.
    fn set(&self) -> impl Iterator<Item = &Labels> {
        let runs = self.replicas.values().flat_map(|scrapes| scrapes.chunk_by(Scrape::is_the_same));
        let pages = runs.filter_map(|run| match &run[0] {
            Scrape::Page(page) => Some(page),
            Scrape::Failed | Scrape::Unknown => None,
        });
        pages.flat_map(|page| page.0.iter()).filter(|(_, value)| **value != 0.0).map(|((_, labels), _)| labels)
    }

    /// Values of a label that a page of this timeline sets.
    fn values_set(&self, label: &str) -> BTreeSet<&str> {
        self.set().filter_map(|labels| labels.get(label).map(String::as_str)).collect()
    }

    /// Checks that a page of this timeline says could not be looked at.
    fn unknown_checks(&self) -> BTreeSet<&str> {
        let unknown = self.set().filter(|labels| labels.get("status").is_some_and(|status| status == "unknown"));
        unknown.filter_map(|labels| labels.get("check").map(String::as_str)).collect()
    }

    /// The series as promtool takes them; `wanted` tells which families are read. Causes that nothing sets and checks
    /// that no rule asks for and that were looked at are left out, since promtool reads its input slowly. Unless it is to be alone, another
    /// exporter has the same families. Where labels of the page are not honored they arrive as `exported_…`.
    fn input(&self, wanted: &dyn Fn(&str) -> bool, alone: bool, honored: bool) -> Vec<Value> {
        let (tried, unknown) = (crate::cases::tried(), self.unknown_checks());
        let (causes, issues) = (self.values_set("cause"), self.values_set("issue"));
        // A known issue is named by step and cause.
        let sets = |cause: &str| causes.contains(cause) || issues.iter().any(|issue| issue.ends_with(cause));
        let decides = |check: &str| REQUIRED.iter().any(|(_, known)| *known == check);
        let kept = |labels: &Labels| {
            labels.get("cause").is_none_or(|cause| tried.contains(&cause.as_str()) || sets(cause))
                && labels.get("check").is_none_or(|check| decides(check) || unknown.contains(check.as_str()))
        };
        let mut series: BTreeMap<(String, Labels), Vec<Option<f64>>> = BTreeMap::new();
        let mut put = |name: &str, labels: Labels, steps: Range<usize>, value: f64| {
            let values = series.entry((name.to_owned(), labels)).or_insert_with(|| vec![None; self.steps]);
            for step in steps {
                values[step] = Some(if value.is_nan() { time(step) } else { value });
            }
        };
        let mut put_page = |page: &Series, target: &Labels, steps: &Range<usize>| {
            for ((name, labels), value) in page.0.iter().filter(|((name, labels), _)| wanted(name) && kept(labels)) {
                put(name, scraped(labels, target, honored), steps.clone(), *value);
            }
        };
        let up = |value: f64| Series([(("up".to_owned(), Labels::new()), value)].into());
        for ((cluster, number), scrapes) in &self.replicas {
            let target = target("metrics-server-doctor", cluster, *number, honored);
            let mut begin = 0;
            for run in scrapes.chunk_by(Scrape::is_the_same) {
                let steps = begin..begin + run.len();
                begin = steps.end;
                match &run[0] {
                    Scrape::Page(page) => {
                        put_page(&up(1.0), &target, &steps);
                        put_page(page, &target, &steps);
                    }
                    Scrape::Failed => put_page(&up(0.0), &target, &steps),
                    Scrape::Unknown => {}
                }
            }
        }
        // Somebody else has the same names, in this cluster and in another one.
        let opposite = crate::scenes::healthy().opposite();
        for cluster in [CLUSTER, "other"].into_iter().filter(|_| !alone) {
            let target = target("another-exporter", cluster, 9, honored);
            put_page(&up(0.0), &target, &(0..self.steps));
            put_page(&opposite, &target, &(0..self.steps));
        }
        let entry = |((name, labels), values): ((String, Labels), Vec<Option<f64>>)| json!({"series": selector(&name, &labels), "values": notation(&values)});
        series.into_iter().map(entry).collect()
    }
}

/// The scrape's time in seconds.
fn time(step: usize) -> f64 {
    f64::from(u32::try_from(step as u64 * STEP).expect("a short test"))
}

/// Labels of a sample of the page, beside those of its target: a label of both is the page's where these are honored, else
/// the target's, and the page's comes under another name (prometheus/prometheus `scrape/scrape.go`,
/// `resolveConflictingExposedLabels`, 3.16).
fn scraped(labels: &Labels, target: &Labels, honored: bool) -> Labels {
    let named = |(label, value): (&String, &String)| {
        let renamed = !honored && target.contains_key(label);
        (if renamed { format!("exported_{label}") } else { label.clone() }, value.clone())
    };
    target.clone().into_iter().chain(labels.iter().map(named)).collect()
}

/// Labels that a target has: those of its own namespace and Service only where labels of the page are not honored, since these
/// win otherwise.
fn target(job: &str, cluster: &str, number: usize, honored: bool) -> Labels {
    let own = [("namespace", "monitoring"), ("service", "metrics-server-doctor")];
    let own = own.into_iter().filter(|_| !honored).map(|(label, value)| (label.to_owned(), value.to_owned()));
    let labels = [
        ("job", job.to_owned()),
        ("cluster", cluster.to_owned()),
        ("instance", format!("10.0.0.{number}:19102")),
        ("pod", format!("{job}-{number}")),
        ("container", job.to_owned()),
    ];
    labels.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(own).collect()
}

/// `name{label="value"}`
pub(crate) fn selector(name: &str, labels: &Labels) -> String {
    let labels: Vec<_> = labels.iter().map(|(label, value)| format!("{label}={value:?}")).collect();
    format!("{name}{{{}}}", labels.join(","))
}

/// promtool's notation: `1x4` is five times 1, `_` no sample, `stale` the mark of a series that ended.
fn notation(values: &[Option<f64>]) -> String {
    let mut text = String::new();
    let mut put = |value: String, times: usize| {
        let _ = match times {
            0 => Ok(()),
            1 => write!(text, "{value} "),
            // Of blanks the number itself is meant, of values the number of repetitions.
            _ if value == "_" => write!(text, "_x{times} "),
            _ => write!(text, "{value}x{} ", times - 1),
        };
    };
    let mut before = None;
    for run in values.chunk_by(|left, right| left == right) {
        match run[0] {
            Some(value) => put(value.to_string(), run.len()),
            None if before.is_some() => {
                put("stale".to_owned(), 1);
                put("_".to_owned(), run.len() - 1);
            }
            None => put("_".to_owned(), run.len()),
        }
        before = run[0];
    }
    text
}

/// An alert that fires, by its labels.
pub(crate) type Firing = Labels;

/// The series of an expression at a moment.
pub(crate) type Values = (u64, String, Vec<(String, f64)>);

/// One timeline and what is to be seen of it.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// The rule file that it tries above all.
    pub(crate) file: String,
    pub(crate) timeline: Timeline,
    /// Which alerts fire at a moment: all of them, and no other.
    pub(crate) firing: Vec<(u64, Vec<Firing>)>,
    /// Whether no other exporter has the same names.
    pub(crate) alone: bool,
    /// Whether Prometheus scrapes with `honor_labels`.
    pub(crate) honored: bool,
    /// What an alert says at a moment.
    pub(crate) annotations: Vec<(u64, Firing, Labels)>,
    /// Values of other expressions at a moment.
    pub(crate) values: Vec<Values>,
    /// Series that come from elsewhere, as promtool takes them, at every moment with this value.
    pub(crate) federated: Vec<(String, f64)>,
}

impl Case {
    pub(crate) fn new(name: &str, file: &str, timeline: Timeline) -> Self {
        Self {
            name: name.to_owned(),
            file: file.to_owned(),
            timeline,
            firing: Vec::new(),
            alone: false,
            honored: true,
            annotations: Vec::new(),
            values: Vec::new(),
            federated: Vec::new(),
        }
    }

    /// What is asked of series, and of alerts with their annotations, in promtool's form; the firing alerts are those of
    /// `selector`.
    pub(crate) fn checks(&self, selector_of_alerts: &str) -> (Vec<Value>, Vec<Value>) {
        let at = |seconds: &u64| format!("{seconds}s");
        let mut expressions: Vec<Value> = self
            .firing
            .iter()
            .map(|(moment, firing)| {
                let samples: Vec<_> = firing
                    .iter()
                    .map(|labels| {
                        let mut labels = labels.clone();
                        labels.insert("alertstate".to_owned(), "firing".to_owned());
                        json!({"labels": selector("ALERTS", &labels), "value": 1})
                    })
                    .collect();
                json!({"expr": selector_of_alerts, "eval_time": at(moment), "exp_samples": samples})
            })
            .collect();
        expressions.extend(self.values.iter().map(|(moment, expression, samples)| {
            let samples: Vec<_> =
                samples.iter().map(|(labels, value)| json!({"labels": labels, "value": value})).collect();
            json!({"expr": expression, "eval_time": at(moment), "exp_samples": samples})
        }));
        let told = self
            .annotations
            .iter()
            .map(|(moment, labels, annotations)| {
                let mut labels = labels.clone();
                let name = labels.remove("alertname").expect("a name");
                json!({"alertname": name, "eval_time": at(moment), "exp_alerts": [{"exp_labels": labels, "exp_annotations": annotations}]})
            })
            .collect();
        (expressions, told)
    }

    /// The timeline as promtool takes it, with the families that `expressions` mention.
    pub(crate) fn input_for(&self, expressions: &str) -> Vec<Value> {
        let read: BTreeSet<&str> =
            expressions.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').collect();
        let mut input = self.timeline.input(&|name| name == "up" || read.contains(name), self.alone, self.honored);
        input.extend(self.federated.iter().map(
            |(series, value)| json!({"series": series, "values": notation(&vec![Some(*value); self.timeline.steps])}),
        ));
        input
    }

    /// One test of promtool: this timeline and these checks.
    pub(crate) fn test(&self, input: &[Value], (expressions, told): &(Vec<Value>, Vec<Value>)) -> Value {
        json!({
            "name": self.name,
            "interval": format!("{STEP}s"),
            "input_series": input,
            "promql_expr_test": expressions,
            "alert_rule_test": told,
        })
    }
}

/// Runs cases against rule files; the error is what promtool says.
pub(crate) fn promtool(rule_files: &[PathBuf], cases: &[&Case]) -> Result<(), String> {
    promtool_with(rule_files, &tests(rule_files, cases))
}

/// The cases as promtool reads them, with the families that these rules read.
pub(crate) fn tests(rule_files: &[PathBuf], cases: &[&Case]) -> Value {
    let expressions: String = rule_files.iter().map(|path| fs::read_to_string(path).expect("a rule file")).collect();
    let test = |case: &&Case| case.test(&case.input_for(&expressions), &case.checks(r#"ALERTS{alertstate="firing"}"#));
    cases.iter().map(test).collect()
}

/// Runs [`tests`] against rule files; the error names the cases that do not hold.
pub(crate) fn promtool_with(rule_files: &[PathBuf], tests: &Value) -> Result<(), String> {
    let all = tests.as_array().expect("a list");
    let Err(together) = promtool_once(rule_files, tests) else { return Ok(()) };
    let single = |case: &Value| {
        let told = promtool_once(rule_files, &json!([case])).err()?;
        Some(format!("case {}: {told}", case["name"]))
    };
    let named: Vec<_> = all.iter().filter_map(single).collect();
    Err(if named.is_empty() { together } else { named.join("\n") })
}

/// Whether [`tests`] hold, without names.
pub(crate) fn promtool_once(rule_files: &[PathBuf], tests: &Value) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("test.yaml");
    let text = json!({"rule_files": rule_files, "evaluation_interval": format!("{STEP}s"), "tests": tests});
    fs::write(&file, text.to_string()).expect("a file");
    run(Command::new(tool("promtool")).args(["test", "rules"]).arg(&file))
}

/// A program that `make components` builds.
pub(crate) fn tool(name: &str) -> PathBuf {
    testbed::components::program(name).unwrap_or_else(|error| panic!("{error:#}"))
}

/// Runs a command; the error is everything that it says.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().expect("a program that starts");
    let told = [output.stdout, output.stderr].concat();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&told).into_owned()) }
}

/// All rule files, one of them replaced by another text.
pub(crate) fn rule_files(folder: &Path, replaced: Option<(&str, &str)>) -> Vec<PathBuf> {
    let files = rules::files();
    let Some((name, text)) = replaced else { return files.into_values().collect() };
    let path = folder.join(format!("{name}.yaml"));
    fs::write(&path, text).expect("a file");
    files.into_iter().map(|(known, original)| if known == name { path.clone() } else { original }).collect()
}
