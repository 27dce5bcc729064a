//! One HTTPS server that plays the kubelet of every node: resource metrics and container logs.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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
use tokio::net::TcpListener;
use tokio_rustls::{TlsAcceptor, rustls};

use crate::{
    certificates::Certificates,
    isolation::KUBELET_ADDRESS,
    log::{ContainerLog, LogQuery},
};

/// The port on which it serves, as every kubelet does.
pub const PORT: u16 = 10250;

/// Seconds of processor time that every container is said to use in a second.
const CONTAINER_CPU: f64 = 0.1;
const CONTAINER_MEMORY: u64 = 50 << 20;

#[derive(Debug)]
struct RunningPod {
    node: String,
    containers: Vec<String>,
    started: Timestamp,
}

type Body = UnsyncBoxBody<Bytes, std::convert::Infallible>;
type Names = (String, String);

#[derive(Debug, Default)]
struct State {
    pods: BTreeMap<Names, RunningPod>,
    logs: HashMap<(String, String, String), Arc<ContainerLog>>,
    refuse_metrics: Option<StatusCode>,
}

/// What the kubelet knows, shared by its server and by those who run pods.
#[derive(Debug, Default)]
pub struct Kubelet {
    state: Mutex<State>,
}

impl Kubelet {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Answers requests for metrics with this status from now on; `None` heals.
    pub fn refuse_metrics(&self, status: Option<u16>) {
        self.state().refuse_metrics = status.and_then(|status| StatusCode::from_u16(status).ok());
    }

    /// Serves until the process ends.
    pub(crate) async fn serve(self: Arc<Self>, certificates: &Certificates) -> Result<()> {
        let acceptor = TlsAcceptor::from(Arc::new(server_configuration(certificates)?));
        let listener = TcpListener::bind((KUBELET_ADDRESS, PORT)).await.context("the kubelet's port is taken")?;
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                let kubelet = Arc::clone(&self);
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(connection).await else { return };
                    let service = service_fn(move |request| {
                        let kubelet = Arc::clone(&kubelet);
                        async move { Ok::<_, std::convert::Infallible>(kubelet.answer(&request)) }
                    });
                    // An error here is the client's end of the connection.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(())
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        let path: Vec<_> = request.uri().path().trim_matches('/').split('/').collect();
        match path.as_slice() {
            ["metrics", "nodes", node, "metrics", "resource"] => {
                let refused = self.state().refuse_metrics;
                refused.map_or_else(
                    || text(StatusCode::OK, self.resource_metrics(node)),
                    |status| text(status, status.to_string()),
                )
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

    /// The page of one node, with samples of this very moment.
    fn resource_metrics(&self, node: &str) -> String {
        let now = Timestamp::now();
        let at = now.as_millisecond();
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit")]
        let uptime = at as f64 / 1000.0 - 1_700_000_000.0;
        let mut page = String::new();
        let mut family = |name: &str, kind: &str, samples: String| {
            // Writing to a String does not fail.
            let _ = write!(page, "# HELP {name} [STABLE]\n# TYPE {name} {kind}\n{samples}");
        };
        let state = self.state();
        let containers: Vec<_> = state
            .pods
            .iter()
            .filter(|(_, pod)| pod.node == node)
            .flat_map(|((namespace, name), pod)| {
                pod.containers.iter().map(move |container| {
                    let labels = format!(r#"{{container="{container}",namespace="{namespace}",pod="{name}"}}"#);
                    (labels, now.duration_since(pod.started).as_secs_f64(), pod.started)
                })
            })
            .collect();
        let each = |value: &dyn Fn(f64, Timestamp) -> String| -> String {
            containers.iter().fold(String::new(), |mut all, (labels, age, started)| {
                let _ = writeln!(all, "{labels} {}", value(*age, *started));
                all
            })
        };
        let named = |name: &str, samples: String| -> String {
            samples.lines().fold(String::new(), |mut all, line| {
                let _ = writeln!(all, "{name}{line}");
                all
            })
        };
        let name = "container_cpu_usage_seconds_total";
        family(name, "counter", named(name, each(&|age, _| format!("{:.6} {at}", (age + 1.0) * CONTAINER_CPU))));
        let name = "container_memory_working_set_bytes";
        family(name, "gauge", named(name, each(&|_, _| format!("{CONTAINER_MEMORY} {at}"))));
        let name = "container_start_time_seconds";
        family(name, "gauge", named(name, each(&|_, started| format!("{}", started.as_second()))));
        let name = "node_cpu_usage_seconds_total";
        family(name, "counter", format!("{name} {:.6} {at}\n", uptime * 0.2));
        let name = "node_memory_working_set_bytes";
        family(name, "gauge", format!("{name} {} {at}\n", 1_u64 << 30));
        page
    }
}

fn text(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::new(Bytes::from(body))));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static("text/plain; version=0.0.4"));
    response
}

fn server_configuration(certificates: &Certificates) -> Result<rustls::ServerConfig> {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    let chain = CertificateDer::pem_file_iter(certificates.path("kubelet.crt"))?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(certificates.path("kubelet.key"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?)
}
