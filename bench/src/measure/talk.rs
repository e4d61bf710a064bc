//! Talks in rooms: some clients send texts, all receive them and record the delays.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context;
use everbeat_client::{Client, Event};
use hdrhistogram::Histogram;
use protocol::id::RoomName;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

use super::results::{Column, Order};
use super::{Subject, Traffic};
use crate::line::Line;
use crate::session::{ENDED, joining};
use crate::usage::Usage;

/// The columns of [`Talk::figures`].
pub(super) const COLUMNS: &[Column] = &[
    Column::new("server's CPU a delivery, us", 2, Order::LessIsBetter).plotted("cpu"),
    Column::new("p50, ms", 2, Order::LessIsBetter),
    Column::new("p99, ms", 2, Order::LessIsBetter).plotted("p99"),
    Column::new("p99.9, ms", 2, Order::LessIsBetter),
    Column::new("delivered, %", 3, Order::MoreIsBetter),
];

/// Everbeat's options: rates above those of a human.
pub(super) const OPTIONS: &[&str] = &["--drafts", "10000", "--publishes", "10000"];

/// The number of clients that join at the same time: a listener's queue has room for them.
const AT_ONCE: usize = 50;

/// The deadline of each step beyond the talk itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client that receives the others' texts in some rooms, and may send in the first of them.
pub(super) struct Party {
    /// Its rooms.
    pub(super) rooms: Vec<RoomName>,
    /// The time of its first text, after the beginning; `None`: it only listens.
    pub(super) first: Option<Duration>,
    /// The number of others whose texts it receives.
    pub(super) talkers: usize,
}

/// The texts of each talker.
#[derive(Clone, Copy, Debug)]
pub(super) struct Speech {
    /// The time from one text to the next.
    pub(super) every: Duration,
    /// The number of texts.
    pub(super) count: u64,
    /// The size of a text.
    pub(super) bytes: usize,
}

/// All clients of a talk, in their rooms.
pub(super) struct Assembly {
    begin: watch::Sender<Option<Instant>>,
    done: mpsc::Receiver<Vec<u32>>,
    parties: JoinSet<anyhow::Result<()>>,
    count: usize,
    length: Duration,
    /// The number of expected deliveries.
    wanted: u64,
}

/// The result of a talk.
#[derive(Debug)]
pub(super) struct Talk {
    /// From the moment at which a text was to be sent to its delivery, in microseconds.
    pub(super) delays: Histogram<u64>,
    wanted: u64,
    cpu: Duration,
}

impl Assembly {
    /// Connects all parties, to the addresses in turn, and lets them join their rooms.
    pub(super) async fn gather(
        addresses: &[SocketAddr],
        subject: Subject,
        parties: Vec<Party>,
        speech: Speech,
    ) -> anyhow::Result<Self> {
        let (begin, _) = watch::channel(None);
        let (tell, done) = mpsc::channel(AT_ONCE);
        let (ready, mut readies) = mpsc::channel(AT_ONCE);
        let hears: usize = parties.iter().map(|party| party.talkers).sum();
        let last = parties.iter().filter_map(|party| party.first).max();
        let mut assembly = Self {
            done,
            parties: JoinSet::new(),
            count: parties.len(),
            length: last.unwrap_or_default()
                + speech
                    .every
                    .mul_f64(f64::from(u32::try_from(speech.count)?)),
            wanted: hears as u64 * speech.count,
            begin,
        };
        let mut entering = 0;
        for (number, party) in parties.into_iter().enumerate() {
            let attend = Attend {
                number,
                party,
                speech,
                begin: assembly.begin.subscribe(),
                ready: ready.clone(),
                done: tell.clone(),
            };
            let address = addresses[number % addresses.len()];
            assembly.parties.spawn(attend.run(address, subject));
            entering += 1;
            if entering == AT_ONCE {
                assembly.wait_for(&mut readies).await?;
                entering -= 1;
            }
        }
        for _ in 0..entering {
            assembly.wait_for(&mut readies).await?;
        }
        Ok(assembly)
    }

    /// Lets them talk, and waits until all have received the last text. The server is these processes.
    pub(super) async fn talk(mut self, pids: &[u32]) -> anyhow::Result<Talk> {
        let before = Usage::of_all(pids)?;
        self.begin.send_replace(Some(Instant::now()));
        let mut delays = Histogram::new_with_bounds(1, 60_000_000, 3)?;
        for _ in 0..self.count {
            let patience = self.length + PATIENCE;
            let heard = tokio::select! {
                heard = timeout(patience, self.done.recv()) => heard,
                Some(ended) = self.parties.join_next() => return Err(early(ended)),
            };
            for delay in heard
                .context("a party still waits for the last text")?
                .unwrap_or_default()
            {
                delays.saturating_record(u64::from(delay.max(1)));
            }
        }
        let after = Usage::of_all(pids)?;
        Ok(Talk {
            delays,
            wanted: self.wanted,
            cpu: after.cpu - before.cpu,
        })
    }

    async fn wait_for(&mut self, readies: &mut mpsc::Receiver<()>) -> anyhow::Result<()> {
        tokio::select! {
            ready = timeout(PATIENCE, readies.recv()) => {
                ready.context("a party did not get in")?;
                Ok(())
            }
            Some(ended) = self.parties.join_next() => Err(early(ended)),
        }
    }
}

fn early(ended: Result<anyhow::Result<()>, tokio::task::JoinError>) -> anyhow::Error {
    match ended {
        Ok(Err(error)) => error.context("a party ended early"),
        Ok(Ok(())) => anyhow::anyhow!("a party ended early"),
        Err(error) => error.into(),
    }
}

impl Talk {
    /// The figures of [`COLUMNS`].
    pub(super) fn figures(&self) -> Vec<f64> {
        let delivered = self.delays.len();
        #[expect(clippy::cast_precision_loss, reason = "figures of a few digits")]
        let (delivered, wanted) = (delivered.max(1) as f64, self.wanted as f64);
        vec![
            self.cpu.as_secs_f64() * 1e6 / delivered,
            self.ms(0.5),
            self.ms(0.99),
            self.ms(0.999),
            delivered / wanted * 100.0,
        ]
    }

    /// The delay that this share of the deliveries does not exceed, in milliseconds.
    pub(super) fn ms(&self, quantile: f64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a minute at most")]
        let us = self.delays.value_at_quantile(quantile) as f64;
        us / 1000.0
    }
}

/// What the task of one party needs.
struct Attend {
    number: usize,
    party: Party,
    speech: Speech,
    begin: watch::Receiver<Option<Instant>>,
    ready: mpsc::Sender<()>,
    done: mpsc::Sender<Vec<u32>>,
}

impl Attend {
    async fn run(mut self, address: SocketAddr, subject: Subject) -> anyhow::Result<()> {
        let seed = self.number as u64;
        let mut seat = Seat::take(address, subject, seed, &self.party.rooms).await?;
        self.ready.send(()).await?;
        let begun = loop {
            tokio::select! {
                heard = seat.hear() => drop(heard?),
                changed = self.begin.changed() => {
                    changed?;
                    if let Some(begun) = *self.begin.borrow_and_update() {
                        break begun;
                    }
                }
            }
        };
        let Speech {
            every,
            count,
            bytes,
        } = self.speech;
        let mut ear = Ear {
            begun,
            last: count - 1,
            missing: self.party.talkers,
            delays: Vec::new(),
        };
        let mut due = self.party.first.map(|first| begun + first);
        let mut said = 0;
        while due.is_some() || ear.missing > 0 {
            tokio::select! {
                texts = seat.hear() => for text in texts? {
                    ear.hear(&text)?;
                },
                at = reached(due) => {
                    let planned = at.saturating_duration_since(begun).as_nanos();
                    let text = format!("{} {said} {planned} ", self.number);
                    seat.say(format!("{text:-<bytes$}")).await?;
                    said += 1;
                    due = (said < count).then(|| at + every);
                }
            }
        }
        self.done.send(ear.delays).await?;
        // Stays connected until all have received everything.
        loop {
            seat.hear().await?;
        }
    }
}

async fn reached(at: Option<Instant>) -> Instant {
    match at {
        Some(at) => {
            sleep_until(at.into()).await;
            at
        }
        None => std::future::pending().await,
    }
}

/// The records of a listener.
struct Ear {
    begun: Instant,
    last: u64,
    /// The number of talkers whose last text is still to come.
    missing: usize,
    /// In microseconds.
    delays: Vec<u32>,
}

impl Ear {
    fn hear(&mut self, text: &str) -> anyhow::Result<()> {
        let mut words = text.split(' ').skip(1);
        let mut number =
            || -> anyhow::Result<u64> { Ok(words.next().context("no number")?.parse()?) };
        let (number, planned) = (number()?, Duration::from_nanos(number()?));
        let delay = self.begun.elapsed().saturating_sub(planned);
        self.delays
            .push(u32::try_from(delay.as_micros()).unwrap_or(u32::MAX));
        if number == self.last {
            self.missing = self.missing.saturating_sub(1);
        }
        Ok(())
    }
}

/// A connection or a session in its rooms.
pub(super) enum Seat {
    /// A connection to a peer.
    Line(Box<Line>),
    /// A session that talks into this room.
    Client(Box<Client>, RoomName, Traffic),
}

impl Seat {
    pub(super) async fn take(
        address: SocketAddr,
        subject: Subject,
        seed: u64,
        rooms: &[RoomName],
    ) -> anyhow::Result<Self> {
        if let Some(dialect) = subject.peer.foreign() {
            let line = Line::enter(address, rooms, dialect).await?;
            return Ok(Self::Line(Box::new(line)));
        }
        let client = Box::new(enter(address, seed, rooms).await?);
        let room = rooms
            .first()
            .context("a party is in one room at least")?
            .clone();
        Ok(Self::Client(client, room, subject.traffic))
    }

    /// Waits for the next event. Returns whether the connection is still the same, without a reconnect.
    pub(super) async fn is_there(&mut self) -> bool {
        match self {
            Self::Line(line) => line.receive().await.is_ok(),
            Self::Client(client, ..) => {
                client.next().await.is_some() && client.counts().connections == 1
            }
        }
    }

    /// The next texts; perhaps none. Safe to cancel.
    async fn hear(&mut self) -> anyhow::Result<Vec<String>> {
        match self {
            Self::Line(line) => Ok(vec![line.receive().await?.as_str().to_owned()]),
            Self::Client(client, ..) => {
                let text = match client.next().await.context(ENDED)? {
                    Event::Message(message) if Some(&message.session) != client.id() => {
                        Some(message.body)
                    }
                    Event::Draft(draft) if !draft.body.is_empty() => Some(draft.body),
                    _ => None,
                };
                Ok(text.into_iter().collect())
            }
        }
    }

    async fn say(&mut self, text: String) -> anyhow::Result<()> {
        match self {
            Self::Line(line) => line.send("say", &text).await,
            Self::Client(client, room, traffic) => {
                if *traffic == Traffic::Drafts {
                    client.draft(room, text);
                    return Ok(());
                }
                let published = client.publish(room.clone(), text);
                published.context("a text was not taken")?;
                Ok(())
            }
        }
    }
}

/// A session that is in its rooms.
pub(super) async fn enter(
    address: SocketAddr,
    seed: u64,
    rooms: &[RoomName],
) -> anyhow::Result<Client> {
    let mut client = joining(address, seed, rooms)?;
    let mut missing = rooms.len();
    while missing > 0 {
        let event = client.next().await.context(ENDED)?;
        missing -= usize::from(matches!(event, Event::Joined { .. }));
    }
    Ok(client)
}
