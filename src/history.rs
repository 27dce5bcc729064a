//! What the pages tell of the time between looks: since when autoscalers are blind, how long they were watched, how often
//! conditions changed.
//!
//! What a look shows is taken to hold until the next one. The publisher keeps the history and hands it every snapshot.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::{
    facts::{
        Facts,
        autoscalers::{Autoscaler, Sight},
    },
    snapshot::{
        ConditionStatus, HorizontalPodAutoscaler, Named, Observed, Snapshot, api_service::Availability,
        metadata::condition,
    },
};

/// Time between two looks that counts at the most: over a longer gap nobody watched.
const LONGEST_GAP: SignedDuration = SignedDuration::from_mins(5);

/// What is remembered from look to look.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    last_look: Option<Timestamp>,
    autoscalers: BTreeMap<(String, String), Watched>,
    seconds: BTreeMap<String, Seconds>,
    conditions: BTreeMap<String, Available>,
}

/// An autoscaler at the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Watched {
    /// Not so while its watch is interrupted: what it was is remembered, and no time counts.
    seen: bool,
    blind_since: Option<Timestamp>,
}

/// Time of autoscalers, summed up over those of a namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Seconds {
    /// Autoscaler-seconds that were watched.
    pub watched: f64,
    /// Those of them in which the autoscaler was blind.
    pub blind: f64,
}

/// Condition `Available` of an `APIService` at the last look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Available {
    state: Option<Availability>,
    transitions: u64,
}

/// Whether an autoscaler does not know a target through a fault; one that is scaled to zero or has just started does not
/// know it either, and nothing is wrong.
fn is_blind(autoscaler: &Autoscaler<'_>) -> bool {
    autoscaler.unknown_targets > 0 && matches!(autoscaler.sight, Sight::Blind(_))
}

impl History {
    /// Takes over a new look.
    pub fn advance(&mut self, facts: &Facts<'_>) {
        let snapshot = facts.snapshot;
        self.count_until(snapshot.observed_at);
        let before = std::mem::take(&mut self.autoscalers);
        for autoscaler in &facts.autoscalers().all {
            let object = autoscaler.object;
            let key = (object.namespace().to_owned(), object.name().to_owned());
            let known = before.get(&key).and_then(|watched| watched.blind_since);
            let since = || known.unwrap_or_else(|| failing_since(object, snapshot.observed_at));
            let blind_since = is_blind(autoscaler).then(since);
            self.autoscalers.insert(key, Watched { seen: true, blind_since });
        }
        for (key, watched) in before {
            if !self.autoscalers.contains_key(&key)
                && matches!(snapshot.autoscalers.get(&key.0, &key.1), Observed::NotSeen(_))
            {
                self.autoscalers.insert(key, Watched { seen: false, ..watched });
            }
        }
        let namespaces: BTreeMap<String, Seconds> = self
            .autoscalers
            .keys()
            .map(|(namespace, _)| (namespace.clone(), self.seconds.get(namespace).copied().unwrap_or_default()))
            .collect();
        self.seconds = namespaces;
        self.compare_conditions(snapshot);
    }

    fn count_until(&mut self, now: Timestamp) {
        let elapsed = self.last_look.map_or(SignedDuration::ZERO, |last| now.duration_since(last));
        let elapsed = elapsed.clamp(SignedDuration::ZERO, LONGEST_GAP).as_secs_f64();
        self.last_look = self.last_look.max(Some(now));
        for ((namespace, _), watched) in self.autoscalers.iter().filter(|(_, watched)| watched.seen) {
            let seconds = self.seconds.entry(namespace.clone()).or_default();
            seconds.watched += elapsed;
            if watched.blind_since.is_some() {
                seconds.blind += elapsed;
            }
        }
    }

    fn compare_conditions(&mut self, snapshot: &Snapshot) {
        for api_service in snapshot.api_services.iter() {
            let known = self.conditions.entry(api_service.name().to_owned()).or_default();
            let state = api_service.availability();
            let changes = known.state.zip(state).map_or(0, |(before, after)| before.changes_until(after));
            known.transitions += u64::from(changes);
            known.state = state;
        }
        self.conditions.retain(|name, _| !snapshot.api_services.get("", name).is_absent());
    }

    /// Since when the autoscaler is blind; `None` where it is not.
    pub fn blind_since(&self, namespace: &str, name: &str) -> Option<Timestamp> {
        self.autoscalers.get(&(namespace.to_owned(), name.to_owned()))?.blind_since
    }

    /// Time of autoscalers by namespace, of those that have one.
    pub fn seconds(&self) -> impl Iterator<Item = (&str, Seconds)> {
        self.seconds.iter().map(|(namespace, seconds)| (namespace.as_str(), *seconds))
    }

    /// How often condition `Available` of an `APIService` changed from look to look.
    pub fn transitions(&self, api_service: &str) -> Option<u64> {
        self.conditions.get(api_service).map(|available| available.transitions)
    }
}

/// Since when the controller says that it cannot scale; where it says no such thing, as of one metric of several that
/// fails, since this look.
fn failing_since(autoscaler: &HorizontalPodAutoscaler, now: Timestamp) -> Timestamp {
    ["AbleToScale", "ScalingActive"]
        .into_iter()
        .filter_map(|kind| condition(&autoscaler.status.conditions, kind))
        .filter(|condition| condition.status == ConditionStatus::False)
        .filter_map(|condition| condition.last_transition_time)
        .min()
        .map_or(now, |since| since.min(now))
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "sums of whole seconds are exact")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        snapshot::{ApiService, Collection, NotSeen},
        testing::{at, healthy, object},
    };

    const BLIND: [&str; 3] = ["False", "FailedGetPodsMetric", "no custom metrics API"];

    /// [`healthy`] seconds later, with an autoscaler `shop/web` whose condition `ScalingActive` is this one.
    fn look(seconds: i64, [status, reason, message]: [&str; 3]) -> Snapshot {
        let autoscaler: HorizontalPodAutoscaler = object(json!({
            "metadata": {"namespace": "shop", "name": "web", "creationTimestamp": at(-86_400)},
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "metrics": [{"type": "Pods", "pods": {"metric": {"name": "queue"}, "target": {"type": "AverageValue", "averageValue": "1"}}}]},
            "status": {"currentReplicas": 1, "desiredReplicas": 1,
                "currentMetrics": if status == "True" {
                    json!([{"type": "Pods", "pods": {"metric": {"name": "queue"}, "current": {"averageValue": "1"}}}])
                } else { json!([]) },
                "conditions": [{"type": "ScalingActive", "status": status, "reason": reason, "message": message, "lastTransitionTime": at(-600)}]}
        }));
        Snapshot {
            observed_at: at(seconds).parse().expect("a moment"),
            autoscalers: Collection::complete([autoscaler]),
            ..healthy()
        }
    }

    fn seeing(seconds: i64) -> Snapshot {
        look(seconds, ["True", "ValidMetricFound", ""])
    }

    fn of_shop(history: &History) -> Seconds {
        history.seconds().find(|(namespace, _)| *namespace == "shop").expect("the namespace").1
    }

    #[test]
    fn time_counts_as_blind_from_the_look_that_shows_it_to_the_next_one() {
        let mut history = History::default();
        history.advance(&Facts::new(&seeing(0)));
        assert_eq!(of_shop(&history), Seconds::default());
        history.advance(&Facts::new(&look(15, BLIND)));
        assert_eq!(of_shop(&history), Seconds { watched: 15.0, blind: 0.0 });
        history.advance(&Facts::new(&look(30, BLIND)));
        history.advance(&Facts::new(&seeing(40)));
        assert_eq!(of_shop(&history), Seconds { watched: 40.0, blind: 25.0 });
        history.advance(&Facts::new(&seeing(50)));
        assert_eq!(of_shop(&history), Seconds { watched: 50.0, blind: 25.0 });
    }

    #[test]
    fn an_autoscaler_without_a_fault_is_not_blind() {
        let mut history = History::default();
        let disabled =
            ["False", "ScalingDisabled", "scaling is disabled since the replica count of the target is zero"];
        history.advance(&Facts::new(&look(0, disabled)));
        assert_eq!(history.blind_since("shop", "web"), None);
        history.advance(&Facts::new(&seeing(15)));
        assert_eq!(of_shop(&history), Seconds { watched: 15.0, blind: 0.0 });
    }

    #[test]
    fn nobody_watched_over_a_long_gap_or_against_the_clock() {
        let mut history = History::default();
        history.advance(&Facts::new(&look(0, BLIND)));
        history.advance(&Facts::new(&look(3_600, BLIND)));
        assert_eq!(of_shop(&history), Seconds { watched: 300.0, blind: 300.0 });
        history.advance(&Facts::new(&look(1_800, BLIND)));
        history.advance(&Facts::new(&look(3_600, BLIND)));
        assert_eq!(of_shop(&history), Seconds { watched: 300.0, blind: 300.0 });
        history.advance(&Facts::new(&look(3_610, BLIND)));
        assert_eq!(of_shop(&history).watched, 310.0);
    }

    #[test]
    fn blindness_begins_with_the_condition_and_is_remembered_while_nobody_can_look() {
        let mut history = History::default();
        history.advance(&Facts::new(&look(0, BLIND)));
        let since = at(-600).parse().ok();
        assert_eq!(history.blind_since("shop", "web"), since);
        let unseen = Snapshot {
            observed_at: at(15).parse().expect("a moment"),
            autoscalers: Collection::unseen(NotSeen::NotSynced),
            ..healthy()
        };
        history.advance(&Facts::new(&unseen));
        assert_eq!(history.blind_since("shop", "web"), since);
        let blind = of_shop(&history).blind;
        history.advance(&Facts::new(&look(30, BLIND)));
        assert_eq!((history.blind_since("shop", "web"), of_shop(&history).blind), (since, blind));
        history.advance(&Facts::new(&seeing(45)));
        assert_eq!(history.blind_since("shop", "web"), None);
        let gone = Snapshot { autoscalers: Collection::complete([]), ..seeing(60) };
        history.advance(&Facts::new(&gone));
        assert_eq!(history.seconds().count(), 0, "a namespace without autoscalers is forgotten");
    }

    #[test]
    fn one_metric_of_several_is_missed_from_the_first_look_on() {
        let mut snapshot = look(30, ["True", "ValidMetricFound", ""]);
        let mut autoscaler = snapshot.autoscalers.iter().next().expect("one").clone();
        let mut second = autoscaler.spec.metrics[0].clone();
        second.pods.as_mut().expect("its source").metric.name = "other".to_owned();
        autoscaler.spec.metrics.push(second);
        snapshot.autoscalers = Collection::complete([autoscaler]);
        let mut history = History::default();
        history.advance(&Facts::new(&snapshot));
        snapshot.observed_at = at(45).parse().expect("a moment");
        history.advance(&Facts::new(&snapshot));
        assert_eq!(history.blind_since("shop", "web"), at(30).parse().ok());
    }

    #[test]
    fn transitions_are_counted_from_look_to_look_and_two_for_there_and_back() {
        let name = "v1beta1.metrics.k8s.io";
        let with = |condition: serde_json::Value| {
            let api_service: ApiService = object(json!({
                "metadata": {"name": name}, "spec": {"group": "metrics.k8s.io", "version": "v1beta1"},
                "status": {"conditions": condition}
            }));
            Snapshot { api_services: Collection::complete([api_service]), ..healthy() }
        };
        let available = |status: &str, seconds: i64| {
            with(json!([{"type": "Available", "status": status, "reason": "x", "lastTransitionTime": at(seconds)}]))
        };
        let mut history = History::default();
        let looks: [(Box<Snapshot>, u64); 8] = [
            (Box::new(with(json!([]))), 0),
            (Box::new(available("True", -60)), 0),
            (Box::new(available("True", -60)), 0),
            (Box::new(available("False", -30)), 1),
            (Box::new(available("False", -10)), 3),
            (Box::new(available("True", -5)), 4),
            (Box::new(Snapshot { api_services: Collection::unseen(NotSeen::NotSynced), ..healthy() }), 4),
            (Box::new(available("False", -3)), 5),
        ];
        for (snapshot, transitions) in looks {
            history.advance(&Facts::new(&snapshot));
            assert_eq!(history.transitions(name), Some(transitions));
        }
        history.advance(&Facts::new(&Snapshot { api_services: Collection::complete([]), ..healthy() }));
        assert_eq!(history.transitions(name), None);
    }
}
