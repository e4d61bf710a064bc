//! Reads the whole logs of rooms back, by a client of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use everbeat_client::{Client, Event, Options};
use protocol::id::RoomName;
use protocol::position::Offset;
use tokio::time::timeout;

use super::mark::Mark;
use super::member::Received;
use crate::session::{ENDED, connect};

/// The number of messages in a request: as many as the server gives.
const PAGE: u32 = 200;

/// The deadline of one answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The messages of each room, in the order of the offsets.
pub type Logs = BTreeMap<RoomName, Vec<Received>>;

/// Reads these rooms page by page, from the newest message to the oldest.
///
/// # Errors
/// If the server does not answer.
pub async fn read(address: SocketAddr, rooms: &[RoomName]) -> anyhow::Result<Logs> {
    let options = Options::new(0).configure(|config| config.join_limit = 0);
    let mut client = connect(address, options)?;
    until(&mut client, |event| {
        matches!(event, Event::Welcomed { .. }).then_some(())
    })
    .await?;
    let mut logs = Logs::new();
    for room in rooms {
        logs.insert(room.clone(), read_room(&mut client, room).await?);
    }
    Ok(logs)
}

/// The offset of the newest message in each.
pub fn heads(logs: &Logs) -> BTreeMap<RoomName, Offset> {
    let head = |log: &Vec<Received>| log.last().map_or(0, |last| last.offset);
    logs.iter()
        .filter_map(|(room, log)| Some((room.clone(), Offset::new(head(log)).ok()?)))
        .collect()
}

async fn read_room(client: &mut Client, room: &RoomName) -> anyhow::Result<Vec<Received>> {
    client.join(room.clone(), None);
    let head = until(client, |event| match event {
        Event::Joined { joined, .. } if joined.room == *room => Some(joined.head),
        _ => None,
    })
    .await?;
    let mut before = head.next();
    let mut newest_first = Vec::new();
    while before > Offset::ZERO.next() {
        client.history(room.clone(), before, PAGE);
        let (messages, more) = until(client, |event| match event {
            Event::History { messages, more, .. } => Some((messages, more)),
            _ => None,
        })
        .await?;
        newest_first.extend(messages.iter().rev().map(|message| Received {
            offset: message.offset.get(),
            mark: Mark::of(message),
        }));
        match messages.first() {
            Some(oldest) if more => before = oldest.offset,
            Some(_) | None => break,
        }
    }
    newest_first.reverse();
    Ok(newest_first)
}

async fn until<T>(
    client: &mut Client,
    mut found: impl FnMut(Event) -> Option<T>,
) -> anyhow::Result<T> {
    let search = async {
        loop {
            if let Some(found) = found(client.next().await.context(ENDED)?) {
                return Ok(found);
            }
        }
    };
    timeout(PATIENCE, search)
        .await
        .context("the server did not answer the reader of the log")?
}
