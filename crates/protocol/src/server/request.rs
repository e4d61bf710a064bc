//! One request over HTTP: what is decided about it, without HTTP.
//!
//! A [`Request`] is one [`Call`] of a caller who was authenticated. It asks its driver for one thing at a time, as far as the
//! rights, the limits and the facts allow, and ends with an answer or a refusal. What a frame and a request have in
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

/// How long the answer to a removal waits for the text to leave the log's files, too. Where no other program reads
/// them, that takes milliseconds.
const SCRUB_WAIT: Duration = Duration::from_secs(2);

/// What a caller wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// To publish a message, once.
    Publish {
        /// Where.
        room: RoomName,
        /// What tells it apart from others when it is repeated.
        key: PostKey,
        /// A fresh session, of which the message is the first.
        session: SessionId,
        /// What the caller wants to be called (AC-4).
        name: Option<Name>,
        /// The text.
        body: String,
    },
    /// To read messages.
    Read {
        /// Of which room.
        room: RoomName,
        /// Which of them.
        which: Which,
    },
    /// To redact the text of a message for good (EO-8).
    Remove {
        /// In which room.
        room: RoomName,
        /// Which one.
        offset: Offset,
    },
    /// To know the members of a room.
    Presence {
        /// Which room.
        room: RoomName,
    },
    /// To follow a room.
    Follow {
        /// Which room.
        room: RoomName,
        /// Everything up to there the caller has; without it, the caller listens from now on.
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

/// A fact that the driver reports: the answer to what it was asked for last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestInput {
    /// The answer to [`RequestTransmit::Count`]: how long until the next message, where there are too many.
    Counted(Result<(), Duration>),
    /// The answer to [`RequestTransmit::Post`].
    Posted(Result<Posted, PostError>),
    /// The answer to [`RequestTransmit::LogSpan`]; `None` when the log cannot answer now.
    LogSpan(Option<Span>),
    /// The answer to [`RequestTransmit::Read`] and [`RequestTransmit::ReadBefore`]: messages, oldest first, and whether
    /// there are more in that direction; `None` when the log cannot answer now.
    PageRead(Option<(Vec<Message>, bool)>),
    /// The answer to [`RequestTransmit::Remove`]; `None` when the log cannot answer now.
    Removed(Option<Removal>),
    /// The answer to [`RequestTransmit::Scrub`]: whether it was done in that time.
    Scrubbed(bool),
    /// The answer to [`RequestTransmit::Members`]: those who are named, and how many there are (PR-3).
    Members(Vec<Member>, u32),
}

/// What the driver of a request must do. It answers one before it asks for the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestTransmit {
    /// Count a message for its author and for its address; answer with [`RequestInput::Counted`].
    Count,
    /// Append a message, or find the one that was posted under its key; answer with [`RequestInput::Posted`].
    Post {
        /// Where.
        room: RoomName,
        /// What tells it apart.
        key: PostKey,
        /// The session that the message says it is of, and in which it is the first.
        session: SessionId,
        /// How its author is called.
        name: Name,
        /// The text.
        body: String,
    },
    /// Find out what the log of a room holds; answer with [`RequestInput::LogSpan`].
    LogSpan {
        /// Which room.
        room: RoomName,
    },
    /// Read the messages after an offset, oldest first; answer with [`RequestInput::PageRead`].
    Read {
        /// Of which room.
        room: RoomName,
        /// Only larger offsets.
        after: Offset,
        /// At most so many.
        limit: u32,
    },
    /// Read the newest messages before an offset; answer with [`RequestInput::PageRead`].
    ReadBefore {
        /// Of which room.
        room: RoomName,
        /// Only smaller offsets.
        before: Offset,
        /// At most so many.
        limit: u32,
    },
    /// Redact the text of a message; answer with [`RequestInput::Removed`].
    Remove {
        /// In which room.
        room: RoomName,
        /// Which one.
        offset: Offset,
    },
    /// Wait for redacted texts to leave the log's files; answer with [`RequestInput::Scrubbed`].
    Scrub {
        /// Not longer than this.
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

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestAnswer {
    /// The message is durable.
    Published(Posted),
    /// Messages.
    Messages(MessagePage),
    /// No answer holds the text any more.
    Removed {
        /// Nor do the log's files.
        is_scrubbed: bool,
    },
    /// The members of a room.
    Presence {
        /// Those who are named (PR-3).
        members: Vec<Member>,
        /// How many there are.
        count: u32,
    },
    /// The caller listens: what a [`Feed`](super::Feed) begins with.
    Feed(FeedConfig),
}

/// Messages, and where they stand in the log of their room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessagePage {
    /// The identity of the log.
    pub epoch: Epoch,
    /// The offset of its newest message.
    pub head: Offset,
    /// Messages between those that the caller has and the first of these are missing (RS-6).
    pub gap: bool,
    /// There are more in the same direction.
    pub more: bool,
    /// Oldest first.
    pub messages: Vec<Message>,
}

/// What tells a message apart that comes without a session: a hash of its author, and of the key that the author gave it.
pub type PostKey = [u8; 32];

/// What became of a post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// The identity of the room's log.
    pub epoch: Epoch,
    /// Its place in that log.
    pub offset: Offset,
    /// It was there already.
    pub is_repeat: bool,
}

/// Why the log did not take a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostError {
    /// Its key was used for another message (EO-6).
    Conflict,
    /// Not now.
    Unavailable,
}

/// What became of the wish to redact a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is gone.
    Removed,
    /// It was gone already.
    Before,
    /// The log holds no such message, or not any more.
    Missing,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// For good, for a reason that the wire knows, too.
    #[error("refused: {0:?}")]
    Refused(ErrorCode),
    /// For now: the same request may be sent again after this time.
    #[error("refused for now: {0:?}, {1:?}")]
    Later(ErrorCode, Duration),
    /// The caller lacks the right to moderate the room (EO-8).
    #[error("no right to moderate the room")]
    ModerateDenied,
    /// The key of the message was used for another one (EO-6).
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

/// One request.
#[derive(Debug)]
pub struct Request {
    config: Arc<Config>,
    stage: Stage,
    transmit: Option<RequestTransmit>,
}

/// What a request waits for.
#[derive(Debug)]
enum Stage {
    /// Its message is counted, and to be appended then.
    Counting(RequestTransmit),
    /// Its message is appended.
    Posting,
    /// It is looked up what the log holds.
    Looking { room: RoomName, which: Which },
    /// Messages are read.
    Reading(Reading),
    /// A text is redacted.
    Removing(Offset),
    /// The log's files are scrubbed.
    Scrubbing,
    /// Members are looked up.
    Listing,
    /// Nothing: it was answered.
    Over,
}

/// What was asked of the log, and what it held before.
#[derive(Debug)]
struct Reading {
    span: Span,
    /// Where messages are read in the order of the log: after which offset, whether that follows what the caller has,
    /// and before which offset they end.
    forward: Option<(Offset, bool, Offset)>,
}

impl Request {
    /// A request of a caller with this access.
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

    /// A fact. One that was not asked for has no consequence.
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
            },
            (Stage::Looking { room, which }, RequestInput::LogSpan(span)) => span
                .map(|span| self.read(room, which, span))
                .ok_or(unavailable),
            (Stage::Reading(reading), RequestInput::PageRead(page)) => page
                .map(|(messages, more)| answer(reading.page(messages, more)))
                .ok_or(unavailable),
            (Stage::Removing(offset), RequestInput::Removed(removal)) => match removal {
                Some(Removal::Removed | Removal::Before) => {
                    let within = SCRUB_WAIT;
                    Ok((Stage::Scrubbing, RequestTransmit::Scrub { within }))
                }
                Some(Removal::Missing) => Err(RequestError::NoMessage(offset)),
                None => Err(unavailable),
            },
            (Stage::Scrubbing, RequestInput::Scrubbed(is_scrubbed)) => {
                Ok(answer(RequestAnswer::Removed { is_scrubbed }))
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

    /// RS-5, RS-6: where to read on, and whether that follows what the caller has, as for a session.
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

impl Reading {
    fn page(self, mut messages: Vec<Message>, more: bool) -> RequestAnswer {
        let Self { span, forward } = self;
        let (gap, more) = match forward {
            Some((after, follows, end)) => {
                // Some may have been trimmed since the log was asked what it holds.
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

/// The first thing to be done, as far as the caller may have it.
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
            let transmit = RequestTransmit::LogSpan { room: room.clone() };
            (Stage::Looking { room, which }, transmit)
        }
        Call::Remove { room, offset } => {
            may_moderate(access, &room, config)?;
            (
                Stage::Removing(offset),
                RequestTransmit::Remove { room, offset },
            )
        }
        Call::Presence { room } => {
            rights.may_read(&room)?;
            (Stage::Listing, RequestTransmit::Members { room })
        }
        Call::Follow { room, since } => {
            rights.may_read(&room)?;
            let ends = access.ends(now);
            answer(RequestAnswer::Feed(FeedConfig {
                since,
                ends: ends.map(|ends| rules::served_until(ends, config)),
                open_by: now + config.welcome_timeout,
                unavailable_retry: config.unavailable_retry,
            }))
        }
    })
}

/// EO-8: guests never moderate. One who has shown no token is asked for one, where that can help.
fn may_moderate(access: &Access, room: &RoomName, config: &Config) -> Result<(), RequestError> {
    match access.identity {
        Identity::Guest(_) if config.takes_tokens => Err(ErrorCode::TokenRequired.into()),
        _ if access.rights.allow(room, Right::Moderate) => Ok(()),
        _ => Err(RequestError::ModerateDenied),
    }
}

/// The last thing to be done.
const fn answer(answer: RequestAnswer) -> (Stage, RequestTransmit) {
    (Stage::Over, RequestTransmit::Answer(answer))
}
