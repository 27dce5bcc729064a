//! A support bundle on disk: a folder, or one file, of what plain kubectl prints. See `docs/bundle.md`.

mod contradictions;
mod documents;
mod lenient;
mod logs;
mod metrics;
mod notices;
mod objects;
mod remarks;
mod scopes;
mod texts;

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp};

use self::{notices::Notices, objects::Objects, texts::Top};
use crate::snapshot::{Collection, ContainerLog, NotSeen, Observed, Snapshot, Source};

/// The largest file that is read, in bytes, where nobody says otherwise: all pods of a large cluster are 100 MB of JSON.
pub const LARGEST_FILE: u64 = 256 << 20;

/// So many times the largest file all files together may hold.
const ALL_FILES: u64 = 4;

/// Folders that are nested deeper are named and skipped.
const DEEPEST_FOLDER: usize = 8;

/// Objects may be this much newer than `observed-at.txt`: collecting a bundle takes its time.
const COLLECTING: SignedDuration = SignedDuration::from_mins(15);

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

/// The kinds that are read: plural, kind, and the API group of today.
pub fn kinds() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    scopes::Kind::all().map(|kind| (kind.plural(), kind.name(), kind.groups().first().copied().unwrap_or_default()))
}

/// Reads a bundle.
///
/// # Errors
/// When the path cannot be read, or nothing in it can.
pub fn read(path: &Path) -> Result<Snapshot, BundleError> {
    read_up_to(path, LARGEST_FILE)
}

/// Reads a bundle of which no file is larger than so many bytes; larger ones are named and skipped.
///
/// # Errors
/// As [`read`].
pub fn read_up_to(path: &Path, largest_file: u64) -> Result<Snapshot, BundleError> {
    let unreadable = |source| BundleError::Unreadable { path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_dir() && !metadata.is_file() {
        return Err(unreadable(std::io::Error::other("neither a folder nor a file")));
    }
    let root = if metadata.is_dir() { path } else { path.parent().unwrap_or(path) };
    let mut reader = Reader { root: root.to_owned(), largest_file, ..Reader::default() };
    let mut files = Vec::new();
    if metadata.is_dir() {
        fs::read_dir(path).map_err(unreadable)?;
        reader.list(path, &mut files, 0);
        files.sort();
    } else {
        files.push(path.to_owned());
    }
    for file in &files {
        reader.read_file(file);
    }
    let snapshot = reader.finish();
    snapshot.map_err(|notices| BundleError::Empty { path: path.to_owned(), notices })
}

/// A snapshot of objects that are already parsed; what they do not hold is not in the bundle.
pub(super) fn of_objects(objects: Vec<serde_json::Value>, observed_at: Timestamp) -> Snapshot {
    let mut read = Objects::default();
    let mut notices = Notices::default();
    for object in objects {
        read.add(Path::new("objects"), "objects", object, true, &mut notices);
    }
    let mut snapshot = Snapshot { observed_at, source: Source::Bundle, ..Snapshot::default() };
    read.fill(&mut snapshot, &mut notices);
    snapshot.notices = notices.finish();
    snapshot
}

#[derive(Default)]
struct Reader {
    root: PathBuf,
    objects: Objects,
    logs: Vec<PathBuf>,
    texts: Vec<PathBuf>,
    top_nodes: Option<crate::snapshot::Retrieval>,
    top_pods: Option<crate::snapshot::Retrieval>,
    server_version: Option<crate::snapshot::KubernetesVersion>,
    observed_at: Option<Timestamp>,
    /// Files of plain text that could not be read, by the name that the format gives them.
    damaged: BTreeSet<&'static str>,
    notices: Notices,
    found: bool,
    largest_file: u64,
    /// Bytes of all files so far.
    bytes: u64,
}

/// What the names of files end with that hold objects, or would once they were unpacked.
const EXTENSIONS: [&str; 9] = ["yaml", "yml", "json", "gz", "tgz", "tar", "zip", "xz", "zst"];
/// Files of plain text, and what they are called where they are missing.
const TEXTS: [&str; 4] = ["observed-at.txt", "top-nodes.txt", "top-pods.txt", "server-version.txt"];

impl Reader {
    /// A file's name below the root, as notices tell it.
    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    fn skipped(&mut self, path: &Path, why: &str) {
        let notice = format!("{}: skipped, {why}", self.shown(path));
        self.notices.push(notice);
        let name = path.strip_prefix(&self.root).unwrap_or(path).to_owned();
        let of_the_format = |extension: &OsStr| EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known));
        if !path.is_dir() && path.extension().is_some_and(of_the_format) {
            self.objects.lose_file(&name);
            self.lose_text(path);
        }
    }

    /// Takes note of a file of plain text that could not be read.
    fn lose_text(&mut self, path: &Path) {
        let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        self.damaged.extend(TEXTS.iter().find(|text| name.starts_with(**text)));
    }

    /// Files below a folder; links are not followed, so that a bundle cannot lead out of itself.
    fn list(&mut self, folder: &Path, files: &mut Vec<PathBuf>, depth: usize) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.skipped(folder, &error.to_string()),
        };
        for entry in entries.flatten() {
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && depth < DEEPEST_FOLDER => self.list(&path, files, depth + 1),
                Ok(kind) if kind.is_dir() => self.skipped(&path, "folders are nested too deep"),
                Ok(kind) if kind.is_symlink() => self.skipped(&path, "a link"),
                Ok(kind) if kind.is_file() => files.push(path),
                Ok(_) => self.skipped(&path, "not a file"),
                Err(error) => self.skipped(&path, &error.to_string()),
            }
        }
    }

    fn read_file(&mut self, path: &Path) {
        let name = path.strip_prefix(&self.root).unwrap_or(path).to_owned();
        let shown = self.shown(path);
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        if extension.as_deref() == Some("log") || (stem == "logs" && extension.as_deref() == Some("txt")) {
            // Which logs are worth reading is known once all objects are.
            self.logs.push(path.to_owned());
            return;
        }
        match (stem.as_str(), extension.as_deref()) {
            ("observed-at" | "top-nodes" | "top-pods" | "server-version", Some("txt"))
            | (_, Some("yaml" | "yml" | "json")) => {}
            (_, Some("gz" | "tgz" | "tar" | "zip" | "xz" | "zst")) => {
                return self.skipped(path, "an archive: unpack it first");
            }
            // Whatever it is, it may say something of the metrics API.
            _ => return self.texts.push(path.to_owned()),
        }
        let text = match self.bytes_of(path) {
            Ok(bytes) => texts::decode(bytes),
            Err(why) => return self.skipped(path, &why),
        };
        match (stem.as_str(), extension.as_deref()) {
            ("observed-at", Some("txt")) => {
                self.observed_at = text.trim().parse().ok();
                if self.observed_at.is_none() {
                    self.notices.push(format!("{shown}: not a moment in the form of RFC 3339 (2026-01-01T00:00:00Z)"));
                    self.lose_text(path);
                }
            }
            ("server-version", _) => {
                self.server_version = texts::server_version(&text);
                if self.server_version.is_none() {
                    self.notices.push(format!("{shown}: holds no version of an API server"));
                    self.lose_text(path);
                }
            }
            ("top-nodes", Some("txt")) => self.top_nodes = self.top(path, &text, Top::Nodes),
            ("top-pods", Some("txt")) => self.top_pods = self.top(path, &text, Top::Pods),
            _ => {
                let read = self.objects.read(&name, &text, &mut self.notices);
                self.found |= read;
            }
        }
    }

    /// The bytes of a file, or why they are not read.
    fn bytes_of(&mut self, path: &Path) -> Result<Vec<u8>, String> {
        let length = fs::metadata(path).map_err(|error| error.to_string())?.len();
        let (limit, flag) = (self.largest_file, "raise --largest-file to read it");
        if length > limit {
            return Err(format!("{} MiB, larger than {} MiB: {flag}", length >> 20, limit >> 20));
        }
        if self.bytes.saturating_add(length) > limit.saturating_mul(ALL_FILES) {
            return Err(format!("the files before it hold {} MiB: {flag}", self.bytes >> 20));
        }
        self.bytes += length;
        fs::read(path).map_err(|error| error.to_string())
    }

    fn top(&mut self, path: &Path, text: &str, which: Top) -> Option<crate::snapshot::Retrieval> {
        let shown = self.shown(path);
        let retrieval = texts::top(text, which);
        self.found |= retrieval.is_some();
        if retrieval.is_none() {
            self.notices.push(format!("{shown}: neither a table of kubectl top nor an error of the API server"));
            self.lose_text(path);
        }
        retrieval
    }

    /// What was read; the notices alone where that is nothing.
    fn finish(mut self) -> Result<Snapshot, Vec<String>> {
        let mut snapshot = Snapshot {
            source: Source::Bundle,
            server_version: or_not_seen(self.server_version, "server-version.txt", &self.damaged),
            top_nodes: or_not_seen(self.top_nodes, "top-nodes.txt", &self.damaged),
            top_pods: or_not_seen(self.top_pods, "top-pods.txt", &self.damaged),
            ..Snapshot::default()
        };
        let newest_object = self.objects.newest_moment();
        // Plain `kubectl top` is what operators are asked for, so it counts before `kubectl get nodemetrics`.
        for (top, which) in [(&mut snapshot.top_nodes, Top::Nodes), (&mut snapshot.top_pods, Top::Pods)] {
            match (&*top, self.objects.samples(which), self.objects.damaged_samples()) {
                (Observed::NotSeen(_), Some(samples), _) => *top = Observed::Present(samples),
                (Observed::NotSeen(NotSeen::NotInBundle(_)), None, Some(file)) => {
                    *top = Observed::NotSeen(NotSeen::Damaged(file.to_owned()));
                }
                (Observed::Present(told), Some(samples), _) => {
                    contradictions::answers(which, told, &samples, &mut self.notices);
                }
                _ => {}
            }
        }
        self.objects.fill(&mut snapshot, &mut self.notices);
        let mut read = logs::Logs::of(&snapshot);
        for path in &self.logs {
            let name = path.strip_prefix(&self.root).unwrap_or(path);
            read.read_file(path, name, &mut self.notices);
        }
        for path in &self.texts {
            let name = path.strip_prefix(&self.root).unwrap_or(path);
            read.read_text(path, name, &mut self.notices);
        }
        if !self.found && read.kept.is_empty() && read.remarks.is_empty() {
            return Err(self.notices.finish());
        }
        let newest = newest_object.max(read.newest_line);
        let last = newest_moment(newest, &read.kept);
        let missing = NotSeen::NotInBundle("logs/NAMESPACE_POD_CONTAINER.log");
        snapshot.logs = Collection::unseen(read.damaged.take().map_or(missing, NotSeen::Damaged));
        for log in read.kept {
            snapshot.logs.insert(contradictions::dated(log, &snapshot.pods, &mut self.notices));
        }
        snapshot.observed_at = self.observed_at.unwrap_or_else(|| {
            let file =
                if self.damaged.contains("observed-at.txt") { "could not be read" } else { "is not in the bundle" };
            let from = last.map_or_else(
                || "no moment is in it, so that no age can be told".to_owned(),
                |last| format!("ages count from {last}, the newest moment in it"),
            );
            self.notices.push(format!("observed-at.txt {file}: {from}"));
            last.unwrap_or(Timestamp::UNIX_EPOCH)
        });
        if let Some(newest) = newest.filter(|newest| newest.duration_since(snapshot.observed_at) > COLLECTING) {
            self.notices.push(format!(
                "observed-at.txt says {}, but the bundle holds {newest}: ages may be wrong",
                snapshot.observed_at
            ));
        }
        snapshot.remarks = remarks::newest(read.remarks, snapshot.observed_at);
        contradictions::objects(&snapshot, &mut self.notices);
        snapshot.notices = self.notices.finish();
        Ok(snapshot)
    }
}

/// The newest moment of objects, or of a log that goes on after them: its lines have no year, so they are taken to lie
/// within half a year of the objects.
fn newest_moment(objects: Option<Timestamp>, logs: &[ContainerLog]) -> Option<Timestamp> {
    let objects = objects?;
    let latest = objects.saturating_add(SignedDuration::from_hours(24 * 180)).unwrap_or(Timestamp::MAX);
    let last = logs.iter().filter_map(|log| log.lines().filter_map(|line| line.read.at(latest)).next_back());
    last.max().max(Some(objects))
}

fn or_not_seen<T>(value: Option<T>, file: &'static str, damaged: &BTreeSet<&'static str>) -> Observed<T> {
    let reason = || if damaged.contains(file) { NotSeen::Damaged(file.to_owned()) } else { NotSeen::NotInBundle(file) };
    value.map_or_else(|| Observed::NotSeen(reason()), Observed::Present)
}
