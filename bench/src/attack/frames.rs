//! Attacks by frames, as fast as the server reads them: renames, joins and leaves, history, pings, and repeated
//! numbers.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use protocol::codec;
use protocol::frame::ClientFrame;
use protocol::id::{Name, RoomName, Seq};
use protocol::position::Offset;
use tokio::task::JoinSet;
use tokio::time::{Interval, interval, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::guest::{Guest, fill};
use super::{Done, Stage};

/// The rooms of each session: as many as it may join.
const ROOMS: usize = 32;

/// The sessions in the same rooms: as many as `presence` names.
const IN_ROOM: usize = 100;

/// The renames a second of each session.
const NAMES_PER_SECOND: u32 = 20;

/// All sessions take another name every 50 ms, of which all rooms are notified.
pub(super) async fn renames(stage: &Stage) -> anyhow::Result<Done> {
    let guests = in_rooms(stage, stage.count(100, 100)).await?;
    flood(stage, guests, Some(NAMES_PER_SECOND), |number| {
        ClientFrame::Rename {
            name: Name::tidy(&format!("name {number}")),
        }
    })
    .await
}

/// All sessions leave their rooms and join them again.
pub(super) async fn churn(stage: &Stage) -> anyhow::Result<Done> {
    let guests = in_rooms(stage, stage.count(100, 100)).await?;
    let rooms = rooms()?;
    flood(stage, guests, None, move |number| {
        let room = rooms[number / 2 % ROOMS].clone();
        if number % 2 == 0 {
            ClientFrame::Leave { room }
        } else {
            join(room)
        }
    })
    .await
}

/// All sessions scroll back as fast as they read.
pub(super) async fn scrolls(stage: &Stage) -> anyhow::Result<Done> {
    let address = stage.server.address;
    let room = RoomName::new("scrolled")?;
    fill(address, &room, vec!["x".repeat(1_000); 210]).await?;
    let guests = Guest::enter_all(address, stage.count(300, 100)).await?;
    let before = Offset::new(211)?;
    flood(stage, guests, None, move |_| ClientFrame::History {
        room: room.clone(),
        before,
        limit: 200,
    })
    .await
}

/// All sessions ping.
pub(super) async fn pings(stage: &Stage) -> anyhow::Result<Done> {
    let guests = Guest::enter_all(stage.server.address, stage.count(300, 100)).await?;
    flood(stage, guests, None, |_| ClientFrame::Ping).await
}

/// All sessions repeat their first message, which is durable.
pub(super) async fn repeats(stage: &Stage) -> anyhow::Result<Done> {
    let room = RoomName::new("repeated")?;
    let mut guests = Guest::enter_all(stage.server.address, stage.count(300, 100)).await?;
    for guest in &mut guests {
        guest.publish(&room, ["said once".to_owned()]).await?;
    }
    let said = move |_| ClientFrame::Publish {
        seq: Seq::FIRST,
        room: room.clone(),
        body: "said once".to_owned(),
    };
    flood(stage, guests, None, said).await
}

/// All sessions publish messages without a text, which are refused for good.
pub(super) async fn refusals(stage: &Stage) -> anyhow::Result<Done> {
    let room = RoomName::new("refused")?;
    let guests = Guest::enter_all(stage.server.address, stage.count(900, 300)).await?;
    let nothing = move |number| ClientFrame::Publish {
        // As many as a session may publish at once: the next one would only be refused for now.
        seq: Seq::after(number as u64),
        room: room.clone(),
        body: String::new(),
    };
    flood(stage, guests, Some(50), nothing).await
}

fn rooms() -> anyhow::Result<Vec<RoomName>> {
    let rooms = (0..ROOMS).map(|number| RoomName::new(&format!("crowd-{number}")));
    Ok(rooms.collect::<Result<_, _>>()?)
}

const fn join(room: RoomName) -> ClientFrame {
    ClientFrame::Join {
        room,
        since: None,
        limit: None,
    }
}

/// So many sessions, in the same rooms.
async fn in_rooms(stage: &Stage, count: usize) -> anyhow::Result<Vec<Guest>> {
    let mut guests = Guest::enter_all(stage.server.address, count.min(IN_ROOM)).await?;
    let rooms = rooms()?;
    for guest in &mut guests {
        for room in &rooms {
            guest.send(&join(room.clone())).await?;
        }
    }
    Ok(guests)
}

/// Each session sends the frames of `next`, at a rate or as fast as the server reads, and reads all answers.
async fn flood(
    stage: &Stage,
    guests: Vec<Guest>,
    per_second: Option<u32>,
    next: impl Fn(usize) -> ClientFrame + Clone + Send + Sync + 'static,
) -> anyhow::Result<Done> {
    stage.begin();
    let sessions = guests.len();
    let mut flooding = JoinSet::new();
    for guest in guests {
        let pace = per_second.map(|count| interval(Duration::from_secs(1) / count));
        flooding.spawn(pour(guest, stage.lasts(), pace, next.clone()));
    }
    let (mut sent, mut came) = (0_u64, 0_u64);
    while let Some(poured) = flooding.join_next().await {
        let poured = poured?;
        sent += poured.0;
        came += poured.1;
    }
    let secs = stage.lasts().as_secs();
    Ok(Done::new(format!(
        "{sessions} sessions send {} frames a second, and get {} kB",
        sent / secs,
        came / 1_000 / secs
    )))
}

/// Sends and reads for one session; returns the frames sent and the bytes received.
async fn pour(
    guest: Guest,
    lasts: Duration,
    mut pace: Option<Interval>,
    next: impl Fn(usize) -> ClientFrame,
) -> (u64, u64) {
    let (mut sink, mut stream) = guest.into_socket().split();
    let (mut sent, mut came) = (0, 0);
    let sending = async {
        for number in 0.. {
            if let Some(pace) = &mut pace {
                pace.tick().await;
            }
            let text = codec::encode(&next(number));
            if sink.send(Message::text(text)).await.is_err() {
                break;
            }
            sent += 1;
        }
        // A session that was refused stays as long as the others.
        std::future::pending::<()>().await;
    };
    let reading = async {
        while let Some(Ok(message)) = stream.next().await {
            came += message.len() as u64;
        }
    };
    let both = async {
        tokio::select! {
            () = sending => {}
            () = reading => {}
        }
    };
    let _: Result<(), _> = timeout(lasts, both).await;
    (sent, came)
}
