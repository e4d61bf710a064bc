//! Listeners: readers of a room that are not members.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use everbeat_protocol::position::{Epoch, Position};
use everbeat_protocol::server::{Feed, FeedConfig, FeedInput, FeedTransmit, Pull, RoomView};
use everbeat_protocol::time::Timestamp;

use crate::solo::{at, offset, removed, secs};

fn position(epoch: &str, number: u64) -> Position {
    Position {
        epoch: Epoch::new(epoch),
        offset: offset(number),
    }
}

/// A log with messages 11 to 100, two of which are redacted.
fn view(head: u64) -> RoomView {
    RoomView {
        epoch: Epoch::new("e"),
        head: offset(head),
        trimmed: offset(10),
        members: Vec::new(),
        count: None,
        drafts: Vec::new(),
        redacted: vec![removed(20), removed(95)],
        version: 7,
    }
}

fn feed(since: Option<Position>, ends: Option<Timestamp>) -> Feed {
    let mut feed = Feed::new(FeedConfig {
        since,
        behind: false,
        ends,
        open_by: at(9_000),
        unavailable_retry: secs(2),
    });
    assert_eq!(feed.poll_transmit(), Some(FeedTransmit::OpenRoom));
    feed
}

/// RS-6: a node that may be behind does not take a later position of the same log for a gap.
#[test]
fn a_position_that_a_node_has_not_reached_is_no_gap() {
    for (behind, number, epoch) in [
        (true, 101, "e"),
        (false, 101, "e"),
        (true, 100, "e"),
        (true, 101, "f"),
    ] {
        let mut feed = Feed::new(FeedConfig {
            since: Some(Position {
                epoch: Epoch::new(epoch),
                offset: offset(number),
            }),
            behind,
            ends: None,
            open_by: at(9_000),
            unavailable_retry: secs(2),
        });
        feed.handle_input(at(0), FeedInput::RoomOpened(Some(view(100))));
        let transmits = drain(&mut feed);
        let is_refused = transmits.contains(&FeedTransmit::Refuse(secs(2)));
        assert_eq!(
            is_refused,
            behind && number > 100 && epoch == "e",
            "{transmits:?}"
        );
    }
}

fn opened(since: Option<Position>) -> (Feed, Vec<FeedTransmit>) {
    let mut feed = feed(since, None);
    feed.handle_input(at(0), FeedInput::RoomOpened(Some(view(100))));
    let transmits = drain(&mut feed);
    (feed, transmits)
}

fn drain(feed: &mut Feed) -> Vec<FeedTransmit> {
    std::iter::from_fn(|| feed.poll_transmit()).collect()
}

fn begin(number: u64, gap: bool) -> FeedTransmit {
    let position = position("e", number);
    FeedTransmit::Begin { position, gap }
}

fn pull(after: u64) -> FeedTransmit {
    FeedTransmit::Pull(Pull {
        after: offset(after),
        limit: 64,
        since: 7,
    })
}

/// RS-5, RS-6, EO-8: it begins at the listener's position, or reports a gap, and first sends the redactions of
/// messages that the listener has.
#[test]
fn listening_begins_where_the_listener_is() {
    let gone = |number| FeedTransmit::Redacted(removed(number));
    let checks = [
        (None, vec![begin(100, false)]),
        (
            Some(position("e", 100)),
            vec![begin(100, false), gone(20), gone(95)],
        ),
        (
            Some(position("e", 90)),
            vec![begin(90, false), gone(20), pull(90)],
        ),
        (Some(position("e", 10)), vec![begin(10, false), pull(10)]),
        (
            Some(position("e", 9)),
            vec![begin(50, true), gone(20), pull(50)],
        ),
        (
            Some(position("e", 101)),
            vec![begin(50, true), gone(20), pull(50)],
        ),
        (Some(position("other", 90)), vec![begin(50, true), pull(50)]),
    ];
    for (since, expected) in checks {
        assert_eq!(opened(since.clone()).1, expected, "{since:?}");
    }
}

/// RS-5, RS-6: one pull at a time; and a listener that is cut off goes on after what was written, or gets a gap.
#[test]
fn a_listener_goes_on_after_what_it_has() {
    let (mut feed, _) = opened(Some(position("e", 90)));
    let (head, version) = (offset(101), 7);
    feed.handle_input(at(1), FeedInput::RoomMoved { head, version });
    assert_eq!(drain(&mut feed), []);
    let (through, version) = (offset(101), 7);
    feed.handle_input(at(1), FeedInput::Pulled { through, version });
    assert_eq!(drain(&mut feed), []);
    feed.handle_input(at(2), FeedInput::CutOff);
    assert_eq!(drain(&mut feed), [FeedTransmit::OpenRoom]);
    feed.handle_input(at(2), FeedInput::RoomOpened(Some(view(101))));
    assert_eq!(drain(&mut feed)[0], begin(101, false));
    feed.handle_input(at(3), FeedInput::CutOff);
    drain(&mut feed);
    let trimmed = RoomView {
        trimmed: offset(150),
        redacted: Vec::new(),
        ..view(160)
    };
    feed.handle_input(at(3), FeedInput::RoomOpened(Some(trimmed)));
    assert_eq!(drain(&mut feed), [begin(150, true), pull(150)]);
}

/// RS-5: a log that cannot answer is asked again after a wait, not at once, and that is no gap.
#[test]
fn a_listener_waits_for_the_log() {
    let (mut feed, transmits) = opened(Some(position("e", 90)));
    assert_eq!(transmits.last(), Some(&pull(90)));
    feed.handle_input(at(0), FeedInput::PullFailed);
    assert_eq!(feed.poll_timeout(), Some(at(2_000)));
    feed.handle_timeout(at(1_999));
    assert_eq!(drain(&mut feed), []);
    feed.handle_timeout(at(2_000));
    assert_eq!(drain(&mut feed), [pull(90)]);
    feed.handle_input(at(2_000), FeedInput::CutOff);
    assert_eq!(drain(&mut feed), [FeedTransmit::OpenRoom]);
    assert_eq!(feed.poll_timeout(), None);
    feed.handle_input(at(2_000), FeedInput::RoomOpened(None));
    assert_eq!(feed.poll_timeout(), Some(at(4_000)));
    feed.handle_timeout(at(4_000));
    assert_eq!(drain(&mut feed), [FeedTransmit::OpenRoom]);
    feed.handle_input(at(4_000), FeedInput::RoomOpened(Some(view(100))));
    assert_eq!(drain(&mut feed)[0], begin(90, false));
}

/// RS-5: if the log cannot answer at first, or does not, nothing was sent yet, and the request is refused.
#[test]
fn a_listener_is_refused_where_the_log_does_not_answer() {
    let mut unavailable = feed(None, None);
    unavailable.handle_input(at(0), FeedInput::RoomOpened(None));
    let mut frozen = feed(None, None);
    assert_eq!(frozen.poll_timeout(), Some(at(9_000)));
    frozen.handle_timeout(at(8_999));
    assert_eq!(drain(&mut frozen), []);
    frozen.handle_timeout(at(9_000));
    for feed in [&mut unavailable, &mut frozen] {
        assert_eq!(drain(feed), [FeedTransmit::Refuse(secs(2))]);
        // The answer that comes late is of no use.
        feed.handle_input(at(9_001), FeedInput::RoomOpened(Some(view(100))));
        feed.handle_timeout(at(99_000));
        assert_eq!(drain(feed), []);
        assert_eq!(feed.poll_timeout(), None);
    }
}

/// AC-2, RC-3: if nothing was sent yet, the request is refused when the listener's access ends, or the server.
#[test]
fn a_listener_that_has_heard_nothing_is_refused() {
    let mut ended = feed(None, Some(at(500)));
    ended.handle_timeout(at(500));
    let mut removed = feed(None, None);
    removed.handle_input(at(1), FeedInput::Disconnected);
    let mut sent_away = feed(None, None);
    let reconnect_after = secs(3);
    sent_away.handle_input(at(1), FeedInput::GoAway { reconnect_after });
    for (feed, wait) in [
        (&mut ended, secs(2)),
        (&mut removed, secs(2)),
        (&mut sent_away, reconnect_after),
    ] {
        assert_eq!(drain(feed), [FeedTransmit::Refuse(wait)]);
        assert_eq!(feed.poll_timeout(), None);
    }
}

/// AC-2, RC-3: the answer ends with the listener's access, and when the server ends, with a slot; nothing follows.
#[test]
fn listening_ends() {
    let mut ended = feed(None, Some(at(500)));
    ended.handle_input(at(0), FeedInput::RoomOpened(Some(view(100))));
    drain(&mut ended);
    assert_eq!(ended.poll_timeout(), Some(at(500)));
    ended.handle_timeout(at(499));
    assert_eq!(drain(&mut ended), []);
    ended.handle_timeout(at(500));
    let (mut sent_away, _) = opened(None);
    let reconnect_after = secs(3);
    sent_away.handle_input(at(1), FeedInput::GoAway { reconnect_after });
    let (mut removed, _) = opened(None);
    removed.handle_input(at(1), FeedInput::Disconnected);
    let retry = FeedTransmit::Retry(reconnect_after);
    for (feed, expected) in [
        (&mut ended, vec![FeedTransmit::End]),
        (&mut removed, vec![FeedTransmit::End]),
        (&mut sent_away, vec![retry, FeedTransmit::End]),
    ] {
        assert_eq!(drain(feed), expected);
        assert_eq!(feed.poll_timeout(), None);
        let (head, version) = (offset(101), 8);
        feed.handle_input(at(600), FeedInput::RoomMoved { head, version });
        feed.handle_timeout(at(10_000));
        assert_eq!(drain(feed), []);
    }
}
