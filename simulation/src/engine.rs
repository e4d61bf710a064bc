//! The virtual engine: one stream of packs in one order, and what befalls a real one. Packs are stored and their acks
//! lost, or lost, or stored late; what is delivered as it is stored comes late, twice or never; a server that lags
//! knows no new packs; in an election nothing is answered; a node is cut off; old packs are dropped, erased ones
//! leave holes; and, in the runs that are to raise the alarm, the newest packs are gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use everbeat_log::follower::{Bounds, Source};
use fastrand::Rng;
use protocol::id::RoomName;
use protocol::time::Timestamp;

/// How long a node waits for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// A request of a node.
#[derive(Clone, Debug)]
pub enum Ask {
    /// Store this pack, which has this number at its node.
    Publish(u64, Arc<[u8]>),
    /// The pack of this sequence, of the leader or of any server.
    Fetch(u64, Source),
    /// The first and the last sequence. The answer has this number.
    Bounds(u64),
    /// What replaces the erased pack of this sequence.
    Replacement(u64),
}

/// What a node hears from the engine.
#[derive(Clone, Debug)]
pub enum Heard {
    /// The pack of this number is stored, under this sequence.
    Stored(u64, u64),
    /// Whether the pack of this number is stored is not known.
    Failed(u64),
    /// A pack as it was stored.
    Live(u64, Arc<[u8]>),
    /// The answer to [`Ask::Fetch`].
    Fetched(u64, Source, Found),
    /// The answer to the [`Ask::Bounds`] of this number; `None` where no server answered.
    Bounds(u64, Option<Bounds>),
    /// The answer to [`Ask::Replacement`].
    Replacement(u64, Found),
    /// What a node tells the others.
    Told(Told),
}

/// What was found of a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// This.
    Pack(Arc<[u8]>),
    /// It is not there.
    Missing,
    /// No server answered in time.
    Failed,
}

/// What nodes tell each other and nothing keeps.
#[derive(Clone, Debug)]
pub enum Told {
    /// A lease.
    Lease(Vec<u8>),
    /// Presence of a room.
    Room(RoomName, Vec<u8>),
}

/// How often each thing goes wrong, of 100.
#[derive(Clone, Copy, Debug, Default)]
pub struct Odds {
    /// A publish gets lost on its way.
    pub lost: u8,
    /// A pack is stored, and its ack lost.
    pub ack_lost: u8,
    /// A publish arrives late, after later ones.
    pub late: u8,
    /// A live delivery does not come.
    pub dropped: u8,
    /// It comes twice.
    pub doubled: u8,
    /// It comes late, after its fill.
    pub slow: u8,
}

#[derive(Debug)]
enum Due {
    /// A request reaches the engine. Its answer is lost if it is mute.
    Arrives {
        ask: Ask,
        is_mute: bool,
    },
    Heard(Heard),
}

/// The engine, and the way to it.
#[derive(Debug)]
pub struct Engine {
    /// How often each thing goes wrong.
    pub odds: Odds,
    /// How long anything takes one way, at the least.
    pub latency: Duration,
    rng: Rng,
    /// The packs from sequence 1 on; `None` where one was erased.
    packs: Vec<Option<Arc<[u8]>>>,
    /// The first sequence that is kept.
    first: u64,
    replacements: BTreeMap<u64, Arc<[u8]>>,
    /// Nothing is stored, and no leader answers.
    is_electing: bool,
    /// Up to here a server that lags knows packs.
    lags_behind: Option<u64>,
    /// The nodes that do not reach the engine.
    cut_off: BTreeSet<usize>,
    /// The process of each node: what an earlier one waited for comes to nothing.
    lives: Vec<u64>,
    /// What is on its way, by the time of its arrival: from or to which process of which node.
    on_its_way: BTreeMap<(Timestamp, u64), (usize, u64, Due)>,
    numbered: u64,
}

impl Engine {
    /// An empty engine for so many nodes.
    pub fn new(nodes: usize, seed: u64) -> Self {
        Self {
            odds: Odds::default(),
            latency: Duration::from_millis(1),
            rng: Rng::with_seed(seed),
            packs: Vec::new(),
            first: 1,
            replacements: BTreeMap::new(),
            is_electing: false,
            lags_behind: None,
            cut_off: BTreeSet::new(),
            lives: vec![0; nodes],
            on_its_way: BTreeMap::new(),
            numbered: 0,
        }
    }

    /// A node asks for something.
    pub fn ask(&mut self, now: Timestamp, node: usize, ask: Ask) {
        let is_publish = matches!(ask, Ask::Publish(..));
        let mut is_mute = is_publish && self.happens(self.odds.ack_lost);
        let mut takes = self.one_way();
        if is_publish && self.happens(self.odds.late) {
            takes += Duration::from_millis(self.rng.u64(500..8_000));
            is_mute = true;
        }
        let is_lost = is_publish && self.happens(self.odds.lost);
        if is_mute || is_lost || self.cut_off.contains(&node) {
            let failed = failed(&ask);
            self.schedule(now + ANSWER_TIMEOUT, node, Due::Heard(failed));
        }
        if !is_lost && !self.cut_off.contains(&node) {
            if !is_publish {
                // It changes nothing, so it may as well arrive when its answer does.
                takes += self.one_way();
            }
            self.schedule(now + takes, node, Due::Arrives { ask, is_mute });
        }
    }

    /// A node tells all others.
    pub fn tell(&mut self, now: Timestamp, node: usize, told: &Told) {
        if self.cut_off.contains(&node) {
            return;
        }
        for other in (0..self.lives.len()).filter(|other| *other != node) {
            self.deliver(now, other, &Heard::Told(told.clone()));
        }
    }

    /// The next thing that a node hears by now.
    pub fn next(&mut self, now: Timestamp) -> Option<(usize, Heard)> {
        while let Some(entry) = self.on_its_way.first_entry().filter(|e| e.key().0 <= now) {
            let (node, life, due) = entry.remove();
            match due {
                // What a process sent before it died may arrive.
                Due::Arrives { ask, is_mute } => {
                    let is_publish = matches!(ask, Ask::Publish(..));
                    let answer = self.answer(now, ask);
                    if is_mute || self.lives[node] != life {
                        continue;
                    }
                    let takes = if is_publish {
                        self.one_way()
                    } else {
                        Duration::ZERO
                    };
                    self.schedule(now + takes, node, Due::Heard(answer));
                }
                Due::Heard(heard) => {
                    let is_failure = matches!(
                        heard,
                        Heard::Failed(_)
                            | Heard::Bounds(_, None)
                            | Heard::Fetched(.., Found::Failed)
                            | Heard::Replacement(_, Found::Failed)
                    );
                    if self.lives[node] != life {
                        continue;
                    }
                    if self.cut_off.contains(&node) && !is_failure {
                        // An answer that does not come is missed later.
                        if let Some(missed) = missed(&heard) {
                            self.schedule(now + ANSWER_TIMEOUT, node, Due::Heard(missed));
                        }
                        continue;
                    }
                    return Some((node, heard));
                }
            }
        }
        None
    }

    /// When something arrives.
    pub fn due(&self) -> Option<Timestamp> {
        self.on_its_way.keys().next().map(|(at, _)| *at)
    }

    /// A node's process died: it hears nothing of what it asked for.
    pub fn died(&mut self, node: usize) {
        self.lives[node] += 1;
    }

    /// An election begins, or is over.
    pub const fn elect(&mut self, is_electing: bool) {
        self.is_electing = is_electing;
    }

    /// A server knows no new packs for a while, or has caught up.
    pub const fn lag(&mut self, is_lagging: bool) {
        self.lags_behind = if is_lagging { Some(self.last()) } else { None };
    }

    /// A node is cut off, or reaches the engine again.
    pub fn cut(&mut self, node: usize, is_cut: bool) {
        if is_cut {
            self.cut_off.insert(node);
        } else {
            self.cut_off.remove(&node);
        }
    }

    /// The last sequence; 0 for none.
    pub const fn last(&self) -> u64 {
        self.packs.len() as u64
    }

    /// The first sequence that is there.
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// The pack of a sequence, where it is there and not erased.
    pub fn pack(&self, sequence: u64) -> Option<Arc<[u8]>> {
        let index = usize::try_from(sequence.checked_sub(1)?).ok()?;
        let pack = self.packs.get(index).filter(|_| sequence >= self.first)?;
        pack.clone()
    }

    /// Drops the packs before this sequence.
    pub fn trim(&mut self, first: u64) {
        self.first = self.first.max(first).min(self.last() + 1);
        self.replacements = self.replacements.split_off(&self.first);
    }

    /// Puts a pack in the place of another one, which is erased.
    pub fn erase(&mut self, sequence: u64, replacement: Arc<[u8]>) {
        let index = usize::try_from(sequence.saturating_sub(1)).unwrap_or(usize::MAX);
        if let Some(pack) = self.packs.get_mut(index) {
            *pack = None;
            self.replacements.insert(sequence, replacement);
        }
    }

    /// The newest packs are gone, though they were acked; their sequences are given again.
    pub fn lose(&mut self, count: usize) {
        let kept = self.packs.len().saturating_sub(count);
        self.packs.truncate(kept);
    }

    fn answer(&mut self, now: Timestamp, ask: Ask) -> Heard {
        match ask {
            Ask::Publish(number, _) if self.is_electing => Heard::Failed(number),
            Ask::Publish(number, bytes) => {
                self.packs.push(Some(bytes.clone()));
                let live = Heard::Live(self.last(), bytes);
                for node in 0..self.lives.len() {
                    self.deliver(now, node, &live);
                }
                Heard::Stored(number, self.last())
            }
            Ask::Fetch(sequence, Source::Leader) if self.is_electing => {
                Heard::Fetched(sequence, Source::Leader, Found::Failed)
            }
            Ask::Fetch(sequence, source) => {
                let is_known = self.lags_behind.is_none_or(|through| sequence <= through);
                let pack = self.pack(sequence);
                let pack = pack.filter(|_| is_known || source == Source::Leader);
                let found = pack.map_or(Found::Missing, Found::Pack);
                Heard::Fetched(sequence, source, found)
            }
            Ask::Bounds(number) => {
                let bounds = Bounds {
                    first: self.first,
                    last: self.last(),
                    id: "stream".to_owned(),
                };
                Heard::Bounds(number, (!self.is_electing).then_some(bounds))
            }
            Ask::Replacement(sequence) if self.is_electing => {
                Heard::Replacement(sequence, Found::Failed)
            }
            Ask::Replacement(sequence) => {
                let found = self.replacements.get(&sequence);
                let found = found.map_or(Found::Missing, |pack| Found::Pack(pack.clone()));
                Heard::Replacement(sequence, found)
            }
        }
    }

    /// Delivers something to a node, as likely as not.
    fn deliver(&mut self, now: Timestamp, node: usize, heard: &Heard) {
        if self.happens(self.odds.dropped) {
            return;
        }
        let copies = 1 + u8::from(self.happens(self.odds.doubled));
        for _ in 0..copies {
            let mut takes = self.one_way();
            if self.happens(self.odds.slow) {
                takes += Duration::from_millis(self.rng.u64(1..2_000));
            }
            self.schedule(now + takes, node, Due::Heard(heard.clone()));
        }
    }

    fn schedule(&mut self, at: Timestamp, node: usize, due: Due) {
        self.numbered += 1;
        let life = self.lives[node];
        self.on_its_way
            .insert((at, self.numbered), (node, life, due));
    }

    fn one_way(&mut self) -> Duration {
        self.latency.mul_f64(1.0 + 3.0 * self.rng.f64())
    }

    fn happens(&mut self, odds: u8) -> bool {
        odds > 0 && self.rng.u8(..100) < odds
    }
}

/// A request that no server answers.
fn failed(ask: &Ask) -> Heard {
    match ask {
        Ask::Publish(number, _) => Heard::Failed(*number),
        Ask::Fetch(sequence, source) => Heard::Fetched(*sequence, *source, Found::Failed),
        Ask::Bounds(number) => Heard::Bounds(*number, None),
        Ask::Replacement(sequence) => Heard::Replacement(*sequence, Found::Failed),
    }
}

/// What a node finds out instead of an answer that is lost; `None` where it awaits none.
fn missed(heard: &Heard) -> Option<Heard> {
    match heard {
        Heard::Stored(number, _) => Some(Heard::Failed(*number)),
        Heard::Fetched(sequence, source, _) => {
            Some(Heard::Fetched(*sequence, *source, Found::Failed))
        }
        Heard::Bounds(number, _) => Some(Heard::Bounds(*number, None)),
        Heard::Replacement(sequence, _) => Some(Heard::Replacement(*sequence, Found::Failed)),
        Heard::Failed(_) | Heard::Live(..) | Heard::Told(_) => None,
    }
}
