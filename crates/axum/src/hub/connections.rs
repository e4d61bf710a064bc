//! The registry of connections: their mailboxes, which of them has each session, and the drain.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use protocol::id::{ConnectionId, Generation, Holder, SessionId};
use protocol::server::{OtherNode, TakeOver, reconnect_slots};

use super::Hub;
use super::mailbox::Mailbox;

/// The connections of a server.
#[derive(Debug, Default)]
pub(super) struct Connections {
    pub(super) mailboxes: HashMap<ConnectionId, Arc<Mailbox>>,
    /// The newest connection here of each session, with its opening.
    pub(super) sessions: HashMap<SessionId, Holder>,
    /// The length of the drain, once it has begun.
    pub(super) drain: Option<Duration>,
    /// The number of the last one that was opened.
    last: u64,
}

impl Connections {
    /// A session was opened, here or at another node: a connection that came with an earlier opening loses it (RS-4).
    pub(super) fn opened(&self, session: &SessionId, generation: Generation) {
        let before = self.sessions.get(session);
        let older = before.filter(|holder| holder.generation < generation);
        self.take_over(older.map(|holder| holder.connection));
    }

    /// Notifies a connection that it lost its session.
    fn take_over(&self, connection: Option<ConnectionId>) {
        if let Some(mailbox) = connection.and_then(|id| self.mailboxes.get(&id)) {
            mailbox.take_over();
        }
    }
}

impl Hub {
    /// Registers a new connection; `None` if the server drains, or has `limit` connections already.
    pub fn connect(&self, limit: usize) -> Option<(ConnectionId, Arc<Mailbox>)> {
        let mut connections = self.rooms.connections.lock();
        if connections.drain.is_some() || connections.mailboxes.len() >= limit {
            return None;
        }
        connections.last += 1;
        let id = ConnectionId::new(connections.last);
        let mailbox = Arc::new(Mailbox::default());
        connections.mailboxes.insert(id, Arc::clone(&mailbox));
        Some((id, mailbox))
    }

    /// Gives the session to this connection; the older one of two is notified that it lost the session (RS-4). The
    /// older one may be this one: the log's answers reach the connections' tasks in any order, and a client
    /// reconnects just because it had no answer.
    pub fn attach(&self, session: &SessionId, opened: Holder) {
        let mut connections = self.rooms.connections.lock();
        let before = connections.sessions.get(session).copied();
        let TakeOver {
            holder, taken_over, ..
        } = TakeOver::new(before, opened);
        connections.sessions.insert(session.clone(), holder);
        connections.take_over(taken_over);
    }

    /// Forgets a closed connection.
    pub fn disconnect(&self, id: ConnectionId, session: Option<&SessionId>) {
        self.answers.forget(id);
        let mut connections = self.rooms.connections.lock();
        connections.mailboxes.remove(&id);
        if let Some(session) = session
            && let Some(holder) = connections.sessions.get(session)
            && holder.connection == id
        {
            connections.sessions.remove(session);
        }
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.rooms.connections.lock().mailboxes.len()
    }

    /// How many sessions have a connection.
    pub fn live(&self) -> usize {
        self.rooms.connections.lock().sessions.len()
    }

    /// Whether the server drains and takes no new connections.
    pub fn is_draining(&self) -> bool {
        self.drain().is_some()
    }

    /// The length of the drain, once it has begun.
    pub fn drain(&self) -> Option<Duration> {
        self.rooms.connections.lock().drain
    }

    /// The sessions that are connected.
    pub fn sessions(&self) -> Vec<SessionId> {
        self.rooms
            .connections
            .lock()
            .sessions
            .keys()
            .cloned()
            .collect()
    }

    /// Starts the drain: takes no new connections, and gives each client its own reconnect slot (see
    /// [`reconnect_slots`]), when the next server should be there: until then a client would be refused (RC-3). Where
    /// there are other nodes, each has a slot there, too, as far as these have room (RC-8).
    pub fn go_away(&self, drain: Duration, others: &[OtherNode]) {
        let mut connections = self.rooms.connections.lock();
        connections.drain = Some(drain);
        let slots = reconnect_slots(drain, connections.mailboxes.len(), others);
        for (slot, mailbox) in slots.zip(connections.mailboxes.values()) {
            mailbox.go_away(slot);
        }
    }

    /// Closes a connection for an operator. Returns whether it was there.
    pub fn disconnect_by_operator(&self, id: ConnectionId) -> bool {
        let connections = self.rooms.connections.lock();
        let mailbox = connections.mailboxes.get(&id);
        if let Some(mailbox) = mailbox {
            mailbox.disconnect();
        }
        mailbox.is_some()
    }

    /// Notifies all connections that the server ends now.
    pub fn shut_down(&self) {
        for mailbox in self.rooms.connections.lock().mailboxes.values() {
            mailbox.shut_down();
        }
    }
}
