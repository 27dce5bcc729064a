//! Every window of time that a judgement knows, each from what it follows: nothing else in the program holds one.
//!
//! All of them end by themselves. What is put off by one of them is told with the moment at which it ends.

use jiff::{SignedDuration, Timestamp};

/// Scrapes of metrics-server unless `--metric-resolution` says otherwise
/// (kubernetes-sigs/metrics-server `cmd/metrics-server/app/options/options.go`, every version).
pub const DEFAULT_RESOLUTION: SignedDuration = SignedDuration::from_secs(60);

/// How long metrics-server may need until it is Ready, and a new node or pod until it has a sample: the readiness probe's
/// delay and two scrapes of the default resolution.
pub const START: SignedDuration = SignedDuration::from_secs(150);

/// The longest start: an image that has to be pulled before it, and one start that failed. What has not worked for longer
/// is broken, however young its pods are.
pub const LONGEST_START: SignedDuration = SignedDuration::from_secs(2 * 150);

/// The aggregator looks at each `APIService` every 30 seconds at the latest, and writes some seconds later
/// (kubernetes/kube-aggregator `pkg/controllers/status/remote/remote_available_controller.go`).
pub const AGGREGATOR_RESYNC: SignedDuration = SignedDuration::from_secs(35);

/// Discovery follows an `APIService` within this time: the aggregator lists a group again every minute
/// (kubernetes/kube-aggregator `pkg/apiserver/handler_discovery.go`).
pub const DISCOVERY: SignedDuration = SignedDuration::from_secs(90);

/// The doctor calls the metrics API again within this time after a change of the condition.
pub const NEXT_CALL: SignedDuration = SignedDuration::from_secs(20);

/// A call may have met a pod of metrics-server that is new or on its way out.
pub const CHANGING_POD: SignedDuration = SignedDuration::from_secs(60);

/// The `EndpointSlice` controller publishes a Ready pod within seconds.
pub const PUBLISHED: SignedDuration = SignedDuration::from_secs(15);

/// A controller manager that was replaced leads again within its lease of 15 seconds, and then fills its caches.
pub const CONTROLLER_CHANGE: SignedDuration = SignedDuration::from_secs(60);

/// The kubelet forgets the restarts of a container that has run for twice the longest back-off of 5 minutes
/// (kubernetes/kubernetes `pkg/kubelet/kuberuntime/kuberuntime_manager.go`, `doBackOff`): until then it crash-loops.
pub const BACK_OFF_RESET: SignedDuration = SignedDuration::from_mins(10);

/// metrics-server reads and validates its flags before it does anything else, and ends within seconds where it refuses
/// them (kubernetes-sigs/metrics-server `cmd/metrics-server/app/start.go`, every version).
pub const READING_FLAGS: SignedDuration = SignedDuration::from_secs(10);

/// Each API server writes the condition every half minute at the latest, so what flaps does so again within this time.
pub const FLAPPING: SignedDuration = SignedDuration::from_secs(75);

/// An API server that has just started refuses everybody until its caches of roles and bindings are filled
/// (kubernetes/kubernetes `plugin/pkg/auth/authorizer/rbac/rbac.go` reads them from informers).
pub const API_SERVER_START: SignedDuration = SignedDuration::from_secs(60);

/// Restarts within this time tell of a server that is killed again and again.
pub const RESTARTS: SignedDuration = SignedDuration::from_hours(1);

/// What was logged longer ago than this, by a log that reaches to the look, is history.
pub const RECENT_LOG: SignedDuration = SignedDuration::from_mins(10);

/// The parts of a bundle are collected one after another, within this time.
pub const COLLECTING: SignedDuration = SignedDuration::from_mins(4);

/// How long after its last line of the same kind a scrape still counts as failing in a log that goes on: every scrape that
/// fails is told, so two and a half of them in silence, and a minute for clocks that differ, mean that it does no longer.
pub fn scrape_silence(resolution: f64) -> SignedDuration {
    SignedDuration::try_from_secs_f64(resolution * 2.5 + 60.0).unwrap_or(RECENT_LOG).min(RECENT_LOG)
}

/// Samples are fresh up to this age: two and a half scrapes, the kubelet's own interval of half a minute, and clocks that
/// differ by a minute.
pub fn fresh_sample(resolution: f64) -> SignedDuration {
    SignedDuration::try_from_secs_f64(resolution * 2.5 + 30.0).unwrap_or(RECENT_LOG).saturating_add(CLOCK_SKEW)
}

/// New pods of an autoscaler's target may be without samples for two scrapes and the controller's own round.
pub const AUTOSCALER_START: SignedDuration = SignedDuration::from_secs(180);

/// Two rounds of the autoscaler controller, 15 seconds each, and a moment: an API server that has just started refuses
/// everybody once.
pub const AUTOSCALER_ROUNDS: SignedDuration = SignedDuration::from_secs(40);

/// Clocks of nodes and of the reader may differ by this much.
pub const CLOCK_SKEW: SignedDuration = SignedDuration::from_secs(60);

/// The moment `window` after `moment`; `None` beyond the end of time.
pub fn after(moment: Timestamp, window: SignedDuration) -> Option<Timestamp> {
    moment.checked_add(window).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_time_is_no_defect() {
        assert_eq!(after(Timestamp::MAX, START), None);
    }
}
