//! The report: all answers, the judgement, and where to read on. Its JSON form is a contract.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    catalogue::Cause,
    check::{Context, Finding, Impact, Status},
    facts::chain::Chain,
    guide::Step,
    snapshot::{ObjectReference, Snapshot, Source},
    steps,
    verdict::{Answer, Judgement, Verdict, judge},
};

/// Where runbooks are unless `--runbook-url` says otherwise: beside the binary's sources.
pub const DEFAULT_RUNBOOK_URL: &str = "docs/runbooks";

/// What was seen and what it means, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The moment from which ages count.
    pub observed_at: Timestamp,
    /// Cluster or bundle.
    pub source: Source,
    /// Every check's answer, in the guide's order.
    pub answers: Vec<Answer>,
    /// The verdict and the findings.
    pub judgement: Judgement,
    /// What could not be read.
    pub notices: Vec<String>,
}

impl Report {
    /// Runs every check on `snapshot` and weighs the answers.
    pub fn new(snapshot: &Snapshot) -> Self {
        let chain = Chain::resolve(snapshot);
        let context = Context { snapshot, chain: &chain };
        let answers: Vec<Answer> = steps::all()
            .map(|check| Answer { step: check.step, check: check.id, outcome: check.run(&context) })
            .collect();
        let judgement = judge(&answers);
        Self {
            observed_at: snapshot.observed_at,
            source: snapshot.source,
            answers,
            judgement,
            notices: snapshot.notices.clone(),
        }
    }

    /// The answers of one step.
    pub fn answers_of(&self, step: Step) -> impl Iterator<Item = &Answer> {
        self.answers.iter().filter(move |answer| answer.step == step)
    }

    /// The state of a step: fail before unknown before pass; skipped only when all its checks are.
    pub fn status_of(&self, step: Step) -> Status {
        let has = |status| self.answers_of(step).any(|answer| answer.outcome.status == status);
        [Status::Fail, Status::Unknown, Status::Pass, Status::Skipped]
            .into_iter()
            .find(|&status| has(status))
            .unwrap_or(Status::Unknown)
    }

    /// One sentence: the verdict with the names of this case.
    pub fn summary(&self) -> String {
        match self.judgement.verdict {
            Verdict::Healthy => "The metrics pipeline is healthy.".to_owned(),
            Verdict::Undetermined => match self.judgement.findings.first() {
                Some(finding) => format!("{} The evidence fits several causes.", finding.summary),
                None => "Nothing was seen to be wrong, but not enough was seen to call it healthy.".to_owned(),
            },
            Verdict::Cause(_) => {
                self.judgement.findings.first().map_or_else(String::new, |finding| finding.summary.clone())
            }
        }
    }

    /// What repairs the verdict's cause.
    pub fn remedy(&self) -> String {
        match self.judgement.verdict {
            Verdict::Healthy => String::new(),
            Verdict::Cause(_) => self.judgement.findings.first().map_or_else(String::new, Finding::remedy),
            Verdict::Undetermined => {
                let settles: Vec<&str> =
                    self.answers.iter().filter_map(|answer| answer.outcome.settle.as_deref()).collect();
                if settles.is_empty() {
                    String::new()
                } else {
                    format!("To settle it: {}.", unique(settles).join("; "))
                }
            }
        }
    }

    /// The report in the form of the contract, with links below `runbook_url`.
    pub fn to_json(&self, runbook_url: &str) -> JsonReport {
        let verdict = self.judgement.verdict;
        JsonReport {
            observed_at: self.observed_at,
            source: self.source,
            verdict: JsonVerdict {
                step: verdict.step_id(),
                cause: verdict.id(),
                summary: self.summary(),
                remedy: self.remedy(),
                runbook: match verdict {
                    Verdict::Cause(cause) => runbook(runbook_url, cause),
                    Verdict::Healthy | Verdict::Undetermined => String::new(),
                },
                candidates: self.judgement.candidates.clone(),
            },
            findings: self.judgement.findings.iter().map(|finding| JsonFinding::new(finding, runbook_url)).collect(),
            held_back: self.judgement.held_back.iter().map(|finding| JsonFinding::new(finding, runbook_url)).collect(),
            steps: Step::ALL.into_iter().map(|step| self.json_step(step)).collect(),
            notices: self.notices.clone(),
        }
    }

    fn json_step(&self, step: Step) -> JsonStep {
        let checks = self.answers_of(step).map(|answer| JsonCheck {
            check: answer.check,
            status: answer.outcome.status,
            summary: answer.outcome.summary.clone(),
            evidence: answer.outcome.evidence.clone(),
            settle: answer.outcome.settle.clone(),
        });
        JsonStep { step, status: self.status_of(step), checks: checks.collect() }
    }
}

/// The link to a cause's section of its runbook.
pub fn runbook(runbook_url: &str, cause: Cause) -> String {
    format!("{}/{}.md#{}", runbook_url.trim_end_matches('/'), cause.step(), cause.id())
}

fn unique(lines: Vec<&str>) -> Vec<&str> {
    let mut seen = Vec::new();
    for line in lines {
        if !seen.contains(&line) {
            seen.push(line);
        }
    }
    seen
}

/// The JSON report: fields may be added, never renamed.
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
struct JsonVerdict {
    step: &'static str,
    cause: &'static str,
    summary: String,
    remedy: String,
    runbook: String,
    candidates: Vec<Cause>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct JsonFinding {
    step: Step,
    cause: Cause,
    impact: Impact,
    object: ObjectReference,
    summary: String,
    evidence: Vec<String>,
    remedy: String,
    runbook: String,
    candidates: Vec<Cause>,
}

impl JsonFinding {
    fn new(finding: &Finding, runbook_url: &str) -> Self {
        Self {
            step: finding.cause.step(),
            cause: finding.cause,
            impact: finding.impact,
            object: finding.object.clone(),
            summary: finding.summary.clone(),
            evidence: finding.evidence.clone(),
            remedy: finding.remedy(),
            runbook: runbook(runbook_url, finding.cause),
            candidates: finding.candidates.clone(),
        }
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
    evidence: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    settle: Option<String>,
}
