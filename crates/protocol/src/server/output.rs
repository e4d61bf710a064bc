//! The output of the server's machine.

use std::time::Duration;

use super::{Pull, RequestId};
use crate::access::Identity;
use crate::close::CloseCode;
use crate::frame::{ErrorCode, ServerFrame};
use crate::id::{Credentials, Name, RoomName, Seq, Token};
use crate::position::Offset;

/// I/O that the driver must perform, in order.
///
/// An answer may take time. The driver does not wait for it: it goes on with what follows, and
/// answers when it can. Answers to [`Append`](Self::Append) and [`Refuse`](Self::Refuse) come in the order in
/// which they were asked for, and so do those to [`History`](Self::History).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transmit {
    /// Send a frame.
    Frame(ServerFrame),
    /// Authenticate the client, by this token or without one;
    /// answer with [`Input::Admitted`](super::Input::Admitted).
    Admit {
        /// The token in the frame.
        token: Option<Token>,
    },
    /// Resume this session if it is this owner's (AC-3), or open a fresh one;
    /// answer with [`Input::SessionOpened`](super::Input::SessionOpened).
    OpenSession {
        /// The session that the client wants.
        resume: Option<Credentials>,
        /// The owner: the client may resume its sessions, and a fresh one belongs to it.
        owner: Identity,
    },
    /// Look up the room's log. Then, if the answer is still of use
    /// ([`Connection::awaits`](super::Connection::awaits)), enter the room under the name that the session has by
    /// then ([`Connection::name`](super::Connection::name)), subscribe to its changes, and take its state;
    /// answer with [`Input::RoomOpened`](super::Input::RoomOpened), and with the room's own copy of the
    /// name where there is one.
    OpenRoom {
        /// The id that the answer carries.
        id: RequestId,
        /// Which room.
        room: RoomName,
    },
    /// Leave the room for good.
    LeaveRoom {
        /// Which room.
        room: RoomName,
    },
    /// Change the session's name in the room.
    Rename {
        /// Which room.
        room: RoomName,
        /// The new name.
        name: Name,
    },
    /// Write the room's news for this reader, unless that takes time and is of no use any more by then
    /// ([`Connection::awaits`](super::Connection::awaits));
    /// answer with [`Input::Pulled`](super::Input::Pulled), [`Input::CutOff`](super::Input::CutOff) or
    /// [`Input::PullFailed`](super::Input::PullFailed).
    Pull {
        /// The id that the answer carries.
        id: RequestId,
        /// Which room.
        room: RoomName,
        /// The position and bounds of the pull.
        pull: Pull,
    },
    /// Append a message, or find it in the log where it is a repeat;
    /// answer with [`Input::Appended`](super::Input::Appended).
    Append {
        /// Its number.
        seq: Seq,
        /// Which room.
        room: RoomName,
        /// The author's name.
        name: Name,
        /// The text.
        body: String,
        /// The number was passed to the log before, so rights and limits are not applied again: a log in
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
    /// Show a draft to the other members of the room.
    Draft {
        /// Which room.
        room: RoomName,
        /// The text; empty clears it.
        body: String,
        /// The session's last number when the text was typed; 0 for none. A message with a later one ends the draft.
        after: u64,
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
    /// A ping was answered after this time: for the server's metrics.
    RoundTrip(Duration),
    /// Send this code and end the connection. Nothing follows.
    Close(CloseCode),
}
