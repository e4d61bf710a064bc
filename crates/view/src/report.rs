//! Reports: what a view is made of.

use std::time::Duration;

use protocol::client::{Event, Session, Status};
use protocol::id::{RoomName, SessionId};
use protocol::outbox::{Entry, EntryId, PublishError};
use protocol::time::Timestamp;

/// What the driver of a session reports, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Report {
    /// Once at the start: what an earlier page left in the outbox, and its session.
    Restored {
        /// The session that will be resumed.
        session: Option<SessionId>,
        /// Its messages that are not yet durable.
        outbox: Vec<Entry>,
    },
    /// The outbox that a closed page left is taken up (RS-8). The fates of its messages come as
    /// [`Event::Fate`], like those of the page's own.
    TakenUp {
        /// The session that it belongs to.
        session: Option<SessionId>,
        /// The messages, under ids that the page's own never have.
        outbox: Vec<Entry>,
    },
    /// A message that was taken up waits for the user now. It is the page's own, queued under another id:
    /// its row under this id goes.
    HandedOver {
        /// The id that it had.
        id: EntryId,
    },
    /// Every event of the core except [`Event::Status`], which comes as [`Report::Status`].
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
        /// Which room.
        room: RoomName,
        /// The text.
        body: String,
        /// Why.
        error: PublishError,
    },
    /// The browser's storage is full or refused: a reload would lose the messages that wait.
    StorageFailed,
    /// The browser, or an extension in it, forbids the page every connection: its next tries will fail, too.
    Forbidden,
}

impl Report {
    /// What a view begins with: the messages that a session holds, before its next event.
    pub fn restored(session: &Session) -> Self {
        Self::Restored {
            session: session.id().cloned(),
            outbox: session.outbox().cloned().collect(),
        }
    }

    /// An event, which the driver takes from its session `now`. A view has no clock to compare the session's times with.
    pub fn of(event: Event, now: Timestamp) -> Self {
        match event {
            Event::Status(status) => Self::Status {
                status,
                retry_in: match status {
                    Status::Waiting { until, .. } => Some(until.since(now)),
                    Status::Idle | Status::Connecting | Status::Live | Status::Stopped { .. } => {
                        None
                    }
                },
            },
            event => Self::Event(event),
        }
    }
}
