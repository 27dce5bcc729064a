//! Step `installed` (guide: "Metrics Server is not installed by default").

use crate::{
    catalogue::Cause,
    check::{Check, Finding},
    facts::Facts as Context,
    facts::metrics_server::{self, Owner},
    guide::Step,
    snapshot::{
        ConditionStatus, Named, NotSeen, ObjectReference, Observed,
        retrieval::{self, ErrorClass},
        version::Version,
    },
    steps::bridge,
    steps::bridge::Outcome,
    wording::quoted,
};

/// The checks of this step.
pub const CHECKS: &[Check] = &[
    Check {
        step: Step::Installed,
        id: "registered",
        question: "Does an APIService of group metrics.k8s.io exist?",
        causes: &[Cause::NotInstalled, Cause::ApiServiceMissing],
        rule: |facts, docket| bridge::rule(facts, docket, registered(facts)),
    },
    Check {
        step: Step::Installed,
        id: "workload",
        question: "Does something that serves the API stand behind the APIService?",
        causes: &[Cause::ApiServiceLeftOver],
        rule: |facts, docket| bridge::rule(facts, docket, workload(facts)),
    },
    Check {
        step: Step::Installed,
        id: "owner",
        question: "Who serves metrics.k8s.io?",
        causes: &[Cause::ApiOwnedByAnother],
        rule: |facts, docket| bridge::rule(facts, docket, owner(facts)),
    },
    Check {
        step: Step::Installed,
        id: "version",
        question: "Does this metrics-server version work with this Kubernetes version?",
        causes: &[Cause::UnsupportedVersion],
        rule: |facts, docket| bridge::rule(facts, docket, version(facts)),
    },
];

fn registered(context: &Context<'_>) -> Result<Outcome, NotSeen> {
    let chain = &context.chain;
    if let Some(api_service) = chain.api_service.clone().known()? {
        let service = chain.service_reference().map_or_else(
            || "no Service".to_owned(),
            |reference| {
                format!("Service {}/{} port {}", reference.namespace, reference.name, reference.effective_port())
            },
        );
        let names: Vec<&str> = chain.api_services.iter().map(|api_service| api_service.name()).collect();
        return Ok(Outcome::pass(format!("APIService {} names {service}.", api_service.name()))
            .evidence(format!("APIServices of group metrics.k8s.io: {}", names.join(", "))));
    }
    let absent = "no APIService has spec.group metrics.k8s.io";
    let finding = match (chain.metrics_servers.objects.first(), &chain.metrics_servers.gap) {
        (Some(workload), _) => Finding::outage(
            Cause::ApiServiceMissing,
            ObjectReference::new(workload.kind.name(), workload.namespace(), workload.name()),
            format!(
                "{} {}/{} runs metrics-server, but no APIService registers metrics.k8s.io.",
                workload.kind.name(),
                workload.namespace(),
                workload.name()
            ),
        ),
        (None, None) => {
            Finding::outage(Cause::NotInstalled, chain.api_service_object(), "Metrics Server is not installed.")
                .evidence("no Deployment, DaemonSet or StatefulSet has metrics-server's image")
        }
        (None, Some(gap)) => Finding::outage(
            Cause::NotInstalled,
            chain.api_service_object(),
            "No APIService registers metrics.k8s.io; whether metrics-server runs was not seen.",
        )
        .evidence(format!("workloads: {gap}"))
        .candidates([Cause::NotInstalled, Cause::ApiServiceMissing]),
    };
    Ok(Outcome::fail(finding.evidence(absent)))
}

/// The finding that the `APIService` outlived its server, where that is certain: its namespace was seen, nothing there
/// or anywhere else runs metrics-server, and no address is ready.
pub(super) fn left_over(context: &Context<'_>) -> Option<Finding> {
    let chain = &context.chain;
    let reference = chain.service_reference()?;
    let gone = chain.metrics_servers.objects.is_empty()
        && chain.workload.seen().is_none()
        && chain.selected_pods.objects.is_empty()
        && !chain.is_available();
    let workloads = context.snapshot.workloads.in_namespace(&reference.namespace);
    // Its namespace was seen in full, or everything that may run it in the whole cluster.
    if !gone || workloads.gap.is_some() && chain.metrics_servers.gap.is_some() {
        return None;
    }
    let api_service = chain.api_service_object();
    let summary = format!(
        "APIService {} names Service {}/{}, but nothing in the cluster runs metrics-server.",
        api_service.name, reference.namespace, reference.name
    );
    let service = match &chain.service {
        Observed::Absent => "the Service does not exist",
        Observed::Present(_) => "the Service exists without pods",
        Observed::NotSeen(_) => "the Service was not seen",
    };
    Some(
        Finding::outage(Cause::ApiServiceLeftOver, api_service, summary)
            .evidence(format!("no workload in namespace {} runs metrics-server", reference.namespace))
            .evidence(service),
    )
}

fn workload(context: &Context<'_>) -> Result<Outcome, NotSeen> {
    let chain = &context.chain;
    if chain.api_service.clone().known()?.is_none() {
        return Ok(Outcome::skipped("There is no APIService that could name something."));
    }
    if chain.service_reference().is_none() {
        return Ok(Outcome::pass("kube-apiserver serves the group itself."));
    }
    if let Some(finding) = left_over(context) {
        return Ok(Outcome::fail(finding));
    }
    if let Some(workload) = chain.workload.clone().known()? {
        let seen = format!("{} {}/{}", workload.kind.name(), workload.namespace(), workload.name());
        return Ok(Outcome::pass(format!("{seen} stands behind the API.")).evidence(format!(
            "{seen}: {} of {} replicas available",
            workload.available(),
            workload.wanted()
        )));
    }
    match chain.selected_pods.objects.first() {
        Some(pod) => Ok(Outcome::pass(format!("Pod {}/{} stands behind the API.", pod.namespace(), pod.name()))),
        None => Err(NotSeen::TooEarly(
            "neither pods nor a workload were seen, and the aggregator has not complained".to_owned(),
        )),
    }
}

fn owner(context: &Context<'_>) -> Result<Outcome, NotSeen> {
    let chain = &context.chain;
    if chain.api_service.clone().known()?.is_none() {
        return Ok(Outcome::skipped("There is no APIService."));
    }
    let Some(owner) = chain.owner() else {
        chain.workload.clone().known()?;
        return Ok(Outcome::skipped("Nothing stands behind the API."));
    };
    let name = match owner {
        Owner::MetricsServer => "metrics-server",
        Owner::PrometheusAdapter => "prometheus-adapter",
        Owner::Other => "something that is neither metrics-server nor prometheus-adapter",
    };
    let others: Vec<String> = chain
        .metrics_servers
        .objects
        .iter()
        .filter(|workload| chain.workload.seen().is_none_or(|used| !std::ptr::eq(*used, **workload)))
        .map(|workload| format!("{} {}/{}", workload.kind.name(), workload.namespace(), workload.name()))
        .collect();
    if let (true, Some(unused), Some(failing)) = (owner != Owner::MetricsServer, others.first(), fails(context)) {
        let finding = Finding::outage(
            Cause::ApiOwnedByAnother,
            chain.api_service_object(),
            format!("{name} is registered for metrics.k8s.io and fails, while {unused} runs unused."),
        )
        .evidence(format!(
            "APIService names Service {}/{}",
            chain.service_object().namespace,
            chain.service_object().name
        ));
        return Ok(Outcome::fail(finding.evidence(failing)));
    }
    let outcome = Outcome::pass(format!("{name} serves metrics.k8s.io."));
    Ok(if others.is_empty() {
        outcome
    } else {
        outcome.evidence(format!("metrics-server runs beside the one in use: {}", others.join(", ")))
    })
}

/// An answer 500 of metrics-server for an API that it asked for and that is not there any more.
fn not_found_behind(context: &Context<'_>) -> Option<String> {
    [&context.snapshot.top_nodes, &context.snapshot.top_pods].into_iter().find_map(|retrieval| {
        match &retrieval.seen()?.outcome {
            retrieval::Outcome::Failed { class: ErrorClass::InternalError, text }
                if text.contains("the server could not find the requested resource") =>
            {
                Some(format!("call of the metrics API: {}", quoted(text.trim())))
            }
            _ => None,
        }
    })
}

/// What shows that whoever serves the API fails: unavailable, or without samples.
fn fails(context: &Context<'_>) -> Option<String> {
    if let Some(condition) = context.chain.unavailable() {
        return Some(format!("condition Available: {}: {}", condition.reason, condition.message));
    }
    let empty = [&context.snapshot.top_nodes, &context.snapshot.top_pods].into_iter().find_map(|retrieval| {
        match &retrieval.seen()?.outcome {
            retrieval::Outcome::Failed { class: ErrorClass::Empty, text } => {
                Some(format!("call of the metrics API: {}", text.trim()))
            }
            _ => None,
        }
    });
    empty.or_else(|| {
        let conditions = context.snapshot.autoscalers.iter().flat_map(|autoscaler| &autoscaler.status.conditions);
        conditions
            .filter(|condition| condition.status == ConditionStatus::False)
            .find(|condition| condition.message.contains("no metrics returned from resource metrics API"))
            .map(|condition| format!("condition {}: {}", condition.kind, condition.message))
    })
}

fn version(context: &Context<'_>) -> Result<Outcome, NotSeen> {
    let chain = &context.chain;
    let Some(container) = chain.container() else {
        chain.workload.clone().known()?;
        return Ok(Outcome::skipped("metrics-server does not stand behind the API."));
    };
    let packaging = chain.workload.seen().map_or("unknown", |workload| metrics_server::packaging(workload).label());
    let Some(version) = metrics_server::version(&container.image) else {
        return Ok(Outcome::pass(format!("The image {} does not tell its version.", container.image)));
    };
    let kubernetes = context.snapshot.server_version.seen();
    let refused = chain
        .unavailable()
        .filter(|condition| condition.message.contains(": 500"))
        .map(|condition| format!("condition Available: {}", condition.message))
        .or_else(|| not_found_behind(context));
    if let (Some(kubernetes), Some(refused)) = (kubernetes, refused) {
        // 0.3 asks for SubjectAccessReview v1beta1, which Kubernetes 1.22 removed, and answers 500 from then on.
        let gone = version < Version::new(0, 4, 0) && (kubernetes.major, kubernetes.minor) >= (1, 22);
        if gone {
            let finding = Finding::outage(
                Cause::UnsupportedVersion,
                chain.workload_object(),
                format!("metrics-server {version} does not work with Kubernetes {kubernetes}."),
            )
            .evidence(format!("image: {}", container.image))
            .evidence(refused);
            return Ok(Outcome::fail(finding));
        }
    }
    Ok(Outcome::pass(format!("metrics-server {version} is installed."))
        .evidence(format!("image: {}", container.image))
        .evidence(format!("packaging: {packaging}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        check::Status,
        snapshot::{ApiService, Collection, KubernetesVersion, Snapshot},
        testing::{healthy, object, run},
    };

    fn causes(snapshot: &Snapshot, check: &str) -> Vec<Cause> {
        run(Step::Installed, check, snapshot).findings.iter().map(|finding| finding.cause).collect()
    }

    fn unavailable(snapshot: &mut Snapshot, reason: &str, message: &str) {
        snapshot.api_services = Collection::complete([object::<ApiService>(json!({
            "metadata": {"name": "v1beta1.metrics.k8s.io"},
            "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "service": {"namespace": "kube-system", "name": "metrics-server"}},
            "status": {"conditions": [{"type": "Available", "status": "False", "reason": reason, "message": message}]}
        }))]);
    }

    #[test]
    fn a_healthy_installation_passes() {
        for check in CHECKS {
            assert_eq!(run(Step::Installed, check.id, &healthy()).status, Status::Pass, "{}", check.id);
        }
    }

    #[test]
    fn nothing_at_all_is_not_installed() {
        let snapshot =
            Snapshot { api_services: Collection::complete([]), workloads: Collection::complete([]), ..healthy() };
        assert_eq!(causes(&snapshot, "registered"), [Cause::NotInstalled]);
        let unseen = Snapshot { workloads: Collection::unseen(NotSeen::NotInBundle("deployments")), ..snapshot };
        assert_eq!(run(Step::Installed, "registered", &unseen).findings[0].candidates.len(), 2);
    }

    #[test]
    fn a_deployment_without_registration_lacks_its_apiservice() {
        let snapshot = Snapshot { api_services: Collection::complete([]), ..healthy() };
        assert_eq!(causes(&snapshot, "registered"), [Cause::ApiServiceMissing]);
    }

    #[test]
    fn an_unseen_registration_is_not_missing() {
        let snapshot = Snapshot { api_services: Collection::unseen(NotSeen::NotInBundle("apiservices")), ..healthy() };
        assert_eq!(run(Step::Installed, "registered", &snapshot).status, Status::Unknown);
    }

    #[test]
    fn a_registration_without_server_is_left_over() {
        let mut snapshot = Snapshot {
            workloads: Collection::complete([]),
            pods: Collection::complete([]),
            services: Collection::complete([]),
            ..healthy()
        };
        unavailable(&mut snapshot, "ServiceNotFound", "service/metrics-server in \"kube-system\" is not present");
        assert_eq!(causes(&snapshot, "workload"), [Cause::ApiServiceLeftOver]);
        snapshot.workloads = Collection::unseen(NotSeen::NotInBundle("deployments"));
        assert_eq!(run(Step::Installed, "workload", &snapshot).status, Status::Unknown);
    }

    #[test]
    fn version_0_3_fails_on_kubernetes_1_22_only_when_it_answers_500() {
        let mut snapshot = healthy();
        let text = "failing or missing response from https://10.0.1.10:4443/apis/metrics.k8s.io/v1beta1: bad status from https://10.0.1.10:4443/apis/metrics.k8s.io/v1beta1: 500";
        unavailable(&mut snapshot, "FailedDiscoveryCheck", text);
        snapshot.server_version = Observed::Present(KubernetesVersion { major: 1, minor: 22 });
        assert_eq!(causes(&snapshot, "version"), [], "0.9 answers 500 for another reason");
        let mut pod = snapshot
            .pods
            .get("kube-system", "metrics-server-5d8f-abcde")
            .seen()
            .map(|pod| (*pod).clone())
            .expect("the pod");
        pod.spec.containers[0].image = "k8s.gcr.io/metrics-server-amd64:v0.3.6".to_owned();
        snapshot.pods.insert(pod);
        assert_eq!(causes(&snapshot, "version"), [Cause::UnsupportedVersion]);
        snapshot.server_version = Observed::Present(KubernetesVersion { major: 1, minor: 21 });
        assert_eq!(causes(&snapshot, "version"), []);
    }

    #[test]
    fn another_owner_is_blamed_only_while_it_fails_beside_metrics_server() {
        let mut snapshot = healthy();
        let labels = json!({"app.kubernetes.io/name": "prometheus-adapter"});
        snapshot.services = Collection::complete([object::<crate::snapshot::Service>(json!({
            "metadata": {"name": "prometheus-adapter", "namespace": "monitoring"},
            "spec": {"selector": labels, "ports": [{"name": "https", "port": 443, "targetPort": 6443}]}
        }))]);
        snapshot.workloads.insert(object::<crate::snapshot::Workload>(json!({
            "metadata": {"name": "prometheus-adapter", "namespace": "monitoring"},
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
                "spec": {"containers": [{"name": "prometheus-adapter", "image": "registry.k8s.io/prometheus-adapter/prometheus-adapter:v0.12.0"}]}}},
            "status": {"replicas": 1, "availableReplicas": 1}
        })));
        let registered = |status: &str| {
            Collection::complete([object::<ApiService>(json!({
                "metadata": {"name": "v1beta1.metrics.k8s.io"},
                "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "service": {"namespace": "monitoring", "name": "prometheus-adapter"}},
                "status": {"conditions": [{"type": "Available", "status": status, "reason": "FailedDiscoveryCheck", "message": "told"}]}
            }))])
        };
        snapshot.api_services = registered("True");
        assert_eq!(causes(&snapshot, "owner"), [], "the adapter serves");
        snapshot.api_services = registered("False");
        assert_eq!(causes(&snapshot, "owner"), [Cause::ApiOwnedByAnother]);
        let workloads: Vec<_> =
            snapshot.workloads.iter().filter(|workload| workload.name() != "metrics-server").cloned().collect();
        snapshot.workloads = Collection::complete(workloads);
        assert_eq!(causes(&snapshot, "owner"), [], "there is no metrics-server that it stands in the way of");
    }
}
