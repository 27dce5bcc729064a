use proptest::prelude::*;

use super::*;
use crate::snapshot::Observed;

fn read(text: &str) -> (Snapshot, Vec<String>) {
    let mut objects = Objects::default();
    let mut notices = Notices::default();
    objects.read(Path::new("objects.yaml"), text, &mut notices);
    let mut snapshot = Snapshot::default();
    objects.fill(&mut snapshot, &mut notices);
    (snapshot, notices.finish())
}

const SERVICE: &str =
    "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: n}\nspec: {ports: [{port: 443}]}\n";

#[test]
fn one_bad_document_spoils_no_other() {
    let (snapshot, notices) =
        read(&format!("{SERVICE}---\nkind: [unclosed\n---\n{}", SERVICE.replace("name: a", "name: b")));
    assert_eq!(snapshot.services.len(), 2);
    assert_eq!(notices.len(), 1);
    assert!(notices[0].starts_with("objects.yaml line 6: not YAML"), "{notices:?}");
}

#[test]
fn of_duplicates_the_newest_counts() {
    let versioned = |version: &str, port: &str| {
        SERVICE.replace("namespace: n", &format!("namespace: n, resourceVersion: \"{version}\"")).replace("443", port)
    };
    let (snapshot, notices) = read(&format!("{}---\n{}", versioned("20", "8443"), versioned("9", "443")));
    assert_eq!(snapshot.services.iter().next().map(|service| service.spec.ports[0].port), Some(8443));
    assert_eq!(notices.len(), 1);
}

#[test]
fn kubectls_warnings_and_unknown_kinds_do_no_harm() {
    let (snapshot, notices) = read(&format!(
        "Warning: v1 Endpoints is deprecated\n{SERVICE}---\nkind: Widget\napiVersion: x/v1\nmetadata: {{name: w}}\n"
    ));
    assert_eq!(snapshot.services.len(), 1, "{notices:?}");
    assert_eq!(notices, Vec::<String>::new());
}

#[test]
fn endpoints_of_old_clusters_become_slices() {
    let (snapshot, _) = read(
        "apiVersion: v1\nkind: Endpoints\nmetadata: {name: a, namespace: n}\nsubsets:\n- addresses: [{ip: 10.0.0.1}]\n  notReadyAddresses: [{ip: 10.0.0.2}]\n  ports: [{port: 443}]\n",
    );
    let slice = snapshot.endpoint_slices.iter().next().expect("a slice");
    assert_eq!((slice.service_name(), slice.endpoints.len(), slice.ports[0].port), ("a", 2, Some(443)));
}

#[test]
fn lists_of_roles_prove_nothing_about_the_other_scope() {
    let binding = |kind: &str, namespace: &str| {
        format!(
            "- {{apiVersion: rbac.authorization.k8s.io/v1, kind: {kind}, metadata: {{name: a{namespace}{namespace}, namespace: {namespace}}}}}\n"
        )
    };
    let list = |items: [String; 2]| format!("kind: List\nitems:\n{}", items.concat());
    let gaps = |text: &str| {
        let bindings = read(text).0.role_bindings;
        (bindings.in_namespace("").gap.is_none(), bindings.in_namespace("kube-system").gap.is_none())
    };
    let namespaced = list([binding("RoleBinding", "kube-system"), binding("RoleBinding", "shop")]);
    let cluster =
        list([binding("ClusterRoleBinding", ""), binding("ClusterRoleBinding", "").replace("name: a", "name: b")]);
    assert_eq!(gaps(&namespaced), (false, true));
    assert_eq!(gaps(&cluster), (true, false));
}

#[test]
fn an_object_that_is_lost_leaves_its_kind_unproven() {
    let item = |port: &str, name: &str| {
        format!(
            "- {{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: n}}, spec: {{ports: [{{port: {port}}}]}}}}\n"
        )
    };
    let gap = |third: &str| {
        let text = format!("kind: List\nitems:\n{}{}{third}", item("443", "a"), item("\"443\"", "b"));
        let (snapshot, notices) = read(&text);
        (snapshot.services.len(), snapshot.services.in_namespace("n").gap.is_some(), notices.len())
    };
    assert_eq!(gap(""), (2, false, 1), "read as meant");
    assert_eq!(gap(&item("many", "c")), (2, true, 2));
    assert_eq!(gap("- {metadata: {name: c}}\n"), (2, true, 2));
    assert_eq!(gap("- {apiVersion: v1, kind: Service, metadata: {name: c}}\n"), (2, true, 2), "no namespace");
}

#[test]
fn lists_may_hold_lists_and_items_must_be_a_list() {
    let nested = "kind: List\nitems:\n- kind: List\n  items:\n  - {apiVersion: v1, kind: Service, metadata: {name: a, namespace: n}}\n";
    assert_eq!((read(nested).0.services.len(), read(nested).1.len()), (1, 0));
    let none = read("kind: ServiceList\napiVersion: v1\nitems: null\n");
    assert_eq!(none.1.len(), 0);
    assert_eq!(read("kind: ServiceList\napiVersion: v1\nitems: some\n").1.len(), 1);
}

#[test]
fn what_stands_instead_of_objects_is_called_by_its_name() {
    for (text, expected) in [
        ("Error from server (NotFound): services \"metrics-server\" not found\n", "an error of kubectl"),
        ("Name:         a\nNamespace:    n\nLabels:       <none>\n", "kubectl describe"),
        ("NAME    READY   STATUS\nweb-1   1/1     Running\n", "a table of kubectl get"),
        ("just words\n", "not an object of Kubernetes"),
    ] {
        let notices = read(text).1;
        assert!(notices.len() == 1 && notices[0].contains(expected), "{text}: {notices:?}");
    }
}

#[test]
fn kinds_around_metrics_server_are_read_without_what_is_nobodys_business() {
    let text = "apiVersion: certificates.k8s.io/v1\nkind: CertificateSigningRequestList\nitems:\n\
        - {metadata: {name: a}, spec: {signerName: kubernetes.io/kubelet-serving, username: 'system:node:n1', request: c2VjcmV0}}\n\
        - {metadata: {name: b}, spec: {signerName: x/y, username: u}, status: {conditions: [{type: Approved, status: 'True'}]}}\n---\n\
        apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: rollouts.argoproj.io}\n\
        spec: {group: argoproj.io, names: {kind: Rollout, plural: rollouts}, versions: [{name: v1alpha1, served: true, schema: {openAPIV3Schema: {a: c2VjcmV0}}}]}\n---\n\
        apiVersion: v1\nkind: Namespace\nmetadata: {name: old}\nstatus: {conditions: [{type: NamespaceDeletionDiscoveryFailure, status: 'True'}]}\n---\n\
        apiVersion: v1\nkind: Event\nmetadata: {name: e, namespace: n}\ninvolvedObject: {kind: Pod, name: p}\nreason: Unhealthy\ncount: 4\n---\n\
        apiVersion: v1\nkind: Pod\nmetadata: {name: api, namespace: kube-system, labels: {component: kube-apiserver}}\n\
        spec: {containers: [{name: kube-apiserver, env: [{name: HTTPS_PROXY, value: 'http://u:c2VjcmV0@p:1'}, {name: T, value: c2VjcmV0}]}]}\n";
    let (snapshot, notices) = read(text);
    assert_eq!(notices, Vec::<String>::new());
    let requests = &snapshot.certificate_signing_requests;
    assert_eq!((requests.len(), requests.get("", "c").is_absent()), (2, true), "a list of two is whole");
    assert!(requests.iter().next().is_some_and(|request| request.is_pending() && request.node() == Some("n1")));
    let definition = snapshot.custom_resource_definitions.iter().next().expect("a definition");
    assert_eq!((definition.spec.names.kind.as_str(), definition.scale("v1alpha1")), ("Rollout", None));
    assert!(snapshot.namespaces.iter().all(|namespace| namespace.deletion_discovery_failure));
    assert_eq!(snapshot.events.iter().next().map(crate::snapshot::Event::times), Some(4));
    let pod = snapshot.pods.iter().next().expect("a pod");
    let container = crate::snapshot::api_server::container(pod).expect("its container");
    assert_eq!(container.proxy_variables.get("HTTPS_PROXY").map(String::as_str), Some("http://p:1"));
    assert!(!format!("{snapshot:?}").contains("c2VjcmV0"));
}

#[test]
fn what_is_damaged_is_never_called_missing() {
    let service = |file: &str, text: &str| {
        let mut objects = Objects::default();
        let mut notices = Notices::default();
        objects.read(Path::new(file), text, &mut notices);
        let mut snapshot = Snapshot::default();
        objects.fill(&mut snapshot, &mut notices);
        assert!(!notices.finish().is_empty(), "{file}: no notice tells");
        let reason = |observed: Observed<_>| match observed {
            Observed::NotSeen(reason) => reason,
            other => panic!("{other:?}"),
        };
        (reason(snapshot.services.get("n", "z").map(|_| ())), reason(snapshot.nodes.get("", "z").map(|_| ())))
    };
    let damaged = |what: &str| NotSeen::Damaged(what.to_owned());
    let (missing, nodes) = (NotSeen::NotInBundle("services"), NotSeen::NotInBundle("nodes"));
    let cut = "apiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Service\n";
    let wrong = format!("{}\n", SERVICE.replace("[{port: 443}]", "443"));
    for (file, text, of_services, of_nodes) in [
        ("services.yaml", "", damaged("services.yaml"), nodes.clone()),
        ("services.yaml", "\u{1f}\u{fffd}\u{8}", damaged("services.yaml"), nodes.clone()),
        ("services.yaml", "kind: [unclosed", damaged("services.yaml"), nodes.clone()),
        ("services.yaml", "NAME   TYPE\na   ClusterIP\n", damaged("services.yaml"), nodes.clone()),
        ("services.yaml", "Error from server (Forbidden): no\n", damaged("services.yaml"), nodes.clone()),
        ("services.yaml", "Error from server (NotFound): none\n", missing.clone(), nodes.clone()),
        ("services.yaml", cut, damaged("services.yaml"), nodes.clone()),
        ("all.yaml", cut, damaged("all.yaml"), damaged("all.yaml")),
        ("all.yaml", "\u{1f}\u{fffd}\u{8}", damaged("all.yaml"), damaged("all.yaml")),
        ("all.yaml", "kind: Service\nspec: [\n", damaged("all.yaml"), nodes.clone()),
        ("all.yaml", "kind: Widget\nspec: [\n", missing.clone(), nodes.clone()),
        ("all.yaml", &wrong, damaged("Service n/a"), nodes.clone()),
        ("all.yaml", "apiVersion: v1\nkind: Serv", damaged("all.yaml"), damaged("all.yaml")),
        ("nodes.yaml", "", missing, damaged("nodes.yaml")),
    ] {
        assert_eq!(service(file, text), (of_services, of_nodes), "{file}: {text}");
    }
}

#[test]
fn a_list_that_is_whole_stands_beside_a_file_that_is_damaged() {
    let mut objects = Objects::default();
    let mut notices = Notices::default();
    let list = format!("kind: List\nitems:\n- {{{0}}}\n- {{{1}}}\n", item("a"), item("b"));
    objects.read(Path::new("services.yaml"), &list, &mut notices);
    objects.read(Path::new("services-old.yaml"), "", &mut notices);
    objects.read(Path::new("junk.yaml"), "\u{1}", &mut notices);
    let mut snapshot = Snapshot::default();
    objects.fill(&mut snapshot, &mut notices);
    assert!(snapshot.services.get("n", "z").is_absent());
    let of_others = snapshot.services.get("other", "z").map(|_| ());
    assert_eq!(of_others, Observed::NotSeen(NotSeen::Damaged("services-old.yaml".to_owned())));
}

fn item(name: &str) -> String {
    format!("apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: n}}")
}

#[test]
fn api_services_that_nobody_asks_for_by_name_come_with_all() {
    let api_service = |name: &str, service: &str| {
        format!(
            "apiVersion: apiregistration.k8s.io/v1\nkind: APIService\nmetadata: {{name: {name}}}\nspec: {{{service}}}\n"
        )
    };
    let absent = |text: &str| read(text).0.api_services.get("", "v1beta1.metrics.k8s.io").is_absent();
    assert!(absent(&api_service("v1.apps", "group: apps")));
    assert!(absent(&api_service("v1.", "version: v1")));
    assert!(!absent(&api_service("v1beta1.custom.metrics.k8s.io", "group: custom.metrics.k8s.io")));
    assert!(!absent(&api_service("v1.apps", "service: {name: x, namespace: y}")));
    let cut = format!("apiVersion: v1\nitems:\n- {}", api_service("v1.apps", "group: apps").replace('\n', "\n  "));
    assert!(!absent(&cut), "what follows was cut off");
}

#[test]
fn of_copies_without_a_version_the_one_of_the_later_moment_counts() {
    let of = |moment: &str, port: &str| {
        let metadata = format!("namespace: n, creationTimestamp: \"{moment}\"");
        SERVICE.replace("namespace: n", &metadata).replace("443", port)
    };
    let (early, late) = (of("2026-01-01T10:00:00Z", "1"), of("2026-01-01T11:00:00Z", "2"));
    for text in [format!("{early}---\n{late}"), format!("{late}---\n{early}")] {
        let (snapshot, notices) = read(&text);
        assert_eq!(snapshot.services.iter().next().map(|service| service.spec.ports[0].port), Some(2));
        assert_eq!(notices.len(), 1);
    }
}

proptest! {
    /// However a list is cut, nothing that it does not hold is absent and nothing is called missing that it may have held.
    #[test]
    fn a_list_that_was_cut_proves_nothing(at in 0_usize..220) {
        let list = format!("apiVersion: v1\nitems:\n- {}- {}kind: List\nmetadata:\n  resourceVersion: \"\"\n",
            SERVICE.replace('\n', "\n  ").trim_end().to_owned() + "\n",
            SERVICE.replace("name: a", "name: b").replace('\n', "\n  ").trim_end().to_owned() + "\n");
        let end = list.find("\nkind: List").expect("an end");
        let mut objects = Objects::default();
        let mut notices = Notices::default();
        objects.read(Path::new("services.yaml"), &list[..at.min(end)], &mut notices);
        let mut snapshot = Snapshot::default();
        objects.fill(&mut snapshot, &mut notices);
        let reason = snapshot.services.get("n", "z").map(|_| ());
        prop_assert_eq!(reason, Observed::NotSeen(NotSeen::Damaged("services.yaml".to_owned())));
    }

    #[test]
    fn no_text_panics(text in "[ -~\n\t]{0,300}") {
        let _ = read(&text);
    }
}
