//! What metrics-server's own `ServiceAccount` must be allowed, by version
//! (kubernetes-sigs/metrics-server `manifests/base/rbac.yaml`, 0.3.6 to 0.9.0).

use std::collections::BTreeSet;

use super::{account, object};
use crate::{
    catalogue::Cause,
    check::Finding,
    facts::Facts as Context,
    facts::{
        metrics_server::{self, Owner},
        rbac::{Attributes, Decision, User, decide, has_node_role},
    },
    snapshot::{self, HorizontalPodAutoscaler, NotSeen, log::Line, retrieval, version::Version},
    steps::bridge::Outcome,
};

/// A permission that metrics-server needs: a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// get `nodes/metrics` (0.6 and newer).
    NodesMetrics,
    /// get `nodes/stats` (up to 0.5).
    NodesStats,
    /// list nodes.
    ListNodes,
    /// list pods.
    ListPods,
    /// create `tokenreviews.authentication.k8s.io`.
    TokenReviews,
    /// create `subjectaccessreviews.authorization.k8s.io`.
    SubjectAccessReviews,
    /// get the `ConfigMap` `kube-system/extension-apiserver-authentication`.
    AuthenticationConfigMap,
}

impl Permission {
    /// As in labels.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NodesMetrics => "get_nodes_metrics",
            Self::NodesStats => "get_nodes_stats",
            Self::ListNodes => "list_nodes",
            Self::ListPods => "list_pods",
            Self::TokenReviews => "create_tokenreviews",
            Self::SubjectAccessReviews => "create_subjectaccessreviews",
            Self::AuthenticationConfigMap => "get_extension_apiserver_authentication",
        }
    }

    fn attributes(self) -> Attributes<'static> {
        let cluster = |verb, group, resource| Attributes { verb, group, resource, ..Attributes::default() };
        match self {
            Self::NodesMetrics => cluster("get", "", "nodes/metrics"),
            Self::NodesStats => cluster("get", "", "nodes/stats"),
            Self::ListNodes => cluster("list", "", "nodes"),
            Self::ListPods => cluster("list", "", "pods"),
            Self::TokenReviews => cluster("create", "authentication.k8s.io", "tokenreviews"),
            Self::SubjectAccessReviews => cluster("create", "authorization.k8s.io", "subjectaccessreviews"),
            Self::AuthenticationConfigMap => Attributes {
                verb: "get",
                group: "",
                resource: "configmaps",
                name: "extension-apiserver-authentication",
                namespace: "kube-system",
                ..Attributes::default()
            },
        }
    }

    const fn cause(self) -> Cause {
        match self {
            Self::NodesMetrics | Self::NodesStats => Cause::KubeletPermissionMissing,
            Self::ListNodes | Self::ListPods => Cause::ListPermissionMissing,
            Self::TokenReviews | Self::SubjectAccessReviews => Cause::AuthDelegatorMissing,
            Self::AuthenticationConfigMap => Cause::AuthReaderMissing,
        }
    }

    /// What a version needs; without a version neither of the two kubelet permissions is asked for.
    fn needed(version: Option<Version>) -> Vec<Self> {
        let kubelet =
            version.map(|version| if version < Version::new(0, 6, 0) { Self::NodesStats } else { Self::NodesMetrics });
        let always = [
            Self::ListNodes,
            Self::ListPods,
            Self::TokenReviews,
            Self::SubjectAccessReviews,
            Self::AuthenticationConfigMap,
        ];
        kubelet.into_iter().chain(always).collect()
    }
}

/// Who was asked: a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The API server, by `SubjectAccessReview`: every authorizer has answered.
    SubjectAccessReview,
    /// The RBAC objects, evaluated here.
    RbacObjects,
}

impl Source {
    /// Both.
    pub const ALL: [Self; 2] = [Self::SubjectAccessReview, Self::RbacObjects];

    /// As in labels.
    pub const fn label(self) -> &'static str {
        match self {
            Self::SubjectAccessReview => "subject_access_review",
            Self::RbacObjects => "rbac_objects",
        }
    }
}

/// The account and permissions that metrics-server needs, with what the RBAC objects answer; `None` where metrics-server
/// does not serve the API.
pub fn questions(context: &Context<'_>) -> Option<(User, Vec<(Attributes<'static>, Decision)>)> {
    let (user, needed) = needs(context)?;
    let decided = needed.into_iter().map(|permission| {
        let attributes = permission.attributes();
        (attributes, by_objects(context, &user, &attributes))
    });
    let decided = decided.collect();
    Some((user, decided))
}

fn needs(context: &Context<'_>) -> Option<(User, Vec<Permission>)> {
    let (namespace, name) = account(context).filter(|_| context.chain.owner() == Some(Owner::MetricsServer))?;
    let version = context.chain.container().and_then(|container| metrics_server::version(&container.image));
    Some((User::service_account(namespace, name), Permission::needed(version)))
}

fn by_objects(context: &Context<'_>, user: &User, attributes: &Attributes<'_>) -> Decision {
    decide(&context.snapshot.roles, &context.snapshot.role_bindings, user, attributes)
}

/// What the API server answered, where it was asked.
fn by_review(context: &Context<'_>, user: &User, asked: &Attributes<'_>) -> Option<Decision> {
    let reviews = context.snapshot.access_reviews.seen()?;
    let review = reviews.iter().find(|review| {
        review.user == user.name
            && review.verb == asked.verb
            && review.group == asked.group
            && review.resource == asked.resource
            && review.name == asked.name
            && review.namespace == asked.namespace
    })?;
    Some(if review.allowed { Decision::Allowed("SubjectAccessReview".to_owned()) } else { Decision::Denied })
}

/// Every needed permission with its answer and who gave it: the API server where it was asked, else the RBAC objects;
/// empty where metrics-server does not serve the API.
pub fn granted(context: &Context<'_>) -> Vec<(Permission, Decision, Source)> {
    let Some((user, needed)) = needs(context) else { return Vec::new() };
    let answers = needed.into_iter().map(|permission| {
        let asked = permission.attributes();
        match by_review(context, &user, &asked) {
            Some(decision) => (permission, decision, Source::SubjectAccessReview),
            None => (permission, by_objects(context, &user, &asked), Source::RbacObjects),
        }
    });
    answers.collect()
}

/// Whether every permission whose absence would be this cause is granted now, so that what a log tells of it is history.
pub fn granted_by_now(context: &Context<'_>, cause: Cause) -> bool {
    let mut answers = granted(context).into_iter().filter(|(permission, ..)| permission.cause() == cause).peekable();
    answers.peek().is_some() && answers.all(|(_, decision, _)| matches!(decision, Decision::Allowed(_)))
}

/// Whether what is seen to work proves that the permission is there, whoever grants it: other authorizers than RBAC may.
fn proven_by_success(context: &Context<'_>, permission: Permission) -> bool {
    let chain = &context.chain;
    let sampled = context.snapshot.top_nodes.seen().is_some_and(|retrieval| {
        matches!(&retrieval.outcome, retrieval::Outcome::Samples(samples) if samples.iter().any(|sample| !sample.unknown))
    });
    // From 0.5 on a pod is Ready only with samples in its storage.
    let stores = chain.has_ready_pod()
        && chain
            .container()
            .and_then(|container| metrics_server::version(&container.image))
            .is_some_and(|version| version >= Version::new(0, 5, 0));
    match permission {
        Permission::NodesMetrics | Permission::NodesStats => sampled || stores,
        // It reads nodes, pods and the ConfigMap before it serves.
        Permission::ListNodes | Permission::ListPods | Permission::AuthenticationConfigMap => chain.has_ready_pod(),
        // Whoever wrote a bundle may be in system:masters, whom it never asks about; the doctor is not, nor is the
        // controller of autoscalers.
        Permission::TokenReviews | Permission::SubjectAccessReviews => {
            sampled && context.snapshot.source == snapshot::Source::Cluster
                || context.snapshot.autoscalers.iter().any(HorizontalPodAutoscaler::is_served)
        }
    }
}

/// Whether kubelets refuse metrics-server while a role of its own was seen: they ask the API server, so what that role
/// lacks is what they miss, though not every binding was seen.
fn refused_by_kubelets(context: &Context<'_>, user: &User) -> bool {
    let snapshot = context.snapshot;
    let refused =
        |line: &Line| line.read.failed_scrapes().iter().any(|failed| failed.cause == Some(Cause::KubeletForbidden));
    has_node_role(&snapshot.roles, &snapshot.role_bindings, user)
        && snapshot.logs.iter().any(|log| log.lines().any(refused))
}

/// Every permission is there.
pub(super) fn evaluate(context: &Context<'_>) -> Result<Outcome, NotSeen> {
    let Some((namespace, name)) = account(context) else {
        context.chain.workload.clone().known()?;
        return Ok(Outcome::skipped("There is no workload that needs permissions."));
    };
    let answers = granted(context);
    if answers.is_empty() {
        return Ok(Outcome::skipped("metrics-server does not serve the API."));
    }
    let mut findings: Vec<Finding> = Vec::new();
    let mut unseen = None;
    let mut sources = BTreeSet::new();
    let refused = refused_by_kubelets(context, &User::service_account(namespace, name));
    for (permission, decision, source) in answers {
        let asked = permission.attributes();
        let by = match source {
            Source::SubjectAccessReview => "by SubjectAccessReview",
            Source::RbacObjects => "by the RBAC objects",
        };
        sources.insert(by);
        let told = format!("{by} system:serviceaccount:{namespace}:{name} may not {} {}", asked.verb, asked.resource);
        match decision {
            Decision::Allowed(_) => {}
            Decision::NotSeen(_) if refused && permission.cause() == Cause::KubeletPermissionMissing => {
                findings.push(
                    Finding::outage(
                        Cause::KubeletPermissionMissing,
                        object("ServiceAccount", namespace, name),
                        format!(
                            "{} ({namespace}/{name})",
                            Cause::KubeletPermissionMissing.entry().title.trim_end_matches('.')
                        ),
                    )
                    .evidence(format!("the role that is bound to it lacks {} {}", asked.verb, asked.resource))
                    .evidence("kubelets answer 403 Forbidden"),
                );
            }
            Decision::NotSeen(reason) => unseen = unseen.or(Some(reason)),
            Decision::Denied if proven_by_success(context, permission) => {}
            Decision::Denied => match findings.iter_mut().find(|finding| finding.cause == permission.cause()) {
                Some(finding) => finding.evidence.push(told.into()),
                None => findings.push(
                    Finding::outage(
                        permission.cause(),
                        object("ServiceAccount", namespace, name),
                        format!("{} ({namespace}/{name})", permission.cause().entry().title.trim_end_matches('.')),
                    )
                    .evidence(told),
                ),
            },
        }
    }
    match (findings.is_empty(), unseen) {
        (false, _) => Ok(Outcome::fail_all(findings)),
        (true, Some(reason)) => Err(reason),
        (true, None) => Ok(Outcome::pass(format!("ServiceAccount {namespace}/{name} has every permission."))
            .evidence(sources.into_iter().collect::<Vec<_>>().join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        check::Status,
        guide::Step,
        snapshot::{AccessReview, Collection, Observed, RoleBinding, Snapshot},
        testing::{healthy, run},
    };

    /// Without one binding, and before anything was seen to work.
    fn without(binding: &str) -> Snapshot {
        let mut snapshot = healthy();
        let bindings: Vec<RoleBinding> =
            snapshot.role_bindings.iter().filter(|known| known.metadata.name != binding).cloned().collect();
        snapshot.role_bindings = Collection::complete(bindings);
        let mut pod =
            snapshot.pods.get("kube-system", "metrics-server-5d8f-abcde").seen().map(|pod| (*pod).clone()).expect("it");
        pod.status.conditions.clear();
        snapshot.pods = Collection::complete([pod]);
        snapshot.top_nodes = Observed::default();
        snapshot.autoscalers = Collection::complete([]);
        snapshot
    }

    #[test]
    fn each_missing_binding_names_its_cause() {
        for (binding, cause) in [
            ("metrics-server:system:auth-delegator", Cause::AuthDelegatorMissing),
            ("metrics-server-auth-reader", Cause::AuthReaderMissing),
        ] {
            let causes: Vec<Cause> = run(Step::Forbidden, "permissions", &without(binding))
                .findings
                .iter()
                .map(|finding| finding.cause)
                .collect();
            assert_eq!(causes, [cause], "{binding}");
        }
        let causes: Vec<Cause> = run(Step::Forbidden, "permissions", &without("system:metrics-server"))
            .findings
            .iter()
            .map(|finding| finding.cause)
            .collect();
        assert_eq!(causes, [Cause::KubeletPermissionMissing, Cause::ListPermissionMissing]);
    }

    #[test]
    fn what_works_is_not_blamed_and_what_was_not_seen_is_unknown() {
        assert_eq!(run(Step::Forbidden, "permissions", &healthy()).status, Status::Pass);
        let mut snapshot = without("system:metrics-server");
        snapshot.role_bindings = Collection::unseen(NotSeen::NotInBundle("clusterrolebindings"));
        assert_eq!(run(Step::Forbidden, "permissions", &snapshot).status, Status::Unknown);
        let snapshot = Snapshot { role_bindings: Collection::complete([]), ..healthy() };
        assert_eq!(
            run(Step::Forbidden, "permissions", &snapshot).status,
            Status::Pass,
            "samples prove the permissions"
        );
    }

    #[test]
    fn an_autoscaler_with_a_value_or_a_stored_sample_proves_the_permissions() {
        let causes = |snapshot: &Snapshot| -> Vec<Cause> {
            run(Step::Forbidden, "permissions", snapshot).findings.iter().map(|finding| finding.cause).collect()
        };
        let mut snapshot = without("metrics-server:system:auth-delegator");
        snapshot.autoscalers = healthy().autoscalers;
        assert_eq!(causes(&snapshot), []);
        let mut snapshot = without("system:metrics-server");
        snapshot.pods = healthy().pods;
        assert_eq!(causes(&snapshot), []);
    }

    #[test]
    fn the_api_servers_answer_counts_more_than_the_objects() {
        let mut snapshot = without("metrics-server:system:auth-delegator");
        let review = |allowed| AccessReview {
            user: "system:serviceaccount:kube-system:metrics-server".to_owned(),
            verb: "create".to_owned(),
            group: "authorization.k8s.io".to_owned(),
            resource: "subjectaccessreviews".to_owned(),
            name: String::new(),
            namespace: String::new(),
            allowed,
        };
        let token_review = |allowed| AccessReview {
            group: "authentication.k8s.io".to_owned(),
            resource: "tokenreviews".to_owned(),
            ..review(allowed)
        };
        snapshot.access_reviews = Observed::Present(vec![review(true), token_review(true)]);
        let outcome = run(Step::Forbidden, "permissions", &snapshot);
        assert_eq!(outcome.status, Status::Pass, "a webhook may allow what no binding does: {outcome:?}");
        assert!(outcome.evidence.contains(&"by SubjectAccessReview, by the RBAC objects".into()), "{outcome:?}");
        snapshot.access_reviews = Observed::Present(vec![review(false)]);
        let outcome = run(Step::Forbidden, "permissions", &snapshot);
        assert_eq!(outcome.findings[0].cause, Cause::AuthDelegatorMissing);
        assert!(outcome.evidence.iter().any(|line| line.line.starts_with("by SubjectAccessReview")), "{outcome:?}");
    }

    #[test]
    fn version_0_5_needs_nodes_stats() {
        assert!(Permission::needed(Some(Version::new(0, 5, 2))).contains(&Permission::NodesStats));
        assert!(Permission::needed(Some(Version::new(0, 6, 0))).contains(&Permission::NodesMetrics));
    }
    #[test]
    fn a_refusing_kubelet_and_the_role_that_is_bound_are_proof_enough() {
        let mut snapshot = without("none");
        let role: crate::snapshot::Role = crate::testing::object(
            serde_json::json!({"metadata": {"name": "system:metrics-server"},
            "rules": [{"apiGroups": [""], "resources": ["nodes/stats", "nodes", "pods"], "verbs": ["get", "list", "watch"]}]}),
        );
        let binding = snapshot.role_bindings.get("", "system:metrics-server").seen().map(|binding| (*binding).clone());
        snapshot.roles = Collection::unseen(NotSeen::NotInBundle("clusterroles"));
        snapshot.roles.insert(role);
        snapshot.role_bindings = Collection::unseen(NotSeen::NotInBundle("clusterrolebindings"));
        snapshot.role_bindings.insert(binding.expect("it"));
        assert_eq!(run(Step::Forbidden, "permissions", &snapshot).status, Status::Unknown);
        let mut log = crate::snapshot::ContainerLog::new("kube-system", "metrics-server-5d8f-abcde", "metrics-server");
        log.push(r#"E0101 11:59:00.000000       1 scraper.go:140] "Failed to scrape node" err="request failed, status: \"403 Forbidden\"" node="node-1""#);
        snapshot.logs = Collection::complete([log]);
        assert_eq!(run(Step::Forbidden, "permissions", &snapshot).findings[0].cause, Cause::KubeletPermissionMissing);
    }
}
