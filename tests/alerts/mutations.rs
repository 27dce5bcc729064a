//! Each rule is broken in every small way, and a case of its file has to notice.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::Value;

use crate::{
    cases, rules,
    timeline::{Case, promtool_once, tests},
};

/// Mutants that mean the same as the rule, with the reason; a rule, and what is changed in it.
const EQUIVALENT: &[(&str, &str)] = &[];

/// A rule whose expression was changed.
struct Mutant {
    file: String,
    group: usize,
    rule: usize,
    name: String,
    change: String,
    expression: String,
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

fn mutants() -> Vec<Mutant> {
    let mut mutants = Vec::new();
    for (file, path) in rules::files() {
        for (group, known) in rules::read(&path)["groups"].as_array().expect("groups").iter().enumerate() {
            for (rule, known) in known["rules"].as_array().expect("rules").iter().enumerate() {
                let expression = known["expr"].as_str().expect("an expression");
                let name = known["alert"].as_str().or(known["record"].as_str()).expect("a name");
                let severity = known["labels"]["severity"].as_str().unwrap_or_default();
                // The rules of sections are alike but for the step, which another test holds.
                let alike = cases::SECTIONS[1..].iter().any(|(step, alert)| file == step.id() && name == *alert);
                let changes = mutations(expression).into_iter().filter(|(change, _)| !alike || change.contains("step"));
                for (change, expression) in changes {
                    let name = format!("{name} {severity}");
                    mutants.push(Mutant { file: file.clone(), group, rule, name, change, expression });
                }
            }
        }
    }
    mutants
}

/// Whether a case of the file notices.
fn is_noticed(mutant: &Mutant, tests: &BTreeMap<String, Value>) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let mut content: Value = rules::read(&rules::files()[&mutant.file]);
    content["groups"][mutant.group]["rules"][mutant.rule]["expr"] = Value::String(mutant.expression.clone());
    let path = folder.path().join("mutant.yaml");
    std::fs::write(&path, content.to_string()).expect("a file");
    promtool_once(&[path], &tests[&mutant.file]).is_err()
}

#[test]
fn the_rules_of_sections_are_alike_but_for_the_step() {
    let rules = |(step, alert): (metrics_server_doctor::steps::Step, &str)| -> Vec<_> {
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
    assert!(mutants.len() > 200, "{} mutants", mutants.len());
    let tests = tests_by_file();
    let (next, unnoticed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
            let known = |(name, change): &&(&str, &str)| *name == mutant.name && *change == mutant.change;
            if !EQUIVALENT.iter().any(|entry| known(&entry)) && !is_noticed(mutant, &tests) {
                let told = format!("{}: {}", mutant.name, mutant.change);
                unnoticed.lock().unwrap_or_else(PoisonError::into_inner).push(told);
            }
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
