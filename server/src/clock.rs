//! The server's clocks: a monotonic one for the machines, Unix time for the log.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::time::Timestamp;
use tokio::time::Instant;

/// One origin for all machines of this process, so that their timestamps compare.
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

    /// The moment that a timestamp of this clock stands for.
    pub fn instant(&self, at: Timestamp) -> Instant {
        // A timestamp too far off to be an instant is as good as none: a day is longer than any timer.
        let day = Duration::from_secs(24 * 60 * 60);
        self.origin
            .checked_add(at.since_origin())
            .unwrap_or_else(|| Instant::now() + day)
    }
}

/// Unix time in milliseconds.
pub fn unix_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
