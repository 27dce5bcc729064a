//! What the doctor may do, feature by feature, as a table in docs/access.md: `UPDATE_DOCS=1 cargo test --test manifests` rewrites it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
};

use serde_json::Value;
use testbed::components::project_root;

use crate::{NAME, objects, rendered};

const BEGIN: &str = "<!-- permissions: generated from the chart -->";
const END: &str = "<!-- permissions: end -->";

/// A verb on a resource of a group: `("list", "", "pods")`.
type Right = (String, String, String);

/// Switches of the chart's values, as they are named and set to another than their default, with what they are in kustomize.
const SWITCHES: &[(&str, &str, &str)] = &[
    ("features.rbac", "false", "`--without=rbac`"),
    ("features.awsAuth", "false", "component `without-aws-auth`"),
    ("features.authenticationConfig", "false", "component `without-authentication-config`"),
    ("features.certificateRequests", "false", "`--without=certificate-requests`"),
    ("features.customResourceDefinitions", "false", "`--without=custom-resource-definitions`"),
    ("features.events", "false", "component `without-events`"),
    ("features.nodes", "false", "`--without=nodes`"),
    ("features.networkPolicies", "false", "`--without=network-policies`"),
    ("features.logs", "false", "component `without-pods-log`"),
    ("features.probes", "false", "`--without=probes`"),
    ("features.accessReviews", "true", "component `access-reviews`"),
    ("metrics.authentication", "token-review", "component `token-review`"),
];

/// What a rule is for, by one of its resources.
const PURPOSES: &[(&str, &str)] = &[
    ("apiservices", "`apiservice`: who serves metrics.k8s.io, and whether the aggregator reaches it"),
    ("horizontalpodautoscalers", "`hpa`: unknown targets"),
    ("deployments/scale", "`hpa`: the selector of a blind autoscaler's target"),
    ("replicationcontrollers/scale", "`hpa`: the same"),
    (
        "services",
        "`installed`, `connection_refused`, `other_reasons`: the chain behind the APIService; pods by selector",
    ),
    ("deployments", "`installed`, `connection_refused`: image, command, ports"),
    ("endpointslices", "`other_reasons`: ready addresses"),
    ("nodes", "`retrieve`: which nodes should have a sample"),
    ("networkpolicies", "`timeout`: policies in the way"),
    ("clusterroles", "`forbidden`: metrics-server's own permissions, the readers' role"),
    ("metrics.k8s.io", "`retrieve`: the two calls of `kubectl top`"),
    ("tokenreviews", "the pages: whose token a request brings"),
    ("subjectaccessreviews", "`forbidden`: the API server's own answer; the pages: whether the caller may read them"),
    ("pods/log", "`logs`, `known_issues`: failed scrapes by class"),
    ("aws-auth", "`forbidden`: entries without username"),
    ("extension-apiserver-authentication", "`forbidden`: whether metrics-server can trust the aggregator"),
    ("certificatesigningrequests", "`logs`: which kubelets wait for a serving certificate"),
    ("customresourcedefinitions", "`hpa`: whether the kind of a blind autoscaler's target can be scaled"),
    ("events", "`connection_refused`: which probe failed, and who ended a container"),
];

/// `examples/standard/cluster-role.yaml` of kubernetes/kube-state-metrics 2.20.0: group, resources, verbs.
const KUBE_STATE_METRICS: &[(&str, &[&str], &[&str])] = &[
    (
        "",
        &[
            "configmaps",
            "secrets",
            "nodes",
            "pods",
            "services",
            "serviceaccounts",
            "resourcequotas",
            "replicationcontrollers",
            "limitranges",
            "persistentvolumeclaims",
            "persistentvolumes",
            "namespaces",
            "endpoints",
        ],
        &["list", "watch"],
    ),
    ("apps", &["statefulsets", "daemonsets", "deployments", "replicasets"], &["list", "watch"]),
    ("batch", &["cronjobs", "jobs"], &["list", "watch"]),
    ("autoscaling", &["horizontalpodautoscalers"], &["list", "watch"]),
    ("authentication.k8s.io", &["tokenreviews"], &["create"]),
    ("authorization.k8s.io", &["subjectaccessreviews"], &["create"]),
    ("policy", &["poddisruptionbudgets"], &["list", "watch"]),
    ("certificates.k8s.io", &["certificatesigningrequests"], &["list", "watch"]),
    ("discovery.k8s.io", &["endpointslices"], &["list", "watch"]),
    ("storage.k8s.io", &["storageclasses", "volumeattachments"], &["list", "watch"]),
    (
        "admissionregistration.k8s.io",
        &[
            "mutatingadmissionpolicies",
            "mutatingadmissionpolicybindings",
            "mutatingwebhookconfigurations",
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
            "validatingwebhookconfigurations",
        ],
        &["list", "watch"],
    ),
    ("networking.k8s.io", &["networkpolicies", "ingressclasses", "ingresses"], &["list", "watch"]),
    ("coordination.k8s.io", &["leases"], &["list", "watch"]),
    (
        "rbac.authorization.k8s.io",
        &["clusterrolebindings", "clusterroles", "rolebindings", "roles"],
        &["list", "watch"],
    ),
];

/// `deploy/manifests` of kubernetes-sigs/prometheus-adapter, its main branch of April 2025: its `ClusterRole`, `system:auth-delegator`,
/// and the role that it binds to itself for metrics.k8s.io (every resource, every verb; the two that exist are named here).
const PROMETHEUS_ADAPTER: &[(&str, &[&str], &[&str])] = &[
    ("", &["nodes", "namespaces", "pods", "services"], &["get", "list", "watch"]),
    ("metrics.k8s.io", &["nodes", "pods"], &["get", "list", "watch", "create", "update", "patch", "delete"]),
    ("authentication.k8s.io", &["tokenreviews"], &["create"]),
    ("authorization.k8s.io", &["subjectaccessreviews"], &["create"]),
];

fn rights_of(others: &[(&str, &[&str], &[&str])]) -> BTreeSet<Right> {
    let all = others.iter().flat_map(|(group, resources, verbs)| {
        resources.iter().flat_map(move |resource| {
            verbs.iter().map(move |verb| ((*verb).to_owned(), (*group).to_owned(), (*resource).to_owned()))
        })
    });
    all.collect()
}

/// A rule of the doctor's own roles, with the namespace that it holds in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Rule {
    namespace: String,
    groups: Vec<String>,
    resources: Vec<String>,
    names: Vec<String>,
    verbs: Vec<String>,
}

impl Rule {
    fn rights(&self) -> BTreeSet<Right> {
        let all = self.groups.iter().flat_map(|group| {
            self.resources.iter().flat_map(move |resource| {
                self.verbs.iter().map(move |verb| (verb.clone(), group.clone(), resource.clone()))
            })
        });
        all.collect()
    }

    fn shown(&self) -> String {
        let group = if self.groups[0].is_empty() { String::new() } else { format!(" of {}", self.groups[0]) };
        let names = if self.names.is_empty() { String::new() } else { format!(" `{}`", self.names.join("`, `")) };
        let place = if self.namespace.is_empty() { String::new() } else { format!(", in {}", self.namespace) };
        format!("{} {}{group}{names}{place}", self.verbs.join(", "), self.resources.join(", "))
    }

    fn purpose(&self) -> &'static str {
        let is_meant = |key: &str| self.resources.iter().chain(&self.names).any(|word| word == key);
        // Nodes and pods of the metrics API are others than those of the core group.
        let key = if self.groups == ["metrics.k8s.io"] { "metrics.k8s.io" } else { "" };
        let found =
            PURPOSES.iter().find(|(resource, _)| if key.is_empty() { is_meant(resource) } else { *resource == key });
        found.unwrap_or_else(|| panic!("nobody needs {}", self.shown())).1
    }
}

/// Rules with these values, in the chart's order, but for the role that is given to readers of the page.
fn granted(set: &str) -> Vec<Rule> {
    let objects = objects(&rendered(&["--set", set]));
    let roles =
        objects.values().filter(|object| ["ClusterRole", "Role"].contains(&object["kind"].as_str().unwrap_or("")));
    let own = roles.filter(|role| role["metadata"]["name"] != format!("{NAME}-reader"));
    let words = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().map(|word| word.as_str().expect("text").to_owned()).collect()
    };
    own.flat_map(|role| {
        let namespace = role["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        role["rules"].as_array().expect("rules").iter().map(move |rule| Rule {
            namespace: namespace.clone(),
            groups: words(&rule["apiGroups"]),
            resources: words(&rule["resources"]),
            names: words(&rule["resourceNames"]),
            verbs: words(&rule["verbs"]),
        })
    })
    .collect()
}

/// Whether somebody else has these rights: all of them, some resources, or none.
fn beside(rule: &Rule, others: &BTreeSet<Right>) -> String {
    let has = |resource: &&String| {
        rule.verbs.iter().all(|verb| others.contains(&(verb.clone(), rule.groups[0].clone(), (*resource).clone())))
    };
    let shared: Vec<&String> = rule.resources.iter().filter(has).collect();
    match shared.len() {
        0 => "no".to_owned(),
        // By name is less than all of them.
        _ if !rule.names.is_empty() => "every one".to_owned(),
        count if count == rule.resources.len() => "yes".to_owned(),
        _ => shared.into_iter().cloned().collect::<Vec<_>>().join(", "),
    }
}

fn table() -> String {
    let default = granted("replicas=1");
    let mut switches: BTreeMap<Rule, Vec<String>> = BTreeMap::new();
    let mut all = default.clone();
    for (switch, value, kustomize) in SWITCHES {
        let other = granted(&format!("{switch}={value}"));
        let is_opt_in = other.len() > default.len();
        let (more, fewer) = if is_opt_in { (&other, &default) } else { (&default, &other) };
        let belonging: Vec<&Rule> = more.iter().filter(|rule| !fewer.contains(rule)).collect();
        assert!(!belonging.is_empty() && fewer.iter().all(|rule| more.contains(rule)), "{switch} changes other rules");
        for rule in belonging {
            let state = if is_opt_in { "off by default" } else { "on by default" };
            switches.entry(rule.clone()).or_default().push(format!("`{switch}`, {state}; {kustomize}"));
            if !all.contains(rule) {
                all.push(rule.clone());
            }
        }
    }
    let (kube_state_metrics, adapter) = (rights_of(KUBE_STATE_METRICS), rights_of(PROMETHEUS_ADAPTER));
    let mut text =
        "| permission | feature | who needs it | kube-state-metrics | prometheus-adapter |\n|---|---|---|---|---|\n"
            .to_owned();
    for rule in &all {
        let feature = switches.get(rule).map_or("always".to_owned(), |switches| switches.join("; or "));
        let _ = writeln!(
            text,
            "| {} | {feature} | {} | {} | {} |",
            rule.shown(),
            rule.purpose(),
            beside(rule, &kube_state_metrics),
            beside(rule, &adapter)
        );
    }
    let own: BTreeSet<(String, String)> = all
        .iter()
        .filter(|rule| rule.names.is_empty())
        .flat_map(Rule::rights)
        .map(|(_, group, resource)| (group, resource))
        .collect();
    let beyond = |others: &BTreeSet<Right>| {
        let resources: BTreeSet<String> = others
            .iter()
            .map(|(_, group, resource)| (group.clone(), resource.clone()))
            .filter(|resource| !own.contains(resource))
            .map(|(group, resource)| if group.is_empty() { resource } else { format!("{resource}.{group}") })
            .collect();
        resources.into_iter().collect::<Vec<_>>().join(", ")
    };
    let _ = writeln!(text, "\nBeyond these kube-state-metrics asks for {}.", beyond(&kube_state_metrics));
    let _ = writeln!(
        text,
        "prometheus-adapter asks for every verb on metrics.k8s.io, and beyond these for {}.",
        beyond(&adapter)
    );
    text
}

#[test]
fn the_table_of_permissions_is_what_the_chart_grants() {
    let path = project_root().join("docs/access.md");
    let text = fs::read_to_string(&path).expect("docs/access.md");
    let (head, rest) = text.split_once(BEGIN).expect("the mark where the table begins");
    let (_, tail) = rest.split_once(END).expect("the mark where the table ends");
    let wanted = format!("{head}{BEGIN}\n\n{}\n{END}{tail}", table());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, wanted).expect("docs/access.md");
    } else {
        assert!(
            text == wanted,
            "the table in docs/access.md is out of date: UPDATE_DOCS=1 cargo test --test manifests"
        );
    }
}
