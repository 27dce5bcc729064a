//! TLS of the HTTP server: certificate files, and their reload while connections go on.
//!
//! Files are read again every few seconds and compared as a whole, which sees every way to replace them: in place, by
//! rename, and by the swap of a symbolic link two levels up as the kubelet does it for Secrets.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::{io::AsyncRead, io::AsyncWrite, sync::watch};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
        server::WebPkiClientVerifier,
    },
    server::TlsStream,
};

use crate::health::CertificateState;

/// Between looks at the files.
pub const RELOAD_INTERVAL: Duration = Duration::from_secs(10);
/// A pair that does not fit may be one that was read while it was replaced.
const SECOND_LOOK: Duration = Duration::from_millis(500);

/// Where certificates and keys are, all of them PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The server's certificate, followed by the intermediates.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Authorities of client certificates; `None` where clients are not asked for one.
    pub client_authorities: Option<PathBuf>,
}

/// What is wrong with the files; names the flag and the file.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file that cannot be read.
    #[error("--{flag} {}: {source}", .path.display())]
    Unreadable {
        /// Without the dashes.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file without what should be in it.
    #[error("--{flag} {}: {reason}", .path.display())]
    Content {
        /// Without the dashes.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Certificate and key that do not fit together, or of a kind that is not supported.
    #[error("--tls-certificate-file {} with --tls-key-file {}: {reason}", .certificate.display(), .key.display())]
    Pair {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What is wrong with them.
        reason: String,
    },
}

/// What the files hold.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Texts {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_authorities: Option<Vec<u8>>,
}

/// The server's side of TLS.
#[derive(Debug)]
pub struct Tls {
    files: CertificateFiles,
    configuration: ArcSwap<ServerConfig>,
    state: watch::Sender<CertificateState>,
    loaded: Texts,
}

impl Tls {
    /// Loads the files.
    ///
    /// # Errors
    ///
    /// When one of them cannot be read, or certificate and key do not fit together.
    pub fn load(files: CertificateFiles) -> Result<Self, CertificateError> {
        let loaded = files.read()?;
        let (configuration, not_after) = files.configuration(&loaded)?;
        let (state, _) = watch::channel(CertificateState { current: true, not_after });
        Ok(Self { files, configuration: ArcSwap::from_pointee(configuration), state, loaded })
    }

    /// How the certificate is doing, and every change of that.
    pub fn state(&self) -> watch::Receiver<CertificateState> {
        self.state.subscribe()
    }

    /// Whether clients are asked for a certificate.
    pub fn asks_for_certificates(&self) -> bool {
        self.files.client_authorities.is_some()
    }

    pub(super) async fn accept<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        TlsAcceptor::from(self.configuration.load_full()).accept(stream).await
    }

    /// Follows the files for ever. A bad pair is told once, and the last good one stays in use.
    pub async fn keep_current(&self, interval: Duration) {
        let mut seen = Ok(self.loaded.clone());
        loop {
            tokio::time::sleep(interval).await;
            let mut found = self.look(&seen);
            if found.is_err() {
                tokio::time::sleep(SECOND_LOOK).await;
                found = self.look(&seen);
            }
            match found {
                Ok(None) => {}
                Ok(Some((texts, configuration, not_after))) => {
                    self.configuration.store(Arc::new(configuration));
                    self.tell(CertificateState { current: true, not_after });
                    tracing::info!(certificate = %self.files.certificate.display(), "certificate loaded again");
                    seen = Ok(texts);
                }
                Err(error) => {
                    let reason = error.to_string();
                    let state = *self.state.borrow();
                    self.tell(CertificateState { current: false, ..state });
                    if seen.as_ref() != Err(&reason) {
                        tracing::error!(reason, "the new certificate cannot be used, the last one stays in use");
                    }
                    seen = Err(reason);
                }
            }
        }
    }

    /// What the files make, unless they are as they were seen before.
    fn look(&self, seen: &Result<Texts, String>) -> Result<Option<(Texts, ServerConfig, Timestamp)>, CertificateError> {
        let texts = self.files.read()?;
        if seen.as_ref() == Ok(&texts) {
            return Ok(None);
        }
        let (configuration, not_after) = self.files.configuration(&texts)?;
        Ok(Some((texts, configuration, not_after)))
    }

    fn tell(&self, new: CertificateState) {
        self.state.send_if_modified(|state| std::mem::replace(state, new) != new);
    }
}

impl CertificateFiles {
    fn read(&self) -> Result<Texts, CertificateError> {
        let read = |flag, path: &Path| {
            fs::read(path).map_err(|source| CertificateError::Unreadable { flag, path: path.to_owned(), source })
        };
        Ok(Texts {
            certificate: read("tls-certificate-file", &self.certificate)?,
            key: read("tls-key-file", &self.key)?,
            client_authorities: self
                .client_authorities
                .as_deref()
                .map(|path| read("tls-client-ca-file", path))
                .transpose()?,
        })
    }

    /// The configuration, and when the certificate expires.
    fn configuration(&self, texts: &Texts) -> Result<(ServerConfig, Timestamp), CertificateError> {
        let chain = certificates("tls-certificate-file", &self.certificate, &texts.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&texts.key)
            .map_err(|error| content("tls-key-file", &self.key, &missing(&error, "private key")))?;
        let not_after = not_after(&chain[0])
            .ok_or_else(|| content("tls-certificate-file", &self.certificate, "not an X.509 certificate"))?;
        let pair = |error: tokio_rustls::rustls::Error| CertificateError::Pair {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            reason: error.to_string(),
        };
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(pair)?;
        let builder = match (&self.client_authorities, &texts.client_authorities) {
            (Some(path), Some(text)) => {
                const FLAG: &str = "tls-client-ca-file";
                let mut roots = RootCertStore::empty();
                for certificate in certificates(FLAG, path, text)? {
                    roots.add(certificate).map_err(|error| content(FLAG, path, &error.to_string()))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    // Probes bring none; whoever needs one is refused by path.
                    .allow_unauthenticated()
                    .build()
                    .map_err(|error| content(FLAG, path, &error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut configuration = builder.with_single_cert(chain, key).map_err(pair)?;
        configuration.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok((configuration, not_after))
    }
}

fn content(flag: &'static str, path: &Path, reason: &str) -> CertificateError {
    CertificateError::Content { flag, path: path.to_owned(), reason: reason.to_owned() }
}

fn missing(error: &pem::Error, what: &str) -> String {
    match error {
        pem::Error::NoItemsFound => format!("no {what} in it"),
        error => error.to_string(),
    }
}

/// At least one certificate.
fn certificates(
    flag: &'static str,
    path: &Path,
    text: &[u8],
) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let chain = chain.map_err(|error| content(flag, path, &missing(&error, "certificate")))?;
    if chain.is_empty() {
        return Err(content(flag, path, "no certificate in it"));
    }
    Ok(chain)
}

fn not_after(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

#[cfg(test)]
mod tests;
