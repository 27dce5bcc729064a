//! Autoscalers that select the same pods block each other: that is one fault of all of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::blind;
use crate::{
    catalogue::Cause,
    check::Finding,
    facts::autoscalers::{Autoscaler, Autoscalers, Blind},
    snapshot::{Named, ObjectReference},
};

/// One finding for each group of autoscalers that name each other.
pub(super) fn shared(autoscalers: &Autoscalers<'_>) -> Vec<Finding> {
    let mut groups: BTreeMap<usize, Group<'_>> = BTreeMap::new();
    let mut group_of: HashMap<&str, usize> = HashMap::new();
    for (number, (autoscaler, blind)) in autoscalers.blind().enumerate() {
        let Blind::SelectorShared { selector, autoscalers: names } = blind else { continue };
        let mut group = Group { names: names.iter().map(String::as_str).collect(), selector, blind: Vec::new() };
        let same: BTreeSet<usize> = group.names.iter().filter_map(|name| group_of.get(name).copied()).collect();
        for known in same.into_iter().filter_map(|known| groups.remove(&known)) {
            group.names.extend(known.names);
            group.blind.extend(known.blind);
        }
        group.blind.push(autoscaler);
        group_of.extend(group.names.iter().map(|name| (*name, number)));
        groups.insert(number, group);
    }
    groups.values().filter_map(Group::finding).collect()
}

struct Group<'a> {
    names: BTreeSet<&'a str>,
    selector: &'a str,
    blind: Vec<&'a Autoscaler<'a>>,
}

impl Group<'_> {
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
