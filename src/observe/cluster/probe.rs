//! The two calls of `kubectl top`, through the aggregator, with the observer's own identity.

mod read;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http_body_util::{BodyExt, Limited};
use hyper::Request;
use kube::{Client, client::Body};
use tokio::sync::{mpsc, watch};

use self::read::{message, samples};
use super::{
    backoff::jitter,
    heard::{Message, Probed},
    options::Timings,
    trouble::{one_line, shorten},
};
use crate::{
    facts::chain::Chain,
    snapshot::{
        ApiService, Named, NotSeen, Observed, Retrieval, Snapshot,
        retrieval::{ErrorClass, Outcome},
    },
    wording::api_error::classify_response,
};

/// More than the metrics of 5,000 nodes, or of all pods of a full namespace, take.
const LONGEST_BODY: usize = 32 * 1024 * 1024;
/// How much of an error's body is read.
const LONGEST_ERROR: usize = 64 * 1024;

/// Calls the metrics API for ever.
pub(super) async fn run(
    client: Client,
    timings: Timings,
    namespaces: Vec<String>,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    messages: mpsc::Sender<Message>,
) {
    // Without the APIServices neither the version nor the namespace is known.
    let known = snapshots.wait_for(|snapshot| snapshot.api_services.all().gap != Some(NotSeen::NotSynced));
    drop(tokio::time::timeout(timings.probe_timeout, known).await);
    loop {
        let (version, namespaces, condition) = {
            let snapshot = snapshots.borrow_and_update();
            let namespaces = if namespaces.is_empty() { vec![home(&snapshot)] } else { namespaces.clone() };
            (version(&snapshot), namespaces, conditions(&snapshot))
        };
        let nodes_path = format!("/apis/metrics.k8s.io/{version}/nodes");
        let (nodes, pods) = tokio::join!(
            call(&client, &nodes_path, timings.probe_timeout),
            call_pods(&client, &version, &namespaces, timings.probe_timeout),
        );
        let probed = Probed { nodes: Observed::Present(nodes), pods: Observed::Present(pods) };
        if messages.send(Message::Probed(probed)).await.is_err() {
            return;
        }
        let next = tokio::time::sleep(jitter(timings.probe_interval));
        let change = changed(&mut snapshots, &condition);
        tokio::select! {
            () = next => {}
            open = change => {
                if !open {
                    return;
                }
                tokio::time::sleep(timings.probe_soon).await;
            }
        }
    }
}

/// Waits for a change of the conditions; `false` when the observer has ended.
async fn changed(snapshots: &mut watch::Receiver<Arc<Snapshot>>, known: &[ConditionKey]) -> bool {
    snapshots.wait_for(|snapshot| conditions(snapshot) != known).await.is_ok()
}

/// What makes an early call worth while.
type ConditionKey = (String, Option<(String, &'static str)>);

fn conditions(snapshot: &Snapshot) -> Vec<ConditionKey> {
    let metrics = snapshot.api_services.iter().filter(|api_service| api_service.serves_metrics());
    let key = |api_service: &ApiService| {
        let available = api_service.available().map(|found| (found.reason.clone(), found.status.label()));
        (api_service.name().to_owned(), available)
    };
    metrics.map(key).collect()
}

/// The version to call: the one that autoscalers call, unless only another is registered.
fn version(snapshot: &Snapshot) -> String {
    let chain = Chain::resolve(snapshot);
    let version = chain.api_service.seen().map(|api_service| api_service.spec.version.clone());
    version.filter(|version| !version.is_empty()).unwrap_or_else(|| "v1beta1".to_owned())
}

/// The namespace of metrics-server, as far as it is known.
pub(super) fn home(snapshot: &Snapshot) -> String {
    let chain = Chain::resolve(snapshot);
    let by_reference = chain.service_reference().map(|reference| reference.namespace.as_str());
    let by_workload = chain.workload.seen().map(|workload| workload.namespace());
    by_reference.or(by_workload).filter(|namespace| !namespace.is_empty()).unwrap_or("kube-system").to_owned()
}

/// The pods of several namespaces as one answer: the first failure stands for all.
async fn call_pods(client: &Client, version: &str, namespaces: &[String], limit: Duration) -> Retrieval {
    let mut all = Vec::new();
    let mut longest = Duration::ZERO;
    for namespace in namespaces {
        let path = format!("/apis/metrics.k8s.io/{version}/namespaces/{namespace}/pods");
        let retrieval = call(client, &path, limit).await;
        longest = longest.max(retrieval.latency.unwrap_or_default());
        match retrieval.outcome {
            Outcome::Samples(samples) => all.extend(samples),
            // One namespace without pods says nothing where others have some.
            Outcome::Failed { class: ErrorClass::Empty, .. } if namespaces.len() > 1 => {}
            Outcome::Failed { .. } => return retrieval,
        }
    }
    Retrieval { outcome: or_empty(all), latency: Some(longest) }
}

fn or_empty(samples: Vec<crate::snapshot::retrieval::Sample>) -> Outcome {
    if samples.is_empty() {
        return Outcome::Failed { class: ErrorClass::Empty, text: "200: the list has no items".to_owned() };
    }
    Outcome::Samples(samples)
}

/// One call, with a time limit of its own that covers the body.
async fn call(client: &Client, path: &str, limit: Duration) -> Retrieval {
    let started = Instant::now();
    let outcome = tokio::time::timeout(limit, get(client, path)).await.unwrap_or_else(|_| Outcome::Failed {
        class: ErrorClass::Timeout,
        text: format!("GET {path}: no answer within {} s", limit.as_secs_f32()),
    });
    Retrieval { outcome, latency: Some(started.elapsed()) }
}

async fn get(client: &Client, path: &str) -> Outcome {
    let failed = |class, text: String| Outcome::Failed { class, text: format!("GET {path}: {text}") };
    let request = match Request::get(path).body(Body::empty()) {
        Ok(request) => request,
        Err(error) => return failed(ErrorClass::Other, error.to_string()),
    };
    // What fails before an answer is the path to the API server, not the one behind it.
    let response = match client.send(request).await {
        Ok(response) => response,
        Err(error) => return failed(ErrorClass::ApiserverUnreachable, one_line(&error)),
    };
    let status = response.status();
    let longest = if status.is_success() { LONGEST_BODY } else { LONGEST_ERROR };
    let body = match Limited::new(response.into_body(), longest).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) if !status.is_success() => hyper::body::Bytes::new(),
        Err(error) => return failed(ErrorClass::Other, shorten(&format!("the body broke off: {error}"))),
    };
    if !status.is_success() {
        let text = String::from_utf8_lossy(&body);
        return failed(
            classify_response(status.as_u16(), &text),
            format!("{}: {}", status.as_u16(), shorten(&message(&text))),
        );
    }
    match samples(&body) {
        Ok(samples) => or_empty(samples),
        Err(place) => failed(ErrorClass::Other, format!("{}: not a list of metrics: {place}", status.as_u16())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        snapshot::Collection,
        testing::{healthy, object},
    };

    #[test]
    fn the_version_that_is_registered_is_called() {
        let with = |versions: &[&str]| {
            let api_services = versions.iter().map(|version| {
                object::<ApiService>(serde_json::json!({"metadata": {"name": format!("{version}.metrics.k8s.io")},
                    "spec": {"group": "metrics.k8s.io", "version": version, "service": {"namespace": "monitoring", "name": "x"}}}))
            });
            Snapshot { api_services: Collection::complete(api_services), ..healthy() }
        };
        assert_eq!(version(&with(&[])), "v1beta1");
        assert_eq!(version(&with(&["v1"])), "v1");
        assert_eq!(version(&with(&["v1", "v1beta1"])), "v1beta1");
        assert_eq!(home(&with(&["v1"])), "monitoring");
        assert_eq!(home(&Snapshot::default()), "kube-system");
    }
}
