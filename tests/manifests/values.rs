//! The chart's README lists every value, from the comments of values.yaml: `UPDATE_DOCS=1 cargo test --test manifests` rewrites it.

use std::{collections::BTreeMap, fmt::Write, fs};

use serde_json::Value;
use testbed::{components::project_root, helm};

use crate::rendered;

const BEGIN: &str = "<!-- values: generated from values.yaml -->";
const END: &str = "<!-- values: end -->";

type Path = Vec<String>;

/// The paths of all keys in order, and what stands right above a key from a line on that begins with `# --`.
fn comments(text: &str) -> (Vec<Path>, BTreeMap<Path, String>) {
    let mut paths = Vec::new();
    let mut told = BTreeMap::new();
    let mut parents: Vec<(usize, String)> = Vec::new();
    let mut comment: Option<String> = None;
    for line in text.lines() {
        let indentation = line.len() - line.trim_start().len();
        let content = line.trim();
        if let Some(text) = content.strip_prefix('#') {
            comment = match (comment, text.trim().strip_prefix("-- ")) {
                (_, Some(begin)) => Some(begin.to_owned()),
                (Some(begun), None) => Some(format!("{begun} {}", text.trim())),
                (None, None) => None,
            };
            continue;
        }
        let key = content.split_once(':').map(|(key, _)| key).filter(|key| !key.starts_with('-') && !key.contains(' '));
        if let Some(key) = key {
            parents.retain(|(depth, _)| *depth < indentation);
            parents.push((indentation, key.to_owned()));
            let path: Path = parents.iter().map(|(_, key)| key.clone()).collect();
            if let Some(comment) = comment.take() {
                told.insert(path.clone(), comment);
            }
            paths.push(path);
        }
        comment = None;
    }
    (paths, told)
}

fn table() -> String {
    let text = fs::read_to_string(helm::chart().join("values.yaml")).expect("values.yaml");
    let values: Value = serde_saphyr::from_str(&text).expect("YAML");
    let (paths, told) = comments(&text);
    let mut table = "| value | default | meaning |\n|---|---|---|\n".to_owned();
    let mut whole: Option<&Path> = None;
    for path in &paths {
        if whole.is_some_and(|whole| path.starts_with(whole)) {
            continue;
        }
        let value = path.iter().fold(&values, |value, key| &value[key.as_str()]);
        let meaning = told.get(path);
        // A map is told key by key, unless it means something as a whole.
        if value.as_object().is_some_and(|map| !map.is_empty()) && meaning.is_none() {
            continue;
        }
        whole = Some(path);
        let meaning = meaning.map_or("", String::as_str).replace('|', "\\|");
        let _ = writeln!(table, "| `{}` | `{value}` | {meaning} |", path.join("."));
    }
    table
}

#[test]
fn the_charts_readme_tells_the_requests_and_limits_that_are_set() {
    let read = |name: &str| fs::read_to_string(helm::chart().join(name)).expect(name);
    let values: Value = serde_saphyr::from_str(&read("values.yaml")).expect("YAML");
    let resources = &values["resources"];
    let told = format!(
        "The container asks for `{}` of processor and `{}` of memory and is limited to `{}`; there is no limit of processor",
        resources["requests"]["cpu"].as_str().expect("a request"),
        resources["requests"]["memory"].as_str().expect("a request"),
        resources["limits"]["memory"].as_str().expect("a limit"),
    );
    assert!(read("README.md").contains(&told), "the chart's README does not say: {told}");
    assert!(resources["limits"]["cpu"].is_null());
}

#[test]
fn the_charts_readme_lists_every_value() {
    let path = helm::chart().join("README.md");
    let text = fs::read_to_string(&path).expect("README.md");
    let (head, rest) = text.split_once(BEGIN).expect("the mark where the table begins");
    let (_, tail) = rest.split_once(END).expect("the mark where the table ends");
    let table = table();
    for value in
        ["features.logs", "metrics.tls.existingSecret", "serviceMonitor.tlsConfig", "resources", "extraManifests"]
    {
        assert!(table.contains(&format!("| `{value}` |")), "{value} is not in the table");
    }
    let wanted = format!("{head}{BEGIN}\n\n{table}\n{END}{tail}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, wanted).expect("README.md");
    } else {
        assert!(text == wanted, "the chart's README is out of date: UPDATE_DOCS=1 cargo test --test manifests");
    }
}

/// What the documentation shows as values is taken, and does what it stands there for.
#[test]
fn the_example_of_a_guarded_page_is_taken() {
    let text = fs::read_to_string(project_root().join("docs/access.md")).expect("docs/access.md");
    let (_, behind) = text.split_once("\n## Set up\n").expect("the section");
    let (_, example) = behind.split_once("```yaml\n").expect("an example");
    let (example, _) = example.split_once("```").expect("its end");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let file = folder.path().join("values.yaml");
    fs::write(&file, example).expect("a file");
    let rendered = rendered(&["--values", &file.display().to_string()]);
    for wanted in
        ["--authentication=token-review", "scheme: HTTPS", "scheme: https", "name: prometheus-k8s", "tokenreviews"]
    {
        assert!(rendered.contains(wanted), "{wanted} does not follow from\n{example}");
    }
}
