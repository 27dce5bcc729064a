//! `serve`: watch one cluster, or show one bundle.

use std::{path::Path, sync::Arc, time::Duration};

use tokio::net::TcpListener;

use super::{
    Failure,
    publisher::{Look, Publisher},
    serving::serve_until_told,
};
use crate::{
    args::{Authentication, Listen, Serve, Source},
    health::RequestClass,
    http::{self, Guard, Reviewer, Tls},
    observe::{
        bundle,
        cluster::{Clients, Observation, Options, observe},
    },
};

pub(super) async fn serve(arguments: Serve) -> Result<(), Failure> {
    let Serve { source, listen, authentication, runbooks, page, .. } = arguments;
    let tls = load_tls(&listen)?;
    let mut publisher = Publisher::new(runbooks.links(), page.hpa_series, tls.as_deref());
    if let Some(path) = &source.from {
        if authentication == Authentication::TokenReview {
            return Err(Failure::NobodyToAsk);
        }
        let snapshot = bundle::read_up_to(path, source.largest_file())?;
        let listener = listen_on(&listen)?;
        let snapshot = Arc::new(snapshot);
        publisher.publish(&Look::of(Arc::clone(&snapshot)))?;
        let server = http::Server { site: publisher.site(), guard: guard_without_reviews(tls.as_deref()), tls };
        let publishing = async move {
            loop {
                publisher.certificate_changed().await;
                publisher = publisher.publish_aside(Look::of(Arc::clone(&snapshot))).await?;
            }
        };
        return serve_until_told(listener, server, publishing).await;
    }
    let clients = connect(&source).await?;
    let listener = listen_on(&listen)?;
    let guard = match authentication {
        Authentication::None => guard_without_reviews(tls.as_deref()),
        Authentication::TokenReview => {
            if tls.is_none() {
                tracing::warn!(
                    "bearer tokens are read without --tls-certificate-file: they cross the network in clear"
                );
            }
            Guard::Review(Reviewer::new(clients.probes.clone()))
        }
    };
    let requests = clients.requests.clone();
    let options = Options {
        features: source.features(clients.in_cluster),
        probe_namespaces: source.probe_namespaces.clone(),
        own_port: Some(listen.listen_address.port()),
        ..Options::default()
    };
    let mut observation = observe(clients, options);
    let counts = move || -> Vec<(RequestClass, u64)> {
        requests.counts().into_iter().map(|(class, count)| (class, count.count)).collect()
    };
    publisher.publish(&newest(&mut observation, counts()))?;
    let server = http::Server { site: publisher.site(), tls, guard };
    serve_until_told(listener, server, keep_publishing(publisher, observation, counts)).await
}

/// Publishes the newest look again and again. Looks that come while another is judged are passed over for the last one.
async fn keep_publishing(
    mut publisher: Publisher,
    mut observation: Observation,
    counts: impl Fn() -> Vec<(RequestClass, u64)>,
) -> Result<(), Failure> {
    loop {
        // Health follows its snapshot, so that both are of the same moment.
        if observation.health.changed().await.is_err() {
            return Err(Failure::Defect("the observer has ended".to_owned()));
        }
        publisher = publisher.publish_aside(newest(&mut observation, counts())).await?;
        tokio::time::sleep(publisher.rest()).await;
    }
}

/// The certificate that the flags name.
pub(super) fn load_tls(listen: &Listen) -> Result<Option<Arc<Tls>>, Failure> {
    Ok(listen.certificate_files().map(Tls::load).transpose()?.map(Arc::new))
}

pub(super) fn guard_without_reviews(tls: Option<&Tls>) -> Guard {
    if tls.is_some_and(Tls::asks_for_certificates) { Guard::Certificate } else { Guard::Open }
}

fn newest(observation: &mut Observation, requests: Vec<(RequestClass, u64)>) -> Look {
    let health = Some(Arc::clone(&observation.health.borrow_and_update()));
    Look { snapshot: Arc::clone(&observation.snapshots.borrow_and_update()), health, requests }
}

/// Clients for the cluster that the flags name.
pub(super) async fn connect(source: &Source) -> Result<Clients, Failure> {
    if let Some(path) = source.kubeconfig.as_deref().filter(|path| !path.exists()) {
        return Err(Failure::NoKubeconfig(path.to_owned()));
    }
    let kubeconfig: Option<&Path> = source.kubeconfig.as_deref();
    Ok(Clients::connect(kubeconfig, source.context.as_deref()).await?)
}

/// The same for whoever does not wait for ever: a plugin that fetches credentials may hang, and so may a file.
pub(super) async fn connect_within(source: &Source, limit: Duration) -> Result<Clients, Failure> {
    let source = source.clone();
    // What is waited for does not yield.
    let connecting = tokio::spawn(async move { connect(&source).await });
    match tokio::time::timeout(limit, connecting).await {
        Ok(connected) => connected.unwrap_or_else(|error| Err(Failure::Defect(error.to_string()))),
        Err(_) => Err(Failure::NoCredentials(limit)),
    }
}

pub(super) fn listen_on(listen: &Listen) -> Result<TcpListener, Failure> {
    let address = listen.listen_address;
    let listener = http::bind(address).map_err(|source| Failure::Listen { address, source })?;
    let address = listener.local_addr().unwrap_or(address);
    tracing::info!(%address, "listening");
    Ok(listener)
}

#[cfg(test)]
mod tests;
