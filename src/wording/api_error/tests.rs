use super::*;

fn account(namespace: &str, name: &str) -> Identity {
    Identity::ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() }
}

#[test]
fn wordings_of_kubectl() {
    for (text, class) in [
        ("error: Metrics API not available", Some(ErrorClass::ServiceUnavailable)),
        (
            "Error from server (ServiceUnavailable): the server is currently unable to handle the request (get nodes.metrics.k8s.io)",
            Some(ErrorClass::ServiceUnavailable),
        ),
        (
            "Error from server (Forbidden): nodes.metrics.k8s.io is forbidden: User \"u\" cannot list resource \"nodes\"",
            Some(ErrorClass::Forbidden),
        ),
        ("error: You must be logged in to the server (Unauthorized)", Some(ErrorClass::Unauthorized)),
        (
            "Error from server (InternalError): an error on the server (\"Internal Server Error: subjectaccessreviews.authorization.k8s.io is forbidden\") has prevented the request from succeeding",
            Some(ErrorClass::InternalError),
        ),
        (
            "Error from server (InternalError): an error on the server (\"Error trying to reach service: 'x509: certificate signed by unknown authority'\") has prevented the request from succeeding (get nodes.metrics.k8s.io)",
            Some(ErrorClass::Tls),
        ),
        ("error: metrics not available yet", Some(ErrorClass::Empty)),
        (
            "The connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?",
            Some(ErrorClass::ApiserverUnreachable),
        ),
        (
            "error: unable to retrieve the complete list of server APIs: metrics.k8s.io/v1beta1: stale GroupVersion discovery: metrics.k8s.io/v1beta1",
            Some(ErrorClass::ServiceUnavailable),
        ),
        ("Error from server (Gone): the provided continue parameter is too old", Some(ErrorClass::Other)),
        ("NAME   CPU(cores)\nnode-1   10m", None),
        ("NAME   CPU(cores)\nerror-page   10m", None),
        ("error: unknown command \"top\" for \"kubectl\"", None),
    ] {
        assert_eq!(classify_kubectl(text), class, "{text}");
    }
}

#[test]
fn kubectl_says_that_a_list_is_empty() {
    assert!(found_nothing("No resources found") && found_nothing("No resources found in shop namespace."));
    assert!(!found_nothing("error: metrics not available yet"));
}

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
            503,
            "error trying to reach service: proxyconnect tcp: dial tcp 10.0.0.9:3128: connect: connection refused",
            E::ServiceUnavailable,
        ),
        (
            500,
            "Error trying to reach service: 'dial tcp 10.0.1.218:443: connect: connection refused'",
            E::ConnectionRefused,
        ),
        (500, "Error trying to reach service: 'dial tcp 10.0.0.1:443: i/o timeout'", E::Timeout),
        (
            503,
            "Error: 'dial tcp 10.43.169.155:443: i/o timeout'\nTrying to reach: 'https://10.43.169.155:443/apis/metrics.k8s.io/v1beta1?timeout=32s'",
            E::Timeout,
        ),
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

#[test]
fn refusals_name_who_what_and_where() {
    let new = Forbidden::of(
        r#"pods.metrics.k8s.io is forbidden: User "system:serviceaccount:kube-system:horizontal-pod-autoscaler" cannot list resource "pods" in API group "metrics.k8s.io" in the namespace "x""#,
    );
    assert_eq!(
        new,
        Some(Forbidden {
            user: account("kube-system", "horizontal-pod-autoscaler"),
            verb: "list".to_owned(),
            resource: "pods".to_owned(),
            group: "metrics.k8s.io".to_owned(),
            namespace: Some("x".to_owned()),
        })
    );
    let old = Forbidden::of(
        r#"pods.metrics.k8s.io is forbidden: User "system:anonymous" cannot list pods.metrics.k8s.io in the namespace "default".: "No policy matched.""#,
    );
    assert_eq!(
        old,
        Some(Forbidden {
            user: Identity::Anonymous,
            verb: "list".to_owned(),
            resource: "pods".to_owned(),
            group: "metrics.k8s.io".to_owned(),
            namespace: Some("default".to_owned()),
        })
    );
    let escaped = Forbidden::of(
        r#"{"message":"nodes.metrics.k8s.io is forbidden: User \"front-proxy-client\" cannot list resource \"nodes\" in API group \"metrics.k8s.io\" at the cluster scope"}"#,
    )
    .expect("a refusal");
    assert_eq!(
        (escaped.user, escaped.resource.as_str(), escaped.namespace),
        (Identity::Other("front-proxy-client".to_owned()), "nodes", None)
    );
    let subresource =
        Forbidden::of(r#"User "u" cannot get resource "nodes/metrics" in API group "" at the cluster scope"#);
    assert_eq!(
        subresource.map(|forbidden| (forbidden.resource, forbidden.group)),
        Some(("nodes/metrics".into(), String::new()))
    );
    for none in ["pods is forbidden", "User \"u\"", "User \"u\" cannot ", "Forbidden", ""] {
        assert_eq!(Forbidden::of(none), None, "{none}");
    }
    assert!(account("a", "b").is_account("a", "b") && !account("a", "b").is_account("a", "c"));
    assert_eq!(
        Identity::of("system:serviceaccount:broken"),
        Identity::Other("system:serviceaccount:broken".to_owned())
    );
}

#[test]
fn what_an_error_tells_beyond_its_class() {
    let detail = |text: &str| ApiError::of_text(text).map(|error| error.detail);
    let wrapped = |body: &str| {
        format!(
            "Error from server (InternalError): an error on the server (\"{body}\") has prevented the request from succeeding (get pods.metrics.k8s.io)"
        )
    };
    let sar = r#"Internal Server Error: \"/apis/metrics.k8s.io/v1beta1/namespaces/x/pods\": subjectaccessreviews.authorization.k8s.io is forbidden: User \"system:serviceaccount:kube-system:metrics-server\" cannot create resource \"subjectaccessreviews\" in API group \"authorization.k8s.io\" at the cluster scope"#;
    assert_eq!(
        detail(&wrapped(sar)),
        Some(Detail::ReviewsForbidden { account: Some(account("kube-system", "metrics-server")) })
    );
    assert_eq!(
        detail(&wrapped("Internal Server Error: subjectaccessreviews.authorization.k8s.io is forbidden")),
        Some(Detail::ReviewsForbidden { account: None })
    );
    assert_eq!(
        detail(&wrapped(
            r#"Internal Server Error: \"/apis/metrics.k8s.io/v1beta1?timeout=32s\": the server could not find the requested resource"#
        )),
        Some(Detail::ResourceGone)
    );
    assert_eq!(
        detail(&wrapped(
            r#"Internal Server Error: \"/apis/metrics.k8s.io/v1beta1/namespaces/lmkubeorleans/pods?labelSelector=lm-app%3Dlm-kubesilo-savedata\": Unauthorized"#
        )),
        Some(Detail::TokenRefused)
    );
    let Some(Detail::NotReached(failure)) =
        detail(&wrapped("error trying to reach service: x509: certificate signed by unknown authority"))
    else {
        panic!("not reached")
    };
    assert_eq!(failure.tls, Some(crate::wording::failure::TlsTrouble::UnknownAuthority));
    assert_eq!(detail("error: Metrics API not available"), Some(Detail::NotDiscovered));
    assert_eq!(
        detail(
            "Error from server (NotFound): the server could not find the requested resource (get services http:heapster:)"
        ),
        Some(Detail::Heapster)
    );
    assert_eq!(detail("error: metrics not available yet"), Some(Detail::NoSamplesYet));
    assert_eq!(
        detail("error: Metrics not available for pod mem-example/memory-demo, age: 13m46.410577s"),
        Some(Detail::PodWithoutSample { namespace: "mem-example".to_owned(), name: "memory-demo".to_owned() })
    );
    assert_eq!(
        detail(r#"Error from server (NotFound): podmetrics.metrics.k8s.io "shop/web-1" not found"#),
        Some(Detail::ObjectNotFound {
            resource: "podmetrics.metrics.k8s.io".to_owned(),
            name: "shop/web-1".to_owned()
        })
    );
    assert_eq!(
        detail(
            "Error from server (NotFound): the server could not find the requested resource (get nodes.metrics.k8s.io)"
        ),
        Some(Detail::Plain)
    );
    assert_eq!(
        detail("Error from server (ServiceUnavailable): the server is currently unable to handle the request"),
        Some(Detail::Plain)
    );
    assert_eq!(detail("all is well"), None);
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in ".*", code in 100_u16..600) {
        let _ = (ApiError::of_text(&text), ApiError::of_response(code, &text), Forbidden::of(&text));
    }
}
