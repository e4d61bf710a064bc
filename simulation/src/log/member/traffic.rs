//! What a node asks of the engine and hears from it, and what it knows of the other nodes.

use everbeat_log::follower::{self, Fetched, Follower};
use everbeat_log::nodes::{self, Nodes};
use everbeat_log::sender::{self, Sender};
use protocol::time::Timestamp;

use super::{CatchUp, Peer};
use crate::engine::{Ask, Found, Heard, Told};
use crate::log::Log;

impl Log {
    /// Something comes from the engine.
    pub(crate) fn hear(&mut self, now: Timestamp, heard: Heard) {
        let Some(member) = &mut self.member else {
            return;
        };
        let Some(follower) = &mut member.follower else {
            return;
        };
        match heard {
            Heard::Stored(number, sequence) => {
                follower.stored(now, sequence);
                if let Some(sender) = &mut member.sender {
                    sender.stored(now, number);
                }
            }
            Heard::Failed(number) => {
                if let Some(sender) = &mut member.sender {
                    sender.failed(now, number);
                }
            }
            Heard::Live(sequence, pack) => follower.live(now, sequence, &pack),
            Heard::Fetched(sequence, source, found) => {
                follower.fetched(now, sequence, source, fetched(&found));
            }
            Heard::Replacement(sequence, found) => {
                follower.replaced(now, sequence, fetched(&found));
            }
            Heard::Bounds(number @ 1.., bounds) => {
                if let Some(barrier) = member.barriers.get_mut(&number) {
                    barrier.last = bounds.map(|bounds| bounds.last);
                }
            }
            Heard::Bounds(_, bounds) => {
                follower.bounds(now, bounds);
            }
            Heard::Told(Told::Lease(lease)) => {
                if let Some(nodes) = &mut member.nodes {
                    nodes.heard(now, &lease).unwrap();
                }
            }
            Heard::Told(Told::Room(..)) => {}
        }
    }

    /// The next request to the engine.
    pub(crate) fn poll_ask(&mut self, now: Timestamp) -> Option<Ask> {
        let latency = self.commit_latency;
        let member = self.member.as_mut()?;
        let mut follower = member.follower.iter();
        if member.catches_up == CatchUp::Follows && follower.any(Follower::is_caught_up) {
            member.begin(now, &mut self.store);
        }
        while let Some(transmit) = member.follower.as_mut().and_then(Follower::poll_transmit) {
            match transmit {
                follower::Transmit::Apply { sequence, pack } => {
                    let due = member.folding.back().map_or(now, |(due, ..)| *due);
                    let due = due.max(now + latency);
                    member.folding.push_back((due, sequence, pack));
                }
                follower::Transmit::Fetch { sequence, source } => {
                    return Some(Ask::Fetch(sequence, source));
                }
                follower::Transmit::AskBounds => return Some(Ask::Bounds(0)),
                follower::Transmit::FetchReplacement { sequence } => {
                    return Some(Ask::Replacement(sequence));
                }
            }
        }
        while let Some(event) = member.follower.as_mut().and_then(Follower::poll_event) {
            match event {
                follower::Event::Attached { id } => member.stream = Some(id),
                follower::Event::Behind { first, .. } => member.behind = Some(first),
                // It is asked for again and again.
                follower::Event::Hole { .. } => {}
                event => member.alarm = Some(format!("{event:?}")),
            }
        }
        let transmit = member.sender.as_mut().and_then(Sender::poll_transmit);
        if let Some(sender::Transmit::Publish { number, pack }) = transmit {
            return Some(Ask::Publish(number, pack));
        }
        member.asks.pop_front()
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, now: Timestamp) {
        let Some(member) = &mut self.member else {
            return;
        };
        if let Some(sender) = &mut member.sender {
            sender.handle_timeout(now);
        }
        if let Some(follower) = &mut member.follower {
            follower.handle_timeout(now);
        }
        if let Some(nodes) = &mut member.nodes {
            nodes.handle_timeout(now);
        }
    }

    /// The lease that the other nodes are to hear.
    pub(crate) fn poll_lease(&mut self) -> Option<Vec<u8>> {
        let nodes = self.member.as_mut()?.nodes.as_mut()?;
        let nodes::Transmit::Tell(lease) = nodes.poll_transmit()?;
        Some(lease)
    }

    /// What changed among the nodes that are alive.
    pub(crate) fn poll_peers(&mut self) -> Vec<Peer> {
        let Some(member) = &mut self.member else {
            return Vec::new();
        };
        while let Some(event) = member.nodes.as_mut().and_then(Nodes::poll_event) {
            match event {
                nodes::Event::Up(lease) => member.peers.push(Peer::Up(lease.node)),
                nodes::Event::Down { node, .. } => member.peers.push(Peer::Down(node)),
                // What a process told before it died may come after it.
                nodes::Event::TwoOfOneName {
                    is_later: false, ..
                } => {}
                event => member.alarm = Some(format!("{event:?}")),
            }
        }
        std::mem::take(&mut member.peers)
    }
}

fn fetched(found: &Found) -> Fetched<'_> {
    match found {
        Found::Pack(pack) => Fetched::Found(pack),
        Found::Missing => Fetched::Missing,
        Found::Failed => Fetched::Failed,
    }
}
