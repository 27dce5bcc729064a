//! HTTP proxies that let nothing through.

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::isolation::API_SERVER_ADDRESS;

/// What a proxy does with whatever is asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proxy {
    /// It answers 403.
    Forbids,
    /// It closes the connection without an answer.
    Closes,
}

impl Proxy {
    const fn port(self) -> u16 {
        match self {
            Self::Forbids => 3128,
            Self::Closes => 3129,
        }
    }

    /// Where it is, as `HTTPS_PROXY` has it.
    pub fn url(self) -> String {
        format!("http://{API_SERVER_ADDRESS}:{}", self.port())
    }
}

/// Serves both until the process ends.
pub(crate) async fn serve() -> Result<()> {
    for proxy in [Proxy::Forbids, Proxy::Closes] {
        let listener =
            TcpListener::bind((API_SERVER_ADDRESS, proxy.port())).await.context("the proxy's port is taken")?;
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                tokio::spawn(async move {
                    // A client that leaves before its answer is no trouble.
                    let _ = connection.read(&mut [0; 4096]).await;
                    if proxy == Proxy::Forbids {
                        let _ = connection
                            .write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                            .await;
                    }
                    let _ = connection.shutdown().await;
                });
            }
        });
    }
    Ok(())
}
