//! How the observer itself is doing: for self metrics and readiness.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;

use super::{access::Permission, dial::KubeletRequests, kinds::WatchKind, logs::LogLines, plan::WatchRequest};

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
    pub watches: BTreeMap<WatchRequest, WatchHealth>,
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
    /// The worst state among the watches of each kind.
    pub fn by_kind(&self) -> BTreeMap<WatchKind, WatchState> {
        let mut states = BTreeMap::new();
        for (request, health) in &self.watches {
            let state = states.entry(request.kind).or_insert(health.state);
            *state = (*state).max(health.state);
        }
        states
    }

    /// Permissions that are missing, as RBAC has them: verb and resource.
    pub fn missing_permissions(&self) -> impl Iterator<Item = &Permission> {
        self.permissions.iter().filter(|(_, allowed)| !**allowed).map(|(permission, _)| permission)
    }

    /// What failed last, where no watch has ever had an answer.
    pub(super) fn trouble_of_all(&self) -> Option<String> {
        let unanswered = |health: &WatchHealth| health.state == WatchState::Starting && health.last_success.is_none();
        if !self.watches.values().all(unanswered) {
            return None;
        }
        self.watches.values().find_map(|health| health.trouble.clone())
    }

    /// Whether no watch has ever had an answer although each has tried twice.
    pub(super) fn is_out_of_reach(&self) -> bool {
        !self.watches.is_empty()
            && self.watches.values().all(|health| health.state == WatchState::Starting && health.errors >= 2)
    }
}
