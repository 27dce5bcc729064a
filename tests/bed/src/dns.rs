//! A name server that knows no name.

use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::net::UdpSocket;

use crate::isolation::API_SERVER_ADDRESS;

/// Answers every question with "no such name" until the process ends.
pub(crate) async fn serve() -> Result<()> {
    let socket = Arc::new(UdpSocket::bind((API_SERVER_ADDRESS, 53)).await.context("the name server's port is taken")?);
    tokio::spawn(async move {
        let mut packet = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut packet).await {
            if length < 12 {
                continue;
            }
            // The question comes back as a response (QR) that recursion is available for (RA), code 3 (NXDOMAIN).
            packet[2] |= 0x80;
            packet[3] = 0x83;
            // Nobody listens any more where this fails.
            let _ = socket.send_to(&packet[..length], from).await;
        }
    });
    Ok(())
}
