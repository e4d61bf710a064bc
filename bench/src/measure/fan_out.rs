//! One talks, many listen.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use hdrhistogram::Histogram;
use protocol::client::Event;
use protocol::id::RoomName;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

use super::results::{Column, Order};
use super::{Scale, Subject};
use crate::client::Client;
use crate::line::Line;
use crate::peer::{Peer, Programs, Running};
use crate::usage::Usage;

/// What is measured.
pub const COLUMNS: &[Column] = &[
    Column::new("server's CPU a delivery, us", 2, Order::LessIsBetter),
    Column::new("p50, ms", 2, Order::LessIsBetter),
    Column::new("p99, ms", 2, Order::LessIsBetter),
    Column::new("p99.9, ms", 2, Order::LessIsBetter),
    Column::new("delivered, %", 3, Order::MoreIsBetter),
];

/// What is done.
pub const TEXT: &str = "One sends 20 texts of 128 bytes a second; each listener notes how long after the moment at which a \
     text was to be sent it came. Everbeat's are drafts, or durable messages; a draft may be replaced by the next one.";

/// How many texts a second.
const RATE: u64 = 20;

/// Everbeat lets through what a person would not send.
const OPTIONS: &[&str] = &["--drafts", "1000", "--publishes", "1000"];

/// The moment from which texts count their time.
type Origin = Instant;

pub(super) async fn run(
    subject: Subject,
    programs: &Programs,
    scale: Scale,
) -> anyhow::Result<Vec<f64>> {
    let server = Running::start(subject.peer, programs, OPTIONS).await?;
    let origin = Instant::now();
    let (ready, mut readies) = mpsc::channel(16);
    let mut listeners = JoinSet::new();
    let count = RATE * scale.seconds.min(20);
    for number in 0..scale.listeners {
        let ear = Ear {
            origin,
            last: count - 1,
            delays: delays()?,
        };
        let (address, ready) = (server.address, ready.clone());
        match subject.peer {
            Peer::Everbeat => listeners.spawn(hear_room(address, number as u64 + 1, ear, ready)),
            peer => listeners.spawn(hear_line(address, peer, ear, ready)),
        };
        tokio::select! {
            ready = timeout(Duration::from_secs(30), readies.recv()) => {
                ready.context("a listener was not ready within 30 s")?;
            }
            Some(ended) = listeners.join_next() => {
                ended??;
                bail!("{}: a listener ended early", subject.peer.name());
            }
        }
    }
    let pid = server.pid()?;
    let mut mouth = Mouth::connect(subject, server.address).await?;
    let before = Usage::of(pid)?;
    let begun = Instant::now();
    for number in 0..count {
        let due = begun + Duration::from_micros(number * 1_000_000 / RATE);
        mouth.rest_until(due).await;
        let at = due.saturating_duration_since(origin).as_nanos();
        mouth.say(format!("{number} {at} ")).await?;
    }
    let mut all = delays()?;
    let collect = async {
        while let Some(delays) = listeners.join_next().await {
            all.add(delays??)?;
        }
        anyhow::Ok(())
    };
    tokio::select! {
        collected = timeout(Duration::from_secs(30), collect) => match collected {
            Ok(collected) => collected?,
            Err(_) => bail!("{}: a listener waits for the last text", subject.peer.name()),
        },
        () = mouth.rest() => {}
    }
    let after = Usage::of(pid)?;
    let wanted = count * scale.listeners as u64;
    ensure!(!all.is_empty(), "nothing was delivered");
    #[expect(clippy::cast_precision_loss, reason = "figures of a few digits")]
    let delivered = all.len() as f64;
    #[expect(clippy::cast_precision_loss, reason = "figures of a few digits")]
    let (ms, share) = (
        |quantile| all.value_at_quantile(quantile) as f64 / 1000.0,
        delivered / wanted as f64,
    );
    Ok(vec![
        (after.cpu - before.cpu).as_secs_f64() * 1e6 / delivered,
        ms(0.5),
        ms(0.99),
        ms(0.999),
        share * 100.0,
    ])
}

/// Microseconds up to a minute, to three digits.
fn delays() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 60_000_000, 3)?)
}

/// What a listener notes.
struct Ear {
    origin: Origin,
    last: u64,
    delays: Histogram<u64>,
}

impl Ear {
    /// Returns whether this was the last one.
    fn hear(&mut self, text: &str) -> anyhow::Result<bool> {
        let mut words = text.split(' ');
        let mut number =
            || -> anyhow::Result<u64> { Ok(words.next().context("no number")?.parse()?) };
        let (number, at) = (number()?, number()?);
        let delay = self
            .origin
            .elapsed()
            .saturating_sub(Duration::from_nanos(at));
        self.delays
            .saturating_record(u64::try_from(delay.as_micros())?.max(1));
        Ok(number == self.last)
    }
}

async fn hear_line(
    address: SocketAddr,
    peer: Peer,
    mut ear: Ear,
    ready: mpsc::Sender<()>,
) -> anyhow::Result<Histogram<u64>> {
    let mut line = Line::connect(address, "/room", peer.dialect()).await?;
    ready.send(()).await?;
    while !ear.hear(&line.receive().await?)? {}
    Ok(ear.delays)
}

async fn hear_room(
    address: SocketAddr,
    seed: u64,
    mut ear: Ear,
    ready: mpsc::Sender<()>,
) -> anyhow::Result<Histogram<u64>> {
    let mut client = enter(address, seed).await?;
    ready.send(()).await?;
    loop {
        for event in client.step().await {
            let is_last = match event {
                Event::Message(message) => ear.hear(&message.body)?,
                Event::Draft(draft) if !draft.body.is_empty() => ear.hear(&draft.body)?,
                _ => false,
            };
            if is_last {
                return Ok(ear.delays);
            }
        }
    }
}

/// A session in the room.
async fn enter(address: SocketAddr, seed: u64) -> anyhow::Result<Client> {
    let mut client = Client::joining(address, seed, room()?).await;
    loop {
        let events = client.step().await;
        if events.iter().any(|e| matches!(e, Event::Joined { .. })) {
            return Ok(client);
        }
    }
}

fn room() -> anyhow::Result<RoomName> {
    Ok(RoomName::new("fan-out")?)
}

/// Who talks.
enum Mouth {
    Line(Box<Line>),
    Drafts(Box<Client>),
    Messages(Box<Client>),
}

impl Mouth {
    async fn connect(subject: Subject, address: SocketAddr) -> anyhow::Result<Self> {
        Ok(match subject {
            Subject {
                peer: Peer::Everbeat,
                durable,
            } => {
                let client = Box::new(enter(address, 0).await?);
                if durable {
                    Self::Messages(client)
                } else {
                    Self::Drafts(client)
                }
            }
            Subject { peer, .. } => {
                let line = Line::connect(address, "/room", peer.dialect()).await?;
                Self::Line(Box::new(line))
            }
        })
    }

    async fn say(&mut self, text: String) -> anyhow::Result<()> {
        let text = format!("{text:-<128}");
        match self {
            Self::Line(line) => line.send("say", &text).await,
            Self::Drafts(client) => {
                let room = room()?;
                client
                    .command(|session, now| session.draft(now, &room, text))
                    .await;
                Ok(())
            }
            Self::Messages(client) => {
                let room = room()?;
                let (published, _) = client
                    .command(|session, now| session.publish(now, room, text))
                    .await;
                published.context("the text was not taken")?;
                Ok(())
            }
        }
    }

    async fn rest_until(&mut self, due: Instant) {
        tokio::select! {
            () = sleep_until(due.into()) => {}
            () = self.rest() => {}
        }
    }

    /// Listens to what concerns it: heartbeats, acks, its own texts.
    async fn rest(&mut self) {
        match self {
            Self::Line(line) => while line.receive().await.is_ok() {},
            Self::Drafts(client) | Self::Messages(client) => loop {
                client.step().await;
            },
        }
        std::future::pending().await
    }
}
