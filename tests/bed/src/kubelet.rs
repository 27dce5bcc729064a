//! One HTTPS server that plays the kubelet of every node: resource metrics and container logs. As a real kubelet it asks
//! the API server who its callers are and what they may read.

mod access;
mod faults;
mod page;
mod tls;

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use anyhow::{Context, Result};
use futures::StreamExt;
use http_body_util::{Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use kube::Client;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

pub use self::faults::{MetricsFault, ServingCertificate};
pub(crate) use self::tls::server_configuration;
use self::{access::Access, faults::Faults, page::RunningPod, tls::Acceptors};
use crate::{
    certificates::Certificates,
    isolation::KUBELET_ADDRESS,
    log::{ContainerLog, LogQuery},
};

/// The port on which it serves, as every kubelet does.
pub const PORT: u16 = 10250;

type Body = UnsyncBoxBody<Bytes, Infallible>;
type Names = (String, String);

#[derive(Debug, Default)]
struct State {
    pods: BTreeMap<Names, RunningPod>,
    logs: HashMap<(String, String, String), Arc<ContainerLog>>,
    faults: Faults,
}

/// What the kubelet knows, shared by its server and by those who run pods.
#[derive(Debug)]
pub struct Kubelet {
    state: Mutex<State>,
    certificate: watch::Sender<ServingCertificate>,
    access: OnceLock<Access>,
}

impl Default for Kubelet {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            certificate: watch::Sender::new(ServingCertificate::Signed),
            access: OnceLock::new(),
        }
    }
}

impl Kubelet {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks this API server about callers from now on; until then nobody is let in.
    pub(crate) fn ask(&self, client: Client) {
        let _ = self.access.set(Access::new(client));
    }

    /// Counts the pod's containers among what the node runs.
    pub(crate) fn pod_runs(&self, namespace: &str, pod: &str, node: &str, containers: Vec<String>) {
        let running = RunningPod { node: node.to_owned(), containers, started: Timestamp::now() };
        self.state().pods.insert((namespace.to_owned(), pod.to_owned()), running);
    }

    /// Forgets a pod, its logs included.
    pub(crate) fn pod_is_gone(&self, namespace: &str, pod: &str) {
        let mut state = self.state();
        state.pods.remove(&(namespace.to_owned(), pod.to_owned()));
        state.logs.retain(|(other_namespace, other_pod, _), _| other_namespace != namespace || other_pod != pod);
    }

    /// The log of a container, made at the first call.
    pub fn log(&self, namespace: &str, pod: &str, container: &str) -> Arc<ContainerLog> {
        let key = (namespace.to_owned(), pod.to_owned(), container.to_owned());
        Arc::clone(self.state().logs.entry(key).or_default())
    }

    /// Requests for the metrics of that node, or of every node, go wrong in this way from now on.
    pub fn fault(&self, node: Option<&str>, fault: MetricsFault) {
        self.state().faults.begin(node, fault);
    }

    /// Serves with another certificate from now on; open connections end.
    pub fn serve_with(&self, certificate: ServingCertificate) {
        self.certificate.send_replace(certificate);
    }

    /// Whether the right `nodes/stats` is enough for metrics, for objects of versions whose program cannot be built.
    pub fn accept_statistics_right(&self, accept: bool) {
        if let Some(access) = self.access.get() {
            access.accept_statistics_right(accept);
        }
    }

    /// Ends every fault.
    pub fn heal(&self) {
        self.state().faults = Faults::default();
        self.serve_with(ServingCertificate::Signed);
    }

    /// Serves until the process ends.
    pub(crate) async fn serve(self: Arc<Self>, certificates: &Certificates) -> Result<()> {
        let acceptors = Arc::new(Acceptors::new(certificates)?);
        let listener = TcpListener::bind((KUBELET_ADDRESS, PORT)).await.context("the kubelet's port is taken")?;
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let kubelet = Arc::clone(&self);
                let acceptors = Arc::clone(&acceptors);
                tokio::spawn(async move { kubelet.serve_connection(connection, &acceptors).await });
            }
        });
        Ok(())
    }

    async fn serve_connection(self: Arc<Self>, connection: TcpStream, acceptors: &Acceptors) {
        let mut certificate = self.certificate.subscribe();
        let kind = *certificate.borrow_and_update();
        let Some(stream) = acceptors.accept(kind, connection).await else { return };
        let service = service_fn(|request| {
            let kubelet = Arc::clone(&self);
            async move { Ok::<_, Infallible>(kubelet.answer(&request).await) }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        // An error here is the client's end of the connection.
        tokio::select! {
            _ = connection => {}
            _ = certificate.changed() => {}
        }
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        let path: Vec<_> = request.uri().path().trim_matches('/').split('/').collect();
        match path.as_slice() {
            ["metrics", "nodes", node, "metrics", "resource"] => {
                let (status, body) = self.metrics(request, node).await;
                text(status, body)
            }
            ["containerLogs", namespace, pod, container] => {
                let query = LogQuery::parse(request.uri().query().unwrap_or_default());
                let key = ((*namespace).to_owned(), (*pod).to_owned(), (*container).to_owned());
                let Some(log) = self.state().logs.get(&key).cloned() else {
                    return text(StatusCode::NOT_FOUND, format!("no log of {namespace}/{pod}/{container}\n"));
                };
                let frames = log.chunks(query).map(|text| Ok(Frame::data(Bytes::from(text))));
                Response::new(Body::new(StreamBody::new(frames)))
            }
            ["healthz"] => text(StatusCode::OK, "ok".to_owned()),
            _ => text(StatusCode::NOT_FOUND, "404 page not found\n".to_owned()),
        }
    }

    async fn metrics(&self, request: &Request<Incoming>, node: &str) -> (StatusCode, String) {
        let bearer = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        let token = bearer.and_then(|value| value.strip_prefix("Bearer "));
        let Some(access) = self.access.get() else {
            return (StatusCode::SERVICE_UNAVAILABLE, "the kubelet is starting\n".to_owned());
        };
        if let Err(refused) = access.may_read_metrics(token).await {
            return refused;
        }
        let faults = self.state().faults.of(node);
        for fault in &faults {
            match fault {
                MetricsFault::Status(code) => {
                    let status = StatusCode::from_u16(*code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                    return (status, status.to_string());
                }
                MetricsFault::Slow(delay) => tokio::time::sleep(*delay).await,
                MetricsFault::Garbage => {
                    return (StatusCode::OK, "<html><body>It works!</body></html>\n".to_owned());
                }
                MetricsFault::WithoutNode | MetricsFault::EmptyContainers(_) | MetricsFault::Frozen(_) => {}
            }
        }
        (StatusCode::OK, page::resource_metrics(&self.state().pods, node, &faults))
    }
}

fn text(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::new(Bytes::from(body))));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static("text/plain; version=0.0.4"));
    response
}
