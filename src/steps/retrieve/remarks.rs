//! What others say of their calls of the metrics API, in logs and texts that are not metrics-server's.

use std::collections::BTreeSet;

use super::candidates;
use crate::{
    catalogue::Cause,
    check::{Docket, Evidence, Finding},
    facts::{Facts, coverage, rights, windows},
    snapshot::Remark,
    wording::{
        api_error::{ApiError, Detail, ErrorClass, Identity},
        mentions::Said,
        quoted,
    },
};

/// Whether what the remark tells of may be over: it is old, or of unknown age, and a caller is seen to get samples.
fn may_be_over(facts: &Facts<'_>, remark: &Remark) -> bool {
    let answered = [&facts.snapshot.top_nodes, &facts.snapshot.top_pods]
        .into_iter()
        .any(|retrieval| coverage::samples(retrieval).is_ok_and(|samples| coverage::known(samples).next().is_some()));
    let written = remark.mention.written.and_then(|written| written.at(facts.now()));
    answered && written.is_none_or(|written| facts.age(written) >= windows::RECENT_LOG)
}

/// Confirms what the remarks prove, each cause and each caller once.
pub(super) fn rule(facts: &Facts<'_>, docket: &mut Docket) {
    let mut told: BTreeSet<(Cause, String)> = BTreeSet::new();
    for remark in &facts.snapshot.remarks {
        let Said::Failed(error) = &remark.mention.said else { continue };
        let Some((finding, who)) = finding(facts, remark, error) else { continue };
        if told.insert((finding.cause, who)) {
            let at = remark.mention.written.and_then(|written| written.at(facts.now()));
            let line = format!("{}: {}", remark.file, quoted(&remark.text));
            docket.confirm(finding.evidence(Evidence::at(line, at)));
        }
    }
}

fn finding(facts: &Facts<'_>, remark: &Remark, error: &ApiError) -> Option<(Finding, String)> {
    let object = facts.chain.api_service_object();
    let outage = |cause: Cause, what: &str| {
        let finding =
            Finding::outage(cause, object.clone(), format!("Callers of the metrics API get no answer: {what}."));
        Some((finding, String::new()))
    };
    match &error.detail {
        Detail::Forbidden(refusal) if refusal.group == "metrics.k8s.io" => {
            let own = rights::account(facts).is_some_and(|(namespace, name)| refusal.user.is_account(namespace, name));
            let who = match &refusal.user {
                // Whoever comes without a name is told nothing, and should not be.
                Identity::Anonymous => return None,
                user if own || user.is_aggregator() => {
                    return outage(
                        Cause::FrontProxyUntrusted,
                        "the server behind it ignores the caller identity that kube-apiserver forwards",
                    );
                }
                Identity::ServiceAccount { namespace, name } => format!("ServiceAccount {namespace}/{name}"),
                Identity::Other(user) => format!("User {user}"),
            };
            let summary = format!("{who} is not allowed to {} {} in metrics.k8s.io.", refusal.verb, refusal.resource);
            Some((Finding::partial(Cause::CallerForbidden, object.clone(), summary), who))
        }
        _ if may_be_over(facts, remark) => None,
        Detail::ReviewsForbidden { .. } => {
            outage(Cause::AuthDelegatorMissing, "metrics-server is not allowed to create SubjectAccessReviews")
        }
        Detail::ResourceGone => outage(
            Cause::UnsupportedVersion,
            "metrics-server asks the API server for a version of its API that is not served any more",
        ),
        Detail::NotReached(_) if error.class == ErrorClass::Tls => {
            let (finding, who) = outage(Cause::MetricsApiFailing, "a certificate on the way is not accepted")?;
            Some((finding.candidates(candidates::of(facts, error.class, &error.detail)), who))
        }
        _ => None,
    }
}
