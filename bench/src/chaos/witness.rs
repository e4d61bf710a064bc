//! One client more, that asks for things while the log cannot store.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use protocol::client::{Config, Event, Fate, Session, Status, Stored};
use protocol::id::RoomName;
use protocol::outbox::EntryId;
use tokio::time::timeout;

use crate::client::Client;

/// How long anything that it asks for may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A client that is live since before the trouble.
pub struct Witness {
    client: Client,
    room: RoomName,
}

impl Witness {
    /// Connects, and sees one message of its own become durable.
    ///
    /// # Errors
    /// If that is not so.
    pub async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let client = Client::new(address, Config::default(), Stored::default());
        let room = RoomName::new("witness")?;
        let mut witness = Self { client, room };
        witness.client.command(Session::connect).await;
        let id = witness.publish("before").await?;
        witness.sees_durable(id, PATIENCE).await?;
        Ok(witness)
    }

    /// Publishes, and waits for a refusal for now: an error with a time, and no ack.
    ///
    /// # Errors
    /// If it hears anything else.
    pub async fn is_refused_for_now(&mut self, body: &str) -> anyhow::Result<EntryId> {
        let held = self.client.counts().held;
        let id = self.publish(body).await?;
        let begun = Instant::now();
        while self.client.counts().held == held {
            if begun.elapsed() > PATIENCE {
                bail!("no error with `retry_after_ms` for a message while nothing can be stored");
            }
            let Ok(events) = timeout(PATIENCE, self.client.step()).await else {
                continue;
            };
            if events.iter().any(|event| is_durable(event, id)) {
                bail!("an ack while nothing can be stored");
            }
        }
        Ok(id)
    }

    /// Waits for the ack of a message.
    ///
    /// # Errors
    /// If it is not in time.
    pub async fn sees_durable(&mut self, id: EntryId, patience: Duration) -> anyhow::Result<()> {
        let what = "a message did not become durable in time";
        self.sees(patience, what, |event| is_durable(event, id))
            .await
    }

    /// Joins a room anew and reads on in its history.
    ///
    /// # Errors
    /// If either is not served.
    pub async fn reads(&mut self, room: &RoomName) -> anyhow::Result<()> {
        let (joined, left) = (room.clone(), room.clone());
        self.client
            .command(|session, now| {
                session.leave(now, &left);
                session.join(now, joined, None);
            })
            .await;
        let mut head = None;
        self.sees(PATIENCE, "a join was not served", |event| {
            if let Event::Joined { joined, .. } = event
                && joined.room == *room
            {
                head = Some(joined.head);
            }
            head.is_some()
        })
        .await?;
        let before = head.context("no head")?;
        let name = room.clone();
        self.client
            .command(|session, now| session.history(now, name, before, 20))
            .await;
        self.sees(
            PATIENCE,
            "a page of history was not served",
            |event| matches!(event, Event::History { messages, .. } if !messages.is_empty()),
        )
        .await
    }

    /// Says nothing and hears nothing but heartbeats for this time, and keeps its connection.
    ///
    /// # Errors
    /// If it lost it.
    pub async fn stays(&mut self, how_long: Duration) -> anyhow::Result<()> {
        let before = self.client.counts().connections;
        let quiet = async {
            loop {
                self.client.step().await;
            }
        };
        let _: Result<(), _> = timeout(how_long, quiet).await;
        let is_live = self.client.session().status() == Status::Live;
        anyhow::ensure!(
            is_live && self.client.counts().connections == before,
            "a quiet connection did not live for {how_long:?}"
        );
        Ok(())
    }

    async fn publish(&mut self, body: &str) -> anyhow::Result<EntryId> {
        let (room, body) = (self.room.clone(), body.to_owned());
        let (taken, _) = self
            .client
            .command(|session, now| session.publish(now, room, body))
            .await;
        Ok(taken?)
    }

    async fn sees(
        &mut self,
        patience: Duration,
        otherwise: &'static str,
        mut wanted: impl FnMut(&Event) -> bool,
    ) -> anyhow::Result<()> {
        let search = async { while !self.client.step().await.iter().any(&mut wanted) {} };
        timeout(patience, search).await.context(otherwise)
    }
}

fn is_durable(event: &Event, wanted: EntryId) -> bool {
    matches!(
        event,
        Event::Fate { id, fate: Fate::Durable { .. }, .. } if *id == wanted
    )
}
