//! The runbooks' tables of causes are generated from the catalogue: `UPDATE_DOCS=1 cargo test --test runbooks` rewrites
//! them, and without it the test tells which page is out of date.

use std::{fmt::Write, fs, path::PathBuf};

use metrics_server_doctor::{
    catalogue::{self, Role},
    guide::Step,
};

const BEGIN: &str = "<!-- causes: generated from the catalogue -->";
const END: &str = "<!-- causes: end -->";

fn page(step: Step) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("docs/runbooks/{step}.md"))
}

/// The causes of a step as Markdown; the anchors are those of the report's links.
fn causes(step: Step) -> String {
    let mut text = String::new();
    for entry in catalogue::all().iter().filter(|entry| entry.step == step) {
        let _ = write!(text, "\n### `{0}` <a id=\"{0}\"></a>\n\n{1}\n\n", entry.id, entry.title);
        let _ = writeln!(text, "- **Recognised by**: {}", entry.recognised_by);
        let _ = writeln!(text, "- **Repair**: {}", entry.remedy);
        if !entry.guide.is_empty() {
            let _ = writeln!(text, "- **The guide**: {}", entry.guide);
        }
        if entry.role == Role::Symptom {
            let _ = writeln!(text, "- A symptom: it carries the verdict only where nothing upstream explains it.");
        }
        if !entry.issues.is_empty() {
            let issues: Vec<String> = entry.issues.iter().map(|issue| link(issue)).collect();
            let _ = writeln!(text, "- **Upstream**: {}", issues.join(", "));
        }
    }
    if text.is_empty() {
        text.push_str(
            "\nThis step names no cause of its own: what it finds is told by the step that the issue belongs to.\n",
        );
    }
    text
}

fn link(issue: &str) -> String {
    let (repository, number) = issue.split_once('#').expect("an issue is written repository#number");
    let repository = if repository.is_empty() { "kubernetes-sigs/metrics-server" } else { repository };
    format!("[{repository}#{number}](https://github.com/{repository}/issues/{number})")
}

#[test]
fn every_step_has_a_runbook_with_the_causes_of_the_catalogue() {
    let mut stale = Vec::new();
    for step in Step::ALL {
        let path = page(step);
        let text = fs::read_to_string(&path).unwrap_or_else(|_| panic!("{} is missing", path.display()));
        let (head, rest) =
            text.split_once(BEGIN).unwrap_or_else(|| panic!("{} lacks the line {BEGIN}", path.display()));
        let (_, tail) = rest.split_once(END).unwrap_or_else(|| panic!("{} lacks the line {END}", path.display()));
        let wanted = format!("{head}{BEGIN}\n{}\n{END}{tail}", causes(step));
        if wanted == text {
            continue;
        }
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&path, wanted).expect("a writable page");
        } else {
            stale.push(path.display().to_string());
        }
    }
    assert!(stale.is_empty(), "out of date, run `UPDATE_DOCS=1 cargo test --test runbooks`: {}", stale.join(", "));
}

#[test]
fn every_runbook_has_the_same_sections() {
    for step in Step::ALL {
        let text = fs::read_to_string(page(step)).expect("a runbook");
        for heading in [
            "## What it means",
            "## Alerts",
            "## How the guide puts it",
            "## How to confirm",
            "## Repair",
            "## When it is not a fault",
            "## Causes",
        ] {
            assert!(text.contains(heading), "{step}.md lacks {heading}");
        }
    }
}
