use super::*;
use crate::wording::api_error::{ErrorClass, Identity};

const SCALE: &str = "the HPA controller was unable to get the target's current scale: ";
const COUNT: &str = "the HPA was unable to compute the replica count: ";

fn scale(tail: &str) -> Word {
    Word::of("FailedGetScale", &format!("{SCALE}{tail}"))
}

fn count(tail: &str) -> Word {
    Word::of("FailedGetResourceMetric", &format!("{COUNT}{tail}"))
}

fn missing(resource: &str, container: Option<&str>, pod: Option<&str>) -> Word {
    Word::MissingRequest {
        resource: resource.to_owned(),
        container: container.map(str::to_owned),
        pod: pod.map(str::to_owned),
    }
}

#[test]
fn requests_that_are_missing_name_what_they_know() {
    for (tail, word) in [
        ("missing request for cpu", missing("cpu", None, None)),
        ("failed to get cpu utilization: missing request for cpu", missing("cpu", None, None)),
        (
            "failed to get memory utilization: missing request for memory in container sidecar of Pod web-5d8f-abcde",
            missing("memory", Some("sidecar"), Some("web-5d8f-abcde")),
        ),
        (
            "failed to get cpu utilization: missing pod-level request for cpu in Pod web-1",
            missing("cpu", None, Some("web-1")),
        ),
    ] {
        assert_eq!(count(tail), word, "{tail}");
    }
    assert_eq!(
        Word::of(
            "FailedComputeMetricsReplicas",
            "invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: failed to get cpu utilization: missing request for cpu in container app of Pod web-1"
        ),
        missing("cpu", Some("app"), Some("web-1"))
    );
}

#[test]
fn targets_that_are_not_found_are_told_apart() {
    let kind =
        |kind: &str, group: &str| Word::NoMatchesForKind { kind: kind.to_owned(), group: Some(group.to_owned()) };
    for (tail, word) in [
        ("no matches for kind \"Deployment\" in group \"extensions\"", kind("Deployment", "extensions")),
        ("no matches for kind \"Deployment\" in group \"\"", kind("Deployment", "")),
        ("no matches for kind \"Deployment\" in version \"apps/v1beta1\"", kind("Deployment", "apps")),
        ("no matches for /, Kind=Deployment", kind("Deployment", "")),
        ("no matches for extensions/, Kind=Deployment", kind("Deployment", "extensions")),
        ("the server could not find the requested resource", Word::CouldNotFindRequestedResource),
        (
            "deployments/scale.apps \"web\" not found",
            Word::ScaleNotFound { resource: "deployments/scale.apps".to_owned(), name: "web".to_owned() },
        ),
        (
            "rayclusterfleets.orchestration.aibrix.ai \"qwen-coder-7b-instruct\" not found",
            Word::ScaleNotFound {
                resource: "rayclusterfleets.orchestration.aibrix.ai".to_owned(),
                name: "qwen-coder-7b-instruct".to_owned(),
            },
        ),
        (
            "Internal error occurred: converting (extensions.Deployment).Replicas to (v1.Scale).Replicas",
            Word::ScaleFailed,
        ),
        ("context deadline exceeded", Word::ScaleFailed),
    ] {
        assert_eq!(scale(tail), word, "{tail}");
    }
    let Word::ScaleForbidden(Some(forbidden)) = scale(
        r#"databases.example.com "a" is forbidden: User "system:serviceaccount:kube-system:horizontal-pod-autoscaler" cannot get resource "databases/scale" in API group "example.com" in the namespace "shop""#,
    ) else {
        panic!("a refusal")
    };
    assert_eq!((forbidden.verb.as_str(), forbidden.resource.as_str()), ("get", "databases/scale"));
}

#[test]
fn why_the_metrics_api_did_not_answer_the_controller() {
    const HEAD: &str = "failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: ";
    for (tail, class) in [
        (
            "the server is currently unable to handle the request (get pods.metrics.k8s.io)",
            ErrorClass::ServiceUnavailable,
        ),
        ("the server could not find the requested resource (get pods.metrics.k8s.io)", ErrorClass::NotFound),
        (
            "pods.metrics.k8s.io is forbidden: User \"system:anonymous\" cannot list resource \"pods\" in API group \"metrics.k8s.io\" in the namespace \"x\"",
            ErrorClass::Forbidden,
        ),
        ("context deadline exceeded", ErrorClass::Timeout),
        ("something new", ErrorClass::Other),
    ] {
        let Word::MetricsApiFailed(error) = count(&format!("{HEAD}{tail}")) else { panic!("{tail}") };
        assert_eq!(error.class, class, "{tail}");
    }
    let Word::MetricsApiFailed(anonymous) = count(
        "unable to get metrics for resource cpu: unable to fetch metrics from API: pods.metrics.k8s.io is forbidden: User \"system:anonymous\" cannot list pods.metrics.k8s.io in the namespace \"default\"",
    ) else {
        panic!("a refusal")
    };
    assert!(matches!(anonymous.detail, Detail::Forbidden(Forbidden { user: Identity::Anonymous, .. })));
    // Up to 1.28 the message went through printf.
    let reviews = count(&format!(
        "{HEAD}an error on the server (\"Internal Server Error: \\\"/apis/metrics.k8s.io/v1beta1/namespaces/x/pods?labelSelector=app%!D(MISSING)web\\\": subjectaccessreviews.authorization.k8s.io is forbidden: User \\\"system:serviceaccount:kube-system:metrics-server\\\" cannot create resource \\\"subjectaccessreviews\\\"\") has prevented the request from succeeding (get pods.metrics.k8s.io)"
    ));
    let Word::MetricsApiFailed(ApiError { detail: Detail::ReviewsForbidden { account: Some(account) }, .. }) = reviews
    else {
        panic!("{reviews:?}")
    };
    assert!(account.is_account("kube-system", "metrics-server"));
}

#[test]
fn lists_without_what_is_needed_are_told_apart() {
    for (tail, word) in [
        (
            "unable to get metrics for resource cpu: no metrics returned from resource metrics API",
            Word::NoMetricsReturned,
        ),
        ("no pods returned by selector while calculating replica count", Word::NoMatchingPods),
        ("did not receive metrics for any ready pods", Word::PodsUnready),
        ("did not receive metrics for targeted pods (pods might be unready)", Word::PodsUnready),
        ("no metrics returned matched known pods", Word::NothingMatched),
        (
            "failed to get container metrics: container app not present in metrics for pod shop/web-1",
            Word::ContainerNotInMetrics {
                container: "app".to_owned(),
                namespace: "shop".to_owned(),
                pod: "web-1".to_owned(),
            },
        ),
        (
            "failed to get cpu utilization: container app not found in Pod web-1",
            Word::ContainerAbsent { container: "app".to_owned(), pod: "web-1".to_owned() },
        ),
        (
            "invalid resource metric source: neither a utilization target nor a value target was set",
            Word::InvalidSource,
        ),
        ("something new", Word::Other),
    ] {
        assert_eq!(count(tail), word, "{tail}");
    }
}

#[test]
fn metrics_of_other_apis_are_not_metrics_servers() {
    let other = |api, metric: &str| Word::CustomOrExternal { api, metric: Some(metric.to_owned()) };
    assert_eq!(
        Word::of(
            "FailedGetPodsMetric",
            "the HPA was unable to compute the replica count: unable to get metric accelerator_duty_cycle: unable to fetch metrics from API: pods.custom.metrics.k8s.io \"*\" is forbidden: User \"kubernetes\" cannot get pods.custom.metrics.k8s.io/accelerator_duty_cycle in the namespace \"default\""
        ),
        other(OtherApi::Custom, "accelerator_duty_cycle")
    );
    assert_eq!(
        Word::of(
            "FailedGetExternalMetric",
            "the HPA was unable to compute the replica count: unable to get external metric platform-main/s0-prometheus/&LabelSelector{MatchLabels:map[string]string{a: b,},}: unable to fetch metrics from external metrics API: no such host"
        ),
        other(OtherApi::External, "s0-prometheus")
    );
    assert_eq!(
        count("failed to get pods metric value: unable to get metric rps: no metrics returned from custom metrics API"),
        other(OtherApi::Custom, "rps")
    );
}

#[test]
fn reasons_alone_decide_where_they_can() {
    for (reason, message, word) in [
        ("ScalingDisabled", "scaling is disabled since the replica count of the target is zero", Word::ScalingDisabled),
        (
            "AmbiguousSelector",
            "pods by selector app=web are controlled by multiple HPAs: [shop/a shop/b]",
            Word::SelectorAmbiguous {
                selector: "app=web".to_owned(),
                autoscalers: vec!["shop/a".to_owned(), "shop/b".to_owned()],
            },
        ),
        (
            "AmbiguousSelector",
            "pods by selector app=web,tier in (a,b) are controlled by more than one HPA (e.g. shop/a)",
            Word::SelectorAmbiguous {
                selector: "app=web,tier in (a,b)".to_owned(),
                autoscalers: vec!["shop/a".to_owned()],
            },
        ),
        ("InvalidSelector", "the HPA target's scale is missing a selector", Word::SelectorMissing),
        (
            "InvalidSelector",
            "couldn't convert selector into a corresponding internal selector object: unable to parse",
            Word::SelectorInvalid,
        ),
        ("SelectorRequired", "selector is required", Word::SelectorMissing),
        (
            "ValidMetricFound",
            "the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)",
            Word::Working,
        ),
        ("SucceededGetScale", "the HPA controller was able to get the target's current scale", Word::Working),
        (
            "BackoffBoth",
            "the time since the previous scale is still within both the downscale and upscale forbidden windows",
            Word::Working,
        ),
        ("InvalidMetricSourceType", "x", Word::InvalidSource),
        ("Brand New", "missing request for cpu", Word::Other),
    ] {
        assert_eq!(Word::of(reason, message), word, "{reason}");
    }
}

proptest::proptest! {
    #[test]
    fn no_message_panics(message in ".*") {
        for reason in ["FailedGetScale", "FailedGetResourceMetric", "FailedGetExternalMetric", "FailedGetPodsMetric"] {
            let _ = Word::of(reason, &message);
        }
    }
}
