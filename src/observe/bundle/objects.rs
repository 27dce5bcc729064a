//! Objects of a bundle: YAML and JSON of any kind and era.

use std::{collections::BTreeMap, path::Path};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    metrics::Metrics,
    scopes::{Kind, Lists},
    texts::Top,
};
use crate::snapshot::{
    Collection, ConfigMap, EndpointSlice, Named, NotSeen, Retrieval, Snapshot, Workload, endpoints::Endpoints,
    horizontal_pod_autoscaler, workload::WorkloadKind,
};

/// Objects as they were read, the newest of each.
#[derive(Default)]
pub(super) struct Objects {
    newest: BTreeMap<(Kind, String, String), (Value, String)>,
    lists: Lists,
    newest_moment: Option<Timestamp>,
    metrics: Metrics,
}

impl Objects {
    /// Reads a file; `true` when it holds an object. What cannot be read is named by file and line.
    pub(super) fn read(&mut self, name: &Path, text: &str, notices: &mut Vec<String>) -> bool {
        let mut found = false;
        for (line, document) in documents(text) {
            match parse(&document) {
                Ok(Value::Null) => {}
                Ok(value @ Value::Object(_)) => found |= self.add(name, &value, notices),
                Ok(Value::Array(values)) => {
                    for value in &values {
                        found |= self.add(name, value, notices);
                    }
                }
                Ok(_) => notices.push(format!("{} line {line}: not an object", name.display())),
                Err(reason) => notices.push(format!("{} line {line}: {reason}; the rest is judged", name.display())),
            }
        }
        found
    }

    /// Adds one object, or the items of a list; `true` when it is an object of Kubernetes.
    pub(super) fn add(&mut self, name: &Path, value: &Value, notices: &mut Vec<String>) -> bool {
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or("");
        let (kind, api_version) = (text("kind"), text("apiVersion"));
        if kind.ends_with("List") || (kind.is_empty() && value.get("items").is_some()) {
            let items = value.get("items").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let item_kind = kind.strip_suffix("List").unwrap_or("");
            self.lists.add(name, item_kind, items);
            self.metrics.add_list(item_kind, api_version);
            let mut found = items.is_empty() && !item_kind.is_empty();
            for item in items {
                let mut item = item.clone();
                if let Value::Object(fields) = &mut item {
                    // Items of typed lists carry neither.
                    fields.entry("kind").or_insert_with(|| item_kind.into());
                    fields.entry("apiVersion").or_insert_with(|| api_version.into());
                }
                found |= self.add(name, &item, notices);
            }
            return found || items.is_empty();
        }
        if self.metrics.add(kind, api_version, value) {
            newest_moment(value, &mut self.newest_moment);
            return true;
        }
        let Some(known) = Kind::of(kind, api_version) else { return !kind.is_empty() };
        newest_moment(value, &mut self.newest_moment);
        let metadata =
            |key: &str| value.pointer(&format!("/metadata/{key}")).and_then(Value::as_str).unwrap_or("").to_owned();
        let key = (known, metadata("namespace"), metadata("name"));
        if key.2.is_empty() {
            notices.push(format!("{}: a {kind} without metadata.name is skipped", name.display()));
            return false;
        }
        let version = |value: &Value| {
            value.pointer("/metadata/resourceVersion").and_then(Value::as_str).and_then(|text| text.parse::<u64>().ok())
        };
        if let Some((before, file)) = self.newest.get(&key) {
            if before == value {
                return true;
            }
            let keep = version(before) > version(value);
            let kept = if keep { file.clone() } else { name.display().to_string() };
            notices.push(format!("{kind} {}/{} stands in the bundle twice; the one of {kept} counts", key.1, key.2));
            if keep {
                return true;
            }
        }
        self.newest.insert(key, (value.clone(), name.display().to_string()));
        true
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
    pub(super) fn fill(self, snapshot: &mut Snapshot) {
        let mut filler = Filler { by_kind: BTreeMap::new(), notices: Vec::new() };
        for ((kind, ..), value) in self.newest {
            filler.by_kind.entry(kind).or_default().push(value);
        }
        let unseen = |what| Collection::unseen(NotSeen::NotInBundle(what));
        snapshot.api_services = filler.collection(Kind::ApiService, self.lists.scopes(Kind::ApiService));
        snapshot.services = filler.collection(Kind::Service, self.lists.scopes(Kind::Service));
        snapshot.pods = filler.collection(Kind::Pod, self.lists.scopes(Kind::Pod));
        snapshot.nodes = filler.collection(Kind::Node, self.lists.scopes(Kind::Node));
        snapshot.service_accounts = filler.collection(Kind::ServiceAccount, self.lists.scopes(Kind::ServiceAccount));
        snapshot.network_policies = filler.collection(Kind::NetworkPolicy, self.lists.scopes(Kind::NetworkPolicy));
        snapshot.events = filler.collection(Kind::Event, self.lists.scopes(Kind::Event));
        snapshot.scales = unseen("scales");
        let autoscalers = filler.take(Kind::Autoscaler, horizontal_pod_autoscaler::from_json);
        snapshot.autoscalers = collection(Kind::Autoscaler, autoscalers, self.lists.scopes(Kind::Autoscaler));
        let mut slices: Vec<EndpointSlice> = filler.take(Kind::EndpointSlice, serde_json::from_value);
        let endpoints: Vec<Endpoints> = filler.take(Kind::Endpoints, serde_json::from_value);
        slices.extend(endpoints.into_iter().flat_map(Endpoints::into_slices));
        let mut scopes = self.lists.scopes(Kind::EndpointSlice);
        scopes.extend(self.lists.scopes(Kind::Endpoints));
        snapshot.endpoint_slices = collection(Kind::EndpointSlice, slices, scopes);
        let mut workloads = Vec::new();
        for (kind, workload_kind) in [
            (Kind::Deployment, WorkloadKind::Deployment),
            (Kind::DaemonSet, WorkloadKind::DaemonSet),
            (Kind::StatefulSet, WorkloadKind::StatefulSet),
            (Kind::ReplicaSet, WorkloadKind::ReplicaSet),
        ] {
            let read: Vec<Workload> = filler.take(kind, serde_json::from_value);
            workloads.extend(read.into_iter().map(|workload| Workload { kind: workload_kind, ..workload }));
        }
        // metrics-server is a Deployment in every packaging, so that list alone tells whether it is there.
        snapshot.workloads = collection(Kind::Deployment, workloads, self.lists.scopes(Kind::Deployment));
        let roles = [Kind::Role, Kind::ClusterRole].map(|kind| filler.take(kind, serde_json::from_value));
        let scopes = [Kind::Role, Kind::ClusterRole].into_iter().flat_map(|kind| self.lists.scopes(kind)).collect();
        snapshot.roles = collection(Kind::ClusterRole, roles.into_iter().flatten(), scopes);
        let bindings =
            [Kind::RoleBinding, Kind::ClusterRoleBinding].map(|kind| filler.take(kind, serde_json::from_value));
        let scopes = [Kind::RoleBinding, Kind::ClusterRoleBinding]
            .into_iter()
            .flat_map(|kind| self.lists.scopes(kind))
            .collect();
        snapshot.role_bindings = collection(Kind::ClusterRoleBinding, bindings.into_iter().flatten(), scopes);
        let kept = ["aws-auth", "extension-apiserver-authentication"];
        let config_maps: Vec<ConfigMap> = filler.take(Kind::ConfigMap, serde_json::from_value);
        let config_maps = config_maps.into_iter().filter(|config_map| kept.contains(&config_map.name()));
        snapshot.config_maps = collection(Kind::ConfigMap, config_maps, self.lists.scopes(Kind::ConfigMap));
        snapshot.notices.extend(filler.notices);
    }
}

fn collection<T: Named>(
    kind: Kind,
    objects: impl IntoIterator<Item = T>,
    scopes: Vec<crate::snapshot::Scope>,
) -> Collection<T> {
    let mut collection = Collection::unseen(NotSeen::NotInBundle(kind.plural()));
    for object in objects {
        collection.insert(object);
    }
    for scope in scopes {
        collection.add_scope(scope);
    }
    collection
}

struct Filler {
    by_kind: BTreeMap<Kind, Vec<(Value, String)>>,
    notices: Vec<String>,
}

impl Filler {
    fn take<T>(&mut self, kind: Kind, read: impl Fn(Value) -> Result<T, serde_json::Error>) -> Vec<T> {
        let values = self.by_kind.remove(&kind).unwrap_or_default();
        let mut objects = Vec::new();
        for (value, file) in values {
            let name = value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("").to_owned();
            match read(value) {
                Ok(object) => objects.push(object),
                Err(error) => self.notices.push(format!("{file}: {} {name} is skipped: {error}", kind.plural())),
            }
        }
        objects
    }

    fn collection<T: Named + DeserializeOwned>(
        &mut self,
        kind: Kind,
        scopes: Vec<crate::snapshot::Scope>,
    ) -> Collection<T> {
        let objects: Vec<T> = self.take(kind, serde_json::from_value);
        collection(kind, objects, scopes)
    }
}

/// The documents of a file with the line at which each begins, so that one bad document spoils no other.
fn documents(text: &str) -> Vec<(usize, String)> {
    let mut documents = vec![(1, String::new())];
    for (index, line) in text.lines().enumerate() {
        if line.trim_end() == "---" || line.starts_with("--- ") {
            documents.push((index + 2, String::new()));
            continue;
        }
        // kubectl's warnings end up in the file when both its outputs are redirected.
        let klog = line.len() > 5
            && matches!(line.as_bytes()[0], b'I' | b'W' | b'E')
            && line.as_bytes()[1..5].iter().all(u8::is_ascii_digit);
        let noise = line.starts_with("Warning: ") || line.starts_with("No resources found") || klog;
        if let Some((_, document)) = documents.last_mut() {
            document.push_str(if noise { "" } else { line });
            document.push('\n');
        }
    }
    documents.retain(|(_, document)| !document.trim().is_empty());
    documents
}

/// Reads a document as JSON where it looks like it, else as YAML. The reason never quotes the input: it may be secret.
fn parse(document: &str) -> Result<Value, String> {
    let trimmed = document.trim_start();
    if trimmed.starts_with(['{', '[']) {
        match serde_json::from_str(trimmed) {
            Ok(value) => return Ok(value),
            Err(error) if trimmed.lines().nth(1).is_some_and(|line| line.trim_start().starts_with('"')) => {
                return Err(format!("not JSON: line {} column {} of the document", error.line(), error.column()));
            }
            // YAML has a flow form that looks like JSON.
            Err(_) => {}
        }
    }
    // Only the spellings of YAML 1.2 are booleans: kubectl leaves names such as `n` unquoted. What the file may hold is
    // bounded by its size; aliases stay bounded by the parser's defaults.
    let options = serde_saphyr::options! {
        strict_booleans: true,
        budget: serde_saphyr::budget! {
            max_events: usize::MAX,
            max_nodes: usize::MAX,
            max_total_scalar_bytes: usize::MAX,
        },
    };
    serde_saphyr::from_str_with_options(document, options).map_err(|error| {
        let place = error
            .location()
            .map(|location| format!(" (line {} column {} of the document)", location.line(), location.column()));
        format!("not YAML{}", place.unwrap_or_default())
    })
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
        let mut notices = Vec::new();
        objects.read(Path::new("objects.yaml"), text, &mut notices);
        let mut snapshot = Snapshot::default();
        objects.fill(&mut snapshot);
        notices.extend(std::mem::take(&mut snapshot.notices));
        (snapshot, notices)
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

    proptest! {
        #[test]
        fn no_text_panics(text in "[ -~\n\t]{0,300}") {
            let _ = read(&text);
        }
    }
}
