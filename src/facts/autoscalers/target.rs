//! What became of an autoscaler's target whose scale cannot be read: is the object missing, is its kind not served under
//! that group, or can that kind not be scaled? The controller's words for the first and the last are the same.
//!
//! kubernetes/kubernetes `pkg/controller/podautoscaler/horizontal.go` `scaleForResourceMappings` asks for the scale
//! subresource of every version of the kind; kubernetes/apiextensions-apiserver `pkg/apiserver/customresource_handler.go`
//! answers a subresource that its definition does not declare in the words of an object that is not there.

use std::collections::HashMap;

use crate::{
    catalogue::Cause,
    snapshot::{
        CustomResourceDefinition, HorizontalPodAutoscaler, Named, NotSeen, Observed, Snapshot, TargetObject,
        horizontal_pod_autoscaler::ScaleTargetReference,
    },
};

/// What is known of a target whose scale cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// There is no such object.
    Absent,
    /// No API of that group has the kind.
    NotServed {
        /// What `apiVersion` the kind has, where that is known.
        right: Option<String>,
        /// The kind as it is written right, where that differs.
        kind: Option<String>,
        /// Whether an object of that kind and name was seen.
        exists: bool,
    },
    /// The kind has no scale subresource.
    NotScalable {
        /// Whether the object was seen.
        exists: bool,
    },
    /// It may be one of several.
    Unclear(&'static [Cause]),
}

impl Lost {
    /// The cause that it is, or the symptom that stands for several.
    pub const fn cause(&self) -> Cause {
        match self {
            Self::Absent => Cause::TargetNotFound,
            Self::NotServed { .. } => Cause::TargetKindNotServed,
            Self::NotScalable { .. } => Cause::TargetNotScalable,
            Self::Unclear(_) => Cause::HpaOther,
        }
    }
}

/// Kinds that are built in, their group, and whether they can be scaled.
const BUILT_IN: [(&str, &str, bool); 9] = [
    ("Deployment", "apps/v1", true),
    ("ReplicaSet", "apps/v1", true),
    ("StatefulSet", "apps/v1", true),
    ("ReplicationController", "v1", true),
    ("DaemonSet", "apps/v1", false),
    ("Pod", "v1", false),
    ("Job", "batch/v1", false),
    ("CronJob", "batch/v1", false),
    ("Service", "v1", false),
];

/// Kinds of widely used extensions whose definitions have always declared a scale subresource.
const SCALABLE: [(&str, &str); 2] = [("Rollout", "argoproj.io"), ("DeploymentConfig", "apps.openshift.io")];

/// The objects that tell what a target is, found without looking at each of them for every autoscaler.
#[derive(Debug)]
pub(super) struct Targets<'s> {
    snapshot: &'s Snapshot,
    definitions: HashMap<&'s str, Vec<&'s CustomResourceDefinition>>,
    seen: HashMap<(&'s str, &'s str, &'s str), &'s TargetObject>,
}

impl<'s> Targets<'s> {
    pub(super) fn of(snapshot: &'s Snapshot) -> Self {
        let mut definitions: HashMap<&str, Vec<&CustomResourceDefinition>> = HashMap::new();
        for definition in snapshot.custom_resource_definitions.iter() {
            definitions.entry(&definition.spec.names.kind).or_default().push(definition);
        }
        let mut seen = HashMap::new();
        for object in &snapshot.scale_targets {
            seen.entry((object.namespace.as_str(), object.kind.as_str(), object.name.as_str())).or_insert(object);
        }
        Self { snapshot, definitions, seen }
    }

    /// The definitions of a kind, whatever its group.
    fn definitions(&self, kind: &str) -> &[&'s CustomResourceDefinition] {
        self.definitions.get(kind).map_or(&[], Vec::as_slice)
    }

    /// The definition of the target's kind.
    fn definition(&self, target: &ScaleTargetReference) -> Option<&'s CustomResourceDefinition> {
        let group = group(&target.api_version);
        self.definitions(&target.kind).iter().copied().find(|definition| definition.spec.group == group)
    }

    /// An object of a kind that is not built in, with the target's kind and name, of whatever group.
    fn seen(&self, autoscaler: &HorizontalPodAutoscaler) -> Option<&'s TargetObject> {
        let target = &autoscaler.spec.scale_target_ref;
        self.seen.get(&(autoscaler.namespace(), target.kind.as_str(), target.name.as_str())).copied()
    }

    /// Whether the object that the autoscaler names was seen.
    fn exists(&self, autoscaler: &HorizontalPodAutoscaler) -> Observed<()> {
        let target = &autoscaler.spec.scale_target_ref;
        if BUILT_IN.iter().any(|(kind, ..)| *kind == target.kind) {
            let workloads = &self.snapshot.workloads;
            return workloads.get_of_kind(Some(&target.kind), autoscaler.namespace(), &target.name).map(|_| ());
        }
        match self.seen(autoscaler) {
            Some(seen) if group(&seen.api_version) == group(&target.api_version) => Observed::Present(()),
            _ => Observed::NotSeen(NotSeen::NotLooked),
        }
    }
}

/// The API group of an `apiVersion`.
pub(super) fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// `no matches for kind`: it speaks of `apiVersion` and kind, and says nothing of the object.
pub(super) fn not_served(targets: &Targets<'_>, autoscaler: &HorizontalPodAutoscaler) -> Lost {
    let target = &autoscaler.spec.scale_target_ref;
    let built_in = BUILT_IN.iter().find(|(kind, ..)| kind.eq_ignore_ascii_case(&target.kind));
    let kind = built_in.map(|(kind, ..)| *kind).filter(|kind| *kind != target.kind);
    let workload = targets.snapshot.workloads.get_of_kind(
        Some(kind.unwrap_or(&target.kind)),
        autoscaler.namespace(),
        &target.name,
    );
    let seen = targets.seen(autoscaler);
    // A kind of that name that the cluster defines in another group.
    let defined = || {
        let [definition] = targets.definitions(&target.kind) else { return None };
        let version = definition.spec.versions.iter().find(|version| version.served)?;
        Some(format!("{}/{}", definition.spec.group, version.name))
    };
    Lost::NotServed {
        right: built_in
            .map(|(_, api_version, _)| (*api_version).to_owned())
            .or_else(|| seen.map(|seen| seen.api_version.clone()))
            .or_else(defined),
        kind: kind.map(str::to_owned),
        exists: workload.seen().is_some() || seen.is_some(),
    }
}

/// `"NAME" not found`: the object is missing or its kind has no scale subresource. Where nothing is known under the path
/// (`could not find the requested resource`), the kind may be gone too.
pub(super) fn not_found(targets: &Targets<'_>, autoscaler: &HorizontalPodAutoscaler, names_object: bool) -> Lost {
    let target = &autoscaler.spec.scale_target_ref;
    if let Some(scalable) = is_scalable(target) {
        return match (scalable, targets.exists(autoscaler)) {
            (false, exists) => Lost::NotScalable { exists: exists.seen().is_some() },
            (true, Observed::Present(())) => Lost::Unclear(&[]),
            (true, Observed::NotSeen(_)) if !names_object => {
                Lost::Unclear(&[Cause::TargetNotFound, Cause::TargetKindNotServed])
            }
            (true, _) => Lost::Absent,
        };
    }
    let there = targets.exists(autoscaler);
    if let Some(definition) = targets.definition(target) {
        let scalable =
            definition.spec.versions.iter().any(|version| version.served && definition.scale(&version.name).is_some());
        return match (scalable, there) {
            (false, there) => Lost::NotScalable { exists: there.seen().is_some() },
            (true, Observed::Present(())) => Lost::Unclear(&[]),
            // The kind can be scaled, so it is the object that is not found.
            (true, _) => Lost::Absent,
        };
    }
    match there {
        Observed::Present(()) => Lost::NotScalable { exists: true },
        Observed::Absent => Lost::Absent,
        Observed::NotSeen(_) if names_object => Lost::Unclear(&[Cause::TargetNotFound, Cause::TargetNotScalable]),
        Observed::NotSeen(_) => {
            Lost::Unclear(&[Cause::TargetNotFound, Cause::TargetKindNotServed, Cause::TargetNotScalable])
        }
    }
}

/// Whether the kind can be scaled, where that is certain.
fn is_scalable(target: &ScaleTargetReference) -> Option<bool> {
    let group = group(&target.api_version);
    let known = BUILT_IN.iter().find(|(kind, api_version, _)| {
        *kind == target.kind && (self::group(api_version) == group || group == "extensions")
    });
    known.map(|(.., scalable)| *scalable).or_else(|| SCALABLE.contains(&(target.kind.as_str(), group)).then_some(true))
}

/// The name of the definition of the target's kind, and where its scale subresource takes the selector from: empty where it
/// names no place, so that autoscalers find no pods.
pub fn selector_path<'s>(snapshot: &'s Snapshot, autoscaler: &HorizontalPodAutoscaler) -> Option<(&'s str, &'s str)> {
    let target = &autoscaler.spec.scale_target_ref;
    let group = group(&target.api_version);
    let mut definitions = snapshot.custom_resource_definitions.iter();
    let definition =
        definitions.find(|definition| definition.spec.group == group && definition.spec.names.kind == target.kind)?;
    let version = target.api_version.rsplit('/').next()?;
    Some((definition.name(), definition.scale(version)?.label_selector_path.as_str()))
}
