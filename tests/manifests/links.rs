//! Links of alerts, dashboards and reports, and the ways by which people reach what they lead to.

use std::collections::BTreeSet;

use clap::Parser;
use metrics_server_doctor::args::Arguments;
use serde_json::{Value, json};

use crate::{NAME, arguments, objects, rendered};

/// Every annotation of that name, of all alerts.
fn annotations(set: &str, name: &str) -> BTreeSet<String> {
    let rendered = objects(&rendered(&["--set", &format!("prometheusRule.enabled=true,{set}")]));
    let rule = rendered.values().find(|object| object["kind"] == "PrometheusRule").expect("rules");
    let groups = rule["spec"]["groups"].as_array().expect("groups");
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().expect("rules"));
    rules.filter_map(|rule| rule["annotations"][name].as_str()).map(str::to_owned).collect()
}

fn dashboards(set: &str) -> String {
    rendered(&["--set", &format!("dashboards.enabled=true,{set}"), "--show-only", "templates/dashboards.yaml"])
}

#[test]
fn every_link_begins_where_people_reach_the_doctor() {
    for (set, base) in [
        ("replicas=1", "http://localhost:19102"),
        ("metrics.tls.existingSecret=page", "https://localhost:19102"),
        ("externalUrl=https://doctor.example.com", "https://doctor.example.com"),
        ("externalUrl=https://doctor.example.com//", "https://doctor.example.com"),
        ("externalUrl=https://tools.example.com/east/doctor/", "https://tools.example.com/east/doctor"),
        ("externalUrl=http://[fd00::1]:19102/", "http://[fd00::1]:19102"),
    ] {
        let runbooks = annotations(set, "runbook_url");
        assert!(runbooks.len() > 8, "{runbooks:?}");
        for link in &runbooks {
            let rest = link.strip_prefix(&format!("{base}/runbooks/")).unwrap_or_else(|| panic!("{set}: {link}"));
            let (page, anchor) = rest.split_once('#').unwrap_or_else(|| panic!("{link} has no anchor"));
            assert!(!page.contains(['/', '.']) || page.contains("{{"), "{link}: the doctor serves pages by their step");
            assert!(!page.contains(".md") && !anchor.is_empty(), "{link}");
        }
        for text in annotations(set, "description") {
            assert_eq!(
                text.matches("/api/v1/report").count(),
                text.matches(&format!("{base}/api/v1/report")).count(),
                "{text}"
            );
        }
        let dashboards = dashboards(set);
        assert!(dashboards.matches(&format!("{base}/runbooks")).count() >= 4, "{set}: dashboards lead elsewhere");
        assert!(!dashboards.contains("docs/runbooks"), "{set}: a link of the dashboards leads nowhere");
        assert_eq!(dashboards.matches(&format!("\"query\": \"{base}\"")).count(), 4, "{set}: where reports are");
        let flags = arguments(&rendered(&["--set", set]));
        let wanted = set.contains("externalUrl").then(|| format!("--external-url={base}"));
        let given: Option<String> = flags.iter().find(|flag| flag.starts_with("--external-url")).cloned();
        assert_eq!(given, wanted, "{set}");
        let words: Vec<&str> = [NAME, "serve"].into_iter().chain(given.as_deref()).collect();
        Arguments::try_parse_from(&words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
    }
}

#[test]
fn a_copy_of_the_runbooks_elsewhere_comes_first() {
    let set = "runbookUrl=https://wiki.example/books/,externalUrl=https://doctor.example.com";
    let links = annotations(set, "runbook_url");
    assert!(
        links.iter().all(|link| link.starts_with("https://wiki.example/books/") && link.contains(".md#")),
        "{links:?}"
    );
    let dashboards = dashboards(set);
    assert!(
        dashboards.contains("\"https://wiki.example/books\"") && !dashboards.contains("doctor.example.com/runbooks")
    );
    for text in annotations(set, "description") {
        assert!(
            !text.contains("/api/v1/report") || text.contains("https://doctor.example.com/api/v1/report"),
            "{text}"
        );
    }
}

#[test]
fn links_to_dashboards_begin_at_grafana_or_are_left_out() {
    for set in ["grafanaUrl=https://grafana.example.com", "grafanaUrl=https://tools.example.com/grafana/"] {
        let base = set.trim_start_matches("grafanaUrl=").trim_end_matches('/');
        let links = annotations(set, "dashboard_url");
        assert!(links.iter().all(|link| link.starts_with(&format!("{base}/d/metrics-server-doctor"))), "{links:?}");
    }
    assert_eq!(annotations("replicas=1", "dashboard_url"), BTreeSet::new(), "a link that leads nowhere");
}

#[test]
fn ingress_and_route_have_host_and_path_of_the_external_address() {
    let find = |set: &str, kind: &str| -> Value {
        let rendered = objects(&rendered(&["--set", set]));
        rendered.values().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("no {kind}")).clone()
    };
    for (url, path) in
        [("https://Doctor.example.com", "/"), ("https://doctor.example.com:8443/east/doctor/", "/east/doctor")]
    {
        let set = format!("externalUrl={url},ingress.enabled=true,ingress.className=nginx,ingress.tlsSecret=page");
        let ingress = find(&set, "Ingress");
        assert_eq!(ingress["spec"]["ingressClassName"], "nginx");
        assert_eq!(ingress["spec"]["tls"], json!([{ "hosts": ["doctor.example.com"], "secretName": "page" }]));
        let rule = &ingress["spec"]["rules"][0];
        assert_eq!(rule["host"], "doctor.example.com");
        let backend = json!({ "service": { "name": NAME, "port": { "name": "metrics" } } });
        let paths = json!([{ "path": path, "pathType": "Prefix", "backend": backend }]);
        assert_eq!(rule["http"]["paths"], paths);

        let set =
            format!("externalUrl={url},service.port=80,httpRoute.enabled=true,httpRoute.parentRefs[0].name=public");
        let route = find(&set, "HTTPRoute");
        assert_eq!(route["spec"]["hostnames"], json!(["doctor.example.com"]));
        assert_eq!(route["spec"]["parentRefs"], json!([{ "name": "public" }]));
        let rule = &route["spec"]["rules"][0];
        assert_eq!(rule["matches"], json!([{ "path": { "type": "PathPrefix", "value": path } }]));
        assert_eq!(rule["backendRefs"], json!([{ "name": NAME, "port": 80 }]));
        // The doctor serves at the root.
        let rewrite = &rule["filters"][0]["urlRewrite"]["path"];
        let wanted =
            if path == "/" { Value::Null } else { json!({ "type": "ReplacePrefixMatch", "replacePrefixMatch": "/" }) };
        assert_eq!(*rewrite, wanted);
    }
}
