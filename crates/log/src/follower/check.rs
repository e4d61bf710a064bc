//! Whether the stream is the one that the node has applied.

use super::{DOUBT, Event, Follower, Mismatch, Phase, Source, Step};
use crate::pack::Pack;

impl Follower {
    /// The bounds, while the stream is compared.
    pub(super) fn check_bounds(&mut self, last: u64) {
        self.has_bounds = true;
        let target = self.target();
        if last < target {
            if self.is_doubt_over(DOUBT) {
                return self.end(Event::OtherStream(Mismatch::Short { last }));
            }
            return self.retry();
        }
        self.last = last;
        self.hint = 0;
        if target == 0 || self.first > target {
            // Nothing was applied, or the pack is trimmed: the stream's id has to do.
            self.follow();
        } else {
            self.go_to(Step::Fetch(Source::Leader));
        }
    }

    /// Compares the pack that was handed out last.
    pub(super) fn compare(&mut self, sequence: u64, bytes: &[u8]) {
        match Pack::decode(bytes) {
            Ok(pack) if self.recent.back() == Some(&pack.id().hash()) => self.follow(),
            Ok(_) => self.end(Event::OtherStream(Mismatch::Pack { sequence })),
            Err(error) => self.end(Event::Unreadable { sequence, error }),
        }
    }

    /// Compares a pack that came again.
    pub(super) fn compare_again(&mut self, sequence: u64, bytes: &[u8]) {
        let back = usize::try_from(self.next.saturating_sub(sequence));
        let index = back
            .ok()
            .and_then(|back| self.recent.len().checked_sub(back));
        let Some(known) = index.and_then(|index| self.recent.get(index)) else {
            return;
        };
        // A copy that cannot be read says nothing of the stream.
        let pack = Pack::decode(bytes);
        if pack.is_ok_and(|pack| pack.id().hash() != *known) {
            self.end(Event::OtherStream(Mismatch::Pack { sequence }));
        }
    }

    /// The pack to compare is not where it was asked for.
    pub(super) fn missing_in_check(&mut self, step: Step) {
        if step != Step::Replacement {
            return self.go_to(Step::Replacement);
        }
        if self.is_doubt_over(DOUBT) {
            // A hole without its replacement: the stream's id has to do.
            return self.follow();
        }
        self.ask.step = Step::Bounds;
        self.retry();
    }

    /// The stream ends before what it had reached: it lost its tail, or the server that answered was not the leader any
    /// more. What came of the lost tail is forgotten, and what was handed out is compared.
    pub(super) fn shorter(&mut self, last: u64) {
        let lost = self.buffer.split_off(&last.saturating_add(1));
        let lost = lost.values().map(|(_, bytes)| *bytes).sum();
        self.buffered = self.buffered.saturating_sub(lost);
        self.last = last.max(self.handed());
        self.hint = 0;
        self.seek();
        if last < self.handed() {
            self.phase = Phase::Checking;
            self.go_to(Step::Bounds);
        }
    }

    fn follow(&mut self) {
        self.phase = Phase::Following;
        self.seek();
    }
}
