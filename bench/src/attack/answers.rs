//! Attacks by unread answers: the largest requests, on as many connections as an address may have.

use std::net::SocketAddr;

use anyhow::Context;
use protocol::frame::ClientFrame;
use protocol::id::RoomName;
use protocol::position::Offset;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::guest::{Guest, ask, dial, fill};
use super::{Done, Stage};

/// The number of messages in the room: more than fit into one page.
const MESSAGES: usize = 210;

/// The size of each message: the largest text, of the character with the longest escape.
const TEXT_BYTES: usize = 8192;

/// The number of pages that each connection requests.
const PAGES: usize = 4;

async fn flooded(to: SocketAddr) -> anyhow::Result<RoomName> {
    let room = RoomName::new("flood")?;
    fill(to, &room, vec!["\u{1}".repeat(TEXT_BYTES); MESSAGES]).await?;
    Ok(room)
}

/// Requests `history` of 200 messages four times in each session.
pub(super) async fn history(stage: &Stage) -> anyhow::Result<Done> {
    let address = stage.server.address;
    let room = flooded(address).await?;
    let mut guests = Guest::enter_all(address, stage.count(900, 300)).await?;
    stage.begin();
    let ask = ClientFrame::History {
        room,
        before: Offset::new(MESSAGES as u64 + 1)?,
        limit: 200,
    };
    for guest in &mut guests {
        for _ in 0..PAGES {
            guest.send(&ask).await?;
        }
    }
    sleep(stage.lasts()).await;
    let did = format!("{} sessions ask for {PAGES} pages each", guests.len());
    Ok(Done::new(did))
}

/// Requests the same by GET.
pub(super) async fn gets(stage: &Stage) -> anyhow::Result<Done> {
    let address = stage.server.address;
    let room = flooded(address).await?;
    let request =
        format!("GET /api/rooms/{room}/messages?limit=200 HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stage.begin();
    let streams = asked(address, &request, PAGES, stage.count(190, 190)).await?;
    sleep(stage.lasts()).await;
    let did = format!("{} connections ask for {PAGES} pages each", streams.len());
    Ok(Done::new(did))
}

/// Listens to events from the first message on.
pub(super) async fn events(stage: &Stage) -> anyhow::Result<Done> {
    let address = stage.server.address;
    let room = flooded(address).await?;
    let request = format!(
        "GET /api/rooms/{room}/messages?limit=1 HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    );
    let (_, content) = ask(address, &request).await?;
    let newest: serde_json::Value = serde_json::from_slice(&content)?;
    let epoch = newest["epoch"].as_str().context("no epoch")?;
    stage.begin();
    let mut streams = Vec::new();
    // Each from another offset: so no two read the same.
    for number in 0..stage.count(900, 300) {
        let since = number % (MESSAGES - 64);
        let request = format!(
            "GET /api/rooms/{room}/events?since={epoch}:{since} HTTP/1.1\r\nHost: {address}\r\n\r\n"
        );
        streams.extend(asked(address, &request, 1, 1).await?);
    }
    sleep(stage.lasts()).await;
    let did = format!("{} listeners from the first message on", streams.len());
    Ok(Done::new(did))
}

/// Connections on which this request was sent so many times, and no answer is read.
async fn asked(
    to: SocketAddr,
    request: &str,
    times: usize,
    connections: usize,
) -> anyhow::Result<Vec<TcpStream>> {
    let mut streams = Vec::with_capacity(connections);
    for _ in 0..connections {
        let mut stream = dial(to).await?;
        stream.write_all(request.repeat(times).as_bytes()).await?;
        streams.push(stream);
    }
    Ok(streams)
}
