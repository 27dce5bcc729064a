//! Reads answers of the metrics API. Pure.

use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};

use crate::snapshot::{Metadata, metadata::or_default, retrieval::Sample};

/// `NodeMetricsList` and `PodMetricsList`, without the values.
#[derive(Default, Deserialize)]
#[serde(default)]
struct List {
    kind: String,
    #[serde(deserialize_with = "or_default")]
    items: Vec<Item>,
}

/// A moment that is zero is `null` (kubernetes/apimachinery `pkg/apis/meta/v1/time.go` `MarshalJSON`), and so is an empty list of
/// Go.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Item {
    #[serde(deserialize_with = "or_default")]
    metadata: Metadata,
    #[serde(deserialize_with = "or_default")]
    timestamp: String,
    #[serde(deserialize_with = "or_default")]
    window: String,
    #[serde(deserialize_with = "or_default")]
    usage: Map<String, Value>,
    #[serde(deserialize_with = "or_default")]
    containers: Vec<IgnoredAny>,
}

/// The samples of a list.
///
/// # Errors
///
/// Where the text is not such a list: the kind of error and its place, without the text.
pub(super) fn samples(body: &[u8]) -> Result<Vec<Sample>, String> {
    // serde takes a list for a struct whose fields it holds in order.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err("not an object".to_owned());
    }
    let list: List = serde_json::from_slice(body)
        .map_err(|error| format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column()))?;
    if !["NodeMetricsList", "PodMetricsList"].contains(&list.kind.as_str()) {
        return Err(if list.kind == "Status" { "a Status" } else { "another kind" }.to_owned());
    }
    Ok(list.items.into_iter().map(sample).collect())
}

fn sample(item: Item) -> Sample {
    Sample {
        unknown: item.usage.is_empty() && item.containers.is_empty(),
        namespace: item.metadata.namespace,
        name: item.metadata.name,
        timestamp: item.timestamp.parse().ok(),
        window: item.window.parse::<SignedDuration>().ok().and_then(|window| Duration::try_from(window).ok()),
    }
}

/// The message of a Status, or the text itself.
pub(super) fn message(body: &str) -> String {
    #[derive(Deserialize)]
    struct Status {
        message: String,
    }
    serde_json::from_str(body).map_or_else(|_| body.to_owned(), |Status { message }| message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_and_pods_are_read_with_time_and_window() {
        let body = br#"{"kind":"PodMetricsList","items":[
            {"metadata":{"name":"web-1","namespace":"shop"},"timestamp":"2026-01-01T12:00:00Z","window":"1m0.5s","containers":[{"name":"web","usage":{"cpu":"1m"}}]},
            {"metadata":{"name":"node-1"},"timestamp":"2026-01-01T12:00:00Z","window":"20.05s","usage":{"cpu":"1m","memory":"1Ki"}},
            {"metadata":{"name":"node-2"},"window":"","usage":{}}]}"#;
        let samples = samples(body).expect("a list");
        assert_eq!(samples[0].window, Some(Duration::from_millis(60_500)));
        assert_eq!((samples[0].namespace.as_str(), samples[0].name.as_str()), ("shop", "web-1"));
        assert_eq!(samples[1].window, Some(Duration::from_millis(20_050)));
        assert!(samples[0].timestamp.is_some() && !samples[1].unknown);
        assert!(samples[2].unknown && samples[2].window.is_none());
    }

    #[test]
    fn null_is_what_is_not_there() {
        let nothing = samples(br#"{"kind":"NodeMetricsList","items":null}"#).expect("a list");
        assert_eq!(nothing, []);
        let body = br#"{"kind":"NodeMetricsList","items":[
            {"metadata":{"name":"a"},"timestamp":null,"window":null,"usage":{"cpu":"1m"},"containers":null},
            {"metadata":{"name":"b"},"timestamp":"2026-01-01T12:00:00Z","usage":null}]}"#;
        let samples = samples(body).expect("a list");
        assert_eq!((samples[0].timestamp, samples[0].unknown), (None, false));
        assert!(samples[1].timestamp.is_some() && samples[1].unknown);
    }

    #[test]
    fn another_object_is_no_empty_list() {
        for body in [
            r#"{"kind":"Status","status":"Failure","message":"x","code":500}"#,
            r#"{"kind":"PodList","items":[]}"#,
            r#"{"items":[]}"#,
            "{}",
            "[]",
            r#"["NodeMetricsList",[]]"#,
            "null",
            "0",
            "",
        ] {
            assert!(samples(body.as_bytes()).is_err(), "{body}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_answer_panics(body in "[\\[\\]{}\":, \nabkinditemsNodMrcsLt012-]{0,120}") {
            let _ = samples(body.as_bytes());
        }
    }

    #[test]
    fn what_is_not_a_list_is_told_without_quoting_it() {
        let error = samples(b"<html>secret</html>").expect_err("no list");
        assert!(!error.contains("secret"), "{error}");
        assert_eq!(message(r#"{"message":"denied"}"#), "denied");
        assert_eq!(message("service unavailable"), "service unavailable");
    }
}
