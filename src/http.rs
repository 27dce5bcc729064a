//! The HTTP server: pages that were rendered before anybody asked, over plain HTTP or TLS.
//!
//! `site` answers, `runbooks` what is the same for everybody, `guard` decides who may read, `places` bounds the connections, `tls` keeps certificates current.

mod guard;
mod negotiation;
mod places;
mod review;
mod runbooks;
mod site;
mod throttle;
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
    net::{TcpListener, TcpSocket, TcpStream},
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

/// Connections at the same time; for more, those are closed that were silent for long: see [`places`].
const CONNECTIONS: usize = 128;
/// Connections at the same time in any case.
const MOST_CONNECTIONS: usize = 256;
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
/// Connections that the system keeps until they are accepted.
const BACKLOG: u32 = 1_024;
/// After a failed accept, for example without file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

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
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match listen(address) {
        Err(error) if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && error.kind() != io::ErrorKind::AddrInUse => {
            listen(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port()))
        }
        bound => bound,
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
    // Connections of a process before this one may still be ending.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl Server {
    /// Serves until `shutdown` ends, then lets answers under way finish.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let server = Arc::new(self);
        let places = Places::new(CONNECTIONS, MOST_CONNECTIONS);
        let (ending, _) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(async {
            shutdown.await;
            tokio::time::sleep(LINGER).await;
        });
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let place = places.take(peer.ip());
                        connections.spawn(Arc::clone(&server).connection(stream, place, ending.subscribe()));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "no connection accepted");
                        places.make_room();
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
            let (certificate, address) = (certificate.as_ref(), place.address());
            async move { Ok::<_, Infallible>(self.answer(&request, certificate, address).await) }
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

    async fn answer<B>(
        &self,
        request: &Request<B>,
        certificate: Option<&CertificateDer<'static>>,
        address: IpAddr,
    ) -> Answer {
        if let Some(runbook) = runbooks::answer(request) {
            return runbook;
        }
        let route = match site::route(request) {
            Ok(route) => route,
            Err(answer) => return *answer,
        };
        if let Some(path) = route.guarded()
            && let Err(refused) = self.guard.admit(path, request.headers(), certificate, address).await
        {
            return refused;
        }
        self.site.answer(route, request)
    }
}

#[cfg(test)]
mod tests;
