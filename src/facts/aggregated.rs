//! The other APIs behind the aggregation layer: those of custom and external metrics, and whatever else is served by a
//! Service. Where they fail alike, the fault is not metrics-server's.

use super::{Facts, complaint::Complaint};
use crate::{
    snapshot::{ApiService, EndpointSlice, Listing, Named, NotSeen, Observed, endpoints::Endpoint},
    wording::aggregator::MessageClass,
};

/// The groups that autoscalers read beside `metrics.k8s.io`.
pub const OTHER_METRICS_GROUPS: [&str; 2] = ["custom.metrics.k8s.io", "external.metrics.k8s.io"];

/// Another API of metrics, with what was seen of the way to it.
#[derive(Debug)]
pub struct OtherMetricsApi<'s> {
    /// Its registration.
    pub api_service: &'s ApiService,
    /// What the aggregator says is wrong; `None` while it says nothing or that all is well.
    pub complaint: Option<Complaint<'s>>,
    /// What was seen of its Service.
    pub way: Way,
}

/// How far the way to an aggregated API's server goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Its Service does not exist.
    ServiceMissing,
    /// Its Service has no such port.
    PortMissing(u16),
    /// Its Service has no ready address.
    NoReadyEndpoint,
    /// Nothing that was seen is wrong.
    Open,
    /// Not enough was seen.
    Unseen(NotSeen),
}

/// The registered APIs of custom and external metrics.
pub(super) fn other_metrics<'s>(facts: &Facts<'s>) -> Listing<'s, ApiService> {
    facts.snapshot.api_services.all().filter(|api_service| {
        // The name is always VERSION.GROUP, should a bundle lack the rest.
        let group = match api_service.spec.group.as_str() {
            "" => api_service.metadata.name.split_once('.').map_or("", |(_, group)| group),
            group => group,
        };
        OTHER_METRICS_GROUPS.contains(&group)
    })
}

impl<'s> OtherMetricsApi<'s> {
    /// What was seen of one.
    pub fn of(facts: &Facts<'s>, api_service: &'s ApiService) -> Self {
        Self { api_service, complaint: Complaint::of(api_service), way: way(facts, api_service) }
    }
}

fn way(facts: &Facts<'_>, api_service: &ApiService) -> Way {
    let Some(reference) = &api_service.spec.service else { return Way::Unseen(NotSeen::NotLooked) };
    let service = match facts.snapshot.services.get(&reference.namespace, &reference.name) {
        Observed::Absent => return Way::ServiceMissing,
        Observed::NotSeen(reason) => return Way::Unseen(reason),
        Observed::Present(service) => service,
    };
    let port = reference.effective_port();
    if service.is_cluster_ip() && service.port(port).is_none() {
        return Way::PortMissing(port);
    }
    let slices = facts
        .snapshot
        .endpoint_slices
        .in_namespace(&reference.namespace)
        .filter(|slice| slice.service_name() == reference.name);
    let ready = |slice: &&EndpointSlice| slice.endpoints.iter().any(Endpoint::is_ready);
    match &slices.gap {
        _ if slices.objects.iter().any(ready) => Way::Open,
        // The slices of the Service were seen, should others be missing.
        Some(gap) if slices.objects.is_empty() => Way::Unseen(gap.clone()),
        _ => Way::NoReadyEndpoint,
    }
}

/// The other aggregated APIs that fail with the same class of message, behind another Service: a fault of the way that all
/// of them take.
pub(super) fn failing_alike<'s>(facts: &Facts<'s>) -> Vec<Complaint<'s>> {
    let Some(own) = facts.complaint() else { return Vec::new() };
    let shared = matches!(
        own.class,
        MessageClass::Timeout
            | MessageClass::ConnectionRefused
            | MessageClass::NoRoute
            | MessageClass::Reset
            | MessageClass::Proxy
            | MessageClass::Tunnel
            | MessageClass::BadStatus401
            | MessageClass::BadStatus403
    );
    if !shared {
        return Vec::new();
    }
    let service = facts.chain.service_reference().map(|reference| (&reference.namespace, &reference.name));
    facts
        .snapshot
        .api_services
        .iter()
        .filter(|api_service| {
            let other = api_service.spec.service.as_ref().map(|reference| (&reference.namespace, &reference.name));
            other.is_some() && other != service && !api_service.serves_metrics()
        })
        .filter_map(Complaint::of)
        .filter(|complaint| complaint.class == own.class)
        .collect()
}

impl<'s> Facts<'s> {
    /// The registered APIs of custom and external metrics.
    pub fn other_metrics_apis(&self) -> Listing<'s, ApiService> {
        other_metrics(self)
    }

    /// How many namespaces cannot be deleted because an API does not answer discovery, for evidence; `None` for none.
    pub fn stuck_namespaces(&self) -> Option<String> {
        let stuck = self.snapshot.namespaces.iter().filter(|namespace| namespace.deletion_discovery_failure);
        let names: Vec<&str> = stuck.map(Named::name).collect();
        let noun = if names.len() == 1 { "namespace" } else { "namespaces" };
        let shown = names.iter().take(5).copied().collect::<Vec<_>>().join(", ");
        (!names.is_empty()).then(|| {
            format!(
                "{} {noun} cannot be deleted for failed discovery (NamespaceDeletionDiscoveryFailure): {shown}",
                names.len()
            )
        })
    }

    /// The other aggregated APIs that fail with the same class of message.
    pub fn failing_alike(&self) -> Vec<Complaint<'s>> {
        failing_alike(self)
    }
}
