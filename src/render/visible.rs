//! What comes from a cluster, made safe to show: no byte of it moves a cursor, changes a colour or turns the direction of
//! a line.

use std::{borrow::Cow, fmt::Write as _};

/// Whether a character does something else than to be seen: control characters of both sets (the second holds one-byte
/// forms of escape sequences), line and paragraph separators, and those that change the direction of what follows or hide in it.
fn acts(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// One line of text with every character that acts written as `\u{1b}`, and line breaks and tabs as `\n` and `\t`.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if acts(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// JSON that says the same with every such character as an escape of JSON. They can only stand inside of its strings, but
/// for the line breaks between its lines.
pub fn visible_json(json: &str) -> Cow<'_, str> {
    let hides = |character: char| acts(character) && character != '\n';
    if !json.chars().any(hides) {
        return Cow::Borrowed(json);
    }
    let mut shown = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if hides(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing into a text does not fail.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A name that would clear a terminal, ring its bell, set its title and turn its text around.
    pub(crate) const HOSTILE: &str =
        "web\u{1b}[2J\u{1b}]0;owned\u{7}\r\n\u{9b}31m\u{202e}gpj\u{7f}<script>alert(1)</script>|`x`";

    #[test]
    fn what_acts_is_shown_instead() {
        assert_eq!(visible("plain ü ─▶"), "plain ü ─▶");
        let shown = visible(HOSTILE);
        assert!(shown.starts_with(r"web\u{1b}[2J\u{1b}]0;owned\u{7}\r\n\u{9b}31m\u{202e}gpj\u{7f}<"), "{shown}");
    }

    proptest! {
        #[test]
        fn nothing_that_acts_is_left(text in any::<String>()) {
            prop_assert!(!visible(&text).chars().any(acts));
        }

        #[test]
        fn json_says_the_same(text in any::<String>()) {
            let json = serde_json::to_string(&text).expect("JSON");
            let shown = visible_json(&json);
            prop_assert!(!shown.chars().any(acts));
            prop_assert_eq!(serde_json::from_str::<String>(&shown).expect("JSON"), text);
        }
    }
}
