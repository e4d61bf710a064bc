//! Gaps: missing messages are reported, and nothing else is; positions that a log cannot continue.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use everbeat_protocol::client::{self, Event, Stored};
use everbeat_protocol::frame::{ClientFrame, ErrorCode, Joined, Refusal, ServerFrame};
use everbeat_protocol::position::Position;
use simulation::pair::Pair;

use crate::solo::{Solo, joined, lobby, message, offset, secs, seen, welcome};

/// RS-6: the log no longer reaches back: it is reported once, and the newest messages follow.
#[test]
fn a_trimmed_log_is_a_gap() {
    let mut pair = Pair::new();
    pair.client_config.join_limit = 5;
    let ada = pair.lobby_page();
    let bob = pair.lobby_page();
    pair.publish(ada, "seen");
    pair.run_for(secs(1));
    pair.half_open(bob);
    for n in 0..20 {
        pair.publish(ada, &format!("m{n}"));
    }
    pair.run_for(secs(1));
    pair.world.log.trim(&lobby(), offset(10));
    pair.run_for(secs(60));
    assert_eq!(
        seen(&pair, bob),
        ["seen", "m15", "m16", "m17", "m18", "m19"]
    );
    let shown = pair.clients[bob].shown(&lobby());
    assert_eq!(shown.gaps, 1);
    assert!(shown.joins.last().is_some_and(|joined| !joined.recovered));
}

/// RS-6: a log trimmed exactly up to the client's position is no gap; one message further is.
#[test]
fn the_edge_of_the_trimmed_log() {
    for (trim, gaps) in [(3, 0), (4, 1)] {
        let mut pair = Pair::new();
        let ada = pair.lobby_page();
        for body in ["1", "2", "3", "4", "5", "6"] {
            pair.publish(ada, body);
        }
        pair.run_for(secs(1));
        pair.world.log.trim(&lobby(), offset(trim));
        let epoch = pair.world.log.state(&lobby()).0;
        let bob = pair.page(Stored::default());
        let since = Position {
            epoch,
            offset: offset(3),
        };
        pair.join(bob, &lobby(), Some(since));
        pair.connect(bob);
        pair.run_for(secs(1));
        assert_eq!(
            pair.clients[bob].shown(&lobby()).gaps,
            gaps,
            "trimmed to {trim}"
        );
        let rest = 6 - trim as usize;
        assert_eq!(seen(&pair, bob).len(), rest);
    }
}

/// RS-6: another database has other epochs: no position of the old one counts as known.
#[test]
fn another_database_is_a_gap() {
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    let bob = pair.lobby_page();
    for body in ["old 1", "old 2"] {
        pair.publish(ada, body);
    }
    pair.run_for(secs(1));
    // Bob reconnects when the new log is longer than the old one was: only its epoch shows the difference.
    pair.sleep(bob);
    pair.crash();
    pair.world.log.replace();
    pair.restart();
    pair.run_for(secs(20));
    for body in ["new 1", "new 2", "new 3"] {
        pair.publish(ada, body);
    }
    pair.run_for(secs(20));
    pair.wake(bob);
    pair.run_for(secs(20));
    assert_eq!(
        seen(&pair, bob),
        ["old 1", "old 2", "new 1", "new 2", "new 3"]
    );
    assert_eq!(pair.clients[bob].shown(&lobby()).gaps, 1);
}

/// RS-6: a position beyond the head, of a log that lost its newest messages, is not recovered.
#[test]
fn a_position_beyond_the_head_is_not_recovered() {
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    pair.publish(ada, "only");
    pair.run_for(secs(1));
    let epoch = pair.world.log.state(&lobby()).0;
    let bob = pair.page(Stored::default());
    pair.join(
        bob,
        &lobby(),
        Some(Position {
            epoch,
            offset: offset(7),
        }),
    );
    pair.connect(bob);
    pair.run_for(secs(1));
    assert_eq!(pair.clients[bob].shown(&lobby()).gaps, 1);
    assert_eq!(seen(&pair, bob), ["only"]);
}

/// RS-6: a reader that is cut off while it is connected gets the gap, too.
#[test]
fn a_reader_that_is_cut_off_joins_anew() {
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    let bob = pair.lobby_page();
    for body in ["1", "2", "3"] {
        pair.publish(ada, body);
    }
    pair.run_for(secs(1));
    pair.world.cuts_off = pair.links.newest(bob);
    pair.publish(ada, "4");
    pair.run_for(secs(1));
    assert_eq!(seen(&pair, bob), ["1", "2", "3", "4"]);
    assert_eq!(pair.clients[bob].shown(&lobby()).joins.len(), 2);
    assert_eq!(pair.clients[bob].shown(&lobby()).gaps, 0);
}

/// RS-6: frames that are still on their way for a seat that was left say nothing of the next seat, whatever they
/// are. The pong of a ping before the `join` shows where they end.
#[test]
fn what_a_left_seat_still_gets_is_dropped() {
    let mut solo = Solo::live(client::Config::new(0));
    let join = |solo: &mut Solo, through| {
        let since = Position {
            epoch: joined(0, 0).epoch,
            offset: offset(through),
        };
        solo.act(|session, now| session.join(now, lobby(), Some(since)));
    };
    join(&mut solo, 3);
    assert_eq!(solo.pings(), 0);
    solo.frame(ServerFrame::Joined(joined(3, 3)));
    solo.act(|session, now| session.leave(now, &lobby()));
    join(&mut solo, 9);
    let sent = solo.frames();
    assert!(matches!(
        sent[sent.len() - 2..],
        [ClientFrame::Ping, ClientFrame::Join { .. }]
    ));
    solo.events.clear();
    // The reader of the seat before was cut off, and read on.
    solo.frame(ServerFrame::Joined(Joined {
        recovered: false,
        ..joined(5, 6)
    }));
    solo.frame(message(6));
    let refused = |code| {
        ServerFrame::Error(Refusal {
            room: Some(lobby()),
            ..Refusal::new(code)
        })
    };
    solo.frame(refused(ErrorCode::TooManyRooms));
    solo.frame(refused(ErrorCode::ReadDenied));
    let told = |solo: &Solo| {
        let told = solo.events.iter().filter_map(|event| match event {
            Event::Joined { joined, gap } => Some((joined.from.get(), *gap)),
            Event::Message(message) => Some((message.offset.get(), false)),
            _ => None,
        });
        told.collect::<Vec<_>>()
    };
    assert_eq!(told(&solo), []);
    solo.frame(ServerFrame::Pong);
    solo.frame(ServerFrame::Joined(joined(9, 9)));
    solo.frame(message(10));
    assert_eq!(told(&solo), [(9, false), (10, false)]);
    // On a fresh connection there can be no frame of an earlier seat.
    solo.close(None);
    solo.run_to(solo.now + secs(5));
    let pings = solo.pings();
    solo.greet(welcome());
    solo.frame(ServerFrame::Joined(joined(10, 10)));
    assert_eq!(told(&solo), [(9, false), (10, false), (10, false)]);
    assert_eq!(solo.pings(), pings);
}

/// RS-6: a client that left and joined again gets the answer for its earlier seat first, and then one for a
/// position that it is long past: nothing is missing, whatever these answers say.
#[test]
fn an_answer_to_an_older_position_is_no_gap() {
    let mut solo = Solo::live(client::Config::new(0));
    let since = Position {
        epoch: joined(0, 0).epoch,
        offset: offset(3),
    };
    solo.act(|session, now| session.join(now, lobby(), Some(since)));
    let not_recovered = |from, head| {
        ServerFrame::Joined(Joined {
            recovered: false,
            ..joined(from, head)
        })
    };
    solo.frame(not_recovered(5, 8));
    for number in 6..=8 {
        solo.frame(message(number));
    }
    solo.frame(not_recovered(6, 9));
    for number in 7..=9 {
        solo.frame(message(number));
    }
    // The client joined from a page that knew more than this late answer, which therefore says nothing of a gap.
    solo.frame(ServerFrame::Joined(joined(5, 5)));
    // Messages before `from` are missing, and a position behind the log's head is not good.
    solo.frame(not_recovered(10, 12));
    solo.frame(not_recovered(7, 9));
    let told = solo.events.iter().filter_map(|event| match event {
        Event::Joined { joined, gap } => Some((joined.from.get(), *gap)),
        Event::Message(message) => Some((message.offset.get(), false)),
        _ => None,
    });
    let told: Vec<_> = told.collect();
    let expected = [
        (5, true),
        (6, false),
        (7, false),
        (8, false),
        (6, false),
        (9, false),
        (5, false),
        (10, true),
        (7, true),
    ];
    assert_eq!(told, expected);
}
