//! A lean object in the form that kube's watcher asks for.

use std::{borrow::Cow, fmt, sync::Arc};

use kube::{Resource, core::DynamicResourceScope, core::ObjectMeta};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::kinds::{Kept, Served};
use crate::snapshot::Metadata;

/// An object of a list or of a watch event, or why it could not be read.
///
/// `ObjectMeta` is filled with no more than kube needs to go on from: the `managedFields` tree alone would cost most of
/// the time and memory of parsing. One object that cannot be read does not take its whole page with it. The text is taken
/// raw, which works because the API server writes `type` before `object` in every event (kubernetes/apimachinery
/// `pkg/apis/meta/v1/watch.go`); in another order each event would only cause a new list.
pub(super) struct Watched<T> {
    metadata: ObjectMeta,
    /// Taken out by the receiver.
    pub(super) object: Arc<Result<T, Box<Unreadable>>>,
}

/// An object that could not be read, without quoting what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) metadata: Metadata,
    pub(super) reason: String,
}

#[derive(Deserialize)]
struct Identity {
    #[serde(default)]
    metadata: Metadata,
}

impl<'de, T: Kept> Deserialize<'de> for Watched<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let object = serde_json::from_str::<T>(text.get());
        let object = object.map_err(|error| {
            let Identity { metadata } =
                serde_json::from_str(text.get()).unwrap_or(Identity { metadata: Metadata::default() });
            // The message of serde_json quotes values: only the place is told.
            let reason = format!("{:?} error at column {}", error.classify(), error.column());
            Box::new(Unreadable { metadata, reason })
        });
        let metadata = match &object {
            Ok(object) => object_meta(object.metadata()),
            Err(unreadable) => object_meta(&unreadable.metadata),
        };
        Ok(Self { metadata, object: Arc::new(object) })
    }
}

fn object_meta(metadata: &Metadata) -> ObjectMeta {
    let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    ObjectMeta {
        name: filled(&metadata.name),
        namespace: filled(&metadata.namespace),
        uid: filled(&metadata.uid),
        resource_version: filled(&metadata.resource_version),
        ..ObjectMeta::default()
    }
}

impl<T> Clone for Watched<T> {
    fn clone(&self) -> Self {
        Self { metadata: self.metadata.clone(), object: Arc::clone(&self.object) }
    }
}

impl<T> fmt::Debug for Watched<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Watched").field("metadata", &self.metadata).finish_non_exhaustive()
    }
}

impl<T> Resource for Watched<T> {
    type DynamicType = Served;
    type Scope = DynamicResourceScope;

    fn kind(served: &Served) -> Cow<'_, str> {
        served.kind.name().into()
    }

    fn group(served: &Served) -> Cow<'_, str> {
        served.kind.group().into()
    }

    fn version(served: &Served) -> Cow<'_, str> {
        served.version.into()
    }

    fn plural(served: &Served) -> Cow<'_, str> {
        served.kind.resource().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use kube::core::ObjectList;

    use super::*;
    use crate::snapshot::Service;

    #[test]
    fn one_unreadable_object_leaves_the_rest_of_its_page_readable() {
        let page = r#"{"kind": "ServiceList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": [
            {"metadata": {"name": "a", "namespace": "n", "resourceVersion": "5", "managedFields": [{"x": {}}]}},
            {"metadata": {"name": "b", "namespace": "n", "resourceVersion": "6"}, "spec": {"ports": [{"port": "secret"}]}}
        ]}"#;
        let list: ObjectList<Watched<Service>> = serde_json::from_str(page).expect("a list");
        assert!(list.items[0].object.is_ok());
        assert_eq!(list.items[1].meta().resource_version.as_deref(), Some("6"));
        let unreadable = list.items[1].object.as_ref().as_ref().expect_err("a port that is text");
        assert_eq!(unreadable.metadata.name, "b");
        assert!(!unreadable.reason.contains("secret"), "{}", unreadable.reason);
    }
}
