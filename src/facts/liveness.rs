//! Containers that their own liveness probe kills.

use super::{Facts, containers::Replica, metrics_server, windows};
use crate::{
    snapshot::{Event, Named, pod::Probe, version::Version},
    wording::{
        kubelet::{ProbeEvent, ProbeKind},
        quoted,
    },
};

/// What shows that a probe kills a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeKill {
    /// The probe's settings, where the specification was seen.
    pub settings: Option<String>,
    /// What was read.
    pub evidence: Vec<String>,
}

/// Whether the container has a probe that may kill it; `None` where its specification was not seen.
pub fn has_killing_probe(replica: &Replica<'_>) -> Option<bool> {
    replica.container.map(|container| container.liveness_probe.is_some() || container.startup_probe.is_some())
}

/// The exit codes of a container that was asked to end: metrics-server ends by itself, shells pass SIGTERM on, and after
/// the grace period comes SIGKILL. A container that is restarted was asked by nobody but a probe.
fn was_asked_to_end(exit_code: i32) -> bool {
    matches!(exit_code, 0 | 137 | 143)
}

/// What the pod's own log says of its last start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// There is none.
    Nothing,
    /// It served, and no error stands in it.
    NoError,
    /// Something fails.
    Failure,
}

fn told(facts: &Facts<'_>, replica: &Replica<'_>) -> Told {
    let pod = replica.pod;
    let logs = facts.snapshot.logs.iter().filter(|log| {
        (log.namespace(), log.name()) == (pod.namespace(), pod.name())
            && (log.container.is_empty() || log.container == replica.status.name)
    });
    let mut told = Told::Nothing;
    for line in logs.flat_map(crate::snapshot::ContainerLog::lines).map(|line| &line.read) {
        if line.startup_failure().is_some() || line.is_scrape_failure() {
            return Told::Failure;
        }
        if line.has_started() {
            told = Told::NoError;
        }
    }
    told
}

/// Whether a probe kills this container again and again.
///
/// Up to metrics-server 0.4 the probe's endpoint fails where scrapes fail (kubernetes-sigs/metrics-server 0.3 `/healthz`,
/// 0.4 `livez`), and a log that tells of an error names something that ends the container by itself: neither is the
/// probe's fault.
pub fn probe_kill(facts: &Facts<'_>, replica: &Replica<'_>) -> Option<ProbeKill> {
    let ended = replica.last_end()?;
    if !replica.is_crashing() || replica.is_killed_for_memory() || has_killing_probe(replica) == Some(false) {
        return None;
    }
    let events: Vec<(&Event, ProbeEvent)> = events(facts, replica).collect();
    let kills = |event: &ProbeEvent| {
        matches!(
            event,
            ProbeEvent::Kills(_) | ProbeEvent::Failed { probe: ProbeKind::Liveness | ProbeKind::Startup, .. }
        )
    };
    let killed = events.iter().any(|(_, event)| matches!(event, ProbeEvent::Kills(_)));
    let failed = events.iter().any(|(_, event)| kills(event));
    let log = told(facts, replica);
    let unhealthy = events.iter().any(|(_, event)| {
        matches!(event, ProbeEvent::Failed { probe: ProbeKind::Liveness, status: Some(status) } if *status >= 500)
    });
    let version = replica.container.and_then(|container| metrics_server::version(&container.image));
    let probe_tells_of_scrapes = version.is_none_or(|version| version < Version::new(0, 5, 0));
    if log == Told::Failure || unhealthy && probe_tells_of_scrapes {
        return None;
    }
    let probe = replica.container.and_then(|container| container.liveness_probe.as_ref());
    if let (Some(probe), Some(life)) = (probe, ended.life())
        && life.as_secs() < probe.earliest_kill()
    {
        return None;
    }
    let proved = killed
        || was_asked_to_end(ended.exit_code) && failed
        || matches!(ended.exit_code, 137 | 143)
            && log == Told::NoError
            && probe.is_some()
            && may_be_untold(facts, replica);
    proved.then(|| {
        let settings = probe.map(Probe::told);
        let mut evidence: Vec<String> = settings
            .iter()
            .map(|settings| format!("container {} livenessProbe: {settings}", replica.status.name))
            .collect();
        evidence.extend(events.iter().filter(|(_, event)| kills(event)).map(|(event, _)| {
            let count = if event.times() > 1 { format!(" ({} times)", event.times()) } else { String::new() };
            format!("Event of Pod {}: {}: {}{count}", replica.name(), event.reason, quoted(&event.message))
        }));
        if log == Told::NoError {
            evidence.push(format!("the log of Pod {} shows no error", replica.name()));
        }
        ProbeKill { settings, evidence }
    })
}

/// Whether a probe may kill it though no Event says so: none were looked at, and it has ended more than once in the same way.
fn may_be_untold(facts: &Facts<'_>, replica: &Replica<'_>) -> bool {
    replica.status.restart_count >= 2 && facts.snapshot.events.in_namespace(replica.pod.namespace()).gap.is_some()
}

/// The Events of the pod that speak of its probes, of the last hour.
fn events<'f>(facts: &'f Facts<'_>, replica: &Replica<'_>) -> impl Iterator<Item = (&'f Event, ProbeEvent)> {
    let (namespace, name) = (replica.pod.namespace().to_owned(), replica.pod.name().to_owned());
    facts
        .snapshot
        .events
        .iter()
        .filter(move |event| {
            let object = &event.involved_object;
            (object.kind.as_str(), &object.namespace, &object.name) == ("Pod", &namespace, &name)
        })
        .filter(|event| event.last_seen().is_none_or(|at| facts.age(at) < windows::RESTARTS))
        .filter_map(|event| Some((event, ProbeEvent::of(&event.reason, &event.message)?)))
}
