//! Every packaging and version line of metrics-server, as it runs on a healthy cluster of its era.

use metrics_server_doctor::{
    facts::ports::{Hop, PortChain},
    facts::{
        chain::Chain,
        metrics_server::{self, Owner, Packaging},
    },
    observe::bundle,
    report::Report,
    verdict::VerdictName,
};

use super::live::{Cluster, full_name};

struct Line {
    fixture: &'static str,
    /// The minor of Kubernetes that it runs on.
    minor: u32,
    packaging: Packaging,
    version: &'static str,
    port: u16,
    service: &'static str,
}

const fn line(
    fixture: &'static str,
    minor: u32,
    packaging: Packaging,
    version: &'static str,
    port: u16,
    service: &'static str,
) -> Line {
    Line { fixture, minor, packaging, version, port, service }
}

const STOCK: &str = "kube-system/metrics-server";

const LINES: [Line; 21] = [
    line("manifest-0.3.6", 16, Packaging::Manifest, "0.3.6", 443, STOCK),
    line("manifest-0.3.7", 18, Packaging::Manifest, "0.3.7", 4443, STOCK),
    line("manifest-0.4.4", 19, Packaging::Manifest, "0.4.4", 4443, STOCK),
    line("manifest-0.5.0", 21, Packaging::Manifest, "0.5.0", 443, STOCK),
    line("manifest-0.5.2", 22, Packaging::Manifest, "0.5.2", 4443, STOCK),
    line("manifest-0.6.4", 25, Packaging::Manifest, "0.6.4", 4443, STOCK),
    line("manifest-0.6.4-ha", 26, Packaging::Manifest, "0.6.4", 4443, STOCK),
    line("manifest-0.7.2", 30, Packaging::Manifest, "0.7.2", 10250, STOCK),
    line("manifest-0.8.1", 34, Packaging::Manifest, "0.8.1", 10250, STOCK),
    line("manifest-0.9", 37, Packaging::Manifest, "0.9.0", 10250, STOCK),
    line("chart-3.8.2", 24, Packaging::Chart, "0.6.1", 4443, STOCK),
    line("chart-3.13.0", 33, Packaging::Chart, "0.8.0", 10250, STOCK),
    line("chart-3.13.0-other-release", 33, Packaging::Chart, "0.8.0", 10250, "monitoring/observe-metrics-server"),
    line("chart-3.13.0-cert-manager", 36, Packaging::Chart, "0.8.0", 10250, STOCK),
    line("eks-addon-0.8.0", 33, Packaging::EksAddon, "0.8.0", 10251, STOCK),
    line("stable-chart-2.11.4", 17, Packaging::StableChart, "0.3.6", 8443, STOCK),
    line("stable-chart-port-443", 14, Packaging::StableChart, "0.3.6", 443, "metrics/metrics-server"),
    line("bitnami-7.4.0", 31, Packaging::Bitnami, "0.7.2", 8443, "metrics/metrics-metrics-server"),
    line("k3s-0.7.2", 31, Packaging::Other, "0.7.2", 10250, STOCK),
    line("gke-0.5.2", 27, Packaging::Other, "0.5.2", 10250, STOCK),
    line("aks-0.6.3", 28, Packaging::Other, "0.6.3", 4443, STOCK),
];

#[test]
fn every_packaging_and_version_line_is_healthy_and_known() {
    for line in &LINES {
        let folder = tempfile::tempdir().expect("a folder");
        Cluster::running(line.fixture, line.minor).write(folder.path());
        let snapshot = bundle::read(folder.path()).expect("a bundle");
        let report = Report::new(&snapshot);
        let told = format!("{}: {}", line.fixture, metrics_server_doctor::render::text::full(&report));
        assert_eq!(report.judgement.verdict.name(), VerdictName::Healthy, "{told}");
        assert!(report.judgement.findings.is_empty() && report.judgement.held_back.is_empty(), "{told}");
        assert_eq!(report.notices, Vec::<String>::new(), "{told}");

        let chain = Chain::resolve(&snapshot);
        let ports = PortChain::of(&snapshot, &chain);
        for hop in Hop::ALL {
            assert_eq!(ports.mismatch(hop), Some(false), "{} {}: {ports:?}", line.fixture, hop.label());
        }
        let listen = ports.listen.as_ref().map(|(port, _)| *port);
        assert_eq!((listen, ports.resolved_target_port), (Some(line.port), Some(line.port)), "{}", line.fixture);
        assert_eq!(ports.endpoint_ports.into_iter().collect::<Vec<_>>(), [line.port], "{}", line.fixture);

        let service = chain.service.seen().expect("the Service");
        assert_eq!(full_name(*service), line.service, "{}", line.fixture);
        let workload = chain.workload.seen().expect("the Deployment");
        assert_eq!(chain.owner(), Some(Owner::MetricsServer), "{}", line.fixture);
        assert_eq!(metrics_server::packaging(workload), line.packaging, "{}", line.fixture);
        let version = chain.container().and_then(|container| metrics_server::version(&container.image));
        assert_eq!(version.map(|version| version.to_string()).as_deref(), Some(line.version), "{}", line.fixture);
    }
}

#[test]
fn every_fixture_has_its_line() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/metrics-server");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .expect("the folder of fixtures")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".yaml").map(str::to_owned))
        .collect();
    files.sort();
    let mut lines: Vec<&str> = LINES.iter().map(|line| line.fixture).collect();
    lines.sort_unstable();
    assert_eq!(files, lines);
}
