//! The status page: the report as one small HTML document without scripts.

use std::{borrow::Cow, fmt::Write as _};

use jiff::Timestamp;

use super::visible::visible;
use crate::{
    check::{Evidence, Finding, Status},
    guide::Step,
    report::{Links, Report},
    verdict::Verdict,
};

/// Findings that are shown; the rest is in `/api/v1/report`.
const FINDINGS_SHOWN: usize = 50;

/// The colours of the four states are those of the dashboards (Okabe and Ito), each with dark text and its word beside it.
pub(super) const STYLE: &str = "body{font:16px/1.45 system-ui,sans-serif;max-width:62rem;margin:1.5rem auto;padding:0 1rem;color:#1b1f24;background:#fff;overflow-wrap:anywhere}\
h1{font-size:1.5rem;margin:.1rem 0 .3rem}h2{font-size:1.15rem;margin:1.8rem 0 .5rem}h3{font-size:1rem;margin:1rem 0 .2rem}\
p{margin:.3rem 0}small{color:#4b535c}ul{padding-left:1.2rem;margin:.3rem 0}\
pre{background:#f3f4f6;padding:.5rem .7rem;margin:.3rem 0;white-space:pre-wrap}\
table{border-collapse:collapse;width:100%}th,td{padding:.3rem .5rem;border-top:1px solid #d6dae0;vertical-align:top;text-align:left}\
th{padding-top:1rem;border-top:0}th .s{margin-right:.5rem}td:first-child{width:5.6rem}td:nth-child(2){width:11.5rem;color:#4b535c}\
.s{display:inline-block;min-width:4.6rem;padding:0 .4rem;border-radius:.2rem;text-align:center;font-size:.85rem;font-weight:600;color:#111}\
.pass{background:#009e73}.fail{background:#d55e00}.unknown{background:#f0e442}.skipped{background:#56b4e9}\
.box{border-left:.6rem solid;padding:.5rem 1rem;background:#f7f8f9}.box.pass{background:#f7f8f9;border-color:#009e73}\
.box.fail{background:#f7f8f9;border-color:#d55e00}.box.unknown{background:#f7f8f9;border-color:#f0e442}\
@media(max-width:40rem){td:nth-child(2){display:none}}";

/// The page for a report whose verdict holds since `since`, with these links.
pub fn html(report: &Report, since: Timestamp, links: &Links) -> String {
    let mut page = String::new();
    // Writing into a text does not fail.
    let _ = write(&mut page, report, since, links);
    page
}

fn write(page: &mut String, report: &Report, since: Timestamp, links: &Links) -> std::fmt::Result {
    let judgement = &report.judgement;
    let (status, heading) = match &judgement.verdict {
        Verdict::Healthy(_) => (Status::Pass, "Healthy".to_owned()),
        Verdict::Undetermined(_) => (Status::Unknown, "Could not tell".to_owned()),
        Verdict::Fault(cause) => (Status::Fail, format!("Fault: {}/{}", cause.step(), cause.id())),
    };
    write!(
        page,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"refresh\" content=\"10\"><title>{heading} - metrics-server-doctor</title><style>{STYLE}</style></head><body>\
         <div class=\"box {}\"><h1>{heading}</h1><p>{}</p><small>since {}, last look {}</small></div>",
        status.label(),
        escape(&report.summary()),
        moment(since),
        moment(report.observed_at)
    )?;
    if !judgement.verdict.candidates().is_empty() {
        page.push_str("<h2>It may be</h2><ul>");
        for cause in judgement.verdict.candidates() {
            write!(page, "<li>{}/{}: {}</li>", cause.step(), cause.id(), escape(cause.entry().title))?;
        }
        page.push_str("</ul>");
    }
    for (index, finding) in judgement.findings.iter().take(FINDINGS_SHOWN).enumerate() {
        // The box above tells the first finding already.
        let told = index == 0 && matches!(judgement.verdict, Verdict::Fault(_));
        write_finding(page, finding, told, links)?;
    }
    if judgement.findings.len() > FINDINGS_SHOWN {
        write!(page, "<p>and {} more findings</p>", judgement.findings.len() - FINDINGS_SHOWN)?;
    }
    if matches!(judgement.verdict, Verdict::Undetermined(_)) {
        write!(page, "<h2>What to do</h2><p>{}</p>", escape(&report.remedy()))?;
    }
    if !judgement.held_back.is_empty() {
        page.push_str("<h2>Caused by the fault above</h2><ul>");
        for held in judgement.held_back.iter().take(FINDINGS_SHOWN) {
            let finding = &held.finding;
            let cause = finding.cause;
            write!(page, "<li>{}/{}: {}</li>", cause.step(), cause.id(), escape(&finding.summary))?;
        }
        page.push_str("</ul>");
    }
    write_steps(page, report)?;
    if !report.notices.is_empty() {
        page.push_str("<h2>Notices</h2><ul>");
        for notice in &report.notices {
            write!(page, "<li>{}</li>", escape(notice))?;
        }
        page.push_str("</ul>");
    }
    page.push_str(
        "<p><a href=\"metrics\">/metrics</a> <a href=\"api/v1/report\">/api/v1/report</a> <a href=\"runbooks/\">/runbooks/</a></p></body></html>\n",
    );
    Ok(())
}

fn write_steps(page: &mut String, report: &Report) -> std::fmt::Result {
    page.push_str("<h2>The guide, step by step</h2><table>");
    for (index, step) in Step::ALL.into_iter().enumerate() {
        let number = index + 1;
        write!(
            page,
            "<tr id=\"{step}\"><th colspan=\"3\">{} {number}. {}</th></tr>",
            chip(report.status_of(step)),
            step.title()
        )?;
        for answer in report.answers_of(step) {
            let (chip, summary) = (chip(answer.status), escape(&answer.summary));
            write!(page, "<tr><td>{chip}</td><td>{}</td><td>{summary}</td></tr>", answer.check)?;
        }
    }
    page.push_str("</table>");
    Ok(())
}

/// A state as a word on its colour.
fn chip(status: Status) -> String {
    format!("<span class=\"s {0}\">{0}</span>", status.label())
}

/// A moment to the second; fractions only disturb.
fn moment(timestamp: Timestamp) -> String {
    timestamp.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn write_finding(page: &mut String, finding: &Finding, told: bool, links: &Links) -> std::fmt::Result {
    let cause = finding.candidates.first().copied().unwrap_or(finding.cause);
    if !told {
        write!(page, "<h2>{}/{}</h2><p>{}</p>", cause.step(), cause.id(), escape(&finding.summary))?;
    }
    if !finding.evidence.is_empty() {
        write!(page, "<h3>What was read</h3><pre>{}</pre>", escape(&lines(&finding.evidence)))?;
    }
    if finding.candidates.len() < 2 {
        let link = links.runbook(cause);
        write!(page, "<h3>What to do</h3><p>{}</p>", with_code(&escape(&finding.remedy())))?;
        // Only an address is a link; a folder of files leads nowhere from here.
        let leads = *links == Links::Own || link.starts_with("https://") || link.starts_with("http://");
        if leads {
            write!(page, "<p>Runbook: <a href=\"{}\">{}/{}</a></p>", escape(&link), cause.step(), cause.id())?;
        } else {
            write!(page, "<p>Runbook: {}</p>", escape(&link))?;
        }
    }
    Ok(())
}

/// What stands between backquotes becomes a command; `escaped` holds no markup.
fn with_code(escaped: &str) -> String {
    let mut text = String::with_capacity(escaped.len());
    for (index, part) in escaped.split('`').enumerate() {
        if index > 0 {
            text.push_str(if index % 2 == 1 { "<code>" } else { "</code>" });
        }
        text.push_str(part);
    }
    if escaped.matches('`').count() % 2 == 1 {
        text.push_str("</code>");
    }
    text
}

/// Evidence, a line each.
fn lines(evidence: &[Evidence]) -> String {
    evidence.iter().map(|line| visible(&line.line)).collect::<Vec<_>>().join("\n")
}

pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let breaks = |(place, line)| if place == 0 { line } else { Cow::Owned(format!("\n{line}")) };
    let lines = text.split('\n').map(visible).enumerate().map(breaks);
    for character in lines.collect::<String>().chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::without_service;

    #[test]
    fn what_was_read_cannot_become_markup() {
        let mut snapshot = without_service();
        snapshot.notices = vec!["<script>alert('x')</script>".to_owned()];
        let page =
            html(&Report::new(&snapshot), snapshot.observed_at, &Links::Doctor("https://example.org".to_owned()));
        assert!(!page.contains("<script"));
        assert!(page.contains("&lt;script&gt;"));
        assert!(page.contains("href=\"https://example.org/runbooks/other_reasons#service_not_found\""));
    }

    #[test]
    fn without_another_address_links_lead_to_the_pages_of_the_same_server() {
        let snapshot = without_service();
        let page = html(&Report::new(&snapshot), snapshot.observed_at, &Links::Own);
        assert!(page.contains("<a href=\"runbooks/other_reasons#service_not_found\">"), "{page}");
    }

    #[test]
    fn commands_of_a_remedy_are_set_apart() {
        assert_eq!(with_code("Run `kubectl get` and `x`."), "Run <code>kubectl get</code> and <code>x</code>.");
        assert_eq!(with_code("A stray ` mark"), "A stray <code> mark</code>");
    }
}
