//! What is built and fetched, with its versions.

use crate::{Component, Files};

/// The newest Kubernetes.
pub const KUBERNETES: &str = "kubernetes-1.37.2";
/// An older minor of Kubernetes that the doctor is tried on.
pub const OLDER_KUBERNETES: &str = "kubernetes-1.34.4";
const PROMETHEUS: &str = "prometheus-3.16.0";
const HELM: &str = "helm-4.3.1";
const ACTIONLINT: &str = "actionlint-1.7.12";
const BUILDKIT: &str = "buildkit-0.34.2";
const KREW: &str = "krew-0.4.3";
const JSONNET: &str = "jsonnet-0.22.0";
pub(crate) const ALERTMANAGER: &str = "alertmanager-0.35.0";
const KUBERNETES_VERSIONS: &[&str] = &[
    "k8s.io/component-base/version.gitVersion=v1.37.2",
    "k8s.io/component-base/version.gitMajor=1",
    "k8s.io/component-base/version.gitMinor=37",
];

const OLDER_KUBERNETES_VERSIONS: &[&str] = &[
    "k8s.io/component-base/version.gitVersion=v1.34.4",
    "k8s.io/component-base/version.gitMajor=1",
    "k8s.io/component-base/version.gitMinor=34",
];

/// The newest metrics-server.
pub const METRICS_SERVER_0_9: Component = Component {
    program: "metrics-server",
    folder: "metrics-server-0.9.0",
    package: "sigs.k8s.io/metrics-server/cmd/metrics-server",
    versions: &["sigs.k8s.io/metrics-server/pkg/version.gitVersion=v0.9.0"],
};
/// The oldest metrics-server that can be built.
pub const METRICS_SERVER_0_7: Component = Component {
    program: "metrics-server",
    folder: "metrics-server-0.7.2",
    package: "sigs.k8s.io/metrics-server/cmd/metrics-server",
    versions: &["sigs.k8s.io/metrics-server/pkg/version.gitVersion=v0.7.2"],
};

/// The last line of Helm 3, which many pipelines have still.
pub const HELM_3: Component = Component {
    program: "helm",
    folder: "helm-3.22.0",
    package: "helm.sh/helm/v3/cmd/helm",
    versions: &["helm.sh/helm/v3/internal/version.version=v3.22.0"],
};

/// Everything that `make components` builds, first what `make test-fast` asks for, then what a cluster is made of; of several
/// versions of a program the newest first.
pub const ALL: &[Component] = &[
    Component {
        program: "promtool",
        folder: PROMETHEUS,
        package: "github.com/prometheus/prometheus/cmd/promtool",
        versions: &[],
    },
    Component {
        program: "helm",
        folder: HELM,
        package: "helm.sh/helm/v4/cmd/helm",
        versions: &["helm.sh/helm/v4/internal/version.version=v4.3.1"],
    },
    Component {
        program: "kubectl",
        folder: KUBERNETES,
        package: "k8s.io/kubernetes/cmd/kubectl",
        versions: KUBERNETES_VERSIONS,
    },
    Component {
        program: "actionlint",
        folder: ACTIONLINT,
        package: "github.com/rhysd/actionlint/cmd/actionlint",
        versions: &[],
    },
    Component { program: "krew", folder: KREW, package: "sigs.k8s.io/krew/cmd/krew", versions: &[] },
    Component {
        program: "validate-krew-manifest",
        folder: KREW,
        package: "sigs.k8s.io/krew/cmd/validate-krew-manifest",
        versions: &[],
    },
    Component {
        program: "jsonnet",
        folder: JSONNET,
        package: "github.com/google/go-jsonnet/cmd/jsonnet",
        versions: &[],
    },
    Component { program: "etcd", folder: "etcd-3.7.3", package: "go.etcd.io/etcd/server/v3", versions: &[] },
    METRICS_SERVER_0_9,
    Component {
        program: "kube-apiserver",
        folder: KUBERNETES,
        package: "k8s.io/kubernetes/cmd/kube-apiserver",
        versions: KUBERNETES_VERSIONS,
    },
    Component {
        program: "kube-controller-manager",
        folder: KUBERNETES,
        package: "k8s.io/kubernetes/cmd/kube-controller-manager",
        versions: KUBERNETES_VERSIONS,
    },
    METRICS_SERVER_0_7,
    HELM_3,
    Component {
        program: "prometheus",
        folder: PROMETHEUS,
        package: "github.com/prometheus/prometheus/cmd/prometheus",
        versions: &[],
    },
    Component {
        program: "kube-apiserver",
        folder: OLDER_KUBERNETES,
        package: "k8s.io/kubernetes/cmd/kube-apiserver",
        versions: OLDER_KUBERNETES_VERSIONS,
    },
    Component {
        program: "kube-controller-manager",
        folder: OLDER_KUBERNETES,
        package: "k8s.io/kubernetes/cmd/kube-controller-manager",
        versions: OLDER_KUBERNETES_VERSIONS,
    },
    Component {
        program: "amtool",
        folder: ALERTMANAGER,
        package: "github.com/prometheus/alertmanager/cmd/amtool",
        versions: &[],
    },
    Component {
        program: "vmalert",
        folder: "victoria-metrics-1.148.0",
        package: "github.com/VictoriaMetrics/VictoriaMetrics/app/vmalert",
        versions: &[],
    },
    Component {
        program: "alertmanager",
        folder: ALERTMANAGER,
        package: "github.com/prometheus/alertmanager/cmd/alertmanager",
        versions: &[],
    },
];

/// What `make test-image` alone needs, which runs at night: it is built when it is named.
pub const NIGHTLY: &[Component] = &[
    Component {
        program: "buildkitd",
        folder: BUILDKIT,
        package: "github.com/moby/buildkit/cmd/buildkitd",
        versions: &[],
    },
    Component {
        program: "buildctl",
        folder: BUILDKIT,
        package: "github.com/moby/buildkit/cmd/buildctl",
        versions: &[],
    },
];

/// The definitions of `ServiceMonitor`, `PodMonitor` and `PrometheusRule`.
pub const PROMETHEUS_OPERATOR: Files = Files {
    folder: "prometheus-operator-0.85.0",
    module: "github.com/prometheus-operator/prometheus-operator",
    paths: &[
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
    ],
};
/// The definition of `VerticalPodAutoscaler`.
pub const VERTICAL_POD_AUTOSCALER: Files = Files {
    folder: "vertical-pod-autoscaler-1.8.1",
    module: "k8s.io/autoscaler/vertical-pod-autoscaler",
    paths: &["deploy/vpa-v1-crd-gen.yaml"],
};
/// The chart of the newest metrics-server.
pub const METRICS_SERVER_CHART: Files = Files {
    folder: METRICS_SERVER_0_9.folder,
    module: "sigs.k8s.io/metrics-server",
    paths: &["charts/metrics-server"],
};

/// The definition of `HTTPRoute`.
pub const GATEWAY_API: Files = Files {
    folder: "gateway-api-1.6.1",
    module: "sigs.k8s.io/gateway-api",
    paths: &["config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"],
};
/// The definitions of `PodMonitoring` and `ClusterRules` of Google Managed Prometheus.
pub const MANAGED_PROMETHEUS: Files = Files {
    folder: "prometheus-engine-0.17.2",
    module: "github.com/GoogleCloudPlatform/prometheus-engine",
    paths: &[
        "charts/operator/crds/monitoring.googleapis.com_podmonitorings.yaml",
        "charts/operator/crds/monitoring.googleapis.com_clusterrules.yaml",
    ],
};

/// All files of modules that tests read.
pub const FILES: &[Files] =
    &[PROMETHEUS_OPERATOR, VERTICAL_POD_AUTOSCALER, METRICS_SERVER_CHART, GATEWAY_API, MANAGED_PROMETHEUS];
