//! Every message once, in order, and durable before any reader gets it.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use everbeat_protocol::client::{self, Event, Fate};
use everbeat_protocol::close::CloseCode;
use everbeat_protocol::frame::{ClientFrame, ServerFrame};
use everbeat_protocol::id::Seq;
use everbeat_protocol::outbox::{OutboxLimit, PublishError};
use everbeat_protocol::position::{Epoch, Position};
use everbeat_protocol::server::{Config, RoomView};

use crate::solo::{
    Desk, Solo, appended, appends, joined, lobby, message, millis, offset, opened, publish,
    removed, secs, view,
};
use simulation::pair::Pair;

/// EO-1: the next number is appended, a lower one gets its first ack again, a higher one ends the connection.
#[test]
fn numbers_are_dense() {
    let mut desk = Desk::live(Config::default());
    desk.frame(publish(1, "a"));
    desk.frame(publish(2, "b"));
    desk.frame(publish(1, "a"));
    assert_eq!(appends(&desk), [1, 2, 1]);
    desk.input(appended(1, Ok(7)));
    desk.input(appended(2, Ok(8)));
    desk.input(appended(1, Ok(7)));
    let acks: Vec<_> = desk.frames().into_iter().cloned().collect();
    let ack = |seq, at| ServerFrame::Ack {
        seq: Seq::new(seq).unwrap(),
        room: lobby(),
        offset: offset(at),
    };
    assert_eq!(acks, [ack(1, 7), ack(2, 8), ack(1, 7)]);
    desk.frame(publish(4, "d"));
    assert_eq!(desk.closes(), [CloseCode::SEQ_GAP]);
    assert_eq!(appends(&desk), [1, 2, 1]);
}

/// EO-1: a resumed session goes on after its last number, and with no other.
#[test]
fn a_resumed_session_goes_on_after_its_last_number() {
    for (seq, is_taken) in [(5, true), (6, false)] {
        let mut desk = Desk::new(Config::default());
        desk.open(everbeat_protocol::server::SessionOpened {
            resumed: true,
            last_seq: 4,
            ..opened()
        });
        desk.frame(publish(seq, "x"));
        assert_eq!(appends(&desk).len(), usize::from(is_taken));
        assert_eq!(desk.closes().is_empty(), is_taken);
    }
}

/// EO-2: neither the ack nor the message is seen before the commit; a crash in between loses
/// nothing and doubles nothing.
#[test]
fn nothing_is_seen_before_it_is_durable() {
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    let bob = pair.lobby_page();
    pair.world.log.commit_latency = millis(300);
    let id = pair.publish(ada, "a");
    pair.run_for(millis(319));
    assert_eq!(pair.clients[ada].fate(id), Some(Fate::Sent));
    assert_eq!(pair.clients[bob].shown(&lobby()).bodies(), [""; 0]);
    pair.run_for(millis(30));
    assert!(pair.clients[ada].is_durable(id));
    assert_eq!(pair.clients[bob].shown(&lobby()).bodies(), ["a"]);

    let id = pair.publish(ada, "b");
    pair.run_for(millis(200));
    pair.crash();
    assert_eq!(pair.world.log.bodies(&lobby()), ["a"]);
    pair.restart();
    pair.run_for(secs(30));
    assert!(pair.clients[ada].is_durable(id));
    assert_eq!(pair.clients[bob].shown(&lobby()).bodies(), ["a", "b"]);
}

/// EO-2: the server's machine passes a message on only by way of the log.
#[test]
fn an_append_is_all_that_a_publish_asks_for() {
    let mut desk = Desk::live(Config::default());
    desk.frame(publish(1, "a"));
    assert_eq!(desk.transmits.len(), 1);
    assert_eq!(appends(&desk), [1]);
}

/// EO-8: a message that was sent before is reported as redacted, which moves no position; one that comes for the
/// first time has its place like any other.
#[test]
fn a_removed_message_keeps_its_place() {
    let mut solo = Solo::live(client::Config::new(0));
    solo.act(|session, now| session.join(now, lobby(), None));
    solo.frame(ServerFrame::Joined(joined(0, 3)));
    solo.frame(message(1));
    solo.frame(message(2));
    solo.forget();
    for number in [1, 3, 3] {
        solo.frame(ServerFrame::Message(removed(number)));
    }
    solo.frame(message(4));
    let shown = solo.events.iter().filter_map(|event| match event {
        Event::Message(message) => Some((message.offset.get(), message.removed, true)),
        Event::Redacted(message) => Some((message.offset.get(), message.removed, false)),
        _ => None,
    });
    let shown: Vec<_> = shown.collect();
    let expected = [
        (1, true, false),
        (3, true, true),
        (3, true, false),
        (4, false, true),
    ];
    assert_eq!(shown, expected);
    assert!(solo.frames().is_empty(), "nothing is missing");
}

/// EO-8: a client that reconnects gets the redactions of messages that it has, after `joined` and before anything
/// else; and none of another log, or where it has no messages.
#[test]
fn who_comes_back_hears_what_was_removed() {
    let since = |epoch: &str, at| {
        Some(Position {
            epoch: Epoch::new(epoch),
            offset: offset(at),
        })
    };
    let checks = [
        (since("e", 5), &[2, 5][..]),
        (since("e", 1), &[]),
        (since("other", 5), &[]),
        (None, &[]),
    ];
    for (since, told) in checks {
        let mut desk = Desk::live(Config::default());
        desk.join(since.clone());
        desk.enter(RoomView {
            redacted: [2, 5, 6].map(removed).to_vec(),
            ..view(7)
        });
        let frames = desk.frames();
        assert!(matches!(frames[0], ServerFrame::Joined(_)));
        let offsets = frames[1..].iter().map(|frame| match frame {
            ServerFrame::Message(message) => message.offset.get(),
            other => panic!("{other:?}"),
        });
        assert_eq!(offsets.collect::<Vec<_>>(), told, "{since:?}");
    }
}

/// EO-3: only the next offset is delivered; a lower one is dropped, a higher one leads to a new join
/// from the client's position.
#[test]
fn only_the_next_offset_is_delivered() {
    let mut solo = Solo::live(client::Config::new(0));
    solo.act(|session, now| session.join(now, lobby(), None));
    solo.frame(ServerFrame::Joined(joined(4, 6)));
    for number in [5, 5, 4, 6, 5, 8, 9, 7] {
        solo.frame(message(number));
    }
    let shown = |solo: &Solo| -> Vec<u64> {
        let offset = |event: &Event| match event {
            Event::Message(message) => Some(message.offset.get()),
            _ => None,
        };
        solo.events.iter().filter_map(offset).collect()
    };
    assert_eq!(shown(&solo), [5, 6]);
    let position = Position {
        epoch: Epoch::new("e"),
        offset: offset(6),
    };
    let joins: Vec<_> = solo.frames().into_iter().skip(1).cloned().collect();
    assert_eq!(
        joins,
        [ClientFrame::Join {
            room: lobby(),
            since: Some(position),
            limit: Some(50)
        }]
    );
    solo.frame(ServerFrame::Joined(joined(6, 9)));
    for number in [7, 8, 9] {
        solo.frame(message(number));
    }
    assert_eq!(shown(&solo), [5, 6, 7, 8, 9]);
    assert!(
        !solo
            .events
            .iter()
            .any(|e| matches!(e, Event::Joined { gap: true, .. }))
    );
    assert_eq!(solo.session.stats().repeated_messages, 5);
}

/// EO-4: a reload anywhere between typing and ack loses nothing and doubles nothing.
#[test]
fn the_outbox_survives_a_reload_at_any_moment() {
    for reload_at in 0..90 {
        let mut pair = Pair::new();
        pair.world.log.commit_latency = millis(15);
        pair.client_config.window = 2;
        let ada = pair.lobby_page();
        for body in ["a", "b", "c"] {
            pair.publish(ada, body);
        }
        pair.run_for(millis(reload_at * 2));
        let again = pair.reload(ada);
        pair.join(again, &lobby(), None);
        pair.publish(again, "d");
        pair.connect(again);
        pair.run_for(secs(30));
        assert_eq!(
            pair.world.log.bodies(&lobby()),
            ["a", "b", "c", "d"],
            "at {reload_at}"
        );
        assert!(pair.clients[again].storage.outbox.is_empty());
    }
}

/// EO-4, PU-4: a message that does not fit is refused at once, and one that fits later is taken.
#[test]
fn a_full_outbox_says_so_at_once() {
    let mut pair = Pair::new();
    pair.client_config.outbox = OutboxLimit {
        entries: 3,
        bytes: 100,
    };
    let ada = pair.lobby_page();
    pair.half_open(ada);
    for body in ["a", "b", "c"] {
        pair.publish(ada, body);
    }
    let refused = pair.try_publish(ada, &lobby(), "d");
    assert_eq!(refused, Err(PublishError::OutboxFull));
    assert_eq!(
        pair.try_publish(ada, &lobby(), ""),
        Err(PublishError::Empty)
    );
    pair.run_for(secs(60));
    assert_eq!(pair.world.log.bodies(&lobby()), ["a", "b", "c"]);
    pair.publish(ada, "d");
    pair.run_for(secs(1));
    assert_eq!(pair.world.log.bodies(&lobby()), ["a", "b", "c", "d"]);
}

/// EO-1, PU-4: while the log owes too many answers, nothing is read beyond the frame that needs another one.
#[test]
fn a_log_that_owes_answers_is_back_pressure() {
    let mut desk = Desk::live(Config {
        pending_max: 2,
        ..Config::default()
    });
    desk.frame(publish(1, "a"));
    desk.frame(publish(2, "b"));
    assert!(desk.machine.wants_input(), "a ping may follow");
    desk.frame(publish(3, "c"));
    assert!(!desk.machine.wants_input());
    assert_eq!(appends(&desk), [1, 2]);
    desk.input(appended(1, Ok(1)));
    assert!(desk.machine.wants_input());
    assert_eq!(appends(&desk), [1, 2, 3]);
}
