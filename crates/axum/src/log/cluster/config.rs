//! The configuration of a node, and what it draws at its start.

use protocol::id::NodeName;
use protocol::position::Epoch;

/// The configuration of a node.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// Its name, which no other node has.
    pub node: NodeName,
    /// The fewest messages that a full room keeps, on all nodes: a node that starts sets it.
    pub history_per_room: u64,
    /// The address at which clients reach this node itself, for its lease.
    pub address: Option<String>,
}

/// What a node draws once, at its start.
#[derive(Clone, Debug)]
pub(super) struct Chance {
    /// Tells two processes with one name apart that began at the same time.
    pub(super) nonce: u64,
    /// The epoch of a log that this node founds.
    pub(super) epoch: Epoch,
    /// The seeds of jitter.
    pub(super) seeds: [u64; 2],
}

impl Chance {
    /// `None` where the system has no randomness.
    pub(super) fn draw() -> Option<Self> {
        Some(Self {
            nonce: getrandom::u64().ok()?,
            epoch: Epoch::new(&format!("{:016x}", getrandom::u64().ok()?)),
            seeds: [getrandom::u64().ok()?, getrandom::u64().ok()?],
        })
    }
}
