//! One node's part in the common log of several: its sender and its follower, as the server drives them, over the
//! virtual engine. Operations are answered once their commands are folded here.

mod folding;
mod traffic;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use everbeat_log::command::{Command, Redact, Settings, Trim};
use everbeat_log::follower::{self, Follower};
use everbeat_log::memory::MemoryStore;
use everbeat_log::nodes::{self, Lease, Nodes};
use everbeat_log::order::{Digest, PackStore};
use everbeat_log::pack::{FORMAT, Life, Pack};
use everbeat_log::sender::{self, Sender, Ticket};
use fastrand::Rng;
use protocol::id::{NodeName, RoomName, SessionId};
use protocol::position::{Epoch, Offset};
use protocol::time::Timestamp;

pub(crate) use self::folding::Folded;
use super::asked::{Asked, millis};
use super::{Log, Op};
use crate::engine::Ask;

/// One of several nodes.
#[derive(Debug)]
pub struct Member {
    name: NodeName,
    rng: Rng,
    history_per_room: u64,
    in_flight: usize,
    /// How long the follower is silent before it asks for the stream's end.
    poll: Duration,
    /// The id of the stream, as the node keeps it.
    stream: Option<String>,
    life: Option<Life>,
    sender: Option<Sender>,
    follower: Option<Follower>,
    /// What a starting node has to fold before its life begins.
    catches_up: CatchUp,
    /// The commands on their way, and who awaits their answers.
    tickets: BTreeMap<u64, Option<(u64, Asked)>>,
    /// What was not even queued.
    refused: Vec<(u64, Asked)>,
    /// Also the numbers of fresh sessions.
    numbered: u64,
    /// Packs that are being folded.
    folding: VecDeque<(Timestamp, u64, Pack)>,
    /// The sequence of the pack that was folded last.
    applied: u64,
    /// Requests that wait until this node has folded what the engine held when they came, but no longer than that.
    barriers: BTreeMap<u64, Barrier>,
    /// Which nodes are alive.
    nodes: Option<Nodes>,
    /// What changed of that.
    peers: Vec<Peer>,
    asks: VecDeque<Ask>,
    folded: Vec<Folded>,
    /// The store as a power loss leaves it.
    kept: MemoryStore,
    /// How far that one is.
    kept_through: u64,
    /// The first pack of the stream, where that is after the next one here.
    behind: Option<u64>,
    /// Why the node does not go on.
    pub(crate) alarm: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CatchUp {
    /// It does not run.
    Down,
    /// It folds what the stream holds.
    Follows,
    /// It has sent its life's first pack.
    Begins,
    /// It serves clients.
    Done,
}

/// A request that waits.
#[derive(Clone, Copy, Debug)]
struct Barrier {
    asker: u64,
    until: Timestamp,
    /// The engine's last sequence, once that is known.
    last: Option<u64>,
}

/// News of another node.
#[derive(Clone, Debug)]
pub(crate) enum Peer {
    /// It is alive.
    Up(NodeName),
    /// Its lease ended.
    Down(NodeName),
}

impl Member {
    /// A node of this name that was never up.
    pub fn new(name: NodeName, history_per_room: u64, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        Self {
            name,
            history_per_room,
            in_flight: if rng.bool() { 1 } else { rng.usize(2..=3) },
            poll: Duration::from_millis(rng.u64(250..2_500)),
            rng,
            stream: None,
            life: None,
            sender: None,
            follower: None,
            catches_up: CatchUp::Down,
            tickets: BTreeMap::new(),
            refused: Vec::new(),
            numbered: 0,
            folding: VecDeque::new(),
            applied: 0,
            barriers: BTreeMap::new(),
            nodes: None,
            peers: Vec::new(),
            asks: VecDeque::new(),
            folded: Vec::new(),
            kept: MemoryStore::new(),
            kept_through: 0,
            behind: None,
            alarm: None,
        }
    }

    /// The node's name.
    pub(super) const fn name(&self) -> &NodeName {
        &self.name
    }

    /// The number of the next fresh session.
    pub(super) const fn next_number(&mut self) -> u64 {
        self.numbered += 1;
        self.numbered
    }

    /// The process dies.
    pub(super) fn crash(&mut self) {
        self.life = None;
        self.sender = None;
        self.follower = None;
        self.catches_up = CatchUp::Down;
        self.tickets.clear();
        self.refused.clear();
        self.folding.clear();
        self.barriers.clear();
        self.nodes = None;
        self.peers.clear();
        self.asks.clear();
        self.behind = None;
    }

    /// When something is due.
    pub(super) fn due(&self, is_frozen: bool) -> Option<Timestamp> {
        let fold = self
            .folding
            .front()
            .filter(|_| !is_frozen)
            .map(|(due, ..)| *due);
        let sender = self.sender.as_ref().and_then(Sender::poll_timeout);
        let follower = self.follower.as_ref().and_then(Follower::poll_timeout);
        let nodes = self.nodes.as_ref().and_then(Nodes::poll_timeout);
        let barriers = self.barriers.values().map(|barrier| barrier.until).min();
        let due = [fold, sender, follower, nodes, barriers];
        due.into_iter().flatten().min()
    }

    /// Whether it serves clients.
    pub fn is_ready(&self) -> bool {
        self.catches_up == CatchUp::Done
    }

    /// The next request that need not wait any more, and whether this node has folded enough for it.
    fn next_reached(&mut self, now: Timestamp) -> Option<(u64, bool)> {
        let is_reached = |barrier: &Barrier| barrier.last.is_some_and(|last| last <= self.applied);
        let mut barriers = self.barriers.iter();
        let over = barriers.find(|(_, barrier)| is_reached(barrier) || barrier.until <= now);
        let (number, barrier) = over.map(|(number, barrier)| (*number, *barrier))?;
        self.barriers.remove(&number);
        Some((barrier.asker, is_reached(&barrier)))
    }

    /// Tells the other nodes from now on that this one is alive.
    fn announce(&mut self, now: Timestamp, epoch: Epoch) {
        if let (Some(nodes), Some(life)) = (&mut self.nodes, &self.life) {
            let lease = Lease {
                node: self.name.clone(),
                life: life.clone(),
                address: None,
                load: 0,
                applied: 0,
                digest: Digest::default(),
                epoch: Some(epoch),
                is_draining: false,
                format: FORMAT,
                at_ms: 0,
            };
            nodes.announce(now, lease);
        }
    }

    /// Begins a life, once everything is folded that the stream held when this process began.
    fn begin(&mut self, now: Timestamp, store: &mut MemoryStore) {
        let Ok(last) = store.last_pack(&self.name);
        let last = last.map(|last| last.life);
        let life = Life::after(last.as_ref(), millis(now), self.rng.u64(..));
        let settings = Settings {
            epoch: Epoch::new(&format!("epoch-{}", self.name.as_str())),
            history_per_room: self.history_per_room,
        };
        let seed = self.rng.u64(..);
        let mut config = sender::Config::new(self.name.clone(), life.clone(), settings, 0, seed);
        config.in_flight = self.in_flight;
        self.sender = Some(Sender::new(config, now));
        self.life = Some(life);
        self.catches_up = CatchUp::Begins;
    }
}

impl Log {
    /// Makes this the log of one of several nodes.
    pub fn join(&mut self, member: Member) {
        self.store = MemoryStore::new();
        self.member = Some(Box::new(member));
    }

    /// The process starts: it catches up with the others.
    pub(crate) fn start(&mut self, now: Timestamp) {
        let Ok(applied) = self.store.applied();
        let Some(member) = &mut self.member else {
            return;
        };
        if member.catches_up == CatchUp::Down {
            let mut config = follower::Config::new(member.rng.u64(..));
            config.poll = member.poll;
            let stream = member.stream.clone();
            member.follower = Some(Follower::new(config, &applied, stream, now));
            member.nodes = Some(Nodes::new(nodes::Config::new(0), now));
            member.catches_up = CatchUp::Follows;
        }
    }

    /// Sends the command of an operation, which is answered once it is folded here.
    pub(super) fn send(&mut self, now: Timestamp, asker: u64, op: Op) {
        let (command, asked) = self.command(now, op);
        self.push(now, command, Some((asker, asked)));
    }

    /// Sends a redaction that no request asked for.
    pub(crate) fn send_redaction(&mut self, now: Timestamp, room: &RoomName, offset: Offset) {
        let redact = Redact {
            room: room.clone(),
            offset,
            at_ms: millis(now),
        };
        self.push(now, Command::Redact(redact), None);
    }

    /// Has all rooms trimmed for the age of a room's message at this offset.
    pub(crate) fn send_trim(&mut self, now: Timestamp, room: &RoomName, through: Offset) {
        let newest = self.messages(room).find(|m| m.offset > through);
        let before_ms = newest.map_or_else(|| millis(now), |newest| newest.at_ms);
        let trim = Trim {
            before_ms,
            after: None,
        };
        self.push(now, Command::Trim(trim), None);
    }

    /// Has a session expire.
    pub(crate) fn send_forgetting(&mut self, now: Timestamp, session: &SessionId) {
        self.touched_ms = self.touched_ms.max(millis(now));
        for command in self.forgetting(session) {
            self.push(now, command, None);
        }
    }

    fn push(&mut self, now: Timestamp, command: Command, asked: Option<(u64, Asked)>) {
        let Some(member) = &mut self.member else {
            return;
        };
        let ticket = member.next_number();
        let pushed = member
            .sender
            .as_mut()
            .map(|sender| sender.push(now, Ticket(ticket), command));
        match pushed {
            Some(Ok(())) => {
                member.tickets.insert(ticket, asked);
            }
            Some(Err(_)) | None => member.refused.extend(asked),
        }
    }

    /// The engine's sequence that was folded last; 0 for none.
    pub fn applied(&self) -> u64 {
        self.member.as_ref().map_or(0, |member| member.applied)
    }

    /// The engine's sequence up to which the store would outlive a power loss.
    pub(crate) fn kept_through(&self) -> u64 {
        self.member.as_ref().map_or(0, |member| member.kept_through)
    }

    /// The first pack that is there, if this node needs a copy from a peer.
    pub(crate) fn behind(&self) -> Option<u64> {
        self.member.as_ref()?.behind
    }

    /// Why this node stands still, the first time that it is asked.
    pub(crate) fn take_alarm(&mut self) -> Option<String> {
        self.member.as_mut()?.alarm.take()
    }

    /// Begins to wait until this node has folded what the engine holds now. `true` where that is so at once, on one
    /// node.
    pub(crate) fn reach(&mut self, now: Timestamp, asker: u64, within: Duration) -> bool {
        let Some(member) = &mut self.member else {
            return true;
        };
        let number = member.next_number();
        member.asks.push_back(Ask::Bounds(number));
        let until = now + within;
        let last = None;
        let barrier = Barrier { asker, until, last };
        member.barriers.insert(number, barrier);
        false
    }

    /// The next request that has waited enough, and whether it was long enough.
    pub(crate) fn next_reached(&mut self, now: Timestamp) -> Option<(u64, bool)> {
        self.member.as_mut()?.next_reached(now)
    }

    /// The node's name and its life, once that has begun.
    pub(crate) fn life(&self) -> Option<(NodeName, Life)> {
        let member = self.member.as_ref()?;
        Some((member.name.clone(), member.life.clone()?))
    }
}
