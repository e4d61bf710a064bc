//! Leases: what this node tells the others of itself, and what their leases mean here.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use everbeat_log::nodes::{Config, Event, Lease, Nodes, Transmit};
use everbeat_log::order::Applied;
use everbeat_log::pack::{FORMAT, Life};
use protocol::id::NodeName;
use protocol::position::Epoch;
use protocol::time::Timestamp;

use super::config::ClusterConfig;
use super::desk::Shared;
use super::erasure::Erasures;
use super::status::NodeStatus;
use super::words;
use crate::log::Observer;
use crate::log::engine::{Engine, Topic};

/// The leases of a cluster, as one node tells and hears them.
pub(super) struct Leases {
    nodes: Nodes,
    config: ClusterConfig,
    observer: Arc<dyn Observer>,
    /// The live nodes whose log differs from this one's.
    different: BTreeSet<NodeName>,
    erasures: Arc<Erasures>,
    /// A lease was told, heard or ended since the operator's view of the nodes was made.
    is_changed: bool,
    /// Another node may have left erasures undone since this one looked after them.
    has_to_erase: bool,
}

impl Leases {
    /// Hears the others, and tells nothing yet. `origin_ms` is the Unix time in milliseconds at the clock's origin.
    pub(super) fn new(
        now: Timestamp,
        origin_ms: u64,
        config: ClusterConfig,
        observer: Arc<dyn Observer>,
        erasures: Arc<Erasures>,
    ) -> Self {
        Self {
            nodes: Nodes::new(Config::new(origin_ms), now),
            config,
            observer,
            different: BTreeSet::new(),
            erasures,
            is_changed: true,
            has_to_erase: true,
        }
    }

    /// Tells the others of this node from now on.
    pub(super) fn announce(
        &mut self,
        now: Timestamp,
        life: Life,
        applied: &Applied,
        epoch: Option<Epoch>,
    ) {
        self.nodes.announce(
            now,
            Lease {
                node: self.config.node.clone(),
                life,
                address: self.config.address.clone(),
                load: 0,
                applied: applied.sequence,
                digest: applied.digest,
                epoch,
                is_draining: false,
                format: FORMAT,
                at_ms: 0,
            },
        );
    }

    pub(super) fn applied(&mut self, now: Timestamp, applied: &Applied) {
        self.nodes.applied(now, applied.sequence, applied.digest);
    }

    pub(super) fn heard(&mut self, now: Timestamp, lease: &[u8]) {
        self.is_changed = true;
        if let Err(error) = self.nodes.heard(now, lease) {
            tracing::debug!(%error, "a lease was not taken");
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Timestamp) {
        self.nodes.handle_timeout(now);
    }

    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        self.nodes.poll_timeout()
    }

    /// Tells and passes on what is due. Returns why this node has to stop, if so.
    pub(super) fn perform(
        &mut self,
        now: Timestamp,
        engine: &dyn Engine,
        shared: &Shared,
    ) -> Option<String> {
        let (load, is_draining) = shared.load();
        self.nodes.set_load(load);
        self.nodes.set_draining(now, is_draining);
        while let Some(Transmit::Tell(lease)) = self.nodes.poll_transmit() {
            self.is_changed = true;
            engine.tell(Topic::Nodes, Bytes::from(lease));
        }
        let mut why = None;
        while let Some(event) = self.nodes.poll_event() {
            self.is_changed = true;
            why = self.told(event).or(why);
        }
        let keeps_house = self.nodes.keeps_house();
        shared.desk(|desk| desk.keeps_house = keeps_house);
        if keeps_house && std::mem::take(&mut self.has_to_erase) {
            self.erasures.resume();
        }
        why
    }

    fn told(&mut self, event: Event) -> Option<String> {
        match event {
            Event::Up(lease) => {
                tracing::info!(node = %lease.node, life = lease.life.count, "a node is there");
                self.observer.node_up(&lease.node);
            }
            Event::Down { node, .. } => {
                tracing::warn!(%node, "a node is not heard any more");
                self.different.remove(&node);
                self.has_to_erase = true;
                self.observer.node_down(&node);
            }
            Event::Diverged { node, sequence, .. } => {
                tracing::error!(%node, sequence, "a node came to another log from the same packs");
                self.different.insert(node);
                return self.outvoted(sequence);
            }
            Event::OtherEpoch { node } => {
                tracing::error!(%node, "a node's log has another epoch: it belongs to another cluster, or was restored");
                self.different.insert(node);
            }
            Event::TwoOfOneName { is_later, .. } => {
                let node = &self.config.node;
                tracing::error!(%node, is_later, "two processes have one node's name; the one that started first stops");
            }
            Event::ClockSkew { node, ahead_ms } => {
                tracing::warn!(%node, ahead_ms, "a node's clock differs from this one's");
            }
        }
        None
    }

    /// Why this node stops, where no majority of the live ones has the same log as this one: of two there is no
    /// telling which is right.
    fn outvoted(&self, sequence: u64) -> Option<String> {
        let live = self.nodes.others().count() + 1;
        let is_outvoted = self.different.len() * 2 >= live;
        is_outvoted.then(|| words::diverged(sequence, &self.different))
    }

    /// The nodes by name, this one among them, where that changed since it was asked last: each beat at least.
    pub(super) fn statuses(&mut self, now: Timestamp) -> Option<Vec<NodeStatus>> {
        if !std::mem::take(&mut self.is_changed) {
            return None;
        }
        let leases = self.nodes.own().into_iter().chain(self.nodes.others());
        let status = |lease: &Lease| {
            let heard_at = self.nodes.heard_at(&lease.node).unwrap_or(now);
            status(lease, now.since(heard_at))
        };
        let mut statuses: Vec<_> = leases.map(status).collect();
        statuses.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Some(statuses)
    }
}

fn status(lease: &Lease, age: Duration) -> NodeStatus {
    NodeStatus {
        name: lease.node.clone(),
        life: lease.life.count,
        is_draining: lease.is_draining,
        applied: lease.applied,
        digest: lease.digest.to_string(),
        address: lease.address.clone(),
        connections: lease.load,
        heard_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
    }
}
