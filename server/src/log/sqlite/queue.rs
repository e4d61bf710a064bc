//! The way to the writer.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use parking_lot::Mutex;
use protocol::id::SessionId;
use tokio::sync::oneshot;

use super::batch::{Batch, Fault};
use super::{closed, overloaded, ready};
use crate::log::Answer;

/// A piece of work for the writer.
pub(super) type Operation = Box<dyn FnOnce(&mut Batch<'_>) + Send>;

/// The operations that wait for the writer, in the order in which they were called for.
pub(super) struct Queue {
    /// `None` once closed. The lock is held for the time of a push only.
    sender: Mutex<Option<SyncSender<Operation>>>,
}

impl Queue {
    /// A queue of at most this many operations, and the end that the writer takes them from.
    pub(super) fn new(operations_max: usize) -> (Self, Receiver<Operation>) {
        let (sender, operations) = sync_channel(operations_max.max(1));
        let sender = Mutex::new(Some(sender));
        (Self { sender }, operations)
    }

    /// Queues work for the writer. Its place in the order is settled when this returns. The answers to
    /// what one session asked are given in a row.
    pub(super) fn push<T: Send + 'static>(
        &self,
        session: Option<&SessionId>,
        work: impl FnOnce(&mut Batch<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Answer<T> {
        let (reply, answer) = oneshot::channel();
        let session = session.cloned();
        let operation: Operation = Box::new(move |batch| {
            let result = batch.attempt(work);
            // The caller may have gone; what was done stays done.
            let answer = move |failure: Option<_>| drop(reply.send(failure.map_or(result, Err)));
            batch.answer_later(session, answer);
        });
        // Not `send`, which would wait: the caller's thread serves others too.
        let pushed = self
            .sender
            .lock()
            .as_ref()
            .map(|sender| sender.try_send(operation));
        match pushed {
            Some(Ok(())) => Box::pin(async { answer.await.unwrap_or_else(|_| Err(closed())) }),
            Some(Err(TrySendError::Full(_))) => ready(Err(overloaded())),
            Some(Err(TrySendError::Disconnected(_))) | None => ready(Err(closed())),
        }
    }

    /// Takes nothing more. The writer finishes what is there, and then itself.
    pub(super) fn close(&self) {
        *self.sender.lock() = None;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.lock().is_none()
    }
}
