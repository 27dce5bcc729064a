//! Logs of a bundle, line by line and within bounds: one may be larger than memory, and a dump holds those of every pod.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, BufRead, BufReader, Cursor},
    path::Path,
};

use jiff::Timestamp;

use super::{LARGEST_FILE, notices::Notices, texts};
use crate::{
    facts::{chain::Chain, metrics_server},
    snapshot::{ContainerLog, Named, Snapshot},
};

/// How many bytes of a line are read; the rest of it is passed over.
const LONGEST_LINE: usize = 16 << 10;

/// The logs that are worth keeping: those of the pods that serve the metrics API, or may be metrics-server.
#[derive(Default)]
pub(super) struct Logs {
    pods: BTreeSet<(String, String)>,
    /// What was read.
    pub(super) kept: Vec<ContainerLog>,
    /// The newest stamp that kubectl put before a line.
    pub(super) newest_line: Option<Timestamp>,
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

    /// Reads one file.
    pub(super) fn read_file(&mut self, path: &Path, name: &Path, notices: &mut Notices) {
        let shown = name.display();
        let mut log = texts::log_of(name);
        if log.as_ref().is_some_and(|log| !self.wants(log)) {
            return;
        }
        let mut reader = match open(path) {
            Ok(reader) => reader,
            Err(error) => return notices.push(format!("{shown}: skipped, {error}")),
        };
        let mut told = log.is_some();
        let mut line = Vec::new();
        loop {
            match read_line(reader.as_mut(), &mut line) {
                Ok(true) => {}
                Ok(false) => break,
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
            }
        }
        if !told {
            notices.push(format!("{shown}: skipped, its name is not NAMESPACE_POD_CONTAINER.log"));
        }
        self.kept.extend(log);
    }
}

fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let mut reader = BufReader::new(fs::File::open(path)?);
    let start = reader.fill_buf()?;
    if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
        if fs::metadata(path)?.len() > LARGEST_FILE {
            return Err(io::Error::other("larger than a text in UTF-16 may be"));
        }
        return Ok(Box::new(Cursor::new(texts::decode(fs::read(path)?))));
    }
    if start.starts_with(b"\xef\xbb\xbf") {
        reader.consume(3);
    }
    Ok(Box::new(reader))
}

/// Reads up to the end of the line, of which only the start is kept; `false` at the end of the file.
fn read_line(reader: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let mut any = false;
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = buffer.iter().position(|&byte| byte == b'\n');
        let taken = end.map_or(buffer.len(), |end| end + 1);
        line.extend_from_slice(&buffer[..taken.min(LONGEST_LINE - line.len())]);
        reader.consume(taken);
        if end.is_some() {
            return Ok(true);
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
        assert_eq!(read("notes.log", b"x\n").1.len(), 1);
    }
}
