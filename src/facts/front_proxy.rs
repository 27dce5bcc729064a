//! How servers behind the aggregation layer are told whose certificates speak for others: `ConfigMap`
//! `kube-system/extension-apiserver-authentication`, which kube-apiserver writes from its `--requestheader-*` flags
//! (kubernetes/kubernetes `pkg/controlplane/controller/clusterauthenticationtrust`).

use super::Facts;
use crate::{
    snapshot::{ConfigMap, ContainerLog, NotSeen},
    wording::{api_error::Identity, metrics_server_log::refused_common_name},
};

/// Namespace and name of the `ConfigMap`.
pub const CONFIG_MAP: (&str, &str) = ("kube-system", "extension-apiserver-authentication");

/// Whose certificates may speak for others, by their common name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedNames {
    /// Whoever the authority has signed: the list is empty or not there (kubernetes/apiserver
    /// `pkg/authentication/request/x509/x509.go`, `verifySubject`).
    Everybody,
    /// These, among them at least one that a certificate can bear.
    Names(Vec<String>),
    /// Nobody: no certificate bears any of these, for a quote or a blank that a shell or a manifest left in it.
    Nobody(Vec<String>),
    /// Nobody: the list cannot be read.
    Unreadable(String),
}

/// What servers behind the aggregation layer are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontProxy {
    /// Whose certificates may speak for others.
    pub allowed_names: AllowedNames,
    /// Whether the authority is named that signs them.
    pub has_authority: bool,
    /// Whether a header is named that holds the caller's name.
    pub has_user_header: bool,
}

impl FrontProxy {
    fn of(config_map: &ConfigMap) -> Self {
        let list = |key: &str| config_map.data.get(key).map(|text| text.trim()).filter(|text| !text.is_empty());
        let filled = |key: &str| list(key).is_some();
        let headers = list("requestheader-username-headers").is_none_or(|text| {
            serde_json::from_str::<Vec<String>>(text).is_ok_and(|headers| headers.iter().any(|name| !name.is_empty()))
        });
        Self {
            allowed_names: list("requestheader-allowed-names").map_or(AllowedNames::Everybody, allowed_names),
            has_authority: filled("requestheader-client-ca-file"),
            has_user_header: headers,
        }
    }

    /// Why no certificate of the aggregator can speak for others; `None` where one can.
    pub fn trouble(&self) -> Option<String> {
        if !self.has_authority {
            return Some("requestheader-client-ca-file is missing".to_owned());
        }
        match &self.allowed_names {
            AllowedNames::Nobody(names) => Some(format!(
                "requestheader-allowed-names is {}, which is the common name of no certificate",
                serde_json::to_string(names).unwrap_or_default()
            )),
            AllowedNames::Unreadable(text) => Some(format!("requestheader-allowed-names is no list: {text}")),
            AllowedNames::Everybody | AllowedNames::Names(_) if !self.has_user_header => {
                Some("requestheader-username-headers names no header".to_owned())
            }
            AllowedNames::Everybody | AllowedNames::Names(_) => None,
        }
    }

    /// Whether a name is that of the aggregator's own certificate: one that is meant to speak for others.
    fn means(&self, name: &str) -> bool {
        let (AllowedNames::Names(names) | AllowedNames::Nobody(names)) = &self.allowed_names else { return false };
        names.iter().any(|allowed| allowed.trim_matches(is_leftover) == name)
    }
}

fn allowed_names(text: &str) -> AllowedNames {
    match serde_json::from_str::<Option<Vec<String>>>(text) {
        Ok(names) => match names.unwrap_or_default() {
            names if names.is_empty() => AllowedNames::Everybody,
            names if names.iter().any(|name| can_be_borne(name)) => AllowedNames::Names(names),
            names => AllowedNames::Nobody(names),
        },
        Err(_) => AllowedNames::Unreadable(text.to_owned()),
    }
}

/// What shells and manifests leave behind around a name.
fn is_leftover(character: char) -> bool {
    character.is_whitespace() || matches!(character, '"' | '\'' | '`' | '\\' | '[' | ']')
}

/// Whether a certificate's common name may be this.
fn can_be_borne(name: &str) -> bool {
    !name.is_empty() && name.trim_matches(is_leftover) == name && !name.contains(['"', '\''])
}

/// Reads the `ConfigMap`.
pub(super) fn of(facts: &Facts<'_>) -> Result<Option<FrontProxy>, NotSeen> {
    let (namespace, name) = CONFIG_MAP;
    Ok(facts.snapshot.config_maps.get(namespace, name).known()?.map(FrontProxy::of))
}

/// Whether a refusal names not whoever asked but the aggregator itself, or nobody: metrics-server has not taken over who
/// asks.
pub(super) fn stands_for_the_aggregator(config: Option<&FrontProxy>, user: &Identity) -> bool {
    match user {
        Identity::Anonymous => true,
        Identity::ServiceAccount { .. } => false,
        Identity::Other(name) => user.is_aggregator() || config.is_some_and(|config| config.means(name)),
    }
}

impl Facts<'_> {
    /// What servers behind the aggregation layer are told of the aggregator's certificate; `None` where certainly nothing is.
    pub fn front_proxy(&self) -> Result<Option<FrontProxy>, NotSeen> {
        of(self)
    }

    /// Whether a refusal names the aggregator itself, or nobody, and not whoever asked.
    pub fn is_aggregator(&self, user: &Identity) -> bool {
        stands_for_the_aggregator(of(self).ok().flatten().as_ref(), user) || self.has_turned_away(user)
    }

    /// Whether metrics-server's log names it as the bearer of a certificate that the aggregator's authority has signed, and
    /// that may not speak for others.
    fn has_turned_away(&self, user: &Identity) -> bool {
        let Identity::Other(name) = user else { return false };
        let lines = self.logs().into_iter().flat_map(ContainerLog::lines);
        lines.filter_map(|line| refused_common_name(&line.text)).any(|refused| refused == name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::object;

    fn with(allowed: Option<&str>) -> FrontProxy {
        let mut data = json!({"requestheader-client-ca-file": "a certificate", "requestheader-username-headers": "[\"X-Remote-User\"]"});
        if let Some(allowed) = allowed {
            data["requestheader-allowed-names"] = json!(allowed);
        }
        FrontProxy::of(&object(json!({"metadata": {"name": "x"}, "data": data})))
    }

    #[test]
    fn only_a_list_without_any_name_that_a_certificate_can_bear_admits_nobody() {
        for (allowed, fits) in [
            (None, true),
            (Some("[]"), true),
            (Some("null"), true),
            (Some(""), true),
            (Some(r#"["front-proxy-client"]"#), true),
            (Some(r#"["","front-proxy-client"]"#), true),
            (Some(r#"["My Front Proxy"]"#), true),
            (Some(r#"["\"front-proxy-client\""]"#), false),
            (Some(r#"["'aggregator'"]"#), false),
            (Some(r#"[" front-proxy-client"]"#), false),
            (Some(r#"[""]"#), false),
            (Some(r#"["\"\""]"#), false),
            (Some("front-proxy-client"), false),
        ] {
            assert_eq!(with(allowed).trouble().is_none(), fits, "{allowed:?}");
        }
        assert!(FrontProxy::of(&ConfigMap::default()).trouble().is_some_and(|why| why.contains("client-ca-file")));
    }

    #[test]
    fn the_aggregators_own_name_is_told_from_callers() {
        let config = with(Some(r#"["\"proxy.example\""]"#));
        for (user, own) in [
            ("system:anonymous", true),
            ("front-proxy-client", true),
            ("proxy.example", true),
            ("jane", false),
            ("kubernetes-admin", false),
            ("system:serviceaccount:kube-system:aggregator", false),
        ] {
            assert_eq!(stands_for_the_aggregator(Some(&config), &Identity::of(user)), own, "{user}");
        }
        assert!(!stands_for_the_aggregator(None, &Identity::of("proxy.example")));
    }
}
