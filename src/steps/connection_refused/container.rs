//! Whether metrics-server's containers stay up, and whether something listens.

use jiff::Timestamp;

use super::replica;
use crate::{
    catalogue::Cause,
    check::{Docket, Finding, Impact, Slot},
    facts::{
        Facts,
        containers::{Containers, Replica},
        liveness, metrics_server,
        ports::{Hop, PortChain},
        windows,
    },
    snapshot::{Dial, DialOutcome, NotSeen, dial::outcomes_since},
    wording::aggregator::MessageClass,
};

/// Something listens on the port that all agree on, and the containers stay up.
pub(super) fn state(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    nothing_listens(facts, docket);
    let Some(containers) = replica::seen(facts, docket)? else { return Ok(()) };
    let told = replica::confirm_told(facts, docket, &[Cause::PrivilegedPort, Cause::CertificateDirectoryUnwritable]);
    let killed = containers.failing().find(|replica| replica.is_killed_for_memory());
    if let Some(killed) = killed {
        docket.confirm(out_of_memory(facts, containers, killed));
    }
    let crashing = containers.failing().find(|replica| replica.is_crashing());
    if let (Some(crashing), None, false) = (crashing, killed, told) {
        docket.confirm(container_crashing(facts, containers, crashing));
    }
    if killed.is_none() && containers.none_ended_lately(facts.now()) {
        docket.exclude(&[Cause::OutOfMemory], "no container was OOMKilled in the last hour");
    }
    if containers.has_stable() && containers.none_ended_lately(facts.now()) {
        docket.exclude(
            &[Cause::ContainerCrashing, Cause::PrivilegedPort, Cause::CertificateDirectoryUnwritable],
            "a pod of metrics-server is Ready, and none of its containers has ended in the last hour",
        );
        docket.say("The containers of metrics-server run.");
        return Ok(());
    }
    if containers.replicas.iter().all(Replica::has_started) && !containers.replicas.is_empty() {
        docket.exclude(
            &[Cause::PrivilegedPort, Cause::CertificateDirectoryUnwritable],
            "the container runs for longer than a start that fails",
        );
    }
    if !containers.replicas.is_empty() && containers.none_ended_lately(facts.now()) {
        docket.exclude(&[Cause::ContainerCrashing], "no container of metrics-server has ended in the last hour");
        docket.say("No container of metrics-server has ended in the last hour.");
        return Ok(());
    }
    Err(replica::unread(facts))
}

fn nothing_listens(facts: &Facts<'_>, docket: &mut Docket) {
    let chain = &facts.chain;
    let Some(complaint) = facts.complaint().filter(|complaint| complaint.class == MessageClass::ConnectionRefused)
    else {
        let other = facts.complaint().is_some_and(|complaint| {
            matches!(
                complaint.class,
                MessageClass::Timeout
                    | MessageClass::Tls
                    | MessageClass::PlainHttp
                    | MessageClass::BadStatus401
                    | MessageClass::BadStatus403
                    | MessageClass::BadStatus404
                    | MessageClass::BadStatus5xx
            )
        });
        if chain.is_available() || other {
            docket.exclude(&[Cause::NothingListens], "the aggregator reports no refused connection");
        } else if facts.dialled().is_ok_and(|outcome| outcome.is_some_and(DialOutcome::is_connected)) {
            docket.exclude(&[Cause::NothingListens], "a direct dial on that port is accepted");
        }
        return;
    };
    let ports = PortChain::of(facts.snapshot, chain);
    let differ = Hop::ALL.into_iter().any(|hop| ports.mismatch(hop) == Some(true));
    // Where the Service was not seen, nothing tells that the ports agree.
    if differ || chain.service.seen().is_none() || !facts.containers().has_stable() || !facts.dials_endpoint() {
        return;
    }
    let dials = match facts.snapshot.dials.as_ref().known() {
        Ok(dials) => dials,
        Err(NotSeen::NotLooked | NotSeen::NotInBundle(_)) => None,
        Err(reason) => {
            docket.open(&[Cause::NothingListens], &reason);
            return;
        }
    };
    let dialled = match dials {
        Some(dials) => match since_the_calls_fail(facts, dials, complaint.since) {
            Ok(outcomes) => outcomes,
            Err(until) => {
                docket.settle(&[Cause::NothingListens], until, "the endpoints were not dialled since the calls fail");
                return;
            }
        },
        None => Vec::new(),
    };
    if dialled.iter().all(|outcome| *outcome == DialOutcome::Answered) && !dialled.is_empty() {
        docket.exclude(&[Cause::NothingListens], "metrics-server answers a direct dial on that port");
    } else if dialled.iter().any(|outcome| *outcome != DialOutcome::Refused) {
        let reason = "direct dials of the endpoints do not end as the aggregator's calls do";
        docket.open(&[Cause::NothingListens], &NotSeen::Unclear(reason.to_owned()));
    } else if facts.is_condition_older_than_pods(complaint) {
        let until = windows::after(facts.now(), windows::AGGREGATOR_RESYNC).unwrap_or(facts.now());
        docket.settle(&[Cause::NothingListens], until, "the pods became Ready after the aggregator last looked");
    } else {
        let finding = Finding::outage(
            Cause::NothingListens,
            chain.workload_object(),
            "All ports match and the pods are Ready, but connections to metrics-server's port are refused.",
        )
        .since(complaint.since)
        .evidence(complaint.line());
        let dials = facts.snapshot.dials.seen().into_iter().flatten();
        docket.confirm(dials.fold(finding, |finding, dial| finding.evidence(dial.told())));
    }
}

/// How the dials since the calls fail ended, none where none can be expected any more.
///
/// # Errors
///
/// Until when dials may still follow.
fn since_the_calls_fail(
    facts: &Facts<'_>,
    dials: &[Dial],
    since: Option<Timestamp>,
) -> Result<Vec<DialOutcome>, Timestamp> {
    let outcomes: Vec<DialOutcome> = outcomes_since(dials, since).collect();
    let expected_until = since.and_then(|since| windows::after(since, windows::NEXT_CALL));
    match expected_until {
        Some(until) if outcomes.is_empty() && facts.now() < until => Err(until),
        _ => Ok(outcomes),
    }
}

fn out_of_memory(facts: &Facts<'_>, containers: &Containers<'_>, killed: &Replica<'_>) -> Finding {
    let summary = format!(
        "Container {} of pod {} was OOMKilled: it reached its memory limit.",
        killed.status.name,
        killed.name()
    );
    let mut finding = replica::finding(facts, containers, killed, Cause::OutOfMemory, summary);
    if let Some(container) = killed.container
        && let Some(limit) = container.resources.limits.get("memory")
    {
        finding = finding.evidence(format!("container {} limits.memory: {limit}", container.name));
    }
    let resizer = killed.pod.spec.containers.iter().find(|container| metrics_server::is_resizer(&container.image));
    if let Some(resizer) = resizer {
        finding = finding.advice(format!(
            "Raise the base and the amount per node of the resizer, container {} of the same pod (--memory, --extra-memory), or remove it: it sets back the limit of metrics-server. 200 MiB and 2 MiB more for each node above 100: `kubectl edit WORKLOAD -n NAMESPACE`.",
            resizer.name
        ));
    }
    finding
}

fn container_crashing(facts: &Facts<'_>, containers: &Containers<'_>, crashing: &Replica<'_>) -> Finding {
    let elsewhere = if containers.has_stable() { ", while another replica serves" } else { "" };
    let count = crashing.status.restart_count;
    let state = match count {
        0 => "has crashed".to_owned(),
        1 => "has crashed and was restarted".to_owned(),
        _ => format!("is crash-looping ({count} restarts)"),
    };
    let summary = format!("Container {} of pod {} {state}{elsewhere}.", crashing.status.name, crashing.name());

    replica::finding(facts, containers, crashing, Cause::ContainerCrashing, summary)
}

/// No probe kills the containers.
pub(super) fn liveness_probe(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    let Some(containers) = replica::seen(facts, docket)? else { return Ok(()) };
    let kill = containers
        .failing()
        .filter(|replica| replica.told().is_none())
        .find_map(|replica| Some((replica, liveness::probe_kill(facts, replica)?)));
    if let Some((killed, kill)) = kill {
        let settings = kill.settings.map_or_else(String::new, |settings| format!(" ({settings})"));
        let summary = format!(
            "The liveness probe{settings} keeps killing container {} of pod {}.",
            killed.status.name,
            killed.name()
        );
        let finding = replica::finding(facts, containers, killed, Cause::LivenessProbeKills, summary);
        docket.confirm(kill.evidence.into_iter().fold(finding, Finding::evidence));
        return Ok(());
    }
    let all =
        |holds: fn(&Replica<'_>) -> bool| !containers.replicas.is_empty() && containers.replicas.iter().all(holds);
    if all(|replica| liveness::has_killing_probe(replica) == Some(false)) {
        docket.not_applicable("The container has no liveness probe.");
        return Ok(());
    }
    if containers.none_ended_lately(facts.now()) && !containers.replicas.is_empty() {
        docket.exclude_rest("No container of metrics-server has ended in the last hour.");
        return Ok(());
    }
    if all(|replica| replica.is_killed_for_memory() || replica.told().is_some()) {
        docket.exclude_rest("The containers end for another reason.");
        return Ok(());
    }
    Err(facts.snapshot.events.all().gap.unwrap_or_else(|| replica::unread(facts)))
}

/// The weight of what fails in some replicas.
pub(super) fn impact(containers: &Containers<'_>) -> Impact {
    if containers.served_elsewhere() { Impact::Latent } else { Impact::Outage }
}

/// Names the pod and the container in commands.
pub(super) fn named(finding: Finding, replica: &Replica<'_>) -> Finding {
    let pod = &replica.pod.metadata;
    finding
        .slot(Slot::Pod, pod.name.clone())
        .slot(Slot::Namespace, pod.namespace.clone())
        .slot(Slot::Container, replica.status.name.clone())
}
