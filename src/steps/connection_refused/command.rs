//! The version knows every flag of its command, and accepts every value; nothing else holds its port.

use super::replica;
use crate::{
    catalogue::Cause,
    check::{Docket, Finding, Slot},
    facts::{
        Facts,
        containers::Replica,
        flags::{refused_value, unknown_flag},
        metrics_server::{self, ListenPort, Owner},
    },
    snapshot::NotSeen,
    wording::aggregator::MessageClass,
};

const CAUSES: [Cause; 3] = [Cause::UnknownFlag, Cause::FlagValueRefused, Cause::CommandNotFound];

pub(super) fn command(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    if facts.chain.owner().is_some_and(|owner| owner != Owner::MetricsServer) {
        docket.not_applicable("Another server than metrics-server stands behind the API.");
        return Ok(());
    }
    let Some(containers) = replica::seen(facts, docket)? else { return Ok(()) };
    if replica::confirm_told(facts, docket, &CAUSES) {
        return Err(replica::unread(facts));
    }
    if !containers.replicas.is_empty() && containers.replicas.iter().all(Replica::has_started) {
        docket.exclude_rest("The command runs.");
        return Ok(());
    }
    // What a message proves is not guessed again from the flags, which are read before anything else.
    let guess = containers.failing().find_map(|replica| {
        let container = metrics_server::container(&replica.pod.spec)?;
        let own = container.name == replica.status.name;
        (own && replica.is_crashing() && replica.told().is_none() && replica.ended_at_once())
            .then_some((replica, container))
    });
    let Some((crashing, container)) = guess else { return Err(replica::unread(facts)) };
    let Some(version) = metrics_server::version(&container.image) else {
        docket.say("Flags not checked: the image tag has no version.");
        return Err(replica::unread(facts));
    };
    if let Some(flag) = unknown_flag(container, version) {
        let name = format!("--{}", flag.name);
        let finding = replica::finding(
            facts,
            containers,
            crashing,
            Cause::UnknownFlag,
            format!("metrics-server {version} does not support {name}."),
        )
        .evidence(format!("metrics-server supports {name} {}", flag.known()))
        .slot(Slot::Flag, name.clone())
        .advice(if flag.removed {
            format!("Remove {name} from the container's command and args, metrics-server {version} exits because of it: `kubectl edit WORKLOAD -n NAMESPACE`.")
        } else {
            format!("Remove {name} from the container's command and args, or install metrics-server {} or newer, which supports it: `kubectl edit WORKLOAD -n NAMESPACE`.", flag.since)
        });
        docket.confirm(finding);
    } else if let Some(why) = refused_value(container, version) {
        docket.confirm(replica::finding(
            facts,
            containers,
            crashing,
            Cause::FlagValueRefused,
            format!("metrics-server {version} rejects the value of a flag: {why}."),
        ));
    }
    Err(replica::unread(facts))
}

/// Nothing else holds the port.
pub(super) fn port_conflict(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    let chain = &facts.chain;
    let containers = facts.containers();
    if chain.is_available() && !containers.replicas.iter().any(Replica::is_crashing) {
        docket.exclude_rest("metrics-server answers on its port.");
        return Ok(());
    }
    let (Some(spec), Some(container)) = (chain.pod_spec(), chain.container()) else {
        chain.workload.clone().known()?;
        docket.not_applicable("metrics-server does not stand behind the API.");
        return Ok(());
    };
    let ListenPort::Known { port, source } = metrics_server::listen_port(container) else {
        docket.say("The command line cannot be read.");
        return Err(NotSeen::NotLooked);
    };
    let fargate = chain.pods().iter().any(|pod| {
        pod.is_on_fargate()
            || facts.snapshot.nodes.get("", &pod.spec.node_name).seen().is_some_and(|node| node.is_fargate())
    });
    let shares_address =
        chain.pods().iter().any(|pod| !pod.status.pod_ip.is_empty() && pod.status.pod_ip == pod.status.host_ip);
    let refusal = facts.complaint().filter(|complaint| {
        matches!(complaint.class, MessageClass::BadStatus404 | MessageClass::BadStatus403 | MessageClass::BadStatus401)
    });
    if let Some(refusal) = refusal
        && port == 10250
        && (fargate || spec.host_network || shares_address)
    {
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
        .since(refusal.since)
        .evidence(source)
        .evidence(refusal.line());
        docket.confirm(finding);
        return Ok(());
    }
    if replica::seen(facts, docket)?.is_none() || replica::confirm_told(facts, docket, &[Cause::PortConflict]) {
        return Ok(());
    }
    // Its own probes reach it there; where the address is the node's, the kubelet may be what they reach.
    let own_address = !fargate && !spec.host_network && !shares_address;
    if own_address && containers.has_stable() {
        docket.exclude_rest(format!("No sign that port {port} is already in use."));
        return Ok(());
    }
    docket.say(format!("No sign that port {port} is already in use."));
    Err(replica::unread(facts))
}
