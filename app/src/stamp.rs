//! Times as text, in UTC: the server and the browser must render the same text.

const DAY_S: u64 = 24 * 60 * 60;

/// The time of day, "23:59".
pub(crate) fn clock(at_ms: u64) -> String {
    let minutes = at_ms / 60_000 % (24 * 60);
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// The time in ISO 8601, for the `datetime` attribute, "2026-11-22T23:59:08Z".
pub(crate) fn iso(at_ms: u64) -> String {
    let seconds = at_ms / 1000;
    let (year, month, day) = date(seconds / DAY_S);
    format!(
        "{year:04}-{month:02}-{day:02}T{}:{:02}Z",
        clock(at_ms),
        seconds % 60
    )
}

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
        assert_eq!(iso(0), "1970-01-01T00:00:00Z");
        assert_eq!(iso(951_782_399_999), "2000-02-28T23:59:59Z");
        assert_eq!(iso(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(iso(1_795_391_948_000), "2026-11-22T23:59:08Z");
        assert_eq!(clock(1_795_391_948_000), "23:59");
        assert_eq!(iso(4_107_542_400_000), "2100-03-01T00:00:00Z");
    }
}
