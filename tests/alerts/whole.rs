//! What all rules together say: of every scene of the demo, and of changes that are no faults.

use metrics_server_doctor::steps::Step;

use crate::{
    cases::{BEFORE, BEGIN, alert, alert_of, page, silent, well},
    rules,
    scenes::{self, Series},
    timeline::{CLUSTER, Case, Scrape, Timeline},
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
    vec![silent("a rollout", "all", &[page(&rollout)]), silent("scaled to zero", "all", &[page(&zero)]), restart]
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
            let (step, cause) = scene.verdict.split_once('/').expect("step/cause");
            let expected = match Step::ALL.into_iter().find(|known| known.id() == step) {
                None => vec![],
                Some(Step::Hpa) => vec![alert(
                    &rules::alert("HPATargetsUnknown", "warning", None),
                    CLUSTER,
                    &[("namespace", "shop"), ("hpa", "web"), ("cause", cause)],
                )],
                Some(step) => vec![alert(
                    &rules::alert(alert_of(step), "critical", None),
                    CLUSTER,
                    &[("step", step.id()), ("cause", cause)],
                )],
            };
            case.firing = vec![(BEGIN + 1_770, expected)];
            case
        })
        .collect()
}
