//! Step `forbidden` (guide: "Error from server (Forbidden)").

mod aws_auth;
mod permissions;
mod reader_role;

use crate::{
    catalogue::Cause,
    check::{Check, Docket, Finding},
    facts::{Facts, rights},
    guide::Step,
    snapshot::NotSeen,
};

/// The checks of this step.
pub const CHECKS: &[Check] = &[
    Check {
        step: Step::Forbidden,
        id: "service_account",
        question: "Does the ServiceAccount of metrics-server's pods exist?",
        causes: &[Cause::ServiceAccountMissing],
        rule: service_account,
    },
    Check {
        step: Step::Forbidden,
        id: "permissions",
        question: "Does metrics-server have every permission that its version needs?",
        causes: &[
            Cause::AuthReaderMissing,
            Cause::AuthDelegatorMissing,
            Cause::ListPermissionMissing,
            Cause::KubeletPermissionMissing,
        ],
        rule: permissions::rule,
    },
    Check {
        step: Step::Forbidden,
        id: "reader_role",
        question: "Can view, edit and admin read metrics by the aggregated reader role?",
        causes: &[Cause::CallerForbidden],
        rule: reader_role::rule,
    },
    Check {
        step: Step::Forbidden,
        id: "aws_auth",
        question: "Does every identity in aws-auth have a username?",
        causes: aws_auth::CAUSES,
        rule: aws_auth::rule,
    },
];

fn service_account(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    let chain = &facts.chain;
    let Some((namespace, name)) = rights::account(facts) else {
        chain.workload.clone().known()?;
        docket.not_applicable("There is no workload that could have a ServiceAccount.");
        return Ok(());
    };
    if facts.snapshot.service_accounts.get(namespace, name).known()?.is_some() {
        docket.exclude_rest(format!("ServiceAccount {namespace}/{name} exists."));
        return Ok(());
    }
    let told = format!("no ServiceAccount {name} in namespace {namespace}");
    if !chain.pods().is_empty() {
        // Pods that exist were admitted with the account; its tokens fail, which other steps see.
        docket.note(told);
        docket.exclude_rest("The pods exist.");
        return Ok(());
    }
    let summary =
        format!("ServiceAccount {namespace}/{name} does not exist, so no pod of metrics-server can be created.");
    docket.confirm(Finding::outage(Cause::ServiceAccountMissing, chain.workload_object(), summary).evidence(told));
    Ok(())
}
