//! The rules that keep the code easy to change, held by machine: what is pure stays pure, no file is forgotten, and a
//! new cause or check names the places that still lack it.

#[path = "architecture/circles.rs"]
mod circles;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use metrics_server_doctor::{catalogue, guide::Step};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a readable folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).expect("a path below the root").display().to_string()
}

#[test]
fn pure_modules_do_no_io_and_read_no_clock() {
    let pure = ["snapshot", "catalogue", "chain", "check", "steps", "metrics_server", "verdict", "report", "render"];
    let forbidden = [
        "kube::",
        "tokio::",
        "hyper::",
        "std::fs",
        "std::net",
        "Timestamp::now",
        "SystemTime::now",
        "Instant::now",
        "println!",
    ];
    for file in rust_files(&root().join("src")) {
        let name = relative(&file);
        let module = name.trim_start_matches("src/").split(['/', '.']).next().unwrap_or("").to_owned();
        if !pure.contains(&module.as_str()) {
            continue;
        }
        let text = fs::read_to_string(&file).expect("a readable file");
        for (number, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for word in forbidden {
                assert!(!line.contains(word), "{name}:{}: a pure module mentions {word}", number + 1);
            }
        }
    }
}

#[test]
fn every_source_file_is_named_by_a_mod_line() {
    for file in rust_files(&root().join("src")) {
        let name = file.file_stem().expect("a stem").to_string_lossy().into_owned();
        let parent = file.parent().expect("a parent");
        if ["main", "lib"].contains(&name.as_str()) && parent.ends_with("src") {
            continue;
        }
        let declaring = if parent.ends_with("src") { parent.join("lib.rs") } else { parent.with_extension("rs") };
        let text =
            fs::read_to_string(&declaring).unwrap_or_else(|_| panic!("{} has no parent module", relative(&file)));
        let declared = text.lines().any(|line| line.trim_end().ends_with(&format!("mod {name};")));
        assert!(declared, "{} is named by no mod line in {}", relative(&file), relative(&declaring));
    }
}

#[test]
fn no_file_is_too_long_to_hold_in_the_head() {
    for folder in ["src", "tests"] {
        for file in rust_files(&root().join(folder)) {
            let lines = fs::read_to_string(&file).expect("a readable file").lines().count();
            assert!(lines <= 600, "{} has {lines} lines; split it", relative(&file));
        }
    }
}

#[test]
fn check_ids_are_unique_within_their_step_and_made_for_labels() {
    for step in Step::ALL {
        let mut seen = BTreeSet::new();
        assert!(!metrics_server_doctor::steps::checks(step).is_empty(), "step {step} has no check");
        for check in metrics_server_doctor::steps::checks(step) {
            assert_eq!(check.step, step, "check {} stands in the list of another step", check.id);
            assert!(seen.insert(check.id), "check {} twice in step {step}", check.id);
            assert!(check.id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "check id {}", check.id);
            assert!(!check.question.is_empty(), "check {step}/{} asks no question", check.id);
        }
    }
}

#[test]
fn every_cause_is_raised_by_a_check() {
    let raised: BTreeSet<_> = metrics_server_doctor::steps::all().flat_map(|check| check.causes).copied().collect();
    for entry in catalogue::all() {
        assert!(raised.contains(&entry.cause), "no check names cause {}/{} among its causes", entry.step, entry.id);
    }
}

#[test]
fn the_project_speaks_of_itself_alone() {
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder").flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                if !["target", ".git", ".components", ".tools", "node_modules"].contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if name == ".git" {
                // The file of a second work tree.
            } else if let Ok(text) = fs::read_to_string(&path) {
                let machine = concat!("/wo", "rk/");
                assert!(!text.contains(machine), "{} names a path of a machine", relative(&path));
            }
        }
    }
}

/// What a test fetches by itself is there on the machine of whoever wrote it, and fails on a fresh one.
#[test]
fn only_make_components_fetches() {
    let fetching = ["go", "npm", "npx", "pip", "pip3", "cargo", "apt-get", "curl", "wget"];
    for file in rust_files(&root().join("tests")) {
        let name = relative(&file);
        // The first is what `make components` runs, the second shows that nothing can be fetched.
        if name.starts_with("tests/components/") || name == "tests/bed/tests/isolation.rs" {
            continue;
        }
        let text = fs::read_to_string(&file).expect("a readable file");
        for program in fetching {
            let started = concat!("Command", "::new(\"");
            assert!(
                !text.contains(&format!("{started}{program}\")")),
                "{name} runs {program}: let `make components` do it"
            );
        }
    }
}
