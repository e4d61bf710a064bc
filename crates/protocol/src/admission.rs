//! Many who come at once are let in one after the other, at a rate: those for whom that takes too long
//! are told when to come back (RC-7).

use std::time::Duration;

use crate::time::{Latest, Timestamp};

/// The latest slot: those who come in masses only to be sent away must not push the others' ever on.
const SLOT_MAX: Duration = Duration::from_secs(60);

/// The line in front of a server.
#[derive(Clone, Debug)]
pub struct Admission {
    /// The time between two who are let in.
    every: Duration,
    /// How long somebody may wait in the line.
    patience: Duration,
    /// When the next one is let in.
    next: Timestamp,
    /// The last slot that was given to somebody who does not wait.
    slot: Timestamp,
    latest: Latest,
}

/// What becomes of somebody who comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Their turn is after this time: they wait.
    After(Duration),
    /// They come back after this time: that is their slot.
    ComeBack(Duration),
}

impl Admission {
    /// Lets in so many a second, and lets nobody wait longer than `patience`.
    pub fn new(per_s: u32, patience: Duration) -> Self {
        Self {
            every: Duration::from_secs(1) / per_s.max(1),
            patience,
            next: Timestamp::ZERO,
            slot: Timestamp::ZERO,
            latest: Latest::default(),
        }
    }

    /// Somebody comes. Slots begin when the line of now will be gone, and follow each other at the
    /// same rate: so who comes back in one finds no line, unless others have come.
    pub fn take(&mut self, now: Timestamp) -> Turn {
        let now = self.latest.advance(now);
        let turn = self.next.max(now);
        if turn - now <= self.patience {
            self.next = turn + self.every;
            return Turn::After(turn - now);
        }
        self.slot = self.slot.max(now + self.patience) + self.every;
        self.slot = self.slot.min(now + SLOT_MAX);
        Turn::ComeBack(self.slot - now)
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// RC-7: in the order in which they come, at the rate; the rest in slots after that.
    #[test]
    fn who_comes_late_is_told_when() {
        let mut line = Admission::new(100, ms(50));
        let now = Timestamp::from_millis(1_000);
        let turns: Vec<Turn> = (0..9).map(|_| line.take(now)).collect();
        let waits = [0, 10, 20, 30, 40, 50].map(|wait| Turn::After(ms(wait)));
        let slots = [60, 70, 80].map(|slot| Turn::ComeBack(ms(slot)));
        assert_eq!(turns, [&waits[..], &slots[..]].concat());
        // In their slots they find no line.
        for slot in [60, 70, 80] {
            assert_eq!(line.take(now + ms(slot)), Turn::After(ms(0)));
        }
    }

    /// RC-7: as long as no more come than may, nobody waits.
    #[test]
    fn without_a_crowd_nobody_waits() {
        let mut line = Admission::new(100, ms(50));
        for number in 0..1_000 {
            let now = Timestamp::from_millis(number * 10);
            assert_eq!(line.take(now), Turn::After(ms(0)));
        }
    }

    /// RC-7: a crowd of any size is let in at the rate, if each comes in their slot.
    #[test]
    fn a_crowd_is_through_when_the_rate_allows_it() {
        let mut line = Admission::new(1_000, ms(2_000));
        let mut comers: BinaryHeap<Reverse<u64>> = (0..20_000).map(|_| Reverse(0)).collect();
        let mut last = 0;
        while let Some(Reverse(at)) = comers.pop() {
            match line.take(Timestamp::from_millis(at)) {
                Turn::After(wait) => last = last.max(at + wait.as_millis() as u64),
                Turn::ComeBack(slot) => {
                    comers.push(Reverse(at + slot.as_millis() as u64));
                }
            }
        }
        assert!((19_000..=23_000).contains(&last), "{last} ms");
    }
}
