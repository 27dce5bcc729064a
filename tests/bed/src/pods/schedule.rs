//! Which node takes a pod: each in turn of those that its node selector allows.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use anyhow::Result;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt;
use tokio::sync::watch;

type Labels = BTreeMap<String, String>;

pub(crate) struct Schedule {
    nodes: watch::Sender<BTreeMap<String, Labels>>,
    next: AtomicUsize,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { nodes: watch::Sender::new(BTreeMap::new()), next: AtomicUsize::new(0) }
    }
}

impl Schedule {
    pub(super) fn add(&self, node: &Node) {
        self.nodes.send_modify(|nodes| {
            nodes.insert(node.name_any(), node.labels().clone());
        });
    }

    pub(super) fn remove(&self, node: &str) {
        self.nodes.send_modify(|nodes| {
            nodes.remove(node);
        });
    }

    /// The pod's node, `None` when no node takes it.
    pub(super) async fn node_for(&self, pod: &Pod) -> Result<Option<String>> {
        let mut known = self.nodes.subscribe();
        let nodes = known.wait_for(|nodes| !nodes.is_empty()).await?;
        let selector = pod.spec.as_ref().and_then(|spec| spec.node_selector.as_ref());
        let takes = |labels: &Labels| selector.into_iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
        let taking: Vec<&String> = nodes.iter().filter(|(_, labels)| takes(labels)).map(|(name, _)| name).collect();
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        Ok(taking.get(turn.checked_rem(taking.len()).unwrap_or_default()).map(|name| (*name).clone()))
    }

    /// What the scheduler says when no node takes a pod.
    pub(super) fn refusal(&self) -> String {
        let count = self.nodes.borrow().len();
        format!("0/{count} nodes are available: {count} node(s) didn't match Pod's node affinity/selector.")
    }
}
