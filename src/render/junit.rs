//! The report for pipelines that show results of tests: a suite a step, a case a check, and the verdict as a case of its own.

use std::fmt::Write as _;

use super::visible::visible;
use crate::{
    check::{Answer, Status},
    guide::Step,
    report::{Gate, Links, Passage, Report},
    verdict::Verdict,
};

/// The report as XML in the form of `JUnit`. What does not count for `gate` does not fail either.
pub fn junit(report: &Report, links: &Links, gate: &Gate) -> String {
    let mut text = String::new();
    // Writing into a text does not fail.
    let _ = write(&mut text, report, links, gate);
    text
}

fn write(text: &mut String, report: &Report, links: &Links, gate: &Gate) -> std::fmt::Result {
    writeln!(text, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(text, "<testsuites name=\"metrics-server-doctor\">")?;
    write_verdict(text, report, links, gate)?;
    for step in Step::ALL {
        let answers: Vec<&Answer> = report.answers_of(step).collect();
        let count = |wanted: Outcome| answers.iter().filter(|answer| outcome(answer, gate) == wanted).count();
        let (failures, skipped) = (count(Outcome::Failed), count(Outcome::Skipped));
        writeln!(
            text,
            "  <testsuite name=\"{step}\" tests=\"{}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\">",
            answers.len()
        )?;
        for answer in answers {
            write_case(text, answer, outcome(answer, gate))?;
        }
        writeln!(text, "  </testsuite>")?;
    }
    writeln!(text, "</testsuites>")
}

fn write_verdict(text: &mut String, report: &Report, links: &Links, gate: &Gate) -> std::fmt::Result {
    let passage = gate.weigh(report);
    let (failures, errors) = (u8::from(passage == Passage::Fault), u8::from(passage == Passage::Unknown));
    writeln!(
        text,
        "  <testsuite name=\"verdict\" tests=\"1\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"0\">"
    )?;
    let name = report.judgement.verdict.name();
    write!(text, "    <testcase classname=\"verdict\" name=\"{}\"", name.id())?;
    let kind = match passage {
        Passage::Open => {
            writeln!(text, "/>")?;
            return writeln!(text, "  </testsuite>");
        }
        Passage::Fault => "failure",
        Passage::Unknown => "error",
    };
    let mut body = report.remedy();
    if let Verdict::Fault(cause) = report.judgement.verdict {
        body = format!("{body}\n{}", links.how_to_read(cause));
    }
    let escaped: Vec<String> = body.lines().map(escape).collect();
    writeln!(
        text,
        "><{kind} type=\"{}/{}\" message=\"{}\">{}</{kind}></testcase>",
        name.step_id(),
        name.id(),
        escape(&report.summary()),
        escaped.join("\n")
    )?;
    writeln!(text, "  </testsuite>")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    Skipped,
}

fn outcome(answer: &Answer, gate: &Gate) -> Outcome {
    match answer.status {
        Status::Pass => Outcome::Passed,
        Status::Fail if answer.findings.iter().any(|finding| gate.counts(finding)) => Outcome::Failed,
        Status::Fail | Status::Unknown | Status::Skipped => Outcome::Skipped,
    }
}

fn write_case(text: &mut String, answer: &Answer, outcome: Outcome) -> std::fmt::Result {
    write!(text, "    <testcase classname=\"{}\" name=\"{}\"", answer.step, answer.check)?;
    let summary = escape(&answer.summary);
    match outcome {
        Outcome::Passed => writeln!(text, "/>"),
        Outcome::Skipped => writeln!(text, "><skipped message=\"{summary}\"/></testcase>"),
        Outcome::Failed => {
            let cause = answer.findings.first().map_or("", |finding| finding.cause.id());
            let evidence: Vec<String> = answer.evidence.iter().take(20).map(|line| escape(&line.line)).collect();
            writeln!(
                text,
                "><failure type=\"{}/{cause}\" message=\"{summary}\">{}</failure></testcase>",
                answer.step,
                evidence.join("\n")
            )
        }
    }
}

/// Text for XML, which may not hold control characters at all.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in visible(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        check::Impact,
        testing::{healthy, without_service},
    };

    #[test]
    fn failures_are_what_the_exit_code_counts() {
        let (links, strict) = (Links::Own, Gate { fault: Some(Impact::Partial), unknown: true, ignored: Vec::new() });
        let text = junit(&Report::new(&without_service()), &links, &strict);
        assert!(text.contains("<testcase classname=\"verdict\" name=\"service_not_found\"><failure "), "{text}");
        assert!(text.contains("classname=\"other_reasons\" name=\"service\"><failure "), "{text}");
        let lenient = Gate { fault: None, ..strict.clone() };
        let text = junit(&Report::new(&without_service()), &links, &lenient);
        assert!(!text.contains("<failure"), "{text}");
        let text = junit(&Report::new(&healthy()), &links, &strict);
        assert!(!text.contains("<failure") && !text.contains("<error") && text.contains("<skipped "), "{text}");
    }
}
