//! Logs and other texts of a bundle, line by line and within bounds: one may be larger than memory, and a dump holds those
//! of every pod. metrics-server's are kept; of all others the lines that speak of the metrics API.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, BufRead, BufReader, Cursor},
    path::Path,
};

use jiff::Timestamp;

use super::{LARGEST_FILE, notices::Notices, remarks::Remarks, texts};
use crate::{
    facts::{chain::Chain, metrics_server},
    snapshot::{ContainerLog, Named, Remark, Snapshot},
};

/// How many bytes of a line are read; the rest of it is passed over.
const LONGEST_LINE: usize = 16 << 10;
/// How many bytes are read of a file that is not metrics-server's log.
const LONGEST_TEXT: u64 = 256 << 20;

/// The logs that are worth keeping: those of the pods that serve the metrics API, or may be metrics-server.
#[derive(Default)]
pub(super) struct Logs {
    pods: BTreeSet<(String, String)>,
    /// What was read.
    pub(super) kept: Vec<ContainerLog>,
    /// What others say of the metrics API.
    pub(super) remarks: Vec<Remark>,
    /// The newest stamp that kubectl put before a line.
    pub(super) newest_line: Option<Timestamp>,
    /// A log that is wanted and could not be read.
    pub(super) damaged: Option<String>,
}

impl Logs {
    /// Knows the pods of `snapshot`.
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let chain = Chain::resolve(snapshot);
        let own = snapshot.pods.iter().filter(|pod| metrics_server::container(&pod.spec).is_some());
        let pods = own.chain(chain.pods().iter().copied());
        let pods = pods.map(|pod| (pod.namespace().to_owned(), pod.name().to_owned())).collect();
        Self { pods, ..Self::default() }
    }

    fn wants(&self, log: &ContainerLog) -> bool {
        log.name().contains("metrics-server")
            || self.pods.contains(&(log.namespace().to_owned(), log.name().to_owned()))
    }

    /// Reads a file that is named like a log.
    pub(super) fn read_file(&mut self, path: &Path, name: &Path, notices: &mut Notices) {
        let log = texts::log_of(name);
        let named = log.is_some();
        let Some((told, lines)) = self.read(path, name, log, false, notices) else { return };
        if !named && !told {
            notices.push(read_in_part(name, "its name is not NAMESPACE_POD_CONTAINER.log", lines));
        }
    }

    /// Reads a file of which only its lines about the metrics API are of interest.
    pub(super) fn read_text(&mut self, path: &Path, name: &Path, notices: &mut Notices) {
        if let Some((_, lines)) = self.read(path, name, None, true, notices) {
            notices.push(read_in_part(name, "not part of the format of bundles (docs/bundle.md)", lines));
        }
    }

    /// Whether the file told by itself whose log it is, and how many of its lines speak of the metrics API; `None` where
    /// it could not be read at all.
    fn read(
        &mut self,
        path: &Path,
        name: &Path,
        log: Option<ContainerLog>,
        only_text: bool,
        notices: &mut Notices,
    ) -> Option<(bool, usize)> {
        let shown = name.display().to_string();
        let mut reader = match open(path, only_text) {
            Ok(reader) => reader,
            Err(error) => {
                if log.as_ref().is_some_and(|log| self.wants(log)) {
                    self.damaged.get_or_insert_with(|| shown.clone());
                }
                notices.push(format!("{shown}: skipped, {error}"));
                return None;
            }
        };
        let mut log = log.filter(|log| self.wants(log));
        let mut told = false;
        let mut remarks = Remarks::default();
        let mut of_others = 0;
        let mut line = Vec::new();
        loop {
            match read_line(reader.as_mut(), &mut line) {
                Ok(Some(bytes)) if log.is_none() => of_others += bytes,
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => {
                    notices.push(format!("{shown}: {error}"));
                    break;
                }
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end();
            if let Some(next) = texts::log_section(text) {
                told = true;
                let next = Some(next).filter(|next| self.wants(next));
                self.kept.extend(std::mem::replace(&mut log, next));
                continue;
            }
            if text.is_empty() || text.starts_with("==== END logs") {
                continue;
            }
            if let Some(log) = &mut log {
                let stamp = text.split(' ').next().and_then(|word| word.parse::<Timestamp>().ok());
                self.newest_line = self.newest_line.max(stamp);
                log.push(text);
            } else if of_others < LONGEST_TEXT {
                remarks.read(&shown, text);
            } else {
                notices.push(format!("{shown}: only the first {} MiB were read", LONGEST_TEXT >> 20));
                break;
            }
        }
        self.kept.extend(log);
        let lines = remarks.lines();
        self.remarks.extend(remarks.into_kept());
        Some((told, lines))
    }
}

/// What is told of a file that is no log of a pod.
fn read_in_part(name: &Path, why: &str, lines: usize) -> String {
    let lines = match lines {
        0 => "nothing".to_owned(),
        1 => "1 line".to_owned(),
        lines => format!("{lines} lines"),
    };
    format!("{}: {why}; read only for what it says of metrics.k8s.io: {lines}", name.display())
}

/// Opens a text in one of the usual encodings. A log may hold zeros, as after a crash of its host.
fn open(path: &Path, only_text: bool) -> io::Result<Box<dyn BufRead>> {
    let mut reader = BufReader::new(fs::File::open(path)?);
    let start = reader.fill_buf()?;
    let is_utf16 = start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff");
    if only_text && !is_utf16 && start.contains(&0) {
        return Err(io::Error::other("not a text"));
    }
    if is_utf16 {
        if fs::metadata(path)?.len() > LARGEST_FILE {
            return Err(io::Error::other("larger than a text in UTF-16 may be"));
        }
        return Ok(Box::new(Cursor::new(texts::decode(fs::read(path)?))));
    }
    if start.starts_with(b"\x1f\x8b") {
        return Err(io::Error::other("compressed: unpack it first"));
    }
    if start.starts_with(b"\xef\xbb\xbf") {
        reader.consume(3);
    }
    Ok(Box::new(reader))
}

/// Reads up to the end of the line, of which only the start is kept: how many bytes that were; `None` at the end of the
/// file.
fn read_line(reader: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<Option<u64>> {
    line.clear();
    let mut bytes = 0;
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok((bytes > 0).then_some(bytes));
        }
        let end = buffer.iter().position(|&byte| byte == b'\n');
        let taken = end.map_or(buffer.len(), |end| end + 1);
        line.extend_from_slice(&buffer[..taken.min(LONGEST_LINE - line.len())]);
        reader.consume(taken);
        bytes += taken as u64;
        if end.is_some() {
            return Ok(Some(bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, bytes: &[u8]) -> (Logs, Vec<String>) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        fs::write(&path, bytes).expect("a file");
        let mut logs = Logs::default();
        let mut notices = Notices::default();
        logs.read_file(&path, Path::new(name), &mut notices);
        (logs, notices.finish())
    }

    const NAME: &str = "logs/kube-system_metrics-server-1_metrics-server.log";

    #[test]
    fn lines_of_any_length_and_encoding() {
        let mut bytes = vec![b'x'; 5 << 20];
        bytes.extend_from_slice(b"\r\n2026-01-01T00:00:00Z second\n\xff\xff\n");
        let (logs, notices) = read(NAME, &bytes);
        let lines: Vec<&str> = logs.kept[0].texts().collect();
        assert_eq!((lines.len(), lines[1], notices), (3, "2026-01-01T00:00:00Z second", vec![]));
        assert_eq!(logs.newest_line, "2026-01-01T00:00:00Z".parse().ok());
        let utf16: Vec<u8> = "\u{feff}first\r\nsecond".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(read(NAME, &utf16).0.kept[0].texts().collect::<Vec<_>>(), ["first", "second"]);
        assert_eq!(read(NAME, b"").0.kept[0].lines().count(), 0);
    }

    #[test]
    fn logs_of_other_pods_are_not_kept() {
        let (logs, notices) =
            read("shop/web-1/logs.txt", b"==== START logs for container web of pod shop/web-1 ====\nx\n");
        assert_eq!((logs.kept.len(), notices), (0, vec![]));
        let sections = b"==== START logs for container a of pod shop/web-1 ====\nx\n==== END logs for container a of pod shop/web-1 ====\n==== START logs for container m of pod kube-system/metrics-server-1 ====\ny\n";
        let (logs, notices) = read("all.log", sections);
        assert_eq!((logs.kept.len(), logs.kept[0].texts().collect::<Vec<_>>(), notices), (1, vec!["y"], vec![]));
        assert_eq!(
            read("notes.log", b"x\n").1,
            [
                "notes.log: its name is not NAMESPACE_POD_CONTAINER.log; read only for what it says of metrics.k8s.io: nothing"
            ]
        );
    }

    const REFUSED: &str = "pods.metrics.k8s.io is forbidden: User \"system:serviceaccount:ci:deployer\" cannot list resource \"pods\" in API group \"metrics.k8s.io\" in the namespace \"shop\"";

    #[test]
    fn what_others_say_of_the_metrics_api_is_kept_with_its_file() {
        let bytes = format!("starting\n2026-01-01T00:00:00Z {REFUSED}\n2026-01-01T00:01:00Z {REFUSED}\n");
        let (logs, notices) = read("logs/ci_runner-1_job.log", bytes.as_bytes());
        let told: Vec<_> = logs.remarks.iter().map(|told| (told.file.as_str(), told.times)).collect();
        assert_eq!((told, logs.kept.len(), notices), (vec![("logs/ci_runner-1_job.log", 2)], 0, vec![]));
        assert_eq!(logs.remarks[0].mention.class(), Some(crate::wording::api_error::ErrorClass::Forbidden));
        // metrics-server's own lines are typed otherwise.
        assert_eq!(read(NAME, bytes.as_bytes()).0.remarks.len(), 0);
    }

    #[test]
    fn other_texts_are_read_for_it_and_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let read = |bytes: &[u8]| {
            let path = folder.path().join("output.txt");
            fs::write(&path, bytes).expect("a file");
            let mut logs = Logs::default();
            let mut notices = Notices::default();
            logs.read_text(&path, Path::new("output.txt"), &mut notices);
            (logs.remarks.len(), logs.kept.len(), notices.finish().concat())
        };
        let why = "output.txt: not part of the format of bundles (docs/bundle.md); read only for what it says of metrics.k8s.io: ";
        assert_eq!(read(b"$ kubectl top nodes\nerror: Metrics API not available\n"), (1, 0, format!("{why}1 line")));
        assert_eq!(read(b"a picture"), (0, 0, format!("{why}nothing")));
        assert_eq!(read(b"\x89PNG\0\0"), (0, 0, "output.txt: skipped, not a text".to_owned()));
    }
}
