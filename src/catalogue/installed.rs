//! Causes of step `installed`: "Metrics Server is not installed by default".

use super::{Cause, Entry, Role, Stage};
use crate::steps::Step;

pub(super) static CAUSES: &[Entry] = &[
    Entry {
        cause: Cause::NotInstalled,
        id: "not_installed",
        step: Step::Installed,
        stage: Stage::Installed,
        role: Role::Root,
        title: "Metrics Server is not installed: no APIService serves metrics.k8s.io and no workload of it was found.",
        recognised_by: "no APIService of group metrics.k8s.io, no Deployment or DaemonSet with metrics-server's labels or image",
        remedy: "Install it: `kubectl apply -f https://github.com/kubernetes-sigs/metrics-server/releases/latest/download/components.yaml`, the Helm chart, or on EKS `aws eks create-addon --cluster-name CLUSTER --addon-name metrics-server`.",
        guide: "Metrics Server isn't installed by default in Amazon EKS clusters.",
        issues: &[],
    },
    Entry {
        cause: Cause::ApiServiceMissing,
        id: "apiservice_missing",
        step: Step::Installed,
        stage: Stage::Installed,
        role: Role::Root,
        title: "Metrics Server runs, but no APIService registers metrics.k8s.io.",
        recognised_by: "no APIService of group metrics.k8s.io while a workload with metrics-server's image exists (bitnami's chart leaves it out unless apiService.create is true)",
        remedy: "Create the APIService v1beta1.metrics.k8s.io that names metrics-server's Service (`kubectl get apiservice v1beta1.metrics.k8s.io`); with bitnami's chart set `apiService.create=true`.",
        guide: "",
        issues: &["bitnami/charts#3007"],
    },
    Entry {
        cause: Cause::ApiServiceLeftOver,
        id: "apiservice_left_over",
        step: Step::Installed,
        stage: Stage::Installed,
        role: Role::Root,
        title: "The APIService of metrics.k8s.io is left over: the metrics-server that it names is gone.",
        recognised_by: "an APIService of group metrics.k8s.io, and neither pods nor a workload of metrics-server behind it; the Service gone too or without pods",
        remedy: "Install metrics-server again, or remove the registration: `kubectl delete apiservice v1beta1.metrics.k8s.io` (a dead APIService also blocks the deletion of namespaces).",
        guide: "",
        issues: &[],
    },
    Entry {
        cause: Cause::UnsupportedVersion,
        id: "unsupported_version",
        step: Step::Installed,
        stage: Stage::Installed,
        role: Role::Root,
        title: "This metrics-server version does not work with this Kubernetes version.",
        recognised_by: "metrics-server 0.3 on Kubernetes 1.22 or newer answers 500: it asks for SubjectAccessReview v1beta1, which is gone",
        remedy: "Install the release that supports this cluster (0.7 for 1.27 and newer, 0.8 for 1.31, 0.9 for 1.34).",
        guide: "",
        issues: &["#982"],
    },
];
