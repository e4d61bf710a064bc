//! Attacks by new connections: some that would escape all counts, and sessions that are created and abandoned.

use std::time::Instant;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Duration, sleep, timeout};

use super::guest::{Guest, dial};
use super::{Done, Stage};

/// The default of `--handshakes-per-address`: the TCP connections of an address that are neither a
/// WebSocket nor a stream of events.
const HALF_OPEN: usize = 200;

/// The deadline of an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Requests `HEAD` of events on connections that stay open.
pub(super) async fn heads(stage: &Stage) -> anyhow::Result<Done> {
    let address = stage.server.address;
    let request = format!("HEAD /api/rooms/lobby/events HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stage.begin();
    let begun = Instant::now();
    let mut kept = Vec::new();
    let mut dropped = 0;
    while begun.elapsed() < stage.lasts() && kept.len() < 2_500 {
        match asked(dial(address).await, &request).await {
            Some(stream) => kept.push(stream),
            None => {
                dropped += 1;
                sleep(Duration::from_millis(5)).await;
            }
        }
    }
    let open = kept.iter().filter(|stream| is_open(stream)).count();
    let mut done = Done::new(format!("{open} connections open, {dropped} dropped"));
    if open > HALF_OPEN {
        let complaint = format!("{open} connections of one address where {HALF_OPEN} may be");
        done.complaints.push(complaint);
    }
    Ok(done)
}

/// Sends the request; returns the connection if it was answered.
async fn asked(stream: anyhow::Result<TcpStream>, request: &str) -> Option<TcpStream> {
    let mut stream = stream.ok()?;
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut head = [0; 12];
    timeout(PATIENCE, stream.read_exact(&mut head))
        .await
        .ok()?
        .ok()?;
    Some(stream)
}

/// Whether the server keeps it open: after the rest of the answer there is no end.
fn is_open(stream: &TcpStream) -> bool {
    let mut rest = [0; 4096];
    loop {
        match stream.try_read(&mut rest) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
        }
    }
}

/// Creates new sessions, again and again.
pub(super) async fn sessions(stage: &Stage) -> anyhow::Result<Done> {
    let address = stage.server.address;
    stage.begin();
    let begun = Instant::now();
    let (mut made, mut refused) = (0, 0);
    while begun.elapsed() < stage.lasts() {
        match Guest::enter(address).await {
            Ok(_) => made += 1,
            Err(_) => {
                refused += 1;
                sleep(Duration::from_millis(5)).await;
            }
        }
    }
    let made = u64::try_from(made).context("a count")?;
    let rate = made / stage.lasts().as_secs();
    Ok(Done::new(format!(
        "{made} sessions, {rate} a second; {refused} refused"
    )))
}
