//! The thread that serves. It has a runtime of its own, so that whatever judges, renders or watches, however long it takes,
//! keeps no probe of the kubelet and no scrape waiting, nor the signals that end the process.

use std::{future::Future, thread};

use tokio::{
    net::TcpListener,
    runtime,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

use super::Failure;
use crate::http;

/// Serves until SIGTERM, SIGINT or SIGHUP, or until publishing fails: a page that no longer moves must not look alive.
pub(super) async fn serve_until_told(
    listener: TcpListener,
    server: http::Server,
    publishing: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let tls = server.tls.clone();
    let certificate = async move {
        match tls {
            Some(tls) => tls.keep_current(http::RELOAD_INTERVAL).await,
            None => std::future::pending().await,
        }
    };
    let serving = start(listener, server)?;
    tokio::select! {
        ended = serving => ended.unwrap_or_else(|_| Err(Failure::Defect("nobody serves any more".to_owned()))),
        ended = publishing => ended,
        () = certificate => Err(Failure::Defect("nobody follows the certificate any more".to_owned())),
    }
}

/// Starts the thread; the receiver tells how it ended.
fn start(listener: TcpListener, server: http::Server) -> Result<oneshot::Receiver<Result<(), Failure>>, Failure> {
    let listener = listener.into_std().map_err(Failure::Start)?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Start)?;
    let (ended, end) = oneshot::channel();
    let serve = async move {
        let listener = TcpListener::from_std(listener).map_err(Failure::Start)?;
        let told = told_to_end()?;
        server.serve(listener, told).await;
        Ok(())
    };
    let run = move || {
        let result = runtime.block_on(serve);
        // Nobody who is gone needs to know.
        drop(ended.send(result));
    };
    thread::Builder::new().name("serve".to_owned()).spawn(run).map_err(Failure::Start)?;
    Ok(end)
}

fn told_to_end() -> Result<impl Future<Output = ()>, Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Start)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Start)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(Failure::Start)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
        tracing::info!("ending");
    })
}
