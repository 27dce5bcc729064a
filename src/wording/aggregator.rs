//! The classes of the aggregator's messages, in the wordings of Kubernetes 1.8 to 1.37
//! (kubernetes/kube-aggregator `pkg/controllers/status/*available_controller.go`).

/// The reasons of condition Available, with `other` and `not_registered`: a closed set
/// (kubernetes/kube-aggregator `pkg/controllers/status`, unchanged from 1.11 to 1.37).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// `Passed`
    Passed,
    /// `Local`
    Local,
    /// `ServiceNotFound`
    ServiceNotFound,
    /// `ServiceAccessError`
    ServiceAccessError,
    /// `ServicePortError`
    ServicePortError,
    /// `EndpointsNotFound`
    EndpointsNotFound,
    /// `EndpointsAccessError`
    EndpointsAccessError,
    /// `MissingEndpoints`
    MissingEndpoints,
    /// `FailedDiscoveryCheck`
    FailedDiscoveryCheck,
    /// A reason that is not known, or no condition yet.
    Other,
    /// There is no such `APIService`.
    NotRegistered,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 11] = [
        Self::Passed,
        Self::Local,
        Self::ServiceNotFound,
        Self::ServiceAccessError,
        Self::ServicePortError,
        Self::EndpointsNotFound,
        Self::EndpointsAccessError,
        Self::MissingEndpoints,
        Self::FailedDiscoveryCheck,
        Self::Other,
        Self::NotRegistered,
    ];

    /// As Kubernetes writes it; the last two in the project's own words.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Passed => "Passed",
            Self::Local => "Local",
            Self::ServiceNotFound => "ServiceNotFound",
            Self::ServiceAccessError => "ServiceAccessError",
            Self::ServicePortError => "ServicePortError",
            Self::EndpointsNotFound => "EndpointsNotFound",
            Self::EndpointsAccessError => "EndpointsAccessError",
            Self::MissingEndpoints => "MissingEndpoints",
            Self::FailedDiscoveryCheck => "FailedDiscoveryCheck",
            Self::Other => "other",
            Self::NotRegistered => "not_registered",
        }
    }

    /// Reads the reason of a condition; what is not known is `Other`.
    pub fn of(reason: &str) -> Self {
        Self::ALL.into_iter().take(9).find(|known| known.label() == reason).unwrap_or(Self::Other)
    }
}

/// What a message of condition Available tells: a closed set.
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
    /// A proxy of the API server answered.
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

    /// Reads a message; what is more telling comes first (`TLS handshake timeout` is a timeout, a refused proxy a proxy).
    pub fn of(message: &str) -> Self {
        const PATTERNS: [(&str, MessageClass); 34] = [
            ("proxy error from", MessageClass::Tunnel),
            ("No agent available", MessageClass::Tunnel),
            ("no agent available", MessageClass::Tunnel),
            ("Proxy Error", MessageClass::Proxy),
            ("proxyconnect", MessageClass::Proxy),
            ("Proxy Authentication Required", MessageClass::Proxy),
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
            (": Forbidden", MessageClass::Proxy),
            (": Service Unavailable", MessageClass::Proxy),
        ];
        if let Some(code) = bad_status(message) {
            return match code {
                401 => Self::BadStatus401,
                403 => Self::BadStatus403,
                404 => Self::BadStatus404,
                500..=599 => Self::BadStatus5xx,
                _ => Self::Other,
            };
        }
        PATTERNS.iter().find(|(pattern, _)| message.contains(pattern)).map_or(Self::Other, |&(_, class)| class)
    }
}

/// The code of `bad status from URL: CODE`.
fn bad_status(message: &str) -> Option<u16> {
    let (_, behind) = message.rsplit_once("bad status from ")?;
    let (_, code) = behind.rsplit_once(": ")?;
    code.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_every_era_are_classed() {
        const HEAD: &str = "failing or missing response from https://10.0.35.231:10250/apis/metrics.k8s.io/v1beta1: ";
        for (tail, class) in [
            (
                "Get \"https://10.0.35.231:10250/apis/metrics.k8s.io/v1beta1\": net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)",
                MessageClass::Timeout,
            ),
            (
                "Get \"https://10.0.35.231:10250/apis/metrics.k8s.io/v1beta1\": context deadline exceeded",
                MessageClass::Timeout,
            ),
            ("Get https://10.0.35.231:443: dial tcp 10.0.35.231:443: i/o timeout", MessageClass::Timeout),
            ("net/http: TLS handshake timeout", MessageClass::Timeout),
            ("timed out waiting for https://10.0.35.231:443", MessageClass::Timeout),
            (
                "Get \"https://x\": dial tcp 10.0.35.231:10250: connect: connection refused",
                MessageClass::ConnectionRefused,
            ),
            ("Get \"https://x\": dial tcp 10.0.35.231:10250: connect: no route to host", MessageClass::NoRoute),
            ("Get \"https://x\": read tcp 10.0.0.1:1->10.0.0.2:2: read: connection reset by peer", MessageClass::Reset),
            ("Get \"https://x\": EOF", MessageClass::Reset),
            ("Get \"https://x\": http: server gave HTTP response to HTTPS client", MessageClass::PlainHttp),
            (
                "Get \"https://x\": tls: failed to verify certificate: x509: certificate signed by unknown authority",
                MessageClass::Tls,
            ),
            ("Get \"https://x\": remote error: tls: bad certificate", MessageClass::Tls),
            ("bad status from https://10.0.35.231:10250/apis/metrics.k8s.io/v1beta1: 401", MessageClass::BadStatus401),
            ("bad status from https://10.0.35.231:10250/apis/metrics.k8s.io/v1beta1: 403", MessageClass::BadStatus403),
            ("bad status from https://10.0.35.231:10250/apis/metrics.k8s.io/v1beta1: 404", MessageClass::BadStatus404),
            ("bad status from https://10.0.35.231:10250/apis/metrics.k8s.io/v1beta1: 503", MessageClass::BadStatus5xx),
            ("Get \"https://10.0.35.231:10250/apis/metrics.k8s.io/v1beta1\": Forbidden", MessageClass::Proxy),
            ("Get \"https://x\": Proxy Error ( Connection refused )", MessageClass::Proxy),
            ("Get \"https://x\": dial tcp: lookup metrics.example.com on 10.0.0.2:53: no such host", MessageClass::Dns),
            ("Get \"https://x\": No agent available", MessageClass::Tunnel),
            (
                "Get \"https://x\": proxy error from 127.0.0.1:6443 while dialing 10.42.1.3:10250, code 502: 502 Bad Gateway",
                MessageClass::Tunnel,
            ),
            ("something new", MessageClass::Other),
        ] {
            assert_eq!(MessageClass::of(&format!("{HEAD}{tail}")), class, "{tail}");
        }
        let old = "no response from https://10.0.35.231:443: Get https://10.0.35.231:443: dial tcp 10.0.35.231:443: connect: connection refused";
        assert_eq!(MessageClass::of(old), MessageClass::ConnectionRefused);
    }
}
