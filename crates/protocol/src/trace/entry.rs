//! The entries of a trace, and how they are written.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::close::CloseCode;
use crate::codec::DecodeError;
use crate::frame::{ClientFrame, ErrorCode, ServerFrame};
use crate::heartbeat::Verdict;
use crate::id::{ConnectionId, NodeName, RoomName, Seq, SessionId};
use crate::position::Offset;
use crate::server::Config;
use crate::time::{Timestamp, millis};

/// An entry of a session's trace. As JSON it is one flat object.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// When it happened, by the server's monotonic clock. In JSON: milliseconds with three decimals.
    #[serde(rename = "ms", serialize_with = "exact_millis")]
    pub at: Timestamp,
    /// On which connection, by the server's number; `None` where it is about none. In JSON: 0 for none.
    #[serde(serialize_with = "number")]
    pub connection: Option<ConnectionId>,
    /// What happened.
    #[serde(flatten)]
    pub fact: Fact,
}

/// What an entry is about. In JSON the variant's name is `kind`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fact {
    /// The server's clocks and heartbeat: the first entry, and the sign of life of a trace without any other.
    Clock(TraceClock),
    /// The first entry of a connection: it opened, or it was live when the trace began.
    Open {
        /// How many text frames had come on it before.
        #[serde(rename = "in")]
        received: u32,
        /// How many text frames had been sent on it before.
        #[serde(rename = "out")]
        sent: u32,
        /// When the client last gave a sign of life.
        #[serde(rename = "heard_ms", serialize_with = "exact_millis")]
        heard_at: Timestamp,
    },
    /// A frame came.
    In(FrameNote),
    /// A frame was handed to the socket.
    Out(FrameNote),
    /// A deadline of the heartbeat passed: `probe`, a ping follows; `dead`, the connection ends (HB-4).
    Verdict {
        /// Which of the two.
        #[serde(serialize_with = "verdict_word")]
        verdict: Verdict,
    },
    /// The log answered a message.
    Commit {
        /// The message's number.
        seq: Seq,
        /// Its offset, once it is durable.
        #[serde(skip_serializing_if = "Option::is_none")]
        offset: Option<Offset>,
        /// Why it is not, where it is not.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'static str>,
        /// The time from the question to the answer; `None` where the question came before the trace.
        #[serde(
            rename = "took_ms",
            serialize_with = "exact_duration",
            skip_serializing_if = "Option::is_none"
        )]
        took: Option<Duration>,
    },
    /// Messages after a position are sent again from the log (RS-5).
    Replay {
        /// Which room.
        room: RoomName,
        /// Just after this offset.
        from: Offset,
        /// Up to this offset.
        to: Offset,
    },
    /// The server drains: the client's slot (RC-3, RC-8).
    Slot {
        /// How long from now until it may come back here, in milliseconds.
        reconnect_after_ms: u64,
        /// How long from now until it may go to another node, in milliseconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        elsewhere_after_ms: Option<u64>,
    },
    /// Another connection resumed the session: this one lost it (RS-4).
    #[serde(rename = "takeover")]
    TakeOver,
    /// The connection ended: its last entry.
    Close {
        /// With this code.
        code: CloseCode,
        /// By this end.
        by: Side,
    },
    /// Entries were dropped, as the reader was too slow for the ring.
    Lost {
        /// How many.
        count: u64,
    },
}

/// The server's clocks and heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TraceClock {
    /// Unix time in milliseconds at the entry's moment.
    pub unix_ms: u64,
    /// The silence after which the server asks, in milliseconds (HB-4).
    pub idle_ms: u64,
    /// How long the answer may take, in milliseconds (HB-2).
    pub timeout_ms: u64,
    /// The node whose trace this is, where there are several: connections at others are not in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeName>,
}

impl TraceClock {
    /// The clock of a server with this configuration, at this Unix time.
    pub fn new(unix_ms: u64, config: &Config, node: Option<NodeName>) -> Self {
        let heartbeat = config.heartbeat();
        Self {
            unix_ms,
            idle_ms: millis(heartbeat.idle),
            timeout_ms: millis(heartbeat.timeout),
            node,
        }
    }
}

/// Which end closed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The server.
    Server,
    /// The client, by a closing handshake.
    Client,
    /// Neither: the connection broke.
    Line,
}

/// What a trace holds of a frame: its type, its place and its numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FrameNote {
    /// The frame's place among the text frames of its connection and direction, from 1; 0 for a binary frame, which
    /// is not counted.
    pub ordinal: u32,
    /// The frame's `type`, or `bad` where it is none.
    pub frame: &'static str,
    /// The number of a message of this session; in `welcome` the last settled one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// The offset in the frame: of a message, in `joined` the head, in `join` the position, in `history` of the
    /// client the bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<Offset>,
    /// The room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<RoomName>,
    /// The bytes of the text of a message or draft.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<usize>,
    /// The code of an error, or why a frame is `bad`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<ErrorCode>,
}

impl FrameNote {
    /// The note of a frame that came.
    pub(super) fn received(ordinal: u32, frame: &Result<ClientFrame, DecodeError>) -> Self {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return Self::bad(ordinal, error),
        };
        let note = |frame| Self::new(ordinal, frame);
        let in_room = |frame, room| Self::in_room(ordinal, frame, room);
        match frame {
            ClientFrame::Hello { .. } => note("hello"),
            ClientFrame::Token { .. } => note("token"),
            ClientFrame::Join { room, since, .. } => Self {
                offset: since.as_ref().map(|since| since.offset),
                ..in_room("join", room)
            },
            ClientFrame::Leave { room } => in_room("leave", room),
            ClientFrame::Publish { seq, room, body } => Self {
                seq: Some(seq.get()),
                bytes: Some(body.len()),
                ..in_room("publish", room)
            },
            ClientFrame::Draft { room, body } => Self {
                bytes: Some(body.len()),
                ..in_room("draft", room)
            },
            ClientFrame::History { room, before, .. } => Self {
                offset: Some(*before),
                ..in_room("history", room)
            },
            ClientFrame::Rename { .. } => note("rename"),
            ClientFrame::Ping => note("ping"),
            ClientFrame::Pong => note("pong"),
        }
    }

    /// The note of a frame that is sent, on a connection of the session `own`, once that is known.
    pub(super) fn sent(ordinal: u32, frame: &ServerFrame, own: Option<&SessionId>) -> Self {
        let note = |frame| Self::new(ordinal, frame);
        let in_room = |frame, room| Self::in_room(ordinal, frame, room);
        match frame {
            ServerFrame::Welcome(welcome) => Self {
                seq: Some(welcome.last_seq),
                ..note("welcome")
            },
            ServerFrame::Joined(joined) => Self {
                offset: Some(joined.head),
                ..in_room("joined", &joined.room)
            },
            ServerFrame::Message(message) => Self {
                // The numbers of others mean nothing here.
                seq: (own == Some(&message.session)).then(|| message.seq.get()),
                offset: Some(message.offset),
                bytes: Some(message.body.len()),
                ..in_room("message", &message.room)
            },
            ServerFrame::History { room, .. } => in_room("history", room),
            ServerFrame::Ack { seq, room, offset } => Self {
                seq: Some(seq.get()),
                offset: Some(*offset),
                ..in_room("ack", room)
            },
            ServerFrame::Draft(draft) => Self {
                bytes: Some(draft.body.len()),
                ..in_room("draft", &draft.room)
            },
            ServerFrame::Presence { room, .. } => in_room("presence", room),
            ServerFrame::GoAway { .. } => note("go_away"),
            ServerFrame::Renew { .. } => note("renew"),
            ServerFrame::Error(refusal) => Self {
                seq: refusal.seq.or(refusal.unsettled).map(Seq::get),
                room: refusal.room.clone(),
                code: Some(refusal.code),
                ..note("error")
            },
            ServerFrame::Ping => note("ping"),
            ServerFrame::Pong => note("pong"),
        }
    }

    /// The note of what is not a frame.
    fn bad(ordinal: u32, error: &DecodeError) -> Self {
        let (code, seq) = match error {
            DecodeError::TooLarge { .. } => (ErrorCode::FrameTooLarge, None),
            DecodeError::Unfit { code, seq } => (*code, *seq),
            DecodeError::Binary | DecodeError::Malformed { .. } => (ErrorCode::BadFrame, None),
        };
        Self {
            seq: seq.map(Seq::get),
            code: Some(code),
            ..Self::new(ordinal, "bad")
        }
    }

    fn new(ordinal: u32, frame: &'static str) -> Self {
        Self {
            ordinal,
            frame,
            ..Self::default()
        }
    }

    fn in_room(ordinal: u32, frame: &'static str, room: &RoomName) -> Self {
        Self {
            room: Some(room.clone()),
            ..Self::new(ordinal, frame)
        }
    }
}

fn exact_millis<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    exact_duration(&Some(at.since_origin()), serializer)
}

/// Milliseconds with three decimals. Below 285 years a number of microseconds is exact in a double.
#[expect(clippy::ref_option, reason = "as serde calls it")]
fn exact_duration<S: Serializer>(
    time: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let micros = time.unwrap_or_default().as_micros();
    (micros as f64 / 1000.0).serialize(serializer)
}

#[expect(clippy::ref_option, reason = "as serde calls it")]
fn number<S: Serializer>(id: &Option<ConnectionId>, serializer: S) -> Result<S::Ok, S::Error> {
    id.map_or(0, ConnectionId::get).serialize(serializer)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn verdict_word<S: Serializer>(verdict: &Verdict, serializer: S) -> Result<S::Ok, S::Error> {
    let word = match verdict {
        Verdict::Alive => "alive",
        Verdict::Ping => "probe",
        Verdict::Dead => "dead",
    };
    word.serialize(serializer)
}
