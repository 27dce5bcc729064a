//! What Go's network, TLS and HTTP packages say of a call that did not get through, and the proxies and tunnels that a
//! control plane may have in between (Go `net`, `net/http`, `crypto/tls`, `crypto/x509`; kubernetes/apiserver
//! `pkg/server/egressselector`; rancher/remotedialer; kubernetes-sigs/apiserver-network-proxy).

use core::net::IpAddr;

use super::table::{Table, between};

/// What a call that failed met: a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageClass {
    /// Nothing answered in time.
    Timeout,
    /// The port is closed.
    ConnectionRefused,
    /// ICMP unreachable.
    NoRoute,
    /// The connection was accepted and dropped.
    Reset,
    /// A certificate is not accepted, by either side.
    Tls,
    /// 401.
    BadStatus401,
    /// 403.
    BadStatus403,
    /// 404.
    BadStatus404,
    /// 500 to 599.
    BadStatus5xx,
    /// A proxy of the API server answered, or was not reached.
    Proxy,
    /// The control plane's own tunnel to the nodes (konnectivity, the egress selector of k3s and rke2) failed.
    Tunnel,
    /// A name cannot be resolved.
    Dns,
    /// Plain HTTP where HTTPS is expected.
    PlainHttp,
    /// Anything else.
    Other,
}

impl MessageClass {
    /// All classes.
    pub const ALL: [Self; 14] = [
        Self::Timeout,
        Self::ConnectionRefused,
        Self::NoRoute,
        Self::Reset,
        Self::Tls,
        Self::BadStatus401,
        Self::BadStatus403,
        Self::BadStatus404,
        Self::BadStatus5xx,
        Self::Proxy,
        Self::Tunnel,
        Self::Dns,
        Self::PlainHttp,
        Self::Other,
    ];

    /// As in labels.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::ConnectionRefused => "connection_refused",
            Self::NoRoute => "no_route",
            Self::Reset => "reset",
            Self::Tls => "tls",
            Self::BadStatus401 => "bad_status_401",
            Self::BadStatus403 => "bad_status_403",
            Self::BadStatus404 => "bad_status_404",
            Self::BadStatus5xx => "bad_status_5xx",
            Self::Proxy => "proxy",
            Self::Tunnel => "tunnel",
            Self::Dns => "dns",
            Self::PlainHttp => "plain_http",
            Self::Other => "other",
        }
    }

    /// The class of a message.
    pub fn of(message: &str) -> Self {
        if let Some(code) = bad_status(message) {
            return Self::of_status(code);
        }
        if TUNNELS.first(message).is_some() {
            return Self::Tunnel;
        }
        if ProxyAnswer::of(message).is_some() {
            return Self::Proxy;
        }
        CLASSES.first(message).unwrap_or(Self::Other)
    }

    fn of_status(code: u16) -> Self {
        match code {
            401 => Self::BadStatus401,
            403 => Self::BadStatus403,
            404 => Self::BadStatus404,
            500..=599 => Self::BadStatus5xx,
            _ => Self::Other,
        }
    }
}

/// What is more telling comes first: `TLS handshake timeout` is a timeout.
static CLASSES: Table<MessageClass> = Table::new(&[
    ("server gave HTTP response to HTTPS client", MessageClass::PlainHttp),
    ("first record does not look like a TLS handshake", MessageClass::PlainHttp),
    ("Client.Timeout", MessageClass::Timeout),
    ("context deadline exceeded", MessageClass::Timeout),
    ("i/o timeout", MessageClass::Timeout),
    ("timed out waiting for", MessageClass::Timeout),
    ("TLS handshake timeout", MessageClass::Timeout),
    ("request canceled", MessageClass::Timeout),
    ("timeout awaiting response headers", MessageClass::Timeout),
    ("connection timed out", MessageClass::Timeout),
    ("connection refused", MessageClass::ConnectionRefused),
    ("no route to host", MessageClass::NoRoute),
    ("network is unreachable", MessageClass::NoRoute),
    ("host is unreachable", MessageClass::NoRoute),
    ("x509:", MessageClass::Tls),
    ("tls: ", MessageClass::Tls),
    ("certificate", MessageClass::Tls),
    ("no such host", MessageClass::Dns),
    ("server misbehaving", MessageClass::Dns),
    ("connection reset by peer", MessageClass::Reset),
    ("broken pipe", MessageClass::Reset),
    ("server closed", MessageClass::Reset),
    ("use of closed network connection", MessageClass::Reset),
    ("http2:", MessageClass::Reset),
    ("malformed HTTP", MessageClass::Reset),
    ("EOF", MessageClass::Reset),
]);

/// The code of `bad status from URL: CODE` (kubernetes/kube-aggregator, since 1.15).
fn bad_status(message: &str) -> Option<u16> {
    let (_, behind) = message.rsplit_once("bad status from ")?;
    let (_, code) = behind.rsplit_once(": ")?;
    code.trim().parse().ok()
}

/// Where a call went to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialled {
    /// The name or address, of IPv6 without brackets.
    pub host: String,
    /// The port; 443 where the URL has none.
    pub port: u16,
}

impl Dialled {
    /// The address; `None` for a name.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// The address in a message: that of its URL, or what the network package names.
    pub fn of(message: &str) -> Option<Self> {
        if let Some((_, behind)) = message.split_once("https://") {
            let end = behind.find(['/', '"', '?', ' ', ',', '\'']).unwrap_or(behind.len());
            let authority = behind[..end].trim_end_matches(':');
            return Self::of_authority(authority, Some(443));
        }
        ["while dialing ", "dial tcp "].iter().find_map(|mark| {
            let (_, behind) = message.split_once(mark)?;
            let word = behind.split([' ', ',']).next()?;
            Self::of_authority(word.trim_end_matches(':'), None)
        })
    }

    fn of_authority(authority: &str, default_port: Option<u16>) -> Option<Self> {
        let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
            let (host, rest) = rest.split_once(']')?;
            (host, rest.strip_prefix(':'))
        } else {
            authority.rsplit_once(':').map_or((authority, None), |(host, port)| (host, Some(port)))
        };
        let port = match port {
            Some(port) => port.parse().ok()?,
            None => default_port?,
        };
        (!host.is_empty()).then(|| Self { host: host.to_owned(), port })
    }
}

/// Why a certificate was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsTrouble {
    /// No known authority has signed it.
    UnknownAuthority,
    /// It is made for other names or addresses than the one that was asked for, or for none.
    WrongNames,
    /// It is expired or not valid yet.
    Expired,
    /// It names its host in the common name alone, which Go stopped to read in 1.15.
    LegacyCommonName,
    /// The other side refuses the connection: its alert, such as `bad certificate` or `internal error`.
    Remote(String),
    /// Anything else about certificates.
    Other,
}

impl TlsTrouble {
    /// Whether a certificate that is refused for its dates is too young and not too old: one of the clocks is wrong.
    pub fn is_not_yet_valid(message: &str) -> bool {
        between(message, "not yet valid: current time ", " is before ").is_some()
    }

    /// Reads the texts of Go's `crypto/x509` and `crypto/tls`.
    pub fn of(message: &str) -> Option<Self> {
        if let Some((_, alert)) = message.split_once("remote error: tls: ") {
            let end = alert.find(['"', '\'', ',', '\n', ')']).unwrap_or(alert.len());
            return Some(Self::Remote(alert[..end].trim().to_owned()));
        }
        #[derive(Clone, Copy)]
        enum Text {
            UnknownAuthority,
            WrongNames,
            Expired,
            LegacyCommonName,
            Other,
        }
        static TEXTS: Table<Text> = Table::new(&[
            ("relies on legacy Common Name", Text::LegacyCommonName),
            ("certificate signed by unknown authority", Text::UnknownAuthority),
            ("certificate is not trusted", Text::UnknownAuthority),
            ("certificate is valid for", Text::WrongNames),
            ("doesn't contain any IP SANs", Text::WrongNames),
            ("not valid for any names", Text::WrongNames),
            ("certificate has expired", Text::Expired),
            ("x509:", Text::Other),
            ("tls: failed to verify", Text::Other),
        ]);
        Some(match TEXTS.first(message)? {
            Text::UnknownAuthority => Self::UnknownAuthority,
            Text::WrongNames => Self::WrongNames,
            Text::Expired => Self::Expired,
            Text::LegacyCommonName => Self::LegacyCommonName,
            Text::Other => Self::Other,
        })
    }
}

/// What a proxy in the environment of the caller (`HTTPS_PROXY`) did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyAnswer {
    /// It answered the request for a connection with this HTTP status text, such as `Forbidden` or `Bad Gateway`.
    Status(String),
    /// It was not reached itself, or hung up.
    NotReached {
        /// Its address, where the message names it.
        address: Option<Dialled>,
        /// What happened to the connection to it.
        class: MessageClass,
    },
}

impl ProxyAnswer {
    /// Reads a message: `proxyconnect tcp: …`, or a status text directly behind the URL, which is all that Go keeps of a
    /// proxy's answer to CONNECT (Go `net/http` `Transport.dialConn`).
    pub fn of(message: &str) -> Option<Self> {
        const STATUS_TEXTS: [&str; 16] = [
            "Bad Gateway",
            "Bad Request",
            "Forbidden",
            "Gateway Time-out",
            "Gateway Timeout",
            "Internal Server Error",
            "Method Not Allowed",
            "Moved Permanently",
            "Found",
            "Not Found",
            "Not Implemented",
            "Proxy Authentication Required",
            "Request Timeout",
            "Service Unavailable",
            "Too Many Requests",
            "Unauthorized",
        ];
        if let Some((_, behind)) = message.split_once("proxyconnect tcp: ") {
            let class = CLASSES.first(behind).unwrap_or(MessageClass::Other);
            let address = behind.starts_with("dial tcp ").then(|| Dialled::of(behind)).flatten();
            return Some(Self::NotReached { address, class });
        }
        let tail = behind_url(message)?.trim();
        let is_status = STATUS_TEXTS.contains(&tail) || tail.starts_with("Proxy Error") || tail == "proxy error";
        is_status.then(|| Self::Status(tail.to_owned()))
    }
}

/// What stands behind `Get URL: `, with the URL in quotes (Go since 1.14) or without.
fn behind_url(message: &str) -> Option<&str> {
    let (_, behind) = message.rsplit_once("Get ")?;
    if let Some(quoted) = behind.strip_prefix('"') {
        return quoted.split_once("\": ").map(|(_, tail)| tail);
    }
    behind.starts_with("http").then_some(behind)?.split_once(": ").map(|(_, tail)| tail)
}

/// What the control plane's own tunnel to nodes and pods says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TunnelTrouble {
    /// konnectivity has no agent, so no node is connected.
    NoAgent,
    /// The tunnel of this node is not connected.
    NoSession,
    /// The tunnel answered instead of the pod: it did not get through to it, or does not know the way.
    Answered {
        /// The HTTP code that it gave.
        code: Option<u16>,
    },
    /// Anything else.
    Other,
}

#[derive(Debug, Clone, Copy)]
enum TunnelText {
    NoAgent,
    NoSession,
    Answered,
    Other,
}

static TUNNELS: Table<TunnelText> = Table::new(&[
    ("No agent available", TunnelText::NoAgent),
    ("failed to find session for client", TunnelText::NoSession),
    ("tunnel session", TunnelText::NoSession),
    ("tunnel disconnect", TunnelText::NoSession),
    ("proxy error from ", TunnelText::Answered),
    ("error dialing backend", TunnelText::Other),
    ("remotedialer", TunnelText::Other),
    ("konnectivity", TunnelText::Other),
    ("rpc error: ", TunnelText::Other),
]);

impl TunnelTrouble {
    /// Reads a message; `None` where it does not speak of a tunnel.
    pub fn of(message: &str) -> Option<Self> {
        Some(match TUNNELS.first(message)? {
            TunnelText::NoAgent => Self::NoAgent,
            TunnelText::NoSession => Self::NoSession,
            TunnelText::Answered => Self::Answered {
                code: between(message, ", code ", ":").or_else(|| Some(message.split_once(", code ")?.1)).and_then(
                    |code| {
                        let digits: String = code.trim().chars().take_while(char::is_ascii_digit).collect();
                        digits.parse().ok()
                    },
                ),
            },
            TunnelText::Other => Self::Other,
        })
    }
}

/// A call that failed, as far as its message tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its class.
    pub class: MessageClass,
    /// Where it went to.
    pub dialled: Option<Dialled>,
    /// The code of `bad status from`.
    pub http_status: Option<u16>,
    /// Why a certificate was not accepted.
    pub tls: Option<TlsTrouble>,
    /// What a proxy did.
    pub proxy: Option<ProxyAnswer>,
    /// What a tunnel did.
    pub tunnel: Option<TunnelTrouble>,
}

impl Failure {
    /// Reads a message.
    pub fn of(message: &str) -> Self {
        let class = MessageClass::of(message);
        let proxy = (class == MessageClass::Proxy).then(|| ProxyAnswer::of(message)).flatten();
        // Of a proxy that was not reached the network package names the proxy's address.
        let names_target = proxy.is_none() || message.contains("https://");
        Self {
            class,
            dialled: names_target.then(|| Dialled::of(message)).flatten(),
            http_status: bad_status(message),
            tls: (class == MessageClass::Tls).then(|| TlsTrouble::of(message)).flatten(),
            tunnel: (class == MessageClass::Tunnel).then(|| TunnelTrouble::of(message)).flatten(),
            proxy,
        }
    }
}

#[cfg(test)]
mod tests;
