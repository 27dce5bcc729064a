//! What the terminal of whoever asks can show.

use std::io::{self, IsTerminal};

use anstream::{AutoStream, ColorChoice};

use crate::{args::Color, render::text::Terminal};

/// What standard output is: on a pipe nothing is wrapped, and nothing coloured unless it is asked for.
pub(super) fn of_stdout(when: Color) -> Terminal {
    let stdout = io::stdout();
    let width = stdout.is_terminal().then(|| terminal_size::terminal_size_of(&stdout)).flatten();
    let colour = match when {
        Color::Always => true,
        Color::Never => false,
        // It knows NO_COLOR, CLICOLOR and TERM=dumb.
        Color::Auto => AutoStream::choice(&stdout) != ColorChoice::Never,
    };
    Terminal {
        width: width.map(|(terminal_size::Width(columns), _)| usize::from(columns)),
        colour,
        ascii: !is_utf8(|name| std::env::var(name).ok()),
    }
}

/// Whether the locale has UTF-8, by the order in which `setlocale(3)` asks.
fn is_utf8(variable: impl Fn(&str) -> Option<String>) -> bool {
    let set =
        ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| variable(name).filter(|value| !value.is_empty()));
    set.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_locale_that_is_set_decides() {
        let is = |set: &[(&str, &str)]| {
            is_utf8(|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
        };
        assert!(is(&[("LANG", "en_US.UTF-8")]) && is(&[("LC_ALL", ""), ("LANG", "C.utf8")]));
        assert!(!is(&[]) && !is(&[("LANG", "C")]) && !is(&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")]));
    }
}
