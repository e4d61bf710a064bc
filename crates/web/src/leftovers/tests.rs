//! Tests of leftovers: when the outbox of a closed page may be taken up.

use super::*;
use crate::storage::tests::Shelf;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

fn left(shelf: &Shelf, page: &str, mark: &str) {
    let prefix = prefix(&PageId(page.into()));
    if !mark.is_empty() {
        shelf.set(&mark_key(&prefix), mark).unwrap();
    }
    shelf.set(&format!("{prefix}outbox.0"), "{}").unwrap();
}

fn look_at(shelf: &Shelf, now_ms: u64, is_first: bool) -> Vec<(String, Verdict)> {
    let own = PageId("me".into());
    let found = look(shelf, Some(&own), now_ms, is_first);
    found
        .into_iter()
        .map(|(page, what)| (page.0, what))
        .collect()
}

/// RS-8: a page that is reloaded gets the time for that, one that crashed, too.
#[test]
fn a_page_must_be_gone_for_a_while() {
    let shelf = Shelf::default();
    left(&shelf, "me", "0.");
    left(&shelf, "closed", "10000.");
    let rest = Verdict::Wait(Duration::from_secs(2));
    assert_eq!(look_at(&shelf, 11_000, true), [("closed".into(), rest)]);
    assert_eq!(
        look_at(&shelf, 13_000, true),
        [("closed".into(), Verdict::Take)]
    );
    // The clock was set back.
    assert_eq!(
        look_at(&shelf, 5_000, true),
        [("closed".into(), Verdict::Take)]
    );

    left(&shelf, "crashed", "9000");
    left(&shelf, "odd", "garbage");
    let first = look_at(&shelf, 14_000, true);
    let grace = Verdict::Wait(GRACE);
    let expected = [
        ("closed".into(), Verdict::Take),
        ("crashed".into(), grace),
        ("odd".into(), grace),
    ];
    assert_eq!(first, expected);
    let second = look_at(&shelf, 14_000, false);
    assert!(second.iter().all(|(_, verdict)| *verdict == Verdict::Take));
}

/// RS-9: messages are kept as long as the session, and no longer.
#[test]
fn what_is_too_old_is_forgotten() {
    let shelf = Shelf::default();
    left(&shelf, "closed", "0.");
    let at = |now_ms| look_at(&shelf, now_ms, true)[0].1;
    assert_eq!(at(7 * DAY_MS), Verdict::Take);
    assert_eq!(at(7 * DAY_MS + 1), Verdict::Forget);
    forget(&shelf, &prefix(&PageId("closed".into())));
    assert!(shelf.keys().is_empty());
}

#[test]
fn only_who_leaves_something_says_goodbye() {
    let (shelf, page) = (Shelf::default(), PageId("p".into()));
    say_gone(&shelf, &page, 1);
    assert!(!has_any(&shelf, &page) && shelf.keys().is_empty());
    left(&shelf, "p", "0");
    say_gone(&shelf, &page, 1);
    let mark = Mark::read(&shelf, &prefix(&page));
    let gone = Mark {
        at_ms: 1,
        is_gone: true,
    };
    assert_eq!(mark, Some(gone));
}
