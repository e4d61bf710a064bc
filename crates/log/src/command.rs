//! Commands: the changes that may be asked of a log, and their outcomes.

use protocol::frame::{ErrorCode, Message, Refused};
use protocol::id::{Generation, Name, RoomName, Seq, SessionId};
use protocol::position::{Epoch, Offset};
use protocol::server::{NumberError, PostKey, Posted, Redaction};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::fold::BodyHash;

/// The SHA-256 hash of a session's key; the key itself is never stored (RS-2).
pub type KeyHash = [u8; 32];

/// The most refusals that a resumed session is given (RS-3).
pub const REFUSED_MAX: usize = 1000;

/// A change of the log. The fold asks no clock and draws nothing: times and random ids are inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Set what all nodes must apply alike; the first one of a log gives it its epoch.
    Settings(Settings),
    /// Resume or open a session.
    Open(OpenSession),
    /// Append a message.
    Append(Append),
    /// Use a number up for good (EO-7).
    Refuse(Refuse),
    /// Append a message without a session.
    Post(Post),
    /// Redact a message for good (EO-8).
    Redact(Redact),
    /// Note that sessions are connected (RS-9).
    Touch(Touch),
    /// Forget sessions (RS-9).
    Expire(Expire),
    /// Forget idempotency keys of posts.
    ForgetPosts(ForgetPosts),
    /// Trim messages for their age.
    Trim(Trim),
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Of [`Command::Open`].
    Opened(OpenedSession),
    /// Of [`Command::Append`]: the message's first offset.
    Appended(Offset),
    /// Of [`Command::Refuse`]: the code with which the number was refused first.
    Refused(ErrorCode),
    /// Of [`Command::Post`].
    Posted(Posted),
    /// Of [`Command::Redact`].
    Redacted(Redaction),
    /// Of [`Command::Settings`] and [`Command::Touch`].
    Done,
    /// Of [`Command::Expire`] and [`Command::ForgetPosts`]: how many.
    Forgotten(usize),
    /// Of [`Command::Trim`].
    Trimmed(Trimmed),
}

/// Makes an [`Outcome`] what the caller of its command waits for; any other outcome comes back.
macro_rules! outcome_of {
    ($($kind:ident: $typed:ty),* $(,)?) => {
        $(impl TryFrom<Outcome> for $typed {
            type Error = Outcome;

            fn try_from(outcome: Outcome) -> Result<Self, Outcome> {
                match outcome {
                    Outcome::$kind(typed) => Ok(typed),
                    other => Err(other),
                }
            }
        })*
    };
}

outcome_of! {
    Opened: OpenedSession,
    Appended: Offset,
    Refused: ErrorCode,
    Posted: Posted,
    Redacted: Redaction,
    Forgotten: usize,
    Trimmed: Trimmed,
}

impl TryFrom<Outcome> for () {
    type Error = Outcome;

    fn try_from(outcome: Outcome) -> Result<Self, Outcome> {
        match outcome {
            Outcome::Done => Ok(()),
            other => Err(other),
        }
    }
}

/// Why a command changed nothing. Every node comes to the same answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CommandError {
    /// The number, or the key, is not taken.
    #[error("the number is not taken: {0:?}")]
    Number(NumberError),
    /// The id of the fresh session is in use.
    #[error("the session id is taken")]
    SessionTaken,
    /// The log has no epoch yet.
    #[error("the log has no settings yet")]
    NotFounded,
}

impl From<NumberError> for CommandError {
    fn from(error: NumberError) -> Self {
        Self::Number(error)
    }
}

/// What all nodes must apply alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The log's epoch, where it has none yet.
    pub epoch: Epoch,
    /// The fewest messages that a full room keeps.
    pub history_per_room: u64,
}

/// A request to resume a session, with the fresh one to open where that fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSession {
    /// The session to resume, and the hashes of the keys shown; one of them has to be the session's.
    pub resume: Option<(SessionId, Vec<KeyHash>)>,
    /// The session to open otherwise. An id that is in use is refused with
    /// [`CommandError::SessionTaken`].
    pub fresh: (SessionId, KeyHash),
    /// Unix time in milliseconds.
    pub at_ms: u64,
}

/// The session that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedSession {
    /// Whether it is the session that was to be resumed (RS-2).
    pub resumed: bool,
    /// Which of the session's openings this is.
    pub generation: Generation,
    /// Its last settled number; 0 for none (RS-3).
    pub last_seq: u64,
    /// The newest of its numbers that were refused for good, in order, at most [`REFUSED_MAX`].
    pub refused: Vec<Refused>,
}

/// A message to append.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Append {
    /// The session that it is published in.
    pub session: SessionId,
    /// The opening of the session that it is published in.
    pub generation: Generation,
    /// Its number in that session.
    pub seq: Seq,
    /// The room that it goes to.
    pub room: RoomName,
    /// The author's name at that time.
    pub name: Name,
    /// The text.
    pub body: String,
    /// Unix time in milliseconds.
    pub at_ms: u64,
    /// The message was passed to the log before, and may only be found: where its number is still free the answer
    /// is [`NumberError::OutOfOrder`]. Its author's right to write was decided the first time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_repeat: bool,
    /// The hash of the text, where the text itself was erased from the engine's stream (EO-8): `body` is empty then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased: Option<BodyHash>,
}

impl Append {
    /// The message that this append becomes at this offset.
    pub fn at(self, offset: Offset) -> Message {
        Message {
            room: self.room,
            offset,
            session: self.session,
            seq: self.seq,
            name: self.name,
            at_ms: self.at_ms,
            body: self.body,
            removed: false,
        }
    }
}

/// A number to use up for good (EO-7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refuse {
    /// Its session.
    pub session: SessionId,
    /// The opening of the session in which it was sent.
    pub generation: Generation,
    /// The number.
    pub seq: Seq,
    /// Why.
    pub code: ErrorCode,
}

/// A message to append without a session: its key makes sure that it is appended once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// The idempotency key, hashed with its owner.
    pub key: PostKey,
    /// The session that the message carries; it is the first one there.
    pub session: SessionId,
    /// The room that it goes to.
    pub room: RoomName,
    /// The author's name at that time.
    pub name: Name,
    /// The text.
    pub body: String,
    /// Unix time in milliseconds.
    pub at_ms: u64,
    /// As in [`Append::erased`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased: Option<BodyHash>,
}

impl Post {
    /// The message that this post becomes at this offset: the first one of its session.
    pub fn at(self, offset: Offset) -> Message {
        Message {
            room: self.room,
            offset,
            session: self.session,
            seq: Seq::FIRST,
            name: self.name,
            at_ms: self.at_ms,
            body: self.body,
            removed: false,
        }
    }
}

/// A message to redact (EO-8). Its offset stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redact {
    /// Its room.
    pub room: RoomName,
    /// Its offset.
    pub offset: Offset,
    /// Unix time in milliseconds.
    pub at_ms: u64,
}

/// Sessions that are connected (RS-9).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touch {
    /// The sessions.
    pub sessions: Vec<SessionId>,
    /// Unix time in milliseconds. A session's time only moves forward.
    pub at_ms: u64,
}

/// Sessions to forget (RS-9): at most so many, in the order of their last connection, then of their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expire {
    /// Those whose last connection was before this Unix time in milliseconds.
    pub before_ms: u64,
    /// Only those that used no number.
    pub is_unused: bool,
    /// The most.
    pub limit: usize,
}

/// Idempotency keys to forget: at most so many, in the order of their posts, then of the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgetPosts {
    /// Those of posts from before this Unix time in milliseconds.
    pub before_ms: u64,
    /// The most.
    pub limit: usize,
}

/// Messages to trim for their age: a part of a round through all rooms, in the order of their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trim {
    /// Those from before this Unix time in milliseconds, from each room's oldest on.
    pub before_ms: u64,
    /// Only rooms after this one; `None` at the start of a round.
    pub after: Option<RoomName>,
}

impl Trim {
    /// The first part of a round.
    pub const fn new(before_ms: u64) -> Self {
        Self {
            before_ms,
            after: None,
        }
    }
}

/// What one part of a round trimmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trimmed {
    /// How many messages were trimmed.
    pub count: u64,
    /// The next part of the round; `None` at its end.
    pub next: Option<Trim>,
}
