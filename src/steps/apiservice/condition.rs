//! Condition Available: what the aggregator itself says.

use crate::{
    catalogue::Cause,
    check::{Docket, Evidence, Finding},
    facts::{
        Facts,
        certificates::Verification,
        complaint::Complaint,
        metrics_server::{self, Owner},
        network_policies::Ingress,
        proxies::{self, ProxyView},
    },
    snapshot::{Condition, ConditionStatus, Named, NotSeen, service::TargetPort, version::Version},
    wording::{
        aggregator::{MessageClass, Reason, ServiceTrouble},
        failure::{TlsTrouble, TunnelTrouble},
    },
};

/// The `APIService` is available.
pub(super) fn rule(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    let chain = &facts.chain;
    if let (None, Some(complaint)) = (chain.api_service.seen(), facts.complaint()) {
        let told = Evidence::at(complaint.line(), complaint.since);
        not_available(facts, docket, complaint, told);
        return Ok(());
    }
    let Some(api_service) = chain.api_service.clone().known()? else {
        docket.not_applicable("There is no APIService that could be available.");
        return Ok(());
    };
    let name = api_service.name();
    let Some(condition) = api_service.available() else {
        return Err(NotSeen::TooEarly(format!("the aggregator has not checked APIService {name} yet")));
    };
    let told = told(name, condition);
    match condition.status {
        ConditionStatus::True => {
            for other in chain.api_services.iter().filter(|other| other.name() != name) {
                let state = other.available().map_or("not checked yet", |condition| word(condition.status));
                docket.note(format!("APIService {} condition Available: {state}", other.name()));
            }
            docket.exclude_rest(told);
            docket.say(format!("APIService {name} is available."));
            Ok(())
        }
        ConditionStatus::Unknown => Err(NotSeen::TooEarly(format!(
            "the aggregator itself could not check: {}: {}",
            condition.reason, condition.message
        ))),
        ConditionStatus::False => {
            let Some(complaint) = facts.complaint() else { return Err(NotSeen::Defect) };
            // A proxy's answer has nothing to do with a start.
            if let Some(until) = facts.starting_until().filter(|_| complaint.class != MessageClass::Proxy) {
                docket.settle_rest(until, format!("metrics-server is just being started ({})", told.line));
                return Ok(());
            }
            not_available(facts, docket, complaint, told);
            Ok(())
        }
    }
}

fn not_available(facts: &Facts<'_>, docket: &mut Docket, complaint: &Complaint<'_>, told: Evidence) {
    let (what, mut candidates) = unavailable(facts, complaint);
    // Where a caller got samples all the same, one API server may see what another does not.
    let served = facts.contradicts_complaint().filter(|_| candidates.contains(&Cause::ControlPlanePathClosed));
    candidates.extend(served.iter().map(|_| Cause::ApiServersDisagree));
    let finding = Finding::outage(
        Cause::ApiServiceUnavailable,
        facts.chain.api_service_object(),
        format!("APIService {} is not available: {what}.", complaint.api_service),
    );
    let finding = match candidates.as_slice() {
        // A connection that is accepted and dropped is no closed port.
        [Cause::ControlPlanePathClosed] if complaint.class == MessageClass::Reset => finding.advice(DROPPED),
        _ => finding,
    };
    let alike = facts.failing_alike();
    let finding = finding.candidates(candidates).since(complaint.since).evidence(told);
    let finding = served.iter().fold(finding, |finding, served| finding.evidence(format!("and yet: {served}")));
    let finding = alike.iter().fold(finding, |finding, other| finding.evidence(other.line()));
    docket.confirm(facts.stuck_namespaces().into_iter().fold(finding, Finding::evidence));
    if complaint.was_answered() {
        docket.exclude(&[Cause::NameResolution], complaint.line());
    }
}

/// What to do where the connection is accepted and dropped, and neither pods nor a proxy do it.
const DROPPED: &str = "Something between kube-apiserver and the pod accepts the connection and drops it: look for a middlebox or a firewall that inspects TLS, a load balancer, the distribution's tunnel, and for a service mesh that demands mutual TLS of whoever calls the pod. `curl -vk` of the pod's address from a host of the control plane and from another node shows where it breaks off.";

/// As it stands in the condition.
fn word(status: ConditionStatus) -> &'static str {
    match status {
        ConditionStatus::True => "True",
        ConditionStatus::False => "False",
        ConditionStatus::Unknown => "Unknown",
    }
}

fn told(name: &str, condition: &Condition) -> Evidence {
    let Condition { status, reason, message, last_transition_time, .. } = condition;
    let since = last_transition_time.map(|since| format!(" (lastTransitionTime: {since})")).unwrap_or_default();
    Evidence::at(
        format!("APIService {name} condition Available: {} {reason}: {message}{since}", word(*status)),
        *last_transition_time,
    )
}

/// What the aggregator's message tells, and the causes that it and the objects allow.
fn unavailable(facts: &Facts<'_>, complaint: &Complaint<'_>) -> (String, Vec<Cause>) {
    let trouble = match complaint.reason {
        Reason::ServiceNotFound => Some(&ServiceTrouble::NotFound),
        Reason::EndpointsNotFound => Some(&ServiceTrouble::NoEndpointsObject),
        // What the resolver says of Services whose ports and endpoints the aggregator does not look at by itself.
        _ => complaint.word.service.as_ref(),
    };
    match trouble {
        Some(ServiceTrouble::NotFound) => {
            ("its Service does not exist".to_owned(), vec![Cause::ServiceNotFound, Cause::ApiServiceLeftOver])
        }
        Some(ServiceTrouble::NoSuchPort(port)) => {
            let port = port.map_or_else(|| "the port".to_owned(), |port| format!("port {port}"));
            (format!("its Service does not expose {port} that it asks for"), vec![Cause::ServicePortMismatch])
        }
        Some(ServiceTrouble::NoEndpointsObject) => (
            "its Service has no EndpointSlice".to_owned(),
            vec![Cause::EndpointsNotPublished, Cause::SelectorMatchesNothing],
        ),
        Some(ServiceTrouble::NoReadyAddress { .. }) => {
            ("its Service has no ready endpoint".to_owned(), without_endpoint(facts))
        }
        Some(ServiceTrouble::NotRoutable) => {
            ("its Service has no address that kube-apiserver can dial".to_owned(), vec![])
        }
        None if complaint.reason == Reason::ServicePortError => {
            ("its Service does not expose the port that it asks for".to_owned(), vec![Cause::ServicePortMismatch])
        }
        None if complaint.reason == Reason::MissingEndpoints => {
            ("its Service has no ready endpoint".to_owned(), without_endpoint(facts))
        }
        None => {
            let (what, all) = dialling(facts, complaint);
            let possible: Vec<Cause> = all.iter().copied().filter(|cause| is_possible(facts, *cause)).collect();
            // Where the objects speak against all of them the list was not complete, and a proxy that nobody saw is no
            // verdict because nothing else was thought of.
            let left = match possible.as_slice() {
                [] => all,
                [Cause::ProxyInterferes]
                    if !matches!(facts.proxies(), ProxyView::Takes { .. })
                        && complaint.class != MessageClass::Proxy =>
                {
                    all
                }
                _ => possible,
            };
            (what.to_owned(), left)
        }
    }
}

/// Whether the objects leave a cause possible.
fn is_possible(facts: &Facts<'_>, cause: Cause) -> bool {
    match cause {
        Cause::ContainerCrashing => !facts.stays_up(),
        Cause::AnotherServerAnswers | Cause::PortConflict => facts.dialled_pod().is_none(),
        Cause::ProxyInterferes => !matches!(facts.proxies(), ProxyView::NotSet { .. } | ProxyView::Exempt { .. }),
        Cause::NetworkPolicyBlocks => !matches!(
            facts.ingress(),
            Ingress::NotIsolated { gap: None } | Ingress::Admitted { .. } | Ingress::HostNetwork
        ),
        _ => true,
    }
}

/// Why a Service may have no ready endpoint, without what the objects that were seen rule out.
fn without_endpoint(facts: &Facts<'_>) -> Vec<Cause> {
    let chain = &facts.chain;
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
fn internal_error(facts: &Facts<'_>) -> Vec<Cause> {
    let version = facts.chain.container().and_then(|container| metrics_server::version(&container.image));
    let kubernetes = facts.snapshot.server_version.seen();
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

/// What came of dialling, and every cause that gives such a message.
fn dialling(facts: &Facts<'_>, complaint: &Complaint<'_>) -> (&'static str, Vec<Cause>) {
    use Cause as C;
    let failure = &complaint.word.failure;
    // A fault that other aggregated APIs share lies on the way that all of them take.
    let shared = !facts.failing_alike().is_empty();
    match complaint.class {
        MessageClass::Timeout if shared => (
            "no aggregated API is reached in time",
            vec![C::ControlPlanePathClosed, C::NetworkPolicyBlocks, C::ProxyInterferes],
        ),
        MessageClass::Timeout => {
            let mut candidates = vec![C::NetworkPolicyBlocks, C::ControlPlanePathClosed, C::ProxyInterferes];
            candidates.extend(facts.restarting().map(|_| C::ContainerCrashing));
            ("its server does not answer in time", candidates)
        }
        MessageClass::ConnectionRefused => {
            let mut candidates =
                vec![C::TargetPortMismatch, C::ContainerPortMismatch, C::ContainerCrashing, C::NothingListens];
            // Some network plugins reject what a policy forbids and do not drop it.
            if matches!(facts.ingress(), Ingress::Closed(_)) {
                candidates.push(C::NetworkPolicyBlocks);
            }
            ("the connection to its server is refused", candidates)
        }
        MessageClass::NoRoute => ("there is no route to its server", vec![C::NoRoute]),
        MessageClass::Proxy => ("a proxy configured on kube-apiserver gets in the way", vec![C::ProxyInterferes]),
        MessageClass::Dns => ("the name of its server cannot be resolved", vec![C::NameResolution]),
        MessageClass::PlainHttp if facts.dialled_pod().is_some() => (
            "a server without TLS answers",
            vec![C::AnotherServerAnswers, C::TargetPortMismatch, C::ContainerPortMismatch],
        ),
        MessageClass::PlainHttp => ("a server without TLS answers", vec![C::AnotherServerAnswers]),
        MessageClass::Tls => tls(facts, complaint),
        MessageClass::BadStatus401 | MessageClass::BadStatus403 => refused(facts, complaint),
        MessageClass::BadStatus404 if facts.shares_its_nodes_address() => {
            ("what answers there does not serve the API", vec![C::AnotherServerAnswers, C::PortConflict])
        }
        MessageClass::BadStatus404 => ("what answers there does not serve the API", vec![C::AnotherServerAnswers]),
        MessageClass::BadStatus5xx if failure.http_status == Some(500) => {
            ("its server answers with an error", internal_error(facts))
        }
        MessageClass::BadStatus5xx => {
            ("something in between answers", vec![C::AnotherServerAnswers, C::ProxyInterferes])
        }
        MessageClass::Reset => (
            "the connection to its server is dropped",
            vec![C::ContainerCrashing, C::AnotherServerAnswers, C::ProxyInterferes, C::ControlPlanePathClosed],
        ),
        MessageClass::Tunnel if matches!(failure.tunnel, Some(TunnelTrouble::NoAgent | TunnelTrouble::NoSession)) => {
            ("the control plane has no tunnel to its server's node", vec![C::ControlPlanePathClosed])
        }
        MessageClass::Tunnel if shared => {
            ("the control plane's tunnel does not reach its server", vec![C::ControlPlanePathClosed])
        }
        MessageClass::Tunnel => (
            "the control plane's tunnel does not reach its server",
            vec![C::ControlPlanePathClosed, C::NothingListens, C::TargetPortMismatch],
        ),
        MessageClass::Other if proxies::may_answer_so(complaint.class, failure.http_status) => {
            ("a proxy asks for credentials", vec![C::ProxyInterferes])
        }
        MessageClass::Other => ("its server was not reached", Vec::new()),
    }
}

/// 401 and 403: whoever answers does not take the aggregator for what it is.
fn refused(facts: &Facts<'_>, complaint: &Complaint<'_>) -> (&'static str, Vec<Cause>) {
    let port = complaint.word.failure.dialled.as_ref().map(|dialled| dialled.port);
    if facts.chain.owner() == Some(Owner::Other) {
        return ("another server answers", vec![Cause::AnotherServerAnswers]);
    }
    // On the address of a node it may be the kubelet that answers there.
    if facts.shares_its_nodes_address() || facts.chain.pod_spec().is_none() && port == Some(10250) {
        return (
            "what answers on its port refuses the aggregator",
            vec![Cause::FrontProxyUntrusted, Cause::PortConflict],
        );
    }
    let mut candidates = vec![Cause::FrontProxyUntrusted];
    if super::front_proxy::may_be_a_proxys_answer(facts, complaint) {
        candidates.push(Cause::ProxyInterferes);
    }
    ("its server does not trust the aggregator", candidates)
}

/// An x509 error; checks `ca_bundle` and `front_proxy` judge it.
fn tls(facts: &Facts<'_>, complaint: &Complaint<'_>) -> (&'static str, Vec<Cause>) {
    let verification = facts.chain.api_service.seen().map(|api_service| Verification::of(api_service));
    let without = verification == Some(Verification::WithoutBundle);
    match &complaint.word.failure.tls {
        Some(TlsTrouble::Remote(_)) => {
            ("its server refuses the aggregator's certificate", vec![Cause::FrontProxyUntrusted])
        }
        _ if without => ("its serving certificate is not accepted", vec![Cause::CaBundleMissing]),
        Some(TlsTrouble::WrongNames | TlsTrouble::LegacyCommonName) => {
            ("its serving certificate is made for another name", vec![Cause::ServingCertificateInvalid])
        }
        Some(TlsTrouble::Expired) => {
            // A bundle of which every certificate is valid leaves the serving certificate alone.
            let valid = matches!(verification, Some(Verification::Bundle { earliest, .. }) if earliest > facts.now());
            let mut candidates = vec![Cause::ServingCertificateInvalid];
            candidates.extend((!valid).then_some(Cause::CaBundleExpired));
            ("a certificate has expired", candidates)
        }
        Some(TlsTrouble::UnknownAuthority) => (
            "its serving certificate is signed by an unknown authority",
            vec![Cause::CaBundleMismatch, Cause::CaBundleExpired],
        ),
        Some(TlsTrouble::Other) | None => (
            "its serving certificate is not accepted",
            vec![Cause::CaBundleMismatch, Cause::CaBundleExpired, Cause::ServingCertificateInvalid],
        ),
    }
}
