//! Time in the core: a number that the driver hands in.

use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::id::MAX_SAFE_INTEGER;

/// A moment on the driver's monotonic clock, as the time since an origin that the driver chose.
///
/// Two timestamps can be compared only if they come from the same driver (PU-1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(Duration);

impl Timestamp {
    /// The driver's origin.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// The moment this long after the driver's origin.
    pub const fn from_origin(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// The moment `ms` milliseconds after the driver's origin.
    pub const fn from_millis(ms: u64) -> Self {
        Self(Duration::from_millis(ms))
    }

    /// How long after the driver's origin this moment is.
    pub const fn since_origin(self) -> Duration {
        self.0
    }

    /// The time from `earlier` to this moment; zero if `earlier` is not earlier.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The next multiple of `step` since the origin; this moment itself if it is one, or if `step` is
    /// zero.
    #[must_use]
    pub fn align(self, step: Duration) -> Self {
        let (Ok(now), Ok(step)) = (
            u64::try_from(self.0.as_nanos()),
            u64::try_from(step.as_nanos()),
        ) else {
            // 584 years.
            return self;
        };
        now.checked_next_multiple_of(step)
            .map_or(self, |aligned| Self(Duration::from_nanos(aligned)))
    }
}

/// The latest time of a machine: it never goes back, whatever the driver says (PU-1).
#[derive(Clone, Copy, Debug, Default)]
pub struct Latest(Timestamp);

impl Latest {
    /// The time at which a machine begins.
    pub const fn new(now: Timestamp) -> Self {
        Self(now)
    }

    /// The time.
    pub const fn get(self) -> Timestamp {
        self.0
    }

    /// Takes the time from the driver, and returns the machine's time.
    pub fn advance(&mut self, now: Timestamp) -> Timestamp {
        self.0 = self.0.max(now);
        self.0
    }
}

/// In milliseconds since the driver's origin.
impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        millis(self.0).serialize(serializer)
    }
}

/// A time as JSON has it: in milliseconds, at most the largest number that every reader keeps.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).map_or(MAX_SAFE_INTEGER, |ms| ms.min(MAX_SAFE_INTEGER))
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, rest: Duration) -> Self {
        Self(self.0.saturating_add(rest))
    }
}

impl Sub for Timestamp {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn moments_align_to_the_next_multiple() {
        let align = |ms, step| Timestamp::from_millis(ms).align(Duration::from_millis(step));
        assert_eq!(align(0, 250), Timestamp::ZERO);
        assert_eq!(align(1, 250), Timestamp::from_millis(250));
        assert_eq!(align(250, 250), Timestamp::from_millis(250));
        assert_eq!(align(251, 250), Timestamp::from_millis(500));
        assert_eq!(align(251, 0), Timestamp::from_millis(251));
        let end = Timestamp::from_origin(Duration::MAX);
        assert_eq!(end.align(Duration::from_millis(250)), end);
        assert_eq!(
            Timestamp::from_millis(7).align(Duration::MAX),
            Timestamp::from_millis(7)
        );
    }
}
