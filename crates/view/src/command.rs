//! What a page asks of its session.

use protocol::frame::Message;
use protocol::id::{Name, RoomName};
use protocol::outbox::EntryId;
use protocol::position::{Offset, Position};

/// What the page asks of its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Join a room and stay in it.
    Join {
        /// Which room.
        room: RoomName,
        /// Up to where the page shows it already (RS-7).
        since: Option<Position>,
        /// The messages that it shows of it: for the session they are facts
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
        /// What it holds now.
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
        /// Of which room.
        room: RoomName,
        /// Only messages with a smaller offset.
        before: Offset,
        /// At most this many.
        limit: u32,
    },
    /// Be called something else.
    Rename {
        /// The new name.
        name: Name,
    },
    /// Send a message that waits for a person (RS-8, RS-9).
    SendAgain {
        /// Which one.
        id: EntryId,
    },
    /// Drop a message that waits for a person (EO-7, RS-8, RS-9).
    Discard {
        /// Which one.
        id: EntryId,
    },
    /// Connect without waiting any longer.
    ConnectNow,
}
