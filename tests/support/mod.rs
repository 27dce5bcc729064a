//! What the tests of the program as a whole share: it is run as a user runs it.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// The program under test.
pub(crate) fn doctor() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_metrics-server-doctor"));
    // The surroundings of whoever runs the tests must not change what they see.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("METRICS_SERVER_DOCTOR_")) {
        command.env_remove(name);
    }
    command.env_remove("KUBECONFIG");
    // Whatever goes wrong, nobody wants to see where in the program.
    command.env("RUST_BACKTRACE", "1");
    command
}

/// Runs the program to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    doctor().args(arguments).output().expect("the program starts")
}

/// A running program with an HTTP server, ended when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts the program on a free port and waits until it listens.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        // The log tells which port the system chose.
        let log = tempfile::NamedTempFile::new().expect("a file");
        let child = doctor()
            .args(arguments)
            .args(["--listen-address", "127.0.0.1:0", "--log-format", "json"])
            .stdout(Stdio::null())
            .stderr(log.reopen().expect("the file"))
            .spawn()
            .expect("the program starts");
        let mut server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let started = Instant::now();
        loop {
            let text = std::fs::read_to_string(log.path()).expect("the log");
            let listening = text.lines().filter(|line| line.contains("\"listening\"")).find_map(|line| {
                let event: serde_json::Value = serde_json::from_str(line).ok()?;
                event["fields"]["address"].as_str()?.parse().ok()
            });
            if let Some(address) = listening {
                server.address = address;
                return server;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "it never listened; its log:\n{text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Status line, headers and body of a GET.
    pub(crate) fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time limit");
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: doctor\r\nConnection: close\r\n{headers}\r\n").expect("a request");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("an answer");
        let split = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8_lossy(&bytes[..split]).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        Answer { status, head, body: bytes[split + 4..].to_vec() }
    }

    /// The page of `/metrics` in the classic format.
    pub(crate) fn page(&self) -> String {
        self.get("/metrics", &[]).text()
    }

    /// Sends SIGTERM and gives the time until the end and whether it went well.
    pub(crate) fn terminate(mut self) -> (Duration, bool) {
        let asked = Instant::now();
        let sent = Command::new("kill").arg(self.child.id().to_string()).status().expect("kill");
        assert!(sent.success());
        let status = self.child.wait().expect("an end");
        (asked.elapsed(), status.success())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// An answer of the HTTP server; the head in lower case.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("text")
    }
}

/// A real component that `make components` has built, or one clear line.
pub(crate) fn component(name: &str, version: &str, binary: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!(".components/{name}-{version}/{binary}"));
    assert!(path.is_file(), "{} is missing: run `make components`", path.display());
    path
}
