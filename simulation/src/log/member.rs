//! One node's part in the common log of several: its sender and its follower, as the server drives them, over the virtual
//! engine. Operations are answered once their commands are folded here.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use everbeat_log::command::{Command, Redact, Settings, Trim};
use everbeat_log::fold::{Changes, Store};
use everbeat_log::follower::{self, Fetched, Follower};
use everbeat_log::memory::MemoryStore;
use everbeat_log::nodes::{self, Lease, Nodes};
use everbeat_log::order::{Applied, Digest, PackStore, Verdict, fold_pack};
use everbeat_log::pack::{FORMAT, Life, Pack, PackId};
use everbeat_log::sender::{self, Sender, Ticket};
use fastrand::Rng;
use protocol::id::{NodeName, RoomName, SessionId};
use protocol::position::{Epoch, Offset};
use protocol::time::Timestamp;

use super::asked::{Asked, millis};
use super::{Done, Log, Op};
use crate::engine::{Ask, Found, Heard, Told};

/// The packs after which a power loss leaves the store as it was by then, at the most.
const CHECKPOINT_EVERY: u64 = 40;

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

/// A pack that a node folded, for the judge.
#[derive(Clone, Debug)]
pub(crate) struct Folded {
    pub(crate) sequence: u64,
    pub(crate) id: PackId,
    pub(crate) is_applied: bool,
    pub(crate) digest: Digest,
}

/// A copy of a node's store, for one that is too far behind.
#[derive(Clone, Debug)]
pub struct Copy {
    store: MemoryStore,
    sessions: BTreeSet<SessionId>,
    ever: super::Ever,
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

    /// The node's machine loses its power: the newest part of the store is lost with it.
    pub(crate) fn lose_power(&mut self) {
        let Ok(rooms) = self.store.rooms(None, usize::MAX);
        for room in rooms {
            let through = self.trimmed(&room);
            let before = self.trimmed_once.entry(room).or_default();
            *before = through.max(*before);
        }
        if let Some(member) = &self.member {
            self.store = member.kept.clone();
        }
        self.count();
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

    /// What was folded since.
    pub(crate) fn poll_folded(&mut self) -> Vec<Folded> {
        let member = self.member.as_mut();
        member.map_or_else(Vec::new, |member| std::mem::take(&mut member.folded))
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

    /// A copy for a peer.
    pub(crate) fn copy(&self) -> Copy {
        Copy {
            store: self.store.clone(),
            sessions: self.sessions.clone(),
            ever: self.ever.clone(),
        }
    }

    /// Why this node stands still, the first time that it is asked.
    pub(crate) fn take_alarm(&mut self) -> Option<String> {
        self.member.as_mut()?.alarm.take()
    }

    /// Takes a peer's copy instead of its own store.
    pub(crate) fn take_copy(&mut self, copy: Copy) {
        self.ever.merge(&copy.ever);
        (self.store, self.sessions) = (copy.store, copy.sessions);
        self.count();
        if let Some(member) = &mut self.member {
            (member.kept, member.kept_through) = (self.store.clone(), member.applied);
        }
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

    /// The node's name and its life, once that has begun.
    pub(crate) fn life(&self) -> Option<(NodeName, Life)> {
        let member = self.member.as_ref()?;
        Some((member.name.clone(), member.life.clone()?))
    }

    /// Folds the next pack whose time has come; and takes what the sender gave up.
    pub(super) fn fold(&mut self, now: Timestamp) -> Option<Done> {
        let is_frozen = self.is_frozen;
        let mut changes = Changes::default();
        let member = self.member.as_mut()?;
        let first = member.folding.front();
        let is_folded = first.is_some_and(|(due, ..)| *due <= now && !is_frozen);
        if is_folded && let Some((_, sequence, pack)) = member.folding.pop_front() {
            self.fold_pack(now, sequence, pack, &mut changes);
        }
        let epoch = self.epoch();
        let member = self.member.as_mut()?;
        let refused = std::mem::take(&mut member.refused).into_iter();
        let mut answers: Vec<_> = refused
            .map(|(asker, asked)| (asker, asked.unavailable()))
            .collect();
        while let Some(event) = member.sender.as_mut().and_then(Sender::poll_event) {
            let (Ticket(ticket), result) = match event {
                sender::Event::Folded { ticket, result } => (ticket, Some(result)),
                sender::Event::NotSent { ticket } => (ticket, None),
                sender::Event::Ready => {
                    member.catches_up = CatchUp::Done;
                    member.announce(now, epoch.clone());
                    continue;
                }
                sender::Event::Fenced => {
                    member.alarm = Some("fenced".to_owned());
                    continue;
                }
            };
            let awaited = member.tickets.remove(&ticket);
            let Some(awaited) = awaited else {
                panic!("the command of ticket {ticket} came to two ends: {result:?}");
            };
            let Some((asker, asked)) = awaited else {
                continue;
            };
            let answer = match result {
                Some(result) => asked.answer(result),
                None => asked.unavailable(),
            };
            answers.push((asker, answer));
        }
        (is_folded || !answers.is_empty()).then_some(Done { changes, answers })
    }

    /// The places of commands of sessions that were opened again since (RS-4).
    fn earlier(&mut self, pack: &Pack) -> Vec<usize> {
        let mut is_earlier = |command: &Command| {
            let (session, generation) = match command {
                Command::Append(new) => (&new.session, new.generation),
                Command::Refuse(new) => (&new.session, new.generation),
                _ => return false,
            };
            self.generation(session)
                .is_some_and(|newest| newest > generation)
        };
        let commands = pack.commands.iter().enumerate();
        let earlier = commands.filter(|(_, command)| is_earlier(command));
        earlier.map(|(index, _)| index).collect()
    }

    /// Reads in the store how far it is.
    fn count(&mut self) {
        let Ok(applied) = self.store.applied();
        if let Some(member) = &mut self.member {
            member.applied = applied.sequence;
        }
    }

    fn fold_pack(&mut self, now: Timestamp, sequence: u64, pack: Pack, changes: &mut Changes) {
        let id = pack.id();
        let earlier = self.earlier(&pack);
        let verdict = fold_pack(&mut self.store, sequence, pack, changes).unwrap();
        if let Verdict::Applied(results) = &verdict {
            let is_done = |index: usize| results.get(index).is_some_and(Result::is_ok);
            let done = earlier.into_iter().find(|index| is_done(*index));
            assert_eq!(
                done, None,
                "RS-4: an earlier opening still writes: {results:?}"
            );
        }
        let epoch = self.epoch();
        self.ever.learn(&epoch, changes);
        let opened = changes.opened.iter().map(|(session, _)| session.clone());
        self.sessions.extend(opened);
        let Ok(Applied { digest, .. }) = self.store.applied();
        if let Some(member) = &mut self.member {
            member.applied = sequence;
            member.folded.push(Folded {
                sequence,
                id: id.clone(),
                is_applied: matches!(verdict, Verdict::Applied(_)),
                digest,
            });
            if sequence.is_multiple_of(CHECKPOINT_EVERY) {
                (member.kept, member.kept_through) = (self.store.clone(), sequence);
            }
            if let Some(follower) = &mut member.follower {
                follower.applied(now, sequence);
            }
            if let Some(nodes) = &mut member.nodes {
                nodes.applied(now, sequence, digest);
            }
            if let Some(sender) = &mut member.sender {
                sender.folded(now, &id, verdict);
            }
        }
    }
}

fn fetched(found: &Found) -> Fetched<'_> {
    match found {
        Found::Pack(pack) => Fetched::Found(pack),
        Found::Missing => Fetched::Missing,
        Found::Failed => Fetched::Failed,
    }
}
