//! How the doctor itself is doing, as plain data: its watches, its requests, its rights, its certificate. For self metrics
//! and readiness, never for judgement.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use jiff::Timestamp;

/// How a watch is doing: a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WatchState {
    /// The first list is complete and the watch answers.
    Synced,
    /// The API server has no such resource.
    Absent,
    /// The first list was complete once, but the watch has not answered for longer than two of its restarts.
    Stale,
    /// The API server refuses it.
    Forbidden,
    /// The first list is not complete yet.
    Starting,
}

impl WatchState {
    /// All states.
    pub const ALL: [Self; 5] = [Self::Synced, Self::Absent, Self::Stale, Self::Forbidden, Self::Starting];

    /// As in labels.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Synced => "synced",
            Self::Absent => "absent",
            Self::Stale => "stale",
            Self::Forbidden => "forbidden",
            Self::Starting => "starting",
        }
    }
}

impl fmt::Display for WatchState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.label())
    }
}

/// The part of the cluster that one watch shows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchedPart {
    /// The plural, as in paths and in RBAC rules.
    pub resource: &'static str,
    /// Only this namespace; `None` for the whole cluster and for cluster-scoped kinds.
    pub namespace: Option<String>,
    /// Only the object with this name.
    pub name: Option<String>,
    /// Only objects with these labels.
    pub labels: BTreeMap<String, String>,
}

/// How one watch is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchHealth {
    /// The state.
    pub state: WatchState,
    /// When a list of it was last completed, or a watch started or delivered; `None` before.
    pub last_success: Option<Timestamp>,
    /// Failed requests since the watch was planned.
    pub errors: u64,
    /// How many objects are kept.
    pub objects: usize,
    /// What failed last, in one line; `None` when all is well.
    pub trouble: Option<String>,
}

/// How the observer is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObserverHealth {
    /// Every watch that runs.
    pub watches: BTreeMap<WatchedPart, WatchHealth>,
    /// Whether every planned watch has left [`WatchState::Starting`] once, with nothing more to plan, and every call that is
    /// part of a look was tried. Stays true.
    pub first_complete_look: bool,
    /// What the API server answers to the question whether the observer may do what it does; without an entry where it
    /// did not answer.
    pub permissions: BTreeMap<Permission, bool>,
    /// Lines of metrics-server's logs by class; empty where no log was read.
    pub log_lines: BTreeMap<&'static str, LogLines>,
    /// What metrics-server's own page counts of its requests to kubelets since the doctor started; `None` where it cannot be
    /// read.
    pub kubelet_requests: Option<KubeletRequests>,
}

impl ObserverHealth {
    /// The worst state among the watches of each resource.
    pub fn by_resource(&self) -> BTreeMap<&'static str, WatchState> {
        let mut states = BTreeMap::new();
        for (part, health) in &self.watches {
            let state = states.entry(part.resource).or_insert(health.state);
            *state = (*state).max(health.state);
        }
        states
    }

    /// Permissions that are missing, as RBAC has them: verb and resource.
    pub fn missing_permissions(&self) -> impl Iterator<Item = &Permission> {
        self.permissions.iter().filter(|(_, allowed)| !**allowed).map(|(permission, _)| permission)
    }

    /// What failed last, where no watch has ever had an answer.
    pub fn trouble_of_all(&self) -> Option<String> {
        let unanswered = |health: &WatchHealth| health.state == WatchState::Starting && health.last_success.is_none();
        if !self.watches.values().all(unanswered) {
            return None;
        }
        self.watches.values().find_map(|health| health.trouble.clone())
    }

    /// Whether no watch has ever had an answer although each has tried twice.
    pub fn is_out_of_reach(&self) -> bool {
        !self.watches.is_empty()
            && self.watches.values().all(|health| health.state == WatchState::Starting && health.errors >= 2)
    }
}

/// One thing that the observer does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission {
    /// `get`, `list`, `watch` or `create`.
    pub verb: &'static str,
    /// The API group, empty for the core group.
    pub group: &'static str,
    /// The plural, with the subresource: `pods/log`.
    pub resource: &'static str,
    /// Only in this namespace; `None` for the whole cluster.
    pub namespace: Option<String>,
    /// Only for the object with this name.
    pub name: Option<String>,
}

/// What a request asked for: a closed set of small size for one run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestClass {
    /// `list`, `watch`, `get` or `create`, as RBAC has it; `other` for what is no resource.
    pub verb: &'static str,
    /// The API group, empty for the core group and for what is no resource.
    pub group: String,
    /// The plural with the subresource, for example `deployments/scale`; the path for what is no resource.
    pub resource: String,
    /// The code of the answer, 0 where none came.
    pub code: u16,
}

/// How requests of one class went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RequestCount {
    /// How many.
    pub count: u64,
    /// The time until the response headers, summed up.
    pub total: Duration,
    /// When the last one was answered.
    pub last: Instant,
}

/// Requests to kubelets since the server's start (kubernetes-sigs/metrics-server `pkg/scraper/scraper.go`,
/// `metrics_server_kubelet_request_total`, 0.4.0 to 0.9.0; up to 0.3 `metrics_server_kubelet_summary_scrapes_total`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KubeletRequests {
    /// Answered with metrics.
    pub succeeded: u64,
    /// Everything else.
    pub failed: u64,
}

/// How often a class of lines was seen, and when last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogLines {
    /// Lines since the doctor started.
    pub count: u64,
    /// The moment of the last one, by the runtime's clock.
    pub last: Option<Timestamp>,
}

/// What the operating system says about the doctor's own process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessUsage {
    /// When it was started.
    pub started: Timestamp,
    /// Processor time in user and kernel mode, of all threads.
    pub cpu: Duration,
    /// Memory that is in RAM.
    pub resident_bytes: u64,
    /// Open file descriptors.
    pub open_files: usize,
}

/// How the server's certificate is doing: for self metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateState {
    /// Whether the files as they are now are in use; otherwise it is the last pair that could be used.
    pub current: bool,
    /// When the certificate in use expires.
    pub not_after: Timestamp,
}
