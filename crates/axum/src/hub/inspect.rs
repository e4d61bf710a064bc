//! An operator's question about a connection, and the answer, which only the connection's task knows.

use std::time::Duration;

use protocol::id::{ConnectionId, Name, RoomName, SessionId};
use protocol::position::Offset;
use tokio::sync::mpsc::UnboundedSender;

use crate::address::Network;

/// The state of a connection, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which connection.
    pub connection: ConnectionId,
    /// What its task answered; `None` if it did not answer in time.
    pub vitals: Option<Vitals>,
}

/// An operator's question about the state of a connection.
#[derive(Clone, Debug)]
pub struct Question(UnboundedSender<Report>);

impl Question {
    /// A question whose answers go into this channel.
    pub(super) const fn new(answers: UnboundedSender<Report>) -> Self {
        Self(answers)
    }

    /// Answers the question.
    pub fn answer(&self, connection: ConnectionId, vitals: Vitals) {
        let vitals = Some(vitals);
        // The operator's request may have ended.
        let _ = self.0.send(Report { connection, vitals });
    }
}

/// The state of a room in use, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomReport {
    /// Its name.
    pub name: RoomName,
    /// How many members it has, away ones among them.
    pub members: u32,
    /// The offset of its newest message.
    pub head: Offset,
}

/// What a connection's task knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vitals {
    /// The session on the connection; `None` before `hello`.
    pub session: Option<SessionId>,
    /// The session's name.
    pub name: Option<Name>,
    /// The subject of its token or of its cookie.
    pub subject: Option<String>,
    /// The rooms that it is a member of.
    pub rooms: Vec<RoomName>,
    /// The smoothed round trip, once a ping was answered.
    pub round_trip: Option<Duration>,
    /// For how long nothing was received; `None` where nothing is expected.
    pub quiet: Option<Duration>,
    /// The kind of connection.
    pub kind: Kind,
    /// The network that it counts for; `None` for a program on a trusted address that acts for itself.
    pub network: Option<Network>,
    /// For how long it has been open, in whole seconds.
    pub open: Duration,
}

/// The kinds of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A session's, with the whole protocol.
    Session,
    /// A page's, in the tutorial's dialect.
    Tutorial,
    /// A listener's, to a room's events over HTTP.
    Events,
    /// A watcher's, of a session's trace over HTTP.
    Trace,
}
