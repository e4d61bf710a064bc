//! The engine: the replicated, totally ordered log of packs on which several nodes stand. It puts packs in order and
//! keeps them for some days; what they say it does not know.

#[cfg(feature = "nats")]
pub mod nats;

use std::sync::Arc;

use axum::body::Bytes;
pub use everbeat_log::follower::{Bounds, Source};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use protocol::id::{NodeName, RoomName};
use thiserror::Error;
use tokio::sync::watch;

/// Why the engine did not do what was asked. Every text says what to do, and can be logged.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EngineError {
    /// No connection, no leader, no quorum, or no answer in time. It passes by itself once the servers run.
    #[error("the engine is unavailable: {0}")]
    Unavailable(Arc<str>),
    /// The servers cannot store more: a full disk, or a limit.
    #[error("the engine is full: {0}")]
    Full(Arc<str>),
    /// What is there is not what Everbeat needs, or is not its own; an operator has to mend it.
    #[error("the engine is unfit: {0}")]
    Unfit(Arc<str>),
}

/// Whether the engine serves, for readiness and the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineState {
    /// It stores and answers.
    Ready,
    /// It does not; it is tried again for ever.
    Failing(EngineError),
}

impl EngineState {
    /// Whether it is [`EngineState::Ready`].
    pub const fn is_ready(&self) -> bool {
        matches!(self, Self::Ready)
    }
}

/// What nodes tell each other about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Leases: all nodes hear them.
    Nodes,
    /// Presence in a room: nodes where the room is open hear it.
    Room(RoomName),
    /// Requests to one node.
    Node(NodeName),
}

/// An engine. It reconnects by itself, for ever.
pub trait Engine: Send + Sync + 'static {
    /// Stores a pack and answers its sequence. An error says nothing about whether the pack was stored, or will be.
    fn publish(&self, pack: Bytes) -> BoxFuture<'static, Result<u64, EngineError>>;

    /// The pack of this sequence; `None` where that server does not have it.
    fn fetch(
        &self,
        sequence: u64,
        from: Source,
    ) -> BoxFuture<'static, Result<Option<Bytes>, EngineError>>;

    /// What is kept, asked of the leader.
    fn bounds(&self) -> BoxFuture<'static, Result<Bounds, EngineError>>;

    /// Packs with their sequences, as they are stored. Some may be missing, late, or come twice. It never ends.
    fn live(&self) -> BoxStream<'static, (u64, Bytes)>;

    /// What was stored in place of an erased pack; `None` where nothing was.
    fn replacement(&self, sequence: u64) -> BoxFuture<'static, Result<Option<Bytes>, EngineError>>;

    /// Puts a pack without the erased texts in place of `before`, which is what is there now: the original, or what
    /// replaced it. `after` is stored durably, then `before` is erased from the engine's files. Where something else
    /// is there, as another node erased another text of that pack meanwhile, it is an error: look, and do it again.
    /// After any error that is harmless.
    fn erase(
        &self,
        sequence: u64,
        before: Bytes,
        after: Bytes,
    ) -> BoxFuture<'static, Result<(), EngineError>>;

    /// Tells the nodes that hear this topic, this one among them. It is kept nowhere, never waits, and may be lost.
    fn tell(&self, topic: Topic, bytes: Bytes);

    /// What is published about a topic from now on. It never ends.
    fn hear(&self, topic: Topic) -> BoxStream<'static, Bytes>;

    /// Whether it serves; it changes as that does.
    fn state(&self) -> watch::Receiver<EngineState>;
}
