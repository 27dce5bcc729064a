//! The report for people: verdict first, then the evidence, then what repairs it, then every step of the guide.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::{
    catalogue::Cause,
    check::{Finding, Impact, Status},
    guide::Step,
    report::{Links, Report},
    snapshot::ObjectReference,
    verdict::Verdict,
};

/// Independent findings beyond this number are only counted: the verdict stands among the first.
const FINDINGS_SHOWN: usize = 20;
/// Findings of one cause that are shown one by one.
const SAME_CAUSE_SHOWN: usize = 3;
/// Lines of evidence that are shown of one finding.
const EVIDENCE_SHOWN: usize = 8;

/// The report as text, with these links.
pub fn text(report: &Report, links: &Links) -> String {
    let mut text = String::new();
    // Writing into a text does not fail.
    let _ = write(&mut text, report, links);
    text
}

fn write(text: &mut String, report: &Report, links: &Links) -> std::fmt::Result {
    let judgement = &report.judgement;
    writeln!(text, "{}\n{}\n", heading(&judgement.verdict, judgement.lead()), report.summary())?;
    if !judgement.verdict.candidates().is_empty() {
        writeln!(text, "Candidates:")?;
        for cause in judgement.verdict.candidates() {
            writeln!(text, "  - {}/{}: {}", cause.step(), cause.id(), cause.entry().title)?;
        }
        writeln!(text)?;
    }
    // The same fault of many autoscalers is shown once, with the others counted.
    let mut shown_causes: BTreeMap<Cause, usize> = BTreeMap::new();
    let mut shown = 0;
    for (index, finding) in judgement.findings.iter().enumerate() {
        let count = shown_causes.entry(finding.cause).or_default();
        *count += 1;
        if *count > SAME_CAUSE_SHOWN || shown == FINDINGS_SHOWN {
            continue;
        }
        if index == 1 {
            writeln!(text, "Also found (look again after the fix):\n")?;
        }
        let leads = index == 0 && !matches!(judgement.verdict, Verdict::Undetermined(ref open) if !open.broken);
        write_finding(text, finding, leads, *count == 1, links)?;
        shown += 1;
    }
    if judgement.findings.len() > shown {
        let more = judgement.findings.len() - shown;
        let findings = if more == 1 { "finding" } else { "findings" };
        writeln!(text, "… and {more} more {findings} (--output json lists all).\n")?;
    }
    if matches!(judgement.verdict, Verdict::Undetermined(_)) && !report.remedy().is_empty() {
        writeln!(text, "{}\n", report.remedy())?;
    }
    if !judgement.held_back.is_empty() {
        writeln!(text, "Caused by the fault above; should clear once it is fixed:")?;
        for held in &judgement.held_back {
            let finding = &held.finding;
            writeln!(text, "  - {}/{}: {}", finding.cause.step(), finding.cause.id(), finding.summary)?;
        }
        writeln!(text)?;
    }
    if let Some(trouble) = report.unreachable() {
        // One sentence says it; thirty checks that repeat it say nothing more.
        writeln!(text, "No check could look ({}): {trouble}", report.observed_at)?;
        return write_notices(text, report);
    }
    writeln!(text, "The guide, step by step ({}):", report.observed_at)?;
    for step in Step::ALL {
        writeln!(text, "  {}  {step}", mark(report.status_of(step)))?;
        for answer in report.answers_of(step) {
            writeln!(text, "           {:<8} {:<22} {}", answer.status.label(), answer.check, answer.summary)?;
        }
    }
    write_notices(text, report)
}

/// The verdict in capitals.
fn heading(verdict: &Verdict, lead: Option<&Finding>) -> String {
    match verdict {
        Verdict::Healthy(proof) if proof.unseen() == 0 => "HEALTHY".to_owned(),
        Verdict::Healthy(proof) => format!("HEALTHY ({} of {} checks could not look)", proof.unseen(), proof.checks()),
        Verdict::Undetermined(undetermined) if undetermined.broken => "BROKEN, CAUSE NOT CLEAR".to_owned(),
        Verdict::Undetermined(_) => "COULD NOT TELL".to_owned(),
        Verdict::Fault(cause) => {
            let impact = match lead.map(|lead| lead.impact) {
                Some(Impact::Partial) => "PARTIAL FAULT",
                Some(Impact::Latent) => "WARNING",
                Some(Impact::Outage) | None => "FAULT",
            };
            format!("{impact}  {}/{}", cause.step(), cause.id())
        }
    }
}

fn write_notices(text: &mut String, report: &Report) -> std::fmt::Result {
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

fn write_finding(
    text: &mut String,
    finding: &Finding,
    leads: bool,
    with_remedy: bool,
    links: &Links,
) -> std::fmt::Result {
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
    if finding.candidates.is_empty() && with_remedy {
        writeln!(text, "What to do:")?;
        for line in finding.remedy().lines() {
            writeln!(text, "  {line}")?;
        }
        writeln!(text, "Runbook: {}", links.how_to_read(finding.cause))?;
        let issues = issues(finding.cause);
        if !issues.is_empty() {
            writeln!(text, "Described upstream: {}", issues.join(", "))?;
        }
    }
    writeln!(text)
}

/// The upstream issues of a cause, each with its repository.
fn issues(cause: Cause) -> Vec<String> {
    let full = |issue: &&str| match issue.strip_prefix('#') {
        Some(number) => format!("kubernetes-sigs/metrics-server#{number}"),
        None => (*issue).to_owned(),
    };
    cause.entry().issues.iter().map(full).collect()
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
        let text = text(&Report::new(&snapshot), &Links::Own);
        let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what} in\n{text}"));
        assert_eq!(place("FAULT  other_reasons/service_not_found"), 0);
        assert!(place("What was read") < place("What to do:"));
        assert!(place("What to do:") < place("Runbook: metrics-server-doctor runbook other_reasons/service_not_found"));
        assert!(place("Runbook") < place("The guide, step by step"));
    }

    #[test]
    fn healthy_and_could_not_tell_do_not_look_alike() {
        assert!(text(&Report::new(&healthy()), &Links::Own).starts_with("HEALTHY ("));
        assert!(text(&Report::new(&Snapshot::default()), &Links::Own).starts_with("COULD NOT TELL\n"));
    }
}
