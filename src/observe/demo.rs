//! The sample cluster that ships inside the binary, and the failures that it walks through.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::bundle;
use crate::{
    snapshot::{
        ContainerLog, KubernetesVersion, Named, NotSeen, Observed, Retrieval, Scope, Snapshot,
        retrieval::{self, Sample},
    },
    wording::api_error::classify_response,
};

const CLUSTER: &str = include_str!("demo/cluster.yaml");
const SCENES: &str = include_str!("demo/scenes.yaml");
const POD: &str = "metrics-server-6f9c-x2x4b";
/// What metrics-server writes when all is well.
const START_LINE: &str = "I -86090 secure_serving.go:213] Serving securely on [::]:10250";
/// How long a fault has held when its scene begins, so that nothing counts as young.
const FAULT_AGE: i64 = 900;

/// One state of the sample cluster.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scene {
    /// What was done to the cluster.
    pub title: String,
    /// The verdict that it must lead to, as `step/cause`.
    pub verdict: String,
    #[serde(default)]
    unavailable: Option<Unavailable>,
    #[serde(default)]
    blind: Option<String>,
    #[serde(default)]
    retrieval: Option<Answer>,
    #[serde(default)]
    log: String,
    #[serde(default)]
    remove: Vec<Place>,
    #[serde(default)]
    change: Vec<Change>,
}

#[derive(Debug, Clone, Deserialize)]
struct Unavailable {
    reason: String,
    message: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Answer {
    code: u16,
    body: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Place {
    kind: String,
    name: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Change {
    kind: String,
    name: String,
    to: Value,
}

/// The scenes, in the order in which they are shown.
pub fn scenes() -> Vec<Scene> {
    // Both texts are part of the binary; a test reads them.
    serde_saphyr::from_str(SCENES).unwrap_or_default()
}

/// The first scene of each of these verdicts, in their order; all scenes where none is named.
pub fn chosen(verdicts: &[String]) -> Vec<Scene> {
    let scenes = scenes();
    if verdicts.is_empty() {
        return scenes;
    }
    verdicts.iter().filter_map(|verdict| scenes.iter().find(|scene| scene.verdict == *verdict).cloned()).collect()
}

impl Scene {
    /// The cluster as it looks at `now`.
    pub fn snapshot(&self, now: Timestamp) -> Snapshot {
        let mut objects: Vec<Value> =
            CLUSTER.split("\n---\n").filter_map(|text| serde_saphyr::from_str(text).ok()).collect();
        let is = |object: &Value, kind: &str, name: &str| object["kind"] == kind && object["metadata"]["name"] == name;
        objects.retain(|object| !self.remove.iter().any(|place| is(object, &place.kind, &place.name)));
        if let Some(message) = self.blind_message() {
            objects.iter_mut().filter(|object| object["kind"] == "HorizontalPodAutoscaler").for_each(|autoscaler| {
                merge(autoscaler, &blind(&message));
            });
        }
        if let Some(Unavailable { reason, message }) = &self.unavailable {
            let condition = json!({"type": "Available", "status": "False", "reason": reason, "message": message, "lastTransitionTime": ago(FAULT_AGE)});
            let api_services = objects.iter_mut().filter(|object| object["kind"] == "APIService");
            api_services.for_each(|api_service| merge(api_service, &json!({"status": {"conditions": [condition]}})));
        }
        for change in &self.change {
            let changed = objects.iter_mut().filter(|object| is(object, &change.kind, &change.name));
            changed.for_each(|object| merge(object, &change.to));
        }
        for object in &mut objects {
            set_moments(object, now);
        }
        let mut snapshot = bundle::of_objects(objects, now);
        see_everything(&mut snapshot);
        self.add_calls(&mut snapshot);
        self.add_log(&mut snapshot);
        snapshot
    }

    fn blind_message(&self) -> Option<String> {
        let unavailable = self.unavailable.as_ref();
        self.blind.clone().or_else(|| {
            unavailable
                .map(|_| "the server is currently unable to handle the request (get pods.metrics.k8s.io)".to_owned())
        })
    }

    fn add_calls(&self, snapshot: &mut Snapshot) {
        let answer = self.retrieval.clone().or_else(|| {
            self.unavailable.as_ref().map(|_| Answer { code: 503, body: "service unavailable".to_owned() })
        });
        let outcome = |samples: Vec<Sample>| match &answer {
            None => retrieval::Outcome::Samples(samples),
            Some(Answer { code, body }) => {
                retrieval::Outcome::Failed { class: classify_response(*code, body), text: format!("{code}: {body}") }
            }
        };
        let taken = snapshot.observed_at - SignedDuration::from_secs(9);
        let sample = |namespace: &str, name: &str| Sample {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            timestamp: Some(taken),
            window: Some(std::time::Duration::from_secs(15)),
            unknown: false,
        };
        let nodes = snapshot.nodes.iter().map(|node| sample("", node.name())).collect();
        let pods = snapshot.pods.iter().map(|pod| sample(pod.namespace(), pod.name())).collect();
        let latency = Some(std::time::Duration::from_millis(12));
        snapshot.top_nodes = Observed::Present(Retrieval { outcome: outcome(nodes), latency });
        snapshot.top_pods = Observed::Present(Retrieval { outcome: outcome(pods), latency });
    }

    fn add_log(&self, snapshot: &mut Snapshot) {
        snapshot.logs.add_scope(Scope::cluster());
        if snapshot.pods.get("kube-system", POD).seen().is_none() {
            return;
        }
        let mut log = ContainerLog::new("kube-system", POD, "metrics-server");
        let lines = if self.log.is_empty() { START_LINE } else { &self.log };
        for line in lines.lines() {
            log.push(&klog_line(line, snapshot.observed_at));
        }
        snapshot.logs.insert(log);
    }
}

/// `E -40 scraper.go:140] text` as klog would have written it 40 seconds before `now`.
fn klog_line(line: &str, now: Timestamp) -> String {
    let mut parts = line.splitn(3, ' ');
    let (severity, seconds, text) =
        (parts.next().unwrap_or(""), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let moment = now + SignedDuration::from_secs(seconds.parse().unwrap_or(0));
    format!("{severity}{}       1 {text}", moment.strftime("%m%d %H:%M:%S.000000"))
}

/// Everything of the sample cluster is seen: what is not there is absent.
fn see_everything(snapshot: &mut Snapshot) {
    snapshot.server_version =
        KubernetesVersion::parse("v1.37.2").map_or(Observed::NotSeen(NotSeen::NotLooked), Observed::Present);
    snapshot.api_services.add_scope(Scope::cluster());
    snapshot.services.add_scope(Scope::cluster());
    snapshot.endpoint_slices.add_scope(Scope::cluster());
    snapshot.pods.add_scope(Scope::cluster());
    snapshot.workloads.add_scope(Scope::cluster());
    snapshot.nodes.add_scope(Scope::cluster());
    snapshot.autoscalers.add_scope(Scope::cluster());
    snapshot.service_accounts.add_scope(Scope::cluster());
    snapshot.roles.add_scope(Scope::cluster());
    snapshot.role_bindings.add_scope(Scope::cluster());
    snapshot.config_maps.add_scope(Scope::cluster());
    snapshot.network_policies.add_scope(Scope::cluster());
    snapshot.events.add_scope(Scope::cluster());
}

fn blind(message: &str) -> Value {
    let told = format!(
        "the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: {message}"
    );
    json!({"status": {"currentMetrics": null, "conditions": [
        {"type": "AbleToScale", "status": "True", "reason": "SucceededGetScale", "lastTransitionTime": ago(7_000)},
        {"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric", "message": told, "lastTransitionTime": ago(FAULT_AGE)},
    ]}})
}

fn ago(seconds: i64) -> String {
    format!("${{-{seconds}}}")
}

/// Merges as RFC 7396 has it: objects are merged, everything else is replaced, null removes.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    if let Value::Object(target) = target {
        for (key, value) in patch {
            if value.is_null() {
                target.remove(key);
            } else {
                merge(target.entry(key).or_insert(Value::Null), value);
            }
        }
    }
}

/// Replaces `${-60}` by the moment 60 seconds before `now`.
fn set_moments(value: &mut Value, now: Timestamp) {
    match value {
        Value::String(text) => {
            let seconds = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
            if let Some(seconds) = seconds.and_then(|seconds| seconds.parse::<i64>().ok()) {
                let moment = now + SignedDuration::from_secs(seconds);
                *text = moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| set_moments(value, now)),
        Value::Object(fields) => fields.values_mut().for_each(|value| set_moments(value, now)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{report::Report, testing::NOW};

    #[test]
    fn every_document_of_the_sample_cluster_is_read() {
        let documents = CLUSTER.split("\n---\n").count();
        let read = CLUSTER.split("\n---\n").filter(|text| serde_saphyr::from_str::<Value>(text).is_ok()).count();
        assert_eq!((read, documents > 15), (documents, true));
        let scenes: Result<Vec<Scene>, _> = serde_saphyr::from_str(SCENES);
        assert!(scenes.is_ok_and(|scenes| scenes.len() > 8));
    }

    #[test]
    fn every_scene_leads_to_its_verdict_at_any_time_of_the_year() {
        for (scene, now) in scenes().iter().flat_map(|scene| [(scene, NOW), (scene, "2027-07-31T00:00:10Z")]) {
            let snapshot = scene.snapshot(now.parse().expect("a moment"));
            assert!(snapshot.notices.is_empty(), "{}: {:?}", scene.title, snapshot.notices);
            let report = Report::new(&snapshot);
            let verdict = report.judgement.verdict.name();
            let text = crate::render::text::full(&report);
            assert_eq!(format!("{}/{}", verdict.step_id(), verdict.id()), scene.verdict, "{}\n{text}", scene.title);
            assert_eq!(report.judgement.findings.len(), usize::from(scene.verdict != "none/healthy"), "{text}");
        }
    }

    #[test]
    fn changes_name_objects_that_exist() {
        let objects: Vec<Value> =
            CLUSTER.split("\n---\n").filter_map(|text| serde_saphyr::from_str(text).ok()).collect();
        for scene in scenes() {
            let changed = scene.change.iter().map(|change| (&change.kind, &change.name));
            for (kind, name) in changed.chain(scene.remove.iter().map(|place| (&place.kind, &place.name))) {
                let found =
                    objects.iter().any(|object| object["kind"] == **kind && object["metadata"]["name"] == **name);
                assert!(found, "{}: {kind} {name}", scene.title);
            }
        }
    }
}
