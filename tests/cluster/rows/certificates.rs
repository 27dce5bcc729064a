//! Kubelets whose requests for a serving certificate nobody approves.

use testbed::kubelet::ServingCertificate;

use super::kubelets::heal;
use crate::{
    cluster::Cluster,
    matrix::{DOWN, Expected, Fault, Kind, Row, Shown},
};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "requests for serving certificates pending",
        injection: "each node has asked for a certificate of signer kubernetes.io/kubelet-serving, nobody approves, and kubelets end the handshake with TLS alert internal error",
        kind: Kind::Fault(fault(inject, &[("logs/lines", "fail"), ("connection_refused/port_chain", "pass")])),
    },
    Row {
        name: "requests for serving certificates pending, no logs",
        injection: "the same, and the doctor may not read logs: the requests alone prove it",
        kind: Kind::Fault(Fault {
            heal: |cluster| {
                testbed::doctor::apply_base(&cluster.bed).expect("the rules of deploy/base");
                mend(cluster);
            },
            ..fault(
                |cluster| {
                    cluster.kubectl().words("delete rolebinding metrics-server-doctor-pods-log -n kube-system");
                    inject(cluster);
                },
                &[("connection_refused/port_chain", "pass")],
            )
        }),
    },
];

const fn fault(inject: fn(&Cluster), checks: &'static [(&'static str, &'static str)]) -> Fault {
    let expected = Expected { verdict: "logs/kubelet_certificate_missing", checks, ..DOWN };
    Fault::new(inject, Shown::Reason("MissingEndpoints"), expected, mend).looked_for()
}

const NODES: [&str; 2] = ["node-1", "node-2"];

/// What a kubelet with `serverTLSBootstrap: true` does and meets.
fn inject(cluster: &Cluster) {
    cluster.kubectl().apply(MAY_ASK);
    for node in NODES {
        let request = cluster.bed.certificates.serving_request(node).expect("a request");
        let object = serde_json::json!({
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"name": format!("csr-{node}"), "labels": {"testbed": "fault"}},
            "spec": {
                "request": request,
                "signerName": "kubernetes.io/kubelet-serving",
                "usages": ["digital signature", "server auth"],
            },
        });
        let account = format!("--as=system:node:{node}");
        let arguments =
            ["create", "-f", "-", account.as_str(), "--as-group=system:nodes", "--as-group=system:authenticated"];
        // A new binding counts a moment later.
        let asked = testbed::wait::wait_for("the node to ask", std::time::Duration::from_secs(10), || {
            cluster.kubectl().run_with_input(&arguments, &object.to_string())
        });
        asked.unwrap_or_else(|error| panic!("{error:#}"));
    }
    cluster.bed.kubelet.serve_with(ServingCertificate::Missing);
}

fn mend(cluster: &Cluster) {
    heal(cluster);
    cluster.kubectl().words("delete certificatesigningrequest,clusterrolebinding -l testbed=fault");
}

/// Nodes may ask for certificates, as where kubeadm has set them up.
const MAY_ASK: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: nodes-ask-for-certificates, labels: {testbed: fault}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: 'system:node-bootstrapper'}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: 'system:nodes'}]
";
