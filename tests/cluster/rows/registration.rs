//! `APIService`, Service, ports and selector.

use crate::{
    cluster::Cluster,
    matrix::{DOWN, Expected, Fault, Kind, METRICS_API, Row, Shown, UNREACHED},
};

const SERVICE: &str = "service metrics-server -n kube-system";

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "APIService missing",
        injection: "`kubectl delete apiservice v1beta1.metrics.k8s.io`",
        kind: Kind::Fault(Fault::new(
            |cluster| drop(cluster.kubectl().words(&format!("delete apiservice {METRICS_API}"))),
            Shown::AtOnce,
            Expected {
                verdict: "installed/apiservice_missing",
                endpoints: None,
                checks: &[("installed/registered", "fail"), ("apiservice/available", "skipped")],
                ..DOWN
            },
            Cluster::apply_manifest,
        )),
    },
    Row {
        name: "Service missing",
        injection: "`kubectl delete service`: reason ServiceNotFound",
        kind: Kind::Fault(Fault::new(
            |cluster| drop(cluster.kubectl().words(&format!("delete {SERVICE}"))),
            Shown::Reason("ServiceNotFound"),
            Expected {
                verdict: "other_reasons/service_not_found",
                checks: &[
                    ("other_reasons/service", "fail"),
                    ("other_reasons/endpoints", "skipped"),
                    ("apiservice/available", "fail"),
                ],
                ..DOWN
            },
            Cluster::apply_manifest,
        )),
    },
    Row {
        name: "Service in another namespace",
        injection: "spec.service.namespace of the APIService names a namespace without that Service: reason ServiceNotFound",
        kind: Kind::Fault(Fault::new(
            |cluster| point_to(cluster, "namespace", r#""shop""#),
            Shown::Reason("ServiceNotFound"),
            Expected {
                verdict: "other_reasons/service_not_found",
                endpoints: None,
                checks: &[("other_reasons/service", "fail"), ("apiservice/available", "fail")],
                ..DOWN
            },
            |cluster| point_to(cluster, "namespace", r#""kube-system""#),
        )),
    },
    Row {
        name: "wrong Service port",
        injection: "spec.ports[0].port of the Service is 8443: reason ServicePortError",
        kind: Kind::Fault(Fault::new(
            |cluster| service(cluster, "/spec/ports/0/port", "8443"),
            Shown::Reason("ServicePortError"),
            Expected {
                verdict: "other_reasons/service_port_mismatch",
                mismatches: &["service_port"],
                checks: &[("other_reasons/service_port", "fail"), ("other_reasons/service", "pass")],
                ..UNREACHED
            },
            |cluster| service(cluster, "/spec/ports/0/port", "443"),
        )),
    },
    Row {
        name: "wrong port in the APIService",
        injection: "spec.service.port of the APIService is 4443: reason ServicePortError",
        kind: Kind::Fault(Fault::new(
            |cluster| point_to(cluster, "port", "4443"),
            Shown::Reason("ServicePortError"),
            Expected {
                verdict: "other_reasons/service_port_mismatch",
                mismatches: &["service_port"],
                checks: &[("other_reasons/service_port", "fail"), ("other_reasons/service", "pass")],
                ..UNREACHED
            },
            |cluster| point_to(cluster, "port", "443"),
        )),
    },
    Row {
        name: "wrong targetPort, a number",
        injection: "spec.ports[0].targetPort of the Service is 4443: the aggregator's connection is refused",
        kind: Kind::Fault(Fault::new(
            |cluster| service(cluster, "/spec/ports/0/targetPort", "4443"),
            Shown::Reason("FailedDiscoveryCheck"),
            Expected {
                verdict: "connection_refused/target_port_mismatch",
                mismatches: &["target_port"],
                checks: &[("connection_refused/port_chain", "fail"), ("other_reasons/endpoints", "pass")],
                ..UNREACHED
            },
            |cluster| service(cluster, "/spec/ports/0/targetPort", r#""https""#),
        )),
    },
    Row {
        name: "wrong targetPort, a name",
        injection: "spec.ports[0].targetPort of the Service is a name that no container port has: reason MissingEndpoints",
        kind: Kind::Fault(Fault::new(
            |cluster| service(cluster, "/spec/ports/0/targetPort", r#""main-port""#),
            Shown::Reason("MissingEndpoints"),
            Expected {
                verdict: "other_reasons/port_name_unresolved",
                mismatches: &["target_port"],
                checks: &[("other_reasons/endpoints", "fail")],
                ..UNREACHED
            },
            |cluster| service(cluster, "/spec/ports/0/targetPort", r#""https""#),
        )),
    },
    Row {
        name: "selector matches nothing",
        injection: "spec.selector of the Service with a spelling mistake: reason MissingEndpoints",
        kind: Kind::Fault(Fault::new(
            |cluster| selector(cluster, "metric-server"),
            Shown::Reason("MissingEndpoints"),
            Expected {
                verdict: "other_reasons/selector_matches_nothing",
                checks: &[("other_reasons/endpoints", "fail"), ("other_reasons/deployment", "pass")],
                ..DOWN
            },
            |cluster| selector(cluster, "metrics-server"),
        )),
    },
    Row {
        name: "Service without selector",
        injection: "spec.selector of the Service removed and its EndpointSlices deleted: reason EndpointsNotFound",
        kind: Kind::Fault(Fault::new(
            |cluster| {
                cluster.kubectl().patch(SERVICE, "json", r#"[{"op":"remove","path":"/spec/selector"}]"#);
                delete_slices(cluster);
            },
            Shown::Reason("EndpointsNotFound"),
            Expected {
                verdict: "other_reasons/endpoints_not_published",
                checks: &[("other_reasons/endpoints", "fail"), ("other_reasons/deployment", "pass")],
                ..DOWN
            },
            Cluster::apply_manifest,
        )),
    },
    Row {
        name: "EndpointSlice with an old port",
        injection: "the Service without selector, and an EndpointSlice by hand with the pod's address and port 4443",
        kind: Kind::Fault(Fault {
            // The Service loses its selector before the slice is there.
            on_the_way: &["other_reasons/endpoints_not_published"],
            ..Fault::new(
                |cluster| {
                    let pod = pod_address(cluster);
                    by_hand(cluster, &pod, 4443);
                },
                Shown::Reason("FailedDiscoveryCheck"),
                Expected {
                    verdict: "connection_refused/endpoint_port_stale",
                    mismatches: &["endpoint_port"],
                    checks: &[("connection_refused/port_chain", "fail")],
                    ..UNREACHED
                },
                heal_by_hand,
            )
        }),
    },
    Row {
        name: "another server answers",
        injection: "an EndpointSlice by hand that leads to the kubelet: the aggregator gets 404",
        kind: Kind::Fault(Fault {
            // The Service loses its selector before the slice is there.
            on_the_way: &["other_reasons/endpoints_not_published"],
            ..Fault::new(
                |cluster| by_hand(cluster, testbed::isolation::KUBELET_ADDRESS, 10250),
                Shown::Reason("FailedDiscoveryCheck"),
                Expected { verdict: "apiservice/another_server_answers", ..UNREACHED },
                heal_by_hand,
            )
        }),
    },
    Row {
        name: "APIService left over",
        injection: "Deployment and Service deleted, the APIService stays: reason ServiceNotFound",
        kind: Kind::Fault(
            Fault::new(
                |cluster| {
                    cluster.kubectl().words("delete deployment,service metrics-server -n kube-system");
                    no_pods(cluster);
                },
                Shown::Reason("ServiceNotFound"),
                Expected {
                    verdict: "installed/apiservice_left_over",
                    checks: &[("installed/workload", "fail"), ("apiservice/available", "fail")],
                    ..DOWN
                },
                Cluster::apply_manifest,
            )
            .looked_for(),
        ),
    },
    Row {
        name: "prometheus-adapter took the API over",
        injection: "the APIService names the Service of a prometheus-adapter in another namespace, whose pod is not Ready; metrics-server runs on unused",
        kind: Kind::Fault(
            Fault::new(
                |cluster| {
                    cluster.kubectl().apply(ADAPTER);
                    let patch = r#"{"spec":{"service":{"name":"prometheus-adapter","namespace":"shop"}}}"#;
                    cluster.kubectl().patch(&format!("apiservice {METRICS_API}"), "merge", patch);
                },
                Shown::Reason("MissingEndpoints"),
                Expected {
                    verdict: "installed/api_owned_by_another",
                    endpoints: None,
                    checks: &[("installed/owner", "fail"), ("apiservice/available", "fail")],
                    ..DOWN
                },
                |cluster| {
                    cluster.apply_manifest();
                    cluster.kubectl().words("delete deployment,service prometheus-adapter -n shop");
                },
            )
            .looked_for(),
        ),
    },
    Row {
        name: "not installed",
        injection: "APIService, Service and Deployment deleted",
        kind: Kind::Fault(
            Fault::new(
                |cluster| {
                    cluster.kubectl().words(&format!("delete apiservice {METRICS_API}"));
                    cluster.kubectl().words("delete deployment,service metrics-server -n kube-system");
                    no_pods(cluster);
                },
                Shown::AtOnce,
                Expected {
                    verdict: "installed/not_installed",
                    endpoints: None,
                    checks: &[("installed/registered", "fail"), ("apiservice/available", "skipped")],
                    ..DOWN
                },
                Cluster::apply_manifest,
            )
            .looked_for(),
        ),
    },
    Row { name: "a healthy cluster", injection: "nothing is done", kind: Kind::Quiet(|_| ()) },
];

const ADAPTER: &str = "
apiVersion: v1
kind: Service
metadata: {name: prometheus-adapter, namespace: shop}
spec: {selector: {app: prometheus-adapter}, ports: [{name: https, port: 443, targetPort: 6443}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: prometheus-adapter, namespace: shop, labels: {testbed: fault}}
spec:
  selector: {matchLabels: {app: prometheus-adapter}}
  template:
    metadata: {labels: {app: prometheus-adapter}, annotations: {testbed/ready: 'false'}}
    spec:
      containers:
        - {name: prometheus-adapter, image: 'registry.k8s.io/prometheus-adapter/prometheus-adapter:v0.12.0', args: [--secure-port=6443]}
";

fn service(cluster: &Cluster, field: &str, value: &str) {
    let patch = format!(r#"[{{"op":"replace","path":"{field}","value":{value}}}]"#);
    cluster.kubectl().patch(SERVICE, "json", &patch);
}

fn selector(cluster: &Cluster, value: &str) {
    let patch = format!(r#"{{"spec":{{"selector":{{"k8s-app":"{value}"}}}}}}"#);
    cluster.kubectl().patch(SERVICE, "merge", &patch);
}

fn point_to(cluster: &Cluster, field: &str, value: &str) {
    let patch = format!(r#"{{"spec":{{"service":{{"{field}":{value}}}}}}}"#);
    cluster.kubectl().patch(&format!("apiservice {METRICS_API}"), "merge", &patch);
}

fn delete_slices(cluster: &Cluster) {
    // What is left of the time with a selector would be mirrored into slices.
    cluster.kubectl().words("delete endpoints metrics-server -n kube-system --ignore-not-found");
    cluster.kubectl().words("delete endpointslices -n kube-system -l kubernetes.io/service-name=metrics-server");
}

fn pod_address(cluster: &Cluster) -> String {
    cluster.kubectl().words("get pod -n kube-system -l k8s-app=metrics-server -o jsonpath={.items[0].status.podIP}")
}

fn by_hand(cluster: &Cluster, address: &str, port: u16) {
    cluster.kubectl().patch(SERVICE, "json", r#"[{"op":"remove","path":"/spec/selector"}]"#);
    delete_slices(cluster);
    cluster.kubectl().apply(&format!(
        r#"
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: metrics-server-by-hand
  namespace: kube-system
  labels: {{kubernetes.io/service-name: metrics-server, testbed: fault}}
addressType: IPv4
ports: [{{name: https, port: {port}, protocol: TCP}}]
endpoints: [{{addresses: ["{address}"], conditions: {{ready: true}}}}]
"#
    ));
}

fn heal_by_hand(cluster: &Cluster) {
    cluster.kubectl().words("delete endpointslice metrics-server-by-hand -n kube-system");
    cluster.apply_manifest();
}

/// Pods go a moment after their Deployment.
pub(crate) fn no_pods(cluster: &Cluster) {
    let words = "get pods -n kube-system -l k8s-app=metrics-server -o jsonpath={.items[*].metadata.name}";
    cluster.await_output("the pods to be gone", words, "");
}
