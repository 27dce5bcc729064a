use super::*;

const HEAD: &str = "failing or missing response from https://10.0.35.231:10250/apis/metrics.k8s.io/v1beta1: ";
const GET: &str = "Get \"https://10.0.35.231:10250/apis/metrics.k8s.io/v1beta1\": ";

fn read(tail: &str) -> Failure {
    Failure::of(&format!("{HEAD}{GET}{tail}"))
}

#[test]
fn messages_of_every_era_are_classed() {
    for (tail, class) in [
        (
            "net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)",
            MessageClass::Timeout,
        ),
        ("context deadline exceeded", MessageClass::Timeout),
        ("dial tcp 10.0.35.231:443: i/o timeout", MessageClass::Timeout),
        ("net/http: TLS handshake timeout", MessageClass::Timeout),
        ("dial tcp 10.0.35.231:10250: connect: connection refused", MessageClass::ConnectionRefused),
        ("dial tcp 10.0.35.231:10250: getsockopt: connection refused", MessageClass::ConnectionRefused),
        ("dial tcp 10.0.35.231:10250: connect: no route to host", MessageClass::NoRoute),
        ("read tcp 10.0.0.1:1->10.0.0.2:2: read: connection reset by peer", MessageClass::Reset),
        ("EOF", MessageClass::Reset),
        ("http: server gave HTTP response to HTTPS client", MessageClass::PlainHttp),
        ("tls: failed to verify certificate: x509: certificate signed by unknown authority", MessageClass::Tls),
        ("remote error: tls: bad certificate", MessageClass::Tls),
        ("Forbidden", MessageClass::Proxy),
        ("Service Unavailable", MessageClass::Proxy),
        ("Bad Gateway", MessageClass::Proxy),
        ("Proxy Authentication Required", MessageClass::Proxy),
        ("Proxy Error ( Connection refused )", MessageClass::Proxy),
        ("proxyconnect tcp: dial tcp 10.0.0.9:3128: connect: connection refused", MessageClass::Proxy),
        ("proxyconnect tcp: dial tcp: lookup proxy.example.com on 10.0.0.2:53: no such host", MessageClass::Proxy),
        ("proxyconnect tcp: EOF", MessageClass::Proxy),
        ("dial tcp: lookup metrics.example.com on 10.0.0.2:53: no such host", MessageClass::Dns),
        ("No agent available", MessageClass::Tunnel),
        ("failed to find Session for client k3s-agent-1", MessageClass::Tunnel),
        ("something new", MessageClass::Other),
        // Near misses.
        ("the policy says Forbidden by rule", MessageClass::Other),
    ] {
        assert_eq!(read(tail).class, class, "{tail}");
    }
    for (code, class) in [
        (401, MessageClass::BadStatus401),
        (403, MessageClass::BadStatus403),
        (404, MessageClass::BadStatus404),
        (500, MessageClass::BadStatus5xx),
        (503, MessageClass::BadStatus5xx),
        (302, MessageClass::Other),
    ] {
        let failure = Failure::of(&format!(
            "{HEAD}bad status from https://10.0.35.231:10250/apis/metrics.k8s.io/v1beta1: {code}"
        ));
        assert_eq!((failure.class, failure.http_status), (class, Some(code)));
    }
    let old = "no response from https://10.0.35.231:443: Get https://10.0.35.231:443: dial tcp 10.0.35.231:443: connect: connection refused";
    assert_eq!(MessageClass::of(old), MessageClass::ConnectionRefused);
    assert_eq!(
        MessageClass::of("no response from https://10.0.0.1:443: Get https://10.0.0.1:443: Forbidden"),
        MessageClass::Proxy
    );
    assert_eq!(MessageClass::of("timed out waiting for https://10.0.35.231:443"), MessageClass::Timeout);
}

#[test]
fn a_refused_proxy_is_the_proxys_and_never_a_refused_port() {
    let failure = read("proxyconnect tcp: dial tcp 10.0.0.9:3128: connect: connection refused");
    assert_eq!(failure.class, MessageClass::Proxy);
    assert_eq!(failure.dialled, Some(Dialled { host: "10.0.35.231".to_owned(), port: 10250 }));
    assert_eq!(
        failure.proxy,
        Some(ProxyAnswer::NotReached {
            address: Some(Dialled { host: "10.0.0.9".to_owned(), port: 3128 }),
            class: MessageClass::ConnectionRefused
        })
    );
    let alone = Failure::of("proxyconnect tcp: dial tcp 10.0.0.9:3128: i/o timeout");
    assert_eq!((alone.class, alone.dialled), (MessageClass::Proxy, None));
    assert_eq!(read("Bad Gateway").proxy, Some(ProxyAnswer::Status("Bad Gateway".to_owned())));
    assert_eq!(read("dial tcp 10.0.0.9:10250: connect: connection refused").proxy, None);
}

#[test]
fn where_a_call_went_to_is_read_of_every_form() {
    for (message, host, port) in [
        (format!("{HEAD}{GET}EOF"), "10.0.35.231", 10250),
        (
            "failing or missing response from https://[fd00:10::1:5]:4443/apis/metrics.k8s.io/v1beta1: EOF".to_owned(),
            "fd00:10::1:5",
            4443,
        ),
        ("no response from https://10.97.40.73:443: EOF".to_owned(), "10.97.40.73", 443),
        ("Get https://metrics.example.com/apis/metrics.k8s.io/v1beta1: EOF".to_owned(), "metrics.example.com", 443),
        ("dial tcp [fd00::2]:443: i/o timeout".to_owned(), "fd00::2", 443),
        (
            "proxy error from 127.0.0.1:9345 while dialing 10.44.207.181:8443, code 500: 500 Internal Server Error"
                .to_owned(),
            "10.44.207.181",
            8443,
        ),
    ] {
        assert_eq!(Dialled::of(&message), Some(Dialled { host: host.to_owned(), port }), "{message}");
    }
    assert_eq!(Dialled::of("https://[fd00::1]:1/").and_then(|dialled| dialled.ip()), "fd00::1".parse().ok());
    assert_eq!(Dialled::of("https://metrics.example.com/").and_then(|dialled| dialled.ip()), None);
    for none in
        ["", "https://", "https://:", "dial tcp: lookup x: no such host", "all checks passed", "dial tcp 10.0.0.1"]
    {
        assert_eq!(Dialled::of(none), None, "{none}");
    }
}

#[test]
fn troubles_with_certificates_are_told_apart() {
    for (tail, trouble) in [
        (
            "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            TlsTrouble::UnknownAuthority,
        ),
        (
            "x509: certificate is valid for localhost, localhost, not metrics-server.kube-system.svc",
            TlsTrouble::WrongNames,
        ),
        (
            "x509: cannot validate certificate for 10.0.0.1 because it doesn't contain any IP SANs",
            TlsTrouble::WrongNames,
        ),
        (
            "x509: certificate has expired or is not yet valid: current time 2026-01-01T00:00:00Z is after 2025-01-01T00:00:00Z",
            TlsTrouble::Expired,
        ),
        (
            "x509: certificate relies on legacy Common Name field, use SANs or temporarily enable Common Name matching with GODEBUG=x509ignoreCN=0",
            TlsTrouble::LegacyCommonName,
        ),
        ("remote error: tls: bad certificate", TlsTrouble::Remote("bad certificate".to_owned())),
        (
            "remote error: tls: unknown certificate authority",
            TlsTrouble::Remote("unknown certificate authority".to_owned()),
        ),
        ("x509: certificate specifies an incompatible key usage", TlsTrouble::Other),
    ] {
        assert_eq!(read(tail).tls, Some(trouble), "{tail}");
    }
    assert_eq!(read("net/http: TLS handshake timeout").tls, None);
    assert_eq!(read("EOF").tls, None);
}

#[test]
fn tunnels_are_told_apart() {
    for (tail, trouble) in [
        ("No agent available", TunnelTrouble::NoAgent),
        ("failed to find Session for client sd-worker-0", TunnelTrouble::NoSession),
        (
            "proxy error from 127.0.0.1:9345 while dialing 10.44.207.181:8443, code 500: 500 Internal Server Error",
            TunnelTrouble::Answered { code: Some(500) },
        ),
        (
            "proxy error from localhost:9443 while dialing 10.224.0.5:10250, code 502: 502 Bad Gateway",
            TunnelTrouble::Answered { code: Some(502) },
        ),
        ("error dialing backend: dial tcp 10.0.0.1:8132: connect: connection refused", TunnelTrouble::Other),
        ("rpc error: code = Unavailable desc = transport is closing", TunnelTrouble::Other),
    ] {
        let failure = read(tail);
        assert_eq!((failure.class, failure.tunnel), (MessageClass::Tunnel, Some(trouble)), "{tail}");
    }
    assert_eq!(read("Proxy Error ( Connection refused )").tunnel, None);
}

proptest::proptest! {
    #[test]
    fn no_message_panics(message in ".*") {
        let _ = Failure::of(&message);
    }
}
