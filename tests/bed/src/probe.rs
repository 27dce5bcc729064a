//! Probes, asked as a kubelet asks: HTTPS from the node's address, the certificate not looked at.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Result;
use http_body_util::Empty;
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpSocket, time::timeout};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, ClientConfig, DigitallySignedStruct, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::{CryptoProvider, ring},
        pki_types::{CertificateDer, ServerName, UnixTime},
    },
};

use crate::isolation::KUBELET_ADDRESS;

/// The status of `GET https://ADDRESS:PORT/PATH`, within that time.
pub(crate) async fn https_status(address: &str, port: u16, path: &str, within: Duration) -> Result<StatusCode> {
    timeout(within, get(address, port, path)).await?
}

async fn get(address: &str, port: u16, path: &str) -> Result<StatusCode> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(KUBELET_ADDRESS.parse()?, 0))?;
    let connection = socket.connect(SocketAddr::new(address.parse()?, port)).await?;
    let name = ServerName::try_from(address.to_owned())?;
    let stream = TlsConnector::from(Arc::new(client_configuration()?)).connect(name, connection).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get(path).header("host", address).body(Empty::<Bytes>::new())?;
    Ok(sender.send_request(request).await?.status())
}

fn client_configuration() -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    Ok(ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth())
}

#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
