//! Time as the fuzzer lets it pass: forwards, in steps that the machines care about.

use std::time::Duration;

use arbitrary::Arbitrary;
use protocol::time::Timestamp;

/// How often a machine may ask to be called again at the same time.
const CALLS_MAX: usize = 8;

/// The longest step of a driver's clock: no process lives longer.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How much time passes.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub enum Pause {
    /// None.
    None,
    /// So many milliseconds.
    Millis(u16),
    /// So many seconds.
    Seconds(u8),
    /// So many hours: a sleep, a jump of the clock.
    Hours(u8),
    /// Until the machine's timer is due.
    Due,
    /// Until a little after that.
    Late(u16),
}

/// The driver's clock.
#[derive(Debug, Default)]
pub struct Clock {
    now: Timestamp,
}

impl Clock {
    /// The time now.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Lets time pass. `due`: what the machine's timer waits for.
    pub fn pass(&mut self, pause: Pause, due: Option<Timestamp>) {
        let to_due = due.map_or(Duration::ZERO, |due| due - self.now);
        let wait = match pause {
            Pause::None => Duration::ZERO,
            Pause::Millis(ms) => Duration::from_millis(ms.into()),
            Pause::Seconds(s) => Duration::from_secs(s.into()),
            Pause::Hours(h) => Duration::from_secs(3600 * u64::from(h)),
            Pause::Due => to_due,
            Pause::Late(ms) => to_due + Duration::from_millis(ms.into()),
        };
        self.now = self.now + wait.min(LONGEST);
    }
}

/// Calls `call` (with the machine's timeout, and all that follows from it) until the timer that it
/// returns lies ahead.
///
/// # Panics
/// If that never happens: a driver would spin.
pub fn settle(now: Timestamp, mut call: impl FnMut() -> Option<Timestamp>) {
    for _ in 0..CALLS_MAX {
        if call().is_none_or(|due| due > now) {
            return;
        }
    }
    panic!("the timer stays at or before {now:?}: a driver would spin");
}
