//! Pods and processes of metrics-server.

use std::{sync::atomic::Ordering, time::Duration};

use anyhow::ensure;
use testbed::wait::wait_for;

use crate::cluster::{Cluster, Expected, HEALTHY};

const DOWN: Expected<'static> = Expected { available: false, endpoints: Some(0.0), ..HEALTHY };

pub(crate) fn pod_not_ready(cluster: &Cluster) {
    // metrics-server may take this long to be Ready; until then nobody is to blame.
    wait_for("the pod to be old enough", Duration::from_secs(160), || {
        let words = "get pod -n kube-system -l k8s-app=metrics-server -o jsonpath={.items[0].status.startTime}";
        let started: jiff::Timestamp = cluster.kubectl().try_words(words)?.parse()?;
        let age = jiff::Timestamp::now().duration_since(started);
        ensure!(age.as_secs() > 151, "it is {age:#} old");
        Ok(())
    })
    .expect("an old pod");
    cluster.bed.pod_faults.not_ready.store(true, Ordering::Relaxed);
    cluster.await_reason("MissingEndpoints");
    cluster.expect(&Expected {
        verdict: "other_reasons/pods_not_ready",
        checks: &[
            ("other_reasons/endpoints", "fail"),
            ("connection_refused/container", "pass"),
            ("connection_refused/port_chain", "pass"),
        ],
        ..DOWN
    });
    cluster.bed.pod_faults.not_ready.store(false, Ordering::Relaxed);
    cluster.expect_healthy();
}

pub(crate) fn process_dead(cluster: &Cluster) {
    cluster.bed.pod_faults.keep_killed.store(true, Ordering::Relaxed);
    cluster.await_reason("MissingEndpoints");
    cluster.expect(&Expected {
        verdict: "connection_refused/container_crashing",
        checks: &[("connection_refused/container", "fail"), ("connection_refused/port_chain", "pass")],
        ..DOWN
    });
    cluster.bed.pod_faults.keep_killed.store(false, Ordering::Relaxed);
    cluster.expect_healthy();
}

pub(crate) fn replicas_zero(cluster: &Cluster) {
    cluster.kubectl().words("scale deployment metrics-server -n kube-system --replicas=0");
    cluster.await_reason("MissingEndpoints");
    cluster.expect(&Expected {
        verdict: "other_reasons/replicas_zero",
        checks: &[("other_reasons/deployment", "fail"), ("other_reasons/endpoints", "skipped")],
        ..DOWN
    });
    cluster.kubectl().words("scale deployment metrics-server -n kube-system --replicas=1");
    cluster.expect_healthy();
}
