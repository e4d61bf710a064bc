//! Refusals: the fate of a message that is refused for now, or for good.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use everbeat_protocol::client::{self, Event, Fate, Session, Stored};
use everbeat_protocol::close::CloseCode;
use everbeat_protocol::codec::encode;
use everbeat_protocol::frame::{
    ClientFrame, ErrorCode, Limits, Refusal, Refused, ServerFrame, Welcome,
};
use everbeat_protocol::id::Seq;
use everbeat_protocol::outbox::Stage;
use everbeat_protocol::server::{AppendError, Config};

use crate::solo::{
    Desk, Solo, appended, appends, joined, lobby, millis, offset, publish, secs, welcome,
};
use simulation::link::Way;
use simulation::pair::Pair;

fn refusal(code: ErrorCode, seq: u64, retry_after_ms: Option<u64>) -> ServerFrame {
    ServerFrame::Error(Refusal {
        code,
        message: code.message().into(),
        seq: Some(Seq::new(seq).unwrap()),
        unsettled: None,
        room: None,
        retry_after_ms,
    })
}

/// The error with which a connection ends for this number (EO-1, EO-6).
fn unsettled(code: ErrorCode, seq: u64) -> ServerFrame {
    ServerFrame::Error(Refusal {
        code,
        message: code.message().into(),
        seq: None,
        unsettled: Some(Seq::new(seq).unwrap()),
        room: None,
        retry_after_ms: None,
    })
}

/// EO-5: waiting, sent, waiting again while there is no connection, sent, durable.
#[test]
fn every_message_shows_its_fate() {
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    pair.deaden(ada, Way::Up);
    let id = pair.publish(ada, "a");
    pair.run_for(secs(60));
    let durable = Fate::Durable {
        offset: Some(offset(1)),
    };
    let fates = [
        Fate::Waiting,
        Fate::Sent,
        Fate::Waiting,
        Fate::Sent,
        durable,
    ];
    assert_eq!(pair.clients[ada].fates[&id], fates);
}

/// EO-6, RS-4: two copies of one page never share a number for two messages: both come, each once.
#[test]
fn copies_never_share_a_number() {
    for both_at in 0..30 {
        let mut pair = Pair::new();
        let ada = pair.lobby_page();
        let copy = pair.page(pair.clients[ada].storage.clone());
        pair.connect(copy);
        pair.publish(copy, "the copy's");
        pair.run_for(millis(both_at * 5));
        let mine = pair.publish(ada, "mine");
        pair.run_for(secs(60));
        let bodies = pair.world.log.bodies(&lobby());
        let count = |body: &str| bodies.iter().filter(|b| **b == body).count();
        assert_eq!(count("the copy's"), 1, "{both_at}: {bodies:?}");
        // A message on its way at the moment of the takeover is uncertain: the user decides.
        let is_uncertain = pair.clients[ada].fate(mine) == Some(Fate::Uncertain);
        assert!(is_uncertain || count("mine") == 1, "{both_at}: {bodies:?}");
        assert!(count("mine") <= 1, "{both_at}: {bodies:?}");
    }
}

/// EO-6: the server's machine sends `seq_conflict` and closes with a code of the fresh range; the client
/// then sends the message under a new number.
#[test]
fn a_conflict_leads_to_a_new_number() {
    let mut desk = Desk::live(Config::default());
    desk.frame(publish(1, "a"));
    desk.transmits.clear();
    desk.input(appended(1, Err(AppendError::Conflict)));
    assert_eq!(*desk.frames()[0], unsettled(ErrorCode::SeqConflict, 1));
    assert_eq!(desk.closes(), [CloseCode::SEQ_CONFLICT]);

    let mut solo = Solo::live(client::Config::new(0));
    solo.act(|session, now| session.publish(now, lobby(), "a".into()))
        .unwrap();
    solo.frame(unsettled(ErrorCode::SeqConflict, 1));
    solo.close(Some(CloseCode::SEQ_CONFLICT));
    assert_eq!(solo.session.id(), None);
    let entry = solo.session.outbox().next().unwrap().clone();
    assert_eq!((entry.seq, entry.stage), (Seq::FIRST, Stage::Unsent));
}

/// EO-6: the error alone is enough: if its close is lost, the message is not taken for durable.
#[test]
fn a_conflict_survives_a_lost_close() {
    let mut solo = Solo::live(client::Config::new(0));
    let id = solo
        .act(|session, now| session.publish(now, lobby(), "a".into()))
        .unwrap();
    solo.frame(unsettled(ErrorCode::SeqConflict, 1));
    solo.close(None);
    solo.run_to(solo.now + solo.wait());
    solo.forget();
    solo.greet(Welcome {
        resumed: true,
        last_seq: 1,
        ..welcome()
    });
    let durable = |event: &Event| {
        matches!(
            event,
            Event::Fate {
                fate: Fate::Durable { .. },
                ..
            }
        )
    };
    assert!(!solo.events.iter().any(durable), "{:?}", solo.events);
    assert!(solo.frames().contains(&&publish(2, "a")));
    assert_eq!(solo.session.outbox().next().map(|entry| entry.id), Some(id));
}

/// EO-1, EO-6, EO-7: a frame with `seq` alone says that the message is refused for good, and only such a
/// frame does: one that ends the connection names the number otherwise. A client loses no message by it, nor
/// by an older server, which named it as `seq`.
#[test]
fn only_a_refusal_for_good_has_a_seq_alone() {
    let mut desk = Desk::live(Config::default());
    desk.frame(publish(2, "b"));
    assert_eq!(*desk.frames()[0], unsettled(ErrorCode::SeqGap, 2));
    assert_eq!(desk.closes(), [CloseCode::SEQ_GAP]);
    let text = encode(desk.frames()[0]);
    assert!(
        text.contains(r#""unsettled":2"#) && !text.contains("\"seq\""),
        "{text}"
    );

    for code in [ErrorCode::SeqGap, ErrorCode::SeqConflict] {
        for told in [unsettled(code, 1), refusal(code, 1, None)] {
            let mut solo = Solo::live(client::Config::new(0));
            let id = solo
                .act(|session, now| session.publish(now, lobby(), "a".into()))
                .unwrap();
            solo.frame(told);
            let left: Vec<_> = solo.session.outbox().map(|entry| entry.id).collect();
            assert_eq!(left, [id], "{code:?}");
        }
    }
}

/// EO-7: refused for now: the message and those after it wait for the named time, then go on from that number.
#[test]
fn refused_for_now_goes_on_from_that_number() {
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    pair.world.log.is_available = false;
    let ids = ["a", "b", "c"].map(|body| pair.publish(ada, body));
    pair.run_for(secs(5));
    assert!(ids.iter().all(|id| !pair.clients[ada].is_durable(*id)));
    assert_eq!(pair.clients[ada].closed(), []);
    pair.world.log.is_available = true;
    pair.run_for(secs(5));
    assert_eq!(pair.world.log.bodies(&lobby()), ["a", "b", "c"]);
    let tries = pair.clients[ada]
        .sent()
        .filter(|(_, f)| **f == publish(1, "a"));
    let times: Vec<_> = tries.map(|(at, _)| at).collect();
    assert!(
        times.windows(2).all(|pair| pair[1] - pair[0] >= secs(2)),
        "{times:?}"
    );
    assert!(times.len() >= 3);
}

/// EO-7: the rate is such a refusal; it slows a burst down and loses nothing of it.
#[test]
fn the_rate_slows_down_and_loses_nothing() {
    let limits = Limits {
        publishes_per_s: 10,
        ..Limits::default()
    };
    let config = Config {
        limits,
        publish_burst: 5,
        ..Config::default()
    };
    let mut pair = Pair::with(client::Config::new(0), config);
    let ada = pair.lobby_page();
    let sent: Vec<String> = (0..45).map(|n| format!("m{n}")).collect();
    for body in &sent {
        pair.publish(ada, body);
    }
    pair.run_for(secs(3));
    let early = pair.world.log.messages(&lobby()).count();
    assert!((30..=36).contains(&early), "{early}");
    pair.run_for(secs(2));
    assert_eq!(pair.world.log.bodies(&lobby()), sent);
    assert_eq!(pair.clients[ada].closed(), []);
    // One window of frames before the first refusal; then each message once, at the rate.
    let publishes = |frame: &ClientFrame| matches!(frame, ClientFrame::Publish { .. });
    let frames = pair.clients[ada]
        .sent()
        .filter(|(_, f)| publishes(f))
        .count();
    assert!(frames <= 32 + 45, "{frames}");
}

/// EO-7: refused for good: the number is used up, the user sees why, nothing is blocked.
#[test]
fn refused_for_good_blocks_nothing() {
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    pair.half_open(ada);
    let ids = [
        pair.publish(ada, "a"),
        pair.publish(ada, &"b".repeat(100)),
        pair.publish(ada, "c"),
    ];
    pair.set_limits(Limits {
        body_bytes: 10,
        ..Limits::default()
    });
    pair.run_for(secs(60));
    assert_eq!(pair.world.log.bodies(&lobby()), ["a", "c"]);
    let refused = Fate::Refused {
        code: ErrorCode::BodyTooLarge,
    };
    assert_eq!(pair.clients[ada].fate(ids[1]), Some(refused));
    let session = pair.clients[ada].session.id().unwrap();
    assert_eq!(pair.world.log.last_seq(session), Some(3));
    // The text waits for its user, over a reload too.
    let kept = pair.clients[ada].storage.clone();
    let stages: Vec<_> = kept.outbox.iter().map(|entry| entry.stage).collect();
    assert_eq!(stages, [Stage::Refused(ErrorCode::BodyTooLarge)]);
    let mut again = Session::new(client::Config::new(0), kept);
    assert!(!again.is_owing());
    again.discard(pair.now, ids[1]);
    assert_eq!(again.outbox().count(), 0);
}

/// EO-7: where the error was lost, `welcome.refused` says the same.
#[test]
fn a_lost_refusal_is_told_by_welcome() {
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    pair.half_open(ada);
    let id = pair.publish(ada, &"b".repeat(100));
    pair.set_limits(Limits {
        body_bytes: 10,
        ..Limits::default()
    });
    pair.run_until("second connection", |pair| {
        pair.clients[ada].published().len() == 2
    });
    pair.stall(ada, Way::Down);
    pair.run_for(secs(1));
    pair.cut(ada);
    pair.run_for(secs(60));
    let refused = Fate::Refused {
        code: ErrorCode::BodyTooLarge,
    };
    assert_eq!(pair.clients[ada].fate(id), Some(refused));
    let told = pair.clients[ada].received().any(|(_, frame)| {
        matches!(
            frame,
            ServerFrame::Welcome(Welcome { refused, .. })
                if *refused == [Refused { seq: Seq::FIRST, code: ErrorCode::BodyTooLarge }]
        )
    });
    assert!(told);
}

/// EO-7: a frame over a limit that was lowered is refused for good as well: it does not end the
/// connection again and again.
#[test]
fn a_frame_over_a_lowered_limit_gives_its_number_up() {
    let mut pair = Pair::new();
    let ada = pair.lobby_page();
    pair.half_open(ada);
    let ids = [
        pair.publish(ada, &"\u{1}".repeat(5_000)),
        pair.publish(ada, "c"),
    ];
    pair.set_limits(Limits {
        frame_bytes: 8_000,
        body_bytes: 8_000,
        ..Limits::default()
    });
    pair.run_for(secs(60));
    assert_eq!(pair.world.log.bodies(&lobby()), ["c"]);
    assert!(matches!(
        pair.clients[ada].fate(ids[0]),
        Some(Fate::Refused { .. })
    ));
}

/// EO-7: a late answer of the log does not hold what was taken meanwhile: after the held
/// number became durable, the following ones are served.
#[test]
fn a_late_answer_of_the_log_holds_nothing_for_ever() {
    let mut desk = Desk::live(Config::default());
    desk.frame(publish(1, "a"));
    desk.frame(publish(2, "b"));
    desk.input(appended(1, Err(AppendError::Unavailable)));
    // The client reconnects after its wait; the log is slow and answers the first try of 2 now.
    desk.now = desk.now + secs(3);
    desk.frame(publish(1, "a"));
    desk.frame(publish(2, "b"));
    desk.input(appended(2, Err(AppendError::OutOfOrder)));
    desk.input(appended(1, Ok(1)));
    desk.input(appended(2, Ok(2)));
    desk.transmits.clear();
    desk.frame(publish(3, "c"));
    assert_eq!(appends(&desk), [3], "{desk:?}");
}

/// EO-7, PR-2: where the server's limits contradict each other, a text may be taken that fits no frame.
/// A message then gives its number up, a draft is not shown; neither ends connection after connection.
#[test]
fn what_fits_no_frame_is_not_sent() {
    let frame_bytes = 1_024;
    let limits = Limits {
        frame_bytes,
        ..Limits::default()
    };
    for count in 150..200 {
        let mut solo = Solo::new(client::Config::new(0), Stored::default());
        solo.connect();
        solo.act(|session, now| session.join(now, lobby(), None));
        solo.greet(Welcome {
            limits,
            ..welcome()
        });
        solo.frame(ServerFrame::Joined(joined(0, 0)));
        let body = "\u{1}".repeat(count);
        solo.act(|session, now| session.draft(now, &lobby(), body.clone()));
        solo.act(|session, now| session.publish(now, lobby(), body).unwrap());
        for frame in solo.frames() {
            let bytes = encode(frame).len();
            assert!(bytes <= frame_bytes as usize, "{count}: {bytes} bytes");
        }
    }
}
