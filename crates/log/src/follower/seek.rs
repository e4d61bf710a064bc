//! How the next pack is found: live, or asked for step by step.

use std::time::Duration;

use protocol::time::Timestamp;

use super::{
    Ask, Bounds, DOUBT, Event, Fetched, Follower, LAG, Mismatch, Phase, RECENT_MAX, Source, Step,
    Transmit,
};
use crate::pack::Pack;

impl Follower {
    pub(super) fn advance(&mut self, now: Timestamp) {
        let now = self.latest.advance(now);
        for deadline in self.ahead.values_mut() {
            *deadline = deadline.filter(|deadline| *deadline > now);
        }
        if self.ask.is_open && self.ask.due <= now {
            self.retry();
        }
    }

    /// Takes a pack from the stream.
    pub(super) fn take(&mut self, sequence: u64, bytes: &[u8], source: Source) {
        if self.phase == Phase::Ended {
            return;
        }
        self.last = self.last.max(sequence);
        if sequence < self.next {
            return self.compare_again(sequence, bytes);
        }
        if self.buffer.contains_key(&sequence) || !self.make_room(sequence, bytes.len()) {
            return;
        }
        match Pack::decode(bytes) {
            Ok(pack) => {
                self.buffered = self.buffered.saturating_add(bytes.len());
                self.buffer.insert(sequence, (pack, bytes.len()));
            }
            // One server's copy may be damaged: the leader's counts.
            Err(_) if source == Source::Any => {
                if sequence == self.next && self.phase == Phase::Following {
                    self.go_to(Step::Fetch(Source::Leader));
                }
            }
            Err(error) => self.end(Event::Unreadable { sequence, error }),
        }
    }

    /// Makes room for a pack in the buffer: those that are needed last are dropped.
    fn make_room(&mut self, sequence: u64, bytes: usize) -> bool {
        while self.buffered.saturating_add(bytes) > self.config.buffer_bytes {
            match self.buffer.last_key_value() {
                Some((last, (_, size))) if *last > sequence => {
                    self.buffered = self.buffered.saturating_sub(*size);
                    self.buffer.pop_last();
                }
                _ => return sequence == self.next,
            }
        }
        true
    }

    /// The next pack, if it is here and the fold may take one more.
    pub(super) fn hand_out(&mut self) -> Option<Transmit> {
        let ahead = self.handed().saturating_sub(self.applied);
        let is_full = usize::try_from(ahead).map_or(true, |ahead| ahead >= self.config.apply_ahead);
        if is_full || self.phase != Phase::Following {
            return None;
        }
        let sequence = self.next;
        let (pack, bytes) = self.buffer.remove(&sequence)?;
        self.buffered = self.buffered.saturating_sub(bytes);
        if self.recent.len() >= RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(pack.id().hash());
        self.next = self.next.saturating_add(1);
        self.seek();
        Some(Transmit::Apply { sequence, pack })
    }

    /// Begins to look for the next pack.
    pub(super) fn seek(&mut self) {
        let now = self.latest.get();
        self.ask = Ask::new(now);
        self.ask.due = now + self.config.poll;
        let ahead = self.ahead.remove(&self.next);
        if self.has_next() {
            return;
        }
        if let Some(Some(deadline)) = ahead {
            self.ask.step = Step::Fetch(Source::Any);
            self.ask.is_open = true;
            self.ask.due = deadline;
        } else if self.last >= self.next {
            self.go_to(Step::Fetch(Source::Any));
        } else {
            self.hint(self.hint);
        }
    }

    pub(super) fn hint(&mut self, sequence: u64) {
        self.hint = self.hint.max(sequence);
        if !self.ask.is_open && self.may_fetch() && self.hint >= self.next {
            let soon = self.latest.get() + self.config.hint_patience;
            self.ask.due = self.ask.due.min(soon);
        }
    }

    /// Whether the next pack was not asked for yet.
    fn may_fetch(&self) -> bool {
        let is_fresh = self.ask.step == Step::Bounds && !self.ask.is_missed;
        is_fresh && self.phase == Phase::Following
    }

    /// Takes this step at once.
    pub(super) fn go_to(&mut self, step: Step) {
        self.ask.step = step;
        self.ask.is_open = false;
        self.ask.due = self.latest.get();
    }

    /// Takes the same step again, later.
    pub(super) fn retry(&mut self) {
        self.ask.is_open = false;
        self.ask.due = self.latest.get() + self.ask.backoff.next(&mut self.rng);
    }

    /// Whether what is asked for has been in doubt for so long.
    pub(super) fn is_doubt_over(&mut self, doubt: Duration) -> bool {
        let now = self.latest.get();
        now.since(*self.ask.doubt.get_or_insert(now)) >= doubt
    }

    /// The sequence that is asked for.
    pub(super) const fn target(&self) -> u64 {
        match self.phase {
            Phase::Checking => self.handed(),
            Phase::Following | Phase::Ended => self.next,
        }
    }

    pub(super) fn poll_ask(&mut self) -> Option<Transmit> {
        if self.phase == Phase::Ended || self.has_next() {
            return None;
        }
        let now = self.latest.get();
        let is_due = !self.ask.is_open && self.ask.due <= now;
        if self.may_fetch() {
            // The stream has reached this pack, so it was lost on its way.
            let is_gap = self.last >= self.next && self.ask.backoff.attempt() == 0;
            if is_gap || is_due && self.last.max(self.hint) >= self.next {
                self.go_to(Step::Fetch(Source::Any));
            }
        }
        if self.ask.is_open || self.ask.due > now {
            return None;
        }
        self.ask.is_open = true;
        self.ask.due = now + self.config.request_timeout;
        self.ask.last = self.last;
        let sequence = self.target();
        Some(match self.ask.step {
            Step::Bounds => Transmit::AskBounds,
            Step::Fetch(source) => Transmit::Fetch { sequence, source },
            Step::Replacement => Transmit::FetchReplacement { sequence },
        })
    }

    /// Some of the packs behind the next one are fetched as well, where the stream has reached them.
    pub(super) fn fetch_ahead(&mut self) -> Option<Transmit> {
        let has_room = self.buffered < self.config.buffer_bytes;
        if self.phase != Phase::Following || !has_room {
            return None;
        }
        let end = self.next.saturating_add(self.config.fetch_ahead);
        let mut wanted = self.next.saturating_add(1)..end.min(self.last.saturating_add(1));
        let is_new = |at: &u64| !self.ahead.contains_key(at) && !self.buffer.contains_key(at);
        let sequence = wanted.find(is_new)?;
        let deadline = self.latest.get() + self.config.request_timeout;
        self.ahead.insert(sequence, Some(deadline));
        let source = Source::Any;
        Some(Transmit::Fetch { sequence, source })
    }

    pub(super) fn answered(&mut self, sequence: u64, step: Step, answer: Fetched<'_>) {
        if self.phase == Phase::Ended {
            return;
        }
        let is_target = self.ask.is_open && self.ask.step == step && sequence == self.target();
        match answer {
            Fetched::Found(bytes) if is_target && self.phase == Phase::Checking => {
                self.compare(sequence, bytes);
            }
            Fetched::Found(bytes) => {
                let source = match step {
                    Step::Fetch(source) => source,
                    Step::Bounds | Step::Replacement => Source::Leader,
                };
                self.take(sequence, bytes, source);
            }
            Fetched::Missing if is_target && self.phase == Phase::Checking => {
                self.missing_in_check(step);
            }
            Fetched::Missing if is_target => self.missing(step),
            Fetched::Failed if is_target => self.retry(),
            Fetched::Missing | Fetched::Failed => {
                if let Some(deadline) = self.ahead.get_mut(&sequence) {
                    *deadline = None;
                }
            }
        }
    }

    /// The next pack is not where it was asked for.
    fn missing(&mut self, step: Step) {
        match step {
            // That server may lag.
            Step::Fetch(Source::Any) => self.go_to(Step::Fetch(Source::Leader)),
            Step::Fetch(Source::Leader) => {
                self.ask.is_missed = true;
                // A hole only if the stream had reached it when the leader was asked.
                self.go_to(if self.ask.last >= self.next {
                    Step::Replacement
                } else {
                    Step::Bounds
                });
            }
            Step::Replacement | Step::Bounds => self.hole(),
        }
    }

    /// The stream has reached the next pack, and has neither it nor its replacement.
    fn hole(&mut self) {
        let (next, first) = (self.next, self.first);
        if first > next && self.is_doubt_over(LAG) {
            return self.end(Event::Behind { next, first });
        }
        if self.is_doubt_over(DOUBT) && !self.ask.is_reported {
            self.ask.is_reported = true;
            self.events.push_back(Event::Hole { sequence: next });
        }
        self.ask.step = Step::Bounds;
        self.retry();
    }

    /// The leader's bounds. Only those that were asked for here can tell that something is no longer there: others may
    /// be older than what came since.
    pub(super) fn bounded(&mut self, bounds: Bounds, is_answer: bool) {
        if self.phase == Phase::Ended {
            return;
        }
        let Bounds { first, last, id } = bounds;
        match &self.stream {
            Some(known) if *known != id => {
                let known = known.clone();
                let mismatch = Mismatch::Id { known, found: id };
                return self.end(Event::OtherStream(mismatch));
            }
            Some(_) => {}
            None => {
                self.stream = Some(id.clone());
                self.events.push_back(Event::Attached { id });
            }
        }
        self.first = self.first.max(first);
        if !is_answer {
            return self.hint(last);
        }
        self.ask.is_open = false;
        if self.phase == Phase::Checking {
            return self.check_bounds(last);
        }
        self.has_bounds = true;
        if last < self.ask.last {
            return self.shorter(last);
        }
        self.last = self.last.max(last);
        if self.last >= self.next {
            self.go_to(Step::Fetch(if self.ask.is_missed {
                Source::Leader
            } else {
                Source::Any
            }));
        } else {
            // The end of the stream.
            self.hint = 0;
            self.seek();
        }
    }
}
