//! A replicated stream with its faults, on a virtual clock.

use std::collections::BTreeMap;

use everbeat_log::follower::{Bounds, Source};
use fastrand::Rng;

/// What reaches a node, at its time.
#[derive(Clone, Debug)]
pub(crate) enum Arrival {
    Live(u64, Vec<u8>),
    /// `None` for no answer from that server.
    Fetched(u64, Source, Option<Option<Vec<u8>>>),
    Replaced(u64, Option<Option<Vec<u8>>>),
    Bounds(Option<Bounds>),
    Stored {
        number: u64,
        sequence: u64,
    },
    Failed {
        number: u64,
    },
}

/// What happens later.
#[derive(Clone, Debug)]
enum Later {
    Arrive { process: usize, arrival: Arrival },
    Store { pack: Vec<u8> },
}

struct Slot {
    pack: Option<Vec<u8>>,
    /// When a server that lags has it.
    everywhere_ms: u64,
}

pub(crate) struct Engine {
    pub(crate) rng: Rng,
    pub(crate) now_ms: u64,
    /// Faults end at this time.
    pub(crate) calm_ms: u64,
    /// There is no leader until this time.
    pub(crate) election_ms: u64,
    /// Up to which process packs are delivered live.
    pub(crate) processes: usize,
    slots: Vec<Slot>,
    /// With the time when they are found.
    replacements: BTreeMap<u64, (u64, Vec<u8>)>,
    later: BTreeMap<(u64, u64), Later>,
    count: u64,
    /// How often each fault happened.
    pub(crate) faults: BTreeMap<&'static str, u64>,
}

impl Engine {
    pub(crate) fn new(seed: u64, calm_ms: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            now_ms: 0,
            calm_ms,
            election_ms: 0,
            processes: 0,
            slots: Vec::new(),
            replacements: BTreeMap::new(),
            later: BTreeMap::new(),
            count: 0,
            faults: BTreeMap::new(),
        }
    }

    /// The last sequence.
    pub(crate) fn last(&self) -> u64 {
        self.slots.len() as u64
    }

    pub(crate) fn next_ms(&self) -> Option<u64> {
        self.later.keys().next().map(|(ms, _)| *ms)
    }

    /// What arrives now, if anything.
    pub(crate) fn poll(&mut self) -> Option<(usize, Arrival)> {
        loop {
            let entry = self.later.first_entry()?;
            if entry.key().0 > self.now_ms {
                return None;
            }
            match entry.remove() {
                Later::Arrive { process, arrival } => return Some((process, arrival)),
                Later::Store { pack } => {
                    self.store(pack);
                }
            }
        }
    }

    pub(crate) fn publish(&mut self, process: usize, number: u64, pack: &[u8]) {
        let failed = Arrival::Failed { number };
        if self.is_leaderless() {
            if self.rng.bool() {
                self.arrive(process, 2, failed);
            }
            return;
        }
        if self.fault("publish lost", 6) {
            if self.rng.bool() {
                self.arrive(process, 2000, failed);
            }
            return;
        }
        if self.fault("publish delayed", 6) {
            let delay = self.rng.u64(100..6000);
            let pack = pack.to_owned();
            self.later(delay, Later::Store { pack });
            self.arrive(process, 100, failed);
            return;
        }
        let sequence = self.store(pack.to_owned());
        if self.fault("stored twice", 10) {
            self.store(pack.to_owned());
        }
        if self.fault("ack lost", 6) {
            if self.rng.bool() {
                self.arrive(process, 1000, failed);
            }
            return;
        }
        self.arrive(process, 20, Arrival::Stored { number, sequence });
    }

    pub(crate) fn fetch(&mut self, process: usize, sequence: u64, source: Source) {
        if source == Source::Leader && self.is_leaderless() || self.fault("fetch failed", 10) {
            return self.arrive(process, 50, Arrival::Fetched(sequence, source, None));
        }
        if self.fault("fetch unanswered", 40) {
            return;
        }
        let slot = self.slots.get(sequence as usize - 1);
        let is_there = |slot: &&Slot| source == Source::Leader || slot.everywhere_ms <= self.now_ms;
        let found = slot.filter(is_there).and_then(|slot| slot.pack.clone());
        self.arrive(process, 20, Arrival::Fetched(sequence, source, Some(found)));
    }

    pub(crate) fn replacement(&mut self, process: usize, sequence: u64) {
        let is_lost = self.is_leaderless() || self.fault("fetch failed", 10);
        let found = self.replacements.get(&sequence);
        let found = found.filter(|(from_ms, _)| *from_ms <= self.now_ms);
        let found = found.map(|(_, pack)| pack.clone());
        let found = (!is_lost).then_some(found);
        self.arrive(process, 20, Arrival::Replaced(sequence, found));
    }

    pub(crate) fn bounds(&mut self, process: usize) {
        if self.is_leaderless() {
            if self.rng.bool() {
                self.arrive(process, 5, Arrival::Bounds(None));
            }
            return;
        }
        let first = self.slots.iter().position(|slot| slot.pack.is_some());
        let bounds = Bounds {
            first: first.map_or_else(|| self.last() + 1, |index| index as u64 + 1),
            last: self.last(),
            id: "stream".to_owned(),
        };
        self.arrive(process, 20, Arrival::Bounds(Some(bounds)));
    }

    /// The sequences of all packs that hold this text, where they are stored.
    pub(crate) fn find(&self, text: &str) -> Vec<(u64, Vec<u8>)> {
        let sequences = 1..;
        let holds = |pack: &[u8]| String::from_utf8_lossy(pack).contains(text);
        let found = sequences.zip(&self.slots).filter_map(|(sequence, slot)| {
            let pack = slot.pack.clone().filter(|pack| holds(pack))?;
            Some((sequence, pack))
        });
        found.collect()
    }

    pub(crate) fn erase(&mut self, sequence: u64, replacement: Vec<u8>) {
        *self.faults.entry("erased").or_default() += 1;
        let lag = if self.fault("replacement lags", 2) {
            self.rng.u64(0..1500)
        } else {
            0
        };
        self.replacements
            .insert(sequence, (self.now_ms + lag, replacement));
        self.slots[sequence as usize - 1].pack = None;
    }

    /// A fault that happens once in so many times.
    pub(crate) fn fault(&mut self, name: &'static str, one_in: u64) -> bool {
        let happens = self.now_ms < self.calm_ms && self.rng.u64(0..one_in) == 0;
        if happens {
            *self.faults.entry(name).or_default() += 1;
        }
        happens
    }

    fn is_leaderless(&self) -> bool {
        self.now_ms < self.election_ms
    }

    fn store(&mut self, pack: Vec<u8>) -> u64 {
        let lag = if self.fault("server lags", 4) {
            self.rng.u64(0..3000)
        } else {
            0
        };
        self.slots.push(Slot {
            pack: Some(pack.clone()),
            everywhere_ms: self.now_ms + lag,
        });
        let sequence = self.last();
        for process in 0..self.processes {
            if self.fault("live lost", 8) {
                continue;
            }
            let delay = if self.fault("live delayed", 20) {
                3000
            } else {
                10
            };
            self.arrive(process, delay, Arrival::Live(sequence, pack.clone()));
            if self.fault("live doubled", 20) {
                self.arrive(process, 500, Arrival::Live(sequence, pack.clone()));
            }
        }
        sequence
    }

    fn arrive(&mut self, process: usize, most_ms: u64, arrival: Arrival) {
        let delay = self.rng.u64(0..=most_ms);
        self.later(delay, Later::Arrive { process, arrival });
    }

    fn later(&mut self, delay: u64, later: Later) {
        self.count += 1;
        self.later.insert((self.now_ms + delay, self.count), later);
    }
}
