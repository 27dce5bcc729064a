//! Documents of a file: YAML and JSON of any number, each read by itself, so that what is damaged spoils nothing else.
//!
//! What no check reads and what makes objects large is left out while it is parsed. Reasons never quote the input: it may
//! be secret.

mod prune;

use std::{borrow::Cow, cell::RefCell, fmt};

use serde::{
    Deserializer,
    de::{DeserializeSeed, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use self::prune::Pruned;

/// A larger document is not tried in a second language.
const SMALL: usize = 1 << 20;

/// A document of YAML may hold so many times its text: anchors are copied wherever an alias stands.
const MULTIPLE: usize = 4;

/// One document.
pub(super) struct Document {
    /// The line of the file at which it begins, from 1.
    pub(super) line: usize,
    /// What it holds.
    pub(super) value: Value,
    /// Whether all of it could be read; a list of which only some items could proves nothing about others.
    pub(super) complete: bool,
}

/// A part of a file that could not be read.
pub(super) struct Lost {
    /// The line of the file at which that shows, from 1.
    pub(super) line: usize,
    /// What is wrong with it.
    pub(super) reason: String,
    /// The kind of object that it held, where it still tells.
    pub(super) kind: Option<String>,
}

/// What a file holds.
#[derive(Default)]
pub(super) struct Documents {
    /// What could be read.
    pub(super) read: Vec<Document>,
    /// What could not.
    pub(super) lost: Vec<Lost>,
}

/// Reads a file.
pub(super) fn documents(text: &str) -> Documents {
    let mut documents = Documents::default();
    let (mut start, mut line) = (0, 1);
    let (mut position, mut number) = (0, 0);
    let mut keys = Keys::default();
    for row in text.split_inclusive('\n') {
        number += 1;
        let end = row.trim_end();
        if keys.begin_anew(end) {
            documents.document(line, &text[start..position]);
            (start, line) = (position, number);
        } else if end == "---" || end.starts_with("--- ") {
            documents.document(line, &text[start..position]);
            // What stands behind the marker belongs to the document, save for a comment.
            let behind = end.strip_prefix("--- ").unwrap_or("").trim();
            let content = !behind.is_empty() && !behind.starts_with('#');
            start = position + if content { 4 } else { row.len() };
            line = number + usize::from(!content);
        }
        position += row.len();
    }
    documents.document(line, &text[start..]);
    documents
}

/// The top-level keys of the document that is being read: `cat *.yaml > one.yaml` leaves no `---` between files, and one
/// object has no key twice.
#[derive(Default)]
struct Keys<'t> {
    seen: Vec<&'t str>,
    /// Whether the document is in a flow form, such as JSON, where lines tell nothing.
    is_flow: bool,
}

impl<'t> Keys<'t> {
    /// Takes a line; `true` where it begins another document.
    fn begin_anew(&mut self, line: &'t str) -> bool {
        if line == "---" || line.starts_with("--- ") {
            *self = Self::default();
            return false;
        }
        if self.seen.is_empty() && line.trim_start().starts_with(['{', '[']) {
            self.is_flow = true;
        }
        let Some((key, rest)) = line.split_once(':') else { return false };
        let is_key = key.starts_with(|first: char| first.is_ascii_alphabetic())
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && (rest.is_empty() || rest.starts_with(' '));
        if self.is_flow || !is_key || is_noise(line) {
            return false;
        }
        let is_second = self.seen.contains(&key);
        if is_second {
            self.seen.clear();
        }
        self.seen.push(key);
        is_second
    }
}

/// The kind that a line of YAML gives, at this indentation.
fn kind_in(text: &str, indent: usize) -> Option<String> {
    let mut lines = text.lines().filter(|line| line.is_char_boundary(indent.min(line.len())));
    let kind = lines.find_map(|line| {
        let (before, rest) = line.split_at(indent.min(line.len()));
        before.chars().all(|character| matches!(character, ' ' | '-')).then(|| rest.strip_prefix("kind:"))?
    })?;
    let kind = kind.trim().trim_matches(['"', '\'']);
    let kind = kind.strip_suffix("List").unwrap_or(kind);
    (!kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_alphanumeric())).then(|| kind.to_owned())
}

/// Warnings that end up in the file when both of kubectl's outputs are redirected, and directives of YAML.
fn is_noise(line: &str) -> bool {
    let klog = line.len() > 5
        && matches!(line.as_bytes()[0], b'I' | b'W' | b'E')
        && line.as_bytes()[1..5].iter().all(u8::is_ascii_digit);
    klog || ["Warning: ", "No resources found", "%YAML", "%TAG"].iter().any(|start| line.starts_with(start))
}

fn without_noise(text: &str) -> Cow<'_, str> {
    if !text.lines().any(is_noise) {
        return Cow::Borrowed(text);
    }
    let lines = text.split_inclusive('\n').map(|line| if is_noise(line) { "\n" } else { line });
    Cow::Owned(lines.collect())
}

impl Documents {
    fn document(&mut self, line: usize, text: &str) {
        let text = without_noise(text);
        let indent = text.len() - text.trim_start().len();
        if indent == text.len() {
            return;
        }
        let line = line + text[..indent].matches('\n').count();
        if text[indent..].starts_with(['{', '[']) {
            self.json(line, &text[indent..]);
        } else {
            self.yaml(line, &text[text[..indent].rfind('\n').map_or(0, |end| end + 1)..]);
        }
    }

    fn push(&mut self, line: usize, value: Value, complete: bool) {
        if !value.is_null() {
            self.read.push(Document { line, value, complete });
        }
    }

    /// One value, several behind each other, or one a line.
    fn json(&mut self, line: usize, text: &str) {
        let mut place = Place { line, offset: 0 };
        loop {
            let base = Place { ..place };
            let mut values = serde_json::Deserializer::from_str(&text[base.offset..]).into_iter::<Pruned>();
            let error = loop {
                match values.next() {
                    None => return,
                    Some(Ok(Pruned(value))) => {
                        place.skip_space(text);
                        self.push(place.line, value, true);
                        place.advance(text, base.offset + values.byte_offset());
                    }
                    Some(Err(error)) => break error,
                }
            };
            place.skip_space(text);
            let rest = &text[place.offset..];
            // YAML has a flow form that looks like JSON.
            if place.offset == 0
                && rest.len() < SMALL
                && let Ok(value) = parse_yaml(rest)
            {
                self.push(line, value, true);
                return;
            }
            let reason =
                format!("not JSON (line {} column {})", base.line + error.line().saturating_sub(1), error.column());
            let salvaged = salvage(rest);
            // Of a list of any kind nobody knows what was in the part that is lost.
            let kind = salvaged.as_ref().and_then(|list| list.get("kind")?.as_str()?.strip_suffix("List"));
            let kind = kind.filter(|kind| !kind.is_empty()).map(str::to_owned);
            self.lost.push(Lost { line: place.line, reason, kind });
            if let Some(value) = salvaged {
                self.push(place.line, value, false);
            }
            // Objects that stand one a line begin anew with the next line.
            let Some(next) = rest.find("\n{\"") else { return };
            place.advance(text, place.offset + next + 1);
        }
    }

    fn yaml(&mut self, line: usize, text: &str) {
        match parse_yaml(text) {
            Ok(value) => self.push(line, value, true),
            Err(whole) => {
                let Some(list) = split_list(text) else {
                    let line = line + whole.line.saturating_sub(1);
                    self.lost.push(Lost { line, reason: whole.told(), kind: kind_in(text, 0) });
                    return;
                };
                let mut items = Vec::new();
                // kubectl writes the kind of a list behind its items: where it is missing, the list was cut off.
                let is_whole = list.rest.lines().any(|line| line.starts_with("kind:"));
                for (first, item) in &list.items {
                    match parse_yaml(item) {
                        Ok(Value::Array(read)) => items.extend(read),
                        Ok(_) => {}
                        Err(damage) => {
                            let line = line + first + damage.line.saturating_sub(1);
                            let kind = kind_in(item, list.indent).filter(|_| is_whole);
                            self.lost.push(Lost { line, reason: damage.told(), kind });
                        }
                    }
                }
                let mut fields = match parse_yaml(&list.rest) {
                    Ok(Value::Object(fields)) => fields,
                    _ => Map::new(),
                };
                fields.insert("items".to_owned(), Value::Array(items));
                fields.entry("kind").or_insert_with(|| "List".into());
                self.push(line, Value::Object(fields), false);
            }
        }
    }
}

/// A place in a text, with its line in the file.
struct Place {
    line: usize,
    offset: usize,
}

impl Place {
    fn advance(&mut self, text: &str, offset: usize) {
        self.line += text.as_bytes()[self.offset..offset].split(|&byte| byte == b'\n').count() - 1;
        self.offset = offset;
    }

    fn skip_space(&mut self, text: &str) {
        let rest = &text[self.offset..];
        self.advance(text, self.offset + rest.len() - rest.trim_start().len());
    }
}

/// Where a text is no YAML, from its own first line on.
struct Damage {
    line: usize,
    column: usize,
}

impl Damage {
    fn told(&self) -> String {
        if self.line == 0 { "not YAML".to_owned() } else { format!("not YAML (column {})", self.column) }
    }
}

fn parse_yaml(text: &str) -> Result<Value, Damage> {
    // Only the spellings of YAML 1.2 are booleans: kubectl leaves names such as `n` unquoted. What the file may hold is
    // bounded by its size; aliases stay bounded by the parser's defaults.
    let options = serde_saphyr::options! {
        strict_booleans: true,
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::LastWins,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_events: usize::MAX,
            max_nodes: usize::MAX,
            max_total_scalar_bytes: usize::MAX,
        },
    };
    let _bounded = prune::Bounded::to(text.len().saturating_mul(MULTIPLE).saturating_add(SMALL));
    serde_saphyr::from_str_with_options::<Pruned>(text, options).map(|Pruned(value)| value).map_err(|error| {
        let place = error.location().map(|location| (location.line(), location.column()));
        let (line, column) = place.map_or((0, 0), |(line, column)| {
            (usize::try_from(line).unwrap_or(0), usize::try_from(column).unwrap_or(0))
        });
        Damage { line, column }
    })
}

/// A list of YAML, cut at its items.
struct CutList {
    /// The line of each item, from 0, and its text.
    items: Vec<(usize, String)>,
    /// Where the keys of an item begin.
    indent: usize,
    /// The other fields.
    rest: String,
}

/// Cuts at the lines that begin an item: kubectl writes them without indentation, people with.
fn split_list(text: &str) -> Option<CutList> {
    let mut list = CutList { items: Vec::new(), indent: 0, rest: String::new() };
    let mut mark: Option<String> = None;
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        if !inside {
            inside = line.trim_end() == "items:";
            if !inside {
                list.rest.push_str(line);
                list.rest.push('\n');
            }
            continue;
        }
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        if mark.is_none() && trimmed.starts_with("- ") {
            mark = Some(format!("{}- ", " ".repeat(indent)));
            list.indent = indent + 2;
        }
        let Some(mark) = &mark else { continue };
        if line.starts_with(mark.as_str()) {
            list.items.push((number, String::new()));
        } else if indent == 0 && !trimmed.is_empty() && !trimmed.starts_with(['-', '#']) {
            // A field beside `items`.
            inside = false;
            list.rest.push_str(line);
            list.rest.push('\n');
            continue;
        }
        if let Some((_, item)) = list.items.last_mut() {
            item.push_str(line);
            item.push('\n');
        }
    }
    (!list.items.is_empty()).then_some(list)
}

/// The items that a list of JSON holds before it breaks off.
fn salvage(text: &str) -> Option<Value> {
    let found = RefCell::new((Map::new(), Vec::new()));
    // The error was told already.
    drop(Salvage(&found).deserialize(&mut serde_json::Deserializer::from_str(text)));
    let (mut fields, items) = found.into_inner();
    if items.is_empty() {
        return None;
    }
    fields.insert("items".to_owned(), Value::Array(items));
    fields.entry("kind").or_insert_with(|| "List".into());
    Some(Value::Object(fields))
}

/// Collects the items of a list one by one, so that those read before an error are kept.
struct Salvage<'s>(&'s RefCell<(Map<String, Value>, Vec<Value>)>);

impl<'de> DeserializeSeed<'de> for Salvage<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Salvage<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == "items" {
                map.next_value_seed(Salvage(self.0))?;
            } else {
                let Pruned(value) = map.next_value()?;
                self.0.borrow_mut().0.insert(key, value);
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        while let Some(Pruned(item)) = sequence.next_element()? {
            self.0.borrow_mut().1.push(item);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// The line of each document and whether it was read in full.
    type Read = Vec<(usize, bool)>;

    fn read(text: &str) -> (Read, Vec<(usize, String)>) {
        let documents = documents(text);
        let lost = documents.lost.into_iter().map(|lost| (lost.line, lost.reason));
        (documents.read.iter().map(|read| (read.line, read.complete)).collect(), lost.collect())
    }

    fn values(text: &str) -> Vec<Value> {
        documents(text).read.into_iter().map(|read| read.value).collect()
    }

    #[test]
    fn every_document_knows_its_line() {
        assert_eq!(read("# head\n---\na: 1\n---\n\nb: [\n---\nc: 3\n").0, [(3, true), (8, true)]);
        assert_eq!(read("# head\n---\na: 1\n---\n\nb: [\n---\nc: 3\n").1.len(), 1);
        assert_eq!(read("--- {a: 1}\n--- # b\nb: 2\n").0, [(1, true), (3, true)]);
        assert_eq!(read("%YAML 1.2\n---\na: 1\n...\n").0, [(3, true)]);
        assert_eq!(read("\n\n").0, []);
    }

    #[test]
    fn json_may_stand_in_lines_and_behind_each_other() {
        assert_eq!(values("{\"a\": 1}\n{\"a\": 2}\n{\"a\": 3}"), [json!({"a": 1}), json!({"a": 2}), json!({"a": 3})]);
        let (read, damaged) = read("{\"a\": 1}\n{\"a\": \n{\"a\": 3}\n");
        assert_eq!(read, [(1, true), (3, true)]);
        assert_eq!(damaged.len(), 1);
        assert_eq!(damaged[0].0, 2);
        assert_eq!(values("{a: 1, b: [x]}"), [json!({"a": 1, "b": ["x"]})], "YAML's flow form");
    }

    #[test]
    fn of_a_damaged_list_the_other_items_are_read() {
        let yaml = "apiVersion: v1\nitems:\n- kind: A\n  x: 1\n- kind: [\n- kind: C\nkind: List\n";
        let (read, damaged) = read(yaml);
        assert_eq!((read, damaged[0].0), (vec![(1, false)], 5));
        assert_eq!(values(yaml)[0]["items"], json!([{"kind": "A", "x": 1}, {"kind": "C"}]));
        let json = "{\"kind\": \"PodList\", \"items\": [{\"a\": 1}, {\"a\": 2}, {\"a\":";
        assert_eq!(values(json), [json!({"kind": "PodList", "items": [{"a": 1}, {"a": 2}]})]);
    }

    #[test]
    fn what_is_lost_tells_its_kind_where_it_can() {
        let kinds =
            |text: &str| -> Vec<Option<String>> { documents(text).lost.into_iter().map(|lost| lost.kind).collect() };
        let some = |kind: &str| vec![Some(kind.to_owned())];
        assert_eq!(kinds("apiVersion: v1\nkind: \"Service\"\nspec: [\n"), some("Service"));
        assert_eq!(kinds("items:\n- kind: A\n- kind: B\n  x: [\nkind: List\n"), some("B"));
        assert_eq!(kinds("items:\n- kind: A\n- kind: B\n  x: [\n"), [None], "cut off: what followed may be anything");
        assert_eq!(kinds("{\"kind\": \"PodList\", \"items\": [{\"a\": 1}, {\"a\":"), some("Pod"));
        assert_eq!(kinds("{\"kind\": \"List\", \"items\": [{\"kind\": \"Pod\"}, {\"a\":"), [None]);
        assert_eq!(kinds("\u{1f}\u{8b}\u{8}"), [None]);
    }

    #[test]
    fn a_key_that_comes_twice_begins_another_document() {
        let files =
            "apiVersion: v1\nitems:\n- kind: A\n- kind: A\nkind: List\napiVersion: v1\nkind: B\nx: |\n  kind: C\n";
        assert_eq!(read(files).0, [(1, true), (6, true)]);
        assert_eq!(values(files)[1], json!({"apiVersion": "v1", "kind": "B", "x": "kind: C\n"}));
        let noise = "Warning: old\nkind: A\nWarning: old\nx: 1\n";
        assert_eq!(values(noise), [json!({"kind": "A", "x": 1})]);
        assert_eq!(values("{\na: 1,\nb: 2\n}\n"), [json!({"a": 1, "b": 2})], "a flow form");
    }

    #[test]
    fn bombs_are_bounded() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let before = format!("*a{}, ", level - 1).repeat(10);
            bomb.extend([format!("a{level}: &a{level} [{before}x]\n")]);
        }
        assert_eq!(read(&bomb).0, []);
        let scalars = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), "*a, ".repeat(20_000));
        assert_eq!((read(&scalars).0, read(&scalars).1.len()), (vec![], 1), "a large scalar, copied without end");
        let deep = "[".repeat(100_000);
        assert_eq!((read(&deep).0, read(&deep).1.len()), (vec![], 1));
        let nested: String = (0..3000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        assert_eq!(read(&nested).0, []);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[ -~\n\t]{0,300}") {
            let _ = documents(&text);
        }

        /// Files that were written behind each other are read as each by itself.
        #[test]
        fn files_behind_each_other_are_the_files(objects in prop::collection::vec(("[a-z]{1,8}", 0_u16..), 1..6)) {
            let file = |(name, port): &(String, u16)| {
                format!("apiVersion: v1\nkind: Service\nmetadata:\n  name: x{name}\nspec:\n  port: {port}\n")
            };
            let apart: Vec<Value> = objects.iter().flat_map(|object| values(&file(object))).collect();
            prop_assert_eq!(values(&objects.iter().map(file).collect::<String>()), apart);
        }

        #[test]
        fn no_json_panics(text in "[\\[\\]{}\":, \nabitems12-]{0,200}") {
            let _ = documents(&text);
        }
    }
}
