//! A token bucket: a rate with a burst.

use std::time::Duration;

use crate::time::Timestamp;

/// How far ahead a bucket can be spent. A client that shares it with many others waits no longer than this, and what
/// all of them spend beyond it together is as little as they can do once in this time.
const DEBT_MAX: Duration = Duration::from_secs(5);

/// A token bucket. It stores only the time at which it would be full by itself: so it is
/// small, and nothing is rounded on the way.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// How long a token takes to come, in nanoseconds.
    every: u64,
    burst: u32,
    /// When it is full, in nanoseconds since the origin.
    full_at: u64,
}

impl Bucket {
    /// A full bucket that refills with `per_s` tokens a second and holds `burst` of them.
    pub fn new(now: Timestamp, per_s: u32, burst: u32) -> Self {
        Self::every(now, Duration::from_secs(1) / per_s.max(1), burst)
    }

    /// A full bucket that refills with one token each such time.
    pub fn every(now: Timestamp, time: Duration, burst: u32) -> Self {
        Self {
            every: nanos(time).max(1),
            burst: burst.max(1),
            full_at: nanos(now.since_origin()),
        }
    }

    /// Takes one token.
    ///
    /// # Errors
    /// How long until there is one again.
    pub fn take(&mut self, now: Timestamp) -> Result<(), Duration> {
        self.take_many(now, 1)
    }

    /// Takes so many tokens at once, or none of them.
    ///
    /// # Errors
    /// How long until there are so many. If a full bucket holds fewer, there never are.
    pub fn take_many(&mut self, now: Timestamp, tokens: u32) -> Result<(), Duration> {
        let taken = self.without(now, tokens);
        match self.debt(now, taken) {
            Duration::ZERO => {
                self.full_at = taken;
                Ok(())
            }
            // Never zero: a timer armed with that would not let time pass.
            wait => Err(wait),
        }
    }

    /// Takes so many tokens, whether they are there or not: for what has happened already. Returns how long
    /// it takes until they are paid for; zero where they were there.
    pub fn spend(&mut self, now: Timestamp, tokens: u32) -> Duration {
        let deepest = now + self.capacity() + DEBT_MAX;
        let spent = self.without(now, tokens);
        self.full_at = spent.min(nanos(deepest.since_origin()));
        self.debt(now, self.full_at)
    }

    /// Whether it is as full as a new one.
    pub fn is_full(&self, now: Timestamp) -> bool {
        self.full_at <= nanos(now.since_origin())
    }

    /// When the bucket is full if so many tokens are taken now. (A clock that goes back refills nothing.)
    fn without(&self, now: Timestamp, tokens: u32) -> u64 {
        let now = nanos(now.since_origin());
        let tokens = self.every.saturating_mul(tokens.into());
        self.full_at.max(now).saturating_add(tokens)
    }

    /// How long until the bucket has no debt, if it is full then.
    fn debt(&self, now: Timestamp, full_at: u64) -> Duration {
        let full_at = Timestamp::from_origin(Duration::from_nanos(full_at));
        (full_at - now).saturating_sub(self.capacity())
    }

    /// How long it takes to fill.
    fn capacity(&self) -> Duration {
        Duration::from_nanos(self.every.saturating_mul(self.burst.into()))
    }
}

/// A time in nanoseconds: 584 years at most.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let mut bucket = Bucket::new(Timestamp::ZERO, 10, 3);
        for _ in 0..3 {
            assert!(bucket.take(Timestamp::ZERO).is_ok());
        }
        let wait = bucket.take(Timestamp::ZERO).unwrap_err();
        assert_eq!(wait, Duration::from_millis(100));
        assert!(bucket.take(Timestamp::ZERO + wait).is_ok());
        assert!(bucket.take(Timestamp::ZERO + wait).is_err());
    }

    /// Several tokens at once are taken together, or none of them is.
    #[test]
    fn several_tokens_are_all_or_none() {
        let at = Timestamp::from_millis;
        let mut bucket = Bucket::new(at(0), 10, 10);
        assert_eq!(bucket.take_many(at(0), 9), Ok(()));
        assert_eq!(bucket.take_many(at(0), 9), Err(Duration::from_millis(800)));
        assert_eq!(bucket.take(at(0)), Ok(()));
        assert!(bucket.take_many(at(899), 9).is_err());
        assert_eq!(bucket.take_many(at(900), 9), Ok(()));
        assert!(bucket.take_many(at(99_999), 11).is_err());
    }

    /// Tokens spent beyond those that are there are paid for by waiting, up to a point.
    #[test]
    fn a_debt_is_paid_by_waiting() {
        let at = Timestamp::from_millis;
        let mut bucket = Bucket::new(at(0), 10, 3);
        assert_eq!(bucket.spend(at(0), 3), Duration::ZERO);
        assert_eq!(bucket.spend(at(0), 5), Duration::from_millis(500));
        assert_eq!(bucket.spend(at(100), 1), Duration::from_millis(500));
        assert!(bucket.take(at(600)).is_err() && bucket.take(at(700)).is_ok());
        assert_eq!(bucket.spend(at(700), 1_000_000), DEBT_MAX);
        assert!(!bucket.is_full(at(5_999)) && bucket.is_full(at(6_000)));
    }

    /// PU-1: a clock that goes back refills nothing twice.
    #[test]
    fn time_that_goes_back_fills_nothing() {
        let at = Timestamp::from_millis;
        let mut bucket = Bucket::new(at(1_000), 1, 1);
        assert!(bucket.take(at(1_000)).is_ok());
        assert!(bucket.take(at(0)).is_err());
        assert!(bucket.take(at(1_000)).is_err());
        assert!(bucket.take(at(2_000)).is_ok());
    }

    #[test]
    fn one_token_after_each_such_time() {
        let at = Timestamp::from_millis;
        let mut bucket = Bucket::every(at(0), Duration::from_secs(5), 1);
        assert!(bucket.take(at(0)).is_ok());
        assert_eq!(bucket.take(at(0)), Err(Duration::from_secs(5)));
        assert!(bucket.take(at(5_000)).is_ok());
    }
}
