//! The server's clocks: a monotonic one for the machines, Unix time for the log.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::time::Timestamp;
use thiserror::Error;
use tokio::time::Instant;

/// The year 10000: dates in HTTP have four digits for the year (RFC 9110 section 5.6.7).
const YEAR_10000: Duration = Duration::from_secs(253_402_300_800);

/// The system's clock is at a time that HTTP cannot express.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the system's clock is before 1970 or after 9999, and no answer could say when it was made (Date in HTTP): \
     set the clock, then start again"
)]
pub struct ClockError;

/// Checks that the answers of a server that starts now can carry a date.
///
/// # Errors
/// [`ClockError`] before 1970 and after 9999.
pub fn check(now: SystemTime) -> Result<(), ClockError> {
    match now.duration_since(UNIX_EPOCH) {
        Ok(since) if since < YEAR_10000 => Ok(()),
        Ok(_) | Err(_) => Err(ClockError),
    }
}

/// The monotonic clock: one origin for all machines of this process, so that their timestamps compare.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that starts at zero now.
    pub fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    /// The time since the start; never goes back.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_origin(self.origin.elapsed())
    }

    /// The instant of a timestamp of this clock.
    pub fn instant(&self, at: Timestamp) -> Instant {
        // A timestamp too far off for an instant counts as none: a day is longer than any timer.
        let day = Duration::from_secs(24 * 60 * 60);
        self.origin
            .checked_add(at.since_origin())
            .unwrap_or_else(|| Instant::now() + day)
    }
}

/// A moment in whole seconds since the start of a [`Clock`]: it takes four bytes, as each connection keeps one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Second(u32);

impl Clock {
    /// The second that it is.
    pub fn second(&self) -> Second {
        let seconds = self.origin.elapsed().as_secs();
        // 136 years.
        Second(u32::try_from(seconds).unwrap_or(u32::MAX))
    }

    /// The time since then, in whole seconds.
    pub fn since(&self, then: Second) -> Duration {
        let Second(now) = self.second();
        Duration::from_secs(now.saturating_sub(then.0).into())
    }
}

/// Unix time in milliseconds.
pub fn unix_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_no_answer_can_tell_is_refused() {
        let (tick, last) = (Duration::from_secs(1), UNIX_EPOCH + YEAR_10000);
        for good in [
            UNIX_EPOCH,
            UNIX_EPOCH + tick,
            SystemTime::now(),
            last - tick,
        ] {
            assert_eq!(check(good), Ok(()), "{good:?}");
        }
        for bad in [UNIX_EPOCH - tick, last, last + tick] {
            assert_eq!(check(bad), Err(ClockError), "{bad:?}");
        }
    }

    /// What a connection keeps is small, and tells its age in whole seconds.
    #[tokio::test(start_paused = true)]
    async fn seconds_are_whole() {
        let clock = Clock::start();
        tokio::time::advance(Duration::from_millis(1_500)).await;
        let then = clock.second();
        assert_eq!(size_of_val(&then), 4);
        tokio::time::advance(Duration::from_millis(2_400)).await;
        assert_eq!(clock.since(then), Duration::from_secs(2));
    }
}
