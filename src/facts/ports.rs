//! The chain of ports: listen port -> containerPort -> targetPort -> Service port -> `APIService` port -> `EndpointSlice`
//! port. Only what is wrong for the version and packaging at hand is a mismatch: 443, 4443, 8443, 10250 and 10251 are
//! each right somewhere, a named targetPort and an undeclared numeric port are legal.

use std::collections::BTreeSet;

use crate::{
    facts::{
        chain::Chain,
        metrics_server::{self, ListenPort},
    },
    snapshot::{
        Named, Snapshot,
        endpoints::Endpoint,
        pod::PodSpec,
        service::{ServicePort, TargetPort},
    },
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
    /// Ports of the slices' ready endpoints; where none is ready, of those that are not.
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
        let slices = &chain.endpoint_slices.objects;
        let ports = |of: fn(&Endpoint) -> bool| -> BTreeSet<u16> {
            let slices = slices.iter().filter(|slice| slice.endpoints.iter().any(of));
            let named = slices.flat_map(|slice| &slice.ports).filter(|port| port.name == port_name);
            named.filter_map(|port| port.port).collect()
        };
        self.endpoint_ports = ports(Endpoint::is_ready);
        // Addresses that are not Ready have their port in the slices all the same.
        if self.endpoint_ports.is_empty() {
            self.endpoint_ports = ports(|_| true);
        }
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

    /// The numbers, each with where it stands, for evidence.
    pub fn evidence(&self) -> Vec<String> {
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
        logs.flat_map(crate::snapshot::log::ContainerLog::lines).filter_map(|line| line.read.serving_port()).last()
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
