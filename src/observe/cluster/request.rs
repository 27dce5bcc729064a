//! One watch, as it is asked for.

use std::collections::BTreeMap;

use super::kinds::WatchKind;
use crate::{health::WatchedPart, snapshot::Scope};

/// One watch: one connection to the API server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchRequest {
    /// The kind.
    pub kind: WatchKind,
    /// Only this namespace; `None` for the whole cluster and for cluster-scoped kinds.
    pub namespace: Option<String>,
    /// Only the object with this name: a field selector, which is what lets RBAC `resourceNames` allow lists and watches.
    pub name: Option<String>,
    /// Only objects with these labels.
    pub labels: BTreeMap<String, String>,
}

impl WatchRequest {
    /// All objects of a kind.
    pub fn everywhere(kind: WatchKind) -> Self {
        Self { kind, namespace: None, name: None, labels: BTreeMap::new() }
    }

    /// All objects of a kind in one namespace.
    pub fn within(kind: WatchKind, namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..Self::everywhere(kind) }
    }

    /// Only the object with this name.
    pub(super) fn named(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }

    /// Only objects with these labels.
    pub(super) fn labelled(self, labels: &BTreeMap<String, String>) -> Self {
        Self { labels: labels.clone(), ..self }
    }

    /// The part of the cluster that the watch shows once its first list is complete.
    pub fn scope(&self) -> Scope {
        let cluster_scoped_among_namespaced =
            matches!(self.kind, WatchKind::ClusterRole | WatchKind::ClusterRoleBinding);
        let namespace = if cluster_scoped_among_namespaced { Some(String::new()) } else { self.namespace.clone() };
        Scope {
            namespace,
            name: self.name.clone(),
            labels: (!self.labels.is_empty()).then(|| self.labels.clone()),
            discriminator: self.kind.workload().map(crate::snapshot::workload::WorkloadKind::name),
            gap: None,
        }
    }

    /// The same without what only the observer knows.
    pub fn part(&self) -> WatchedPart {
        WatchedPart {
            resource: self.kind.resource(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            labels: self.labels.clone(),
        }
    }

    /// The labels as the API server takes them.
    pub(super) fn label_selector(&self) -> Option<String> {
        let pairs: Vec<String> = self.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_roles_and_roles_do_not_vouch_for_each_other() {
        let cluster_roles = WatchRequest::everywhere(WatchKind::ClusterRole).scope();
        assert_eq!(cluster_roles.namespace.as_deref(), Some(""));
        let deployments = WatchRequest::everywhere(WatchKind::Deployment).scope();
        assert_eq!((deployments.namespace, deployments.discriminator), (None, Some("Deployment")));
    }
}
