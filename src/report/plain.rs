//! Texts of other programs and of whoever may create objects, made fit for terminals, pages and chats: no control
//! characters, no marks that turn the direction of writing, no credentials, and no length without bound.

use std::collections::BTreeMap;

use crate::{
    check::{Answer, Evidence, Finding},
    snapshot::NotSeen,
    wording::secrets::masked,
};

/// Characters of one text that are kept: a name has at most 253, a quoted message 400.
const LONGEST: usize = 4_000;

/// Makes all texts of an answer fit.
pub(super) fn answer(answer: &mut Answer) {
    text(&mut answer.summary);
    answer.evidence.iter_mut().chain(&mut answer.witness).for_each(evidence);
    answer.findings.iter_mut().for_each(finding);
    answer.settle.iter_mut().for_each(text);
    if let Some(NotSeen::Unreachable(why) | NotSeen::Damaged(why) | NotSeen::TooEarly(why) | NotSeen::Unclear(why)) =
        &mut answer.not_seen
    {
        text(why);
    }
}

fn finding(finding: &mut Finding) {
    let Finding { object, summary, evidence: lines, slots, advice, .. } = finding;
    for part in [&mut object.namespace, &mut object.name, summary] {
        text(part);
    }
    lines.iter_mut().for_each(evidence);
    BTreeMap::values_mut(slots).chain(advice).for_each(text);
}

fn evidence(evidence: &mut Evidence) {
    text(&mut evidence.line);
}

/// Makes one text fit.
pub(super) fn text(text: &mut String) {
    if text.chars().any(is_unfit) {
        *text = text.chars().flat_map(fit).collect();
    }
    if let Some(masked) = masked(text) {
        *text = masked;
    }
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push('…');
    }
}

/// Control characters (C0, DEL, C1), line and paragraph separators, and marks of direction (Unicode UAX #9).
fn is_unfit(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn fit(character: char) -> Vec<char> {
    match character {
        '\n' | '\r' | '\t' => vec![' '],
        _ if is_unfit(character) => character.escape_unicode().collect(),
        _ => vec![character],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fit_for_all(given: &str) -> String {
        let mut given = given.to_owned();
        text(&mut given);
        given
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown_instead() {
        for (given, shown) in [
            ("Pod shop/web is Pending", "Pod shop/web is Pending"),
            ("a\u{1b}[2Jb\u{7}", "a\\u{1b}[2Jb\\u{7}"),
            ("a\nVERDICT: healthy", "a VERDICT: healthy"),
            ("a\u{202e}b\u{9b}c", "a\\u{202e}b\\u{9b}c"),
            ("größer als 1", "größer als 1"),
        ] {
            assert_eq!(fit_for_all(given), shown);
        }
        assert_eq!(fit_for_all(&"x".repeat(1_000_000)).chars().count(), LONGEST + 1);
    }

    proptest! {
        #[test]
        fn no_text_panics_and_all_texts_become_fit(given in "\\PC*|.*") {
            let shown = fit_for_all(&given);
            prop_assert!(!shown.chars().any(is_unfit));
            prop_assert_eq!(fit_for_all(&shown), shown);
        }
    }
}
