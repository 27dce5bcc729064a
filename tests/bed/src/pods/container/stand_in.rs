//! A server in the place of metrics-server's port that answers probes and discovery, and fails whoever asks for metrics.

use std::{fs::File, io, net::SocketAddr, path::Path, sync::Arc, thread};

use anyhow::{Context, Result};
use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

use crate::{certificates::Certificates, kubelet};

/// The port to which the real metrics-server moves meanwhile.
pub(super) const OTHER_PORT: u16 = 10251;

/// How calls for metrics fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsApiFault {
    /// The connection is closed without an answer.
    Closes,
    /// The connection is reset without an answer.
    Resets,
    /// The answer is 429 Too Many Requests.
    TooManyRequests,
}

/// The server, ended when dropped.
#[derive(Debug)]
pub(super) struct StandIn(JoinHandle<()>);

impl Drop for StandIn {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl StandIn {
    /// Listens in the network namespace of a pod.
    pub(super) fn start(
        namespace: &Path,
        address: SocketAddr,
        certificates: &Certificates,
        fault: MetricsApiFault,
    ) -> Result<Self> {
        let acceptor = TlsAcceptor::from(Arc::new(kubelet::server_configuration(certificates, "metrics-server")?));
        let listener = listen_inside(namespace, address)?;
        Ok(Self(tokio::spawn(async move {
            // Connections that are under way end with the server.
            let (_alive, over) = watch::channel(());
            while let Ok((connection, _)) = listener.accept().await {
                if fault == MetricsApiFault::Resets && connection.set_zero_linger().is_err() {
                    continue;
                }
                let (acceptor, mut over) = (acceptor.clone(), over.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(connection).await else { return };
                    let served = http1::Builder::new().serve_connection(
                        TokioIo::new(stream),
                        service_fn(move |request| std::future::ready(answer(&request, fault))),
                    );
                    // An error is the end of the connection, on either side.
                    tokio::select! {
                        _ = served => {}
                        _ = over.changed() => {}
                    }
                });
            }
        })))
    }
}

/// A socket belongs to the namespace of the thread that made it, so a thread of its own enters the pod's.
fn listen_inside(namespace: &Path, address: SocketAddr) -> Result<TcpListener> {
    let file = File::open(namespace)?;
    let made = thread::spawn(move || -> io::Result<std::net::TcpListener> {
        move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), Some(LinkNameSpaceType::Network))?;
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    let listener = made.join().ok().context("the thread panicked")?.context("the stand-in does not listen")?;
    Ok(TcpListener::from_std(listener)?)
}

/// An error makes the server drop the connection.
fn answer(request: &Request<Incoming>, fault: MetricsApiFault) -> Result<Response<Full<Bytes>>, io::Error> {
    let answer = |status: StatusCode, kind: &'static str, body: &'static str| {
        let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        Ok(response)
    };
    match request.uri().path().trim_end_matches('/') {
        "/readyz" | "/livez" | "/healthz" => answer(StatusCode::OK, "text/plain", "ok"),
        "/apis/metrics.k8s.io/v1beta1" => answer(StatusCode::OK, "application/json", RESOURCES),
        path if !path.starts_with("/apis/metrics.k8s.io/v1beta1/") => {
            answer(StatusCode::NOT_FOUND, "text/plain", "404 page not found\n")
        }
        _ if fault == MetricsApiFault::TooManyRequests => {
            answer(StatusCode::TOO_MANY_REQUESTS, "text/plain", "Too many requests, please try again later.\n")
        }
        _ => Err(io::ErrorKind::ConnectionAborted.into()),
    }
}

const RESOURCES: &str = r#"{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"metrics.k8s.io/v1beta1","resources":[
{"name":"nodes","singularName":"","namespaced":false,"kind":"NodeMetrics","verbs":["get","list"]},
{"name":"pods","singularName":"","namespaced":true,"kind":"PodMetrics","verbs":["get","list"]}]}"#;
