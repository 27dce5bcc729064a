//! Does metrics-server have every permission that its version needs?

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    catalogue::Cause,
    check::{Docket, Evidence, Finding, Impact, Slot},
    facts::{
        Facts,
        rbac::{Decision, User},
        rights::{self, Misbound, Source},
    },
    snapshot::{Named, NotSeen, ObjectReference},
    wording::quoted,
};

/// What is known of one cause.
#[derive(Default)]
struct Known {
    lacking: Vec<Evidence>,
    latent: bool,
    unseen: Option<NotSeen>,
}

pub(super) fn rule(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    let Some((namespace, name)) = rights::account(facts) else {
        facts.chain.workload.clone().known()?;
        docket.not_applicable("There is no workload that needs permissions.");
        return Ok(());
    };
    let answers = rights::granted(facts);
    if answers.is_empty() {
        docket.not_applicable("metrics-server does not serve the API.");
        return Ok(());
    }
    let misbound = rights::misbound(facts);
    let refused = rights::refused_by_kubelets(facts, &User::service_account(namespace, name));
    let mut known: BTreeMap<Cause, Known> = BTreeMap::new();
    let mut sources = BTreeSet::new();
    for (permission, decision, source) in answers {
        let asked = permission.attributes();
        let by = match source {
            Source::SubjectAccessReview => "by SubjectAccessReview",
            Source::RbacObjects => "by the RBAC objects",
        };
        let cause = permission.cause();
        let known = known.entry(cause).or_default();
        let proven = rights::proven_by_success(facts, permission);
        match decision {
            Decision::Allowed(binding) => {
                sources.insert(by);
                if source == Source::RbacObjects
                    && !proven
                    && let Some((line, at)) = rights::denied(facts, cause, &binding)
                {
                    known.lacking.push(Evidence::at(format!("metrics-server's log: {}", quoted(line)), Some(at)));
                }
            }
            _ if proven => {}
            Decision::Denied => known.lacking.push(
                format!(
                    "{by} system:serviceaccount:{namespace}:{name} is not allowed to {} {}",
                    asked.verb, asked.resource
                )
                .into(),
            ),
            Decision::NotSeen(_) if refused && cause == Cause::KubeletPermissionMissing => {
                known
                    .lacking
                    .push(format!("the role that is bound to it lacks {} {}", asked.verb, asked.resource).into());
                known.lacking.push("kubelets answer 403 Forbidden".into());
            }
            Decision::NotSeen(reason) => match misbound.iter().find(|misbound| misbound.causes.contains(&cause)) {
                Some(misbound) => {
                    known.latent |= !misbound.is_certain(facts);
                    known.lacking.push(told(misbound).into());
                }
                None => known.unseen = known.unseen.take().or(Some(reason)),
            },
        }
    }
    let lacking: Vec<Cause> =
        known.iter().filter(|(_, known)| !known.lacking.is_empty()).map(|(cause, _)| *cause).collect();
    let advice = advice(facts, &lacking, &misbound, (namespace, name));
    for (cause, known) in known {
        if let Some(reason) = known.unseen.filter(|_| known.lacking.is_empty()) {
            docket.open(&[cause], &reason);
            if matches!(reason, NotSeen::NotInBundle(_)) {
                docket.say("could not look: the roles and bindings are not in the bundle as complete lists");
            }
        } else if known.lacking.is_empty() {
            docket.exclude(&[cause], has_all(namespace, name));
        } else {
            let title = cause.entry().title.trim_end_matches('.');
            let summary = if known.latent {
                format!(
                    "A binding that was made for metrics-server does not name its account {namespace}/{name}: perhaps: {title}."
                )
            } else {
                format!("{title} (ServiceAccount {namespace}/{name}).")
            };
            let object = ObjectReference::new("ServiceAccount", namespace, name);
            let mut finding = Finding::outage(cause, object, summary)
                .slot(Slot::Account, format!("{namespace}:{name}"))
                .advice(advice.clone());
            if known.latent {
                finding.impact = Impact::Latent;
            }
            let mut evidence = known.lacking;
            evidence.dedup();
            docket.confirm(evidence.into_iter().fold(finding, Finding::evidence));
        }
    }
    if docket.has_findings() {
        return Ok(());
    }
    docket.note(sources.into_iter().collect::<Vec<_>>().join(", "));
    docket.exclude_rest(has_all(namespace, name));
    Ok(())
}

fn has_all(namespace: &str, name: &str) -> String {
    format!("ServiceAccount {namespace}/{name} has every permission.")
}

fn told(misbound: &Misbound<'_>) -> String {
    let binding = misbound.binding;
    let kind = if binding.namespace().is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
    let place = if binding.namespace().is_empty() { String::new() } else { format!("{}/", binding.namespace()) };
    let role = &binding.role_ref.name;
    if misbound.accounts.is_empty() {
        return format!(
            "{kind} {place}{} to {role} grants nothing there: it must stand in namespace kube-system",
            binding.name()
        );
    }
    let names: Vec<String> = misbound.accounts.iter().map(|(namespace, name)| format!("{namespace}/{name}")).collect();
    format!("{kind} {place}{} to {role} names ServiceAccount {}", binding.name(), names.join(" and "))
}

/// One repair that makes every binding that is missing.
fn advice(facts: &Facts<'_>, lacking: &[Cause], misbound: &[Misbound<'_>], account: (&str, &str)) -> String {
    let (namespace, name) = account;
    let subject = format!("--serviceaccount={namespace}:{name}");
    let mut commands: Vec<String> = Vec::new();
    let mut apply = false;
    for cause in lacking {
        let wrong = misbound.iter().find(|misbound| misbound.causes.contains(cause) && !misbound.accounts.is_empty());
        let command = match (cause, wrong) {
            (_, Some(wrong)) if wrong.binding.namespace().is_empty() => {
                format!("kubectl set subject clusterrolebinding {} {subject}", wrong.binding.name())
            }
            (_, Some(wrong)) => format!(
                "kubectl set subject rolebinding -n {} {} {subject}",
                wrong.binding.namespace(),
                wrong.binding.name()
            ),
            (Cause::AuthReaderMissing, None) => format!(
                "kubectl create rolebinding metrics-server-auth-reader -n kube-system --role=extension-apiserver-authentication-reader {subject}"
            ),
            (Cause::AuthDelegatorMissing, None) => format!(
                "kubectl create clusterrolebinding metrics-server:system:auth-delegator --clusterrole=system:auth-delegator {subject}"
            ),
            (_, None) => {
                let bound = facts.snapshot.role_bindings.get("", "system:metrics-server");
                apply = true;
                match bound.seen() {
                    Some(_) => format!("kubectl set subject clusterrolebinding system:metrics-server {subject}"),
                    None => format!(
                        "kubectl create clusterrolebinding system:metrics-server --clusterrole=system:metrics-server {subject}"
                    ),
                }
            }
        };
        if !commands.contains(&command) {
            commands.push(command);
        }
    }
    let role = if apply {
        " ClusterRole system:metrics-server must be that of the image's release: 0.6 moved from nodes/stats to nodes/metrics."
    } else {
        ""
    };
    let commands: Vec<String> = commands.into_iter().map(|command| format!("`{command}`")).collect();
    match commands.as_slice() {
        [one] => format!("{one}.{role}"),
        _ => format!("All of: {}; or apply the whole manifest of the release again.{role}", commands.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        check::Status,
        guide::Step,
        snapshot::{AccessReview, Collection, Observed, RoleBinding, Snapshot, version::Version},
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
        assert_eq!(causes, [Cause::ListPermissionMissing, Cause::KubeletPermissionMissing]);
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
        assert!(rights::Permission::needed(Some(Version::new(0, 5, 2))).contains(&rights::Permission::NodesStats));
        assert!(rights::Permission::needed(Some(Version::new(0, 6, 0))).contains(&rights::Permission::NodesMetrics));
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

    /// Bindings that were seen, of a bundle that does not hold all.
    fn seen_only(snapshot: &mut Snapshot, subject: &str) {
        let mut bindings: Vec<RoleBinding> = snapshot.role_bindings.iter().cloned().collect();
        snapshot.role_bindings = Collection::unseen(NotSeen::NotInBundle("clusterrolebindings"));
        for mut binding in bindings.drain(..) {
            for known in &mut binding.subjects {
                subject.clone_into(&mut known.name);
            }
            snapshot.role_bindings.insert(binding);
        }
    }

    #[test]
    fn bindings_that_name_another_account_are_evidence_without_complete_lists() {
        let mut snapshot = without("none");
        seen_only(&mut snapshot, "old-account");
        snapshot.service_accounts = Collection::unseen(NotSeen::NotInBundle("serviceaccounts"));
        let perhaps = run(Step::Forbidden, "permissions", &snapshot);
        assert!(perhaps.findings.iter().all(|finding| finding.impact == Impact::Latent), "{perhaps:?}");
        assert_eq!(perhaps.findings.len(), 4);
        snapshot.service_accounts = Collection::complete([]);
        let certain = run(Step::Forbidden, "permissions", &snapshot);
        assert!(certain.findings.iter().all(|finding| finding.impact == Impact::Outage), "the account is gone");
        let remedy = certain.findings[0].remedy();
        for command in [
            "`kubectl set subject rolebinding -n kube-system metrics-server-auth-reader --serviceaccount=kube-system:metrics-server`",
            "`kubectl set subject clusterrolebinding metrics-server:system:auth-delegator --serviceaccount=kube-system:metrics-server`",
        ] {
            assert!(remedy.contains(command), "{remedy}");
        }
        seen_only(&mut snapshot, "metrics-server");
        assert_eq!(run(Step::Forbidden, "permissions", &snapshot).findings, []);
    }

    #[test]
    fn what_works_excuses_a_binding_of_another() {
        let mut snapshot = healthy();
        seen_only(&mut snapshot, "old-account");
        assert_eq!(run(Step::Forbidden, "permissions", &snapshot).findings, []);
    }

    #[test]
    fn a_denial_that_is_newer_than_the_binding_counts_more_than_the_objects() {
        let denied = |bound: i64| {
            let mut snapshot = without("none");
            let bindings: Vec<RoleBinding> = snapshot.role_bindings.iter().cloned().collect();
            snapshot.role_bindings = Collection::complete(bindings.into_iter().map(|mut binding| {
                binding.metadata.creation_timestamp = crate::testing::at(bound).parse().ok();
                binding
            }));
            let mut log =
                crate::snapshot::ContainerLog::new("kube-system", "metrics-server-5d8f-abcde", "metrics-server");
            log.push(r#"E0101 11:58:00.000000       1 webhook.go:224] Failed to make webhook authorizer request: subjectaccessreviews.authorization.k8s.io is forbidden: User "system:serviceaccount:kube-system:metrics-server" cannot create resource "subjectaccessreviews" in API group "authorization.k8s.io" at the cluster scope"#);
            snapshot.logs = Collection::complete([log]);
            let causes: Vec<Cause> =
                run(Step::Forbidden, "permissions", &snapshot).findings.iter().map(|finding| finding.cause).collect();
            causes
        };
        assert_eq!(denied(-9000), [Cause::AuthDelegatorMissing]);
        assert_eq!(denied(-60), [], "bound since");
    }

    #[test]
    fn several_missing_rights_have_one_repair() {
        let mut snapshot = without("none");
        snapshot.role_bindings = Collection::complete([]);
        let found = run(Step::Forbidden, "permissions", &snapshot).findings;
        assert_eq!(found.len(), 4);
        for finding in &found {
            let remedy = finding.remedy();
            assert!(remedy.starts_with("All of: `kubectl create rolebinding metrics-server-auth-reader"), "{remedy}");
            assert_eq!(remedy.matches("--serviceaccount=kube-system:metrics-server`").count(), 3, "{remedy}");
        }
    }
}
