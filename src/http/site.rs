//! What is answered, path by path: pages that were rendered before anybody asked.

use std::{
    io::Write as _,
    sync::{Arc, OnceLock},
};

use arc_swap::ArcSwap;
use flate2::{Compression, write::GzEncoder};
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Bytes,
    header::{self, HeaderValue},
};

use super::negotiation;

/// Smaller answers gain nothing from compression.
const WORTH_COMPRESSING: usize = 1024;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";
pub(super) const HTML: &str = "text/html; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// The pages hold one style sheet and nothing else that a browser would load or run.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// An answer; its body is shared with all others of the same page.
pub(super) type Answer = Response<Full<Bytes>>;

/// A path that is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Route {
    Metrics,
    Report,
    StatusPage,
    Live,
    Ready,
}

impl Route {
    pub(super) fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/metrics" => Self::Metrics,
            "/api/v1/report" => Self::Report,
            "/" => Self::StatusPage,
            "/livez" => Self::Live,
            "/readyz" => Self::Ready,
            _ => return None,
        })
    }

    /// As a rule of RBAC names it under `nonResourceURLs`; `None` for probes, which are open to all: a kubelet brings neither
    /// a token nor a certificate.
    pub(super) fn guarded(self) -> Option<&'static str> {
        match self {
            Self::Metrics => Some("/metrics"),
            Self::Report => Some("/api/v1/report"),
            Self::StatusPage => Some("/"),
            Self::Live | Self::Ready => None,
        }
    }
}

/// One text and, once somebody has asked for it, its compressed form.
#[derive(Debug, Default)]
pub(super) struct Document {
    plain: Bytes,
    compressed: OnceLock<Option<Bytes>>,
}

impl Document {
    pub(super) fn new(text: String) -> Self {
        Self { plain: text.into(), compressed: OnceLock::new() }
    }

    fn compressed(&self) -> Option<Bytes> {
        let compress = || {
            let mut encoder = GzEncoder::new(Vec::with_capacity(self.plain.len() / 4), Compression::fast());
            encoder.write_all(&self.plain).ok()?;
            Some(encoder.finish().ok()?.into())
        };
        if self.plain.len() < WORTH_COMPRESSING {
            return None;
        }
        self.compressed.get_or_init(compress).clone()
    }
}

/// Everything that the server answers with, rendered from one look.
#[derive(Debug, Default)]
pub struct Content {
    open_metrics: Document,
    classic: Document,
    report: Document,
    status_page: Document,
    ready: bool,
}

impl Content {
    /// The page in both formats, the report as JSON, the status page, and whether the first complete look is done.
    pub fn new(open_metrics: String, report: String, status_page: String, ready: bool) -> Self {
        Self {
            classic: Document::new(crate::render::metrics::to_classic(&open_metrics)),
            open_metrics: Document::new(open_metrics),
            report: Document::new(report),
            status_page: Document::new(status_page),
            ready,
        }
    }
}

/// What the server shows now; cheap to clone, replaced as a whole.
#[derive(Debug, Clone, Default)]
pub struct Site(Arc<ArcSwap<Content>>);

impl Site {
    /// Shows new content to every later request.
    pub fn replace(&self, content: Content) {
        self.0.store(Arc::new(content));
    }

    pub(super) fn answer<B>(&self, route: Route, request: &Request<B>) -> Answer {
        let content = self.0.load();
        match route {
            Route::Metrics if negotiation::wants_open_metrics(request.headers()) => {
                document(request, OPEN_METRICS, &content.open_metrics)
            }
            Route::Metrics => document(request, CLASSIC, &content.classic),
            Route::Report => document(request, JSON, &content.report),
            Route::StatusPage => document(request, HTML, &content.status_page),
            Route::Live => plain(StatusCode::OK, "ok\n"),
            Route::Ready if content.ready => plain(StatusCode::OK, "ok\n"),
            Route::Ready => {
                plain(StatusCode::SERVICE_UNAVAILABLE, "not ready: the first full observation is pending\n")
            }
        }
    }
}

/// The answer to a request for which no rights and no content are needed, or the route that it asks for.
pub(super) fn route<B>(request: &Request<B>) -> Result<Route, Box<Answer>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Err(Box::new(response));
    }
    Route::of(request.uri().path()).ok_or_else(|| {
        plain(StatusCode::NOT_FOUND, "not here; try /, /metrics, /api/v1/report, /runbooks/, /livez, /readyz\n").into()
    })
}

pub(super) fn plain(status: StatusCode, text: &'static str) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PLAIN));
    response
}

pub(super) fn document<B>(request: &Request<B>, content_type: &'static str, document: &Document) -> Answer {
    let compressed = if negotiation::accepts_gzip(request.headers()) { document.compressed() } else { None };
    let is_compressed = compressed.is_some();
    let mut response = Response::new(Full::new(compressed.unwrap_or_else(|| document.plain.clone())));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    if is_compressed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> Site {
        let site = Site::default();
        let page = format!("# TYPE a gauge\n{}# EOF\n", "a{b=\"c\"} 1\n".repeat(200));
        site.replace(Content::new(page, "{}".to_owned(), "<!doctype html>".to_owned(), false));
        site
    }

    fn request(method: Method, path: &str, headers: &[(header::HeaderName, &str)]) -> Request<()> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        request.body(()).expect("a request")
    }

    fn answer(site: &Site, request: &Request<()>) -> Answer {
        route(request).map_or_else(|answer| *answer, |route| site.answer(route, request))
    }

    fn content_type(response: &Answer) -> &str {
        response.headers()[header::CONTENT_TYPE].to_str().expect("text")
    }

    #[test]
    fn every_path_answers_with_its_type() {
        let site = site();
        for (path, status, kind) in [
            ("/metrics", 200, CLASSIC),
            ("/api/v1/report", 200, JSON),
            ("/", 200, HTML),
            ("/livez", 200, PLAIN),
            ("/readyz", 503, PLAIN),
            ("/nowhere", 404, PLAIN),
        ] {
            let response = answer(&site, &request(Method::GET, path, &[]));
            assert_eq!((response.status().as_u16(), content_type(&response)), (status, kind), "{path}");
        }
        let open_metrics = [(header::ACCEPT, "application/openmetrics-text")];
        assert_eq!(content_type(&answer(&site, &request(Method::GET, "/metrics", &open_metrics))), OPEN_METRICS);
    }

    #[test]
    fn it_is_ready_after_the_first_complete_look() {
        let site = site();
        site.replace(Content::new(String::new(), String::new(), String::new(), true));
        assert_eq!(answer(&site, &request(Method::GET, "/readyz", &[])).status(), StatusCode::OK);
    }

    #[test]
    fn only_reading_is_possible() {
        let response = answer(&site(), &request(Method::POST, "/metrics", &[]));
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[header::ALLOW], "GET, HEAD");
    }

    #[test]
    fn large_pages_are_compressed_where_asked_and_small_ones_never() {
        let site = site();
        let gzip = [(header::ACCEPT_ENCODING, "gzip")];
        let large = answer(&site, &request(Method::GET, "/metrics", &gzip));
        assert_eq!(large.headers()[header::CONTENT_ENCODING], "gzip");
        let small = answer(&site, &request(Method::GET, "/api/v1/report", &gzip));
        assert!(!small.headers().contains_key(header::CONTENT_ENCODING));
    }

    #[test]
    fn only_probes_are_open_to_all() {
        for path in ["/metrics", "/", "/api/v1/report", "/livez", "/readyz"] {
            let guarded = Route::of(path).expect("a route").guarded();
            assert_eq!(guarded, if path.ends_with('z') { None } else { Some(path) });
        }
    }
}
