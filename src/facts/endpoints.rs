//! How many addresses are behind the Service.

use std::collections::BTreeMap;

use super::chain::Chain;
use crate::snapshot::NotSeen;

/// Addresses behind the Service, each counted once over all slices and address families.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndpointCounts {
    /// Addresses that the aggregator may use.
    pub ready: usize,
    /// Addresses of pods that are not Ready.
    pub not_ready: usize,
    /// Whether a ready address has a port that the aggregator can use.
    pub usable: bool,
}

impl EndpointCounts {
    /// Counts; `Err` when the slices were not seen. Slices that were seen count even where others may be missing.
    pub fn of(chain: &Chain<'_>) -> Result<Self, NotSeen> {
        if let (Some(gap), true) = (&chain.endpoint_slices.gap, chain.endpoint_slices.objects.is_empty()) {
            return Err(gap.clone());
        }
        let slices = &chain.endpoint_slices.objects;
        // Endpoints are mirrored into slices, so they count only where no slice was seen.
        let mirrored = slices.iter().any(|slice| !slice.from_endpoints);
        let port_name = chain.service_port().map_or("", |port| port.name.as_str());
        let mut addresses: BTreeMap<&str, bool> = BTreeMap::new();
        let mut usable = false;
        for slice in slices.iter().filter(|slice| !(mirrored && slice.from_endpoints)) {
            let has_port = slice.ports.iter().any(|port| port.port.is_some() && port.name == port_name);
            for endpoint in &slice.endpoints {
                usable |= endpoint.is_ready() && has_port;
                for address in &endpoint.addresses {
                    *addresses.entry(address).or_default() |= endpoint.is_ready();
                }
            }
        }
        let ready = addresses.values().filter(|&&ready| ready).count();
        Ok(Self { ready, not_ready: addresses.len() - ready, usable })
    }
}
