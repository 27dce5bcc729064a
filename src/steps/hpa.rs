//! Step `hpa` (guide: `<unknown>` targets).

mod diagnosis;
mod requests;

pub use self::{
    diagnosis::{Diagnosis, HpaCause, diagnose},
    requests::containers_without_request,
};

use crate::{
    catalogue::Cause,
    check::{Check, Finding},
    facts::Facts as Context,
    guide::Step,
    snapshot::{HorizontalPodAutoscaler, Named, NotSeen, ObjectReference},
    steps::bridge,
    steps::bridge::Outcome,
};

/// The checks of this step.
pub const CHECKS: &[Check] = &[Check {
    step: Step::Hpa,
    id: "targets",
    question: "Does every autoscaler know its targets, and if not, why?",
    causes: &[
        Cause::MissingRequest,
        Cause::TargetNotFound,
        Cause::Selector,
        Cause::NotMetricsServer,
        Cause::HpaPodsNotReady,
        Cause::NoSamplesYet,
        Cause::MetricsApiDown,
        Cause::HpaOther,
        Cause::AuthDelegatorMissing,
        Cause::CallerForbidden,
        Cause::FrontProxyUntrusted,
    ],
    rule: |facts, docket| bridge::rule(facts, docket, targets(facts)),
}];

fn targets(context: &Context<'_>) -> Result<Outcome, NotSeen> {
    let listing = context.snapshot.autoscalers.all();
    let gap = listing.gap.clone();
    let mut findings = Vec::new();
    let mut waiting = 0;
    for autoscaler in &listing.objects {
        let diagnosis = diagnose(context, autoscaler);
        match diagnosis.finding_cause() {
            Some(cause) => findings.push(finding(autoscaler, &diagnosis, cause)),
            None if diagnosis.unknown_targets > 0 => waiting += 1,
            None => {}
        }
    }
    if !findings.is_empty() {
        return Ok(Outcome::fail_all(findings));
    }
    let count = listing.objects.len();
    let served = listing.objects.iter().find(|autoscaler| autoscaler.is_served());
    let outcome = without_findings(gap, count, waiting)?;
    Ok(match served {
        Some(served) => outcome.witness(format!(
            "HorizontalPodAutoscaler {}/{}: ScalingActive is True and a Resource metric has a current value",
            served.namespace(),
            served.name()
        )),
        None => outcome,
    })
}

fn without_findings(gap: Option<NotSeen>, count: usize, waiting: usize) -> Result<Outcome, NotSeen> {
    match gap {
        Some(gap) if count == 0 => Err(gap),
        // Watches see all or nothing; a bundle may hold one autoscaler of many, and judges that one.
        Some(
            gap @ (NotSeen::Forbidden { .. } | NotSeen::NotSynced | NotSeen::Unreachable(_) | NotSeen::Damaged(_)),
        ) => Err(gap),
        _ if count == 0 => Ok(Outcome::skipped("There are no HorizontalPodAutoscalers.")),
        _ if waiting > 0 => Ok(Outcome::pass(format!(
            "{count} autoscalers: {waiting} without a value for now (scaled to zero or just started), the others know their targets."
        ))),
        _ => Ok(Outcome::pass(format!("All {count} autoscalers know their targets."))),
    }
}

fn finding(autoscaler: &HorizontalPodAutoscaler, diagnosis: &Diagnosis, cause: Cause) -> Finding {
    let object = ObjectReference::new("HorizontalPodAutoscaler", autoscaler.namespace(), autoscaler.name());
    let summary =
        format!("HorizontalPodAutoscaler {}/{}: {}.", autoscaler.namespace(), autoscaler.name(), diagnosis.summary);
    let finding = match cause {
        // These are faults of the way that all autoscalers take.
        Cause::AuthDelegatorMissing | Cause::FrontProxyUntrusted | Cause::MetricsApiDown => {
            Finding::outage(cause, object, summary)
        }
        _ => Finding::partial(cause, object, summary),
    };
    diagnosis.evidence.iter().fold(finding, |finding, line| finding.evidence(line.as_str()))
}
