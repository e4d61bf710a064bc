//! Times as text, and the reader's calendar.

use view::Day;

/// The latest moment of JavaScript's dates, in Unix milliseconds (ECMA-262, "Time Values and Time Range").
pub const LATEST_MS: u64 = 8_640_000_000_000_000;

/// How a moment is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The time of day.
    Time,
    /// The day.
    Date,
    /// All of it, with the time zone.
    Full,
    /// ISO 8601 in UTC, for programs.
    Iso,
}

/// The reader's clock and calendar, through the context. The browser's entry gives those of the browser; the server, which
/// knows neither the reader's time zone nor when the page is read, [`Clock::UTC`].
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The present moment, Unix time in milliseconds; `None` where the page is read later.
    pub now_ms: fn() -> Option<u64>,
    /// The day of a moment.
    pub day_of: fn(u64) -> Day,
    /// A moment as text, in the page's language.
    pub text: fn(u64, Form) -> String,
}

impl Clock {
    /// Times in UTC, which say so.
    pub const UTC: Self = Self {
        now_ms: || None,
        day_of: Day::utc,
        text: utc,
    };

    /// The present day.
    pub fn today(&self) -> Option<Day> {
        (self.now_ms)().map(self.day_of)
    }
}

/// A moment in UTC.
fn utc(at_ms: u64, form: Form) -> String {
    let seconds = at_ms.min(LATEST_MS) / 1000;
    let (year, month, day) = date(seconds / DAY_S);
    let minutes = seconds / 60 % (24 * 60);
    let time = format!("{:02}:{:02}", minutes / 60, minutes % 60);
    let date = format!("{year:04}-{month:02}-{day:02}");
    match form {
        Form::Time => format!("{time} UTC"),
        Form::Date => format!("{date} UTC"),
        Form::Full | Form::Iso => format!("{date}T{time}:{:02}Z", seconds % 60),
    }
}

const DAY_S: u64 = 24 * 60 * 60;

/// Year, month and day of a number of days since 1970-01-01, in the Gregorian calendar. It counts from
/// 0000-03-01, so that the leap day is the last one of its year.
const fn date(days: u64) -> (u64, u64, u64) {
    const ERA_DAYS: u64 = 146_097;
    let days = days + 719_468;
    let (era, day_of_era) = (days / ERA_DAYS, days % ERA_DAYS);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_utc() {
        let iso = |at_ms| utc(at_ms, Form::Iso);
        assert_eq!(iso(0), "1970-01-01T00:00:00Z");
        assert_eq!(iso(951_782_399_999), "2000-02-28T23:59:59Z");
        assert_eq!(iso(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(iso(1_795_391_948_000), "2026-11-22T23:59:08Z");
        assert_eq!(utc(1_795_391_948_000, Form::Time), "23:59 UTC");
        assert_eq!(utc(1_795_391_948_000, Form::Date), "2026-11-22 UTC");
        assert_eq!(iso(4_107_542_400_000), "2100-03-01T00:00:00Z");
        assert_eq!(iso(u64::MAX), "275760-09-13T00:00:00Z");
    }
}
