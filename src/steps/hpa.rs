//! Step `hpa` (guide: `<unknown>` targets).

mod blind;
mod selectors;

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    catalogue::{Cause, Scope},
    check::{Check, Docket, Finding, Impact},
    facts::{
        Facts,
        autoscalers::{Autoscaler, Autoscalers, Blind, Sight},
    },
    guide::Step,
    snapshot::{Named, NotSeen, retrieval::Outcome},
};

/// The checks of this step.
pub const CHECKS: &[Check] = &[Check {
    step: Step::Hpa,
    id: "targets",
    question: "Does every autoscaler get its metrics, and if not, why?",
    causes: &[
        Cause::MissingRequest,
        Cause::TargetNotFound,
        Cause::TargetKindNotServed,
        Cause::TargetNotScalable,
        Cause::Selector,
        Cause::NotMetricsServer,
        Cause::HpaPodsNotReady,
        Cause::NoSamplesYet,
        Cause::MetricsApiDown,
        Cause::HpaOther,
    ],
    rule: targets,
}];

/// Autoscalers of one fault that are quoted.
const QUOTED: usize = 5;

fn targets(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    let autoscalers = facts.autoscalers();
    if let Some(served) = autoscalers.served() {
        docket.witness(format!(
            "HorizontalPodAutoscaler {}/{}: ScalingActive is True and a Resource metric has a current value",
            served.namespace(),
            served.name()
        ));
    }
    let findings = findings(facts, autoscalers);
    if !findings.is_empty() {
        for finding in findings {
            docket.confirm(finding);
        }
        return Ok(());
    }
    let count = autoscalers.all.len();
    match &autoscalers.gap {
        // Watches see all or nothing; a bundle may hold one autoscaler of many, and judges that one.
        Some(gap @ NotSeen::NotInBundle(_)) if count == 0 => return Err(gap.clone()),
        Some(NotSeen::NotInBundle(_) | NotSeen::NotLooked) if count > 0 => {}
        Some(gap) => return Err(gap.clone()),
        None if count == 0 => {
            docket.not_applicable("There are no HorizontalPodAutoscalers.");
            return Ok(());
        }
        None => {}
    }
    if autoscalers.all.iter().any(|autoscaler| autoscaler.sight == Sight::Untold) {
        docket.say("The status of an autoscaler was not seen.");
        return Err(NotSeen::NotInBundle("the status of the horizontalpodautoscalers"));
    }
    // What the API tells others shows that it answers; where it answers nobody yet, that is for later.
    if autoscalers.served().is_none()
        && !is_answered(facts)
        && let Some((until, why)) = autoscalers.all.iter().filter_map(waits_for_the_api).max()
    {
        docket.settle(&[Cause::MetricsApiDown], until, why);
    }
    docket.exclude_rest(without_findings(autoscalers));
    Ok(())
}

/// Whether another caller got samples.
fn is_answered(facts: &Facts<'_>) -> bool {
    [&facts.snapshot.top_nodes, &facts.snapshot.top_pods].into_iter().any(
        |call| matches!(call.seen().map(|call| &call.outcome), Some(Outcome::Samples(samples)) if !samples.is_empty()),
    )
}

fn waits_for_the_api(autoscaler: &Autoscaler<'_>) -> Option<(Timestamp, &'static str)> {
    match autoscaler.sight {
        Sight::Starting { until, why, for_the_api: true } => Some((until, why)),
        _ => None,
    }
}

/// What is told where nothing is wrong.
fn without_findings(autoscalers: &Autoscalers<'_>) -> String {
    let waiting: Vec<&Autoscaler<'_>> = autoscalers
        .all
        .iter()
        .filter(|autoscaler| autoscaler.unknown_targets > 0 && autoscaler.sight != Sight::Sees)
        .collect();
    let count = autoscalers.all.len();
    let rest = match count - waiting.len() {
        _ if waiting.is_empty() => {
            return match count {
                1 => "The autoscaler gets its metrics.".to_owned(),
                _ => format!("All {count} autoscalers get their metrics."),
            };
        }
        0 => String::new(),
        1 => " The other one gets its metrics.".to_owned(),
        others => format!(" The other {others} get their metrics."),
    };
    let mut why: BTreeMap<&'static str, usize> = BTreeMap::new();
    for autoscaler in &waiting {
        *why.entry(reason(&autoscaler.sight)).or_default() += 1;
    }
    let one = waiting.len() == 1;
    let why: Vec<String> = why
        .into_iter()
        .map(|(why, count)| if one || count == waiting.len() { why.to_owned() } else { format!("{why} ({count})") })
        .collect();
    let subject = if one { "1 autoscaler has".to_owned() } else { format!("{} autoscalers have", waiting.len()) };
    format!("{subject} no value for now: {}.{rest}", why.join(", "))
}

fn reason(sight: &Sight<'_>) -> &'static str {
    match sight {
        Sight::ScaledToZero => "the target is scaled to zero",
        Sight::OutsideLimits => "the target's replicas are outside of the autoscaler's limits",
        Sight::Starting { why, .. } => why,
        Sight::Sees | Sight::Untold | Sight::Blind(_) => "a metric has no value",
    }
}

/// An autoscaler with why it is blind.
type OneBlind<'a> = (&'a Autoscaler<'a>, &'a Blind<'a>);

/// Every fault once: what is not the autoscaler's own, and what autoscalers do to each other, is one finding of many.
fn findings(facts: &Facts<'_>, autoscalers: &Autoscalers<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = selectors::shared(autoscalers);
    let mut wide: BTreeMap<(Cause, &[Cause]), Vec<OneBlind<'_>>> = BTreeMap::new();
    for (autoscaler, blind) in autoscalers.blind() {
        match blind {
            Blind::SelectorShared { .. } => {}
            _ if blind.is_of_the_pipeline() => {
                wide.entry((blind.cause(), blind.candidates())).or_default().push((autoscaler, blind));
            }
            _ => findings.push(blind::finding(facts, autoscaler, blind)),
        }
    }
    for alike in wide.into_values() {
        findings.extend(pipeline(facts, autoscalers, &alike));
    }
    findings
}

/// One finding of all autoscalers that the same fault of the pipeline blinds.
fn pipeline(facts: &Facts<'_>, autoscalers: &Autoscalers<'_>, alike: &[OneBlind<'_>]) -> Option<Finding> {
    let &(first, blind) = alike.first()?;
    let mut finding = blind::finding(facts, first, blind);
    if alike.len() > 1 {
        finding.summary = format!(
            "{} of {} autoscalers: {} (HorizontalPodAutoscaler {}/{} and others).",
            alike.len(),
            autoscalers.all.len(),
            blind::many(blind),
            first.object.namespace(),
            first.object.name()
        );
        for (other, _) in &alike[1..alike.len().min(QUOTED)] {
            finding.evidence.extend(blind::told(other));
        }
        finding.since = alike.iter().filter_map(|(autoscaler, _)| autoscaler.condition?.last_transition_time).min();
    }
    // Where the controller gets samples of others the API answers it, and the fault is not everybody's.
    let everybody = autoscalers.served().is_none();
    let refused = blind.candidates() == [Cause::CallerForbidden];
    let of_the_api = matches!(blind, Blind::MetricsApi(_));
    finding.impact = if everybody && of_the_api && !refused { Impact::Outage } else { Impact::Partial };
    finding.scope = match (refused, everybody || alike.len() * 2 > autoscalers.all.len()) {
        (true, _) => Scope::Caller,
        (false, true) if of_the_api || alike.len() > 1 => Scope::Pipeline,
        (false, _) => Scope::Autoscaler,
    };
    Some(finding)
}

#[cfg(test)]
mod tests;
