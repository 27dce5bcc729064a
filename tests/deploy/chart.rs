//! The chart, by `helm`.

use std::{fs, path::Path, thread, time::Duration};

use anyhow::ensure;
use serde_json::Value;
use testbed::{Bed, audit, components, helm, isolation::STATE, wait::wait_for};

use crate::installed::{self, BINARY, NAME, Running, everything, expect_only};

/// The namespace that releases go to; it enforces the level `restricted`.
const NAMESPACE: &str = "doctor";
const ACCOUNT: &str = "doctor-metrics-server-doctor";

/// Runs `helm`, CHART being the chart with a registry for its image.
pub(crate) fn helm(words: &str) -> String {
    let chart = helm::chart().display().to_string();
    let words = words.replace("CHART", "CHART --set image.registry=registry.example.com");
    let words: Vec<_> =
        words.split_whitespace().map(|word| if word == "CHART" { chart.as_str() } else { word }).collect();
    helm::run(&words).unwrap_or_else(|error| panic!("{error:#}"))
}

fn with_namespace(bed: &Bed, case: impl FnOnce()) {
    bed.kubectl().words(&format!("create namespace {NAMESPACE}"));
    bed.kubectl().words(&format!("label namespace {NAMESPACE} pod-security.kubernetes.io/enforce=restricted"));
    case();
    bed.kubectl().words(&format!("delete namespace {NAMESPACE} --wait"));
}

/// One release goes from each file of values to the next, and what is removed in the end leaves no trace of any.
pub(crate) fn every_setup(bed: &Bed) {
    with_namespace(bed, || {
        let before = everything(bed);
        let mut files: Vec<_> = fs::read_dir(helm::chart().join("ci")).expect("ci").flatten().collect();
        files.sort_by_key(fs::DirEntry::file_name);
        for file in files {
            let values = file.path().display().to_string();
            helm(&format!(
                "upgrade doctor CHART --install --reset-values -n {NAMESPACE} --values {values} --wait --timeout 60s"
            ));
        }
        helm(&format!("uninstall doctor -n {NAMESPACE} --wait"));
        expect_only(bed, &before);
    });
}

pub(crate) fn life(bed: &Bed) {
    with_namespace(bed, || {
        let before = everything(bed);
        let roles = || bed.kubectl().words("get roles -n kube-system -o name");
        let flags = || {
            let deployment = installed::get(bed, &format!("deployment {ACCOUNT} -n {NAMESPACE}"));
            (installed::flags(&deployment["spec"]["template"]["spec"]), deployment["status"]["readyReplicas"].clone())
        };
        let notes = helm(&format!("install doctor CHART -n {NAMESPACE} --wait --timeout 60s"));
        assert!(notes.contains("helm test doctor -n doctor --logs"), "{notes}");
        assert!(notes.contains("Nothing scrapes it yet"), "{notes}");
        assert!(
            notes.contains("lead to http://localhost:19102/runbooks/ and open while that port-forward runs"),
            "{notes}"
        );
        assert!(roles().contains("doctor-metrics-server-doctor-pods-log"));
        assert_eq!(flags().1, 1, "no pod was admitted");

        let set = "features.logs=false,replicas=2,podDisruptionBudget.enabled=true";
        let notes = helm(&format!("upgrade doctor CHART -n {NAMESPACE} --set {set} --wait --timeout 60s"));
        assert!(notes.contains("say \"unknown\": accessReviews, logs"), "{notes}");
        assert!(!roles().contains("doctor-metrics-server-doctor-pods-log"), "the rule outlives the feature");
        assert_eq!(flags(), (vec!["serve".into(), "--log-format=json".into(), "--without=logs".into()], 2.into()));

        helm(&format!("rollback doctor 1 -n {NAMESPACE} --wait --timeout 60s"));
        assert!(roles().contains("doctor-metrics-server-doctor-pods-log"), "the rollback lacks the rule");
        assert_eq!(flags().0, ["serve", "--log-format=json"]);
        assert!(bed.kubectl().try_words(&format!("get pdb {ACCOUNT} -n {NAMESPACE}")).is_err(), "the budget is left");

        helm(&format!("uninstall doctor -n {NAMESPACE} --wait"));
        expect_only(bed, &before);
    });
}

/// The policy of the audit log keeps the requests of one account, whose name a value can give.
pub(crate) const AS_AUDITED: &str = "--set fullnameOverride=metrics-server-doctor";

pub(crate) fn serves(bed: &Bed) {
    bed.kubectl().words(&format!("create namespace {NAME}"));
    for (set, missing) in [
        ("features.accessReviews=true", ""),
        ("features.logs=false,features.nodes=false,features.rbac=false", "clusterroles"),
    ] {
        let begin = jiff::Timestamp::now();
        helm(&format!("install doctor CHART -n {NAME} {AS_AUDITED} --set {set} --wait --timeout 60s"));
        let deployment = installed::get(bed, &format!("deployment {NAME} -n {NAME}"));
        let doctor = Running::start(bed, (NAME, NAME), &installed::flags(&deployment["spec"]["template"]["spec"]));
        let page = doctor.await_that("nothing is installed", |page| {
            page.verdict().is_ok_and(|verdict| verdict.starts_with("installed/"))
        });
        assert!(page.named("metrics_server_doctor_permission_missing").all(|sample| sample.value == 0.0));
        let refused = installed::refused(NAME, NAME, begin);
        assert!(refused.is_empty(), "refused with {set}: {refused:#?}");
        let asked = audit::requests_of(NAME, NAME).unwrap_or_else(|error| panic!("{error:#}"));
        let asked = asked.iter().filter(|request| request.at >= begin && request.resource == missing).count();
        assert!(missing.is_empty() || asked == 0, "{missing} are asked for although the feature is off");
        drop(doctor);
        helm(&format!("uninstall doctor -n {NAME} --wait"));
    }
    bed.kubectl().words(&format!("delete namespace {NAME} --wait"));
}

/// The pod of `helm test`.
const CHECK: &str = "doctor-metrics-server-doctor-check";

/// The pod of `helm test` is taken by the API server, what it runs gives a report with `check`'s exit code, and either Helm prints it.
pub(crate) fn test(bed: &Bed) {
    let before = everything(bed);
    with_namespace(bed, || {
        helm(&format!("install doctor CHART -n {NAMESPACE} --wait --timeout 60s"));
        let hooks = helm(&format!("get hooks doctor -n {NAMESPACE}"));
        let taken = bed.kubectl().run_with_input(&["create", "--dry-run=server", "-o", "json", "-f", "-"], &hooks);
        let pod: Value = serde_json::from_str(&taken.unwrap_or_else(|error| panic!("{error:#}"))).expect("JSON");
        assert_eq!(pod["metadata"]["annotations"]["helm.sh/hook"], "test");
        assert_eq!(pod["metadata"]["name"], CHECK);
        let service = installed::get(bed, &format!("service {ACCOUNT} -n {NAMESPACE}"));
        let selector = service["spec"]["selector"].as_object().expect("a selector");
        let labels = &pod["metadata"]["labels"];
        assert!(selector.iter().any(|(key, value)| labels[key] != *value), "the Service leads to the test's pod");

        let kubeconfig = bed.kubeconfig_of(NAMESPACE, ACCOUNT).expect("a token");
        let mut command = std::process::Command::new(BINARY);
        command.args(installed::flags(&pod["spec"])).arg("--kubeconfig").arg(kubeconfig);
        command.current_dir(Path::new(STATE)).env_remove("KUBECONFIG");
        let output = command.output().expect("the doctor starts");
        let report = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{report}");
        assert!(report.starts_with("FAULT: ") && report.contains("\ninstalled/"), "{report}");

        let programs = [components::program("helm"), components::HELM_3.path()];
        for program in programs.map(|path| path.unwrap_or_else(|error| panic!("{error:#}"))) {
            let version = helm::run_as(&program, &["version", "--short"]).unwrap_or_else(|error| panic!("{error:#}"));
            let told = tested(bed, &program, "Failed", &report).expect_err("a test that has failed").to_string();
            assert!(told.contains("FAULT: ") && told.contains("installed/"), "{version}: {told}");
            let told = tested(bed, &program, "Succeeded", "HEALTHY").unwrap_or_else(|error| panic!("{error:#}"));
            assert!(told.contains("HEALTHY"), "{version}: {told}");
            assert!(told.contains("Phase:          Succeeded"), "{version}: {told}");
        }
        helm(&format!("uninstall doctor -n {NAMESPACE} --wait"));
        bed.kubectl().words(&format!("delete pod -n {NAMESPACE} {CHECK} --ignore-not-found --wait"));
        let left = bed.kubectl().words(&format!("get all -n {NAMESPACE} -o name"));
        assert!(left.trim().is_empty(), "left: {left}");
    });
    expect_only(bed, &before);
}

/// `helm test --logs`, while the pod that it makes writes this report and ends in this phase.
fn tested(bed: &Bed, program: &Path, phase: &str, report: &str) -> anyhow::Result<String> {
    let uid = || bed.kubectl().try_words(&format!("get pod {CHECK} -n {NAMESPACE} -o jsonpath={{.metadata.uid}}")).ok();
    let former = uid();
    thread::scope(|scope| {
        let test =
            scope.spawn(|| helm::run_as(program, &["test", "doctor", "-n", NAMESPACE, "--logs", "--timeout", "60s"]));
        wait_for("a new pod to run", Duration::from_secs(30), || {
            let now =
                bed.kubectl().try_words(&format!("get pod {CHECK} -n {NAMESPACE} -o jsonpath={{.status.phase}}"))?;
            ensure!(now == "Running" && uid() != former, "{now}");
            Ok(())
        })?;
        let log = bed.kubelet.log(NAMESPACE, CHECK, "check");
        report.lines().for_each(|line| log.push(line.to_owned()));
        let status = format!("{{\"status\":{{\"phase\":\"{phase}\"}}}}");
        let words = ["patch", "pod", CHECK, "-n", NAMESPACE, "--subresource=status", "--type=merge", "-p", &status];
        bed.kubectl().run(&words)?;
        test.join().expect("helm")
    })
}
