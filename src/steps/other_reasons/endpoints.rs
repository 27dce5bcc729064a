//! `EndpointsNotFound` and `MissingEndpoints`: how many addresses, and why none.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::{
    catalogue::Cause,
    check::{Docket, Evidence, Finding, Slot},
    facts::{
        Facts,
        chain::Chain,
        endpoints::EndpointCounts,
        scrapes::{self, Lacks},
        windows,
    },
    snapshot::{Named, NotSeen, Pod, Service, service::TargetPort},
    wording::{
        aggregator::{Reason, ServiceTrouble},
        kubelet::{is_crash, is_image_trouble, keeps_from_starting},
        metrics_server_log::goes_through_a_proxy,
        quoted,
    },
};

/// The Service has an address that the aggregator can use.
pub(super) fn evaluate(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    let chain = &facts.chain;
    let Some(reference) = chain.service_reference() else {
        let Err(gap) = chain.api_service.clone().known() else {
            docket.not_applicable("No APIService names a Service.");
            return Ok(());
        };
        return unregistered(facts, docket, gap);
    };
    if chain.service.is_absent() {
        docket.not_applicable("The Service does not exist.");
        return Ok(());
    }
    if chain.service.seen().is_some_and(|service| service.spec.kind == "ExternalName") {
        docket.not_applicable("An ExternalName Service has no endpoints.");
        return Ok(());
    }
    if let Some(finding) = not_routable(facts) {
        docket.confirm(finding);
        return Ok(());
    }
    let says_none = facts
        .complaint()
        .filter(|complaint| matches!(complaint.reason, Reason::MissingEndpoints | Reason::EndpointsNotFound));
    let counted = match EndpointCounts::of(chain) {
        Ok(counts) => {
            let told = format!(
                "{} ready and {} not ready addresses behind Service {}/{}",
                counts.ready, counts.not_ready, reference.namespace, reference.name
            );
            // A Service whose port is wrong has no port name to compare; that is told by the port's own check.
            if counts.ready > 0 && (counts.usable || chain.service_port().is_none()) {
                docket.exclude_rest(format!("{told}."));
                return Ok(());
            }
            told
        }
        Err(gap) => {
            if let Some(complaint) = says_none {
                complaint.line()
            } else {
                if chain.is_available() || facts.containers().has_stable() {
                    docket
                        .exclude(&[Cause::PodsNotReady], "a pod of metrics-server is Ready, or answers the aggregator");
                    docket.say("The EndpointSlices were not seen.");
                }
                return Err(gap);
            }
        }
    };
    if chain.is_available() {
        let until = windows::after(facts.now(), windows::AGGREGATOR_RESYNC).unwrap_or(facts.now());
        docket.settle_rest(until, "no ready address is left and the APIService is still available");
        return Ok(());
    }
    why_none(facts, docket, &counted)
}

/// The aggregator has no address to dial: a headless Service while it dials cluster IPs.
fn not_routable(facts: &Facts<'_>) -> Option<Finding> {
    let complaint = facts.complaint()?;
    if complaint.word.service != Some(ServiceTrouble::NotRoutable) {
        return None;
    }
    let object = facts.chain.service_object();
    let summary = format!(
        "Service {}/{} is headless, and the API server dials Services by their cluster IP.",
        object.namespace, object.name
    );
    Some(
        Finding::outage(Cause::ApiServiceUnavailable, object, summary)
            .since(complaint.since)
            .evidence(complaint.line())
            .advice("Give the Service a cluster IP: delete it and create it again without `clusterIP: None` (the field cannot be changed), or start kube-apiserver with --enable-aggregator-routing=true."),
    )
}

/// The `APIService` was not seen; the pods of metrics-server may have been, and whatever it names leads to none of them
/// while none is Ready.
fn unregistered(facts: &Facts<'_>, docket: &mut Docket, gap: NotSeen) -> Result<(), NotSeen> {
    let pods: Vec<&Pod> =
        facts.chain.workload_pods.objects.iter().filter(|pod| !pod.is_terminating()).copied().collect();
    if pods.is_empty() {
        return no_pods_seen(facts, docket, gap, |finding| finding);
    }
    if pods.iter().any(|pod| pod.is_ready()) {
        docket.exclude(&[Cause::PodsNotReady], "a pod of metrics-server is Ready");
        return Err(gap);
    }
    not_ready(facts, docket, &pods, |finding| finding)
}

/// Why the Service has no address that can be used.
fn why_none(facts: &Facts<'_>, docket: &mut Docket, counted: &str) -> Result<(), NotSeen> {
    let chain = &facts.chain;
    let with_evidence = |finding: Finding| {
        let finding = finding.evidence(counted);
        match facts.complaint() {
            Some(complaint) if complaint.line() != counted => finding.since(complaint.since).evidence(complaint.line()),
            Some(complaint) => finding.since(complaint.since),
            None => finding,
        }
    };
    let object = chain.service_object();
    let service = chain.service.seen().copied();
    if service.is_some_and(|service| service.spec.selector.is_empty()) {
        let summary = format!("Service {}/{} has no selector and no EndpointSlice.", object.namespace, object.name);
        docket.confirm(with_evidence(Finding::outage(Cause::EndpointsNotPublished, object, summary)));
        docket.rule_out(&[Cause::SelectorMatchesNothing], "the Service has no selector");
        return Ok(());
    }
    let pods: Vec<&Pod> = chain.pods().iter().filter(|pod| !pod.is_terminating()).copied().collect();
    if let Some(workload) = chain.workload.seen()
        && workload.wanted() == 0
        && pods.is_empty()
    {
        docket.not_applicable("The workload is scaled to zero.");
        return Ok(());
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
        docket.confirm(with_evidence(finding));
        return Ok(());
    }
    if !chain.selected_pods.objects.is_empty() {
        docket.exclude(&[Cause::SelectorMatchesNothing], "the Service's selector matches pods");
        return selected_pods(facts, docket, service, &pods, with_evidence);
    }
    let says_none = facts
        .complaint()
        .is_some_and(|complaint| matches!(complaint.reason, Reason::MissingEndpoints | Reason::EndpointsNotFound));
    if says_none && pods.is_empty() && chain.workload.seen().is_none() {
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
        docket.confirm(with_evidence(finding));
        return Err(chain.selected_pods.gap.clone().unwrap_or(NotSeen::NotLooked));
    }
    if !pods.is_empty() {
        return selected_pods(facts, docket, service, &pods, with_evidence);
    }
    if let Some(until) = facts.starting_until() {
        docket.settle_rest(until, "the pods of metrics-server are being replaced");
        return Ok(());
    }
    match chain.selected_pods.gap.clone() {
        // The workload's own check tells why it has no pods.
        None => {
            docket.say("There are no pods to be ready.");
            Err(NotSeen::NotLooked)
        }
        Some(gap) => no_pods_seen(facts, docket, gap, with_evidence),
    }
}

/// The pods were not seen; the Deployment's own counts may tell that none is Ready.
fn no_pods_seen(
    facts: &Facts<'_>,
    docket: &mut Docket,
    gap: NotSeen,
    with_evidence: impl Fn(Finding) -> Finding,
) -> Result<(), NotSeen> {
    let Some(workload) = facts.chain.workload.seen() else { return Err(gap) };
    if workload.wanted() > 0 && workload.available() == 0 && workload.status.replicas > 0 {
        let finding = Finding::outage(
            Cause::PodsNotReady,
            facts.chain.workload_object(),
            format!("No pod of {} {}/{} is Ready.", workload.kind.name(), workload.namespace(), workload.name()),
        )
        .evidence(format!("status.availableReplicas: {} of {}", workload.available(), workload.wanted()))
        .candidates([Cause::PodsNotReady, Cause::ContainerCrashing, Cause::ImageUnavailable]);
        docket.confirm(with_evidence(finding));
    }
    Err(gap)
}

/// Pods match; they are not Ready, or nobody publishes them.
fn selected_pods(
    facts: &Facts<'_>,
    docket: &mut Docket,
    service: Option<&Service>,
    pods: &[&Pod],
    with_evidence: impl Fn(Finding) -> Finding,
) -> Result<(), NotSeen> {
    let chain = &facts.chain;
    let ready: Vec<&&Pod> = pods.iter().filter(|pod| pod.is_ready()).collect();
    if ready.is_empty() {
        return not_ready(facts, docket, pods, with_evidence);
    }
    docket.exclude(&[Cause::PodsNotReady], format!("Pod {} is Ready", ready[0].name()));
    let newly = ready.iter().filter_map(|pod| pod.ready().and_then(|ready| ready.last_transition_time)).max();
    let young = |window| newly.and_then(|since| windows::after(since, window)).filter(|until| *until > facts.now());
    if let Some(until) = young(windows::PUBLISHED) {
        docket.settle_rest(until, "the pod has just become Ready");
        return Ok(());
    }
    if let Some(service) = service
        && let Some(finding) = unresolved_name(chain, service, &ready)
    {
        docket.confirm(with_evidence(finding));
        docket.rule_out(&[Cause::EndpointsNotPublished], "a port that has no number cannot be published");
        return Ok(());
    }
    if service.is_none() || chain.endpoint_slices.gap.is_some() {
        // The aggregator says that there are none, but neither Service nor slices were seen.
        let finding = Finding::outage(
            Cause::ApiServiceUnavailable,
            chain.api_service_object(),
            "metrics-server's pods are Ready, but the aggregator finds no endpoint of them.",
        )
        .candidates([Cause::SelectorMatchesNothing, Cause::PortNameUnresolved, Cause::EndpointsNotPublished]);
        docket.confirm(with_evidence(finding));
        return Err(chain.endpoint_slices.gap.clone().unwrap_or(NotSeen::NotLooked));
    }
    docket.exclude(&[Cause::PortNameUnresolved], "the Service's targetPort leads to a port of the pods");
    if let Some(until) = young(windows::CONTROLLER_CHANGE) {
        docket.settle_rest(until, "the controller may not have published the pod yet");
        return Ok(());
    }
    let pods = if ready.len() == 1 { "1 Ready pod matches" } else { &format!("{} Ready pods match", ready.len()) };
    docket.confirm(with_evidence(Finding::outage(
        Cause::EndpointsNotPublished,
        chain.service_object(),
        format!("{pods} the Service, but no EndpointSlice lists them."),
    )));
    Ok(())
}

/// No pod is Ready, and they have had the time to be.
fn not_ready(
    facts: &Facts<'_>,
    docket: &mut Docket,
    pods: &[&Pod],
    with_evidence: impl Fn(Finding) -> Finding,
) -> Result<(), NotSeen> {
    if let Some(until) = facts.starting_until() {
        let since: Option<Timestamp> =
            pods.iter().filter_map(|pod| pod.metadata.creation_timestamp.or(pod.status.start_time)).max();
        let age = since.map_or(0, |since| facts.age(since).as_secs());
        docket.settle_rest(until, format!("metrics-server has been starting for {age} s"));
        return Ok(());
    }
    let Some(pod) = pods.first() else {
        docket.say("All pods of metrics-server are being deleted.");
        return Err(NotSeen::NotLooked);
    };
    let count = if pods.len() == 1 { "The pod".to_owned() } else { format!("None of the {} pods", pods.len()) };
    let (verb, negation) = if pods.len() == 1 { ("is", "not ") } else { ("is", "") };
    let summary = format!("{count} of metrics-server {verb} {negation}Ready ({}/{}).", pod.namespace(), pod.name());
    let mut finding = Finding::outage(Cause::PodsNotReady, facts.chain.workload_object(), summary)
        .slot(Slot::Pod, pod.name())
        .slot(Slot::Namespace, pod.namespace());
    if let Some(advice) = not_started(facts, pod) {
        finding = finding.advice(advice);
    } else if let Some(barren) = &facts.scrapes().barren {
        // It runs, scrapes, and has nothing to serve.
        let cause = match barren.lacks {
            Lacks::Nodes => Cause::NodesWithoutSamples,
            Lacks::Pods => Cause::PodsWithoutSamples,
        };
        finding =
            finding.candidates([cause]).evidence(Evidence::at(format!("log: {}", quoted(barren.line)), barren.at));
        finding.advice = scrapes::barren_advice(facts, barren);
    } else if let Some((line, at)) = facts.scrapes().unexplained {
        finding = finding.evidence(Evidence::at(format!("log: {}", quoted(line)), at));
        if goes_through_a_proxy(line) {
            finding = finding.advice("metrics-server asks the kubelets through a proxy: take HTTPS_PROXY out of its container's environment, or put the nodes' addresses into its NO_PROXY (`kubectl describe pod -n NAMESPACE POD`).");
        }
    }
    for pod in pods.iter().take(3) {
        let condition = pod.ready().map_or_else(String::new, |ready| format!(" {} {}", ready.reason, ready.message));
        finding =
            finding.evidence(format!("Pod {} phase {}, Ready is not True{condition}", pod.name(), pod.status.phase));
        let statuses = pod.status.container_statuses.iter().chain(&pod.status.init_container_statuses);
        for (status, waiting) in statuses.filter_map(|status| Some((status, status.state.waiting.as_ref()?))) {
            finding = finding
                .evidence(format!("container {} is waiting: {} {}", status.name, waiting.reason, waiting.message));
        }
    }
    docket.confirm(with_evidence(finding));
    docket.rule_out(&[Cause::EndpointsNotPublished], "a pod that is not Ready is not published");
    Err(NotSeen::NotLooked)
}

/// What to do about a pod that does not come as far as to scrape, where it is neither its image nor a crash.
fn not_started(facts: &Facts<'_>, pod: &Pod) -> Option<String> {
    let node = pod.spec.node_name.as_str();
    if facts.snapshot.nodes.get("", node).seen().is_some_and(|node| !node.is_ready()) {
        return Some(format!(
            "Node {node} of the pod is not Ready: repair it (`kubectl describe node {node}`), or let another node take the pod: `kubectl delete pod -n NAMESPACE POD`, with --force where the node does not come back."
        ));
    }
    let waits = |reason: &str| !reason.is_empty() && !is_image_trouble(reason) && !is_crash(reason);
    let mut statuses = pod.status.container_statuses.iter().chain(&pod.status.init_container_statuses);
    let waiting = statuses.find_map(|status| {
        let waiting = status.state.waiting.as_ref().filter(|waiting| waits(&waiting.reason))?;
        Some(format!("container {} is waiting ({})", status.name, waiting.reason))
    })?;
    let events = facts.snapshot.events.iter().filter(|event| {
        let object = &event.involved_object;
        (object.kind.as_str(), object.namespace.as_str(), object.name.as_str()) == ("Pod", pod.namespace(), pod.name())
            && keeps_from_starting(&event.reason)
    });
    let told = events.max_by_key(|event| event.last_seen()).map_or_else(
        || "what keeps it from starting: a volume, a ConfigMap or Secret that is missing, the network plugin, the security context".to_owned(),
        |event| format!("{}: {}", event.reason, quoted(&event.message)),
    );
    Some(format!("The pod does not start, {waiting}; `kubectl describe pod -n NAMESPACE POD` tells {told}."))
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
                "targetPort {name:?} of Service {}/{} matches no named container port.",
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
