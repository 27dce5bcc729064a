//! What metrics-server's own `ServiceAccount` must be allowed, by version
//! (kubernetes-sigs/metrics-server `manifests/base/rbac.yaml`, 0.3.6 to 0.9.0), and who answers that it is.

use jiff::Timestamp;

use super::{
    Facts,
    metrics_server::{self, Owner},
    rbac::{Attributes, Decision, User, decide, has_node_role},
    windows,
};
use crate::{
    catalogue::Cause,
    snapshot::{
        HorizontalPodAutoscaler, Named, Pod, RoleBinding,
        log::{ContainerLog, Line},
        retrieval,
        version::Version,
    },
    wording::api_error::ErrorClass,
};

/// The namespace and name of the `ServiceAccount` that metrics-server runs as.
pub fn account<'s>(facts: &Facts<'s>) -> Option<(&'s str, &'s str)> {
    let chain = &facts.chain;
    let namespace = chain
        .pods()
        .first()
        .map(|pod| pod.namespace())
        .or_else(|| chain.workload.seen().map(|workload| workload.namespace()))?;
    Some((namespace, chain.pod_spec()?.effective_service_account_name()))
}

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

    /// What is asked for.
    pub fn attributes(self) -> Attributes<'static> {
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

    /// What its absence is.
    pub const fn cause(self) -> Cause {
        match self {
            Self::NodesMetrics | Self::NodesStats => Cause::KubeletPermissionMissing,
            Self::ListNodes | Self::ListPods => Cause::ListPermissionMissing,
            Self::TokenReviews | Self::SubjectAccessReviews => Cause::AuthDelegatorMissing,
            Self::AuthenticationConfigMap => Cause::AuthReaderMissing,
        }
    }

    /// What a version needs; without a version neither of the two kubelet permissions is asked for.
    pub(crate) fn needed(version: Option<Version>) -> Vec<Self> {
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
pub fn questions(facts: &Facts<'_>) -> Option<(User, Vec<(Attributes<'static>, Decision)>)> {
    let (user, needed) = needs(facts)?;
    let decided = needed.into_iter().map(|permission| {
        let attributes = permission.attributes();
        (attributes, by_objects(facts, &user, &attributes))
    });
    let decided = decided.collect();
    Some((user, decided))
}

fn needs(facts: &Facts<'_>) -> Option<(User, Vec<Permission>)> {
    let (namespace, name) = account(facts).filter(|_| facts.chain.owner() == Some(Owner::MetricsServer))?;
    let version = facts.chain.container().and_then(|container| metrics_server::version(&container.image));
    Some((User::service_account(namespace, name), Permission::needed(version)))
}

fn by_objects(facts: &Facts<'_>, user: &User, attributes: &Attributes<'_>) -> Decision {
    decide(&facts.snapshot.roles, &facts.snapshot.role_bindings, user, attributes)
}

/// What the API server answered, where it was asked.
fn by_review(facts: &Facts<'_>, user: &User, asked: &Attributes<'_>) -> Option<Decision> {
    let reviews = facts.snapshot.access_reviews.seen()?;
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
pub fn granted(facts: &Facts<'_>) -> Vec<(Permission, Decision, Source)> {
    let Some((user, needed)) = needs(facts) else { return Vec::new() };
    let answers = needed.into_iter().map(|permission| {
        let asked = permission.attributes();
        match by_review(facts, &user, &asked) {
            Some(decision) => (permission, decision, Source::SubjectAccessReview),
            None => (permission, by_objects(facts, &user, &asked), Source::RbacObjects),
        }
    });
    answers.collect()
}

/// Whether every permission whose absence would be this cause is granted now, so that what a log tells of it is history.
pub fn granted_by_now(facts: &Facts<'_>, cause: Cause) -> bool {
    let mut answers = granted(facts).into_iter().filter(|(permission, ..)| permission.cause() == cause).peekable();
    answers.peek().is_some()
        && answers.all(|(_, decision, source)| match decision {
            Decision::Allowed(binding) => {
                source == Source::SubjectAccessReview || denied(facts, cause, &binding).is_none()
            }
            _ => false,
        })
}

/// Until when a denial that the RBAC objects do not explain may be that of an API server that has just started: metrics-server
/// was refused a moment ago, and its containers have not ended twice for it.
pub fn may_be_refused_for_now(facts: &Facts<'_>, cause: Cause, written: Option<Timestamp>) -> Option<Timestamp> {
    let until = windows::after(written?, windows::API_SERVER_START).filter(|until| *until > facts.now())?;
    let restarts = |pod: &&Pod| pod.status.container_statuses.iter().any(|status| status.restart_count > 1);
    if facts.chain.pods().iter().any(restarts) {
        return None;
    }
    let (user, needed) = needs(facts)?;
    let mut needed = needed.into_iter().filter(|permission| permission.cause() == cause).peekable();
    needed.peek()?;
    let allowed = |permission: Permission| match by_objects(facts, &user, &permission.attributes()) {
        Decision::Allowed(_) => true,
        Decision::Denied => false,
        // An API server that has just started refuses the doctor as well; on a live cluster the next look tells.
        Decision::NotSeen(_) => !facts.is_bundle(),
    };
    needed.all(allowed).then_some(until)
}

/// The newest line of metrics-server's log that tells of a denial which the objects would not explain: it was written a
/// while after the binding that grants the right was made, so another authorizer or a changed role denies it. A line counts
/// more than what the objects say.
pub fn denied<'s>(facts: &Facts<'s>, cause: Cause, binding: &str) -> Option<(&'s str, Timestamp)> {
    let bound = facts.snapshot.role_bindings.iter().filter(|known| known.name() == binding);
    let bound = bound.filter_map(|binding| binding.metadata.creation_timestamp).max()?;
    let from = windows::after(bound, windows::CLOCK_SKEW)?;
    let lines = facts.snapshot.logs.iter().flat_map(ContainerLog::lines);
    lines
        .filter(|line| line.read.startup_failure() == Some(cause))
        .filter_map(|line| Some((line.text.as_str(), line.read.at(facts.now())?)))
        .filter(|(_, at)| *at > from && facts.age(*at) < windows::RECENT_LOG)
        .filter(|(_, at)| may_be_refused_for_now(facts, cause, Some(*at)).is_none())
        .max_by_key(|(_, at)| *at)
}

/// Whether what is seen to work proves that the permission is there, whoever grants it: other authorizers than RBAC may.
pub fn proven_by_success(facts: &Facts<'_>, permission: Permission) -> bool {
    let chain = &facts.chain;
    let sampled = facts.snapshot.top_nodes.seen().is_some_and(|retrieval| {
        matches!(&retrieval.outcome, retrieval::Outcome::Samples(samples) if samples.iter().any(|sample| !sample.unknown))
    });
    let stores = chain.has_ready_pod() && chain.container().is_some_and(metrics_server::is_ready_with_samples);
    match permission {
        Permission::NodesMetrics | Permission::NodesStats => sampled || stores,
        // It reads nodes, pods and the ConfigMap before it serves.
        Permission::ListNodes | Permission::ListPods | Permission::AuthenticationConfigMap => chain.has_ready_pod(),
        // Whoever wrote a bundle may be in system:masters, whom it never asks about; the doctor is not, nor is the
        // controller of autoscalers.
        Permission::TokenReviews | Permission::SubjectAccessReviews => {
            sampled && facts.snapshot.source == crate::snapshot::Source::Cluster
                || facts.snapshot.autoscalers.iter().any(HorizontalPodAutoscaler::is_served)
        }
    }
}

/// Whether kubelets refuse metrics-server while a role of its own was seen: they ask the API server, so what that role
/// lacks is what they miss, though not every binding was seen.
pub fn refused_by_kubelets(facts: &Facts<'_>, user: &User) -> bool {
    has_node_role(&facts.snapshot.roles, &facts.snapshot.role_bindings, user) && kubelets_refuse(facts)
}

/// A binding that is metrics-server's own and grants its account nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misbound<'s> {
    /// The binding.
    pub binding: &'s RoleBinding,
    /// What its account lacks for it.
    pub causes: Vec<Cause>,
    /// The accounts that it names instead, as namespace and name; empty where it stands in the wrong namespace.
    pub accounts: Vec<(&'s str, &'s str)>,
}

/// Bindings to the roles that metrics-server needs, made for it by name, none of which names the pods' account: positive
/// evidence, though not every binding was seen.
pub fn misbound<'s>(facts: &Facts<'s>) -> Vec<Misbound<'s>> {
    let Some((user, _)) = needs(facts) else { return Vec::new() };
    // What is no name of an account was misread, and proves nothing.
    if !account(facts).is_some_and(|(_, name)| name.starts_with(|first: char| first.is_ascii_alphanumeric())) {
        return Vec::new();
    }
    let bindings = || facts.snapshot.role_bindings.iter();
    let of_metrics_server = |binding: &RoleBinding| {
        let named = |text: &str| text.contains("metrics-server");
        named(binding.name()) || binding.subjects.iter().any(|subject| named(&subject.name))
    };
    let mut found = Vec::new();
    for binding in bindings().filter(|binding| of_metrics_server(binding)) {
        let causes = lacking(binding);
        if causes.is_empty() {
            continue;
        }
        let right_place = match causes.as_slice() {
            [Cause::AuthReaderMissing] => ["", "kube-system"].contains(&binding.namespace()),
            _ => binding.namespace().is_empty(),
        };
        if right_place && super::rbac::names_user(binding, &user) {
            continue;
        }
        let others = bindings().any(|other| {
            super::rbac::names_user(other, &user)
                && other.role_ref.name == binding.role_ref.name
                && other.namespace() == if causes == [Cause::AuthReaderMissing] { "kube-system" } else { "" }
        });
        if others {
            continue;
        }
        let accounts = if right_place {
            let accounts = binding.subjects.iter().filter(|subject| subject.kind == "ServiceAccount");
            accounts.map(|subject| (subject.namespace.as_str(), subject.name.as_str())).collect()
        } else {
            Vec::new()
        };
        if !right_place || !accounts.is_empty() {
            found.push(Misbound { binding, causes, accounts });
        }
    }
    found
}

/// What an account lacks for which the binding was made.
fn lacking(binding: &RoleBinding) -> Vec<Cause> {
    match binding.role_ref.name.as_str() {
        "system:auth-delegator" => vec![Cause::AuthDelegatorMissing],
        "extension-apiserver-authentication-reader" => vec![Cause::AuthReaderMissing],
        // The release's own role: system:metrics-server, or the chart's by the name of the release.
        name if name.contains("metrics-server") && !name.contains("aggregated") && !name.contains("auth") => {
            vec![Cause::ListPermissionMissing, Cause::KubeletPermissionMissing]
        }
        _ => Vec::new(),
    }
}

impl Misbound<'_> {
    /// Whether what is seen to fail shows that the binding is the pods' only one: they crash, a call got 500, kubelets
    /// refuse, or the account that it names does not exist.
    pub fn is_certain(&self, facts: &Facts<'_>) -> bool {
        let snapshot = facts.snapshot;
        let gone = |&(namespace, name): &(&str, &str)| snapshot.service_accounts.get(namespace, name).is_absent();
        let failed_500 = [&snapshot.top_nodes, &snapshot.top_pods].into_iter().any(|call| {
            matches!(
                call.seen().map(|call| &call.outcome),
                Some(retrieval::Outcome::Failed { class: ErrorClass::InternalError, .. })
            )
        });
        !self.accounts.is_empty() && self.accounts.iter().all(gone)
            || self.causes.contains(&Cause::AuthDelegatorMissing) && failed_500
            || self.causes.contains(&Cause::KubeletPermissionMissing) && kubelets_refuse(facts)
            || !self.causes.contains(&Cause::AuthDelegatorMissing) && crashes(facts)
    }
}

/// Whether metrics-server's pods end again and again and none serves.
fn crashes(facts: &Facts<'_>) -> bool {
    let restarts =
        |pod: &&Pod| !pod.is_ready() && pod.status.container_statuses.iter().any(|status| status.restart_count > 1);
    !facts.chain.has_ready_pod() && facts.chain.pods().iter().any(restarts)
}

fn kubelets_refuse(facts: &Facts<'_>) -> bool {
    let refused =
        |line: &Line| line.read.failed_scrapes().iter().any(|failed| failed.cause == Some(Cause::KubeletForbidden));
    facts.snapshot.logs.iter().any(|log| log.lines().any(refused))
}
