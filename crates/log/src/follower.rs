//! The follower: hands a node's fold every pack of the stream, in order, without gaps, once.
//!
//! Packs come live, and may be missing, late or doubled there. What is missing is fetched by its sequence. A server that
//! does not find a pack may lag, so only the leader's bounds tell the end of the stream, and only the leader's word makes
//! a hole: a pack that was erased, in whose place its replacement is fetched.
//!
//! Before anything is handed out, and again if the stream got shorter, the follower compares the stream with what the
//! node has applied: another stream would be folded without an error, and wrongly.
//!
//! Facts go in through [`Follower::live`], [`Follower::fetched`], [`Follower::replaced`], [`Follower::bounds`],
//! [`Follower::applied`] and [`Follower::handle_timeout`]. After each of them the driver drains
//! [`Follower::poll_transmit`] and [`Follower::poll_event`], and arms its timer with [`Follower::poll_timeout`].

mod check;
mod seek;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use fastrand::Rng;
use protocol::backoff::Backoff;
use protocol::time::{Latest, Timestamp};

use crate::order::Applied;
use crate::pack::{PACK_BYTES, Pack, PackError, PackHash};

/// The first delay, at most, after a request that failed.
const RETRY_BASE: Duration = Duration::from_millis(100);

/// The longest delay after a request that failed.
const RETRY_CAP: Duration = Duration::from_secs(2);

/// How long a stream may look shorter than it was, and a hole may be without its replacement: a server that is no
/// longer the leader may believe that it is. Elections take 4 to 9 s.
const DOUBT: Duration = Duration::from_secs(10);

/// How long the replacement of a pack before the stream's first may be missing: it is stored before the pack is erased,
/// but its server may lag.
const LAG: Duration = Duration::from_secs(2);

/// How many packs that were handed out are remembered, to be compared with those that come again.
const RECENT_MAX: usize = 1024;

/// The settings of a [`Follower`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The seed of the jitter.
    pub seed: u64,
    /// After this silence the end of the stream is asked for: the longest delay of a live pack that was lost.
    pub poll: Duration,
    /// How long a pack that is said to be stored may take to come live.
    pub hint_patience: Duration,
    /// After this time a request without an answer counts as failed.
    pub request_timeout: Duration,
    /// The most bytes of encoded packs that wait for an earlier one: 16 packs. What is dropped is fetched later.
    pub buffer_bytes: usize,
    /// The most packs that are handed out and not yet applied.
    pub apply_ahead: usize,
    /// The most packs that are fetched at a time.
    pub fetch_ahead: u64,
}

impl Config {
    /// The defaults.
    pub const fn new(seed: u64) -> Self {
        Self {
            seed,
            poll: Duration::from_millis(250),
            hint_patience: Duration::from_millis(50),
            request_timeout: Duration::from_secs(5),
            buffer_bytes: 16 * PACK_BYTES,
            apply_ahead: 4,
            fetch_ahead: 8,
        }
    }
}

/// Where a pack is fetched from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Any server: it may lag behind, so that a pack that it does not have proves nothing.
    Any,
    /// The server that leads.
    Leader,
}

/// What the leader says of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The sequence of the oldest pack that is stored. Where none is: that of the next pack.
    pub first: u64,
    /// The last sequence that was given; 0 for none. It stays when packs are deleted.
    pub last: u64,
    /// What tells this stream from any other one, also of the same name.
    pub id: String,
}

/// The answer to a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetched<'a> {
    /// The pack.
    Found(&'a [u8]),
    /// The server does not have it.
    Missing,
    /// No answer.
    Failed,
}

/// I/O to perform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transmit {
    /// Fold this pack; report [`Follower::applied`]. They come in order, without gaps.
    Apply {
        /// Its sequence.
        sequence: u64,
        /// The pack.
        pack: Pack,
    },
    /// Fetch a pack; report [`Follower::fetched`].
    Fetch {
        /// Its sequence.
        sequence: u64,
        /// From which server.
        source: Source,
    },
    /// Fetch the replacement of an erased pack; report [`Follower::replaced`].
    FetchReplacement {
        /// The sequence of the erased pack.
        sequence: u64,
    },
    /// Ask the leader for the stream's bounds; report [`Follower::bounds`].
    AskBounds,
}

/// A report to the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The node has no stream yet, and follows this one from now on: the driver keeps the id.
    Attached {
        /// The stream's id.
        id: String,
    },
    /// The stream is trimmed past this node: it needs a copy of a peer. The follower ends.
    Behind {
        /// The sequence of the next pack that this node needs.
        next: u64,
        /// The stream's first pack: the copy must reach to the one before it, at least.
        first: u64,
    },
    /// The stream is not the one that this node has applied. The follower ends.
    OtherStream(Mismatch),
    /// A pack cannot be read, also not as the leader has it. No node can skip it: the follower ends.
    Unreadable {
        /// Its sequence.
        sequence: u64,
        /// Why.
        error: PackError,
    },
    /// The stream lacks a pack, and has no replacement for it. It is reported once, and asked for again and again.
    Hole {
        /// Its sequence.
        sequence: u64,
    },
}

/// How a stream differs from the one that a node has applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// It has another id.
    Id {
        /// The id of the node's stream.
        known: String,
        /// The id of the stream.
        found: String,
    },
    /// It ends before what was applied: it lost its tail.
    Short {
        /// Its last sequence.
        last: u64,
    },
    /// Another pack is stored in the place of one that was applied.
    Pack {
        /// Its sequence.
        sequence: u64,
    },
}

/// The machine; see the module.
#[derive(Debug)]
pub struct Follower {
    config: Config,
    latest: Latest,
    rng: Rng,
    phase: Phase,
    /// The id of the node's stream.
    stream: Option<String>,
    /// The sequence of the next pack to hand out.
    next: u64,
    /// The last one that was applied.
    applied: u64,
    /// Those that were handed out last; the newest is that of `next - 1`.
    recent: VecDeque<PackHash>,
    /// The stream's first pack, at least.
    first: u64,
    /// A sequence that the stream reached, by the leader's bounds or by a pack.
    last: u64,
    /// A sequence that the stream reached as others say; it may just be coming live.
    hint: u64,
    /// Whether the leader has told the bounds since the start.
    has_bounds: bool,
    buffer: BTreeMap<u64, (Pack, usize)>,
    buffered: usize,
    ask: Ask,
    /// Fetches of later packs, with their deadlines; `None` for one that failed.
    ahead: BTreeMap<u64, Option<Timestamp>>,
    events: VecDeque<Event>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Compares the stream with what was applied; nothing is handed out.
    Checking,
    Following,
    Ended,
}

/// What is asked for the target: the next pack, or the last one that was handed out while the stream is compared.
#[derive(Debug)]
struct Ask {
    step: Step,
    /// Whether the request is under way; else it is made when it is due.
    is_open: bool,
    /// When the request is made, or given up.
    due: Timestamp,
    /// The last sequence that was known when the request was made.
    last: u64,
    /// The leader did not have the target.
    is_missed: bool,
    /// The hole there was reported.
    is_reported: bool,
    /// Since when the stream is in doubt.
    doubt: Option<Timestamp>,
    backoff: Backoff,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Bounds,
    Fetch(Source),
    Replacement,
}

impl Follower {
    /// A follower from what the node has applied. `stream` is the id of the stream that this came from; `None` for a
    /// node without one.
    pub fn new(config: Config, applied: &Applied, stream: Option<String>, now: Timestamp) -> Self {
        let has_applied = applied.sequence > 0;
        Self {
            rng: Rng::with_seed(config.seed),
            config,
            latest: Latest::new(now),
            phase: Phase::Checking,
            stream,
            next: applied.sequence.saturating_add(1),
            applied: applied.sequence,
            recent: has_applied.then_some(applied.pack).into_iter().collect(),
            first: 0,
            last: applied.sequence,
            hint: 0,
            has_bounds: false,
            buffer: BTreeMap::new(),
            buffered: 0,
            ask: Ask::new(now),
            ahead: BTreeMap::new(),
            events: VecDeque::new(),
        }
    }

    /// A pack came live.
    pub fn live(&mut self, now: Timestamp, sequence: u64, pack: &[u8]) {
        self.advance(now);
        self.take(sequence, pack, Source::Any);
    }

    /// The answer to [`Transmit::Fetch`].
    pub fn fetched(&mut self, now: Timestamp, sequence: u64, source: Source, answer: Fetched<'_>) {
        self.advance(now);
        self.answered(sequence, Step::Fetch(source), answer);
    }

    /// The answer to [`Transmit::FetchReplacement`].
    pub fn replaced(&mut self, now: Timestamp, sequence: u64, answer: Fetched<'_>) {
        self.advance(now);
        self.answered(sequence, Step::Replacement, answer);
    }

    /// The answer to [`Transmit::AskBounds`]; `None` for no answer. It may also come unasked.
    pub fn bounds(&mut self, now: Timestamp, bounds: Option<Bounds>) {
        self.advance(now);
        let is_answer = self.ask.is_open && self.ask.step == Step::Bounds;
        match bounds {
            Some(bounds) => self.bounded(bounds, is_answer),
            None if is_answer => self.retry(),
            None => {}
        }
    }

    /// The engine stored a pack under this sequence, as its sender heard: a hint.
    pub fn stored(&mut self, now: Timestamp, sequence: u64) {
        self.advance(now);
        self.hint(sequence);
    }

    /// The packs up to this sequence are applied, and committed.
    pub fn applied(&mut self, now: Timestamp, sequence: u64) {
        self.advance(now);
        self.applied = self.applied.max(sequence.min(self.handed()));
    }

    /// The connection to the engine is back: what is missing is asked for at once.
    pub fn reconnected(&mut self, now: Timestamp) {
        self.advance(now);
        self.ahead.clear();
        self.ask.backoff.reset();
        self.ask.is_open = false;
        self.ask.step = Step::Bounds;
        self.ask.due = self.latest.get();
    }

    /// Notes the time.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.advance(now);
    }

    /// The next I/O to perform.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.hand_out()
            .or_else(|| self.poll_ask())
            .or_else(|| self.fetch_ahead())
    }

    /// The next report.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`Self::handle_timeout`] at the latest.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let waits_for_fold = !self.ask.is_open && self.has_next();
        let is_ended = self.phase == Phase::Ended;
        (!is_ended && !waits_for_fold).then_some(self.ask.due)
    }

    /// How many packs the node is behind the stream, as far as it knows.
    pub fn lag(&self) -> u64 {
        self.last.max(self.hint).saturating_sub(self.applied)
    }

    /// Whether the node has applied everything that it knows of, after it heard of the stream's bounds.
    pub fn is_caught_up(&self) -> bool {
        self.phase == Phase::Following && self.has_bounds && self.lag() == 0
    }

    /// Whether the follower ended, by an event.
    pub fn is_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// The last sequence that was handed out.
    const fn handed(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// Whether the next pack is here, and only waits for the fold.
    fn has_next(&self) -> bool {
        self.phase == Phase::Following && self.buffer.contains_key(&self.next)
    }

    fn end(&mut self, event: Event) {
        self.phase = Phase::Ended;
        self.buffer.clear();
        self.buffered = 0;
        self.ahead.clear();
        self.events.push_back(event);
    }
}

impl Ask {
    const fn new(now: Timestamp) -> Self {
        Self {
            step: Step::Bounds,
            is_open: false,
            due: now,
            last: 0,
            is_missed: false,
            is_reported: false,
            doubt: None,
            backoff: Backoff::new(RETRY_BASE, RETRY_CAP),
        }
    }
}

#[cfg(test)]
mod tests;
