//! What all rules together say: of every scene of the demo, and of changes that are no faults.

use metrics_server_doctor::{catalogue, guide::Step, steps::known_issues::issue_id};

use crate::{
    cases::{BEFORE, BEGIN, alert, alert_of, page, silent, well},
    pipeline,
    rules::{self, Rule},
    scenes::{self, Series},
    timeline::{CLUSTER, Case, Firing, Scrape, Timeline},
};

/// A rollout of metrics-server and of an autoscaler's target, and a target at zero replicas.
pub(crate) fn of_changes() -> Vec<Case> {
    let rollout = scenes::scene(
        "title: rollout
verdict: none/healthy
change:
  - {kind: Deployment, name: metrics-server, to: {metadata: {generation: 2}, status: {observedGeneration: 2, replicas: 2, updatedReplicas: 1, unavailableReplicas: 1}}}
  - kind: HorizontalPodAutoscaler
    name: web
    to:
      status:
        currentMetrics: null
        conditions:
          - {type: AbleToScale, status: 'True', reason: SucceededGetScale, lastTransitionTime: '${-7000}'}
          - {type: ScalingActive, status: 'False', reason: FailedGetResourceMetric, message: 'did not receive metrics for targeted pods (pods might be unready)', lastTransitionTime: '${-20}'}",
    );
    let zero = scenes::scene(
        "title: scaled to zero
verdict: none/healthy
change:
  - kind: HorizontalPodAutoscaler
    name: web
    to:
      status:
        currentMetrics: null
        conditions:
          - {type: AbleToScale, status: 'True', reason: SucceededGetScale, lastTransitionTime: '${-7000}'}
          - {type: ScalingActive, status: 'False', reason: ScalingDisabled, message: 'scaling is disabled since the replica count of the target is zero', lastTransitionTime: '${-900}'}",
    );
    let unknown = |series: &Series| series.only(|name| name == "hpa_unknown_targets").0.values().sum::<f64>();
    assert!(unknown(&rollout) > 0.0 && unknown(&zero) > 0.0, "the scenes show nothing unusual");
    let restarted = Timeline::default()
        .then(BEFORE, &[well()])
        .then(5, &[page(&rollout)])
        .then(1, &[Scrape::Failed])
        .then(10, &[well()]);
    let mut restart = Case::new("a rollout, and one of the doctor", "all", restarted);
    restart.firing = (1..26).map(|minute| (minute * 60, vec![])).collect();
    let all =
        vec![silent("a rollout", "all", &[page(&rollout)]), silent("scaled to zero", "all", &[page(&zero)]), restart];
    all.into_iter().map(|case| Case { alone: true, ..case }).collect()
}

/// The alert of a verdict `step/cause`, with the Service that is seen on the page.
fn blamed(rule: &Rule, verdict: &str, series: &Series) -> Firing {
    let (step, cause) = verdict.split_once('/').expect("step/cause");
    let mut labels = vec![("step", step), ("cause", cause)];
    labels.extend(series.service().into_iter().flatten());
    alert(rule, CLUSTER, &labels)
}

/// An outage with everything that is seen of it downstream: an unavailable `APIService`, calls that fail, forty blind
/// autoscalers.
pub(crate) fn of_symptoms() -> Vec<Case> {
    let scene = scenes::demo_scenes().into_iter().find(|(scene, _)| scene.verdict.starts_with("timeout/"));
    let (scene, mut series) = scene.expect("a scene of step timeout");
    for number in 0..40 {
        let hpa = format!("web-{number}");
        let labels = [("namespace", "shop"), ("horizontalpodautoscaler", hpa.as_str())];
        series.set("hpa_unknown_targets", &labels, 1.0);
        series.set(
            "metrics_server_doctor_hpa_unknown_cause",
            &[labels[0], labels[1], ("cause", "metrics_api_down")],
            1.0,
        );
    }
    let seen = |name: &str, value: f64| {
        series.only(|known| known == name).0.values().filter(|seen| seen.to_bits() == value.to_bits()).count()
    };
    let symptoms = seen("apiservice_available", 0.0)
        + seen("metrics_server_doctor_metrics_api_up", 0.0)
        + seen("metrics_server_doctor_hpa_unknown_cause", 1.0);
    assert!(symptoms > 42, "{symptoms} symptoms");
    let mut case =
        Case::new("forty-three symptoms", "all", Timeline::default().then(40, &[page(&series), page(&series)]));
    let rule = rules::alert("MetricsServerTimeout", "critical", None);
    // The catch-all fires beside it; Alertmanager holds it back.
    let named = blamed(&rule, &scene.verdict, &series);
    case.firing = vec![(2_370, vec![named, alert(&pipeline::rule(), CLUSTER, &[])])];
    vec![Case { alone: true, ..case }]
}

/// Every scene of the demo: however many symptoms burn, one root cause is named.
pub(crate) fn of_demo() -> Vec<Case> {
    scenes::demo_scenes()
        .into_iter()
        .map(|(scene, series)| {
            let mut case = Case::new(
                &scene.title,
                "all",
                Timeline::default().then(BEFORE, &[well(), well()]).then(30, &[page(&series), page(&series)]),
            );
            case.alone = true;
            let (step, blamed_cause) = scene.verdict.split_once('/').expect("step/cause");
            let mut expected = match Step::ALL.into_iter().find(|known| known.id() == step) {
                None => vec![],
                Some(Step::Hpa) => vec![alert(
                    &rules::alert("HPATargetsUnknown", "warning", None),
                    CLUSTER,
                    &[("namespace", "shop"), ("horizontalpodautoscaler", "web"), ("cause", blamed_cause)],
                )],
                Some(step) => {
                    vec![blamed(&rules::alert(alert_of(step), "critical", None), &scene.verdict, &series)]
                }
            };
            if expected.iter().any(|firing| firing["severity"] == "critical") {
                // Held back by Alertmanager while the alert with a cause fires.
                expected.push(alert(&pipeline::rule(), CLUSTER, &[]));
            }
            expected.extend(known_issues(&series));
            case.firing = vec![(BEGIN + 1_770, expected)];
            case
        })
        .collect()
}

/// What is worth knowing of the symptoms: Alertmanager's rules hold it back as long as the root cause is told.
fn known_issues(series: &Series) -> Vec<Firing> {
    let set = |name: &str, wanted: &[(&str, &str)]| {
        series.0.iter().any(|((known, labels), value)| {
            known == name
                && *value > 0.0
                && wanted.iter().all(|(label, value)| labels.get(*label).is_some_and(|seen| seen == value))
        })
    };
    let described = catalogue::all().iter().filter(|entry| {
        let issue = issue_id(entry.cause);
        let named = [("step", entry.step.id()), ("cause", entry.id)];
        set("metrics_server_doctor_known_issue_detected", &[("issue", &issue)])
            && !set("metrics_server_doctor_findings", &named)
    });
    let rule = rules::alert("MetricsServerKnownIssue", "info", None);
    described.map(|entry| alert(&rule, CLUSTER, &[("cause", entry.id), ("issue", &issue_id(entry.cause))])).collect()
}
