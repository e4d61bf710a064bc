//! The log: the durable, ordered messages of all rooms, with the sessions and their last `seq`.
//!
//! [`Log`] is a trait, so that a log on other machines can stand behind it one day: offsets and epochs are
//! the log's own, an append is idempotent by (session, seq), and the head of a room may move by itself
//! (the [`Observer`] is notified of every message, by every author).

pub mod cluster;
pub mod engine;
pub mod late;
pub mod memory;
mod page;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "sqlite")]
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

pub use everbeat_log::command::{
    Append, KeyHash, OpenSession, OpenedSession, Post, REFUSED_MAX, Refuse,
};
use everbeat_log::command::{CommandError, Outcome};
use everbeat_log::fold::Changes;
use futures_util::future::BoxFuture;
use protocol::frame::{ErrorCode, Message};
use protocol::id::{Generation, NodeName, RoomName, SessionId};
use protocol::position::{Epoch, Offset};
pub use protocol::server::{NumberError, PostKey, Posted, Redaction};
use thiserror::Error;
use tokio::time::timeout;

use self::cluster::status::ClusterStatus;
use self::page::Gathering;
pub use self::page::{PAGE_BYTES, Page};

/// The deadline of a read, and of a request that waits for a write: shorter than a client waits before it
/// doubts the connection. Past it: [`LogError::Unknown`].
pub const PATIENCE: Duration = Duration::from_secs(4);

/// A call's answer, as a future.
pub type Answer<T> = BoxFuture<'static, Result<T, LogError>>;

/// Waits for an answer for at most [`PATIENCE`]. The call may still take effect after that.
///
/// # Errors
/// [`LogError::Unknown`] where there is no answer by then; else the log's own error.
pub async fn in_time<T>(answer: impl Future<Output = Result<T, LogError>>) -> Result<T, LogError> {
    let late = |_| LogError::Unknown("no answer in time".into());
    timeout(PATIENCE, answer).await.map_err(late)?
}

/// Why the log did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LogError {
    /// The number, or the key, is not taken.
    #[error("the number is not taken: {0:?}")]
    Number(NumberError),
    /// Nothing can be stored or read now: full disk, read-only file, closed log. What was asked is not done.
    #[error("the log is unavailable: {0}")]
    Unavailable(Arc<str>),
    /// What was asked may be done, or may be done later.
    #[error("the outcome is unknown: {0}")]
    Unknown(Arc<str>),
}

impl From<NumberError> for LogError {
    fn from(error: NumberError) -> Self {
        Self::Number(error)
    }
}

impl From<CommandError> for LogError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Number(error) => Self::Number(error),
            CommandError::SessionTaken | CommandError::NotFounded => {
                Self::Unavailable(error.to_string().into())
            }
        }
    }
}

/// The state of a room's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomLog {
    /// Its identity.
    pub epoch: Epoch,
    /// The offset of the newest message; 0 for none.
    pub head: Offset,
    /// Everything up to this offset is no longer there; 0 if nothing was trimmed.
    pub trimmed: Offset,
    /// The messages that were redacted last, at most [`REDACTED_MAX`](protocol::redactions::REDACTED_MAX), in the
    /// order of their redaction.
    pub redacted: Vec<Message>,
}

/// Why a log stopped for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// What is wrong, and what to do.
    pub why: Arc<str>,
    /// Where a copy of another node's log would mend it: the least sequence that the copy has to have folded.
    pub needs_copy: Option<u64>,
}

/// The log's observer: notified of what became durable, in each room in the order of its offsets, before
/// the append is answered. A read may show a message a moment earlier.
pub trait Observer: Send + Sync + 'static {
    /// How many readers [`Observer::committed`] wakes for these messages: where they are few, the log calls it on
    /// the thread that writes.
    fn wakes(&self, messages: &[Message]) -> usize;

    /// These messages are durable. Called on a thread of the log's own, for which the log's answers wait: it must
    /// not block.
    fn committed(&self, messages: &[Message]);

    /// A batch of so many operations was committed; the commit and its sync took so long.
    fn synced(&self, operations: usize, took: Duration) {
        let _ = (operations, took);
    }

    /// A session was opened, durably: this opening is its newest, and what earlier ones still send is refused (RS-4).
    /// Called as [`Observer::committed`] is, and before it.
    fn opened(&self, session: &SessionId, generation: Generation) {
        let _ = (session, generation);
    }

    /// Another node of the cluster is live.
    fn node_up(&self, node: &NodeName) {
        let _ = node;
    }

    /// Another node of the cluster is not live any more, or began a new life: what it told of its members is void.
    fn node_down(&self, node: &NodeName) {
        let _ = node;
    }

    /// This message is redacted, durably (EO-8). Called as [`Observer::committed`] is, and after it.
    fn redacted(&self, message: &Message);

    /// The messages of a room up to this offset were trimmed for their age. Called as [`Observer::committed`] is,
    /// and after it. Not called where a room held too many messages: copies of those trimmed may still be served.
    fn trimmed(&self, room: &RoomName, through: Offset);
}

/// Notifies the observer of what a transaction changed.
fn notify(changes: &Changes, observer: &dyn Observer) {
    for (session, generation) in &changes.opened {
        observer.opened(session, *generation);
    }
    if !changes.messages.is_empty() {
        observer.committed(&changes.messages);
    }
    for message in &changes.redacted {
        observer.redacted(message);
    }
    for (room, through) in &changes.trimmed {
        observer.trimmed(room, *through);
    }
}

/// The outcome of a command as its caller waits for it.
fn typed<T: TryFrom<Outcome>>(outcome: Outcome) -> Result<T, LogError> {
    // The fold gives each kind of command the outcome of its kind.
    let other = |_| LogError::Unavailable("the outcome is that of another command".into());
    outcome.try_into().map_err(other)
}

/// A log. Every call is answered once its effect is on stable storage.
///
/// Calls of one caller take effect in the order in which they were made, not in that in which their
/// answers are awaited. [`LogError::Unavailable`] to an append or a refusal means that its number is not
/// used (after [`LogError::Unknown`] it may be); later calls of that session, if they were made already, may get
/// [`NumberError::OutOfOrder`] then.
///
/// A read shows at least what was answered before the read was called.
pub trait Log: Send + Sync + 'static {
    /// Resumes or opens a session. A wrong key or an unknown session gets the fresh one (RS-2). An id in use is refused
    /// with [`LogError::Unavailable`].
    fn open_session(&self, open: OpenSession) -> Answer<OpenedSession>;

    /// Whether there is such a session, and one of these hashes is that of its key (RS-2, AC-3). That opens nothing.
    fn owns(&self, session: SessionId, shown: Vec<KeyHash>) -> Answer<bool>;

    /// Appends a message: message, `last_seq` and head in one transaction (EO-2). A repeated number
    /// with the same room and body is answered with its first offset (EO-1).
    fn append(&self, append: Append) -> Answer<Offset>;

    /// Uses a number up for good (EO-7). Repeating it is harmless.
    fn refuse(&self, refuse: Refuse) -> Answer<ErrorCode>;

    /// Appends a message without a session. A repeated key with the same room and body is answered with
    /// its first offset; with others it is a [`NumberError::Conflict`].
    fn post(&self, post: Post) -> Answer<Posted>;

    /// Redacts a message for good (EO-8). Its offset stays.
    fn redact(&self, room: RoomName, offset: Offset, at_ms: u64) -> Answer<Redaction>;

    /// Answers once no redacted text is left in the log's files. That may take as long as another program reads
    /// them: until then [`Log::redact`] has taken the text from every answer, but not from the files.
    fn scrubbed(&self) -> Answer<()> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Answers once reads here show everything that was acknowledged before, on any node of the cluster.
    fn barrier(&self) -> Answer<()> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// The state of a room's log; an unknown room has an empty one.
    fn room(&self, room: RoomName) -> Answer<RoomLog>;

    /// The messages after an offset, oldest first: at most `limit`, and at most as many bytes as a page of the log
    /// takes (`--page-bytes`), so nothing larger is ever held. A page has at least one message, if the log has one.
    fn read(&self, room: RoomName, after: Offset, limit: u32) -> Answer<Page>;

    /// The newest messages before an offset, oldest first; bounded as in [`Log::read`].
    fn read_before(&self, room: RoomName, before: Offset, limit: u32) -> Answer<Page>;

    /// Notes that these sessions are connected now (RS-9).
    fn touch(&self, sessions: Vec<SessionId>, at_ms: u64) -> Answer<()>;

    /// Forgets sessions whose last connection was before this time; returns how many (RS-9).
    fn expire(&self, before_ms: u64) -> Answer<usize>;

    /// Forgets sessions that used no number and whose last connection was before this time; returns how
    /// many (RS-9).
    fn expire_unused(&self, before_ms: u64) -> Answer<usize>;

    /// How many sessions can be resumed, connected ones among them.
    fn sessions(&self) -> Answer<u64>;

    /// Stores something as large as a message and removes it: the answer says whether the log can store.
    fn probe(&self) -> Answer<()>;

    /// Forgets the idempotency keys of posts from before this time; returns how many.
    fn forget_posts(&self, before_ms: u64) -> Answer<usize>;

    /// Trims the messages from before this time, from each room's oldest on; returns how many.
    fn trim(&self, before_ms: u64) -> Answer<u64>;

    /// The newest time that the log had stored when it was opened; `None` where that cannot be told. It may be
    /// some minutes too old: it serves to notice a clock that is days off.
    fn newest_ms(&self) -> Option<u64> {
        None
    }

    /// What an operator sees of the cluster; `None` where the log is on one machine.
    fn cluster(&self) -> Option<ClusterStatus> {
        None
    }

    /// Notes how many connections this server holds, for the other nodes of a cluster.
    fn set_load(&self, connections: usize) {
        let _ = connections;
    }

    /// Tells the other nodes of a cluster that this one drains.
    fn set_draining(&self) {}

    /// Answers, with the reason, once the log can take nothing more before an operator has acted. A log on one machine
    /// goes on trying.
    fn stopped(&self) -> BoxFuture<'static, Stop> {
        Box::pin(std::future::pending())
    }

    /// Finishes the calls before it, and stops. Later calls are answered with [`LogError::Unavailable`].
    fn close(&self) -> Answer<()>;
}
