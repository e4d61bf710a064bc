//! Commands: what a page asks of its session.

use protocol::frame::Message;
use protocol::id::{Name, RoomName};
use protocol::outbox::EntryId;
use protocol::position::{Offset, Position};

/// What a page asks of its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Join a room and stay in it.
    Join {
        /// Which room.
        room: RoomName,
        /// The position up to which the page shows it already (RS-7).
        since: Option<Position>,
        /// The messages of the room that the page shows: for the session they are facts
        /// ([`Input::Seen`](protocol::client::Input::Seen)).
        shown: Vec<Message>,
    },
    /// Leave a room.
    Leave {
        /// Which room.
        room: RoomName,
    },
    /// The input box changed.
    Draft {
        /// In which room.
        room: RoomName,
        /// The text that it holds now.
        body: String,
    },
    /// Send a message.
    Publish {
        /// Into which room.
        room: RoomName,
        /// The text.
        body: String,
    },
    /// Ask for older messages.
    History {
        /// Which room.
        room: RoomName,
        /// Only messages with a smaller offset.
        before: Offset,
        /// At most this many.
        limit: u32,
    },
    /// Take another name.
    Rename {
        /// The new name.
        name: Name,
    },
    /// Send a message that waits for the user (RS-8, RS-9).
    SendAgain {
        /// Which one.
        id: EntryId,
    },
    /// Drop a message that waits for the user (EO-7, RS-8, RS-9).
    Discard {
        /// Which one.
        id: EntryId,
    },
    /// Connect without waiting any longer.
    ConnectNow,
}
