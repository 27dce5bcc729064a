//! What others say of the metrics API: any line of any log or text that names it, whoever wrote it.

use super::{
    aggregator::Complaint,
    api_error::{ApiError, ErrorClass},
    failure::MessageClass,
    table::{Table, between, unescaped},
    written::Written,
};

/// What a line says of the metrics API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// The aggregator did not get through to the server behind the API: `v1beta1.metrics.k8s.io failed with: …` in the log of
    /// kube-apiserver.
    Aggregator(Complaint),
    /// A call failed.
    Failed(ApiError),
    /// A row of `kubectl get apiservices`.
    Registered {
        /// `NAMESPACE/NAME`.
        service: String,
        /// Whether it is available.
        available: bool,
        /// The reason where it is not.
        reason: String,
    },
}

/// One line that names the metrics API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// What it says.
    pub said: Said,
    /// When it was written, where it tells.
    pub written: Option<Written>,
}

impl Mention {
    /// Reads a line; `None` where it does not speak of the metrics API, or of nothing that fails.
    pub fn of(line: &str) -> Option<Self> {
        if !names_metrics_api(line) {
            return None;
        }
        Some(Self { said: Said::of(unescaped(line).as_ref())?, written: Written::of(line) })
    }

    /// The class of what failed; `None` for the row of a table.
    pub fn class(&self) -> Option<ErrorClass> {
        match &self.said {
            Said::Failed(error) => Some(error.class),
            Said::Aggregator(complaint) => Some(match complaint.class() {
                MessageClass::Timeout => ErrorClass::Timeout,
                MessageClass::ConnectionRefused => ErrorClass::ConnectionRefused,
                MessageClass::Tls | MessageClass::PlainHttp => ErrorClass::Tls,
                MessageClass::BadStatus401 => ErrorClass::Unauthorized,
                MessageClass::BadStatus403 => ErrorClass::Forbidden,
                MessageClass::BadStatus404 => ErrorClass::NotFound,
                _ => ErrorClass::ServiceUnavailable,
            }),
            Said::Registered { .. } => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Ours,
    Others,
}

/// Whether a line names `metrics.k8s.io`, or what kubectl says in its place. `custom.metrics.k8s.io` and
/// `external.metrics.k8s.io` are other APIs.
fn names_metrics_api(line: &str) -> bool {
    static NAMES: Table<Name> = Table::new(&[
        ("custom.metrics.k8s.io", Name::Others),
        ("external.metrics.k8s.io", Name::Others),
        ("metrics.k8s.io", Name::Ours),
        ("Metrics API not available", Name::Ours),
        ("metrics not available yet", Name::Ours),
        ("Metrics not available for pod ", Name::Ours),
        ("get services http:heapster:", Name::Ours),
    ]);
    let mut difference = 0_i64;
    for (_, name, _) in NAMES.all(line) {
        // The names of the others end like ours.
        difference += if name == Name::Ours { 1 } else { -1 };
    }
    difference > 0
}

impl Said {
    fn of(line: &str) -> Option<Self> {
        if let Some(row) = row(line) {
            return Some(row);
        }
        if let Some(message) = aggregator_message(line) {
            return Some(Self::Aggregator(Complaint::of("FailedDiscoveryCheck", message)));
        }
        // kube-apiserver fetches the OpenAPI of the server behind the API: `http error: ResponseCode: 503, Body: …`.
        if let Some((_, behind)) = line.split_once("ResponseCode: ") {
            let (code, behind) = behind.split_once([',', ' '])?;
            let body = behind.split_once("Body: ").map_or("", |(_, body)| body);
            let body = body.split_once(", Header:").map_or(body, |(body, _)| body);
            return Some(Self::Failed(ApiError::of_response(code.parse().ok()?, body.trim())));
        }
        let error = ApiError::of_text(line)?;
        // Answers of a log of requests are told by their codes, and a right that is there by its name.
        (error.class != ErrorClass::Other).then_some(Self::Failed(error))
    }
}

/// What stands behind `v1beta1.metrics.k8s.io failed with: `, or is the aggregator's own sentence.
fn aggregator_message(line: &str) -> Option<&str> {
    for mark in ["failing or missing response from ", "no response from https://"] {
        if let Some(start) = line.find(mark) {
            return Some(&line[start..]);
        }
    }
    let (head, message) = line.split_once("metrics.k8s.io failed with: ")?;
    // Two API servers write the same status: no fault.
    let conflict = message.contains("Operation cannot be fulfilled") || message.contains("OpenAPI spec does not exist");
    (!conflict && !head.contains("OpenAPI")).then_some(message)
}

/// `v1beta1.metrics.k8s.io   kube-system/metrics-server   False (FailedDiscoveryCheck)   33m`
fn row(line: &str) -> Option<Said> {
    let mut words = line.split_whitespace();
    let name = words.next()?;
    if !name.ends_with(".metrics.k8s.io") {
        return None;
    }
    let service = words.next().filter(|word| *word == "Local" || word.split('/').count() == 2)?;
    let available = match words.next()? {
        "True" => true,
        "False" | "Unknown" => false,
        _ => return None,
    };
    let reason = if available { "" } else { between(line, "(", ")").unwrap_or("") };
    Some(Said::Registered { service: service.to_owned(), available, reason: reason.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wording::api_error::{Detail, Identity};

    fn class(line: &str) -> Option<ErrorClass> {
        Mention::of(line).and_then(|mention| mention.class())
    }

    #[test]
    fn whoever_speaks_of_the_metrics_api_is_classed() {
        for (line, expected) in [
            (
                "E0905 14:48:05.380329       1 available_controller.go:524] v1beta1.metrics.k8s.io failed with: failing or missing response from https://10.0.1.197:8443/apis/metrics.k8s.io/v1beta1: bad status from https://10.0.1.197:8443/apis/metrics.k8s.io/v1beta1: 403",
                ErrorClass::Forbidden,
            ),
            (
                "E0123 06:25:22.347592       1 available_controller.go:316] v1beta1.metrics.k8s.io failed with: Get https://10.97.40.73:443: dial tcp 10.97.40.73:443: connect: connection refused",
                ErrorClass::ConnectionRefused,
            ),
            (
                r#"E0223 18:12:08.012410       1 remote_available_controller.go:448] "Unhandled Error" err="v1beta1.metrics.k8s.io failed with: failing or missing response from https://10.42.1.3:10250/apis/metrics.k8s.io/v1beta1: Get \"https://10.42.1.3:10250/apis/metrics.k8s.io/v1beta1\": context deadline exceeded" logger="UnhandledError""#,
                ErrorClass::Timeout,
            ),
            (
                r#"E0112 12:31:10.497393       1 controller.go:116] loading OpenAPI spec for "v1beta1.metrics.k8s.io" failed with: failed to retrieve openAPI spec, http error: ResponseCode: 503, Body: service unavailable"#,
                ErrorClass::ServiceUnavailable,
            ),
            (
                r#"E0223 18:12:08.012410       1 controller.go:146] Error updating APIService "v1beta1.metrics.k8s.io" with err: failed to download v1beta1.metrics.k8s.io: failed to retrieve openAPI spec, http error: ResponseCode: 503, Body: service unavailable"#,
                ErrorClass::ServiceUnavailable,
            ),
            (
                r#"{'kind': 'Status', 'message': 'nodes.metrics.k8s.io is forbidden: User "system:serviceaccount:default:metrics-server-exporter" cannot list resource "nodes" in API group "metrics.k8s.io" at the cluster scope', 'reason': 'Forbidden'}"#,
                ErrorClass::Forbidden,
            ),
            (
                "error: unable to retrieve the complete list of server APIs: metrics.k8s.io/v1beta1: the server is currently unable to handle the request",
                ErrorClass::ServiceUnavailable,
            ),
            (
                "E1 horizontal.go:226] failed to compute desired number of replicas: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)",
                ErrorClass::NotFound,
            ),
            ("error: Metrics API not available", ErrorClass::ServiceUnavailable),
        ] {
            assert_eq!(class(line), Some(expected), "{line}");
        }
        let refused = Mention::of(
            r#"nodes.metrics.k8s.io is forbidden: User "system:serviceaccount:a:b" cannot list resource "nodes" in API group "metrics.k8s.io" at the cluster scope"#,
        );
        let Some(Said::Failed(ApiError { detail: Detail::Forbidden(forbidden), .. })) = refused.map(|told| told.said)
        else {
            panic!("a refusal")
        };
        assert_eq!(forbidden.user, Identity::ServiceAccount { namespace: "a".to_owned(), name: "b".to_owned() });
        let version = Mention::of(
            r#"E0427 01:08:34.346036       1 controller.go:116] loading OpenAPI spec for "v1beta1.metrics.k8s.io" failed with: failed to retrieve openAPI spec, http error: ResponseCode: 500, Body: Internal Server Error: "/openapi/v2": the server could not find the requested resource, Header: map[Content-Length:[86]]"#,
        );
        let Some(Said::Failed(error)) = version.map(|told| told.said) else { panic!("an error") };
        assert_eq!((error.class, error.detail), (ErrorClass::InternalError, Detail::ResourceGone));
    }

    #[test]
    fn what_names_other_apis_or_tells_of_no_failure_is_no_mention() {
        for line in [
            "",
            "I0427 01:08:34.346050       1 controller.go:129] OpenAPI AggregationController: action for item v1beta1.metrics.k8s.io: Rate Limited Requeue.",
            "I0828 09:00:07.273384        1 handler.go:275] Adding GroupVersion metrics.k8s.io v1beta1 to ResourceManager",
            "E0330 10:52:01.277714       1 controller.go:114] loading OpenAPI spec for \"v1beta1.metrics.k8s.io\" failed with: OpenAPI spec does not exist",
            "E1121 22:21:05.328952       1 available_controller.go:225] v1beta1.metrics.k8s.io failed with: Operation cannot be fulfilled on apiservices.apiregistration.k8s.io \"v1beta1.metrics.k8s.io\": the object has been modified; please apply your changes to the latest version and try again",
            "pods.custom.metrics.k8s.io \"*\" is forbidden: User \"kubernetes\" cannot get pods.custom.metrics.k8s.io/x in the namespace \"default\"",
            "s0-prometheus.external.metrics.k8s.io is forbidden: User \"x\" cannot list resource",
            "dial tcp 10.0.0.1:443: connect: connection refused",
            "I0521 14:33:24.989676   28191 round_trippers.go:420] GET https://172.16.45.74:6443/apis/metrics.k8s.io/v1beta1?timeout=32s",
        ] {
            assert_eq!(Mention::of(line), None, "{line}");
        }
    }

    #[test]
    fn rows_of_a_table_tell_who_is_registered() {
        let registered = |line: &str| match Mention::of(line)?.said {
            Said::Registered { service, available, reason } => Some((service, available, reason)),
            _ => None,
        };
        assert_eq!(
            registered(
                "v1beta1.metrics.k8s.io                 kube-system/metrics-server   False (FailedDiscoveryCheck)   33m"
            ),
            Some(("kube-system/metrics-server".to_owned(), false, "FailedDiscoveryCheck".to_owned()))
        );
        assert_eq!(
            registered("v1beta1.metrics.k8s.io   monitoring/prometheus-adapter   True   9d"),
            Some(("monitoring/prometheus-adapter".to_owned(), true, String::new()))
        );
        assert_eq!(registered("v1beta1.custom.metrics.k8s.io   monitoring/prometheus-adapter   True   9d"), None);
        assert_eq!(registered("v1beta1.metrics.k8s.io is not there"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_line_panics(line in ".*") {
            let _ = Mention::of(&format!("metrics.k8s.io {line}"));
            let _ = Mention::of(&line);
        }
    }
}
