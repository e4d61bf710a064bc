//! The witness: a further client, which checks what is served while the log cannot store.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use everbeat_client::{Client, Event, Fate, Options, Status};
use protocol::id::RoomName;
use protocol::outbox::EntryId;
use tokio::time::timeout;

use crate::session::{ENDED, connect};

/// The deadline of an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A client that was live before the fault.
pub struct Witness {
    client: Client,
    room: RoomName,
}

impl Witness {
    /// Connects, publishes one message and waits for its ack.
    ///
    /// # Errors
    /// If it is not live or has no ack in time.
    pub async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let client = connect(address, Options::new(0))?;
        let room = RoomName::new("witness")?;
        let mut witness = Self { client, room };
        let id = witness.publish("before")?;
        witness.sees_durable(id, PATIENCE).await?;
        Ok(witness)
    }

    /// Publishes, and waits for a refusal for now: an error with a time, and no ack.
    ///
    /// # Errors
    /// If the answer is another one, or late.
    pub async fn is_refused_for_now(&mut self, body: &str) -> anyhow::Result<EntryId> {
        let held = self.client.counts().held;
        let id = self.publish(body)?;
        let begun = Instant::now();
        while self.client.counts().held == held {
            if begun.elapsed() > PATIENCE {
                bail!("no error with `retry_after_ms` for a message while nothing can be stored");
            }
            let Ok(event) = timeout(PATIENCE, self.client.next()).await else {
                continue;
            };
            if is_durable(&event.context(ENDED)?, id) {
                bail!("an ack while nothing can be stored");
            }
        }
        Ok(id)
    }

    /// Waits for the ack of a message.
    ///
    /// # Errors
    /// If the ack is not in time.
    pub async fn sees_durable(&mut self, id: EntryId, patience: Duration) -> anyhow::Result<()> {
        let what = "a message did not become durable in time";
        self.sees(patience, what, |event| is_durable(event, id))
            .await
    }

    /// Joins a room anew and requests its history.
    ///
    /// # Errors
    /// If either is not served.
    pub async fn reads(&mut self, room: &RoomName) -> anyhow::Result<()> {
        self.client.leave(room);
        self.client.join(room.clone(), None);
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
        self.client.history(room.clone(), before, 20);
        self.sees(
            PATIENCE,
            "a page of history was not served",
            |event| matches!(event, Event::History { messages, .. } if !messages.is_empty()),
        )
        .await
    }

    /// Exchanges only heartbeats for this time, and checks that its connection lives.
    ///
    /// # Errors
    /// If the connection was lost.
    pub async fn stays(&mut self, how_long: Duration) -> anyhow::Result<()> {
        let before = self.client.counts().connections;
        let quiet = async { while self.client.next().await.is_some() {} };
        let _: Result<(), _> = timeout(how_long, quiet).await;
        let is_live = self.client.status() == Status::Live;
        anyhow::ensure!(
            is_live && self.client.counts().connections == before,
            "a quiet connection did not live for {how_long:?}"
        );
        Ok(())
    }

    fn publish(&mut self, body: &str) -> anyhow::Result<EntryId> {
        Ok(self.client.publish(self.room.clone(), body)?)
    }

    async fn sees(
        &mut self,
        patience: Duration,
        otherwise: &'static str,
        mut wanted: impl FnMut(&Event) -> bool,
    ) -> anyhow::Result<()> {
        let search = async {
            while !wanted(&self.client.next().await.context(ENDED)?) {}
            Ok(())
        };
        timeout(patience, search).await.context(otherwise)?
    }
}

fn is_durable(event: &Event, wanted: EntryId) -> bool {
    matches!(
        event,
        Event::Fate { id, fate: Fate::Durable { .. }, .. } if *id == wanted
    )
}
