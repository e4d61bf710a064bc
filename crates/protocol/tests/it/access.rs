//! Access: who is let in, under which name, into which rooms and for how long.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::time::Duration;

use everbeat_protocol::access::{Access, Denied, Grants, Identity, Naming, Subject};
use everbeat_protocol::client;
use everbeat_protocol::close::{CloseCode, ReconnectPolicy};
use everbeat_protocol::frame::{ClientFrame, ErrorCode, Refusal, ServerFrame};
use everbeat_protocol::id::{Name, RoomName, Seq, Token};
use everbeat_protocol::position::Position;
use everbeat_protocol::server::{AppendError, Config, Input, Transmit};
use everbeat_protocol::time::Timestamp;
use simulation::pair::Pair;

use crate::solo::{
    Desk, Solo, appended, at, credentials, fetching, joined, lobby, offset, opened, publish, secs,
    stopped, view, welcome,
};

pub(crate) fn token(text: &str) -> Token {
    Token::new(text).unwrap()
}

pub(crate) fn subject(name: &str) -> Subject {
    Subject::new(name).unwrap()
}

/// The access of Ada, with a token that is good for this long.
pub(crate) fn ada(expires_in: Duration) -> Access {
    Access {
        identity: Identity::Subject(subject("ada")),
        naming: Naming::Vouched(Name::tidy("Ada")),
        expires_in: Some(expires_in),
        ..Access::ANYBODY
    }
}

pub(crate) fn with_grants(grants: &str) -> Access {
    Access {
        rights: grants.parse::<Grants>().unwrap().into(),
        ..ada(secs(600))
    }
}

pub(crate) fn refusal(code: ErrorCode) -> ServerFrame {
    ServerFrame::Error(Refusal {
        code,
        message: code.message().to_owned(),
        seq: None,
        unsettled: None,
        room: None,
        retry_after_ms: None,
    })
}

pub(crate) fn errors(desk: &Desk) -> Vec<(ErrorCode, Option<u64>)> {
    let mut errors = Vec::new();
    for frame in desk.frames() {
        if let ServerFrame::Error(refusal) = frame {
            errors.push((refusal.code, refusal.seq.map(Seq::get)));
        }
    }
    errors
}

/// A desk whose client has this access, is live and has joined the lobby.
pub(crate) fn in_lobby(access: Access) -> Desk {
    let mut desk = Desk::new(Config::default());
    desk.open_for(access, opened());
    desk.join(None);
    desk.enter(view(0));
    desk.transmits.clear();
    desk
}

/// Lets time pass while the client gives signs of life.
pub(crate) fn live_to(desk: &mut Desk, end: Timestamp) {
    while desk.now < end {
        let next = (desk.now + secs(5)).min(end);
        desk.run_to(next);
        desk.input(Input::SignOfLife);
    }
}

/// AC-1: a client is authenticated before anything is opened. A refused one gets the reason, and stays
/// away until its user acts. Where the token cannot be checked, the client tries again by itself.
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
        desk.input(Input::Admitted(Err(denied)));
        assert_eq!(errors(&desk), [(code, None)]);
        assert_eq!(desk.closes(), [close]);
        desk.input(Input::Admitted(Ok(Access::ANYBODY)));
        assert_eq!(desk.transmits.len(), 3, "{:?}", desk.transmits);
    }
    assert_eq!(
        CloseCode::UNAUTHORIZED.reconnect_policy(),
        ReconnectPolicy::Never
    );
    assert_eq!(
        CloseCode::TOKEN_EXPIRED.reconnect_policy(),
        ReconnectPolicy::Never
    );
    assert_eq!(
        CloseCode::DISCONNECTED.reconnect_policy(),
        ReconnectPolicy::Never
    );
}

/// AC-3: a session is looked for among those of the authenticated subject, and belongs to it when it is made. A
/// guest's session is any guest's who shows its key.
#[test]
fn a_session_belongs_to_its_subject() {
    let guest = |name| Access {
        identity: Identity::Guest(Some(subject(name))),
        ..Access::ANYBODY
    };
    for (access, owner) in [
        (ada(secs(600)), Identity::Subject(subject("ada"))),
        (guest("guest-1"), Identity::Guest(Some(subject("guest-1")))),
        (Access::ANYBODY, Identity::Guest(None)),
    ] {
        let mut desk = Desk::new(Config::default());
        desk.frame(ClientFrame::Hello {
            session: Some(credentials("s1")),
            name: None,
            token: None,
        });
        desk.input(Input::Admitted(Ok(access)));
        let open = Transmit::OpenSession {
            resume: Some(credentials("s1")),
            owner,
        };
        assert_eq!(desk.transmits.last(), Some(&open));
    }
}

/// AC-3: neither another cookie nor a missing one keeps a guest from a session; a token's subject shares its
/// sessions with no other client, also not with a guest of its name.
#[test]
fn a_guests_session_is_whose_key_is_shown() {
    let ada = Identity::Subject(subject("ada"));
    let guests = [
        Identity::Guest(None),
        Identity::Guest(Some(subject("guest-1"))),
        Identity::Guest(Some(subject("ada"))),
    ];
    for guest in &guests {
        assert!(guests.iter().all(|other| guest.admits(other)), "{guest:?}");
        assert!(!guest.admits(&ada) && !ada.admits(guest), "{guest:?}");
    }
    assert!(ada.admits(&ada) && !ada.admits(&Identity::Subject(subject("bob"))));
}

/// AC-3, RS-9: another user of the same page gets a fresh session, and the first one's messages do not become
/// theirs.
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

/// AC-4: a client cannot change a name that a token vouches for.
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

/// AC-5, EO-7: without the right to read, nothing of a room is disclosed; without the right to write, nothing is
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

/// AC-5, EO-1: a message that was durable before a right ended is acked again after it.
#[test]
fn a_repeated_number_is_not_a_matter_of_rights() {
    let mut desk = Desk::new(Config::default());
    desk.open_for(
        with_grants("news=r"),
        everbeat_protocol::server::SessionOpened {
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

/// AC-5: a number that the log has not taken yet, repeated with another room, is no way around the
/// rights: the log may only find it there.
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
    // The first message could not be stored: its number is free again, and rights are checked again.
    desk.input(appended(1, Err(AppendError::Unavailable)));
    desk.transmits.clear();
    desk.frame(ClientFrame::Publish {
        seq: Seq::FIRST,
        room: RoomName::new("secret").unwrap(),
        body: "hello".into(),
    });
    assert!(matches!(desk.transmits[..], [Transmit::Refuse { .. }]));
}

/// EO-1, RS-3: where it is not known whether a number is used, nothing is decided about it here: neither anew nor held.
/// The session is opened again, and the log tells its last number.
#[test]
fn an_unknown_outcome_is_told_by_the_next_opening() {
    let mut desk = Desk::new(Config::default());
    desk.open_for(with_grants("lobby=rw"), opened());
    desk.frame(publish(1, "hello"));
    desk.transmits.clear();
    desk.input(appended(1, Err(AppendError::Unknown)));
    assert_eq!(
        desk.transmits,
        [Transmit::Close(CloseCode::SERVICE_RESTART)]
    );
}

/// AC-5: `joined` tells a client that may only read so.
#[test]
fn a_room_says_whether_one_may_write() {
    for (grants, read_only) in [("*=r", true), ("*=rw", false)] {
        let mut desk = in_lobby(with_grants(grants));
        desk.input(Input::RoomMoved {
            room: lobby(),
            head: offset(1),
            version: 1,
        });
        desk.input(Input::CutOff {
            id: desk.asked,
            room: lobby(),
        });
        desk.transmits.clear();
        desk.enter(view(1));
        let told = desk.frames().iter().any(
            |frame| matches!(frame, ServerFrame::Joined(joined) if joined.read_only == read_only),
        );
        assert!(told, "{:?}", desk.transmits);
    }
}

/// AC-1: an operator ends a session's connection: the client does not reconnect by itself.
#[test]
fn who_is_removed_stays_away() {
    let mut desk = Desk::live(Config::default());
    desk.input(Input::Disconnected);
    assert_eq!(desk.closes(), [CloseCode::DISCONNECTED]);
    let mut solo = Solo::live(fetching());
    solo.close(Some(CloseCode::DISCONNECTED));
    let code = CloseCode::DISCONNECTED;
    assert_eq!(solo.session.status(), stopped(code));
}

/// AC-5: a room that the client may not read leaves the others alone, and is asked for on the next connection.
#[test]
fn a_denied_room_is_asked_for_on_the_next_connection() {
    let mut solo = Solo::live(client::Config::new(0));
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
    solo.greet(everbeat_protocol::frame::Welcome {
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
