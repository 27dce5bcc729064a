//! What a user at a terminal sees: exit codes, messages, output.

#[path = "command_line/forms.rs"]
mod forms;
mod support;

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    sync::Arc,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::CommandFactory;
use metrics_server_doctor::{args::Arguments, observe::demo};
use rcgen::{Certificate, CertificateParams, DnType, KeyPair};
use serde_json::Value;
use support::{Server, doctor, run};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, crypto::ring, pki_types::PrivateKeyDer};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// A bundle with an `APIService` in the state that is asked for.
fn bundle(status: &str, reason: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let api_service = format!(
        "kind: APIService\napiVersion: apiregistration.k8s.io/v1\nmetadata: {{name: v1beta1.metrics.k8s.io}}\nspec:\n  \
         group: metrics.k8s.io\n  version: v1beta1\n  insecureSkipTLSVerify: true\n  service: {{namespace: kube-system, name: metrics-server}}\nstatus:\n  \
         conditions:\n    - {{type: Available, status: \"{status}\", reason: {reason}, message: 'service/metrics-server in \
         \"kube-system\" is not listening on port 443', lastTransitionTime: 2026-01-01T11:00:00Z}}\n"
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
    for (status, reason, top, code, verdict) in [
        ("True", "Passed", true, 0, "healthy"),
        // That the aggregator gets an answer proves nothing of anybody's samples.
        ("True", "Passed", false, 2, "undetermined"),
        ("False", "ServicePortError", false, 1, "service_port_mismatch"),
    ] {
        let folder = bundle(status, reason);
        if top {
            let rows = "NAME    CPU(cores)   CPU(%)   MEMORY(bytes)   MEMORY(%)\nnode-1  100m         5%       1000Mi          12%\n";
            fs::write(folder.path().join("top-nodes.txt"), rows).expect("a file");
        }
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
    assert!(shown.starts_with("FAULT: ") && shown.contains("\nother_reasons/service_port_mismatch, outage"), "{shown}");
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
    let output =
        run(&["check", "--from", path(&folder), "-o", "json", "--external-url", "http://[fd00::1]:19102/east/"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        report["verdict"]["runbook"],
        "http://[fd00::1]:19102/east/runbooks/other_reasons#service_port_mismatch"
    );
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
        (vec!["check", "--output", "yaml"], vec!["yaml", "text, brief, json, markdown, junit"]),
        (vec!["--listen-address", "19102"], vec!["--listen-address", "19102"]),
        (vec!["demo", "--interval", "0"], vec!["--interval", "between 0.1 and 86400"]),
        (vec!["demo", "--scene", "hpa/sunshine"], vec!["--scene", "there are", "hpa/missing_request"]),
        (
            vec!["--external-url", "doctor.example.org"],
            vec!["--external-url", "no http:// or https://", "https://doctor.example.org/east"],
        ),
        (vec!["runbook", "weather"], vec!["weather", "timeout", "connection_refused"]),
        (vec!["runbook", "timeout/rain"], vec!["timeout/rain", "no_route"]),
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
    for (variable, value, accepted) in [
        ("METRICS_SERVER_DOCTOR_OUTPUT", "yaml", "text, brief, json"),
        ("METRICS_SERVER_DOCTOR_TIMEOUT", "soon", "between 0.1 and 86400"),
        ("METRICS_SERVER_DOCTOR_WITHOUT", "logs,pods", "aws-auth"),
    ] {
        let output = doctor().arg("check").env(variable, value).output().expect("the program starts");
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{told}");
        assert!(told.contains(variable) && told.contains(accepted), "{told}");
    }
    let folder = bundle("True", "Passed");
    let mut command = doctor();
    command.args(["check", "--from", path(&folder)]).env("METRICS_SERVER_DOCTOR_OUTPT", "json");
    let output = command.output().expect("the program starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("METRICS_SERVER_DOCTOR_OUTPT"), "{}", text(&output.stderr));
}

#[test]
fn every_flag_of_closed_values_tells_them_whether_typed_or_in_the_environment() {
    let command = Arguments::command();
    let mut tried = 0;
    for subcommand in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        for flag in subcommand.get_arguments() {
            let (Some(long), Some(variable)) = (flag.get_long(), flag.get_env()) else { continue };
            let accepted: Vec<String> =
                flag.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
            let variable = variable.to_str().expect("text");
            // A switch takes nothing but true and false, and clap tells it without a list.
            if accepted.is_empty() || accepted == ["true", "false"] {
                continue;
            }
            let typed = run(&[subcommand.get_name(), &format!("--{long}=nonsense")]);
            let from_environment = doctor().arg(subcommand.get_name()).env(variable, "nonsense").output();
            let from_environment = from_environment.expect("the program starts");
            for (output, name) in [(typed, long), (from_environment, variable)] {
                let told = text(&output.stderr);
                assert_eq!(output.status.code(), Some(64), "{told}");
                let names_all = accepted.iter().all(|value| told.contains(value.as_str()));
                assert!(told.contains(name) && told.contains("nonsense") && names_all, "{told}");
            }
            tried += 1;
        }
    }
    assert!(tried > 8, "only {tried} flags have closed values");
}

/// A kubeconfig of one context `c` with cluster `c` and user `u`.
fn kubeconfig(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {{{cluster}}}}}]\ncontexts: \
         [{{name: c, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
    )
}

/// An address on loopback where nobody listens.
const NOBODY: &str = "server: 'https://127.0.0.1:1'";

#[test]
fn unreadable_input_is_one_clear_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = kubeconfig(NOBODY, "token: t");
    let authority = |value: &str| kubeconfig(&format!("{NOBODY}, {value}"), "token: t");
    for (number, (content, words)) in [
        ("not: [a, kubeconfig".to_owned(), ""),
        (String::new(), "context"),
        ("[]".to_owned(), "mapping"),
        (good.replace("current-context: c", "current-context: elsewhere"), "elsewhere"),
        (good.replace("cluster: c,", "cluster: nowhere,"), "nowhere"),
        (good.replace("name: u,", "name: another,"), "user u"),
        (kubeconfig("server: 'no address'", "token: t"), "url"),
        (authority("certificate-authority: /does/not/exist/ca.crt"), "/does/not/exist/ca.crt"),
        (authority("certificate-authority-data: '???'"), "base64"),
        (authority("certificate-authority-data: bm90aGluZw=="), "no certificate"),
        (kubeconfig(NOBODY, "tokenFile: /does/not/exist/token"), "/does/not/exist/token"),
        (
            kubeconfig(NOBODY, "client-certificate: /does/not/exist/crt, client-key: /does/not/exist/key"),
            "/does/not/exist/crt",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let file = folder.path().join(format!("kubeconfig-{number}"));
        fs::write(&file, &content).expect("a file");
        let file = file.to_str().expect("text");
        for command in ["check", "serve"] {
            let output = run(&[command, "--kubeconfig", file]);
            one_line(&output, 66, &[file, words], &content);
        }
    }
    let good_file = folder.path().join("good");
    fs::write(&good_file, &good).expect("a file");
    let good_file = good_file.to_str().expect("text");
    one_line(
        &run(&["check", "--kubeconfig", good_file, "--context", "elsewhere"]),
        66,
        &[good_file, "no context elsewhere", "there are c"],
        "--context",
    );
    for arguments in [
        ["check", "--from", "/does/not/exist"],
        ["check", "--kubeconfig", "/does/not/exist"],
        ["check", "--kubeconfig", path(&folder)],
    ] {
        one_line(&run(&arguments), 66, &[arguments[2]], &format!("{arguments:?}"));
    }
    let nowhere = doctor().arg("check").env("HOME", "/does/not/exist").output().expect("the program starts");
    one_line(&nowhere, 66, &["/does/not/exist", "not a pod"], "no kubeconfig at all");
}

fn one_line(output: &std::process::Output, code: i32, words: &[&str], what: &str) {
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{what}: {told}");
    assert!(told.starts_with("metrics-server-doctor: ") && told.trim_end().lines().count() == 1, "{what}: {told}");
    for word in words {
        assert!(told.contains(word), "{what} does not name {word}: {told}");
    }
}

#[test]
fn certificates_that_cannot_be_used_are_one_clear_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tls.crt");
    fs::write(&file, "no certificate").expect("a file");
    let file = file.to_str().expect("text");
    let output = run(&["demo", "--tls-certificate-file", file, "--tls-key-file", "/does/not/exist"]);
    one_line(&output, 66, &["--tls-key-file", "/does/not/exist"], "no key");
    let output = run(&["demo", "--tls-certificate-file", file, "--tls-key-file", file]);
    one_line(&output, 66, &["--tls-certificate-file", file, "no certificate"], "no certificate");
    for arguments in [
        vec!["demo", "--tls-certificate-file", file],
        vec!["demo", "--tls-key-file", file],
        vec!["demo", "--tls-client-ca-file", file],
        vec!["demo", "--authentication", "token-review"],
        vec!["serve", "--authentication", "basic"],
    ] {
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {}", text(&output.stderr));
    }
    let bundle = bundle("True", "Passed");
    let output = run(&["serve", "--from", path(&bundle), "--authentication", "token-review"]);
    one_line(&output, 64, &["--authentication", "--from"], "nobody to ask");
}

#[test]
fn a_port_in_use_is_named_with_the_flag_that_helps() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let bundle = bundle("True", "Passed");
    for arguments in [vec!["demo"], vec!["serve", "--from", path(&bundle)]] {
        let output = run(&[arguments.as_slice(), &["--listen-address", &address]].concat());
        one_line(&output, 69, &[&address, "--listen-address", "in use"], "a port in use");
    }
    let elsewhere = run(&["demo", "--listen-address", "192.0.2.1:19102"]);
    one_line(&elsewhere, 69, &["192.0.2.1:19102", "--listen-address"], "an address of another machine");
}

#[test]
fn help_and_version_go_to_standard_output() {
    let help = run(&["--help"]);
    assert!(help.status.success() && text(&help.stdout).contains("METRICS_SERVER_DOCTOR_LISTEN_ADDRESS"));
    let version = run(&["--version"]);
    let shown = text(&version.stdout);
    let expected = format!("metrics-server-doctor {} (revision ", env!("CARGO_PKG_VERSION"));
    assert!(shown.starts_with(&expected) && shown.ends_with(")\n") && shown.contains(", rustc 1."), "{shown}");
}

/// Answers every request as an API server does to a token that has expired; ends with the test program.
fn unauthorized_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let body = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}"#;
                let answer = format!(
                    "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                let mut stream = stream;
                drop(stream.read(&mut [0; 4096]));
                drop(stream.write_all(answer.as_bytes()));
            });
        }
    });
    format!("server: 'http://{address}'")
}

/// The state of the cluster is what could not be told; nothing is wrong with the command or its input.
#[test]
fn an_api_server_that_does_not_answer_is_never_healthy_and_told_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let unauthorized = unauthorized_server();
    for (cluster, words) in [(NOBODY, "refused"), (unauthorized.as_str(), "401")] {
        let file = folder.path().join("kubeconfig");
        fs::write(&file, kubeconfig(cluster, "token: t")).expect("a file");
        let output = run(&["check", "--kubeconfig", file.to_str().expect("text"), "--timeout", "10"]);
        one_line(&output, 2, &[words], cluster);
        let shown = text(&output.stdout);
        assert!(shown.starts_with("COULD NOT TELL: ") && shown.contains(words), "{shown}");
    }
}

/// Ends every connection after the handshake; ends with the test program.
fn tls_server(certificate: &Certificate, key: &KeyPair) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let configuration = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key);
    let configuration = Arc::new(configuration.expect("a configuration"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut connection = ServerConnection::new(Arc::clone(&configuration)).expect("a connection");
            drop(connection.complete_io(&mut stream));
        }
    });
    format!("server: 'https://{address}'")
}

#[test]
fn an_api_server_that_nobody_vouches_for_is_told_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let names = || CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("names");
    let key = KeyPair::generate().expect("a key");
    let current = names().self_signed(&key).expect("a certificate");
    let mut expired = names();
    expired.not_before = rcgen::date_time_ymd(2019, 1, 1);
    expired.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let expired = expired.self_signed(&key).expect("a certificate");
    let mut somebody = names();
    somebody.distinguished_name.push(DnType::CommonName, "somebody");
    let somebody = somebody.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate").pem();
    for (certificate, trusted, words) in [(&current, somebody, "UnknownIssuer"), (&expired, expired.pem(), "expired")] {
        let server = tls_server(certificate, &key);
        let authority = STANDARD.encode(trusted);
        let file = folder.path().join("kubeconfig");
        let content = kubeconfig(&format!("{server}, certificate-authority-data: {authority}"), "token: t");
        fs::write(&file, content).expect("a file");
        let output = run(&["check", "--kubeconfig", file.to_str().expect("text"), "--timeout", "10"]);
        one_line(&output, 2, &["certificate", words], words);
        assert!(text(&output.stdout).starts_with("COULD NOT TELL: "), "{}", text(&output.stdout));
    }
}

#[test]
fn the_runbook_that_a_report_names_is_printed_and_served() {
    let folder = bundle("False", "ServicePortError");
    let shown = text(&run(&["check", "--from", path(&folder)]).stdout);
    let command = "metrics-server-doctor runbook other_reasons/service_port_mismatch";
    assert!(shown.contains(command) && !shown.contains("docs/runbooks"), "{shown}");
    let printed = run(&["runbook", "other_reasons/service_port_mismatch"]);
    assert!(
        printed.status.success() && text(&printed.stdout).starts_with("### `service_port_mismatch`"),
        "{printed:?}"
    );
    let list = text(&run(&["runbook"]).stdout);
    assert!(list.lines().any(|line| line.starts_with("timeout ")) && !list.contains("README"), "{list}");
    let address = "https://doctor.example.org/east";
    let shown = text(&run(&["check", "--from", path(&folder), "--external-url", address]).stdout);
    assert!(shown.contains(&format!("{address}/runbooks/other_reasons#service_port_mismatch")), "{shown}");
    let server = Server::start(&["serve", "--from", path(&folder)]);
    let page = server.get("/", &[]).text();
    assert!(page.contains("<a href=\"runbooks/other_reasons#service_port_mismatch\">"), "{page}");
    let runbook = server.get("/runbooks/other_reasons", &[]);
    assert!(runbook.status == 200 && runbook.head.contains("content-security-policy: default-src 'none'"));
    assert!(runbook.text().contains("<h3 id=\"service_port_mismatch\">"));
    let unknown = server.get("/runbooks/weather", &[]);
    assert!(unknown.status == 404 && unknown.text().contains("<a href=\"other_reasons\">"));
}

#[test]
fn a_plugin_that_hangs_and_what_is_no_file_keep_nobody_waiting() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("kubeconfig");
    let plugin =
        "exec: {apiVersion: client.authentication.k8s.io/v1, command: sleep, args: ['60'], interactiveMode: Never}";
    fs::write(&file, kubeconfig("server: 'http://127.0.0.1:1'", plugin)).expect("a file");
    let begin = std::time::Instant::now();
    let output = run(&["check", "--kubeconfig", file.to_str().expect("text"), "--timeout", "1"]);
    one_line(&output, 66, &["no connection to a cluster", "within 1 s"], "a plugin that hangs");
    let output = run(&["check", "--from", "/dev/zero"]);
    one_line(&output, 66, &["/dev/zero", "neither a folder nor a file"], "a device");
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}

#[test]
fn a_file_that_is_too_large_is_named_with_the_flag_that_raises_the_limit() {
    let folder = bundle("True", "Passed");
    let pods = format!("{{\"kind\": \"List\", \"items\": [], \"filler\": \"{}\"}}", "x".repeat(2 << 20));
    fs::write(folder.path().join("pods.json"), pods).expect("a file");
    let read = |limit: &str| text(&run(&["check", "--from", path(&folder), "--largest-file", limit]).stdout);
    let report = read("1");
    assert!(
        report.contains("pods.json: skipped, 2 MiB, larger than 1 MiB: raise --largest-file to read it"),
        "{report}"
    );
    assert!(!report.contains("pods.yaml not in the bundle") && !report.contains("pods not in the bundle"), "{report}");
    assert!(!read("3").contains("pods.json: skipped"));
}

/// A free port; nobody else on this machine is in a hurry to take it.
fn free_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

#[test]
fn a_log_that_nobody_reads_or_that_cannot_be_written_stops_nothing() {
    for case in ["closed", "full", "blocked"] {
        let address = free_port();
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        if case == "blocked" {
            // As much as a pipe of Linux holds.
            writer.write_all(&vec![b'\n'; 64 << 10]).expect("a full pipe");
        }
        let stderr = if case == "full" {
            std::process::Stdio::from(fs::OpenOptions::new().write(true).open("/dev/full").expect("a device"))
        } else {
            std::process::Stdio::from(writer)
        };
        let held = (case == "blocked").then_some(reader);
        let mut child = doctor()
            .args(["demo", "--interval", "0.1", "--listen-address", &address, "--log-level", "trace"])
            .stderr(stderr)
            .spawn()
            .expect("the program starts");
        let begin = std::time::Instant::now();
        let mut answers = 0;
        while begin.elapsed() < Duration::from_secs(20) && answers < 40 {
            std::thread::sleep(Duration::from_millis(50));
            let Ok(mut stream) = std::net::TcpStream::connect(&address) else { continue };
            stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time limit");
            stream.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("a request");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap_or_else(|error| panic!("{case}: {error}"));
            assert!(answer.ends_with("ok\n"), "{case}: {answer}");
            answers += 1;
        }
        assert_eq!(child.try_wait().expect("a state"), None, "{case}: it has ended");
        assert_eq!(answers, 40, "{case}");
        child.kill().expect("it ends");
        drop((child.wait(), held));
    }
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
