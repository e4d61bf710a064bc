//! A token bucket: so many in a burst, so many a second in the long run.

use std::time::Duration;

use crate::time::Timestamp;

/// Counts what one session may do.
#[derive(Clone, Debug)]
pub struct Bucket {
    per_s: f64,
    burst: f64,
    tokens: f64,
    filled_at: Timestamp,
}

impl Bucket {
    /// A full bucket that refills with `per_s` tokens a second and holds `burst` of them.
    pub fn new(now: Timestamp, per_s: u32, burst: u32) -> Self {
        let burst = f64::from(burst.max(1));
        Self {
            per_s: f64::from(per_s.max(1)),
            burst,
            tokens: burst,
            filled_at: now,
        }
    }

    /// Takes one token.
    ///
    /// # Errors
    /// How long until there is one again.
    pub fn take(&mut self, now: Timestamp) -> Result<(), Duration> {
        // No span of time refills it twice, whatever clock the owner has.
        let now = now.max(self.filled_at);
        let refill = (now - self.filled_at).as_secs_f64() * self.per_s;
        self.tokens = (self.tokens + refill).min(self.burst);
        self.filled_at = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            Ok(())
        } else {
            let wait = Duration::from_secs_f64((1.0 - self.tokens) / self.per_s);
            // Never "again at this very moment": a timer armed with that would not let time pass.
            Err(wait.max(Duration::from_nanos(1)))
        }
    }
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

    /// PU-1: a clock that goes back and on again does not refill it twice.
    #[test]
    fn a_second_counts_once() {
        let second = Timestamp::from_millis(1000);
        let mut bucket = Bucket::new(second, 1, 1);
        assert!(bucket.take(second).is_ok());
        assert_eq!(bucket.take(Timestamp::ZERO), Err(Duration::from_secs(1)));
        assert!(bucket.take(second).is_err());
        assert!(bucket.take(Timestamp::from_millis(2000)).is_ok());
    }
}
