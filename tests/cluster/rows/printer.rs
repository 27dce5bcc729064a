//! `hpa_unknown_targets` against what the real `kubectl get hpa` prints.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use testbed::{kubectl::Kubectl, wait::wait_for};

use crate::{
    cluster::Cluster,
    matrix::{Kind as RowKind, Row},
};

pub(crate) const ROWS: &[Row] = &[Row {
    name: "unknown targets as kubectl prints them",
    injection: "autoscalers with every metric type and every half-filled status, compared with the TARGETS column of kubectl",
    kind: RowKind::Own(agrees_with_kubectl),
}];

const NAMESPACE: &str = "printer";

/// A metric of an autoscaler and what its status may hold for it.
struct Kind {
    name: &'static str,
    /// The metric but for its target.
    metric: fn(Value) -> Value,
    /// The status entry around `current`; `None` for a status without the source of the type.
    status: fn(Option<Value>) -> Value,
    targets: &'static [&'static str],
}

const KINDS: &[Kind] = &[
    Kind {
        name: "resource",
        metric: |target| json!({"type": "Resource", "resource": {"name": "cpu", "target": target}}),
        status: |current| match current {
            Some(current) => json!({"type": "Resource", "resource": {"name": "cpu", "current": current}}),
            None => json!({"type": "Resource"}),
        },
        targets: &["Utilization", "AverageValue"],
    },
    Kind {
        name: "container",
        metric: |target| json!({"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "a", "target": target}}),
        status: |current| match current {
            Some(current) => {
                json!({"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "a", "current": current}})
            }
            None => json!({"type": "ContainerResource"}),
        },
        targets: &["Utilization", "AverageValue"],
    },
    Kind {
        name: "pods",
        metric: |target| json!({"type": "Pods", "pods": {"metric": {"name": "requests"}, "target": target}}),
        status: |current| match current {
            Some(current) => json!({"type": "Pods", "pods": {"metric": {"name": "requests"}, "current": current}}),
            None => json!({"type": "Pods"}),
        },
        targets: &["AverageValue"],
    },
    Kind {
        name: "object",
        metric: |target| {
            json!({"type": "Object", "object": {"metric": {"name": "hits"}, "target": target,
                "describedObject": {"apiVersion": "v1", "kind": "Service", "name": "web"}}})
        },
        status: |current| match current {
            Some(current) => json!({"type": "Object", "object": {"metric": {"name": "hits"}, "current": current,
                "describedObject": {"apiVersion": "v1", "kind": "Service", "name": "web"}}}),
            None => json!({"type": "Object"}),
        },
        targets: &["Value", "AverageValue"],
    },
    Kind {
        name: "external",
        metric: |target| json!({"type": "External", "external": {"metric": {"name": "queue"}, "target": target}}),
        status: |current| match current {
            Some(current) => json!({"type": "External", "external": {"metric": {"name": "queue"}, "current": current}}),
            None => json!({"type": "External"}),
        },
        targets: &["Value", "AverageValue"],
    },
];

fn target(kind: &str) -> Value {
    match kind {
        "Utilization" => json!({"type": kind, "averageUtilization": 60}),
        "AverageValue" => json!({"type": kind, "averageValue": "10"}),
        _ => json!({"type": kind, "value": "10"}),
    }
}

/// All states that a metric's status may be in, half-filled ones among them.
fn statuses(kind: &Kind) -> Vec<(&'static str, Vec<Value>)> {
    let with = |current: Value| vec![(kind.status)(Some(current))];
    vec![
        ("none", vec![]),
        ("zero", vec![json!({"type": ""})]),
        ("sourceless", vec![(kind.status)(None)]),
        ("empty", with(json!({}))),
        ("value", with(json!({"value": "7"}))),
        ("average", with(json!({"averageValue": "7"}))),
        ("utilization", with(json!({"averageUtilization": 30}))),
        ("full", with(json!({"value": "7", "averageValue": "7", "averageUtilization": 30}))),
        ("other", vec![json!({"type": "Pods", "pods": {"metric": {"name": "x"}, "current": {"averageValue": "1"}}})]),
    ]
}

fn agrees_with_kubectl(cluster: &Cluster) {
    let kubectl = cluster.kubectl();
    kubectl.words(&format!("create namespace {NAMESPACE}"));
    let mut patches = Vec::new();
    let mut objects = Vec::new();
    let mut add = |name: String, metrics: &[Value], status: &[Value]| {
        // Without a target the controller computes nothing, so what is patched into the status stays.
        objects.push(json!({
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"maxReplicas": 3, "metrics": metrics,
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "none"}},
        }));
        patches.push((name, json!({"status": {"currentMetrics": status}})));
    };
    for kind in KINDS {
        for &target_kind in kind.targets {
            for (state, status) in statuses(kind) {
                let name = format!("{}-{}-{state}", kind.name, target_kind.to_lowercase());
                add(name, &[(kind.metric)(target(target_kind))], &status);
            }
        }
    }
    let cpu = (KINDS[0].metric)(target("Utilization"));
    let queue = (KINDS[4].metric)(target("Value"));
    let known = (KINDS[0].status)(Some(json!({"averageUtilization": 30})));
    add("two-both-unknown".to_owned(), &[cpu.clone(), queue.clone()], &[]);
    add("two-second-unknown".to_owned(), &[cpu.clone(), queue.clone()], std::slice::from_ref(&known));
    add("two-first-unknown".to_owned(), &[queue, cpu], &[json!({"type": ""}), known]);

    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    kubectl.apply(&list);
    // The controller writes its conditions once, and then has nothing more to write.
    wait_for("the controller to have looked at all", Duration::from_mins(1), || {
        let words = format!("get hpa -n {NAMESPACE} -o jsonpath={{.items[*].status.conditions[0].reason}}");
        let reasons = kubectl.try_words(&words)?.split_whitespace().count();
        anyhow::ensure!(reasons == patches.len(), "{reasons} of {} have a condition", patches.len());
        Ok(())
    })
    .expect("conditions");
    patch_statuses(&kubectl, &patches);

    let printed = printed(&kubectl);
    assert_eq!(printed.len(), patches.len(), "{printed:?}");
    for count in [0_u32, 1, 2] {
        assert!(printed.values().any(|&seen| seen == count), "no autoscaler with {count} unknown targets: {printed:?}");
    }
    wait_for("the page to say what kubectl prints", Duration::from_secs(5), || {
        let page = cluster.doctor().page();
        let differing = printed.iter().filter_map(|(name, &count)| {
            let seen =
                page.value("hpa_unknown_targets", &[("namespace", NAMESPACE), ("horizontalpodautoscaler", name)]);
            (seen != Some(f64::from(count))).then(|| format!("{name}: kubectl prints {count}, the page {seen:?}"))
        });
        let differing: Vec<String> = differing.collect();
        anyhow::ensure!(differing.is_empty(), "{}", differing.join("\n"));
        Ok(())
    })
    .unwrap_or_else(|error| panic!("{error:#}"));
    kubectl.words(&format!("delete hpa --all -n {NAMESPACE}"));
    kubectl.words(&format!("delete namespace {NAMESPACE} --wait=false"));
    cluster.expect_healthy().unwrap_or_else(|error| panic!("{error:#}"));
}

fn patch_statuses(kubectl: &Kubectl, patches: &[(String, Value)]) {
    for (name, patch) in patches {
        let patch = patch.to_string();
        kubectl
            .run(&["patch", "hpa", name, "-n", NAMESPACE, "--subresource=status", "--type=merge", "-p", &patch])
            .unwrap_or_else(|error| panic!("{error:#}"));
    }
}

/// How often `<unknown>` stands in the TARGETS column, by autoscaler.
fn printed(kubectl: &Kubectl) -> BTreeMap<String, u32> {
    let table = kubectl.words(&format!("get hpa -n {NAMESPACE} --no-headers"));
    let rows = table.lines().filter_map(|line| {
        let name = line.split_whitespace().next()?;
        let count = u32::try_from(line.matches("<unknown>").count()).ok()?;
        Some((name.to_owned(), count))
    });
    rows.collect()
}
