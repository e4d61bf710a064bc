//! Which nodes are alive: each tells the others a lease, every second.
//!
//! A lease holds for some seconds after it was received, by the receiver's own clock, so nodes whose clocks differ see
//! the same. It also carries how far its node is in the order of packs, and the digest there: two nodes that folded the
//! same packs must have the same one.
//!
//! Facts go in through [`Nodes::heard`], [`Nodes::applied`] and [`Nodes::handle_timeout`], changes of the own lease through
//! [`Nodes::announce`], [`Nodes::set_load`] and [`Nodes::set_draining`]. After each of them the driver drains
//! [`Nodes::poll_transmit`] and [`Nodes::poll_event`], and arms its timer with [`Nodes::poll_timeout`].

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use protocol::id::NodeName;
use protocol::position::Epoch;
use protocol::time::{Latest, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::order::Digest;
use crate::pack::Life;

/// The most bytes of an encoded lease.
pub const LEASE_BYTES: usize = 4096;

/// The most nodes that are known at a time, this one not counted. Every node holds all history, so clusters are small.
pub const NODES_MAX: usize = 64;

/// How many of the own digests are kept to be compared with those of nodes that are behind: 40 bytes each, some minutes
/// under load.
const DIGESTS_MAX: usize = 4096;

/// The settings of [`Nodes`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The Unix time in milliseconds at the driver's origin of time.
    pub origin_ms: u64,
    /// How often the own lease is published.
    pub beat: Duration,
    /// How long a lease holds: some may be lost.
    pub lease: Duration,
    /// From this difference on a clock is reported. It harms nothing, but shows in the messages' times.
    pub skew: Duration,
}

impl Config {
    /// The defaults.
    pub const fn new(origin_ms: u64) -> Self {
        Self {
            origin_ms,
            beat: Duration::from_secs(1),
            lease: Duration::from_secs(5),
            skew: Duration::from_secs(10),
        }
    }
}

/// What a node tells the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The node.
    pub node: NodeName,
    /// Its life.
    pub life: Life,
    /// Where clients reach it; `None` if they do not reach nodes one by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// How many connections it holds.
    pub load: u64,
    /// The sequence of the last pack that it applied.
    pub applied: u64,
    /// The rolling digest there.
    pub digest: Digest,
    /// The epoch of its log, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// It is about to stop: its clients go to other nodes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_draining: bool,
    /// The newest form of packs that it reads ([`FORMAT`](crate::pack::FORMAT)).
    pub format: u32,
    /// Its Unix time in milliseconds.
    pub at_ms: u64,
}

impl Lease {
    /// Reads a lease.
    ///
    /// # Errors
    /// [`LeaseError::TooLarge`] and [`LeaseError::Garbled`].
    pub fn decode(bytes: &[u8]) -> Result<Self, LeaseError> {
        if bytes.len() > LEASE_BYTES {
            return Err(LeaseError::TooLarge { bytes: bytes.len() });
        }
        serde_json::from_slice(bytes).map_err(|error| LeaseError::Garbled(error.to_string()))
    }
}

/// Why a lease was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LeaseError {
    /// It is larger than [`LEASE_BYTES`].
    #[error("the lease is too large ({bytes} bytes)")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// It is not a lease, or one of a newer Everbeat.
    #[error("the lease cannot be read: {0}")]
    Garbled(String),
    /// There are more than [`NODES_MAX`] nodes.
    #[error("there are more than {NODES_MAX} nodes")]
    TooMany,
}

/// I/O to perform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transmit {
    /// Tell the own lease to all nodes. It may be lost.
    Tell(Vec<u8>),
}

/// A report to the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A node is alive. A process that was started again is a new life, and comes after the old one's
    /// [`Event::Down`].
    Up(Lease),
    /// A node's lease ended, or a later life of it came.
    Down {
        /// The node.
        node: NodeName,
        /// Its life.
        life: Life,
    },
    /// A node folded the same packs, and came to another digest. Reported once for each life.
    Diverged {
        /// The node.
        node: NodeName,
        /// The sequence at which they were compared.
        sequence: u64,
        /// The digest of this node.
        own: Digest,
        /// The digest of the other one.
        other: Digest,
    },
    /// A node's log has another epoch: it is of another cluster, or was restored. Reported once for each life.
    OtherEpoch {
        /// The node.
        node: NodeName,
    },
    /// Another process has the name of this node. Reported once for each of its lives.
    TwoOfOneName {
        /// The life of the other process.
        other: Life,
        /// It is the later life: this process has to stop.
        is_later: bool,
    },
    /// A node's clock differs from this one's by more than [`Config::skew`]. Reported once until it fits again.
    ClockSkew {
        /// The node.
        node: NodeName,
        /// How far its clock is ahead, in milliseconds; negative where it is behind.
        ahead_ms: i64,
    },
}

/// The machine; see the module.
#[derive(Debug)]
pub struct Nodes {
    config: Config,
    latest: Latest,
    own: Option<Lease>,
    /// When the own lease is published next.
    beat_at: Timestamp,
    others: BTreeMap<NodeName, Other>,
    /// The own digests, with their sequences in order; the newest is published.
    digests: VecDeque<(u64, Digest)>,
    /// The life under the own name that was reported last.
    rival: Option<Life>,
    events: VecDeque<Event>,
}

#[derive(Debug)]
struct Other {
    lease: Lease,
    heard_at: Timestamp,
    /// A sequence that this node has not reached, with the other one's digest.
    ahead: Option<(u64, Digest)>,
    has_diverged: bool,
    is_foreign: bool,
    is_skewed: bool,
}

impl Nodes {
    /// A node that hears the others, and tells nothing before [`Self::announce`].
    pub const fn new(config: Config, now: Timestamp) -> Self {
        Self {
            config,
            latest: Latest::new(now),
            own: None,
            beat_at: now,
            others: BTreeMap::new(),
            digests: VecDeque::new(),
            rival: None,
            events: VecDeque::new(),
        }
    }

    /// Tells this lease from now on, with what [`Self::applied`] says last and the time of each beat.
    pub fn announce(&mut self, now: Timestamp, lease: Lease) {
        self.advance(now);
        self.own = Some(lease);
        self.beat_at = self.latest.get();
    }

    /// How many connections this node holds: told with the next beat.
    pub const fn set_load(&mut self, load: u64) {
        if let Some(own) = &mut self.own {
            own.load = load;
        }
    }

    /// Whether this node is about to stop: told at once.
    pub fn set_draining(&mut self, now: Timestamp, is_draining: bool) {
        self.advance(now);
        if let Some(own) = &mut self.own
            && own.is_draining != is_draining
        {
            own.is_draining = is_draining;
            self.beat_at = self.latest.get();
        }
    }

    /// This node applied packs up to this sequence. Where the driver reports only the last of several, what a node says of
    /// those before cannot be compared.
    pub fn applied(&mut self, now: Timestamp, sequence: u64, digest: Digest) {
        self.advance(now);
        if sequence <= self.sequence() {
            // Another log, or the same report again.
            self.digests.clear();
        }
        if self.digests.len() >= DIGESTS_MAX {
            self.digests.pop_front();
        }
        self.digests.push_back((sequence, digest));
        let reached: Vec<_> = self
            .others
            .iter()
            .filter(|(_, other)| other.ahead.is_some_and(|(ahead, _)| ahead <= sequence))
            .map(|(node, _)| node.clone())
            .collect();
        for node in reached {
            self.compare(&node);
        }
    }

    /// A lease came.
    ///
    /// # Errors
    /// [`LeaseError`]; then nothing changed.
    pub fn heard(&mut self, now: Timestamp, bytes: &[u8]) -> Result<(), LeaseError> {
        self.advance(now);
        let lease = Lease::decode(bytes)?;
        if let Some(own) = &self.own
            && own.node == lease.node
        {
            self.heard_own_name(lease.life);
            return Ok(());
        }
        let known = self.others.get(&lease.node).map(|other| &other.lease.life);
        match known {
            // A late word of a process that was followed by another one.
            Some(known) if lease.life < *known => return Ok(()),
            Some(known) if lease.life > *known => self.drop_node(&lease.node),
            Some(_) => {}
            None if self.others.len() >= NODES_MAX => return Err(LeaseError::TooMany),
            None => {}
        }
        self.renew(lease);
        Ok(())
    }

    /// Notes the time.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.advance(now);
    }

    /// The next I/O to perform.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let now = self.latest.get();
        let own = self.own.as_mut().filter(|_| self.beat_at <= now)?;
        self.beat_at = now + self.config.beat;
        own.at_ms = unix_ms(&self.config, now);
        (own.applied, own.digest) = self.digests.back().copied().unwrap_or_default();
        // Texts and numbers can be encoded.
        serde_json::to_vec(own).ok().map(Transmit::Tell)
    }

    /// The next report.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`Self::handle_timeout`] at the latest.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let beat = self.own.as_ref().map(|_| self.beat_at);
        let others = self.others.values();
        let ends = others.map(|other| other.heard_at + self.config.lease);
        ends.chain(beat).min()
    }

    /// The leases that hold, this node's not among them, in the order of names.
    pub fn others(&self) -> impl Iterator<Item = &Lease> {
        self.others.values().map(|other| &other.lease)
    }

    /// The lease of a node, if it holds.
    pub fn lease(&self, node: &NodeName) -> Option<&Lease> {
        self.others.get(node).map(|other| &other.lease)
    }

    /// When a node whose lease holds was heard last.
    pub fn heard_at(&self, node: &NodeName) -> Option<Timestamp> {
        self.others.get(node).map(|other| other.heard_at)
    }

    /// Whether this node is the one that forgets for all of them what is too old: the one with the smallest name. It does
    /// no harm where two take themselves for it.
    pub fn keeps_house(&self) -> bool {
        let own = self.own.as_ref().map(|own| &own.node);
        own.is_some_and(|own| self.others.keys().all(|other| own < other))
    }

    /// The own lease, if it was announced, as it was told last.
    pub const fn own(&self) -> Option<&Lease> {
        self.own.as_ref()
    }

    fn advance(&mut self, now: Timestamp) {
        let before = self.latest.get();
        let now = self.latest.advance(now);
        // The driver calls with each beat, unless its process stood still: then what came meanwhile is still to be read.
        let pause = self.config.beat.saturating_mul(2);
        if self.own.is_some() && now.since(before) > pause {
            for other in self.others.values_mut() {
                other.heard_at = now;
            }
        }
        let lease = self.config.lease;
        let has_ended = |other: &Other| other.heard_at + lease <= now;
        let ended = self.others.iter().filter(|(_, other)| has_ended(other));
        let ended: Vec<_> = ended.map(|(node, _)| node.clone()).collect();
        for node in ended {
            self.drop_node(&node);
        }
    }

    /// The last sequence that was applied, as far as it was reported.
    fn sequence(&self) -> u64 {
        self.digests.back().map_or(0, |(sequence, _)| *sequence)
    }

    fn drop_node(&mut self, node: &NodeName) {
        if let Some(other) = self.others.remove(node) {
            let Lease { node, life, .. } = other.lease;
            self.events.push_back(Event::Down { node, life });
        }
    }

    fn heard_own_name(&mut self, other: Life) {
        let Some(own) = &self.own else { return };
        if other == own.life || self.rival.as_ref() == Some(&other) {
            return;
        }
        self.rival = Some(other.clone());
        let is_later = other > own.life;
        self.events
            .push_back(Event::TwoOfOneName { other, is_later });
    }

    fn renew(&mut self, lease: Lease) {
        let now = self.latest.get();
        let node = lease.node.clone();
        let ahead = Some((lease.applied, lease.digest));
        if let Some(other) = self.others.get_mut(&node) {
            other.heard_at = now;
            other.lease = lease;
            // What waits to be compared stays, or a node that is always behind would compare nothing.
            other.ahead = other.ahead.or(ahead);
        } else {
            self.events.push_back(Event::Up(lease.clone()));
            let other = Other {
                lease,
                heard_at: now,
                ahead,
                has_diverged: false,
                is_foreign: false,
                is_skewed: false,
            };
            self.others.insert(node.clone(), other);
        }
        self.compare(&node);
        self.compare_epochs(&node);
        self.compare_clocks(&node);
    }

    /// Compares the digests, if this node has reached the other one.
    fn compare(&mut self, node: &NodeName) {
        let applied = self.sequence();
        let Some(other) = self.others.get_mut(node) else {
            return;
        };
        let Some((sequence, digest)) = other.ahead.take_if(|(ahead, _)| *ahead <= applied) else {
            return;
        };
        let found = self.digests.binary_search_by_key(&sequence, |(at, _)| *at);
        // What is too long ago, or was passed over, cannot be compared; the next lease can.
        let Some((_, own)) = found
            .ok()
            .and_then(|index| self.digests.get(index))
            .copied()
        else {
            return;
        };
        if own != digest && !other.has_diverged {
            other.has_diverged = true;
            self.events.push_back(Event::Diverged {
                node: node.clone(),
                sequence,
                own,
                other: digest,
            });
        }
    }

    fn compare_epochs(&mut self, node: &NodeName) {
        let own = self.own.as_ref().and_then(|own| own.epoch.as_ref());
        if let Some(other) = self.others.get_mut(node)
            && let (Some(own), Some(epoch)) = (own, &other.lease.epoch)
            && own != epoch
            && !other.is_foreign
        {
            other.is_foreign = true;
            let node = node.clone();
            self.events.push_back(Event::OtherEpoch { node });
        }
    }

    fn compare_clocks(&mut self, node: &NodeName) {
        let now = unix_ms(&self.config, self.latest.get());
        let Some(other) = self.others.get_mut(node) else {
            return;
        };
        let most = u64::try_from(self.config.skew.as_millis()).unwrap_or(u64::MAX);
        let was_skewed = other.is_skewed;
        other.is_skewed = other.lease.at_ms.abs_diff(now) > most;
        if other.is_skewed && !was_skewed {
            let ms = i64::try_from(other.lease.at_ms.abs_diff(now)).unwrap_or(i64::MAX);
            let is_ahead = other.lease.at_ms > now;
            let ahead_ms = if is_ahead { ms } else { ms.saturating_neg() };
            let node = node.clone();
            self.events.push_back(Event::ClockSkew { node, ahead_ms });
        }
    }
}

fn unix_ms(config: &Config, now: Timestamp) -> u64 {
    let since_origin = u64::try_from(now.since_origin().as_millis()).unwrap_or(u64::MAX);
    config.origin_ms.saturating_add(since_origin)
}

#[cfg(test)]
mod tests;
