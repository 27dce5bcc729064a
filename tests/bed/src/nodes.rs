//! Nodes, as kubelets report them.

use anyhow::Result;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;

use crate::{isolation::KUBELET_ADDRESS, kubelet};

/// Requests under way at once.
pub(crate) const CONNECTIONS: usize = 16;

/// The names of nodes, by number.
pub(crate) fn names(numbers: impl Iterator<Item = usize>) -> Vec<String> {
    numbers.map(|number| format!("node-{number}")).collect()
}

/// Creates nodes that are Ready since that moment.
pub(crate) async fn create(client: &Client, names: &[String], since: Timestamp) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    stream::iter(names).map(Ok).try_for_each_concurrent(CONNECTIONS, |name| create_one(&nodes, name, since)).await
}

/// A moment at which nodes of a cluster that is not new became Ready.
pub(crate) fn long_ago() -> Timestamp {
    Timestamp::now() - jiff::SignedDuration::from_hours(1)
}

async fn create_one(nodes: &Api<Node>, name: &str, since: Timestamp) -> Result<()> {
    let node = serde_json::from_value(json!({
        "metadata": {
            "name": name,
            "labels": { "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64" },
            // One kubelet listens for all of them, so each has a path of its own.
            "annotations": { "metrics.k8s.io/resource-metrics-path": format!("/metrics/nodes/{name}/metrics/resource") },
        },
    }))?;
    nodes.create(&PostParams::default(), &node).await?;
    let whole_seconds = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let (now, since) = (whole_seconds(Timestamp::now()), whole_seconds(since));
    let resources = json!({ "cpu": "4", "memory": "16Gi", "pods": "110" });
    let status = json!({ "status": {
        "addresses": [
            { "type": "InternalIP", "address": KUBELET_ADDRESS },
            { "type": "Hostname", "address": name },
        ],
        "daemonEndpoints": { "kubeletEndpoint": { "Port": kubelet::PORT } },
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status",
            "lastHeartbeatTime": now, "lastTransitionTime": since,
        }],
        "nodeInfo": {
            "machineID": "", "systemUUID": "", "bootID": "", "kernelVersion": "6.12.0", "osImage": "test bed",
            "containerRuntimeVersion": "containerd://2.2.0", "kubeletVersion": "v1.37.2", "kubeProxyVersion": "",
            "operatingSystem": "linux", "architecture": "amd64",
        },
        "capacity": resources,
        "allocatable": resources,
    }});
    nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await?;
    Ok(())
}
