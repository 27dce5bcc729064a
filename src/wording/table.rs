//! Tables of texts that are found in one pass, and the few cuts that all speakers need.

use std::{borrow::Cow, sync::OnceLock};

use aho_corasick::AhoCorasick;

/// Texts and what each of them means. Case of letters does not count; what stands first in the table wins.
pub(super) struct Table<T: 'static> {
    rows: &'static [(&'static str, T)],
    automaton: OnceLock<AhoCorasick>,
}

impl<T: Copy> Table<T> {
    /// A table; its automaton is built when it is asked first.
    pub(super) const fn new(rows: &'static [(&'static str, T)]) -> Self {
        Self { rows, automaton: OnceLock::new() }
    }

    fn automaton(&self) -> &AhoCorasick {
        self.automaton.get_or_init(|| {
            let built =
                AhoCorasick::builder().ascii_case_insensitive(true).build(self.rows.iter().map(|(text, _)| text));
            built.unwrap_or_else(|error| unreachable!("a table of a few short texts: {error}"))
        })
    }

    /// The meaning of the first row whose text is part of `text`.
    pub(super) fn first(&self, text: &str) -> Option<T> {
        let rows = self.automaton().find_overlapping_iter(text).map(|found| found.pattern().as_usize());
        Some(self.rows.get(rows.min()?)?.1)
    }

    /// Every row whose text is part of `text`: its place in the table, what it means and where the text starts.
    pub(super) fn all<'t>(&'t self, text: &'t str) -> impl Iterator<Item = (usize, T, usize)> + 't {
        self.automaton().find_overlapping_iter(text).filter_map(|found| {
            let row = found.pattern().as_usize();
            Some((row, self.rows.get(row)?.1, found.start()))
        })
    }
}

/// What stands between two marks, the first of each.
pub(super) fn between<'t>(text: &'t str, start: &str, end: &str) -> Option<&'t str> {
    let (_, behind) = text.split_once(start)?;
    behind.split_once(end).map(|(found, _)| found)
}

/// The text without the backslashes that logs and JSON put before quotes.
pub(super) fn unescaped(text: &str) -> Cow<'_, str> {
    if text.contains("\\\"") { Cow::Owned(text.replace("\\\\", "").replace("\\\"", "\"")) } else { Cow::Borrowed(text) }
}

/// A text short enough to quote as evidence.
pub fn quoted(text: &str) -> Cow<'_, str> {
    const LONGEST: usize = 400;
    if text.len() <= LONGEST {
        return Cow::Borrowed(text);
    }
    let mut end = LONGEST;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Cow::Owned(format!("{}…", &text[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_first_in_the_table_wins_wherever_it_stands_in_the_text() {
        static TABLE: Table<u8> = Table::new(&[("tunnel", 1), ("refused", 2), ("connection refused", 3)]);
        assert_eq!(TABLE.first("connection REFUSED by the tunnel"), Some(1));
        assert_eq!(TABLE.first("connection refused"), Some(2));
        assert_eq!(TABLE.all("connection refused").map(|(row, _, _)| row).collect::<Vec<_>>().len(), 2);
        assert_eq!(TABLE.first("refuse"), None);
    }

    #[test]
    fn quotes_in_quotes_are_read_at_any_depth() {
        assert_eq!(unescaped(r#"err="User \"x\"""#), r#"err="User "x"""#);
        assert_eq!(unescaped(r#"\\\"x\\\""#), r#""x""#);
        assert_eq!(unescaped("a\\b"), "a\\b");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(quoted("short"), "short");
        assert!(quoted(&"ü".repeat(300)).ends_with("ü…"));
    }
}
