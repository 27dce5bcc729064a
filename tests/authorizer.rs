//! The evaluation of RBAC objects (`src/rbac.rs`) against the real authorizer: hundreds of questions about generated roles and
//! bindings, asked by `SubjectAccessReview` and answered from the same objects.

use std::{process::ExitCode, time::Duration};

use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::{
    Api, Client, Config,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use metrics_server_doctor::{
    facts::rbac::{Attributes, Decision, User, decide},
    snapshot::{Collection, Named, Role, RoleBinding},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use testbed::{Bed, kubectl::Kubectl, wait::wait_for};

const NAMESPACES: [&str; 2] = ["one", "two"];
const ACCOUNTS: [&str; 3] = ["a", "b", "c"];
const PREFIX: &str = "generated-";

/// A small generator of numbers that gives the same ones in every run (Knuth's MMIX constants).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % limit
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// One to `most` of them, possibly the same one twice.
    fn some_of<T: Copy>(&mut self, of: &[T], most: usize) -> Vec<T> {
        (0..=self.below(most)).map(|_| self.one_of(of)).collect()
    }

    fn rule(&mut self, in_cluster_role: bool) -> Value {
        let verbs = self.some_of(&["get", "list", "watch", "create", "*"], 2);
        if in_cluster_role && self.below(5) == 0 {
            let urls = self.some_of(&["/metrics", "/metrics/*", "/healthz", "/healthz*", "*"], 2);
            return json!({"nonResourceURLs": urls, "verbs": verbs});
        }
        let groups = self.some_of(&["", "", "*", "apps", "metrics.k8s.io", "authentication.k8s.io"], 2);
        let resources = self.some_of(
            &[
                "nodes",
                "nodes/metrics",
                "nodes/stats",
                "nodes/*",
                "*/metrics",
                "*/stats",
                "pods",
                "configmaps",
                "tokenreviews",
                "*",
            ],
            3,
        );
        let names = match self.below(4) {
            0 => vec!["extension-apiserver-authentication"],
            1 => vec!["other", "extension-apiserver-authentication"],
            _ => vec![],
        };
        json!({"apiGroups": groups, "resources": resources, "verbs": verbs, "resourceNames": names})
    }

    fn subject(&mut self) -> Value {
        let (account, namespace) = (self.one_of(&ACCOUNTS), self.one_of(&NAMESPACES));
        let group = |name: &str| json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": name});
        match self.below(8) {
            0 => group(&format!("system:serviceaccounts:{namespace}")),
            1 => group(self.one_of(&["system:serviceaccounts", "system:masters", "nobody"])),
            2 => json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io",
                "name": format!("system:serviceaccount:{namespace}:{account}")}),
            _ => json!({"kind": "ServiceAccount", "namespace": namespace, "name": account}),
        }
    }
}

/// Roles, aggregated roles and bindings, some of them to roles that do not exist.
fn objects(numbers: &mut Numbers) -> Vec<Value> {
    let api = "rbac.authorization.k8s.io/v1";
    let mut objects: Vec<Value> = NAMESPACES
        .iter()
        .map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
        .collect();
    for number in 0..30 {
        let name = format!("{PREFIX}{number}");
        let label = format!("aggregate-to-{}", number % 4);
        let rules: Vec<_> = (0..=numbers.below(2)).map(|_| numbers.rule(true)).collect();
        objects.push(json!({"apiVersion": api, "kind": "ClusterRole", "rules": rules,
            "metadata": {"name": name, "labels": {label: "true"}}}));
        let rules: Vec<_> = (0..=numbers.below(2)).map(|_| numbers.rule(false)).collect();
        objects.push(json!({"apiVersion": api, "kind": "Role", "rules": rules,
            "metadata": {"name": name, "namespace": numbers.one_of(&NAMESPACES)}}));
    }
    for number in 0..4 {
        let selector = json!({"matchLabels": {format!("aggregate-to-{number}"): "true"}});
        objects.push(json!({"apiVersion": api, "kind": "ClusterRole", "rules": [],
            "metadata": {"name": format!("{PREFIX}aggregated-{number}")},
            "aggregationRule": {"clusterRoleSelectors": [selector]}}));
    }
    for number in 0..26 {
        let role = match numbers.below(12) {
            0 => "missing".to_owned(),
            1 => format!("{PREFIX}aggregated-{}", numbers.below(4)),
            _ => format!("{PREFIX}{}", numbers.below(30)),
        };
        let name = format!("{PREFIX}{number}");
        let reference = |kind: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role});
        if number % 3 == 0 {
            objects.push(json!({"apiVersion": api, "kind": "ClusterRoleBinding", "metadata": {"name": name},
                "roleRef": reference("ClusterRole"), "subjects": [numbers.subject()]}));
        } else {
            let kind = numbers.one_of(&["Role", "ClusterRole"]);
            objects.push(json!({"apiVersion": api, "kind": "RoleBinding", "roleRef": reference(kind),
                "metadata": {"name": name, "namespace": numbers.one_of(&NAMESPACES)},
                "subjects": [numbers.subject(), numbers.subject()]}));
        }
    }
    objects
}

fn questions() -> Vec<Attributes<'static>> {
    let mut questions = Vec::new();
    for verb in ["get", "list", "create"] {
        for path in ["/metrics", "/metrics/slis", "/healthz", "/livez"] {
            questions.push(Attributes { verb, path, ..Attributes::default() });
        }
        for (group, resource) in [
            ("", "nodes"),
            ("", "nodes/metrics"),
            ("", "nodes/stats"),
            ("", "pods"),
            ("metrics.k8s.io", "nodes"),
            ("authentication.k8s.io", "tokenreviews"),
        ] {
            for namespace in ["", "one", "two"] {
                questions.push(Attributes { verb, group, resource, namespace, ..Attributes::default() });
            }
        }
        for name in ["", "extension-apiserver-authentication", "unnamed"] {
            for namespace in ["", "one", "kube-system"] {
                questions.push(Attributes { verb, resource: "configmaps", name, namespace, ..Attributes::default() });
            }
        }
    }
    questions
}

async fn review(api: &Api<SubjectAccessReview>, user: &User, asked: &Attributes<'_>) -> bool {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let mut spec = SubjectAccessReviewSpec {
        user: Some(user.name.clone()),
        groups: Some(user.groups.clone()),
        ..SubjectAccessReviewSpec::default()
    };
    if asked.path.is_empty() {
        let (resource, subresource) = asked.resource.split_once('/').unwrap_or((asked.resource, ""));
        spec.resource_attributes = Some(ResourceAttributes {
            verb: some(asked.verb),
            group: some(asked.group),
            resource: some(resource),
            subresource: some(subresource),
            name: some(asked.name),
            namespace: some(asked.namespace),
            ..ResourceAttributes::default()
        });
    } else {
        spec.non_resource_attributes = Some(NonResourceAttributes { path: some(asked.path), verb: some(asked.verb) });
    }
    let question = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let answer = api.create(&PostParams::default(), &question).await.expect("an answer");
    answer.status.is_some_and(|status| status.allowed)
}

fn collection<T: Named + DeserializeOwned>(kubectl: &Kubectl, kinds: &str) -> Collection<T> {
    let list: Value = serde_json::from_str(&kubectl.words(&format!("get {kinds} -A -o json"))).expect("JSON");
    let items = list["items"].as_array().cloned().unwrap_or_default();
    Collection::complete(items.into_iter().map(|item| serde_json::from_value(item).expect("an object")))
}

fn agree() {
    let bed =
        Bed::start_without_metrics_server().unwrap_or_else(|error| panic!("the cluster does not start: {error:#}"));
    let kubectl = bed.kubectl();
    let mut numbers = Numbers(2026);
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects(&mut numbers)});
    kubectl.apply(&list.to_string());
    wait_for("the controller to fill the aggregated roles", Duration::from_secs(30), || {
        for number in 0..4 {
            let words = format!("get clusterrole {PREFIX}aggregated-{number} -o jsonpath={{.rules[*].verbs}}");
            anyhow::ensure!(!kubectl.try_words(&words)?.is_empty(), "aggregated role {number} has no rules");
        }
        Ok(())
    })
    .unwrap_or_else(|error| panic!("{error:#}"));
    let roles: Collection<Role> = collection(&kubectl, "clusterroles,roles");
    let bindings: Collection<RoleBinding> = collection(&kubectl, "clusterrolebindings,rolebindings");
    let (mut asked, mut allowed, mut differing) = (0, 0, Vec::new());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let file = Kubeconfig::read_from(kubectl.kubeconfig()).expect("a kubeconfig");
        let config =
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.expect("a configuration");
        let api: Api<SubjectAccessReview> = Api::all(Client::try_from(config).expect("a client"));
        for namespace in NAMESPACES {
            for account in ACCOUNTS {
                let user = User::service_account(namespace, account);
                for question in questions() {
                    let real = review(&api, &user, &question).await;
                    let own = decide(&roles, &bindings, &user, &question);
                    asked += 1;
                    allowed += usize::from(real);
                    if real != matches!(own, Decision::Allowed(_)) {
                        differing.push(format!(
                            "{}: {question:?}: the authorizer says {real}, the objects {own:?}",
                            user.name
                        ));
                    }
                }
            }
        }
    });
    println!("{asked} questions, {allowed} allowed, {} answered differently", differing.len());
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    assert!(asked >= 500 && allowed * 10 > asked && allowed * 10 < asked * 9, "too one-sided: {allowed} of {asked}");
}

fn main() -> ExitCode {
    const NAME: &str = "objects_and_authorizer_agree";
    if std::env::args().any(|word| word == "--list") {
        println!("{NAME}: test");
        return ExitCode::SUCCESS;
    }
    if let Err(error) = testbed::isolation::enter() {
        eprintln!("no test on a real control plane is possible here: {error:#}");
        return ExitCode::FAILURE;
    }
    let is_ok = std::panic::catch_unwind(agree).is_ok();
    println!("test {NAME} ... {}", if is_ok { "ok" } else { "FAILED" });
    println!("{} passed, {} failed", u8::from(is_ok), u8::from(!is_ok));
    ExitCode::from(u8::from(!is_ok))
}
