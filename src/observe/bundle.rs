//! A support bundle on disk: a folder, or one file, of what plain kubectl prints. See `docs/bundle.md`.

mod metrics;
mod objects;
mod scopes;
mod texts;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp};

use self::{objects::Objects, texts::Top};
use crate::{
    log_lines,
    snapshot::{Collection, ContainerLog, NotSeen, Observed, Snapshot, Source},
};

/// Files that are larger are named and skipped: nothing that explains metrics-server needs more.
const LARGEST_FILE: u64 = 64 << 20;

/// Why a bundle cannot be read at all. What is wrong with single files becomes a notice instead.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The path does not exist or may not be read.
    #[error("cannot read {}: {source}; name a folder or a file that kubectl wrote (docs/bundle.md)", path.display())]
    Unreadable {
        /// The path as it was given.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Nothing in it could be read as an object, a log or the output of kubectl top.
    #[error(
        "{} holds nothing that can be read: expected *.yaml or *.json as `kubectl get -o yaml` prints them, \
         logs/NAMESPACE_POD_CONTAINER.log, top-nodes.txt or top-pods.txt (docs/bundle.md){}",
        path.display(),
        notices.iter().map(|notice| format!("\n  {notice}")).collect::<String>()
    )]
    Empty {
        /// The path as it was given.
        path: PathBuf,
        /// What is wrong with the files that are there.
        notices: Vec<String>,
    },
}

/// Reads a bundle.
///
/// # Errors
/// When the path cannot be read, or nothing in it can.
pub fn read(path: &Path) -> Result<Snapshot, BundleError> {
    let unreadable = |source| BundleError::Unreadable { path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    let mut files = Vec::new();
    if metadata.is_dir() {
        list(path, &mut files, 0).map_err(unreadable)?;
        files.sort();
    } else {
        files.push(path.to_owned());
    }
    let root = if metadata.is_dir() { path } else { path.parent().unwrap_or(path) };
    let mut reader = Reader { root: root.to_owned(), ..Reader::default() };
    for file in &files {
        reader.read_file(file);
    }
    if !reader.found {
        return Err(BundleError::Empty { path: path.to_owned(), notices: reader.notices });
    }
    Ok(reader.finish())
}

/// A snapshot of objects that are already parsed; what they do not hold is not in the bundle.
pub(super) fn of_objects(objects: &[serde_json::Value], observed_at: Timestamp) -> Snapshot {
    let mut read = Objects::default();
    let mut notices = Vec::new();
    for object in objects {
        read.add(Path::new("objects"), object, &mut notices);
    }
    let mut snapshot = Snapshot { observed_at, source: Source::Bundle, ..Snapshot::default() };
    read.fill(&mut snapshot);
    snapshot.notices.extend(notices);
    snapshot
}

/// Files below a folder; links are not followed, so that a bundle cannot lead out of itself.
fn list(folder: &Path, files: &mut Vec<PathBuf>, depth: usize) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if kind.is_dir() && depth < 8 && !hidden {
            list(&entry.path(), files, depth + 1)?;
        } else if kind.is_file() && !hidden {
            files.push(entry.path());
        }
    }
    Ok(())
}

#[derive(Default)]
struct Reader {
    root: PathBuf,
    objects: Objects,
    logs: Vec<ContainerLog>,
    top_nodes: Option<crate::snapshot::Retrieval>,
    top_pods: Option<crate::snapshot::Retrieval>,
    server_version: Option<crate::snapshot::KubernetesVersion>,
    observed_at: Option<Timestamp>,
    newest_log_line: Option<Timestamp>,
    notices: Vec<String>,
    found: bool,
}

impl Reader {
    fn read_file(&mut self, path: &Path) {
        let name = path.strip_prefix(&self.root).unwrap_or(path).to_owned();
        let shown = name.display().to_string();
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        let is_log = extension.as_deref() == Some("log") || (stem == "logs" && extension.as_deref() == Some("txt"));
        match fs::metadata(path) {
            Ok(metadata) if metadata.len() > LARGEST_FILE && !is_log => {
                self.notices.push(format!("{shown}: skipped, larger than {} MiB", LARGEST_FILE >> 20));
                return;
            }
            Ok(_) => {}
            Err(error) => {
                self.notices.push(format!("{shown}: {error}"));
                return;
            }
        }
        if is_log {
            self.read_log(path, &name);
            return;
        }
        let text = match fs::read(path) {
            Ok(bytes) => texts::decode(&bytes),
            Err(error) => {
                self.notices.push(format!("{shown}: {error}"));
                return;
            }
        };
        match (stem.as_str(), extension.as_deref()) {
            ("observed-at", Some("txt")) => match text.trim().parse() {
                Ok(moment) => self.observed_at = Some(moment),
                Err(_) => {
                    self.notices.push(format!("{shown}: not a moment in the form of RFC 3339 (2026-01-01T00:00:00Z)"));
                }
            },
            ("server-version", Some("txt" | "json" | "yaml")) => match texts::server_version(&text) {
                Some(version) => self.server_version = Some(version),
                None => self.notices.push(format!("{shown}: holds no version of an API server")),
            },
            ("top-nodes", Some("txt")) => {
                self.top_nodes = texts::top(&text, texts::Top::Nodes);
                self.found |= self.top_nodes.is_some();
            }
            ("top-pods", Some("txt")) => {
                self.top_pods = texts::top(&text, texts::Top::Pods);
                self.found |= self.top_pods.is_some();
            }
            (_, Some("yaml" | "yml" | "json")) => {
                let read = self.objects.read(&name, &text, &mut self.notices);
                self.found |= read;
            }
            _ => self.notices.push(format!("{shown}: skipped, not part of the format of bundles")),
        }
    }

    /// A log, line by line: it may be larger than memory.
    fn read_log(&mut self, path: &Path, name: &Path) {
        let shown = name.display().to_string();
        let file = match fs::File::open(path) {
            Ok(file) => file,
            Err(error) => {
                self.notices.push(format!("{shown}: {error}"));
                return;
            }
        };
        let mut log = texts::log_of(name);
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        loop {
            line.clear();
            match reader.read_until(b'\n', &mut line) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    self.notices.push(format!("{shown}: {error}"));
                    break;
                }
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end();
            if let Some(next) = texts::log_section(text) {
                self.keep_log(log.replace(next));
                continue;
            }
            if text.is_empty() || text.starts_with("==== END logs") {
                continue;
            }
            let stamp = text.split(' ').next().and_then(|word| word.parse::<Timestamp>().ok());
            self.newest_log_line = self.newest_log_line.max(stamp);
            if let Some(log) = &mut log {
                log.push(text);
            }
        }
        if log.is_none() {
            self.notices.push(format!("{shown}: skipped, its name is not NAMESPACE_POD_CONTAINER.log"));
        }
        self.keep_log(log);
    }

    fn keep_log(&mut self, log: Option<ContainerLog>) {
        if let Some(log) = log {
            self.found = true;
            self.logs.push(log);
        }
    }

    fn finish(self) -> Snapshot {
        let mut notices = self.notices;
        let observed_at = self.observed_at.unwrap_or_else(|| {
            let newest = newest_moment(self.objects.newest_moment().max(self.newest_log_line), &self.logs);
            let newest = newest.unwrap_or(Timestamp::UNIX_EPOCH);
            notices.push(format!(
                "observed-at.txt is not in the bundle: ages count from {newest}, the newest moment in it"
            ));
            newest
        });
        let mut logs = Collection::unseen(NotSeen::NotInBundle("logs/NAMESPACE_POD_CONTAINER.log"));
        for log in self.logs {
            logs.insert(log);
        }
        let mut snapshot = Snapshot {
            observed_at,
            source: Source::Bundle,
            server_version: or_not_in_bundle(self.server_version, "server-version.txt"),
            logs,
            top_nodes: or_not_in_bundle(self.top_nodes, "top-nodes.txt"),
            top_pods: or_not_in_bundle(self.top_pods, "top-pods.txt"),
            ..Snapshot::default()
        };
        // Plain `kubectl top` is what operators are asked for, so it counts before `kubectl get nodemetrics`.
        let [nodes, pods] = [Top::Nodes, Top::Pods].map(|which| self.objects.samples(which));
        if let (Observed::NotSeen(_), Some(nodes)) = (&snapshot.top_nodes, nodes) {
            snapshot.top_nodes = Observed::Present(nodes);
        }
        if let (Observed::NotSeen(_), Some(pods)) = (&snapshot.top_pods, pods) {
            snapshot.top_pods = Observed::Present(pods);
        }
        self.objects.fill(&mut snapshot);
        snapshot.notices = notices;
        snapshot
    }
}

/// The newest moment of objects, or of a log that goes on after them: its lines have no year, so they are taken to lie
/// within half a year of the objects.
fn newest_moment(objects: Option<Timestamp>, logs: &[ContainerLog]) -> Option<Timestamp> {
    let objects = objects?;
    let latest = objects + SignedDuration::from_hours(24 * 180);
    let last = logs.iter().filter_map(|log| log.lines().filter_map(|line| log_lines::written_at(line, latest)).last());
    last.max().max(Some(objects))
}

fn or_not_in_bundle<T>(value: Option<T>, file: &'static str) -> Observed<T> {
    value.map_or(Observed::NotSeen(NotSeen::NotInBundle(file)), Observed::Present)
}
