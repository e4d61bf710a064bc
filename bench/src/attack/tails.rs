//! An attack by tails: very many rooms are open, and each one's tail is full.

use std::time::Instant;

use protocol::frame::ClientFrame;
use protocol::id::RoomName;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::guest::Guest;
use super::{Done, Stage};

/// The rooms of each session: fewer than it may join.
const ROOMS: usize = 28;

/// The size of each message: the largest text, of the character with the longest escape.
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
                    // Refused for now, by the rate of publishes, which is not attacked here.
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
    // The attack lasts its whole time, also if every session has used its rate up.
    tokio::time::sleep(stage.lasts().saturating_sub(begun.elapsed())).await;
    let rooms = listening.len() * ROOMS;
    Ok(Done::new(format!("{published} messages in {rooms} rooms")))
}
