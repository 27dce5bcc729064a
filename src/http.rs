//! The HTTP server: pages that were rendered before anybody asked.

mod negotiation;

use std::{
    convert::Infallible,
    future::Future,
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use arc_swap::ArcSwap;
use flate2::{Compression, write::GzEncoder};
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{self, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
};

/// Connections at the same time; more wait.
const CONNECTIONS: usize = 128;
/// Above usual scrape intervals, since it also ends idle connections.
const HEADER_TIMEOUT: Duration = Duration::from_secs(90);
/// The longest life of a connection: whoever never reads an answer must not hold a place for ever.
const CONNECTION_TIME: Duration = Duration::from_mins(15);
/// How long answers under way may take after that, or after the server was told to end.
const DRAIN_TIME: Duration = Duration::from_secs(5);
const LONGEST_HEAD: usize = 16 * 1024;
/// Smaller answers gain nothing from compression.
const WORTH_COMPRESSING: usize = 1024;
/// After a failed accept, for example without file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// One text and, once somebody has asked for it, its compressed form.
#[derive(Debug, Default)]
struct Document {
    plain: Bytes,
    compressed: OnceLock<Option<Bytes>>,
}

impl Document {
    fn new(text: String) -> Self {
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

    fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let content = self.0.load();
        match request.uri().path() {
            "/metrics" if negotiation::wants_open_metrics(request.headers()) => {
                document(request, OPEN_METRICS, &content.open_metrics)
            }
            "/metrics" => document(request, CLASSIC, &content.classic),
            "/api/v1/report" => document(request, JSON, &content.report),
            "/" => document(request, HTML, &content.status_page),
            "/livez" => plain(StatusCode::OK, "ok\n"),
            "/readyz" if content.ready => plain(StatusCode::OK, "ok\n"),
            "/readyz" => plain(StatusCode::SERVICE_UNAVAILABLE, "the first complete look is not done yet\n"),
            _ => plain(StatusCode::NOT_FOUND, "not here; try /, /metrics, /api/v1/report, /livez, /readyz\n"),
        }
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PLAIN));
    response
}

fn document<B>(request: &Request<B>, content_type: &'static str, document: &Document) -> Response<Full<Bytes>> {
    let compressed = if negotiation::accepts_gzip(request.headers()) { document.compressed() } else { None };
    let is_compressed = compressed.is_some();
    let mut response = Response::new(Full::new(compressed.unwrap_or_else(|| document.plain.clone())));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if is_compressed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// Listens on `address`; on a machine without IPv6 the address of all interfaces means IPv4's.
///
/// # Errors
///
/// When the address cannot be had, for example because the port is in use.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    match bound {
        Err(error) if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port())).await
        }
        bound => bound,
    }
}

/// Serves until `shutdown` ends, then lets answers under way finish.
pub async fn serve(listener: TcpListener, site: Site, shutdown: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let (ending, _) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accept = async {
            // The semaphore is never closed.
            let place = Arc::clone(&places).acquire_owned().await.ok();
            (place, listener.accept().await)
        };
        tokio::select! {
            () = &mut shutdown => break,
            (place, accepted) = accept => match accepted {
                Ok((stream, _)) => {
                    let connection = connection(stream, site.clone(), ending.subscribe());
                    connections.spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "no connection accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
        // Ended tasks are joined here, so that the set does not grow.
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    ending.send_replace(true);
    let drained = async { while connections.join_next().await.is_some() {} };
    // Whoever still reads after that time is cut off.
    drop(tokio::time::timeout(DRAIN_TIME, drained).await);
}

async fn connection(stream: TcpStream, site: Site, mut ending: watch::Receiver<bool>) {
    // Without it only latency is worse.
    drop(stream.set_nodelay(true));
    let service = service_fn(move |request: Request<Incoming>| {
        let response = site.answer(&request);
        async move { Ok::<_, Infallible>(response) }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(LONGEST_HEAD)
            .serve_connection(TokioIo::new(stream), service)
    );
    let told_to_end = async {
        tokio::select! {
            _ = ending.wait_for(|ending| *ending) => {}
            () = tokio::time::sleep(CONNECTION_TIME) => {}
        }
    };
    tokio::select! {
        // A client that goes away in the middle is its own business.
        _ = connection.as_mut() => return,
        () = told_to_end => {}
    }
    connection.as_mut().graceful_shutdown();
    drop(tokio::time::timeout(DRAIN_TIME, connection).await);
}

#[cfg(test)]
mod tests;
