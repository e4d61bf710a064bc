//! The machine of one request over HTTP: what is decided about it, without HTTP.
//!
//! A [`Request`] is one [`Call`] of an authenticated client. It asks its driver for one thing at a time, as far as
//! rights, limits and facts allow, and ends with an answer or a refusal. What frames and requests have in
//! common is decided by the same functions.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::{Config, FeedConfig, Span, rules};
use crate::access::{Access, Identity, Right};
use crate::frame::{ErrorCode, Member, Message};
use crate::id::{Name, RoomName, SessionId};
use crate::position::{Epoch, Offset, Position};
use crate::time::Timestamp;

/// How long the answer to a redaction waits for the text to leave the log's files, too. If no other program reads
/// them, that takes milliseconds.
const SCRUB_WAIT: Duration = Duration::from_secs(2);

/// How long a read waits for a node that is behind: less than a caller waits, and much more than a node is behind
/// while it reaches the others.
const BARRIER_WAIT: Duration = Duration::from_secs(2);

/// A client's request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Call {
    /// To publish a message, once.
    Publish {
        /// Which room.
        room: RoomName,
        /// What identifies the message when the request is repeated.
        key: PostKey,
        /// The id of a fresh session, whose first message this is.
        session: SessionId,
        /// The name that the client wishes (AC-4).
        name: Option<Name>,
        /// The text.
        body: String,
    },
    /// To read messages.
    Read {
        /// Which room.
        room: RoomName,
        /// Which of them.
        which: Which,
    },
    /// To redact the text of a message for good (EO-8).
    Redact {
        /// Which room.
        room: RoomName,
        /// Which message.
        offset: Offset,
    },
    /// To get the members of a room.
    Presence {
        /// Which room.
        room: RoomName,
    },
    /// To follow a room.
    Follow {
        /// Which room.
        room: RoomName,
        /// The client's position; none to listen from now on.
        since: Option<Position>,
    },
}

/// Which messages of a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Which {
    /// Only larger offsets, oldest first; without it, the newest messages.
    pub after: Option<Offset>,
    /// Only smaller offsets.
    pub before: Option<Offset>,
    /// The log of which `after` is an offset; without it, the room's present one.
    pub epoch: Option<Epoch>,
    /// At most so many.
    pub limit: Option<u32>,
}

/// A fact that the driver reports: the answer to the last output.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestInput {
    /// The answer to [`RequestTransmit::Count`]: how long until the next message, where the rate is exceeded.
    Counted(Result<(), Duration>),
    /// The answer to [`RequestTransmit::Post`].
    Posted(Result<Posted, PostError>),
    /// The answer to [`RequestTransmit::Barrier`]: whether it was reached in time.
    Reached(bool),
    /// The answer to [`RequestTransmit::LogSpan`]; `None` when the log cannot answer now.
    LogSpan(Option<Span>),
    /// The answer to [`RequestTransmit::Read`] and [`RequestTransmit::ReadBefore`]: messages, oldest first, and whether
    /// there are more in that direction; `None` when the log cannot answer now.
    PageRead(Option<(Vec<Message>, bool)>),
    /// The answer to [`RequestTransmit::Redact`]; `None` when the log cannot answer now.
    Redacted(Option<Redaction>),
    /// The answer to [`RequestTransmit::Scrub`]: whether it was done in time.
    Scrubbed(bool),
    /// The answer to [`RequestTransmit::Members`]: the named members, and how many members there are (PR-3).
    Members(Vec<Member>, u32),
}

/// What the driver of a request must do, one thing after the other: it answers before it asks for the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestTransmit {
    /// Count a message against the limits of its author and its address; answer with [`RequestInput::Counted`].
    Count,
    /// Append a message, or find the one that was posted under its key; answer with [`RequestInput::Posted`].
    Post {
        /// Which room.
        room: RoomName,
        /// What identifies the message.
        key: PostKey,
        /// The session that the message names as its own, and whose first message it is.
        session: SessionId,
        /// The author's name.
        name: Name,
        /// The text.
        body: String,
    },
    /// Wait until the log here holds everything that was acknowledged on any node before; answer with
    /// [`RequestInput::Reached`].
    Barrier {
        /// No longer than this.
        within: Duration,
    },
    /// Look up what a room's log holds; answer with [`RequestInput::LogSpan`].
    LogSpan {
        /// Which room.
        room: RoomName,
    },
    /// Read the messages after an offset, oldest first; answer with [`RequestInput::PageRead`].
    Read {
        /// Which room.
        room: RoomName,
        /// Only larger offsets.
        after: Offset,
        /// At most so many.
        limit: u32,
    },
    /// Read the newest messages before an offset; answer with [`RequestInput::PageRead`].
    ReadBefore {
        /// Which room.
        room: RoomName,
        /// Only smaller offsets.
        before: Offset,
        /// At most so many.
        limit: u32,
    },
    /// Redact the text of a message; answer with [`RequestInput::Redacted`].
    Redact {
        /// Which room.
        room: RoomName,
        /// Which message.
        offset: Offset,
    },
    /// Wait for redacted texts to leave the log's files; answer with [`RequestInput::Scrubbed`].
    Scrub {
        /// No longer than this.
        within: Duration,
    },
    /// Look up the members of a room; answer with [`RequestInput::Members`].
    Members {
        /// Which room.
        room: RoomName,
    },
    /// Send the answer. Nothing follows.
    Answer(RequestAnswer),
    /// Refuse the request. Nothing follows.
    Refuse(RequestError),
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestAnswer {
    /// The message is durable.
    Published(Posted),
    /// Messages.
    Messages(MessagePage),
    /// The text is redacted: no later answer holds it.
    Redacted {
        /// It has left the log's files, too.
        is_scrubbed: bool,
    },
    /// The members of a room.
    Presence {
        /// The named members (PR-3).
        members: Vec<Member>,
        /// How many there are.
        count: u32,
    },
    /// The client becomes a listener: the configuration of its [`Feed`](super::Feed).
    Feed(FeedConfig),
}

/// A page of messages, and its place in the room's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessagePage {
    /// The identity of the log.
    pub epoch: Epoch,
    /// The offset of its newest message.
    pub head: Offset,
    /// Messages between those that the client has and the first of these are missing (RS-6).
    pub gap: bool,
    /// There are more in the same direction.
    pub more: bool,
    /// Oldest first.
    pub messages: Vec<Message>,
}

/// What identifies a message that comes without a session: a hash of its author, and of the author's key for it.
pub type PostKey = [u8; 32];

/// A message that was posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// The identity of the room's log.
    pub epoch: Epoch,
    /// Its offset in that log.
    pub offset: Offset,
    /// It was in the log before: the request is a repeat.
    pub is_repeat: bool,
}

/// Why the log did not take a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PostError {
    /// Its key was used for another message (EO-6).
    Conflict,
    /// Not now: it was not appended.
    Unavailable,
    /// It may have been appended, or be appended still.
    Unknown,
}

/// The result of a redaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redaction {
    /// The text is redacted.
    Done,
    /// The text was redacted before.
    Before,
    /// The log holds no such message, or no longer.
    Missing,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// For good, with a code of the wire.
    #[error("refused: {0:?}")]
    Refused(ErrorCode),
    /// For now: the same request may be sent again after this time.
    #[error("refused for now: {0:?}, {1:?}")]
    Later(ErrorCode, Duration),
    /// The message may have been published, or may be yet: the same request, with the same key, tells after this time.
    #[error("the outcome is unknown; again after {0:?}")]
    OutcomeUnknown(Duration),
    /// The client has no right to moderate the room (EO-8).
    #[error("no right to moderate the room")]
    ModerateDenied,
    /// The key of the message was used for another message (EO-6).
    #[error("the key was used for another message")]
    KeyReused,
    /// The log of the room holds no message with this offset, or not any more.
    #[error("no message {0}")]
    NoMessage(Offset),
}

impl From<ErrorCode> for RequestError {
    fn from(code: ErrorCode) -> Self {
        Self::Refused(code)
    }
}

/// The machine of one request.
#[derive(Debug)]
pub struct Request {
    config: Arc<Config>,
    stage: Stage,
    transmit: Option<RequestTransmit>,
}

/// What a request waits for.
#[derive(Debug)]
enum Stage {
    /// For the limits: then its message is appended.
    Counting(RequestTransmit),
    /// For its message to be appended.
    Posting,
    /// For the log here to hold what the logs of other nodes hold.
    Reaching(Look),
    /// For what the log holds, which may be `behind` other nodes.
    Looking {
        room: RoomName,
        which: Which,
        behind: bool,
    },
    /// For messages.
    Reading(Reading),
    /// For a redaction.
    Redacting(Offset),
    /// For the log's files to be scrubbed.
    Scrubbing,
    /// For members.
    Listing,
    /// Nothing: it was answered.
    Over,
}

/// What is looked at once the log here is as far as it can be.
#[derive(Debug)]
enum Look {
    Messages { room: RoomName, which: Which },
    Members { room: RoomName },
    Feed(FeedConfig),
}

/// A question to the log, with what the log held before it.
#[derive(Debug)]
struct Reading {
    span: Span,
    /// For messages in the order of the log: after which offset, whether that follows what the client has,
    /// and before which offset they end.
    forward: Option<(Offset, bool, Offset)>,
}

impl Request {
    /// A request of a client with this access.
    pub fn new(
        now: Timestamp,
        access: &Access,
        call: Call,
        config: impl Into<Arc<Config>>,
    ) -> Self {
        let config = config.into();
        let (stage, transmit) = match begin(now, access, call, &config) {
            Ok(begun) => begun,
            Err(error) => (Stage::Over, RequestTransmit::Refuse(error)),
        };
        Self {
            config,
            stage,
            transmit: Some(transmit),
        }
    }

    /// Takes a fact. One that was not asked for has no effect.
    pub fn handle_input(&mut self, input: RequestInput) {
        let retry = self.config.unavailable_retry;
        let unavailable = RequestError::Later(ErrorCode::Unavailable, retry);
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        let next = match (stage, input) {
            (Stage::Counting(post), RequestInput::Counted(Ok(()))) => Ok((Stage::Posting, post)),
            (Stage::Counting(_), RequestInput::Counted(Err(wait))) => {
                Err(RequestError::Later(ErrorCode::RateLimited, wait))
            }
            (Stage::Posting, RequestInput::Posted(posted)) => match posted {
                Ok(posted) => Ok(answer(RequestAnswer::Published(posted))),
                Err(PostError::Conflict) => Err(RequestError::KeyReused),
                Err(PostError::Unavailable) => Err(unavailable),
                Err(PostError::Unknown) => Err(RequestError::OutcomeUnknown(retry)),
            },
            (Stage::Reaching(look), RequestInput::Reached(is_reached)) => {
                Ok(look.begin(!is_reached))
            }
            (
                Stage::Looking {
                    room,
                    which,
                    behind,
                },
                RequestInput::LogSpan(span),
            ) => span
                .filter(|span| !(behind && which.is_past(span)))
                .map(|span| self.read(room, which, span))
                .ok_or(unavailable),
            (Stage::Reading(reading), RequestInput::PageRead(page)) => page
                .map(|(messages, more)| answer(reading.page(messages, more)))
                .ok_or(unavailable),
            (Stage::Redacting(offset), RequestInput::Redacted(removal)) => match removal {
                Some(Redaction::Done | Redaction::Before) => {
                    let within = SCRUB_WAIT;
                    Ok((Stage::Scrubbing, RequestTransmit::Scrub { within }))
                }
                Some(Redaction::Missing) => Err(RequestError::NoMessage(offset)),
                None => Err(unavailable),
            },
            (Stage::Scrubbing, RequestInput::Scrubbed(is_scrubbed)) => {
                Ok(answer(RequestAnswer::Redacted { is_scrubbed }))
            }
            (Stage::Listing, RequestInput::Members(members, count)) => {
                Ok(answer(RequestAnswer::Presence { members, count }))
            }
            (stage, _) => {
                self.stage = stage;
                return;
            }
        };
        let (stage, transmit) =
            next.unwrap_or_else(|error| (Stage::Over, RequestTransmit::Refuse(error)));
        self.stage = stage;
        self.transmit = Some(transmit);
    }

    /// The next thing that the driver must do.
    pub const fn poll_transmit(&mut self) -> Option<RequestTransmit> {
        self.transmit.take()
    }

    /// RS-5, RS-6: decides where to read on, and whether that follows what the client has, as for a session.
    fn read(&self, room: RoomName, which: Which, span: Span) -> (Stage, RequestTransmit) {
        let limit = rules::page_limit(which.limit, &self.config.limits);
        let before = which.before.unwrap_or_else(|| span.head.next());
        let Some(after) = which.after else {
            let forward = None;
            let transmit = RequestTransmit::ReadBefore {
                room,
                before,
                limit,
            };
            return (Stage::Reading(Reading { span, forward }), transmit);
        };
        let since = Position {
            epoch: which.epoch.unwrap_or_else(|| span.epoch.clone()),
            offset: after,
        };
        let (after, follows) = span.begin(Some(&since), limit);
        let forward = Some((after, follows, before));
        let transmit = RequestTransmit::Read { room, after, limit };
        (Stage::Reading(Reading { span, forward }), transmit)
    }
}

impl Which {
    /// Whether the caller has a later message of this log than the log here.
    fn is_past(&self, span: &Span) -> bool {
        let is_other = self
            .epoch
            .as_ref()
            .is_some_and(|epoch| *epoch != span.epoch);
        !is_other && self.after.is_some_and(|after| after > span.head)
    }
}

impl Look {
    fn begin(self, behind: bool) -> (Stage, RequestTransmit) {
        match self {
            Self::Messages { room, which } => {
                let transmit = RequestTransmit::LogSpan { room: room.clone() };
                let looking = Stage::Looking {
                    room,
                    which,
                    behind,
                };
                (looking, transmit)
            }
            Self::Members { room } => (Stage::Listing, RequestTransmit::Members { room }),
            Self::Feed(config) => answer(RequestAnswer::Feed(FeedConfig { behind, ..config })),
        }
    }
}

impl Reading {
    fn page(self, mut messages: Vec<Message>, more: bool) -> RequestAnswer {
        let Self { span, forward } = self;
        let (gap, more) = match forward {
            Some((after, follows, end)) => {
                // Some may have been trimmed since the log said what it holds.
                let starts = messages.first().is_none_or(|m| m.offset == after.next());
                let last = messages.last().map_or(after, |last| last.offset);
                messages.retain(|message| message.offset < end);
                (!(follows && starts), last.next() < end)
            }
            None => (false, more),
        };
        RequestAnswer::Messages(MessagePage {
            epoch: span.epoch,
            head: span.head,
            gap,
            more,
            messages,
        })
    }
}

/// The first thing to do, if the client's rights allow it.
fn begin(
    now: Timestamp,
    access: &Access,
    call: Call,
    config: &Config,
) -> Result<(Stage, RequestTransmit), RequestError> {
    let rights = &access.rights;
    Ok(match call {
        Call::Publish {
            room,
            key,
            session,
            name,
            body,
        } => {
            rules::check_message(rights, &room, &body, &config.limits)?;
            let name = access.naming.name(name.as_ref(), &session);
            let post = RequestTransmit::Post {
                room,
                key,
                session,
                name,
                body,
            };
            (Stage::Counting(post), RequestTransmit::Count)
        }
        Call::Read { room, which } => {
            rights.may_read(&room)?;
            reach(Look::Messages { room, which })
        }
        Call::Redact { room, offset } => {
            may_moderate(access, &room, config)?;
            (
                Stage::Redacting(offset),
                RequestTransmit::Redact { room, offset },
            )
        }
        Call::Presence { room } => {
            rights.may_read(&room)?;
            reach(Look::Members { room })
        }
        Call::Follow { room, since } => {
            rights.may_read(&room)?;
            let ends = access.ends(now);
            reach(Look::Feed(FeedConfig {
                since,
                behind: false,
                ends: ends.map(|ends| rules::served_until(ends, config)),
                open_by: now + config.welcome_timeout,
                unavailable_retry: config.unavailable_retry,
            }))
        }
    })
}

/// EO-8: guests never moderate. A guest is asked for a token where the server takes tokens.
fn may_moderate(access: &Access, room: &RoomName, config: &Config) -> Result<(), RequestError> {
    match access.identity {
        Identity::Guest(_) if config.takes_tokens => Err(ErrorCode::TokenRequired.into()),
        _ if access.rights.allow(room, Right::Moderate) => Ok(()),
        _ => Err(RequestError::ModerateDenied),
    }
}

/// A read comes after everything that was acknowledged before it, on any node, where this node can find that out in
/// time. Where it cannot, as the engine has no quorum, reading goes on with what this node has; only a caller that has
/// more already is asked to come again, as what it has is no gap (RS-6).
const fn reach(look: Look) -> (Stage, RequestTransmit) {
    let within = BARRIER_WAIT;
    (Stage::Reaching(look), RequestTransmit::Barrier { within })
}

/// The last thing to do.
const fn answer(answer: RequestAnswer) -> (Stage, RequestTransmit) {
    (Stage::Over, RequestTransmit::Answer(answer))
}
