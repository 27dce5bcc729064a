//! What the doctor says when it may no longer look.

use std::time::Duration;

use testbed::doctor;

use crate::cluster::Cluster;

pub(crate) fn revoked_at_runtime(cluster: &Cluster) {
    cluster.while_refused(|| revoke_and_restore(cluster));
}

fn revoke_and_restore(cluster: &Cluster) {
    cluster.kubectl().words("delete clusterrolebinding metrics-server-doctor");
    // The API server refuses the next request; watches that are open live on for up to a minute.
    let page = cluster.doctor.await_that("permissions are missing", Duration::from_mins(2), |page| {
        let missing = |resource| {
            let mut samples = page.named("metrics_server_doctor_permission_missing");
            samples.any(|sample| sample.label("resource").starts_with(resource) && sample.value > 0.0)
        };
        missing("apiservices")
            && missing("horizontalpodautoscalers")
            && page.verdict().is_ok_and(|verdict| verdict == "none/undetermined")
            && page.check("apiservice", "available").is_ok_and(|state| state == "unknown")
            && page.check("hpa", "targets").is_ok_and(|state| state == "unknown")
    });
    assert_eq!(page.named("hpa_unknown_targets").count(), 0, "what cannot be seen has no value");
    assert_eq!(page.named("apiservice_available").count(), 0, "what cannot be seen has no value");
    doctor::apply_base(&cluster.bed).expect("the rules of deploy/base");
    cluster.doctor.await_that("healthy again", Duration::from_secs(150), |page| {
        page.verdict().is_ok_and(|verdict| verdict == "none/healthy")
            && page.named("metrics_server_doctor_permission_missing").all(|sample| sample.value == 0.0)
    });
}
