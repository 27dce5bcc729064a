//! What the checks of images, commands and containers share: which replicas they look at, and how a finding tells of one.

use super::container::{impact, named};
use crate::{
    catalogue::Cause,
    check::{Docket, Finding, Slot},
    facts::{
        Facts,
        containers::{Containers, Replica},
    },
    snapshot::{Named, NotSeen},
    wording::quoted,
};

/// The replicas; `None`, with the docket written, where there can be none.
pub(super) fn seen<'f, 's>(facts: &'f Facts<'s>, docket: &mut Docket) -> Result<Option<&'f Containers<'s>>, NotSeen> {
    let containers = facts.containers();
    if containers.pods > 0 {
        return Ok(Some(containers));
    }
    if let Some(until) = facts.starting_until() {
        docket.settle_rest(until, "the pods of metrics-server are being replaced");
        return Ok(None);
    }
    let chain = &facts.chain;
    match &containers.gap {
        _ if chain.api_service.is_absent() && chain.workload.is_absent() => {
            docket.not_applicable("There is no workload.");
        }
        Some(gap) => return Err(gap.clone()),
        None => docket.not_applicable("There are no pods."),
    }
    Ok(None)
}

/// Why a container's own word is not there.
pub(super) fn unread(facts: &Facts<'_>) -> NotSeen {
    facts.snapshot.logs.all().gap.unwrap_or(NotSeen::NotLooked)
}

/// A finding about one replica, with the state of its container as evidence.
pub(super) fn finding(
    facts: &Facts<'_>,
    containers: &Containers<'_>,
    replica: &Replica<'_>,
    cause: Cause,
    summary: String,
) -> Finding {
    let finding =
        Finding::outage(cause, facts.chain.workload_object(), summary).weighing(impact(containers)).evidence(format!(
            "Pod {} container {} restartCount: {}",
            replica.name(),
            replica.status.name,
            replica.status.restart_count
        ));
    let finding = match facts.chain.workload.seen() {
        Some(workload) => {
            finding.slot(Slot::Workload, format!("{} {}", workload.kind.name().to_ascii_lowercase(), workload.name()))
        }
        None => finding,
    };
    let messages = replica.messages().into_iter().map(|message| quoted(&message).into_owned());
    messages.fold(named(finding, replica), crate::check::Finding::evidence)
}

/// Confirms the cause that a termination message names, of those that `wanted` lists.
pub(super) fn confirm_told(facts: &Facts<'_>, docket: &mut Docket, wanted: &[Cause]) -> bool {
    let containers = facts.containers();
    let told = containers
        .failing()
        .find_map(|replica| Some((replica, replica.told().filter(|(cause, _)| wanted.contains(cause))?)));
    let Some((replica, (cause, line))) = told else { return false };
    let title = cause.entry().title.trim_end_matches('.');
    let summary = format!("{title} (pod {})", replica.name());
    let found = finding(facts, containers, replica, cause, summary).evidence(quoted(&line).into_owned());
    docket.confirm(super::image::with_architecture(facts, replica, found));
    true
}
