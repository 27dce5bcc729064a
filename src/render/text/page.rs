//! The report in full and in brief, from what it says to where it stands on the sheet.

use super::{
    sheet::{Sheet, Terminal, Tone},
    words::{NAMES_SHOWN, counts, heading, issues, named, names, since, subject, way},
};
use crate::{
    check::{Finding, Impact, Status},
    guide::Step,
    render::{
        grouped::{Group, groups, held_back},
        remedy::Remedy,
    },
    report::{Break, Links, Report},
    verdict::{Undetermined, Verdict},
};

/// Groups of findings beyond this number are only counted: the verdict stands among the first.
const GROUPS_SHOWN: usize = 20;
/// Lines of evidence that are shown of the verdict's finding, and of others.
const EVIDENCE_SHOWN: usize = 8;
const EVIDENCE_OF_OTHERS: usize = 3;
/// Notices that are shown.
const NOTICES_SHOWN: usize = 5;

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Manner {
    /// What the place can show.
    pub terminal: Terminal,
    /// Whether every check is listed, with all that is cut otherwise.
    pub verbose: bool,
}

/// The report as text, with these links.
pub fn text(report: &Report, links: &Links, manner: Manner) -> String {
    let mut page = Page::new(report, links, manner);
    page.write();
    page.sheet.finish()
}

/// All that a report has to say, without colours and line breaks of its own.
pub fn full(report: &Report) -> String {
    text(report, &Links::Own, Manner { verbose: true, ..Manner::default() })
}

/// The verdict in one line, the command, and the counts.
pub fn brief(report: &Report, links: &Links, terminal: Terminal) -> String {
    let mut sheet = Sheet::new(terminal);
    let judgement = &report.judgement;
    sheet.line(tone(report), 0, &format!("{}: {}", heading(report), report.summary()));
    if let Verdict::Fault(cause) = judgement.verdict {
        let remedy = Remedy::of(&report.remedy());
        match &remedy.command {
            Some(command) => sheet.command(2, command),
            None => sheet.line(Tone::Plain, 2, &remedy.words),
        }
        sheet.line(Tone::Faint, 2, &links.how_to_read(cause));
    }
    let more = judgement.findings.len().saturating_sub(1);
    let more = match more {
        0 => String::new(),
        1 => "1 more finding; ".to_owned(),
        _ => format!("{more} more findings; "),
    };
    sheet.line(Tone::Faint, 2, &format!("{more}{}", counts(report)));
    sheet.finish()
}

fn tone(report: &Report) -> Tone {
    match &report.judgement.verdict {
        Verdict::Healthy(_) => Tone::Good,
        Verdict::Undetermined(undetermined) if !undetermined.broken => Tone::Doubt,
        Verdict::Undetermined(_) => Tone::Bad,
        Verdict::Fault(_) => weight(report.judgement.lead().map_or(Impact::Outage, |lead| lead.impact)),
    }
}

const fn weight(impact: Impact) -> Tone {
    match impact {
        Impact::Outage => Tone::Bad,
        Impact::Partial | Impact::Latent => Tone::Doubt,
    }
}

/// A report that is being written.
pub(super) struct Page<'r> {
    pub(super) sheet: Sheet,
    report: &'r Report,
    links: &'r Links,
    verbose: bool,
}

impl<'r> Page<'r> {
    pub(super) fn new(report: &'r Report, links: &'r Links, manner: Manner) -> Self {
        Self { sheet: Sheet::new(manner.terminal), report, links, verbose: manner.verbose }
    }

    fn write(&mut self) {
        let (report, judgement) = (self.report, &self.report.judgement);
        self.sheet.line(tone(report), 0, &format!("{}: {}", heading(report), report.summary()));
        if let Verdict::Fault(cause) = judgement.verdict {
            let impact = judgement.lead().map_or("", |lead| lead.impact.label());
            let since =
                report.since().map_or(String::new(), |moment| format!(", {}", since(moment, report.observed_at)));
            self.sheet.line(Tone::Faint, 0, &format!("{}/{}, {impact}{since}", cause.step(), cause.id()));
        }
        if !report.path.is_empty() {
            self.sheet.blank();
            self.write_way();
        }
        if let Verdict::Undetermined(undetermined) = &judgement.verdict {
            self.write_open(undetermined);
        }
        let groups = groups(&judgement.findings);
        // What hurts nobody yet is no answer to why something else could not be seen.
        let leads = !matches!(judgement.verdict, Verdict::Undetermined(ref open) if !open.broken);
        if let (true, Some(lead)) = (leads, judgement.findings.first()) {
            self.write_lead(lead, groups.first().map_or(&[], |group| &group.findings[1..]));
        }
        self.write_others(&groups[usize::from(leads).min(groups.len())..], leads);
        self.write_consequences();
        self.sheet.blank();
        self.write_checks();
        self.write_notices();
    }

    fn write_way(&mut self) {
        let pieces = way(&self.report.path).into_iter().zip(&self.report.path).map(|(piece, hop)| {
            let tone = match hop.broken {
                Break::None => Tone::Plain,
                Break::Possible => Tone::Doubt,
                Break::Certain => Tone::Bad,
            };
            (tone, piece)
        });
        let pieces: Vec<_> = pieces.collect();
        self.sheet.pieces(2, &pieces);
    }

    fn write_open(&mut self, undetermined: &Undetermined) {
        if !undetermined.candidates.is_empty() {
            self.sheet.blank();
            self.sheet.line(Tone::Heading, 0, "Candidates:");
            for cause in &undetermined.candidates {
                let title = cause.entry().title;
                self.sheet.line(Tone::Plain, 2, &format!("{}/{}: {title}", cause.step(), cause.id()));
            }
        }
        if self.report.unreachable().is_some() {
            return;
        }
        if !undetermined.broken && !undetermined.missing.is_empty() {
            self.sheet.blank();
            self.sheet.line(Tone::Heading, 0, "Needed to prove health:");
            for look in &undetermined.missing {
                self.sheet.line(Tone::Plain, 2, &format!("{}/{}: {}", look.step, look.check, look.reason));
            }
        }
        if !undetermined.discriminators.is_empty() {
            self.sheet.blank();
            self.sheet.line(Tone::Heading, 0, "To settle it:");
            for look in &undetermined.discriminators {
                self.sheet.line(Tone::Plain, 2, look);
            }
        }
    }

    fn write_lead(&mut self, finding: &Finding, alike: &[&Finding]) {
        self.write_evidence(finding, 0, EVIDENCE_SHOWN);
        if !alike.is_empty() {
            self.sheet.blank();
            let subject = subject(alike.len(), alike, true);
            self.sheet.line(Tone::Heading, 0, &format!("The same cause in {subject}:"));
            self.write_names(2, alike);
        }
        // With several candidates no remedy is the right one yet.
        if finding.candidates.is_empty() {
            self.sheet.blank();
            self.sheet.line(Tone::Heading, 0, "Fix:");
            self.write_remedy(finding, 2);
        }
    }

    fn write_evidence(&mut self, finding: &Finding, indent: usize, shown: usize) {
        if finding.evidence.is_empty() {
            return;
        }
        let shown = if self.verbose { usize::MAX } else { shown };
        if indent == 0 {
            self.sheet.blank();
            self.sheet.line(Tone::Heading, 0, &format!("Evidence ({}):", named(&finding.object)));
        }
        for line in finding.evidence.iter().take(shown) {
            self.sheet.line(Tone::Plain, indent + 2, &line.line);
        }
        if let Some(more) = finding.evidence.len().checked_sub(shown).filter(|more| *more > 0) {
            self.sheet.line(Tone::Faint, indent + 2, &format!("… and {more} more (--verbose)"));
        }
    }

    pub(super) fn write_remedy(&mut self, finding: &Finding, indent: usize) {
        let remedy = Remedy::of(&finding.remedy());
        for line in remedy.words.lines() {
            self.sheet.line(Tone::Plain, indent, line);
        }
        if let Some(command) = &remedy.command {
            self.sheet.command(indent + 2, command);
        }
        self.sheet.line(Tone::Faint, indent, &format!("Runbook: {}", self.links.how_to_read(finding.cause)));
        let issues = issues(finding.cause);
        if !issues.is_empty() {
            self.sheet.line(Tone::Faint, indent, &format!("Upstream: {}", issues.join(", ")));
        }
    }

    fn write_others(&mut self, others: &[Group<'_>], leads: bool) {
        if others.is_empty() {
            return;
        }
        self.sheet.blank();
        let title = if leads { "Also found (look again after the fix):" } else { "Found:" };
        self.sheet.line(Tone::Heading, 0, title);
        let shown = if self.verbose { usize::MAX } else { GROUPS_SHOWN };
        for group in others.iter().take(shown) {
            self.sheet.blank();
            let Some(first) = group.findings.first() else { continue };
            let cause = format!("{}/{}", group.cause.step(), group.cause.id());
            if group.findings.len() == 1 {
                self.sheet.line(weight(first.impact), 2, &format!("{cause}: {}", first.summary));
                self.write_evidence(first, 2, EVIDENCE_OF_OTHERS);
            } else {
                let subject = subject(group.findings.len(), &group.findings, false);
                self.sheet.line(weight(first.impact), 2, &format!("{cause}: {subject}: {}", group.cause.entry().title));
                self.write_names(4, &group.findings);
            }
            if first.candidates.is_empty() {
                self.write_remedy(first, 4);
            }
        }
        if let Some(more) = others.len().checked_sub(shown).filter(|more| *more > 0) {
            self.sheet.line(Tone::Faint, 2, &format!("… and {more} more (--verbose lists all)"));
        }
    }

    fn write_names(&mut self, indent: usize, findings: &[&Finding]) {
        let shown = if self.verbose { usize::MAX } else { NAMES_SHOWN };
        let names = names(findings, shown);
        self.sheet.line(Tone::Plain, indent, &names);
    }

    fn write_consequences(&mut self) {
        let held = held_back(&self.report.judgement.held_back);
        if held.is_empty() {
            return;
        }
        self.sheet.blank();
        self.sheet.line(Tone::Heading, 0, "Caused by the fault above; should clear once it is fixed:");
        for group in held {
            let Some(first) = group.findings.first() else { continue };
            let more = match group.findings.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            let (step, id) = (group.cause.step(), group.cause.id());
            self.sheet.line(Tone::Plain, 2, &format!("{step}/{id}: {}{more}", first.summary));
        }
    }

    fn write_checks(&mut self) {
        let report = self.report;
        if report.unreachable().is_some() {
            // One sentence says it; thirty checks that repeat it say nothing more.
            return self.sheet.line(Tone::Faint, 0, &format!("No check could look ({}).", report.observed_at));
        }
        if !self.verbose {
            let counts = format!("{} (--verbose lists them).", counts(report));
            return self.sheet.line(Tone::Faint, 0, &counts);
        }
        self.sheet.line(Tone::Heading, 0, &format!("The guide, step by step ({}):", report.observed_at));
        for step in Step::ALL {
            let status = report.status_of(step);
            let tone = match status {
                Status::Pass => Tone::Good,
                Status::Fail => Tone::Bad,
                Status::Unknown => Tone::Doubt,
                Status::Skipped => Tone::Faint,
            };
            self.sheet.line(tone, 2, &format!("{}  {step}", mark(status)));
            for answer in report.answers_of(step) {
                let line = format!("{:<8} {:<22} {}", answer.status.label(), answer.check, answer.summary);
                self.sheet.line(Tone::Plain, 11, &line);
            }
        }
        self.sheet.line(Tone::Faint, 0, &format!("{}.", counts(report)));
    }

    fn write_notices(&mut self) {
        let notices = &self.report.notices;
        if notices.is_empty() {
            return;
        }
        let shown = if self.verbose { usize::MAX } else { NOTICES_SHOWN };
        self.sheet.blank();
        self.sheet.line(Tone::Heading, 0, "Notices:");
        for notice in notices.iter().take(shown) {
            self.sheet.line(Tone::Plain, 2, notice);
        }
        if let Some(more) = notices.len().checked_sub(shown).filter(|more| *more > 0) {
            self.sheet.line(Tone::Faint, 2, &format!("… and {more} more (--verbose lists all)"));
        }
    }
}

const fn mark(status: Status) -> &'static str {
    match status {
        Status::Pass => "[pass]   ",
        Status::Fail => "[FAIL]   ",
        Status::Unknown => "[unknown]",
        Status::Skipped => "[skipped]",
    }
}
