//! Step `retrieve` (guide: `kubectl top nodes`, `kubectl top pods`).

mod coverage;

pub use self::coverage::{NodeCoverage, node_coverage, pods_without_samples, sample_ages, sample_windows};

use jiff::SignedDuration;

use crate::{
    catalogue::Cause,
    check::{Check, Finding},
    facts::Facts as Context,
    guide::Step,
    snapshot::{
        self, NotSeen, Observed, Pod, Retrieval,
        retrieval::{self, ErrorClass},
    },
    steps::bridge,
    steps::bridge::Outcome,
    wording::quoted,
};

const CALL_CAUSES: &[Cause] = &[
    Cause::MetricsApiFailing,
    Cause::CallerForbidden,
    Cause::CallerUnauthorized,
    Cause::AuthDelegatorMissing,
    Cause::ListPermissionMissing,
    Cause::FrontProxyUntrusted,
    Cause::NodesWithoutSamples,
    Cause::PodsWithoutSamples,
];

/// The checks of this step.
pub const CHECKS: &[Check] = &[
    Check {
        step: Step::Retrieve,
        id: "nodes",
        question: "Does the metrics API answer for nodes?",
        causes: CALL_CAUSES,
        rule: |facts, docket| bridge::rule(facts, docket, nodes(facts)),
    },
    Check {
        step: Step::Retrieve,
        id: "pods",
        question: "Does the metrics API answer for pods?",
        causes: CALL_CAUSES,
        rule: |facts, docket| bridge::rule(facts, docket, pods(facts)),
    },
    Check {
        step: Step::Retrieve,
        id: "coverage",
        question: "Has every Ready node and every running pod a sample?",
        causes: &[Cause::NodesWithoutSamples, Cause::PodsWithoutSamples],
        rule: |facts, docket| bridge::rule(facts, docket, coverage::evaluate(facts)),
    },
    Check {
        step: Step::Retrieve,
        id: "freshness",
        question: "Are the samples fresh?",
        causes: &[Cause::SamplesStale],
        rule: |facts, docket| bridge::rule(facts, docket, coverage::freshness(facts)),
    },
];

fn nodes(context: &Context<'_>) -> Result<Outcome, NotSeen> {
    call(context, &context.snapshot.top_nodes, "nodes")
}

fn pods(context: &Context<'_>) -> Result<Outcome, NotSeen> {
    call(context, &context.snapshot.top_pods, "pods")
}

fn call(context: &Context<'_>, retrieval: &Observed<Retrieval>, resource: &str) -> Result<Outcome, NotSeen> {
    let Some(retrieval) = retrieval.as_ref().known()? else {
        return Ok(Outcome::skipped(format!("Nobody asked for {resource}.")));
    };
    match &retrieval.outcome {
        retrieval::Outcome::Samples(samples) => {
            let outcome = Outcome::pass(format!("The metrics API answers with {} {resource}.", samples.len()));
            let known = samples.iter().filter(|sample| !sample.unknown).count();
            Ok(if known > 0 { outcome.witness(format!("{resource}: {known} samples")) } else { outcome })
        }
        retrieval::Outcome::Failed { class, text } => failed(context, resource, *class, text),
    }
}

fn failed(context: &Context<'_>, resource: &str, class: ErrorClass, text: &str) -> Result<Outcome, NotSeen> {
    let chain = &context.chain;
    let object = chain.api_service_object();
    let told = format!("{resource}: {}", quoted(text.trim()));
    let outage = |cause: Cause, what: &str| {
        Finding::outage(cause, object.clone(), format!("The metrics API does not answer for {resource}: {what}."))
    };
    let finding = match class {
        ErrorClass::ApiserverUnreachable => return Err(NotSeen::Unreachable(text.trim().to_owned())),
        ErrorClass::Throttled => return Err(NotSeen::TooEarly("the API server asks to try again later".to_owned())),
        ErrorClass::Empty => return empty(context, resource, text, told),
        ErrorClass::InternalError if text.contains("subjectaccessreviews") && text.contains("is forbidden") => {
            outage(Cause::AuthDelegatorMissing, "metrics-server may not create SubjectAccessReviews")
        }
        // metrics-server hands through what the API server answers to its own calls.
        ErrorClass::Forbidden if names_metrics_server(context, text) => {
            outage(Cause::ListPermissionMissing, "metrics-server itself may not list what it is asked for")
        }
        // kube-apiserver let the caller through, so it is the server behind it that does not take over who asks.
        ErrorClass::Forbidden if text.contains("User \"system:anonymous\"") && chain.api_service.seen().is_some() => {
            outage(Cause::FrontProxyUntrusted, "metrics-server does not take over who asks")
        }
        // The doctor's own missing right keeps it from looking, and says nothing of anybody else's.
        ErrorClass::Forbidden
            if context.snapshot.source == snapshot::Source::Cluster && text.contains("is forbidden: User") =>
        {
            let resource = if resource == "nodes" { "nodes.metrics.k8s.io" } else { "pods.metrics.k8s.io" };
            return Err(NotSeen::Forbidden { verb: "list", resource });
        }
        ErrorClass::Forbidden => Finding::partial(
            Cause::CallerForbidden,
            object.clone(),
            format!("Whoever asked may not list {resource} of metrics.k8s.io."),
        ),
        // Whoever is refused everywhere has looked with credentials that are not valid: that tells nothing about the cluster.
        ErrorClass::Unauthorized
            if matches!(context.snapshot.api_services.all().gap, Some(NotSeen::Unreachable(_))) =>
        {
            return Err(NotSeen::Unreachable(text.trim().to_owned()));
        }
        ErrorClass::Unauthorized if chain.unavailable().is_none() => Finding::partial(
            Cause::CallerUnauthorized,
            object.clone(),
            format!("Whoever asked for {resource} is not authenticated at the metrics API."),
        ),
        _ if context.is_starting() => {
            return Err(NotSeen::TooEarly(format!("metrics-server is just being started ({told})")));
        }
        _ if chain.is_available() => {
            // Clients read discovery, which follows the APIService within a minute, and keep it; old ones ask Heapster then.
            let undiscovered = ["Metrics API not available", "services http:heapster:"];
            if undiscovered.iter().any(|text_of_it| text.contains(text_of_it)) || is_from_before(context) {
                return Err(NotSeen::TooEarly("discovery has not followed the APIService yet".to_owned()));
            }
            if has_just_become_available(context) {
                return Err(NotSeen::TooEarly("the APIService has become available since the last call".to_owned()));
            }
            if pods_are_changing(context) {
                return Err(NotSeen::TooEarly("a pod of metrics-server comes or goes".to_owned()));
            }
            outage(Cause::MetricsApiFailing, "the APIService is available, and the calls fail")
        }
        _ => outage(Cause::MetricsApiFailing, "the calls fail"),
    };
    let finding = if chain.api_service.seen().is_none() && finding.cause == Cause::MetricsApiFailing {
        let possible = [
            (Cause::NotInstalled, chain.workload.seen().is_none() && chain.pods().is_empty()),
            (Cause::ApiServiceMissing, true),
            (Cause::ServiceNotFound, true),
            (Cause::PodsNotReady, !chain.pods().iter().any(|pod| pod.is_ready())),
        ];
        finding.candidates(possible.into_iter().filter_map(|(cause, possible)| possible.then_some(cause)))
    } else {
        finding
    };
    Ok(Outcome::fail(finding.evidence(told)))
}

/// A call is made within this time of a change of the condition, so one that failed may be older than the change.
const NEXT_CALL: SignedDuration = SignedDuration::from_secs(20);

/// Whether a bundle's call may be from before the `APIService` became available.
fn is_from_before(context: &Context<'_>) -> bool {
    context.snapshot.source == snapshot::Source::Bundle && context.is_just_available()
}

fn has_just_become_available(context: &Context<'_>) -> bool {
    let condition = context.chain.api_service.seen().and_then(|api_service| api_service.available());
    let since = condition.and_then(|condition| condition.last_transition_time);
    since.is_some_and(|since| context.snapshot.observed_at.duration_since(since) < NEXT_CALL)
}

/// While a pod of metrics-server is new or on its way out, a call may have met it.
fn pods_are_changing(context: &Context<'_>) -> bool {
    let is_new = |pod: &&Pod| {
        let born = pod.metadata.creation_timestamp.or(pod.status.start_time);
        born.is_some_and(|born| context.snapshot.observed_at.duration_since(born) < SignedDuration::from_mins(1))
    };
    context.chain.pods().iter().any(|pod| pod.is_terminating() || is_new(pod))
}

/// Whether a refusal names metrics-server's own account and not the caller's.
fn names_metrics_server(context: &Context<'_>, text: &str) -> bool {
    let Some((_, user)) = text.split_once("User \"system:serviceaccount:") else { return false };
    let user = user.split('"').next().unwrap_or("");
    let Some((namespace, name)) = user.split_once(':') else { return false };
    match super::forbidden::account(context) {
        Some(account) => account == (namespace, name),
        None => name.ends_with("metrics-server"),
    }
}

/// An empty list, which is an answer: right after metrics-server's start nothing else can be expected, later it is a
/// fault of the scrapes.
fn empty(context: &Context<'_>, resource: &str, text: &str, told: String) -> Result<Outcome, NotSeen> {
    let chain = &context.chain;
    let answers = chain.unavailable().is_none();
    if answers && resource == "pods" && text.contains("Metrics not available for pod") {
        // kubectl says so of pods older than two minutes alone.
        let finding = Finding::partial(
            Cause::PodsWithoutSamples,
            chain.api_service_object(),
            "A running pod older than two minutes has no sample.",
        );
        return Ok(Outcome::fail(finding.evidence(told)));
    }
    if answers && resource == "nodes" && coverage::runs_long_enough(context) {
        let finding = Finding::outage(
            Cause::NodesWithoutSamples,
            chain.workload_object(),
            "metrics-server has run for minutes and has no sample of any node.",
        );
        return Ok(Outcome::fail(finding.evidence(told)));
    }
    if !answers {
        let finding =
            Finding::outage(Cause::MetricsApiFailing, chain.api_service_object(), "The metrics API has no samples.");
        let finding = finding.candidates([Cause::NodesWithoutSamples, Cause::PodsNotReady, Cause::KubeletTimeout]);
        return Ok(Outcome::fail(finding.evidence(told)));
    }
    Err(NotSeen::TooEarly(format!("the metrics API has no samples yet ({told})")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        check::Status,
        snapshot::{ApiService, Collection, Snapshot},
        testing::{at, healthy, object, run},
    };

    fn failing(class: ErrorClass, text: &str) -> Snapshot {
        let outcome = retrieval::Outcome::Failed { class, text: text.to_owned() };
        Snapshot { top_nodes: Observed::Present(Retrieval { outcome, latency: None }), ..healthy() }
    }

    #[test]
    fn errors_name_who_is_to_blame() {
        for (class, text, expected) in [
            (
                ErrorClass::Forbidden,
                "nodes.metrics.k8s.io is forbidden: User \"jane\" cannot list",
                Some(Cause::CallerForbidden),
            ),
            (
                ErrorClass::Unauthorized,
                "error: You must be logged in to the server (Unauthorized)",
                Some(Cause::CallerUnauthorized),
            ),
            (
                ErrorClass::InternalError,
                "subjectaccessreviews.authorization.k8s.io is forbidden: User",
                Some(Cause::AuthDelegatorMissing),
            ),
            (ErrorClass::ServiceUnavailable, "error trying to reach service: EOF", Some(Cause::MetricsApiFailing)),
            (ErrorClass::ServiceUnavailable, "error: Metrics API not available", None),
            (ErrorClass::Empty, "error: metrics not available yet", Some(Cause::NodesWithoutSamples)),
            (
                ErrorClass::Forbidden,
                "pods is forbidden: User \"system:serviceaccount:kube-system:metrics-server\" cannot list resource \"pods\" in API group \"\"",
                Some(Cause::ListPermissionMissing),
            ),
            (
                ErrorClass::Forbidden,
                "nodes is forbidden: User \"system:serviceaccount:ci:deployer\" cannot list resource \"nodes\" in API group \"\"",
                Some(Cause::CallerForbidden),
            ),
            (
                ErrorClass::Forbidden,
                "nodes.metrics.k8s.io is forbidden: User \"system:anonymous\" cannot list resource \"nodes\"",
                Some(Cause::FrontProxyUntrusted),
            ),
            (ErrorClass::ApiserverUnreachable, "The connection to the server x was refused", None),
            (ErrorClass::Throttled, "too many requests", None),
        ] {
            let bundle = Snapshot { source: snapshot::Source::Bundle, ..failing(class, text) };
            let outcome = run(Step::Retrieve, "nodes", &bundle);
            assert_eq!(outcome.findings.first().map(|finding| finding.cause), expected, "{text}");
            assert_ne!(outcome.status, Status::Pass, "{text}");
        }
        assert_eq!(run(Step::Retrieve, "nodes", &healthy()).status, Status::Pass);
    }

    #[test]
    fn a_call_from_before_the_apiservice_became_available_blames_nothing() {
        for (since, expected) in [(-5, Status::Unknown), (-60, Status::Fail)] {
            let mut snapshot = failing(ErrorClass::ServiceUnavailable, "error trying to reach service: EOF");
            snapshot.api_services = Collection::complete([object::<ApiService>(json!({
                "metadata": {"name": "v1beta1.metrics.k8s.io"},
                "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "service": {"namespace": "kube-system", "name": "metrics-server"}},
                "status": {"conditions": [{"type": "Available", "status": "True", "reason": "Passed", "lastTransitionTime": at(since)}]}
            }))]);
            assert_eq!(run(Step::Retrieve, "nodes", &snapshot).status, expected, "since {since} s");
        }
    }

    #[test]
    fn what_has_just_come_back_may_have_failed_before() {
        let mut snapshot = failing(ErrorClass::ServiceUnavailable, "error trying to reach service: EOF");
        let mut api_service = snapshot.api_services.iter().next().cloned().expect("it");
        api_service.status.conditions[0].last_transition_time = crate::testing::at(-20).parse().ok();
        snapshot.api_services = Collection::complete([api_service]);
        snapshot.source = crate::snapshot::Source::Bundle;
        assert_eq!(run(Step::Retrieve, "nodes", &snapshot).status, Status::Unknown);
        let heapster = "Error from server (NotFound): the server could not find the requested resource (get services http:heapster:)";
        assert_eq!(run(Step::Retrieve, "nodes", &failing(ErrorClass::NotFound, heapster)).status, Status::Unknown);
    }

    #[test]
    fn an_empty_answer_of_a_young_metrics_server_is_no_fault() {
        let mut snapshot = failing(ErrorClass::Empty, "error: metrics not available yet");
        let pods: Vec<_> = snapshot
            .pods
            .iter()
            .cloned()
            .map(|mut pod| {
                pod.status.start_time = crate::testing::at(-40).parse().ok();
                pod
            })
            .collect();
        snapshot.pods = Collection::complete(pods);
        assert_eq!(run(Step::Retrieve, "nodes", &snapshot).status, Status::Unknown);
        snapshot.pods = Collection::unseen(NotSeen::NotInBundle("pods"));
        snapshot.workloads = Collection::unseen(NotSeen::NotInBundle("deployments"));
        assert_eq!(run(Step::Retrieve, "nodes", &snapshot).status, Status::Unknown, "its age was not seen");
    }

    #[test]
    fn a_right_that_the_doctor_lacks_is_no_fault_of_the_cluster() {
        let refused =
            "403: nodes.metrics.k8s.io is forbidden: User \"system:serviceaccount:monitoring:doctor\" cannot list";
        let bundle = Snapshot { source: snapshot::Source::Bundle, ..failing(ErrorClass::Forbidden, refused) };
        assert_eq!(run(Step::Retrieve, "nodes", &bundle).findings[0].cause, Cause::CallerForbidden);
        let cluster = Snapshot { source: snapshot::Source::Cluster, ..bundle };
        let outcome = run(Step::Retrieve, "nodes", &cluster);
        let not_seen = NotSeen::Forbidden { verb: "list", resource: "nodes.metrics.k8s.io" };
        assert_eq!((outcome.status, outcome.not_seen), (Status::Unknown, Some(not_seen)));
    }

    #[test]
    fn credentials_that_nobody_accepts_blame_nobody() {
        let mut snapshot = failing(ErrorClass::Unauthorized, "401: Unauthorized");
        assert_eq!(run(Step::Retrieve, "nodes", &snapshot).findings[0].cause, Cause::CallerUnauthorized);
        let refused = "401: the API server does not accept the credentials";
        snapshot.api_services = Collection::unseen(NotSeen::Unreachable(refused.to_owned()));
        assert_eq!(run(Step::Retrieve, "nodes", &snapshot).status, Status::Unknown);
    }

    #[test]
    fn while_pods_come_and_go_a_failed_call_blames_nothing() {
        for (created, expected) in [(-20, Status::Unknown), (-600, Status::Fail)] {
            let mut snapshot = failing(ErrorClass::ServiceUnavailable, "error trying to reach service: EOF");
            let mut pod = snapshot.pods.iter().next().cloned().expect("a pod");
            pod.metadata.creation_timestamp = at(created).parse().ok();
            snapshot.pods = Collection::complete([pod]);
            assert_eq!(run(Step::Retrieve, "nodes", &snapshot).status, expected, "created {created} s");
        }
    }

    #[test]
    fn an_error_alone_leaves_the_cause_open() {
        let mut snapshot = failing(ErrorClass::ServiceUnavailable, "error: Metrics API not available");
        snapshot.api_services = Collection::unseen(NotSeen::NotInBundle("apiservices"));
        assert!(run(Step::Retrieve, "nodes", &snapshot).findings[0].candidates.len() > 1);
    }
}
