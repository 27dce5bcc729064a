//! Everything that decides on what one autoscaler sees, side by side: its target, the selector, the pods with their requests
//! and samples.

use super::{
    Autoscaler,
    pods::{self, Pods},
};
use crate::{
    facts::Facts,
    snapshot::{
        HorizontalPodAutoscaler, Named, NotSeen, Observed, Pod,
        horizontal_pod_autoscaler::MetricSpec,
        retrieval::{Outcome, Sample},
    },
};

/// One autoscaler with all that it depends on.
#[derive(Debug)]
pub struct Closeup<'s> {
    /// The object.
    pub object: &'s HorizontalPodAutoscaler,
    /// Replicas of its target as they were asked for, where it was seen.
    pub target: Observed<Option<i64>>,
    /// The selector of its target, as kubectl writes it.
    pub selector: Option<String>,
    /// Its metrics: the resource or the metric's name, the container, and whether it has a value now.
    pub metrics: Vec<Metric<'s>>,
    /// The pods under the selector; `None` where they were not asked for.
    pub pods: Option<Vec<PodCloseup<'s>>>,
}

/// One entry of `spec.metrics`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric<'s> {
    /// Type of the metric.
    pub kind: &'s str,
    /// The resource or the name of the metric.
    pub name: &'s str,
    /// The container that alone is measured.
    pub container: Option<&'s str>,
    /// Whether it is measured against requests.
    pub needs_request: bool,
    /// Whether it has a value now.
    pub has_value: bool,
}

/// A pod under the selector.
#[derive(Debug)]
pub struct PodCloseup<'s> {
    /// The pod.
    pub pod: &'s Pod,
    /// Its long-running containers.
    pub containers: Vec<ContainerCloseup<'s>>,
    /// Its sample; not seen where samples of its namespace were not asked for.
    pub sample: Observed<&'s Sample>,
}

/// A container of such a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerCloseup<'s> {
    /// Its name.
    pub name: &'s str,
    /// The request for each resource that a metric measures against requests; `None` where it has none.
    pub requests: Vec<(&'s str, Option<&'s str>)>,
}

impl<'s> Closeup<'s> {
    /// Looks at an autoscaler of these facts.
    pub fn of(facts: &Facts<'s>, autoscaler: &Autoscaler<'s>) -> Self {
        let object = autoscaler.object;
        let snapshot = facts.snapshot;
        let index = Pods::of(snapshot);
        let reference = &object.spec.scale_target_ref;
        let target = snapshot
            .workloads
            .get_of_kind(Some(&reference.kind), object.namespace(), &reference.name)
            .map(|workload| Some(i64::from(workload.wanted())));
        let selector = pods::selector(snapshot, object);
        let metrics: Vec<Metric<'s>> = object
            .spec
            .metrics
            .iter()
            .enumerate()
            .map(|(place, metric)| metric_of(metric, !object.is_unknown(place)))
            .collect();
        let needed: Vec<(&str, Option<&str>)> =
            object.spec.metrics.iter().filter_map(MetricSpec::needs_request).collect();
        let pods = selector.as_ref().map(|selector| {
            let under = index.under(object.namespace(), selector);
            under
                .map(|pod| PodCloseup { pod, containers: containers(pod, &needed), sample: sample(facts, pod) })
                .collect()
        });
        Self { object, target, selector: selector.as_ref().map(pods::shown), metrics, pods }
    }
}

fn metric_of(metric: &MetricSpec, has_value: bool) -> Metric<'_> {
    let needs = metric.needs_request();
    let source = metric.source();
    let name = source
        .map_or("", |source| if source.name.is_empty() { source.metric.name.as_str() } else { source.name.as_str() });
    let container = source.map(|source| source.container.as_str()).filter(|container| !container.is_empty());
    Metric { kind: &metric.kind, name, container, needs_request: needs.is_some(), has_value }
}

fn containers<'s>(pod: &'s Pod, needed: &[(&'s str, Option<&'s str>)]) -> Vec<ContainerCloseup<'s>> {
    let one = |container: &'s crate::snapshot::pod::Container| {
        let wanted = needed.iter().filter(|(_, only)| only.is_none_or(|only| only == container.name));
        let requests = wanted
            .map(|(resource, _)| (*resource, container.resources.requests.get(*resource).map(|it| it.0.as_str())));
        ContainerCloseup { name: &container.name, requests: requests.collect() }
    };
    pod.spec.long_running_containers().map(one).collect()
}

fn sample<'s>(facts: &Facts<'s>, pod: &Pod) -> Observed<&'s Sample> {
    let samples = match facts.snapshot.top_pods.as_ref().map(|retrieval| &retrieval.outcome) {
        Observed::Present(Outcome::Samples(samples)) => samples,
        Observed::Present(Outcome::Failed { text, .. }) => {
            return Observed::NotSeen(NotSeen::Unreachable(text.clone()));
        }
        Observed::Absent => return Observed::NotSeen(NotSeen::NotLooked),
        Observed::NotSeen(reason) => return Observed::NotSeen(reason),
    };
    let mut of_namespace = samples.iter().filter(|sample| sample.namespace == pod.namespace()).peekable();
    if of_namespace.peek().is_none() {
        return Observed::NotSeen(NotSeen::NotLooked);
    }
    match of_namespace.find(|sample| sample.name == pod.name() && !sample.unknown) {
        Some(sample) => Observed::Present(sample),
        None => Observed::Absent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::healthy;

    #[test]
    fn the_whole_way_of_one_autoscaler_is_seen() {
        let snapshot = healthy();
        let facts = Facts::new(&snapshot);
        let autoscaler = facts.autoscalers().all.first().expect("an autoscaler");
        let closeup = Closeup::of(&facts, autoscaler);
        assert_eq!(closeup.target, Observed::Present(Some(1)));
        assert_eq!(closeup.selector.as_deref(), Some("app=web"));
        let metric = Metric { kind: "Resource", name: "cpu", container: None, needs_request: true, has_value: true };
        assert_eq!(closeup.metrics, [metric]);
        let pods = closeup.pods.expect("pods");
        assert_eq!(pods.len(), 1);
        assert_eq!(pods[0].containers, [ContainerCloseup { name: "web", requests: vec![("cpu", Some("100m"))] }]);
        assert!(matches!(pods[0].sample, Observed::NotSeen(NotSeen::NotLooked)), "its namespace was not asked for");
    }
}
