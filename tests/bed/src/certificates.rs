//! Certificate authorities, certificates and kubeconfigs of one bed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::isolation::{API_SERVER_ADDRESS, KUBELET_ADDRESS, SECOND_API_SERVER_ADDRESS};

/// The group of the caller without a name.
pub const NAMELESS_GROUP: &str = "testbed:nameless";
/// The token of the caller without a name.
pub const NAMELESS_TOKEN: &str = "testbed-nameless";

/// Files in PEM that the programs are started with.
#[derive(Debug)]
pub struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// Makes all of them in a new folder.
    pub fn create(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let made = Self { folder: folder.to_owned() };
        let cluster = Authority::create("testbed")?;
        made.write("ca.crt", &cluster.certificate)?;
        let server_names = [
            API_SERVER_ADDRESS,
            SECOND_API_SERVER_ADDRESS,
            "127.0.0.1",
            "10.96.0.1",
            "kubernetes.default.svc",
            "kubernetes",
            "localhost",
        ];
        made.issue(&cluster, "apiserver", "kube-apiserver", None, &server_names)?;
        made.issue(&cluster, "kubelet", "kubelet", None, &[KUBELET_ADDRESS])?;
        made.issue(&cluster, "kubelet-without-address", "kubelet", None, &["node.example"])?;
        let mut expired = CertificateParams::new(vec![KUBELET_ADDRESS.to_owned()])?;
        expired.not_before = rcgen::date_time_ymd(2019, 1, 1);
        expired.not_after = rcgen::date_time_ymd(2020, 1, 1);
        made.issue_as(&cluster, "kubelet-expired", "kubelet", None, expired)?;
        let unknown = Authority::create("somebody")?;
        made.write("unknown-ca.crt", &unknown.certificate)?;
        made.issue(&unknown, "kubelet-of-unknown-authority", "kubelet", None, &[KUBELET_ADDRESS])?;
        made.write("expired-ca.crt", &Authority::expired("somebody that was")?.certificate)?;
        made.issue(&cluster, "other-service", "metrics", None, &["metrics.monitoring.svc"])?;
        made.issue(&cluster, "metrics-server", "metrics-server", None, &["metrics-server.kube-system.svc"])?;
        made.issue(&cluster, "apiserver-kubelet-client", "kube-apiserver-kubelet-client", Some("system:masters"), &[])?;
        made.issue(&cluster, "admin", "testbed-admin", Some("system:masters"), &[])?;
        made.issue(&cluster, "controller-manager", "system:kube-controller-manager", None, &[])?;
        let front_proxy = Authority::create("testbed-front-proxy")?;
        made.write("front-proxy-ca.crt", &front_proxy.certificate)?;
        made.issue(&front_proxy, "front-proxy-client", "front-proxy-client", None, &[])?;
        made.issue(&front_proxy, "front-proxy-of-another-name", "aggregator", None, &[])?;
        let service_accounts = KeyPair::generate()?;
        made.write("service-accounts.key", &service_accounts.serialize_pem())?;
        made.write("service-accounts.pub", &service_accounts.public_key_pem())?;
        // Somebody with a group and without a name, as an entry of aws-auth without username makes.
        made.write("tokens.csv", &format!("{NAMELESS_TOKEN},,1,{NAMELESS_GROUP}\n"))?;
        Ok(made)
    }

    /// The path of a file of that name.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A certificate as `spec.caBundle` of an `APIService` holds it.
    pub fn bundle(&self, name: &str) -> Result<String> {
        Ok(base64(&fs::read_to_string(self.path(name))?))
    }

    /// A kubeconfig for the holder of one of the client certificates, whole in itself.
    pub fn kubeconfig_for_certificate(&self, name: &str) -> Result<String> {
        let certificate = fs::read_to_string(self.path(&format!("{name}.crt")))?;
        let key = fs::read_to_string(self.path(&format!("{name}.key")))?;
        let user = serde_json::json!({
            "client-certificate-data": base64(&certificate),
            "client-key-data": base64(&key),
        });
        self.kubeconfig(name, &user)
    }

    /// A kubeconfig for the bearer of a token, whole in itself.
    pub fn kubeconfig_for_token(&self, name: &str, token: &str) -> Result<String> {
        self.kubeconfig(name, &serde_json::json!({ "token": token }))
    }

    /// The same with an authority that did not sign the API server's certificate.
    pub(crate) fn kubeconfig_that_trusts_another(&self, name: &str, token: &str) -> Result<String> {
        let right = base64(&fs::read_to_string(self.path("ca.crt"))?);
        Ok(self.kubeconfig_for_token(name, token)?.replace(&right, &self.bundle("unknown-ca.crt")?))
    }

    fn kubeconfig(&self, name: &str, user: &serde_json::Value) -> Result<String> {
        let authority = fs::read_to_string(self.path("ca.crt"))?;
        let server = format!("https://{API_SERVER_ADDRESS}:6443");
        Ok(serde_json::to_string_pretty(&serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{
                "name": "testbed",
                "cluster": { "server": server, "certificate-authority-data": base64(&authority) },
            }],
            "users": [{ "name": name, "user": user }],
            "contexts": [{ "name": "testbed", "context": { "cluster": "testbed", "user": name } }],
            "current-context": "testbed",
        }))?)
    }

    /// What a kubelet asks to have signed for serving, as `spec.request` of a `CertificateSigningRequest` holds it.
    pub fn serving_request(&self, node: &str) -> Result<String> {
        let mut params = CertificateParams::new(vec![KUBELET_ADDRESS.to_owned(), node.to_owned()])?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "system:nodes");
        params.distinguished_name.push(DnType::CommonName, format!("system:node:{node}"));
        Ok(base64(&params.serialize_request(&KeyPair::generate()?)?.pem()?))
    }

    /// `FILE.crt` and `FILE.key` by a new authority, whose certificate is `FILE-authority.crt`.
    pub fn issue_by_own_authority(&self, file: &str, common_name: &str, names: &[&str]) -> Result<()> {
        let authority = Authority::create(&format!("{file}-authority"))?;
        self.write(&format!("{file}-authority.crt"), &authority.certificate)?;
        self.issue(&authority, file, common_name, None, names)
    }

    fn issue(
        &self,
        authority: &Authority,
        file: &str,
        common_name: &str,
        organization: Option<&str>,
        names: &[&str],
    ) -> Result<()> {
        let params = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        self.issue_as(authority, file, common_name, organization, params)
    }

    fn issue_as(
        &self,
        authority: &Authority,
        file: &str,
        common_name: &str,
        organization: Option<&str>,
        mut params: CertificateParams,
    ) -> Result<()> {
        let key = KeyPair::generate()?;
        params.distinguished_name.push(DnType::CommonName, common_name);
        if let Some(organization) = organization {
            params.distinguished_name.push(DnType::OrganizationName, organization);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &authority.issuer)?;
        self.write(&format!("{file}.crt"), &certificate.pem())?;
        self.write(&format!("{file}.key"), &key.serialize_pem())
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        Ok(fs::write(self.path(name), text)?)
    }
}

struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn create(name: &str) -> Result<Self> {
        Self::with(name, CertificateParams::default())
    }

    /// One that signed nothing any more since 2020.
    fn expired(name: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(2019, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        Self::with(name, params)
    }

    fn with(name: &str, mut params: CertificateParams) -> Result<Self> {
        let key = KeyPair::generate()?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { certificate, issuer: Issuer::new(params, key) })
    }
}

fn base64(text: &str) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.encode(text)
}
