//! Does the aggregated reader role let view, edit and admin read both nodes and pods?

use crate::{
    catalogue::Cause,
    check::{Docket, Finding},
    facts::Facts,
    snapshot::{Named, NotSeen, ObjectReference, Role, retrieval},
    wording::api_error::{Detail, ErrorClass},
};

const GROUP: &str = "metrics.k8s.io";

pub(super) fn rule(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    let roles = facts.snapshot.roles.in_namespace("");
    let aggregated: Vec<&Role> = roles
        .objects
        .iter()
        .copied()
        .filter(|role| role.metadata.labels.contains_key("rbac.authorization.k8s.io/aggregate-to-view"))
        .filter(|role| role.rules.iter().any(|rule| rule.api_groups.iter().any(|group| group == GROUP || group == "*")))
        .collect();
    let Some(first) = aggregated.first() else {
        if let Some(gap) = roles.gap {
            return Err(gap);
        }
        docket.note("no ClusterRole with label rbac.authorization.k8s.io/aggregate-to-view for metrics.k8s.io");
        docket.exclude_rest("No aggregated reader role: only accounts with a role of their own read metrics.");
        return Ok(());
    };
    let lacking: Vec<(&str, &str)> = ["nodes", "pods"]
        .into_iter()
        .flat_map(|resource| ["get", "list"].map(|verb| (verb, resource)))
        .filter(|(verb, resource)| !aggregated.iter().any(|role| grants(role, verb, resource)))
        .collect();
    if lacking.is_empty() {
        // Whoever is refused may have none of the three roles.
        if facts.failed_calls().iter().any(|call| call.refusal().is_some_and(|refusal| refusal.group == GROUP)) {
            docket.note(format!("ClusterRole {} adds metrics to view, edit and admin.", first.name()));
            docket.say("The reader role is complete; whether whoever is refused has view, edit or admin was not seen.");
            return Err(NotSeen::NotLooked);
        }
        docket.exclude_rest(format!("ClusterRole {} adds metrics to view, edit and admin.", first.name()));
        return Ok(());
    }
    let lacks: Vec<String> = lacking.iter().map(|(verb, resource)| format!("{verb} {resource}")).collect();
    let lacks = lacks.join(", ");
    let told = format!("ClusterRole {}: rules for {GROUP} lack {lacks}", first.name());
    for (resource, call) in [("nodes", &facts.snapshot.top_nodes), ("pods", &facts.snapshot.top_pods)] {
        let Some(retrieval::Outcome::Failed { class: ErrorClass::Forbidden, text }) =
            call.seen().map(|call| &call.outcome)
        else {
            continue;
        };
        let of_metrics = match Detail::of(ErrorClass::Forbidden, text) {
            Detail::Forbidden(forbidden) => forbidden.group == GROUP && forbidden.resource == resource,
            _ => false,
        };
        if of_metrics && lacking.iter().any(|(_, lacking)| *lacking == resource) {
            let object = ObjectReference::new("ClusterRole", "", first.name());
            let summary = format!(
                "Callers with view, edit or admin are not allowed to read {resource} metrics: ClusterRole {} lacks {lacks}.",
                first.name()
            );
            docket.confirm(Finding::partial(Cause::CallerForbidden, object, summary).evidence(told).advice(format!(
                "Update ClusterRole {} to that of the release (early releases had pods alone): it must grant get, list and watch on nodes and pods of {GROUP}.",
                first.name()
            )));
            return Ok(());
        }
    }
    docket.note(told);
    docket
        .exclude_rest(format!("ClusterRole {} adds metrics to view, edit and admin, save for {lacks}.", first.name()));
    Ok(())
}

fn grants(role: &Role, verb: &str, resource: &str) -> bool {
    let has = |list: &[String], wanted: &str| list.iter().any(|entry| entry == "*" || entry == wanted);
    role.rules.iter().any(|rule| {
        has(&rule.api_groups, GROUP)
            && has(&rule.resources, resource)
            && has(&rule.verbs, verb)
            && rule.resource_names.is_empty()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        check::Status,
        guide::Step,
        snapshot::{Collection, Observed, Retrieval, Snapshot},
        testing::{healthy, object, run},
    };

    fn with(resources: &[&str], top: Option<&str>) -> Snapshot {
        let role: Role = object(json!({
            "metadata": {"name": "system:aggregated-metrics-reader", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
            "rules": [{"apiGroups": ["metrics.k8s.io"], "resources": resources, "verbs": ["get", "list"]}]}));
        let mut snapshot = Snapshot { roles: Collection::complete([role]), ..healthy() };
        if let Some(text) = top {
            let outcome = retrieval::Outcome::Failed { class: ErrorClass::Forbidden, text: text.to_owned() };
            snapshot.top_nodes = Observed::Present(Retrieval { outcome, latency: None });
        }
        snapshot
    }

    #[test]
    fn a_role_with_pods_alone_explains_who_may_not_read_nodes() {
        let refused = r#"Error from server (Forbidden): nodes.metrics.k8s.io is forbidden: User "jane" cannot list resource "nodes" in API group "metrics.k8s.io" at the cluster scope"#;
        let core = r#"Error from server (Forbidden): nodes is forbidden: User "jane" cannot list resource "nodes" in API group "" at the cluster scope"#;
        let answer = |resources: &[&str], top| run(Step::Forbidden, "reader_role", &with(resources, top));
        let found = answer(&["pods"], Some(refused));
        assert_eq!(found.status, Status::Fail);
        assert!(
            found.findings[0].remedy().contains("system:aggregated-metrics-reader"),
            "{}",
            found.findings[0].remedy()
        );
        let complete = answer(&["pods", "nodes"], Some(refused));
        assert_eq!(complete.status, Status::Unknown, "jane may have none of the three roles");
        assert_eq!(answer(&["pods", "nodes"], None).status, Status::Pass);
        assert_eq!(answer(&["pods"], Some(core)).status, Status::Pass, "the core API's nodes are another right");
        let told = answer(&["pods"], None);
        assert!(told.summary.contains("save for get nodes, list nodes"), "{}", told.summary);
    }
}
