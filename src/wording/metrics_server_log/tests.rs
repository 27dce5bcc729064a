use super::*;

fn kind_of(line: &str) -> LineKind {
    LogLine::of(line).kind
}

fn failed(line: &str) -> Vec<(Option<Cause>, Vec<String>)> {
    let failed = LogLine::of(line).failed_scrapes().to_vec();
    failed.into_iter().map(|failed| (failed.cause, failed.nodes)).collect()
}

fn pod(namespace: &str, name: &str, container: Option<&str>) -> Skipped {
    Skipped::Pod { namespace: namespace.to_owned(), name: name.to_owned(), container: container.map(str::to_owned) }
}

#[test]
fn classes_tell_what_matters_apart_from_what_is_benign() {
    for (line, expected) in [
        (
            r#"I0101 1 server.go:192] "Failed probe" probe="metric-storage-ready" err="no metrics to serve""#,
            "probe_failed",
        ),
        (
            r#"E0101 1 scraper.go:140] "Failed to scrape node" err="request failed, status: \"418\"" node="n""#,
            "scrape_failed",
        ),
        (
            r#"E0101 1 scraper.go:140] "Failed to scrape node" err="Get \"https://10.0.0.5:10250/metrics/resource\": EOF" node="n""#,
            "scrape_failed",
        ),
        (
            r#"E0101 1 scraper.go:140] "Failed to scrape node" err="request failed, status: \"403 Forbidden\"" node="n""#,
            "kubelet_forbidden",
        ),
        (
            "E0101 1 reststorage.go:160] unable to fetch pod metrics for pod a/b: no metrics known for pod",
            "no_metrics_known",
        ),
        ("I0101 1 secure_serving.go:213] Serving securely on [::]:10250", "other"),
        ("panic: listen tcp 0.0.0.0:10250: bind: address already in use", "port_conflict"),
        (r"I0101 1 round_trippers.go:405] GET https://k8s-node-1:10250/stats/summary/  in 10006 milliseconds", "other"),
    ] {
        assert_eq!(LogLine::of(line).class(), expected, "{line}");
    }
}

#[test]
fn scrape_failures_of_every_version_are_told_apart() {
    for (line, cause) in [
        (
            r"E0610 23:13:28.247604       1 manager.go:111] unable to fully collect metrics: [unable to fully scrape metrics from source kubelet_summary:node-1: unable to fetch metrics from Kubelet node-1 (node-1): Get https://node-1:10250/stats/summary/: dial tcp: lookup node-1 on 172.20.0.10:53: no such host]",
            Some(Cause::NodeNameUnresolvable),
        ),
        (
            "E0710 10:25:05.007770       1 summary.go:97] error while getting metrics summary from Kubelet node-1 (10.0.0.5:10255): Get http://10.0.0.5:10255/stats/summary/: dial tcp 10.0.0.5:10255: getsockopt: connection refused",
            Some(Cause::KubeletRefused),
        ),
        (
            "E0616 09:16:05.060672       1 summary.go:97] error while getting metrics summary from Kubelet node-1(172.27.129.111:10255): Get http://172.27.129.111:10255/stats/summary/: dial tcp 172.27.129.111:10255: getsockopt: connection timed out",
            Some(Cause::KubeletTimeout),
        ),
        (
            "unable to fetch metrics from Kubelet node-1 (10.0.23.26): Get https://10.0.23.26:10250/stats/summary?only_cpu_and_memory=true: x509: cannot validate certificate for 10.0.23.26 because it doesn't contain any IP SANs]",
            Some(Cause::KubeletCertificateNames),
        ),
        (
            "etrics from Kubelet node-1 (10.0.23.26): Get https://10.0.23.26:10250/stats/summary?only_cpu_and_memory=true: x509: certificate signed by unknown authority",
            Some(Cause::KubeletCertificateAuthority),
        ),
        (
            r#"E1 x server.go:132] unable to fully scrape metrics: [unable to fully scrape metrics from node node-1: unable to fetch metrics from node node-1: request failed - "403 Forbidden".]"#,
            Some(Cause::KubeletForbidden),
        ),
        (
            r#"E0101 10:00:00.000000       1 scraper.go:149] "Failed to scrape node" err="Get \"https://10.0.0.5:10250/metrics/resource\": tls: failed to verify certificate: x509: cannot validate certificate for 10.0.0.5 because it doesn't contain any IP SANs" node="node-1""#,
            Some(Cause::KubeletCertificateNames),
        ),
        (
            r#"E0101 10:00:00.000000       1 scraper.go:149] "Failed to scrape node" err="Get \"https://10.0.0.5:10250/metrics/resource\": remote error: tls: internal error" node="node-1""#,
            Some(Cause::KubeletCertificateMissing),
        ),
        (
            r#"E0101 10:00:00.000000       1 scraper.go:147] "Failed to scrape node, timeout to access kubelet" err="Get \"https://10.0.0.5:10250/metrics/resource\": context deadline exceeded" node="node-1" timeout="10s""#,
            Some(Cause::KubeletTimeout),
        ),
        (
            r#"E0101 10:00:00.000000       1 scraper.go:140] "Failed to scrape node" err="no address matched types [Hostname]" node="node-1""#,
            Some(Cause::NodeNameUnresolvable),
        ),
        (
            r#"{"ts":1767225600000.1,"caller":"scraper/scraper.go:149","msg":"Failed to scrape node","node":{"name":"node-1"},"err":"request failed, status: \"401 Unauthorized\""}"#,
            Some(Cause::KubeletUnauthorized),
        ),
        (
            "unable to fetch metrics from Kubelet node-1 (10.0.0.5): Get http://node-1:10250/stats/summary/: net/http: HTTP/1.x transport connection broken: malformed HTTP response",
            None,
        ),
    ] {
        assert_eq!(failed(line), [(cause, vec!["node-1".to_owned()])], "{line}");
    }
}

#[test]
fn what_speaks_of_kubelets_is_no_failure_by_that() {
    for line in [
        r#"I0101 10:00:00.000000       1 server.go:191] "Failed probe" probe="metric-storage-ready" err="no metrics to serve""#,
        r#"E0101 10:00:00.000000       1 authentication.go:63] "Unable to authenticate the request" err="x509: certificate signed by unknown authority""#,
        r#"I0101 10:00:00.000000       1 httplog.go:132] "HTTP" verb="GET" URI="/metrics/resource" latency="1ms" resp=200"#,
        "I0101 10:00:00.000000       1 manager.go:95] Scraping metrics from 23 sources",
        r#"I0101 10:00:00.000000       1 scraper.go:140] "Scraping node" node="node-1""#,
    ] {
        assert!(!LogLine::of(line).is_scrape_failure(), "{line}");
    }
    let not_ready = r#"I0101 10:00:00.000000       1 scraper.go:145] "Failed to scrape node, node is not ready" node="n" err="Get \"https://10.0.0.5:10250/metrics/resource\": context deadline exceeded""#;
    assert_eq!(kind_of(not_ready), LineKind::NodeNotReady);
    let without_node =
        r#"GET "https://10.0.0.5:10250/stats/summary?only_cpu_and_memory=true": bad status code "401 Unauthorized""#;
    assert_eq!(failed(without_node), [(Some(Cause::KubeletUnauthorized), vec![])]);
    let late =
        "W0313 07:04:16.253684       1 manager.go:102] Failed to get kubelet_summary:10.0.0.10:10255 response in time";
    assert_eq!(failed(late), [(Some(Cause::KubeletTimeout), vec![])]);
}

#[test]
fn a_line_of_a_whole_round_is_told_node_by_node() {
    let a = "unable to fully scrape metrics from source kubelet_summary:a: unable to fetch metrics from Kubelet a (a): Get https://a:10250/stats/summary/: dial tcp: lookup a on 10.96.0.10:53: no such host";
    let b = "unable to fully scrape metrics from source kubelet_summary:b: unable to fetch metrics from Kubelet b (10.0.0.2): Get https://10.0.0.2:10250/stats/summary/: x509: certificate signed by unknown authority";
    let c = r#"unable to fully scrape metrics from source kubelet_summary:c: [unable to get CPU for container "cdi-controller" in pod cdi/cdi-1 on node "c", discarding data: missing cpu usage metric, unable to get a valid timestamp for metric point for container "web" in pod shop/web-1 on node "c", discarding data: no non-zero timestamp on either CPU or memory]"#;
    let d = r#"unable to fully scrape metrics from source kubelet_summary:d: unable to get CPU for container "cep01" in pod x/cep01-1 on node "d": missing cpu usage metric"#;
    let both = [
        (Some(Cause::NodeNameUnresolvable), vec!["a".to_owned()]),
        (Some(Cause::KubeletCertificateAuthority), vec!["b".to_owned()]),
    ];
    assert_eq!(failed(&format!("E1 manager.go:111] unable to fully collect metrics: [{a}, {b}]")), both);
    // The beginning was cut off.
    assert_eq!(failed(&format!("{}, {b}, {c}]", &a[60..])), both);
    let whole = LogLine::of(&format!("E1 manager.go:111] unable to fully collect metrics: [{a}, {c}, {d}]"));
    assert_eq!(whole.failed_scrapes().len(), 2);
    assert_eq!(whole.failed_scrapes()[1], FailedScrape { cause: None, nodes: vec!["d".to_owned()] });
    assert_eq!(whole.skipped(), [pod("cdi", "cdi-1", Some("cdi-controller")), pod("shop", "web-1", Some("web"))]);
    // What is left out of a scrape that succeeded is no failure of it.
    let alone = LogLine::of(&format!("E1 manager.go:111] unable to fully collect metrics: {c}"));
    assert_eq!((alone.is_scrape_failure(), alone.skipped().len(), alone.class()), (false, 2, "other"));
    let one = r#"E1 scraper.go:140] "Failed to scrape node" err="Get \"https://n:10250/metrics/resource\": dial tcp: lookup n on 10.96.0.10:53: read udp 10.1.0.4:39211->10.96.0.10:53: i/o timeout" node="n""#;
    assert_eq!(failed(one), [(Some(Cause::NodeNameUnresolvable), vec!["n".to_owned()])]);
    let slow = r#"E1 scraper.go:140] "Failed to scrape node" err="Get \"https://10.0.0.2:10250/metrics/resource\": dial tcp 10.0.0.2:10250: i/o timeout" node="n""#;
    assert_eq!(failed(slow), [(Some(Cause::KubeletTimeout), vec!["n".to_owned()])]);
    assert_eq!(failed("I1 server.go:191] \"Failed probe\""), []);
}

#[test]
fn only_what_load_and_restarts_do_comes_and_goes() {
    for cause in [Cause::KubeletTimeout, Cause::KubeletRefused, Cause::KubeletUnreachable] {
        assert!(comes_and_goes(cause), "{cause:?}");
    }
    for cause in [
        Cause::KubeletCertificateNames,
        Cause::KubeletCertificateAuthority,
        Cause::KubeletCertificateExpired,
        Cause::KubeletCertificateMissing,
        Cause::KubeletUnauthorized,
        Cause::KubeletForbidden,
        Cause::KubeletNotFound,
        Cause::NodeNameUnresolvable,
        Cause::KubeletOutputUnparsable,
    ] {
        assert!(!comes_and_goes(cause), "{cause:?}");
    }
    assert!(FailedScrape { cause: None, nodes: vec![] }.comes_and_goes(), "a reset has no cause of its own");
}

#[test]
fn ends_of_a_start_are_told_apart() {
    for (line, cause) in [
        ("panic: unknown flag: --logtostderr", Some(Cause::UnknownFlag)),
        ("standard_init_linux.go:228: exec user process caused: exec format error", Some(Cause::ImageArchitecture)),
        (
            "panic: failed to create listener: failed to listen on 0.0.0.0:10250: listen tcp 0.0.0.0:10250: bind: address already in use",
            Some(Cause::PortConflict),
        ),
        (
            "error: metric-resolution should be a time duration at least 10s, but value 5s provided",
            Some(Cause::FlagValueRefused),
        ),
        (
            r#"panic: unable to load configmap based request-header-client-ca-file: configmaps "extension-apiserver-authentication" is forbidden: User "system:serviceaccount:metrics:ms" cannot get resource "configmaps" in API group "" in the namespace "kube-system""#,
            Some(Cause::AuthReaderMissing),
        ),
        (
            r#"E1 reflector.go:1] Failed to list *v1.Node: nodes is forbidden: User "system:serviceaccount:kube-system:metrics-server" cannot list resource "nodes" in API group "" at the cluster scope"#,
            Some(Cause::ListPermissionMissing),
        ),
        // The same in the structured form of newer releases.
        (
            r#"E1 reflector.go:200] "Failed to watch" err="failed to list *v1.Node: nodes is forbidden: User \"system:serviceaccount:kube-system:metrics-server\" cannot list resource \"nodes\" in API group \"\" at the cluster scope" reflector="k8s.io/client-go/informers/factory.go:160" type="*v1.Node""#,
            Some(Cause::ListPermissionMissing),
        ),
        (
            r#"{"ts":1767225600000.1,"msg":"Unhandled Error","err":"webhook: subjectaccessreviews.authorization.k8s.io is forbidden: User \"system:serviceaccount:kube-system:metrics-server\" cannot create resource \"subjectaccessreviews\" in API group \"authorization.k8s.io\" at the cluster scope"}"#,
            Some(Cause::AuthDelegatorMissing),
        ),
        (
            r#"panic: Get "https://10.96.0.1:443/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication": dial tcp 10.96.0.1:443: i/o timeout"#,
            Some(Cause::ApiServerUnreachable),
        ),
        (
            "E1 reflector.go:138] Failed to watch *v1.Node: failed to list *v1.Node: Unauthorized",
            Some(Cause::ApiServerUntrusted),
        ),
        (
            r#"E1 reflector.go:200] "Failed to watch" err="failed to list *v1.Node: Unauthorized" type="*v1.Node""#,
            Some(Cause::ApiServerUntrusted),
        ),
        (
            r#"E1 reflector.go:138] failed to list *v1.Pod: Get "https://10.96.0.1:443/api/v1/pods": x509: certificate signed by unknown authority"#,
            Some(Cause::ApiServerUntrusted),
        ),
        (r#"E1 authentication.go:63] "Unable to authenticate the request" err="Unauthorized""#, None),
        (
            "E1 reflector.go:205] Failed to list *v1.Node: Get https://kubernetes.default/api/v1/nodes?resourceVersion=0: dial tcp 10.96.0.1:443: i/o timeout",
            Some(Cause::ApiServerUnreachable),
        ),
        (
            r#"failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "--kubelet-insecure-tls": executable file not found in $PATH: unknown"#,
            Some(Cause::CommandNotFound),
        ),
        (
            r#"OCI runtime create failed: container_linux.go:349: starting container process caused "exec: \"/metrics\": stat /metrics: no such file or directory": unknown"#,
            Some(Cause::CommandNotFound),
        ),
        (
            r#"E1 authentication.go:63] "Unable to authenticate the request" err="x509: subject with cn=front-proxy-client is not in the allowed list: [aggregator]""#,
            Some(Cause::FrontProxyUntrusted),
        ),
        (
            "W1 authentication.go:296] Cluster doesn't provide requestheader-client-ca-file in configmap/extension-apiserver-authentication in kube-system, so request-header client certificate authentication won't work.",
            Some(Cause::FrontProxyUntrusted),
        ),
        ("I1 secure_serving.go:116] Serving securely on [::]:4443", None),
        ("I1 GET https://10.96.0.1:443/api/v1/nodes 200 OK", None),
    ] {
        assert_eq!(LogLine::of(line).startup_failure(), cause, "{line}");
    }
    let warning = "W1 x.go:1] Cluster doesn't provide requestheader-client-ca-file in configmap/extension-apiserver-authentication";
    assert_eq!(kind_of(warning), LineKind::AggregationNotConfigured);
}

#[test]
fn starts_and_ends_that_are_in_order() {
    for (line, kind) in [
        ("I1 secure_serving.go:116] Serving securely on [::]:4443", LineKind::Serving { port: Some(4443) }),
        (r#"{"msg":"Serving securely on 0.0.0.0:10250","v":0}"#, LineKind::Serving { port: Some(10250) }),
        ("I1 serve.go:85] Serving securely on", LineKind::Other),
        ("I0903 11:57:07.750571        1 secure_serving.go:258] Stopped listening on [::]:8443", LineKind::Stopped),
        ("I1 serving.go:374] Generated self-signed cert (/tmp/apiserver.crt, /tmp/apiserver.key)", LineKind::Other),
        ("", LineKind::Other),
    ] {
        assert_eq!(kind_of(line), kind, "{line}");
    }
    assert!(LogLine::of("I1 x] Serving securely on [::]:443").has_started());
}

#[test]
fn checks_of_its_own_health_name_what_failed() {
    for (line, probe) in [
        (
            r#"I0101 10:00:00.000000 1 server.go:192] "Failed probe" probe="metric-storage-ready" err="no metrics to serve""#,
            Probe::StorageReady,
        ),
        (
            r#"I0101 10:00:00.000000 1 server.go:188] "Failed probe" probe="metric-storage-ready" err="not metrics to serve""#,
            Probe::StorageReady,
        ),
        (
            r#"I0101 10:00:00.000000 1 server.go:180] "Failed probe" probe="metric-collection-timely" err="metric collection didn't finish on time" duration="1m" maxDuration="22s""#,
            Probe::CollectionTimely,
        ),
        (
            r#"{"ts":1767225600000.1,"msg":"Failed probe","v":0,"probe":"metric-informer-sync","err":"cache for node informer has not synced"}"#,
            Probe::InformerSync,
        ),
        ("I1 healthz.go:257] readyz check failed: metric-storage-ready", Probe::StorageReady),
        ("[-]metric-storage-ready failed: reason withheld", Probe::StorageReady),
        (
            "healthz check failed: there was an error collecting or saving metrics in the last collection tick",
            Probe::StorageReady,
        ),
        (r#"I1 server.go:1] "Failed probe" probe="brand-new""#, Probe::Other),
    ] {
        assert_eq!(kind_of(line), LineKind::ProbeFailed(probe), "{line}");
    }
    assert_eq!(kind_of("[+]metric-storage-ready ok"), LineKind::Other);
}

#[test]
fn rounds_without_nodes_or_pods_are_told() {
    let missing = |nodes_missing, pods_missing| LineKind::StorageNotReady { nodes_missing, pods_missing };
    for (line, kind) in [
        (
            r#"I1 storage.go:106] "Metric storage is not ready, pod metrics are missing, this may indicate a container-runtime or kubelet issue" nodeMetrics=true podMetrics=false"#,
            missing(false, true),
        ),
        (
            r#"I1 storage.go:108] "Metric storage is not ready, node metrics are missing, this may indicate a kubelet issue" nodeMetrics=false podMetrics=true"#,
            missing(true, false),
        ),
        (r#"I1 storage.go:110] "Metric storage is not ready" nodeMetrics=false podMetrics=false"#, missing(true, true)),
        (
            r#"I1 scraper.go:182] "Scrape finished" duration="12.345ms" nodeCount=0 podCount=0"#,
            LineKind::ScrapeFinished { nodes: 0, pods: 0 },
        ),
        (
            r#"{"ts":1767225600000.1,"msg":"Scrape finished","v":1,"duration":"1s","nodeCount":3,"podCount":40}"#,
            LineKind::ScrapeFinished { nodes: 3, pods: 40 },
        ),
        (
            "I1101 06:08:08.455816       1 manager.go:150] ScrapeMetrics: time: 10.0274536s, nodes: 0, pods: 0",
            LineKind::ScrapeFinished { nodes: 0, pods: 0 },
        ),
        (r#"I1 storage.go:104] "Metric storage is ready" nodeMetrics=true podMetrics=true"#, LineKind::Other),
        (
            r#"I1 scraper.go:121] "Scraping metrics from nodes" nodes=["a"] nodeCount=0 nodeSelector="""#,
            LineKind::Other,
        ),
    ] {
        assert_eq!(kind_of(line), kind, "{line}");
    }
}

#[test]
fn samples_that_are_withheld_name_their_pod() {
    for (line, skipped) in [
        (
            r#"I0628 10:12:48.675595       1 decode.go:105] "Skipped container CPU metric" containerName="ovs-cni-plugin" pod="cluster-network-addons/ovs-cni-amd64-5b266" err="Got UsageCoreNanoSeconds equal zero""#,
            pod("cluster-network-addons", "ovs-cni-amd64-5b266", Some("ovs-cni-plugin")),
        ),
        (
            r#"{"ts":1767225600000.1,"msg":"Skipped container memory metric","v":1,"containerName":"c","pod":{"name":"p","namespace":"ns"},"err":"Got WorkingSetBytes equal zero"}"#,
            pod("ns", "p", Some("c")),
        ),
        (
            r#"I1 decode.go:90] Skip CPU metric for container "c" in pod ns/p, error: Got UsageCoreNanoSeconds equal zero"#,
            pod("ns", "p", Some("c")),
        ),
        (r#"I1 decode.go:104] "Failed getting complete Pod metric" pod="ns/p""#, pod("ns", "p", None)),
        (
            r#"I1 decode.go:196] "Failed getting complete container metric" containerName="c" containerMetric={"StartTime":"0001-01-01T00:00:00Z"}"#,
            Skipped::Container("c".to_owned()),
        ),
        (
            r#"I1 decode.go:90] "Failed getting complete node metric" node="node-1" metric={"StartTime":"0001-01-01T00:00:00Z"}"#,
            Skipped::Node("node-1".to_owned()),
        ),
    ] {
        assert_eq!(kind_of(line), LineKind::Skipped(vec![skipped]), "{line}");
    }
    let reset = r#"E1 pod.go:74] "Skipping container usage metric" err="unexpected decrease in cumulative CPU usage value" container="c" pod="ns/p""#;
    assert_eq!(kind_of(reset), LineKind::CounterReset(vec![pod("ns", "p", Some("c"))]));
    assert_eq!(LogLine::of(reset).skipped(), [], "once");
    let node = r#"E1 node.go:54] "Skipping node usage metric" err="unexpected decrease in startTime of node" node="n""#;
    assert_eq!(kind_of(node), LineKind::CounterReset(vec![Skipped::Node("n".to_owned())]));
}

proptest::proptest! {
    #[test]
    fn no_line_panics(line in ".*") {
        let read = LogLine::of(&line);
        let _ = (read.class(), read.at(jiff::Timestamp::UNIX_EPOCH));
    }

    #[test]
    fn no_line_of_known_words_panics(words in proptest::collection::vec(proptest::sample::select(vec![
        "unable to fully scrape metrics from source kubelet_summary:", "from Kubelet ", "a (b): ", "discarding data",
        "for container \"", "\" in pod ", "x/y", "Serving securely on ", ":", "\\\"", "node=\"", "ü", "nodeCount=",
        "\"Skipped container CPU metric\"", "connection refused", "/stats/summary", " pod=\"", ",", "\"node\":{\"name\":\"",
    ]), 0..12)) {
        let _ = LogLine::of(&words.concat()).class();
    }
}
