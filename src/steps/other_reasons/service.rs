//! `ServiceNotFound` and `ServicePortError`.

use crate::{
    catalogue::Cause,
    check::Finding,
    facts::Facts as Context,
    snapshot::{Named, NotSeen, Observed, Service},
    steps::bridge::Outcome,
    steps::installed,
};

/// The Service exists with that name and namespace.
pub(super) fn exists(context: &Context<'_>) -> Result<Outcome, NotSeen> {
    let chain = &context.chain;
    if chain.api_service.clone().known()?.is_none() {
        return Ok(Outcome::skipped("No APIService names a Service."));
    }
    let Some(reference) = chain.service_reference() else {
        return Ok(Outcome::skipped("The APIService needs no Service."));
    };
    let condition = chain.unavailable().filter(|condition| condition.reason == "ServiceNotFound");
    match (&chain.service, condition) {
        (Observed::Present(service), _) => {
            return Ok(Outcome::pass(format!("Service {}/{} exists.", service.namespace(), service.name())));
        }
        (Observed::NotSeen(reason), None) => return Err(reason.clone()),
        (Observed::Absent, None) if chain.is_available() => {
            return Err(NotSeen::TooEarly("the Service is gone and the APIService still available".to_owned()));
        }
        (Observed::Absent | Observed::NotSeen(_), _) => {}
    }
    if let Some(finding) = installed::left_over(context) {
        return Ok(Outcome::fail(finding));
    }
    let mut finding = Finding::outage(
        Cause::ServiceNotFound,
        chain.service_object(),
        format!("Service {}/{}, which the APIService names, does not exist.", reference.namespace, reference.name),
    );
    finding = match condition {
        Some(condition) => {
            finding.evidence(format!("condition Available: {}: {}", condition.reason, condition.message))
        }
        None => finding.evidence(format!("no Service {} in namespace {}", reference.name, reference.namespace)),
    };
    for service in services_of_metrics_server(context) {
        finding =
            finding.evidence(format!("Service {}/{} leads to metrics-server", service.namespace(), service.name()));
    }
    Ok(Outcome::fail(finding))
}

/// Services whose selector leads to a workload of metrics-server, under whatever name.
fn services_of_metrics_server<'s>(context: &Context<'s>) -> Vec<&'s Service> {
    let leads = |service: &&Service| {
        context.chain.metrics_servers.objects.iter().any(|workload| {
            workload.namespace() == service.namespace()
                && workload.spec.template.metadata.has_labels(&service.spec.selector)
        })
    };
    context.snapshot.services.iter().filter(leads).collect()
}

/// The Service listens on the `APIService`'s port, by TCP.
pub(super) fn port(context: &Context<'_>) -> Result<Outcome, NotSeen> {
    let chain = &context.chain;
    let Some(reference) = chain.service_reference() else {
        chain.api_service.clone().known()?;
        return Ok(Outcome::skipped("No APIService names a Service."));
    };
    let wanted = reference.effective_port();
    let finding = || {
        Finding::outage(
            Cause::ServicePortMismatch,
            chain.service_object(),
            format!(
                "The APIService asks for port {wanted} of Service {}/{}, which has no such port.",
                reference.namespace, reference.name
            ),
        )
        .evidence(format!(
            "APIService spec.service.port: {wanted}{}",
            if reference.port.is_none() { " (default)" } else { "" }
        ))
    };
    let condition = chain.unavailable().filter(|condition| condition.reason == "ServicePortError");
    let service = match &chain.service {
        Observed::Present(service) => *service,
        Observed::Absent => return Ok(Outcome::skipped("The Service does not exist.")),
        Observed::NotSeen(reason) => {
            // The aggregator read the Service itself, so its word is proof enough.
            return condition.map_or_else(
                || Err(reason.clone()),
                |condition| {
                    Ok(Outcome::fail(finding().evidence(format!("condition Available: {}", condition.message))))
                },
            );
        }
    };
    if !service.is_cluster_ip() {
        return Ok(Outcome::skipped(format!(
            "The aggregator checks no port of a Service of type {}.",
            service.spec.kind
        )));
    }
    let ports: Vec<String> =
        service.spec.ports.iter().map(|port| format!("{}/{}", port.port, port.effective_protocol())).collect();
    let fits = service.port(wanted).is_some_and(|port| port.effective_protocol() == "TCP");
    if fits {
        return Ok(Outcome::pass(format!("The Service has port {wanted}.")));
    }
    if chain.is_available() {
        return Err(NotSeen::TooEarly(format!("port {wanted} is gone and the APIService still available")));
    }
    let mut finding = finding().evidence(format!("Service spec.ports: {}", ports.join(", ")));
    if let Some(condition) = condition {
        finding = finding.evidence(format!("condition Available: {}", condition.message));
    }
    Ok(Outcome::fail(finding))
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
            (json!([{"port": 8443}]), "NodePort", json!(443), Status::Skipped),
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
