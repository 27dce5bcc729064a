//! The observer against an API server with faults.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{
    Backoff, Features, Observation, Options, Timings, WatchKind,
    fake::{FakeServer, Fault},
    observe, observe_once,
};
use crate::{
    facts::chain::Chain,
    health::{ObserverHealth, WatchState},
    snapshot::{
        NotSeen, Observed, Snapshot,
        retrieval::{ErrorClass, Outcome},
    },
};

const PATIENCE: Duration = Duration::from_secs(20);

fn quick() -> Timings {
    let milliseconds = Duration::from_millis;
    Timings {
        debounce: milliseconds(5),
        publish_at_most_every: milliseconds(20),
        publish_at_least_every: milliseconds(200),
        replan: milliseconds(5),
        linger: milliseconds(300),
        retry: Backoff { first: milliseconds(20), longest: milliseconds(100) },
        retry_refused: Backoff { first: milliseconds(50), longest: milliseconds(200) },
        lookup_interval: milliseconds(300),
        access_interval: milliseconds(300),
        probe_interval: milliseconds(300),
        probe_soon: milliseconds(10),
        probe_timeout: milliseconds(500),
        ..Timings::default()
    }
}

fn options() -> Options {
    let features = Features { probes: false, ..Features::default() };
    Options { features, timings: quick(), ..Options::default() }
}

/// Waits for a snapshot that `holds`, and tells the last one where none comes.
async fn until(observation: &mut Observation, what: &str, holds: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
    let found = tokio::time::timeout(PATIENCE, observation.snapshots.wait_for(|snapshot| holds(snapshot))).await;
    if let Ok(snapshot) = found {
        return Arc::clone(&snapshot.expect("the observer lives"));
    }
    panic!("never seen: {what}; health: {:#?}", observation.health.borrow());
}

fn api_service() -> Value {
    json!({"metadata": {"name": "v1beta1.metrics.k8s.io"},
        "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "service": {"namespace": "kube-system", "name": "metrics-server", "port": 443}},
        "status": {"conditions": [{"type": "Available", "status": "True", "reason": "Passed"}]}})
}

fn service() -> Value {
    json!({"metadata": {"name": "metrics-server", "namespace": "kube-system"},
        "spec": {"selector": {"k8s-app": "metrics-server"}, "ports": [{"port": 443, "targetPort": "https"}]}})
}

fn pod(namespace: &str, name: &str, label: (&str, &str)) -> Value {
    json!({"metadata": {"name": name, "namespace": namespace, "labels": {label.0: label.1}}, "spec": {"containers": [{"name": "c"}]}})
}

fn deployment(namespace: &str) -> Value {
    let labels = json!({"k8s-app": "metrics-server"});
    json!({"metadata": {"name": "metrics-server", "namespace": namespace},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
            "spec": {"containers": [{"name": "metrics-server", "image": "metrics-server:v0.9.0"}]}}}})
}

async fn healthy() -> FakeServer {
    let server = FakeServer::start().await;
    server.put("apiservices", api_service());
    server.put("services", service());
    server.put("deployments", deployment("kube-system"));
    server.put("pods", pod("kube-system", "metrics-server-1", ("k8s-app", "metrics-server")));
    server.put("pods", pod("kube-system", "kube-dns-1", ("k8s-app", "kube-dns")));
    for name in ["node-1", "node-2", "node-3", "node-4", "node-5"] {
        server.put("nodes", json!({"metadata": {"name": name}}));
    }
    server
}

fn known_nodes(snapshot: &Snapshot) -> Option<usize> {
    snapshot.nodes.all().complete().ok().map(|nodes| nodes.len())
}

#[tokio::test]
async fn the_chain_is_followed_and_lists_of_several_pages_are_read_whole() {
    let server = healthy().await;
    let (snapshot, trouble) = observe_once(server.clients(), options(), PATIENCE).await;
    let chain = Chain::resolve(&snapshot);
    assert!(matches!(chain.service, Observed::Present(_)));
    assert_eq!(chain.selected_pods.complete().map(|pods| pods.len()), Ok(1));
    assert_eq!(known_nodes(&snapshot), Some(5));
    assert_eq!(snapshot.server_version.seen().map(|version| version.minor), Some(37));
    assert!(snapshot.config_maps.get("kube-system", "aws-auth").is_absent());
    assert_eq!(trouble, None);
    assert_eq!(snapshot.pods.len(), 1, "only metrics-server's pod");
    assert_eq!(server.requests(r#"pods?{"allowWatchBookmarks""#), 2, "pods of metrics-server and of kube-apiserver");
}

#[tokio::test]
async fn changes_and_deletions_arrive() {
    let server = healthy().await;
    let mut observation = observe(server.clients(), options());
    until(&mut observation, "five nodes", |snapshot| known_nodes(snapshot) == Some(5)).await;
    server.put("nodes", json!({"metadata": {"name": "node-6"}}));
    until(&mut observation, "six nodes", |snapshot| known_nodes(snapshot) == Some(6)).await;
    server.delete("nodes", "", "node-1");
    until(&mut observation, "node-1 gone", |snapshot| snapshot.nodes.get("", "node-1").is_absent()).await;
}

#[tokio::test]
async fn a_kind_that_is_refused_is_named_and_the_rest_works_on() {
    let server = healthy().await;
    server.fail("networkpolicies", Fault::Status(403));
    server.deny("networkpolicies");
    let mut observation = observe(server.clients(), options());
    let forbidden = NotSeen::Forbidden { verb: "list", resource: "networkpolicies" };
    let snapshot = until(&mut observation, "five nodes and a refusal", |snapshot| {
        known_nodes(snapshot) == Some(5)
            && snapshot.network_policies.in_namespace("kube-system").gap == Some(forbidden.clone())
    })
    .await;
    assert!(matches!(Chain::resolve(&snapshot).service, Observed::Present(_)));
    let health = observation.health.wait_for(|health| {
        health.first_complete_look && health.missing_permissions().any(|missing| missing.resource == "networkpolicies")
    });
    let health = tokio::time::timeout(PATIENCE, health).await.expect("a complete look").expect("a living observer");
    assert_eq!(health.by_resource().get("networkpolicies"), Some(&WatchState::Forbidden));
    assert_eq!(health.by_resource().get("nodes"), Some(&WatchState::Synced));
}

#[tokio::test]
async fn a_right_that_is_missing_is_asked_for_again_before_the_others() {
    let server = healthy().await;
    server.deny("networkpolicies");
    // The next round about all rights is out of sight.
    let timings = Timings { access_interval: Duration::from_secs(30), ..quick() };
    let mut observation = observe(server.clients(), Options { timings, ..options() });
    let missing =
        |health: &ObserverHealth| health.missing_permissions().any(|missing| missing.resource == "networkpolicies");
    let lost = tokio::time::timeout(PATIENCE, observation.health.wait_for(|health| missing(health))).await;
    drop(lost.expect("a missing right").expect("a living observer"));
    server.allow("networkpolicies");
    let back = observation.health.wait_for(|health| !health.permissions.is_empty() && !missing(health));
    drop(tokio::time::timeout(PATIENCE, back).await.expect("the right is back").expect("a living observer"));
}

#[tokio::test]
async fn a_right_that_is_revoked_and_granted_again() {
    let server = healthy().await;
    let mut observation = observe(server.clients(), options());
    until(&mut observation, "five nodes", |snapshot| known_nodes(snapshot) == Some(5)).await;
    server.fail("nodes", Fault::Status(403));
    server.cut_watches();
    let forbidden = NotSeen::Forbidden { verb: "watch", resource: "nodes" };
    let refused =
        until(&mut observation, "nodes refused", |snapshot| snapshot.nodes.all().gap == Some(forbidden.clone())).await;
    assert!(refused.nodes.is_empty(), "old objects do not count as seen");
    assert!(matches!(Chain::resolve(&refused).service, Observed::Present(_)));
    let lists = server.requests(r#"nodes?{"limit""#);
    server.heal("nodes");
    until(&mut observation, "five nodes again", |snapshot| known_nodes(snapshot) == Some(5)).await;
    assert_eq!(server.requests(r#"nodes?{"limit""#), lists, "the watch goes on from where it was");
}

#[tokio::test]
async fn after_410_the_list_is_read_again_and_what_vanished_is_swept() {
    let server = healthy().await;
    let mut observation = observe(server.clients(), options());
    until(&mut observation, "five nodes", |snapshot| known_nodes(snapshot) == Some(5)).await;
    server.vanish("nodes", "", "node-2");
    server.compact();
    server.cut_watches();
    let snapshot = until(&mut observation, "four nodes", |snapshot| known_nodes(snapshot) == Some(4)).await;
    assert!(snapshot.nodes.get("", "node-2").is_absent());
}

#[tokio::test]
async fn a_server_that_refuses_to_go_on_is_listed_anew() {
    let server = healthy().await;
    let mut observation = observe(server.clients(), options());
    until(&mut observation, "five nodes", |snapshot| known_nodes(snapshot) == Some(5)).await;
    let lists = server.requests(r#"nodes?{"limit""#);
    server.vanish("nodes", "", "node-2");
    server.fail("nodes", Fault::WatchStatus(504));
    server.cut_watches();
    until(&mut observation, "four nodes", |snapshot| snapshot.nodes.len() == 4).await;
    assert!(server.requests(r#"nodes?{"limit""#) > lists);
}

#[tokio::test]
async fn a_list_that_hangs_keeps_only_its_own_kind_waiting() {
    let server = healthy().await;
    server.fail("nodes", Fault::Hang);
    let mut observation = observe(server.clients(), options());
    let snapshot = until(&mut observation, "the pod of metrics-server", |snapshot| snapshot.pods.len() == 1).await;
    assert_eq!(snapshot.nodes.all().gap, Some(NotSeen::NotSynced));
    assert!(!observation.health.borrow().first_complete_look);
}

#[tokio::test]
async fn data_is_kept_for_a_while_and_then_counts_as_unreachable() {
    let server = healthy().await;
    let timings = Timings { stale_after: Duration::from_millis(600), ..quick() };
    let mut observation = observe(server.clients(), Options { timings, ..options() });
    until(&mut observation, "five nodes", |snapshot| known_nodes(snapshot) == Some(5)).await;
    server.fail("nodes", Fault::Status(500));
    server.cut_watches();
    let failing = observation
        .health
        .wait_for(|health| health.watches.iter().any(|(part, watch)| part.resource == "nodes" && watch.errors > 0));
    drop(tokio::time::timeout(PATIENCE, failing).await.expect("an error"));
    assert_eq!(known_nodes(&observation.snapshots.borrow()), Some(5), "a failure alone changes nothing");
    until(&mut observation, "nodes unreachable", |snapshot| {
        matches!(snapshot.nodes.all().gap, Some(NotSeen::Unreachable(_))) && snapshot.nodes.is_empty()
    })
    .await;
    server.heal("nodes");
    until(&mut observation, "five nodes again", |snapshot| known_nodes(snapshot) == Some(5)).await;
}

#[tokio::test]
async fn a_version_that_is_not_served_gives_way_to_an_older_one() {
    let server = healthy().await;
    server.answer("/apis/autoscaling/v2/horizontalpodautoscalers", 404, "404 page not found");
    server.fail("networkpolicies", Fault::NotServed);
    server.put("horizontalpodautoscalers", json!({"metadata": {"name": "web", "namespace": "shop"}}));
    let (snapshot, _) = observe_once(server.clients(), options(), PATIENCE).await;
    assert_eq!(snapshot.autoscalers.all().complete().map(|found| found.len()), Ok(1));
    assert!(snapshot.network_policies.in_namespace("kube-system").is_certainly_empty());
}

#[tokio::test]
async fn a_broken_chain_is_searched_for_and_left_alone_when_it_is_whole() {
    let server = FakeServer::start().await;
    server.put("deployments", deployment("monitoring"));
    let mut observation = observe(server.clients(), options());
    let snapshot = until(&mut observation, "the Deployment in another namespace", |snapshot| {
        Chain::resolve(snapshot).workload.seen().is_some()
    })
    .await;
    assert!(Chain::resolve(&snapshot).api_service.is_absent());
    server.put("apiservices", api_service());
    server.put("services", service());
    server.put("deployments", deployment("kube-system"));
    let everywhere = super::WatchRequest::everywhere(WatchKind::Deployment).part();
    let left = observation.health.wait_for(|health| !health.watches.contains_key(&everywhere));
    drop(tokio::time::timeout(PATIENCE, left).await.expect("the wider look ends"));
    until(&mut observation, "the right Deployment", |snapshot| Chain::resolve(snapshot).workload_is_selected).await;
}

#[tokio::test]
async fn blind_autoscalers_are_looked_up_and_forgotten() {
    let server = healthy().await;
    let autoscaler = |target: &str, current: Value| {
        json!({"metadata": {"name": target, "namespace": "shop"},
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]},
            "status": {"currentMetrics": current}})
    };
    let scale = json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {"replicas": 1}, "status": {"selector": "app=web"}});
    server.answer("/apis/apps/v1/namespaces/shop/deployments/web/scale", 200, &scale.to_string());
    server.answer("/apis/apps/v1/namespaces/shop/deployments/gone/scale", 404, r#"{"kind":"Status","code":404}"#);
    server.put("pods", pod("shop", "web-1", ("app", "web")));
    server.put("pods", pod("shop", "other-1", ("app", "other")));
    server.put("horizontalpodautoscalers", autoscaler("web", json!([{"type": ""}])));
    server.put("horizontalpodautoscalers", autoscaler("gone", json!([])));
    let mut observation = observe(server.clients(), options());
    let snapshot = until(&mut observation, "the scale", |snapshot| snapshot.scales.len() == 1).await;
    assert!(snapshot.scales.get_of_kind(Some("Deployment"), "shop", "gone").is_absent());
    let labels = [("app".to_owned(), "web".to_owned())].into();
    assert_eq!(snapshot.pods.selected("shop", &labels).complete().map(|pods| pods.len()), Ok(1));
    let sees = json!([{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 1}}}]);
    server.put("horizontalpodautoscalers", autoscaler("web", sees));
    until(&mut observation, "nothing more of it", |snapshot| {
        snapshot.scales.is_empty() && snapshot.pods.selected("shop", &labels).objects.is_empty()
    })
    .await;
}

#[tokio::test]
async fn the_metrics_api_is_called_again_soon_after_its_condition_changed() {
    let server = healthy().await;
    let nodes = json!({"kind": "NodeMetricsList", "items": [{"metadata": {"name": "node-1"}, "timestamp": "2026-01-01T12:00:00Z", "window": "20s", "usage": {"cpu": "1"}}]});
    server.answer("/apis/metrics.k8s.io/v1beta1/nodes", 200, &nodes.to_string());
    server.answer("/apis/metrics.k8s.io/v1beta1/namespaces/kube-system/pods", 503, "service unavailable");
    let timings = Timings { probe_interval: Duration::from_hours(1), ..quick() };
    let mut observation = observe(server.clients(), Options { timings, ..Options::default() });
    let class = |retrieval: &Observed<crate::snapshot::Retrieval>| match &retrieval.seen()?.outcome {
        Outcome::Failed { class, .. } => Some(*class),
        Outcome::Samples(_) => None,
    };
    let snapshot = until(&mut observation, "an answer", |snapshot| snapshot.top_pods.seen().is_some()).await;
    assert_eq!(class(&snapshot.top_pods), Some(ErrorClass::ServiceUnavailable));
    assert!(
        matches!(&snapshot.top_nodes.seen().expect("nodes").outcome, Outcome::Samples(samples) if samples.len() == 1)
    );
    server.answer("/apis/metrics.k8s.io/v1beta1/nodes", 403, r#"{"message": "denied"}"#);
    let mut changed = api_service();
    changed["status"]["conditions"][0] =
        json!({"type": "Available", "status": "False", "reason": "FailedDiscoveryCheck"});
    server.put("apiservices", changed);
    until(&mut observation, "the new answer", |snapshot| class(&snapshot.top_nodes) == Some(ErrorClass::Forbidden))
        .await;
}

#[tokio::test]
async fn an_api_server_out_of_reach_is_told_before_the_deadline() {
    let clients = {
        let server = FakeServer::start().await;
        server.clients()
    };
    let started = std::time::Instant::now();
    let (snapshot, trouble) = observe_once(clients, options(), Duration::from_mins(1)).await;
    assert!(started.elapsed() < PATIENCE);
    assert!(trouble.is_some_and(|trouble| trouble.contains("refused")));
    assert!(matches!(snapshot.nodes.all().gap, Some(NotSeen::Unreachable(_))), "{:?}", snapshot.nodes.all().gap);
}

#[tokio::test]
async fn a_pod_in_doubt_is_asked_about_by_its_events_and_requests_for_certificates_are_kept_lean() {
    let server = healthy().await;
    let mut pod = pod("kube-system", "metrics-server-1", ("k8s-app", "metrics-server"));
    pod["spec"]["containers"] = json!([{"name": "metrics-server", "image": "metrics-server:v0.9.0"}]);
    server.put("pods", pod.clone());
    server.put(
        "events",
        json!({"metadata": {"name": "e1", "namespace": "kube-system"}, "involvedObject": {"kind": "Pod", "name": "metrics-server-1"},
            "reason": "Unhealthy", "message": "Readiness probe failed", "count": 3, "lastTimestamp": "2026-01-01T12:00:00Z"}),
    );
    server.put(
        "certificatesigningrequests",
        json!({"metadata": {"name": "csr-1"}, "spec": {"signerName": "kubernetes.io/kubelet-serving", "username": "system:node:node-1", "request": "eA=="}}),
    );
    let (snapshot, _) = observe_once(server.clients(), options(), PATIENCE).await;
    let listing = snapshot.events.in_namespace("kube-system");
    assert_eq!((listing.objects.len(), listing.gap.clone()), (1, None), "{listing:?}");
    assert_eq!(listing.objects[0].times(), 3);
    assert_eq!(server.requests("involvedObject.name"), server.requests("/events?"), "never without a pod's name");
    let requests = snapshot.certificate_signing_requests.all();
    assert_eq!(requests.objects.first().and_then(|request| request.node()), Some("node-1"));
    assert_eq!(requests.gap, None);
    pod["status"] = json!({"conditions": [{"type": "Ready", "status": "True"}]});
    server.put("pods", pod);
    let before = server.requests("/events?");
    let (snapshot, _) = observe_once(server.clients(), options(), PATIENCE).await;
    assert_eq!(snapshot.events.in_namespace("kube-system").gap, Some(NotSeen::NotLooked));
    assert_eq!(server.requests("/events?"), before, "nobody asks about a server that runs well");
}

#[tokio::test]
async fn what_may_not_be_read_of_the_new_looks_is_unknown() {
    let server = healthy().await;
    server.fail("certificatesigningrequests", Fault::Status(403));
    server.fail("configmaps", Fault::Status(403));
    let mut pod = pod("kube-system", "metrics-server-1", ("k8s-app", "metrics-server"));
    pod["spec"]["containers"] = json!([{"name": "metrics-server", "image": "metrics-server:v0.9.0"}]);
    server.put("pods", pod);
    server.fail("events", Fault::Status(403));
    let (snapshot, _) = observe_once(server.clients(), options(), PATIENCE).await;
    let forbidden = |verb, resource| Some(NotSeen::Forbidden { verb, resource });
    assert_eq!(snapshot.certificate_signing_requests.all().gap, forbidden("list", "certificatesigningrequests"));
    assert_eq!(snapshot.events.in_namespace("kube-system").gap, forbidden("list", "events"));
    let name = "extension-apiserver-authentication";
    let reason = snapshot.config_maps.get("kube-system", name).map(|_| ());
    assert_eq!(reason, Observed::NotSeen(NotSeen::Forbidden { verb: "list", resource: "configmaps" }));
    let off =
        Features { authentication_config: false, certificate_requests: false, events: false, ..Features::default() };
    let (snapshot, _) = observe_once(server.clients(), Options { features: off, ..options() }, PATIENCE).await;
    assert_eq!(snapshot.certificate_signing_requests.all().gap, Some(NotSeen::NotLooked));
    assert_eq!(snapshot.events.all().gap, Some(NotSeen::NotLooked));
}

#[tokio::test]
async fn the_kind_of_a_blind_autoscalers_target_is_looked_up_by_name_once() {
    let server = healthy().await;
    let target = |name: &str| {
        json!({"metadata": {"name": name, "namespace": "shop"},
            "spec": {"scaleTargetRef": {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": name}}})
    };
    server.put("horizontalpodautoscalers", target("web"));
    server.put("horizontalpodautoscalers", target("api"));
    let group = json!({"kind": "APIGroup", "apiVersion": "v1", "name": "argoproj.io",
        "versions": [{"groupVersion": "argoproj.io/v1alpha1", "version": "v1alpha1"}]});
    server.answer("/apis/argoproj.io", 200, &group.to_string());
    let resources = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "argoproj.io/v1alpha1",
        "resources": [{"name": "rollouts", "singularName": "", "namespaced": true, "kind": "Rollout", "verbs": ["get"]}]});
    server.answer("/apis/argoproj.io/v1alpha1", 200, &resources.to_string());
    for name in ["web", "api"] {
        let path = format!("/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/{name}/scale");
        server.answer(&path, 404, r#"{"kind":"Status","code":404}"#);
    }
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/rollouts.argoproj.io";
    let definition = json!({"metadata": {"name": "rollouts.argoproj.io"}, "spec": {"group": "argoproj.io",
        "names": {"kind": "Rollout", "plural": "rollouts"}, "versions": [{"name": "v1alpha1", "served": true}]}});
    server.answer(path, 200, &definition.to_string());
    let (snapshot, _) = observe_once(server.clients(), options(), PATIENCE).await;
    let found = snapshot.custom_resource_definitions.get("", "rollouts.argoproj.io");
    assert!(found.seen().is_some_and(|found| found.scale("v1alpha1").is_none()), "{found:?}");
    assert!((1..=2).contains(&server.requests(path)), "for both targets, and not again");

    server.answer(path, 403, r#"{"kind":"Status","code":403}"#);
    let (snapshot, _) = observe_once(server.clients(), options(), PATIENCE).await;
    let forbidden = NotSeen::Forbidden { verb: "get", resource: "customresourcedefinitions" };
    let reason = snapshot.custom_resource_definitions.get("", "rollouts.argoproj.io").map(|_| ());
    assert_eq!(reason, Observed::NotSeen(forbidden));
    let features = Features { custom_resource_definitions: false, ..Features::default() };
    let asked = server.requests(path);
    let (snapshot, _) = observe_once(server.clients(), Options { features, ..options() }, PATIENCE).await;
    let reason = snapshot.custom_resource_definitions.get("", "rollouts.argoproj.io").map(|_| ());
    assert_eq!((reason, server.requests(path)), (Observed::NotSeen(NotSeen::NotLooked), asked));
}
