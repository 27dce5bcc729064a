//! The Deployment: replicas wanted and available, and why pods do not come to be.

use crate::{
    catalogue::Cause,
    check::{Docket, Finding, Slot},
    facts::Facts,
    snapshot::{ConditionStatus, Named, NotSeen, Pod, metadata::condition},
    wording::controller,
};

fn is_unschedulable(pod: &Pod) -> bool {
    condition(&pod.status.conditions, "PodScheduled")
        .is_some_and(|scheduled| scheduled.status == ConditionStatus::False && scheduled.reason == "Unschedulable")
}

/// At least one replica is wanted, and pods come to be.
pub(super) fn evaluate(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    let chain = &facts.chain;
    let Some(workload) = chain.workload.clone().known()? else {
        docket.not_applicable("There is no workload.");
        return Ok(());
    };
    let name = format!("{} {}/{}", workload.kind.name(), workload.namespace(), workload.name());
    let kind = workload.kind.name().to_ascii_lowercase();
    let since = facts.complaint().and_then(|complaint| complaint.since);
    let finding = |cause, summary: String| {
        Finding::outage(cause, chain.workload_object(), summary)
            .since(since)
            .slot(Slot::Workload, format!("{kind} {}", workload.name()))
    };
    if chain.is_available() && workload.available() == 0 {
        docket.not_applicable(format!("{name} has no available replica; the API is served nonetheless."));
        return Ok(());
    }
    if workload.wanted() == 0 {
        docket.confirm(finding(Cause::ReplicasZero, format!("{name} is scaled to zero.")).evidence("spec.replicas: 0"));
        return Ok(());
    }
    docket.exclude(&[Cause::ReplicasZero], format!("{name} wants replicas: {}", workload.wanted()));
    let counts = format!("{} of {} replicas of {name} are available", workload.available(), workload.wanted());
    if workload.available() > 0 || chain.has_ready_pod() {
        docket.exclude_rest(format!("{counts}."));
        docket.say(format!("{counts}."));
        return Ok(());
    }
    let failure = condition(&workload.status.conditions, "ReplicaFailure")
        .filter(|condition| condition.status == ConditionStatus::True);
    if let Some(failure) = failure
        && workload.status.replicas == 0
    {
        let (cause, why) = if controller::lacks_service_account(&failure.message) {
            (Cause::ServiceAccountMissing, "its ServiceAccount does not exist")
        } else {
            (Cause::PodsNotCreated, "they are refused when they are created")
        };
        docket.confirm(
            finding(cause, format!("{name} has no pods: {why}."))
                .evidence(format!("condition ReplicaFailure: {}: {}", failure.reason, failure.message))
                .evidence(counts),
        );
        return Ok(());
    }
    let pods: Vec<&Pod> = chain.pods().iter().filter(|pod| !pod.is_terminating()).copied().collect();
    if !pods.is_empty() || workload.status.replicas > 0 {
        docket.exclude(&[Cause::PodsNotCreated, Cause::ServiceAccountMissing], "its pods exist");
    }
    if let Some(waiting) = pods.iter().find(|pod| is_unschedulable(pod))
        && pods.iter().all(|pod| is_unschedulable(pod))
    {
        let scheduled = condition(&waiting.status.conditions, "PodScheduled");
        let message = scheduled.map_or("", |scheduled| scheduled.message.as_str());
        docket.confirm(
            finding(Cause::PodsUnschedulable, format!("The pods of {name} cannot be scheduled."))
                .slot(Slot::Pod, waiting.name())
                .evidence(format!("Pod {} PodScheduled: {message}", waiting.name()))
                .evidence(counts),
        );
        return Ok(());
    }
    docket.say(format!("{counts}; see the checks of its pods."));
    if pods.iter().any(|pod| !pod.spec.node_name.is_empty()) {
        docket.exclude(&[Cause::PodsUnschedulable], "its pods are on nodes");
        return Ok(());
    }
    Err(chain.workload_pods.gap.clone().unwrap_or(NotSeen::NotLooked))
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
