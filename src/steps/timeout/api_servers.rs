//! Several API servers that see metrics-server differently: each writes the condition in turn.

use crate::{
    catalogue::Cause,
    check::{Docket, Finding},
    facts::{Facts, disagreement::Disagreement, network_policies::Ingress},
    snapshot::NotSeen,
};

/// All API servers reach the pods, or none does.
pub(super) fn rule(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    let chain = &facts.chain;
    if chain.api_service.clone().known()?.is_none() {
        docket.not_applicable("There is no APIService.");
        return Ok(());
    }
    match facts.disagreement() {
        // The policy lets in what comes from the pod's own node, and that alone.
        Disagreement::Seen(signs) if matches!(facts.ingress(), Ingress::Closed(_)) => {
            for line in signs.evidence {
                docket.note(line);
            }
            docket.say("A NetworkPolicy blocks every API server but the one on the pod's node.");
            Err(NotSeen::NotLooked)
        }
        Disagreement::Seen(signs) => {
            let node = chain.pods().iter().find(|pod| pod.is_ready()).map_or("", |pod| pod.spec.node_name.as_str());
            let own = if node.is_empty() { String::new() } else { format!(" The pod is on node {node}.") };
            let finding = Finding::outage(
                Cause::ApiServersDisagree,
                chain.api_service_object(),
                if signs.flaps {
                    "The APIService becomes available and unavailable in turn, and nothing behind it changes: some API servers reach metrics-server and others do not, and each writes the condition."
                } else {
                    "The APIService has just become available once more, nothing behind it has changed, and calls fail: some API servers reach metrics-server and others do not, and each writes the condition in turn."
                },
            )
            .advice(format!("Find the API servers that do not reach the pods: `kubectl --server=https://ADDRESS:6443 get --raw /apis/metrics.k8s.io/v1beta1` for each address in `kubectl get endpoints kubernetes`. Repair the path from their hosts to the pod network (routes, overlay, firewall between nodes); often only the API server on the pod's own node gets through.{own}"));
            docket.confirm(signs.evidence.into_iter().fold(finding, Finding::evidence));
            Ok(())
        }
        Disagreement::Unsettled(until) => {
            docket.settle_rest(until, "the APIService has just become available, and calls still fail");
            Ok(())
        }
        Disagreement::None if facts.contradicts_complaint().is_some() => {
            docket.say("The APIService is not available, and a caller got samples.");
            Err(NotSeen::NotLooked)
        }
        Disagreement::None if facts.served_caller().is_some() || facts.complaint().is_some() => {
            docket.exclude_rest("No sign that API servers see metrics-server differently.");
            Ok(())
        }
        Disagreement::None if facts.unanswered_calls().is_empty() => {
            docket.exclude_rest("No sign that API servers see metrics-server differently.");
            Ok(())
        }
        Disagreement::None => {
            docket.say("Calls fail behind an APIService that is available.");
            Err(NotSeen::NotLooked)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        check::{Answer, Status},
        guide::Step,
        snapshot::{Collection, Node, Observed, Retrieval, Snapshot, Source, retrieval},
        testing::{at, healthy, object, run},
        wording::api_error::ErrorClass,
    };

    /// Available for `seconds` after nine hours, while `kubectl top` fails; `hosts` nodes run the control plane.
    fn flapping(seconds: i64, hosts: usize) -> Snapshot {
        let mut snapshot = healthy();
        snapshot.source = Source::Bundle;
        let mut api_service = snapshot.api_services.iter().next().cloned().expect("it");
        api_service.status.conditions[0].last_transition_time = at(-seconds).parse().ok();
        snapshot.api_services = Collection::complete([api_service]);
        let outcome = retrieval::Outcome::Failed {
            class: ErrorClass::ServiceUnavailable,
            text: "error: Metrics API not available".to_owned(),
        };
        let failed = Observed::Present(Retrieval { outcome, latency: None });
        snapshot.nodes = Collection::complete((0..3).map(|index| {
            let labels =
                if index < hosts { json!({"node-role.kubernetes.io/control-plane": "true"}) } else { json!({}) };
            object::<Node>(json!({"metadata": {"name": format!("node-{index}"), "labels": labels}}))
        }));
        Snapshot { top_nodes: failed.clone(), top_pods: failed, autoscalers: Collection::complete([]), ..snapshot }
    }

    fn judged(snapshot: &Snapshot) -> Answer {
        run(Step::Timeout, "api_servers", snapshot)
    }

    #[test]
    fn a_condition_that_is_seconds_old_beside_calls_that_fail_is_written_in_turn() {
        let answer = judged(&flapping(9, 3));
        assert_eq!(answer.findings[0].cause, Cause::ApiServersDisagree);
        assert!(answer.evidence.iter().any(|line| line.contains("True for 9 s")), "{answer:?}");
        assert!(judged(&flapping(9, 0)).status == Status::Fail, "a control plane that is not among the nodes");
    }

    #[test]
    fn a_condition_that_changes_again_and_again_is_written_by_servers_that_disagree() {
        let changed = |seconds: &[i64]| {
            let moments = seconds.iter().filter_map(|seconds| at(*seconds).parse().ok()).collect();
            Snapshot {
                condition_changes: [("v1beta1.metrics.k8s.io".to_owned(), moments)].into(),
                dials: Observed::NotSeen(NotSeen::NotLooked),
                nodes: flapping(9, 2).nodes,
                ..healthy()
            }
        };
        let answer = judged(&changed(&[-62, -61, -42, -41, -32, -31]));
        assert_eq!(answer.findings[0].cause, Cause::ApiServersDisagree, "{answer:?}");
        assert!(answer.evidence.iter().any(|line| line.contains("changed 6 times in the last 62 s")), "{answer:?}");
        assert!(judged(&changed(&[-50, -40, -32, -31])).findings.is_empty(), "somebody who closes and opens a way");
        assert!(judged(&changed(&[-400, -300, -200, -100, -90, -31])).findings.is_empty(), "over minutes");
        let one = Snapshot { nodes: flapping(9, 1).nodes, ..changed(&[-62, -61, -42, -41, -32, -31]) };
        assert!(judged(&one).findings.is_empty(), "there is one API server");
    }

    #[test]
    fn what_else_explains_a_young_condition_is_not_taken_for_it() {
        assert!(judged(&flapping(60, 3)).findings.is_empty(), "one of the servers would have written since");
        assert!(judged(&flapping(9, 1)).findings.is_empty(), "there is one API server");
        let served = Snapshot { top_nodes: healthy().top_nodes, ..flapping(9, 3) };
        assert_eq!(judged(&served).status, Status::Pass);
        let mut started = flapping(9, 3);
        let mut pod =
            started.pods.get("kube-system", "metrics-server-5d8f-abcde").seen().map(|pod| (*pod).clone()).expect("it");
        pod.status.conditions[0].last_transition_time = at(-20).parse().ok();
        started.pods.insert(pod);
        assert!(judged(&started).findings.is_empty(), "the pod became Ready a moment before");
        let live = Snapshot { source: Source::Cluster, ..flapping(9, 3) };
        assert_eq!(judged(&live).status, Status::Unknown, "the next call tells");
        assert!(judged(&live).settling_until.is_some());
    }
}
