//! The chain of ports fits together.

use crate::{
    catalogue::Cause,
    check::{Docket, Finding},
    facts::{
        Facts,
        chain::Chain,
        metrics_server::Owner,
        ports::{Hop, PortChain},
        windows,
    },
    snapshot::{Named, NotSeen},
};

/// The chain fits.
pub(super) fn fits(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    let chain = &facts.chain;
    if chain.service_reference().is_none() {
        chain.api_service.clone().known()?;
        docket.not_applicable("No APIService names a Service.");
        return Ok(());
    }
    let Some(service) = chain.service.clone().known()? else {
        docket.not_applicable("The Service does not exist.");
        return Ok(());
    };
    if service.spec.kind == "ExternalName" {
        docket.not_applicable("An ExternalName Service leads to no port of a pod.");
        return Ok(());
    }
    let ports = PortChain::of(facts.snapshot, chain);
    let evidence = ports.evidence();
    let findings: Vec<Finding> =
        mismatches(chain, &ports).into_iter().map(|finding| evidence.iter().fold(finding, Finding::evidence)).collect();
    if !findings.is_empty() && chain.is_available() {
        // Something that is not seen here makes it work, or the aggregator has not looked again yet.
        let since = chain.available().and_then(|condition| condition.last_transition_time);
        let until = since.and_then(|since| windows::after(since, windows::START)).filter(|until| *until > facts.now());
        for line in &evidence {
            docket.note(line);
        }
        return match until.or_else(|| windows::after(facts.now(), windows::AGGREGATOR_RESYNC)) {
            Some(until) => {
                docket.settle_rest(until, "the ports differ and the APIService is still available");
                Ok(())
            }
            None => Err(NotSeen::NotLooked),
        };
    }
    let confirmed = !findings.is_empty();
    for finding in findings {
        docket.confirm(finding);
    }
    if !confirmed {
        for line in &evidence {
            docket.note(line);
        }
    }
    for (hop, cause) in [
        (Hop::TargetPort, Cause::TargetPortMismatch),
        (Hop::ContainerPort, Cause::ContainerPortMismatch),
        (Hop::EndpointPort, Cause::EndpointPortStale),
    ] {
        if ports.mismatch(hop) == Some(false) {
            docket.exclude(&[cause], format!("{} fits", hop.label()));
        }
    }
    let slices = &chain.endpoint_slices;
    if slices.gap.is_none() && slices.objects.iter().all(|slice| slice.endpoints.is_empty()) {
        docket.exclude(&[Cause::EndpointPortStale], "no address is behind the Service");
    }
    if confirmed {
        return Ok(());
    }
    if ports.mismatch(Hop::ServicePort) == Some(true) {
        docket.say("The Service's port is not the one that the APIService asks for; see check service_port.");
        return Err(NotSeen::NotLooked);
    }
    if ports.mismatch(Hop::TargetPort) == Some(true) {
        docket.say("The Service's targetPort matches no container port; see check endpoints.");
        return Err(NotSeen::NotLooked);
    }
    if chain.owner().is_some_and(|owner| owner != Owner::MetricsServer) {
        docket.rule_out(
            &[Cause::TargetPortMismatch, Cause::ContainerPortMismatch],
            "what another server listens on cannot be read from its flags",
        );
    }
    let complete = Hop::ALL.into_iter().all(|hop| ports.mismatch(hop) == Some(false));
    let listens = ports.listen.is_some();
    docket.say(match (complete, listens) {
        (true, _) => "The ports fit together.",
        (false, true) => "The ports that were seen fit together.",
        (false, false) => "The Service's ports fit; what the server listens on cannot be read.",
    });
    if chain.is_available() {
        docket.exclude_rest("the aggregator reaches metrics-server by these ports");
        return Ok(());
    }
    let gap = chain.selected_pods.gap.clone().or_else(|| chain.endpoint_slices.gap.clone());
    Err(gap.unwrap_or(NotSeen::NotLooked))
}

fn mismatches(chain: &Chain<'_>, ports: &PortChain) -> Vec<Finding> {
    let service = chain.service_object();
    let mut findings = Vec::new();
    let listen = ports.listen.as_ref().map_or(0, |(port, _)| *port);
    if let (Some(true), Some(target)) = (ports.mismatch(Hop::TargetPort), ports.resolved_target_port) {
        findings.push(Finding::outage(
            Cause::TargetPortMismatch,
            service.clone(),
            format!(
                "Service {}/{} leads to port {target}, but metrics-server listens on {listen}.",
                service.namespace, service.name
            ),
        ));
    }
    if let (Some(true), Some(container_port)) = (ports.mismatch(Hop::ContainerPort), ports.container_port) {
        findings.push(Finding::outage(
            Cause::ContainerPortMismatch,
            chain.workload_object(),
            format!("The containerPort is {container_port}, but metrics-server listens on {listen}."),
        ));
    }
    if ports.mismatch(Hop::EndpointPort) == Some(true) && findings.is_empty() {
        let written = chain.endpoint_slices.objects.first().map_or("", |slice| slice.name());
        findings.push(
            Finding::outage(
                Cause::EndpointPortStale,
                service.clone(),
                format!(
                    "The EndpointSlices of Service {}/{} carry another port than the Service leads to.",
                    service.namespace, service.name
                ),
            )
            .evidence(format!("EndpointSlice {written}")),
        );
    }
    findings
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        check::Status,
        guide::Step,
        snapshot::{ApiService, Collection, EndpointSlice, Pod, Service, Snapshot},
        testing::{healthy, object, run},
    };

    /// A cluster with these ports; the aggregator says that the connection is refused.
    struct Ports {
        args: Vec<String>,
        container_ports: Value,
        target_port: Value,
        service_port: u16,
        api_service_port: Option<u16>,
        endpoint_port: u16,
    }

    impl Ports {
        fn snapshot(&self) -> Snapshot {
            let labels = json!({"k8s-app": "metrics-server"});
            let mut snapshot = healthy();
            let mut pod: Pod = snapshot
                .pods
                .get("kube-system", "metrics-server-5d8f-abcde")
                .seen()
                .map(|pod| (*pod).clone())
                .expect("it");
            pod.spec.containers[0].args.clone_from(&self.args);
            pod.spec.containers[0].ports = object(self.container_ports.clone());
            snapshot.pods = Collection::complete([pod]);
            snapshot.services = Collection::complete([object::<Service>(json!({
                "metadata": {"name": "metrics-server", "namespace": "kube-system"},
                "spec": {"selector": labels, "ports": [{"name": "https", "port": self.service_port, "targetPort": self.target_port}]}
            }))]);
            snapshot.endpoint_slices = Collection::complete([object::<EndpointSlice>(json!({
                "metadata": {"name": "s", "namespace": "kube-system", "labels": {"kubernetes.io/service-name": "metrics-server"}},
                "endpoints": [{"addresses": ["10.0.1.10"], "conditions": {"ready": true}}], "ports": [{"name": "https", "port": self.endpoint_port}]
            }))]);
            snapshot.api_services = Collection::complete([object::<ApiService>(json!({
                "metadata": {"name": "v1beta1.metrics.k8s.io"},
                "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "service": {"namespace": "kube-system", "name": "metrics-server", "port": self.api_service_port}},
                "status": {"conditions": [{"type": "Available", "status": "False", "reason": "FailedDiscoveryCheck", "message": "dial tcp 10.0.1.10:1: connect: connection refused"}]}
            }))]);
            snapshot
        }

        fn mismatches(&self) -> Vec<Hop> {
            let snapshot = self.snapshot();
            let ports = PortChain::of(&snapshot, &Chain::resolve(&snapshot));
            Hop::ALL.into_iter().filter(|&hop| ports.mismatch(hop) == Some(true)).collect()
        }
    }

    fn secure_port(port: u16) -> Vec<String> {
        vec!["--cert-dir=/tmp".to_owned(), format!("--secure-port={port}")]
    }

    #[test]
    fn every_packaging_and_version_line_fits() {
        let declared = |name: &str, port: u16| json!([{"name": name, "containerPort": port}]);
        for (line, args, container_ports, target_port, endpoint_port) in [
            ("manifest 0.3.6", vec![], json!([]), json!(443), 443),
            ("manifest 0.3.7", secure_port(4443), declared("main-port", 4443), json!("main-port"), 4443),
            ("manifest 0.4", secure_port(4443), declared("https", 4443), json!("https"), 4443),
            ("manifest 0.5.0", secure_port(443), declared("https", 443), json!("https"), 443),
            ("manifest 0.7", secure_port(10250), declared("https", 10250), json!("https"), 10250),
            ("eks add-on", secure_port(10251), declared("https", 10251), json!("https"), 10251),
            ("stable chart", secure_port(8443), declared("https", 8443), json!("https"), 8443),
            ("undeclared, numeric", secure_port(6443), json!([]), json!(6443), 6443),
            ("omitted targetPort", vec![], json!([]), json!(null), 443),
            (
                "given twice",
                [secure_port(4443), secure_port(10250)].concat(),
                declared("https", 10250),
                json!("https"),
                10250,
            ),
        ] {
            let ports =
                Ports { args, container_ports, target_port, service_port: 443, api_service_port: None, endpoint_port };
            assert_eq!(ports.mismatches(), [], "{line}");
            assert_eq!(run(Step::ConnectionRefused, "port_chain", &ports.snapshot()).status, Status::Pass, "{line}");
        }
    }

    #[test]
    fn an_external_name_has_no_port_chain() {
        let mut snapshot = healthy();
        let mut service = snapshot.services.iter().next().cloned().expect("a Service");
        service.spec.kind = "ExternalName".to_owned();
        service.spec.ports.clear();
        snapshot.services = Collection::complete([service]);
        let ports = PortChain::of(&snapshot, &Chain::resolve(&snapshot));
        assert!(Hop::ALL.into_iter().all(|hop| ports.mismatch(hop).is_none()));
    }

    #[test]
    fn each_broken_hop_names_its_cause() {
        let fitting = || Ports {
            args: secure_port(10250),
            container_ports: json!([{"name": "https", "containerPort": 10250}]),
            target_port: json!("https"),
            service_port: 443,
            api_service_port: Some(443),
            endpoint_port: 10250,
        };
        let causes = |ports: &Ports| -> Vec<Cause> {
            run(Step::ConnectionRefused, "port_chain", &ports.snapshot())
                .findings
                .iter()
                .map(|finding| finding.cause)
                .collect()
        };
        let target = Ports { target_port: json!(4443), endpoint_port: 4443, ..fitting() };
        assert_eq!(causes(&target), [Cause::TargetPortMismatch]);
        let container = Ports { args: secure_port(4443), ..fitting() };
        assert_eq!(causes(&container), [Cause::ContainerPortMismatch]);
        let endpoint = Ports { endpoint_port: 4443, ..fitting() };
        assert_eq!(causes(&endpoint), [Cause::EndpointPortStale]);
        assert_eq!(causes(&fitting()), []);
        let service = Ports { api_service_port: Some(8443), ..fitting() };
        assert_eq!(service.mismatches(), [Hop::ServicePort]);
    }

    #[test]
    fn a_mismatch_that_works_is_not_blamed() {
        let mut snapshot = Ports {
            args: secure_port(10250),
            container_ports: json!([]),
            target_port: json!(8443),
            service_port: 443,
            api_service_port: None,
            endpoint_port: 8443,
        }
        .snapshot();
        snapshot.api_services = healthy().api_services;
        assert_eq!(run(Step::ConnectionRefused, "port_chain", &snapshot).status, Status::Unknown);
    }

    #[test]
    fn what_really_listens_in_the_pod_counts_more_than_the_command_line() {
        let ports = Ports {
            args: vec!["--secure-port=$(PORT)".to_owned()],
            container_ports: json!([{"name": "https", "containerPort": 10250}]),
            target_port: json!("https"),
            service_port: 443,
            api_service_port: None,
            endpoint_port: 10250,
        };
        let with = |listening: &[u16]| {
            let listening_ports = crate::snapshot::Observed::Present(listening.iter().copied().collect());
            Snapshot { listening_ports, ..ports.snapshot() }
        };
        let causes = |snapshot: &Snapshot| {
            let findings = run(Step::ConnectionRefused, "port_chain", snapshot).findings;
            findings.iter().map(|finding| finding.cause).collect::<Vec<_>>()
        };
        assert_eq!(causes(&with(&[4443])), [Cause::ContainerPortMismatch]);
        assert_eq!(causes(&with(&[10250, 19102])), []);
        assert_eq!(causes(&with(&[4443, 9999])), [], "two ports tell nothing");
        assert_eq!(causes(&with(&[])), []);
    }

    proptest! {
        #[test]
        fn a_consistent_chain_fits_and_one_broken_hop_is_the_only_one(
            listen in 1_u16.., other in 1_u16.., service_port in 1_u16.., named: bool, broken in 0_usize..5,
        ) {
            prop_assume!(listen != other && service_port != other);
            let mut ports = Ports {
                args: secure_port(listen),
                container_ports: json!([{"name": "https", "containerPort": listen}]),
                target_port: if named { json!("https") } else { json!(listen) },
                service_port,
                api_service_port: Some(service_port),
                endpoint_port: listen,
            };
            let expected = match broken {
                0 => { ports.api_service_port = Some(other); vec![Hop::ServicePort] }
                1 if named => { ports.args = secure_port(other); vec![Hop::ContainerPort] }
                1 => { ports.args = secure_port(other); vec![Hop::TargetPort] }
                2 if named => { ports.target_port = json!("http"); ports.endpoint_port = listen; vec![Hop::TargetPort] }
                3 => { ports.endpoint_port = other; vec![Hop::EndpointPort] }
                _ => vec![],
            };
            prop_assert_eq!(ports.mismatches(), expected);
        }
    }
}
