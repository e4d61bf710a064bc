//! The rows of the log: their order, gaps, history, bounds.

use super::*;

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
