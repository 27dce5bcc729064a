//! The connection to the API server: configuration, time limits, and a record of what was asked.

use std::{
    collections::BTreeMap,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use hyper::{Request, Response, Uri};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder},
    config::{KubeConfigOptions, Kubeconfig},
};
use tower::{BoxError, Layer, Service};

use super::{
    bounded::{Asked, Bounded},
    kinds::WatchKind,
    trouble::one_line,
};
use crate::health::{RequestClass, RequestCount};

/// The server ends every watch after this time, so that a watch that lives answers anew at least as often.
pub(super) const WATCH_SECONDS: u32 = 60;
/// Above the longest silence of a watch, so that only a dead connection runs into it.
const READ_TIMEOUT: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A request that has no response headers by then is given up: kube itself waits for ever.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Shorter than a probe may take as a whole, so that an API server that cannot be dialled is told apart from one that
/// does not answer.
const PROBE_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

const UNFIT_TOKEN: &str = "the token holds a character that cannot be sent, such as the end of a line";

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[error("no connection to a cluster: {0}")]
pub struct ConnectError(String);

/// Two clients for one cluster. Neither tries again by itself: callers back off, and a 503 is what probes look for.
#[derive(Clone)]
pub struct Clients {
    /// For lists, watches and single objects.
    pub objects: Client,
    /// For calls through the aggregator, with connections of its own.
    pub probes: Client,
    /// What both have asked.
    pub requests: RequestLog,
    /// Whether the pod's own `ServiceAccount` is used, which means that the doctor runs inside the cluster.
    pub in_cluster: bool,
}

impl Clients {
    /// Connects with a kubeconfig where one is named, else with the pod's own `ServiceAccount`, else with the kubeconfig
    /// of the environment. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// When there is no configuration, or one that cannot be read; the text is one line with the whole chain of causes.
    pub async fn connect(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Self, ConnectError> {
        // `Config::infer` would take a kubeconfig first.
        if kubeconfig.is_none()
            && context.is_none()
            && let Ok(config) = Config::incluster()
        {
            return Ok(Self { in_cluster: true, ..Self::new(config)? });
        }
        let named = |text: String| match kubeconfig {
            Some(path) => ConnectError(format!("{}: {text}", path.display())),
            None => match Config::incluster() {
                Err(error) if context.is_none() => {
                    ConnectError(format!("{text}; and this is not a pod of a cluster: {}", one_line(&error)))
                }
                _ => ConnectError(text),
            },
        };
        let file = match kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        let file = file.map_err(|error| named(without_excerpt(&one_line(&error))))?;
        if let Some(wanted) = context.filter(|wanted| !file.contexts.iter().any(|known| known.name == *wanted)) {
            let known: Vec<&str> = file.contexts.iter().map(|context| context.name.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(named(format!("there is no context {wanted}; there are {known}")));
        }
        if let Some(user) = unknown_user(&file, context) {
            return Err(named(format!("the context names user {user}, and there is no such user in it")));
        }
        let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
        let config = Config::from_custom_kubeconfig(file, &options)
            .await
            .map_err(|error| named(without_excerpt(&one_line(&error))))?;
        if config.root_cert.as_ref().is_some_and(Vec::is_empty) {
            return Err(named("the certificate authority of the cluster holds no certificate".to_owned()));
        }
        Self::new(config).map_err(|ConnectError(text)| named(text))
    }

    /// Both clients for a configuration.
    ///
    /// # Errors
    ///
    /// When the configuration's certificates, keys or proxy cannot be used.
    pub fn new(mut config: Config) -> Result<Self, ConnectError> {
        let requests = RequestLog::default();
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(READ_TIMEOUT);
        // Otherwise the time that a pooled connection was idle counts against its next answer.
        config.reset_reader_on_write = true;
        // Fifteen tries of kube's own would hide a 503 for minutes.
        config.default_retry = false;
        let mut probe_config = config.clone();
        probe_config.connect_timeout = Some(PROBE_CONNECT_TIMEOUT);
        let build = |config: Config| -> Result<Client, ConnectError> {
            // kube takes it for granted that a token fits into a header.
            let builder = catch_unwind(AssertUnwindSafe(|| ClientBuilder::try_from(config)));
            let builder = builder.map_err(|_| ConnectError(UNFIT_TOKEN.to_owned()))?;
            let builder = builder.map_err(|error| ConnectError(one_line(&error)))?;
            Ok(builder.with_layer(&Timed { requests: requests.clone() }).build())
        };
        Ok(Self { objects: build(config)?, probes: build(probe_config)?, requests, in_cluster: false })
    }
}

/// The user that the context names, where there is none of that name: kube would go on without credentials.
fn unknown_user(file: &Kubeconfig, context: Option<&str>) -> Option<String> {
    let wanted = context.or(file.current_context.as_deref())?;
    let context = file.contexts.iter().find(|context| context.name == wanted)?.context.as_ref()?;
    let user = context.user.as_ref().filter(|user| !user.is_empty())?;
    (!file.auth_infos.iter().any(|known| known.name == *user)).then(|| user.clone())
}

/// Without the lines of the file that YAML's errors quote: a kubeconfig holds credentials.
fn without_excerpt(text: &str) -> String {
    text.split(" -->").next().unwrap_or(text).trim_end().to_owned()
}

/// Counts of all requests, shared by the clients.
#[derive(Debug, Clone, Default)]
pub struct RequestLog(Arc<Mutex<BTreeMap<RequestClass, RequestCount>>>);

impl RequestLog {
    fn record(&self, class: RequestClass, took: Duration) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count =
            counts.entry(class).or_insert(RequestCount { count: 0, total: Duration::ZERO, last: Instant::now() });
        count.count += 1;
        count.total += took;
        count.last = Instant::now();
    }

    /// The counts as they are now.
    pub fn counts(&self) -> BTreeMap<RequestClass, RequestCount> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Sets a limit on the time until response headers and on the size of answers, and counts.
struct Timed {
    requests: RequestLog,
}

impl<S> Layer<S> for Timed {
    type Service = TimedService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TimedService { inner, requests: self.requests.clone() }
    }
}

struct TimedService<S> {
    inner: S,
    requests: RequestLog,
}

impl<S, B> Service<Request<Body>> for TimedService<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: 'static,
{
    type Response = Response<Bounded<B>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Bounded<B>>, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (verb, group, resource) = classify(request.method() == hyper::Method::POST, request.uri());
        let requests = self.requests.clone();
        let asked = Asked::of(request.uri());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let started = Instant::now();
            let answer = tokio::time::timeout(HEADER_TIMEOUT, answer).await;
            let code = match &answer {
                Ok(Ok(response)) => response.status().as_u16(),
                Ok(Err(_)) | Err(_) => 0,
            };
            requests.record(RequestClass { verb, group, resource, code }, started.elapsed());
            match answer {
                Ok(answer) => answer.map(|answer| Bounded::answer(answer, asked)).map_err(Into::into),
                Err(_) => Err(format!("no response headers within {} s", HEADER_TIMEOUT.as_secs()).into()),
            }
        })
    }
}

/// What is asked for beside the kinds that are watched, with its group where others have the same.
const KNOWN: [(&str, Option<&str>); 13] = [
    ("pods/log", Some("")),
    ("events", None),
    ("nodes", Some("metrics.k8s.io")),
    ("pods", Some("metrics.k8s.io")),
    ("deployments/scale", Some("apps")),
    ("statefulsets/scale", Some("apps")),
    ("replicasets/scale", Some("apps")),
    ("replicationcontrollers/scale", Some("")),
    ("customresourcedefinitions", Some("apiextensions.k8s.io")),
    ("selfsubjectaccessreviews", Some("authorization.k8s.io")),
    ("selfsubjectrulesreviews", Some("authorization.k8s.io")),
    ("subjectaccessreviews", Some("authorization.k8s.io")),
    ("tokenreviews", Some("authentication.k8s.io")),
];
/// All that is not known.
const OTHER: &str = "other";

/// Verb, group and resource of a request: of a closed set.
fn classify(create: bool, uri: &Uri) -> (&'static str, String, String) {
    let path = uri.path();
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let group = match parts.as_slice() {
        ["api", _, _, ..] => {
            parts.drain(..2);
            ""
        }
        ["apis", group, _, _, ..] => {
            let group = *group;
            parts.drain(..3);
            group
        }
        ["version"] => return ("other", String::new(), path.to_owned()),
        ["api" | "apis", ..] => return ("other", String::new(), "/apis".to_owned()),
        _ => return ("other", String::new(), OTHER.to_owned()),
    };
    if parts.first() == Some(&"namespaces") && parts.len() > 2 {
        parts.drain(..2);
    }
    let resource = match parts.get(2) {
        Some(subresource) => format!("{}/{subresource}", parts[0]),
        None => parts[0].to_owned(),
    };
    let watch = uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "watch=true"));
    let verb = match (create, watch, parts.len()) {
        (true, ..) => "create",
        (_, true, _) => "watch",
        (_, _, 1) => "list",
        _ => "get",
    };
    // An autoscaler names any group and kind, which must not make a label each.
    match KNOWN.iter().find(|(known, of)| *known == resource && of.is_none_or(|of| of == group)) {
        Some(_) => (verb, group.to_owned(), resource),
        None if WatchKind::ALL.iter().any(|kind| kind.resource() == resource && kind.group() == group) => {
            (verb, group.to_owned(), resource)
        }
        None if parts.get(2) == Some(&"scale") => (verb, String::new(), "*/scale".to_owned()),
        None => (verb, String::new(), OTHER.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_apart_by_verb_and_resource_and_never_by_name() {
        for (path, verb, group, resource) in [
            ("/api/v1/nodes?limit=500", "list", "", "nodes"),
            ("/api/v1/namespaces/kube-system/pods?&watch=true&labelSelector=a", "watch", "", "pods"),
            ("/api/v1/namespaces/kube-system/pods/p/log?container=c", "get", "", "pods/log"),
            ("/apis/apps/v1/namespaces/shop/deployments/web/scale", "get", "apps", "deployments/scale"),
            ("/apis/metrics.k8s.io/v1beta1/nodes", "list", "metrics.k8s.io", "nodes"),
            ("/version", "other", "", "/version"),
            ("/apis/apps/v1", "other", "", "/apis"),
            ("/apis/a.tenant.wrote.this", "other", "", "/apis"),
            ("/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/web/scale", "get", "", "*/scale"),
            ("/apis/a.tenant/v1/namespaces/shop/whatever/web", "get", "", "other"),
            ("/healthz/whatever", "other", "", "other"),
        ] {
            let uri: Uri = path.parse().expect("a path");
            assert_eq!(classify(false, &uri), (verb, group.to_owned(), resource.to_owned()), "{path}");
        }
        let uri = Uri::from_static("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews");
        assert_eq!(classify(true, &uri).0, "create");
    }

    #[tokio::test]
    async fn a_token_that_cannot_be_sent_is_one_clear_line() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let kubeconfig = "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: a, user: a}}]\n\
            clusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}]\nusers: [{name: a, user: {token: \"abc\\n\"}}]\n";
        std::fs::write(file.path(), kubeconfig).expect("written");
        let error = Clients::connect(Some(file.path()), None).await.err().expect("an error").to_string();
        assert!(error.contains("the token holds") && !error.contains("abc"), "{error}");
    }

    #[tokio::test]
    async fn a_missing_kubeconfig_is_one_clear_line() {
        let missing = Path::new("/does/not/exist");
        let error = Clients::connect(Some(missing), None).await.err().expect("an error").to_string();
        assert!(error.contains("/does/not/exist") && !error.contains('\n'), "{error}");
    }
}
