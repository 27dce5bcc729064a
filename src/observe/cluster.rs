//! The observer of a live cluster.
//!
//! ```text
//!  watching (one task a watch) ─┐
//!  lookups (blind autoscalers) ─┤                          ┌─▶ snapshots
//!  probe (metrics API)         ─┼─▶ actor ─▶ store (pure) ─┤
//!  access, version             ─┤     │                    └─▶ health
//!  dial, reviews, sockets      ─┤     │
//!  logs                        ─┘     └─▶ plan (pure): starts and stops watches
//! ```
//!
//! One kind that is refused or not served never ends the others: its part of the snapshot says why it was not seen. kube
//! logs whole bodies that it cannot parse and every answer above 499: leave `kube_client` out of the log filter.

mod access;
mod actor;
mod backoff;
mod bounded;
mod client;
mod condition_changes;
mod dial;
mod entry;
mod events;
mod heard;
mod kinds;
mod logs;
mod looked;
mod lookups;
mod options;
mod pace;
mod plan;
mod probe;
mod request;
mod reviews;
mod sockets;
mod store;
mod trouble;
mod watched;
mod watching;

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinHandle};

pub(crate) use self::trouble::one_line;
pub use self::{
    backoff::Backoff,
    client::{Clients, ConnectError, RequestLog},
    kinds::WatchKind,
    options::{Features, Options, Timings},
    plan::plan,
    request::WatchRequest,
};
use crate::{health::ObserverHealth, snapshot::Snapshot};

/// A running observer; dropping it ends it.
#[derive(Debug)]
pub struct Observation {
    /// The newest snapshot. The channel closes only if the observer has failed.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// How the observer is doing; sent after the snapshot that it speaks of.
    pub health: watch::Receiver<Arc<ObserverHealth>>,
    task: JoinHandle<()>,
}

impl Drop for Observation {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts to observe a cluster. Must be called within a tokio runtime.
pub fn observe(clients: Clients, options: Options) -> Observation {
    let (actor, snapshots, health) = actor::Actor::new(clients, options);
    Observation { snapshots, health, task: tokio::spawn(actor.run()) }
}

/// Observes until the first complete look is done, the deadline has passed, or the API server has proved out of reach,
/// and gives what was seen by then. What was not seen says why.
///
/// The second value is why there was no answer at all, in one line.
pub async fn observe_once(clients: Clients, options: Options, deadline: Duration) -> (Arc<Snapshot>, Option<String>) {
    let mut observation = observe(clients, options);
    let done = observation.health.wait_for(|health| health.first_complete_look || health.is_out_of_reach());
    // At the deadline, what was seen by then is the answer.
    drop(tokio::time::timeout(deadline, done).await);
    let trouble = observation.health.borrow().trouble_of_all();
    (Arc::clone(&observation.snapshots.borrow()), trouble)
}
