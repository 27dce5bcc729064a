//! Scrapes of kubelets that failed, in lines of one node and of a whole round.

use super::{LineKind, Skipped};
use crate::{catalogue::Cause, wording::table::Table};

/// Scrapes that failed for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedScrape {
    /// The reason; `None` where it is not known.
    pub cause: Option<Cause>,
    /// The nodes that the line names.
    pub nodes: Vec<String>,
}

impl FailedScrape {
    /// Whether it may pass by itself.
    pub fn comes_and_goes(&self) -> bool {
        self.cause.is_none_or(comes_and_goes)
    }
}

/// Whether failures of this kind pass by themselves, as under load, while a kubelet restarts or a node leaves. All others
/// are decided by configuration (certificates, rights, names, ports): one of them proves itself until something positive,
/// a sample of that node, contradicts it.
pub fn comes_and_goes(cause: Cause) -> bool {
    matches!(cause, Cause::KubeletTimeout | Cause::KubeletRefused | Cause::KubeletUnreachable)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// The line tells of a failure, whatever stands behind it.
    Failure,
    /// A failure where a cause or the end of a node's name stands behind it.
    Fragment,
    /// Begins what is said of one node, in a line of a whole round.
    Node,
    Cause(Cause),
    /// A failure whose words speak of another connection than the one to the kubelet.
    NoCause,
    /// A container's value is missing, and its pod is left out (0.3.1 to 0.3.7); in 0.3.0 the whole node is.
    Discarding,
}

/// What stands first wins among the causes.
static MARKS: Table<Mark> = Table::new(&[
    ("Failed to scrape node", Mark::Failure),
    ("unable to fully scrape metrics from source ", Mark::Node),
    ("unable to fully scrape metrics from node ", Mark::Node),
    ("unable to fully scrape metrics", Mark::Failure),
    ("unable to fully collect metrics", Mark::Failure),
    ("unable to fetch metrics from", Mark::Failure),
    ("error while getting metrics summary from Kubelet", Mark::Failure),
    ("Failed to get kubelet_summary", Mark::Failure),
    ("from Kubelet ", Mark::Fragment),
    ("/stats/summary", Mark::Fragment),
    ("/metrics/resource", Mark::Fragment),
    ("discarding data", Mark::Discarding),
    // A proxy that is set on metrics-server refuses, not the kubelet.
    ("proxyconnect tcp: ", Mark::NoCause),
    // A name server that does not answer is no kubelet that does not answer.
    ("dial tcp: lookup ", Mark::Cause(Cause::NodeNameUnresolvable)),
    ("doesn't contain any IP SANs", Mark::Cause(Cause::KubeletCertificateNames)),
    ("x509: certificate is valid for", Mark::Cause(Cause::KubeletCertificateNames)),
    ("certificate is not valid for any names", Mark::Cause(Cause::KubeletCertificateNames)),
    ("relies on legacy Common Name", Mark::Cause(Cause::KubeletCertificateNames)),
    ("x509: certificate signed by unknown authority", Mark::Cause(Cause::KubeletCertificateAuthority)),
    ("x509: certificate has expired", Mark::Cause(Cause::KubeletCertificateExpired)),
    ("x509: certificate is not trusted", Mark::Cause(Cause::KubeletCertificateAuthority)),
    ("remote error: tls: internal error", Mark::Cause(Cause::KubeletCertificateMissing)),
    ("401 Unauthorized", Mark::Cause(Cause::KubeletUnauthorized)),
    // Whoever is taken for nobody was not authenticated: the kubelet does not read tokens (up to 0.4 lines quote the body).
    ("Forbidden (user=system:anonymous", Mark::Cause(Cause::KubeletUnauthorized)),
    ("403 Forbidden", Mark::Cause(Cause::KubeletForbidden)),
    ("404 Not Found", Mark::Cause(Cause::KubeletNotFound)),
    ("no such host", Mark::Cause(Cause::NodeNameUnresolvable)),
    ("server misbehaving", Mark::Cause(Cause::NodeNameUnresolvable)),
    ("no address matched types", Mark::Cause(Cause::NodeNameUnresolvable)),
    ("no addresses that matched types", Mark::Cause(Cause::NodeNameUnresolvable)),
    ("connection refused", Mark::Cause(Cause::KubeletRefused)),
    ("no route to host", Mark::Cause(Cause::KubeletUnreachable)),
    ("network is unreachable", Mark::Cause(Cause::KubeletUnreachable)),
    ("failed to initialize Prometheus parser", Mark::Cause(Cause::KubeletOutputUnparsable)),
    ("failed parsing metrics", Mark::Cause(Cause::KubeletOutputUnparsable)),
    ("unable to decode", Mark::Cause(Cause::KubeletOutputUnparsable)),
    ("i/o timeout", Mark::Cause(Cause::KubeletTimeout)),
    ("context deadline exceeded", Mark::Cause(Cause::KubeletTimeout)),
    ("Client.Timeout exceeded", Mark::Cause(Cause::KubeletTimeout)),
    ("timeout to access kubelet", Mark::Cause(Cause::KubeletTimeout)),
    ("TLS handshake timeout", Mark::Cause(Cause::KubeletTimeout)),
    ("request canceled", Mark::Cause(Cause::KubeletTimeout)),
    ("connection timed out", Mark::Cause(Cause::KubeletTimeout)),
    ("response in time", Mark::Cause(Cause::KubeletTimeout)),
]);

/// What is said in one part of a line.
#[derive(Default)]
struct Part {
    cause: Option<Cause>,
    fails: bool,
    is_fragment: bool,
    discards: bool,
    starts: Vec<usize>,
}

fn read(text: &str) -> Part {
    let mut part = Part::default();
    let mut first = usize::MAX;
    for (row, mark, start) in MARKS.all(text) {
        match mark {
            Mark::Failure => part.fails = true,
            Mark::Fragment => part.is_fragment = true,
            Mark::Discarding => part.discards = true,
            Mark::Node => part.starts.push(start),
            Mark::Cause(cause) if row < first => (part.cause, first) = (Some(cause), row),
            Mark::NoCause if row < first => (part.cause, first) = (None, row),
            Mark::Cause(_) | Mark::NoCause => {}
        }
    }
    part
}

/// The kind of a line that one of the marks stands in; `None` where it does not tell of a failure after all.
pub(super) fn kind(line: &str) -> Option<LineKind> {
    let whole = read(line);
    let is_named = line.split_once("from Kubelet ").is_some_and(|(_, behind)| behind.contains("): "));
    if !(whole.fails || !whole.starts.is_empty() || whole.is_fragment && (whole.cause.is_some() || is_named)) {
        return None;
    }
    let mut failed = Vec::new();
    let mut skipped = Vec::new();
    // 0.3 and 0.4 write the failures of one round into a single line, each with a cause of its own.
    if whole.starts.len() < 2 {
        add(line, &whole, &mut failed, &mut skipped);
    } else {
        let bounds: Vec<usize> = std::iter::once(0).chain(whole.starts).chain([line.len()]).collect();
        for bound in bounds.windows(2) {
            let text = &line[bound[0]..bound[1]];
            let part = read(text);
            // Before the first node stands the frame of the line, or the rest of one that was cut.
            if bound[0] > 0 || part.cause.is_some() {
                add(text, &part, &mut failed, &mut skipped);
            }
        }
    }
    Some(if failed.is_empty() { LineKind::Skipped(skipped) } else { LineKind::ScrapesFailed { failed, skipped } })
}

fn add(text: &str, part: &Part, failed: &mut Vec<FailedScrape>, skipped: &mut Vec<Skipped>) {
    if part.discards && part.cause.is_none() {
        skipped.extend(skipped_pods(text));
    } else {
        failed.push(FailedScrape { cause: part.cause, nodes: nodes(text) });
    }
}

/// The nodes that a failed scrape names, of every wording: `node="N"`, `{"name":"N"}`, `kubelet_summary:N`, `from node N:`,
/// `from Kubelet N (ADDRESS)`.
fn nodes(line: &str) -> Vec<String> {
    let mut nodes: Vec<String> = Vec::new();
    // Before 0.3 the source has an address for a name.
    if line.contains("Failed to get kubelet_summary") {
        return nodes;
    }
    for (mark, ends) in [
        ("node=\"", &['"'][..]),
        ("\"node\":{\"name\":\"", &['"']),
        ("\"node\":\"", &['"']),
        ("kubelet_summary:", &[':', ' ', ',', ']']),
        ("scrape metrics from node ", &[':', ' ', ',', ']']),
        ("fetch metrics from node ", &[':', ' ', ',', ']']),
        ("from Kubelet ", &[' ', '(', ':', ',']),
    ] {
        let mut rest = line;
        while let Some((_, behind)) = rest.split_once(mark) {
            let end = behind.find(ends).unwrap_or(behind.len());
            if end > 0 && !nodes.iter().any(|known| known == &behind[..end]) {
                nodes.push(behind[..end].to_owned());
            }
            rest = &behind[end..];
        }
    }
    nodes
}

/// `unable to get CPU for container "C" in pod NS/P on node "N", discarding data: …`, of 0.4 `Skip CPU metric for container
/// "C" in pod NS/P, error: …`.
pub(super) fn skipped_pods(text: &str) -> Vec<Skipped> {
    let mut found = Vec::new();
    for (start, mark) in text.match_indices("for container \"") {
        let behind = &text[start + mark.len()..];
        let Some((container, behind)) = behind.split_once("\" in pod ") else { continue };
        let pod = behind.split([' ', ',', ':', ']']).next().unwrap_or("");
        let Some((namespace, name)) = pod.split_once('/') else { continue };
        let skipped = Skipped::Pod {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            container: Some(container.to_owned()),
        };
        if !found.contains(&skipped) {
            found.push(skipped);
        }
    }
    found
}
