//! The Deployment: replicas wanted and available, and why pods do not come to be.

use crate::{
    catalogue::Cause,
    check::Finding,
    facts::Facts as Context,
    snapshot::{ConditionStatus, Named, NotSeen, Pod, metadata::condition},
    steps::bridge::Outcome,
};

/// At least one replica is wanted, and pods come to be.
pub(super) fn evaluate(context: &Context<'_>) -> Result<Outcome, NotSeen> {
    let chain = &context.chain;
    let Some(workload) = chain.workload.clone().known()? else {
        return Ok(Outcome::skipped("There is no workload."));
    };
    let name = format!("{} {}/{}", workload.kind.name(), workload.namespace(), workload.name());
    if chain.is_available() && workload.available() == 0 {
        return Ok(Outcome::pass(format!("{name} has no available replica; the API is served nonetheless.")));
    }
    if workload.wanted() == 0 {
        let finding =
            Finding::outage(Cause::ReplicasZero, chain.workload_object(), format!("{name} is scaled to zero."))
                .evidence("spec.replicas: 0");
        return Ok(Outcome::fail(finding));
    }
    let counts = format!("{} of {} replicas of {name} are available", workload.available(), workload.wanted());
    if workload.available() > 0 || chain.has_ready_pod() {
        return Ok(Outcome::pass(format!("{counts}.")));
    }
    let failure = condition(&workload.status.conditions, "ReplicaFailure")
        .filter(|condition| condition.status == ConditionStatus::True);
    if let Some(failure) = failure
        && workload.status.replicas == 0
    {
        let account = failure.message.contains("error looking up service account");
        let (cause, why) = if account {
            (Cause::ServiceAccountMissing, "its ServiceAccount does not exist")
        } else {
            (Cause::PodsNotCreated, "its controller may not create them")
        };
        let finding = Finding::outage(cause, chain.workload_object(), format!("{name} has no pods: {why}."))
            .evidence(format!("condition ReplicaFailure: {}: {}", failure.reason, failure.message))
            .evidence(counts);
        return Ok(Outcome::fail(finding));
    }
    let unschedulable = |pod: &&&Pod| {
        condition(&pod.status.conditions, "PodScheduled")
            .is_some_and(|scheduled| scheduled.status == ConditionStatus::False && scheduled.reason == "Unschedulable")
    };
    let pods: Vec<&&Pod> = chain.pods().iter().filter(|pod| !pod.is_terminating()).collect();
    let waiting: Vec<&&Pod> = pods.iter().copied().filter(|pod| unschedulable(pod)).collect();
    if !pods.is_empty() && waiting.len() == pods.len() {
        let message =
            condition(&waiting[0].status.conditions, "PodScheduled").map_or("", |scheduled| &scheduled.message);
        let finding = Finding::outage(
            Cause::PodsUnschedulable,
            chain.workload_object(),
            format!("No node takes the pods of {name}."),
        )
        .evidence(format!("Pod {} PodScheduled: {message}", waiting[0].name()))
        .evidence(counts);
        return Ok(Outcome::fail(finding));
    }
    Ok(Outcome::pass(format!("{counts}; its pods tell why.")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        check::Status,
        guide::Step,
        snapshot::{ApiService, Collection, Snapshot, Workload},
        testing::{at, healthy, object, run},
    };

    fn broken(change: impl FnOnce(&mut Workload), pods: Vec<Pod>) -> Snapshot {
        let mut snapshot = healthy();
        let mut workload: Workload = snapshot
            .workloads
            .get("kube-system", "metrics-server")
            .seen()
            .map(|workload| (*workload).clone())
            .expect("it");
        workload.status.available_replicas = 0;
        workload.status.ready_replicas = 0;
        change(&mut workload);
        snapshot.workloads = Collection::complete([workload]);
        snapshot.pods = Collection::complete(pods);
        snapshot.endpoint_slices = Collection::complete([]);
        snapshot.api_services = Collection::complete([object::<ApiService>(json!({
            "metadata": {"name": "v1beta1.metrics.k8s.io"},
            "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "service": {"namespace": "kube-system", "name": "metrics-server"}},
            "status": {"conditions": [{"type": "Available", "status": "False", "reason": "MissingEndpoints", "message": "none"}]}
        }))]);
        snapshot
    }

    fn causes(snapshot: &Snapshot, check: &str) -> Vec<Cause> {
        run(Step::OtherReasons, check, snapshot).findings.iter().map(|finding| finding.cause).collect()
    }

    fn pod(status: serde_json::Value, created: i64) -> Pod {
        object(json!({
            "metadata": {"name": "metrics-server-1", "namespace": "kube-system", "labels": {"k8s-app": "metrics-server"}, "creationTimestamp": at(created)},
            "spec": {"containers": [{"name": "metrics-server", "image": "metrics-server:v0.9.0", "ports": [{"name": "https", "containerPort": 10250}]}]},
            "status": status
        }))
    }

    #[test]
    fn zero_replicas_are_told_once() {
        let snapshot = broken(|workload| workload.spec.replicas = Some(0), Vec::new());
        assert_eq!(causes(&snapshot, "deployment"), [Cause::ReplicasZero]);
        assert_eq!(causes(&snapshot, "endpoints"), []);
    }

    #[test]
    fn refused_pods_name_the_account_or_whoever_refuses() {
        for (message, cause) in [
            (
                "pods \"x\" is forbidden: error looking up service account kube-system/metrics-server: serviceaccount \"metrics-server\" not found",
                Cause::ServiceAccountMissing,
            ),
            ("pods \"x\" is forbidden: exceeded quota: pods", Cause::PodsNotCreated),
        ] {
            let snapshot = broken(
                |workload| {
                    workload.status.replicas = 0;
                    workload.status.conditions = vec![object(
                        json!({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}),
                    )];
                },
                Vec::new(),
            );
            assert_eq!(causes(&snapshot, "deployment"), [cause]);
        }
    }

    #[test]
    fn pods_that_no_node_takes_are_unschedulable() {
        let status = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}]});
        let snapshot = broken(|_| (), vec![pod(status, -600)]);
        assert_eq!(causes(&snapshot, "deployment"), [Cause::PodsUnschedulable]);
    }

    #[test]
    fn pods_that_are_not_ready_are_a_symptom_once_they_had_time() {
        let status = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}]});
        let old = broken(|_| (), vec![pod(status.clone(), -600)]);
        assert_eq!(causes(&old, "endpoints"), [Cause::PodsNotReady]);
        let young = broken(|_| (), vec![pod(status, -30)]);
        assert_eq!(run(Step::OtherReasons, "endpoints", &young).status, Status::Unknown);
    }

    #[test]
    fn pods_that_are_not_ready_are_told_without_an_apiservice_in_sight() {
        let status = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}]});
        let mut snapshot = broken(|_| (), vec![pod(status, -600)]);
        snapshot.api_services = Collection::unseen(NotSeen::NotInBundle("apiservices"));
        assert_eq!(causes(&snapshot, "endpoints"), [Cause::PodsNotReady]);
        let seen = Snapshot { api_services: Collection::unseen(NotSeen::NotInBundle("apiservices")), ..healthy() };
        assert_eq!(run(Step::OtherReasons, "endpoints", &seen).status, Status::Unknown);
    }

    #[test]
    fn ready_pods_without_endpoints_name_the_port_or_the_controller() {
        let status = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": at(-500)}]});
        let snapshot = broken(|_| (), vec![pod(status, -600)]);
        assert_eq!(causes(&snapshot, "endpoints"), [Cause::EndpointsNotPublished]);
        let mut snapshot = snapshot;
        let mut unnamed = snapshot.pods.iter().next().cloned().expect("a pod");
        unnamed.spec.containers[0].ports.clear();
        snapshot.pods = Collection::complete([unnamed]);
        assert_eq!(causes(&snapshot, "endpoints"), [Cause::PortNameUnresolved]);
    }

    #[test]
    fn a_selector_with_a_typo_matches_nothing() {
        let mut snapshot = broken(|_| (), Vec::new());
        let mut service = snapshot.services.iter().next().cloned().expect("a service");
        service.spec.selector.insert("k8s-app".to_owned(), "metric-server".to_owned());
        snapshot.services = Collection::complete([service]);
        assert_eq!(causes(&snapshot, "endpoints"), [Cause::SelectorMatchesNothing]);
    }

    #[test]
    fn a_healthy_deployment_passes() {
        assert_eq!(run(Step::OtherReasons, "deployment", &healthy()).status, Status::Pass);
        assert_eq!(run(Step::OtherReasons, "endpoints", &healthy()).status, Status::Pass);
    }
}
