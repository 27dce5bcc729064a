//! The kubelet's end of TLS.

use std::sync::Arc;

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, rustls, server::TlsStream};

use super::ServingCertificate;
use crate::certificates::Certificates;

/// An alert of TLS 1.2: fatal, `internal_error`. Go's server sends it when it has no certificate to serve with.
const INTERNAL_ERROR: [u8; 7] = [21, 3, 3, 0, 2, 2, 80];

pub(super) struct Acceptors {
    signed: TlsAcceptor,
    without_address: TlsAcceptor,
    expired: TlsAcceptor,
    unknown_authority: TlsAcceptor,
}

impl Acceptors {
    pub(super) fn new(certificates: &Certificates) -> Result<Self> {
        let acceptor = |name: &str| -> Result<TlsAcceptor> {
            Ok(TlsAcceptor::from(Arc::new(server_configuration(certificates, name)?)))
        };
        Ok(Self {
            signed: acceptor("kubelet")?,
            without_address: acceptor("kubelet-without-address")?,
            expired: acceptor("kubelet-expired")?,
            unknown_authority: acceptor("kubelet-of-unknown-authority")?,
        })
    }

    /// The encrypted connection, `None` when it comes to nothing.
    pub(super) async fn accept(
        &self,
        certificate: ServingCertificate,
        mut connection: TcpStream,
    ) -> Option<TlsStream<TcpStream>> {
        let acceptor = match certificate {
            ServingCertificate::Signed => &self.signed,
            ServingCertificate::WithoutAddress => &self.without_address,
            ServingCertificate::Expired => &self.expired,
            ServingCertificate::UnknownAuthority => &self.unknown_authority,
            ServingCertificate::Missing => {
                // The client has to have said hello before it listens.
                let _ = connection.read(&mut [0; 4096]).await;
                let _ = connection.write_all(&INTERNAL_ERROR).await;
                let _ = connection.shutdown().await;
                return None;
            }
        };
        acceptor.accept(connection).await.ok()
    }
}

/// For a server with the certificate of that name.
pub(crate) fn server_configuration(certificates: &Certificates, name: &str) -> Result<rustls::ServerConfig> {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    let certificate = certificates.path(&format!("{name}.crt"));
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(certificates.path(&format!("{name}.key")))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?)
}
