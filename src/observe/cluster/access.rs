//! What the API server says the observer may do.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::{Api, Client, api::PostParams};

use super::{options::Features, request::WatchRequest};
use crate::{health::Permission, snapshot::api_service::METRICS_GROUP};

/// Reviews that are asked for at the same time.
const CONCURRENCY: usize = 4;

/// What the planned watches, look-ups and probes need.
pub(super) fn needed(plan: &BTreeSet<WatchRequest>, namespace: &str, features: Features) -> BTreeSet<Permission> {
    let mut permissions = BTreeSet::new();
    for request in plan {
        for verb in ["list", "watch"] {
            permissions.insert(Permission {
                verb,
                group: request.kind.group(),
                resource: request.kind.resource(),
                namespace: request.namespace.clone(),
                name: request.name.clone(),
            });
        }
    }
    let cluster_wide = |verb, group, resource| Permission { verb, group, resource, namespace: None, name: None };
    permissions.insert(cluster_wide("get", "apps", "deployments/scale"));
    permissions.insert(cluster_wide("list", "", "pods"));
    if features.probes {
        permissions.insert(cluster_wide("list", METRICS_GROUP, "nodes"));
        permissions.insert(Permission {
            namespace: Some(namespace.to_owned()),
            ..cluster_wide("list", METRICS_GROUP, "pods")
        });
    }
    if features.custom_resource_definitions {
        permissions.insert(cluster_wide("get", "apiextensions.k8s.io", "customresourcedefinitions"));
    }
    if features.events {
        permissions.insert(Permission { namespace: Some(namespace.to_owned()), ..cluster_wide("list", "", "events") });
    }
    if features.access_reviews {
        permissions.insert(cluster_wide("create", "authorization.k8s.io", "subjectaccessreviews"));
    }
    if features.logs {
        permissions.insert(Permission { namespace: Some(namespace.to_owned()), ..cluster_wide("get", "", "pods/log") });
    }
    permissions
}

/// Asks the API server; a permission about which it gives no answer is left out.
pub(super) async fn review(client: &Client, permissions: BTreeSet<Permission>) -> BTreeMap<Permission, bool> {
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    stream::iter(permissions)
        .map(|permission| {
            let api = api.clone();
            async move {
                let answer = api.create(&PostParams::default(), &question(&permission)).await.ok()?;
                Some((permission, answer.status?.allowed))
            }
        })
        .buffer_unordered(CONCURRENCY)
        .filter_map(std::future::ready)
        .collect()
        .await
}

fn question(permission: &Permission) -> SelfSubjectAccessReview {
    let (resource, subresource) = match permission.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (permission.resource, None),
    };
    let attributes = ResourceAttributes {
        verb: Some(permission.verb.to_owned()),
        group: Some(permission.group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource,
        namespace: permission.namespace.clone(),
        name: permission.name.clone(),
        ..ResourceAttributes::default()
    };
    SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{observe::cluster::plan::plan, testing::healthy};

    #[test]
    fn subresources_are_asked_for_apart_from_their_resource() {
        let log = Permission {
            verb: "get",
            group: "",
            resource: "pods/log",
            namespace: Some("kube-system".to_owned()),
            name: None,
        };
        let attributes = question(&log).spec.resource_attributes.expect("attributes");
        assert_eq!(attributes.resource.as_deref(), Some("pods"));
        assert_eq!(attributes.subresource.as_deref(), Some("log"));
    }

    #[test]
    fn logs_are_asked_for_only_where_they_are_read() {
        let features = Features::default();
        let watches = plan(&healthy(), features);
        let log = |features| {
            needed(&watches, "kube-system", features).iter().any(|permission| permission.resource == "pods/log")
        };
        assert!(log(features));
        assert!(!log(Features { logs: false, ..features }));
    }
}
