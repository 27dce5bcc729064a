//! `ServiceNotFound` and `ServicePortError`.

use crate::{
    catalogue::Cause,
    check::{Docket, Finding, Slot},
    facts::{Facts, windows},
    snapshot::{Named, NotSeen, Observed, Service},
    wording::aggregator::Reason,
};

/// The Service exists with that name and namespace.
pub(super) fn exists(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    let chain = &facts.chain;
    if chain.api_service.clone().known()?.is_none() {
        docket.not_applicable("No APIService names a Service.");
        return Ok(());
    }
    let Some(reference) = chain.service_reference() else {
        docket.not_applicable("The APIService needs no Service.");
        return Ok(());
    };
    let complaint = facts.complaint().filter(|complaint| complaint.reason == Reason::ServiceNotFound);
    match (&chain.service, complaint) {
        (Observed::Present(service), _) => {
            docket.exclude_rest(format!("Service {}/{} exists.", service.namespace(), service.name()));
            return Ok(());
        }
        // The aggregator looks at the Service before anything else.
        (Observed::NotSeen(reason), None) => {
            if facts.complaint().is_some_and(|complaint| complaint.reason != Reason::Other) {
                docket.exclude_rest("The aggregator finds the Service.");
                return Ok(());
            }
            return Err(reason.clone());
        }
        (Observed::Absent, None) if chain.is_available() => {
            settle(facts, docket, "the Service is gone and the APIService still available");
            return Ok(());
        }
        (Observed::Absent | Observed::NotSeen(_), _) => {}
    }
    let finding = Finding::outage(
        Cause::ServiceNotFound,
        chain.service_object(),
        format!("Service {}/{}, which the APIService names, does not exist.", reference.namespace, reference.name),
    );
    let finding = match complaint {
        Some(complaint) => finding.since(complaint.since).evidence(complaint.line()),
        None => finding.evidence(format!("no Service {} in namespace {}", reference.name, reference.namespace)),
    };
    let others = services_of_metrics_server(facts);
    let finding = match (others.first(), chain.metrics_servers.objects.first()) {
        (Some(other), _) => finding.advice(format!(
            "Let the APIService name the Service that leads to metrics-server: `kubectl patch apiservice {} --type=merge -p '{{\"spec\":{{\"service\":{{\"namespace\":\"{}\",\"name\":\"{}\"}}}}}}'`, or rename the release.",
            chain.api_service_object().name,
            other.namespace(),
            other.name()
        )),
        (None, Some(workload)) => finding.advice(format!(
            "Create Service {}/{} again, with the labels of the pods of {} {}/{} as its selector: apply the manifest or chart of metrics-server once more.",
            reference.namespace,
            reference.name,
            workload.kind.name(),
            workload.namespace(),
            workload.name()
        )),
        (None, None) => finding.advice(format!(
            "Nothing of metrics-server was seen: install it again, or remove the registration with `kubectl delete apiservice {}` (a dead APIService also blocks the deletion of namespaces).",
            chain.api_service_object().name
        )),
    };
    docket.confirm(others.iter().fold(finding, |finding, service| {
        finding.evidence(format!("Service {}/{} leads to metrics-server", service.namespace(), service.name()))
    }));
    Ok(())
}

fn settle(facts: &Facts<'_>, docket: &mut Docket, why: &str) {
    let until = windows::after(facts.now(), windows::AGGREGATOR_RESYNC).unwrap_or(facts.now());
    docket.settle_rest(until, why);
}

/// Services whose selector leads to a workload of metrics-server, under whatever name.
fn services_of_metrics_server<'s>(facts: &Facts<'s>) -> Vec<&'s Service> {
    let leads = |service: &&Service| {
        facts.chain.metrics_servers.objects.iter().any(|workload| {
            workload.namespace() == service.namespace()
                && !service.spec.selector.is_empty()
                && workload.spec.template.metadata.has_labels(&service.spec.selector)
        })
    };
    facts.snapshot.services.iter().filter(leads).collect()
}

/// The Service listens on the `APIService`'s port, by TCP.
pub(super) fn port(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    let chain = &facts.chain;
    let Some(reference) = chain.service_reference() else {
        chain.api_service.clone().known()?;
        docket.not_applicable("No APIService names a Service.");
        return Ok(());
    };
    let wanted = reference.effective_port();
    let complaint = facts.complaint().filter(|complaint| complaint.reason == Reason::ServicePortError);
    let finding = || {
        let finding = Finding::outage(
            Cause::ServicePortMismatch,
            chain.service_object(),
            format!(
                "The APIService asks for port {wanted} of Service {}/{}, which has no such port.",
                reference.namespace, reference.name
            ),
        )
        .slot(Slot::Port, wanted.to_string())
        .evidence(format!(
            "APIService spec.service.port: {wanted}{}",
            if reference.port.is_none() { " (default)" } else { "" }
        ));
        match complaint {
            Some(complaint) => finding.since(complaint.since).evidence(complaint.line()),
            None => finding,
        }
    };
    let service = match &chain.service {
        Observed::Present(service) => *service,
        Observed::Absent => {
            docket.not_applicable("The Service does not exist.");
            return Ok(());
        }
        Observed::NotSeen(reason) => {
            // The aggregator read the Service itself, so its word is proof enough.
            return match complaint {
                Some(_) => {
                    docket.confirm(finding());
                    Ok(())
                }
                None => Err(reason.clone()),
            };
        }
    };
    if service.spec.kind == "ExternalName" {
        docket.not_applicable("The aggregator checks no port of a Service of type ExternalName.");
        return Ok(());
    }
    if service.port(wanted).is_some_and(|port| port.effective_protocol() == "TCP") {
        docket.exclude_rest(format!("The Service has port {wanted}."));
        return Ok(());
    }
    if chain.is_available() {
        settle(facts, docket, &format!("port {wanted} is gone and the APIService still available"));
        return Ok(());
    }
    let ports: Vec<String> =
        service.spec.ports.iter().map(|port| format!("{}/{}", port.port, port.effective_protocol())).collect();
    docket.confirm(finding().evidence(format!("Service spec.ports: {}", ports.join(", "))));
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        check::Status,
        guide::Step,
        snapshot::{ApiService, Collection, Snapshot},
        testing::{healthy, object, run},
    };

    fn outcome(check: &str, snapshot: &Snapshot) -> (Status, Vec<Cause>) {
        let outcome = run(Step::OtherReasons, check, snapshot);
        (outcome.status, outcome.findings.iter().map(|finding| finding.cause).collect())
    }

    fn with_condition(reason: &str, port: serde_json::Value) -> Collection<ApiService> {
        Collection::complete([object::<ApiService>(json!({
            "metadata": {"name": "v1beta1.metrics.k8s.io"},
            "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "service": {"namespace": "kube-system", "name": "metrics-server", "port": port}},
            "status": {"conditions": [{"type": "Available", "status": "False", "reason": reason, "message": "told by the aggregator"}]}
        }))])
    }

    fn service(ports: serde_json::Value, kind: &str) -> Collection<Service> {
        Collection::complete([object::<Service>(json!({
            "metadata": {"name": "metrics-server", "namespace": "kube-system"},
            "spec": {"type": kind, "selector": {"k8s-app": "metrics-server"}, "ports": ports}
        }))])
    }

    #[test]
    fn an_absent_service_is_not_found_and_the_other_one_is_pointed_to() {
        let mut snapshot = Snapshot { api_services: with_condition("ServiceNotFound", json!(443)), ..healthy() };
        snapshot.services = Collection::complete([object::<Service>(json!({
            "metadata": {"name": "release-metrics-server", "namespace": "kube-system"}, "spec": {"selector": {"k8s-app": "metrics-server"}}
        }))]);
        assert_eq!(outcome("service", &snapshot), (Status::Fail, vec![Cause::ServiceNotFound]));
        let evidence = run(Step::OtherReasons, "service", &snapshot).evidence;
        assert!(evidence.iter().any(|line| line.contains("release-metrics-server")), "{evidence:?}");
    }

    #[test]
    fn an_unseen_service_is_blamed_only_on_the_aggregators_word() {
        let services = Collection::unseen(NotSeen::NotInBundle("services"));
        let snapshot = Snapshot { services: services.clone(), ..healthy() };
        assert_eq!(outcome("service", &snapshot).0, Status::Unknown);
        let snapshot = Snapshot { services, api_services: with_condition("ServiceNotFound", json!(443)), ..healthy() };
        assert_eq!(outcome("service", &snapshot), (Status::Fail, vec![Cause::ServiceNotFound]));
    }

    #[test]
    fn the_service_port_must_be_the_apiservices_by_tcp() {
        for (ports, kind, api_service_port, expected) in [
            (json!([{"port": 443, "targetPort": "https"}]), "ClusterIP", json!(null), Status::Pass),
            (json!([{"port": 443, "protocol": "UDP"}]), "ClusterIP", json!(443), Status::Fail),
            (json!([{"port": 8443}]), "ClusterIP", json!(443), Status::Fail),
            (json!([{"port": 8443}]), "ClusterIP", json!(8443), Status::Pass),
            (json!([{"port": 80}, {"port": 443}]), "", json!(443), Status::Pass),
            (json!([{"port": 8443}]), "NodePort", json!(443), Status::Fail),
            (json!([]), "ExternalName", json!(443), Status::Skipped),
        ] {
            let snapshot = Snapshot {
                services: service(ports.clone(), kind),
                api_services: with_condition("ServicePortError", api_service_port.clone()),
                ..healthy()
            };
            assert_eq!(outcome("service_port", &snapshot).0, expected, "{ports} {kind} {api_service_port}");
        }
    }
}
