//! The report for people: verdict first, then the evidence, then what repairs it, then every step of the guide.

use std::fmt::Write as _;

use crate::{
    check::{Finding, Status},
    guide::Step,
    report::{Report, runbook},
    snapshot::ObjectReference,
    verdict::Verdict,
};

/// Independent findings beyond this number are only counted: the verdict stands among the first.
const FINDINGS_SHOWN: usize = 20;
/// Lines of evidence that are shown of one finding.
const EVIDENCE_SHOWN: usize = 8;

/// The report as text, with links below `runbook_url`.
pub fn text(report: &Report, runbook_url: &str) -> String {
    let mut text = String::new();
    // Writing into a text does not fail.
    let _ = write(&mut text, report, runbook_url);
    text
}

fn write(text: &mut String, report: &Report, runbook_url: &str) -> std::fmt::Result {
    let judgement = &report.judgement;
    let heading = match judgement.verdict {
        Verdict::Healthy => "HEALTHY".to_owned(),
        Verdict::Undetermined => "COULD NOT TELL".to_owned(),
        Verdict::Cause(cause) => format!("FAULT  {}/{}", cause.step(), cause.id()),
    };
    writeln!(text, "{heading}\n{}\n", report.summary())?;
    if !judgement.candidates.is_empty() {
        writeln!(text, "It may be:")?;
        for cause in &judgement.candidates {
            writeln!(text, "  - {}/{}: {}", cause.step(), cause.id(), cause.entry().title)?;
        }
        writeln!(text)?;
    }
    for (index, finding) in judgement.findings.iter().take(FINDINGS_SHOWN).enumerate() {
        if index == 1 {
            writeln!(text, "Also wrong, independent of it:\n")?;
        }
        write_finding(text, finding, index == 0, runbook_url)?;
    }
    if judgement.findings.len() > FINDINGS_SHOWN {
        writeln!(
            text,
            "… and {} more findings (--output json lists all).\n",
            judgement.findings.len() - FINDINGS_SHOWN
        )?;
    }
    if judgement.verdict == Verdict::Undetermined && !report.remedy().is_empty() {
        writeln!(text, "{}\n", report.remedy())?;
    }
    if !judgement.held_back.is_empty() {
        writeln!(text, "Explained by the verdict, nothing to do:")?;
        for finding in &judgement.held_back {
            writeln!(text, "  - {}/{}: {}", finding.cause.step(), finding.cause.id(), finding.summary)?;
        }
        writeln!(text)?;
    }
    writeln!(text, "The guide, step by step ({}):", report.observed_at)?;
    for step in Step::ALL {
        writeln!(text, "  {}  {step}", mark(report.status_of(step)))?;
        for answer in report.answers_of(step) {
            let outcome = &answer.outcome;
            writeln!(text, "           {:<8} {:<22} {}", outcome.status.label(), answer.check, outcome.summary)?;
        }
    }
    if !report.notices.is_empty() {
        writeln!(text, "\nNotices:")?;
        for notice in &report.notices {
            writeln!(text, "  - {notice}")?;
        }
    }
    Ok(())
}

const fn mark(status: Status) -> &'static str {
    match status {
        Status::Pass => "[pass]   ",
        Status::Fail => "[FAIL]   ",
        Status::Unknown => "[unknown]",
        Status::Skipped => "[skipped]",
    }
}

fn write_finding(text: &mut String, finding: &Finding, leads: bool, runbook_url: &str) -> std::fmt::Result {
    if !leads {
        writeln!(text, "{}/{}: {}", finding.cause.step(), finding.cause.id(), finding.summary)?;
    }
    if !finding.evidence.is_empty() {
        writeln!(text, "What was read ({}):", shown(&finding.object))?;
        for line in finding.evidence.iter().take(EVIDENCE_SHOWN) {
            writeln!(text, "  {line}")?;
        }
        if finding.evidence.len() > EVIDENCE_SHOWN {
            writeln!(text, "  … {} more", finding.evidence.len() - EVIDENCE_SHOWN)?;
        }
    }
    // With several candidates no remedy is the right one yet.
    if finding.candidates.len() < 2 {
        let cause = finding.candidates.first().copied().unwrap_or(finding.cause);
        writeln!(text, "What to do:")?;
        for line in finding.remedy().lines() {
            writeln!(text, "  {line}")?;
        }
        writeln!(text, "Runbook: {}", runbook(runbook_url, cause))?;
    }
    writeln!(text)
}

fn shown(object: &ObjectReference) -> String {
    match object.namespace.as_str() {
        "" => format!("{} {}", object.kind, object.name),
        namespace => format!("{} {namespace}/{}", object.kind, object.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        snapshot::Snapshot,
        testing::{healthy, without_service},
    };

    #[test]
    fn the_verdict_comes_first_then_evidence_then_the_remedy() {
        let snapshot = without_service();
        let text = text(&Report::new(&snapshot), "docs/runbooks");
        let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what} in\n{text}"));
        assert_eq!(place("FAULT  other_reasons/service_not_found"), 0);
        assert!(place("What was read") < place("What to do:"));
        assert!(place("What to do:") < place("Runbook: docs/runbooks/other_reasons.md#service_not_found"));
        assert!(place("Runbook") < place("The guide, step by step"));
    }

    #[test]
    fn healthy_and_could_not_tell_do_not_look_alike() {
        assert!(text(&Report::new(&healthy()), "").starts_with("HEALTHY\n"));
        assert!(text(&Report::new(&Snapshot::default()), "").starts_with("COULD NOT TELL\n"));
    }
}
