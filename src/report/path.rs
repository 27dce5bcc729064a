//! The way that metrics take, hop by hop, with the place where it breaks.

use std::collections::BTreeSet;

use crate::{
    catalogue::{Cause, Stage},
    check::Impact,
    facts::{Facts, coverage, ports::PortChain},
    snapshot::{NotSeen, Observed},
    verdict::{Judgement, Verdict},
};

/// A hop, in the order of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HopName {
    /// Who asks for metrics; told only where the way breaks there.
    Caller,
    /// The aggregator.
    ApiServer,
    /// The registration.
    #[serde(rename = "apiservice")]
    ApiService,
    /// The Service that it names.
    Service,
    /// The Service's endpoints.
    EndpointSlice,
    /// metrics-server.
    Pod,
    /// What metrics-server scrapes.
    Kubelets,
    /// Who needs the metrics; told only where there are any.
    Autoscalers,
}

impl HopName {
    /// For people.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::ApiServer => "API server",
            Self::ApiService => "APIService",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Pod => "pod",
            Self::Kubelets => "kubelets",
            Self::Autoscalers => "autoscalers",
        }
    }
}

/// Whether the way to a hop is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Break {
    /// Nothing says so.
    None,
    /// One of several places that fit.
    Possible,
    /// Here.
    Certain,
}

/// One hop, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Hop {
    /// Which.
    pub hop: HopName,
    /// What was seen of it: a port, a count, or what is wrong; empty where there is nothing to add.
    pub detail: String,
    /// Whether the way to it is broken.
    pub broken: Break,
}

impl Hop {
    /// Name and detail.
    pub fn label(&self) -> String {
        if self.detail.is_empty() {
            self.hop.label().to_owned()
        } else {
            format!("{} {}", self.hop.label(), self.detail)
        }
    }
}

/// The whole way; empty where the API server gave nothing at all.
pub(super) fn of(facts: &Facts<'_>, judgement: &Judgement) -> Vec<Hop> {
    if facts.reachable().is_err() {
        return Vec::new();
    }
    let (broken, certain) = breaks(judgement);
    let chain = &facts.chain;
    let ports = PortChain::of(facts.snapshot, chain);
    let port = |number: u16| format!(":{number}");
    let mut hops: Vec<(HopName, String)> = Vec::new();
    if broken.contains(&HopName::ApiServer) {
        hops.push((HopName::Caller, String::new()));
    }
    hops.push((HopName::ApiServer, String::new()));
    hops.push((HopName::ApiService, missing(&chain.api_service).to_owned()));
    let service = match (&chain.service, chain.service_reference()) {
        (Observed::Present(_), Some(reference)) => port(reference.effective_port()),
        (observed, Some(_)) => missing(observed).to_owned(),
        (_, None) => String::new(),
    };
    hops.push((HopName::Service, service));
    let endpoints = match (ports.endpoint_ports.iter().next(), &chain.endpoint_slices.gap) {
        (Some(number), _) => port(*number),
        (None, Some(NotSeen::NotLooked)) => String::new(),
        (None, Some(_)) => "not seen".to_owned(),
        (None, None) if chain.service.seen().is_some() => "empty".to_owned(),
        (None, None) => String::new(),
    };
    hops.push((HopName::EndpointSlice, endpoints));
    let listen = ports.listen.as_ref().map_or(String::new(), |(number, _)| port(*number));
    let pod = match (chain.pods(), &chain.workload_pods.gap) {
        ([], None) => "none".to_owned(),
        ([], Some(_)) => listen,
        (pods, _) if pods.iter().any(|pod| pod.is_ready() && !pod.is_terminating()) => listen,
        _ => [listen.as_str(), "not Ready"].join(" ").trim_start().to_owned(),
    };
    hops.push((HopName::Pod, pod));
    let kubelets = coverage::node_coverage(facts.snapshot, chain).map_or(String::new(), |nodes| {
        format!("{}/{}", nodes.expected.saturating_sub(nodes.missing.len()), nodes.expected)
    });
    hops.push((HopName::Kubelets, kubelets));
    let autoscalers = facts.autoscalers();
    if !autoscalers.all.is_empty() {
        let (all, blind) = (autoscalers.all.len(), autoscalers.blind().count());
        hops.push((HopName::Autoscalers, format!("{}/{all}", all - blind)));
    }
    let of = |hop: HopName| match (broken.contains(&hop), certain) {
        (false, _) => Break::None,
        (true, true) => Break::Certain,
        (true, false) => Break::Possible,
    };
    hops.into_iter().map(|(hop, detail)| Hop { hop, detail, broken: of(hop) }).collect()
}

fn missing<T>(observed: &Observed<T>) -> &'static str {
    match observed {
        Observed::Present(_) => "",
        Observed::Absent => "missing",
        Observed::NotSeen(_) => "not seen",
    }
}

/// Where it breaks, and whether that is certain.
fn breaks(judgement: &Judgement) -> (BTreeSet<HopName>, bool) {
    match &judgement.verdict {
        Verdict::Fault(cause) if judgement.lead().is_some_and(|lead| lead.impact != Impact::Latent) => {
            (BTreeSet::from([breaks_before(*cause)]), true)
        }
        Verdict::Undetermined(open) if open.broken => {
            let places: BTreeSet<HopName> = open.candidates.iter().copied().map(breaks_before).collect();
            let certain = places.len() == 1;
            (places, certain)
        }
        Verdict::Healthy(_) | Verdict::Fault(_) | Verdict::Undetermined(_) => (BTreeSet::new(), false),
    }
}

/// The first hop that is not reached while the cause holds.
fn breaks_before(cause: Cause) -> HopName {
    match (cause.stage(), cause) {
        (
            _,
            Cause::NotInstalled
            | Cause::ApiServiceMissing
            | Cause::ApiServiceUnavailable
            | Cause::MetricsApiFailing
            | Cause::MetricsApiDown,
        ) => HopName::ApiService,
        (
            _,
            Cause::ApiServiceLeftOver
            | Cause::ServiceNotFound
            | Cause::ServicePortMismatch
            | Cause::NameResolution
            | Cause::ApiOwnedByAnother,
        ) => HopName::Service,
        (_, Cause::SelectorMatchesNothing | Cause::EndpointsNotPublished | Cause::PortNameUnresolved) => {
            HopName::EndpointSlice
        }
        (_, Cause::ListPermissionMissing | Cause::KubeletPermissionMissing)
        | (Stage::KubeletScrapes | Stage::Samples, _) => HopName::Kubelets,
        (Stage::CallerRights, _) => HopName::ApiServer,
        (Stage::Hpa, _) => HopName::Autoscalers,
        (
            Stage::Installed
            | Stage::Workload
            | Stage::PortChain
            | Stage::NetworkPath
            | Stage::Identity
            | Stage::OwnRights,
            _,
        ) => HopName::Pod,
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        report::Report,
        snapshot::{Collection, Snapshot},
        testing::{healthy, without_service},
    };

    fn path(snapshot: &Snapshot) -> Vec<(String, super::Break)> {
        Report::new(snapshot).path.iter().map(|hop| (hop.label(), hop.broken)).collect()
    }

    #[test]
    fn a_healthy_way_has_its_ports_and_counts_and_no_break() {
        let hops = path(&healthy());
        let labels: Vec<&str> = hops.iter().map(|(label, _)| label.as_str()).collect();
        assert_eq!(
            labels,
            [
                "API server",
                "APIService",
                "Service :443",
                "EndpointSlice :10250",
                "pod :10250",
                "kubelets 2/2",
                "autoscalers 1/1"
            ]
        );
        assert!(hops.iter().all(|(_, broken)| *broken == super::Break::None));
    }

    #[test]
    fn the_broken_hop_is_marked() {
        let hops = path(&without_service());
        let broken: Vec<_> = hops.iter().filter(|(_, broken)| *broken != super::Break::None).collect();
        assert_eq!(broken, [&("Service missing".to_owned(), super::Break::Certain)]);
        let nothing = Snapshot { api_services: Collection::complete([]), ..without_service() };
        let hops = path(&nothing);
        assert!(hops.contains(&("APIService missing".to_owned(), super::Break::Certain)), "{hops:?}");
    }
}
