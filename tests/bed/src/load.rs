//! A large cluster, for figures.

use anyhow::Result;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Node;
use kube::{
    Client,
    api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, PostParams},
};
use serde_json::{Value, json};

use crate::nodes::{self, CONNECTIONS};

/// How many objects.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Nodes, those that are there already counted.
    pub nodes: usize,
    /// Pods, spread evenly over the autoscalers' Deployments.
    pub pods: usize,
    /// `HorizontalPodAutoscalers`, each with a Deployment of its own.
    pub autoscalers: usize,
}

const NAMESPACE: &str = "load";

/// Creates namespace, Deployments and autoscalers; controllers and the pod runner do the rest.
pub(crate) async fn put(client: &Client, load: &Load) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    let there = nodes.list_metadata(&ListParams::default()).await?.items.len();
    nodes::create(client, &nodes::names(there + 1..=load.nodes), nodes::long_ago()).await?;
    create(client, "", "v1", "Namespace", None, &json!({ "metadata": { "name": NAMESPACE } })).await?;
    let each = load.pods / load.autoscalers.max(1);
    let rest = load.pods % load.autoscalers.max(1);
    stream::iter(0..load.autoscalers)
        .map(Ok)
        .try_for_each_concurrent(CONNECTIONS, |number| async move {
            let name = format!("application-{number}");
            let replicas = each + usize::from(number < rest);
            create(client, "apps", "v1", "Deployment", Some(NAMESPACE), &deployment(&name, replicas)).await?;
            let autoscaler = autoscaler(&name, replicas);
            create(client, "autoscaling", "v2", "HorizontalPodAutoscaler", Some(NAMESPACE), &autoscaler).await
        })
        .await
}

async fn create(
    client: &Client,
    group: &str,
    version: &str,
    kind: &str,
    namespace: Option<&str>,
    object: &Value,
) -> Result<()> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let object = serde_json::from_value(object.clone())?;
    api.create(&PostParams::default(), &object).await?;
    Ok(())
}

fn deployment(name: &str, replicas: usize) -> Value {
    let labels = json!({ "app": name });
    json!({
        "metadata": { "name": name },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{
                    "name": "application", "image": "application:1",
                    "resources": { "requests": { "cpu": "200m", "memory": "64Mi" } },
                }] },
            },
        },
    })
}

fn autoscaler(name: &str, replicas: usize) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": name },
            // As many as there are, so that the number of pods stays what was asked for.
            "minReplicas": replicas.max(1),
            "maxReplicas": replicas.max(1),
            "metrics": [{ "type": "Resource", "resource": {
                "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 50 },
            } }],
        },
    })
}
