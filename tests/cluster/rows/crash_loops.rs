//! Containers that end again and again, looked at through the whole cycle.

use std::time::Duration;

use testbed::wait::wait_for;

use super::containers::{available, heal, scale, set_args};
use crate::{
    cluster::Cluster,
    matrix::{DOWN, Expected, Fault, Kind, Row, Shown},
};

const CRASHING: &str = "connection_refused/container_crashing";

/// The one that takes longer than a bed's other rows together.
pub(crate) const LONG: &[Row] = &[Row {
    name: "crash loop, 200 s of life",
    injection: "the container ends with exit code 1 when it has run for 200 s, twice after two quick ends; looked at every second",
    kind: Kind::Named(CRASHING, |cluster| crash_loop(cluster, Duration::from_secs(200), 2)),
}];

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "crash loop, 20 s of life",
        injection: "the container ends with exit code 1 when it has run for 20 s, before it is Ready, five times after two quick ends; looked at every second",
        kind: Kind::Named(CRASHING, |cluster| crash_loop(cluster, Duration::from_secs(20), 5)),
    },
    Row {
        name: "crash loop, 60 s of life",
        injection: "the container ends with exit code 1 when it has run for 60 s, Ready meanwhile, three times after two quick ends; looked at every second",
        kind: Kind::Named(CRASHING, |cluster| crash_loop(cluster, Duration::from_mins(1), 3)),
    },
    Row {
        name: "liveness probe kills while warming up",
        injection: "a process that gets no processor for its first 15 s, and a liveness probe of failureThreshold 1, timeoutSeconds 1 and initialDelaySeconds 1: exit code 137, Events Unhealthy and Killing",
        kind: Kind::Fault(
            Fault::new(
                |cluster| {
                    cluster.bed.pod_faults.start_slowly(Duration::from_secs(15));
                    set_args(cluster, &[IMPATIENT]);
                },
                Shown::Reason("MissingEndpoints"),
                Expected { verdict: "connection_refused/liveness_probe_kills", ..DOWN },
                |cluster| {
                    cluster.bed.pod_faults.heal();
                    heal(cluster);
                },
            )
            .looked_for(),
        ),
    },
    Row {
        name: "second replica in a crash loop",
        injection: "one of two replicas ends as soon as it is started; the other serves: latent, no outage",
        kind: Kind::Named(CRASHING, second_replica),
    },
];

const IMPATIENT: &str = r#"{"op":"replace","path":"/spec/template/spec/containers/0/livenessProbe","value":{
    "httpGet":{"path":"/livez","port":"https","scheme":"HTTPS"},
    "initialDelaySeconds":1,"periodSeconds":2,"timeoutSeconds":1,"failureThreshold":1}}"#;

fn pods(cluster: &Cluster) -> String {
    let words = "get pods -n kube-system -l k8s-app=metrics-server -o jsonpath={.items[*].metadata.name}";
    cluster.kubectl().words(words)
}

fn restarts(cluster: &Cluster, pod: &str) -> u32 {
    let words = format!("get pod {pod} -n kube-system -o jsonpath={{.status.containerStatuses[0].restartCount}}");
    cluster.kubectl().try_words(&words).ok().and_then(|count| count.parse().ok()).unwrap_or_default()
}

fn await_restarts(cluster: &Cluster, pod: &str, count: u32) {
    let seen = wait_for("restarts", Duration::from_mins(1), || {
        let seen = restarts(cluster, pod);
        anyhow::ensure!(seen >= count, "{seen} of {count} restarts");
        Ok(())
    });
    seen.unwrap_or_else(|error| panic!("{error:#}"));
}

/// Two quick ends make it a loop; from then on there is one cause, whatever the container does at the moment.
fn crash_loop(cluster: &Cluster, life: Duration, cycles: u32) {
    let pod = pods(cluster);
    let before = restarts(cluster, &pod);
    let faults = &cluster.bed.pod_faults;
    faults.end_after(Duration::ZERO, None);
    await_restarts(cluster, &pod, before + 2);
    faults.end_after(life, None);
    cluster.await_verdict(CRASHING, Fault::PAGE_LIMIT);
    let begin = restarts(cluster, &pod);
    let mut told = begin;
    cluster.expect_all_the_time(CRASHING, || {
        let now = restarts(cluster, &pod);
        if now > told {
            told = now;
            println!("{pod} has been restarted {now} times");
        }
        now >= begin + cycles
    });
    faults.heal();
    // One that runs for now has not recovered; a new pod has no past.
    cluster.kubectl().words(&format!("delete pod {pod} -n kube-system"));
    cluster.expect_healthy().unwrap_or_else(|error| panic!("{error:#}"));
}

fn second_replica(cluster: &Cluster) {
    scale(cluster, 2);
    cluster.await_output("two replicas", &available(), "2");
    let names = pods(cluster);
    let pod = names.split(' ').next_back().expect("a pod");
    cluster.bed.pod_faults.end_after(Duration::ZERO, Some(pod));
    await_restarts(cluster, pod, restarts(cluster, pod) + 3);
    cluster.await_verdict(CRASHING, Fault::LOOK_LIMIT);
    let begin = std::time::Instant::now();
    cluster.expect_all_the_time(CRASHING, || begin.elapsed() > Duration::from_secs(30));
    let (page, report) = (cluster.doctor().page(), cluster.doctor().report().expect("a report"));
    let first = &report["findings"][0];
    assert_eq!(first["cause"], "container_crashing", "{report:#}");
    assert_eq!(first["impact"], "latent", "{report:#}");
    assert_eq!(page.value("endpoints_count", &[("service", "metrics-server")]), Some(1.0), "{}", page.summary());
    assert_eq!(page.check("apiservice", "available").ok().as_deref(), Some("pass"), "{}", page.summary());
    cluster.bed.pod_faults.heal();
    cluster.await_output("two replicas", &available(), "2");
    scale(cluster, 1);
    cluster.expect_healthy().unwrap_or_else(|error| panic!("{error:#}"));
}
