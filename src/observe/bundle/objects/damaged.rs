//! Why an object of a bundle may not have been seen.

use std::collections::{BTreeMap, BTreeSet};

use crate::{observe::bundle::scopes::Kind, snapshot::NotSeen};

/// What the bundle holds and could not be read.
#[derive(Default)]
pub(super) struct Damaged {
    /// By kind the first file or object.
    pub(super) kinds: BTreeMap<Kind, String>,
    /// Kinds of which an object of a list could not be read: no list of them proves that something is absent.
    pub(super) unproven: BTreeSet<Kind>,
    /// Answers of the metrics API.
    pub(super) metrics: Option<String>,
    /// A file of which nobody knows what was in it.
    pub(super) unknown: Option<String>,
}

impl Damaged {
    /// Takes note of an object of a list.
    pub(super) fn lose_object(&mut self, kind: Kind, object: String) {
        self.unproven.insert(kind);
        self.kinds.entry(kind).or_insert(object);
    }

    /// Why an object of this kind was not seen.
    pub(super) fn reason(&self, kind: Kind) -> NotSeen {
        let damaged = self.kinds.get(&kind).or(self.unknown.as_ref());
        damaged.map_or(NotSeen::NotInBundle(kind.plural()), |what| NotSeen::Damaged(what.clone()))
    }
}
