//! Events of pods, as kubelets write them: one object for one text, whose count grows.

use std::hash::{DefaultHasher, Hash, Hasher};

use anyhow::Result;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::{PodRunner, seconds};

/// What an Event says.
pub(super) struct Told {
    kind: &'static str,
    reason: &'static str,
    message: String,
}

impl Told {
    pub(super) fn warning(reason: &'static str, message: String) -> Self {
        Self { kind: "Warning", reason, message }
    }

    pub(super) fn normal(reason: &'static str, message: String) -> Self {
        Self { kind: "Normal", reason, message }
    }
}

impl PodRunner {
    /// Writes it for a container of the pod, or counts it once more.
    pub(super) async fn tell(&self, pod: &Pod, container: &str, told: &Told) -> Result<()> {
        let namespace = pod.namespace().unwrap_or_default();
        let mut hasher = DefaultHasher::new();
        (pod.uid(), told.reason, &told.message).hash(&mut hasher);
        let name = format!("{}.{:016x}", pod.name_any(), hasher.finish());
        let events: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        let now = seconds(Timestamp::now());
        if let Some(known) = events.get_opt(&name).await? {
            let patch = json!({ "count": known.count.unwrap_or(1) + 1, "lastTimestamp": now });
            events.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
            return Ok(());
        }
        let event = serde_json::from_value(json!({
            "metadata": { "name": name, "namespace": namespace },
            "involvedObject": {
                "apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": pod.name_any(), "uid": pod.uid(),
                "fieldPath": format!("spec.containers{{{container}}}"),
            },
            "type": told.kind,
            "reason": told.reason,
            "message": told.message,
            "source": { "component": "kubelet", "host": pod.spec.as_ref().and_then(|spec| spec.node_name.clone()) },
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "reportingComponent": "kubelet",
            "reportingInstance": "",
        }))?;
        events.create(&PostParams::default(), &event).await?;
        Ok(())
    }
}
