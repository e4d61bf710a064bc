//! Outages: what a client may tell its user while the link is in doubt, while it is away, and of its return.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use everbeat_protocol::client::{Config, End, Event, Network, Recovery, Status, Stored};
use everbeat_protocol::client::{Input, Session};
use everbeat_protocol::close::CloseCode;
use everbeat_protocol::frame::{ErrorCode, Joined, Refusal, ServerFrame, Welcome};
use everbeat_protocol::id::Seq;
use everbeat_protocol::position::Epoch;
use everbeat_protocol::time::Timestamp;

use crate::solo::{Solo, at, joined, lobby, message, millis, offset, secs, welcome};

fn publish(solo: &mut Solo, body: &str) {
    solo.act(|session, now| session.publish(now, lobby(), body.into()))
        .unwrap();
}

fn ack(solo: &mut Solo, seq: u64) {
    solo.frame(ServerFrame::Ack {
        seq: Seq::new(seq).unwrap(),
        room: lobby(),
        offset: offset(seq + 100),
    });
}

/// A client that was live in the lobby, which had five messages, and sent two; then the connection broke off.
fn interrupted() -> Solo {
    let mut solo = Solo::live(Config::new(0));
    solo.act(|session, now| session.join(now, lobby(), None));
    solo.frame(ServerFrame::Joined(joined(5, 5)));
    publish(&mut solo, "one");
    publish(&mut solo, "two");
    solo.end(End::Lost);
    solo.forget();
    solo
}

/// The next try, welcomed by a server that settled this many messages.
fn back(solo: &mut Solo, last_seq: u64, resumed: bool) {
    solo.run_to(solo.now + solo.wait());
    solo.greet(Welcome {
        resumed,
        last_seq,
        ..welcome()
    });
}

fn recoveries(solo: &Solo) -> Vec<Recovery> {
    let recovery = |event: &Event| match event {
        Event::Recovered(recovery) => Some(*recovery),
        _ => None,
    };
    solo.events.iter().filter_map(recovery).collect()
}

fn doubts(solo: &Solo) -> Vec<bool> {
    let doubt = |event: &Event| match event {
        Event::Doubt { doubtful } => Some(*doubtful),
        _ => None,
    };
    solo.events.iter().filter_map(doubt).collect()
}

/// RS-3: of two messages in flight the ack of one was lost and the other never arrived; a third was written meanwhile;
/// three of others came.
#[test]
fn a_return_says_what_it_brought() {
    let mut solo = interrupted();
    publish(&mut solo, "three");
    back(&mut solo, 1, true);
    assert_eq!(recoveries(&solo), []);
    solo.frame(ServerFrame::Joined(joined(5, 8)));
    for number in 6..=8 {
        ack(&mut solo, number - 4);
        solo.frame(message(number));
    }
    let brought = Recovery {
        arrived: 1,
        sent_again: 1,
        sent: 1,
        caught_up: 3,
        ..Recovery::NONE
    };
    assert_eq!(recoveries(&solo), [brought]);
    assert!(brought.is_complete());
    // What follows belongs to no outage.
    solo.frame(message(9));
    publish(&mut solo, "four");
    ack(&mut solo, 4);
    assert_eq!(recoveries(&solo).len(), 1);
}

/// RS-3: a connection that ends before all is back does not begin to count anew.
#[test]
fn a_return_in_several_tries_is_one() {
    let mut solo = interrupted();
    back(&mut solo, 0, true);
    solo.frame(ServerFrame::Joined(joined(5, 7)));
    solo.frame(message(6));
    ack(&mut solo, 1);
    solo.end(End::Lost);
    back(&mut solo, 1, true);
    ack(&mut solo, 2);
    solo.frame(ServerFrame::Joined(joined(6, 7)));
    solo.frame(message(7));
    let brought = Recovery {
        sent_again: 2,
        caught_up: 2,
        ..Recovery::NONE
    };
    assert_eq!(recoveries(&solo), [brought]);
}

/// RS-6, RS-9: what is missing or uncertain is not called "0 lost".
#[test]
fn a_return_does_not_pretend() {
    let mut solo = interrupted();
    publish(&mut solo, "three");
    back(&mut solo, 0, false);
    ack(&mut solo, 1);
    solo.frame(ServerFrame::Joined(Joined {
        epoch: Epoch::new("another"),
        ..joined(2, 2)
    }));
    let brought = Recovery {
        resumed: false,
        sent: 1,
        gaps: 1,
        uncertain: 2,
        ..Recovery::NONE
    };
    assert_eq!(recoveries(&solo), [brought]);
    assert!(!brought.is_complete());
}

/// EO-7, RS-9: a message that the server put off was sent, so it is uncertain once its session is lost.
#[test]
fn what_was_put_off_is_not_forgotten() {
    let mut solo = Solo::live(Config::new(0));
    publish(&mut solo, "one");
    publish(&mut solo, "two");
    solo.frame(ServerFrame::Error(Refusal {
        seq: Some(Seq::FIRST),
        retry_after_ms: Some(60_000),
        ..Refusal::new(ErrorCode::Unavailable)
    }));
    solo.end(End::Lost);
    back(&mut solo, 0, false);
    let brought = Recovery {
        resumed: false,
        uncertain: 2,
        ..Recovery::NONE
    };
    assert_eq!(recoveries(&solo), [brought]);
}

/// RS-9: a close that ends the session leaves what was in flight uncertain.
#[test]
fn a_session_that_is_ended_leaves_messages_uncertain() {
    let mut solo = Solo::live(Config::new(0));
    publish(&mut solo, "one");
    solo.close(Some(CloseCode::TAKEN_OVER));
    back(&mut solo, 0, false);
    let brought = Recovery {
        resumed: false,
        uncertain: 1,
        ..Recovery::NONE
    };
    assert_eq!(recoveries(&solo), [brought]);
}

/// EO-7: a message that is refused for good has its fate; the user has its text.
#[test]
fn a_refused_message_is_not_awaited() {
    let mut solo = interrupted();
    back(&mut solo, 0, true);
    solo.frame(ServerFrame::Joined(joined(5, 5)));
    ack(&mut solo, 1);
    assert_eq!(recoveries(&solo), []);
    solo.frame(ServerFrame::Error(Refusal {
        seq: Some(Seq::new(2).unwrap()),
        ..Refusal::new(ErrorCode::WriteDenied)
    }));
    let brought = Recovery {
        sent_again: 1,
        ..Recovery::NONE
    };
    assert_eq!(recoveries(&solo), [brought]);
}

/// RS-5: the first connection returns from nowhere, and a room that is entered meanwhile has nothing to catch up with.
#[test]
fn a_first_visit_is_no_return() {
    let mut solo = Solo::new(Config::new(0), Stored::default());
    solo.connect();
    solo.end(End::Lost);
    back(&mut solo, 0, false);
    assert_eq!(recoveries(&solo), []);
    solo.end(End::Lost);
    solo.act(|session, now| session.join(now, lobby(), None));
    back(&mut solo, 0, true);
    solo.frame(ServerFrame::Joined(joined(5, 8)));
    assert_eq!(recoveries(&solo), [Recovery::NONE]);
}

/// HB-6: a ping whose answer takes longer than usual leaves the link in doubt, until something comes.
#[test]
fn a_late_answer_is_a_doubt() {
    let mut solo = Solo::live(Config::new(0));
    solo.input(Input::Network(Network::Visible));
    solo.run_to(at(499));
    assert!(doubts(&solo).is_empty());
    solo.run_to(at(1_500));
    assert_eq!(doubts(&solo), [true]);
    solo.frame(message(1));
    assert_eq!(doubts(&solo), [true, false]);
    solo.input(Input::Network(Network::Visible));
    solo.run_to(at(10_000));
    // The end of the connection ends the doubt as well.
    assert_eq!(doubts(&solo), [true, false, true]);
    assert_eq!(solo.closes(), [CloseCode::DEAD]);
}

/// HB-6: an answer within the usual time is no doubt, nor is one that stands behind the client's own backlog.
#[test]
fn a_quick_answer_and_a_slow_line_are_no_doubt() {
    let mut solo = Solo::live(Config::new(0));
    for _ in 0..20 {
        solo.input(Input::Network(Network::Visible));
        solo.run_to(solo.now + millis(400));
        solo.frame(ServerFrame::Pong);
    }
    assert!(doubts(&solo).is_empty());
    // 8 KiB need more than two seconds of the slowest healthy line.
    publish(&mut solo, &"x".repeat(8_000));
    solo.input(Input::Network(Network::Visible));
    solo.run_to(solo.now + secs(2));
    assert!(doubts(&solo).is_empty());
}

/// EO-7: how long messages wait at the server's wish: over the rate they follow one by one.
#[test]
fn a_pause_has_a_length() {
    let mut solo = Solo::live(Config::new(0));
    for body in 0..=100 {
        publish(&mut solo, &body.to_string());
    }
    solo.frame(ServerFrame::Error(Refusal {
        seq: Some(Seq::FIRST),
        retry_after_ms: Some(4_000),
        ..Refusal::new(ErrorCode::RateLimited)
    }));
    let pause = Event::Paused {
        code: ErrorCode::RateLimited,
        wait: secs(4 + 2),
    };
    assert!(solo.events.contains(&pause));
}

/// RC-1, RC-3, RC-4: the wait that was drawn is within its ceiling; a slot and a wait for the network are not drawn.
#[test]
fn a_drawn_wait_has_a_ceiling() {
    let wait = |session: &Session, now: Timestamp| match session.status() {
        Status::Waiting { until, ceiling, .. } => (until.since(now), ceiling),
        status => panic!("{status:?}"),
    };
    let mut solo = Solo::live(Config::new(0));
    for ceiling in [250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000] {
        solo.end(End::Lost);
        let (delay, of) = wait(&solo.session, solo.now);
        assert_eq!(of, Some(millis(ceiling)));
        assert!(delay <= millis(ceiling));
        solo.run_to(solo.now + delay);
    }
    solo.end(End::Refused {
        status: 503,
        retry_after: Some(secs(20)),
    });
    assert_eq!(wait(&solo.session, solo.now).1, Some(secs(30)));
    solo.input(Input::Network(Network::Visible));
    assert_eq!(wait(&solo.session, solo.now).1, Some(millis(20_500)));
    solo.input(Input::Network(Network::Offline));
    assert_eq!(wait(&solo.session, solo.now), (secs(30), None));

    let mut solo = Solo::live(Config::new(0));
    solo.frame(ServerFrame::GoAway {
        reconnect_after_ms: 7_000,
        elsewhere: None,
        reason: String::new(),
    });
    solo.end(End::Lost);
    assert_eq!(wait(&solo.session, solo.now), (secs(7), None));
}
