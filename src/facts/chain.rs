//! The chain `APIService` -> Service -> selector -> pods -> workload, resolved once for all checks.
//!
//! Names and labels of metrics-server's objects differ by packaging, so the chain starts at the `APIService` and follows
//! references; only where it is broken is metrics-server looked for by image and known labels.

use crate::{
    facts::metrics_server::{self, Owner},
    snapshot::{
        ApiService, Condition, ConditionStatus, EndpointSlice, Listing, Named, NotSeen, ObjectReference, Observed, Pod,
        Service, Snapshot, Workload,
        api_service::ServiceReference,
        pod::{Container, PodSpec},
        service::ServicePort,
        workload::WorkloadKind,
    },
};

/// Kinds that metrics-server may run as; where none of them is in the whole cluster it is not installed.
const RUNS_SERVERS: [&str; 3] =
    [WorkloadKind::Deployment.name(), WorkloadKind::DaemonSet.name(), WorkloadKind::StatefulSet.name()];

/// The objects along the chain.
#[derive(Debug)]
pub struct Chain<'s> {
    /// The `APIService` of `metrics.k8s.io` that autoscalers use: `v1beta1` where several are registered.
    pub api_service: Observed<&'s ApiService>,
    /// All `APIServices` of the group.
    pub api_services: Vec<&'s ApiService>,
    /// The Service that the `APIService` names.
    pub service: Observed<&'s Service>,
    /// Slices of that Service.
    pub endpoint_slices: Listing<'s, EndpointSlice>,
    /// Pods that the Service selects and that have not ended.
    pub selected_pods: Listing<'s, Pod>,
    /// The workload behind the Service; where the chain is broken, metrics-server's workload found by image or label.
    pub workload: Observed<&'s Workload>,
    /// Whether `workload` satisfies the Service's selector.
    pub workload_is_selected: bool,
    /// Pods of `workload`, selected by the Service or not; where neither was seen, the pods that run metrics-server.
    pub workload_pods: Listing<'s, Pod>,
    /// All workloads that run metrics-server.
    pub metrics_servers: Listing<'s, Workload>,
}

impl<'s> Chain<'s> {
    /// Follows the references in `snapshot`.
    pub fn resolve(snapshot: &'s Snapshot) -> Self {
        let api_services = registered(snapshot);
        let api_service = match api_services.first() {
            Some(&api_service) => Observed::Present(api_service),
            None => match snapshot.api_services.get("", "v1beta1.metrics.k8s.io") {
                Observed::NotSeen(reason) => Observed::NotSeen(reason),
                Observed::Absent | Observed::Present(_) => Observed::Absent,
            },
        };
        let reference = api_service.seen().and_then(|api_service| api_service.spec.service.as_ref());
        let service = match (&api_service, reference) {
            (_, Some(reference)) => snapshot.services.get(&reference.namespace, &reference.name),
            (Observed::NotSeen(reason), None) => Observed::NotSeen(reason.clone()),
            _ => Observed::Absent,
        };
        let metrics_servers = snapshot.workloads.all_of_kinds(&RUNS_SERVERS).filter(|workload| {
            workload.kind != WorkloadKind::ReplicaSet && metrics_server::is_metrics_server(workload)
        });
        let selected_pods = selected_pods(snapshot, &service);
        let (workload, workload_is_selected) =
            workload(snapshot, reference, service.seen().copied(), &selected_pods, &metrics_servers);
        let mut workload_pods = workload_pods(snapshot, workload.seen().copied());
        if workload.seen().is_none() && selected_pods.objects.is_empty() {
            workload_pods = pods_by_image(snapshot, reference, workload_pods);
        }
        Self {
            endpoint_slices: endpoint_slices(snapshot, reference),
            api_service,
            api_services,
            service,
            selected_pods,
            workload,
            workload_is_selected,
            workload_pods,
            metrics_servers,
        }
    }

    /// The Service that the `APIService` names.
    pub fn service_reference(&self) -> Option<&'s ServiceReference> {
        self.api_service.seen().and_then(|api_service| api_service.spec.service.as_ref())
    }

    /// The Service port that the `APIService` asks for.
    pub fn service_port(&self) -> Option<&'s ServicePort> {
        let number = self.service_reference()?.effective_port();
        self.service.seen().and_then(|service| service.port(number))
    }

    /// Condition Available of the `APIService`.
    pub fn available(&self) -> Option<&'s Condition> {
        self.api_service.seen().and_then(|api_service| api_service.available())
    }

    /// Whether the aggregator says now that the API is available.
    pub fn is_available(&self) -> bool {
        self.available().is_some_and(|condition| condition.status == ConditionStatus::True)
    }

    /// The condition, where the aggregator says now that the API is not available (False; Unknown proves nothing).
    pub fn unavailable(&self) -> Option<&'s Condition> {
        self.available().filter(|condition| condition.status == ConditionStatus::False)
    }

    /// The `APIService` as an object reference.
    pub fn api_service_object(&self) -> ObjectReference {
        let name = self.api_service.seen().map_or("v1beta1.metrics.k8s.io", |api_service| api_service.name());
        ObjectReference::new("APIService", "", name)
    }

    /// The Service that the `APIService` names, as an object reference.
    pub fn service_object(&self) -> ObjectReference {
        let reference = self.service_reference();
        ObjectReference::new(
            "Service",
            reference.map_or("", |reference| reference.namespace.as_str()),
            reference.map_or("", |reference| reference.name.as_str()),
        )
    }

    /// The workload as an object reference; the pods' namespace alone where only they were seen.
    pub fn workload_object(&self) -> ObjectReference {
        match self.workload.seen() {
            Some(workload) => ObjectReference::new(workload.kind.name(), workload.namespace(), workload.name()),
            None => self
                .pods()
                .first()
                .map_or_else(ObjectReference::default, |pod| ObjectReference::new("Pod", pod.namespace(), pod.name())),
        }
    }

    /// metrics-server's pods: those that the Service selects, else those of the workload.
    pub fn pods(&self) -> &[&'s Pod] {
        if self.selected_pods.objects.is_empty() { &self.workload_pods.objects } else { &self.selected_pods.objects }
    }

    /// Whether a pod that the Service selects is Ready.
    pub fn has_ready_pod(&self) -> bool {
        self.selected_pods.objects.iter().any(|pod| pod.is_ready() && !pod.is_terminating())
    }

    /// The pod specification behind the Service: a pod's where one was seen (admission may have changed it), else the
    /// workload's template.
    pub fn pod_spec(&self) -> Option<&'s PodSpec> {
        let pods = if self.selected_pods.objects.is_empty() { &self.workload_pods } else { &self.selected_pods };
        let newest = pods
            .objects
            .iter()
            .filter(|pod| !pod.is_terminating())
            .max_by_key(|pod| pod.metadata.creation_timestamp)
            .map(|pod| &pod.spec);
        newest.or_else(|| self.workload.seen().map(|workload| &workload.spec.template.spec))
    }

    /// metrics-server's container behind the Service.
    pub fn container(&self) -> Option<&'s Container> {
        self.pod_spec().and_then(metrics_server::container)
    }

    /// Seconds between scrapes: `--metric-resolution`, 60 by default in every version (kubernetes-sigs/metrics-server
    /// `cmd/metrics-server/app/options/options.go`).
    pub fn metric_resolution(&self) -> f64 {
        let flag = self.container().and_then(|container| metrics_server::flag(container, "metric-resolution"));
        flag.and_then(metrics_server::duration_seconds).unwrap_or(60.0)
    }

    /// Who serves the metrics API; `None` where nothing behind the Service was seen.
    pub fn owner(&self) -> Option<Owner> {
        self.pod_spec().map(metrics_server::owner)
    }
}

/// `APIServices` of `metrics.k8s.io`; autoscalers and older clients ask for `v1beta1`, so it comes first.
fn registered(snapshot: &Snapshot) -> Vec<&ApiService> {
    let mut api_services: Vec<_> =
        snapshot.api_services.iter().filter(|api_service| api_service.serves_metrics()).collect();
    api_services.sort_by_key(|api_service| api_service.spec.version != "v1beta1");
    api_services
}

fn endpoint_slices<'s>(snapshot: &'s Snapshot, reference: Option<&ServiceReference>) -> Listing<'s, EndpointSlice> {
    let Some(reference) = reference else {
        return Listing { objects: Vec::new(), gap: Some(NotSeen::NotLooked) };
    };
    snapshot.endpoint_slices.in_namespace(&reference.namespace).filter(|slice| slice.service_name() == reference.name)
}

fn selected_pods<'s>(snapshot: &'s Snapshot, service: &Observed<&Service>) -> Listing<'s, Pod> {
    let service = match service {
        Observed::Present(service) => *service,
        Observed::Absent => return Listing { objects: Vec::new(), gap: Some(NotSeen::NotLooked) },
        Observed::NotSeen(reason) => return Listing { objects: Vec::new(), gap: Some(reason.clone()) },
    };
    snapshot.pods.selected(service.namespace(), &service.spec.selector).filter(|pod| !pod.is_finished())
}

fn workload<'s>(
    snapshot: &'s Snapshot,
    reference: Option<&ServiceReference>,
    service: Option<&Service>,
    selected_pods: &Listing<'s, Pod>,
    metrics_servers: &Listing<'s, Workload>,
) -> (Observed<&'s Workload>, bool) {
    if let Some(service) = service {
        let in_namespace = snapshot
            .workloads
            .in_namespace(service.namespace())
            .filter(|workload| workload.kind != WorkloadKind::ReplicaSet);
        let selected = in_namespace
            .objects
            .iter()
            .filter(|workload| workload.spec.template.metadata.has_labels(&service.spec.selector))
            // A selector that is too wide also matches others: metrics-server's own comes first, and of several of them
            // the one whose pods are there.
            .max_by_key(|workload| {
                let owns = selected_pods
                    .objects
                    .iter()
                    .any(|pod| owning_workload(snapshot, pod).is_some_and(|owner| std::ptr::eq(owner, **workload)));
                (metrics_server::is_metrics_server(workload), owns, workload.wanted() > 0)
            });
        if let Some(&workload) = selected {
            return (Observed::Present(workload), true);
        }
        let owner = selected_pods.objects.iter().find_map(|pod| owning_workload(snapshot, pod));
        if let Some(workload) = owner {
            return (Observed::Present(workload), true);
        }
    }
    let namespace = reference.map_or("kube-system", |reference| reference.namespace.as_str());
    let nearest = metrics_servers
        .objects
        .iter()
        .max_by_key(|workload| (workload.namespace() == namespace, workload.wanted() > 0));
    match nearest {
        Some(&workload) => (Observed::Present(workload), false),
        None => match &metrics_servers.gap {
            None => (Observed::Absent, false),
            Some(reason) => (Observed::NotSeen(reason.clone()), false),
        },
    }
}

/// The Deployment of a pod: its `ReplicaSet`'s name is the Deployment's with a hash behind it.
fn owning_workload<'s>(snapshot: &'s Snapshot, pod: &Pod) -> Option<&'s Workload> {
    let owner = pod.controller()?;
    let (kind, name) = match owner.kind.as_str() {
        "ReplicaSet" => ("Deployment", owner.name.rsplit_once('-')?.0),
        kind => (kind, owner.name.as_str()),
    };
    snapshot.workloads.get_of_kind(Some(kind), pod.namespace(), name).known().ok().flatten()
}

/// Where neither Service nor workload was seen, the pods that run metrics-server, those of the `APIService`'s namespace
/// first: whatever leads to them, they are it.
fn pods_by_image<'s>(
    snapshot: &'s Snapshot,
    reference: Option<&ServiceReference>,
    none: Listing<'s, Pod>,
) -> Listing<'s, Pod> {
    let runs = |pod: &&Pod| !pod.is_finished() && metrics_server::container(&pod.spec).is_some();
    let all: Vec<&Pod> = snapshot.pods.iter().filter(runs).collect();
    let place = reference.map_or("kube-system", |reference| reference.namespace.as_str());
    let near: Vec<&Pod> = all.iter().copied().filter(|pod| pod.namespace() == place).collect();
    let objects = if near.is_empty() && reference.is_none() { all } else { near };
    if objects.is_empty() { none } else { Listing { objects, gap: snapshot.pods.in_namespace(place).gap } }
}

fn workload_pods<'s>(snapshot: &'s Snapshot, workload: Option<&Workload>) -> Listing<'s, Pod> {
    let Some(workload) = workload else {
        return Listing { objects: Vec::new(), gap: Some(NotSeen::NotLooked) };
    };
    let selector = &workload.spec.selector;
    let mut pods = snapshot.pods.selected(workload.namespace(), &selector.match_labels);
    if selector.match_labels.is_empty() {
        pods = snapshot.pods.in_namespace(workload.namespace());
    }
    pods.filter(|pod| !selector.is_empty() && selector.matches(&pod.metadata.labels) && !pod.is_finished())
}
