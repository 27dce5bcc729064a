//! Everything between a fault and a page, and what is to come out of it.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testbed::{
    Bed,
    alertmanager::{Alertmanager, Webhook},
    cases::Stage,
    components,
    doctor::Doctor,
    isolation::STATE,
    kubectl::Kubectl,
    prometheus::Prometheus,
    wait::wait_for,
};

/// By this number every `for` and `keep_firing_for` of the shipped files is divided, and nothing else of them changes: 5
/// minutes become 20 seconds, 15 minutes one. A page still waits longer than the aggregator takes to notice a fault
/// (23 s at the most seen) less the doctor's own (10 s), so that what is seen in between pages nobody here either.
const FACTOR: u64 = 15;

/// A fault has to end in a notification within the rules' time and this: the aggregator's round, the autoscaler's, the
/// doctor's probes, and two scrapes of kubelets.
const SLACK: Duration = Duration::from_mins(2);

/// An alert by `alertname severity step/cause`, followed by `namespace/hpa` where it has them.
pub(crate) type Told = BTreeSet<String>;

pub(crate) struct Stack {
    pub(crate) bed: Bed,
    binary: PathBuf,
    /// `None` while it is killed.
    doctor: RefCell<Option<Doctor>>,
    webhook: Webhook,
    pub(crate) alertmanager: Alertmanager,
    pub(crate) prometheus: Prometheus,
}

impl Stage for Stack {
    fn last_words(&self) -> String {
        let servers = self.bed.metrics_server_log();
        format!("last lines of the doctor:\n{}\nlast lines of metrics-server:\n{servers}", self.doctor_log_end())
    }
}

impl Stack {
    pub(crate) fn start() -> Result<Self> {
        let binary = Path::new(env!("CARGO_BIN_EXE_metrics-server-doctor"));
        let bed = Bed::start()?;
        bed.kubectl().apply(include_str!("../cluster/shop.yaml"));
        let doctor = Doctor::start(&bed, binary)?;
        wait_for("the autoscaler to know its targets", Duration::from_mins(1), || knows_its_targets(&bed))?;
        let webhook = Webhook::start()?;
        let alertmanager = Alertmanager::start(&alertmanager_configuration(&webhook)?)?;
        let rules = Path::new(STATE).join("rules");
        write_rules(&rules)?;
        let prometheus = Prometheus::start_with(&format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: ['{}/*.yaml']
alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{}']}}]}}]}}
scrape_configs:
  - job_name: metrics-server-doctor
    honor_labels: true
    static_configs: [{{targets: ['{}']}}]
",
            rules.display(),
            alertmanager.address,
            doctor.address
        ))?;
        let stack = Self {
            bed,
            binary: binary.to_owned(),
            doctor: RefCell::new(Some(doctor)),
            webhook,
            alertmanager,
            prometheus,
        };
        wait_for("a scraped page that says healthy", Duration::from_mins(1), || {
            let result = stack.prometheus.query(HEALTHY)?;
            ensure!(result.len() == 1, "{result:?}");
            Ok(())
        })
        .with_context(|| stack.doctor_log_end())?;
        Ok(stack)
    }

    pub(crate) fn kubectl(&self) -> Kubectl {
        self.bed.kubectl()
    }

    /// Runs the command of a runbook that has `part` in it, as a person pastes it; `names` fill its placeholders.
    pub(crate) fn repair(&self, page: &str, part: &str, names: &[(&str, &str)]) {
        let root = components::project_root();
        let text = fs::read_to_string(root.join(format!("docs/runbooks/{page}.md"))).expect("a runbook");
        let commands: Vec<_> =
            text.lines().filter(|line| line.starts_with("kubectl ") && line.contains(part)).collect();
        assert_eq!(commands.len(), 1, "{page}.md has {} commands with {part}", commands.len());
        let command = names.iter().fold(commands[0].to_owned(), |command, (from, to)| command.replace(from, to));
        let kubectl = components::program("kubectl").expect("kubectl");
        let path =
            format!("{}:{}", kubectl.parent().expect("a folder").display(), std::env::var("PATH").unwrap_or_default());
        let output = Command::new("sh")
            .args(["-c", &command])
            .current_dir(root)
            .env("PATH", path)
            .env("KUBECONFIG", self.kubectl().kubeconfig())
            .env("HOME", STATE)
            .output()
            .expect("a shell");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{page}.md: {command}: {told}");
    }

    /// Ends the doctor without a word.
    pub(crate) fn kill_doctor(&self) {
        self.doctor.replace(None);
    }

    /// Starts the doctor again.
    pub(crate) fn start_doctor(&self) {
        let doctor = Doctor::start(&self.bed, &self.binary).unwrap_or_else(|error| panic!("{error:#}"));
        self.doctor.replace(Some(doctor));
    }

    fn told(&self, status: &str) -> Told {
        self.webhook.alerts().iter().filter(|alert| alert["status"] == status).map(name).collect()
    }

    /// A fault was made: exactly these are told of as firing, and nothing else comes while the longest rule waits.
    pub(crate) fn expect(&self, expected: &[&str]) {
        let wanted: Told = expected.iter().map(|name| (*name).to_owned()).collect();
        let longest = wait_of(if expected.iter().any(|name| name.contains(" critical ")) { 300 } else { 900 });
        let begin = Instant::now();
        loop {
            let told = self.told("firing");
            if told == wanted {
                break;
            }
            let surplus: Vec<_> = told.difference(&wanted).collect();
            assert!(surplus.is_empty(), "told of {surplus:?} and not only of {wanted:?}\n{}", self.state());
            assert!(begin.elapsed() < longest + SLACK, "told of {told:?} and not of {wanted:?}\n{}", self.state());
            std::thread::sleep(Duration::from_millis(500));
        }
        println!("  told after {:.0} s: {}", begin.elapsed().as_secs_f64(), expected.join(", "));
    }

    /// The fault was healed: what was told of is resolved, and nothing else was told of meanwhile.
    pub(crate) fn expect_resolved(&self, expected: &[&str]) {
        let wanted: Told = expected.iter().map(|name| (*name).to_owned()).collect();
        let begin = Instant::now();
        let limit = wait_of(300) + SLACK + Duration::from_mins(2);
        while self.told("resolved") != wanted {
            let told = self.told("resolved");
            assert!(begin.elapsed() < limit, "resolved are {told:?} and not {wanted:?}\n{}", self.state());
            std::thread::sleep(Duration::from_millis(500));
        }
        assert_eq!(self.told("firing"), wanted, "{}", self.state());
        println!("  resolved after {:.0} s", begin.elapsed().as_secs_f64());
        // The next fault begins in a cluster without any alert, pending ones included.
        wait_for("alerts to be gone", limit, || {
            let left = self.prometheus.query("ALERTS")?;
            ensure!(left.is_empty(), "{left:?}");
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error:#}"));
        assert_eq!(self.told("firing"), wanted, "{}", self.state());
        self.webhook.clear();
    }

    /// For as long as the slowest of the rules about faults waits, and some, nobody is told of anything.
    pub(crate) fn expect_silence(&self) {
        let begin = Instant::now();
        while begin.elapsed() < wait_of(900) + Duration::from_secs(30) {
            let told = self.webhook.alerts();
            assert!(told.is_empty(), "told of {:?}\n{}", told.iter().map(name).collect::<Vec<_>>(), self.state());
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    /// The autoscaler gets its values again, nothing is about to fire then, and nobody was told of anything.
    pub(crate) fn expect_calm(&self) {
        let longest = wait_of(900) + SLACK;
        wait_for("the autoscaler to know its targets, and no alert to be pending", longest, || {
            knows_its_targets(&self.bed)?;
            let left = self.prometheus.query("ALERTS")?;
            let healthy = self.prometheus.query(HEALTHY)?;
            ensure!(left.is_empty() && healthy.len() == 1, "{left:?} {healthy:?}");
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error:#}\n{}", self.state()));
        let told = self.webhook.alerts();
        assert!(told.is_empty(), "told of {:?}\n{}", told.iter().map(name).collect::<Vec<_>>(), self.state());
    }

    /// What Prometheus and the doctor say, for messages.
    fn state(&self) -> String {
        let alerts = self.prometheus.query("ALERTS").map(|alerts| {
            let one = |alert: &Value| format!("{} {}", alert["metric"]["alertstate"], label_name(&alert["metric"]));
            alerts.iter().map(one).collect::<Vec<_>>().join("\n  ")
        });
        let page =
            self.doctor.borrow().as_ref().map_or_else(|| "no doctor runs".to_owned(), |doctor| doctor.page().summary());
        format!("alerts:\n  {}\nthe page:\n{page}", alerts.unwrap_or_else(|error| error.to_string()))
    }

    fn doctor_log_end(&self) -> String {
        let log = self.doctor.borrow().as_ref().map(Doctor::log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

/// The verdict of a healthy cluster.
const HEALTHY: &str = r#"metrics_server_doctor_verdict{cause="healthy"} == 1"#;

fn knows_its_targets(bed: &Bed) -> Result<()> {
    let words = "get hpa web -n shop -o jsonpath={.status.currentMetrics[0].resource.current.averageUtilization}";
    ensure!(!bed.kubectl().try_words(words)?.is_empty(), "no utilization yet");
    Ok(())
}

fn wait_of(seconds: u64) -> Duration {
    Duration::from_secs(seconds / FACTOR)
}

pub(crate) fn name(alert: &Value) -> String {
    label_name(&alert["labels"])
}

fn label_name(labels: &Value) -> String {
    let label = |name: &str| labels[name].as_str().unwrap_or_default().to_owned();
    let mut text = format!("{} {} {}/{}", label("alertname"), label("severity"), label("step"), label("cause"));
    if !label("horizontalpodautoscaler").is_empty() {
        text = format!("{text} {}/{}", label("namespace"), label("horizontalpodautoscaler"));
    }
    text
}

/// The shipped configuration, with the webhook as every receiver and seconds instead of minutes.
fn alertmanager_configuration(webhook: &Webhook) -> Result<String> {
    let shipped = fs::read_to_string(components::project_root().join("alerts/alertmanager/alertmanager.yaml"))?;
    let mut changed = shipped;
    for (from, to) in [
        ("http://platform.example/", webhook.url.as_str()),
        ("http://team-shop.example/", webhook.url.as_str()),
        ("http://pager.example/", webhook.url.as_str()),
        ("group_wait: 30s", "group_wait: 1s"),
        ("group_interval: 5m", "group_interval: 1s"),
    ] {
        ensure!(changed.contains(from), "the shipped configuration has no `{from}`");
        changed = changed.replace(from, to);
    }
    Ok(changed)
}

/// The shipped rules with their waits divided by [`FACTOR`].
fn write_rules(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let mut shortened = 0;
    for entry in fs::read_dir(components::project_root().join("alerts"))?.flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|end| end != "yaml") {
            continue;
        }
        let mut text = String::new();
        for line in fs::read_to_string(&path)?.lines() {
            let field = line.trim_start();
            match field.split_once(": ").filter(|(name, _)| ["for", "keep_firing_for"].contains(name)) {
                Some((name, duration)) => {
                    let seconds = match duration.split_at(duration.len() - 1) {
                        (number, "m") => number.parse::<u64>()? * 60,
                        (number, "h") => number.parse::<u64>()? * 3_600,
                        _ => anyhow::bail!("{}: {line}", path.display()),
                    };
                    let indent = &line[..line.len() - field.len()];
                    let shortened_to = (seconds / FACTOR).to_string();
                    text.push_str(&[indent, name, ": ", &shortened_to, "s"].concat());
                    shortened += 1;
                }
                None => text.push_str(line),
            }
            text.push('\n');
        }
        fs::write(folder.join(path.file_name().context("a name")?), text)?;
    }
    ensure!(shortened > 20, "only {shortened} waits were shortened");
    Ok(())
}
