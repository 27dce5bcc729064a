//! Containers that do not start, and pods that do not come to be.

use std::sync::atomic::Ordering;

use testbed::firewall::{self, Action, Fault as Rule, Path};

use super::registration::no_pods;
use crate::{
    cluster::Cluster,
    matrix::{DOWN, Expected, Fault, Kind, Row, Shown, UNREACHED},
};

const DEPLOYMENT: &str = "deployment metrics-server -n kube-system";
const ARGS: &str = "/spec/template/spec/containers/0/args";

/// A container that does not run: pods are there, endpoints are not.
const fn broken(verdict: &'static str, checks: &'static [(&'static str, &'static str)]) -> Expected {
    Expected { verdict, checks, ..DOWN }
}

/// Faults of the first start.
pub(crate) const STARTS: &[Row] = &[
    Row {
        name: "unknown flag",
        injection: "--logtostderr, which 0.7 removed, in the args: the real process ends with its usage text",
        kind: Kind::Fault(
            Fault::new(
                |cluster| set_args(cluster, &[r#"{"op":"add","path":"ARGS/-","value":"--logtostderr"}"#]),
                Shown::Reason("MissingEndpoints"),
                broken("connection_refused/unknown_flag", &[("connection_refused/command", "fail")]),
                heal,
            )
            .looked_for(),
        ),
    },
    Row {
        name: "refused flag value",
        injection: "--metric-resolution=5s, below the least that is accepted: the real process ends",
        kind: Kind::Fault(
            Fault::new(
                |cluster| set_args(cluster, &[r#"{"op":"add","path":"ARGS/-","value":"--metric-resolution=5s"}"#]),
                Shown::Reason("MissingEndpoints"),
                broken("connection_refused/flag_value_refused", &[]),
                heal,
            )
            .looked_for(),
        ),
    },
    Row {
        name: "port in use",
        injection: "hostNetwork, where the kubelet holds port 10250: the real process cannot bind it",
        kind: Kind::Fault(
            Fault::new(
                |cluster| {
                    set_args(
                        cluster,
                        &[r#"{"op":"add","path":"/spec/template/spec/hostNetwork","value":true}"#],
                    );
                },
                Shown::Reason("MissingEndpoints"),
                broken("connection_refused/port_conflict", &[]),
                heal,
            )
            .looked_for(),
        ),
    },
    Row {
        name: "privileged port",
        injection: "--secure-port=443 as user 1000 without capabilities: the real process may not bind it (needs root)",
        kind: Kind::Fault(
            Fault::new(
                |cluster| {
                    set_args(
                        cluster,
                        &[
                            r#"{"op":"add","path":"ARGS/-","value":"--secure-port=443"}"#,
                            r#"{"op":"replace","path":"/spec/template/spec/containers/0/ports/0/containerPort","value":443}"#,
                        ],
                    );
                },
                Shown::Reason("MissingEndpoints"),
                broken("connection_refused/privileged_port", &[]),
                heal,
            )
            .looked_for(),
        ),
    },
    Row {
        name: "certificate folder cannot be written",
        injection: "--cert-dir removed from the args: the real process cannot create its folder on a read-only file system",
        kind: Kind::Fault(
            Fault::new(
                |cluster| set_args(cluster, &[r#"{"op":"remove","path":"ARGS/0"}"#]),
                Shown::Reason("MissingEndpoints"),
                broken("connection_refused/certificate_directory_unwritable", &[]),
                heal,
            )
            .looked_for(),
        ),
    },
    Row {
        name: "image for another processor",
        injection: "an image whose program is an ELF file for another machine: the kernel refuses to run it",
        kind: Kind::Fault(
            Fault::new(
                |cluster| image(cluster, "k8s.gcr.io/metrics-server-arm64:v0.9.0"),
                Shown::Reason("MissingEndpoints"),
                broken("connection_refused/image_architecture", &[]),
                heal,
            )
            .looked_for(),
        ),
    },
    Row {
        name: "image cannot be pulled",
        injection: "a tag that does not exist; status ImagePullBackOff as a kubelet reports it (there is no registry)",
        kind: Kind::Fault(
            Fault::new(
                |cluster| image(cluster, "registry.k8s.io/metrics-server/metrics-server:v9.9.9"),
                Shown::Reason("MissingEndpoints"),
                broken("connection_refused/image_unavailable", &[("connection_refused/image", "fail")]),
                heal,
            )
            .looked_for(),
        ),
    },
    Row {
        name: "command that is not in the image",
        injection: "command /metrics-server-linux: StartError as a container runtime words it (there is none)",
        kind: Kind::Fault(
            Fault::new(
                |cluster| {
                    set_args(
                        cluster,
                        &[
                            r#"{"op":"add","path":"/spec/template/spec/containers/0/command","value":["/metrics-server-linux"]}"#,
                        ],
                    );
                },
                Shown::Reason("MissingEndpoints"),
                broken("connection_refused/command_not_found", &[("connection_refused/command", "fail")]),
                heal,
            )
            .looked_for(),
        ),
    },
    Row {
        name: "API server not trusted from the pod",
        injection: "the pod starts with the certificate of an authority that did not sign the API server's",
        kind: Kind::Fault(
            Fault::new(
                |cluster| {
                    cluster.bed.pod_faults.api_server_untrusted.store(true, Ordering::Relaxed);
                    restart(cluster);
                },
                Shown::Reason("MissingEndpoints"),
                broken("logs/apiserver_untrusted", &[("logs/lines", "fail")]),
                |cluster| {
                    cluster.bed.pod_faults.heal();
                    restart(cluster);
                },
            )
            .looked_for(),
        ),
    },
    Row {
        name: "out of memory",
        injection: "SIGKILL again and again, reported as OOMKilled (processes of the bed have no memory limit)",
        kind: Kind::Fault(
            Fault::new(
                |cluster| cluster.bed.pod_faults.out_of_memory.store(true, Ordering::Relaxed),
                Shown::Reason("MissingEndpoints"),
                broken("connection_refused/out_of_memory", &[("connection_refused/container", "fail")]),
                |cluster| cluster.bed.pod_faults.heal(),
            )
            .looked_for(),
        ),
    },
    Row {
        name: "process dead",
        injection: "SIGKILL again and again",
        kind: Kind::Fault(Fault::new(
            |cluster| cluster.bed.pod_faults.keep_killed.store(true, Ordering::Relaxed),
            Shown::Reason("MissingEndpoints"),
            broken(
                "connection_refused/container_crashing",
                &[("connection_refused/container", "fail"), ("connection_refused/port_chain", "pass")],
            ),
            |cluster| {
                cluster.bed.pod_faults.heal();
                // One that runs for now has not recovered; a new pod has no past.
                restart(cluster);
            },
        )),
    },
    Row {
        name: "API server not reached from the pod",
        injection: "nftables resets metrics-server's connections to the API server, and the pod is started anew",
        kind: Kind::Fault(
            Fault::new(
                |cluster| {
                    Rule::begin(Path::PodsToApiServer, 6443, Action::Reset).expect("nftables").keep();
                    restart(cluster);
                },
                Shown::Reason("MissingEndpoints"),
                broken("logs/apiserver_unreachable", &[("logs/lines", "fail")]),
                |_| firewall::clear(),
            )
            .looked_for(),
        ),
    },
];

/// Ports, pods that do not come to be, rights that a start needs.
pub(crate) const PODS: &[Row] = &[
    Row {
        name: "wrong containerPort",
        injection: "--secure-port=4443 while containerPort, to which targetPort leads by name, stays 10250",
        kind: Kind::Fault(
            Fault::new(
                |cluster| set_args(cluster, &[r#"{"op":"add","path":"ARGS/-","value":"--secure-port=4443"}"#]),
                Shown::Reason("MissingEndpoints"),
                Expected {
                    verdict: "connection_refused/container_port_mismatch",
                    mismatches: &["container_port"],
                    checks: &[("connection_refused/port_chain", "fail")],
                    ..DOWN
                },
                heal,
            )
            .looked_for(),
        ),
    },
    Row {
        name: "listens on loopback only",
        injection: "--bind-address=127.0.0.1 and no probe that would notice: the pod is Ready, and connections are refused",
        kind: Kind::Fault(
            Fault::new(
                |cluster| {
                    set_args(
                        cluster,
                        &[
                            r#"{"op":"add","path":"ARGS/-","value":"--bind-address=127.0.0.1"}"#,
                            r#"{"op":"remove","path":"/spec/template/spec/containers/0/readinessProbe"}"#,
                            r#"{"op":"remove","path":"/spec/template/spec/containers/0/livenessProbe"}"#,
                        ],
                    );
                },
                Shown::Reason("FailedDiscoveryCheck"),
                Expected {
                    verdict: "connection_refused/nothing_listens",
                    checks: &[("connection_refused/container", "fail"), ("connection_refused/port_chain", "pass")],
                    ..UNREACHED
                },
                heal,
            )
            .looked_for(),
        ),
    },
    Row {
        name: "replicas 0",
        injection: "`kubectl scale --replicas=0`",
        kind: Kind::Fault(Fault::new(
            |cluster| scale(cluster, 0),
            Shown::Reason("MissingEndpoints"),
            broken(
                "other_reasons/replicas_zero",
                &[("other_reasons/deployment", "fail"), ("other_reasons/endpoints", "skipped")],
            ),
            |cluster| scale(cluster, 1),
        )),
    },
    Row {
        name: "quota refuses the pods",
        injection: "a ResourceQuota of no pods in kube-system, and the pod deleted: ReplicaFailure",
        kind: Kind::Fault(
            Fault::new(
                |cluster| {
                    cluster.kubectl().apply(QUOTA);
                    let words = "get resourcequota none -n kube-system -o jsonpath={.status.hard.pods}";
                    cluster.await_output("the quota to count", words, "0");
                    restart(cluster);
                },
                Shown::Reason("MissingEndpoints"),
                broken("other_reasons/pods_not_created", &[("other_reasons/deployment", "fail")]),
                |cluster| {
                    cluster.kubectl().words("delete resourcequota none -n kube-system");
                    // The controller's next attempt may be minutes away.
                    scale(cluster, 0);
                    scale(cluster, 1);
                },
            )
            .looked_for(),
        ),
    },
    Row {
        name: "ServiceAccount missing",
        injection: "the ServiceAccount and the pod deleted: ReplicaFailure",
        kind: Kind::Fault(
            Fault::new(
                |cluster| {
                    cluster.kubectl().words("delete serviceaccount metrics-server -n kube-system");
                    restart(cluster);
                },
                Shown::Reason("MissingEndpoints"),
                broken("forbidden/service_account_missing", &[("forbidden/service_account", "fail")]),
                |cluster| {
                    cluster.apply_manifest();
                    scale(cluster, 0);
                    scale(cluster, 1);
                },
            )
            .looked_for(),
        ),
    },
    Row {
        name: "no node takes the pods",
        injection: "a nodeSelector that no node satisfies; PodScheduled=False as a scheduler reports it",
        kind: Kind::Fault(
            Fault::new(
                |cluster| {
                    set_args(
                        cluster,
                        &[r#"{"op":"add","path":"/spec/template/spec/nodeSelector","value":{"disk":"tape"}}"#],
                    );
                },
                Shown::Reason("MissingEndpoints"),
                broken("other_reasons/pods_unschedulable", &[("other_reasons/deployment", "fail")]),
                heal,
            )
            .looked_for(),
        ),
    },
    Row {
        name: "auth-reader missing",
        injection: "the RoleBinding in kube-system deleted, and the pod started anew: the real process panics",
        kind: Kind::Fault(
            Fault::new(
                |cluster| {
                    cluster.kubectl().words("delete rolebinding metrics-server-auth-reader -n kube-system");
                    restart(cluster);
                },
                Shown::Reason("MissingEndpoints"),
                broken("forbidden/auth_reader_missing", &[("forbidden/permissions", "fail")]),
                Cluster::apply_manifest,
            )
            .looked_for(),
        ),
    },
    Row {
        name: "auth-reader in the wrong namespace",
        injection: "the RoleBinding in another namespace, as the charts 3.8.3 to 3.9.0 make it, and the pod started anew",
        kind: Kind::Fault(
            Fault::new(
                |cluster| {
                    cluster.kubectl().words("delete rolebinding metrics-server-auth-reader -n kube-system");
                    cluster.kubectl().apply(AUTH_READER_ELSEWHERE);
                    restart(cluster);
                },
                Shown::Reason("MissingEndpoints"),
                broken("forbidden/auth_reader_missing", &[("forbidden/permissions", "fail")]),
                |cluster| {
                    cluster.kubectl().words("delete rolebinding metrics-server-auth-reader -n shop");
                    cluster.apply_manifest();
                },
            )
            .looked_for(),
        ),
    },
    Row {
        name: "may not list nodes",
        injection: "nodes and pods removed from ClusterRole system:metrics-server, and the pod started anew: it never listens",
        kind: Kind::Fault(
            Fault::new(
                |cluster| {
                    let patch = r#"[{"op":"remove","path":"/rules/1"}]"#;
                    cluster.kubectl().patch("clusterrole system:metrics-server", "json", patch);
                    restart(cluster);
                },
                Shown::Reason("MissingEndpoints"),
                broken("forbidden/list_permission_missing", &[("forbidden/permissions", "fail")]),
                Cluster::apply_manifest,
            )
            .looked_for(),
        ),
    },
    Row {
        name: "metrics-server restarted",
        injection: "its pod is deleted, and the Deployment's next one takes over",
        kind: Kind::Quiet(restart),
    },
    Row {
        name: "metrics-server rolled out",
        injection: "`kubectl rollout restart` with maxUnavailable 0",
        kind: Kind::Quiet(|cluster| {
            let patch = r#"{"spec":{"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":0}}}}"#;
            cluster.kubectl().patch(DEPLOYMENT, "merge", patch);
            cluster.kubectl().words(&format!("rollout restart {DEPLOYMENT}"));
            cluster.kubectl().words(&format!("rollout status {DEPLOYMENT} --timeout=90s"));
            let patch = r#"{"spec":{"strategy":{"type":"Recreate","rollingUpdate":null}}}"#;
            cluster.kubectl().patch(DEPLOYMENT, "merge", patch);
        }),
    },
    Row {
        name: "one of two replicas killed",
        injection: "scaled to two, one pod deleted, scaled back",
        kind: Kind::Quiet(|cluster| {
            scale(cluster, 2);
            cluster.await_output("two replicas", &available(), "2");
            let words = "get pods -n kube-system -l k8s-app=metrics-server -o jsonpath={.items[0].metadata.name}";
            let pod = cluster.kubectl().words(words);
            cluster.kubectl().words(&format!("delete pod {pod} -n kube-system --wait=false"));
            std::thread::sleep(std::time::Duration::from_secs(5));
            cluster.await_output("two replicas", &available(), "2");
            scale(cluster, 1);
        }),
    },
    Row {
        name: "version skew",
        injection: "the image's tag is v0.3.7, which Kubernetes 1.22 and later do not support; the program is the nearest that can be built, and works: told as a latent finding and a number",
        kind: Kind::Named("installed/unsupported_version", |cluster| {
            let args = r#"["--cert-dir=/tmp","--secure-port=10250","--kubelet-preferred-address-types=InternalIP","--metric-resolution=15s"]"#;
            let args = format!(r#"{{"op":"replace","path":"ARGS","value":{args}}}"#);
            // Up to 0.5 the right to statistics of nodes is the one that is needed.
            let rule = r#"[{"op":"add","path":"/rules/-","value":{"apiGroups":[""],"resources":["nodes/stats"],"verbs":["get"]}}]"#;
            cluster.kubectl().patch("clusterrole system:metrics-server", "json", rule);
            let image = r#"{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"registry.k8s.io/metrics-server/metrics-server:v0.3.7"}"#;
            set_args(cluster, &[&args, image]);
            cluster.await_verdict("installed/unsupported_version", Fault::LOOK_LIMIT);
            let page = cluster.doctor().page();
            assert_eq!(
                page.value("metrics_server_doctor_deployment_version_supported", &[]),
                Some(0.0),
                "{}",
                page.summary()
            );
            heal(cluster);
            cluster.expect_healthy().unwrap_or_else(|error| panic!("{error:#}"));
            let page = cluster.doctor().page();
            assert_eq!(
                page.value("metrics_server_doctor_deployment_version_supported", &[]),
                Some(1.0),
                "{}",
                page.summary()
            );
        }),
    },
    Row {
        name: "two metrics-servers",
        injection: "a second Deployment of metrics-server beside the one in use, which no Service selects",
        kind: Kind::Quiet(|cluster| {
            cluster.kubectl().apply(SECOND);
            let words = "get deployment second -n kube-system -o jsonpath={.status.replicas}";
            cluster.await_output("the second", words, "1");
            std::thread::sleep(std::time::Duration::from_secs(15));
            let page = cluster.doctor().page();
            assert!(page.verdict().is_ok_and(|verdict| verdict == "none/healthy"), "{}", page.summary());
            cluster.kubectl().words("delete deployment second -n kube-system");
        }),
    },
];

const QUOTA: &str = "
apiVersion: v1
kind: ResourceQuota
metadata: {name: none, namespace: kube-system, labels: {testbed: fault}}
spec: {hard: {pods: 0}}
";

const AUTH_READER_ELSEWHERE: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: metrics-server-auth-reader, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: extension-apiserver-authentication-reader}
subjects: [{kind: ServiceAccount, name: metrics-server, namespace: kube-system}]
";

const SECOND: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: second, namespace: kube-system, labels: {testbed: fault}}
spec:
  selector: {matchLabels: {app: second}}
  template:
    metadata: {labels: {app: second}}
    spec:
      serviceAccountName: metrics-server
      containers:
        - name: metrics-server
          image: registry.k8s.io/metrics-server/metrics-server:v0.9.0
          args: [--cert-dir=/tmp, --secure-port=10250]
";

/// Patches the Deployment, whose strategy on this bed is Recreate; `ARGS` stands for the container's args.
pub(super) fn set_args(cluster: &Cluster, operations: &[&str]) {
    let patch = format!("[{}]", operations.join(",").replace("ARGS", ARGS));
    cluster.kubectl().patch(DEPLOYMENT, "json", &patch);
}

fn image(cluster: &Cluster, image: &str) {
    let operation = format!(r#"{{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"{image}"}}"#);
    set_args(cluster, &[&operation]);
}

pub(super) fn heal(cluster: &Cluster) {
    // A list or a field that was added is not in the manifest, so applying it would leave some behind.
    cluster.kubectl().words(&format!("delete {DEPLOYMENT}"));
    no_pods(cluster);
    cluster.apply_manifest();
}

pub(super) fn scale(cluster: &Cluster, replicas: u8) {
    cluster.kubectl().words(&format!("scale {DEPLOYMENT} --replicas={replicas}"));
}

pub(super) fn available() -> String {
    format!("get {DEPLOYMENT} -o jsonpath={{.status.availableReplicas}}")
}

pub(crate) fn restart(cluster: &Cluster) {
    cluster.kubectl().words("delete pods -n kube-system -l k8s-app=metrics-server --wait=false");
}
