//! Permits: the places of connections among the counted ones.

use std::sync::Arc;
use std::time::Duration;

use protocol::access::Subject;
use protocol::close::CloseCode;
use protocol::id::{ConnectionId, Generation, Holder, Name, RoomName, SessionId};
use protocol::server::{Cost, Full, RoomView};

use crate::address::Network;
use crate::everbeat::Everbeat;
use crate::hub::feed::{What, Whom};
use crate::hub::mailbox::Mailbox;
use crate::hub::room::Room;
use crate::hub::{Attached, Hub};
use crate::limits::Held;
use crate::metrics::Limit;

/// A connection's permit: the connection counts among all, and for its address if that is known; it has a
/// session, and rooms. Dropping the permit gives all of it up, however the connection's task ends.
pub struct ConnectionPermit {
    /// The connection's id.
    pub id: ConnectionId,
    /// The marks that wake its task.
    pub mailbox: Arc<Mailbox>,
    /// The parts that all connections share.
    pub everbeat: Everbeat,
    held: Option<Held<Network>>,
    who: Who,
    /// The rooms that it reads: few, so they are found by a scan.
    rooms: Vec<Arc<Room>>,
}

/// The session on a connection.
enum Who {
    /// None, or none yet: the connection only listens to rooms.
    Nobody,
    /// A session that can be resumed, and which of its openings this is: without its connection it is away (PR-1).
    Session(SessionId, Generation),
    /// A session that cannot be resumed: it leaves with its connection.
    Passing(SessionId),
}

impl ConnectionPermit {
    /// The registry of rooms and connections, over the log.
    pub fn hub(&self) -> &Arc<Hub> {
        self.everbeat.hub()
    }

    /// The network that the connection counts for.
    pub fn network(&self) -> Option<Network> {
        self.held.as_ref().map(Held::network)
    }

    /// Whether the journal has lines for its session; where it has not, that is counted.
    pub fn is_logged(&self) -> bool {
        let hub = self.hub();
        let journal = self.everbeat.limits().journal();
        let is_logged = journal.records(hub.clock().now(), self.network());
        if !is_logged {
            hub.metrics().limited(Limit::SessionLines);
        }
        is_logged
    }

    /// Counts the cost of the connection's frames, for the sender if known, and for its network. Returns how long
    /// to read nothing further, where that is too much.
    pub fn spend(&self, cost: Cost, sender: Option<&Subject>) -> Option<Duration> {
        let hub = self.hub();
        if cost.is_over {
            hub.metrics().limited(Limit::Frames);
        }
        let network = self.network();
        if cost.points == 0 || (sender.is_none() && network.is_none()) {
            return None;
        }
        let limits = self.everbeat.limits();
        let counted = limits.frames(hub.clock().now(), cost.points, sender, network);
        let (met, wait) = counted.err()?;
        hub.metrics().limited(met);
        Some(wait)
    }

    /// The session on the connection, once there is one.
    pub const fn session(&self) -> Option<&SessionId> {
        match &self.who {
            Who::Nobody => None,
            Who::Session(session, _) | Who::Passing(session) => Some(session),
        }
    }

    /// The session on the connection that can be resumed, and which of its openings this is.
    pub fn opening(&self) -> Option<(SessionId, Generation)> {
        match &self.who {
            Who::Session(session, generation) => Some((session.clone(), *generation)),
            Who::Nobody | Who::Passing(_) => None,
        }
    }

    /// Gives an opening of a session to this connection (RS-4).
    pub fn attach(&mut self, session: SessionId, generation: Generation) -> Attached {
        let connection = self.id;
        let opened = Holder {
            connection,
            generation,
        };
        let attached = self.hub().attach(&session, opened);
        self.who = Who::Session(session, generation);
        attached
    }

    /// Gives this connection a session of its own, which ends with it.
    pub fn pass_as(&mut self, session: SessionId) {
        self.who = Who::Passing(session);
    }

    /// The connection as the holder of its session.
    pub fn holder(&self) -> Holder {
        let generation = self.opening().map(|(_, generation)| generation);
        Holder {
            connection: self.id,
            generation: generation.unwrap_or_default(),
        }
    }

    /// The rooms that it reads.
    pub fn rooms(&self) -> &[Arc<Room>] {
        &self.rooms
    }

    /// The room of this name, if the connection reads it.
    pub fn room(&self, name: &RoomName) -> Option<&Arc<Room>> {
        self.rooms.iter().find(|room| room.name() == name)
    }

    /// Makes the session of this user, if that is known, a member of a room, under this name, and returns its view; `None`
    /// where there is no session yet.
    pub fn enter(
        &mut self,
        room: Arc<Room>,
        name: Name,
        user: Option<&Subject>,
    ) -> Option<RoomView> {
        let now = self.hub().clock().now();
        let member = (self.session()?.clone(), name);
        let view = room.enter(now, member, user, (self.holder(), &self.mailbox));
        self.keep(room);
        Some(view)
    }

    /// Registers the connection as a listener of a room, and returns its view.
    pub fn watch(&mut self, room: Arc<Room>) -> RoomView {
        let view = room.watch(self.id, &self.mailbox);
        self.keep(room);
        view
    }

    fn keep(&mut self, room: Arc<Room>) {
        if self.room(room.name()).is_none() {
            self.rooms.reserve_exact(1);
            self.rooms.push(room);
        }
    }

    /// Makes the session leave a room, if it is a member.
    pub fn leave(&mut self, name: &RoomName) {
        let now = self.hub().clock().now();
        if let (Some(room), Some(session)) = (self.room(name), self.session()) {
            room.leave(now, session, self.id);
        }
        self.rooms.retain(|room| room.name() != name);
    }

    /// Notes in the operator's feed what happens to the client, whose name this is.
    pub fn note(&self, what: What, name: Option<Name>) {
        let whom = Whom {
            session: self.session().cloned(),
            connection: self.id,
            name,
        };
        self.hub().feed().note(what, Some(whom));
    }

    /// Gives up session and rooms as the connection ends; counts the end, and writes its line in the journal if
    /// `is_logged`, and in the feed.
    pub fn end(&mut self, what: &str, reason: CloseCode, is_logged: bool) {
        if is_logged {
            let session = self.session().map_or("none", SessionId::as_str);
            tracing::info!(session.id = session, connection.id = %self.id, %reason, "{what} end");
            self.note(What::Ended(reason), None);
        }
        let metrics = self.hub().metrics();
        metrics.closed(reason);
        if let Who::Session(session, _) = &self.who {
            metrics.returns().ended(session, reason);
        }
        self.vacate();
    }

    /// As `end`, where the task panicked or was aborted.
    pub fn end_early(&mut self, what: &str, is_logged: bool) {
        if std::thread::panicking() {
            tracing::error!(connection.id = %self.id, "a {what}'s task panicked: this is a bug");
        }
        self.end(what, CloseCode::ABNORMAL, is_logged);
    }

    /// Gives up session and rooms, also while the task still waits for the closing handshake.
    pub fn vacate(&mut self) {
        let hub = self.hub();
        hub.disconnect(self.id, self.session());
        let now = hub.clock().now();
        for room in std::mem::take(&mut self.rooms) {
            match &self.who {
                Who::Nobody => room.unwatch(self.id),
                Who::Session(session, _) => room.disconnect(now, session, self.id),
                Who::Passing(session) => room.leave(now, session, self.id),
            }
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.vacate();
    }
}

impl Everbeat {
    /// Gives a permit to a connection from this network.
    ///
    /// # Errors
    /// [`Full`] where there is none; a limit that was exceeded is counted.
    pub fn connect(&self, network: Option<Network>) -> Result<ConnectionPermit, Full> {
        let metrics = self.hub().metrics();
        let held = network.map(|network| self.limits().connection(network));
        if matches!(held, Some(None)) {
            metrics.limited(Limit::ConnectionsPerAddress);
            return Err(Full::Address);
        }
        let Some((id, mailbox)) = self.hub().connect(self.http().connections) else {
            if !self.hub().is_draining() {
                metrics.limited(Limit::Connections);
            }
            return Err(Full::Server);
        };
        Ok(ConnectionPermit {
            id,
            mailbox,
            everbeat: self.clone(),
            held: held.flatten(),
            who: Who::Nobody,
            rooms: Vec::new(),
        })
    }
}
