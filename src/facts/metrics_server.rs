//! What is known of metrics-server itself: images, labels, versions, the port it listens on.

use crate::snapshot::{
    Workload,
    pod::{Container, PodSpec},
    version::{KubernetesVersion, Version},
};

/// The `--secure-port` that holds where none is given, in every version
/// (kubernetes/apiserver `NewSecureServingOptions`; kubernetes-sigs/metrics-server `cmd/metrics-server/app/options`, 0.3.6 to 0.9.0).
pub const DEFAULT_SECURE_PORT: u16 = 443;

/// Label and value by which each packaging marks metrics-server's objects.
pub const KNOWN_LABELS: [(&str, &str); 3] =
    [("k8s-app", "metrics-server"), ("app.kubernetes.io/name", "metrics-server"), ("app", "metrics-server")];

/// Whether a `ServiceAccount` of this name may be metrics-server's, where its pods were not seen: all packagings end it so.
pub fn may_be_account(name: &str) -> bool {
    name.ends_with("metrics-server")
}

/// Whether upstream supports a metrics-server version on a Kubernetes version (kubernetes-sigs/metrics-server `README.md`,
/// compatibility matrix, 0.3.6 to 0.9.0); `None` for versions that the matrix does not name.
pub fn supports(version: Version, kubernetes: KubernetesVersion) -> Option<bool> {
    let minor = |minor| KubernetesVersion { major: 1, minor };
    let oldest = match (version.major, version.minor) {
        (0, 9) => minor(34),
        (0, 8) => minor(31),
        (0, 7) => minor(27),
        // 1.25 only in the README of later releases.
        (0, 6) => minor(19),
        (0, 3..=5) => minor(8),
        _ => return None,
    };
    let newest = (version < Version::new(0, 4, 0)).then(|| minor(21));
    Some(oldest <= kubernetes && newest.is_none_or(|newest| kubernetes <= newest))
}

/// Who serves `metrics.k8s.io`: a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// metrics-server.
    MetricsServer,
    /// prometheus-adapter with resource rules.
    PrometheusAdapter,
    /// Something else.
    Other,
}

impl Owner {
    /// All owners.
    pub const ALL: [Self; 3] = [Self::MetricsServer, Self::PrometheusAdapter, Self::Other];

    /// As in labels.
    pub const fn label(self) -> &'static str {
        match self {
            Self::MetricsServer => "metrics_server",
            Self::PrometheusAdapter => "prometheus_adapter",
            Self::Other => "other",
        }
    }
}

/// How metrics-server was installed: a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Packaging {
    /// The released `components.yaml`.
    Manifest,
    /// The chart of kubernetes-sigs.
    Chart,
    /// The community add-on of Amazon EKS.
    EksAddon,
    /// The `stable/metrics-server` chart that ended in 2020.
    StableChart,
    /// Bitnami's chart.
    Bitnami,
    /// A distribution's own copy, or anything else.
    Other,
}

impl Packaging {
    /// As in labels.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Chart => "chart",
            Self::EksAddon => "eks_addon",
            Self::StableChart => "stable_chart",
            Self::Bitnami => "bitnami",
            Self::Other => "other",
        }
    }
}

/// The last part of an image reference's path, without tag and digest.
fn repository_name(image: &str) -> &str {
    let without_digest = image.split('@').next().unwrap_or(image);
    let last = without_digest.rsplit('/').next().unwrap_or(without_digest);
    last.split(':').next().unwrap_or(last)
}

/// The tag of an image reference, empty where it has none.
fn tag(image: &str) -> &str {
    let without_digest = image.split('@').next().unwrap_or(image);
    let last = without_digest.rsplit('/').next().unwrap_or(without_digest);
    last.split_once(':').map_or("", |(_, tag)| tag)
}

/// Whether the image is metrics-server's, in any registry (`metrics-server`, `metrics-server-amd64`,
/// `hardened-k8s-metrics-server`, `mirrored-metrics-server`), and not one of the tools that go with it.
pub fn is_metrics_server_image(image: &str) -> bool {
    let name = repository_name(image);
    let architecture = ["-amd64", "-arm64", "-arm", "-ppc64le", "-s390x"];
    let name = architecture.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
    name == "metrics-server" || name.ends_with("-metrics-server")
}

/// metrics-server's container in a pod.
pub fn container(spec: &PodSpec) -> Option<&Container> {
    let by_image = spec.containers.iter().find(|container| is_metrics_server_image(&container.image));
    by_image.or_else(|| spec.containers.iter().find(|container| runs_metrics_server_binary(container)))
}

/// Mirrors rename images; the binary's name in the command, or the container's name, tell too.
fn runs_metrics_server_binary(container: &Container) -> bool {
    let binary = container.command.first().map(|command| command.rsplit('/').next().unwrap_or(command));
    binary == Some("metrics-server") || (binary.is_none() && container.name == "metrics-server")
}

/// Whether the image is the one of the sidecar that sets metrics-server's limits by the number of nodes
/// (kubernetes/autoscaler `addon-resizer`).
pub fn is_resizer(image: &str) -> bool {
    repository_name(image).starts_with("addon-resizer") || repository_name(image).contains("pod-nanny")
}

/// Registries of which no new tag brings an image back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registry {
    /// Bitnami's free catalogue, withdrawn in 2025.
    Bitnami,
    /// `gcr.io/google_containers`, and `k8s.gcr.io`, which is frozen.
    Retired,
    /// Any other.
    Other,
}

/// Whose image it is.
pub fn registry(image: &str) -> Registry {
    let name = image.strip_prefix("docker.io/").or_else(|| image.strip_prefix("index.docker.io/")).unwrap_or(image);
    if name.starts_with("bitnami/") {
        Registry::Bitnami
    } else if ["gcr.io/google_containers/", "k8s.gcr.io/", "gcr.io/google-containers/"]
        .iter()
        .any(|registry| name.starts_with(registry))
    {
        Registry::Retired
    } else {
        Registry::Other
    }
}

/// Whether the workload's pods run metrics-server.
pub fn is_metrics_server(workload: &Workload) -> bool {
    container(&workload.spec.template.spec).is_some()
}

/// Who a workload's pods are.
pub fn owner(spec: &PodSpec) -> Owner {
    if container(spec).is_some() {
        return Owner::MetricsServer;
    }
    let adapter = |container: &Container| {
        let name = repository_name(&container.image);
        name.contains("prometheus-adapter") || name.contains("k8s-prometheus-adapter")
    };
    if spec.containers.iter().any(adapter) { Owner::PrometheusAdapter } else { Owner::Other }
}

/// Whether a pod of this container is Ready only with samples in its storage: from 0.5 on `/readyz` has a check that asks for
/// them, `metric-storage-ready` (kubernetes-sigs/metrics-server `pkg/server/server.go`). Another probe, or none, asks for
/// nothing; of an image without a version the newest is taken.
pub fn is_ready_with_samples(container: &Container) -> bool {
    let asks = container.readiness_probe.as_ref().and_then(|probe| probe.http_get.as_ref());
    let asks = asks.is_some_and(|request| request.path.trim_end_matches('/').ends_with("/readyz"));
    asks && version(&container.image).is_none_or(|version| version >= Version::new(0, 5, 0))
}

/// The version in an image's tag.
pub fn version(image: &str) -> Option<Version> {
    Version::parse(tag(image))
}

/// How the workload was installed, from its labels and image.
pub fn packaging(workload: &Workload) -> Packaging {
    let label = |key: &str| workload.metadata.labels.get(key).map_or("", String::as_str);
    // The addon manager of GKE and AKS, and the deploy controller of k3s and rke2, mark what they keep.
    let marks = ["addonmanager.kubernetes.io/", "objectset.rio.cattle.io/"];
    let keys = || workload.metadata.labels.keys().chain(workload.metadata.annotations.keys());
    let distribution = keys().any(|key| marks.iter().any(|mark| key.starts_with(mark)));
    let image = container(&workload.spec.template.spec).map_or("", |container| container.image.as_str());
    if image.contains("/eks/metrics-server") || image.contains("-eksbuild.") {
        Packaging::EksAddon
    } else if distribution || label("helm.sh/chart").starts_with("rke2-") {
        Packaging::Other
    } else if image.contains("bitnami") || label("helm.sh/chart").contains("bitnami") {
        Packaging::Bitnami
    } else if label("app.kubernetes.io/managed-by") == "Helm" || label("helm.sh/chart").starts_with("metrics-server") {
        Packaging::Chart
    } else if label("app") == "metrics-server" && !label("chart").is_empty() {
        Packaging::StableChart
    } else if label("k8s-app") == "metrics-server" {
        Packaging::Manifest
    } else {
        Packaging::Other
    }
}

/// The port that a command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenPort {
    /// This port, and where it is written (`--secure-port=10250`, or the default).
    Known {
        /// The number.
        port: u16,
        /// Where it is written.
        source: String,
    },
    /// The command line cannot be read: a shell starts it, or a variable holds the value.
    Unknown(String),
}

/// The port that metrics-server listens on by its command line: the last `--secure-port` in command and args, with
/// `=` or a space, else 443 (spf13/pflag: the last one wins; both `-` spellings do not exist for long flags).
pub fn listen_port(container: &Container) -> ListenPort {
    let words: Vec<&str> = container.command.iter().chain(&container.args).map(String::as_str).collect();
    let shell = words.first().is_some_and(|first| {
        ["sh", "bash", "ash"].contains(&first.rsplit('/').next().unwrap_or(first)) && words.contains(&"-c")
    });
    if shell {
        return ListenPort::Unknown(format!("a shell starts it: {}", words.join(" ")));
    }
    let mut found = None;
    for (position, word) in words.iter().enumerate() {
        if let Some(value) = word.strip_prefix("--secure-port=") {
            found = Some((value, format!("--secure-port={value}")));
        } else if *word == "--secure-port" {
            let value = words.get(position + 1).copied().unwrap_or("");
            found = Some((value, format!("--secure-port {value}")));
        }
    }
    match found {
        None => ListenPort::Known {
            port: DEFAULT_SECURE_PORT,
            source: format!("no --secure-port in command or args, so the default {DEFAULT_SECURE_PORT}"),
        },
        Some((value, source)) => match value.trim().parse() {
            Ok(port) => ListenPort::Known { port, source },
            Err(_) => ListenPort::Unknown(format!("{source} is not a number")),
        },
    }
}

/// The value of a flag in a container's command line, last one wins; `Some("")` for a flag without a value.
pub fn flag<'c>(container: &'c Container, name: &str) -> Option<&'c str> {
    let words: Vec<&str> = container.command.iter().chain(&container.args).map(String::as_str).collect();
    let mut found = None;
    for (position, word) in words.iter().enumerate() {
        let Some(rest) = word.strip_prefix("--").and_then(|word| word.strip_prefix(name)) else { continue };
        if let Some(value) = rest.strip_prefix('=') {
            found = Some(value);
        } else if rest.is_empty() {
            let next = words.get(position + 1).copied().filter(|next| !next.starts_with("--"));
            found = Some(next.unwrap_or(""));
        }
    }
    found
}

/// A Go duration in seconds (`15s`, `1m30s`, `500ms`); `None` for anything else.
pub fn duration_seconds(text: &str) -> Option<f64> {
    let mut rest = text.trim();
    let mut total = 0.0;
    while !rest.is_empty() {
        let number_end = rest.find(|character: char| !(character.is_ascii_digit() || character == '.'))?;
        let number: f64 = rest[..number_end].parse().ok()?;
        let unit_end = rest[number_end..]
            .find(|character: char| character.is_ascii_digit() || character == '.')
            .map_or(rest.len(), |end| number_end + end);
        total += number
            * match &rest[number_end..unit_end] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 0.001,
                _ => return None,
            };
        rest = &rest[unit_end..];
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with_args(args: &[&str]) -> Container {
        Container { args: args.iter().map(|&arg| arg.to_owned()).collect(), ..Container::default() }
    }

    fn port(args: &[&str]) -> Option<u16> {
        match listen_port(&with_args(args)) {
            ListenPort::Known { port, .. } => Some(port),
            ListenPort::Unknown(_) => None,
        }
    }

    #[test]
    fn the_compatibility_matrix_has_the_versions_that_were_released() {
        let on = |version: &str, minor| {
            supports(Version::parse(version).expect("a version"), KubernetesVersion { major: 1, minor })
        };
        for (version, minor, expected) in [
            ("0.9.0", 34, Some(true)),
            ("0.9.0", 33, Some(false)),
            ("0.8.1", 31, Some(true)),
            ("0.7.2", 26, Some(false)),
            ("0.7.2", 37, Some(true)),
            ("0.6.4", 25, Some(true)),
            ("0.5.2", 16, Some(true)),
            ("0.3.6", 21, Some(true)),
            ("0.3.6", 22, Some(false)),
            ("0.2.1", 10, None),
            ("1.0.0", 40, None),
        ] {
            assert_eq!(on(version, minor), expected, "{version} on 1.{minor}");
        }
    }

    #[test]
    fn the_last_secure_port_wins_and_443_is_the_default() {
        assert_eq!(port(&[]), Some(443));
        assert_eq!(port(&["--cert-dir=/tmp", "--secure-port=4443"]), Some(4443));
        assert_eq!(port(&["--secure-port", "10250"]), Some(10250));
        assert_eq!(port(&["--secure-port=4443", "--secure-port=10251"]), Some(10251));
        assert_eq!(port(&["--secure-port=$(PORT)"]), None);
        assert_eq!(port(&["--secure-portal=1"]), Some(443));
    }

    #[test]
    fn a_command_behind_a_shell_cannot_be_read() {
        let container = Container {
            command: vec!["/bin/sh".to_owned(), "-c".to_owned(), "exec /metrics-server --secure-port=8443".to_owned()],
            ..Container::default()
        };
        assert!(matches!(listen_port(&container), ListenPort::Unknown(_)));
    }

    #[test]
    fn images_of_every_registry() {
        for image in [
            "k8s.gcr.io/metrics-server-amd64:v0.3.6",
            "registry.k8s.io/metrics-server/metrics-server:v0.9.0",
            "602401143452.dkr.ecr.eu-west-1.amazonaws.com/eks/metrics-server:v0.8.0-eksbuild.2",
            "rancher/hardened-k8s-metrics-server:v0.7.2-build20250110",
            "rancher/mirrored-metrics-server:v0.7.2",
            "docker.io/bitnami/metrics-server@sha256:0123",
            "localhost:5000/metrics-server",
        ] {
            assert!(is_metrics_server_image(image), "{image}");
        }
        for image in
            ["olxbr/metrics-server-exporter:1", "registry.k8s.io/addon-resizer:1.8", "prometheus-adapter:v1", ""]
        {
            assert!(!is_metrics_server_image(image), "{image}");
        }
        assert_eq!(version("localhost:5000/metrics-server"), None);
        assert_eq!(version("localhost:5000/metrics-server:v0.7.1@sha256:00"), Some(Version::new(0, 7, 1)));
    }

    #[test]
    fn copies_of_distributions_are_told_apart_from_the_manifest() {
        let packaging = |labels: serde_json::Value, annotations: serde_json::Value| {
            packaging(&crate::testing::object::<Workload>(
                serde_json::json!({"metadata": {"labels": labels, "annotations": annotations}}),
            ))
        };
        let own = serde_json::json!({"k8s-app": "metrics-server"});
        let none = serde_json::json!({});
        assert_eq!(packaging(own.clone(), none.clone()), Packaging::Manifest);
        let kept = serde_json::json!({"k8s-app": "metrics-server", "addonmanager.kubernetes.io/mode": "Reconcile"});
        assert_eq!(packaging(kept, none.clone()), Packaging::Other);
        assert_eq!(packaging(own, serde_json::json!({"objectset.rio.cattle.io/id": "x"})), Packaging::Other);
        let rke2 =
            serde_json::json!({"app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": "rke2-metrics-server-3.12.2"});
        assert_eq!(packaging(rke2, none), Packaging::Other);
    }

    proptest! {
        #[test]
        fn any_port_in_any_place_is_found(port in 1_u16.., before in proptest::collection::vec("--[a-z]{3,9}=[a-z0-9]{1,4}", 0..4), space: bool) {
            let mut args = before;
            if space {
                args.extend(["--secure-port".to_owned(), port.to_string()]);
            } else {
                args.push(format!("--secure-port={port}"));
            }
            let container = Container { args, ..Container::default() };
            let found = matches!(listen_port(&container), ListenPort::Known { port: known, .. } if known == port);
            prop_assert!(found);
        }
    }
}
