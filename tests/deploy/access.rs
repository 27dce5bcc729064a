//! Who may read the page, as values of the chart set it up.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use testbed::{Bed, page, prometheus::Prometheus, wait::wait_for};

use crate::{
    chart::{AS_AUDITED, helm},
    https::Client,
    installed::{self, NAME, Running, container, everything, expect_only},
    kubelet::{self, token},
};

/// The Secret with the server's certificate.
const PAGE: &str = "page";
/// What clients call the server: its Service.
const SERVER: &str = "metrics-server-doctor.metrics-server-doctor.svc";

/// Issues the certificate anew by an authority called `issue` and stores it as cert-manager does; gives who trusts it.
fn certified(bed: &Bed, issue: &str) -> Client {
    bed.certificates.issue_by_own_authority(issue, SERVER, &[SERVER]).unwrap_or_else(|error| panic!("{error:#}"));
    let read = |name: String| std::fs::read_to_string(bed.certificates.path(&name)).expect("a file");
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": { "name": PAGE, "namespace": NAME },
        "stringData": {
            "tls.crt": read(format!("{issue}.crt")),
            "tls.key": read(format!("{issue}.key")),
            "ca.crt": read(format!("{issue}-authority.crt")),
        },
    });
    bed.kubectl().apply(&secret.to_string());
    Client::trusting(&bed.certificates.path(&format!("{issue}-authority.crt")), SERVER)
}

fn pod(bed: &Bed) -> Value {
    installed::get(bed, &format!("deployment {NAME} -n {NAME}"))["spec"]["template"]["spec"].clone()
}

/// Starts the doctor of the installed Deployment; both probes are sent as it says, and neither brings credentials.
fn started(bed: &Bed, spec: &Value, client: &Client) -> Running {
    kubelet::mount(bed, NAME, spec);
    let doctor = Running::launch(bed, (NAME, NAME), &installed::flags(spec));
    for probe in ["readinessProbe", "livenessProbe"] {
        let probe = &container(spec)[probe]["httpGet"];
        assert_eq!(probe["scheme"], "HTTPS");
        let path = probe["path"].as_str().expect("a path");
        doctor.await_ready(|address| client.get(address, path, None));
    }
    doctor
}

fn expect(doctor: &Running, client: &Client, path: &str, token: Option<&str>, status: u16) {
    // The API server follows a new binding within moments, and a refusal is kept for ten seconds.
    let seen = wait_for(&format!("{status} for {path}"), Duration::from_secs(20), || {
        let seen = client.get(doctor.address, path, token)?;
        ensure!(seen == status, "{path} answers {seen}");
        Ok(())
    });
    seen.unwrap_or_else(|error| panic!("{error:#}\n{}", doctor.log()));
}

pub(crate) fn tokens(bed: &Bed) {
    let before = everything(bed);
    for namespace in [NAME, "monitoring"] {
        bed.kubectl().words(&format!("create namespace {namespace}"));
    }
    for account in ["prometheus", "stranger"] {
        bed.kubectl().words(&format!("create serviceaccount {account} -n monitoring"));
    }
    let client = certified(bed, "page-first");
    let begin = jiff::Timestamp::now();
    let set = format!(
        "--set metrics.tls.existingSecret={PAGE},metrics.authentication=token-review,serviceMonitor.enabled=true \
         --set metrics.readers[0].name=prometheus,metrics.readers[0].namespace=monitoring"
    );
    let notes = helm(&format!("install doctor CHART -n {NAME} {AS_AUDITED} {set} --wait --timeout 60s"));
    for wanted in [
        "https://localhost:19102/metrics",
        "Allowed: monitoring/prometheus metrics-server-doctor/metrics-server-doctor-scraper.",
    ] {
        assert!(notes.contains(wanted), "{notes}");
    }
    let spec = pod(bed);
    let doctor = started(bed, &spec, &client);

    let (prometheus, stranger) = (token(bed, "monitoring", "prometheus"), token(bed, "monitoring", "stranger"));
    for path in ["/metrics", "/", "/api/v1/report"] {
        expect(&doctor, &client, path, Some(&prometheus), 200);
        expect(&doctor, &client, path, Some(&stranger), 403);
        expect(&doctor, &client, path, Some("made up"), 401);
        expect(&doctor, &client, path, None, 401);
    }
    assert!(page::get(doctor.address, "/metrics").is_err(), "plain HTTP is served");
    scraped(bed, &doctor);

    // A renewed certificate, and no restart.
    let renewed = certified(bed, "page-second");
    assert!(
        renewed.get(doctor.address, "/livez", None).is_err(),
        "the next certificate is in use before it was mounted"
    );
    kubelet::mount(bed, NAME, &spec);
    expect(&doctor, &renewed, "/metrics", Some(&prometheus), 200);
    assert!(client.get(doctor.address, "/livez", None).is_err(), "the former certificate is still in use");

    let refused = installed::refused(NAME, NAME, begin);
    assert!(refused.is_empty(), "refused: {refused:#?}");
    drop(doctor);
    reads_no_secret_and_writes_nothing(bed);
    helm(&format!("uninstall doctor -n {NAME} --wait"));
    bed.kubectl().words(&format!("delete namespace {NAME} monitoring --wait"));
    expect_only(bed, &before);
}

/// By the word of the API server's own authorizer, for every kind that it knows, in every namespace.
fn reads_no_secret_and_writes_nothing(bed: &Bed) {
    let reading = ["get", "list", "watch"].map(|verb| (verb, "secrets".to_owned(), String::new()));
    let kinds = bed.kubectl().words("api-resources -o name");
    let kinds: Vec<(String, String)> = kinds
        .lines()
        .map(|name| name.split_once('.').unwrap_or((name, "")))
        .map(|(resource, group)| (resource.to_owned(), group.to_owned()))
        .collect();
    assert!(kinds.len() > 50, "{kinds:?}");
    let verbs = ["create", "update", "patch", "delete", "deletecollection", "bind", "escalate", "impersonate"];
    let writing = kinds.iter().flat_map(|(resource, group)| verbs.map(|verb| (verb, resource.clone(), group.clone())));
    let asked: Vec<_> = reading.into_iter().chain(writing).collect();
    let questions: Vec<_> = asked.iter().map(|(verb, resource, group)| question(verb, resource, group)).collect();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": questions });
    let answers = bed.kubectl().run_with_input(&["create", "-o", "json", "-f", "-"], &list.to_string());
    let answers = answers.unwrap_or_else(|error| panic!("{error:#}"));
    let answers: Vec<Value> = serde_json::Deserializer::from_str(&answers)
        .into_iter::<Value>()
        .flat_map(|answer| {
            let answer = answer.expect("JSON");
            answer["items"].as_array().cloned().unwrap_or_else(|| vec![answer])
        })
        .collect();
    assert_eq!(answers.len(), asked.len());
    let allowed: BTreeSet<String> = asked
        .iter()
        .zip(&answers)
        .filter(|(_, answer)| answer["status"]["allowed"].as_bool().expect("an answer"))
        .map(|((verb, resource, _), _)| format!("{verb} {resource}"))
        .collect();
    // Reviews store nothing; those about oneself are open to every account.
    let reviews = [
        "create selfsubjectaccessreviews",
        "create selfsubjectreviews",
        "create selfsubjectrulesreviews",
        "create subjectaccessreviews",
        "create tokenreviews",
    ];
    assert_eq!(allowed, reviews.map(str::to_owned).into());
}

/// Whether the doctor's account may do that.
fn question(verb: &str, resource: &str, group: &str) -> Value {
    json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": format!("system:serviceaccount:{NAME}:{NAME}"),
            "groups": ["system:serviceaccounts", format!("system:serviceaccounts:{NAME}"), "system:authenticated"],
            "resourceAttributes": { "verb": verb, "resource": resource, "group": group },
        },
    })
}

/// A real Prometheus scrapes as the installed `ServiceMonitor` says; what its operator would write is written here.
fn scraped(bed: &Bed, doctor: &Running) {
    let monitor = installed::get(bed, &format!("servicemonitor {NAME} -n {NAME}"));
    let endpoint = &monitor["spec"]["endpoints"][0];
    let authority = &endpoint["tlsConfig"]["ca"]["secret"];
    let (name, key) = (authority["name"].as_str().expect("a Secret"), authority["key"].as_str().expect("a key"));
    let secret = installed::get(bed, &format!("secret {name} -n {NAME}"));
    let authority = kubelet::decoded(secret["data"][key].as_str().expect("an authority"));
    let authority = kubelet::file("scrape-authority.crt", &String::from_utf8(authority).expect("PEM"));
    // The token that the API server wrote for the scraper's account.
    let credentials = &endpoint["authorization"]["credentials"];
    let (name, key) = (credentials["name"].as_str().expect("a Secret"), credentials["key"].as_str().expect("a key"));
    let token = wait_for("a token of the scraper", Duration::from_secs(20), || {
        let secret = installed::get(bed, &format!("secret {name} -n {NAME}"));
        Ok(kubelet::decoded(secret["data"][key].as_str().context("no token yet")?))
    });
    let token = String::from_utf8(token.unwrap_or_else(|error| panic!("{error:#}"))).expect("text");
    let configuration = json!({
        "global": { "scrape_interval": "1s", "scrape_timeout": "1s" },
        "scrape_configs": [{
            "job_name": NAME,
            "scheme": endpoint["scheme"],
            "metrics_path": endpoint["path"],
            "honor_labels": endpoint["honorLabels"],
            "tls_config": { "ca_file": authority, "server_name": endpoint["tlsConfig"]["serverName"] },
            "authorization": { "credentials_file": kubelet::file("scrape-token", &token) },
            "static_configs": [{ "targets": [doctor.address] }],
        }],
    });
    let server = Prometheus::start_with(&configuration.to_string()).unwrap_or_else(|error| panic!("{error:#}"));
    let verdict = wait_for("Prometheus to have a verdict", Duration::from_secs(30), || {
        let found =
            server.query(&format!("up{{job=\"{NAME}\"}} == 1 and on (job) metrics_server_doctor_verdict == 1"))?;
        ensure!(found.len() == 1, "{found:?}");
        Ok(())
    });
    verdict.unwrap_or_else(|error| panic!("{error:#}"));
}

pub(crate) fn certificates(bed: &Bed) {
    let before = everything(bed);
    bed.kubectl().words(&format!("create namespace {NAME}"));
    let stranger = certified(bed, "page-third");
    let authority = bed.certificates.path("page-third-authority.crt");
    let with = |issue: &str| {
        bed.certificates.issue_by_own_authority(issue, "prometheus", &[]).unwrap_or_else(|error| panic!("{error:#}"));
        let path = |name: &str| bed.certificates.path(&format!("{issue}{name}"));
        (Client::with_certificate(&authority, SERVER, &path(".crt"), &path(".key")), path("-authority.crt"))
    };
    let (client, known) = with("scraper");
    let (foreign, _) = with("somebody");
    let words = format!("create configmap clients -n {NAME} --from-file=ca.crt={}", known.display());
    bed.kubectl().words(&words);
    let set = format!("--set metrics.tls.existingSecret={PAGE},metrics.tls.clientAuthority.configMap=clients");
    helm(&format!("install doctor CHART -n {NAME} {AS_AUDITED} {set} --wait --timeout 60s"));
    let spec = pod(bed);
    let doctor = started(bed, &spec, &stranger);
    for path in ["/metrics", "/", "/api/v1/report"] {
        expect(&doctor, &client, path, None, 200);
        expect(&doctor, &stranger, path, None, 403);
        assert!(foreign.get(doctor.address, path, None).is_err(), "{path} is shown to a certificate of somebody else");
    }
    drop(doctor);
    helm(&format!("uninstall doctor -n {NAME} --wait"));
    bed.kubectl().words(&format!("delete namespace {NAME} --wait"));
    expect_only(bed, &before);
}
