//! What is kept of kube-apiserver, where its pods are visible: how it speaks to aggregated APIs, and nothing else.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::{Named, Pod, metadata::or_default, pod::Container};

/// What its container is called (kubernetes/kubernetes `cmd/kubeadm/app/constants` `KubeAPIServer`, and other installers alike).
pub const API_SERVER: &str = "kube-apiserver";

/// The flags that decide how aggregated APIs are called (kubernetes/kubernetes `cmd/kube-apiserver/app/options`).
const FLAGS: [&str; 3] = ["--requestheader", "--enable-aggregator-routing", "--egress-selector-config-file"];

/// Variables that Go's HTTP client goes by (golang/net `http/httpproxy`), in both spellings.
const PROXY_VARIABLES: [&str; 6] = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"];

/// Schemes of addresses of proxies.
const SCHEMES: [&str; 4] = ["http://", "https://", "socks5://", "socks5h://"];

/// Whether a variable speaks of a proxy.
pub(crate) fn is_proxy_variable(name: &str) -> bool {
    PROXY_VARIABLES.contains(&name)
}

/// The pod of a kube-apiserver: its label as kubeadm and others set it.
pub fn is_api_server(pod: &Pod) -> bool {
    let component = pod.metadata.labels.get("component").or_else(|| pod.metadata.labels.get("k8s-app"));
    pod.namespace() == "kube-system" && component.is_some_and(|component| component == API_SERVER)
}

/// The container of a kube-apiserver in one of its pods.
pub fn container(pod: &Pod) -> Option<&Container> {
    pod.spec.containers.iter().find(|container| container.name == API_SERVER).filter(|_| is_api_server(pod))
}

/// Leaves of kube-apiserver's command line what is read, and no variable of anybody else.
pub(super) fn prune(container: &mut Container) {
    if container.name != API_SERVER {
        container.proxy_variables.clear();
        return;
    }
    let is_read = |word: &String| FLAGS.iter().any(|flag| word.starts_with(flag));
    container.command.retain(is_read);
    container.args.retain(is_read);
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Variable {
    #[serde(deserialize_with = "or_default")]
    name: String,
    #[serde(deserialize_with = "or_default")]
    value: String,
}

/// Of a list of variables those that speak of proxies.
pub(super) fn proxy_variables<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let variables: Vec<Variable> = or_default(deserializer)?;
    let proxies = variables.into_iter().filter(|variable| is_proxy_variable(&variable.name));
    Ok(proxies.map(|Variable { name, value }| (name, without_user_info(&value))).collect())
}

/// A list of addresses without the `user:password@` of any.
fn without_user_info(value: &str) -> String {
    let address = |address: &str| {
        let scheme = SCHEMES.iter().find(|scheme| address.starts_with(**scheme)).copied().unwrap_or("");
        let rest = &address[scheme.len()..];
        // A password may hold a slash that nobody has escaped.
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        format!("{scheme}{host}")
    };
    value.split(',').map(address).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::{snapshot::Workload, testing::object};

    fn pod(name: &str, container: &str, env: &Value) -> Pod {
        object(
            json!({"metadata": {"namespace": "kube-system", "name": name, "labels": {"component": "kube-apiserver"}}, "spec": {"containers": [
            {"name": container, "command": ["kube-apiserver", "--etcd-servers=https://secret", "--requestheader-allowed-names=a"],
             "args": ["--enable-aggregator-routing=true", "--token-auth-file=secret", "--egress-selector-config-file=/x"], "env": env}]}}),
        )
    }

    #[test]
    fn of_kube_apiserver_only_proxies_and_the_aggregators_flags_are_kept() {
        let env = json!([{"name": "HTTPS_PROXY", "value": "http://user:secret@proxy:3128"}, {"name": "TOKEN", "value": "secret"},
            {"name": "no_proxy", "value": "10.0.0.0/8,.svc"}, {"name": "HTTP_PROXY", "valueFrom": {"secretKeyRef": {"name": "secret"}}}]);
        let pod = pod("kube-apiserver-n1", "kube-apiserver", &env);
        let found = container(&pod).expect("its container");
        let expected = [("HTTPS_PROXY", "http://proxy:3128"), ("HTTP_PROXY", ""), ("no_proxy", "10.0.0.0/8,.svc")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(found.proxy_variables, expected.into());
        assert_eq!(found.command, ["--requestheader-allowed-names=a"]);
        assert_eq!(found.args, ["--enable-aggregator-routing=true", "--egress-selector-config-file=/x"]);
        assert!(!format!("{pod:?}").contains("secret"));
    }

    #[test]
    fn of_others_no_variable_is_kept() {
        let env = json!([{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}]);
        let pod = pod("web", "web", &env);
        assert!(pod.spec.containers[0].proxy_variables.is_empty() && pod.spec.containers[0].command.len() == 3);
        assert!(container(&pod).is_none());
        let workload: Workload = object(
            json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "env": env}], "initContainers": [{"name": "i", "env": env}]}}}}),
        );
        assert!(workload.spec.template.spec.containers[0].proxy_variables.is_empty());
        assert!(workload.spec.template.spec.init_containers[0].proxy_variables.is_empty());
    }

    proptest! {
        #[test]
        fn no_password_is_kept(user in "[a-z]{1,5}", password in "[A-Z/:@#?]{3,9}[A-Z]", scheme in "(http://|https://|socks5://|)", host in "[a-z]{1,5}:[0-9]{2,4}") {
            prop_assume!(!password.contains(','));
            let value = format!("{scheme}{user}:{password}@{host}");
            prop_assert_eq!(without_user_info(&value), format!("{scheme}{host}"));
        }
    }
}
