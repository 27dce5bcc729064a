//! Each rule is broken in every small way, and a case of its file has to notice.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::{Value, json};

use crate::{
    cases,
    rules::{self, Labels, Rule},
    timeline::{Case, STEP, promtool_once, tests},
};

/// Mutants that mean the same as the rule: a rule (or any but the catch-all), what is changed in it, and the reason.
const EQUIVALENT: &[(&str, &str, &str)] = &[(
    "",
    r#"without job="metrics-server-doctor" after `metrics_server_doctor_pipeline_down`"#,
    "stands for a cluster in which no Service is seen, whoever says that there is such a cluster",
)];

/// A rule of which one thing was changed.
struct Mutant {
    file: String,
    /// The rule as it is shipped.
    rule: Rule,
    change: String,
    /// The changed rule under a name of its own, as Prometheus reads it.
    changed: Value,
    /// That name.
    name: String,
}

/// The expression with `from` at byte `at` replaced.
fn replaced(expression: &str, at: usize, from: &str, to: &str) -> String {
    format!("{}{to}{}", &expression[..at], &expression[at + from.len()..])
}

/// What may go wrong in an expression: what was changed, and the whole of it.
fn mutations(expression: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut swap = |from: &str, to: &str| {
        for (at, _) in expression.match_indices(from) {
            let end = (at + from.len() + 24).min(expression.len());
            let place = expression.get(at..end).unwrap_or(from);
            all.push((format!("{from}->{to} at `{place}`"), replaced(expression, at, from, to)));
        }
    };
    for (from, to) in [
        (" == 1", " != 1"),
        (" == 0", " != 0"),
        (" > 0", " <= 0"),
        (" > 1", " <= 1"),
        (" < 14", " >= 14"),
        (" unless", " and"),
        (" and ", " unless "),
        ("min by", "max by"),
        (r#""exported_"#, r#""other_"#),
    ] {
        swap(from, to);
    }
    for (open, _) in expression.match_indices('{') {
        let close = open + expression[open..].find('}').expect("a closing brace");
        let matchers: Vec<_> = expression[open + 1..close].split(", ").collect();
        for (position, matcher) in matchers.iter().enumerate() {
            let mut left = matchers.clone();
            left.remove(position);
            let changed = format!("{}{{{}}}{}", &expression[..open], left.join(", "), &expression[close + 1..]);
            all.push((format!("without {matcher} after `{}`", word_before(expression, open)), changed));
        }
    }
    for (open, _) in expression.match_indices("by (").chain(expression.match_indices("on (")) {
        let begin = open + 4;
        let close = begin + expression[begin..].find(')').expect("a closing parenthesis");
        for label in expression[begin..close].split(", ").filter(|label| !label.is_empty()) {
            let list = expression[begin..close].replace(label, &format!("{label}s"));
            let changed = format!("{}{list}{}", &expression[..begin], &expression[close..]);
            all.push((format!("{label} renamed in `{}`", &expression[open..=close]), changed));
        }
    }
    for (at, _) in expression.match_indices("step=\"") {
        let other = if expression[at..].starts_with("step=\"timeout\"") { "logs" } else { "timeout" };
        let end = at + 6 + expression[at + 6..].find('"').expect("a closing quote");
        all.push((format!("step {other}"), format!("{}step=\"{other}{}", &expression[..at], &expression[end..])));
    }
    all
}

fn word_before(text: &str, at: usize) -> &str {
    let begin = text[..at].rfind([' ', '(']).map_or(0, |position| position + 1);
    &text[begin..at]
}

/// What may go wrong in the times of an alert: what was changed, the field and its new value.
fn mistimed(rule: &Rule) -> Vec<(String, &'static str, String)> {
    let waits = [("for", rule.hold), ("keep_firing_for", rule.keep)];
    let set = waits.into_iter().filter(|(_, seconds)| *seconds > 0);
    let each = |(field, seconds): (&'static str, u64)| {
        [seconds - STEP, seconds + STEP]
            .map(|seconds| (format!("{field} of {seconds} s"), field, format!("{seconds}s")))
    };
    set.flat_map(each).collect()
}

fn mutants() -> Vec<Mutant> {
    let mut mutants: Vec<Mutant> = Vec::new();
    for (file, path) in rules::files() {
        for group in rules::read(&path)["groups"].as_array().expect("groups") {
            for original in group["rules"].as_array().expect("rules") {
                let rule = rules::rule_of(&file, original);
                let changes =
                    mutations(&rule.expression).into_iter().map(|(change, expression)| (change, "expr", expression));
                for (change, field, value) in changes.chain(mistimed(&rule)) {
                    let name = format!("m{}_{}", mutants.len(), rule.name);
                    let mut mutant = original.clone();
                    mutant[field] = Value::String(value);
                    mutant[if rule.is_alert { "alert" } else { "record" }] = Value::String(name.clone());
                    mutants.push(Mutant { file: file.clone(), rule: rule.clone(), change, changed: mutant, name });
                }
            }
        }
    }
    mutants
}

/// What a case asks of one rule, asked of its mutant instead.
fn asked_of(mutant: &Mutant, case: &Case) -> Case {
    let is_of = |labels: &Labels| {
        labels.get("alertname").is_some_and(|name| *name == mutant.rule.name)
            && mutant.rule.labels.iter().all(|(label, value)| labels.get(label) == Some(value))
    };
    let renamed = |labels: &Labels| {
        let mut labels = labels.clone();
        labels.insert("alertname".to_owned(), mutant.name.clone());
        labels
    };
    let mut own = case.clone();
    if !mutant.rule.is_alert {
        let renamed = |text: &String| text.replace(&mutant.rule.name, &mutant.name);
        own.values.retain(|(_, expression, _)| expression.contains(&mutant.rule.name));
        for (_, expression, samples) in &mut own.values {
            *expression = renamed(expression);
            for (labels, _) in samples {
                *labels = renamed(labels);
            }
        }
        own.firing.clear();
        own.annotations.clear();
        return own;
    }
    own.values.clear();
    for (_, firing) in &mut own.firing {
        *firing = firing.iter().filter(|labels| is_of(labels)).map(renamed).collect();
    }
    own.annotations.retain(|(_, labels, _)| is_of(labels));
    for (_, labels, _) in &mut own.annotations {
        *labels = renamed(labels);
    }
    own
}

/// Which of the mutants a case notices. All of them are rules of one file beside the shipped ones, so that promtool reads
/// the series of the case once; what it tells of a mutant carries the mutant's name.
fn noticed(case: &Case, mutants: &[&Mutant]) -> BTreeSet<String> {
    let shipped = rules::files()[&case.file].clone();
    let input = case.input_for(&std::fs::read_to_string(&shipped).expect("a rule file"));
    let mut noticed = BTreeSet::new();
    loop {
        let left: Vec<_> = mutants.iter().filter(|mutant| !noticed.contains(&mutant.name)).collect();
        let mut checks = (Vec::new(), Vec::new());
        for mutant in &left {
            let selector = format!("ALERTS{{alertstate=\"firing\", alertname=\"{}\"}}", mutant.name);
            let (expressions, told) = asked_of(mutant, case).checks(&selector);
            checks.0.extend(expressions);
            checks.1.extend(told);
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("mutants.yaml");
        let changed: Vec<_> = left.iter().map(|mutant| &mutant.changed).collect();
        let rules = json!({"groups": [{"name": "mutants", "rules": changed}]});
        std::fs::write(&path, rules.to_string()).expect("a file");
        let test = Value::from(vec![case.test(&input, &checks)]);
        let Err(told) = promtool_once(&[shipped.clone(), path], &test) else { return noticed };
        let before = noticed.len();
        let names = told.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_' && letter != ':');
        let names: BTreeSet<&str> = names.collect();
        noticed.extend(left.iter().map(|mutant| mutant.name.clone()).filter(|name| names.contains(name.as_str())));
        assert!(noticed.len() > before, "{}: {told}", case.name);
        // A rule that cannot be evaluated ends the test before the others were asked.
        if !told.contains("err: ") {
            return noticed;
        }
    }
}

#[test]
fn the_rules_of_sections_are_alike_but_for_the_step() {
    let rules = |(step, alert): (metrics_server_doctor::guide::Step, &str)| -> Vec<_> {
        let own = rules::alerts().into_iter().filter(|rule| rule.name == alert);
        let like = |text: &str| text.replace(&format!("step=\"{step}\""), "step=STEP");
        own.map(|rule| (like(&rule.expression), rule.hold, rule.keep, rule.labels)).collect()
    };
    let first = rules(cases::SECTIONS[0]);
    assert_eq!(first.len(), 2);
    for section in cases::SECTIONS {
        assert_eq!(rules(section), first, "{section:?}");
    }
}

#[test]
fn a_rule_that_is_broken_in_any_small_way_is_noticed() {
    let mutants = mutants();
    assert!(mutants.len() > 400, "{} mutants", mutants.len());
    let cases = cases::of_rules();
    let files: Vec<String> = rules::files().into_keys().collect();
    let (next, unnoticed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let equivalent = |mutant: &Mutant| {
                let of_rule = |name: &str| {
                    if name.is_empty() { mutant.file != "pipeline" } else { name == mutant.rule.name }
                };
                EQUIVALENT.iter().any(|(name, change, _)| of_rule(name) && *change == mutant.change)
            };
            let of_file = |mutant: &&Mutant| mutant.file == *file && !equivalent(mutant);
            let mut left: Vec<&Mutant> = mutants.iter().filter(of_file).collect();
            for case in cases.iter().filter(|case| case.file == *file) {
                if !left.is_empty() {
                    let noticed = noticed(case, &left);
                    left.retain(|mutant| !noticed.contains(&mutant.name));
                }
            }
            let told =
                left.iter().map(|mutant| format!("{} {}: {}", mutant.rule.name, mutant.rule.severity(), mutant.change));
            unnoticed.lock().unwrap_or_else(PoisonError::into_inner).extend(told);
        }
    };
    let workers = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    let unnoticed = unnoticed.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{} mutants", mutants.len());
    assert!(
        unnoticed.is_empty(),
        "{} of {} are not noticed:\n{}",
        unnoticed.len(),
        mutants.len(),
        unnoticed.join("\n")
    );
}

/// The cases of each file, with what the rules of that file alone have to do.
pub(crate) fn tests_by_file() -> BTreeMap<String, Value> {
    let cases: Vec<Case> = cases::of_rules().into_iter().map(of_own_file).collect();
    let of_file = |(file, path): (String, PathBuf)| {
        let cases: Vec<_> = cases.iter().filter(|case| case.file == file).collect();
        assert!(!cases.is_empty(), "{file} has no cases");
        let tests = tests(&[path], &cases);
        (file, tests)
    };
    rules::files().into_iter().map(of_file).collect()
}

/// The case with what the rules of its own file have to do.
fn of_own_file(mut case: Case) -> Case {
    let own: Vec<String> =
        rules::alerts().into_iter().filter(|rule| rule.file == case.file).map(|rule| rule.name).collect();
    for (_, firing) in &mut case.firing {
        firing.retain(|labels| labels.get("alertname").is_some_and(|name| own.contains(name)));
    }
    case.annotations.retain(|(_, labels, _)| labels.get("alertname").is_some_and(|name| own.contains(name)));
    case
}
