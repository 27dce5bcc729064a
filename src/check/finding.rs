//! One thing that is wrong, with what shows it and what repairs it.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::Impact;
use crate::{
    catalogue::{Cause, Scope},
    snapshot::ObjectReference,
};

/// One piece of evidence: a line that names object and field, log, call or dial that it was read from, and what stood there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Evidence {
    /// Where it was read, and the text, so that a person can verify it by hand.
    pub line: String,
    /// When what it tells of happened, where that is known.
    pub at: Option<Timestamp>,
}

impl Evidence {
    /// Evidence of a moment.
    pub fn at(line: impl Into<String>, at: Option<Timestamp>) -> Self {
        Self { line: line.into(), at }
    }

    /// Whether the line holds this text.
    pub fn contains(&self, text: &str) -> bool {
        self.line.contains(text)
    }
}

impl<T: Into<String>> From<T> for Evidence {
    fn from(line: T) -> Self {
        Self { line: line.into(), at: None }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.line)
    }
}

impl Serialize for Evidence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.line)
    }
}

/// A blank of a remedy that a finding fills in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// The object's namespace.
    Namespace,
    /// The object's name.
    Name,
    /// `NAMESPACE:NAME` of metrics-server's `ServiceAccount`.
    Account,
    /// A pod.
    Pod,
    /// A container.
    Container,
    /// A port number.
    Port,
    /// A flag with its dashes.
    Flag,
    /// A key of a `ConfigMap`.
    Key,
    /// The position of an entry in a list, from 1.
    Entry,
    /// Names of nodes.
    Nodes,
    /// metrics-server's Deployment (or other workload), as kubectl names it: `deployment metrics-server`.
    Workload,
}

impl Slot {
    /// All slots.
    pub const ALL: [Self; 11] = [
        Self::Namespace,
        Self::Name,
        Self::Account,
        Self::Pod,
        Self::Container,
        Self::Port,
        Self::Flag,
        Self::Key,
        Self::Entry,
        Self::Nodes,
        Self::Workload,
    ];

    /// As it stands in a remedy while its value is not known.
    pub const fn placeholder(self) -> &'static str {
        match self {
            Self::Namespace => "NAMESPACE",
            Self::Name => "NAME",
            Self::Account => "NAMESPACE:ACCOUNT",
            Self::Pod => "POD",
            Self::Container => "CONTAINER",
            Self::Port => "PORT",
            Self::Flag => "--FLAG",
            Self::Key => "KEY",
            Self::Entry => "ENTRY",
            Self::Nodes => "NODE",
            Self::Workload => "WORKLOAD",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is blamed.
    pub cause: Cause,
    /// How much it hurts.
    pub impact: Impact,
    /// Whom it hurts.
    pub scope: Scope,
    /// The object to look at or to repair.
    pub object: ObjectReference,
    /// One sentence with the names and numbers of this case.
    pub summary: String,
    /// What was read.
    pub evidence: Vec<Evidence>,
    /// For a symptom: the causes that this evidence allows, where that is less than the catalogue's `may_be`.
    pub candidates: Vec<Cause>,
    /// Since when it is so, where that was seen.
    pub since: Option<Timestamp>,
    /// What fills the blanks of the remedy.
    pub slots: BTreeMap<Slot, String>,
    /// A repair that fits this case better than the catalogue's.
    pub advice: Option<String>,
}

impl Finding {
    /// A finding that takes metrics away from everybody.
    pub fn outage(cause: Cause, object: ObjectReference, summary: impl Into<String>) -> Self {
        Self {
            cause,
            impact: Impact::Outage,
            scope: cause.scope(),
            object,
            summary: summary.into(),
            evidence: Vec::new(),
            candidates: Vec::new(),
            since: None,
            slots: BTreeMap::new(),
            advice: None,
        }
    }

    /// A finding that takes metrics away from some.
    pub fn partial(cause: Cause, object: ObjectReference, summary: impl Into<String>) -> Self {
        Self { impact: Impact::Partial, ..Self::outage(cause, object, summary) }
    }

    /// A finding that hurts nobody yet.
    pub fn latent(cause: Cause, object: ObjectReference, summary: impl Into<String>) -> Self {
        Self { impact: Impact::Latent, ..Self::outage(cause, object, summary) }
    }

    /// Adds what was read.
    #[must_use]
    pub fn evidence(mut self, line: impl Into<Evidence>) -> Self {
        self.evidence.push(line.into());
        self
    }

    /// Narrows what may be behind a symptom.
    #[must_use]
    pub fn candidates(mut self, causes: impl IntoIterator<Item = Cause>) -> Self {
        self.candidates.extend(causes);
        self
    }

    /// Says since when it is so.
    #[must_use]
    pub fn since(mut self, since: Option<Timestamp>) -> Self {
        self.since = since;
        self
    }

    /// Fills a blank of the remedy.
    #[must_use]
    pub fn slot(mut self, slot: Slot, value: impl Into<String>) -> Self {
        self.slots.insert(slot, value.into());
        self
    }

    /// Replaces the catalogue's remedy by one for this case; placeholders in it are filled alike.
    #[must_use]
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// The same finding with another weight.
    #[must_use]
    pub fn weighing(self, impact: Impact) -> Self {
        Self { impact, ..self }
    }

    /// What repairs the cause, with what is known of this case filled in.
    pub fn remedy(&self) -> String {
        let template = self.advice.as_deref().unwrap_or(self.cause.entry().remedy);
        fill(template, |slot| self.value(slot))
    }

    fn value(&self, slot: Slot) -> Option<&str> {
        let given = self.slots.get(&slot).map(String::as_str);
        let own = match slot {
            Slot::Namespace => Some(self.object.namespace.as_str()),
            // The name of a cluster-scoped object fits no command with a namespace.
            Slot::Name if !self.object.namespace.is_empty() => Some(self.object.name.as_str()),
            Slot::Pod if self.object.kind == "Pod" => Some(self.object.name.as_str()),
            _ => None,
        };
        given.or(own).filter(|value| !value.is_empty())
    }
}

/// Replaces each placeholder that stands as a word of its own and whose value is known.
fn fill<'v>(template: &str, value: impl Fn(Slot) -> Option<&'v str>) -> String {
    let is_word = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.');
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    'template: while !rest.is_empty() {
        let before = text.chars().next_back();
        for slot in Slot::ALL {
            let placeholder = slot.placeholder();
            if let Some(behind) = rest.strip_prefix(placeholder)
                && before.is_none_or(|before| !is_word(before))
                && behind.chars().next().is_none_or(|next| {
                    // A full stop may end the sentence.
                    !is_word(next) && next != ':' || next == '.' && !behind[1..].starts_with(is_word)
                })
                && let Some(value) = value(slot)
            {
                text.push_str(value);
                rest = behind;
                continue 'template;
            }
        }
        let mut characters = rest.chars();
        text.extend(characters.next());
        rest = characters.as_str();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_the_remedy_name_the_object() {
        let object = ObjectReference::new("Service", "kube-system", "metrics-server");
        let finding = Finding::outage(Cause::TargetPortMismatch, object, "wrong");
        assert!(
            finding.remedy().ends_with("`kubectl edit service -n kube-system metrics-server`."),
            "{}",
            finding.remedy()
        );
        let unnamed = Finding::outage(Cause::TargetPortMismatch, ObjectReference::default(), "wrong");
        assert!(unnamed.remedy().ends_with("`kubectl edit service -n NAMESPACE NAME`."), "{}", unnamed.remedy());
    }

    #[test]
    fn blanks_are_whole_words_and_stay_where_nothing_is_known() {
        let filled = |template: &str| {
            fill(template, |slot| match slot {
                Slot::Namespace => Some("ns"),
                Slot::Name => Some("n"),
                Slot::Account => Some("ns:account"),
                _ => None,
            })
        };
        assert_eq!(filled("SERVICE.NAMESPACE.svc"), "SERVICE.NAMESPACE.svc");
        assert_eq!(filled("--serviceaccount=NAMESPACE:ACCOUNT`"), "--serviceaccount=ns:account`");
        assert_eq!(filled("-n NAMESPACE NAME."), "-n ns n.");
        assert_eq!(filled("NAME/NAMESPACE (NAME)"), "n/ns (n)");
        assert_eq!(filled("logs -n NAMESPACE POD"), "logs -n ns POD");
    }
}
