//! Objects of a bundle: YAML and JSON of any kind and era.

mod damaged;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::damaged::Damaged;
use super::{
    documents::{Document, Documents, Lost, documents},
    lenient,
    metrics::Metrics,
    notices::Notices,
    scopes::{self, Kind, Lists},
    texts::Top,
};
use crate::snapshot::{
    Collection, ConfigMap, EndpointSlice, Named, NotSeen, Retrieval, Scope, Snapshot, TargetObject, Workload,
    endpoints::Endpoints, horizontal_pod_autoscaler, workload::WorkloadKind,
};

/// Objects as they were read, the newest of each.
#[derive(Default)]
pub(super) struct Objects {
    newest: BTreeMap<(Kind, String, String), (Value, String)>,
    lists: Lists,
    damaged: Damaged,
    newest_moment: Option<Timestamp>,
    metrics: Metrics,
    /// Objects of kinds that are not read, by name alone: an autoscaler may scale one.
    others: BTreeSet<TargetObject>,
}

impl Objects {
    /// Takes note of a file that could not be read: its name tells what it should hold. `true` when it does.
    pub(super) fn lose_file(&mut self, name: &Path) -> bool {
        let stem = name.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        let stem = stem.split('.').next().unwrap_or("");
        if let Some((kind, _)) = Kind::of_file(stem) {
            self.damaged.kinds.entry(kind).or_insert_with(|| name.display().to_string());
            return true;
        }
        let is_metrics = ["nodemetrics", "podmetrics"].contains(&stem);
        if is_metrics {
            self.damaged.metrics.get_or_insert_with(|| name.display().to_string());
        }
        is_metrics
    }

    fn lose(&mut self, name: &Path, kind: Option<&str>) {
        let what = || name.display().to_string();
        match kind {
            Some("NodeMetrics" | "PodMetrics") => drop(self.damaged.metrics.get_or_insert_with(what)),
            // Of a kind that is not read nothing is missed.
            Some(kind) => drop(Kind::of(kind, "").map(|kind| self.damaged.kinds.entry(kind).or_insert_with(what))),
            None if self.lose_file(name) => {}
            None => drop(self.damaged.unknown.get_or_insert_with(what)),
        }
    }

    /// Reads a file; `true` when it holds an object. What cannot be read is named by file and line.
    pub(super) fn read(&mut self, name: &Path, text: &str, notices: &mut Notices) -> bool {
        let mut found = false;
        let Documents { read, lost } = documents(text);
        if read.is_empty() && lost.is_empty() && !text.contains("No resources found") {
            notices.push(format!("{}: holds nothing", name.display()));
            self.lose_file(name);
        }
        if lost.is_empty() && text.contains(|character: char| character < ' ' && !"\n\r\t".contains(character)) {
            self.lose(name, None);
        }
        for Lost { line, reason, kind } in lost {
            notices.push(format!("{} line {line}: {reason}; the rest is judged", name.display()));
            self.lose(name, kind.as_deref());
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
                other => {
                    notices.push(format!("{place}: {}", no_object(&other)));
                    self.lose_answer(name, text);
                }
            }
        }
        found
    }

    /// Takes note of a file that holds something else than objects. That an object is not found is an answer all the same.
    fn lose_answer(&mut self, name: &Path, text: &str) {
        if !text.contains("(NotFound)") && !text.contains("doesn't have a resource type") {
            self.lose_file(name);
        }
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
                    self.lose(name, kind.strip_suffix("List").filter(|kind| !kind.is_empty()));
                    return false;
                }
            };
            if kind.is_empty() {
                // kubectl writes it behind the items.
                notices.push(format!("{place}: a list without a kind: it was cut off, and the rest is judged"));
                self.lose(name, None);
                return self.add_list(name, place, (&kind, &api_version), items, false, notices);
            }
            return self.add_list(name, place, (&kind, &api_version), items, complete, notices);
        }
        if self.metrics.add(&kind, &api_version, &value) {
            newest_moment(&value, &mut self.newest_moment);
            return true;
        }
        let Some(known) = Kind::of(&kind, &api_version) else {
            match kind.as_str() {
                "" => {
                    notices.push(format!("{place}: {}", no_object(&value)));
                    let error = value.as_object().and_then(|fields| fields.keys().next()).cloned();
                    self.lose_answer(name, &error.unwrap_or_default());
                }
                "Secret" => notices.push(format!("{place}: a Secret, which is not read: no bundle needs it")),
                "Status" => {
                    notices.push(format!("{place}: an error of the API server and not an object"));
                    if text("reason") != "NotFound" {
                        self.lose_file(name);
                    }
                }
                _ if value
                    .as_object()
                    .is_some_and(|fields| fields.keys().all(|key| key == "kind" || key == "apiVersion")) =>
                {
                    notices.push(format!("{place}: a {kind} without anything in it: it was cut off"));
                    self.lose(name, None);
                }
                _ => {
                    let metadata = |key: &str| value.pointer(&format!("/metadata/{key}")).and_then(Value::as_str);
                    if let (Some(namespace), Some(name)) = (metadata("namespace"), metadata("name")) {
                        let (namespace, name) = (namespace.to_owned(), name.to_owned());
                        self.others.insert(TargetObject { api_version, kind: kind.clone(), namespace, name });
                    }
                }
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
            let named = if key.2.is_empty() { name.display().to_string() } else { format!("{kind} {}", key.2) };
            self.damaged.lose_object(known, named);
            return false;
        }
        if known == Kind::ApiService && complete && scopes::is_of_the_api_server(&value) {
            self.lists.add_all(known);
        }
        if let Some((before, file)) = self.newest.get(&key) {
            if *before == value {
                return true;
            }
            let keep = is_newer(before, &value);
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
            self.lose(name, Some(item_kind));
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
                self.lose(name, Some(item_kind).filter(|kind| !kind.is_empty()));
            }
        }
        found
    }

    /// What the metrics API answered, where the bundle holds its objects.
    pub(super) fn samples(&self, which: Top) -> Option<Retrieval> {
        self.metrics.retrieval(which)
    }

    /// The file with objects of the metrics API that could not be read.
    pub(super) fn damaged_samples(&self) -> Option<&str> {
        self.damaged.metrics.as_deref()
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
        snapshot.certificate_signing_requests = filler.collection(Kind::CertificateSigningRequest);
        snapshot.custom_resource_definitions = filler.collection(Kind::CustomResourceDefinition);
        snapshot.namespaces = filler.collection(Kind::Namespace);
        snapshot.scales = Collection::unseen(NotSeen::NotInBundle("scales"));
        let autoscalers = filler.take(Kind::Autoscaler, horizontal_pod_autoscaler::upgraded);
        snapshot.autoscalers = filler.seen(&[Kind::Autoscaler], autoscalers);
        let targets: BTreeSet<(&str, &str, &str)> = snapshot
            .autoscalers
            .iter()
            .map(|autoscaler| (autoscaler.namespace(), &autoscaler.spec.scale_target_ref))
            .map(|(namespace, target)| (namespace, target.kind.as_str(), target.name.as_str()))
            .collect();
        let is_target =
            |other: &TargetObject| targets.contains(&(other.namespace.as_str(), &*other.kind, &*other.name));
        let scale_targets = self.others.into_iter().filter(is_target).collect();
        snapshot.scale_targets = scale_targets;
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
    damaged: Damaged,
    notices: &'n mut Notices,
}

impl Filler<'_> {
    fn take<T: DeserializeOwned>(&mut self, kind: Kind, finish: impl Fn(T) -> Result<T, serde_json::Error>) -> Vec<T> {
        let mut objects = Vec::new();
        for (value, place) in self.by_kind.remove(&kind).unwrap_or_default() {
            let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or("").to_owned();
            let object = format!("{} {}/{}", kind.name(), text("/metadata/namespace"), text("/metadata/name"));
            let name = format!("{place}: {object}");
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
                    self.damaged.lose_object(kind, object.replace(" /", " "));
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
        let damaged = [of_cluster, of_namespaces].into_iter().find(|kind| self.damaged.kinds.contains_key(kind));
        let mut collection = Collection::unseen(self.damaged.reason(damaged.unwrap_or(of_cluster)));
        objects.into_iter().for_each(|object| collection.insert(object));
        let lists =
            |kind: Kind| if self.damaged.unproven.contains(&kind) { Vec::new() } else { self.lists.scopes(kind) };
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
        let damaged = kinds.iter().find(|kind| self.damaged.kinds.contains_key(kind));
        let reason = damaged.or(kinds.first()).map(|kind| self.damaged.reason(*kind));
        let mut collection = Collection::unseen(reason.unwrap_or_default());
        for object in objects {
            collection.insert(object);
        }
        for kind in kinds.iter().filter(|kind| !self.damaged.unproven.contains(kind)) {
            self.lists.scopes(*kind).into_iter().for_each(|scope| collection.add_scope(scope));
        }
        collection
    }
}

/// Whether the first of two copies of an object is of a later moment: by their versions, else by what they tell of time.
fn is_newer(one: &Value, other: &Value) -> bool {
    let version = |value: &Value| {
        let version = value.pointer("/metadata/resourceVersion")?;
        version.as_u64().or_else(|| version.as_str()?.parse().ok())
    };
    let moment = |value: &Value| {
        let mut newest = None;
        newest_moment(value, &mut newest);
        newest
    };
    match (version(one), version(other)) {
        (Some(one), Some(other)) if one != other => one > other,
        _ => moment(one) > moment(other),
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
mod tests;
