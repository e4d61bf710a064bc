//! What the rooms of one node among several share: the way to the other nodes, and which of them are alive.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use protocol::id::{Life, NodeName, RoomName};
use protocol::presence::Presence;
use protocol::time::Timestamp;

use crate::clock::Clock;

/// The way to the other nodes, as far as presence goes. What it carries may be lost, doubled, late and out of order.
pub trait Bus: Send + Sync + 'static {
    /// Hands a message to the nodes that have the room open. Best effort: it never waits.
    fn tell(&self, room: &RoomName, message: Vec<u8>);

    /// The room is open here: what others publish of it is wanted, by [`Rooms::heard`](super::Rooms::heard). Called before
    /// anything is published, so that the answers are heard.
    fn listen(&self, room: &RoomName);

    /// The room is closed here.
    fn ignore(&self, room: &RoomName);
}

/// What the rooms of one node among several share.
pub(super) struct Nodes {
    bus: Arc<dyn Bus>,
    clock: Clock,
    pub(super) node: NodeName,
    life: Life,
    /// The other nodes that are alive. Changed under the lock of the open rooms.
    pub(super) alive: Mutex<BTreeSet<NodeName>>,
    /// The journal has a line on a message that could not be read.
    is_reported: AtomicBool,
}

impl fmt::Debug for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nodes")
            .field("node", &self.node)
            .field("alive", &self.alive)
            .finish_non_exhaustive()
    }
}

impl Nodes {
    pub(super) fn new(clock: Clock, node: NodeName, life: Life, bus: Arc<dyn Bus>) -> Self {
        Self {
            bus,
            clock,
            node,
            life,
            alive: Mutex::default(),
            is_reported: AtomicBool::new(false),
        }
    }

    /// Notes a message that could not be read. Returns whether it is the first one.
    pub(super) fn reports_first(&self) -> bool {
        !self.is_reported.swap(true, Ordering::Relaxed)
    }

    /// The presence of a room that is opened now.
    pub(super) fn open(&self, room: &RoomName, presence: Presence) -> Presence {
        self.bus.listen(room);
        let now = self.clock.now();
        let mut presence = presence.on_node(now, self.node.clone(), self.life.clone());
        for node in self.alive.lock().iter() {
            presence.node_up(now, node);
        }
        presence
    }

    /// Tells the others what is due.
    pub(super) fn tell(&self, room: &RoomName, presence: &mut Presence) {
        let now = self.clock.now();
        while let Some(message) = presence.tell(now) {
            self.bus.tell(room, message);
        }
    }

    /// The time.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The room is closed.
    pub(super) fn close(&self, room: &RoomName) {
        self.bus.ignore(room);
    }
}
