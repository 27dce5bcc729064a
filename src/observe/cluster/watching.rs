//! One watch: lists, follows, starts again, and tells the store of all of it.

use std::{
    future::Future,
    mem::{self, Discriminant},
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures::StreamExt;
use hyper::{Request, Response, StatusCode};
use kube::{
    Api, Client,
    client::Body,
    runtime::watcher::{self, Event, watcher},
};
use tokio::{sync::mpsc, time::Instant};
use tower::{BoxError, Service};

use super::{
    bounded::Asked,
    client::WATCH_SECONDS,
    heard::{Message, WatchEvent},
    kinds::{Kept, Object, Served, WatchKind},
    options::Timings,
    pace::Pace,
    request::WatchRequest,
    trouble::Trouble,
    watched::{Unreadable, Watched},
};
use crate::snapshot::{
    ApiService, CertificateSigningRequest, ConfigMap, EndpointSlice, HorizontalPodAutoscaler, NetworkPolicy, Node, Pod,
    Role, RoleBinding, Service as KubernetesService, ServiceAccount, Workload,
};

/// After so many refusals in a row to go on from a resource version (a restored etcd knows none of the later ones),
/// the list is read again.
const REFUSALS_BEFORE_RELIST: u32 = 3;
/// A failure so long after the last try does not belong to the ones before. A quiet watch that goes on after a failure
/// tells nothing: time is the only sign that it went well.
const CALM: Duration = Duration::from_secs(10);

/// Runs a watch until the task is aborted.
pub(super) async fn run(
    client: Client,
    request: WatchRequest,
    run: u64,
    timings: Timings,
    messages: mpsc::Sender<Message>,
) {
    let teller = Teller { request: request.clone(), run, messages };
    let pace = Arc::new(Mutex::new(Pace::new(timings.retry)));
    let watch = Watch { client, request, timings, teller, pace };
    match watch.request.kind {
        WatchKind::ApiService => watch.run::<ApiService>().await,
        WatchKind::HorizontalPodAutoscaler => watch.run::<HorizontalPodAutoscaler>().await,
        WatchKind::Node => watch.run::<Node>().await,
        WatchKind::Service => watch.run::<KubernetesService>().await,
        WatchKind::EndpointSlice => watch.run::<EndpointSlice>().await,
        WatchKind::Deployment | WatchKind::DaemonSet | WatchKind::StatefulSet => watch.run::<Workload>().await,
        WatchKind::Pod => watch.run::<Pod>().await,
        WatchKind::NetworkPolicy => watch.run::<NetworkPolicy>().await,
        WatchKind::ServiceAccount => watch.run::<ServiceAccount>().await,
        WatchKind::ClusterRole | WatchKind::Role => watch.run::<Role>().await,
        WatchKind::ClusterRoleBinding | WatchKind::RoleBinding => watch.run::<RoleBinding>().await,
        WatchKind::ConfigMap => watch.run::<ConfigMap>().await,
        WatchKind::CertificateSigningRequest => watch.run::<CertificateSigningRequest>().await,
    }
}

struct Watch {
    client: Client,
    request: WatchRequest,
    timings: Timings,
    teller: Teller,
    pace: Arc<Mutex<Pace>>,
}

/// Why a stream is left for a new one, which begins with a list.
enum Restart {
    /// The API server does not have this version.
    NextVersion,
    /// What was seen cannot be gone on from.
    Relist,
    /// Nobody listens any more.
    Stop,
}

/// Failures of the same kind in a row, over all streams of a watch: a server that comes back refuses everything for a
/// moment, until it has read its RBAC objects, and that must not wait as long as the outage made it.
#[derive(Default)]
struct Failures {
    kind: Option<Discriminant<Trouble>>,
    in_a_row: u32,
    tried_again: Option<Instant>,
}

impl Failures {
    /// Counts a failure; the first of its kind is 1.
    fn count(&mut self, trouble: &Trouble) -> u32 {
        let kind = Some(mem::discriminant(trouble));
        let was_calm = self.tried_again.is_some_and(|tried_again| tried_again.elapsed() > CALM);
        if was_calm || self.kind != kind {
            self.in_a_row = 0;
        }
        self.kind = kind;
        self.in_a_row += 1;
        self.in_a_row
    }
}

impl Watch {
    async fn run<T: Kept>(self) {
        let kind = self.request.kind;
        let mut versions = kind.versions().iter().cycle();
        let mut version = versions.next().copied().unwrap_or("v1");
        let mut failures = Failures::default();
        loop {
            match self.follow::<T>(Served { kind, version }, &mut failures).await {
                Restart::NextVersion => version = versions.next().copied().unwrap_or("v1"),
                Restart::Relist => {}
                Restart::Stop => return,
            }
        }
    }

    /// Follows one stream for as long as it can be gone on with.
    async fn follow<T: Kept>(&self, served: Served, failures: &mut Failures) -> Restart {
        let listener =
            Listener { client: self.client.clone(), teller: self.teller.clone(), pace: Arc::clone(&self.pace) };
        let client = Client::new(listener, "default");
        let api: Api<Watched<T>> = match &self.request.namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &served),
            None => Api::all_with(client, &served),
        };
        // The default is a paged list, then a watch; streaming lists have no way back on a server that refuses them.
        let mut config = watcher::Config::default().timeout(WATCH_SECONDS).page_size(500);
        if let Some(selector) = self.request.label_selector() {
            config = config.labels(&selector);
        }
        if let Some(name) = &self.request.name {
            config = config.fields(&format!("metadata.name={name}"));
        }
        let mut stream = pin!(watcher(api, config));
        while let Some(event) = stream.next().await {
            let event = match event {
                Ok(event) => event,
                Err(error) => match self.recover(&error, failures).await {
                    Some(restart) => return restart,
                    None => continue,
                },
            };
            let event = match event {
                // Comes before each try of the list, so it is no sign of success.
                Event::Init => WatchEvent::Relisting,
                Event::InitApply(watched) => WatchEvent::Listed(self.object(watched)),
                Event::InitDone => {
                    *failures = Failures::default();
                    WatchEvent::Complete
                }
                Event::Apply(watched) => WatchEvent::Applied(self.object(watched)),
                Event::Delete(watched) => {
                    let metadata = kube::Resource::meta(&watched);
                    WatchEvent::Deleted {
                        namespace: metadata.namespace.clone().unwrap_or_default(),
                        name: metadata.name.clone().unwrap_or_default(),
                    }
                }
            };
            if !self.teller.tell(event).await {
                return Restart::Stop;
            }
        }
        Restart::Relist
    }

    /// Tells of a failure, waits, and says whether the stream must be given up.
    async fn recover(&self, error: &watcher::Error, failures: &mut Failures) -> Option<Restart> {
        let (trouble, verb) = Trouble::of_watch(error);
        let in_a_row = failures.count(&trouble);
        tracing::debug!(kind = %self.request.kind, verb, ?trouble, in_a_row, "a watch failed");
        let versions = self.request.kind.versions().len();
        if trouble == Trouble::NotFound && usize::try_from(in_a_row).is_ok_and(|count| count < versions) {
            return Some(Restart::NextVersion);
        }
        if !self.teller.tell(WatchEvent::Failed { verb, trouble: trouble.clone() }).await {
            return Some(Restart::Stop);
        }
        let lasting = matches!(trouble, Trouble::Forbidden | Trouble::NotFound);
        let backoff = if lasting { self.timings.retry_refused } else { self.timings.retry };
        tokio::time::sleep(backoff.delay(in_a_row)).await;
        failures.tried_again = Some(Instant::now());
        let refused_to_go_on = matches!(error, watcher::Error::WatchStartFailed(kube::Error::Api(_)));
        match trouble {
            Trouble::NotFound => Some(Restart::NextVersion),
            Trouble::Gone => Some(Restart::Relist),
            Trouble::Unreachable(_) if refused_to_go_on && in_a_row >= REFUSALS_BEFORE_RELIST => Some(Restart::Relist),
            Trouble::Unreachable(_) | Trouble::Forbidden => None,
        }
    }

    fn object<T: Kept>(&self, watched: Watched<T>) -> Result<Object, Box<Unreadable>> {
        let object = Arc::unwrap_or_clone(watched.object);
        object.map(|object| object.into_object(self.request.kind))
    }
}

/// Tells the store of one watch.
#[derive(Clone)]
struct Teller {
    request: WatchRequest,
    run: u64,
    messages: mpsc::Sender<Message>,
}

impl Teller {
    /// Whether somebody listens.
    async fn tell(&self, event: WatchEvent) -> bool {
        self.messages.send(Message::Watch { request: self.request.clone(), run: self.run, event }).await.is_ok()
    }
}

/// Passes requests on, no faster than they may come, and tells the store when a watch is accepted. kube's watcher is silent
/// about resumed watches, so that a quiet healthy watch and a broken one look the same from its events; and it asks again at
/// once whatever the answer is, if only it is none of 400 and above.
#[derive(Clone)]
struct Listener {
    client: Client,
    teller: Teller,
    pace: Arc<Mutex<Pace>>,
}

impl Listener {
    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The seconds of `Retry-After`; a date is not waited for.
fn retry_after<B>(answer: &Response<B>) -> Option<u64> {
    answer.headers().get(hyper::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

impl Service<Request<Body>> for Listener {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let listener = self.clone();
        let is_watch = Asked::of(request.uri()) == Asked::Watch;
        Box::pin(async move {
            let now = Instant::now();
            let at = listener.pace().next(is_watch, now);
            if at > now {
                tokio::time::sleep_until(at).await;
            }
            let answer = listener.client.send(request).await?;
            let status = answer.status();
            if let Some(seconds) = retry_after(&answer) {
                listener.pace().retry_after(seconds, Instant::now());
            }
            if is_watch && status == StatusCode::OK {
                listener.teller.tell(WatchEvent::Answered).await;
            }
            // Above these are errors to kube too.
            if status != StatusCode::OK && status.as_u16() < 400 {
                return Err(format!("HTTP status {} where a list or a watch was asked for", status.as_u16()).into());
            }
            Ok(answer)
        })
    }
}
