//! Step `forbidden` (guide: "Error from server (Forbidden)").

mod aws_auth;
mod permissions;

pub use self::{
    aws_auth::AwsAuth,
    permissions::{Permission, Source as PermissionSource, granted, granted_by_now, questions},
};

use crate::{
    catalogue::Cause,
    check::{Check, Finding},
    facts::Facts as Context,
    guide::Step,
    snapshot::{Named, NotSeen, ObjectReference},
    steps::bridge,
    steps::bridge::Outcome,
};

/// The checks of this step.
pub const CHECKS: &[Check] = &[
    Check {
        step: Step::Forbidden,
        id: "service_account",
        question: "Does the ServiceAccount of metrics-server's pods exist?",
        causes: &[Cause::ServiceAccountMissing],
        rule: |facts, docket| bridge::rule(facts, docket, service_account(facts)),
    },
    Check {
        step: Step::Forbidden,
        id: "permissions",
        question: "Has metrics-server every permission that its version needs?",
        causes: &[
            Cause::AuthReaderMissing,
            Cause::AuthDelegatorMissing,
            Cause::ListPermissionMissing,
            Cause::KubeletPermissionMissing,
        ],
        rule: |facts, docket| bridge::rule(facts, docket, permissions::evaluate(facts)),
    },
    Check {
        step: Step::Forbidden,
        id: "reader_role",
        question: "Can view, edit and admin read metrics by the aggregated reader role?",
        causes: &[],
        rule: |facts, docket| bridge::rule(facts, docket, reader_role(facts)),
    },
    Check {
        step: Step::Forbidden,
        id: "aws_auth",
        question: "Has every identity in aws-auth a username?",
        causes: &[Cause::AwsAuthUsernameMissing, Cause::AwsAuthUnparsable],
        rule: |facts, docket| bridge::rule(facts, docket, aws_auth::evaluate(facts)),
    },
];

/// The namespace and name of the `ServiceAccount` that metrics-server runs as.
pub(super) fn account<'s>(context: &Context<'s>) -> Option<(&'s str, &'s str)> {
    let chain = &context.chain;
    let namespace = chain
        .pods()
        .first()
        .map(|pod| pod.namespace())
        .or_else(|| chain.workload.seen().map(|workload| workload.namespace()))?;
    Some((namespace, chain.pod_spec()?.effective_service_account_name()))
}

fn service_account(context: &Context<'_>) -> Result<Outcome, NotSeen> {
    let chain = &context.chain;
    let Some((namespace, name)) = account(context) else {
        chain.workload.clone().known()?;
        return Ok(Outcome::skipped("There is no workload that could have a ServiceAccount."));
    };
    if context.snapshot.service_accounts.get(namespace, name).known()?.is_some() {
        return Ok(Outcome::pass(format!("ServiceAccount {namespace}/{name} exists.")));
    }
    let told = format!("no ServiceAccount {name} in namespace {namespace}");
    if !chain.pods().is_empty() {
        // Pods that exist were admitted with the account; its tokens fail, which other steps see.
        return Ok(Outcome::pass("The pods exist.").evidence(told));
    }
    let finding = Finding::outage(
        Cause::ServiceAccountMissing,
        chain.workload_object(),
        format!("ServiceAccount {namespace}/{name} does not exist, so no pod of metrics-server can be created."),
    );
    Ok(Outcome::fail(finding.evidence(told)))
}

fn reader_role(context: &Context<'_>) -> Result<Outcome, NotSeen> {
    let roles = context.snapshot.roles.in_namespace("");
    let aggregated = roles.objects.iter().find(|role| {
        role.metadata.labels.contains_key("rbac.authorization.k8s.io/aggregate-to-view")
            && role.rules.iter().any(|rule| rule.api_groups.iter().any(|group| group == "metrics.k8s.io"))
    });
    match (aggregated, roles.gap) {
        (Some(role), _) => {
            Ok(Outcome::pass(format!("ClusterRole {} adds metrics to view, edit and admin.", role.name())))
        }
        (None, Some(gap)) => Err(gap),
        (None, None) => {
            Ok(Outcome::pass("No aggregated reader role: only accounts with a role of their own read metrics.")
                .evidence("no ClusterRole with label rbac.authorization.k8s.io/aggregate-to-view for metrics.k8s.io"))
        }
    }
}

/// The `ClusterRole`, `ServiceAccount` or `ConfigMap` a finding speaks of.
fn object(kind: &str, namespace: &str, name: &str) -> ObjectReference {
    ObjectReference::new(kind, namespace, name)
}
