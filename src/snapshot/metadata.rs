//! What every Kubernetes object carries.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

/// Reads `null` as the default: kubectl prints `null` for empty fields of some kinds.
pub(crate) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// The parts of `ObjectMeta` that checks read; everything else is skipped while it is parsed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// Unique within namespace and kind.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Empty for cluster-scoped objects.
    #[serde(deserialize_with = "or_default")]
    pub namespace: String,
    /// Labels.
    #[serde(deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    /// Annotations without the long ones that nobody reads (`last-applied-configuration`).
    #[serde(deserialize_with = "short_annotations")]
    pub annotations: BTreeMap<String, String>,
    /// Unique in time and space.
    #[serde(deserialize_with = "or_default")]
    pub uid: String,
    /// Where a watch goes on from.
    #[serde(deserialize_with = "or_default")]
    pub resource_version: String,
    /// When the object was created.
    pub creation_timestamp: Option<Timestamp>,
    /// Set while the object is being deleted.
    pub deletion_timestamp: Option<Timestamp>,
    /// Who made it.
    #[serde(deserialize_with = "or_default")]
    pub owner_references: Vec<OwnerReference>,
}

/// A reference to the object that owns another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// For example `ReplicaSet`.
    #[serde(deserialize_with = "or_default")]
    pub kind: String,
    /// The owner's name, in the same namespace.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Whether this owner manages the object.
    pub controller: Option<bool>,
}

/// Name, namespace, identity and moments alone, for objects of which there may be many and nobody reads more.
pub(crate) fn bare<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Metadata, D::Error> {
    let metadata: Metadata = or_default(deserializer)?;
    Ok(Metadata { labels: BTreeMap::new(), annotations: BTreeMap::new(), owner_references: Vec::new(), ..metadata })
}

fn short_annotations<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let mut annotations: BTreeMap<String, String> = or_default(deserializer)?;
    annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    Ok(annotations)
}

impl Metadata {
    /// Metadata with only a namespace and a name.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { name: name.to_owned(), namespace: namespace.to_owned(), ..Self::default() }
    }

    /// Whether this is a later state of the same object: resource versions are numbers in every API server that exists.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        let number = |metadata: &Self| metadata.resource_version.parse::<u64>().unwrap_or(0);
        number(self) > number(other)
    }

    /// Whether all of `labels` are among the object's; an empty selector selects nothing, as Services have it.
    pub fn has_labels(&self, labels: &BTreeMap<String, String>) -> bool {
        !labels.is_empty() && labels.iter().all(|(key, value)| self.labels.get(key) == Some(value))
    }
}

/// The status of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum ConditionStatus {
    /// `True`
    True,
    /// `False`
    False,
    /// `Unknown`, empty, or anything else.
    #[default]
    Unknown,
}

impl ConditionStatus {
    /// All three.
    pub const ALL: [Self; 3] = [Self::True, Self::False, Self::Unknown];

    /// As kube-state-metrics spells it in labels.
    pub const fn label(self) -> &'static str {
        match self {
            Self::True => "true",
            Self::False => "false",
            Self::Unknown => "unknown",
        }
    }
}

impl<'de> Deserialize<'de> for ConditionStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Hand-written YAML has `status: True` without quotes, which is a boolean there.
        Ok(match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Bool(true) => Self::True,
            serde_json::Value::Bool(false) => Self::False,
            serde_json::Value::String(text) if text.eq_ignore_ascii_case("true") => Self::True,
            serde_json::Value::String(text) if text.eq_ignore_ascii_case("false") => Self::False,
            _ => Self::Unknown,
        })
    }
}

/// One entry of `status.conditions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// For example `Available`.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    /// True, False or Unknown.
    pub status: ConditionStatus,
    /// One word.
    #[serde(deserialize_with = "or_default")]
    pub reason: String,
    /// Free text: never a label value.
    #[serde(deserialize_with = "or_default")]
    pub message: String,
    /// When it was last written, of nodes alone.
    pub last_heartbeat_time: Option<Timestamp>,
    /// When `status` last changed.
    pub last_transition_time: Option<Timestamp>,
}

/// The condition of that type.
pub fn condition<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
}
