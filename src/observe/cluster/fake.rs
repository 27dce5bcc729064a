//! A small API server on loopback: lists from a map, watches that deliver what changes, and faults on demand.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::stream;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response, StatusCode, Uri,
    body::{Bytes, Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use super::Clients;

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// How requests for a resource are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// This code for lists and watches, as a Status.
    Status(u16),
    /// This code for watches only.
    WatchStatus(u16),
    /// No answer at all.
    Hang,
    /// 404 as the aggregator writes it: plain text.
    NotServed,
}

#[derive(Debug, Default)]
struct State {
    version: u64,
    /// By plural, namespace and name.
    objects: BTreeMap<(String, String, String), Value>,
    /// Version, plural, and the event's line.
    events: Vec<(u64, String, &'static str, Value)>,
    /// Watches from an older version than this get 410.
    compacted: u64,
    faults: BTreeMap<String, Fault>,
    /// Fixed answers by path.
    answers: BTreeMap<String, (u16, String)>,
    requests: Vec<String>,
    denied: BTreeSet<String>,
    /// Users by token.
    tokens: BTreeMap<String, String>,
    /// Users or groups, each with a path that they may get.
    readers: BTreeSet<(String, String)>,
    /// Objects a page.
    page: usize,
}

/// A running server; dropping it ends it.
pub(crate) struct FakeServer {
    state: Arc<Mutex<State>>,
    /// Counts changes; watches wait for it.
    changes: watch::Sender<u64>,
    /// Counts cuts; watches end when it grows.
    cuts: watch::Sender<u64>,
    address: String,
    task: JoinHandle<()>,
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakeServer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::new(Mutex::new(State { version: 100, page: 2, ..State::default() }));
        let (changes, _) = watch::channel(0);
        let (cuts, _) = watch::channel(0);
        let handler = Handler { state: Arc::clone(&state), changes: changes.subscribe(), cuts: cuts.subscribe() };
        let task = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let handler = handler.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let handler = handler.clone();
                        async move { Ok::<_, Infallible>(handler.answer(request).await) }
                    });
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(connection), service).await;
                });
            }
        });
        let server = Self { state, changes, cuts, address, task };
        server.answer("/version", 200, r#"{"major": "1", "minor": "37", "gitVersion": "v1.37.2", "buildDate": "", "compiler": "", "gitCommit": "", "gitTreeState": "", "goVersion": "", "platform": ""}"#);
        server
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn clients(&self) -> Clients {
        let config = kube::Config::new(self.address.parse::<Uri>().expect("an address"));
        Clients::new(config).expect("clients")
    }

    /// Creates or replaces an object.
    pub(crate) fn put(&self, plural: &str, mut object: Value) {
        let mut state = self.state();
        state.version += 1;
        let version = state.version;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        let key = (plural.to_owned(), text("namespace"), text("name"));
        let kind = if state.objects.contains_key(&key) { "MODIFIED" } else { "ADDED" };
        state.objects.insert(key, object.clone());
        state.events.push((version, plural.to_owned(), kind, object));
        drop(state);
        self.changes.send_modify(|count| *count += 1);
    }

    pub(crate) fn delete(&self, plural: &str, namespace: &str, name: &str) {
        let mut state = self.state();
        state.version += 1;
        let version = state.version;
        let mut object = state
            .objects
            .remove(&(plural.to_owned(), namespace.to_owned(), name.to_owned()))
            .expect("an object to delete");
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        state.events.push((version, plural.to_owned(), "DELETED", object));
        drop(state);
        self.changes.send_modify(|count| *count += 1);
    }

    /// Removes an object without an event: only a new list shows that it is gone.
    pub(crate) fn vanish(&self, plural: &str, namespace: &str, name: &str) {
        self.state().objects.remove(&(plural.to_owned(), namespace.to_owned(), name.to_owned()));
    }

    /// Makes pages as large as they are asked for, where the default is small so that a few objects make several.
    pub(crate) fn make_large_pages(&self) {
        self.state().page = 500;
    }

    pub(crate) fn fail(&self, plural: &str, fault: Fault) {
        self.state().faults.insert(plural.to_owned(), fault);
    }

    pub(crate) fn heal(&self, plural: &str) {
        self.state().faults.remove(plural);
    }

    /// What the review of permissions answers for a resource.
    pub(crate) fn deny(&self, resource: &str) {
        self.state().denied.insert(resource.to_owned());
    }

    /// Ends [`FakeServer::deny`].
    pub(crate) fn allow(&self, resource: &str) {
        self.state().denied.remove(resource);
    }

    /// Accepts a token as that of a user; all others are unknown.
    pub(crate) fn issue(&self, token: &str, user: &str) {
        self.state().tokens.insert(token.to_owned(), user.to_owned());
    }

    pub(crate) fn revoke(&self, token: &str) {
        self.state().tokens.remove(token);
    }

    /// Lets a user, or a group, get a path that is no resource.
    pub(crate) fn allow_path(&self, subject: &str, path: &str) {
        self.state().readers.insert((subject.to_owned(), path.to_owned()));
    }

    /// Answers a path always the same.
    pub(crate) fn answer(&self, path: &str, code: u16, body: &str) {
        self.state().answers.insert(path.to_owned(), (code, body.to_owned()));
    }

    /// Takes back what [`Self::answer`] has set.
    pub(crate) fn forget_answer(&self, path: &str) {
        self.state().answers.remove(path);
    }

    /// Ends all watches, as a server that restarts does.
    pub(crate) fn cut_watches(&self) {
        self.cuts.send_modify(|count| *count += 1);
    }

    /// Forgets all versions so far: who goes on from one of them gets 410.
    pub(crate) fn compact(&self) {
        let mut state = self.state();
        state.version += 1;
        state.compacted = state.version;
    }

    pub(crate) fn requests(&self, part: &str) -> usize {
        self.state().requests.iter().filter(|request| request.contains(part)).count()
    }
}

#[derive(Clone)]
struct Handler {
    state: Arc<Mutex<State>>,
    changes: watch::Receiver<u64>,
    cuts: watch::Receiver<u64>,
}

impl Handler {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_owned();
        let query = query(request.uri());
        let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let fixed = {
            let mut state = self.state();
            state.requests.push(format!("{path}?{query:?}"));
            state.answers.get(&path).cloned()
        };
        if let Some((code, text)) = fixed {
            return whole(code, text);
        }
        if path.ends_with("/selfsubjectaccessreviews") {
            let review: Value = serde_json::from_slice(&body).unwrap_or_default();
            let resource = review["spec"]["resourceAttributes"]["resource"].as_str().unwrap_or_default();
            let allowed = !self.state().denied.contains(resource);
            return whole(201, json!({"metadata": {}, "spec": {}, "status": {"allowed": allowed}}).to_string());
        }
        let review: Value = serde_json::from_slice(&body).unwrap_or_default();
        if path.ends_with("/tokenreviews") && self.state().faults.get("tokenreviews") == Some(&Fault::Hang) {
            tokio::time::sleep(Duration::from_hours(1)).await;
        }
        if path.ends_with("/tokenreviews") {
            let status = match self.state().tokens.get(review["spec"]["token"].as_str().unwrap_or_default()) {
                Some(user) => {
                    json!({"authenticated": true, "user": {"username": user, "groups": ["system:authenticated"]}})
                }
                None => json!({"error": "invalid bearer token"}),
            };
            return whole(201, json!({"metadata": {}, "spec": {"token": ""}, "status": status}).to_string());
        }
        if path.ends_with("/subjectaccessreviews") {
            let spec = &review["spec"];
            let wanted = &spec["nonResourceAttributes"];
            let subjects = spec["groups"].as_array().into_iter().flatten().chain([&spec["user"]]);
            let allowed = wanted["verb"] == "get"
                && subjects.filter_map(Value::as_str).any(|subject| {
                    let path = wanted["path"].as_str().unwrap_or_default();
                    self.state().readers.contains(&(subject.to_owned(), path.to_owned()))
                });
            return whole(201, json!({"metadata": {}, "spec": {}, "status": {"allowed": allowed}}).to_string());
        }
        let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let plural = parts.pop().unwrap_or_default().to_owned();
        let namespace = match parts.as_slice() {
            [.., "namespaces", namespace] => Some((*namespace).to_owned()),
            _ => None,
        };
        let watch = query.get("watch").is_some_and(|watch| watch == "true");
        let fault = self.state().faults.get(&plural).copied();
        match fault {
            Some(Fault::Status(code)) => return refused(code, &plural),
            Some(Fault::WatchStatus(code)) if watch => return refused(code, &plural),
            Some(Fault::NotServed) => return whole(404, "404 page not found\n".to_owned()),
            Some(Fault::Hang) => tokio::time::sleep(Duration::from_hours(1)).await,
            _ => {}
        }
        let matches = Matcher { plural, namespace, query: query.clone() };
        if watch { self.watch(matches) } else { self.list(&matches) }
    }

    fn list(&self, matcher: &Matcher) -> Answer {
        let state = self.state();
        let all: Vec<&Value> = state
            .objects
            .range((matcher.plural.clone(), matcher.namespace.clone().unwrap_or_default(), String::new())..)
            .take_while(|((plural, ..), _)| *plural == matcher.plural)
            .take_while(|((_, namespace, _), _)| matcher.namespace.as_ref().is_none_or(|wanted| wanted == namespace))
            .filter(|((plural, ..), object)| matcher.matches(plural, object))
            .map(|(_, object)| object)
            .collect();
        let number = |name: &str| matcher.query.get(name).and_then(|text| text.parse::<usize>().ok());
        let start = number("continue").unwrap_or(0);
        let end =
            if let Some(limit) = number("limit") { (start + limit.min(state.page)).min(all.len()) } else { all.len() };
        let next = if end < all.len() { end.to_string() } else { String::new() };
        let list = json!({"kind": "List", "apiVersion": "v1", "items": all[start.min(end)..end],
            "metadata": {"resourceVersion": state.version.to_string(), "continue": next}});
        whole(200, list.to_string())
    }

    fn watch(&self, matcher: Matcher) -> Answer {
        let since = matcher.query.get("resourceVersion").and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        if since < self.state().compacted {
            let status =
                json!({"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"});
            return whole(200, event_line("ERROR", &status));
        }
        let handler = self.clone();
        let cuts = *handler.cuts.borrow();
        let lines = stream::unfold((handler, matcher, since), move |(mut handler, matcher, since)| async move {
            loop {
                handler.changes.borrow_and_update();
                let next = {
                    let state = handler.state();
                    let first = state.events.partition_point(|(version, ..)| *version <= since);
                    let mut later =
                        state.events[first..].iter().filter(|(_, plural, _, object)| matcher.matches(plural, object));
                    later.next().map(|(version, _, kind, object)| (*version, event_line(kind, object)))
                };
                if let Some((version, event)) = next {
                    let frame = Frame::data(Bytes::from(event));
                    return Some((Ok::<_, Infallible>(frame), (handler, matcher, version)));
                }
                let cut = async { handler.cuts.wait_for(|count| *count != cuts).await.is_ok() };
                tokio::select! {
                    _ = cut => return None,
                    changed = handler.changes.changed() => if changed.is_err() { return None },
                }
            }
        });
        Response::new(BodyExt::boxed_unsync(StreamBody::new(lines)))
    }
}

struct Matcher {
    plural: String,
    namespace: Option<String>,
    query: BTreeMap<String, String>,
}

impl Matcher {
    fn matches(&self, plural: &str, object: &Value) -> bool {
        let metadata = &object["metadata"];
        let selected = self.query.get("labelSelector").is_none_or(|selector| {
            selector
                .split(',')
                .filter_map(|pair| pair.split_once('='))
                .all(|(key, value)| metadata["labels"][key].as_str() == Some(value))
        });
        let named = self
            .query
            .get("fieldSelector")
            .and_then(|selector| selector.strip_prefix("metadata.name="))
            .is_none_or(|name| metadata["name"].as_str() == Some(name));
        let in_namespace =
            self.namespace.as_deref().is_none_or(|namespace| metadata["namespace"].as_str() == Some(namespace));
        plural == self.plural && selected && named && in_namespace
    }
}

fn whole(code: u16, text: String) -> Answer {
    let mut answer = Response::new(BodyExt::boxed_unsync(Full::new(Bytes::from(text))));
    *answer.status_mut() = StatusCode::from_u16(code).expect("a code");
    answer
}

/// One event as the API server writes it: the type stands before the object.
fn event_line(kind: &str, object: &Value) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}

fn refused(code: u16, plural: &str) -> Answer {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": "Refused",
        "message": format!("{plural} is refused")});
    whole(code, status.to_string())
}

fn query(uri: &Uri) -> BTreeMap<String, String> {
    let pairs = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), decoded(value))).collect()
}

/// Percent decoding of the few characters that selectors need.
fn decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    [("%3D", "="), ("%2C", ","), ("%2F", "/"), ("%25", "%")]
        .iter()
        .fold(text, |text, (code, character)| text.replace(code, character))
}
