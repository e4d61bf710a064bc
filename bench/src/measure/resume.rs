//! A workload: all clients reconnect after they missed many messages.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use everbeat_client::{Client, Event, Fate};
use protocol::id::RoomName;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::results::{Column, Order};
use super::{About, Subject, Traffic, talk};
use crate::peer::{Peer, Programs, Running};
use crate::session::ENDED;
use crate::usage::Usage;

/// The description of the workload.
pub const ABOUT: About = About {
    text: "Sessions in rooms of a hundred lose their connections; 1,000 messages of 64 bytes are said in each room; then all \
           come back at once, and each takes all that it missed, in order.",
    columns: &[
        Column::new("messages replayed a second", 0, Order::MoreIsBetter),
        Column::new("until the last has everything, s", 2, Order::LessIsBetter),
        Column::new("server's CPU a message, us", 2, Order::LessIsBetter),
        Column::new(
            "server's memory a session, kB (PSS)",
            1,
            Order::LessIsBetter,
        ),
    ],
    cast: &[(Peer::Everbeat, Traffic::Messages)],
    growing: &[],
    unit: "sessions",
    main: 10_000,
    others: &[],
    seconds: 0,
};

/// The server's options: no rate limits the publishes.
const OPTIONS: &[&str] = &["--publishes", "1000000", "--publish-burst", "1000000"];

/// The number of clients in a room.
const PER_ROOM: usize = 100;

/// The number of messages that each client misses.
const BEHIND: usize = 1000;

/// The number of clients that join at the same time.
const AT_ONCE: usize = 50;

/// The deadline of one step.
const PATIENCE: Duration = Duration::from_secs(120);

/// The phase of the workload, for all clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Here,
    Away,
    Back,
}

pub(super) async fn run(subject: Subject, programs: &Programs) -> anyhow::Result<Vec<f64>> {
    let server = Running::start(subject.peer, programs, OPTIONS).await?;
    let (phase, phases) = watch::channel(Phase::Here);
    let (tell, mut told) = mpsc::channel(AT_ONCE);
    let mut readers = JoinSet::new();
    let rooms: Vec<RoomName> = (0..subject.size.div_ceil(PER_ROOM))
        .map(|number| RoomName::new(&format!("resume-{number}")))
        .collect::<Result<_, _>>()?;
    for number in 0..subject.size {
        let room = rooms[number / PER_ROOM].clone();
        let (address, phases, tell) = (server.address, phases.clone(), tell.clone());
        readers.spawn(async move {
            let rooms = std::slice::from_ref(&room);
            let client = talk::enter(address, number as u64, rooms).await?;
            read(client, phases, tell).await
        });
        if number >= AT_ONCE {
            await_one(&mut told).await?;
        }
    }
    for _ in 0..subject.size.min(AT_ONCE) {
        await_one(&mut told).await?;
    }
    phase.send_replace(Phase::Away);
    for _ in 0..subject.size {
        await_one(&mut told).await?;
    }
    let mut writers = JoinSet::new();
    for (number, room) in rooms.into_iter().enumerate() {
        let seed = (subject.size + number) as u64;
        let client = talk::enter(server.address, seed, &[]).await?;
        writers.spawn(write(client, room));
    }
    while let Some(writer) = writers.join_next().await {
        writer??;
    }
    let before = Usage::of(server.pid()?)?;
    let begun = Instant::now();
    phase.send_replace(Phase::Back);
    for _ in 0..subject.size {
        await_one(&mut told).await?;
    }
    let took = begun.elapsed().as_secs_f64();
    let after = Usage::of(server.pid()?)?;
    while let Some(reader) = readers.join_next().await {
        reader??;
    }
    #[expect(clippy::cast_precision_loss, reason = "figures of a few digits")]
    let (sessions, messages, memory) = (
        subject.size as f64,
        (subject.size * BEHIND) as f64,
        after.pss_bytes as f64,
    );
    Ok(vec![
        messages / took,
        took,
        (after.cpu - before.cpu).as_secs_f64() * 1e6 / messages,
        memory / sessions / 1000.0,
    ])
}

async fn await_one(told: &mut mpsc::Receiver<()>) -> anyhow::Result<()> {
    let one = timeout(PATIENCE, told.recv()).await;
    one.context("a client made no progress")?;
    Ok(())
}

/// Runs one client: disconnects and reconnects as the phase says; reports when it has joined, has disconnected, and
/// has every message.
async fn read(
    mut client: Client,
    mut phase: watch::Receiver<Phase>,
    tell: mpsc::Sender<()>,
) -> anyhow::Result<()> {
    tell.send(()).await?;
    let mut count = 0;
    while count < BEHIND {
        tokio::select! {
            Some(event) = client.next() => match event {
                Event::Message(_) => count += 1,
                Event::Joined { gap, .. } => ensure!(!gap, "the log had forgotten"),
                _ => {}
            },
            changed = phase.changed() => {
                changed?;
                let now = *phase.borrow_and_update();
                match now {
                    Phase::Here => {}
                    Phase::Away => {
                        client.disconnect();
                        tell.send(()).await?;
                    }
                    Phase::Back => {
                        client.connect();
                    }
                }
            }
        }
    }
    tell.send(()).await?;
    Ok(())
}

/// Publishes the messages that the others miss.
async fn write(mut client: Client, room: RoomName) -> anyhow::Result<()> {
    let mut durable = 0;
    for number in 0..BEHIND {
        client.publish(room.clone(), format!("{number:-<64}"))?;
    }
    while durable < BEHIND {
        let event = client.next().await.context(ENDED)?;
        durable += usize::from(is_durable(&event));
    }
    Ok(())
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
