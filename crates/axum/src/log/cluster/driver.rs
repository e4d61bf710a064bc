//! The driver of a node: does the I/O for the machines that decide, and never waits for one thing while others may come.

mod answers;
mod report;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use everbeat_log::command::Settings;
use everbeat_log::follower::{self, Follower};
use everbeat_log::order::{LastPack, Verdict};
use everbeat_log::pack::{Life, Pack, PackId};
use everbeat_log::sender::{self, Sender};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, FuturesUnordered};
use protocol::time::Timestamp;
use tokio::time::sleep_until;

use super::config::{Chance, ClusterConfig};
use super::desk::{Shared, Waiting};
use super::erasure::Erasures;
use super::leases::Leases;
use super::status::Phase;
use super::words;
use crate::clock::{Clock, unix_ms};
use crate::log::engine::{Bounds, Engine, EngineError, Source, Topic};
use crate::log::sqlite::SqliteLog;
use crate::log::{LogError, Observer, Stop};

/// The pause before packs are folded again that the database could not take: a full disk, say. No pack is skipped.
const FOLD_AGAIN: Duration = Duration::from_secs(1);

/// After how long a pack that was sent and not seen again is trouble: a write takes some milliseconds, and the next one goes
/// with it. Shorter than a publish waits.
const STUCK_AFTER: Duration = Duration::from_secs(2);

/// The longest time without a look at the machines: their own timers are much shorter.
const LOOK: Duration = Duration::from_secs(60);

/// What came of a request.
enum Done {
    Published(u64, Result<u64, EngineError>),
    Fetched(u64, Source, Result<Option<Bytes>, EngineError>),
    Replaced(u64, Result<Option<Bytes>, EngineError>),
    Bounds(Result<Bounds, EngineError>),
    /// The bounds, for those who wait at a barrier.
    Reached(Vec<Waiting>, Result<Bounds, EngineError>),
    /// This node's last pack, after everything was folded that was stored before the start.
    CaughtUp(Result<Option<LastPack>, LogError>),
    /// The id of the stream is kept.
    Kept(Result<(), LogError>),
}

/// What came of a fold.
type Folded = (u64, PackId, Result<Verdict, LogError>);

/// A pack that is being folded, or has to wait for that.
struct Folding {
    sequence: u64,
    pack: Pack,
    is_begun: bool,
}

/// How far the node is with its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// It waits for the engine's leader.
    Attaching,
    /// It folds up to this sequence, which the engine had reached when it was asked first.
    CatchingUp(u64),
    /// It looks up its last life.
    Looking,
    /// It has a life.
    Begun,
}

/// What a node stands on.
pub(super) struct Parts {
    pub(super) sqlite: Arc<SqliteLog>,
    pub(super) engine: Arc<dyn Engine>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) erasures: Arc<Erasures>,
}

/// Drives a node until it is closed and has nothing left to do, or stops for good.
pub(super) async fn run(
    config: ClusterConfig,
    chance: Chance,
    clock: Clock,
    parts: Parts,
    shared: Arc<Shared>,
) {
    let stream = match parts.sqlite.stream().await {
        Ok(stream) => stream,
        Err(error) => return shared.stop(stop(words::cannot_read(&error), None)),
    };
    let driver = Driver::new(config, chance, clock, parts, shared, stream);
    driver.run().await;
}

struct Driver {
    config: ClusterConfig,
    chance: Chance,
    clock: Clock,
    sqlite: Arc<SqliteLog>,
    engine: Arc<dyn Engine>,
    shared: Arc<Shared>,
    follower: Follower,
    leases: Leases,
    /// The Unix time in milliseconds at the clock's origin.
    origin_ms: u64,
    start: Start,
    works: FuturesUnordered<BoxFuture<'static, Done>>,
    folds: FuturesOrdered<BoxFuture<'static, Folded>>,
    /// The packs that are not folded yet, in their order.
    packs: VecDeque<Folding>,
    /// Whether the database could not take a pack; with a time: when to try again.
    fold_trouble: Option<Option<Timestamp>>,
    /// A barrier is under way: those that come meanwhile share the next one.
    is_reaching: bool,
    /// The sequence of the last pack that was folded when the node started.
    began_at: u64,
    /// The highest number of a pack that was published.
    published: u64,
    /// Why the engine did not do what was asked of it last.
    failure: Option<EngineError>,
    /// Since when a pack of this node is under way.
    sent_at: Option<Timestamp>,
    /// Why the engine did not store it, where it said so. Reads may go on well meanwhile.
    not_stored: Option<EngineError>,
    /// A pack that the stream lacks.
    hole: Option<u64>,
    is_over: bool,
}

impl Driver {
    fn new(
        config: ClusterConfig,
        chance: Chance,
        clock: Clock,
        parts: Parts,
        shared: Arc<Shared>,
        stream: Option<String>,
    ) -> Self {
        let Parts {
            sqlite,
            engine,
            observer,
            erasures,
        } = parts;
        let applied = sqlite.applied().unwrap_or_default();
        shared.applied(&applied);
        let now = clock.now();
        let origin_ms = unix_ms().saturating_sub(millis(now));
        let mut leases = Leases::new(now, origin_ms, config.clone(), observer, erasures);
        leases.applied(now, &applied);
        let follower = follower::Config::new(chance.seeds[0]);
        Self {
            follower: Follower::new(follower, &applied, stream, now),
            leases,
            origin_ms,
            config,
            chance,
            clock,
            sqlite,
            engine,
            shared,
            start: Start::Attaching,
            works: FuturesUnordered::new(),
            folds: FuturesOrdered::new(),
            packs: VecDeque::new(),
            fold_trouble: None,
            is_reaching: false,
            began_at: applied.sequence,
            published: 0,
            failure: None,
            sent_at: None,
            not_stored: None,
            hole: None,
            is_over: false,
        }
    }

    async fn run(mut self) {
        let mut live = self.engine.live();
        let mut beats = self.engine.hear(Topic::Nodes);
        let mut state = self.engine.state();
        let shared = Arc::clone(&self.shared);
        loop {
            self.perform();
            if self.is_over {
                return;
            }
            let due = self.clock.instant(self.due());
            tokio::select! {
                () = shared.wake.notified() => {}
                Some((sequence, pack)) = live.next() => {
                    self.follower.live(self.clock.now(), sequence, &pack);
                }
                Some(done) = self.works.next(), if !self.works.is_empty() => self.done(done),
                Some(folded) = self.folds.next(), if !self.folds.is_empty() => self.folded(folded),
                Some(lease) = beats.next() => self.leases.heard(self.clock.now(), &lease),
                Ok(()) = state.changed() => {
                    let now_in = state.borrow_and_update().clone();
                    self.engine_is(now_in);
                }
                () = sleep_until(due) => {}
            }
            self.handle_timeout();
        }
    }

    /// When a machine wants to be looked at next.
    fn due(&self) -> Timestamp {
        let now = self.clock.now();
        let sender = self
            .shared
            .desk(|desk| desk.sender.as_ref()?.poll_timeout());
        let fold = self.fold_trouble.flatten();
        let (follower, leases) = (self.follower.poll_timeout(), self.leases.poll_timeout());
        let dues = [sender, follower, leases, fold];
        dues.into_iter().flatten().fold(now + LOOK, Timestamp::min)
    }

    fn handle_timeout(&mut self) {
        let now = self.clock.now();
        self.shared.desk(|desk| {
            if let Some(sender) = &mut desk.sender {
                sender.handle_timeout(now);
            }
        });
        self.follower.handle_timeout(now);
        self.leases.handle_timeout(now);
        if self.fold_trouble.flatten().is_some_and(|at| at <= now) {
            self.fold_trouble = None;
        }
    }

    /// Does what the machines ask for.
    fn perform(&mut self) {
        self.follow();
        self.fold();
        self.begin_life();
        self.send();
        self.reach();
        let now = self.clock.now();
        if let Some(why) = self.leases.perform(now, &*self.engine, &self.shared) {
            self.stop(why);
        }
        self.note();
        let is_done = self.shared.desk(|desk| desk.is_closing && desk.is_idle());
        self.is_over |= is_done;
    }

    fn follow(&mut self) {
        while let Some(transmit) = self.follower.poll_transmit() {
            let engine = &self.engine;
            match transmit {
                follower::Transmit::Apply { sequence, pack } => self.packs.push_back(Folding {
                    sequence,
                    pack,
                    is_begun: false,
                }),
                follower::Transmit::Fetch { sequence, source } => {
                    let fetched = engine.fetch(sequence, source);
                    let fetched = async move { Done::Fetched(sequence, source, fetched.await) };
                    self.works.push(Box::pin(fetched));
                }
                follower::Transmit::FetchReplacement { sequence } => {
                    let replaced = engine.replacement(sequence);
                    let replaced = async move { Done::Replaced(sequence, replaced.await) };
                    self.works.push(Box::pin(replaced));
                }
                follower::Transmit::AskBounds => {
                    let bounds = engine.bounds();
                    self.works
                        .push(Box::pin(async { Done::Bounds(bounds.await) }));
                }
            }
        }
        while let Some(event) = self.follower.poll_event() {
            self.told(event);
        }
    }

    fn told(&mut self, event: follower::Event) {
        match event {
            follower::Event::Attached { id } => {
                let kept = self.sqlite.keep_stream(id);
                self.works.push(Box::pin(async { Done::Kept(kept.await) }));
            }
            follower::Event::Hole { sequence } => {
                tracing::error!(
                    sequence,
                    "the engine's stream lacks a pack and has no replacement for it; trying again"
                );
                self.hole = Some(sequence);
            }
            follower::Event::Behind { next, first } => {
                let needed = first.saturating_sub(1);
                self.stop_for(stop(words::behind(next, first), Some(needed)));
            }
            follower::Event::OtherStream(mismatch) => self.stop(words::other_stream(&mismatch)),
            follower::Event::Unreadable { sequence, error } => {
                self.stop(words::unreadable(sequence, &error));
            }
        }
    }

    /// Has the database fold what is next, unless it could not take a pack just now.
    fn fold(&mut self) {
        if self.fold_trouble.is_some() {
            return;
        }
        for folding in self.packs.iter_mut().filter(|folding| !folding.is_begun) {
            folding.is_begun = true;
            let (sequence, id) = (folding.sequence, folding.pack.id());
            // A copy is kept: a pack that the database cannot take now is folded later.
            let folded = self.sqlite.fold(sequence, folding.pack.clone());
            let folded = async move { (sequence, id, folded.await) };
            self.folds.push_back(Box::pin(folded));
        }
    }

    /// A pack was folded, or was not. The answers come in the order of the packs.
    fn folded(&mut self, (sequence, id, result): Folded) {
        let now = self.clock.now();
        match result {
            Ok(verdict) => {
                self.packs.pop_front();
                self.hole = None;
                self.follower.applied(now, sequence);
                self.note_applied(now);
                if id.node == self.config.node {
                    (self.sent_at, self.not_stored) = (None, None);
                }
                self.shared.desk(|desk| {
                    if let Some(sender) = &mut desk.sender {
                        sender.folded(now, &id, verdict);
                    }
                });
            }
            // Committed, but its answer is lost: the outcomes of its commands are unknown.
            Err(error) if self.has_applied(sequence) => {
                self.stop(words::answer_lost(sequence, &error));
            }
            Err(error) => {
                if self.fold_trouble.is_none() {
                    tracing::error!(sequence, %error, "a pack cannot be folded now; trying again");
                }
                self.fold_trouble = Some(None);
            }
        }
        if self.fold_trouble == Some(None) && self.folds.is_empty() {
            self.packs
                .iter_mut()
                .for_each(|folding| folding.is_begun = false);
            self.fold_trouble = Some(Some(now + FOLD_AGAIN));
        }
    }

    /// Notes how far the database is: maybe further than the pack whose answer came.
    fn note_applied(&mut self, now: Timestamp) {
        let applied = self.sqlite.applied().unwrap_or_default();
        if applied.sequence > *self.shared.sequence.borrow() {
            self.shared.applied(&applied);
            self.leases.applied(now, &applied);
        }
    }

    fn has_applied(&self, sequence: u64) -> bool {
        let applied = self.sqlite.applied();
        applied.is_some_and(|applied| applied.sequence >= sequence)
    }

    /// Begins the node's life in the order, once everything is folded that was stored before its start.
    fn begin_life(&mut self) {
        let Start::CatchingUp(last) = self.start else {
            return;
        };
        let applied = *self.shared.sequence.borrow();
        // What was handed out was compared with the stream first.
        let is_compared = self.follower.is_caught_up() || applied > self.began_at;
        if applied >= last && is_compared {
            self.start = Start::Looking;
            let found = self.sqlite.last_pack(self.config.node.clone());
            self.works
                .push(Box::pin(async { Done::CaughtUp(found.await) }));
        }
    }

    fn live(&mut self, last: Option<LastPack>) {
        let last = last.map(|last| last.life);
        let now = self.clock.now();
        let at_ms = self.origin_ms.saturating_add(millis(now));
        let life = Life::after(last.as_ref(), at_ms, self.chance.nonce);
        let settings = Settings {
            epoch: self.chance.epoch.clone(),
            history_per_room: self.config.history_per_room,
        };
        let applied = self.sqlite.applied().unwrap_or_default();
        self.leases
            .announce(now, life.clone(), &applied, self.sqlite.epoch());
        let (node, seed) = (self.config.node.clone(), self.chance.seeds[1]);
        tracing::info!(%node, life = life.count, "this node takes commands once its first pack is folded");
        self.shared.note(|status| status.life = life.count);
        let config = sender::Config::new(node, life, settings, self.origin_ms, seed);
        let sender = Sender::new(config, now);
        self.shared.desk(|desk| desk.sender = Some(sender));
        self.start = Start::Begun;
    }

    fn send(&mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            let next = shared.desk(|desk| desk.sender.as_mut()?.poll_transmit());
            let Some(sender::Transmit::Publish { number, pack }) = next else {
                break;
            };
            if number <= self.published {
                self.shared.note(|status| status.resends += 1);
            }
            self.published = self.published.max(number);
            self.sent_at.get_or_insert_with(|| self.clock.now());
            let published = self.engine.publish(Bytes::from_owner(pack));
            let published = async move { Done::Published(number, published.await) };
            self.works.push(Box::pin(published));
        }
        if shared.desk(super::desk::Desk::settle) {
            self.stop(words::fenced(&self.config.node));
        }
    }

    /// Asks how far the engine is, for all callers who wait at a barrier.
    fn reach(&mut self) {
        if self.is_reaching {
            return;
        }
        let waiting = self.shared.desk(|desk| std::mem::take(&mut desk.barriers));
        if !waiting.is_empty() {
            self.is_reaching = true;
            let bounds = self.engine.bounds();
            let reached = async { Done::Reached(waiting, bounds.await) };
            self.works.push(Box::pin(reached));
        }
    }

    /// Stops for good: all callers are answered, and the operator has to act.
    fn stop(&mut self, why: String) {
        self.stop_for(stop(why, None));
    }

    fn stop_for(&mut self, stop: Stop) {
        if !self.is_over {
            tracing::error!(node = %self.config.node, "{}", stop.why);
            self.shared.stop(stop);
            self.is_over = true;
        }
    }
}

fn stop(why: String, needs_copy: Option<u64>) -> Stop {
    Stop {
        why: why.into(),
        needs_copy,
    }
}

fn millis(at: Timestamp) -> u64 {
    u64::try_from(at.since_origin().as_millis()).unwrap_or(u64::MAX)
}
