//! Lines about the metrics API in files that are not metrics-server's logs, within bounds.

use std::collections::VecDeque;

use jiff::Timestamp;

use crate::{snapshot::Remark, wording::mentions::Mention};

/// How many different remarks of one file are kept, the last of them.
const OF_ONE_FILE: usize = 100;
/// How many are kept of all files, the newest of them.
const OF_ALL_FILES: usize = 200;
/// How many bytes of a line are kept.
const LONGEST_TEXT: usize = 2_048;

/// The remarks of one file.
#[derive(Debug, Default)]
pub(super) struct Remarks {
    kept: VecDeque<Remark>,
    lines: usize,
}

impl Remarks {
    /// Reads a line, and keeps it where it speaks of the metrics API.
    pub(super) fn read(&mut self, file: &str, text: &str) {
        let Some(mention) = Mention::of(text) else { return };
        self.lines += 1;
        let known = self.kept.iter().position(|known| known.mention.said == mention.said);
        let times = known.and_then(|known| self.kept.remove(known)).map_or(0, |known| known.times) + 1;
        if self.kept.len() == OF_ONE_FILE {
            self.kept.pop_front();
        }
        let mut end = text.len().min(LONGEST_TEXT);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.kept.push_back(Remark { file: file.to_owned(), text: text[..end].to_owned(), mention, times });
    }

    /// How many lines of the file speak of the metrics API.
    pub(super) fn lines(&self) -> usize {
        self.lines
    }

    /// What is kept, oldest first.
    pub(super) fn into_kept(self) -> impl Iterator<Item = Remark> {
        self.kept.into_iter()
    }
}

/// The newest of all remarks, oldest first; those without a moment count as new.
pub(super) fn newest(mut remarks: Vec<Remark>, now: Timestamp) -> Vec<Remark> {
    remarks.sort_by_key(|remark| remark.mention.written.and_then(|written| written.at(now)).unwrap_or(now));
    let surplus = remarks.len().saturating_sub(OF_ALL_FILES);
    remarks.drain(..surplus);
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(minute: usize, address: usize) -> String {
        format!(
            "E0101 10:{minute:02}:00.000000       1 available_controller.go:524] v1beta1.metrics.k8s.io failed with: failing or missing response from https://10.0.0.{address}:10250/apis/metrics.k8s.io/v1beta1: EOF"
        )
    }

    #[test]
    fn lines_that_say_the_same_are_counted_and_the_last_is_kept() {
        let mut remarks = Remarks::default();
        for (minute, address) in [(1, 1), (2, 2), (3, 1)] {
            remarks.read("kube-apiserver.log", &line(minute, address));
        }
        remarks.read("kube-apiserver.log", "something else");
        assert_eq!(remarks.lines(), 3);
        let kept: Vec<Remark> = remarks.into_kept().collect();
        assert_eq!(kept.iter().map(|remark| remark.times).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(kept[1].text, line(3, 1));
    }

    #[test]
    fn no_file_fills_the_memory_and_the_newest_stay() {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().expect("a moment");
        let mut all = Vec::new();
        for file in ["a", "b", "c"] {
            let mut remarks = Remarks::default();
            (0..250).for_each(|address| remarks.read(file, &line(address % 60, address)));
            all.extend(remarks.into_kept());
        }
        assert_eq!(all.len(), 3 * OF_ONE_FILE);
        all.extend({
            let mut undated = Remarks::default();
            undated.read("ci.txt", "error: Metrics API not available");
            undated.into_kept()
        });
        let newest = newest(all, now);
        assert_eq!(newest.len(), OF_ALL_FILES);
        assert_eq!(newest.last().map(|remark| remark.file.as_str()), Some("ci.txt"));
        assert!(newest[0].text < newest[100].text);
    }
}
