//! Leaves out what no check reads, while it is parsed.

use std::{cell::Cell, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use crate::snapshot::api_server::is_proxy_variable;

/// Whether an item of a list named `env` is a variable of which typed objects may keep the value.
fn is_kept_variable(item: &Value) -> bool {
    item.get("name").and_then(Value::as_str).is_some_and(is_proxy_variable)
}

thread_local! {
    /// Bytes of texts that the document that is read may still hold.
    static LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Bounds the texts of a document for as long as it lives.
pub(super) struct Bounded;

impl Bounded {
    /// To so many bytes.
    pub(super) fn to(bytes: usize) -> Self {
        LEFT.set(bytes);
        Self
    }
}

impl Drop for Bounded {
    fn drop(&mut self) {
        LEFT.set(usize::MAX);
    }
}

fn count<E: de::Error>(text: &str) -> Result<(), E> {
    let left = LEFT.get();
    // Without a bound nothing is counted.
    if left == usize::MAX {
        return Ok(());
    }
    LEFT.set(left.checked_sub(text.len()).ok_or_else(|| E::custom("larger than its text"))?);
    Ok(())
}

/// A value without what no check reads.
pub(super) struct Pruned(pub(super) Value);

/// Lists that no check reads, by their key; a label may have the same name, and stays.
const UNREAD_LISTS: [&str; 7] =
    ["envFrom", "volumes", "volumeMounts", "images", "tolerations", "volumesAttached", "volumesInUse"];

impl<'de> Deserialize<'de> for Pruned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Prune { key: "" }).map(Self)
    }
}

/// Reads the value of a field, or of an item where the key is empty.
struct Prune<'k> {
    key: &'k str,
}

impl<'de> DeserializeSeed<'de> for Prune<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Prune<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        count(value)?;
        Ok(value.into())
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        count(&value)?;
        Ok(Value::String(value))
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        if UNREAD_LISTS.contains(&self.key) {
            while sequence.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Value::Null);
        }
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element_seed(Prune { key: "" })? {
            if self.key != "env" || is_kept_variable(&item) {
                items.push(item);
            }
        }
        if self.key == "env" && items.is_empty() {
            return Ok(Value::Null);
        }
        if self.key == "managedFields" {
            // Of who wrote what only the last moment is worth keeping.
            let newest = items.iter().filter_map(|entry| entry.get("time")?.as_str()).max();
            return Ok(newest.map_or(Value::Null, Value::from));
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if key == "fieldsV1"
                || key == "openAPIV3Schema"
                || key == "kubectl.kubernetes.io/last-applied-configuration"
            {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = map.next_value_seed(Prune { key: &key })?;
            if !value.is_null() {
                fields.insert(key, value);
            }
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_no_check_reads_is_left_out() {
        let Pruned(value) = serde_saphyr::from_str(
            "metadata:\n  labels: {env: prod, images: x}\n  managedFields:\n  - {time: 2026-01-01T00:00:00Z, fieldsV1: {}}\n  - {time: 2026-01-02T00:00:00Z}\nspec: {env: [{name: TOKEN, value: hunter2}], a: null}\n",
        )
        .expect("YAML");
        assert_eq!(
            value,
            json!({"metadata": {"labels": {"env": "prod", "images": "x"}, "managedFields": "2026-01-02T00:00:00Z"}, "spec": {}})
        );
    }
}
