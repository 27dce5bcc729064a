//! Cases of the catch-all: metrics are gone for everybody, whatever the cause.

use metrics_server_doctor::{
    catalogue::{self, Cause},
    check::Impact,
};

use crate::{
    cases::{BEFORE, BEGIN, alert, page, silent, well, with_two_blind},
    rules::{self, Rule},
    said,
    scenes::{Series, found},
    timeline::{CLUSTER, Case, STEP, Timeline},
};

/// The catch-all.
pub(crate) fn rule() -> Rule {
    rules::alert("MetricsPipelineDown", "critical", None)
}

/// What the page says while a cause takes metrics away from everybody.
pub(crate) fn outage(cause: Cause) -> Series {
    let entry = catalogue::all().iter().find(|entry| entry.cause == cause).expect("a row");
    found(entry, Impact::Outage)
}

/// How long the rule looks back.
const WINDOW: u64 = 300;

/// The cases of the file.
pub(crate) fn cases() -> Vec<Case> {
    let rule = rule();
    let firing = alert(&rule, CLUSTER, &[]);
    let down = page(&with_two_blind(outage(Cause::ContainerCrashing)));

    let mut plain = Case::new(
        "an outage",
        "pipeline",
        Timeline::default().then(BEFORE, &[well()]).then(30, std::slice::from_ref(&down)).then(20, &[well()]),
    );
    let healed = BEGIN + 30 * 60;
    plain.firing = vec![
        (BEGIN, vec![]),
        (BEGIN + rule.hold - STEP, vec![]),
        (BEGIN + rule.hold, vec![firing.clone()]),
        (healed + WINDOW - STEP - STEP, vec![firing.clone()]),
        (healed + WINDOW + STEP, vec![]),
    ];
    let mut told = said::told(&rule, &[], "1");
    told.insert("description".to_owned(), "Cluster a: kubectl top and autoscalers on CPU and memory have not worked for ten minutes, or work for moments only. HorizontalPodAutoscalers that are blind: 2. The report (/api/v1/report) names the cause and what was read.".to_owned());
    plain.annotations.push((BEGIN + rule.hold, firing.clone(), told));

    // A container that runs for a minute between back-offs of up to five: the cause alternates, and for moments all is well.
    let mut timeline = Timeline::default().then(BEFORE, &[well()]);
    for cause in [Cause::ContainerCrashing, Cause::PodsNotReady, Cause::ContainerCrashing, Cause::ApiServiceUnavailable]
    {
        timeline =
            timeline.then(2, &[page(&outage(cause))]).then(1, &[well()]).then(3, &[page(&outage(Cause::PodsNotReady))]);
    }
    let mut alternating = Case::new("a crash loop whose cause alternates", "pipeline", timeline);
    alternating.firing = vec![
        (BEGIN + rule.hold - STEP, vec![]),
        (BEGIN + rule.hold, vec![firing.clone()]),
        (BEGIN + 1_380, vec![firing.clone()]),
    ];

    // Moments of health of up to four minutes are bridged, six minutes are recovery.
    let bridged = Timeline::default().then(BEFORE, &[well()]).then(1, std::slice::from_ref(&down));
    let bridged = bridged
        .then(4, &[well()])
        .then(1, std::slice::from_ref(&down))
        .then(4, &[well()])
        .then(5, std::slice::from_ref(&down));
    let mut bridged = Case::new("back-offs of four minutes", "pipeline", bridged);
    bridged.firing = vec![(BEGIN + rule.hold, vec![firing.clone()])];
    let recovered = Timeline::default().then(BEFORE, &[well()]).then(6, std::slice::from_ref(&down));
    let recovered = recovered.then(6, &[well()]).then(8, std::slice::from_ref(&down));
    let mut recovered = Case::new("recovered for six minutes", "pipeline", recovered);
    recovered.firing = vec![(BEGIN + rule.hold, vec![]), (BEGIN + 1_170, vec![])];

    let mut clusters = Case::new(
        "one cluster of two",
        "pipeline",
        Timeline::default().then_in(30, &[(CLUSTER, &[well(), down.clone()]), ("b", &[well()])]),
    );
    clusters.firing = vec![(1_770, vec![firing])];

    let entry = catalogue::all().iter().find(|entry| entry.cause == Cause::MissingRequest).expect("a row");
    vec![
        plain,
        alternating,
        bridged,
        recovered,
        clusters,
        silent("a healthy page", "pipeline", &[well()]),
        silent("a tenant's autoscaler", "pipeline", &[page(&found(entry, Impact::Partial))]),
    ]
}
