//! Where parts of a bundle speak of different moments: what is told of one of them cannot be held against the other.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{notices::Notices, texts::Top};
use crate::{
    snapshot::{
        Collection, ConditionStatus, ContainerLog, Named, Node, Observed, Pod, Retrieval, Snapshot,
        log::Line,
        metadata::condition,
        retrieval::{Outcome, Sample},
    },
    wording::written::Written,
};

/// A kubelet writes its node's status at least this often (kubernetes/kubernetes `pkg/kubelet/apis/config/v1beta1/defaults.go`
/// `nodeStatusReportFrequency`, 5 minutes), so that a bundle of one moment holds no older one of a node that is Ready; and
/// collecting takes its time.
const NODES_TELL: SignedDuration = SignedDuration::from_mins(20);
/// The clock of a container may run in another zone, and its lines do not tell.
const OTHER_ZONE: SignedDuration = SignedDuration::from_hours(14);
/// How much clocks may differ where a line tells its zone.
const OTHER_CLOCK: SignedDuration = SignedDuration::from_mins(1);
/// Objects that are named in a notice; more say nothing new.
const NAMED: usize = 3;

/// A log as what it is: one that ends before its container was started tells of the container before.
pub(super) fn dated(log: ContainerLog, pods: &Collection<Pod>, notices: &mut Notices) -> ContainerLog {
    let started = pods.get(log.namespace(), log.name()).seen().and_then(|pod| {
        let status = pod.status.container_statuses.iter().find(|status| status.name == log.container)?;
        status.state.running.as_ref()?.started_at
    });
    let Some(started) = started.filter(|_| !log.previous) else { return log };
    let Some(last) = log.lines().filter_map(|line| moment(line, started)).next_back() else { return log };
    if last >= started {
        return log;
    }
    let (namespace, pod, container) = (log.namespace(), log.name(), &log.container);
    notices.push(format!(
        "the log of container {container} of Pod {namespace}/{pod} ends at {last}, before the container was started at \
         {started}: it counts as the log of the container before"
    ));
    ContainerLog { previous: true, ..log }
}

/// The latest moment at which a line may have been written.
fn moment(line: &Line, around: Timestamp) -> Option<Timestamp> {
    let slack = match line.read.written? {
        Written::At(_) => OTHER_CLOCK,
        Written::Yearless(_) => OTHER_ZONE,
    };
    // Half a year ahead, for a line of klog has no year.
    let latest = around.saturating_add(SignedDuration::from_hours(24 * 180)).unwrap_or(Timestamp::MAX);
    Some(line.read.at(latest)?.saturating_add(slack).unwrap_or(Timestamp::MAX))
}

/// Two answers of the metrics API to the same question: kubectl top's counts, for it is what callers get.
pub(super) fn answers(which: Top, told: &Retrieval, other: &Retrieval, notices: &mut Notices) {
    let (file, kind) = match which {
        Top::Nodes => ("top-nodes.txt", "NodeMetrics"),
        Top::Pods => ("top-pods.txt", "PodMetrics"),
    };
    let differ = match (&told.outcome, &other.outcome) {
        (Outcome::Failed { .. }, Outcome::Samples(samples)) if !samples.is_empty() => {
            format!("holds an error, and the {kind} of the bundle hold {} samples", samples.len())
        }
        (Outcome::Samples(samples), Outcome::Failed { .. }) if !samples.is_empty() => {
            format!("holds samples, and the bundle's list of {kind} is empty")
        }
        (Outcome::Samples(told), Outcome::Samples(other)) => match missing(told, other) {
            Some(names) => format!("and the {kind} of the bundle differ in {names}"),
            None => return,
        },
        _ => return,
    };
    notices.push(format!("{file} {differ}: they are of different moments, and {file} counts"));
}

/// The names that only one of two answers has.
fn missing(told: &[Sample], other: &[Sample]) -> Option<String> {
    let names = |samples: &[Sample]| -> BTreeSet<String> {
        samples.iter().filter(|sample| !sample.unknown).map(|sample| sample.name.clone()).collect()
    };
    let (told, other) = (names(told), names(other));
    listed(told.symmetric_difference(&other).cloned())
}

fn listed(names: impl Iterator<Item = String>) -> Option<String> {
    let names: Vec<String> = names.collect();
    let more = if names.len() > NAMED { format!(" and {} more", names.len() - NAMED) } else { String::new() };
    (!names.is_empty()).then(|| format!("{}{more}", names[..names.len().min(NAMED)].join(", ")))
}

/// Objects that name others which a complete list of those does not hold, and moments that do not fit together.
pub(super) fn objects(snapshot: &Snapshot, notices: &mut Notices) {
    endpoints_without_pods(snapshot, notices);
    pods_without_nodes(snapshot, notices);
    condition_after_pods(snapshot, notices);
    if let Some(newest) = heartbeat(&snapshot.nodes)
        && snapshot.observed_at.duration_since(newest) > NODES_TELL
    {
        notices.push(format!(
            "the bundle is told to be of {}, and the nodes were last heard of at {newest}: ages may be wrong",
            snapshot.observed_at
        ));
    }
}

/// When a node that is Ready last wrote its status.
fn heartbeat(nodes: &Collection<Node>) -> Option<Timestamp> {
    nodes.iter().filter_map(Node::last_heartbeat).max()
}

fn endpoints_without_pods(snapshot: &Snapshot, notices: &mut Notices) {
    let gone = snapshot.endpoint_slices.iter().flat_map(|slice| {
        let targets = slice.endpoints.iter().filter_map(|endpoint| endpoint.target_ref.as_ref());
        let pods = targets.filter(|target| target.kind == "Pod");
        pods.map(move |target| (slice.namespace(), target.name.as_str()))
    });
    let gone: BTreeSet<String> = gone
        .filter(|(namespace, name)| snapshot.pods.get(namespace, name).is_absent())
        .map(|(namespace, name)| format!("{namespace}/{name}"))
        .collect();
    if let Some(names) = listed(gone.into_iter()) {
        notices.push(format!(
            "endpoints lead to pods that are not in the list of pods ({names}): the two lists are of different moments"
        ));
    }
}

fn pods_without_nodes(snapshot: &Snapshot, notices: &mut Notices) {
    let named: BTreeSet<&str> = snapshot.pods.iter().map(|pod| pod.spec.node_name.as_str()).collect();
    let gone = named.into_iter().filter(|name| !name.is_empty() && snapshot.nodes.get("", name).is_absent());
    if let Some(names) = listed(gone.map(str::to_owned)) {
        notices.push(format!(
            "pods run on nodes that are not in the list of nodes ({names}): the two lists are of different moments"
        ));
    }
}

/// An `APIService` that became available after all pods behind it were last seen not to be Ready.
fn condition_after_pods(snapshot: &Snapshot, notices: &mut Notices) {
    for api_service in snapshot.api_services.iter().filter(|api_service| api_service.serves_metrics()) {
        let Some(reference) = &api_service.spec.service else { continue };
        let Observed::Present(service) = snapshot.services.get(&reference.namespace, &reference.name) else { continue };
        let available = api_service.available().filter(|found| found.status == ConditionStatus::True);
        let Some(since) = available.and_then(|found| found.last_transition_time) else { continue };
        let pods = snapshot.pods.selected(&reference.namespace, &service.spec.selector).objects;
        let not_ready = |pod: &&Pod| {
            let ready = condition(&pod.status.conditions, "Ready")?;
            (ready.status == ConditionStatus::False).then_some(ready.last_transition_time?)
        };
        let moments: Option<Vec<Timestamp>> = pods.iter().map(not_ready).collect();
        let Some(last) = moments.and_then(|moments| moments.into_iter().max()).filter(|last| *last < since) else {
            continue;
        };
        notices.push(format!(
            "APIService {} became available at {since}, and no pod behind it has been Ready since {last}: they are of \
             different moments",
            api_service.name()
        ));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        observe::bundle::of_objects,
        snapshot::retrieval::ErrorClass,
        testing::{NOW, object},
    };

    fn told(objects: Vec<Value>) -> Vec<String> {
        let mut notices = Notices::default();
        super::objects(&of_objects(objects, NOW.parse().expect("a moment")), &mut notices);
        notices.finish()
    }

    fn list(kind: &str, items: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": format!("{kind}List"), "items": items})
    }

    fn pod(name: &str, node: &str, ready: &str, since: &str) -> Value {
        json!({"metadata": {"namespace": "kube-system", "name": name, "labels": {"a": "b"}}, "spec": {"nodeName": node},
            "status": {"conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": since}]}})
    }

    #[test]
    fn lists_of_different_moments_name_what_the_other_lacks() {
        let pods = list("Pod", &json!([pod("a", "n1", "True", NOW), pod("b", "n9", "True", NOW)]));
        let node = |name: &str| json!({"metadata": {"name": name}});
        let nodes = list("Node", &json!([node("n1"), node("n2")]));
        let slice = |pod: &str| {
            json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"namespace": "kube-system", "name": "s"},
                "endpoints": [{"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": pod, "namespace": "kube-system"}}]})
        };
        let notices = told(vec![pods.clone(), nodes, slice("gone")]);
        assert_eq!(notices.len(), 2, "{notices:?}");
        assert!(notices[0].contains("(kube-system/gone)") && notices[1].contains("(n9)"), "{notices:?}");
        assert_eq!(told(vec![pods, slice("a")]), Vec::<String>::new());
    }

    #[test]
    fn a_condition_that_is_newer_than_the_pods_is_told() {
        let of = |since: &str, ready: &str| {
            let condition = json!({"type": "Available", "status": "True", "lastTransitionTime": since});
            told(vec![
                json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1beta1.metrics.k8s.io"},
                    "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "service": {"namespace": "kube-system", "name": "m"}},
                    "status": {"conditions": [condition]}}),
                json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "kube-system", "name": "m"}, "spec": {"selector": {"a": "b"}}}),
                list(
                    "Pod",
                    &json!([
                        pod("a", "", ready, "2025-12-31T10:00:00Z"),
                        pod("b", "", "False", "2025-12-31T09:00:00Z")
                    ]),
                ),
            ])
        };
        assert_eq!(of("2025-12-31T11:00:00Z", "False").len(), 1);
        assert_eq!(of("2025-12-31T11:00:00Z", "True"), Vec::<String>::new());
        assert_eq!(of("2025-12-31T08:00:00Z", "False"), Vec::<String>::new(), "it was available before, and lags");
    }

    #[test]
    fn nodes_that_have_long_not_been_heard_of_make_ages_doubtful() {
        let node = |heartbeat: &str| {
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"},
                "status": {"conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": heartbeat}]}})
        };
        assert_eq!(told(vec![node("2025-12-01T00:00:00Z")]).len(), 1);
        assert_eq!(told(vec![node(NOW)]), Vec::<String>::new());
    }

    #[test]
    fn a_log_that_ends_before_its_container_was_started_is_that_of_the_container_before() {
        let started: Pod = object(json!({"metadata": {"namespace": "n", "name": "p"},
            "status": {"containerStatuses": [{"name": "c", "state": {"running": {"startedAt": "2026-01-01T11:00:00Z"}}}]}}));
        let pods = Collection::complete([started]);
        for (line, previous) in [
            ("2026-01-01T10:00:00Z panic: x", true),
            ("2026-01-01T10:59:30Z panic: x", false),
            ("2026-01-01T11:00:01Z Serving", false),
            ("I0101 10:00:00.000000 1 a.go:1] the clock may be of another zone", false),
            ("I1230 10:00:00.000000 1 a.go:1] x", true),
            ("no moment", false),
        ] {
            let mut log = ContainerLog::new("n", "p", "c");
            log.push(line);
            let mut notices = Notices::default();
            assert_eq!(dated(log, &pods, &mut notices).previous, previous, "{line}");
            assert_eq!(notices.finish().len(), usize::from(previous), "{line}");
        }
    }

    #[test]
    fn two_answers_that_disagree_are_both_told() {
        let samples = |names: &[&str]| {
            let samples = names.iter().map(|name| Sample { name: (*name).to_owned(), ..Sample::default() });
            Retrieval { outcome: Outcome::Samples(samples.collect()), latency: None }
        };
        let failed = Retrieval {
            outcome: Outcome::Failed { class: ErrorClass::ServiceUnavailable, text: "503".to_owned() },
            latency: None,
        };
        let told = |one: &Retrieval, other: &Retrieval| {
            let mut notices = Notices::default();
            answers(Top::Nodes, one, other, &mut notices);
            notices.finish().pop()
        };
        assert!(told(&failed, &samples(&["a"])).is_some_and(|text| text.contains("holds an error")));
        assert!(told(&samples(&["a"]), &samples(&["a", "b"])).is_some_and(|text| text.contains("differ in b")));
        assert_eq!(told(&samples(&["a"]), &samples(&["a"])), None);
        assert_eq!(told(&failed, &samples(&[])), None);
    }
}
