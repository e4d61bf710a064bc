//! Exact limits: limits to the byte, calls that must have no effect, and texts for the user.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::collections::BTreeSet;

use everbeat_protocol::client::{Config, Event, Fate, Input, Network, Session, Status, Stored};
use everbeat_protocol::close::CloseCode;
use everbeat_protocol::frame::{ClientFrame, ErrorCode, Refusal, ServerFrame};
use everbeat_protocol::id::{ConnectionId, Seq};
use everbeat_protocol::outbox::PublishError;
use everbeat_protocol::position::{Epoch, Position};
use everbeat_protocol::server;

use crate::solo::{
    Desk, Solo, appended, at, credentials, joined, lobby, millis, offset, publish, welcome,
};

/// Every code that an end may send.
const CODES: &[CloseCode] = &[
    CloseCode::NORMAL,
    CloseCode::GOING_AWAY,
    CloseCode::UNSUPPORTED_DATA,
    CloseCode::TOO_BIG,
    CloseCode::SERVICE_RESTART,
    CloseCode::TRY_AGAIN_LATER,
    CloseCode::DEAD,
    CloseCode::SLOW,
    CloseCode::HELLO_TIMEOUT,
    CloseCode::TAKEN_OVER,
    CloseCode::BAD_FRAME,
    CloseCode::FRAME_TOO_LARGE,
    CloseCode::SEQ_GAP,
    CloseCode::SEQ_CONFLICT,
    CloseCode::SESSION_GONE,
    CloseCode::UNSUPPORTED,
];

/// HB-8: a timer that rings early changes nothing, in any state.
#[test]
fn an_early_timer_does_nothing() {
    let mut solo = Solo::new(Config::new(0), Stored::default());
    let ring = |solo: &mut Solo| {
        solo.forget();
        solo.now = solo.now + millis(1);
        solo.act(Session::handle_timeout);
        assert!(
            solo.transmits.is_empty() && solo.events.is_empty(),
            "{solo:?}"
        );
    };
    ring(&mut solo);
    solo.connect();
    ring(&mut solo);
    solo.close(None);
    solo.now = solo.now + millis(10_000);
    solo.act(Session::handle_timeout);
    solo.input(Input::Opened { id: solo.id });
    ring(&mut solo);
    solo.frame(ServerFrame::Welcome(welcome()));
    ring(&mut solo);
    solo.close(None);
    assert!(solo.wait() > millis(1), "this seed draws a longer delay");
    ring(&mut solo);
}

/// HB-3: an early timer is no verdict, also while an answer is awaited.
#[test]
fn an_early_timer_is_no_verdict() {
    let mut solo = Solo::live(Config::new(0));
    let idle = solo.session.poll_timeout().unwrap();
    solo.run_to(idle);
    assert_eq!(solo.pings(), 1);
    solo.jump_to(idle + millis(4_999));
    assert_eq!(solo.closes(), []);
    solo.jump_to(idle + millis(5_000));
    assert_eq!(solo.closes(), [CloseCode::DEAD]);
}

/// EO-4, PU-4: the longest text is taken; with one byte more it is not, as a draft neither.
#[test]
fn the_limit_of_a_body_is_exact() {
    let mut solo = Solo::live(Config::new(0));
    solo.act(|session, now| session.join(now, lobby(), None));
    solo.frame(ServerFrame::Joined(joined(0, 0)));
    let limit = welcome().limits.body_bytes;
    let publish = |solo: &mut Solo, bytes: u32| {
        let body = "x".repeat(bytes as usize);
        solo.act(|session, now| session.publish(now, lobby(), body))
    };
    assert!(publish(&mut solo, limit).is_ok());
    solo.frame(ServerFrame::Ack {
        seq: Seq::FIRST,
        room: lobby(),
        offset: offset(1),
    });
    let bytes = limit as usize + 1;
    let refused = publish(&mut solo, limit + 1);
    assert_eq!(refused, Err(PublishError::TooLarge { bytes, limit }));
    let refused = publish(&mut solo, limit * 2);
    assert!(matches!(refused, Err(PublishError::TooLarge { .. })));

    let draft = |solo: &mut Solo, bytes: u32| {
        solo.forget();
        let body = "y".repeat(bytes as usize);
        solo.act(|session, now| session.draft(now, &lobby(), body));
        solo.run_to(solo.now + millis(500));
        let frames = solo.frames();
        frames
            .iter()
            .filter(|f| matches!(f, ClientFrame::Draft { .. }))
            .count()
    };
    assert_eq!(draft(&mut solo, limit), 1);
    assert_eq!(draft(&mut solo, limit + 1), 0);
    assert_eq!(draft(&mut solo, limit * 2), 0);
}

/// PR-1: no frame is sent to leave a room that was not joined, nor any room without a connection.
#[test]
fn only_what_was_joined_is_left() {
    let mut solo = Solo::live(Config::new(0));
    let leave = |solo: &mut Solo| {
        solo.forget();
        solo.act(|session, now| session.leave(now, &lobby()));
        solo.frames().len()
    };
    assert_eq!(leave(&mut solo), 0);
    solo.act(|session, now| session.join(now, lobby(), None));
    assert_eq!(leave(&mut solo), 1);
    solo.act(|session, now| session.join(now, lobby(), None));
    solo.close(None);
    assert_eq!(leave(&mut solo), 0);
}

/// RS-5: history is asked for on a live connection only, and the page's position in a room can be read, too.
#[test]
fn history_and_position_are_for_the_asking() {
    let mut solo = Solo::live(Config::new(0));
    let since = Position {
        epoch: Epoch::new("e"),
        offset: offset(7),
    };
    assert_eq!(solo.session.position(&lobby()), None);
    solo.act(|session, now| session.join(now, lobby(), Some(since.clone())));
    assert_eq!(solo.session.position(&lobby()), Some(&since));
    solo.forget();
    let ask = |solo: &mut Solo| {
        solo.act(|session, now| session.history(now, lobby(), offset(7), 3));
    };
    ask(&mut solo);
    let asked = ClientFrame::History {
        room: lobby(),
        before: offset(7),
        limit: 3,
    };
    assert_eq!(solo.frames(), [&asked]);
    solo.close(None);
    solo.forget();
    ask(&mut solo);
    assert!(solo.frames().is_empty());
}

/// RC-4: the status says what the browser believes about the network.
#[test]
fn the_status_tells_the_browsers_word() {
    let mut solo = Solo::live(Config::new(0));
    solo.close(None);
    let offline = |solo: &Solo| match solo.events.last() {
        Some(Event::Status(Status::Waiting { offline, .. })) => *offline,
        other => panic!("{other:?}"),
    };
    assert!(!offline(&solo));
    solo.input(Input::Network(Network::Offline));
    assert!(offline(&solo));
}

/// EO-7: each code and each refusal has a text of its own.
#[test]
fn every_code_has_its_words() {
    let reasons: BTreeSet<&str> = CODES.iter().map(|code| code.reason()).collect();
    assert_eq!(reasons.len(), CODES.len());
    // A reason has to fit the close frame (RFC 6455 section 5.5: 125 bytes, two for the code).
    assert!(reasons.iter().all(|text| (1..=123).contains(&text.len())));
    assert_eq!(CloseCode::new(4999).reason(), CloseCode::ABNORMAL.reason());
    assert!(!reasons.contains(CloseCode::ABNORMAL.reason()));
    assert_eq!(CloseCode::DEAD.to_string(), "4000 nothing received in time");

    let texts: BTreeSet<&str> = [
        ErrorCode::BadFrame,
        ErrorCode::BadRoom,
        ErrorCode::BodyEmpty,
        ErrorCode::BodyTooLarge,
        ErrorCode::FrameTooLarge,
        ErrorCode::HelloExpected,
        ErrorCode::NotJoined,
        ErrorCode::RateLimited,
        ErrorCode::SeqConflict,
        ErrorCode::SeqGap,
        ErrorCode::TooManyRooms,
        ErrorCode::Unavailable,
    ]
    .map(ErrorCode::message)
    .into();
    assert_eq!(texts.len(), 12);
}

/// HB-7: a client that gives no sign of life, or does not read, is not waited for.
#[test]
fn the_dead_and_the_slow_answer_no_close() {
    for code in CODES {
        let is_answered = *code != CloseCode::DEAD && *code != CloseCode::SLOW;
        assert_eq!(code.is_answered(), is_answered, "{code}");
    }
}

/// RS-2: a key is never printed; everything else prints as it is.
#[test]
fn only_keys_do_not_print() {
    let credentials = credentials("s1");
    assert_eq!(credentials.key.expose(), "key-s1");
    assert!(!format!("{credentials:?}").contains("key-s1"));
    assert!(format!("{credentials:?}").contains("SessionKey"));
    assert_eq!(credentials.id.to_string(), "s1");
    assert_eq!(lobby().to_string(), "lobby");
    assert_eq!(ConnectionId::new(7).to_string(), "7");
    assert_eq!(offset(7).to_string(), "7");
    assert_eq!(Seq::FIRST.to_string(), "1");
}

/// RC-6: a page that freezes without a connection has nothing to drop, and nothing to report.
#[test]
fn freezing_without_a_connection_changes_nothing() {
    let mut solo = Solo::live(Config::new(0));
    solo.close(None);
    solo.forget();
    solo.input(Input::Network(Network::Frozen));
    assert!(solo.transmits.is_empty() && solo.events.is_empty());
}

/// RC-4: the browser's report of the network is in the status, once.
#[test]
fn the_browsers_word_is_told_once() {
    let mut solo = Solo::live(Config::new(0));
    solo.input(Input::Network(Network::Offline));
    let is_status = |event: &&Event| matches!(event, Event::Status(_));
    assert_eq!(solo.events.iter().filter(is_status).count(), 0);
    solo.close(None);
    solo.forget();
    solo.input(Input::Network(Network::Offline));
    let told = |solo: &Solo| solo.events.iter().filter(is_status).count();
    let before = told(&solo);
    solo.input(Input::Network(Network::Online));
    assert!(told(&solo) > before);
}

/// RS-5: a room that cannot be joined now is joined at the time that the server named, not before.
#[test]
fn a_join_put_off_comes_again_in_time() {
    let mut solo = Solo::live(Config::new(0));
    solo.act(|session, now| session.join(now, lobby(), None));
    solo.forget();
    solo.frame(ServerFrame::Error(Refusal {
        code: ErrorCode::Unavailable,
        message: "later".into(),
        seq: None,
        unsettled: None,
        room: Some(lobby()),
        retry_after_ms: Some(700),
    }));
    let joins = |solo: &Solo| {
        let frames = solo.frames();
        let is_join = |frame: &&&ClientFrame| matches!(frame, ClientFrame::Join { .. });
        frames.iter().filter(is_join).count()
    };
    solo.run_to(solo.now + millis(699));
    assert_eq!(joins(&solo), 0);
    solo.run_to(solo.now + millis(1));
    assert_eq!(joins(&solo), 1);
}

/// HB-3: pings and pongs are counted.
#[test]
fn beats_are_counted() {
    let mut solo = Solo::live(Config::new(0));
    for beat in 1..=3 {
        let due = solo.session.poll_timeout().unwrap();
        solo.run_to(due);
        solo.frame(ServerFrame::Pong);
        let stats = solo.session.stats();
        assert_eq!((stats.pings, stats.pongs), (beat, beat));
    }
}

/// EO-5, EO-7: of a publish that was put off, it and what follows wait again; messages before it do not.
#[test]
fn only_what_is_put_off_waits() {
    let mut solo = Solo::live(Config::new(0));
    for body in ["a", "b", "c"] {
        solo.act(|session, now| session.publish(now, lobby(), body.into()))
            .unwrap();
    }
    solo.forget();
    solo.frame(ServerFrame::Error(Refusal {
        code: ErrorCode::RateLimited,
        message: "later".into(),
        seq: Some(Seq::after(1)),
        unsettled: None,
        room: None,
        retry_after_ms: Some(1_000),
    }));
    let waiting = |event: &Event| match event {
        Event::Fate {
            seq,
            fate: Fate::Waiting,
            ..
        } => Some(seq.get()),
        _ => None,
    };
    let told: Vec<u64> = solo.events.iter().filter_map(waiting).collect();
    assert_eq!(told, [2, 3]);
}

/// EO-7: a text is measured as it is, not by the worst case of its length.
#[test]
fn a_frame_that_just_fits_is_sent_whole() {
    let mut solo = Solo::new(Config::new(0), Stored::default());
    solo.connect();
    let mut narrow = welcome();
    narrow.limits.frame_bytes = 10_000;
    solo.greet(narrow);
    solo.forget();
    let body = "x".repeat(8_000);
    solo.act(|session, now| session.publish(now, lobby(), body.clone()))
        .unwrap();
    assert_eq!(solo.frames(), [&publish(1, &body)]);
}

/// RS-1: `hello` has its ten seconds, and the session gets its name only after it.
#[test]
fn the_server_waits_for_hello_to_the_end() {
    let mut desk = Desk::new(server::Config::default());
    desk.machine.handle_timeout(at(9_999));
    desk.run_to(at(9_999));
    assert!(desk.transmits.is_empty());
    assert_eq!(desk.machine.id(), None);
    desk.greet();
    assert_eq!(
        desk.machine.id().map(ToString::to_string),
        Some("s1".into())
    );
}

/// EO-7: a refusal about a room names it; only a refusal for now has a time.
#[test]
fn a_refusal_names_its_room() {
    let mut desk = Desk::live(server::Config::default());
    desk.frame(ClientFrame::Draft {
        room: lobby(),
        body: "x".into(),
    });
    let messages = Vec::new();
    for page in [None, Some((messages, false))] {
        desk.input(server::Input::HistoryRead {
            room: lobby(),
            page,
        });
    }
    let [
        ServerFrame::Error(not_joined),
        ServerFrame::Error(unavailable),
        ServerFrame::History { more: false, .. },
    ] = desk.frames()[..]
    else {
        panic!("{:?}", desk.frames());
    };
    assert_eq!(not_joined.code, ErrorCode::NotJoined);
    assert_eq!(
        (&not_joined.room, not_joined.retry_after_ms),
        (&Some(lobby()), None)
    );
    assert_eq!(unavailable.code, ErrorCode::Unavailable);
    assert_eq!(unavailable.room, Some(lobby()));
    assert!(unavailable.retry_after_ms > Some(0));
}

/// EO-7: a number that the log put off is a new one when it comes again, and is checked as such.
#[test]
fn a_number_put_off_is_judged_anew() {
    let mut desk = Desk::live(server::Config::default());
    for seq in 1..=3 {
        desk.frame(publish(seq, "text"));
    }
    desk.input(appended(2, Err(server::AppendError::Unavailable)));
    desk.transmits.clear();
    desk.frame(publish(2, ""));
    let refused = server::Transmit::Refuse {
        seq: Seq::after(1),
        code: ErrorCode::BodyEmpty,
    };
    assert_eq!(desk.transmits, [refused]);
}
