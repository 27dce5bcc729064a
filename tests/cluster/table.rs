//! The table as a page of the documentation, and what it must hold: every cause of the catalogue is brought about on a
//! bed or has a stand-in with the reason.
//!
//! `cargo test --test cluster -- --table` needs no cluster; with `UPDATE_DOCS=1` it rewrites the page.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::PathBuf,
    process::ExitCode,
};

use metrics_server_doctor::catalogue;

use crate::{
    beds::{self, BEDS, Bed},
    matrix::{AT_NIGHT, Expected, Kind, Row, STAND_INS, Shown},
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

impl Row {
    /// The cause that it brings about, as `step/cause`; `None` where nothing is wrong.
    fn cause(&self) -> Option<&'static str> {
        match &self.kind {
            Kind::Fault(fault) => Some(fault.expected.verdict),
            Kind::Named(cause, _) => Some(cause),
            Kind::Quiet(_) | Kind::Own(_) | Kind::Pair(_) => None,
        }
    }
}

/// Checks the table and the page; tells what is wrong with them.
pub(crate) fn check() -> ExitCode {
    let mut wrong = uncovered();
    wrong.extend(duplicates());
    wrong.extend(without_row());
    let path = root().join("docs/fault-matrix.md");
    let wanted = page();
    let there = fs::read_to_string(&path).unwrap_or_default();
    if there != wanted {
        if std::env::var_os("UPDATE_DOCS").is_some() {
            if let Err(error) = fs::write(&path, &wanted) {
                wrong.push(format!("{}: {error}", path.display()));
            }
        } else {
            wrong.push(
                "docs/fault-matrix.md differs from the table: `UPDATE_DOCS=1 make test-fast` rewrites it".to_owned(),
            );
        }
    }
    if wrong.is_empty() {
        println!("the fault matrix names every cause and its page is up to date");
        return ExitCode::SUCCESS;
    }
    println!("{}", wrong.join("\n"));
    ExitCode::FAILURE
}

fn duplicates() -> Vec<String> {
    let mut seen = BTreeSet::new();
    let rows = BEDS.iter().flat_map(Bed::rows);
    rows.filter(|row| !seen.insert(row.name)).map(|row| format!("two rows are named {:?}", row.name)).collect()
}

/// Names of rows that are spoken of and are not there.
fn without_row() -> Vec<String> {
    let rows = || BEDS.iter().flat_map(Bed::rows);
    let pairs = rows().filter_map(|row| if let Kind::Pair(pair) = &row.kind { Some(pair) } else { None });
    let parts = pairs.flat_map(|pair| [pair.upstream, pair.other]).filter(|name| beds::fault(name).is_none());
    let mut wrong: Vec<_> = parts.map(|name| format!("a pair names {name:?}, which is no row of a fault")).collect();
    let left = AT_NIGHT.iter().filter(|name| !rows().any(|row| row.name == **name));
    wrong.extend(left.map(|name| format!("{name:?} is left to the night and is no row")));
    wrong
}

/// Causes with neither row nor stand-in, and stand-ins that do not stand.
fn uncovered() -> Vec<String> {
    let rows: BTreeSet<&str> = BEDS.iter().flat_map(Bed::rows).filter_map(Row::cause).collect();
    let cases = cases();
    let mut wrong = Vec::new();
    let mut known = BTreeSet::new();
    for entry in catalogue::all() {
        let name = format!("{}/{}", entry.step, entry.id);
        let stand_in = STAND_INS.iter().find(|stand_in| stand_in.cause == name);
        match (rows.contains(name.as_str()), stand_in) {
            (true, Some(_)) => wrong.push(format!("{name} has a row and needs no stand-in")),
            (false, None) => wrong.push(format!("{name} is brought about by no row and has no stand-in")),
            (false, Some(_)) if !cases.contains_key(&name) => {
                wrong.push(format!("{name} has neither a row nor a case in tests/cases with that verdict"));
            }
            (true, None) | (false, Some(_)) => {}
        }
        known.insert(name);
    }
    known.insert("none/undetermined".to_owned());
    let named = rows.into_iter().chain(STAND_INS.iter().map(|stand_in| stand_in.cause));
    wrong.extend(named.filter(|name| !known.contains(*name)).map(|name| format!("{name} is not in the catalogue")));
    wrong
}

/// The verdict of a case; where it is undetermined, what is told instead.
fn told(expected: &str) -> Vec<&str> {
    let verdict = expected.lines().find_map(|line| line.strip_prefix("verdict: ")).map(str::trim);
    if verdict != Some("undetermined") {
        return verdict.into_iter().collect();
    }
    let findings = expected.lines().skip_while(|line| *line != "findings:").skip(1);
    findings.map_while(|line| line.trim_start().strip_prefix("- ")).collect()
}

/// The names of cases by the verdict that they must lead to.
fn cases() -> BTreeMap<String, Vec<String>> {
    let mut cases: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let folders = fs::read_dir(root().join("tests/cases")).into_iter().flatten().flatten();
    for folder in folders.map(|entry| entry.path()) {
        let expected = fs::read_to_string(folder.join("expected.yaml")).unwrap_or_default();
        let name = folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        for cause in told(&expected) {
            cases.entry(cause.to_owned()).or_default().push(name.clone());
        }
    }
    for names in cases.values_mut() {
        names.sort();
    }
    cases
}

fn page() -> String {
    let mut text = String::from(HEAD);
    if !AT_NIGHT.is_empty() {
        text.push_str("\nTried by `make nightly` and by name, since they take long and rarely break:\n\n");
        text.extend(AT_NIGHT.iter().map(|name| format!("- {name}\n")));
    }
    // Writing into a text does not fail.
    for bed in BEDS {
        let _ = write!(text, "\n## {}\n\n", capital(bed.name));
        text.push_str("| row | how it is brought about | what has to be said |\n|---|---|---|\n");
        for row in bed.rows() {
            let _ = writeln!(text, "| {} | {} | {} |", row.name, cell(row.injection), cell(&said(row)));
        }
    }
    text.push_str(STAND_IN_HEAD);
    let cases = cases();
    for stand_in in STAND_INS {
        let names = cases.get(stand_in.cause).and_then(|names| names.first()).map_or("none", String::as_str);
        let _ = writeln!(text, "| `{}` | {} | `{names}` |", stand_in.cause, cell(stand_in.reason));
    }
    text
}

fn said(row: &Row) -> String {
    match &row.kind {
        Kind::Fault(fault) => {
            let mut text = format!("verdict `{}`", fault.expected.verdict);
            if fault.within > crate::matrix::Fault::PAGE_LIMIT {
                let _ = write!(text, " within {} s", fault.within.as_secs());
            }
            match &fault.shown {
                Shown::AtOnce => {}
                Shown::Reason(reason) => {
                    let _ = write!(text, " of reason {reason}");
                }
                Shown::Autoscaler { name, condition, reason } => {
                    let _ = write!(text, " of {condition} {reason} on HPA {name}");
                }
            }
            text + "; " + &gauges(&fault.expected)
        }
        Kind::Named(cause, _) => format!("verdict `{cause}`"),
        Kind::Quiet(_) => "nothing: no cause at any moment, healthy in the end".to_owned(),
        Kind::Own(_) => "see the injection".to_owned(),
        Kind::Pair(pair) => {
            let cause = |name| beds::fault(name).map_or("?", |fault| fault.expected.verdict);
            format!(
                "verdict `{}`; `{}` is a finding too; neither is held back",
                cause(pair.upstream),
                cause(pair.other)
            )
        }
    }
}

fn gauges(expected: &Expected) -> String {
    let mut parts = vec![format!("`apiservice_available` {}", u8::from(expected.available))];
    parts.push(match expected.endpoints {
        Some(count) => format!("`endpoints_count` {count}"),
        None => "no `endpoints_count`".to_owned(),
    });
    if !expected.mismatches.is_empty() {
        parts.push(format!("`port_mismatch` {}", expected.mismatches.join(", ")));
    }
    parts.extend(
        expected.unknown_targets.iter().map(|(name, count)| format!("`hpa_unknown_targets` {count} of {name}")),
    );
    parts.extend(expected.checks.iter().map(|(check, state)| format!("{check} {state}")));
    parts.join(", ")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

const HEAD: &str = "# The fault matrix

What `cargo test --test cluster` tries on real control planes (etcd, kube-apiserver, kube-controller-manager,
metrics-server, each the real program; one stand-in plays all kubelets). This page is generated from the table in
`tests/cluster` (`UPDATE_DOCS=1 make test-fast`).

Each fault begins on a healthy cluster. It is made, the verdict has to name that cause, no other finding may stand beside it,
what is held back has to lie downstream, no other root cause may carry the verdict on the way there, and when the fault is
healed everything has to be healthy again. Of a pair of faults both have to be findings, the one upstream leads, and
neither is held back. Without a time in the last column the page has to be right within 5 s of the API
server's showing it; with one, it is known only when the doctor or metrics-server looks the next time.

Each section is one cluster with network, mount and process namespaces of its own; several run side by side.
";

const STAND_IN_HEAD: &str = "
## Causes that no cluster here can bring about

| cause | why | the case that stands in (`tests/cases`) |
|---|---|---|
";
