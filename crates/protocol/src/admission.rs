//! Admission: a crowd of clients is let in at a rate. A client that would wait too long gets a slot instead, in
//! which to reconnect (RC-7).

use std::time::Duration;

use crate::time::{Latest, Timestamp};

/// The latest slot: clients that come in masses only to be refused must not push the slots of others ever on.
const SLOT_MAX: Duration = Duration::from_secs(60);

/// The queue of clients in front of a server.
#[derive(Clone, Debug)]
pub struct Admission {
    /// The time between two clients that are let in.
    every: Duration,
    /// How long a client may wait in the queue.
    patience: Duration,
    /// When the next client is let in.
    next: Timestamp,
    /// The last slot that was given to a client that does not wait.
    slot: Timestamp,
    latest: Latest,
}

/// How a client is admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// After this time; it waits for that on its connection.
    After(Duration),
    /// On a new connection, after this time: that is its slot.
    RetryAfter(Duration),
}

impl Admission {
    /// Lets in so many clients a second; none waits longer than `patience`.
    pub fn new(per_s: u32, patience: Duration) -> Self {
        Self {
            every: Duration::from_secs(1) / per_s.max(1),
            patience,
            next: Timestamp::ZERO,
            slot: Timestamp::ZERO,
            latest: Latest::default(),
        }
    }

    /// Admits one client, now or later. Slots begin when the present queue is served, and follow each other at the same
    /// rate: a client that reconnects in its slot finds no queue, unless new ones have come.
    pub fn take(&mut self, now: Timestamp) -> Turn {
        let now = self.latest.advance(now);
        let turn = self.next.max(now);
        if turn - now <= self.patience {
            self.next = turn + self.every;
            return Turn::After(turn - now);
        }
        self.slot = self.slot.max(now + self.patience) + self.every;
        self.slot = self.slot.min(now + SLOT_MAX);
        Turn::RetryAfter(self.slot - now)
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

    /// RC-7: clients are admitted in the order in which they come, at the rate; the rest get slots after that.
    #[test]
    fn who_comes_late_is_told_when() {
        let mut line = Admission::new(100, ms(50));
        let now = Timestamp::from_millis(1_000);
        let turns: Vec<Turn> = (0..9).map(|_| line.take(now)).collect();
        let waits = [0, 10, 20, 30, 40, 50].map(|wait| Turn::After(ms(wait)));
        let slots = [60, 70, 80].map(|slot| Turn::RetryAfter(ms(slot)));
        assert_eq!(turns, [&waits[..], &slots[..]].concat());
        // In their slots they find no queue.
        for slot in [60, 70, 80] {
            assert_eq!(line.take(now + ms(slot)), Turn::After(ms(0)));
        }
    }

    /// RC-7: no client waits as long as they come no faster than the rate.
    #[test]
    fn without_a_crowd_nobody_waits() {
        let mut line = Admission::new(100, ms(50));
        for number in 0..1_000 {
            let now = Timestamp::from_millis(number * 10);
            assert_eq!(line.take(now), Turn::After(ms(0)));
        }
    }

    /// RC-7: a crowd of any size is let in at the rate, if each client comes in its slot.
    #[test]
    fn a_crowd_is_through_when_the_rate_allows_it() {
        let mut line = Admission::new(1_000, ms(2_000));
        let mut comers: BinaryHeap<Reverse<u64>> = (0..20_000).map(|_| Reverse(0)).collect();
        let mut last = 0;
        while let Some(Reverse(at)) = comers.pop() {
            match line.take(Timestamp::from_millis(at)) {
                Turn::After(wait) => last = last.max(at + wait.as_millis() as u64),
                Turn::RetryAfter(slot) => {
                    comers.push(Reverse(at + slot.as_millis() as u64));
                }
            }
        }
        assert!((19_000..=23_000).contains(&last), "{last} ms");
    }
}
