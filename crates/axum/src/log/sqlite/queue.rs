//! The writer's queue.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use parking_lot::Mutex;
use protocol::id::SessionId;
use tokio::sync::oneshot;

use super::batch::{Batch, Fault};
use super::{closed, overloaded, ready};
use crate::log::Answer;

/// An operation: work for the writer, done in a batch.
pub(super) type Operation = Box<dyn FnOnce(&mut Batch<'_>) + Send>;

/// The operations that wait for the writer, in the order of the calls.
pub(super) struct Queue {
    /// `None` once closed. The lock is held only while an operation is pushed.
    sender: Mutex<Option<SyncSender<Operation>>>,
}

impl Queue {
    /// A queue of at most this many operations, and the end from which the writer takes them.
    pub(super) fn new(operations_max: usize) -> (Self, Receiver<Operation>) {
        let (sender, operations) = sync_channel(operations_max.max(1));
        let sender = Mutex::new(Some(sender));
        (Self { sender }, operations)
    }

    /// Queues an operation. Its place in the order is settled when this returns. The answers to one
    /// session are given in a row.
    pub(super) fn push<T: Send + 'static>(
        &self,
        session: Option<&SessionId>,
        work: impl FnOnce(&mut Batch<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Answer<T> {
        let (reply, answer) = oneshot::channel();
        let session = session.cloned();
        let operation: Operation = Box::new(move |batch| {
            let result = batch.attempt(work);
            // The caller may have dropped the answer; what was done stays done.
            let answer = move |failure: Option<_>| drop(reply.send(failure.map_or(result, Err)));
            batch.answer_later(session, answer);
        });
        // Not `send`, which would block: the caller's thread serves other connections too.
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

    /// Takes no more operations. The writer finishes those that are queued, and ends.
    pub(super) fn close(&self) {
        *self.sender.lock() = None;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.lock().is_none()
    }
}
