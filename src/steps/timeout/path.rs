//! The way of the control plane's packets to metrics-server's pods.

use super::network_policy;
use crate::{
    catalogue::Cause,
    check::{Docket, Finding, Slot},
    facts::{
        Facts,
        complaint::Complaint,
        control_plane::WayToPods,
        endpoints::EndpointCounts,
        network_policies::Ingress,
        ports::{Hop, PortChain},
        proxies::{self, ProxyView},
        windows,
    },
    snapshot::{DialOutcome, NotSeen},
    wording::{
        aggregator::{MessageClass, Reason},
        failure::TunnelTrouble,
    },
};

/// The aggregator's calls arrive. That they fail while the pods answer others on the same port means that somebody drops
/// or rejects them on the way.
pub(super) fn rule(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    let chain = &facts.chain;
    let Some(complaint) = facts.complaint() else {
        chain.api_service.clone().known()?;
        if chain.available().is_none() {
            docket.not_applicable("The aggregator has not called yet.");
        } else if chain.is_available() {
            docket.say("The aggregator's calls do not time out.");
            docket.exclude(
                &[Cause::ControlPlanePathClosed, Cause::PodNetworkClosed, Cause::NoRoute],
                "The aggregator's calls do not time out.",
            );
            // Discovery is answered from memory; whoever asks for metrics may wait in vain.
            if facts.served_caller().is_none() && !facts.unanswered_calls().is_empty() {
                return Err(NotSeen::NotLooked);
            }
            docket.exclude_rest("The aggregator's calls do not time out.");
        } else {
            return Err(NotSeen::TooEarly("the aggregator itself could not check".to_owned()));
        }
        return Ok(());
    };
    let dialled = facts.dialled()?;
    if dialled == Some(DialOutcome::Silent) {
        let finding = Finding::outage(
            Cause::ServerUnresponsive,
            chain.workload_object(),
            "metrics-server accepts connections on its port but never answers.",
        );
        docket.confirm(with_signs(facts, complaint, finding));
        return Ok(());
    }
    match complaint.class {
        MessageClass::NoRoute => {
            let finding = Finding::outage(
                Cause::NoRoute,
                chain.api_service_object(),
                format!(
                    "APIService {} is not available: kube-apiserver has no route to its server.",
                    complaint.api_service
                ),
            )
            .advice(route_advice(facts));
            docket.confirm(with_signs(facts, complaint, finding));
            Ok(())
        }
        MessageClass::Tunnel => tunnel(facts, docket, complaint),
        MessageClass::Timeout => timed_out(facts, docket, complaint, dialled),
        MessageClass::ConnectionRefused | MessageClass::Reset
            if dialled == Some(DialOutcome::Answered) && facts.dials_endpoint() =>
        {
            blame(facts, docket, complaint, dialled, "are rejected")
        }
        // Whatever drops or resets the connection may stand on the way; a refusal names no place.
        MessageClass::Reset | MessageClass::Other | MessageClass::Proxy => {
            docket.say("The aggregator's calls do not time out.");
            docket.exclude(&[Cause::NoRoute], complaint.line());
            Err(NotSeen::NotLooked)
        }
        _ => {
            docket.exclude_rest(complaint.line());
            docket.say("The aggregator's calls do not time out.");
            Ok(())
        }
    }
}

/// The control plane's own tunnel to the nodes.
fn tunnel(facts: &Facts<'_>, docket: &mut Docket, complaint: &Complaint<'_>) -> Result<(), NotSeen> {
    docket.exclude(&[Cause::NoRoute], complaint.line());
    let what = match complaint.word.failure.tunnel {
        Some(TunnelTrouble::NoAgent) => "no agent of the control plane's tunnel is connected",
        Some(TunnelTrouble::NoSession) => "the tunnel of the pod's node is not connected to the control plane",
        // Others would get through it.
        _ if !facts.failing_alike().is_empty() => "the control plane's tunnel reaches no aggregated API",
        _ => {
            docket.say("The control plane's tunnel does not reach metrics-server.");
            return Err(NotSeen::NotLooked);
        }
    };
    let finding = Finding::outage(
        Cause::ControlPlanePathClosed,
        facts.chain.api_service_object(),
        format!("The control plane does not reach metrics-server's pods: {what}."),
    )
    .advice("Repair the control plane's tunnel to the nodes (konnectivity-server and its agents, the egress selector, the tunnel of k3s and rke2): its agents must run on the nodes and reach the control plane. No port has to be opened towards the pods.");
    docket.confirm(with_signs(facts, complaint, finding));
    Ok(())
}

fn timed_out(
    facts: &Facts<'_>,
    docket: &mut Docket,
    complaint: &Complaint<'_>,
    dialled: Option<DialOutcome>,
) -> Result<(), NotSeen> {
    docket.exclude(&[Cause::NoRoute], complaint.line());
    if network_policy::blocks(facts).is_some() {
        docket.say("A NetworkPolicy explains the timeout.");
        return Err(NotSeen::NotLooked);
    }
    if matches!(facts.ingress(), Ingress::Closed(_)) {
        docket.say("A NetworkPolicy may explain the timeout, or what keeps other aggregated APIs from answering.");
        return Err(NotSeen::NotLooked);
    }
    if matches!(facts.proxies(), ProxyView::Takes { .. }) && proxies::may_answer_so(complaint.class, None) {
        docket.say("A proxy that is set on kube-apiserver explains the timeout.");
        return Err(NotSeen::NotLooked);
    }
    if facts.is_condition_older_than_pods(complaint) {
        let until = windows::after(facts.now(), windows::AGGREGATOR_RESYNC).unwrap_or(facts.now());
        docket.settle_rest(until, "the pods became Ready after the aggregator last looked");
        return Ok(());
    }
    let ports = PortChain::of(facts.snapshot, &facts.chain);
    if Hop::ALL.into_iter().any(|hop| ports.mismatch(hop) == Some(true)) {
        docket.say("The calls go to a port that metrics-server does not listen on.");
        return Err(NotSeen::NotLooked);
    }
    blame(facts, docket, complaint, dialled, "time out")
}

/// Who drops or rejects what the aggregator sends.
fn blame(
    facts: &Facts<'_>,
    docket: &mut Docket,
    complaint: &Complaint<'_>,
    dialled: Option<DialOutcome>,
    fails: &str,
) -> Result<(), NotSeen> {
    let chain = &facts.chain;
    let finding = match dialled {
        Some(DialOutcome::Answered) => closed(facts, "The pods answer a direct dial", fails),
        // An address is ready, and a replica available, only while the pod answers its own probes.
        _ if !is_ready(facts) && !knows_a_ready_endpoint(facts, complaint) => {
            docket.say("The pods are not Ready, so they may be what does not answer.");
            return Err(chain.selected_pods.gap.clone().unwrap_or(NotSeen::NotLooked));
        }
        Some(DialOutcome::Timeout | DialOutcome::NoRoute) => Finding::outage(
            Cause::PodNetworkClosed,
            chain.workload_object(),
            format!(
                "The pods are Ready, but neither the control plane nor another pod reaches them on {}.",
                port_words(facts)
            ),
        ),
        _ if is_ready(facts) => {
            let finding = closed(facts, "The pods are Ready", fails);
            match facts.restarting() {
                // A server that its liveness probe kills again and again does not answer the aggregator either.
                Some(restarts) => {
                    finding.evidence(restarts).candidates([Cause::ControlPlanePathClosed, Cause::ContainerCrashing])
                }
                None => finding,
            }
        }
        _ => closed(facts, "The aggregator knows a ready endpoint", fails),
    };
    let finding = match facts.contradicts_complaint().filter(|_| finding.candidates.is_empty()) {
        Some(served) => {
            let candidates = [finding.cause, Cause::ApiServersDisagree];
            finding.candidates(candidates).evidence(format!("and yet: {served}"))
        }
        None => finding,
    };
    docket.confirm(with_signs(facts, complaint, finding));
    Ok(())
}

/// Whether the aggregator's word alone proves a ready endpoint: it dials only once the Service has one, and nothing that
/// was seen says otherwise (kubernetes/kube-aggregator `pkg/controllers/status`: of Services of type `ClusterIP`, every
/// version).
fn knows_a_ready_endpoint(facts: &Facts<'_>, complaint: &Complaint<'_>) -> bool {
    let chain = &facts.chain;
    let cluster_ip = chain.service.seen().is_none_or(|service| service.is_cluster_ip());
    let unseen = chain.pods().is_empty()
        && chain.selected_pods.gap.is_some()
        && EndpointCounts::of(chain).is_err()
        && chain.workload.seen().is_none();
    complaint.reason == Reason::FailedDiscoveryCheck && cluster_ip && unseen
}

fn is_ready(facts: &Facts<'_>) -> bool {
    let chain = &facts.chain;
    chain.has_ready_pod()
        || EndpointCounts::of(chain).is_ok_and(|counts| counts.ready > 0)
        || (chain.workload_is_selected || chain.service.seen().is_none())
            && chain.workload.seen().is_some_and(|workload| workload.available() > 0)
}

/// The pod's port, where it is known.
fn port(facts: &Facts<'_>) -> Option<u16> {
    let ports = PortChain::of(facts.snapshot, &facts.chain);
    let known = ports.endpoint_ports.first().copied().or(ports.resolved_target_port);
    // Behind the Service's own address any port may be.
    let dialled = || facts.complaint()?.word.failure.dialled.as_ref().map(|dialled| dialled.port);
    known.or_else(|| dialled().filter(|port| *port != 443))
}

fn port_words(facts: &Facts<'_>) -> String {
    port(facts).map_or_else(|| "the pod's port".to_owned(), |port| format!("TCP port {port}"))
}

fn closed(facts: &Facts<'_>, pods: &str, fails: &str) -> Finding {
    let chain = &facts.chain;
    let seen = !chain.pods().is_empty() || chain.workload.seen().is_some();
    let object = if seen { chain.workload_object() } else { chain.api_service_object() };
    let port = port_words(facts);
    let alike = if facts.failing_alike().is_empty() { "" } else { ", and so do those of other aggregated APIs" };
    let finding = match facts.way_to_pods() {
        WayToPods::CloudFirewall | WayToPods::HostFirewall | WayToPods::Unseen if alike.is_empty() => Finding::outage(
            Cause::ControlPlanePathClosed,
            object,
            format!(
                "{pods}, but the control plane's calls {fails}: open {port} from the control plane to the nodes and pods."
            ),
        ),
        _ => Finding::outage(
            Cause::ControlPlanePathClosed,
            object,
            format!(
                "{pods}, but the control plane's calls to {port} {fails}{alike}: there is no way from the control plane to the pod network."
            ),
        ),
    };
    match facts.way_to_pods() {
        WayToPods::CloudFirewall | WayToPods::Unseen if alike.is_empty() => finding,
        WayToPods::HostFirewall if alike.is_empty() => finding.advice(format!(
            "Open {port} from the hosts of the control plane to the nodes and pods in the firewalls of the hosts (firewalld, nftables) and between them."
        )),
        _ => finding.advice(route_advice(facts)),
    }
}

/// What to do where packets have no way.
fn route_advice(facts: &Facts<'_>) -> String {
    let port = port_words(facts);
    format!(
        "Give the hosts of the control plane a way to the pod network: the network plugin or kube-proxy on them, routes, or the tunnel that the distribution has (konnectivity, egress selector). Where that cannot be, run metrics-server with hostNetwork and a port that is free on the nodes. Firewalls in between must let {port} through."
    )
}

fn with_signs(facts: &Facts<'_>, complaint: &Complaint<'_>, finding: Finding) -> Finding {
    let finding = finding.since(complaint.since).evidence(complaint.line());
    let finding = match port(facts) {
        Some(port) => finding.slot(Slot::Port, port.to_string()),
        None => finding,
    };
    let ready = facts.chain.selected_pods.objects.iter().filter(|pod| pod.is_ready()).count();
    let finding = match ready {
        0 => finding,
        1 => finding.evidence("1 selected pod is Ready"),
        ready => finding.evidence(format!("{ready} selected pods are Ready")),
    };
    let finding = facts.stuck_namespaces().into_iter().fold(finding, Finding::evidence);
    let finding = facts.failing_alike().iter().fold(finding, |finding, other| finding.evidence(other.line()));
    facts.snapshot.dials.seen().into_iter().flatten().fold(finding, |finding, dial| finding.evidence(dial.told()))
}
