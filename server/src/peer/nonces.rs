//! Numbers that a node drew for questions: each is good for one of them, and for a short time.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How long a number is good. A question follows it at once.
const GOOD_FOR: Duration = Duration::from_secs(30);

/// The most numbers that are good at once; the oldest goes first. Any caller gets one, so they must not pile up: at 64 bytes
/// each these are some kB. A flood of callers makes questions fail, which are asked again.
const MAX: usize = 1024;

/// The numbers that are good.
#[derive(Debug, Default)]
pub(super) struct Nonces(VecDeque<(String, Instant)>);

impl Nonces {
    /// Keeps a number that was drawn now.
    pub(super) fn keep(&mut self, nonce: String, now: Instant) {
        self.forget(now);
        if self.0.len() >= MAX {
            self.0.pop_front();
        }
        self.0.push_back((nonce, now + GOOD_FOR));
    }

    /// Uses a number up. Returns whether it was good.
    pub(super) fn take(&mut self, nonce: &str, now: Instant) -> bool {
        self.forget(now);
        let kept = self.0.iter().position(|(kept, _)| kept == nonce);
        kept.and_then(|at| self.0.remove(at)).is_some()
    }

    fn forget(&mut self, now: Instant) {
        while self.0.front().is_some_and(|(_, until)| now >= *until) {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_good_once_and_for_a_while() {
        let now = Instant::now();
        let mut nonces = Nonces::default();
        nonces.keep("a".into(), now);
        nonces.keep("b".into(), now);
        assert!(!nonces.take("c", now));
        assert!(nonces.take("a", now));
        assert!(!nonces.take("a", now));
        assert!(!nonces.take("b", now + GOOD_FOR));
        assert!(nonces.0.is_empty());
    }

    #[test]
    fn they_have_a_bound() {
        let now = Instant::now();
        let mut nonces = Nonces::default();
        for number in 0..=MAX {
            nonces.keep(number.to_string(), now);
        }
        assert_eq!(nonces.0.len(), MAX);
        assert!(!nonces.take("0", now));
        assert!(nonces.take("1", now));
    }
}
