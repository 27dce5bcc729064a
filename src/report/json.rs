//! The JSON report: fields may be added, never renamed.

use jiff::Timestamp;
use serde::Serialize;

use super::{Links, Report};
use crate::{
    catalogue::{Cause, Scope},
    check::{Evidence, Finding, Impact, Status},
    guide::Step,
    snapshot::{ObjectReference, Source},
    verdict::{Consequence, MissingLook, Verdict},
};

/// The report as programs read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JsonReport {
    observed_at: Timestamp,
    source: Source,
    verdict: JsonVerdict,
    findings: Vec<JsonFinding>,
    held_back: Vec<JsonFinding>,
    steps: Vec<JsonStep>,
    notices: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonVerdict {
    step: &'static str,
    cause: &'static str,
    summary: String,
    remedy: String,
    runbook: String,
    candidates: Vec<Cause>,
    /// The weight of the verdict's finding; `null` where there is none.
    impact: Option<Impact>,
    scope: Option<Scope>,
    /// Whether something is seen to be broken.
    broken: bool,
    /// Since when.
    since: Option<Timestamp>,
    /// Looks that health needs and that failed or were not made.
    missing: Vec<JsonMissing>,
    /// When what has just happened should have settled.
    settling_until: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct JsonMissing {
    step: Step,
    check: &'static str,
    reason: String,
}

impl From<&MissingLook> for JsonMissing {
    fn from(look: &MissingLook) -> Self {
        Self { step: look.step, check: look.check, reason: look.reason.to_string() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonFinding {
    step: Step,
    cause: Cause,
    impact: Impact,
    scope: Scope,
    object: ObjectReference,
    summary: String,
    evidence: Vec<Evidence>,
    remedy: String,
    runbook: String,
    candidates: Vec<Cause>,
    since: Option<Timestamp>,
    /// The cause of which this is a consequence.
    #[serde(skip_serializing_if = "Option::is_none")]
    consequence_of: Option<Cause>,
}

impl JsonFinding {
    fn new(finding: &Finding, links: &Links) -> Self {
        Self {
            step: finding.cause.step(),
            cause: finding.cause,
            impact: finding.impact,
            scope: finding.scope,
            object: finding.object.clone(),
            summary: finding.summary.clone(),
            evidence: finding.evidence.clone(),
            remedy: finding.remedy(),
            runbook: links.runbook(finding.cause),
            candidates: finding.candidates.clone(),
            since: finding.since,
            consequence_of: None,
        }
    }

    fn held_back(consequence: &Consequence, links: &Links) -> Self {
        Self { consequence_of: Some(consequence.of), ..Self::new(&consequence.finding, links) }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct JsonStep {
    step: Step,
    status: Status,
    checks: Vec<JsonCheck>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct JsonCheck {
    check: &'static str,
    status: Status,
    summary: String,
    evidence: Vec<Evidence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    settle: Option<String>,
}

impl Report {
    /// The report in the form of the contract, with these links.
    pub fn to_json(&self, links: &Links) -> JsonReport {
        let judgement = &self.judgement;
        JsonReport {
            observed_at: self.observed_at,
            source: self.source,
            verdict: self.json_verdict(links),
            findings: judgement.findings.iter().map(|finding| JsonFinding::new(finding, links)).collect(),
            held_back: judgement.held_back.iter().map(|held| JsonFinding::held_back(held, links)).collect(),
            steps: Step::ALL.into_iter().map(|step| self.json_step(step)).collect(),
            notices: self.notices.clone(),
        }
    }

    fn json_verdict(&self, links: &Links) -> JsonVerdict {
        let verdict = &self.judgement.verdict;
        let lead = self.judgement.lead();
        let (broken, settling_until) = match verdict {
            Verdict::Healthy(_) => (false, None),
            Verdict::Fault(_) => (lead.is_some_and(|lead| lead.impact != Impact::Latent), None),
            Verdict::Undetermined(undetermined) => (undetermined.broken, undetermined.settling_until),
        };
        JsonVerdict {
            step: verdict.name().step_id(),
            cause: verdict.name().id(),
            summary: self.summary(),
            remedy: self.remedy(),
            runbook: match verdict {
                Verdict::Fault(cause) => links.runbook(*cause),
                Verdict::Healthy(_) | Verdict::Undetermined(_) => String::new(),
            },
            candidates: verdict.candidates().to_vec(),
            impact: lead.map(|lead| lead.impact),
            scope: lead.map(|lead| lead.scope),
            broken,
            since: self.since(),
            missing: self.judgement.missing.iter().map(JsonMissing::from).collect(),
            settling_until,
        }
    }

    fn json_step(&self, step: Step) -> JsonStep {
        let checks = self.answers_of(step).map(|answer| JsonCheck {
            check: answer.check,
            status: answer.status,
            summary: answer.summary.clone(),
            evidence: answer.evidence.clone(),
            settle: answer.settle.clone(),
        });
        JsonStep { step, status: self.status_of(step), checks: checks.collect() }
    }
}
