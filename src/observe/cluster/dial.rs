//! Dials the endpoints of metrics-server from where the doctor runs: what the aggregator cannot reach and the doctor can
//! is closed in between.
//!
//! No credentials are sent: whoever stands behind an endpoint has a certificate that nobody vouches for.

mod call;
mod server_metrics;
mod tls;

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsConnector;

pub(super) use self::server_metrics::KubeletRequestTotals;
use super::{
    backoff::jitter,
    heard::{Dialled, Message, Target},
    options::Timings,
};
use crate::{
    facts::chain::Chain,
    snapshot::{Named, NotSeen, Snapshot},
};

/// Until an endpoint is connected, and as long again until it has answered: shorter than the aggregator's five seconds.
const LIMIT: Duration = Duration::from_secs(2);
/// Endpoints that are dialled: more say nothing new.
const ENDPOINTS: usize = 4;

/// Dials for ever: now and then, and at once when the endpoints or the aggregator's word change.
pub(super) async fn run(
    timings: Timings,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    messages: mpsc::Sender<Message>,
) {
    let connector = tls::connector();
    loop {
        let known = {
            let snapshot = snapshots.borrow_and_update();
            cues(&snapshot)
        };
        if known.is_known {
            let dialled = dial_all(&connector, &known.targets, LIMIT).await;
            if messages.send(Message::Dialled(dialled)).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(jitter(timings.probe_interval)) => {}
            changed = snapshots.wait_for(|snapshot| cues(snapshot) != known) => if changed.is_err() { return },
        }
    }
}

/// What makes a round of dials worth while.
#[derive(Debug, PartialEq, Eq)]
struct Cues {
    is_known: bool,
    targets: BTreeSet<Target>,
    condition: Option<(String, &'static str)>,
}

fn cues(snapshot: &Snapshot) -> Cues {
    let chain = Chain::resolve(snapshot);
    let condition = chain.available().map(|found| (found.reason.clone(), found.status.label()));
    let is_known = chain.endpoint_slices.gap.is_none() || chain.endpoint_slices.gap == Some(NotSeen::NotLooked);
    Cues { is_known, targets: targets(&chain), condition }
}

/// Addresses behind the Service, those that are not Ready too: they are what does not answer.
pub(super) fn targets(chain: &Chain<'_>) -> BTreeSet<Target> {
    let port_name = chain.service_port().map_or("", |port| port.name.as_str());
    let of_slice = |slice: &&crate::snapshot::EndpointSlice| {
        let ports: Vec<u16> =
            slice.ports.iter().filter(|port| port.name == port_name).filter_map(|port| port.port).collect();
        let addresses = slice.endpoints.iter().flat_map(|endpoint| &endpoint.addresses);
        let addresses: Vec<IpAddr> = addresses.filter_map(|address| address.parse().ok()).collect();
        ports.into_iter().flat_map(move |port| addresses.clone().into_iter().map(move |address| (address, port)))
    };
    // A hand-written slice may lead anywhere; only addresses of pods are dialled.
    let pods: BTreeSet<IpAddr> = chain
        .pods()
        .iter()
        .filter(|pod| !pod.is_terminating() && !pod.name().is_empty())
        .flat_map(|pod| pod.addresses())
        .filter_map(|address| address.parse().ok())
        .collect();
    let all = chain.endpoint_slices.objects.iter().flat_map(of_slice).filter(|(address, _)| pods.contains(address));
    all.take(ENDPOINTS).collect()
}

async fn dial_all(connector: &TlsConnector, targets: &BTreeSet<Target>, limit: Duration) -> Dialled {
    let rounds = targets.iter().map(|target| call::dial(connector, *target, limit));
    let mut dialled = Dialled::default();
    for (target, (dial, requests)) in targets.iter().zip(futures::future::join_all(rounds).await) {
        dialled.dials.push(dial);
        dialled.kubelet_requests.extend(requests.map(|requests| (*target, requests)));
    }
    dialled
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{snapshot::Collection, testing::healthy};

    #[test]
    fn only_addresses_of_metrics_servers_pods_are_dialled() {
        let snapshot = healthy();
        let dialled = targets(&Chain::resolve(&snapshot));
        assert_eq!(dialled.len(), 1, "{dialled:?}");
        let without_pods = Snapshot { pods: Collection::complete([]), ..healthy() };
        assert!(targets(&Chain::resolve(&without_pods)).is_empty());
    }
}
