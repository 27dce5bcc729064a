//! What the controller of `HorizontalPodAutoscalers` says in conditions `AbleToScale` and `ScalingActive`, Kubernetes 1.8 to
//! 1.37 (kubernetes/kubernetes `pkg/controller/podautoscaler/{horizontal,replica_calculator}.go`, `metrics/client.go`).

use super::{
    api_error::{ApiError, Detail, Forbidden},
    table::{Table, between},
};

/// Which API a metric comes from that is not metrics-server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherApi {
    /// `custom.metrics.k8s.io`: metrics of type Pods and Object.
    Custom,
    /// `external.metrics.k8s.io`
    External,
}

/// The controller's word, parsed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// All is well, or nothing is wrong that the condition would tell.
    Working,
    /// The target is scaled to zero, which switches the autoscaler off.
    ScalingDisabled,
    /// A container, or a pod with requests of its own, has no request for the resource.
    MissingRequest {
        /// `cpu` or `memory`.
        resource: String,
        /// The container, since Kubernetes 1.26.
        container: Option<String>,
        /// The pod, since 1.26.
        pod: Option<String>,
    },
    /// The container that the metric names is in no pod: `container X not found in Pod Y`, since about 1.33.
    ContainerAbsent {
        /// The container.
        container: String,
        /// The pod.
        pod: String,
    },
    /// The container that the metric names has no sample in one pod, and the metric fails as a whole: 1.20 to 1.32.
    ContainerNotInMetrics {
        /// The container.
        container: String,
        /// The pod's namespace.
        namespace: String,
        /// The pod.
        pod: String,
    },
    /// The kind in `scaleTargetRef` is not served in that group: nothing is said of the object.
    NoMatchesForKind {
        /// The kind.
        kind: String,
        /// The group; empty for the core group, `None` where the message does not tell.
        group: Option<String>,
    },
    /// The scale subresource answers 404 without a name: the object, the kind or the kind's scale subresource is missing.
    CouldNotFindRequestedResource,
    /// `deployments.apps "web" not found`: of custom resources also said where the kind has no scale subresource.
    ScaleNotFound {
        /// Plural and group, or plural, `/scale` and group.
        resource: String,
        /// The target's name.
        name: String,
    },
    /// The controller may not read or update the scale subresource.
    ScaleForbidden(Option<Forbidden>),
    /// The scale cannot be read, or not be updated, for another reason.
    ScaleFailed,
    /// The target's scale has no selector.
    SelectorMissing,
    /// The target's selector cannot be parsed.
    SelectorInvalid,
    /// Several autoscalers have the same pods.
    SelectorAmbiguous {
        /// The selector, as the message has it.
        selector: String,
        /// The autoscalers that the message names, as `NAMESPACE/NAME`; newer versions name one of them.
        autoscalers: Vec<String>,
    },
    /// The resource metrics API did not answer the controller.
    MetricsApiFailed(ApiError),
    /// The API answered with an empty list: there are no samples, or the selector matches no pod.
    NoMetricsReturned,
    /// The selector matches no pod.
    NoMatchingPods,
    /// No pod that counts has a sample: they are not Ready, new, or without samples.
    PodsUnready,
    /// Samples and pods do not overlap, or their requests add up to nothing.
    NothingMatched,
    /// A custom or external metric has no value, which is not metrics-server's fault.
    CustomOrExternal {
        /// The API.
        api: OtherApi,
        /// The metric, where the message names it.
        metric: Option<String>,
    },
    /// The metric's source in the spec is not valid or not supported by this version.
    InvalidSource,
    /// Anything else.
    Other,
}

impl Word {
    /// Reads reason and message of condition `AbleToScale` or `ScalingActive`, or of an Event of the controller.
    pub fn of(reason: &str, message: &str) -> Self {
        match reason {
            "ScalingDisabled" => Self::ScalingDisabled,
            "AmbiguousSelector" => ambiguous(message),
            "SelectorRequired" => Self::SelectorMissing,
            "InvalidSelector" if message.contains("missing a selector") => Self::SelectorMissing,
            "InvalidSelector" => Self::SelectorInvalid,
            "InvalidMetricSourceType" => Self::InvalidSource,
            "FailedGetScale" | "FailedUpdateScale" | "FailedRescale" => scale(message),
            "FailedGetPodsMetric" | "FailedGetObjectMetric" => {
                Self::CustomOrExternal { api: OtherApi::Custom, metric: metric(message) }
            }
            "FailedGetExternalMetric" => Self::CustomOrExternal { api: OtherApi::External, metric: metric(message) },
            "FailedGetResourceMetric" | "FailedGetContainerResourceMetric" | "FailedComputeMetricsReplicas" => {
                resource(message)
            }
            "SucceededGetScale"
            | "SucceededRescale"
            | "ReadyForNewScale"
            | "ScaleDownStabilized"
            | "ScaleUpStabilized"
            | "ValidMetricFound"
            | "BackoffBoth"
            | "BackoffDownscale"
            | "BackoffUpscale" => Self::Working,
            _ => Self::Other,
        }
    }
}

/// `pods by selector app=web are controlled by multiple HPAs: [shop/a shop/b]`, newest `more than one HPA (e.g. shop/a)`.
fn ambiguous(message: &str) -> Word {
    let selector = between(message, "pods by selector ", " are controlled by").unwrap_or("").to_owned();
    let (_, named) = message.split_once(" are controlled by").unwrap_or(("", ""));
    let words = named.split([' ', '[', ']', '(', ')', ',']).filter(|word| word.contains('/'));
    Word::SelectorAmbiguous { selector, autoscalers: words.map(str::to_owned).collect() }
}

/// `the HPA controller was unable to get the target's current scale: …`
fn scale(message: &str) -> Word {
    if let Some((_, behind)) = message.split_once("no matches for kind \"") {
        let Some((kind, behind)) = behind.split_once('"') else { return Word::ScaleFailed };
        // With a version `in version "apps/v1beta1"`, else `in group "extensions"`.
        let group = between(behind, "in group \"", "\"").map(str::to_owned).or_else(|| {
            let version = between(behind, "in version \"", "\"")?;
            Some(version.split_once('/').map_or("", |(group, _)| group).to_owned())
        });
        return Word::NoMatchesForKind { kind: kind.to_owned(), group };
    }
    // Up to 1.9 `no matches for extensions/, Kind=Deployment`.
    if let Some((_, behind)) = message.split_once("no matches for ")
        && let Some((group, kind)) = behind.split_once(", Kind=")
    {
        let kind = kind.split(|character: char| !character.is_alphanumeric()).next().unwrap_or("");
        let group = group.split('/').next().map(str::to_owned);
        return Word::NoMatchesForKind { kind: kind.to_owned(), group };
    }
    if message.contains("is forbidden") {
        return Word::ScaleForbidden(Forbidden::of(message));
    }
    if message.contains("could not find the requested resource") {
        return Word::CouldNotFindRequestedResource;
    }
    if let Some((head, _)) = message.split_once("\" not found")
        && let Some((head, name)) = head.rsplit_once('"')
    {
        let resource = head.split_whitespace().next_back().unwrap_or("");
        return Word::ScaleNotFound { resource: resource.to_owned(), name: name.to_owned() };
    }
    Word::ScaleFailed
}

/// `the HPA was unable to compute the replica count: …`
fn resource(message: &str) -> Word {
    #[derive(Clone, Copy)]
    enum Text {
        MissingRequest,
        Unanswered,
        Custom,
        External,
        NoMetrics,
        NoPods,
        Unready,
        NothingMatched,
        NotInMetrics,
        Absent,
        InvalidSource,
    }
    // What the API's own error says stands behind `unable to fetch`, so that comes first.
    static TEXTS: Table<Text> = Table::new(&[
        ("from custom metrics API", Text::Custom),
        ("from external metrics API", Text::External),
        ("unable to get external metric", Text::External),
        ("unable to fetch metrics from resource metrics API", Text::Unanswered),
        // Up to 1.11 the API has no name there, and before it was Heapster's.
        ("unable to fetch metrics from API", Text::Unanswered),
        ("failed to get pod resource metrics", Text::Unanswered),
        ("missing request for", Text::MissingRequest),
        ("missing pod-level request for", Text::MissingRequest),
        ("not present in metrics for pod", Text::NotInMetrics),
        ("not found in Pod", Text::Absent),
        ("no metrics returned from resource metrics API", Text::NoMetrics),
        ("no metrics returned from heapster", Text::NoMetrics),
        ("no pods returned by selector", Text::NoPods),
        ("did not receive metrics for", Text::Unready),
        ("no metrics returned matched known pods", Text::NothingMatched),
        ("invalid resource metric source", Text::InvalidSource),
        ("unknown metric source type", Text::InvalidSource),
        ("disabled by the feature gate", Text::InvalidSource),
    ]);
    match TEXTS.first(message) {
        Some(Text::Custom) => Word::CustomOrExternal { api: OtherApi::Custom, metric: metric(message) },
        Some(Text::External) => Word::CustomOrExternal { api: OtherApi::External, metric: metric(message) },
        Some(Text::Unanswered) => {
            let other = ApiError { class: super::api_error::ErrorClass::Other, detail: Detail::Plain };
            Word::MetricsApiFailed(ApiError::of_text(message).unwrap_or(other))
        }
        Some(Text::MissingRequest) => missing_request(message),
        Some(Text::NotInMetrics) => {
            container(message, " not present in metrics for pod ").map_or(Word::PodsUnready, |(container, pod)| {
                let (namespace, pod) = pod.split_once('/').unwrap_or(("", pod));
                Word::ContainerNotInMetrics {
                    container: container.to_owned(),
                    namespace: namespace.to_owned(),
                    pod: pod.to_owned(),
                }
            })
        }
        Some(Text::Absent) => container(message, " not found in Pod ").map_or(Word::Other, |(container, pod)| {
            Word::ContainerAbsent { container: container.to_owned(), pod: pod.to_owned() }
        }),
        Some(Text::NoMetrics) => Word::NoMetricsReturned,
        Some(Text::NoPods) => Word::NoMatchingPods,
        Some(Text::Unready) => Word::PodsUnready,
        Some(Text::NothingMatched) => Word::NothingMatched,
        Some(Text::InvalidSource) => Word::InvalidSource,
        None => Word::Other,
    }
}

/// `missing request for cpu`, since 1.26 with ` in container C of Pod P`, since 1.34 also `missing pod-level request for cpu
/// in Pod P`.
fn missing_request(message: &str) -> Word {
    let word = |mark: &str| {
        let (_, behind) = message.rsplit_once(mark)?;
        behind.split([' ', '"', ',']).next().filter(|word| !word.is_empty()).map(str::to_owned)
    };
    Word::MissingRequest {
        resource: word("request for ").unwrap_or_default(),
        container: word(" in container "),
        pod: word(" of Pod ").or_else(|| word(" in Pod ")),
    }
}

/// The container before a mark and the pod behind it.
fn container<'m>(message: &'m str, mark: &str) -> Option<(&'m str, &'m str)> {
    let (head, behind) = message.split_once(mark)?;
    let (_, container) = head.rsplit_once("container ")?;
    let pod = behind.split([' ', ',', '"']).next()?;
    (!container.is_empty() && !pod.is_empty()).then_some((container, pod))
}

/// `unable to get metric NAME: …`, `unable to get external metric NAMESPACE/NAME/SELECTOR: …`
fn metric(message: &str) -> Option<String> {
    if let Some((_, behind)) = message.split_once("unable to get external metric ") {
        return behind.split(['/', ':']).nth(1).filter(|name| !name.is_empty()).map(str::to_owned);
    }
    let name = between(message, "unable to get metric ", ":")?;
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests;
