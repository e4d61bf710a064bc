//! How much of a room's history a log trims: the same for every log.

use protocol::position::Offset;

/// The most messages that are trimmed from one room at a time. They go in one transaction, for which all other
/// writes wait: this bounds the wait also where the limit was lowered by a million.
pub(crate) const TRIM_MAX: u64 = 4096;

/// How many rooms one command trims for age.
pub(crate) const ROOMS_MAX: usize = 256;

/// The offset up to which to trim a room; `None` while the room holds little more than its limit.
///
/// The slack makes trimming rare, instead of a part of every append.
pub(crate) fn trim_to(head: Offset, trimmed: Offset, history_per_room: u64) -> Option<Offset> {
    let slack = (history_per_room / 16).clamp(64, 1024);
    let held = head.get().saturating_sub(trimmed.get());
    let surplus = held.checked_sub(history_per_room)?;
    (surplus > slack).then(|| head.back(held.saturating_sub(surplus.min(TRIM_MAX))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(number: u64) -> Offset {
        Offset::new(number).unwrap()
    }

    #[test]
    fn trimming_is_rare_and_bounded() {
        let check = |head, trimmed, history, expected: Option<u64>| {
            let trim = trim_to(offset(head), offset(trimmed), history);
            assert_eq!(
                trim.map(Offset::get),
                expected,
                "{head} {trimmed} {history}"
            );
        };
        check(0, 0, 100, None);
        check(164, 0, 100, None);
        check(165, 0, 100, Some(65));
        check(265, 165, 100, None);
        check(101_024, 0, 100_000, None);
        check(101_025, 0, 100_000, Some(1025));
        check(1_000_000, 0, 100, Some(4096));
        check(65, 0, 0, Some(65));
        check(u64::from(u32::MAX), 0, u64::MAX, None);
    }
}
