//! What the kubelet says of containers: the reasons of their states and its Events
//! (kubernetes/kubernetes `pkg/kubelet/images`, `pkg/kubelet/kuberuntime`, `pkg/kubelet/prober`, 1.8 to 1.37).

/// Which probe of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeKind {
    /// Kills the container where it fails.
    Liveness,
    /// Takes the pod out of its Services where it fails.
    Readiness,
    /// Kills the container where it has not passed in time after the start.
    Startup,
}

/// What an Event of a pod says of its probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeEvent {
    /// A probe failed; the server answered with this HTTP status, or not at all.
    Failed {
        /// Which probe.
        probe: ProbeKind,
        /// The status of the answer, where there was one.
        status: Option<u16>,
    },
    /// The kubelet kills the container because of this probe.
    Kills(ProbeKind),
}

impl ProbeEvent {
    /// Reads an Event's reason and message; `None` where it speaks of no probe.
    pub fn of(reason: &str, message: &str) -> Option<Self> {
        let lower = message.to_ascii_lowercase();
        let probe = [
            ("liveness probe", ProbeKind::Liveness),
            ("readiness probe", ProbeKind::Readiness),
            ("startup probe", ProbeKind::Startup),
        ]
        .into_iter()
        .find_map(|(words, probe)| lower.contains(words).then_some(probe))?;
        match reason {
            "Unhealthy" => {
                let status = lower.split_once("statuscode: ").map(|(_, status)| {
                    status.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0)
                });
                Some(Self::Failed { probe, status: status.filter(|status| *status > 0) })
            }
            "Killing" => Some(Self::Kills(probe)),
            _ => None,
        }
    }
}

/// Whether a container that waits for this reason waits for its image.
pub fn is_image_trouble(reason: &str) -> bool {
    [
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "RegistryUnavailable",
        "ImageInspectError",
    ]
    .contains(&reason)
}

/// Whether a container that waits for this reason ended, or could not be started.
pub fn is_crash(reason: &str) -> bool {
    ["CrashLoopBackOff", "RunContainerError", "CreateContainerError", "StartError"].contains(&reason)
}

/// Whether an Event of this reason tells what keeps a pod from starting (kubernetes/kubernetes `pkg/kubelet/events/event.go`).
pub fn keeps_from_starting(reason: &str) -> bool {
    [
        "FailedMount",
        "FailedAttachVolume",
        "FailedMapVolume",
        "FailedCreatePodSandBox",
        "FailedPodSandBoxStatus",
        "NetworkNotReady",
        "FailedCreatePodContainer",
        "Failed",
    ]
    .contains(&reason)
}

/// Whether a container that ended for this reason was killed for its memory limit.
pub fn is_out_of_memory(reason: &str) -> bool {
    reason == "OOMKilled"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_of_every_wording() {
        for (reason, message, expected) in [
            (
                "Unhealthy",
                "Liveness probe failed: Get \"https://10.0.1.10:10250/livez\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
                Some(ProbeEvent::Failed { probe: ProbeKind::Liveness, status: None }),
            ),
            (
                "Unhealthy",
                "Readiness probe failed: HTTP probe failed with statuscode: 500",
                Some(ProbeEvent::Failed { probe: ProbeKind::Readiness, status: Some(500) }),
            ),
            (
                "Killing",
                "Container metrics-server failed liveness probe, will be restarted",
                Some(ProbeEvent::Kills(ProbeKind::Liveness)),
            ),
            (
                "Killing",
                "Killing container with id docker://metrics-server:Container failed liveness probe.. Container will be killed and recreated.",
                Some(ProbeEvent::Kills(ProbeKind::Liveness)),
            ),
            (
                "Killing",
                "Container metrics-server failed startup probe, will be restarted",
                Some(ProbeEvent::Kills(ProbeKind::Startup)),
            ),
            ("Killing", "Stopping container metrics-server", None),
            ("BackOff", "Back-off restarting failed container metrics-server", None),
        ] {
            assert_eq!(ProbeEvent::of(reason, message), expected, "{message}");
        }
    }
}
