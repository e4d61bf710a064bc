//! The input of the server's machine.

use std::time::Duration;

use super::{RequestId, Slot, Span};
use crate::access::{Access, Denied};
use crate::codec::DecodeError;
use crate::frame::{ClientFrame, ErrorCode, Member, Message, Refused, RoomDraft};
use crate::heartbeat::SendQueue;
use crate::id::{Credentials, RoomName, Seq};
use crate::position::{Epoch, Offset};

/// The state of a room at the moment of joining.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomView {
    /// The identity of its log.
    pub epoch: Epoch,
    /// The offset of its newest message.
    pub head: Offset,
    /// The messages up to this offset are no longer in the log.
    pub trimmed: Offset,
    /// The named members.
    pub members: Vec<Member>,
    /// How many members there are, where that is more than `members` (PR-3).
    pub count: Option<u32>,
    /// The texts in their input boxes.
    pub drafts: Vec<RoomDraft>,
    /// The newest redacted messages (EO-8).
    pub redacted: Vec<Message>,
    /// The version of `members`, `drafts` and `redacted`.
    pub version: u64,
}

impl RoomView {
    /// The span of the room's log.
    pub fn span(&self) -> Span {
        Span {
            epoch: self.epoch.clone(),
            head: self.head,
            trimmed: self.trimmed,
        }
    }
}

/// Why the log did not take a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// The number was used for another message (EO-6).
    Conflict,
    /// The number does not follow the last one.
    OutOfOrder,
    /// The number was used up by a refusal.
    Refused(ErrorCode),
    /// The log forgot the session.
    UnknownSession,
    /// The session was opened again since: another connection has it (RS-4).
    Fenced,
    /// Not now: the number is not used.
    Unavailable,
    /// The number may be used, or may be yet: only the next opening of the session can tell (RS-3).
    Unknown,
    /// The author publishes too fast, over all sessions: again after this time.
    RateLimited(Duration),
}

/// A fact that the driver reports.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Input {
    /// A text frame came, or something that is not one.
    Received(Result<ClientFrame, DecodeError>),
    /// A control frame came: a sign of life (HB-1).
    SignOfLife,
    /// The cost that [`Connection::take_cost`](super::Connection::take_cost) returned exceeds the limit of the connection's
    /// user or address: it is paid for after this time.
    Throttled(Duration),
    /// The answer to [`Transmit::Admit`](super::Transmit::Admit).
    Admitted(Result<Access, Denied>),
    /// The answer to [`Transmit::OpenSession`](super::Transmit::OpenSession); `None` when the log cannot
    /// answer now.
    SessionOpened(Option<SessionOpened>),
    /// The answer to [`Transmit::OpenRoom`](super::Transmit::OpenRoom); `None` when the log cannot
    /// answer now, or when the room was not entered because the answer is of no use any more
    /// ([`Connection::awaits`](super::Connection::awaits)).
    RoomOpened {
        /// To which question.
        id: RequestId,
        /// Which room.
        room: RoomName,
        /// Its state.
        view: Option<RoomView>,
    },
    /// A room has newer messages, drafts or members.
    RoomMoved {
        /// Which room.
        room: RoomName,
        /// Its newest message.
        head: Offset,
        /// Its newest version of members and drafts.
        version: u64,
    },
    /// The answer to [`Transmit::Pull`](super::Transmit::Pull): written to the connection up to here.
    Pulled {
        /// To which question.
        id: RequestId,
        /// Which room.
        room: RoomName,
        /// The last offset written.
        through: Offset,
        /// The last version written.
        version: u64,
    },
    /// The answer to [`Transmit::Pull`](super::Transmit::Pull) where the reader fell behind what the
    /// room still has.
    CutOff {
        /// To which question.
        id: RequestId,
        /// Which room.
        room: RoomName,
    },
    /// The answer to [`Transmit::Pull`](super::Transmit::Pull) where the log cannot be read now, or where nothing
    /// was written because the answer is of no use any more
    /// ([`Connection::awaits`](super::Connection::awaits)).
    PullFailed {
        /// To which question.
        id: RequestId,
        /// Which room.
        room: RoomName,
    },
    /// The answer to [`Transmit::Append`](super::Transmit::Append).
    Appended {
        /// Its number.
        seq: Seq,
        /// Which room.
        room: RoomName,
        /// Its offset.
        result: Result<Offset, AppendError>,
    },
    /// The answer to [`Transmit::Refuse`](super::Transmit::Refuse): the number is used up durably.
    NumberUsed {
        /// The number.
        seq: Seq,
        /// Why it was refused, or why that could not be stored.
        result: Result<ErrorCode, AppendError>,
    },
    /// The answer to [`Transmit::History`](super::Transmit::History), in the order in which they were asked
    /// for; `None` when the log cannot answer now.
    HistoryRead {
        /// Which room.
        room: RoomName,
        /// The messages, oldest first, and whether there are older ones.
        page: Option<(Vec<Message>, bool)>,
    },
    /// Another connection resumed this session (RS-4).
    TakenOver,
    /// An operator ends this connection.
    Disconnected,
    /// The server will end; this is the client's slot (RC-3, RC-8).
    GoAway(Slot),
    /// The server ends now.
    Shutdown,
    /// Whether written bytes wait for the other end to take them, from now on.
    Stalled(bool),
    /// The system's send queue, where [`Connection::wants_send_queue`](super::Connection::wants_send_queue) asks for
    /// it. A driver that cannot know it reports nothing.
    SendQueue(SendQueue),
    /// A write made no progress in time: a slow consumer.
    WriteStuck,
}

/// A session as the log opened it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionOpened {
    /// The credentials that the client shows to resume it.
    pub credentials: Credentials,
    /// Whether it is the one asked for.
    pub resumed: bool,
    /// Its last settled number.
    pub last_seq: u64,
    /// Its newest numbers that were refused for good.
    pub refused: Vec<Refused>,
}
