//! What a line of metrics-server's log says, in the wording of every version. Each line is read once, when it arrives.
//!
//! Severity decides nothing (`"Failed probe"` is an I line) and line numbers change with each version, so only message
//! texts are matched (kubernetes-sigs/metrics-server 0.2 to 0.9.0: `cmd/metrics-server/app`, `pkg/scraper`, `pkg/server`,
//! `pkg/storage`).

mod scrape;

pub use self::scrape::{FailedScrape, comes_and_goes};

use super::{
    table::{Table, between, unescaped},
    written::Written,
};
use crate::catalogue::Cause;

/// Classes beside the causes of the catalogue that a line may tell of.
pub const OTHER_CLASSES: [&str; 4] = ["scrape_failed", "probe_failed", "no_metrics_known", "other"];

/// A check of metrics-server's own health that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// `metric-storage-ready`: there are no two scrapes yet that could be served.
    StorageReady,
    /// `metric-collection-timely`: a round of scrapes takes too long.
    CollectionTimely,
    /// `metric-informer-sync`: nodes or pods were not listed yet.
    InformerSync,
    /// Another one.
    Other,
}

/// Whose sample is withheld.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skipped {
    /// A whole pod, because of one of its containers.
    Pod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The container, where the line names it.
        container: Option<String>,
    },
    /// A container of a pod that the line does not name.
    Container(String),
    /// A node.
    Node(String),
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LineKind {
    /// It ends a start, or explains why requests are refused.
    Startup(Cause),
    /// A call to the API server did not get through, or was refused.
    ApiServer(Cause),
    /// The cluster does not tell which certificates speak for others: a warning at every start there, a fault only where
    /// the aggregator is refused.
    AggregationNotConfigured,
    /// Scrapes of kubelets failed; lines of 0.3 and 0.4 tell a whole round, samples that were withheld included.
    ScrapesFailed {
        /// What failed.
        failed: Vec<FailedScrape>,
        /// What was withheld beside it.
        skipped: Vec<Skipped>,
    },
    /// 0.9: a node was not scraped because it is not Ready.
    NodeNotReady,
    /// `Serving securely on`: the start has succeeded.
    Serving {
        /// The port.
        port: Option<u16>,
    },
    /// `Stopped listening on`: it was asked to end, and does.
    Stopped,
    /// A check of its own health failed.
    ProbeFailed(Probe),
    /// 0.9: the store cannot be served yet, because these are missing.
    StorageNotReady {
        /// No node has two samples.
        nodes_missing: bool,
        /// No pod has two samples.
        pods_missing: bool,
    },
    /// A round of scrapes is over; seen from verbosity 1 on.
    ScrapeFinished {
        /// How many nodes gave samples.
        nodes: u64,
        /// How many pods they told of.
        pods: u64,
    },
    /// Samples are withheld because a value is missing or zero, and will be as long as that is so.
    Skipped(Vec<Skipped>),
    /// Samples are withheld once because a counter was set back, as it is when a container restarts.
    CounterReset(Vec<Skipped>),
    /// Somebody asked for what has no sample; usual in the first minutes, and for what is new (up to 0.4).
    NoMetricsKnown(Option<Skipped>),
    /// Nothing that explains a fault.
    #[default]
    Other,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogLine {
    /// When it was written, where it tells.
    pub written: Option<Written>,
    /// What it says.
    pub kind: LineKind,
}

impl LogLine {
    /// Reads a line of any format: klog, structured klog, JSON, a panic.
    pub fn of(line: &str) -> Self {
        Self { written: Written::of(line), kind: kind(unescaped(line).as_ref()) }
    }

    /// The moment at which it was written; one without a year counts as the last such before `now`.
    pub fn at(&self, now: jiff::Timestamp) -> Option<jiff::Timestamp> {
        self.written?.at(now)
    }

    /// For counting: the id of the cause that it tells of, or one of [`OTHER_CLASSES`].
    pub fn class(&self) -> &'static str {
        if let Some(cause) = self.failed_scrapes().iter().find_map(|failed| failed.cause).or(self.startup_failure()) {
            return cause.id();
        }
        match &self.kind {
            LineKind::ScrapesFailed { failed, .. } if !failed.is_empty() => "scrape_failed",
            LineKind::ProbeFailed(_) => "probe_failed",
            LineKind::NoMetricsKnown(_) => "no_metrics_known",
            _ => "other",
        }
    }

    /// The cause that ends a start or explains why requests are refused.
    pub fn startup_failure(&self) -> Option<Cause> {
        match self.kind {
            LineKind::Startup(cause) | LineKind::ApiServer(cause) => Some(cause),
            LineKind::AggregationNotConfigured => Some(Cause::FrontProxyUntrusted),
            _ => None,
        }
    }

    /// The scrapes that failed.
    pub fn failed_scrapes(&self) -> &[FailedScrape] {
        match &self.kind {
            LineKind::ScrapesFailed { failed, .. } => failed,
            _ => &[],
        }
    }

    /// Whether it tells of a scrape that failed.
    pub fn is_scrape_failure(&self) -> bool {
        !self.failed_scrapes().is_empty()
    }

    /// What is withheld for as long as a value is missing.
    pub fn skipped(&self) -> &[Skipped] {
        match &self.kind {
            LineKind::ScrapesFailed { skipped, .. } | LineKind::Skipped(skipped) => skipped,
            _ => &[],
        }
    }

    /// Whether metrics-server has begun to serve: what ends a start did not end this one.
    pub fn has_started(&self) -> bool {
        matches!(self.kind, LineKind::Serving { .. })
    }

    /// The port on which it serves.
    pub fn serving_port(&self) -> Option<u16> {
        match self.kind {
            LineKind::Serving { port } => port,
            _ => None,
        }
    }
}

/// What a part of a line speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Startup(Cause),
    AggregationNotConfigured,
    Serving,
    Stopped,
    FailedProbe,
    StorageNotReady,
    ScrapeFinished,
    Skipped,
    CounterReset,
    NoMetricsKnown,
    /// The API server's own address with a path of its API.
    ToApiServer,
    /// A call did not get through.
    NotReached,
    Certificate,
    /// A list that metrics-server cannot live without.
    Listing,
    Refused,
    NodeNotReady,
    /// See [`scrape`].
    Scrape,
}

/// What stands first wins among the causes of a start that failed.
static MARKS: Table<Mark> = Table::new(&[
    ("exec format error", Mark::Startup(Cause::ImageArchitecture)),
    ("unknown flag:", Mark::Startup(Cause::UnknownFlag)),
    ("unknown shorthand flag", Mark::Startup(Cause::UnknownFlag)),
    ("flag provided but not defined", Mark::Startup(Cause::UnknownFlag)),
    ("executable file not found in $PATH", Mark::Startup(Cause::CommandNotFound)),
    ("no such file or directory: unknown", Mark::Startup(Cause::CommandNotFound)),
    ("no such file or directory\": unknown", Mark::Startup(Cause::CommandNotFound)),
    ("metric-resolution should be", Mark::Startup(Cause::FlagValueRefused)),
    ("kubelet-request-timeout should be", Mark::Startup(Cause::FlagValueRefused)),
    ("cannot use both --kubelet-certificate-authority", Mark::Startup(Cause::FlagValueRefused)),
    ("need both --kubelet-client-key", Mark::Startup(Cause::FlagValueRefused)),
    ("invalid argument \"", Mark::Startup(Cause::FlagValueRefused)),
    ("bind: address already in use", Mark::Startup(Cause::PortConflict)),
    ("bind: permission denied", Mark::Startup(Cause::PrivilegedPort)),
    ("error creating self-signed certificates", Mark::Startup(Cause::CertificateDirectoryUnwritable)),
    ("configmaps \"extension-apiserver-authentication\" is forbidden", Mark::Startup(Cause::AuthReaderMissing)),
    ("Unable to get configmap/extension-apiserver-authentication", Mark::Startup(Cause::AuthReaderMissing)),
    ("cannot create resource \"subjectaccessreviews\"", Mark::Startup(Cause::AuthDelegatorMissing)),
    ("cannot create resource \"tokenreviews\"", Mark::Startup(Cause::AuthDelegatorMissing)),
    ("nodes is forbidden: User \"system:serviceaccount:", Mark::Startup(Cause::ListPermissionMissing)),
    ("pods is forbidden: User \"system:serviceaccount:", Mark::Startup(Cause::ListPermissionMissing)),
    ("is not in the allowed list:", Mark::Startup(Cause::FrontProxyUntrusted)),
    ("Cluster doesn't provide requestheader-client-ca-file", Mark::AggregationNotConfigured),
    ("Serving securely on ", Mark::Serving),
    ("Stopped listening on ", Mark::Stopped),
    ("Failed probe", Mark::FailedProbe),
    ("[-]metric-storage-ready", Mark::FailedProbe),
    ("check failed: metric-storage-ready", Mark::FailedProbe),
    ("in the last collection tick", Mark::FailedProbe),
    ("last tick wasn't healthy", Mark::FailedProbe),
    ("Metric storage is not ready", Mark::StorageNotReady),
    ("Scrape finished", Mark::ScrapeFinished),
    ("ScrapeMetrics: time: ", Mark::ScrapeFinished),
    ("Skipped container CPU metric", Mark::Skipped),
    ("Skipped container memory metric", Mark::Skipped),
    ("Skip CPU metric for container", Mark::Skipped),
    ("Skip memory metric for container", Mark::Skipped),
    ("Failed getting complete", Mark::Skipped),
    ("Skipping container usage metric", Mark::CounterReset),
    ("Skipping node usage metric", Mark::CounterReset),
    ("no metrics known for", Mark::NoMetricsKnown),
    (":443/api", Mark::ToApiServer),
    (":6443/api", Mark::ToApiServer),
    (":443/version", Mark::ToApiServer),
    (":6443/version", Mark::ToApiServer),
    ("//kubernetes.default/api", Mark::ToApiServer),
    ("//kubernetes.default.svc/api", Mark::ToApiServer),
    ("//kubernetes.default.svc.cluster.local/api", Mark::ToApiServer),
    ("i/o timeout", Mark::NotReached),
    ("connection refused", Mark::NotReached),
    ("no route to host", Mark::NotReached),
    ("network is unreachable", Mark::NotReached),
    ("context deadline exceeded", Mark::NotReached),
    ("TLS handshake timeout", Mark::NotReached),
    ("no such host", Mark::NotReached),
    ("request canceled", Mark::NotReached),
    ("x509: ", Mark::Certificate),
    ("ailed to list *v1.", Mark::Listing),
    ("unable to load configmap based", Mark::Listing),
    (": Unauthorized", Mark::Refused),
    ("has asked for the client to provide credentials", Mark::Refused),
    ("node is not ready", Mark::NodeNotReady),
    ("Failed to scrape node", Mark::Scrape),
    ("unable to fully scrape metrics", Mark::Scrape),
    ("unable to fully collect metrics", Mark::Scrape),
    ("unable to fetch metrics from", Mark::Scrape),
    ("error while getting metrics summary from Kubelet", Mark::Scrape),
    ("Failed to get kubelet_summary", Mark::Scrape),
    // Lines that were cut lose their beginning.
    ("from Kubelet ", Mark::Scrape),
    ("/stats/summary", Mark::Scrape),
    ("/metrics/resource", Mark::Scrape),
]);

/// Whether a log cannot be read because the kubelet that keeps it has no serving certificate, as the API server tells.
pub fn lacks_kubelet_certificate(error: &str) -> bool {
    error.contains("/containerLogs/") && error.contains("remote error: tls: internal error")
}

/// The name of a certificate that may not speak for others: `x509: subject with cn=NAME is not in the allowed list: […]`
/// (kubernetes/apiserver `pkg/authentication/request/x509/x509.go` `verifySubject`, 1.8 to 1.37).
pub fn refused_common_name(line: &str) -> Option<&str> {
    between(line, "subject with cn=", " is not in the allowed list")
}

/// Whether a scrape failed at a proxy that is set on metrics-server itself.
pub fn goes_through_a_proxy(line: &str) -> bool {
    line.contains("proxyconnect tcp: ")
}

/// Whether a kubelet has refused metrics-server as nobody: it does not read tokens, so no role helps.
pub fn takes_it_for_anonymous(line: &str) -> bool {
    line.contains("user=system:anonymous")
}

fn kind(line: &str) -> LineKind {
    let mut startup: Option<(usize, LineKind)> = None;
    let mut seen: Vec<Mark> = Vec::new();
    for (row, mark, _) in MARKS.all(line) {
        let known = match mark {
            Mark::Startup(cause) => LineKind::Startup(cause),
            Mark::AggregationNotConfigured => LineKind::AggregationNotConfigured,
            _ => {
                seen.push(mark);
                continue;
            }
        };
        if startup.as_ref().is_none_or(|(first, _)| row < *first) {
            startup = Some((row, known));
        }
    }
    if seen.is_empty() {
        return startup.map(|(_, kind)| kind).unwrap_or_default();
    }
    let has = |mark: Mark| seen.contains(&mark);
    // Of a node that is not Ready metrics-server 0.9 says so itself; that is the node's fault.
    if has(Mark::Scrape) && has(Mark::NodeNotReady) {
        return LineKind::NodeNotReady;
    }
    if has(Mark::Scrape)
        && let Some(kind) = scrape::kind(line)
    {
        return kind;
    }
    if let Some((_, kind)) = startup {
        return kind;
    }
    // Of a token that is refused client-go tells the word alone.
    if has(Mark::ToApiServer) && has(Mark::NotReached) {
        return LineKind::ApiServer(Cause::ApiServerUnreachable);
    }
    if has(Mark::ToApiServer) && has(Mark::Certificate) || has(Mark::Listing) && has(Mark::Refused) {
        return LineKind::ApiServer(Cause::ApiServerUntrusted);
    }
    let first = seen.iter().find_map(|mark| match mark {
        Mark::Serving => Some(LineKind::Serving { port: serving_port(line) }),
        Mark::Stopped => Some(LineKind::Stopped),
        Mark::FailedProbe => Some(LineKind::ProbeFailed(probe(line))),
        Mark::StorageNotReady => Some(storage(line)),
        Mark::ScrapeFinished => scrape_finished(line),
        Mark::Skipped => Some(skipped(line, LineKind::Skipped)),
        Mark::CounterReset => Some(skipped(line, LineKind::CounterReset)),
        Mark::NoMetricsKnown => Some(LineKind::NoMetricsKnown(not_known(line))),
        _ => None,
    });
    first.unwrap_or_default()
}

/// The port in `Serving securely on [::]:PORT`, the same in every version.
fn serving_port(line: &str) -> Option<u16> {
    let (_, address) = line.split_once("Serving securely on ")?;
    let address = address.split(['"', ' ']).next()?;
    address.rsplit(':').next()?.parse().ok()
}

fn probe(line: &str) -> Probe {
    if line.contains("metric-collection-timely") {
        Probe::CollectionTimely
    } else if line.contains("metric-informer-sync") {
        Probe::InformerSync
    } else if line.contains("metric-storage-ready") || !line.contains("Failed probe") {
        Probe::StorageReady
    } else {
        Probe::Other
    }
}

fn storage(line: &str) -> LineKind {
    let (nodes, pods) = (line.contains("node metrics are missing"), line.contains("pod metrics are missing"));
    // Where it names neither, both are.
    LineKind::StorageNotReady { nodes_missing: nodes || !pods, pods_missing: pods || !nodes }
}

/// `"Scrape finished" duration="1.2s" nodeCount=3 podCount=40`, up to 0.4 `ScrapeMetrics: time: 1.2s, nodes: 3, pods: 40`.
fn scrape_finished(line: &str) -> Option<LineKind> {
    let number = |marks: [&str; 3]| {
        marks.iter().find_map(|mark| {
            let (_, behind) = line.split_once(mark)?;
            let end = behind.find(|character: char| !character.is_ascii_digit()).unwrap_or(behind.len());
            behind[..end].parse().ok()
        })
    };
    Some(LineKind::ScrapeFinished {
        nodes: number(["nodeCount=", "\"nodeCount\":", "nodes: "])?,
        pods: number(["podCount=", "\"podCount\":", "pods: "])?,
    })
}

/// Whom somebody asked for in vain: `unable to fetch pod metrics for pod NS/NAME: no metrics known for pod`, `unable to fetch
/// node metrics for node "NAME": no metrics known for node`, in 0.3.0 `no metrics known for pod "NS/NAME"`.
fn not_known(line: &str) -> Option<Skipped> {
    let of = |kind: &str| {
        ["metrics for ", "no metrics known for "].into_iter().find_map(|mark| {
            let (_, behind) = line.split_once(&format!("{mark}{kind} "))?;
            let word = behind.split([' ', ',', ']']).next()?.trim_end_matches(':').trim_matches(['"', '\\']);
            (!word.is_empty()).then_some(word)
        })
    };
    if let Some((namespace, name)) = of("pod").and_then(|pod| pod.split_once('/')) {
        return Some(Skipped::Pod { namespace: namespace.to_owned(), name: name.to_owned(), container: None });
    }
    of("node").map(|node| Skipped::Node(node.to_owned()))
}

/// What a line of 0.4 and newer withholds.
fn skipped(line: &str, kind: fn(Vec<Skipped>) -> LineKind) -> LineKind {
    let field = |name: &str| {
        let text =
            between(line, &format!(" {name}=\""), "\"").or_else(|| between(line, &format!("\"{name}\":\""), "\""));
        text.filter(|text| !text.is_empty())
    };
    let named = |kind: &str| {
        let object = between(line, &format!("\"{kind}\":{{"), "}")?;
        Some((between(object, "\"namespace\":\"", "\"").unwrap_or(""), between(object, "\"name\":\"", "\"")?))
    };
    let container = field("containerName").or_else(|| field("container")).map(str::to_owned);
    let pod = field("pod").and_then(|pod| pod.split_once('/')).or_else(|| named("pod"));
    let found = if let Some((namespace, name)) = pod {
        vec![Skipped::Pod { namespace: namespace.to_owned(), name: name.to_owned(), container }]
    } else if let Some(node) = field("node").or_else(|| named("node").map(|(_, name)| name)) {
        vec![Skipped::Node(node.to_owned())]
    } else if let Some(container) = container {
        vec![Skipped::Container(container)]
    } else {
        scrape::skipped_pods(line)
    };
    kind(found)
}

#[cfg(test)]
mod tests;
