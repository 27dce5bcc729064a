//! From what a call through the aggregator got to its error class.

use super::ErrorClass;

/// The class of an answer with an error code. The body decides beside the code, because the aggregator says only there
/// why it could not reach the server behind it (kubernetes/kube-aggregator `pkg/apiserver/handler_proxy.go`,
/// kubernetes/apimachinery `pkg/util/proxy/upgradeaware.go`: 503 since Kubernetes 1.19, 500 before). The body may be a
/// Status or plain text.
pub fn classify_response(code: u16, body: &str) -> ErrorClass {
    let body = body.to_ascii_lowercase();
    match code {
        401 => ErrorClass::Unauthorized,
        403 => ErrorClass::Forbidden,
        404 => ErrorClass::NotFound,
        429 => ErrorClass::Throttled,
        408 | 504 => ErrorClass::Timeout,
        _ if body.contains("error trying to reach service") => cause(&body),
        503 => ErrorClass::ServiceUnavailable,
        500 => ErrorClass::InternalError,
        _ => ErrorClass::Other,
    }
}

/// Why the aggregator could not reach the server, in the words of Go's network and TLS packages.
fn cause(body: &str) -> ErrorClass {
    let any = |needles: &[&str]| needles.iter().any(|needle| body.contains(needle));
    if any(&["timeout", "timed out", "deadline exceeded"]) {
        ErrorClass::Timeout
    } else if any(&["connection refused"]) {
        ErrorClass::ConnectionRefused
    } else if any(&["x509:", "tls:", "http response to https client"]) {
        ErrorClass::Tls
    } else {
        ErrorClass::ServiceUnavailable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_body_together_give_the_class() {
        use ErrorClass as E;
        let sar = r#"Internal Server Error: "/apis/metrics.k8s.io/v1beta1/nodes": subjectaccessreviews.authorization.k8s.io is forbidden: User "system:serviceaccount:kube-system:metrics-server" cannot create resource"#;
        let forbidden = r#"{"kind":"Status","code":403,"reason":"Forbidden","message":"nodes.metrics.k8s.io is forbidden: User \"u\" cannot list resource"}"#;
        for (code, body, expected) in [
            (503, "service unavailable", E::ServiceUnavailable),
            (
                503,
                "error trying to reach service: dial tcp 10.0.1.218:4443: connect: connection refused",
                E::ConnectionRefused,
            ),
            (503, "error trying to reach service: dial tcp 10.0.1.218:4443: i/o timeout", E::Timeout),
            (503, "error trying to reach service: net/http: TLS handshake timeout", E::Timeout),
            (503, "error trying to reach service: context deadline exceeded", E::Timeout),
            (
                503,
                "error trying to reach service: tls: failed to verify certificate: x509: certificate signed by unknown authority",
                E::Tls,
            ),
            (
                503,
                "error trying to reach service: x509: certificate is valid for localhost, not metrics-server.kube-system.svc",
                E::Tls,
            ),
            (503, "error trying to reach service: http: server gave HTTP response to HTTPS client", E::Tls),
            (
                503,
                "error trying to reach service: dial tcp 10.0.1.218:4443: connect: no route to host",
                E::ServiceUnavailable,
            ),
            (
                500,
                "Error trying to reach service: 'dial tcp 10.0.1.218:443: connect: connection refused'",
                E::ConnectionRefused,
            ),
            (500, "Error trying to reach service: 'dial tcp 10.0.0.1:443: i/o timeout'", E::Timeout),
            (500, sar, E::InternalError),
            (500, "", E::InternalError),
            (403, forbidden, E::Forbidden),
            (401, r#"{"kind":"Status","message":"Unauthorized","code":401}"#, E::Unauthorized),
            (404, "404 page not found", E::NotFound),
            (429, "too many requests", E::Throttled),
            (504, r#"{"kind":"Status","reason":"Timeout"}"#, E::Timeout),
            (502, "the backend attempted to redirect this request, which is not permitted", E::Other),
            (302, "", E::Other),
        ] {
            assert_eq!(classify_response(code, body), expected, "{code} {body}");
        }
    }
}
