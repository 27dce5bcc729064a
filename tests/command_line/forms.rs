//! The forms of the report, and one autoscaler explained.

use std::{fs, time::Instant};

use metrics_server_doctor::render::visible::visible_json;

use super::*;

/// Autoscalers `shop/web` without a request in its pod, and `shop/worker` that sees its target.
fn autoscalers(name: &str) -> tempfile::TempDir {
    let folder = bundle("True", "Passed");
    // Not every control character may stand in YAML as it is.
    let name = visible_json(&serde_json::to_string(name).expect("JSON")).into_owned();
    let metric = "{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}";
    let target = |name: &str| format!("{{apiVersion: apps/v1, kind: Deployment, name: {name}}}");
    let web = format!(
        "- kind: HorizontalPodAutoscaler\n  apiVersion: autoscaling/v2\n  metadata: {{namespace: shop, name: {name}, creationTimestamp: 2026-01-01T00:00:00Z}}\n  \
         spec: {{scaleTargetRef: {}, maxReplicas: 3, metrics: [{metric}]}}\n  status:\n    currentReplicas: 1\n    desiredReplicas: 1\n    conditions:\n    \
         - {{type: AbleToScale, status: \"True\", reason: SucceededGetScale, message: fine, lastTransitionTime: 2026-01-01T10:00:00Z}}\n    \
         - {{type: ScalingActive, status: \"False\", reason: FailedGetResourceMetric, message: 'failed to get cpu utilization: missing request for cpu in container web of Pod web-1', lastTransitionTime: 2026-01-01T10:00:00Z}}\n",
        target("web")
    );
    let worker = format!(
        "- kind: HorizontalPodAutoscaler\n  apiVersion: autoscaling/v2\n  metadata: {{namespace: shop, name: worker}}\n  \
         spec: {{scaleTargetRef: {}, maxReplicas: 3, metrics: [{metric}]}}\n  status:\n    currentReplicas: 1\n    desiredReplicas: 1\n    \
         currentMetrics: [{{type: Resource, resource: {{name: cpu, current: {{averageUtilization: 10, averageValue: 10m}}}}}}]\n    conditions:\n    \
         - {{type: ScalingActive, status: \"True\", reason: ValidMetricFound, message: fine, lastTransitionTime: 2026-01-01T10:00:00Z}}\n",
        target("worker")
    );
    let list = |items: &str| format!("kind: List\napiVersion: v1\nitems:\n{items}");
    fs::write(folder.path().join("hpa.yaml"), list(&format!("{web}{worker}"))).expect("a file");
    let deployment = "- kind: Deployment\n  apiVersion: apps/v1\n  metadata: {namespace: shop, name: web}\n  spec:\n    replicas: 1\n    selector: {matchLabels: {app: web}}\n    \
         template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: web}, {name: proxy, image: proxy, resources: {requests: {cpu: 10m}}}]}}\n";
    fs::write(folder.path().join("deployments.yaml"), list(deployment)).expect("a file");
    let pod = "- kind: Pod\n  apiVersion: v1\n  metadata: {namespace: shop, name: web-1, labels: {app: web}, creationTimestamp: 2026-01-01T00:00:00Z}\n  \
         spec: {nodeName: node-1, containers: [{name: web, image: web}, {name: proxy, image: proxy, resources: {requests: {cpu: 10m}}}]}\n  \
         status: {phase: Running, conditions: [{type: Ready, status: \"True\", lastTransitionTime: 2026-01-01T00:01:00Z}]}\n";
    fs::write(folder.path().join("pods.yaml"), list(pod)).expect("a file");
    folder
}

fn check(folder: &tempfile::TempDir, more: &[&str]) -> std::process::Output {
    let mut command = doctor();
    command.args(["check", "--from", path(folder)]).args(more).env("LC_ALL", "C.UTF-8").env_remove("NO_COLOR");
    command.output().expect("the program starts")
}

#[test]
fn every_form_tells_the_same_verdict() {
    let folder = bundle("False", "ServicePortError");
    for (form, begins, holds) in [
        ("text", "FAULT: ", "other_reasons/service_port_mismatch, outage, since 2026-01-01 11:00 UTC (1 h)"),
        ("brief", "FAULT: ", "metrics-server-doctor runbook other_reasons/service_port_mismatch"),
        ("json", "{\n", "\"cause\": \"service_port_mismatch\""),
        ("markdown", "## FAULT: ", "`other_reasons/service_port_mismatch`"),
        ("junit", "<?xml version=\"1.0\"", "<failure type=\"other_reasons/service_port_mismatch\""),
    ] {
        let output = check(&folder, &["--output", form]);
        let shown = text(&output.stdout);
        assert!(shown.starts_with(begins) && shown.contains(holds), "{form}: {shown}");
        assert_eq!(output.status.code(), Some(1), "{form}");
        assert!(output.stderr.is_empty(), "{form}: nothing is written beside the report on a pipe");
        assert!(!shown.contains('\u{1b}'), "{form}");
    }
}

#[test]
fn colours_and_letters_are_those_that_the_place_shows() {
    let folder = bundle("False", "ServicePortError");
    assert!(!text(&check(&folder, &[]).stdout).contains('\u{1b}'), "a pipe");
    assert!(text(&check(&folder, &["--color", "always"]).stdout).starts_with("\u{1b}[1m\u{1b}[31mFAULT: "));
    assert!(!text(&check(&folder, &["--color=never"]).stdout).contains('\u{1b}'));
    assert!(text(&check(&folder, &[]).stdout).contains('✗'));
    let mut command = doctor();
    command.args(["check", "--from", path(&folder)]).env("LC_ALL", "C");
    let shown = text(&command.output().expect("the program starts").stdout);
    assert!(shown.is_ascii() && shown.contains("API server -> APIService X Service"), "{shown}");
}

#[test]
fn one_autoscaler_is_explained_with_all_that_it_depends_on() {
    let folder = autoscalers("web");
    let output = check(&folder, &["--hpa", "shop/web"]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    for words in [
        "HorizontalPodAutoscaler shop/web: container web of pod web-1 has no cpu request",
        "Target    Deployment web (apps/v1): 1 replica",
        "Selector  app=web",
        "Metric    Resource cpu, in percent of the requests: <unknown>",
        "web-1: Ready; web: no cpu request; proxy: cpu 10m; sample not seen",
        "ScalingActive False: FailedGetResourceMetric, since 2026-01-01 10:00 UTC (2 h): failed to get cpu utilization",
        "Fix (hpa/missing_request):",
        "kubectl set resources deployment web -n shop -c web --requests=cpu=100m",
    ] {
        assert!(shown.contains(words), "{words} in\n{shown}");
    }
    let output = check(&folder, &["--hpa", "shop/worker"]);
    assert!(output.status.success(), "{}", text(&output.stdout));
    assert!(text(&output.stdout).starts_with("HorizontalPodAutoscaler shop/worker has a value"));
}

#[test]
fn an_autoscaler_that_does_not_exist_names_the_nearest() {
    let folder = autoscalers("web");
    one_line(&check(&folder, &["--hpa", "shop/wrker"]), 66, &["shop/wrker", "did you mean shop/worker?"], "a slip");
    let output = check(&folder, &["--hpa", "web"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(text(&output.stderr).contains("expected NAMESPACE/NAME"), "{}", text(&output.stderr));
    one_line(&check(&folder, &["--hpa", "shop/web", "-o", "json"]), 64, &["--hpa", "--output"], "a form");
    let none = bundle("True", "Passed");
    one_line(&check(&none, &["--hpa", "shop/web"]), 2, &["shop/web", "not seen"], "a bundle without any");
}

#[test]
fn waiting_ends_with_the_time_that_was_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("kubeconfig");
    fs::write(&file, kubeconfig(NOBODY, "token: t")).expect("a file");
    let started = Instant::now();
    let output = run(&["check", "--kubeconfig", file.to_str().expect("text"), "--wait-healthy", "1s"]);
    let took = started.elapsed();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(20), "{took:?}");
    for wrong in ["soon", "0s", "-1m", "48h"] {
        let output = run(&["check", &format!("--wait-healthy={wrong}")]);
        assert_eq!(output.status.code(), Some(64), "{wrong}");
        assert!(text(&output.stderr).contains("such as 90s, 2m"), "{wrong}: {}", text(&output.stderr));
    }
    let bundle = bundle("True", "Passed");
    let output = run(&["check", "--from", path(&bundle), "--wait-healthy", "1s"]);
    assert_eq!(output.status.code(), Some(64), "a bundle never changes");
}

/// It would clear the screen, ring, set the title, colour the rest and turn it around.
const HOSTILE: &str = "web\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}";

fn assert_inert(what: &str, bytes: &[u8]) {
    let shown = text(bytes);
    let acting =
        shown.chars().find(|&character| (character.is_control() && character != '\n') || character == '\u{202e}');
    assert_eq!(acting, None, "{what}: {shown:?}");
}

#[test]
fn names_of_a_cluster_reach_no_terminal_page_or_log_unescaped() {
    let folder = autoscalers(HOSTILE);
    for form in ["text", "brief", "json", "markdown", "junit"] {
        let output = check(&folder, &["--output", form, "--verbose"]);
        assert!(text(&output.stdout).contains("owned"), "{form}: {}", text(&output.stdout));
        assert_inert(form, &output.stdout);
        assert_inert(form, &output.stderr);
    }
    let wanted = format!("shop/{HOSTILE}");
    let output = check(&folder, &["--hpa", &wanted]);
    assert!(text(&output.stdout).contains("owned"), "{}", text(&output.stdout));
    assert_inert("--hpa", &output.stdout);
    let output = check(&folder, &["--hpa", &format!("{wanted}x")]);
    assert!(text(&output.stderr).contains("owned"), "{}", text(&output.stderr));
    assert_inert("the nearest", &output.stderr);
    let server = Server::start(&["serve", "--from", path(&folder)]);
    assert_inert("the page", &server.get("/", &[]).body);
    drop(server);
    for format in ["text", "json"] {
        let log = serve_for_a_moment(&folder, format);
        assert!(text(&log).contains("owned"), "{format}: {}", text(&log));
        assert_inert(format, &log);
    }
}

/// What `serve` logs until its verdict is told.
fn serve_for_a_moment(folder: &tempfile::TempDir, format: &str) -> Vec<u8> {
    let log = tempfile::NamedTempFile::new().expect("a file");
    let mut command = doctor();
    command.args(["serve", "--from", path(folder), "--listen-address", "127.0.0.1:0", "--log-format", format]);
    let mut child = command.stderr(log.reopen().expect("the file")).spawn().expect("the program starts");
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(20) {
        if fs::read_to_string(log.path()).is_ok_and(|text| text.contains("verdict")) {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(child.kill());
    drop(child.wait());
    fs::read(log.path()).expect("the log")
}
