//! A sheet of text for a terminal: every line is made visible, wrapped and coloured in one place.

use anstyle::{AnsiColor, Style};
use textwrap::{Options, WordSplitter, WrapAlgorithm};

use crate::render::visible::visible;

/// The narrowest width that is wrapped to; below it words alone would break.
const NARROWEST: usize = 40;

/// What the place can show to which a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terminal {
    /// Columns; `None` where lines are not wrapped.
    pub width: Option<usize>,
    /// Whether colours are shown.
    pub colour: bool,
    /// Whether it shows ASCII alone.
    pub ascii: bool,
}

/// What a line is, which decides on its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Heading,
    Good,
    Bad,
    Doubt,
    Faint,
    Command,
}

impl Tone {
    fn style(self) -> Style {
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        match self {
            Self::Plain => Style::new(),
            Self::Heading => Style::new().bold(),
            Self::Good => colour(AnsiColor::Green).bold(),
            Self::Bad => colour(AnsiColor::Red).bold(),
            Self::Doubt => colour(AnsiColor::Yellow).bold(),
            Self::Faint => Style::new().dimmed(),
            Self::Command => colour(AnsiColor::Cyan),
        }
    }
}

/// Lines that have been written.
#[derive(Debug)]
pub(super) struct Sheet {
    terminal: Terminal,
    text: String,
}

impl Sheet {
    pub(super) fn new(terminal: Terminal) -> Self {
        Self { terminal, text: String::new() }
    }

    pub(super) fn blank(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// A paragraph; what is wrapped stands two columns deeper.
    pub(super) fn line(&mut self, tone: Tone, indent: usize, text: &str) {
        let text = self.shown(text);
        let Some(width) = self.terminal.width else { return self.put(tone, indent, &text) };
        let (first, rest) = (" ".repeat(indent), " ".repeat(indent + 2));
        let options = Options::new(width.max(NARROWEST))
            .initial_indent(&first)
            .subsequent_indent(&rest)
            .wrap_algorithm(WrapAlgorithm::FirstFit)
            .word_splitter(WordSplitter::NoHyphenation)
            .break_words(false);
        for line in textwrap::wrap(&text, options) {
            let indent = line.len() - line.trim_start().len();
            self.put(tone, indent, line.trim_start());
        }
    }

    /// A line that is pasted as it stands: never wrapped.
    pub(super) fn command(&mut self, indent: usize, command: &str) {
        let command = self.shown(command);
        self.put(Tone::Command, indent, &command);
    }

    /// Pieces that stay whole, on as few lines as they need, each in its own tone.
    pub(super) fn pieces(&mut self, indent: usize, pieces: &[(Tone, String)]) {
        let width = self.terminal.width.map_or(usize::MAX, |width| width.max(NARROWEST));
        let (mut used, mut line) = (indent, " ".repeat(indent));
        for (tone, piece) in pieces {
            let piece = self.shown(piece);
            let long = textwrap::core::display_width(&piece);
            if used > indent && used + 1 + long > width {
                self.text.push_str(line.trim_end());
                self.text.push('\n');
                (used, line) = (indent + 2, " ".repeat(indent + 2));
            } else if used > indent {
                line.push(' ');
                used += 1;
            }
            line.push_str(&self.coloured(*tone, &piece));
            used += long;
        }
        self.text.push_str(&line);
        self.text.push('\n');
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    fn put(&mut self, tone: Tone, indent: usize, text: &str) {
        let line = format!("{}{}\n", " ".repeat(indent), self.coloured(tone, text));
        self.text.push_str(&line);
    }

    fn coloured(&self, tone: Tone, text: &str) -> String {
        if !self.terminal.colour || tone == Tone::Plain {
            return text.to_owned();
        }
        let style = tone.style();
        format!("{style}{text}{style:#}")
    }

    fn shown(&self, text: &str) -> String {
        let text = visible(text);
        if !self.terminal.ascii || text.is_ascii() {
            return text.into_owned();
        }
        let mut shown = String::with_capacity(text.len());
        for character in text.chars() {
            match character {
                '─' => shown.push('-'),
                '▶' => shown.push('>'),
                '✗' => shown.push('X'),
                '…' => shown.push_str("..."),
                '“' | '”' => shown.push('"'),
                '‘' | '’' => shown.push('\''),
                other if other.is_ascii() => shown.push(other),
                other => shown.extend(other.escape_default()),
            }
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::visible::tests::HOSTILE;

    fn sheet(terminal: Terminal, write: impl FnOnce(&mut Sheet)) -> String {
        let mut sheet = Sheet::new(terminal);
        write(&mut sheet);
        sheet.finish()
    }

    #[test]
    fn lines_keep_within_the_width_and_words_stay_whole() {
        let words = "one two three four five six seven eight nine ten eleven twelve thirteen";
        let text = sheet(Terminal { width: Some(40), ..Terminal::default() }, |sheet| {
            sheet.line(Tone::Plain, 2, words);
        });
        assert!(text.lines().count() > 1 && text.lines().all(|line| line.len() <= 40), "{text}");
        assert_eq!(text.split_whitespace().collect::<Vec<_>>().join(" "), words);
        assert!(text.lines().skip(1).all(|line| line.starts_with("    ")), "{text}");
        let long = format!("kubectl get pods {}", "x".repeat(80));
        let text = sheet(Terminal { width: Some(40), ..Terminal::default() }, |sheet| sheet.command(4, &long));
        assert_eq!(text, format!("    {long}\n"));
    }

    #[test]
    fn pieces_break_between_each_other() {
        let pieces = ["API server", "─▶ APIService", "✗ Service :443", "─▶ pod :10250"];
        let pieces = pieces.map(|piece| (Tone::Plain, piece.to_owned()));
        let text = sheet(Terminal { width: Some(40), ..Terminal::default() }, |sheet| sheet.pieces(2, &pieces));
        assert_eq!(text, "  API server ─▶ APIService\n    ✗ Service :443 ─▶ pod :10250\n");
        let text = sheet(Terminal { ascii: true, ..Terminal::default() }, |sheet| sheet.pieces(0, &pieces));
        assert_eq!(text, "API server -> APIService X Service :443 -> pod :10250\n");
    }

    #[test]
    fn only_own_escape_sequences_are_written_and_only_where_colours_are() {
        for (colour, ascii) in [(false, false), (false, true), (true, false)] {
            let text = sheet(Terminal { colour, ascii, width: Some(60) }, |sheet| {
                sheet.line(Tone::Bad, 0, HOSTILE);
                sheet.command(0, HOSTILE);
                sheet.pieces(0, &[(Tone::Good, HOSTILE.to_owned())]);
            });
            let own = if colour { text.matches("\u{1b}[").count() } else { 0 };
            assert_eq!(text.matches('\u{1b}').count(), own, "{text:?}");
            assert!(!text.contains("\u{1b}[2J") && !text.contains(['\u{7}', '\r', '\u{9b}', '\u{202e}']), "{text:?}");
            assert!(!ascii || text.is_ascii(), "{text:?}");
        }
    }
}
