//! Runbooks as documents: the page's style, no script, nothing of other hosts.

use std::fmt::Write as _;

use super::html::{STYLE, escape};
use crate::runbooks::{self, INDEX, Runbook};

/// What a browser may load for such a page: the style of the same server and nothing else.
pub const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Where the style is, beside the pages.
pub const STYLESHEET: &str = "style.css";

/// The style of all pages.
pub fn stylesheet() -> String {
    format!(
        "{STYLE}nav a{{margin-right:1rem}}code{{background:#f3f4f6;padding:0 .2rem}}pre code{{background:none;padding:0}}\
         td,th{{width:auto!important}}h3:target{{background:#fff3c4}}"
    )
}

/// A page; it is served beside the stylesheet, one step below the report.
pub fn document(runbook: &Runbook) -> String {
    let language = if runbook.id.rsplit_once('.').is_some_and(|(_, language)| language == "ko") { "ko" } else { "en" };
    framed(language, runbook.title, "", runbook.html)
}

/// What is told of a page that there is not, `depth` folders below the pages.
pub fn not_found(depth: usize) -> String {
    let up = "../".repeat(depth);
    let mut body = "<h1>No such runbook</h1><p>There are:</p><ul>".to_owned();
    for runbook in runbooks::all() {
        // Writing into a text does not fail.
        let _ = write!(body, "<li><a href=\"{up}{0}\">{0}</a>: {1}</li>", runbook.id, escape(runbook.title));
    }
    body.push_str("</ul>");
    framed("en", "No such runbook", &up, &body)
}

fn framed(language: &str, title: &str, up: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"{language}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{} - metrics-server-doctor</title>\
         <link rel=\"stylesheet\" href=\"{up}{STYLESHEET}\"></head><body><nav><a href=\"{up}../\">Report</a>\
         <a href=\"{up}./\">Runbooks</a></nav><main>{body}</main></body></html>\n",
        escape(title)
    )
}

/// The id of a page as addresses name it: the index has none, and `.md` of those that know the files is overlooked.
pub fn id_in_address(name: &str) -> &str {
    match name.strip_suffix(".md").unwrap_or(name) {
        "" => INDEX,
        id => id,
    }
}
