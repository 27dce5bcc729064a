//! Which part of a cluster a bundle's lists show in full.
//!
//! A single object proves nothing about others. A list does, unless it was made by a selector or a name: one with a
//! single item may have been, and an empty list of pods is what the guide's own `-l app=metrics-server` prints where the
//! label has another key.

use std::{collections::BTreeSet, path::Path};

use serde_json::Value;

use crate::{facts::metrics_server::KNOWN_LABELS, snapshot::Scope};

/// The kinds that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    ApiService,
    Service,
    EndpointSlice,
    Endpoints,
    Pod,
    Deployment,
    DaemonSet,
    StatefulSet,
    ReplicaSet,
    Node,
    Autoscaler,
    ServiceAccount,
    Role,
    ClusterRole,
    RoleBinding,
    ClusterRoleBinding,
    ConfigMap,
    NetworkPolicy,
    Event,
    CertificateSigningRequest,
    CustomResourceDefinition,
    Namespace,
}

/// Kind, name in objects, plural, and the other names by which a file may go.
const KINDS: [(Kind, &str, &str, &[&str]); 22] = [
    (Kind::ApiService, "APIService", "apiservices", &["apiservice"]),
    (Kind::Service, "Service", "services", &["service", "svc"]),
    (Kind::EndpointSlice, "EndpointSlice", "endpointslices", &["endpointslice"]),
    (Kind::Endpoints, "Endpoints", "endpoints", &["ep"]),
    (Kind::Pod, "Pod", "pods", &["pod", "po"]),
    (Kind::Deployment, "Deployment", "deployments", &["deployment", "deploy"]),
    (Kind::DaemonSet, "DaemonSet", "daemonsets", &["daemonset", "ds"]),
    (Kind::StatefulSet, "StatefulSet", "statefulsets", &["statefulset", "sts"]),
    (Kind::ReplicaSet, "ReplicaSet", "replicasets", &["replicaset", "rs"]),
    (Kind::Node, "Node", "nodes", &["node", "no"]),
    (
        Kind::Autoscaler,
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        &["horizontalpodautoscaler", "hpa", "hpas"],
    ),
    (Kind::ServiceAccount, "ServiceAccount", "serviceaccounts", &["serviceaccount", "sa"]),
    (Kind::Role, "Role", "roles", &["role"]),
    (Kind::ClusterRole, "ClusterRole", "clusterroles", &["clusterrole"]),
    (Kind::RoleBinding, "RoleBinding", "rolebindings", &["rolebinding"]),
    (Kind::ClusterRoleBinding, "ClusterRoleBinding", "clusterrolebindings", &["clusterrolebinding"]),
    (Kind::ConfigMap, "ConfigMap", "configmaps", &["configmap", "cm"]),
    (Kind::NetworkPolicy, "NetworkPolicy", "networkpolicies", &["networkpolicy", "netpol"]),
    (Kind::Event, "Event", "events", &["event", "ev"]),
    (
        Kind::CertificateSigningRequest,
        "CertificateSigningRequest",
        "certificatesigningrequests",
        &["certificatesigningrequest", "csr", "csrs"],
    ),
    (
        Kind::CustomResourceDefinition,
        "CustomResourceDefinition",
        "customresourcedefinitions",
        &["customresourcedefinition", "crd", "crds"],
    ),
    (Kind::Namespace, "Namespace", "namespaces", &["namespace", "ns"]),
];

impl Kind {
    /// The kind of an object; other groups use some of the names too (Knative's Service, for one).
    pub(super) fn of(kind: &str, api_version: &str) -> Option<Self> {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let known = KINDS.iter().find(|(_, name, ..)| *name == kind)?.0;
        (api_version.is_empty() || known.groups().contains(&group)).then_some(known)
    }

    /// All kinds.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        KINDS.iter().map(|row| row.0)
    }

    /// The API groups that the kind has been in, that of today first.
    pub(super) const fn groups(self) -> &'static [&'static str] {
        match self {
            Self::ApiService => &["apiregistration.k8s.io"],
            Self::EndpointSlice => &["discovery.k8s.io"],
            Self::Deployment | Self::DaemonSet | Self::StatefulSet | Self::ReplicaSet => &["apps", "extensions"],
            Self::Autoscaler => &["autoscaling"],
            Self::Role | Self::ClusterRole | Self::RoleBinding | Self::ClusterRoleBinding => {
                &["rbac.authorization.k8s.io"]
            }
            Self::NetworkPolicy => &["networking.k8s.io", "extensions"],
            Self::Event => &["", "events.k8s.io"],
            Self::CertificateSigningRequest => &["certificates.k8s.io"],
            Self::CustomResourceDefinition => &["apiextensions.k8s.io"],
            _ => &[""],
        }
    }

    fn row(self) -> &'static (Self, &'static str, &'static str, &'static [&'static str]) {
        &KINDS[self as usize]
    }

    /// As in resource names and reports.
    pub(super) fn plural(self) -> &'static str {
        self.row().2
    }

    /// As in objects.
    pub(super) fn name(self) -> &'static str {
        self.row().1
    }

    pub(super) const fn is_cluster_scoped(self) -> bool {
        matches!(
            self,
            Self::ApiService
                | Self::Node
                | Self::ClusterRole
                | Self::ClusterRoleBinding
                | Self::CertificateSigningRequest
                | Self::CustomResourceDefinition
                | Self::Namespace
        )
    }

    /// The kind that a file's name tells, with what else the name holds.
    pub(super) fn of_file(stem: &str) -> Option<(Self, &str)> {
        let mut best: Option<(Self, &str, usize)> = None;
        for (kind, _, plural, others) in KINDS {
            for alias in others.iter().chain([&plural]) {
                let rest = if stem == *alias {
                    Some("")
                } else {
                    let separator = |character: char| matches!(character, '-' | '_' | '.');
                    stem.strip_prefix(alias)
                        .filter(|rest| rest.starts_with(separator))
                        .or_else(|| stem.strip_suffix(alias).filter(|rest| rest.ends_with(separator)))
                        .map(|rest| rest.trim_matches(separator))
                };
                if let Some(rest) = rest.filter(|_| best.is_none_or(|(_, _, length)| length < alias.len())) {
                    best = Some((kind, rest, alias.len()));
                }
            }
        }
        best.map(|(kind, rest, _)| (kind, rest))
    }
}

/// Whether this `APIService` is one that kube-apiserver registers for itself (kubernetes/kubernetes
/// `pkg/controlplane/apiserver/aggregator.go` `apiServicesToRegister`): nobody asks for one of these by name, so that it comes
/// with the list of all.
pub(super) fn is_of_the_api_server(api_service: &Value) -> bool {
    let name = api_service.pointer("/metadata/name").and_then(Value::as_str);
    matches!(name, Some("v1." | "v1.apps")) && api_service.pointer("/spec/service").is_none()
}

/// The lists of a bundle, as scopes.
#[derive(Default)]
pub(super) struct Lists {
    scopes: Vec<(Kind, Scope)>,
}

impl Lists {
    /// Takes note of a list.
    pub(super) fn add(&mut self, file: &Path, (item_kind, api_version): (&str, &str), items: &[Value]) {
        let typed = Kind::of(item_kind, api_version);
        if typed.is_none() && !item_kind.is_empty() {
            // A kind that is not read, or one of the same name in another group.
            return;
        }
        let stem = file.file_stem().map(|stem| stem.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        let folder = file.parent().and_then(Path::file_name).map(|folder| folder.to_string_lossy().into_owned());
        // `kubectl cluster-info dump` writes NAMESPACE/PLURAL.json with typed lists.
        let dumped = typed.filter(|kind| folder.is_some() && stem == kind.plural() && !kind.is_cluster_scoped());
        if let (Some(kind), Some(folder)) = (dumped, &folder) {
            self.scopes.push((kind, Scope::in_namespace(folder)));
            return;
        }
        if items.is_empty() {
            self.add_empty(typed, &stem);
            return;
        }
        for (kind, _, _, _) in KINDS {
            self.add_items(kind, typed, items);
        }
    }

    fn add_items(&mut self, kind: Kind, typed: Option<Kind>, items: &[Value]) {
        let text = |item: &Value, pointer: &str| item.pointer(pointer).and_then(Value::as_str).unwrap_or("").to_owned();
        let own: Vec<&Value> = items
            .iter()
            .filter(|item| match item.get("kind").and_then(Value::as_str) {
                Some(name) => Kind::of(name, &text(item, "/apiVersion")) == Some(kind),
                None => typed == Some(kind),
            })
            .collect();
        let selected = KNOWN_LABELS.iter().any(|(key, value)| {
            own.iter().all(|item| {
                item.pointer("/metadata/labels").and_then(|labels| labels.get(key)).and_then(Value::as_str)
                    == Some(value)
            })
        });
        if own.len() < 2 || selected {
            return;
        }
        let namespaces: BTreeSet<String> = own.iter().map(|item| text(item, "/metadata/namespace")).collect();
        if kind.is_cluster_scoped() {
            self.add_all(kind);
        } else if namespaces.len() > 1 {
            self.scopes.push((kind, Scope::cluster()));
        } else if let Some(namespace) = namespaces.first() {
            self.scopes.push((kind, Scope::in_namespace(namespace)));
        }
    }

    /// Takes note that all objects of a kind of the whole cluster were seen.
    pub(super) fn add_all(&mut self, kind: Kind) {
        self.scopes.push((kind, Scope::in_namespace("")));
        self.scopes.push((kind, Scope::cluster()));
    }

    fn add_empty(&mut self, typed: Option<Kind>, stem: &str) {
        let Some((kind, rest)) =
            typed.map(|kind| (kind, Kind::of_file(stem).map_or("", |(_, rest)| rest))).or_else(|| Kind::of_file(stem))
        else {
            return;
        };
        // An empty list of pods is what a wrong label selector prints; a rest with the name of an object is no list.
        if kind == Kind::Pod || KNOWN_LABELS.iter().any(|(_, value)| rest.contains(value)) {
            return;
        }
        let scope = if rest.is_empty() || rest == "all" { Scope::cluster() } else { Scope::in_namespace(rest) };
        self.scopes.push((kind, scope));
    }

    /// What was seen in full of a kind.
    pub(super) fn scopes(&self, kind: Kind) -> Vec<Scope> {
        self.scopes.iter().filter(|(known, _)| *known == kind).map(|(_, scope)| scope.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scopes(file: &str, item_kind: &str, items: &Value, kind: Kind) -> Vec<Scope> {
        let mut lists = Lists::default();
        lists.add(Path::new(file), (item_kind, ""), items.as_array().map_or(&[][..], Vec::as_slice));
        lists.scopes(kind)
    }

    fn service(namespace: &str, name: &str, label: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": namespace, "name": name, "labels": {"k8s-app": label}}})
    }

    #[test]
    fn the_rows_stand_in_the_order_of_the_kinds() {
        for (position, row) in KINDS.iter().enumerate() {
            assert_eq!(row.0 as usize, position, "{}", row.1);
        }
    }

    #[test]
    fn lists_prove_what_they_show_and_no_more() {
        let one = json!([service("kube-system", "kube-dns", "kube-dns")]);
        let two = json!([service("kube-system", "kube-dns", "kube-dns"), service("kube-system", "x", "x")]);
        let all = json!([service("kube-system", "kube-dns", "kube-dns"), service("default", "kubernetes", "")]);
        let selected =
            json!([service("kube-system", "a", "metrics-server"), service("kube-system", "b", "metrics-server")]);
        assert_eq!(scopes("services.yaml", "", &one, Kind::Service), []);
        assert_eq!(scopes("services.yaml", "", &two, Kind::Service), [Scope::in_namespace("kube-system")]);
        assert_eq!(scopes("services.yaml", "", &all, Kind::Service), [Scope::cluster()]);
        assert_eq!(scopes("services.yaml", "", &selected, Kind::Service), []);
        assert_eq!(
            scopes("kube-system/services.json", "Service", &one, Kind::Service),
            [Scope::in_namespace("kube-system")]
        );
    }

    #[test]
    fn an_empty_list_needs_a_name_and_is_never_proof_of_pods() {
        let none = json!([]);
        assert_eq!(scopes("services.yaml", "", &none, Kind::Service), [Scope::cluster()]);
        assert_eq!(
            scopes("endpointslices-kube-system.yaml", "", &none, Kind::EndpointSlice),
            [Scope::in_namespace("kube-system")]
        );
        assert_eq!(scopes("objects.yaml", "", &none, Kind::Service), []);
        assert_eq!(scopes("pods.yaml", "", &none, Kind::Pod), []);
        assert_eq!(scopes("deployments-metrics-server.yaml", "", &none, Kind::Deployment), []);
    }

    #[test]
    fn kinds_of_other_groups_are_not_taken_for_the_core_ones() {
        assert_eq!(Kind::of("Service", "v1"), Some(Kind::Service));
        assert_eq!(Kind::of("Service", "serving.knative.dev/v1"), None);
        assert_eq!(Kind::of("Deployment", "extensions/v1beta1"), Some(Kind::Deployment));
    }
}
