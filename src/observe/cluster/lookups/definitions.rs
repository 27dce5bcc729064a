//! Definitions of the kinds that are scaled and not built in.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use hyper::Request;
use kube::Client;

use crate::{
    observe::cluster::{options::Timings, trouble::Trouble},
    snapshot::{CustomResourceDefinition, NotSeen, Observed},
};

type Found = Observed<Arc<CustomResourceDefinition>>;

/// Reads definitions by name, each now and then.
pub(super) struct Definitions {
    client: Client,
    interval: Duration,
    found: Mutex<HashMap<String, (Instant, Found)>>,
}

impl Definitions {
    pub(super) fn new(client: Client, timings: Timings) -> Self {
        Self { client, interval: timings.version_interval, found: Mutex::default() }
    }

    /// The definition `PLURAL.GROUP`.
    pub(super) async fn find(&self, name: &str) -> Found {
        let known = self.found.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        match known {
            Some((at, found)) if at.elapsed() < self.interval && !matches!(found, Observed::NotSeen(_)) => {
                return found;
            }
            _ => {}
        }
        let found = self.read(name).await;
        let entry = (Instant::now(), found.clone());
        self.found.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), entry);
        found
    }

    async fn read(&self, name: &str) -> Found {
        let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
        let request = match Request::get(path).body(Vec::new()) {
            Ok(request) => request,
            Err(error) => return Observed::NotSeen(NotSeen::Unreachable(error.to_string())),
        };
        match self.client.request::<CustomResourceDefinition>(request).await {
            Ok(definition) => Observed::Present(Arc::new(definition)),
            Err(error) => match Trouble::of(&error) {
                // The group is served by another program.
                Trouble::NotFound => Observed::Absent,
                trouble => Observed::NotSeen(trouble.not_seen("get", "customresourcedefinitions")),
            },
        }
    }
}
