//! What is installed: whether the group is registered, who serves it, and how the versions fit.

use super::{
    Facts,
    metrics_server::{self, Owner},
};
use crate::{
    snapshot::{
        ConditionStatus, KubernetesVersion, Named, NotSeen, Observed, Pod, Workload,
        retrieval::{ErrorClass, Outcome, Retrieval},
        version::Version,
    },
    wording::{api_error::Detail, autoscaler::Word, quoted},
};

/// Whether `metrics.k8s.io` is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registration {
    /// An `APIService` was seen, or somebody got samples.
    Present(String),
    /// There is none: this shows it.
    Absent(String),
    /// It could not be told.
    NotSeen(NotSeen),
}

/// From this version on discovery leaves out groups whose `APIService` is registered and does not answer, for kubectl 1.26 and
/// newer (kubernetes/kube-aggregator `pkg/apiserver/handler_discovery.go`, on by default in kubernetes/kubernetes 1.27).
pub const AGGREGATED_DISCOVERY: KubernetesVersion = KubernetesVersion { major: 1, minor: 27 };

/// Whether `metrics.k8s.io` is registered, as its objects or the words of clients show it.
///
/// Discovery lists a group for every `APIService`, whether it answers or not (kubernetes/kube-aggregator
/// `pkg/apiserver/handler_apis.go`, 1.11 and newer), so a client that does not find the group proves that there is none;
/// since aggregated discovery it does not.
pub fn registration(facts: &Facts<'_>) -> Registration {
    let chain = &facts.chain;
    let gap = match &chain.api_service {
        Observed::Present(api_service) => {
            return Registration::Present(format!("APIService {} exists", api_service.name()));
        }
        Observed::Absent => return Registration::Absent("no APIService has spec.group metrics.k8s.io".to_owned()),
        Observed::NotSeen(gap) => gap,
    };
    if calls(facts).any(has_samples) {
        return Registration::Present("a call of the metrics API got samples".to_owned());
    }
    if !matches!(gap, NotSeen::NotInBundle(_)) {
        return Registration::NotSeen(gap.clone());
    }
    // Nobody collects the registrations of kube-apiserver's own groups one by one.
    let own = facts.snapshot.api_services.iter().filter(|api_service| api_service.spec.service.is_none()).count();
    if own > 1 {
        return Registration::Absent(format!(
            "{own} APIServices of kube-apiserver itself were collected, and none has spec.group metrics.k8s.io"
        ));
    }
    let old = facts.snapshot.server_version.seen().is_some_and(|version| *version < AGGREGATED_DISCOVERY);
    let words = calls(facts).find_map(|retrieval| match &retrieval.outcome {
        Outcome::Failed { class, text } => match Detail::of(*class, text) {
            Detail::Heapster => Some(text),
            Detail::NotDiscovered if old => Some(text),
            _ => None,
        },
        Outcome::Samples(_) => None,
    });
    match words {
        Some(text) => Registration::Absent(format!("kubectl found no group metrics.k8s.io: {}", quoted(text.trim()))),
        None => Registration::NotSeen(gap.clone()),
    }
}

fn calls<'f>(facts: &'f Facts<'_>) -> impl Iterator<Item = &'f Retrieval> {
    [&facts.snapshot.top_nodes, &facts.snapshot.top_pods].into_iter().filter_map(|retrieval| retrieval.seen())
}

/// Whether a call got samples with values.
pub fn has_samples(retrieval: &Retrieval) -> bool {
    matches!(&retrieval.outcome, Outcome::Samples(samples) if samples.iter().any(|sample| !sample.unknown))
}

/// Whether an ordinary caller was seen to get samples.
pub fn a_caller_got_samples(facts: &Facts<'_>) -> bool {
    calls(facts).any(has_samples)
}

/// Whether the `APIService` outlived its server: its namespace was seen, or everything that may run it, nothing there or
/// anywhere else runs metrics-server, and no address is ready.
pub fn is_left_over(facts: &Facts<'_>) -> bool {
    let chain = &facts.chain;
    let Some(reference) = chain.service_reference() else { return false };
    let gone = chain.metrics_servers.objects.is_empty()
        && chain.workload.seen().is_none()
        && chain.pods().is_empty()
        && !chain.is_available();
    let workloads = facts.snapshot.workloads.in_namespace(&reference.namespace);
    gone && (workloads.gap.is_none() || chain.metrics_servers.gap.is_none())
}

/// Workloads of metrics-server that want pods and do not stand behind the API.
pub fn unused<'s>(facts: &Facts<'s>) -> Vec<&'s Workload> {
    let chain = &facts.chain;
    let used = chain.workload.seen().copied();
    let runs = |workload: &&&Workload| workload.wanted() > 0 && used.is_none_or(|used| !std::ptr::eq(used, **workload));
    chain.metrics_servers.objects.iter().filter(runs).copied().collect()
}

/// How many others run in `kube-system`, where nothing that was collected runs metrics-server: nobody sends them one by one for
/// the sake of the metrics API, so metrics-server would be among them.
pub fn others_collected(facts: &Facts<'_>) -> usize {
    let snapshot = facts.snapshot;
    let system = "kube-system";
    let workloads = snapshot.workloads.iter().filter(|workload| workload.namespace() == system);
    let pods = snapshot.pods.iter().filter(|pod| pod.namespace() == system);
    let workloads: Vec<&Workload> = workloads.collect();
    let pods: Vec<&Pod> = pods.collect();
    let own = workloads.iter().any(|workload| metrics_server::is_metrics_server(workload))
        || snapshot.pods.iter().any(|pod| metrics_server::container(&pod.spec).is_some());
    if own { 0 } else { workloads.len().max(pods.len()) }
}

/// Whether another server than metrics-server stands behind the API.
pub fn is_served_by_another(facts: &Facts<'_>) -> bool {
    facts.chain.owner().is_some_and(|owner| owner != Owner::MetricsServer)
}

/// What shows that whoever serves the API fails, with words to quote.
pub fn failure(facts: &Facts<'_>) -> Option<String> {
    if let Some(complaint) = facts.complaint() {
        return Some(complaint.line());
    }
    let call = calls(facts).find_map(|retrieval| match &retrieval.outcome {
        Outcome::Failed { class, text }
            if !matches!(
                class,
                ErrorClass::Forbidden | ErrorClass::Unauthorized | ErrorClass::ApiserverUnreachable
            ) =>
        {
            Some(format!("call of the metrics API: {}", quoted(text.trim())))
        }
        _ => None,
    });
    call.or_else(|| {
        let conditions = facts.snapshot.autoscalers.iter().flat_map(|autoscaler| &autoscaler.status.conditions);
        conditions
            .filter(|condition| condition.status == ConditionStatus::False)
            .find(|condition| matches!(Word::of(&condition.reason, &condition.message), Word::NoMetricsReturned))
            .map(|condition| format!("condition {}: {}", condition.kind, condition.message))
    })
}

/// The one of the two calls of `kubectl top` that gets nothing while the other gets samples: (answered, empty, its words).
pub fn half_answered(facts: &Facts<'_>) -> Option<(&'static str, &'static str, String)> {
    let nodes = facts.snapshot.top_nodes.seen()?;
    let pods = facts.snapshot.top_pods.seen()?;
    let nothing = |retrieval: &Retrieval| match &retrieval.outcome {
        Outcome::Failed { class: ErrorClass::Empty | ErrorClass::NotFound | ErrorClass::InternalError, text } => {
            Some(quoted(text.trim()).into_owned())
        }
        Outcome::Samples(samples) if samples.iter().all(|sample| sample.unknown) => Some("no sample".to_owned()),
        _ => None,
    };
    if let (true, Some(words)) = (has_samples(nodes), nothing(pods)) {
        return Some(("nodes", "pods", words));
    }
    let words = has_samples(pods).then(|| nothing(nodes)).flatten()?;
    Some(("pods", "nodes", words))
}

/// What shows that whoever serves the API has no sample at all, though its pods have run for long.
pub fn has_nothing(facts: &Facts<'_>) -> Option<String> {
    let nothing = |retrieval: &Retrieval| match &retrieval.outcome {
        Outcome::Failed { class: ErrorClass::Empty, text } => Some(quoted(text.trim()).into_owned()),
        Outcome::Samples(samples) if samples.iter().all(|sample| sample.unknown) => Some("no sample".to_owned()),
        _ => None,
    };
    let nodes = nothing(facts.snapshot.top_nodes.seen()?)?;
    let pods = facts.snapshot.top_pods.seen().map(nothing);
    (facts.runs_long_enough() && pods.is_none_or(|pods| pods.is_some())).then_some(nodes)
}

/// How a version of metrics-server and one of Kubernetes fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// They are made for each other, as far as is known.
    Fits,
    /// The compatibility matrix does not name the pair.
    Untested,
    /// It cannot work.
    Broken,
}

/// Whether the pair works: metrics-server 0.3 asks for `SubjectAccessReviews` of version v1beta1, which Kubernetes 1.22
/// removed, and answers 500 to everybody outside system:masters from then on (kubernetes-sigs/metrics-server #982).
pub fn fit(version: Version, kubernetes: KubernetesVersion) -> Fit {
    if version < Version::new(0, 4, 0) && kubernetes >= (KubernetesVersion { major: 1, minor: 22 }) {
        return Fit::Broken;
    }
    // Before the aggregation layer there was nothing to register: such a version is a misread one.
    let aggregates = kubernetes >= KubernetesVersion { major: 1, minor: 7 };
    if aggregates && metrics_server::supports(version, kubernetes) == Some(false) { Fit::Untested } else { Fit::Fits }
}

/// A defect of some versions of metrics-server.
#[derive(Debug)]
pub struct Defect {
    /// The first version that has it.
    pub from: Version,
    /// The first version without it.
    pub until: Version,
    /// What it does, and how it shows.
    pub what: &'static str,
}

/// Defects that were fixed in a later release (kubernetes-sigs/metrics-server release notes and issues).
pub const DEFECTS: [Defect; 2] = [
    Defect {
        from: Version::new(0, 6, 0),
        until: Version::new(0, 6, 1),
        what: "it exits at klog's flags, --logtostderr among them, which 0.6.1 supports again (#933)",
    },
    Defect {
        from: Version::new(0, 7, 0),
        until: Version::new(0, 7, 1),
        what: "`kubectl get podmetrics` and `kubectl get nodemetrics` fail, kubectl top does not",
    },
];

/// The known defect of a version.
pub fn defect(version: Version) -> Option<&'static Defect> {
    DEFECTS.iter().find(|defect| (defect.from..defect.until).contains(&version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_that_cannot_work_are_told_apart_from_untested_ones() {
        let fit = |version: &str, minor| {
            fit(Version::parse(version).expect("a version"), KubernetesVersion { major: 1, minor })
        };
        assert_eq!(fit("0.3.6", 21), Fit::Fits);
        assert_eq!(fit("0.3.7", 22), Fit::Broken);
        assert_eq!(fit("0.7.2", 26), Fit::Untested);
        assert_eq!(fit("0.7.2", 27), Fit::Fits);
        assert_eq!(fit("0.9.0", 3), Fit::Fits, "half of 1.37");
    }

    #[test]
    fn defects_end_with_the_release_that_mends_them() {
        let has = |version: &str| defect(Version::parse(version).expect("a version")).is_some();
        assert!(has("0.6.0") && has("0.7.0"));
        assert!(!has("0.5.9") && !has("0.6.1") && !has("0.7.1") && !has("0.9.0"));
    }
}
