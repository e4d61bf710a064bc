//! Rooms among several nodes: they hear what the others tell of their members, and which of them are alive.

use std::sync::Arc;
use std::time::Duration;

use protocol::id::{Life, NodeName, RoomName};
use protocol::time::Timestamp;
use tokio::time::sleep;

use super::nodes::{Bus, Nodes};
use super::room::Room;
use super::{Hub, Rooms};
use crate::clock::Clock;

/// How long a request waits, from the opening of a room on, for what other nodes have: some round trips to them. Nodes that
/// do not have it open do not answer.
const ANSWERS_WITHIN: Duration = Duration::from_millis(250);

impl Rooms {
    /// Makes these the rooms of a node among several, in this life of it: a later one has to be larger, unless the others
    /// held the node for dead meanwhile. To be called once, before any room is opened: a second bus is not used. `clock`
    /// is the hub's.
    pub fn join(&self, clock: Clock, node: NodeName, life: Life, bus: Arc<dyn Bus>) {
        self.nodes
            .get_or_init(|| Arc::new(Nodes::new(clock, node, life, bus)));
    }

    /// Another node told this about a room. Ignored where the room is not open, or it cannot be read: the journal
    /// has a line on the first such message.
    pub fn heard(&self, room: &RoomName, message: &[u8]) {
        let (Some(nodes), Some(open)) = (self.nodes.get(), self.open_one(room)) else {
            return;
        };
        if let Err(error) = open.heard(nodes.now(), message)
            && nodes.reports_first()
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

    /// The node's name, where the server is one of several.
    pub fn node_name(&self) -> Option<NodeName> {
        self.rooms.nodes.get().map(|nodes| nodes.node.clone())
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
