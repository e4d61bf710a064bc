//! Days of the reader's calendar.

/// A day, as the reader's time zone has it: 23 to 25 hours where clocks are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day {
    /// When it begins: Unix time in milliseconds.
    pub from_ms: u64,
    /// When the next one begins.
    pub until_ms: u64,
}

/// A day as seen from the present one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The present day.
    Today,
    /// The day before it.
    Yesterday,
    /// Any other.
    Other,
}

impl Day {
    /// The day of a moment in UTC, for those without the reader's time zone.
    pub const fn utc(at_ms: u64) -> Self {
        const DAY_MS: u64 = 24 * 60 * 60 * 1000;
        let from_ms = at_ms - at_ms % DAY_MS;
        Self {
            from_ms,
            until_ms: from_ms.saturating_add(DAY_MS),
        }
    }

    /// Whether the moment is in it.
    pub const fn contains(self, at_ms: u64) -> bool {
        self.from_ms <= at_ms && at_ms < self.until_ms
    }

    /// How it is seen from `today`.
    pub const fn seen_from(self, today: Self) -> When {
        if self.from_ms == today.from_ms {
            When::Today
        } else if self.until_ms == today.from_ms {
            When::Yesterday
        } else {
            When::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    #[test]
    fn a_day_is_seen_from_another() {
        let day = Day::utc(50 * HOUR_MS);
        assert_eq!((day.from_ms, day.until_ms), (48 * HOUR_MS, 72 * HOUR_MS));
        assert!(day.contains(48 * HOUR_MS) && !day.contains(72 * HOUR_MS));
        assert_eq!(day.seen_from(day), When::Today);
        assert_eq!(day.seen_from(Day::utc(day.until_ms)), When::Yesterday);
        assert_eq!(day.seen_from(Day::utc(96 * HOUR_MS)), When::Other);
        assert_eq!(day.seen_from(Day::utc(0)), When::Other);
        // A day of 25 hours.
        let long = Day {
            until_ms: 73 * HOUR_MS,
            ..day
        };
        let after = Day {
            from_ms: 73 * HOUR_MS,
            until_ms: 97 * HOUR_MS,
        };
        assert_eq!(long.seen_from(after), When::Yesterday);
    }
}
