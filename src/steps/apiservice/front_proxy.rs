//! Whether metrics-server takes over who asks: it trusts the aggregator's certificate as `ConfigMap`
//! `kube-system/extension-apiserver-authentication` says (kubernetes/apiserver `pkg/server/options/authentication.go`).

use crate::{
    catalogue::Cause,
    check::{Docket, Finding, Impact},
    facts::{
        Facts,
        complaint::Complaint,
        front_proxy::CONFIG_MAP,
        metrics_server::Owner,
        proxies::{self, ProxyView},
    },
    snapshot::{KubernetesVersion, NotSeen, ObjectReference},
    wording::{aggregator::MessageClass, failure::TlsTrouble},
};

const CAUSE: &[Cause] = &[Cause::FrontProxyUntrusted];

/// From this version on new clusters let nobody ask for discovery who is not authenticated.
const NO_ANONYMOUS_DISCOVERY: KubernetesVersion = KubernetesVersion { major: 1, minor: 14 };

/// Whether a refusal may be a proxy's on kube-apiserver and not metrics-server's: one is in the way, or nobody saw whether
/// one is while all that metrics-server is told is in order.
pub(super) fn may_be_a_proxys_answer(facts: &Facts<'_>, complaint: &Complaint<'_>) -> bool {
    let complete = facts.front_proxy().is_ok_and(|config| config.is_some_and(|config| config.trouble().is_none()));
    proxies::may_answer_so(complaint.class, complaint.word.failure.http_status)
        && match facts.proxies() {
            ProxyView::Takes { .. } => true,
            ProxyView::Unseen | ProxyView::AddressUnknown => complete,
            ProxyView::NotSet { .. } | ProxyView::Exempt { .. } => false,
        }
}

/// The aggregator's certificate is trusted.
pub(super) fn rule(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    let chain = &facts.chain;
    if let Some(api_service) = chain.api_service.clone().known()?
        && api_service.spec.service.is_none()
    {
        docket.not_applicable("The APIService needs no Service.");
        return Ok(());
    }
    let config = facts.front_proxy();
    let served = facts.served_caller();
    if let Ok(Some(config)) = &config
        && let Some(trouble) = config.trouble()
    {
        let (namespace, name) = CONFIG_MAP;
        // Callers that get samples have rights under whatever name the aggregator's certificate gives them.
        let impact = if served.is_some() { Impact::Latent } else { Impact::Outage };
        let finding = Finding::outage(
            Cause::FrontProxyUntrusted,
            ObjectReference::new("ConfigMap", namespace, name),
            format!("No server behind the aggregation layer can read the caller identity: in ConfigMap {namespace}/{name} {trouble}."),
        )
        .weighing(impact)
        .evidence(format!("ConfigMap {namespace}/{name}: {trouble}"))
        .advice("Correct --requestheader-allowed-names (plain names without quotes, or empty for all) and --requestheader-client-ca-file of kube-apiserver, which writes ConfigMap kube-system/extension-apiserver-authentication from them; then restart metrics-server.");
        docket.confirm(with_signs(facts, finding));
        return Ok(());
    }
    if let Some(finding) = refused(facts) {
        docket.confirm(with_signs(facts, finding));
        return Ok(());
    }
    if let Some(served) = served {
        docket.exclude(CAUSE, format!("Callers get samples under their own names ({served})."));
        docket.say("metrics-server accepts the caller identity that kube-apiserver forwards.");
        return Ok(());
    }
    let asked = facts.snapshot.server_version.seen().is_some_and(|version| *version >= NO_ANONYMOUS_DISCOVERY);
    if chain.is_available() && asked && matches!(&config, Ok(Some(_))) {
        docket.exclude_rest(
            "ConfigMap extension-apiserver-authentication is complete, and the aggregator is not refused.",
        );
        return Ok(());
    }
    docket.say("No caller was seen to be refused under the aggregator's name.");
    docket.settled_by("add ConfigMap kube-system/extension-apiserver-authentication");
    Err(config.err().unwrap_or(NotSeen::NotInBundle("a call of the metrics API that succeeded")))
}

/// Calls that were refused under a name that is nobody's who asked.
fn with_signs(facts: &Facts<'_>, finding: Finding) -> Finding {
    let mut lines: Vec<String> = Vec::new();
    if let Some(complaint) = facts.complaint().filter(|complaint| complaint.word.refuses_the_aggregator()) {
        lines.push(complaint.line());
    }
    let refused = |line: &&crate::facts::calls::FailedCall| {
        line.refusal().is_some_and(|refusal| facts.is_aggregator(&refusal.user))
    };
    lines.extend(facts.failed_calls().iter().filter(refused).map(|call| call.line.clone()).take(3));
    lines.into_iter().fold(finding, Finding::evidence)
}

/// metrics-server refuses the aggregator, or whoever asks under the aggregator's name.
fn refused(facts: &Facts<'_>) -> Option<Finding> {
    let chain = &facts.chain;
    let finding = |what: &str| {
        Finding::outage(
            Cause::FrontProxyUntrusted,
            chain.api_service_object(),
            format!("metrics-server does not trust the aggregator: {what}."),
        )
    };
    // Where nothing registers the API it is kube-apiserver itself that refuses.
    let named = facts.failed_calls().iter().filter(|_| chain.api_service.seen().is_some()).find_map(|call| {
        let refusal = call.refusal()?;
        facts.is_aggregator(&refusal.user).then(|| refusal.user.user())
    });
    if let Some(name) = named {
        return Some(finding(&format!("it refuses callers under the name {name} and not their own")));
    }
    let complaint = facts.complaint()?;
    if chain.owner() == Some(Owner::Other) {
        return None;
    }
    let failure = &complaint.word.failure;
    let told = match complaint.class {
        MessageClass::Tls if matches!(failure.tls, Some(TlsTrouble::Remote(_))) => {
            "it refuses the aggregator's certificate"
        }
        MessageClass::BadStatus401 => "it answers 401 to the aggregator",
        MessageClass::BadStatus403 => "it answers 403 to the aggregator",
        _ => return None,
    };
    // On the address of a node it may be the kubelet that answers.
    let port = failure.dialled.as_ref().map(|dialled| dialled.port);
    let unseen = chain.pod_spec().is_none() && port == Some(10250);
    if facts.shares_its_nodes_address() || unseen || may_be_a_proxys_answer(facts, complaint) {
        return None;
    }
    Some(finding(told).since(complaint.since))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        check::Status,
        guide::Step,
        snapshot::{Collection, ConfigMap, Observed, Retrieval, Snapshot, retrieval},
        steps::apiservice::tests::failed,
        testing::{healthy, object, run},
        wording::api_error::ErrorClass,
    };

    fn config(allowed: &str) -> ConfigMap {
        with_data(json!({"requestheader-client-ca-file": "a certificate", "requestheader-allowed-names": allowed,
            "requestheader-username-headers": "[\"X-Remote-User\"]"}))
    }

    fn with_data(data: Value) -> ConfigMap {
        object(
            json!({"metadata": {"namespace": "kube-system", "name": "extension-apiserver-authentication"}, "data": data}),
        )
    }

    fn nobody_served(config_map: Option<ConfigMap>) -> Snapshot {
        Snapshot {
            config_maps: config_map.map_or_else(
                || Collection::unseen(NotSeen::NotInBundle("configmaps")),
                |config_map| Collection::complete([config_map]),
            ),
            top_nodes: Observed::default(),
            top_pods: Observed::default(),
            autoscalers: Collection::complete([]),
            ..healthy()
        }
    }

    fn found(snapshot: &Snapshot) -> Option<Impact> {
        run(Step::Apiservice, "front_proxy", snapshot).findings.first().map(|finding| finding.impact)
    }

    fn refused_as(user: &str, snapshot: Snapshot) -> Snapshot {
        let text = format!(
            "Error from server (Forbidden): nodes.metrics.k8s.io is forbidden: User \"{user}\" cannot list resource \"nodes\" in API group \"metrics.k8s.io\" at the cluster scope"
        );
        let outcome = retrieval::Outcome::Failed { class: ErrorClass::Forbidden, text };
        Snapshot { top_nodes: Observed::Present(Retrieval { outcome, latency: None }), ..snapshot }
    }

    #[test]
    fn allowed_names_that_no_certificate_bears_are_a_fault_by_themselves() {
        assert_eq!(found(&nobody_served(Some(config(r#"["\"front-proxy-client\""]"#)))), Some(Impact::Outage));
        assert_eq!(found(&nobody_served(Some(with_data(json!({}))))), Some(Impact::Outage), "no authority");
        for fine in ["[]", r#"["front-proxy-client"]"#] {
            let answer = run(Step::Apiservice, "front_proxy", &nobody_served(Some(config(fine))));
            assert_eq!((answer.status, answer.findings.len()), (Status::Pass, 0), "{fine}");
        }
        let served = Snapshot { top_nodes: healthy().top_nodes, ..nobody_served(Some(config(r#"[""]"#))) };
        assert_eq!(found(&served), Some(Impact::Latent));
    }

    #[test]
    fn a_refusal_that_names_nobody_who_asked_belongs_here() {
        for (user, blamed) in [
            ("system:anonymous", true),
            ("front-proxy-client", true),
            ("jane", false),
            ("system:serviceaccount:shop:deployer", false),
        ] {
            assert_eq!(found(&refused_as(user, nobody_served(None))).is_some(), blamed, "{user}");
        }
    }

    #[test]
    fn what_refuses_the_aggregator_is_told_from_a_kubelet_and_from_a_proxy() {
        let answers = |code: u16, config_map: Option<ConfigMap>| Snapshot {
            api_services: failed(&format!(
                "bad status from https://10.0.1.10:10250/apis/metrics.k8s.io/v1beta1: {code}"
            ))
            .api_services,
            ..nobody_served(config_map)
        };
        assert!(found(&answers(401, None)).is_some() && found(&answers(403, None)).is_some());
        let complete = || Some(config(r#"["front-proxy-client"]"#));
        assert!(found(&answers(401, complete())).is_some(), "a proxy asks for credentials with 407");
        assert_eq!(found(&answers(403, complete())), None, "all is in order on metrics-server's side");
        assert_eq!(found(&answers(404, None)), None);
        let mut shared = answers(401, None);
        let mut pod = shared.pods.iter().next().cloned().expect("a pod");
        pod.status.host_ip.clone_from(&pod.status.pod_ip);
        shared.pods.insert(pod);
        assert_eq!(found(&shared), None, "a kubelet answers so too");
    }

    #[test]
    fn without_the_config_map_and_a_caller_it_stays_open() {
        assert_eq!(run(Step::Apiservice, "front_proxy", &nobody_served(None)).status, Status::Unknown);
        assert_eq!(run(Step::Apiservice, "front_proxy", &healthy()).status, Status::Pass);
    }
}
