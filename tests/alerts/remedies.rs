//! The annotation `remedy` of the alerts of sections: what the catalogue says of each cause that their label may name.

use std::{fmt::Write as _, fs};

use metrics_server_doctor::{
    catalogue::{self, Entry},
    guide::Step,
};

use crate::rules;

const UPDATE: &str = "UPDATE_DOCS=1 cargo test --test alerts";
/// Where the generated lines begin, and what stands behind them.
const BEGIN: &str = "          remedy: >-\n            {{ if eq $labels.cause ";
const END: &str = "            {{- end }}\n          dashboard_url:";

/// The lines of a section's causes.
fn lines(causes: &[&Entry]) -> String {
    let mut text = "          remedy: >-\n".to_owned();
    for (number, entry) in causes.iter().enumerate() {
        let begin = if number == 0 { "{{ if" } else { "{{- else if" };
        assert!(!entry.remedy.contains('\n'), "{}: {}", entry.id, entry.remedy);
        let remedy = entry.remedy.replace("{{", r#"{{"{{"}}"#);
        // Writing into a text does not fail.
        let _ = writeln!(text, "            {begin} eq $labels.cause {:?} }}}}{remedy}", entry.id);
    }
    text + END
}

/// The file with its generated lines anew.
fn renewed(text: &str, causes: &[&Entry]) -> String {
    let mut parts = text.split(BEGIN);
    let mut whole = parts.next().unwrap_or_default().to_owned();
    let mut count = 0;
    for part in parts {
        let (_, rest) = part.split_once(END).expect("an end of the generated lines");
        whole.push_str(&lines(causes));
        whole.push_str(rest);
        count += 1;
    }
    assert_eq!(count, 2, "an alert of an outage and one of what hurts some");
    whole
}

#[test]
fn alerts_of_sections_tell_the_remedy_of_every_cause() {
    for step in Step::ALL.into_iter().filter(|step| *step != Step::KnownIssues) {
        let path = &rules::files()[step.id()];
        let text = fs::read_to_string(path).expect("a rule file");
        let causes: Vec<&Entry> = catalogue::all().iter().filter(|entry| entry.step == step).collect();
        let wanted = renewed(&text, &causes);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(path, &wanted).expect("a writable file");
            continue;
        }
        assert!(text == wanted, "{} is out of date: run `{UPDATE}` twice", path.display());
    }
}
