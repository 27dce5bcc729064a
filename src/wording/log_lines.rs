//! What lines of metrics-server's log and termination messages say, in the wording of every version.
//!
//! Severity decides nothing (`"Failed probe"` is an I line) and line numbers change with each version, so only message
//! texts are matched (kubernetes-sigs/metrics-server 0.3.0 to 0.9.0: `cmd/metrics-server/app`, `pkg/scraper`, `pkg/server`).

use std::borrow::Cow;

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use crate::catalogue::Cause;

/// Classes beside the causes of the catalogue that a line may tell of.
pub const OTHER_CLASSES: [&str; 4] = ["scrape_failed", "probe_failed", "no_metrics_known", "other"];

/// The class of a line, for counting: the id of the cause that it tells of, or one of [`OTHER_CLASSES`]. Severity decides
/// nothing: `"Failed probe"` is written at level I, and errors about young pods are benign.
pub fn class(line: &str) -> &'static str {
    if let Some(cause) = scrape_failure(line).or_else(|| startup_failure(line)) {
        return cause.id();
    }
    if is_scrape_failure(line) {
        "scrape_failed"
    } else if line.contains("Failed probe") {
        "probe_failed"
    } else if line.contains("no metrics known for") || line.contains("No metrics known for") {
        "no_metrics_known"
    } else {
        "other"
    }
}

/// A line that ends a start or explains why requests are refused.
pub fn startup_failure(line: &str) -> Option<Cause> {
    const PATTERNS: [(&str, Cause); 23] = [
        ("exec format error", Cause::ImageArchitecture),
        ("unknown flag:", Cause::UnknownFlag),
        ("unknown shorthand flag", Cause::UnknownFlag),
        ("flag provided but not defined", Cause::UnknownFlag),
        ("executable file not found in $PATH", Cause::CommandNotFound),
        ("no such file or directory: unknown", Cause::CommandNotFound),
        ("no such file or directory\": unknown", Cause::CommandNotFound),
        ("metric-resolution should be", Cause::FlagValueRefused),
        ("kubelet-request-timeout should be", Cause::FlagValueRefused),
        ("cannot use both --kubelet-certificate-authority", Cause::FlagValueRefused),
        ("need both --kubelet-client-key", Cause::FlagValueRefused),
        ("invalid argument \"", Cause::FlagValueRefused),
        ("bind: address already in use", Cause::PortConflict),
        ("bind: permission denied", Cause::PrivilegedPort),
        ("error creating self-signed certificates", Cause::CertificateDirectoryUnwritable),
        ("configmaps \"extension-apiserver-authentication\" is forbidden", Cause::AuthReaderMissing),
        ("Unable to get configmap/extension-apiserver-authentication", Cause::AuthReaderMissing),
        ("cannot create resource \"subjectaccessreviews\"", Cause::AuthDelegatorMissing),
        ("cannot create resource \"tokenreviews\"", Cause::AuthDelegatorMissing),
        ("nodes is forbidden: User \"system:serviceaccount:", Cause::ListPermissionMissing),
        ("pods is forbidden: User \"system:serviceaccount:", Cause::ListPermissionMissing),
        ("is not in the allowed list:", Cause::FrontProxyUntrusted),
        ("Cluster doesn't provide requestheader-client-ca-file", Cause::FrontProxyUntrusted),
    ];
    let lower = line.to_ascii_lowercase();
    let known = PATTERNS.iter().find(|(pattern, _)| lower.contains(&pattern.to_ascii_lowercase()));
    known.map(|&(_, cause)| cause).or_else(|| api_server_failure(line))
}

/// A call to the API server's own address (port 443 or 6443, or the name of its Service, and an API path) that did not
/// get through, or was refused.
fn api_server_failure(line: &str) -> Option<Cause> {
    const ADDRESSES: [&str; 7] = [
        ":443/api",
        ":6443/api",
        ":443/version",
        ":6443/version",
        "//kubernetes.default/api",
        "//kubernetes.default.svc/api",
        "//kubernetes.default.svc.cluster.local/api",
    ];
    const FAILURES: [&str; 8] = [
        "i/o timeout",
        "connection refused",
        "no route to host",
        "network is unreachable",
        "context deadline exceeded",
        "TLS handshake timeout",
        "no such host",
        "request canceled",
    ];
    let to_api = ADDRESSES.iter().any(|part| line.contains(part));
    if to_api && FAILURES.iter().any(|part| line.contains(part)) {
        return Some(Cause::ApiServerUnreachable);
    }
    // Of a token that is refused client-go tells the word alone.
    let listing = ["ailed to list *v1.", "unable to load configmap based"].iter().any(|part| line.contains(part));
    let refused = line.trim_end().ends_with("Unauthorized");
    (to_api && line.contains("x509: ") || listing && refused).then_some(Cause::ApiServerUntrusted)
}

/// Whether the line says that metrics-server has begun to serve: what ends a start did not end this one.
pub fn has_started(line: &str) -> bool {
    line.contains("Serving securely on ")
}

/// Whether the line tells of a scrape of a kubelet that failed.
pub fn is_scrape_failure(line: &str) -> bool {
    const MARKS: [&str; 5] = [
        "Failed to scrape node",
        "unable to fully scrape metrics",
        "unable to fully collect metrics",
        "unable to fetch metrics from Kubelet",
        "unable to fetch metrics from node",
    ];
    // Of a node that is not Ready metrics-server 0.9 says so itself; that is the node's fault.
    MARKS.iter().any(|mark| line.contains(mark)) && !line.contains("node is not ready")
}

/// The cause that a failed scrape names.
pub fn scrape_failure(line: &str) -> Option<Cause> {
    if !is_scrape_failure(line) {
        return None;
    }
    const PATTERNS: [(&str, Cause); 29] = [
        // A name server that does not answer is no kubelet that does not answer.
        ("dial tcp: lookup ", Cause::NodeNameUnresolvable),
        ("doesn't contain any IP SANs", Cause::KubeletCertificateNames),
        ("x509: certificate is valid for", Cause::KubeletCertificateNames),
        ("certificate is not valid for any names", Cause::KubeletCertificateNames),
        ("relies on legacy Common Name", Cause::KubeletCertificateNames),
        ("x509: certificate signed by unknown authority", Cause::KubeletCertificateAuthority),
        ("x509: certificate has expired", Cause::KubeletCertificateExpired),
        ("x509: certificate is not trusted", Cause::KubeletCertificateAuthority),
        ("remote error: tls: internal error", Cause::KubeletCertificateMissing),
        ("401 Unauthorized", Cause::KubeletUnauthorized),
        ("403 Forbidden", Cause::KubeletForbidden),
        ("404 Not Found", Cause::KubeletNotFound),
        ("no such host", Cause::NodeNameUnresolvable),
        ("server misbehaving", Cause::NodeNameUnresolvable),
        ("no address matched types", Cause::NodeNameUnresolvable),
        ("no addresses that matched types", Cause::NodeNameUnresolvable),
        ("connection refused", Cause::KubeletRefused),
        ("no route to host", Cause::KubeletUnreachable),
        ("network is unreachable", Cause::KubeletUnreachable),
        ("failed to initialize Prometheus parser", Cause::KubeletOutputUnparsable),
        ("failed parsing metrics", Cause::KubeletOutputUnparsable),
        ("unable to decode", Cause::KubeletOutputUnparsable),
        ("i/o timeout", Cause::KubeletTimeout),
        ("context deadline exceeded", Cause::KubeletTimeout),
        ("Client.Timeout exceeded", Cause::KubeletTimeout),
        ("timeout to access kubelet", Cause::KubeletTimeout),
        ("TLS handshake timeout", Cause::KubeletTimeout),
        ("request canceled", Cause::KubeletTimeout),
        ("connection timed out", Cause::KubeletTimeout),
    ];
    PATTERNS.iter().find(|(pattern, _)| line.contains(pattern)).map(|&(_, cause)| cause)
}

/// The failed scrapes of a line: 0.3 and 0.4 write those of one round into a single line, each with a cause of its own.
pub fn scrape_failures(line: &str) -> Vec<(Cause, Vec<&str>)> {
    let starts: Vec<usize> =
        ["unable to fully scrape metrics from source ", "unable to fully scrape metrics from node "]
            .iter()
            .find_map(|mark| {
                let found: Vec<usize> = line.match_indices(mark).map(|(start, _)| start).collect();
                (found.len() > 1).then_some(found)
            })
            .unwrap_or_default();
    if starts.is_empty() {
        return scrape_failure(line).map(|cause| (cause, scrape_nodes(line))).into_iter().collect();
    }
    let ends = starts.iter().skip(1).copied().chain([line.len()]);
    let parts = starts.iter().zip(ends).map(|(&start, end)| &line[start..end]);
    parts.filter_map(|part| scrape_failure(part).map(|cause| (cause, scrape_nodes(part)))).collect()
}

/// The nodes that a failed scrape names, of every wording: `node="N"`, `{"name":"N"}`, `kubelet_summary:N`, `from node N:`.
pub fn scrape_nodes(line: &str) -> Vec<&str> {
    let mut nodes = Vec::new();
    for (mark, ends) in [
        ("node=\"", &['"'][..]),
        ("\"node\":{\"name\":\"", &['"']),
        ("\"node\":\"", &['"']),
        ("kubelet_summary:", &[':', ' ']),
        ("scrape metrics from node ", &[':', ' ']),
    ] {
        let mut rest = line;
        while let Some((_, behind)) = rest.split_once(mark) {
            let end = behind.find(ends).unwrap_or(behind.len());
            if end > 0 && !nodes.contains(&&behind[..end]) {
                nodes.push(&behind[..end]);
            }
            rest = &behind[end..];
        }
    }
    nodes
}

/// The port in the line `Serving securely on [::]:PORT`, the same in every version.
pub fn serving_port(line: &str) -> Option<u16> {
    let (_, address) = line.split_once("Serving securely on ")?;
    let address = address.split(['"', ' ']).next()?;
    address.rsplit(':').next()?.parse().ok()
}

/// When a line was written: the RFC 3339 stamp of `kubectl logs --timestamps`, `ts` of the JSON format (milliseconds of
/// the epoch), or the klog header, which has no year: the last such moment that is not after `now`.
pub fn written_at(line: &str, now: Timestamp) -> Option<Timestamp> {
    if let Some(stamp) = line.split(' ').next().and_then(|word| word.parse::<Timestamp>().ok()) {
        return Some(stamp);
    }
    if let Some((_, number)) = line.split_once("\"ts\":") {
        let number: String = number.chars().take_while(char::is_ascii_digit).collect();
        return Timestamp::from_millisecond(number.parse().ok()?).ok();
    }
    let header = line.as_bytes();
    if header.len() < 15 || !b"IWEF".contains(&header[0]) || !line.is_char_boundary(14) {
        return None;
    }
    let month: i8 = line.get(1..3)?.parse().ok()?;
    let day: i8 = line.get(3..5)?.parse().ok()?;
    let mut clock = line.get(6..14)?.split(':').map(|part| part.parse::<i8>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let this_year = now.to_zoned(TimeZone::UTC).year();
    [this_year, this_year - 1].into_iter().find_map(|year| {
        let moment = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
        let moment = moment.to_zoned(TimeZone::UTC).ok()?.timestamp();
        // A container's clock may run in another zone or a little ahead.
        (moment <= now + jiff::SignedDuration::from_hours(14)).then_some(moment)
    })
}

/// A line short enough to quote as evidence.
pub fn quoted(line: &str) -> Cow<'_, str> {
    const LONGEST: usize = 400;
    if line.len() <= LONGEST {
        return Cow::Borrowed(line);
    }
    let mut end = LONGEST;
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    Cow::Owned(format!("{}…", &line[..end]))
}

#[cfg(test)]
mod tests {
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
                "E0101 1 reststorage.go:160] unable to fetch pod metrics for pod a/b: no metrics known for pod",
                "no_metrics_known",
            ),
            ("I0101 1 secure_serving.go:213] Serving securely on [::]:10250", "other"),
            ("panic: listen tcp 0.0.0.0:10250: bind: address already in use", "port_conflict"),
        ] {
            assert_eq!(super::class(line), expected, "{line}");
        }
    }

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scrape_failures_of_every_version_are_told_apart() {
        for (line, cause) in [
            (
                r"E0610 23:13:28.247604       1 manager.go:111] unable to fully collect metrics: [unable to fully scrape metrics from source kubelet_summary:node-1: unable to fetch metrics from Kubelet node-1 (node-1): Get https://node-1:10250/stats/summary/: dial tcp: lookup node-1 on 172.20.0.10:53: no such host]",
                Some(Cause::NodeNameUnresolvable),
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
                r#"{"ts":1767225600000.1,"caller":"scraper/scraper.go:149","msg":"Failed to scrape node","node":{"name":"node-1"},"err":"request failed, status: \"401 Unauthorized\""}"#,
                Some(Cause::KubeletUnauthorized),
            ),
            (
                r#"I0101 10:00:00.000000       1 server.go:191] "Failed probe" probe="metric-storage-ready" err="no metrics to serve""#,
                None,
            ),
            (
                r#"E0101 10:00:00.000000       1 authentication.go:63] "Unable to authenticate the request" err="x509: certificate signed by unknown authority""#,
                None,
            ),
        ] {
            assert_eq!(scrape_failure(line), cause, "{line}");
            if cause.is_some() {
                assert_eq!(scrape_nodes(line), ["node-1"], "{line}");
            }
        }
    }

    #[test]
    fn a_line_of_a_whole_round_is_told_node_by_node() {
        let line = "E1 manager.go:111] unable to fully collect metrics: [unable to fully scrape metrics from source kubelet_summary:a: unable to fetch metrics from Kubelet a (a): Get https://a:10250/stats/summary/: dial tcp: lookup a on 10.96.0.10:53: no such host, unable to fully scrape metrics from source kubelet_summary:b: unable to fetch metrics from Kubelet b (10.0.0.2): Get https://10.0.0.2:10250/stats/summary/: x509: certificate signed by unknown authority]";
        assert_eq!(
            scrape_failures(line),
            [(Cause::NodeNameUnresolvable, vec!["a"]), (Cause::KubeletCertificateAuthority, vec!["b"])]
        );
        let one = r#"E1 scraper.go:140] "Failed to scrape node" err="Get \"https://n:10250/metrics/resource\": dial tcp: lookup n on 10.96.0.10:53: read udp 10.1.0.4:39211->10.96.0.10:53: i/o timeout" node="n""#;
        assert_eq!(scrape_failures(one), [(Cause::NodeNameUnresolvable, vec!["n"])]);
        let slow = r#"E1 scraper.go:140] "Failed to scrape node" err="Get \"https://10.0.0.2:10250/metrics/resource\": dial tcp 10.0.0.2:10250: i/o timeout" node="n""#;
        assert_eq!(scrape_failures(slow), [(Cause::KubeletTimeout, vec!["n"])]);
        assert_eq!(scrape_failures("I1 server.go:191] \"Failed probe\""), []);
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
            (
                r#"panic: Get "https://10.96.0.1:443/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication": dial tcp 10.96.0.1:443: i/o timeout"#,
                Some(Cause::ApiServerUnreachable),
            ),
            (
                "E1 reflector.go:138] Failed to watch *v1.Node: failed to list *v1.Node: Unauthorized",
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
            ("I1 secure_serving.go:116] Serving securely on [::]:4443", None),
        ] {
            assert_eq!(startup_failure(line), cause, "{line}");
        }
        assert_eq!(serving_port("I1 secure_serving.go:116] Serving securely on [::]:4443"), Some(4443));
        assert_eq!(serving_port(r#"{"msg":"Serving securely on 0.0.0.0:10250","v":0}"#), Some(10250));
    }

    #[test]
    fn moments_are_read_of_every_format() {
        let now: Timestamp = "2026-01-01T00:10:00Z".parse().expect("a timestamp");
        for (line, moment) in [
            ("2026-01-01T00:00:00.5Z I0101 text", Some("2026-01-01T00:00:00.5Z")),
            ("E1231 23:59:00.247604       1 x.go:1] text", Some("2025-12-31T23:59:00Z")),
            (r#"{"ts":1767225600000.1,"msg":"x"}"#, Some("2026-01-01T00:00:00Z")),
            ("panic: x", None),
        ] {
            assert_eq!(written_at(line, now), moment.map(|moment| moment.parse().expect("a timestamp")), "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_line_panics(line in ".*") {
            let now: Timestamp = "2026-01-01T00:10:00Z".parse().expect("a timestamp");
            let _ = (startup_failure(&line), scrape_failures(&line), scrape_nodes(&line), serving_port(&line), written_at(&line, now), quoted(&line));
        }
    }
}
