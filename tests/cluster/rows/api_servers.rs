//! API servers: two that disagree, whom they trust and ask, and what the doctor says when it cannot ask.

use std::time::{Duration, Instant};

use anyhow::Context;
use testbed::{page::Page, pods::MetricsApiFault, proxy::Proxy, wait::wait_for};

use super::network::{old_pods, restart};
use crate::{
    cluster::Cluster,
    matrix::{Expected, Fault, Kind, METRICS_API, Row, Shown, UNREACHED},
};

const DISAGREE: &str = "timeout/api_servers_disagree";

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "one API server of two without a way to the pod",
        injection: "a second kube-apiserver on the same etcd, whose packets to metrics-server's port are dropped: each writes what it sees into the one condition",
        kind: Kind::Named(DISAGREE, two_api_servers),
    },
    Row {
        name: "front-proxy names that nobody can have",
        injection: "kube-apiserver with --requestheader-allowed-names of a name in quotes and one with a blank, from its first start on",
        kind: Kind::Fault(Fault {
            // The names are published anew, and for a moment there are none to look at.
            on_the_way: &["forbidden/caller_unauthorized"],
            within: Fault::LOOK_LIMIT,
            ..Fault::new(
                |cluster| {
                    restart(cluster, &["--requestheader-allowed-names='front-proxy-client', aggregator"]);
                    published_anew(cluster, r#"["'front-proxy-client'"," aggregator"]"#);
                },
                Shown::Reason("FailedDiscoveryCheck"),
                Expected { verdict: "apiservice/front_proxy_untrusted", ..UNREACHED },
                |cluster| {
                    restart(cluster, &[]);
                    published_anew(cluster, r#"["front-proxy-client"]"#);
                },
            )
        }),
    },
    Row {
        name: "proxy that closes connections, seen in the static pod",
        injection: "kube-apiserver with HTTPS_PROXY of a proxy that closes every connection, pods not in NO_PROXY; its pod object shows the variables",
        kind: behind(|cluster| put_behind(cluster, Proxy::Closes)),
    },
    Row {
        name: "proxy that forbids, seen in the static pod",
        injection: "the same with a proxy that answers 403",
        kind: behind(|cluster| put_behind(cluster, Proxy::Forbids)),
    },
    Row {
        name: "API server gone for half a minute",
        injection: "kube-apiserver is killed for 30 s: nothing is known, nothing healthy, nobody blamed",
        kind: Kind::Own(api_server_gone),
    },
    Row {
        name: "metrics API answers 429",
        injection: "a server in the place of metrics-server answers probes and discovery, and 429 to whoever asks for metrics: never healthy",
        kind: Kind::Own(|cluster| calls_fail(cluster, MetricsApiFault::TooManyRequests)),
    },
    Row {
        name: "metrics API closes connections",
        injection: "the same, and the connection of whoever asks for metrics is closed",
        kind: Kind::Own(|cluster| calls_fail(cluster, MetricsApiFault::Closes)),
    },
    Row {
        name: "metrics API resets connections",
        injection: "the same, and the connection of whoever asks for metrics is reset",
        kind: Kind::Own(|cluster| calls_fail(cluster, MetricsApiFault::Resets)),
    },
];

/// The pod is young, which excuses nothing.
fn calls_fail(cluster: &Cluster, fault: MetricsApiFault) {
    let restarted = |cluster: &Cluster| {
        cluster.kubectl().words("rollout restart deployment metrics-server -n kube-system");
        cluster.kubectl().words("rollout status deployment metrics-server -n kube-system --timeout=90s");
    };
    cluster.bed.pod_faults.fail_calls(fault);
    restarted(cluster);
    let failing = wait_for("calls to fail", Duration::from_secs(30), || {
        let error = cluster.kubectl().try_words("get nodes.metrics.k8s.io").err().context("it answers")?;
        println!("{error:#}");
        Ok(())
    });
    failing.unwrap_or_else(|error| panic!("{error:#}"));
    never_healthy(cluster);
    cluster.bed.pod_faults.heal();
    restarted(cluster);
    cluster.expect_healthy().unwrap_or_else(|error| panic!("{error:#}"));
}

const fn behind(inject: fn(&Cluster)) -> Kind {
    Kind::Fault(
        Fault::new(
            inject,
            Shown::Reason("FailedDiscoveryCheck"),
            Expected { verdict: "apiservice/proxy_interferes", ..UNREACHED },
            |cluster| {
                restart(cluster, &[]);
                cluster.kubectl().words("delete pod -n kube-system -l component=kube-apiserver");
            },
        )
        .looked_for(),
    )
}

/// The API server's variables, and the object that a kubelet shows of its static pod.
fn put_behind(cluster: &Cluster, proxy: Proxy) {
    let environment = cluster.bed.restart_api_server_behind_proxy(proxy).unwrap_or_else(|error| panic!("{error:#}"));
    let variables: Vec<_> =
        environment.iter().map(|(name, value)| serde_json::json!({"name": name, "value": value})).collect();
    let pod = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "kube-apiserver-node-1",
            "namespace": "kube-system",
            "labels": {"component": "kube-apiserver", "tier": "control-plane"},
            "annotations": {"kubernetes.io/config.source": "file", "kubernetes.io/config.hash": "0", "kubernetes.io/config.mirror": "0"},
        },
        "spec": {
            "nodeName": "node-1",
            "hostNetwork": true,
            "priorityClassName": "system-node-critical",
            "containers": [{
                "name": "kube-apiserver",
                "image": "registry.k8s.io/kube-apiserver:v1.37.2",
                "command": ["kube-apiserver", "--enable-aggregator-routing=true"],
                "env": variables,
            }],
        },
    });
    cluster.kubectl().apply(&pod.to_string());
}

/// The API server adds its names to those that another has published, so that names of a first start show only without them.
fn published_anew(cluster: &Cluster, names: &str) {
    let object = "configmap extension-apiserver-authentication -n kube-system";
    let words = format!("get {object} -o jsonpath={{.data.requestheader-allowed-names}}");
    let published = wait_for("the names to be published", Duration::from_mins(1), || {
        let seen = cluster.kubectl().try_words(&words)?;
        if seen != names {
            cluster.kubectl().try_words(&format!("delete {object}"))?;
            std::thread::sleep(Duration::from_secs(3));
        }
        anyhow::ensure!(seen == names, "they are {seen}");
        Ok(())
    });
    published.unwrap_or_else(|error| panic!("{error:#}"));
}

/// How often the condition has changed is the evidence: the one that gets through sees at once what the other has written,
/// looks, and writes that all is well, so that the condition is False for moments only and never True for long.
fn two_api_servers(cluster: &Cluster) {
    old_pods(cluster);
    let done = |result: anyhow::Result<()>| result.unwrap_or_else(|error| panic!("{error:#}"));
    done(cluster.bed.start_second_api_server());
    done(cluster.expect_healthy());
    done(cluster.bed.take_the_way_to_pods_from_the_second_api_server(10250));
    let mut seen = last_transition(cluster);
    let mut changes = 0;
    let flaps = wait_for("the condition to change again and again", Duration::from_mins(2), || {
        let now = last_transition(cluster);
        if now != seen {
            seen = now;
            changes += 1;
        }
        anyhow::ensure!(changes >= 3, "it has changed {changes} times");
        Ok(())
    });
    done(flaps);
    let asked = cluster.bed.kubectl_of_the_second_api_server().try_words("get nodes.metrics.k8s.io");
    let why = asked.as_ref().err().map(ToString::to_string).unwrap_or_default();
    println!("the second API server answers: {}", why.lines().next().unwrap_or_default());
    assert!(asked.is_err(), "it answers");
    cluster.await_verdict(DISAGREE, Fault::LOOK_LIMIT);
    let begin = Instant::now();
    cluster.expect_all_the_time(DISAGREE, || begin.elapsed() > Duration::from_mins(1));
    cluster.bed.end_second_api_server();
    done(cluster.expect_healthy());
}

fn last_transition(cluster: &Cluster) -> String {
    let words = format!(
        "get apiservice {METRICS_API} -o jsonpath={{.status.conditions[?(@.type==\"Available\")].lastTransitionTime}}"
    );
    cluster.kubectl().words(&words)
}

fn api_server_gone(cluster: &Cluster) {
    cluster.bed.stop_api_server();
    let begin = Instant::now();
    let mut wrong = Vec::new();
    while begin.elapsed() < Duration::from_secs(30) {
        let at = begin.elapsed();
        let page = cluster.doctor().page();
        wrong.extend(claims(&page, at).into_iter().map(|claim| format!("{} s: {claim}", at.as_secs())));
        std::thread::sleep(Duration::from_secs(1));
    }
    restart(cluster, &[]);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    cluster.expect_healthy().unwrap_or_else(|error| panic!("{error:#}"));
}

/// What a page claims to know of a cluster that nobody can ask.
fn claims(page: &Page, since: Duration) -> Vec<String> {
    let verdict = page.verdict().unwrap_or_else(|error| error.to_string());
    // Ten seconds without an answer of any watch, and the doctor's next page.
    let told = since >= Duration::from_secs(15);
    let mut claims = Vec::new();
    if verdict != "none/undetermined" && (told || verdict != "none/healthy") {
        claims.push(format!("verdict {verdict}"));
    }
    if told {
        let states = page.named("metrics_server_doctor_check_status").filter(|sample| sample.value != 0.0);
        let known = states.filter(|sample| ["pass", "fail"].contains(&sample.label("status")));
        claims.extend(known.map(|sample| {
            format!("check {}/{} is {}", sample.label("step"), sample.label("check"), sample.label("status"))
        }));
    }
    claims
}

/// From the doctor's next look on nothing is called healthy, and for a minute longer.
fn never_healthy(cluster: &Cluster) {
    let verdict = |page: &Page| page.verdict().unwrap_or_else(|error| error.to_string());
    let told = wait_for("a verdict other than healthy", Fault::LOOK_LIMIT, || {
        let verdict = verdict(&cluster.doctor().page());
        anyhow::ensure!(verdict != "none/healthy", "healthy");
        Ok(())
    });
    told.unwrap_or_else(|error| panic!("{error:#}"));
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_mins(1) {
        let page = cluster.doctor().page();
        assert_ne!(verdict(&page), "none/healthy", "after {} s:\n{}", begin.elapsed().as_secs(), page.summary());
        std::thread::sleep(Duration::from_secs(1));
    }
}
