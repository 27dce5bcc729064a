//! What each rule has to do, on series of real pages.

use metrics_server_doctor::{
    catalogue::{self, Cause, Entry, Role},
    check::Impact,
    guide::Step,
};

use crate::{
    doctor, pipeline, recording,
    rules::{self, Labels, Rule},
    scenes::{METRICS_API, Series, found, healthy},
    timeline::{CLUSTER, Case, Firing, STEP, Scrape, Timeline},
};

/// Minutes of health before anything happens.
pub(crate) const BEFORE: u64 = 10;
pub(crate) const BEGIN: u64 = BEFORE * 60;

/// Sections whose alerts are made from the findings of their step alone.
pub(crate) const SECTIONS: [(Step, &str); 8] = [
    (Step::Installed, "MetricsServerInstallationBroken"),
    (Step::Retrieve, "MetricsServerRetrievalFailing"),
    (Step::Forbidden, "MetricsServerForbidden"),
    (Step::Apiservice, "MetricsServerAPIServiceUnavailable"),
    (Step::Timeout, "MetricsServerTimeout"),
    (Step::ConnectionRefused, "MetricsServerConnectionRefused"),
    (Step::OtherReasons, "MetricsServerServiceBroken"),
    (Step::Logs, "MetricsServerLogsErrors"),
];

/// The alert of a step's causes.
pub(crate) fn alert_of(step: Step) -> &'static str {
    SECTIONS.iter().find(|(known, _)| *known == step).map_or("HPATargetsUnknown", |(_, alert)| alert)
}

pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A rule's alert on a cluster, with the labels of its series.
pub(crate) fn alert(rule: &Rule, cluster: &str, pairs: &[(&str, &str)]) -> Firing {
    let mut all = labels(pairs);
    if !cluster.is_empty() {
        all.insert("cluster".to_owned(), cluster.to_owned());
    }
    all.extend(rule.labels.clone());
    all.insert("alertname".to_owned(), rule.name.clone());
    all
}

/// The annotations with labels and value filled in.
pub(crate) fn told(rule: &Rule, series: &[(&str, &str)], value: &str) -> Labels {
    let fill = |text: &String| {
        let filled = series.iter().fold(text.replace("{{ $value }}", value), |text, (label, value)| {
            text.replace(&format!("{{{{ $labels.{label} }}}}"), value)
        });
        assert!(!filled.contains("{{"), "{}: {filled}", rule.name);
        filled
    };
    rule.annotations.iter().map(|(name, text)| (name.clone(), fill(text))).collect()
}

/// A fault that begins, lasts longer than the rule waits, and is healed; nothing else fires.
pub(crate) fn fires(name: &str, rule: &Rule, alert: &Firing, fault: &[Scrape], well: &[Scrape]) -> Case {
    // The slowest rule about a fault had its time too before it is healed.
    let timeline = Timeline::default().then(BEFORE, well).then(rule.hold / 60 + 20, fault);
    let healed = timeline.end();
    let mut case = Case::new(name, &rule.file, timeline.then(rule.keep / 60 + 5, well));
    let due = BEGIN + rule.hold;
    case.firing = vec![
        (BEGIN - STEP, vec![]),
        (BEGIN, vec![]),
        (due - STEP, vec![]),
        (due, vec![alert.clone()]),
        (healed - STEP, vec![alert.clone()]),
        (healed + rule.keep, vec![]),
        (case.timeline.end() - STEP, vec![]),
    ];
    if rule.keep > 0 {
        case.firing.push((healed + rule.keep - STEP, vec![alert.clone()]));
    }
    case
}

/// A page that lasts longer than any rule about it waits, and nothing fires.
pub(crate) fn silent(name: &str, file: &str, fault: &[Scrape]) -> Case {
    silent_for(25, name, file, fault)
}

fn silent_for(minutes: u64, name: &str, file: &str, fault: &[Scrape]) -> Case {
    let mut case =
        Case::new(name, file, Timeline::default().then(BEFORE, &[well()]).then(minutes, fault).then(10, &[well()]));
    case.firing = (1..minutes + 20).step_by(3).map(|minute| (minute * 60, vec![])).collect();
    case
}

pub(crate) fn well() -> Scrape {
    Scrape::from(&healthy())
}

pub(crate) fn page(series: &Series) -> Scrape {
    Scrape::from(series)
}

pub(crate) fn first(step: Step) -> &'static Entry {
    catalogue::all().iter().find(|entry| entry.step == step).expect("a cause")
}

/// Values of label `cause` that the cases of the rules use.
pub(crate) fn tried() -> Vec<&'static str> {
    let more = [
        Cause::CaBundleExpired,
        Cause::HpaPodsNotReady,
        Cause::KubeletTimeout,
        Cause::MetricsApiDown,
        Cause::MissingRequest,
    ];
    let causes = Step::ALL.into_iter().filter(|step| *step != Step::KnownIssues).map(|step| first(step).id);
    let causes = causes.chain(more.map(Cause::id)).chain([Cause::TargetNotFound.id(), "scaled_to_zero"]);
    causes.chain(["healthy", "undetermined"]).collect()
}

/// A cause of the catalogue that stands, with the impact that it has.
pub(crate) fn of_cause(entry: &Entry, impact: Impact) -> Case {
    let severity = if impact == Impact::Outage { "critical" } else { "warning" };
    let rule = rules::alert(alert_of(entry.step), severity, None);
    let mut series = vec![("step", entry.step.id()), ("cause", entry.id)];
    if entry.step == Step::Hpa && impact == Impact::Partial {
        series.extend([("namespace", "shop"), ("horizontalpodautoscaler", "web")]);
    }
    let alert = alert(&rule, CLUSTER, &series);
    let fault = [page(&found(entry, impact))];
    let mut case = fires(&format!("{} {severity}", entry.id), &rule, &alert, &fault, &[well()]);
    case.alone = true;
    let told = if entry.step == Step::Hpa && impact == Impact::Partial {
        let mut told = told(
            &Rule {
                annotations: rule.annotations.clone().into_iter().filter(|(name, _)| name != "description").collect(),
                ..rule.clone()
            },
            &series,
            "1",
        );
        told.insert("description".to_owned(), format!("HorizontalPodAutoscaler shop/web does not scale: {}. kubectl describe hpa tells the controller's words, the doctor's report (/api/v1/report) what repairs it.", entry.id));
        told
    } else {
        told(&rule, &series, "1")
    };
    case.annotations.push((BEGIN + rule.hold, alert, told));
    case
}

/// The cases of the sections that have nothing of their own.
fn of_section(step: Step) -> Vec<Case> {
    let entry = first(step);
    let (outage, partial) = (page(&found(entry, Impact::Outage)), page(&found(entry, Impact::Partial)));
    let name = |what: &str| format!("{step}: {what}");
    let series = [("step", step.id()), ("cause", entry.id)];
    let critical = rules::alert(alert_of(step), "critical", None);
    let page_once = alert(&critical, CLUSTER, &series);
    let warning = rules::alert(alert_of(step), "warning", None);
    let warn_once = alert(&warning, CLUSTER, &series);
    let (outages, partials) = ([outage.clone(), outage.clone()], [partial.clone(), partial.clone()]);

    let mut short = Case::new(
        &name("what ends before its time"),
        step.id(),
        Timeline::default()
            .then(BEFORE, &[well()])
            .then(critical.hold / 60 - 1, std::slice::from_ref(&outage))
            .then(10, &[well()])
            .then(warning.hold / 60 - 1, std::slice::from_ref(&partial))
            .then(10, &[well()]),
    );
    short.firing = (1..short.timeline.end() / 60).map(|minute| (minute * 60, vec![])).collect();

    let mut restart = Case::new(
        &name("a restart of the doctor while the alert fires"),
        step.id(),
        Timeline::default()
            .then(BEFORE, &[well()])
            .then(10, std::slice::from_ref(&outage))
            .then(1, &[Scrape::Failed])
            .then(10, std::slice::from_ref(&outage)),
    );
    restart.firing = (BEFORE + 5..BEFORE + 21).map(|minute| (minute * 60, vec![page_once.clone()])).collect();

    let mut clusters = Case::new(
        &name("one cluster of two"),
        step.id(),
        Timeline::default()
            .then_in(BEFORE, &[(CLUSTER, &[well()]), ("b", &[well()])])
            .then_in(20, &[(CLUSTER, std::slice::from_ref(&outage)), ("b", std::slice::from_ref(&partial))]),
    );
    let elsewhere = alert(&warning, "b", &series);
    clusters.firing = vec![(BEGIN + 600, vec![page_once.clone()]), (BEGIN + 1_170, vec![page_once.clone(), elsewhere])];

    let other = if step == Step::Timeout { Step::Logs } else { Step::Timeout };
    let of_other = first(other);
    let mut another = Case::new(
        &name("faults of another section"),
        step.id(),
        Timeline::default()
            .then(20, &[page(&found(of_other, Impact::Outage))])
            .then(40, &[page(&found(of_other, Impact::Partial))]),
    );
    let theirs = |severity: &str| {
        let series = [("step", other.id()), ("cause", of_other.id)];
        alert(&rules::alert(alert_of(other), severity, None), CLUSTER, &series)
    };
    another.firing = vec![(1_170, vec![theirs("critical")]), (3_570, vec![theirs("warning")])];

    vec![
        another,
        fires(&name("an outage, seen by two replicas"), &critical, &page_once, &outages, &[well(), well()]),
        fires(
            &name("an outage that one of two replicas sees"),
            &critical,
            &page_once,
            &[outage, well()],
            &[well(), well()],
        ),
        fires(
            &name("a fault that hurts some, seen by two replicas"),
            &warning,
            &warn_once,
            &partials,
            &[well(), well()],
        ),
        short,
        restart,
        clusters,
    ]
}

fn of_installed() -> Vec<Case> {
    let deployment = [("namespace", "kube-system"), ("deployment", "metrics-server")];
    let old = healthy().with("metrics_server_doctor_deployment_version_supported", &deployment, 0.0);
    let rule = rules::alert("MetricsServerVersionUnsupported", "warning", None);
    let mut unsupported =
        fires("version", &rule, &alert(&rule, CLUSTER, &deployment), &[page(&old), well()], &[well(), well()]);
    unsupported.annotations.push((
        BEGIN + rule.hold,
        alert(&rule, CLUSTER, &deployment),
        told(&rule, &deployment, "0"),
    ));
    let twice = healthy().with("metrics_server_doctor_deployment_metrics_servers", &[], 2.0);
    let rule = rules::alert("MetricsServerInstalledTwice", "info", None);
    let mut double =
        fires("twice", &rule, &alert(&rule, CLUSTER, &[]), &[page(&twice), page(&twice)], &[well(), well()]);
    double.annotations.push((BEGIN + rule.hold, alert(&rule, CLUSTER, &[]), told(&rule, &[], "2")));
    let unseen = healthy()
        .without("metrics_server_doctor_deployment_version_supported")
        .without("metrics_server_doctor_deployment_metrics_servers");
    vec![unsupported, double, silent_for(70, "version and number not seen", "installed", &[page(&unseen)])]
}

fn of_apiservice() -> Vec<Case> {
    let rule = rules::alert("MetricsServerCABundleExpiresSoon", "warning", None);
    let labels = [("apiservice", METRICS_API)];
    let expires =
        |at: f64| healthy().with("metrics_server_doctor_apiservice_ca_bundle_not_after_timestamp_seconds", &labels, at);
    let fortnight = 14.0 * 86_400.0;
    // Of an hour's timeline the bundle has more than two weeks until here.
    let soon = expires(fortnight + 600.0 - 1.0);
    let renewed = expires(fortnight * 10.0);
    let firing = alert(&rule, CLUSTER, &labels);
    let mut case = fires("expiry", &rule, &firing, &[page(&soon), page(&renewed)], &[page(&renewed), page(&renewed)]);
    let mut told = labels_of(&rule);
    told.insert(
        "description".to_owned(),
        format!("The first certificate in spec.caBundle of APIService {METRICS_API} is valid for 13d 22h 59m 59s. Once all have expired the API server refuses metrics-server's certificate."),
    );
    case.annotations.push((BEGIN + rule.hold, firing, told));
    let ended = catalogue::all().iter().find(|entry| entry.cause == Cause::CaBundleExpired).expect("a cause");
    let over = found(ended, Impact::Outage).with(
        "metrics_server_doctor_apiservice_ca_bundle_not_after_timestamp_seconds",
        &labels,
        0.0,
    );
    let mut known = Case::new("expired already", "apiservice", Timeline::default().then(120, &[page(&over)]));
    let critical = rules::alert("MetricsServerAPIServiceUnavailable", "critical", None);
    known.firing = vec![(7_000, vec![alert(&critical, CLUSTER, &[("step", "apiservice"), ("cause", ended.id)])])];
    let other = healthy().with(
        "metrics_server_doctor_apiservice_ca_bundle_not_after_timestamp_seconds",
        &[("apiservice", "v1beta1.custom.metrics.k8s.io")],
        0.0,
    );
    let mut foreign = Case::new("another API's bundle", "apiservice", Timeline::default().then(120, &[page(&other)]));
    foreign.firing = vec![(7_000, vec![])];
    // Another fault beside it holds nothing back.
    let beside = found(first(Step::Apiservice), Impact::Outage).with(
        "metrics_server_doctor_apiservice_ca_bundle_not_after_timestamp_seconds",
        &labels,
        fortnight,
    );
    let mut both = Case::new("expiry beside a fault", "apiservice", Timeline::default().then(120, &[page(&beside)]));
    let fault = alert(&critical, CLUSTER, &[("step", "apiservice"), ("cause", first(Step::Apiservice).id)]);
    both.firing = vec![(7_000, vec![fault, alert(&rule, CLUSTER, &labels)])];
    // Ids are unique within a step only.
    let namesake = expires(fortnight).with(
        "metrics_server_doctor_findings",
        &[("step", Step::Timeout.id()), ("cause", ended.id)],
        1.0,
    );
    let mut beside_namesake = Case::new(
        "expiry beside a cause of the same id",
        "apiservice",
        Timeline::default().then(120, &[page(&namesake)]),
    );
    beside_namesake.firing = vec![(7_000, vec![alert(&rule, CLUSTER, &labels)])];
    let mut elsewhere = Case::new(
        "expiry in one cluster, expired in another",
        "apiservice",
        Timeline::default().then_in(120, &[(CLUSTER, &[page(&expires(fortnight))]), ("b", &[page(&over)])]),
    );
    let of_b = alert(&critical, "b", &[("step", "apiservice"), ("cause", ended.id)]);
    elsewhere.firing = vec![(7_000, vec![alert(&rule, CLUSTER, &labels), of_b])];
    vec![case, known, foreign, both, beside_namesake, elsewhere]
}

pub(crate) fn labels_of(rule: &Rule) -> Labels {
    rule.annotations.clone()
}

/// The labels of what is said about an autoscaler of namespace `shop`.
fn of_shop<'l>(hpa: &'l str, cause: &'l str) -> [(&'static str, &'l str); 3] {
    [("namespace", "shop"), ("horizontalpodautoscaler", hpa), ("cause", cause)]
}

fn of_hpa() -> Vec<Case> {
    let entry = |cause: Cause| cause.entry();
    let warning = rules::alert("HPATargetsUnknown", "warning", None);
    let critical = rules::alert("HPATargetsUnknown", "critical", None);
    let unknown = |hpa: &str, cause: &str, series: Series| {
        series.with("metrics_server_doctor_hpa_unknown_cause", &of_shop(hpa, cause), 1.0)
    };
    let missing = found(entry(Cause::MissingRequest), Impact::Partial);
    let two = unknown("api", "missing_request", missing.clone());
    let blind = |hpa: &str| alert(&warning, CLUSTER, &of_shop(hpa, "missing_request"));
    let mut each = Case::new(
        "hpa: two autoscalers, two replicas",
        "hpa",
        Timeline::default().then(BEFORE, &[well(), well()]).then(20, &[page(&two), page(&two)]),
    );
    each.firing = vec![(BEGIN + 870, vec![]), (BEGIN + 900, vec![blind("api"), blind("web")])];

    // The symptom of an outage upstream is told by the step that fails.
    let outage = unknown("web", "metrics_api_down", found(first(Step::Timeout), Impact::Outage));
    let mut held_back =
        Case::new("hpa: blind for an outage upstream", "hpa", Timeline::default().then(40, &[page(&outage)]));
    let upstream = rules::alert("MetricsServerTimeout", "critical", None);
    held_back.firing =
        vec![(2_370, vec![alert(&upstream, CLUSTER, &[("step", "timeout"), ("cause", first(Step::Timeout).id)])])];

    // A known autoscaler whose target went: no target reads <unknown>, and still it is a finding.
    let gone = found(entry(Cause::TargetNotFound), Impact::Partial).without("metrics_server_doctor_hpa_unknown_cause");
    let aggregated = alert(&warning, CLUSTER, &[("cause", "target_not_found")]);
    let mut without = fires(
        "hpa: a finding without unknown targets",
        &warning,
        &aggregated,
        &[page(&gone), page(&gone)],
        &[well(), well()],
    );
    let mut told = labels_of(&warning);
    told.insert("description".to_owned(), "1 HorizontalPodAutoscalers do not scale: target_not_found. kubectl describe hpa tells the controller's words, the doctor's report (/api/v1/report) what repairs it.".to_owned());
    told.insert("runbook_url".to_owned(), "docs/runbooks/hpa.md#target_not_found".to_owned());
    without.annotations.push((BEGIN + warning.hold, aggregated, told));

    let down = found(entry(Cause::MetricsApiDown), Impact::Outage);
    let all_blind = alert(&critical, CLUSTER, &[("step", "hpa"), ("cause", "metrics_api_down")]);
    // A cluster in which it hurts some says nothing about one in which it hurts all.
    let partly = found(entry(Cause::MetricsApiDown), Impact::Partial);
    let mut clusters = Case::new(
        "hpa: one cluster of two",
        "hpa",
        Timeline::default().then_in(40, &[(CLUSTER, &[page(&down)]), ("b", &[page(&partly)])]),
    );
    let elsewhere = alert(&warning, "b", &of_shop("web", "metrics_api_down"));
    clusters.firing = vec![(2_370, vec![all_blind.clone(), elsewhere])];
    let mut gone_elsewhere = Case::new(
        "hpa: unknown in one cluster, found in another",
        "hpa",
        Timeline::default().then_in(
            40,
            &[
                (CLUSTER, &[page(&unknown("web", "missing_request", healthy()))]),
                ("b", &[page(&missing.clone().without("metrics_server_doctor_hpa_unknown_cause"))]),
            ],
        ),
    );
    gone_elsewhere.firing = vec![(2_370, vec![alert(&warning, "b", &[("cause", "missing_request")])])];
    let mut mixed = Case::new(
        "hpa: an outage beside an autoscaler's own fault",
        "hpa",
        Timeline::default().then(
            40,
            &[page(&{
                let mut series = down.clone();
                series.0.extend(
                    missing
                        .0
                        .iter()
                        .filter(|((name, labels), _)| {
                            name == "metrics_server_doctor_hpa_unknown_cause"
                                || labels.get("cause").is_some_and(|cause| cause == "missing_request")
                        })
                        .map(|(key, value)| (key.clone(), *value)),
                );
                series
            })],
        ),
    );
    mixed.firing = vec![(2_370, vec![all_blind.clone(), blind("web")])];
    vec![
        foreign(),
        without_a_value(),
        two_causes(),
        namesake(false),
        namesake(true),
        each,
        held_back,
        without,
        clusters,
        gone_elsewhere,
        mixed,
        fires("hpa: all blind", &critical, &all_blind, &[page(&down), page(&down)], &[well(), well()]),
        fires("hpa: one blind", &warning, &blind("web"), &[page(&missing), page(&missing)], &[well(), well()]),
        silent("hpa: an unknown target that is no fault", "hpa", &[page(&unknown("web", "scaled_to_zero", healthy()))]),
    ]
}

/// The alert of an autoscaler, or of all that have no unknown target.
fn blind_alert(hpa: Option<&str>, cause: Cause) -> Firing {
    let mut labels = vec![("cause", cause.id())];
    labels.extend(hpa.into_iter().flat_map(|hpa| [("namespace", "shop"), ("horizontalpodautoscaler", hpa)]));
    alert(&rules::alert("HPATargetsUnknown", "warning", None), CLUSTER, &labels)
}

/// A finding without an unknown target, while another exporter has autoscalers that are blind through the same cause.
fn foreign() -> Case {
    let series =
        found(Cause::MissingRequest.entry(), Impact::Partial).without("metrics_server_doctor_hpa_unknown_cause");
    let mut case =
        Case::new("hpa: another exporter's blind autoscalers", "hpa", Timeline::default().then(40, &[page(&series)]));
    case.firing = vec![(2_370, vec![blind_alert(None, Cause::MissingRequest)])];
    case
}

/// One autoscaler is blind through a fault, and another is only scaled to zero.
fn without_a_value() -> Case {
    let series = found(Cause::MissingRequest.entry(), Impact::Partial).with(
        "metrics_server_doctor_hpa_unknown_cause",
        &[("namespace", "shop"), ("horizontalpodautoscaler", "night"), ("cause", "scaled_to_zero")],
        1.0,
    );
    let mut case =
        Case::new("hpa: one blind, one scaled to zero", "hpa", Timeline::default().then(40, &[page(&series)]));
    case.firing = vec![(2_370, vec![blind_alert(Some("web"), Cause::MissingRequest)])];
    case
}

/// One autoscaler is blind, and another has a fault of its own without an unknown target.
fn two_causes() -> Case {
    let labels = [("step", "hpa"), ("cause", Cause::TargetNotFound.id())];
    let series =
        found(Cause::MissingRequest.entry(), Impact::Partial).with("metrics_server_doctor_findings", &labels, 1.0);
    let mut case = Case::new("hpa: two causes", "hpa", Timeline::default().then(40, &[page(&series)]));
    case.firing =
        vec![(2_370, vec![blind_alert(Some("web"), Cause::MissingRequest), blind_alert(None, Cause::TargetNotFound)])];
    case
}

/// The cause `pods_not_ready` is one of two steps: of metrics-server's pods, through which all autoscalers are blind, and
/// of an autoscaler's own pods, which is told beside the other where it is found.
fn namesake(own_found: bool) -> Case {
    let (server, own) = (Cause::PodsNotReady.entry(), Cause::HpaPodsNotReady);
    assert_eq!(server.id, own.id());
    let labels = [("step", own.entry().step.id()), ("cause", own.id())];
    let series = found(server, Impact::Outage)
        .with(
            "metrics_server_doctor_hpa_unknown_cause",
            &[("namespace", "shop"), ("horizontalpodautoscaler", "web"), ("cause", own.id())],
            1.0,
        )
        .with("metrics_server_doctor_findings", &labels, f64::from(own_found));
    let mut case = Case::new(
        if own_found { "hpa: pods not ready, two causes" } else { "hpa: pods not ready, metrics-server's" },
        "hpa",
        Timeline::default().then(40, &[page(&series)]),
    );
    let critical = rules::alert(alert_of(server.step), "critical", None);
    let mut firing = vec![alert(&critical, CLUSTER, &[("step", server.step.id()), ("cause", server.id)])];
    firing.extend(own_found.then(|| blind_alert(Some("web"), own)));
    case.firing = vec![(2_370, firing)];
    case
}

fn of_known_issues() -> Vec<Case> {
    let rule = rules::alert("MetricsServerKnownIssue", "info", None);
    let issue = "logs_kubelet_timeout";
    let labels = [("step", "logs"), ("cause", "kubelet_timeout"), ("issue", issue)];
    let seen = found(first(Step::Timeout), Impact::Outage).with(
        "metrics_server_doctor_known_issue_detected",
        &[("issue", issue)],
        1.0,
    );
    let upstream = rules::alert("MetricsServerTimeout", "critical", None);
    let firing = alert(&upstream, CLUSTER, &[("step", "timeout"), ("cause", first(Step::Timeout).id)]);
    let mut explained = Case::new(
        "known issue that the verdict explains",
        "known_issues",
        Timeline::default()
            .then(BEFORE, &[well(), well()])
            .then(20, &[page(&seen), page(&seen)])
            .then(10, &[well(), well()]),
    );
    let info = alert(&rule, CLUSTER, &labels);
    explained.firing = vec![
        (BEGIN + 870, vec![firing.clone()]),
        (BEGIN + 900, vec![firing.clone(), info.clone()]),
        (BEGIN + 1_200 + 60, vec![firing]),
        (BEGIN + 1_200 + 570, vec![]),
    ];
    let mut told = told(&rule, &labels, "0");
    told.insert("runbook_url".to_owned(), "docs/runbooks/logs.md#kubelet_timeout".to_owned());
    explained.annotations.push((BEGIN + 900, info.clone(), told));
    let own = found(Cause::KubeletTimeout.entry(), Impact::Partial).with(
        "metrics_server_doctor_known_issue_detected",
        &[("issue", issue)],
        1.0,
    );
    let mut alone =
        Case::new("known issue with an alert of its own", "known_issues", Timeline::default().then(40, &[page(&own)]));
    let warning = rules::alert("MetricsServerLogsErrors", "warning", None);
    alone.firing = vec![(2_370, vec![alert(&warning, CLUSTER, &labels[..2])])];
    let mut clusters = Case::new(
        "known issue in one cluster of two",
        "known_issues",
        Timeline::default().then_in(
            40,
            &[
                (
                    CLUSTER,
                    &[page(&healthy().with("metrics_server_doctor_known_issue_detected", &[("issue", issue)], 1.0))],
                ),
                ("b", &[well()]),
            ],
        ),
    );
    clusters.firing = vec![(2_370, vec![info])];
    vec![
        explained,
        alone,
        clusters,
        silent(
            "no known issue looked for",
            "known_issues",
            &[page(&healthy().without("metrics_server_doctor_known_issue_detected"))],
        ),
    ]
}

/// The cases of every file; those that mutations are tried with.
pub(crate) fn of_rules() -> Vec<Case> {
    let mut cases: Vec<Case> = SECTIONS.iter().flat_map(|(step, _)| of_section(*step)).collect();
    cases.extend(
        [
            of_installed(),
            of_apiservice(),
            of_hpa(),
            of_known_issues(),
            doctor::cases(),
            pipeline::cases(),
            recording::cases(),
        ]
        .into_iter()
        .flatten(),
    );
    cases
}

/// Symptoms, by id.
pub(crate) fn symptoms() -> Vec<&'static str> {
    catalogue::all().iter().filter(|entry| entry.role == Role::Symptom).map(|entry| entry.id).collect()
}
