//! Removed texts in the engine's stream (EO-8): the node that removed a message has its text taken out of the stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use everbeat_log::pack::{Pack, PackError};
use protocol::id::RoomName;
use protocol::position::Offset;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::log::engine::{Engine, EngineError, Source};
use crate::log::sqlite::SqliteLog;
use crate::log::{Answer, LogError};

/// The pauses between tries, doubled from one to the next.
const AGAIN: Duration = Duration::from_millis(500);
const AGAIN_MAX: Duration = Duration::from_secs(30);

/// The erasures that are under way. What a node did not finish before its end is found again by the redactions in the
/// database ([`Erasures::resume`]).
pub(super) struct Erasures {
    engine: Arc<dyn Engine>,
    sqlite: Arc<SqliteLog>,
    pending: watch::Sender<usize>,
    is_over: AtomicBool,
}

impl Erasures {
    pub(super) fn new(engine: Arc<dyn Engine>, sqlite: Arc<SqliteLog>) -> Self {
        Self {
            engine,
            sqlite,
            pending: watch::Sender::new(0),
            is_over: AtomicBool::new(false),
        }
    }

    /// Has the text of a removed message taken out of the stream, however long that takes.
    pub(super) fn begin(self: &Arc<Self>, room: RoomName, offset: Offset) {
        self.pending.send_modify(|pending| *pending += 1);
        let erasures = Arc::clone(self);
        tokio::spawn(async move {
            erasures.finish(&room, offset).await;
            erasures.pending.send_modify(|pending| *pending -= 1);
        });
    }

    /// Goes on with what other nodes, or this one in an earlier life, may have left undone: looks after every redacted
    /// message whose pack the stream still keeps. For a text that is gone that is one question to the engine.
    pub(super) fn resume(self: &Arc<Self>) {
        let erasures = Arc::clone(self);
        tokio::spawn(async move {
            let mut pause = AGAIN;
            let left = loop {
                match erasures.left().await {
                    Ok(left) => break left,
                    Err(error) => {
                        tracing::debug!(%error, "redacted messages are looked after later")
                    }
                }
                sleep(pause).await;
                pause = (pause * 2).min(AGAIN_MAX);
            };
            for (room, offset) in left {
                erasures.finish(&room, offset).await;
            }
        });
    }

    /// The redacted messages whose packs the stream may still keep.
    async fn left(&self) -> Result<Vec<(RoomName, Offset)>, ErasureError> {
        let first = self.engine.bounds().await?.first;
        Ok(self.sqlite.redacted_since(first).await?)
    }

    /// Erases a text, however often that has to be tried.
    async fn finish(&self, room: &RoomName, offset: Offset) {
        let mut pause = AGAIN;
        while let Err(error) = self.erase(room, offset).await {
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            tracing::warn!(%room, %offset, %error, "a removed text is still in the engine's stream; trying again");
            sleep(pause).await;
            pause = (pause * 2).min(AGAIN_MAX);
        }
    }

    /// Nothing is tried again from now on.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Answers once no erasure is under way.
    pub(super) fn done(&self) -> Answer<()> {
        let mut pending = self.pending.subscribe();
        Box::pin(async move {
            let done = pending.wait_for(|pending| *pending == 0).await;
            let gone = |_| LogError::Unavailable("the node has ended".into());
            done.map(drop).map_err(gone)
        })
    }

    /// Takes the text out of the pack that holds it. It has nothing to do where the stream does not keep that pack any
    /// more, or the text is gone from it.
    async fn erase(&self, room: &RoomName, offset: Offset) -> Result<(), ErasureError> {
        let Some(source) = self.sqlite.source(room.clone(), offset).await? else {
            return Ok(());
        };
        // A pack that was erased before, for another text, is under its replacement.
        let before = match self.engine.fetch(source.sequence, Source::Leader).await? {
            Some(before) => Some(before),
            None => self.engine.replacement(source.sequence).await?,
        };
        let Some(before) = before else { return Ok(()) };
        let mut pack = Pack::decode(&before)?;
        if !pack.erase(&source.session, source.seq) {
            return Ok(());
        }
        let after = Bytes::from(pack.encode()?);
        Ok(self.engine.erase(source.sequence, before, after).await?)
    }
}

/// Why a text is not erased yet.
#[derive(Debug, Error)]
enum ErasureError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Pack(#[from] PackError),
}
