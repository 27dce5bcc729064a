//! What holds for every judgement, whatever was seen: no health without proof, no double blame, and two independent faults
//! are two findings.

use proptest::prelude::*;
use serde_json::json;

use crate::{
    catalogue::Cause,
    check::Status,
    report::Report,
    snapshot::{
        ApiService, Collection, ConfigMap, ContainerLog, HorizontalPodAutoscaler, Named, NotSeen, Observed, Retrieval,
        Service, Snapshot, Workload,
        retrieval::{self, ErrorClass},
        service::TargetPort,
    },
    testing::{at, healthy, object},
    verdict::{Verdict, VerdictName},
};

/// One fault, and how it is brought about in a healthy cluster.
struct Fault {
    cause: Cause,
    inject: fn(&mut Snapshot),
    /// Whether it takes metrics away from everybody: the condition has room for one such message.
    outage: bool,
}

fn edit<T: Named + Clone>(collection: &mut Collection<T>, namespace: &str, name: &str, change: impl FnOnce(&mut T)) {
    let mut object = collection.get(namespace, name).seen().map(|object| (*object).clone()).expect("an object");
    change(&mut object);
    collection.insert(object);
}

fn service(snapshot: &mut Snapshot, change: impl FnOnce(&mut Service)) {
    edit(&mut snapshot.services, "kube-system", "metrics-server", change);
}

fn unavailable(snapshot: &mut Snapshot, reason: &str, message: &str) {
    edit(&mut snapshot.api_services, "", "v1beta1.metrics.k8s.io", |api_service| {
        let condition = &mut api_service.status.conditions[0];
        condition.status = crate::snapshot::ConditionStatus::False;
        reason.clone_into(&mut condition.reason);
        message.clone_into(&mut condition.message);
        condition.last_transition_time = at(-3_600).parse().ok();
    });
    let failed = || {
        Observed::Present(Retrieval {
            outcome: retrieval::Outcome::Failed {
                class: ErrorClass::ServiceUnavailable,
                text: "Error from server (ServiceUnavailable): the server is currently unable to handle the request (get nodes.metrics.k8s.io)".to_owned(),
            },
            latency: None,
        })
    };
    snapshot.top_nodes = failed();
    snapshot.top_pods = failed();
}

fn without_endpoints(snapshot: &mut Snapshot) {
    snapshot.endpoint_slices = Collection::complete([]);
    unavailable(
        snapshot,
        "MissingEndpoints",
        "endpoints for service/metrics-server in \"kube-system\" have no addresses with port name \"https\"",
    );
}

fn without_pods(snapshot: &mut Snapshot, change: impl FnOnce(&mut Workload)) {
    snapshot.pods.remove("kube-system", "metrics-server-5d8f-abcde");
    edit(&mut snapshot.workloads, "kube-system", "metrics-server", |workload| {
        workload.status.available_replicas = 0;
        workload.status.replicas = 0;
        change(workload);
    });
    without_endpoints(snapshot);
}

fn autoscaler(snapshot: &mut Snapshot, name: &str, status: serde_json::Value) {
    let value = json!({
        "metadata": {"name": name, "namespace": "shop", "creationTimestamp": at(-86_400)},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}, "minReplicas": 1, "maxReplicas": 5,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]},
        "status": status
    });
    snapshot.autoscalers.insert(object::<HorizontalPodAutoscaler>(value));
}

fn condition(kind: &str, reason: &str, message: &str) -> serde_json::Value {
    json!({"currentReplicas": 1, "desiredReplicas": 0, "currentMetrics": [{"type": ""}], "conditions": [
        {"type": kind, "status": "False", "reason": reason, "message": message, "lastTransitionTime": at(-3_600)}]})
}

fn aws_auth(snapshot: &mut Snapshot, roles: &str) {
    snapshot.config_maps = Collection::complete([object::<ConfigMap>(json!({
        "metadata": {"name": "aws-auth", "namespace": "kube-system"}, "data": {"mapRoles": roles}
    }))]);
}

const FAULTS: &[Fault] = &[
    Fault {
        cause: Cause::ServicePortMismatch,
        outage: true,
        inject: |snapshot| {
            service(snapshot, |service| service.spec.ports[0].port = 8443);
            unavailable(
                snapshot,
                "ServicePortError",
                "service/metrics-server in \"kube-system\" is not listening on port 443",
            );
        },
    },
    Fault {
        cause: Cause::TargetPortMismatch,
        outage: true,
        inject: |snapshot| {
            service(snapshot, |service| {
                service.spec.ports[0].target_port = Some(crate::snapshot::service::IntOrString::Int(4443));
                assert_eq!(service.spec.ports[0].effective_target_port(), TargetPort::Number(4443));
            });
            edit(&mut snapshot.endpoint_slices, "kube-system", "metrics-server-x1", |slice| {
                slice.ports[0].port = Some(4443);
            });
            unavailable(
                snapshot,
                "FailedDiscoveryCheck",
                "failing or missing response from https://10.0.1.10:4443/apis/metrics.k8s.io/v1beta1: Get \"https://10.0.1.10:4443/apis/metrics.k8s.io/v1beta1\": dial tcp 10.0.1.10:4443: connect: connection refused",
            );
        },
    },
    Fault {
        cause: Cause::ReplicasZero,
        outage: true,
        inject: |snapshot| without_pods(snapshot, |workload| workload.spec.replicas = Some(0)),
    },
    Fault {
        cause: Cause::SelectorMatchesNothing,
        outage: true,
        inject: |snapshot| {
            service(snapshot, |service| {
                service.spec.selector = [("app".to_owned(), "metrics-servr".to_owned())].into();
            });
            without_endpoints(snapshot);
        },
    },
    Fault {
        cause: Cause::ControlPlanePathClosed,
        outage: true,
        inject: |snapshot| {
            unavailable(
                snapshot,
                "FailedDiscoveryCheck",
                "failing or missing response from https://10.0.1.10:10250/apis/metrics.k8s.io/v1beta1: Get \"https://10.0.1.10:10250/apis/metrics.k8s.io/v1beta1\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
            );
        },
    },
    Fault {
        cause: Cause::MissingRequest,
        outage: false,
        inject: |snapshot| {
            let message = "the HPA was unable to compute the replica count: failed to get cpu utilization: missing request for cpu in container sidecar of Pod api-1";
            autoscaler(snapshot, "api", condition("ScalingActive", "FailedGetResourceMetric", message));
        },
    },
    Fault {
        cause: Cause::TargetNotFound,
        outage: false,
        inject: |snapshot| {
            let message =
                "the HPA controller was unable to get the target's current scale: deployments.apps \"gone\" not found";
            autoscaler(snapshot, "gone", condition("AbleToScale", "FailedGetScale", message));
        },
    },
    Fault {
        cause: Cause::AwsAuthUsernameMissing,
        outage: false,
        inject: |snapshot| {
            aws_auth(snapshot, "- rolearn: arn:aws:iam::111122223333:role/ci\n  groups: [system:masters]\n");
        },
    },
    Fault {
        cause: Cause::AwsAuthConflictingUsernames,
        outage: false,
        inject: |snapshot| {
            aws_auth(
                snapshot,
                "- rolearn: arn:aws:iam::111122223333:role/ci\n  username: ci\n- rolearn: arn:aws:iam::111122223333:role/ci\n  username: other\n",
            );
        },
    },
    Fault {
        cause: Cause::OtherMetricsApiUnavailable,
        outage: false,
        inject: |snapshot| {
            snapshot.api_services.insert(object::<ApiService>(json!({
                "metadata": {"name": "v1beta1.external.metrics.k8s.io", "creationTimestamp": at(-86_400)},
                "spec": {"group": "external.metrics.k8s.io", "version": "v1beta1", "service": {"namespace": "keda", "name": "keda-metrics", "port": 443}},
                "status": {"conditions": [{"type": "Available", "status": "False", "reason": "ServiceNotFound", "message": "service/keda-metrics in \"keda\" is not present", "lastTransitionTime": at(-3_600)}]}
            })));
        },
    },
    Fault {
        cause: Cause::KubeletCertificateNames,
        outage: false,
        inject: |snapshot| {
            let mut log = ContainerLog::new("kube-system", "metrics-server-5d8f-abcde", "metrics-server");
            for ago in [75, 60, 45, 30, 15] {
                let moment = at(-ago);
                let clock = &moment[11..19];
                log.push(&format!(
                    "E0101 {clock}.000000       1 scraper.go:149] \"Failed to scrape node\" err=\"Get \\\"https://10.0.0.1:10250/metrics/resource\\\": tls: failed to verify certificate: x509: cannot validate certificate for 10.0.0.1 because it doesn't contain any IP SANs\" node=\"node-2\""
                ));
            }
            snapshot.logs = Collection::complete([log]);
            if let Observed::Present(Retrieval { outcome: retrieval::Outcome::Samples(samples), .. }) =
                &mut snapshot.top_nodes
            {
                samples.retain(|sample| sample.name != "node-2");
            }
        },
    },
];

/// Pairs that cannot be told side by side, each with the reason.
const NOT_SIDE_BY_SIDE: &[(Cause, Cause, &str)] = &[
    (Cause::AwsAuthUsernameMissing, Cause::AwsAuthConflictingUsernames, "both write the same ConfigMap"),
    (Cause::ReplicasZero, Cause::KubeletCertificateNames, "no pod is left whose log could tell"),
];

fn injected(faults: &[&Fault]) -> Report {
    let mut snapshot = healthy();
    for fault in faults {
        (fault.inject)(&mut snapshot);
    }
    Report::new(&snapshot)
}

fn causes(report: &Report) -> Vec<Cause> {
    report.judgement.findings.iter().map(|finding| finding.cause).collect()
}

#[test]
fn the_healthy_cluster_is_proved_healthy() {
    let report = injected(&[]);
    assert!(matches!(report.judgement.verdict, Verdict::Healthy(_)), "{report:#?}");
}

#[test]
fn each_fault_alone_is_the_verdict() {
    for fault in FAULTS {
        let report = injected(&[fault]);
        assert_eq!(report.judgement.verdict.name(), VerdictName::Fault(fault.cause), "{:#?}", report.judgement);
    }
}

#[test]
fn two_independent_faults_are_two_findings_and_the_upstream_one_leads() {
    let mut tried = 0;
    for (index, first) in FAULTS.iter().enumerate() {
        for second in &FAULTS[index + 1..] {
            let excepted = NOT_SIDE_BY_SIDE.iter().any(|(one, other, _)| {
                (*one, *other) == (first.cause, second.cause) || (*one, *other) == (second.cause, first.cause)
            });
            if excepted || first.outage && second.outage {
                continue;
            }
            tried += 1;
            let report = injected(&[first, second]);
            let found = causes(&report);
            let told = format!("{:?} and {:?}: {:#?}", first.cause, second.cause, report.judgement);
            assert!(found.contains(&first.cause) && found.contains(&second.cause), "{told}");
            if first.outage {
                assert_eq!(found[0], first.cause, "{told}");
            }
            for held in &report.judgement.held_back {
                assert!(held.finding.cause != first.cause && held.finding.cause != second.cause, "{told}");
            }
        }
    }
    assert!(tried >= 30, "only {tried} pairs were tried");
}

#[test]
fn one_line_of_evidence_confirms_one_root_cause() {
    for (index, first) in FAULTS.iter().enumerate() {
        for second in FAULTS[index..].iter().filter(|second| !(first.outage && second.outage)) {
            let report = injected(&[first, second]);
            let findings = &report.judgement.findings;
            for (position, one) in findings.iter().enumerate() {
                for other in findings[position + 1..].iter().filter(|other| other.cause != one.cause) {
                    let shared = one.evidence.iter().find(|line| other.evidence.contains(line));
                    assert!(shared.is_none(), "{shared:?} is evidence of {:?} and of {:?}", one.cause, other.cause);
                }
            }
        }
    }
}

/// Replaces what bits of `mask` name by a gap, as a bundle has it that holds less.
fn without(snapshot: &mut Snapshot, mask: u32, reason: &NotSeen) {
    let gone = |bit: u32| mask & (1 << bit) != 0;
    macro_rules! forget {
        ($($bit:literal $field:ident),* $(,)?) => {
            $(if gone($bit) { snapshot.$field = Collection::unseen(reason.clone()); })*
        };
    }
    forget!(
        0 api_services, 1 services, 2 endpoint_slices, 3 pods, 4 workloads, 5 nodes, 6 autoscalers, 7 service_accounts,
        8 roles, 9 role_bindings, 10 config_maps, 11 network_policies, 12 events, 13 logs,
    );
    if gone(14) {
        snapshot.top_nodes = Observed::NotSeen(reason.clone());
    }
    if gone(15) {
        snapshot.top_pods = Observed::NotSeen(reason.clone());
    }
    if gone(16) {
        snapshot.server_version = Observed::NotSeen(reason.clone());
    }
}

/// What a person would ask for before calling a snapshot healthy, told without any check.
fn may_be_healthy(snapshot: &Snapshot) -> bool {
    let calls = [&snapshot.top_nodes, &snapshot.top_pods];
    let failed = calls
        .iter()
        .any(|call| call.seen().is_some_and(|call| matches!(call.outcome, retrieval::Outcome::Failed { .. })));
    let rows = calls.iter().any(|call| {
        call.seen()
            .is_some_and(|call| matches!(&call.outcome, retrieval::Outcome::Samples(samples) if !samples.is_empty()))
    });
    let served = snapshot.autoscalers.iter().any(HorizontalPodAutoscaler::is_served);
    let unavailable =
        snapshot.api_services.iter().filter(|api_service| api_service.serves_metrics()).any(|api_service| {
            api_service.available().is_none_or(|available| available.status != crate::snapshot::ConditionStatus::True)
        });
    let blind = snapshot.autoscalers.iter().any(|autoscaler| autoscaler.unknown_targets() > 0);
    (rows || served) && !failed && !unavailable && !blind
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn without_proof_nothing_is_healthy(mask in 0u32..1 << 17, fault in prop::option::of(0..FAULTS.len()), failed in any::<bool>()) {
        let mut snapshot = healthy();
        if let Some(index) = fault {
            (FAULTS[index].inject)(&mut snapshot);
        }
        let reason = if failed { NotSeen::NotSynced } else { NotSeen::NotInBundle("it") };
        without(&mut snapshot, mask, &reason);
        let report = Report::new(&snapshot);
        if let Verdict::Healthy(proof) = &report.judgement.verdict {
            prop_assert!(may_be_healthy(&snapshot), "healthy without proof: {mask:#b} {fault:?}");
            prop_assert!(!proof.witnesses().is_empty());
            let unknown = report.answers.iter().filter(|answer| answer.status == Status::Unknown).count();
            prop_assert_eq!(proof.unseen(), unknown);
        }
    }

    #[test]
    fn what_was_not_seen_blames_nobody_in_a_healthy_cluster(mask in 0u32..1 << 17, failed in any::<bool>()) {
        let mut snapshot = healthy();
        let reason = if failed { NotSeen::NotSynced } else { NotSeen::NotInBundle("it") };
        without(&mut snapshot, mask, &reason);
        let report = Report::new(&snapshot);
        prop_assert!(report.judgement.findings.is_empty(), "{mask:#b}: {:#?}", report.judgement.findings);
        prop_assert!(report.judgement.verdict.candidates().is_empty());
    }
}

#[test]
fn an_unreachable_api_server_leaves_every_check_unknown() {
    let mut snapshot = healthy();
    without(&mut snapshot, u32::MAX, &NotSeen::Unreachable("connection refused".to_owned()));
    let report = Report::new(&snapshot);
    for answer in &report.answers {
        assert_eq!(answer.status, Status::Unknown, "{}/{}: {}", answer.step, answer.check, answer.summary);
    }
    assert!(report.summary().starts_with("The API server cannot be reached"), "{}", report.summary());
}

#[test]
fn independent_healthy_objects_change_no_verdict() {
    for fault in FAULTS {
        let mut snapshot = healthy();
        (fault.inject)(&mut snapshot);
        let before = Report::new(&snapshot).judgement.verdict.name();
        snapshot.services.insert(object::<Service>(json!({
            "metadata": {"name": "api", "namespace": "shop"},
            "spec": {"selector": {"app": "api"}, "ports": [{"port": 80, "targetPort": 8080}]}
        })));
        snapshot.workloads.insert(object::<Workload>(json!({
            "metadata": {"name": "worker", "namespace": "shop"},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "worker"}}, "template": {"metadata": {"labels": {"app": "worker"}}, "spec": {"containers": [{"name": "worker", "image": "worker:1"}]}}},
            "status": {"replicas": 2, "availableReplicas": 2, "readyReplicas": 2}
        })));
        assert_eq!(Report::new(&snapshot).judgement.verdict.name(), before, "{:?}", fault.cause);
    }
}
