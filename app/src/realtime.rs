//! The seam between the page and the driver of its session.
//!
//! The page sends [`Command`]s and is told [`Report`]s; who drives the session, over which socket and
//! on which clock, it does not know. The browser's entry gives a [`Connector`] through the context; on
//! the server there is none, and the page stays as it was rendered.

mod handle;

use std::sync::Arc;
use std::time::Duration;

use futures_channel::mpsc::Receiver;
use protocol::client::{Event, Network, Status};
use protocol::id::{Name, RoomName, SessionId};
use protocol::outbox::{Entry, EntryId, PublishError};
use protocol::position::{Offset, Position};

pub use self::handle::{Realtime, provide_realtime, use_realtime};

/// How many commands may wait for the driver. Overflow: [`Realtime::send`] says so at once.
pub const COMMANDS_MAX: usize = 256;

/// What the page asks of its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Join a room and stay in it.
    Join {
        /// Which room.
        room: RoomName,
        /// What the page already shows (RS-7).
        since: Option<Position>,
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
    /// The surroundings changed.
    Network(Network),
}

/// What the driver tells the page, in order, on the page's thread.
#[derive(Clone, Debug, PartialEq, Eq)]
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
}

/// Where the driver tells its reports.
pub type Reporter = Box<dyn FnMut(Report)>;

/// Ends the loop when called: the driver lets go of socket, timers and listeners.
pub type Stop = Box<dyn FnOnce() + Send + Sync>;

type Start = dyn Fn(Receiver<Command>, Reporter) -> Stop + Send + Sync;

/// Starts the session's driver. Given by the browser's entry through the context; absent on the server.
#[derive(Clone)]
pub struct Connector(Arc<Start>);

impl Connector {
    /// Wraps the function that starts a driver.
    pub fn new(
        start: impl Fn(Receiver<Command>, Reporter) -> Stop + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(start))
    }

    /// Starts the driver. It takes its commands from `commands` until these end or it is stopped.
    pub fn start(&self, commands: Receiver<Command>, reporter: Reporter) -> Stop {
        (self.0)(commands, reporter)
    }
}
