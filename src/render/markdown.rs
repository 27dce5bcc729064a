//! The report for a ticket or a chat.

use std::fmt::Write as _;

use super::{
    grouped::{groups, held_back},
    remedy::Remedy,
    text::{NAMES_SHOWN, counts, heading, named, names, since, subject, way},
    visible::visible,
};
use crate::{
    check::Finding,
    report::{Links, Report},
    verdict::Verdict,
    version::VERSION,
};

const EVIDENCE_SHOWN: usize = 12;
const GROUPS_SHOWN: usize = 20;

/// The report as Markdown. What comes from the cluster cannot become markup.
pub fn markdown(report: &Report, links: &Links) -> String {
    let mut text = String::new();
    // Writing into a text does not fail.
    let _ = write(&mut text, report, links);
    text
}

fn write(text: &mut String, report: &Report, links: &Links) -> std::fmt::Result {
    let judgement = &report.judgement;
    writeln!(text, "## {}: {}\n", heading(report), escape(&report.summary()))?;
    if let Verdict::Fault(cause) = judgement.verdict {
        let impact = judgement.lead().map_or("", |lead| lead.impact.label());
        let since = report.since().map_or(String::new(), |moment| format!(", {}", since(moment, report.observed_at)));
        writeln!(text, "`{}/{}`, {impact}{since}\n", cause.step(), cause.id())?;
    }
    if !report.path.is_empty() {
        fenced(text, "text", &way(&report.path).join(" "))?;
    }
    if !judgement.verdict.candidates().is_empty() {
        writeln!(text, "### Candidates\n")?;
        for cause in judgement.verdict.candidates() {
            writeln!(text, "- `{}/{}`: {}", cause.step(), cause.id(), escape(cause.entry().title))?;
        }
        writeln!(text)?;
    }
    let groups = groups(&judgement.findings);
    if let Some(lead) = judgement.findings.first() {
        write_evidence(text, lead)?;
        let alike = groups.first().map_or(&[][..], |group| &group.findings[1..]);
        if !alike.is_empty() {
            let names = escape(&names(alike, NAMES_SHOWN));
            writeln!(text, "The same cause in {}: {names}\n", subject(alike.len(), alike, true))?;
        }
        if lead.candidates.is_empty() {
            writeln!(text, "### Fix\n")?;
            write_remedy(text, lead, links)?;
        }
    }
    if matches!(judgement.verdict, Verdict::Undetermined(_)) && !report.remedy().is_empty() {
        writeln!(text, "{}\n", escape(&report.remedy()))?;
    }
    if groups.len() > 1 {
        writeln!(text, "### Also found\n")?;
        for group in groups.iter().skip(1).take(GROUPS_SHOWN) {
            let Some(first) = group.findings.first() else { continue };
            let (step, id) = (group.cause.step(), group.cause.id());
            if group.findings.len() == 1 {
                writeln!(text, "- `{step}/{id}`: {}", escape(&first.summary))?;
            } else {
                let subject = subject(group.findings.len(), &group.findings, false);
                let names = escape(&names(&group.findings, NAMES_SHOWN));
                writeln!(text, "- `{step}/{id}`: {subject}: {} {names}", escape(group.cause.entry().title))?;
            }
        }
        if let Some(more) = groups.len().checked_sub(GROUPS_SHOWN + 1).filter(|more| *more > 0) {
            writeln!(text, "- and {more} more")?;
        }
        writeln!(text)?;
    }
    let held = held_back(&judgement.held_back);
    if !held.is_empty() {
        writeln!(text, "### Caused by the fault above; should clear once it is fixed\n")?;
        for group in &held {
            let Some(first) = group.findings.first() else { continue };
            let more = match group.findings.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            writeln!(text, "- `{}/{}`: {}{more}", group.cause.step(), group.cause.id(), escape(&first.summary))?;
        }
        writeln!(text)?;
    }
    writeln!(text, "{}. metrics-server-doctor {VERSION}, {}", counts(report), report.observed_at)
}

fn write_evidence(text: &mut String, finding: &Finding) -> std::fmt::Result {
    if finding.evidence.is_empty() {
        return Ok(());
    }
    writeln!(text, "### Evidence\n\n{}:\n", escape(&named(&finding.object)))?;
    let mut lines: Vec<String> =
        finding.evidence.iter().take(EVIDENCE_SHOWN).map(|line| visible(&line.line).into_owned()).collect();
    if let Some(more) = finding.evidence.len().checked_sub(EVIDENCE_SHOWN).filter(|more| *more > 0) {
        lines.push(format!("… and {more} more"));
    }
    fenced(text, "text", &lines.join("\n"))
}

fn write_remedy(text: &mut String, finding: &Finding, links: &Links) -> std::fmt::Result {
    let remedy = Remedy::of(&finding.remedy());
    writeln!(text, "{}\n", escape(&remedy.words))?;
    if let Some(command) = &remedy.command {
        fenced(text, "sh", &visible(command))?;
    }
    let runbook = links.how_to_read(finding.cause);
    if *links == Links::Own {
        writeln!(text, "Runbook: `{runbook}`\n")
    } else {
        writeln!(text, "Runbook: <{runbook}>\n")
    }
}

/// A block whose fence is longer than any in it.
fn fenced(text: &mut String, language: &str, content: &str) -> std::fmt::Result {
    let longest = content.split(|character| character != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    writeln!(text, "{fence}{language}\n{content}\n{fence}\n")
}

/// Text that stays text: commands between backquotes are kept as code, everything else that Markdown or HTML would read is
/// escaped, and nobody is mentioned.
fn escape(text: &str) -> String {
    let text = visible(text);
    let mut escaped = String::with_capacity(text.len());
    let is_code = text.matches('`').count().is_multiple_of(2);
    for (place, part) in text.split('`').enumerate() {
        if place > 0 {
            escaped.push_str(if is_code { "`" } else { "\\`" });
        }
        for character in part.chars() {
            let inside = is_code && place % 2 == 1;
            match character {
                '&' if !inside => escaped.push_str("&amp;"),
                '<' if !inside => escaped.push_str("&lt;"),
                '>' if !inside => escaped.push_str("&gt;"),
                '\\' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' if !inside => {
                    escaped.push('\\');
                    escaped.push(character);
                }
                // Chats and trackers send somebody a message for it.
                '@' if !inside => escaped.push_str("&#64;"),
                other => escaped.push(other),
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{catalogue::Cause, snapshot::ObjectReference, testing::without_service};

    #[test]
    fn a_fault_has_its_headings_and_a_block_to_paste() {
        let text = markdown(&Report::new(&without_service()), &Links::Doctor("https://doctor.example".to_owned()));
        assert!(text.starts_with("## FAULT: ") && text.contains("\n### Fix\n"), "{text}");
        assert!(text.contains("✗ Service missing") && text.contains("### Evidence"), "{text}");
        assert!(text.contains("<https://doctor.example/runbooks/other_reasons#service_not_found>"), "{text}");
    }

    #[test]
    fn a_command_is_a_block_to_paste() {
        let object = ObjectReference::new("Service", "kube-system", "metrics-server");
        let finding = Finding::outage(Cause::TargetPortMismatch, object, "wrong");
        let mut text = String::new();
        write_remedy(&mut text, &finding, &Links::Own).expect("text");
        assert!(text.contains("\n```sh\nkubectl edit service -n kube-system metrics-server\n```\n"), "{text}");
    }

    #[test]
    fn what_comes_from_a_cluster_cannot_become_markup() {
        assert_eq!(escape("[a](b) <img> @all `x_y` a|b"), "\\[a\\](b) &lt;img&gt; &#64;all `x_y` a\\|b");
        assert_eq!(escape("one ` alone_"), "one \\` alone\\_");
        let mut text = String::new();
        fenced(&mut text, "text", "a ```` b").expect("text");
        assert_eq!(text, "`````text\na ```` b\n`````\n\n");
    }
}
