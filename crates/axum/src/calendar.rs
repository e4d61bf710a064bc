//! The calendar: the system's clock, as far as it can be trusted.
//!
//! A machine may start at 1970 or a week ahead, and be corrected minutes later. By then everything that
//! looks too old would be forgotten. So nothing is forgotten until the clock has run evenly for a while; and no stored
//! time is older than the ones before it.

use std::time::Duration;

use protocol::time::Timestamp;
use thiserror::Error;

/// How far the clock may be off from one look to the next: more than a usual correction.
const STEP: Duration = Duration::from_secs(60);

/// How much faster or slower it may run (one part in this many): twice what it is slewed by (ntp_adjtime(2): 500
/// ppm).
const SLEW_PART: u32 = 1000;

/// How far the clock may be ahead of the newest time in the log without a doubt: a server is hardly ever down for
/// longer.
const AHEAD: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a clock without a doubt has to run evenly: network time is set by then.
pub const SETTLED: Duration = Duration::from_secs(60 * 60);

/// How long a doubted clock has to: by then an operator has seen the line in the journal. It may be right, after all.
pub const DOUBTED: Duration = Duration::from_secs(24 * 60 * 60);

/// 2026, in Unix time in milliseconds: no server is older. A clock before it was never set.
const EARLIEST_MS: u64 = 1_767_225_600_000;

/// Why the clock is in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Doubt {
    /// It is older than what was stored.
    #[error("the clock is {0:?} behind the newest time in the log")]
    Behind(Duration),
    /// Nothing was stored for long, or the clock is wrong.
    #[error("the clock is {0:?} ahead of the newest time in the log")]
    Ahead(Duration),
    /// It was set while the server ran.
    #[error("the clock was set while the server ran")]
    Set,
}

/// The system's clock, compared with the log and with the time that passes. All Unix time is in milliseconds.
#[derive(Debug)]
pub struct Calendar {
    /// The newest time that was stored.
    newest_ms: u64,
    looked: Look,
    /// The time from which on it has run evenly.
    even_since: Timestamp,
    /// How long it has to run evenly to be trusted.
    patience: Duration,
    /// When a clock that was far behind, and never trusted, was set. What was stored by it is younger than its stored
    /// time says, by an unknown amount: only the time since then is its certain age.
    undated_until: Option<Timestamp>,
    /// The last look at which the clock was trusted.
    believed: Option<Look>,
    doubt: Option<Doubt>,
}

/// The readings of both clocks at one moment.
#[derive(Clone, Copy, Debug)]
struct Look {
    now: Timestamp,
    unix_ms: u64,
}

impl Look {
    /// How far this reading is from what the earlier one and the monotonic clock predict.
    fn off(self, then: Self) -> Duration {
        let expected = then.unix_ms.saturating_add(millis(self.now - then.now));
        Duration::from_millis(expected.abs_diff(self.unix_ms))
    }

    fn follows(self, then: Self) -> bool {
        self.off(then) <= STEP + (self.now - then.now) / SLEW_PART
    }
}

impl Calendar {
    /// The clock at the start, compared with the newest time in the log.
    pub fn new(now: Timestamp, unix_ms: u64, newest_ms: Option<u64>) -> Self {
        let look = Look { now, unix_ms };
        let mut calendar = Self {
            newest_ms: newest_ms.unwrap_or_default(),
            looked: look,
            even_since: now,
            patience: SETTLED,
            undated_until: None,
            believed: None,
            doubt: None,
        };
        calendar.doubt = newest_ms.and_then(|_| calendar.compare(unix_ms));
        if calendar.doubt.is_some() {
            calendar.patience = DOUBTED;
            let is_undated = calendar.newest_ms < EARLIEST_MS && unix_ms >= EARLIEST_MS;
            calendar.undated_until = is_undated.then_some(now);
        }
        calendar
    }

    /// The time to store with what is stored now: the clock's, but never older than what was stored
    /// before, as long as the clock may be wrong.
    pub fn stamp(&mut self, now: Timestamp, unix_ms: u64) -> u64 {
        self.look(now, unix_ms);
        self.newest_ms = self.newest_ms.max(unix_ms);
        self.newest_ms
    }

    /// The time before which to forget what is kept for `age`. `None` while the clock is not
    /// trusted; but what is kept for less time than trust takes only waits for its own age, whatever
    /// the clock says.
    pub fn cutoff(&mut self, now: Timestamp, unix_ms: u64, age: Duration) -> Option<u64> {
        self.look(now, unix_ms);
        let is_dated = self.undated_until.is_none_or(|until| now - until >= age);
        let is_due = is_dated && self.is_even_for(age.min(self.patience));
        is_due.then(|| unix_ms.saturating_sub(millis(age)))
    }

    /// Why the clock is in doubt, and how long it has to run evenly now; returned once.
    pub fn take_doubt(&mut self) -> Option<(Doubt, Duration)> {
        let doubt = self.doubt.take()?;
        Some((doubt, self.patience))
    }

    fn look(&mut self, now: Timestamp, unix_ms: u64) {
        let look = Look { now, unix_ms };
        if !look.follows(self.looked) {
            self.even_since = now;
            if self.believed.is_some_and(|believed| look.follows(believed)) {
                // The clock is back from a time that was not trusted: the times stored meanwhile do not count.
                self.newest_ms = unix_ms;
                self.patience = SETTLED;
            } else {
                let doubt = self.compare(unix_ms);
                self.patience = match doubt {
                    Some(_) => DOUBTED,
                    None => SETTLED,
                };
                let is_ahead = matches!(doubt, Some(Doubt::Ahead(_)));
                if is_ahead && self.believed.is_none() {
                    self.undated_until = Some(now);
                }
                self.doubt = Some(doubt.unwrap_or(Doubt::Set));
            }
        }
        self.looked = look;
        if self.is_even_for(self.patience) {
            if unix_ms >= EARLIEST_MS {
                self.believed = Some(look);
            }
            // The clock was right, and the log's newest time wrong.
            self.newest_ms = self.newest_ms.min(unix_ms);
        }
    }

    fn is_even_for(&self, time: Duration) -> bool {
        self.looked.now - self.even_since >= time
    }

    fn compare(&self, unix_ms: u64) -> Option<Doubt> {
        let off = Duration::from_millis(self.newest_ms.abs_diff(unix_ms));
        if unix_ms < self.newest_ms {
            (off > STEP).then_some(Doubt::Behind(off))
        } else {
            (off > AHEAD).then_some(Doubt::Ahead(off))
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 60 * 60 * 1000;
    const DAY: u64 = 24 * HOUR;
    const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
    /// In 2026.
    const TODAY: u64 = 1_790_000_000_000;

    /// A server that has run for `passed` milliseconds, and whose clock is `off` by so many.
    struct Run {
        calendar: Calendar,
        passed: u64,
        off: i64,
    }

    impl Run {
        fn start(off: i64, newest_ms: Option<u64>) -> Self {
            let unix_ms = TODAY.saturating_add_signed(off);
            Self {
                calendar: Calendar::new(Timestamp::ZERO, unix_ms, newest_ms),
                passed: 0,
                off,
            }
        }

        /// Lets time pass, in which the clock is looked at now and then.
        fn pass(&mut self, ms: u64) -> &mut Self {
            for _ in 0..4 {
                self.passed += ms / 4;
                self.stamp();
            }
            self
        }

        fn now(&self) -> (Timestamp, u64) {
            let unix_ms = (TODAY + self.passed).saturating_add_signed(self.off);
            (Timestamp::from_millis(self.passed), unix_ms)
        }

        fn stamp(&mut self) -> u64 {
            let (now, unix_ms) = self.now();
            self.calendar.stamp(now, unix_ms)
        }

        fn forgets(&mut self, age: Duration) -> bool {
            let (now, unix_ms) = self.now();
            self.calendar.cutoff(now, unix_ms, age).is_some()
        }

        fn doubt(&mut self) -> Option<Doubt> {
            self.calendar.take_doubt().map(|(doubt, _)| doubt)
        }
    }

    const WEEK_AHEAD: i64 = 7 * DAY as i64;
    const AT_1970: i64 = -(TODAY as i64);

    #[test]
    fn a_clock_in_line_with_the_log_is_believed_in_an_hour() {
        let mut run = Run::start(0, Some(TODAY - HOUR));
        assert_eq!(run.doubt(), None);
        assert!(!run.forgets(WEEK));
        assert!(!run.pass(HOUR - 4).forgets(WEEK));
        assert!(run.pass(4).forgets(WEEK));
        let (now, unix_ms) = run.now();
        let cutoff = run.calendar.cutoff(now, unix_ms, WEEK);
        assert_eq!(cutoff, Some(TODAY + HOUR - 7 * DAY));
        assert!(run.pass(30 * DAY).forgets(WEEK) && run.doubt().is_none());
    }

    /// A clock that is a week ahead at the start: nothing is forgotten, nor when it is corrected.
    #[test]
    fn a_start_a_week_ahead_forgets_nothing() {
        let mut run = Run::start(WEEK_AHEAD, Some(TODAY - HOUR));
        assert_eq!(
            run.doubt(),
            Some(Doubt::Ahead(Duration::from_millis(7 * DAY + HOUR)))
        );
        assert_eq!(run.doubt(), None, "returned once");
        assert!(!run.pass(DAY - 4).forgets(WEEK));
        run.off = 0;
        assert!(!run.forgets(WEEK));
        assert!(matches!(run.doubt(), Some(Doubt::Behind(_))));
        assert!(!run.pass(HOUR).forgets(WEEK));
        assert!(run.pass(DAY).forgets(WEEK));
        // The log's newest time was wrong, and is dropped.
        assert_eq!(run.stamp(), TODAY + run.passed);
    }

    /// A server that was down for long trusts its clock in the end.
    #[test]
    fn a_long_absence_is_believed_in_a_day() {
        let mut run = Run::start(0, Some(TODAY - 30 * DAY));
        assert!(matches!(run.doubt(), Some(Doubt::Ahead(_))));
        assert!(!run.pass(HOUR).forgets(WEEK));
        assert!(run.pass(DAY).forgets(WEEK));
    }

    /// A clock at 1970 at the start: times are stored as those of the log's newest, and nothing is lost when the
    /// clock is corrected.
    #[test]
    fn a_start_at_1970_stores_nothing_of_1970() {
        let mut run = Run::start(AT_1970, Some(TODAY - HOUR));
        assert!(matches!(run.doubt(), Some(Doubt::Behind(_))));
        assert_eq!(run.stamp(), TODAY - HOUR);
        assert_eq!(run.pass(HOUR / 2).stamp(), TODAY - HOUR);
        run.off = 0;
        assert_eq!(run.stamp(), TODAY + HOUR / 2);
        assert_eq!(run.doubt(), Some(Doubt::Set));
        assert!(!run.forgets(WEEK));
        assert!(run.pass(HOUR).forgets(WEEK));
    }

    /// With nothing to compare with, only an even run counts.
    #[test]
    fn a_new_log_has_no_doubt() {
        let mut run = Run::start(AT_1970, None);
        assert_eq!(run.doubt(), None);
        assert!(!run.forgets(WEEK));
        // Corrected, by decades.
        run.pass(HOUR / 2);
        run.off = 0;
        assert!(!run.pass(HOUR - 4).forgets(WEEK));
    }

    /// A new log, and a clock at 1970: what is stored meanwhile is kept for its full age after the clock was
    /// corrected, whenever that is.
    #[test]
    fn what_was_stored_at_1970_is_kept_for_its_age() {
        for at_1970 in [HOUR / 2, 3 * HOUR, 2 * DAY] {
            let mut run = Run::start(AT_1970, None);
            assert!(run.stamp() < DAY);
            run.pass(at_1970);
            run.off = 0;
            assert!(!run.forgets(WEEK), "{at_1970}");
            assert!(matches!(run.doubt(), Some(Doubt::Ahead(_))));
            assert!(!run.pass(6 * DAY).forgets(WEEK), "{at_1970}");
            assert!(!run.pass(DAY - 4).forgets(WEEK), "{at_1970}");
            assert!(run.pass(4).forgets(WEEK), "{at_1970}");
            assert!(!run.forgets(2 * WEEK), "{at_1970}");
        }
    }

    /// The same where the server was restarted with the right clock.
    #[test]
    fn a_log_of_1970_is_kept_for_its_age() {
        let mut run = Run::start(0, Some(3 * HOUR));
        assert!(matches!(run.doubt(), Some(Doubt::Ahead(_))));
        assert!(!run.pass(6 * DAY).forgets(WEEK));
        assert!(run.pass(DAY).forgets(WEEK));
    }

    /// A machine that never learns the time still forgets, as its clock runs evenly.
    #[test]
    fn a_clock_that_stays_at_1970_forgets() {
        let mut run = Run::start(AT_1970, None);
        assert!(run.pass(HOUR).forgets(WEEK));
        let mut run = Run::start(AT_1970, Some(DAY));
        assert!(run.pass(DAY).forgets(WEEK));
    }

    /// A small correction soon after the start delays nothing for long.
    #[test]
    fn a_correction_after_the_start_is_believed_in_an_hour() {
        let mut run = Run::start(-(10 * 60_000), Some(TODAY - DAY / 2));
        run.pass(60_000);
        run.off = 0;
        assert!(!run.forgets(WEEK));
        assert_eq!(run.doubt(), Some(Doubt::Set));
        assert!(run.pass(HOUR).forgets(WEEK));
    }

    /// A clock that is set forward and back while the server runs: nothing is forgotten in between, and stored
    /// times are right at once.
    #[test]
    fn a_clock_that_jumps_and_comes_back_is_believed() {
        for off in [WEEK_AHEAD, AT_1970, -(2 * HOUR as i64), 3 * HOUR as i64] {
            let mut run = Run::start(0, Some(TODAY));
            run.pass(2 * HOUR);
            run.off = off;
            assert!(!run.forgets(WEEK), "{off}");
            assert!(run.doubt().is_some(), "{off}");
            assert!(run.stamp() >= TODAY + 2 * HOUR, "{off}");
            assert!(!run.pass(HOUR / 2).forgets(WEEK), "{off}");
            run.off = 0;
            assert_eq!(run.stamp(), TODAY + run.passed, "{off}");
            assert_eq!(run.doubt(), None, "{off}");
            assert!(run.pass(HOUR).forgets(WEEK), "{off}");
        }
    }

    /// A daily correction by network time is no jump; a small step back does not turn stored times back.
    #[test]
    fn small_steps_are_none() {
        let mut run = Run::start(0, Some(TODAY));
        run.pass(2 * HOUR);
        let before = run.stamp();
        run.off = -30_000;
        assert!(run.forgets(WEEK) && run.doubt().is_none());
        assert!(run.stamp() + 30_000 >= before);
        run.passed += DAY;
        run.off += 80_000;
        assert!(run.forgets(WEEK) && run.doubt().is_none());
    }

    /// What is kept for seconds is forgotten after seconds, whatever the clock says.
    #[test]
    fn a_short_age_waits_no_longer_than_itself() {
        let age = Duration::from_secs(10);
        let mut run = Run::start(WEEK_AHEAD, Some(TODAY));
        assert!(!run.forgets(age));
        assert!(run.pass(10_000).forgets(age));
        assert!(!run.forgets(WEEK));
    }

    /// A step back of either clock is no reason to panic.
    #[test]
    fn clocks_that_go_back_are_borne() {
        let mut calendar = Calendar::new(Timestamp::from_millis(HOUR), TODAY, Some(u64::MAX));
        for (ms, unix_ms) in [(0, 0), (u64::MAX, u64::MAX), (0, u64::MAX), (1, 0)] {
            let now = Timestamp::from_millis(ms);
            calendar.stamp(now, unix_ms);
            calendar.cutoff(now, unix_ms, Duration::MAX);
            calendar.take_doubt();
        }
    }
}
