//! `deploy/` on a real API server, as somebody who installs it meets it: kustomize, the chart and the sidecar.
//!
//! `cargo test --test deploy [WORD…]` tries only the cases whose name has one of the words in it.

// A file with its own `main` has its modules beside it.
#[path = "deploy/access.rs"]
mod access;
#[path = "deploy/broken.rs"]
mod broken;
#[path = "deploy/chart.rs"]
mod chart;
#[path = "deploy/features.rs"]
mod features;
#[path = "deploy/gitops.rs"]
mod gitops;
#[path = "deploy/https.rs"]
mod https;
#[path = "deploy/installed.rs"]
mod installed;
#[path = "deploy/kubelet.rs"]
mod kubelet;
#[path = "deploy/kustomize.rs"]
mod kustomize;
#[path = "deploy/readme.rs"]
mod readme;
#[path = "deploy/sidecar.rs"]
mod sidecar;

use std::process::ExitCode;

use anyhow::Result;
use testbed::{
    Bed,
    cases::{Case, Group, Program},
    components,
};

const CASES: &[Case<Bed>] = &[
    ("kustomize: the base and each component are taken", kustomize::base_and_components),
    ("kustomize: a namespace of somebody else's", kustomize::other_namespace),
    ("kustomize: what it installs serves, with the rights that it ships", kustomize::serves),
    ("a namespace that enforces restricted refuses what is not confined", kustomize::restricted_refuses),
    ("chart: every way to set it up is taken", chart::every_setup),
    ("chart: install, upgrade, rollback, uninstall", chart::life),
    ("chart: what it installs serves, with the rights that it ships", chart::serves),
    ("chart: helm test of Helm 3 and 4 tells what check tells", chart::test),
    ("GitOps: what the chart renders is applied on the server's side, and nothing drifts", gitops::drift),
    ("chart: TLS and tokens let in who may read the page, and nobody else", access::tokens),
    ("chart: client certificates let in who has one, and nobody else", access::certificates),
    ("a pod without a usable token or authority says so in one line", broken::account),
    ("README: the chart", readme::chart),
    ("README: kustomize", readme::kustomize),
    ("README: the sidecar beside metrics-server's own manifest", readme::sidecar),
    ("README: the sidecar beside what metrics-server's chart renders", readme::sidecar_with_chart),
    ("chart: a feature that is off leaves its checks unknown, and says so", features::off),
];

fn main() -> ExitCode {
    let logs = concat!(env!("CARGO_TARGET_TMPDIR"), "/deploy");
    Program { groups: &[Group { name: "deploy", start, cases: CASES }], tries: 1, logs }.main()
}

/// A cluster without metrics-server, with the definitions of Prometheus Operator, of Google Managed Prometheus, of the vertical
/// autoscaler and of `HTTPRoute`.
fn start() -> Result<Bed> {
    for program in ["helm", "kubectl"] {
        components::program(program)?;
    }
    let operator = components::PROMETHEUS_OPERATOR.path()?;
    let autoscaler = components::VERTICAL_POD_AUTOSCALER.path()?;
    let bed = Bed::start_without_metrics_server()?;
    let definition = autoscaler.join("deploy/vpa-v1-crd-gen.yaml");
    bed.kubectl().run(&["apply", "--server-side", "-f", &definition.display().to_string()])?;
    for kind in ["servicemonitors", "podmonitors", "prometheusrules"] {
        let file = operator.join(format!("example/prometheus-operator-crd/monitoring.coreos.com_{kind}.yaml"));
        bed.kubectl().run(&["apply", "--server-side", "-f", &file.display().to_string()])?;
    }
    let (managed, gateway) = (components::MANAGED_PROMETHEUS.path()?, components::GATEWAY_API.path()?);
    let definitions = [
        managed.join("charts/operator/crds/monitoring.googleapis.com_podmonitorings.yaml"),
        managed.join("charts/operator/crds/monitoring.googleapis.com_clusterrules.yaml"),
        gateway.join("config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"),
    ];
    for file in definitions {
        bed.kubectl().run(&["apply", "--server-side", "-f", &file.display().to_string()])?;
    }
    bed.kubectl().try_words("wait --for=condition=Established crd --all --timeout=30s")?;
    Ok(bed)
}
