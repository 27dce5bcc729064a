//! Step `logs` (guide: `kubectl logs`).

mod scrapes;
mod startup;

use crate::{
    catalogue::{Cause, Stage},
    check::{Check, Docket},
    facts::Facts,
    guide::Step,
    snapshot::NotSeen,
};

/// The id of the check of lines.
pub const LINES: &str = "lines";

/// The checks of this step.
pub const CHECKS: &[Check] = &[Check {
    step: Step::Logs,
    id: LINES,
    question: "Do metrics-server's logs show failed scrapes or a failed start?",
    causes: &[
        Cause::ApiServerUnreachable,
        Cause::ApiServerUntrusted,
        Cause::KubeletCertificateNames,
        Cause::KubeletCertificateAuthority,
        Cause::KubeletCertificateExpired,
        Cause::KubeletCertificateMissing,
        Cause::KubeletUnauthorized,
        Cause::KubeletForbidden,
        Cause::KubeletNotFound,
        Cause::KubeletTimeout,
        Cause::KubeletRefused,
        Cause::KubeletUnreachable,
        Cause::NodeNameUnresolvable,
        Cause::KubeletOutputUnparsable,
        Cause::UnknownFlag,
        Cause::FlagValueRefused,
        Cause::CommandNotFound,
        Cause::PortConflict,
        Cause::PrivilegedPort,
        Cause::CertificateDirectoryUnwritable,
        Cause::ImageArchitecture,
        Cause::AuthReaderMissing,
        Cause::AuthDelegatorMissing,
        Cause::ListPermissionMissing,
        Cause::FrontProxyUntrusted,
    ],
    rule: lines,
}];

fn lines(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    let logs = facts.logs();
    // What ends a start explains what it did not come to.
    if !startup::rule(facts, docket, &logs) {
        scrapes::rule(facts, docket);
    }
    if docket.has_findings() {
        return Ok(());
    }
    match facts.snapshot.logs.all().gap {
        Some(gap) if logs.is_empty() || !facts.is_bundle() => return Err(gap),
        _ if logs.is_empty() => {
            // Where the way to the pods was not seen, nobody knows whether there are any.
            facts.chain.api_service.clone().known()?;
            if let Some(gap) = &facts.chain.selected_pods.gap {
                facts.chain.service.clone().known()?;
                if *gap != NotSeen::NotLooked {
                    return Err(gap.clone());
                }
            }
            docket.not_applicable("There are no pods of metrics-server.");
            return Ok(());
        }
        _ => {}
    }
    let lines: usize = logs.iter().map(|log| log.lines().count()).sum();
    let told = format!(
        "{lines} {} of {} {}: no ongoing failure.",
        if lines == 1 { "line" } else { "lines" },
        logs.len(),
        if logs.len() == 1 { "log" } else { "logs" }
    );
    if facts.serves() {
        docket.exclude_rest(told);
        return Ok(());
    }
    // While nothing serves, a log without a failure proves that there was none only where it is whole.
    let whole = facts.scrapes().is_whole;
    let started = logs.iter().filter(|log| !log.previous).all(|log| log.lines().any(|line| line.read.has_started()));
    let excluded: Vec<Cause> = docket
        .unruled()
        .filter(|cause| match cause.stage() {
            Stage::KubeletScrapes => whole,
            _ => started && *cause != Cause::AuthDelegatorMissing && *cause != Cause::FrontProxyUntrusted,
        })
        .collect();
    docket.exclude(&excluded, told.clone());
    docket.say(told);
    Err(NotSeen::Unclear("the logs do not say why nothing serves".to_owned()))
}

#[cfg(test)]
mod tests;
