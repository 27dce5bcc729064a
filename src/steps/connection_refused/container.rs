//! Image, command and state of metrics-server's container.
//!
//! A container that runs and is Ready now has no fault, whatever happened to it before; while another replica serves,
//! one that does not is at most a rollout.

use jiff::{SignedDuration, Timestamp};

use crate::{
    catalogue::Cause,
    check::Finding,
    facts::Facts as Context,
    facts::metrics_server::{self, ListenPort},
    snapshot::{
        DialOutcome, Named, NotSeen, Pod,
        pod::{ContainerState, ContainerStatus},
        version::Version,
    },
    steps::bridge::Outcome,
    wording::{aggregator::MessageClass, metrics_server_log::LogLine, quoted},
};

/// A pod of metrics-server that is not Ready, with its container's state.
struct Broken<'s> {
    pod: &'s Pod,
    status: &'s ContainerStatus,
    /// Whether the container has run so long since its last end that this is history.
    recovered: bool,
}

/// A container that runs for so long does not end again and again.
const RECOVERED: SignedDuration = SignedDuration::from_mins(30);

fn has_recovered(status: &ContainerStatus, now: Timestamp) -> bool {
    let ended = status.last_state.terminated.as_ref().and_then(|terminated| terminated.finished_at);
    status.state.running.is_some() && ended.is_some_and(|ended| now.duration_since(ended) > RECOVERED)
}

/// What does not run, where nothing else serves. `Err(Ok(..))` is an outcome that ends the check early.
#[expect(clippy::result_large_err, reason = "made once a look")]
fn broken<'s>(context: &Context<'s>) -> Result<Vec<Broken<'s>>, Result<Outcome, NotSeen>> {
    let chain = &context.chain;
    let pods = chain.pods();
    if pods.is_empty() {
        let gap = chain.selected_pods.gap.clone().or_else(|| chain.workload_pods.gap.clone());
        return Err(match gap {
            _ if chain.service_reference().is_none() && chain.workload.is_absent() => {
                Ok(Outcome::skipped("There is no workload."))
            }
            Some(gap) => Err(gap),
            None => Ok(Outcome::skipped("There are no pods.")),
        });
    }
    let ready = pods.iter().any(|pod| pod.is_ready() && !pod.is_terminating());
    if ready || chain.is_available() {
        return Err(Ok(Outcome::pass("A container of metrics-server runs and is Ready.")));
    }
    let mut broken = Vec::new();
    for pod in pods.iter().filter(|pod| !pod.is_terminating()) {
        let name = metrics_server::container(&pod.spec).map(|container| container.name.as_str());
        let statuses = &pod.status.container_statuses;
        let own = statuses.iter().find(|status| Some(status.name.as_str()) == name).or_else(|| statuses.first());
        // Where metrics-server's own container is ready, it is another one that keeps the pod from being so.
        let other = statuses.iter().find(|status| !status.ready && own.is_some_and(|own| own.ready));
        if let Some(status) = other.or(own) {
            let recovered = has_recovered(status, context.snapshot.observed_at);
            broken.push(Broken { pod, status, recovered });
        }
    }
    Ok(broken)
}

impl Broken<'_> {
    fn waiting_reason(&self) -> &str {
        self.status.state.waiting.as_ref().map_or("", |waiting| waiting.reason.as_str())
    }

    /// Whether the container ends again and again, or has ended.
    fn is_crashing(&self) -> bool {
        let ended = self.status.state.terminated.as_ref().is_some_and(|terminated| terminated.exit_code != 0);
        matches!(
            self.waiting_reason(),
            "CrashLoopBackOff" | "RunContainerError" | "CreateContainerError" | "StartError"
        ) || ended
    }

    /// The container's state now and before its last restart, where that is not history.
    fn states(&self) -> impl Iterator<Item = &ContainerState> {
        [&self.status.state].into_iter().chain((!self.recovered).then_some(&self.status.last_state))
    }

    /// Whether the kernel killed it for its memory and it has not run long since: later it is not Ready for another reason.
    fn is_killed_for_memory(&self, now: Timestamp) -> bool {
        const LONG: SignedDuration = SignedDuration::from_mins(10);
        let killed = |state: &ContainerState| {
            state.terminated.as_ref().is_some_and(|terminated| terminated.reason == "OOMKilled")
        };
        let runs_long = self
            .status
            .state
            .running
            .as_ref()
            .is_some_and(|running| running.started_at.is_some_and(|started| now.duration_since(started) > LONG));
        killed(&self.status.state) || killed(&self.status.last_state) && !runs_long
    }

    /// What the kubelet wrote down of the container's ends: messages of the states.
    fn messages(&self) -> Vec<String> {
        let mut messages = Vec::new();
        for state in self.states() {
            if let Some(waiting) = &state.waiting {
                messages.push(format!("waiting: {}: {}", waiting.reason, waiting.message));
            }
            if let Some(terminated) = &state.terminated {
                messages.push(format!(
                    "terminated: {} exit code {} {}",
                    terminated.reason, terminated.exit_code, terminated.message
                ));
            }
        }
        messages
    }

    /// The cause that a termination message names.
    fn told_cause(&self) -> Option<(Cause, String)> {
        let messages = self.messages();
        let lines = messages.iter().flat_map(|message| message.lines());
        lines.filter_map(|line| LogLine::of(line).startup_failure().map(|cause| (cause, line.to_owned()))).next_back()
    }

    fn object_name(&self) -> String {
        format!("{}/{}", self.pod.namespace(), self.pod.name())
    }
}

fn describe(finding: Finding, broken: &Broken<'_>) -> Finding {
    let restarts = format!(
        "Pod {} container {} restartCount: {}",
        broken.object_name(),
        broken.status.name,
        broken.status.restart_count
    );
    broken
        .messages()
        .into_iter()
        .fold(finding.evidence(restarts), |finding, message| finding.evidence(quoted(&message).into_owned()))
}

/// Findings of the causes that termination messages name, of those that `wanted` lists.
fn told(context: &Context<'_>, broken: &[Broken<'_>], wanted: &[Cause]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for broken in broken {
        if let Some((cause, line)) = broken.told_cause().filter(|(cause, _)| wanted.contains(cause)) {
            let summary = format!("{} (pod {})", cause.entry().title.trim_end_matches('.'), broken.object_name());
            findings.push(
                Finding::outage(cause, context.chain.workload_object(), summary).evidence(quoted(&line).into_owned()),
            );
        }
    }
    findings.truncate(1);
    findings
}

/// The image can be pulled and fits the processor.
pub(super) fn image(context: &Context<'_>) -> Result<Outcome, NotSeen> {
    const REASONS: [&str; 6] = [
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "RegistryUnavailable",
        "ImageInspectError",
    ];
    let broken = match broken(context) {
        Ok(broken) => broken,
        Err(outcome) => return outcome,
    };
    let unavailable = broken.iter().find(|broken| REASONS.contains(&broken.waiting_reason()));
    if let Some(unavailable) = unavailable {
        let image = metrics_server::container(&unavailable.pod.spec).map_or("", |container| container.image.as_str());
        let summary = format!("The image {image} cannot be pulled.");
        let finding = Finding::outage(Cause::ImageUnavailable, context.chain.workload_object(), summary);
        return Ok(Outcome::fail(describe(finding, unavailable)));
    }
    Ok(Outcome::from_findings(told(context, &broken, &[Cause::ImageArchitecture]), "The image was pulled."))
}

/// Flags that a version no longer knows, with the first version without them
/// (kubernetes-sigs/metrics-server 0.7.0 dropped klog's deprecated flags; 0.6.0 had lost them by accident).
const REMOVED_FLAGS: [(&str, Version); 13] = [
    ("source", Version::new(0, 3, 0)),
    ("deprecated-kubelet-completely-insecure", Version::new(0, 4, 0)),
    ("log-dir", Version::new(0, 7, 0)),
    ("log-file", Version::new(0, 7, 0)),
    ("log-file-max-size", Version::new(0, 7, 0)),
    ("logtostderr", Version::new(0, 7, 0)),
    ("alsologtostderr", Version::new(0, 7, 0)),
    ("one-output", Version::new(0, 7, 0)),
    ("stderrthreshold", Version::new(0, 7, 0)),
    ("skip-log-headers", Version::new(0, 7, 0)),
    ("add-dir-header", Version::new(0, 7, 0)),
    ("skip-headers", Version::new(0, 7, 0)),
    ("log-backtrace-at", Version::new(0, 7, 0)),
];

/// Flags with the first version that knows them.
const ADDED_FLAGS: [(&str, Version); 8] = [
    ("kubelet-use-node-status-port", Version::new(0, 4, 0)),
    ("kubelet-client-certificate", Version::new(0, 4, 0)),
    ("kubelet-client-key", Version::new(0, 4, 0)),
    ("kubelet-request-timeout", Version::new(0, 7, 0)),
    ("node-selector", Version::new(0, 7, 0)),
    ("logging-format", Version::new(0, 7, 0)),
    ("disable-http2-serving", Version::new(0, 8, 0)),
    ("tls-curve-preferences", Version::new(0, 9, 0)),
];

/// The version knows every flag, and accepts every value.
pub(super) fn command(context: &Context<'_>) -> Result<Outcome, NotSeen> {
    let broken = match broken(context) {
        Ok(broken) => broken,
        Err(outcome) => return outcome,
    };
    let findings = told(context, &broken, &[Cause::UnknownFlag, Cause::FlagValueRefused, Cause::CommandNotFound]);
    if !findings.is_empty() {
        return Ok(Outcome::fail_all(findings));
    }
    // What a message proves is not guessed again from the flags.
    let crashing = broken.iter().find(|broken| broken.is_crashing() && broken.told_cause().is_none());
    let Some((crashing, container)) =
        crashing.and_then(|broken| metrics_server::container(&broken.pod.spec).map(|container| (broken, container)))
    else {
        return Ok(Outcome::pass("No container ends because of its command."));
    };
    let Some(version) = metrics_server::version(&container.image) else {
        return Ok(Outcome::pass("The image does not tell its version, so its flags cannot be judged."));
    };
    let given = |name: &str| metrics_server::flag(container, name).is_some();
    let removed = REMOVED_FLAGS.iter().find(|(name, since)| version >= *since && given(name));
    let early = ADDED_FLAGS.iter().find(|(name, since)| version < *since && given(name));
    if let Some((name, since)) = removed.or(early) {
        let known = if version >= *since { format!("until {since}") } else { format!("from {since} on") };
        let finding = Finding::outage(
            Cause::UnknownFlag,
            context.chain.workload_object(),
            format!("metrics-server {version} does not know its flag --{name}."),
        )
        .evidence(format!("--{name} is known {known}"));
        return Ok(Outcome::fail(describe(finding, crashing)));
    }
    if let Some(why) = refused_value(container, version) {
        let finding = Finding::outage(
            Cause::FlagValueRefused,
            context.chain.workload_object(),
            format!("metrics-server {version} refuses a flag's value: {why}."),
        );
        return Ok(Outcome::fail(describe(finding, crashing)));
    }
    Ok(Outcome::pass("Every flag is known to this version."))
}

/// Values that the version's own validation refuses (kubernetes-sigs/metrics-server `cmd/metrics-server/app/options`).
fn refused_value(container: &crate::snapshot::pod::Container, version: Version) -> Option<String> {
    let seconds = |name: &str| metrics_server::flag(container, name).and_then(metrics_server::duration_seconds);
    let resolution = seconds("metric-resolution").unwrap_or(60.0);
    if version >= Version::new(0, 6, 0) && resolution < 10.0 {
        return Some(format!("--metric-resolution={resolution}s is below 10s"));
    }
    let timeout = seconds("kubelet-request-timeout").unwrap_or(10.0);
    if version >= Version::new(0, 7, 0) && resolution * 0.9 < timeout {
        return Some(format!(
            "--metric-resolution={resolution}s is too close to the kubelet request timeout of {timeout}s"
        ));
    }
    let given = |name: &str| metrics_server::flag(container, name).is_some();
    if given("kubelet-certificate-authority") && given("kubelet-insecure-tls") {
        return Some("--kubelet-certificate-authority excludes --kubelet-insecure-tls".to_owned());
    }
    None
}

/// Nothing else holds the port.
pub(super) fn port_conflict(context: &Context<'_>) -> Result<Outcome, NotSeen> {
    let chain = &context.chain;
    if chain.is_available() {
        return Ok(Outcome::pass("metrics-server answers on its port."));
    }
    let (Some(spec), Some(container)) = (chain.pod_spec(), chain.container()) else {
        chain.workload.clone().known()?;
        return Ok(Outcome::skipped("metrics-server does not stand behind the API."));
    };
    let ListenPort::Known { port, source } = metrics_server::listen_port(container) else {
        return Ok(Outcome::pass("The command line cannot be read."));
    };
    let fargate = chain.pods().iter().any(|pod| {
        pod.spec.node_name.starts_with("fargate-")
            || pod.metadata.labels.contains_key("eks.amazonaws.com/fargate-profile")
            || context.snapshot.nodes.get("", &pod.spec.node_name).seen().is_some_and(|node| node.is_fargate())
    });
    let shares_address =
        chain.pods().iter().any(|pod| !pod.status.pod_ip.is_empty() && pod.status.pod_ip == pod.status.host_ip);
    let answered_by_kubelet = chain.unavailable().is_some_and(|condition| {
        ["404", "403", "401"].iter().any(|code| condition.message.contains(&format!(": {code}")))
    });
    if port == 10250 && answered_by_kubelet && (fargate || spec.host_network || shares_address) {
        let place = match (fargate, spec.host_network) {
            (true, _) => "on Fargate",
            (_, true) => "with hostNetwork",
            _ => "on the node's own address",
        };
        let finding = Finding::outage(
            Cause::PortConflict,
            chain.workload_object(),
            format!("metrics-server wants port 10250, where the kubelet answers {place}."),
        )
        .evidence(source)
        .evidence(chain.unavailable().map_or_else(String::new, |condition| condition.message.clone()));
        return Ok(Outcome::fail(finding));
    }
    let broken = match broken(context) {
        Ok(broken) => broken,
        Err(outcome) => return outcome,
    };
    Ok(Outcome::from_findings(
        told(context, &broken, &[Cause::PortConflict]),
        format!("Nothing tells that port {port} is taken."),
    ))
}

/// The container runs.
pub(super) fn state(context: &Context<'_>) -> Result<Outcome, NotSeen> {
    let chain = &context.chain;
    let refused = context
        .complaint()
        .filter(|complaint| complaint.class == MessageClass::ConnectionRefused)
        .map(|complaint| complaint.condition);
    if let Some(condition) = refused
        && chain.has_ready_pod()
        && super::port_chain::evaluate(context)?.findings.is_empty()
        && context.dials_endpoint(&condition.message)
        && context.dialled()? != Some(DialOutcome::Answered)
    {
        if context.is_condition_older_than_pods(condition) {
            return Err(NotSeen::TooEarly("the pods became Ready after the aggregator last looked".to_owned()));
        }
        let finding = Finding::outage(
            Cause::NothingListens,
            chain.workload_object(),
            "All ports agree and the pods are Ready, but the connection to metrics-server's port is refused.",
        )
        .evidence(format!("condition Available: {}", condition.message));
        let dials = context.snapshot.dials.seen().into_iter().flatten();
        return Ok(Outcome::fail(dials.fold(finding, |finding, dial| finding.evidence(dial.told()))));
    }
    let broken = match broken(context) {
        Ok(broken) => broken,
        Err(outcome) => return outcome,
    };
    let findings = told(context, &broken, &[Cause::PrivilegedPort, Cause::CertificateDirectoryUnwritable]);
    if !findings.is_empty() {
        return Ok(Outcome::fail_all(findings));
    }
    let killed = broken.iter().find(|broken| broken.is_killed_for_memory(context.snapshot.observed_at));
    if let Some(killed) = killed {
        let finding = Finding::outage(
            Cause::OutOfMemory,
            chain.workload_object(),
            format!(
                "The kernel killed container {} of pod {} for its memory limit.",
                killed.status.name,
                killed.object_name()
            ),
        );
        return Ok(Outcome::fail(describe(finding, killed)));
    }
    if let Some(crashing) = broken.iter().find(|broken| broken.is_crashing()) {
        let finding = Finding::outage(
            Cause::ContainerCrashing,
            chain.workload_object(),
            format!("Container {} of pod {} ends again and again.", crashing.status.name, crashing.object_name()),
        );
        return Ok(Outcome::fail(describe(finding, crashing)));
    }
    Ok(Outcome::pass("No container of metrics-server has ended."))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        check::Status,
        guide::Step,
        snapshot::{ApiService, Collection, Snapshot},
        testing::{healthy, object, run},
    };

    fn with(image: &str, args: &[&str], status: Value, ready: &str, message: &str) -> Snapshot {
        let mut snapshot = healthy();
        let mut pod =
            snapshot.pods.get("kube-system", "metrics-server-5d8f-abcde").seen().map(|pod| (*pod).clone()).expect("it");
        pod.spec.containers[0].image = image.to_owned();
        pod.spec.containers[0].args = args.iter().map(|&arg| arg.to_owned()).collect();
        pod.status.container_statuses = vec![object(status)];
        pod.status.conditions = vec![object(json!({"type": "Ready", "status": ready}))];
        snapshot.pods = Collection::complete([pod]);
        snapshot.api_services = Collection::complete([object::<ApiService>(json!({
            "metadata": {"name": "v1beta1.metrics.k8s.io"},
            "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "service": {"namespace": "kube-system", "name": "metrics-server"}},
            "status": {"conditions": [{"type": "Available", "status": "False", "reason": "FailedDiscoveryCheck", "message": message}]}
        }))]);
        snapshot
    }

    fn all_causes(snapshot: &Snapshot) -> Vec<Cause> {
        let checks = ["port_conflict", "image", "command", "container"];
        checks
            .iter()
            .flat_map(|check| run(Step::ConnectionRefused, check, snapshot).findings)
            .map(|finding| finding.cause)
            .collect()
    }

    #[test]
    fn what_killed_the_container_long_ago_is_history() {
        let killed = |finished: i64| {
            json!({"name": "metrics-server", "restartCount": 1, "state": {"running": {"startedAt": crate::testing::at(finished + 1)}},
                "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": crate::testing::at(finished)}}})
        };
        let causes = |finished| all_causes(&with(IMAGE, &[], killed(finished), "False", "context deadline exceeded"));
        assert_eq!(causes(-300), [Cause::OutOfMemory]);
        assert_eq!(causes(-600_000), []);
    }

    const IMAGE: &str = "registry.k8s.io/metrics-server/metrics-server:v0.7.2";

    fn crash(message: &str) -> Value {
        json!({"name": "metrics-server", "restartCount": 7, "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
            "lastState": {"terminated": {"reason": "Error", "exitCode": 2, "message": message}}})
    }

    #[test]
    fn what_the_container_says_names_the_cause() {
        let port = "--secure-port=10250";
        for (status, args, cause) in [
            (
                json!({"name": "metrics-server", "state": {"waiting": {"reason": "ImagePullBackOff"}}}),
                vec![port],
                Cause::ImageUnavailable,
            ),
            (crash("exec /metrics-server: exec format error"), vec![port], Cause::ImageArchitecture),
            (crash("panic: unknown flag: --kublet-insecure-tls"), vec![port], Cause::UnknownFlag),
            (crash(""), vec![port, "--logtostderr"], Cause::UnknownFlag),
            (crash(""), vec![port, "--metric-resolution=10s"], Cause::FlagValueRefused),
            (crash("listen tcp 0.0.0.0:10250: bind: address already in use"), vec![port], Cause::PortConflict),
            (crash("listen tcp 0.0.0.0:443: bind: permission denied"), vec![], Cause::PrivilegedPort),
            (
                crash("error creating self-signed certificates: mkdir apiserver.local.config: permission denied"),
                vec![port],
                Cause::CertificateDirectoryUnwritable,
            ),
            (crash(""), vec![port, "--metric-resolution=15s"], Cause::ContainerCrashing),
            (
                json!({"name": "metrics-server", "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}),
                vec![port],
                Cause::OutOfMemory,
            ),
        ] {
            let snapshot = with(IMAGE, &args, status.clone(), "False", "MissingEndpoints");
            assert!(all_causes(&snapshot).contains(&cause), "{status} {args:?}: {:?}", all_causes(&snapshot));
        }
    }

    #[test]
    fn a_container_that_is_ready_now_has_no_fault() {
        let status = json!({"name": "metrics-server", "restartCount": 3, "state": {"running": {}}, "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}});
        assert_eq!(all_causes(&with(IMAGE, &["--logtostderr"], status, "True", "i/o timeout")), []);
    }

    #[test]
    fn old_versions_know_the_flags_that_new_ones_dropped() {
        let snapshot =
            with("k8s.gcr.io/metrics-server-amd64:v0.3.6", &["--logtostderr"], crash(""), "False", "MissingEndpoints");
        assert_eq!(all_causes(&snapshot), [Cause::ContainerCrashing]);
    }

    #[test]
    fn the_kubelet_answers_on_10250_with_host_network() {
        let status = json!({"name": "metrics-server", "state": {"running": {}}});
        let mut snapshot = with(
            IMAGE,
            &["--secure-port=10250"],
            status,
            "True",
            "bad status from https://10.0.1.10:10250/apis/metrics.k8s.io/v1beta1: 404",
        );
        assert_eq!(all_causes(&snapshot), []);
        let mut pod = snapshot.pods.iter().next().cloned().expect("a pod");
        pod.spec.host_network = true;
        snapshot.pods = Collection::complete([pod]);
        assert_eq!(all_causes(&snapshot), [Cause::PortConflict]);
    }

    #[test]
    fn refused_with_ready_pods_and_fitting_ports_is_nothing_listens() {
        let status = json!({"name": "metrics-server", "ready": true, "state": {"running": {}}});
        let snapshot = with(
            IMAGE,
            &["--secure-port=10250"],
            status,
            "True",
            "dial tcp 10.0.1.10:10250: connect: connection refused",
        );
        assert_eq!(all_causes(&snapshot), [Cause::NothingListens]);
        assert_eq!(run(Step::ConnectionRefused, "container", &healthy()).status, Status::Pass);
    }

    #[test]
    fn another_container_may_keep_the_pod_from_being_ready() {
        let mut snapshot = with(
            "metrics-server:v0.6.4",
            &[],
            json!({"name": "metrics-server", "ready": true, "state": {"running": {}}}),
            "False",
            "endpoints have no addresses",
        );
        let mut pod = snapshot.pods.iter().next().cloned().expect("it");
        pod.status.container_statuses.push(object(json!({"name": "metrics-server-nanny", "ready": false, "restartCount": 9,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}})));
        snapshot.pods = Collection::complete([pod]);
        assert_eq!(all_causes(&snapshot), [Cause::OutOfMemory]);
    }

    #[test]
    fn a_kill_that_was_survived_is_history() {
        let message = "endpoints have no addresses";
        let status = |started: i64| {
            json!({"name": "metrics-server", "restartCount": 1, "state": {"running": {"startedAt": crate::testing::at(started)}},
                "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}})
        };
        let causes = |started: i64| all_causes(&with("metrics-server:v0.9.0", &[], status(started), "False", message));
        assert_eq!(causes(-90), [Cause::OutOfMemory]);
        assert_eq!(causes(-7200), [], "it runs for two hours and is not Ready for another reason");
    }
}
