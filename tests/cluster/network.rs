//! Real refusals and real silence between the control plane and metrics-server.

use testbed::firewall::{Action, Fault, Source};

use crate::cluster::{Cluster, Expected, HEALTHY};

const PORT: u16 = 10250;

pub(crate) fn refused(cluster: &Cluster) {
    let fault = Fault::begin(Source::ControlPlane, PORT, Action::Reset).expect("nftables");
    cluster.await_reason("FailedDiscoveryCheck");
    cluster.expect(&Expected {
        verdict: "connection_refused/nothing_listens",
        available: false,
        checks: &[
            ("apiservice/available", "fail"),
            ("connection_refused/container", "fail"),
            ("connection_refused/port_chain", "pass"),
            ("timeout/path", "pass"),
        ],
        ..HEALTHY
    });
    drop(fault);
    cluster.expect_healthy();
}

pub(crate) fn timeout(cluster: &Cluster) {
    let fault = Fault::begin(Source::ControlPlane, PORT, Action::Drop).expect("nftables");
    cluster.await_reason("FailedDiscoveryCheck");
    cluster.expect(&Expected {
        verdict: "timeout/control_plane_path_closed",
        available: false,
        checks: &[
            ("apiservice/available", "fail"),
            ("timeout/path", "fail"),
            ("connection_refused/port_chain", "pass"),
            ("other_reasons/endpoints", "pass"),
        ],
        ..HEALTHY
    });
    drop(fault);
    cluster.expect_healthy();
}
