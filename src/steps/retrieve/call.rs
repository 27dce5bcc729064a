//! The two calls of `kubectl top`.

use jiff::Timestamp;

use super::candidates;
use crate::{
    catalogue::Cause,
    check::{Docket, Finding, Slot},
    facts::{Facts, coverage, metrics_server, rights, windows},
    snapshot::{
        Named, NotSeen, ObjectReference, Retrieval,
        observed::Observed,
        retrieval::{ErrorClass, Outcome},
    },
    wording::{
        api_error::{Detail, Forbidden, Identity, names_namespace},
        quoted,
    },
};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resource {
    Nodes,
    Pods,
}

impl Resource {
    const fn plural(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Pods => "pods",
        }
    }

    const fn with_group(self) -> &'static str {
        match self {
            Self::Nodes => "nodes.metrics.k8s.io",
            Self::Pods => "pods.metrics.k8s.io",
        }
    }
}

pub(super) fn rule(facts: &Facts<'_>, docket: &mut Docket, resource: Resource) -> Result<(), NotSeen> {
    let retrieval: &Observed<Retrieval> = match resource {
        Resource::Nodes => &facts.snapshot.top_nodes,
        Resource::Pods => &facts.snapshot.top_pods,
    };
    let plural = resource.plural();
    let Some(retrieval) = retrieval.as_ref().known()? else {
        docket.say(format!("The metrics API was not asked for {plural}."));
        return Err(NotSeen::NotLooked);
    };
    match &retrieval.outcome {
        Outcome::Samples(samples) => {
            let known = coverage::known(samples).count();
            if known > 0 {
                let told = format!("The metrics API answers with {known} {plural}.");
                docket.witness(format!("call of the metrics API for {plural}: {known} with a sample"));
                docket.exclude_rest(told);
                return Ok(());
            }
            if samples.is_empty() {
                return empty(facts, docket, resource, &Detail::NoSamplesYet, "", format!("{plural}: no rows"));
            }
            let told = format!("{plural}: {} rows, each with <unknown>", samples.len());
            empty(facts, docket, resource, &Detail::NoSamplesYet, "", told)
        }
        Outcome::Failed { class, text } => {
            Failure { facts, resource, class: *class, text: text.trim(), detail: Detail::of(*class, text) }.rule(docket)
        }
    }
}

struct Failure<'f, 's> {
    facts: &'f Facts<'s>,
    resource: Resource,
    class: ErrorClass,
    text: &'f str,
    detail: Detail,
}

impl Failure<'_, '_> {
    fn told(&self) -> String {
        format!("call of the metrics API for {}: {}", self.resource.plural(), quoted(self.text))
    }

    fn outage(&self, cause: Cause, what: &str) -> Finding {
        let object = self.facts.chain.api_service_object();
        let plural = self.resource.plural();
        Finding::outage(cause, object, format!("The metrics API does not answer for {plural}: {what}."))
            .evidence(self.told())
    }

    fn rule(&self, docket: &mut Docket) -> Result<(), NotSeen> {
        let facts = self.facts;
        let chain = &facts.chain;
        // Where nothing of the API server answers, the metrics API is not to blame.
        if !facts.is_bundle()
            && let Some(reason @ NotSeen::Unreachable(_)) = facts.snapshot.api_services.all().gap
        {
            return Err(reason);
        }
        match (self.class, &self.detail) {
            (ErrorClass::ApiserverUnreachable, _) => return Err(NotSeen::Unreachable(self.text.to_owned())),
            (ErrorClass::Throttled, _) => {
                docket.suspect(Cause::MetricsApiFailing);
                docket.settled_by("ask again; where it goes on, find who floods the API server or metrics-server: `kubectl get --raw /metrics | grep -e apiserver_flowcontrol_rejected_requests_total -e apiserver_current_inflight_requests`, and the same of metrics-server's own /metrics");
                return Err(NotSeen::Unclear(format!(
                    "the API server asked the caller to try again later ({})",
                    self.told()
                )));
            }
            (ErrorClass::Empty, detail) => {
                return empty(facts, docket, self.resource, detail, self.text, self.told());
            }
            (_, Detail::ReviewsForbidden { .. }) => {
                let mut finding = self.outage(
                    Cause::AuthDelegatorMissing,
                    "metrics-server is not allowed to create SubjectAccessReviews",
                );
                if let Some((namespace, name)) = rights::account(facts) {
                    finding = finding.slot(Slot::Account, format!("{namespace}:{name}"));
                }
                docket.confirm(finding);
            }
            (_, Detail::ResourceGone) => docket.confirm(self.outage(
                Cause::UnsupportedVersion,
                "metrics-server asks the API server for a version of its API that is not served any more",
            )),
            (_, Detail::TokenRefused) => {
                docket.confirm(self.outage(Cause::ApiServerUntrusted, "the API server rejects metrics-server's token"));
            }
            (_, Detail::Forbidden(refusal)) => return self.forbidden(docket, refusal),
            // What was cut tells no name; the doctor's own missing right says nothing of anybody else's.
            (ErrorClass::Forbidden, _) if !facts.is_bundle() => {
                return Err(NotSeen::Forbidden { verb: "list", resource: self.resource.with_group() });
            }
            (ErrorClass::Forbidden, _) => docket.confirm(self.caller_forbidden("The caller", self.resource.plural())),
            (ErrorClass::Unauthorized, _) if chain.unavailable().is_none() => {
                let plural = self.resource.plural();
                let summary = format!("The caller who asked for {plural} is not authenticated at the metrics API.");
                docket.confirm(
                    Finding::partial(Cause::CallerUnauthorized, chain.api_service_object(), summary)
                        .evidence(self.told()),
                );
            }
            _ => return self.unanswered(docket),
        }
        Ok(())
    }

    fn caller_forbidden(&self, who: &str, what: &str) -> Finding {
        let summary = format!("{who} is not allowed to list {what} in metrics.k8s.io.");
        Finding::partial(Cause::CallerForbidden, self.facts.chain.api_service_object(), summary).evidence(self.told())
    }

    fn forbidden(&self, docket: &mut Docket, refusal: &Forbidden) -> Result<(), NotSeen> {
        let facts = self.facts;
        let own = match (&refusal.user, rights::account(facts)) {
            (user, Some((namespace, name))) => user.is_account(namespace, name),
            (Identity::ServiceAccount { name, .. }, None) => metrics_server::may_be_account(name),
            _ => false,
        };
        // metrics-server hands through what the API server answers to its own calls.
        if own {
            docket.confirm(self.outage(
                Cause::ListPermissionMissing,
                &format!("metrics-server itself is not allowed to {} {}", refusal.verb, refusal.resource),
            ));
            return Ok(());
        }
        // kube-apiserver let the caller through, so it is the server behind it that does not take over who asks.
        let behind = facts.chain.api_service.seen().is_some();
        if behind && (refusal.user == Identity::Anonymous || refusal.user.is_aggregator()) {
            let finding = self.outage(
                Cause::FrontProxyUntrusted,
                "the server behind it ignores the caller identity that kube-apiserver forwards",
            );
            docket.confirm(finding);
            return Ok(());
        }
        // The doctor's own missing right keeps it from looking, and says nothing of anybody else's.
        if !facts.is_bundle() {
            return Err(NotSeen::Forbidden { verb: "list", resource: self.resource.with_group() });
        }
        let who = match &refusal.user {
            Identity::Anonymous => "The caller (User system:anonymous)".to_owned(),
            Identity::ServiceAccount { namespace, name } => {
                format!("The caller (ServiceAccount {namespace}/{name})")
            }
            Identity::Other(user) => format!("The caller (User {user})"),
        };
        let finding = if refusal.group.is_empty() {
            // kubectl top asks for the nodes and pods themselves as well.
            let summary = format!("{who} is not allowed to {} {}.", refusal.verb, refusal.resource);
            Finding::partial(Cause::CallerForbidden, facts.chain.api_service_object(), summary).evidence(self.told())
        } else {
            self.caller_forbidden(&who, &refusal.resource)
        };
        docket.confirm(finding);
        Ok(())
    }

    /// Until when the call may be from before what is seen now.
    fn settling(&self) -> Option<(Timestamp, String)> {
        let facts = self.facts;
        let chain = &facts.chain;
        if let Some(until) = facts.starting_until() {
            return Some((until, format!("metrics-server is just being started ({})", self.told())));
        }
        if !chain.is_available() {
            return None;
        }
        let since = chain.available().and_then(|condition| condition.last_transition_time);
        let since = |window| since.and_then(|since| windows::after(since, window)).filter(|until| *until > facts.now());
        if self.is_undiscovered()
            && let Some(until) = since(windows::DISCOVERY)
        {
            return Some((until, "discovery follows the APIService, which has just become available".to_owned()));
        }
        let failing = facts.snapshot.calls_failing_since;
        if let Some(until) = failing.and_then(|since| windows::after(since, windows::AGGREGATOR_RESYNC))
            && until > facts.now()
        {
            return Some((
                until,
                "the calls have just begun to fail, and the aggregator has not looked since".to_owned(),
            ));
        }
        let window = if facts.is_bundle() { windows::START } else { windows::NEXT_CALL };
        if let Some(until) = since(window) {
            return Some((until, "the call may be from before the APIService became available".to_owned()));
        }
        let changing = chain.pods().iter().filter_map(|pod| {
            let born = pod.metadata.creation_timestamp.or(pod.status.start_time);
            let new = born.and_then(|born| windows::after(born, windows::CHANGING_POD));
            let leaving = pod.is_terminating().then(|| windows::after(facts.now(), windows::CHANGING_POD)).flatten();
            new.filter(|until| *until > facts.now()).max(leaving)
        });
        changing.max().map(|until| (until, "a metrics-server pod is starting or terminating".to_owned()))
    }

    fn is_undiscovered(&self) -> bool {
        matches!(self.detail, Detail::NotDiscovered | Detail::Heapster)
    }

    fn unanswered(&self, docket: &mut Docket) -> Result<(), NotSeen> {
        let facts = self.facts;
        if let Some((until, why)) = self.settling() {
            docket.settle_rest(until, why);
            return Ok(());
        }
        if facts.chain.is_available() && self.is_undiscovered() {
            let since = facts.chain.available().and_then(|condition| condition.last_transition_time);
            let since = since.map_or_else(String::new, |since| format!(" since {since}"));
            docket.settled_by("delete kubectl's cache of discovery (~/.kube/cache/discovery) and ask again with a kubectl of the server's version");
            return Err(NotSeen::Unclear(format!(
                "kubectl did not find metrics.k8s.io in its discovery although the APIService has been available{since}: it is old, has a stale cache, or asked another cluster ({})",
                self.told()
            )));
        }
        let what = if facts.chain.is_available() {
            "the APIService is available, and the calls fail"
        } else {
            "the calls fail"
        };
        let candidates = candidates::of(facts, self.class, &self.detail);
        docket.confirm(self.outage(Cause::MetricsApiFailing, what).candidates(candidates));
        Ok(())
    }
}

/// An answer without samples: right after metrics-server's start nothing else can be expected, later it is a fault of the
/// scrapes.
fn empty(
    facts: &Facts<'_>,
    docket: &mut Docket,
    resource: Resource,
    detail: &Detail,
    text: &str,
    told: String,
) -> Result<(), NotSeen> {
    let chain = &facts.chain;
    if chain.unavailable().is_some() {
        let finding =
            Finding::outage(Cause::MetricsApiFailing, chain.api_service_object(), "The metrics API has no samples.");
        let candidates = [Cause::NodesWithoutSamples, Cause::PodsNotReady, Cause::KubeletTimeout];
        docket.confirm(finding.candidates(candidates).evidence(told));
        return Ok(());
    }
    if let Some(until) = facts.first_samples_until() {
        docket.settle_rest(until, format!("metrics-server has just started and has no samples yet ({told})"));
        return Ok(());
    }
    if let Detail::PodWithoutSample { namespace, name } = detail {
        let object = ObjectReference::new("Pod", namespace, name);
        let summary = format!("Pod {namespace}/{name} has run for more than two minutes and has no sample.");
        docket.confirm(Finding::partial(Cause::PodsWithoutSamples, object, summary).evidence(told));
        return Ok(());
    }
    let own = chain.pods().first().is_some_and(|pod| facts.is_bundle() || names_namespace(text, pod.namespace()));
    match resource {
        Resource::Nodes if facts.runs_long_enough() => {
            let mut finding = Finding::outage(
                Cause::NodesWithoutSamples,
                chain.workload_object(),
                "metrics-server has run for minutes and has no sample of any node.",
            )
            .evidence(told);
            for failed in &facts.scrapes().lasting {
                finding = finding.evidence(format!("log: {}", quoted(failed.line)));
            }
            docket.confirm(finding);
            Ok(())
        }
        // metrics-server's own pod would be among them.
        Resource::Pods if own && facts.runs_long_enough() && !text.is_empty() => {
            let summary = "metrics-server has run for minutes and has no sample of any pod.";
            docket.confirm(Finding::outage(Cause::PodsWithoutSamples, chain.workload_object(), summary).evidence(told));
            Ok(())
        }
        _ => Err(NotSeen::Unclear(format!("the metrics API gives no samples ({told})"))),
    }
}
