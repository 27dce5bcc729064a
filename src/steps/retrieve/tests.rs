//! The calls, and what their answers hold.

use serde_json::json;

use crate::{
    catalogue::Cause,
    check::Status,
    guide::Step,
    snapshot::{
        ApiService, Collection, Node, NotSeen, Observed, Pod, Retrieval, Snapshot, Source,
        retrieval::{self, ErrorClass, Sample},
    },
    testing::{at, healthy, object, run},
};

fn failing(class: ErrorClass, text: &str) -> Snapshot {
    let outcome = retrieval::Outcome::Failed { class, text: text.to_owned() };
    Snapshot { top_nodes: Observed::Present(Retrieval { outcome, latency: None }), ..healthy() }
}

#[test]
fn errors_name_who_is_to_blame() {
    for (class, text, expected) in [
        (
            ErrorClass::Forbidden,
            "nodes.metrics.k8s.io is forbidden: User \"jane\" cannot list",
            Some(Cause::CallerForbidden),
        ),
        (
            ErrorClass::Unauthorized,
            "error: You must be logged in to the server (Unauthorized)",
            Some(Cause::CallerUnauthorized),
        ),
        (
            ErrorClass::InternalError,
            "subjectaccessreviews.authorization.k8s.io is forbidden: User",
            Some(Cause::AuthDelegatorMissing),
        ),
        (ErrorClass::ServiceUnavailable, "error trying to reach service: EOF", Some(Cause::MetricsApiFailing)),
        (ErrorClass::ServiceUnavailable, "error: Metrics API not available", None),
        (ErrorClass::Empty, "error: metrics not available yet", Some(Cause::NodesWithoutSamples)),
        (
            ErrorClass::Forbidden,
            "pods is forbidden: User \"system:serviceaccount:kube-system:metrics-server\" cannot list resource \"pods\" in API group \"\"",
            Some(Cause::ListPermissionMissing),
        ),
        (
            ErrorClass::Forbidden,
            "nodes is forbidden: User \"system:serviceaccount:ci:deployer\" cannot list resource \"nodes\" in API group \"\"",
            Some(Cause::CallerForbidden),
        ),
        (
            ErrorClass::Forbidden,
            "nodes.metrics.k8s.io is forbidden: User \"system:anonymous\" cannot list resource \"nodes\"",
            Some(Cause::FrontProxyUntrusted),
        ),
        (ErrorClass::ApiserverUnreachable, "The connection to the server x was refused", None),
        (ErrorClass::Throttled, "too many requests", None),
    ] {
        let bundle = Snapshot { source: Source::Bundle, ..failing(class, text) };
        let outcome = run(Step::Retrieve, "nodes", &bundle);
        assert_eq!(outcome.findings.first().map(|finding| finding.cause), expected, "{text}");
        assert_ne!(outcome.status, Status::Pass, "{text}");
    }
    assert_eq!(run(Step::Retrieve, "nodes", &healthy()).status, Status::Pass);
}

#[test]
fn a_call_from_before_the_apiservice_became_available_blames_nothing() {
    for (since, expected) in [(-5, Status::Unknown), (-60, Status::Fail)] {
        let mut snapshot = failing(ErrorClass::ServiceUnavailable, "error trying to reach service: EOF");
        snapshot.api_services = Collection::complete([object::<ApiService>(json!({
            "metadata": {"name": "v1beta1.metrics.k8s.io"},
            "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "service": {"namespace": "kube-system", "name": "metrics-server"}},
            "status": {"conditions": [{"type": "Available", "status": "True", "reason": "Passed", "lastTransitionTime": at(since)}]}
        }))]);
        assert_eq!(run(Step::Retrieve, "nodes", &snapshot).status, expected, "since {since} s");
    }
}

#[test]
fn what_has_just_come_back_may_have_failed_before() {
    let mut snapshot = failing(ErrorClass::ServiceUnavailable, "error trying to reach service: EOF");
    let mut api_service = snapshot.api_services.iter().next().cloned().expect("it");
    api_service.status.conditions[0].last_transition_time = crate::testing::at(-20).parse().ok();
    snapshot.api_services = Collection::complete([api_service]);
    snapshot.source = Source::Bundle;
    assert_eq!(run(Step::Retrieve, "nodes", &snapshot).status, Status::Unknown);
    let heapster =
        "Error from server (NotFound): the server could not find the requested resource (get services http:heapster:)";
    assert_eq!(run(Step::Retrieve, "nodes", &failing(ErrorClass::NotFound, heapster)).status, Status::Unknown);
}

#[test]
fn an_empty_answer_of_a_young_metrics_server_is_no_fault() {
    let mut snapshot = failing(ErrorClass::Empty, "error: metrics not available yet");
    let pods: Vec<_> = snapshot
        .pods
        .iter()
        .cloned()
        .map(|mut pod| {
            pod.status.start_time = crate::testing::at(-40).parse().ok();
            pod
        })
        .collect();
    snapshot.pods = Collection::complete(pods);
    assert_eq!(run(Step::Retrieve, "nodes", &snapshot).status, Status::Unknown);
    snapshot.pods = Collection::unseen(NotSeen::NotInBundle("pods"));
    snapshot.workloads = Collection::unseen(NotSeen::NotInBundle("deployments"));
    assert_eq!(run(Step::Retrieve, "nodes", &snapshot).status, Status::Unknown, "its age was not seen");
}

#[test]
fn a_right_that_the_doctor_lacks_is_no_fault_of_the_cluster() {
    let refused =
        "403: nodes.metrics.k8s.io is forbidden: User \"system:serviceaccount:monitoring:doctor\" cannot list";
    let bundle = Snapshot { source: Source::Bundle, ..failing(ErrorClass::Forbidden, refused) };
    assert_eq!(run(Step::Retrieve, "nodes", &bundle).findings[0].cause, Cause::CallerForbidden);
    let cluster = Snapshot { source: Source::Cluster, ..bundle };
    let outcome = run(Step::Retrieve, "nodes", &cluster);
    let not_seen = NotSeen::Forbidden { verb: "list", resource: "nodes.metrics.k8s.io" };
    assert_eq!((outcome.status, outcome.not_seen), (Status::Unknown, Some(not_seen)));
}

#[test]
fn credentials_that_nobody_accepts_blame_nobody() {
    let mut snapshot = failing(ErrorClass::Unauthorized, "401: Unauthorized");
    assert_eq!(run(Step::Retrieve, "nodes", &snapshot).findings[0].cause, Cause::CallerUnauthorized);
    let refused = "401: the API server does not accept the credentials";
    snapshot.api_services = Collection::unseen(NotSeen::Unreachable(refused.to_owned()));
    assert_eq!(run(Step::Retrieve, "nodes", &snapshot).status, Status::Unknown);
}

#[test]
fn while_pods_come_and_go_a_failed_call_blames_nothing() {
    for (created, expected) in [(-20, Status::Unknown), (-600, Status::Fail)] {
        let mut snapshot = failing(ErrorClass::ServiceUnavailable, "error trying to reach service: EOF");
        let mut pod = snapshot.pods.iter().next().cloned().expect("a pod");
        pod.metadata.creation_timestamp = at(created).parse().ok();
        snapshot.pods = Collection::complete([pod]);
        assert_eq!(run(Step::Retrieve, "nodes", &snapshot).status, expected, "created {created} s");
    }
}

#[test]
fn an_error_alone_leaves_the_cause_open() {
    let mut snapshot = failing(ErrorClass::ServiceUnavailable, "error: Metrics API not available");
    snapshot.api_services = Collection::unseen(NotSeen::NotInBundle("apiservices"));
    assert!(run(Step::Retrieve, "nodes", &snapshot).findings[0].candidates.len() > 1);
}

#[test]
fn a_call_that_failed_is_never_a_pass_whatever_its_class() {
    for class in ErrorClass::ALL {
        for source in [Source::Bundle, Source::Cluster] {
            let snapshot = Snapshot { source, ..failing(class, "an error") };
            let answer = run(Step::Retrieve, "nodes", &snapshot);
            assert!(matches!(answer.status, Status::Fail | Status::Unknown), "{class:?}");
            let missing =
                !answer.not_seen.is_some_and(|reason| matches!(reason, NotSeen::NotInBundle(_) | NotSeen::NotLooked));
            assert!(missing, "{class:?}: it is no look that was not made");
        }
    }
}

#[test]
fn rows_without_a_value_are_no_samples() {
    let unknown = |name: &str| Sample { name: name.to_owned(), unknown: true, ..Sample::default() };
    let outcome = retrieval::Outcome::Samples(vec![unknown("node-1"), unknown("node-2")]);
    let snapshot = Snapshot { top_nodes: Observed::Present(Retrieval { outcome, latency: None }), ..healthy() };
    let answer = run(Step::Retrieve, "nodes", &snapshot);
    assert_eq!((answer.findings[0].cause, answer.witness), (Cause::NodesWithoutSamples, None));
    let alone = Snapshot { nodes: Collection::unseen(NotSeen::NotInBundle("nodes")), ..snapshot };
    assert_eq!(run(Step::Retrieve, "coverage", &alone).findings[0].cause, Cause::NodesWithoutSamples);
}

#[test]
fn kubectls_words_prove_that_the_group_is_not_registered_where_discovery_lists_every_group() {
    use crate::snapshot::KubernetesVersion;
    let candidates = |minor: u32, text: &str, class: ErrorClass, installed: bool| {
        let mut snapshot = Snapshot { source: Source::Bundle, ..failing(class, text) };
        snapshot.server_version = Observed::Present(KubernetesVersion { major: 1, minor });
        snapshot.api_services = Collection::unseen(NotSeen::NotInBundle("apiservices"));
        snapshot.services = Collection::unseen(NotSeen::NotInBundle("services"));
        if !installed {
            snapshot.workloads = Collection::unseen(NotSeen::NotInBundle("deployments"));
            snapshot.pods = Collection::unseen(NotSeen::NotInBundle("pods"));
        }
        run(Step::Retrieve, "nodes", &snapshot).findings[0].candidates.clone()
    };
    let text = "error: Metrics API not available";
    let unavailable = ErrorClass::ServiceUnavailable;
    assert_eq!(candidates(22, text, unavailable, true), [Cause::ApiServiceMissing]);
    assert_eq!(candidates(22, text, unavailable, false), [Cause::NotInstalled, Cause::ApiServiceMissing]);
    assert!(candidates(30, text, unavailable, true).contains(&Cause::ServiceNotFound));
    let heapster =
        "Error from server (NotFound): the server could not find the requested resource (get services http:heapster:)";
    assert_eq!(candidates(30, heapster, ErrorClass::NotFound, true), [Cause::ApiServiceMissing]);
}

#[test]
fn a_refusal_names_who_and_what() {
    let forbidden = |user: &str| {
        let text = format!(
            r#"Error from server (Forbidden): nodes.metrics.k8s.io is forbidden: User "{user}" cannot list resource "nodes" in API group "metrics.k8s.io" at the cluster scope"#
        );
        let bundle = Snapshot { source: Source::Bundle, ..failing(ErrorClass::Forbidden, &text) };
        run(Step::Retrieve, "nodes", &bundle).findings.remove(0)
    };
    let jane = forbidden("jane");
    assert_eq!(jane.cause, Cause::CallerForbidden);
    assert_eq!(jane.summary, "The caller (User jane) is not allowed to list nodes in metrics.k8s.io.");
    assert_eq!(forbidden("front-proxy-client").cause, Cause::FrontProxyUntrusted);
}

#[test]
fn what_is_too_early_has_an_end() {
    let heapster =
        "Error from server (NotFound): the server could not find the requested resource (get services http:heapster:)";
    let with = |since: i64| {
        let mut snapshot = failing(ErrorClass::NotFound, heapster);
        let mut api_service = snapshot.api_services.iter().next().cloned().expect("it");
        api_service.status.conditions[0].last_transition_time = at(since).parse().ok();
        snapshot.api_services = Collection::complete([api_service]);
        run(Step::Retrieve, "nodes", &Snapshot { source: Source::Bundle, ..snapshot })
    };
    assert!(with(-20).settling_until.is_some());
    let old = with(-86_000);
    assert_eq!((old.status, old.settling_until), (Status::Unknown, None));
    assert!(old.summary.contains("kubectl"), "{}", old.summary);
}

#[test]
fn an_api_server_that_answers_nothing_is_not_the_metrics_apis_fault() {
    for class in [ErrorClass::Other, ErrorClass::Unauthorized, ErrorClass::Timeout, ErrorClass::Empty] {
        let mut snapshot = failing(class, "an error");
        snapshot.source = Source::Cluster;
        let mut scope = crate::snapshot::Scope::cluster();
        scope.gap = Some(NotSeen::Unreachable("silence".to_owned()));
        let known = snapshot.api_services.iter().next().cloned().expect("it");
        snapshot.api_services = Collection::unseen(NotSeen::Unreachable("silence".to_owned()));
        snapshot.api_services.insert(known);
        snapshot.api_services.add_scope(scope);
        assert_eq!(run(Step::Retrieve, "nodes", &snapshot).status, Status::Unknown, "{class:?}");
    }
}

#[test]
fn what_others_say_of_their_calls_blames_who_is_refused_and_what_answers_no_more() {
    use crate::{snapshot::Remark, wording::mentions::Mention};
    let blamed = |text: &str, answered: bool| {
        let mention = Mention::of(text).expect("a line about the metrics API");
        let remark = Remark { file: "controller.log".to_owned(), text: text.to_owned(), mention, times: 1 };
        let mut snapshot = Snapshot { source: Source::Bundle, remarks: vec![remark], ..healthy() };
        if !answered {
            snapshot.top_nodes = Observed::NotSeen(NotSeen::NotInBundle("top-nodes.txt"));
            snapshot.top_pods = Observed::NotSeen(NotSeen::NotInBundle("top-pods.txt"));
        }
        let findings = run(Step::Retrieve, "nodes", &snapshot).findings;
        findings.first().map(|finding| (finding.cause, finding.summary.clone()))
    };
    let refused = r#"pods.metrics.k8s.io is forbidden: User "system:serviceaccount:keda:operator" cannot list resource "pods" in API group "metrics.k8s.io" in the namespace "shop""#;
    let expected = "ServiceAccount keda/operator is not allowed to list pods in metrics.k8s.io.".to_owned();
    assert_eq!(blamed(refused, true), Some((Cause::CallerForbidden, expected)));
    let gone = r#"Internal Server Error: "/apis/metrics.k8s.io/v1beta1/nodes": the server could not find the requested resource"#;
    assert_eq!(blamed(gone, false).map(|(cause, _)| cause), Some(Cause::UnsupportedVersion));
    assert_eq!(blamed(gone, true), None, "callers are answered since");
}

mod coverage {
    use super::*;
    use crate::check::Impact;

    fn with_nodes(change: impl Fn(&mut Vec<Sample>)) -> Snapshot {
        let mut snapshot = healthy();
        if let Observed::Present(Retrieval { outcome: retrieval::Outcome::Samples(samples), .. }) =
            &mut snapshot.top_nodes
        {
            change(samples);
        }
        snapshot
    }

    #[test]
    fn a_ready_node_without_a_sample_is_found() {
        let one = run(Step::Retrieve, "coverage", &with_nodes(|samples| samples.truncate(1)));
        assert_eq!((one.findings[0].cause, one.findings[0].impact), (Cause::NodesWithoutSamples, Impact::Partial));
        let unknown = with_nodes(|samples| samples.iter_mut().for_each(|sample| sample.unknown = true));
        assert_eq!(run(Step::Retrieve, "coverage", &unknown).findings[0].impact, Impact::Outage);
        assert_eq!(run(Step::Retrieve, "coverage", &healthy()).status, Status::Pass);
    }

    #[test]
    fn young_nodes_fargate_and_a_young_metrics_server_are_no_fault() {
        let mut snapshot = with_nodes(|samples| samples.retain(|sample| sample.name == "node-2"));
        let mut nodes: Vec<Node> = snapshot.nodes.iter().cloned().collect();
        nodes[0].metadata.labels.insert("eks.amazonaws.com/compute-type".to_owned(), "fargate".to_owned());
        snapshot.nodes = Collection::complete(nodes.clone());
        assert_eq!(
            run(Step::Retrieve, "coverage", &snapshot).status,
            Status::Pass,
            "metrics-server's own Fargate node"
        );
        nodes[0].metadata.labels = [("type".to_owned(), "virtual-kubelet".to_owned())].into();
        snapshot.nodes = Collection::complete(nodes.clone());
        assert_eq!(run(Step::Retrieve, "coverage", &snapshot).status, Status::Pass, "a node without a kubelet");
        nodes[0].metadata.labels.clear();
        nodes[0].status.conditions[0].last_transition_time = at(-60).parse().ok();
        snapshot.nodes = Collection::complete(nodes);
        assert_eq!(run(Step::Retrieve, "coverage", &snapshot).status, Status::Pass, "a young node");
    }

    #[test]
    fn pods_that_began_anew_or_whose_node_is_not_scraped_are_no_fault() {
        let mut snapshot = healthy();
        let pod =
            snapshot.pods.get("kube-system", "metrics-server-5d8f-abcde").seen().map(|pod| (*pod).clone()).expect("it");
        let other =
            Pod { metadata: crate::snapshot::Metadata { name: "other".to_owned(), ..pod.metadata.clone() }, ..pod };
        let status = |snapshot: &Snapshot| run(Step::Retrieve, "coverage", snapshot).status;
        snapshot.pods.insert(other.clone());
        assert_eq!(status(&snapshot), Status::Fail, "it is old, Ready, and has no sample");
        let mut restarted = other.clone();
        restarted.status.container_statuses[0].state.running =
            Some(crate::snapshot::pod::Running { started_at: at(-40).parse().ok() });
        snapshot.pods.insert(restarted);
        assert_eq!(status(&snapshot), Status::Pass);
        snapshot.pods.insert(other);
        let mut nodes: Vec<Node> = snapshot.nodes.iter().cloned().collect();
        nodes[0].metadata.labels.insert("type".to_owned(), "virtual-kubelet".to_owned());
        snapshot.nodes = Collection::complete(nodes);
        assert_eq!(status(&snapshot), Status::Pass);
    }

    #[test]
    fn old_samples_are_stale() {
        let old = with_nodes(|samples| samples.iter_mut().for_each(|sample| sample.timestamp = at(-900).parse().ok()));
        let both = Snapshot { top_pods: Observed::default(), ..old };
        assert_eq!(run(Step::Retrieve, "freshness", &both).findings[0].cause, Cause::SamplesStale);
        assert_eq!(run(Step::Retrieve, "freshness", &healthy()).status, Status::Pass);
    }

    #[test]
    fn samples_of_the_future_have_no_known_age() {
        let ahead =
            with_nodes(|samples| samples.iter_mut().for_each(|sample| sample.timestamp = at(3_600).parse().ok()));
        let answer = run(Step::Retrieve, "freshness", &Snapshot { top_pods: Observed::default(), ..ahead });
        assert_eq!(answer.status, Status::Unknown);
        assert!(answer.summary.contains("clocks"), "{}", answer.summary);
    }

    #[test]
    fn a_pod_that_the_log_says_is_left_out_has_no_sample() {
        let line = r#"I0101 11:59:50.000000       1 decode.go:71] "Skipped container CPU metric" containerName="web" pod="shop/web-1" err="Got UsageCoreNanoSeconds equal zero""#;
        let mut snapshot = Snapshot { source: Source::Bundle, top_pods: Observed::default(), ..healthy() };
        let mut log = crate::snapshot::ContainerLog::new("kube-system", "metrics-server-5d8f-abcde", "metrics-server");
        log.push(line);
        snapshot.logs = Collection::complete([log]);
        let answer = run(Step::Retrieve, "coverage", &snapshot);
        assert_eq!(answer.findings[0].cause, Cause::PodsWithoutSamples);
        assert!(answer.findings[0].summary.contains("shop/web-1"), "{}", answer.findings[0].summary);
        let web = Sample { namespace: "shop".to_owned(), name: "web-1".to_owned(), ..Sample::default() };
        let own = Sample {
            namespace: "kube-system".to_owned(),
            name: "metrics-server-5d8f-abcde".to_owned(),
            ..Sample::default()
        };
        let outcome = retrieval::Outcome::Samples(vec![web, own]);
        let top_pods = Observed::Present(Retrieval { outcome, latency: None });
        let sampled = Snapshot { top_pods, ..snapshot };
        assert_eq!(run(Step::Retrieve, "coverage", &sampled).status, Status::Pass);
    }
}
