//! The writer's queue.

use std::mem;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use everbeat_log::command::{Command, Outcome};
use everbeat_log::order::Verdict;
use everbeat_log::pack::Pack;
use parking_lot::Mutex;
use protocol::id::SessionId;
use tokio::sync::oneshot;

use super::{closed, overloaded};
use crate::log::LogError;

/// What the writer is to do.
pub(super) enum Work {
    /// Apply a command.
    Apply(Command),
    /// Fold the pack of this sequence, in a transaction of its own.
    Fold(u64, Pack),
    /// Keep the id of the stream that the packs come from.
    KeepStream(String),
    /// Store as much as a message takes, and remove it.
    Probe,
    /// What a test does on the writer's thread.
    #[cfg(test)]
    Call(Box<dyn FnOnce() + Send>),
}

/// What came of a piece of work.
#[derive(Debug)]
pub(super) enum Effect {
    /// Of a command, or of nothing that has an outcome.
    Outcome(Outcome),
    /// Of a pack.
    Verdict(Verdict),
}

impl Effect {
    /// The outcome of a command.
    pub(super) fn outcome(self) -> Result<Outcome, LogError> {
        match self {
            Self::Outcome(outcome) => Ok(outcome),
            Self::Verdict(_) => Err(mixed_up()),
        }
    }

    /// The verdict on a pack.
    pub(super) fn verdict(self) -> Result<Verdict, LogError> {
        match self {
            Self::Verdict(verdict) => Ok(verdict),
            Self::Outcome(_) => Err(mixed_up()),
        }
    }
}

/// Each kind of work has the effect of its kind.
fn mixed_up() -> LogError {
    LogError::Unavailable("the effect is that of another operation".into())
}

/// One piece of work on its way: from the queue into a batch, and after the commit back to its caller. It is boxed: the
/// queue's slots are made at once, and a batch sorts its operations.
pub(super) struct Operation(Box<Pending>);

struct Pending {
    /// The session that asks, if there is one.
    session: Option<SessionId>,
    stage: Stage,
    reply: oneshot::Sender<Result<Effect, LogError>>,
}

enum Stage {
    Queued(Work),
    Done(Result<Effect, LogError>),
}

impl Operation {
    /// An operation, and where its answer comes.
    pub(super) fn new(
        session: Option<SessionId>,
        work: Work,
    ) -> (Self, oneshot::Receiver<Result<Effect, LogError>>) {
        let (reply, answer) = oneshot::channel();
        let pending = Pending {
            session,
            stage: Stage::Queued(work),
            reply,
        };
        (Self(Box::new(pending)), answer)
    }

    /// Does the work, once.
    pub(super) fn perform(&mut self, perform: impl FnOnce(Work) -> Result<Effect, LogError>) {
        // What is left where `perform` panics: the operation was not done.
        let undone = Stage::Done(Err(closed()));
        if let Stage::Queued(work) = mem::replace(&mut self.0.stage, undone) {
            self.0.stage = Stage::Done(perform(work));
        }
    }

    /// Whether it needs a transaction of its own.
    pub(super) const fn is_alone(&self) -> bool {
        matches!(self.0.stage, Stage::Queued(Work::Fold(..)))
    }

    /// The session that asks, once.
    pub(super) const fn take_session(&mut self) -> Option<SessionId> {
        self.0.session.take()
    }

    /// Answers, after the commit or its failure.
    pub(super) fn answer(self, failure: Option<&LogError>) {
        let Pending { stage, reply, .. } = *self.0;
        let own = match stage {
            Stage::Done(result) => result,
            Stage::Queued(_) => Err(closed()),
        };
        let result = failure.map_or(own, |failure| Err(failure.clone()));
        // The caller may have dropped the answer; what was done stays done.
        drop(reply.send(result));
    }
}

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

    /// Queues work. Its place in the order is settled when this returns.
    pub(super) fn push(
        &self,
        session: Option<SessionId>,
        work: Work,
    ) -> impl Future<Output = Result<Effect, LogError>> + Send + use<> {
        let (operation, answer) = Operation::new(session, work);
        // Not `send`, which would block: the caller's thread serves other connections too.
        let pushed = self
            .sender
            .lock()
            .as_ref()
            .map(|sender| sender.try_send(operation));
        let pushed = match pushed {
            Some(Ok(())) => Ok(answer),
            Some(Err(TrySendError::Full(_))) => Err(overloaded()),
            Some(Err(TrySendError::Disconnected(_))) | None => Err(closed()),
        };
        async { pushed?.await.unwrap_or_else(|_| Err(closed())) }
    }

    /// Takes no more operations. The writer finishes those that are queued, and ends.
    pub(super) fn close(&self) {
        *self.sender.lock() = None;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.lock().is_none()
    }
}
