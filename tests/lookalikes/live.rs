//! A cluster in which metrics-server runs: what a manifest says, and the status that a healthy cluster adds to it.

use std::{fmt::Write, fs, path::Path};

use metrics_server_doctor::snapshot::Named;
use serde_json::{Value, json};

/// The moment at which the cluster is looked at.
pub(crate) const NOW: &str = "2026-03-01T12:00:00Z";
const LONG_AGO: &str = "2026-02-01T08:00:00Z";

/// Kinds with the plural by which kubectl is asked for them.
const PLURALS: [(&str, &str); 12] = [
    ("APIService", "apiservices"),
    ("ClusterRole", "clusterroles"),
    ("ClusterRoleBinding", "clusterrolebindings"),
    ("Deployment", "deployments"),
    ("Endpoints", "endpoints"),
    ("EndpointSlice", "endpointslices"),
    ("Node", "nodes"),
    ("Pod", "pods"),
    ("Role", "roles"),
    ("RoleBinding", "rolebindings"),
    ("Service", "services"),
    ("ServiceAccount", "serviceaccounts"),
];

/// A cluster of a Kubernetes minor.
pub(crate) struct Cluster {
    pub(crate) minor: u32,
    pub(crate) objects: Vec<Value>,
}

impl Cluster {
    /// A fixture of metrics-server on that minor, running.
    pub(crate) fn running(fixture: &str, minor: u32) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/metrics-server/{fixture}.yaml"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let objects: Vec<Value> =
            serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut cluster = Self { minor, objects };
        cluster.add_status();
        cluster.add_surroundings();
        cluster
    }

    /// The object of that kind.
    pub(crate) fn object(&self, kind: &str) -> &Value {
        self.objects.iter().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
    }

    fn add_status(&mut self) {
        let deployment = self.object("Deployment").clone();
        let service = self.object("Service").clone();
        let namespace = deployment["metadata"]["namespace"].clone();
        let name = deployment["metadata"]["name"].as_str().expect("a name").to_owned();
        let replicas = deployment["spec"]["replicas"].as_u64().unwrap_or(1);
        let template = &deployment["spec"]["template"];
        let mut addresses = Vec::new();
        for replica in 1..=replicas {
            let mut pod =
                json!({"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"], "spec": template["spec"]});
            let (pod_name, address) = (format!("{name}-5d8f7c-{replica}abcd"), format!("10.0.{replica}.23"));
            pod["metadata"]["name"] = json!(pod_name);
            pod["metadata"]["namespace"] = namespace.clone();
            pod["metadata"]["creationTimestamp"] = json!(LONG_AGO);
            pod["metadata"]["labels"]["pod-template-hash"] = json!("5d8f7c");
            pod["metadata"]["ownerReferences"] =
                json!([{"kind": "ReplicaSet", "name": format!("{name}-5d8f7c"), "controller": true}]);
            pod["spec"]["nodeName"] = json!(format!("node-{replica}"));
            let containers = template["spec"]["containers"].as_array().expect("containers");
            let states: Vec<Value> = containers
                .iter()
                .map(|container| json!({"name": container["name"], "ready": true, "restartCount": 0, "state": {"running": {"startedAt": LONG_AGO}}}))
                .collect();
            pod["status"] = json!({"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "startTime": LONG_AGO,
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": LONG_AGO}, {"type": "PodScheduled", "status": "True", "lastTransitionTime": LONG_AGO}],
                "containerStatuses": states});
            addresses.push((address, pod_name));
            self.objects.push(pod);
        }
        let port = resolve(&service["spec"]["ports"][0], template);
        let port_name = service["spec"]["ports"][0]["name"].as_str().unwrap_or("").to_owned();
        self.add_endpoints(&service, &addresses, port, &port_name);
        for object in &mut self.objects {
            match object["kind"].as_str() {
                Some("Deployment") => {
                    object["status"] = json!({"replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas, "updatedReplicas": replicas,
                        "conditions": [{"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", "lastTransitionTime": LONG_AGO}]});
                }
                Some("APIService") => {
                    object["status"] = json!({"conditions": [{"type": "Available", "status": "True", "reason": "Passed", "message": "all checks passed", "lastTransitionTime": LONG_AGO}]});
                }
                Some("Service") => object["spec"]["type"] = json!("ClusterIP"),
                _ => {}
            }
        }
    }

    /// Endpoints up to Kubernetes 1.20, slices from 1.21 on.
    fn add_endpoints(&mut self, service: &Value, addresses: &[(String, String)], port: u64, port_name: &str) {
        let metadata = &service["metadata"];
        let reference = |pod: &str| json!({"kind": "Pod", "namespace": metadata["namespace"], "name": pod});
        let object = if self.minor < 21 {
            let addresses: Vec<Value> =
                addresses.iter().map(|(ip, pod)| json!({"ip": ip, "targetRef": reference(pod)})).collect();
            json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
                "subsets": [{"addresses": addresses, "ports": [{"name": port_name, "port": port, "protocol": "TCP"}]}]})
        } else {
            let endpoints: Vec<Value> = addresses
                .iter()
                .map(|(ip, pod)| json!({"addresses": [ip], "conditions": {"ready": true, "serving": true, "terminating": false}, "targetRef": reference(pod)}))
                .collect();
            json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": {"name": format!("{}-x7k2p", metadata["name"].as_str().expect("a name")), "namespace": metadata["namespace"], "labels": {"kubernetes.io/service-name": metadata["name"]}},
                "endpoints": endpoints, "ports": [{"name": port_name, "port": port, "protocol": "TCP"}]})
        };
        self.objects.push(object);
    }

    /// Nodes, the rest of kube-system, and the roles that every cluster has.
    fn add_surroundings(&mut self) {
        for node in ["node-1", "node-2"] {
            self.objects.push(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node, "creationTimestamp": LONG_AGO},
                "status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": LONG_AGO}], "nodeInfo": {"architecture": "amd64"}}}));
        }
        self.objects.extend([
            json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1.apps"}, "spec": {"group": "apps", "version": "v1"},
                "status": {"conditions": [{"type": "Available", "status": "True", "reason": "Local", "lastTransitionTime": LONG_AGO}]}}),
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kube-dns", "namespace": "kube-system"}, "spec": {"selector": {"k8s-app": "kube-dns"}, "ports": [{"port": 53}]}}),
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kubernetes", "namespace": "default"}, "spec": {"ports": [{"port": 443, "targetPort": 6443}]}}),
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "coredns", "namespace": "kube-system"},
                "spec": {"replicas": 1, "selector": {"matchLabels": {"k8s-app": "kube-dns"}}, "template": {"metadata": {"labels": {"k8s-app": "kube-dns"}}, "spec": {"containers": [{"name": "coredns", "image": "coredns:1"}]}}},
                "status": {"replicas": 1, "availableReplicas": 1}}),
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
                "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}}},
                "status": {"replicas": 1, "availableReplicas": 1}}),
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "default"}}),
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "extension-apiserver-authentication-reader", "namespace": "kube-system"},
                "rules": [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["extension-apiserver-authentication"], "verbs": ["get", "list", "watch"]}]}),
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "leader", "namespace": "default"}, "rules": []}),
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "leader", "namespace": "default"}, "roleRef": {"kind": "Role", "name": "leader"}}),
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "system:auth-delegator"}, "rules": [
                {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
                {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]}]}),
        ]);
    }

    /// Writes what plain kubectl would: a list of each kind, the outputs of `kubectl top`, the version and the moment.
    pub(crate) fn write(&self, folder: &Path) {
        for (kind, plural) in PLURALS {
            let items: Vec<&Value> = self.objects.iter().filter(|object| object["kind"] == kind).collect();
            if !items.is_empty() {
                let list =
                    json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items});
                let text = serde_json::to_string_pretty(&list).expect("JSON");
                fs::write(folder.join(format!("{plural}.json")), text).expect("a file");
            }
        }
        let nodes = "NAME     CPU(cores)   CPU%   MEMORY(bytes)   MEMORY%\nnode-1   120m         6%     1320Mi          17%\nnode-2   98m          4%     1105Mi          14%\n";
        fs::write(folder.join("top-nodes.txt"), nodes).expect("a file");
        let mut pods = "NAMESPACE     NAME     CPU(cores)   MEMORY(bytes)\n".to_owned();
        for pod in self.objects.iter().filter(|object| object["kind"] == "Pod") {
            let text = |key: &str| pod["metadata"][key].as_str().unwrap_or("").to_owned();
            writeln!(pods, "{}   {}   4m   18Mi", text("namespace"), text("name")).expect("text");
        }
        fs::write(folder.join("top-pods.txt"), pods).expect("a file");
        fs::write(folder.join("server-version.txt"), format!("v1.{}.4\n", self.minor)).expect("a file");
        fs::write(folder.join("observed-at.txt"), NOW).expect("a file");
    }
}

/// The number that a Service port leads to in these pods.
fn resolve(port: &Value, template: &Value) -> u64 {
    let target = &port["targetPort"];
    target.as_u64().unwrap_or_else(|| {
        let containers = template["spec"]["containers"].as_array().expect("containers");
        let ports = containers.iter().filter_map(|container| container["ports"].as_array()).flatten();
        let named =
            ports.filter(|declared| declared["name"] == *target).find_map(|port| port["containerPort"].as_u64());
        named.expect("a container port with the name of the targetPort")
    })
}

/// The name of an object of a snapshot, for messages.
pub(crate) fn full_name(object: &impl Named) -> String {
    format!("{}/{}", object.namespace(), object.name())
}
