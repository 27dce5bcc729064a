//! The runbooks: pages of this version of the doctor, the same for everybody. They tell nothing of the cluster, so that a
//! link of an alert opens for whoever follows it.

use std::{collections::BTreeMap, sync::LazyLock};

use hyper::{
    Method, Request, StatusCode,
    header::{self, HeaderValue},
};

use super::site::{Answer, Document, HTML, document};
use crate::{
    render::runbook::{self, CONTENT_SECURITY_POLICY, STYLESHEET},
    runbooks,
};

const CSS: &str = "text/css; charset=utf-8";
const ROOT: &str = "/runbooks";

static PAGES: LazyLock<BTreeMap<&str, Document>> =
    LazyLock::new(|| runbooks::PAGES.iter().map(|page| (page.id, Document::new(runbook::document(page)))).collect());
static STYLE: LazyLock<Document> = LazyLock::new(|| Document::new(runbook::stylesheet()));

/// The answer, where a runbook is asked for.
pub(super) fn answer<B>(request: &Request<B>) -> Option<Answer> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return None;
    }
    let below = request.uri().path().strip_prefix(ROOT)?;
    if below.is_empty() {
        return Some(to_the_index(request));
    }
    let name = below.strip_prefix('/')?;
    if name == STYLESHEET {
        return Some(guarded(document(request, CSS, &STYLE)));
    }
    if let Some(page) = PAGES.get(runbook::id_in_address(name)) {
        return Some(guarded(document(request, HTML, page)));
    }
    let mut answer = document(request, HTML, &Document::new(runbook::not_found(name.matches('/').count())));
    *answer.status_mut() = StatusCode::NOT_FOUND;
    Some(guarded(answer))
}

/// Links of the pages are relative to the folder; so is this one, since a proxy may have put a path before it.
fn to_the_index<B>(request: &Request<B>) -> Answer {
    let mut answer = document(request, HTML, &Document::new(String::new()));
    *answer.status_mut() = StatusCode::PERMANENT_REDIRECT;
    answer.headers_mut().insert(header::LOCATION, HeaderValue::from_static("runbooks/"));
    answer
}

fn guarded(mut answer: Answer) -> Answer {
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    answer
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::guide::Step;

    async fn get(path: &str) -> (StatusCode, header::HeaderMap, String) {
        let request = Request::get(path).body(()).expect("a request");
        let (parts, body) = answer(&request).expect("an answer").into_parts();
        let body = body.collect().await.expect("a body").to_bytes().to_vec();
        (parts.status, parts.headers, String::from_utf8(body).expect("text"))
    }

    #[tokio::test]
    async fn every_step_has_its_page_under_its_id_and_under_the_name_of_its_file() {
        for step in Step::ALL {
            for path in [format!("/runbooks/{step}"), format!("/runbooks/{step}.md"), format!("/runbooks/{step}?a=b")] {
                let (status, headers, page) = get(&path).await;
                assert_eq!(
                    (status, headers[header::CONTENT_TYPE].to_str().ok()),
                    (StatusCode::OK, Some(HTML)),
                    "{path}"
                );
                assert!(page.contains("id=\"causes\"") && page.contains("href=\"style.css\""), "{path}: {page}");
            }
        }
        let (status, _, index) = get("/runbooks/").await;
        assert!(status == StatusCode::OK && index.contains("<a href=\"timeout\">"), "{index}");
        let (status, headers, _) = get("/runbooks").await;
        assert_eq!(
            (status, headers[header::LOCATION].to_str().ok()),
            (StatusCode::PERMANENT_REDIRECT, Some("runbooks/"))
        );
    }

    #[tokio::test]
    async fn nothing_of_another_host_and_no_inline_style_or_script_is_allowed_or_there() {
        for path in ["/runbooks/", "/runbooks/logs", "/runbooks/nowhere"] {
            let (_, headers, page) = get(path).await;
            let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().expect("text");
            assert!(
                policy.starts_with("default-src 'none'; style-src 'self'") && !policy.contains("unsafe"),
                "{policy}"
            );
            assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
            for loaded in ["<script", "<style", "style=\"", "src=", "@import", "url("] {
                assert!(!page.contains(loaded), "{path} has {loaded}");
            }
        }
        let (status, headers, style) = get("/runbooks/style.css").await;
        assert_eq!((status, headers[header::CONTENT_TYPE].to_str().ok()), (StatusCode::OK, Some(CSS)));
        assert!(!style.contains("url(") && !style.contains("@import"), "{style}");
    }

    #[tokio::test]
    async fn an_unknown_step_is_told_with_those_that_exist() {
        for (path, link) in [
            ("/runbooks/weather", "href=\"timeout\""),
            ("/runbooks/a/b", "href=\"../timeout\""),
            ("/runbooks/..%2f..%2fetc", "href=\"timeout\""),
        ] {
            let (status, _, page) = get(path).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
            assert!(Step::ALL.iter().all(|step| page.contains(step.id())) && page.contains(link), "{path}: {page}");
        }
    }

    #[test]
    fn other_paths_and_methods_are_not_its_business() {
        for request in [Request::get("/"), Request::get("/runbooksy"), Request::post("/runbooks/logs")] {
            assert!(answer(&request.body(()).expect("a request")).is_none());
        }
    }
}
