//! What a view is made of.

use std::time::Duration;

use protocol::client::{Event, Status};
use protocol::id::{RoomName, SessionId};
use protocol::outbox::{Entry, EntryId, PublishError};

/// What the driver of a session reports, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Report {
    /// Once at the start: what an earlier page left in the outbox, and whose session it is.
    Restored {
        /// The session that will be resumed.
        session: Option<SessionId>,
        /// Its messages that are not yet durable.
        outbox: Vec<Entry>,
    },
    /// What a page that is gone left in its outbox is taken up (RS-8). What becomes of it is told as
    /// [`Event::Fate`], as of the page's own.
    TakenUp {
        /// The session that it belongs to.
        session: Option<SessionId>,
        /// The messages, under ids that the page's own never have.
        outbox: Vec<Entry>,
    },
    /// A message that was taken up waits for a person now, and is the page's own, queued under another id:
    /// what is shown under this one goes.
    HandedOver {
        /// The id that it had.
        id: EntryId,
    },
    /// Everything the core says, except [`Event::Status`], which comes as [`Report::Status`].
    Event(Event),
    /// The connection's state changed.
    Status {
        /// The state.
        status: Status,
        /// While waiting: how long from now.
        retry_in: Option<Duration>,
    },
    /// A publish was not taken; the text belongs back into the input box (EO-4).
    NotTaken {
        /// Of which room.
        room: RoomName,
        /// The text.
        body: String,
        /// Why.
        error: PublishError,
    },
    /// The browser's storage refused to keep something: a reload would lose what waits.
    StorageFailed,
    /// The browser, or an extension in it, lets the page open no connection: its next tries will fail, too.
    Forbidden,
}
