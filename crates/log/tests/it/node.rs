//! A process of a node: a driver of the machines that a test can stop, freeze and start again.

use std::collections::BTreeMap;

use everbeat_log::command::{Command, Outcome, Post, Redact, Settings};
use everbeat_log::fold::{Changes, Store};
use everbeat_log::follower::{self, Fetched, Follower};
use everbeat_log::memory::MemoryStore;
use everbeat_log::order::{Digest, PackStore, Verdict, fold_pack};
use everbeat_log::pack::{Life, Pack, PackId};
use everbeat_log::sender::{self, Sender, Ticket};
use protocol::frame::Message;
use protocol::id::{Name, NodeName, RoomName, SessionId};
use protocol::position::Epoch;
use protocol::server::{Posted, Redaction};
use protocol::time::Timestamp;

use crate::engine::{Arrival, Engine};

fn answer(found: &Option<Option<Vec<u8>>>) -> Fetched<'_> {
    match found {
        Some(Some(pack)) => Fetched::Found(pack),
        Some(None) => Fetched::Missing,
        None => Fetched::Failed,
    }
}

/// What a node asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// A post; its session is the proof that it is this one.
    Post(SessionId),
    /// A redaction of the message with this text.
    Redact(String),
}

/// What all processes saw: each sequence has one digest and one verdict.
#[derive(Default)]
pub(crate) struct Judge {
    digests: BTreeMap<u64, Digest>,
    /// The packs that were applied, by sequence.
    pub(crate) applied: BTreeMap<u64, PackId>,
    /// The posts that were answered: whether they are in the log.
    pub(crate) answers: BTreeMap<SessionId, bool>,
}

pub(crate) struct Process {
    pub(crate) index: usize,
    pub(crate) name: NodeName,
    pub(crate) store: MemoryStore,
    /// What a crash leaves.
    pub(crate) saved: MemoryStore,
    pub(crate) follower: Follower,
    pub(crate) sender: Option<Sender>,
    pub(crate) wishes: BTreeMap<Ticket, Wish>,
    pub(crate) is_fenced: bool,
    /// Nothing comes and goes until this time.
    pub(crate) cut_ms: u64,
    tickets: u64,
    began_ms: u64,
    /// Texts that were redacted, and are to be erased from the stream.
    pub(crate) to_erase: Vec<String>,
}

impl Process {
    pub(crate) fn new(index: usize, name: &NodeName, mut store: MemoryStore, now_ms: u64) -> Self {
        let applied = store.applied().unwrap();
        let config = follower::Config::new(now_ms + index as u64);
        let follower = Follower::new(config, &applied, None, Timestamp::from_millis(now_ms));
        Self {
            index,
            name: name.clone(),
            saved: store.clone(),
            store,
            follower,
            sender: None,
            wishes: BTreeMap::new(),
            is_fenced: false,
            cut_ms: 0,
            tickets: 0,
            began_ms: now_ms,
            to_erase: Vec::new(),
        }
    }

    pub(crate) fn next(&self) -> Option<Timestamp> {
        let sender = self.sender.as_ref().and_then(Sender::poll_timeout);
        self.follower.poll_timeout().into_iter().chain(sender).min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Timestamp) {
        self.follower.handle_timeout(now);
        if let Some(sender) = &mut self.sender {
            sender.handle_timeout(now);
        }
    }

    pub(crate) fn handle(&mut self, now: Timestamp, arrival: &Arrival) {
        match arrival {
            Arrival::Live(sequence, pack) => self.follower.live(now, *sequence, pack),
            Arrival::Fetched(sequence, source, found) => {
                self.follower
                    .fetched(now, *sequence, *source, answer(found));
            }
            Arrival::Replaced(sequence, found) => {
                self.follower.replaced(now, *sequence, answer(found));
            }
            Arrival::Bounds(bounds) => self.follower.bounds(now, bounds.clone()),
            Arrival::Stored { number, sequence } => {
                self.follower.stored(now, *sequence);
                if let Some(sender) = &mut self.sender {
                    sender.stored(now, *number);
                }
            }
            Arrival::Failed { number } => {
                if let Some(sender) = &mut self.sender {
                    sender.failed(now, *number);
                }
            }
        }
    }

    /// Posts a message, or redacts one.
    pub(crate) fn wish(&mut self, now: Timestamp, engine: &mut Engine) {
        let Some(sender) = &mut self.sender else {
            return;
        };
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let room = RoomName::new(self.name.as_str()).unwrap();
        let old = self.store.messages(&room).find(|old| !old.removed);
        let (wish, command) = if let Some(old) = old.filter(|_| engine.rng.u8(0..10) == 0) {
            let redact = Redact {
                room: old.room.clone(),
                offset: old.offset,
                at_ms: engine.now_ms,
            };
            (Wish::Redact(old.body.clone()), Command::Redact(redact))
        } else {
            let text = format!("{}-{}-{}", self.name, self.index, self.tickets);
            let mut key = [0; 32];
            key[..text.len()].copy_from_slice(text.as_bytes());
            let session = SessionId::new(&text).unwrap();
            let post = Post {
                key,
                session: session.clone(),
                room,
                name: Name::tidy("Ada"),
                body: format!("text of {text}."),
                at_ms: engine.now_ms,
                erased: None,
            };
            (Wish::Post(session), Command::Post(post))
        };
        sender.push(now, ticket, command).unwrap();
        self.wishes.insert(ticket, wish);
    }

    /// Does what the machines want.
    pub(crate) fn drain(&mut self, now: Timestamp, engine: &mut Engine, judge: &mut Judge) {
        let is_cut = engine.now_ms < self.cut_ms;
        while let Some(transmit) = self.follower.poll_transmit() {
            match transmit {
                follower::Transmit::Apply { sequence, pack } => {
                    self.fold(now, sequence, pack, judge);
                }
                _ if is_cut => {}
                follower::Transmit::Fetch { sequence, source } => {
                    engine.fetch(self.index, sequence, source);
                }
                follower::Transmit::FetchReplacement { sequence } => {
                    engine.replacement(self.index, sequence);
                }
                follower::Transmit::AskBounds => engine.bounds(self.index),
            }
        }
        while let Some(event) = self.follower.poll_event() {
            // A hole is reported while its replacement is late.
            use follower::Event::{Attached, Hole};
            assert!(matches!(event, Attached { .. } | Hole { .. }), "{event:?}");
        }
        if self.sender.is_none() && self.follower.is_caught_up() {
            self.start_sender(now, engine);
        }
        let Some(sender) = &mut self.sender else {
            return;
        };
        while let Some(sender::Transmit::Publish { number, pack }) = sender.poll_transmit() {
            if !is_cut {
                engine.publish(self.index, number, &pack);
            }
        }
        while let Some(event) = self.sender.as_mut().and_then(Sender::poll_event) {
            self.report(event, judge);
        }
    }

    fn start_sender(&mut self, now: Timestamp, engine: &mut Engine) {
        let last = self.store.last_pack(&self.name).unwrap();
        let last = last.map(|last| last.life);
        let life = Life::after(last.as_ref(), self.began_ms, engine.rng.u64(..));
        let settings = Settings {
            epoch: Epoch::new(&format!("founded by {}", self.name)),
            history_per_room: 1_000_000,
        };
        let seed = engine.rng.u64(..);
        let config = sender::Config {
            in_flight: engine.rng.usize(1..4),
            ..sender::Config::new(self.name.clone(), life, settings, 0, seed)
        };
        self.sender = Some(Sender::new(config, now));
    }

    fn fold(&mut self, now: Timestamp, sequence: u64, pack: Pack, judge: &mut Judge) {
        let id = pack.id();
        let verdict = fold_pack(&mut self.store, sequence, pack, &mut Changes::default());
        let verdict = verdict.expect("packs come in order");
        let digest = self.store.applied().unwrap().digest;
        let known = judge.digests.entry(sequence).or_insert(digest);
        assert_eq!(*known, digest, "the digest at {sequence}");
        if let Verdict::Applied(results) = &verdict {
            judge.applied.insert(sequence, id.clone());
            for result in results {
                let outcome = result.as_ref().expect("no command is refused");
                if let Outcome::Posted(Posted { is_repeat, .. }) = outcome {
                    assert!(!is_repeat, "a command was folded twice");
                }
            }
        }
        if sequence.is_multiple_of(7) {
            self.saved = self.store.clone();
        }
        self.follower.applied(now, sequence);
        if let Some(sender) = &mut self.sender {
            sender.folded(now, &id, verdict);
        }
    }

    fn report(&mut self, event: sender::Event, judge: &mut Judge) {
        match event {
            sender::Event::Ready => {}
            sender::Event::Fenced => self.is_fenced = true,
            sender::Event::NotSent { ticket } => {
                if let Wish::Post(session) = self.wishes.remove(&ticket).unwrap() {
                    judge.answers.insert(session, false);
                }
            }
            sender::Event::Folded { ticket, result } => {
                match (self.wishes.remove(&ticket).unwrap(), result.unwrap()) {
                    (Wish::Post(session), Outcome::Posted(_)) => {
                        judge.answers.insert(session, true);
                    }
                    (Wish::Redact(text), Outcome::Redacted(Redaction::Done)) => {
                        self.to_erase.push(text);
                    }
                    (Wish::Redact(_), Outcome::Redacted(Redaction::Before)) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    /// The messages of a node's room.
    pub(crate) fn messages(&self, node: &NodeName) -> Vec<Message> {
        let room = RoomName::new(node.as_str()).unwrap();
        self.store.messages(&room).cloned().collect()
    }

    pub(crate) fn epoch(&mut self) -> Option<Epoch> {
        self.store.epoch().unwrap()
    }
}
