//! The engine on NATS JetStream: one stream of packs, a second one of what replaced erased packs, and core subjects for
//! what nodes tell each other.
//!
//! Packs come live by the stream's *republished* subject, which is core NATS; what is missed there is fetched by its
//! sequence. There is no JetStream consumer: ordered ones stay silent for up to 44 s after a server's death.

mod attach;
mod config;
mod link;
mod monitor;
mod names;
mod requests;
mod streams;

use async_nats::jetstream::Context;
use async_nats::{HeaderMap, Message, Subscriber};
use axum::body::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt, unfold};
use tokio::sync::watch;
use tokio::task::unconstrained;
use tokio_util::task::AbortOnDropHandle;

use self::link::Link;
use super::{Bounds, Engine, EngineError, EngineState, Source, Topic};

pub use self::config::{NatsConfig, NatsConfigError, NatsCredentials, NatsStream, NatsTls};

/// The engine on NATS.
#[derive(Debug)]
pub struct NatsEngine {
    link: Link,
    /// Attaches, and looks after the connection.
    _keeper: AbortOnDropHandle<()>,
}

impl NatsEngine {
    /// Begins to attach, and goes on for ever: [`NatsEngine::state`] says how far it got. To be called on a runtime.
    ///
    /// # Errors
    /// [`NatsConfigError`] where the configuration alone shows that this cannot work.
    pub fn start(config: NatsConfig) -> Result<Self, NatsConfigError> {
        config.check()?;
        let credentials = config.credentials.read()?;
        let (link, ends) = link::new(&config);
        let keeper = tokio::spawn(attach::keep(config, credentials, ends));
        Ok(Self {
            link,
            _keeper: AbortOnDropHandle::new(keeper),
        })
    }
}

impl Engine for NatsEngine {
    fn publish(&self, pack: Bytes) -> BoxFuture<'static, Result<u64, EngineError>> {
        let link = self.link.clone();
        Box::pin(async move {
            let stored = match link.context() {
                Ok(context) => requests::publish(&context, &link.names, pack).await,
                Err(error) => Err(error),
            };
            link.note_publish(&stored);
            stored
        })
    }

    fn fetch(
        &self,
        sequence: u64,
        from: Source,
    ) -> BoxFuture<'static, Result<Option<Bytes>, EngineError>> {
        let link = self.link.clone();
        Box::pin(async move {
            let context = link.context()?;
            match from {
                Source::Any => requests::fetch_direct(&context, &link.names, sequence).await,
                Source::Leader => requests::fetch(&context, &link.names, sequence).await,
            }
        })
    }

    fn bounds(&self) -> BoxFuture<'static, Result<Bounds, EngineError>> {
        let link = self.link.clone();
        Box::pin(async move { requests::bounds(&link.context()?, &link.names).await })
    }

    fn live(&self) -> BoxStream<'static, (u64, Bytes)> {
        let names = self.link.names.clone();
        let messages = subscribe(self.link.clone(), names.live.clone(), None);
        let packs = messages.filter_map(move |message| {
            let pack = sequence(&message, &names.stream).map(|found| (found, message.payload));
            std::future::ready(pack)
        });
        Box::pin(packs)
    }

    fn replacement(&self, sequence: u64) -> BoxFuture<'static, Result<Option<Bytes>, EngineError>> {
        let link = self.link.clone();
        Box::pin(
            async move { requests::replacement(&link.context()?, &link.names, sequence).await },
        )
    }

    fn erase(
        &self,
        sequence: u64,
        before: Bytes,
        after: Bytes,
    ) -> BoxFuture<'static, Result<(), EngineError>> {
        let link = self.link.clone();
        Box::pin(async move {
            let context = link.context()?;
            requests::erase(&context, &link.names, sequence, &before, after).await
        })
    }

    fn tell(&self, topic: Topic, bytes: Bytes) {
        // Without a connection the client would keep it and send it later, when it is no longer so.
        let Ok(context) = self.link.context() else {
            return;
        };
        let (client, subject) = (context.client(), self.link.names.topic(&topic));
        // Sent if there is room in the client's queue now; else lost. Many may be told in one turn of a task.
        let _ = unconstrained(client.publish(subject, bytes)).now_or_never();
    }

    fn hear(&self, topic: Topic) -> BoxStream<'static, Bytes> {
        let subject = self.link.names.topic(&topic);
        // At once, where there is a connection: what is published next may be answered before the stream is polled.
        let open = self.link.context().ok().and_then(|context| {
            let client = context.client();
            let subscribing = client.subscribe(subject.clone());
            unconstrained(subscribing).now_or_never()?.ok()
        });
        let messages = subscribe(self.link.clone(), subject, open);
        Box::pin(messages.map(|message| message.payload))
    }

    fn state(&self) -> watch::Receiver<EngineState> {
        self.link.state()
    }
}

/// The messages of a subject, from the first connection on; `open` is a subscription that has begun. The client
/// subscribes again by itself after a reconnect.
fn subscribe(
    link: Link,
    subject: String,
    open: Option<Subscriber>,
) -> impl futures_util::Stream<Item = Message> + Send {
    unfold((link, subject, open), |(link, subject, open)| async move {
        let mut open = open;
        loop {
            let mut subscriber = match open.take() {
                Some(subscriber) => subscriber,
                None => {
                    let context: Context = link.attached().await?;
                    let Ok(subscriber) = context.client().subscribe(subject.clone()).await else {
                        // The client has ended; the next one is attached by the keeper.
                        link.pause().await;
                        continue;
                    };
                    subscriber
                }
            };
            if let Some(message) = subscriber.next().await {
                return Some((message, (link, subject, Some(subscriber))));
            }
        }
    })
}

/// The sequence that the stream gave a republished message; `None` where it is of another stream.
fn sequence(message: &Message, stream: &str) -> Option<u64> {
    let headers: &HeaderMap = message.headers.as_ref()?;
    let of = headers.get("Nats-Stream")?;
    let sequence = headers.get("Nats-Sequence")?;
    (of.as_str() == stream).then(|| sequence.as_str().parse().ok())?
}
