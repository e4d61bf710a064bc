//! How long to wait before the next attempt (RC-1): of clients, and of nodes at their engine.

use std::time::Duration;

use fastrand::Rng;

/// Exponential backoff with full jitter: uniform(0, min(cap, base * 2^attempt)).
///
/// The jitter is drawn after the clamp, so that clients at the cap still spread out
/// ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    attempt: u32,
}

impl Backoff {
    /// A backoff whose first delay is at most `base` and whose later ones grow to at most `cap`.
    pub const fn new(base: Duration, cap: Duration) -> Self {
        Self {
            base,
            cap,
            attempt: 0,
        }
    }

    /// Draws the delay before the next attempt and counts it.
    pub fn next(&mut self, rng: &mut Rng) -> Duration {
        let ceiling = self.ceiling();
        self.attempt = self.attempt.saturating_add(1);
        uniform(rng, Duration::ZERO, ceiling)
    }

    /// Back to the first delay (RC-2).
    pub const fn reset(&mut self) {
        self.attempt = 0;
    }

    /// How many delays were drawn since the last reset.
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The longest delay that [`Backoff::next`] may draw.
    pub fn ceiling(&self) -> Duration {
        let factor = 1_u32.checked_shl(self.attempt).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }
}

/// A duration drawn uniformly from `[least, most]`.
pub fn uniform(rng: &mut Rng, least: Duration, most: Duration) -> Duration {
    let span = u64::try_from(most.saturating_sub(least).as_nanos()).unwrap_or(u64::MAX);
    least.saturating_add(Duration::from_nanos(rng.u64(0..=span)))
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const BASE: Duration = Duration::from_millis(250);
    const CAP: Duration = Duration::from_secs(10);

    /// RC-1: no delay is above its ceiling, and the draws at the cap fill the whole range.
    #[test]
    fn full_jitter_is_drawn_after_the_clamp() {
        let mut rng = Rng::with_seed(7);
        let mut at_cap = Vec::new();
        for _ in 0..200 {
            let mut backoff = Backoff::new(BASE, CAP);
            for attempt in 0..40_u32 {
                let ceiling = BASE.saturating_mul(2_u32.saturating_pow(attempt)).min(CAP);
                let delay = backoff.next(&mut rng);
                assert!(delay <= ceiling, "attempt {attempt}: {delay:?}");
                if attempt == 39 {
                    at_cap.push(delay);
                }
            }
        }
        let mean = at_cap.iter().sum::<Duration>() / 200;
        assert!(
            mean > CAP.mul_f64(0.4) && mean < CAP.mul_f64(0.6),
            "{mean:?}"
        );
        assert!(at_cap.iter().min() < Some(&CAP.mul_f64(0.1)));
        assert!(at_cap.iter().max() > Some(&CAP.mul_f64(0.9)));
    }

    #[test]
    fn reset_returns_to_the_first_ceiling() {
        let mut rng = Rng::with_seed(1);
        let mut backoff = Backoff::new(BASE, CAP);
        for _ in 0..10 {
            backoff.next(&mut rng);
        }
        backoff.reset();
        assert_eq!(backoff.attempt(), 0);
        assert!(backoff.next(&mut rng) <= BASE);
    }
}
