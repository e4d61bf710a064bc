//! What an operator asks of a connection's task, and what it answers: it alone knows.

use std::time::Duration;

use protocol::id::{ConnectionId, Name, RoomName, SessionId};
use tokio::sync::mpsc::UnboundedSender;

/// How a connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which connection.
    pub connection: ConnectionId,
    /// What it says; `None` if it did not say so in time.
    pub vitals: Option<Vitals>,
}

/// An operator's question: how a connection is.
#[derive(Clone, Debug)]
pub struct Question(UnboundedSender<Report>);

impl Question {
    /// A question whose answers go there.
    pub(super) const fn new(answers: UnboundedSender<Report>) -> Self {
        Self(answers)
    }

    /// Answers it.
    pub fn answer(&self, connection: ConnectionId, vitals: Vitals) {
        let vitals = Some(vitals);
        // The operator may have gone.
        let _ = self.0.send(Report { connection, vitals });
    }
}

/// What a connection's task knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vitals {
    /// The session that speaks on it; `None` before `hello`.
    pub session: Option<SessionId>,
    /// How it is called.
    pub name: Option<Name>,
    /// Who it is, where a token or a cookie said so.
    pub subject: Option<String>,
    /// The rooms that it is in.
    pub rooms: Vec<RoomName>,
    /// The smoothed round trip, once a ping was answered.
    pub round_trip: Option<Duration>,
    /// For how long nothing came; `None` where nothing is to come.
    pub quiet: Option<Duration>,
    /// What it is.
    pub kind: Kind,
}

/// What a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A session's.
    Session,
    /// A page's that speaks the tutorial's dialect.
    Tutorial,
    /// A listener's: it reads a room's events over HTTP.
    Events,
}
