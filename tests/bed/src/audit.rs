//! The API server's audit log: who has asked for what, and what let it.

use std::path::Path;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde_json::Value;

use crate::isolation::STATE;

/// Whose requests are kept: the doctor as a Deployment, and as a sidecar with metrics-server's account.
const ACCOUNTS: [&str; 2] = [
    "system:serviceaccount:metrics-server-doctor:metrics-server-doctor",
    "system:serviceaccount:kube-system:metrics-server",
];

/// The policy: all requests of the two accounts, without bodies, once they are answered or a watch has begun.
pub(crate) fn policy() -> String {
    let users = ACCOUNTS.map(|account| format!("{account:?}")).join(", ");
    format!(
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\n\
         rules: [{{level: Metadata, users: [{users}]}}, {{level: None}}]\n"
    )
}

/// A request as the API server saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// When it came.
    pub at: Timestamp,
    /// `list`, `watch` and so on.
    pub verb: String,
    /// The API group, empty for the core group.
    pub group: String,
    /// The plural, with the subresource: `pods/log`; empty for what is no resource.
    pub resource: String,
    /// Empty for the whole cluster.
    pub namespace: String,
    /// Empty for all objects.
    pub name: String,
    /// The path with its query.
    pub uri: String,
    /// Status code of the answer.
    pub code: u64,
    /// Whether the authorizer let it.
    pub is_allowed: bool,
    /// What let it, such as `RBAC: allowed by ClusterRoleBinding "…" of ClusterRole "…" to ServiceAccount "…"`.
    pub reason: String,
}

impl Request {
    fn of(event: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let object = &event["objectRef"];
        let resource = match (object["resource"].as_str(), object["subresource"].as_str()) {
            (Some(resource), Some(subresource)) => format!("{resource}/{subresource}"),
            (resource, _) => resource.unwrap_or_default().to_owned(),
        };
        Some(Self {
            at: event["requestReceivedTimestamp"].as_str()?.parse().ok()?,
            verb: text(&event["verb"]),
            group: text(&object["apiGroup"]),
            resource,
            namespace: text(&object["namespace"]),
            name: text(&object["name"]),
            uri: text(&event["requestURI"]),
            code: event["responseStatus"]["code"].as_u64().unwrap_or_default(),
            is_allowed: event["annotations"]["authorization.k8s.io/decision"] == "allow",
            reason: text(&event["annotations"]["authorization.k8s.io/reason"]),
        })
    }

    /// Whether the API server, or a server behind it, refused it for want of rights.
    pub fn is_refused(&self) -> bool {
        !self.is_allowed || self.code == 401 || self.code == 403
    }
}

/// All requests of a `ServiceAccount` so far that were answered, or of which a watch has begun, in the order of the log.
pub fn requests_of(namespace: &str, account: &str) -> Result<Vec<Request>> {
    let path = Path::new(STATE).join("audit.log");
    let log = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let user = format!("system:serviceaccount:{namespace}:{account}");
    // The last line may be half written.
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(events
        .filter(|event| event["user"]["username"] == user.as_str())
        .filter_map(|event| Request::of(&event))
        .collect())
}

/// One permission of a shipped role: a verb on a resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// `ClusterRole` or `Role`, with its name.
    pub role: String,
    /// The role's namespace; `None` for a `ClusterRole`.
    pub namespace: Option<String>,
    /// The API group.
    pub group: String,
    /// The plural, with the subresource.
    pub resource: String,
    /// The only objects that may be named; any where empty.
    pub names: Vec<String>,
    /// The verb.
    pub verb: String,
}

impl Right {
    /// Every permission of a `ClusterRole` or `Role`.
    pub fn all_of(role: &Value) -> Vec<Self> {
        let words = |value: &Value| -> Vec<String> {
            let words = value.as_array().map_or(&[][..], Vec::as_slice);
            words.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect()
        };
        let kind = role["kind"].as_str().unwrap_or_default();
        let name = role["metadata"]["name"].as_str().unwrap_or_default();
        let mut rights = Vec::new();
        for rule in role["rules"].as_array().into_iter().flatten() {
            for group in words(&rule["apiGroups"]) {
                for resource in words(&rule["resources"]) {
                    for verb in words(&rule["verbs"]) {
                        rights.push(Self {
                            role: format!("{kind} {name:?}"),
                            namespace: role["metadata"]["namespace"].as_str().map(str::to_owned),
                            group: group.clone(),
                            resource: resource.clone(),
                            names: words(&rule["resourceNames"]),
                            verb,
                        });
                    }
                }
            }
        }
        rights
    }

    /// Whether it was this permission that let the request.
    pub fn let_in(&self, request: &Request) -> bool {
        request.is_allowed && request.reason.contains(&self.role) && self.covers(request)
    }

    /// Whether this permission is what the request asks for, however it was answered.
    pub fn covers(&self, request: &Request) -> bool {
        request.group == self.group
            && request.resource == self.resource
            && request.verb == self.verb
            && self.namespace.as_ref().is_none_or(|namespace| *namespace == request.namespace)
            && (self.names.is_empty() || self.names.contains(&request.name))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event() -> Value {
        json!({
            "stage": "ResponseComplete", "requestURI": "/api/v1/namespaces/kube-system/pods/m/log?follow=true", "verb": "get",
            "user": { "username": ACCOUNTS[0] },
            "objectRef": { "resource": "pods", "namespace": "kube-system", "name": "m", "apiVersion": "v1", "subresource": "log" },
            "responseStatus": { "metadata": {}, "code": 200 },
            "requestReceivedTimestamp": "2026-01-02T03:04:05.678901Z",
            "annotations": {
                "authorization.k8s.io/decision": "allow",
                "authorization.k8s.io/reason": "RBAC: allowed by RoleBinding \"d/kube-system\" of Role \"d\" to ServiceAccount \"a/b\"",
            },
        })
    }

    fn right() -> Right {
        let role = json!({
            "kind": "Role", "metadata": { "name": "d", "namespace": "kube-system" },
            "rules": [{ "apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"] }],
        });
        let mut rights = Right::all_of(&role);
        assert_eq!(rights.len(), 1);
        rights.remove(0)
    }

    #[test]
    fn a_request_belongs_to_the_permission_that_let_it() {
        let request = Request::of(&event()).expect("a request");
        assert!(!request.is_refused() && right().let_in(&request), "{request:?}");
        for changed in [
            Right { verb: "list".to_owned(), ..right() },
            Right { resource: "pods".to_owned(), ..right() },
            Right { role: "ClusterRole \"d\"".to_owned(), ..right() },
            Right { namespace: Some("shop".to_owned()), ..right() },
            Right { names: vec!["other".to_owned()], ..right() },
        ] {
            assert!(!changed.let_in(&request), "{changed:?}");
        }
    }

    #[test]
    fn a_refusal_is_one_whoever_refuses() {
        let mut refused = event();
        refused["annotations"]["authorization.k8s.io/decision"] = "forbid".into();
        assert!(Request::of(&refused).expect("a request").is_refused());
        let mut behind = event();
        behind["responseStatus"]["code"] = 403.into();
        assert!(Request::of(&behind).expect("a request").is_refused());
    }
}
