//! metrics-server's own manifest with the sidecar component.

use std::{fs, time::Duration};

use anyhow::{Context, ensure};
use testbed::{Bed, wait::wait_for};

use crate::installed::{self, Running};

const ACCOUNT: (&str, &str) = ("kube-system", "metrics-server");

pub(crate) fn serves(bed: &Bed) {
    let begin = jiff::Timestamp::now();
    let manifest = "tests/fixtures/metrics-server/manifest-0.9.yaml";
    let yaml = bed.kubectl().kustomize(&[manifest], &["deploy/components/sidecar"]);
    let yaml = yaml.unwrap_or_else(|error| panic!("{error:#}"));
    let taken = bed.kubectl().run_with_input(&["apply", "--server-side", "-f", "-"], &yaml);
    taken.unwrap_or_else(|error| panic!("{error:#}"));
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
    let flags = installed::flags(spec);
    let networks = fs::read_dir("/run/netns").expect("network namespaces").flatten().map(|entry| entry.path());
    let network = networks
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("metrics-server-")))
        .max()
        .expect("the network namespace of the pod");
    let doctor = Running::start_within(bed, ACCOUNT, &network, &address, &flags);
    let page = doctor.await_that("healthy", |page| page.verdict().is_ok_and(|verdict| verdict == "none/healthy"));
    assert!(page.named("metrics_server_doctor_permission_missing").all(|sample| sample.value == 0.0));
    doctor.fits(spec);
    // metrics-server has this account too, so what it asks for is in the log as well; it is not refused either.
    let refused = installed::refused(ACCOUNT.0, ACCOUNT.1, begin);
    assert!(refused.is_empty(), "refused: {refused:#?}");
}
