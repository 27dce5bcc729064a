//! Objects of a bundle: YAML and JSON of any kind and era.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    documents::{Document, Documents, documents},
    lenient,
    metrics::Metrics,
    notices::Notices,
    scopes::{Kind, Lists},
    texts::Top,
};
use crate::snapshot::{
    Collection, ConfigMap, EndpointSlice, Named, NotSeen, Retrieval, Scope, Snapshot, Workload, endpoints::Endpoints,
    horizontal_pod_autoscaler, workload::WorkloadKind,
};

/// Objects as they were read, the newest of each.
#[derive(Default)]
pub(super) struct Objects {
    newest: BTreeMap<(Kind, String, String), (Value, String)>,
    lists: Lists,
    /// Kinds of which an object could not be read: no list of them proves that something is absent.
    damaged: BTreeSet<Kind>,
    newest_moment: Option<Timestamp>,
    metrics: Metrics,
}

impl Objects {
    /// Reads a file; `true` when it holds an object. What cannot be read is named by file and line.
    pub(super) fn read(&mut self, name: &Path, text: &str, notices: &mut Notices) -> bool {
        let mut found = false;
        let Documents { read, damaged } = documents(text);
        for (line, reason) in damaged {
            notices.push(format!("{} line {line}: {reason}; the rest is judged", name.display()));
        }
        for Document { line, value, complete } in read {
            let place = format!("{} line {line}", name.display());
            match value {
                Value::Object(_) => found |= self.add(name, &place, value, complete, notices),
                Value::Array(values) => {
                    for value in values {
                        found |= self.add(name, &place, value, complete, notices);
                    }
                }
                other => notices.push(format!("{place}: {}", no_object(&other))),
            }
        }
        found
    }

    /// Adds one object, or the items of a list; `true` when it is an object of Kubernetes. `complete` tells whether a list
    /// holds all that was printed.
    pub(super) fn add(
        &mut self,
        name: &Path,
        place: &str,
        mut value: Value,
        complete: bool,
        notices: &mut Notices,
    ) -> bool {
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
        let (kind, api_version) = (text("kind"), text("apiVersion"));
        if kind.ends_with("List") || (kind.is_empty() && value.get("items").is_some()) {
            let items = match value.get_mut("items").map(Value::take) {
                // Typed lists without items are printed with `items: null`.
                None | Some(Value::Null) => Vec::new(),
                Some(Value::Array(items)) => items,
                Some(_) => {
                    notices.push(format!("{place}: the items of a {kind} are not a list"));
                    return false;
                }
            };
            return self.add_list(name, place, (&kind, &api_version), items, complete, notices);
        }
        if self.metrics.add(&kind, &api_version, &value) {
            newest_moment(&value, &mut self.newest_moment);
            return true;
        }
        let Some(known) = Kind::of(&kind, &api_version) else {
            match kind.as_str() {
                "" => notices.push(format!("{place}: {}", no_object(&value))),
                "Secret" => notices.push(format!("{place}: a Secret, which is not read: no bundle needs it")),
                "Status" => notices.push(format!("{place}: an error of the API server and not an object")),
                _ => {}
            }
            return !kind.is_empty() && kind != "Status";
        };
        newest_moment(&value, &mut self.newest_moment);
        let metadata =
            |key: &str| value.pointer(&format!("/metadata/{key}")).and_then(Value::as_str).unwrap_or("").to_owned();
        let key = (known, metadata("namespace"), metadata("name"));
        if key.2.is_empty() || (key.1.is_empty() && !known.is_cluster_scoped()) {
            let lacks = if key.2.is_empty() { "name" } else { "namespace" };
            notices.push(format!("{place}: {kind} {} without metadata.{lacks} is skipped", key.2));
            self.damaged.insert(known);
            return false;
        }
        let version = |value: &Value| {
            let version = value.pointer("/metadata/resourceVersion")?;
            version.as_u64().or_else(|| version.as_str()?.parse().ok())
        };
        if let Some((before, file)) = self.newest.get(&key) {
            if *before == value {
                return true;
            }
            let keep = version(before) > version(&value);
            let kept = if keep { file } else { place };
            notices.push(format!("{kind} {}/{} stands in the bundle twice; the one of {kept} counts", key.1, key.2));
            if keep {
                return true;
            }
        }
        self.newest.insert(key, (value, place.to_owned()));
        true
    }

    fn add_list(
        &mut self,
        name: &Path,
        place: &str,
        (kind, api_version): (&str, &str),
        items: Vec<Value>,
        complete: bool,
        notices: &mut Notices,
    ) -> bool {
        let item_kind = kind.strip_suffix("List").unwrap_or("");
        let named = |item: &Value| !item_kind.is_empty() || item.get("kind").is_some_and(Value::is_string);
        // What cannot be told apart may be what is looked for.
        let complete = complete && items.iter().all(|item| item.is_object() && named(item));
        if complete {
            self.lists.add(name, (item_kind, api_version), &items);
            self.metrics.add_list(item_kind, api_version);
        } else if item_kind.ends_with("Metrics") {
            // Of half an answer of the metrics API nothing can be said.
            notices.push(format!("{place}: the {kind} is not whole, so it is not read"));
            return false;
        }
        let mut found = items.is_empty();
        for mut item in items {
            if let Value::Object(fields) = &mut item {
                // Items of typed lists carry neither.
                if !item_kind.is_empty() {
                    fields.entry("kind").or_insert_with(|| item_kind.into());
                    fields.entry("apiVersion").or_insert_with(|| api_version.into());
                }
                found |= self.add(name, place, item, complete, notices);
            } else {
                notices.push(format!("{place}: an item of a list is {}", no_object(&item)));
            }
        }
        found
    }

    /// What the metrics API answered, where the bundle holds its objects.
    pub(super) fn samples(&self, which: Top) -> Option<Retrieval> {
        self.metrics.retrieval(which)
    }

    /// The newest moment in any object.
    pub(super) fn newest_moment(&self) -> Option<Timestamp> {
        self.newest_moment
    }

    /// Puts the objects into the snapshot; those that do not have the fields of their kind become notices.
    pub(super) fn fill(self, snapshot: &mut Snapshot, notices: &mut Notices) {
        let mut filler = Filler { by_kind: BTreeMap::new(), lists: self.lists, damaged: self.damaged, notices };
        for ((kind, ..), value) in self.newest {
            filler.by_kind.entry(kind).or_default().push(value);
        }
        snapshot.api_services = filler.collection(Kind::ApiService);
        snapshot.services = filler.collection(Kind::Service);
        snapshot.pods = filler.collection(Kind::Pod);
        snapshot.nodes = filler.collection(Kind::Node);
        snapshot.service_accounts = filler.collection(Kind::ServiceAccount);
        snapshot.network_policies = filler.collection(Kind::NetworkPolicy);
        snapshot.events = filler.collection(Kind::Event);
        snapshot.scales = Collection::unseen(NotSeen::NotInBundle("scales"));
        let autoscalers = filler.take(Kind::Autoscaler, horizontal_pod_autoscaler::upgraded);
        snapshot.autoscalers = filler.seen(&[Kind::Autoscaler], autoscalers);
        let mut slices: Vec<EndpointSlice> = filler.take(Kind::EndpointSlice, Ok);
        let endpoints: Vec<Endpoints> = filler.take(Kind::Endpoints, Ok);
        slices.extend(endpoints.into_iter().flat_map(Endpoints::into_slices));
        snapshot.endpoint_slices = filler.seen(&[Kind::EndpointSlice, Kind::Endpoints], slices);
        let mut workloads = Vec::new();
        for (kind, workload_kind) in [
            (Kind::Deployment, WorkloadKind::Deployment),
            (Kind::DaemonSet, WorkloadKind::DaemonSet),
            (Kind::StatefulSet, WorkloadKind::StatefulSet),
            (Kind::ReplicaSet, WorkloadKind::ReplicaSet),
        ] {
            let read: Vec<Workload> = filler.take(kind, Ok);
            workloads.extend(read.into_iter().map(|workload| Workload { kind: workload_kind, ..workload }));
        }
        // metrics-server is a Deployment in every packaging, so that list alone tells whether it is there.
        snapshot.workloads = filler.seen(&[Kind::Deployment], workloads);
        let roles = [Kind::ClusterRole, Kind::Role].map(|kind| filler.take(kind, Ok));
        snapshot.roles = filler.of_both_scopes(Kind::ClusterRole, Kind::Role, roles.into_iter().flatten());
        let bindings = [Kind::ClusterRoleBinding, Kind::RoleBinding].map(|kind| filler.take(kind, Ok));
        snapshot.role_bindings =
            filler.of_both_scopes(Kind::ClusterRoleBinding, Kind::RoleBinding, bindings.into_iter().flatten());
        let kept = ["aws-auth", "extension-apiserver-authentication"];
        let config_maps: Vec<ConfigMap> = filler.take(Kind::ConfigMap, Ok);
        let config_maps = config_maps.into_iter().filter(|config_map| kept.contains(&config_map.name()));
        snapshot.config_maps = filler.seen(&[Kind::ConfigMap], config_maps);
    }
}

struct Filler<'n> {
    by_kind: BTreeMap<Kind, Vec<(Value, String)>>,
    lists: Lists,
    damaged: BTreeSet<Kind>,
    notices: &'n mut Notices,
}

impl Filler<'_> {
    fn take<T: DeserializeOwned>(&mut self, kind: Kind, finish: impl Fn(T) -> Result<T, serde_json::Error>) -> Vec<T> {
        let mut objects = Vec::new();
        for (value, place) in self.by_kind.remove(&kind).unwrap_or_default() {
            let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or("").to_owned();
            let name = format!("{place}: {} {}/{}", kind.name(), text("/metadata/namespace"), text("/metadata/name"));
            let read = lenient::read::<T>(value).and_then(|(object, mended)| {
                let object = finish(object).map_err(|_| "an annotation that holds its metrics cannot be read")?;
                Ok((object, mended))
            });
            match read {
                Ok((object, mended)) => {
                    objects.push(object);
                    for mended in mended {
                        self.notices.push(format!("{name}: {mended}"));
                    }
                }
                Err(reason) => {
                    self.damaged.insert(kind);
                    self.notices.push(format!("{name} is skipped: {reason}"));
                }
            }
        }
        objects
    }

    fn collection<T: Named + DeserializeOwned>(&mut self, kind: Kind) -> Collection<T> {
        let objects: Vec<T> = self.take(kind, Ok);
        self.seen(&[kind], objects)
    }

    /// Objects of a kind of the whole cluster and of its counterpart of namespaces: a list of the one says nothing about the
    /// other.
    fn of_both_scopes<T: Named>(
        &self,
        of_cluster: Kind,
        of_namespaces: Kind,
        objects: impl IntoIterator<Item = T>,
    ) -> Collection<T> {
        let mut collection = Collection::unseen(NotSeen::NotInBundle(of_cluster.plural()));
        objects.into_iter().for_each(|object| collection.insert(object));
        let lists = |kind: Kind| if self.damaged.contains(&kind) { Vec::new() } else { self.lists.scopes(kind) };
        if !lists(of_cluster).is_empty() {
            collection.add_scope(Scope::in_namespace(""));
        }
        for scope in lists(of_namespaces) {
            match &scope.namespace {
                Some(_) => collection.add_scope(scope),
                None => collection.add_scope(Scope::in_namespace("kube-system")),
            }
        }
        collection
    }

    /// Objects with what the lists of these kinds show in full; the first kind is what a gap is called by.
    fn seen<T: Named>(&self, kinds: &[Kind], objects: impl IntoIterator<Item = T>) -> Collection<T> {
        let mut collection = Collection::unseen(NotSeen::NotInBundle(kinds.first().map_or("", |kind| kind.plural())));
        for object in objects {
            collection.insert(object);
        }
        for kind in kinds.iter().filter(|kind| !self.damaged.contains(kind)) {
            self.lists.scopes(*kind).into_iter().for_each(|scope| collection.add_scope(scope));
        }
        collection
    }
}

/// What stands where an object should, as far as it can be told.
fn no_object(value: &Value) -> String {
    const COLLECT: &str = "collect it with `-o yaml`";
    let has = |key: &str| value.get(key).is_some();
    let begins = |start: &str| match value {
        Value::Object(fields) => fields.keys().any(|key| key.starts_with(start)),
        Value::String(text) => text.starts_with(start),
        _ => false,
    };
    if begins("Error from server") || begins("error") || begins("The connection to the server") {
        return "an error of kubectl and not an object".to_owned();
    }
    if has("Name") && (has("Labels") || has("Namespace") || has("Annotations")) {
        return format!("the output of kubectl describe and not an object: {COLLECT}");
    }
    if begins("NAME") {
        return format!("a table of kubectl get and not an object: {COLLECT}");
    }
    "not an object of Kubernetes".to_owned()
}

/// The newest moment of the cluster's own record in an object; validity of certificates and leases lies in the future.
fn newest_moment(value: &Value, newest: &mut Option<Timestamp>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                if key == "spec" || key == "data" || key.to_ascii_lowercase().contains("expir") {
                    continue;
                }
                newest_moment(value, newest);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| newest_moment(value, newest)),
        Value::String(text) if text.len() >= 20 && text.len() <= 35 && text.as_bytes()[4] == b'-' => {
            if let Ok(moment) = text.parse::<Timestamp>() {
                *newest = (*newest).max(Some(moment));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> (Snapshot, Vec<String>) {
        let mut objects = Objects::default();
        let mut notices = Notices::default();
        objects.read(Path::new("objects.yaml"), text, &mut notices);
        let mut snapshot = Snapshot::default();
        objects.fill(&mut snapshot, &mut notices);
        (snapshot, notices.finish())
    }

    const SERVICE: &str =
        "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: n}\nspec: {ports: [{port: 443}]}\n";

    #[test]
    fn one_bad_document_spoils_no_other() {
        let (snapshot, notices) =
            read(&format!("{SERVICE}---\nkind: [unclosed\n---\n{}", SERVICE.replace("name: a", "name: b")));
        assert_eq!(snapshot.services.len(), 2);
        assert_eq!(notices.len(), 1);
        assert!(notices[0].starts_with("objects.yaml line 6: not YAML"), "{notices:?}");
    }

    #[test]
    fn of_duplicates_the_newest_counts() {
        let versioned = |version: &str, port: &str| {
            SERVICE
                .replace("namespace: n", &format!("namespace: n, resourceVersion: \"{version}\""))
                .replace("443", port)
        };
        let (snapshot, notices) = read(&format!("{}---\n{}", versioned("20", "8443"), versioned("9", "443")));
        assert_eq!(snapshot.services.iter().next().map(|service| service.spec.ports[0].port), Some(8443));
        assert_eq!(notices.len(), 1);
    }

    #[test]
    fn kubectls_warnings_and_unknown_kinds_do_no_harm() {
        let (snapshot, notices) =
            read(&format!("Warning: v1 Endpoints is deprecated\n{SERVICE}---\nkind: Widget\napiVersion: x/v1\n"));
        assert_eq!(snapshot.services.len(), 1, "{notices:?}");
        assert_eq!(notices, Vec::<String>::new());
    }

    #[test]
    fn endpoints_of_old_clusters_become_slices() {
        let (snapshot, _) = read(
            "apiVersion: v1\nkind: Endpoints\nmetadata: {name: a, namespace: n}\nsubsets:\n- addresses: [{ip: 10.0.0.1}]\n  notReadyAddresses: [{ip: 10.0.0.2}]\n  ports: [{port: 443}]\n",
        );
        let slice = snapshot.endpoint_slices.iter().next().expect("a slice");
        assert_eq!((slice.service_name(), slice.endpoints.len(), slice.ports[0].port), ("a", 2, Some(443)));
    }

    #[test]
    fn lists_of_roles_prove_nothing_about_the_other_scope() {
        let binding = |kind: &str, namespace: &str| {
            format!(
                "- {{apiVersion: rbac.authorization.k8s.io/v1, kind: {kind}, metadata: {{name: a{namespace}{namespace}, namespace: {namespace}}}}}\n"
            )
        };
        let list = |items: [String; 2]| format!("kind: List\nitems:\n{}", items.concat());
        let gaps = |text: &str| {
            let bindings = read(text).0.role_bindings;
            (bindings.in_namespace("").gap.is_none(), bindings.in_namespace("kube-system").gap.is_none())
        };
        let namespaced = list([binding("RoleBinding", "kube-system"), binding("RoleBinding", "shop")]);
        let cluster =
            list([binding("ClusterRoleBinding", ""), binding("ClusterRoleBinding", "").replace("name: a", "name: b")]);
        assert_eq!(gaps(&namespaced), (false, true));
        assert_eq!(gaps(&cluster), (true, false));
    }

    #[test]
    fn an_object_that_is_lost_leaves_its_kind_unproven() {
        let item = |port: &str, name: &str| {
            format!(
                "- {{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: n}}, spec: {{ports: [{{port: {port}}}]}}}}\n"
            )
        };
        let gap = |third: &str| {
            let text = format!("kind: List\nitems:\n{}{}{third}", item("443", "a"), item("\"443\"", "b"));
            let (snapshot, notices) = read(&text);
            (snapshot.services.len(), snapshot.services.in_namespace("n").gap.is_some(), notices.len())
        };
        assert_eq!(gap(""), (2, false, 1), "read as meant");
        assert_eq!(gap(&item("many", "c")), (2, true, 2));
        assert_eq!(gap("- {metadata: {name: c}}\n"), (2, true, 2));
        assert_eq!(gap("- {apiVersion: v1, kind: Service, metadata: {name: c}}\n"), (2, true, 2), "no namespace");
    }

    #[test]
    fn lists_may_hold_lists_and_items_must_be_a_list() {
        let nested = "kind: List\nitems:\n- kind: List\n  items:\n  - {apiVersion: v1, kind: Service, metadata: {name: a, namespace: n}}\n";
        assert_eq!((read(nested).0.services.len(), read(nested).1.len()), (1, 0));
        let none = read("kind: ServiceList\napiVersion: v1\nitems: null\n");
        assert_eq!(none.1.len(), 0);
        assert_eq!(read("kind: ServiceList\napiVersion: v1\nitems: some\n").1.len(), 1);
    }

    #[test]
    fn what_stands_instead_of_objects_is_called_by_its_name() {
        for (text, expected) in [
            ("Error from server (NotFound): services \"metrics-server\" not found\n", "an error of kubectl"),
            ("Name:         a\nNamespace:    n\nLabels:       <none>\n", "kubectl describe"),
            ("NAME    READY   STATUS\nweb-1   1/1     Running\n", "a table of kubectl get"),
            ("just words\n", "not an object of Kubernetes"),
        ] {
            let notices = read(text).1;
            assert!(notices.len() == 1 && notices[0].contains(expected), "{text}: {notices:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[ -~\n\t]{0,300}") {
            let _ = read(&text);
        }
    }
}
