//! Where exactly things begin and end: limits to the byte, calls that must not do anything, words
//! that a person reads.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::collections::BTreeSet;

use protocol::client::{Config, Event, Network, Session, Status, Stored};
use protocol::close::CloseCode;
use protocol::frame::{ClientFrame, ErrorCode};
use protocol::id::{ConnectionId, Seq};
use protocol::outbox::PublishError;
use protocol::position::{Epoch, Position};

use crate::solo::{Solo, credentials, lobby, millis, offset, welcome};

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
    let mut solo = Solo::new(Config::default(), Stored::default());
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
    solo.input(protocol::client::Input::Opened { id: solo.id });
    ring(&mut solo);
    solo.frame(protocol::frame::ServerFrame::Welcome(welcome()));
    ring(&mut solo);
    solo.close(None);
    assert!(solo.wait() > millis(1), "this seed draws a longer delay");
    ring(&mut solo);
}

/// HB-3: also while an answer is awaited.
#[test]
fn an_early_timer_is_no_verdict() {
    let mut solo = Solo::live(Config::default());
    let idle = solo.session.poll_timeout().unwrap();
    solo.run_to(idle);
    assert_eq!(solo.pings(), 1);
    solo.jump_to(idle + millis(4_999));
    assert_eq!(solo.closes(), []);
    solo.jump_to(idle + millis(5_000));
    assert_eq!(solo.closes(), [CloseCode::DEAD]);
}

/// EO-4, PU-4: the longest text is taken, one byte more is not, and is no draft either.
#[test]
fn the_limit_of_a_body_is_exact() {
    let mut solo = Solo::live(Config::default());
    solo.act(|session, now| session.join(now, lobby(), None));
    let joined = protocol::frame::Joined {
        room: lobby(),
        epoch: Epoch::new("e"),
        head: offset(0),
        from: offset(0),
        recovered: true,
        members: Vec::new(),
        drafts: Vec::new(),
    };
    solo.frame(protocol::frame::ServerFrame::Joined(joined));
    let limit = welcome().limits.body_bytes;
    let publish = |solo: &mut Solo, bytes: u32| {
        let body = "x".repeat(bytes as usize);
        solo.act(|session, now| session.publish(now, lobby(), body))
    };
    assert!(publish(&mut solo, limit).is_ok());
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

/// PR-1: a room that one is not in is left without a word, and so is any room without a connection.
#[test]
fn only_what_was_joined_is_left() {
    let mut solo = Solo::live(Config::default());
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

/// RS-5: history is asked for on a live connection only, and the page's place in a room can be asked, too.
#[test]
fn history_and_position_are_for_the_asking() {
    let mut solo = Solo::live(Config::default());
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

/// RC-4: the page is told what the browser believes.
#[test]
fn the_status_tells_the_browsers_word() {
    let mut solo = Solo::live(Config::default());
    solo.close(None);
    let offline = |solo: &Solo| match solo.events.last() {
        Some(Event::Status(Status::Waiting { offline, .. })) => *offline,
        other => panic!("{other:?}"),
    };
    assert!(!offline(&solo));
    solo.input(protocol::client::Input::Network(Network::Offline));
    assert!(offline(&solo));
}

/// EO-7: each code and each refusal says something of its own.
#[test]
fn every_code_has_its_words() {
    let reasons: BTreeSet<&str> = CODES.iter().map(|code| code.reason()).collect();
    assert_eq!(reasons.len(), CODES.len());
    // A reason has to fit the close frame (RFC 6455 section 5.5: 125 bytes, two for the code).
    assert!(reasons.iter().all(|text| (1..=123).contains(&text.len())));
    assert_eq!(CloseCode(4999).reason(), CloseCode::ABNORMAL.reason());
    assert_eq!(CloseCode::DEAD.to_string(), "4000 nothing received in time");

    let texts: BTreeSet<&str> = [
        ErrorCode::BadFrame,
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
    .map(ErrorCode::text)
    .into();
    assert_eq!(texts.len(), 11);
}

/// HB-7: who gives no sign of life, or does not read, is not waited for.
#[test]
fn the_dead_and_the_slow_answer_no_close() {
    for code in CODES {
        let is_answered = *code != CloseCode::DEAD && *code != CloseCode::SLOW;
        assert_eq!(code.is_answered(), is_answered, "{code}");
    }
}

/// RS-2: a key is shown to nobody but the server; everything else prints as it is.
#[test]
fn only_keys_do_not_print() {
    let credentials = credentials("s1");
    assert_eq!(credentials.key.expose(), "key-s1");
    assert!(!format!("{credentials:?}").contains("key-s1"));
    assert!(format!("{credentials:?}").contains("SessionKey"));
    assert_eq!(credentials.id.to_string(), "s1");
    assert_eq!(lobby().to_string(), "lobby");
    assert_eq!(ConnectionId(7).to_string(), "7");
    assert_eq!(offset(7).to_string(), "7");
    assert_eq!(Seq::FIRST.to_string(), "1");
}
