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

/// Which top modules a module may name: the way of the data in one direction, from `guide` to `run`. What is not here is a
/// wrong import.
const ARROWS: &[(&str, &[&str])] = &[
    ("guide", &[]),
    ("runbooks", &[]),
    ("version", &[]),
    ("catalogue", &["guide"]),
    ("wording", &["catalogue"]),
    ("snapshot", &["wording"]),
    ("health", &["snapshot"]),
    ("facts", &["catalogue", "guide", "snapshot", "wording"]),
    ("check", &["catalogue", "facts", "guide", "snapshot"]),
    ("steps", &["catalogue", "check", "facts", "guide", "snapshot", "wording"]),
    ("verdict", &["catalogue", "check", "guide", "snapshot"]),
    ("report", &["catalogue", "check", "facts", "guide", "snapshot", "steps", "verdict", "version", "wording"]),
    ("history", &["facts", "snapshot"]),
    (
        "render",
        &[
            "catalogue",
            "check",
            "facts",
            "guide",
            "health",
            "history",
            "report",
            "runbooks",
            "snapshot",
            "steps",
            "verdict",
            "version",
            "wording",
        ],
    ),
    ("observe", &["facts", "health", "snapshot", "version", "wording"]),
    ("http", &["health", "observe", "render", "runbooks"]),
    ("args", &["check", "guide", "http", "observe", "render", "report", "runbooks", "version"]),
    (
        "run",
        &[
            "args", "check", "facts", "health", "history", "http", "observe", "render", "report", "runbooks",
            "snapshot", "verdict", "version",
        ],
    ),
];

/// The module below `src` that a file belongs to.
fn module_of(file: &Path) -> String {
    relative(file).trim_start_matches("src/").split(['/', '.']).next().unwrap_or("").to_owned()
}

/// The lines of a file that are part of the program: no comments, no unit tests.
fn program_lines(file: &Path) -> Vec<(usize, String)> {
    let name = relative(file);
    if ["tests.rs", "testing.rs", "fake.rs", "properties.rs", "cycle.rs"].iter().any(|test| name.ends_with(test)) {
        return Vec::new();
    }
    let text = fs::read_to_string(file).expect("a readable file");
    let mut lines = Vec::new();
    let mut tests = false;
    for (number, line) in text.lines().enumerate() {
        // A module of tests stands at the end of its file.
        tests |=
            line.starts_with("#[cfg(test)]") && text.lines().nth(number + 1).is_some_and(|next| next.ends_with('{'));
        if !tests && !line.trim_start().starts_with("//") {
            lines.push((number + 1, line.to_owned()));
        }
    }
    lines
}

/// The top modules that a text names behind `crate::`, one by one or in braces.
fn named_modules(text: &str) -> BTreeSet<String> {
    let word =
        |text: &str| text.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect();
    let mut names: BTreeSet<String> = BTreeSet::new();
    for (position, _) in text.match_indices("crate::") {
        let behind = &text[position + "crate::".len()..];
        let Some(group) = behind.strip_prefix('{') else {
            names.insert(word(behind));
            continue;
        };
        let mut depth = 0;
        let mut first = true;
        for (index, character) in group.char_indices() {
            if first && depth == 0 && character.is_alphabetic() {
                names.insert(word(&group[index..]));
                first = false;
            }
            match character {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => first = true,
                _ => {}
            }
        }
    }
    names
}

#[test]
fn modules_import_only_along_the_arrows() {
    let modules: BTreeSet<&str> = ARROWS.iter().map(|(module, _)| *module).collect();
    for file in rust_files(&root().join("src")) {
        let module = module_of(&file);
        if ["main", "lib", "testing"].contains(&module.as_str()) {
            continue;
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == module) else {
            panic!("{} belongs to no module of the table", relative(&file))
        };
        let text: String = program_lines(&file).into_iter().map(|(_, line)| line + "\n").collect();
        for named in named_modules(&text) {
            let fine = named == module || allowed.contains(&named.as_str()) || !modules.contains(named.as_str());
            assert!(fine, "{} imports {named}, and {module} may know only {allowed:?}", relative(&file));
        }
    }
}

#[test]
fn the_arrows_make_no_circle() {
    for (position, (module, allowed)) in ARROWS.iter().enumerate() {
        for named in *allowed {
            let other = ARROWS.iter().position(|(known, _)| known == named).expect("a module of the table");
            assert!(other < position, "{module} may import {named}, which stands behind it");
        }
    }
}

/// Words by which a text is compared with a literal.
const COMPARISONS: [&str; 5] =
    [".contains(\"", ".starts_with(\"", ".ends_with(\"", ".split_once(\"", ".strip_prefix(\""];

#[test]
fn texts_of_other_programs_are_matched_only_under_wording() {
    for file in rust_files(&root().join("src")) {
        if !["steps", "check", "verdict", "report"].contains(&module_of(&file).as_str()) {
            continue;
        }
        for (number, line) in program_lines(&file) {
            for comparison in COMPARISONS {
                assert!(!line.contains(comparison), "{}:{number}: {}", relative(&file), line.trim());
            }
        }
    }
}

#[test]
fn windows_of_time_stand_in_one_file() {
    let pure = ["facts", "steps", "check", "verdict", "report"];
    for file in rust_files(&root().join("src")) {
        if !pure.contains(&module_of(&file).as_str()) || relative(&file).ends_with("facts/windows.rs") {
            continue;
        }
        for (number, line) in program_lines(&file) {
            let window = ["from_secs(", "from_mins(", "from_hours("].iter().any(|call| line.contains(call));
            assert!(!window, "{}:{number}: a window of time outside of facts/windows.rs", relative(&file));
        }
    }
}

#[test]
fn no_check_calls_another() {
    for file in rust_files(&root().join("src/steps")) {
        let name = relative(&file);
        let own = name.trim_start_matches("src/steps/").split(['/', '.']).next().unwrap_or("").to_owned();
        for (number, line) in program_lines(&file) {
            for step in Step::ALL.map(Step::id).into_iter().filter(|step| *step != own) {
                let called = line.contains(&format!("steps::{step}")) || line.contains(&format!("super::{step}::"));
                assert!(!called, "{name}:{number}: a check of step {own} uses step {step}");
            }
            assert!(!line.contains(".run(") && !line.contains(".rule)("), "{name}:{number}: a check runs a check");
        }
    }
}

#[test]
fn pure_modules_do_no_io_and_read_no_clock() {
    let pure = [
        "guide",
        "catalogue",
        "wording",
        "snapshot",
        "facts",
        "check",
        "steps",
        "verdict",
        "report",
        "health",
        "history",
        "render",
    ];
    let forbidden = [
        "kube::",
        "tokio::",
        "hyper::",
        "std::fs",
        "TcpStream",
        "TcpListener",
        "UdpSocket",
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

/// A field that is deserialised and read by nobody costs memory and tells whoever reads the snapshot that it counts.
#[test]
fn every_field_of_the_snapshot_is_read() {
    let files = rust_files(&root().join("src"));
    let text = |file: &PathBuf| program_lines(file).into_iter().map(|(_, line)| line + "\n").collect::<String>();
    let program: String = files.iter().map(text).collect();
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    // A field is read as `.name`, where no call follows, or taken apart by name in a pattern.
    let is_read = |name: &str| {
        program.match_indices(&format!(".{name}")).any(|(start, found)| {
            let behind = program[start + found.len()..].chars().next();
            behind.is_none_or(|next| !is_word(next) && next != '(')
        })
    };
    /// Read by taking the whole apart.
    const TAKEN_APART: [&str; 1] = ["subsets"];
    let mut unread = Vec::new();
    for file in files.iter().filter(|file| relative(file).starts_with("src/snapshot")) {
        for (number, line) in program_lines(file) {
            let Some(field) = line.strip_prefix("    pub ").and_then(|line| line.split_once(": ")) else { continue };
            if field.0.chars().all(is_word) && !TAKEN_APART.contains(&field.0) && !is_read(field.0) {
                unread.push(format!("{}:{number} {}", relative(file), field.0));
            }
        }
    }
    assert!(unread.is_empty(), "fields of the snapshot that nobody reads:\n  {}", unread.join("\n  "));
}
