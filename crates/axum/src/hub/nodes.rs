//! Rooms among several nodes: what they tell the others of their members, and what they hear.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use protocol::id::{Life, NodeName, RoomName};
use protocol::presence::Presence;
use protocol::time::Timestamp;
use tokio::time::sleep;

use super::room::Room;
use super::{Hub, Rooms};
use crate::clock::Clock;

/// How long a request waits, from the opening of a room on, for what other nodes have: some round trips to them. Nodes that
/// do not have it open do not answer.
const ANSWERS_WITHIN: Duration = Duration::from_millis(250);

/// The way to the other nodes, as far as presence goes. What it carries may be lost, doubled, late and out of order.
pub trait Bus: Send + Sync + 'static {
    /// Hands a message to the nodes that have the room open. Best effort: it never waits.
    fn tell(&self, room: &RoomName, message: Vec<u8>);

    /// The room is open here: what others tell of it is wanted, by [`Rooms::heard`]. Called before anything is told, so
    /// that the answers are heard.
    fn listen(&self, room: &RoomName);

    /// The room is closed here.
    fn ignore(&self, room: &RoomName);
}

/// What the rooms of one node among several share.
pub(super) struct Nodes {
    bus: Arc<dyn Bus>,
    clock: Clock,
    node: NodeName,
    life: Life,
    /// The other nodes that are alive. Changed under the lock of the open rooms.
    alive: Mutex<BTreeSet<NodeName>>,
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

impl Rooms {
    /// Makes these the rooms of a node among several, in this life of it: a later one has to be larger, unless the others
    /// held the node for dead meanwhile. To be called once, before any room is opened: a second bus is not used. `clock`
    /// is the hub's.
    pub fn join(&self, clock: Clock, node: NodeName, life: Life, bus: Arc<dyn Bus>) {
        self.nodes.get_or_init(|| {
            Arc::new(Nodes {
                bus,
                clock,
                node,
                life,
                alive: Mutex::default(),
                is_reported: AtomicBool::new(false),
            })
        });
    }

    /// Another node told this about a room. Ignored where the room is not open, or it cannot be read: the journal
    /// has a line on the first such message.
    pub fn heard(&self, room: &RoomName, message: &[u8]) {
        let (Some(nodes), Some(open)) = (self.nodes.get(), self.open_one(room)) else {
            return;
        };
        if let Err(error) = open.heard(nodes.now(), message)
            && !nodes.is_reported.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(%error, "another node tells of its members what this one cannot read");
        }
    }

    /// Another node is alive, by its lease: what it tells counts from now on.
    pub fn node_up(&self, node: &NodeName) {
        self.each_room(
            |nodes| nodes.alive.lock().insert(node.clone()),
            |room, now| {
                room.node_up(now, node);
            },
        );
    }

    /// Another node's lease ended: its members are away, and leave after 30 s (PR-1).
    pub fn node_down(&self, node: &NodeName) {
        self.each_room(
            |nodes| nodes.alive.lock().remove(node),
            |room, now| {
                room.node_down(now, node);
            },
        );
    }

    /// Changes the nodes that are alive; if that was news, notifies all open rooms of it.
    fn each_room(
        &self,
        change: impl FnOnce(&Nodes) -> bool,
        notify: impl Fn(&Arc<Room>, Timestamp),
    ) {
        let Some(nodes) = self.nodes.get() else {
            return;
        };
        // A room that is opened meanwhile is either among these, or knows the change.
        let open = self.open.lock();
        let is_news = change(nodes);
        let rooms: Vec<Arc<Room>> = open.values().filter(|_| is_news).cloned().collect();
        drop(open);
        for room in rooms {
            notify(&room, nodes.now());
        }
    }
}

impl Hub {
    /// As [`Rooms::join`].
    pub fn join(&self, node: NodeName, life: Life, bus: Arc<dyn Bus>) {
        self.rooms.join(self.clock, node, life, bus);
    }

    /// Whether the server is a node among several.
    pub fn is_one_of_several(&self) -> bool {
        self.rooms.nodes.get().is_some()
    }

    /// As [`Rooms::heard`].
    pub fn heard(&self, room: &RoomName, message: &[u8]) {
        self.rooms.heard(room, message);
    }

    /// As [`Rooms::node_up`].
    pub fn node_up(&self, node: &NodeName) {
        self.rooms.node_up(node);
    }

    /// As [`Rooms::node_down`].
    pub fn node_down(&self, node: &NodeName) {
        self.rooms.node_down(node);
    }

    /// The room as a request sees it: with the members of other nodes, for which it waits a moment where it was opened
    /// just now. `None` where it is not open on the only node, and so has no members.
    pub(super) async fn look_in(&self, name: &RoomName) -> Option<Arc<Room>> {
        let Some(nodes) = self.rooms.nodes.get() else {
            return self.rooms.open_one(name);
        };
        let room = self.rooms.room(name);
        if let Some(opened_at) = room.opened_at()
            && !nodes.alive.lock().is_empty()
        {
            let wait = (opened_at + ANSWERS_WITHIN) - nodes.now();
            if !wait.is_zero() {
                sleep(wait).await;
            }
        }
        Some(room)
    }
}
