//! What one watch has shown so far. Pure: time is given.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{heard::WatchEvent, kinds::Object, request::WatchRequest, trouble::Trouble, watched::Unreadable};
use crate::{health::WatchState, snapshot::NotSeen};

type Key = (String, String);

/// What one watch has shown so far.
#[derive(Debug)]
pub(super) struct Entry {
    request: WatchRequest,
    objects: BTreeMap<Key, (u64, Object)>,
    unreadable: BTreeMap<Key, (u64, String)>,
    /// The list in which there were more objects than are kept.
    overflowed_in: Option<u64>,
    /// Counts lists: objects of an older list than the complete one are swept, so that a new list needs no second copy.
    generation: u64,
    complete: bool,
    trouble: Option<(&'static str, Trouble)>,
    pub(super) last_success: Option<Instant>,
    failing_since: Option<Instant>,
    pub(super) errors: u64,
}

impl Entry {
    pub(super) fn new(request: WatchRequest) -> Self {
        Self {
            request,
            objects: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            overflowed_in: None,
            generation: 0,
            complete: false,
            trouble: None,
            last_success: None,
            failing_since: None,
            errors: 0,
        }
    }

    pub(super) fn apply(&mut self, event: WatchEvent, now: Instant) {
        match event {
            WatchEvent::Relisting => self.generation += 1,
            WatchEvent::Listed(object) => self.upsert(object),
            WatchEvent::Complete => {
                let generation = self.generation;
                self.objects.retain(|_, (seen_in, _)| *seen_in == generation);
                self.unreadable.retain(|_, (seen_in, _)| *seen_in == generation);
                self.overflowed_in = self.overflowed_in.filter(|seen_in| *seen_in == generation);
                self.complete = true;
                self.succeed(now);
            }
            WatchEvent::Applied(object) => {
                self.upsert(object);
                self.succeed(now);
            }
            WatchEvent::Deleted { namespace, name } => {
                let key = (namespace, name);
                self.objects.remove(&key);
                self.unreadable.remove(&key);
                self.succeed(now);
            }
            WatchEvent::Answered if self.complete => self.succeed(now),
            WatchEvent::Answered => {}
            WatchEvent::Failed { verb, trouble } => {
                self.errors += 1;
                self.failing_since.get_or_insert(now);
                if trouble == Trouble::NotFound {
                    // Taken away at runtime: nothing of it is left.
                    self.objects.clear();
                    self.complete = false;
                }
                self.trouble = Some((verb, trouble));
            }
        }
    }

    fn succeed(&mut self, now: Instant) {
        self.trouble = None;
        self.failing_since = None;
        self.last_success = Some(now);
    }

    fn upsert(&mut self, object: Result<Object, Box<Unreadable>>) {
        match object {
            Ok(object) => {
                let metadata = object.metadata();
                let key = (metadata.namespace.clone(), metadata.name.clone());
                self.unreadable.remove(&key);
                if self.objects.len() >= self.request.kind.most_objects() && !self.objects.contains_key(&key) {
                    self.overflowed_in = Some(self.generation);
                    return;
                }
                self.objects.insert(key, (self.generation, object));
            }
            Err(unreadable) => {
                let Unreadable { metadata, reason } = *unreadable;
                let key = (metadata.namespace, metadata.name);
                self.objects.remove(&key);
                self.unreadable.insert(key, (self.generation, reason));
            }
        }
    }

    /// Since when nothing but failures has come; `None` while it works, and where it is refused or not served: that is an
    /// answer too.
    pub(super) fn unanswered_since(&self) -> Option<Instant> {
        match &self.trouble {
            Some((_, Trouble::Forbidden | Trouble::NotFound)) | None => None,
            Some(_) => self.failing_since,
        }
    }

    fn is_stale(&self, now: Instant, stale_after: Duration) -> bool {
        self.last_success.is_none_or(|last| now.saturating_duration_since(last) > stale_after)
    }

    /// How the watch is doing.
    pub(super) fn state(&self, now: Instant, stale_after: Duration) -> WatchState {
        match &self.trouble {
            Some((_, Trouble::Forbidden)) => WatchState::Forbidden,
            Some((_, Trouble::NotFound)) => WatchState::Absent,
            _ if !self.complete => WatchState::Starting,
            _ if self.is_stale(now, stale_after) => WatchState::Stale,
            _ => WatchState::Synced,
        }
    }

    /// Why something in the watch's scope may not have been seen.
    pub(super) fn gap(&self, now: Instant, stale_after: Duration) -> Option<NotSeen> {
        match self.state(now, stale_after) {
            WatchState::Forbidden => {
                let verb = self.trouble.as_ref().map_or("list", |(verb, _)| *verb);
                Some(NotSeen::Forbidden { verb, resource: self.request.kind.resource() })
            }
            WatchState::Absent if self.request.kind.may_be_missing() => None,
            WatchState::Starting if self.trouble.is_none() => Some(NotSeen::NotSynced),
            WatchState::Absent | WatchState::Starting | WatchState::Stale => {
                Some(NotSeen::Unreachable(self.trouble_text().unwrap_or_else(|| "the watch gives no sign".to_owned())))
            }
            WatchState::Synced if self.overflowed_in.is_some() => Some(NotSeen::Unclear(format!(
                "there are more {} than the {} that are kept",
                self.request.kind.resource(),
                self.request.kind.most_objects()
            ))),
            WatchState::Synced => self.unreadable_text().map(NotSeen::Unreachable),
        }
    }

    /// The same without regard to what went wrong after the first complete list: for planning, so that a watch that is
    /// interrupted does not take those away that follow from it.
    pub(super) fn remembered_gap(&self, now: Instant) -> Option<NotSeen> {
        if self.complete { None } else { self.gap(now, Duration::MAX) }
    }

    /// The objects, where they may be relied on.
    pub(super) fn objects(&self, now: Instant, stale_after: Duration) -> impl Iterator<Item = &Object> {
        let reliable = self.state(now, stale_after) == WatchState::Synced;
        self.remembered_objects().filter(move |_| reliable)
    }

    /// The objects as they were when the watch last delivered.
    pub(super) fn remembered_objects(&self) -> impl Iterator<Item = &Object> {
        let complete = self.complete;
        self.objects.values().map(|(_, object)| object).filter(move |_| complete)
    }

    /// How many objects are kept.
    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    /// What went wrong, in one line.
    pub(super) fn trouble_text(&self) -> Option<String> {
        let (verb, trouble) = self.trouble.as_ref()?;
        let kind = self.request.kind;
        Some(match trouble {
            Trouble::Forbidden => format!("not permitted to {verb} {}", kind.resource()),
            Trouble::NotFound => format!("the API server does not serve {} of {}", kind.resource(), kind.group()),
            Trouble::Gone => "the list must be read again".to_owned(),
            Trouble::Unreachable(text) => text.clone(),
        })
    }

    /// Which objects could not be read, in one line.
    pub(super) fn unreadable_text(&self) -> Option<String> {
        let ((namespace, name), (_, reason)) = self.unreadable.first_key_value()?;
        let others = self.unreadable.len() - 1;
        let others = if others == 0 { String::new() } else { format!(" (and {others} more)") };
        let slash = if namespace.is_empty() { "" } else { "/" };
        Some(format!("{} {namespace}{slash}{name} cannot be read: {reason}{others}", self.request.kind))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        observe::cluster::kinds::WatchKind,
        snapshot::{Metadata, Node},
    };

    const STALE: Duration = Duration::from_secs(150);

    fn listed(name: &str) -> WatchEvent {
        let node = Node { metadata: Metadata::new("", name), ..Node::default() };
        WatchEvent::Listed(Ok(Object::Node(Arc::new(node))))
    }

    fn entry(kind: WatchKind, events: Vec<WatchEvent>, now: Instant) -> Entry {
        let mut entry = Entry::new(WatchRequest::everywhere(kind));
        for event in events {
            entry.apply(event, now);
        }
        entry
    }

    fn failed(trouble: Trouble) -> WatchEvent {
        WatchEvent::Failed { verb: "list", trouble }
    }

    fn synced() -> Vec<WatchEvent> {
        vec![WatchEvent::Relisting, listed("a"), listed("b"), WatchEvent::Complete]
    }

    #[test]
    fn a_first_list_counts_only_when_it_is_complete() {
        let now = Instant::now();
        let entry = entry(WatchKind::Node, synced()[..3].to_vec(), now);
        assert_eq!(entry.gap(now, STALE), Some(NotSeen::NotSynced));
        assert_eq!(entry.objects(now, STALE).count(), 0);
    }

    #[test]
    fn a_later_list_replaces_objects_in_place_and_sweeps_the_rest_at_its_end() {
        let now = Instant::now();
        let mut entry = entry(WatchKind::Node, synced(), now);
        entry.apply(WatchEvent::Relisting, now);
        entry.apply(listed("b"), now);
        assert_eq!(entry.objects(now, STALE).count(), 2, "the old list holds until the new one is complete");
        entry.apply(WatchEvent::Complete, now);
        assert_eq!(entry.objects(now, STALE).count(), 1);
    }

    #[test]
    fn troubles_become_gaps_and_states() {
        let now = Instant::now();
        let lost = || Trouble::Unreachable("connection refused".to_owned());
        let unreachable = |text: &str| Some(NotSeen::Unreachable(text.to_owned()));
        let forbidden = Some(NotSeen::Forbidden { verb: "list", resource: "nodes" });
        let after = |event| [synced(), vec![event]].concat();
        let later = now + STALE + Duration::from_secs(1);
        for (case, events, at, state, gap) in [
            ("no answer yet", vec![failed(lost())], now, WatchState::Starting, unreachable("connection refused")),
            ("refused", vec![failed(Trouble::Forbidden)], now, WatchState::Forbidden, forbidden.clone()),
            ("refused later", after(failed(Trouble::Forbidden)), now, WatchState::Forbidden, forbidden),
            ("failed a moment ago", after(failed(lost())), now, WatchState::Synced, None),
            ("failed long ago", after(failed(lost())), later, WatchState::Stale, unreachable("connection refused")),
            ("silent for long", synced(), later, WatchState::Stale, unreachable("the watch gives no sign")),
            (
                "going on again",
                [after(failed(lost())), vec![WatchEvent::Answered]].concat(),
                now,
                WatchState::Synced,
                None,
            ),
        ] {
            let entry = entry(WatchKind::Node, events, now);
            assert_eq!((entry.state(at, STALE), entry.gap(at, STALE)), (state, gap), "{case}");
        }
    }

    #[test]
    fn a_missing_group_is_empty_only_where_nothing_could_hide_in_it() {
        let now = Instant::now();
        let policies = entry(WatchKind::NetworkPolicy, vec![failed(Trouble::NotFound)], now);
        assert_eq!((policies.state(now, STALE), policies.gap(now, STALE)), (WatchState::Absent, None));
        let roles = entry(WatchKind::ClusterRole, vec![failed(Trouble::NotFound)], now);
        assert!(matches!(roles.gap(now, STALE), Some(NotSeen::Unreachable(_))));
    }

    #[test]
    fn an_object_that_cannot_be_read_is_never_absent() {
        let now = Instant::now();
        let mut entry = entry(WatchKind::Node, synced(), now);
        let unreadable = Unreadable { metadata: Metadata::new("", "b"), reason: "Data error at column 7".to_owned() };
        entry.apply(WatchEvent::Applied(Err(Box::new(unreadable))), now);
        assert_eq!(entry.objects(now, STALE).count(), 1);
        let text = "Node b cannot be read: Data error at column 7";
        assert_eq!(entry.gap(now, STALE), Some(NotSeen::Unreachable(text.to_owned())));
        entry.apply(WatchEvent::Deleted { namespace: String::new(), name: "b".to_owned() }, now);
        assert_eq!(entry.gap(now, STALE), None);
    }

    #[test]
    fn more_objects_than_are_kept_are_a_gap_until_a_list_holds_fewer() {
        let now = Instant::now();
        let most = WatchKind::Pod.most_objects();
        let pod = |number: usize| {
            let pod = crate::snapshot::Pod { metadata: Metadata::new("n", &number.to_string()), ..Default::default() };
            WatchEvent::Listed(Ok(Object::Pod(Arc::new(pod))))
        };
        let list = |count: usize| (0..count).map(pod).chain([WatchEvent::Complete]).collect::<Vec<_>>();
        let mut entry = entry(WatchKind::Pod, [vec![WatchEvent::Relisting], list(most + 1)].concat(), now);
        assert_eq!(entry.objects(now, STALE).count(), most);
        assert!(matches!(entry.gap(now, STALE), Some(NotSeen::Unclear(_))));
        for event in [vec![WatchEvent::Relisting], list(most)].concat() {
            entry.apply(event, now);
        }
        assert_eq!(entry.gap(now, STALE), None);
    }

    #[test]
    fn what_was_seen_is_remembered_for_planning_although_it_may_no_longer_be_relied_on() {
        let now = Instant::now();
        let entry = entry(WatchKind::Node, [synced(), vec![failed(Trouble::Forbidden)]].concat(), now);
        assert_eq!(entry.objects(now, STALE).count(), 0);
        assert_eq!((entry.remembered_objects().count(), entry.remembered_gap(now)), (2, None));
    }
}
