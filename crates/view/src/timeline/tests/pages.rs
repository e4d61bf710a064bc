//! What stands between rows: days, groups of one author, the line above what was not seen.

use super::*;
use crate::fixtures::{member, message_at};

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;

/// The items as text: `[2]` the third day, `-3-` the line above three unread, `+` before what follows the row above.
fn laid(timeline: &Timeline, now_ms: u64) -> String {
    laid_by(timeline, now_ms, &Day::utc)
}

fn laid_by(timeline: &Timeline, now_ms: u64, day_of: &dyn Fn(u64) -> Day) -> String {
    let pages = timeline.pages(now_ms, day_of);
    let items = pages.iter().flat_map(|page| &page.items);
    let words: Vec<String> = items
        .map(|item| match item {
            Item::Day { day, before } => {
                let keys: Vec<RowKey> = timeline.rows().iter().map(Row::key).collect();
                assert!(keys.contains(before));
                format!("[{}]", day.from_ms / DAY_MS)
            }
            Item::Unread { count } => format!("-{count}-"),
            Item::Row { row, follows } => {
                let body = match row {
                    Row::Logged(logged) => &logged.message.body,
                    Row::Pending(pending) => &*pending.body,
                    Row::Gap(_) => "|",
                };
                format!("{}{body}", if *follows { "+" } else { "" })
            }
        })
        .collect();
    words.join(" ")
}

/// A message at a minute of the first day.
fn said_at(author: &str, number: u64, minute: u64, body: &str) -> Report {
    let message = message_at(author, number, number, minute * MINUTE_MS, body);
    Report::Event(Event::Message(message))
}

fn opened() -> Timeline {
    fed(lobby(), &[welcomed("me"), joined(&[], "e", 0, false)])
}

#[test]
fn rows_of_one_author_are_a_group_for_some_minutes() {
    let said = [
        said_at("ada", 1, 0, "a"),
        said_at("ada", 2, 2, "b"),
        said_at("ada", 3, 5, "c"),
        // By the time of the first one, not of the last.
        said_at("ada", 4, 6, "d"),
        said_at("bob", 5, 6, "e"),
        said_at("ada", 6, 7, "f"),
        // A clock that was set back by more.
        said_at("ada", 7, 1, "g"),
    ];
    let timeline = fed(opened(), &said);
    assert_eq!(laid(&timeline, 0), "[0] a +b +c d e f g");
}

/// Readers know authors by name; but the name alone makes nobody the author.
#[test]
fn another_name_or_session_is_another_author() {
    let renamed = |number, session, name| {
        let mut message = message_at(session, number, number, 0, name);
        message.name = member(name).name;
        Report::Event(Event::Message(message))
    };
    let said = [
        renamed(1, "s", "ada"),
        renamed(2, "s", "ada"),
        renamed(3, "s", "bob"),
        renamed(4, "t", "bob"),
        // "You" is one author, over names and sessions.
        renamed(5, "me", "eve"),
        renamed(6, "me", "eva"),
    ];
    let timeline = fed(opened(), &said);
    assert_eq!(laid(&timeline, 0), "[0] ada +ada bob bob eve +eva");
}

#[test]
fn days_are_those_of_the_reader() {
    let said = [
        said_at("ada", 1, 24 * 60 - 1, "a"),
        said_at("ada", 2, 24 * 60, "b"),
        said_at("ada", 3, 24 * 60 + 1, "c"),
        said_at("ada", 4, 72 * 60, "d"),
    ];
    let timeline = fed(opened(), &said);
    assert_eq!(laid(&timeline, 0), "[0] a [1] b +c [3] d");
    // A reader eight hours east.
    let east = |at_ms: u64| {
        let shift = 8 * 60 * MINUTE_MS;
        let day = Day::utc(at_ms + shift);
        Day {
            from_ms: day.from_ms - shift,
            until_ms: day.until_ms - shift,
        }
    };
    assert_eq!(laid_by(&timeline, 0, &east), "[0] a +b +c [2] d");
    // The calendar is asked where the day may change only.
    let asked = std::cell::Cell::new(0);
    let counting = |at_ms| {
        asked.set(asked.get() + 1);
        Day::utc(at_ms)
    };
    timeline.pages(0, &counting);
    assert_eq!(asked.get(), 3);
}

/// EO-5: a message of this page keeps its place and its key when it gets its time.
#[test]
fn what_is_on_its_way_is_said_now() {
    let now_ms = DAY_MS + 2 * MINUTE_MS;
    let own = message_at("me", 1, 1, DAY_MS + MINUTE_MS, "a");
    let mut timeline = fed(
        opened(),
        &[said_at("ada", 1, 0, "x"), queued(0, "a"), queued(1, "b")],
    );
    assert_eq!(laid(&timeline, now_ms), "[0] x [1] a +b");
    let keys = |timeline: &Timeline| -> Vec<ItemKey> {
        let pages = timeline.pages(now_ms, &Day::utc);
        let items = pages.iter().flat_map(|page| &page.items);
        items.map(Item::key).collect()
    };
    let before = keys(&timeline);
    for (id, seq) in [(0, 1), (1, 2)] {
        timeline.fold(&fate(id, seq, Fate::Sent));
        timeline.fold(&Report::Event(Event::Message(Message {
            offset: offset(seq + 1),
            seq: Seq::after(id),
            body: ["a", "b"][usize::try_from(id).unwrap()].to_owned(),
            ..own.clone()
        })));
    }
    assert_eq!(timeline.waiting(), 0);
    assert_eq!(laid(&timeline, now_ms), "[0] x [1] a +b");
    assert_eq!(keys(&timeline), before);
    // What waits for the user was written at no certain time: it stands alone, under no day.
    timeline.fold(&queued(2, "c"));
    timeline.fold(&queued(3, "d"));
    timeline.fold(&fate(2, 3, Fate::Uncertain));
    timeline.fold(&fate(3, 4, Fate::Waiting));
    assert_eq!(laid(&timeline, 5 * DAY_MS), "[0] x [1] a +b c [5] d");
}

/// What is on the screen stays as it is when older messages come.
#[test]
fn history_changes_no_row_below() {
    let mut timeline = fed(lobby(), &[joined(&[], "e", 2, false)]);
    timeline.fold(&said_at("ada", 3, 1, "c"));
    timeline.fold(&said_at("ada", 4, 1, "d"));
    assert_eq!(laid(&timeline, 0), "[0] c +d");
    let rows = |timeline: &Timeline| -> Vec<Item> {
        let page = timeline.pages(0, &Day::utc).pop().unwrap();
        let items = page.items.into_iter();
        items.filter(|item| item.row().is_some()).collect()
    };
    let before = rows(&timeline);
    timeline.loading_older();
    timeline.fold(&history(&[(1, "a"), (2, "b")], false));
    assert_eq!(laid(&timeline, 0), "[0] a +b c +d");
    assert_eq!(rows(&timeline), before);
    // A gap parts them, too.
    timeline.fold(&joined(&[], "e", 9, true));
    timeline.fold(&said_at("ada", 10, 2, "j"));
    assert_eq!(laid(&timeline, 0), "[0] a +b c +d | j");
}

/// A row of the log that begins to follow the one above has another key: it is drawn anew.
#[test]
fn a_row_that_joins_a_group_has_another_key() {
    let mut timeline = fed(opened(), &[said_at("ada", 1, 0, "a")]);
    timeline.attend(false);
    timeline.fold(&said_at("ada", 2, 0, "b"));
    let key = |timeline: &Timeline| {
        let page = timeline.pages(0, &Day::utc).pop().unwrap();
        page.items.last().unwrap().key()
    };
    assert!(matches!(key(&timeline), ItemKey::Row(_, false)));
    timeline.fold(&said_at("me", 3, 0, "mine"));
    timeline.attend(true);
    timeline.attend(false);
    timeline.fold(&said_at("bob", 4, 0, "c"));
    assert_eq!(laid(&timeline, 0), "[0] a +b mine -1- c");
    let pages = timeline.pages(0, &Day::utc);
    assert!(matches!(pages[0].items[2].key(), ItemKey::Row(_, true)));
}

#[test]
fn a_line_stands_above_what_was_not_seen() {
    let mut timeline = fed(opened(), &[said_at("ada", 1, 0, "a")]);
    assert!(!timeline.attend(false));
    assert_eq!(
        (timeline.unread(), laid(&timeline, 0).as_str()),
        (0, "[0] a")
    );
    timeline.fold(&said_at("ada", 2, 0, "b"));
    timeline.fold(&said_at("ada", 3, 0, "c"));
    assert_eq!(timeline.unread(), 2);
    assert_eq!(laid(&timeline, 0), "[0] a -2- b +c");
    // It stays when they are seen, and counts no further.
    assert!(timeline.attend(true) && !timeline.attend(true));
    timeline.fold(&said_at("ada", 4, 0, "d"));
    assert_eq!(timeline.unread(), 0);
    assert_eq!(laid(&timeline, 0), "[0] a -2- b +c +d");
    // The next time it stands further down.
    timeline.attend(false);
    assert_eq!(laid(&timeline, 0), "[0] a -2- b +c +d");
    timeline.fold(&said_at("ada", 5, 0, "e"));
    assert_eq!(timeline.unread(), 1);
    assert_eq!(laid(&timeline, 0), "[0] a +b +c +d -1- e");
    // An answer ends it, and so does another room.
    timeline.fold(&queued(0, "f"));
    assert_eq!(
        (timeline.unread(), laid(&timeline, 0).as_str()),
        (0, "[0] a +b +c +d +e f")
    );
    timeline.fold(&said_at("ada", 6, 0, "g"));
    assert_eq!(timeline.unread(), 1);
    timeline.enter(&RoomName::lobby());
    assert_eq!(timeline.unread(), 0);
}

/// What this page sent is nothing new to its reader.
#[test]
fn own_messages_are_read() {
    let mut timeline = opened();
    timeline.attend(false);
    timeline.fold(&said_at("me", 1, 0, "a"));
    assert_eq!(
        (timeline.unread(), laid(&timeline, 0).as_str()),
        (0, "[0] a")
    );
    timeline.fold(&said_at("ada", 2, 0, "b"));
    timeline.fold(&said_at("me", 3, 0, "c"));
    assert_eq!(
        (timeline.unread(), laid(&timeline, 0).as_str()),
        (1, "[0] a -1- b c")
    );
}

/// The line stays in its place over gaps, new logs and dropped rows.
#[test]
fn the_line_outlives_its_row() {
    let mut timeline = fed(opened(), &[said_at("ada", 1, 0, "a")]);
    timeline.attend(false);
    timeline.fold(&said_at("ada", 2, 0, "b"));
    timeline.fold(&joined(&[], "f", 0, true));
    timeline.fold(&said_at("bob", 1, 0, "A"));
    assert_eq!(laid(&timeline, 0), "[0] a -2- b | A");
    for number in 2..=ROWS_MAX as u64 + 9 {
        timeline.fold(&said_at("bob", number, 0, "x"));
    }
    assert_eq!(timeline.unread() as usize, ROWS_MAX + 10);
    assert!(laid(&timeline, 0).starts_with(&format!("[0] -{}- x +x", ROWS_MAX + 10)));
}
