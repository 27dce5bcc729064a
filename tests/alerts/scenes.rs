//! Pages as the renderer writes them: what the rules are tried with carries the real names and labels.

use std::{collections::BTreeMap, sync::OnceLock};

use metrics_server_doctor::{
    catalogue::Entry,
    check::{Finding, Impact},
    facts::Facts,
    observe::demo::{self, Scene},
    render::{
        View,
        metrics::{Family, Kind, Page, families, to_classic},
    },
    report::Report,
    snapshot::{ObjectReference, Snapshot},
    verdict::{Judgement, Verdict},
};

use crate::rules::Labels;

/// When the newest look was; a page that is alive has the time of its scrape.
pub(crate) const OBSERVED: &str = "metrics_server_doctor_observed_timestamp_seconds";

/// The series of one page by name and labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Series(pub(crate) BTreeMap<(String, Labels), f64>);

/// Whose labels name the Service that the `APIService` names.
pub(crate) const SERVICE: &str = "metrics_server_doctor_service_exists";

impl Series {
    /// What a report looks like on the page.
    fn of(snapshot: &Snapshot, report: &Report) -> Self {
        let text = Page::of(&View::new(&Facts::new(snapshot), report)).to_open_metrics().expect("a page");
        let page = testbed::page::Page::parse(&to_classic(&text)).expect("a page");
        let mut series = BTreeMap::new();
        for family in families() {
            let name = match family.kind {
                Kind::Gauge => family.name.to_owned(),
                Kind::Counter => format!("{}_total", family.name),
            };
            for sample in page.named(&name) {
                series.insert((name.clone(), sample.labels.clone()), sample.value);
            }
        }
        let mut series = Self(series);
        series.set(OBSERVED, &[], f64::NAN);
        for resource in ["apiservices", "horizontalpodautoscalers", "configmaps"] {
            series.set("metrics_server_doctor_permission_missing", &[("verb", "list"), ("resource", resource)], 0.0);
        }
        series
    }

    /// Sets a series, whose family and labels must be those that the renderer declares.
    pub(crate) fn set(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let of_counter =
            |family: &Family| matches!(family.kind, Kind::Counter) && name.strip_suffix("_total") == Some(family.name);
        let family = families().find(|family| family.name == name || of_counter(family));
        let family = family.unwrap_or_else(|| panic!("no family {name}"));
        let mut given: Vec<_> = labels.iter().map(|(label, _)| *label).collect();
        let mut declared = family.labels.to_vec();
        given.sort_unstable();
        declared.sort_unstable();
        assert_eq!(given, declared, "labels of {name}");
        let labels = labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect();
        self.0.insert((name.to_owned(), labels), value);
    }

    /// The same with one series changed.
    pub(crate) fn with(mut self, name: &str, labels: &[(&str, &str)], value: f64) -> Self {
        self.set(name, labels, value);
        self
    }

    /// The same without a family.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.0.retain(|(known, _), _| known != name);
        self
    }

    /// Only these families.
    pub(crate) fn only(&self, names: impl Fn(&str) -> bool) -> Self {
        Self(self.0.iter().filter(|((name, _), _)| names(name)).map(|(key, value)| (key.clone(), *value)).collect())
    }

    /// Another exporter that has the same names and says the opposite of everything.
    pub(crate) fn opposite(&self) -> Self {
        let opposite = |name: &str, value: f64| match name {
            OBSERVED => 0.0,
            "metrics_server_doctor_deployment_metrics_servers" => 2.0,
            "metrics_server_doctor_metrics_api_nodes_expected" => 1_000.0,
            _ if value == 0.0 => 1.0,
            _ => 0.0,
        };
        let mut series = Self(self.0.iter().map(|(key, value)| (key.clone(), opposite(&key.0, *value))).collect());
        series.set(
            "metrics_server_doctor_apiservice_ca_bundle_not_after_timestamp_seconds",
            &[("apiservice", METRICS_API)],
            0.0,
        );
        series.set("apiservice_available", &[("apiservice", "v1.metrics.k8s.io")], 1.0);
        for hpa in ["web", "another"] {
            let labels = [("namespace", "shop"), ("horizontalpodautoscaler", hpa)];
            series.set(
                "metrics_server_doctor_hpa_unknown_cause",
                &[labels[0], labels[1], ("cause", "missing_request")],
                1.0,
            );
        }
        series.set("metrics_server_doctor_namespace_hpa_targets", &[("namespace", "shop")], 14.0);
        for counter in
            ["metrics_server_doctor_hpa_blind_seconds_total", "metrics_server_doctor_hpa_watched_seconds_total"]
        {
            series.set(counter, &[("namespace", "another")], f64::NAN);
        }
        let api = [("apiservice", METRICS_API)];
        series.set("metrics_server_doctor_apiservice_condition_transitions_total", &api, f64::NAN);
        let quiet = [("namespace", "shop"), ("horizontalpodautoscaler", "api")];
        series.set("metrics_server_doctor_hpa_alerts_off", &quiet, 1.0);
        series = series.without(SERVICE);
        series.set(SERVICE, &[("namespace", "another"), ("service", "another")], 9.0);
        series
    }

    /// Namespace and name of the Service that the `APIService` names, where one is seen.
    pub(crate) fn service(&self) -> Option<[(&'static str, &str); 2]> {
        let ((_, labels), _) = self.0.iter().find(|((name, _), _)| name == SERVICE)?;
        Some(["namespace", "service"].map(|label| (label, labels[label].as_str())))
    }
}

pub(crate) const METRICS_API: &str = "v1beta1.metrics.k8s.io";

fn snapshot(scene: &Scene) -> Snapshot {
    scene.snapshot("2026-01-01T12:00:00Z".parse().expect("a moment"))
}

fn page(scene: &Scene) -> Series {
    let snapshot = snapshot(scene);
    Series::of(&snapshot, &Report::new(&snapshot))
}

/// The sample cluster when all is well, made once.
fn sample() -> &'static (Snapshot, Report, Series) {
    static SAMPLE: OnceLock<(Snapshot, Report, Series)> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let snapshot = snapshot(&demo::scenes()[0]);
        let report = Report::new(&snapshot);
        let series = Series::of(&snapshot, &report);
        (snapshot, report, series)
    })
}

/// The page of the sample cluster when all is well.
pub(crate) fn healthy() -> Series {
    sample().2.clone()
}

/// Every scene of the demo with the verdict that it leads to.
pub(crate) fn demo_scenes() -> Vec<(Scene, Series)> {
    demo::scenes().into_iter().map(|scene| (scene.clone(), page(&scene))).collect()
}

/// A scene of the sample cluster, in the demo's own form.
pub(crate) fn scene(yaml: &str) -> Series {
    page(&serde_saphyr::from_str::<Scene>(yaml).unwrap_or_else(|error| panic!("{error}: {yaml}")))
}

/// What the page says while a cause stands.
pub(crate) fn found(entry: &Entry, impact: Impact) -> Series {
    let finding = Finding::outage(entry.cause, ObjectReference::default(), "broken");
    judged(Judgement {
        verdict: Verdict::Fault(entry.cause),
        missing: Vec::new(),
        findings: vec![Finding { impact, ..finding }],
        held_back: Vec::new(),
    })
}

/// What the page says after a judgement.
pub(crate) fn judged(judgement: Judgement) -> Series {
    let (snapshot, report, _) = sample();
    let autoscalers: Vec<_> = judgement.findings.iter().filter_map(|finding| hpa_cause(finding.cause.id())).collect();
    let report = Report { judgement, ..report.clone() };
    let mut series = Series::of(snapshot, &report);
    for cause in autoscalers.into_iter().filter(|_| report.judgement.findings[0].cause.step().id() == "hpa") {
        series.set(
            "metrics_server_doctor_hpa_unknown_cause",
            &[("namespace", "shop"), ("horizontalpodautoscaler", "web"), ("cause", cause)],
            1.0,
        );
    }
    series
}

/// The label by which an autoscaler's own gauge names a cause.
pub(crate) fn hpa_cause(id: &str) -> Option<&'static str> {
    metrics_server_doctor::facts::autoscalers::labels().find(|label| *label == id)
}
