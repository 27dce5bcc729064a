//! Bundles as operators send them, and the verdict that each must lead to.
//!
//! `tests/cases/CASE/bundle/` (or one file `bundle.yaml`) is read as `check --from` reads it;
//! `tests/cases/CASE/expected.yaml` says what happened and what must be told. Nobody's names or addresses stand in them:
//! the strings of Kubernetes and metrics-server are real, the clusters are made up.

use std::{
    collections::BTreeSet,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use metrics_server_doctor::{
    catalogue::{self, Cause},
    check::Finding,
    observe::bundle,
    render::text::full,
    report::{Links, Report},
    verdict::{Consequence, VerdictName},
};
use serde::Deserialize;
use serde_json::Value;

/// What a case must lead to. Causes are written `STEP/CAUSE`, as in reports.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    /// One line: what was done to that cluster, or what is the matter with it.
    happened: String,
    /// `STEP/CAUSE`, `healthy` or `undetermined`.
    verdict: String,
    /// The causes that the verdict `undetermined` names, in any order.
    #[serde(default)]
    candidates: BTreeSet<String>,
    /// Causes that stand as findings of their own beside the verdict.
    #[serde(default)]
    findings: BTreeSet<String>,
    /// Causes that are told as explained by the verdict.
    #[serde(default)]
    held_back: BTreeSet<String>,
    /// Causes that must be neither verdict nor candidate nor finding: what a hasty reader would blame.
    #[serde(default)]
    not_blamed: BTreeSet<String>,
    /// Words that the report must quote.
    #[serde(default)]
    told: Vec<String>,
}

struct Case {
    name: String,
    bundle: PathBuf,
    expected: Expected,
}

fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut folders: Vec<PathBuf> = fs::read_dir(root)
        .expect("the folder of cases")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders.iter().map(|folder| case(folder)).collect()
}

fn case(folder: &Path) -> Case {
    let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
    let expected = fs::read_to_string(folder.join("expected.yaml"))
        .unwrap_or_else(|error| panic!("tests/cases/{name}/expected.yaml: {error}"));
    let expected: Expected =
        serde_saphyr::from_str(&expected).unwrap_or_else(|error| panic!("tests/cases/{name}/expected.yaml: {error}"));
    let bundle = fs::read_dir(folder)
        .expect("a readable folder")
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.file_stem().is_some_and(|stem| stem == "bundle"))
        .unwrap_or_else(|| panic!("tests/cases/{name} has no bundle"));
    Case { name, bundle, expected }
}

fn id(cause: Cause) -> String {
    format!("{}/{}", cause.step(), cause.id())
}

fn verdict_id(verdict: VerdictName) -> String {
    match verdict {
        VerdictName::Fault(cause) => id(cause),
        VerdictName::Healthy | VerdictName::Undetermined => verdict.id().to_owned(),
    }
}

fn known_ids() -> BTreeSet<String> {
    catalogue::all().iter().map(|entry| id(entry.cause)).collect()
}

fn ids<'f>(findings: impl IntoIterator<Item = &'f Finding>) -> BTreeSet<String> {
    findings.into_iter().map(|finding| id(finding.cause)).collect()
}

fn names(ids: &BTreeSet<String>) -> String {
    if ids.is_empty() { "none".to_owned() } else { ids.iter().cloned().collect::<Vec<_>>().join(", ") }
}

/// What differs from the expectation; empty where nothing does.
fn differences(case: &Case, report: &Report) -> String {
    let mut told = String::new();
    let judgement = &report.judgement;
    let expected = &case.expected;
    let verdict = verdict_id(judgement.verdict.name());
    if verdict != expected.verdict {
        let _ = writeln!(told, "  verdict: expected {}, got {verdict}", expected.verdict);
    }
    let candidates: BTreeSet<String> = judgement.verdict.candidates().iter().copied().map(id).collect();
    if candidates != expected.candidates && (verdict != expected.verdict || !expected.candidates.is_empty()) {
        let _ = writeln!(told, "  candidates: expected {}, got {}", names(&expected.candidates), names(&candidates));
    }
    let held_back = ids(judgement.held_back.iter().map(|Consequence { finding, .. }| finding));
    let findings = ids(&judgement.findings);
    for (what, wanted, got) in
        [("findings", &expected.findings, &findings), ("held_back", &expected.held_back, &held_back)]
    {
        let missing: BTreeSet<String> = wanted.difference(got).cloned().collect();
        if !missing.is_empty() {
            let _ = writeln!(told, "  {what}: {} is missing, got {}", names(&missing), names(got));
        }
    }
    for blamed in &expected.not_blamed {
        if verdict == *blamed || candidates.contains(blamed) || findings.contains(blamed) {
            let _ = writeln!(told, "  {blamed} is blamed and must not be");
        }
    }
    let shown = full(report);
    for words in &expected.told {
        if !shown.contains(words.as_str()) {
            let _ = writeln!(told, "  the report does not say {words:?}");
        }
    }
    if !told.is_empty() {
        let _ = writeln!(told, "{shown}");
    }
    told
}

#[test]
fn every_case_leads_to_its_verdict() {
    let cases = cases();
    assert!(cases.len() > 1, "no cases were found");
    let mut failed = 0;
    let mut told = String::new();
    for case in &cases {
        let difference = match bundle::read(&case.bundle) {
            Ok(snapshot) => differences(case, &Report::new(&snapshot)),
            Err(error) => format!("  the bundle cannot be read: {error}\n"),
        };
        if !difference.is_empty() {
            failed += 1;
            let _ = writeln!(told, "tests/cases/{}: {}\n{difference}", case.name, case.expected.happened);
        }
    }
    assert!(failed == 0, "{failed} of {} cases differ\n\n{told}", cases.len());
}

/// Every field is in the schema, and everything that the schema promises is there.
#[test]
fn every_report_fits_its_schema() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/report.schema.json");
    let text = fs::read_to_string(path).expect("the schema");
    let mut schema: Value = serde_json::from_str(&text).expect("JSON");
    assert!(jsonschema::meta::is_valid(&schema), "the schema itself");
    close(&mut schema);
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let mut wrong = String::new();
    for case in cases() {
        let Ok(snapshot) = bundle::read(&case.bundle) else { continue };
        let report = serde_json::to_value(Report::new(&snapshot).to_json(&Links::Own)).expect("JSON");
        for error in validator.iter_errors(&report) {
            let _ = writeln!(wrong, "{}: {}: {error}", case.name, error.instance_path());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Lets no field pass that the schema does not know: readers overlook it, this test must not.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(close);
            if fields.contains_key("properties") && !fields.contains_key("additionalProperties") {
                fields.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
        }
        Value::Array(values) => values.iter_mut().for_each(close),
        _ => {}
    }
}

/// Causes that a look of the doctor's own proves, which no bundle can hold.
const BY_OWN_DIAL: [&str; 2] = ["timeout/pod_network_closed", "timeout/server_unresponsive"];

#[test]
fn every_cause_has_a_case_that_raises_it_and_a_near_miss_that_does_not() {
    let cases = cases();
    let raised: BTreeSet<&String> = cases
        .iter()
        .flat_map(|case| {
            let expected = &case.expected;
            expected.findings.iter().chain(&expected.held_back).chain([&expected.verdict])
        })
        .collect();
    let spared: BTreeSet<&String> = cases.iter().flat_map(|case| &case.expected.not_blamed).collect();
    let mut known = known_ids();
    known.retain(|cause| !BY_OWN_DIAL.contains(&cause.as_str()));
    let without = |seen: &BTreeSet<&String>| {
        known.iter().filter(|cause| !seen.contains(cause)).map(String::as_str).collect::<Vec<_>>().join(", ")
    };
    let (no_case, no_near_miss) = (without(&raised), without(&spared));
    assert!(
        no_case.is_empty() && no_near_miss.is_empty(),
        "add a bundle to tests/cases\n  that raises: {no_case}\n  with not_blamed, that does not raise: {no_near_miss}"
    );
}

#[test]
fn expectations_name_causes_of_the_catalogue() {
    let known = known_ids();
    for Case { name, expected, .. } in cases() {
        assert!(!expected.happened.trim().is_empty(), "tests/cases/{name}: says not what happened");
        let verdict = &expected.verdict;
        assert!(
            ["healthy", "undetermined"].contains(&verdict.as_str()) || known.contains(verdict),
            "tests/cases/{name}: {verdict} is no verdict"
        );
        let named = [&expected.candidates, &expected.findings, &expected.held_back, &expected.not_blamed];
        for cause in named.into_iter().flatten() {
            assert!(known.contains(cause), "tests/cases/{name}: {cause} is no cause of the catalogue");
        }
    }
}

/// What follows from the kind of a fault alone: nobody is answered, nothing serves, nothing stays up.
const BY_KIND: [Cause; 13] = [
    Cause::ApiServiceUnavailable,
    Cause::MetricsApiFailing,
    Cause::MetricsApiDown,
    Cause::NoSamplesYet,
    Cause::PodsNotReady,
    Cause::EndpointsNotPublished,
    Cause::NodesWithoutSamples,
    Cause::PodsWithoutSamples,
    Cause::SamplesStale,
    Cause::ContainerCrashing,
    Cause::NothingListens,
    Cause::ServerUnresponsive,
    Cause::LivenessProbeKills,
];

/// Entries of `explains` of a single pair that no bundle shows yet; the list only grows shorter.
const NOT_SHOWN: &[(Cause, Cause)] = &[
    (Cause::AnotherServerAnswers, Cause::FrontProxyUntrusted),
    (Cause::ApiOwnedByAnother, Cause::CallerForbidden),
    (Cause::ApiOwnedByAnother, Cause::ImageUnavailable),
    (Cause::ApiServerUnreachable, Cause::AuthReaderMissing),
    (Cause::ApiServerUntrusted, Cause::KubeletUnauthorized),
    (Cause::ApiServiceLeftOver, Cause::SelectorMatchesNothing),
    (Cause::AuthReaderMissing, Cause::FrontProxyUntrusted),
    (Cause::AwsAuthArnWithPath, Cause::CallerForbidden),
    (Cause::AwsAuthConflictingUsernames, Cause::CallerForbidden),
    (Cause::ControlPlanePathClosed, Cause::ApiServersDisagree),
    (Cause::EgressPolicyBlocks, Cause::KubeletRefused),
    (Cause::EgressPolicyBlocks, Cause::KubeletUnreachable),
    (Cause::EgressPolicyBlocks, Cause::NodeNameUnresolvable),
    (Cause::FrontProxyUntrusted, Cause::CallerUnauthorized),
    (Cause::NetworkPolicyBlocks, Cause::ApiServersDisagree),
    (Cause::NetworkPolicyBlocks, Cause::ControlPlanePathClosed),
    (Cause::NetworkPolicyBlocks, Cause::PodNetworkClosed),
    (Cause::NoRoute, Cause::ApiServersDisagree),
    (Cause::PortConflict, Cause::FrontProxyUntrusted),
    (Cause::ProxyInterferes, Cause::AnotherServerAnswers),
    (Cause::ProxyInterferes, Cause::ControlPlanePathClosed),
    (Cause::ProxyInterferes, Cause::FrontProxyUntrusted),
    (Cause::ServiceAccountMissing, Cause::PodsNotCreated),
    (Cause::UnsupportedVersion, Cause::AuthDelegatorMissing),
];

/// Causes of which no case shows any consequence.
const WITHOUT_CONSEQUENCE: &[Cause] = &[
    Cause::AnotherServerAnswers,
    Cause::ApiServersDisagree,
    Cause::ApiServiceMissing,
    Cause::CallerForbidden,
    Cause::CallerUnauthorized,
    Cause::EndpointsNotPublished,
    Cause::MetricsApiFailing,
    Cause::NameResolution,
    Cause::NoRoute,
    Cause::NodesWithoutSamples,
    Cause::NotInstalled,
    Cause::NothingListens,
    Cause::PodNetworkClosed,
    Cause::SamplesStale,
    Cause::ServerUnresponsive,
];

#[test]
fn what_a_cause_explains_is_shown_by_a_case() {
    let mut shown: BTreeSet<(Cause, Cause)> = BTreeSet::new();
    for case in cases() {
        let snapshot = bundle::read(&case.bundle).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let judgement = Report::new(&snapshot).judgement;
        shown.extend(judgement.held_back.iter().map(|Consequence { finding, of }| (*of, finding.cause)));
    }
    let causes = || catalogue::all().iter().map(|entry| entry.cause);
    let pairs = causes().flat_map(|cause| cause.explains().iter().map(move |consequence| (cause, *consequence)));
    let single: BTreeSet<(Cause, Cause)> = pairs.filter(|(_, consequence)| !BY_KIND.contains(consequence)).collect();
    let told = |pairs: Vec<&(Cause, Cause)>| {
        pairs.iter().map(|(cause, consequence)| format!("\n  ({cause:?}, {consequence:?}),")).collect::<String>()
    };
    let known: BTreeSet<(Cause, Cause)> = NOT_SHOWN.iter().copied().collect();
    let missing: BTreeSet<(Cause, Cause)> = single.difference(&shown).copied().collect();
    let new = told(missing.difference(&known).collect());
    let done = told(known.difference(&missing).collect());
    let silent: Vec<String> = causes()
        .filter(|cause| !cause.explains().is_empty() && !WITHOUT_CONSEQUENCE.contains(cause))
        .filter(|cause| !shown.iter().any(|(of, _)| of == cause))
        .map(|cause| format!("{cause:?}"))
        .collect();
    assert!(
        new.is_empty() && done.is_empty() && silent.is_empty(),
        "add a bundle to tests/cases that shows the consequence:{new}\ntake from NOT_SHOWN what is shown:{done}\n\
         no case shows any consequence of: {}",
        silent.join(", ")
    );
}
