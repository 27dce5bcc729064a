//! The one cause that explains the most with the least.
//!
//! Findings are put in the order of the data path. The first root cause upstream carries the verdict, and what lies
//! downstream of it is held back as its symptom: a dead `APIService` and forty blind autoscalers are one cause.

use std::{cmp::Reverse, collections::BTreeMap};

use crate::{
    catalogue::{Cause, Stage},
    check::{Finding, Impact, Outcome, Status},
    guide::Step,
    snapshot::NotSeen,
};

/// What stands above all checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Everything that decides was looked at, and nothing is wrong.
    Healthy,
    /// It could not be told.
    Undetermined,
    /// This is wrong.
    Cause(Cause),
}

impl Verdict {
    /// As in labels and reports.
    pub fn id(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Undetermined => "undetermined",
            Self::Cause(cause) => cause.id(),
        }
    }

    /// The step of the cause, `none` for the other two.
    pub fn step_id(self) -> &'static str {
        match self {
            Self::Healthy | Self::Undetermined => "none",
            Self::Cause(cause) => cause.step().id(),
        }
    }
}

/// One check with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The section of the guide.
    pub step: Step,
    /// The check's id.
    pub check: &'static str,
    /// What it answered.
    pub outcome: Outcome,
}

/// Findings, sorted into what stands and what is only a consequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Causes that the evidence fits; only for `Undetermined`.
    pub candidates: Vec<Cause>,
    /// Findings that stand by themselves, the one that carries the verdict first.
    pub findings: Vec<Finding>,
    /// Findings that the verdict explains.
    pub held_back: Vec<Finding>,
}

/// Whether a finding speaks of single autoscalers and not of the way that metrics take.
fn is_local(finding: &Finding) -> bool {
    finding.cause.stage() == Stage::Hpa && !finding.cause.is_symptom()
}

/// Weighs the answers of all checks.
pub fn judge(answers: &[Answer]) -> Judgement {
    let mut findings: Vec<Finding> = Vec::new();
    for finding in answers.iter().flat_map(|answer| &answer.outcome.findings) {
        // Several checks may see the same fault, on different objects along the way; it is told once, with the evidence of
        // all. Only autoscalers have faults of their own.
        let same = |known: &&mut Finding| {
            known.cause == finding.cause && (known.object == finding.object || !is_local(finding))
        };
        match findings.iter_mut().find(same) {
            Some(known) => {
                known.impact = known.impact.min(finding.impact);
                let new: Vec<_> =
                    finding.evidence.iter().filter(|line| !known.evidence.contains(line)).cloned().collect();
                known.evidence.extend(new);
            }
            None => findings.push(finding.clone()),
        }
    }
    // Among autoscalers' own faults the one that most of them share hurts most.
    let shared: BTreeMap<Cause, usize> = findings.iter().fold(BTreeMap::new(), |mut shared, finding| {
        *shared.entry(finding.cause).or_default() += 1;
        shared
    });
    findings.sort_by_key(|finding| {
        let local = is_local(finding);
        let sharing = if local { shared[&finding.cause] } else { 0 };
        (finding.impact, finding.cause.is_symptom(), local, Reverse(sharing), finding.cause, finding.object.clone())
    });
    let Some(lead) = findings.first().cloned() else {
        let verdict = if decides_health(answers) { Verdict::Healthy } else { Verdict::Undetermined };
        return Judgement { verdict, candidates: Vec::new(), findings, held_back: Vec::new() };
    };
    let (held_back, findings) = findings.into_iter().partition(|finding| explains(&lead, finding));
    let (verdict, candidates) = match lead.candidates.as_slice() {
        [] => (Verdict::Cause(lead.cause), Vec::new()),
        [only] => (Verdict::Cause(*only), Vec::new()),
        several => (Verdict::Undetermined, several.to_vec()),
    };
    Judgement { verdict, candidates, findings, held_back }
}

/// Whether `lead` is enough to explain `finding`: it lies downstream on the way that metrics take, or is only what is
/// seen of something.
fn explains(lead: &Finding, finding: &Finding) -> bool {
    if lead.cause == finding.cause && lead.object == finding.object {
        return false;
    }
    if is_local(lead) || is_local(finding) {
        // Autoscalers' own faults explain no outage, and no outage explains them; other autoscalers' symptoms stay too.
        return false;
    }
    let downstream = finding.cause.is_symptom() || finding.cause.stage() > lead.cause.stage();
    lead.impact <= finding.impact && (downstream || SPECIFIC.contains(&(lead.cause, finding.cause)))
}

/// Causes of one stage of which the first says why the second is seen.
pub const SPECIFIC: [(Cause, Cause); 7] = [
    (Cause::NetworkPolicyBlocks, Cause::ControlPlanePathClosed),
    (Cause::EgressPolicyBlocks, Cause::KubeletTimeout),
    (Cause::EgressPolicyBlocks, Cause::KubeletRefused),
    (Cause::EgressPolicyBlocks, Cause::KubeletUnreachable),
    (Cause::AwsAuthUsernameMissing, Cause::CallerUnauthorized),
    (Cause::AwsAuthUnparsable, Cause::CallerUnauthorized),
    (Cause::ServiceAccountMissing, Cause::PodsNotCreated),
];

/// Whether enough was looked at to call the cluster healthy: the metrics API was seen to work, and no look that was
/// part of this way to run failed. What a bundle does not hold was not part of it.
fn decides_health(answers: &[Answer]) -> bool {
    let works = answers.iter().any(|answer| {
        answer.outcome.status == Status::Pass
            && matches!(
                (answer.step, answer.check),
                (Step::Apiservice, "available") | (Step::Retrieve, "nodes" | "pods")
            )
    });
    let blind = answers.iter().filter(|answer| answer.outcome.status == Status::Unknown).any(|answer| {
        // An APIService stays available while calls fail, so whoever may not call has not looked.
        let may_not_call = matches!((answer.step, answer.check), (Step::Retrieve, "nodes" | "pods"))
            && matches!(answer.outcome.not_seen, Some(NotSeen::Forbidden { .. }));
        let undecided = DECISIVE.contains(&(answer.step, answer.check))
            && !matches!(answer.outcome.not_seen, Some(NotSeen::NotInBundle(_)));
        may_not_call || undecided
    });
    works && !blind
}

/// Checks without whose answer nothing is called healthy.
pub const DECISIVE: [(Step, &str); 4] = [
    (Step::Apiservice, "available"),
    (Step::OtherReasons, "service"),
    (Step::OtherReasons, "endpoints"),
    (Step::Hpa, "targets"),
];

/// Whether a finding hurts everybody; for renderers that colour by impact.
pub fn is_outage(finding: &Finding) -> bool {
    finding.impact == Impact::Outage
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::ObjectReference;

    fn answer(step: Step, check: &'static str, outcome: Outcome) -> Answer {
        Answer { step, check, outcome }
    }

    fn object(name: &str) -> ObjectReference {
        ObjectReference::new("Service", "kube-system", name)
    }

    fn finding(cause: Cause) -> Finding {
        Finding::outage(cause, object("metrics-server"), "broken")
    }

    fn healthy() -> Vec<Answer> {
        vec![
            answer(Step::Apiservice, "available", Outcome::pass("available")),
            answer(Step::OtherReasons, "endpoints", Outcome::pass("one")),
            answer(Step::Hpa, "targets", Outcome::pass("known")),
        ]
    }

    #[test]
    fn nothing_wrong_and_all_seen_is_healthy() {
        assert_eq!(judge(&healthy()).verdict, Verdict::Healthy);
    }

    #[test]
    fn whoever_may_not_call_the_metrics_api_calls_nothing_healthy() {
        for (not_seen, verdict) in [
            (NotSeen::Forbidden { verb: "list", resource: "nodes.metrics.k8s.io" }, Verdict::Undetermined),
            (NotSeen::NotLooked, Verdict::Healthy),
        ] {
            let mut answers = healthy();
            answers.push(answer(Step::Retrieve, "nodes", Outcome::unknown(not_seen, "not seen")));
            assert_eq!(judge(&answers).verdict, verdict);
        }
    }

    #[test]
    fn nothing_seen_is_never_healthy() {
        assert_eq!(judge(&[]).verdict, Verdict::Undetermined);
        let mut answers = healthy();
        answers[2].outcome = Outcome::unknown(NotSeen::NotSynced, "not synced");
        assert_eq!(judge(&answers).verdict, Verdict::Undetermined);
        answers[2].outcome = Outcome::unknown(NotSeen::NotInBundle("autoscalers"), "not in the bundle");
        assert_eq!(judge(&answers).verdict, Verdict::Healthy);
    }

    #[test]
    fn upstream_explains_downstream() {
        let mut answers = healthy();
        answers[0].outcome = Outcome::fail(finding(Cause::ApiServiceUnavailable));
        answers[1].outcome = Outcome::fail(finding(Cause::SelectorMatchesNothing));
        answers[2].outcome = Outcome::fail(finding(Cause::MetricsApiDown));
        let judgement = judge(&answers);
        assert_eq!(judgement.verdict, Verdict::Cause(Cause::SelectorMatchesNothing));
        assert_eq!(judgement.findings.len(), 1);
        assert_eq!(judgement.held_back.len(), 2);
    }

    #[test]
    fn what_says_why_explains_what_is_seen_of_it() {
        let answers = [
            answer(Step::Timeout, "path", Outcome::fail(finding(Cause::ControlPlanePathClosed))),
            answer(Step::Timeout, "network_policy", Outcome::fail(finding(Cause::NetworkPolicyBlocks))),
        ];
        let judgement = judge(&answers);
        assert_eq!(judgement.verdict, Verdict::Cause(Cause::NetworkPolicyBlocks));
        assert_eq!(judgement.held_back.len(), 1);
    }

    #[test]
    fn a_symptom_carries_the_verdict_only_alone() {
        let mut answers = healthy();
        answers[0].outcome = Outcome::fail(finding(Cause::PodsNotReady));
        assert_eq!(judge(&answers).verdict, Verdict::Cause(Cause::PodsNotReady));
        answers[1].outcome = Outcome::fail(finding(Cause::KubeletCertificateNames));
        assert_eq!(judge(&answers).verdict, Verdict::Cause(Cause::KubeletCertificateNames));
    }

    #[test]
    fn several_candidates_are_undetermined_and_named() {
        let candidates = [Cause::NothingListens, Cause::TargetPortMismatch];
        let answers = [answer(
            Step::Apiservice,
            "available",
            Outcome::fail(finding(Cause::ApiServiceUnavailable).candidates(candidates)),
        )];
        let judgement = judge(&answers);
        assert_eq!(judgement.verdict, Verdict::Undetermined);
        assert_eq!(judgement.candidates, candidates);
    }

    #[test]
    fn an_autoscaler_without_request_stays_a_finding_beside_an_outage() {
        let local = Finding::partial(Cause::MissingRequest, object("web"), "no request");
        let answers = [
            answer(Step::Apiservice, "available", Outcome::fail(finding(Cause::ControlPlanePathClosed))),
            answer(Step::Hpa, "targets", Outcome::fail(local)),
        ];
        let judgement = judge(&answers);
        assert_eq!(judgement.verdict, Verdict::Cause(Cause::ControlPlanePathClosed));
        assert_eq!(judgement.findings.len(), 2);
    }

    #[test]
    fn the_same_fault_seen_twice_is_told_once_with_both_evidences() {
        let answers = [
            answer(Step::ConnectionRefused, "a", Outcome::fail(finding(Cause::UnknownFlag).evidence("log"))),
            answer(Step::ConnectionRefused, "b", Outcome::fail(finding(Cause::UnknownFlag).evidence("status"))),
        ];
        let judgement = judge(&answers);
        assert_eq!(judgement.findings.len(), 1);
        assert_eq!(judgement.findings[0].evidence, ["log", "status"]);
    }
}
