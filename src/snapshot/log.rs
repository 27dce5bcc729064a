//! Logs of metrics-server's containers.

use std::collections::VecDeque;

use super::{Metadata, Named};
use crate::wording::metrics_server_log::LogLine;

/// How many lines of one log are kept: the first and the last of them.
const KEPT_LINES: usize = 2_000;
/// How many bytes of one line are kept.
const KEPT_BYTES: usize = 4_096;

/// One line, read when it arrived.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// What was written, for evidence.
    pub text: String,
    /// What it says.
    pub read: LogLine,
}

/// The log of one container, bounded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerLog {
    /// Namespace and name of the pod.
    pub metadata: Metadata,
    /// The container; empty where the file's name does not tell.
    pub container: String,
    /// Whether it is the log of the container before its last restart.
    pub previous: bool,
    /// The first lines: metrics-server tells there where it listens.
    pub head: Vec<Line>,
    /// The last lines.
    pub tail: VecDeque<Line>,
    /// How many lines were left out between the two.
    pub skipped: usize,
}

impl ContainerLog {
    /// An empty log.
    pub fn new(namespace: &str, pod: &str, container: &str) -> Self {
        Self { metadata: Metadata::new(namespace, pod), container: container.to_owned(), ..Self::default() }
    }

    /// Reads a line and adds it, within bounds.
    pub fn push(&mut self, text: &str) {
        self.add(text, LogLine::of(text));
    }

    /// Adds a line that was read already, within bounds. A line of a whole round of scrapes may be longer than what is
    /// kept of its text.
    pub fn add(&mut self, text: &str, read: LogLine) {
        let mut end = text.len().min(KEPT_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let line = Line { text: text[..end].to_owned(), read };
        if self.head.len() < KEPT_LINES / 2 {
            self.head.push(line);
            return;
        }
        if self.tail.len() == KEPT_LINES / 2 {
            self.tail.pop_front();
            self.skipped += 1;
        }
        self.tail.push_back(line);
    }

    /// All lines that are kept, oldest first.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = &Line> {
        self.head.iter().chain(&self.tail)
    }

    /// The texts of all lines that are kept, oldest first.
    pub fn texts(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.lines().map(|line| line.text.as_str())
    }
}

impl Named for ContainerLog {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Of containers that have ended one log a pod is kept: metrics-server's.
    fn discriminator(&self) -> &str {
        if self.previous { "previous" } else { &self.container }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_keeps_its_first_and_last_lines() {
        let mut log = ContainerLog::new("kube-system", "metrics-server-0", "metrics-server");
        for number in 0..10_000 {
            log.push(&number.to_string());
        }
        assert_eq!(log.texts().next(), Some("0"));
        assert_eq!(log.texts().next_back(), Some("9999"));
        assert_eq!(log.lines().count(), KEPT_LINES);
        assert_eq!(log.skipped, 10_000 - KEPT_LINES);
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let mut log = ContainerLog::default();
        log.push(&"ü".repeat(KEPT_BYTES));
        assert!(log.texts().next().is_some_and(|line| line.len() <= KEPT_BYTES && line.ends_with('ü')));
    }

    #[test]
    fn a_line_is_read_to_its_end_though_only_its_start_is_kept() {
        let mut log = ContainerLog::default();
        log.push(&format!("{} Serving securely on [::]:4443", "x".repeat(KEPT_BYTES)));
        assert_eq!(log.lines().next().and_then(|line| line.read.serving_port()), Some(4443));
    }
}
