//! Outages that do not stand still: crash loops, causes that alternate, a condition that flaps, a doctor that restarts. Each is
//! exactly one page, from ten minutes at the latest until the end.

use metrics_server_doctor::catalogue::Cause;

use crate::{
    cases::{BEFORE, BEGIN, page, well},
    doctor::{unavailable, undetermined},
    pipeline::outage,
    scenes::METRICS_API,
    timeline::{Case, Scrape, Timeline},
};

/// A container of metrics-server is Ready so many seconds after its start (`initialDelaySeconds` of the upstream manifest).
const READY_AFTER: u64 = 20;
/// The kubelet waits 10 s before it starts a container again, and each time twice as long, up to 300 s (kubernetes/kubernetes
/// `pkg/kubelet/kubelet.go`, 1.37).
const BACK_OFF: (u64, u64) = (10, 300);
/// Minutes of an outage.
const LASTS: u64 = 120;
/// By then somebody is paged.
const PAGED: u64 = 660;

/// A moment of a crash loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting,
    Starting,
    Serving,
}

/// The phase in which a container is that lives for so many seconds each time.
fn phase(life: u64, second: u64) -> Phase {
    let (mut begin, mut back_off) = (0, BACK_OFF.0);
    loop {
        if second < begin + life {
            return if second < begin + READY_AFTER { Phase::Starting } else { Phase::Serving };
        }
        begin += life;
        if second < begin + back_off {
            return Phase::Waiting;
        }
        begin += back_off;
        back_off = (back_off * 2).min(BACK_OFF.1);
    }
}

/// What the page says in the phases of a crash loop.
#[derive(Debug, Clone, Copy)]
enum Telling {
    /// One cause through the whole cycle.
    OneCause,
    /// One cause, and all is well while it serves.
    HealthyForMoments,
    /// A cause for each phase.
    Alternating,
}

/// The page of each minute; `from` is where in the loop the first scrape falls.
fn loops(life: u64, telling: Telling, from: u64) -> Case {
    let crashing = page(&outage(Cause::ContainerCrashing));
    let (starting, serving) = match telling {
        Telling::OneCause => (crashing.clone(), crashing.clone()),
        Telling::HealthyForMoments => (crashing.clone(), well()),
        Telling::Alternating => (page(&outage(Cause::PodsNotReady)), well()),
    };
    lasting(&format!("a crash loop of {life} s, {telling:?} from {from}"), |minute| {
        match phase(life, minute * 60 + from) {
            Phase::Waiting => crashing.clone(),
            Phase::Starting => starting.clone(),
            Phase::Serving => serving.clone(),
        }
    })
}

/// Two hours of which each minute has a page of its own.
fn lasting(name: &str, page_of: impl Fn(u64) -> Scrape) -> Case {
    let minutes = 0..LASTS;
    let timeline = minutes
        .fold(Timeline::default().then(BEFORE, &[well()]), |timeline, minute| timeline.then(1, &[page_of(minute)]));
    let mut case = Case::new(name, "all", timeline);
    case.alone = true;
    let critical = r#"ALERTS{alertstate="firing", severity="critical""#;
    let end = case.timeline.end() - 60;
    case.values.push((BEGIN, format!("count({critical}}})"), vec![]));
    // Without a break, so that nothing is resolved and raised again; Alertmanager tells all that are critical in a cluster in one.
    let paged = format!("count_over_time(absent({critical}}})[{}s:1m])", end - BEGIN - PAGED);
    case.values.push((end, paged, vec![]));
    case
}

/// How many alerts had a cause and paged within the two hours.
fn with_a_cause(case: &mut Case, count: Option<f64>) {
    let expression = r#"count(max_over_time(ALERTS{alertstate="firing", severity="critical", alertname!="MetricsPipelineDown"}[2h]))"#;
    let expected = count.map(|count| ("{}".to_owned(), count));
    case.values.push((case.timeline.end() - 60, expression.to_owned(), expected.into_iter().collect()));
}

/// Crash loops of all lives.
pub(crate) fn of_loops() -> Vec<Case> {
    let mut cases = Vec::new();
    for life in [20, 30, 60] {
        let mut steady = loops(life, Telling::OneCause, 0);
        with_a_cause(&mut steady, Some(1.0));
        cases.push(steady);
        for telling in [Telling::HealthyForMoments, Telling::Alternating] {
            cases.extend([0, 25].map(|from| loops(life, telling, from)));
        }
    }
    cases
}

/// Outages whose cause changes, and looks that fail.
pub(crate) fn of_changes() -> Vec<Case> {
    let [crashing, timeout] =
        [Cause::ContainerCrashing, Cause::ControlPlanePathClosed].map(|cause| page(&outage(cause)));
    let open = page(&unavailable(undetermined()));
    let mut alternating =
        lasting("two causes in turn", |minute| if minute / 3 % 2 == 0 { crashing.clone() } else { timeout.clone() });
    with_a_cause(&mut alternating, None);
    let mut sometimes_open =
        lasting(
            "a cause that is open in turn",
            |minute| if minute / 4 % 2 == 0 { open.clone() } else { timeout.clone() },
        );
    with_a_cause(&mut sometimes_open, None);
    let mut stays_open = lasting("an outage whose cause is open", |_| open.clone());
    with_a_cause(&mut stays_open, Some(1.0));
    let mut restarts = lasting("a doctor that restarts every minute", |minute| {
        if minute.is_multiple_of(2) { timeout.clone() } else { Scrape::Failed }
    });
    with_a_cause(&mut restarts, None);
    let changed = |minute: u64| {
        let series =
            if minute.is_multiple_of(2) { outage(Cause::ApiServiceUnavailable) } else { crate::scenes::healthy() };
        let changes = f64::from(u32::try_from(minute).expect("a small number"));
        let counter = "metrics_server_doctor_apiservice_condition_transitions_total";
        page(&series.with(counter, &[("apiservice", METRICS_API)], changes))
    };
    let mut flaps = lasting("a condition that flaps", changed);
    with_a_cause(&mut flaps, None);
    let warned = r#"count(ALERTS{alertstate="firing", alertname="MetricsServerAPIServiceFlapping"})"#.to_owned();
    flaps.values.push((BEGIN + 3_600, warned, vec![("{}".to_owned(), 1.0)]));
    vec![alternating, sometimes_open, stays_open, restarts, flaps]
}

#[test]
fn a_crash_loop_is_seen_as_the_kubelet_makes_it() {
    assert_eq!(phase(30, 0), Phase::Starting);
    assert_eq!(phase(30, 25), Phase::Serving);
    assert_eq!(phase(30, 35), Phase::Waiting);
    assert_eq!(phase(30, 40), Phase::Starting, "after ten seconds");
    assert_eq!(phase(30, 40 + 30 + 19), Phase::Waiting, "of twenty");
    let waits = (0..7_200).filter(|second| phase(20, *second) == Phase::Waiting).count();
    assert!(waits > 6_600, "{waits} s of two hours, most of them back-offs of 300 s");
}
