//! Looks at one autoscaler: its conditions in the controller's order, and the pods and samples where they must be asked.

use std::cell::OnceCell;

use jiff::{SignedDuration, Timestamp};

use super::{
    Autoscaler, Blind, Lost, Sight,
    pods::{self, LOOKED_AT, Pods, Selected},
    requests,
    target::{self, Targets},
};
use crate::{
    facts::{Facts, windows},
    snapshot::{
        Condition, ConditionStatus, HorizontalPodAutoscaler, Named, Pod, horizontal_pod_autoscaler::MetricSpec,
        metadata::condition, workload::LabelSelector,
    },
    wording::autoscaler::{OtherApi, Word},
};

/// What every look needs.
pub(super) struct Looks<'f, 's> {
    pub(super) facts: &'f Facts<'s>,
    pub(super) pods: &'f Pods<'s>,
    pub(super) targets: &'f Targets<'s>,
    /// The pods of the autoscaler that is looked at, once somebody has asked for them.
    selected: OnceCell<Option<Selected<'s>>>,
}

impl<'f, 's> Looks<'f, 's> {
    pub(super) fn new(facts: &'f Facts<'s>, pods: &'f Pods<'s>, targets: &'f Targets<'s>) -> Self {
        Self { facts, pods, targets, selected: OnceCell::new() }
    }

    pub(super) fn at(&mut self, autoscaler: &'s HorizontalPodAutoscaler) -> Autoscaler<'s> {
        self.selected = OnceCell::new();
        let unknown_targets = autoscaler.unknown_targets();
        let conditions = &autoscaler.status.conditions;
        let failing =
            |kind: &str| condition(conditions, kind).filter(|condition| condition.status == ConditionStatus::False);
        // While the scale cannot be read ScalingActive keeps its old value, so AbleToScale comes first.
        let able = failing("AbleToScale").filter(|able| able.reason == "FailedGetScale");
        let told = able.or_else(|| failing("ScalingActive"));
        let sight = match told {
            Some(told) => self.told(autoscaler, told),
            None if unknown_targets == 0 => Sight::Sees,
            None => self.untold(autoscaler),
        };
        let selected = self.selected.take().flatten();
        let sample = selected.and_then(|selected| selected.sample).filter(|_| matches!(sight, Sight::Blind(_)));
        Autoscaler { object: autoscaler, unknown_targets, sight, condition: told, sample }
    }

    /// The pods under its selector.
    fn selected(&self, autoscaler: &HorizontalPodAutoscaler) -> Option<&Selected<'s>> {
        let look = || self.pods.selected(self.facts.snapshot, autoscaler, LOOKED_AT);
        self.selected.get_or_init(look).as_ref()
    }

    /// Until when a change is too young to tell; `None` once it is over, and where its moment is not known.
    fn early(&self, moment: Option<Timestamp>, window: SignedDuration) -> Option<Timestamp> {
        let moment = moment.filter(|moment| self.facts.age(*moment) < window)?;
        windows::after(moment, window)
    }

    /// No condition tells, and a target is unknown.
    fn untold(&self, autoscaler: &'s HorizontalPodAutoscaler) -> Sight<'s> {
        let status = &autoscaler.status;
        if status.conditions.is_empty() {
            let Some(born) = autoscaler.metadata.creation_timestamp else { return Sight::Untold };
            return match self.early(Some(born), windows::AUTOSCALER_START) {
                Some(until) => {
                    Sight::Starting { until, why: "the controller has not looked at it yet", for_the_api: false }
                }
                None => Sight::Blind(Blind::NeverLookedAt),
            };
        }
        if status.current_replicas == Some(0) && status.desired_replicas == 0 {
            return Sight::ScaledToZero;
        }
        // Outside of its limits of replicas the controller computes no metric and leaves the list empty for a round.
        if status.current_metrics.is_empty() {
            return Sight::OutsideLimits;
        }
        self.some_metrics(autoscaler)
    }

    /// `ScalingActive` is True and some target still unknown: one metric of several fails.
    fn some_metrics(&self, autoscaler: &'s HorizontalPodAutoscaler) -> Sight<'s> {
        let unknown = || {
            let metrics = autoscaler.spec.metrics.iter().enumerate();
            metrics.filter(|(index, _)| autoscaler.is_unknown(*index)).map(|(_, metric)| metric)
        };
        if !unknown().any(MetricSpec::is_resource) {
            let names = unknown().filter_map(|metric| metric.source()).map(|source| source.metric.name.clone());
            let external = unknown().all(|metric| metric.kind == "External");
            let api = if external { OtherApi::External } else { OtherApi::Custom };
            return Sight::Blind(Blind::CustomMetric { api, metrics: names.collect() });
        }
        self.missing_request(autoscaler, None).map_or(Sight::Blind(Blind::SomeMetrics), Sight::Blind)
    }

    /// A condition is False: its reason and message tell.
    fn told(&self, autoscaler: &'s HorizontalPodAutoscaler, told: &'s Condition) -> Sight<'s> {
        let changed = told.last_transition_time.or(autoscaler.metadata.creation_timestamp);
        let rounds = |why, for_the_api| {
            self.early(changed, windows::AUTOSCALER_ROUNDS).map(|until| Sight::Starting { until, why, for_the_api })
        };
        let blind = match Word::of(&told.reason, &told.message) {
            Word::ScalingDisabled => return Sight::ScaledToZero,
            Word::NoMatchesForKind { .. } => Blind::Lost(target::not_served(self.targets, autoscaler)),
            Word::ScaleNotFound { .. } => return self.lost(autoscaler, true, &rounds),
            Word::CouldNotFindRequestedResource => return self.lost(autoscaler, false, &rounds),
            Word::ScaleForbidden(_) => {
                return rounds("the controller was refused once", false).unwrap_or(Sight::Blind(Blind::ScaleForbidden));
            }
            Word::ScaleFailed => {
                return rounds("the controller has failed once to read the scale of its target", false)
                    .unwrap_or(Sight::Blind(Blind::ScaleFailed));
            }
            Word::MissingRequest { resource, container, pod } => self
                .missing_request(autoscaler, Some((resource.clone(), container.clone(), pod.clone())))
                .unwrap_or(Blind::MissingRequest { missing: Vec::new(), named: Some((resource, container, pod)) }),
            Word::SelectorMissing => Blind::SelectorMissing,
            Word::SelectorInvalid => Blind::SelectorInvalid,
            Word::SelectorAmbiguous { selector, mut autoscalers } => {
                let own = format!("{}/{}", autoscaler.namespace(), autoscaler.name());
                if !autoscalers.contains(&own) {
                    autoscalers.push(own);
                }
                autoscalers.sort();
                Blind::SelectorShared { selector, autoscalers }
            }
            Word::CustomOrExternal { api, metric } => {
                Blind::CustomMetric { api, metrics: metric.into_iter().collect() }
            }
            Word::MetricsApiFailed(error) => {
                let blind = Blind::MetricsApi(error);
                // Who is refused does not wait for a start.
                let waits = blind.candidates().is_empty().then(|| self.api_comes_up()).flatten();
                return waits
                    .or_else(|| rounds("the controller got no answer of the metrics API once", true))
                    .unwrap_or(Sight::Blind(blind));
            }
            Word::ContainerAbsent { container, pod } => Blind::ContainerAbsent { container, pod },
            word @ (Word::NoMetricsReturned
            | Word::NoMatchingPods
            | Word::PodsUnready
            | Word::NothingMatched
            | Word::ContainerNotInMetrics { .. }) => return self.without_samples(autoscaler, changed, word),
            Word::InvalidSource => Blind::InvalidSource,
            Word::Working | Word::Other => Blind::Other,
        };
        Sight::Blind(blind)
    }

    /// The scale is not found.
    fn lost(
        &self,
        autoscaler: &'s HorizontalPodAutoscaler,
        names_object: bool,
        rounds: &dyn Fn(&'static str, bool) -> Option<Sight<'s>>,
    ) -> Sight<'s> {
        let lost = target::not_found(self.targets, autoscaler, names_object);
        // A target that was made a moment after its autoscaler.
        let made = matches!(lost, Lost::Unclear([])).then(|| rounds("its target has just been made", false)).flatten();
        made.unwrap_or(Sight::Blind(Blind::Lost(lost)))
    }

    /// While metrics-server or its registration comes up, nobody is answered.
    fn api_comes_up(&self) -> Option<Sight<'s>> {
        let until = self.facts.just_available_until().or_else(|| self.facts.starting_until())?;
        Some(Sight::Starting { until, why: "the metrics API has just come up", for_the_api: true })
    }

    /// The API answered, and there were no samples that count.
    fn without_samples(
        &self,
        autoscaler: &'s HorizontalPodAutoscaler,
        changed: Option<Timestamp>,
        word: Word,
    ) -> Sight<'s> {
        // From 1.27 on a missing request is masked while no pod of the target is Ready. Where nothing at all came back the
        // controller has not yet asked for requests.
        let masks = !matches!(word, Word::NoMetricsReturned | Word::ContainerNotInMetrics { .. });
        if masks && let Some(missing) = self.missing_request(autoscaler, None) {
            return Sight::Blind(missing);
        }
        // What is only starting will be as blind as before where a container has no request.
        let unless_missing = |starting| self.missing_request(autoscaler, None).map_or(starting, Sight::Blind);
        if word == Word::NoMetricsReturned
            && let Some(starting) = self.api_comes_up()
        {
            return unless_missing(starting);
        }
        let selected = self.selected(autoscaler);
        let selector = selected.map(|selected| &selected.selector);
        let seen = selected.map_or(&[][..], |selected| &selected.pods);
        let starting = self
            .early(changed, windows::AUTOSCALER_START)
            .or_else(|| self.woken_until(autoscaler, changed, seen))
            .map(|until| Sight::Starting { until, why: "its pods have just started", for_the_api: false });
        if let Some(starting) = starting {
            return unless_missing(starting);
        }
        Sight::Blind(match word {
            Word::ContainerNotInMetrics { container, namespace, pod } => self.container(container, &namespace, pod),
            Word::NothingMatched => match requests::zero(autoscaler, seen) {
                Some(resource) => Blind::ZeroRequest(resource),
                None => self.unready(autoscaler, seen),
            },
            Word::NoMetricsReturned => self.no_metrics(autoscaler, selector, seen),
            Word::NoMatchingPods if seen.is_empty() => Blind::SelectorOfNobody(selector.map(pods::shown)),
            _ => self.unready(autoscaler, seen),
        })
    }

    /// Until when a target that was scaled up from zero may be without samples: the condition was False all the while. What
    /// the controller wanted last was nothing, and it had looked before.
    fn woken_until(
        &self,
        autoscaler: &HorizontalPodAutoscaler,
        changed: Option<Timestamp>,
        pods: &[&Pod],
    ) -> Option<Timestamp> {
        let status = &autoscaler.status;
        let slept = status.desired_replicas == 0 && status.current_replicas.is_some_and(|replicas| replicas > 0);
        let looked_before = changed
            .zip(autoscaler.metadata.creation_timestamp)
            .is_some_and(|(changed, created)| changed.duration_since(created) > windows::AUTOSCALER_ROUNDS);
        let oldest = pods.iter().map(|pod| pod.metadata.creation_timestamp).min()??;
        (slept && looked_before).then(|| self.early(Some(oldest), windows::AUTOSCALER_START)).flatten()
    }

    /// Whether the selector of a custom target was seen to select no pod: what a built-in workload selects are its own pods.
    fn selects_nobody(&self, autoscaler: &HorizontalPodAutoscaler, selector: Option<&LabelSelector>) -> bool {
        let snapshot = self.facts.snapshot;
        let target = &autoscaler.spec.scale_target_ref;
        let workload = snapshot.workloads.get_of_kind(Some(&target.kind), autoscaler.namespace(), &target.name);
        let plain = selector.filter(|selector| selector.match_expressions.is_empty() && !selector.is_empty());
        workload.seen().is_none()
            && plain.is_some_and(|selector| {
                snapshot.pods.selected(autoscaler.namespace(), &selector.match_labels).is_certainly_empty()
            })
    }

    /// The API returned nothing for the selector.
    fn no_metrics(
        &self,
        autoscaler: &HorizontalPodAutoscaler,
        selector: Option<&LabelSelector>,
        seen: &[&'s Pod],
    ) -> Blind<'s> {
        let sampled = self.pods.sampled(autoscaler.namespace()).is_some();
        if seen.is_empty() && (sampled || self.selects_nobody(autoscaler, selector)) {
            return Blind::SelectorOfNobody(selector.map(pods::shown));
        }
        let running: Vec<&Pod> = seen.iter().copied().filter(|pod| !pod.is_finished()).collect();
        if !running.is_empty() && running.iter().all(|pod| !pod.is_ready()) {
            return Blind::PodsNotReady(running);
        }
        Blind::NoSamples(running)
    }

    /// No pod that counts has a sample.
    fn unready(&self, autoscaler: &HorizontalPodAutoscaler, seen: &[&'s Pod]) -> Blind<'s> {
        let not_ready: Vec<&Pod> =
            seen.iter().copied().filter(|pod| !pod.is_ready() && !pod.is_finished() && !pod.is_terminating()).collect();
        if !not_ready.is_empty() {
            return Blind::PodsNotReady(not_ready);
        }
        // Whether pods have samples is known only where samples of their namespace were asked for.
        let Some(sampled) = self.pods.sampled(autoscaler.namespace()) else { return Blind::PodsNotReady(Vec::new()) };
        let ready = seen.iter().copied().filter(|pod| pod.is_ready());
        let unsampled: Vec<&Pod> = ready.filter(|pod| !sampled.contains(pod.name())).collect();
        if unsampled.is_empty() { Blind::PodsNotReady(Vec::new()) } else { Blind::NoSamples(unsampled) }
    }

    /// A container has no sample in the pod that the controller names.
    fn container(&self, container: String, namespace: &str, pod: String) -> Blind<'s> {
        let Some(&seen) = self.facts.snapshot.pods.get(namespace, &pod).seen() else {
            return Blind::ContainerWithoutSample { container, pod };
        };
        if !seen.spec.long_running_containers().any(|own| own.name == container) {
            return Blind::ContainerAbsent { container, pod };
        }
        let runs = seen.container_status(&container).is_none_or(|status| status.state.running.is_some());
        if seen.is_ready() && runs { Blind::NoSamples(vec![seen]) } else { Blind::PodsNotReady(vec![seen]) }
    }

    /// A missing request that live pods show.
    fn missing_request(
        &self,
        autoscaler: &'s HorizontalPodAutoscaler,
        named: Option<(String, Option<String>, Option<String>)>,
    ) -> Option<Blind<'s>> {
        let selected = self.selected(autoscaler)?;
        let mut pods = selected.pods.clone();
        // The one that the controller names may be beyond those that are looked at.
        if let Some(pod) = named.as_ref().and_then(|(.., pod)| pod.as_ref())
            && let Some(&pod) = self.facts.snapshot.pods.get(autoscaler.namespace(), pod).seen()
            && selected.selector.matches(&pod.metadata.labels)
            && !pods.iter().any(|known| known.name() == pod.name())
        {
            pods.insert(0, pod);
        }
        let missing = requests::missing(self.facts.snapshot, autoscaler, &pods);
        (!missing.is_empty()).then_some(Blind::MissingRequest { missing, named })
    }
}
