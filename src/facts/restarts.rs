//! Whether metrics-server's pods stay up.

use super::{Facts, windows};
use crate::{
    facts::metrics_server,
    snapshot::{Pod, pod::ContainerStatus},
};

impl<'s> Facts<'s> {
    /// How often the pods were restarted, where each of them was in the last hour, and several times.
    pub fn restarting(&self) -> Option<String> {
        let pods = self.chain.pods();
        let recently = |status: &ContainerStatus| {
            let ended = status.last_state.terminated.as_ref().and_then(|terminated| terminated.finished_at);
            status.restart_count > 2 && ended.is_some_and(|ended| self.age(ended) < windows::RESTARTS)
        };
        let all = pods.iter().all(|pod| pod.status.container_statuses.iter().any(recently));
        let restarts: u32 =
            pods.iter().flat_map(|pod| &pod.status.container_statuses).map(|status| status.restart_count).sum();
        (all && !pods.is_empty()).then(|| format!("restartCount of the pods: {restarts}"))
    }

    /// Whether every pod of metrics-server is Ready, and none of them was restarted lately: then nothing crashes.
    pub fn stays_up(&self) -> bool {
        let pods = self.chain.pods();
        let restarted = |status: &ContainerStatus| {
            let ended = status.last_state.terminated.as_ref().and_then(|terminated| terminated.finished_at);
            status.restart_count > 0 && ended.is_none_or(|ended| self.age(ended) < windows::RESTARTS)
        };
        !pods.is_empty()
            && pods.iter().all(|pod| pod.is_ready() && !pod.status.container_statuses.iter().any(restarted))
    }

    /// The Ready pod of metrics-server whose own address the aggregator dials, or one of those behind the Service's address.
    /// Nothing else can answer there, unless a pod has its node's address.
    pub fn dialled_pod(&self) -> Option<&'s Pod> {
        let complaint = self.complaint()?;
        let pods = self.chain.pods();
        let own =
            |pod: &Pod| pod.is_ready() && !has_its_nodes_address(pod) && metrics_server::container(&pod.spec).is_some();
        let cluster_ip = self.chain.service.seen().map_or("", |service| service.spec.cluster_ip.as_str());
        if complaint.word.dials(cluster_ip) {
            return pods.first().copied().filter(|_| pods.iter().all(|pod| own(pod)));
        }
        pods.iter().copied().find(|pod| own(pod) && pod.addresses().any(|address| complaint.word.dials(address)))
    }

    /// Whether a pod of metrics-server has its node's address, where others listen too: with hostNetwork, and on Fargate.
    pub fn shares_its_nodes_address(&self) -> bool {
        self.chain.pods().iter().any(|pod| has_its_nodes_address(pod))
    }
}

fn has_its_nodes_address(pod: &Pod) -> bool {
    pod.spec.host_network || pod.addresses().any(|address| address == pod.status.host_ip)
}
