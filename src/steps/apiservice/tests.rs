//! Condition Available, proxies and the other metrics APIs.

use serde_json::{Value, json};

use crate::{
    catalogue::Cause,
    check::{Impact, Status},
    guide::Step,
    snapshot::{ApiService, Collection, ConfigMap, Named, NotSeen, Observed, Pod, Service, Snapshot},
    testing::{at, healthy, object, run},
};

fn with(status: &Value) -> Snapshot {
    Snapshot {
        api_services: Collection::complete([object::<ApiService>(json!({
            "metadata": {"name": "v1beta1.metrics.k8s.io"},
            "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "service": {"namespace": "kube-system", "name": "metrics-server"}},
            "status": status
        }))]),
        ..healthy()
    }
}

/// The aggregator's check failed with this message.
pub(super) fn failed(message: &str) -> Snapshot {
    with(
        &json!({"conditions": [{"type": "Available", "status": "False", "reason": "FailedDiscoveryCheck", "message": message}]}),
    )
}

fn candidates(snapshot: &Snapshot) -> Vec<Cause> {
    run(Step::Apiservice, "available", snapshot).findings[0].candidates.clone()
}

#[test]
fn true_passes_and_what_is_not_known_yet_is_unknown() {
    assert_eq!(run(Step::Apiservice, "available", &healthy()).status, Status::Pass);
    for status in [
        json!({}),
        json!({"conditions": []}),
        json!({"conditions": [{"type": "Available", "status": "Unknown", "reason": "EndpointsAccessError", "message": "cannot be checked"}]}),
    ] {
        assert_eq!(run(Step::Apiservice, "available", &with(&status)).status, Status::Unknown, "{status}");
    }
}

#[test]
fn a_message_that_fits_one_cause_names_it() {
    for (message, cause) in [
        ("dial tcp 10.0.0.1:1: connect: no route to host", Cause::NoRoute),
        ("Get \"https://10.0.0.1:1/apis\": Forbidden", Cause::ProxyInterferes),
        (
            "Get \"https://10.0.0.1:1/apis\": proxyconnect tcp: dial tcp 10.9.9.9:3128: connect: connection refused",
            Cause::ProxyInterferes,
        ),
        ("lookup x: no such host", Cause::NameResolution),
        ("x509: certificate is valid for localhost, not metrics-server.kube-system.svc", Cause::CaBundleMissing),
        ("remote error: tls: bad certificate", Cause::FrontProxyUntrusted),
        ("bad status from https://10.0.0.1:1: 404", Cause::AnotherServerAnswers),
        ("http: server gave HTTP response to HTTPS client", Cause::AnotherServerAnswers),
        ("bad status from https://10.0.0.1:1: 401", Cause::FrontProxyUntrusted),
        ("bad status from https://10.0.0.1:1: 403", Cause::FrontProxyUntrusted),
        ("Get \"https://10.0.0.1:1/apis\": No agent available", Cause::ControlPlanePathClosed),
    ] {
        assert_eq!(candidates(&failed(message)), [cause], "{message}");
    }
    for message in ["context deadline exceeded", "connect: connection refused", "EOF"] {
        assert!(candidates(&failed(message)).len() > 1, "{message}");
    }
    assert_eq!(candidates(&failed("something new")), []);
}

#[test]
fn what_was_seen_rules_candidates_out() {
    let missing =
        with(&json!({"conditions": [{"type": "Available", "status": "False", "reason": "MissingEndpoints"}]}));
    assert_eq!(candidates(&missing), [Cause::PodsNotReady, Cause::PortNameUnresolved]);
    let error = failed("bad status from https://10.0.0.1:1: 500");
    assert_eq!(candidates(&error), [], "0.9 asks nobody about the aggregator");
    let unseen = |snapshot: Snapshot| Snapshot {
        pods: Collection::unseen(NotSeen::NotInBundle("pods")),
        workloads: Collection::unseen(NotSeen::NotInBundle("deployments")),
        ..snapshot
    };
    assert_eq!(
        candidates(&unseen(error)),
        [Cause::AuthDelegatorMissing, Cause::ApiServerUnreachable, Cause::UnsupportedVersion]
    );
    assert_eq!(candidates(&unseen(missing)).len(), 4);
    assert_eq!(
        candidates(&failed("no service port 443 found for service \"metrics-server\"")),
        [Cause::ServicePortMismatch]
    );
}

#[test]
fn a_connection_that_breaks_off_is_no_crash_of_pods_that_stay_up_and_nobody_elses_on_their_address() {
    let dropped = |address: &str| failed(&format!("Get \"https://{address}:10250/apis\": EOF"));
    let own = candidates(&dropped("10.0.1.10"));
    assert_eq!(own, [Cause::ProxyInterferes, Cause::ControlPlanePathClosed]);
    assert!(candidates(&dropped("10.0.1.99")).contains(&Cause::AnotherServerAnswers));
    let restarting = |seconds: i64| {
        let mut snapshot = dropped("10.0.1.10");
        let mut pod =
            snapshot.pods.get("kube-system", "metrics-server-5d8f-abcde").seen().map(|pod| (*pod).clone()).expect("it");
        pod.status.container_statuses =
            vec![object(json!({"name": "metrics-server", "ready": true, "restartCount": 2, "state": {"running": {}},
            "lastState": {"terminated": {"exitCode": 1, "finishedAt": at(-seconds)}}}))];
        snapshot.pods.insert(pod);
        candidates(&snapshot).contains(&Cause::ContainerCrashing)
    };
    assert!(restarting(60));
    assert!(!restarting(86_000));
    let mut on_the_node = dropped("10.0.1.10");
    let mut pod =
        on_the_node.pods.get("kube-system", "metrics-server-5d8f-abcde").seen().map(|pod| (*pod).clone()).expect("it");
    "10.0.1.10".clone_into(&mut pod.status.host_ip);
    on_the_node.pods.insert(pod);
    assert!(candidates(&on_the_node).contains(&Cause::AnotherServerAnswers), "its node's address");
}

#[test]
fn a_403_beside_a_complete_config_map_may_be_a_proxys() {
    let refused = |allowed: &str| {
        let config_map = object::<ConfigMap>(
            json!({"metadata": {"namespace": "kube-system", "name": "extension-apiserver-authentication"},
            "data": {"requestheader-client-ca-file": "a certificate", "requestheader-allowed-names": allowed}}),
        );
        Snapshot {
            config_maps: Collection::complete([config_map]),
            ..failed("bad status from https://10.0.1.10:10250/apis: 403")
        }
    };
    assert_eq!(candidates(&refused("[\"front-proxy-client\"]")), [Cause::FrontProxyUntrusted, Cause::ProxyInterferes]);
    assert_eq!(candidates(&refused("[\"'front-proxy-client'\"]")), [Cause::FrontProxyUntrusted]);
}

#[test]
fn while_metrics_server_starts_a_symptom_is_no_fault() {
    let mut snapshot = failed("connect: connection refused");
    let mut pod =
        snapshot.pods.get("kube-system", "metrics-server-5d8f-abcde").seen().map(|pod| (*pod).clone()).expect("it");
    pod.metadata.creation_timestamp = at(-40).parse().ok();
    snapshot.pods.insert(pod);
    let answer = run(Step::Apiservice, "available", &snapshot);
    assert_eq!((answer.status, answer.settling_until.is_some()), (Status::Unknown, true));
}

#[test]
fn what_speaks_of_a_proxy_is_its_fault_alone() {
    let line =
        "Get \"https://10.0.1.10:10250/apis\": proxyconnect tcp: dial tcp 10.9.9.9:3128: connect: connection refused";
    let snapshot = failed(line);
    let finding = run(Step::Apiservice, "proxy", &snapshot).findings.remove(0);
    assert_eq!(finding.cause, Cause::ProxyInterferes);
    assert!(finding.summary.contains("10.9.9.9:3128"), "{}", finding.summary);
    assert!(finding.remedy().contains("NO_PROXY"), "{}", finding.remedy());
    for (step, check) in
        [(Step::Timeout, "path"), (Step::Apiservice, "front_proxy"), (Step::ConnectionRefused, "container")]
    {
        assert_eq!(run(step, check, &snapshot).findings, [], "{step}/{check}");
    }
    assert_eq!(run(Step::Apiservice, "proxy", &healthy()).status, Status::Pass);
    let open = run(Step::Apiservice, "proxy", &failed("Get \"https://10.0.1.10:10250/apis\": EOF"));
    assert_eq!((open.status, open.findings.len()), (Status::Unknown, 0));
    let no_route = run(Step::Apiservice, "proxy", &failed("dial tcp 10.0.1.10:10250: connect: no route to host"));
    assert_eq!(no_route.status, Status::Pass);
}

/// A kube-apiserver with these variables.
fn behind(snapshot: Snapshot, env: &Value) -> Snapshot {
    let mut snapshot = snapshot;
    snapshot.pods.insert(object::<Pod>(json!({
        "metadata": {"namespace": "kube-system", "name": "kube-apiserver-a", "labels": {"component": "kube-apiserver"}},
        "spec": {"containers": [{"name": "kube-apiserver", "env": env}]}
    })));
    snapshot
}

#[test]
fn the_environment_of_kube_apiserver_decides_on_a_proxy() {
    let dropped = || failed("Get \"https://10.0.1.10:10250/apis\": EOF");
    let env = |no_proxy: &str| json!([{"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"}, {"name": "NO_PROXY", "value": no_proxy}]);
    let taken = behind(dropped(), &env("10.96.0.0/12,.svc"));
    let finding = run(Step::Apiservice, "proxy", &taken).findings.remove(0);
    assert_eq!(finding.cause, Cause::ProxyInterferes);
    assert!(
        finding.evidence.iter().any(|line| line.contains("NO_PROXY (10.96.0.0/12,.svc) does not hold 10.0.1.10")),
        "{finding:?}"
    );
    let timeout = behind(failed("Get \"https://10.0.1.10:10250/apis\": context deadline exceeded"), &env(""));
    assert_eq!(run(Step::Apiservice, "proxy", &timeout).status, Status::Fail);
    assert_eq!(run(Step::Timeout, "path", &timeout).findings, [], "one line, one fault");
    for env in [env("10.0.0.0/8"), json!([])] {
        let snapshot = behind(dropped(), &env);
        assert_eq!(run(Step::Apiservice, "proxy", &snapshot).status, Status::Pass, "{env}");
        assert!(!candidates(&snapshot).contains(&Cause::ProxyInterferes), "{env}");
    }
    let refused = behind(failed("bad status from https://10.0.1.10:10250/apis: 403"), &env(""));
    assert_eq!(run(Step::Apiservice, "proxy", &refused).findings[0].cause, Cause::ProxyInterferes);
    assert_eq!(run(Step::Apiservice, "front_proxy", &refused).findings, []);
}

fn adapter(status: &str) -> ApiService {
    object(json!({
        "metadata": {"name": "v1beta1.custom.metrics.k8s.io", "creationTimestamp": at(-80_000)},
        "spec": {"group": "custom.metrics.k8s.io", "version": "v1beta1", "service": {"namespace": "monitoring", "name": "prometheus-adapter", "port": 443}},
        "status": {"conditions": [{"type": "Available", "status": status, "reason": "MissingEndpoints", "message": "endpoints have no addresses", "lastTransitionTime": at(-600)}]}
    }))
}

#[test]
fn another_metrics_api_that_is_down_is_a_finding_of_its_own() {
    let with = |status: &str| {
        let mut snapshot = healthy();
        snapshot.api_services.insert(adapter(status));
        snapshot
    };
    assert_eq!(run(Step::Apiservice, "other_apis", &with("True")).status, Status::Pass);
    assert_eq!(run(Step::Apiservice, "other_apis", &healthy()).status, Status::Skipped);
    let down = run(Step::Apiservice, "other_apis", &with("False")).findings.remove(0);
    assert_eq!((down.cause, down.impact), (Cause::OtherMetricsApiUnavailable, Impact::Partial));
    assert_eq!(down.object.name, "v1beta1.custom.metrics.k8s.io");
    assert!(
        down.summary.starts_with("metrics-server works; ")
            && down.summary.contains("monitoring/prometheus-adapter does not exist"),
        "{}",
        down.summary
    );
    let service = object::<Service>(json!({"metadata": {"namespace": "monitoring", "name": "prometheus-adapter"},
        "spec": {"ports": [{"port": 6443}], "selector": {"app": "adapter"}}}));
    let mut snapshot = with("False");
    snapshot.services.insert(service.clone());
    let down = run(Step::Apiservice, "other_apis", &snapshot).findings.remove(0);
    assert!(down.summary.contains("does not expose port 443"), "{}", down.summary);
    let mut service = service;
    service.spec.ports[0].port = 443;
    snapshot.services.insert(service);
    let down = run(Step::Apiservice, "other_apis", &snapshot).findings.remove(0);
    assert!(down.summary.contains("has no ready endpoint"), "{}", down.summary);
    assert!(down.remedy().contains("kubectl describe service -n monitoring prometheus-adapter"), "{}", down.remedy());
    assert_eq!(run(Step::Apiservice, "available", &snapshot).status, Status::Pass, "metrics.k8s.io is another API");
    assert_eq!(snapshot.api_services.iter().filter(|api_service| api_service.name().contains("custom")).count(), 1);
}

#[test]
fn an_api_server_that_is_not_reached_proves_nothing() {
    use crate::snapshot::Scope;
    let mut snapshot = failed("context deadline exceeded");
    let mut api_services: Collection<ApiService> = Collection::default();
    api_services.add_scope(Scope::cluster().with_gap(NotSeen::Unreachable("connection refused".to_owned())));
    for api_service in snapshot.api_services.iter() {
        api_services.insert(api_service.clone());
    }
    snapshot.api_services = api_services;
    snapshot.top_nodes = Observed::NotSeen(NotSeen::Unreachable("connection refused".to_owned()));
    for (step, check) in crate::steps::all().map(|check| (check.step, check.id)) {
        let answer = run(step, check, &snapshot);
        assert_eq!(answer.status, Status::Unknown, "{step}/{check}");
        assert!(matches!(answer.not_seen, Some(NotSeen::Unreachable(_))), "{step}/{check}: {:?}", answer.not_seen);
    }
}
