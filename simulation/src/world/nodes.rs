//! The server as one of several nodes: when it begins, what it hears from the others, and what it tells them.

use protocol::id::RoomName;
use protocol::presence::Presence;
use protocol::time::Timestamp;

use super::World;
use crate::engine::{Heard, Told};
use crate::link::Links;
use crate::log::member::Peer;

impl World {
    /// The process starts. One of several nodes takes connections once it has caught up with the others.
    pub fn start(&mut self, now: Timestamp) {
        if self.log.member.is_none() {
            self.is_up = true;
        } else if !self.is_up {
            self.is_starting = true;
            self.log.start(now);
        }
    }

    /// Something comes from the engine.
    pub fn hear(&mut self, now: Timestamp, heard: Heard, links: &mut Links) {
        match heard {
            Heard::Told(Told::Room(name, message)) => {
                if let Some(room) = self.rooms.get_mut(&name) {
                    room.presence.hear(now, &message).unwrap();
                    self.moved.insert(name);
                }
            }
            heard => self.log.hear(now, heard),
        }
        self.meet(now);
        self.settle(now, links);
    }

    /// What the other nodes are to hear of a room.
    pub(crate) fn poll_told(&mut self, now: Timestamp) -> Option<Told> {
        if let Some(lease) = self.log.poll_lease() {
            return Some(Told::Lease(lease));
        }
        self.log.member.as_ref()?;
        let mut rooms = self.rooms.iter_mut();
        rooms.find_map(|(name, room)| {
            let message = room.presence.tell(now)?;
            Some(Told::Room(name.clone(), message))
        })
    }

    /// Takes which other nodes are alive.
    pub(super) fn meet(&mut self, now: Timestamp) {
        for peer in self.log.poll_peers() {
            for (name, room) in &mut self.rooms {
                match &peer {
                    Peer::Up(node) => room.presence.node_up(now, node),
                    Peer::Down(node) => room.presence.node_down(now, node),
                }
                self.moved.insert(name.clone());
            }
            match peer {
                Peer::Up(node) => self.alive.insert(node),
                Peer::Down(node) => self.alive.remove(&node),
            };
        }
    }

    /// The presence of a room that is opened now.
    pub(super) fn new_presence(&self, now: Timestamp) -> Presence {
        let mut presence = Presence::new(self.config.members_named);
        if let Some((node, life)) = self.log.life() {
            presence = presence.on_node(now, node, life);
            for node in &self.alive {
                presence.node_up(now, node);
            }
        }
        presence
    }

    /// Whether a room is open here.
    pub(crate) fn has_open(&self, room: &RoomName) -> bool {
        self.rooms.contains_key(room)
    }
}
