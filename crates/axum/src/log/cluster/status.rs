//! What an operator sees of a node and of its cluster.

use std::fmt;

use protocol::id::NodeName;
use serde::Serialize;

/// A node, and what it knows of the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClusterStatus {
    /// This node.
    pub node: NodeName,
    /// Which life of this name it is; 0 before it takes commands.
    pub life: u64,
    /// Its phase, as a word.
    pub phase: Phase,
    /// Why it is not ready, in words; `None` where it is.
    pub trouble: Option<String>,
    /// Whether the engine is connected.
    pub is_connected: bool,
    /// The sequence of the last pack that is folded here.
    pub applied: u64,
    /// The newest sequence of the engine that this node has heard of.
    pub last: u64,
    /// The digest at `applied`, in hexadecimal: nodes with equal sequences have equal digests.
    pub digest: String,
    /// Commands that wait to be sent.
    pub waiting: usize,
    /// Commands that were sent, and are not folded here yet.
    pub in_flight: usize,
    /// How often a pack was sent again, since the start.
    pub resends: u64,
    /// The nodes whose leases this node has heard, this one included, by name.
    pub nodes: Vec<NodeStatus>,
}

impl ClusterStatus {
    /// How many packs this node is behind what it has heard of.
    pub const fn lag(&self) -> u64 {
        self.last.saturating_sub(self.applied)
    }

    /// How many nodes are live, this one included.
    pub fn live(&self) -> usize {
        self.nodes.iter().filter(|node| node.is_live).count()
    }
}

/// A node as its lease tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeStatus {
    /// Its name.
    pub name: NodeName,
    /// Which life of that name.
    pub life: u64,
    /// Whether its lease is fresh.
    pub is_live: bool,
    /// Whether it drains.
    pub is_draining: bool,
    /// The sequence of the last pack that is folded there.
    pub applied: u64,
    /// The digest there, in hexadecimal.
    pub digest: String,
    /// The address at which clients reach it, where it tells one.
    pub address: Option<String>,
    /// How many connections it holds.
    pub connections: u32,
    /// How long ago its last beat was heard, in milliseconds.
    pub heard_ms: u64,
}

/// The phases of a node's life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It has not heard from the engine's leader yet.
    #[default]
    Attaching,
    /// It folds what the engine held when it attached.
    CatchingUp,
    /// It takes commands.
    Live,
    /// It finishes what was sent.
    Closing,
    /// It stopped for good.
    Stopped,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Attaching => "attaching",
            Self::CatchingUp => "catching up",
            Self::Live => "live",
            Self::Closing => "closing",
            Self::Stopped => "stopped",
        })
    }
}
