//! `insecureSkipTLSVerify` and `caBundle`.
//!
//! Up to Kubernetes 1.35 the aggregator's check does not verify the certificate while the calls themselves do; from 1.36
//! on a bundle that does not fit makes the condition False (kubernetes/kube-aggregator, `remote_available_controller.go`).

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use x509_parser::pem::Pem;

use crate::{
    catalogue::Cause,
    check::Finding,
    facts::Facts as Context,
    snapshot::{
        ApiService, ConditionStatus, Named, NotSeen,
        retrieval::{self, ErrorClass},
    },
    steps::bridge::Outcome,
    wording::aggregator::MessageClass,
};

/// The ends of validity of the certificates in a bundle, in seconds of the epoch.
fn expiries(bundle: &str) -> Option<Vec<i64>> {
    let bytes = BASE64_STANDARD.decode(bundle.split_whitespace().collect::<String>()).ok()?;
    let mut expiries = Vec::new();
    for pem in Pem::iter_from_buffer(&bytes) {
        let pem = pem.ok()?;
        let certificate = pem.parse_x509().ok()?;
        expiries.push(certificate.validity().not_after.timestamp());
    }
    Some(expiries)
}

/// When the first certificate of an `APIService`'s bundle expires; `None` without a bundle that can be read.
pub fn earliest_expiry(api_service: &ApiService) -> Option<Timestamp> {
    let expiries = expiries(api_service.spec.ca_bundle.as_deref()?)?;
    Timestamp::from_second(*expiries.iter().min()?).ok()
}

/// The bundle fits.
pub(super) fn evaluate(context: &Context<'_>) -> Result<Outcome, NotSeen> {
    let chain = &context.chain;
    let Some(api_service) = chain.api_service.clone().known()? else {
        return Ok(Outcome::skipped("There is no APIService."));
    };
    if api_service.spec.insecure_skip_tls_verify == Some(true) {
        return Ok(Outcome::pass("The serving certificate is not verified (insecureSkipTLSVerify: true)."));
    }
    let message = symptom(context);
    let unknown_authority = message.as_deref().is_some_and(|message| message.contains("unknown authority"));
    let expired_certificate =
        message.as_deref().is_some_and(|message| message.contains("has expired or is not yet valid"));
    let told = |cause: Cause, what: &str| {
        let finding =
            Finding::outage(cause, chain.api_service_object(), format!("APIService {}: {what}.", api_service.name()));
        message.iter().fold(finding, |finding, message| finding.evidence(message.clone()))
    };
    let bundle = api_service.spec.ca_bundle.as_deref().unwrap_or("");
    let silent = unanswered(context);
    if bundle.is_empty() {
        // Names are compared first, and metrics-server's own certificate has none that fits; no system root signs .svc.
        let other_name = message.as_deref().is_some_and(|message| message.contains("certificate is valid for"));
        if unknown_authority || other_name || silent.is_some() {
            let finding = told(Cause::CaBundleMissing, "the certificate is to be verified, and there is no caBundle")
                .evidence("spec.insecureSkipTLSVerify is not true, spec.caBundle is empty");
            return Ok(Outcome::fail(silent.iter().fold(finding, |finding, told| finding.evidence(told.clone()))));
        }
        return Ok(Outcome::pass("No caBundle: the serving certificate must be signed by a system root."));
    }
    let Some(expiries) = expiries(bundle).filter(|expiries| !expiries.is_empty()) else {
        return Ok(match message {
            Some(_) => {
                Outcome::fail(told(Cause::CaBundleMismatch, "the caBundle holds no certificate that can be read"))
            }
            None => Outcome::pass("The caBundle cannot be read, and nothing fails because of it."),
        });
    };
    let now = context.snapshot.observed_at.as_second();
    let latest = expiries.iter().max().copied().unwrap_or(now);
    let until = jiff::Timestamp::from_second(latest).map_or_else(|_| latest.to_string(), |until| until.to_string());
    if latest < now
        && (message.is_some()
            || silent.is_some()
            || chain.unavailable().is_some_and(|condition| MessageClass::of(&condition.message) == MessageClass::Tls))
    {
        let finding = told(Cause::CaBundleExpired, "every certificate in the caBundle has expired")
            .evidence(format!("spec.caBundle: {} certificates, the last valid until {until}", expiries.len()));
        return Ok(Outcome::fail(finding));
    }
    if unknown_authority {
        let finding = told(Cause::CaBundleMismatch, "the caBundle did not sign the serving certificate")
            .evidence(format!("spec.caBundle: {} certificates, the last valid until {until}", expiries.len()));
        return Ok(Outcome::fail(finding));
    }
    let outcome =
        Outcome::pass("Nothing fails because of the caBundle.").evidence(format!("spec.caBundle valid until {until}"));
    Ok(if expired_certificate { outcome.evidence("the serving certificate has expired") } else { outcome })
}

/// A call of the metrics API that got no answer though the `APIService` is available: up to Kubernetes 1.35 the
/// aggregator verifies the certificate in calls alone, and clients do not see its error.
fn unanswered(context: &Context<'_>) -> Option<String> {
    const TEXT: &str = "the server is currently unable to handle the request (get pods.metrics.k8s.io)";
    let verified =
        context.snapshot.server_version.seen().is_some_and(|version| (version.major, version.minor) >= (1, 36));
    if !context.chain.is_available() || verified {
        return None;
    }
    let snapshot = context.snapshot;
    let called =
        [&snapshot.top_nodes, &snapshot.top_pods].into_iter().find_map(|retrieval| match &retrieval.seen()?.outcome {
            retrieval::Outcome::Failed { class: ErrorClass::ServiceUnavailable, text } => {
                Some(format!("call of the metrics API: {}", text.trim()))
            }
            _ => None,
        });
    called.or_else(|| {
        let conditions = snapshot.autoscalers.iter().flat_map(|autoscaler| &autoscaler.status.conditions);
        conditions
            .filter(|condition| condition.status == ConditionStatus::False)
            .find(|condition| condition.message.contains(TEXT))
            .map(|condition| format!("condition {}: {}", condition.kind, condition.message))
    })
}

/// An x509 error of the aggregator's check, or of the calls themselves.
fn symptom(context: &Context<'_>) -> Option<String> {
    let condition =
        context.chain.unavailable().filter(|condition| MessageClass::of(&condition.message) == MessageClass::Tls);
    if let Some(condition) = condition {
        return Some(format!("condition Available: {}", condition.message));
    }
    [&context.snapshot.top_nodes, &context.snapshot.top_pods].into_iter().find_map(|retrieval| {
        match &retrieval.seen()?.outcome {
            retrieval::Outcome::Failed { class: ErrorClass::Tls, text } => {
                Some(format!("call of the metrics API: {text}"))
            }
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        check::Status,
        guide::Step,
        snapshot::{ApiService, Collection, Snapshot},
        testing::{healthy, object, run},
    };

    fn bundle(not_after: (i32, u8, u8)) -> String {
        let mut parameters = rcgen::CertificateParams::default();
        parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(not_after.0, not_after.1, not_after.2);
        let key = rcgen::KeyPair::generate().expect("a key");
        BASE64_STANDARD.encode(parameters.self_signed(&key).expect("a certificate").pem())
    }

    fn with(ca_bundle: Option<String>, message: Option<&str>) -> Snapshot {
        let status = message.map_or_else(
            || json!({"conditions": [{"type": "Available", "status": "True", "reason": "Passed"}]}),
            |message| json!({"conditions": [{"type": "Available", "status": "False", "reason": "FailedDiscoveryCheck", "message": message}]}),
        );
        Snapshot {
            api_services: Collection::complete([object::<ApiService>(json!({
                "metadata": {"name": "v1beta1.metrics.k8s.io"},
                "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "caBundle": ca_bundle, "service": {"namespace": "kube-system", "name": "metrics-server"}},
                "status": status
            }))]),
            ..healthy()
        }
    }

    #[test]
    fn calls_that_fail_behind_an_available_apiservice_are_told_by_its_bundle() {
        use crate::snapshot::{KubernetesVersion, Observed, Retrieval};
        let cause = |ca_bundle: Option<String>, minor: u32| {
            let text = "Error from server (ServiceUnavailable): the server is currently unable to handle the request (get nodes.metrics.k8s.io)";
            let outcome = retrieval::Outcome::Failed { class: ErrorClass::ServiceUnavailable, text: text.to_owned() };
            let snapshot = Snapshot {
                server_version: Observed::Present(KubernetesVersion { major: 1, minor }),
                top_nodes: Observed::Present(Retrieval { outcome, latency: None }),
                ..with(ca_bundle, None)
            };
            run(Step::Apiservice, "ca_bundle", &snapshot).findings.first().map(|finding| finding.cause)
        };
        assert_eq!(cause(None, 30), Some(Cause::CaBundleMissing));
        assert_eq!(cause(Some(bundle((2025, 1, 1))), 30), Some(Cause::CaBundleExpired));
        assert_eq!(cause(Some(bundle((2030, 1, 1))), 30), None, "it may be anything");
        assert_eq!(cause(None, 36), None, "the aggregator's own check has verified it");
    }

    #[test]
    fn a_bundle_is_blamed_only_with_an_x509_error() {
        let unknown = "tls: failed to verify certificate: x509: certificate signed by unknown authority";
        for (ca_bundle, message, expected) in [
            (None, Some(unknown), Some(Cause::CaBundleMissing)),
            (
                None,
                Some("x509: certificate is valid for localhost, localhost, not metrics-server.kube-system.svc"),
                Some(Cause::CaBundleMissing),
            ),
            (None, None, None),
            (Some(bundle((2030, 1, 1))), Some(unknown), Some(Cause::CaBundleMismatch)),
            (Some(bundle((2030, 1, 1))), None, None),
            (
                Some(bundle((2025, 1, 1))),
                Some("x509: certificate has expired or is not yet valid"),
                Some(Cause::CaBundleExpired),
            ),
            (Some(bundle((2025, 1, 1))), None, None),
            (Some("not base64!".to_owned()), None, None),
        ] {
            let outcome = run(Step::Apiservice, "ca_bundle", &with(ca_bundle, message));
            assert_eq!(outcome.findings.first().map(|finding| finding.cause), expected, "{message:?}");
        }
        assert_eq!(run(Step::Apiservice, "ca_bundle", &healthy()).status, Status::Pass);
    }
}
