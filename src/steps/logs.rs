//! Step `logs` (guide: `kubectl logs`).

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::{
    catalogue::Cause,
    check::{Check, Context, Finding, Impact, Outcome},
    log_lines, metrics_server,
    snapshot::{
        ContainerLog, Named, NotSeen, Pod, Source,
        retrieval::{self, ErrorClass},
    },
    steps::{Step, apiservice::MessageClass, forbidden},
};

/// The id of the check of lines.
pub const LINES: &str = "lines";

/// The checks of this step.
pub const CHECKS: &[Check] = &[Check {
    step: Step::Logs,
    id: LINES,
    question: "Do metrics-server's logs tell of failed scrapes or of a failed start?",
    causes: &[
        Cause::ApiServerUnreachable,
        Cause::ApiServerUntrusted,
        Cause::KubeletCertificateNames,
        Cause::KubeletCertificateAuthority,
        Cause::KubeletCertificateExpired,
        Cause::KubeletCertificateMissing,
        Cause::KubeletUnauthorized,
        Cause::KubeletForbidden,
        Cause::KubeletNotFound,
        Cause::KubeletTimeout,
        Cause::KubeletRefused,
        Cause::KubeletUnreachable,
        Cause::NodeNameUnresolvable,
        Cause::KubeletOutputUnparsable,
        Cause::UnknownFlag,
        Cause::FlagValueRefused,
        Cause::CommandNotFound,
        Cause::PortConflict,
        Cause::PrivilegedPort,
        Cause::CertificateDirectoryUnwritable,
        Cause::ImageArchitecture,
        Cause::AuthReaderMissing,
        Cause::AuthDelegatorMissing,
        Cause::ListPermissionMissing,
        Cause::FrontProxyUntrusted,
    ],
    evaluate: lines,
}];

/// What was logged longer ago than this is history.
const RECENT: SignedDuration = SignedDuration::from_mins(10);

/// The logs of metrics-server's pods; where no pod was seen, or a bundle's logs are of pods that have been replaced, of
/// pods by that name.
fn logs<'s>(context: &Context<'s>) -> Vec<&'s ContainerLog> {
    let pods = context.chain.pods();
    let all = &context.snapshot.logs;
    let of_pods: Vec<&ContainerLog> = all
        .iter()
        .filter(|log| pods.iter().any(|pod| pod.namespace() == log.namespace() && pod.name() == log.name()))
        .collect();
    if !of_pods.is_empty() || !pods.is_empty() && context.snapshot.source == Source::Cluster {
        return of_pods;
    }
    let by_name = |log: &&ContainerLog| {
        let own = log.name().contains("metrics-server") || log.container.starts_with("metrics-server");
        own && !log.name().contains("doctor") && !log.name().contains("exporter")
    };
    all.iter().filter(by_name).collect()
}

/// How long a node's kubelet may not answer after the node became Ready.
const NODE_START: SignedDuration = SignedDuration::from_secs(150);

/// Longer than two scrapes of the longest usual resolution, 60 seconds, and their timeouts.
const SCRAPES: SignedDuration = SignedDuration::from_mins(4);

/// Whether metrics-server answers now, as far as it was seen.
fn serves(context: &Context<'_>) -> bool {
    context.chain.is_available() || context.chain.has_ready_pod()
}

/// The moment at which a log ends: the look; while nothing serves, the log's own last line, for what ended it last holds
/// until something else is written.
fn end(context: &Context<'_>, log: &ContainerLog) -> Timestamp {
    let now = context.snapshot.observed_at;
    if serves(context) {
        return now;
    }
    log.lines().filter_map(|line| log_lines::written_at(line, now)).max().unwrap_or(now)
}

/// Whether a line is recent: written within ten minutes of the log's end, or without a moment of its own.
fn is_recent(line: &str, now: Timestamp, end: Timestamp) -> bool {
    log_lines::written_at(line, now).is_none_or(|written| end.duration_since(written) < RECENT)
}

fn lines(context: &Context<'_>) -> Result<Outcome, NotSeen> {
    let logs = logs(context);
    let mut findings = startup(context, &logs);
    if findings.is_empty() {
        findings = scrapes(context, &logs);
    }
    if findings.is_empty() {
        findings.extend(kubelet_without_certificate(context));
    }
    if findings.is_empty() {
        match context.snapshot.logs.all().gap {
            Some(gap) if logs.is_empty() || context.snapshot.source == Source::Cluster => return Err(gap),
            _ if logs.is_empty() => return Ok(Outcome::skipped("There are no pods of metrics-server.")),
            _ => {}
        }
    }
    let count: usize = logs.iter().map(|log| log.lines().count()).sum();
    Ok(Outcome::from_findings(findings, format!("{count} lines of {} logs tell of no failure that lasts.", logs.len())))
}

/// Whether a line of a cause that ends or hampers a start counts in this state of the cluster.
fn counts(context: &Context<'_>, cause: Cause, line: &str, end: Timestamp) -> bool {
    let chain = context.chain;
    match cause {
        // It runs on and answers 500.
        Cause::AuthDelegatorMissing => {
            is_recent(line, context.snapshot.observed_at, end) && !forbidden::granted_by_now(context, cause)
        }
        // A warning at every start of clusters without aggregation, a fault only where the aggregator is refused.
        Cause::FrontProxyUntrusted => {
            let refused = chain.unavailable().is_some_and(|condition| {
                matches!(
                    MessageClass::of(&condition.message),
                    MessageClass::BadStatus401 | MessageClass::BadStatus403 | MessageClass::Tls
                )
            });
            refused || !chain.is_available() && line.contains("is not in the allowed list")
        }
        _ => !serves(context),
    }
}

/// How long ago a node's last failure may be that still lasts. A cluster is looked at now, and metrics-server scrapes at
/// every resolution: two and a half of them, and a minute for clocks that differ. A bundle's parts are minutes apart.
fn lasting(context: &Context<'_>) -> SignedDuration {
    if context.snapshot.source != Source::Cluster {
        return RECENT;
    }
    let container = context.chain.container();
    let resolution = container.and_then(|container| metrics_server::flag(container, "metric-resolution"));
    let resolution = resolution.and_then(metrics_server::duration_seconds).unwrap_or(60.0);
    SignedDuration::try_from_secs_f64(resolution * 2.5 + 60.0).unwrap_or(RECENT).min(RECENT)
}

/// Lines that end a start, while nothing serves.
fn startup(context: &Context<'_>, logs: &[&ContainerLog]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for log in logs {
        let end = end(context, log);
        // A start that succeeded makes the end of the one before it history.
        let overcome = log.previous
            && logs.iter().any(|other| {
                !other.previous
                    && (other.namespace(), other.name()) == (log.namespace(), log.name())
                    && other.lines().any(log_lines::has_started)
            });
        if overcome {
            continue;
        }
        let mut told: Option<(Cause, &str)> = None;
        for line in log.lines() {
            if log_lines::has_started(line) {
                // What comes before `Serving securely` did not end this start.
                told = told.filter(|(cause, _)| *cause == Cause::FrontProxyUntrusted);
            }
            if log_lines::is_scrape_failure(line) {
                continue;
            }
            // The last one ended this start; those before it may have been passed.
            let cause = log_lines::startup_failure(line).filter(|cause| counts(context, *cause, line, end));
            told = cause.map(|cause| (cause, line)).or(told);
        }
        let Some((cause, line)) = told else { continue };
        if findings.iter().any(|finding| finding.cause == cause) {
            continue;
        }
        let summary = format!("{} (pod {}/{})", cause.entry().title.trim_end_matches('.'), log.namespace(), log.name());
        findings.push(
            Finding::outage(cause, context.chain.workload_object(), summary)
                .evidence(format!("log: {}", log_lines::quoted(line))),
        );
    }
    findings
}

/// Failed scrapes with one cause.
struct Scrapes<'s> {
    nodes: BTreeSet<&'s str>,
    line: &'s str,
    count: usize,
    /// When the last of them was written, where they tell.
    last: Option<Timestamp>,
}

/// Failed scrapes of the last minutes, by cause, of nodes that are there and Ready.
fn failed_scrapes<'s>(
    context: &Context<'s>,
    logs: &[&'s ContainerLog],
    previous: bool,
) -> BTreeMap<Cause, Scrapes<'s>> {
    let now = context.snapshot.observed_at;
    let lasting = lasting(context);
    let listed: Option<BTreeSet<&str>> = match context.snapshot.top_nodes.seen().map(|retrieval| &retrieval.outcome) {
        Some(retrieval::Outcome::Samples(samples)) if !samples.is_empty() => {
            Some(samples.iter().map(|sample| sample.name.as_str()).collect())
        }
        _ => None,
    };
    let mut by_cause: BTreeMap<Cause, Scrapes<'s>> = BTreeMap::new();
    for log in logs.iter().filter(|log| log.previous == previous) {
        let end = end(context, log);
        let seen = context.snapshot.pods.get(log.namespace(), log.name());
        let pod = seen.seen();
        // metrics-server is Ready once it has scraped twice: what failed before that is history.
        let ready_since = pod.filter(|pod| pod.is_ready()).and_then(|pod| pod.ready()?.last_transition_time);
        let lasts = |line: &str| {
            let still = log_lines::written_at(line, now).is_none_or(|written| {
                end.duration_since(written) < lasting && ready_since.is_none_or(|since| written >= since)
            });
            is_recent(line, now, end) && (previous || still)
        };
        // What failed otherwise before was repaired or has changed: a node's last failure counts.
        let mut last: BTreeMap<&str, Cause> = BTreeMap::new();
        for line in log.lines().filter(|line| lasts(line)) {
            for (cause, nodes) in log_lines::scrape_failures(line) {
                last.extend(nodes.into_iter().map(|node| (node, cause)));
            }
        }
        let own_node = pod.map_or("", |pod| pod.spec.node_name.as_str());
        for line in log.lines().filter(|line| lasts(line)) {
            for (cause, nodes) in log_lines::scrape_failures(line) {
                let named = !nodes.is_empty();
                let affected: Vec<&str> = nodes
                    .into_iter()
                    .filter(|node| last.get(node) == Some(&cause))
                    .filter(|node| match context.snapshot.nodes.get("", node).known() {
                        // Nodes that are gone or not Ready are no fault of the way to them.
                        Ok(None) => false,
                        Ok(Some(known)) => {
                            let young = known.ready_since().is_some_and(|since| now.duration_since(since) < NODE_START);
                            let own = known.is_fargate() && *node == own_node;
                            known.is_ready() && !(young || known.is_virtual() || own)
                        }
                        // Of nodes that were not seen `kubectl top nodes` lists those that are there.
                        Err(_) if listed.as_ref().is_some_and(|listed| !listed.contains(*node)) => false,
                        Err(_) => !(node.starts_with("fargate-") && *node == own_node),
                    })
                    .collect();
                if affected.is_empty() && named {
                    continue;
                }
                let entry = by_cause.entry(cause).or_insert_with(|| Scrapes {
                    nodes: BTreeSet::new(),
                    line,
                    count: 0,
                    last: None,
                });
                entry.last = entry.last.max(log_lines::written_at(line, now));
                entry.nodes.extend(affected);
                entry.count += 1;
            }
        }
    }
    by_cause
}

fn scrapes(context: &Context<'_>, logs: &[&ContainerLog]) -> Vec<Finding> {
    let nodes = context.snapshot.nodes.all();
    let available = context.chain.is_available();
    let mut by_cause = failed_scrapes(context, logs, false);
    if by_cause.is_empty() && !serves(context) {
        // Up to 0.4 failed scrapes fail the liveness probe as well, so that the container's next log may be short.
        by_cause = failed_scrapes(context, logs, true);
    }
    let answer = context.snapshot.top_nodes.seen().map(|retrieval| &retrieval.outcome);
    let sampled: Option<BTreeSet<&str>> = match answer {
        Some(retrieval::Outcome::Samples(samples)) => {
            Some(samples.iter().filter(|sample| !sample.unknown).map(|sample| sample.name.as_str()).collect())
        }
        Some(retrieval::Outcome::Failed { class: ErrorClass::Empty, .. }) => Some(BTreeSet::new()),
        _ => None,
    };
    let mut lasting: Vec<(Cause, usize, Scrapes<'_>)> = Vec::new();
    for (cause, scrapes) in by_cause {
        // A node that has a sample now was scraped after all.
        let count =
            scrapes.nodes.iter().filter(|node| sampled.as_ref().is_none_or(|sampled| !sampled.contains(*node))).count();
        let all_sampled =
            count == 0 && (!scrapes.nodes.is_empty() || sampled.as_ref().is_some_and(|all| !all.is_empty()));
        let once = scrapes.count < 2 && available && sampled.is_none();
        // Every scrape that fails is told, so silence since means that they do no longer.
        let over = available
            && sampled.is_none()
            && scrapes.last.is_some_and(|last| context.snapshot.observed_at.duration_since(last) > SCRAPES);
        if !all_sampled && !once && !over {
            lasting.push((cause, count, scrapes));
        }
    }
    let most = lasting.iter().map(|(_, count, _)| *count).max().unwrap_or(0);
    let mut findings = Vec::new();
    for (cause, count, scrapes) in lasting {
        let all = nodes.gap.is_none() && count >= nodes.objects.iter().filter(|node| node.is_ready()).count();
        let none_sampled = sampled.as_ref().is_some_and(BTreeSet::is_empty);
        // Where nodes fail in several ways, what most of them share takes metrics away.
        let outage = all || count == most && (!available || none_sampled);
        let summary = format!("metrics-server's scrapes of {} nodes fail: {}", count.max(1), cause.entry().title);
        let finding = Finding::outage(cause, context.chain.workload_object(), summary)
            .evidence(format!("log: {}", log_lines::quoted(scrapes.line)))
            .evidence(format!("{} such lines in the last ten minutes", scrapes.count));
        findings.push(Finding { impact: if outage { Impact::Outage } else { Impact::Partial }, ..finding });
    }
    findings
}

/// The kubelet serves logs with the certificate that it serves metrics with, so what keeps the API server from
/// metrics-server's log keeps metrics-server from the node.
fn kubelet_without_certificate(context: &Context<'_>) -> Option<Finding> {
    let chain = context.chain;
    let (pod, text) = context.snapshot.logs.scopes().iter().find_map(|scope| {
        let Some(NotSeen::Unreachable(text)) = &scope.gap else { return None };
        let is_missing = text.contains("/containerLogs/") && text.contains("remote error: tls: internal error");
        let concerns = |pod: &&Pod| {
            scope.namespace.as_deref() == Some(pod.namespace()) && scope.name.as_deref() == Some(pod.name())
        };
        let pod = chain.pods().iter().copied().find(concerns)?;
        is_missing.then_some((pod, text))
    })?;
    let node = pod.spec.node_name.as_str();
    let is_sampled = context.snapshot.top_nodes.seen().is_some_and(|retrieval| match &retrieval.outcome {
        retrieval::Outcome::Samples(samples) => samples.iter().any(|sample| sample.name == node && !sample.unknown),
        retrieval::Outcome::Failed { .. } => false,
    });
    // What was scraped before the certificate went is still served, for a round.
    if chain.is_available() && is_sampled {
        return None;
    }
    let cause = Cause::KubeletCertificateMissing;
    let summary = format!("The kubelet of node {node} serves neither metrics nor logs: {}", cause.entry().title);
    let finding = Finding::outage(cause, chain.workload_object(), summary).evidence(format!(
        "log of pod {}/{}: {}",
        pod.namespace(),
        pod.name(),
        log_lines::quoted(text)
    ));
    Some(Finding { impact: if chain.is_available() { Impact::Partial } else { Impact::Outage }, ..finding })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        check::Status,
        snapshot::{ApiService, Collection, Observed, Scope, Snapshot},
        testing::{at, healthy, object, run},
    };

    fn with(lines: &[&str], ready: bool) -> Snapshot {
        let mut snapshot = healthy();
        let mut log = ContainerLog::new("kube-system", "metrics-server-5d8f-abcde", "metrics-server");
        for line in lines {
            log.push(line);
        }
        snapshot.logs = Collection::complete([log]);
        snapshot.top_nodes = Observed::default();
        if !ready {
            let mut pod = snapshot
                .pods
                .get("kube-system", "metrics-server-5d8f-abcde")
                .seen()
                .map(|pod| (*pod).clone())
                .expect("it");
            pod.status.conditions.clear();
            snapshot.pods = Collection::complete([pod]);
            snapshot.api_services = Collection::complete([object::<ApiService>(json!({
                "metadata": {"name": "v1beta1.metrics.k8s.io"},
                "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "service": {"namespace": "kube-system", "name": "metrics-server"}},
                "status": {"conditions": [{"type": "Available", "status": "False", "reason": "MissingEndpoints"}]}
            }))]);
        }
        snapshot
    }

    fn causes(snapshot: &Snapshot) -> Vec<(Cause, Impact)> {
        run(Step::Logs, "lines", snapshot).findings.iter().map(|finding| (finding.cause, finding.impact)).collect()
    }

    const NODE_1: &str = r#"E0101 11:59:00.000000       1 scraper.go:149] "Failed to scrape node" err="request failed, status: \"403 Forbidden\"" node="node-1""#;
    const NODE_2: &str = r#"E0101 11:59:15.000000       1 scraper.go:149] "Failed to scrape node" err="request failed, status: \"403 Forbidden\"" node="node-2""#;

    #[test]
    fn scrapes_that_fail_on_all_nodes_are_an_outage_and_on_one_partial() {
        assert_eq!(causes(&with(&[NODE_1, NODE_2], true)), [(Cause::KubeletForbidden, Impact::Outage)]);
        assert_eq!(causes(&with(&[NODE_1, NODE_1], true)), [(Cause::KubeletForbidden, Impact::Partial)]);
        assert_eq!(causes(&with(&[NODE_1, NODE_2], false)), [(Cause::KubeletForbidden, Impact::Outage)]);
    }

    #[test]
    fn what_is_history_or_was_scraped_after_all_is_no_fault() {
        let old = NODE_1.replace("11:59", "09:59");
        assert_eq!(causes(&with(&[&old, &old], true)), []);
        let mut snapshot = with(&[NODE_1, NODE_1], true);
        snapshot.top_nodes = healthy().top_nodes;
        assert_eq!(causes(&snapshot), []);
        let gone = NODE_1.replace("node-1", "node-9");
        assert_eq!(causes(&with(&[&gone, &gone], true)), []);
    }

    #[test]
    fn on_a_cluster_a_failure_that_is_not_repeated_is_over() {
        let old = NODE_1.replace("11:59", "11:56");
        let bundle = with(&[&old, &old], true);
        for (source, resolution, expected) in [
            (Source::Bundle, "15s", vec![(Cause::KubeletForbidden, Impact::Partial)]),
            (Source::Cluster, "15s", vec![]),
            (Source::Cluster, "120s", vec![(Cause::KubeletForbidden, Impact::Partial)]),
        ] {
            let mut snapshot = Snapshot { source, ..bundle.clone() };
            let mut pod = snapshot.pods.iter().next().cloned().expect("a pod");
            pod.spec.containers[0].args = vec![format!("--metric-resolution={resolution}")];
            snapshot.pods = Collection::complete([pod]);
            assert_eq!(causes(&snapshot), expected, "{source:?} {resolution}");
        }
    }

    #[test]
    fn a_failure_from_before_the_pod_was_ready_is_over() {
        let mut snapshot = with(&[NODE_1, NODE_2], true);
        for (since, expected) in [(-600, 1), (-20, 0)] {
            let mut pod = snapshot.pods.iter().next().cloned().expect("a pod");
            let ready = json!({"type": "Ready", "status": "True", "lastTransitionTime": at(since)});
            pod.status.conditions = vec![object(ready)];
            snapshot.pods = Collection::complete([pod]);
            assert_eq!(causes(&snapshot).len(), expected, "since {since} s");
        }
    }

    #[test]
    fn the_last_failure_of_a_node_counts() {
        let refused = NODE_1.replace("11:59:00", "11:59:30").replace(
            r#"request failed, status: \"403 Forbidden\""#,
            r#"Get \"https://10.0.0.5:10250/metrics/resource\": dial tcp 10.0.0.5:10250: connect: connection refused"#,
        );
        let then = [NODE_1, NODE_1, &refused, &refused];
        assert_eq!(causes(&with(&then, true)), [(Cause::KubeletRefused, Impact::Partial)]);
        let both = [NODE_1, NODE_2, NODE_2, &refused, &refused];
        let expected = [(Cause::KubeletForbidden, Impact::Partial), (Cause::KubeletRefused, Impact::Partial)];
        assert_eq!(causes(&with(&both, true)), expected);
    }

    #[test]
    fn what_has_ended_since_or_is_not_there_yet_is_no_fault() {
        let stopped = NODE_1.replace("11:59", "11:52");
        assert_eq!(causes(&with(&[&stopped, &stopped], true)), []);
        let mut young = with(&[NODE_1, NODE_1], true);
        let mut nodes: Vec<crate::snapshot::Node> = young.nodes.iter().cloned().collect();
        nodes[0].status.conditions[0].last_transition_time = crate::testing::at(-60).parse().ok();
        young.nodes = Collection::complete(nodes);
        assert_eq!(causes(&young), []);
        let gone = NODE_1.replace("node-1", "node-9");
        let mut unseen = with(&[&gone, &gone], true);
        unseen.nodes = Collection::unseen(NotSeen::NotInBundle("nodes"));
        assert_eq!(causes(&unseen), [(Cause::KubeletForbidden, Impact::Partial)]);
        unseen.top_nodes = healthy().top_nodes;
        assert_eq!(causes(&unseen), [], "kubectl top lists the nodes that are there");
    }

    #[test]
    fn what_a_start_has_passed_is_no_fault() {
        let unreachable = r#"E0101 11:58:00.000000       1 reflector.go:138] Failed to list *v1.Node: Get "https://10.96.0.1:443/api/v1/nodes": dial tcp 10.96.0.1:443: i/o timeout"#;
        let serving = "I0101 11:58:20.000000       1 secure_serving.go:266] Serving securely on [::]:10250";
        assert_eq!(causes(&with(&[unreachable], false)), [(Cause::ApiServerUnreachable, Impact::Outage)]);
        assert_eq!(
            causes(&with(&[unreachable, serving, NODE_1, NODE_2], false)),
            [(Cause::KubeletForbidden, Impact::Outage)]
        );
        assert_eq!(
            causes(&with(&[serving, unreachable], false)),
            [(Cause::ApiServerUnreachable, Impact::Outage)],
            "it is told after the start"
        );
    }

    #[test]
    fn while_nothing_serves_the_last_lines_count_however_long_ago() {
        let old = NODE_1.replace("11:59", "03:59");
        assert_eq!(causes(&with(&[&old, &old], false)), [(Cause::KubeletForbidden, Impact::Outage)]);
        assert_eq!(causes(&with(&[&old, &old], true)), [], "metrics-server writes nothing while scrapes succeed");
    }

    #[test]
    fn where_nodes_fail_in_several_ways_most_of_them_decide() {
        let other = NODE_1.replace("node-1", "node-3").replace("403 Forbidden", "401 Unauthorized");
        let mut snapshot = with(&[NODE_1, NODE_2, &other], false);
        let mut third = snapshot.nodes.iter().next().cloned().expect("a node");
        third.metadata.name = "node-3".to_owned();
        snapshot.nodes.insert(third);
        assert_eq!(
            causes(&snapshot),
            [(Cause::KubeletUnauthorized, Impact::Partial), (Cause::KubeletForbidden, Impact::Outage)]
        );
    }

    #[test]
    fn a_killed_container_leaves_its_scrapes_in_the_previous_log() {
        let mut snapshot = with(&["I0101 11:59:58.000000       1 serving.go:325] Generated self-signed cert"], false);
        let mut previous = ContainerLog::new("kube-system", "metrics-server-5d8f-abcde", "metrics-server (previous)");
        previous.previous = true;
        previous.push(NODE_1);
        snapshot.logs.insert(previous);
        assert_eq!(causes(&snapshot), [(Cause::KubeletForbidden, Impact::Outage)]);
    }

    #[test]
    fn the_front_proxy_is_blamed_where_the_aggregator_is_refused() {
        let warning = "W0101 11:58:00.000000       1 authentication.go:296] Cluster doesn't provide requestheader-client-ca-file in configmap/extension-apiserver-authentication in kube-system, so request-header client certificate authentication won't work.";
        let list = r#"E0101 11:59:50.000000       1 authentication.go:63] "Unable to authenticate the request" err="x509: subject with cn=front-proxy-client is not in the allowed list: [aggregator]""#;
        assert_eq!(causes(&with(&[warning], false)), [], "it is not Ready for another reason");
        assert_eq!(causes(&with(&[list], false)), [(Cause::FrontProxyUntrusted, Impact::Outage)]);
        assert_eq!(causes(&with(&[list], true)), [], "a scanner's request");
    }

    #[test]
    fn a_node_that_kubectl_does_not_list_is_a_node_of_the_past() {
        let mut snapshot = with(&[NODE_1, NODE_1], true);
        snapshot.nodes = Collection::unseen(NotSeen::NotInBundle("nodes"));
        let sample = |name: &str, unknown| retrieval::Sample { name: name.to_owned(), unknown, ..Default::default() };
        let top = |samples| {
            Observed::Present(retrieval::Retrieval { outcome: retrieval::Outcome::Samples(samples), latency: None })
        };
        snapshot.top_nodes = top(vec![sample("node-2", false)]);
        assert_eq!(causes(&snapshot), []);
        snapshot.top_nodes = top(vec![sample("node-1", true), sample("node-2", false)]);
        assert_eq!(causes(&snapshot), [(Cause::KubeletForbidden, Impact::Partial)]);
    }

    #[test]
    fn a_kubelet_without_a_certificate_serves_no_logs_either() {
        let text = "HTTP status 500: Get \"https://10.0.0.5:10250/containerLogs/kube-system/metrics-server-5d8f-abcde/metrics-server?follow=true\": remote error: tls: internal error";
        let unread = |mut snapshot: Snapshot, text: &str| {
            let gap = NotSeen::Unreachable(text.to_owned());
            snapshot.logs = Collection::default();
            let scope = Scope::in_namespace("kube-system").named("metrics-server-5d8f-abcde").with_gap(gap);
            snapshot.logs.add_scope(scope);
            Snapshot { source: Source::Cluster, ..snapshot }
        };
        let missing = Cause::KubeletCertificateMissing;
        assert_eq!(causes(&unread(with(&[], false), text)), [(missing, Impact::Outage)]);
        assert_eq!(causes(&unread(with(&[], true), text)), [(missing, Impact::Partial)]);
        for (snapshot, text) in [
            (healthy(), text),
            (with(&[], false), "HTTP status 500: Get \"https://10.0.0.5:10250/containerLogs\": dial tcp: i/o timeout"),
        ] {
            let outcome = run(Step::Logs, "lines", &unread(snapshot, text));
            assert_eq!((outcome.status, outcome.findings.len()), (Status::Unknown, 0), "{text}");
        }
    }

    #[test]
    fn noise_is_no_fault() {
        let noise = [
            r#"I0101 11:59:50.000000       1 server.go:191] "Failed probe" probe="metric-storage-ready" err="no metrics to serve""#,
            r#"E0101 11:59:50.000000       1 authentication.go:63] "Unable to authenticate the request" err="x509: certificate signed by unknown authority""#,
            "E0101 11:59:50.000000       1 reststorage.go:98] unable to fetch pod metrics for pod shop/web-1: no metrics known for pod",
            "I0101 11:59:50.000000       1 log.go:245] http2: server connection error: PROTOCOL_ERROR",
        ];
        assert_eq!(run(Step::Logs, "lines", &with(&noise, true)).status, Status::Pass);
    }

    #[test]
    fn a_failed_start_counts_only_while_nothing_serves() {
        let panic = "panic: unknown flag: --logtostderr";
        assert_eq!(causes(&with(&[panic], false)), [(Cause::UnknownFlag, Impact::Outage)]);
        assert_eq!(causes(&with(&[panic], true)), []);
        let delegator = r#"E0101 11:59:50.000000       1 webhook.go:253] Failed to make webhook authorizer request: subjectaccessreviews.authorization.k8s.io is forbidden: User "system:serviceaccount:kube-system:metrics-server" cannot create resource "subjectaccessreviews" in API group "authorization.k8s.io" at the cluster scope"#;
        let granted = with(&[delegator], true);
        assert_eq!(causes(&granted), [], "the binding was made since");
        let missing = Snapshot { role_bindings: Collection::complete([]), ..granted };
        assert_eq!(causes(&missing), [(Cause::AuthDelegatorMissing, Impact::Outage)]);
    }
}
