use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, pki_types::ServerName},
};

use super::*;
use crate::http::{Content, Guard, Server, Site, bind};

/// An authority, and what it signs.
struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn create(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// Certificate and key as PEM, valid until that year.
    fn issue(&self, name: &str, until: i32) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["doctor.test".to_owned()]).expect("names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_after = date_time_ymd(until, 1, 1);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }

    fn client(&self, own: Option<(String, String)>) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("PEM")).expect("an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let configuration = match own {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM")];
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
                builder.with_client_auth_cert(chain, key).expect("a pair")
            }
        };
        TlsConnector::from(Arc::new(configuration))
    }
}

struct Folder(TempDir);

impl Folder {
    fn with(pair: &(String, String)) -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        folder.write(pair);
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, (certificate, key): &(String, String)) {
        fs::write(self.path("tls.crt"), certificate).expect("a file");
        fs::write(self.path("tls.key"), key).expect("a file");
    }

    fn files(&self) -> CertificateFiles {
        CertificateFiles { certificate: self.path("tls.crt"), key: self.path("tls.key"), client_authorities: None }
    }
}

/// A server on loopback that ends with the test.
fn serve(tls: &Arc<Tls>, guard: Guard) -> (std::net::SocketAddr, JoinHandle<()>) {
    let listener: TcpListener = bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let address = listener.local_addr().expect("an address");
    let site = Site::default();
    site.replace(Content::new("a 1\n# EOF\n".to_owned(), "{}".to_owned(), String::new(), true));
    let server = Server { site, tls: Some(Arc::clone(tls)), guard };
    (address, tokio::spawn(server.serve(listener, std::future::pending())))
}

/// Status line and serial of the server's certificate, or why there is no answer.
async fn get(
    address: std::net::SocketAddr,
    client: &TlsConnector,
    path: &str,
) -> io::Result<(String, CertificateDer<'static>)> {
    let stream = TcpStream::connect(address).await?;
    let mut stream = client.connect(ServerName::try_from("doctor.test").expect("a name"), stream).await?;
    let certificate = stream.get_ref().1.peer_certificates().expect("a certificate")[0].clone();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok((answer.lines().next().unwrap_or_default().to_owned(), certificate))
}

async fn until(state: &mut watch::Receiver<CertificateState>, holds: impl FnMut(&CertificateState) -> bool) {
    let changed = tokio::time::timeout(Duration::from_secs(10), state.wait_for(holds)).await;
    drop(changed.expect("a change within ten seconds").expect("a sender"));
}

fn year(state: CertificateState) -> i16 {
    state.not_after.to_zoned(jiff::tz::TimeZone::UTC).year()
}

#[tokio::test]
async fn new_files_are_used_without_a_restart_and_bad_ones_never() {
    let authority = Authority::create("ca");
    let folder = Folder::with(&authority.issue("first", 2101));
    let tls = Arc::new(Tls::load(folder.files()).expect("a pair"));
    let (address, server) = serve(&tls, Guard::Open);
    let following = tokio::spawn({
        let tls = Arc::clone(&tls);
        async move { tls.keep_current(Duration::from_millis(50)).await }
    });
    let mut state = tls.state();
    let client = authority.client(None);
    let (status, first) = get(address, &client, "/metrics").await.expect("an answer");
    assert_eq!((status.as_str(), year(*state.borrow())), ("HTTP/1.1 200 OK", 2101));

    folder.write(&authority.issue("second", 2102));
    until(&mut state, |state| year(*state) == 2102).await;
    let (_, second) = get(address, &client, "/metrics").await.expect("an answer");
    assert_ne!(first, second);

    // A key of another certificate, then no PEM at all, then no file.
    let (_, stranger) = authority.issue("third", 2103);
    fs::write(folder.path("tls.key"), stranger).expect("a file");
    until(&mut state, |state| !state.current).await;
    assert_eq!(get(address, &client, "/metrics").await.expect("an answer").1, second);
    fs::write(folder.path("tls.crt"), "nothing").expect("a file");
    fs::remove_file(folder.path("tls.key")).expect("a file");
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(!state.borrow().current && year(*state.borrow()) == 2102);
    assert_eq!(get(address, &client, "/metrics").await.expect("an answer").1, second);

    folder.write(&authority.issue("fourth", 2104));
    until(&mut state, |state| state.current && year(*state) == 2104).await;
    following.abort();
    server.abort();
}

#[tokio::test]
async fn the_kubelets_swap_of_symbolic_links_is_seen() {
    use std::os::unix::fs::symlink;
    let authority = Authority::create("ca");
    let folder = tempfile::tempdir().expect("a folder");
    let version = |name: &str, until| {
        let (certificate, key) = authority.issue(name, until);
        fs::create_dir(folder.path().join(name)).expect("a folder");
        fs::write(folder.path().join(name).join("tls.crt"), certificate).expect("a file");
        fs::write(folder.path().join(name).join("tls.key"), key).expect("a file");
    };
    version("..one", 2101);
    symlink("..one", folder.path().join("..data")).expect("a link");
    for name in ["tls.crt", "tls.key"] {
        symlink(Path::new("..data").join(name), folder.path().join(name)).expect("a link");
    }
    let tls = Arc::new(
        Tls::load(CertificateFiles {
            certificate: folder.path().join("tls.crt"),
            key: folder.path().join("tls.key"),
            client_authorities: None,
        })
        .expect("a pair"),
    );
    let mut state = tls.state();
    let following = tokio::spawn(async move { tls.keep_current(Duration::from_millis(50)).await });
    version("..two", 2102);
    symlink("..two", folder.path().join("..data_tmp")).expect("a link");
    fs::rename(folder.path().join("..data_tmp"), folder.path().join("..data")).expect("a swap");
    fs::remove_dir_all(folder.path().join("..one")).expect("a folder");
    until(&mut state, |state| year(*state) == 2102 && state.current).await;
    following.abort();
}

#[tokio::test]
async fn client_certificates_open_the_pages_and_probes_need_none() {
    let authority = Authority::create("ca");
    let scrapers = Authority::create("scrapers");
    let folder = Folder::with(&authority.issue("server", 2101));
    fs::write(folder.path("clients.crt"), &scrapers.certificate).expect("a file");
    let files = CertificateFiles { client_authorities: Some(folder.path("clients.crt")), ..folder.files() };
    let tls = Arc::new(Tls::load(files).expect("a pair"));
    assert!(tls.asks_for_certificates());
    let (address, server) = serve(&tls, Guard::Certificate);
    let without = authority.client(None);
    let known = authority.client(Some(scrapers.issue("prometheus", 2101)));
    let expired = authority.client(Some(scrapers.issue("prometheus", 2001)));
    let stranger = authority.client(Some(authority.issue("prometheus", 2101)));
    for (client, path, status) in [
        (&without, "/livez", Some("HTTP/1.1 200 OK")),
        (&without, "/readyz", Some("HTTP/1.1 200 OK")),
        (&without, "/metrics", Some("HTTP/1.1 403 Forbidden")),
        (&without, "/", Some("HTTP/1.1 403 Forbidden")),
        (&without, "/api/v1/report", Some("HTTP/1.1 403 Forbidden")),
        (&known, "/metrics", Some("HTTP/1.1 200 OK")),
        (&expired, "/metrics", None),
        (&stranger, "/metrics", None),
    ] {
        let answer = get(address, client, path).await.ok().map(|(status, _)| status);
        assert_eq!(answer.as_deref(), status, "{path}");
    }
    server.abort();
}

#[tokio::test]
async fn whoever_does_not_speak_tls_gets_nothing_and_keeps_nobody_out() {
    let authority = Authority::create("ca");
    let folder = Folder::with(&authority.issue("server", 2101));
    let tls = Arc::new(Tls::load(folder.files()).expect("a pair"));
    let (address, server) = serve(&tls, Guard::Open);
    let mut plain = TcpStream::connect(address).await.expect("a connection");
    plain.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("a request");
    let mut answer = Vec::new();
    drop(plain.read_to_end(&mut answer).await);
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "{answer:?}");

    // Silent instead of a handshake: cut after its time, and nobody waits for it.
    let mut silent = TcpStream::connect(address).await.expect("a connection");
    let begin = std::time::Instant::now();
    get(address, &authority.client(None), "/metrics").await.expect("an answer");
    drop(silent.read_to_end(&mut Vec::new()).await);
    let took = begin.elapsed();
    assert!(took > Duration::from_secs(8) && took < Duration::from_secs(15), "{took:?}");
    server.abort();
}

#[test]
fn what_is_wrong_with_the_files_names_the_flag_and_the_file() {
    let authority = Authority::create("ca");
    let pair = authority.issue("server", 2101);
    let folder = Folder::with(&pair);
    let told = |files: CertificateFiles| Tls::load(files).expect_err("an error").to_string();
    let missing = folder.path("missing");
    for (files, words) in [
        (
            CertificateFiles { certificate: missing.clone(), ..folder.files() },
            ["--tls-certificate-file", "missing", "No such file"],
        ),
        (CertificateFiles { key: missing.clone(), ..folder.files() }, ["--tls-key-file", "missing", "No such file"]),
        (
            CertificateFiles { certificate: folder.path("tls.key"), ..folder.files() },
            ["--tls-certificate-file", "tls.key", "no certificate"],
        ),
        (
            CertificateFiles { key: folder.path("tls.crt"), ..folder.files() },
            ["--tls-key-file", "tls.crt", "no private key"],
        ),
        (
            CertificateFiles { client_authorities: Some(folder.path("tls.key")), ..folder.files() },
            ["--tls-client-ca-file", "tls.key", "no certificate"],
        ),
    ] {
        let told = told(files);
        assert!(words.iter().all(|word| told.contains(word)) && !told.contains('\n'), "{told}");
    }
    fs::write(folder.path("tls.key"), authority.issue("other", 2101).1).expect("a file");
    let told = told(folder.files());
    assert!(told.contains("tls.crt") && told.contains("tls.key"), "{told}");
}
