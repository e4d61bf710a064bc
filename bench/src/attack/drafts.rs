//! An attack by drafts: a long one in each of very many rooms.

use std::time::Instant;

use protocol::frame::ClientFrame;
use protocol::id::RoomName;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use super::guest::Guest;
use super::{Done, Stage};

/// The rooms of each session: as many as it may join.
const ROOMS: usize = 32;

/// The drafts a second that a session may send.
const PER_SECOND: u32 = 20;

/// The size of each draft: the largest text, of the character with the longest escape.
const TEXT_BYTES: usize = 8192;

pub(super) async fn play(stage: &Stage) -> anyhow::Result<Done> {
    let address = stage.server.address;
    let mut rooms = Vec::new();
    let mut guests = Vec::new();
    for number in 0..stage.count(400, 100) {
        let mut guest = Guest::enter(address).await?;
        let named = (0..ROOMS).map(|room| RoomName::new(&format!("draft-{number}-{room}")));
        let named: Vec<RoomName> = named.collect::<Result<_, _>>()?;
        for room in &named {
            let join = ClientFrame::Join {
                room: room.clone(),
                since: None,
                limit: None,
            };
            guest.send(&join).await?;
        }
        guests.push(guest);
        rooms.push(named);
    }
    stage.begin();
    let begun = Instant::now();
    let mut typing = JoinSet::new();
    for (mut guest, rooms) in guests.into_iter().zip(rooms) {
        let left = stage.lasts();
        typing.spawn(async move {
            let mut pace = interval(std::time::Duration::from_secs(1) / PER_SECOND);
            let mut typed = 0_usize;
            let type_on = async {
                for room in rooms.iter().cycle() {
                    pace.tick().await;
                    let draft = ClientFrame::Draft {
                        room: room.clone(),
                        body: "\u{1}".repeat(TEXT_BYTES),
                    };
                    if guest.send(&draft).await.is_err() {
                        break;
                    }
                    typed += 1;
                }
            };
            let _: Result<(), _> = timeout(left, type_on).await;
            (typed, guest)
        });
    }
    let (mut typed, mut there) = (0, Vec::new());
    while let Some(ended) = typing.join_next().await {
        let (count, guest) = ended?;
        typed += count;
        there.push(guest);
    }
    tokio::time::sleep(stage.lasts().saturating_sub(begun.elapsed())).await;
    let rooms = there.len() * ROOMS;
    Ok(Done::new(format!("{typed} drafts in {rooms} rooms")))
}
