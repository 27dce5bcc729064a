//! Failed scrapes: what metrics-server does not get from kubelets.

use crate::{
    catalogue::Cause,
    check::{Docket, Evidence, Finding, Impact, Slot},
    facts::{
        Facts,
        coverage::Sampled,
        scrapes::{FailedScrapes, Which},
    },
    snapshot::{Named, NotSeen, Pod},
    wording::{metrics_server_log::lacks_kubelet_certificate, quoted},
};

/// How many names stand in a sentence.
const NAMED: usize = 5;

/// The first few names.
pub(in crate::steps) fn some<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> String {
    let count = names.len();
    let shown = names.take(NAMED).collect::<Vec<_>>().join(", ");
    if count > NAMED { format!("{shown} and {} more", count - NAMED) } else { shown }
}

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
    for failed in &scrapes.suspected {
        docket.say(format!("{}.", told(failed)));
        super::suspect(facts, docket, &[failed.cause], failed.at, told(failed));
    }
}

/// Why it cannot be told that every node is scraped, where a log's last word on one of them is a failure.
pub(in crate::steps) fn suspicion(facts: &Facts<'_>) -> Option<(Option<jiff::Timestamp>, String)> {
    let failed = facts.scrapes().suspected.first()?;
    Some((failed.at, told(failed)))
}

fn told(failed: &FailedScrapes<'_>) -> String {
    let nodes = if failed.nodes.is_empty() { "a node".to_owned() } else { some(failed.nodes.iter().copied()) };
    let times = if failed.lines == 1 { "1 scrape".to_owned() } else { format!("{} scrapes", failed.lines) };
    let since = failed.at.map_or_else(String::new, |at| format!(", the last one at {at}"));
    format!("{times} of {nodes} failed ({}{since}), and no sample since shows that this is over", failed.cause.id())
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

/// What repairs it, by which nodes fail.
fn advice(failed: &FailedScrapes<'_>) -> Option<String> {
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
