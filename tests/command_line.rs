//! What a user at a terminal sees: exit codes, messages, output.

mod support;

use std::{fs, net::TcpListener, time::Duration};

use metrics_server_doctor::observe::demo;
use serde_json::Value;
use support::{Server, doctor, run};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// A bundle with an `APIService` in the state that is asked for.
fn bundle(status: &str, reason: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let api_service = format!(
        "kind: APIService\napiVersion: apiregistration.k8s.io/v1\nmetadata: {{name: v1beta1.metrics.k8s.io}}\nspec:\n  \
         group: metrics.k8s.io\n  version: v1beta1\n  service: {{namespace: kube-system, name: metrics-server}}\nstatus:\n  \
         conditions:\n    - {{type: Available, status: \"{status}\", reason: {reason}, message: 'service/metrics-server in \
         \"kube-system\" is not present', lastTransitionTime: 2026-01-01T11:00:00Z}}\n"
    );
    fs::write(folder.path().join("apiservice.yaml"), api_service).expect("a file");
    fs::write(folder.path().join("observed-at.txt"), "2026-01-01T12:00:00Z\n").expect("a file");
    folder
}

fn path(folder: &tempfile::TempDir) -> &str {
    folder.path().to_str().expect("a path of text")
}

#[test]
fn exit_codes_tell_healthy_fault_and_could_not_tell_apart() {
    for (status, reason, code, verdict) in
        [("True", "Passed", 0, "healthy"), ("False", "ServicePortError", 1, "service_port_mismatch")]
    {
        let folder = bundle(status, reason);
        let output = run(&["check", "--from", path(&folder), "--output", "json"]);
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(report["verdict"]["cause"], verdict, "{report:#}");
        assert_eq!(output.status.code(), Some(code), "{verdict}");
    }
    let empty = tempfile::tempdir().expect("a folder");
    fs::write(empty.path().join("pods.yaml"), "kind: List\napiVersion: v1\nitems: []\n").expect("a file");
    let output = run(&["check", "--from", path(&empty)]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
}

#[test]
fn the_text_report_begins_with_the_verdict() {
    let folder = bundle("False", "ServicePortError");
    let output = run(&["check", "--from", path(&folder)]);
    let shown = text(&output.stdout);
    assert!(shown.starts_with("FAULT  other_reasons/service_port_mismatch\n"), "{shown}");
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
}

#[test]
fn the_json_report_has_the_fields_of_the_contract() {
    let folder = bundle("False", "ServicePortError");
    let output =
        run(&["check", "--from", path(&folder), "-o", "json", "--runbook-url", "https://runbooks.example.org/"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["observedAt"], "2026-01-01T12:00:00Z");
    assert_eq!(report["source"], "bundle");
    for field in ["step", "cause", "summary", "remedy", "runbook"] {
        assert!(report["verdict"][field].is_string(), "verdict.{field}");
        assert!(report["findings"][0][field].is_string(), "findings.{field}");
    }
    assert!(report["verdict"]["candidates"].is_array());
    assert!(report["findings"][0]["evidence"].is_array());
    for field in ["kind", "namespace", "name"] {
        assert!(report["findings"][0]["object"][field].is_string(), "object.{field}");
    }
    assert_eq!(report["verdict"]["runbook"], "https://runbooks.example.org/other_reasons.md#service_port_mismatch");
    let steps: Vec<&str> =
        report["steps"].as_array().expect("steps").iter().filter_map(|step| step["step"].as_str()).collect();
    assert_eq!(
        steps,
        [
            "installed",
            "retrieve",
            "forbidden",
            "apiservice",
            "timeout",
            "connection_refused",
            "other_reasons",
            "logs",
            "known_issues",
            "hpa"
        ]
    );
    for step in report["steps"].as_array().expect("steps") {
        for check in step["checks"].as_array().expect("checks") {
            let status = check["status"].as_str().expect("a status");
            assert!(["pass", "fail", "unknown", "skipped"].contains(&status));
            assert!(check["check"].is_string() && check["summary"].is_string() && check["evidence"].is_array());
        }
    }
}

#[test]
fn wrong_usage_names_itself_and_what_is_accepted() {
    for (arguments, names) in [
        (vec!["chek"], vec!["chek", "check"]),
        (vec!["check", "--output", "yaml"], vec!["yaml", "text, json"]),
        (vec!["--listen-address", "19102"], vec!["--listen-address", "19102"]),
        (vec!["demo", "--interval", "0"], vec!["--interval", "between 0.1 and 86400"]),
        (vec!["demo", "--scene", "hpa/sunshine"], vec!["--scene", "there are", "hpa/missing_request"]),
        (vec!["--without", "pods"], vec!["pods", "aws-auth"]),
        (vec!["check", "--from", ".", "--kubeconfig", "x"], vec!["--from", "--kubeconfig"]),
        (vec!["check", "--from", ".", "--log-level", "a=b=c"], vec!["--log-level", "a=b=c"]),
    ] {
        let output = run(&arguments);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {told}");
        for name in names {
            assert!(told.contains(name), "{arguments:?} does not name {name}: {told}");
        }
    }
}

#[test]
fn a_wrong_environment_variable_names_itself() {
    let output =
        doctor().arg("check").env("METRICS_SERVER_DOCTOR_OUTPUT", "yaml").output().expect("the program starts");
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{told}");
    assert!(told.contains("yaml"), "{told}");
}

#[test]
fn unreadable_input_is_one_clear_line() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("kubeconfig"), "not: [a, kubeconfig").expect("a file");
    let broken = folder.path().join("kubeconfig");
    for arguments in [
        vec!["check", "--from", "/does/not/exist"],
        vec!["check", "--kubeconfig", "/does/not/exist"],
        vec!["check", "--kubeconfig", broken.to_str().expect("text")],
    ] {
        let output = run(&arguments);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(66), "{arguments:?}: {told}");
        assert!(told.starts_with("metrics-server-doctor: ") && told.trim_end().lines().count() == 1, "{told}");
        assert!(told.contains(arguments[2]), "{told}");
    }
}

#[test]
fn a_port_in_use_is_named_with_the_flag_that_helps() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let output = run(&["demo", "--listen-address", &address]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(69), "{told}");
    assert!(told.contains(&address) && told.contains("--listen-address"), "{told}");
}

#[test]
fn help_and_version_go_to_standard_output() {
    let help = run(&["--help"]);
    assert!(help.status.success() && text(&help.stdout).contains("METRICS_SERVER_DOCTOR_LISTEN_ADDRESS"));
    let version = run(&["--version"]);
    assert_eq!(text(&version.stdout), format!("metrics-server-doctor {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn an_api_server_that_cannot_be_reached_is_never_healthy() {
    let folder = tempfile::tempdir().expect("a folder");
    let kubeconfig = folder.path().join("kubeconfig");
    // Port 1 of the loopback refuses.
    let text_of = "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n\
                   contexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {token: t}}]\n";
    fs::write(&kubeconfig, text_of).expect("a file");
    let output = run(&["check", "--kubeconfig", kubeconfig.to_str().expect("text"), "--timeout", "5"]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{shown}{}", text(&output.stderr));
    assert!(shown.starts_with("COULD NOT TELL\n") && shown.contains("refused"), "{shown}");
}

#[test]
fn serve_shows_a_bundle_and_ends_when_told() {
    let folder = bundle("False", "ServicePortError");
    let server = Server::start(&["serve", "--from", path(&folder)]);
    assert_eq!(server.get("/readyz", &[]).status, 200);
    assert!(server.page().contains("apiservice_available{apiservice=\"v1beta1.metrics.k8s.io\"} 0.0\n"));
    let report: Value = serde_json::from_str(&server.get("/api/v1/report", &[]).text()).expect("JSON");
    assert_eq!(report["verdict"]["cause"], "service_port_mismatch");
    assert!(server.get("/", &[]).text().contains("other_reasons/service_port_mismatch"));
    let (took, went_well) = server.terminate();
    assert!(went_well && took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn the_page_of_the_demo_shows_the_verdict_changing() {
    let server = Server::start(&["demo", "--interval", "0.5"]);
    let mut awaited: Vec<String> = demo::scenes().iter().map(|scene| scene.verdict.clone()).collect();
    awaited.sort();
    awaited.dedup();
    let started = std::time::Instant::now();
    while !awaited.is_empty() {
        let page = server.page();
        awaited.retain(|verdict| {
            let (step, cause) = verdict.split_once('/').expect("step/cause");
            !page.contains(&format!("metrics_server_doctor_verdict{{step=\"{step}\",cause=\"{cause}\"}} 1.0\n"))
        });
        assert!(started.elapsed() < Duration::from_mins(1), "never shown: {awaited:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
