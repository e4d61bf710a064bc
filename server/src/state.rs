//! What request handlers and connections share.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRef;
use leptos::config::LeptosOptions;
use protocol::access::Subject;
use protocol::close::CloseCode;
use protocol::id::{ConnectionId, Name, RoomName, SessionId};
use protocol::server::{Cost, RoomView};
use tokio_util::task::TaskTracker;

use crate::access::Authenticator;
use crate::address::Network;
use crate::config::Config;
use crate::hub::Hub;
use crate::hub::mailbox::Mailbox;
use crate::hub::room::Room;
use crate::limits::{Held, Limits};
use crate::metrics::Limit;
use crate::readiness::Readiness;
use crate::samples::Samples;

/// A handle to the parts of the server: one word for each connection, however many parts there are.
#[derive(Clone)]
pub struct AppState(Arc<Parts>);

/// The parts of the server.
pub struct Parts {
    /// Rooms, log and connections.
    pub hub: Arc<Hub>,
    /// Who may enter.
    pub authenticator: Arc<Authenticator>,
    /// What is refused.
    pub limits: Arc<Limits>,
    /// The options.
    pub config: Arc<Config>,
    /// Those of them that the machines of all connections share.
    pub protocol: Arc<protocol::server::Config>,
    /// Tasks that a drain waits for.
    pub tracker: TaskTracker,
    /// Whether the log can store.
    pub readiness: Arc<Readiness>,
    /// The last hour.
    pub samples: Arc<Samples>,
    /// Where the compiled site is.
    pub leptos: LeptosOptions,
}

/// A connection's permit: it counts among the connections, and for its address if that is known; it holds a
/// session, and rooms. All of it is given up when it is dropped, however the connection's task ends.
pub struct ConnectionPermit {
    /// Which connection.
    pub id: ConnectionId,
    /// How its task is spoken to.
    pub mailbox: Arc<Mailbox>,
    /// What all requests share.
    pub state: AppState,
    held: Option<Held<Network>>,
    who: Who,
    /// Few, and known by their names.
    rooms: Vec<Arc<Room>>,
}

/// Whose session a connection carries.
enum Who {
    /// None, or not known yet: rooms are only listened to.
    Nobody,
    /// A session that may come back: without its connection it is away (PR-1).
    Session(SessionId),
    /// One that cannot: it leaves with its connection.
    Passing(SessionId),
}

impl ConnectionPermit {
    /// The address that it counts for.
    pub fn network(&self) -> Option<Network> {
        self.held.as_ref().map(Held::network)
    }

    /// Whether the journal tells of its session.
    pub fn is_told(&self) -> bool {
        let hub = &self.state.hub;
        let journal = self.state.limits.journal();
        let is_told = journal.tells(hub.clock().now(), self.network());
        if !is_told {
            hub.metrics().limited(Limit::SessionLines);
        }
        is_told
    }

    /// Counts what its frames cost, for its sender where that is known. Returns how long nothing further is to
    /// be read, where that is too much.
    pub fn spend(&self, cost: Cost, sender: Option<&Subject>) -> Option<Duration> {
        let hub = &self.state.hub;
        if cost.is_over {
            hub.metrics().limited(Limit::Frames);
        }
        let network = self.network();
        if cost.points == 0 || (sender.is_none() && network.is_none()) {
            return None;
        }
        let limits = &self.state.limits;
        let counted = limits.frames(hub.clock().now(), cost.points, sender, network);
        let (met, wait) = counted.err()?;
        hub.metrics().limited(met);
        Some(wait)
    }

    /// The session on this connection, once there is one.
    pub const fn session(&self) -> Option<&SessionId> {
        match &self.who {
            Who::Nobody => None,
            Who::Session(session) | Who::Passing(session) => Some(session),
        }
    }

    /// This connection speaks for a session from now on (RS-4).
    pub fn attach(&mut self, session: SessionId) {
        self.state.hub.attach(&session, self.id);
        self.who = Who::Session(session);
    }

    /// This connection has a session of its own, which ends with it.
    pub fn pass_as(&mut self, session: SessionId) {
        self.who = Who::Passing(session);
    }

    /// The rooms that it is in.
    pub fn rooms(&self) -> &[Arc<Room>] {
        &self.rooms
    }

    /// The room of this name, if it is in there.
    pub fn room(&self, name: &RoomName) -> Option<&Arc<Room>> {
        self.rooms.iter().find(|room| room.name() == name)
    }

    /// Enters a room under this name, and looks at it; `None` where there is no session yet.
    pub fn enter(&mut self, room: Arc<Room>, name: Name) -> Option<RoomView> {
        let now = self.state.hub.clock().now();
        let member = (self.session()?.clone(), name);
        let view = room.enter(now, member, (self.id, &self.mailbox));
        self.keep(room);
        Some(view)
    }

    /// Listens to a room without being in it, and looks at it.
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

    /// Leaves a room for good, if it is in there.
    pub fn leave(&mut self, name: &RoomName) {
        let now = self.state.hub.clock().now();
        if let (Some(room), Some(session)) = (self.room(name), self.session()) {
            room.leave(now, session, self.id);
        }
        self.rooms.retain(|room| room.name() != name);
    }

    /// The connection of a session is gone: it is counted, and told in the journal where that tells of it.
    pub(crate) fn end(&mut self, what: &str, reason: CloseCode, is_told: bool) {
        let session = self.session().cloned();
        self.vacate();
        let session = session.as_ref().map_or("none", SessionId::as_str);
        self.state.hub.metrics().closed(reason);
        if is_told {
            tracing::info!(session.id = session, connection.id = %self.id, %reason, "{what} end");
        }
    }

    /// The same where its task ended before it came to that: it panicked, or was aborted.
    pub(crate) fn end_early(&mut self, what: &str, is_told: bool) {
        if std::thread::panicking() {
            tracing::error!(connection.id = %self.id, "a {what}'s task panicked: this is a bug");
        }
        self.end(what, CloseCode::ABNORMAL, is_told);
    }

    /// The connection is gone, also where its task still says farewell: it speaks for no session, and is in no
    /// room.
    pub fn vacate(&mut self) {
        let hub = &self.state.hub;
        hub.disconnect(self.id, self.session());
        let now = hub.clock().now();
        for room in std::mem::take(&mut self.rooms) {
            match &self.who {
                Who::Nobody => room.unwatch(self.id),
                Who::Session(session) => room.disconnect(now, session, self.id),
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

/// Why a connection gets no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// Its address holds as many as it may.
    Address,
    /// All addresses together do, or the server is draining.
    Server,
}

impl Full {
    /// How long a client should wait for which there is no permit now.
    pub const LATER: Duration = Duration::from_secs(5);
}

impl AppState {
    /// Gives a permit to a connection from there.
    ///
    /// # Errors
    /// Where there is none. That it was a limit is counted.
    pub fn connect(&self, network: Option<Network>) -> Result<ConnectionPermit, Full> {
        let metrics = self.hub.metrics();
        let held = network.map(|network| self.limits.connection(network));
        if matches!(held, Some(None)) {
            metrics.limited(Limit::ConnectionsPerAddress);
            return Err(Full::Address);
        }
        let Some((id, mailbox)) = self.hub.connect(self.config.limits.connections) else {
            if !self.hub.is_draining() {
                metrics.limited(Limit::Connections);
            }
            return Err(Full::Server);
        };
        Ok(ConnectionPermit {
            id,
            mailbox,
            state: self.clone(),
            held: held.flatten(),
            who: Who::Nobody,
            rooms: Vec::new(),
        })
    }
}

impl From<Parts> for AppState {
    fn from(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for AppState {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// A handler takes the parts that it uses.
macro_rules! parts {
    ($($part:ident: $kind:ty),* $(,)?) => {
        $(impl FromRef<AppState> for $kind {
            fn from_ref(state: &AppState) -> Self {
                state.$part.clone()
            }
        })*
    };
}

parts! {
    hub: Arc<Hub>,
    authenticator: Arc<Authenticator>,
    limits: Arc<Limits>,
    config: Arc<Config>,
    readiness: Arc<Readiness>,
    samples: Arc<Samples>,
}
