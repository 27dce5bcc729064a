//! Custom and external metrics: APIs of adapters of their own, which fail beside a metrics-server that works.

use crate::{
    catalogue::Cause,
    check::{Docket, Evidence, Finding, Slot},
    facts::{
        Facts,
        aggregated::{OtherMetricsApi, Way},
        windows,
    },
    snapshot::{ConditionStatus, Named, NotSeen},
};

/// They are available, where they are registered.
pub(super) fn rule(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    let listing = facts.other_metrics_apis();
    let mut unsettled: Option<String> = None;
    let mut starts = false;
    for api_service in &listing.objects {
        let name = api_service.name();
        match api_service.available() {
            Some(condition) if condition.status == ConditionStatus::True => {
                docket.note(format!("APIService {name} condition Available: True"));
            }
            Some(condition) if condition.status == ConditionStatus::False => {
                let other = OtherMetricsApi::of(facts, api_service);
                let young = condition.last_transition_time.filter(|since| facts.age(*since) < windows::START);
                let made = api_service.metadata.creation_timestamp;
                let new = made.is_some_and(|made| facts.age(made) < windows::START);
                match young.filter(|_| new).and_then(|since| windows::after(since, windows::START)) {
                    Some(until) => {
                        let why = format!("APIService {name} has just been made and is not available yet");
                        docket.say(format!("{why}."));
                        docket.settle(CAUSE, until, why);
                        starts = true;
                    }
                    None => docket.confirm(finding(facts, &other)),
                }
            }
            Some(_) | None => unsettled = Some(format!("APIService {name} was not checked yet")),
        }
    }
    if docket.has_findings() || starts {
        return Ok(());
    }
    if let Some(why) = unsettled {
        return Err(NotSeen::TooEarly(why));
    }
    match (listing.objects.is_empty(), listing.gap) {
        (true, Some(gap)) => {
            docket.say("No custom or external metrics API was seen, and not all APIServices were.");
            return Err(gap);
        }
        (true, None) => docket.not_applicable("No custom or external metrics API is registered."),
        (false, Some(gap @ NotSeen::Unreachable(_))) => return Err(gap),
        (false, _) => docket.exclude_rest("The custom and external metrics APIs that are registered are available."),
    }
    Ok(())
}

const CAUSE: &[Cause] = &[Cause::OtherMetricsApiUnavailable];

fn finding(facts: &Facts<'_>, other: &OtherMetricsApi<'_>) -> Finding {
    let api_service = other.api_service;
    let name = api_service.name();
    let object = crate::snapshot::ObjectReference::new("APIService", "", name);
    let (service, namespace) = api_service
        .spec
        .service
        .as_ref()
        .map_or(("", ""), |reference| (reference.name.as_str(), reference.namespace.as_str()));
    let what = match &other.way {
        Way::ServiceMissing => format!("its Service {namespace}/{service} does not exist"),
        Way::PortMissing(port) => format!("its Service {namespace}/{service} does not expose port {port}"),
        Way::NoReadyEndpoint => format!("its Service {namespace}/{service} has no ready endpoint"),
        Way::Open | Way::Unseen(_) => {
            other.complaint.as_ref().map_or_else(String::new, |complaint| complaint.said.clone())
        }
    };
    // Told apart only where it was seen.
    let own = if facts.served_caller().is_some() || facts.chain.is_available() { "metrics-server works; " } else { "" };
    let summary = format!("{own}APIService {name} is not available: {}.", what.trim_end_matches('.'));
    let finding = Finding::partial(Cause::OtherMetricsApiUnavailable, object, summary)
        .slot(Slot::Namespace, namespace)
        .slot(Slot::Name, service);
    let finding = facts.stuck_namespaces().into_iter().fold(finding, Finding::evidence);
    let finding = match &other.way {
        Way::ServiceMissing => finding.advice(format!(
            "Install the adapter that serves it again, or delete the registration: `kubectl delete apiservice {name}`. Until then discovery fails for every client, and namespaces cannot be deleted."
        )),
        Way::PortMissing(port) => finding.advice(format!(
            "Let the Service expose port {port}, or set spec.service.port of APIService {name} to a port that it exposes: `kubectl get service -n NAMESPACE NAME`."
        )),
        Way::NoReadyEndpoint => finding.advice(
            "Find out why the adapter's pods are not Ready, or that the Service's selector matches them: `kubectl describe service -n NAMESPACE NAME`.",
        ),
        Way::Open | Way::Unseen(_) => finding,
    };
    match &other.complaint {
        Some(complaint) => finding.since(complaint.since).evidence(Evidence::at(complaint.line(), complaint.since)),
        None => finding,
    }
}
