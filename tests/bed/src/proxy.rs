//! An HTTP proxy that forbids everything.

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::isolation::API_SERVER_ADDRESS;

const PORT: u16 = 3128;

/// Where it is, as `HTTPS_PROXY` has it.
pub(crate) fn url() -> String {
    format!("http://{API_SERVER_ADDRESS}:{PORT}")
}

/// Refuses every request until the process ends.
pub(crate) async fn serve() -> Result<()> {
    let listener = TcpListener::bind((API_SERVER_ADDRESS, PORT)).await.context("the proxy's port is taken")?;
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                // A client that leaves before its answer is no trouble.
                let _ = connection.read(&mut [0; 4096]).await;
                let _ = connection
                    .write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    .await;
                let _ = connection.shutdown().await;
            });
        }
    });
    Ok(())
}
