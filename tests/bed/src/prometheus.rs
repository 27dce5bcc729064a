//! A real Prometheus that scrapes one target.

use std::{
    fmt::Write as _,
    fs::{self, File},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{components, isolation::STATE, page};

/// A running server; ended when dropped.
#[derive(Debug)]
pub struct Prometheus {
    server: Child,
    address: SocketAddr,
}

impl Prometheus {
    /// Starts one that scrapes `target` every second.
    pub fn start(target: SocketAddr) -> Result<Self> {
        Self::start_with(&scraping(target))
    }

    /// Starts one with this configuration.
    pub fn start_with(text: &str) -> Result<Self> {
        Self::start_in(&Path::new(STATE).join("prometheus"), "127.0.0.1:9090".parse()?, text)
    }

    /// Starts one with this configuration that keeps its files in `folder` and listens on `address`.
    pub fn start_in(folder: &Path, address: SocketAddr, text: &str) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let configuration = folder.join("prometheus.yml");
        fs::write(&configuration, text)?;
        let log = File::create(folder.join("log"))?;
        let server = Command::new(components::program("prometheus")?)
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("prometheus does not start")?;
        Ok(Self { server, address })
    }

    /// The results of an instant query; `expression` needs no escaping but for blanks and braces, which is done here.
    pub fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let escaped: String = expression.bytes().fold(String::new(), |mut all, byte| {
            if byte.is_ascii_alphanumeric() || b"_-.".contains(&byte) {
                all.push(char::from(byte));
            } else {
                // Writing into a text does not fail.
                let _ = write!(all, "%{byte:02X}");
            }
            all
        });
        let (status, body) = page::get(self.address, &format!("/api/v1/query?query={escaped}"))?;
        ensure!(status == 200, "the query answers {status}: {body}");
        let answer: Value = serde_json::from_str(&body)?;
        answer["data"]["result"].as_array().cloned().with_context(|| format!("no result: {body}"))
    }
}

/// A configuration that scrapes `target` every second.
pub fn scraping(target: SocketAddr) -> String {
    format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n  - job_name: doctor\n    static_configs: [{{targets: ['{target}']}}]\n"
    )
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
