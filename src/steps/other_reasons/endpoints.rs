//! `EndpointsNotFound` and `MissingEndpoints`: how many addresses, and why none.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use crate::{
    catalogue::Cause,
    check::Finding,
    facts::Facts as Context,
    facts::chain::{Chain, START_TIME},
    facts::endpoints::EndpointCounts,
    snapshot::{Condition, Named, NotSeen, Pod, Service, service::TargetPort},
    steps::bridge::Outcome,
};

/// A controller manager that was replaced leads again within its lease of 15 seconds, and then fills its caches.
const PUBLISHING: SignedDuration = SignedDuration::from_secs(60);

/// The Service has an address that the aggregator can use.
pub(super) fn evaluate(context: &Context<'_>) -> Result<Outcome, NotSeen> {
    let chain = &context.chain;
    let Some(reference) = chain.service_reference() else {
        let Err(gap) = chain.api_service.clone().known() else {
            return Ok(Outcome::skipped("No APIService names a Service."));
        };
        return unregistered(context, gap);
    };
    if chain.service.is_absent() {
        return Ok(Outcome::skipped("The Service does not exist."));
    }
    if chain.service.seen().is_some_and(|service| service.spec.kind == "ExternalName") {
        return Ok(Outcome::skipped("An ExternalName Service has no endpoints."));
    }
    let says_none = chain
        .unavailable()
        .filter(|condition| matches!(condition.reason.as_str(), "MissingEndpoints" | "EndpointsNotFound"));
    let counted = match EndpointCounts::of(chain) {
        Ok(counts) => {
            let told = format!(
                "{} ready and {} not ready addresses behind Service {}/{}",
                counts.ready, counts.not_ready, reference.namespace, reference.name
            );
            // A Service whose port is wrong has no port name to compare; that is told by the port's own check.
            if counts.ready > 0 && (counts.usable || chain.service_port().is_none()) {
                return Ok(Outcome::pass(format!("{told}.")));
            }
            told
        }
        Err(gap) if chain.is_available() => {
            return Ok(Outcome::unknown(gap, "The EndpointSlices were not seen; the aggregator reaches one of them."));
        }
        Err(gap) => match says_none {
            Some(condition) => format!("condition Available: {}: {}", condition.reason, condition.message),
            None => return Err(gap),
        },
    };
    if chain.is_available() {
        return Err(NotSeen::TooEarly("no ready address is left and the APIService is still available".to_owned()));
    }
    why_none(context, &counted, says_none)
}

/// The `APIService` was not seen; the pods of metrics-server may have been, and whatever it names leads to none of them
/// while none is Ready.
fn unregistered(context: &Context<'_>, gap: NotSeen) -> Result<Outcome, NotSeen> {
    let pods: Vec<&Pod> =
        context.chain.workload_pods.objects.iter().filter(|pod| !pod.is_terminating()).copied().collect();
    if pods.is_empty() {
        return no_pods_seen(context, gap, |finding| finding);
    }
    if pods.iter().any(|pod| pod.is_ready()) {
        return Err(gap);
    }
    selected_pods(context, None, &pods, |finding| finding)
}

/// Why the Service has no address that can be used.
fn why_none(context: &Context<'_>, counted: &str, condition: Option<&Condition>) -> Result<Outcome, NotSeen> {
    let chain = &context.chain;
    let with_evidence = |finding: Finding| {
        let finding = finding.evidence(counted);
        condition.iter().fold(finding, |finding, condition| {
            finding.evidence(format!("condition Available: {}: {}", condition.reason, condition.message))
        })
    };
    let object = chain.service_object();
    let service = chain.service.seen().copied();
    if service.is_some_and(|service| service.spec.selector.is_empty()) {
        let summary = format!("Service {}/{} has no selector and no EndpointSlice.", object.namespace, object.name);
        return Ok(Outcome::fail(with_evidence(Finding::outage(Cause::EndpointsNotPublished, object, summary))));
    }
    let pods: Vec<&Pod> = chain.pods().iter().filter(|pod| !pod.is_terminating()).copied().collect();
    if let Some(workload) = chain.workload.seen()
        && workload.wanted() == 0
        && pods.is_empty()
    {
        return Ok(Outcome::skipped("The workload is scaled to zero."));
    }
    // Pods that run metrics-server but lack a label of the selector.
    if let (Some(service), Some(workload)) = (service, chain.workload.seen())
        && !chain.workload_is_selected
        && workload.namespace() == service.namespace()
        && chain.selected_pods.objects.is_empty()
    {
        let labels = &workload.spec.template.metadata.labels;
        let summary = format!(
            "The selector of Service {}/{} matches no pod of {} {}.",
            service.namespace(),
            service.name(),
            workload.kind.name(),
            workload.name()
        );
        let finding = Finding::outage(Cause::SelectorMatchesNothing, object, summary)
            .evidence(format!("Service spec.selector: {}", pairs(&service.spec.selector)))
            .evidence(format!("pod template labels: {}", pairs(labels)));
        return Ok(Outcome::fail(with_evidence(finding)));
    }
    if !chain.selected_pods.objects.is_empty() {
        return selected_pods(context, service, &pods, with_evidence);
    }
    let gap = chain.selected_pods.gap.clone();
    if condition.is_some() && pods.is_empty() && chain.workload.seen().is_none() {
        let finding = Finding::outage(
            Cause::ApiServiceUnavailable,
            chain.api_service_object(),
            format!("Service {}/{} has no ready endpoint, and its pods were not seen.", object.namespace, object.name),
        )
        .candidates([
            Cause::SelectorMatchesNothing,
            Cause::ReplicasZero,
            Cause::PodsNotReady,
            Cause::PortNameUnresolved,
        ]);
        return Ok(Outcome::fail(with_evidence(finding)));
    }
    if !pods.is_empty() {
        return selected_pods(context, service, &pods, with_evidence);
    }
    match gap {
        // The workload's own check tells why it has no pods.
        None => Ok(Outcome::unknown(
            NotSeen::TooEarly("the workload has no pods".to_owned()),
            "There are no pods to be ready.",
        )),
        Some(gap) => no_pods_seen(context, gap, with_evidence),
    }
}

/// The pods were not seen; the Deployment's own counts may tell that none is Ready.
fn no_pods_seen(
    context: &Context<'_>,
    gap: NotSeen,
    with_evidence: impl Fn(Finding) -> Finding,
) -> Result<Outcome, NotSeen> {
    let Some(workload) = context.chain.workload.seen() else { return Err(gap) };
    if workload.wanted() > 0 && workload.available() == 0 && workload.status.replicas > 0 {
        let finding = Finding::outage(
            Cause::PodsNotReady,
            context.chain.workload_object(),
            format!("No pod of {} {}/{} is Ready.", workload.kind.name(), workload.namespace(), workload.name()),
        )
        .evidence(format!("status.availableReplicas: {} of {}", workload.available(), workload.wanted()))
        .candidates([Cause::PodsNotReady, Cause::ContainerCrashing, Cause::ImageUnavailable]);
        return Ok(Outcome::fail(with_evidence(finding)));
    }
    Err(gap)
}

/// Pods match; they are not Ready, or nobody publishes them.
fn selected_pods(
    context: &Context<'_>,
    service: Option<&Service>,
    pods: &[&Pod],
    with_evidence: impl Fn(Finding) -> Finding,
) -> Result<Outcome, NotSeen> {
    let chain = &context.chain;
    let now = context.snapshot.observed_at;
    let ready: Vec<&&Pod> = pods.iter().filter(|pod| pod.is_ready()).collect();
    if ready.is_empty() {
        let youngest = pods.iter().filter_map(|pod| pod.metadata.creation_timestamp.or(pod.status.start_time)).max();
        if youngest.is_some_and(|created| now.duration_since(created) < START_TIME) {
            return Err(NotSeen::TooEarly("metrics-server's pod has just been created".to_owned()));
        }
        let summary = match pods.first() {
            Some(pod) => {
                format!("{} of {} metrics-server pods are Ready ({}/{}).", 0, pods.len(), pod.namespace(), pod.name())
            }
            None => return Err(NotSeen::TooEarly("all pods are being deleted".to_owned())),
        };
        let mut finding = Finding::outage(Cause::PodsNotReady, chain.workload_object(), summary);
        for pod in pods.iter().take(3) {
            let condition =
                pod.ready().map_or_else(String::new, |ready| format!(" {} {}", ready.reason, ready.message));
            finding = finding.evidence(format!(
                "Pod {} phase {}, Ready is not True{condition}",
                pod.name(),
                pod.status.phase
            ));
            let statuses = pod.status.container_statuses.iter().chain(&pod.status.init_container_statuses);
            for (status, waiting) in statuses.filter_map(|status| Some((status, status.state.waiting.as_ref()?))) {
                finding = finding
                    .evidence(format!("container {} is waiting: {} {}", status.name, waiting.reason, waiting.message));
            }
        }
        return Ok(Outcome::fail(with_evidence(finding)));
    }
    let newly = ready.iter().filter_map(|pod| pod.ready().and_then(|ready| ready.last_transition_time)).max();
    if newly.is_some_and(|since| now.duration_since(since) < SignedDuration::from_secs(15)) {
        return Err(NotSeen::TooEarly("the pod has just become Ready".to_owned()));
    }
    if let Some(service) = service
        && let Some(finding) = unresolved_name(chain, service, &ready)
    {
        return Ok(Outcome::fail(with_evidence(finding)));
    }
    if service.is_none() || chain.endpoint_slices.gap.is_some() {
        // The aggregator says that there are none, but neither Service nor slices were seen.
        let finding = Finding::outage(
            Cause::ApiServiceUnavailable,
            chain.api_service_object(),
            "metrics-server's pods are Ready, but the aggregator finds no endpoint of them.",
        )
        .candidates([Cause::SelectorMatchesNothing, Cause::PortNameUnresolved, Cause::EndpointsNotPublished]);
        return Ok(Outcome::fail(with_evidence(finding)));
    }
    if newly.is_some_and(|since| now.duration_since(since) < PUBLISHING) {
        return Err(NotSeen::TooEarly("the controller may not have published the pod yet".to_owned()));
    }
    let finding = Finding::outage(
        Cause::EndpointsNotPublished,
        chain.service_object(),
        format!("{} Ready pods match the Service, but no EndpointSlice lists them.", ready.len()),
    );
    Ok(Outcome::fail(with_evidence(finding)))
}

/// The named targetPort that no container of the Ready pods declares.
fn unresolved_name(chain: &Chain<'_>, service: &Service, pods: &[&&Pod]) -> Option<Finding> {
    let port = chain.service_port()?;
    let TargetPort::Name(name) = port.effective_target_port() else { return None };
    let protocol = port.effective_protocol();
    if pods.iter().any(|pod| pod.spec.named_port(name, protocol).is_some()) {
        return None;
    }
    let declared: BTreeSet<String> = pods
        .iter()
        .flat_map(|pod| pod.spec.long_running_containers())
        .flat_map(|container| &container.ports)
        .map(|port| format!("{}={}/{}", port.name, port.container_port, port.effective_protocol()))
        .collect();
    let declared: Vec<String> = declared.into_iter().collect();
    Some(
        Finding::outage(
            Cause::PortNameUnresolved,
            chain.service_object(),
            format!(
                "targetPort {name:?} of Service {}/{} is the name of no container port.",
                service.namespace(),
                service.name()
            ),
        )
        .evidence(format!("Service spec.ports[].targetPort: {name} ({protocol})"))
        .evidence(format!(
            "container ports: {}",
            if declared.is_empty() { "none".to_owned() } else { declared.join(", ") }
        )),
    )
}

fn pairs(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}
