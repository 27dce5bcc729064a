//! Logs of metrics-server's containers.

use std::collections::VecDeque;

use super::{Metadata, Named};

/// How many lines of one log are kept: the first and the last of them.
const KEPT_LINES: usize = 2_000;
/// How many bytes of one line are kept.
const KEPT_BYTES: usize = 4_096;

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
    pub head: Vec<String>,
    /// The last lines.
    pub tail: VecDeque<String>,
    /// How many lines were left out between the two.
    pub skipped: usize,
}

impl ContainerLog {
    /// An empty log.
    pub fn new(namespace: &str, pod: &str, container: &str) -> Self {
        Self { metadata: Metadata::new(namespace, pod), container: container.to_owned(), ..Self::default() }
    }

    /// Adds a line, within bounds.
    pub fn push(&mut self, line: &str) {
        let mut end = line.len().min(KEPT_BYTES);
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        let line = line[..end].to_owned();
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
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.head.iter().chain(&self.tail).map(String::as_str)
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
        assert_eq!(log.lines().next(), Some("0"));
        assert_eq!(log.lines().last(), Some("9999"));
        assert_eq!(log.lines().count(), KEPT_LINES);
        assert_eq!(log.skipped, 10_000 - KEPT_LINES);
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let mut log = ContainerLog::default();
        log.push(&"ü".repeat(KEPT_BYTES));
        assert!(log.lines().next().is_some_and(|line| line.len() <= KEPT_BYTES && line.ends_with('ü')));
    }
}
