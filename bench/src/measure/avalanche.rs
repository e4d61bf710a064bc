//! A workload: all clients reconnect at once, after the server was killed.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use protocol::id::RoomName;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout, timeout_at};

use super::results::{Column, Order};
use super::returning::{Heard, Returning};
use super::{About, Subject, Traffic};
use crate::peer::{Peer, Programs, Running};
use crate::usage::Usage;

/// The description of the workload.
pub const ABOUT: About = About {
    text: "The server is killed (`kill -9`) and started again under clients in rooms of ten, who come back as their \
           defaults have it. Times are since the new server took connections. A client is back when it is in its room \
           again; it failed twice if it had to come back once more within 15 s.",
    columns: &[
        Column::new("back, %", 3, Order::MoreIsBetter),
        Column::new("half of them, s", 2, Order::LessIsBetter),
        Column::new("99 %, s", 2, Order::LessIsBetter),
        Column::new("the last, s", 2, Order::LessIsBetter),
        Column::new("failed twice", 0, Order::LessIsBetter),
        Column::new("server's CPU a client, us", 0, Order::LessIsBetter),
    ],
    cast: &[
        (Peer::Everbeat, Traffic::Messages),
        (Peer::SocketIo, Traffic::Texts),
    ],
    growing: &[],
    unit: "clients",
    main: 15_000,
    others: &[],
    seconds: 0,
};

/// The number of clients that connect at the same time at first.
const AT_ONCE: usize = 50;

/// The deadline of a client's first join.
const PATIENCE: Duration = Duration::from_secs(30);

/// The deadline for the last client to reconnect.
const RETURN: Duration = Duration::from_secs(60);

/// The time that they are watched afterwards.
const WATCH: Duration = Duration::from_secs(15);

pub(super) async fn run(subject: Subject, programs: &Programs) -> anyhow::Result<Vec<f64>> {
    let mut server = Running::start(subject.peer, programs, &[]).await?;
    let (tell, mut entries) = mpsc::channel(AT_ONCE);
    let mut clients = JoinSet::new();
    for number in 0..subject.size {
        let room = RoomName::new(&format!("avalanche-{}", number / 10))?;
        clients.spawn(stay(
            server.address,
            subject.peer,
            number,
            room,
            tell.clone(),
        ));
        if number >= AT_ONCE {
            await_entry(&mut entries).await?;
        }
    }
    for _ in 0..subject.size.min(AT_ONCE) {
        await_entry(&mut entries).await?;
    }
    // Long enough for the first ones to reset their backoff.
    sleep(Duration::from_secs(12)).await;
    if entries.try_recv().is_ok() {
        bail!(
            "{}: a client had to come back too early",
            subject.peer.name()
        );
    }
    server.restart().await?;
    let begun = Instant::now();
    let pid = server.pid()?;
    let mut times = Vec::new();
    while times.len() < subject.size {
        match timeout_at((begun + RETURN).into(), entries.recv()).await {
            Ok(Some(at)) => times.push(at.saturating_duration_since(begun)),
            Ok(None) | Err(_) => break,
        }
    }
    let usage = Usage::of(pid)?;
    let mut again = 0;
    let end = Instant::now() + WATCH;
    while let Ok(Some(_)) = timeout_at(end.into(), entries.recv()).await {
        again += 1;
    }
    times.sort();
    let quantile = |share: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index, rounded"
        )]
        let index = (times.len() as f64 * share) as usize;
        let time = times.get(index.min(times.len().saturating_sub(1)));
        time.map_or(f64::NAN, Duration::as_secs_f64)
    };
    #[expect(clippy::cast_precision_loss, reason = "figures of a few digits")]
    let (back, count) = (times.len() as f64, subject.size as f64);
    Ok(vec![
        back / count * 100.0,
        quantile(0.5),
        quantile(0.99),
        quantile(1.0),
        f64::from(again),
        usage.cpu.as_secs_f64() * 1e6 / count,
    ])
}

async fn await_entry(entries: &mut mpsc::Receiver<Instant>) -> anyhow::Result<()> {
    let entry = timeout(PATIENCE, entries.recv()).await;
    entry.context("a client did not get in")?;
    Ok(())
}

/// Runs one client; reports each time that it is in its room.
async fn stay(
    address: SocketAddr,
    peer: Peer,
    number: usize,
    room: RoomName,
    tell: mpsc::Sender<Instant>,
) -> anyhow::Result<()> {
    let mut returning = Returning::new(address, peer, number as u64, room)?;
    loop {
        let heard = returning.hear().await?;
        if matches!(heard, Some(Heard::Entered)) && tell.send(Instant::now()).await.is_err() {
            return Ok(());
        }
    }
}
