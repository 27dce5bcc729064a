//! HTTP proxies in the environment of kube-apiserver. Go's clients take them for every address that `NO_PROXY` does not
//! name (golang.org/x/net `http/httpproxy`).

use core::net::IpAddr;

use ipnet::IpNet;

use super::Facts;
use crate::{
    snapshot::{Named, api_server},
    wording::{aggregator::MessageClass, failure::Dialled},
};

/// Proxy settings of one kube-apiserver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxySettings {
    /// `Pod kube-system/kube-apiserver-a`.
    pub source: String,
    /// `HTTPS_PROXY`, without user information.
    pub https_proxy: Option<String>,
    /// `NO_PROXY`.
    pub no_proxy: String,
}

impl ProxySettings {
    /// Whether a call to this address goes through the proxy.
    pub fn takes(&self, host: &str, port: u16) -> bool {
        self.https_proxy.as_deref().is_some_and(|proxy| !proxy.is_empty()) && !is_exempt(&self.no_proxy, host, port)
    }
}

/// Whether `NO_PROXY` names the address, as Go reads it.
fn is_exempt(no_proxy: &str, host: &str, port: u16) -> bool {
    let address: Option<IpAddr> = host.parse().ok();
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return true;
    }
    no_proxy.split(',').map(|entry| entry.trim().to_lowercase()).filter(|entry| !entry.is_empty()).any(|entry| {
        if entry == "*" {
            return true;
        }
        if let Ok(range) = entry.parse::<IpNet>() {
            return address.is_some_and(|address| range.contains(&address));
        }
        let (name, own_port) = match entry.rsplit_once(':') {
            Some((name, digits)) if !name.contains(':') || name.starts_with('[') => (name, digits.parse::<u16>().ok()),
            _ => (entry.as_str(), None),
        };
        if own_port.is_some_and(|own| own != port) {
            return false;
        }
        let name = name.trim_start_matches('[').trim_end_matches(']');
        if let Ok(named) = name.parse::<IpAddr>() {
            return address == Some(named);
        }
        let host = host.to_lowercase();
        let suffix = name.trim_start_matches('*');
        match suffix.strip_prefix('.') {
            Some(_) => host.ends_with(suffix),
            None => host == suffix || host.ends_with(&format!(".{suffix}")),
        }
    })
}

/// What is known of proxies between kube-apiserver and metrics-server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyView {
    /// No environment of kube-apiserver was seen.
    Unseen,
    /// None is set.
    NotSet {
        /// The pods whose environment says so.
        sources: Vec<String>,
    },
    /// One is set, and the address that the aggregator dials is exempt.
    Exempt {
        /// The address.
        host: String,
    },
    /// One is set, and the address that the aggregator dials goes through it.
    Takes {
        /// The setting.
        settings: ProxySettings,
        /// The address.
        host: String,
    },
    /// One is set, and what the aggregator dials is not known.
    AddressUnknown,
}

/// Compares the environments with the address in the aggregator's message, else with the Service's endpoints.
pub(super) fn view(facts: &Facts<'_>) -> ProxyView {
    let settings = settings(facts);
    if settings.is_empty() {
        return ProxyView::Unseen;
    }
    if settings.iter().all(|settings| settings.https_proxy.as_deref().unwrap_or("").is_empty()) {
        return ProxyView::NotSet { sources: settings.into_iter().map(|settings| settings.source).collect() };
    }
    let Some(Dialled { host, port }) = facts.complaint().and_then(|complaint| complaint.word.failure.dialled.clone())
    else {
        return ProxyView::AddressUnknown;
    };
    match settings.into_iter().find(|settings| settings.takes(&host, port)) {
        Some(settings) => ProxyView::Takes { settings, host },
        None => ProxyView::Exempt { host },
    }
}

/// Proxy settings of every kube-apiserver whose environment was seen.
fn settings(facts: &Facts<'_>) -> Vec<ProxySettings> {
    let servers =
        facts.snapshot.pods.iter().filter_map(|pod| api_server::container(pod).map(|container| (pod, container)));
    servers
        .map(|(pod, container)| {
            let value = |upper: &str, lower: &str| {
                let variables = &container.proxy_variables;
                variables.get(upper).or_else(|| variables.get(lower)).filter(|value| !value.is_empty()).cloned()
            };
            ProxySettings {
                source: format!("Pod {}/{}", pod.namespace(), pod.name()),
                https_proxy: value("HTTPS_PROXY", "https_proxy"),
                no_proxy: value("NO_PROXY", "no_proxy").unwrap_or_default(),
            }
        })
        .collect()
}

/// Whether a proxy may be what the aggregator met: it answers with these codes by itself, hangs up, or keeps silent.
pub fn may_answer_so(class: MessageClass, status: Option<u16>) -> bool {
    match class {
        MessageClass::Proxy | MessageClass::Reset | MessageClass::BadStatus403 | MessageClass::Timeout => true,
        MessageClass::BadStatus5xx => status != Some(500),
        MessageClass::Other => status == Some(407),
        _ => false,
    }
}

impl Facts<'_> {
    /// What is known of proxies between kube-apiserver and metrics-server.
    pub fn proxies(&self) -> ProxyView {
        view(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_is_read_as_go_reads_it() {
        let takes = |no_proxy: &str, host: &str| {
            let settings = ProxySettings {
                https_proxy: Some("http://proxy.example:3128".to_owned()),
                no_proxy: no_proxy.to_owned(),
                ..ProxySettings::default()
            };
            settings.takes(host, 10250)
        };
        for (no_proxy, host, through) in [
            ("", "10.42.1.7", true),
            ("", "127.0.0.1", false),
            ("10.42.0.0/16", "10.42.1.7", false),
            ("10.43.0.0/16,.svc,.cluster.local", "10.42.1.7", true),
            ("10.42.1.7", "10.42.1.7", false),
            ("10.42.1.7:443", "10.42.1.7", true),
            ("10.42.1.7:10250", "10.42.1.7", false),
            ("10.42.*", "10.42.1.7", true),
            ("*", "10.42.1.7", false),
            ("fd00::/8", "fd00::7", false),
            ("[fd00::7]:10250", "fd00::7", false),
            ("fd00::7", "fd00::7", false),
            ("svc", "metrics-server.kube-system.svc", false),
            (".svc", "metrics-server.kube-system.svc", false),
            (".local", "local", true),
            ("10.42.0.0/16 , 10.43.0.0/16", "10.43.1.7", false),
        ] {
            assert_eq!(takes(no_proxy, host), through, "{no_proxy} {host}");
        }
        assert!(!ProxySettings::default().takes("10.42.1.7", 443), "no proxy");
    }
}
