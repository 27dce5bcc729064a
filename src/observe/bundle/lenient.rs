//! Typed objects from what people and old tools write: a port in quotes, a number as a label.
//!
//! A value that says the same in another type is read as meant. Where it says nothing, a field of `metadata` or a single
//! value of `status` is left out; without anything else the object would say something that nobody wrote, so it counts as
//! not seen.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

/// How many fields of one object are mended.
const MOST: usize = 64;

/// Reads `value`; with the object come the fields that were mended.
///
/// # Errors
/// Names the field that cannot be read. The text never quotes its value.
pub(super) fn read<T: DeserializeOwned>(mut value: Value) -> Result<(T, Vec<String>), String> {
    let mut told = Vec::new();
    loop {
        let error = match serde_path_to_error::deserialize::<_, T>(&value) {
            Ok(read) => return Ok((read, told)),
            Err(error) => error,
        };
        let path = error.path().to_string();
        let message = error.inner().to_string();
        let expected = message.rsplit_once(", expected ").map_or("", |(_, expected)| expected);
        let wrong = |field: Option<&Value>| format!("{path} is {}, which is not {}", kind(field), or_allowed(expected));
        let keys: Option<Vec<String>> = keys(error.path());
        let Some(keys) = keys.filter(|_| told.len() < MOST) else { return Err(wrong(None)) };
        let Some(field) = find(&mut value, &keys) else { return Err(wrong(None)) };
        if let Some(meant) = meant(field, expected) {
            told.push(format!("{}, and read as meant", wrong(Some(field))));
            *field = meant;
        } else if may_be_left_out(&keys, expected) {
            told.push(format!("{}, and left out", wrong(Some(field))));
            let (last, parents) = keys.split_last().ok_or_else(|| wrong(None))?;
            match find(&mut value, parents) {
                Some(Value::Object(fields)) => drop(fields.remove(last)),
                Some(Value::Array(items)) => drop(last.parse().ok().map(|index: usize| items.remove(index))),
                _ => return Err(wrong(None)),
            }
        } else {
            return Err(wrong(Some(field)));
        }
    }
}

fn or_allowed(expected: &str) -> &str {
    // Types of Rust are no news to an operator.
    match expected {
        "" => "what the field may hold",
        "u16" => "a number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "i32" => "a whole number from -2147483648 to 2147483647",
        "i64" => "a whole number below 2^63",
        "u64" => "a whole number that is not negative",
        _ if expected.starts_with("struct ") => "an object",
        _ => expected,
    }
}

fn kind(value: Option<&Value>) -> &'static str {
    match value {
        None => "something",
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "a boolean",
        Some(Value::Number(_)) => "a number",
        Some(Value::String(_)) => "a text",
        Some(Value::Array(_)) => "a list",
        Some(Value::Object(_)) => "an object",
    }
}

/// Keys and indices down to the field; `None` where the path does not lead to one.
fn keys(path: &Path) -> Option<Vec<String>> {
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => Some(index.to_string()),
            Segment::Map { key } => Some(key.clone()),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

fn find<'v>(value: &'v mut Value, keys: &[String]) -> Option<&'v mut Value> {
    keys.iter().try_fold(value, |value, key| match value {
        Value::Object(fields) => fields.get_mut(key),
        Value::Array(items) => items.get_mut(key.parse::<usize>().ok()?),
        _ => None,
    })
}

/// The same in the type that is expected.
fn meant(value: &Value, expected: &str) -> Option<Value> {
    let number = matches!(expected, "u16" | "u32" | "u64" | "i32" | "i64");
    match value {
        Value::String(text) if number => text.trim().parse::<i64>().ok().map(Value::from),
        Value::String(text) if expected == "a boolean" => {
            text.trim().to_ascii_lowercase().parse().ok().map(Value::Bool)
        }
        #[expect(clippy::cast_possible_truncation, reason = "a whole number that fits")]
        Value::Number(float) if number => float
            .as_f64()
            .filter(|float| float.fract() == 0.0 && float.abs() < 1e15 && !value.is_i64() && !value.is_u64())
            .map(|float| Value::from(float as i64)),
        Value::Number(_) | Value::Bool(_) if expected == "a string" => Some(Value::String(value.to_string())),
        _ => None,
    }
}

fn may_be_left_out(keys: &[String], expected: &str) -> bool {
    let whole = ["a sequence", "a map", "struct "].iter().any(|kind| expected.starts_with(kind));
    match keys {
        [first, second, ..] if first == "metadata" => !matches!(second.as_str(), "name" | "namespace" | "labels"),
        [first, _, ..] if first == "status" => !whole,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::snapshot::{Pod, Service, Workload};

    #[test]
    fn what_says_the_same_in_another_type_is_read_as_meant() {
        let (service, told) = read::<Service>(json!({
            "metadata": {"name": "a", "labels": {"version": 1.5, "on": true}},
            "spec": {"ports": [{"port": "443", "targetPort": "https"}]}
        }))
        .expect("a Service");
        assert_eq!((service.spec.ports[0].port, told.len()), (443, 3), "{told:?}");
        assert_eq!(service.metadata.labels["version"], "1.5");
        let (workload, _) = read::<Workload>(
            json!({"metadata": {"name": "a"}, "spec": {"replicas": "1"}, "status": {"availableReplicas": 1.0}}),
        )
        .expect("a Deployment");
        assert_eq!((workload.spec.replicas, workload.status.available_replicas), (Some(1), 1));
    }

    #[test]
    fn what_says_nothing_where_little_depends_on_it_is_left_out() {
        let (pod, told) = read::<Pod>(json!({
            "metadata": {"name": "a", "creationTimestamp": "yesterday", "ownerReferences": "none"},
            "status": {"phase": "Running", "startTime": 5, "containerStatuses": [{"name": "c", "restartCount": -1, "ready": true}]}
        }))
        .expect("a pod");
        assert_eq!((told.len(), pod.status.container_statuses[0].ready), (4, true), "{told:?}");
        assert!(!told.iter().any(|line| line.contains("yesterday")), "{told:?}");
    }

    #[test]
    fn what_would_say_something_else_is_not_read() {
        for value in [
            json!({"metadata": {"name": "a"}, "spec": {"ports": "443"}}),
            json!({"metadata": {"name": "a"}, "spec": {"ports": [{"port": 70_000}]}}),
            json!({"metadata": {"name": "a"}, "spec": {"selector": ["app=web"]}}),
            json!({"metadata": {"name": ["a"]}}),
            json!({"metadata": "a"}),
        ] {
            let error = read::<Service>(value.clone()).expect_err("nothing that can be meant");
            assert!(!error.contains("443") && !error.contains("app=web"), "{error}");
        }
        assert!(read::<Pod>(json!({"metadata": {"name": "a"}, "status": {"conditions": "Ready"}})).is_err());
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,5}".prop_map(Value::from)
        ];
        let key = prop::sample::select(vec![
            "metadata",
            "name",
            "labels",
            "spec",
            "status",
            "ports",
            "port",
            "conditions",
            "status",
            "containers",
            "resources",
            "requests",
        ]);
        leaf.prop_recursive(6, 40, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((key.clone(), inner), 0..4).prop_map(|fields| Value::Object(
                    fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
                )),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_value_panics(value in any_value()) {
            let _ = (read::<Pod>(value.clone()), read::<Service>(value.clone()), read::<Workload>(value));
        }
    }
}
