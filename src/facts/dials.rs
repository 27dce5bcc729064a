//! What the doctor's own dials of metrics-server's endpoints say beside the aggregator's word.

use super::Facts;
use crate::snapshot::{
    DialOutcome, NotSeen,
    dial::{common_outcome, outcomes_since},
};

impl Facts<'_> {
    /// How all of the doctor's own dials since the condition's transition ended; `Ok(None)` where they are no part of this
    /// way to run or tell different things.
    pub fn dialled(&self) -> Result<Option<DialOutcome>, NotSeen> {
        let Some(complaint) = self.complaint() else { return Ok(None) };
        match self.snapshot.dials.as_ref().known() {
            Ok(Some(dials)) => {
                let since = complaint.since;
                if !dials.is_empty() && outcomes_since(dials, since).next().is_none() {
                    return Err(NotSeen::TooEarly("the endpoints were not dialled since the calls fail".to_owned()));
                }
                Ok(common_outcome(dials, since))
            }
            Ok(None) | Err(NotSeen::NotLooked | NotSeen::NotInBundle(_)) => Ok(None),
            Err(reason) => Err(reason),
        }
    }

    /// Whether the aggregator's message names the Service's address or one of its endpoints, so that what it tells is not a
    /// proxy's; also where no endpoint was seen.
    pub fn dials_endpoint(&self) -> bool {
        let Some(complaint) = self.complaint() else { return false };
        let slices = &self.chain.endpoint_slices.objects;
        let mut addresses =
            slices.iter().flat_map(|slice| &slice.endpoints).flat_map(|endpoint| &endpoint.addresses).peekable();
        let cluster_ip = self.chain.service.seen().map_or("", |service| service.spec.cluster_ip.as_str());
        addresses.peek().is_none()
            || complaint.word.dials(cluster_ip)
            || addresses.any(|address| complaint.word.dials(address))
    }
}
