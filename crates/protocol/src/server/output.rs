//! What comes out of the server's machine.

use std::time::Duration;

use super::{Pull, RequestId};
use crate::access::Identity;
use crate::close::CloseCode;
use crate::frame::{ErrorCode, ServerFrame};
use crate::id::{Credentials, Name, RoomName, Seq, Token};
use crate::position::Offset;

/// Something that the driver must do, in order.
///
/// What calls for an answer may take time. The driver does not wait for it: it goes on with what follows, and
/// answers when it can. Answers to [`Append`](Self::Append) and [`Refuse`](Self::Refuse) come in the order in
/// which they were asked for, and so do those to [`History`](Self::History).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transmit {
    /// Send a frame.
    Frame(ServerFrame),
    /// Find out who shows this token, or who it is without one;
    /// answer with [`Input::Admitted`](super::Input::Admitted).
    Admit {
        /// What was shown.
        token: Option<Token>,
    },
    /// Resume this session if it is this owner's (AC-3), or open a fresh one;
    /// answer with [`Input::SessionOpened`](super::Input::SessionOpened).
    OpenSession {
        /// The session that the client wants.
        resume: Option<Credentials>,
        /// Whose sessions the client may resume, and whose a fresh one is.
        owner: Identity,
    },
    /// Find out what the room's log holds; then, unless nobody waits for it any more
    /// ([`Session::awaits`](super::Session::awaits)), enter the room under the name that the session has by
    /// then ([`Session::name`](super::Session::name)), be told when it moves, and look at it;
    /// answer with [`Input::RoomOpened`](super::Input::RoomOpened), and with the room's own copy of the
    /// name where there is one.
    OpenRoom {
        /// To be answered with this.
        id: RequestId,
        /// Which room.
        room: RoomName,
    },
    /// Leave the room for good.
    LeaveRoom {
        /// Which room.
        room: RoomName,
    },
    /// Be called something else in the room.
    Rename {
        /// Which room.
        room: RoomName,
        /// The new name.
        name: Name,
    },
    /// Write what a room has for this reader, unless that takes time and nobody waits for it any more then
    /// ([`Session::awaits`](super::Session::awaits));
    /// answer with [`Input::Pulled`](super::Input::Pulled), [`Input::CutOff`](super::Input::CutOff) or
    /// [`Input::PullFailed`](super::Input::PullFailed).
    Pull {
        /// To be answered with this.
        id: RequestId,
        /// Which room.
        room: RoomName,
        /// From where.
        pull: Pull,
    },
    /// Append a message, or find it in the log where it is a repeat;
    /// answer with [`Input::Appended`](super::Input::Appended).
    Append {
        /// Its number.
        seq: Seq,
        /// Which room.
        room: RoomName,
        /// How the author is called.
        name: Name,
        /// The text.
        body: String,
        /// Its number was passed on before. It is not judged again whether it may be written: a log in
        /// which that number is still free must not take it ([`AppendError`](super::AppendError)'s
        /// `OutOfOrder`).
        is_repeat: bool,
    },
    /// Use a number up;
    /// answer with [`Input::NumberUsed`](super::Input::NumberUsed).
    Refuse {
        /// The number.
        seq: Seq,
        /// Why.
        code: ErrorCode,
    },
    /// Show a draft to the others in the room.
    Draft {
        /// Which room.
        room: RoomName,
        /// The text; empty clears it.
        body: String,
    },
    /// Read older messages;
    /// answer with [`Input::HistoryRead`](super::Input::HistoryRead).
    History {
        /// Which room.
        room: RoomName,
        /// Only smaller offsets.
        before: Offset,
        /// At most this many.
        limit: u32,
    },
    /// A ping was answered after this time: for whoever watches the server.
    RoundTrip(Duration),
    /// Send this code and end the connection. Nothing follows.
    Close(CloseCode),
}
