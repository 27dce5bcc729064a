//! What is no fault: every packaging, an older Kubernetes, clocks that differ.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use testbed::{side_by_side::told, wait::wait_for};

use super::{containers::restart, network};
use crate::{
    cluster::Cluster,
    matrix::{Expected, Fault, HEALTHY, Kind, METRICS_API, Row, Shown},
};

/// Objects that cannot run here, by a part of their text, with the reason; `tests/lookalikes` judges them.
const CANNOT_RUN: &[(&str, &str)] = &[
    ("apiregistration.k8s.io/v1beta1", "their APIService is of a version that Kubernetes 1.22 removed"),
    ("--tls-cert-file=/tmp/tls-certs/tls.crt", "cert-manager writes their certificate"),
    ("metrics-server:v0.5.0", "that image's program had a file capability for port 443"),
];

pub(crate) const PACKAGINGS: &[Row] = &[
    Row {
        name: "every packaging",
        injection: "the objects of each packaging and version line in tests/fixtures, one after the other (but for those of APIService v1beta1, of cert-manager and of 0.5.0); the program is the nearest that can be built",
        kind: Kind::Own(every_packaging),
    },
    Row {
        name: "doctor and metrics-server start together",
        injection: "metrics-server's pod is deleted and the doctor restarted, as on a fresh cluster",
        kind: Kind::Quiet(|cluster| {
            restart(cluster);
            cluster.doctor().restart(&[]).expect("it starts");
        }),
    },
    Row {
        name: "clock a minute ahead",
        injection: "the doctor runs with a clock that is 60 s ahead of the cluster's (libfaketime)",
        kind: Kind::Quiet(|cluster| with_clock(cluster, "+60s")),
    },
    Row {
        name: "clock a minute behind",
        injection: "the doctor runs with a clock that is 60 s behind the cluster's (libfaketime)",
        kind: Kind::Quiet(|cluster| with_clock(cluster, "-60s")),
    },
];

/// On Kubernetes 1.34 with metrics-server 0.7.2.
pub(crate) const OLDER: &[Row] = &[
    Row {
        name: "an older cluster",
        injection: "Kubernetes 1.34.4 with metrics-server 0.7.2, left alone",
        kind: Kind::Quiet(|_| ()),
    },
    Row {
        name: "CA bundle of somebody else, unnoticed by the aggregator",
        injection: "as above on Kubernetes 1.34, whose aggregator does not verify: the condition stays True, calls fail",
        kind: Kind::Fault(
            Fault::new(
                |cluster| {
                    network::serve_with(cluster, "metrics-server");
                    network::verify_with(cluster, "unknown-ca.crt");
                },
                Shown::AtOnce,
                Expected {
                    verdict: "apiservice/ca_bundle_mismatch",
                    checks: &[("apiservice/ca_bundle", "fail"), ("apiservice/available", "pass")],
                    ..HEALTHY
                },
                network::serve_as_before,
            )
            .looked_for(),
        ),
    },
    Row {
        name: "metrics-server 0.7.2 restarted",
        injection: "its pod is deleted, and the Deployment's next one takes over",
        kind: Kind::Quiet(restart),
    },
];

fn with_clock(cluster: &Cluster, offset: &str) {
    let library = fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"))
        .find(|path| path.is_file())
        .expect("libfaketime (Debian package libfaketime)");
    let library = library.display().to_string();
    let environment = [("LD_PRELOAD", library.as_str()), ("FAKETIME", offset), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
    cluster.doctor().restart(&environment).expect("it starts");
    let healthy = cluster.expect_healthy();
    // Two looks, so that ages of samples were judged with that clock.
    std::thread::sleep(Duration::from_secs(40));
    let page = cluster.doctor().page();
    cluster.doctor().restart(&[]).expect("it starts");
    healthy.unwrap_or_else(|error| panic!("{error:#}"));
    assert!(page.verdict().is_ok_and(|verdict| verdict == "none/healthy"), "{}", page.summary());
}

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/metrics-server");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the fixtures")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .filter(|path| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let cannot = CANNOT_RUN.iter().find(|(part, _)| text.contains(part));
            if let Some((_, reason)) = cannot {
                eprintln!("packaging {}: left out, {reason}", path.display());
            }
            cannot.is_none()
        })
        .collect();
    files.sort();
    files
}

fn every_packaging(cluster: &Cluster) {
    let kubectl = cluster.kubectl();
    cluster.bed.kubelet.accept_statistics_right(true);
    kubectl.run_with_input(&["delete", "--ignore-not-found", "-f", "-"], &cluster.manifest).expect("deleted");
    let mut failed = Vec::new();
    let files = fixtures();
    for file in &files {
        let begin = Instant::now();
        let name = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| packaging(cluster, file)));
        let outcome = outcome.unwrap_or_else(|panic| Err(anyhow::anyhow!("{}", told(&*panic))));
        eprintln!(
            "packaging {name}: {} ({} s)",
            if outcome.is_ok() { "ok" } else { "FAILED" },
            begin.elapsed().as_secs()
        );
        if let Err(error) = outcome {
            failed.push(format!("{name}: {error:#}"));
        }
        let file = file.display().to_string();
        let _ = kubectl.run(&["delete", "--ignore-not-found", "-f", &file]);
    }
    cluster.bed.kubelet.accept_statistics_right(false);
    cluster.apply_manifest();
    // The next row must not meet what this one has left.
    cluster.expect_healthy().unwrap_or_else(|error| panic!("{error:#}"));
    assert!(failed.is_empty(), "{} of {} packagings:\n{}", failed.len(), files.len(), failed.join("\n"));
}

fn packaging(cluster: &Cluster, file: &Path) -> Result<()> {
    let kubectl = cluster.kubectl();
    let path = file.display().to_string();
    let text = fs::read_to_string(file)?;
    // Some packagings have a namespace of their own, which whoever installs them creates.
    for namespace in text.lines().filter_map(|line| line.trim().strip_prefix("namespace: ")) {
        let _ = kubectl.try_words(&format!("create namespace {namespace}"));
    }
    kubectl.run(&["apply", "-f", &path])?;
    let service = wait_for("the APIService to be available", Duration::from_mins(2), || {
        let words = format!("get apiservice {METRICS_API} -o jsonpath={{.status.conditions[0].reason}}");
        let reason = kubectl.try_words(&words)?;
        ensure!(reason == "Passed", "the reason is {reason}");
        Ok(())
    });
    service.with_context(|| cluster.bed.metrics_server_log())?;
    cluster.bed.await_healthy()?;
    wait_for("the page to be healthy", Duration::from_mins(1), || {
        let page = cluster.doctor().page();
        ensure!(page.verdict()? == HEALTHY.verdict, "{}", page.summary());
        let hops = page.named("port_mismatch").filter(|sample| sample.value != 0.0).count();
        ensure!(hops == 0, "{hops} hops of the port chain do not fit");
        Ok(())
    })
}
