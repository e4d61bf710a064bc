//! The servers of the pair: one, or several nodes.

use std::iter;
use std::time::Duration;

use protocol::id::{NodeName, RoomName, SessionId};
use protocol::position::Offset;

use super::Pair;
use crate::cluster::Cluster;
use crate::engine::Odds;
use crate::link::Links;
use crate::log::member::Member;
use crate::world::World;

impl Pair {
    /// A node.
    pub fn node(&self, node: usize) -> &World {
        match node.checked_sub(1) {
            None => &self.world,
            Some(other) => &self.others[other],
        }
    }

    /// A node, to be changed.
    pub fn node_mut(&mut self, node: usize) -> &mut World {
        self.served(node).0
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &World> {
        iter::once(&self.world).chain(&self.others)
    }

    /// The node to which a client's newest connection leads.
    pub fn node_of(&self, client: usize) -> usize {
        let link = self.links.newest(client);
        let link = link.and_then(|link| self.links.link(link));
        link.map_or(0, |link| link.node)
    }

    /// A node and the network.
    pub(super) fn served(&mut self, node: usize) -> (&mut World, &mut Links) {
        let world = match node.checked_sub(1) {
            None => &mut self.world,
            Some(other) => &mut self.others[other],
        };
        (world, &mut self.links)
    }

    /// A moderator redacts a message (EO-8) at a node. `false` if it is not there, or the node cannot.
    pub fn remove_at(&mut self, node: usize, room: &RoomName, offset: Offset) -> bool {
        let now = self.now;
        let (world, links) = self.served(node);
        let is_done = world.is_up && world.remove(now, room, offset, links);
        self.join_nodes();
        is_done
    }

    /// A node trims a room up to this offset.
    pub fn trim_at(&mut self, node: usize, room: &RoomName, through: Offset) {
        let now = self.now;
        self.node_mut(node).trim(now, room, through);
        self.join_nodes();
    }

    /// A node lets a session expire.
    pub fn forget_at(&mut self, node: usize, session: &SessionId) {
        let now = self.now;
        self.node_mut(node).forget(now, session);
        self.join_nodes();
    }

    /// A node dies: connections, presence and uncommitted operations are lost.
    pub fn crash_node(&mut self, node: usize) {
        self.node_mut(node).crash();
        self.links.cut_node(self.now, node);
        if let Some(cluster) = &mut self.cluster {
            cluster.engine.died(node);
        }
    }

    /// A node dies right after a commit.
    pub fn crash_node_after_commit(&mut self, node: usize) {
        self.node_mut(node).log.commit_and_crash();
        self.crash_node(node);
    }

    /// A node sends all clients away, each with a slot after the drain (RC-3).
    pub fn send_away(&mut self, node: usize, drain: Duration) {
        let now = self.now;
        let (world, links) = self.served(node);
        world.go_away(now, drain, links);
    }

    /// A node closes all connections, commits what it has, and exits.
    pub fn shut_down_node(&mut self, node: usize) {
        let now = self.now;
        let (world, links) = self.served(node);
        world.shut_down(now, links);
        self.crash_node_after_commit(node);
    }

    /// Makes several nodes of the server, which begin together.
    ///
    /// A full room keeps `history` messages, or a few more.
    pub(crate) fn form(&mut self, nodes: usize, (odds, history): (Odds, u64), seed: u64) {
        let mut cluster = Cluster::new(nodes, seed);
        cluster.engine.odds = odds;
        let config = self.world.config;
        self.others = (1..nodes).map(|_| World::new(config)).collect();
        for node in 0..nodes {
            let name = NodeName::new(&format!("n{node}")).unwrap();
            let member = Member::new(name, history, seed.wrapping_add(node as u64));
            let now = self.now;
            let world = self.node_mut(node);
            world.is_up = false;
            world.log.join(member);
            world.start(now);
        }
        self.cluster = Some(cluster);
    }

    /// A node is up again.
    pub fn start_node(&mut self, node: usize) {
        let now = self.now;
        self.node_mut(node).start(now);
        self.join_nodes();
    }

    /// The engine lost what it had acked.
    pub(crate) fn lost_tail(&mut self) {
        if let Some(cluster) = &mut self.cluster {
            cluster.is_tail_lost = true;
        }
        for node in 0..=self.others.len() {
            self.node_mut(node).log.void();
        }
    }

    /// Carries what nodes ask of the engine and hear from it.
    pub(super) fn join_nodes(&mut self) {
        let Some(cluster) = &mut self.cluster else {
            return;
        };
        let nodes = iter::once(&mut self.world).chain(&mut self.others);
        let mut nodes: Vec<&mut World> = nodes.collect();
        cluster.step(self.now, &mut nodes, &mut self.links);
    }
}
