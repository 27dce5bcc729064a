//! The containers of metrics-server's pods: how each of them lives, over restarts.
//!
//! A crash loop is one state through its whole cycle. Between two back-offs its container runs, may be Ready and is
//! listed behind the Service; it is stable again only once it has run for as long as the kubelet needs to forget the
//! back-off. One restart that was survived is none.

use jiff::{SignedDuration, Timestamp};

use super::{chain::Chain, metrics_server, windows};
use crate::{
    catalogue::Cause,
    snapshot::{
        Named, NotSeen, Pod,
        pod::{Container, ContainerState, ContainerStatus, Terminated},
    },
    wording::{kubelet, metrics_server_log::LogLine},
};

/// How a container lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It runs, and has not ended since so long that this would matter.
    Steady,
    /// It ended once and is started again, or was: whether it stays is not clear yet.
    Restarted {
        /// When it was started again, or ended.
        since: Timestamp,
    },
    /// It ends again and again, running at this moment or not; or nobody starts it again.
    Crashing,
    /// Its image cannot be pulled.
    WithoutImage,
    /// It waits for something else: a volume, a Secret, an init container.
    Waiting,
}

impl Life {
    /// Reads the state of a container.
    pub fn of(status: &ContainerStatus, now: Timestamp) -> Self {
        let state = &status.state;
        if let Some(waiting) = &state.waiting {
            return match waiting.reason.as_str() {
                reason if kubelet::is_image_trouble(reason) => Self::WithoutImage,
                reason if kubelet::is_crash(reason) => Self::Crashing,
                _ => Self::Waiting,
            };
        }
        let again = |ended: &Terminated, restarts: u32| {
            status.restart_count >= restarts && ended.life().is_none_or(|life| life < windows::BACK_OFF_RESET)
        };
        if let Some(ended) = &state.terminated {
            let recent = ended.finished_at.filter(|ended| now.duration_since(*ended) < windows::START);
            return match recent {
                Some(since) if !again(ended, 1) => Self::Restarted { since },
                _ => Self::Crashing,
            };
        }
        let Some(running) = &state.running else { return Self::Waiting };
        let Some(ended) = &status.last_state.terminated else { return Self::Steady };
        match running.started_at.or(ended.finished_at) {
            Some(since) if now.duration_since(since) < windows::BACK_OFF_RESET => {
                if again(ended, 2) {
                    Self::Crashing
                } else {
                    Self::Restarted { since }
                }
            }
            _ => Self::Steady,
        }
    }
}

/// A pod of metrics-server that is not being deleted, with the container that decides on it: metrics-server's own, unless
/// that is well and another one keeps the pod from being Ready.
#[derive(Debug)]
pub struct Replica<'s> {
    /// The pod.
    pub pod: &'s Pod,
    /// The state of the container.
    pub status: &'s ContainerStatus,
    /// The container's specification.
    pub container: Option<&'s Container>,
    /// How it lives.
    pub life: Life,
    now: Timestamp,
}

impl<'s> Replica<'s> {
    fn of(pod: &'s Pod, now: Timestamp) -> Option<Self> {
        let own = metrics_server::container(&pod.spec).map(|container| container.name.as_str());
        let statuses = &pod.status.container_statuses;
        let own = statuses.iter().find(|status| Some(status.name.as_str()) == own).or_else(|| statuses.first());
        let is_well = |status: &ContainerStatus| status.ready && Life::of(status, now) != Life::Crashing;
        // An init container that has ended well is ready.
        let init = pod.status.init_container_statuses.iter().filter(|status| Life::of(status, now) == Life::Crashing);
        let ended_well =
            |status: &ContainerStatus| status.state.terminated.as_ref().is_some_and(|ended| ended.exit_code == 0);
        let other = statuses
            .iter()
            .filter(|status| own.is_none_or(is_well) && !is_well(status))
            .chain(init.filter(|status| !ended_well(status)))
            .next();
        let status = other.or(own)?;
        let container =
            pod.spec.containers.iter().chain(&pod.spec.init_containers).find(|container| container.name == status.name);
        Some(Self { pod, status, container, life: Life::of(status, now), now })
    }

    /// `NAMESPACE/NAME` of the pod.
    pub fn name(&self) -> String {
        format!("{}/{}", self.pod.namespace(), self.pod.name())
    }

    /// Whether it serves, and will a moment later.
    pub fn is_stable(&self) -> bool {
        self.pod.is_ready() && matches!(self.life, Life::Steady | Life::Restarted { .. })
    }

    /// Whether it ends again and again.
    pub fn is_crashing(&self) -> bool {
        self.life == Life::Crashing
    }

    /// The container's states, now and before its last restart, where that is not history.
    fn states(&self) -> impl Iterator<Item = &'s ContainerState> {
        let history = self.life == Life::Steady;
        [&self.status.state].into_iter().chain((!history).then_some(&self.status.last_state))
    }

    /// How it ended last, where that is not history.
    pub fn last_end(&self) -> Option<&'s Terminated> {
        self.states().find_map(|state| state.terminated.as_ref())
    }

    /// Whether the kernel killed it for its memory limit when it ended last.
    pub fn is_killed_for_memory(&self) -> bool {
        self.last_end().is_some_and(|ended| kubelet::is_out_of_memory(&ended.reason))
    }

    /// Whether it ended so soon after its start that only its command and its flags can be the reason; a life that was
    /// not seen may have been that short.
    pub fn ended_at_once(&self) -> bool {
        self.last_end().and_then(Terminated::life).is_none_or(|life| life < windows::READING_FLAGS)
    }

    /// Whether it has run for longer than a start takes that cannot succeed: now or before its last end.
    pub fn has_started(&self) -> bool {
        let long = |life: SignedDuration| life >= windows::READING_FLAGS;
        let runs = self.status.state.running.as_ref().is_some_and(|running| {
            self.life == Life::Steady || running.started_at.is_some_and(|at| long(self.now.duration_since(at)))
        });
        runs || self.last_end().and_then(Terminated::life).is_some_and(long)
    }

    /// What was written down of the container's states, each with the field that it stands in.
    pub fn messages(&self) -> Vec<String> {
        let mut messages = Vec::new();
        for state in self.states() {
            if let Some(waiting) = &state.waiting {
                messages.push(format!("waiting: {}: {}", waiting.reason, waiting.message));
            }
            if let Some(ended) = &state.terminated {
                let life = ended.life().map_or_else(String::new, |life| format!(" after {} s", life.as_secs()));
                messages.push(format!(
                    "terminated: {}, exit code {}{life} {}",
                    ended.reason, ended.exit_code, ended.message
                ));
            }
        }
        messages
    }

    /// The cause that a termination message names, with that message's line.
    pub fn told(&self) -> Option<(Cause, String)> {
        let messages = self.messages();
        let lines = messages.iter().flat_map(|message| message.lines());
        lines.filter_map(|line| LogLine::of(line).startup_failure().map(|cause| (cause, line.to_owned()))).next_back()
    }

    /// How long the pod has existed.
    pub fn age(&self) -> Option<SignedDuration> {
        let born = self.pod.metadata.creation_timestamp.or(self.pod.status.start_time)?;
        Some(self.now.duration_since(born))
    }
}

/// The replicas of metrics-server that are not being deleted.
#[derive(Debug)]
pub struct Containers<'s> {
    /// One for each pod whose containers the kubelet has told of.
    pub replicas: Vec<Replica<'s>>,
    /// How many pods there are, told of or not.
    pub pods: usize,
    /// Why there may be more pods.
    pub gap: Option<NotSeen>,
    available: bool,
}

impl<'s> Containers<'s> {
    pub(super) fn of(chain: &Chain<'s>, now: Timestamp) -> Self {
        let pods: Vec<&'s Pod> = chain.pods().iter().filter(|pod| !pod.is_terminating()).copied().collect();
        let gap = match (chain.pods().is_empty(), chain.selected_pods.objects.is_empty()) {
            (true, _) => chain.selected_pods.gap.clone().or_else(|| chain.workload_pods.gap.clone()),
            (false, true) => chain.workload_pods.gap.clone(),
            (false, false) => chain.selected_pods.gap.clone(),
        };
        Self {
            replicas: pods.iter().filter_map(|pod| Replica::of(pod, now)).collect(),
            pods: pods.len(),
            gap,
            available: chain.is_available(),
        }
    }

    /// Whether a replica serves, and will a moment later.
    pub fn has_stable(&self) -> bool {
        self.replicas.iter().any(Replica::is_stable)
    }

    /// Whether somebody else serves than the replicas that were seen to fail.
    pub fn served_elsewhere(&self) -> bool {
        self.has_stable() || self.available && self.gap.is_some()
    }

    /// Whether metrics-server answers at this moment, for as long as that may last.
    pub fn serves(&self) -> bool {
        self.available || self.replicas.iter().any(|replica| replica.pod.is_ready())
    }

    /// Replicas that fail for a reason of their own: crashing ones whoever else serves (then only once it is a loop), and
    /// while nobody serves, those that are not Ready.
    pub fn failing(&self) -> impl Iterator<Item = &Replica<'s>> {
        let elsewhere = self.served_elsewhere();
        let serves = self.serves();
        self.replicas.iter().filter(move |replica| match replica.life {
            Life::Crashing => !elsewhere || replica.status.restart_count >= 2,
            // While somebody serves, a registry may be slow for as long as a start takes.
            Life::WithoutImage => {
                !elsewhere && !serves || replica.age().is_some_and(|age| age >= windows::LONGEST_START)
            }
            Life::Steady | Life::Restarted { .. } | Life::Waiting => !serves && !replica.pod.is_ready(),
        })
    }

    /// Whether no container has ended within the last hour, so that none can be what fails now and then.
    pub fn none_ended_lately(&self, now: Timestamp) -> bool {
        self.replicas.iter().all(|replica| {
            let ended = replica.status.state.terminated.iter().chain(&replica.status.last_state.terminated);
            let lately = |at: Option<Timestamp>| at.is_none_or(|at| now.duration_since(at) < windows::RESTARTS);
            !replica.is_crashing() && !ended.into_iter().any(|ended| lately(ended.finished_at))
        })
    }

    /// When the container of this pod was started again after a single end.
    pub fn restarted_since(&self, pod: &Pod) -> Option<Timestamp> {
        self.replicas.iter().find(|replica| std::ptr::eq(replica.pod, pod)).and_then(|replica| match replica.life {
            Life::Restarted { since } => Some(since),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{NOW, at, object};

    fn life(status: Value) -> Life {
        Life::of(&object(status), NOW.parse().expect("a timestamp"))
    }

    fn runs(since: i64, lived: i64, restarts: u32) -> Life {
        life(json!({"restartCount": restarts, "state": {"running": {"startedAt": at(since)}},
            "lastState": {"terminated": {"exitCode": 1, "startedAt": at(since - 10 - lived), "finishedAt": at(since - 10)}}}))
    }

    #[test]
    fn a_loop_is_one_until_the_kubelet_forgets_the_back_off() {
        for since in [-1, -59, -300, -599] {
            assert_eq!(runs(since, 60, 5), Life::Crashing, "running for {since} s");
        }
        assert_eq!(runs(-600, 60, 5), Life::Steady);
    }

    #[test]
    fn one_restart_is_no_loop_and_neither_is_one_after_a_long_life() {
        assert!(matches!(runs(-30, 60, 1), Life::Restarted { .. }));
        assert!(matches!(runs(-30, 86_400, 40), Life::Restarted { .. }));
    }

    #[test]
    fn an_end_counts_at_once_only_in_a_loop() {
        let ended = |ago: i64, restarts: u32| {
            life(
                json!({"restartCount": restarts, "state": {"terminated": {"exitCode": 1, "startedAt": at(-ago - 20), "finishedAt": at(-ago)}}}),
            )
        };
        assert!(matches!(ended(2, 0), Life::Restarted { .. }));
        assert_eq!(ended(2, 1), Life::Crashing);
        assert_eq!(ended(600, 0), Life::Crashing, "nobody starts it again");
    }

    #[test]
    fn what_waits_is_told_apart() {
        let waiting = |reason: &str| life(json!({"state": {"waiting": {"reason": reason}}}));
        assert_eq!(waiting("CrashLoopBackOff"), Life::Crashing);
        assert_eq!(waiting("ImagePullBackOff"), Life::WithoutImage);
        assert_eq!(waiting("ContainerCreating"), Life::Waiting);
    }
}
