//! What to watch, given what is known so far.

use std::collections::{BTreeMap, BTreeSet};

use super::{kinds::WatchKind, options::Features, request::WatchRequest};
use crate::{
    facts::{chain::Chain, metrics_server::Owner},
    snapshot::{ApiService, Named, NotSeen, Observed, Snapshot, api_server::API_SERVER, api_service::ServiceReference},
};

/// Where metrics-server is looked for while nothing says where it is.
const HOME: &str = "kube-system";

/// What to watch. Starts with what is always needed and follows the chain `APIService` -> Service -> pods as it becomes
/// known; where the chain is broken, or leads to another server that fails, workloads and Services of the whole cluster are
/// looked at until it is whole again.
///
/// With metrics-server in kube-system and every feature on these are 17 watches: four of the whole cluster
/// (`APIServices`, autoscalers, nodes, requests for certificates), seven in kube-system (Services, `EndpointSlices`, Deployments,
/// `ServiceAccounts`, `NetworkPolicies`, pods of metrics-server and of kube-apiserver), four for RBAC, two for `ConfigMaps` by name. Another namespace adds two for its roles, a broken
/// chain four. Pods are never watched without a selector.
pub fn plan(snapshot: &Snapshot, features: Features) -> BTreeSet<WatchRequest> {
    let mut requests = fixed(features);
    if snapshot.api_services.all().gap == Some(NotSeen::NotSynced) {
        return requests;
    }
    let chain = Chain::resolve(snapshot);
    let references = references(&chain.api_services);
    let mut namespaces: BTreeSet<&str> = references.iter().map(|reference| reference.namespace.as_str()).collect();
    if namespaces.is_empty() {
        namespaces.insert(HOME);
    }
    for namespace in &namespaces {
        for kind in [WatchKind::Service, WatchKind::EndpointSlice, WatchKind::Deployment] {
            requests.insert(WatchRequest::within(kind, namespace));
        }
    }
    let workload = chain.workload.seen().copied();
    namespaces.extend(workload.map(Named::namespace));
    for namespace in &namespaces {
        requests.insert(WatchRequest::within(WatchKind::ServiceAccount, namespace));
        if features.network_policies {
            requests.insert(WatchRequest::within(WatchKind::NetworkPolicy, namespace));
        }
        if features.rbac {
            requests.insert(WatchRequest::within(WatchKind::Role, namespace));
            requests.insert(WatchRequest::within(WatchKind::RoleBinding, namespace));
        }
    }
    for reference in &references {
        if let Some(service) = snapshot.services.get(&reference.namespace, &reference.name).seen() {
            add_pods(&mut requests, &reference.namespace, &service.spec.selector);
        }
    }
    if let Some(workload) = workload {
        add_pods(&mut requests, workload.namespace(), &workload.spec.selector.match_labels);
    }
    for pod in &chain.selected_pods.objects {
        match pod.controller().map(|owner| owner.kind.as_str()) {
            Some("DaemonSet") => requests.insert(WatchRequest::within(WatchKind::DaemonSet, pod.namespace())),
            Some("StatefulSet") => requests.insert(WatchRequest::within(WatchKind::StatefulSet, pod.namespace())),
            _ => false,
        };
    }
    if is_broken(snapshot, &chain, &references) {
        for kind in [WatchKind::Deployment, WatchKind::DaemonSet, WatchKind::StatefulSet, WatchKind::Service] {
            requests.insert(WatchRequest::everywhere(kind));
        }
    }
    requests
}

/// What is watched whatever is known.
fn fixed(features: Features) -> BTreeSet<WatchRequest> {
    let mut requests = BTreeSet::from([
        WatchRequest::everywhere(WatchKind::ApiService),
        WatchRequest::everywhere(WatchKind::HorizontalPodAutoscaler),
    ]);
    if features.nodes {
        requests.insert(WatchRequest::everywhere(WatchKind::Node));
    }
    if features.rbac {
        requests.insert(WatchRequest::everywhere(WatchKind::ClusterRole));
        requests.insert(WatchRequest::everywhere(WatchKind::ClusterRoleBinding));
        requests.insert(WatchRequest::within(WatchKind::Role, HOME));
        requests.insert(WatchRequest::within(WatchKind::RoleBinding, HOME));
    }
    if features.aws_auth {
        requests.insert(WatchRequest::within(WatchKind::ConfigMap, HOME).named("aws-auth"));
    }
    if features.authentication_config {
        requests.insert(WatchRequest::within(WatchKind::ConfigMap, HOME).named("extension-apiserver-authentication"));
    }
    if features.certificate_requests {
        requests.insert(WatchRequest::everywhere(WatchKind::CertificateSigningRequest));
    }
    // Where the control plane is managed there are none.
    let api_server = BTreeMap::from([("component".to_owned(), API_SERVER.to_owned())]);
    requests.insert(WatchRequest::within(WatchKind::Pod, HOME).labelled(&api_server));
    requests
}

/// The Services that `APIServices` of the metrics API name, each once.
fn references<'s>(api_services: &[&'s ApiService]) -> Vec<&'s ServiceReference> {
    let mut references: Vec<&ServiceReference> = Vec::new();
    for reference in api_services.iter().filter_map(|api_service| api_service.spec.service.as_ref()) {
        if !references.iter().any(|known| known.namespace == reference.namespace && known.name == reference.name) {
            references.push(reference);
        }
    }
    references
}

/// Adds a watch of pods, unless the selector is empty or another watch shows these pods already.
fn add_pods(requests: &mut BTreeSet<WatchRequest>, namespace: &str, labels: &BTreeMap<String, String>) {
    let shown = requests.iter().any(|request| {
        request.kind == WatchKind::Pod
            && request.namespace.as_deref() == Some(namespace)
            && request.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
    });
    if !labels.is_empty() && !shown {
        requests.insert(WatchRequest::within(WatchKind::Pod, namespace).labelled(labels));
    }
}

/// Whether the chain certainly ends before metrics-server. Depends only on what is watched in any case, so that what is
/// found by the wider look cannot end it.
fn is_broken(snapshot: &Snapshot, chain: &Chain<'_>, references: &[&ServiceReference]) -> bool {
    if references.is_empty() {
        return snapshot.api_services.all().gap.is_none();
    }
    let service_absent =
        references.iter().any(|reference| snapshot.services.get(&reference.namespace, &reference.name).is_absent());
    let nothing_selected = matches!(chain.service, Observed::Present(_))
        && chain.selected_pods.is_certainly_empty()
        && !chain.workload_is_selected;
    // An adapter may have taken the API from a metrics-server that runs unused elsewhere.
    let another_fails =
        chain.unavailable().is_some() && chain.owner().is_some_and(|owner| owner != Owner::MetricsServer);
    service_absent || nothing_selected || another_fails
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        snapshot::{Collection, Pod, Service},
        testing::{healthy, object},
    };

    fn labels(value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("k8s-app".to_owned(), value.to_owned())])
    }

    fn everything(snapshot: &Snapshot) -> BTreeSet<WatchRequest> {
        plan(snapshot, Features::default())
    }

    #[test]
    fn a_healthy_cluster_needs_seventeen_watches() {
        let requests = everything(&healthy());
        assert_eq!(requests.len(), 17, "{requests:#?}");
        let pods = WatchRequest::within(WatchKind::Pod, "kube-system").labelled(&labels("metrics-server"));
        assert!(requests.contains(&pods));
        assert!(!requests.contains(&WatchRequest::everywhere(WatchKind::Deployment)));
    }

    #[test]
    fn nothing_is_guessed_before_api_services_are_known() {
        let unsynced = Snapshot { api_services: Collection::unseen(NotSeen::NotSynced), ..Snapshot::default() };
        assert_eq!(everything(&unsynced), fixed(Features::default()));
    }

    #[test]
    fn without_the_right_to_list_api_services_kube_system_is_looked_at_and_nothing_counts_as_broken() {
        let reason = NotSeen::Forbidden { verb: "list", resource: "apiservices" };
        let requests = everything(&Snapshot { api_services: Collection::unseen(reason), ..healthy() });
        assert!(requests.contains(&WatchRequest::within(WatchKind::Deployment, "kube-system")));
        assert!(!requests.contains(&WatchRequest::everywhere(WatchKind::Deployment)));
    }

    #[test]
    fn a_broken_chain_is_looked_for_in_the_whole_cluster() {
        let no_api_service = Snapshot { api_services: Collection::complete([]), ..healthy() };
        let no_service = Snapshot { services: Collection::complete([]), ..healthy() };
        let other: Service = object(json!({
            "metadata": {"name": "metrics-server", "namespace": "kube-system"}, "spec": {"selector": {"k8s-app": "typo"}, "ports": [{"port": 443}]}
        }));
        let wrong_selector = Snapshot { services: Collection::complete([other]), ..healthy() };
        for (case, snapshot) in
            [("no APIService", no_api_service), ("no Service", no_service), ("wrong selector", wrong_selector)]
        {
            let requests = everything(&snapshot);
            for kind in [WatchKind::Deployment, WatchKind::DaemonSet, WatchKind::StatefulSet, WatchKind::Service] {
                assert!(requests.contains(&WatchRequest::everywhere(kind)), "{case}: {kind}");
            }
            let pods = WatchRequest::within(WatchKind::Pod, "kube-system").labelled(&labels("metrics-server"));
            assert!(requests.contains(&pods), "{case}: the workload's own pods are watched");
        }
    }

    #[test]
    fn metrics_server_is_looked_for_everywhere_while_another_owner_of_the_api_fails() {
        for (status, expected) in [("False", true), ("True", false)] {
            let mut snapshot = healthy();
            snapshot.api_services = Collection::complete([object(json!({
                "metadata": {"name": "v1beta1.metrics.k8s.io"},
                "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "service": {"namespace": "monitoring", "name": "prometheus-adapter"}},
                "status": {"conditions": [{"type": "Available", "status": status, "reason": "MissingEndpoints"}]}
            }))]);
            snapshot.services = Collection::complete([object::<Service>(json!({
                "metadata": {"name": "prometheus-adapter", "namespace": "monitoring"},
                "spec": {"selector": {"app": "prometheus-adapter"}, "ports": [{"port": 443}]}
            }))]);
            snapshot.workloads = Collection::complete([object(json!({
                "metadata": {"name": "prometheus-adapter", "namespace": "monitoring"},
                "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "prometheus-adapter"}}, "template": {
                    "metadata": {"labels": {"app": "prometheus-adapter"}},
                    "spec": {"containers": [{"name": "adapter", "image": "registry.k8s.io/prometheus-adapter/prometheus-adapter:v0.12.0"}]}}}
            }))]);
            let requests = everything(&snapshot);
            assert_eq!(requests.contains(&WatchRequest::everywhere(WatchKind::Deployment)), expected, "{status}");
        }
    }

    #[test]
    fn a_deployment_scaled_to_zero_is_not_a_broken_chain() {
        let requests = everything(&Snapshot { pods: Collection::complete([]), ..healthy() });
        assert!(!requests.contains(&WatchRequest::everywhere(WatchKind::Deployment)));
    }

    #[test]
    fn what_is_not_known_yet_is_not_broken() {
        let services = Collection::unseen(NotSeen::NotSynced);
        let requests = everything(&Snapshot { services, ..healthy() });
        assert!(!requests.contains(&WatchRequest::everywhere(WatchKind::Service)));
    }

    #[test]
    fn pods_are_never_watched_without_labels() {
        let open: Service = object(
            json!({"metadata": {"name": "metrics-server", "namespace": "kube-system"}, "spec": {"ports": [{"port": 443}]}}),
        );
        let snapshot =
            Snapshot { services: Collection::complete([open]), workloads: Collection::complete([]), ..healthy() };
        let pods = everything(&snapshot).into_iter().filter(|request| request.kind == WatchKind::Pod);
        assert_eq!(pods.map(|request| request.labels.len()).collect::<Vec<_>>(), [1], "those of kube-apiserver");
    }

    #[test]
    fn a_daemon_set_behind_the_service_is_watched() {
        let pod: Pod = object(
            json!({"metadata": {"name": "p", "namespace": "kube-system", "labels": {"k8s-app": "metrics-server"},
            "ownerReferences": [{"kind": "DaemonSet", "name": "metrics-server", "controller": true}]}}),
        );
        let snapshot = Snapshot { pods: Collection::complete([pod]), workloads: Collection::complete([]), ..healthy() };
        assert!(everything(&snapshot).contains(&WatchRequest::within(WatchKind::DaemonSet, "kube-system")));
    }

    #[test]
    fn features_that_are_off_ask_for_nothing() {
        let none = Features {
            rbac: false,
            aws_auth: false,
            authentication_config: false,
            certificate_requests: false,
            custom_resource_definitions: false,
            events: false,
            nodes: false,
            network_policies: false,
            logs: false,
            probes: false,
            ..Features::default()
        };
        assert_eq!(plan(&healthy(), none).len(), 8);
    }
}
