//! The frames of the wire (PROTOCOL.md, "Frames"): one JSON object per text frame, tagged by `type`.
//!
//! Other programs may rely on the shape of these types, and of no other types of the core.

mod read;
mod refusal;

use serde::{Deserialize, Serialize};

pub use self::refusal::NumberFate;

use crate::address::Address;
use crate::codec;
use crate::id::{Credentials, Name, RoomName, Seq, SessionId, Token};
use crate::position::{Epoch, Offset, Position};

/// The WebSocket subprotocol that names this version of the wire.
pub const SUBPROTOCOL: &str = "everbeat.v1";

/// The largest frame that a client has to take, in bytes: many times the largest page of messages, and one message
/// with a text of 680 kB of which each byte is escaped. A server whose options allow more needs other clients.
pub const RECEIVED_BYTES_MAX: u32 = 4 << 20;

/// A frame from the client to the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientFrame {
    /// The first frame of a connection (RS-1).
    Hello {
        /// The session to resume; absent for a fresh one.
        #[serde(skip_serializing_if = "Option::is_none")]
        session: Option<Credentials>,
        /// The name that the user wishes.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<Name>,
        /// The user's token (AC-1); absent where a cookie holds one, and for guests.
        #[serde(skip_serializing_if = "Option::is_none")]
        token: Option<Token>,
    },
    /// A newer token in place of the one that is about to end (AC-2).
    Token {
        /// The token.
        token: Token,
    },
    /// Enter a room, or take its messages up again after `since` (RS-5).
    Join {
        /// Which room.
        room: RoomName,
        /// The client's position; absent for the newest messages only.
        #[serde(skip_serializing_if = "Option::is_none")]
        since: Option<Position>,
        /// How many of the newest messages to send where `since` is absent or cannot be met.
        #[serde(skip_serializing_if = "Option::is_none")]
        limit: Option<u32>,
    },
    /// Leave a room.
    Leave {
        /// Which room.
        room: RoomName,
    },
    /// Append a message to a room's log (EO-1).
    Publish {
        /// The client's own number of the message.
        seq: Seq,
        /// Which room.
        room: RoomName,
        /// The text.
        body: String,
    },
    /// The text in the input box now; an empty body clears it.
    Draft {
        /// Which room.
        room: RoomName,
        /// The text.
        body: String,
    },
    /// Older messages, for scrolling back.
    History {
        /// Which room.
        room: RoomName,
        /// Only messages with a smaller offset.
        before: Offset,
        /// At most this many.
        limit: u32,
    },
    /// Take another name from now on.
    Rename {
        /// The new name.
        name: Name,
    },
    /// A heartbeat: asks for a `pong`.
    Ping,
    /// The answer to a `ping`.
    Pong,
}

impl ClientFrame {
    /// Whether it is a `hello`, which begins a connection (RS-1).
    pub const fn is_hello(&self) -> bool {
        matches!(self, Self::Hello { .. })
    }
}

/// A frame from the server to the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerFrame {
    /// The answer to `hello`.
    Welcome(Welcome),
    /// The answer to `join`; also sent unasked when a reader fell too far behind on members or on the log.
    Joined(Joined),
    /// An entry of a room's log.
    Message(Message),
    /// The answer to `history`, oldest first.
    History {
        /// Which room.
        room: RoomName,
        /// The messages, oldest first.
        messages: Vec<Message>,
        /// Whether the log holds still older ones.
        more: bool,
    },
    /// The message with this `seq` is durable.
    Ack {
        /// The client's own number.
        seq: Seq,
        /// Which room.
        room: RoomName,
        /// Its place in the room's log.
        offset: Offset,
    },
    /// The text in another member's input box; an empty body clears it.
    Draft(Draft),
    /// Members that came and left.
    Presence {
        /// Which room.
        room: RoomName,
        /// Members that came, that have another name, or that are away or back.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        joined: Vec<Member>,
        /// Members that left.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        left: Vec<SessionId>,
        /// How many members there are now, where that is more than are named (PR-3).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        count: Option<u32>,
    },
    /// The server will end: reconnect in your own slot (RC-3).
    GoAway {
        /// This client's slot: how long to wait before the new connection, in milliseconds.
        reconnect_after_ms: u64,
        /// Another node, to which a client may go instead that was configured with its address (RC-8).
        #[serde(skip_serializing_if = "Option::is_none")]
        elsewhere: Option<Elsewhere>,
        /// Why, for the user.
        reason: String,
    },
    /// The token is about to end: show a newer one (AC-2).
    Renew {
        /// How long it is still good, in milliseconds.
        within_ms: u64,
    },
    /// A refusal.
    Error(Refusal),
    /// A heartbeat: asks for a `pong`.
    Ping,
    /// The answer to a `ping`.
    Pong,
}

/// Another node, and a client's slot there (RC-8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Elsewhere {
    /// The node's address.
    pub address: Address,
    /// How long to wait before the new connection, in milliseconds.
    pub after_ms: u64,
}

/// The server's answer to `hello`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// What to show at the next `hello`.
    pub session: Credentials,
    /// Whether this is the session that was asked for.
    pub resumed: bool,
    /// The highest `seq` of this session that is settled: durable or refused for good (RS-3). 0: none.
    #[serde(deserialize_with = "crate::id::safe_integer")]
    pub last_seq: u64,
    /// The newest settled numbers that were refused for good, lest a lost `error` hides it (EO-7).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
    /// The name that a token vouches for: the client cannot change it (AC-4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vouched: Option<Name>,
    /// The heartbeat of this connection (HB-2).
    pub heartbeat: Beat,
    /// The server's limits.
    pub limits: Limits,
}

/// One number that was used up by a refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The client's own number.
    pub seq: Seq,
    /// Why.
    pub code: ErrorCode,
}

/// The numbers of the heartbeat (HB-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// How long nothing may be received before a ping, in milliseconds.
    #[serde(deserialize_with = "crate::id::safe_integer")]
    pub interval_ms: u64,
    /// How long the answer may take, in milliseconds.
    #[serde(deserialize_with = "crate::id::safe_integer")]
    pub timeout_ms: u64,
}

/// The server's limits for one session. Announced in `welcome`, so that a client can hold back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The largest frame, in bytes. Overflow: close `frame_too_large`.
    pub frame_bytes: u32,
    /// The largest body of a message or draft, in bytes. Overflow: error `body_too_large`.
    pub body_bytes: u32,
    /// Rooms joined at once. Overflow: error `too_many_rooms`.
    pub rooms: u32,
    /// Messages a second, in the long run. Overflow: error `rate_limited` with `retry_after_ms`.
    pub publishes_per_s: u32,
    /// Drafts a second, in the long run. Overflow: coalesced, the latest wins.
    pub drafts_per_s: u32,
    /// The most messages in one `history` or in a `join` without position. Overflow: cut to it.
    pub history: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A page of text with room to spare, and small enough that a buffer for it is cheap.
            frame_bytes: 64 * 1024,
            // Every character may need six bytes of JSON escape: the body then still fits the frame.
            body_bytes: 8 * 1024,
            rooms: 32,
            // No user types faster; a client that empties its outbox waits for the time that an error names.
            publishes_per_s: 50,
            // One in each 50 ms looks live.
            drafts_per_s: 20,
            history: 200,
        }
    }
}

/// The server's answer to `join`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// Which room.
    pub room: RoomName,
    /// The identity of its log.
    pub epoch: Epoch,
    /// The offset of its newest message.
    pub head: Offset,
    /// The messages that follow on this connection begin just after this offset.
    pub from: Offset,
    /// Whether they follow the position that the client asked for without a gap (RS-6).
    pub recovered: bool,
    /// The members; in a crowd some of them, this session always (PR-3).
    pub members: Vec<Member>,
    /// How many members there are, where that is more than `members` (PR-3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// The texts in their input boxes.
    pub drafts: Vec<RoomDraft>,
    /// This session may read here, and not write (AC-5).
    #[serde(default, skip_serializing_if = "is_false")]
    pub read_only: bool,
}

/// Whether a flag is false, and left out.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// A member of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its session.
    pub session: SessionId,
    /// Its name.
    pub name: Name,
    /// Its connection is gone for a while: it may come back (PR-1).
    #[serde(default, skip_serializing_if = "is_false")]
    pub away: bool,
    /// The number of its user in this room: members with an equal one are sessions of one user under one name (PR-4). It
    /// means nothing in another room or at another node, and is absent where the user is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<u32>,
}

impl Member {
    /// A member whose user is not known, and whose connection lives.
    pub const fn new(session: SessionId, name: Name) -> Self {
        Self {
            session,
            name,
            away: false,
            user: None,
        }
    }
}

/// A member's draft within `joined`, which names the room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomDraft {
    /// The author's session.
    pub session: SessionId,
    /// The author's name.
    pub name: Name,
    /// The text.
    pub body: String,
}

/// A draft by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// Which room.
    pub room: RoomName,
    /// The author's session.
    pub session: SessionId,
    /// The author's name.
    pub name: Name,
    /// The text; empty clears it.
    pub body: String,
}

/// An entry of a room's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Which room.
    pub room: RoomName,
    /// Its place in the room's log.
    pub offset: Offset,
    /// The author's session.
    pub session: SessionId,
    /// The message's number in that session.
    pub seq: Seq,
    /// The author's name at that time.
    pub name: Name,
    /// When the message entered the log: Unix time in milliseconds, by the server's clock.
    #[serde(deserialize_with = "crate::id::safe_integer")]
    pub at_ms: u64,
    /// The text; empty once it is redacted.
    pub body: String,
    /// The text was redacted (EO-8). Such a message may have been sent before, with its text.
    #[serde(default, skip_serializing_if = "is_false")]
    pub removed: bool,
}

/// The most bytes that a message takes in a frame beside its text and its author's name: the names of its
/// fields, three numbers of at most 16 digits, an id and a room of at most 64 characters.
const MESSAGE_BYTES: usize = 320;

impl Message {
    /// Whether it is what its session published under this number. The number alone is not enough: another body
    /// or room under it is another message (EO-6). The body of a redacted message is unknown, and is not
    /// compared.
    pub fn is_published_as(&self, room: &RoomName, seq: Seq, body: &str) -> bool {
        self.seq == seq && self.room == *room && (self.removed || self.body == body)
    }

    /// The message's bytes in a frame, or a few more.
    pub fn wire_bytes(&self) -> usize {
        let texts =
            codec::text_bytes(self.name.as_str()).saturating_add(codec::text_bytes(&self.body));
        MESSAGE_BYTES.saturating_add(texts)
    }
}

/// A refusal: what the server does not do, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Why, for programs.
    pub code: ErrorCode,
    /// Why, for the user.
    pub message: String,
    /// The message that is refused: for now with `retry_after_ms`, without it for good (EO-7).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<Seq>,
    /// The number for which the connection ends. It is not used up, and its message is neither durable nor refused
    /// (EO-1, EO-6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsettled: Option<Seq>,
    /// The room that the refusal is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<RoomName>,
    /// Refused for now: try again after this long, in milliseconds (EO-7).
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::id::optional_safe_integer"
    )]
    pub retry_after_ms: Option<u64>,
}

/// Why something was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorCode {
    /// Not a frame of this protocol; the connection is closed.
    BadFrame,
    /// A name that no room can have; a message's number is used up.
    BadRoom,
    /// A message without text; its number is used up.
    BodyEmpty,
    /// A text over `limits.body_bytes`; a message's number is used up.
    BodyTooLarge,
    /// Too many clients come at once: again after `retry_after_ms`, the client's slot (RC-7).
    Busy,
    /// A frame over `limits.frame_bytes`; the connection is closed.
    FrameTooLarge,
    /// No `hello` in time, or a second one; the connection is closed.
    HelloExpected,
    /// The room has not been joined.
    NotJoined,
    /// Too fast: again after `retry_after_ms`.
    RateLimited,
    /// No right to read the room (AC-5).
    ReadDenied,
    /// The `seq` was used for another message; the connection is closed (EO-6).
    SeqConflict,
    /// The `seq` skips numbers; the connection is closed (EO-1).
    SeqGap,
    /// The token has ended (AC-2).
    TokenExpired,
    /// Not a token that this server takes, or one of another subject (AC-1, AC-2).
    TokenInvalid,
    /// Guests are not taken: a token is needed (AC-1).
    TokenRequired,
    /// More rooms than `limits.rooms`.
    TooManyRooms,
    /// The log cannot take it now (full disk, say): again after `retry_after_ms`.
    Unavailable,
    /// No right to write in the room; a message's number is used up (AC-5).
    WriteDenied,
    /// A code that this build does not know.
    #[serde(other)]
    Unknown,
}

impl ErrorCode {
    /// The code as it stands on the wire, in the log and in metrics: it outlives any order of the variants.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadFrame => "bad_frame",
            Self::BadRoom => "bad_room",
            Self::BodyEmpty => "body_empty",
            Self::BodyTooLarge => "body_too_large",
            Self::Busy => "busy",
            Self::FrameTooLarge => "frame_too_large",
            Self::HelloExpected => "hello_expected",
            Self::NotJoined => "not_joined",
            Self::RateLimited => "rate_limited",
            Self::ReadDenied => "read_denied",
            Self::SeqConflict => "seq_conflict",
            Self::SeqGap => "seq_gap",
            Self::TokenExpired => "token_expired",
            Self::TokenInvalid => "token_invalid",
            Self::TokenRequired => "token_required",
            Self::TooManyRooms => "too_many_rooms",
            Self::Unavailable => "unavailable",
            Self::WriteDenied => "write_denied",
            Self::Unknown => "unknown",
        }
    }

    /// The code with this name on the wire; [`ErrorCode::Unknown`] if there is none.
    pub fn parse(text: &str) -> Self {
        const MAX: u32 = 64;
        codec::decode(&format!("\"{text}\""), MAX).unwrap_or(Self::Unknown)
    }

    /// The sentence for the user, in English. A client that speaks another language goes by the code.
    pub const fn message(self) -> &'static str {
        match self {
            Self::BadFrame => "this is not a frame of everbeat.v1",
            Self::BadRoom => "a room's name is 1 to 64 of a-z 0-9 - _",
            Self::BodyEmpty => "a message needs at least one character",
            Self::BodyTooLarge => "the text is longer than this server takes",
            Self::Busy => "many are coming at once: your turn is soon",
            Self::FrameTooLarge => "the frame is larger than this server takes",
            Self::HelloExpected => "the first frame, and only the first, must be hello",
            Self::NotJoined => "join the room first",
            Self::RateLimited => "too fast: try again a little later",
            Self::ReadDenied => "you may not read this room",
            Self::SeqConflict => "this number was used for another message",
            Self::SeqGap => "this number skips some before it",
            Self::TokenExpired => "your sign-in has ended: sign in again",
            Self::TokenInvalid => "your sign-in is not good here: sign in again",
            Self::TokenRequired => "sign in first",
            Self::TooManyRooms => "leave a room before joining another",
            Self::Unavailable => "the server cannot store messages now: try again later",
            Self::WriteDenied => "you may not write in this room",
            Self::Unknown => "the server refused it",
        }
    }
}
