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
mod client;
mod dial;
mod entry;
mod health;
mod kinds;
mod logs;
mod lookups;
mod plan;
mod probe;
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
    access::Permission,
    backoff::Backoff,
    client::{Clients, ConnectError, RequestClass, RequestCount, RequestLog},
    dial::KubeletRequests,
    health::{ObserverHealth, WatchHealth, WatchState},
    kinds::WatchKind,
    logs::LogLines,
    plan::{Features, WatchRequest, plan},
};
use crate::snapshot::Snapshot;

/// How to observe.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What may be looked at.
    pub features: Features,
    /// Namespaces of which the pods' metrics are asked for; empty for metrics-server's own.
    pub probe_namespaces: Vec<String>,
    /// The port on which the doctor itself listens.
    pub own_port: Option<u16>,
    /// How often and how long.
    pub timings: Timings,
}

/// How often and how long. The defaults are made for production; tests shorten them.
#[derive(Debug, Clone, Copy)]
pub struct Timings {
    /// From a change until the snapshot that holds it, at least.
    pub debounce: Duration,
    /// Between snapshots, at least.
    pub publish_at_most_every: Duration,
    /// Between snapshots, at most, so that ages move.
    pub publish_at_least_every: Duration,
    /// From a change of the chain until new watches are started.
    pub replan: Duration,
    /// How long a watch goes on that is no longer planned.
    pub linger: Duration,
    /// Between tries of a failing watch.
    pub retry: Backoff,
    /// Between tries of a watch that is refused or not served: a standing state.
    pub retry_refused: Backoff,
    /// When data of a watch that gives no sign of life stops counting: more than two restarts.
    pub stale_after: Duration,
    /// Between look-ups for the same blind autoscaler.
    pub lookup_interval: Duration,
    /// Between questions for the server's version.
    pub version_interval: Duration,
    /// Between questions for the observer's permissions, and for metrics-server's.
    pub access_interval: Duration,
    /// Between calls of the metrics API.
    pub probe_interval: Duration,
    /// From a change of an `APIService` until the next call of the metrics API.
    pub probe_soon: Duration,
    /// How long a call of the metrics API may take.
    pub probe_timeout: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            debounce: Duration::from_millis(250),
            publish_at_most_every: Duration::from_secs(1),
            publish_at_least_every: Duration::from_secs(15),
            replan: Duration::from_millis(50),
            linger: Duration::from_mins(1),
            retry: Backoff { first: Duration::from_millis(800), longest: Duration::from_secs(15) },
            retry_refused: Backoff { first: Duration::from_secs(2), longest: Duration::from_mins(2) },
            stale_after: Duration::from_secs(150),
            lookup_interval: Duration::from_secs(30),
            version_interval: Duration::from_mins(5),
            access_interval: Duration::from_mins(5),
            probe_interval: Duration::from_secs(30),
            probe_soon: Duration::from_secs(5),
            probe_timeout: Duration::from_secs(10),
        }
    }
}

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
