//! The HTTP server: pages that were rendered before anybody asked, over plain HTTP or TLS.
//!
//! `site` answers, `runbooks` what is the same for everybody, `guard` decides who may read, `places` bounds the connections, `tls` keeps certificates current.

mod guard;
mod negotiation;
mod places;
mod review;
mod runbooks;
mod site;
mod tls;

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_rustls::rustls::pki_types::CertificateDer;

pub use self::{
    guard::Guard,
    review::Reviewer,
    site::{Content, Site},
    tls::{CertificateError, CertificateFiles, RELOAD_INTERVAL, Tls},
};
use self::{
    places::{Place, Places},
    site::Answer,
};

/// Connections at the same time; for more, the most idle ones are closed.
const CONNECTIONS: usize = 128;
/// Above usual scrape intervals, since it also ends idle connections.
const HEADER_TIMEOUT: Duration = Duration::from_secs(90);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest life of a connection: whoever never reads an answer must not hold a place for ever.
const CONNECTION_TIME: Duration = Duration::from_mins(15);
/// How long it goes on after it was told to end, for requests that are on their way.
const LINGER: Duration = Duration::from_millis(250);
/// How long answers under way may take after that.
const DRAIN_TIME: Duration = Duration::from_secs(5);
const LONGEST_HEAD: usize = 16 * 1024;
/// After a failed accept, for example without file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// What is served, how and to whom.
#[derive(Debug, Clone, Default)]
pub struct Server {
    /// The pages.
    pub site: Site,
    /// Certificates; `None` for plain HTTP.
    pub tls: Option<Arc<Tls>>,
    /// Who may read the pages.
    pub guard: Guard,
}

/// Listens on `address`; on a machine without IPv6 the address of all interfaces means IPv4's.
///
/// # Errors
///
/// When the address cannot be had, for example because the port is in use.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    match bound {
        Err(error) if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port())).await
        }
        bound => bound,
    }
}

impl Server {
    /// Serves until `shutdown` ends, then lets answers under way finish.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let server = Arc::new(self);
        let places = Places::new(CONNECTIONS);
        let (ending, _) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(async {
            shutdown.await;
            tokio::time::sleep(LINGER).await;
        });
        loop {
            let accept = async {
                let (stream, _) = listener.accept().await?;
                Ok::<_, io::Error>((stream, places.take().await))
            };
            tokio::select! {
                () = &mut shutdown => break,
                accepted = accept => match accepted {
                    Ok((stream, place)) => {
                        connections.spawn(Arc::clone(&server).connection(stream, place, ending.subscribe()));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "no connection accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
            // Ended tasks are joined here, so that the set does not grow.
            while connections.try_join_next().is_some() {}
        }
        drop(listener);
        ending.send_replace(true);
        let drained = async { while connections.join_next().await.is_some() {} };
        // Whoever still reads after that time is cut off.
        drop(tokio::time::timeout(DRAIN_TIME, drained).await);
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, place: Place, mut ending: watch::Receiver<bool>) {
        // Without it only latency is worse.
        drop(stream.set_nodelay(true));
        let talk = async {
            let Some(tls) = &self.tls else { return self.talk(stream, None, &place, ending).await };
            let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream));
            let stream = tokio::select! {
                stream = handshake => stream,
                _ = ending.wait_for(|ending| *ending) => return,
            };
            // A client that does not get through the handshake is its own business.
            if let Ok(Ok(stream)) = stream {
                let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).cloned();
                self.talk(stream, certificate, &place, ending).await;
            }
        };
        tokio::select! {
            () = talk => {}
            () = place.has_to_leave() => {}
        }
    }

    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        certificate: Option<CertificateDer<'static>>,
        place: &Place,
        mut ending: watch::Receiver<bool>,
    ) {
        let service = service_fn(|request: Request<Incoming>| {
            place.asks();
            let certificate = certificate.as_ref();
            async move { Ok::<_, Infallible>(self.answer(&request, certificate).await) }
        });
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .max_buf_size(LONGEST_HEAD)
                .serve_connection(TokioIo::new(stream), service)
        );
        let told_to_end = async {
            tokio::select! {
                _ = ending.wait_for(|ending| *ending) => {}
                () = tokio::time::sleep(CONNECTION_TIME) => {}
            }
        };
        tokio::select! {
            // A client that goes away in the middle is its own business.
            _ = connection.as_mut() => return,
            () = told_to_end => {}
        }
        connection.as_mut().graceful_shutdown();
        drop(tokio::time::timeout(DRAIN_TIME, connection).await);
    }

    async fn answer<B>(&self, request: &Request<B>, certificate: Option<&CertificateDer<'static>>) -> Answer {
        if let Some(runbook) = runbooks::answer(request) {
            return runbook;
        }
        let route = match site::route(request) {
            Ok(route) => route,
            Err(answer) => return *answer,
        };
        if let Some(path) = route.guarded()
            && let Err(refused) = self.guard.admit(path, request.headers(), certificate).await
        {
            return refused;
        }
        self.site.answer(route, request)
    }
}

#[cfg(test)]
mod tests;
