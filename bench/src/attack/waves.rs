//! An attack in waves: many sessions type a long text in one room, close, and connect again.

use std::time::{Duration, Instant};

use protocol::frame::ClientFrame;
use protocol::id::RoomName;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::guest::{Guest, dial_wide};
use super::{Done, Stage};

/// The size of the largest text.
const TEXT_BYTES: usize = 8192;

/// The length of a wave: enough for the server to send each session the drafts of the others.
const STAYS: Duration = Duration::from_secs(1);

pub(super) async fn play(stage: &Stage) -> anyhow::Result<Done> {
    let address = stage.server.address;
    let room = RoomName::new("waves")?;
    stage.begin();
    let begun = Instant::now();
    let (mut waves, mut typed) = (0, 0);
    while begun.elapsed() < stage.lasts() {
        let mut coming = JoinSet::new();
        for _ in 0..stage.count(400, 300) {
            let room = room.clone();
            coming.spawn(async move {
                let mut guest = Guest::enter_over(dial_wide(address).await?, address).await?;
                let join = ClientFrame::Join {
                    room: room.clone(),
                    since: None,
                    limit: None,
                };
                guest.send(&join).await?;
                let body = "y".repeat(TEXT_BYTES);
                guest.send(&ClientFrame::Draft { room, body }).await?;
                anyhow::Ok(guest)
            });
        }
        let there: Vec<Guest> = coming.join_all().await.into_iter().flatten().collect();
        waves += 1;
        typed += there.len();
        sleep(STAYS).await;
    }
    Ok(Done::new(format!("{typed} drafts in {waves} waves")))
}
