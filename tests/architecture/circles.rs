//! Files that import each other in a circle can only be understood, tested and moved together.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use super::{root, rust_files};

/// Top modules among whose files there is no circle.
const FREE: [&str; 4] = ["health", "http", "observe", "render"];

type Module = Vec<String>;

/// The module that a file holds: `observe/cluster/dial.rs` is `[observe, cluster, dial]`.
fn module(file: &Path) -> Module {
    let below = file.strip_prefix(root().join("src")).expect("a path below src").with_extension("");
    below.iter().map(|part| part.to_string_lossy().into_owned()).collect()
}

/// Cuts at commas that stand outside of braces.
fn parts(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&text[start..]);
    found
}

/// Every path that a tree of imports names.
fn paths(tree: &str, before: &str, found: &mut Vec<String>) {
    let tree = tree.trim();
    match tree.split_once('{') {
        Some((head, rest)) => {
            let inner = rest.trim_end().strip_suffix('}').expect("a closed brace");
            for part in parts(inner).into_iter().filter(|part| !part.trim().is_empty()) {
                paths(part, &format!("{before}{head}"), found);
            }
        }
        None => found.push(format!("{before}{tree}")),
    }
}

/// The files that the imports of a file lead to; its tests are left out.
fn imports(text: &str, own: &[String], known: &BTreeSet<Module>) -> BTreeSet<Module> {
    let code = text.split("\nmod tests {").next().unwrap_or(text);
    let statements = code.split(";\n").filter_map(|statement| {
        let start = statement.lines().position(|line| {
            ["use ", "pub use ", "pub(super) use ", "pub(crate) use "].iter().any(|word| line.starts_with(word))
        })?;
        let statement = statement.lines().skip(start).collect::<Vec<_>>().join(" ");
        Some(statement.split_once("use ").expect("an import").1.to_owned())
    });
    let mut found = Vec::new();
    statements.for_each(|statement| paths(&statement, "", &mut found));
    let mut targets = BTreeSet::new();
    for path in found {
        let mut place: Option<Module> = None;
        for word in path.split("::").map(str::trim) {
            place = match (word, place.take()) {
                ("crate", None) => Some(Vec::new()),
                ("self", None) => Some(own.to_vec()),
                ("super", None) => Some(own[..own.len() - 1].to_vec()),
                ("super", Some(mut place)) => place.pop().map(|_| place),
                (word, Some(mut place)) => {
                    place.push(word.to_owned());
                    Some(place)
                }
                (_, None) => break,
            };
        }
        let Some(mut place) = place else { continue };
        while !known.contains(&place) && place.pop().is_some() {}
        if !place.is_empty() && place != own {
            targets.insert(place);
        }
    }
    targets
}

/// A way from a file back to itself.
fn circle<'m>(
    at: &'m Module,
    edges: &'m BTreeMap<Module, BTreeSet<Module>>,
    way: &mut Vec<&'m Module>,
    done: &mut BTreeSet<&'m Module>,
) -> Option<String> {
    if let Some(start) = way.iter().position(|before| *before == at) {
        let names = way[start..].iter().chain([&at]).map(|module| module.join("/"));
        return Some(names.collect::<Vec<_>>().join(" -> "));
    }
    if !done.insert(at) {
        return None;
    }
    way.push(at);
    let found = edges.get(at).into_iter().flatten().find_map(|next| circle(next, edges, way, done));
    way.pop();
    found
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let files = rust_files(&root().join("src"));
    let known: BTreeSet<Module> = files.iter().map(|file| module(file)).collect();
    let of_free = |module: &Module| FREE.contains(&module[0].as_str());
    let mut edges: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
    for file in files.iter().filter(|file| of_free(&module(file))) {
        let own = module(file);
        let text = fs::read_to_string(file).expect("a readable file");
        let targets = imports(&text, &own, &known).into_iter().filter(&of_free).collect();
        edges.insert(own, targets);
    }
    assert!(edges.values().map(BTreeSet::len).sum::<usize>() > 60, "the imports are not found: {edges:#?}");
    let mut done = BTreeSet::new();
    for start in edges.keys() {
        assert_eq!(circle(start, &edges, &mut Vec::new(), &mut done), None);
    }
}

#[test]
fn renderers_know_neither_the_observer_nor_the_server() {
    let files = rust_files(&root().join("src"));
    let known: BTreeSet<Module> = files.iter().map(|file| module(file)).collect();
    for file in files.iter().filter(|file| module(file)[0] == "render") {
        let text = fs::read_to_string(file).expect("a readable file");
        for target in imports(&text, &module(file), &known) {
            assert!(!["observe", "http"].contains(&target[0].as_str()), "{} imports {target:?}", file.display());
        }
    }
}
