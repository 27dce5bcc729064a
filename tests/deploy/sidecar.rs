//! The doctor in metrics-server's own pod.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, ensure};
use testbed::{Bed, wait::wait_for};

use crate::installed::{self, Running};

const ACCOUNT: (&str, &str) = ("kube-system", "metrics-server");

/// Runs it in the pod of a metrics-server that was just applied with it: it is scraped by its Service, sees everything healthy, and
/// the account is refused nothing.
pub(crate) fn serves(bed: &Bed, begin: jiff::Timestamp) {
    bed.await_healthy().unwrap_or_else(|error| panic!("{error:#}"));
    // Its endpoint is the doctor's port, whether metrics-server is Ready or not.
    let endpoint = wait_for("the Service to lead to the sidecar", Duration::from_secs(20), || {
        let slices =
            installed::get(bed, "endpointslices -n kube-system -l kubernetes.io/service-name=metrics-server-doctor");
        let slice = &slices["items"][0];
        ensure!(slice["ports"][0]["port"] == 19102, "{slice}");
        let address = slice["endpoints"][0]["addresses"][0].as_str().map(str::to_owned);
        address.context("no endpoint")
    });
    let address = endpoint.unwrap_or_else(|error| panic!("{error:#}"));

    let deployment = installed::get(bed, "deployment metrics-server -n kube-system");
    let spec = &deployment["spec"]["template"]["spec"];
    let doctor = Running::start_within(bed, ACCOUNT, &network_with(&address), &address, &installed::flags(spec));
    let page = doctor.await_that("healthy", |page| page.verdict().is_ok_and(|verdict| verdict == "none/healthy"));
    assert!(page.named("metrics_server_doctor_permission_missing").all(|sample| sample.value == 0.0));
    doctor.fits(spec);
    // metrics-server has this account too, so what it asks for is in the log as well; it is not refused either.
    let refused = installed::refused(ACCOUNT.0, ACCOUNT.1, begin);
    assert!(refused.is_empty(), "refused: {refused:#?}");
}

/// The network namespace of the pod with that address.
fn network_with(address: &str) -> PathBuf {
    let has_it = |network: &PathBuf| {
        let name = network.file_name().unwrap_or_default();
        let output = Command::new("ip").arg("-n").arg(name).args(["-o", "address"]).output().expect("ip starts");
        String::from_utf8_lossy(&output.stdout).contains(&format!(" {address}/"))
    };
    let networks = fs::read_dir("/run/netns").expect("network namespaces").flatten().map(|entry| entry.path());
    networks.into_iter().find(has_it).unwrap_or_else(|| panic!("no pod has the address {address}"))
}
