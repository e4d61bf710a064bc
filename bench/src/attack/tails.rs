//! Tails: very many rooms are open, and filled with what is kept of their newest messages.

use std::time::Instant;

use protocol::frame::ClientFrame;
use protocol::id::RoomName;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::guest::Guest;
use super::{Done, Stage};

/// How many rooms each session is in: fewer than it may be.
const ROOMS: usize = 28;

/// What each message is: as much as a text may have of the character whose escape is the longest.
const TEXT_BYTES: usize = 8192;

pub(super) async fn play(stage: &Stage) -> anyhow::Result<Done> {
    let address = stage.server.address;
    let mut listening = JoinSet::new();
    let mut writers = Vec::new();
    for number in 0..stage.count(150, 60) {
        let mut listener = Guest::enter(address).await?;
        let rooms = (0..ROOMS).map(|room| RoomName::new(&format!("tail-{number}-{room}")));
        let rooms: Vec<RoomName> = rooms.collect::<Result<_, _>>()?;
        for room in &rooms {
            let join = ClientFrame::Join {
                room: room.clone(),
                since: None,
                limit: None,
            };
            listener.send(&join).await?;
        }
        // A listener keeps the rooms open while the writers change.
        listening.spawn(listener.discard());
        writers.push((Guest::enter(address).await?, rooms));
    }
    stage.begin();
    let begun = Instant::now();
    let mut writing = JoinSet::new();
    for (mut writer, rooms) in writers {
        let left = stage.lasts();
        writing.spawn(async move {
            let mut published = 0_usize;
            let write = async {
                for room in rooms.iter().cycle() {
                    let texts = vec!["\u{1}".repeat(TEXT_BYTES); 5];
                    let count = texts.len();
                    // Told to wait: that is the limit of publishes, and not what is tried here.
                    if writer.publish(room, texts).await.is_err() {
                        break;
                    }
                    published += count;
                }
            };
            let _: Result<(), _> = timeout(left, write).await;
            published
        });
    }
    let mut published = 0;
    while let Some(count) = writing.join_next().await {
        published += count?;
    }
    // So long in all, also where each has said by then what it may.
    tokio::time::sleep(stage.lasts().saturating_sub(begun.elapsed())).await;
    let rooms = listening.len() * ROOMS;
    Ok(Done::new(format!("{published} messages in {rooms} rooms")))
}
