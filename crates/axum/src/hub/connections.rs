//! The registry of connections: their mailboxes, which of them has each session, and the drain.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use protocol::id::{ConnectionId, Generation, Holder, SessionId};
use protocol::server::{OtherNode, TakeOver, reconnect_slots};
use protocol::time::Timestamp;

use super::Hub;
use super::feed::What;
use super::mailbox::Mailbox;
use super::trace::{SharedRing, Watched};
use crate::log::KeyHash;

/// The connections of a server.
#[derive(Debug, Default)]
pub(super) struct Connections {
    pub(super) mailboxes: HashMap<ConnectionId, Arc<Mailbox>>,
    /// The newest connection here of each session, with its opening.
    pub(super) sessions: HashMap<SessionId, Holder>,
    /// The newest connection that asks the log for each session.
    asked: HashMap<SessionId, Asked>,
    /// The sessions that are watched.
    pub(super) watched: HashMap<SessionId, Watched>,
    /// The drain, once it has begun.
    pub(super) drain: Option<Drain>,
    /// The number of the last one that was opened.
    last: u64,
}

/// A drain: the server refuses new connections, and serves the others for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// Its length.
    pub length: Duration,
    /// When it ends.
    pub until: Timestamp,
}

/// A question to the log that is not answered yet.
#[derive(Debug)]
struct Asked {
    connection: ConnectionId,
    key_hashes: Vec<KeyHash>,
}

/// A connection's question to the log for a session, until this is dropped.
pub struct Asking {
    hub: Arc<Hub>,
    session: SessionId,
    connection: ConnectionId,
}

impl Drop for Asking {
    fn drop(&mut self) {
        let asked = &mut self.hub.rooms.connections.lock().asked;
        if let Some(newest) = asked.get(&self.session)
            && newest.connection == self.connection
        {
            asked.remove(&self.session);
        }
    }
}

/// What a connection finds that gets its session.
pub struct Attached {
    /// Whether it took the session from another connection here.
    pub was_held: bool,
    /// The session's ring, if it is watched.
    pub ring: Option<Arc<SharedRing>>,
}

impl Connections {
    /// A session was opened, here or at another node: a connection that came with an earlier opening loses it (RS-4).
    pub(super) fn opened(&self, session: &SessionId, generation: Generation) {
        let before = self.sessions.get(session);
        let older = before.filter(|holder| holder.generation < generation);
        self.take_over(older.map(|holder| holder.connection));
    }

    /// The ring of a session, while it is watched.
    pub(super) fn ring(&self, session: &SessionId) -> Option<Arc<SharedRing>> {
        let watched = self.watched.get(session)?;
        Some(Arc::clone(&watched.ring))
    }

    /// Notifies the connection of a session that the session began or ceased to be watched.
    pub(super) fn retrace(&self, session: &SessionId) {
        let holder = self.sessions.get(session);
        if let Some(mailbox) = holder.and_then(|holder| self.mailboxes.get(&holder.connection)) {
            mailbox.retrace();
        }
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
        self.log.set_load(connections.mailboxes.len());
        Some((id, mailbox))
    }

    /// Notes that a connection asks the log for a session, with these hashes of its key, until the answer is dropped.
    /// `None` where a newer connection has the session, or asks for it with the same key: then this one has lost it
    /// (RS-4).
    pub fn ask(
        self: &Arc<Self>,
        session: &SessionId,
        connection: ConnectionId,
        key_hashes: &[KeyHash],
    ) -> Option<Asking> {
        let mut connections = self.rooms.connections.lock();
        let holder = connections.sessions.get(session);
        let holder = holder.map(|holder| holder.connection);
        // With another key it may be a stranger, who takes over nothing.
        let asked = connections.asked.get(session);
        let asked = asked.filter(|asked| asked.key_hashes == key_hashes);
        let newest = asked.map(|asked| asked.connection).max(holder);
        if TakeOver::new(newest, connection).taken_over == Some(connection) {
            return None;
        }
        let asked = Asked {
            connection,
            key_hashes: key_hashes.to_vec(),
        };
        connections.asked.insert(session.clone(), asked);
        Some(Asking {
            hub: Arc::clone(self),
            session: session.clone(),
            connection,
        })
    }

    /// Gives the session to this connection; the older one of two is notified that it lost the session (RS-4). The
    /// older one may be this one: the log's answers reach the connections' tasks in any order, and a client
    /// reconnects just because it had no answer.
    pub fn attach(&self, session: &SessionId, opened: Holder) -> Attached {
        let mut connections = self.rooms.connections.lock();
        let before = connections.sessions.get(session).copied();
        let TakeOver {
            holder, taken_over, ..
        } = TakeOver::new(before, opened);
        connections.sessions.insert(session.clone(), holder);
        let older = taken_over.map(|older| older.connection);
        connections.take_over(older);
        Attached {
            was_held: older.is_some_and(|older| older != opened.connection),
            ring: connections.ring(session),
        }
    }

    /// Forgets a closed connection.
    pub fn disconnect(&self, id: ConnectionId, session: Option<&SessionId>) {
        self.answers.forget(id);
        let mut connections = self.rooms.connections.lock();
        connections.mailboxes.remove(&id);
        self.log.set_load(connections.mailboxes.len());
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

    /// The drain, once it has begun.
    pub fn drain(&self) -> Option<Drain> {
        self.rooms.connections.lock().drain
    }

    /// All connections, the newest first. They are sorted without the lock, as there may be many.
    pub fn newest(&self) -> Vec<ConnectionId> {
        let connections = self.rooms.connections.lock();
        let mut ids: Vec<ConnectionId> = connections.mailboxes.keys().copied().collect();
        drop(connections);
        ids.sort_unstable_by(|one, other| other.cmp(one));
        ids
    }

    /// The connection that has a session here.
    pub fn connection_of(&self, session: &SessionId) -> Option<ConnectionId> {
        let connections = self.rooms.connections.lock();
        let holder = connections.sessions.get(session);
        holder.map(|holder| holder.connection)
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
        connections.drain = Some(Drain {
            length: drain,
            until: Timestamp::from_origin(self.clock.now().since_origin() + drain),
        });
        self.log.set_draining();
        self.feed().note(What::Drain, None);
        let slots = reconnect_slots(drain, connections.mailboxes.len(), others);
        for (slot, mailbox) in slots.zip(connections.mailboxes.values()) {
            mailbox.go_away(slot);
        }
    }

    /// Closes a connection for an operator with 4203, so that its client stays away until its user acts. Returns whether
    /// it was there.
    pub fn disconnect_by_operator(&self, id: ConnectionId) -> bool {
        let connections = self.rooms.connections.lock();
        let mailbox = connections.mailboxes.get(&id);
        if let Some(mailbox) = mailbox {
            mailbox.disconnect();
        }
        mailbox.is_some()
    }

    /// Closes a connection for an operator with 1012, so that its client reconnects and resumes. Returns whether it was
    /// there.
    pub fn reconnect_by_operator(&self, id: ConnectionId) -> bool {
        let connections = self.rooms.connections.lock();
        let mailbox = connections.mailboxes.get(&id);
        if let Some(mailbox) = mailbox {
            mailbox.shut_down();
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
