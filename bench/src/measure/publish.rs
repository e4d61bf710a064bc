//! A workload: durable messages, as many as the server can store.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use everbeat_client::{Client, Event, Fate};
use hdrhistogram::Histogram;
use protocol::id::RoomName;
use protocol::outbox::EntryId;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::results::{Column, Order};
use super::{About, Subject, Traffic, talk};
use crate::peer::{Peer, Programs, Running};
use crate::session::ENDED;
use crate::usage::Usage;

/// The description of the workload.
pub const ABOUT: About = About {
    text: "Sessions publish messages of 64 bytes, each in a room of its own; a message counts when its ack is there, and \
           its time begins with the publish. One alone waits for each ack before the next message; more keep 32 on the \
           way each, as many as the client lets out. The disk's fsync is that of a file beside the log, to which 4 kB \
           are added each time, measured just before.",
    columns: &[
        Column::new("messages a second", 0, Order::MoreIsBetter).plotted("rate"),
        Column::new("ack p50, ms", 2, Order::LessIsBetter),
        Column::new("ack p99, ms", 2, Order::LessIsBetter),
        Column::new("the disk's fsync p50, ms", 2, Order::LessIsBetter),
        Column::new("server's CPU a message, us", 2, Order::LessIsBetter),
    ],
    cast: &[(Peer::Everbeat, Traffic::Messages)],
    growing: &[(Peer::Everbeat, Traffic::Messages)],
    unit: "publishers",
    main: 256,
    others: &[1, 16, 64],
    seconds: 10,
};

/// The server's options: no rate limits the publishes.
pub(super) const OPTIONS: &[&str] = &["--publishes", "1000000", "--publish-burst", "1000000"];

/// The number of messages that a client has on the way at once (its `window`).
const WINDOW: usize = 32;

/// The number of syncs that are timed.
const SYNCS: usize = 101;

/// How acks came.
pub(super) struct Acks {
    /// A second.
    pub(super) rate: f64,
    /// The median time from a publish, in milliseconds.
    pub(super) p50: f64,
    /// What 99 % of them do not exceed, in milliseconds.
    pub(super) p99: f64,
    /// The servers' CPU for each, in microseconds.
    pub(super) cpu: f64,
}

pub(super) async fn run(
    subject: Subject,
    programs: &Programs,
    seconds: u64,
) -> anyhow::Result<Vec<f64>> {
    let server = Running::start(subject.peer, programs, OPTIONS).await?;
    let fsync = fsync(&std::env::temp_dir())?;
    let pids = [server.pid()?];
    let acks = acks(&[server.address], &pids, subject.size, seconds).await?;
    let Acks {
        rate,
        p50,
        p99,
        cpu,
    } = acks;
    Ok(vec![rate, p50, p99, fsync.as_secs_f64() * 1000.0, cpu])
}

/// Lets so many publish at the addresses in turn, as fast as they can. The server is these processes.
pub(super) async fn acks(
    addresses: &[SocketAddr],
    pids: &[u32],
    publishers: usize,
    seconds: u64,
) -> anyhow::Result<Acks> {
    let window = if publishers == 1 { 1 } else { WINDOW };
    let mut all = Vec::new();
    for number in 0..publishers {
        let address = addresses[number % addresses.len()];
        all.push(Publisher::enter(address, number).await?);
    }
    let (end, ends) = watch::channel(false);
    let before = Usage::of_all(pids)?;
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for publisher in all {
        tasks.spawn(publisher.run(window, ends.clone()));
    }
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    end.send_replace(true);
    let after = Usage::of_all(pids)?;
    let took = begun.elapsed();
    let mut delays = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
    while let Some(acks) = tasks.join_next().await {
        for ack in acks?? {
            delays.saturating_record(u64::try_from(ack.as_micros())?.max(1));
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "figures of a few digits")]
    let (count, ms) = (delays.len().max(1) as f64, |quantile| {
        delays.value_at_quantile(quantile) as f64 / 1000.0
    });
    Ok(Acks {
        rate: count / took.as_secs_f64(),
        p50: ms(0.5),
        p99: ms(0.99),
        cpu: (after.cpu - before.cpu).as_secs_f64() * 1e6 / count,
    })
}

/// The median time of a sync of 4 kB at the end of a file.
fn fsync(directory: &Path) -> anyhow::Result<Duration> {
    let mut file: File = tempfile::tempfile_in(directory)?;
    let mut times = Vec::new();
    for _ in 0..SYNCS {
        let begun = Instant::now();
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    times.sort();
    Ok(times[SYNCS / 2])
}

struct Publisher {
    client: Client,
    room: RoomName,
    /// When each message on its way was published.
    waiting: BTreeMap<EntryId, Instant>,
    acks: Vec<Duration>,
}

impl Publisher {
    async fn enter(address: SocketAddr, number: usize) -> anyhow::Result<Self> {
        let room = RoomName::new(&format!("publish-{number}"))?;
        Ok(Self {
            client: talk::enter(address, number as u64, std::slice::from_ref(&room)).await?,
            room,
            waiting: BTreeMap::new(),
            acks: Vec::new(),
        })
    }

    /// Publishes until the end; returns the time of each ack before it.
    async fn run(
        mut self,
        window: usize,
        mut end: watch::Receiver<bool>,
    ) -> anyhow::Result<Vec<Duration>> {
        loop {
            while self.waiting.len() < window {
                let at = Instant::now();
                let text = format!("{:-<64}", self.acks.len());
                let id = self.client.publish(self.room.clone(), text)?;
                self.waiting.insert(id, at);
            }
            let event = tokio::select! {
                event = self.client.next() => event.context(ENDED)?,
                _ = end.changed() => return Ok(self.acks),
            };
            self.note(&event);
        }
    }

    fn note(&mut self, event: &Event) {
        if let Event::Fate {
            id,
            fate: Fate::Durable { .. },
            ..
        } = event
            && let Some(at) = self.waiting.remove(id)
        {
            self.acks.push(at.elapsed());
        }
    }
}
