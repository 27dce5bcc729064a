//! The report: all answers, the judgement, and where to read on. Its JSON form is a contract.

mod autoscalers;
mod gate;
mod json;
mod links;
mod path;
mod plain;

pub use self::{
    autoscalers::{AUTOSCALERS_LISTED, AutoscalerCounts, BlindAutoscaler},
    gate::{Gate, Passage},
    json::JsonReport,
    links::Links,
    path::{Break, Hop, HopName},
};

use jiff::Timestamp;

use crate::{
    catalogue::Cause,
    check::{Answer, Check, Finding, Status},
    facts::{Facts, metrics_server},
    guide::Step,
    snapshot::{NotSeen, Snapshot, Source},
    steps,
    verdict::{Judgement, Undetermined, Verdict, judge},
};

/// Where the files of the runbooks are, beside the program's sources; links of the alerts begin with it until told otherwise.
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
    /// The way that metrics take, hop by hop; empty where nothing at all was seen.
    pub path: Vec<Hop>,
    /// The autoscalers in numbers.
    pub autoscalers: AutoscalerCounts,
    /// metrics-server's version, by the tag of its image.
    pub metrics_server_version: Option<String>,
    /// What could not be read.
    pub notices: Vec<String>,
    /// Since when the verdict holds, as whoever looks again and again knows it.
    pub held_since: Option<Timestamp>,
}

impl Report {
    /// Runs every check on `snapshot` and weighs the answers.
    pub fn new(snapshot: &Snapshot) -> Self {
        // A defect must cost its answers and never the process: whoever watches an outage needs the rest of the report.
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| Facts::new(snapshot))) {
            Ok(facts) => Self::of(&facts),
            Err(_) => Self::answered(snapshot, steps::all().map(Check::defective).collect()),
        }
    }

    /// Runs every check on facts that whoever renders goes on to read.
    pub fn of(facts: &Facts<'_>) -> Self {
        let report = Self::answered(facts.snapshot, steps::all().map(|check| check.run(facts)).collect());
        let derive = || {
            let image = facts.chain.container().map(|container| container.image.as_str());
            let version = image.and_then(metrics_server::version).map(|version| version.to_string());
            (path::of(facts, &report.judgement), AutoscalerCounts::of(facts), version)
        };
        let derived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(derive));
        let (path, autoscalers, metrics_server_version) = derived.unwrap_or_default();
        Self { path, autoscalers, metrics_server_version, ..report }
    }

    fn answered(snapshot: &Snapshot, mut answers: Vec<Answer>) -> Self {
        answers.iter_mut().for_each(plain::answer);
        let judgement = judge(&answers);
        let mut notices = snapshot.notices.clone();
        notices.iter_mut().for_each(plain::text);
        Self {
            observed_at: snapshot.observed_at,
            source: snapshot.source,
            answers,
            judgement,
            path: Vec::new(),
            autoscalers: AutoscalerCounts::default(),
            metrics_server_version: None,
            notices,
            held_since: None,
        }
    }

    /// The answers of one step.
    pub fn answers_of(&self, step: Step) -> impl Iterator<Item = &Answer> {
        self.answers.iter().filter(move |answer| answer.step == step)
    }

    /// The state of a step: fail before unknown before pass; skipped only when all its checks are.
    pub fn status_of(&self, step: Step) -> Status {
        let has = |status| self.answers_of(step).any(|answer| answer.status == status);
        [Status::Fail, Status::Unknown, Status::Pass, Status::Skipped]
            .into_iter()
            .find(|&status| has(status))
            .unwrap_or(Status::Unknown)
    }

    /// Since when what the verdict speaks of is so: as it was read, else as long as it was watched.
    pub fn since(&self) -> Option<Timestamp> {
        self.judgement.lead().and_then(|lead| lead.since).or(self.held_since)
    }

    /// One sentence: the verdict with the names of this case.
    pub fn summary(&self) -> String {
        match &self.judgement.verdict {
            Verdict::Healthy(proof) => match proof.unseen() {
                0 => "The metrics pipeline is healthy.".to_owned(),
                unseen => {
                    format!("The metrics pipeline is healthy ({unseen} of {} checks could not look).", proof.checks())
                }
            },
            Verdict::Undetermined(undetermined) => self.undetermined(undetermined),
            Verdict::Fault(_) => {
                self.judgement.findings.first().map_or_else(String::new, |finding| finding.summary.clone())
            }
        }
    }

    fn undetermined(&self, undetermined: &Undetermined) -> String {
        if undetermined.broken {
            let summary = self.judgement.findings.first().map_or("", |finding| finding.summary.as_str());
            return format!("{summary} The evidence fits several causes.");
        }
        if let Some(trouble) = self.unreachable() {
            return format!("The API server cannot be reached, so nothing could be checked: {trouble}");
        }
        if let (Some(why), Some(until)) = (&undetermined.settling, undetermined.settling_until) {
            let until = until.strftime("%H:%M:%S UTC");
            return format!("Not settled yet: {}. Look again after {until}.", why.trim_end_matches('.'));
        }
        match undetermined.missing.iter().find(|look| look.is_failed()).or_else(|| undetermined.missing.last()) {
            Some(look) => format!("No fault found, but health is not proved: {}.", look.reason),
            None => "No fault found, but health is not proved.".to_owned(),
        }
    }

    /// Why the API server gave nothing at all, where that is so.
    pub fn unreachable(&self) -> Option<&str> {
        let of = |step: Step, check: &str| {
            let answer = self.answers_of(step).find(|answer| answer.check == check)?;
            match &answer.not_seen {
                Some(NotSeen::Unreachable(trouble)) => Some(trouble.as_str()),
                _ => None,
            }
        };
        of(Step::Hpa, "targets")?;
        of(Step::Apiservice, "available")
    }

    /// What repairs the verdict's cause.
    pub fn remedy(&self) -> String {
        match &self.judgement.verdict {
            Verdict::Healthy(_) => String::new(),
            Verdict::Fault(_) => self.judgement.findings.first().map_or_else(String::new, Finding::remedy),
            Verdict::Undetermined(undetermined) if undetermined.discriminators.is_empty() => String::new(),
            Verdict::Undetermined(undetermined) => {
                format!("To settle it: {}.", undetermined.discriminators.join("; "))
            }
        }
    }
}

/// The link to a cause's section of its runbook, where runbooks are files below `runbook_url`.
pub fn runbook(runbook_url: &str, cause: Cause) -> String {
    Links::Files(runbook_url.to_owned()).runbook(cause)
}
