//! A caller that sends request after request, each on a new connection, and records those without an answer.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// The deadline of an answer: a call may wait for the end of a drain, and for the next server.
const PATIENCE: Duration = Duration::from_secs(20);

/// The pause between two calls.
const PAUSE: Duration = Duration::from_millis(5);

/// A running caller.
pub struct Caller {
    stop: watch::Sender<bool>,
    calling: JoinHandle<(u64, Vec<String>)>,
}

impl Caller {
    /// Begins to call.
    pub fn start(address: SocketAddr) -> Self {
        let (stop, stopped) = watch::channel(false);
        let calling = tokio::spawn(call_on(address, stopped));
        Self { stop, calling }
    }

    /// Stops; returns the number of answered calls, and the errors of the others.
    pub async fn end(self) -> (u64, Vec<String>) {
        self.stop.send_replace(true);
        let died = |error: tokio::task::JoinError| (0, vec![error.to_string()]);
        self.calling.await.unwrap_or_else(died)
    }
}

async fn call_on(address: SocketAddr, stopped: watch::Receiver<bool>) -> (u64, Vec<String>) {
    let (mut answered, mut complaints) = (0, Vec::new());
    while !*stopped.borrow() {
        match timeout(PATIENCE, call(address)).await {
            Ok(Ok(())) => answered += 1,
            Ok(Err(error)) => complaints.push(format!("{error:#}")),
            Err(_) => complaints.push(format!("no answer within {PATIENCE:?}")),
        }
        sleep(PAUSE).await;
    }
    (answered, complaints)
}

/// One call. Any answer is good, also that the server drains.
async fn call(address: SocketAddr) -> anyhow::Result<()> {
    let stream = TcpStream::connect(address).await;
    let mut stream = stream.context("no connection")?;
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.context("cut off")?;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer).await;
    read.context("cut off before the answer")?;
    ensure!(answer.starts_with(b"HTTP/1.1 "), "an end without an answer");
    Ok(())
}
