//! Step `installed` (guide: "Metrics Server is not installed by default").

use crate::{
    catalogue::Cause,
    check::{Check, Docket, Finding, Impact, Slot},
    facts::{
        Facts,
        installation::{self, Fit, Registration},
        metrics_server::{self, Owner},
    },
    guide::Step,
    snapshot::{Named, NotSeen, ObjectReference, Observed, Workload},
};

/// The checks of this step.
pub const CHECKS: &[Check] = &[
    Check {
        step: Step::Installed,
        id: "registered",
        question: "Does an APIService of group metrics.k8s.io exist?",
        causes: &[Cause::NotInstalled, Cause::ApiServiceMissing],
        rule: registered,
    },
    Check {
        step: Step::Installed,
        id: "workload",
        question: "Is there a server behind the APIService?",
        causes: &[Cause::ApiServiceLeftOver],
        rule: workload,
    },
    Check {
        step: Step::Installed,
        id: "owner",
        question: "Who serves metrics.k8s.io?",
        causes: &[Cause::ApiOwnedByAnother],
        rule: owner,
    },
    Check {
        step: Step::Installed,
        id: "version",
        question: "Does this metrics-server version work with this Kubernetes version?",
        causes: &[Cause::UnsupportedVersion],
        rule: version,
    },
];

fn told(workload: &Workload) -> String {
    format!("{} {}/{}", workload.kind.name(), workload.namespace(), workload.name())
}

fn registered(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    let chain = &facts.chain;
    let absent = match installation::registration(facts) {
        Registration::Present(evidence) => {
            if let Some(api_service) = chain.api_service.seen() {
                let service = chain.service_reference().map_or_else(
                    || "no Service".to_owned(),
                    |reference| {
                        let port = reference.effective_port();
                        format!("Service {}/{} port {port}", reference.namespace, reference.name)
                    },
                );
                docket.say(format!("APIService {} names {service}.", api_service.name()));
                let names: Vec<&str> = chain.api_services.iter().map(|api_service| api_service.name()).collect();
                docket.note(format!("APIServices of group metrics.k8s.io: {}", names.join(", ")));
            }
            docket.exclude_rest(evidence);
            return Ok(());
        }
        Registration::NotSeen(gap) => return Err(gap),
        Registration::Absent(evidence) => evidence,
    };
    let finding = match (chain.metrics_servers.objects.first(), &chain.metrics_servers.gap) {
        (Some(workload), _) => {
            docket.exclude(&[Cause::NotInstalled], format!("{} runs metrics-server", told(workload)));
            Finding::outage(
                Cause::ApiServiceMissing,
                ObjectReference::new(workload.kind.name(), workload.namespace(), workload.name()),
                format!("{} runs metrics-server, but no APIService registers metrics.k8s.io.", told(workload)),
            )
        }
        (None, _) if !chain.pods().is_empty() => {
            let pod = chain.pods()[0];
            let told = format!("Pod {}/{} runs metrics-server", pod.namespace(), pod.name());
            docket.exclude(&[Cause::NotInstalled], told.clone());
            Finding::outage(
                Cause::ApiServiceMissing,
                ObjectReference::new("Pod", pod.namespace(), pod.name()),
                format!("{told}, but no APIService registers metrics.k8s.io."),
            )
        }
        (None, None) => {
            docket.exclude(&[Cause::ApiServiceMissing], "no workload in the cluster runs metrics-server");
            Finding::outage(Cause::NotInstalled, chain.api_service_object(), "Metrics Server is not installed.")
                .evidence("no Deployment, DaemonSet or StatefulSet has metrics-server's image")
        }
        (None, Some(_)) if installation::others_collected(facts) > 1 => {
            let others = installation::others_collected(facts);
            let told = format!("{others} others of kube-system were collected, and none runs metrics-server");
            docket.exclude(&[Cause::ApiServiceMissing], told.clone());
            Finding::outage(Cause::NotInstalled, chain.api_service_object(), "Metrics Server is not installed.")
                .evidence(told)
        }
        (None, Some(gap)) => Finding::outage(
            Cause::NotInstalled,
            chain.api_service_object(),
            "No APIService registers metrics.k8s.io; whether metrics-server runs was not seen.",
        )
        .evidence(format!("workloads: {gap}"))
        .candidates([Cause::NotInstalled, Cause::ApiServiceMissing]),
    };
    docket.confirm(finding.evidence(absent));
    Ok(())
}

fn workload(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    let chain = &facts.chain;
    if chain.api_service.clone().known()?.is_none() {
        docket.not_applicable("There is no APIService that could name something.");
        return Ok(());
    }
    let Some(reference) = chain.service_reference() else {
        docket.exclude_rest("kube-apiserver serves the group itself.");
        return Ok(());
    };
    if installation::is_left_over(facts) {
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
        let finding = Finding::outage(Cause::ApiServiceLeftOver, api_service, summary)
            .since(facts.complaint().and_then(|complaint| complaint.since))
            .evidence(format!("no workload in namespace {} runs metrics-server", reference.namespace))
            .evidence(service);
        docket.confirm(finding);
        return Ok(());
    }
    if let Some(workload) = chain.workload.seen() {
        let seen = told(workload);
        docket.note(format!("{seen}: {} of {} replicas available", workload.available(), workload.wanted()));
        docket.exclude_rest(format!("{seen} stands behind the API."));
        return Ok(());
    }
    if let Some(pod) = chain.pods().first() {
        docket.exclude_rest(format!("Pod {}/{} stands behind the API.", pod.namespace(), pod.name()));
        return Ok(());
    }
    if chain.is_available() {
        docket.exclude_rest("The API is answered.");
        return Ok(());
    }
    chain.workload.clone().known()?;
    Err(chain.selected_pods.gap.clone().unwrap_or(NotSeen::NotLooked))
}

fn owner(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    let chain = &facts.chain;
    if chain.api_service.clone().known()?.is_none() {
        docket.not_applicable("There is no APIService.");
        return Ok(());
    }
    let Some(owner) = chain.owner() else {
        chain.workload.clone().known()?;
        docket.not_applicable("Nothing stands behind the API.");
        return Ok(());
    };
    let name = match owner {
        Owner::MetricsServer => "metrics-server",
        Owner::PrometheusAdapter => "prometheus-adapter",
        Owner::Other => "Another server than metrics-server",
    };
    let unused = installation::unused(facts);
    let beside: Vec<String> = unused.iter().map(|workload| told(workload)).collect();
    if owner == Owner::MetricsServer {
        if !beside.is_empty() {
            docket.note(format!("metrics-server runs beside the one in use: {}", beside.join(", ")));
        }
        docket.exclude_rest("metrics-server serves metrics.k8s.io.");
        return Ok(());
    }
    let names = format!(
        "APIService {} names Service {}/{}",
        chain.api_service_object().name,
        chain.service_object().namespace,
        chain.service_object().name
    );
    if let Some(unused) = beside.first() {
        let failing = installation::failure(facts);
        let (fails, impact) = if failing.is_some() { (" and fails", Impact::Outage) } else { ("", Impact::Latent) };
        let finding = Finding::outage(
            Cause::ApiOwnedByAnother,
            chain.api_service_object(),
            format!("{name} is registered for metrics.k8s.io{fails}, while {unused} runs unused."),
        )
        .weighing(impact)
        .evidence(names);
        docket.confirm(failing.into_iter().fold(finding, Finding::evidence));
        return Ok(());
    }
    if let Some((answered, empty, words)) = installation::half_answered(facts) {
        let finding = Finding::outage(
            Cause::ApiOwnedByAnother,
            chain.api_service_object(),
            format!("{name} serves metrics.k8s.io and has samples of {answered}, but none of {empty}."),
        )
        .evidence(names)
        .evidence(format!("{empty}: {words}"))
        .advice(format!("Complete the rules by which it answers for {empty}: of prometheus-adapter resourceRules (cpu and memory, each with {}), and the metrics of cAdvisor or node-exporter that its queries need.", if empty == "nodes" { "nodeQuery" } else { "containerQuery" }));
        docket.confirm(finding);
        return Ok(());
    }
    if let Some(words) = installation::has_nothing(facts) {
        let finding = Finding::outage(
            Cause::ApiOwnedByAnother,
            chain.api_service_object(),
            format!("{name} serves metrics.k8s.io and has no samples."),
        )
        .evidence(names)
        .evidence(format!("nodes: {words}"))
        .advice("Look at its own log and at where it takes its values from: prometheus-adapter needs a Prometheus that it reaches (--prometheus-url) with the metrics of cAdvisor and node-exporter, and resourceRules whose queries and labels fit them. Or let metrics-server serve the API.");
        docket.confirm(finding);
        return Ok(());
    }
    docket.say(format!("{name} serves metrics.k8s.io."));
    docket.not_applicable("No metrics-server runs that it stands in the way of.");
    Ok(())
}

fn version(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    let chain = &facts.chain;
    let Some(container) = chain.container() else {
        chain.workload.clone().known()?;
        docket.not_applicable("metrics-server does not stand behind the API.");
        return Ok(());
    };
    let packaging = chain.workload.seen().map_or("unknown", |workload| metrics_server::packaging(workload).label());
    let Some(version) = metrics_server::version(&container.image) else {
        docket.not_applicable(format!("The tag of image {} names no version.", container.image));
        return Ok(());
    };
    let image = format!("image: {}", container.image);
    docket.say(format!("metrics-server {version} is installed."));
    let kubernetes = match facts.snapshot.server_version.clone().known() {
        Ok(Some(kubernetes)) => kubernetes,
        Ok(None) => return Err(NotSeen::NotLooked),
        Err(gap) => return Err(gap),
    };
    let finding = |summary: String, impact| {
        let found = Finding::outage(Cause::UnsupportedVersion, chain.workload_object(), summary).weighing(impact);
        match chain.workload.seen() {
            Some(workload) => {
                let kind = workload.kind.name().to_ascii_lowercase();
                found.slot(Slot::Workload, format!("{kind} {}", workload.name()))
            }
            None => found,
        }
        .evidence(image.clone())
        .evidence(format!("server version: {kubernetes}"))
    };
    match installation::fit(version, kubernetes) {
        Fit::Broken if !installation::a_caller_got_samples(facts) => {
            let found = finding(
                format!("metrics-server {version} does not work with Kubernetes {kubernetes}."),
                Impact::Outage,
            )
            .evidence(
                "metrics-server 0.3 asks for SubjectAccessReviews of version v1beta1, which Kubernetes 1.22 removed",
            );
            docket.confirm(installation::failure(facts).into_iter().fold(found, Finding::evidence));
        }
        Fit::Broken | Fit::Untested => {
            docket.confirm(finding(
                format!("metrics-server {version} is not made for Kubernetes {kubernetes}."),
                Impact::Latent,
            ));
        }
        Fit::Fits => {
            docket.note(image);
            docket.note(format!("packaging: {packaging}"));
            docket.exclude_rest(format!("metrics-server {version} is made for Kubernetes {kubernetes}."));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        check::Status,
        snapshot::{ApiService, Collection, KubernetesVersion, Retrieval, Snapshot, retrieval},
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
        let snapshot = Snapshot {
            api_services: Collection::complete([]),
            workloads: Collection::complete([]),
            pods: Collection::complete([]),
            ..healthy()
        };
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
        let mut snapshot =
            Snapshot { api_services: Collection::unseen(NotSeen::NotInBundle("apiservices")), ..healthy() };
        assert_eq!(run(Step::Installed, "registered", &snapshot).status, Status::Pass, "somebody got samples");
        snapshot.top_nodes = Observed::default();
        snapshot.top_pods = Observed::default();
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

    fn told(text: &str) -> Observed<Retrieval> {
        let class = crate::wording::api_error::classify_kubectl(text).expect("an error");
        Observed::Present(Retrieval {
            outcome: retrieval::Outcome::Failed { class, text: text.to_owned() },
            latency: None,
        })
    }

    #[test]
    fn clients_words_prove_absence_where_discovery_lists_every_group() {
        let mut snapshot = Snapshot {
            api_services: Collection::unseen(NotSeen::NotInBundle("apiservices")),
            top_nodes: told("error: Metrics API not available"),
            top_pods: Observed::default(),
            ..healthy()
        };
        assert_eq!(causes(&snapshot, "registered"), [], "since 1.27 a group that does not answer is left out");
        snapshot.server_version = Observed::Present(KubernetesVersion { major: 1, minor: 25 });
        assert_eq!(causes(&snapshot, "registered"), [Cause::ApiServiceMissing]);
        snapshot.server_version = Observed::default();
        assert_eq!(causes(&snapshot, "registered"), []);
        snapshot.top_nodes = told(
            "Error from server (NotFound): the server could not find the requested resource (get services http:heapster:)",
        );
        assert_eq!(causes(&snapshot, "registered"), [Cause::ApiServiceMissing]);
    }

    #[test]
    fn registrations_of_the_api_server_itself_prove_that_the_groups_is_not_there() {
        let own = |name: &str| object::<ApiService>(json!({"metadata": {"name": name}, "spec": {"version": "v1"}}));
        let mut api_services = Collection::unseen(NotSeen::NotInBundle("apiservices"));
        api_services.insert(own("v1."));
        let mut snapshot =
            Snapshot { api_services, top_nodes: Observed::default(), top_pods: Observed::default(), ..healthy() };
        assert_eq!(causes(&snapshot, "registered"), []);
        snapshot.api_services.insert(own("v1.apps"));
        assert_eq!(causes(&snapshot, "registered"), [Cause::ApiServiceMissing]);
    }

    fn with_image(image: &str, minor: u32) -> Snapshot {
        let mut snapshot = healthy();
        let pod = snapshot.pods.get("kube-system", "metrics-server-5d8f-abcde");
        let mut pod = pod.seen().map(|pod| (*pod).clone()).expect("the pod");
        pod.spec.containers[0].image = image.to_owned();
        snapshot.pods.insert(pod);
        snapshot.server_version = Observed::Present(KubernetesVersion { major: 1, minor });
        snapshot
    }

    #[test]
    fn a_pair_that_cannot_work_is_the_fault_until_an_ordinary_caller_gets_samples() {
        let old = "k8s.gcr.io/metrics-server-amd64:v0.3.6";
        let found = |snapshot: &Snapshot| {
            let findings = run(Step::Installed, "version", snapshot).findings;
            findings.iter().map(|finding| (finding.cause, finding.impact)).collect::<Vec<_>>()
        };
        let mut snapshot = with_image(old, 22);
        assert_eq!(found(&snapshot), [(Cause::UnsupportedVersion, Impact::Latent)], "somebody gets samples");
        snapshot.top_nodes = Observed::default();
        snapshot.top_pods = Observed::default();
        assert_eq!(found(&snapshot), [(Cause::UnsupportedVersion, Impact::Outage)], "Available=True is no proof");
        assert_eq!(found(&with_image(old, 21)), []);
        let untested = with_image("registry.k8s.io/metrics-server/metrics-server:v0.9.0", 30);
        assert_eq!(found(&untested), [(Cause::UnsupportedVersion, Impact::Latent)]);
    }

    #[test]
    fn two_providers_are_latent_and_an_outage_once_the_registered_one_fails() {
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
        let found = |snapshot: &Snapshot| {
            let findings = run(Step::Installed, "owner", snapshot).findings;
            findings.iter().map(|finding| (finding.cause, finding.impact)).collect::<Vec<_>>()
        };
        assert_eq!(found(&snapshot), [(Cause::ApiOwnedByAnother, Impact::Latent)], "whatever is applied last wins");
        snapshot.api_services = registered("False");
        assert_eq!(found(&snapshot), [(Cause::ApiOwnedByAnother, Impact::Outage)]);
        let workloads: Vec<_> =
            snapshot.workloads.iter().filter(|workload| workload.name() != "metrics-server").cloned().collect();
        snapshot.workloads = Collection::complete(workloads);
        assert_eq!(causes(&snapshot, "owner"), [], "there is no metrics-server that it stands in the way of");
        snapshot.api_services = registered("True");
        snapshot.top_pods = told("error: metrics not available yet");
        assert_eq!(found(&snapshot), [(Cause::ApiOwnedByAnother, Impact::Outage)], "nodes and no pods");
    }
}
