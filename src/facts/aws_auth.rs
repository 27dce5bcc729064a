//! The `ConfigMap` `kube-system/aws-auth` of Amazon EKS: which entries are malformed, by key and position, never what stands
//! in them (kubernetes-sigs/aws-iam-authenticator `pkg/mapper/configmap`).

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

use crate::snapshot::{NotSeen, Snapshot};

/// A longer text than any cluster has is not parsed.
const LONGEST: usize = 1 << 20;

/// The keys that map identities.
const KEYS: [&str; 2] = ["mapRoles", "mapUsers"];

/// An entry by its key and its position in the list, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// `mapRoles` or `mapUsers`.
    pub key: &'static str,
    /// From 1.
    pub entry: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} entry {}", self.key, self.entry)
    }
}

/// A key whose text is not a list of mappings in YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unparsable {
    /// `mapRoles` or `mapUsers`.
    pub key: &'static str,
    /// The line within that text, from 1, where it is known.
    pub line: Option<u64>,
    /// What the parser says, without the text itself.
    pub error: String,
}

/// Entries that are mapped to several usernames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// All entries of that ARN.
    pub places: Vec<Place>,
    /// Whether one of them is the mapping of nodes.
    pub of_nodes: bool,
}

/// What is malformed in aws-auth.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AwsAuth {
    /// Entries of mapRoles and mapUsers.
    pub entries: usize,
    /// Entries without a username: they get 401 from every aggregated API.
    pub without_username: Vec<Place>,
    /// Roles whose ARN has a path: they never match.
    pub arn_with_path: Vec<Place>,
    /// ARNs that are mapped to several usernames.
    pub conflicting: Vec<Conflict>,
    /// Keys whose text cannot be read: they map nobody.
    pub unparsable: Vec<Unparsable>,
}

/// An entry; aws-iam-authenticator reads it by Go's JSON package, to which the case of keys is the same.
#[derive(Default)]
struct Entry {
    arn: String,
    username: String,
}

/// What may stand as a key or value: of anything but a text nothing is kept. A bare `{{SessionName}}` is a mapping in YAML,
/// with a mapping as its key, and as good as no username.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text")
    }

    fn visit_str<E>(self, value: &str) -> Result<Text, E> {
        Ok(Text(value.to_owned()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Text, E> {
        Ok(Text(String::new()))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Text, E> {
        Ok(Text(String::new()))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Text, E> {
        Ok(Text(String::new()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Text, E> {
        Ok(Text(String::new()))
    }

    fn visit_unit<E>(self) -> Result<Text, E> {
        Ok(Text(String::new()))
    }

    fn visit_none<E>(self) -> Result<Text, E> {
        Ok(Text(String::new()))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Text, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Text, A::Error> {
        while sequence.next_element::<Text>()?.is_some() {}
        Ok(Text(String::new()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
        while map.next_key::<Text>()?.is_some() {
            map.next_value::<Text>()?;
        }
        Ok(Text(String::new()))
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Entry;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an entry with rolearn or userarn, username and groups")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
                let mut entry = Entry::default();
                while let Some(Text(key)) = map.next_key()? {
                    match key.to_ascii_lowercase().as_str() {
                        "rolearn" | "userarn" => {
                            let Text(arn) = map.next_value()?;
                            if !arn.is_empty() {
                                entry.arn = arn;
                            }
                        }
                        "username" => Text(entry.username) = map.next_value()?,
                        _ => drop(map.next_value::<Text>()?),
                    }
                }
                Ok(entry)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

impl AwsAuth {
    /// Reads the `ConfigMap`; `None` when it does not exist, which is fine: access entries replace it.
    pub fn of(snapshot: &Snapshot) -> Result<Option<Self>, NotSeen> {
        let Some(config_map) = snapshot.config_maps.get("kube-system", "aws-auth").known()? else { return Ok(None) };
        let mut read = Self::default();
        let mut by_arn: BTreeMap<String, Vec<(Place, String)>> = BTreeMap::new();
        for key in KEYS {
            let text = config_map.data.get(key).map_or("", String::as_str);
            let empty = text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
            if empty || matches!(text.trim(), "null" | "~" | "---") {
                continue;
            }
            match parse(text) {
                Ok(entries) => {
                    for (index, entry) in entries.into_iter().enumerate() {
                        let place = Place { key, entry: index + 1 };
                        read.take(place, &entry);
                        if !entry.arn.is_empty() {
                            by_arn.entry(entry.arn).or_default().push((place, entry.username));
                        }
                    }
                }
                Err((line, error)) => read.unparsable.push(Unparsable { key, line, error }),
            }
        }
        let conflicting = by_arn.into_values().filter(|entries| entries.iter().any(|(_, name)| *name != entries[0].1));
        read.conflicting = conflicting
            .map(|entries| Conflict {
                of_nodes: entries.iter().any(|(_, username)| username.starts_with("system:node:")),
                places: entries.into_iter().map(|(place, _)| place).collect(),
            })
            .collect();
        Ok(Some(read))
    }

    fn take(&mut self, place: Place, entry: &Entry) {
        self.entries += 1;
        if entry.username.is_empty() {
            self.without_username.push(place);
        }
        let role = entry.arn.split_once(":role/").map_or("", |(_, role)| role);
        if role.contains('/') {
            self.arn_with_path.push(place);
        }
    }
}

/// Whether the nodes were seen and none is of Amazon EKS.
pub fn is_elsewhere(snapshot: &Snapshot) -> bool {
    let mut nodes = snapshot.nodes.iter().peekable();
    nodes.peek().is_some()
        && !nodes.any(|node| {
            node.status.node_info.kubelet_version.contains("-eks-")
                || node.metadata.labels.keys().any(|label| label.starts_with("eks.amazonaws.com/"))
        })
}

fn parse(text: &str) -> Result<Vec<Entry>, (Option<u64>, String)> {
    if text.len() > LONGEST {
        return Err((None, "the text is too long".to_owned()));
    }
    serde_saphyr::from_str::<Vec<Entry>>(text).map_err(|error| {
        let line = error.location().map(|location| location.line());
        let quoted = line.and_then(|line| text.lines().nth(usize::try_from(line).ok()?.checked_sub(1)?));
        (line, reason(quoted.unwrap_or("")))
    })
}

/// What is most likely wrong with a line that cannot be read; the parser's own words would quote it.
fn reason(line: &str) -> String {
    let indent: String = line.chars().take_while(|character| character.is_whitespace()).collect();
    if indent.contains('\t') {
        return "a tab where YAML wants blanks".to_owned();
    }
    if line.contains("{{") && !line.contains(['"', '\'']) {
        return "a template {{…}} without quotes".to_owned();
    }
    "it is not valid YAML, or not a list of entries".to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{
        snapshot::{Collection, ConfigMap},
        testing::{healthy, object},
    };

    fn read(roles: &str) -> AwsAuth {
        let config_map: ConfigMap =
            object(json!({"metadata": {"namespace": "kube-system", "name": "aws-auth"}, "data": {"mapRoles": roles}}));
        let snapshot = Snapshot { config_maps: Collection::complete([config_map]), ..healthy() };
        AwsAuth::of(&snapshot).expect("seen").expect("there")
    }

    fn entry(entry: usize) -> Place {
        Place { key: "mapRoles", entry }
    }

    const GOOD: &str = "- rolearn: arn:aws:iam::1:role/node\n  username: system:node:{{EC2PrivateDNSName}}\n  groups: [system:nodes]\n";

    #[test]
    fn malformed_entries_are_told_by_their_place() {
        assert_eq!(read(GOOD), AwsAuth { entries: 1, ..AwsAuth::default() });
        let second = read(&format!("{GOOD}- rolearn: arn:aws:iam::1:role/admin\n  groups: [system:masters]\n"));
        assert_eq!(second.without_username, [entry(2)]);
        assert_eq!(read("- rolearn: arn:aws:iam::1:role/path/admin\n  username: a\n").arn_with_path, [entry(1)]);
        let conflict = read(&format!("{GOOD}- rolearn: arn:aws:iam::1:role/node\n  username: other\n"));
        assert_eq!(conflict.conflicting, [Conflict { places: vec![entry(1), entry(2)], of_nodes: true }]);
        let same = read(&format!("{GOOD}{GOOD}"));
        assert_eq!(same.conflicting, [], "the same twice is no conflict");
        assert_eq!(read(""), AwsAuth::default());
        for empty in ["[]\n", "null", "# nobody yet\n", "\n\n"] {
            assert_eq!(read(empty), AwsAuth::default(), "{empty}");
        }
        let odd = "- {\"roleARN\": \"arn:aws:iam::1:role/a\", \"userName\": \"admin:{{SessionName}}\", \"groups\": null, \"note\": 5}\n";
        assert_eq!(read(odd), AwsAuth { entries: 1, ..AwsAuth::default() });
    }

    #[test]
    fn a_bare_template_is_one_entry_without_username() {
        let bare = format!("- rolearn: arn:aws:iam::1:role/admin\n  username: {{{{SessionName}}}}\n{GOOD}");
        let read = read(&bare);
        assert_eq!((read.entries, read.without_username, read.unparsable), (2, vec![entry(1)], vec![]));
    }

    #[test]
    fn a_key_that_cannot_be_read_is_told_by_line_and_reason_and_not_by_its_text() {
        let tab = read("- rolearn: arn:aws:iam::1:role/secret\n\tusername: admin\n");
        let [unparsable] = tab.unparsable.as_slice() else { panic!("{tab:?}") };
        assert_eq!(unparsable.key, "mapRoles");
        assert!(unparsable.line.is_some(), "{unparsable:?}");
        assert!(!format!("{unparsable:?}").contains("secret"));
        assert_eq!(read("- rolearn: [unclosed\n").unparsable.len(), 1);
    }

    #[test]
    fn without_aws_auth_nothing_is_wrong() {
        assert_eq!(AwsAuth::of(&healthy()), Ok(None));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[ -~\n\t]{0,200}") {
            let _ = read(&text);
        }
    }
}
