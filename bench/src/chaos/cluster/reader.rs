//! Readers: a client of each node that asks for pages of the log all the time, and measures how long it waits.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use everbeat_client::{Client, Event, Options, Status};
use protocol::id::RoomName;
use protocol::position::Offset;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{timeout, timeout_at};

use crate::session::{ENDED, connect};

/// The time between two requests: a page costs 50 points, of which a connection has 200 a second.
const PACE: Duration = Duration::from_millis(300);

/// The number of messages in a page.
const PAGE: u32 = 20;

/// The deadline of the first connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// The largest offset: the page before it is the newest.
const NEWEST: u64 = (1 << 53) - 1;

/// Running readers.
#[derive(Debug)]
pub struct Readers {
    stop: watch::Sender<bool>,
    reading: JoinSet<anyhow::Result<Duration>>,
}

impl Readers {
    /// Connects one to each of these nodes, and lets them read this room. They are members of none.
    ///
    /// # Errors
    /// If one of them is not welcome.
    pub async fn start(nodes: &[SocketAddr], room: &RoomName) -> anyhow::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let mut reading = JoinSet::new();
        for (seed, node) in (1..).zip(nodes) {
            let mut client = connect(*node, Options::new(seed))?;
            let welcome = async {
                loop {
                    let event = client.next().await.context(ENDED)?;
                    if matches!(event, Event::Welcomed { .. }) {
                        return anyhow::Ok(());
                    }
                }
            };
            let welcomed = timeout(PATIENCE, welcome).await;
            welcomed.context("a reader was not welcome in time")??;
            reading.spawn(read_on(client, room.clone(), stopped.clone()));
        }
        Ok(Self { stop, reading })
    }

    /// Ends them; returns the longest time that one of them waited for a page. `None`: there was none.
    ///
    /// # Errors
    /// If one of them lost its connection.
    pub async fn end(mut self) -> anyhow::Result<Option<Duration>> {
        self.stop.send_replace(true);
        let mut longest = None;
        while let Some(waited) = self.reading.join_next().await {
            longest = longest.max(Some(waited??));
        }
        Ok(longest)
    }
}

async fn read_on(
    mut client: Client,
    room: RoomName,
    mut stopped: watch::Receiver<bool>,
) -> anyhow::Result<Duration> {
    let mut longest = Duration::ZERO;
    while !*stopped.borrow() {
        let asked = Instant::now();
        client.history(room.clone(), Offset::new(NEWEST)?, PAGE);
        let is_over = tokio::select! {
            paged = page(&mut client) => { paged?; false }
            _ = stopped.changed() => true,
        };
        longest = longest.max(asked.elapsed());
        if is_over {
            break;
        }
        let quiet = async { while client.next().await.is_some() {} };
        let _: Result<(), _> = timeout_at((asked + PACE).into(), quiet).await;
    }
    ensure!(
        client.counts().connections == 1,
        "a reader lost its connection"
    );
    Ok(longest)
}

/// Waits for a page.
async fn page(client: &mut Client) -> anyhow::Result<()> {
    loop {
        match client.next().await.context(ENDED)? {
            Event::History { .. } => return Ok(()),
            Event::Status(status) if status != Status::Live => bail!("a reader was {status:?}"),
            _ => {}
        }
    }
}
