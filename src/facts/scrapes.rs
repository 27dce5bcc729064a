//! What metrics-server's logs tell of its requests to kubelets.
//!
//! metrics-server tells every scrape that fails, at every round, and none that succeeds. So a failure that a log goes on
//! after is over; one that is a log's last word may last, for logs are cut, and older than the look. What configuration
//! decides does not pass by itself: one line proves it until a sample of that node contradicts it. What load or a restart
//! may do wants a second line, or a node without a sample.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{Facts, coverage::Sampled, metrics_server, windows};
use crate::{
    catalogue::Cause,
    snapshot::{ContainerLog, Named, Node, NotSeen, log::Line},
    wording::metrics_server_log::{LineKind, comes_and_goes},
};

/// Labels that groups of nodes share, by which firewalls, images and settings differ.
const GROUP_LABELS: [&str; 8] = [
    "eks.amazonaws.com/nodegroup",
    "cloud.google.com/gke-nodepool",
    "kubernetes.azure.com/agentpool",
    "karpenter.sh/nodepool",
    "kubernetes.io/os",
    "topology.kubernetes.io/zone",
    "node.kubernetes.io/instance-type",
    "kubernetes.io/arch",
];

/// Which of the nodes that should be scraped fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// All of them.
    All,
    /// Only the node that metrics-server itself runs on.
    OnlyItsOwn(String),
    /// All but the node that metrics-server itself runs on.
    AllButItsOwn(String),
    /// Some.
    Some {
        /// `KEY=VALUE` of a label that those have and no other node has.
        label: Option<String>,
    },
    /// Not every node was seen.
    Unknown,
}

/// Scrapes that fail for one cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedScrapes<'s> {
    /// The cause that the lines tell.
    pub cause: Cause,
    /// The nodes; empty where no line names one.
    pub nodes: BTreeSet<&'s str>,
    /// The newest such line.
    pub line: &'s str,
    /// When it was written.
    pub at: Option<Timestamp>,
    /// How many such lines.
    pub lines: usize,
    /// Which nodes fail.
    pub which: Which,
    /// The flag of metrics-server that explains it.
    pub flag: Option<String>,
}

/// How many names stand in a sentence.
const NAMED: usize = 5;

/// The first few names.
pub fn some<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> String {
    let count = names.len();
    let shown = names.take(NAMED).collect::<Vec<_>>().join(", ");
    if count > NAMED { format!("{shown} and {} more", count - NAMED) } else { shown }
}

impl FailedScrapes<'_> {
    /// Why it cannot be told that these nodes are scraped.
    pub fn suspicion(&self) -> String {
        let nodes = if self.nodes.is_empty() { "a node".to_owned() } else { some(self.nodes.iter().copied()) };
        let times = if self.lines == 1 { "1 scrape".to_owned() } else { format!("{} scrapes", self.lines) };
        let since = self.at.map_or_else(String::new, |at| format!(", the last one at {at}"));
        format!("{times} of {nodes} failed ({}{since}), and no sample since shows that this is over", self.cause.id())
    }

    /// How many nodes fail, at least.
    pub fn count(&self) -> usize {
        self.nodes.len().max(1)
    }
}

/// What metrics-server has none of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lacks {
    /// No node gave a sample.
    Nodes,
    /// Nodes gave samples, and no pod did.
    Pods,
}

/// Rounds of scrapes that end without error and give nothing, as lines of level I tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Barren<'s> {
    /// What is missing.
    pub lacks: Lacks,
    /// The newest line that says so.
    pub line: &'s str,
    /// When it was written.
    pub at: Option<Timestamp>,
}

impl<'s> Barren<'s> {
    /// The last word of a log on its rounds, where the last two rounds agree: the first round after a start may give nothing.
    fn of(facts: &Facts<'s>, log: &'s ContainerLog) -> Option<Self> {
        let told = |line: &'s Line| {
            let lacks = match &line.read.kind {
                LineKind::ScrapeFinished { nodes: 0, .. } | LineKind::StorageNotReady { nodes_missing: true, .. } => {
                    Some(Lacks::Nodes)
                }
                LineKind::ScrapeFinished { pods: 0, .. } | LineKind::StorageNotReady { pods_missing: true, .. } => {
                    Some(Lacks::Pods)
                }
                LineKind::ScrapeFinished { .. } => None,
                _ => return None,
            };
            Some((lacks, line))
        };
        let mut last = log.lines().filter_map(told).collect::<Vec<_>>().into_iter().rev();
        let (lacks, line) = last.next()?;
        let again = last.next().is_some_and(|(before, _)| before == lacks);
        let barren = |lacks| Self { lacks, line: &line.text, at: line.read.at(facts.now()) };
        lacks.filter(|_| again).map(barren)
    }
}

/// What to do where scrapes end without error and give nothing.
pub fn barren_advice(facts: &Facts<'_>, barren: &Barren<'_>) -> Option<String> {
    let selector = facts.chain.container().and_then(|container| metrics_server::flag(container, "node-selector"));
    match (barren.lacks, selector) {
        (Lacks::Nodes, Some(selector)) => Some(format!(
            "See whether any node has the label that --node-selector={selector} asks for: `kubectl get nodes -l {selector}`; correct the flag or remove it."
        )),
        (Lacks::Nodes, None) => None,
        (Lacks::Pods, _) => Some(
            "The kubelets tell of nodes and of no pod: check the container runtime's stats on the nodes (its version, the cgroup driver, cgroup v2): `kubectl get --raw /api/v1/nodes/NODE/proxy/metrics/resource` must hold container_cpu_usage_seconds_total.".to_owned(),
        ),
    }
}

/// What the logs tell of scrapes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scrapes<'s> {
    /// Failures that last, by the order of their causes.
    pub lasting: Vec<FailedScrapes<'s>>,
    /// Failures that may last or may be over.
    pub suspected: Vec<FailedScrapes<'s>>,
    /// The last line of a failure that is not in the catalogue.
    pub unexplained: Option<(&'s str, Option<Timestamp>)>,
    /// What the log's last rounds of scrapes lack, where they lack all of it.
    pub barren: Option<Barren<'s>>,
    /// Whether a log holds its start and nothing of it was left out, so that a failure would stand in it.
    pub is_whole: bool,
}

impl<'s> Scrapes<'s> {
    /// Reads the logs of metrics-server.
    pub(super) fn of(facts: &Facts<'s>) -> Self {
        let logs = facts.logs();
        let reader = Reader::new(facts);
        let mut scrapes = reader.sort(&logs, false);
        if scrapes.lasting.is_empty() && !facts.serves() {
            // Up to 0.4 failed scrapes fail the liveness probe as well, so that the container's next log may be short.
            let previous = reader.sort(&logs, true);
            scrapes.lasting = previous.lasting;
            scrapes.suspected.extend(previous.suspected);
        }
        let lasting: BTreeSet<Cause> = scrapes.lasting.iter().map(|failed| failed.cause).collect();
        scrapes.suspected.retain(|failed| !lasting.contains(&failed.cause));
        let mut lines = logs.iter().filter(|log| !log.previous).flat_map(|log| log.lines());
        let unexplained = |line: &&Line| line.read.failed_scrapes().iter().any(|failed| failed.cause.is_none());
        scrapes.unexplained = lines.rfind(unexplained).map(|line| (line.text.as_str(), line.read.at(facts.now())));
        scrapes.barren = logs.iter().filter(|log| !log.previous).find_map(|log| Barren::of(facts, log));
        let running = logs.iter().filter(|log| !log.previous);
        let mut kept = running.map(|log| log.skipped == 0 && log.lines().any(|line| line.read.has_started()));
        scrapes.is_whole =
            kept.next().is_some_and(|first| first && kept.all(|whole| whole)) && facts.runs_long_enough();
        scrapes
    }

    /// Failures that packets which are dropped or rejected on the way would show as; a policy that shuts the way is the
    /// second witness that those which may be over lack.
    pub fn blocked(&self) -> impl Iterator<Item = &FailedScrapes<'s>> {
        self.lasting.iter().chain(&self.suspected).filter(|failed| comes_and_goes(failed.cause))
    }

    /// Why a node has no sample, as the logs last tell.
    pub fn reason(&self, node: &str) -> Option<&FailedScrapes<'s>> {
        self.lasting.iter().chain(&self.suspected).find(|failed| failed.nodes.contains(node))
    }
}

/// What a log says last of one node.
#[derive(Debug, Clone, Copy)]
struct Word<'s> {
    cause: Cause,
    times: usize,
    line: &'s Line,
    at: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Suspected,
    Lasting,
}

struct Reader<'f, 's> {
    facts: &'f Facts<'s>,
    sampled: Sampled<'s>,
    kubelet_port: Option<String>,
    address_types: Option<String>,
}

impl<'f, 's> Reader<'f, 's> {
    fn new(facts: &'f Facts<'s>) -> Self {
        let flag = |name: &str| {
            let value = facts.chain.container().and_then(|container| metrics_server::flag(container, name));
            value.map(|value| format!("--{name}={value}"))
        };
        let kubelet_port = flag("kubelet-port").filter(|flag| !flag.ends_with("=10250"));
        let is_name = |flag: &String| {
            flag.split_once('=')
                .is_some_and(|(_, types)| !types.starts_with("InternalIP") && !types.starts_with("External"))
        };
        let address_types = flag("kubelet-preferred-address-types").filter(is_name);
        Self { facts, sampled: Sampled::of(facts.snapshot), kubelet_port, address_types }
    }

    /// The flag that explains a failure.
    fn flag(&self, cause: Cause) -> Option<String> {
        match cause {
            Cause::KubeletRefused | Cause::KubeletTimeout | Cause::KubeletUnreachable | Cause::KubeletNotFound => {
                self.kubelet_port.clone()
            }
            Cause::NodeNameUnresolvable | Cause::KubeletCertificateNames => self.address_types.clone(),
            _ => None,
        }
    }

    /// Whether a node is there, Ready and old enough to be scraped: what fails otherwise is no fault of the way to it.
    fn is_expected(&self, node: &str, own: &str) -> bool {
        match self.facts.snapshot.nodes.get("", node).known() {
            Ok(None) => false,
            Ok(Some(known)) => self.is_scraped(known, own),
            // Of nodes that were not seen `kubectl top nodes` lists those that are there.
            Err(_) if self.sampled.listed.as_ref().is_some_and(|listed| !listed.contains(node)) => false,
            Err(_) => !(node.starts_with("fargate-") && node == own),
        }
    }

    fn is_scraped(&self, node: &Node, own: &str) -> bool {
        let young = node.ready_since().is_some_and(|since| self.facts.age(since) < windows::START);
        let is_left_out = node.is_virtual() || node.is_fargate() && node.name() == own;
        node.is_ready() && !young && !is_left_out
    }

    fn sort(&self, logs: &[&'s ContainerLog], previous: bool) -> Scrapes<'s> {
        let mut found: [BTreeMap<Cause, FailedScrapes<'s>>; 2] = [BTreeMap::new(), BTreeMap::new()];
        for log in logs.iter().filter(|log| log.previous == previous) {
            let own = self.own_node(log);
            let end = self.end(log);
            let words = self.words(log);
            let mut lines: BTreeMap<Cause, usize> = BTreeMap::new();
            let heard: Vec<(&'s str, Word<'s>)> = words
                .into_iter()
                .filter(|(node, word)| {
                    (node.is_empty() || self.is_expected(node, own)) && !self.is_over(log, end, node, word)
                })
                .collect();
            for (_, word) in &heard {
                *lines.entry(word.cause).or_default() += word.times;
            }
            for (node, word) in heard {
                let place = match self.standing(node, &word, lines[&word.cause], previous) {
                    Standing::Suspected => 1,
                    Standing::Lasting => 0,
                };
                let entry = found[place].entry(word.cause).or_insert_with(|| FailedScrapes {
                    cause: word.cause,
                    nodes: BTreeSet::new(),
                    line: &word.line.text,
                    at: word.at,
                    lines: 0,
                    which: Which::Unknown,
                    flag: self.flag(word.cause),
                });
                if word.at > entry.at {
                    (entry.line, entry.at) = (&word.line.text, word.at);
                }
                entry.lines += word.times;
                if !node.is_empty() {
                    entry.nodes.insert(node);
                }
            }
        }
        let [lasting, suspected] = found.map(|by_cause| {
            let failed = by_cause.into_values();
            failed.map(|failed| FailedScrapes { which: self.which(&failed.nodes, logs), ..failed }).collect()
        });
        Scrapes { lasting, suspected, ..Scrapes::default() }
    }

    fn own_node(&self, log: &ContainerLog) -> &'s str {
        let pods = &self.facts.snapshot.pods;
        pods.get(log.namespace(), log.name()).seen().map_or("", |pod| pod.spec.node_name.as_str())
    }

    /// The moment up to which silence tells something: the look for a log that is followed, else the last line.
    fn end(&self, log: &ContainerLog) -> Option<Timestamp> {
        if !self.facts.is_bundle() && self.facts.serves() {
            return Some(self.facts.now());
        }
        log.lines().filter_map(|line| line.read.at(self.facts.now())).max()
    }

    /// What a log says last of each node. What failed otherwise before was repaired or has changed.
    fn words(&self, log: &'s ContainerLog) -> BTreeMap<&'s str, Word<'s>> {
        let mut words: BTreeMap<&'s str, Word<'s>> = BTreeMap::new();
        for line in log.lines() {
            for failed in line.read.failed_scrapes() {
                let Some(cause) = failed.cause else { continue };
                let unnamed = failed.nodes.is_empty().then_some("");
                for node in failed.nodes.iter().map(String::as_str).chain(unnamed) {
                    let times = words.get(node).filter(|word| word.cause == cause).map_or(0, |word| word.times);
                    words.insert(node, Word { cause, times: times + 1, line, at: line.read.at(self.facts.now()) });
                }
            }
        }
        words
    }

    /// Whether something positive contradicts the failure since.
    fn is_over(&self, log: &ContainerLog, end: Option<Timestamp>, node: &str, word: &Word<'s>) -> bool {
        if node.is_empty() {
            // Of a line without a node any sample speaks.
            if !self.sampled.nodes.is_empty() {
                return true;
            }
        } else if self.sampled.nodes.contains(node) {
            return true;
        }
        if self.sampled.is_complete {
            return false;
        }
        let (Some(at), Some(end)) = (word.at, end) else { return false };
        let silence = windows::scrape_silence(self.facts.chain.metric_resolution());
        if end.duration_since(at) >= silence {
            return true;
        }
        // Where a pod is Ready only with samples in its storage, what failed before that was the start's.
        let seen = self.facts.snapshot.pods.get(log.namespace(), log.name());
        let pod = seen.seen().filter(|pod| pod.is_ready());
        let container = pod.and_then(|pod| metrics_server::container(&pod.spec));
        let stores = container.is_some_and(metrics_server::is_ready_with_samples);
        let ready_since = pod.and_then(|pod| pod.ready()?.last_transition_time);
        !log.previous && stores && ready_since.is_some_and(|since| at < since)
    }

    fn standing(&self, node: &str, word: &Word<'s>, lines: usize, previous: bool) -> Standing {
        let cause = word.cause;
        let is_bundle = self.facts.is_bundle();
        let is_missing = self.sampled.is_complete && (!node.is_empty() || self.sampled.is_none());
        let serves = self.facts.serves();
        let is_old = serves && word.at.is_some_and(|at| self.facts.age(at) >= windows::RECENT_LOG);
        // While an API server restarts, kubelets refuse whoever asks, once.
        let by_api_server = matches!(cause, Cause::KubeletUnauthorized | Cause::KubeletForbidden);
        let passes = comes_and_goes(cause) || by_api_server && !is_bundle;
        let again = if is_bundle { lines >= 2 } else { word.times >= 2 };
        let witnessed = is_missing || self.flag(cause).is_some() || is_bundle && !serves || previous;
        match (passes, is_old) {
            _ if is_missing && (is_bundle || again || !passes) => Standing::Lasting,
            (false, false) => Standing::Lasting,
            (true, false) if again || witnessed && is_bundle => {
                let fresh = word.at.is_none_or(|at| {
                    let silence = windows::scrape_silence(self.facts.chain.metric_resolution());
                    !serves || !is_bundle || self.facts.age(at) < silence.max(windows::COLLECTING)
                });
                if fresh { Standing::Lasting } else { Standing::Suspected }
            }
            _ => Standing::Suspected,
        }
    }

    fn which(&self, failing: &BTreeSet<&str>, logs: &[&ContainerLog]) -> Which {
        let listing = self.facts.snapshot.nodes.all();
        if listing.gap.is_some() || failing.is_empty() {
            return Which::Unknown;
        }
        let own: BTreeSet<&str> = logs.iter().map(|log| self.own_node(log)).filter(|node| !node.is_empty()).collect();
        let only_own = own.first().copied().filter(|_| own.len() == 1).unwrap_or("");
        let expected: Vec<&&Node> = listing.objects.iter().filter(|node| self.is_scraped(node, only_own)).collect();
        let others: Vec<&&&Node> = expected.iter().filter(|node| !failing.contains(node.name())).collect();
        match (others.as_slice(), failing.len()) {
            ([], _) => Which::All,
            ([other], 2..) if other.name() == only_own => Which::AllButItsOwn(only_own.to_owned()),
            (_, 1) if failing.contains(only_own) => Which::OnlyItsOwn(only_own.to_owned()),
            _ => {
                let value = |node: &Node, key: &str| node.metadata.labels.get(key).cloned();
                let failed: Vec<&&&Node> = expected.iter().filter(|node| failing.contains(node.name())).collect();
                let label = GROUP_LABELS.iter().find_map(|key| {
                    let shared = value(failed.first()?, key)?;
                    let all = failed.iter().all(|node| value(node, key).as_ref() == Some(&shared));
                    let none = others.iter().all(|node| value(node, key).as_ref() != Some(&shared));
                    (all && none).then(|| format!("{key}={shared}"))
                });
                Which::Some { label }
            }
        }
    }
}

impl<'s> Facts<'s> {
    /// The logs of metrics-server's pods; where no pod was seen, or a bundle's logs are of pods that have been replaced, of
    /// pods by that name.
    pub fn logs(&self) -> Vec<&'s ContainerLog> {
        let pods: BTreeSet<(&str, &str)> = self.chain.pods().iter().map(|pod| (pod.namespace(), pod.name())).collect();
        let all = &self.snapshot.logs;
        let of_pods: Vec<&ContainerLog> =
            all.iter().filter(|log| pods.contains(&(log.namespace(), log.name()))).collect();
        if !of_pods.is_empty() || !pods.is_empty() && !self.is_bundle() {
            return of_pods;
        }
        let by_name = |log: &&ContainerLog| {
            let own = log.name().contains("metrics-server") || log.container.starts_with("metrics-server");
            own && !log.name().contains("doctor") && !log.name().contains("exporter")
        };
        all.iter().filter(by_name).collect()
    }

    /// When a scrape that failed once shows whether it goes on; `None` where that time is over, or not known.
    pub fn scrape_settles(&self, at: Option<Timestamp>) -> Option<Timestamp> {
        let silence = windows::scrape_silence(self.chain.metric_resolution());
        windows::after(at?, silence).filter(|until| *until > self.now())
    }

    /// Whether metrics-server answers now, as far as it was seen.
    pub fn serves(&self) -> bool {
        self.chain.is_available() || self.chain.has_ready_pod()
    }

    /// How many nodes are not scraped, by cause, as the logs tell; `Err` where no log could be read.
    pub fn unscraped_nodes(&self) -> Result<BTreeMap<Cause, usize>, NotSeen> {
        if self.logs().is_empty() {
            return Err(self.snapshot.logs.all().gap.unwrap_or_default());
        }
        Ok(self.scrapes().lasting.iter().map(|failed| (failed.cause, failed.nodes.len())).collect())
    }
}
