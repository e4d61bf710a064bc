//! A workload: three nodes on NATS beside one node on its own disk.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use everbeat_client::{Event, Fate, MemoryStorage, Options};
use hdrhistogram::Histogram;
use protocol::id::RoomName;
use protocol::position::Position;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::fan_out::audience;
use super::publish::{self, Acks, acks};
use super::results::{Column, Order};
use super::talk::{self, Assembly, Speech};
use super::{About, Subject, Traffic};
use crate::peer::{Peer, Programs, Running};
use crate::session::{ENDED, connect};

/// The description of the workload.
pub const ABOUT: About = About {
    text: "Three nodes on three NATS servers (which sync every write) beside one node on its own disk. First as many \
           publish as in `publish`, at all nodes. Then one says 20 messages of 128 bytes a second in one room, in which so many \
           listen at all nodes. Then so many sessions lose their connections and miss 100 messages; all come back at once, \
           each at the next node, and take what they missed. The CPU is that of all nodes and NATS servers together; all \
           share one machine, and one disk.",
    columns: &[
        Column::new("messages a second", 0, Order::MoreIsBetter),
        Column::new("ack p50, ms", 2, Order::LessIsBetter),
        Column::new("ack p99, ms", 2, Order::LessIsBetter),
        Column::new("CPU a message, us", 1, Order::LessIsBetter),
        Column::new("delivery p50, ms", 2, Order::LessIsBetter),
        Column::new("delivery p99, ms", 2, Order::LessIsBetter),
        Column::new("CPU a delivery, us", 1, Order::LessIsBetter),
        Column::new("resumed p50, ms", 1, Order::LessIsBetter),
        Column::new("resumed, the last, ms", 1, Order::LessIsBetter),
    ],
    cast: &[
        (Peer::Everbeat, Traffic::Messages),
        (Peer::Cluster, Traffic::Messages),
    ],
    growing: &[
        (Peer::Everbeat, Traffic::Messages),
        (Peer::Cluster, Traffic::Messages),
    ],
    unit: "clients",
    main: 256,
    others: &[1, 64],
    seconds: 10,
};

/// The number of messages that a session misses.
const MISSED: usize = 100;

/// The number of sessions in a room.
const PER_ROOM: usize = 64;

/// The deadline of a session's return.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn run(
    subject: Subject,
    programs: &Programs,
    seconds: u64,
) -> anyhow::Result<Vec<f64>> {
    let server = Running::start(subject.peer, programs, publish::OPTIONS).await?;
    let (addresses, pids) = (server.addresses(), server.pids()?);
    let Acks {
        rate,
        p50,
        p99,
        cpu,
    } = acks(&addresses, &pids, subject.size, seconds).await?;
    let speech = Speech {
        every: Duration::from_millis(50),
        count: 20 * seconds,
        bytes: 128,
    };
    let parties = audience(RoomName::new("fan-out")?, subject.size);
    let assembly = Assembly::gather(&addresses, subject, parties, speech).await?;
    let talk = assembly.talk(&pids).await?;
    let delivered = talk.figures();
    ensure!(
        delivered.last() == Some(&100.0),
        "not all was delivered: {delivered:?}"
    );
    let resumed = resumed(&addresses, subject.size).await?;
    #[expect(clippy::cast_precision_loss, reason = "a minute at most")]
    let ms = |us: u64| us as f64 / 1000.0;
    Ok(vec![
        rate,
        p50,
        p99,
        cpu,
        talk.ms(0.5),
        talk.ms(0.99),
        delivered[0],
        ms(resumed.value_at_quantile(0.5)),
        ms(resumed.max()),
    ])
}

/// A session without a connection.
struct Away {
    /// The node that it was at.
    node: usize,
    storage: MemoryStorage,
    room: RoomName,
    position: Position,
}

/// Lets so many sessions lose their connections, miss messages, and come back at once, each at the next node. How
/// long each took until it had all that it missed, in microseconds.
async fn resumed(addresses: &[SocketAddr], sessions: usize) -> anyhow::Result<Histogram<u64>> {
    let mut away = Vec::new();
    for number in 0..sessions {
        let room = RoomName::new(&format!("moves-{}", number / PER_ROOM))?;
        away.push(leave(addresses, number % addresses.len(), number as u64, room).await?);
    }
    for number in 0..sessions.div_ceil(PER_ROOM) {
        let room = RoomName::new(&format!("moves-{number}"))?;
        let seed = (sessions + number) as u64;
        miss(addresses[number % addresses.len()], seed, room).await?;
    }
    let mut returning = JoinSet::new();
    for (seed, away) in (1_000_000..).zip(away) {
        let address = addresses[(away.node + 1) % addresses.len()];
        returning.spawn(async move { timeout(PATIENCE, come_back(address, seed, away)).await? });
    }
    let mut took = Histogram::new_with_bounds(1, 60_000_000, 3)?;
    while let Some(one) = returning.join_next().await {
        took.saturating_record(u64::try_from(one??.as_micros())?.max(1));
    }
    Ok(took)
}

/// A session that joins a room, and whose connection ends.
async fn leave(
    addresses: &[SocketAddr],
    node: usize,
    seed: u64,
    room: RoomName,
) -> anyhow::Result<Away> {
    let storage = MemoryStorage::default();
    let options = Options::new(seed).storage(storage.clone());
    let mut client = connect(addresses[node], options)?;
    client.join(room.clone(), None);
    while !matches!(client.next().await.context(ENDED)?, Event::Joined { .. }) {}
    let position = client.position(&room).context("not in the room")?.clone();
    Ok(Away {
        node,
        storage,
        room,
        position,
    })
}

/// Publishes the messages that the others miss.
async fn miss(address: SocketAddr, seed: u64, room: RoomName) -> anyhow::Result<()> {
    let mut client = talk::enter(address, seed, &[]).await?;
    for number in 0..MISSED {
        client.publish(room.clone(), format!("{number:-<64}"))?;
    }
    let mut durable = 0;
    while durable < MISSED {
        let event = client.next().await.context(ENDED)?;
        durable += usize::from(is_durable(&event));
    }
    Ok(())
}

/// A session that goes on elsewhere. How long it took until it had all that it missed.
async fn come_back(address: SocketAddr, seed: u64, away: Away) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let options = Options::new(seed).storage(away.storage);
    let mut client = connect(address, options)?;
    client.join(away.room, Some(away.position));
    let mut got = 0;
    while got < MISSED {
        match client.next().await.context(ENDED)? {
            Event::Message(_) => got += 1,
            Event::Joined { gap, .. } => ensure!(!gap, "the log had forgotten"),
            Event::Welcomed { resumed, .. } => ensure!(resumed, "the session was lost"),
            _ => {}
        }
    }
    Ok(begun.elapsed())
}

fn is_durable(event: &Event) -> bool {
    matches!(
        event,
        Event::Fate {
            fate: Fate::Durable { .. },
            ..
        }
    )
}
