//! Bundles that are damaged, odd, or not meant well: a notice names what cannot be read, the rest is judged, nothing is
//! blamed for it and nothing secret is told.

use std::{fs, os::unix::fs::symlink, path::Path};

use metrics_server_doctor::{
    observe::bundle::{self, BundleError},
    render::text::full,
    report::{Links, Report},
    verdict::{Verdict, VerdictName},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::live::Cluster;

fn report(folder: &Path) -> Report {
    Report::new(&bundle::read(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())))
}

fn shown(report: &Report) -> String {
    full(report) + &serde_json::to_string(&report.to_json(&Links::Own)).expect("JSON")
}

fn healthy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    Cluster::running("manifest-0.9", 37).write(folder.path());
    folder
}

fn is_blamed(report: &Report) -> bool {
    matches!(report.judgement.verdict, Verdict::Fault(_))
        || !report.judgement.verdict.candidates().is_empty()
        || !report.judgement.findings.is_empty()
}

#[test]
fn no_damage_to_a_file_makes_a_healthy_cluster_guilty() {
    let utf16 = |bytes: &[u8]| -> Vec<u8> {
        format!("\u{feff}{}", String::from_utf8_lossy(bytes)).encode_utf16().flat_map(u16::to_le_bytes).collect()
    };
    let text_of = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    type Damage<'d> = (&'d str, &'d dyn Fn(&[u8]) -> Option<Vec<u8>>, bool);
    let damages: [Damage<'_>; 10] = [
        ("gone", &|_| None, false),
        ("empty", &|_| Some(Vec::new()), false),
        ("half of it", &|bytes| Some(bytes[..bytes.len() / 2].to_vec()), false),
        ("the second half", &|bytes| Some(bytes[bytes.len() / 2..].to_vec()), false),
        ("binary junk", &|_| Some((0..=255).cycle().take(5000).collect()), false),
        (
            "refused",
            &|_| Some(b"Error from server (Forbidden): x is forbidden: User \"u\" cannot list".to_vec()),
            false,
        ),
        ("a table", &|_| Some(b"NAME   READY   STATUS\nmetrics-server   1/1   Running\n".to_vec()), false),
        (
            "a description",
            &|_| {
                Some(
                    b"Name:         metrics-server\nNamespace:    kube-system\nLabels:       k8s-app=metrics-server\n"
                        .to_vec(),
                )
            },
            false,
        ),
        ("line ends of Windows", &|bytes| Some(text_of(bytes).replace('\n', "\r\n").into_bytes()), true),
        ("UTF-16", &|bytes| Some(utf16(bytes)), true),
    ];
    let healthy = healthy();
    let mut blamed = Vec::new();
    for entry in fs::read_dir(healthy.path()).expect("a folder").flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let bytes = fs::read(&path).expect("a file");
        for (what, damage, harmless) in &damages {
            match damage(&bytes) {
                Some(rest) => fs::write(&path, rest).expect("a file"),
                None => fs::remove_file(&path).expect("a file"),
            }
            let report = report(healthy.path());
            let notices = report.notices.join("\n");
            // Who may not list metrics is told so, and a table that was cut is one with fewer rows: that is no damage.
            let told = name.starts_with("top-") && matches!(*what, "refused" | "half of it");
            if !told && is_blamed(&report) {
                blamed.push(format!("{name}, {what}: {}", report.summary()));
            }
            if *harmless {
                assert_eq!(
                    (report.judgement.verdict.name(), notices.as_str()),
                    (VerdictName::Healthy, ""),
                    "{name}, {what}"
                );
            } else if !matches!(*what, "gone" | "empty") && !name.starts_with("top-") && !name.starts_with("server") {
                assert!(notices.contains(&name), "{name}, {what}: no notice names it: {notices}");
            }
        }
        fs::write(&path, bytes).expect("a file");
    }
    assert_eq!(blamed, Vec::<String>::new());
}

/// Every place in a value below `at`.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                places(value, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                places(value, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn no_odd_field_makes_a_healthy_cluster_guilty() {
    let odd = [json!(null), json!("odd"), json!(-7), json!([]), json!({"odd": "x"})];
    let cluster = Cluster::running("manifest-0.9", 37);
    let folder = tempfile::tempdir().expect("a folder");
    let (mut tried, mut blamed) = (0, Vec::new());
    for (index, object) in cluster.objects.iter().enumerate() {
        let is_own = object["metadata"]["name"].as_str().is_some_and(|name| name.contains("metrics"));
        if !is_own && object["kind"] != "Node" {
            continue;
        }
        let mut found = Vec::new();
        places(object, "", &mut found);
        // Another name, group or kind is another object, which may be missing where the first was.
        let identity =
            ["", "/kind", "/apiVersion", "/metadata", "/metadata/name", "/metadata/namespace", "/spec/group"];
        for (number, place) in found.iter().filter(|place| !identity.contains(&place.as_str())).enumerate() {
            // All of them together take long, and every kind of place comes by with each value.
            let value = &odd[(number + index) % odd.len()];
            let mut changed = Cluster { minor: cluster.minor, objects: cluster.objects.clone() };
            *changed.objects[index].pointer_mut(place).expect("the place") = value.clone();
            changed.write(folder.path());
            let report = report(folder.path());
            if is_blamed(&report) {
                blamed.push(format!("{}{place} = {value}: {}", object["kind"], report.summary()));
            }
            tried += 1;
        }
    }
    assert_eq!(blamed, Vec::<String>::new());
    assert!(tried > 200, "{tried}");
}

#[test]
fn secrets_are_named_and_never_told() {
    let folder = healthy();
    let secret = "aHVudGVyMg==";
    let objects = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: s, namespace: shop}}\ndata: {{token: {secret}}}\n---\n\
         kind: Secret\ndata: {{token: [{secret}\n---\n\
         apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: aws-auth, namespace: kube-system}}\ndata: {{mapRoles: {{token: {secret}}}}}\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {{name: x, namespace: shop}}\nspec: {{ports: [{{port: {secret}}}]}}\n---\n\
         {secret}\n"
    );
    fs::write(folder.path().join("secrets.yaml"), objects).expect("a file");
    fs::write(folder.path().join("secrets.json"), format!("{{\"kind\": \"Secret\", \"data\": {{\"a\": \"{secret}\""))
        .expect("a file");
    let shown = shown(&report(folder.path()));
    assert!(shown.contains("secrets.yaml line 1: a Secret, which is not read"), "{shown}");
    assert!(shown.contains("secrets.yaml line 7") && shown.contains("secrets.json line 1"), "{shown}");
    assert!(!shown.contains(secret), "{shown}");
}

#[test]
fn links_and_deep_folders_lead_nowhere() {
    let folder = healthy();
    let outside = tempfile::tempdir().expect("a folder");
    fs::write(outside.path().join("apiservices.yaml"), "kind: List\nitems: []\n").expect("a file");
    symlink(folder.path(), folder.path().join("round")).expect("a link");
    symlink(outside.path().join("apiservices.yaml"), folder.path().join("link.yaml")).expect("a link");
    symlink("/does/not/exist", folder.path().join("dangling.json")).expect("a link");
    fs::create_dir_all(folder.path().join("a/b/c/d/e/f/g/h/i/j/k")).expect("folders");
    fs::write(folder.path().join("archive.tar.gz"), [0x1f, 0x8b]).expect("a file");
    fs::write(folder.path().join("notes.docx"), "notes").expect("a file");
    let report = report(folder.path());
    assert_eq!(report.judgement.verdict.name(), VerdictName::Healthy, "{}", shown(&report));
    for notice in [
        "round: skipped, a link",
        "link.yaml: skipped, a link",
        "dangling.json: skipped, a link",
        "a/b/c/d/e/f/g/h/i: skipped, folders are nested too deep",
        "archive.tar.gz: skipped, an archive: unpack it first",
        "notes.docx: not part of the format",
    ] {
        assert!(report.notices.iter().any(|told| told.starts_with(notice)), "{notice} is not in {:?}", report.notices);
    }
}

#[test]
fn a_file_that_is_too_large_is_named_and_a_log_of_any_size_is_read() {
    let folder = healthy();
    let large = fs::File::create(folder.path().join("events.yaml")).expect("a file");
    large.set_len(65 << 20).expect("a size");
    fs::create_dir(folder.path().join("logs")).expect("a folder");
    let pod =
        Cluster::running("manifest-0.9", 37).object("Pod")["metadata"]["name"].as_str().expect("a name").to_owned();
    let log = folder.path().join(format!("logs/kube-system_{pod}_metrics-server.log"));
    fs::write(&log, "I0301 11:59:00.000000 1 secure_serving.go:1] Serving securely on [::]:10250\n").expect("a file");
    // Behind its first line the log is one line of zeros, as after a crash of its host.
    fs::OpenOptions::new().write(true).open(&log).and_then(|file| file.set_len(70 << 20)).expect("a size");
    let report = Report::new(&bundle::read_up_to(folder.path(), 64 << 20).expect("a bundle"));
    assert_eq!(report.judgement.verdict.name(), VerdictName::Healthy, "{}", shown(&report));
    let notice = "events.yaml: skipped, 65 MiB, larger than 64 MiB: raise --largest-file to read it";
    assert_eq!(report.notices, [notice]);
}

#[test]
fn what_holds_nothing_says_what_was_expected() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("pods.txt"), "NAME READY\n").expect("a file");
    match bundle::read(folder.path()) {
        Err(error @ BundleError::Empty { .. }) => {
            let told = error.to_string();
            assert!(told.contains("pods.txt: not part of the format") && told.contains("docs/bundle.md"), "{told}");
        }
        other => panic!("{other:?}"),
    }
}

/// Moments at both ends of what can be written, and in between.
fn moments() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "9999-12-30T22:00:00Z",
        "9999-12-31T23:59:59Z",
        "9999-12-30T08:00:00Z",
        "9999-07-05T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "-009999-01-02T01:59:59Z",
        "1970-01-01T00:00:00Z",
        "2026-03-01T12:00:00Z",
        "2026-03-01T12:00:00+25:00",
        "not a moment",
    ])
    .prop_map(str::to_owned)
}

/// Sets every moment in a value.
fn set_moments(value: &mut Value, to: &str) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                if value.is_string() && (key.ends_with("Timestamp") || key.ends_with("Time") || key.ends_with("At")) {
                    *value = json!(to);
                } else {
                    set_moments(value, to);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| set_moments(item, to)),
        _ => {}
    }
}

#[test]
fn what_others_say_of_the_metrics_api_is_read_from_any_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let apiserver = "E0301 11:58:00.000000       1 available_controller.go:524] v1beta1.metrics.k8s.io failed with: failing or missing response from https://10.0.1.21:10250/apis/metrics.k8s.io/v1beta1: bad status from https://10.0.1.21:10250/apis/metrics.k8s.io/v1beta1: 403\n";
    fs::write(folder.path().join("kube-apiserver.log"), apiserver.repeat(3)).expect("a file");
    fs::write(folder.path().join("pipeline"), "$ kubectl top pods\nerror: Metrics API not available\n")
        .expect("a file");
    fs::write(folder.path().join("observed-at.txt"), "2026-03-01T12:00:00Z\n").expect("a file");
    let snapshot = bundle::read(folder.path()).expect("a bundle of nothing else");
    let told: Vec<_> = snapshot.remarks.iter().map(|told| (told.file.as_str(), told.times)).collect();
    assert_eq!(told, [("kube-apiserver.log", 3), ("pipeline", 1)], "oldest first");
    assert_eq!(snapshot.notices.len(), 2, "{:?}", snapshot.notices);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_moment_panics(
        observed in moments(),
        of_objects in moments(),
        line in prop::sample::select(vec!["I1231 23:59:59.000000 1 a.go:1] x", "E0101 00:00:00.000000 1 a.go:1] \"Failed to scrape node\" node=\"n\"", "{\"ts\":253402207200000,\"msg\":\"x\"}"]),
    ) {
        let folder = healthy();
        fs::write(folder.path().join("observed-at.txt"), &observed).expect("a file");
        let pods = fs::read_to_string(folder.path().join("pods.json")).expect("a file");
        for file in fs::read_dir(folder.path()).expect("a folder").flatten() {
            let path = file.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let mut objects: Value = serde_json::from_str(&fs::read_to_string(&path).expect("a file")).expect("JSON");
                set_moments(&mut objects, &of_objects);
                fs::write(&path, objects.to_string()).expect("a file");
            }
        }
        let pods: Value = serde_json::from_str(&pods).expect("JSON");
        let name = pods["items"].as_array().into_iter().flatten().find_map(|pod| pod["metadata"]["name"].as_str().filter(|name| name.contains("metrics-server")));
        fs::create_dir(folder.path().join("logs")).expect("a folder");
        fs::write(folder.path().join(format!("logs/kube-system_{}_metrics-server.log", name.unwrap_or("metrics-server-1"))), format!("{line}\n{of_objects} {line}\n")).expect("a file");
        prop_assert!(!report(folder.path()).answers.is_empty());
        fs::remove_file(folder.path().join("observed-at.txt")).expect("a file");
        prop_assert!(!report(folder.path()).answers.is_empty());
    }

    #[test]
    fn no_bytes_panic(at in 0_usize..30_000, with in prop::collection::vec(any::<u8>(), 0..40)) {
        let folder = healthy();
        let path = folder.path().join("pods.json");
        let mut bytes = fs::read(&path).expect("a file");
        let at = at % bytes.len();
        let end = (at + with.len()).min(bytes.len());
        bytes.splice(at..end, with);
        fs::write(&path, bytes).expect("a file");
        // A byte within a value makes another cluster of it, so guilt is not judged here.
        prop_assert!(!report(folder.path()).answers.is_empty());
    }
}
