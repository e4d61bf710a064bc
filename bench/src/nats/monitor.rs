//! What a NATS server says of itself over HTTP (`http` in its configuration).

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The deadline of an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The monitoring address of one server.
#[derive(Debug)]
pub(super) struct Monitor {
    pub(super) address: SocketAddr,
}

impl Monitor {
    /// Whether it calls itself healthy.
    pub(super) async fn is_well(&self) -> bool {
        let health = self.get("/healthz").await;
        health.is_ok_and(|(status, _)| status.contains(" 200 "))
    }

    /// Whether the server of this name says that it leads this stream itself. What it says of others may be old.
    pub(super) async fn leads(&self, server: &str, stream: &str) -> bool {
        let Ok((_, body)) = self.get("/jsz?accounts=true&streams=true").await else {
            return false;
        };
        let Ok(jsz) = serde_json::from_str::<Value>(&body) else {
            return false;
        };
        let accounts = jsz["account_details"].as_array().into_iter().flatten();
        let mut streams = accounts
            .filter_map(|account| account["stream_detail"].as_array())
            .flatten();
        streams.any(|found| found["name"] == stream && found["cluster"]["leader"] == server)
    }

    /// The status line and the body.
    async fn get(&self, path: &str) -> anyhow::Result<(String, String)> {
        let get = async {
            let mut stream = TcpStream::connect(self.address).await?;
            // HTTP/1.0: the body comes in one piece, and ends with the connection.
            let request = format!("GET {path} HTTP/1.0\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            let answer = String::from_utf8_lossy(&answer);
            let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
            let status = head.lines().next().unwrap_or_default();
            Ok((status.to_owned(), body.to_owned()))
        };
        timeout(PATIENCE, get).await.context("no answer in time")?
    }
}
