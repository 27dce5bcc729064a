//! When condition `Available` of each `APIService` was seen to change: one that changes again and again is written by API
//! servers that disagree.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};

use crate::snapshot::{ApiService, Named, api_service::Availability};

/// Changes are remembered for so long, and no more than so many of each `APIService`.
const KEPT_FOR: Duration = Duration::from_mins(5);
const KEPT: usize = 64;

#[derive(Debug, Default)]
struct Watched {
    state: Option<Availability>,
    changes: VecDeque<Instant>,
}

/// The changes of all `APIServices`.
#[derive(Debug, Default)]
pub(super) struct ConditionChanges(BTreeMap<String, Watched>);

impl ConditionChanges {
    /// Takes over an `APIService` as it is now.
    pub(super) fn see(&mut self, api_service: &ApiService, now: Instant) {
        let watched = self.0.entry(api_service.name().to_owned()).or_default();
        let state = api_service.availability();
        let changes = watched.state.zip(state).map_or(0, |(before, after)| before.changes_until(after));
        watched.changes.extend(std::iter::repeat_n(now, usize::from(changes)));
        watched.state = state;
        while watched.changes.len() > KEPT
            || watched.changes.front().is_some_and(|at| now.saturating_duration_since(*at) > KEPT_FOR)
        {
            watched.changes.pop_front();
        }
    }

    /// What leads to the server has changed, and what the condition did before tells nothing of API servers.
    pub(super) fn begin_anew(&mut self) {
        for watched in self.0.values_mut() {
            watched.changes.clear();
        }
    }

    /// An `APIService` is gone.
    pub(super) fn forget(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// The moments of the changes, oldest first.
    pub(super) fn moments(&self, observed_at: Timestamp, now: Instant) -> BTreeMap<String, Vec<Timestamp>> {
        let moment = |at: &Instant| {
            let ago = SignedDuration::try_from(now.saturating_duration_since(*at)).ok()?;
            observed_at.checked_sub(ago).ok()
        };
        let watched = self.0.iter().filter(|(_, watched)| !watched.changes.is_empty());
        watched.map(|(name, watched)| (name.clone(), watched.changes.iter().filter_map(moment).collect())).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{at, object};

    fn api_service(status: &str, since: i64) -> ApiService {
        object(json!({
            "metadata": {"name": "v1beta1.metrics.k8s.io"},
            "spec": {"group": "metrics.k8s.io", "version": "v1beta1"},
            "status": {"conditions": [{"type": "Available", "status": status, "lastTransitionTime": at(since)}]},
        }))
    }

    #[test]
    fn changes_are_counted_and_forgotten_after_a_while() {
        let (begin, mut changes) = (Instant::now(), ConditionChanges::default());
        let later = |seconds| begin + Duration::from_secs(seconds);
        let observed_at: Timestamp = at(0).parse().expect("a moment");
        changes.see(&api_service("True", -900), begin);
        changes.see(&api_service("True", -900), later(1));
        assert!(changes.moments(observed_at, later(1)).is_empty(), "a first look is no change");
        changes.see(&api_service("False", -890), later(10));
        changes.see(&api_service("True", -880), later(20));
        // Between two events it was False again.
        changes.see(&api_service("True", -870), later(30));
        let moments = changes.moments(observed_at, later(30));
        let seconds: Vec<i64> = moments["v1beta1.metrics.k8s.io"]
            .iter()
            .map(|moment| observed_at.duration_since(*moment).as_secs())
            .collect();
        assert_eq!(seconds, [20, 10, 0, 0]);
        changes.see(&api_service("True", -870), later(30) + KEPT_FOR + Duration::from_secs(1));
        assert!(changes.moments(observed_at, later(400)).is_empty());
        changes.see(&api_service("False", -1), later(401));
        assert_eq!(changes.moments(observed_at, later(401)).len(), 1);
        changes.begin_anew();
        assert!(changes.moments(observed_at, later(401)).is_empty(), "a Service that was changed in between");
    }
}
