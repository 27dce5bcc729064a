//! One dial: TCP, TLS, `GET /livez`, and `GET /metrics` on the same connection.

use std::{
    io::ErrorKind,
    net::SocketAddr,
    time::{Duration, Instant},
};

use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use super::server_metrics;
use crate::{
    health::KubeletRequests,
    observe::cluster::{
        heard::Target,
        trouble::{one_line, shorten},
    },
    snapshot::{Dial, DialOutcome},
};

/// metrics-server's own page has a histogram a node: this is enough for more than 5,000.
const LONGEST_PAGE: usize = 32 * 1024 * 1024;

/// Dials one endpoint. `limit` holds for the connection, and once more for handshake and answer.
pub(super) async fn dial(connector: &TlsConnector, target: Target, limit: Duration) -> (Dial, Option<KubeletRequests>) {
    let (address, port) = target;
    let started = Instant::now();
    let (outcome, detail, requests) = attempt(connector, target, limit).await;
    let dial =
        Dial { address: address.to_string(), port, at: Timestamp::now(), took: started.elapsed(), outcome, detail };
    (dial, requests)
}

async fn attempt(
    connector: &TlsConnector,
    (address, port): Target,
    limit: Duration,
) -> (DialOutcome, String, Option<KubeletRequests>) {
    let stream = match timeout(limit, TcpStream::connect(SocketAddr::new(address, port))).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return (connect_outcome(&error), shorten(&error.to_string()), None),
        Err(_) => return (DialOutcome::Timeout, format!("no connection within {} s", limit.as_secs_f32()), None),
    };
    match timeout(limit, ask(connector, stream, address, limit)).await {
        Ok(Ok((code, requests))) => (DialOutcome::Answered, format!("/livez answers {code}"), requests),
        Ok(Err((outcome, detail))) => (outcome, detail, None),
        Err(_) => (DialOutcome::Silent, format!("connected, no answer within {} s", limit.as_secs_f32()), None),
    }
}

fn connect_outcome(error: &std::io::Error) -> DialOutcome {
    match error.kind() {
        ErrorKind::ConnectionRefused => DialOutcome::Refused,
        ErrorKind::TimedOut => DialOutcome::Timeout,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => DialOutcome::NoRoute,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => DialOutcome::Reset,
        _ => DialOutcome::Other,
    }
}

async fn ask(
    connector: &TlsConnector,
    stream: TcpStream,
    address: std::net::IpAddr,
    limit: Duration,
) -> Result<(u16, Option<KubeletRequests>), (DialOutcome, String)> {
    let broken = |error: &std::io::Error| match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => DialOutcome::Reset,
        ErrorKind::InvalidData => DialOutcome::NotTls,
        _ => DialOutcome::Other,
    };
    let stream = connector
        .connect(ServerName::from(address), stream)
        .await
        .map_err(|error| (broken(&error), shorten(&error.to_string())))?;
    let other = |error: &hyper::Error| (DialOutcome::Reset, one_line(error));
    let (mut sender, connection) =
        http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await.map_err(|error| other(&error))?;
    // Ends with the sender or the server.
    let connection = tokio::spawn(connection);
    let get = |path: &'static str| {
        Request::get(path)
            .header(header::HOST, "metrics-server")
            .header(header::USER_AGENT, "metrics-server-doctor")
            .body(Empty::new())
    };
    let malformed = |error: hyper::http::Error| (DialOutcome::Other, error.to_string());
    let answer = sender.send_request(get("/livez").map_err(malformed)?).await.map_err(|error| other(&error))?;
    let code = answer.status().as_u16();
    let drained = Limited::new(answer.into_body(), 64 * 1024).collect().await.is_ok();
    let mut requests = None;
    // Served to everybody where it runs with --authorization-always-allow-paths=/metrics, as the chart's metrics.enabled sets.
    if drained && sender.ready().await.is_ok() {
        let page = sender.send_request(get("/metrics").map_err(malformed)?);
        if let Ok(Ok(answer)) = timeout(limit / 2, page).await
            && answer.status().is_success()
            && let Ok(Ok(body)) = timeout(limit / 2, Limited::new(answer.into_body(), LONGEST_PAGE).collect()).await
        {
            requests = server_metrics::kubelet_requests(&String::from_utf8_lossy(&body.to_bytes()));
        }
    }
    connection.abort();
    Ok((code, requests))
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, sync::Arc};

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };
    use tokio_rustls::{TlsAcceptor, rustls};

    use super::*;
    use crate::observe::cluster::dial::tls;

    const LIMIT: Duration = Duration::from_millis(300);

    async fn listener() -> (TcpListener, Target) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        (listener, (address.ip(), address.port()))
    }

    async fn outcome(target: Target) -> DialOutcome {
        dial(&tls::connector(), target, LIMIT).await.0.outcome
    }

    fn acceptor() -> TlsAcceptor {
        let key = rcgen::generate_simple_self_signed(vec!["nobody.example".to_owned()]).expect("a certificate");
        let private_key = rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![key.cert.der().clone()], private_key)
            .expect("a configuration");
        TlsAcceptor::from(Arc::new(config))
    }

    #[tokio::test]
    async fn a_server_with_any_certificate_answers_and_tells_its_requests_to_kubelets() {
        let (listener, target) = listener().await;
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a connection");
            let mut stream = acceptor().accept(stream).await.expect("a handshake");
            let page = "metrics_server_kubelet_request_total{success=\"true\"} 7\nmetrics_server_kubelet_request_total{success=\"false\"} 2\n";
            for body in ["ok", page] {
                let mut head = [0; 2048];
                let read = stream.read(&mut head).await.expect("a request");
                assert!(!String::from_utf8_lossy(&head[..read]).to_lowercase().contains("authorization"));
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.expect("an answer");
            }
        });
        let (dial, requests) = dial(&tls::connector(), target, Duration::from_secs(5)).await;
        assert_eq!((dial.outcome, dial.detail.as_str()), (DialOutcome::Answered, "/livez answers 200"));
        assert_eq!(requests, Some(KubeletRequests { succeeded: 7, failed: 2 }));
    }

    #[tokio::test]
    async fn nothing_listens() {
        let (listener, target) = listener().await;
        drop(listener);
        assert_eq!(outcome(target).await, DialOutcome::Refused);
    }

    #[tokio::test]
    async fn a_server_that_accepts_and_says_nothing_is_silent() {
        // The kernel accepts for a process that does not.
        let (_listener, target) = listener().await;
        assert_eq!(outcome(target).await, DialOutcome::Silent);
    }

    #[tokio::test]
    async fn plain_http_is_no_tls_and_an_early_end_is_a_reset() {
        let (plain, target) = listener().await;
        tokio::spawn(async move {
            let (mut stream, _) = plain.accept().await.expect("a connection");
            let mut hello = [0; 1024];
            let _ = stream.read(&mut hello).await;
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("an answer");
        });
        assert_eq!(outcome(target).await, DialOutcome::NotTls);
        let (closing, target) = listener().await;
        tokio::spawn(async move { drop(closing.accept().await) });
        assert_eq!(outcome(target).await, DialOutcome::Reset);
    }

    #[tokio::test]
    async fn an_address_without_route_is_told_apart_from_silence() {
        let nowhere: IpAddr = "255.255.255.255".parse().expect("an address");
        assert_ne!(outcome((nowhere, 9)).await, DialOutcome::Answered);
    }
}
