//! Reports for the operator: on connections, whose tasks are asked for them, and on rooms.

use std::sync::Arc;
use std::time::Duration;

use protocol::id::ConnectionId;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::{Instant, timeout_at};

use super::Hub;
use super::inspect::{Question, Report, RoomReport};
use super::mailbox::Mailbox;
use super::room::Room;

/// The deadline of a task's answer. A task that is busy writing to a slow reader may miss it.
const PATIENCE: Duration = Duration::from_millis(300);

impl Hub {
    /// Reports on these connections, in this order; those that are closed meanwhile are left out. Each of their tasks
    /// is woken once, and all of them have 300 ms together: ask for some hundred at a time.
    pub async fn reports(&self, ids: &[ConnectionId]) -> Vec<Report> {
        let (question, mut answers) = unbounded_channel();
        let question = Question::new(question);
        let asked = self.mailboxes(ids);
        let mut reports: Vec<Report> = asked
            .iter()
            .map(|(connection, mailbox)| {
                mailbox.ask(question.clone());
                Report {
                    connection: *connection,
                    vitals: None,
                }
            })
            .collect();
        drop((question, asked));
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

    /// Reports on the rooms in use, in no order.
    pub fn room_reports(&self) -> Vec<RoomReport> {
        let open: Vec<Arc<Room>> = self.rooms.open.lock().values().cloned().collect();
        let reports = open.into_iter().map(|room| RoomReport {
            name: room.name().clone(),
            members: room.member_count(),
            head: room.marks().0,
        });
        reports.collect()
    }

    fn mailboxes(&self, ids: &[ConnectionId]) -> Vec<(ConnectionId, Arc<Mailbox>)> {
        let connections = self.rooms.connections.lock();
        let mailboxes = ids.iter().filter_map(|id| {
            let mailbox = connections.mailboxes.get(id)?;
            Some((*id, Arc::clone(mailbox)))
        });
        mailboxes.collect()
    }
}
