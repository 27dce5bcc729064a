//! What is told of an autoscaler that is blind: the sentence, the evidence and the repair that fits the case.

use crate::{
    check::{Evidence, Finding},
    facts::{
        Facts,
        autoscalers::{Autoscaler, Blind, Lost, Missing, Origin, selector_path},
    },
    snapshot::{Named, ObjectReference, Pod},
    wording::{autoscaler::OtherApi, quoted},
};

/// Containers and pods of one autoscaler that are quoted.
const QUOTED: usize = 5;

/// The condition that tells, in one line.
pub(super) fn told(autoscaler: &Autoscaler<'_>) -> Option<Evidence> {
    let condition = autoscaler.condition?;
    let line = format!(
        "HorizontalPodAutoscaler {}/{}: condition {}: {}: {}",
        autoscaler.object.namespace(),
        autoscaler.object.name(),
        condition.kind,
        condition.reason,
        quoted(&condition.message)
    );
    Some(Evidence::at(line, condition.last_transition_time))
}

/// What is wrong with one autoscaler.
pub(super) fn finding(facts: &Facts<'_>, autoscaler: &Autoscaler<'_>, blind: &Blind<'_>) -> Finding {
    let (namespace, name) = (autoscaler.object.namespace(), autoscaler.object.name());
    let object = ObjectReference::new("HorizontalPodAutoscaler", namespace, name);
    let summary = format!("HorizontalPodAutoscaler {namespace}/{name}: {}.", sentence(autoscaler, blind));
    let finding = Finding::partial(blind.cause(), object, summary)
        .since(autoscaler.condition.and_then(|condition| condition.last_transition_time))
        .candidates(blind.candidates().iter().copied());
    let sample = autoscaler.sample.as_deref().map(Evidence::from);
    let lines = told(autoscaler).into_iter().chain(evidence(facts, blind)).chain(sample);
    let finding = lines.fold(finding, Finding::evidence);
    let without_selector = matches!(blind, Blind::SelectorMissing | Blind::SelectorOfNobody(_));
    let finding = match selector_path(facts.snapshot, autoscaler.object).filter(|_| without_selector) {
        Some((definition, "")) => finding
            .evidence(format!("CustomResourceDefinition {definition}: subresources.scale has no labelSelectorPath")),
        Some((definition, path)) => finding
            .evidence(format!("CustomResourceDefinition {definition}: subresources.scale.labelSelectorPath: {path}")),
        None => finding,
    };
    match advice(autoscaler, blind) {
        Some(advice) => finding.advice(advice),
        None => finding,
    }
}

/// The same of many autoscalers, without what is told of one.
pub(super) fn many(blind: &Blind<'_>) -> &'static str {
    match blind {
        Blind::NoSamples(_) => "metrics-server has no samples of their pods",
        _ => "the metrics API does not answer their controller",
    }
}

fn sentence(autoscaler: &Autoscaler<'_>, blind: &Blind<'_>) -> String {
    let target = &autoscaler.object.spec.scale_target_ref;
    let (kind, name) = (&target.kind, &target.name);
    match blind {
        Blind::MissingRequest { missing, named } => match (missing.first(), named) {
            (Some(first), _) => without_request(first),
            (None, Some((resource, Some(container), Some(pod)))) => {
                format!("container {container} of pod {pod} has no {resource} request")
            }
            (None, Some((resource, _, Some(pod)))) => format!("pod {pod} has no {resource} request"),
            (None, named) => {
                let resource = named.as_ref().map_or("resource", |(resource, ..)| resource.as_str());
                format!("a container under its selector has no {resource} request")
            }
        },
        Blind::ZeroRequest(resource) => {
            format!("all {resource} requests of its pods are 0, so no utilization can be computed")
        }
        Blind::Lost(Lost::Absent) => format!("its target {kind} {name} does not exist"),
        Blind::Lost(Lost::NotServed { exists, .. }) => {
            let version = &target.api_version;
            let exists = if *exists { format!("; {kind} {name} exists") } else { String::new() };
            format!("spec.scaleTargetRef names kind {kind} of {version:?}, which the API server does not serve{exists}")
        }
        Blind::Lost(Lost::NotScalable { exists: true }) => {
            format!("its target {kind} {name} exists, but that kind has no scale subresource")
        }
        Blind::Lost(Lost::NotScalable { exists: false }) => {
            format!("its target is a {kind}, a kind that has no scale subresource")
        }
        Blind::Lost(Lost::Unclear(_)) => format!(
            "the scale of its target {kind} {name} is not found: there is no such object, or its kind cannot be scaled"
        ),
        Blind::ScaleForbidden => format!("the controller is not allowed to read the scale of its target {kind} {name}"),
        Blind::ScaleFailed => format!("the scale of its target {kind} {name} cannot be read"),
        Blind::SelectorMissing => format!("the scale of its target {kind} {name} has no selector"),
        Blind::SelectorInvalid => format!("the selector of its target {kind} {name} cannot be parsed"),
        Blind::SelectorShared { .. } => "another autoscaler has the same pods".to_owned(),
        Blind::SelectorOfNobody(Some(selector)) => format!("the selector of its target ({selector}) matches no pod"),
        Blind::SelectorOfNobody(None) => {
            "the selector of its target matches no pod that has samples, while other pods of the namespace have"
                .to_owned()
        }
        Blind::CustomMetric { api, metrics } => {
            let api = match api {
                OtherApi::Custom => "custom",
                OtherApi::External => "external",
            };
            match metrics.as_slice() {
                [] => format!("one of its {api} metrics has no value"),
                [metric] => format!("no value of the {api} metric {metric}"),
                _ => format!("no value of the {api} metrics {}", metrics.join(", ")),
            }
        }
        Blind::PodsNotReady(pods) => match pods.as_slice() {
            [] => "no pod of its target is Ready".to_owned(),
            [pod] => format!("pod {} is not Ready{}", pod.name(), state(pod)),
            [first, others @ ..] => format!(
                "{} pods of its target are not Ready (pod {}{}{})",
                pods.len(),
                first.name(),
                state(first),
                if others.is_empty() { "" } else { " and others" }
            ),
        },
        Blind::ContainerAbsent { container, pod } => {
            format!("its metric names container {container}, which pod {pod} does not have")
        }
        Blind::ContainerWithoutSample { container, pod } => {
            format!("container {container} of pod {pod} has no sample, and the metric fails as a whole")
        }
        Blind::NoSamples(pods) => match pods.as_slice() {
            [] => "metrics-server has no samples of its pods".to_owned(),
            [pod] => format!("metrics-server has no sample of pod {}", pod.name()),
            _ => format!("metrics-server has no samples of its {} pods", pods.len()),
        },
        Blind::MetricsApi(_) => "the metrics API does not answer it".to_owned(),
        Blind::NeverLookedAt => "the controller has not processed it yet, though it is minutes old".to_owned(),
        Blind::SomeMetrics => "one of its resource metrics has no value".to_owned(),
        Blind::InvalidSource => "one of its metrics is not valid for this version of Kubernetes".to_owned(),
        Blind::Other => "the controller cannot compute a replica count".to_owned(),
    }
}

fn without_request(missing: &Missing<'_>) -> String {
    let Missing { pod, container, resource, origin } = missing;
    let what = format!("container {container} of pod {} has no {resource} request", pod.name());
    match origin {
        Origin::Injected => format!("{what}; the container is not in the target's template, something adds it"),
        Origin::Foreign(Some((kind, name))) => format!("{what}; that pod is not the target's but of {kind} {name}"),
        Origin::Foreign(None) => format!("{what}; that pod is not the target's, no workload owns it"),
        Origin::OlderTemplate => format!("{what}; the target's template has one, so the pod is of an older template"),
        Origin::Template | Origin::Unknown => what,
    }
}

/// What keeps a pod from being Ready, as its containers tell.
fn state(pod: &Pod) -> String {
    let statuses = pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses);
    for status in statuses {
        let restarts = match status.restart_count {
            0 => String::new(),
            1 => ", 1 restart".to_owned(),
            count => format!(", {count} restarts"),
        };
        if let Some(waiting) = status.state.waiting.as_ref().filter(|waiting| !waiting.reason.is_empty()) {
            return format!(": container {} is in {}{restarts}", status.name, waiting.reason);
        }
        if status.restart_count > 0 && !status.ready {
            return format!(": container {} is not Ready{restarts}", status.name);
        }
    }
    if pod.status.phase == "Pending" { ": it is Pending".to_owned() } else { String::new() }
}

fn evidence(facts: &Facts<'_>, blind: &Blind<'_>) -> Vec<Evidence> {
    let more = |count: usize, what: &str| match count {
        0 => None,
        1 => Some(Evidence::from(format!("and 1 more {what}"))),
        _ => Some(Evidence::from(format!("and {count} more {what}s"))),
    };
    match blind {
        Blind::MissingRequest { missing, .. } => {
            let shown = missing.iter().take(QUOTED).map(|missing| {
                Evidence::from(format!(
                    "Pod {}/{} container {}: spec.resources.requests lacks {}",
                    missing.pod.namespace(),
                    missing.pod.name(),
                    missing.container,
                    missing.resource
                ))
            });
            shown.chain(more(missing.len().saturating_sub(QUOTED), "container")).collect()
        }
        Blind::PodsNotReady(pods) => {
            let shown = pods.iter().take(QUOTED).map(|pod| {
                let reason = pod.ready().map(|ready| ready.reason.as_str()).filter(|reason| !reason.is_empty());
                let ready = reason.map_or(String::new(), |reason| format!(" ({reason})"));
                Evidence::from(format!(
                    "Pod {}/{}: phase {}, condition Ready is not True{ready}{}",
                    pod.namespace(),
                    pod.name(),
                    pod.status.phase,
                    state(pod)
                ))
            });
            shown.chain(more(pods.len().saturating_sub(QUOTED), "pod")).collect()
        }
        Blind::NoSamples(pods) if facts.snapshot.top_pods.seen().is_some() => {
            let shown = pods.iter().take(QUOTED).map(|pod| {
                Evidence::from(format!("Pod {}/{}: Ready, under the selector", pod.namespace(), pod.name()))
            });
            shown.collect()
        }
        _ => Vec::new(),
    }
}

/// What repairs this case better than the catalogue's sentence.
fn advice(autoscaler: &Autoscaler<'_>, blind: &Blind<'_>) -> Option<String> {
    let target = &autoscaler.object.spec.scale_target_ref;
    match blind {
        Blind::MissingRequest { missing, .. } => missing.first().map(|missing| request_advice(autoscaler, missing)),
        Blind::ZeroRequest(resource) => Some(format!(
            "Give the containers of the target's pods a {resource} request above 0, or let the autoscaler's target be an averageValue: `kubectl edit hpa -n NAMESPACE NAME`."
        )),
        Blind::Lost(Lost::NotServed { right, kind, exists }) => {
            let right = right.as_ref()?;
            let kind_too = kind.as_ref().map_or(String::new(), |kind| format!(" and kind: {kind}"));
            let name = kind.as_ref().unwrap_or(&target.kind);
            let exists = if *exists { format!(" {name} {} is there.", target.name) } else { String::new() };
            Some(format!(
                "Set spec.scaleTargetRef.apiVersion: {right}{kind_too}: `kubectl edit hpa -n NAMESPACE NAME`.{exists}"
            ))
        }
        Blind::Lost(Lost::NotScalable { .. }) if is_built_in(&target.kind) => Some(format!(
            "A {} cannot be scaled: let the autoscaler scale a Deployment or StatefulSet, or delete it: `kubectl edit hpa -n NAMESPACE NAME`.",
            target.kind
        )),
        Blind::Lost(Lost::Unclear(_)) => Some(format!(
            "Check that it exists, and that the CustomResourceDefinition of its kind declares subresources.scale: `kubectl get {} -n NAMESPACE {}`, `kubectl get crd -o yaml`.",
            target.kind.to_ascii_lowercase(),
            target.name
        )),
        Blind::SelectorMissing | Blind::SelectorOfNobody(_) if !is_built_in(&target.kind) => Some(
            "The kind's CustomResourceDefinition must name in subresources.scale.labelSelectorPath a field that holds the labels of the target's pods (`kubectl get crd -o yaml`); its operator's newer release may, or let the autoscaler scale the workload behind it: `kubectl edit hpa -n NAMESPACE NAME`.".to_owned(),
        ),
        Blind::SelectorOfNobody(_) => Some(
            "Compare the target's selector with the labels of its pods: `kubectl get pods -n NAMESPACE --show-labels`."
                .to_owned(),
        ),
        Blind::PodsNotReady(pods) => pods.first().map(|pod| {
            format!(
                "Repair the target's pods first: `kubectl describe pod -n NAMESPACE {0}`, `kubectl logs -n NAMESPACE {0} --all-containers --previous`.",
                pod.name()
            )
        }),
        Blind::ContainerAbsent { .. } => Some(
            "Correct containerResource.container in the autoscaler's metrics: `kubectl edit hpa -n NAMESPACE NAME`."
                .to_owned(),
        ),
        Blind::ContainerWithoutSample { pod, .. } => {
            Some(format!("Check that the pod is Ready and has a sample: `kubectl describe pod -n NAMESPACE {pod}`, `kubectl top pod -n NAMESPACE {pod} --containers`."))
        }
        _ => None,
    }
}

fn is_built_in(kind: &str) -> bool {
    matches!(
        kind,
        "Deployment"
            | "ReplicaSet"
            | "StatefulSet"
            | "ReplicationController"
            | "DaemonSet"
            | "Pod"
            | "Job"
            | "CronJob"
            | "Service"
    )
}

fn request_advice(autoscaler: &Autoscaler<'_>, missing: &Missing<'_>) -> String {
    let target = &autoscaler.object.spec.scale_target_ref;
    let Missing { container, resource, origin, .. } = missing;
    let workload = target.kind.to_ascii_lowercase();
    let name = &target.name;
    match origin {
        Origin::Injected => {
            let way = match injector(container, resource) {
                Some(annotation) => format!("annotation {annotation} in the target's pod template"),
                None => "its injector's annotation in the target's pod template, or the injector's defaults".to_owned(),
            };
            format!(
                "Container {container} is added when a pod is made, so no request can be written into the template: give it one by {way}; or let the autoscaler measure the application's container alone (metric type ContainerResource): `kubectl edit hpa -n NAMESPACE NAME`."
            )
        }
        Origin::Foreign(owner) => {
            let whose =
                owner.map_or_else(|| "a pod without an owner".to_owned(), |(kind, name)| format!("{kind} {name}"));
            format!(
                "The target's selector matches pods of {whose} too. Give the target's pods a label of their own and add it to the target's selector (it cannot be changed in place: delete and create {} {name}), or take the label off the other's pods.",
                target.kind
            )
        }
        Origin::OlderTemplate => format!(
            "The template has the request; restart the pods: `kubectl rollout restart {workload} -n NAMESPACE {name}`."
        ),
        Origin::Template => {
            let amount = if *resource == "cpu" { "100m" } else { "128Mi" };
            format!(
                "Set resources.requests.{resource} of container {container}, and of every other container of the pods: `kubectl set resources {workload} {name} -n NAMESPACE -c {container} --requests={resource}={amount}` (with what it needs)."
            )
        }
        Origin::Unknown => format!(
            "Set resources.requests.{resource} of container {container} in the target's pod template; sidecars and pods of others under the same selector count too."
        ),
    }
}

/// The annotation by which a widely used injector gives its container a request.
fn injector(container: &str, resource: &str) -> Option<&'static str> {
    match (container, resource) {
        ("istio-proxy", "cpu") => Some("sidecar.istio.io/proxyCPU"),
        ("istio-proxy", "memory") => Some("sidecar.istio.io/proxyMemory"),
        ("linkerd-proxy", "cpu") => Some("config.linkerd.io/proxy-cpu-request"),
        ("linkerd-proxy", "memory") => Some("config.linkerd.io/proxy-memory-request"),
        ("daprd", "cpu") => Some("dapr.io/sidecar-cpu-request"),
        ("daprd", "memory") => Some("dapr.io/sidecar-memory-request"),
        ("vault-agent", "cpu") => Some("vault.hashicorp.com/agent-requests-cpu"),
        ("vault-agent", "memory") => Some("vault.hashicorp.com/agent-requests-mem"),
        ("consul-dataplane", "cpu") => Some("consul.hashicorp.com/sidecar-proxy-cpu-request"),
        ("consul-dataplane", "memory") => Some("consul.hashicorp.com/sidecar-proxy-memory-request"),
        _ => None,
    }
}
