//! The status page: the report as one small HTML document without scripts.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::{
    check::{Finding, Status},
    report::{Report, runbook},
    steps::Step,
    verdict::Verdict,
};

/// Findings that are shown; the rest is in `/api/v1/report`.
const FINDINGS_SHOWN: usize = 50;

const STYLE: &str = "body{font:16px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}\
h1{font-size:1.6rem;margin:.2rem 0}h2{font-size:1.15rem;margin:1.6rem 0 .4rem}pre{background:#f3f4f6;padding:.6rem;overflow-x:auto;white-space:pre-wrap}\
table{border-collapse:collapse;width:100%}td{padding:.25rem .5rem;border-top:1px solid #d6dae0;vertical-align:top}\
.s{font-weight:600;white-space:nowrap}.pass{color:#0b5cad}.fail{color:#b42318}.unknown{color:#7a5b00}.skipped{color:#57606a}\
.box{border-left:.4rem solid;padding:.4rem 1rem;margin:1rem 0}";

/// The page for a report whose verdict holds since `since`, with links below `runbook_url`.
pub fn html(report: &Report, since: Timestamp, runbook_url: &str) -> String {
    let mut page = String::new();
    // Writing into a text does not fail.
    let _ = write(&mut page, report, since, runbook_url);
    page
}

fn write(page: &mut String, report: &Report, since: Timestamp, runbook_url: &str) -> std::fmt::Result {
    let judgement = &report.judgement;
    let (class, heading) = match judgement.verdict {
        Verdict::Healthy => ("pass", "Healthy".to_owned()),
        Verdict::Undetermined => ("unknown", "Could not tell".to_owned()),
        Verdict::Cause(cause) => ("fail", format!("Fault: {}/{}", cause.step(), cause.id())),
    };
    write!(
        page,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"refresh\" content=\"10\"><title>{heading} - metrics-server-doctor</title><style>{STYLE}</style></head><body>\
         <div class=\"box {class}\"><h1>{heading}</h1>{}<br><small>since {since}, seen at {}</small></div>",
        escape(&report.summary()),
        report.observed_at
    )?;
    if !judgement.candidates.is_empty() {
        page.push_str("<h2>It may be</h2><ul>");
        for cause in &judgement.candidates {
            write!(page, "<li>{}/{}: {}</li>", cause.step(), cause.id(), escape(cause.entry().title))?;
        }
        page.push_str("</ul>");
    }
    for finding in judgement.findings.iter().take(FINDINGS_SHOWN) {
        write_finding(page, finding, runbook_url)?;
    }
    if judgement.findings.len() > FINDINGS_SHOWN {
        write!(page, "<p>and {} more findings</p>", judgement.findings.len() - FINDINGS_SHOWN)?;
    }
    if judgement.verdict == Verdict::Undetermined {
        write!(page, "<p>{}</p>", escape(&report.remedy()))?;
    }
    if !judgement.held_back.is_empty() {
        page.push_str("<h2>Explained by the verdict</h2><ul>");
        for finding in judgement.held_back.iter().take(FINDINGS_SHOWN) {
            let cause = finding.cause;
            write!(page, "<li>{}/{}: {}</li>", cause.step(), cause.id(), escape(&finding.summary))?;
        }
        page.push_str("</ul>");
    }
    page.push_str("<h2>The guide, step by step</h2><table>");
    for step in Step::ALL {
        let status = report.status_of(step);
        write!(
            page,
            "<tr id=\"{step}\"><td class=\"s {0}\">{0}</td><td><b>{step}</b></td><td></td></tr>",
            status.label()
        )?;
        for answer in report.answers_of(step) {
            let outcome = &answer.outcome;
            let status: Status = outcome.status;
            write!(
                page,
                "<tr><td class=\"s {0}\">{0}</td><td>{1}</td><td>{2}</td></tr>",
                status.label(),
                answer.check,
                escape(&outcome.summary)
            )?;
        }
    }
    page.push_str("</table>");
    if !report.notices.is_empty() {
        page.push_str("<h2>Notices</h2><ul>");
        for notice in &report.notices {
            write!(page, "<li>{}</li>", escape(notice))?;
        }
        page.push_str("</ul>");
    }
    page.push_str(
        "<p><a href=\"/metrics\">/metrics</a> <a href=\"/api/v1/report\">/api/v1/report</a></p></body></html>\n",
    );
    Ok(())
}

fn write_finding(page: &mut String, finding: &Finding, runbook_url: &str) -> std::fmt::Result {
    let cause = finding.candidates.first().copied().unwrap_or(finding.cause);
    write!(page, "<h2>{}/{}</h2><p>{}</p>", cause.step(), cause.id(), escape(&finding.summary))?;
    if !finding.evidence.is_empty() {
        write!(page, "<pre>{}</pre>", escape(&finding.evidence.join("\n")))?;
    }
    if finding.candidates.len() < 2 {
        let link = runbook(runbook_url, cause);
        write!(page, "<pre>{}</pre>", escape(&finding.remedy()))?;
        // Only an address is a link; a path leads nowhere from here.
        if link.starts_with("https://") || link.starts_with("http://") {
            write!(page, "<p><a href=\"{0}\">{0}</a></p>", escape(&link))?;
        } else {
            write!(page, "<p>Runbook: {}</p>", escape(&link))?;
        }
    }
    Ok(())
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
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
        let page = html(&Report::new(&snapshot), snapshot.observed_at, "https://example.org/runbooks");
        assert!(!page.contains("<script"));
        assert!(page.contains("&lt;script&gt;"));
        assert!(page.contains("https://example.org/runbooks/other_reasons.md#service_not_found"));
    }
}
