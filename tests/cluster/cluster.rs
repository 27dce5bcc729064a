//! The cluster that all cases share, and what a case expects of the page.

use std::{
    cell::{Cell, RefCell},
    path::Path,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use jiff::Timestamp;
use testbed::{
    Bed,
    doctor::{self, Doctor},
    firewall,
    kubectl::Kubectl,
    page::Page,
    wait::wait_for,
};

/// The page is right within this time of the API server's showing a fault.
const PAGE_LIMIT: Duration = Duration::from_secs(5);
/// The aggregator looks again at least every half minute.
const AGGREGATOR_LIMIT: Duration = Duration::from_secs(90);

const METRICS_API: &str = "v1beta1.metrics.k8s.io";

pub(crate) struct Cluster {
    pub(crate) bed: Bed,
    pub(crate) doctor: Doctor,
    slowest: Cell<Duration>,
    refused: RefCell<Vec<(Timestamp, Timestamp)>>,
}

/// What the page has to say. What is not named is not looked at, but for the verdict.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'e> {
    /// `step/cause`
    pub(crate) verdict: &'e str,
    /// `apiservice_available` of the resource metrics API.
    pub(crate) available: bool,
    /// `endpoints_count`, `None` where the Service has no series.
    pub(crate) endpoints: Option<f64>,
    /// The hops of `port_mismatch` that are 1; all others are 0 or absent.
    pub(crate) mismatches: &'e [&'e str],
    /// `hpa_unknown_targets` of autoscalers in namespace `shop`.
    pub(crate) unknown_targets: &'e [(&'e str, f64)],
    /// States of checks, as (`step/check`, state).
    pub(crate) checks: &'e [(&'e str, &'e str)],
}

pub(crate) const HEALTHY: Expected<'static> = Expected {
    verdict: "none/healthy",
    available: true,
    endpoints: Some(1.0),
    mismatches: &[],
    unknown_targets: &[],
    checks: &[
        ("installed/registered", "pass"),
        ("installed/workload", "pass"),
        ("retrieve/nodes", "pass"),
        ("apiservice/available", "pass"),
        ("connection_refused/port_chain", "pass"),
        ("other_reasons/service", "pass"),
        ("other_reasons/service_port", "pass"),
        ("other_reasons/endpoints", "pass"),
        ("other_reasons/deployment", "pass"),
    ],
};

impl Expected<'_> {
    fn differences(&self, page: &Page) -> Vec<String> {
        let mut differences = Vec::new();
        let mut differ = |what: String, wanted: String, seen: String| {
            if wanted != seen {
                differences.push(format!("{what} is {seen}, not {wanted}"));
            }
        };
        let verdict = page.verdict().unwrap_or_else(|error| error.to_string());
        differ("the verdict".to_owned(), self.verdict.to_owned(), verdict);
        let seen = page.value("apiservice_available", &[("apiservice", METRICS_API)]);
        let wanted = Some(if self.available { 1.0 } else { 0.0 });
        differ("apiservice_available".to_owned(), format!("{wanted:?}"), format!("{seen:?}"));
        let seen = page.value("endpoints_count", &[("namespace", "kube-system"), ("service", "metrics-server")]);
        differ("endpoints_count".to_owned(), format!("{:?}", self.endpoints), format!("{seen:?}"));
        let hops = page.named("port_mismatch").filter(|sample| sample.value != 0.0);
        let hops: Vec<_> = hops.map(|sample| sample.label("hop")).collect();
        differ("port_mismatch".to_owned(), format!("{:?}", self.mismatches), format!("{hops:?}"));
        for (autoscaler, wanted) in self.unknown_targets {
            let seen = page.value("hpa_unknown_targets", &[("namespace", "shop"), ("hpa", autoscaler)]);
            differ(format!("hpa_unknown_targets of {autoscaler}"), format!("{:?}", Some(wanted)), format!("{seen:?}"));
        }
        for (check, wanted) in self.checks {
            let (step, id) = check.split_once('/').unwrap_or((check, ""));
            let seen = page.check(step, id).unwrap_or_else(|error| error.to_string());
            differ(format!("check {check}"), (*wanted).to_owned(), seen);
        }
        differences
    }
}

impl Cluster {
    pub(crate) fn start(binary: &Path) -> Result<Self> {
        let bed = Bed::start()?;
        bed.kubectl().apply(include_str!("shop.yaml"));
        let doctor = Doctor::start(&bed, binary)?;
        let cluster = Self { bed, doctor, slowest: Cell::default(), refused: RefCell::default() };
        wait_for("the autoscaler to know its targets", Duration::from_mins(1), || {
            let value = cluster.kubectl().try_words(
                "get hpa web -n shop -o jsonpath={.status.currentMetrics[0].resource.current.averageUtilization}",
            )?;
            ensure!(!value.is_empty(), "no utilization yet");
            Ok(())
        })?;
        Ok(cluster)
    }

    pub(crate) fn kubectl(&self) -> Kubectl {
        self.bed.kubectl()
    }

    pub(crate) fn slowest(&self) -> Duration {
        self.slowest.get()
    }

    /// Runs what takes rights from the doctor, so that refusals meanwhile are no fault of the shipped rules.
    pub(crate) fn while_refused(&self, case: impl FnOnce()) {
        let begin = Timestamp::now();
        case();
        self.refused.borrow_mut().push((begin, Timestamp::now()));
    }

    /// Whether the doctor lacked rights at that moment on purpose.
    pub(crate) fn is_refused_at(&self, moment: Timestamp) -> bool {
        self.refused.borrow().iter().any(|(begin, end)| (*begin..=*end).contains(&moment))
    }

    /// Waits until the aggregator's condition has this reason.
    pub(crate) fn await_reason(&self, reason: &str) {
        let words =
            format!("get apiservice {METRICS_API} -o jsonpath={{.status.conditions[?(@.type==\"Available\")].reason}}");
        let shown = wait_for(&format!("condition Available: {reason}"), AGGREGATOR_LIMIT, || {
            let seen = self.kubectl().try_words(&words)?;
            ensure!(seen == reason, "the reason is {seen}");
            Ok(())
        });
        shown.unwrap_or_else(|error| panic!("{error:#}"));
    }

    /// Waits until a condition of an autoscaler in namespace `shop` has this reason.
    pub(crate) fn await_autoscaler(&self, name: &str, condition: &str, reason: &str) {
        let words =
            format!("get hpa {name} -n shop -o jsonpath={{.status.conditions[?(@.type==\"{condition}\")].reason}}");
        let shown = wait_for(&format!("{condition} of {name}: {reason}"), Duration::from_mins(1), || {
            let seen = self.kubectl().try_words(&words)?;
            ensure!(seen == reason, "the reason is {seen}");
            Ok(())
        });
        shown.unwrap_or_else(|error| panic!("{error:#}"));
    }

    /// The page says so within five seconds from now.
    pub(crate) fn expect(&self, expected: &Expected<'_>) {
        let begin = Instant::now();
        self.doctor.await_page(expected.verdict, PAGE_LIMIT, |page| expected.differences(page));
        self.slowest.set(self.slowest.get().max(begin.elapsed()));
    }

    /// After a fault is healed: the aggregator reaches metrics-server again, and the page says so.
    pub(crate) fn expect_healthy(&self) {
        self.await_reason("Passed");
        let healed = self.bed.await_healthy();
        healed.unwrap_or_else(|error| panic!("{error:#}"));
        let web = Expected { unknown_targets: &[("web", 0.0)], ..HEALTHY };
        // The autoscaler's controller looks every five seconds, the metrics client every now and then.
        self.doctor.await_page("healthy again", Duration::from_secs(20), |page| web.differences(page));
    }

    /// Puts everything back after a case that failed half-way.
    pub(crate) fn reset(&self) -> Result<()> {
        firewall::clear();
        self.bed.pod_faults.keep_killed.store(false, Ordering::Relaxed);
        self.bed.pod_faults.not_ready.store(false, Ordering::Relaxed);
        self.bed.kubelet.refuse_metrics(None);
        let kubectl = self.kubectl();
        kubectl.try_words("delete service metrics-server -n kube-system --ignore-not-found")?;
        kubectl.try_words("delete hpa -n shop --all")?;
        kubectl.try_words("delete hpa -n printer --all --ignore-not-found")?;
        kubectl.try_words("delete deployment sidecar -n shop --ignore-not-found")?;
        kubectl.run_with_input(&["apply", "-f", "-"], testbed::METRICS_SERVER_MANIFEST)?;
        kubectl.apply(include_str!("shop.yaml"));
        doctor::apply_base(&self.bed)?;
        self.bed.await_healthy()?;
        // What a fault has left behind in the doctor may take one round of its slowest look.
        let begin = Instant::now();
        while self.doctor.page().verdict()? != "none/healthy" {
            ensure!(begin.elapsed() < Duration::from_mins(2), "{}", self.doctor.page().summary());
            std::thread::sleep(Duration::from_millis(500));
        }
        Ok(())
    }

    pub(crate) fn doctor_log_end(&self) -> String {
        let log = self.doctor.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}
