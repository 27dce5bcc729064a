//! Failed scrapes: what metrics-server does not get from kubelets.

use crate::{
    catalogue::Cause,
    check::{Docket, Evidence, Finding, Impact, Slot},
    facts::{
        Facts,
        certificate_requests::{self, Uncertified},
        coverage::Sampled,
        scrapes::{FailedScrapes, Which, some},
    },
    snapshot::{Named, NotSeen, Pod},
    wording::{
        failure::TlsTrouble,
        metrics_server_log::{lacks_kubelet_certificate, takes_it_for_anonymous},
        quoted,
    },
};

/// Rules on the causes that the logs' failed scrapes tell of.
pub(super) fn rule(facts: &Facts<'_>, docket: &mut Docket) {
    let scrapes = facts.scrapes();
    let most = scrapes.lasting.iter().map(FailedScrapes::count).max().unwrap_or(0);
    let sampled = Sampled::of(facts.snapshot);
    for failed in &scrapes.lasting {
        let all = failed.which == Which::All;
        // Where nodes fail in several ways, what most of them share takes metrics away.
        let outage = all || failed.count() == most && (!facts.chain.is_available() || sampled.is_none());
        docket.confirm(finding(facts, failed).weighing(if outage { Impact::Outage } else { Impact::Partial }));
    }
    if let Some(finding) = kubelet_without_certificate(facts, &sampled)
        && !docket.has_findings()
    {
        docket.confirm(finding);
    }
    if let Some(uncertified) = facts.uncertified()
        && uncertified.nodes.iter().any(|node| scrapes.reason(node).is_none())
        && !scrapes.lasting.iter().any(|failed| failed.cause == Cause::KubeletCertificateMissing)
    {
        without_certificate(facts, docket, &uncertified);
    }
    for failed in &scrapes.suspected {
        docket.say(format!("{}.", failed.suspicion()));
        docket.suspect(failed.cause);
        match facts.scrape_settles(failed.at) {
            Some(until) => docket.settle(&[failed.cause], until, failed.suspicion()),
            None => docket.open(&[failed.cause], &NotSeen::Unclear(failed.suspicion())),
        }
    }
}

/// Who fails, in the words of the summary.
fn whom(failed: &FailedScrapes<'_>) -> String {
    let count = failed.count();
    let nodes = if count == 1 { "1 node".to_owned() } else { format!("{count} nodes") };
    let names = some(failed.nodes.iter().copied());
    match &failed.which {
        Which::All => format!("all {nodes}").replace("all 1 node", "the only node"),
        Which::OnlyItsOwn(node) => format!("{node} alone, the node that it runs on itself,"),
        Which::AllButItsOwn(node) => format!("all nodes but {node}, which it runs on itself,"),
        Which::Some { label: Some(label) } => format!("{nodes} ({names}; those with label {label})"),
        Which::Some { label: None } | Which::Unknown if names.is_empty() => nodes,
        Which::Some { label: None } | Which::Unknown => format!("{nodes} ({names})"),
    }
}

fn finding(facts: &Facts<'_>, failed: &FailedScrapes<'_>) -> Finding {
    let cause = failed.cause;
    let summary = format!("metrics-server's scrapes of {} fail: {}", whom(failed), cause.entry().title);
    let lines = if failed.lines == 1 { "1 such line".to_owned() } else { format!("{} such lines", failed.lines) };
    let mut finding = Finding::outage(cause, facts.chain.workload_object(), summary)
        .evidence(Evidence::at(format!("log: {}", quoted(failed.line)), failed.at))
        .evidence(format!("{lines} on {}", if failed.count() == 1 { "that node" } else { "those nodes" }));
    if !failed.nodes.is_empty() {
        finding = finding.slot(Slot::Nodes, some(failed.nodes.iter().copied()));
    }
    if let Some(flag) = &failed.flag {
        finding = finding.evidence(format!("metrics-server runs with {flag}"));
    }
    match advice(failed) {
        Some(advice) => finding.advice(advice),
        None => finding,
    }
}

/// Kubelets whose request for a serving certificate nobody approved.
fn without_certificate(facts: &Facts<'_>, docket: &mut Docket, uncertified: &Uncertified<'_>) {
    let cause = Cause::KubeletCertificateMissing;
    let names = some(uncertified.nodes.iter().copied());
    let told: Vec<Evidence> = uncertified
        .requests
        .iter()
        .take(5)
        .map(|request| {
            let state = certificate_requests::state(request);
            let line = format!(
                "CertificateSigningRequest {} of {} to {}: {state}",
                request.name(),
                request.spec.username,
                request.spec.signer_name
            );
            Evidence::at(line, request.metadata.creation_timestamp)
        })
        .collect();
    if !uncertified.proved {
        let why = format!(
            "the kubelets of {names} wait for a serving certificate, and whether they have an older one was not seen"
        );
        docket.say(format!("{why}."));
        docket.suspect(cause);
        docket.open(&[cause], &NotSeen::Unclear(why));
        for line in told {
            docket.note(line);
        }
        return;
    }
    let (kubelets, have) = match uncertified.nodes.len() {
        1 => ("The kubelet", "has"),
        _ => ("The kubelets", "have"),
    };
    let summary =
        format!("{kubelets} of {names} {have} no serving certificate: nobody has approved what they ask for.");
    let outage = uncertified.all || !facts.serves();
    let finding = Finding::outage(cause, facts.chain.workload_object(), summary)
        .weighing(if outage { Impact::Outage } else { Impact::Partial })
        .since(uncertified.requests.iter().filter_map(|request| request.metadata.creation_timestamp).min())
        .slot(Slot::Nodes, names);
    docket.confirm(told.into_iter().fold(finding, Finding::evidence));
}

/// What repairs it, by what the line says and which nodes fail.
fn advice(failed: &FailedScrapes<'_>) -> Option<String> {
    if failed.cause == Cause::KubeletCertificateExpired && TlsTrouble::is_not_yet_valid(failed.line) {
        return Some(
            "Set the clocks: by that of metrics-server's node the certificates are not valid yet (`timedatectl` on NODE and on the pod's own node).".to_owned(),
        );
    }
    if failed.cause == Cause::KubeletUnauthorized && takes_it_for_anonymous(failed.line) {
        return Some(
            "Enable authentication.webhook on the kubelets (kubelet flag --authentication-token-webhook): they do not read the token and take metrics-server for system:anonymous, so that no role of its own helps.".to_owned(),
        );
    }
    let is_path = matches!(failed.cause, Cause::KubeletTimeout | Cause::KubeletRefused | Cause::KubeletUnreachable);
    if !is_path {
        return None;
    }
    if let Some(flag) = &failed.flag {
        return Some(format!(
            "Remove {flag}, or set it to the port on which the kubelets serve HTTPS (10250 unless configured otherwise)."
        ));
    }
    match (&failed.which, failed.cause) {
        (Which::OnlyItsOwn(node), _) => Some(format!(
            "Let the pod reach TCP 10250 of its own host: check the host firewall of {node} and how the CNI plugin routes from a pod to its node; with `hostNetwork: true` the request does not leave the host."
        )),
        (Which::AllButItsOwn(_), _) => Some(
            "Open TCP 10250 from node to node (security groups, network ACL, host firewalls). Where it is open, check the pod network: that only the own node answers also means that its addresses overlap with those of the nodes, or that the overlay between nodes is broken.".to_owned(),
        ),
        (Which::Some { label: Some(label) }, Cause::KubeletTimeout) => Some(format!(
            "Check what the nodes with label {label} have in common: their security group, network ACL or firewall has to let TCP 10250 in from the other nodes, and their kubelets must not be overloaded."
        )),
        (Which::Some { label: None }, Cause::KubeletTimeout) => Some(
            "Check the load of the kubelets on NODE, and whether their security group or host firewall lets TCP 10250 in from the node of metrics-server; the others answer.".to_owned(),
        ),
        _ => None,
    }
}

/// The kubelet serves logs with the certificate that it serves metrics with, so what keeps the API server from
/// metrics-server's log keeps metrics-server from the node.
fn kubelet_without_certificate(facts: &Facts<'_>, sampled: &Sampled<'_>) -> Option<Finding> {
    let chain = &facts.chain;
    let (pod, text) = facts.snapshot.logs.scopes().iter().find_map(|scope| {
        let Some(NotSeen::Unreachable(text)) = &scope.gap else { return None };
        let concerns = |pod: &&Pod| {
            scope.namespace.as_deref() == Some(pod.namespace()) && scope.name.as_deref() == Some(pod.name())
        };
        let pod = chain.pods().iter().copied().find(concerns)?;
        lacks_kubelet_certificate(text).then_some((pod, text))
    })?;
    let node = pod.spec.node_name.as_str();
    // What was scraped before the certificate went is still served, for a round.
    if chain.is_available() && sampled.nodes.contains(node) {
        return None;
    }
    let cause = Cause::KubeletCertificateMissing;
    let summary = format!("The kubelet of node {node} serves neither metrics nor logs: {}", cause.entry().title);
    let finding = Finding::outage(cause, chain.workload_object(), summary).slot(Slot::Nodes, node).evidence(format!(
        "log of pod {}/{}: {}",
        pod.namespace(),
        pod.name(),
        quoted(text)
    ));
    Some(finding.weighing(if chain.is_available() { Impact::Partial } else { Impact::Outage }))
}
