//! A proxy in the environment of kube-apiserver, which Go's clients take for every address that `NO_PROXY` does not name.

use crate::{
    catalogue::Cause,
    check::{Docket, Finding},
    facts::{
        Facts,
        complaint::Complaint,
        proxies::{self, ProxyView},
    },
    snapshot::NotSeen,
    wording::{aggregator::MessageClass, failure::ProxyAnswer},
};

/// Nothing of the kind stands in the way.
pub(super) fn rule(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    facts.chain.api_service.clone().known()?;
    let view = facts.proxies();
    let complaint = facts.complaint();
    match (&view, complaint) {
        // What speaks of the proxy itself needs no other witness.
        (_, Some(complaint)) if complaint.class == MessageClass::Proxy => docket.confirm(told(facts, complaint, &view)),
        (ProxyView::Takes { .. }, Some(complaint))
            if proxies::may_answer_so(complaint.class, complaint.word.failure.http_status) =>
        {
            docket.confirm(told(facts, complaint, &view));
        }
        (ProxyView::NotSet { sources }, _) => {
            docket.exclude_rest(format!("No proxy is set on kube-apiserver ({}).", sources.join(", ")));
        }
        (ProxyView::Exempt { host }, _) => {
            docket.exclude_rest(format!("NO_PROXY of kube-apiserver holds {host}, so no proxy is asked."));
        }
        (_, Some(complaint)) if !proxies::may_answer_so(complaint.class, complaint.word.failure.http_status) => {
            docket.exclude_rest(format!("What fails is no answer of a proxy ({}).", complaint.class.label()));
        }
        // Another API server than the one that wrote the condition may have a proxy.
        (_, None) if facts.chain.is_available() => {
            if facts.served_caller().is_none() && !facts.unanswered_calls().is_empty() {
                docket.say("The aggregator gets through, and calls fail.");
                docket.settled_by("add the kube-apiserver pods with their environment (HTTPS_PROXY, NO_PROXY)");
                return Err(NotSeen::NotLooked);
            }
            docket.exclude_rest("The aggregator gets through.");
        }
        (_, None) => return Err(NotSeen::NotLooked),
        (_, Some(_)) => {
            docket.say("Whether a proxy is set on kube-apiserver was not seen.");
            docket.settled_by("add the kube-apiserver pods with their environment (HTTPS_PROXY, NO_PROXY)");
            return Err(NotSeen::NotInBundle("kube-apiserver's environment"));
        }
    }
    Ok(())
}

fn told(facts: &Facts<'_>, complaint: &Complaint<'_>, view: &ProxyView) -> Finding {
    let failure = &complaint.word.failure;
    let target = failure.dialled.as_ref().map_or_else(|| "metrics-server".to_owned(), |dialled| dialled.host.clone());
    let what = match (&failure.proxy, view) {
        (Some(ProxyAnswer::Status(status)), _) => format!("the proxy answers `{status}`"),
        (Some(ProxyAnswer::NotReached { address: Some(address), .. }), _) => {
            format!("the proxy {}:{} is not reached", address.host, address.port)
        }
        (Some(ProxyAnswer::NotReached { address: None, .. }), _) => "the proxy is not reached".to_owned(),
        (None, ProxyView::Takes { settings, .. }) => {
            format!("it goes through {}", settings.https_proxy.as_deref().unwrap_or("a proxy"))
        }
        (None, _) => "a proxy is in the way".to_owned(),
    };
    let finding = Finding::outage(
        Cause::ProxyInterferes,
        facts.chain.api_service_object(),
        format!("kube-apiserver calls {target} through a proxy, which does not lead there: {what}."),
    )
    .since(complaint.since)
    .evidence(complaint.line());
    match view {
        ProxyView::Takes { settings, host } => finding.evidence(format!(
            "{}: HTTPS_PROXY is {}, and NO_PROXY ({}) does not hold {host}",
            settings.source,
            settings.https_proxy.as_deref().unwrap_or("set"),
            if settings.no_proxy.is_empty() { "not set" } else { &settings.no_proxy },
        )),
        _ => finding,
    }
}
