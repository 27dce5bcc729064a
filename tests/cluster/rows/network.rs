//! Real refusals and real silence between the control plane and metrics-server, and who each takes the other for.

use std::sync::atomic::Ordering;

use testbed::{
    firewall::{self, Action, Fault as Rule, Path},
    proxy::Proxy,
};

use crate::{
    cluster::Cluster,
    matrix::{DOWN, Expected, Fault, Kind, METRICS_API, Row, Shown, UNREACHED},
};

const PORT: u16 = 10250;

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "packets of the control plane dropped",
        injection: "nftables drops the API server's packets to metrics-server's port; probes and the doctor get through",
        kind: Kind::Fault(
            Fault::new(
                |cluster| {
                    // Of a metrics-server that has just started the condition proves nothing.
                    old_pods(cluster);
                    begin(Path::ControlPlaneToPods, Action::Drop);
                },
                Shown::Reason("FailedDiscoveryCheck"),
                CLOSED,
                |_| firewall::clear(),
            )
            .dialled(),
        ),
    },
    Row {
        name: "connections of the control plane reset",
        injection: "nftables answers the API server's packets to metrics-server's port with a TCP reset; the doctor gets through",
        kind: Kind::Fault(
            Fault::new(
                |cluster| {
                    old_pods(cluster);
                    begin(Path::ControlPlaneToPods, Action::Reset);
                },
                Shown::Reason("FailedDiscoveryCheck"),
                CLOSED,
                |_| firewall::clear(),
            )
            .dialled(),
        ),
    },
    Row {
        name: "no route from the control plane",
        injection: "nftables rejects the API server's packets to metrics-server's port with ICMP host unreachable",
        kind: Kind::Fault(
            Fault::new(
                |_| begin(Path::ControlPlaneToPods, Action::HostUnreachable),
                Shown::Reason("FailedDiscoveryCheck"),
                Expected { verdict: "timeout/no_route", ..UNREACHED },
                |_| firewall::clear(),
            )
            .dialled(),
        ),
    },
    Row {
        name: "pod network closed",
        injection: "nftables in the pod's namespace drops what does not come from the kubelet of its node",
        kind: Kind::Fault(
            Fault::new(
                |cluster| {
                    old_pods(cluster);
                    begin(Path::OtherNodesToPods, Action::Drop);
                },
                Shown::Reason("FailedDiscoveryCheck"),
                Expected {
                    verdict: "timeout/pod_network_closed",
                    checks: &[("apiservice/available", "fail"), ("timeout/path", "fail")],
                    ..UNREACHED
                },
                |_| firewall::clear(),
            )
            .looked_for(),
        ),
    },
    Row {
        name: "NetworkPolicy",
        injection: "a NetworkPolicy without ingress rules selects the pods, and nftables drops as its controller would",
        kind: Kind::Fault(Fault::new(
            |cluster| {
                cluster.kubectl().apply(NETWORK_POLICY);
                begin(Path::ControlPlaneToPods, Action::Drop);
            },
            Shown::Reason("FailedDiscoveryCheck"),
            Expected {
                verdict: "timeout/network_policy_blocks",
                checks: &[("timeout/network_policy", "fail")],
                ..UNREACHED
            },
            |cluster| {
                firewall::clear();
                cluster.kubectl().words("delete networkpolicy closed -n kube-system");
            },
        )),
    },
    Row {
        name: "packets of everybody dropped",
        injection: "nftables in the pod's namespace drops everything, the kubelet's probes included: the pod is not Ready",
        kind: Kind::Fault(Fault::new(
            |cluster| {
                old_pods(cluster);
                begin(Path::EverybodyToPods, Action::Drop);
            },
            Shown::Reason("MissingEndpoints"),
            Expected {
                verdict: "other_reasons/pods_not_ready",
                checks: &[("other_reasons/endpoints", "fail"), ("connection_refused/port_chain", "pass")],
                ..DOWN
            },
            |_| firewall::clear(),
        )),
    },
    Row {
        name: "process stands still",
        injection: "SIGSTOP: connections are accepted by the kernel and never answered",
        kind: Kind::Fault(
            Fault::new(
                |cluster| {
                    old_pods(cluster);
                    cluster.bed.pod_faults.stopped.store(true, Ordering::Relaxed);
                },
                Shown::Reason("MissingEndpoints"),
                Expected {
                    verdict: "timeout/server_unresponsive",
                    checks: &[("timeout/path", "fail"), ("connection_refused/container", "pass")],
                    ..DOWN
                },
                |cluster| cluster.bed.pod_faults.stopped.store(false, Ordering::Relaxed),
            )
            .looked_for(),
        ),
    },
    Row {
        name: "CA bundle missing",
        injection: "insecureSkipTLSVerify removed from the manifest's APIService, no caBundle",
        kind: Kind::Fault(Fault::new(
            |cluster| verify(cluster, "null"),
            Shown::Reason("FailedDiscoveryCheck"),
            Expected {
                verdict: "apiservice/ca_bundle_missing",
                checks: &[("apiservice/ca_bundle", "fail")],
                ..UNREACHED
            },
            do_not_verify,
        )),
    },
    Row {
        name: "CA bundle of somebody else",
        injection: "metrics-server serves with a certificate for its Service; caBundle is of an authority that did not sign it",
        kind: Kind::Fault(Fault::new(
            |cluster| {
                serve_with(cluster, "metrics-server");
                verify_with(cluster, "unknown-ca.crt");
            },
            Shown::Reason("FailedDiscoveryCheck"),
            Expected {
                verdict: "apiservice/ca_bundle_mismatch",
                checks: &[("apiservice/ca_bundle", "fail")],
                ..UNREACHED
            },
            serve_as_before,
        )),
    },
    Row {
        name: "CA bundle expired",
        injection: "metrics-server serves with a certificate for its Service; caBundle is of an authority that expired in 2020",
        kind: Kind::Fault(Fault::new(
            |cluster| {
                serve_with(cluster, "metrics-server");
                verify_with(cluster, "expired-ca.crt");
            },
            Shown::Reason("FailedDiscoveryCheck"),
            Expected {
                verdict: "apiservice/ca_bundle_expired",
                checks: &[("apiservice/ca_bundle", "fail")],
                ..UNREACHED
            },
            serve_as_before,
        )),
    },
    Row {
        name: "serving certificate for another name",
        injection: "metrics-server serves with --tls-cert-file for metrics.monitoring.svc; caBundle is its authority",
        kind: Kind::Fault(Fault::new(
            |cluster| {
                serve_with(cluster, "other-service");
                verify_with(cluster, "ca.crt");
            },
            Shown::Reason("FailedDiscoveryCheck"),
            Expected { verdict: "apiservice/serving_certificate_invalid", ..UNREACHED },
            serve_as_before,
        )),
    },
    Row {
        name: "front proxy of another name",
        injection: "kube-apiserver with --proxy-client-cert-file of a name that is not in --requestheader-allowed-names",
        kind: Kind::Fault(
            Fault::new(
                |cluster| {
                    let restarted = cluster.bed.restart_api_server_as_unknown_front_proxy();
                    restarted.unwrap_or_else(|error| panic!("{error:#}"));
                },
                Shown::Reason("FailedDiscoveryCheck"),
                Expected { verdict: "apiservice/front_proxy_untrusted", ..UNREACHED },
                |cluster| restart(cluster, &[]),
            )
            .looked_for(),
        ),
    },
    Row {
        name: "proxy in the environment of kube-apiserver",
        injection: "kube-apiserver with HTTPS_PROXY of a proxy that answers 403, pods not in NO_PROXY",
        kind: Kind::Fault(
            Fault::new(
                |cluster| {
                    let restarted = cluster.bed.restart_api_server_behind_proxy(Proxy::Forbids);
                    restarted.unwrap_or_else(|error| panic!("{error:#}"));
                },
                Shown::Reason("FailedDiscoveryCheck"),
                Expected { verdict: "apiservice/proxy_interferes", ..UNREACHED },
                |cluster| restart(cluster, &[]),
            )
            .looked_for(),
        ),
    },
    Row {
        name: "name of an ExternalName Service",
        injection: "kube-apiserver without endpoint routing, and a Service of type ExternalName whose name nobody knows",
        kind: Kind::Fault(Fault {
            // The Service is replaced by way of none, and without kube-proxy there is no route to its address.
            on_the_way: &["other_reasons/service_not_found", "timeout/no_route"],
            ..Fault::new(
                |cluster| {
                    restart(cluster, &["--enable-aggregator-routing=false"]);
                    cluster.kubectl().words("delete service metrics-server -n kube-system");
                    // What is left of the old Service would be taken for the new one's.
                    let slices =
                        "get endpointslices -n kube-system -l kubernetes.io/service-name=metrics-server -o name";
                    cluster.await_output("the EndpointSlices to be gone", slices, "");
                    cluster.kubectl().apply(EXTERNAL_NAME);
                },
                Shown::Reason("FailedDiscoveryCheck"),
                Expected { verdict: "apiservice/name_resolution", ..DOWN },
                |cluster| {
                    cluster.kubectl().words("delete service metrics-server -n kube-system");
                    cluster.apply_manifest();
                    restart(cluster, &[]);
                },
            )
            .looked_for()
        }),
    },
    Row {
        name: "API server restarted",
        injection: "kube-apiserver is killed and started again",
        kind: Kind::Quiet(|cluster| restart(cluster, &[])),
    },
];

const CLOSED: Expected = Expected {
    verdict: "timeout/control_plane_path_closed",
    checks: &[
        ("apiservice/available", "fail"),
        ("timeout/path", "fail"),
        ("connection_refused/port_chain", "pass"),
        ("other_reasons/endpoints", "pass"),
    ],
    ..UNREACHED
};

const NETWORK_POLICY: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed, namespace: kube-system, labels: {testbed: fault}}
spec:
  podSelector: {matchLabels: {k8s-app: metrics-server}}
  policyTypes: [Ingress]
";

const EXTERNAL_NAME: &str = "
apiVersion: v1
kind: Service
metadata: {name: metrics-server, namespace: kube-system}
spec: {type: ExternalName, externalName: metrics.nowhere.example}
";

fn begin(path: Path, action: Action) {
    Rule::begin(path, PORT, action).expect("nftables").keep();
}

pub(crate) fn restart(cluster: &Cluster, flags: &[&str]) {
    cluster.bed.restart_api_server(flags).unwrap_or_else(|error| panic!("{error:#}"));
}

fn verify(cluster: &Cluster, bundle: &str) {
    let patch = format!(r#"{{"spec":{{"insecureSkipTLSVerify":null,"caBundle":{bundle}}}}}"#);
    cluster.kubectl().patch(&format!("apiservice {METRICS_API}"), "merge", &patch);
}

pub(crate) fn verify_with(cluster: &Cluster, certificate: &str) {
    let bundle = cluster.bed.certificates.bundle(certificate).expect("a certificate");
    verify(cluster, &format!("\"{bundle}\""));
}

fn do_not_verify(cluster: &Cluster) {
    let patch = r#"{"spec":{"insecureSkipTLSVerify":true,"caBundle":null}}"#;
    cluster.kubectl().patch(&format!("apiservice {METRICS_API}"), "merge", patch);
}

pub(crate) fn serve_with(cluster: &Cluster, certificate: &str) {
    let file = |kind: &str| {
        let path = cluster.bed.certificates.path(&format!("{certificate}.{kind}"));
        path.display().to_string()
    };
    let patch = format!(
        r#"[{{"op":"add","path":"/spec/template/spec/containers/0/args/-","value":"--tls-cert-file={}"}},
            {{"op":"add","path":"/spec/template/spec/containers/0/args/-","value":"--tls-private-key-file={}"}}]"#,
        file("crt"),
        file("key")
    );
    cluster.kubectl().patch("deployment metrics-server -n kube-system", "json", &patch);
    settled(cluster);
}

pub(crate) fn serve_as_before(cluster: &Cluster) {
    do_not_verify(cluster);
    cluster.apply_manifest();
    settled(cluster);
}

/// The rollout is over.
fn settled(cluster: &Cluster) {
    cluster.kubectl().words("rollout status deployment metrics-server -n kube-system --timeout=90s");
}

/// metrics-server may take some time to be Ready; until then nobody is to blame.
pub(crate) fn old_pods(cluster: &Cluster) {
    testbed::wait::wait_for("the pod to be old enough", std::time::Duration::from_secs(170), || {
        let words =
            "get pod -n kube-system -l k8s-app=metrics-server -o jsonpath={.items[0].metadata.creationTimestamp}";
        let created: jiff::Timestamp = cluster.kubectl().try_words(words)?.parse()?;
        let age = jiff::Timestamp::now().duration_since(created);
        anyhow::ensure!(age.as_secs() > 151, "it is {age:#} old");
        Ok(())
    })
    .expect("an old pod");
}
