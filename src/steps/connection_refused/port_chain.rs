//! The chain of ports: listen port -> containerPort -> targetPort -> Service port -> `APIService` port -> `EndpointSlice`
//! port. Only what is wrong for the version and packaging at hand is a mismatch: 443, 4443, 8443, 10250 and 10251 are
//! each right somewhere, a named targetPort and an undeclared numeric port are legal.

use std::collections::BTreeSet;

use crate::{
    catalogue::Cause,
    check::Finding,
    facts::Facts as Context,
    facts::{
        chain::Chain,
        metrics_server::{self, ListenPort},
    },
    snapshot::{
        Named, NotSeen, Snapshot,
        endpoints::Endpoint,
        pod::PodSpec,
        service::{ServicePort, TargetPort},
    },
    steps::bridge::Outcome,
    wording::log_lines,
};

/// A hop of the chain that may not fit: a closed set of labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hop {
    /// Listen port against the containerPort that the named targetPort leads to.
    ContainerPort,
    /// targetPort against the listen port (a number), or against the declared names.
    TargetPort,
    /// Service port against the `APIService`'s port.
    ServicePort,
    /// `EndpointSlice` port against the resolved targetPort.
    EndpointPort,
}

impl Hop {
    /// All hops, from the process outwards.
    pub const ALL: [Self; 4] = [Self::ContainerPort, Self::TargetPort, Self::ServicePort, Self::EndpointPort];

    /// As in labels.
    pub const fn label(self) -> &'static str {
        match self {
            Self::ContainerPort => "container_port",
            Self::TargetPort => "target_port",
            Self::ServicePort => "service_port",
            Self::EndpointPort => "endpoint_port",
        }
    }
}

/// The numbers of the chain, as far as they were seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortChain {
    /// What metrics-server listens on, and where that is written.
    pub listen: Option<(u16, String)>,
    /// The containerPort that a named targetPort leads to.
    pub container_port: Option<u16>,
    /// The targetPort as it is written.
    pub target_port: Option<String>,
    /// The number that the targetPort leads to.
    pub resolved_target_port: Option<u16>,
    /// The Service port that the `APIService` asks for, where the Service has it.
    pub service_port: Option<u16>,
    /// The `APIService`'s port.
    pub api_service_port: Option<u16>,
    /// Ports of the slices' ready endpoints.
    pub endpoint_ports: BTreeSet<u16>,
    mismatches: [Option<bool>; 4],
}

impl PortChain {
    /// Reads the chain.
    pub fn of(snapshot: &Snapshot, chain: &Chain<'_>) -> Self {
        let mut ports = Self::default();
        let Some(reference) = chain.service_reference() else { return ports };
        ports.api_service_port = Some(reference.effective_port());
        // An ExternalName Service leads to no pod, and the aggregator asks for no port of it.
        let Some(service) = chain.service.seen().filter(|service| service.spec.kind != "ExternalName") else {
            return ports;
        };
        let service_port = chain.service_port();
        ports.service_port = service_port.map(|port| port.port);
        ports.set(Hop::ServicePort, service_port.is_none_or(|port| port.effective_protocol() != "TCP"));
        // Without the right Service port the rest of the chain still can be told where there is only one.
        let Some(port) = service_port.or_else(|| service.spec.ports.first().filter(|_| service.spec.ports.len() == 1))
        else {
            return ports;
        };
        let spec = chain.pod_spec();
        let is_metrics_server = spec.and_then(metrics_server::container).is_some();
        ports.listen = spec.and_then(|spec| listen_port(snapshot, chain, spec));
        match port.effective_target_port() {
            TargetPort::Number(number) => {
                ports.target_port = Some(number.to_string());
                ports.resolved_target_port = Some(number);
                ports.set(Hop::ContainerPort, false);
                if let (Some((listen, _)), true) = (&ports.listen, is_metrics_server) {
                    let differs = *listen != number && !serves_another(spec, number);
                    ports.set(Hop::TargetPort, differs);
                }
            }
            TargetPort::Name(name) => {
                ports.target_port = Some(name.to_owned());
                if let Some(spec) = spec {
                    let named = spec.named_port(name, port.effective_protocol());
                    ports.container_port = named.map(|port| port.container_port);
                    ports.resolved_target_port = ports.container_port;
                    ports.set(Hop::TargetPort, named.is_none());
                    if let (Some((listen, _)), Some(container_port), true) =
                        (&ports.listen, ports.container_port, is_metrics_server)
                    {
                        let differs = *listen != container_port && !serves_another(Some(spec), container_port);
                        ports.set(Hop::ContainerPort, differs);
                    }
                }
            }
        }
        ports.compare_endpoints(chain, port.name.as_str());
        ports
    }

    /// Compares the slices. While a rollout changes the port, old pods' slices carry the old number: that fits.
    fn compare_endpoints(&mut self, chain: &Chain<'_>, port_name: &str) {
        let ready = chain.endpoint_slices.objects.iter().filter(|slice| slice.endpoints.iter().any(Endpoint::is_ready));
        self.endpoint_ports = ready
            .flat_map(|slice| &slice.ports)
            .filter(|port| port.name == port_name)
            .filter_map(|port| port.port)
            .collect();
        let resolved: BTreeSet<u16> = match chain.service_port().map(ServicePort::effective_target_port) {
            Some(TargetPort::Name(name)) => chain
                .selected_pods
                .objects
                .iter()
                .filter_map(|pod| pod.spec.named_port(name, "TCP").map(|port| port.container_port))
                .chain(self.resolved_target_port)
                .collect(),
            _ => self.resolved_target_port.into_iter().collect(),
        };
        if !self.endpoint_ports.is_empty() && !resolved.is_empty() {
            self.set(Hop::EndpointPort, self.endpoint_ports.is_disjoint(&resolved));
        }
    }

    fn set(&mut self, hop: Hop, mismatch: bool) {
        self.mismatches[hop as usize] = Some(mismatch);
    }

    /// Whether the hop does not fit; `None` where it could not be seen.
    pub fn mismatch(&self, hop: Hop) -> Option<bool> {
        self.mismatches[hop as usize]
    }

    fn evidence(&self) -> Vec<String> {
        let number = |label: &str, value: Option<u16>| value.map(|value| format!("{label}: {value}"));
        let ports: Vec<String> = self.endpoint_ports.iter().map(u16::to_string).collect();
        [
            self.listen.as_ref().map(|(port, source)| format!("listen port: {port} ({source})")),
            number("containerPort", self.container_port),
            self.target_port.as_ref().map(|port| format!("Service targetPort: {port}")),
            number("Service port", self.service_port),
            number("APIService port", self.api_service_port),
            (!ports.is_empty()).then(|| format!("EndpointSlice port: {}", ports.join(", "))),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// The listen port: the log's own word where the container that wrote it still runs, else the command line.
fn listen_port(snapshot: &Snapshot, chain: &Chain<'_>, spec: &PodSpec) -> Option<(u16, String)> {
    let container = metrics_server::container(spec)?;
    let logged = chain.pods().iter().filter(|pod| !pod.is_terminating()).find_map(|pod| {
        let logs = snapshot
            .logs
            .iter()
            .filter(|log| !log.previous && log.namespace() == pod.namespace() && log.name() == pod.name());
        logs.flat_map(crate::snapshot::log::ContainerLog::lines).filter_map(log_lines::serving_port).last()
    });
    let written = match (logged, metrics_server::listen_port(container)) {
        (Some(port), _) => Some((port, "log line `Serving securely on`".to_owned())),
        (None, ListenPort::Known { port, source }) => Some((port, source)),
        (None, ListenPort::Unknown(_)) => None,
    };
    listening_port(snapshot, spec, written.as_ref().map(|(port, _)| *port)).or(written)
}

/// What a sidecar sees listening in the pod, where that can only be metrics-server: containers share their network, and
/// with hostNetwork the whole node does.
fn listening_port(snapshot: &Snapshot, spec: &PodSpec, written: Option<u16>) -> Option<(u16, String)> {
    let listening = snapshot.listening_ports.seen()?;
    if let Some(port) = written.filter(|port| listening.contains(port)) {
        return Some((port, "something listens on it in the pod".to_owned()));
    }
    if spec.host_network {
        return None;
    }
    let own: Vec<u16> = listening.iter().copied().filter(|port| !serves_another(Some(spec), *port)).collect();
    match own.as_slice() {
        [port] => Some((*port, "the only port on which metrics-server's pod listens".to_owned())),
        _ => None,
    }
}

/// Whether another container of the pod declares that port: a proxy in front of metrics-server.
fn serves_another(spec: Option<&PodSpec>, port: u16) -> bool {
    let Some(spec) = spec else { return false };
    let own = metrics_server::container(spec).map(|container| container.name.as_str());
    spec.long_running_containers()
        .filter(|container| Some(container.name.as_str()) != own)
        .any(|container| container.ports.iter().any(|declared| declared.container_port == port))
}

/// The chain fits.
pub(super) fn evaluate(context: &Context<'_>) -> Result<Outcome, NotSeen> {
    let chain = &context.chain;
    if chain.service_reference().is_none() {
        chain.api_service.clone().known()?;
        return Ok(Outcome::skipped("No APIService names a Service."));
    }
    if chain.service.clone().known()?.is_none() {
        return Ok(Outcome::skipped("The Service does not exist."));
    }
    let ports = PortChain::of(context.snapshot, chain);
    let evidence = ports.evidence();
    let told = |outcome: Outcome| evidence.iter().fold(outcome, crate::steps::bridge::Outcome::evidence);
    let findings: Vec<Finding> = mismatches(chain, &ports)
        .into_iter()
        .map(|finding| evidence.iter().fold(finding, crate::check::Finding::evidence))
        .collect();
    if !findings.is_empty() {
        if chain.is_available() {
            // Something that is not seen here makes it work, or the aggregator has not looked again yet.
            return Err(NotSeen::TooEarly("the ports differ and the APIService is still available".to_owned()));
        }
        return Ok(Outcome::fail_all(findings));
    }
    if ports.mismatch(Hop::TargetPort).is_none() && ports.mismatch(Hop::ServicePort) == Some(false) {
        if chain.pod_spec().is_none() {
            return Ok(told(Outcome::unknown(NotSeen::NotInBundle("pods"), "The listen port was not seen.")));
        }
        return Ok(told(Outcome::pass("The Service's ports fit; what the server listens on cannot be read.")));
    }
    Ok(told(Outcome::pass("The ports fit together.")))
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
        snapshot::{ApiService, Collection, EndpointSlice, Pod, Service},
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
