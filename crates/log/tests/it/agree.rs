//! All commands of all nodes are folded exactly once, those of a node in order, and all nodes come to the same.

use std::collections::BTreeMap;

use everbeat_log::order::PackStore;
use everbeat_log::pack::Pack;
use protocol::id::{NodeName, Seq, SessionId};
use protocol::time::Timestamp;

use crate::engine::Engine;
use crate::node::{Judge, Process};

const NODES: usize = 3;
const CALM_MS: u64 = 25_000;
const END_MS: u64 = 70_000;

struct World {
    engine: Engine,
    judge: Judge,
    processes: Vec<Process>,
    next_wish_ms: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut engine = Engine::new(seed, CALM_MS);
        let names = (0..NODES).map(|at| NodeName::new(&format!("n{at}")).unwrap());
        let new = |(index, name)| Process::new(index, &name, Default::default(), 0);
        let processes: Vec<_> = names.enumerate().map(new).collect();
        engine.processes = processes.len();
        Self {
            engine,
            judge: Judge::default(),
            processes,
            next_wish_ms: 0,
        }
    }

    /// Runs to the end, and judges; how many messages there are.
    fn run(&mut self) -> usize {
        while self.engine.now_ms < END_MS {
            self.step();
        }
        self.judge()
    }

    fn step(&mut self) {
        let timers = self.alive().filter_map(|process| process.next());
        let timers =
            timers.map(|at| u64::try_from(at.since_origin().as_nanos().div_ceil(1_000_000)));
        let timer = timers.map(|ms| ms.unwrap()).min();
        let wish = (self.next_wish_ms < CALM_MS).then_some(self.next_wish_ms);
        let next = [timer, wish, self.engine.next_ms()];
        let next = next.into_iter().flatten().min().unwrap_or(END_MS);
        self.engine.now_ms = self.engine.now_ms.max(next);
        let now = Timestamp::from_millis(self.engine.now_ms);
        while let Some((index, arrival)) = self.engine.poll() {
            let process = &mut self.processes[index];
            if !process.is_fenced && self.engine.now_ms >= process.cut_ms {
                process.handle(now, &arrival);
            }
            // Some drivers drain after each fact, others after many.
            if self.engine.rng.bool() {
                self.drain(index, now);
            }
        }
        for process in &mut self.processes {
            process.handle_timeout(now);
        }
        if wish.is_some_and(|ms| ms <= self.engine.now_ms) {
            self.wish(now);
        }
        for index in 0..self.processes.len() {
            self.drain(index, now);
        }
    }

    fn drain(&mut self, index: usize, now: Timestamp) {
        let process = &mut self.processes[index];
        if process.is_fenced {
            return;
        }
        process.drain(now, &mut self.engine, &mut self.judge);
        for text in std::mem::take(&mut process.to_erase) {
            self.erase(&text);
        }
    }

    /// Someone asks for something, or something breaks.
    fn wish(&mut self, now: Timestamp) {
        let engine = &mut self.engine;
        self.next_wish_ms = engine.now_ms + engine.rng.u64(0..200);
        let index = engine.rng.usize(0..self.processes.len());
        let process = &mut self.processes[index];
        for _ in 0..engine.rng.u8(0..4) {
            if !process.is_fenced {
                process.wish(now, engine);
            }
        }
        if engine.fault("election", 80) {
            engine.election_ms = engine.now_ms + engine.rng.u64(4000..9000);
        }
        if engine.fault("node cut off", 60) {
            process.cut_ms = engine.now_ms + engine.rng.u64(100..8000);
        }
        if !process.is_fenced && self.engine.fault("started again", 40) {
            self.start_again(index);
        }
    }

    /// A new process of a node, with what a crash left; the old one may go on, as one does that was frozen.
    fn start_again(&mut self, old: usize) {
        let index = self.processes.len();
        let old = &mut self.processes[old];
        if self.engine.fault("crashed", 2) {
            old.is_fenced = true;
        }
        let mut store = old.saved.clone();
        if self.engine.fault("data deleted", 3) {
            store = Default::default();
        }
        let new = Process::new(index, &old.name, store, self.engine.now_ms);
        self.processes.push(new);
        self.engine.processes = index + 1;
    }

    fn erase(&mut self, text: &str) {
        for (sequence, pack) in self.engine.find(text) {
            let mut pack = Pack::decode(&pack).unwrap();
            let name = text.trim_start_matches("text of ").trim_end_matches('.');
            assert!(pack.erase(&SessionId::new(name).unwrap(), Seq::FIRST));
            self.engine.erase(sequence, pack.encode().unwrap());
        }
    }

    fn alive(&self) -> impl Iterator<Item = &Process> {
        self.processes.iter().filter(|process| !process.is_fenced)
    }

    /// How many messages there are.
    fn judge(&mut self) -> usize {
        let last = self.engine.last();
        let mut alive = std::mem::take(&mut self.processes);
        alive.retain(|process| !process.is_fenced);
        assert_eq!(alive.len(), NODES, "one process for each node goes on");
        for process in &mut alive {
            assert_eq!(process.store.applied().unwrap().sequence, last);
            assert!(process.follower.is_caught_up());
            assert_eq!(process.wishes, BTreeMap::new(), "all is answered");
            assert!(process.epoch().is_some());
        }
        for process in &alive[1..] {
            assert_eq!(process.store, alive[0].store);
        }
        self.judge_packs();
        let mut sessions = BTreeMap::new();
        for process in &alive {
            let mut before = BTreeMap::new();
            for message in alive[0].messages(&process.name) {
                let id = message.session.as_str().to_owned();
                let mut parts = id
                    .split('-')
                    .skip(1)
                    .map(|part| part.parse::<u64>().unwrap());
                let (index, ticket) = (parts.next().unwrap(), parts.next().unwrap());
                let before = before.insert(index, ticket);
                assert!(before < Some(ticket), "{id} after {before:?}");
                sessions.insert(message.session, ());
            }
        }
        for (session, is_there) in &self.judge.answers {
            assert_eq!(sessions.contains_key(session), *is_there, "{session}");
        }
        sessions.len()
    }

    /// Each number of a life once, in order, and each life after the one before it.
    fn judge_packs(&self) {
        let mut last = BTreeMap::new();
        for id in self.judge.applied.values() {
            let next = (id.life.clone(), id.number);
            if let Some((life, number)) = last.insert(id.node.clone(), next) {
                let is_next = if life == id.life {
                    id.number == number + 1
                } else {
                    life < id.life && id.number == 1
                };
                assert!(is_next, "{id:?} after {life:?} {number}");
            } else {
                assert_eq!(id.number, 1);
            }
        }
    }
}

#[test]
fn all_nodes_fold_all_commands_once_and_come_to_the_same() {
    let (mut faults, mut messages) = (BTreeMap::new(), 0);
    let seeds: u64 = std::env::var("SEEDS").map_or(60, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        let mut world = World::new(seed);
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.run()));
        match run {
            Ok(count) => messages += count,
            Err(_) => panic!("seed {seed} at {} ms", world.engine.now_ms),
        }
        for (fault, count) in world.engine.faults {
            *faults.entry(fault).or_insert(0) += count;
        }
    }
    // Each fault happened, and so did most of what was asked for, or this says little.
    assert_eq!(faults.len(), 17, "{faults:?}");
    assert!(messages > 50 * seeds as usize, "{messages}");
}
