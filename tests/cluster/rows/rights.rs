//! Rights of metrics-server, of callers, of autoscalers' controller and of the doctor itself.

use std::time::{Duration, Instant};

use testbed::{
    certificates::{NAMELESS_GROUP, NAMELESS_TOKEN},
    doctor,
};

use crate::{
    cluster::Cluster,
    matrix::{DOWN, Expected, Fault, HEALTHY, Kind, Row, Shown},
};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "auth-delegator missing",
        injection: "its ClusterRoleBinding deleted: callers outside system:masters get 500, the APIService stays available",
        kind: Kind::Fault(
            Fault::new(
                |cluster| {
                    cluster.kubectl().words("delete clusterrolebinding metrics-server:system:auth-delegator");
                },
                Shown::AtOnce,
                Expected {
                    verdict: "forbidden/auth_delegator_missing",
                    checks: &[
                        ("forbidden/permissions", "fail"),
                        ("retrieve/nodes", "fail"),
                        ("apiservice/available", "pass"),
                    ],
                    ..HEALTHY
                },
                Cluster::apply_manifest,
            )
            .looked_for(),
        ),
    },
    Row {
        name: "nodes/metrics missing",
        injection: "nodes/metrics removed from ClusterRole system:metrics-server: the kubelet asks the API server and answers 403",
        kind: Kind::Fault(
            Fault::new(
                |cluster| {
                    let patch = r#"[{"op":"remove","path":"/rules/0"}]"#;
                    cluster.kubectl().patch("clusterrole system:metrics-server", "json", patch);
                },
                Shown::Reason("MissingEndpoints"),
                Expected {
                    verdict: "forbidden/kubelet_permission_missing",
                    checks: &[("forbidden/permissions", "fail"), ("logs/lines", "fail")],
                    ..DOWN
                },
                Cluster::apply_manifest,
            )
            .looked_for(),
        ),
    },
    Row {
        name: "binding of another account",
        injection: "ClusterRoleBinding system:metrics-server names an account of another namespace",
        kind: Kind::Fault(
            Fault::new(
                |cluster| {
                    let patch = r#"[{"op":"replace","path":"/subjects/0/namespace","value":"shop"}]"#;
                    cluster.kubectl().patch("clusterrolebinding system:metrics-server", "json", patch);
                },
                Shown::Reason("MissingEndpoints"),
                Expected {
                    verdict: "forbidden/list_permission_missing",
                    checks: &[("forbidden/permissions", "fail")],
                    ..DOWN
                },
                Cluster::apply_manifest,
            )
            .looked_for(),
        ),
    },
    Row {
        name: "doctor may not read metrics",
        injection: "metrics.k8s.io removed from the doctor's own ClusterRole: its calls get 403, which blames nobody and is not healthy",
        kind: Kind::Fault(
            Fault::new(
                |cluster| {
                    let role = cluster.kubectl().words("get clusterrole metrics-server-doctor -o json");
                    let mut role: serde_json::Value = serde_json::from_str(&role).expect("JSON");
                    if let Some(rules) = role["rules"].as_array_mut() {
                        rules.retain(|rule| rule["apiGroups"][0] != "metrics.k8s.io");
                    }
                    cluster.kubectl().apply(&role.to_string());
                },
                Shown::AtOnce,
                Expected {
                    verdict: "none/undetermined",
                    checks: &[
                        ("retrieve/nodes", "unknown"),
                        ("retrieve/pods", "unknown"),
                        ("apiservice/available", "pass"),
                        ("forbidden/permissions", "pass"),
                    ],
                    ..HEALTHY
                },
                |cluster| doctor::apply_base(&cluster.bed).expect("the rules of deploy/base"),
            )
            .looked_for(),
        ),
    },
    Row {
        name: "autoscalers' controller forbidden",
        injection: "metrics.k8s.io removed from ClusterRole system:controller:horizontal-pod-autoscaler",
        kind: Kind::Fault(
            Fault::new(
                |cluster| without_rule(cluster, "metrics.k8s.io"),
                Shown::Autoscaler { name: "web", condition: "ScalingActive", reason: "FailedGetResourceMetric" },
                Expected {
                    verdict: "forbidden/caller_forbidden",
                    unknown_targets: &[("web", 1.0)],
                    checks: &[("hpa/targets", "fail"), ("retrieve/pods", "pass")],
                    ..HEALTHY
                },
                restore_controller,
            )
            .looked_for(),
        ),
    },
    Row {
        name: "scale of a target not readable",
        injection: "the scale subresources removed from ClusterRole system:controller:horizontal-pod-autoscaler",
        kind: Kind::Fault(
            Fault::new(
                |cluster| without_rule(cluster, "apps"),
                Shown::Autoscaler { name: "web", condition: "AbleToScale", reason: "FailedGetScale" },
                Expected { verdict: "hpa/other", checks: &[("hpa/targets", "fail")], ..HEALTHY },
                restore_controller,
            )
            .looked_for(),
        ),
    },
    Row {
        name: "caller without a name",
        injection: "a token of a user with groups and an empty name, as aws-auth without username makes: 401 from the metrics API",
        kind: Kind::Named("forbidden/caller_unauthorized", nameless_caller),
    },
    Row {
        name: "aws-auth without username",
        injection: "ConfigMap kube-system/aws-auth with a mapRoles entry without username",
        kind: aws_auth(
            |cluster| {
                put_aws_auth(cluster, "- rolearn: arn:aws:iam::111122223333:role/admin\n  groups: [system:masters]\n");
            },
            "forbidden/aws_auth_username_missing",
        ),
    },
    Row {
        name: "aws-auth that is no YAML",
        injection: "ConfigMap kube-system/aws-auth whose mapRoles cannot be parsed",
        kind: aws_auth(|cluster| put_aws_auth(cluster, "- rolearn: [unclosed\n"), "forbidden/aws_auth_unparsable"),
    },
    Row {
        name: "aws-auth role with a path",
        injection: "ConfigMap kube-system/aws-auth with a rolearn with a path, which matches nobody",
        kind: aws_auth(
            |cluster| {
                let roles = "- rolearn: arn:aws:iam::111122223333:role/team/admin\n  username: admin\n";
                put_malformed(cluster, roles, "arn_with_path");
            },
            "forbidden/aws_auth_arn_with_path",
        ),
    },
    Row {
        name: "aws-auth role mapped twice",
        injection: "ConfigMap kube-system/aws-auth with the nodes' rolearn under two usernames: one of them wins",
        kind: aws_auth(
            |cluster| {
                let role = "- rolearn: arn:aws:iam::111122223333:role/node\n  username:";
                let roles = format!("{role} system:node:{{{{EC2PrivateDNSName}}}}\n{role} admin\n");
                put_malformed(cluster, &roles, "conflicting_username");
            },
            "forbidden/aws_auth_conflicting_usernames",
        ),
    },
    Row {
        name: "aws-auth in order",
        injection: "ConfigMap kube-system/aws-auth as an EKS cluster has it",
        kind: Kind::Quiet(|cluster| {
            put_aws_auth(
                cluster,
                "- rolearn: arn:aws:iam::111122223333:role/node\n  username: system:node:{{EC2PrivateDNSName}}\n  groups: [system:bootstrappers, system:nodes]\n",
            );
            // The doctor reads it every half minute.
            std::thread::sleep(Duration::from_secs(40));
            remove_aws_auth(cluster);
        }),
    },
    Row {
        name: "rights of the doctor revoked",
        injection: "the doctor's ClusterRoleBinding deleted: permissions are named, everything is unknown, nothing healthy",
        kind: Kind::Own(revoked_at_runtime),
    },
    Row {
        name: "doctor restarted",
        injection: "the doctor is killed and started again",
        kind: Kind::Quiet(|cluster| cluster.doctor().restart(&[]).expect("it starts")),
    },
];

const fn aws_auth(inject: fn(&Cluster), verdict: &'static str) -> Kind {
    let expected =
        Expected { verdict, checks: &[("forbidden/aws_auth", "fail"), ("apiservice/available", "pass")], ..HEALTHY };
    Kind::Fault(Fault::new(inject, Shown::AtOnce, expected, remove_aws_auth).looked_for())
}

fn put_aws_auth(cluster: &Cluster, roles: &str) {
    let config_map = serde_json::json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "aws-auth", "namespace": "kube-system"},
        "data": {"mapRoles": roles},
    });
    cluster.kubectl().apply(&config_map.to_string());
}

/// One entry is counted as malformed in this way, and no other.
fn put_malformed(cluster: &Cluster, roles: &str, problem: &str) {
    put_aws_auth(cluster, roles);
    await_page(cluster, Fault::LOOK_LIMIT, |page| {
        let malformed =
            page.named("metrics_server_doctor_aws_auth_malformed_entries").filter(|sample| sample.value != 0.0);
        let problems: Vec<_> = malformed.map(|sample| (sample.label("problem"), sample.value)).collect();
        problems == [(problem, 1.0)]
    });
}

fn remove_aws_auth(cluster: &Cluster) {
    cluster.kubectl().words("delete configmap aws-auth -n kube-system");
}

const CONTROLLER: &str = "system:controller:horizontal-pod-autoscaler";

/// The role without the rules of one API group; `apps` stands for all scale subresources.
fn without_rule(cluster: &Cluster, group: &str) {
    let role = cluster.kubectl().words(&format!("get clusterrole {CONTROLLER} -o json"));
    let mut role: serde_json::Value = serde_json::from_str(&role).expect("JSON");
    role["metadata"]["annotations"] = serde_json::json!({});
    let kept = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "role", "namespace": "shop"}, "data": {"rules": role["rules"].to_string()}});
    cluster.kubectl().apply(&kept.to_string());
    let rules = role["rules"].as_array().cloned().unwrap_or_default();
    let is_meant = |rule: &serde_json::Value| {
        if group == "apps" {
            rule["resources"].to_string().contains("/scale")
        } else {
            rule["apiGroups"].to_string().contains(group)
        }
    };
    let rules: Vec<_> = rules.into_iter().filter(|rule| !is_meant(rule)).collect();
    let patch = serde_json::json!({ "rules": rules }).to_string();
    cluster.kubectl().patch(&format!("clusterrole {CONTROLLER}"), "merge", &patch);
}

fn restore_controller(cluster: &Cluster) {
    let rules = cluster.kubectl().words("get configmap role -n shop -o jsonpath={.data.rules}");
    cluster.kubectl().patch(&format!("clusterrole {CONTROLLER}"), "merge", &format!(r#"{{"rules":{rules}}}"#));
    cluster.kubectl().words("delete configmap role -n shop");
}

/// `check` in the place of somebody whom the metrics API does not know by name.
fn nameless_caller(cluster: &Cluster) {
    cluster.kubectl().apply(&format!(
        r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: nameless}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: metrics-server-doctor}}
subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "{NAMELESS_GROUP}"}}]
"#
    ));
    let kubeconfig = cluster.bed.kubeconfig_with_token("nameless", NAMELESS_TOKEN).expect("a kubeconfig");
    let output = cluster.doctor().check(&["--kubeconfig", &kubeconfig.display().to_string(), "--output", "json"]);
    let output = output.expect("check runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    assert_eq!(report["verdict"]["cause"], "caller_unauthorized", "{text}");
    assert_eq!(output.status.code(), Some(1), "{text}");
    cluster.kubectl().words("delete clusterrolebinding nameless");
}

fn revoked_at_runtime(cluster: &Cluster) {
    cluster.kubectl().words("delete clusterrolebinding metrics-server-doctor");
    // The API server refuses the next request; watches that are open live on for up to a minute.
    let page = await_page(cluster, Duration::from_mins(2), |page| {
        let missing = |resource| {
            let mut samples = page.named("metrics_server_doctor_permission_missing");
            samples.any(|sample| sample.label("resource").starts_with(resource) && sample.value > 0.0)
        };
        missing("apiservices")
            && missing("horizontalpodautoscalers")
            && page.verdict().is_ok_and(|verdict| verdict == "none/undetermined")
            && page.check("apiservice", "available").is_ok_and(|state| state == "unknown")
            && page.check("hpa", "targets").is_ok_and(|state| state == "unknown")
    });
    assert_eq!(page.named("hpa_unknown_targets").count(), 0, "what cannot be seen has no value");
    assert_eq!(page.named("apiservice_available").count(), 0, "what cannot be seen has no value");
    doctor::apply_base(&cluster.bed).expect("the rules of deploy/base");
    await_page(cluster, Duration::from_secs(150), |page| {
        page.verdict().is_ok_and(|verdict| verdict == "none/healthy")
            && page.named("metrics_server_doctor_permission_missing").all(|sample| sample.value == 0.0)
    });
}

fn await_page(cluster: &Cluster, limit: Duration, holds: impl Fn(&testbed::page::Page) -> bool) -> testbed::page::Page {
    let begin = Instant::now();
    loop {
        let page = cluster.doctor().page();
        if holds(&page) {
            return page;
        }
        assert!(begin.elapsed() < limit, "not so after {} s:\n{}", limit.as_secs(), page.summary());
        std::thread::sleep(Duration::from_millis(200));
    }
}
