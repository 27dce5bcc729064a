//! A real Alertmanager, and the receiver at the end of the way: a webhook that keeps what it is told.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{components, isolation::STATE, page, wait::wait_for};

/// A running server; ended when dropped.
#[derive(Debug)]
pub struct Alertmanager {
    server: Child,
    /// Where Prometheus sends alerts.
    pub address: SocketAddr,
}

impl Alertmanager {
    /// Starts one with this configuration and waits until it is ready.
    pub fn start(configuration: &str) -> Result<Self> {
        let folder = Path::new(STATE).join("alertmanager");
        fs::create_dir_all(&folder)?;
        let file = folder.join("alertmanager.yml");
        fs::write(&file, configuration)?;
        let address: SocketAddr = "127.0.0.1:9093".parse()?;
        let log_path = folder.join("log");
        let log = File::create(&log_path)?;
        let server = Command::new(components::program("alertmanager")?)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            // Alone: it waits for no peers.
            .arg("--cluster.listen-address=")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("alertmanager does not start")?;
        let alertmanager = Self { server, address };
        wait_for("Alertmanager to be ready", Duration::from_secs(20), || {
            let (status, body) = page::get(address, "/-/ready")?;
            ensure!(status == 200, "/-/ready answers {status}: {body}");
            Ok(())
        })
        .with_context(|| fs::read_to_string(&log_path).unwrap_or_default())?;
        Ok(alertmanager)
    }
}

impl Alertmanager {
    /// Raises alerts with these labels, as Prometheus does.
    pub fn raise(&self, alerts: &[Value]) -> Result<()> {
        let alerts: Vec<Value> = alerts.iter().map(|labels| serde_json::json!({ "labels": labels })).collect();
        let body = Value::from(alerts).to_string();
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(
            stream,
            "POST /api/v2/alerts HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.split(' ').nth(1) == Some("200"), "{answer}");
        Ok(())
    }

    /// Every alert that it knows, with labels and `status.state`: `active`, or `suppressed` when it is inhibited.
    pub fn alerts(&self) -> Result<Vec<Value>> {
        let (status, body) = page::get(self.address, "/api/v2/alerts")?;
        ensure!(status == 200, "/api/v2/alerts answers {status}: {body}");
        serde_json::from_str(&body).with_context(|| body)
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// An HTTP server that keeps the alerts of every notification, in the order of their arrival.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Where notifications are to be sent.
    pub url: String,
    alerts: Arc<Mutex<Vec<Value>>>,
}

impl Webhook {
    /// Listens until the process ends.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let webhook = Self { url: format!("http://{}/", listener.local_addr()?), alerts: Arc::default() };
        let alerts = Arc::clone(&webhook.alerts);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                match notification(stream) {
                    Ok(body) => {
                        let mut alerts = alerts.lock().unwrap_or_else(PoisonError::into_inner);
                        alerts.extend(body["alerts"].as_array().into_iter().flatten().cloned());
                    }
                    Err(error) => eprintln!("testbed: webhook: {error:#}"),
                }
            }
        });
        Ok(webhook)
    }

    /// Every alert that was told of so far, `firing` or `resolved`, as Alertmanager's webhook has it.
    pub fn alerts(&self) -> Vec<Value> {
        self.alerts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets what was told.
    pub fn clear(&self) {
        self.alerts.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Reads one POST and answers it.
fn notification(stream: TcpStream) -> Result<Value> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    reader.into_inner().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    Ok(serde_json::from_slice(&body)?)
}
