//! A workload: live connections with heartbeats alone.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use protocol::id::RoomName;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::results::{Column, Order};
use super::talk::Seat;
use super::{About, PLAIN, Subject, Traffic};
use crate::peer::{Peer, Programs, Running};
use crate::usage::Usage;

/// The description of the workload.
pub const ABOUT: About = About {
    text: "Connections that say nothing; each server pings every 25 s. Everbeat's are live sessions, ten of them joined \
           to each room; the others are connections in such rooms. Memory is the server's PSS over what it had before \
           the first connection. Measuring begins 30 s after the last connection.",
    columns: &[
        Column::new("memory a connection, kB (PSS)", 2, Order::LessIsBetter).plotted("memory"),
        Column::new("CPU of 100,000, % of one core", 1, Order::LessIsBetter).plotted("cpu"),
        Column::new("connects a second", 0, Order::MoreIsBetter),
    ],
    cast: &[
        (Peer::Everbeat, Traffic::Messages),
        PLAIN[0],
        PLAIN[1],
        PLAIN[2],
        PLAIN[3],
        PLAIN[4],
    ],
    growing: &[
        (Peer::Everbeat, Traffic::Messages),
        (Peer::Bun, Traffic::Texts),
    ],
    unit: "connections",
    main: 15_000,
    others: &[1000, 5000],
    seconds: 50,
};

/// The time before the measurement: the first heartbeats are over then.
const SETTLE: Duration = Duration::from_secs(30);

/// The number of clients that connect at the same time: a listener's queue has room for them.
const AT_ONCE: usize = 50;

/// The number of sessions in a room.
const PER_ROOM: usize = 10;

pub(super) async fn run(
    subject: Subject,
    programs: &Programs,
    seconds: u64,
) -> anyhow::Result<Vec<f64>> {
    let server = Running::start(subject.peer, programs, &[]).await?;
    let pid = server.pid()?;
    let baseline = Usage::of(pid)?;
    let begun = Instant::now();
    let (ready, mut readies) = mpsc::channel(AT_ONCE);
    let mut waiting = 0;
    for number in 0..subject.size {
        let room = RoomName::new(&format!("idle-{}", number / PER_ROOM))?;
        tokio::spawn(stay(server.address, subject, number, room, ready.clone()));
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
    sleep(Duration::from_secs(seconds)).await;
    let after = Usage::of(pid)?;
    if readies.try_recv().is_ok() {
        bail!("{} closed an idle connection", subject.peer.name());
    }
    #[expect(clippy::cast_precision_loss, reason = "figures of a few digits")]
    let (count, pss) = (
        subject.size as f64,
        after.pss_bytes.saturating_sub(baseline.pss_bytes) as f64,
    );
    let cpu = (after.cpu - before.cpu).as_secs_f64() / Duration::from_secs(seconds).as_secs_f64();
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

/// Runs one connection; reports when it is in its room, and when it has ended.
async fn stay(
    address: SocketAddr,
    subject: Subject,
    number: usize,
    room: RoomName,
    ready: mpsc::Sender<bool>,
) {
    // The receiver is dropped when the measurement is over.
    if let Ok(mut seat) = Seat::take(address, subject, number as u64, &[room]).await {
        let _ = ready.send(true).await;
        while seat.is_there().await {}
    }
    let _ = ready.send(false).await;
}
