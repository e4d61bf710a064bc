//! Reports on connections, which the operator asks their tasks for.

use std::sync::Arc;
use std::time::Duration;

use protocol::id::{ConnectionId, SessionId};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::{Instant, timeout_at};

use super::Hub;
use super::inspect::{Question, Report};
use super::mailbox::Mailbox;

/// The deadline of a task's answer. A task that is busy writing to a slow reader may miss it.
const PATIENCE: Duration = Duration::from_millis(300);

impl Hub {
    /// Reports on the newest connections, at most `limit`: on that of the session `wanted`, or on all.
    pub async fn reports(&self, limit: usize, wanted: Option<&SessionId>) -> Vec<Report> {
        let (question, mut answers) = unbounded_channel();
        let question = Question::new(question);
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
        // Ends by itself when all have answered: then no sender is left.
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

    /// The newest connections. They are sorted without the lock, as there may be many.
    fn newest(
        &self,
        limit: usize,
        wanted: Option<&SessionId>,
    ) -> Vec<(ConnectionId, Arc<Mailbox>)> {
        let mut ids: Vec<ConnectionId> = {
            let connections = self.rooms.connections.lock();
            match wanted {
                Some(session) => connections
                    .sessions
                    .get(session)
                    .into_iter()
                    .map(|holder| holder.connection)
                    .collect(),
                None => connections.mailboxes.keys().copied().collect(),
            }
        };
        ids.sort_unstable_by(|one, other| other.cmp(one));
        ids.truncate(limit);
        let connections = self.rooms.connections.lock();
        let mailboxes = ids.into_iter().filter_map(|id| {
            let mailbox = connections.mailboxes.get(&id)?;
            Some((id, Arc::clone(mailbox)))
        });
        mailboxes.collect()
    }
}
