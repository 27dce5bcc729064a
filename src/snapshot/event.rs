//! Events.

use jiff::Timestamp;
use serde::Deserialize;

use super::{Metadata, Named, endpoints::TargetReference, metadata::or_default};

/// An Event of the core group or of `events.k8s.io`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Event {
    /// Name and namespace.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// What it is about.
    #[serde(alias = "regarding", deserialize_with = "or_default")]
    pub involved_object: TargetReference,
    /// For example `Unhealthy`.
    #[serde(deserialize_with = "or_default")]
    pub reason: String,
    /// Free text.
    #[serde(alias = "note", deserialize_with = "or_default")]
    pub message: String,
    /// How often it was seen.
    #[serde(alias = "deprecatedCount")]
    pub count: Option<u32>,
    /// The last time it was seen.
    #[serde(alias = "deprecatedLastTimestamp")]
    pub last_timestamp: Option<Timestamp>,
    /// When it was first seen, by reporters of `events.k8s.io`.
    pub event_time: Option<Timestamp>,
    /// How it went on, by reporters of `events.k8s.io`.
    pub series: Option<EventSeries>,
}

/// Events of the same kind that followed each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EventSeries {
    /// How often.
    pub count: Option<u32>,
    /// The last time.
    pub last_observed_time: Option<Timestamp>,
}

impl Event {
    /// When it was last seen.
    pub fn last_seen(&self) -> Option<Timestamp> {
        let of_series = self.series.as_ref().and_then(|series| series.last_observed_time);
        of_series.max(self.last_timestamp).max(self.event_time)
    }

    /// How often it was seen; once where it does not tell.
    pub fn times(&self) -> u32 {
        let of_series = self.series.as_ref().and_then(|series| series.count);
        of_series.max(self.count).unwrap_or(1).max(1)
    }
}

impl Named for Event {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::object;

    #[test]
    fn events_of_both_groups_tell_when_and_how_often() {
        let moment = |text: &str| text.parse().ok();
        let old: Event =
            object(json!({"involvedObject": {"kind": "Pod", "name": "p", "namespace": "n"}, "reason": "Unhealthy",
            "message": "x", "count": 7, "lastTimestamp": "2026-01-01T12:00:00Z", "eventTime": null}));
        assert_eq!((old.last_seen(), old.times()), (moment("2026-01-01T12:00:00Z"), 7));
        let new: Event = object(json!({"regarding": {"kind": "Pod", "name": "p"}, "note": "x", "reason": "Killing",
            "eventTime": "2026-01-01T12:00:00.123456Z", "series": {"count": 3, "lastObservedTime": "2026-01-01T12:05:00.000000Z"},
            "deprecatedCount": 1, "deprecatedLastTimestamp": null}));
        assert_eq!((new.last_seen(), new.times()), (moment("2026-01-01T12:05:00Z"), 3));
        assert_eq!((new.involved_object.name.as_str(), new.message.as_str()), ("p", "x"));
        assert_eq!(object::<Event>(json!({})).times(), 1);
    }
}
