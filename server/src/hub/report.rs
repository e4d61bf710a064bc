//! How connections are, for the operator: asked of their tasks, which alone know.

use std::sync::Arc;
use std::time::Duration;

use protocol::id::{ConnectionId, Name, RoomName, SessionId};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::{Instant, timeout_at};

use super::Hub;
use super::mailbox::Mailbox;

/// How long a task may take to say how it is. One that is busy writing to a slow reader does not.
const PATIENCE: Duration = Duration::from_millis(300);

/// How a connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which connection.
    pub connection: ConnectionId,
    /// What it says; `None` if it did not say so in time.
    pub vitals: Option<Vitals>,
}

/// Somebody wants to know how a connection is.
#[derive(Clone, Debug)]
pub struct Question(UnboundedSender<Report>);

impl Question {
    /// Tells them.
    pub fn answer(&self, connection: ConnectionId, vitals: Vitals) {
        let vitals = Some(vitals);
        // They may have gone.
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
    /// Of somebody who listens to a room's events over HTTP.
    Events,
}

impl Hub {
    /// Asks the newest connections how they are, at most `limit` of those that `wanted` picks.
    pub async fn reports(&self, limit: usize, wanted: Option<&SessionId>) -> Vec<Report> {
        let (question, mut answers) = unbounded_channel();
        let question = Question(question);
        let mut reports: Vec<Report> = self
            .newest(limit, wanted)
            .into_iter()
            .map(|(connection, mailbox)| {
                mailbox.ask(question.clone());
                let vitals = None;
                Report { connection, vitals }
            })
            .collect();
        drop(question);
        let deadline = Instant::now() + PATIENCE;
        // Ends by itself when all have answered: nobody holds the other end then.
        while let Ok(Some(report)) = timeout_at(deadline, answers.recv()).await {
            let place = reports
                .iter_mut()
                .find(|known| known.connection == report.connection);
            if let Some(place) = place {
                *place = report;
            }
        }
        reports
    }

    /// Sorts without the lock: there may be many.
    fn newest(
        &self,
        limit: usize,
        wanted: Option<&SessionId>,
    ) -> Vec<(ConnectionId, Arc<Mailbox>)> {
        let mut ids: Vec<ConnectionId> = {
            let connections = self.connections.lock();
            match wanted {
                Some(session) => connections
                    .sessions
                    .get(session)
                    .into_iter()
                    .copied()
                    .collect(),
                None => connections.mailboxes.keys().copied().collect(),
            }
        };
        ids.sort_unstable_by(|one, other| other.cmp(one));
        ids.truncate(limit);
        let connections = self.connections.lock();
        let mailboxes = ids.into_iter().filter_map(|id| {
            let mailbox = connections.mailboxes.get(&id)?;
            Some((id, Arc::clone(mailbox)))
        });
        mailboxes.collect()
    }

    /// Ends a connection for an operator; whether it was there.
    pub fn remove(&self, id: ConnectionId) -> bool {
        let connections = self.connections.lock();
        let mailbox = connections.mailboxes.get(&id);
        if let Some(mailbox) = mailbox {
            mailbox.remove();
        }
        mailbox.is_some()
    }
}
