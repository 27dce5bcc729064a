//! Condition Available: what the aggregator itself says.

use crate::{
    catalogue::Cause,
    check::Finding,
    facts::Facts as Context,
    facts::metrics_server,
    snapshot::{ApiService, Condition, ConditionStatus, Named, NotSeen, service::TargetPort, version::Version},
    steps::bridge::Outcome,
    wording::aggregator::{MessageClass, Reason},
};

/// The `APIService` is available.
pub(super) fn evaluate(context: &Context<'_>) -> Result<Outcome, NotSeen> {
    let chain = &context.chain;
    let Some(api_service) = chain.api_service.clone().known()? else {
        return Ok(Outcome::skipped("There is no APIService that could be available."));
    };
    let Some(condition) = api_service.available() else {
        return Err(NotSeen::TooEarly(format!("the aggregator has not checked APIService {} yet", api_service.name())));
    };
    let told = format!("condition Available: {} {}: {}", status(condition), condition.reason, condition.message);
    let since = condition.last_transition_time.map(|since| format!("lastTransitionTime: {since}"));
    let with_evidence = |finding: Finding| {
        let finding = finding.evidence(format!("APIService {} {told}", api_service.name()));
        since.iter().fold(finding, crate::check::Finding::evidence)
    };
    match condition.status {
        ConditionStatus::True => {
            let mut outcome = Outcome::pass(format!("APIService {} is available.", api_service.name())).evidence(told);
            for other in chain.api_services.iter().filter(|other| other.name() != api_service.name()) {
                let state = other.available().map_or("not checked yet", |condition| status(condition));
                outcome = outcome.evidence(format!("APIService {} condition Available: {state}", other.name()));
            }
            Ok(outcome)
        }
        ConditionStatus::Unknown => Err(NotSeen::TooEarly(format!(
            "the aggregator itself could not check: {}: {}",
            condition.reason, condition.message
        ))),
        ConditionStatus::False => {
            let finding = unavailable(context, api_service, condition);
            if finding.cause.is_symptom() && context.is_starting() {
                return Err(NotSeen::TooEarly(format!("metrics-server is just being started ({told})")));
            }
            Ok(Outcome::fail(with_evidence(finding)))
        }
    }
}

fn status(condition: &Condition) -> &'static str {
    match condition.status {
        ConditionStatus::True => "True",
        ConditionStatus::False => "False",
        ConditionStatus::Unknown => "Unknown",
    }
}

/// What the aggregator's message alone allows to say.
fn unavailable(context: &Context<'_>, api_service: &ApiService, condition: &Condition) -> Finding {
    let object = context.chain.api_service_object();
    let name = api_service.name();
    let root = |cause: Cause, what: &str| {
        Finding::outage(cause, object.clone(), format!("APIService {name} is not available: {what}."))
    };
    let symptom = |what: &str, candidates: &[Cause]| {
        root(Cause::ApiServiceUnavailable, what).candidates(candidates.iter().copied())
    };
    match Reason::of(&condition.reason) {
        Reason::ServiceNotFound => {
            symptom("its Service does not exist", &[Cause::ServiceNotFound, Cause::ApiServiceLeftOver])
        }
        Reason::ServicePortError => symptom("its Service has not the port", &[Cause::ServicePortMismatch]),
        Reason::EndpointsNotFound => {
            symptom("its Service has no EndpointSlice", &[Cause::EndpointsNotPublished, Cause::SelectorMatchesNothing])
        }
        Reason::MissingEndpoints => symptom("its Service has no ready endpoint", &without_endpoint(context)),
        _ => discovery(context, api_service, condition, &root, &symptom),
    }
}

/// Why a Service may have no ready endpoint, without what the objects that were seen rule out.
fn without_endpoint(context: &Context<'_>) -> Vec<Cause> {
    let chain = &context.chain;
    let pods_gone = chain.selected_pods.is_certainly_empty() && chain.workload_pods.is_certainly_empty();
    let named = chain.service_port().is_none_or(|port| matches!(port.effective_target_port(), TargetPort::Name(_)));
    let possible = [
        (Cause::SelectorMatchesNothing, !chain.workload_is_selected && chain.selected_pods.objects.is_empty()),
        (Cause::ReplicasZero, chain.workload.seen().is_none_or(|workload| workload.wanted() == 0)),
        (Cause::PodsNotReady, !pods_gone),
        (Cause::PortNameUnresolved, named && !pods_gone),
    ];
    possible.into_iter().filter_map(|(cause, possible)| possible.then_some(cause)).collect()
}

/// Why metrics-server may answer 500 to the aggregator, which is in system:masters: from 0.5 on it lets those in without
/// asking, before it asks the API server, and 0.3 asks for an API that Kubernetes 1.22 took away.
fn internal_error(context: &Context<'_>) -> Vec<Cause> {
    let version = context.chain.container().and_then(|container| metrics_server::version(&container.image));
    let kubernetes = context.snapshot.server_version.seen();
    let possible = [
        (Cause::AuthDelegatorMissing, version.is_none_or(|version| version < Version::new(0, 5, 0))),
        (Cause::ApiServerUnreachable, version.is_none_or(|version| version < Version::new(0, 5, 0))),
        (
            Cause::UnsupportedVersion,
            version.is_none_or(|version| version < Version::new(0, 4, 0))
                && kubernetes.is_none_or(|kubernetes| (kubernetes.major, kubernetes.minor) >= (1, 22)),
        ),
    ];
    possible.into_iter().filter_map(|(cause, possible)| possible.then_some(cause)).collect()
}

/// `FailedDiscoveryCheck`: by the class of its message.
fn discovery(
    context: &Context<'_>,
    api_service: &ApiService,
    condition: &Condition,
    root: &dyn Fn(Cause, &str) -> Finding,
    symptom: &dyn Fn(&str, &[Cause]) -> Finding,
) -> Finding {
    let message = condition.message.as_str();
    // What the resolver says of Services whose endpoints the aggregator does not check by itself.
    if message.contains("no service port") {
        return symptom("its Service has not the port", &[Cause::ServicePortMismatch]);
    }
    if message.contains("no endpoints available for service") {
        return symptom("its Service has no ready endpoint", &without_endpoint(context));
    }
    match MessageClass::of(message) {
        // Steps timeout and connection_refused look at pods and ports; alone the message fits several causes.
        MessageClass::Timeout => {
            symptom("its server does not answer in time", &[Cause::ControlPlanePathClosed, Cause::NetworkPolicyBlocks])
        }
        MessageClass::ConnectionRefused => symptom(
            "the connection to its server is refused",
            &[Cause::TargetPortMismatch, Cause::ContainerPortMismatch, Cause::ContainerCrashing, Cause::NothingListens],
        ),
        MessageClass::NoRoute => root(Cause::NoRoute, "there is no route to its server"),
        MessageClass::Proxy => root(Cause::ProxyInterferes, "a proxy of kube-apiserver answers"),
        MessageClass::Dns => root(Cause::NameResolution, "the name of its server cannot be resolved"),
        MessageClass::PlainHttp => root(Cause::AnotherServerAnswers, "a server without TLS answers"),
        MessageClass::Tls => tls(context, api_service, message, root, symptom),
        MessageClass::BadStatus401 | MessageClass::BadStatus403 => {
            if context.chain.owner() == Some(crate::facts::metrics_server::Owner::Other) {
                root(Cause::AnotherServerAnswers, "another server answers")
            } else if message.contains(":10250/") && context.chain.pod_spec().is_none() {
                // With hostNetwork or on Fargate it is the kubelet that answers there.
                symptom(
                    "what answers on port 10250 refuses the aggregator",
                    &[Cause::FrontProxyUntrusted, Cause::PortConflict],
                )
            } else {
                root(Cause::FrontProxyUntrusted, "its server does not trust the aggregator")
            }
        }
        MessageClass::BadStatus404 => root(Cause::AnotherServerAnswers, "what answers there does not serve the API"),
        MessageClass::BadStatus5xx if message.trim_end().ends_with(": 500") => {
            symptom("its server answers with an error", &internal_error(context))
        }
        MessageClass::BadStatus5xx => {
            symptom("something in between answers", &[Cause::AnotherServerAnswers, Cause::ProxyInterferes])
        }
        MessageClass::Reset => {
            symptom("the connection to its server is dropped", &[Cause::ContainerCrashing, Cause::AnotherServerAnswers])
        }
        MessageClass::Tunnel if message.to_lowercase().contains("no agent available") => {
            root(Cause::ControlPlanePathClosed, "the control plane has no tunnel to the nodes")
        }
        MessageClass::Tunnel => symptom(
            "the control plane's tunnel does not reach its server",
            &[Cause::ControlPlanePathClosed, Cause::NothingListens, Cause::TargetPortMismatch],
        ),
        MessageClass::Other => symptom("its server was not reached", &[]),
    }
}

/// An x509 error: the CA bundle has its own check, the serving certificate is judged here.
fn tls(
    context: &Context<'_>,
    api_service: &ApiService,
    message: &str,
    root: &dyn Fn(Cause, &str) -> Finding,
    symptom: &dyn Fn(&str, &[Cause]) -> Finding,
) -> Finding {
    let wrong_certificate =
        ["certificate is valid for", "legacy Common Name", "doesn't contain any IP SANs", "not valid for any names"];
    let bundle = api_service.spec.ca_bundle.as_deref().is_some_and(|bundle| !bundle.is_empty());
    if wrong_certificate.iter().any(|text| message.contains(text)) {
        if !bundle {
            return symptom("its serving certificate is not accepted", &[Cause::CaBundleMissing]);
        }
        return root(Cause::ServingCertificateInvalid, "its serving certificate is made for another name");
    }
    // A bundle of which every certificate is valid leaves the serving certificate alone.
    let bundle =
        bundle && super::earliest_expiry(api_service).is_none_or(|until| until <= context.snapshot.observed_at);
    if message.contains("certificate has expired or is not yet valid") {
        let candidates: &[Cause] = if bundle {
            &[Cause::ServingCertificateInvalid, Cause::CaBundleExpired]
        } else {
            &[Cause::ServingCertificateInvalid]
        };
        return symptom("a certificate has expired", candidates);
    }
    if message.contains("remote error") {
        return root(Cause::FrontProxyUntrusted, "its server refuses the aggregator's certificate");
    }
    symptom("its serving certificate is not accepted", &[Cause::CaBundleMismatch, Cause::CaBundleMissing])
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        check::Status,
        guide::Step,
        snapshot::{Collection, Snapshot},
        testing::{healthy, object, run},
    };

    fn with(status: Value) -> Snapshot {
        Snapshot {
            api_services: Collection::complete([object::<ApiService>(json!({
                "metadata": {"name": "v1beta1.metrics.k8s.io"},
                "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "service": {"namespace": "kube-system", "name": "metrics-server"}},
                "status": status
            }))]),
            ..healthy()
        }
    }

    fn failed(message: &str) -> Snapshot {
        with(
            json!({"conditions": [{"type": "Available", "status": "False", "reason": "FailedDiscoveryCheck", "message": message}]}),
        )
    }

    #[test]
    fn true_passes_and_what_is_not_known_yet_is_unknown() {
        assert_eq!(run(Step::Apiservice, "available", &healthy()).status, Status::Pass);
        for status in [
            json!({}),
            json!({"conditions": []}),
            json!({"conditions": [{"type": "Available", "status": "Unknown", "reason": "EndpointsAccessError", "message": "cannot be checked"}]}),
        ] {
            assert_eq!(run(Step::Apiservice, "available", &with(status.clone())).status, Status::Unknown, "{status}");
        }
    }

    #[test]
    fn a_message_that_proves_its_cause_names_it_and_others_are_symptoms() {
        for (message, cause) in [
            ("dial tcp 10.0.0.1:1: connect: no route to host", Cause::NoRoute),
            ("Get \"https://10.0.0.1:1/apis\": Forbidden", Cause::ProxyInterferes),
            ("lookup x: no such host", Cause::NameResolution),
            (
                "x509: certificate is valid for localhost, not metrics-server.kube-system.svc",
                // Without a caBundle no certificate would do; see check ca_bundle.
                Cause::ApiServiceUnavailable,
            ),
            ("bad status from https://10.0.0.1:1: 404", Cause::AnotherServerAnswers),
            ("http: server gave HTTP response to HTTPS client", Cause::AnotherServerAnswers),
            ("bad status from https://10.0.0.1:1: 401", Cause::FrontProxyUntrusted),
            ("bad status from https://10.0.0.1:1: 403", Cause::FrontProxyUntrusted),
            ("context deadline exceeded", Cause::ApiServiceUnavailable),
            ("connect: connection refused", Cause::ApiServiceUnavailable),
            ("bad status from https://10.0.0.1:1: 500", Cause::ApiServiceUnavailable),
            ("something new", Cause::ApiServiceUnavailable),
        ] {
            let outcome = run(Step::Apiservice, "available", &failed(message));
            assert_eq!(outcome.findings[0].cause, cause, "{message}");
        }
    }

    #[test]
    fn what_was_seen_rules_candidates_out() {
        let candidates =
            |snapshot: &Snapshot| run(Step::Apiservice, "available", snapshot).findings[0].candidates.clone();
        let missing =
            with(json!({"conditions": [{"type": "Available", "status": "False", "reason": "MissingEndpoints"}]}));
        assert_eq!(candidates(&missing), [Cause::PodsNotReady, Cause::PortNameUnresolved]);
        let error = failed("bad status from https://10.0.0.1:1: 500");
        assert_eq!(candidates(&error), [], "0.9 asks nobody about the aggregator");
        let unseen = |snapshot: Snapshot| Snapshot {
            pods: Collection::unseen(NotSeen::NotInBundle("pods")),
            workloads: Collection::unseen(NotSeen::NotInBundle("deployments")),
            ..snapshot
        };
        assert_eq!(
            candidates(&unseen(error)),
            [Cause::AuthDelegatorMissing, Cause::ApiServerUnreachable, Cause::UnsupportedVersion]
        );
        assert_eq!(candidates(&unseen(missing)).len(), 4);
        assert_eq!(
            candidates(&failed("no service port 443 found for service \"metrics-server\"")),
            [Cause::ServicePortMismatch]
        );
    }

    #[test]
    fn a_certificate_for_another_name_is_blamed_where_there_is_a_bundle_to_check_it_with() {
        let mut snapshot = failed("x509: certificate is valid for localhost, not metrics-server.kube-system.svc");
        let mut api_service = snapshot.api_services.iter().next().cloned().expect("an APIService");
        api_service.spec.ca_bundle = Some("a bundle".to_owned());
        snapshot.api_services = Collection::complete([api_service]);
        let outcome = run(Step::Apiservice, "available", &snapshot);
        assert_eq!(outcome.findings[0].cause, Cause::ServingCertificateInvalid);
    }

    #[test]
    fn while_metrics_server_starts_a_symptom_is_no_fault() {
        let mut snapshot = failed("connect: connection refused");
        let mut pod =
            snapshot.pods.get("kube-system", "metrics-server-5d8f-abcde").seen().map(|pod| (*pod).clone()).expect("it");
        pod.metadata.creation_timestamp = crate::testing::at(-40).parse().ok();
        snapshot.pods.insert(pod);
        assert_eq!(run(Step::Apiservice, "available", &snapshot).status, Status::Unknown);
        snapshot.api_services = failed("no route to host").api_services;
        assert_eq!(run(Step::Apiservice, "available", &snapshot).findings[0].cause, Cause::NoRoute);
    }

    #[test]
    fn reasons_are_read_and_unknown_ones_are_other() {
        for (reason, expected) in
            [("MissingEndpoints", Reason::MissingEndpoints), ("Brand-new", Reason::Other), ("other", Reason::Other)]
        {
            let snapshot = with(json!({"conditions": [{"type": "Available", "status": "False", "reason": reason}]}));
            assert_eq!(
                Reason::of(&snapshot.api_services.iter().next().and_then(ApiService::available).expect("one").reason),
                expected
            );
        }
    }
}
