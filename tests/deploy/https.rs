//! HTTPS, as whoever scrapes a guarded page speaks it.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};

/// Somebody who trusts one authority, and may have a certificate.
#[derive(Clone)]
pub(crate) struct Client {
    configuration: Arc<ClientConfig>,
    server: ServerName<'static>,
}

impl Client {
    /// Trusts servers called `server` that the authority in a file vouches for.
    pub(crate) fn trusting(authority: &Path, server: &str) -> Self {
        Self::with(authority, server, None)
    }

    /// The same, with a certificate and its key.
    pub(crate) fn with_certificate(authority: &Path, server: &str, certificate: &Path, key: &Path) -> Self {
        Self::with(authority, server, Some((certificate, key)))
    }

    fn with(authority: &Path, server: &str, own: Option<(&Path, &Path)>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority).expect("an authority")).expect("an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let configuration = match own {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = vec![CertificateDer::from_pem_file(certificate).expect("a certificate")];
                let key = PrivateKeyDer::from_pem_slice(&fs::read(key).expect("a key")).expect("a key");
                builder.with_client_auth_cert(chain, key).expect("a pair")
            }
        };
        let server = ServerName::try_from(server.to_owned()).expect("a name");
        Self { configuration: Arc::new(configuration), server }
    }

    /// Status code of a GET.
    pub(crate) fn get(&self, address: SocketAddr, path: &str, token: Option<&str>) -> Result<u16> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
        stream.set_read_timeout(Some(Duration::from_secs(15)))?;
        let connection = ClientConnection::new(Arc::clone(&self.configuration), self.server.clone())?;
        let mut stream = StreamOwned::new(connection, stream);
        let token = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
        write!(stream, "GET {path} HTTP/1.1\r\nHost: doctor\r\nConnection: close\r\n{token}\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        answer.split(' ').nth(1).context("no status")?.parse().context("no status")
    }
}
