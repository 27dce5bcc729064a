//! The table of what is tried on real clusters: faults with what has to be said of them, and what is no fault.

use std::time::Duration;

use testbed::page::Page;

use crate::cluster::Cluster;

/// The name of the `APIService` of the resource metrics API.
pub(crate) const METRICS_API: &str = "v1beta1.metrics.k8s.io";

/// One line of the table.
pub(crate) struct Row {
    /// Unique; also the argument that tries this row only.
    pub(crate) name: &'static str,
    /// How it is brought about, for readers of the documentation.
    pub(crate) injection: &'static str,
    pub(crate) kind: Kind,
}

pub(crate) enum Kind {
    /// Something is broken, has to be named, and is repaired.
    Fault(Fault),
    /// Something happens that is no fault: no cause may be named at any moment.
    Quiet(fn(&Cluster)),
    /// Brings this cause about, and looks for itself.
    Named(&'static str, fn(&Cluster)),
    /// Looks for itself; no cause is brought about.
    Own(fn(&Cluster)),
    /// The faults of two other rows at once.
    Pair(Pair),
}

/// Two independent faults: both are findings, the one upstream leads, and neither is held back. What each shows by itself is
/// the business of its own row.
pub(crate) struct Pair {
    /// The name of the row whose cause has to lead.
    pub(crate) upstream: &'static str,
    /// The name of the other, which is injected first, so that what it shows is there before the way is closed.
    pub(crate) other: &'static str,
}

pub(crate) struct Fault {
    pub(crate) inject: fn(&Cluster),
    /// What the API server shows first.
    pub(crate) shown: Shown,
    pub(crate) expected: Expected,
    /// Within this time from then the page is right: [`Fault::PAGE_LIMIT`] but where the doctor or metrics-server has
    /// to look by itself.
    pub(crate) within: Duration,
    /// Roots that may carry the verdict until then, because nothing else can be known.
    pub(crate) on_the_way: &'static [&'static str],
    pub(crate) heal: fn(&Cluster),
}

impl Fault {
    /// The page is right within this time of the API server's showing a fault.
    pub(crate) const PAGE_LIMIT: Duration = Duration::from_secs(5);
    /// The doctor asks for metrics every half minute, with a jitter, and metrics-server scrapes every ten seconds.
    pub(crate) const LOOK_LIMIT: Duration = Duration::from_secs(75);

    pub(crate) const fn new(inject: fn(&Cluster), shown: Shown, expected: Expected, heal: fn(&Cluster)) -> Self {
        Self { inject, shown, expected, within: Self::PAGE_LIMIT, on_the_way: &[], heal }
    }

    /// One that the doctor settles by dialling the endpoints itself, which it does soon after the condition has changed.
    pub(crate) const fn dialled(mut self) -> Self {
        self.within = Duration::from_secs(20);
        self
    }

    /// One that shows only when the doctor or metrics-server looks the next time.
    pub(crate) const fn looked_for(mut self) -> Self {
        self.within = Self::LOOK_LIMIT;
        self
    }
}

/// What the API server shows of a fault.
pub(crate) enum Shown {
    /// The objects themselves, or nothing.
    AtOnce,
    /// The aggregator's condition has this reason.
    Reason(&'static str),
    /// A condition of an autoscaler in namespace `shop` has this reason.
    Autoscaler { name: &'static str, condition: &'static str, reason: &'static str },
}

/// What the page has to say. What is not named is not looked at, but for the verdict.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    /// `step/cause`
    pub(crate) verdict: &'static str,
    /// Findings of their own beside the verdict.
    pub(crate) beside: &'static [&'static str],
    /// `apiservice_available` of the resource metrics API.
    pub(crate) available: bool,
    /// `endpoints_count`, `None` where the Service has no series.
    pub(crate) endpoints: Option<f64>,
    /// The hops of `port_mismatch` that are 1; all others are 0 or absent.
    pub(crate) mismatches: &'static [&'static str],
    /// `hpa_unknown_targets` of autoscalers in namespace `shop`.
    pub(crate) unknown_targets: &'static [(&'static str, f64)],
    /// States of checks, as (`step/check`, state).
    pub(crate) checks: &'static [(&'static str, &'static str)],
}

pub(crate) const HEALTHY: Expected = Expected {
    verdict: "none/healthy",
    beside: &[],
    available: true,
    endpoints: Some(1.0),
    mismatches: &[],
    unknown_targets: &[],
    checks: &[
        ("installed/registered", "pass"),
        ("installed/workload", "pass"),
        ("retrieve/nodes", "pass"),
        ("retrieve/pods", "pass"),
        ("apiservice/available", "pass"),
        ("connection_refused/port_chain", "pass"),
        ("other_reasons/service", "pass"),
        ("other_reasons/service_port", "pass"),
        ("other_reasons/endpoints", "pass"),
        ("other_reasons/deployment", "pass"),
    ],
};

/// The aggregator does not get through; endpoints are published.
pub(crate) const UNREACHED: Expected =
    Expected { available: false, checks: &[("apiservice/available", "fail")], ..HEALTHY };
/// No endpoint is ready.
pub(crate) const DOWN: Expected = Expected { endpoints: Some(0.0), ..UNREACHED };

impl Expected {
    /// What the page says otherwise.
    pub(crate) fn differences(&self, page: &Page) -> Vec<String> {
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
            let seen =
                page.value("hpa_unknown_targets", &[("namespace", "shop"), ("horizontalpodautoscaler", autoscaler)]);
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

/// Rows that take long and rarely break: tried by name and at night.
pub(crate) const AT_NIGHT: &[&str] = &["crash loop, 20 s of life", "crash loop, 200 s of life"];

/// A cause that no bed can bring about, with what stands in for it.
pub(crate) struct StandIn {
    /// `step/cause`
    pub(crate) cause: &'static str,
    /// Why it cannot be injected.
    pub(crate) reason: &'static str,
}

/// Causes without a row. Each has a case in `tests/cases`.
pub(crate) const STAND_INS: &[StandIn] = &[
    StandIn {
        cause: "installed/known_defect",
        reason: "the versions whose defects are known exist neither as Go modules nor elsewhere within reach",
    },
    StandIn {
        cause: "retrieve/metrics_api_failing",
        reason: "a symptom: on a real cluster whatever makes calls fail that the aggregator's own check passes is found upstream of it",
    },
    StandIn {
        cause: "apiservice/apiservice_unavailable",
        reason: "a symptom: it stands alone only where everything behind the APIService is out of sight",
    },
    StandIn {
        cause: "hpa/metrics_api_down",
        reason: "a symptom: on a real cluster whatever keeps autoscalers from the metrics API is found upstream of them",
    },
];
