//! What an operator sees of a node and of its cluster.

use std::fmt;

use protocol::address::Address;
use protocol::id::NodeName;
use protocol::server::OtherNode;
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
    /// The identity of its log's history (RS-6); `None` before its first pack.
    pub epoch: Option<String>,
    /// The digest at `applied`, in hexadecimal: nodes with equal sequences have equal digests.
    pub digest: String,
    /// Commands that wait to be sent.
    pub waiting: usize,
    /// Commands that were sent, and are not folded here yet.
    pub in_flight: usize,
    /// How often a pack was sent again, since the start.
    pub resends: u64,
    /// The live nodes, whose leases this node hears, this one included, by name.
    pub nodes: Vec<NodeStatus>,
}

impl ClusterStatus {
    /// That of a node that has not begun.
    pub fn new(node: NodeName) -> Self {
        Self {
            node,
            life: 0,
            phase: Phase::Attaching,
            trouble: Some(Phase::Attaching.to_string()),
            is_connected: false,
            applied: 0,
            last: 0,
            epoch: None,
            digest: String::new(),
            waiting: 0,
            in_flight: 0,
            resends: 0,
            nodes: Vec::new(),
        }
    }

    /// How many packs this node is behind what it has heard of.
    pub const fn lag(&self) -> u64 {
        self.last.saturating_sub(self.applied)
    }

    /// The other nodes to which clients may go, each of which holds at most `limit` connections: those that tell their
    /// address and do not drain.
    pub fn others(&self, limit: usize) -> Vec<OtherNode> {
        let others = self.nodes.iter().filter(|other| other.name != self.node);
        let others = others.filter(|other| !other.is_draining);
        let others = others.filter_map(|other| {
            let clients = u32::try_from(other.connections).unwrap_or(u32::MAX);
            let limit = u32::try_from(limit).unwrap_or(u32::MAX);
            Some(OtherNode {
                address: other.socket()?,
                clients,
                free: limit.saturating_sub(clients),
            })
        });
        others.collect()
    }

    /// How many nodes are live, this one included.
    pub const fn live(&self) -> usize {
        self.nodes.len()
    }
}

/// A node as its lease tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeStatus {
    /// Its name.
    pub name: NodeName,
    /// Which life of that name.
    pub life: u64,
    /// Whether it drains.
    pub is_draining: bool,
    /// The sequence of the last pack that is folded there.
    pub applied: u64,
    /// The digest there, in hexadecimal.
    pub digest: String,
    /// The address at which clients reach it, where it tells one.
    pub address: Option<String>,
    /// How many connections it holds.
    pub connections: u64,
    /// How long ago it was heard, in milliseconds; 0 for this node.
    pub heard_ms: u64,
}

impl NodeStatus {
    /// The address of its WebSocket.
    fn socket(&self) -> Option<Address> {
        let site = self.address.as_ref()?.trim_end_matches('/');
        let rest = site.strip_prefix("http")?;
        Address::new(&format!("ws{rest}/ws")).ok()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, address: Option<&str>, is_draining: bool) -> NodeStatus {
        NodeStatus {
            name: NodeName::new(name).unwrap(),
            life: 1,
            is_draining,
            applied: 0,
            digest: String::new(),
            address: address.map(str::to_owned),
            connections: 40,
            heard_ms: 0,
        }
    }

    /// RC-8: clients of a draining node go to nodes that tell their address, and not to one that drains, too.
    #[test]
    fn clients_go_to_nodes_that_stay() {
        let mut status = ClusterStatus::new(NodeName::new("a").unwrap());
        status.nodes = vec![
            node("a", Some("https://a.example/"), true),
            node("b", Some("https://b.example/"), false),
            node("c", None, false),
            node("d", Some("http://d.example:8080/"), true),
            node("e", Some("http://10.0.0.7:8080/"), false),
        ];
        let others = status.others(50);
        let addresses: Vec<_> = others.iter().map(|other| other.address.as_str()).collect();
        assert_eq!(addresses, ["wss://b.example/ws", "ws://10.0.0.7:8080/ws"]);
        assert!(
            others
                .iter()
                .all(|other| (other.clients, other.free) == (40, 10))
        );
        assert!(status.others(30).iter().all(|other| other.free == 0));
    }
}
