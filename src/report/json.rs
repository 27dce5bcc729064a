//! The JSON report: fields may be added, never renamed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::{AUTOSCALERS_LISTED, BlindAutoscaler, Hop, Links, Report};
use crate::{
    catalogue::{Cause, Scope},
    check::{Evidence, Finding, Impact, Status},
    guide::Step,
    snapshot::{ObjectReference, Source},
    verdict::{Consequence, MissingLook, Verdict},
    version,
};

/// The report as programs read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JsonReport {
    observed_at: Timestamp,
    source: Source,
    /// What judged.
    doctor: JsonDoctor,
    /// What was judged.
    metrics_server: JsonMetricsServer,
    verdict: JsonVerdict,
    /// The way that metrics take.
    path: Vec<Hop>,
    /// At most [`SAME_CAUSE`] of a cause and [`FINDINGS`] in all; `findingsTotal` counts the others too.
    findings: Vec<JsonFinding>,
    findings_total: usize,
    held_back: Vec<JsonFinding>,
    held_back_total: usize,
    autoscalers: JsonAutoscalers,
    steps: Vec<JsonStep>,
    notices: Vec<String>,
}

/// Findings of one cause in the report: what forty autoscalers share is told a few times, and counted.
const SAME_CAUSE: usize = 5;
/// Findings of all causes, and so many again of those that are held back.
const FINDINGS: usize = 30;
/// Lines of evidence of a finding or a check.
const EVIDENCE: usize = 20;
/// Notices.
const NOTICES: usize = 50;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct JsonDoctor {
    version: &'static str,
    revision: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct JsonMetricsServer {
    /// `null` where the image does not tell.
    version: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonAutoscalers {
    /// `null` where nobody could look.
    total: Option<usize>,
    blind: usize,
    by_cause: BTreeMap<&'static str, usize>,
    /// How many of the blind ones are listed at most.
    list_limit: usize,
    list: Vec<JsonAutoscaler>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct JsonAutoscaler {
    namespace: String,
    name: String,
    cause: Cause,
    /// `KIND NAME`.
    target: String,
    since: Option<Timestamp>,
}

impl From<&BlindAutoscaler> for JsonAutoscaler {
    fn from(blind: &BlindAutoscaler) -> Self {
        Self {
            namespace: blind.namespace.clone(),
            name: blind.name.clone(),
            cause: blind.cause,
            target: format!("{} {}", blind.target_kind, blind.target_name),
            since: blind.since,
        }
    }
}

/// The first findings of each cause, in their order.
fn few<T>(findings: &[T], cause: impl Fn(&T) -> Cause) -> impl Iterator<Item = &T> {
    let mut shown: BTreeMap<Cause, usize> = BTreeMap::new();
    let few = findings.iter().filter(move |finding| {
        let count = shown.entry(cause(finding)).or_default();
        *count += 1;
        *count <= SAME_CAUSE
    });
    few.take(FINDINGS)
}

/// The first lines, and how many there are beside them.
fn evidence(lines: &[Evidence]) -> Vec<Evidence> {
    let mut few: Vec<Evidence> = lines.iter().take(EVIDENCE).cloned().collect();
    if lines.len() > EVIDENCE {
        few.push(format!("and {} more", lines.len() - EVIDENCE).into());
    }
    few
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
            evidence: evidence(&finding.evidence),
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
            doctor: JsonDoctor { version: version::VERSION, revision: version::REVISION },
            metrics_server: JsonMetricsServer { version: self.metrics_server_version.clone() },
            path: self.path.clone(),
            autoscalers: self.json_autoscalers(),
            findings_total: judgement.findings.len(),
            held_back_total: judgement.held_back.len(),
            verdict: self.json_verdict(links),
            findings: few(&judgement.findings, |finding| finding.cause)
                .map(|finding| JsonFinding::new(finding, links))
                .collect(),
            held_back: few(&judgement.held_back, |held| held.finding.cause)
                .map(|held| JsonFinding::held_back(held, links))
                .collect(),
            steps: Step::ALL.into_iter().map(|step| self.json_step(step)).collect(),
            notices: self.notices.iter().take(NOTICES).cloned().collect(),
        }
    }

    fn json_autoscalers(&self) -> JsonAutoscalers {
        let counts = &self.autoscalers;
        JsonAutoscalers {
            total: counts.total,
            blind: counts.blind,
            by_cause: counts.by_cause.iter().map(|(cause, count)| (cause.id(), *count)).collect(),
            list_limit: AUTOSCALERS_LISTED,
            list: counts.listed.iter().map(JsonAutoscaler::from).collect(),
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
            evidence: evidence(&answer.evidence),
            settle: answer.settle.clone(),
        });
        JsonStep { step, status: self.status_of(step), checks: checks.collect() }
    }
}
