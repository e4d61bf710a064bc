//! The nodes that a client may connect to, and which of them the next try goes to (RC-8).

use std::time::Duration;

use fastrand::Rng;

use crate::address::{Address, Addresses};
use crate::frame::Elsewhere;
use crate::time::Timestamp;

/// A client's way to its server. It holds no nodes where the driver knows the only one.
#[derive(Debug, Default)]
pub(super) struct Route {
    /// The client's own first, then the others in an order that was drawn once: the clients of a node that dies spread over
    /// all others.
    nodes: Vec<Node>,
    /// The node in use, or of the next try.
    current: usize,
    /// The node that the server named for the next try.
    named: Option<usize>,
}

#[derive(Debug)]
struct Node {
    address: Address,
    /// It asked for a pause, until then: by `Retry-After`, or as it restarts.
    not_before: Timestamp,
    /// It answered the last handshake in a way that it will answer again.
    refuses: bool,
}

impl Route {
    pub(super) fn new(addresses: &Addresses, rng: &mut Rng) -> Self {
        let node = |address: &Address| Node {
            address: address.clone(),
            not_before: Timestamp::ZERO,
            refuses: false,
        };
        let mut nodes: Vec<Node> = addresses.as_slice().iter().map(node).collect();
        if let Some((_, others)) = nodes.split_first_mut() {
            rng.shuffle(others);
        }
        Self {
            nodes,
            current: 0,
            named: None,
        }
    }

    /// The address of the next try, or in use.
    pub(super) fn address(&self) -> Option<&Address> {
        self.nodes.get(self.index()).map(|node| &node.address)
    }

    fn index(&self) -> usize {
        self.named.unwrap_or(self.current)
    }

    /// The node in use ends and is back at `here`, or the client may go to a node that it names. Returns the client's
    /// slot. A node that the client was not configured with counts as none: one frame must not be enough to lead the
    /// session's key and the user's token to another server.
    pub(super) fn sent_away(
        &mut self,
        now: Timestamp,
        here: Timestamp,
        elsewhere: Option<Elsewhere>,
    ) -> Timestamp {
        if let Some(node) = self.nodes.get_mut(self.current) {
            node.not_before = here;
        }
        self.named = None;
        let Some(Elsewhere { address, after_ms }) = elsewhere else {
            return here;
        };
        let mut nodes = self.nodes.iter();
        self.named = nodes.position(|node| node.address == address);
        match self.named {
            Some(_) => now + Duration::from_millis(after_ms),
            None => here,
        }
    }

    /// The node answered with `welcome`: the client stays with it.
    pub(super) fn reached(&mut self) {
        self.current = self.index();
        self.named = None;
        if let Some(node) = self.nodes.get_mut(self.current) {
            node.refuses = false;
        }
    }

    /// The node refuses the handshake in a way that it will refuse again. Returns whether there is no other that does not.
    pub(super) fn refused(&mut self) -> bool {
        let index = self.index();
        if let Some(node) = self.nodes.get_mut(index) {
            node.refuses = true;
        }
        self.nodes.iter().all(|node| node.refuses)
    }

    /// A try failed, and its node asks for this pause: the next try goes to another one. After a node that the server
    /// named that is the one in use before, else the next one in order whose pause is over. Returns how long that one's
    /// pause still is.
    pub(super) fn failed(&mut self, now: Timestamp, pause: Duration) -> Duration {
        let index = self.index();
        let Some(node) = self.nodes.get_mut(index) else {
            return pause;
        };
        node.not_before = now + pause;
        let before = self.named.take().map(|_| self.current);
        let nodes = self.nodes.iter().enumerate();
        let before = nodes.clone().filter(|(index, _)| Some(*index) == before);
        let others = nodes.cycle().skip(index.saturating_add(1));
        let order = before.chain(others.take(self.nodes.len()));
        let next = order.min_by_key(|(_, node)| node.not_before.max(now));
        next.map_or(pause, |(index, node)| {
            self.current = index;
            node.not_before.since(now)
        })
    }
}
