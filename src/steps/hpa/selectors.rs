//! Autoscalers that select the same pods block each other: that is one fault of all of them.

use std::collections::BTreeSet;

use super::blind;
use crate::{
    catalogue::Cause,
    check::Finding,
    facts::autoscalers::{Autoscaler, Autoscalers, Blind},
    snapshot::{Named, ObjectReference},
};

/// One finding for each group of autoscalers that name each other.
pub(super) fn shared(autoscalers: &Autoscalers<'_>) -> Vec<Finding> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for (autoscaler, blind) in autoscalers.blind() {
        let Blind::SelectorShared { selector, autoscalers: names } = blind else { continue };
        let mut group = Group { names: names.iter().map(String::as_str).collect(), selector, blind: vec![autoscaler] };
        let (same, others): (Vec<Group<'_>>, Vec<Group<'_>>) =
            groups.into_iter().partition(|known| known.is_of(&group));
        for known in same {
            group.names.extend(known.names);
            group.blind.splice(0..0, known.blind);
        }
        groups = others;
        groups.push(group);
    }
    groups.iter().filter_map(Group::finding).collect()
}

struct Group<'a> {
    names: BTreeSet<&'a str>,
    selector: &'a str,
    blind: Vec<&'a Autoscaler<'a>>,
}

impl Group<'_> {
    fn is_of(&self, other: &Self) -> bool {
        !self.names.is_disjoint(&other.names)
    }

    fn finding(&self) -> Option<Finding> {
        let first = self.blind.first()?;
        let object = ObjectReference::new("HorizontalPodAutoscaler", first.object.namespace(), first.object.name());
        let names: Vec<&str> = self.names.iter().copied().collect();
        let subject = match names.as_slice() {
            [only] => format!("HorizontalPodAutoscaler {only} and another"),
            _ => format!("HorizontalPodAutoscalers {}", names.join(" and ")),
        };
        let selector = if self.selector.is_empty() { String::new() } else { format!(" ({})", self.selector) };
        let summary = format!("{subject} select the same pods{selector}, so none of them scales.");
        let finding = Finding::partial(Cause::Selector, object, summary);
        let finding = finding.since(self.blind.iter().filter_map(|blind| blind.condition?.last_transition_time).min());
        Some(self.blind.iter().filter_map(|autoscaler| blind::told(autoscaler)).fold(finding, Finding::evidence))
    }
}
