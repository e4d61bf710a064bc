//! Tests of the timeline, which is shown as one line of text.

use protocol::frame::ErrorCode;

use super::*;
use crate::fixtures::{entry, joined, message, offset, session, snapshot, welcomed};

/// The rows as text: `*` marks what is on its way, `!` refused, `?` uncertain, `=` held, `|` a gap.
fn shown(timeline: &Timeline) -> String {
    let rows = timeline.rows();
    check_pages(&timeline.pages(), &rows);
    let words: Vec<String> = rows
        .iter()
        .map(|row| match row {
            Row::Logged(logged) => logged.message.body.clone(),
            Row::Gap(_) => "|".to_owned(),
            Row::Pending(pending) => {
                let mark = match pending.fate {
                    Fate::Waiting | Fate::Sent => "*",
                    Fate::Durable { .. } => "",
                    Fate::Refused { .. } => "!",
                    Fate::Uncertain => "?",
                    Fate::Held => "=",
                };
                format!("{}{mark}", pending.body)
            }
        })
        .collect();
    words.join(" ")
}

/// The pages are the rows, in their order, and no two pages are the same.
fn check_pages(pages: &[Page], rows: &[Row]) {
    let paged: Vec<&Row> = pages.iter().flat_map(|page| &page.rows).collect();
    assert_eq!(paged, rows.iter().collect::<Vec<_>>());
    for (index, page) in pages.iter().enumerate() {
        assert!(!page.rows.is_empty());
        assert!(pages[..index].iter().all(|other| other.key != page.key));
    }
}

fn said(author: &str, number: u64, seq: u64, body: &str) -> Report {
    Report::Event(Event::Message(message(author, number, seq, body)))
}

fn removed(author: &str, number: u64, seq: u64) -> Report {
    Report::Event(Event::Redacted(Message {
        removed: true,
        ..message(author, number, seq, "")
    }))
}

fn queued(id: u64, body: &str) -> Report {
    Report::Event(Event::Queued(entry(id, body, Stage::Unsent)))
}

fn fate(id: u64, seq: u64, fate: Fate) -> Report {
    Report::Event(Event::Fate {
        id: EntryId(id),
        seq: Seq::after(seq - 1),
        fate,
    })
}

fn durable(id: u64, seq: u64, number: u64) -> Report {
    fate(
        id,
        seq,
        Fate::Durable {
            offset: Some(offset(number)),
        },
    )
}

fn history(bodies: &[(u64, &str)], more: bool) -> Report {
    let messages = bodies
        .iter()
        .map(|(number, body)| message("ada", *number, *number, body))
        .collect();
    Report::Event(Event::History {
        room: RoomName::lobby(),
        messages,
        more,
    })
}

fn fed(timeline: Timeline, reports: &[Report]) -> Timeline {
    reports.iter().fold(timeline, |mut timeline, report| {
        timeline.fold(report);
        timeline
    })
}

fn lobby() -> Timeline {
    Timeline::new(RoomName::lobby(), None)
}

/// A view that begins with the outbox hears of the same messages once more, where their reports were still to come.
#[test]
fn a_message_that_the_view_has_is_not_queued_twice() {
    let mut timeline = lobby();
    timeline.fold(&queued(0, "one"));
    timeline.fold(&queued(0, "one"));
    assert_eq!(shown(&timeline), "one*");
}

/// RS-7: the timeline begins with the rendered rows, and shows none twice.
#[test]
fn it_starts_from_the_snapshot_and_goes_on() {
    let mut timeline = Timeline::new(
        RoomName::lobby(),
        Some(&snapshot(&[("ada", "a"), ("bob", "b")])),
    );
    assert_eq!(
        timeline.position().map(|position| position.offset),
        Some(offset(2))
    );
    assert!(!timeline.fold(&joined(&[], "e", 2, false)));
    assert!(!timeline.fold(&said("bob", 2, 2, "b")));
    assert!(timeline.fold(&said("ada", 3, 3, "c")));
    assert_eq!(shown(&timeline), "a b c");
    assert_eq!(timeline.received(), 1);
}

/// EO-5: one row from the box to the log.
#[test]
fn an_own_message_becomes_durable_in_its_row() {
    let mut timeline = fed(lobby(), &[welcomed("me"), queued(0, "hi"), queued(1, "ho")]);
    assert_eq!(
        (shown(&timeline).as_str(), timeline.waiting()),
        ("hi* ho*", 2)
    );
    let before = timeline.rows()[0].key();
    timeline.fold(&fate(0, 1, Fate::Sent));
    timeline.fold(&durable(0, 1, 7));
    assert_eq!(
        (shown(&timeline).as_str(), timeline.waiting()),
        ("hi ho*", 1)
    );
    assert!(timeline.fold(&said("me", 7, 1, "hi")));
    assert_eq!(shown(&timeline), "hi ho*");
    assert_eq!(timeline.rows()[0].key(), before);
    let progress = timeline.progress(EntryId(0)).unwrap();
    assert_eq!(
        (progress.offset, progress.at_ms),
        (Some(offset(7)), Some(7000))
    );
    assert_eq!(timeline.received(), 0);
}

#[test]
fn the_message_may_come_before_the_ack() {
    let sent = [
        welcomed("me"),
        queued(0, "hi"),
        fate(0, 1, Fate::Sent),
        said("me", 1, 1, "hi"),
    ];
    let mut timeline = fed(lobby(), &sent);
    assert_eq!(shown(&timeline), "hi");
    assert!(!timeline.fold(&durable(0, 1, 1)));
    assert_eq!(shown(&timeline), "hi");
}

/// RS-3: a message is settled by `welcome`; the replay brings its row.
#[test]
fn an_ack_without_offset_leaves_it_to_the_log() {
    let sent = [welcomed("me"), queued(0, "hi"), fate(0, 1, Fate::Sent)];
    let mut timeline = fed(lobby(), &sent);
    timeline.fold(&fate(0, 1, Fate::Durable { offset: None }));
    assert_eq!(shown(&timeline), "");
    timeline.fold(&said("me", 1, 1, "hi"));
    assert_eq!(shown(&timeline), "hi");
}

/// EO-4, RS-7: a message that was sent before a reload may be in the rendered rows already.
#[test]
fn a_restored_entry_in_the_snapshot_is_one_row() {
    let rendered = snapshot(&[("me", "hi"), ("ada", "a")]);
    let mut timeline = Timeline::new(RoomName::lobby(), Some(&rendered));
    let outbox = vec![
        entry(0, "hi", Stage::Sent),
        entry(1, "ho", Stage::Unsent),
        entry(5, "hm", Stage::Uncertain),
    ];
    assert!(timeline.fold(&Report::Restored {
        session: Some(session("me")),
        outbox
    }));
    assert_eq!(shown(&timeline), "hi a ho* hm?");
    assert!(
        timeline
            .rows()
            .iter()
            .any(|row| matches!(row, Row::Logged(logged) if logged.own))
    );
}

/// RS-9: the core found an uncertain message among those shown: it is that row.
#[test]
fn a_message_that_was_found_is_the_row_that_is_shown() {
    let rendered = snapshot(&[("old", "hi"), ("ada", "a")]);
    let mut timeline = Timeline::new(RoomName::lobby(), Some(&rendered));
    timeline.fold(&Report::Restored {
        session: Some(session("me")),
        outbox: vec![entry(0, "hi", Stage::Uncertain)],
    });
    assert_eq!(shown(&timeline), "hi a hi?");
    assert!(timeline.fold(&durable(0, 1, 1)));
    assert_eq!(shown(&timeline), "hi a");
    assert_eq!(timeline.rows()[0].key(), RowKey::Entry(0));
    // Also among older messages.
    let mut timeline = fed(
        lobby(),
        &[
            joined(&[], "e", 9, false),
            queued(1, "b"),
            fate(1, 1, Fate::Uncertain),
            durable(1, 1, 9),
        ],
    );
    timeline.fold(&history(&[(8, "a"), (9, "b")], true));
    assert_eq!(shown(&timeline), "a b");
    assert!(!timeline.fold(&durable(1, 1, 9)));
}

/// EO-6: the number alone does not make it the same message.
#[test]
fn another_body_under_the_number_is_another_message() {
    let sent = [
        welcomed("me"),
        queued(0, "hi"),
        fate(0, 1, Fate::Sent),
        said("me", 1, 1, "other"),
    ];
    assert_eq!(shown(&fed(lobby(), &sent)), "other hi*");
}

/// RS-9: an uncertain message is found in the log, or left to the user.
#[test]
fn uncertain_ones_are_resolved_by_the_log_or_by_the_person() {
    let lost = [
        welcomed("old"),
        queued(0, "a"),
        queued(1, "b"),
        queued(2, "c"),
        fate(0, 1, Fate::Sent),
        fate(1, 2, Fate::Sent),
        fate(2, 1, Fate::Waiting),
        fate(0, 1, Fate::Uncertain),
        fate(1, 2, Fate::Uncertain),
        welcomed("new"),
    ];
    let mut timeline = fed(lobby(), &lost);
    assert_eq!(
        (shown(&timeline).as_str(), timeline.waiting()),
        ("a? b? c*", 1)
    );
    // The old session's first message is not the new session's first.
    timeline.fold(&durable(0, 1, 1));
    timeline.fold(&said("old", 1, 1, "a"));
    assert_eq!(shown(&timeline), "a b? c*");
    timeline.fold(&fate(1, 2, Fate::Waiting));
    assert_eq!(shown(&timeline), "a c* b*");
    timeline.fold(&fate(1, 2, Fate::Sent));
    timeline.fold(&said("new", 2, 2, "b"));
    assert_eq!(shown(&timeline), "a b c*");
    assert!(timeline.dismiss(EntryId(2)) && !timeline.dismiss(EntryId(2)));
    assert_eq!(shown(&timeline), "a b");
}

/// EO-7: a refused text stays until the user drops it, also over a reload.
#[test]
fn refused_ones_stay_until_dismissed() {
    let mut timeline = fed(lobby(), &[welcomed("me")]);
    let code = ErrorCode::BodyTooLarge;
    timeline.fold(&queued(0, "no"));
    timeline.fold(&fate(0, 1, Fate::Refused { code }));
    assert_eq!((shown(&timeline).as_str(), timeline.waiting()), ("no!", 0));
    let reloaded = Report::Restored {
        session: Some(session("me")),
        outbox: vec![entry(0, "no", Stage::Refused(code))],
    };
    let mut timeline = fed(lobby(), &[reloaded]);
    assert_eq!((shown(&timeline).as_str(), timeline.waiting()), ("no!", 0));
    let (room, text) = timeline.text(EntryId(0)).unwrap();
    assert_eq!((room, &*text), (RoomName::lobby(), "no"));
    assert!(timeline.dismiss(EntryId(0)));
    assert_eq!(shown(&timeline), "");
}

/// RS-8: messages that a closed page left are on their way in its session, and are the page's own; one that waits
/// for the user then is queued under another id.
#[test]
fn what_another_page_left_is_taken_up() {
    let mut timeline = fed(lobby(), &[welcomed("me")]);
    timeline.fold(&queued(0, "mine"));
    timeline.fold(&fate(0, 1, Fate::Sent));
    const FAR: u64 = 1 << 40;
    let taken_up = Report::TakenUp {
        session: Some(session("dead")),
        outbox: vec![
            Entry {
                id: EntryId(FAR),
                ..entry(0, "a", Stage::Sent)
            },
            Entry {
                id: EntryId(FAR + 1),
                ..entry(1, "b", Stage::Unsent)
            },
        ],
    };
    assert!(timeline.fold(&taken_up));
    assert_eq!(timeline.waiting(), 3);
    timeline.fold(&fate(FAR + 1, 2, Fate::Sent));
    timeline.fold(&said("dead", 1, 1, "a"));
    timeline.fold(&said("me", 2, 1, "mine"));
    timeline.fold(&said("dead", 3, 2, "b"));
    assert_eq!(
        (shown(&timeline).as_str(), timeline.waiting()),
        ("a mine b", 0)
    );
    assert!(
        timeline
            .rows()
            .iter()
            .filter_map(Row::logged)
            .all(|row| row.own)
    );

    let mut timeline = fed(lobby(), &[welcomed("me"), taken_up]);
    timeline.fold(&fate(FAR, 1, Fate::Uncertain));
    timeline.fold(&fate(FAR + 1, 2, Fate::Held));
    assert_eq!(shown(&timeline), "a? b=");
    for (index, (body, stage)) in [("a", Stage::Uncertain), ("b", Stage::Held)]
        .iter()
        .enumerate()
    {
        let index = index as u64;
        timeline.fold(&Report::Event(Event::Queued(entry(index, body, *stage))));
        timeline.fold(&Report::HandedOver {
            id: EntryId(FAR + index),
        });
    }
    assert_eq!((shown(&timeline).as_str(), timeline.queued()), ("a? b=", 0));
}

/// RS-6: a new log, or one that does not reach back, is shown as a gap.
#[test]
fn gaps_are_shown_and_epochs_kept_apart() {
    let mut timeline = Timeline::new(
        RoomName::lobby(),
        Some(&snapshot(&[("ada", "a"), ("ada", "b")])),
    );
    assert!(timeline.fold(&joined(&[], "e", 9, true)));
    timeline.fold(&said("ada", 10, 10, "j"));
    assert_eq!(shown(&timeline), "a b | j");
    assert_eq!(timeline.older_than(), Some(offset(10)));
    timeline.fold(&joined(&[], "f", 0, true));
    timeline.fold(&joined(&[], "f", 0, true));
    timeline.fold(&said("ada", 1, 1, "A"));
    assert_eq!(shown(&timeline), "a b | j | A");
    assert!(!timeline.has_older());
}

#[test]
fn history_goes_in_front_and_closes_gaps() {
    let mut timeline = Timeline::new(
        RoomName::lobby(),
        Some(&snapshot(&[("ada", "a"), ("ada", "b")])),
    );
    timeline.fold(&joined(&[], "e", 4, true));
    timeline.fold(&said("ada", 5, 5, "e"));
    timeline.loading_older();
    assert_eq!(timeline.older_than(), None);
    timeline.fold(&history(&[(4, "d")], true));
    assert_eq!(
        (shown(&timeline).as_str(), timeline.older_than()),
        ("a b | d e", Some(offset(4)))
    );
    timeline.fold(&history(&[(2, "b"), (3, "c")], true));
    assert_eq!(shown(&timeline), "a b c d e");
    assert_eq!((timeline.has_older(), timeline.last_gap()), (false, None));
}

/// PU-4: the list is bounded, and dropped rows can be loaded again.
#[test]
fn rows_are_bounded() {
    let mut timeline = fed(lobby(), &[joined(&[], "e", 0, false)]);
    for number in 1..=600 {
        timeline.fold(&said("ada", number, number, "x"));
    }
    assert_eq!(
        (timeline.rows().len(), timeline.older_than()),
        (ROWS_MAX, Some(offset(101)))
    );
    let older: Vec<(u64, &str)> = (51..=100).map(|number| (number, "y")).collect();
    timeline.fold(&history(&older, true));
    assert_eq!(timeline.rows().len(), ROWS_MAX + 50);
    timeline.fold(&said("ada", 601, 601, "x"));
    assert_eq!(timeline.rows().len(), ROWS_MAX + 50);
    assert!(!timeline.follow(false));
    for number in 602..=700 {
        timeline.fold(&said("ada", number, number, "x"));
    }
    assert_eq!(timeline.rows().len(), ROWS_MAX + 149);
    assert!(timeline.follow(true) && !timeline.follow(true));
    assert_eq!(
        (timeline.rows().len(), timeline.older_than()),
        (ROWS_MAX, Some(offset(201)))
    );
}

#[test]
fn rooms_share_the_outbox_and_nothing_else() {
    let tea = RoomName::new("tea").unwrap();
    let mut timeline = fed(
        lobby(),
        &[welcomed("me"), said("ada", 1, 1, "a"), queued(0, "hi")],
    );
    timeline.enter(&tea);
    assert_eq!((shown(&timeline).as_str(), timeline.waiting()), ("", 1));
    assert!(!timeline.fold(&said("ada", 2, 2, "b")));
    timeline.fold(&durable(0, 1, 3));
    timeline.enter(&RoomName::lobby());
    assert_eq!((shown(&timeline).as_str(), timeline.position()), ("", None));
    timeline.fold(&joined(&[], "e", 2, false));
    assert_eq!(timeline.older_than(), Some(offset(3)));
}

#[test]
fn an_answer_that_was_lost_can_be_asked_for_again() {
    let mut timeline = fed(lobby(), &[joined(&[], "e", 9, false)]);
    timeline.loading_older();
    let status = protocol::client::Status::Connecting;
    assert!(timeline.fold(&Report::Status {
        status,
        retry_in: None
    }));
    assert_eq!(timeline.older_than(), Some(offset(10)));
}

/// RS-6: older messages go in front of those that they meet, or nowhere.
#[test]
fn an_answer_to_an_earlier_request_makes_no_hole() {
    let mut timeline = fed(lobby(), &[joined(&[], "e", 9, false)]);
    timeline.fold(&said("ada", 10, 10, "j"));
    timeline.loading_older();
    // A gap came between.
    timeline.fold(&joined(&[], "e", 20, true));
    timeline.fold(&said("ada", 21, 21, "u"));
    let late = history(&[(8, "h"), (9, "i")], true);
    assert!(!timeline.fold(&late));
    assert_eq!(shown(&timeline), "j | u");
    // The room was left and entered again.
    timeline.enter(&RoomName::lobby());
    assert!(!timeline.fold(&late));
    timeline.fold(&joined(&[], "e", 20, false));
    timeline.loading_older();
    timeline.fold(&late);
    assert_eq!((shown(&timeline).as_str(), timeline.loads()), ("", 0));
    assert!(timeline.fold(&history(&[(19, "s"), (20, "t")], true)));
    assert_eq!(shown(&timeline), "s t");
    // No message at all is an answer only to a request.
    timeline.fold(&history(&[], false));
    assert!(timeline.has_older());
    timeline.loading_older();
    timeline.fold(&history(&[], false));
    assert!(!timeline.has_older());
}

/// EO-5: an own message that is durable before the segment is in the log, not behind the newest.
#[test]
fn what_is_durable_further_up_is_not_shown_as_the_newest() {
    let mut timeline = fed(lobby(), &[queued(0, "a"), durable(0, 1, 3), queued(1, "b")]);
    assert_eq!(shown(&timeline), "a b*");
    timeline.fold(&joined(&[], "e", 9, false));
    assert_eq!(shown(&timeline), "b*");
    timeline.fold(&durable(1, 2, 4));
    assert_eq!(shown(&timeline), "");
    // So are those of a log that is gone.
    let mut timeline = fed(
        lobby(),
        &[joined(&[], "e", 2, false), queued(0, "a"), durable(0, 1, 3)],
    );
    timeline.fold(&joined(&[], "f", 0, true));
    assert_eq!(shown(&timeline), "|");
    // The first that is seen may be another one than that in which they are.
    let mut timeline = fed(lobby(), &[queued(0, "a"), durable(0, 1, 37)]);
    timeline.fold(&joined(&[], "f", 0, false));
    assert_eq!(shown(&timeline), "");
}

/// RS-6: a row that is trimmed while older ones are on the way would leave a hole.
#[test]
fn no_row_goes_while_older_ones_come() {
    let mut timeline = fed(lobby(), &[joined(&[], "e", 100, false)]);
    for number in 101..=600 {
        timeline.fold(&said("ada", number, number, "x"));
    }
    timeline.loading_older();
    timeline.fold(&said("ada", 601, 601, "x"));
    assert!(timeline.fold(&history(&[(99, "y"), (100, "y")], true)));
    let offsets: Vec<u64> = timeline.messages().map(|m| m.offset.get()).collect();
    assert_eq!(offsets, (99..=601).collect::<Vec<_>>());
}

/// EO-8: a redacted text disappears, also from a row that was this page's own outbox entry; the row has
/// another key then, or it would stay as it was drawn.
#[test]
fn a_removed_text_goes_from_its_row() {
    let mut timeline = Timeline::new(RoomName::lobby(), None);
    let reports = [
        welcomed("me"),
        joined(&[], "e", 0, false),
        queued(7, "mine"),
    ];
    reports.iter().for_each(|report| {
        timeline.fold(report);
    });
    timeline.fold(&fate(7, 1, Fate::Sent));
    timeline.fold(&said("me", 1, 1, "mine"));
    timeline.fold(&said("ada", 2, 1, "hers"));
    let before: Vec<_> = timeline.rows().iter().map(Row::key).collect();
    assert!(timeline.fold(&removed("me", 1, 1)));
    assert!(timeline.fold(&removed("ada", 2, 1)));
    assert!(!timeline.fold(&removed("ada", 3, 2)), "it is not shown");
    assert_eq!(shown(&timeline), " ");
    let rows = timeline.rows();
    for (row, before) in rows.iter().zip(before) {
        assert_ne!(row.key(), before);
        assert!(row.logged().is_some_and(|row| row.message.removed));
    }
    // Redacted before this page saw it in the log: it is still the entry that was on its way.
    timeline.fold(&queued(8, "mine, too"));
    timeline.fold(&fate(8, 2, Fate::Sent));
    let gone = Message {
        removed: true,
        ..message("me", 3, 2, "")
    };
    timeline.fold(&Report::Event(Event::Message(gone)));
    assert_eq!(timeline.waiting(), 0);
    assert_eq!(timeline.rows().len(), 3);
}
