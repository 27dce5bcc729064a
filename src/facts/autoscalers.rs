//! What each autoscaler sees of its targets, and where it sees nothing, why: one look at each, however many there are.

mod closeup;
mod pods;
mod requests;
mod sight;
mod target;

pub use self::{
    closeup::{Closeup, ContainerCloseup, Metric, PodCloseup},
    pods::{LOOKED_AT, shown as selector_text},
    requests::{Missing, Origin},
    target::{Lost, selector_path},
};

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    catalogue::{self, Cause, Stage},
    facts::Facts,
    snapshot::{Condition, HorizontalPodAutoscaler, NotSeen, Pod},
    wording::{
        api_error::{ApiError, Detail, ErrorClass, Identity},
        autoscaler::OtherApi,
    },
};

/// All autoscalers that were seen.
#[derive(Debug)]
pub struct Autoscalers<'s> {
    /// Each with what it sees.
    pub all: Vec<Autoscaler<'s>>,
    /// Why others may not have been seen.
    pub gap: Option<NotSeen>,
}

/// One autoscaler.
#[derive(Debug)]
pub struct Autoscaler<'s> {
    /// The object.
    pub object: &'s HorizontalPodAutoscaler,
    /// How many targets `kubectl get hpa` prints as `<unknown>`.
    pub unknown_targets: usize,
    /// What it sees.
    pub sight: Sight<'s>,
    /// The condition that tells so, where one does.
    pub condition: Option<&'s Condition>,
    /// Why only some of the pods under its selector were looked at, where that is so and pods tell why it is blind.
    pub sample: Option<String>,
}

/// What an autoscaler sees of its targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight<'s> {
    /// It knows them, or fails at something else.
    Sees,
    /// Its target is scaled to zero, which switches it off: no fault.
    ScaledToZero,
    /// Its target has more or fewer replicas than it allows, so that it sets that right before it computes: no fault.
    OutsideLimits,
    /// It is too early to tell.
    Starting {
        /// When to look again.
        until: Timestamp,
        /// What has just happened.
        why: &'static str,
        /// Whether what it waits for is an answer of the metrics API.
        for_the_api: bool,
    },
    /// Its status was not seen.
    Untold,
    /// It is blind.
    Blind(Blind<'s>),
}

/// Why an autoscaler is blind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blind<'s> {
    /// Containers under its selector have no request.
    MissingRequest {
        /// The containers that were seen; empty where only the controller's word tells.
        missing: Vec<Missing<'s>>,
        /// The resource, container and pod that the controller names.
        named: Option<(String, Option<String>, Option<String>)>,
    },
    /// All requests of the resource are zero, of which no share can be told.
    ZeroRequest(&'s str),
    /// Its target's scale cannot be read.
    Lost(Lost),
    /// The controller may not read the scale of its target.
    ScaleForbidden,
    /// The scale cannot be read for another reason.
    ScaleFailed,
    /// The target's scale has no selector.
    SelectorMissing,
    /// The target's selector cannot be parsed.
    SelectorInvalid,
    /// Others select the same pods.
    SelectorShared {
        /// The selector.
        selector: String,
        /// All of them, as `NAMESPACE/NAME`.
        autoscalers: Vec<String>,
    },
    /// Its selector matches no pod, though the namespace's pods have samples. The selector, where it was seen.
    SelectorOfNobody(Option<String>),
    /// A custom or external metric has no value.
    CustomMetric {
        /// The API that serves it.
        api: OtherApi,
        /// The names of the metrics.
        metrics: Vec<String>,
    },
    /// Pods under its selector are not Ready; those that were seen.
    PodsNotReady(Vec<&'s Pod>),
    /// The container that a metric names is not in the pod.
    ContainerAbsent {
        /// The container.
        container: String,
        /// The pod.
        pod: String,
    },
    /// The container that a metric names has no sample in a pod that was not seen.
    ContainerWithoutSample {
        /// The container.
        container: String,
        /// The pod.
        pod: String,
    },
    /// metrics-server has no samples of its pods; those that were seen and have none.
    NoSamples(Vec<&'s Pod>),
    /// The metrics API did not answer the controller.
    MetricsApi(ApiError),
    /// The controller has never looked at it.
    NeverLookedAt,
    /// Only some of its metrics have a value.
    SomeMetrics,
    /// A metric's source in the spec is not valid.
    InvalidSource,
    /// Anything else.
    Other,
}

impl Blind<'_> {
    /// The catalogue's cause, which may be a symptom.
    pub fn cause(&self) -> Cause {
        match self {
            Self::MissingRequest { .. } | Self::ZeroRequest(_) => Cause::MissingRequest,
            Self::Lost(lost) => lost.cause(),
            Self::SelectorMissing | Self::SelectorInvalid | Self::SelectorShared { .. } | Self::SelectorOfNobody(_) => {
                Cause::Selector
            }
            Self::CustomMetric { .. } => Cause::NotMetricsServer,
            Self::PodsNotReady(_) => Cause::HpaPodsNotReady,
            Self::NoSamples(_) => Cause::NoSamplesYet,
            Self::MetricsApi(_) => Cause::MetricsApiDown,
            Self::ScaleForbidden
            | Self::ScaleFailed
            | Self::ContainerAbsent { .. }
            | Self::ContainerWithoutSample { .. }
            | Self::NeverLookedAt
            | Self::SomeMetrics
            | Self::InvalidSource
            | Self::Other => Cause::HpaOther,
        }
    }

    /// What the symptom may be, where the controller's word leaves few causes.
    pub fn candidates(&self) -> &'static [Cause] {
        match self {
            Self::Lost(Lost::Unclear(causes)) => causes,
            Self::ContainerWithoutSample { .. } => &[Cause::HpaPodsNotReady, Cause::NoSamplesYet],
            Self::MetricsApi(error) => behind(error),
            _ => &[],
        }
    }

    /// Whether it is a fault of the way that all autoscalers take, and not of this one.
    pub fn is_of_the_pipeline(&self) -> bool {
        matches!(self, Self::MetricsApi(_) | Self::NoSamples(_))
    }
}

/// What an error of the metrics API proves.
fn behind(error: &ApiError) -> &'static [Cause] {
    match &error.detail {
        Detail::ReviewsForbidden { .. } => &[Cause::AuthDelegatorMissing],
        Detail::Forbidden(forbidden) => match &forbidden.user {
            Identity::ServiceAccount { .. } => &[Cause::CallerForbidden],
            // Without accounts of its own for each controller (--use-service-account-credentials=false).
            Identity::Other(user) if user == "system:kube-controller-manager" => &[Cause::CallerForbidden],
            // Whoever refuses sees the aggregator instead of who asks.
            Identity::Anonymous | Identity::Other(_) => &[Cause::FrontProxyUntrusted],
        },
        Detail::ResourceGone => &[Cause::UnsupportedVersion],
        Detail::TokenRefused => &[Cause::ApiServerUntrusted],
        // The aggregator answers for every group that is registered.
        _ if error.class == ErrorClass::NotFound => &[Cause::NotInstalled, Cause::ApiServiceMissing],
        _ => &[],
    }
}

impl Sight<'_> {
    /// As in labels: `none`, `scaled_to_zero`, `too_young`, or the id of a cause of step `hpa`.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Sees => NONE,
            Self::ScaledToZero => SCALED_TO_ZERO,
            Self::OutsideLimits | Self::Starting { .. } | Self::Untold => TOO_YOUNG,
            Self::Blind(blind) => blind.cause().id(),
        }
    }
}

/// It sees its targets.
pub const NONE: &str = "none";
/// Scaled to zero.
pub const SCALED_TO_ZERO: &str = "scaled_to_zero";
/// Just started.
pub const TOO_YOUNG: &str = "too_young";

/// Every label of [`Sight::label`]: the three that are no fault first.
pub fn labels() -> impl Iterator<Item = &'static str> {
    let causes = catalogue::all().iter().filter(|entry| {
        // An API that is down is the fault of an APIService and not of one autoscaler.
        entry.stage == Stage::Hpa && entry.cause != Cause::OtherMetricsApiUnavailable
    });
    [NONE, SCALED_TO_ZERO, TOO_YOUNG].into_iter().chain(causes.map(|entry| entry.id))
}

impl<'s> Autoscalers<'s> {
    /// Looks at every autoscaler once.
    pub(super) fn of(facts: &Facts<'s>) -> Self {
        let listing = facts.snapshot.autoscalers.all();
        let pods = pods::Pods::of(facts.snapshot);
        let targets = target::Targets::of(facts.snapshot);
        let mut looks = sight::Looks::new(facts, &pods, &targets);
        Self { all: listing.objects.into_iter().map(|autoscaler| looks.at(autoscaler)).collect(), gap: listing.gap }
    }

    /// Those that are blind, with why.
    pub fn blind(&self) -> impl Iterator<Item = (&Autoscaler<'s>, &Blind<'s>)> {
        self.all.iter().filter_map(|autoscaler| match &autoscaler.sight {
            Sight::Blind(blind) => Some((autoscaler, blind)),
            _ => None,
        })
    }

    /// One that has a current value of the metrics API.
    pub fn served(&self) -> Option<&'s HorizontalPodAutoscaler> {
        self.all.iter().map(|autoscaler| autoscaler.object).find(|autoscaler| autoscaler.is_served())
    }
}

impl Autoscaler<'_> {
    /// How many pods lack each request that a metric needs, by container and resource.
    pub fn containers_without_request(&self) -> BTreeMap<(&str, &str), usize> {
        let Sight::Blind(Blind::MissingRequest { missing, .. }) = &self.sight else { return BTreeMap::new() };
        let mut pods = BTreeMap::new();
        for missing in missing {
            *pods.entry((missing.container, missing.resource)).or_default() += 1;
        }
        pods
    }
}

#[cfg(test)]
mod tests;
