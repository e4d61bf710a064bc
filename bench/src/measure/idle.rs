//! Connections that are live and say nothing but heartbeats.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use protocol::client::Event;
use protocol::id::RoomName;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::Scale;
use super::results::{Column, Order};
use crate::client::Client;
use crate::line::Line;
use crate::peer::{Peer, Programs, Running};
use crate::usage::Usage;

/// What is measured.
pub const COLUMNS: &[Column] = &[
    Column::new("memory a connection, kB (PSS)", 2, Order::LessIsBetter),
    Column::new("CPU of 100,000, % of one core", 1, Order::LessIsBetter),
    Column::new("connects a second", 0, Order::MoreIsBetter),
];

/// What is done.
pub const TEXT: &str = "Connections that say nothing; each server pings every 25 s. Everbeat's are live sessions, ten of \
     them joined to each room; the others are bare connections. Memory is the server's PSS over what it had before the \
     first connection. Measuring begins 30 s after the last connection.";

/// How long they are left alone before they are measured: the first beats are over then.
const SETTLE: Duration = Duration::from_secs(30);

/// How many connect at once: a listener's queue has room for them.
const AT_ONCE: usize = 50;

/// How many sessions share a room.
const PER_ROOM: usize = 10;

pub(super) async fn run(peer: Peer, programs: &Programs, scale: Scale) -> anyhow::Result<Vec<f64>> {
    let server = Running::start(peer, programs, &[]).await?;
    let pid = server.pid()?;
    let baseline = Usage::of(pid)?;
    let begun = Instant::now();
    let (ready, mut readies) = mpsc::channel(AT_ONCE);
    let mut waiting = 0;
    for number in 0..scale.connections {
        let ready = ready.clone();
        let address = server.address;
        if peer == Peer::Everbeat {
            let room = RoomName::new(&format!("idle-{}", number / PER_ROOM))?;
            tokio::spawn(join(address, number as u64, room, ready));
        } else {
            tokio::spawn(listen(address, peer, ready));
        }
        waiting += 1;
        if waiting == AT_ONCE {
            await_ready(&mut readies).await?;
            waiting -= 1;
        }
    }
    for _ in 0..waiting {
        await_ready(&mut readies).await?;
    }
    let took = begun.elapsed();
    sleep(SETTLE).await;
    let before = Usage::of(pid)?;
    sleep(Duration::from_secs(scale.seconds)).await;
    let after = Usage::of(pid)?;
    if readies.try_recv().is_ok_and(|alive| !alive) {
        bail!("{} closed an idle connection", peer.name());
    }
    #[expect(clippy::cast_precision_loss, reason = "figures of a few digits")]
    let (count, pss) = (
        scale.connections as f64,
        after.pss_bytes.saturating_sub(baseline.pss_bytes) as f64,
    );
    let cpu =
        (after.cpu - before.cpu).as_secs_f64() / Duration::from_secs(scale.seconds).as_secs_f64();
    Ok(vec![
        pss / count / 1000.0,
        cpu / count * 100_000.0 * 100.0,
        count / took.as_secs_f64(),
    ])
}

async fn await_ready(readies: &mut mpsc::Receiver<bool>) -> anyhow::Result<()> {
    let ready = timeout(Duration::from_secs(30), readies.recv()).await;
    let ready = ready.context("a connection was not ready within 30 s")?;
    match ready {
        Some(true) => Ok(()),
        Some(false) | None => bail!("a connection was refused"),
    }
}

/// Tells when it is connected, and when that has ended.
async fn listen(address: SocketAddr, peer: Peer, ready: mpsc::Sender<bool>) {
    let Ok(mut line) = Line::connect(address, "/room", peer.dialect()).await else {
        // Nobody hears it when the measurement is over.
        let _ = ready.send(false).await;
        return;
    };
    let _ = ready.send(true).await;
    while line.receive().await.is_ok() {}
    let _ = ready.send(false).await;
}

/// Tells when it is in its room.
async fn join(address: SocketAddr, seed: u64, room: RoomName, ready: mpsc::Sender<bool>) {
    let mut client = Client::joining(address, seed, room).await;
    loop {
        for event in client.step().await {
            if matches!(event, Event::Joined { .. }) {
                // A second time, and it was not idle: it had to come back.
                let is_first = client.counts().connections == 1;
                let _ = ready.send(is_first).await;
            }
        }
    }
}
