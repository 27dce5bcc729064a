//! Where the scale subresource of a target is.

use std::{collections::HashMap, sync::Mutex, sync::PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroup, APIResourceList};
use kube::Client;

use crate::{
    observe::cluster::{heard::ScaleTarget, trouble::Trouble},
    snapshot::Observed,
};

/// The path of a scale subresource, and what RBAC calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScalePath {
    pub(super) path: String,
    pub(super) resource: &'static str,
    /// The name of the kind's definition, where it is not built in and may have one.
    pub(super) definition: Option<String>,
}

/// Finds paths, asking the API server once for each kind that is not built in.
pub(super) struct Paths {
    client: Client,
    /// By group and kind: version and plural.
    found: Mutex<HashMap<(String, String), (String, String)>>,
}

impl Paths {
    pub(super) fn new(client: Client) -> Self {
        Self { client, found: Mutex::default() }
    }

    /// The path; absent when the API server has no such kind, as the autoscaler's own search would end
    /// (kubernetes/kubernetes `pkg/controller/podautoscaler/horizontal.go` `scaleForResourceMappings`: any version of the group).
    pub(super) async fn find(&self, target: &ScaleTarget) -> Observed<ScalePath> {
        let group = target.api_version.split_once('/').map_or("", |(group, _)| group);
        // What a tenant writes must not lead to another path.
        if !is_name(group) || !is_name(&target.name) || target.name.is_empty() {
            return Observed::Absent;
        }
        if let Some((version, plural, resource)) = built_in(group, &target.kind) {
            let path = path(group, version, plural, target);
            return Observed::Present(ScalePath { path, resource, definition: None });
        }
        let key = (group.to_owned(), target.kind.clone());
        let known = self.found.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let (version, plural) = match known {
            Some(known) => known,
            None => match self.discover(group, &target.kind).await {
                Ok(Some(found)) => {
                    self.found.lock().unwrap_or_else(PoisonError::into_inner).insert(key, found.clone());
                    found
                }
                Ok(None) => return Observed::Absent,
                Err(error) => return Observed::NotSeen(Trouble::of(&error).not_seen("get", "*/scale")),
            },
        };
        // Groups of definitions have a dot in them (kubernetes/apiextensions-apiserver `validation.go`).
        let definition = group.contains('.').then(|| format!("{plural}.{group}"));
        Observed::Present(ScalePath { path: path(group, &version, &plural, target), resource: "*/scale", definition })
    }

    async fn discover(&self, group: &str, kind: &str) -> kube::Result<Option<(String, String)>> {
        if group.is_empty() {
            let resources = self.client.list_core_api_resources("v1").await?;
            return Ok(plural(&resources, kind).map(|plural| ("v1".to_owned(), plural)));
        }
        let request = hyper::Request::get(format!("/apis/{group}")).body(Vec::new()).map_err(kube::Error::HttpError)?;
        let versions = match self.client.request::<APIGroup>(request).await {
            Ok(group) => group.versions,
            Err(error) if Trouble::of(&error) == Trouble::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        for version in versions {
            let resources = self.client.list_api_group_resources(&version.group_version).await?;
            if let Some(plural) = plural(&resources, kind) {
                return Ok(Some((version.version, plural)));
            }
        }
        Ok(None)
    }
}

/// Whether a text may be the name of an object or of a group.
fn is_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.'))
        && !text.starts_with('.')
}

fn plural(resources: &APIResourceList, kind: &str) -> Option<String> {
    let found = resources.resources.iter().find(|resource| resource.kind == kind && !resource.name.contains('/'));
    found.map(|resource| resource.name.clone())
}

fn built_in(group: &str, kind: &str) -> Option<(&'static str, &'static str, &'static str)> {
    match (group, kind) {
        ("apps", "Deployment") => Some(("v1", "deployments", "deployments/scale")),
        ("apps", "StatefulSet") => Some(("v1", "statefulsets", "statefulsets/scale")),
        ("apps", "ReplicaSet") => Some(("v1", "replicasets", "replicasets/scale")),
        ("", "ReplicationController") => Some(("v1", "replicationcontrollers", "replicationcontrollers/scale")),
        _ => None,
    }
}

fn path(group: &str, version: &str, plural: &str, target: &ScaleTarget) -> String {
    let root = if group.is_empty() { "/api".to_owned() } else { format!("/apis/{group}") };
    format!("{root}/{version}/namespaces/{}/{plural}/{}/scale", target.namespace, target.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_is_gone_does_not_matter() {
        let target = ScaleTarget {
            namespace: "shop".to_owned(),
            api_version: "apps/v1beta1".to_owned(),
            kind: "Deployment".to_owned(),
            name: "web".to_owned(),
        };
        let (version, plural, _) = built_in("apps", &target.kind).expect("a built-in kind");
        assert_eq!(path("apps", version, plural, &target), "/apis/apps/v1/namespaces/shop/deployments/web/scale");
        assert!(built_in("extensions", "Deployment").is_none());
    }

    #[test]
    fn what_is_no_name_leads_nowhere() {
        for text in ["argoproj.io", "", "a-1.b"] {
            assert!(is_name(text), "{text}");
        }
        for text in ["a?watch=true", "..", "a/b", "%2f", "A", "a b"] {
            assert!(!is_name(text), "{text}");
        }
    }
}
