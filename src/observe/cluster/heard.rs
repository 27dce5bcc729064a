//! What the tasks of the observer tell, as plain data: they know this and not each other.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Instant,
};

use super::{kinds::Object, request::WatchRequest, trouble::Trouble, watched::Unreadable};
use crate::{
    health::{KubeletRequests, Permission},
    snapshot::{
        AccessReview, CustomResourceDefinition, Dial, Event, KubernetesVersion, NotSeen, Observed, Pod, Retrieval,
        Scale,
    },
};

/// What the tasks tell the actor.
#[derive(Debug)]
pub(super) enum Message {
    /// Something happened to a watch.
    Watch { request: WatchRequest, run: u64, event: WatchEvent },
    /// The server's version was asked for.
    Version(Observed<KubernetesVersion>),
    /// A round of look-ups is done.
    Looked(Arc<Looked>),
    /// The metrics API was called.
    Probed(Probed),
    /// The endpoints were dialled.
    Dialled(Dialled),
    /// The API server was asked about metrics-server's permissions.
    Reviewed(Observed<Vec<AccessReview>>),
    /// The ports on which something listens were read.
    Listening(Observed<BTreeSet<u16>>),
    /// Something happened to a log.
    Log { key: LogKey, event: LogEvent },
    /// Events of pods were read.
    Events(FoundEvents),
    /// The permissions were asked for.
    Permissions(BTreeMap<Permission, bool>),
}

/// Something that happened to a watch.
#[derive(Debug, Clone)]
pub(super) enum WatchEvent {
    /// A list begins: what it does not show is gone.
    Relisting,
    /// An object of the list.
    Listed(Result<Object, Box<Unreadable>>),
    /// The list is complete.
    Complete,
    /// An object was added or changed.
    Applied(Result<Object, Box<Unreadable>>),
    /// An object is gone, or no longer matches the selector.
    Deleted { namespace: String, name: String },
    /// The API server has accepted the watch, for the first time or to go on: kube tells nothing of the latter.
    Answered,
    /// A request failed.
    Failed { verb: &'static str, trouble: Trouble },
}

/// What an autoscaler scales.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ScaleTarget {
    pub(super) namespace: String,
    /// As written in `scaleTargetRef`; only its group counts.
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) name: String,
}

/// What was looked up.
#[derive(Debug, Clone, Default)]
pub(super) struct Looked(pub(super) BTreeMap<ScaleTarget, LookedTarget>);

/// What was looked up for one target.
#[derive(Debug, Clone)]
pub(super) struct LookedTarget {
    /// When.
    pub(super) at: Instant,
    /// The answer of its scale subresource.
    pub(super) scale: Observed<Arc<Scale>>,
    /// The definition of its kind by name, where the kind is not built in.
    pub(super) definition: Option<(String, Observed<Arc<CustomResourceDefinition>>)>,
    /// Its pods, where they are needed.
    pub(super) pods: Option<FoundPods>,
}

/// Events by the namespace and name of the pod that they are about, or why they were not seen.
#[derive(Debug, Clone, Default)]
pub(super) struct FoundEvents(pub(super) BTreeMap<(String, String), EventsOfPod>);

pub(super) type EventsOfPod = Result<Vec<Arc<Event>>, NotSeen>;

/// The pods under a selector.
#[derive(Debug, Clone)]
pub(super) struct FoundPods {
    /// The part of the selector that asks for equal labels; empty where it has none.
    pub(super) labels: BTreeMap<String, String>,
    /// What was found.
    pub(super) pods: Vec<Arc<Pod>>,
    /// Why some may be missing.
    pub(super) gap: Option<NotSeen>,
}

/// What both calls got.
#[derive(Debug)]
pub(super) struct Probed {
    pub(super) nodes: Observed<Retrieval>,
    pub(super) pods: Observed<Retrieval>,
}

/// An address and port of a slice.
pub(super) type Target = (IpAddr, u16);

/// What a round of dials got.
#[derive(Debug, Default)]
pub(super) struct Dialled {
    pub(super) dials: Vec<Dial>,
    /// What each server that answered counts of its own requests to kubelets.
    pub(super) kubelet_requests: Vec<(Target, KubeletRequests)>,
}

/// One container of one pod.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LogKey {
    pub(super) namespace: String,
    pub(super) pod: String,
    /// A pod of the same name (of a `StatefulSet`) is another one.
    pub(super) uid: String,
    pub(super) container: String,
}

/// Something that a follower has read.
#[derive(Debug)]
pub(super) enum LogEvent {
    /// New lines; empty when the log could be opened and has none.
    Lines(Vec<String>),
    /// The container was started anew: what was told so far is its previous log.
    Restarted,
    /// The log cannot be read.
    Failed(NotSeen),
}
