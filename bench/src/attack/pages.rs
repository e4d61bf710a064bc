//! An attack by pages: a room's page is loaded again and again, with messages that do not compress.

use std::time::Duration;

use fastrand::Rng;
use protocol::id::RoomName;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout_at};

use super::guest::{ask, fill};
use super::{Done, Stage};

/// The number of messages in the room.
const MESSAGES: usize = 60;

/// The size of each message.
const TEXT_BYTES: usize = 8192;

/// The requests for pages a second: far fewer than an address may send.
const PER_SECOND: u32 = 40;

/// The most requests that wait for their answer at the same time.
const AT_ONCE: usize = 40;

pub(super) async fn play(stage: &Stage) -> anyhow::Result<Done> {
    let address = stage.server.address;
    let room = RoomName::new("heavy")?;
    let mut rng = Rng::with_seed(stage.seed);
    let noise = (0..MESSAGES).map(|_| {
        let letters = std::iter::repeat_with(|| rng.alphanumeric());
        letters.take(TEXT_BYTES).collect()
    });
    fill(address, &room, noise.collect()).await?;
    let request = format!(
        "GET /r/{room} HTTP/1.1\r\nHost: {address}\r\nAccept-Encoding: gzip, br\r\nConnection: close\r\n\r\n"
    );
    stage.begin();
    let end = Instant::now() + stage.lasts();
    let mut pace = interval(Duration::from_secs(1) / PER_SECOND);
    let mut loads = JoinSet::new();
    let (mut answered, mut refused, mut bytes) = (0, 0, 0);
    while timeout_at(end, pace.tick()).await.is_ok() {
        let request = request.clone();
        if loads.len() < AT_ONCE {
            loads.spawn(async move { ask(address, &request).await });
        }
        while let Some(load) = loads.try_join_next() {
            match load? {
                Ok((head, content)) if head.starts_with("HTTP/1.1 200 ") => {
                    answered += 1;
                    bytes = bytes.max(content.len());
                }
                Ok(_) | Err(_) => refused += 1,
            }
        }
    }
    let kb = bytes / 1000;
    let mut did = format!("{answered} pages of at most {kb} kB");
    if refused > 0 {
        did += &format!(", {refused} refused");
    }
    Ok(Done::new(did))
}
