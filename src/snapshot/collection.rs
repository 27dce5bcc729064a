//! Objects of one kind, and which part of the cluster was seen in full.

use std::{collections::BTreeMap, sync::Arc};

use super::{Metadata, NotSeen, Observed};

/// Something with a namespace and a name.
pub trait Named {
    /// The object's metadata.
    fn metadata(&self) -> &Metadata;

    /// Empty for cluster-scoped objects.
    fn namespace(&self) -> &str {
        &self.metadata().namespace
    }

    /// The object's name.
    fn name(&self) -> &str {
        &self.metadata().name
    }

    /// What tells apart objects that share namespace and name within one collection (kinds, or containers).
    #[expect(clippy::unnecessary_literal_bound, reason = "other kinds borrow from the object")]
    fn discriminator(&self) -> &str {
        ""
    }
}

/// A part of the cluster that an observer looks at, and how that went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Only this namespace; `None` for the whole cluster.
    pub namespace: Option<String>,
    /// Only objects with this name.
    pub name: Option<String>,
    /// Only objects with these labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// Only objects of this kind, where a collection holds several.
    pub discriminator: Option<&'static str>,
    /// `None` when everything in it was seen, otherwise why not.
    pub gap: Option<NotSeen>,
}

impl Scope {
    /// The whole cluster, seen in full.
    pub fn cluster() -> Self {
        Self { namespace: None, name: None, labels: None, discriminator: None, gap: None }
    }

    /// One namespace, seen in full.
    pub fn in_namespace(namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..Self::cluster() }
    }

    /// The same scope, not seen.
    #[must_use]
    pub fn with_gap(self, gap: NotSeen) -> Self {
        Self { gap: Some(gap), ..self }
    }

    /// The same scope, for one kind only.
    #[must_use]
    pub fn of_kind(self, discriminator: &'static str) -> Self {
        Self { discriminator: Some(discriminator), ..self }
    }

    /// The same scope, for one name only.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }

    /// The same scope, for some labels only.
    #[must_use]
    pub fn labelled(self, labels: BTreeMap<String, String>) -> Self {
        Self { labels: Some(labels), ..self }
    }

    /// Whether all that `wanted` asks for lies in this scope.
    fn covers(&self, wanted: &Wanted<'_>) -> bool {
        let namespace = self.namespace.as_deref().is_none_or(|namespace| wanted.namespace == Some(namespace));
        let name = self.name.as_deref().is_none_or(|name| wanted.name == Some(name));
        let kind = self.discriminator.is_none_or(|kind| wanted.discriminator == Some(kind));
        let labels = self.labels.as_ref().is_none_or(|labels| {
            wanted.labels.is_some_and(|asked| labels.iter().all(|(key, value)| asked.get(key) == Some(value)))
        });
        namespace && name && kind && labels
    }

    /// Whether the scope could hold something of what `wanted` asks for.
    fn touches(&self, wanted: &Wanted<'_>) -> bool {
        let differ =
            |own: Option<&str>, asked: Option<&str>| matches!((own, asked), (Some(own), Some(asked)) if own != asked);
        !differ(self.namespace.as_deref(), wanted.namespace)
            && !differ(self.name.as_deref(), wanted.name)
            && !differ(self.discriminator, wanted.discriminator)
    }
}

#[derive(Default)]
struct Wanted<'a> {
    namespace: Option<&'a str>,
    name: Option<&'a str>,
    labels: Option<&'a BTreeMap<String, String>>,
    discriminator: Option<&'a str>,
}

/// The objects that a question found.
#[derive(Debug)]
pub struct Listing<'a, T> {
    /// What was found.
    pub objects: Vec<&'a T>,
    /// `None` when nothing can be missing, otherwise why something may be.
    pub gap: Option<NotSeen>,
}

impl<'a, T> Listing<'a, T> {
    /// The objects, or why the list is not complete.
    pub fn complete(self) -> Result<Vec<&'a T>, NotSeen> {
        match self.gap {
            None => Ok(self.objects),
            Some(gap) => Err(gap),
        }
    }

    /// Whether there certainly is no such object.
    pub fn is_certainly_empty(&self) -> bool {
        self.gap.is_none() && self.objects.is_empty()
    }

    /// Keeps the objects that `predicate` accepts.
    #[must_use]
    pub fn filter(mut self, predicate: impl Fn(&T) -> bool) -> Self {
        self.objects.retain(|object| predicate(object));
        self
    }
}

type Key = (String, String, String);

/// Namespace, name and labels of scopes.
type Place = (Option<String>, Option<String>, Option<BTreeMap<String, String>>);

/// Objects of one kind.
#[derive(Debug, Clone)]
pub struct Collection<T> {
    objects: BTreeMap<Key, Arc<T>>,
    scopes: Vec<Scope>,
    /// Which of the scopes lie where: thousands of single objects may have been looked up.
    places: BTreeMap<Place, Vec<usize>>,
    /// Why whatever lies outside every scope was not seen.
    otherwise: NotSeen,
}

impl<T> Default for Collection<T> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), scopes: Vec::new(), places: BTreeMap::new(), otherwise: NotSeen::NotLooked }
    }
}

impl<T: Named> Collection<T> {
    /// Nothing was seen, for this reason.
    pub fn unseen(reason: NotSeen) -> Self {
        Self { otherwise: reason, ..Self::default() }
    }

    /// The whole cluster was seen, and this is all.
    pub fn complete(objects: impl IntoIterator<Item = T>) -> Self {
        let mut collection = Self::default();
        collection.add_scope(Scope::cluster());
        for object in objects {
            collection.insert(object);
        }
        collection
    }

    /// Adds or replaces an object.
    pub fn insert(&mut self, object: impl Into<Arc<T>>) {
        let object = object.into();
        let key = (object.namespace().to_owned(), object.name().to_owned(), object.discriminator().to_owned());
        self.objects.insert(key, object);
    }

    /// Removes an object; `true` when it was there.
    pub fn remove(&mut self, namespace: &str, name: &str) -> bool {
        let before = self.objects.len();
        self.objects.retain(|(own_namespace, own_name, _), _| own_namespace != namespace || own_name != name);
        before != self.objects.len()
    }

    /// Tells which part of the cluster was looked at, and how that went.
    pub fn add_scope(&mut self, scope: Scope) {
        let place = (scope.namespace.clone(), scope.name.clone(), scope.labels.clone());
        let same = self.places.entry(place).or_default();
        if !same.iter().any(|&position| self.scopes[position] == scope) {
            same.push(self.scopes.len());
            self.scopes.push(scope);
        }
    }

    /// The parts of the cluster that were looked at.
    pub fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// Every object, in the order of namespace and name.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.objects.values().map(AsRef::as_ref)
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether no object was seen.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The object with that namespace (empty for cluster scope) and name.
    pub fn get(&self, namespace: &str, name: &str) -> Observed<&T> {
        self.get_of_kind(None, namespace, name)
    }

    /// The object of that kind, namespace and name, in a collection of several kinds.
    pub fn get_of_kind(&self, kind: Option<&str>, namespace: &str, name: &str) -> Observed<&T> {
        let found = self
            .objects
            .range((namespace.to_owned(), name.to_owned(), String::new())..)
            .take_while(|((own_namespace, own_name, _), _)| own_namespace == namespace && own_name == name)
            .find(|((.., own_kind), _)| kind.is_none_or(|kind| kind == own_kind));
        if let Some((_, object)) = found {
            return Observed::Present(object);
        }
        match self.gap(&Wanted { namespace: Some(namespace), name: Some(name), labels: None, discriminator: kind }) {
            None => Observed::Absent,
            Some(reason) => Observed::NotSeen(reason),
        }
    }

    /// Every object, with what may be missing.
    pub fn all(&self) -> Listing<'_, T> {
        Listing { objects: self.iter().collect(), gap: self.gap(&Wanted::default()) }
    }

    /// Every object of a collection of several kinds. Nothing is missing once each of these kinds was seen in full.
    pub fn all_of_kinds(&self, kinds: &[&str]) -> Listing<'_, T> {
        let gap = |kind: &&str| self.gap(&Wanted { discriminator: Some(kind), ..Wanted::default() });
        Listing { objects: self.iter().collect(), gap: kinds.iter().find_map(gap) }
    }

    /// The objects of one namespace.
    pub fn in_namespace(&self, namespace: &str) -> Listing<'_, T> {
        let objects = self.of_namespace(namespace).collect();
        Listing { objects, gap: self.gap(&Wanted { namespace: Some(namespace), ..Wanted::default() }) }
    }

    /// The objects of one namespace that carry all these labels; an empty selector selects nothing.
    pub fn selected(&self, namespace: &str, labels: &BTreeMap<String, String>) -> Listing<'_, T> {
        let objects = self.of_namespace(namespace).filter(|object| object.metadata().has_labels(labels)).collect();
        let wanted = Wanted { namespace: Some(namespace), labels: Some(labels), ..Wanted::default() };
        Listing { objects, gap: self.gap(&wanted) }
    }

    /// What a look at exactly these labels may have missed, where somebody looked at them alone.
    pub fn gap_of_labelled(&self, namespace: &str, labels: &BTreeMap<String, String>) -> Option<&NotSeen> {
        let place = (Some(namespace.to_owned()), None, Some(labels.clone()));
        self.places.get(&place)?.iter().find_map(|&position| self.scopes.get(position)?.gap.as_ref())
    }

    fn of_namespace(&self, namespace: &str) -> impl Iterator<Item = &T> {
        let first = (namespace.to_owned(), String::new(), String::new());
        let objects = self.objects.range(first..).take_while(move |((own, ..), _)| own == namespace);
        objects.map(|(_, object)| object.as_ref())
    }

    /// Why something that `wanted` asks for may not have been seen.
    fn gap(&self, wanted: &Wanted<'_>) -> Option<NotSeen> {
        let near = self.near(wanted);
        let scopes = || near.iter().filter_map(|&position| self.scopes.get(position));
        if scopes().any(|scope| scope.gap.is_none() && scope.covers(wanted)) {
            return None;
        }
        let reason = scopes().filter(|scope| scope.touches(wanted)).find_map(|scope| scope.gap.clone());
        Some(reason.unwrap_or_else(|| self.otherwise.clone()))
    }

    /// The scopes that may cover or touch what is wanted, in the order in which they were added.
    fn near(&self, wanted: &Wanted<'_>) -> Vec<usize> {
        let Some(namespace) = wanted.namespace else { return (0..self.scopes.len()).collect() };
        let mut near = Vec::new();
        for namespace in [None, Some(namespace.to_owned())] {
            let Some(name) = wanted.name else {
                let first = (namespace.clone(), None, None);
                let there = self.places.range(first..).take_while(|((own, ..), _)| *own == namespace);
                near.extend(there.flat_map(|(_, positions)| positions));
                continue;
            };
            for name in [None, Some(name.to_owned())] {
                let first = (namespace.clone(), name.clone(), None);
                let there = self
                    .places
                    .range(first..)
                    .take_while(|((own_namespace, own_name, _), _)| (own_namespace, own_name) == (&namespace, &name));
                near.extend(there.flat_map(|(_, positions)| positions));
            }
        }
        near.sort_unstable();
        near
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Service;

    fn service(namespace: &str, name: &str) -> Service {
        Service { metadata: Metadata::new(namespace, name), ..Service::default() }
    }

    #[test]
    fn what_nobody_looked_for_is_not_absent() {
        let mut services = Collection::unseen(NotSeen::NotInBundle("services"));
        services.insert(service("kube-system", "kube-dns"));
        assert_eq!(services.get("kube-system", "metrics-server"), Observed::NotSeen(NotSeen::NotInBundle("services")));
        services.add_scope(Scope::in_namespace("kube-system"));
        assert_eq!(services.get("kube-system", "metrics-server"), Observed::Absent);
        assert_eq!(services.get("other", "metrics-server"), Observed::NotSeen(NotSeen::NotInBundle("services")));
        assert!(services.get("kube-system", "kube-dns").seen().is_some());
    }

    #[test]
    fn a_labelled_scope_covers_only_its_labels() {
        let labels = BTreeMap::from([("k8s-app".to_owned(), "metrics-server".to_owned())]);
        let mut services = Collection::<Service>::default();
        services.add_scope(Scope::in_namespace("kube-system").labelled(labels.clone()));
        assert!(services.selected("kube-system", &labels).is_certainly_empty());
        assert!(!services.in_namespace("kube-system").is_certainly_empty());
        assert!(!services.get("kube-system", "metrics-server").is_absent());
    }

    #[test]
    fn of_many_scopes_those_that_lie_near_are_asked_in_their_order() {
        let mut services = Collection::<Service>::default();
        let why = |text: &str| NotSeen::Unreachable(text.to_owned());
        services.add_scope(Scope::in_namespace("b").with_gap(why("first")));
        for number in 0..50 {
            services.add_scope(Scope::in_namespace("a").named(&format!("x{number}")));
            services.add_scope(Scope::in_namespace("b").named(&format!("x{number}")).with_gap(why("named")));
        }
        services.add_scope(Scope::in_namespace("b").named("x1").with_gap(why("named")));
        assert_eq!(services.scopes().len(), 101, "each once");
        assert_eq!(services.get("a", "x7"), Observed::Absent);
        assert_eq!(services.get("a", "y"), Observed::NotSeen(NotSeen::NotLooked));
        assert_eq!(services.get("b", "x7"), Observed::NotSeen(why("first")), "the one that was added first");
        assert_eq!(services.in_namespace("b").gap, Some(why("first")));
        assert_eq!(services.all().gap, Some(why("first")));
        services.add_scope(Scope::cluster().named("x7"));
        assert_eq!(services.get("b", "x7"), Observed::Absent);
        services.insert(service("a", "x1"));
        services.insert(service("ab", "x1"));
        assert_eq!(services.in_namespace("a").objects.len(), 1);
    }

    #[test]
    fn kinds_that_were_each_seen_in_full_leave_no_gap() {
        let mut workloads = Collection::<Service>::default();
        workloads.add_scope(Scope::cluster().of_kind("Deployment"));
        assert!(workloads.all_of_kinds(&["Deployment"]).is_certainly_empty());
        assert_eq!(workloads.all_of_kinds(&["Deployment", "DaemonSet"]).gap, Some(NotSeen::NotLooked));
        workloads.add_scope(Scope::cluster().of_kind("DaemonSet"));
        assert!(workloads.all_of_kinds(&["Deployment", "DaemonSet"]).is_certainly_empty());
        assert!(!workloads.all().is_certainly_empty());
    }

    #[test]
    fn a_gap_names_the_reason_of_the_scope_that_was_asked() {
        let forbidden = NotSeen::Forbidden { verb: "list", resource: "services" };
        let mut services = Collection::<Service>::default();
        services.add_scope(Scope::in_namespace("kube-system").with_gap(forbidden.clone()));
        assert_eq!(services.get("kube-system", "x"), Observed::NotSeen(forbidden));
        assert_eq!(services.get("other", "x"), Observed::NotSeen(NotSeen::NotLooked));
    }
}
