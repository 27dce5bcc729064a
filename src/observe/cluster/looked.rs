//! What look-ups of blind autoscalers' targets add to a snapshot. Pure.

pub(super) mod blind;

use std::sync::Arc;

use super::heard::{FoundPods, Looked, ScaleTarget};
use crate::snapshot::{CustomResourceDefinition, Named, Observed, Scale, Scope, Snapshot};

/// Autoscalers that are looked up in one round.
pub(super) const TARGETS_PER_ROUND: usize = 50;

impl Looked {
    /// Adds what was looked up to a snapshot.
    pub(super) fn add_to(&self, snapshot: &mut Snapshot) {
        for (target, looked) in &self.0 {
            self.add_scale(target, &looked.scale, snapshot);
            if let Some((name, definition)) = &looked.definition {
                add_definition(name, definition, snapshot);
            }
            if let Some(found) = &looked.pods {
                add_pods(&target.namespace, found, snapshot);
            }
        }
    }

    fn add_scale(&self, target: &ScaleTarget, scale: &Observed<Arc<Scale>>, snapshot: &mut Snapshot) {
        let scope = Scope {
            discriminator: known_kind(&target.kind),
            ..Scope::in_namespace(&target.namespace).named(&target.name)
        };
        match scale {
            Observed::Present(scale) => snapshot.scales.insert(Arc::clone(scale)),
            Observed::Absent => {
                let has_namesake = self.0.keys().any(|other| {
                    other.namespace == target.namespace && other.name == target.name && other.kind != target.kind
                });
                // A scope that cannot name its kind would vouch for the namesake too.
                if scope.discriminator.is_some() || !has_namesake {
                    snapshot.scales.add_scope(scope);
                }
            }
            Observed::NotSeen(reason) => snapshot.scales.add_scope(scope.with_gap(reason.clone())),
        }
    }

    /// Whether every blind autoscaler of the snapshot that fits into a round was looked up.
    pub(super) fn is_complete_for(&self, snapshot: &Snapshot) -> bool {
        let targets = blind::targets(snapshot);
        let done = targets.keys().filter(|target| self.0.contains_key(target)).count();
        done >= targets.len().min(TARGETS_PER_ROUND)
    }
}

fn add_definition(name: &str, definition: &Observed<Arc<CustomResourceDefinition>>, snapshot: &mut Snapshot) {
    let scope = Scope::cluster().named(name);
    match definition {
        Observed::Present(definition) => snapshot.custom_resource_definitions.insert(Arc::clone(definition)),
        Observed::Absent => snapshot.custom_resource_definitions.add_scope(scope),
        Observed::NotSeen(reason) => snapshot.custom_resource_definitions.add_scope(scope.with_gap(reason.clone())),
    }
}

fn add_pods(namespace: &str, found: &FoundPods, snapshot: &mut Snapshot) {
    for pod in &found.pods {
        let known = snapshot.pods.get(pod.namespace(), pod.name());
        if known.seen().is_none_or(|known| pod.metadata.is_newer_than(&known.metadata)) {
            snapshot.pods.insert(Arc::clone(pod));
        }
    }
    if !found.labels.is_empty() {
        let scope = Scope { gap: found.gap.clone(), ..Scope::in_namespace(namespace).labelled(found.labels.clone()) };
        snapshot.pods.add_scope(scope);
    }
}

/// The kind as a scope can name it.
fn known_kind(kind: &str) -> Option<&'static str> {
    ["Deployment", "StatefulSet", "ReplicaSet", "ReplicationController"].into_iter().find(|known| *known == kind)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Instant};

    use super::*;
    use crate::{
        observe::cluster::heard::LookedTarget,
        snapshot::{Metadata, NotSeen, Pod},
    };

    fn target(kind: &str, name: &str) -> ScaleTarget {
        ScaleTarget {
            namespace: "shop".to_owned(),
            api_version: "apps/v1".to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
        }
    }

    fn looked(scale: Observed<Arc<Scale>>) -> LookedTarget {
        LookedTarget { at: Instant::now(), scale, definition: None, pods: None }
    }

    #[test]
    fn a_target_that_is_not_there_is_absent_and_its_namesake_is_not() {
        let mut snapshot = Snapshot::default();
        let all = Looked(BTreeMap::from([
            (target("Rollout", "web"), looked(Observed::Absent)),
            (target("Deployment", "web"), looked(Observed::NotSeen(NotSeen::NotSynced))),
            (target("Deployment", "api"), looked(Observed::Absent)),
        ]));
        all.add_to(&mut snapshot);
        let scales = &snapshot.scales;
        assert!(scales.get_of_kind(Some("Deployment"), "shop", "api").is_absent());
        assert!(!scales.get_of_kind(Some("StatefulSet"), "shop", "api").is_absent());
        assert_eq!(scales.get_of_kind(Some("Deployment"), "shop", "web"), Observed::NotSeen(NotSeen::NotSynced));
    }

    #[test]
    fn a_list_of_pods_that_was_cut_off_vouches_for_nothing() {
        let mut snapshot = Snapshot::default();
        let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
        let pod = Arc::new(Pod {
            metadata: Metadata { labels: labels.clone(), ..Metadata::new("shop", "web-1") },
            ..Pod::default()
        });
        let cut = NotSeen::Unreachable("cut".to_owned());
        let found = |gap| FoundPods { labels: labels.clone(), pods: vec![Arc::clone(&pod)], gap };
        add_pods("shop", &found(Some(cut.clone())), &mut snapshot);
        let listing = snapshot.pods.selected("shop", &labels);
        assert_eq!((listing.objects.len(), listing.gap), (1, Some(cut)));
        add_pods("shop", &found(None), &mut snapshot);
        assert!(snapshot.pods.selected("shop", &labels).complete().is_ok());
    }
}
