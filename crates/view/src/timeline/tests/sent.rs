//! Messages of this page, from the outbox to the log.

use super::*;

/// A view that begins with the outbox hears of the same messages once more, where their reports were still to come.
#[test]
fn a_message_that_the_view_has_is_not_queued_twice() {
    let mut timeline = lobby();
    timeline.fold(&queued(0, "one"));
    timeline.fold(&queued(0, "one"));
    assert_eq!(shown(&timeline), "one*");
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
