//! The one cause that explains the most with the least, or what is missing for it.
//!
//! Findings are put in the order of the data path, and the first root cause that hurts most carries the verdict. A finding
//! is told as a consequence only where the catalogue's table `explains` says so. *Healthy* is a claim that needs a
//! [`Proof`], which nothing but [`Proof::of`] makes.

mod proof;

pub use self::proof::{MissingLook, Proof, REQUIRED};

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use jiff::Timestamp;

use crate::{
    catalogue::{Cause, Stage},
    check::{Answer, Finding, Impact, Ruling},
    snapshot::{NotSeen, ObjectReference},
};

/// What stands above all checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Callers get their metrics, and nothing is wrong.
    Healthy(Proof),
    /// This is wrong: confirmed, or the only cause that is left.
    Fault(Cause),
    /// It could not be told.
    Undetermined(Undetermined),
}

/// What keeps a verdict from being told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Undetermined {
    /// Whether something is seen to be broken, though not why; else nothing was found, and health is not proved.
    pub broken: bool,
    /// The causes that fit all that is seen.
    pub candidates: Vec<Cause>,
    /// Looks that would tell the candidates apart, or prove health.
    pub discriminators: Vec<String>,
    /// When what has just happened should have settled.
    pub settling_until: Option<Timestamp>,
    /// What has just happened.
    pub settling: Option<String>,
    /// Looks that health needs and that were not made or failed.
    pub missing: Vec<MissingLook>,
}

/// The verdict as a name, for labels and for telling changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VerdictName {
    /// See [`Verdict::Healthy`].
    Healthy,
    /// See [`Verdict::Undetermined`].
    Undetermined,
    /// See [`Verdict::Fault`].
    Fault(Cause),
}

impl VerdictName {
    /// As in labels and reports.
    pub fn id(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Undetermined => "undetermined",
            Self::Fault(cause) => cause.id(),
        }
    }

    /// The step of the cause, `none` for the other two.
    pub fn step_id(self) -> &'static str {
        match self {
            Self::Healthy | Self::Undetermined => "none",
            Self::Fault(cause) => cause.step().id(),
        }
    }
}

impl Verdict {
    /// The verdict as a name.
    pub fn name(&self) -> VerdictName {
        match self {
            Self::Healthy(_) => VerdictName::Healthy,
            Self::Undetermined(_) => VerdictName::Undetermined,
            Self::Fault(cause) => VerdictName::Fault(*cause),
        }
    }

    /// The causes that fit; only while the verdict is undetermined.
    pub fn candidates(&self) -> &[Cause] {
        match self {
            Self::Undetermined(undetermined) => &undetermined.candidates,
            Self::Healthy(_) | Self::Fault(_) => &[],
        }
    }
}

/// A finding that goes away once another is repaired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consequence {
    /// What is seen.
    pub finding: Finding,
    /// What explains it.
    pub of: Cause,
}

/// Findings, sorted into what stands and what is only a consequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Findings that stand by themselves, the one that carries the verdict first.
    pub findings: Vec<Finding>,
    /// Findings that others explain.
    pub held_back: Vec<Consequence>,
    /// The looks that health needs and that failed or were not made.
    pub missing: Vec<MissingLook>,
}

impl Judgement {
    /// The weight of the finding that carries the verdict.
    pub fn lead(&self) -> Option<&Finding> {
        self.findings.first().filter(|_| !matches!(self.verdict, Verdict::Healthy(_)))
    }
}

/// Whether a cause is a fault of single autoscalers and not of the way that metrics take.
fn is_local(cause: Cause) -> bool {
    cause.stage() == Stage::Hpa && !cause.is_symptom() && cause != Cause::OtherMetricsApiUnavailable
}

/// Weighs the answers of all checks.
pub fn judge(answers: &[Answer]) -> Judgement {
    let excluded = excluded(answers);
    let mut findings: Vec<Finding> = answers.iter().flat_map(|answer| answer.findings.iter().cloned()).collect();
    let settling = settling(answers);
    let before: Vec<Cause> = findings.iter().map(|finding| finding.cause).collect();
    narrow(&mut findings, &excluded, &settling);
    // Whoever has looked at a cause itself tells more of it than a symptom that is left with it alone.
    let (told, left): (Vec<(Finding, Cause)>, Vec<_>) =
        findings.into_iter().zip(before).partition(|(finding, before)| finding.cause == *before);
    let mut findings = merge(told.into_iter().chain(left).map(|(finding, _)| finding).collect());
    // Among autoscalers' own faults the one that most of them share hurts most.
    let shared: BTreeMap<Cause, usize> = findings.iter().fold(BTreeMap::new(), |mut shared, finding| {
        *shared.entry(finding.cause).or_default() += 1;
        shared
    });
    findings.sort_by_cached_key(|finding| {
        let local = is_local(finding.cause);
        let sharing = if local { shared[&finding.cause] } else { 0 };
        let open = finding.cause.is_symptom();
        (finding.impact, open, local, Reverse(sharing), finding.cause, finding.object.clone())
    });
    let (findings, held_back) = hold_back(findings);
    let missing = proof::missing(answers);
    let verdict = match findings.first() {
        Some(lead) if lead.impact == Impact::Latent && missing.iter().any(MissingLook::is_failed) => {
            // What hurts nobody yet is no answer to why something else could not be seen to work.
            Verdict::Undetermined(unproved(answers, missing.clone(), &excluded))
        }
        Some(lead) if lead.candidates.is_empty() => Verdict::Fault(lead.cause),
        Some(lead) => {
            let settles = lead.candidates.iter().filter_map(|cause| settling.get(cause)).max();
            Verdict::Undetermined(Undetermined {
                broken: true,
                candidates: lead.candidates.clone(),
                discriminators: discriminators(answers, &lead.candidates),
                settling_until: settles.map(|(until, _)| *until),
                settling: settles.map(|(_, why)| why.clone()),
                missing: missing.clone(),
            })
        }
        None => match Proof::of(answers) {
            Ok(proof) => Verdict::Healthy(proof),
            Err(missing) => Verdict::Undetermined(unproved(answers, missing, &excluded)),
        },
    };
    Judgement { verdict, findings, held_back, missing }
}

/// The causes that some check has proved not to hold, and none to hold.
fn excluded(answers: &[Answer]) -> BTreeSet<Cause> {
    let rulings = || answers.iter().flat_map(|answer| answer.rulings.iter().map(move |ruling| (answer, ruling)));
    let confirmed: BTreeSet<Cause> = rulings()
        .filter(|(_, (_, ruling))| matches!(ruling, Ruling::Confirmed(_)))
        .map(|(_, (cause, _))| *cause)
        .collect();
    rulings()
        .filter(|(_, (_, ruling))| matches!(ruling, Ruling::Excluded(_) | Ruling::NotApplicable(_)))
        .map(|(_, (cause, _))| *cause)
        .filter(|cause| !confirmed.contains(cause))
        .collect()
}

/// The causes of which some check says that it is too early to tell, until when, and why.
fn settling(answers: &[Answer]) -> BTreeMap<Cause, (Timestamp, String)> {
    let mut settling = BTreeMap::new();
    for (cause, ruling) in answers.iter().flat_map(|answer| &answer.rulings) {
        if let Ruling::Settling { until, why } = ruling {
            settling.entry(*cause).or_insert_with(|| (*until, why.clone()));
        }
    }
    for finding in answers.iter().flat_map(|answer| &answer.findings) {
        settling.remove(&finding.cause);
    }
    settling
}

/// Leaves of each symptom's candidates those that nothing excludes and that fit the other symptoms too; a symptom with
/// one candidate left is that cause, unless a check says that it is too early to tell.
fn narrow(findings: &mut [Finding], excluded: &BTreeSet<Cause>, settling: &BTreeMap<Cause, (Timestamp, String)>) {
    for finding in findings.iter_mut() {
        let left: Vec<Cause> =
            finding.candidates.iter().copied().filter(|candidate| !excluded.contains(candidate)).collect();
        // Where everything that was thought of is excluded, the list was not complete: better too wide than wrong.
        if !left.is_empty() {
            finding.candidates = left;
        }
    }
    let pipeline = |finding: &&mut Finding| !finding.candidates.is_empty() && finding.impact == Impact::Outage;
    let common: Option<BTreeSet<Cause>> = findings.iter_mut().filter(pipeline).fold(None, |common, finding| {
        let own: BTreeSet<Cause> = finding.candidates.iter().copied().collect();
        Some(common.map_or_else(|| own.clone(), |common| common.intersection(&own).copied().collect()))
    });
    for finding in findings.iter_mut() {
        if let Some(common) = common.as_ref().filter(|common| !common.is_empty())
            && finding.impact == Impact::Outage
            && finding.candidates.iter().any(|candidate| common.contains(candidate))
        {
            finding.candidates.retain(|candidate| common.contains(candidate));
        }
        if let [only] = finding.candidates[..]
            && !settling.contains_key(&only)
        {
            finding.cause = only;
            finding.scope = only.scope();
            finding.candidates.clear();
        }
    }
}

/// Several checks may see the same fault, on different objects along the way; it is told once, with the evidence of all.
/// Only autoscalers have faults of their own.
fn merge(findings: Vec<Finding>) -> Vec<Finding> {
    let mut merged: Vec<Finding> = Vec::new();
    let mut known: BTreeMap<(Cause, Option<ObjectReference>), usize> = BTreeMap::new();
    for finding in findings {
        let own = is_local(finding.cause) || finding.cause == Cause::OtherMetricsApiUnavailable;
        let key = (finding.cause, own.then(|| finding.object.clone()));
        if let Some(same) = known.get(&key).and_then(|&index| merged.get_mut(index)) {
            same.impact = same.impact.min(finding.impact);
            same.scope = same.scope.min(finding.scope);
            same.since = [same.since, finding.since].into_iter().flatten().min();
            // Two looks at one symptom leave what fits both.
            if finding.candidates.iter().any(|candidate| same.candidates.contains(candidate)) {
                same.candidates.retain(|candidate| finding.candidates.contains(candidate));
            }
            for line in finding.evidence {
                if !same.evidence.iter().any(|known| known.line == line.line) {
                    same.evidence.push(line);
                }
            }
            for (slot, value) in finding.slots {
                same.slots.entry(slot).or_insert(value);
            }
            same.advice = same.advice.take().or(finding.advice);
        } else {
            known.insert(key, merged.len());
            merged.push(finding);
        }
    }
    merged
}

/// Sets aside what another finding explains that hurts at least as much.
fn hold_back(findings: Vec<Finding>) -> (Vec<Finding>, Vec<Consequence>) {
    // A symptom that may be several things explains nothing but what is seen of the same further down.
    let mut explained: BTreeMap<Cause, (Impact, Cause)> = BTreeMap::new();
    for finding in &findings {
        for &consequence in finding.cause.explains() {
            let entry = explained.entry(consequence).or_insert((finding.impact, finding.cause));
            if finding.impact < entry.0 {
                *entry = (finding.impact, finding.cause);
            }
        }
    }
    let mut standing = Vec::new();
    let mut held_back = Vec::new();
    for finding in findings {
        match explained.get(&finding.cause) {
            Some((impact, of)) if *impact <= finding.impact => held_back.push(Consequence { finding, of: *of }),
            _ => standing.push(finding),
        }
    }
    (standing, held_back)
}

/// What the checks that have left a candidate open would need.
fn discriminators(answers: &[Answer], candidates: &[Cause]) -> Vec<String> {
    let open = |answer: &&Answer| {
        answer.rulings.iter().any(|(cause, ruling)| {
            candidates.contains(cause) && matches!(ruling, Ruling::Open(_) | Ruling::Settling { .. })
        })
    };
    unique(answers.iter().filter(open).filter_map(|answer| answer.settle.clone()))
}

/// Nothing is seen to be wrong, and health is not proved.
fn unproved(answers: &[Answer], missing: Vec<MissingLook>, excluded: &BTreeSet<Cause>) -> Undetermined {
    let settling = answers
        .iter()
        .filter(|answer| missing.iter().any(|look| (look.step, look.check) == (answer.step, answer.check)))
        .filter_map(|answer| Some((answer.settling_until?, answer.not_seen.as_ref()?.to_string())))
        .max_by_key(|(until, _)| *until);
    let needed = answers
        .iter()
        .filter(|answer| missing.iter().any(|look| (look.step, look.check) == (answer.step, answer.check)));
    let caller = missing.iter().find_map(|look| look.settle.clone());
    // What a caller gets holds all that the checks of the answers ask for.
    let asks_for_answers = |answer: &&Answer| matches!(&answer.not_seen, Some(NotSeen::NotInBundle(what)) if proof::ANSWERS.contains(what));
    let needed = needed.filter(|answer| caller.is_none() || !asks_for_answers(answer));
    let mut discriminators = unique(needed.filter_map(|answer| answer.settle.clone()));
    discriminators.splice(0..0, caller);
    let suspected: BTreeSet<Cause> = answers.iter().flat_map(|answer| answer.suspected.iter().copied()).collect();
    Undetermined {
        broken: false,
        candidates: suspected.into_iter().filter(|cause| !excluded.contains(cause)).collect(),
        discriminators: unique(discriminators),
        settling_until: settling.as_ref().map(|(until, _)| *until),
        settling: settling.map(|(_, why)| why),
        missing,
    }
}

fn unique(lines: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    lines.into_iter().filter(|line| seen.insert(line.clone())).collect()
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
