//! Kubelets that have asked for a serving certificate and were given none.
//!
//! Only kubelets with `serverTLSBootstrap` ask signer `kubernetes.io/kubelet-serving`, and such a kubelet has no certificate
//! of its own making: until its request is approved it ends every handshake (kubernetes/kubernetes
//! `pkg/kubelet/certificate/kubelet.go`, `pkg/kubelet/kubelet.go`). One that rotates its certificate asks as well, and serves
//! the old one meanwhile; so a request proves nothing of a node that is scraped.

use std::collections::{BTreeMap, BTreeSet};

use super::{Facts, coverage::Sampled, metrics_server, windows};
use crate::snapshot::{
    CertificateSigningRequest, Named, Node, certificate_signing_request::KUBELET_SERVING, version::Version,
};

/// Nodes whose kubelets were given no serving certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uncertified<'s> {
    /// The nodes.
    pub nodes: BTreeSet<&'s str>,
    /// The requests, the newest of each node.
    pub requests: Vec<&'s CertificateSigningRequest>,
    /// Whether these are all nodes that are scraped.
    pub all: bool,
    /// Whether what is missing shows that the kubelets have no older certificate either; else they may have.
    pub proved: bool,
}

/// What became of a request, in the words of `kubectl get csr`.
pub fn state(request: &CertificateSigningRequest) -> &'static str {
    if request.is("Denied") {
        "Denied"
    } else if request.is("Failed") {
        "Failed"
    } else if request.is("Approved") {
        "Approved"
    } else {
        "Pending"
    }
}

/// The newest request of each kubelet, where it was not approved and was left lying for longer than a start takes. Requests
/// under a name that is no node's stand under that name.
fn waiting<'s>(facts: &Facts<'s>) -> BTreeMap<&'s str, &'s CertificateSigningRequest> {
    let requests = || {
        let all = facts.snapshot.certificate_signing_requests.iter();
        all.filter(|request| request.spec.signer_name == KUBELET_SERVING)
    };
    let whose = |request: &'s CertificateSigningRequest| request.node().unwrap_or(request.spec.username.as_str());
    let approved: BTreeSet<&str> = requests().filter(|request| request.is("Approved")).map(whose).collect();
    let mut newest: BTreeMap<&str, &CertificateSigningRequest> = BTreeMap::new();
    for request in requests().filter(|request| !approved.contains(whose(request))) {
        let young = request.metadata.creation_timestamp.is_none_or(|made| facts.age(made) < windows::START);
        if request.is_pending() && young {
            continue;
        }
        let known = newest.entry(whose(request)).or_insert(request);
        if request.metadata.creation_timestamp > known.metadata.creation_timestamp {
            *known = request;
        }
    }
    newest
}

/// Looks for them; `None` where there are none, or where metrics-server does not verify certificates or was not seen.
pub(super) fn of<'s>(facts: &Facts<'s>) -> Option<Uncertified<'s>> {
    let container = facts.chain.container()?;
    if metrics_server::flag(container, "kubelet-insecure-tls").is_some_and(|value| value != "false") {
        return None;
    }
    let waiting = waiting(facts);
    let sampled = Sampled::of(facts.snapshot);
    let scraped = |node: &&Node| node.is_ready() && !node.is_virtual();
    let listing = facts.snapshot.nodes.all();
    let expected: BTreeSet<&'s str> = listing.objects.into_iter().filter(scraped).map(Named::name).collect();
    let is_known = |name: &str| expected.contains(name) || expected.is_empty();
    let missing = |name: &str| sampled.is_complete && !sampled.nodes.contains(name);
    let mut nodes: BTreeSet<&'s str> = waiting
        .iter()
        .filter(|(name, request)| request.node().is_some() && is_known(name) && !sampled.nodes.contains(*name))
        .map(|(name, _)| *name)
        .collect();
    let mut requests: Vec<&CertificateSigningRequest> =
        nodes.iter().filter_map(|name| waiting.get(name).copied()).collect();
    // A kubelet that asks under another name than its node's is never approved; which one it is shows in who is missing.
    let nameless: Vec<&CertificateSigningRequest> =
        waiting.values().copied().filter(|request| request.node().is_none()).collect();
    let unasked = expected.iter().copied().filter(|name| missing(name) && !nodes.contains(name));
    let unasked: Vec<&str> = unasked.filter(|name| !approved(facts, name)).collect();
    if !nameless.is_empty() && !unasked.is_empty() {
        nodes.extend(unasked);
        requests.extend(nameless);
    }
    if nodes.is_empty() {
        return None;
    }
    let all = expected.iter().all(|name| nodes.contains(name));
    // From 0.5 on one node that is scraped makes a pod Ready; before, one that is not keeps it from that.
    let version = metrics_server::version(&container.image);
    let one_is_enough = version.is_some_and(|version| version < Version::new(0, 5, 0));
    let proved = nodes.iter().all(|name| missing(name)) || !facts.serves() && (all || one_is_enough);
    Some(Uncertified { nodes, requests, all, proved })
}

fn approved(facts: &Facts<'_>, node: &str) -> bool {
    let mut requests = facts.snapshot.certificate_signing_requests.iter();
    requests.any(|request| {
        request.spec.signer_name == KUBELET_SERVING && request.node() == Some(node) && request.is("Approved")
    })
}

impl<'s> Facts<'s> {
    /// Kubelets that were given no serving certificate, though they asked.
    pub fn uncertified(&self) -> Option<Uncertified<'s>> {
        of(self)
    }
}
