//! The cluster that all rows of a bed share, and how a row is tried on it.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use metrics_server_doctor::catalogue::{self, Entry, Role};
use testbed::{
    Bed, Plan,
    doctor::{self, Doctor},
    firewall,
    kubectl::Kubectl,
    page::Page,
    side_by_side::told,
    wait::wait_for,
};

use crate::matrix::{Expected, Fault, HEALTHY, METRICS_API, Shown};

/// The aggregator looks again at least every half minute.
const AGGREGATOR_LIMIT: Duration = Duration::from_secs(90);
/// How long a healed cluster may take: new pods are scraped twice, autoscalers look every five seconds, and the doctor
/// asks for metrics every half minute.
const HEAL_LIMIT: Duration = Duration::from_secs(90);

pub(crate) struct Cluster {
    pub(crate) bed: Bed,
    /// The objects of metrics-server on this bed.
    pub(crate) manifest: String,
    doctor: Mutex<Doctor>,
    slowest: Mutex<Duration>,
}

impl Cluster {
    pub(crate) fn start(plan: &Plan, binary: &Path) -> Result<Self> {
        let bed = Bed::start_as(plan)?;
        bed.kubectl().apply(include_str!("shop.yaml"));
        let doctor = Mutex::new(Doctor::start(&bed, binary)?);
        let cluster = Self { bed, manifest: plan.metrics_server.clone(), doctor, slowest: Mutex::default() };
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

    pub(crate) fn doctor(&self) -> MutexGuard<'_, Doctor> {
        self.doctor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The longest time that the page took from the API server's showing a fault.
    pub(crate) fn slowest(&self) -> Duration {
        *self.slowest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies the objects of metrics-server as they were.
    pub(crate) fn apply_manifest(&self) {
        self.kubectl().apply(&self.manifest);
    }

    /// A page, or that there is none: a restarting doctor answers nobody.
    fn try_page(&self) -> Result<Page> {
        let address = self.doctor().address;
        Page::scrape(address)
    }

    /// Waits until `kubectl` prints this for a query.
    pub(crate) fn await_output(&self, what: &str, words: &str, wanted: &str) {
        let shown = wait_for(what, AGGREGATOR_LIMIT, || {
            let seen = self.kubectl().try_words(words)?;
            ensure!(seen == wanted, "it is {seen:?}");
            Ok(())
        });
        shown.unwrap_or_else(|error| panic!("{error:#}"));
    }

    fn await_shown(&self, shown: &Shown) {
        match shown {
            Shown::AtOnce => {}
            Shown::Reason(reason) => {
                let words = format!(
                    "get apiservice {METRICS_API} -o jsonpath={{.status.conditions[?(@.type==\"Available\")].reason}}"
                );
                self.await_output(&format!("condition Available: {reason}"), &words, reason);
            }
            Shown::Autoscaler { name, condition, reason } => {
                let words = format!(
                    "get hpa {name} -n shop -o jsonpath={{.status.conditions[?(@.type==\"{condition}\")].reason}}"
                );
                self.await_output(&format!("{condition} of {name}: {reason}"), &words, reason);
            }
        }
    }

    /// Makes the fault, waits for what has to be said of it and for nothing else to be blamed, and heals it.
    pub(crate) fn try_fault(&self, fault: &Fault) -> Result<()> {
        let over = AtomicBool::new(false);
        let blamed = thread::scope(|scope| {
            let watch = scope.spawn(|| self.blamed_until(&over));
            // The watch has to end whatever happens.
            let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| -> Result<()> {
                (fault.inject)(self);
                self.await_shown(&fault.shown);
                self.expect(&fault.expected, fault.within)
            }));
            over.store(true, Ordering::Relaxed);
            let blamed = watch.join().unwrap_or_default();
            tried.unwrap_or_else(|panic| bail!("{}", told(&*panic))).map(|()| blamed)
        })?;
        let wrong: Vec<_> = blamed
            .iter()
            .filter(|verdict| *verdict != fault.expected.verdict && !fault.on_the_way.contains(&verdict.as_str()))
            .filter(|verdict| entry(verdict).is_some_and(|entry| entry.role == Role::Root))
            .collect();
        ensure!(wrong.is_empty(), "blamed on the way: {wrong:?}");
        (fault.heal)(self);
        self.expect_healthy()
    }

    /// Makes two independent faults: both have to be findings, the one upstream leads, and neither is called a
    /// consequence of the other.
    pub(crate) fn try_pair(&self, upstream: &Fault, other: &Fault) -> Result<()> {
        let over = AtomicBool::new(false);
        let blamed = thread::scope(|scope| {
            let watch = scope.spawn(|| self.blamed_until(&over));
            let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| -> Result<()> {
                (other.inject)(self);
                self.await_shown(&other.shown);
                (upstream.inject)(self);
                self.await_shown(&upstream.shown);
                self.expect_both(upstream, other)
            }));
            over.store(true, Ordering::Relaxed);
            let blamed = watch.join().unwrap_or_default();
            tried.unwrap_or_else(|panic| bail!("{}", told(&*panic))).map(|()| blamed)
        })?;
        let allowed = |verdict: &&String| {
            [upstream, other]
                .iter()
                .any(|fault| *verdict == fault.expected.verdict || fault.on_the_way.contains(&verdict.as_str()))
        };
        let wrong: Vec<_> = blamed
            .iter()
            .filter(|verdict| !allowed(verdict))
            .filter(|verdict| entry(verdict).is_some_and(|entry| entry.role == Role::Root))
            .collect();
        ensure!(wrong.is_empty(), "blamed on the way: {wrong:?}");
        (upstream.heal)(self);
        (other.heal)(self);
        self.expect_healthy()
    }

    fn expect_both(&self, upstream: &Fault, other: &Fault) -> Result<()> {
        let wanted = [upstream.expected.verdict, other.expected.verdict];
        let available = upstream.expected.available && other.expected.available;
        let within = upstream.within.max(other.within).max(Fault::LOOK_LIMIT);
        self.ask_until_nothing_differs(within, |page| {
            let report = self.doctor().report()?;
            let (findings, held_back) = (names(&report, "findings"), names(&report, "heldBack"));
            let mut left = Vec::new();
            let verdict = page.verdict().unwrap_or_else(|error| error.to_string());
            if verdict != wanted[0] {
                left.push(format!("the verdict is {verdict}, not {}", wanted[0]));
            }
            if findings.first().is_none_or(|first| first != wanted[0]) {
                left.push(format!("{} is not the first finding", wanted[0]));
            }
            for cause in wanted {
                if !findings.iter().any(|name| name == cause) {
                    left.push(format!("{cause} is no finding: {findings:?}"));
                }
                if held_back.iter().any(|name| name == cause) {
                    left.push(format!("{cause} is held back"));
                }
            }
            let beside = || upstream.expected.beside.iter().chain(other.expected.beside);
            for finding in findings.iter().filter(|name| !wanted.contains(&name.as_str())) {
                if !beside().any(|name| name == finding) {
                    left.push(format!("{finding} is a finding too"));
                }
            }
            let seen = page.value("apiservice_available", &[("apiservice", METRICS_API)]);
            if seen.is_some_and(|value| (value > 0.0) != available) {
                left.push(format!("apiservice_available is {seen:?}"));
            }
            Ok(left)
        })?;
        Ok(())
    }

    /// Asks for the page until nothing differs, and says how long that took.
    fn ask_until_nothing_differs(
        &self,
        within: Duration,
        differences: impl Fn(&Page) -> Result<Vec<String>>,
    ) -> Result<Duration> {
        let begin = Instant::now();
        loop {
            let page = self.try_page()?;
            let left = differences(&page)?;
            if left.is_empty() {
                return Ok(begin.elapsed());
            }
            ensure!(
                begin.elapsed() < within,
                "not so after {} s:\n  {}\nThe page says:\n{}",
                within.as_secs(),
                left.join("\n  "),
                page.summary()
            );
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Looks at the page once a second for so long, from a moment on at which this verdict has to hold already; a page
    /// that is not to be had counts as any other verdict.
    ///
    /// # Panics
    ///
    /// With every verdict that was seen otherwise, and when.
    pub(crate) fn expect_all_the_time(&self, verdict: &str, mut over: impl FnMut() -> bool) {
        let begin = Instant::now();
        let (mut otherwise, mut looks) = (Vec::new(), 0_u32);
        while !over() {
            looks += 1;
            let seen = self.try_page().and_then(|page| page.verdict()).unwrap_or_else(|error| format!("{error:#}"));
            if seen != verdict {
                otherwise.push(format!("{} s: {seen}", begin.elapsed().as_secs()));
            }
            thread::sleep(Duration::from_secs(1));
        }
        assert!(looks > 0, "nothing was looked at");
        assert!(
            otherwise.is_empty(),
            "{} of {looks} looks did not see {verdict}:\n  {}",
            otherwise.len(),
            otherwise.join("\n  ")
        );
    }

    /// Waits until the page's verdict is this one.
    ///
    /// # Panics
    ///
    /// When it is not within that time.
    pub(crate) fn await_verdict(&self, verdict: &str, within: Duration) {
        let seen = wait_for(&format!("verdict {verdict}"), within, || {
            let page = self.try_page()?;
            let seen = page.verdict()?;
            ensure!(seen == verdict, "it is {seen}:\n{}", page.summary());
            Ok(())
        });
        seen.unwrap_or_else(|error| panic!("{error:#}"));
    }

    /// Does something that is no fault, and checks that at no moment a cause was named.
    pub(crate) fn try_quiet(&self, change: fn(&Self)) -> Result<()> {
        let over = AtomicBool::new(false);
        let blamed = thread::scope(|scope| {
            let watch = scope.spawn(|| self.blamed_until(&over));
            let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| -> Result<()> {
                change(self);
                self.expect_healthy()
            }));
            over.store(true, Ordering::Relaxed);
            let blamed = watch.join().unwrap_or_default();
            tried.unwrap_or_else(|panic| bail!("{}", told(&*panic))).map(|()| blamed)
        })?;
        ensure!(blamed.is_empty(), "blamed though nothing is wrong: {blamed:?}");
        Ok(())
    }

    /// Every cause that carries the verdict at some moment until then.
    fn blamed_until(&self, over: &AtomicBool) -> BTreeSet<String> {
        let mut blamed = BTreeSet::new();
        while !over.load(Ordering::Relaxed) {
            if let Ok(verdict) = self.try_page().and_then(|page| page.verdict())
                && !verdict.starts_with("none/")
            {
                blamed.insert(verdict);
            }
            thread::sleep(Duration::from_millis(250));
        }
        blamed
    }

    /// Scrapes until nothing differs from what is wanted, the report included.
    fn expect(&self, expected: &Expected, within: Duration) -> Result<()> {
        let took = self.ask_until_nothing_differs(within, |page| {
            let left = expected.differences(page);
            if left.is_empty() { self.differences_of_report(expected) } else { Ok(left) }
        })?;
        if within == Fault::PAGE_LIMIT {
            let mut slowest = self.slowest.lock().unwrap_or_else(PoisonError::into_inner);
            *slowest = (*slowest).max(took);
        }
        Ok(())
    }

    /// The verdict's cause is the only finding, and what is held back lies downstream of it or is a symptom.
    fn differences_of_report(&self, expected: &Expected) -> Result<Vec<String>> {
        let report = self.doctor().report()?;
        let mut differences = Vec::new();
        let findings = names(&report, "findings");
        for other in
            findings.iter().filter(|name| *name != expected.verdict && !expected.beside.contains(&name.as_str()))
        {
            differences.push(format!("{other} is a finding too"));
        }
        if let Some(lead) = entry(expected.verdict) {
            if !findings.iter().any(|name| name == expected.verdict) {
                differences.push(format!("{} is no finding: {findings:?}", expected.verdict));
            }
            let evidence = &report["findings"][0]["evidence"];
            if evidence.as_array().is_none_or(Vec::is_empty) {
                differences.push("the verdict has no evidence".to_owned());
            }
            // Only what the table says goes away with its cause is held back.
            for name in names(&report, "heldBack") {
                let explained = entry(&name).is_some_and(|held| {
                    let explains =
                        |cause: &str| entry(cause).is_some_and(|by| by.cause.explains().contains(&held.cause));
                    lead.cause.explains().contains(&held.cause) || findings.iter().any(|by| explains(by))
                });
                if !explained {
                    differences.push(format!("{name} is held back, though nothing that was found explains it"));
                }
            }
        }
        Ok(differences)
    }

    /// The aggregator reaches metrics-server, every node has samples, and the page says so.
    pub(crate) fn expect_healthy(&self) -> Result<()> {
        self.await_shown(&Shown::Reason("Passed"));
        self.bed.await_healthy()?;
        self.expect(&Expected { unknown_targets: &[("web", 0.0)], ..HEALTHY }, HEAL_LIMIT).context("healthy again")
    }

    /// Puts everything back after a row that failed half-way.
    pub(crate) fn reset(&self) -> Result<()> {
        firewall::clear();
        self.bed.pod_faults.heal();
        self.bed.kubelet.heal();
        let kubectl = self.kubectl();
        self.bed.end_second_api_server();
        self.bed.restart_api_server(&[])?;
        self.doctor().restart(&[])?;
        for leftovers in [
            "service,deployment,endpointslice,networkpolicy,resourcequota,serviceaccount -n kube-system -l testbed=fault",
            "service,deployment,serviceaccount -n kube-system metrics-server",
            "rolebinding,networkpolicy,resourcequota -n kube-system -l testbed=fault",
            "configmap -n kube-system aws-auth",
            "hpa -n shop --all",
            "deployment,pod -n shop -l testbed=fault",
            "namespace printer",
            "pod -n kube-system -l component=kube-apiserver",
            // Those of an account that is gone would be refused for as long as they are left.
            "pod -n kube-system -l k8s-app=metrics-server",
            "certificatesigningrequest,clusterrole,clusterrolebinding -l testbed=fault",
            "apiservice,crd -l testbed=fault",
        ] {
            kubectl.try_words(&format!("delete {leftovers} --ignore-not-found"))?;
        }
        // A bundle that is left excludes the manifest's insecureSkipTLSVerify.
        let verify = r#"{"spec":{"insecureSkipTLSVerify":true,"caBundle":null}}"#;
        let _ = kubectl.run(&["patch", "apiservice", METRICS_API, "--type=merge", "-p", verify]);
        kubectl.run_with_input(&["apply", "-f", "-"], &self.manifest)?;
        kubectl.apply(include_str!("shop.yaml"));
        doctor::apply_base(&self.bed)?;
        self.expect_healthy()
    }

    /// What a person looks at after a failure.
    pub(crate) fn write_logs(&self, folder: &Path, error: &str) {
        let report = self.doctor().report().map_or_else(|error| format!("{error:#}"), |report| format!("{report:#}"));
        let page = self.try_page().map_or_else(|error| format!("{error:#}"), |page| page.summary());
        let kubectl = self.kubectl();
        let objects = kubectl
            .try_words("get apiservices,services,endpointslices,deployments,pods,hpa,csr,events -A -o yaml")
            .unwrap_or_else(|error| format!("{error:#}"));
        let top = kubectl.try_words("top nodes").unwrap_or_else(|error| format!("{error:#}"));
        let state = Path::new(testbed::isolation::STATE);
        let files = [
            ("error.txt", error.to_owned()),
            ("report.json", report),
            ("page.txt", page),
            ("objects.yaml", objects),
            ("top-nodes.txt", top),
            ("doctor.log", self.doctor().log()),
            ("metrics-server.log", self.bed.metrics_server_log()),
            ("kube-apiserver.log", std::fs::read_to_string(state.join("kube-apiserver.log")).unwrap_or_default()),
        ];
        // The failure itself is told already.
        let _ = std::fs::create_dir_all(folder);
        for (name, text) in files {
            let _ = std::fs::write(folder.join(name), text);
        }
    }
}

/// The causes in a list of the report, as `step/cause`.
fn names(report: &serde_json::Value, list: &str) -> Vec<String> {
    let findings = report[list].as_array().map(Vec::as_slice).unwrap_or_default();
    let name = |finding: &serde_json::Value| {
        format!("{}/{}", finding["step"].as_str().unwrap_or("?"), finding["cause"].as_str().unwrap_or("?"))
    };
    findings.iter().map(name).collect()
}

/// The row of the catalogue that `step/cause` names.
fn entry(name: &str) -> Option<&'static Entry> {
    catalogue::all().iter().find(|entry| format!("{}/{}", entry.step, entry.id) == name)
}
