//! Who may read the page, decided by a real API server.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use testbed::{isolation::PodNetwork, wait::wait_for};

use crate::{
    cluster::Cluster,
    matrix::{Kind, Row},
};

pub(crate) const ROWS: &[Row] = &[Row {
    name: "the API server decides who reads the page",
    injection: "`serve --authentication token-review` is asked by an account with the right, one without, and with a made-up token",
    kind: Kind::Own(token_review),
}];

fn token_review(cluster: &Cluster) {
    let kubectl = cluster.kubectl();
    kubectl.apply(READERS);
    let token = |account: &str| kubectl.words(&format!("create token {account} -n shop"));
    let (reader, stranger) = (token("reader"), token("stranger"));
    let guarded = Guarded::start(cluster).expect("a second doctor");
    // Without the right to ask, nobody is let in and nobody is called a stranger.
    guarded.expect("/metrics", Some(&reader), 503);
    guarded.expect("/metrics", None, 401);
    guarded.expect("/livez", None, 200);
    kubectl.apply(DELEGATOR);
    guarded.expect("/metrics", Some(&reader), 200);
    guarded.expect("/api/v1/report", Some(&reader), 200);
    guarded.expect("/api/v1/report", Some(&stranger), 403);
    guarded.expect("/", Some(&reader), 403);
    guarded.expect("/metrics", Some(&stranger), 403);
    guarded.expect("/metrics", Some("made up"), 401);
    guarded.expect("/", None, 401);
    kubectl.words("delete clusterrolebinding metrics-server-doctor-delegator metrics-reader");
    kubectl.words("delete clusterrole metrics-reader");
    kubectl.words("delete serviceaccount reader stranger -n shop");
    drop(guarded);
    cluster.expect_healthy().unwrap_or_else(|error| panic!("{error:#}"));
}

/// `serve --authentication token-review`, ended when dropped.
struct Guarded {
    child: Child,
    address: SocketAddr,
    _network: PodNetwork,
}

impl Guarded {
    fn start(cluster: &Cluster) -> Result<Self> {
        let network = PodNetwork::create("guarded", 2, 20)?;
        let address = SocketAddr::new(network.address.parse()?, 19102);
        let child = network
            .command(env!("CARGO_BIN_EXE_metrics-server-doctor").as_ref())
            .args(["serve", "--authentication", "token-review", "--listen-address", &address.to_string()])
            .arg("--kubeconfig")
            .arg(cluster.doctor().kubeconfig())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("the doctor does not start")?;
        let guarded = Self { child, address, _network: network };
        wait_for("probes without a token", Duration::from_secs(20), || {
            let status = guarded.get("/readyz", None)?;
            ensure!(status == 200, "/readyz answers {status}");
            Ok(())
        })?;
        Ok(guarded)
    }

    fn get(&self, path: &str, token: Option<&str>) -> Result<u16> {
        let mut stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(15)))?;
        let token = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
        write!(stream, "GET {path} HTTP/1.1\r\nHost: doctor\r\nConnection: close\r\n{token}\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        answer.split(' ').nth(1).context("no status")?.parse().context("no status")
    }

    /// The API server follows a new binding within moments.
    fn expect(&self, path: &str, token: Option<&str>, status: u16) {
        let seen = wait_for(&format!("{status} for {path}"), Duration::from_secs(15), || {
            let seen = self.get(path, token)?;
            ensure!(seen == status, "{path} answers {seen}");
            Ok(())
        });
        seen.unwrap_or_else(|error| panic!("{error:#}"));
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

const READERS: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader, namespace: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: stranger, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: metrics-reader}
rules:
  - nonResourceURLs: [/metrics]
    verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: metrics-reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: metrics-reader}
subjects:
  - {kind: ServiceAccount, name: reader, namespace: shop}
";

/// What Kubernetes ships for servers that ask about their clients.
const DELEGATOR: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: metrics-server-doctor-delegator}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: 'system:auth-delegator'}
subjects:
  - {kind: ServiceAccount, name: metrics-server-doctor, namespace: metrics-server-doctor}
";
