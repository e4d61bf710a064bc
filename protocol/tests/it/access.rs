//! Who is let in, under which name, into which rooms and for how long.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::time::Duration;

use protocol::access::{Access, Denied, Grants, Naming, Subject};
use protocol::client::{self, Cause, NoToken, Status, Stored};
use protocol::close::{CloseCode, Comeback};
use protocol::frame::{ClientFrame, ErrorCode, Refusal, ServerFrame};
use protocol::id::{Name, RoomName, Seq, Token};
use protocol::position::Position;
use protocol::server::{AppendError, Config, Input, RoomView, Transmit};
use protocol::time::Timestamp;
use simulation::pair::Pair;

use crate::solo::{
    Desk, Solo, appended, at, credentials, hello, joined, lobby, millis, offset, opened, publish,
    secs, welcome,
};

fn token(text: &str) -> Token {
    Token::new(text).unwrap()
}

/// Somebody with a token that is good for this long.
fn ada(expires_in: Duration) -> Access {
    Access {
        subject: Subject::new("ada"),
        naming: Naming::Vouched(Name::tidy("Ada")),
        expires_in: Some(expires_in),
        ..Access::ANYBODY
    }
}

fn with_grants(grants: &str) -> Access {
    Access {
        rights: grants.parse::<Grants>().unwrap().into(),
        ..ada(secs(600))
    }
}

fn refusal(code: ErrorCode) -> ServerFrame {
    ServerFrame::Error(Refusal {
        code,
        message: code.text().to_owned(),
        seq: None,
        room: None,
        retry_after_ms: None,
    })
}

fn errors(desk: &Desk) -> Vec<(ErrorCode, Option<u64>)> {
    let mut errors = Vec::new();
    for frame in desk.frames() {
        if let ServerFrame::Error(refusal) = frame {
            errors.push((refusal.code, refusal.seq.map(Seq::get)));
        }
    }
    errors
}

/// A desk where this one is live and has joined the lobby.
fn in_lobby(access: Access) -> Desk {
    let mut desk = Desk::new(Config::default());
    desk.open_for(access, opened());
    desk.frame(ClientFrame::Join {
        room: lobby(),
        since: None,
        limit: None,
    });
    desk.input(Input::RoomOpened {
        room: lobby(),
        view: Some(RoomView {
            epoch: joined(0, 0).epoch,
            head: offset(0),
            trimmed: offset(0),
            members: Vec::new(),
            count: None,
            drafts: Vec::new(),
            removed: Vec::new(),
            version: 0,
        }),
    });
    desk.transmits.clear();
    desk
}

/// Time passes, and the client gives signs of life.
fn live_to(desk: &mut Desk, end: Timestamp) {
    while desk.now < end {
        let next = (desk.now + secs(5)).min(end);
        desk.run_to(next);
        desk.input(Input::SignOfLife);
    }
}

/// AC-1: before anything is opened it is asked who that is; whoever is not let in is told why, and
/// stays away until a person acts. Where it cannot be told, the client comes again by itself.
#[test]
fn nobody_gets_in_unasked() {
    let cases = [
        (
            Denied::TokenRequired,
            ErrorCode::TokenRequired,
            CloseCode::UNAUTHORIZED,
        ),
        (
            Denied::TokenInvalid,
            ErrorCode::TokenInvalid,
            CloseCode::UNAUTHORIZED,
        ),
        (
            Denied::TokenExpired,
            ErrorCode::TokenExpired,
            CloseCode::UNAUTHORIZED,
        ),
        (
            Denied::Unavailable,
            ErrorCode::Unavailable,
            CloseCode::TRY_AGAIN_LATER,
        ),
    ];
    for (denied, code, close) in cases {
        let mut desk = Desk::new(Config::default());
        let shown = Some(token("t"));
        desk.frame(ClientFrame::Hello {
            session: Some(credentials("s1")),
            name: None,
            token: shown.clone(),
        });
        assert_eq!(desk.transmits, [Transmit::Admit { token: shown }]);
        assert!(!desk.session.wants_input());
        desk.input(Input::Admitted(Err(denied)));
        assert_eq!(errors(&desk), [(code, None)]);
        assert_eq!(desk.closes(), [close]);
        desk.input(Input::Admitted(Ok(Access::ANYBODY)));
        assert_eq!(desk.transmits.len(), 3, "{:?}", desk.transmits);
    }
    assert_eq!(CloseCode::UNAUTHORIZED.comeback(), Comeback::Never);
    assert_eq!(CloseCode::TOKEN_EXPIRED.comeback(), Comeback::Never);
    assert_eq!(CloseCode::REMOVED.comeback(), Comeback::Never);
}

/// AC-3: a session is looked for among those of whoever is there, and is theirs when it is made.
#[test]
fn a_session_belongs_to_its_subject() {
    let mut desk = Desk::new(Config::default());
    desk.frame(ClientFrame::Hello {
        session: Some(credentials("s1")),
        name: None,
        token: None,
    });
    desk.input(Input::Admitted(Ok(ada(secs(600)))));
    let open = Transmit::OpenSession {
        resume: Some(credentials("s1")),
        owner: Subject::new("ada"),
    };
    assert_eq!(desk.transmits.last(), Some(&open));
}

/// AC-3, RS-9: another person in front of the same page gets a fresh session, and the first one's
/// messages do not become theirs.
#[test]
fn another_person_gets_another_session() {
    let mut pair = Pair::new();
    pair.world.issuer.ttl = Some(secs(3600));
    pair.client_config.fetches_tokens = true;
    let first = pair.lobby_page();
    let session = pair.clients[first].session.id().cloned();
    let again = pair.reload(first);
    pair.join(again, &RoomName::lobby(), None);
    pair.connect(again);
    pair.run_until("live", |pair| pair.clients[again].is_live());
    assert_eq!(pair.clients[again].session.id().cloned(), session);
    let other = pair.reload(again);
    pair.clients[other].person = 7;
    pair.join(other, &RoomName::lobby(), None);
    pair.connect(other);
    pair.run_until("live", |pair| pair.clients[other].is_live());
    assert_ne!(pair.clients[other].session.id().cloned(), session);
}

/// AC-4: a name that a token vouches for is not the client's to choose.
#[test]
fn a_vouched_name_stays() {
    let mut desk = Desk::new(Config::default());
    let name = Some(Name::tidy("Grace"));
    desk.frame(ClientFrame::Hello {
        session: None,
        name,
        token: None,
    });
    desk.input(Input::Admitted(Ok(ada(secs(600)))));
    desk.input(Input::SessionOpened(Some(opened())));
    let ServerFrame::Welcome(welcome) = desk.frames()[0] else {
        panic!("{:?}", desk.transmits);
    };
    assert_eq!(welcome.vouched, Some(Name::tidy("Ada")));
    desk.frame(ClientFrame::Rename {
        name: Name::tidy("Grace"),
    });
    desk.frame(publish(1, "hello"));
    let names = desk.transmits.iter().filter_map(|transmit| match transmit {
        Transmit::Append { name, .. } | Transmit::Rename { name, .. } => Some(name.as_str()),
        _ => None,
    });
    assert_eq!(names.collect::<Vec<_>>(), ["Ada"]);
}

/// AC-5, EO-7: without the right to read nothing of a room is told; without that to write nothing is
/// written, and a message's number is used up.
#[test]
fn rooms_are_for_those_who_may() {
    let mut desk = Desk::new(Config::default());
    desk.open_for(with_grants("news=r,drop-*=w"), opened());
    desk.transmits.clear();
    let room = |name: &str| RoomName::new(name).unwrap();
    let join = |name: &str| ClientFrame::Join {
        room: room(name),
        since: None,
        limit: None,
    };
    let history = |name: &str| ClientFrame::History {
        room: room(name),
        before: offset(9),
        limit: 5,
    };
    for frame in [
        join("lobby"),
        join("drop-1"),
        history("lobby"),
        history("drop-1"),
    ] {
        desk.frame(frame);
    }
    assert_eq!(errors(&desk), [(ErrorCode::ReadDenied, None); 4]);
    assert_eq!(desk.transmits.len(), 4, "{:?}", desk.transmits);
    desk.transmits.clear();

    desk.frame(join("news"));
    desk.frame(history("news"));
    assert!(matches!(
        desk.transmits[..],
        [Transmit::OpenRoom { .. }, Transmit::History { .. }]
    ));
    desk.transmits.clear();
    desk.frame(ClientFrame::Draft {
        room: room("news"),
        body: "psst".into(),
    });
    assert_eq!(errors(&desk), [(ErrorCode::WriteDenied, None)]);
    desk.transmits.clear();

    for (seq, name) in [(1, "news"), (2, "lobby"), (3, "drop-1")] {
        desk.frame(ClientFrame::Publish {
            seq: Seq::new(seq).unwrap(),
            room: room(name),
            body: "hello".into(),
        });
    }
    let code = ErrorCode::WriteDenied;
    let refuse = |seq| Transmit::Refuse {
        seq: Seq::new(seq).unwrap(),
        code,
    };
    assert_eq!(desk.transmits[..2], [refuse(1), refuse(2)]);
    assert!(matches!(desk.transmits[2], Transmit::Append { .. }));
    desk.transmits.clear();
    desk.input(Input::NumberUsed {
        seq: Seq::FIRST,
        result: Ok(code),
    });
    assert_eq!(errors(&desk), [(code, Some(1))]);
}

/// AC-5, EO-1: what was durable before a right ended is acked again after it.
#[test]
fn a_repeated_number_is_not_a_matter_of_rights() {
    let mut desk = Desk::new(Config::default());
    desk.open_for(
        with_grants("news=r"),
        protocol::server::SessionOpened {
            resumed: true,
            last_seq: 1,
            ..opened()
        },
    );
    desk.transmits.clear();
    desk.frame(publish(1, "hello"));
    let [Transmit::Append { is_repeat, .. }] = desk.transmits[..] else {
        panic!("{:?}", desk.transmits);
    };
    assert!(is_repeat);
    desk.input(appended(1, Ok(4)));
    assert_eq!(errors(&desk), []);
}

/// AC-5: a number that the log has not taken yet, shown again with another room, is no way around the
/// rights: it may only be found there.
#[test]
fn a_number_under_way_is_no_way_into_another_room() {
    let mut desk = Desk::new(Config::default());
    desk.open_for(with_grants("lobby=rw"), opened());
    desk.transmits.clear();
    desk.frame(publish(1, "hello"));
    desk.frame(ClientFrame::Publish {
        seq: Seq::FIRST,
        room: RoomName::new("secret").unwrap(),
        body: "hello".into(),
    });
    let repeats = desk.transmits.iter().map(|transmit| match transmit {
        Transmit::Append { is_repeat, .. } => *is_repeat,
        other => panic!("{other:?}"),
    });
    assert_eq!(repeats.collect::<Vec<_>>(), [false, true]);
    // The first one could not be stored: the number is free again, and judged again.
    desk.input(appended(1, Err(AppendError::Unavailable)));
    desk.transmits.clear();
    desk.frame(ClientFrame::Publish {
        seq: Seq::FIRST,
        room: RoomName::new("secret").unwrap(),
        body: "hello".into(),
    });
    assert!(matches!(desk.transmits[..], [Transmit::Refuse { .. }]));
}

/// AC-5: whoever may only read is told so with the room.
#[test]
fn a_room_says_whether_one_may_write() {
    for (grants, read_only) in [("*=r", true), ("*=rw", false)] {
        let mut desk = in_lobby(with_grants(grants));
        desk.input(Input::CutOff { room: lobby() });
        let view = RoomView {
            epoch: joined(0, 0).epoch,
            head: offset(0),
            trimmed: offset(0),
            members: Vec::new(),
            count: None,
            drafts: Vec::new(),
            removed: Vec::new(),
            version: 1,
        };
        desk.input(Input::RoomOpened {
            room: lobby(),
            view: Some(view),
        });
        let told = desk.frames().iter().any(
            |frame| matches!(frame, ServerFrame::Joined(joined) if joined.read_only == read_only),
        );
        assert!(told, "{:?}", desk.transmits);
    }
}

/// AC-2: a warning before the end, a grace after it, then the end; the numbers are the config's.
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

/// AC-2: a newer token of the same subject counts from then on; one of somebody else does not.
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
    let grace = Access {
        subject: Subject::new("grace"),
        ..ada(secs(9999))
    };
    renew(&mut desk, Ok(grace));
    assert_eq!(errors(&desk), [(ErrorCode::TokenInvalid, None)]);
    renew(&mut desk, Err(Denied::TokenExpired));
    assert_eq!(errors(&desk), [(ErrorCode::TokenExpired, None)]);
    renew(&mut desk, Err(Denied::Unavailable));
    assert_eq!(errors(&desk), [(ErrorCode::Unavailable, None)]);
    // None of these harmed the one that is there.
    assert_eq!(desk.closes(), []);
    live_to(&mut desk, at(90_000));
    renew(&mut desk, Ok(ada(secs(100))));
    assert_eq!(errors(&desk), []);
    live_to(&mut desk, at(130_001));
    assert_eq!(desk.closes(), []);
}

/// AC-2: the token that ends, shown again, changes nothing: or it would be asked for again and again.
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

/// AC-2: one token at a time is checked; and where none was shown, none is renewed.
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

/// AC-2: a token that is always short is not asked for in its first half.
#[test]
fn a_short_token_has_half_its_life_in_quiet() {
    let mut desk = in_lobby(ada(secs(10)));
    desk.run_to(at(4_999));
    assert_eq!(desk.transmits, []);
    desk.run_to(at(5_000));
    let renew = Transmit::Frame(ServerFrame::Renew { within_ms: 5_000 });
    assert_eq!(desk.transmits, [renew]);
}

/// AC-4, AC-5: what the newer token says counts at once: the name, and the rooms.
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

/// An operator may end a session's connection: it does not come back by itself (AC-1).
#[test]
fn who_is_removed_stays_away() {
    let mut desk = Desk::live(Config::default());
    desk.input(Input::Removed);
    assert_eq!(desk.closes(), [CloseCode::REMOVED]);
    let mut solo = Solo::live(fetching());
    solo.close(Some(CloseCode::REMOVED));
    let code = CloseCode::REMOVED;
    assert_eq!(solo.session.status(), Status::Stopped { code });
}

fn fetching() -> client::Config {
    client::Config {
        fetches_tokens: true,
        ..client::Config::default()
    }
}

fn fetches(solo: &Solo) -> usize {
    let is_fetch = |transmit: &&client::Transmit| **transmit == client::Transmit::FetchToken;
    solo.transmits.iter().filter(is_fetch).count()
}

fn answer(solo: &mut Solo, answer: Result<&str, NoToken>) {
    solo.input(client::Input::Token(answer.map(token)));
}

/// AC-6: a client that can fetch tokens does so when it is warned, once, and shows what it got.
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

/// AC-6: where fetching fails, or the server does not take what was fetched, it is tried again with
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
    // Whoever gives none is not asked again: the server says when it has had enough.
    solo.frame(ServerFrame::Renew { within_ms: 60_000 });
    solo.forget();
    answer(&mut solo, Err(NoToken::Denied));
    solo.frame(ServerFrame::Ping);
    solo.run_to(solo.now + secs(20));
    assert_eq!(fetches(&solo), 0);
    assert_eq!(solo.session.status(), Status::Live);
}

/// AC-6: turned away for its token, the client waits, fetches another one, and comes back with it.
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
        // The outage of whoever gives them is waited out, however long.
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

/// AC-6: whoever gives tokens and never answers is asked again after a while.
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

/// AC-6: without a way to fetch tokens, or where none is given, only a person can help; when they
/// have signed in, a token is fetched first.
#[test]
fn without_tokens_a_person_has_to_act() {
    let code = CloseCode::UNAUTHORIZED;
    let mut solo = Solo::live(client::Config::default());
    solo.frame(ServerFrame::Renew { within_ms: 60_000 });
    solo.close(Some(code));
    assert_eq!(fetches(&solo), 0);
    assert_eq!(solo.session.status(), Status::Stopped { code });

    let mut solo = Solo::live(fetching());
    solo.close(Some(code));
    let end = solo.now + solo.wait();
    solo.run_to(end);
    answer(&mut solo, Err(NoToken::Denied));
    assert_eq!(solo.session.status(), Status::Stopped { code });
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
    let mut solo = Solo::new(client::Config::default(), Stored::default());
    answer(&mut solo, Ok("t1"));
    solo.connect();
    let id = solo.id;
    solo.input(client::Input::Opened { id });
    let ClientFrame::Hello { token: shown, .. } = solo.frames()[0] else {
        panic!("{:?}", solo.transmits);
    };
    assert_eq!(shown, &Some(token("t1")));
    // Without one the frame is as it always was.
    assert_eq!(protocol::codec::encode(&hello()), r#"{"type":"hello"}"#);
}

/// AC-5: a room that is closed to us leaves the others alone, and is asked for on the next connection.
#[test]
fn a_denied_room_is_asked_for_on_the_next_connection() {
    let mut solo = Solo::live(client::Config::default());
    solo.act(|session, now| session.join(now, lobby(), None));
    solo.frame(ServerFrame::Joined(joined(3, 3)));
    let ServerFrame::Error(denied) = refusal(ErrorCode::ReadDenied) else {
        unreachable!("it is an error");
    };
    solo.frame(ServerFrame::Error(Refusal {
        room: Some(lobby()),
        ..denied
    }));
    solo.act(|session, now| session.draft(now, &lobby(), "psst".into()));
    solo.forget();
    solo.run_to(at(5_000));
    assert_eq!(solo.frames(), [] as [&ClientFrame; 0]);
    solo.close(None);
    let end = solo.now + solo.wait();
    solo.run_to(end);
    solo.forget();
    solo.greet(protocol::frame::Welcome {
        resumed: true,
        ..welcome()
    });
    let since = Some(Position {
        epoch: joined(0, 0).epoch,
        offset: offset(3),
    });
    assert!(
        solo.frames()
            .iter()
            .any(|frame| matches!(frame, ClientFrame::Join { since: s, .. } if *s == since))
    );
}
