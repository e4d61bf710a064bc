//! What joins the nodes of a run: the engine, the way of clients to nodes, and what the judge knows of all nodes.

use std::collections::{BTreeMap, BTreeSet};

use everbeat_log::order::Digest;
use everbeat_log::pack::{Life, PackId};
use fastrand::Rng;
use protocol::id::NodeName;
use protocol::time::Timestamp;

use crate::engine::Engine;
use crate::link::Links;
use crate::log::member::Folded;
use crate::world::World;

/// More rounds than this at one time mean that the nodes keep each other busy.
const ROUNDS_MAX: usize = 100_000;

/// What joins several nodes.
#[derive(Debug)]
pub struct Cluster {
    /// The engine.
    pub engine: Engine,
    /// The newest packs were lost, though they were acked: some node has to raise the alarm.
    pub is_tail_lost: bool,
    /// A node raised it.
    pub is_alarmed: bool,
    /// Which page went to which node, by time.
    pub notes: Vec<(Timestamp, String)>,
    rng: Rng,
    nodes: usize,
    /// The digest at each sequence, of the node that folded it first.
    digests: BTreeMap<u64, Digest>,
    /// The packs that were applied.
    applied: BTreeSet<PackId>,
    /// The newest life of each node of which something was applied.
    lives: BTreeMap<NodeName, Life>,
}

impl Cluster {
    /// So many nodes that begin together.
    pub fn new(nodes: usize, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        Self {
            engine: Engine::new(nodes, rng.u64(..)),
            is_tail_lost: false,
            is_alarmed: false,
            notes: Vec::new(),
            rng,
            nodes,
            digests: BTreeMap::new(),
            applied: BTreeSet::new(),
            lives: BTreeMap::new(),
        }
    }

    /// Some node.
    pub fn any_node(&mut self) -> usize {
        self.rng.usize(..self.nodes)
    }

    /// The node to which a client connects that was at this one before: mostly the same, as with a proxy that keeps
    /// clients where they were.
    pub fn route(&mut self, now: Timestamp, client: usize, before: usize) -> usize {
        let node = match self.rng.bool() {
            true => before,
            false => self.any_node(),
        };
        let note = format!("page {client} goes to node {node}");
        self.notes.push((now, note));
        node
    }

    /// When something arrives.
    pub fn due(&self) -> Option<Timestamp> {
        self.engine.due()
    }

    /// Carries what the nodes ask of the engine and hear from it, until nothing is left to do now.
    pub fn step(&mut self, now: Timestamp, nodes: &mut [&mut World], links: &mut Links) {
        for _ in 0..ROUNDS_MAX {
            let mut is_busy = false;
            for (number, node) in nodes.iter_mut().enumerate() {
                while let Some(ask) = node.log.poll_ask(now) {
                    is_busy = true;
                    self.engine.ask(now, number, ask);
                }
                while let Some(told) = node.poll_told(now) {
                    self.engine.tell(now, number, &told);
                }
                for folded in node.log.poll_folded() {
                    self.compare(number, folded);
                }
            }
            self.stop(now, nodes, links);
            self.copy(now, nodes, links);
            if let Some((node, heard)) = self.engine.next(now) {
                is_busy = true;
                nodes[node].hear(now, heard, links);
            }
            if !is_busy {
                return;
            }
        }
        panic!("the nodes do not come to rest");
    }

    /// Nodes with equal sequences have equal digests, and each pack is applied once, in the order of lives.
    fn compare(&mut self, node: usize, folded: Folded) {
        if self.is_tail_lost {
            return;
        }
        let Folded {
            sequence,
            id,
            is_applied,
            digest,
        } = folded;
        let is_first = !self.digests.contains_key(&sequence);
        let first = self.digests.entry(sequence).or_insert(digest);
        assert!(
            *first == digest,
            "node {node} folded something else at {sequence}"
        );
        if is_applied && is_first {
            let newest = self.lives.insert(id.node.clone(), id.life.clone());
            assert!(
                newest <= Some(id.life.clone()),
                "a dead process writes: {id:?}"
            );
            assert!(self.applied.insert(id.clone()), "applied twice: {id:?}");
        }
    }

    /// A node whose log is not that of the others stops for good.
    fn stop(&mut self, now: Timestamp, nodes: &mut [&mut World], links: &mut Links) {
        for (number, node) in nodes.iter_mut().enumerate() {
            let Some(alarm) = node.log.take_alarm() else {
                continue;
            };
            assert!(self.is_tail_lost, "node {number} stops: {alarm}");
            self.is_alarmed = true;
            node.crash();
            self.engine.died(number);
            links.cut_node(now, number);
        }
    }

    /// A node that is too far behind takes a copy of another one's store.
    fn copy(&mut self, now: Timestamp, nodes: &mut [&mut World], links: &mut Links) {
        for number in 0..nodes.len() {
            let Some(first) = nodes[number].log.behind() else {
                continue;
            };
            let mut peers = nodes.iter().enumerate();
            let peer = peers.find(|(peer, node)| {
                *peer != number && node.is_up && node.log.applied() + 1 >= first
            });
            if let Some((_, peer)) = peer {
                let copy = peer.log.copy();
                let node = &mut *nodes[number];
                node.crash();
                self.engine.died(number);
                links.cut_node(now, number);
                node.log.take_copy(copy);
                node.start(now);
            }
        }
    }

    /// Whether all nodes stand at the engine's end, with equal stores.
    pub fn check(&self, first: &World, others: &[World]) {
        let last = self.engine.last();
        assert_eq!(first.log.applied(), last, "node 0 is behind");
        for (number, node) in others.iter().enumerate() {
            assert!(
                node.log.store() == first.log.store(),
                "node {} holds something else than node 0",
                number + 1
            );
        }
    }
}
