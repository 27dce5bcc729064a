//! `insecureSkipTLSVerify`, `caBundle` and the serving certificate.
//!
//! Up to Kubernetes 1.35 the aggregator's check does not verify the certificate while the calls themselves do; from 1.36
//! on a bundle that does not fit makes the condition False (kubernetes/kube-aggregator, `remote_available_controller.go`).
//! What can sign no certificate of this server is a fault by itself, whether or not a call was seen to fail: only one that
//! succeeded speaks against it.

use crate::{
    catalogue::Cause,
    check::{Docket, Evidence, Finding, Impact},
    facts::{Facts, certificates::Verification},
    snapshot::{KubernetesVersion, Named, NotSeen},
    wording::{
        aggregator::MessageClass,
        api_error::Detail,
        failure::{Failure, TlsTrouble},
        mentions::Said,
        quoted,
    },
};

/// From this version on the aggregator's own check verifies the certificate.
const VERIFIES: KubernetesVersion = KubernetesVersion { major: 1, minor: 36 };

/// The bundle fits, and so does the certificate.
pub(super) fn rule(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    let chain = &facts.chain;
    let Some(api_service) = chain.api_service.clone().known()? else {
        docket.not_applicable("There is no APIService.");
        return Ok(());
    };
    let Some(service) = &api_service.spec.service else {
        docket.not_applicable("The APIService needs no Service.");
        return Ok(());
    };
    let verification = Verification::of(api_service);
    if verification == Verification::Skipped {
        docket.exclude_rest("The serving certificate is not verified (insecureSkipTLSVerify: true).");
        return Ok(());
    }
    if let Some(evidence) = bundle_evidence(&verification) {
        docket.note(evidence);
    }
    let trouble = trouble(facts);
    if trouble.is_none()
        && let Some(served) = facts.served_caller()
    {
        docket.exclude_rest(format!("Calls get through with the certificate verified ({served})."));
        return Ok(());
    }
    let verifies = facts.snapshot.server_version.seen().is_some_and(|version| *version >= VERIFIES);
    if trouble.is_none() && verifies && chain.is_available() {
        docket.exclude_rest("The aggregator itself has verified the serving certificate.");
        return Ok(());
    }
    let server = format!("{}.{}.svc", service.name, service.namespace);
    let Some((cause, what)) = blamed(facts, &verification, trouble.as_ref(), &server) else {
        if let Verification::Bundle { earliest, .. } = verification {
            docket.exclude(&[Cause::CaBundleMissing], "spec.caBundle is set");
            if earliest > facts.now() {
                docket.exclude(&[Cause::CaBundleExpired], "every certificate in spec.caBundle is valid");
            }
        }
        docket.say("Nothing is seen to fail because of the caBundle.");
        return Err(NotSeen::NotInBundle("a call of the metrics API that succeeded"));
    };
    let finding =
        Finding::outage(cause, chain.api_service_object(), format!("APIService {}: {what}.", api_service.name()))
            .weighing(impact(facts))
            .since(facts.complaint().filter(|_| trouble.is_some()).and_then(|complaint| complaint.since));
    let finding = trouble.iter().fold(finding, |finding, (_, evidence)| finding.evidence(evidence.clone()));
    let finding = bundle_evidence(&verification).into_iter().fold(finding, Finding::evidence);
    docket.confirm(facts.unanswered_calls().into_iter().fold(finding, Finding::evidence));
    Ok(())
}

/// While calls do not even get to the certificate, it hurts nobody yet.
fn impact(facts: &Facts<'_>) -> Impact {
    match facts.complaint() {
        Some(complaint) if complaint.class != MessageClass::Tls => Impact::Latent,
        _ => Impact::Outage,
    }
}

fn bundle_evidence(verification: &Verification) -> Option<String> {
    match verification {
        Verification::Skipped => None,
        Verification::WithoutBundle => {
            Some("spec.insecureSkipTLSVerify is not true, spec.caBundle is empty".to_owned())
        }
        Verification::Unreadable => Some("spec.caBundle holds no certificate that can be read".to_owned()),
        Verification::Bundle { count: 1, latest, .. } => {
            Some(format!("spec.caBundle: 1 certificate, valid until {latest}"))
        }
        Verification::Bundle { count, latest, .. } => {
            Some(format!("spec.caBundle: {count} certificates, the last valid until {latest}"))
        }
    }
}

/// Which cause the certificates prove, alone or with what was said of them.
fn blamed(
    facts: &Facts<'_>,
    verification: &Verification,
    trouble: Option<&(TlsTrouble, Evidence)>,
    server: &str,
) -> Option<(Cause, String)> {
    let trouble = trouble.map(|(trouble, _)| trouble);
    // The server's word on the aggregator's certificate is none on its own.
    if matches!(trouble, Some(TlsTrouble::Remote(_))) {
        return None;
    }
    let (latest, earliest) = match verification {
        Verification::Skipped => return None,
        Verification::WithoutBundle => {
            let why = format!("TLS verification is on, but caBundle is empty: no public authority signs {server}");
            return Some((Cause::CaBundleMissing, why));
        }
        Verification::Unreadable => {
            return Some((Cause::CaBundleMismatch, "the caBundle holds no certificate that can be read".to_owned()));
        }
        Verification::Bundle { earliest, latest, .. } => (*latest, *earliest),
    };
    match trouble {
        Some(TlsTrouble::WrongNames | TlsTrouble::LegacyCommonName) => Some((
            Cause::ServingCertificateInvalid,
            format!("the serving certificate is made for another name than {server}"),
        )),
        _ if latest < facts.now() => Some((
            Cause::CaBundleExpired,
            format!("every certificate in the caBundle has expired, the last on {latest}"),
        )),
        Some(TlsTrouble::UnknownAuthority) => {
            Some((Cause::CaBundleMismatch, "the caBundle did not sign the serving certificate".to_owned()))
        }
        // A bundle of which every certificate is valid leaves the serving certificate alone.
        Some(TlsTrouble::Expired) if earliest > facts.now() => Some((
            Cause::ServingCertificateInvalid,
            "the serving certificate has expired or is not valid yet".to_owned(),
        )),
        _ => None,
    }
}

/// An x509 error of the aggregator's check, or of the calls themselves.
fn trouble(facts: &Facts<'_>) -> Option<(TlsTrouble, Evidence)> {
    if let Some(complaint) = facts.complaint()
        && let Some(trouble) = &complaint.word.failure.tls
    {
        return Some((trouble.clone(), Evidence::at(complaint.line(), complaint.since)));
    }
    let trouble = |detail: &Detail| match detail {
        Detail::NotReached(Failure { tls: Some(trouble), .. }) => Some(trouble.clone()),
        _ => None,
    };
    let mut calls = facts.failed_calls().iter();
    let of_calls = calls.find_map(|call| Some((trouble(&call.error.detail)?, call.line.clone().into())));
    // What others tell of may be over once a caller is served.
    let mut remarks = facts.snapshot.remarks.iter().filter(|_| facts.served_caller().is_none());
    of_calls.or_else(|| {
        remarks.find_map(|remark| {
            let Said::Failed(error) = &remark.mention.said else { return None };
            let at = remark.mention.written.and_then(|written| written.at(facts.now()));
            let line = format!("{}: {}", remark.file, quoted(&remark.text));
            Some((trouble(&error.detail)?, Evidence::at(line, at)))
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        check::Status,
        facts::certificates::tests::bundle,
        guide::Step,
        snapshot::{ApiService, Collection, Observed, Retrieval, Snapshot, retrieval},
        testing::{healthy, object, run},
        wording::api_error::ErrorClass,
    };

    /// Without a caller that gets samples.
    fn with(ca_bundle: Option<String>, message: Option<&str>) -> Snapshot {
        let status = message.map_or_else(
            || json!({"conditions": [{"type": "Available", "status": "True", "reason": "Passed"}]}),
            |message| json!({"conditions": [{"type": "Available", "status": "False", "reason": "FailedDiscoveryCheck", "message": message}]}),
        );
        Snapshot {
            server_version: Observed::Present(KubernetesVersion { major: 1, minor: 30 }),
            api_services: Collection::complete([object::<ApiService>(json!({
                "metadata": {"name": "v1beta1.metrics.k8s.io"},
                "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "caBundle": ca_bundle, "service": {"namespace": "kube-system", "name": "metrics-server"}},
                "status": status
            }))]),
            top_nodes: Observed::default(),
            top_pods: Observed::default(),
            autoscalers: Collection::complete([]),
            ..healthy()
        }
    }

    fn found(snapshot: &Snapshot) -> Option<(Cause, Impact)> {
        let answer = run(Step::Apiservice, "ca_bundle", snapshot);
        answer.findings.first().map(|finding| (finding.cause, finding.impact))
    }

    const UNKNOWN: &str = "tls: failed to verify certificate: x509: certificate signed by unknown authority";

    #[test]
    fn a_bundle_that_signs_nothing_is_a_fault_before_any_call_was_seen() {
        assert_eq!(found(&with(None, None)), Some((Cause::CaBundleMissing, Impact::Outage)));
        assert_eq!(found(&with(Some(bundle((2025, 1, 1))), None)), Some((Cause::CaBundleExpired, Impact::Outage)));
        assert_eq!(found(&with(Some("not base64!".to_owned()), None)), Some((Cause::CaBundleMismatch, Impact::Outage)));
        let good = run(Step::Apiservice, "ca_bundle", &with(Some(bundle((2030, 1, 1))), None));
        assert_eq!((good.status, good.findings.len()), (Status::Unknown, 0), "nobody was seen to get through");
    }

    #[test]
    fn a_caller_that_gets_samples_or_a_check_that_verifies_clears_it() {
        let served = |ca_bundle| Snapshot { top_nodes: healthy().top_nodes, ..with(ca_bundle, None) };
        assert_eq!(found(&served(None)), None);
        assert_eq!(found(&served(Some(bundle((2025, 1, 1))))), None);
        assert_eq!(run(Step::Apiservice, "ca_bundle", &served(None)).status, Status::Pass);
        let autoscaled = Snapshot { autoscalers: healthy().autoscalers, ..with(None, None) };
        assert_eq!(found(&autoscaled), None);
        let verifies = KubernetesVersion { major: 1, minor: 36 };
        assert_eq!(found(&Snapshot { server_version: Observed::Present(verifies), ..with(None, None) }), None);
        assert_eq!(run(Step::Apiservice, "ca_bundle", &healthy()).status, Status::Pass);
    }

    #[test]
    fn while_nothing_gets_as_far_as_the_certificate_it_is_latent() {
        let timeout = Some("context deadline exceeded");
        assert_eq!(found(&with(None, timeout)), Some((Cause::CaBundleMissing, Impact::Latent)));
    }

    #[test]
    fn calls_that_fail_without_a_word_leave_a_valid_bundle_open() {
        let text = "Error from server (ServiceUnavailable): the server is currently unable to handle the request (get nodes.metrics.k8s.io)";
        let outcome = retrieval::Outcome::Failed { class: ErrorClass::ServiceUnavailable, text: text.to_owned() };
        let failing = |ca_bundle| Snapshot {
            top_nodes: Observed::Present(Retrieval { outcome: outcome.clone(), latency: None }),
            ..with(ca_bundle, None)
        };
        let answer = run(Step::Apiservice, "ca_bundle", &failing(Some(bundle((2030, 1, 1)))));
        assert_eq!((answer.status, answer.findings.len()), (Status::Unknown, 0), "it may be anything");
        let missing = run(Step::Apiservice, "ca_bundle", &failing(None));
        assert!(missing.evidence.iter().any(|line| line.contains("unable to handle")), "{missing:?}");
    }

    #[test]
    fn x509_errors_tell_bundle_and_certificate_apart() {
        let names = "x509: certificate is valid for localhost, localhost, not metrics-server.kube-system.svc";
        let expired = "x509: certificate has expired or is not yet valid";
        for (ca_bundle, message, expected) in [
            (None, UNKNOWN, Some(Cause::CaBundleMissing)),
            (None, names, Some(Cause::CaBundleMissing)),
            (Some(bundle((2030, 1, 1))), UNKNOWN, Some(Cause::CaBundleMismatch)),
            (Some(bundle((2030, 1, 1))), names, Some(Cause::ServingCertificateInvalid)),
            (Some(bundle((2030, 1, 1))), expired, Some(Cause::ServingCertificateInvalid)),
            (Some(bundle((2025, 1, 1))), expired, Some(Cause::CaBundleExpired)),
            (Some(bundle((2030, 1, 1))), "remote error: tls: bad certificate", None),
        ] {
            let found = found(&with(ca_bundle, Some(message)));
            assert_eq!(found, expected.map(|cause| (cause, Impact::Outage)), "{message}");
        }
    }
}
