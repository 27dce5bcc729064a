//! Evaluates RBAC objects as kube-apiserver does (kubernetes/kubernetes `pkg/registry/rbac/validation/rule.go` and
//! `pkg/apis/rbac/v1/evaluation_helpers.go`), with a third answer for what was not seen in full.

use crate::snapshot::{Collection, Named, NotSeen, Role, RoleBinding, rbac::PolicyRule};

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// For a `ServiceAccount` `system:serviceaccount:NAMESPACE:NAME`.
    pub name: String,
    /// Groups.
    pub groups: Vec<String>,
}

impl User {
    /// A `ServiceAccount` with the groups that every token of it carries.
    pub fn service_account(namespace: &str, name: &str) -> Self {
        Self {
            name: format!("system:serviceaccount:{namespace}:{name}"),
            groups: vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated".to_owned(),
            ],
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes<'a> {
    /// The verb.
    pub verb: &'a str,
    /// The API group, empty for the core group.
    pub group: &'a str,
    /// The resource, with its subresource as `nodes/metrics`.
    pub resource: &'a str,
    /// The object's name, empty for all.
    pub name: &'a str,
    /// The namespace, empty for the whole cluster.
    pub namespace: &'a str,
    /// A path that is no resource, such as `/metrics`; then group, resource, name and namespace are empty.
    pub path: &'a str,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// This binding grants it.
    Allowed(String),
    /// No binding does.
    Denied,
    /// A role or binding that could grant it was not seen.
    NotSeen(NotSeen),
}

fn rule_allows(rule: &PolicyRule, asked: &Attributes<'_>) -> bool {
    let has = |list: &[String], wanted: &str| list.iter().any(|entry| entry == "*" || entry == wanted);
    if !asked.path.is_empty() {
        let covers = |entry: &String| match entry.strip_suffix('*') {
            Some(prefix) => asked.path.starts_with(prefix),
            None => entry == asked.path,
        };
        return has(&rule.verbs, asked.verb) && rule.non_resource_urls.iter().any(covers);
    }
    let subresource = asked.resource.split_once('/').map(|(_, subresource)| format!("*/{subresource}"));
    let resource = has(&rule.resources, asked.resource)
        || subresource.is_some_and(|any_parent| rule.resources.contains(&any_parent));
    let name = rule.resource_names.is_empty() || rule.resource_names.iter().any(|name| name == asked.name);
    has(&rule.verbs, asked.verb) && has(&rule.api_groups, asked.group) && resource && name
}

/// Whether a binding names the user, by itself or by a group.
pub(super) fn names_user(binding: &RoleBinding, user: &User) -> bool {
    binding.subjects.iter().any(|subject| match subject.kind.as_str() {
        "User" => subject.name == user.name,
        "Group" => user.groups.contains(&subject.name),
        "ServiceAccount" => {
            let namespace = if subject.namespace.is_empty() { binding.namespace() } else { subject.namespace.as_str() };
            !namespace.is_empty() && user.name == format!("system:serviceaccount:{namespace}:{}", subject.name)
        }
        _ => false,
    })
}

/// Whether `user` may do what is asked for.
pub fn decide(
    roles: &Collection<Role>,
    bindings: &Collection<RoleBinding>,
    user: &User,
    asked: &Attributes<'_>,
) -> Decision {
    let mut gap = bindings.in_namespace("").gap;
    if !asked.namespace.is_empty() {
        gap = gap.or(bindings.in_namespace(asked.namespace).gap);
    }
    let applies = |binding: &&RoleBinding| binding.namespace().is_empty() || binding.namespace() == asked.namespace;
    for binding in bindings.iter().filter(applies).filter(|binding| names_user(binding, user)) {
        let namespace = if binding.role_ref.kind == "ClusterRole" { "" } else { binding.namespace() };
        match roles.get(namespace, &binding.role_ref.name).known() {
            Ok(Some(role)) if role.rules.iter().any(|rule| rule_allows(rule, asked)) => {
                return Decision::Allowed(binding.name().to_owned());
            }
            // A binding to a role that does not exist grants nothing.
            Ok(_) => {}
            Err(reason) => match well_known(&binding.role_ref.name, asked) {
                Some(true) => return Decision::Allowed(binding.name().to_owned()),
                Some(false) => {}
                None => gap = gap.or(Some(reason)),
            },
        }
    }
    gap.map_or(Decision::Denied, Decision::NotSeen)
}

/// Whether a role that speaks of nodes was seen to be bound to `user`: then what it lacks is lacking, though other
/// bindings were not seen.
pub fn has_node_role(roles: &Collection<Role>, bindings: &Collection<RoleBinding>, user: &User) -> bool {
    let of_nodes = |role: &Role| {
        role.rules.iter().flat_map(|rule| &rule.resources).any(|resource| resource.split('/').next() == Some("nodes"))
    };
    bindings
        .iter()
        .filter(|binding| binding.namespace().is_empty() && names_user(binding, user))
        .any(|binding| roles.get("", &binding.role_ref.name).seen().is_some_and(|role| of_nodes(role)))
}

/// What roles that every cluster has grant, for bundles that leave them out
/// (kubernetes/kubernetes `plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go`).
fn well_known(role: &str, asked: &Attributes<'_>) -> Option<bool> {
    match role {
        "cluster-admin" => Some(true),
        "system:auth-delegator" => {
            Some(asked.verb == "create" && matches!(asked.resource, "tokenreviews" | "subjectaccessreviews"))
        }
        "extension-apiserver-authentication-reader" => Some(
            asked.resource == "configmaps"
                && asked.name == "extension-apiserver-authentication"
                && matches!(asked.verb, "get" | "list" | "watch"),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::object;

    fn allows(rule: Value, asked: Attributes<'_>) -> bool {
        rule_allows(&object::<PolicyRule>(rule), &asked)
    }

    #[test]
    fn rules_match_as_the_authorizer_matches_them() {
        let metrics = Attributes { verb: "get", resource: "nodes/metrics", ..Attributes::default() };
        let nodes = Attributes { verb: "list", resource: "nodes", ..Attributes::default() };
        let named = Attributes {
            verb: "get",
            resource: "configmaps",
            name: "a",
            namespace: "kube-system",
            ..Attributes::default()
        };
        for (rule, asked, expected) in [
            (json!({"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]}), metrics, true),
            (json!({"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}), metrics, false),
            (json!({"apiGroups": [""], "resources": ["*/metrics"], "verbs": ["get"]}), metrics, true),
            (json!({"apiGroups": [""], "resources": ["nodes/*"], "verbs": ["get"]}), metrics, false),
            (json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}), metrics, true),
            (json!({"apiGroups": ["apps"], "resources": ["nodes"], "verbs": ["list"]}), nodes, false),
            (json!({"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}), nodes, false),
            (
                json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"], "resourceNames": ["a"]}),
                named,
                true,
            ),
            (
                json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"], "resourceNames": ["b"]}),
                named,
                false,
            ),
            (
                json!({"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"], "resourceNames": ["a"]}),
                nodes,
                false,
            ),
        ] {
            assert_eq!(allows(rule.clone(), asked), expected, "{rule} {asked:?}");
        }
    }

    #[test]
    fn bindings_apply_where_they_stand_and_to_whom_they_name() {
        let role = |namespace: &str| {
            object::<Role>(json!({"metadata": {"namespace": namespace, "name": "reader"},
            "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]}))
        };
        let binding = |namespace: &str, kind: &str, subject: Value| {
            object::<RoleBinding>(json!({
            "metadata": {"namespace": namespace, "name": "b"}, "roleRef": {"kind": kind, "name": "reader"}, "subjects": [subject]}))
        };
        let account = json!({"kind": "ServiceAccount", "name": "ms", "namespace": "metrics"});
        let user = User::service_account("metrics", "ms");
        let asked = Attributes {
            verb: "get",
            resource: "configmaps",
            name: "a",
            namespace: "kube-system",
            ..Attributes::default()
        };
        for (bindings, expected) in [
            (vec![binding("kube-system", "Role", account.clone())], true),
            (vec![binding("metrics", "Role", account.clone())], false),
            (vec![binding("", "ClusterRole", account.clone())], true),
            (
                vec![binding(
                    "kube-system",
                    "ClusterRole",
                    json!({"kind": "Group", "name": "system:serviceaccounts:metrics"}),
                )],
                true,
            ),
            (
                vec![binding(
                    "kube-system",
                    "Role",
                    json!({"kind": "ServiceAccount", "name": "ms", "namespace": "kube-system"}),
                )],
                false,
            ),
            (
                vec![binding(
                    "kube-system",
                    "Role",
                    json!({"kind": "User", "name": "system:serviceaccount:metrics:ms"}),
                )],
                true,
            ),
            (vec![], false),
        ] {
            let roles = Collection::complete([role("kube-system"), role("")]);
            let decision = decide(&roles, &Collection::complete(bindings.clone()), &user, &asked);
            assert_eq!(matches!(decision, Decision::Allowed(_)), expected, "{bindings:?}");
        }
        let unseen = decide(&Collection::complete([]), &Collection::unseen(NotSeen::NotSynced), &user, &asked);
        assert_eq!(unseen, Decision::NotSeen(NotSeen::NotSynced));
    }
}
