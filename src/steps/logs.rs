//! Step `logs` (guide: `kubectl logs`).

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::{
    catalogue::Cause,
    check::{Check, Context, Finding, Impact, Outcome},
    log_lines,
    snapshot::{ContainerLog, Named, NotSeen, retrieval},
    steps::{Step, forbidden},
};

/// The checks of this step.
pub const CHECKS: &[Check] = &[Check {
    step: Step::Logs,
    id: "lines",
    question: "Do metrics-server's logs tell of failed scrapes or of a failed start?",
    causes: &[
        Cause::ApiServerUnreachable,
        Cause::KubeletCertificateNames,
        Cause::KubeletCertificateAuthority,
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

/// The logs of metrics-server's pods; where no pod was seen, of pods by that name.
fn logs<'s>(context: &Context<'s>) -> Vec<&'s ContainerLog> {
    let pods = context.chain.pods();
    context
        .snapshot
        .logs
        .iter()
        .filter(|log| {
            if pods.is_empty() {
                return log.name().contains("metrics-server") && !log.name().contains("doctor");
            }
            pods.iter().any(|pod| pod.namespace() == log.namespace() && pod.name() == log.name())
        })
        .collect()
}

/// Whether a line is recent: written within ten minutes of the look, or without a moment of its own.
fn is_recent(line: &str, now: Timestamp) -> bool {
    log_lines::written_at(line, now).is_none_or(|written| now.duration_since(written) < RECENT)
}

fn lines(context: &Context<'_>) -> Result<Outcome, NotSeen> {
    let logs = logs(context);
    if logs.is_empty() {
        let gap = context.snapshot.logs.all().gap;
        return match gap {
            Some(gap) => Err(gap),
            None => Ok(Outcome::skipped("There are no pods of metrics-server.")),
        };
    }
    let mut findings = startup(context, &logs);
    if findings.is_empty() {
        findings = scrapes(context, &logs);
    }
    let count: usize = logs.iter().map(|log| log.lines().count()).sum();
    Ok(Outcome::from_findings(findings, format!("{count} lines of {} logs tell of no failure that lasts.", logs.len())))
}

/// Causes that show only while metrics-server does not serve: it runs on after the others.
fn shows_while_serving(cause: Cause) -> bool {
    matches!(cause, Cause::AuthDelegatorMissing)
}

/// Lines that end a start, while nothing serves.
fn startup(context: &Context<'_>, logs: &[&ContainerLog]) -> Vec<Finding> {
    let chain = context.chain;
    let now = context.snapshot.observed_at;
    let serving = chain.is_available() || chain.has_ready_pod();
    let mut findings: Vec<Finding> = Vec::new();
    for log in logs {
        let told = log.lines().filter_map(|line| log_lines::startup_failure(line).map(|cause| (cause, line)));
        // A panic has no moment; it is the end of its log, so it is as recent as the log is.
        let told: Vec<(Cause, &str)> = told
            .filter(|(cause, line)| {
                if shows_while_serving(*cause) {
                    is_recent(line, now) && !forbidden::granted_by_now(context, *cause)
                } else {
                    !serving
                }
            })
            .filter(|(_, line)| !log_lines::is_scrape_failure(line))
            .filter(|(cause, _)| *cause != Cause::FrontProxyUntrusted || chain.unavailable().is_some())
            .collect();
        // The last one ended this start; those before it may have been passed.
        let Some((cause, line)) = told.last() else { continue };
        if findings.iter().any(|finding| finding.cause == *cause) {
            continue;
        }
        let summary = format!("{} (pod {}/{})", cause.entry().title.trim_end_matches('.'), log.namespace(), log.name());
        findings.push(
            Finding::outage(*cause, chain.workload_object(), summary)
                .evidence(format!("log: {}", log_lines::quoted(line))),
        );
    }
    findings
}

/// Failed scrapes of the last minutes, by cause.
fn scrapes(context: &Context<'_>, logs: &[&ContainerLog]) -> Vec<Finding> {
    let now = context.snapshot.observed_at;
    let nodes = context.snapshot.nodes.all();
    let mut by_cause: BTreeMap<Cause, (BTreeSet<&str>, &str, usize)> = BTreeMap::new();
    for log in logs.iter().filter(|log| !log.previous) {
        // What failed otherwise before was repaired or has changed: a node's last failure counts.
        let mut last: BTreeMap<&str, Cause> = BTreeMap::new();
        for line in log.lines().filter(|line| is_recent(line, now)) {
            let Some(cause) = log_lines::scrape_failure(line) else { continue };
            last.extend(log_lines::scrape_nodes(line).into_iter().map(|node| (node, cause)));
        }
        let own_node =
            context.snapshot.pods.get(log.namespace(), log.name()).seen().map_or("", |pod| pod.spec.node_name.as_str());
        for line in log.lines().filter(|line| is_recent(line, now)) {
            let Some(cause) = log_lines::scrape_failure(line) else { continue };
            let affected: Vec<&str> = log_lines::scrape_nodes(line)
                .into_iter()
                .filter(|node| last.get(node) == Some(&cause))
                .filter(|node| match context.snapshot.nodes.get("", node).known() {
                    // Nodes that are gone or not Ready are no fault of the way to them.
                    Ok(None) => false,
                    Ok(Some(known)) => known.is_ready() && !(known.is_fargate() && *node == own_node),
                    Err(_) => !(node.starts_with("fargate-") && *node == own_node),
                })
                .collect();
            if affected.is_empty() && !log_lines::scrape_nodes(line).is_empty() {
                continue;
            }
            let entry = by_cause.entry(cause).or_insert_with(|| (BTreeSet::new(), line, 0));
            entry.0.extend(affected);
            entry.2 += 1;
        }
    }
    let has_sample = |node: &str| {
        context.snapshot.top_nodes.seen().is_some_and(|retrieval| {
            matches!(&retrieval.outcome, retrieval::Outcome::Samples(samples) if samples.iter().any(|sample| sample.name == node && !sample.unknown))
        })
    };
    let mut findings = Vec::new();
    for (cause, (affected, line, count)) in by_cause {
        // A node that has a sample now was scraped after all.
        let lasting: Vec<&&str> = affected.iter().filter(|node| !has_sample(node)).collect();
        if lasting.is_empty() && !affected.is_empty() || count < 2 && context.chain.is_available() {
            continue;
        }
        let all = nodes.gap.is_none() && lasting.len() >= nodes.objects.iter().filter(|node| node.is_ready()).count();
        let outage = all || !context.chain.is_available();
        let summary =
            format!("metrics-server's scrapes of {} nodes fail: {}", lasting.len().max(1), cause.entry().title);
        let finding = Finding::outage(cause, context.chain.workload_object(), summary)
            .evidence(format!("log: {}", log_lines::quoted(line)))
            .evidence(format!("{count} such lines in the last ten minutes"));
        findings.push(Finding { impact: if outage { Impact::Outage } else { Impact::Partial }, ..finding });
    }
    findings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        check::Status,
        snapshot::{ApiService, Collection, Observed, Snapshot},
        testing::{healthy, object, run},
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
