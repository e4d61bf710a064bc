//! Tokens: their renewal on an open connection, and how the client gets the next one.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use everbeat_protocol::access::{Access, Denied, Identity, Naming};
use everbeat_protocol::client::{self, Cause, NoToken, Status, Stored};
use everbeat_protocol::close::CloseCode;
use everbeat_protocol::frame::{ClientFrame, ErrorCode, ServerFrame};
use everbeat_protocol::id::Name;
use everbeat_protocol::server::{Input, Transmit};

use crate::access::{ada, errors, in_lobby, live_to, refusal, subject, token, with_grants};
use crate::solo::{Desk, Solo, at, fetching, hello, lobby, millis, offset, secs, stopped, welcome};

/// AC-2: `renew` before the end, a grace period after it, then the end; the times are those of the config.
#[test]
fn a_token_is_renewed_or_ends() {
    let mut desk = in_lobby(ada(secs(600)));
    live_to(&mut desk, at(539_999));
    assert_eq!(desk.transmits, []);
    desk.run_to(at(540_000));
    let renew = ServerFrame::Renew { within_ms: 60_000 };
    assert_eq!(desk.transmits, [Transmit::Frame(renew)]);
    live_to(&mut desk, at(629_999));
    assert_eq!(desk.transmits.len(), 1);
    desk.run_to(at(630_000));
    assert_eq!(errors(&desk), [(ErrorCode::TokenExpired, None)]);
    assert_eq!(desk.closes(), [CloseCode::TOKEN_EXPIRED]);
}

/// AC-2: a newer token of the same subject is in force from then on; one of another subject is not.
#[test]
fn only_the_same_subject_renews() {
    let mut desk = in_lobby(ada(secs(100)));
    let renew = |desk: &mut Desk, answer| {
        desk.transmits.clear();
        desk.frame(ClientFrame::Token { token: token("t2") });
        let shown = Some(token("t2"));
        assert_eq!(desk.transmits, [Transmit::Admit { token: shown }]);
        desk.input(Input::Admitted(answer));
    };
    let others = [
        Identity::Subject(subject("grace")),
        Identity::Guest(Some(subject("ada"))),
    ];
    for identity in others {
        let other = Access {
            identity,
            ..ada(secs(9999))
        };
        renew(&mut desk, Ok(other));
        assert_eq!(errors(&desk), [(ErrorCode::TokenInvalid, None)]);
    }
    renew(&mut desk, Err(Denied::TokenExpired));
    assert_eq!(errors(&desk), [(ErrorCode::TokenExpired, None)]);
    renew(&mut desk, Err(Denied::Unavailable));
    assert_eq!(errors(&desk), [(ErrorCode::Unavailable, None)]);
    // None of these changed the token in force.
    assert_eq!(desk.closes(), []);
    live_to(&mut desk, at(90_000));
    renew(&mut desk, Ok(ada(secs(100))));
    assert_eq!(errors(&desk), []);
    live_to(&mut desk, at(130_001));
    assert_eq!(desk.closes(), []);
}

/// AC-2: the token in force, shown again, changes nothing: or it would be asked for again and again.
#[test]
fn the_same_token_renews_nothing() {
    let mut desk = in_lobby(ada(secs(100)));
    live_to(&mut desk, at(60_000));
    desk.transmits.clear();
    desk.frame(ClientFrame::Token { token: token("t1") });
    desk.input(Input::Admitted(Ok(ada(secs(40)))));
    assert_eq!(errors(&desk), [(ErrorCode::TokenExpired, None)]);
    live_to(&mut desk, at(129_999));
    let renews = desk
        .frames()
        .into_iter()
        .filter(|f| matches!(f, ServerFrame::Renew { .. }));
    assert_eq!(renews.count(), 0);
    desk.run_to(at(130_000));
    assert_eq!(desk.closes(), [CloseCode::TOKEN_EXPIRED]);
}

/// AC-2: one token at a time is checked; and a client without one has none to renew.
#[test]
fn tokens_are_checked_one_at_a_time() {
    let mut desk = in_lobby(ada(secs(100)));
    for _ in 0..3 {
        desk.frame(ClientFrame::Token { token: token("t2") });
    }
    let admits = desk
        .transmits
        .iter()
        .filter(|t| matches!(t, Transmit::Admit { .. }));
    assert_eq!(admits.count(), 1);
    assert_eq!(errors(&desk), [(ErrorCode::RateLimited, None); 2]);

    let mut desk = in_lobby(Access::ANYBODY);
    desk.frame(ClientFrame::Token { token: token("t2") });
    assert_eq!(errors(&desk), [(ErrorCode::TokenInvalid, None)]);
    desk.input(Input::Admitted(Ok(ada(secs(100)))));
    assert_eq!(desk.transmits.len(), 1, "{:?}", desk.transmits);
}

/// AC-2: `renew` never comes in the first half of a token's life, also of one that is always short.
#[test]
fn a_short_token_has_half_its_life_in_quiet() {
    let mut desk = in_lobby(ada(secs(10)));
    desk.run_to(at(4_999));
    assert_eq!(desk.transmits, []);
    desk.run_to(at(5_000));
    let renew = Transmit::Frame(ServerFrame::Renew { within_ms: 5_000 });
    assert_eq!(desk.transmits, [renew]);
}

/// AC-4, AC-5: a newer token's name and rights are in force at once.
#[test]
fn a_newer_token_brings_its_own_rights() {
    let mut desk = in_lobby(ada(secs(100)));
    desk.frame(ClientFrame::Token { token: token("t2") });
    desk.transmits.clear();
    let newer = Access {
        naming: Naming::Vouched(Name::tidy("Ada L.")),
        ..with_grants("attic=rw")
    };
    desk.input(Input::Admitted(Ok(newer)));
    let rename = Transmit::Rename {
        room: lobby(),
        name: Name::tidy("Ada L."),
    };
    let leave = Transmit::LeaveRoom { room: lobby() };
    assert_eq!(desk.transmits[..2], [rename, leave]);
    assert_eq!(errors(&desk), [(ErrorCode::ReadDenied, None)]);
    desk.input(Input::RoomMoved {
        room: lobby(),
        head: offset(1),
        version: 9,
    });
    assert_eq!(desk.transmits.len(), 3, "{:?}", desk.transmits);
}

fn fetches(solo: &Solo) -> usize {
    let is_fetch = |transmit: &&client::Transmit| **transmit == client::Transmit::FetchToken;
    solo.transmits.iter().filter(is_fetch).count()
}

fn answer(solo: &mut Solo, answer: Result<&str, NoToken>) {
    solo.input(client::Input::Token(answer.map(token)));
}

/// AC-6: a client that can fetch tokens does so at `renew`, once, and shows the new token.
#[test]
fn a_warned_client_fetches_a_token_and_shows_it() {
    let mut solo = Solo::live(fetching());
    for _ in 0..2 {
        solo.frame(ServerFrame::Renew { within_ms: 60_000 });
    }
    assert_eq!(fetches(&solo), 1);
    answer(&mut solo, Ok("t2"));
    let shown = ClientFrame::Token { token: token("t2") };
    assert_eq!(solo.frames(), [&shown]);
    // And from then on in `hello`.
    solo.close(None);
    solo.run_to(at(20_000));
    solo.forget();
    let id = solo.id;
    solo.input(client::Input::Opened { id });
    let [ClientFrame::Hello { token: shown, .. }] = solo.frames()[..] else {
        panic!("{:?}", solo.transmits);
    };
    assert_eq!(shown, &Some(token("t2")));
}

/// AC-6: if the fetch fails, or the server does not take the fetched token, the client tries again with
/// backoff, and the connection stays.
#[test]
fn a_failed_renewal_is_tried_again() {
    let mut solo = Solo::live(fetching());
    solo.frame(ServerFrame::Renew { within_ms: 60_000 });
    for tries in 1..=6 {
        assert_eq!(fetches(&solo), tries);
        if tries % 2 == 0 {
            answer(&mut solo, Err(NoToken::Unavailable));
        } else {
            answer(&mut solo, Ok("bad"));
            solo.frame(refusal(ErrorCode::TokenInvalid));
        }
        assert_eq!(fetches(&solo), tries);
        assert!(solo.wait() <= secs(10));
        let end = solo.now + solo.wait() + millis(1);
        solo.run_to(end);
    }
    answer(&mut solo, Ok("good"));
    assert_eq!(solo.session.status(), Status::Live);
    assert_eq!(solo.closes(), []);
    // An endpoint that denies a token is not asked again: the server says when it no longer takes the old one.
    solo.frame(ServerFrame::Renew { within_ms: 60_000 });
    solo.forget();
    answer(&mut solo, Err(NoToken::Denied));
    solo.frame(ServerFrame::Ping);
    solo.run_to(solo.now + secs(20));
    assert_eq!(fetches(&solo), 0);
    assert_eq!(solo.session.status(), Status::Live);
}

/// AC-6: refused for its token, the client waits, fetches another one, and reconnects with it.
#[test]
fn turned_away_it_comes_back_with_another_token() {
    for code in [CloseCode::UNAUTHORIZED, CloseCode::TOKEN_EXPIRED] {
        let mut solo = Solo::live(fetching());
        solo.close(Some(code));
        assert_eq!(solo.opens(), 0);
        let end = solo.now + solo.wait();
        solo.run_to(end);
        assert_eq!((solo.opens(), fetches(&solo)), (0, 1));
        assert_eq!(solo.session.status(), Status::Connecting);
        // An outage of the token endpoint is waited out, however long.
        for tries in 2..=20 {
            answer(&mut solo, Err(NoToken::Unavailable));
            let Status::Waiting { cause, .. } = solo.session.status() else {
                panic!("{:?}", solo.session.status());
            };
            assert_eq!(cause, Cause::NoToken);
            assert!(solo.wait() <= secs(10));
            let end = solo.now + solo.wait();
            solo.run_to(end);
            assert_eq!((solo.opens(), fetches(&solo)), (0, tries));
        }
        answer(&mut solo, Ok("t2"));
        assert_eq!(solo.opens(), 1);
        solo.forget();
        solo.greet(welcome());
        assert!(matches!(
            solo.frames()[0],
            ClientFrame::Hello { token: Some(shown), .. } if *shown == token("t2")
        ));
        assert_eq!(solo.session.status(), Status::Live);
    }
}

/// AC-6: a token endpoint that never answers is asked again after a while.
#[test]
fn a_fetch_without_an_answer_is_given_up() {
    let mut solo = Solo::live(fetching());
    solo.close(Some(CloseCode::UNAUTHORIZED));
    for tries in 1..=3 {
        let end = solo.now + solo.wait();
        solo.run_to(end);
        assert_eq!((solo.opens(), fetches(&solo)), (0, tries));
        assert_eq!(solo.wait(), secs(10));
        let end = solo.now + solo.wait();
        solo.run_to(end);
        assert!(matches!(solo.session.status(), Status::Waiting { .. }));
    }
    // An answer that comes late is as good.
    answer(&mut solo, Ok("t2"));
    let end = solo.now + solo.wait();
    solo.run_to(end);
    assert_eq!(solo.opens(), 1);
}

/// AC-6: if the client cannot fetch tokens, or is denied one, only the user can help; once
/// they have signed in, a token is fetched first.
#[test]
fn without_tokens_a_person_has_to_act() {
    let code = CloseCode::UNAUTHORIZED;
    let mut solo = Solo::live(client::Config::new(0));
    solo.frame(ServerFrame::Renew { within_ms: 60_000 });
    solo.close(Some(code));
    assert_eq!(fetches(&solo), 0);
    assert_eq!(solo.session.status(), stopped(code));

    let mut solo = Solo::live(fetching());
    solo.close(Some(code));
    let end = solo.now + solo.wait();
    solo.run_to(end);
    answer(&mut solo, Err(NoToken::Denied));
    assert_eq!(solo.session.status(), stopped(code));
    assert_eq!(solo.session.poll_timeout(), None);
    solo.forget();
    solo.connect();
    assert_eq!((solo.opens(), fetches(&solo)), (0, 1));
    answer(&mut solo, Ok("t2"));
    assert_eq!(solo.opens(), 1);
}

/// AC-1: a token that a program has from the beginning is in its first `hello`.
#[test]
fn a_token_may_be_there_from_the_beginning() {
    let mut solo = Solo::new(client::Config::new(0), Stored::default());
    answer(&mut solo, Ok("t1"));
    solo.connect();
    let id = solo.id;
    solo.input(client::Input::Opened { id });
    let ClientFrame::Hello { token: shown, .. } = solo.frames()[0] else {
        panic!("{:?}", solo.transmits);
    };
    assert_eq!(shown, &Some(token("t1")));
    // Without one the frame is as it always was.
    assert_eq!(
        everbeat_protocol::codec::encode(&hello()),
        r#"{"type":"hello"}"#
    );
}
