//! The log: what is durable. Sessions, their last `seq`, rooms and their messages.
//!
//! A trait, so that a log on other machines can stand behind it one day: offsets and epochs are the
//! log's own, an append is idempotent by (session, seq), and the head of a room may move by itself
//! (the [`Observer`] is notified of every message, by every author).

pub mod late;
pub mod memory;
mod numbering;
mod page;
pub mod sqlite;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use protocol::frame::{ErrorCode, Message, Refused};
use protocol::id::{Name, RoomName, Seq, SessionId};
use protocol::position::{Epoch, Offset};
pub use protocol::server::{PostKey, Posted, Removal};
use thiserror::Error;
use tokio::time::timeout;

use self::page::Gathering;
pub use self::page::{PAGE_BYTES, Page};

/// How long a read may take, and a request for something that is stored may wait: less than clients wait before
/// they doubt the connection. Over it: [`LogError::Unavailable`].
pub const PATIENCE: Duration = Duration::from_secs(4);

/// The SHA-256 hash of a session's key; the key itself is never stored (RS-2).
pub type KeyHash = [u8; 32];

/// What the log answers, some time later.
pub type Answer<T> = BoxFuture<'static, Result<T, LogError>>;

/// Waits for an answer for [`PATIENCE`]; what was asked for may be done later all the same.
///
/// # Errors
/// [`LogError::Unavailable`] where there is none by then; else as the log has it.
pub async fn in_time<T>(answer: impl Future<Output = Result<T, LogError>>) -> Result<T, LogError> {
    let late = |_| LogError::Unavailable("no answer in time".into());
    timeout(PATIENCE, answer).await.map_err(late)?
}

/// Why the log did not do it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LogError {
    /// The number was used for another message (EO-6).
    #[error("seq used for another message")]
    Conflict,
    /// The number does not follow the session's last one (EO-1).
    #[error("seq does not follow {last_seq}")]
    OutOfOrder {
        /// The session's last settled number.
        last_seq: u64,
    },
    /// The number was used up by a refusal for good (EO-7).
    #[error("seq was refused for good")]
    Refused(ErrorCode),
    /// No such session (any more).
    #[error("no such session")]
    UnknownSession,
    /// Nothing can be stored or read now: full disk, read-only file, closed log.
    #[error("the log is unavailable: {0}")]
    Unavailable(Arc<str>),
}

/// A wish to resume a session, and the fresh one to open where that cannot be.
#[derive(Clone, Debug)]
pub struct OpenSession {
    /// The session to resume, and the hashes of the key shown of which one has to be the session's.
    pub resume: Option<(SessionId, Vec<KeyHash>)>,
    /// The session to open otherwise. An id that is in use is refused with
    /// [`LogError::Unavailable`].
    pub fresh: (SessionId, KeyHash),
    /// Unix time in milliseconds.
    pub at_ms: u64,
}

/// The session that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedSession {
    /// Whether it is the one asked for (RS-2).
    pub resumed: bool,
    /// Its last settled number; 0 for none (RS-3).
    pub last_seq: u64,
    /// The newest of its numbers that were refused for good, in order, at most [`REFUSED_MAX`].
    pub refused: Vec<Refused>,
}

/// How many refusals a resumed session gets.
pub const REFUSED_MAX: usize = 1000;

/// A message to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// Whose session.
    pub session: SessionId,
    /// Its number in that session.
    pub seq: Seq,
    /// Which room.
    pub room: RoomName,
    /// How the author is called now.
    pub name: Name,
    /// The text.
    pub body: String,
    /// Unix time in milliseconds.
    pub at_ms: u64,
    /// It was passed on before, and may only be found: where its number is still free it is answered
    /// with [`LogError::OutOfOrder`]. Whether it may be written was judged the first time.
    pub is_repeat: bool,
}

/// A message to append that comes without a session: its key makes sure that it does so once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// Whose it is, and which.
    pub key: PostKey,
    /// The session that the message says it is of, and in which it is the first.
    pub session: SessionId,
    /// Which room.
    pub room: RoomName,
    /// How the author is called now.
    pub name: Name,
    /// The text.
    pub body: String,
    /// Unix time in milliseconds.
    pub at_ms: u64,
}

/// What a room's log holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomLog {
    /// Its identity.
    pub epoch: Epoch,
    /// The offset of the newest message; 0 for none.
    pub head: Offset,
    /// Everything up to this offset is no longer there; 0 if nothing was trimmed.
    pub trimmed: Offset,
    /// The messages whose texts were removed last, at most
    /// [`REMOVED_MAX`](protocol::removals::REMOVED_MAX), in the order of their removal.
    pub removed: Vec<Message>,
}

/// Told of what became durable, in each room in the order of its offsets, and before the append is
/// answered. A read may show a message a moment before this.
pub trait Observer: Send + Sync + 'static {
    /// How many readers [`Observer::committed`] wakes for these messages: where they are few, the log calls it on
    /// the thread that writes.
    fn wakes(&self, messages: &[Message]) -> usize;

    /// These messages are durable. Called from a thread of the log's own, and the log's answers wait for it: must
    /// not block.
    fn committed(&self, messages: &[Message]);

    /// A batch of so many operations was committed, which took so long with its sync.
    fn synced(&self, operations: usize, took: Duration) {
        let _ = (operations, took);
    }

    /// The text of this message is removed durably (EO-8). As [`Observer::committed`], and after it.
    fn removed(&self, message: &Message);

    /// Old messages of a room are gone, up to this offset. As [`Observer::committed`], and after it. Not
    /// told where it is the number of messages that is too large: they are still good to be read.
    fn trimmed(&self, room: &RoomName, through: Offset);
}

/// Where messages are durable. Every call is answered after what it did is on stable storage.
///
/// Calls of one caller take effect in the order in which they were made, not in that in which their
/// answers are awaited. A number whose append or refusal was answered with
/// [`LogError::Unavailable`] is not used; those after it that were called already may get
/// [`LogError::OutOfOrder`] then.
///
/// Reads show at least what was answered before they were called.
pub trait Log: Send + Sync + 'static {
    /// Resumes or opens a session. A wrong key or an unknown session gets the fresh one (RS-2).
    fn open_session(&self, open: OpenSession) -> Answer<OpenedSession>;

    /// Appends a message: message, `last_seq` and head in one transaction (EO-2). A repeated number
    /// with the same room and body is answered with its first offset (EO-1).
    fn append(&self, append: Append) -> Answer<Offset>;

    /// Uses a number up for good (EO-7). Repeating it is harmless.
    fn refuse(&self, session: SessionId, seq: Seq, code: ErrorCode) -> Answer<()>;

    /// Appends a message without a session. A repeated key with the same room and body is answered with
    /// its first offset; with others it is a [`LogError::Conflict`].
    fn post(&self, post: Post) -> Answer<Posted>;

    /// Removes the text of a message for good (EO-8). Its offset stays.
    fn remove(&self, room: RoomName, offset: Offset, at_ms: u64) -> Answer<Removal>;

    /// Answered once no removed text stands in the log's files any more. That may take as long as another
    /// program reads them: until then [`Log::remove`] has taken it from every answer, but not from there.
    fn scrubbed(&self) -> Answer<()> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// What a room's log holds; an unknown room is an empty one.
    fn room(&self, room: RoomName) -> Answer<RoomLog>;

    /// The messages after an offset, oldest first, at most `limit`, and at most as many bytes as the log has
    /// in a page (`--page-bytes`): nothing larger is ever held. There is always one, if the log has one.
    fn read(&self, room: RoomName, after: Offset, limit: u32) -> Answer<Page>;

    /// The newest messages before an offset, oldest first; as many as [`Log::read`] would give.
    fn read_before(&self, room: RoomName, before: Offset, limit: u32) -> Answer<Page>;

    /// These sessions are connected now (RS-9).
    fn touch(&self, sessions: Vec<SessionId>, at_ms: u64) -> Answer<()>;

    /// Forgets sessions whose last connection was before this time; returns how many (RS-9).
    fn expire(&self, before_ms: u64) -> Answer<usize>;

    /// Forgets sessions that used no number and whose last connection was before this time; returns how
    /// many (RS-9).
    fn expire_unused(&self, before_ms: u64) -> Answer<usize>;

    /// How many sessions can be resumed, connected ones among them.
    fn sessions(&self) -> Answer<u64>;

    /// Stores something as large as a message and removes it: the answer says whether the log can
    /// store.
    fn probe(&self) -> Answer<()>;

    /// Forgets the keys of posts from before this time; returns how many.
    fn forget_posts(&self, before_ms: u64) -> Answer<usize>;

    /// Trims the messages from before this time, from each room's oldest on; returns how many.
    fn trim(&self, before_ms: u64) -> Answer<u64>;

    /// The newest time that something was stored under when the log was opened; None where that cannot be told.
    /// It may be some minutes too old: what is looked for is another day.
    fn newest_ms(&self) -> Option<u64> {
        None
    }

    /// Finishes what was begun and stops. Later calls are answered with [`LogError::Unavailable`].
    fn close(&self) -> Answer<()>;
}
